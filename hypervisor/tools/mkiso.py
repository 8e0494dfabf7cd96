#!/usr/bin/python3
"""Makes the ISO that boots by BIOS and by UEFI, from janus.elf and what pack.py wrote, or from one guest.

    mkiso.py --elf build/janus.elf --packed FOLDER --out FILE.iso [--omit NAME] [--no-config]
    mkiso.py --guest build/certify/certify.elf --out FILE.iso [--cmdline OPTIONS] [--title NAME] [--first 1]

GRUB2 loads /boot/janus.elf by multiboot2, the blob as the module "janus.blob" and each file of
modules.list under its name, all with --nounzip: what arrives is what was packed. Files are linked, not
copied, and nothing is made when no input has changed. --omit and --no-config leave a module out of
GRUB's list, to test how Janus says so.

With --guest a program on guest-drivers/metal boots by itself, on any machine: by multiboot2, or, from the menu and
with a BIOS, by multiboot. GRUB talks on the serial port if there is one, and on the screen.
"""

import argparse
import os
import shutil
import subprocess
import sys

CONFIG_MODULE = "janus.blob"
GRUB_HEAD = """serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=0
"""
GUEST_HEAD = """serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
insmod all_video
"""
GUEST_WAIT_SECONDS = 2  # for somebody who wants another entry


class IsoError(Exception):
    """What stopped us, in one line."""


def read_modules(packed):
    """(name, path) of each module, the blob first."""
    blob = os.path.join(packed, "janus.blob")
    if not os.path.isfile(blob):
        raise IsoError(f"there is no {blob}: run pack.py first")
    with open(os.path.join(packed, "modules.list"), encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    return [(CONFIG_MODULE, blob), *((name, path) for name, path in rows)]


def grub_config(modules, omitted, cmdline):
    lines = [GRUB_HEAD + f"multiboot2 /boot/janus.elf {cmdline}".rstrip()]
    for name, _ in modules:
        if name not in omitted:
            lines.append(f"module2 --nounzip /boot/{name} {name}")
    return "\n".join([*lines, "boot", ""])


def menu_entry(title, *lines):
    return "\n".join([f"menuentry '{title}' {{", *("\t" + line for line in lines), "}"])


def guest_config(name, title, cmdline, first):
    """GRUB's menu for a guest alone; @first: the entry that is started, from 0."""
    if any(sign in f"{name}{title}{cmdline}" for sign in "'\"\\\n{}$;&|<>"):
        raise IsoError("a guest's name and options may not have quotes or other signs of GRUB's language in them")
    place = f"/boot/{name} {cmdline}".rstrip()
    return "\n".join([
        GUEST_HEAD + f"set timeout={GUEST_WAIT_SECONDS}", f"set default={first}",
        menu_entry(f"{title}, by Multiboot 2", "multiboot2 " + place, "boot"),
        'if [ "$grub_platform" = pc ]; then', menu_entry(f"{title}, by Multiboot 1", "multiboot " + place, "boot"),
        "fi", "",
    ])


def link(path, to):
    """A hard link, or a copy where the file system has none."""
    try:
        os.link(path, to)
    except OSError:
        shutil.copyfile(path, to)


def stamp_of(elf, modules, config):
    """Names all that goes in, by path, size and time."""
    lines = [config]
    for path in (elf, *(path for _, path in modules)):
        stat = os.stat(path)
        lines.append(f"{path} {stat.st_size} {stat.st_mtime_ns}")
    return "\n".join(lines)


def make_tree(tree, files, config):
    """@files: (name in /boot, path)."""
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(os.path.join(tree, "boot/grub"))
    for name, path in files:
        link(path, os.path.join(tree, "boot", name))
    with open(os.path.join(tree, "boot/grub/grub.cfg"), "w", encoding="utf-8") as file:
        file.write(config)


def run_mkrescue(tree, out):
    command = ["grub-mkrescue", "-o", out + ".new", "--locales=", "--fonts=", "--themes=", tree]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        text = "needs grub-mkrescue: install grub-common, grub-pc-bin, grub-efi-amd64-bin, xorriso, mtools"
        raise IsoError(text) from None
    if done.returncode != 0:
        raise IsoError("grub-mkrescue: " + (done.stderr.strip().split("\n") or ["failed"])[-1])
    os.replace(out + ".new", out)


def make_if_changed(files, config, out):
    """Makes @out of @files, the first of them a program. True if an input has changed and it was made."""
    stamp = stamp_of(files[0][1], files[1:], config)
    stamp_file = out + ".stamp"
    if os.path.isfile(out) and os.path.isfile(stamp_file):
        with open(stamp_file, encoding="utf-8") as file:
            if file.read() == stamp:
                return False
    os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
    tree = out + ".tree"
    make_tree(tree, files, config)
    run_mkrescue(tree, out)
    shutil.rmtree(tree)
    with open(stamp_file, "w", encoding="utf-8") as file:
        file.write(stamp)
    return True


def make_iso(elf, packed, out, omitted=(), cmdline=""):
    """Makes Janus' ISO as @out if an input has changed. True if it was made."""
    if not os.path.isfile(elf):
        raise IsoError(f"there is no {elf}: build Janus first")
    modules = read_modules(packed)
    return make_if_changed([("janus.elf", elf), *modules], grub_config(modules, omitted, cmdline), out)


def make_guest_iso(elf, out, cmdline="", title=None, first=0):
    """Makes the ISO of the guest @elf alone as @out if an input has changed. True if it was made."""
    if not os.path.isfile(elf):
        raise IsoError(f"there is no {elf}: build it first")
    name = os.path.basename(elf)
    return make_if_changed([(name, elf)], guest_config(name, title or name, cmdline, first), out)


def main():
    parser = argparse.ArgumentParser(description="Makes an ISO for BIOS and UEFI, of Janus or of one guest.")
    parser.add_argument("--elf", help="janus.elf")
    parser.add_argument("--packed", help="pack.py's --out")
    parser.add_argument("--guest", help="a guest's ELF, instead of --elf and --packed")
    parser.add_argument("--title", help="the guest's name in the menu")
    parser.add_argument("--first", type=int, choices=(0, 1), default=0, help="start by Multiboot 2 (0) or 1 (1)")
    parser.add_argument("--out", required=True, help="the ISO")
    parser.add_argument("--omit", action="append", default=[], help="a module to leave out (a test)")
    parser.add_argument("--no-config", action="store_true", help="leave the blob out (a test)")
    parser.add_argument("--cmdline", default="", help="Janus' own command line, or the guest's")
    args = parser.parse_args()
    if (args.guest is None) == (args.elf is None) or (args.elf is None) != (args.packed is None):
        parser.error("give --elf and --packed, or --guest")
    omitted = args.omit + ([CONFIG_MODULE] if args.no_config else [])
    try:
        if args.guest is not None:
            make_guest_iso(args.guest, args.out, args.cmdline, args.title, args.first)
        else:
            make_iso(args.elf, args.packed, args.out, omitted, args.cmdline)
    except (IsoError, OSError) as error:
        print(f"mkiso: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""Makes the ISO that boots by BIOS and by UEFI, from janus.elf and what pack.py wrote.

    mkiso.py --elf build/janus.elf --packed FOLDER --out FILE.iso [--omit NAME] [--no-config]

GRUB2 loads /boot/janus.elf by multiboot2, the blob as the module "janus.blob" and each file of
modules.list under its name, all with --nounzip: what arrives is what was packed. Files are linked, not
copied, and nothing is made when no input has changed. --omit and --no-config leave a module out of
GRUB's list, to test how Janus says so.
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


def make_tree(tree, elf, modules, config):
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(os.path.join(tree, "boot/grub"))
    link(elf, os.path.join(tree, "boot/janus.elf"))
    for name, path in modules:
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


def make_iso(elf, packed, out, omitted=(), cmdline=""):
    """Makes @out if an input has changed. True if it was made."""
    if not os.path.isfile(elf):
        raise IsoError(f"there is no {elf}: build Janus first")
    modules = read_modules(packed)
    config = grub_config(modules, omitted, cmdline)
    stamp = stamp_of(elf, modules, config)
    stamp_file = out + ".stamp"
    if os.path.isfile(out) and os.path.isfile(stamp_file):
        with open(stamp_file, encoding="utf-8") as file:
            if file.read() == stamp:
                return False
    os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
    tree = out + ".tree"
    make_tree(tree, elf, modules, config)
    run_mkrescue(tree, out)
    shutil.rmtree(tree)
    with open(stamp_file, "w", encoding="utf-8") as file:
        file.write(stamp)
    return True


def main():
    parser = argparse.ArgumentParser(description="Makes Janus' ISO for BIOS and UEFI.")
    parser.add_argument("--elf", required=True)
    parser.add_argument("--packed", required=True, help="pack.py's --out")
    parser.add_argument("--out", required=True, help="the ISO")
    parser.add_argument("--omit", action="append", default=[], help="a module to leave out (a test)")
    parser.add_argument("--no-config", action="store_true", help="leave the blob out (a test)")
    parser.add_argument("--cmdline", default="", help="Janus' own command line")
    args = parser.parse_args()
    omitted = args.omit + ([CONFIG_MODULE] if args.no_config else [])
    try:
        make_iso(args.elf, args.packed, args.out, omitted, args.cmdline)
    except (IsoError, OSError) as error:
        print(f"mkiso: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""Checks janus.toml and packs it: the blob for ring 0 and the list of GRUB modules.

    pack.py janus.toml --out FOLDER [--files FOLDER] [--machine-memory 2G]

Writes FOLDER/janus.blob and FOLDER/modules.list, a line `NAME<tab>PATH` for each module (mkiso.py reads
it). Every mistake gets one line on stderr that names the file, the key, what is wrong and what would
be right; then the exit status is 1 and nothing is written. A second mistake that only follows from a
first one is not reported. How kernels are unpacked and started: see kernel.py. The layout: blobfmt.py.
"""

import argparse
import difflib
import json
import os
import re
import sys
import tomllib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import blobfmt  # noqa: E402
import kernel  # noqa: E402

MIB = 1 << 20
MEMORY_MIN = 16 * MIB
JANUS_BYTES = 64 * MIB  # what Janus itself, its tables and page tables may take
PAGE = 4096
BOOT_MAP_END = 1 << 30  # boot modules end below it: hypervisor/core/build.c
UNITS = {"": 1, "K": 1 << 10, "M": MIB, "G": 1 << 30}
TOP_KEYS = ("machine", "switch", "guest")
MACHINE_KEYS = ("memory", "boot_cpu")
BOOT_CPU = {"guests": 0, "control": blobfmt.KEEP_BOOT_CPU}
SWITCH_KEYS = ("name",)
GUEST_KEYS = ("name", "face", "vcpus", "memory", "kernel", "boot", "initrd", "modules", "cmdline", "disks", "nics",
              "autostart")
MODULE_KEYS = ("file", "string")
DISK_KEYS = ("source", "mode")
NIC_KEYS = ("switch", "mac")
TYPES = {str: "a string", int: "a whole number", bool: "true or false", list: "a list", dict: "a table"}
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}")
RESERVED_NAMES = ("janus",)
GUEST_HELP = """\
a guest's table, [[guest]]:
  name = "web"        in the log and in the monitor
  face = "xen"        or "hyperv" or "both"
  vcpus = 2           1 to 64
  memory = "256M"     at least 16M
  kernel = "FILE"     a Linux bzImage; an ELF, 64 or 32 bits, with Xen's PVH note; a Multiboot (1) kernel
  boot = "auto"       or "pvh" or "multiboot": which of them, if the kernel is both ("auto": PVH)
  initrd = "FILE"     the first boot module
  modules = [{ file = "FILE", string = "WORDS" }]
                      more boot modules, by PVH as by Multiboot; 16 with the initrd; string: its own words
                      (without it: the name of the file)
  cmdline = "WORDS"
  disks = [{ source = "ram:FILE", mode = "rw" }]
  nics = [{ switch = "lan", mac = "02:00:00:00:00:01" }]
  autostart = true
"""


class Mistakes:
    """The lines for what is wrong. A place is a tuple of words, ("guest \"web\"", "vcpus")."""

    def __init__(self, file):
        self.file = file
        self.lines = []

    def add(self, place, what):
        line = ": ".join((self.file, *place, what))
        if line not in self.lines:
            self.lines.append(line)


def show(value):
    """A value as one would write it in TOML, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def show_bytes(count):
    return f"{count // MIB}M" if count % MIB == 0 else f"{count} bytes"


def is_line(text):
    return all(" " <= c <= "~" for c in text)


def one_of(words):
    return "one of " + ", ".join(show(word) for word in words)


def parse_size(value):
    """Bytes of "256M" or of a plain number, or None."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(r"(\d{1,15})([KMG]?)", value) if isinstance(value, str) else None
    return int(match[1]) * UNITS[match[2]] if match else None


class Checker:
    """Reads the parsed TOML and collects what is right; what is wrong goes to @mistakes."""

    def __init__(self, mistakes, files, cache, machine_memory=None):
        self.mistakes = mistakes
        self.files = files
        self.cache = cache
        self.machine_memory = machine_memory
        self.flags = 0
        self.switches = []
        self.guests = []
        self.modules = []  # paths, in the order of their index
        self.owners = {"mac": {}, "medium": {}}
        self.kernels = {}

    def wrong(self, place, key, what):
        self.mistakes.add((*place, key), what)

    # Single values

    def keys(self, place, table, known):
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f'did you mean "{near[0]}"?' if near else "give one of " + ", ".join(known)
                shown = key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else show(key)
                self.wrong(place, shown, f"unknown key: {hint}")

    def value(self, place, table, key, kind, default=None, example=None):
        """table[key] if it is of type @kind; else a mistake and None. No @default: the key must be."""
        if key not in table:
            if default is None:
                self.wrong(place, key, f"missing: give {example or TYPES[kind]}")
            return default
        found = table[key]
        is_kind = isinstance(found, kind) and (kind is bool or not isinstance(found, bool))
        if not is_kind:
            self.wrong(place, key, f"{show(found)} is not {TYPES[kind]}: give {example or TYPES[kind]}")
            return None
        return found

    def name(self, place, table, taken, words):
        found = self.value(place, table, "name", str, example=f"a name such as {words}")
        if found is None:
            return None
        if not NAME_PATTERN.fullmatch(found):
            text = "give 1 to 31 letters, digits, dots, dashes or underscores, first a letter or a digit"
            self.wrong(place, "name", f"{show(found)} is not a name: {text}")
            return None
        if found in RESERVED_NAMES:
            self.wrong(place, "name", f"{show(found)} is the log's own name: give another")
            return None
        if found in taken:
            self.wrong(place, "name", f"{show(found)} is used twice: give each its own name")
            return None
        return found

    def size(self, place, table, key, example):
        if key not in table:
            self.wrong(place, key, f"missing: give {example}")
            return None
        found = parse_size(table[key])
        if found is None:
            self.wrong(place, key, f"{show(table[key])} is not a size: give {example}")
        return found

    def module(self, path):
        """The index of the file @path among the modules; each file is one module."""
        real = os.path.realpath(path)
        if real not in self.modules:
            self.modules.append(real)
        return self.modules.index(real)

    def file(self, place, key, name):
        """The path of a file that the configuration names, or None and a mistake."""
        path = os.path.join(self.files, name)
        if not os.path.isfile(path):
            self.wrong(place, key, f"there is no file {path}: give the path of one")
            return None
        if not os.access(path, os.R_OK):
            self.wrong(place, key, f"{path} cannot be read: give a file that you may read")
            return None
        if os.path.getsize(path) == 0:
            self.wrong(place, key, f"{path} is empty: give one with bytes in it")
            return None
        return path

    # Tables

    def tables(self, raw, key):
        """The list of tables [[key]], or an empty one and a mistake."""
        found = raw.get(key, [])
        if not isinstance(found, list) or not all(isinstance(t, dict) for t in found):
            self.mistakes.add((key,), f"is not a list of tables: start each with [[{key}]]")
            return None
        return found

    def list_of(self, place, table, key, most, example):
        found = table.get(key, [])
        if not isinstance(found, list) or not all(isinstance(t, dict) for t in found):
            self.wrong(place, key, f"is not a list of tables: give [{example}]")
            return []
        if len(found) > most:
            self.wrong(place, key, f"{len(found)} are too many: give at most {most}")
            return []
        return found

    def check_machine(self, raw):
        table = raw.get("machine", {})
        if not isinstance(table, dict):
            self.mistakes.add(("machine",), "is not a table: start it with [machine]")
            return
        self.keys(("machine",), table, MACHINE_KEYS)
        if "memory" in table:
            size = self.size(("machine",), table, "memory", 'the machine\'s memory, such as "2G"')
            if self.machine_memory is None:
                self.machine_memory = size
        use = self.value(("machine",), table, "boot_cpu", str, default="guests")
        if use in BOOT_CPU:
            self.flags |= BOOT_CPU[use]
        elif use is not None:
            valid = ", ".join(show(word) for word in BOOT_CPU)
            self.wrong(("machine",), "boot_cpu", f"{show(use)} is no use of it: give one of {valid}")

    def check_switches(self, raw):
        found = self.tables(raw, "switch") or []
        if len(found) > blobfmt.SWITCHES_MAX:
            text = f"{len(found)} are too many: give at most {blobfmt.SWITCHES_MAX}"
            self.mistakes.add(("switch",), text)
        for i, table in enumerate(found):
            place = self.place("switch", i, table)
            self.keys(place, table, SWITCH_KEYS)
            name = self.name(place, table, self.switches, '"lan"')
            if name is not None:
                self.switches.append(name)

    @staticmethod
    def place(kind, index, table):
        name = table.get("name")
        if isinstance(name, str) and name:
            return (f"{kind} {show(name)}",)
        return (f"{kind} number {index + 1}",)

    def check_face(self, place, table):
        valid = ", ".join(f'"{face}"' for face in blobfmt.FACES)
        face = self.value(place, table, "face", str, example=f"one of {valid}")
        if face is not None and face not in blobfmt.FACES:
            self.wrong(place, "face", f"{show(face)} does not exist: give one of {valid}")
            return None
        return face

    def check_vcpus(self, place, table):
        most = blobfmt.VCPUS_MAX
        count = self.value(place, table, "vcpus", int, example=f"1 to {most}")
        if count is not None and not 1 <= count <= most:
            self.wrong(place, "vcpus", f"{count} is out of range: give 1 to {most}")
            return None
        return count

    def check_memory(self, place, table):
        size = self.size(place, table, "memory", 'a size of at least 16M, such as "256M"')
        if size is None:
            return None
        shown = show(table["memory"])
        if size < MEMORY_MIN:
            self.wrong(place, "memory", f"{shown} is too little: give at least 16M")
            return None
        if size % MIB != 0:
            self.wrong(place, "memory", f"{shown} is not a multiple of 1M: give whole megabytes")
            return None
        if size >> 48:
            self.wrong(place, "memory", f"{shown} is more than any machine has: give less")
            return None
        return size

    def check_kernel(self, place, table):
        """(module index, how it is started, first address after its load) of the kernel, or None."""
        boot = self.value(place, table, "boot", str, default="auto", example=one_of(kernel.BOOT_KINDS))
        if boot is not None and boot not in kernel.BOOT_KINDS:
            self.wrong(place, "boot", f"{show(boot)} is no way to start: give {one_of(kernel.BOOT_KINDS)}")
            boot = None
        name = self.value(place, table, "kernel", str, example="the path of a bzImage, a PVH ELF or a Multiboot kernel")
        path = None if name is None else self.file(place, "kernel", name)
        if path is None or boot is None:
            return None
        key = (os.path.realpath(path), boot)
        if key not in self.kernels:
            try:
                self.kernels[key] = kernel.kernel_unpack(path, self.cache, boot)
            except kernel.KernelError as error:
                self.wrong(place, "kernel", f"{path} {error}")
                return None
        file, kind, end = self.kernels[key]
        return self.module(file), kind, end

    def check_initrd(self, place, table):
        """The rows of the initrd: one, or none without one, or None."""
        if "initrd" not in table:
            return []
        name = self.value(place, table, "initrd", str, example="the path of an initrd")
        path = None if name is None else self.file(place, "initrd", name)
        return None if path is None else [{"module": self.module(path), "string": "", "bytes": os.path.getsize(path)}]

    def check_boot_module(self, place, table):
        """The row of one boot module, or None."""
        self.keys(place, table, MODULE_KEYS)
        name = self.value(place, table, "file", str, example="the path of a file")
        path = None if name is None else self.file(place, "file", name)
        words = os.path.basename(name) if "string" not in table and name is not None else None
        if words is None or len(words) >= blobfmt.BOOT_STRING_BYTES or not is_line(words):
            words = self.line(place, table, "string", blobfmt.BOOT_STRING_BYTES - 1, "the module's own words")
        if path is None or words is None:
            return None
        return {"module": self.module(path), "string": words, "bytes": os.path.getsize(path)}

    def check_modules(self, place, table):
        """The rows of all boot modules, the initrd first, or None."""
        example = '{ file = "FILE", string = "WORDS" }'
        first = self.check_initrd(place, table)
        most = blobfmt.BOOT_MODULES_MAX - (1 if "initrd" in table else 0)
        found = self.list_of(place, table, "modules", most, example)
        rows = [self.check_boot_module((*place, f"modules[{i}]"), t) for i, t in enumerate(found)]
        return None if first is None or None in rows else first + rows

    def line(self, place, table, key, most, example):
        """One line of at most @most printable characters, or None."""
        line = self.value(place, table, key, str, default="", example=example)
        if line is None:
            return None
        if not is_line(line):
            bad = next(c for c in line if not is_line(c))
            self.wrong(place, key, f"has the character {show(bad)}: give printable ASCII only")
            return None
        if len(line) > most:
            self.wrong(place, key, f"{len(line)} characters are too many: give at most {most}")
            return None
        return line

    def check_source(self, place, table):
        """(kind, name) of a disk's source."""
        example = '"ram:FILE", "disk:NAME" or "partition:NAME"'
        source = self.value(place, table, "source", str, example=example)
        if source is None:
            return None
        kind, _, name = source.partition(":")
        if kind not in blobfmt.DISK_KINDS or not name:
            self.wrong(place, "source", f"{show(source)} is not a source: give {example}")
            return None
        if kind == "ram":
            return None if self.file(place, "source", name) is None else (kind, name)
        if len(name.encode()) >= blobfmt.SOURCE_BYTES or len(name) > 36 or not name.isprintable():
            self.wrong(place, "source", f"{show(source)} is too long: give a name of at most 36 characters")
            return None
        return kind, name

    def check_disk(self, place, table):
        self.keys(place, table, DISK_KEYS)
        source = self.check_source(place, table)
        mode = self.value(place, table, "mode", str, default="rw", example='"ro" or "rw"')
        if mode not in ("ro", "rw", None):
            self.wrong(place, "mode", f'{show(mode)} is not a mode: give "ro" or "rw"')
            return None
        if source is None or mode is None:
            return None
        kind, name = source
        path = os.path.join(self.files, name)
        medium = f"ram:{os.path.realpath(path)}" if kind == "ram" else f"{kind}:{name}"
        if mode == "rw" and not self.once_writable(medium, place, f"{kind}:{name}"):
            return None
        if kind != "ram":
            return {"kind": kind, "mode": mode, "module": blobfmt.NO_MODULE, "source": name}
        shown = os.path.basename(name).encode()[: blobfmt.SOURCE_BYTES - 1].decode(errors="ignore")
        return {"kind": kind, "mode": mode, "module": self.module(path), "source": shown}

    def once_writable(self, medium, place, shown):
        owner = self.owners["medium"].setdefault(medium, place)
        if owner is not place:
            text = f'{show(shown)} is given read-write twice, first to {" ".join(owner)}: give mode = "ro" to all but one'
            self.wrong(place, "source", text)
        return owner is place

    def check_mac(self, place, table):
        example = 'an address such as "02:00:00:00:00:01"'
        found = self.value(place, table, "mac", str, example=example)
        if found is None:
            return None
        if not re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", found):
            self.wrong(place, "mac", f"{show(found)} is not a MAC address: give {example}")
            return None
        mac = bytes.fromhex(found.replace(":", ""))
        if mac[0] & 1 or not any(mac):
            what = "is a group address" if mac[0] & 1 else "is no station's address"
            self.wrong(place, "mac", f"{show(found)} {what}: give an individual one, its first byte even")
            return None
        owner = self.owners["mac"].setdefault(mac, place)
        if owner is not place:
            text = f'{show(found)} is used twice, first by {" ".join(owner)}: give each card its own address'
            self.wrong(place, "mac", text)
            return None
        return mac

    def check_nic(self, place, table):
        self.keys(place, table, NIC_KEYS)
        name = self.value(place, table, "switch", str, example="the name of a [[switch]]")
        if name is not None and name not in self.switches:
            valid = "give one of " + ", ".join(f'"{s}"' for s in self.switches)
            hint = valid if self.switches else "there is no [[switch]]: add one"
            self.wrong(place, "switch", f"there is no switch {show(name)}: {hint}")
            name = None
        mac = self.check_mac(place, table)
        if name is None or mac is None:
            return None
        return {"switch": self.switches.index(name), "mac": mac}

    def check_room(self, place, guest, end):
        """The kernel, up to @end, and the boot modules above it must fit the guest's memory."""
        pages = sum((row["bytes"] + PAGE - 1) // PAGE * PAGE for row in guest["modules"])
        need = (max(end, MIB) if pages else end) + pages
        if need > guest["memory"]:
            least = show_bytes((need + MIB - 1) // MIB * MIB)
            text = f"{show_bytes(guest['memory'])} does not hold the kernel and its modules: give at least {least}"
            self.wrong(place, "memory", text)
        elif pages and need > BOOT_MAP_END:
            text = f"the kernel and its modules reach to {need // MIB + 1}M: give less than 1G"
            self.wrong(place, "modules", text)

    def check_guest(self, index, table):
        place = self.place("guest", index, table)
        self.keys(place, table, GUEST_KEYS)
        guest = {
            "name": self.name(place, table, [g["name"] for g in self.guests], '"web"'),
            "face": self.check_face(place, table),
            "vcpus": self.check_vcpus(place, table),
            "memory": self.check_memory(place, table),
            "cmdline": self.line(place, table, "cmdline", blobfmt.CMDLINE_BYTES - 1, "a kernel command line"),
            "autostart": self.value(place, table, "autostart", bool, default=True),
        }
        loads = self.check_kernel(place, table)
        guest["modules"] = self.check_modules(place, table)
        example = '{ source = "ram:FILE", mode = "rw" }'
        disks = self.list_of(place, table, "disks", blobfmt.DISKS_MAX, example)
        guest["disks"] = [self.check_disk((*place, f"disks[{i}]"), t) for i, t in enumerate(disks)]
        example = '{ switch = "lan", mac = "02:00:00:00:00:01" }'
        nics = self.list_of(place, table, "nics", blobfmt.NICS_MAX, example)
        guest["nics"] = [self.check_nic((*place, f"nics[{i}]"), t) for i, t in enumerate(nics)]
        if guest["memory"] is not None and loads is not None and guest["modules"] is not None:
            self.check_room(place, guest, loads[2])
        guest["kernel"], guest["kernel_kind"], _ = loads or (None, None, None)
        self.guests.append(guest)

    def check_total_memory(self):
        sizes = [g["memory"] for g in self.guests if g["memory"] is not None]
        if self.machine_memory is None or len(sizes) != len(self.guests):
            return
        files = sum(os.path.getsize(path) for path in self.modules)
        left = self.machine_memory - files - JANUS_BYTES
        if sum(sizes) > left:
            text = (
                f"{show_bytes(sum(sizes))} for all guests is more than there is: of {show_bytes(self.machine_memory)}, "
                f"modules take {files // MIB + 1}M and Janus {JANUS_BYTES // MIB}M: give at most {max(left, 0) // MIB}M"
            )
            self.mistakes.add(("memory",), text)

    def check(self, raw):
        """Checks all of @raw, the parsed file."""
        self.keys((), raw, TOP_KEYS)
        self.check_machine(raw)
        self.check_switches(raw)
        guests = self.tables(raw, "guest")
        if guests is None:
            return
        if not guests:
            self.mistakes.add(("guest",), "there is none: add at least one [[guest]]")
        if len(guests) > blobfmt.GUESTS_MAX:
            self.mistakes.add(("guest",), f"{len(guests)} are too many: give at most {blobfmt.GUESTS_MAX}")
        for i, table in enumerate(guests):
            self.check_guest(i, table)
        most = blobfmt.MODULES_MAX
        if len(self.modules) > most:
            text = f"{len(self.modules)} kernels, boot modules and RAM disks are too many: give at most {most} files"
            self.mistakes.add(("guest",), text)
        self.check_total_memory()


def read_toml(path, mistakes):
    """The parsed file, or None and one mistake."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        mistakes.add((), f"cannot be read ({error.strerror}): give the path of a configuration")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        mistakes.add((), f"is not TOML: {error}")
    return None


def module_names(paths):
    """A unique string for each module, of characters that GRUB takes as they are."""
    clean = (re.sub(r"[^A-Za-z0-9._-]", "_", os.path.basename(path)) for path in paths)
    return [f"{i}-{name}"[: blobfmt.NAME_BYTES - 1] for i, name in enumerate(clean)]


def module_sums(paths, cache):
    """blob_sum() of each file. Sums are kept in the cache by path, size and time of change."""
    store = os.path.join(cache, "sums.json")
    try:
        with open(store, encoding="utf-8") as file:
            known = json.load(file)
    except (OSError, ValueError):
        known = {}
    sums, found = [], {}
    for path in paths:
        stat = os.stat(path)
        key = f"{path} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"
        if key not in known:
            with open(path, "rb") as file:
                known[key] = blobfmt.blob_sum(file.read())
        found[key] = known[key]
        sums.append(known[key])
    os.makedirs(cache, exist_ok=True)
    fresh = f"{store}.{os.getpid()}"  # several may pack at once
    with open(fresh, "w", encoding="utf-8") as file:
        json.dump({**known, **found}, file)
    os.replace(fresh, store)
    return sums


def write_if_changed(path, data):
    """Keeps the file's time when its bytes are the same, so that nothing is made again."""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            if file.read() == data:
                return
    with open(path, "wb") as file:
        file.write(data)


def write_all(checker, out):
    names = module_names(checker.modules)
    sums = module_sums(checker.modules, checker.cache)
    sizes = [os.path.getsize(path) for path in checker.modules]
    blob = blobfmt.pack_blob(checker.switches, list(zip(names, sizes, sums)), checker.guests, checker.flags)
    os.makedirs(out, exist_ok=True)
    write_if_changed(os.path.join(out, "janus.blob"), blob)
    lines = "".join(f"{name}\t{path}\n" for name, path in zip(names, checker.modules))
    write_if_changed(os.path.join(out, "modules.list"), lines.encode())


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description="Checks janus.toml and packs it for ring 0.", epilog=GUEST_HELP,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("toml", help="the configuration")
    parser.add_argument("--out", required=True, help="folder for janus.blob and modules.list")
    parser.add_argument("--files", help="folder that file names start from (default: the configuration's)")
    parser.add_argument("--cache", help="folder for unpacked kernels (default: OUT/cache)")
    parser.add_argument("--machine-memory", help="memory of the machine, such as 2G")
    return parser.parse_args(arguments)


def main(arguments=None):
    args = parse_arguments(arguments)
    mistakes = Mistakes(os.path.basename(args.toml))
    memory = None
    if args.machine_memory is not None:
        memory = parse_size(args.machine_memory)
        if memory is None:
            mistakes.add(("--machine-memory",), f'{show(args.machine_memory)} is not a size: give one such as "2G"')
    files = args.files or os.path.dirname(os.path.abspath(args.toml))
    checker = Checker(mistakes, files, args.cache or os.path.join(args.out, "cache"), memory)
    raw = read_toml(args.toml, mistakes)
    if raw is not None:
        checker.check(raw)
    if mistakes.lines:
        print("\n".join(mistakes.lines), file=sys.stderr)
        return 1
    write_all(checker, args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

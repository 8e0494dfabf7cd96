"""Each kind of kernel starts, by each protocol, on each face, and gets what its configuration says.

The kernel is a program of ours (tests/guest/kinds.c) in several shapes, which says how it was started. And one guest
(tests/guest/both.c) uses both faces at once.
"""

import importlib
import os
import random
import struct
import zlib

import pytest
from own_guest import PROGRAMS, own_guest

blobfmt = importlib.import_module("blobfmt")

FACES = ("hyperv", "xen")
MEMORY_MIB = 32
SIZES = (1, 4096, 70_001)
MANY = 16
LETTERS = "abcdefghijklmnop"

# The guest's name: program, what its table says of the way it is started, and how it then is.
KINDS = {
    "elf64": ("kinds", {}, "pvh"),
    "elf32": ("kinds-i386", {}, "pvh"),
    "x32": ("kinds-x32", {"boot": "pvh"}, "pvh"),
    "mb64": ("kinds", {"boot": "multiboot"}, "multiboot"),
    "mb32": ("kinds-i386", {"boot": "multiboot"}, "multiboot"),
    "mbx32": ("kinds-x32", {"boot": "multiboot"}, "multiboot"),
    "mbonly": ("kinds-multiboot", {}, "multiboot"),
}


@pytest.fixture
def files(tmp_path):
    """Some files to be modules: their paths."""
    paths = []
    for size in SIZES:
        paths.append(str(tmp_path / f"module{size}"))
        with open(paths[-1], "wb") as file:
            file.write(random.Random(size).randbytes(size))
    return paths


def sum_of(data):
    return f"{len(data)} {zlib.crc32(data):x}"


def said_of(path, string):
    with open(path, "rb") as file:
        return f"{sum_of(file.read())} {string}".strip()


def flat_kernel(path):
    """Writes the program as a file of no format at all, which says in its header where it lies (flag 16)."""
    with open(os.path.join(PROGRAMS, "kinds-multiboot.elf"), "rb") as file:
        raw = file.read()
    phoff, = struct.unpack_from("<I", raw, 28)
    _, offset, _, _, file_bytes, _ = struct.unpack_from("<6I", raw, phoff)
    flat = bytearray(raw[offset : offset + file_bytes])
    magic, flags, _ = struct.unpack_from("<3I", flat)
    flags |= 1 << 16
    struct.pack_into("<3I", flat, 0, magic, flags, -(magic + flags) & 0xFFFFFFFF)
    with open(path, "wb") as file:
        file.write(b"no ELF at all   " + flat)


def table(name, face, files, flat):
    """The guest @name of KINDS, or "flat" or "many"."""
    words = {"key": f"of-{name}"}
    if name == "flat":
        return {**own_guest(name, face, "kinds", **words), "kernel": flat, "initrd": files[2]}
    if name == "many":
        modules = [{"file": files[i % 3], "string": f"{i} " + "x" * (i * 7)} for i in range(1, MANY)]
        return {**own_guest(name, face, "kinds", **words), "initrd": files[0], "modules": modules}
    program, how, _ = KINDS[name]
    modules = [{"file": files[1], "string": "second one=1"}, {"file": files[0]}]
    return {**own_guest(name, face, program, memory=f"{MEMORY_MIB}M", **words), **how, "initrd": files[2],
            "modules": modules}


def check_kind(machine, row, boot, modules):
    report = machine.wait_report(row["name"], 120)
    assert report["result"] == "pass" and "wrong" not in report, report
    assert machine.wait_end(row["name"], 30)[0] == "powered off"
    assert (report["boot"], report["face"]) == (boot, row["face"])
    assert report["cmdline"] == sum_of(row["cmdline"].encode())
    assert report["ram"] == str(640 + (MEMORY_MIB - 1) * 1024)
    assert report["modules"] == str(len(modules))
    assert [report[f"module_{letter}"] for letter in LETTERS[: len(modules)]] == modules
    if boot == "multiboot":
        assert (report["lower"], report["upper"], report["loader"]) == ("640", str((MEMORY_MIB - 1) * 1024), "Janus")


@pytest.mark.parametrize("face", FACES)
def test_each_kind(boot, face, files, tmp_path):
    """All at once, on one machine."""
    flat = str(tmp_path / "flat.bin")
    flat_kernel(flat)
    rows = {name: table(name, face, files, flat) for name in (*KINDS, "flat", "many")}
    machine = boot(list(rows.values()), memory=1024)
    three = [said_of(files[2], ""), said_of(files[1], "second one=1"), said_of(files[0], os.path.basename(files[0]))]
    for name, (_, _, how) in KINDS.items():
        check_kind(machine, rows[name], how, three)
    check_kind(machine, rows["flat"], "multiboot", [said_of(files[2], "")])
    words = [said_of(files[0], ""), *(said_of(m["file"], m["string"]) for m in rows["many"]["modules"])]
    assert len(words) == MANY
    check_kind(machine, rows["many"], "pvh", words)


def test_sixteen_modules_by_multiboot(boot, files):
    modules = [{"file": files[i % 3], "string": "s" * 123} for i in range(MANY)]
    row = {**own_guest("many", "xen", "kinds-multiboot", word="x" * 900), "modules": modules}
    check_kind(boot([row], memory=512), row, "multiboot", [said_of(m["file"], m["string"]) for m in modules])


def replace_module(folder, index, data):
    """Other bytes as module @index, with a blob that says so: as if pack.py had taken them."""
    path = os.path.join(folder, f"other{index}")
    with open(path, "wb") as file:
        file.write(data)
    listed = os.path.join(folder, "modules.list")
    with open(listed, encoding="utf-8") as file:
        rows = file.read().splitlines()
    rows[index] = rows[index].split("\t")[0] + "\t" + path
    with open(listed, "w", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")
    blob = os.path.join(folder, "janus.blob")
    with open(blob, "rb") as file:
        raw = bytearray(file.read())
    switches, = struct.unpack_from("<I", raw, 24)
    at = blobfmt.HEADER.size + switches * blobfmt.SWITCH.size + index * blobfmt.MODULE.size
    struct.pack_into("<QQ", raw, at + 32, len(data), blobfmt.blob_sum(data))
    header_bytes, = struct.unpack_from("<I", raw, 12)
    struct.pack_into("<I", raw, blobfmt.HEADER_CRC, 0)
    struct.pack_into("<I", raw, blobfmt.HEADER_CRC, zlib.crc32(raw[:header_bytes]))
    with open(blob, "wb") as file:
        file.write(raw)


def other_machine(raw):
    return raw[:18] + struct.pack("<H", 40) + raw[20:]


def other_note(raw):
    return raw.replace(struct.pack("<III", 4, 4, 18) + b"Xen\0", struct.pack("<III", 4, 4, 19) + b"Xen\0")


def low_segment(raw):
    """Where Janus itself puts the command line; the note's entry goes with it."""
    raw = bytearray(raw)
    phoff, = struct.unpack_from("<I", raw, 28)
    struct.pack_into("<I", raw, phoff + 12, 0x2000)
    at = raw.index(struct.pack("<III", 4, 4, 18) + b"Xen\0")
    struct.pack_into("<I", raw, at + 16, 0x2000)
    return bytes(raw)


BROKEN = {
    "cut": (lambda raw: raw[:9000], r"guest bad: its kernel did not arrive whole: .*outside the file"),
    "short": (lambda raw: raw[:40], r"guest bad: its kernel did not arrive whole"),
    "arm": (other_machine, r"guest bad: its kernel is an ELF file for another machine than x86"),
    "note": (other_note, r"guest bad: its kernel has no PVH note"),
    "low": (low_segment, r"guest bad: its kernel wants to lie at 2000"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_elf32_drops_that_guest_only(boot, what):
    """pack.py refuses it, so the file changes behind its back."""
    change, said = BROKEN[what]
    with open(os.path.join(PROGRAMS, "kinds-i386.elf"), "rb") as file:
        raw = file.read()
    assert change(raw) != raw
    machine = boot([own_guest("bad", "xen", "kinds-i386"), own_guest("good", "xen", "kinds")], memory=512,
                   alter=lambda folder: replace_module(folder, 0, change(raw)))
    machine.expect("janus", said, 60)
    good = machine.wait_report("good", 60)
    assert good["result"] == "pass" and good["boot"] == "pvh"
    assert "bad" not in machine.lines


def test_both_faces_at_once(boot):
    """Hypercalls of both in turn, each answered by its own face; the clocks go alike."""
    machine = boot([own_guest("janus2", "both", "both", rounds=1000)], memory=512)
    report = machine.wait_report("janus2", 120)
    assert report["result"] == "pass" and "wrong" not in report, report
    assert machine.wait_end("janus2", 30)[0] == "powered off"
    assert report["face"] == "both"
    assert report["hyperv_calls"] == report["xen_calls"] == report["xen_calls_bare"] == "1000"
    assert report["refused"] == "2000"
    hyperv, xen = int(report["hyperv_ns"]), int(report["xen_ns"])
    assert hyperv > 100_000_000 and abs(hyperv - xen) <= 200
    assert abs(int(report["tsc_ns"]) - xen) <= xen // 1000


def test_both_faces_beside_others(boot, files):
    """Each kind of face in one machine, the one with both started by Multiboot."""
    rows = [own_guest("h", "hyperv", "kinds"), own_guest("x", "xen", "kinds"),
            {**own_guest("b", "both", "kinds-multiboot"), "modules": [{"file": files[0], "string": "one"}]}]
    machine = boot(rows, memory=512)
    check_kind(machine, rows[0], "pvh", [])
    check_kind(machine, rows[1], "pvh", [])
    check_kind(machine, rows[2], "multiboot", [said_of(files[0], "one")])

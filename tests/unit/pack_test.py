"""pack.py: each mistake gives exactly its one line, and C reads back what Python packed."""

import gzip
import importlib
import lzma
import os
import random
import shutil
import struct
import subprocess
import sys
import zlib

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOLS = os.path.join(ROOT, "hypervisor/tools")
sys.path.insert(0, TOOLS)
blobfmt = importlib.import_module("blobfmt")
kernel = importlib.import_module("kernel")
pack = importlib.import_module("pack")

MIB = 1 << 20
GUEST = {
    "name": '"web"',
    "face": '"xen"',
    "vcpus": "2",
    "memory": '"64M"',
    "kernel": '"kernel.elf"',
    "initrd": '"initrd"',
    "cmdline": '"console=hvc0"',
    "disks": '[{ source = "partition:web", mode = "rw" }]',
    "nics": '[{ switch = "lan", mac = "02:00:00:00:00:01" }]',
}
SECOND = {
    **GUEST,
    "name": '"db"',
    "face": '"hyperv"',
    "disks": '[{ source = "ram:disk.img", mode = "ro" }, { source = "disk:nvme0", mode = "rw" }]',
    "nics": '[{ switch = "lan", mac = "02:00:00:00:00:02" }]',
}


def make_elf(note=True, entry=MIB, size=MIB, load_at=MIB):
    """A small ELF64 with one PT_LOAD and, if @note, the PVH note."""
    notes = struct.pack("<III4sQ", 4, 8, 18, b"Xen\0", entry) if note else b""
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, load_at, load_at, 64, size, 4096)
    noted = struct.pack("<IIQQQQQQ", 4, 4, 176, 0, 0, len(notes), len(notes), 4)
    return head + load + noted + notes


def make_elf32(note=True, entry=MIB, size=MIB, load_at=MIB, machine=3, start=MIB, header=b""):
    """A small ELF32 with one PT_LOAD, the PVH note if @note, and @header behind that."""
    notes = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", entry) if note else b""
    head = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIIIIIHHHHHH", 2, machine, 1, start, 52, 0, 0, 52, 32, 2, 0, 0, 0)
    load = struct.pack("<8I", 1, 0, load_at, load_at, 64, size, 5, 4096)
    noted = struct.pack("<8I", 4, 116, 0, 0, len(notes), len(notes), 4, 4)
    return head + load + noted + notes + header


def multiboot(flags=0, *addresses):
    magic = 0x1BADB002
    return struct.pack("<3I", magic, flags, -(magic + flags) & 0xFFFFFFFF) + struct.pack(f"<{len(addresses)}I", *addresses)


def make_bzimage(payload):
    """A setup header of one sector, and the payload at once behind it."""
    raw = bytearray(1024)
    raw[0x1F1] = 1
    raw[0x1FE:0x200] = b"\x55\xaa"
    raw[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", raw, 0x206, 0x20F)
    struct.pack_into("<II", raw, 0x248, 0, len(payload))
    return bytes(raw) + payload


def toml_of(*guests, head='[[switch]]\nname = "lan"\n'):
    rows = ["[[guest]]\n" + "".join(f"{k} = {v}\n" for k, v in g.items() if v is not None) for g in guests]
    return head + "\n".join(rows)


@pytest.fixture
def packer(tmp_path):
    """Runs pack.py on a text; gives (exit status, lines on stderr)."""
    (tmp_path / "kernel.elf").write_bytes(make_elf())
    (tmp_path / "initrd").write_bytes(b"070701" * 100)
    (tmp_path / "disk.img").write_bytes(b"x" * 5000)

    def run(text, *arguments):
        toml = tmp_path / "janus.toml"
        toml.write_text(text)
        command = [sys.executable, os.path.join(TOOLS, "pack.py"), str(toml)]
        command += ["--out", str(tmp_path / "out"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr.splitlines()

    run.path = tmp_path
    return run


def one_line(packer, text, expected, *arguments):
    status, lines = packer(text, *arguments)
    assert lines == [expected.replace("PATH", str(packer.path))]
    assert status == 1
    assert not (packer.path / "out" / "janus.blob").exists()


def test_right_configuration(packer):
    assert packer(toml_of(GUEST, SECOND)) == (0, [])
    listed = (packer.path / "out" / "modules.list").read_text().splitlines()
    assert [line.split("\t")[0] for line in listed] == ["0-kernel.elf", "1-initrd", "2-disk.img"]


IN_GUEST = [
    # key, value (None: leave it out), what is said after `janus.toml: guest "web": `
    ("vcpu", "2", 'vcpu: unknown key: did you mean "vcpus"?'),
    ("colour", '"red"', "colour: unknown key: give one of name, face, vcpus, memory, kernel, boot, initrd, "
     "modules, cmdline, disks, nics, autostart"),
    ("vcpus", "0", "vcpus: 0 is out of range: give 1 to 64"),
    ("vcpus", "65", "vcpus: 65 is out of range: give 1 to 64"),
    ("vcpus", "-1", "vcpus: -1 is out of range: give 1 to 64"),
    ("vcpus", '"two"', 'vcpus: "two" is not a whole number: give 1 to 64'),
    ("vcpus", "true", "vcpus: true is not a whole number: give 1 to 64"),
    ("vcpus", None, "vcpus: missing: give 1 to 64"),
    ("face", '"vmware"', 'face: "vmware" does not exist: give one of "hyperv", "xen", "both"'),
    ("face", None, 'face: missing: give one of "hyperv", "xen", "both"'),
    ("memory", '"8M"', 'memory: "8M" is too little: give at least 16M'),
    ("memory", '"65537K"', 'memory: "65537K" is not a multiple of 1M: give whole megabytes'),
    ("memory", '"lots"', 'memory: "lots" is not a size: give a size of at least 16M, such as "256M"'),
    ("memory", "1.5", 'memory: 1.5 is not a size: give a size of at least 16M, such as "256M"'),
    ("memory", '"999999999G"', 'memory: "999999999G" is more than any machine has: give less'),
    ("memory", None, 'memory: missing: give a size of at least 16M, such as "256M"'),
    ("kernel", '"vmlinuz"', "kernel: there is no file PATH/vmlinuz: give the path of one"),
    ("kernel", '"initrd"', "kernel: PATH/initrd is of no known format: give a Linux bzImage or an ELF "
     "with the PVH note or a Multiboot header"),
    ("kernel", None, "kernel: missing: give the path of a bzImage, a PVH ELF or a Multiboot kernel"),
    ("kernel", "7", "kernel: 7 is not a string: give the path of a bzImage, a PVH ELF or a Multiboot kernel"),
    ("initrd", '"none"', "initrd: there is no file PATH/none: give the path of one"),
    ("cmdline", '"' + "x" * 1024 + '"', "cmdline: 1024 characters are too many: give at most 1023"),
    ("cmdline", '"a\\nb"', 'cmdline: has the character "\\n": give printable ASCII only'),
    ("autostart", "1", "autostart: 1 is not true or false: give true or false"),
    ("disks", '"disk.img"', 'disks: is not a list of tables: give [{ source = "ram:FILE", mode = "rw" }]'),
    ("disks", "[" + '{ source = "ram:disk.img", mode = "ro" },' * 9 + "]",
     "disks: 9 are too many: give at most 8"),
    ("disks", '[{ source = "nvme0" }]', 'disks[0]: source: "nvme0" is not a source: give "ram:FILE", '
     '"disk:NAME" or "partition:NAME"'),
    ("disks", "[{}]", 'disks[0]: source: missing: give "ram:FILE", "disk:NAME" or "partition:NAME"'),
    ("disks", '[{ source = "ram:gone" }]',
     "disks[0]: source: there is no file PATH/gone: give the path of one"),
    ("disks", '[{ source = "disk:a", mode = "wr" }]',
     'disks[0]: mode: "wr" is not a mode: give "ro" or "rw"'),
    ("disks", '[{ source = "disk:a", size = 1 }]', "disks[0]: size: unknown key: give one of source, mode"),
    ("disks", '[{ source = "disk:a" }, { source = "disk:a" }]',
     'disks[1]: source: "disk:a" is given read-write twice, first to guest "web" disks[0]: '
     'give mode = "ro" to all but one'),
    ("nics", '[{ switch = "lam", mac = "02:00:00:00:00:01" }]',
     'nics[0]: switch: there is no switch "lam": give one of "lan"'),
    ("nics", '[{ mac = "02:00:00:00:00:01" }]', "nics[0]: switch: missing: give the name of a [[switch]]"),
    ("nics", '[{ switch = "lan" }]', 'nics[0]: mac: missing: give an address such as "02:00:00:00:00:01"'),
    ("nics", '[{ switch = "lan", mac = "02:00" }]', 'nics[0]: mac: "02:00" is not a MAC address: give an '
     'address such as "02:00:00:00:00:01"'),
    ("nics", '[{ switch = "lan", mac = "03:00:00:00:00:01" }]', 'nics[0]: mac: "03:00:00:00:00:01" is a '
     "group address: give an individual one, its first byte even"),
    ("nics", '[{ switch = "lan", mac = "00:00:00:00:00:00" }]', 'nics[0]: mac: "00:00:00:00:00:00" is no '
     "station's address: give an individual one, its first byte even"),
    ("nics", "[" + '{ switch = "lan", mac = "02:00:00:00:00:01" },' * 9 + "]",
     "nics: 9 are too many: give at most 8"),
]


@pytest.mark.parametrize("key,value,said", IN_GUEST, ids=[f"{k}-{i}" for i, (k, _, _) in enumerate(IN_GUEST)])
def test_mistake_in_guest(packer, key, value, said):
    one_line(packer, toml_of({**GUEST, key: value}), f'janus.toml: guest "web": {said}')


WHOLE = [
    ("", 'janus.toml: guest: there is none: add at least one [[guest]]'),
    ('guests = 1\n' + toml_of(GUEST), 'janus.toml: guests: unknown key: did you mean "guest"?'),
    ("guest = 1\n", "janus.toml: guest: is not a list of tables: start each with [[guest]]"),
    (toml_of(GUEST, {**SECOND, "name": '"web"'}),
     'janus.toml: guest "web": name: "web" is used twice: give each its own name'),
    (toml_of(GUEST, {**SECOND, "nics": GUEST["nics"]}),
     'janus.toml: guest "db": nics[0]: mac: "02:00:00:00:00:01" is used twice, first by guest "web" '
     "nics[0]: give each card its own address"),
    (toml_of(GUEST, {**SECOND, "disks": GUEST["disks"]}),
     'janus.toml: guest "db": disks[0]: source: "partition:web" is given read-write twice, first to '
     'guest "web" disks[0]: give mode = "ro" to all but one'),
    (toml_of({**GUEST, "disks": '[{ source = "ram:disk.img" }]'},
             {**SECOND, "disks": '[{ source = "ram:./disk.img" }]'}),
     'janus.toml: guest "db": disks[0]: source: "ram:./disk.img" is given read-write twice, first to '
     'guest "web" disks[0]: give mode = "ro" to all but one'),
    (toml_of({**GUEST, "name": '"janus"'}),
     'janus.toml: guest "janus": name: "janus" is the log\'s own name: give another'),
    (toml_of({**GUEST, "name": None}),
     'janus.toml: guest number 1: name: missing: give a name such as "web"'),
    (toml_of({**GUEST, "name": '"a b"'}),
     'janus.toml: guest "a b": name: "a b" is not a name: give 1 to 31 letters, digits, dots, dashes or '
     "underscores, first a letter or a digit"),
    (toml_of(GUEST, head='[machine]\nmemory = "128M"\n[[switch]]\nname = "lan"\n'),
     "janus.toml: memory: 64M for all guests is more than there is: of 128M, modules take 1M and Janus "
     "64M: give at most 63M"),
    (toml_of(GUEST, head='[machine]\nboot_cpu = "idle"\n[[switch]]\nname = "lan"\n'),
     'janus.toml: machine: boot_cpu: "idle" is no use of it: give one of "guests", "control"'),
    (toml_of(GUEST, head='[[switch]]\nname = "lan"\n[[switch]]\nname = "lan"\n'),
     'janus.toml: switch "lan": name: "lan" is used twice: give each its own name'),
    (toml_of(*[{**GUEST, "name": f'"g{i}"', "disks": "[]", "nics": "[]"} for i in range(17)]),
     "janus.toml: guest: 17 are too many: give at most 16"),
]


@pytest.mark.parametrize("text,said", WHOLE, ids=range(len(WHOLE)))
def test_mistake_in_whole(packer, text, said):
    one_line(packer, text, said)


def test_machine_memory_option(packer):
    text = toml_of(GUEST, head='[machine]\nmemory = "8G"\n[[switch]]\nname = "lan"\n')
    assert packer(text) == (0, [])
    (packer.path / "out" / "janus.blob").unlink()
    said = "janus.toml: memory: 64M for all guests is more than there is: of 100M, modules take 1M and "
    one_line(packer, text, said + "Janus 64M: give at most 35M", "--machine-memory", "100M")


def test_not_toml(packer):
    status, lines = packer("[[guest]\n")
    assert status == 1 and len(lines) == 1
    assert lines[0].startswith("janus.toml: is not TOML: ")


def test_all_mistakes_at_once(packer):
    status, lines = packer(toml_of({**GUEST, "vcpus": "0", "face": '"vmware"'}, {**SECOND, "memory": "1"}))
    assert status == 1
    assert [line.split(": ")[1:3] for line in lines] == [
        ['guest "web"', "face"], ['guest "web"', "vcpus"], ['guest "db"', "memory"]]


def test_name_cannot_break_the_line(packer):
    status, lines = packer(toml_of({**GUEST, "name": '"a\\nb"', '"k\\ney"': "1"}))
    assert status == 1 and len(lines) == 2


def test_one_ram_file_read_by_two(packer):
    both = '[{ source = "ram:disk.img", mode = "ro" }]'
    assert packer(toml_of({**GUEST, "disks": both}, {**SECOND, "disks": both})) == (0, [])


# Kernels


def expect_kernel(packer, raw, said):
    (packer.path / "kernel.elf").write_bytes(raw)
    one_line(packer, toml_of(GUEST), f'janus.toml: guest "web": kernel: PATH/kernel.elf {said}')


def test_kernel_without_note(packer):
    said = ("has neither a PVH note (owner Xen, type 18) nor a Multiboot header: give a kernel built with CONFIG_PVH, "
            "or a Multiboot one")
    expect_kernel(packer, make_elf(note=False), said)


def test_kernel_for_another_cpu(packer):
    raw = bytearray(make_elf())
    raw[18] = 183
    said = "is not an ELF for x86: give a Linux bzImage or an ELF with the PVH note or a Multiboot header"
    expect_kernel(packer, bytes(raw), said)


def test_kernel_entry_outside(packer):
    expect_kernel(packer, make_elf(entry=16 * MIB), "its PVH entry 0x1000000 is in no segment: give a whole ELF")


def test_kernel_cut_off(packer):
    expect_kernel(packer, make_elf()[:150], "its program headers lie outside the file: give a whole ELF")


def test_kernel_segment_cut_off(packer):
    expect_kernel(packer, make_elf()[:-4], "a segment lies outside the file: give a whole ELF")


RIGHT = {
    # what, file, boot, kind
    "elf64": (make_elf(), "auto", "pvh"),
    "i386": (make_elf32(), "auto", "pvh"),
    "x32": (make_elf32(machine=62), "pvh", "pvh"),
    "both": (make_elf32(header=multiboot()), "auto", "pvh"),
    "wanted": (make_elf32(header=multiboot()), "multiboot", "multiboot"),
    "multiboot": (make_elf32(note=False, header=multiboot(3)), "auto", "multiboot"),
    "multiboot64": (make_elf(note=False) + multiboot(0x10000, MIB + 176, MIB, 0, 0, MIB), "auto", "multiboot"),
    "flat": (b"1234" + multiboot(0x10003, MIB + 4, MIB, 0, 2 * MIB, MIB), "auto", "multiboot"),
}


@pytest.mark.parametrize("what", RIGHT)
def test_kernel_kinds(packer, reader, what):
    """And ring 0's own reading agrees that it is right: elf_test.c has the other half."""
    raw, boot, kind = RIGHT[what]
    (packer.path / "kernel.elf").write_bytes(raw)
    assert packer(toml_of({**GUEST, "boot": f'"{boot}"'})) == (0, [])
    line = reader("b", packer.path / "out" / "janus.blob")[6]
    assert line == f"web 2 2 67108864 {blobfmt.KERNELS[kind]} 0 1 'console=hvc0'"


WRONG_ENTRY = "its PVH entry 0x2000000 is in no segment: give a whole ELF"
WRONG_PLACE = "wants to lie at {:#x} to {:#x}: give one that is loaded from 1 MiB up"
WRONG_ADDRESSES = "the addresses in its Multiboot header do not fit the file: give a whole kernel"
NO_HEADER = "has no Multiboot header in its first 8 KiB: give a Multiboot (1) kernel"
WRONG = {
    # what, file, boot, what is said
    "entry": (make_elf32(entry=32 * MIB), "auto", WRONG_ENTRY),
    "headers": (make_elf32()[:100], "auto", "its program headers lie outside the file: give a whole ELF"),
    "header": (make_elf32()[:40], "auto", "its header lies outside the file: give a whole ELF"),
    "notes": (make_elf32()[:-4], "auto", "a segment lies outside the file: give a whole ELF"),
    "machine": (make_elf32(machine=40), "auto", "is not an ELF for x86: " + kernel.WANTED),
    "class": (b"\x7fELF\x03" + make_elf32()[5:], "auto", "is not an ELF for x86: " + kernel.WANTED),
    "i386 of 64": (make_elf()[:18] + b"\x03" + make_elf()[19:], "auto", "is not an ELF for x86: " + kernel.WANTED),
    "smaller": (make_elf32(size=32), "auto", "a segment is smaller than its part of the file: give a whole ELF"),
    "low": (make_elf32(load_at=0x2000, entry=0x2000), "auto", WRONG_PLACE.format(0x2000, 0x2000 + MIB)),
    "high": (make_elf32(load_at=0xC0000000, entry=0xC0000000), "auto", WRONG_PLACE.format(0xC0000000, 0xC0100000)),
    "wraps": (make_elf32(load_at=0xFFFFF000, entry=0xFFFFF000), "auto", WRONG_PLACE.format(0xFFFFF000, 0x1000FF000)),
    "no note": (make_elf32(note=False, header=multiboot()), "pvh",
                "has no PVH note (owner Xen, type 18): give a kernel built with CONFIG_PVH"),
    "flat pvh": (b"1234" + multiboot(0x10000, MIB + 4, MIB, 0, 0, MIB), "pvh",
                 'is neither a bzImage nor an ELF, so it has no PVH note: give boot = "auto"'),
    "no header": (make_elf32(), "multiboot", NO_HEADER),
    "late header": (make_elf32(header=bytes(8192 - 136 - 8) + multiboot()), "multiboot", NO_HEADER),
    "wrong sum": (make_elf32(header=multiboot()[:-1] + b"\0"), "multiboot", NO_HEADER),
    "bzImage": (make_bzimage(gzip.compress(make_elf())), "multiboot",
                'is a bzImage, which has no Multiboot header: give boot = "auto"'),
    "video": (make_elf32(header=multiboot(4)), "multiboot",
              "asks Multiboot for what Janus does not have (flag 2, a video mode): give one without"),
    "unknown": (make_elf32(header=multiboot(0x1003)), "multiboot",
                "asks Multiboot for what Janus does not have (flag 12): give one without"),
    "no ELF": (b"1234" + multiboot(), "auto",
               "has a Multiboot header but is neither an ELF nor says where it lies (flag 16): give an ELF"),
    "multiboot entry": (make_elf32(note=False, start=5, header=multiboot()), "auto",
                        "its entry 0x5 is in no segment: give a whole kernel"),
    "addresses": (b"1234" + multiboot(0x10000, MIB + 5, MIB, 0, 0, MIB), "auto", WRONG_ADDRESSES),
    "below": (b"1234" + multiboot(0x10000, MIB, MIB + 1, 0, 0, MIB), "auto", WRONG_ADDRESSES),
    "end": (b"1234" + multiboot(0x10000, MIB + 4, MIB, MIB + 37, 0, MIB), "auto", WRONG_ADDRESSES),
    "bss": (b"1234" + multiboot(0x10000, MIB + 4, MIB, MIB + 36, MIB + 35, MIB), "auto", WRONG_ADDRESSES),
    "address fields cut": (b"1234" + multiboot(0x10000, MIB + 4, MIB, 0, 0), "auto",
                           "is of no known format: " + kernel.WANTED),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_kernels(packer, what):
    raw, boot, said = WRONG[what]
    (packer.path / "kernel.elf").write_bytes(raw)
    one_line(packer, toml_of({**GUEST, "boot": f'"{boot}"'}), f'janus.toml: guest "web": kernel: PATH/kernel.elf {said}')


def test_too_many_segments(packer):
    """Seventeen; sixteen are right."""
    for count, status in ((16, 0), (17, 1)):
        raw = make_elf32(note=False)
        rows = raw[52:84] * count + struct.pack("<8I", 4, 52 + 32 * (count + 1), 0, 0, 20, 20, 4, 4)
        raw = raw[:44] + struct.pack("<H", count + 1) + raw[46:52] + rows + make_elf32()[116:]
        (packer.path / "kernel.elf").write_bytes(raw)
        found, lines = packer(toml_of(GUEST))
        assert (found, len(lines)) == (status, status), lines
    assert lines[0].endswith("has 17 segments: give an ELF with at most 16")


def test_one_kernel_by_two_ways(packer, reader):
    (packer.path / "kernel.elf").write_bytes(make_elf32(header=multiboot()))
    assert packer(toml_of(GUEST, {**SECOND, "boot": '"multiboot"'})) == (0, [])
    lines = reader("b", packer.path / "out" / "janus.blob")
    assert [line.split()[4] for line in lines if line.startswith(("web ", "db "))] == ["1", "2"]


KERNEL_READER = r"""
#include <stdio.h>
#include <stdlib.h>
#include "hypervisor/core/multiboot.h"

/* Records of stdin: u32 bytes, u32 kind, the file. A line for each: status, entry, end. */
int main(void)
{
	uint32_t head[2];

	while (fread(head, sizeof(head), 1, stdin) == 1) {
		unsigned char *exact = malloc(head[0] + 1u);
		struct elf_image image;
		size_t got = fread(exact, 1, head[0], stdin);
		enum elf_status status = head[1] == 1 ? elf_read_pvh(exact, got, &image) :
		                                        multiboot_read(exact, got, &image);

		printf("%d %x %llx\n", (int)status, image.entry, (unsigned long long)image.end);
		free(exact);
	}
	return 0;
}
"""


@pytest.fixture(scope="module")
def kernel_reader(tmp_path_factory):
    """What ring 0 says of each of [(file, kind)]: [(status, entry, end)]."""
    folder = tmp_path_factory.mktemp("kernel_reader")
    (folder / "reader.c").write_text(KERNEL_READER)
    flags = "-std=c17 -Wall -Wextra -Wconversion -Wshadow -Werror -O1 -g -fsanitize=address,undefined".split()
    sources = [os.path.join(ROOT, "hypervisor/core", name) for name in ("elf.c", "multiboot.c")]
    include = ["-I" + os.path.join(ROOT, "hypervisor/include"), "-I" + ROOT]
    program = str(folder / "reader")
    subprocess.run(["gcc", *flags, "-fno-sanitize-recover=all", *include, str(folder / "reader.c"), *sources, "-o", program],
                   check=True)

    def run(files):
        raw = b"".join(struct.pack("<II", len(file), blobfmt.KERNELS[kind]) + file for file, kind in files)
        done = subprocess.run([program], input=raw, capture_output=True, check=True)
        rows = [line.split() for line in done.stdout.decode().splitlines()]
        return [(int(status), int(entry, 16), int(end, 16)) for status, entry, end in rows]

    return run


def altered_kernels(count):
    """Right files with some words changed."""
    some = (0, 1, 2, 16, 0xFFFF, 0xFFFFFFFF, MIB - 1, MIB, 2 * MIB, 1 << 31, 100, 136, 3)
    source = random.Random(7)
    for _ in range(count):
        raw = bytearray(source.choice(list(RIGHT.values()))[0])
        for _ in range(source.randrange(3)):
            at = source.randrange(len(raw) // 4) * 4
            struct.pack_into("<I", raw, at, source.choice(some))
        if source.randrange(8) == 0:
            raw = raw[: source.randrange(len(raw))]
        yield bytes(raw)


def read_here(raw, kind):
    """(entry, end), or what is wrong."""
    try:
        return kernel.elf_check(raw) if kind == "pvh" else kernel.multiboot_check(raw)
    except kernel.KernelError as error:
        return str(error)


def test_ring_0_takes_what_pack_takes(kernel_reader):
    """And the other way; only where it may lie is checked elsewhere, in build.c."""
    files = [(raw, kind) for raw in altered_kernels(3000) for kind in blobfmt.KERNELS]
    here = [read_here(*row) for row in files]
    pairs = list(zip(here, kernel_reader(files), strict=True))
    taken = [(h, t) for h, t in pairs if not isinstance(h, str)]
    assert 1000 < len(taken) < len(files) - 1000
    assert [(0, *h) for h, _ in taken] == [t for _, t in taken]
    only_there = {h.split(" 0x")[0] for h, t in pairs if isinstance(h, str) and t[0] == 0}
    assert only_there == {"wants to lie at"}


# Boot modules


def modules_of(count, **words):
    row = ", ".join(f'{k} = "{v}"' for k, v in {"file": "disk.img", **words}.items())
    return "[" + f"{{ {row} }}, " * count + "]"


def test_modules(packer, reader):
    rows = '[{ file = "disk.img", string = "one two" }, { file = "initrd" }, { file = "disk.img", string = "" }]'
    assert packer(toml_of({**GUEST, "modules": rows}, {**SECOND, "initrd": None, "modules": modules_of(16)})) == (0, [])
    lines = reader("b", packer.path / "out" / "janus.blob")
    assert [line for line in lines if line.startswith("boot module")] == [
        "boot module 1 ''", "boot module 2 'one two'", "boot module 1 'initrd'", "boot module 2 ''",
        *["boot module 2 'disk.img'"] * 16]


WRONG_MODULES = [
    (modules_of(16), "modules: 16 are too many: give at most 15"),
    ('"disk.img"', 'modules: is not a list of tables: give [{ file = "FILE", string = "WORDS" }]'),
    ('["disk.img"]', 'modules: is not a list of tables: give [{ file = "FILE", string = "WORDS" }]'),
    ("[{}]", "modules[0]: file: missing: give the path of a file"),
    (modules_of(1, file="gone"), "modules[0]: file: there is no file PATH/gone: give the path of one"),
    (modules_of(1, strings="a"), 'modules[0]: strings: unknown key: did you mean "string"?'),
    (modules_of(1, string="x" * 124), "modules[0]: string: 124 characters are too many: give at most 123"),
    (modules_of(1, string="\\n"), 'modules[0]: string: has the character "\\n": give printable ASCII only'),
    ('[{ file = "disk.img", string = 1 }]', "modules[0]: string: 1 is not a string: give the module's own words"),
]


@pytest.mark.parametrize("rows,said", WRONG_MODULES, ids=range(len(WRONG_MODULES)))
def test_wrong_modules(packer, rows, said):
    one_line(packer, toml_of({**GUEST, "modules": rows}), f'janus.toml: guest "web": {said}')


def test_wrong_boot(packer):
    said = 'boot: "bios" is no way to start: give one of "auto", "pvh", "multiboot"'
    one_line(packer, toml_of({**GUEST, "boot": '"bios"'}), f'janus.toml: guest "web": {said}')


def test_modules_larger_than_memory(packer):
    with open(packer.path / "disk.img", "wb") as file:
        file.truncate(31 * MIB)
    said = "64M does not hold the kernel and its modules: give at least 65M"
    rows = toml_of({**GUEST, "initrd": None, "modules": modules_of(2)})
    assert packer(rows) == (0, [])  # 1 MiB before the kernel, 1 MiB for it, twice 31 MiB
    shutil.rmtree(packer.path / "out")
    with open(packer.path / "disk.img", "ab") as file:
        file.write(b"x")
    one_line(packer, rows, f'janus.toml: guest "web": memory: {said}')


def test_modules_above_what_a_kernel_can_reach(packer):
    """Linux's first page table ends at 1 GiB."""
    with open(packer.path / "disk.img", "wb") as file:
        file.truncate(600 * MIB)
    rows = toml_of({**GUEST, "memory": '"2G"', "initrd": None, "modules": modules_of(2)})
    said = "modules: the kernel and its modules reach to 1203M: give less than 1G"
    one_line(packer, rows, f'janus.toml: guest "web": {said}')


def test_kernel_larger_than_memory(packer):
    (packer.path / "kernel.elf").write_bytes(make_elf(size=70 * MIB))
    said = "64M does not hold the kernel and its modules: give at least 72M"
    one_line(packer, toml_of(GUEST), f'janus.toml: guest "web": memory: {said}')


def tool_pack(name):
    def pack(elf):
        command = {"lz4": ["lz4", "-l", "-c"], "zstd": ["zstd", "-c"]}[name]
        return subprocess.run(command, input=elf, capture_output=True, check=True).stdout

    return pack


PACKERS = {
    "gzip": lambda elf: gzip.compress(elf),
    "XZ": lambda elf: lzma.compress(elf, check=lzma.CHECK_CRC32) + struct.pack("<I", len(elf)),
    "LZ4": lambda elf: tool_pack("lz4")(elf) + struct.pack("<I", len(elf)),
    "ZSTD": lambda elf: tool_pack("zstd")(elf) + struct.pack("<I", len(elf)),
}


@pytest.mark.parametrize("name", PACKERS)
def test_bzimage_is_unpacked(packer, name):
    (packer.path / "kernel.elf").write_bytes(make_bzimage(PACKERS[name](make_elf())))
    assert packer(toml_of(GUEST)) == (0, [])
    listed = (packer.path / "out" / "modules.list").read_text().splitlines()
    path = listed[0].split("\t")[1]
    with open(path, "rb") as file:
        assert file.read() == make_elf()
    assert packer(toml_of(GUEST)) == (0, [])  # and again, from the cache


def test_another_packs_at_the_same_time(packer, tmp_path, monkeypatch):
    """Each time this one is about to put a file into the cache, another does all of the same work."""
    cache = str(tmp_path / "shared")
    path = str(packer.path / "kernel.elf")
    (packer.path / "kernel.elf").write_bytes(make_bzimage(PACKERS["gzip"](make_elf())))
    words = (f"import sys; sys.path.insert(0, {TOOLS!r}); import kernel, pack; "
             f"kernel.kernel_unpack({path!r}, {cache!r}); pack.module_sums([{path!r}], {cache!r})")
    others = []

    def replace(source, target, put=os.replace):
        others.append(subprocess.run([sys.executable, "-c", words], check=True))
        put(source, target)

    monkeypatch.setattr(os, "replace", replace)
    elf, *_ = kernel.kernel_unpack(path, cache)
    assert pack.module_sums([path], cache) == [blobfmt.blob_sum((packer.path / "kernel.elf").read_bytes())]
    assert len(others) == 2
    assert sorted(os.listdir(cache)) == sorted([os.path.basename(elf), "sums.json"])


def test_bzimage_of_unknown_payload(packer):
    said = "the payload is of no known format: give one packed by gzip, XZ, LZ4 or ZSTD"
    expect_kernel(packer, make_bzimage(b"BZh9" + b"\0" * 60), said)


def test_bzimage_of_wrong_size(packer):
    payload = lzma.compress(make_elf()) + struct.pack("<I", 5)
    said = f"the XZ payload has {len(make_elf())} bytes, not 5: give a whole bzImage"
    expect_kernel(packer, make_bzimage(payload), said)


def test_bzimage_cut_off(packer):
    raw = make_bzimage(PACKERS["XZ"](make_elf()))
    expect_kernel(packer, raw[:-10], "the payload lies outside the file: give a whole bzImage")


# Both sides of the blob


READER = r"""
#include <stdio.h>
#include <stdlib.h>
#include "base/blob.h"

static unsigned char bytes[1 << 20];

static void show_guest(const struct blob_header *h, uint32_t i)
{
	const struct blob_guest *g = blob_guest_record(h, i);

	enum blob_status status = blob_check_guest(h, i);

	printf("guest %s: %s\n", blob_guest_rows(h)[i].name, blob_status_text(status));
	if (status != BLOB_OK) {
		return;
	}
	printf("%s %u %u %llu %u %u %u '%s'\n", g->name, g->face, g->vcpu_count,
	       (unsigned long long)g->memory_bytes, g->kernel_kind, g->kernel_module, g->flags, g->cmdline);
	for (uint32_t m = 0; m < g->boot_module_count; m++) {
		printf("boot module %u '%s'\n", g->boot_modules[m].module, g->boot_modules[m].string);
	}
	for (uint32_t d = 0; d < g->disk_count; d++) {
		printf("disk %u %u %u %s\n", g->disks[d].kind, g->disks[d].flags, g->disks[d].module,
		       g->disks[d].source);
	}
	for (uint32_t n = 0; n < g->nic_count; n++) {
		printf("nic %u %02x %02x\n", g->nics[n].switch_index, g->nics[n].mac[0],
		       g->nics[n].mac[5]);
	}
}

static void show_blob(const struct blob_header *h)
{
	printf("boot CPU %s\n", (h->flags & BLOB_KEEP_BOOT_CPU) != 0 ? "kept" : "for guests");
	for (uint32_t i = 0; i < h->switch_count; i++) {
		printf("switch %s\n", blob_switches(h)[i].name);
	}
	for (uint32_t i = 0; i < h->module_count; i++) {
		printf("module %s %llu %llx\n", blob_modules(h)[i].name,
		       (unsigned long long)blob_modules(h)[i].bytes,
		       (unsigned long long)blob_modules(h)[i].sum);
	}
	for (uint32_t i = 0; i < h->guest_count; i++) {
		show_guest(h, i);
	}
}

int main(int count, char **words)
{
	FILE *file = fopen(words[2], "rb");
	size_t len = fread(bytes, 1, sizeof(bytes), file);
	unsigned char *exact = malloc(len + 1); /* so that the sanitizer sees a read past the end */
	enum blob_status status;

	(void)count;
	fclose(file);
	__builtin_memcpy(exact, bytes, len);
	if (words[1][0] == 's') {
		printf("%llx %x\n", (unsigned long long)blob_sum(exact, len), blob_crc32(exact, len));
	} else {
		status = blob_check_header(exact, len);
		printf("header: %s\n", blob_status_text(status));
		if (status == BLOB_OK) {
			show_blob((const struct blob_header *)(void *)exact);
		}
	}
	free(exact);
	return 0;
}
"""


@pytest.fixture(scope="module", params=["gcc", "clang"])
def reader(request, tmp_path_factory):
    """Runs the C side on a file: reader("b", path) for a blob, ("s", path) for sums."""
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param}")
    folder = tmp_path_factory.mktemp("reader")
    (folder / "reader.c").write_text(READER)
    flags = "-std=c17 -Wall -Wextra -Wconversion -Wshadow -Werror -O1 -g -fsanitize=address,undefined"
    include = "-I" + os.path.join(ROOT, "hypervisor/include")
    program = str(folder / "reader")
    command = [request.param, *flags.split(), "-fno-sanitize-recover=all", include]
    subprocess.run([*command, str(folder / "reader.c"), "-o", program], check=True)

    def run(what, path):
        done = subprocess.run([program, what, str(path)], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    return run


@pytest.fixture
def packed(packer):
    assert packer(toml_of(GUEST, {**SECOND, "autostart": "false", "initrd": None})) == (0, [])
    return packer.path / "out" / "janus.blob"


def test_round_trip(packer, packed, reader):
    elf, initrd, disk = make_elf(), b"070701" * 100, b"x" * 5000
    assert reader("b", packed) == [
        "header: right",
        "boot CPU for guests",
        "switch lan",
        f"module 0-kernel.elf {len(elf)} {blobfmt.blob_sum(elf):x}",
        f"module 1-initrd {len(initrd)} {blobfmt.blob_sum(initrd):x}",
        f"module 2-disk.img 5000 {blobfmt.blob_sum(disk):x}",
        "guest web: right",
        "web 2 2 67108864 1 0 1 'console=hvc0'",
        "boot module 1 ''",
        "disk 3 0 4294967295 web",
        "nic 0 02 01",
        "guest db: right",
        "db 1 2 67108864 1 0 0 'console=hvc0'",
        "disk 1 1 2 disk.img",
        "disk 2 0 4294967295 nvme0",
        "nic 0 02 02",
    ]


def test_boot_cpu(packer, reader):
    for word, said in (("control", "kept"), ("guests", "for guests")):
        head = f'[machine]\nboot_cpu = "{word}"\n[[switch]]\nname = "lan"\n'
        assert packer(toml_of(GUEST, head=head)) == (0, [])
        assert reader("b", packer.path / "out" / "janus.blob")[1] == f"boot CPU {said}"


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 4095, 100003])
def test_sums_agree(tmp_path, reader, size):
    data = random.Random(size).randbytes(size)
    (tmp_path / "data").write_bytes(data)
    assert reader("s", tmp_path / "data") == [f"{blobfmt.blob_sum(data):x} {zlib.crc32(data):x}"]


def test_sum_sees_each_change():
    data = bytearray(random.Random(1).randbytes(4096))
    right = blobfmt.blob_sum(data)
    for bit in range(0, 4096 * 8, 7):
        data[bit // 8] ^= 1 << bit % 8
        assert blobfmt.blob_sum(data) != right
        data[bit // 8] ^= 1 << bit % 8
    assert blobfmt.blob_sum(data[:-1]) != right
    assert blobfmt.blob_sum(data + b"\0") != right
    assert blobfmt.blob_sum(data[8:16] + data[:8] + data[16:]) != right


def altered(blob, tmp_path, at, value=None):
    raw = bytearray(blob.read_bytes())
    raw[at] = raw[at] ^ 0x40 if value is None else value
    path = tmp_path / "altered"
    path.write_bytes(bytes(raw))
    return path


def test_each_altered_byte_of_the_header_is_seen(packed, reader, tmp_path):
    records = len(packed.read_bytes()) - 2 * blobfmt.GUEST_BYTES
    for at in (*range(0, 40), *range(40, records, 13)):
        assert reader("b", altered(packed, tmp_path, at))[0] != "header: right", at


def test_an_altered_record_drops_that_guest(packed, reader, tmp_path):
    size = len(packed.read_bytes())
    sum_wrong = "its checksum is wrong: make it again with pack.py"
    for at in (0, 4, 8, 50, 700, blobfmt.GUEST_BYTES - 1):
        lines = reader("b", altered(packed, tmp_path, size - 2 * blobfmt.GUEST_BYTES + at))
        assert lines[0] == "header: right"
        assert f"guest web: {sum_wrong}" in lines and "guest db: right" in lines, at


def test_a_cut_blob_is_seen(packed, reader, tmp_path):
    raw = packed.read_bytes()
    for size in (0, 39, 40, 200, len(raw) - 1):
        (tmp_path / "cut").write_bytes(raw[:size])
        assert reader("b", tmp_path / "cut") == ["header: it did not arrive whole"], size


def resummed(raw, at, size, crc_at):
    """The CRC made right again over @size bytes at @at."""
    part = bytearray(raw[at : at + size])
    part[crc_at : crc_at + 4] = bytes(4)
    part[crc_at : crc_at + 4] = struct.pack("<I", zlib.crc32(part))
    return raw[:at] + bytes(part) + raw[at + size :]


RECORD_VALUES = [(40, 0), (40, 4), (44, 0), (44, 65), (56, 0), (56, 3), (60, 3), (64, 17),
                 (72, 9), (76, 9), (80, 0), (80, 4), (80, 1), (528, 1), (624, 3), (624, blobfmt.NO_MODULE)]


@pytest.mark.parametrize("offset,value", RECORD_VALUES)
def test_bounds_hold_even_if_the_sum_is_right(packed, reader, tmp_path, offset, value):
    raw = packed.read_bytes()
    at = len(raw) - 2 * blobfmt.GUEST_BYTES
    raw = raw[: at + offset] + struct.pack("<I", value) + raw[at + offset + 4 :]
    (tmp_path / "bad").write_bytes(resummed(raw, at, blobfmt.GUEST_BYTES, blobfmt.GUEST_CRC))
    text = "a count or a value in it is out of bounds: make it again with pack.py"
    assert f"guest web: {text}" in reader("b", tmp_path / "bad")


@pytest.mark.parametrize("offset", [16, 20, 24, 28])
def test_counts_hold_even_if_the_sum_is_right(packed, reader, tmp_path, offset):
    raw = packed.read_bytes()
    header_bytes, = struct.unpack_from("<I", raw, 12)
    value, = struct.unpack_from("<I", raw, offset)
    raw = raw[:offset] + struct.pack("<I", value - 1) + raw[offset + 4 :]
    (tmp_path / "bad").write_bytes(resummed(raw, 0, header_bytes, blobfmt.HEADER_CRC))
    text = "header: a count or a value in it is out of bounds: make it again with pack.py"
    assert reader("b", tmp_path / "bad") == [text]

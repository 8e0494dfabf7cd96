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
    ("colour", '"red"', "colour: unknown key: give one of name, face, vcpus, memory, kernel, initrd, "
     "cmdline, disks, nics, autostart"),
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
    ("kernel", '"initrd"', "kernel: PATH/initrd is of no known format: give a Linux bzImage or an ELF64 "
     "with the PVH note"),
    ("kernel", None, "kernel: missing: give the path of a bzImage or a PVH ELF"),
    ("kernel", "7", "kernel: 7 is not a string: give the path of a bzImage or a PVH ELF"),
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
    said = "has no PVH note (owner Xen, type 18): give a kernel built with CONFIG_PVH"
    expect_kernel(packer, make_elf(note=False), said)


def test_kernel_for_another_cpu(packer):
    raw = bytearray(make_elf())
    raw[18] = 183
    said = "is not an ELF64 for x86-64: give a Linux bzImage or an ELF64 with the PVH note"
    expect_kernel(packer, bytes(raw), said)


def test_kernel_entry_outside(packer):
    expect_kernel(packer, make_elf(entry=16 * MIB), "its PVH entry 0x1000000 is in no segment: give a whole ELF")


def test_kernel_cut_off(packer):
    expect_kernel(packer, make_elf()[:150], "its program headers lie outside the file: give a whole ELF")


def test_kernel_segment_cut_off(packer):
    expect_kernel(packer, make_elf()[:-4], "a segment lies outside the file: give a whole ELF")


def test_kernel_larger_than_memory(packer):
    (packer.path / "kernel.elf").write_bytes(make_elf(size=70 * MIB))
    said = "64M does not hold the kernel and the initrd: give at least 72M"
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
    elf, _ = kernel.kernel_unpack(path, cache)
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
	printf("%s %u %u %llu %u %u %u %u '%s'\n", g->name, g->face, g->vcpu_count,
	       (unsigned long long)g->memory_bytes, g->kernel_kind, g->kernel_module,
	       g->initrd_module, g->flags, g->cmdline);
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
        "web 2 2 67108864 1 0 1 1 'console=hvc0'",
        "disk 3 0 4294967295 web",
        "nic 0 02 01",
        "guest db: right",
        "db 1 2 67108864 1 0 4294967295 0 'console=hvc0'",
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


RECORD_VALUES = [(40, 0), (40, 4), (44, 0), (44, 65), (56, 2), (60, 3), (64, 3), (72, 9), (76, 9),
                 (80, 0), (80, 4), (80, 1), (528, 1)]


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

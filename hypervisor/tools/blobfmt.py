"""The flat configuration blob, as hypervisor/include/base/blob.h has it, in Python.

pack.py writes it with these functions and ring 0 reads it with that header. The two are kept apart on
purpose and compared by tests/unit/pack_test.py, which reads a packed blob with a C program.
"""

import array
import itertools
import struct
import sys
import zlib

MAGIC = b"JANUSCF1"
VERSION = 2
MODULE_NAME = "janus.blob"

GUESTS_MAX = 16
SWITCHES_MAX = 8
MODULES_MAX = 31
DISKS_MAX = 8
NICS_MAX = 8
VCPUS_MAX = 64
NAME_BYTES = 32
SOURCE_BYTES = 40
CMDLINE_BYTES = 1024
BOOT_MODULES_MAX = 16
BOOT_STRING_BYTES = 124
NO_MODULE = 0xFFFFFFFF

FACES = {"hyperv": 1, "xen": 2, "both": 3}
KERNELS = {"pvh": 1, "multiboot": 2}
DISK_KINDS = {"ram": 1, "disk": 2, "partition": 3}
KEEP_BOOT_CPU = 1
DISK_READ_ONLY = 1
GUEST_AUTOSTART = 1

HEADER = struct.Struct("<8s8I")
HEADER_CRC = 32
SWITCH = struct.Struct("<32s")
MODULE = struct.Struct("<32sQQ")
GUEST_ROW = struct.Struct("<32sII")
DISK = struct.Struct("<4I40s")
NIC = struct.Struct("<I6sH")
BOOT_MODULE = struct.Struct("<I124s")
GUEST_HEAD = struct.Struct("<II32sIIQ6I")
GUEST_CRC = 4
GUEST_BYTES = (GUEST_HEAD.size + DISKS_MAX * DISK.size + NICS_MAX * NIC.size + BOOT_MODULES_MAX * BOOT_MODULE.size +
               CMDLINE_BYTES)

SUM_SEED = 0x9E3779B97F4A7C15
MASK64 = (1 << 64) - 1


def blob_sum(data):
    """The checksum of a module's bytes: blob_sum() of blob.h. About a second for 60 MB."""
    whole = len(data) & ~7
    words = array.array("Q")
    words.frombytes(data[:whole])
    if len(data) != whole:
        words.frombytes(bytes(data[whole:]).ljust(8, b"\0"))
    if sys.byteorder != "little":
        words.byteswap()
    seed = SUM_SEED ^ len(data)
    total = sum(itertools.accumulate(words, initial=seed))
    return (seed + sum(words) + 2 * total) & MASK64


def text(value, size):
    """A string as a NUL-ended array of @size bytes; pack.py has checked that it fits."""
    raw = value.encode()
    if len(raw) >= size:
        raise ValueError(f"{value!r} does not fit {size} bytes")
    return raw.ljust(size, b"\0")


def with_crc(raw, at):
    """Puts the CRC-32 of @raw, whose 4 bytes at @at are zero, at @at."""
    return raw[:at] + struct.pack("<I", zlib.crc32(raw)) + raw[at + 4 :]


def pack_disk(disk):
    flags = DISK_READ_ONLY if disk["mode"] == "ro" else 0
    source = text(disk["source"], SOURCE_BYTES)
    return DISK.pack(DISK_KINDS[disk["kind"]], flags, disk["module"], 0, source)


def pack_nic(nic):
    return NIC.pack(nic["switch"], nic["mac"], 0)


def pack_guest(guest):
    """One guest's record, with its checksum, from checked values."""
    head = GUEST_HEAD.pack(
        GUEST_BYTES,
        0,
        text(guest["name"], NAME_BYTES),
        FACES[guest["face"]],
        guest["vcpus"],
        guest["memory"],
        KERNELS[guest["kernel_kind"]],
        guest["kernel"],
        len(guest["modules"]),
        GUEST_AUTOSTART if guest["autostart"] else 0,
        len(guest["disks"]),
        len(guest["nics"]),
    )
    disks = b"".join(pack_disk(d) for d in guest["disks"]).ljust(DISKS_MAX * DISK.size, b"\0")
    nics = b"".join(pack_nic(n) for n in guest["nics"]).ljust(NICS_MAX * NIC.size, b"\0")
    modules = b"".join(BOOT_MODULE.pack(m["module"], text(m["string"], BOOT_STRING_BYTES)) for m in guest["modules"])
    modules = modules.ljust(BOOT_MODULES_MAX * BOOT_MODULE.size, b"\0")
    return with_crc(head + disks + nics + modules + text(guest["cmdline"], CMDLINE_BYTES), GUEST_CRC)


def pack_blob(switches, modules, guests, flags=0):
    """The whole blob. @switches: names; @modules: (name, bytes, sum); @guests: checked dicts; @flags: KEEP_*."""
    tables = b"".join(SWITCH.pack(text(name, NAME_BYTES)) for name in switches)
    tables += b"".join(MODULE.pack(text(n, NAME_BYTES), size, s) for n, size, s in modules)
    header_bytes = HEADER.size + len(tables) + len(guests) * GUEST_ROW.size
    for i, guest in enumerate(guests):
        offset = header_bytes + i * GUEST_BYTES
        tables += GUEST_ROW.pack(text(guest["name"], NAME_BYTES), offset, GUEST_BYTES)
    total = header_bytes + len(guests) * GUEST_BYTES
    counts = (len(guests), len(switches), len(modules))
    header = HEADER.pack(MAGIC, VERSION, header_bytes, total, *counts, 0, flags)
    return with_crc(header + tables, HEADER_CRC) + b"".join(pack_guest(g) for g in guests)

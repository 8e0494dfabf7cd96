"""From a kernel file to what a guest starts from: done on the host, when the image is packed.

How a guest is started (boot = ... in its table):

    "pvh"        Xen's PVH protocol: an ELF64 for x86-64 or an ELF32 for i386 or x86-64 with the PVH note, or a Linux
                 bzImage whose payload is one
    "multiboot"  Multiboot 1 (specification 0.6.96): an ELF of either class with its header in the first 8 KiB or, if flag
                 16 of the header is set, a file of any kind, loaded by the addresses in the header
    "auto"       PVH if it is a bzImage or has the note, else Multiboot

A bzImage is a setup header, a decompressor and a compressed payload. Only the payload, an ELF64, has
the PVH note that says where a guest starts. So that no guest spends its time on decompressing, it is
unpacked here; its bytes are otherwise those of the package:

 1. setup header (Linux Documentation/arch/x86/boot.rst): boot_flag 0xaa55 at 0x1fe, "HdrS" at 0x202,
    protocol at 0x206 (2.08 or later), setup_sects at 0x1f1 (0 means 4), payload_offset at 0x248 and
    payload_length at 0x24c, the offset counted from the protected-mode part at (setup_sects + 1) * 512;
 2. the payload's first bytes tell its format: gzip (zlib here), XZ (lzma here), LZ4 in its legacy frame
    (`lz4 -dc`) or ZSTD (`zstd -dc`). All but gzip have the unpacked size behind them, in 4 bytes, little
    endian, which is cut off and compared;
 3. the result must be an ELF whose PT_NOTE has owner "Xen", type 18 (XEN_ELFNOTE_PHYS32_ENTRY), with an entry
    inside a PT_LOAD.

Any other file is taken as it is. What is checked here, ring 0 checks again (core/elf.c, core/multiboot.c).
"""

import hashlib
import lzma
import os
import struct
import subprocess
import zlib

NOTE_PHYS32_ENTRY = 18
PT_LOAD = 1
PT_NOTE = 4
EM_386 = 3
EM_X86_64 = 62
WANTED = "give a Linux bzImage or an ELF with the PVH note or a Multiboot header"
SEGMENTS_MAX = 16
LOW_START, LOW_END = 0x4000, 0xA0000  # what is free below 1 MiB: hypervisor/core/boot_info.h
HIGH_START, HIGH_END = 1 << 20, 3 << 30

MULTIBOOT_MAGIC = 0x1BADB002
MULTIBOOT_SEARCH = 8192
MULTIBOOT_KLUDGE = 1 << 16
MULTIBOOT_UNDERSTOOD = 3  # of the lower 16 bits: modules on pages, memory information
BOOT_KINDS = ("auto", "pvh", "multiboot")


class KernelError(Exception):
    """A file that is no kernel we can start. The text says what is wrong and what would be right."""


def is_bzimage(raw):
    return len(raw) > 0x250 and raw[0x1FE:0x200] == b"\x55\xaa" and raw[0x202:0x206] == b"HdrS"


def bzimage_payload(raw):
    """The compressed payload of a bzImage, still with the size behind it."""
    protocol, = struct.unpack_from("<H", raw, 0x206)
    if protocol < 0x208:
        raise KernelError(f"boot protocol {protocol >> 8}.{protocol & 255:02} is too old: give 2.08 or later")
    start = ((raw[0x1F1] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", raw, 0x248)
    if length < 8 or start + offset + length > len(raw):
        raise KernelError("the payload lies outside the file: give a whole bzImage")
    return raw[start + offset : start + offset + length]


def run_tool(tool, data):
    """Unpacks @data by a program that reads it and writes the result."""
    try:
        done = subprocess.run([tool, "-dc"], input=data, capture_output=True, check=False)
    except FileNotFoundError:
        raise KernelError(f"needs the program {tool}: install the package {tool}") from None
    if done.returncode != 0:
        why = done.stderr.decode(errors="replace").strip().split("\n")[-1]
        raise KernelError(f"{tool} cannot unpack the payload ({why}): give a whole bzImage")
    return done.stdout


def unpack_gzip(data):
    return zlib.decompressobj(31).decompress(data)


UNPACKERS = (
    (b"\x1f\x8b", "gzip", unpack_gzip),
    (b"\xfd7zXZ\0", "XZ", lzma.decompress),
    (b"\x02\x21\x4c\x18", "LZ4", lambda data: run_tool("lz4", data)),
    (b"\x28\xb5\x2f\xfd", "ZSTD", lambda data: run_tool("zstd", data)),
)


def unpack_payload(payload):
    """The ELF in a payload, of the size that stands behind it."""
    for magic, name, unpack in UNPACKERS:
        if not payload.startswith(magic):
            continue
        try:
            elf = unpack(payload if name == "gzip" else payload[:-4])
        except (zlib.error, lzma.LZMAError) as error:
            raise KernelError(f"the {name} payload is broken ({error}): give a whole bzImage") from None
        size, = struct.unpack("<I", payload[-4:])
        if len(elf) != size:
            raise KernelError(f"the {name} payload has {len(elf)} bytes, not {size}: give a whole bzImage")
        return elf
    raise KernelError("the payload is of no known format: give one packed by gzip, XZ, LZ4 or ZSTD")


def elf_header(elf):
    """(is it an ELF64, entry, offset of its program headers, their count)."""
    wanted = {1: (52, 32, (EM_386, EM_X86_64)), 2: (64, 56, (EM_X86_64,))}
    if len(elf) < 20 or elf[:4] != b"\x7fELF" or elf[4] not in wanted or elf[5:7] != b"\1\1":
        raise KernelError(f"is not an ELF for x86: {WANTED}")
    bytes_least, phentsize, machines = wanted[elf[4]]
    if struct.unpack_from("<H", elf, 18)[0] not in machines:
        raise KernelError(f"is not an ELF for x86: {WANTED}")
    if len(elf) < bytes_least:
        raise KernelError("its header lies outside the file: give a whole ELF")
    is_64 = elf[4] == 2
    entry, phoff = struct.unpack_from("<QQ" if is_64 else "<II", elf, 24)
    size, count = struct.unpack_from("<HH", elf, 54 if is_64 else 42)
    if size != phentsize or phoff + size * count > len(elf):
        raise KernelError("its program headers lie outside the file: give a whole ELF")
    return is_64, entry, phoff, count


def program_headers(elf):
    """(type, offset, vaddr, paddr, filesz, memsz) of each program header."""
    is_64, _, phoff, count = elf_header(elf)
    for i in range(count):
        if is_64:
            row = struct.unpack_from("<IIQQQQQ", elf, phoff + i * 56)
            kind, offset, vaddr, paddr, filesz, memsz = row[0], *row[2:]
        else:
            kind, offset, vaddr, paddr, filesz, memsz = struct.unpack_from("<6I", elf, phoff + i * 32)
        if kind in (PT_LOAD, PT_NOTE) and offset + filesz > len(elf):
            raise KernelError("a segment lies outside the file: give a whole ELF")
        yield kind, offset, vaddr, paddr, filesz, memsz


def pvh_entry_of_notes(notes):
    """The entry in one PT_NOTE's bytes, or None."""
    at = 0
    while at + 12 <= len(notes):
        name_bytes, desc_bytes, kind = struct.unpack_from("<III", notes, at)
        desc = at + 12 + (name_bytes + 3 & ~3)
        is_entry = kind == NOTE_PHYS32_ENTRY and notes[at + 12 : at + 12 + name_bytes] == b"Xen\0"
        if is_entry and desc_bytes >= 4 and desc + desc_bytes <= len(notes):
            return int.from_bytes(notes[desc : desc + min(desc_bytes, 8)], "little")
        at = desc + (desc_bytes + 3 & ~3)
    return None


def elf_read(elf):
    """(PVH entry or None, [(vaddr, paddr, end)] of what is loaded)."""
    entry, loads = None, []
    for kind, offset, vaddr, paddr, filesz, memsz in program_headers(elf):
        if kind == PT_LOAD and memsz != 0:
            if filesz > memsz:
                raise KernelError("a segment is smaller than its part of the file: give a whole ELF")
            loads.append((vaddr, paddr, paddr + memsz))
        elif kind == PT_NOTE and entry is None:
            entry = pvh_entry_of_notes(elf[offset : offset + filesz])
    if len(loads) > SEGMENTS_MAX:
        raise KernelError(f"has {len(loads)} segments: give an ELF with at most {SEGMENTS_MAX}")
    return entry, loads


def check_places(loads):
    """Checks that all lies where a guest has free memory. Gives the first address after it."""
    if not loads:
        raise KernelError("has nothing to load: give a whole ELF")
    for _, start, end in loads:
        if not (LOW_START <= start and end <= LOW_END or HIGH_START <= start and end <= HIGH_END):
            raise KernelError(f"wants to lie at {start:#x} to {end:#x}: give one that is loaded from 1 MiB up")
    return max(end for _, _, end in loads)


def elf_check(elf):
    """Checks that @elf is an ELF with the PVH note. Gives (entry, first address after its load)."""
    entry, loads = elf_read(elf)
    if entry is None:
        raise KernelError("has no PVH note (owner Xen, type 18): give a kernel built with CONFIG_PVH")
    if not any(start <= entry < end for _, start, end in loads):
        raise KernelError(f"its PVH entry {entry:#x} is in no segment: give a whole ELF")
    return entry, check_places(loads)


def multiboot_header(raw):
    """(its place, its flags) of the Multiboot header in the file's first 8 KiB, or None."""
    limit = min(len(raw), MULTIBOOT_SEARCH)
    for at in range(0, limit - 11, 4):
        magic, flags, checksum = struct.unpack_from("<III", raw, at)
        if magic != MULTIBOOT_MAGIC or magic + flags + checksum & 0xFFFFFFFF != 0:
            continue
        if not flags & MULTIBOOT_KLUDGE or at + 32 <= limit:
            return at, flags
    return None


def multiboot_addresses(raw, at):
    """(entry, [(vaddr, paddr, end)]) by the address fields of the header at @at."""
    header, start, load_end, bss_end, entry = struct.unpack_from("<5I", raw, at + 12)
    room = len(raw) - (at - (header - start))
    wrong = not start <= header <= start + at
    wrong = wrong or load_end != 0 and not start < load_end <= start + room
    end = load_end or start + room
    if wrong or bss_end != 0 and bss_end < end:
        raise KernelError("the addresses in its Multiboot header do not fit the file: give a whole kernel")
    return entry, [(start, start, bss_end or end)]


def multiboot_check(raw):
    """Checks that @raw has a Multiboot header that we can follow. Gives (entry, first address after its load)."""
    found = multiboot_header(raw)
    if found is None:
        raise KernelError("has no Multiboot header in its first 8 KiB: give a Multiboot (1) kernel")
    at, flags = found
    unknown = flags & 0xFFFF & ~MULTIBOOT_UNDERSTOOD
    if unknown:
        first = (unknown & -unknown).bit_length() - 1
        what = ", a video mode" if first == 2 else ""
        raise KernelError(f"asks Multiboot for what Janus does not have (flag {first}{what}): give one without")
    if flags & MULTIBOOT_KLUDGE:
        entry, loads = multiboot_addresses(raw, at)
    elif raw.startswith(b"\x7fELF"):
        entry, loads = elf_header(raw)[1], elf_read(raw)[1]
        # An ELF's entry is where its segment is linked, not where that is loaded; if it is in none, it is physical.
        entry = next((paddr + entry - vaddr for vaddr, paddr, end in loads if 0 <= entry - vaddr < end - paddr), entry)
    else:
        raise KernelError("has a Multiboot header but is neither an ELF nor says where it lies (flag 16): give an ELF")
    if not any(start <= entry < end for _, start, end in loads):
        raise KernelError(f"its entry {entry:#x} is in no segment: give a whole kernel")
    return entry, check_places(loads)


def choose_boot(raw, boot):
    """How a kernel that is no bzImage is started: ("pvh" or "multiboot", first address after its load)."""
    is_elf, header = raw.startswith(b"\x7fELF"), multiboot_header(raw)
    if boot == "auto" and not is_elf and header is None:
        raise KernelError(f"is of no known format: {WANTED}")
    if boot == "auto":
        noted = is_elf and elf_read(raw)[0] is not None
        if not noted and header is None:
            raise KernelError("has neither a PVH note (owner Xen, type 18) nor a Multiboot header: give a kernel "
                              "built with CONFIG_PVH, or a Multiboot one")
        boot = "pvh" if noted else "multiboot"
    if boot == "pvh" and not is_elf:
        raise KernelError('is neither a bzImage nor an ELF, so it has no PVH note: give boot = "auto"')
    return boot, (elf_check(raw) if boot == "pvh" else multiboot_check(raw))[1]


def kernel_unpack(path, cache, boot="auto"):
    """Makes the file to load from the kernel file @path, which is to be started as @boot of BOOT_KINDS says.

    Gives (path of that file, "pvh" or "multiboot", first address after its load): @path itself, or for a bzImage an
    ELF in the folder @cache, named by the hash of the bzImage. Raises KernelError or OSError.
    """
    with open(path, "rb") as file:
        raw = file.read()
    if raw.startswith(b"\x7fELF") or not is_bzimage(raw):
        return path, *choose_boot(raw, boot)
    if boot == "multiboot":
        raise KernelError('is a bzImage, which has no Multiboot header: give boot = "auto"')
    target = os.path.join(cache, hashlib.sha256(raw).hexdigest()[:24] + ".elf")
    if os.path.exists(target):
        with open(target, "rb") as file:
            return target, "pvh", elf_check(file.read())[1]
    elf = unpack_payload(bzimage_payload(raw))
    end = elf_check(elf)[1]
    os.makedirs(cache, exist_ok=True)
    fresh = f"{target}.{os.getpid()}"  # several may unpack it at once
    with open(fresh, "wb") as file:
        file.write(elf)
    os.replace(fresh, target)
    return target, "pvh", end

"""From a Linux bzImage to the ELF that a guest starts from: done on the host, when the image is packed.

A bzImage is a setup header, a decompressor and a compressed payload. Only the payload, an ELF64, has
the PVH note that says where a guest starts. So that no guest spends its time on decompressing, it is
unpacked here; its bytes are otherwise those of the package:

 1. setup header (Linux Documentation/arch/x86/boot.rst): boot_flag 0xaa55 at 0x1fe, "HdrS" at 0x202,
    protocol at 0x206 (2.08 or later), setup_sects at 0x1f1 (0 means 4), payload_offset at 0x248 and
    payload_length at 0x24c, the offset counted from the protected-mode part at (setup_sects + 1) * 512;
 2. the payload's first bytes tell its format: gzip (zlib here), XZ (lzma here), LZ4 in its legacy frame
    (`lz4 -dc`) or ZSTD (`zstd -dc`). All but gzip have the unpacked size behind them, in 4 bytes, little
    endian, which is cut off and compared;
 3. the result must be an ELF64 for x86-64 whose PT_NOTE has owner "Xen", type 18
    (XEN_ELFNOTE_PHYS32_ENTRY), with an entry inside a PT_LOAD.

An ELF64 with the note is taken as it is.
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
EM_X86_64 = 62
WANTED = "give a Linux bzImage or an ELF64 with the PVH note"


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


def program_headers(elf):
    """(type, offset, paddr, filesz, memsz) of each program header."""
    phoff, = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    if size < 56 or phoff + size * count > len(elf):
        raise KernelError("its program headers lie outside the file: give a whole ELF")
    for i in range(count):
        kind, _, offset, _, paddr, filesz, memsz = struct.unpack_from("<IIQQQQQ", elf, phoff + i * size)
        if kind in (PT_LOAD, PT_NOTE) and offset + filesz > len(elf):
            raise KernelError("a segment lies outside the file: give a whole ELF")
        yield kind, offset, paddr, filesz, memsz


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


def elf_check(elf):
    """Checks that @elf is an ELF64 with the PVH note. Gives (entry, first address after its load)."""
    if len(elf) < 64 or elf[4] != 2 or elf[5] != 1 or struct.unpack_from("<H", elf, 18)[0] != EM_X86_64:
        raise KernelError(f"is not an ELF64 for x86-64: {WANTED}")
    entry, loads = None, []
    for kind, offset, paddr, filesz, memsz in program_headers(elf):
        if kind == PT_LOAD and memsz != 0:
            loads.append((paddr, paddr + memsz))
        elif kind == PT_NOTE and entry is None:
            entry = pvh_entry_of_notes(elf[offset : offset + filesz])
    if entry is None:
        raise KernelError("has no PVH note (owner Xen, type 18): give a kernel built with CONFIG_PVH")
    if not any(start <= entry < end for start, end in loads):
        raise KernelError(f"its PVH entry {entry:#x} is in no segment: give a whole ELF")
    return entry, max(end for _, end in loads)


def kernel_unpack(path, cache):
    """Makes the ELF to load from the kernel file @path.

    Gives (path of the ELF, first address after its load): @path itself if it is an ELF, else a file
    in the folder @cache named by the hash of the bzImage. Raises KernelError or OSError.
    """
    with open(path, "rb") as file:
        raw = file.read()
    if raw.startswith(b"\x7fELF"):
        return path, elf_check(raw)[1]
    if not is_bzimage(raw):
        raise KernelError(f"is of no known format: {WANTED}")
    target = os.path.join(cache, hashlib.sha256(raw).hexdigest()[:24] + ".elf")
    if os.path.exists(target):
        with open(target, "rb") as file:
            return target, elf_check(file.read())[1]
    elf = unpack_payload(bzimage_payload(raw))
    end = elf_check(elf)[1]
    os.makedirs(cache, exist_ok=True)
    fresh = f"{target}.{os.getpid()}"  # several may unpack it at once
    with open(fresh, "wb") as file:
        file.write(elf)
    os.replace(fresh, target)
    return target, end

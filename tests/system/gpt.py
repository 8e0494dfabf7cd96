"""A disk image with one GPT partition, written as the UEFI specification (5.3) has it."""

import struct
import uuid
import zlib

SECTOR = 512
ENTRIES, ENTRY_BYTES = 128, 128
TABLE_SECTORS = ENTRIES * ENTRY_BYTES // SECTOR
LINUX_DATA = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")


def header(at, other, table_at, last, table_crc):
    """The header in sector @at, whose copy is in sector @other."""
    first_usable = 2 + TABLE_SECTORS
    disk = uuid.UUID(int=1).bytes_le
    tail = struct.pack("<QIII", table_at, ENTRIES, ENTRY_BYTES, table_crc)

    def with_crc(crc):
        head = struct.pack("<8sIIIIQQQQ", b"EFI PART", 0x10000, 92, crc, 0, at, other, first_usable,
                           last - 1 - TABLE_SECTORS)
        return head + disk + tail

    return with_crc(zlib.crc32(with_crc(0))).ljust(SECTOR, b"\0")


def make_image(path, name, start, size):
    """Writes an image with partition @name of @size bytes from sector @start."""
    last = start + size // SECTOR + 2047
    entry = struct.pack("<16s16sQQQ", LINUX_DATA.bytes_le, uuid.UUID(int=2).bytes_le, start,
                        start + size // SECTOR - 1, 0) + name.encode("utf-16-le").ljust(72, b"\0")
    table = entry.ljust(ENTRIES * ENTRY_BYTES, b"\0")
    crc = zlib.crc32(table)
    mbr = bytearray(SECTOR)
    struct.pack_into("<B3sB3sII", mbr, 446, 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, last)
    mbr[510:] = b"\x55\xaa"
    copy_at = last - TABLE_SECTORS
    with open(path, "wb") as file:
        file.truncate((last + 1) * SECTOR)
        file.write(mbr + header(1, last, 2, last, crc) + table)
        file.seek(copy_at * SECTOR)
        file.write(table + header(last, 1, copy_at, last, crc))

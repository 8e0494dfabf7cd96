#!/usr/bin/python3
"""Makes the glyphs of the text console on a framebuffer from a font of GRUB's (grub-common's unicode.pf2).

    font.py [--font /usr/share/grub/unicode.pf2] OUT

OUT gets 16 bytes for each character from blank to tilde: one a line from the top, the leftmost pixel in bit 7.
PFF2, version 2 (GRUB's manual, "Font format"): sections of a name, a length and that many bytes, all big-endian.
"""

import argparse
import struct
import sys

WIDTH, HEIGHT = 8, 16
FIRST, LAST = 0x20, 0x7E
INDEX_ROW = struct.Struct(">IBI")  # character, flags (0: not packed), place in the file
GLYPH_HEAD = struct.Struct(">HHhhh")  # width, height, x and y of its lower left corner, step


class FontError(Exception):
    """What is wrong with the font, in one line."""


def read_sections(raw):
    """Name -> bytes. The last, DATA, has no length: glyphs are found by their place in the file."""
    sections, at = {}, 0
    while at + 8 <= len(raw):
        name, size = struct.unpack_from(">4sI", raw, at)
        if name == b"DATA":
            return sections
        sections[name] = raw[at + 8 : at + 8 + size]
        at += 8 + size
    raise FontError("it has no glyphs")


def draw_glyph(raw, at, ascent):
    """The 16 bytes of the glyph at @at. What lies outside the box is cut off."""
    width, height, left, bottom, _ = GLYPH_HEAD.unpack_from(raw, at)
    bits, lines = at + GLYPH_HEAD.size, bytearray(HEIGHT)
    top = ascent - bottom - height
    for i in range(width * height):
        y, x = top + i // width, left + i % width
        if raw[bits + i // 8] & 0x80 >> i % 8 and 0 <= y < HEIGHT and 0 <= x < WIDTH:
            lines[y] |= 0x80 >> x
    return bytes(lines)


def make_font(raw):
    sections = read_sections(raw)
    if sections.get(b"FILE") != b"PFF2":
        raise FontError("it is no PFF2 font")
    ascent, = struct.unpack(">H", sections[b"ASCE"])
    places = {code: place for code, flags, place in INDEX_ROW.iter_unpack(sections[b"CHIX"]) if flags == 0}
    missing = [chr(code) for code in range(FIRST, LAST + 1) if code not in places]
    if missing:
        raise FontError("it lacks " + "".join(missing))
    return b"".join(draw_glyph(raw, places[code], ascent) for code in range(FIRST, LAST + 1))


def main():
    parser = argparse.ArgumentParser(description="Makes the framebuffer console's glyphs from GRUB's font.")
    parser.add_argument("--font", default="/usr/share/grub/unicode.pf2", help="of the package grub-common")
    parser.add_argument("out")
    args = parser.parse_args()
    try:
        with open(args.font, "rb") as file:
            font = make_font(file.read())
        with open(args.out, "wb") as file:
            file.write(font)
    except (OSError, FontError, KeyError, struct.error, IndexError) as error:
        print(f"font.py: {args.font}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

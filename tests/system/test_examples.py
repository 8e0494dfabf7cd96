"""The examples of guest-drivers/: on Janus by each face, and by themselves on a machine without any, however they are loaded.

Alone they are started by QEMU (-kernel, which is Multiboot 1) or by the ISO that mkiso.py makes of a guest, with a BIOS
and with UEFI; there each console is looked at: the serial line, the text screen's memory, the framebuffer's picture.
"""

import os
import re
import zlib

import pytest
from alone import Alone
from conftest import BUILD, GUESTS, mkiso
from own_guest import own_guest

FACES = ("hyperv", "xen")
EXAMPLES = os.path.join(BUILD, "examples")
FONT = os.path.join(BUILD, "guest-obj/font.bin")


def elf_of(program):
    return os.path.join(EXAMPLES, program + ".elf")


def example(name, face, program, **options):
    return {**own_guest(name, face, program, **options), "kernel": elf_of(program)}


# On Janus


@pytest.mark.parametrize("face,said", [
    ("hyperv", ["Microsoft Hv at 40000000"]), ("xen", ["XenVMMXenVMM at 40000000"]),
    ("both", ["Microsoft Hv at 40000000", "XenVMMXenVMM at 40000100"]),
])
def test_find_face(boot, face, said):
    machine = boot([example("who", face, "find_face")], memory=512)
    report = machine.wait_report("who", 60)
    assert (report["result"], report["face"], report["boot"]) == ("pass", face, "pvh")
    assert ("hyperv" in report, "xen" in report) == (face != "xen", face != "hyperv")
    assert re.fullmatch(r"\d+\.\d+ build \d+", report.get("hyperv", "10.0 build 1"))
    assert report.get("xen", "4.17") == "4.17"
    assert (report["memory_kib"], report["tables"], report["screen"]) == (str(640 + 31 * 1024), "JANUS", "none")
    assert machine.wait_end("who", 30)[0] == "powered off"
    lines = [m[1] for m in machine.find("who", r"JANUS: (.*)")]
    assert [line.split(", ")[0] for line in lines if line.startswith("signature=")] == ["signature=" + s for s in said]
    assert len(lines) == len(set(lines))  # its consoles are one stream here, and are used once


def test_each_console_on_its_own(boot):
    """Port 0xE9, the UART, and, as that was asked for, both."""
    rows = [example(name, "xen", "find_face", console=consoles)
            for name, consoles in (("port", "port"), ("uart", "uart"), ("two", "port,uart"))]
    machine = boot(rows, memory=512)
    for name, times in (("port", 1), ("uart", 1), ("two", 2)):
        assert machine.wait_report(name, 60)["result"] == "pass"
        assert machine.wait_end(name, 30)[0] == "powered off"
        assert len(machine.find(name, "JANUS: face=xen")) == times


@pytest.mark.parametrize("face,option", [("hyperv", {}), ("xen", {}), ("both", {"use": "hyperv"}), ("both", {"use": "xen"})])
def test_read_block(boot, face, option):
    row = example("reader", face, "read_block", **option)
    row["disks"] = [{"source": "ram:disk-1.img", "mode": "ro"}]
    machine = boot([row], memory=512)
    report = machine.wait_report("reader", 60)
    with open(os.path.join(GUESTS, "disk-1.img"), "rb") as file:
        image = file.read()
    assert report["result"] == "pass" and "note" not in report, report
    assert report["crc"] == f"{zlib.crc32(image[:512]):x}"
    assert report["sectors"] == str(len(image) // 512)
    assert machine.wait_end("reader", 30)[0] == "powered off"


def test_read_block_without_a_disk(boot):
    machine = boot([example(face, face, "read_block") for face in FACES], memory=512)
    for face in FACES:
        report = machine.wait_report(face, 120)
        assert report["result"] == "fail" and report["error"].startswith("no disk"), report


def test_send_packet(boot):
    """One on each face; each hears what the other sends."""
    rows = [example(face, face, "send_packet", seconds=8) for face in FACES]
    for i, row in enumerate(rows):
        row["nics"] = [{"switch": "lan", "mac": f"02:00:00:00:00:{i + 1:02x}"}]
    machine = boot(rows, memory=512)
    for i, face in enumerate(FACES):
        report = machine.wait_report(face, 90)
        assert report["result"] == "pass", report
        assert report["mac"] == f"02:00:00:00:00:{i + 1:02x}"
        assert report["heard"] == f"60 bytes from 02:00:00:00:00:{2 - i:02x}, type 88b5"
        assert machine.wait_end(face, 30)[0] == "powered off"


# Alone


def iso_of(folder, program, **how):
    iso = os.path.join(folder, program + ".iso")
    mkiso.make_guest_iso(elf_of(program), iso, **how)
    return iso


@pytest.mark.parametrize("board,memory", [("q35", 256), ("pc", 64)])
def test_by_multiboot_1(tmp_path, board, memory):
    with Alone(str(tmp_path), "-kernel", elf_of("find_face"), "-append", "a=b", board=board, memory=memory) as machine:
        report = machine.wait_off()
    assert (report["result"], report["boot"], report["face"], report["screen"]) == ("pass", "multiboot1", "none", "text")
    assert (memory - 2) * 1024 < int(report["memory_kib"]) < memory * 1024


@pytest.mark.parametrize("first,uefi", [(0, False), (1, False), (0, True)], ids=["bios-2", "bios-1", "uefi-2"])
def test_iso(tmp_path, first, uefi):
    iso = iso_of(str(tmp_path), "find_face", first=first, cmdline="tsc_hz=1000000000")
    with Alone(str(tmp_path), "-cdrom", iso, uefi=uefi) as machine:
        report = machine.wait_off()
    assert (report["result"], report["face"]) == ("pass", "none")
    assert (report["boot"], report["screen"]) == (("multiboot1", "text") if first == 1 else ("multiboot2", "pixels"))


def test_drivers_without_a_face(tmp_path):
    """The pool of pages can be had in 64 MiB, and a driver says what is missing. Command line: by the ISO."""
    iso = iso_of(str(tmp_path), "read_block", cmdline="console=uart")
    with Alone(str(tmp_path), "-cdrom", iso, memory=64) as machine:
        report = machine.wait_off()
    assert (report["result"], report["error"]) == ("fail", "neither face is here")


def test_text_screen(tmp_path):
    with Alone(str(tmp_path), "-no-shutdown", "-kernel", elf_of("find_face")) as machine:
        machine.wait_result()
        cells = re.findall(r"0x([0-9a-f]{2})\b(?!:)", machine.ask("xp /200xb 0xb8000").split("\n", 1)[1])
    text = bytes(int(cell, 16) for cell in cells[: 160 : 2]).decode()
    assert text.rstrip() == "JANUS: boot=multiboot1"


def picture_of(path):
    with open(path, "rb") as file:
        raw = file.read()
    width, height = map(int, raw.split(None, 3)[1:3])
    return width, raw[len(raw) - width * height * 3:]


def test_framebuffer(tmp_path):
    """The first line's pixels are those of the font."""
    text, picture = "JANUS: boot=multiboot2", str(tmp_path / "screen.ppm")
    with Alone(str(tmp_path), "-no-shutdown", "-cdrom", iso_of(str(tmp_path), "find_face"), uefi=True) as machine:
        machine.wait_result()
        machine.ask("screendump " + picture)
    with open(FONT, "rb") as file:
        font = file.read()
    width, pixels = picture_of(picture)
    for y in range(16):
        lit = [pixels[(y * width + x) * 3] > 64 for x in range(8 * len(text))]
        assert lit == [font[(ord(c) - 32) * 16 + y] & 0x80 >> i != 0 for c in text for i in range(8)]


def test_options_that_grub_would_not_take(tmp_path):
    for cmdline in ("a;b", "a'b", "$root"):
        with pytest.raises(mkiso.IsoError):
            iso_of(str(tmp_path), "find_face", cmdline=cmdline)

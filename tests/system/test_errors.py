"""What is wrong at boot: one clear line and a stop. And a record that is wrong costs only its guest."""

import importlib
import os
import re

import pytest
from conftest import check_passed, guest, mkiso

WAIT = 60  # seconds from reset to the line


def check_stops(machine, pattern):
    """The line comes, and then the machine ends by itself, not by a reset (status 0)."""

    def came():
        said = machine.lines.get("janus", []) + machine.lines.get("firmware", [])
        return any(re.search(pattern, text) for text in said)

    machine.wait_until(came, WAIT, f"a line with {pattern!r}")
    assert machine.exit_status(20) not in (0, None)


def flip(folder, at):
    """Alters one byte of the blob, @at from its start or, if negative, its end."""
    path = os.path.join(folder, "janus.blob")
    with open(path, "r+b") as file:
        raw = bytearray(file.read())
        raw[at] ^= 0x20
        file.seek(0)
        file.write(raw)


def cut_module(folder, name_part):
    """Replaces a module by its first half."""
    listed = os.path.join(folder, "modules.list")
    with open(listed, encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    for row in rows:
        if name_part in row[0]:
            with open(row[1], "rb") as file:
                data = file.read()
            row[1] = os.path.join(folder, "half")
            with open(row[1], "wb") as file:
                file.write(data[: len(data) // 2])
    with open(listed, "w", encoding="utf-8") as file:
        file.writelines("\t".join(row) + "\n" for row in rows)


@pytest.mark.parametrize("cpu,pattern", [
    ("qemu64,-svm", r"(?i)no SVM|neither SVM nor VMX|without SVM"),
    ("EPYC,-npt", r"(?i)nested paging"),
], ids=["svm", "npt"])
def test_cpu_without(boot, cpu, pattern):
    check_stops(boot([guest("one", "xen")], cpu=cpu), pattern)


def test_too_little_memory(boot):
    check_stops(boot([guest("one", "xen", memory="512M")], memory=256, packed_for=4096), r"(?i)memory")


def test_no_configuration(boot):
    machine = boot([guest("one", "xen")], omit=(mkiso.CONFIG_MODULE,))
    check_stops(machine, r"(?i)no configuration|configuration.*(missing|absent)")


@pytest.mark.parametrize("at", [20, 45])
def test_altered_header(boot, at):
    machine = boot([guest("one", "xen")], alter=lambda folder: flip(folder, at))
    check_stops(machine, r"(?i)configuration.*checksum")


def test_blob_without_guests(boot):
    """pack.py refuses it, so it is made by its lower half."""

    def empty(folder):
        with open(os.path.join(folder, "janus.blob"), "wb") as file:
            file.write(importlib.import_module("blobfmt").pack_blob([], [], []))

    check_stops(boot([guest("one", "xen")], alter=empty), r"(?i)no guest")


@pytest.mark.parametrize("what", ["vmlinux", "initrd"])
def test_cut_module(boot, what):
    part = {"vmlinux": ".elf", "initrd": "initrd"}[what]
    machine = boot([guest("one", "xen")], alter=lambda folder: cut_module(folder, part))
    check_stops(machine, r"(?i)module .*(whole|bytes|checksum)")


def test_missing_module(boot):
    check_stops(boot([guest("one", "xen")], omit=("1-initrd-6.1",)), r"(?i)module .*1-initrd-6\.1")


def test_altered_record_drops_that_guest_only(boot):
    """The last byte of the blob is in the last guest's record: the first one runs."""
    machine = boot([guest("good", "xen"), guest("bad", "hyperv")], alter=lambda folder: flip(folder, -1))
    machine.expect("janus", r"(?i)guest \"?bad\"?\b.*checksum", WAIT)
    check_passed(machine, "good", 180)
    assert "bad" not in machine.lines

"""The certification guest from its ISO, where there is no hypervisor: it comes to its plan's end, each row skipped and told why."""

import importlib
import os
import sys

import pytest
from alone import Alone
from conftest import BUILD, ROOT, mkiso

sys.path.insert(0, os.path.join(ROOT, "tests/certify"))
tap = importlib.import_module("tap")
rows = importlib.import_module("rows")

GUEST = os.path.join(BUILD, "certify/certify.elf")


@pytest.mark.parametrize("first,uefi", [(0, False), (1, False), (0, True)], ids=["bios-2", "bios-1", "uefi-2"])
def test_iso_without_a_hypervisor(tmp_path, first, uefi):
    iso = os.path.join(str(tmp_path), "certify.iso")
    mkiso.make_guest_iso(GUEST, iso, first=first, cmdline="mode=probe")
    with Alone(str(tmp_path), "-cdrom", iso, uefi=uefi) as machine:
        machine.wait_off()
        lines = machine.text().split("\n")
    (run,) = tap.parse(lines)
    assert run.complete and not run.errors and not run.wrong
    assert set(run.rows) == {row["id"] for row in rows.all_rows() if row["table"] != rows.RUN_TABLE}
    assert {(row.word, row.reason) for row in run.rows.values()} == {("skip", "neither Hyper-V nor Xen here")}

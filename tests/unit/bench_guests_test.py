"""tests/bench/guests.py: what it makes of the guest's lines and of the plugin's."""

import os
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/bench"))

import guests  # noqa: E402

REST = "guest_rep=0 host_rep=0 guest_hlt=0 host_hlt=0 entries=3"
SINGLE = [f"sample 1 guest={guest} host={host} {REST}" for guest, host in ((100, 50), (110, 70), (300, 60))]
DEEP = f"sample 2 guest={4096 * 90} host={4096 * 30} {REST}"


def said(key, median):
    return f"JANUS: bench={key} median={median} min=1 mean=1 ops=3"


def test_figures_are_of_the_median_sample():
    figures, parts = guests.figures_of([said("disk_read_1", 176), said("disk_read_32", 120)], [*SINGLE, DEEP])
    assert figures["disk_read_1"] == (180, 150, None)
    assert figures["disk_read_1_below"] == (70, 50, None)
    assert figures["disk_read_32"] == (120, 120, None)
    assert figures["disk_read_32_below"] == (30, 30, None)
    assert parts["disk_read_1"]["guest"] == 110


@pytest.mark.parametrize("median", [150, 210])
def test_the_tsc_must_agree(median):
    with pytest.raises(guests.BenchError, match="180 executed"):
        guests.figures_of([said("disk_read_1", median)], SINGLE)


def test_a_silent_guest_is_an_error():
    with pytest.raises(guests.BenchError, match="no figure"):
        guests.figures_of([said("disk_read_32", 180)], SINGLE)


def test_missing():
    column = {key: (1, 1, None) for key in guests.TEXTS if key != "udp_bulk"}
    assert guests.missing_of({"xen": column}) == ["xen udp_bulk"]
    assert not guests.missing_of({"xen": column}, "disk")


def test_profile_is_by_function():
    counted = [*SINGLE, "profile 1 1008 30", "profile 1 1010 6", "profile 2 1000 9"]
    assert guests.profile_of(counted, [(0x1000, "a"), (0x1010, "b")], "disk_read_1") == [(10, "a"), (2, "b")]

"""What needs a CPU that only Bochs has. Intel's: what Janus says without the features that it needs, and guests on both faces
with them; and of AMD's what QEMU's does not do.
"""

import pytest
from conftest import check_passed, networked, verdict
from hostile_cases import CASES
from own_guest import own_guest
from test_errors import check_stops
from test_own_guests import check_own

pytestmark = pytest.mark.bochs

OWN_DISK = {"hyperv": 1, "xen": 2}  # whose image is whose


@pytest.mark.parametrize("cpu,missing", [
    ("core2_penryn_t9600", "EPT"),
    ("corei5_lynnfield_750", "unrestricted guest"),
], ids=["ept", "unrestricted"])
def test_cpu_without(boot, cpu, missing):
    check_stops(boot([own_guest("one", "xen", "halt")], cpu=cpu, memory=512), f"cannot start: .*{missing}")


def test_both_faces(boot):
    """What `make run` does: stock Debian on each face, its disk, and the network from one to the other."""

    def worker(name, face, number, peer):
        image = OWN_DISK[face]
        return networked(name, face, number, peer, vcpus=1, disk="rw", disksum=verdict.pattern_sum(image, 2 << 20),
                         disks=[{"source": f"ram:disk-{image}.img", "mode": "rw"}])

    machine = boot([worker("hv", "hyperv", 1, 2), worker("xen", "xen", 2, 1)], memory=1024)
    for name, face in (("hv", "hyperv"), ("xen", "xen")):
        report = check_passed(machine, name, 100)
        assert (report["disk_driver"], report["net_driver"]) == verdict.DRIVERS[face]
        assert report["clock"] in verdict.CLOCKS[face]
        assert report["ping"] == "pass 3 of 3"


@pytest.mark.parametrize("case", [case.name for case in CASES if case.strict] + ["rsm", "vmx_instructions"])
def test_what_the_cpu_refuses(boot, case):
    """Hostile guests whose error is the CPU's own: here it is the one that is defined."""
    machine = boot([own_guest("bad", "xen", "hostile", case=case)], memory=512)
    check_own(machine, "bad", 60)


@pytest.mark.parametrize("face", ["hyperv", "xen"])
def test_an_nmi_waits_for_iret(boot, face):
    report = check_own(boot([own_guest("pairs", face, "nmi", rounds=20)], memory=512), "pairs", 60)
    assert (report["taken"], report["deepest"]) == ("40", "1")


@pytest.mark.parametrize("cpu", ["corei7_skylake_x", "ryzen"])
def test_a_pause_alone_stays_in_the_guest(boot, cpu):
    """A loop of them leaves it once in some thousands; of 300,000, with interrupts and all, 3000 at most."""
    machine = boot([own_guest("waiter", "xen", "pause", count=300_000)], cpu=cpu, memory=512)
    machine.expect("waiter", "JANUS: pauses=300000", 120)
    machine.monitor("stats waiter")
    left = int(machine.expect("monitor", r"vcpu 0: exits \d+: .* pause (\d+) ", 60)[1])
    assert 10 <= left <= 3000


@pytest.mark.parametrize("face", ["hyperv", "xen"])
def test_only_known_msrs(boot, face):
    """Here an MSR that the CPU does not have faults: Janus touches none without care."""
    machine = boot([own_guest("many", face, "smp", vcpus=4)], memory=512, ignore_bad_msrs=False)
    assert check_own(machine, "many", 60)["alive"] == "4 of 4"

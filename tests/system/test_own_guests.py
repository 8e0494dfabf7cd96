"""The freestanding guests of tests/guest: what no stock kernel puts to the test.

Where times are judged, the machine counts instructions (own_guest.py), so that they are exact and repeat.
"""

import os
import re

import pytest
from conftest import ROOT, guest
from own_guest import own_guest

FACES = ("hyperv", "xen")
SLICE_NS = 10_000_000  # hypervisor/core/machine.h
# On top of a slice: the exit that ends it and the way into the sleeper, some 10,000 instructions of 4 ns each.
SWITCH_NS = 100_000


def check_own(machine, name, seconds):
    """Waits until guest @name has reported pass and powered off. Gives its report."""
    report = machine.wait_report(name, seconds)
    assert report["result"] == "pass", report
    assert machine.wait_end(name, 30)[0] == "powered off"
    return report


def test_the_slice_is_what_these_tests_think():
    with open(os.path.join(ROOT, "hypervisor/core/machine.h"), encoding="utf-8") as file:
        assert int(re.search(r"#define SLICE_NS (\d+)", file.read())[1]) == SLICE_NS


@pytest.mark.parametrize("face,vcpus,options", [
    ("hyperv", 64, {}), ("xen", 64, {}), ("hyperv", 4, {"apic": "xapic"}), ("xen", 4, {"apic": "xapic"}),
], ids=["hyperv-64", "xen-64", "hyperv-xapic", "xen-xapic"])
def test_all_cpus(boot, face, vcpus, options):
    """Each of them starts, takes every IPI once, and sees a TSC that does not go back."""
    report = check_own(boot([own_guest("many", face, "smp", vcpus=vcpus, **options)], memory=1024, threads="multi"),
                       "many", 240)
    assert report["face"] == face
    assert report["apic"] == options.get("apic", "x2apic")
    assert report["alive"] == f"{vcpus} of {vcpus}"
    assert report["ipis"] == f"10 to each of {vcpus - 1}"
    assert report["broadcast"] == report["ring"] == f"{vcpus - 1} of {vcpus - 1}"
    assert report["total"] == f"13 each on {vcpus - 1}"


HAMMERED = ("sti_nop", "sti_hlt", "sti_cpuid", "sti_in", "sti_rdmsr", "sti_memory", "mov_ss_nop", "mov_ss_cpuid",
            "mov_ss_in", "mov_ss_rdmsr", "popf", "iret", "sti_cli")


def check_hammered(report, rounds, halts):
    """All rounds came to their end with the interrupt inside the sequence, and some at its first chance."""
    for name in HAMMERED:
        found = re.fullmatch(r"(\d+) rounds, (\d+) inside, (\d+) first, (\d+) wrong", report[name])
        done, inside, first, wrong = map(int, found.groups())
        assert (done, inside, wrong) == (halts if name == "sti_hlt" else rounds,) * 2 + (0,), (name, report[name])
        assert first > 0, (name, report[name])


@pytest.mark.parametrize("face", FACES)
def test_interrupts_around_shadows(boot_counting, face):
    """Delays that rise by few instructions bring the interrupt to every place of each sequence."""
    machine = boot_counting([own_guest("anvil", face, "hammer", rounds=1000, halts=2000)])
    check_hammered(check_own(machine, "anvil", 240), 1000, 2000)


@pytest.mark.parametrize("face", FACES)
def test_interrupts_around_shadows_in_real_time(boot, face):
    machine = boot([own_guest("anvil", face, "hammer", rounds=300, halts=2000, range=200000, step=401)], memory=1024,
                   threads="multi")
    check_hammered(check_own(machine, "anvil", 240), 300, 2000)


@pytest.mark.parametrize("face", FACES)
def test_wakeups_beside_a_spinning_cpu(boot_counting, face):
    """The CPU has a guest that never leaves it by itself: each of 1000 wake-ups comes within one time slice.

    One CPU, because QEMU counts instructions on one thread, where two spinning CPUs wait for each other.
    """
    limit_ns = SLICE_NS + SWITCH_NS
    machine = boot_counting([
        own_guest("busy", FACES[1 - FACES.index(face)], "spin"),
        own_guest("sleeper", face, "ticks", count=1000, period_us=200, spread_us=4000,
                  limit_us=limit_ns // 1000),
    ], shift=2)
    report = check_own(machine, "sleeper", 300)
    assert report["wakeups"] == "1000" and report["too_late"] == "0"
    # The shortest sleeps end when nearly all of a slice is still to come: less would be no test.
    assert SLICE_NS - 1_000_000 <= int(report["largest_late_ns"]) <= limit_ns
    assert machine.end_of("busy") is None


def test_wakeups_beside_two_spinning_cpus(boot):
    """In real time, where QEMU itself waits for its turn on this computer: that adds tens of milliseconds now and
    then, more with load. So only the median is held against the slice, and a second against the latest.
    """
    machine = boot([
        own_guest("busy1", "xen", "spin"), own_guest("busy2", "hyperv", "spin"),
        own_guest("sleeper", "xen", "ticks", count=1000, period_us=200, spread_us=4000, limit_us=1_000_000),
    ], memory=1024, threads="multi")
    report = check_own(machine, "sleeper", 120)
    assert report["wakeups"] == "1000"
    assert int(report["median_late_ns"]) <= SLICE_NS + 2_000_000


def test_wakeups_of_an_idle_machine(boot_counting):
    """With no one else, a wake-up comes at once."""
    report = check_own(boot_counting([own_guest("sleeper", "xen", "ticks", limit_us=100)]), "sleeper", 120)
    assert report["too_late"] == "0"


STRETCH_MAX = 100_000  # instructions; the design's bound
STRETCH = r"cpu 0: longest stretch without interrupts (\d+) ticks after exit ([0-9a-f]+)"


@pytest.mark.parametrize("face", FACES)
def test_longest_stretch_without_interrupts(boot_counting, face, record_property):
    """A tick is an instruction here. Debian boots and uses its disk; the longest stretch is Janus' own work for an exit."""
    machine = boot_counting([guest("worker", face, disk="rw", vcpus=1)], memory=1024)
    assert machine.wait_report("worker", 400)["result"] == "pass"
    machine.monitor("cpus")
    ticks, code = machine.expect("monitor", STRETCH, 60).groups()
    record_property(f"most instructions between two points where an interrupt is taken (after exit {code}):", ticks)
    assert 1000 < int(ticks) <= STRETCH_MAX


def test_monitor_shows_where_vcpus_are(boot):
    machine = boot([own_guest("busy", "xen", "spin"), own_guest("idle", "hyperv", "ticks", count=100_000)], memory=1024)
    machine.expect("janus", "guest idle: started", 60)
    machine.monitor("vcpus busy")
    assert int(machine.expect("monitor", r"vcpu 0: up, (?:on|queued) cpu \d, .* rip ([0-9a-f]+)", 30)[1], 16) >= 0x100000
    machine.monitor("exits")
    machine.expect("monitor", r"cpu 0: \d+ guest \d vcpu 0 rip [0-9a-f]+ exit [0-9a-f]+", 30)
    machine.monitor("destroy idle")
    assert machine.wait_end("idle", 60)[0] == "destroyed"
    machine.monitor("vcpus idle")
    machine.expect("monitor", "idle does not run: start idle", 30)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("vcpus", [1, 4])
def test_halting_for_good_is_power_off(boot, face, vcpus):
    machine = boot([own_guest("still", face, "halt", vcpus=vcpus)], memory=1024, threads="multi")
    machine.expect("still", f"JANUS: halting={vcpus}", 60)
    assert machine.wait_end("still", 30)[0] == "powered off"


def test_halting_for_good_on_one_cpu(boot_counting):
    """Here the second SIPI finds each CPU halted already: it must not count as something that is still to come."""
    machine = boot_counting([own_guest("still", "xen", "halt", vcpus=4)])
    assert machine.wait_end("still", 60)[0] == "powered off"


@pytest.mark.parametrize("face", FACES)
def test_an_nmi_waits_for_iret(boot, face):
    report = check_own(boot([own_guest("pairs", face, "nmi", rounds=200)], memory=512, threads="multi"), "pairs", 60)
    assert (report["taken"], report["deepest"]) == ("400", "1")


@pytest.mark.parametrize("face", FACES)
def test_triple_fault_ends_its_guest_only(boot, face):
    machine = boot([own_guest("bad", face, "triple"), own_guest("good", face, "storm", seconds=5)], memory=1024,
                   threads="multi")
    word, why = machine.wait_end("bad", 60)
    assert word == "killed" and "triple fault" in why
    assert not machine.find("bad", "still here")
    check_own(machine, "good", 60)

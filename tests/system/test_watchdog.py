"""A CPU of the host that goes no further: the others notice, and say all that they can before the end.

Janus itself is made to stand still, in a private copy of the tree: at CPUID leaf 5AFE5AFEh.
"""

import importlib
import os
import re
import sys

import pytest
from conftest import ROOT
from own_guest import own_guest

sys.path.insert(0, os.path.join(ROOT, "tests"))
private_copy = importlib.import_module("private_copy")

LOOKS = 10  # hypervisor/core/watch.h
LIMIT = LOOKS + 10  # seconds: looks come up to a quarter of a second late each, and COM1 takes its time
STUCK_LEAF = "leaf == 0x5afe5afeu"
PANIC_STATUS = 0x10 << 1 | 1  # HOST_EXIT_PANIC
BOCHS_STATUS = 1  # of any end
HERE = "uint32_t leaf = (uint32_t)gpr[REG_RAX];"
LOOP = f"{HERE} while ({STUCK_LEAF}) {{ __asm__ volatile(\"\"); }}"
# The log's lock is kept as well: every other CPU waits for it soon.
SEIZE = f"{HERE} extern void log_seize(void); if ({STUCK_LEAF}) {{ log_seize(); }}"
SEIZED = ("void log_seize(void); void log_seize(void) { spin_lock(&out.lock); for (;;) { __asm__ volatile(\"\"); } } "
          "static uint32_t room(void) {")


def altered(kind, *changes):
    """A Janus with the changes (file, from, to)."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "only")
    copy = private_copy.PrivateCopy(f"watchdog-{kind}-{worker}", ["ring0", "aml"])
    for name, old, new in changes:
        copy.replace(name, old, new)
    failed = copy.build("build/janus.elf")
    assert failed is None, failed
    return copy


@pytest.fixture(scope="module")
def looping():
    copy = altered("loop", ("hypervisor/core/exit.c", HERE, LOOP))
    yield copy.path("build/janus.elf")
    copy.remove()


@pytest.fixture(scope="module")
def seizing():
    copy = altered("seize", ("hypervisor/core/exit.c", HERE, SEIZE),
                   ("hypervisor/core/log.c", "static uint32_t room(void) {", SEIZED))
    yield copy.path("build/janus.elf")
    copy.remove()


def test_the_limit_is_what_these_tests_think():
    with open(os.path.join(ROOT, "hypervisor/core/watch.h"), encoding="utf-8") as file:
        assert int(re.search(r"#define WATCH_LOOKS (\d+)u", file.read())[1]) == LOOKS


def wait_dump(machine, pattern):
    """Waits for the panic and its end. Gives the match, and what was said from the panic on."""
    machine.expect("bad", "JANUS: stuck=soon", 60)
    found = machine.expect("firmware", pattern, LIMIT)
    assert machine.exit_status(30) in (PANIC_STATUS, BOCHS_STATUS)
    lines = machine.lines["firmware"]
    return found, "\n".join(lines[lines.index(found.string):])


def check_dump(machine, dump, cpu):
    """The registers of the CPU that stands, where it was called from, and its last exits."""
    assert re.search(rf"CPU {cpu} was stopped at\nrip ffffffff[0-9a-f]{{8}} .*\nrax [0-9a-f]{{16}} ", dump)
    assert re.search(rf"CPU {cpu} was stopped at\n(.*\n){{5}}backtrace: ffffffff", dump)
    assert machine.find("janus", rf"^cpu {cpu}: \d+ guest \d vcpu 0 rip [0-9a-f]+ exit [0-9a-f]+")
    assert "Janus: halted" in dump and "second panic" not in dump


def check_stuck(machine):
    found, dump = wait_dump(machine, r"Janus: panic on CPU (\d) at .*: CPU (\d) is stuck with vCPU 0 of guest bad: ")
    assert found[1] != found[2]
    check_dump(machine, dump, found[2])
    assert machine.find("janus", f"CPU {found[2]} had not passed for 5 seconds, and was kicked")  # which did not help


@pytest.mark.parametrize("face", ["hyperv", "xen"])
def test_a_cpu_that_loops(boot, looping, face):
    check_stuck(boot([own_guest("bad", face, "stuck"), own_guest("busy", "xen", "spin")], memory=512, elf=looping))


@pytest.mark.bochs
def test_a_cpu_that_loops_on_vmx(boot, looping):
    check_stuck(boot([own_guest("bad", "xen", "stuck")], memory=512, elf=looping))


def test_a_cpu_that_keeps_a_lock(boot, seizing):
    """Then all others stand still too, each at the lock: whoever is named, where the culprit is stands in the dump."""
    machine = boot([own_guest("bad", "xen", "stuck"), own_guest("calm", "xen", "ticks", count=10_000, period_us=10_000)], memory=512,
                   elf=seizing, smp=3)
    _, dump = wait_dump(machine, r"Janus: panic on CPU (\d) at .*: CPU (\d) is stuck")
    assert dump.count(" was stopped at") == 2 and "Janus: halted" in dump


def test_none_is_stuck(boot):
    """Busy, idle and overbooked CPUs for three times the limit: nobody is taken for stuck, nor kicked."""
    machine = boot([own_guest(f"busy{i}", "xen", "spin", vcpus=2) for i in range(2)]
                   + [own_guest("calm", "hyperv", "ticks", count=10_000, period_us=10_000)], memory=512, smp=3)
    machine.expect("janus", "guest calm: started", 60)
    assert machine.pump_for(3 * LOOKS)
    machine.monitor("guests")
    machine.expect("monitor", "^calm +running", 30)
    assert not machine.find("firmware", "panic") and not machine.find("janus", "kicked")

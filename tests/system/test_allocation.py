"""Too little memory: whoever asks for it is refused with one clear line, and all that it had is given back.

Each allocation on the way of a guest through its life is made to fail once, in a private copy of the tree: core's frames and
heap, below which everything else's memory comes from. What a guest does about an error in its own interface is its own affair.
"""

import importlib
import os
import re
import sys
import time

import pytest
import resources
from conftest import ROOT
from own_guest import own_guest
from test_given_back import full_guest

sys.path.insert(0, os.path.join(ROOT, "tests"))
private_copy = importlib.import_module("private_copy")

FACES = ("hyperv", "xen")
WAIT = 15  # seconds that a guest has to come up
STEPS = {"hyperv": 3, "xen": 11}  # of some 60 and 540 points, each such in an ordinary run
# The first guest's allocations are counted from each of its starts on; one of them fails.
CHANGES = (
    ("hypervisor/core/frames.c", "#define LIMBO_MAX 256u", """#define LIMBO_MAX 256u
uint32_t fault_at, fault_count;
static bool fault_now(void) { return __atomic_add_fetch(&fault_count, 1, __ATOMIC_RELAXED) == fault_at; }"""),
    ("hypervisor/core/frames.c", "frame = block_take(order);", "frame = fault_now() ? NO_FRAME : block_take(order);"),
    ("hypervisor/core/frames.c", "class = heap_class(total);", "class = heap_class(total); if (fault_now()) { return NULL; }"),
    ("hypervisor/core/control.c", "vm->start_asked = false; set_config(vm);", """
extern uint32_t fault_at, fault_count;
static uint32_t turn;
vm->start_asked = false;
set_config(vm);
if (vm == &vms[0]) {
	log_line("fault %u of %u", fault_at, fault_count);
	turn++;
	fault_count = 0;
	fault_at = turn < 3 ? 0 : (turn - 3) * STEP_OF_TEST + 1;
}"""),
)
CLEAR = r"too little memory|its face did not get what it needs|its disks|its board|the switch has no free port"


def faulty(step):
    worker = os.environ.get("PYTEST_XDIST_WORKER", "only")
    copy = private_copy.PrivateCopy(f"allocation-{step}-{worker}", ["ring0", "aml"])
    for name, old, new in CHANGES:
        copy.replace(name, old, new.replace("STEP_OF_TEST", str(step)))
    failed = copy.build("build/janus.elf")
    assert failed is None, failed
    return copy


@pytest.fixture(scope="module")
def faulty_elf():
    copies = {}

    def of(step):
        copies[step] = copies.get(step) or faulty(step)
        return copies[step].path("build/janus.elf")

    yield of
    for copy in copies.values():
        copy.remove()


class Sweep:
    def __init__(self, machine):
        self.machine = machine
        self.refused = self.ran = self.waits = 0

    def said(self, pattern, since):
        return [text for text in self.machine.lines["janus"][since:] if re.search(pattern, text)]

    def refused_clearly(self, since):
        lines = self.said("guest brim: ", since)
        assert re.search(CLEAR, " ".join(lines)), lines
        self.refused += 1

    def gets_on(self, since):
        """Until the guest's rings are full, or it has said why not. False: it waits for something that does not come."""
        deadline = time.monotonic() + WAIT * self.machine.emulator.slow
        while time.monotonic() < deadline:
            if self.machine.find("brim", "JANUS: (full|error)=") or self.said("guest brim: (all|killed)", since):
                return True
            self.machine.pump(0.2)
        return False

    def live(self):
        """One life. Gives how many allocations the life before this one had, and which of them was to fail."""
        machine, since = self.machine, len(self.machine.lines["janus"])
        machine.lines["brim"] = []
        machine.send(resources.KEY + "start brim\r")
        machine.wait_until(lambda: self.said("guest brim: (started|not started)", since), 60, "a start or a refusal")
        fault = re.search(r"fault (\d+) of (\d+)", self.said("^fault ", since)[0])
        if self.said("guest brim: not started", since):
            self.refused_clearly(since)
        else:
            self.ran += 1
            self.waits += not self.gets_on(since)
            machine.send("destroy brim\r")
            machine.wait_until(lambda: self.said("all that it had is free", since), 60, "all is given back")
        assert not self.said("leak:", since)
        return int(fault[1]), int(fault[2])


@pytest.mark.parametrize("face,step", [
    *STEPS.items(), *(pytest.param(face, 1, marks=pytest.mark.soak) for face in FACES),
])
def test_each_fails_once(boot, faulty_elf, face, step, record_property):
    """In each of its lives another allocation of the guest's fails, until it has no more."""
    machine = boot([full_guest(face, "full"), own_guest("calm", FACES[1 - FACES.index(face)], "spin")],
                   memory=512, elf=faulty_elf(step))
    machine.expect("janus", "guest calm: started", 60)
    sweep = Sweep(machine)
    sweep.live()
    sweep.live()  # two without a fault: what Janus keeps of a first life is there
    before = resources.settled(machine)
    points = 0
    while True:
        at, count = sweep.live()
        if at > count:  # the life before this one had no such allocation any more
            break
        points += 1
        now = resources.settled(machine)
        assert now.left("brim") == {}
        assert before.free - now.free == 0, f"after fault {at}"
    record_property("allocations that failed:", f"{points - 1}; {sweep.refused} times no start, {sweep.ran - 4} lives with it, "
                    f"{sweep.waits} of them waiting for ever for a device")
    assert points > 10 and sweep.refused > 5 and sweep.waits == 0
    after = resources.settled(machine)
    assert after.lasting("calm") == before.lasting("calm")
    assert machine.end_of("calm") is None


def test_some_fit_and_some_do_not(boot):
    """More memory asked for than there is: the first ones run, each other is refused, and a start later works."""
    guests = [own_guest(f"g{i}", FACES[i % 2], "spin", memory="112M") for i in range(8)]
    machine = boot(guests, memory=512, packed_for=4096)
    machine.expect("janus", "guest g7: (started|not started)", 120)
    came = [i for i in range(8) if machine.find("janus", f"guest g{i}: started")]
    assert came == [0, 1, 2, 3]
    for i in range(4, 8):
        assert machine.find("janus", f"guest g{i}: too little memory: 112 MiB asked for, \\d+ MiB free")
        assert machine.find("janus", f"guest g{i}: not started")
    first = resources.settled(machine)
    assert all(first.left(f"g{i}") == {} for i in range(4, 8))
    for turn in range(3):  # again and again: a refusal costs nothing
        machine.send("start g5\r")
        machine.wait_until(lambda: len(machine.find("janus", "guest g5: not started")) == 2 + turn, 30, "a refusal")
    assert resources.settled(machine).free == first.free
    machine.send("destroy g0\r")
    machine.expect("janus", resources.ENDED.format("g0"), 30)
    machine.send("start g5\r")
    machine.expect("janus", "guest g5: started", 30)
    assert all(machine.end_of(f"g{i}") is None for i in (1, 2, 3, 5))

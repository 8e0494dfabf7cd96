"""Mixed load for hours: a neighbour of each face with checked disk and network I/O, and hostile guests that come and go.

Which ones, and when, comes from a seed, which is printed. Each comes to the end that its row in hostile_cases.py says;
after each the neighbours' data are whole, and what everyone holds is what it was (hostile_yard.py). A line of the log that
no pattern below explains is a failure, as is anything on COM1 that nobody said.

    soak_load.py --hours 0.1 [--seed N]
"""

import argparse
import importlib
import os
import random
import re
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
hostile_yard = importlib.import_module("hostile_yard")
janus_machine = importlib.import_module("janus_machine")

LIFE_SECONDS = 900  # of one machine; then the next, with other guests
CASE_MS = 1000  # how long a storm blows
REST = 2.0  # seconds at most between two guests

# What Janus says of itself at boot.
BOOT = [
    r"^Janus: \d+ CPUs, TSC \d+ kHz, \d+ MiB free$", r"^between guests: ", r"^(SVM|VMX) on \d+ CPUs, ",
    r"^disks of the host: \d+, PCI by ", r"^the boot CPU runs no guest$",
]
# Of any guest: its coming.
COMING = [r"^guest \S+: started: (Hyper-V|Xen) face, \d vCPUs, \d+ MiB$"]
# Of a hostile one only: how it ends, and what it is told off for.
HOSTILE = [
    r"^guest \S+: (powered off|rebooted|crashed|killed|destroyed): ",
    r"^guest \S+: all that it had is free, \d+ us after its end$",
    r"^guest \S+: \d+ lines of its log dropped$",
    r"^guest \S+: vCPU \d+: (triple fault at|idt) ",
    r"^guest \S+: no emulation of .* at ",
    r"^guest \S+: (guest )?crash: ",
    r"^guest \S+: vbd \d+: request index out of range",
    r"^guest \S+: vif \d+: (transmit|receive) ring broken by the frontend",
    r"^guest \S+: v(bd|if) \d+: frontend refused",
    r"^guest \S+: xenstore: connection dropped: ",
    r"^guest \S+: xenbus: no memory for ",
    r"^guest \S+: vmbus: channel \d+ \(.*\) stops: ",
    r"^guest \S+: vmbus: vCPU \d+ takes no messages, one is lost",
    r"^guest \S+: vmbus: .*: the guest takes none of our versions",
    r"^guest \S+: netvsp: control message without a receive slot",
    r"^\d+ lines dropped: more was said than COM1 takes$",  # a storm of lines; never more than half of the log
]
MONITOR = [
    r"^monitor: help lists the commands$", r"^\S+ holds: pages ", r"^free \d+ pages of ",
    r"^\S+ +(off|starting|running|ending|crashed) ", r"^\S+ runs already$", r"^\S+ does not start after all$", r"^\S+ does not run: start \S+$",
]
NEIGHBOUR = [r"^JANUS: (ready|progress)="]


def any_of(patterns):
    return re.compile("|".join(f"(?:{p})" for p in patterns))


class Listener:
    """Sees each line; @strange has those that nothing explains."""

    def __init__(self, neighbours):
        self.neighbours = neighbours
        self.strange = []
        self.begun = False
        self.known = {"monitor": any_of(MONITOR), **{n: any_of(NEIGHBOUR) for n in neighbours}}
        self.boot, self.coming, self.hostile = any_of(BOOT), any_of(COMING), any_of(HOSTILE)

    def of_janus(self, text):
        if self.boot.search(text) or self.coming.search(text):
            return True
        if any(text.startswith(f"guest {n}:") for n in self.neighbours):
            return False
        return self.hostile.search(text) is not None

    def hear(self, who, text):
        if who == "janus":
            self.begun = True
            fine = self.of_janus(text)
        elif who == "firmware":
            fine = not self.begun or not text.strip()
        else:  # of a hostile guest's own lines the case judges
            fine = who not in self.known or self.known[who].search(text) is not None
        if not fine:
            self.strange.append(f"[{who}] {text}")


def forget(machine, name):
    """What a guest said in an earlier life."""
    machine.lines.pop(name, None)
    machine.seen.pop(name, None)


class Soak:
    def __init__(self, seed, end):
        self.dice, self.end = random.Random(seed), end
        self.total, self.failed, self.machines = 0, 0, 0
        self.pairs = hostile_yard.chosen("real")

    def fail(self, what):
        self.failed += 1
        print(f"FAILED: {what}", flush=True)

    def show(self, outcome):
        self.total += 1
        if outcome.wrong:
            self.failed += 1
        if outcome.wrong or self.total % 50 == 0:
            print(f"{self.total:6} {outcome.row()}", flush=True)

    def one_guest(self, yard, listener, pairs):
        case, face = self.dice.choice(pairs)
        forget(yard.machine, yard.name(case, face))
        self.show(yard.run(case, face))
        while listener.strange:
            self.fail("nothing explains: " + listener.strange.pop(0))
        yard.machine.pump_for(self.dice.random() * REST)

    def one_machine(self):
        """Until its life is over, or the time."""
        pairs = self.dice.sample(self.pairs, hostile_yard.BATCH)
        log = os.path.join(hostile_yard.ROOT, "build/system", f"soak_load_{self.machines}.log")
        self.machines += 1
        listener = Listener(hostile_yard.NEIGHBOURS)
        with tempfile.TemporaryDirectory(prefix="soak") as folder:
            yard = hostile_yard.Yard(pairs, "real", folder, log, ms=CASE_MS)
            yard.on_line = listener.hear
            try:
                with yard:
                    until = min(self.end, time.monotonic() + LIFE_SECONDS)
                    while time.monotonic() < until:
                        self.one_guest(yard, listener, pairs)
                    io = {n: yard.progress(n)[-1][0] for n in hostile_yard.NEIGHBOURS}
                    print(f"machine {self.machines}: {self.total} guests so far, the neighbours' I/Os: {io}", flush=True)
            except janus_machine.MachineError as error:
                panics = [m.string for m in yard.machine.find("firmware", "Janus: panic")] if yard.machine else []
                self.fail("; ".join(panics) or str(error).splitlines()[0])
                print(f"its log: {log}", flush=True)
            while listener.strange:
                self.fail("nothing explains: " + listener.strange.pop(0))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=None)
    args = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if args.seed is None else args.seed
    print(f"soak: {args.hours} hours, --seed {seed}", flush=True)
    soak = Soak(seed, time.monotonic() + args.hours * 3600)
    while time.monotonic() < soak.end:
        soak.one_machine()
    print(f"soak: {soak.total} hostile guests on {soak.machines} machines, {soak.failed} failures, --seed {seed}")
    return 1 if soak.failed or not soak.total else 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs hostile guests beside a neighbour of each face, and judges each by hostile_cases.py.

In `real` time each host CPU has a thread, the first one is for control: data, liveness, the monitor's answers, what
is left behind. Under `count` QEMU counts instructions on one host CPU: the neighbours' throughput beside the case
is held against what they reach beside a guest that spins on as many vCPUs.

    hostile_yard.py [--times N] [--mode real|count] [--quick] [CASE ...]      prints the table
"""

import argparse
import importlib
import os
import re
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "hypervisor/tools")]
conftest = importlib.import_module("conftest")
hostile_cases = importlib.import_module("hostile_cases")
janus_machine = importlib.import_module("janus_machine")
qemu = importlib.import_module("qemu")
mkiso = importlib.import_module("mkiso")
own_guest = importlib.import_module("own_guest")
resources = importlib.import_module("resources")
standstill = importlib.import_module("standstill")

CALM_VCPUS = (1, 2, 3, 4)
BATCH = 16 - 2 - len(CALM_VCPUS)  # of the 16 guests that a configuration may have
FACES = ("hyperv", "xen")
NEIGHBOURS = ("near-hyperv", "near-xen")
MEMORY = 1024
ANSWER_SECONDS = 1.0
THROUGHPUT_LEAST = 0.90
SETTLED = 2  # progress lines that still have a guest's start in them
# In pages. From a guest's first start on Janus keeps its counts (17), and pieces of the heap: as many as were ever in use at
# once, which a guest that fills its quotas shows. Another life of the same guest needs hardly more.
GROWTH_FIRST = 256
GROWTH = 16
GROWTH_ALL = 24  # for each guest, and GROWTH_FIRST once
WINDOW_US = 400_000  # a shorter case is no measure of throughput
PROGRESS = re.compile(r"JANUS: progress=io (\d+) sent (\d+) unsent (\d+) heard (\d+) lost (\d+) wrong (\d+) us (\d+)")
ENDS = {"lives": "powered off", "off": "powered off", "killed": "killed", "crashed": "crashed"}


class Outcome:
    """What a case came to: `wrong` lists what was not as expected."""

    def __init__(self, case, face, mode):
        self.case, self.face, self.mode = case, face, mode
        self.ended, self.throughput, self.leak, self.answer = "", None, "-", 0.0
        self.wrong = []

    def check(self, holds, what):
        if not holds:
            self.wrong.append(what)
        return holds

    def row(self):
        share = "-" if self.throughput is None else f"{self.throughput * 100:.0f} %"
        verdict = "as expected" if not self.wrong else "WRONG: " + "; ".join(self.wrong)
        return (f"{self.case.name:24} {self.face:7} {self.mode:6} {self.ended[:44]:44} {share:>6} {self.leak:>6} "
                f"{self.answer * 1000:5.0f} ms  {verdict}")


class Yard:
    """One machine with neighbours, for up to BATCH cases of one face."""

    def __init__(self, cases, mode, folder, log, elf=None, ms=None):
        self.cases, self.mode, self.folder, self.log, self.ms = cases, mode, folder, log, ms
        self.elf = elf or os.path.join(ROOT, "build/janus.elf")
        self.neighbours = {}  # more options of theirs
        self.baseline = {}
        self.had = set()  # names of guests that were started before
        self.first_free = None
        self.machine = None
        self.on_line = None  # sees each line of COM1

    # The machine

    def disk(self, name, kib):
        path = os.path.join(self.folder, name + ".img")
        with open(path, "wb") as file:
            file.truncate(kib << 10)
        return {"source": "ram:" + path, "mode": "rw"}

    def guest(self, name, face, program, number, disk_kib, autostart, **options):
        table = own_guest.own_guest(name, face, program, **options)
        table["disks"] = [self.disk(name, disk_kib)]
        table["nics"] = [{"switch": "lan", "mac": f"02:00:00:00:01:{number:02x}"}]
        table["autostart"] = autostart
        return table

    def guests(self):
        rest = {"gap_us": 0, "period_ms": 50} if self.mode == "count" else {"gap_us": 3000, "period_ms": 200}
        tables = [self.guest(name, face, "neighbour", 1 + i, 1024, True, id=i + 1, memory="32M", **rest,
                             **self.neighbours)
                  for i, (name, face) in enumerate(zip(NEIGHBOURS, FACES))]
        tables += [self.guest(f"calm{n}", "xen", "spin", 2 + n, 64, False, vcpus=n) for n in CALM_VCPUS]
        for i, (case, face) in enumerate(self.cases):
            tables.append(self.guest(self.name(case, face), face, "hostile", 16 + i, 256, False, vcpus=case.vcpus,
                                     memory=case.memory, case=case.name, ms=self.ms or case.ms,
                                     ram_mib=int(case.memory.rstrip("M")), **case.options))
        return tables

    @staticmethod
    def name(case, face):
        return f"{case.name.replace('_', '-')[:24]}-{face[0]}"

    def start(self):
        control = self.mode == "real"
        conftest.run_pack(self.folder, self.guests(), MEMORY, "control" if control else "guests")
        iso = os.path.join(self.folder, "janus.iso")
        mkiso.make_iso(self.elf, self.folder, iso)
        if self.mode == "count":
            command = own_guest.counting_command(iso, memory=MEMORY, shift=2)
        else:
            threads = "multi" if control else "single"
            command = qemu.qemu_command(iso, memory=MEMORY, smp=3 if control else 2, threads=threads)
        self.machine = janus_machine.Machine(command=command, log=self.log, on_line=self.on_line).start()
        for name in NEIGHBOURS:
            self.machine.expect(name, "JANUS: ready=", 120)

    # What is seen

    def ask(self, command, pattern, seconds=30):
        """The monitor's answer, and how long it took; where that is long, less the time that the test machine stood still."""
        self.machine.seen["monitor"] = len(self.machine.lines.get("monitor", []))
        begun = time.monotonic()
        self.machine.send(command + "\r")
        found = self.machine.expect("monitor", pattern, seconds)
        took = time.monotonic() - begun
        if took > ANSWER_SECONDS:
            took -= self.still.within(begun, begun + took)
        return found, took

    def progress(self, name):
        """All progress of a neighbour: (io, sent, heard, wrong, us) each."""
        found = self.machine.find(name, PROGRESS.pattern)
        return [(int(m[1]), int(m[2]), int(m[4]), int(m[6]), int(m[7])) for m in found]

    def resources(self):
        """What the host has free and each guest holds, when all but the neighbours have ended: nothing in limbo, nothing held by
        them; or as it is after 20 s."""
        deadline = time.monotonic() + 20
        while True:
            now = resources.ask(self.machine)
            gone = now.limbo == 0 and not any(now.left(name) for name in now.of if name not in NEIGHBOURS)
            if gone or time.monotonic() > deadline:
                return now
            self.machine.pump(0.2)

    def judge_resources(self, outcome, name, since, before, after):
        """Nothing of the guest is left, the host has all of it again, and the neighbours hold what they did."""
        leaks, left, taken = self.said(name, since, ": leak:"), after.left(name), before.free - after.free
        most = GROWTH if name in self.had else GROWTH_FIRST
        self.had.add(name)
        self.first_free = before.free if self.first_free is None else self.first_free
        outcome.leak = str(len(leaks) + len(left)) if 0 <= taken <= most and after.limbo == 0 else f"{taken} p"
        outcome.check(outcome.leak == "0", f"leak: {leaks} {left} free {before.free} then {after.free}, limbo {after.limbo}")
        grown = self.first_free - after.free
        outcome.check(grown <= GROWTH_FIRST + GROWTH_ALL * len(self.had), f"all in all {grown} pages are gone")
        for n in NEIGHBOURS:
            outcome.check(before.lasting(n) == after.lasting(n), f"{n} held {before.lasting(n)}, then {after.lasting(n)}")

    def wait_progress(self, counts, seconds):
        def all_went():
            return all(len(self.progress(name)) > counts[name] for name in NEIGHBOURS)
        self.machine.wait_until(all_went, seconds, "both neighbours go on")

    def rate(self, name, first, last):
        """I/Os in a second of guest time between two counts of progress lines; None: too short."""
        lines = self.progress(name)[first:last]
        if len(lines) < 2 or lines[-1][4] - lines[0][4] < WINDOW_US:
            return None
        return (lines[-1][0] - lines[0][0]) * 1e6 / (lines[-1][4] - lines[0][4])

    def counts(self):
        return {name: len(self.progress(name)) for name in NEIGHBOURS}

    # One case

    def measure_calm(self, vcpus):
        """The neighbours' rates beside a guest that spins on its vCPUs."""
        if self.mode != "count" or vcpus in self.baseline:
            return
        name = f"calm{vcpus}"
        self.machine.send(f"start {name}\r")
        self.machine.expect("janus", f"guest {name}: started", 60)
        self.wait_progress(self.counts(), 60)
        before = self.counts()
        self.machine.wait_until(lambda: min(len(self.progress(n)) - before[n] for n in NEIGHBOURS) > 20, 120, "progress")
        after = self.counts()
        self.baseline[vcpus] = {n: self.rate(n, before[n] + SETTLED, after[n]) for n in NEIGHBOURS}
        self.machine.send(f"destroy {name}\r")
        self.machine.wait_until(lambda: self.machine.end_of(name), 60, f"the end of {name}")

    def ended(self, name, since):
        for text in self.machine.lines.get("janus", [])[since:]:
            found = janus_machine.END.search(text)
            if found and found[1] == name:
                return found[2], found[3].lstrip(" :,")
        return None

    def said(self, name, since, pattern):
        lines = self.machine.lines.get("janus", [])[since:]
        return [text for text in lines if f"guest {name}:" in text and re.search(pattern, text)]

    def let_run(self, case, outcome, name, since):
        """Until it ends, or has run long enough; asks the monitor all the while. Gives how it ended."""
        machine = self.machine
        limit = time.monotonic() + (180 if self.mode == "count" else 60)
        endless = case.end in ("slowed", "reboots")
        enough = time.monotonic() + (12 if self.mode == "count" else 1.5 if self.ms else 3)
        while time.monotonic() < limit:
            if self.mode == "real":  # answering takes the neighbours' one CPU where that is counted
                _, took = self.ask("guests", rf"^{name} ")
                outcome.answer = max(outcome.answer, took)
            if case.nag:
                machine.send(case.nag.format(name) + "\r")
            machine.pump(0.03 if case.nag else 0.1)
            if not endless and self.ended(name, since):
                return
            if endless and time.monotonic() > enough:
                break
        rebooted = len(self.said(name, since, ": rebooted"))
        outcome.check(endless, "it did not end")
        if case.end == "reboots":
            outcome.check(rebooted >= 2, f"rebooted {rebooted} times")
            outcome.ended = f"rebooted {rebooted} times; "
        elif endless:
            outcome.check(self.ended(name, since) is None, "it ended by itself")
        self.destroy(outcome, name, since)

    def destroy(self, outcome, name, since):
        for tries in range(1, 200):
            self.machine.send(f"destroy {name}\r")
            deadline = time.monotonic() + 5
            refused = len(self.machine.find("monitor", f"{name} does not run"))
            while time.monotonic() < deadline and not self.said(name, since, ": destroyed"):
                self.machine.pump(0.05)
                if len(self.machine.find("monitor", f"{name} does not run")) > refused:
                    break
            if self.said(name, since, ": destroyed"):
                break
        outcome.check(tries == 1, f"destroyed at try {tries}")
        outcome.check(self.said(name, since, ": destroyed"), "not destroyed")

    def judge_end(self, case, outcome, name, since):
        end = self.ended(name, since)
        if case.end in ENDS:
            outcome.ended += " ".join(end or ("nothing",))
            outcome.check(end is not None and end[0] == ENDS[case.end], f"ended: {end}")
            outcome.check(end is not None and re.search(case.why or "", end[1]), "its reason")
        else:
            outcome.ended += "destroyed"
        bad = [m[2].strip() for m in self.machine.find(name, r"JANUS: (failed|error)=(.*)")]
        outcome.check(not bad, "it reports " + ", ".join(bad))
        if case.end == "lives":
            outcome.check(self.machine.reports(name).get("result") == "pass", "no pass")
        if case.log:
            count = len(self.said(name, since, case.log))
            outcome.check(count == 1, f"the log says {case.log!r} {count} times")

    def run(self, case, face):
        machine, name = self.machine, self.name(case, face)
        outcome = Outcome(case, face, self.mode)
        if case.storm:
            self.measure_calm(case.vcpus)
        held_before = self.resources()
        since = len(machine.lines.get("janus", []))
        wrong_before = {n: len(machine.find(n, "JANUS: (wrong|stuck|error)=")) for n in NEIGHBOURS}
        before = self.counts()
        machine.send(f"start {name}\r")
        machine.wait_until(lambda: self.said(name, since, ": started"), 60, f"start of {name}")
        begun = self.counts()
        self.let_run(case, outcome, name, since)
        after = self.counts()
        self.wait_progress(after, 60)
        self.judge_end(case, outcome, name, since)
        self.judge_resources(outcome, name, since, held_before, self.resources())
        for n in NEIGHBOURS:
            outcome.check(len(machine.find(n, "JANUS: (wrong|stuck|error)=")) == wrong_before[n], f"{n} saw wrong data")
            lines = self.progress(n)[max(before[n] - 1, 0):]
            grown = len(lines) > 1 and lines[-1][0] > lines[0][0] and lines[-1][2] > lines[0][2]
            outcome.check(grown, f"{n} stood still, or heard no heartbeat")
        outcome.check(outcome.answer <= ANSWER_SECONDS or self.mode == "count", f"the monitor took {outcome.answer:.1f} s")
        if self.mode == "count" and case.storm:
            self.judge_throughput(outcome, begun, after)
        return outcome

    def judge_throughput(self, outcome, begun, after):
        shares = []
        for n in NEIGHBOURS:
            rate, calm = self.rate(n, begun[n] + SETTLED, after[n]), self.baseline[outcome.case.vcpus][n]
            if rate is not None and calm:
                shares.append(rate / calm)
        if shares:
            outcome.throughput = min(shares)
            outcome.check(outcome.throughput >= THROUGHPUT_LEAST, f"throughput {outcome.throughput:.2f}")

    def run_all(self, show=None):
        outcomes = []
        with self:
            for case, face in self.cases:
                try:
                    outcome = self.run(case, face)
                except janus_machine.MachineError as error:
                    outcome = Outcome(case, face, self.mode)
                    panics = [m.string for m in self.machine.find("firmware", "Janus: panic")]
                    outcome.wrong.append("; ".join(panics) or str(error).splitlines()[0])
                    outcomes.append(outcome)
                    if show:
                        show(outcome)
                    break
                outcomes.append(outcome)
                if show:
                    show(outcome)
        return outcomes

    def __enter__(self):
        self.start()
        self.still = standstill.Standstill()
        return self

    def __exit__(self, *_):
        self.still.stop()
        self.machine.kill()


def chosen(mode, quick=False, names=(), faces=FACES):
    """(case, face) in the order of the table."""
    return [(case, face) for case in hostile_cases.CASES for face in faces
            if face in case.faces and (not quick or case.quick) and (not names or case.name in names)
            and not case.strict and not (mode == "real" and case.single)]


def run_pairs(pairs, mode, label, show=None):
    """All of @pairs, over as many machines as it takes; a machine that is lost costs only the case that lost it."""
    outcomes, number = [], 0
    while pairs:
        batch = pairs[:BATCH]
        log = os.path.join(ROOT, "build/system", f"hostile_{label}_{mode}_{number}.log")
        with tempfile.TemporaryDirectory(prefix="hostile") as folder:
            try:
                done = Yard(batch, mode, folder, log).run_all(show)
            except janus_machine.MachineError as error:
                outcome = Outcome(batch[0][0], batch[0][1], mode)
                outcome.wrong.append("no start: " + str(error).splitlines()[0])
                done = [outcome]
        outcomes += done
        pairs = pairs[len(done):]
        number += 1
    return outcomes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--mode", choices=("real", "count"), default=None, help="only this one")
    parser.add_argument("--quick", action="store_true", help="only the quick third")
    parser.add_argument("--face", choices=FACES, default=None, help="only this one")
    parser.add_argument("case", nargs="*")
    args = parser.parse_args()
    failed = total = 0
    print(f"{'case':24} {'face':7} {'mode':6} {'ended':44} {'share':>6} {'leak':>6} {'answer':>8}  verdict")
    for turn in range(args.times):
        for mode in [args.mode] if args.mode else ["real", "count"]:
            faces = (args.face,) if args.face else FACES
            pairs = chosen(mode, args.quick, args.case, faces)
            for outcome in run_pairs(pairs, mode, f"turn{turn}", lambda o: print(o.row(), flush=True)):
                total += 1
                failed += bool(outcome.wrong)
    print(f"{total - failed} of {total} as expected, {args.times} times over")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

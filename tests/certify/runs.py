"""Runs the certification guest on Janus in an emulator, or hosted in a process, and the real guests beside it.

A run leaves a folder build/certify/runs/<column>/ of the same form that a peer's has (specs/certify.md): column.json, what
the guest printed, and each boot's log. When the guest says nothing for a minute, or ends in a probe, its machine is
ended and started again with after=ID, ten times at most.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import judge
import evidence
import tap

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SYSTEM = os.path.join(ROOT, "tests/system")

REBOOTS_MAX = 10
BOOT_SECONDS = 900  # QEMU's, for one boot
END_SECONDS = 2
HOSTED_SECONDS = 300
MARKER = b"JANUS-CERTIFY-SCRATCH-DISK v1\n\0\0"
SCRATCH_BYTES = 2 << 20
LINE_BYTES = 256  # Janus' console ends a line here, and what is left comes as the next one
MEMORY = 1024
MATRIX_SECONDS = 300
CPUS = {"amd": ("EPYC", "SVM"), "intel": ("corei7_skylake_x", "VMX")}
MAKERS = {"amd": "AMD", "intel": "Intel"}
STATS = re.compile(r"(.+): used (\d+) refused (\d+)")
GUEST, ECHO = "certify", "echo"
VERSIONS = {"6.1": "Debian 12, kernel 6.1", "6.12": "Debian 12 backports, kernel 6.12"}
FACE_TITLES = {"hyperv": "Hyper-V face", "xen": "Xen face", "both": "both faces"}


class RunError(Exception):
    """What kept a run from starting, in one line."""


def system():
    """tests/system/conftest.py, which boots machines. Loaded only when one is to be booted."""
    if SYSTEM not in sys.path:
        sys.path.insert(0, SYSTEM)
    import conftest  # pylint: disable=import-outside-toplevel

    if not hasattr(conftest, "run_pack"):
        raise RunError(f"{conftest.__file__} is not tests/system/conftest.py")
    conftest.pexpect_error = conftest.janus_machine.qemu.pexpect.ExceptionPexpect
    return conftest


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.write("\n")


def write_lines(path, lines):
    with open(path, "w", encoding="utf-8", errors="replace") as file:
        file.writelines(line + "\n" for line in lines)


def join_split(lines):
    """A guest's lines with those put together again that its console had to split."""
    joined, open_line = [], False
    for line in lines:
        if open_line:
            joined[-1] += line
        else:
            joined.append(line)
        open_line = len(line.encode()) == LINE_BYTES
    return joined


def place_to_go_on(lines):
    """The ID after which the next boot goes on, of what one boot printed; None: there is none."""
    documents = tap.parse(lines)
    if not documents or documents[-1].complete:
        return None
    return documents[-1].begun or documents[-1].last


def run_with_reboots(start_once):
    """Runs @start_once(number, after), which gives (lines, how it ended), until the guest came to its end.

    Gives (all lines, the boots).
    """
    lines, boots, after = [], [], None
    for number in range(1, REBOOTS_MAX + 2):
        begun = time.monotonic()
        printed, ended = start_once(number, after)
        if not any(line.rstrip() == tap.VERSION for line in printed) and ended == judge.CLEAN_END:
            ended = "no output"
        boots.append({"number": number, "after": after, "ended": ended, "seconds": round(time.monotonic() - begun, 1)})
        lines += printed
        on = place_to_go_on(printed)
        if on is None or on == after:
            break
        after = on
    return lines, boots


# On Janus


def make_scratch(path, kind):
    """The scratch disk. @kind: "marked", or "unmarked" to see that the guest keeps off it."""
    with open(path, "wb") as file:
        file.write((MARKER if kind == "marked" else b"").ljust(SCRATCH_BYTES, b"\0"))


def certify_guest(name, face, vcpus, elf, number, disks=(), **options):
    """A configuration's table for a certification guest with a card on the switch."""
    line = " ".join(f"{key}={value}" for key, value in options.items() if value is not None)
    nic = {"switch": "lan", "mac": f"02:00:00:00:00:{number:02x}"}
    return {"name": name, "face": face, "vcpus": vcpus, "memory": "128M" if name == GUEST else "64M",
            "kernel": os.path.abspath(elf), "cmdline": line, "disks": list(disks), "nics": [nic]}


# Bytes a second that the guest prints at most: Bochs' COM1 is as slow as a real one, and Janus drops what does not fit it; QEMU's
# is fast, but who reads its pipe may not be.
PACE = {"amd": 50000, "intel": 6000}


class Janus:
    """What boots machines with Janus. Tests replace boot()."""

    def __init__(self, elf, guest_elf, folder, scratch="marked"):
        self.elf = elf
        self.guest_elf = guest_elf
        self.folder = folder
        self.scratch = scratch
        self.iso_sums = []

    def boot(self, guests, maker, name, log, memory=MEMORY):
        """A started machine that runs @guests."""
        conftest = system()
        folder = os.path.join(self.folder, "machines", name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        try:
            conftest.run_pack(folder, guests, memory)
        except AssertionError as error:
            raise RunError(f"{name}: pack.py: {error}") from None
        iso = os.path.join(folder, "janus.iso")
        try:
            conftest.mkiso.make_iso(self.elf, folder, iso)
            self.iso_sums.append(evidence.sha256(iso))
            return conftest.janus_machine.Machine(iso, maker=maker, memory=memory, log=log).start()
        except (conftest.mkiso.IsoError, OSError, conftest.pexpect_error) as error:
            raise RunError(f"{name}: {str(error).splitlines()[0]}") from None

    def guests(self, face, vcpus, after, maker):
        """The certification guest and the one that answers it."""
        disks = []
        if self.scratch != "none":
            path = os.path.abspath(os.path.join(self.folder, f"scratch-{self.scratch}.img"))
            make_scratch(path, self.scratch)
            disks.append({"source": f"ram:{path}", "mode": "rw"})
        return [
            certify_guest(GUEST, face, vcpus, self.guest_elf, 1, disks, mode="probe", cpus=vcpus, after=after,
                          pace=PACE.get(maker)),
            certify_guest(ECHO, "xen" if face == "both" else face, 1, self.guest_elf, 2, mode="echo"),
        ]

    def run_column(self, face, vcpus, maker):
        """One column: (its description, what the guest printed). Its logs lie in its folder."""
        name = f"janus-{maker}-{face}-{vcpus}"
        folder = os.path.join(self.folder, "runs", name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)

        def start_once(number, after):
            log = os.path.join(folder, f"boot{number}.log")
            machine = self.boot(self.guests(face, vcpus, after, maker), maker, name, log)
            try:
                return follow(machine)
            finally:
                machine.kill()

        lines, boots = run_with_reboots(start_once)
        for boot in boots:
            boot["log"] = f"boot{boot['number']}.log"
            boot["iso_sha256"] = self.iso_sums[boot["number"] - 1 - len(boots)]
        model, extension = CPUS[maker]
        title = f"Janus, {FACE_TITLES[face]}, {vcpus} vCPU{'s' if vcpus > 1 else ''}, {MAKERS[maker]}"
        column = {"id": name, "kind": "janus", "peer": None, "title": title, "face": face, "vcpus": vcpus, "cpu_kind": maker,
                  "configuration": f"face {face}, {vcpus} vCPUs, {model} with {extension}, scratch disk {self.scratch}",
                  "boots": boots, "tap": "guest.tap", "attempts": 1, "notes": []}
        write_lines(os.path.join(folder, "guest.tap"), lines)
        return column


def follow(machine, hang=judge.HANG_SECONDS, limit=BOOT_SECONDS, now=time.monotonic):
    """Watches the certification guest of a started machine. Gives (its lines, how it ended)."""
    hang *= machine.emulator.slow
    limit *= machine.emulator.slow
    begun = last = now()
    count = 0
    ended = None
    while ended is None:
        alive = machine.pump(0.5)
        lines = machine.lines.get(GUEST, [])
        if len(lines) != count:
            count, last = len(lines), now()
        end = machine.end_of(GUEST)
        if end is not None:
            ended = judge.CLEAN_END if end[0] == "powered off" else f"{end[0]}: {end[1]}".rstrip(": ")
        elif not alive:
            ended = "the machine ended: " + "; ".join(machine.lines.get("janus", ["no word of Janus"])[-2:])
        elif now() - last > hang:
            ended = "hung"
        elif now() - begun > limit:
            ended = f"not done after {limit:.0f} s"
    return join_split(list(machine.lines.get(GUEST, []))), ended


# Hosted


def run_hosted(program, face, folder):
    """A column of a program that prints the same on its standard output: `PROGRAM FACE [after=ID]`."""
    name = f"hosted-{face}"
    folder = os.path.join(folder, "runs", name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)

    def start_once(number, after):
        command = [program, face, *([f"after={after}"] if after else [])]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=HOSTED_SECONDS, check=False)
            output, errors, ended = done.stdout, done.stderr, end_of_process(done.returncode)
        except subprocess.TimeoutExpired as late:
            output, errors = ((part or b"").decode("utf-8", "replace") for part in (late.stdout, late.stderr))
            ended = "hung"
        except OSError as error:
            raise RunError(f"{program} cannot be run: {error.strerror}") from None
        write_lines(os.path.join(folder, f"boot{number}.log"), [*output.splitlines(), *errors.splitlines()])
        return output.splitlines(), ended

    lines, boots = run_with_reboots(start_once)
    for boot in boots:
        boot["log"] = f"boot{boot['number']}.log"
    write_lines(os.path.join(folder, "guest.tap"), lines)
    return {"id": name, "kind": "hosted", "peer": None, "title": f"Janus' {FACE_TITLES[face]}, hosted in a process",
            "face": face, "vcpus": None, "cpu_kind": "hosted", "configuration": f"{os.path.basename(program)} {face}",
            "boots": boots, "tap": "guest.tap", "attempts": 1, "notes": []}


def end_of_process(status):
    """0 and 1 are ends in order (1: a row failed)."""
    if status in (0, 1):
        return judge.CLEAN_END
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


# Real guests


def stats_of(machine, name, names):
    """What the monitor counted for guest @name: rows of used and refused."""
    before = len(machine.lines.get("monitor", []))
    machine.monitor(f"stats {name}")
    machine.expect("monitor", r"heartbeats \d+", 60)
    counted = []
    for text in machine.lines["monitor"][before:]:
        found = STATS.search(text)
        if found:
            row = names.get(found[1])
            counted.append({"row": row, "text": found[1], "used": int(found[2]), "refused": int(found[3])})
    return counted


def guest_counts(counted, specified):
    """How many rows a guest used, how many it asked for and never got, how many numbers stand in no table."""
    return {"offered_used": sum(1 for c in counted if c["used"] and specified.get(c["row"]) is not False),
            "refused_asked": sum(1 for c in counted if c["refused"] and c["row"] is not None),
            "unknown_asked": sum(1 for c in counted if c["row"] is None and (c["used"] or c["refused"]))}


def guest_entry(name, version, face, maker, release=None, vcpus=2):
    return {"id": f"{maker}-{face}-{version}", "name": name, "title": VERSIONS[version], "version": version,
            "release": release, "face": face, "vcpus": vcpus, "cpu_kind": maker, "verdict": judge.NOT_TRIED, "reason": "",
            "facts": [], "rows": [], "counts": {"offered_used": 0, "refused_asked": 0, "unknown_asked": 0}, "log": None}


def guests_not_tried(versions, maker, reason):
    return [{**guest_entry(face, version, face, maker), "reason": reason} for version in versions
            for face in ("hyperv", "xen")]


def judge_real_guest(entry, verdict, cells, counted, specified):
    """Fills a guest's row of the matrix from the cells of tests/system/verdict.py."""
    for column, one in zip(verdict.COLUMNS, cells):
        if column in ("guest", "face"):
            continue
        entry["facts"].append({"name": column, "value": one.text, "wrong": one.wrong or "",
                               "verdict": judge.PASS if one.wrong is None else judge.FAIL})
    entry["rows"] = counted
    entry["counts"] = guest_counts(counted, specified)
    wrong = [fact for fact in entry["facts"] if fact["verdict"] == judge.FAIL]
    entry["reason"] = "; ".join(f"{fact['name']}: {fact['wrong']}" for fact in wrong)
    if cells[1].wrong is not None:
        entry["reason"] = f"face: {cells[1].wrong}; {entry['reason']}".rstrip("; ")
    if not counted and not entry["reason"]:
        entry["reason"] = "the monitor counted no row for it"
    entry["verdict"] = judge.FAIL if entry["reason"] else judge.PASS
    return entry


def matrix_tables(conftest, version, faces):
    """Two guests that talk to each other, one a face, each with a disk of its own."""
    sums = [conftest.verdict.pattern_sum(seed, conftest.DISK_BYTES) for seed in (1, 2)]
    disks = [[{"source": f"ram:disk-{i}.img", "mode": "rw"}] for i in (1, 2)]
    return [conftest.networked(face, face, i + 1, 2 - i, version=version, disk="rw", disks=disks[i], disksum=sums[i])
            for i, face in enumerate(faces)]


def run_matrix(janus, version, maker, names, specified, folder):
    """Both faces' guests of one kernel, on one machine. Gives their rows of the matrix."""
    conftest = system()
    verdict = conftest.verdict
    faces = ("hyperv", "xen")
    release = conftest.release_of(version)
    name = f"guests-{maker}-{version}"
    os.makedirs(folder, exist_ok=True)
    log = os.path.join(folder, f"{name}.log")
    machine = janus.boot(matrix_tables(conftest, version, faces), maker, name, log, memory=2048)
    entries = []
    try:
        deadline = time.monotonic() + MATRIX_SECONDS * machine.emulator.slow
        while any(machine.end_of(face) is None for face in faces) and time.monotonic() < deadline and machine.pump(0.5):
            pass
        for i, face in enumerate(faces):
            entry = guest_entry(face, version, face, maker, release)
            cells = verdict.judge_guest({"name": face, "face": face, "release": release, "vcpus": 2, "peer": 2 - i},
                                        machine.reports(face), machine.end_of(face))
            try:
                counted = stats_of(machine, face, names)
            except AssertionError:
                counted = []
            entries.append(judge_real_guest(entry, verdict, cells, counted, specified))
            entries[-1]["log"] = os.path.basename(log)
    finally:
        machine.kill()
    return entries

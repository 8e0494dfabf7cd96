"""One boot of the emulator around a peer: watched by what it writes, ended by a clock when it writes nothing more."""

import dataclasses
import os
import re
import subprocess
import time

END_LINE = re.compile(r"^(# end\b.*|JANUS: result=.*|Bail out!.*)$", re.M)
FIRST_LINE = re.compile(r"^(TAP version|JANUS: )", re.M)  # before it is firmware's
BOOT_QUIET_SECONDS = 400  # kernels and toolstack say little, and a loaded machine takes 60 s and more for a stage
GUEST_QUIET_SECONDS = 120
AFTER_END_SECONDS = 45
# What every run has: one emulated instruction is one tick and one nanosecond if it counts.
PLAIN = ("-accel", "tcg,thread=multi,tb-size=512")
COUNTING = ("-accel", "tcg,thread=single,tb-size=512", "-icount", "shift=0,sleep=off", "-seed", "1",
            "-rtc", "base=2026-01-01T00:00:00,clock=vm")


@dataclasses.dataclass
class Ended:
    """How a boot of the machine ended: how is exit, hung (nothing more came), silent (after its last line) or limit."""

    how: str
    seconds: float
    stage: str


def emulator(icount, memory, smp, cpu):
    """The part of the command line that both peers share."""
    return ["qemu-system-x86_64", "-machine", "q35", *(COUNTING if icount else PLAIN), "-cpu", cpu, "-m", str(memory),
            "-smp", str(smp), "-nodefaults", "-display", "none", "-no-reboot", "-monitor", "stdio"]


def read_text(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace").replace("\r", "")
    except OSError:
        return ""


def stage_of(text):
    """The last thing that the peer's own script said."""
    found = re.findall(r"^peer: (.*)$", text, re.M)
    return found[-1] if found else "boot"


class Watch:
    """Looks at the files that a machine writes, and says when it is enough."""

    def __init__(self, rig, say):
        self.rig, self.say = rig, say
        self.size, self.changed, self.stage, self.row = -1, time.monotonic(), "boot", ""

    def look(self):
        """hung or silent, or None while it goes on."""
        guest = self.rig.guest_text()
        size = len(guest) + len(self.rig.script_text())  # kernels complain now and then even if all stands still
        now = time.monotonic()
        if size != self.size:
            self.size, self.changed = size, now
            self.tell()
        quiet = now - self.changed
        if END_LINE.search(guest) and quiet > AFTER_END_SECONDS:
            return "silent"
        started = self.rig.guest_started()
        limit = GUEST_QUIET_SECONDS if started and not END_LINE.search(guest) else BOOT_QUIET_SECONDS
        return "hung" if quiet > limit else None

    def tell(self):
        stage = stage_of(self.rig.script_text())
        if stage != self.stage:
            self.stage = stage
            self.say(f"  {stage}")
        begun = re.findall(r"^# begin (\S+)", self.rig.guest_text(), re.M)
        row = begun[-1].split(".")[0] if begun else ""
        if row != self.row:
            self.row = row
            self.say(f"  rows of {row}")


def ask_where(process):
    """Where the CPUs of a machine stand that does not get on: twice, into the emulator's log."""
    for _ in range(2):
        try:
            process.stdin.write(b"info registers -a\ninfo lapic\n")
            process.stdin.flush()
        except OSError:
            return
        time.sleep(1)


def run(rig, command, limit, say):
    """Runs @command until it ends by itself or has to be ended; of one that hangs the CPUs' registers are in its log.

    Of @rig it takes serials, guest_text, guest_started and script_text.
    """
    for path in rig.serials:
        with open(path, "wb"):
            pass
    watch, start, how = Watch(rig, say), time.monotonic(), None
    with open(rig.path("emulator.log"), "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            while how is None:
                try:
                    process.wait(1)
                    how = "exit"
                except subprocess.TimeoutExpired:
                    how = watch.look()
                if how is None and time.monotonic() - start > limit:
                    how = "limit"
        finally:
            if process.poll() is None:
                if how in ("hung", "limit"):
                    ask_where(process)
                process.kill()
                process.wait()
    watch.tell()
    return Ended(how, time.monotonic() - start, watch.stage)

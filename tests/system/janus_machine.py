"""A machine in an emulator that boots Janus, and what comes out of its COM1, guest by guest.

An AMD machine is QEMU (qemu.py), an Intel machine is Bochs (bochs.py). COM1 has whole lines, each `[who] text`: who
is a guest, or `janus` for the log. What has no such prefix (BIOS, GRUB) is kept under `firmware`. The verdict of a
test is by these lines: an emulator's exit status says little. Bochs is slow: there all waits are longer, by its
factor, so that a test names the seconds that QEMU needs.

    with Machine(iso, maker="intel") as machine:
        machine.expect("janus", r"guest web: started", 60)
        report = machine.wait_report("web", 120)
        machine.monitor("shutdown web")
"""

import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import bochs  # noqa: E402
import qemu  # noqa: E402

MONITOR_KEY = "\x01"  # Ctrl-A: COM1 from a guest's console to the monitor, and back
LINE = re.compile(r"\[([A-Za-z0-9][A-Za-z0-9._-]{0,30})\] ?(.*)")
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Za-z0-9]|[=>c])")
REPORT = re.compile(r"JANUS: ([a-z_]+)=(.*)")
# How the log says that a guest has come to its end: `guest NAME: powered off`, `guest NAME: crashed: WHY`.
END = re.compile(r"guest (\S+?):? (?:has )?(powered off|rebooted|crashed|killed|destroyed|dropped)(.*)")
TAIL_LINES = 40
TAIL_BYTES = 1 << 16


class MachineError(AssertionError):
    """What was waited for did not come. The text has the last lines of everyone."""


def emulator_of(maker, iso, **options):
    """The emulator that has a CPU of @maker, to boot @iso. @options: as of qemu_command() or of bochs.config()."""
    if maker == "intel":
        return bochs.Bochs(iso, **options)
    return qemu.Qemu(qemu.qemu_command(iso, **options))


class Machine:
    """One running machine. @on_line(who, text), if given, sees each line as it comes.

    It is what @emulator runs; else @command; else @iso on a machine of @maker, "amd" or "intel", with @options.
    """

    def __init__(self, iso=None, command=None, emulator=None, maker="amd", on_line=None, log=None, **options):
        if command is not None:
            emulator = qemu.Qemu(command)
        self.emulator = emulator or emulator_of(maker, iso, **options)
        self.on_line = on_line
        self.log = log
        self.lines = {}  # who: their lines
        self.seen = {}  # who: how many of them expect() has gone past
        self.ended = False
        self.begun = time.monotonic()
        self.partial = ""
        self.log_file = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()

    def start(self):
        self.begun = time.monotonic()
        if self.log is not None:
            os.makedirs(os.path.dirname(os.path.abspath(self.log)), exist_ok=True)
            self.log_file = open(self.log, "w", encoding="utf-8")
        self.emulator.start()
        return self

    def seconds(self):
        return time.monotonic() - self.begun

    # Lines

    def take_line(self, raw):
        text = ESCAPES.sub("", raw).rstrip("\r")
        found = LINE.match(text)
        who, said = found.groups() if found else ("firmware", text)
        self.lines.setdefault(who, []).append(said)
        if self.log_file is not None:
            self.log_file.write(f"{self.seconds():8.2f} {text}\n")
            self.log_file.flush()
        if self.on_line is not None:
            self.on_line(who, said)

    def pump(self, seconds):
        """Takes what comes within @seconds. False once the machine has ended and all is taken."""
        if self.ended:
            return False
        try:
            self.partial += self.emulator.read(seconds)
        except EOFError:
            self.ended = True
        *whole, self.partial = self.partial.split("\n")
        if self.ended and self.partial:
            whole.append(self.partial)
            self.partial = ""
        for line in whole:
            self.take_line(line)
        return not self.ended

    def pump_for(self, seconds):
        """Takes what comes for all of @seconds. False if the machine ends meanwhile."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.pump(0.2):
            pass
        return not self.ended

    def wait_until(self, condition, seconds, what):
        """Pumps until @condition() gives something true, and gives that. Else raises MachineError."""
        seconds *= self.emulator.slow
        deadline = time.monotonic() + seconds
        while True:
            result = condition()
            if result:
                return result
            left = deadline - time.monotonic()
            if self.ended:
                raise MachineError(self.explain(f"the machine ended before {what}"))
            if left <= 0:
                raise MachineError(self.explain(f"not within {seconds} seconds: {what}"))
            self.pump(min(left, 0.5))

    def next_match(self, who, pattern):
        lines = self.lines.get(who, [])
        for i in range(self.seen.get(who, 0), len(lines)):
            found = pattern.search(lines[i])
            if found:
                self.seen[who] = i + 1
                return found
        return None

    def expect(self, who, pattern, seconds):
        """The match of the next line of @who that has @pattern, after the one found before."""
        compiled = re.compile(pattern)
        return self.wait_until(
            lambda: self.next_match(who, compiled), seconds, f"[{who}] says {pattern!r}"
        )

    def find(self, who, pattern):
        """All matches of @pattern in what @who has said so far."""
        return [m for m in map(re.compile(pattern).search, self.lines.get(who, [])) if m]

    # What guests report

    def reports(self, who):
        """What a guest has reported so far: {key: value}, the last value of each."""
        return {m[1]: m[2].strip() for m in map(REPORT.search, self.lines.get(who, [])) if m}

    def wait_report(self, who, seconds):
        """All that @who has reported, once it has reported its result."""
        what = f"[{who}] reports its result"
        self.wait_until(lambda: "result" in self.reports(who), seconds, what)
        return self.reports(who)

    def end_of(self, who):
        """How the log says that guest @who ended: (word, the rest), or None."""
        for text in reversed(self.lines.get("janus", [])):
            found = END.search(text)
            if found and found[1] == who:
                return found[2], found[3].lstrip(" :,")
        return None

    def wait_end(self, who, seconds):
        return self.wait_until(lambda: self.end_of(who), seconds, f"the end of guest {who}")

    # Keys

    def send(self, text):
        """Types @text on COM1."""
        self.emulator.send(text)

    def monitor(self, command):
        """Gives one command to the monitor, and COM1 back to the console."""
        self.send(MONITOR_KEY)
        self.send(command + "\r")
        self.send(MONITOR_KEY)

    # The end

    def exit_status(self, seconds=30):
        """The emulator's exit status, once it has ended by itself. None: by a signal."""
        seconds *= self.emulator.slow
        deadline = time.monotonic() + seconds
        while self.pump(0.5):
            if time.monotonic() > deadline:
                raise MachineError(self.explain(f"not within {seconds} seconds: the machine's end"))
        return self.emulator.exit_status()

    def kill(self):
        """Ends the emulator, by its own process id."""
        self.emulator.kill()
        self.ended = True
        if self.log_file is not None:
            self.log_file.close()
            self.log_file = None

    def tail(self, count=TAIL_LINES):
        """The last lines of everyone, to print when something fails."""
        parts = []
        for who, lines in sorted(self.lines.items()):
            parts += [f"--- the last lines of {who}", *lines[-count:]]
        if self.partial:
            parts += ["--- an unfinished line", self.partial]
        complaints = self.emulator.complaints()
        if complaints:
            parts += ["--- what the emulator says", *complaints]
        return "\n".join(parts)[-TAIL_BYTES:]

    def explain(self, what):
        return f"after {self.seconds():.1f} s: {what}\n{self.tail()}"

"""What the monitor's `resources` says: the host's free pages, and what each guest holds.

    pages     its own memory                    timers    armed
    ours      pages of Janus' that it caused    ports     event channels, connections
    limbo     given up, not free yet            grants    references that backends hold
    heap      bytes of its modules' state       buffers   GPADLs
    pins      on any of its pages               channels  devices whose rings are served
"""

import re

HOLDS = re.compile(r"^(\S+) holds: (.*)$")
FREE = r"^free (\d+) pages of (\d+), in limbo (\d+)"
ENDED = r"guest {}: all that it had is free, (\d+) us after its end"
KEY = "\x01"  # Ctrl-A: keys are the monitor's from here


class Resources:
    """@free and @limbo in pages; @of[guest][kind]."""

    def __init__(self, free, limbo, of):
        self.free, self.limbo, self.of = free, limbo, of

    def left(self, guest):
        """What a guest that has ended still holds."""
        return {kind: count for kind, count in self.of[guest].items() if count}

    def lasting(self, guest):
        """Of a guest that runs: what does not come and go with its requests."""
        return {kind: self.of[guest][kind] for kind in ("pages", "ours", "heap", "ports", "buffers", "channels")}


def ask(machine, seconds=60):
    """What the monitor says now. Keys go to the monitor afterwards."""
    begun = len(machine.lines.get("monitor", []))
    machine.seen["monitor"] = begun
    machine.send(KEY + "resources\r")
    free, _, limbo = machine.expect("monitor", FREE, seconds).groups()
    found = filter(None, map(HOLDS.search, machine.lines["monitor"][begun:]))
    of = {m[1]: {kind: int(count) for kind, count in map(str.split, m[2].split(", "))} for m in found}
    return Resources(int(free), int(limbo), of)


def settled(machine, seconds=30):
    """The same, once nothing is in limbo."""
    def nothing_waits():
        now = ask(machine)
        return now if now.limbo == 0 else None
    return machine.wait_until(nothing_waits, seconds, "nothing is in limbo")


def given_back_us(machine, guest, since=0):
    """How long after each of its ends all that @guest had was free, of the log's lines from @since on."""
    lines = machine.lines.get("janus", [])[since:]
    return [int(m[1]) for m in map(re.compile(ENDED.format(guest)).search, lines) if m]

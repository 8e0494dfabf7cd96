"""How long the test machine itself stood still while something was timed on it.

A process on each CPU sleeps for a moment and looks at the clock, again and again. If it comes late, then nobody that was as
ready as it ran there meanwhile: not the emulator beside it either. So wall time less this is fair on a loaded machine.

    standstill.py CPU       such a process; each byte on its input is answered by a line, the times of what it saw since the last
"""

import json
import os
import select
import subprocess
import sys
import time

TICK = 0.01
LATE = 0.05  # what is shorter belongs to any machine with work for all its CPUs


class Standstill:
    """Of the CPUs that this process may use."""

    def __init__(self):
        self.watchers = [subprocess.Popen([sys.executable, os.path.abspath(__file__), str(cpu)], stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE) for cpu in os.sched_getaffinity(0)]
        self.within(time.monotonic(), time.monotonic())  # all of them have begun

    def within(self, begun, ended):
        """Seconds of the time from @begun to @ended (monotonic, later than the last call) in which a CPU stood still."""
        spans = []
        for watcher in self.watchers:
            watcher.stdin.write(b"?")
            watcher.stdin.flush()
        for watcher in self.watchers:
            spans += json.loads(watcher.stdout.readline())
        return covered(spans, begun, ended)

    def stop(self):
        for watcher in self.watchers:
            watcher.kill()
            watcher.communicate()


def covered(spans, begun, ended):
    """How much of the time from @begun to @ended lies in any of @spans, which may overlap."""
    total = 0.0
    for start, end in sorted(spans):
        start, end = max(start, begun), min(end, ended)
        if end > start:
            total += end - start
            begun = end
    return total


def watch(cpu):
    os.sched_setaffinity(0, {cpu})
    spans, last = [], time.monotonic()
    while True:
        asked, _, _ = select.select([sys.stdin], [], [], TICK)
        now = time.monotonic()
        if now - last > TICK + LATE:
            spans.append((last + TICK, now))
        last = now
        if asked:
            if not os.read(sys.stdin.fileno(), 1):
                return
            print(json.dumps(spans), flush=True)
            spans = []


if __name__ == "__main__":
    watch(int(sys.argv[1]))

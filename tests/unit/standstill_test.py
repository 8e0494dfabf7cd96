"""tests/system/standstill.py: what a CPU's process sees when it does not run."""

import importlib
import os
import signal
import sys
import threading
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/system"))
standstill = importlib.import_module("standstill")


@pytest.mark.parametrize("spans, seconds", [
    ([], 0), ([(1, 9)], 0), ([(9, 12)], 2), ([(11, 12)], 1), ([(18, 99)], 2), ([(0, 99)], 10), ([(20, 21)], 0),
    ([(11, 13), (12, 14)], 3), ([(11, 14), (12, 13)], 3), ([(12, 13), (11, 14), (15, 16)], 4), ([(11, 12), (11, 12)], 1),
])
def test_covered(spans, seconds):
    assert standstill.covered(spans, 10, 20) == seconds


@pytest.fixture
def still():
    one = standstill.Standstill()
    yield one
    one.stop()
    assert all(watcher.poll() is not None for watcher in one.watchers)


def test_one_that_stood_is_seen_once(still):
    stands = still.watchers[-1]
    begun = time.monotonic()
    os.kill(stands.pid, signal.SIGSTOP)
    time.sleep(0.5)
    os.kill(stands.pid, signal.SIGCONT)
    ended = time.monotonic()
    assert 0.4 <= still.within(begun, ended) <= ended - begun
    assert still.within(begun, ended) == 0


def test_it_is_waited_for(still):
    """One that stands still when it is asked tells of that too."""
    begun = time.monotonic()
    os.kill(still.watchers[0].pid, signal.SIGSTOP)
    wakes = threading.Timer(0.5, os.kill, (still.watchers[0].pid, signal.SIGCONT))
    wakes.start()
    assert still.within(begun, begun + 0.4) >= 0.3
    wakes.join()


def test_sleep_is_no_standstill(still):
    """Nobody waits for a CPU here for longer than this machine's other work makes it."""
    begun = time.monotonic()
    time.sleep(0.3)
    assert still.within(begun, time.monotonic()) < 0.3
    assert still.within(begun - 1, begun) == 0


def test_it_ends_with_who_asks(still):
    still.watchers[0].stdin.close()
    assert still.watchers[0].wait(10) == 0
    still.watchers.pop(0).stdout.close()

"""Which lines a soak takes for explained, and which it does not."""

import importlib
import os
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/system"))
soak_load = importlib.import_module("soak_load")

FINE = [
    ("firmware", "GRUB loading."), ("janus", "Janus: 3 CPUs, TSC 2600000 kHz, 1000 MiB free"),
    ("janus", "guest near-xen: started: Xen face, 1 vCPUs, 32 MiB"), ("firmware", ""),
    ("near-xen", "JANUS: ready=xen 256 blocks"), ("near-xen", "JANUS: progress=io 8 sent 1"),
    ("janus", "guest msr-storm-x: powered off: ACPI power off"), ("monitor", "monitor: help lists the commands"),
    ("janus", "guest msr-storm-x: all that it had is free, 1200 us after its end"), ("msr-storm-x", "anything at all"),
]


def test_what_is_explained():
    listener = soak_load.Listener(["near-xen"])
    for who, text in FINE:
        listener.hear(who, text)
    assert listener.strange == []


@pytest.mark.parametrize("who,text", [
    ("janus", "guest near-xen: powered off: ACPI power off"),
    ("janus", "guest near-xen: all that it had is free, 1200 us after its end"),
    ("janus", "guest near-xen: vbd 51712: request index out of range"),
    ("janus", "guest msr-storm-x: leak: 16 bytes, 0 pages, 0 pins, 0 timers not given back"),
    ("janus", "CPU 1 had not passed for 5 seconds, and was kicked"),
    ("janus", "no guest runs"),
    ("near-xen", "JANUS: wrong=sum: 1 instead of 2"),
    ("near-xen", "JANUS: stuck=read"),
    ("monitor", "no command \"x\": help lists them"),
    ("firmware", "Janus: panic on CPU 0 at hypervisor/core/p2m.c:1: x"),
])
def test_what_is_not(who, text):
    listener = soak_load.Listener(["near-xen"])
    for line in FINE:
        listener.hear(*line)
    listener.hear(who, text)
    assert listener.strange == [f"[{who}] {text}"]

"""The freestanding guests of tests/guest, as a configuration's tables, and the machine that counts instructions.

With -icount, QEMU's clocks stand on the number of executed instructions, one a nanosecond: each run gives
the same, however busy the computer is, and the guests' TSC is that number. That needs one thread for all CPUs.
"""

import importlib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TOOLS = os.path.join(ROOT, "hypervisor/tools")
PROGRAMS = os.path.join(ROOT, "build/tests/guest")
sys.path[:0] = [HERE, TOOLS]
janus_machine = importlib.import_module("janus_machine")
qemu = importlib.import_module("qemu")


def own_guest(name, face, program, vcpus=1, memory="32M", **options):
    """The table of a guest that runs build/tests/guest/PROGRAM.elf; @options are on its command line."""
    options.setdefault("cpus", vcpus)
    return {
        "name": name, "face": face, "vcpus": vcpus, "memory": memory,
        "kernel": os.path.join(PROGRAMS, program + ".elf"),
        "cmdline": " ".join(f"{key}={value}" for key, value in options.items()),
    }


def counting_command(iso, smp=1, memory=512, shift=0):
    """QEMU that boots @iso and counts instructions, each worth 2^@shift ns."""
    command = qemu.qemu_command(iso, smp=smp, memory=memory)
    return [*command, "-icount", f"shift={shift},sleep=off"]

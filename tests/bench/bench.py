#!/usr/bin/python3
"""What `make bench` does: boots the bench guest on each face and prints what leaving a guest costs.

    bench.py [--elf FILE] [--build FOLDER] [--limit SECONDS]

The machine counts instructions (-icount): the guest's TSC is the number of instructions executed, by the guest
and by Janus. Exit 0 only if both guests reported every row.
"""

import argparse
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests/system"))

import conftest  # noqa: E402
from own_guest import counting_command, janus_machine, own_guest  # noqa: E402

FACES = ("hyperv", "xen")
MEMORY = 512
# (the guest's key, what a reader calls it, the faces that have it)
ROWS = (
    ("rdtsc", "RDTSC back to back", FACES),
    ("port_in", "IN from a port that no one has", FACES),
    ("cpuid", "CPUID leaf 0", FACES),
    ("apic_base", "RDMSR APIC_BASE", FACES),
    ("self_ipi", "self-IPI (x2APIC) until its handler", FACES),
    ("xen_version", "null hypercall: XENVER_version", ("xen",)),
    ("xen_unknown", "hypercall that is not there: 63", ("xen",)),
    ("hv_spin_wait", "null hypercall: HvNotifyLongSpinWait", ("hyperv",)),
    ("hv_unknown", "hypercall that is not there: 8001", ("hyperv",)),
    ("hv_vp_index", "RDMSR HV_X64_MSR_VP_INDEX", ("hyperv",)),
    ("hv_reference_count", "RDMSR HV_X64_MSR_TIME_REF_COUNT", ("hyperv",)),
)
CAVEATS = """\
The unit is emulated instructions: path length only. VMRUN and #VMEXIT count 1 and 0, caches and TLBs
nothing. The emulator gives no next RIP (nRIP), so on all rows but IN Janus decodes the guest's instruction
for its length, which a CPU with nRIP saves. The RDTSC row is in every other one."""


def measure(face, args):
    """What the bench guest reports on @face."""
    folder = os.path.join(args.build, f"bench-{face}")
    os.makedirs(folder, exist_ok=True)
    conftest.run_pack(folder, [own_guest("bench", face, "bench")], MEMORY)
    iso = os.path.join(folder, "janus.iso")
    conftest.mkiso.make_iso(args.elf, folder, iso)
    command = counting_command(iso, smp=1, memory=MEMORY)
    with janus_machine.Machine(command=command, log=os.path.join(folder, "com1.log")) as machine:
        return machine.wait_report("bench", args.limit)


def cell(report, key, wanted):
    """(the text, True if it is right)."""
    if not wanted:
        return "-", True
    words = report.get(key, "").split()
    if len(words) != 3:
        return "missing", False
    median, least, same = words
    return f"{median} (min {least}, {int(same) / 10:.1f} % equal)", True


def main():
    parser = argparse.ArgumentParser(description="Counts the instructions of the ways out of a guest.")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--elf", default=os.path.join(ROOT, "build/janus.elf"))
    parser.add_argument("--limit", type=float, default=120, help="seconds for each face")
    args = parser.parse_args()
    reports = {face: measure(face, args) for face in FACES}
    good = all(reports[face].get("result") == "pass" for face in FACES)
    lines = [("emulated instructions, median of 1000", *(f"{face} face" for face in FACES))]
    for key, text, faces in ROWS:
        cells = [cell(reports[face], key, face in faces) for face in FACES]
        good = good and all(right for _, right in cells)
        lines.append((text, *(shown for shown, _ in cells)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
    print("\n" + CAVEATS)
    if not good:
        print("FAIL: a row is missing or a guest failed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

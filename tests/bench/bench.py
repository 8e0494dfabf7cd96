#!/usr/bin/python3
"""What `make bench` does: boots the bench guest on each face and prints what leaving a guest costs.

    bench.py [--cpu amd|intel] [--elf FILE] [--build FOLDER] [--limit SECONDS]

The guest's TSC is the number of instructions executed, by the guest and by Janus: in QEMU because it is told to count
them (-icount), in Bochs always. With --cpu intel the figures of VMX stand beside those of SVM. Exit 0 only if all
guests reported every row.
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
CAVEATS = {
    "amd": """\
SVM is QEMU's. The unit is emulated instructions: path length only. VMRUN and #VMEXIT count 1 and 0, caches and TLBs
nothing. The emulator gives no next RIP (nRIP), so on all rows but IN Janus decodes the guest's instruction
for its length, which a CPU with nRIP saves. The RDTSC row is in every other one.""",
    "intel": """\
VMX is Bochs'. The unit is ticks of its TSC, one for an emulated instruction: path length only, here too; what a VMREAD
or a VM entry costs on a CPU is not in it. Bochs gives each instruction's length. The two emulators need not count
alike (a repeated string instruction, an exit): compare rows of one column first.""",
}
COLUMN = {"amd": "SVM", "intel": "VMX"}


def make_image(face, args):
    """The ISO with the bench guest on @face."""
    folder = os.path.join(args.build, f"bench-{face}")
    os.makedirs(folder, exist_ok=True)
    conftest.run_pack(folder, [own_guest("bench", face, "bench")], MEMORY)
    iso = os.path.join(folder, "janus.iso")
    conftest.mkiso.make_iso(args.elf, folder, iso)
    return iso


def measure(maker, face, args):
    """What the bench guest reports on @face, on a CPU of @maker."""
    iso = make_image(face, args)
    log = os.path.join(os.path.dirname(iso), f"com1-{maker}.log")
    if maker == "intel":
        machine = janus_machine.Machine(iso, maker=maker, smp=1, memory=MEMORY, log=log)
    else:
        machine = janus_machine.Machine(command=counting_command(iso, smp=1, memory=MEMORY), log=log)
    with machine:
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
    parser.add_argument("--cpu", choices=("amd", "intel"), default="amd", help="intel: SVM and VMX")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--elf", default=os.path.join(ROOT, "build/janus.elf"))
    parser.add_argument("--limit", type=float, default=120, help="seconds for each guest in QEMU")
    args = parser.parse_args()
    makers = ("amd", "intel") if args.cpu == "intel" else ("amd",)
    reports = {(face, maker): measure(maker, face, args) for face in FACES for maker in makers}
    good = all(report.get("result") == "pass" for report in reports.values())
    names = (f"{face} face, {COLUMN[maker]}" for face, maker in reports)
    lines = [("emulated instructions, median of 1000", *names)]
    for key, text, faces in ROWS:
        cells = [cell(report, key, face in faces) for (face, _), report in reports.items()]
        good = good and all(right for _, right in cells)
        lines.append((text, *(shown for shown, _ in cells)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
    for maker in makers:
        print("\n" + CAVEATS[maker])
    if not good:
        print("FAIL: a row is missing or a guest failed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

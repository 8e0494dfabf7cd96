#!/usr/bin/python3
"""What `make bench` does: what leaving a guest costs on Janus, on Xen and on KVM, side by side.

    bench.py [--peers xen,kvm] [--guests] [--cpu amd|intel] [--check | --write-baseline] [--elf FILE] [--build FOLDER]

The certification guest in mode=bench times each operation 1000 times. Its TSC is the number of instructions executed,
by the guest and by what is below it: in QEMU because it is told to count them (-icount), in Bochs always. All figures
of one table come from one run. --check, which needs no peer: fails where Janus is more than 2 % worse than
tests/bench/baseline.json. Exit 0 only if all rows are there (a peer that cannot be had is told, and is no failure).
"""

import argparse
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests/system")]

import conftest  # noqa: E402
import guests  # noqa: E402
from operations import operations  # noqa: E402
from own_guest import counting_command, janus_machine  # noqa: E402

FACES = ("hyperv", "xen")
GUEST = os.path.join(ROOT, "build/certify/certify.elf")
BASELINE = os.path.join(HERE, "baseline.json")
WORSE = 1.02  # than the baseline: fails
MEMORY = 512
LINE = re.compile(r"# bench (\w+) median=(\d+) min=(\d+) same=(\d+)")
# Which peer offers a face, by the family's name.
PEERS = {
    "xen": {"hyperv": "xen-4.17-pvh-viridian", "xen": "xen-4.17-pvh"},
    "kvm": {"hyperv": "kvm-6.1-hyperv", "xen": "kvm-6.12-xen"},
}
PEER_HOURS = 1
CAVEATS = {
    "amd": """\
The unit is emulated instructions, of the guest and of all that is below it: path length only. VMRUN and #VMEXIT count 1
and 0, caches and TLBs nothing. The emulator gives no next RIP (nRIP): on all rows but IN and OUT every hypervisor here
decodes the guest's instruction for its length, which a CPU with nRIP saves; Janus and KVM decode less than Xen does.
KVM's unclaimed ports go to QEMU in user space. Xen: default spec-ctrl; KVM: mitigations=off.""",
    "intel": """\
VMX is Bochs'. The unit is ticks of its TSC, one for an emulated instruction: path length only, here too; what a VMREAD
or a VM entry costs on a CPU is not in it. Bochs gives each instruction's length. The two emulators need not count
alike (a repeated string instruction, an exit): compare rows of one column first.""",
}


def figures(lines):
    """{operation: (median, least, how many of 1000 equal the median)} of what the guest said."""
    found = (LINE.search(line) for line in lines)
    return {m[1]: (int(m[2]), int(m[3]), int(m[4])) for m in found if m}


def bench_guest(face):
    return {"name": "bench", "face": face, "vcpus": 1, "memory": "64M", "kernel": GUEST, "cmdline": "mode=bench cpus=1"}


def measure_janus(maker, face, args):
    """Boots the guest on @face of Janus, on a CPU of @maker."""
    folder = os.path.join(args.build, f"bench-{face}")
    os.makedirs(folder, exist_ok=True)
    conftest.run_pack(folder, [bench_guest(face)], MEMORY)
    iso = os.path.join(folder, "janus.iso")
    conftest.mkiso.make_iso(args.elf, folder, iso)
    log = os.path.join(folder, f"com1-{maker}.log")
    if maker == "intel":
        machine = janus_machine.Machine(iso, maker=maker, smp=1, memory=MEMORY, log=log)
    else:
        machine = janus_machine.Machine(command=counting_command(iso, smp=1, memory=MEMORY), log=log)
    with machine:
        machine.expect("bench", "^# end|^Bail out", args.limit)
        return figures(machine.lines["bench"])


def measure_peer(name, args):
    """({operation: figures}, None) of a peer, or (None, why there are none)."""
    out = os.path.join(args.build, "bench-peers", name)
    os.makedirs(out, exist_ok=True)
    command = [sys.executable, os.path.join(ROOT, "tests/certify/peers/peer.py"), "--peer", name, "--guest", GUEST]
    done = subprocess.run([*command, "--cmdline", "mode=bench cpus=1", "--out", out, "--icount"], check=False,
                          timeout=PEER_HOURS * 3600)
    try:
        with open(os.path.join(out, "column.json"), encoding="utf-8") as file:
            column = json.load(file)
    except OSError:
        return None, f"peer.py ended with status {done.returncode}"
    if "not_tried" in column:
        return None, column["not_tried"]
    with open(os.path.join(out, column["tap"]), encoding="utf-8", errors="replace") as file:
        return figures(file), None


def print_table(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
    print()


def shown(column, key):
    if column is None:
        return "not tried"
    if key not in column:
        return "not offered"
    median, _, same = column[key]
    return str(median) if same >= 990 else f"{median} ({same / 10:.0f} % equal)"


def ratio(ours, others):
    """Ours to the better of @others, as text."""
    best = min((column[0] for column in others if column), default=None)
    return f"{ours[0] / best:.2f}" if ours and best else "-"


def compare(face, columns, families):
    """One table: a line for each operation, a column for each of @families beside Janus, and the ratio."""
    lines = [(f"{face} face: emulated instructions, median of 1000", "Janus", *families, "ratio to the better")]
    for key, text in operations(face).items():
        ours = columns["janus"].get(key)
        others = [(columns[f] or {}).get(key) for f in families]
        cells = [shown(columns[f], key) for f in families]
        lines.append((text, shown(columns["janus"], key), *cells, ratio(ours, others) if families else "-"))
    print_table(lines)


def missing(face, column):
    return [key for key in operations(face) if key not in column]


def check_baseline(measured):
    """What has become worse than the baseline, as lines of text."""
    with open(BASELINE, encoding="utf-8") as file:
        baseline = json.load(file)
    worse = []
    for face, column in measured.items():
        for key, (median, _, _) in column.items():
            allowed = baseline.get(face, {}).get(key)
            if allowed is None:
                worse.append(f"{face} {key}: not in the baseline; make bench-baseline writes it")
            elif median > allowed * WORSE:
                worse.append(f"{face} {key}: {median}, in the baseline {allowed}: {median / allowed * 100 - 100:.1f} % worse")
    return worse


def bench_intel(args):
    """SVM's and VMX's figures side by side."""
    good = True
    for face in FACES:
        columns = {"SVM": measure_janus("amd", face, args), "VMX": measure_janus("intel", face, args)}
        lines = [(f"{face} face: emulated instructions, median of 1000", *columns)]
        for key, text in operations(face).items():
            lines.append((text, *(shown(column, key) for column in columns.values())))
            good = good and all(key in column for column in columns.values())
        print_table(lines)
    print(CAVEATS["amd"] + "\n\n" + CAVEATS["intel"])
    return good


def bench_guests(args, measured):
    """Real guests' disk reads and datagrams (guests.py), into @measured too. False if a figure is lacking."""
    try:
        figures = guests.measure_guests(args)
    except guests.BenchError as error:
        print(f"FAIL: {error}")
        return False
    for face, column in figures.items():
        measured[face].update(column)
    lacking = guests.missing_of(figures, args.parts)
    print("\n".join(f"FAIL: there is no figure for {line}" for line in lacking))
    return not lacking


def bench_amd(args, families):
    measured = {face: measure_janus("amd", face, args) for face in FACES}
    good = True
    for face in FACES:
        columns = {"janus": measured[face]}
        for family in families:
            columns[family], why = measure_peer(PEERS[family][face], args)
            if why:
                print(f"{PEERS[family][face]}: not tried: {why}")
        compare(face, columns, families)
        lacking = missing(face, measured[face])
        if lacking:
            print(f"FAIL: on the {face} face there is no figure for {', '.join(lacking)}")
            good = False
    if args.guests:
        good = bench_guests(args, measured) and good
    print(CAVEATS["amd"])
    if args.write_baseline:
        medians = {face: {key: row[0] for key, row in column.items()} for face, column in measured.items()}
        with open(BASELINE, "w", encoding="utf-8") as file:
            json.dump(medians, file, indent="\t", sort_keys=True)
            file.write("\n")
    if args.check:
        worse = check_baseline(measured)
        print("\n".join(f"FAIL: {line}" for line in worse))
        good = good and not worse
    return good


def main():
    parser = argparse.ArgumentParser(description="Counts the instructions of the ways out of a guest.")
    parser.add_argument("--cpu", choices=("amd", "intel"), default="amd", help="intel: SVM and VMX, without peers")
    parser.add_argument("--peers", default="", help="xen, kvm or both, with a comma")
    parser.add_argument("--guests", action="store_true", help="also disk reads and datagrams of real guests")
    guests.add_options(parser)
    parser.add_argument("--check", action="store_true", help="against tests/bench/baseline.json")
    parser.add_argument("--write-baseline", action="store_true")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--elf", default=os.path.join(ROOT, "build/janus.elf"))
    parser.add_argument("--limit", type=float, default=180, help="seconds for each guest in QEMU")
    args = parser.parse_args()
    families = [family for family in args.peers.split(",") if family not in ("", "none")]
    unknown = [family for family in families if family not in PEERS]
    if unknown:
        parser.error(f"no peer {unknown[0]}: there are {', '.join(PEERS)}")
    good = bench_intel(args) if args.cpu == "intel" else bench_amd(args, families)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""The part of `make bench` with real guests: disk reads and datagrams of Debian's kernel, on each face of Janus.

    guests.py [--faces hyperv,xen] [--parts disk,net] [--profile]

io.c measures inside the guest, by the TSC, which counts instructions (-icount); count.c, a plugin of QEMU, counts the
same stretch from outside and tells the guests' instructions from Janus' own. The figures are the plugin's, and the TSC
must agree with it: measure_guests() fails where it does not. One CPU for all, 1 vCPU a guest, mitigations=off nokaslr.
--profile prints in which functions of Janus the instructions are.
"""

import argparse
import bisect
import collections
import os
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "tests/system"), os.path.join(ROOT, "hypervisor/tools")]

import conftest  # noqa: E402
import mkguest  # noqa: E402
from own_guest import counting_command, janus_machine  # noqa: E402

FACES = ("hyperv", "xen")
PARTS = "disk,net"
VERSION = "6.1"
MEMORY = 1024
APPEND = "mitigations=off nokaslr"
# In the order of io.c's numbers, from 1: key, what a reader calls it, how many operations a sample has.
OPERATIONS = (
    ("disk_read_1", "4 KiB disk read, alone", 1),
    ("disk_read_32", "4 KiB disk read, 32 deep", 4096),
    ("udp_round_trip", "UDP round trip, 64 bytes, two guests", 1),
    ("udp_bulk", "UDP datagram of 1400 bytes, two guests", 8192),
)
TEXTS = {key: text for key, text, _ in OPERATIONS}
BELOW = "_below"  # after a key: the same without the guests' instructions
# The peers, in the same emulator with the same settings, but not in this run: (all, without the guests'). Xen 4.17 with
# phy: on a RAM disk, and netback; KVM 6.1 with QEMU 7.2's virtio-blk, aio=native, and vhost. KVM's single read has two
# modes: its figures are means. For both, the Linux that they need beside them is counted with them.
PEERS = {
    "Xen 4.17": {"disk_read_1": (88998, 68495), "disk_read_32": (14107, 5319), "udp_round_trip": (228228, 187972),
                 "udp_bulk": (30140, 17127)},
    "KVM 6.1": {"disk_read_1": (66924, 46000), "disk_read_32": (28675, 16972), "udp_round_trip": (88717, 59407),
                "udp_bulk": (45560, 28949)},
}
# What ends in an exit or a fault is an instruction to the plugin, and none to the TSC: an entry stands for one or two.
CLOSE = 8
CLOSE_ENTRY = 2
SAID = re.compile(r"JANUS: bench=(\w+) median=(\d+) min=(\d+) mean=(\d+) ops=(\d+)")
PROGRAM_FLAGS = ["-std=gnu17", "-Wall", "-Wextra", "-Werror", "-O2"]


class BenchError(Exception):
    """Why there is no figure, in one line."""


# What is built


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command[:3])}: {done.stderr.strip()}")
    return done.stdout


def build_programs(folder):
    """Builds io, in an initramfs behind the usual one's, and the plugin. Gives (initrd's name, plugin's path)."""
    usual = os.path.join(conftest.GUESTS, f"initrd-{VERSION}")
    if not os.path.isfile(usual):
        raise BenchError(f"{usual} is not there: make guests")
    os.makedirs(folder, exist_ok=True)
    program, plugin = os.path.join(folder, "io"), os.path.join(folder, "count.so")
    run("gcc", *PROGRAM_FLAGS, "-static", "-s", "-o", program, os.path.join(HERE, "io.c"))
    run("gcc", *PROGRAM_FLAGS, "-fPIC", "-shared", "-fvisibility=hidden", "-o", plugin, os.path.join(HERE, "count.c"))
    cpio = mkguest.Cpio()
    with open(program, "rb") as file:
        cpio.file("bin/io", file.read())
    with open(usual, "rb") as file:
        whole = file.read() + cpio.finish()
    name = f"initrd-bench-{VERSION}"
    mkguest.write_file(os.path.join(conftest.GUESTS, name), whole)
    return name, plugin


def janus_symbols(elf):
    """(first, end) of Janus' text, and its functions as sorted (address, name)."""
    rows = [line.split() for line in run("nm", "-n", elf).splitlines()]
    named = {row[2]: int(row[0], 16) for row in rows if len(row) == 3}
    functions = [(int(row[0], 16), row[2]) for row in rows if len(row) == 3 and row[1] in "tT"]
    return named["image_start"], named["image_text_end"], functions


# The machine


def bench_guests(part, face, initrd):
    """The guests of one part, and the one that says the figures."""
    words = {"vcpus": 1, "append": APPEND}
    if part == "disk":
        disks = [{"source": "ram:disk-1.img", "mode": "rw"}]
        guests = [conftest.guest("io", face, VERSION, disks=disks, bench="disk", **words)]
    else:
        guests = [conftest.networked("pong", face, 2, 1, net="none", bench="pong", **words),
                  conftest.networked("io", face, 1, 2, net="none", bench="ping", **words)]
    return [{**guest, "initrd": initrd} for guest in guests]


def run_part(part, face, args):
    """Boots Janus and its guests. Gives (what the guest said, the lines of the plugin)."""
    initrd, plugin = build_programs(os.path.join(args.build, "bench"))
    folder = os.path.join(args.build, "bench", f"{part}-{face}")
    os.makedirs(folder, exist_ok=True)
    conftest.run_pack(folder, bench_guests(part, face, initrd), MEMORY)
    iso, counted = os.path.join(folder, "janus.iso"), os.path.join(folder, "count.txt")
    conftest.mkiso.make_iso(args.elf, folder, iso)
    first, end, _ = janus_symbols(args.elf)
    options = f"{plugin},out={counted},first={first:#x},end={end:#x}" + (",profile=on" if args.profile else "")
    command = [*counting_command(iso, smp=1, memory=MEMORY), "-plugin", options]
    with janus_machine.Machine(command=command, log=os.path.join(folder, "com1.log")) as machine:
        if machine.expect("io", "JANUS: measured=(.*)", args.guest_limit)[1] != "pass":
            raise BenchError(machine.explain(f"{part} on the {face} face: the guest could not measure"))
        lines = list(machine.lines["io"])
    with open(counted, encoding="utf-8") as file:
        return lines, file.read().splitlines()


# The figures


def samples_of(counted):
    """{key: [{"guest": N, "host": N, ...}, ...]} for one operation each, of the plugin's lines."""
    samples = collections.defaultdict(list)
    for line in counted:
        if line.startswith("sample "):
            _, number, *words = line.split()
            key, _, count = OPERATIONS[int(number) - 1]
            counts = (word.split("=") for word in words)
            samples[key].append({name: int(value) / count for name, value in counts})
    return samples


def check_against_tsc(key, middle, lines):
    """The guest's own figure of @key must be that of @middle, the plugin's."""
    said = [m for m in map(SAID.search, lines) if m and m[1] == key]
    if not said:
        raise BenchError(f"{key}: the guest said no figure")
    by_tsc, by_plugin = int(said[0][2]), middle["guest"] + middle["host"]
    if abs(by_tsc - by_plugin) > CLOSE + CLOSE_ENTRY * middle["entries"]:
        raise BenchError(f"{key}: {by_tsc} by the guest's TSC, but {by_plugin:.0f} executed")


def median_sample(samples):
    """The sample whose total is the median: its parts belong together."""
    return sorted(samples, key=lambda s: s["guest"] + s["host"])[len(samples) // 2]


def figures_of(lines, counted):
    """{key: (median, min, None)} of all instructions, key_below: of Janus' alone; and {key: the median sample}."""
    figures, parts = {}, {}
    samples = samples_of(counted)
    for key in TEXTS:
        if key not in samples:
            continue
        totals = [s["guest"] + s["host"] for s in samples[key]]
        middle = parts[key] = median_sample(samples[key])
        check_against_tsc(key, middle, lines)
        middle["mean"] = statistics.fmean(totals)
        figures[key] = (round(middle["guest"] + middle["host"]), round(min(totals)), None)
        figures[key + BELOW] = (round(middle["host"]), round(min(s["host"] for s in samples[key])), None)
    return figures, parts


def profile_of(counted, functions, key):
    """[(instructions an operation, function), ...] of Janus in the series of @key, the most first."""
    number, count = next((i + 1, c) for i, (k, _, c) in enumerate(OPERATIONS) if k == key)
    series = sum(line.startswith(f"sample {number} ") for line in counted) * count
    starts = [address for address, _ in functions]
    found = collections.Counter()
    for line in counted:
        if line.startswith(f"profile {number} "):
            _, _, address, executed = line.split()
            found[functions[bisect.bisect(starts, int(address, 16)) - 1][1]] += int(executed)
    return [(executed / series, name) for name, executed in found.most_common()]


def measure_face(face, args):
    """({key: (median, min, None)}, {key: the median sample}) of one face."""
    figures, parts = {}, {}
    for part in args.parts.split(","):
        lines, counted = run_part(part, face, args)
        more_figures, more_parts = figures_of(lines, counted)
        figures.update(more_figures)
        parts.update(more_parts)
        if args.profile:
            functions = janus_symbols(args.elf)[2]
            for key in more_parts:
                print_profile(face, key, profile_of(counted, functions, key))
    return figures, parts


def measure_guests(args):
    """{face: {key: (median, min, None)}}: KEY of all instructions, KEY_below of those that are not a guest's.

    Prints the tables. @args: build, elf and what add_options() adds. Raises BenchError if a guest says no figure, or
    another than the plugin.
    """
    measured = {face: measure_face(face, args) for face in args.faces.split(",")}
    figures = {face: pair[0] for face, pair in measured.items()}
    print_guests(figures)
    print_parts({face: pair[1] for face, pair in measured.items()})
    return figures


def missing_of(figures, parts=PARTS):
    """What of @parts is lacking, as lines of text."""
    wanted = [key for key in TEXTS if ("disk" if key.startswith("disk") else "net") in parts]
    return [f"{face} {key}" for face, column in figures.items() for key in wanted if key not in column]


# For readers


def print_profile(face, key, rows, most=25):
    print(f"{face} face, {TEXTS[key]}: Janus' instructions an operation, by function")
    for executed, name in rows[:most]:
        print(f"  {executed:9.1f}  {name}")
    print(f"  {sum(row[0] for row in rows):9.1f}  all\n")


def print_table(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
    print()


def cell(pair):
    return f"{pair[0]} / {pair[1]}"


def print_guests(figures):
    """One table: each operation, on each face and on the peers: all instructions / without the guests'."""
    head = ("Debian 6.1: instructions / without the guest's", *(f"Janus {face}" for face in figures), *PEERS,
            "ratio to the better peer, by face")
    lines = [head]
    for key, text in TEXTS.items():
        ours = [(column[key][0], column[key + BELOW][0]) if key in column else None for column in figures.values()]
        best = [min(column[key][i] for column in PEERS.values()) for i in (0, 1)]
        ratios = "; ".join(f"{pair[0] / best[0]:.2f} / {pair[1] / best[1]:.2f}" for pair in ours if pair)
        cells = [cell(pair) if pair else "-" for pair in ours] + [cell(column[key]) for column in PEERS.values()]
        lines.append((text, *cells, ratios))
    print_table(lines)


def print_parts(parts):
    """Where the instructions of the median sample are."""
    names = ("guest", "host", "guest_rep", "host_rep", "entries", "guest_hlt")
    lines = [("The median sample, an operation", "mean of all", "guests", "Janus", "rep in guests", "rep in Janus",
              "entries", "HLT")]
    for face, samples in parts.items():
        for key, sample in samples.items():
            counts = (f"{sample[name]:.0f}" if sample[name] >= 100 else f"{sample[name]:.2f}" for name in names)
            lines.append((f"{face}: {TEXTS[key]}", f"{sample['mean']:.0f}", *counts))
    print_table(lines)


def add_options(parser):
    parser.add_argument("--faces", default=",".join(FACES))
    parser.add_argument("--parts", default=PARTS, help="of the real guests: disk, net or both")
    parser.add_argument("--profile", action="store_true", help="Janus' functions, by their instructions")
    parser.add_argument("--guest-limit", type=float, default=1500, help="seconds for each machine with real guests")


def main():
    parser = argparse.ArgumentParser(description="Counts the instructions of disk reads and datagrams of real guests.")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--elf", default=os.path.join(ROOT, "build/janus.elf"))
    add_options(parser)
    args = parser.parse_args()
    lacking = missing_of(measure_guests(args), args.parts)
    print("\n".join(f"FAIL: there is no figure for {line}" for line in lacking))
    return 1 if lacking else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"FAIL: {error}")

#!/usr/bin/python3
"""What `make run` does once all is built: boots both guests, shows their consoles, prints the verdict.

    run.py [--cpu amd|intel] [--fault disk|net|crash] [--elf FILE] [--guests FOLDER] [--build FOLDER] [--limit SECONDS]
    run.py --shell      the same machine with COM1 on this terminal

--cpu says whose CPU the machine has: amd is QEMU, intel is Bochs, where the limit and all waits are longer.

Exit 0 only if every cell of the table is right. A fault is seeded in a copy of the configuration, so
nothing is built again: disk gives the first guest another image than it expects, net puts its card on a
switch where no one else is, crash makes the second guest panic.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TOOLS = os.path.join(ROOT, "hypervisor/tools")
sys.path.insert(0, HERE)

import bochs  # noqa: E402
import janus_machine  # noqa: E402
import qemu  # noqa: E402
import verdict  # noqa: E402

# For each fault: what to replace in run.toml, each exactly once.
FAULTS = {
    "disk": [("ram:disk-1.img", "ram:disk-3.img")],
    "net": [
        ('switch = "lan", mac = "02:00:00:00:00:01"', 'switch = "lost", mac = "02:00:00:00:00:01"'),
        ("janus.peer=10.0.0.2 janus.wait=90", "janus.peer=10.0.0.2 janus.wait=15"),
        ("janus.peer=10.0.0.1 janus.wait=90", "janus.peer=10.0.0.1 janus.wait=15"),
    ],
    "crash": [("janus.peer=10.0.0.1 janus.wait=90 janus.end=poweroff",
               "janus.peer=10.0.0.1 janus.wait=90 janus.end=panic")],
}
CRASH_GRACE = 15  # seconds for the log to name a crash, after the guest said that it would


def seeded(text, fault):
    """The configuration with a fault in it. A replacement that does not fit is our error."""
    for old, new in FAULTS.get(fault, ()):
        if text.count(old) != 1:
            raise SystemExit(f"run: run.toml has {old!r} {text.count(old)} times, not once")
        text = text.replace(old, new)
    return text


def tool(name, *arguments):
    """Runs one of our tools; its own lines say what is wrong."""
    if subprocess.run([sys.executable, os.path.join(TOOLS, name), *arguments], check=False).returncode:
        raise SystemExit(1)


def make_image(args, fault):
    """Packs the configuration and makes the ISO. Gives its path and the configuration as parsed."""
    folder = os.path.join(args.build, "run" if fault is None else f"run-{fault}")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(HERE, "run.toml"), encoding="utf-8") as file:
        text = seeded(file.read(), fault)
    toml = os.path.join(folder, "janus.toml")
    with open(toml, "w", encoding="utf-8") as file:
        file.write(text)
    cache = os.path.join(args.build, "kernels")
    tool("pack.py", toml, "--out", folder, "--files", args.guests, "--cache", cache)
    iso = os.path.join(folder, "janus.iso")
    tool("mkiso.py", "--elf", args.elf, "--packed", folder, "--out", iso)
    return iso, tomllib.loads(text)


def expected_guests(config, guests_folder):
    """What each guest must report, from the configuration and what mkguest.py noted."""
    with open(os.path.join(guests_folder, "guests.json"), encoding="utf-8") as file:
        releases = json.load(file)["kernels"]
    for guest in config["guest"]:
        peer = re.search(r"janus\.peer=\d+\.\d+\.\d+\.(\d+)", guest["cmdline"])[1]
        version = guest["kernel"].removeprefix("vmlinuz-")
        yield {**guest, "peer": int(peer), "release": releases[version]}


def has_ended(machine, name):
    return machine.end_of(name) is not None


def watch(machine, names, limit):
    """Follows the machine until all guests are at their end, it ends, or time is up. Says why it stopped."""
    grace = CRASH_GRACE * machine.emulator.slow
    limit *= machine.emulator.slow
    panicking = {}
    while machine.seconds() < limit:
        if not machine.pump(0.5):
            return "the machine ended"
        for name in names:
            if machine.reports(name).get("end") == "panic":
                panicking.setdefault(name, machine.seconds())
        waits = (n for n in names if not has_ended(machine, n))
        if all(n in panicking and machine.seconds() - panicking[n] > grace for n in waits):
            return "all guests are at their end"
    return f"time is up: {limit} seconds"


def judge(machine, guests):
    """The rows of the table."""
    return [
        verdict.judge_guest(g, machine.reports(g["name"]), machine.end_of(g["name"])) for g in guests
    ]


def finish(machine, guests, why):
    """Prints table and verdict. Gives the exit status."""
    rows = judge(machine, guests)
    wrong = verdict.wrong_cells(rows)
    print(f"\n{why}, after {machine.seconds():.0f} s\n")
    if wrong:
        print(machine.tail() + "\n")
    print(verdict.table(rows) + "\n")
    for line in wrong:
        print(f"wrong: {line}")
    cells = len(rows) * (len(verdict.COLUMNS) - 1)
    bad = len(wrong)
    print(f"FAIL: {bad} of {cells} cells are wrong" if wrong else f"PASS: all {cells} cells are right")
    sys.stdout.flush()
    return 1 if wrong else 0


QUIT_STATUS = 1 << 1 | 1  # how QEMU ends when `quit` writes 1 to isa-debug-exit


def run_shell(iso, maker):
    """The machine with COM1 on this terminal; the monitor's `quit` or Janus' end ends it."""
    if maker == "intel":
        return bochs.run_on_terminal(iso)
    status = subprocess.run(qemu.qemu_command(iso), check=False).returncode
    return 0 if status == QUIT_STATUS else status


def parse_arguments():
    parser = argparse.ArgumentParser(description="Boots the two guests and judges what they report.")
    parser.add_argument("--cpu", choices=("amd", "intel"), default="amd", help="whose CPU the machine has")
    parser.add_argument("--fault", choices=sorted(FAULTS))
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--elf", default=os.path.join(ROOT, "build/janus.elf"))
    parser.add_argument("--guests", default=os.path.join(ROOT, "build/guests"))
    parser.add_argument("--limit", type=float, default=300, help="QEMU's seconds until we give up")
    parser.add_argument("--uefi", action="store_true")
    parser.add_argument("--shell", action="store_true")
    args = parser.parse_args()
    if args.uefi and args.cpu == "intel":
        parser.error("Bochs has no UEFI firmware")
    return args


def main():
    args = parse_arguments()
    iso, config = make_image(args, args.fault)
    if args.shell:
        return run_shell(iso, args.cpu)
    guests = list(expected_guests(config, args.guests))
    log = os.path.join(os.path.dirname(iso), "com1.log")
    firmware = {"uefi": True} if args.uefi else {}
    machine = janus_machine.Machine(iso, maker=args.cpu, log=log, **firmware)

    def show(who, text):
        print(f"{machine.seconds():6.1f} [{who}] {text}", flush=True)

    machine.on_line = show
    with machine:
        why = watch(machine, [g["name"] for g in guests], args.limit)
    return finish(machine, guests, why)


if __name__ == "__main__":
    sys.exit(main())

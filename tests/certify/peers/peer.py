#!/usr/bin/python3
"""Runs a guest on a peer, Debian's own Xen or KVM, in the emulator that also runs Janus.

    peer.py --peer NAME [--guest FILE] [--cmdline TEXT] [--out FOLDER] [--icount] [--net] [--no-disk] [--vcpus N]
            [--memory MIB] [--limit SECONDS] [--peers FOLDER] [--update] [--build-only] [--list] [--iso]

Writes column.json into --out, with one folder of raw logs for each boot, and says what it is doing. Exit 0 if the guest
came to its end, 1 if not, 2 if the peer could not be had ("not tried", with the reason, in column.json).

column.json: peer, title, identity {packages, hashes, emulator}, boots [{log, ended, seconds, cmdline, files}], tap (the
guest's text; of several boots the rows put together), attempts, notes, bench {operation: {median, min, same, unit}}; or
peer, title and not_tried. Paths are relative to its folder.

A guest that hangs (no line for 120 s) or dies in a row ("# begin ID" without its result) is booted again with
after=ID; a row that hangs is first tried once more, as both peers now and then stand still on this emulator. One that stops
before any row is tried three times.
"""

import argparse
import dataclasses
import json
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import debian  # noqa: E402
import kvm  # noqa: E402
import machine  # noqa: E402
import mkguest  # noqa: E402
import rig  # noqa: E402
import xen  # noqa: E402

PEERS = {
    "xen-4.17-pvh": xen.Xen,
    "xen-4.17-pvh-viridian": xen.Xen,
    "xen-4.17-hvm-viridian": xen.Xen,
    "kvm-6.1-hyperv": kvm.Kvm,
    "kvm-6.12-hyperv": kvm.Kvm,
    "kvm-6.12-xen": kvm.Kvm,
    "kvm-6.12-both": kvm.Kvm,
}
BOOTS_MAX = 12
TRIES_BEFORE_ROWS = 3
TRIES_OF_A_ROW = 2
ENDED_BY_ITSELF = "ended early: QEMU's exit status"  # it would do so again
RESULT = re.compile(r"^(not )?ok (\d+)(?: - (\S+))?(.*)$")
EARLIER = "done in an earlier boot"
BENCH = re.compile(r"^# bench (\S+) median=(\d+) min=(\d+) same=(\d+) unit=(\w+)", re.M)


@dataclasses.dataclass
class RunResult:
    """What run_guest() gives: the guest's text, how the last boot ended, every boot, and what a reader has to know."""

    log: str
    ended: str
    attempts: int
    notes: list
    identity: dict
    boots: list
    title: str


def row_now(text):
    """(the row begun and not finished or None, the last row finished or None) of one boot's text."""
    begun, done = None, None
    for line in text.split("\n"):
        if line.startswith("# begin "):
            begun = line.split()[2] if len(line.split()) > 2 else None
        result = RESULT.match(line)
        if result and EARLIER not in line:
            done, begun = result[3] or done, None
    return begun, done


def result_blocks(text):
    """[(row, [lines])] of one boot: each result line with the comments before it and the YAML block behind it."""
    blocks, waiting, inside = [], [], False
    for line in text.split("\n"):
        result = RESULT.match(line)
        if result:
            blocks.append((result[3] or result[2], [*waiting, line]))
            waiting, inside = [], False
        elif blocks and (inside or line.strip() == "---"):
            blocks[-1][1].append(line)
            inside = line.strip() != "..."
        else:
            waiting.append(line)
    return blocks


def died_block(number, row, how):
    """The result of a row in which the guest hung or died, which it could not print itself."""
    what = "hung" if how.startswith(("hung", "limit")) else how
    return [f"# begin {row}", f"not ok {number} - {row}", "  ---", f"  failed: {json.dumps(what)}",
            "  failed_count: 1", "  ..."]


def merge_tap(boots, died):
    """One TAP text of several boots: each row from the boot that ran it, rows of @died {row: how} as failed."""
    if len(boots) == 1 and not died:
        return boots[0].text
    rows, numbers = {}, {}
    for boot in boots:
        for row, lines in result_blocks(boot.text):
            result = next(RESULT.match(line) for line in lines if RESULT.match(line))
            numbers[row] = int(result[2])
            if EARLIER not in result[0] or row not in rows:
                rows[row] = [line for line in lines if not line.startswith(("TAP version", "1..", "# janus-certify"))]
    for row, how in died.items():
        rows[row] = died_block(numbers.get(row, len(numbers) + 1), row, how)
        numbers.setdefault(row, len(numbers) + 1)
    head = []
    for line in max((b.text for b in boots), key=len).split("\n"):
        if line.startswith("# begin ") or RESULT.match(line):
            break
        head.append(line)
    tail = [line for line in boots[-1].text.split("\n") if line.startswith(("# end", "Bail out!"))]
    ordered = sorted(rows, key=lambda row: numbers[row])
    return "\n".join([*head, *(line for row in ordered for line in rows[row]), *tail]) + "\n"


class Course:
    """The boots of one run: what to do after each that did not come to its end."""

    def __init__(self, cmdline):
        self.cmdline, self.after = cmdline, None
        self.tries, self.died, self.notes = {}, {}, []

    def line(self):
        if not self.after:
            return self.cmdline
        return " ".join([*(word for word in self.cmdline.split() if not word.startswith("after=")), f"after={self.after}"])

    def goes_on(self, boot, number):
        """True if another boot is wanted."""
        if machine.END_LINE.search(boot.text):
            return False
        row, done = row_now(boot.text)
        where = f"in {row}" if row else "before the first row" if done is None else f"after {done}"
        self.notes.append(f"boot {number}: {boot.ended}, {where}")
        self.tries[row] = self.tries.get(row, 0) + 1
        if row is None:
            self.after = done or self.after
            return self.tries[row] < TRIES_BEFORE_ROWS
        if self.tries[row] < TRIES_OF_A_ROW and not boot.ended.startswith(ENDED_BY_ITSELF):
            self.after = done or self.after
            return True
        self.died[row], self.after = boot.ended, row
        return True


def run_guest(peer, elf, cmdline, vcpus=1, memory=256, disk=True, net=False, icount=False, limit=1800, *, out,
              iso=False, folder=None, update=False, say=print):
    """Builds @peer if needed and runs @elf on it; the logs go to @out. Raises PeerError if the peer cannot be had."""
    maker = PEERS[peer]
    if iso and maker is not kvm.Kvm:
        raise debian.PeerError(f"{peer} starts no guest from a CD here: take one of KVM's")
    peer_rig = maker(peer, folder or os.path.join(debian.ROOT, "build/peers"), os.path.abspath(out), say)
    peer_rig.build(update)
    job = rig.Job(elf, cmdline, vcpus, memory, disk, net, icount, limit, iso)
    course, boots, begun = Course(cmdline), [], time.monotonic()
    while True:
        left = limit - (time.monotonic() - begun)
        boots.append(peer_rig.boot(dataclasses.replace(job, cmdline=course.line(), limit=left), len(boots) + 1))
        if not course.goes_on(boots[-1], len(boots)):
            break
        if len(boots) == BOOTS_MAX or limit - (time.monotonic() - begun) < 60:
            course.notes.append(f"given up after {len(boots)} boots and {time.monotonic() - begun:.0f} s")
            break
        say(f"  {course.notes[-1]}: tries again")
    identity = {**peer_rig.identity, "emulator": debian.emulator_version(), "guest_sha256": debian.sha256(elf),
                "icount": icount, "vcpus": vcpus, "memory_mib": memory}
    notes = [*peer_rig.notes, *course.notes]
    return RunResult(merge_tap(boots, course.died), boots[-1].ended, len(boots), notes, identity, boots, peer_rig.title)


def column(peer, result, out):
    """What column.json says of a run."""
    def relative(path):
        return os.path.relpath(path, out)

    tap = os.path.join(out, "guest.tap")
    mkguest.write_file(tap, result.log.encode())
    return {
        "peer": peer,
        "title": result.title,
        "identity": result.identity,
        "boots": [{"log": relative(b.log), "ended": b.ended, "seconds": b.seconds, "cmdline": b.cmdline,
                   "files": [relative(f) for f in b.files]} for b in result.boots],
        "tap": relative(tap),
        "attempts": result.attempts,
        "notes": result.notes,
        "bench": {name: {"median": int(median), "min": int(least), "same": int(same), "unit": unit}
                  for name, median, least, same, unit in BENCH.findall(result.log)},
    }


def write_column(out, what):
    mkguest.write_file(os.path.join(out, "column.json"), (json.dumps(what, indent=1) + "\n").encode())


def arguments():
    parser = argparse.ArgumentParser(description="Runs a guest on Debian's own Xen or KVM, in the emulator.")
    parser.add_argument("--peer", choices=PEERS, metavar="NAME", help=", ".join(PEERS))
    parser.add_argument("--guest", default=os.path.join(debian.ROOT, "build/certify/certify.elf"))
    parser.add_argument("--cmdline", default="mode=probe")
    parser.add_argument("--out", help="build/certify/peers/NAME if not given")
    parser.add_argument("--peers", default=os.path.join(debian.ROOT, "build/peers"), help="where the peers are built")
    parser.add_argument("--icount", action="store_true", help="count instructions: the same figures in every run")
    parser.add_argument("--net", action="store_true", help="a network card, and a second guest that answers on it")
    parser.add_argument("--no-disk", action="store_true")
    parser.add_argument("--iso", action="store_true", help="from a CD, by GRUB, as any machine would; KVM only")
    parser.add_argument("--vcpus", type=int, default=1)
    parser.add_argument("--memory", type=int, default=256, help="of the guest, in MiB")
    parser.add_argument("--limit", type=int, default=3600, help="seconds for all boots together")
    parser.add_argument("--update", action="store_true", help="ask Debian for the newest packages again")
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--list", action="store_true", help="the names of the peers")
    return parser.parse_args()


def main():
    args, start = arguments(), time.monotonic()
    if args.list:
        print("\n".join(PEERS))
        return 0
    if args.peer is None:
        print("peer: give --peer NAME; --list has the names", file=sys.stderr)
        return 2

    def say(text):
        print(f"{time.monotonic() - start:5.0f} s  {text}", flush=True)

    out = os.path.abspath(args.out or os.path.join(debian.ROOT, "build/certify/peers", args.peer))
    os.makedirs(out, exist_ok=True)
    try:
        if args.build_only:
            PEERS[args.peer](args.peer, args.peers, out, say).build(args.update)
            return 0
        if not os.path.isfile(args.guest):
            raise debian.PeerError(f"no guest {args.guest}: make it first")
        result = run_guest(args.peer, args.guest, args.cmdline, args.vcpus, args.memory, not args.no_disk, args.net,
                           args.icount, args.limit, out=out, iso=args.iso, folder=args.peers, update=args.update,
                           say=say)
    except (debian.PeerError, OSError) as error:
        print(f"peer: {args.peer} not tried: {error}", file=sys.stderr)
        write_column(out, {"peer": args.peer, "title": args.peer, "not_tried": str(error)})
        return 2
    write_column(out, column(args.peer, result, out))
    say(f"{args.peer}: {result.ended}; {result.attempts} boot(s); {os.path.join(out, 'column.json')}")
    return 0 if machine.END_LINE.search(result.log) else 1


if __name__ == "__main__":
    sys.exit(main())

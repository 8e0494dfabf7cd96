#!/usr/bin/python3
"""Does the certification notice a wrong answer, and only where it is? Changes one answer of the faces at a time, in a
private copy, and runs the certification guest against it: hosted (build/certify/hosted), or on the metal in QEMU.

    seeded.py [--quick] [NAME ...]      --quick: ten, over all groups
    seeded.py --metal [NAME ...]        three of them, booted

Each change must make its own row fail, and no row but those that depend on it. Prints a table; exit status 1 if one is
not noticed, or is noticed elsewhere.
"""

import argparse
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import runs  # noqa: E402
from private_copy import PrivateCopy  # noqa: E402
from seeded_rows import SEEDED  # noqa: E402

POINT = re.compile(r"^(not )?ok \d+ - (\S+)$", re.M)
LIMIT_SECONDS = 300
# One change for each group of rows: what `make test` runs.
QUICK = ("hyperv: limits zero", "hyperv: npiep answers", "hyperv: start vp served", "vmbus: offers twice",
         "xen: signature", "xen: multicall", "xen: map_grant_ref", "xen: poll", "xen: XS_WRITE", "xen: BLKIF_OP_READ")
# One of each face's calls and one of a device's protocol.
METAL = ("hyperv: npiep answers", "vmbus: offers twice", "xen: multicall")


class Hosted:
    """The guest and the faces in one process."""

    kinds = ("san", "aml")
    targets = ("build/certify/hosted",)

    def __init__(self, copy):
        self.copy = copy

    def printed(self, face):
        """What the guest prints on @face, None if it hangs."""
        try:
            return subprocess.run([self.copy.path("build/certify/hosted"), face], cwd=self.copy.folder, capture_output=True,
                                  text=True, timeout=LIMIT_SECONDS, check=False).stdout
        except subprocess.TimeoutExpired:
            return None


class Metal:
    """Janus and the guest in QEMU, one vCPU."""

    kinds = ("ring0", "aml", "guest-obj")
    targets = ("build/janus.elf", "build/certify/certify.elf")

    def __init__(self, copy):
        self.folder = copy.path("build/seeded-metal")
        os.makedirs(self.folder, exist_ok=True)
        self.janus = runs.Janus(copy.path("build/janus.elf"), copy.path("build/certify/certify.elf"), self.folder)

    def printed(self, face):
        column = self.janus.run_column(face, 1, "amd")
        with open(os.path.join(self.folder, "runs", column["id"], column["tap"]), encoding="utf-8") as file:
            return file.read()


def failing_rows(way, face):
    """The rows that fail on @face, or that are offered where specs/ says refused or the other way round."""
    text = way.printed(face)
    if text is None:
        return {"hung"}
    rows = set()
    points = list(POINT.finditer(text))
    for point, following in zip(points, [*points[1:], None]):
        block = text[point.end():following.start() if following else None]
        said = re.findall(r"^  (?:offered|specified): (\w+)$", block, re.M)
        if point[1] or len(set(said)) > 1:
            rows.add(point[2])
    return rows | ({"no end"} if "\n# end " not in text else set())


def try_change(copy, way, change):
    """(what was noticed as text, True if that is right)."""
    _, face, path, old, new, expected = change
    whole = copy.replace(path, old, new)
    try:
        failure = copy.build(*way.targets)
        if failure is not None:
            return "does not build:\n" + failure[-2000:], False
        rows = failing_rows(way, face)
    finally:
        copy.write(path, whole)
    if expected[0] not in rows:
        return "NOT NOTICED: " + (" ".join(sorted(rows)) or "all rows pass"), False
    beyond = rows - set(expected)
    if beyond:
        return "also: " + " ".join(sorted(beyond)), False
    return " ".join(sorted(rows)), True


def main():
    parser = argparse.ArgumentParser(description="Seeds a wrong answer and looks which rows of the certification fail.")
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--quick", action="store_true", help="ten of them")
    parser.add_argument("--metal", action="store_true", help="booted in an emulator, three of them")
    args = parser.parse_args()
    names = args.names or (METAL if args.metal else QUICK if args.quick else ())
    kind = Metal if args.metal else Hosted
    copy = PrivateCopy("certify-seeded-metal" if args.metal else "certify-seeded", kind.kinds)
    failure = copy.build(*kind.targets)
    way = kind(copy)
    wrong = {face: failing_rows(way, face) for face in ("hyperv", "xen", "both")} if failure is None else {}
    if failure is not None or any(wrong.values()):
        print(failure[-2000:] if failure else f"rows fail without a change: {wrong}")
        return 1
    bad = 0
    unknown = set(names) - {change[0] for change in SEEDED}
    if unknown:
        print(f"no such change: {', '.join(sorted(unknown))}")
        return 1
    chosen = [change for change in SEEDED if not names or change[0] in names]
    print(f"{'change':44} {'face':7} noticed by")
    for change in chosen:
        result, right = try_change(copy, way, change)
        bad += not right
        print(f"{change[0]:44} {change[1]:7} {result}", flush=True)
    print(f"seeded: {len(chosen) - bad} of {len(chosen)} noticed where they are, and only there")
    copy.remove()
    return 1 if bad or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""Does the certification notice a wrong answer, and only where it is? Changes one answer of the faces at a time, in a
private copy, and runs the certification guest hosted (build/certify/hosted) against it.

    seeded.py [--quick] [NAME ...]      --quick: ten, over all groups

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

from private_copy import PrivateCopy  # noqa: E402
from seeded_rows import SEEDED  # noqa: E402

POINT = re.compile(r"^(not )?ok \d+ - (\S+)$", re.M)
LIMIT_SECONDS = 300
# One change for each group of rows: what `make test` runs.
QUICK = ("hyperv: limits zero", "hyperv: npiep answers", "hyperv: start vp served", "vmbus: offers twice",
         "xen: signature", "xen: multicall", "xen: map_grant_ref", "xen: poll", "xen: XS_WRITE", "xen: BLKIF_OP_READ")


def failing_rows(copy, face):
    """The rows that fail on @face, or that are offered where specs/ says refused or the other way round."""
    program = copy.path("build/certify/hosted")
    try:
        run = subprocess.run([program, face], cwd=copy.folder, capture_output=True, text=True, timeout=LIMIT_SECONDS,
                             check=False)
    except subprocess.TimeoutExpired:
        return {"hung"}
    rows = set()
    points = list(POINT.finditer(run.stdout))
    for point, following in zip(points, [*points[1:], None]):
        block = run.stdout[point.end():following.start() if following else None]
        said = re.findall(r"^  (?:offered|specified): (\w+)$", block, re.M)
        if point[1] or len(set(said)) > 1:
            rows.add(point[2])
    return rows | ({"no end"} if "\n# end " not in run.stdout else set())


def try_change(copy, change):
    """(what was noticed as text, True if that is right)."""
    _, face, path, old, new, expected = change
    whole = copy.replace(path, old, new)
    try:
        failure = copy.build("build/certify/hosted")
        if failure is not None:
            return "does not build:\n" + failure[-2000:], False
        rows = failing_rows(copy, face)
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
    args = parser.parse_args()
    names = args.names or (QUICK if args.quick else ())
    copy = PrivateCopy("certify-seeded", ["san", "aml"])
    failure = copy.build("build/certify/hosted")
    wrong = {face: failing_rows(copy, face) for face in ("hyperv", "xen", "both")} if failure is None else {}
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
        result, right = try_change(copy, change)
        bad += not right
        print(f"{change[0]:44} {change[1]:7} {result}", flush=True)
    print(f"seeded: {len(chosen) - bad} of {len(chosen)} noticed where they are, and only there")
    copy.remove()
    return 1 if bad or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())

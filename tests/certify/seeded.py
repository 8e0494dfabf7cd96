#!/usr/bin/python3
"""Does the certification notice a wrong answer, and only where it is? Changes one answer of the faces at a time, in a
private copy, and runs the certification guest hosted (build/certify/hosted) against it.

    seeded.py [NAME ...]

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

FAILED = re.compile(r"^not ok \d+ - (\S+)", re.M)
LIMIT_SECONDS = 300


def failing_rows(copy, face):
    """The rows that fail on @face; a run that does not end by itself counts as one."""
    program = copy.path("build/certify/hosted")
    try:
        run = subprocess.run([program, face], cwd=copy.folder, capture_output=True, text=True, timeout=LIMIT_SECONDS,
                             check=False)
    except subprocess.TimeoutExpired:
        return {"hung"}
    rows = set(FAILED.findall(run.stdout))
    return rows | ({"no end"} if "\n# end " not in run.stdout else set())


def try_change(copy, change):
    """(what was noticed as text, True if that is right)."""
    _, face, path, old, new, row, others = change
    whole = copy.replace(path, old, new)
    try:
        failure = copy.build("build/certify/hosted")
        if failure is not None:
            return "does not build:\n" + failure[-2000:], False
        rows = failing_rows(copy, face)
    finally:
        copy.write(path, whole)
    if row not in rows:
        return "NOT NOTICED: " + (" ".join(sorted(rows)) or "all rows pass"), False
    beyond = rows - {row} - set(others)
    if beyond:
        return "also: " + " ".join(sorted(beyond)), False
    return " ".join(sorted(rows)), True


def main():
    parser = argparse.ArgumentParser(description="Seeds a wrong answer and looks which rows of the certification fail.")
    parser.add_argument("names", nargs="*", help="only these")
    names = parser.parse_args().names
    copy = PrivateCopy("certify-seeded", ["san", "aml"])
    failure = copy.build("build/certify/hosted")
    wrong = {face: failing_rows(copy, face) for face in ("hyperv", "xen", "both")} if failure is None else {}
    if failure is not None or any(wrong.values()):
        print(failure[-2000:] if failure else f"rows fail without a change: {wrong}")
        return 1
    bad = 0
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

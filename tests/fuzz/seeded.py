"""Do the fuzz targets find what they are for? Takes one check out of the product, in a private copy, and lets libFuzzer look
for it from an empty corpus: it has to crash within a minute, on an input that the whole product takes without harm.

Prints a table. Exit status 1 if a seeded bug is not found.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from private_copy import ROOT, PrivateCopy  # noqa: E402
from seeds import SEEDS  # noqa: E402


def environment():
    return dict(os.environ, ASAN_OPTIONS="detect_leaks=0:quarantine_size_mb=16", UBSAN_OPTIONS="halt_on_error=1")


def search(binary, folder, seconds):
    """Runs the fuzzer in four parts of the time on one corpus: by turns with inputs that grow slowly and with inputs of any length.
    Returns (seconds until it crashed, crashing input), or (seconds, None)."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "corpus"))
    start = time.monotonic()
    for part in (1, 2, 3, 4):
        with open(os.path.join(folder, f"log{part}"), "wb") as log:
            subprocess.run([binary, f"-seed={part}", f"-max_total_time={seconds // 4}", "-timeout=20",
                            f"-len_control={0 if part % 2 == 0 else 100}", f"-artifact_prefix={folder}/",
                            os.path.join(folder, "corpus")], stdout=log, stderr=log, timeout=seconds + 60, check=False,
                           env=environment())
        crashes = [name for name in os.listdir(folder) if name.startswith(("crash-", "timeout-", "oom-", "leak-"))]
        if crashes:
            return time.monotonic() - start, os.path.join(folder, crashes[0])
    return time.monotonic() - start, None


def passes(binary, path):
    return subprocess.run([binary, path], capture_output=True, timeout=60, check=False, env=environment()).returncode == 0


def unwatched(copy):
    """What the sanitizers' marks are missing from: without them a fuzz target sees only what panics."""
    symbols = subprocess.run(["nm", copy.path("build/fuz/libjanus.a")], capture_output=True, text=True, check=False).stdout
    return [mark for mark in ("__asan_report_", "__ubsan_handle_", "__sanitizer_cov_") if mark not in symbols]


def try_seed(copy, number, seed, seconds):
    target, _, name, old, new = seed
    folder = os.path.join(ROOT, "build", "seeded", f"{number}-{target}")
    whole = copy.replace(name, old, new)
    try:
        os.remove(copy.path(f"build/fuzz/{target}"))  # what is in a header only is not seen to be newer
        failure = copy.build(f"build/fuzz/{target}")
        if failure is not None:
            return f"does not build:\n{failure[-2000:]}", 0.0
        spent, crash = search(copy.path(f"build/fuzz/{target}"), folder, seconds)
    finally:
        copy.write(name, whole)
    if crash is None:
        return "not found", spent
    if not passes(copy.path(f"build/whole/{target}"), crash):
        return "found, but the whole product fails on it too: " + crash, spent
    return "found", spent


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each seeded bug")
    parser.add_argument("targets", nargs="*", help="only these fuzz targets")
    args = parser.parse_args()
    seeds = [seed for seed in SEEDS if not args.targets or seed[0] in args.targets]
    copy = PrivateCopy("seeded", ["fuz", "aml"])
    os.makedirs(copy.path("build/whole"), exist_ok=True)
    for target in sorted({seed[0] for seed in seeds}):
        failure = copy.build(f"build/fuzz/{target}")
        if failure is not None:
            print(failure[-2000:])
            return 1
        shutil.copy2(copy.path(f"build/fuzz/{target}"), copy.path(f"build/whole/{target}"))
    missing = unwatched(copy)
    if missing:
        print("build/fuz/libjanus.a is built without " + ", ".join(missing))
        return 1
    print(f"{'target':20} {'check taken out':32} {'file':30} {'result':10} {'after':>6}")
    lost = 0
    for number, seed in enumerate(seeds):
        result, spent = try_seed(copy, number, seed, args.seconds)
        lost += result != "found"
        print(f"{seed[0]:20} {seed[1]:32} {seed[2]:30} {result:10} {spent:5.1f} s", flush=True)
    print(f"seeded: {len(seeds) - lost} of {len(seeds)} found")
    copy.remove()
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs the fuzz targets, each for some seconds, and prints a table: executions, executions in a second of one core, coverage,
findings. What finds something is kept below build/fuzz/findings/ with the command that repeats it; then the exit status is 1.

A committed corpus is a text file, tests/fuzz/corpus/<target>.txt: one input a line in base64, the short ones first. It is
unpacked into build/corpus/<target>, where libFuzzer adds what it finds; --keep takes from there, under a limit of size, what
covers most for its length. --replay runs the committed inputs once and no others.
"""

import argparse
import base64
import concurrent.futures
import datetime
import hashlib
import heapq
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Longest input, where 1024 bytes are more than a target reads, or fewer than it makes use of, or where the second half of so many
# steps only repeats the first at the same price.
MAX_LEN = {
    "blkback_fuzz": 512,
    "blob_fuzz": 4096,
    "gpadl_fuzz": 512,
    "guest_vmbus_fuzz": 4096,
    "ic_fuzz": 512,
    "insn_fuzz": 64,
    "netback_fuzz": 512,
    "netvsp_fuzz": 512,
    "ring_fuzz": 2048,
    "stimer_fuzz": 512,
    "storvsp_fuzz": 512,
    "synic_fuzz": 512,
    "xen_hypercall_fuzz": 512,
    "xenstore_fuzz": 2048,
}
MAX_LEN_ELSE = 1024
KEEP_BYTES = 24 << 10  # of one committed corpus, as text
INPUT_SECONDS_MAX = 20  # an input that takes longer is a finding
LINES_SHOWN = 40
# A quarantine of 16 MiB holds what many inputs free; the default of 256 MiB is page faults, mostly.
ASAN = "detect_leaks=0:quarantine_size_mb=16"


class Places:
    """Where things are; a test names others."""

    def __init__(self, bins, build, corpus, ledger):
        self.bins, self.build, self.corpus, self.ledger = bins, build, corpus, ledger

    def binary(self, target):
        return os.path.join(self.bins, target)

    def committed(self, target):
        return os.path.join(self.corpus, target + ".txt")

    def working(self, target):
        return os.path.join(self.build, "corpus", target)

    def findings(self, target):
        return os.path.join(self.build, "fuzz", "findings", target)

    def log(self, target):
        return os.path.join(self.build, "fuzz", target + ".log")


def environment():
    return dict(os.environ, ASAN_OPTIONS=ASAN, UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")


# ---- corpora


def read_committed(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="ascii") as file:
        return [base64.b64decode(line, validate=True) for line in file.read().split()]


def write_committed(path, inputs):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        for data in sorted(set(inputs), key=lambda one: (len(one), one)):
            if data:  # libFuzzer runs the empty input anyway
                file.write(base64.b64encode(data).decode("ascii") + "\n")


def unpack(inputs, folder):
    """Names are libFuzzer's own, so that what is there already is not written twice."""
    os.makedirs(folder, exist_ok=True)
    for data in inputs:
        path = os.path.join(folder, hashlib.sha1(data).hexdigest())
        if not os.path.exists(path):
            with open(path, "wb") as file:
                file.write(data)
    return folder


def read_control(path):
    """A merge's control file: [(input's file, its features)]; what crashed in the merge has none and is left out."""
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    names = lines[2:2 + int(lines[0])]
    rows = [[int(word) for word in line.split()[1:]] for line in lines[2 + len(names):] if line.startswith("FT ")]
    return [(names[row[0]], frozenset(row[1:])) for row in rows]


def choose(sized, limit):
    """Greedy: @sized is [(key, bytes, features)]. First what adds an edge (a feature is an edge and how often it was taken, in
    eighths), then what adds a feature, each time what adds most for its length. Returns keys, at most @limit bytes."""
    chosen, left = [], limit
    for view in (lambda features: frozenset(one // 8 for one in features), lambda features: features):
        offered = {key: (size, view(features)) for key, size, features in sized}
        seen = set().union(*(offered[key][1] for key in chosen)) if chosen else set()
        heap = [(-len(new) / size, key) for key, (size, new) in offered.items() if key not in chosen]
        heapq.heapify(heap)
        while heap:
            worth, key = heapq.heappop(heap)
            size, features = offered[key]
            now = -len(features - seen) / size
            if now == 0 or size > left:
                continue
            if now > worth:  # it was worth more before others were chosen
                heapq.heappush(heap, (now, key))
                continue
            chosen.append(key)
            seen |= features
            left -= size
    return chosen


def line_bytes(path):
    return (os.path.getsize(path) + 2) // 3 * 4 + 1


def keep(places, target, limit=KEEP_BYTES):
    """Rewrites the committed corpus of @target. Returns (inputs, bytes), or what the merge printed if it failed."""
    folder = unpack(read_committed(places.committed(target)), places.working(target))
    with tempfile.TemporaryDirectory(dir=places.build) as merged:
        control = os.path.join(merged, "control")
        os.mkdir(os.path.join(merged, "new"))
        run = subprocess.run([places.binary(target), "-merge=1", f"-merge_control_file={control}",
                              f"-timeout={INPUT_SECONDS_MAX}", f"-artifact_prefix={merged}/", max_len(target),
                              os.path.join(merged, "new"), folder],
                             capture_output=True, text=True, errors="replace", check=False, env=environment())
        if run.returncode != 0:
            return run.stdout + run.stderr
        rows = [(name, line_bytes(name), features) for name, features in read_control(control) if os.path.getsize(name)]
        inputs = []
        for name in choose(rows, limit):
            with open(name, "rb") as file:
                inputs.append(file.read())
    write_committed(places.committed(target), inputs)
    return len(inputs), os.path.getsize(places.committed(target))


# ---- one target


def max_len(target):
    return f"-max_len={MAX_LEN.get(target, MAX_LEN_ELSE)}"


def number(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


class Result:
    """What one run of one target said."""

    def __init__(self, target, status, core_seconds, text, log):
        self.target, self.status, self.core_seconds, self.log = target, status, core_seconds, log
        self.executions = number(r"stat::number_of_executed_units:\s*(\d+)", text)
        if self.executions == 0:  # it did not come to its statistics
            self.executions = number(r"(?m)^#(\d+)\s", text)
        self.cov = number(r"\bcov: (\d+)", text)
        self.features = number(r"\bft: (\d+)", text)
        self.kept = re.findall(r"Test unit written to (\S+)", text)
        self.findings = 0 if status == 0 else max(1, len(self.kept))
        self.tail = text.splitlines()[-LINES_SHOWN:]

    @property
    def rate(self):
        return self.executions / self.core_seconds if self.core_seconds > 0 else 0.0


def run_target(places, target, options, folder, seconds_max):
    """A run of @target over @folder, its seconds of a core along with it; what it finds goes to its folder of findings."""
    findings = places.findings(target)
    os.makedirs(findings, exist_ok=True)
    command = [places.binary(target), f"-timeout={INPUT_SECONDS_MAX}", "-print_final_stats=1",
               f"-artifact_prefix={findings}/", max_len(target), *options, folder]
    with open(places.log(target), "wb") as log:
        process = subprocess.Popen(["timeout", str(seconds_max), *command], stdout=log, stderr=log, env=environment())
        _, status, usage = os.wait4(process.pid, 0)  # of the target too: timeout has waited for it
    process.returncode = status
    with open(places.log(target), encoding="utf-8", errors="replace") as log:
        text = log.read()
    return Result(target, status, usage.ru_utime + usage.ru_stime, text, places.log(target))


def fuzz(places, target, seconds, fresh):
    """@fresh: from the committed inputs alone, so that a short run is not taken up by a corpus that has grown."""
    folder = places.working(target)
    if fresh:
        folder = os.path.join(places.build, "fuzz", "fresh", target)
        shutil.rmtree(folder, ignore_errors=True)
    unpack(read_committed(places.committed(target)), folder)
    words = [f"-max_total_time={seconds}", *(["-seed=1"] if fresh else [])]  # the short run is the same each time
    return run_target(places, target, words, folder, seconds + 300)


def replay(places, target, *_):
    folder = os.path.join(places.build, "fuzz", "replay", target)
    shutil.rmtree(folder, ignore_errors=True)
    unpack(read_committed(places.committed(target)), folder)
    return run_target(places, target, ["-runs=0"], folder, 300)


# ---- all of them


def explain(places, result):
    print(f"\nFAILED: {result.target}, exit status {os.waitstatus_to_exitcode(result.status)}; all it said: {result.log}")
    for path in result.kept:
        print("again: " + " ".join([f"ASAN_OPTIONS={ASAN}", shlex.quote(places.binary(result.target)), shlex.quote(path)]))
    if not result.kept:
        print("no input was kept")
    print("\n".join(result.tail))


def table(places, work, targets, jobs):
    print(f"{'target':20} {'executions':>12} {'a core-second':>14} {'cov':>6} {'ft':>7} {'findings':>9}")
    results = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for result in pool.map(work, targets):
            print(f"{result.target:20} {result.executions:12} {result.rate:14.0f} {result.cov:6} {result.features:7} "
                  f"{result.findings:9}", flush=True)
            results.append(result)
    rate = statistics.median(result.rate for result in results)
    found = sum(result.findings for result in results)
    print(f"{f'{len(results)} targets':20} {sum(result.executions for result in results):12} "
          f"{f'median {rate:.0f}':>14} {'':6} {'':7} {found:9}")
    for result in results:
        if result.findings:
            explain(places, result)
    return results


LEDGER_HEAD = """# What was fuzzed

A line for each run of `make fuzz` that found nothing (`tests/fuzz/runner.py --ledger`): each target for so many seconds, so many
at a time. A commit with `+` had changes that were not committed yet. The last column sums all lines.

| date | commit | seconds | jobs | targets | executions | median a core-second | findings | executions in all |
|---|---|---:|---:|---:|---:|---:|---:|---:|
"""


def commit_name():
    name = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=False)
    return (name.stdout.strip() or "none") + ("+" if changed.stdout.strip() else "")


def add_to_ledger(path, commit, seconds, jobs, results):
    text = LEDGER_HEAD
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
    executions = sum(result.executions for result in results)
    rows = re.findall(r"(?m)^\| \d{4}-.*\| (\d+) \|$", text)
    before = int(rows[-1]) if rows else 0
    rate = statistics.median(result.rate for result in results)
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{text}| {date} | {commit} | {seconds} | {jobs} | {len(results)} | {executions} | {rate:.0f} | "
                   f"{sum(result.findings for result in results)} | {before + executions} |\n")


def keep_all(places, targets, limit):
    failed, total = 0, 0
    for target in targets:
        kept = keep(places, target, limit)
        if isinstance(kept, str):
            print(f"{target}: the merge failed\n{kept[-2000:]}")
            failed += 1
            continue
        total += kept[1]
        print(f"{target:20} {kept[0]:6} inputs {kept[1]:8} bytes", flush=True)
    print(f"{'in all':20} {'':6}        {total:8} bytes")
    return failed


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets at a time")
    parser.add_argument("--replay", action="store_true", help="only the committed inputs, each once")
    parser.add_argument("--fresh", action="store_true", help="from the committed inputs; what is found is not kept for later")
    parser.add_argument("--keep", action="store_true", help="rewrite the committed corpora from build/corpus")
    parser.add_argument("--limit", type=int, default=KEEP_BYTES, help="bytes of a committed corpus")
    parser.add_argument("--ledger", action="store_true", help="add a line to the ledger if there is no finding")
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--corpus", default=os.path.join(ROOT, "tests/fuzz/corpus"))
    parser.add_argument("--ledger-file", default=os.path.join(ROOT, "tests/fuzz/ledger.md"))
    parser.add_argument("targets", nargs="*", help="only these")
    return parser.parse_args(argv)


def all_targets(bins):
    return sorted(name for name in os.listdir(bins)
                  if name.endswith("_fuzz") and os.path.exists(os.path.join(ROOT, "tests/fuzz", name + ".c")))


def main(argv=None):
    args = parse(argv)
    places = Places(os.path.join(args.build, "fuzz"), args.build, args.corpus, args.ledger_file)
    targets = args.targets or all_targets(places.bins)
    missing = [target for target in targets if not os.path.exists(places.binary(target))]
    if missing or not targets:
        print("not built: " + (", ".join(missing) or "any target"))
        return 1
    if args.keep:
        return 1 if keep_all(places, targets, args.limit) else 0
    commit, start = commit_name(), time.monotonic()
    if args.replay:
        results = table(places, lambda target: replay(places, target), targets, args.jobs)
    else:
        results = table(places, lambda target: fuzz(places, target, args.seconds, args.fresh), targets, args.jobs)
    found = sum(result.findings for result in results)
    print(f"{time.monotonic() - start:.0f} s in all")
    if args.ledger and not args.replay and found == 0:
        add_to_ledger(places.ledger, commit, args.seconds, args.jobs, results)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""Certification: runs one guest's probes on Janus with each face, then real guests, and writes the evidence pack.

    certify.py [--cpu amd|intel|all] [--quick] [--face hyperv|xen|both ...] [--vcpus 1,2,8] [--no-guests]
               [--out build/certify] [--elf build/janus.elf] [--guest build/certify/certify.elf]
    certify.py --hosted PROGRAM     the same probes in a process, no emulator (tests of seeded faults)
    certify.py --report-only        the pack anew from what the last runs and peers left

Exit 0 only without a fail; 1 with one, named; 2 if it could not run. What is in the pack: specs/certify.md.
"""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import judge  # noqa: E402
import evidence  # noqa: E402
import rows as rows_module  # noqa: E402
import runs  # noqa: E402

FACES = ("hyperv", "xen", "both")
LOG_MAX = 16 << 20
FAILURES_SHOWN = 60
BOOT = {"number": 0, "after": None, "ended": "unknown", "seconds": None, "log": None, "iso_sha256": None}
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")
WANTED = {
    "janus": ("build/janus.elf", "make build/janus.elf"),
    "guest": ("build/certify/certify.elf", "make certify builds it; alone: make build/certify/certify.elf"),
}


class CertifyError(Exception):
    """It could not run, in one line."""


def say(text):
    print(text, flush=True)


# What the report names


def output_of(*command):
    """The first line that @command prints, "" if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout.strip() or done.stderr.strip()).partition("\n")[0] if done.returncode == 0 else ""


def package_version(name):
    return output_of("dpkg-query", "-W", "-f", "${Version}", name)


def identity():
    """What was certified, where, and with what."""
    return {
        "hypervisor": {"name": "Janus", "commit": output_of("git", "rev-parse", "HEAD"),
                       "version": output_of("git", "describe", "--always", "--dirty", "--tags"),
                       "changed": bool(output_of("git", "status", "--porcelain", "--untracked-files=no"))},
        "emulators": {"qemu": package_version("qemu-system-x86"), "bochs": package_version("bochs")},
        "cpus": {maker: f"{model}, {extension} emulated" for maker, (model, extension) in runs.CPUS.items()},
        "host": {"system": host_system(), "python": platform.python_version(),
                 "compiler": output_of("gcc", "--version")},
    }


def host_system():
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def created():
    """When, in UTC; SOURCE_DATE_EPOCH instead of now if it is set."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    zone = datetime.timezone.utc
    when = datetime.datetime.fromtimestamp(int(epoch), zone) if epoch else datetime.datetime.now(zone)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def binary(path, what):
    shown = os.path.relpath(path, ROOT) if os.path.abspath(path).startswith(ROOT + os.sep) else os.path.basename(path)
    return {"what": what, "path": shown, "bytes": os.path.getsize(path), "sha256": evidence.sha256(path)}


def binaries_of(args):
    """Every binary that was used, but for the ISOs: each boot has its own."""
    wanted = [(args.elf, "the hypervisor"), (args.guest, "the certification guest")]
    if args.hosted:
        wanted = [(args.hosted, "the hosted program")]
    elif not args.no_guests:
        folder = os.path.join(ROOT, "build/guests")
        wanted += [(os.path.join(folder, name + version), f"{name.rstrip('-')} of the guest {version}")
                   for version in versions_of(args) for name in ("vmlinuz-", "initrd-")]
    return [binary(path, what) for path, what in wanted if os.path.exists(path)]


def versions_of(args):
    return ("6.1",) if args.quick else tuple(runs.VERSIONS)


# Columns


def configurations(args):
    """(face, vCPUs, CPU kind) of each column on Janus."""
    makers = ("amd", "intel") if args.cpu == "all" else (args.cpu,)
    vcpus = args.vcpus or ((2,) if args.quick else (1, 2, 8))
    return [(face, count, maker) for maker in makers for face in args.face or FACES for count in vcpus]


def keep_run(args, column, sums):
    """Writes a run's column.json, so that the report can be made again."""
    write = {**column, "binaries": sums}
    runs.write_json(os.path.join(args.out, "runs", column["id"], "column.json"), write)


def run_columns(args, janus, sums):
    if args.hosted:
        for face in args.face or FACES:
            say(f"hosted, {face} ...")
            keep_run(args, runs.run_hosted(os.path.abspath(args.hosted), face, args.out), sums)
        return
    for face, vcpus, maker in configurations(args):
        say(f"Janus, {face}, {vcpus} vCPUs, {maker} ...")
        column = janus.run_column(face, vcpus, maker)
        say(f"  {len(column['boots'])} boots, {sum(b['seconds'] for b in column['boots']):.0f} s, "
            f"the last: {column['boots'][-1]['ended']}")
        keep_run(args, column, sums)


def run_guests(args, janus, rows):
    """The guest matrix."""
    makers = ("amd", "intel") if args.cpu == "all" else (args.cpu,)
    path = os.path.join(args.out, "runs", "guests")
    os.makedirs(path, exist_ok=True)
    specified = {row["id"]: row["specified"] for row in rows}
    names = rows_module.monitor_names(ROOT)
    for maker in makers:
        entries = []
        for version in versions_of(args):
            missing = f"vmlinuz-{version}"
            if args.no_guests or args.hosted:
                reason = "--no-guests" if args.no_guests else "hosted: no machine to run it on"
                entries += runs.guests_not_tried([version], maker, reason)
            elif not os.path.exists(os.path.join(ROOT, "build/guests", missing)):
                entries += runs.guests_not_tried([version], maker, f"there is no build/guests/{missing}: make guests")
            else:
                say(f"guests, kernel {version}, {maker} ...")
                entries += runs.run_matrix(janus, version, maker, names, specified, path)
        runs.write_json(os.path.join(path, f"{maker}.json"), entries)


def read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise CertifyError(f"{path} cannot be read: {error}") from None


def read_columns(args, sums):
    """The columns that runs left, of these binaries."""
    folder = os.path.join(args.out, "runs")
    found = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name, "column.json")
        if not os.path.exists(path):
            continue
        column = read_json(path)
        if column.pop("binaries") != sums:
            raise CertifyError(f"{path} is of other binaries than these: run make certify again")
        found.append({**column, "folder": os.path.dirname(path)})
    order = {face: i for i, face in enumerate(FACES)}
    return sorted(found, key=lambda c: (c["kind"], c["cpu_kind"], order[c["face"]], c["vcpus"] or 0))


def read_peers(args, sums):
    """The columns of peers, as tests/certify/peers/ leaves them."""
    folder = os.path.join(args.out, "peers")
    found = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name, "column.json")
        if os.path.exists(path):
            found.append(peer_column(read_json(path), path, sums))
    return found


def peer_column(raw, path, sums):
    """One peer's column, from what its column.json says."""
    if not isinstance(raw, dict) or not NAME.fullmatch(str(raw.get("peer", ""))):
        raise CertifyError(f"{path} does not name its peer")
    peer = raw["peer"]
    column = {"id": f"peer-{peer}", "kind": "peer", "peer": peer, "title": str(raw.get("title", peer)),
              "face": raw.get("face"), "vcpus": raw.get("vcpus"), "cpu_kind": raw.get("cpu_kind", "amd"),
              "configuration": str(raw.get("configuration", raw.get("title", peer))), "boots": raw.get("boots", []),
              "attempts": raw.get("attempts", 1), "notes": raw.get("notes", []), "identity": raw.get("identity", {}),
              "tap": raw.get("tap"), "folder": os.path.dirname(path)}
    if raw.get("not_tried"):
        return {**column, "reason": str(raw["not_tried"])}
    built = raw.get("guest_sha256", column["identity"].get("guest_sha256"))
    if built is not None and "guest" in sums and built != sums["guest"]:
        return {**column, "reason": "its run was of another certify.elf: run make certify-peers again"}
    if not column["tap"] or not isinstance(column["boots"], list) or not all(isinstance(b, dict) for b in column["boots"]):
        raise CertifyError(f"{path} says neither what the guest printed nor why it was not tried")
    return column


def find_file(folder, path):
    """A file that a column names: from its own folder, from the tree, or absolute."""
    for base in (folder, ROOT, ""):
        full = os.path.join(base, path)
        if os.path.isfile(full):
            return full
    raise CertifyError(f"{folder}/column.json names {path}, which is not there")


def copy_log(source, target):
    """A log into the pack. Of one that is too long the end."""
    size = os.path.getsize(source)
    with open(source, "rb") as file:
        if size > LOG_MAX:
            file.seek(size - LOG_MAX)
        data = file.read(LOG_MAX)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    evidence.write_bytes(target, (b"[its begin is cut off]\n" if size > LOG_MAX else b"") + data)


def printed_by(column, folder, path):
    """What the guest printed: of a peer with several boots each boot's own, one after the other; else file @path."""
    sources = [find_file(folder, path)]
    boots = column["boots"]
    if column["kind"] == "peer" and len(boots) > 1 and all(boot.get("log") for boot in boots):
        sources = [find_file(folder, boot["log"]) for boot in boots]
    parts = []
    for source in sources:
        with open(source, encoding="utf-8", errors="replace") as file:
            parts.append(file.read(LOG_MAX).rstrip("\n") + "\n")
    return "".join(parts)


def collect(args, column, rows):
    """Judges one column, and takes its logs into the pack."""
    folder = column.pop("folder")
    path, text = column.pop("tap"), ""
    logs = os.path.join(args.out, evidence.LOGS)
    if not column.get("reason"):
        text = printed_by(column, folder, path)
        os.makedirs(logs, exist_ok=True)
        evidence.write_bytes(os.path.join(logs, f"{column['id']}.tap"), text.encode("utf-8", "replace"))
    for i, boot in enumerate(column["boots"], 1):
        column["boots"][i - 1] = boot = {**BOOT, **{key: boot[key] for key in BOOT if key in boot}, "number": i}
        if boot["log"]:
            name = f"{evidence.LOGS}/{column['id']}.boot{i}.log"
            copy_log(find_file(folder, boot["log"]), os.path.join(args.out, name))
            boot["log"] = name
    if not column.get("reason"):
        column["tap"] = f"{evidence.LOGS}/{column['id']}.tap"
    else:
        column["tap"] = None
    column.setdefault("reason", "")
    column.setdefault("identity", {})
    return judge.judge_column(column, rows, text)


def collect_guests(args):
    folder = os.path.join(args.out, "runs", "guests")
    entries = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if name.endswith(".json"):
            entries += read_json(os.path.join(folder, name))
    for entry in entries:
        if entry["log"]:
            name = f"{evidence.LOGS}/{entry['log']}"
            copy_log(os.path.join(folder, entry["log"]), os.path.join(args.out, name))
            entry["log"] = name
    return entries


# The report


def read_bench(path):
    """bench.json, if `make bench` left one."""
    if not os.path.exists(path):
        return None
    bench = read_json(path)
    if not isinstance(bench, dict) or not all(key in bench for key in ("unit", "columns", "operations", "caveats")):
        raise CertifyError(f"{path} is not as specs/certify.md says: unit, columns, operations, caveats")
    return bench


def command_of(args):
    """The one command that repeats it."""
    if args.sample:
        return "tests/certify/sample.py"
    words = ["make", "certify"]
    own = [f"--{key.replace('_', '-')}" for key in ("quick", "no_guests") if getattr(args, key)]
    own += [f"--face {' '.join(args.face)}"] if args.face else []
    own += [f"--vcpus {','.join(map(str, args.vcpus))}"] if args.vcpus else []
    own += [f"--hosted {args.hosted}"] if args.hosted else []
    own += [f"--scratch {args.scratch}"] if args.scratch != "marked" else []
    words += [f"CPU={args.cpu}"] if args.cpu != "amd" else []
    words += [f"ARGS='{' '.join(own)}'"] if own else []
    return " ".join(words)


def build_report(args, rows, columns, guests):
    """report.json as Python has it. specs/certify.md documents each field."""
    known = {row["id"] for row in rows}
    entries = judge.read_differences(args.differences, known)
    differences = judge.judge_differences(columns, entries)
    return {
        "schema": evidence.SCHEMA, "schema_version": evidence.SCHEMA_VERSION, "created": created(),
        "sample": bool(args.sample), "command": command_of(args), "identity": identity(),
        "binaries": binaries_of(args), "words": list(judge.WORDS), "rows": rows,
        "left_out": [{"table": table, "why": why} for table, why in rows_module.LEFT_OUT.items()],
        "columns": columns, "guests": guests, "differences": differences, "bench": read_bench(args.bench),
        "never_probed": judge.never_probed(rows, columns), "not_claimed": [list(pair) for pair in evidence.NOT_CLAIMED],
        "summary": judge.summarise(columns, guests, differences),
        "failures": judge.failures(columns, guests, differences),
    }


def print_summary(report, folder, whole, archive):
    say("")
    for column in report["columns"]:
        counts = ", ".join(f"{word} {column['counts'][word]}" for word in judge.WORDS if column["counts"][word])
        say(f"{column['id']}: {counts}")
    for guest in report["guests"]:
        say(f"guest {guest['id']}: {guest['verdict']}{': ' + guest['reason'] if guest['reason'] else ''}")
    if report["never_probed"]:
        more = " ..." if len(report["never_probed"]) > 8 else ""
        say(f"{len(report['never_probed'])} rows were skipped in every column: {', '.join(report['never_probed'][:8])}{more}")
    for line in report["failures"][:FAILURES_SHOWN]:
        say(f"FAIL: {line}")
    if len(report["failures"]) > FAILURES_SHOWN:
        say(f"... and {len(report['failures']) - FAILURES_SHOWN} more: they are in {evidence.JSON}")
    say(f"\nverdict: {report['summary']['verdict']}" +
        (f", {report['summary']['fail_count']} failures" if report["failures"] else ""))
    say(f"report:  {os.path.join(folder, evidence.HTML)}\narchive: {archive}\nhash of the whole: {whole}")


def exit_status(report):
    """0 only if something was tried and nothing failed."""
    return {judge.FAIL: 1, judge.NOT_TRIED: 2}.get(report["summary"]["verdict"], 0)


def write_report(args, rows, sums):
    """Judges all that runs left, writes the pack, prints its hash. Gives the exit status."""
    shutil.rmtree(os.path.join(args.out, evidence.LOGS), ignore_errors=True)
    raw = read_columns(args, sums) + ([] if args.hosted else read_peers(args, sums))
    if not raw:
        raise CertifyError("there is no run to report of: make certify")
    columns = [collect(args, column, rows) for column in raw]
    report = build_report(args, rows, columns, collect_guests(args))
    report = json.loads(evidence.dump(report))
    whole, archive = evidence.write_pack(args.out, report)
    print_summary(report, args.out, whole, archive)
    return exit_status(report)


def check_files(args):
    """Names what is not built. Gives the hashes of what runs."""
    if args.hosted:
        if not os.path.isfile(args.hosted):
            raise CertifyError(f"there is no {args.hosted}: make {os.path.relpath(args.hosted, ROOT)}")
        return {"hosted": evidence.sha256(args.hosted)}
    for path, (_, how) in zip((args.elf, args.guest), WANTED.values()):
        if not os.path.isfile(path):
            raise CertifyError(f"there is no {path}: {how}")
    return {"elf": evidence.sha256(args.elf), "guest": evidence.sha256(args.guest)}


def vcpu_list(text):
    counts = [int(part) if part.isdigit() else 0 for part in text.split(",")]
    if not all(1 <= count <= 64 for count in counts):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers from 1 to 64, such as 1,2,8")
    return tuple(counts)


def parse_arguments(argv):
    parser = argparse.ArgumentParser(description="Certifies Janus: probes, real guests, evidence pack.")
    parser.add_argument("--cpu", choices=("amd", "intel", "all"), default="amd", help="QEMU, Bochs, or one after the other")
    parser.add_argument("--quick", action="store_true", help="each face once, with 2 vCPUs, and one kernel")
    parser.add_argument("--face", nargs="+", choices=FACES, help="only these faces")
    parser.add_argument("--vcpus", type=vcpu_list, help="such as 1,2,8")
    parser.add_argument("--no-guests", action="store_true", help="no real guests")
    parser.add_argument("--out", default=os.path.join(ROOT, "build/certify"))
    parser.add_argument("--elf", default=os.path.join(ROOT, WANTED["janus"][0]))
    parser.add_argument("--guest", default=os.path.join(ROOT, WANTED["guest"][0]))
    parser.add_argument("--hosted", metavar="PROGRAM", help="a program that prints the same in a process")
    parser.add_argument("--differences", default=os.path.join(ROOT, "specs/differences.md"))
    parser.add_argument("--bench", default=os.path.join(ROOT, "build/certify/bench.json"))
    parser.add_argument("--scratch", choices=("marked", "unmarked", "none"), default="marked",
                        help="to see that without a marked disk what writes is skipped")
    parser.add_argument("--keep", action="store_true", help="keep the columns of earlier runs of the same binaries")
    parser.add_argument("--report-only", action="store_true", help="run nothing, make the pack again")
    parser.set_defaults(sample=False)
    return parser.parse_args(argv)


def certify(args, janus=None):
    """All of it. @janus: in place of the machine layer, for tests."""
    rows = rows_module.all_rows(ROOT)
    sums = check_files(args)
    janus = janus or runs.Janus(args.elf, args.guest, args.out, args.scratch)
    if not args.report_only:
        if not args.keep:
            shutil.rmtree(os.path.join(args.out, "runs"), ignore_errors=True)
        os.makedirs(args.out, exist_ok=True)
        run_columns(args, janus, sums)
        run_guests(args, janus, rows)
    return write_report(args, rows, sums)


def main(argv=None):
    args = parse_arguments(argv)
    try:
        return certify(args)
    except (CertifyError, runs.RunError, rows_module.RowsError, judge.DifferencesError) as error:
        print(f"certify: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

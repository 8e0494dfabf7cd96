#!/usr/bin/python3
"""Checks an evidence pack that came from somewhere: `verify.py PACK`, a folder or a .tar.gz.

Every file has the hash that MANIFEST.sha256 gives, and none is there that it does not list; report.json is of a schema
that we read, has a cell for every row in every column, and its counts and its verdict follow from its cells; the page
and the JUnit file are of that report.json. Nothing is unpacked: an archive is read, within limits, and its names are
only compared. Exit 0: all of it holds. 1: it was altered or is broken, each thing by name. 2: it could not be read.

    --hash SHA256    the hash of the whole, as `make certify` printed it
"""

import argparse
import gzip
import hashlib
import json
import os
import re
import stat
import sys
import tarfile
import xml.etree.ElementTree as ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import judge  # noqa: E402
import evidence  # noqa: E402

MEMBERS_MAX = 2000
FILE_MAX = 64 << 20
TOTAL_MAX = 256 << 20
KEPT = (evidence.JSON, evidence.HTML, evidence.JUNIT, evidence.MANIFEST)
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*)*")
LINE = re.compile(r"([0-9a-f]{64})  (.+)")
HTML_HASH = re.compile(rb'<meta name="janus-certify-json-sha256" content="([0-9a-f]{64})">')


class PackError(Exception):
    """The pack cannot be read, in one line."""


class Contents:
    """What a pack has: @sums {name: SHA-256}, @kept {name: bytes} of those that are looked into."""

    def __init__(self):
        self.sums = {}
        self.kept = {}
        self.total = 0

    def add(self, name, file, size):
        """Takes one file, by its name inside the pack. Raises PackError."""
        if not NAME.fullmatch(name) or len(name) > 200:
            raise PackError(f"a file has a name that no pack has: {name[:80]!r}")
        if name in self.sums:
            raise PackError(f"{name} is there twice")
        self.total += size
        if size > FILE_MAX or self.total > TOTAL_MAX or len(self.sums) >= MEMBERS_MAX:
            raise PackError(f"larger than a pack may be at {name}: {MEMBERS_MAX} files, {FILE_MAX >> 20} MiB each, "
                            f"{TOTAL_MAX >> 20} MiB in all")
        data = file.read(size)
        self.sums[name] = hashlib.sha256(data).hexdigest()
        if name in KEPT:
            self.kept[name] = data


class Bounded:
    """A stream that ends in an error after TOTAL_MAX bytes, so that a small archive cannot become a large one."""

    def __init__(self, file):
        self.file = file
        self.taken = 0

    def read(self, size=-1):
        data = self.file.read(min(size, FILE_MAX) if size >= 0 else FILE_MAX)
        self.taken += len(data)
        if self.taken > TOTAL_MAX + (MEMBERS_MAX << 10):
            raise PackError(f"the archive unpacks to more than {TOTAL_MAX >> 20} MiB")
        return data


def read_archive(path):
    contents = Contents()
    try:
        with gzip.open(path, "rb") as raw, tarfile.open(fileobj=Bounded(raw), mode="r|") as archive:
            for member in archive:
                if member.isdir():
                    continue
                if not member.isreg():
                    raise PackError(f"{member.name[:80]!r} is no plain file")
                root, _, name = member.name.partition("/")
                if root != evidence.ARCHIVE_ROOT:
                    raise PackError(f"{member.name[:80]!r} is not below {evidence.ARCHIVE_ROOT}/")
                contents.add(name, archive.extractfile(member), member.size)
    except (OSError, EOFError, tarfile.TarError, ValueError, OverflowError) as error:
        raise PackError(f"no archive that we can read: {error}") from None
    return contents


def read_folder(path):
    """The pack's own files in a folder; what else `make` keeps beside them is not looked at."""
    contents = Contents()
    names = [name for name in KEPT if os.path.lexists(os.path.join(path, name))]
    for top, _, files in os.walk(os.path.join(path, evidence.LOGS)):
        names += [os.path.relpath(os.path.join(top, name), path) for name in files]
    for name in sorted(names):
        full = os.path.join(path, name)
        about = os.lstat(full)
        if not stat.S_ISREG(about.st_mode):
            raise PackError(f"{name} is no plain file")
        with open(full, "rb") as file:
            contents.add(name, file, about.st_size)
    return contents


def read_manifest(data):
    """{name: SHA-256}. Raises PackError."""
    sums = {}
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        found = LINE.fullmatch(line)
        if found is None or not NAME.fullmatch(found[2]) or found[2] in sums:
            raise PackError(f"{evidence.MANIFEST}, line {number} is no hash and name")
        sums[found[2]] = found[1]
    return sums


def check_manifest(contents, say):
    listed = read_manifest(contents.kept[evidence.MANIFEST])
    for name, digest in sorted(listed.items()):
        if name not in contents.sums:
            say(f"{name} is in the manifest and not in the pack")
        elif contents.sums[name] != digest:
            say(f"{name} was altered: its hash is not the manifest's")
    for name in sorted(set(contents.sums) - set(listed) - {evidence.MANIFEST}):
        say(f"{name} is in the pack and not in the manifest")
    for name in (evidence.JSON, evidence.HTML, evidence.JUNIT):
        if name not in listed:
            say(f"{name} is not in the manifest")


def read_report(data):
    """report.json, of a schema that we read. Raises PackError."""
    try:
        report = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PackError(f"{evidence.JSON} is no JSON: {error}") from None
    if not isinstance(report, dict) or report.get("schema") != evidence.SCHEMA:
        raise PackError(f"{evidence.JSON} is no report of `make certify`")
    version = report.get("schema_version")
    if version != evidence.SCHEMA_VERSION:
        older = isinstance(version, int) and version < evidence.SCHEMA_VERSION
        advice = "make the pack again, or check it with the version of Janus that made it" if older else \
            "check it with a Janus as new as the one that made it"
        raise PackError(f"{evidence.JSON} has schema version {version}, this program reads {evidence.SCHEMA_VERSION}: {advice}")
    return report


def check_column(column, names, say):
    where = f"column {column['id']}"
    cells = column["cells"]
    for name in names:
        if name not in cells:
            say(f"{where}: row {name} has no cell")
    for name, one in cells.items():
        if name not in names:
            say(f"{where}: a cell of {name}, which is no row")
        if one["verdict"] not in judge.WORDS:
            say(f"{where}: {name}: {one['verdict']!r} is none of the five words")
        if one["verdict"] in (judge.FAIL, judge.SKIPPED, judge.NOT_TRIED) and not one["reason"]:
            say(f"{where}: {name}: {one['verdict']} without a reason")
    if column["counts"] != judge.count_words(one["verdict"] for one in cells.values()):
        say(f"{where}: its counts do not follow from its cells")


def check_report(report, say):
    """Counts and verdict follow from cells."""
    names = [row["id"] for row in report["rows"]]
    if len(names) != len(set(names)):
        say("two rows have one ID")
    for column in report["columns"]:
        check_column(column, set(names), say)
    wanted = judge.summarise(report["columns"], report["guests"], report["differences"])
    for key, value in wanted.items():
        if report["summary"].get(key) != value:
            say(f"summary: {key} is {report['summary'].get(key)!r}, the cells give {value!r}")
    if report["failures"] != judge.failures(report["columns"], report["guests"], report["differences"]):
        say("the list of failures does not follow from the cells")


def check_html(contents, say):
    found = HTML_HASH.search(contents.kept[evidence.HTML][: 1 << 16])
    if found is None:
        say(f"{evidence.HTML} does not say of which {evidence.JSON} it is")
    elif found[1].decode() != contents.sums[evidence.JSON]:
        say(f"{evidence.HTML} is of another {evidence.JSON}")


def check_junit(contents, report, say):
    data = contents.kept[evidence.JUNIT]
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        say(f"{evidence.JUNIT} has entities of its own")
        return
    try:
        suites = {s.get("name"): s for s in ElementTree.fromstring(data).iter("testsuite")}
    except ElementTree.ParseError as error:
        say(f"{evidence.JUNIT} is no XML: {error}")
        return
    for column in report["columns"]:
        suite = suites.get(column["id"])
        if suite is None:
            say(f"{evidence.JUNIT} has no suite {column['id']}")
            continue
        failed = len(suite.findall("testcase/failure"))
        if not failed == int(suite.get("failures", -1)) == column["counts"][judge.FAIL]:
            say(f"{evidence.JUNIT}: suite {column['id']} has {failed} failures, {evidence.JSON} {column['counts'][judge.FAIL]}")


def check(path, wanted_hash=None):
    """(what is wrong, a line each; the hash of the whole; the report). Raises PackError if it cannot be read."""
    if os.path.isdir(path):
        contents = read_folder(path)
    elif os.path.isfile(path):
        contents = read_archive(path)
    else:
        raise PackError(f"there is no {path}")
    if evidence.MANIFEST not in contents.kept:
        raise PackError(f"there is no {evidence.MANIFEST} in it: no pack of `make certify`")
    wrong = []
    check_manifest(contents, wrong.append)
    whole = contents.sums[evidence.MANIFEST]
    if wanted_hash is not None and wanted_hash.lower() != whole:
        wrong.append(f"the hash of the whole is {whole}, not {wanted_hash}")
    for name in (evidence.JSON, evidence.HTML, evidence.JUNIT):
        if name not in contents.kept:
            wrong.append(f"there is no {name}")
            return wrong, whole, None
    try:
        report = read_report(contents.kept[evidence.JSON])
        check_report(report, wrong.append)
    except PackError as error:
        return [*wrong, str(error)], whole, None
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        return [*wrong, f"{evidence.JSON} is not as its schema says: {type(error).__name__} {error}"], whole, None
    check_html(contents, wrong.append)
    check_junit(contents, report, wrong.append)
    return wrong, whole, report


def main(argv=None):
    parser = argparse.ArgumentParser(description="Checks an evidence pack of `make certify`.")
    parser.add_argument("pack", help="the folder, or certify-pack.tar.gz")
    parser.add_argument("--hash", help="the hash of the whole, as it was printed")
    args = parser.parse_args(argv)
    try:
        wrong, whole, report = check(args.pack, args.hash)
    except PackError as error:
        print(f"certify-verify: {error}")
        return 2
    for line in wrong:
        print(f"WRONG: {line}")
    print(f"hash of the whole: {whole}")
    if wrong:
        print(f"FAIL: {len(wrong)} things are wrong: this pack is not as it was made")
        return 1
    columns = report["columns"]
    print(f"{len(report['rows'])} rows, {len(columns)} columns, its verdict: {report['summary']['verdict']}")
    for line in report["failures"]:
        print(f"  fail: {line}")
    print("PASS: the pack is whole, and its counts follow from its cells")
    return 0


if __name__ == "__main__":
    sys.exit(main())

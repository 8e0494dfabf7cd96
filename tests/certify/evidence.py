"""The evidence pack: report.json, report.html, report.junit.xml, logs/, MANIFEST.sha256 and one archive of them.

The archive is made so that the same files give the same bytes: sorted, no owners, no times. The hash of the manifest
is the hash of the whole.
"""

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import xml.etree.ElementTree as ElementTree

import jinja2
import judge

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEMA = "janus-certify-report"
SCHEMA_VERSION = 1
JSON, HTML, JUNIT, MANIFEST, LOGS = "report.json", "report.html", "report.junit.xml", "MANIFEST.sha256", "logs"
ARCHIVE = "certify-pack.tar.gz"
ARCHIVE_ROOT = "certify-pack"
NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")
FACES = {"hyperv": "Hyper-V", "xen": "Xen", "machine": "machine", "any": "any"}
NOT_CLAIMED = (
    ("Vendors' own programmes", "This is not Microsoft's SVVP, and no listing or logo of Microsoft or of the Xen Project "
     "stands behind it. It shows what interfaces answer to our own probes and to the guests named here."),
    ("Nesting", "No guest was run that is a hypervisor itself; nested virtualization is not offered."),
    ("Device assignment", "No guest was given a physical device; there is no IOMMU in it."),
    ("Windows guests", "None was run. The Hyper-V face is shown by our probes and by Linux' drivers."),
    ("Speed on real machines", "CPUs and their virtualization are emulated. Counts of instructions price the length of a "
     "path, and nothing of caches, TLBs or a world switch."),
)


def slug(word):
    return word.replace(" ", "-")


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def dump(report):
    """The bytes of report.json: sorted keys, so that the same report is the same file."""
    return (json.dumps(report, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode()


# JUnit


def xml_text(text):
    return NO_XML.sub("?", text)


def junit_case(suite, name, verdict, reason, output):
    case = ElementTree.SubElement(suite, "testcase", classname=xml_text(suite.get("name")), name=xml_text(name))
    if verdict == judge.FAIL:
        ElementTree.SubElement(case, "failure", message=xml_text(reason)).text = xml_text(output)
    elif verdict in (judge.SKIPPED, judge.NOT_TRIED):
        ElementTree.SubElement(case, "skipped", message=xml_text(f"{verdict}: {reason}"))
    elif verdict == judge.NOTES:
        ElementTree.SubElement(case, "system-out").text = xml_text(output)


def junit_suite(root, name, cases):
    """@cases: (name, verdict, reason, output) each."""
    cases = list(cases)
    words = [verdict for _, verdict, _, _ in cases]
    skipped = words.count(judge.SKIPPED) + words.count(judge.NOT_TRIED)
    suite = ElementTree.SubElement(root, "testsuite", name=xml_text(name), tests=str(len(cases)), errors="0",
                                   failures=str(words.count(judge.FAIL)), skipped=str(skipped))
    for one in cases:
        junit_case(suite, *one)


def junit(report):
    """report.junit.xml as bytes: a suite for each column, one for the guests and one for the differences."""
    root = ElementTree.Element("testsuites", name="janus certify")
    for column in report["columns"]:
        junit_suite(root, column["id"], ((name, one["verdict"], one["reason"] or "; ".join(one["notes"]), one["evidence"])
                                         for name, one in column["cells"].items()))
    junit_suite(root, "guests", ((g["id"], g["verdict"], g["reason"],
                                  "\n".join(f"{f['name']}: {f['value']} {f['wrong']}".rstrip() for f in g["facts"]))
                                 for g in report["guests"]))
    junit_suite(root, "differences", ((f"{d['row']} {d['peer']}", d["verdict"], d["reason"],
                                       d["entry"]["right"] if d["entry"] else "") for d in report["differences"]))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


# HTML


def bench_groups(bench):
    """The bars: each operation with each column's figure and its share of the group's largest."""
    groups = []
    for operation in bench.get("operations", []):
        values = operation["values"]
        most = max((v for v in values.values() if v is not None), default=0)
        bars = [{"column": column, "value": values.get(column), "share": 100 * (values.get(column) or 0) / most if most else 0}
                for column in bench["columns"]]
        groups.append({"title": operation.get("title", operation["id"]), "bars": bars})
    return groups


def tables_of(report):
    """The rows, table by table, each with its cells in the order of columns."""
    tables = {}
    for row in report["rows"]:
        cells = [column["cells"][row["id"]] for column in report["columns"]]
        words = sorted({slug(one["verdict"]) for one in cells})
        tables.setdefault(row["table"], []).append({**row, "cells": cells, "words": " ".join(words)})
    return tables


def html(report, json_bytes):
    """report.html as bytes: one page that needs nothing else."""
    loader = jinja2.FileSystemLoader(HERE)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined)
    environment.filters["slug"] = slug
    page = environment.get_template("report.html.j2").render(
        r=report, tables=tables_of(report), words=judge.WORDS, faces=FACES, not_claimed=NOT_CLAIMED,
        bench=bench_groups(report["bench"]) if report["bench"] else [],
        json_sha256=hashlib.sha256(json_bytes).hexdigest())
    return page.encode("utf-8", "replace")


# Files


def pack_files(folder):
    """The names of a pack's files, sorted, without the manifest."""
    names = [name for name in (JSON, HTML, JUNIT) if os.path.exists(os.path.join(folder, name))]
    for top, folders, files in os.walk(os.path.join(folder, LOGS)):
        folders.sort()
        names += [os.path.relpath(os.path.join(top, name), folder) for name in files]
    return sorted(names)


def write_bytes(path, data):
    with open(path, "wb") as file:
        file.write(data)


def write_manifest(folder):
    """MANIFEST.sha256 over all files. Gives its own hash, which is the hash of the whole."""
    lines = [f"{sha256(os.path.join(folder, name))}  {name}\n" for name in pack_files(folder)]
    data = "".join(lines).encode()
    write_bytes(os.path.join(folder, MANIFEST), data)
    return hashlib.sha256(data).hexdigest()


def write_archive(folder):
    """The archive of what the manifest lists and of the manifest. Gives its path."""
    path = os.path.join(folder, ARCHIVE)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted([*pack_files(folder), MANIFEST]):
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            info = tarfile.TarInfo(f"{ARCHIVE_ROOT}/{name}")
            info.size = len(data)
            info.mode = 0o644
            archive.addfile(info, io.BytesIO(data))
    with open(path, "wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file:
        file.write(buffer.getvalue())
    return path


def write_pack(folder, report):
    """Writes all of it into @folder, whose logs/ is there. Gives (the hash of the whole, the archive's path)."""
    os.makedirs(os.path.join(folder, LOGS), exist_ok=True)
    json_bytes = dump(report)
    write_bytes(os.path.join(folder, JSON), json_bytes)
    write_bytes(os.path.join(folder, HTML), html(report, json_bytes))
    write_bytes(os.path.join(folder, JUNIT), junit(report))
    return write_manifest(folder), write_archive(folder)

"""From what runs printed to verdicts: columns of cells, differences with peers, and what the exit status says.

A column is one (hypervisor, CPU kind, configuration). Each row of rows.py has a cell in each column, with one of five
words; a row without a result is a fail, never blank. specs/certify.md has the rules and every field.
"""

import fnmatch
import os
import re

import rows as rows_module
import tap

PASS, NOTES, FAIL, SKIPPED, NOT_TRIED = WORDS = ("pass", "pass with notes", "fail", "skipped", "not tried")
OURS = ("janus", "hosted")
CLEAN_END = "power off"
CLEAN_ENDS = (CLEAN_END, "halted after its last line")  # the second: of a peer without ACPI
SIGNATURES = {"hyperv": "Microsoft Hv", "xen": "XenVMMXenVMM"}
KNOWN_SIGNATURES = {*SIGNATURES.values(), "KVMKVMKVM", "TCGTCGTCGTCG", "Linux KVM Hv", "VMwareVMware", "VBoxVBoxVBox"}
NO_SIGNATURE = "-"
HANG_SECONDS = 60
NO_VMBUS = "no VMBus here"  # how the guest's reason begins
DIFFERENCE_CELLS = ("row", "peer", "janus", "theirs", "right")
ERRORS_SHOWN = 5


class DifferencesError(Exception):
    """specs/differences.md is not as it must be, in one line."""


def count_words(words):
    """How often each of the five words is there: all five keys, always."""
    words = list(words)
    return {word: words.count(word) for word in WORDS}


def worst(words):
    """One word for many."""
    words = set(words)
    for word in (FAIL, NOTES, PASS, SKIPPED):
        if word in words:
            return word
    return NOT_TRIED


def cell(verdict, reason="", **more):
    """A cell, with all fields."""
    base = {"verdict": verdict, "reason": reason, "offered": None, "specified": None, "checks": 0, "failed_count": 0,
            "clause": "", "notes": [], "evidence": "", "boot": None, "line": None, "explained": None}
    return {**base, **more}


# Cells of one column


def judge_row(column, row, found, wrong, boot):
    """The cell of a row that has a result. @found: tap.Row; @wrong: what is not as it must be, or None."""
    block = found.block
    more = {key: block[key] for key in ("offered", "specified", "checks", "failed_count", "clause", "notes") if key in block}
    more.update(evidence="\n".join(found.evidence), boot=boot, line=found.line)
    if wrong is not None:
        return cell(FAIL, wrong, **more)
    if found.word == "skip" and column["kind"] in OURS and found.reason.startswith(NO_VMBUS):
        return cell(FAIL, f"Janus has VMBus wherever it has Hyper-V's face, and the guest found none: {found.reason}", **more)
    if found.word == "skip":
        return cell(SKIPPED, found.reason, **more)
    if found.word == "not ok":
        return cell(FAIL, block["failed"], **more)
    offered, specified = block["offered"], block["specified"]
    by_cpu = row["specified"] == "cpu"
    if not by_cpu and specified != row["specified"]:
        return cell(FAIL, "the guest was built from other tables than these: make it again", **more)
    if column["kind"] in OURS and offered != specified and not by_cpu:
        says = "offers this" if offered else "does not offer this"
        return cell(FAIL, f"Janus {says}, its table says that it {'does' if specified else 'does not'}", **more)
    seen = list(block.get("notes", []))  # evidence, which takes nothing from a pass
    notes = []
    if by_cpu and column["kind"] in OURS and offered != specified:
        notes.append("the host's CPU decides: it does not have it")
    more["notes"] = seen + notes
    return cell(NOTES if notes else PASS, **more)


def why_stopped(boot):
    """How a boot that did not come to its end stopped, for people."""
    ended = boot.get("ended", "unknown")
    return f"hung: no line for {HANG_SECONDS} s" if ended == "hung" else f"the run ended in this probe: {ended}"


def boots_with_output(column, count):
    """The boot of each document. Boots that printed nothing have none."""
    boots = [boot for boot in column["boots"] if boot.get("ended") != "no output"]
    return [boots[min(i, len(boots) - 1)] if boots else {} for i in range(count)]


def results_of(column, documents):
    """{ID: (tap.Row, wrong, boot number)}, {ID: why} of the rows in which a boot stopped, and the same of those that
    came to a result in a later boot."""
    found, stopped = {}, {}
    boots = boots_with_output(column, len(documents))
    for number, (document, boot) in enumerate(zip(documents, boots), 1):
        for name, row in document.rows.items():
            wrong = document.wrong.get(name)
            before = found.get(name)
            if row.earlier and (before is not None or name in stopped):
                continue
            if before is None or row.word == "not ok" or wrong is not None:
                found[name] = (row, wrong, number)
        for name, wrong in document.wrong.items():
            if name not in document.rows:
                stopped.setdefault(name, wrong)
        if not document.complete and document.begun is not None:
            stopped[document.begun] = why_stopped(boot)
    retried = {name: why for name, why in stopped.items() if name in found and found[name][0].word != "skip"}
    return found, {name: why for name, why in stopped.items() if name not in retried}, retried


def no_result(column, documents):
    """The cell of a row that has no result."""
    clean = bool(documents) and documents[-1].complete
    if column["kind"] == "peer" and not clean:
        last = documents[-1].begun or documents[-1].last if documents else None
        ended = column["boots"][-1].get("ended", "unknown") if column["boots"] else "no boot"
        return cell(NOT_TRIED, f"the peer's run stopped {'at ' + last if last else 'before its first row'}: {ended}")
    return cell(FAIL, "no result")


def judge_output(documents, known):
    """run.output: what the guest printed is whole and well formed."""
    errors = [error for document in documents for error in document.errors]
    for document in documents:
        errors += [f"{name} is no row of these tables" for name in document.rows if name not in known]
    if not documents:
        return cell(FAIL, "the guest printed no TAP at all")
    if errors:
        more = f" (and {len(errors) - ERRORS_SHOWN} more)" if len(errors) > ERRORS_SHOWN else ""
        return cell(FAIL, "; ".join(errors[:ERRORS_SHOWN]) + more, evidence="\n".join(errors))
    strays = sum(document.stray_count for document in documents)
    if not strays:
        return cell(PASS, checks=1)
    lines = [line for document in documents for line in document.strays]
    return cell(NOTES, checks=1, notes=[f"{strays} lines that are no TAP were let go"], evidence="\n".join(lines))


def signatures_of(identity):
    """The hypervisor signatures that the guest saw: its first leaf's, and those of the faces that it found."""
    seen = [text for text in (identity.get("signature", "").strip(),) if text.strip(NO_SIGNATURE)]
    found = [text for face, text in SIGNATURES.items() if int_of(identity.get(face, "0"))]
    return [*(text for text in seen if text not in found), *found]


def int_of(text):
    try:
        return int(text, 16)
    except ValueError:
        return 0


def wanted_signatures(column):
    """The signatures that a guest on Janus must see. None: not known."""
    face = column.get("face")
    if column["kind"] not in OURS or face not in ("hyperv", "xen", "both"):
        return None
    return {text for name, text in SIGNATURES.items() if face in (name, "both")}


def judge_identity(column, documents):
    """run.identity: the guest is on what we think it is on."""
    if not documents:
        return cell(FAIL, "the guest printed no identity")
    identity = documents[0].identity
    seen = signatures_of(identity)
    evidence = " ".join(f'{key}="{value}"' for key, value in identity.items())
    wanted = wanted_signatures(column)
    shown = ", ".join(seen) or "none"
    if wanted is not None and wanted != set(seen):
        text = f"the guest sees the signatures {shown}; this configuration has {', '.join(sorted(wanted))}"
        return cell(FAIL, text, evidence=evidence)
    vcpus = column.get("vcpus")
    if vcpus and identity.get("vcpus", str(vcpus)) != str(vcpus):
        return cell(FAIL, f"the guest sees {identity['vcpus']} vCPUs, not {vcpus}", evidence=evidence)
    notes = []
    if not seen:
        notes.append("no hypervisor signature: rows of both faces are skipped")
    unknown = [text for text in seen if text not in KNOWN_SIGNATURES]
    if unknown:
        notes.append(f"unknown hypervisor signature {', '.join(unknown)}: nothing is known of what it offers beside the faces")
    return cell(NOTES if notes else PASS, checks=1, notes=notes, evidence=evidence)


def judge_end(column, documents, stopped, retried):
    """run.end: no probe stopped it, and it ended by itself. What stopped a peer is that row's own fail, which is explained or
    not; the other rows have their results all the same."""
    evidence = "\n".join(f"boot {i}: {boot.get('ended', 'unknown')}" for i, boot in enumerate(column["boots"], 1))
    if stopped and column["kind"] in OURS:
        text = "; ".join(f"{name}: {why}" for name, why in stopped.items())
        return cell(FAIL, text, evidence=evidence)
    bails = [document.bail for document in documents if document.bail is not None]
    if bails:
        return cell(FAIL, f"the guest gave up: {bails[0]}", evidence=evidence)
    if not documents or not documents[-1].complete:
        last = documents[-1].last if documents else None
        return cell(FAIL, f"the output stops after {last or 'nothing'}", evidence=evidence)
    ended = column["boots"][-1].get("ended") if column["boots"] else None
    if ended not in CLEAN_ENDS:
        return cell(FAIL, f"after its last row the guest did not power off: {ended}", evidence=evidence)
    notes = [f"{column['attempts']} attempts were needed"] if column.get("attempts", 1) > 1 else []
    notes += [f"{name}: {why}" for name, why in stopped.items()]
    notes += [f"{name}: {why}; a later boot came to its result" for name, why in retried.items()]
    return cell(NOTES if notes else PASS, checks=1, notes=notes, evidence=evidence)


def not_tried_column(column, rows):
    """All cells of a column that could not be had."""
    return {row["id"]: cell(NOT_TRIED, column["reason"]) for row in rows}


def judge_column(column, rows, text):
    """Fills a column: cells, counts, identity, status. @text: what its guest printed; None if it was not tried."""
    column.setdefault("boots", [])
    if column.get("reason"):
        column.update(status=NOT_TRIED, cells=not_tried_column(column, rows), guest={})
    else:
        documents = tap.parse(text.splitlines())
        found, stopped, retried = results_of(column, documents)
        cells = {}
        for row in rows:
            name = row["id"]
            if row["table"] == rows_module.RUN_TABLE:
                continue
            if name in stopped:
                begun = f"# begin {name}"
                cells[name] = cell(FAIL, stopped[name], evidence=begun, boot=len(documents))
            elif name in found:
                cells[name] = judge_row(column, row, *found[name])
            else:
                cells[name] = no_result(column, documents)
        known = {row["id"] for row in rows}
        run = {"run.output": judge_output(documents, known), "run.identity": judge_identity(column, documents),
               "run.end": judge_end(column, documents, stopped, retried)}
        column.update(status="run", cells={**run, **cells}, guest=documents[0].identity if documents else {})
    column["counts"] = count_words(one["verdict"] for one in column["cells"].values())
    return column


# Differences between Janus and peers


def read_differences(path, known):
    """The table of specs/differences.md: a list of entries. Raises DifferencesError."""
    if not os.path.exists(path):
        return []
    entries, inside = [], False
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines, 1):
        if not line.lstrip().startswith("|"):
            inside = False
            continue
        cells = [text.strip().strip("`") for text in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if cells[0].lower() == "row":
            inside = True
        elif inside and not set(line) <= set("|-: "):
            entries += entries_of(cells, number, known)
    pairs = [(entry["row"], entry["peer"]) for entry in entries]
    double = [pair for pair in pairs if pairs.count(pair) > 1]
    if double:
        raise DifferencesError(f"differences.md has {double[0][0]} for {double[0][1]} twice")
    return entries


def entries_of(cells, number, known):
    """The entries of one line: one for each row that its first cell names."""
    if len(cells) != len(DIFFERENCE_CELLS) or not all(cells):
        raise DifferencesError(f"differences.md, line {number}: {len(DIFFERENCE_CELLS)} cells with text in each are needed")
    names = [name.strip("` ") for name in cells[0].split(",")]
    for name in names:
        if name not in known:
            raise DifferencesError(f"differences.md, line {number}: {name} is no row of specs/")
    return [{**dict(zip(DIFFERENCE_CELLS, cells)), "row": name, "line": number} for name in names]


def janus_word(columns, row):
    """(one word for a row over all columns on Janus, whether it is offered in any)."""
    cells = [column["cells"][row] for column in columns if column["kind"] == "janus" and column["status"] == "run"]
    return worst(one["verdict"] for one in cells), any(one["offered"] for one in cells)


def difference(row, column, ours, theirs, entry, text):
    verdict = NOTES if entry is not None else FAIL
    return {"row": row, "column": column["id"] if column else None, "peer": column["peer"] if column else entry["peer"],
            "janus_verdict": ours, "peer_verdict": theirs, "entry": entry, "verdict": verdict, "reason": text}


def differences_of_column(column, columns, entries):
    """What one peer's column has that must be explained, and marks its cells."""
    found = []
    mine = {e["row"]: e for e in entries if fnmatch.fnmatchcase(column["peer"], e["peer"])}
    for row, theirs in column["cells"].items():
        ours, offered = janus_word(columns, row)
        if theirs["verdict"] == FAIL:
            entry = mine.get(row)
            theirs["explained"] = None if entry is None else entry["right"]
            text = "" if entry else f"{column['peer']} fails here and no entry of specs/differences.md explains it"
            found.append(difference(row, column, ours, FAIL, entry, text))
        elif ours == FAIL and theirs["verdict"] in (PASS, NOTES) and offered and theirs["offered"]:
            found.append(difference(row, column, ours, theirs["verdict"], None, "the peer passes where Janus fails"))
    return found


def judge_differences(columns, entries):
    """Each difference and each entry, with its verdict."""
    peers = [column for column in columns if column["kind"] == "peer"]
    tried = [column for column in peers if column["status"] == "run"]
    found = [one for column in tried for one in differences_of_column(column, columns, entries)]
    for entry in entries:
        if any(one["entry"] is entry for one in found):
            continue
        if any(fnmatch.fnmatchcase(column["peer"], entry["peer"]) for column in tried):
            text = "no run reproduces this entry: it must go, or the probe has changed"
            found.append({**difference(entry["row"], None, NOT_TRIED, PASS, entry, text), "verdict": FAIL})
        else:
            text = f"{entry['peer']} was not run"
            found.append({**difference(entry["row"], None, NOT_TRIED, NOT_TRIED, entry, text), "verdict": NOT_TRIED})
    return found


# All of it


def never_probed(rows, columns):
    """Rows that every column of ours skipped, though one of them shows their face."""
    ours = [column for column in columns if column["kind"] in OURS and column["status"] == "run"]
    names = []
    for row in rows:
        faces = [c for c in ours if row["face"] in ("any", "machine") or c.get("face") in (row["face"], "both")]
        if faces and all(c["cells"][row["id"]]["verdict"] == SKIPPED for c in faces):
            names.append(row["id"])
    return names


def failures(columns, guests, differences):
    """Each fail that counts, a line each: on Janus, of real guests, of differences. A peer's own fail counts by its
    difference."""
    lines = [f"{column['id']}: {name}: {one['reason']}" for column in columns if column["kind"] in OURS
             for name, one in column["cells"].items() if one["verdict"] == FAIL]
    for guest in guests:
        lines += [f"{guest['id']}: {fact['name']}: {fact['wrong']}" for fact in guest["facts"] if fact["verdict"] == FAIL]
        if guest["verdict"] == FAIL and not any(fact["verdict"] == FAIL for fact in guest["facts"]):
            lines.append(f"{guest['id']}: {guest['reason']}")
    for one in differences:
        if one["verdict"] == FAIL and one["reason"] != "the peer passes where Janus fails":
            lines.append(f"difference, {one['peer']}: {one['row']}: {one['reason']}")
    return sorted(lines)


def summarise(columns, guests, differences):
    """The counts that verify.py computes again."""
    cells = {kind: [one["verdict"] for c in columns if c["kind"] == kind for one in c["cells"].values()]
             for kind in (*OURS, "peer")}
    lines = failures(columns, guests, differences)
    tried = any(c["status"] == "run" for c in columns if c["kind"] in OURS)
    noted = any(NOTES in words for kind, words in cells.items() if kind != "peer") or any(
        g["verdict"] == NOTES for g in guests)
    return {"cells": {kind: count_words(words) for kind, words in cells.items()},
            "guests": count_words(guest["verdict"] for guest in guests),
            "differences": count_words(one["verdict"] for one in differences),
            "fail_count": len(lines),
            "verdict": FAIL if lines else NOT_TRIED if not tried else NOTES if noted else PASS}

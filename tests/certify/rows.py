"""All rows that a certification must answer for: those of specs/*.def and of the functional probes.

An ID is <table>.<NAME>, as the guest's tables have it. Of the forms that are not SPEC_ROW: CPUID_LEAF is named by its
number (cpuid.leaf_0x00000001), CPUID_FEATURE by its register too (cpuid.1_ECX_SSE3), MSR and PORT as they are.
isolation.def is about what the host's CPU does between guests: no guest can see it, and it is left out.
"""

import glob
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FUNCTIONAL = "guest-drivers/certify/functional.def"
LEFT_OUT = {"isolation": "what the host's CPU does between two guests: no guest can see it; hosted tests have it"}
FORMS = ("SPEC_ROW", "CPUID_LEAF", "CPUID_FEATURE", "MSR", "PORT")
HYPERV = ("vmbus_message", "storvsp", "scsi", "nvsp", "rndis")
XEN = ("xenstore", "blkif")
MACHINE = ("cpuid", "msr", "ports")
AMD_ONLY = range(0xC0010000, 0xC0012000)  # MSRs that Intel's CPUs do not have
RUN_TABLE = "run"
# What the runner itself judges of a run, as rows like all others.
RUN_ROWS = (
    ("output", "The guest's output is whole and well formed: plan, numbers, blocks, counts"),
    ("identity", "The guest sees the hypervisor signatures that this configuration has"),
    ("end", "Every probe came to a result, and the guest ended by itself"),
)


class RowsError(Exception):
    """A table that cannot be read, in one line."""


def face_of(table):
    """hyperv, xen, machine (what every guest has) or any."""
    if table.startswith("hv_") or table in HYPERV:
        return "hyperv"
    if table.startswith("xen_") or table in XEN:
        return "xen"
    return "machine" if table in MACHINE else "any"


def arguments(text, at):
    """The arguments of a macro whose parenthesis opens at @at of @text, split at the commas outside of any bracket."""
    parts, depth, quoted, start = [], 0, False, at + 1
    for i in range(at, len(text)):
        c = text[i]
        if c == '"' and text[i - 1] != "\\":
            quoted = not quoted
        elif quoted:
            continue
        elif c == "(":
            depth += 1
        elif c == ")":
            depth -= 1
            if depth == 0:
                return [part.strip() for part in [*parts, text[start:i]]]
        elif c == "," and depth == 1:
            parts.append(text[start:i])
            start = i + 1
    raise RowsError(f"a row without an end: {text[at:at + 60]!r}")


def plain(text):
    """A C string, which may be in parts."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"', text)
    return "".join(found).replace('\\"', '"') if found else text


def make_row(table, form, args):
    """One row as report.json has it. specified: true, false, or "cpu" where the host's CPU decides."""
    name, specified, clause = args[1], True, args[-1]
    title = name
    if form == "SPEC_ROW":
        if args[2] not in ("OFFERED", "REFUSED"):
            raise RowsError(f"{table}: {name} is neither OFFERED nor REFUSED")
        specified = args[2] == "OFFERED"
    elif form == "CPUID_LEAF":
        name, title = f"leaf_{args[0]}", plain(args[1])
        specified = "cpu" if args[2] == "host" else True
    elif form == "CPUID_FEATURE":
        name = title = f"{args[0]}_{args[2]}"
        clause = f"CPUID {args[0].replace('_', ' ')}, bit {args[1]}: {args[3]}"
        specified = True if args[3] == "ALWAYS" else "cpu"
    else:
        name = title = args[2]
        first, last = args[0], args[1]
        specified = "cpu" if form == "MSR" and int(first, 16) in AMD_ONLY else True
        clause = f"{first}{'' if first == last else ' to ' + last}: {plain(clause)}"
    return {"id": f"{table}.{name}", "table": table, "name": name, "title": title, "number": args[0],
            "specified": specified, "clause": plain(clause), "face": face_of(table)}


def read_table(path):
    """The rows of one file."""
    table = os.path.basename(path).removesuffix(".def")
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    found = re.finditer(rf"^({'|'.join(FORMS)})\(", text, flags=re.M)
    return [make_row(table, match[1], arguments(text, match.end() - 1)) for match in found]


def all_rows(root=ROOT):
    """Every row, in the order of tables and files; first what the runner itself judges. Raises RowsError."""
    paths = sorted(glob.glob(os.path.join(root, "specs/*.def")))
    if not paths:
        raise RowsError(f"there is no specs/*.def below {root}")
    functional = os.path.join(root, FUNCTIONAL)
    if os.path.exists(functional):
        paths.append(functional)
    rows = [{"id": f"{RUN_TABLE}.{name}", "table": RUN_TABLE, "name": name, "title": name, "number": str(i),
             "specified": True, "clause": clause, "face": "any"} for i, (name, clause) in enumerate(RUN_ROWS)]
    for path in paths:
        if os.path.basename(path).removesuffix(".def") in LEFT_OUT:
            continue
        found = read_table(path)
        if not found:
            raise RowsError(f"{path} has no row that we can read")
        rows += found
    ids = [row["id"] for row in rows]
    double = sorted({name for name in ids if ids.count(name) > 1})
    if double:
        raise RowsError(f"two rows have one ID: {', '.join(double)}")
    return rows


def monitor_names(root=ROOT):
    """What the monitor's `stats` calls a row -> its ID. vm/spec.h has the tables' words."""
    with open(os.path.join(root, "hypervisor/include/vm/spec.h"), encoding="utf-8") as file:
        texts = dict(re.findall(r'TABLE\(SPEC_\w+, (\w+), "([^"]+)"\)', file.read()))
    names = {}
    for row in all_rows(root):
        if row["table"] in texts:
            shown = f'"{row["title"]}"' if row["table"] == "cpuid" else row["name"]
            names.setdefault(f"{texts[row['table']]} {shown}", row["id"])
    return names

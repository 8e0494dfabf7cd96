"""The table at the end of `make run`: one row a guest, each cell from the guest's own report.

A cell is right only if the report has it and it is what this guest must say; sums are computed here as
well, so that a guest that only says "pass" is not believed.
"""

import hashlib
import re

COLUMNS = ("guest", "face", "kernel", "vCPUs", "disk driver", "disk", "network driver", "ping 1400",
           "1 MiB", "clock", "shutdown")
DRIVERS = {"hyperv": ("hv_storvsc", "hv_netvsc"), "xen": ("vbd", "vif")}
FACES = {"hyperv": r"Microsoft Hyper-V", "xen": r"Xen\b"}
CLOCKS = {"hyperv": ("hyperv_clocksource_tsc_page", "hyperv_clocksource_msr"), "xen": ("xen", "tsc")}
WRITE_SEED = 7  # guest_init.sh's default
DISK_BYTES = 2 << 20
NET_BYTES = 1 << 20


def pattern_sum(seed, size):
    """The MD5 sum of pattern @seed of guest_init.sh."""
    lines = "".join(f"{seed}{i:06}\n" for i in range(1, size // 8 + 2))
    return hashlib.md5(lines.encode()[:size]).hexdigest()


class Cell:
    """What stands in a cell, and what is wrong with it (None: nothing)."""

    def __init__(self, text, wrong=None):
        self.text = text
        self.wrong = wrong


def exact(report, key, *wanted):
    got = report.get(key)
    if got is None:
        return Cell("-", "no report")
    return Cell(got, None if got in wanted else f"{got}, not {' or '.join(wanted)}")


def matches(report, key, pattern):
    got = report.get(key)
    if got is None:
        return Cell("-", "no report")
    return Cell(got or "?", None if re.match(pattern, got) else f"{got or 'nothing'}, not {pattern}")


def outcome(report, key, wanted):
    """A cell of a `pass DETAIL` or `fail DETAIL` report, whose detail must end with @wanted."""
    got = report.get(key)
    if got is None:
        return Cell("-", "no report")
    word, _, detail = got.partition(" ")
    if word != "pass":
        return Cell("WRONG", detail or got)
    if not detail.endswith(wanted):
        return Cell("WRONG", f"it says {detail!r}, which is not {wanted}")
    return Cell("right")


def shutdown_cell(report, end):
    """Clean: it said that it would power off, and then did."""
    if "end" not in report:
        return Cell("-", "it never came to its end" if end is None else " ".join(end).strip())
    if end is None:
        return Cell("WRONG", "it did not power off")
    if report["end"] != "poweroff" or end[0] != "powered off":
        return Cell("WRONG", " ".join(end).strip())
    return Cell("clean")


def check_result(cells, report):
    """A guest that found something wrong which no cell shows (its sleep, a module) is not right either."""
    if report.get("result") != "pass" and all(cell.wrong is None for cell in cells):
        got = report.get("result", "missing")
        cells[-1] = Cell("WRONG", f"it powered off, but its own result is {got}")
    return cells


def judge_guest(guest, report, end):
    """The cells of one guest. @guest: name, face, release, vcpus, peer (last byte of its address)."""
    disk_driver, net_driver = DRIVERS[guest["face"]]
    cells = [
        Cell(guest["name"]),
        matches(report, "face", FACES[guest["face"]]),
        exact(report, "kernel", guest["release"]),
        exact(report, "vcpus", str(guest["vcpus"])),
        exact(report, "disk_driver", disk_driver),
        outcome(report, "disk", pattern_sum(WRITE_SEED, DISK_BYTES)),
        exact(report, "net_driver", net_driver),
        outcome(report, "ping", "3 of 3"),
        outcome(report, "net", pattern_sum(guest["peer"], NET_BYTES)),
        exact(report, "clock", *CLOCKS[guest["face"]]),
        shutdown_cell(report, end),
    ]
    return check_result(cells, report)


def table(rows):
    """The rows as text, in columns."""
    texts = [COLUMNS, *([cell.text for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(COLUMNS))]
    return "\n".join("  ".join(t.ljust(w) for t, w in zip(row, widths)).rstrip() for row in texts)


def wrong_cells(rows):
    """A line for each wrong cell: `guest, column: why`."""
    return [
        f"{row[0].text}, {column}: {cell.wrong}"
        for row in rows
        for column, cell in zip(COLUMNS, row)
        if cell.wrong is not None
    ]

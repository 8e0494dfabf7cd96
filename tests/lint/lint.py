"""The rules of the tree that a compiler does not check: who includes whom, lengths, format, headers, tests for threats.

One line for each breach: file:line: what is wrong. Exit status 1 if there is any.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile

import threats

COMPILER = ["std", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "limits.h"]

# Folder or file -> what its #include "..." may start with. The first row that fits counts.
TABLE = [
    ("hypervisor/include/base/", ["base/"]),
    ("hypervisor/include/abi/", ["base/", "abi/"]),
    ("hypervisor/include/vm/", ["base/", "vm/"]),
    ("hypervisor/include/backend/", ["base/", "backend/"]),
    ("hypervisor/backend/", ["backend/", "base/", "hypervisor/backend/"]),
    ("synic/", ["vm/", "backend/", "abi/", "base/", "synic/", "specs/"]),
    ("vmbus/", ["synic/synic.h", "vm/", "backend/", "abi/", "base/", "vmbus/", "specs/"]),
    ("enlighten/personality", ["enlighten/personality.h", "enlighten/hyperv/hyperv.h", "enlighten/xen/xen.h", "vm/", "abi/",
                               "base/"]),
    ("enlighten/hyperv/", ["synic/synic.h", "vm/", "backend/", "abi/", "base/", "enlighten/hyperv/", "specs/"]),
    ("enlighten/xen/", ["vm/", "backend/", "abi/", "base/", "enlighten/xen/", "specs/"]),
    ("hypervisor/platform/", ["base/", "hypervisor/platform/", "specs/"]),
    ("hypervisor/drivers/", ["backend/", "base/", "hypervisor/drivers/", "hypervisor/arch/x86/cpu_ops.h",
                             "hypervisor/arch/x86/host.h"]),
    ("hypervisor/arch/x86/", ["base/", "hypervisor/arch/x86/", "hypervisor/drivers/uart.h", "specs/"]),
    ("hypervisor/core/wiring.c", [""]),
    ("hypervisor/core/", ["base/", "vm/", "backend/", "hypervisor/core/", "hypervisor/platform/", "hypervisor/drivers/",
                          "hypervisor/backend/gpt.h", "specs/"] +
     ["hypervisor/arch/x86/" + name for name in
      ("hvm_ops.h", "host.h", "cpu_ops.h", "insn.h", "walk.h", "cpuid_policy.h", "msr_policy.h")]),
    ("guest-drivers/certify/", ["abi/", "base/", "guest-drivers/", "specs/"]),
    ("guest-drivers/", ["abi/", "base/", "guest-drivers/"]),
    ("tests/", [""]),
]

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 100
MEDIAN_MAX = 15
NINTH_DECILE_MAX = 45
LONG_BY_NAME = set()  # flat tables and switches of one-line cases, by function name
PARTS = ("stats_tables.h", "abi/xen_io.h", "abi/xen_shared.h")  # parts of one other file, which say so


def tracked(suffixes):
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], check=True,
                         capture_output=True, text=True).stdout
    return sorted(name for name in out.splitlines() if name.endswith(suffixes) and os.path.exists(name))


def allowed(path, include):
    for prefix, starts in TABLE:
        if path.startswith(prefix):
            return any(include.startswith(start) for start in starts)
    return False


def check_includes(path, lines, say):
    for number, line in enumerate(lines, 1):
        found = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
        if not found:
            continue
        kind, name = found.groups()
        if kind == "<":
            if not path.startswith("tests/") and name not in COMPILER:
                say(path, number, f"<{name}> is no header of a freestanding compiler")
        elif not allowed(path, name):
            say(path, number, f'may not include "{name}": see the table in specs/architecture.md')


def check_text(path, lines, say):
    if len(lines) > FILE_LINES_MAX:
        say(path, len(lines), f"{len(lines)} lines: make it two files")
    for number, line in enumerate(lines, 1):
        if path.startswith("tests/"):
            continue
        if re.match(r"\s*#\s*if", line) and path.endswith(".c"):
            say(path, number, "#if in a .c file: choose files, not lines")
        if re.search(r"\bgoto\b", re.sub(r"/\*.*?\*/|\"[^\"]*\"", "", line)) and not line.lstrip().startswith("*"):
            say(path, number, "goto")


def check_functions(paths, say):
    out = subprocess.run(["ctags", "-x", "--_xformat=%N\t%F\t%n\t%{end}\t%K", "--kinds-C=f", "--fields=+ne", *paths],
                         check=True, capture_output=True, text=True).stdout
    lengths = []
    for row in out.splitlines():
        name, path, first, last, _ = row.split("\t")
        if not last.isdigit():
            continue
        length = int(last) - int(first) + 1
        lengths.append(length)
        if length > FUNCTION_LINES_MAX and name not in LONG_BY_NAME:
            say(path, int(first), f"{name}() has {length} lines, at most {FUNCTION_LINES_MAX} are good")
    lengths.sort()
    median, ninth = statistics.median(lengths), lengths[len(lengths) * 9 // 10]
    print(f"lint: {len(lengths)} functions: median {median:g} lines, 9 in 10 at most {ninth}, longest {lengths[-1]}")
    if median > MEDIAN_MAX or ninth > NINTH_DECILE_MAX:
        say("tree", 0, f"functions are too long: median {median:g} (at most {MEDIAN_MAX}), 9 in 10 at most {ninth}"
                       f" ({NINTH_DECILE_MAX})")


def check_headers(paths, say):
    """Each header can be included alone, and twice."""
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            unit = os.path.join(folder, "header.c")
            with open(unit, "w", encoding="utf-8") as file:
                file.write(f'#include "{path}"\n#include "{path}"\n')
            run = subprocess.run(["gcc", "-std=c17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                                  "-Ihypervisor/include", "-I.", unit], capture_output=True, text=True)
            if run.returncode != 0:
                say(path, 1, "does not stand by itself: " + run.stderr.splitlines()[0])


def check_clang(paths, say):
    flags = ["-std=c17", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-ffreestanding",
             "-mgeneral-regs-only", "-fsyntax-only", "-Ihypervisor/include", "-I."]
    for path in paths:
        run = subprocess.run(["clang", *flags, path], capture_output=True, text=True)
        if run.returncode != 0:
            say(path, 1, "clang: " + run.stderr.splitlines()[0])


def check_format(paths, say):
    run = subprocess.run(["clang-format", "--dry-run", "-Werror", *paths], capture_output=True, text=True)
    for row in run.stderr.splitlines():
        found = re.match(r"(\S+?):(\d+):\d+: error:", row)
        if found:
            say(found.group(1), int(found.group(2)), "format: make format")


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    breaches = []

    def say(path, line, text):
        breaches.append(f"{path}:{line}: {text}")

    sources = tracked((".c", ".h"))
    for path in sources:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        check_includes(path, lines, say)
        check_text(path, lines, say)
    ours = [path for path in sources if not path.startswith("tests/")]
    check_functions(ours, say)
    check_headers([p for p in ours if p.endswith(".h") and not p.endswith(PARTS)], say)
    check_clang([p for p in ours if p.endswith(".c")], say)
    check_format(ours, say)
    rows = threats.check(".", say)
    print(f"lint: {rows} rows of {threats.PAGE}, each with a test")
    for text in breaches:
        print(text)
    print(f"lint: {len(sources)} files, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())

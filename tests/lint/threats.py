"""specs/threats.md names tests: in each row of each table whose last column is "tests", at least one that is there.

A test is named as `unit/ring_test.c:test_broken`, the path below tests/, several of one file with commas between them; a
fuzz target as `fuzz/ring_fuzz.c` alone. A C test must stand in its program's list (UNIT_TEST), or it never runs. What
stands in the column "defence" between backticks is a file or folder of the tree.
"""

import os
import re

PAGE = "specs/threats.md"
TESTS = "tests"
DEFENCE = "defence"


def cells_of(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables_of(lines):
    """(names of the columns, [(line number, cells)]) of each table whose last column is that of tests"""
    columns = None
    rows = []
    for number, line in enumerate([*lines, ""], 1):
        if line.startswith("|"):
            if columns is None:
                columns, rows = cells_of(line), []
            elif not re.fullmatch(r"[|\s:-]+", line):
                rows.append((number, cells_of(line)))
            continue
        if columns is not None and columns[-1] == TESTS:
            yield columns, rows
        columns = None


def has_test(text, path, name):
    if path.endswith(".py"):
        return re.search(rf"^def {name}\(", text, re.M) is not None
    return (re.search(rf"^static void {name}\(void\)$", text, re.M) is not None
            and re.search(rf"\bUNIT_TEST\({name}\)", text) is not None)


def wrong_with(root, named):
    """What is wrong with one entry of the column, line by line."""
    path, _, names = named.partition(":")
    full = os.path.join(root, "tests", path)
    if not re.fullmatch(r"[a-z]+/[\w.]+\.(c|py)", path) or not os.path.isfile(full):
        return [f"tests/{path} is not there"]
    if re.fullmatch(r"fuzz/\w+_fuzz\.c", path):
        return [f"a fuzz target has no tests of its own: `{path}`"] if names else []
    with open(full, encoding="utf-8") as file:
        text = file.read()
    listed = [name.strip() for name in names.split(",")]
    return [f"tests/{path} has no test {name}" if re.fullmatch(r"test_\w+", name) else f"no test is named: `{named}`"
            for name in listed if not re.fullmatch(r"test_\w+", name) or not has_test(text, path, name)]


def check_row(root, columns, cells):
    if len(cells) != len(columns):
        return [f"{len(cells)} cells in a table of {len(columns)}"]
    entries = re.findall(r"`([^`]*)`", cells[-1])
    found = [text for named in entries for text in wrong_with(root, named)]
    if not entries:
        found.append(f"no test shows this: {cells[0]} | {cells[1]}")
    if DEFENCE in columns:
        found += [f"{path} is not there" for path in re.findall(r"`([^`]*)`", cells[columns.index(DEFENCE)])
                  if not os.path.exists(os.path.join(root, path))]
    return found


def check(root, say):
    """Calls say(path, line, text) for each breach. Returns how many rows there are."""
    with open(os.path.join(root, PAGE), encoding="utf-8") as file:
        lines = file.read().splitlines()
    count = 0
    for columns, rows in tables_of(lines):
        for number, cells in rows:
            count += 1
            for text in check_row(root, columns, cells):
                say(PAGE, number, text)
    if count == 0:
        say(PAGE, 1, f"no table whose last column is {TESTS}")
    return count

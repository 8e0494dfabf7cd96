"""analyse.py: each tool's finding is a breach until a row accepts it, and a row that accepts nothing is one too."""

import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FLAGS = ["-std=c17", "-Wall", "-Werror", "-Iinclude", "-I.", "-O2", "-ffreestanding"]
UNIT = "hypervisor/core/tiny.c"
RIGHT = """#include "tiny.h"
int tiny_read(const int *at)
{
	return at == TINY_NONE ? 0 : *at;
}
"""
WRONG = """#include "tiny.h"
int tiny_read(void)
{
	const int *at = TINY_NONE;

	return *at;
}
"""
HEADER = "#define TINY_NONE ((const int *)0)\n"
CHECKS = {
    "gcc": "-Wanalyzer-null-dereference",
    "clang-tidy": "clang-analyzer-core.NullDereference",
    "cppcheck": "nullPointer",
}


class Little:
    """A tree with one unit, its own list and its own cache."""

    def __init__(self, folder):
        self.folder = folder
        self.write("include/tiny.h", HEADER)

    def write(self, path, text):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def accept(self, *rows):
        self.write("accepted.txt", "# tool | check | file | text | reason\n" + "".join(row + "\n" for row in rows))

    def run(self):
        """(exit status, breaches, the line of each tool)"""
        run = subprocess.run([sys.executable, os.path.join(ROOT, "tests/lint/analyse.py"), "--root", str(self.folder), "--accepted",
                              str(self.folder / "accepted.txt"), "--cache", str(self.folder / "cache"), *FLAGS],
                             capture_output=True, text=True, check=False)
        assert run.stderr == ""
        lines = run.stdout.splitlines()
        return (run.returncode, [line for line in lines if not line.startswith("analyse: ")],
                [line for line in lines if line.startswith("analyse: ")][:-1])


def row(tool, check=None, file=UNIT, text="return *at", reason="a test"):
    return f"{tool} | {check or CHECKS[tool]} | {file} | {text} | {reason}"


@pytest.fixture(name="little")
def fixture_little(tmp_path):
    tree = Little(tmp_path)
    tree.accept()
    return tree


@pytest.fixture(name="wrong", scope="module")
def fixture_wrong(tmp_path_factory):
    """With the defect in it, and each tool has looked once: what follows is about the list alone."""
    tree = Little(tmp_path_factory.mktemp("wrong"))
    tree.write(UNIT, WRONG)
    tree.accept()
    tree.run()
    return tree


def test_clean_tree_has_no_breach(little):
    little.write(UNIT, RIGHT)
    assert little.run()[:2] == (0, [])


@pytest.mark.parametrize("tool", CHECKS)
def test_unlisted_finding_fails(wrong, tool):
    wrong.accept(*[row(other) for other in CHECKS if other != tool])
    status, breaches, _ = wrong.run()
    assert status == 1 and len(breaches) == 1
    assert breaches[0].startswith(f"{UNIT}:6: {tool}: ") and CHECKS[tool] in breaches[0]


def test_listed_findings_pass(wrong):
    wrong.accept(*[row(tool) for tool in CHECKS])
    assert wrong.run()[:2] == (0, [])


def test_pattern_and_message_pass(wrong):
    wrong.accept(row("gcc", file="hypervisor/*.c", text="dereference of NULL"), row("clang-tidy"), row("cppcheck"))
    assert wrong.run()[:2] == (0, [])


@pytest.mark.parametrize("other", [{"check": "-Wanalyzer-double-free"}, {"file": "hypervisor/core/other.c"}, {"text": "return *by"}])
def test_row_of_something_else_accepts_nothing(wrong, other):
    wrong.accept(row("gcc", **other), row("clang-tidy"), row("cppcheck"))
    status, breaches, _ = wrong.run()
    assert status == 1 and len(breaches) == 2
    assert breaches[0].startswith(f"{UNIT}:6: gcc: ")
    assert breaches[1] == "accepted.txt:2: nothing is found any more that this row accepts: take it out"


def test_stale_row_fails(little):
    little.write(UNIT, RIGHT)
    little.accept(row("cppcheck"))
    assert little.run()[:2] == (1, ["accepted.txt:2: nothing is found any more that this row accepts: take it out"])


@pytest.mark.parametrize("bad", ["gcc | check | file | text", row("gcc", reason=" "), "a word"])
def test_row_without_a_reason_fails(little, bad):
    little.write(UNIT, RIGHT)
    little.accept(bad)
    assert little.run()[:2] == (1, ["accepted.txt:2: a row is: tool | check | file | text | reason"])


@pytest.mark.parametrize("comment", ["/* NOLINT */", "/* cppcheck-suppress all */", "#pragma GCC diagnostic ignored \"-Wall\""])
def test_silencing_comment_fails(little, comment):
    little.write(UNIT, RIGHT + comment + "\n")
    assert little.run()[:2] == (1, [f"{UNIT}:6: silences a tool: write a row in tests/lint/accepted.txt"])


def test_unit_that_does_not_compile_fails(little):
    little.write(UNIT, RIGHT.replace("tiny.h", "absent.h"))
    status, breaches, _ = little.run()
    assert status == 1 and any("absent.h" in breach for breach in breaches)


def anew(lines):
    return [int(line.split(", ")[1].split()[0]) for line in lines]


def test_only_what_changed_is_looked_at_anew(little):
    other = "synic/other.c"
    little.write(UNIT, RIGHT)
    little.write(other, "int other(void);\nint other(void)\n{\n\treturn 1;\n}\n")
    assert anew(little.run()[2]) == [2, 2, 2]
    assert anew(little.run()[2]) == [0, 0, 0]
    little.write("include/tiny.h", HEADER + "/* another */\n")
    assert anew(little.run()[2]) == [1, 1, 1]
    little.write(UNIT, WRONG)
    status, breaches, lines = little.run()
    assert status == 1 and len(breaches) == 3 and anew(lines) == [1, 1, 1]
    little.write(UNIT, RIGHT)
    assert little.run()[:2] == (0, [])

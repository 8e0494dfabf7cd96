"""threats.py: a row of specs/threats.md without a test, or with one that is not there, is a breach."""

import importlib
import os
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/lint"))
threats = importlib.import_module("threats")

HEAD = "# Page\n\n| who | defence | tests |\n|---|---|---|\n"
RIGHT = "| guest | `ring.c` | `unit/ring_test.c:test_broken,test_other`, `fuzz/ring_fuzz.c` |\n"
FILES = {
    "ring.c": "",
    "tests/unit/ring_test.c": """static void test_broken(void)
{
}

static void test_other(void)
{
}

static void test_unlisted(void)
{
}

/* static void test_told_of(void) */
UNIT_MAIN("ring", UNIT_TEST(test_broken),
	  UNIT_TEST(test_other), UNIT_TEST(test_told_of), UNIT_TEST(test_others))
""",
    "tests/unit/pack_test.py": "def test_cut(packer):\n    pass\n\n\nclass A:\n    def test_method(self):\n        pass\n",
    "tests/fuzz/ring_fuzz.c": "int LLVMFuzzerTestOneInput();\n",
}


@pytest.fixture
def breaches(tmp_path):
    """breaches(page): what is said of a little tree with this page."""
    for path, text in FILES.items():
        path = tmp_path / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run(page):
        said = []
        (tmp_path / "specs").mkdir(exist_ok=True)
        (tmp_path / "specs/threats.md").write_text(page, encoding="utf-8")
        threats.check(str(tmp_path), lambda path, line, text: said.append((line, text)))
        return said

    return run


def test_a_right_page(breaches):
    assert breaches(HEAD + RIGHT + "| x | y | `unit/pack_test.py:test_cut` |\n\ntext\n") == []


@pytest.mark.parametrize("cell,said", [
    ("", "no test shows this: guest | none"),
    ("hosted tests", "no test shows this: guest | none"),
    ("unit/ring_test.c:test_broken", "no test shows this: guest | none"),
    ("`unit/none_test.c:test_broken`", "tests/unit/none_test.c is not there"),
    ("`../ring.c:test_broken`", "tests/../ring.c is not there"),
    ("`unit/ring_test.c`", "no test is named: `unit/ring_test.c`"),
    ("`unit/ring_test.c:test_broken,`", "no test is named: `unit/ring_test.c:test_broken,`"),
    ("`unit/ring_test.c:test_brok`", "tests/unit/ring_test.c has no test test_brok"),
    ("`unit/ring_test.c:test_broken, test_none`", "tests/unit/ring_test.c has no test test_none"),
    ("`unit/ring_test.c:test_unlisted`", "tests/unit/ring_test.c has no test test_unlisted"),
    ("`unit/ring_test.c:test_told_of`", "tests/unit/ring_test.c has no test test_told_of"),
    ("`unit/ring_test.c:test_others`", "tests/unit/ring_test.c has no test test_others"),
    ("`unit/pack_test.py:test_method`", "tests/unit/pack_test.py has no test test_method"),
    ("`fuzz/none_fuzz.c`", "tests/fuzz/none_fuzz.c is not there"),
    ("`fuzz/ring_fuzz.c:test_broken`", "a fuzz target has no tests of its own: `fuzz/ring_fuzz.c`"),
])
def test_a_wrong_cell(breaches, cell, said):
    assert breaches(HEAD + RIGHT + f"| guest | none | {cell} |\n") == [(6, said)]


def test_a_row_of_another_length(breaches):
    assert breaches(HEAD + "| guest | `unit/ring_test.c:test_broken` |\n") == [(5, "2 cells in a table of 3")]


def test_a_defence_that_is_not_there(breaches):
    assert breaches(HEAD + RIGHT.replace("`ring.c`", "`rings.c`")) == [(5, "rings.c is not there")]


def test_other_tables_need_no_test(breaches):
    assert breaches(HEAD + RIGHT + "\n| a | b |\n|---|---|\n| c | d |\n") == []


def test_each_table_is_looked_at(breaches):
    assert breaches(HEAD + RIGHT + "\n" + HEAD + "| guest | none | none |\n")[0][0] == 11


def test_a_page_without_the_table(breaches):
    assert breaches("# Page\n\n| a | b |\n|---|---|\n| c | d |\n") == [(1, "no table whose last column is tests")]


def test_lint_asks_for_it():
    with open(os.path.join(ROOT, "tests/lint/lint.py"), encoding="utf-8") as file:
        assert "threats.check(" in file.read()


def test_the_page_itself():
    said = []
    assert threats.check(ROOT, lambda *breach: said.append(breach)) >= 25
    assert said == []

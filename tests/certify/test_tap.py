"""tap.py: what a certification guest prints, right and wrong. Nothing that is wrong may come out as a pass."""

import importlib
import os
import random
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
tap = importlib.import_module("tap")

HEAD = ["TAP version 14", "# janus-certify 1", '# identity: signatures="Microsoft Hv" cpu="a \\"b\\"" vcpus=2']


def row(number, name, word="ok", **values):
    block = {"offered": "true", "specified": "true", "checks": "3", "clause": '"TLFS"', **values}
    lines = [f"  {key}: {value}" for key, value in block.items() if value is not None]
    return [f"# begin {name}", f"{word} {number} - {name}", "  ---", *lines, "  ..."]


def whole(rows, plan=None, end="passed=2 failed=0 skipped=0"):
    return [*HEAD, f"1..{len(rows) if plan is None else plan}", *(line for lines in rows for line in lines), f"# end {end}"]


def two(**values):
    return [row(1, "hv_msr.A"), row(2, "hv_msr.B", **values)]


def parse_one(lines):
    documents = tap.parse(lines)
    assert len(documents) == 1
    return documents[0]


def test_all_is_well():
    doc = parse_one(whole(two()))
    assert doc.errors == [] and doc.wrong == {} and doc.complete
    assert doc.identity == {"signatures": "Microsoft Hv", "cpu": 'a "b"', "vcpus": "2"}
    assert doc.rows["hv_msr.B"].block == {"offered": True, "specified": True, "checks": 3, "clause": "TLFS"}
    assert doc.rows["hv_msr.A"].evidence[0] == "ok 1 - hv_msr.A" and doc.rows["hv_msr.A"].evidence[-1] == "  ..."


def test_notes_and_escapes():
    lines = row(1, "functional.clock")
    lines[-1:] = ["  notes:", '    - "median 3 us"', '    - "a \\\\ \\"b\\"\\n\\x41"', "  ..."]
    doc = parse_one(whole([lines], end="passed=1 failed=0 skipped=0"))
    assert doc.errors == []
    assert doc.rows["functional.clock"].block["notes"] == ["median 3 us", 'a \\ "b"\nA']


def test_failed_and_skipped():
    rows = [row(1, "scsi.A", "not ok", failed='"status 2, not 0"', failed_count="1"),
            ["ok 2 - scsi.B # SKIP no scratch disk: sector 0 does not carry the marker"]]
    doc = parse_one(whole(rows, end="passed=0 failed=1 skipped=1"))
    assert doc.errors == []
    assert doc.rows["scsi.A"].block["failed"] == "status 2, not 0"
    assert doc.rows["scsi.B"].word == "skip" and doc.rows["scsi.B"].reason.startswith("no scratch disk")


def test_other_lines_are_let_go_but_not_in_a_block():
    lines = whole(two())
    assert parse_one(["(XEN) x", *lines[:6], "(XEN) between", "", *lines[6:], "after"]).errors
    doc = parse_one(["(XEN) x", *lines[:4], "(XEN) between", "", *lines[4:], "after"])
    assert doc.errors == [] and doc.stray_count == 2 and doc.strays == ["(XEN) between", "after"]
    assert tap.parse(["(XEN) x"]) == [] and tap.parse([]) == []


@pytest.mark.parametrize("change,said", [
    (lambda t: t.remove("1..2"), "before the plan"),
    (lambda t: t.insert(5, "1..2"), "a second plan"),
    (lambda t: t.__setitem__(3, "1..3"), "the plan has 3 rows, 2 came"),
    (lambda t: t.__setitem__(3, "1..0"), "a plan of 0 rows"),
    (lambda t: t.__setitem__(3, "1..999999"), "a plan of 999999 rows"),
    (lambda t: t.__setitem__(1, "# janus-certify 2"), "format is 2"),
    (lambda t: t.pop(1), "no `# janus-certify`"),
    (lambda t: t.__setitem__(-1, "# end passed=3 failed=0 skipped=0"), "the end says"),
    (lambda t: t.__setitem__(-1, "# end all well"), "not as it is written here"),
    (lambda t: t.append("# end passed=2 failed=0 skipped=0"), "a second end"),
    (lambda t: t.insert(4, "ok 1 hv_msr.A"), "not as TAP is written here"),
    (lambda t: t.insert(4, "ok 1 - hv_msr.A # TODO later"), "not as TAP is written here"),
    (lambda t: t.__setitem__(2, "# identity: cpu=\"open"), "identity line"),
    (lambda t: t.insert(2, "# " + "x" * 5000), "longer than"),
])
def test_a_wrong_document(change, said):
    lines = whole(two())
    change(lines)
    errors = parse_one(lines).errors
    assert any(said in error for error in errors), errors


@pytest.mark.parametrize("values,said", [
    ({"offered": "yes"}, "offered must be true or false"),
    ({"offered": None}, "does not say offered"),
    ({"checks": None}, "does not say checks"),
    ({"checks": "-1"}, "checks must be a number"),
    ({"checks": "0"}, "after no check at all"),
    ({"clause": "TLFS"}, "is not a quoted string"),
    ({"clause": '"a" b"'}, "is not a quoted string"),
    ({"clause": '"a\\q"'}, "unknown escape"),
    ({"colour": "3"}, "no key that we know"),
    ({"failed": '"x"'}, "says ok and names a check"),
    ({"failed_count": "2"}, "says ok and names a check"),
    ({"word": "not ok"}, "does not say which check"),
])
def test_a_wrong_row(values, said):
    doc = parse_one(whole(two(**values)))
    assert said in doc.wrong["hv_msr.B"], doc.wrong
    assert doc.errors and "hv_msr.A" not in doc.wrong


@pytest.mark.parametrize("lines,said", [
    (["# begin hv_msr.B", "ok 2 - hv_msr.B"], "it has no block"),
    (["# begin hv_msr.B", "ok 2 - hv_msr.B", "  ---", "  checks: 1"], "its block"),
    (["# begin hv_msr.B", "ok 2 - hv_msr.B", "  ---", "(XEN) x", "  ..."], "is broken by"),
    (["# begin hv_msr.B", "ok 2 - hv_msr.B", "  ---", "  checks: 1", "  checks: 1", "  ..."], "twice"),
    (["# begin hv_msr.B", "ok 2 - hv_msr.B", "  ---", '    - "x"', "  ..."], "in no list"),
    (["# begin hv_msr.B", "ok 2 - hv_msr.B", "  ---", *["  checks: 1"] * 300, "  ..."], "more than"),
    (["# begin hv_msr.B", "ok 2 - hv_msr.B", "  ---", "  notes:", *['    - "x"'] * 70, "  ..."], "more than 64 notes"),
    (row(2, "hv_msr.B")[1:], "never began"),
    (row(3, "hv_msr.B"), "number 3 in place 2"),
    ([*row(2, "hv_msr.B"), *row(3, "hv_msr.B")], "two results"),
    (["not ok 2 - hv_msr.B # SKIP why"], "not ok and skipped"),
])
def test_a_wrong_place(lines, said):
    doc = parse_one(whole([row(1, "hv_msr.A"), lines], plan=2))
    assert said in doc.wrong["hv_msr.B"], doc.wrong


def test_a_probe_that_began_only():
    doc = parse_one([*whole([row(1, "hv_msr.A")], plan=2)[:-1], "# begin hv_msr.B"])
    assert doc.begun == "hv_msr.B" and not doc.complete and doc.last == "hv_msr.A"
    doc = parse_one(whole([["# begin hv_msr.A"], row(1, "hv_msr.B")]))
    assert "has no result" in doc.wrong["hv_msr.A"]


def test_two_boots_and_what_was_done_before():
    second = whole([[f"ok 1 - hv_msr.A # SKIP {tap.EARLIER}"], row(2, "hv_msr.B")], end="passed=1 failed=0 skipped=1")
    documents = tap.parse(whole([row(1, "hv_msr.A")], plan=2)[:-1] + second)
    assert len(documents) == 2 and documents[1].rows["hv_msr.A"].earlier and documents[1].errors == []


def test_what_three_consoles_wrote():
    doc = parse_one([line for line in whole(two()) for _ in range(3)])
    assert doc.errors == [] and len(doc.rows) == 2


def test_bail_out_and_bench():
    assert parse_one([*HEAD, "1..2", "Bail out! no memory"]).bail == "no memory"
    doc = parse_one([*HEAD, "# bench cpuid median=1200 min=1198 same=99.5 unit=tsc", "# end"])
    assert doc.bench == {"cpuid": {"median": 1200, "min": 1198, "same": 99.5, "unit": "tsc"}} and doc.errors == []


def test_a_flood_is_bounded():
    lines = [*HEAD, f"1..{tap.ROWS_MAX}"]
    lines += [line for i in range(tap.ROWS_MAX + 50) for line in row(i + 1, f"x.r{i}")]
    doc = parse_one(lines)
    assert len(doc.rows) == tap.ROWS_MAX and len(doc.errors) <= tap.ERRORS_MAX
    doc = parse_one([*HEAD, *["ok"] * (tap.LINES_MAX + 10)])
    assert len(doc.errors) == tap.ERRORS_MAX


@pytest.mark.parametrize("seed", range(300))
def test_no_damage_makes_more_passes(seed):
    """Lines dropped, doubled, swapped, cut: a row that still reads as ok is one that was printed so, and is named if not."""
    chance = random.Random(seed)
    rows = [row(1, "a.one"), row(2, "a.two", "not ok", failed='"x"', failed_count="1"), row(3, "b.three")]
    lines = whole(rows, end="passed=2 failed=1 skipped=0")
    for _ in range(chance.randint(1, 4)):
        at, to = chance.randrange(len(lines)), chance.randrange(len(lines))
        damage = chance.randrange(4)
        if damage == 0:
            lines.pop(at)
        elif damage == 1:
            lines.insert(to, lines[at])
        elif damage == 2:
            lines[at], lines[to] = lines[to], lines[at]
        else:
            lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)]
    for doc in tap.parse(lines):
        passed = [name for name, one in doc.rows.items() if one.word == "ok" and name not in doc.wrong]
        assert set(passed) <= {"a.one", "b.three"}
        for name in passed:
            assert doc.rows[name].block["checks"] == 3

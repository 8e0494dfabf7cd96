"""tests/fuzz/runner.py, with scripts in place of the fuzz targets."""

import importlib
import os
import stat
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/fuzz"))
runner = importlib.import_module("runner")

# Stands for a target: takes the options that libFuzzer takes. An input "bug" is a crash; each letter is an edge.
TARGET = f"""#!{sys.executable}
import os, sys, time
options = dict(one.lstrip("-").split("=", 1) for one in sys.argv[1:] if one.startswith("-"))
folders = [one for one in sys.argv[1:] if not one.startswith("-")]
read = lambda path: open(path, "rb").read()
files = [os.path.join(folder, name) for folder in folders if os.path.isdir(folder) for name in sorted(os.listdir(folder))]
with open(os.environ["FAKE_SEEN"], "a") as seen:
    print(os.path.basename(sys.argv[0]), *sys.argv[1:], *(read(path).decode() for path in files), file=seen)
if "merge" in options:
    with open(options["merge_control_file"], "w") as control:
        print(len(files), 0, *files, sep="\\n", file=control)
        for number, path in enumerate(files):
            print("STARTED", number, os.path.getsize(path), file=control)
            if read(path) != b"bug":
                print("FT", number, *(8 * byte + read(path).count(byte) - 1 for byte in sorted(set(read(path)))), file=control)
                print("COV", number, file=control)
    sys.exit(0)
bugs = [path for path in files if read(path) == b"bug"]
if bugs:
    kept = options["artifact_prefix"] + "crash-1"
    open(kept, "wb").write(b"bug")
    print(*(f"line {{i}}" for i in range(60)), sep="\\n")
    print("artifact_prefix='x'; Test unit written to", kept)
    sys.exit(77)
if b"hang" in map(read, files):
    time.sleep(60)
if b"silent" in map(read, files):
    sys.exit(3)
sum(range(300000))
print("#7 INITED cov: 3 ft: 4 corp: 1/1b")
print("#1000 DONE   cov: 12 ft: 34 corp: 5/99b")
print("stat::number_of_executed_units: 1000")
"""


class Tree:
    """A build and a corpus of two targets."""

    def __init__(self, folder):
        self.folder = folder
        self.build = folder / "build"
        self.corpus = folder / "corpus"
        self.ledger = folder / "ledger.md"
        self.seen = folder / "seen"
        self.seen.touch()
        (self.build / "fuzz").mkdir(parents=True)
        for name in ("a_fuzz", "b_fuzz"):
            target = self.build / "fuzz" / name
            target.write_text(TARGET)
            target.chmod(target.stat().st_mode | stat.S_IXUSR)
        self.places = runner.Places(str(self.build / "fuzz"), str(self.build), str(self.corpus), str(self.ledger))

    def commit(self, target, *inputs):
        runner.write_committed(self.places.committed(target), inputs)

    def run(self, *args):
        return runner.main([*args, "--build", str(self.build), "--corpus", str(self.corpus), "--ledger-file", str(self.ledger),
                         "a_fuzz", "b_fuzz"])

    def calls(self, target):
        return [line for line in self.seen.read_text().splitlines() if line.startswith(target)]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_SEEN", str(tmp_path / "seen"))
    return Tree(tmp_path)


# ---- committed corpora


def test_a_corpus_is_read_as_it_was_written_the_short_inputs_first(tree):
    inputs = [bytes(range(256)), b"\n", b"", b"zz", b"aa", b"zz"]
    tree.commit("a_fuzz", *inputs)
    assert runner.read_committed(tree.places.committed("a_fuzz")) == [b"\n", b"aa", b"zz", bytes(range(256))]
    assert (tree.corpus / "a_fuzz.txt").read_text().splitlines()[:2] == ["Cg==", "YWE="]


def test_a_corpus_that_is_not_there_is_empty(tree):
    assert not runner.read_committed(tree.places.committed("a_fuzz"))


def test_a_damaged_corpus_is_refused(tree):
    tree.corpus.mkdir()
    (tree.corpus / "a_fuzz.txt").write_text("YW=E\n")
    with pytest.raises(ValueError):
        runner.read_committed(tree.places.committed("a_fuzz"))


@pytest.mark.parametrize("path", sorted(os.listdir(os.path.join(ROOT, "tests/fuzz/corpus"))))
def test_each_committed_corpus_is_of_a_target_in_order_and_small(path):
    name = os.path.join(ROOT, "tests/fuzz/corpus", path)
    inputs = runner.read_committed(name)
    assert os.path.exists(os.path.join(ROOT, "tests/fuzz", path[:-4] + ".c"))
    assert inputs and inputs == sorted(set(inputs), key=lambda one: (len(one), one))
    assert os.path.getsize(name) <= 64 << 10


def test_each_target_has_a_committed_corpus():
    targets = {name[:-2] for name in os.listdir(os.path.join(ROOT, "tests/fuzz")) if name.endswith("_fuzz.c")}
    assert {name[:-4] for name in os.listdir(os.path.join(ROOT, "tests/fuzz/corpus"))} == targets
    assert set(runner.MAX_LEN) <= targets


# ---- runs


def test_the_table_has_each_target_and_the_sum(tree, capsys):
    tree.commit("a_fuzz", b"one")
    assert tree.run("--seconds", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["target", "executions", "a", "core-second", "cov", "ft", "findings"]
    for line, name in zip(lines[1:3], ("a_fuzz", "b_fuzz")):
        words = line.split()
        assert (words[0], words[1], *words[3:]) == (name, "1000", "12", "34", "0")
        assert 0 < int(words[2]) < 1000000
    assert lines[3].split()[:3] == ["2", "targets", "2000"] and lines[3].split()[-1] == "0"


def test_a_run_starts_from_the_committed_inputs_and_keeps_its_own(tree):
    tree.commit("a_fuzz", b"committed")
    tree.run("--seconds", "9")
    own = tree.build / "corpus" / "a_fuzz" / "own"
    own.write_bytes(b"own")
    tree.run("--seconds", "9")
    first, second = tree.calls("a_fuzz")
    assert "-max_total_time=9" in first and first.endswith(" committed")
    assert sorted(second.split()[-2:]) == ["committed", "own"]


def test_a_fresh_run_takes_the_committed_inputs_alone(tree):
    tree.commit("a_fuzz", b"committed")
    runner.unpack([b"own"], tree.places.working("a_fuzz"))
    tree.run("--fresh", "--seconds", "1")
    tree.run("--fresh", "--seconds", "1")
    assert all("committed" in call and "own" not in call.split() for call in tree.calls("a_fuzz"))


def test_a_finding_fails_is_kept_and_can_be_repeated(tree, capsys):
    tree.commit("b_fuzz", b"bug")
    assert tree.run("--seconds", "1", "--ledger") == 1
    out = capsys.readouterr().out
    kept = tree.build / "fuzz" / "findings" / "b_fuzz" / "crash-1"
    assert kept.read_bytes() == b"bug"
    assert f"again: ASAN_OPTIONS={runner.ASAN} {tree.build}/fuzz/b_fuzz {kept}\n" in out
    assert "FAILED: b_fuzz, exit status 77" in out and "FAILED: a_fuzz" not in out
    assert "\nline 59\n" in out and "\nline 21\n" in out and "\nline 20\n" not in out
    assert out.splitlines()[3].split()[-1] == "1"
    assert not tree.ledger.exists()


def test_a_target_that_ends_without_a_word_is_a_finding(tree, capsys):
    tree.commit("a_fuzz", b"silent")
    assert tree.run("--seconds", "1") == 1
    assert "no input was kept" in capsys.readouterr().out


def test_a_target_that_does_not_end_is_ended(tree):
    tree.commit("a_fuzz", b"hang")
    folder = runner.unpack([b"hang"], str(tree.folder / "hang"))
    result = runner.run_target(tree.places, "a_fuzz", [], folder, 1)
    assert result.findings == 1 and result.executions == 0


def test_a_replay_runs_the_committed_inputs_and_no_others(tree):
    tree.commit("a_fuzz", b"one", b"two")
    runner.unpack([b"bug"], tree.places.working("a_fuzz"))
    assert tree.run("--replay") == 0
    call = tree.calls("a_fuzz")[0].split()
    assert "-runs=0" in call and sorted(call[-2:]) == ["one", "two"]
    tree.commit("a_fuzz", b"one", b"bug")
    assert tree.run("--replay") == 1


def test_what_is_not_built_is_said(tree, capsys):
    os.remove(tree.places.binary("b_fuzz"))
    assert tree.run("--seconds", "1") == 1
    assert "not built: b_fuzz" in capsys.readouterr().out


# ---- what is kept


def test_an_edge_goes_before_a_count_and_the_short_before_the_long():
    edge, count = frozenset([8, 16]), frozenset([8, 9, 10, 11])
    assert runner.choose([("long", 90, edge), ("short", 30, edge), ("counts", 60, count)], 1000) == ["short", "counts"]
    assert runner.choose([("edges", 60, frozenset([8, 16, 24])), ("counts", 30, count)], 60) == ["edges"]
    assert runner.choose([("edges", 60, frozenset([8, 16, 24])), ("counts", 30, count)], 59) == ["counts"]
    assert runner.choose([("edges", 60, frozenset([8, 16, 24])), ("one", 30, frozenset([8]))], 90) == ["edges"]


def test_the_limit_holds():
    sized = [(number, 100, frozenset([number * 8])) for number in range(50)]
    assert len(runner.choose(sized, 1050)) == 10


def test_keep_takes_what_covers_and_leaves_what_does_not(tree):
    tree.commit("a_fuzz", b"abc")
    runner.unpack([b"ab", b"abcd", b"abcdd", b"b", b"bug"], tree.places.working("a_fuzz"))
    assert tree.run("--keep") == 0
    assert runner.read_committed(tree.places.committed("a_fuzz")) == [b"abc", b"abcd", b"abcdd"]


def test_keep_holds_its_limit(tree):
    runner.unpack([bytes([65 + i]) * (3 * i + 3) for i in range(10)], tree.places.working("a_fuzz"))
    count, size = runner.keep(tree.places, "a_fuzz", 60)
    assert size == os.path.getsize(tree.places.committed("a_fuzz")) <= 60 and 3 <= count < 10


def test_keep_says_when_the_merge_fails_and_changes_nothing(tree, capsys):
    tree.commit("a_fuzz", b"as it was")
    with open(tree.places.binary("a_fuzz"), "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\necho broken\nexit 1\n")
    assert tree.run("--keep") == 1
    assert "a_fuzz: the merge failed\nbroken" in capsys.readouterr().out
    assert runner.read_committed(tree.places.committed("a_fuzz")) == [b"as it was"]


# ---- the ledger


def test_the_ledger_sums_the_runs(tree):
    assert tree.run("--seconds", "5", "--jobs", "2", "--ledger") == 0
    assert tree.run("--seconds", "7", "--jobs", "1", "--ledger") == 0
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in tree.ledger.read_text().splitlines()
            if line.startswith("| 2")]
    assert [row[2:6] + row[7:] for row in rows] == [["5", "2", "2", "2000", "0", "2000"], ["7", "1", "2", "2000", "0", "4000"]]
    assert tree.ledger.read_text().count("# What was fuzzed") == 1


def test_a_replay_is_no_line_in_the_ledger(tree):
    assert tree.run("--replay", "--ledger") == 0
    assert not tree.ledger.exists()

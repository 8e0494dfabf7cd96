"""judge.py, rows.py, evidence.py, verify.py and certify.py, with made-up output in place of machines."""

import argparse
import gzip
import importlib
import io
import json
import os
import re
import stat
import sys
import tarfile
import xml.etree.ElementTree as ElementTree

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
certify, evidence, judge, rows_module, runs, sample, tap, verify = map(importlib.import_module, (
    "certify", "evidence", "judge", "rows", "runs", "sample", "tap", "verify"))

ROWS = rows_module.all_rows(ROOT)
NAMES = {row["id"] for row in ROWS}
XEN_ROW, HV_ROW = "xen_evtchn.bind_virq", "hv_msr.HV_X64_MSR_VP_INDEX"


def judged(lines, kind="janus", face="xen", boots=None, **more):
    column = {"id": "c", "kind": kind, "peer": "xen-4.17" if kind == "peer" else None, "face": face, "vcpus": 2, "attempts": 1,
              "title": "C", "boots": boots or [{"ended": judge.CLEAN_END}], **more}
    return judge.judge_column(column, ROWS, None if lines is None else "\n".join(lines))


def failed(column):
    return {name: one["reason"] for name, one in column["cells"].items() if one["verdict"] == judge.FAIL}


# Rows


def test_every_table_has_its_rows():
    assert {"cpuid", "msr", "ports", "hv_msr", "xen_evtchn", "run"} <= {row["table"] for row in ROWS}
    assert "isolation" not in {row["table"] for row in ROWS}
    by_id = {row["id"]: row for row in ROWS}
    assert by_id["msr.MISC_ENABLE"]["clause"].endswith("fast strings, no BTS, no PEBS")
    assert by_id["cpuid.leaf_0x80000002"]["title"] == "name" and by_id["cpuid.1_ECX_SSE3"]["specified"] == "cpu"
    assert by_id["xen_gnttab.map_grant_ref"]["specified"] is False and by_id["ports.uart"]["specified"] is True
    assert by_id["scsi.READ_6"]["face"] == "hyperv" and by_id["blkif.BLKIF_OP_READ"]["face"] == "xen"


def test_rows_of_a_tree(tmp_path):
    (tmp_path / "specs").mkdir()
    (tmp_path / "guest-drivers/certify").mkdir(parents=True)
    (tmp_path / "specs/xen_x.def").write_text('/* SPEC_ROW(9, no, OFFERED, h, "c") */\nSPEC_ROW(1, a, OFFERED, h, "b, (c)"\n\t" d")\n')
    (tmp_path / rows_module.FUNCTIONAL).write_text('SPEC_ROW(0, clocks, OFFERED, probe, "monotonic")\n')
    found = rows_module.all_rows(str(tmp_path))
    assert [row["id"] for row in found][-2:] == ["xen_x.a", "functional.clocks"] and found[-2]["clause"] == "b, (c) d"
    (tmp_path / "specs/xen_x.def").write_text('SPEC_ROW(1, a, MAYBE, h, "b")\n')
    with pytest.raises(rows_module.RowsError, match="neither"):
        rows_module.all_rows(str(tmp_path))
    (tmp_path / "specs/xen_x.def").write_text('SPEC_ROW(1, a, OFFERED, h, "b")\nSPEC_ROW(2, a, OFFERED, h, "b")\n')
    with pytest.raises(rows_module.RowsError, match="two rows have one ID: xen_x.a"):
        rows_module.all_rows(str(tmp_path))


def test_what_the_monitor_calls_them():
    names = rows_module.monitor_names(ROOT)
    assert names["event_channel_op bind_virq"] == XEN_ROW and names['CPUID leaf "max, vendor"'] == "cpuid.leaf_0x00000000"


# Columns


def test_a_good_run_has_no_fail_and_no_blank():
    column = judged(sample.tap_lines(ROWS, "xen"))
    assert failed(column) == {} and set(column["cells"]) == NAMES
    assert column["cells"][HV_ROW]["verdict"] == judge.SKIPPED and column["cells"][HV_ROW]["reason"]
    assert sum(column["counts"].values()) == len(ROWS) and list(column["counts"]) == list(judge.WORDS)


def test_a_failed_row_is_named():
    column = judged(sample.tap_lines(ROWS, "xen", {XEN_ROW: "0, not -EBUSY"}))
    assert failed(column) == {XEN_ROW: "0, not -EBUSY"}
    assert "not ok" in column["cells"][XEN_ROW]["evidence"]


def altered_row(lines, name, old, new):
    at = next(i for i, line in enumerate(lines) if line.endswith(f" - {name}"))
    for i in range(at, at + 8):
        if lines[i] == old:
            lines[i] = new
            return lines
    raise AssertionError(old)


def test_offered_and_specified():
    lines = altered_row(sample.tap_lines(ROWS, "xen"), XEN_ROW, "  offered: true", "  offered: false")
    assert failed(judged(list(lines))) == {XEN_ROW: "Janus does not offer this, its table says that it does"}
    assert failed(judged(lines, "peer")) == {}  # a peer need not offer what we do
    lines = altered_row(sample.tap_lines(ROWS, "xen"), XEN_ROW, "  specified: true", "  specified: false")
    assert "other tables" in failed(judged(lines))[XEN_ROW]
    lines = altered_row(sample.tap_lines(ROWS, "xen"), "cpuid.1_ECX_SSE3", "  offered: true", "  offered: false")
    column = judged(lines)
    assert failed(column) == {} and "CPU decides" in column["cells"]["cpuid.1_ECX_SSE3"]["notes"][-1]


def test_vmbus_must_be_there_on_janus():
    lines = sample.tap_lines(ROWS, "hyperv")
    at = next(i for i, line in enumerate(lines) if line.endswith(f" - {HV_ROW}"))
    end = lines.index("  ...", at)
    skipped = [*lines[:at], f"{lines[at]} # SKIP no VMBus here: no one has it", *lines[end + 1 :]]
    passed, failing, skip = re.fullmatch(r"# end passed=(\d+) failed=(\d+) skipped=(\d+)", lines[-1]).groups()
    skipped[-1] = f"# end passed={int(passed) - 1} failed={failing} skipped={int(skip) + 1}"
    assert set(failed(judged(list(skipped), face="hyperv"))) == {HV_ROW}
    assert failed(judged(skipped, "peer", face="hyperv")) == {}  # it is nothing that a hypervisor must have
    with open(os.path.join(ROOT, "guest-drivers/certify/certify.c"), encoding="utf-8") as file:
        assert file.read().count(f'probe_skip(p, "{judge.NO_VMBUS}: ') == 2  # so the guest says it


def test_rows_that_are_missing_or_strange():
    rows = [row for row in ROWS if row["id"] != XEN_ROW]
    assert failed(judged(sample.tap_lines(rows, "xen"))) == {XEN_ROW: "no result"}
    column = judged(sample.tap_lines([*ROWS, {**ROWS[-1], "id": "xenstore.XS_NEW"}], "xen"))
    assert "xenstore.XS_NEW is no row" in failed(column)["run.output"]
    column = judged(["nothing"])
    assert column["counts"][judge.FAIL] == len(ROWS) and failed(column)["run.output"] == "the guest printed no TAP at all"


def test_a_bad_block_fails_its_row_and_the_output():
    lines = altered_row(sample.tap_lines(ROWS, "xen"), XEN_ROW, "  offered: true", "  offered: maybe")
    found = failed(judged(lines))
    assert set(found) == {XEN_ROW, "run.output"} and "offered must be" in found[XEN_ROW]


def test_a_hang_is_named_and_the_run_goes_on():
    lines = sample.tap_lines(ROWS, "xen", stop_at=XEN_ROW) + sample.tap_lines(ROWS, "xen", after=XEN_ROW)
    column = judged(lines, boots=[{"ended": "hung"}, {"ended": judge.CLEAN_END}])
    assert failed(column)[XEN_ROW] == "hung: no line for 60 s" and set(failed(column)) == {XEN_ROW, "run.end"}
    peer = judged(lines, "peer", boots=[{"ended": "hung"}, {"ended": judge.CLEAN_END}])
    assert set(failed(peer)) == {XEN_ROW} and XEN_ROW in peer["cells"]["run.end"]["notes"][0]  # once, and there
    column = judged(sample.tap_lines(ROWS, "xen", stop_at=XEN_ROW), boots=[{"ended": "crashed: panic"}])
    assert "crashed: panic" in failed(column)[XEN_ROW] and failed(column)["xenstore.XS_READ"] == "no result"


def test_the_end():
    lines = sample.tap_lines(ROWS, "xen")
    assert "did not power off: hung" in failed(judged(lines, boots=[{"ended": "hung"}]))["run.end"]
    assert "stops after" in failed(judged(lines[:-1]))["run.end"]
    assert "gave up: no memory" in failed(judged([*lines[:5], "Bail out! no memory"]))["run.end"]


def test_signatures():
    found = failed(judged(sample.tap_lines(ROWS, "xen", leaves=sample.LEAVES["hyperv"])))
    assert found["run.identity"] == "the guest sees the signatures Microsoft Hv; this configuration has XenVMMXenVMM"
    found = failed(judged(sample.tap_lines(ROWS, "xen", vcpus=1)))
    assert "1 vCPUs, not 2" in found["run.identity"]
    column = judged(sample.tap_lines(ROWS, "none", leaves=("0", "0", "Something")), "peer", face=None)
    one = column["cells"]["run.identity"]
    assert one["verdict"] == judge.NOTES and "unknown hypervisor signature Something" in one["notes"][0]
    assert "no hypervisor signature" in judged(sample.tap_lines(ROWS, "none"), "peer", None)["cells"]["run.identity"]["notes"][0]


def test_a_peer_that_could_not_be_had_is_not_tried():
    column = judged(None, "peer", reason="no network")
    assert column["counts"][judge.NOT_TRIED] == len(ROWS) and column["status"] == judge.NOT_TRIED
    column = judged(sample.tap_lines(ROWS, "xen", stop_at=XEN_ROW), "peer", boots=[{"ended": "hung"}], attempts=3)
    assert column["cells"][XEN_ROW]["verdict"] == judge.FAIL
    later = column["cells"]["xenstore.XS_READ"]
    assert later["verdict"] == judge.NOT_TRIED and XEN_ROW in later["reason"] and "hung" in later["reason"]


# Differences


def differences(tmp_path, text):
    path = tmp_path / "differences.md"
    path.write_text("# x\n| Row | Peer | Janus | Peer does | Right |\n|---|---|---|---|---|\n" + text)
    return judge.read_differences(str(path), NAMES)


def both(peer_lines, **more):
    peer = judged(peer_lines, "peer", **more)
    peer["id"] = "peer"
    return [judged(sample.tap_lines(ROWS, "xen")), peer]


def test_differences(tmp_path):
    entries = differences(tmp_path, f"| `{XEN_ROW}`, xen_sched.poll | xen-* | a | b | Janus: event_channel.h |\n")
    assert [e["row"] for e in entries] == [XEN_ROW, "xen_sched.poll"]
    columns = both(sample.tap_lines(ROWS, "xen", {XEN_ROW: "no"}))
    found = {one["row"]: one for one in judge.judge_differences(columns, entries)}
    assert found[XEN_ROW]["verdict"] == judge.NOTES and columns[1]["cells"][XEN_ROW]["explained"]
    assert found["xen_sched.poll"]["verdict"] == judge.FAIL and "no run reproduces" in found["xen_sched.poll"]["reason"]
    unexplained = judge.judge_differences(columns, [])
    assert [one["verdict"] for one in unexplained] == [judge.FAIL]
    assert judge.summarise(columns, [], unexplained)["verdict"] == judge.FAIL
    one = judge.judge_differences(both(None, reason="not there"), entries)
    assert {d["verdict"] for d in one} == {judge.NOT_TRIED}
    assert judge.summarise(columns, [], judge.judge_differences(columns, entries[:1]))["fail_count"] == 0


@pytest.mark.parametrize("text,said", [
    ("| xen.nothing | p | a | b | c |\n", "is no row"), (f"| {XEN_ROW} | p | a | | c |\n", "5 cells"),
    (f"| {XEN_ROW} | p | a |\n", "5 cells"), (f"| {XEN_ROW} | p | a | b | c |\n" * 2, "twice"),
])
def test_wrong_differences(tmp_path, text, said):
    with pytest.raises(judge.DifferencesError, match=said):
        differences(tmp_path, text)


def test_our_own_table_can_be_read():
    judge.read_differences(os.path.join(ROOT, "specs/differences.md"), NAMES)


# The pack


@pytest.fixture(scope="module", name="made")
def fixture_made(tmp_path_factory):
    out = str(tmp_path_factory.mktemp("pack") / "sample")
    status = sample.make_sample(out)
    return out, status


def report_of(folder):
    with open(os.path.join(folder, evidence.JSON), encoding="utf-8") as file:
        return json.load(file)


def test_the_sample_says_what_failed(made, capsys):
    folder, status = made
    report = report_of(folder)
    assert status == 1 and report["summary"]["verdict"] == judge.FAIL and report["sample"]
    assert any("HV_X64_MSR_REFERENCE_TSC" in line for line in report["failures"])
    assert any("xen_vcpu.down: hung" in line for line in report["failures"])
    for one in (folder, os.path.join(folder, evidence.ARCHIVE)):
        assert verify.main([one]) == 0
    assert "PASS" in capsys.readouterr().out


def test_a_clean_sample_passes(tmp_path):
    assert sample.make_sample(str(tmp_path / "clean"), clean=True) == 0


def test_the_archive_repeats(made, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    sums = []
    for _ in range(2):
        out = str(tmp_path / "again")
        sample.make_sample(out)
        sums.append(evidence.sha256(os.path.join(out, evidence.ARCHIVE)))
    assert sums[0] == sums[1]


def test_the_page(made):
    with open(os.path.join(made[0], evidence.HTML), encoding="utf-8") as file:
        page = file.read()
    assert "<script src" not in page and "http://" not in page and "https://" not in page
    assert page.count("<summary aria-label=") == len(ROWS) * len(report_of(made[0])["columns"])
    for text in ("SVVP", "Nesting", "Device assignment", "made-up data"):
        assert text in page


def test_the_page_takes_no_markup_from_a_guest(tmp_path):
    lines = sample.tap_lines(ROWS, "xen", {XEN_ROW: "<script>alert(1)</script>"})
    column = judged(lines, configuration="", identity={}, notes=[], tap=None, cpu_kind="amd", reason="")
    column["boots"] = []
    report = certify.build_report(arguments(tmp_path), ROWS, [column], [])
    page = evidence.html(report, evidence.dump(report)).decode()
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
    assert ElementTree.fromstring(evidence.junit(report)).find("testsuite/testcase/failure") is not None


def copy_pack(made, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    with tarfile.open(os.path.join(made[0], evidence.ARCHIVE)) as archive:
        archive.extractall(folder)
    return str(folder / evidence.ARCHIVE_ROOT)


def rewrite(folder, change):
    """Changes report.json and makes all that hangs on it right again, as one would who wants to hide it."""
    report = report_of(folder)
    change(report)
    evidence.write_pack(folder, report)


def wrong_in(folder):
    return verify.check(folder)[0]


def test_an_altered_pack(made, tmp_path):
    folder = copy_pack(made, tmp_path)
    assert wrong_in(folder) == []
    log = os.path.join(folder, "logs", sorted(os.listdir(os.path.join(folder, "logs")))[0])
    with open(log, "a", encoding="utf-8") as file:
        file.write("ok\n")
    assert any(os.path.basename(log) in line and "altered" in line for line in wrong_in(folder))
    assert verify.main([folder]) == 1
    os.unlink(log)
    assert any("not in the pack" in line for line in wrong_in(folder))
    evidence.write_bytes(os.path.join(folder, "logs/new.log"), b"x")
    assert any("new.log is in the pack and not in the manifest" in line for line in wrong_in(folder))
    assert verify.main([folder, "--hash", "0" * 64]) == 1


def first_fail(report):
    return next(one for c in report["columns"] for one in c["cells"].values() if one["verdict"] == judge.FAIL)


@pytest.mark.parametrize("change,said", [
    (lambda r: first_fail(r).update(verdict="pass"), "counts do not follow"),
    (lambda r: r["columns"][0]["cells"].pop(HV_ROW), "has no cell"),
    (lambda r: r["columns"][0]["cells"][HV_ROW].update(verdict="fine"), "none of the five words"),
    (lambda r: first_fail(r).update(reason=""), "without a reason"),
    (lambda r: r["summary"].update(verdict="pass"), "summary: verdict"),
    (lambda r: r["failures"].pop(), "list of failures"),
    (lambda r: r.update(schema_version=0), "schema version 0"),
    (lambda r: r.update(schema_version=9), "a Janus as new as"),
    (lambda r: r.update(schema="x"), "no report of"),
])
def test_a_report_that_was_made_nicer(made, tmp_path, change, said):
    folder = copy_pack(made, tmp_path)
    report = report_of(folder)
    change(report)
    evidence.write_bytes(os.path.join(folder, evidence.JSON), evidence.dump(report))
    evidence.write_manifest(folder)
    wrong = wrong_in(folder)
    assert any(said in line for line in wrong), wrong


def test_a_page_and_a_junit_file_of_another_report(made, tmp_path):
    folder = copy_pack(made, tmp_path)
    evidence.write_bytes(os.path.join(folder, evidence.JSON), evidence.dump({**report_of(folder), "command": "x"}))
    path = os.path.join(folder, evidence.JUNIT)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    evidence.write_bytes(path, text.replace("<failure ", "<system-out ").replace("</failure>", "</system-out>").encode())
    evidence.write_manifest(folder)
    wrong = wrong_in(folder)
    assert any("is of another report.json" in line for line in wrong) and any("failures" in line for line in wrong)
    evidence.write_bytes(path, b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x/>')
    assert any("entities" in line for line in wrong_in(folder))


def archive_of(tmp_path, *members, root=evidence.ARCHIVE_ROOT):
    path = str(tmp_path / "bad.tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members:
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(f"{root}/{name}" if root else name)
            content = b"" if isinstance(data, tarfile.TarInfo) else data
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def special(name, kind):
    info = tarfile.TarInfo(f"{evidence.ARCHIVE_ROOT}/{name}")
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.parametrize("members,root,said", [
    ([("../../x", b"")], evidence.ARCHIVE_ROOT, "a name that no pack has"), ([("/etc/x", b"")], "", "not below"),
    ([("x", b"")], "other", "not below"), ([("x", b""), ("x", b"")], evidence.ARCHIVE_ROOT, "twice"),
    ([("l", special("l", tarfile.SYMTYPE))], "", "no plain file"), ([("l", special("l", tarfile.LNKTYPE))], "", "no plain file"),
    ([("x", b"")], evidence.ARCHIVE_ROOT, "there is no MANIFEST"),
    ([(f"f{i}", b"") for i in range(verify.MEMBERS_MAX + 1)], evidence.ARCHIVE_ROOT, "larger than a pack may be"),
])
def test_a_hostile_archive(tmp_path, members, root, said):
    path = archive_of(tmp_path, *members, root=root)
    with pytest.raises(verify.PackError, match=said):
        verify.check(path)
    assert verify.main([path]) == 2
    assert os.listdir(tmp_path) == ["bad.tar.gz"]


def test_an_archive_that_grows(tmp_path, monkeypatch):
    monkeypatch.setattr(verify, "FILE_MAX", 1 << 16)
    with pytest.raises(verify.PackError, match="larger than a pack may be"):
        verify.check(archive_of(tmp_path, ("x", b"\0" * (1 << 17))))
    path = str(tmp_path / "no.tar.gz")
    for data in (b"not gzip", gzip.compress(b"no tar" * 100), b""):
        evidence.write_bytes(path, data)
        with pytest.raises(verify.PackError):
            verify.check(path)
    with pytest.raises(verify.PackError, match="there is no"):
        verify.check(str(tmp_path / "absent"))


def test_a_folder_with_a_link(made, tmp_path):
    folder = copy_pack(made, tmp_path)
    os.symlink("/etc/passwd", os.path.join(folder, "logs/link.log"))
    with pytest.raises(verify.PackError, match="no plain file"):
        verify.check(folder)


# The runner


def arguments(tmp_path, *words):
    out = str(tmp_path / "out")
    os.makedirs(out, exist_ok=True)
    elf = str(tmp_path / "an.elf")
    evidence.write_bytes(elf, b"elf")
    return certify.parse_arguments(["--out", out, "--elf", elf, "--guest", elf, "--no-guests", "--differences",
                                    str(tmp_path / "none.md"), "--bench", str(tmp_path / "none.json"), *words])


class FakeMachine:
    """Gives the lines of @script(guest tables), then ends the guest as @ended says; None: it hangs."""

    def __init__(self, lines, ended, log):
        self.emulator = argparse.Namespace(slow=1)
        self.lines = {"certify": [], "janus": ["guest certify: started"]}
        self.rest = list(lines)
        self.ended = ended
        self.killed = False
        evidence.write_bytes(log, b"a log\n")

    def pump(self, _seconds):
        self.lines["certify"] += self.rest[:100]
        self.rest = self.rest[100:]
        return True

    def end_of(self, _name):
        return None if self.rest or self.ended is None else self.ended

    def kill(self):
        self.killed = True


class FakeJanus(runs.Janus):
    """Machines that print what @script(face, vcpus, after) gives: (lines, end)."""

    def __init__(self, args, script):
        super().__init__(args.elf, args.guest, args.out, args.scratch)
        self.script = script
        self.tables = []
        self.machines = []

    def boot(self, guests, maker, name, log, memory=runs.MEMORY):
        options = dict(word.split("=") for word in guests[0]["cmdline"].split())
        self.tables.append(guests)
        self.iso_sums.append("0" * 64)
        lines, ended = self.script(guests[0]["face"], guests[0]["vcpus"], options.get("after"))
        self.machines.append(FakeMachine(lines, ended, log))
        return self.machines[-1]


def good(face, vcpus, after):
    return sample.tap_lines(ROWS, face, vcpus=vcpus, after=after), ("powered off", "")


def no_time(monkeypatch):
    """A clock that goes on without waiting."""
    now = iter(range(0, 10**9, 25))
    monkeypatch.setattr(runs.follow, "__defaults__", (judge.HANG_SECONDS, runs.BOOT_SECONDS * 1000, lambda: next(now)))


def test_a_run_on_all_faces(tmp_path, capsys):
    args = arguments(tmp_path, "--vcpus", "1,2")
    janus = FakeJanus(args, good)
    assert certify.certify(args, janus) == 0
    report = report_of(args.out)
    assert [c["id"] for c in report["columns"]] == [f"janus-amd-{f}-{n}" for f in certify.FACES for n in (1, 2)]
    assert report["summary"]["verdict"] == judge.PASS and verify.check(args.out)[0] == []
    assert all(machine.killed for machine in janus.machines)
    main, echo = janus.tables[0]
    assert main["cmdline"] == "mode=probe cpus=1 pace=50000" and echo["cmdline"] == "mode=echo"
    assert main["nics"][0]["switch"] == echo["nics"][0]["switch"]
    with open(main["disks"][0]["source"].removeprefix("ram:"), "rb") as file:
        data = file.read()
    assert data.startswith(b"JANUS-CERTIFY-SCRATCH-DISK v1\n\0\0") and len(data) >= 1 << 20
    out = capsys.readouterr().out
    assert "hash of the whole: " + evidence.sha256(os.path.join(args.out, evidence.MANIFEST)) in out
    assert {g["verdict"] for g in report["guests"]} == {judge.NOT_TRIED}
    args.report_only = True
    assert certify.certify(args, janus) == 0


def test_scratch_disks_for_wrong_use(tmp_path):
    for kind in ("unmarked", "none"):
        args = arguments(tmp_path, "--quick", "--face", "xen", "--scratch", kind)
        janus = FakeJanus(args, good)
        assert certify.certify(args, janus) == 0
        disks = janus.tables[0][0]["disks"]
        if kind == "none":
            assert disks == []
        else:
            with open(disks[0]["source"].removeprefix("ram:"), "rb") as file:
                assert not file.read().strip(b"\0")
        assert f"--scratch {kind}" in report_of(args.out)["command"]


def test_a_fail_is_named(tmp_path, capsys):
    args = arguments(tmp_path, "--quick", "--face", "xen")

    def script(face, vcpus, after):
        return sample.tap_lines(ROWS, face, {XEN_ROW: "0, not -EBUSY"}, vcpus, after), ("powered off", "")

    assert certify.certify(args, FakeJanus(args, script)) == 1
    assert f"FAIL: janus-amd-xen-2: {XEN_ROW}: 0, not -EBUSY" in capsys.readouterr().out


def test_hangs_and_crashes(tmp_path, monkeypatch):
    no_time(monkeypatch)
    args = arguments(tmp_path, "--quick", "--face", "xen")
    ends = {None: ("xen_evtchn.bind_virq", None), "xen_evtchn.bind_virq": ("xen_sched.poll", ("killed", "triple fault"))}

    def script(face, vcpus, after):
        stop_at, ended = ends.get(after, (None, ("powered off", "")))
        return sample.tap_lines(ROWS, face, vcpus=vcpus, after=after, stop_at=stop_at), ended

    janus = FakeJanus(args, script)
    assert certify.certify(args, janus) == 1
    column = report_of(args.out)["columns"][0]
    assert [boot["ended"] for boot in column["boots"]] == ["hung", "killed: triple fault", judge.CLEAN_END]
    assert [boot["after"] for boot in column["boots"]] == [None, "xen_evtchn.bind_virq", "xen_sched.poll"]
    assert set(failed(column)) == {"run.end", "xen_evtchn.bind_virq", "xen_sched.poll"}
    assert len({boot["log"] for boot in column["boots"]}) == 3


def test_it_does_not_boot_for_ever(tmp_path, monkeypatch):
    no_time(monkeypatch)
    args = arguments(tmp_path, "--quick", "--face", "xen")
    probes = [row["id"] for row in ROWS if row["face"] == "xen"]

    def script(face, vcpus, after):
        following = probes[probes.index(after) + 1] if after in probes else probes[0]
        return sample.tap_lines(ROWS, face, vcpus=vcpus, after=after, stop_at=following), None

    janus = FakeJanus(args, script)
    assert certify.certify(args, janus) == 1
    assert len(janus.machines) == runs.REBOOTS_MAX + 1 and all(machine.killed for machine in janus.machines)
    janus = FakeJanus(args, lambda *_: (["nothing"], None))
    assert certify.certify(args, janus) == 1 and len(janus.machines) == 1


def test_lines_that_the_console_split():
    long = '  clause: "' + "x" * 300 + '"'
    assert runs.join_split([long[:256], long[256:], "y"]) == [long, "y"]


def hosted_program(tmp_path, text):
    path = tmp_path / "hosted"
    path.write_text("#!/usr/bin/python3\nimport sys\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_hosted(tmp_path, capsys):
    for face in certify.FACES:
        runs.write_lines(str(tmp_path / face), sample.tap_lines(ROWS, face, {XEN_ROW: "wrong"} if face == "xen" else {}))
    program = hosted_program(tmp_path, f"print(open('{tmp_path}/' + sys.argv[1]).read())\n")
    args = arguments(tmp_path, "--hosted", program)
    assert certify.certify(args) == 1
    report = report_of(args.out)
    assert [column["id"] for column in report["columns"]] == ["hosted-hyperv", "hosted-xen", "hosted-both"]
    assert report["failures"] == [f"hosted-xen: {XEN_ROW}: wrong"]
    assert verify.check(args.out)[0] == []
    assert "hosted-xen" in capsys.readouterr().out


def test_hosted_that_crashes(tmp_path):
    runs.write_lines(str(tmp_path / "first"), sample.tap_lines(ROWS, "xen", stop_at=XEN_ROW))
    runs.write_lines(str(tmp_path / "second"), sample.tap_lines(ROWS, "xen", after=XEN_ROW))
    program = hosted_program(tmp_path, f"""
import os, signal
again = sys.argv[2:] == ["after={XEN_ROW}"]
print(open('{tmp_path}/' + ("second" if again else "first")).read(), flush=True)
if not again:
    os.kill(os.getpid(), signal.SIGSEGV)
""")
    args = arguments(tmp_path, "--hosted", program, "--face", "xen")
    assert certify.certify(args) == 1
    assert "SIGSEGV" in failed(report_of(args.out)["columns"][0])[XEN_ROW]


# Peers


def write_peer(out, name, lines=None, **more):
    folder = os.path.join(out, "peers", name)
    os.makedirs(folder, exist_ok=True)
    value = {"peer": name, "title": name, "identity": {"package": "x"}, "attempts": 2, "notes": ["hung once"], **more}
    if lines is not None:
        runs.write_lines(os.path.join(folder, "raw.tap"), lines)
        runs.write_lines(os.path.join(folder, "console.log"), lines[:10])
        value.update(tap="raw.tap", boots=[{"log": "console.log", "ended": judge.CLEAN_END}])
    runs.write_json(os.path.join(folder, "column.json"), value)


def test_peers(tmp_path):
    args = arguments(tmp_path, "--quick", "--face", "xen")
    write_peer(args.out, "xen-4.17-pvh", sample.tap_lines(ROWS, "xen", {XEN_ROW: "0"}))
    write_peer(args.out, "kvm-6.12", not_tried="linux-image cannot be had: no network")
    write_peer(args.out, "kvm-old", sample.tap_lines(ROWS, "xen"), guest_sha256="0" * 64)
    assert certify.certify(args, FakeJanus(args, good)) == 1
    report = report_of(args.out)
    by_id = {column["id"]: column for column in report["columns"]}
    assert by_id["peer-kvm-6.12"]["reason"].endswith("no network") and by_id["peer-kvm-6.12"]["status"] == judge.NOT_TRIED
    assert "another certify.elf" in by_id["peer-kvm-old"]["reason"]
    assert report["failures"] == [f"difference, xen-4.17-pvh: {XEN_ROW}: xen-4.17-pvh fails here and no entry of "
                                  "specs/differences.md explains it"]
    with open(args.differences, "w", encoding="utf-8") as file:
        file.write(f"| Row | Peer | J | P | R |\n|---|---|---|---|---|\n| {XEN_ROW} | xen-4.17-* | a | b | Janus: the header |\n")
    assert certify.certify(args, FakeJanus(args, good)) == 0
    assert verify.check(args.out)[0] == []
    assert os.path.exists(os.path.join(args.out, "logs/peer-xen-4.17-pvh.tap"))


@pytest.mark.parametrize("text,said", [
    ("{", "cannot be read"), ("[]", "does not name its peer"), ('{"peer": "../x"}', "does not name its peer"),
    ('{"peer": "p"}', "says neither"), ('{"peer": "p", "tap": "absent"}', "names absent"),
    ('{"peer": "p", "tap": "x", "boots": [1]}', "says neither"),
])
def test_a_peer_that_was_written_wrong(tmp_path, text, said):
    args = arguments(tmp_path, "--quick", "--face", "xen")
    os.makedirs(os.path.join(args.out, "peers/p"))
    evidence.write_bytes(os.path.join(args.out, "peers/p/column.json"), text.encode())
    with pytest.raises(certify.CertifyError, match=said):
        certify.certify(args, FakeJanus(args, good))


# Wrong use


def test_nothing_built(tmp_path, capsys):
    args = ["--out", str(tmp_path), "--elf", str(tmp_path / "no.elf")]
    assert certify.main(args) == 2 and "make build/janus.elf" in capsys.readouterr().err
    evidence.write_bytes(str(tmp_path / "no.elf"), b"x")
    assert certify.main([*args, "--guest", str(tmp_path / "no.guest")]) == 2
    assert "make build/certify/certify.elf" in capsys.readouterr().err
    assert certify.main([*args, "--hosted", str(tmp_path / "none")]) == 2
    with pytest.raises(SystemExit):
        certify.parse_arguments(["--vcpus", "0"])


def test_old_runs_are_not_reported_as_new(tmp_path):
    args = arguments(tmp_path, "--quick", "--face", "xen")
    assert certify.certify(args, FakeJanus(args, good)) == 0
    evidence.write_bytes(args.elf, b"another")
    args.report_only = True
    with pytest.raises(certify.CertifyError, match="other binaries"):
        certify.certify(args, FakeJanus(args, good))
    args = arguments(tmp_path / "empty" if (tmp_path / "empty").mkdir() is None else tmp_path, "--report-only")
    with pytest.raises(certify.CertifyError, match="no run to report"):
        certify.certify(args, FakeJanus(args, good))


# Real guests


class Counts:
    COLUMNS = ("guest", "face", "kernel", "disk")


def one_cell(text, wrong=None):
    return argparse.Namespace(text=text, wrong=wrong)


def test_the_guest_matrix():
    machine = argparse.Namespace(lines={"monitor": ["guests"]})

    def monitor(command):
        assert command == "stats web"
        machine.lines["monitor"] += ["event_channel_op bind_virq: used 3 refused 1", "MSR unknown: used 0 refused 4",
                                     "vcpu 0: exits 3: cpuid 1", "heartbeats 0"]

    machine.monitor, machine.expect = monitor, lambda *_: None
    counted = runs.stats_of(machine, "web", rows_module.monitor_names(ROOT))
    assert counted[0] == {"row": XEN_ROW, "text": "event_channel_op bind_virq", "used": 3, "refused": 1}
    assert runs.guest_counts(counted, {XEN_ROW: True}) == {"offered_used": 1, "refused_asked": 1, "unknown_asked": 1}
    cells = [one_cell("web"), one_cell("Xen"), one_cell("6.1.0"), one_cell("WRONG", "sum 1")]
    entry = runs.judge_real_guest(runs.guest_entry("web", "6.1", "xen", "amd"), Counts, cells, counted, {XEN_ROW: True})
    assert entry["verdict"] == judge.FAIL and entry["reason"] == "disk: sum 1"
    entry = runs.judge_real_guest(runs.guest_entry("web", "6.1", "xen", "amd"), Counts, cells[:3], [], {})
    assert entry["reason"] == "the monitor counted no row for it"


def test_an_uncaught_word_of_tap_is_the_runners_too():
    """What the guest says of a row that an earlier boot did is what the runner looks for."""
    assert tap.EARLIER in "\n".join(sample.tap_lines(ROWS, "xen", after=XEN_ROW))


def test_a_peer_that_was_tried_again(tmp_path):
    """Its boots' own logs are read, not what it merged; a row that a later boot answered is no fail."""
    args = arguments(tmp_path, "--quick", "--face", "xen")
    before = ROWS[[row["id"] for row in ROWS].index(XEN_ROW) - 1]["id"]
    write_peer(args.out, "kvm-6.1", ["merged"])
    folder = os.path.join(args.out, "peers/kvm-6.1")
    runs.write_lines(os.path.join(folder, "1.log"), sample.tap_lines(ROWS, "xen", stop_at=XEN_ROW))
    runs.write_lines(os.path.join(folder, "2.log"), sample.tap_lines(ROWS, "xen", after=before))
    write_peer(args.out, "kvm-6.1", tap="guest.tap", boots=[{"log": "1.log", "ended": "hung"},
                                                            {"log": "2.log", "ended": "halted after its last line"}])
    runs.write_lines(os.path.join(folder, "guest.tap"), ["merged"])
    assert certify.certify(args, FakeJanus(args, good)) == 0
    cells = {c["id"]: c for c in report_of(args.out)["columns"]}["peer-kvm-6.1"]["cells"]
    assert cells["run.end"]["verdict"] == judge.NOTES and XEN_ROW in cells["run.end"]["notes"][1]
    assert cells[XEN_ROW]["verdict"] in (judge.PASS, judge.NOTES) and cells[XEN_ROW]["boot"] == 2

"""janus_machine.py, verdict.py and run.py, with a script in place of QEMU: what they take, and what they refuse."""

import importlib
import os
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/system"))
machine_module = importlib.import_module("janus_machine")
verdict = importlib.import_module("verdict")
run = importlib.import_module("run")

SUM_WRITTEN = verdict.pattern_sum(7, 2 << 20)
GUESTS = [
    {"name": "hv", "face": "hyperv", "release": "6.1.0-x", "vcpus": 2, "peer": 2},
    {"name": "xen", "face": "xen", "release": "6.1.0-x", "vcpus": 2, "peer": 1},
]
LINUX = {
    "hv": ("Microsoft Hyper-V", "hv_storvsc", "hv_netvsc", "hyperv_clocksource_tsc_page"),
    "xen": ("Xen HVM", "vbd", "vif", "xen"),
}


def right_lines(guest):
    """The console of a guest for which all goes well, then the log's line."""
    name = guest["name"]
    face, disk, net, clock = LINUX[name]
    keys = {
        "kernel": "6.1.0-x",
        "face": face,
        "vcpus": "2",
        "disk_driver": disk,
        "disk": f"pass wrote {SUM_WRITTEN}",
        "net_driver": net,
        "ping": "pass 3 of 3",
        "net": f"pass {verdict.pattern_sum(guest['peer'], 1 << 20)}",
        "clock": clock,
        "result": "pass",
        "end": "poweroff",
    }
    lines = [f"[{name}] JANUS: {key}={value}" for key, value in keys.items()]
    return [*lines, f"[janus] guest {name}: powered off"]


def scripted(lines, after="", **options):
    """A machine that says @lines, then runs the Python text @after."""
    text = "".join(line + "\n" for line in lines)
    program = f"import sys, time\nsys.stdout.write({text!r})\nsys.stdout.flush()\n{after}\n"
    return machine_module.Machine(command=[sys.executable, "-c", program], **options)


ALL_RIGHT = [line for pair in zip(*map(right_lines, GUESTS)) for line in pair]


def verdict_of(lines, capsys):
    """run.py's exit status and what it prints, for a machine that says @lines."""
    with scripted(lines) as machine:
        why = run.watch(machine, ["hv", "xen"], 20)
    status = run.finish(machine, GUESTS, why)
    return status, capsys.readouterr().out.splitlines()


def test_all_right(capsys):
    status, lines = verdict_of(ALL_RIGHT, capsys)
    assert status == 0
    assert lines[-1] == "PASS: all 20 cells are right"


WRONG = [
    # guest, report, its new value (None: no such line), the line that names the cell
    ("hv", "face", "KVM", "hv, face: KVM, not Microsoft Hyper-V"),
    ("xen", "face", "", r"xen, face: nothing, not Xen\b"),
    ("hv", "kernel", "6.2", "hv, kernel: 6.2, not 6.1.0-x"),
    ("xen", "vcpus", "1", "xen, vCPUs: 1, not 2"),
    ("xen", "disk_driver", "virtio_blk", "xen, disk driver: virtio_blk, not vbd"),
    ("hv", "disk", "fail what was there: sum a, not b", "hv, disk: what was there: sum a, not b"),
    ("hv", "disk", "pass wrote 123", f"hv, disk: it says 'wrote 123', which is not {SUM_WRITTEN}"),
    ("hv", "disk", "pass", f"hv, disk: it says '', which is not {SUM_WRITTEN}"),
    ("hv", "net_driver", "none", "hv, network driver: none, not hv_netvsc"),
    ("xen", "ping", "fail 2 of 3", "xen, ping 1400: 2 of 3"),
    ("hv", "net", None, "hv, 1 MiB: no report"),
    ("hv", "clock", "jiffies", "hv, clock: jiffies, not hyperv_clocksource_tsc_page or hyperv_clocksource_msr"),
    ("xen", "result", "fail", "xen, shutdown: it powered off, but its own result is fail"),
    ("xen", "result", None, "xen, shutdown: it powered off, but its own result is missing"),
    ("hv", "end", None, "hv, shutdown: powered off"),
    ("hv", "end", "reboot", "hv, shutdown: powered off"),
]


@pytest.mark.parametrize("guest,key,value,said", WRONG, ids=[f"{g}-{k}-{i}" for i, (g, k, _, _) in enumerate(WRONG)])
def test_each_wrong_cell_fails_and_is_named(capsys, guest, key, value, said):
    start = f"[{guest}] JANUS: {key}="
    lines = [start + value if line.startswith(start) and value is not None else line for line in ALL_RIGHT]
    lines = [line for line in lines if value is not None or not line.startswith(start)]
    status, printed = verdict_of(lines, capsys)
    assert status == 1
    assert [line for line in printed if line.startswith("wrong: ")] == ["wrong: " + said]
    assert printed[-1] == "FAIL: 1 of 20 cells are wrong"


def test_a_wrong_disk_is_not_blamed_on_the_shutdown(capsys):
    """What FAULT=disk leads to: the guest finds the other image's sum, and ends with a fail."""
    changed = {"disk=": "fail what was there: sum a, not b", "result=": "fail"}
    lines = list(ALL_RIGHT)
    for key, value in changed.items():
        start = f"[hv] JANUS: {key}"
        lines = [start + value if line.startswith(start) else line for line in lines]
    status, printed = verdict_of(lines, capsys)
    assert status == 1
    named = [line for line in printed if line.startswith("wrong: ")]
    assert named == ["wrong: hv, disk: what was there: sum a, not b"]


@pytest.mark.parametrize("end,said", [
    ("guest xen: crashed: kernel panic", "xen, shutdown: crashed kernel panic"),
    ("guest xen: killed: triple fault", "xen, shutdown: killed triple fault"),
    ("nothing", "xen, shutdown: it did not power off"),
])
def test_another_end_is_not_clean(capsys, end, said):
    lines = [line.replace("guest xen: powered off", end) for line in ALL_RIGHT]
    status, printed = verdict_of(lines, capsys)
    assert status == 1 and "wrong: " + said in printed


def test_a_silent_machine_is_wrong_in_every_cell(capsys):
    status, printed = verdict_of(["SeaBIOS", "[janus] hello"], capsys)
    assert status == 1 and printed[-1] == "FAIL: 20 of 20 cells are wrong"


def test_a_guest_cannot_speak_for_another(capsys):
    lines = [line for line in ALL_RIGHT if not line.startswith("[xen] JANUS: disk=")]
    lines.insert(0, f"[hv] x [xen] JANUS: disk=pass wrote {SUM_WRITTEN}")
    status, printed = verdict_of(lines, capsys)
    assert status == 1 and "wrong: xen, disk: no report" in printed


def test_a_guest_cannot_forge_its_end(capsys):
    lines = [line for line in ALL_RIGHT if line != "[janus] guest xen: powered off"]
    lines.insert(0, "[xen] [janus] guest xen: powered off")
    status, printed = verdict_of(lines, capsys)
    assert status == 1 and "wrong: xen, shutdown: it did not power off" in printed


def test_faults_fit_the_configuration():
    with open(os.path.join(ROOT, "tests/system/run.toml"), encoding="utf-8") as file:
        text = file.read()
    assert all(run.seeded(text, fault) != text for fault in run.FAULTS)
    assert run.seeded(text, None) == text


def test_sums_in_the_configuration_are_those_of_the_images():
    with open(os.path.join(ROOT, "tests/system/run.toml"), encoding="utf-8") as file:
        text = file.read()
    for seed in (1, 2):
        assert text.count("janus.disksum=" + verdict.pattern_sum(seed, 2 << 20)) == 1


# The machine


def test_lines_go_to_who_says_them():
    lines = ["GRUB", "[janus] up", "\x1b[2J[web] \x1b[1mhello\x1b[0m\r", "[web] [db] x", "[a b] no one"]
    seen = []
    with scripted(lines, on_line=lambda who, text: seen.append((who, text))) as machine:
        assert machine.exit_status() == 0
    want = [("firmware", "GRUB"), ("janus", "up"), ("web", "hello"), ("web", "[db] x")]
    assert seen == [*want, ("firmware", "[a b] no one")]


def test_expect_goes_on_after_what_it_found():
    with scripted(["[a] n 1", "[b] n 9", "[a] n 2"], "time.sleep(20)") as machine:
        assert machine.expect("a", r"n (\d)", 10)[1] == "1"
        assert machine.expect("a", r"n (\d)", 10)[1] == "2"
        with pytest.raises(machine_module.MachineError, match="not within 0.3 seconds.*\n(.*\n)*n 9"):
            machine.expect("a", r"n (\d)", 0.3)


def test_expect_fails_when_the_machine_ends():
    with scripted(["[a] last words"]) as machine:
        with pytest.raises(machine_module.MachineError, match="ended before(.*\n)*last words"):
            machine.expect("a", "never", 20)


def test_report_and_exit_status():
    lines = ["[a] JANUS: vcpus=2", "[a] JANUS: result=pass", "[janus] guest a: crashed: reason 5"]
    with scripted(lines, "sys.exit(33)") as machine:
        assert machine.wait_report("a", 10) == {"vcpus": "2", "result": "pass"}
        assert machine.wait_end("a", 10) == ("crashed", "reason 5")
        assert machine.exit_status() == 33


def test_keys_reach_the_machine():
    after = "import tty; tty.setraw(0)\nprint('[janus] ready', flush=True)\nprint('[janus]', repr(sys.stdin.read(8)))"
    with scripted([], after) as machine:
        machine.expect("janus", "ready", 10)
        machine.monitor("guests")
        assert machine.expect("janus", r"'.*'", 10)[0] == r"'\x01guests\r'"


def test_a_living_machine_is_ended():
    with scripted(["[a] x"], "time.sleep(600)") as machine:
        machine.expect("a", "x", 10)
        process = machine.child.pid
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)

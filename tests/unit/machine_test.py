"""janus_machine.py, its two emulators, verdict.py and run.py, with a script in place of QEMU and of Bochs."""

import importlib
import os
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/system"))
bochs = importlib.import_module("bochs")
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
        process = machine.emulator.pid
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


# Bochs


BOCHS = r"""
import re, socket, sys
config = open("bochsrc").read()
com1 = socket.create_connection(("127.0.0.1", int(re.search(r"dev=127.0.0.1:(\d+)", config)[1])))

def say(*lines):
    com1.sendall("".join(line + "\r\n" for line in lines).encode())

def log(*lines):
    with open("bochs.log", "a") as file:
        file.writelines(line + "\n" for line in lines)

"""
SHUTDOWN = "01p[UNMAP ] >>PANIC<< " + bochs.ORDERED_END


def scripted_bochs(body, **options):
    """A machine in a Bochs that only runs @body, which has say() and log()."""
    emulator = bochs.Bochs("some.iso", program=(sys.executable, "-c", BOCHS + body), **options)
    return machine_module.Machine(emulator=emulator)


def test_bochs_is_told_what_was_asked_for():
    plain = bochs.config(1234, "/x/janus.iso")
    assert "cpu: model=corei7_skylake_x, count=2, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=1\n" in plain
    assert "dev=127.0.0.1:1234\n" in plain and 'path="/x/janus.iso"' in plain
    other = bochs.config(1, "a", cpu="tigerlake", smp=3, memory=512, ignore_bad_msrs=False, ips=7)
    assert "model=tigerlake, count=3, ips=7, reset_on_triple_fault=0, ignore_bad_msrs=0\n" in other
    assert "memory: guest=512, host=512\n" in other
    with pytest.raises(TypeError):
        bochs.config(1, "a", drives=["d"])


def test_bochs_speaks_and_listens():
    with scripted_bochs("say('BIOS', '[a] one')\nsay('[a] ' + repr(com1.recv(8, socket.MSG_WAITALL)))") as machine:
        machine.expect("a", "one", 10)
        machine.monitor("guests")
        assert machine.expect("a", "'.*'", 10)[0] == r"'\x01guests\r'"
        assert machine.lines["firmware"] == ["BIOS"]


def test_bochs_last_words_are_read_though_keys_were_left():
    """With keys that no one took, the connection ends with a reset, not in order."""
    body = "com1.recv(1); say('[janus] the end'); com1.sendall(b'[janus] half a line'); sys.exit(1)"
    with scripted_bochs(body) as machine:
        machine.send("keys")
        assert machine.exit_status(10) == 1
        machine.send("more keys")
    assert machine.lines["janus"] == ["the end", "half a line"]


def test_bochs_own_complaints_are_shown():
    body = f"""
log("00i[CPU0 ] fine", "01e[CPU0 ] VMFAIL: VMCS EXEC CTRL: invalid EPTPTR value", "02i[CPU0 ] fine", {SHUTDOWN!r})
log("03i[CPU0 ] | RAX=5")
say("[janus] bad")
"""
    with scripted_bochs(body) as machine:
        with pytest.raises(machine_module.MachineError, match="VMFAIL.*invalid EPTPTR") as raised:
            machine.expect("janus", "good", 10)
        assert "fine" not in str(raised.value) and "RAX" not in str(raised.value)
        folder = machine.emulator.folder
    assert "VMFAIL" in machine.tail()
    assert not os.path.exists(folder)


def test_a_panic_of_bochs_comes_with_the_registers():
    lines = ["1e[CPU0 ] VMEXIT x", "2p[CPU0 ] >>PANIC<< exception(): 3rd (13) exception", "2i[CPU0 ] | RAX=5"]
    assert bochs.complaints_in(["0i[CPU0 ] | RAX=4", *lines]) == lines
    many = [f"{i}e[CPU0 ] VMFAIL {i}" for i in range(1000)]
    assert bochs.complaints_in(many) == many[-bochs.COMPLAINTS_MAX :]


def test_a_bochs_that_does_not_start_says_why():
    emulator = bochs.Bochs("some.iso", program=(sys.executable, "-c", "print('>>PANIC<< bochsrc:5: no such model')"))
    with machine_module.Machine(emulator=emulator) as machine:
        with pytest.raises(machine_module.MachineError, match="ended before(.*\n)*.*no such model"):
            machine.expect("janus", "x", 10)


def test_waits_for_bochs_are_longer():
    with scripted_bochs("import time; time.sleep(1); say('[a] late'); time.sleep(20)") as machine:
        machine.expect("a", "late", 0.5)
        with pytest.raises(machine_module.MachineError, match="not within 0.8 seconds"):
            machine.expect("a", "never", 0.1)


def test_a_living_bochs_is_ended():
    with scripted_bochs("import time; say('[a] x'); time.sleep(600)") as machine:
        machine.expect("a", "x", 10)
        process = machine.emulator.pid
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@pytest.mark.parametrize("last,status", [(SHUTDOWN, 0), ("1p[CPU0 ] >>PANIC<< 3rd (13) exception", 1)])
def test_bochs_on_a_terminal(monkeypatch, tmp_path, capfd, last, status):
    body = f"say('ready'); say('got ' + com1.recv(4, socket.MSG_WAITALL).decode()); log({last!r})"
    keys = tmp_path / "keys"
    keys.write_text("quit")
    monkeypatch.setattr(bochs, "PROGRAM", (sys.executable, "-c", BOCHS + body))
    with open(keys, encoding="utf-8") as typed:
        monkeypatch.setattr(sys, "stdin", typed)
        assert bochs.run_on_terminal("some.iso") == status
    said = capfd.readouterr().out
    assert "ready" in said and "got quit" in said
    assert ("exception" in said) == (status == 1)

"""What the peers' runner makes of logs, without an emulator: joined lines, hangs, boots put together, ELF files."""

import os
import struct
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import debian  # noqa: E402
import kernel  # noqa: E402
import kvm  # noqa: E402
import machine  # noqa: E402
import peer  # noqa: E402
import rig  # noqa: E402
import xen  # noqa: E402

HEAD = "TAP version 14\n# janus-certify 1\n1..4\n"
ROW = "# begin {0}\nok {1} - {0}\n  ---\n  offered: true\n  ...\n"


def boot(text, ended="power off"):
    return rig.Boot("log", ended, 1.0, text, "mode=probe", [])


def row(name, number):
    return ROW.format(name, number)


@pytest.mark.parametrize("length", [1, 198, 199, 200, 398, 399, 500])
def test_lines_that_xen_cut_are_whole_again(length):
    line = "x" * length
    cut = [line[i : i + xen.CHUNK] for i in range(0, length, xen.CHUNK)]
    cut += [""] if length % xen.CHUNK == 0 else []
    log = "(XEN) noise\n" + "".join(f"(d7) {c}\n(d1) other\n" for c in cut) + "(d7) next\n"
    assert xen.join_lines(log, "7") == line + "\nnext\n"


def test_indentation_survives_xen():
    assert xen.join_lines("(d1)   offered: true\n(d1)   ...\n", "1") == "  offered: true\n  ...\n"


def test_the_row_begun_and_the_row_done():
    assert peer.row_now(HEAD) == (None, None)
    assert peer.row_now(HEAD + row("a.X", 1)) == (None, "a.X")
    assert peer.row_now(HEAD + row("a.X", 1) + "# begin a.Y\nnoise") == ("a.Y", "a.X")
    earlier = "ok 1 - a.X # SKIP done in an earlier boot\n"
    assert peer.row_now(HEAD + earlier + "# begin a.Y\n") == ("a.Y", None)


def test_a_row_that_hangs_is_tried_once_more():
    course = peer.Course("mode=probe")
    text = HEAD + row("a.X", 1) + "# begin a.Y\n"
    assert course.goes_on(boot(text, "hung"), 1)
    assert course.line() == "mode=probe after=a.X" and course.died == {}
    assert course.goes_on(boot(text, "hung"), 2)
    assert course.line() == "mode=probe after=a.Y" and course.died == {"a.Y": "hung"}
    assert not course.goes_on(boot(HEAD + "# end passed=1\n"), 3)
    assert course.notes == ["boot 1: hung, in a.Y", "boot 2: hung, in a.Y"]


def test_a_row_in_which_qemu_aborts_is_not_tried_again():
    course = peer.Course("mode=probe")
    how = "ended early: QEMU's exit status is 134 (0: the guest reset or powered off)"
    assert course.goes_on(boot(HEAD + row("a.X", 1) + "# begin a.Y\n", how), 1)
    assert course.line() == "mode=probe after=a.Y" and course.died == {"a.Y": how}


def test_a_later_boot_has_one_row_to_go_on_after():
    course = peer.Course("after=a.W mode=probe")
    assert course.line() == "after=a.W mode=probe"
    assert course.goes_on(boot(HEAD + row("a.X", 1), "hung"), 1)
    assert course.line() == "mode=probe after=a.X"


def test_a_guest_from_a_cd(tmp_path):
    kvm_rig = kvm.Kvm("kvm-6.1-hyperv", str(tmp_path), str(tmp_path), print)
    line = kvm_rig.l2(rig.Job("guest.elf", "mode=probe", iso=True), "mode=probe", 1)
    assert "-cdrom /job/guest.iso" in line and "-kernel" not in line
    assert "-kernel" in kvm_rig.l2(rig.Job("guest.elf", "mode=probe"), "mode=probe", 1)
    with pytest.raises(debian.PeerError, match="take one of KVM's"):
        peer.run_guest("xen-4.17-pvh", "guest.elf", "mode=probe", iso=True, out=str(tmp_path))


def test_without_any_row_three_boots_are_all():
    course = peer.Course("mode=bench")
    assert [course.goes_on(boot("", "hung"), n) for n in (1, 2, 3)] == [True, True, False]
    assert course.line() == "mode=bench"


def test_boots_are_put_together_in_the_plan_s_order():
    earlier = "ok {1} - {0} # SKIP done in an earlier boot\n"
    first = boot(HEAD + row("a.A", 1) + "# begin a.B\n", "hung")
    second = boot(HEAD + earlier.format("a.A", 1) + earlier.format("a.B", 2) + row("a.C", 3) + row("a.D", 4) + "# end x\n")
    text = peer.merge_tap([first, second], {"a.B": "hung"})
    results = [line for line in text.split("\n") if peer.RESULT.match(line)]
    assert results == ["ok 1 - a.A", "not ok 2 - a.B", "ok 3 - a.C", "ok 4 - a.D"]
    assert text.startswith(HEAD) and text.endswith("# end x\n") and text.count("1..4") == 1
    assert '  failed: "hung"\n' in text and text.count("offered: true") == 3


def test_one_boot_is_left_as_it_is():
    assert peer.merge_tap([boot(HEAD + row("a.A", 1))], {}) == HEAD + row("a.A", 1)


def test_bench_lines():
    result = peer.RunResult("# bench cpuid median=5353 min=5350 same=999 unit=tsc\n", "power off", 1, [], {}, [], "t")
    out = os.environ.get("TMPDIR", "/tmp")
    assert peer.column("xen-4.17-pvh", result, out)["bench"] == {
        "cpuid": {"median": 5353, "min": 5350, "same": 999, "unit": "tsc"}
    }


def small_elf(folder):
    """An ELF64 with one segment, its PVH note in it, and no Multiboot header."""
    note = struct.pack("<III4sI", 4, 4, kernel.NOTE_PHYS32_ENTRY, b"Xen\0", 0x100040)
    data = note.ljust(64, b"\0") + b"\xf4" * 64
    heads = struct.pack("<IIQQQQQQ", kernel.PT_LOAD, 7, 4096, 0x100000, 0x100000, len(data), 0x5000, 4096)
    heads += struct.pack("<IIQQQQQQ", kernel.PT_NOTE, 4, 4096, 0x100000, 0x100000, len(note), len(note), 4)
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, kernel.EM_X86_64, 1, 0x100000, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    path = os.path.join(folder, "small.elf")
    with open(path, "wb") as file:
        file.write((head + heads).ljust(4096, b"\0") + data)
    return path, data


def test_a_command_line_goes_into_a_guest(tmp_path):
    path, data = small_elf(tmp_path)
    made = rig.with_command_line(path, "mode=probe only=msr")
    entry, loads = kernel.elf_read(made)[:2]
    assert entry == 0x105000 and [load[1] for load in loads] == [0x100000, 0x105000]
    (first, line) = rig.elf_segments(made)
    assert first == (0x100000, data, 0x5000)
    assert line[1][32:] == b"mode=probe only=msr\0"
    assert line[1][:19] == bytes.fromhex("c74318 20501000 c7431c 00000000 b9 40001000 ffe1".replace(" ", ""))[:19]


def test_a_guest_without_the_note_is_refused(tmp_path):
    path, _ = small_elf(tmp_path)
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\0" * 20)
    with pytest.raises((debian.PeerError, kernel.KernelError)):
        rig.with_command_line(path, "")


def test_multiboot_header_is_found(tmp_path):
    path, _ = small_elf(tmp_path)
    assert not rig.has_multiboot(path)
    with open(path, "r+b") as file:
        file.seek(4096 + 80)
        file.write(struct.pack("<III", rig.MULTIBOOT_MAGIC, 3, -(rig.MULTIBOOT_MAGIC + 3) & 0xFFFFFFFF))
    assert rig.has_multiboot(path)


class FakeRig:
    """A machine that is a shell script writing its guest's text to one file."""

    def __init__(self, folder):
        self.folder = folder
        self.serials = [self.path("guest")]

    def path(self, name):
        return os.path.join(self.folder, name)

    def guest_text(self):
        return machine.read_text(self.serials[0])

    def guest_started(self):
        return self.guest_text() != ""

    def script_text(self):
        return "peer: guest starts\n"


@pytest.mark.parametrize("script, how", [
    ("echo '# begin a.X' > guest; exit 0", "exit"),
    ("echo '# begin a.X' > guest; exec sleep 60", "hung"),
    ("echo '# end' > guest; exec sleep 60", "silent"),
    ("while :; do echo line >> guest; sleep 0.2; done", "limit"),
])
def test_how_a_machine_ends(tmp_path, monkeypatch, script, how):
    monkeypatch.setattr(machine, "GUEST_QUIET_SECONDS", 2)
    monkeypatch.setattr(machine, "AFTER_END_SECONDS", 1)
    fake = FakeRig(tmp_path)
    ended = machine.run(fake, ["sh", "-c", f"cd {tmp_path}; {script}"], 5, lambda text: None)
    assert ended.how == how
    assert subprocess.run(["pgrep", "-f", f"cd {tmp_path};"], check=False).returncode != 0


def test_a_peer_that_cannot_be_had_is_not_tried(tmp_path):
    command = [sys.executable, os.path.join(HERE, "peer.py"), "--peer", "kvm-6.1-hyperv", "--guest", str(tmp_path / "none"),
               "--out", str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2
    assert b'"not_tried"' in (tmp_path / "column.json").read_bytes()

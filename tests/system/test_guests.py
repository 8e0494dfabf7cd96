"""Stock Debian kernels on each face: CPUs, disk, network, clock, shutdown."""

import hashlib
import os
import sys

import gpt
import pexpect
import pytest
from conftest import HERE, check_passed, guest, networked, release_of, verdict

FACES = ("hyperv", "xen")
PART_START = 2048  # sectors
PART_BYTES = 16 << 20


def check_drivers(report, face, disk=True, net=False):
    disk_driver, net_driver = verdict.DRIVERS[face]
    assert not disk or report["disk_driver"] == disk_driver
    assert not net or report["net_driver"] == net_driver
    assert report["clock"] in verdict.CLOCKS[face]


@pytest.mark.parametrize("version,vcpus", [("6.1", 2), ("6.1", 8), ("6.12", 2)])
@pytest.mark.parametrize("face", FACES)
def test_one_guest(boot, face, version, vcpus):
    machine = boot([guest("one", face, version, vcpus=vcpus, disk="rw")])
    report = check_passed(machine, "one", 300)
    assert report["kernel"] == release_of(version)
    assert report["vcpus"] == str(vcpus)
    check_drivers(report, face)


@pytest.mark.parametrize("face", FACES)
def test_pages_of_1_gib(boot, face):
    """Its memory begins as one page, of which a face's own pages, shown inside it, make smaller ones."""
    machine = boot([guest("big", face, memory="1G", disk="rw")], memory=3072)
    machine.expect("janus", "guest big: started", 120)
    machine.monitor("memory")
    machine.expect("monitor", r"big +RAM \d+ KiB, 1 of 1 GiB", 60)
    check_drivers(check_passed(machine, "big", 300), face)


def test_uefi(boot):
    machine = boot([guest("h", "hyperv", disk="rw"),
                    guest("x", "xen", disk="ro", disks=[{"source": "ram:disk-2.img", "mode": "ro"}],
                          disksum=verdict.pattern_sum(2, 2 << 20))], uefi=True)
    check_drivers(check_passed(machine, "h", 240), "hyperv")
    report = check_passed(machine, "x", 240)
    check_drivers(report, "xen")
    assert report["disk_ro"] == "1"


@pytest.mark.parametrize("faces", [("xen", "xen"), ("hyperv", "hyperv")], ids="-".join)
def test_two_guests_of_one_face(boot, faces):
    machine = boot([networked("a", faces[0], 1, 2), networked("b", faces[1], 2, 1)])
    for name, face in zip("ab", faces):
        report = check_passed(machine, name, 240)
        check_drivers(report, face, disk=False, net=True)
        assert report["ping"] == "pass 3 of 3"


def partition_sum(path, size):
    """The MD5 sum of the partition's first @size bytes, read on the host."""
    with open(path, "rb") as file:
        file.seek(PART_START * 512)
        data = file.read(size)
    return hashlib.md5(data).hexdigest()


@pytest.mark.parametrize("faces", [("xen", "hyperv"), ("hyperv", "xen")], ids="-".join)
def test_disk_moves_between_faces(boot, tmp_path, faces):
    """Written through one face, on the medium once flushed, read back through the other."""
    image = str(tmp_path / "disk.img")
    gpt.make_image(image, "data", PART_START, PART_BYTES)
    part = "partition:data"
    machine = boot([
        guest("writer", faces[0], disk="write", diskseed=5, disks=[{"source": part, "mode": "rw"}]),
        guest("reader", faces[1], disk="verify", diskseed=5, disks=[{"source": part, "mode": "ro"}],
              autostart=False),
    ], drives=[image])
    check_drivers(check_passed(machine, "writer", 180), faces[0])
    assert partition_sum(image, 2 << 20) == verdict.pattern_sum(5, 2 << 20)
    machine.monitor("start reader")
    check_drivers(check_passed(machine, "reader", 180), faces[1])


@pytest.mark.parametrize("face", FACES)
def test_shutdown_from_the_monitor(boot, face):
    """The guest is asked through its own face and ends itself in order."""
    machine = boot([guest("idle", face, mode="idle", seconds=600)])
    machine.expect("idle", "JANUS: sleep=pass", 180)
    machine.monitor("shutdown idle")
    machine.expect("idle", "JANUS: orderly=poweroff", 60)
    assert machine.wait_end("idle", 60)[0] == "powered off"


def test_shell(maker):
    """`make shell`, as a person at a terminal has it."""
    shell = pexpect.spawn(sys.executable, [os.path.join(HERE, "run.py"), "--shell", "--cpu", maker], encoding="utf-8",
                          timeout=120, dimensions=(50, 200))
    try:
        shell.expect("guest xen: started")
        shell.send("\x01")
        shell.expect("help lists the commands")
        shell.send("guests\r")
        shell.expect(r"hv +running")
        shell.send("quit\r")
        shell.expect("Janus ends")
        shell.expect(pexpect.EOF)
    finally:
        shell.close(force=True)
    assert shell.exitstatus == 0


# The long ones


@pytest.mark.soak
@pytest.mark.parametrize("vcpus", [1, 2, 8])
@pytest.mark.parametrize("version", ["6.1", "6.12"])
@pytest.mark.parametrize("faces", [("xen", "xen"), ("hyperv", "hyperv"), FACES], ids="-".join)
def test_matrix(boot, faces, version, vcpus):
    machine = boot([
        networked("a", faces[0], 1, 2, version=version, vcpus=vcpus, disk="rw"),
        networked("b", faces[1], 2, 1, version=version, vcpus=vcpus, disk="write",
                  disks=[{"source": "ram:disk-2.img", "mode": "rw"}]),
    ])
    for name, face in zip("ab", faces):
        report = check_passed(machine, name, 600)
        assert report["vcpus"] == str(vcpus)
        check_drivers(report, face, net=True)


@pytest.mark.soak
@pytest.mark.parametrize("faces", [("xen",), ("hyperv",), FACES], ids="-".join)
def test_eight_guests(boot, faces):
    guests = [guest(f"g{i}", faces[i % len(faces)], vcpus=1, memory="160M") for i in range(8)]
    machine = boot(guests)
    for table in guests:
        assert check_passed(machine, table["name"], 600)["vcpus"] == "1"


@pytest.mark.soak
@pytest.mark.parametrize("face", FACES)
def test_twenty_reboots(boot, face):
    machine = boot([guest("again", face, disk="write", end="reboot")])
    for _ in range(20):
        machine.expect("again", "JANUS: kernel=", 180)
        assert machine.expect("again", "JANUS: result=(.*)", 180)[1] == "pass"
    machine.monitor("destroy again")  # in the midst of its 20th reboot, most likely
    machine.expect("janus", "guest again: destroyed", 60)
    machine.monitor("start again")
    machine.expect("again", "JANUS: kernel=", 180)

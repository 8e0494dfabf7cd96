"""What a guest had is the host's again: at once, however it ends, and each time."""

import random

import pytest
import resources
from own_guest import own_guest

FACES = ("hyperv", "xen")
NOT_BEGUN = "brim does not start after all"  # destroyed at once: the start was still to come
LIMIT_US = 100_000  # from the kill to the last page freed, on one host CPU
DISK = [{"source": "ram:disk-1.img", "mode": "rw"}]


def full_guest(face, mode, name="brim", **options):
    """A guest that fills its rings (tests/guest/full.c), off at first."""
    table = own_guest(name, face, "full", mode=mode, **options)
    table.update(disks=DISK, nics=[{"switch": "lan", "mac": "02:00:00:00:00:01"}], autostart=False)
    return table


def start_full(machine, name="brim"):
    """Starts it; gives how many disk requests and frames stood in its rings."""
    machine.send(resources.KEY + f"start {name}\r")
    machine.expect("janus", f"guest {name}: started", 60)
    return [int(n) for n in machine.expect(name, r"JANUS: full=(\d+) disk, (\d+) net", 60).groups()]


def wait_given_back(machine, name="brim", times=1, seconds=60):
    machine.wait_until(lambda: len(resources.given_back_us(machine, name)) >= times, seconds, f"all of {name}'s is free")
    return resources.given_back_us(machine, name)[-1]


def live_once(machine):
    """From its first start on Janus keeps the guest's counts, and pieces of its heap: this comes before what is compared.

    One that crashes is not waited for: it has ended by then, or is destroyed in its grace.
    """
    lives = len(resources.given_back_us(machine, "brim"))
    start_full(machine)
    machine.send("destroy brim\r")
    wait_given_back(machine, times=lives + 1)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("mode", ["full", "crash", "storm"])
def test_in_time(boot_counting, face, mode, record_property):
    """On one host CPU, which another guest never leaves by itself; rings full."""
    machine = boot_counting([full_guest(face, mode), own_guest("busy", FACES[1 - FACES.index(face)], "spin")])
    machine.expect("janus", "guest busy: started", 60)
    live_once(machine)
    before = resources.settled(machine)
    writes, frames = start_full(machine)
    assert writes >= 8 and frames >= 8
    if mode != "crash":
        held = resources.ask(machine).of["brim"]
        assert held["pages"] > 8000 and held["ours"] and held["heap"] and held["pins"] and held["ports"] >= 3
        assert held["channels"] >= 2 and (held["buffers"] >= 4) == (face == "hyperv")
        machine.send("destroy brim\r")
    took = wait_given_back(machine, times=2)
    assert machine.end_of("brim")[0] == ("crashed" if mode == "crash" else "destroyed")
    record_property("microseconds from its end to the last page freed:", took)
    assert took < LIMIT_US
    after = resources.settled(machine)
    assert after.left("brim") == {}
    assert after.free == before.free
    assert not machine.find("janus", "leak:")


@pytest.mark.parametrize("face", FACES)
def test_dma_ends_first(boot, face, tmp_path, maker):
    """A host disk that answers slowly: until its last write has ended, the guest's pages are counted as its own."""
    if maker == "intel":
        pytest.skip("Bochs has no virtio disk for the host")
    image = str(tmp_path / "slow.img")
    with open(image, "wb") as file:
        file.truncate(4 << 20)
    table = full_guest(face, "storm")
    table["disks"] = [{"source": "disk:disk0", "mode": "rw"}]
    slow = f"if=none,id=d0,file={image},format=raw,throttling.iops-total=2"
    machine = boot([table], memory=512, extra=("-drive", slow, "-device", "virtio-blk-pci,drive=d0,serial=disk0"))
    machine.expect("janus", "no guest runs|TSC", 60)
    start_full(machine)
    machine.pump(2)
    machine.send("destroy brim\r")
    now = resources.ask(machine)
    assert machine.end_of("brim") is None
    assert now.of["brim"]["pages"] > 8000 and now.of["brim"]["pins"] > 0
    wait_given_back(machine, seconds=120)
    assert machine.end_of("brim")[0] == "destroyed"
    assert resources.settled(machine).left("brim") == {}


def cycle(machine, name, dice):
    """Starts the guest, and ends it at some moment of its life."""
    ends = len(resources.given_back_us(machine, name))
    ready = len(machine.find(name, "JANUS: full="))
    machine.send(f"start {name}\r")
    moment = dice.randrange(4)
    if moment == 3:  # its rings go round
        machine.wait_until(lambda: len(machine.find(name, "JANUS: full=")) > ready, 60, "full rings")
        machine.pump(dice.random() * 0.2)
    elif moment != 0:  # 0: while it is being built
        machine.pump(dice.random() * 0.3)
    refused = len(machine.find("monitor", NOT_BEGUN))
    machine.send(f"destroy {name}\r")
    machine.wait_until(lambda: len(resources.given_back_us(machine, name)) > ends
                       or len(machine.find("monitor", NOT_BEGUN)) > refused, 120, "its end, or no beginning")


@pytest.mark.parametrize("face,times", [
    ("hyperv", 20), ("xen", 20),
    pytest.param("hyperv", 200, marks=pytest.mark.soak), pytest.param("xen", 200, marks=pytest.mark.soak),
])
def test_cycles(boot, face, times):
    """Created and destroyed, over and over: what is free afterwards is what was free before."""
    dice = random.Random(times)
    machine = boot([full_guest(face, "storm"), own_guest("busy", FACES[1 - FACES.index(face)], "spin")], memory=512)
    machine.expect("janus", "guest busy: started", 60)
    live_once(machine)
    live_once(machine)
    before = resources.settled(machine)
    for _ in range(times):
        cycle(machine, "brim", dice)
    after = resources.settled(machine)
    lives = len(resources.given_back_us(machine, "brim")) - 2
    assert lives + len(machine.find("monitor", NOT_BEGUN)) == times and lives > times // 2
    assert after.left("brim") == {}
    assert after.free == before.free
    assert after.lasting("busy") == before.lasting("busy")
    assert not machine.find("janus", "leak:")

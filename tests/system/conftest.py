"""What every system test starts from: a configuration as Python, packed, on an ISO, booted in an emulator.

    machine = boot([guest("web", "xen", disk="rw")])
    report = machine.wait_report("web", 120)

--cpu says whose CPU the machines have: amd is QEMU, intel is Bochs, with all each test runs on both. A test marked
`bochs` always runs there, and only there; one that needs what Bochs does not have is skipped there.

Each test has its own machine; it is ended with the test. When a test fails, the last lines of each
console are in its report. Soak tests run only with --soak. build/janus.elf and build/guests must be
there (`make`): without them the tests fail, they are not skipped.
"""

import importlib
import json
import os
import shutil
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TOOLS = os.path.join(ROOT, "hypervisor/tools")
BUILD = os.path.join(ROOT, "build")
GUESTS = os.path.join(BUILD, "guests")
sys.path[:0] = [HERE, TOOLS]
janus_machine = importlib.import_module("janus_machine")
mkiso = importlib.import_module("mkiso")
own_guest = importlib.import_module("own_guest")
verdict = importlib.import_module("verdict")

MAKERS = {"amd": ["amd"], "intel": ["intel"], "all": ["amd", "intel"]}
# What boot() may be asked for that only QEMU has, and why a test is then skipped on Bochs.
QEMU_ONLY = {
    "drives": "Bochs has no virtio disk for the host",
    "uefi": "Bochs has no UEFI firmware",
}
COUNTING_ONLY = "only QEMU has a machine whose clocks count instructions as nanoseconds"
DISK_BYTES = 2 << 20
NO_SELF_TESTS = "cryptomgr.notests"  # of the kernel's ciphers: 16 s in Bochs
CONSOLES = {"hyperv": "console=ttyS0,115200", "xen": "console=hvc0", "both": "console=hvc0"}


def pytest_addoption(parser):
    parser.addoption("--soak", action="store_true", help="run the long tests too")
    parser.addoption("--cpu", choices=sorted(MAKERS), default="amd", help="whose CPU the machines have")
    parser.addoption("--elf", default=os.path.join(BUILD, "janus.elf"), help="the Janus to boot")


def pytest_configure(config):
    config.addinivalue_line("markers", "soak: long; runs with --soak only (make soak)")
    config.addinivalue_line("markers", "bochs: about what only its CPUs have, VMX above all: runs there, whatever --cpu says")


def pytest_generate_tests(metafunc):
    if "maker" in metafunc.fixturenames:
        on_bochs = metafunc.definition.get_closest_marker("bochs") is not None
        metafunc.parametrize("maker", MAKERS["intel" if on_bochs else metafunc.config.getoption("--cpu")])


def pytest_collection_modifyitems(config, items):
    if config.getoption("--cpu") == "intel":
        for item in items:
            if "boot_counting" in item.fixturenames:
                item.add_marker(pytest.mark.skip(reason=COUNTING_ONLY))
    if not config.getoption("--soak"):
        config.hook.pytest_deselected(items=[i for i in items if i.get_closest_marker("soak")])
        items[:] = [i for i in items if not i.get_closest_marker("soak")]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for machine in getattr(item, "machines", []):
            report.sections.append(("consoles", machine.tail()))


def pytest_terminal_summary(terminalreporter):
    """What tests measured (record_property): also of those that passed."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid}: {name} {value}")


def guest(name, face, version="6.1", vcpus=2, memory="256M", disks=None, nics=(),
          autostart=True, **words):
    """One guest's table. @words are options of guest_init.sh: disk="rw" is janus.disk=rw.

    With disk=... and no @disks it gets image 1 as a RAM disk, and is told the sum of that.
    """
    if disks is None:
        wanted = words.get("disk", "none") != "none"
        disks = [{"source": "ram:disk-1.img", "mode": "rw"}] if wanted else []
        if words.get("disk") == "rw":
            words.setdefault("disksum", verdict.pattern_sum(1, DISK_BYTES))
    extra = words.pop("append", "")
    words = [f"janus.{key}={value}" for key, value in words.items()]
    line = " ".join([CONSOLES[face], *words, NO_SELF_TESTS, extra]).strip()
    return {
        "name": name, "face": face, "vcpus": vcpus, "memory": memory, "kernel": f"vmlinuz-{version}",
        "initrd": f"initrd-{version}", "cmdline": line, "disks": disks, "nics": list(nics),
        "autostart": autostart,
    }


def networked(name, face, number, peer, **words):
    """A guest with a card on the switch "lan": 10.0.0.NUMBER, which talks to 10.0.0.PEER."""
    nic = {"switch": "lan", "mac": f"02:00:00:00:00:{number:02x}"}
    words = {"net": "on", "ip": f"10.0.0.{number}/24", "peer": f"10.0.0.{peer}", "wait": 90, **words}
    return guest(name, face, nics=[nic], **words)


def toml_value(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {toml_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return json.dumps(value)


def toml_of(guests, boot_cpu):
    parts = [f'[machine]\nboot_cpu = "{boot_cpu}"\n', '[[switch]]\nname = "lan"\n']
    parts += ["[[guest]]\n" + "".join(f"{k} = {toml_value(v)}\n" for k, v in g.items()) for g in guests]
    return "\n".join(parts)


def run_pack(folder, guests, memory, boot_cpu="guests"):
    """Packs @guests into @folder. A mistake in a test's own configuration fails that test."""
    toml = os.path.join(folder, "janus.toml")
    with open(toml, "w", encoding="utf-8") as file:
        file.write(toml_of(guests, boot_cpu))
    command = [sys.executable, os.path.join(TOOLS, "pack.py"), toml, "--out", folder, "--files", GUESTS]
    command += ["--cache", os.path.join(BUILD, "kernels"), "--machine-memory", f"{memory}M"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def skip_without_qemu(node, options):
    """On Bochs: skips a test that asks boot() for what Bochs does not have."""
    for name, why in QEMU_ONLY.items():
        if options.get(name):
            pytest.skip(why)
    if "cpu" in options and node.get_closest_marker("bochs") is None:
        pytest.skip(f"Bochs has no CPU {options['cpu']}")


@pytest.fixture
def boot(request, tmp_path, maker):
    """boot(guests, smp=2, memory=2048, ...) gives a started Machine of @maker, "amd" or "intel".

    @alter(folder): changes what was packed before the ISO is made. @omit: modules left out of GRUB's
    list. @elf: another Janus. @packed_for: the memory pack.py is told, if not the machine's. The rest goes to Machine.
    """
    machines = request.node.machines = []

    def start(guests, memory=2048, alter=None, omit=(), packed_for=None, threads="single", elf=None,
              **options):
        folder = str(tmp_path / f"machine{len(machines)}")
        os.makedirs(folder)
        if threads == "multi":  # two CPUs for guests, and the first for control
            options.setdefault("smp", 3)
        if maker == "amd":
            options["threads"] = threads  # Bochs runs all CPUs in turn
        else:
            skip_without_qemu(request.node, options)
        run_pack(folder, guests, packed_for or memory, "control" if threads == "multi" else "guests")
        if alter is not None:
            alter(folder)
        iso = os.path.join(folder, "janus.iso")
        mkiso.make_iso(elf or request.config.getoption("--elf"), folder, iso, omit)
        log = os.path.join(BUILD, "system", request.node.name.replace("/", "_") + ".log")
        machine = janus_machine.Machine(iso, maker=maker, memory=memory, log=log, **options)
        machines.append(machine)
        return machine.start()

    yield start
    for machine in machines:
        machine.kill()
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture
def boot_counting(request, tmp_path):
    """boot_counting(guests, shift=0): as boot, on a machine that counts instructions."""
    machines = request.node.machines = []

    def start(guests, memory=512, **options):
        folder = str(tmp_path)
        run_pack(folder, guests, memory)
        iso = os.path.join(folder, "janus.iso")
        mkiso.make_iso(request.config.getoption("--elf"), folder, iso)
        log = os.path.join(BUILD, "system", request.node.name.replace("/", "_") + ".log")
        command = own_guest.counting_command(iso, memory=memory, **options)
        machines.append(janus_machine.Machine(command=command, log=log))
        return machines[-1].start()

    yield start
    for machine in machines:
        machine.kill()


def release_of(version):
    with open(os.path.join(GUESTS, "guests.json"), encoding="utf-8") as file:
        return json.load(file)["kernels"][version]


def check_passed(machine, name, seconds=180):
    """Waits for a guest's report and its power-off, and that all of it went well. Gives the report."""
    report = machine.wait_report(name, seconds)
    assert report["result"] == "pass", report
    assert machine.wait_end(name, 60)[0] == "powered off"
    return report

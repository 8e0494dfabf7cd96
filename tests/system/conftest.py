"""What every system test starts from: a configuration as Python, packed, on an ISO, booted in QEMU.

    machine = boot([guest("web", "xen", disk="rw")])
    report = machine.wait_report("web", 120)

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
verdict = importlib.import_module("verdict")

DISK_BYTES = 2 << 20
CONSOLES = {"hyperv": "console=ttyS0,115200", "xen": "console=hvc0", "both": "console=hvc0"}


def pytest_addoption(parser):
    parser.addoption("--soak", action="store_true", help="run the long tests too")
    parser.addoption("--elf", default=os.path.join(BUILD, "janus.elf"), help="the Janus to boot")


def pytest_configure(config):
    config.addinivalue_line("markers", "soak: long; runs with --soak only (make soak)")


def pytest_collection_modifyitems(config, items):
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
    line = " ".join([CONSOLES[face], *(f"janus.{k}={v}" for k, v in words.items()), extra]).strip()
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


@pytest.fixture
def boot(request, tmp_path):
    """boot(guests, smp=2, memory=2048, ...) gives a started Machine.

    @alter(folder): changes what was packed before the ISO is made. @omit: modules left out of GRUB's
    list. @packed_for: the memory pack.py is told, if not the machine's. The rest goes to Machine.
    """
    machines = request.node.machines = []

    def start(guests, memory=2048, alter=None, omit=(), packed_for=None, threads="single", **options):
        folder = str(tmp_path / f"machine{len(machines)}")
        os.makedirs(folder)
        if threads == "multi":  # two CPUs for guests, and the first for control
            options.setdefault("smp", 3)
        run_pack(folder, guests, packed_for or memory, "control" if threads == "multi" else "guests")
        if alter is not None:
            alter(folder)
        iso = os.path.join(folder, "janus.iso")
        mkiso.make_iso(request.config.getoption("--elf"), folder, iso, omit)
        log = os.path.join(BUILD, "system", request.node.name.replace("/", "_") + ".log")
        machine = janus_machine.Machine(iso, memory=memory, log=log, threads=threads, **options)
        machines.append(machine)
        return machine.start()

    yield start
    for machine in machines:
        machine.kill()
    shutil.rmtree(tmp_path, ignore_errors=True)


def release_of(version):
    with open(os.path.join(GUESTS, "guests.json"), encoding="utf-8") as file:
        return json.load(file)["kernels"][version]


def check_passed(machine, name, seconds=180):
    """Waits for a guest's report and its power-off, and that all of it went well. Gives the report."""
    report = machine.wait_report(name, seconds)
    assert report["result"] == "pass", report
    assert machine.wait_end(name, 60)[0] == "powered off"
    return report

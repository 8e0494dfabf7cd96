"""Bochs as the machine that Janus boots on: an Intel CPU with VMX emulated. What it gives: see qemu.py.

Debian's Bochs is built with its debugger, which waits at a prompt unless an -rc file says `c`. Of its displays, rfb
with no time limit needs no screen and no one to look. COM1 is a TCP connection to a port where we listen: its `term`
mode loses what a slow reader has not taken. It ends when Janus writes "Shutdown" to port 0x8900 (plugin `unmapped`),
and its exit status is 1 however it ended.

The time stamp counter and all timers count executed instructions, @ips of them a second of the machine's own time: a
run repeats exactly until a key is typed.
"""

import codecs
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import termios
import tty

IPS = 50_000_000  # about what one core of ours executes
SHARE = "/usr/share/bochs"
MODEL = "corei7_skylake_x"
START_SECONDS = 30
END_SECONDS = 10
READ_BYTES = 1 << 16
PROGRAM = ("setpriv", "--pdeathsig", "KILL", "bochs-bin")  # so that it does not outlive us, whatever ends us

CONFIG = """\
plugin_ctrl: unmapped=1, biosdev=1, speaker=0, e1000=0, parallel=0, extfpuirq=0, gameport=0
config_interface: textconfig
display_library: rfb, options="timeout=0"
cpu: model={model}, count={smp}, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs={ignore_bad_msrs}
memory: guest={memory}, host={host_memory}
romimage: file={share}/BIOS-bochs-latest
vgaromimage: file={share}/VGABIOS-lgpl-latest
pci: enabled=1, chipset=i440fx
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path="{iso}", status=inserted
boot: cdrom
clock: sync=none, time0=1700000000
com1: enabled=1, mode=socket-client, dev=127.0.0.1:{port}
log: bochs.log
debugger_log: -
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
"""

COMPLAINT = re.compile(r"VMFAIL|VMENTER|VMEXIT|PANIC|(?i:triple fault)")
PANIC = ">>PANIC<<"
ORDERED_END = "Shutdown port: shutdown requested"  # a panic too, for Bochs
COMPLAINTS_MAX = 20
HOST_MEMORY_MAX = 2048  # what Bochs keeps in memory of a machine's; the rest, once it is used, in a file
DUMP_LINES = 80  # of registers, after a panic


def config(port, iso, cpu=MODEL, smp=2, memory=2048, ignore_bad_msrs=True, ips=IPS):
    """The bochsrc. @cpu: a model of `bochs-bin --help cpu`. Without @ignore_bad_msrs an unknown MSR faults."""
    return CONFIG.format(
        port=port, iso=os.path.abspath(iso), model=cpu, smp=smp, memory=memory, ips=ips,
        host_memory=min(memory, HOST_MEMORY_MAX),
        ignore_bad_msrs=int(ignore_bad_msrs), share=SHARE,
    )


def complaints_in(lines):
    """Of a log's lines those that say what went wrong, and all registers if it ended in a panic."""
    lines = [line for line in lines if ORDERED_END not in line]
    found = [line for line in lines if COMPLAINT.search(line)][-COMPLAINTS_MAX:]
    for i, line in enumerate(lines):
        if PANIC in line:
            return found + lines[i + 1 : i + 1 + DUMP_LINES]
    return found


class Bochs:
    """Boots @iso. @options: as of config(). @program: in place of bochs-bin, for tests of this file."""

    slow = 8

    def __init__(self, iso, program=None, **options):
        self.iso = iso
        self.program = program or PROGRAM
        self.options = options
        self.folder = None
        self.process = None
        self.com1 = None
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.last_words = []
        self.in_order = False  # known once it is killed: did Janus end it?

    @property
    def pid(self):
        return self.process.pid

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def start(self):
        self.folder = tempfile.mkdtemp(prefix="janus-bochs-")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.write("bochsrc", config(listener.getsockname()[1], self.iso, **self.options))
            self.write("rc", "c\n")
            with open(os.path.join(self.folder, "output"), "wb") as output:
                self.process = subprocess.Popen(
                    [*self.program, "-q", "-f", "bochsrc", "-rc", "rc"], cwd=self.folder,
                    stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                )
            self.com1 = self.accept(listener)

    def accept(self, listener):
        """Bochs' end of COM1; None if it ends or does nothing, then complaints() says more."""
        listener.settimeout(1)
        for _ in range(START_SECONDS):
            try:
                return listener.accept()[0]
            except TimeoutError:
                if self.process.poll() is not None:
                    break
        return None

    def read(self, seconds):
        if self.com1 is None:
            raise EOFError
        self.com1.settimeout(seconds)
        try:
            raw = self.com1.recv(READ_BYTES)
        except TimeoutError:
            return ""
        except ConnectionError:  # it ended before it took all that was typed
            raw = b""
        if not raw:
            raise EOFError
        return self.decoder.decode(raw)

    def send(self, text):
        """Nothing if it has ended: what waits for an answer will say so."""
        try:
            self.com1.sendall(text.encode())
        except (AttributeError, ConnectionError):
            pass

    def exit_status(self):
        """1 always; None: by a signal."""
        try:
            status = self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        return status if status >= 0 else None

    def kill(self):
        if self.folder is None:
            return
        self.process.kill()  # has no effect once it has been waited for
        self.process.wait()
        self.last_words = self.complaints()
        self.in_order = any(ORDERED_END in line for line in self.log_lines())
        if self.com1 is not None:
            self.com1.close()
        shutil.rmtree(self.folder)
        self.folder = None

    def log_lines(self):
        lines = []
        for name in ("output", "bochs.log"):
            path = os.path.join(self.folder, name)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    lines += file.read().splitlines()
        return lines

    def complaints(self):
        return self.last_words if self.folder is None else complaints_in(self.log_lines())


def relay(machine, keys, screen):
    """Carries what is typed to COM1 and what it says to the screen, both file descriptors, until the machine ends."""
    ready = [keys, machine.com1]
    while True:
        came = select.select(ready, [], [])[0]
        if keys in came:
            typed = os.read(keys, READ_BYTES)
            machine.send(typed.decode("utf-8", "replace"))
            if not typed:  # no one types any more
                ready.remove(keys)
        if machine.com1 in came:
            try:
                os.write(screen, machine.read(1).encode())
            except EOFError:
                return


def run_on_terminal(iso):
    """Boots @iso with COM1 on this terminal until Janus ends it. Gives 1, and says why, if it ended in another way."""
    machine = Bochs(iso)
    keys = sys.stdin.fileno()
    before = termios.tcgetattr(keys) if os.isatty(keys) else None
    try:
        machine.start()
        if machine.com1 is not None:
            if before is not None:
                tty.setraw(keys)
            relay(machine, keys, sys.stdout.fileno())
            machine.exit_status()
    finally:
        if before is not None:
            termios.tcsetattr(keys, termios.TCSADRAIN, before)
        machine.kill()
    print("", *machine.complaints(), sep="\n")
    return 0 if machine.in_order else 1

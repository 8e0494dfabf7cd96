"""QEMU as the machine that Janus boots on: its command line, and COM1 on its standard input and output.

What each emulator gives (bochs.py is the other), for janus_machine.py:

    slow                 how many times longer than QEMU it takes for the same: waits are that much longer
    start(), kill()      kill also takes away what start() made
    pid                  the process
    read(seconds)        what came out of COM1, "" if nothing did; EOFError once it has ended and all is read
    send(text)           typed on COM1
    exit_status()        how it ended, after EOFError
    complaints()         what the emulator itself says is wrong
"""

import pexpect

OVMF = "/usr/share/OVMF/OVMF_CODE.fd"
READ_BYTES = 1 << 16


def qemu_command(iso, cpu="EPYC", smp=2, memory=2048, uefi=False, drives=(), threads="single", extra=()):
    """QEMU with SVM emulated. @drives: raw images, each a virtio-blk disk.

    One thread runs all CPUs in turn. @threads="multi" gives each its own, which QEMU 7.2 does not bear in all things
    (specs/caveats.md): only for guests that neither change their own code nor use the FPU, and where the first CPU
    runs no guest.
    """
    command = ["qemu-system-x86_64", "-accel", f"tcg,thread={threads}", "-machine", "q35", "-cpu", cpu]
    command += ["-smp", str(smp), "-m", str(memory), "-display", "none", "-no-reboot"]
    command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-monitor", "none"]
    command += ["-chardev", "stdio,id=com1,signal=off", "-serial", "chardev:com1"]
    if uefi:
        command += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF}"]
    for i, path in enumerate(drives):
        command += ["-drive", f"if=none,id=d{i},file={path},format=raw,cache=writethrough"]
        command += ["-device", f"virtio-blk-pci,drive=d{i},serial=disk{i}"]
    return [*command, *extra, "-boot", "d", "-cdrom", iso]


class Qemu:
    """Runs @command, whose standard input and output is COM1."""

    slow = 1

    def __init__(self, command):
        self.command = command
        self.child = None

    @property
    def pid(self):
        return self.child.pid

    def start(self):
        self.child = pexpect.spawn(
            self.command[0],
            self.command[1:],
            echo=False,
            timeout=None,
            encoding="utf-8",
            codec_errors="replace",
            dimensions=(50, 500),
        )
        self.child.delaybeforesend = None

    def read(self, seconds):
        try:
            return self.child.read_nonblocking(READ_BYTES, timeout=seconds)
        except pexpect.TIMEOUT:
            return ""
        except pexpect.EOF:
            raise EOFError from None

    def send(self, text):
        self.child.send(text)

    def exit_status(self):
        """(value << 1) | 1 of what Janus wrote to isa-debug-exit, 0 after a reset. None: by a signal."""
        self.child.close()
        return self.child.exitstatus

    def kill(self):
        if self.child is not None and not self.child.closed:
            self.child.close(force=True)

    def complaints(self):
        return []

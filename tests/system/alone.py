"""A guest by itself in QEMU: no Janus below it, and no hypervisor's face."""

import os
import re
import socket
import subprocess
import time

from qemu import OVMF

ENDS_WITHIN = 120  # seconds, with a BIOS or UEFI and GRUB before it
PROMPT = b"(qemu) "


class Alone:
    """QEMU without Janus and without a hypervisor's face; COM1 goes to a file, the monitor to a socket."""

    def __init__(self, folder, *args, board="q35", memory=256, uefi=False):
        self.log = os.path.join(folder, "com1")
        self.socket = os.path.join(folder, "monitor")
        with open(self.log, "w", encoding="utf-8"):
            pass  # there from the start
        command = ["qemu-system-x86_64", "-accel", "tcg", "-machine", board, "-m", str(memory), "-display", "none",
                   "-no-reboot", "-serial", "file:" + self.log, "-monitor", f"unix:{self.socket},server,nowait", *args]
        if uefi:
            command += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF}"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def text(self):
        """All that came on COM1."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read().replace("\r", "")

    def said(self):
        return re.findall(r"JANUS: ([a-z_]+)=(.*)", self.text())

    def wait_result(self):
        """What it has reported, once it has its result."""
        deadline = time.monotonic() + ENDS_WITHIN
        while time.monotonic() < deadline and self.process.poll() is None and "result" not in dict(self.said()):
            time.sleep(0.2)
        report = dict(self.said())
        assert "result" in report, (report, self.process.poll())
        return report

    def wait_off(self):
        """That it powers itself off."""
        assert self.process.wait(ENDS_WITHIN) == 0
        return dict(self.said())

    def ask(self, command):
        """The monitor's answer to @command."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(30)
            monitor.connect(self.socket)
            self.read_answer(monitor)
            monitor.sendall(command.encode() + b"\n")
            return self.read_answer(monitor)

    @staticmethod
    def read_answer(monitor):
        data = b""
        while not data.endswith(PROMPT):
            part = monitor.recv(65536)
            assert part, data
            data += part
        return data.decode(errors="replace")

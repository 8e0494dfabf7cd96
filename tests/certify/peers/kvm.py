"""KVM and QEMU as a peer: a Debian kernel with KVM as one initramfs (L1), and in it QEMU with the guest (L2).

Two stacks: Debian's own kernel 6.1 with QEMU 7.2 (Hyper-V's interface), and 6.12 with QEMU 10 of its backports (Xen's
interface as well). The guest's UART, its port 0xE9 and the script's words each have a COM port of the outer machine.
Such guests sometimes stop for ever on this emulator: the caller has to try again.
"""

import os
import re
import shlex

import debian
import machine
import mkguest
import mkiso
import rig

HYPERV = ("hv-relaxed,hv-vapic,hv-spinlocks=0x1fff,hv-vpindex,hv-runtime,hv-time,hv-synic,hv-stimer,hv-stimer-direct,"
          "hv-tlbflush,hv-ipi,hv-reset,hv-frequencies,hv-reenlightenment,hv-crash,hv-xmm-input")
XEN_ACCEL = "kvm,xen-version=0x40011,kernel-irqchip=split"
CPU = "EPYC"
L1_LINE = "console=ttyS0 panic=-1 nokaslr tsc=reliable loglevel=4 mitigations=off norandmaps rdinit=/init"
MODULES = ("kvm-amd",)
ROMS = ("kvmvapic.bin", "linuxboot.bin", "linuxboot_dma.bin", "multiboot.bin", "multiboot_dma.bin", "pvh.bin")
STACKS = {"6.1": ("6.1", "qemu-7.2", None), "6.12": ("6.12", "qemu-10", debian.BACKPORTS)}


class Kvm(rig.Rig):
    """kvm-6.1-hyperv, kvm-6.12-hyperv, kvm-6.12-xen, kvm-6.12-both."""

    module = "kvm.py"

    def __init__(self, name, folder, out, say):
        super().__init__(name, folder, out, say)
        _, self.kernel, face = name.split("-")
        self.hyperv, self.xen = face in ("hyperv", "both"), face in ("xen", "both")
        shown = {"hyperv": "Hyper-V's interface", "xen": "Xen's interface", "both": "both interfaces"}[face]
        self.title = f"KVM, Linux {self.kernel} (Debian), {shown}"
        self.serials = []

    # ------------------------------------------------------------ build

    @property
    def home(self):
        return os.path.join(self.folder, "kvm-" + self.kernel)

    def build(self, update=False):
        kernel_name, qemu_name, origin = STACKS[self.kernel]
        debs = self.apt.fetch(qemu_name, ["qemu-system-x86"], origin, update)
        kernel, busybox = self.apt.kernel(kernel_name, update), self.apt.busybox(update)
        inputs = [*debs, kernel, busybox]
        os.makedirs(self.home, exist_ok=True)
        if self.built(os.path.basename(self.home), inputs):
            return
        self.say(f"builds the machine with KVM {self.kernel}")
        tree = debian.unpack(debs, self.tree(qemu_name))
        kernel_tree = debian.unpack([kernel], self.tree("linux-" + kernel_name))
        with open(os.path.join(kernel_tree, debian.find_one(kernel_tree, "boot/vmlinuz-*")), "rb") as file:
            mkguest.write_file(os.path.join(self.home, "vmlinuz"), file.read())
        image = debian.base_image(busybox, self.folder, "l1_init.sh")
        image.programs(tree, ["usr/bin/qemu-system-x86_64"])
        for rom in ROMS:
            image.copy(tree, debian.find_one(tree, "usr/share/qemu/" + rom), 0o644)
        for rom in ("bios-256k.bin", "bios.bin"):
            image.copy(tree, debian.find_one(tree, "usr/share/seabios/" + rom), 0o644)
        image.modules(kernel_tree, {"l1": MODULES})
        mkguest.write_file(os.path.join(self.home, "l1.cpio"), image.bytes())
        debian.run("rm", "-rf", tree, kernel_tree)
        named = [d for d in inputs if re.match(r"(linux-image|qemu-system|seabios|busybox)", os.path.basename(d))]
        self.finish_build(named, [os.path.join(self.home, f) for f in ("vmlinuz", "l1.cpio")])

    # ------------------------------------------------------------ one boot

    def l2(self, job, cmdline, number):
        """QEMU's command line for guest @number (1: the one that is certified, 2: its peer on the network)."""
        out = {1: ("/dev/ttyS1", "/dev/ttyS2"), 2: ("/tmp/echo.uart", "/tmp/echo.log")}[number]
        cpu = "host,kvm=off" + ("," + HYPERV if self.hyperv else "")
        words = ["qemu-system-x86_64", "-accel", XEN_ACCEL if self.xen else "kvm", "-M", "q35", "-cpu", cpu,
                 "-m", str(job.memory), "-smp", str(job.vcpus), "-nodefaults", "-display", "none", "-no-reboot",
                 "-L", "/usr/share/qemu", "-L", "/usr/share/seabios",
                 "-chardev", f"file,id=uart,path={out[0]}", "-serial", "chardev:uart",
                 "-chardev", f"file,id=port,path={out[1]}", "-device", "isa-debugcon,iobase=0xe9,chardev=port"]
        # Xen's interface wants the interrupt chips split between KVM and QEMU, and then KVM does not tell QEMU of an EOM: a
        # message that finds the slot busy is stuck, and the bus with it.
        if self.hyperv and not self.xen:
            words += ["-device", "vmbus-bridge"]
        if self.xen and job.disk and number == 1:
            words += ["-drive", "file=/tmp/disk.img,if=xen,format=raw"]
        if self.xen and job.net:
            words += ["-netdev", f"dgram,id=net,local.type=unix,local.path=/tmp/net{number},"
                                 f"remote.type=unix,remote.path=/tmp/net{3 - number}",
                      "-device", f"xen-net-device,netdev=net,mac=00:16:3e:00:00:{number:02x}"]
        if job.iso:
            return shlex.join([*words, "-boot", "d", "-cdrom", "/job/guest.iso"])
        return shlex.join([*words, "-kernel", "/job/guest.elf", "-append", cmdline])

    def guest_files(self, job):
        """What both guests start from. On a CD the command line of the first is in GRUB's menu."""
        if job.iso:
            iso = self.path("guest.iso")
            mkiso.make_guest_iso(job.elf, iso, job.cmdline)
            with open(iso, "rb") as file:
                return {"guest.iso": file.read()}
        with open(self.multiboot_elf(job.elf), "rb") as file:
            return {"guest.elf": file.read()}

    def command(self, job):
        self.serials = [self.path(f) for f in ("l1.log", "uart.log", "port-e9.log", "script.log")]
        script = self.l2(job, job.cmdline, 1) + "\n"
        if self.xen and job.net:
            script = self.l2(job, "mode=echo", 2) + " &\nsleep 5\n" + script
        initrd = self.initrd(os.path.join(self.home, "l1.cpio"),
                             {**self.guest_files(job), "marker": rig.MARKER, "run.sh": script.encode()})
        words = machine.emulator(job.icount, 3072, 1, CPU)
        for serial in self.serials:
            words += ["-serial", "file:" + serial]
        return [*words, "-kernel", os.path.join(self.home, "vmlinuz"), "-initrd", initrd, "-append", L1_LINE]

    def script_text(self):
        return machine.read_text(self.serials[3])

    def guest_started(self):
        return "peer: guest starts" in self.script_text()

    def guest_text(self):
        """What the guest wrote to port 0xE9 or, if that was nothing, to its UART (which SeaBIOS leaves alone)."""
        return machine.read_text(self.serials[2]) or machine.read_text(self.serials[1])

    def reason(self):
        script = self.script_text()
        if "peer: no KVM" in script:
            return "L1 has no KVM"
        found = re.findall(r"^peer: rc=(\d+)", script, re.M)
        if found:
            return f"QEMU's exit status is {found[-1]} (0: the guest reset or powered off)"
        return "L1 stopped"

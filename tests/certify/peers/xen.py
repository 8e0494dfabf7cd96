"""Debian's Xen 4.17 as a peer: Xen, a PV dom0 that is one initramfs, and in it one guest started by xl.

The guest's channel is port 0xE9: this release of Xen prints what is written there on its own console, as lines
"(dN) text" of 199 characters at most. What the guest writes to its console ring xenconsoled logs; it comes on COM2 at
the end.
"""

import gzip
import os
import re
import shlex

import debian
import machine
import mkguest
import rig

BIN = "usr/lib/xen-4.17/bin"
PROGRAMS = ("xl", "xenstored", "xenconsoled", "xen-init-dom0")
TOOLS = ("xenstore-read", "xenstore-write", "xenstore-exists", "xenstore-ls", "xenstore-rm", "xenstore-list")
MODULES = ("xenfs", "xen-privcmd", "xen-evtchn", "xen-gntdev", "xen-gntalloc", "brd", "xen-blkback", "bridge",
           "xen-netback")
# Needed: svm, npt, without smap (a PV dom0 dies) and monitor (Xen's idle MWAIT faults). The others silence warnings.
CPU = ("EPYC,+svm,+npt,-smap,-monitor,-rdseed,-sha-ni,-fxsr-opt,-misalignsse,-3dnowprefetch,-osvw,-topoext,-nrip-save,"
       "-xsavec")
XEN_LINE = "com1=115200,8n1 console=com1 dom0_mem=1024M,max:1024M loglvl=warning guest_loglvl=all cpuidle=0"
DOM0_LINE = "console=hvc0 rdinit=/init quiet mitigations=off"
VIRIDIAN_MASK = "0x1ffd"  # all that this Xen has; bit 1 takes the frequency MSRs away
CHUNK = 199
SHUTDOWN = {"0": "power off", "1": "reboot", "2": "suspend", "3": "crash", "4": "watchdog", "5": "soft reset"}


def join_lines(log, domain):
    """What domain @domain wrote to port 0xE9: lines of CHUNK characters go on in its next line."""
    parts = []
    for text in re.findall(rf"^\(d{domain}\) ?(.*)$", log, re.M):
        parts.append(text if len(text) == CHUNK else text + "\n")
    return "".join(parts)


class Xen(rig.Rig):
    """xen-4.17-pvh, xen-4.17-pvh-viridian, xen-4.17-hvm-viridian."""

    module = "xen.py"

    def __init__(self, name, folder, out, say):
        super().__init__(name, folder, out, say)
        self.kind = "hvm" if "-hvm" in name else "pvh"
        self.viridian = name.endswith("-viridian")
        self.title = f"Xen 4.17 (Debian), {self.kind.upper()}" + (" with Viridian" if self.viridian else "")

    # ------------------------------------------------------------ build

    @property
    def home(self):
        return os.path.join(self.folder, "xen-hvm" if self.kind == "hvm" else "xen")

    def build(self, update=False):
        wanted = ["xen-system-amd64", "xenstore-utils", "libxen-dev"]
        wanted += ["qemu-system-xen"] if self.kind == "hvm" else []
        debs = self.apt.fetch("xen-hvm" if self.kind == "hvm" else "xen", wanted, update=update)
        kernel, busybox = self.apt.kernel("6.1", update), self.apt.busybox(update)
        inputs = [*debs, kernel, busybox]
        os.makedirs(self.home, exist_ok=True)
        if self.built(os.path.basename(self.home), inputs):
            return
        self.say("builds xen.elf and dom0")
        tree = debian.unpack(debs, self.tree(os.path.basename(self.home)))
        kernel_tree = debian.unpack([kernel], self.tree("linux-dom0"))
        with gzip.open(os.path.join(tree, debian.find_one(tree, "boot/xen-4.17-amd64.gz"))) as file:
            mkguest.write_file(os.path.join(self.home, "xen.elf"), file.read())
        with open(os.path.join(kernel_tree, debian.find_one(kernel_tree, "boot/vmlinuz-*")), "rb") as file:
            mkguest.write_file(os.path.join(self.home, "vmlinuz"), file.read())
        mkguest.write_file(os.path.join(self.home, "dom0.cpio"), self.dom0(tree, kernel_tree, busybox))
        debian.run("rm", "-rf", tree, kernel_tree)
        ours = re.compile(r"(xen|libxen|linux-image|qemu-system|seabios|busybox)")
        named = [d for d in inputs if ours.match(os.path.basename(d))]
        self.finish_build(named, [os.path.join(self.home, f) for f in ("xen.elf", "vmlinuz", "dom0.cpio")])

    def dom0(self, tree, kernel_tree, busybox):
        image = debian.base_image(busybox, self.folder, "dom0_init.sh")
        image.folders |= {"proc/xen", "etc/xen/scripts", "usr/bin", "usr/sbin"}
        programs = [f"{BIN}/{p}" for p in PROGRAMS] + [f"usr/bin/{t}" for t in TOOLS]
        if self.kind == "hvm":
            programs.append(debian.find_one(tree, "usr/libexec/xen-qemu-system-i386"))
            for name in ("seabios/bios-256k.bin", "qemu/kvmvapic.bin", "qemu/keymaps/en-us"):
                image.copy(tree, debian.find_one(tree, "usr/share/" + name), 0o644)
        self.compile_viridian(tree)
        image.programs(tree, [*programs, f"{BIN}/set-viridian"])
        image.modules(kernel_tree, {"dom0": (*MODULES, "tun") if self.kind == "hvm" else MODULES})
        image.file("etc/xen-bin", f":/{BIN}".encode(), 0o644)
        image.file("etc/xen/xl.conf", b'autoballoon="off"\n', 0o644)
        for script in ("block-scratch", "vif-certify"):
            with open(os.path.join(debian.HERE, script + ".sh"), "rb") as file:
                image.file(f"etc/xen/scripts/{script}", file.read())
        return image.bytes()

    def compile_viridian(self, tree):
        """set-viridian, against the headers and libraries of Debian's own packages."""
        libraries = os.path.join(tree, "usr/lib/x86_64-linux-gnu")
        debian.run("gcc", "-std=gnu17", "-O1", "-I" + os.path.join(tree, "usr/include"), "-o",
                   os.path.join(tree, BIN, "set-viridian"), os.path.join(debian.HERE, "set-viridian.c"),
                   "-L" + libraries, "-lxenctrl", "-Wl,-rpath-link," + libraries, "-Wl,--allow-shlib-undefined")

    # ------------------------------------------------------------ one boot

    def config(self, name, job, cmdline, number):
        """xl's configuration of a guest."""
        quoted = cmdline.replace("\\", "\\\\").replace('"', '\\"')
        lines = [f'name="{name}"', f'type="{self.kind}"', f"memory={job.memory}", f"vcpus={job.vcpus}",
                 'tsc_mode="native"']
        if self.kind == "hvm":
            lines += [f'firmware_override="/job/{name}.elf"', 'viridian=["all"]', 'device_model_version="qemu-xen"',
                      'vga="none"', "vnc=0", "sdl=0", "usb=0"]
        else:
            lines += [f'kernel="/job/{name}.elf"', f'cmdline="{quoted}"']
        lines += [f'on_{event}="destroy"' for event in ("poweroff", "reboot", "crash", "watchdog")]
        if job.disk and name == "certify":
            lines.append('disk=["format=raw,vdev=xvda,access=rw,script=block-scratch,target=/dev/ram0"]')
        if job.net:
            lines.append(f'vif=["type=vif,mac=00:16:3e:00:00:{number:02x},bridge=br0,script=vif-certify"]')
        return ("\n".join(lines) + "\n").encode()

    def guest_files(self, name, job, cmdline, number):
        """What dom0 needs to start a guest."""
        if self.kind == "hvm":
            elf = rig.with_command_line(job.elf, cmdline)
        else:
            with open(job.elf, "rb") as file:
                elf = file.read()
        return {name + ".elf": elf, name + ".cfg": self.config(name, job, cmdline, number)}

    def command(self, job):
        self.serials = [self.path("xen.log"), self.path("dom0.log")]
        mask = VIRIDIAN_MASK if self.viridian and self.kind == "pvh" else ""
        settings = {"disk_kib": rig.DISK_KIB, "net": int(job.net), "echo": int(job.net), "viridian": mask}
        initrd = self.initrd(os.path.join(self.home, "dom0.cpio"), {
            "marker": rig.MARKER,
            "settings": "".join(f"{k}={shlex.quote(str(v))}\n" for k, v in settings.items()).encode(),
            **self.guest_files("certify", job, job.cmdline, 1),
            **(self.guest_files("echo", job, "mode=echo", 2) if job.net else {}),
        })
        modules = [os.path.join(self.home, "vmlinuz").replace(",", ",,") + " " + DOM0_LINE, initrd.replace(",", ",,")]
        return [*machine.emulator(job.icount, 4096, 1, CPU), "-serial", "file:" + self.serials[0],
                "-serial", "file:" + self.serials[1], "-kernel", os.path.join(self.home, "xen.elf"),
                "-append", XEN_LINE, "-initrd", ",".join(modules)]

    def script_text(self):
        return machine.read_text(self.serials[1])

    def domain(self):
        found = re.search(r"^peer: domain certify=(\d+)", self.script_text(), re.M)
        return found[1] if found else None

    def guest_started(self):
        return self.domain() is not None

    def guest_text(self):
        """What the guest wrote to port 0xE9 or, if that was nothing, to its console ring."""
        domain = self.domain()
        text = join_lines(machine.read_text(self.serials[0]), domain) if domain else ""
        if not text:
            found = re.search(r"^peer: console begins\n(.*)^peer: console ends$", self.script_text(), re.M | re.S)
            text = found[1] if found else ""
        return text

    def reason(self):
        script = self.script_text()
        codes = re.findall(r"has shut down, reason code (\d+)", script)
        if codes:
            return f"the guest's shutdown reason is {codes[-1]}: {SHUTDOWN.get(codes[-1], 'unknown')}"
        return "the domain was not created: see dom0.log" if "peer: cannot create" in script else "Xen or dom0 stopped"

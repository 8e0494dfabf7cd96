#!/usr/bin/python3
"""Makes the test guests from Debian's packages: kernels, an initramfs for each, RAM disk images.

    mkguest.py [--out build/guests] [--debs build/debs] [--update]

Needs no root. The meta packages linux-image-cloud-amd64 (6.1) and linux-image-6.12-cloud-amd64 are
resolved to what they depend on; packages are kept in --debs, so that only the first run (or --update)
needs a network. Kernel and modules keep their bytes (6.12's modules are unpacked from XZ). Makes

    vmlinuz-VERSION     the bzImage, as packaged
    initrd-VERSION      cpio newc, not compressed: a guest in emulation unpacks slowly
    disk-N.img          8 MiB of pattern N (see guest_init.sh)
    guests.json         kernel releases, and the MD5 sum of the first MiB of each disk image

The same input gives the same bytes: fixed order, times, owners and inode numbers.
"""

import argparse
import glob
import hashlib
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MIB = 1 << 20
DISK_BYTES = 8 * MIB
DISK_SEEDS = (1, 2, 3)
DISK_SUM_MIB = 2  # janus.diskmib's default
KERNELS = {
    "6.1": ("linux-image-cloud-amd64", "linux-image-6.1.*-cloud-amd64_*_amd64.deb"),
    "6.12": ("linux-image-6.12-cloud-amd64", "linux-image-6.12.*-cloud-amd64_*_amd64.deb"),
}
BUSYBOX = ("busybox-static", "busybox-static_*_amd64.deb")
# What each face's disk, network and services need; what these in turn need is read from them.
MODULES = {
    "hyperv": ("hv_vmbus", "sd_mod", "hv_storvsc", "hv_netvsc", "hv_utils", "hyperv-keyboard"),
    "xen": ("xen-blkfront", "xen-netfront"),
    "none": ("virtio_pci", "virtio_blk", "virtio_net"),  # plain QEMU: to try the images themselves
}
APPLETS = (
    "[ ash awk basename blockdev cat chmod cmp cttyhack cut date dd dirname dmesg echo free grep head "
    "hexdump httpd insmod ip kill ls lsmod md5sum mkdir mknod mount nc ping printf ps readlink rm sed "
    "seq setsid sh sleep stat sync tail tee timeout top uname uptime vi wc wget xxd"
).split()


class GuestError(Exception):
    """What stopped us, in one line, with what to do."""


def pattern(seed, size):
    """The first @size bytes of pattern @seed: pattern() of guest_init.sh."""
    lines = "".join(f"{seed}{i:06}\n" for i in range(1, min(size // 8 + 2, 1000000)))
    return lines.encode()[:size]


def run(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        why = (done.stderr.strip().split("\n") or [""])[-1]
        raise GuestError(f"{' '.join(command[:3])}: {why}")
    return done.stdout


def concrete_package(meta):
    """The package that a meta package depends on, or the package itself."""
    for line in run("apt-cache", "depends", "--important", meta).splitlines():
        found = re.match(r"\s*Depends: (linux-image-[0-9]\S+)", line)
        if found:
            return found[1]
    return meta


def fetch_deb(package, files, debs, update):
    """The path of the newest kept .deb of @package; downloads it if there is none."""
    kept = sorted(glob.glob(os.path.join(debs, files)), key=os.path.getmtime)
    if kept and not update:
        return kept[-1]
    os.makedirs(debs, exist_ok=True)
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    try:
        run("apt-get", *sandbox, "download", concrete_package(package), cwd=debs)
    except GuestError as error:
        raise GuestError(f"cannot get {package} ({error}): try `apt-get update`") from None
    kept = sorted(glob.glob(os.path.join(debs, files)), key=os.path.getmtime)
    if not kept:
        raise GuestError(f"{package} came without a file {files}: look into {debs}")
    return kept[-1]


class Cpio:
    """A cpio archive in the newc format, the same bytes for the same entries."""

    def __init__(self):
        self.parts = []
        self.inode = 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        self.inode += 1
        raw = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + raw
        self.parts += [head, b"\0" * (-len(head) % 4), data, b"\0" * (-len(data) % 4)]

    def folder(self, name):
        self.add(name, 0o040755)

    def file(self, name, data, mode=0o755):
        self.add(name, 0o100000 | mode, data)

    def link(self, name, target):
        self.add(name, 0o120777, target.encode())

    def finish(self):
        self.inode = -1
        self.add("TRAILER!!!", 0)
        whole = b"".join(self.parts)
        return whole + b"\0" * (-len(whole) % 512)


class Modules:
    """The modules of one unpacked kernel package."""

    def __init__(self, root):
        self.paths = {}
        self.builtin = set()
        for folder, _, files in sorted(os.walk(os.path.join(root, "lib/modules"))):
            if "modules.builtin" in files:
                self.read_builtin(os.path.join(folder, "modules.builtin"))
            for file in sorted(files):
                found = re.fullmatch(r"(.+)\.ko(\.xz)?", file)
                if found:
                    self.paths[found[1].replace("-", "_")] = os.path.join(folder, file)

    def read_builtin(self, path):
        with open(path, encoding="utf-8") as file:
            names = (os.path.basename(line.strip()).removesuffix(".ko") for line in file)
            self.builtin = {name.replace("-", "_") for name in names}

    def read(self, name):
        with open(self.paths[name], "rb") as file:
            raw = file.read()
        return lzma.decompress(raw) if self.paths[name].endswith(".xz") else raw

    def needs(self, name):
        """What the module's own .modinfo says that it depends on."""
        found = re.search(rb"\0depends=([^\0]*)\0", self.read(name))
        return [n for n in found[1].decode().replace("-", "_").split(",") if n] if found else []

    def load_order(self, names):
        """@names and all that they need, each after what it needs."""
        order = []

        def visit(name, above):
            if name in self.builtin:
                return
            if name not in self.paths:
                raise GuestError(f"the kernel package has no module {name}: Debian has changed it")
            for need in self.needs(name):
                if need not in above:
                    visit(need, (*above, name))
            if name not in order:
                order.append(name)

        for name in names:
            visit(name.replace("-", "_"), ())
        return order


# The kernel starts these for an orderly shutdown that the hypervisor asks for.
ORDERLY = """#!/bin/sh
[ "$1" = -f ] || echo "JANUS: orderly={0}" >/dev/console
exec /bin/busybox {0} -f
"""


def make_initramfs(kernel_root, busybox):
    """The initramfs for one kernel: busybox, /init, and the modules of both faces."""
    modules = Modules(kernel_root)
    orders = {face: modules.load_order(names) for face, names in MODULES.items()}
    cpio = Cpio()
    for name in "bin dev modules proc sbin sys tmp".split():
        cpio.folder(name)
    cpio.add("dev/console", 0o020600, device=(5, 1))
    cpio.add("dev/null", 0o020666, device=(1, 3))
    cpio.file("bin/busybox", busybox)
    for applet in APPLETS:
        cpio.link("bin/" + applet, "busybox")
    for applet in ("poweroff", "reboot"):
        cpio.file("sbin/" + applet, ORDERLY.format(applet).encode())
    with open(os.path.join(HERE, "guest_init.sh"), "rb") as file:
        cpio.file("init", file.read())
    for face, order in sorted(orders.items()):
        cpio.file(f"modules/{face}.list", "".join(n + "\n" for n in order).encode(), 0o644)
    for name in sorted(set().union(*orders.values())):
        cpio.file(f"modules/{name}.ko", modules.read(name), 0o644)
    return cpio.finish()


def write_file(path, data):
    """Replaces a file at once, and only if its bytes change."""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            if file.read() == data:
                return
    with open(path + ".new", "wb") as file:
        file.write(data)
    os.replace(path + ".new", path)


def make_kernel(version, deb, busybox, out):
    """Writes kernel and initramfs of one version. Gives the release, as uname -r shows it."""
    with tempfile.TemporaryDirectory(dir=out) as root:
        run("dpkg-deb", "-x", deb, root)
        image = glob.glob(os.path.join(root, "boot/vmlinuz-*"))
        if len(image) != 1:
            raise GuestError(f"{deb} has {len(image)} kernels, not 1: remove it and try again")
        initramfs = make_initramfs(root, busybox)
        with open(image[0], "rb") as file:
            write_file(os.path.join(out, f"vmlinuz-{version}"), file.read())
    write_file(os.path.join(out, f"initrd-{version}"), initramfs)
    return os.path.basename(image[0]).removeprefix("vmlinuz-")


def read_busybox(deb, out):
    with tempfile.TemporaryDirectory(dir=out) as root:
        run("dpkg-deb", "-x", deb, root)
        found = [p for p in ("bin/busybox", "usr/bin/busybox") if os.path.isfile(os.path.join(root, p))]
        if not found:
            raise GuestError(f"{deb} has no busybox: remove it and try again")
        with open(os.path.join(root, found[0]), "rb") as file:
            return file.read()


def make_disks(out):
    """Writes the disk images; gives the MD5 sum of the tested part of each."""
    sums = {}
    for seed in DISK_SEEDS:
        data = pattern(seed, DISK_BYTES - 8 * 8)
        write_file(os.path.join(out, f"disk-{seed}.img"), data.ljust(DISK_BYTES, b"\0"))
        sums[str(seed)] = hashlib.md5(data[: DISK_SUM_MIB * MIB]).hexdigest()
    return sums


def stamp_of(debs):
    """Names what goes in: packages by name and size, and these two programs by their bytes."""
    parts = [f"{os.path.basename(d)} {os.path.getsize(d)}" for d in debs]
    for program in ("mkguest.py", "guest_init.sh"):
        with open(os.path.join(HERE, program), "rb") as file:
            parts.append(hashlib.sha256(file.read()).hexdigest())
    return "\n".join(parts)


def read_info(out):
    try:
        with open(os.path.join(out, "guests.json"), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def make_all(out, debs, update):
    packages = [*KERNELS.values(), BUSYBOX]
    found = [fetch_deb(name, files, debs, update) for name, files in packages]
    stamp = stamp_of(found)
    if read_info(out).get("stamp") == stamp:
        return
    os.makedirs(out, exist_ok=True)
    busybox = read_busybox(found[-1], out)
    releases = {}
    for version, deb in zip(KERNELS, found):
        print(f"guest {version}: {os.path.basename(deb)}", flush=True)
        releases[version] = make_kernel(version, deb, busybox, out)
    info = {"stamp": stamp, "kernels": releases, "disks": make_disks(out)}
    write_file(os.path.join(out, "guests.json"), json.dumps(info, indent=1).encode())


def main():
    parser = argparse.ArgumentParser(description="Makes the test guests from Debian's packages.")
    parser.add_argument("--out", default=os.path.join(ROOT, "build/guests"))
    parser.add_argument("--debs", default=os.path.join(ROOT, "build/debs"))
    parser.add_argument("--update", action="store_true", help="get the newest packages again")
    args = parser.parse_args()
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            print(f"mkguest: needs {tool}: run it on Debian", file=sys.stderr)
            return 1
    try:
        make_all(args.out, args.debs, args.update)
    except (GuestError, OSError) as error:
        print(f"mkguest: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

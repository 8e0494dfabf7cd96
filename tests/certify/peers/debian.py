"""Debian's packages for the peers, unpacked into the build folder: nothing is installed, nothing outside it changes.

apt-get is asked, with an empty list of what is installed, for what a program needs: so that all it needs is fetched and
what happens to be on this machine never matters. Names are those of meta packages where there are any; versions are
never named. What came is kept in debs/, and a list of it for each set, so that only the first run (or --update) needs
a network.
"""

import glob
import hashlib
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(ROOT, "hypervisor/tools"))

import mkguest  # noqa: E402

BACKPORTS = "backports"
KERNELS = {  # what to ask for, what its file is called (a meta package's own name has no digit before -amd64)
    "6.1": ("linux-image-amd64", "linux-image-6.1.*[0-9]-amd64_*_amd64.deb"),
    "6.12": ("linux-image-6.12-amd64", "linux-image-6.12.*[0-9]-amd64_*_amd64.deb"),
}
LIBRARY_FOLDERS = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib", "lib", "lib64")
LOADER = "lib64/ld-linux-x86-64.so.2"
LEFT_OUT = ("*.d", "./usr/share/doc", "./usr/share/man", "./usr/share/locale", "./usr/share/icons", "./var")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class PeerError(Exception):
    """What stopped us, in one line, with what to do."""


def run(*command, cwd=None):
    try:
        return mkguest.run(*command, cwd=cwd)
    except FileNotFoundError:
        raise PeerError(f"needs {command[0]}: run it on Debian") from None
    except mkguest.GuestError as error:
        raise PeerError(str(error)) from None


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def package_version(deb):
    """NAME VERSION, by the file's name."""
    name, version, _ = os.path.basename(deb).split("_", 2)
    return f"{name} {version.replace('%3a', ':')}"


class Apt:
    """apt-get with its own idea of what is installed (nothing), in @folder."""

    def __init__(self, folder, say=lambda text: None):
        self.folder = os.path.abspath(folder)
        self.debs = os.path.join(self.folder, "debs")
        self.say = say

    def options(self, origin):
        status = os.path.join(self.folder, "apt/status")
        os.makedirs(os.path.join(self.debs, "partial"), exist_ok=True)
        os.makedirs(os.path.dirname(status), exist_ok=True)
        with open(status, "w", encoding="utf-8"):
            pass
        given = {
            "Dir::State::status": status,
            "Dir::Cache::archives": self.debs,
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "Debug::NoLocking": "true",
            "APT::Install-Recommends": "false",
        }
        if os.geteuid() == 0:
            given["APT::Sandbox::User"] = "root"
        if origin == BACKPORTS:
            given |= self.backports()
        return [word for key, value in given.items() for word in ("-o", f"{key}={value}")]

    def backports(self):
        """Package lists of our own, with Debian's backports beside what this machine is configured for."""
        lists = os.path.join(self.folder, "apt/lists")
        sources = os.path.join(self.folder, "apt/backports.list")
        private = {
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": lists,
            "APT::Update::Post-Invoke-Success": "",
        }
        if os.path.isfile(sources):
            return private
        os.makedirs(os.path.join(lists, "partial"), exist_ok=True)
        text = self.configured()
        fresh = os.path.join(self.folder, "apt/new.list")
        with open(fresh, "w", encoding="utf-8") as file:
            file.write(text)
        self.say("asks Debian for the package lists of its backports")
        words = [w for k, v in private.items() for w in ("-o", f"{k}={v.replace(sources, fresh)}")]
        sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
        run("apt-get", *words, *sandbox, "-o", "APT::Update::Error-Mode=any", "update")
        os.replace(fresh, sources)
        return private

    @staticmethod
    def configured():
        """This machine's own Debian suites, and the backports of the first of them, as a sources.list."""
        form = "$(CREATED_BY) $(CODENAME) $(REPO_URI)"
        signed = f"[signed-by={KEYRING}] " if os.path.isfile(KEYRING) else ""
        lines, main = [], None
        for row in sorted(set(run("apt-get", "indextargets", "--format", form).splitlines())):
            words = row.split()
            if len(words) != 3 or words[0] != "Packages" or not re.search(r"/debian(-security)?/?$", words[2]):
                continue
            lines.append(f"deb {signed}{words[2]} {words[1]} main\n")
            if "-" not in words[1]:
                main = f"deb {signed}{words[2]} {words[1]}-backports main\n"
        if main is None:
            raise PeerError("this machine's apt has no suite of Debian, so there are no backports to ask for")
        return "".join(lines) + main

    def fetch(self, name, packages, origin=None, update=False):
        """The .deb files of @packages and all that they need, kept as the set @name."""
        kept = os.path.join(self.folder, f"debs/{name}.json")
        if os.path.isfile(kept) and not update:
            with open(kept, encoding="utf-8") as file:
                found = [os.path.join(self.debs, f) for f in json.load(file)]
            if all(os.path.isfile(f) for f in found):
                return found
        options = self.options(origin)
        suite = []
        if origin == BACKPORTS:
            with open(os.path.join(self.folder, "apt/backports.list"), encoding="utf-8") as file:
                suite = ["-t", file.read().split()[-2]]
        self.say(f"fetches {', '.join(packages)} and what they need")
        try:
            plan = run("apt-get", *options, *suite, "-s", "install", *packages)
            run("apt-get", *options, *suite, "-y", "--download-only", "install", *packages)
        except PeerError as error:
            raise PeerError(f"cannot get {packages[0]} ({error}): try `apt-get update`") from None
        files = []
        for line in plan.splitlines():
            found = re.match(r"Inst (\S+) \((\S+) .*\[(\w+)\]\)", line)
            if found:
                package, version, arch = found.groups()
                files.append(f"{package.split(':')[0]}_{version.replace(':', '%3a')}_{arch}.deb")
        missing = [f for f in files if not os.path.isfile(os.path.join(self.debs, f))]
        if missing or not files:
            raise PeerError(f"apt-get did not bring {missing or packages}: look into {self.debs}")
        with open(kept, "w", encoding="utf-8") as file:
            json.dump(files, file, indent=1)
        return [os.path.join(self.debs, f) for f in files]

    def kernel(self, version, update=False):
        """The .deb of one of KERNELS."""
        try:
            return mkguest.fetch_deb(*KERNELS[version], self.debs, update)
        except mkguest.GuestError as error:
            raise PeerError(str(error)) from None

    def busybox(self, update=False):
        """The .deb of the static busybox: that of the test guests if they have it."""
        shared = os.path.join(ROOT, "build/debs")
        debs = shared if glob.glob(os.path.join(shared, mkguest.BUSYBOX[1])) else self.debs
        try:
            return mkguest.fetch_deb(*mkguest.BUSYBOX, debs, update)
        except mkguest.GuestError as error:
            raise PeerError(str(error)) from None


def unpack_one(deb, tree):
    """One package, without what no peer needs; a *.d in the build folder would be taken for make's own."""
    tar = ["tar", "-x", "-C", tree, *(f"--exclude={f}" for f in LEFT_OUT)]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as source:
        done = subprocess.run(tar, stdin=source.stdout, capture_output=True, text=True, check=False)
    if done.returncode != 0 or source.returncode != 0:
        raise PeerError(f"cannot unpack {deb}: remove it and try again")


def unpack(debs, tree):
    """Unpacks @debs into the new folder @tree."""
    run("rm", "-rf", tree)
    os.makedirs(tree)
    for deb in debs:
        unpack_one(deb, tree)
    return tree


def find_one(tree, *patterns):
    """The one path in @tree that the first fitting pattern names, relative to it."""
    for pattern in patterns:
        found = [f for f in sorted(glob.glob(os.path.join(tree, pattern))) if os.path.isfile(f)]
        if found:
            return os.path.relpath(found[-1], tree)
    raise PeerError(f"the packages in {tree} have no {patterns[0]}: Debian has changed them")


class Image:
    """An initramfs: files of an unpacked tree with the libraries they need, made up files, kernel modules."""

    def __init__(self):
        self.files = {}
        self.links = {}
        self.folders = set()

    def file(self, path, data, mode=0o755):
        self.files[path.lstrip("/")] = (mode, data)

    def copy(self, tree, path, mode=0o755):
        with open(os.path.join(tree, path), "rb") as file:
            self.file(path, file.read(), mode)

    def programs(self, tree, paths):
        """Copies programs and, as ld.so would find them, the libraries that these need; libgcc_s ends threads."""
        wanted, seen = [*paths, find_one(tree, *(f"{f}/libgcc_s.so.1" for f in LIBRARY_FOLDERS))], set()
        while wanted:
            path = wanted.pop()
            if path in seen:
                continue
            seen.add(path)
            self.copy(tree, path)
            shown = run("readelf", "-d", os.path.join(tree, path))
            found = re.search(r"\(R(?:UN)?PATH\).*\[(.*)\]", shown)
            own = [f.lstrip("/") for f in found[1].split(":")] if found else []
            for name in re.findall(r"\(NEEDED\).*\[(.*)\]", shown):
                wanted.append(find_one(tree, *(os.path.join(f, name) for f in (*own, *LIBRARY_FOLDERS))))
        self.copy(tree, find_one(tree, LOADER, "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"))
        self.files[LOADER] = self.files[find_one(tree, LOADER, "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")]

    def modules(self, kernel_tree, lists):
        """Adds the modules of each list, and modules/LIST.list in the order to load them."""
        modules = mkguest.Modules(kernel_tree)
        for name, wanted in lists.items():
            try:
                order = modules.load_order(wanted)
            except mkguest.GuestError as error:
                raise PeerError(str(error)) from None
            self.file(f"modules/{name}.list", "".join(n + "\n" for n in order).encode(), 0o644)
            for module in order:
                self.file(f"modules/{module}.ko", modules.read(module), 0o644)

    def bytes(self):
        cpio = mkguest.Cpio()
        folders = set(self.folders)
        for path in (*self.files, *self.links, *(f + "/x" for f in self.folders)):
            while path := os.path.dirname(path):
                folders.add(path)
        for folder in sorted(folders):
            cpio.folder(folder)
        if "dev" in folders:
            cpio.add("dev/console", 0o020600, device=(5, 1))
            cpio.add("dev/null", 0o020666, device=(1, 3))
        for path, target in sorted(self.links.items()):
            cpio.link(path, target)
        for path, (mode, data) in sorted(self.files.items()):
            cpio.file(path, data, mode)
        return cpio.finish()


def base_image(busybox_deb, scratch, init):
    """An image with busybox and the script @init as its /init."""
    image = Image()
    image.folders |= set("bin dev proc sys tmp run sbin etc var/log".split())
    image.file("bin/busybox", mkguest.read_busybox(busybox_deb, scratch))
    with open(os.path.join(HERE, init), "rb") as file:
        image.file("init", file.read())
    return image


def emulator_version():
    """The first line of the emulator's own version text: this machine's, which runs the peers and Janus alike."""
    shown = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=False)
    return shown.stdout.split("\n")[0]

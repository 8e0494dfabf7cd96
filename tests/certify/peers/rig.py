"""What the peers have in common: a folder with a build, a folder for the logs of one boot, and a job for the guest."""

import dataclasses
import hashlib
import json
import os
import struct

import debian
import kernel
import machine
import mkguest

MARKER = b"JANUS-CERTIFY-SCRATCH-DISK v1".ljust(32, b"\0")
DISK_KIB = 8192
PAGE = 4096
MULTIBOOT_MAGIC = 0x1BADB002


@dataclasses.dataclass
class Job:
    """One guest to run."""

    elf: str
    cmdline: str
    vcpus: int = 1
    memory: int = 256
    disk: bool = True
    net: bool = False
    icount: bool = False
    limit: int = 1800
    iso: bool = False  # by GRUB from a CD, as make certify-iso makes it


@dataclasses.dataclass
class Boot:
    """One boot, as column.json has it, and the guest's text."""

    log: str
    ended: str
    seconds: float
    text: str
    cmdline: str
    files: list


def has_multiboot(elf):
    """True if a loader that looks for a Multiboot 1 header would take the file by it."""
    with open(elf, "rb") as file:
        head = file.read(8192)
    for at in range(0, len(head) - 11, 4):
        magic, flags, checksum = struct.unpack_from("<III", head, at)
        if magic == MULTIBOOT_MAGIC and (magic + flags + checksum) & 0xFFFFFFFF == 0:
            return True
    return False


def elf_segments(raw):
    """[(physical address, bytes in the file, size in memory)] of the ELF @raw, of either class."""
    wide = raw[4] == 2
    table, = struct.unpack_from("<Q" if wide else "<I", raw, 32 if wide else 28)
    count, = struct.unpack_from("<H", raw, 56 if wide else 44)
    segments = []
    for i in range(count):
        if wide:
            kind, _, offset, _, address, in_file, in_memory = struct.unpack_from("<IIQQQQQ", raw, table + 56 * i)
        else:
            kind, offset, _, address, in_file, in_memory = struct.unpack_from("<6I", raw, table + 32 * i)
        if kind == 1:
            segments.append((address, raw[offset : offset + in_file], in_memory))
    return segments


def with_command_line(elf, cmdline):
    """The PVH guest @elf as a 32-bit ELF that brings its own command line: Xen's toolstack gives firmware none.

    One segment more, behind the others: code that puts the line into the start information (EBX), then the line.
    """
    with open(elf, "rb") as file:
        raw = file.read()
    entry = kernel.elf_read(raw)[0]
    if entry is None:
        raise debian.PeerError(f"{elf} has no PVH note, by which full HVM starts it")
    segments = elf_segments(raw)
    start = max(at + size for at, _, size in segments) + PAGE - 1 & -PAGE
    code = bytearray(b"\xc7\x43\x18" + struct.pack("<I", start + 32))  # mov [ebx + 24], the line's address
    code += b"\xc7\x43\x1c\0\0\0\0" + struct.pack("<BI", 0xB9, entry) + b"\xff\xe1"  # jmp entry
    added = bytes(code.ljust(32, b"\0")) + cmdline.encode() + b"\0"
    segments.append((start, added, len(added)))
    note = struct.pack("<III4sI", 4, 4, kernel.NOTE_PHYS32_ENTRY, b"Xen\0", start)
    heads, body, offset = b"", b"", PAGE
    for address, data, size in segments:
        heads += struct.pack("<8I", kernel.PT_LOAD, offset + len(body), address, address, len(data), size, 7, PAGE)
        body += data + b"\0" * (-len(data) % PAGE)
    heads += struct.pack("<8I", kernel.PT_NOTE, offset + len(body), 0, 0, len(note), len(note), 4, 4)
    head = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\1\1\1", 2, kernel.EM_386, 1, start, 52, 0, 0, 52, 32,
                       len(heads) // 32, 0, 0, 0)
    return (head + heads).ljust(offset, b"\0") + body + note


class Rig:
    """A peer: build() once, boot() for each run. Subclasses: image names, commands, how to read the logs."""

    title = ""
    module = ""  # the file of the subclass

    def __init__(self, name, folder, out, say):
        self.name, self.out, self.say = name, out, say
        self.folder = os.path.abspath(folder)
        self.apt = debian.Apt(self.folder, say)
        self.notes, self.identity = [], {}
        self.boot_folder = out

    def path(self, name):
        return os.path.join(self.boot_folder, name)

    def tree(self, name):
        return os.path.join(self.folder, "tree", name)

    def built(self, name, inputs):
        """True if build/peers/NAME was made from exactly these files; else remember that it will be."""
        digest = hashlib.sha256()
        own = [f for f in os.listdir(debian.HERE) if f.endswith((".sh", ".c")) or f in ("debian.py", self.module)]
        for path in (*inputs, *sorted(os.path.join(debian.HERE, f) for f in own)):
            digest.update(os.path.basename(path).encode())
            if not path.endswith(".deb"):
                with open(path, "rb") as file:
                    digest.update(file.read())
        self.stamp = (os.path.join(self.folder, name, "identity.json"), digest.hexdigest())
        try:
            with open(self.stamp[0], encoding="utf-8") as file:
                kept = json.load(file)
        except (OSError, ValueError):
            return False
        self.identity = kept["identity"]
        return kept["stamp"] == self.stamp[1]

    def finish_build(self, packages, files):
        """Notes what was built: package versions and the hash of each file that is booted."""
        self.identity = {
            "packages": sorted(debian.package_version(d) for d in packages),
            "hashes": {os.path.relpath(f, self.folder): debian.sha256(f) for f in files},
        }
        with open(self.stamp[0], "w", encoding="utf-8") as file:
            json.dump({"stamp": self.stamp[1], "identity": self.identity}, file, indent=1)

    def initrd(self, base, files):
        """The image @base with the job's own @files behind it: the path of one archive for this boot."""
        job = debian.Image()
        for name, data in files.items():
            job.file("job/" + name, data, 0o644)
        path = self.path("initrd.cpio")
        with open(path, "wb") as target, open(base, "rb") as source:
            while block := source.read(1 << 20):
                target.write(block)
            target.write(job.bytes())
        return path

    def multiboot_elf(self, elf):
        """QEMU takes a file with a Multiboot header by that and then only as a 32-bit ELF: such a one is made."""
        with open(elf, "rb") as file:
            is_64 = file.read(5)[4:] == b"\x02"
        if not (is_64 and has_multiboot(elf)):
            return elf
        target = self.path("guest32.elf")
        debian.run("objcopy", "-O", "elf32-i386", elf, target)
        note = "started by Multiboot, as a 32-bit ELF made of the guest: QEMU prefers its header to the PVH note"
        if note not in self.notes:
            self.notes.append(note)
        return target

    def boot(self, job, number):
        """Runs the job once, with its logs in boot-NUMBER/."""
        self.boot_folder = os.path.join(self.out, f"boot-{number}")
        os.makedirs(self.boot_folder, exist_ok=True)
        command = self.command(job)
        with open(self.path("command.txt"), "w", encoding="utf-8") as file:
            file.write(" ".join(f"'{w}'" if set(w) & set(" ()=,") else w for w in command) + "\n")
        self.say(f"boots {self.name}" + (", counting instructions" if job.icount else ""))
        ended = machine.run(self, command, job.limit, self.say)
        os.remove(self.path("initrd.cpio"))
        text = self.guest_text()
        first = machine.FIRST_LINE.search(text)
        text = text[first.start() :] if first else text
        mkguest.write_file(self.path("guest.log"), text.encode())
        how = self.how_ended(ended, text)
        self.say(f"  {how}, {ended.seconds:.0f} s")
        kept = [p for p in (*self.serials, self.path("emulator.log"), self.path("command.txt")) if os.path.isfile(p)]
        return Boot(self.path("guest.log"), how, round(ended.seconds, 1), text, job.cmdline, kept)

    def how_ended(self, ended, text):
        """power off | halted after its last line | hung | limit | ended early: why."""
        done = machine.END_LINE.search(text) is not None
        if ended.how == "silent":
            return "halted after its last line"
        if ended.how in ("hung", "limit"):
            return ended.how if self.guest_started() else f"{ended.how} before the guest started, at: {ended.stage}"
        return "power off" if done else f"ended early: {self.reason()}"

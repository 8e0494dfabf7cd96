"""A private copy of the tree below build/, in which lines may be changed: for tests of the tests.

Objects that are built already are copied along with their times, so that only what a change touches is made again.
"""

import os
import re
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def copy_file(name, folder):
    target = os.path.join(folder, name)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy2(os.path.join(ROOT, name), target)


def make(folder, *args):
    """Returns what make printed if it failed, else None."""
    run = subprocess.run(["make", "--no-print-directory", "-j2", *args], cwd=folder, capture_output=True, text=True)
    return None if run.returncode == 0 else run.stdout + run.stderr


def reads_as(text):
    """The pattern of a place in a file that reads as @text, white space aside."""
    return r"\s*".join(re.escape(token) for token in re.findall(r"\w+|[^\w\s]", text))


class PrivateCopy:
    """@kinds: folders of build/ that are worth copying (san, fuz, ...)."""

    def __init__(self, name, kinds):
        self.folder = os.path.join(ROOT, "build", name, "tree")
        shutil.rmtree(self.folder, ignore_errors=True)
        listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                                capture_output=True, text=True).stdout
        for path in listed.splitlines():
            if os.path.isfile(os.path.join(ROOT, path)):
                copy_file(path, self.folder)
        for kind in kinds:
            built = os.path.join(ROOT, "build", kind)
            if os.path.isdir(built):
                shutil.copytree(built, os.path.join(self.folder, "build", kind))

    def build(self, *targets):
        return make(self.folder, *targets)

    def path(self, name):
        return os.path.join(self.folder, name)

    def replace(self, name, old, new):
        """Exchanges the one place in file @name that reads as @old, white space aside. Returns the text before."""
        with open(self.path(name), encoding="utf-8") as file:
            text = file.read()
        pattern = reads_as(old)
        found = re.findall(pattern, text)
        if len(found) != 1:
            raise LookupError(f"{name}: {len(found)} places read as: {old}")
        self.write(name, re.sub(pattern, lambda _: new, text))
        return text

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)

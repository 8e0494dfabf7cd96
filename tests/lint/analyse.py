"""gcc -fanalyzer, clang-tidy and cppcheck over the product's C. What they find is mended, or a row of accepted.txt with its reason.

One line for each breach: a finding that no row accepts, a row that accepts nothing any more, a row that is none, a comment that
silences a tool where it stands. Exit status 1 if there is any.

What a tool said about a file is kept under build/lint, by the contents of the file and of all it includes, the tool's version and
its arguments: only what changed is looked at again. The compiler's flags are this program's arguments, so the Makefile has them.
"""

import argparse
import concurrent.futures
import dataclasses
import fnmatch
import hashlib
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FOLDERS = ["enlighten", "guest-drivers", "hypervisor", "synic", "vmbus"]
SEPARATOR = " | "
SILENCER = re.compile(r"\bNOLINT|cppcheck-suppress|#\s*pragma\s+(GCC|clang)\s+diagnostic")
ENVIRONMENT = {**os.environ, "LC_ALL": "C"}
SAID = re.compile(r"(?P<file>[^\s:][^:]*)(:(?P<line>\d+))?(:\d+)?: (fatal error|error|warning|performance|portability): "
                  r"(?P<text>.*?)(?P<checks>( \[[^\[\]]+\])*)$")


@dataclasses.dataclass(frozen=True)
class Finding:
    tool: str
    check: str
    file: str
    line: int
    text: str
    source: str = dataclasses.field(compare=False)
    output: str = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True)
class Row:
    """tool, check, file (shell pattern), a part of the message or of the line of code; why that is right as it is."""
    line: int
    tool: str
    check: str
    file: str
    text: str
    reason: str

    def accepts(self, finding):
        return (self.tool == finding.tool and self.check in finding.check.split(",") and fnmatch.fnmatchcase(finding.file, self.file) and
                (self.text in finding.text or self.text in finding.source))


class Tree:
    """Files and their contents, each read once."""

    def __init__(self, root):
        self.root = root
        self.contents = {}

    def units(self):
        found = []
        for folder in FOLDERS:
            for where, _, names in os.walk(os.path.join(self.root, folder)):
                found += [os.path.relpath(os.path.join(where, name), self.root) for name in names if name.endswith(".c")]
        return sorted(found)

    def content(self, path):
        if path not in self.contents:
            try:
                with open(os.path.join(self.root, path), encoding="utf-8") as file:
                    self.contents[path] = file.read()
            except OSError:
                self.contents[path] = ""
        return self.contents[path]

    def source(self, path, line):
        lines = self.content(path).splitlines()
        return lines[line - 1].strip() if 0 < line <= len(lines) else ""

    def dependencies(self, unit, flags):
        """The unit and what it includes. What cannot be preprocessed stands alone: the tools will say what is wrong."""
        run = subprocess.run(["gcc", *flags, "-MM", unit], cwd=self.root, env=ENVIRONMENT, capture_output=True, text=True,
                             check=False)
        names = run.stdout.replace("\\\n", " ").partition(":")[2].split() if run.returncode == 0 else []
        return sorted({unit, *(os.path.normpath(name) for name in names)})


class Tool:
    """A program and how it is called. @flags are the compiler's."""

    def __init__(self, name, flags, config=""):
        self.name = name
        self.config = config
        self.flags = [flag for flag in flags if flag != "-Werror"]
        run = subprocess.run([self.program(), "--version"], capture_output=True, text=True, check=True)
        self.version = run.stdout

    def program(self):
        return self.name

    def command(self, unit):
        raise NotImplementedError

    def key(self, unit, tree, dependencies):
        parts = [self.version, self.config, *self.command(unit)]
        for path in dependencies:
            parts += [path, tree.content(path)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


class Gcc(Tool):
    def program(self):
        return "gcc"

    def command(self, unit):
        # Without optimisation: what is inlined and split into scalars first gives findings at no place, and more paths to give up.
        return ["gcc", *self.flags, "-O0", "-g0", "-fanalyzer", "-fdiagnostics-plain-output", "-S", "-o", os.devnull, unit]


class ClangTidy(Tool):
    def command(self, unit):
        config = os.path.join(ROOT, ".clang-tidy")
        return ["clang-tidy", "--quiet", "--config-file=" + config, unit, "--", *self.flags]


class Cppcheck(Tool):
    def command(self, unit):
        # Not "style": of its 18 conditions "always true" in this tree none was. Its own suppressions are not used: accepted.txt.
        includes = [flag for flag in self.flags if flag.startswith(("-I", "-D"))]
        return ["cppcheck", "--quiet", "--language=c", "--std=c11", "--platform=unix64",
                "--enable=warning,performance,portability", "--template={file}:{line}:{column}: {severity}: {message} [{id}]",
                *includes, unit]


def tools_make(flags):
    with open(os.path.join(ROOT, ".clang-tidy"), encoding="utf-8") as file:
        config = file.read()
    return [Gcc("gcc", flags), ClangTidy("clang-tidy", flags, config), Cppcheck("cppcheck", flags)]


def run_tool(command, root):
    run = subprocess.run(["nice", *command], cwd=root, env=ENVIRONMENT, capture_output=True, text=True, errors="replace", check=False)
    # clang-tidy counts on stderr what it has said on stdout; the compiler and cppcheck say all on stderr.
    said = run.stdout if command[0] == "clang-tidy" and run.stdout else run.stdout + run.stderr
    explained = run.returncode == 0 or (run.returncode == 1 and any(SAID.match(line) for line in said.splitlines()))
    return said if explained else f"{said}\n{command[0]}: error: it ended with {run.returncode} [failed]\n"


def outputs_collect(tree, tools, flags, cache, jobs):
    """(tool, unit) -> the file that keeps what was said. Prints what was new."""
    os.makedirs(cache, exist_ok=True)
    spent = {tool.name: [0, 0.0] for tool in tools}

    def look(tool, unit, path):
        start = time.monotonic()
        said = run_tool(tool.command(unit), tree.root)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(said)
        os.replace(path + ".new", path)
        spent[tool.name][0] += 1
        spent[tool.name][1] += time.monotonic() - start

    outputs, wanted = {}, []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        units = tree.units()
        for unit, dependencies in zip(units, pool.map(lambda unit: tree.dependencies(unit, flags), units)):
            for tool in tools:
                path = os.path.join(cache, tool.key(unit, tree, dependencies))
                outputs[tool.name, unit] = path
                if not os.path.exists(path):
                    wanted.append((tool, unit, path))
        wanted.sort(key=lambda row: -len(tree.content(row[1])))
        for done in [pool.submit(look, *row) for row in wanted]:
            done.result()
    for name in set(os.listdir(cache)) - {os.path.basename(path) for path in outputs.values()}:
        os.remove(os.path.join(cache, name))
    for tool in tools:
        count, seconds = spent[tool.name]
        print(f"analyse: {tool.name}: {len(units)} files, {count} looked at anew" + (f" ({seconds:.0f} s)" if count else ""))
    return outputs


def findings_parse(tree, tool, unit, path):
    """What a tool said, as findings. What has no place in a file is the unit's. A check may have several names, as clang-tidy's."""
    found = set()
    with open(path, encoding="utf-8") as file:
        for row in file:
            said = SAID.match(row.rstrip("\n"))
            if said is None:
                continue
            names = re.findall(r"\[([^\[\]]+)\]", said["checks"])
            where = os.path.relpath(os.path.join(tree.root, said["file"]), tree.root)
            where = where if os.path.exists(os.path.join(tree.root, where)) else unit
            line = int(said["line"] or 0)
            found.add(Finding(tool, names[-1] if names else "error", where, line, said["text"], tree.source(where, line), path))
    return found


def rows_read(path, say):
    rows = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip() == "" or line.startswith("#"):
                continue
            fields = [field.strip() for field in line.rstrip("\n").split(SEPARATOR)]
            if len(fields) != 5 or "" in fields:
                say(f"{os.path.basename(path)}:{number}: a row is: tool | check | file | text | reason")
            else:
                rows.append(Row(number, *fields))
    return rows


def check_silencers(tree, say):
    """Exceptions stand in the one list, where somebody reads them."""
    for folder in FOLDERS:
        for where, _, names in sorted(os.walk(os.path.join(tree.root, folder))):
            for name in sorted(names):
                path = os.path.relpath(os.path.join(where, name), tree.root)
                if not name.endswith((".c", ".h")):
                    continue
                for number, line in enumerate(tree.content(path).splitlines(), 1):
                    if SILENCER.search(line):
                        say(f"{path}:{number}: silences a tool: write a row in tests/lint/accepted.txt")


def judge(findings, rows, accepted, say):
    used = set()
    for finding in sorted(findings, key=lambda f: (f.file, f.line, f.tool, f.check)):
        takers = [row for row in rows if row.accepts(finding)]
        used.update(takers)
        if not takers:
            say(f"{finding.file}:{finding.line}: {finding.tool}: {finding.text} [{finding.check}] (all of it: {os.path.relpath(finding.output)})")
    for row in rows:
        if row not in used:
            say(f"{os.path.basename(accepted)}:{row.line}: nothing is found any more that this row accepts: take it out")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default=ROOT)
    parser.add_argument("--accepted", default=os.path.join(HERE, "accepted.txt"))
    parser.add_argument("--cache", default=os.path.join(ROOT, "build/lint"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args, flags = parser.parse_known_args()
    breaches = []
    tree = Tree(args.root)
    tools = tools_make(flags)
    rows = rows_read(args.accepted, breaches.append)
    check_silencers(tree, breaches.append)
    findings = set()
    for (name, unit), path in outputs_collect(tree, tools, flags, args.cache, args.jobs).items():
        findings |= findings_parse(tree, name, unit, path)
    judge(findings, rows, args.accepted, breaches.append)
    for text in breaches:
        print(text)
    print(f"analyse: {len(findings)} findings, {len(rows)} rows accept some of them, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())

"""The certification guest's output: TAP version 14 in the one form that specs/certify.md allows, and nothing else.

    documents = parse(lines)

It comes from a guest, over a console that others write to as well, so all is bounded and nothing is believed: what is
not as it must be stands in Document.errors, a row that is wrong is in Document.wrong with the reason, and neither is
ever a pass. Lines that are no TAP (a hypervisor's own) are counted and let go, but not inside a row's block.
"""

import re

FORMAT = 1
LINES_MAX = 200_000
LINE_MAX = 4096
ROWS_MAX = 5000
NOTES_MAX = 64
STRAYS_KEPT = 20
ERRORS_MAX = 100
BLOCK_LINES_MAX = 200
COPIES_MAX = 4

VERSION = "TAP version 14"
ID = r"[a-z][a-z0-9_]*\.[A-Za-z0-9_]+"
PLAN = re.compile(r"1\.\.(\d{1,6})")
RESULT = re.compile(rf"(ok|not ok) (\d{{1,6}}) - ({ID})(?: # SKIP (\S.*))?")
BEGIN = re.compile(rf"# begin ({ID})")
END = re.compile(r"# end passed=(\d+) failed=(\d+) skipped=(\d+)")
BENCH_END = re.compile(r"# end\b.*")
FORMAT_LINE = re.compile(r"# janus-certify (\d{1,6})")
IDENTITY = re.compile(r"# identity: (.*)")
BENCH = re.compile(r"# bench (\S+) median=(\d+) min=(\d+) same=([0-9.]+)%? unit=(\S+)")
PAIR = re.compile(r'([a-z_][a-z0-9_]*)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?:\s+|$)')
NEAR_TAP = re.compile(r"(?:not )?ok\b|\d+\.\.\d+|Bail out!|TAP version|# (?:begin|end|identity|janus-certify|bench)\b|  ?---")
KEY = re.compile(r"  ([a-z_]+):(?: (.*))?")
ITEM = re.compile(r"    - (.*)")
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
ESCAPE = re.compile(r'\\(["\\nt]|x[0-9a-fA-F]{2}|.)')
ESCAPED = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}
BOOLS = {"true": True, "false": False}
EARLIER = "done in an earlier boot"  # the guest's reason for a row up to after=ID

BOOL, COUNT, TEXT, LIST = "true or false", "a number", "a quoted string", "a list"
KEYS = {"offered": BOOL, "specified": BOOL, "checks": COUNT, "clause": TEXT, "notes": LIST, "failed": TEXT,
        "failed_count": COUNT}
NEEDED = ("offered", "specified", "checks")


class BlockError(Exception):
    """What is wrong with a row's block, in one line."""


class Row:
    """One result. @word: "ok", "not ok" or "skip". @block: its values. @evidence: its lines as they came."""

    def __init__(self, number, name, word, reason, line):
        self.number = number
        self.id = name
        self.word = word
        self.reason = reason
        self.line = line
        self.block = {}
        self.evidence = []

    @property
    def earlier(self):
        return self.word == "skip" and self.reason.startswith(EARLIER)


class Document:
    """What one start of the guest printed."""

    def __init__(self, line):
        self.line = line
        self.format = None
        self.identity = {}
        self.plan = None
        self.rows = {}  # ID: Row
        self.wrong = {}  # ID: why this row is not as it must be
        self.errors = []
        self.bench = {}  # operation: {"median", "min", "same", "unit"}
        self.begun = None  # the probe that began and has no result yet
        self.bail = None
        self.end = None  # (passed, failed, skipped), or () of a bench
        self.strays = []
        self.stray_count = 0
        self.last = None  # the ID of the last row

    @property
    def complete(self):
        """It came to its end, by its own word."""
        return self.end is not None

    def say(self, line, text):
        if len(self.errors) < ERRORS_MAX:
            self.errors.append(f"line {line}: {text}")


def unquote(text):
    """The text of a quoted string. Raises BlockError."""
    found = STRING.fullmatch(text)
    if found is None:
        raise BlockError(f"{text[:60]!r} is not a quoted string")

    def plain(match):
        word = match[1]
        if word[0] == "x":
            return chr(int(word[1:], 16))
        if word not in ESCAPED:
            raise BlockError(f"unknown escape \\{word}")
        return ESCAPED[word]

    return ESCAPE.sub(plain, found[1])


def value_of(key, text):
    """A value of the kind that @key must have. Raises BlockError."""
    kind = KEYS[key]
    if kind is BOOL and text in BOOLS:
        return BOOLS[text]
    if kind is COUNT and re.fullmatch(r"\d{1,9}", text):
        return int(text)
    if kind is TEXT:
        return unquote(text)
    raise BlockError(f"{key} must be {kind}, not {text[:60]!r}")


def parse_block(lines):
    """The values of a block, from the lines between `---` and `...`. Raises BlockError."""
    values = {}
    items = None
    for text in lines:
        item = ITEM.fullmatch(text)
        if item is not None:
            if items is None:
                raise BlockError(f"{text.strip()[:60]!r} is in no list")
            if len(items) >= NOTES_MAX:
                raise BlockError(f"more than {NOTES_MAX} notes")
            items.append(unquote(item[1]))
            continue
        found = KEY.fullmatch(text)
        if found is None:
            raise BlockError(f"{text[:60]!r} is no `key: value`")
        key, rest = found[1], (found[2] or "").strip()
        if key not in KEYS:
            raise BlockError(f"{key!r} is no key that we know")
        if key in values:
            raise BlockError(f"{key} is there twice")
        items = values[key] = [] if KEYS[key] is LIST and not rest else None
        if items is None:
            values[key] = value_of(key, rest)
    return values


def check_block(row):
    """What a row's block must have for what the row says. Raises BlockError."""
    if row.word == "skip":
        return
    missing = [key for key in NEEDED if key not in row.block]
    if missing and row.word == "ok":
        raise BlockError(f"its block does not say {', '.join(missing)}")
    if row.word == "not ok" and "failed" not in row.block:
        raise BlockError("it failed and does not say which check did")
    if row.word == "ok" and ("failed" in row.block or row.block.get("failed_count", 0) != 0):
        raise BlockError("it says ok and names a check that failed")
    if row.word == "ok" and row.block["checks"] == 0:
        raise BlockError("it says ok after no check at all")


class Parser:
    """Takes lines one by one; documents is what it has so far."""

    def __init__(self):
        self.documents = []
        self.block = None  # lines of an open block
        self.number = 0  # of the line
        self.open_row = None  # the row that may be followed by a block

    @property
    def document(self):
        return self.documents[-1] if self.documents else None

    def spoil(self, row, text):
        """Row @row is not as it must be: it cannot be a pass any more."""
        self.document.wrong.setdefault(row, text)
        self.document.say(self.number, f"{row}: {text}")

    def take(self, text):
        self.number += 1
        if len(text) > LINE_MAX:
            text = text[:LINE_MAX]
            if self.document is not None:
                self.document.say(self.number, f"longer than {LINE_MAX} bytes")
        if text == VERSION:
            self.close()
            self.documents.append(Document(self.number))
        elif self.document is not None:
            if self.block is not None:
                self.take_in_block(text)
            else:
                self.take_line(text)

    def take_in_block(self, text):
        row = self.open_row
        row.evidence.append(text)
        if text == "  ...":
            lines, self.block, self.open_row = self.block, None, None
            try:
                row.block = parse_block(lines)
                check_block(row)
            except BlockError as error:
                self.spoil(row.id, str(error))
        elif text.startswith("  ") and len(self.block) < BLOCK_LINES_MAX:
            self.block.append(text)
        else:
            long = f"its block has more than {BLOCK_LINES_MAX} lines"
            self.spoil(row.id, long if text.startswith("  ") else f"its block is broken by {text[:60]!r}")
            self.block = self.open_row = None
            if not text.startswith("  "):
                row.evidence.pop()
                self.take_line(text)

    def take_line(self, text):
        doc = self.document
        if text == "  ---" and self.open_row is not None:
            self.open_row.evidence.append(text)
            self.block = []
            return
        self.close_row()
        result = RESULT.fullmatch(text)
        if result is not None:
            self.take_result(text, *result.groups())
        elif text.startswith("#"):
            self.take_comment(text)
        elif PLAN.fullmatch(text):
            self.take_plan(int(text[3:]))
        elif text.startswith("Bail out!"):
            doc.bail = text[len("Bail out!") :].strip() or "no reason given"
        elif NEAR_TAP.match(text):
            doc.say(self.number, f"not as TAP is written here: {text[:80]!r}")
        elif text.strip():
            doc.stray_count += 1
            if len(doc.strays) < STRAYS_KEPT:
                doc.strays.append(text[:200])

    def take_plan(self, count):
        doc = self.document
        if doc.plan is not None:
            doc.say(self.number, f"a second plan: 1..{count} after 1..{doc.plan}")
        elif doc.rows:
            doc.say(self.number, "the plan comes after the first row")
        elif not 0 < count <= ROWS_MAX:
            doc.say(self.number, f"a plan of {count} rows: 1 to {ROWS_MAX} are possible")
        else:
            doc.plan = count

    def take_comment(self, text):
        doc = self.document
        if found := BEGIN.fullmatch(text):
            if doc.begun is not None:
                self.spoil(doc.begun, "it began and has no result")
            doc.begun = found[1]
        elif found := FORMAT_LINE.fullmatch(text):
            doc.format = int(found[1])
            if doc.format != FORMAT:
                doc.say(self.number, f"the guest's format is {doc.format}: this runner reads {FORMAT}")
        elif found := IDENTITY.fullmatch(text):
            self.take_identity(found[1])
        elif found := BENCH.fullmatch(text):
            doc.bench[found[1]] = {"median": int(found[2]), "min": int(found[3]), "same": float(found[4]),
                                   "unit": found[5]}
        elif found := END.fullmatch(text):
            self.take_end(tuple(map(int, found.groups())))
        elif doc.bench and BENCH_END.fullmatch(text):
            doc.end = ()
        elif NEAR_TAP.match(text):
            doc.say(self.number, f"not as it is written here: {text[:80]!r}")

    def take_identity(self, text):
        at = 0
        while at < len(text):
            pair = PAIR.match(text, at)
            if pair is None:
                self.document.say(self.number, f"an identity line that is no list of key=value at {text[at:at + 40]!r}")
                return
            value = pair[2]
            try:
                self.document.identity[pair[1]] = unquote(value) if value.startswith('"') else value
            except BlockError as error:
                self.document.say(self.number, f"identity {pair[1]}: {error}")
            at = pair.end()

    def take_result(self, text, word, number, name, reason):
        doc = self.document
        number = int(number)
        if doc.plan is None:
            doc.say(self.number, f"{name} comes before the plan")
        if doc.end is not None:
            doc.say(self.number, f"{name} comes after the end")
        if name in doc.rows:
            self.spoil(name, f"it has two results, {doc.rows[name].number} and {number}")
            return
        if len(doc.rows) >= ROWS_MAX:
            doc.say(self.number, f"more than {ROWS_MAX} rows")
            return
        row = Row(number, name, "skip" if reason else word, reason, self.number)
        row.evidence.append(text)
        doc.rows[name] = row
        doc.last = name
        if number != len(doc.rows):
            self.spoil(name, f"it has number {number} in place {len(doc.rows)}")
        if reason and word == "not ok":
            self.spoil(name, "it is not ok and skipped at once")
        self.check_begun(row)
        self.open_row = row

    def check_begun(self, row):
        doc = self.document
        if doc.begun is not None and doc.begun != row.id:
            self.spoil(doc.begun, f"it began and has no result: {row.id} came")
        if doc.begun != row.id and row.word != "skip":
            self.spoil(row.id, "it has a result and never began")
        doc.begun = None

    def take_end(self, said):
        doc = self.document
        words = [row.word for row in doc.rows.values()]
        counted = tuple(words.count(word) for word in ("ok", "not ok", "skip"))
        if doc.end is not None:
            doc.say(self.number, "a second end")
        elif said != counted:
            doc.say(self.number, "the end says passed={} failed={} skipped={}".format(*said) +
                    ", the rows are {}, {} and {}".format(*counted))
        doc.end = said

    def close_row(self):
        """No block came for the row before."""
        row, self.open_row = self.open_row, None
        if row is not None and row.word != "skip":
            self.spoil(row.id, "it has no block")

    def close(self):
        """The end of a document."""
        if self.document is None:
            return
        if self.block is not None:
            self.spoil(self.open_row.id, "its block does not end")
            self.block = self.open_row = None
        self.close_row()
        doc = self.document
        if doc.bench:
            return
        if doc.format is None:
            doc.say(doc.line, "no `# janus-certify` line says the format")
        if doc.plan is None:
            doc.say(doc.line, "there is no plan")
        elif doc.complete and len(doc.rows) != doc.plan:
            doc.say(doc.line, f"the plan has {doc.plan} rows, {len(doc.rows)} came")
        if doc.complete and doc.begun is not None:
            self.spoil(doc.begun, "it began and has no result")


def copies_of(lines):
    """How many consoles wrote each line to the same place, one after the other: 1 as a rule."""
    try:
        first = lines.index(VERSION)
    except ValueError:
        return 1
    count = 1
    while count < COPIES_MAX and first + count < len(lines) and lines[first + count] == VERSION:
        count += 1
    return count


def undouble(lines):
    """@lines with what several consoles wrote kept once. Lines that did not come as often stay as they are."""
    count = copies_of(lines)
    if count == 1:
        return lines
    kept, at = [], 0
    while at < len(lines):
        kept.append(lines[at])
        at += count if lines[at : at + count] == [lines[at]] * count else 1
    return kept


def parse(lines):
    """The documents in @lines: one for each start of the guest."""
    parser = Parser()
    lines = undouble([line.rstrip("\r\n") for line in lines])
    for text in lines[:LINES_MAX]:
        parser.take(text)
    parser.close()
    if len(lines) > LINES_MAX and parser.document is not None:
        parser.document.say(LINES_MAX, f"more than {LINES_MAX} lines")
    return parser.documents

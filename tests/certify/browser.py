#!/usr/bin/python3
"""The report's page in a real browser: Debian's chromium, headless, steered through its own pipe.

    browser.py [PACK] [--out FOLDER]      PACK: a folder with report.html, else a sample is made

It opens from a file with no network; nothing is loaded and nothing complains; every cell has one of the five words;
the filters give what report.json says, by keyboard; cells open by keyboard; at 390 and 1280 pixels, light, dark and on
paper, nothing is wider than the page and words have contrast. Pictures go to build/certify/. Exit 1: what is wrong.
"""

import argparse
import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import judge  # noqa: E402
import evidence  # noqa: E402
import sample  # noqa: E402

SECONDS = 60
WIDTHS = {390: 844, 1280: 900}
CONTRAST_MIN = 4.5
FONT_MIN = 11
PROGRAM = "chromium"
ENTER = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
ESCAPE = {"key": "Escape", "code": "Escape", "windowsVirtualKeyCode": 27}
SLASH = {"key": "/", "code": "Slash", "windowsVirtualKeyCode": 191, "text": "/"}
TAB = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}

# What is asked of the page. Each gives a value that Python judges.
CELLS = """Array.from(document.querySelectorAll("table.matrix tr.row"),
    (row) => [row.id, Array.from(row.querySelectorAll("td"), (cell) => cell.querySelector(".w")?.textContent ?? "")])"""
SHOWN = """Array.from(document.querySelectorAll("table.matrix tr.row")).filter((row) => row.checkVisibility()).map((row) => row.id)"""
OVERFLOW = """(() => { const wide = document.documentElement.clientWidth; return {
    page: document.documentElement.scrollWidth, wide: wide,
    what: Array.from(document.querySelectorAll("body *")).filter((e) => e.checkVisibility() && !e.closest(".scroll, pre, .skiplink")
        && e.getBoundingClientRect().right > wide + 1).slice(0, 5).map((e) => e.tagName + "." + e.className) }; })()"""
CONTRAST = """(() => {
    const parse = (text) => { const n = text.match(/[0-9.]+/g).map(Number); return {rgb: n.slice(0, 3), a: n.length > 3 ? n[3] : 1}; };
    const light = (rgb) => { const [r, g, b] = rgb.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a > 0) { return c.rgb; } }
        return [255, 255, 255]; };
    const found = {};
    for (const e of document.querySelectorAll(".w, .soft, .clause, tr.group td, dt, thead th, a, .id, .src")) {
        if (!e.checkVisibility()) { continue; }
        const style = getComputedStyle(e), a = light(parse(style.color).rgb), b = light(ground(e));
        const key = e.className || e.tagName, ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (!found[key] || ratio < found[key][0]) { found[key] = [ratio, parseFloat(style.fontSize)]; }
    }
    return found; })()"""
SET = """((id, value) => { const e = document.getElementById("f-" + id); e.value = value;
    e.dispatchEvent(new Event("input", {bubbles: true})); return e.value; })"""


class BrowserError(Exception):
    """The browser cannot be had or does not answer, in one line."""


class Browser:
    """A chromium that takes commands on descriptor 3 and answers on 4, messages ended by a zero byte."""

    def __init__(self, program=PROGRAM):
        if shutil.which(program) is None:
            raise BrowserError(f"there is no {program}: apt-get install chromium (make deps)")
        self.folder = tempfile.mkdtemp(prefix="janus-browser-")
        theirs_in, self.out = os.pipe()
        self.inp, theirs_out = os.pipe()
        script = f'exec {program} "$@" 3<&{theirs_in} 4>&{theirs_out}'
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
                 "--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars", f"--user-data-dir={self.folder}",
                 "--disable-dev-shm-usage", "about:blank"]
        self.process = subprocess.Popen(["bash", "-c", script, program, *flags], pass_fds=(theirs_in, theirs_out),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self.buffer = b""
        self.number = 0
        self.events = []
        self.session = None

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.out)
        os.close(self.inp)
        shutil.rmtree(self.folder, ignore_errors=True)

    def next_message(self, deadline):
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.inp], [], [], left)[0]:
                raise BrowserError(f"the browser does not answer for {SECONDS} s")
            part = os.read(self.inp, 1 << 20)
            if not part:
                raise BrowserError("the browser ended")
            self.buffer += part
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + SECONDS
        while True:
            answer = self.next_message(deadline)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error'].get('message')}")
                return answer["result"]
            self.events.append(answer)

    def wait_event(self, method):
        deadline = time.monotonic() + SECONDS
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.next_message(deadline))

    def open(self, url):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait_event("Page.loadEventFired")

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise BrowserError(f"in the page: {result['exceptionDetails'].get('exception', {}).get('description')}")
        return result["result"].get("value")

    def key(self, key):
        self.call("Input.dispatchKeyEvent", type="keyDown", **key)
        self.call("Input.dispatchKeyEvent", type="keyUp", **{k: v for k, v in key.items() if k != "text"})

    def type_text(self, text):
        self.call("Input.insertText", text=text)

    def show(self, width, height, dark=False, media="screen"):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media=media, features=scheme)

    def picture(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        evidence.write_bytes(path, base64.b64decode(data))


class Checks:
    def __init__(self, browser, report, out):
        self.browser = browser
        self.report = report
        self.out = out
        self.count = 0
        self.wrong = []

    def check(self, holds, text):
        self.count += 1
        if not holds:
            self.wrong.append(text)

    # What must be shown

    def wanted_rows(self, face="", status="", column="", table=""):
        """The rows that report.json has for these filters."""
        rows = []
        for row in self.report["rows"]:
            columns = self.report["columns"] if column == "" else [self.report["columns"][int(column)]]
            words = {evidence.slug(c["cells"][row["id"]]["verdict"]) for c in columns}
            if (not face or row["face"] == face) and (not status or status in words) and (not table or row["table"] == table):
                rows.append(row["id"])
        return rows

    def clear(self):
        for name in ("face", "status", "column", "table", "text"):
            self.browser.value(f'{SET}("{name}", "")')

    def check_filter(self, **want):
        for name, value in want.items():
            self.browser.value(f'{SET}({json.dumps(name)}, {json.dumps(value)})')
        wanted, shown = self.wanted_rows(**want), self.browser.value(SHOWN)
        self.check(shown == wanted, f"filter {want}: {len(shown)} rows are shown, report.json has {len(wanted)}")
        said = self.browser.value('document.getElementById("f-count").value')
        self.check(said.startswith(f"{len(wanted)} "), f"filter {want}: the page says {said!r} of {len(wanted)} rows")
        self.clear()

    def check_cells(self):
        cells = dict(self.browser.value(CELLS))
        for row in self.report["rows"]:
            wanted = [column["cells"][row["id"]]["verdict"] for column in self.report["columns"]]
            self.check(cells.get(row["id"]) == wanted, f"row {row['id']} shows {cells.get(row['id'])}, not {wanted}")
            self.check(all(word in judge.WORDS for word in wanted), f"row {row['id']} has a cell without one of the words")

    def check_filters(self):
        for face in sorted(evidence.FACES):
            self.check_filter(face=face)
        for word in judge.WORDS:
            self.check_filter(status=evidence.slug(word))
        self.check_filter(status="pass", column=str(len(self.report["columns"]) - 1))
        self.check_filter(table=self.report["rows"][-1]["table"])
        self.check_filter(face="xen", status="skipped", column="0")

    def check_keyboard(self):
        name = self.report["rows"][-1]["id"]
        self.browser.value("document.activeElement.blur()")
        self.browser.key(SLASH)
        focused = self.browser.value("document.activeElement.id")
        self.check(focused == "f-text", f"/ goes to {focused!r}, not to the text filter")
        self.browser.type_text(name)
        shown = self.browser.value(SHOWN)
        self.check(name in shown and len(shown) < len(self.report["rows"]), f"text {name}: {len(shown)} rows are shown")
        self.check(name in self.browser.value("decodeURIComponent(location.hash)"), "the address does not keep the filter")
        self.browser.key(TAB)
        self.check(self.browser.value("document.activeElement.id") == "f-reset", "Tab does not go on to the button")
        self.browser.key(ENTER)
        time.sleep(0.2)
        shown = self.browser.value(SHOWN)
        self.check(len(shown) == len(self.report["rows"]), f"after `Show all` {len(shown)} rows are shown")
        first = 'document.querySelector("table.matrix tr.row summary")'
        self.browser.value(f"{first}.focus()")
        self.browser.key(ENTER)
        self.check(self.browser.value(f"{first}.parentElement.open"), "Enter does not open a cell")
        self.check(self.browser.value(f'{first}.parentElement.querySelector(".ev").checkVisibility()'), "an open cell shows no evidence")
        self.browser.key(ESCAPE)
        self.check(not self.browser.value(f"{first}.parentElement.open"), "Escape does not close a cell")

    # How it looks

    def check_width(self, what):
        found = self.browser.value(OVERFLOW)
        self.check(found["page"] <= found["wide"], f"{what}: the page is {found['page']} wide: {found['what']}")

    def check_contrast(self, what):
        for name, (ratio, size) in self.browser.value(CONTRAST).items():
            self.check(ratio >= CONTRAST_MIN, f"{what}: {name} has a contrast of {ratio:.1f}")
            self.check(size >= FONT_MIN, f"{what}: {name} has letters of {size:.1f} pixels")

    def check_look(self):
        for width, height in WIDTHS.items():
            for dark in (False, True):
                what = f"{width}{'-dark' if dark else ''}"
                self.browser.show(width, height, dark)
                self.browser.value("window.scrollTo(0, 0)")
                self.check_width(what)
                self.check_contrast(what)
                self.browser.picture(os.path.join(self.out, f"browser-{what}.png"))
                self.open_cells(True)
                self.check_width(f"{what}, cells open")
                self.browser.value('document.querySelector("form.filters").scrollIntoView()')
                self.browser.picture(os.path.join(self.out, f"browser-{what}-matrix.png"))
                self.open_cells(False)
        self.browser.show(1000, 1400, media="print")
        self.check_width("print")
        self.check(not self.browser.value('document.querySelector("form.filters").checkVisibility()'), "filters are on paper")
        self.browser.value('document.getElementById("summary").scrollIntoView()')
        self.browser.picture(os.path.join(self.out, "browser-print.png"))

    def open_cells(self, are_open):
        """The first and the last cell of a row each."""
        self.browser.value(f"""for (const [at, pick] of [[1, "first"], [4, "last"]]) {{
            const row = document.querySelectorAll("table.matrix tr.row")[at];
            row.querySelector("td:" + pick + "-of-type details").open = {json.dumps(are_open)}; }}""")

    def check_silence(self, url):
        """No complaint, and nothing was loaded but the page."""
        for event in self.browser.events:
            method, params = event.get("method"), event.get("params", {})
            if method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
                self.check(False, f"the browser's console: {json.dumps(params)[:300]}")
            elif method == "Network.requestWillBeSent":
                loaded = params["request"]["url"]
                self.check(loaded.split("#")[0] == url or loaded.startswith("data:"), f"the page loads {loaded[:200]}")


def check_page(folder, out):
    """(how many checks there were, what is wrong)."""
    with open(os.path.join(folder, evidence.JSON), encoding="utf-8") as file:
        report = json.load(file)
    url = "file://" + os.path.abspath(os.path.join(folder, evidence.HTML))
    browser = Browser()
    try:
        browser.open(url)
        checks = Checks(browser, report, out)
        browser.show(1280, 900)
        checks.check_cells()
        checks.check_filters()
        checks.check_keyboard()
        checks.check_look()
        checks.check_silence(url)
    finally:
        browser.close()
    return checks.count, checks.wrong


def main():
    parser = argparse.ArgumentParser(description="Checks the report's page in a browser.")
    parser.add_argument("pack", nargs="?", help="a pack's folder; without it a sample of made-up results")
    parser.add_argument("--out", default=os.path.join(ROOT, "build/certify"), help="where pictures go")
    args = parser.parse_args()
    folder = args.pack
    if folder is None:
        folder = os.path.join(ROOT, "build/certify-sample")
        sample.make_sample(folder)
    os.makedirs(args.out, exist_ok=True)
    try:
        count, wrong = check_page(folder, args.out)
    except (BrowserError, OSError) as error:
        print(f"certify-browser: {error}", file=sys.stderr)
        return 2
    for text in wrong[:40]:
        print(f"WRONG: {text}")
    print(f"{'FAIL' if wrong else 'PASS'}: {count} checks, {len(wrong)} wrong; pictures in {args.out}/browser-*.png")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

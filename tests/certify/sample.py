#!/usr/bin/python3
"""A pack from made-up results, for work on the page and for tests of what reads a pack. No hypervisor was run for it.

    sample.py [--out build/certify-sample] [--clean]     --clean: without the failures that it has else
"""

import argparse
import hashlib
import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import certify  # noqa: E402
import judge  # noqa: E402
import evidence  # noqa: E402
import rows as rows_module  # noqa: E402
import runs  # noqa: E402
import tap  # noqa: E402

# Of each face: Hyper-V's and Xen's leaves, the first leaf's signature.
LEAVES = {"hyperv": ("40000000", "0", "Microsoft Hv"), "xen": ("0", "40000000", "XenVMMXenVMM"),
          "both": ("40000000", "40000100", "Microsoft Hv"), "none": ("0", "0", "------------")}
BROKEN = {"hv_msr.HV_X64_MSR_REFERENCE_TSC": "page sequence 0 for 1000 reads, not above 0"}
PEER_BROKEN = {"xen_evtchn.bind_virq": "a global VIRQ: 0, not -EBUSY"}
NOISE = "(XEN) made-up line of a hypervisor"


def number_of(text, below):
    """A number that is always the same for @text."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % below


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def block(row, offered, broken, notes):
    specified = "true" if row["specified"] else "false"
    lines = ["  ---", f"  offered: {'true' if offered else 'false'}", f"  specified: {specified}",
             f"  checks: {1 + number_of(row['id'], 9)}", f"  clause: {quoted(row['clause'])}"]
    if notes:
        lines += ["  notes:", *(f"    - {quoted(note)}" for note in notes)]
    if broken is not None:
        lines += [f"  failed: {quoted(broken)}", "  failed_count: 1"]
    return [*lines, "  ..."]


def tap_lines(rows, face, broken=None, vcpus=2, after=None, stop_at=None, noise=False, leaves=None):
    """What a certification guest prints. @broken: {ID: what failed}. @stop_at: it hangs in this probe."""
    broken = broken or {}
    probes = [row for row in rows if row["table"] != rows_module.RUN_TABLE]
    hyperv, xen, signature = leaves or LEAVES[face]
    lines = [tap.VERSION, "# janus-certify 1", f'# identity: hyperv={hyperv} xen={xen} signature="{signature}" cpu="made up"',
             f"# identity: boot=pvh vcpus={vcpus} tsc_hz=2000000000", f"1..{len(probes)}"]
    counts = {"ok": 0, "not ok": 0, "skip": 0}
    skipping = after is not None
    for number, row in enumerate(probes, 1):
        name = row["id"]
        if noise and number % 50 == 0:
            lines.append(NOISE)
        if skipping or (face != "both" and row["face"] in ("hyperv", "xen") and row["face"] != face):
            why = f"{tap.EARLIER}" if skipping else f"this guest has no {'Xen' if row['face'] == 'xen' else 'Hyper-V'} face"
            lines.append(f"ok {number} - {name} # SKIP {why}")
            counts["skip"] += 1
            skipping = skipping and name != after
            continue
        lines.append(f"# begin {name}")
        if name == stop_at:
            return lines
        word = "not ok" if name in broken else "ok"
        notes = ["lateness: median 31 us, most 122 us"] if number_of(name, 17) == 0 else []
        lines.append(f"{word} {number} - {name}")
        lines += block(row, row["specified"] is not False, broken.get(name), notes)
        counts[word] += 1
    return [*lines, f"# end passed={counts['ok']} failed={counts['not ok']} skipped={counts['skip']}"]


def column(face, vcpus, folder, lines, boots, kind="janus", **more):
    """A run's column.json and its files."""
    name = f"janus-amd-{face}-{vcpus}" if kind == "janus" else more["peer"]
    os.makedirs(os.path.join(folder, name), exist_ok=True)
    base = {"id": name, "kind": kind, "peer": None, "face": face, "vcpus": vcpus, "cpu_kind": "amd", "attempts": 1,
            "title": f"Janus, {runs.FACE_TITLES.get(face, face)}, {vcpus} vCPU{'s' if vcpus > 1 else ''}, AMD",
            "configuration": f"face {face}, {vcpus} vCPUs, made up", "notes": [], "tap": "guest.tap", "boots": boots, **more}
    runs.write_lines(os.path.join(folder, name, "guest.tap"), lines)
    for i, boot in enumerate(boots, 1):
        boot["log"] = f"boot{i}.log"
        runs.write_lines(os.path.join(folder, name, boot["log"]), [f"    0.00 [certify] {line}" for line in lines[:40]])
    runs.write_json(os.path.join(folder, name, "column.json"), base)


def boot(ended=judge.CLEAN_END, after=None):
    return {"ended": ended, "after": after, "seconds": 41.5}


def make_columns(rows, out, clean):
    """Columns on Janus, one with a hang, and peers."""
    folder = os.path.join(out, "runs")
    broken = {} if clean else BROKEN
    for face in certify.FACES:
        for vcpus in (1, 2, 8):
            wrong = broken if face == "hyperv" and vcpus == 8 else {}
            lines, boots = tap_lines(rows, face, wrong, vcpus), [boot()]
            if not clean and face == "xen" and vcpus == 8:
                at = "xen_vcpu.down"
                lines = tap_lines(rows, face, vcpus=vcpus, stop_at=at) + tap_lines(rows, face, vcpus=vcpus, after=at)
                boots = [boot("hung"), boot(after=at)]
            column(face, vcpus, folder, lines, boots, binaries={})
    peers = os.path.join(out, "peers")
    lines = tap_lines(rows, "xen", PEER_BROKEN, noise=True)
    column("xen", 2, peers, lines, [boot()], "peer", peer="xen-4.17-pvh", title="Xen 4.17, PVH, 2 vCPUs", attempts=2,
           identity={"package": "xen-hypervisor-4.17-amd64, made up"})
    column("both", 2, peers, tap_lines(rows, "none"), [boot("hung")], "peer", peer="kvm-6.12", title="KVM 6.12, xen-version",
           not_tried="linux-image-6.12 of backports cannot be had: no network")


def fact(name, value, wrong=""):
    return {"name": name, "value": value, "wrong": wrong, "verdict": judge.FAIL if wrong else judge.PASS}


def make_guests(out, clean):
    entries = []
    for version, release in (("6.1", "6.1.0-0-made-up"), ("6.12", "6.12.0-0-made-up")):
        for face in ("hyperv", "xen"):
            disk, net, clock = ("hv_storvsc", "hv_netvsc", "hyperv_clocksource_tsc_page") if face == "hyperv" else (
                "vbd", "vif", "xen")
            wrong = "" if clean or (face, version) != ("xen", "6.12") else "it says 'sum 1', which is not the image's"
            facts = [fact("kernel", release), fact("vCPUs", "2"), fact("disk driver", disk),
                     fact("disk", "WRONG" if wrong else "right", wrong), fact("network driver", net), fact("ping 1400", "right"),
                     fact("1 MiB", "right"), fact("clock", clock), fact("shutdown", "clean")]
            rows = [{"row": "xen_hypercall.memory_op", "text": "Xen hypercall memory_op", "used": 812, "refused": 0},
                    {"row": "xen_hypercall.platform_op", "text": "Xen hypercall platform_op", "used": 0, "refused": 3}]
            entry = runs.guest_entry(face, version, face, "amd", release)
            entry.update(facts=facts, rows=rows, counts={"offered_used": 1, "refused_asked": 1, "unknown_asked": 0},
                         verdict=judge.FAIL if wrong else judge.PASS, reason=f"disk: {wrong}" if wrong else "")
            entries.append(entry)
    entries += runs.guests_not_tried(["6.1"], "intel", "made up: no Bochs here")
    os.makedirs(os.path.join(out, "runs/guests"), exist_ok=True)
    runs.write_json(os.path.join(out, "runs/guests/amd.json"), entries)


BENCH = {
    "unit": "Emulated instructions, median of 1000 (made up)", "columns": ["janus", "xen", "kvm"],
    "operations": [{"id": "cpuid", "title": "CPUID leaf 0", "values": {"janus": 1210, "xen": 5353, "kvm": 4105}},
                   {"id": "hypercall", "title": "Null hypercall", "values": {"janus": 1322, "xen": 5479, "kvm": 4011}},
                   {"id": "evtchn", "title": "Event channel send, loopback, until its handler",
                    "values": {"janus": 3120, "xen": 10379, "kvm": None}}],
    "caveats": ["Made-up figures.", "Path length only: VMRUN and #VMEXIT count 1 and 0, caches and TLBs nothing."],
}


def make_sample(out, clean=False):
    """Writes the pack. Gives its exit status."""
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    rows = rows_module.all_rows(ROOT)
    make_columns(rows, out, clean)
    make_guests(out, clean)
    for name, value in (("bench.json", BENCH), ("binary", "made up")):
        with open(os.path.join(out, name), "w", encoding="utf-8") as file:
            json.dump(value, file)
    differences = os.path.join(out, "differences.md")
    with open(differences, "w", encoding="utf-8") as file:
        file.write("| Row | Peer | Janus | The peer | Right |\n|---|---|---|---|---|\n| `xen_evtchn.bind_virq` | `xen-4.17-*` | -EBUSY "
                   "| binds | Both, made up: event_channel.h leaves it open |\n| xen_sched.poll | kvm-* | wakes | returns at once | "
                   "Janus, made up: sched.h |\n")
    binary = os.path.join(out, "binary")
    args = certify.parse_arguments(["--out", out, "--elf", binary, "--guest", binary, "--report-only", "--differences",
                                    differences, "--bench", os.path.join(out, "bench.json"), "--no-guests"])
    args.sample = True
    return certify.write_report(args, rows, {})


def main():
    parser = argparse.ArgumentParser(description="A pack from made-up results.")
    parser.add_argument("--out", default=os.path.join(ROOT, "build/certify-sample"))
    parser.add_argument("--clean", action="store_true")
    args = parser.parse_args()
    make_sample(args.out, args.clean)
    return 0


if __name__ == "__main__":
    sys.exit(main())

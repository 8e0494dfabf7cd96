"""Do the fuzz targets find what they are for? Takes one check out of the product, in a private copy, and lets libFuzzer look
for it from an empty corpus: it has to crash within a minute, on an input that the whole product takes without harm.

Prints a table. Exit status 1 if a seeded bug is not found.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from private_copy import ROOT, PrivateCopy  # noqa: E402

# Target, what is taken out, file, the text, and what stands there instead.
SEEDS = [
    ("xen_hypercall_fuzz", "bound of a port's number", "enlighten/xen/evtchn.c",
     "raw_port == 0 || raw_port >= EVTCHN_2L_NR_CHANNELS_64 ||", "raw_port == 0 ||"),
    ("xen_hypercall_fuzz", "end of a grant copy's page", "enlighten/xen/gnttab_op.c",
     "(uint32_t)r.source.offset + r.len > PAGE_BYTES ||", ""),
    ("hv_hypercall_fuzz", "length of a posted message", "enlighten/hyperv/hypercall.c",
     "input->payload_size > sizeof(payload) ||", ""),
    ("hv_hypercall_fuzz", "bound of a signalled flag", "enlighten/hyperv/hypercall.c",
     "if (input->flag_number >= HV_EVENT_FLAGS_COUNT) {", "if (input->flag_number == 0xFFFF) {"),
    ("vmbus_message_fuzz", "start of the second ring", "vmbus/bus_message.c",
     "|| down > gpadl->page_count - 2", ""),
    ("vmbus_message_fuzz", "list that a channel still uses", "vmbus/bus_gpadl.c",
     "&& gpadl->use_count == 0", ""),
    ("ring_fuzz", "payload behind a packet's end", "vmbus/ring.c",
     "offset <= len &&", ""),
    ("ring_fuzz", "packet longer than the buffer", "vmbus/ring.c",
     "len <= room &&", "room != 0 &&"),
    ("ring_fuzz", "index behind the ring's end", "vmbus/ring.c",
     "raw_index < ring->data_bytes &&", "ring->data_bytes != 0 &&"),
    ("xenstore_fuzz", "length of a message", "enlighten/xen/xenstore.c",
     "&& xs->in.len > XENSTORE_PAYLOAD_MAX", "&& xs->in.len == UINT32_MAX"),
    ("rndis_fuzz", "frame behind a message's end", "vmbus/rndis.c",
     "if (!range_fits(raw.body.data_offset, raw.body.data_len, body_bytes)) {", "if (body_bytes == 0) {"),
]


def environment():
    return dict(os.environ, ASAN_OPTIONS="detect_leaks=0", UBSAN_OPTIONS="halt_on_error=1")


def search(binary, folder, seconds):
    """Runs the fuzzer: half of the time with inputs that grow slowly, half with inputs of any length. Returns (seconds until it
    crashed, crashing input), or (seconds, None)."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "corpus"))
    start = time.monotonic()
    for half in (1, 2):
        with open(os.path.join(folder, f"log{half}"), "wb") as log:
            subprocess.run([binary, f"-seed={half}", f"-max_total_time={seconds // 2}", "-timeout=20",
                            f"-len_control={0 if half == 2 else 100}", f"-artifact_prefix={folder}/",
                            os.path.join(folder, "corpus")], stdout=log, stderr=log, timeout=seconds + 60, check=False,
                           env=environment())
        crashes = [name for name in os.listdir(folder) if name.startswith(("crash-", "timeout-", "oom-", "leak-"))]
        if crashes:
            return time.monotonic() - start, os.path.join(folder, crashes[0])
    return time.monotonic() - start, None


def passes(binary, path):
    return subprocess.run([binary, path], capture_output=True, timeout=60, check=False, env=environment()).returncode == 0


def unwatched(copy):
    """What the sanitizers' marks are missing from: without them a fuzz target sees only what panics."""
    symbols = subprocess.run(["nm", copy.path("build/fuz/libjanus.a")], capture_output=True, text=True, check=False).stdout
    return [mark for mark in ("__asan_report_", "__ubsan_handle_", "__sanitizer_cov_") if mark not in symbols]


def try_seed(copy, number, seed, seconds):
    target, _, name, old, new = seed
    folder = os.path.join(ROOT, "build", "seeded", f"{number}-{target}")
    whole = copy.replace(name, old, new)
    try:
        failure = copy.build(f"build/fuzz/{target}")
        if failure is not None:
            return f"does not build:\n{failure[-2000:]}", 0.0
        spent, crash = search(copy.path(f"build/fuzz/{target}"), folder, seconds)
    finally:
        copy.write(name, whole)
    if crash is None:
        return "not found", spent
    if not passes(copy.path(f"build/whole/{target}"), crash):
        return "found, but the whole product fails on it too: " + crash, spent
    return "found", spent


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each seeded bug")
    parser.add_argument("targets", nargs="*", help="only these fuzz targets")
    args = parser.parse_args()
    seeds = [seed for seed in SEEDS if not args.targets or seed[0] in args.targets]
    copy = PrivateCopy("seeded", ["fuz", "aml"])
    os.makedirs(copy.path("build/whole"), exist_ok=True)
    for target in sorted({seed[0] for seed in seeds}):
        failure = copy.build(f"build/fuzz/{target}")
        if failure is not None:
            print(failure[-2000:])
            return 1
        shutil.copy2(copy.path(f"build/fuzz/{target}"), copy.path(f"build/whole/{target}"))
    missing = unwatched(copy)
    if missing:
        print("build/fuz/libjanus.a is built without " + ", ".join(missing))
        return 1
    print(f"{'target':20} {'check taken out':32} {'file':30} {'result':10} {'after':>6}")
    lost = 0
    for number, seed in enumerate(seeds):
        result, spent = try_seed(copy, number, seed, args.seconds)
        lost += result != "found"
        print(f"{seed[0]:20} {seed[1]:32} {seed[2]:30} {result:10} {spent:5.1f} s", flush=True)
    print(f"seeded: {len(seeds) - lost} of {len(seeds)} found")
    copy.remove()
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())

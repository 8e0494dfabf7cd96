"""Do the tests notice? Changes one line of the product at a time, in a private copy (a check taken out, a bound moved), and runs
the unit or loopback programs that should fail then.

Prints a table. Exit status 1 if a mutant survives.
"""

import argparse
import subprocess
import sys

from private_copy import PrivateCopy

# What is changed, file, the text, what stands there instead, and the programs that notice.
MUTANTS = [
    ("hypercall: input may be misaligned", "enlighten/hyperv/hypercall.c",
     "(call->input_gpa & 7) != 0", "(call->input_gpa & 3) != 0", ["unit/hv_hypercall_test"]),
    ("hypercall: a message of 241 bytes", "enlighten/hyperv/hypercall.c",
     "input->payload_size > sizeof(payload) ||", "input->payload_size > sizeof(payload) + 1 ||", ["unit/hv_hypercall_test"]),
    ("grant copy: behind the destination's page", "enlighten/xen/gnttab_op.c",
     "|| (uint32_t)r.dest.offset + r.len > PAGE_BYTES", "", ["unit/gnttab_test"]),
    ("event channels: a port behind the last", "enlighten/xen/evtchn.c",
     "raw_port >= EVTCHN_2L_NR_CHANNELS_64 ||", "raw_port > EVTCHN_2L_NR_CHANNELS_64 ||", ["unit/evtchn_test"]),
    ("xenstore: a message one byte too long", "enlighten/xen/xenstore.c",
     "xs->in.len > XENSTORE_PAYLOAD_MAX", "xs->in.len > XENSTORE_PAYLOAD_MAX + 1", ["unit/xenstore_test"]),
    ("SynIC: flag 2048", "synic/synic.c",
     "flag >= HV_EVENT_FLAGS_COUNT", "flag > HV_EVENT_FLAGS_COUNT", ["unit/synic_test"]),
    ("SynIC: no word of what waits", "synic/message.c",
     "more ? HV_MESSAGE_FLAG_PENDING : 0", "more ? 0 : 0", ["unit/synic_test", "loopback/hv_test"]),
    ("ring: a packet without its trailer", "vmbus/ring.c",
     "len + VMBUS_RING_TRAILER_BYTES <= used", "len <= used", ["unit/ring_test"]),
    ("GPADL: a range starts behind its page", "vmbus/gpadl.c",
     "|| range.offset >= PAGE_BYTES ||", "||", ["unit/gpadl_test"]),
    ("SCSI: one sector behind the disk's end", "vmbus/scsi.c",
     "count > size - sector", "count > size - sector + 1", ["unit/scsi_test", "loopback/hv_disk_test"]),
    ("netvsp: a slot is free while the guest has it", "vmbus/netvsp_rx.c",
     "busy = (net->slots_busy[raw_slot / 64] & BIT64(raw_slot % 64)) != 0;", "busy = true;",
     ["unit/netvsp_receive_test", "unit/netvsp_test"]),
    ("block: a window behind its medium's end", "hypervisor/backend/block.c",
     "if (!range_fits(first_sector, sector_count, whole->sector_count) ||", "if (", ["unit/block_test"]),
    ("switch: a large send in too many pieces", "hypervisor/backend/switch.c",
     "if (count > SWITCH_CUT_MAX) {", "if (count > SWITCH_CUT_MAX + 1) {", ["unit/switch_test"]),
]


def run(copy, program):
    try:
        return subprocess.run([copy.path("build/" + program)], cwd=copy.folder, capture_output=True, timeout=60,
                              check=False).returncode
    except subprocess.TimeoutExpired:
        return -1


def check_whole(copy, programs):
    """All of them pass before anything is changed; else what they notice means nothing."""
    failure = copy.build(*["build/" + program for program in programs])
    if failure is not None:
        return failure[-2000:]
    failing = [program for program in programs if run(copy, program) != 0]
    return "these fail without a mutant: " + " ".join(failing) if failing else None


def try_mutant(copy, mutant):
    """Which program noticed; None if none did."""
    _, name, old, new, programs = mutant
    whole = copy.replace(name, old, new)
    try:
        for program in programs:
            failure = copy.build("build/" + program)
            if failure is not None:
                return "does not build:\n" + failure[-2000:], False
            if run(copy, program) != 0:
                return program, True
    finally:
        copy.write(name, whole)
    return "SURVIVED " + " ".join(programs), False


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    copy = PrivateCopy("mutants", ["san", "aml"])
    problem = check_whole(copy, sorted({program for mutant in MUTANTS for program in mutant[4]}))
    if problem is not None:
        print(problem)
        return 1
    print(f"{'mutant':46} {'file':30} noticed by")
    survived = 0
    for mutant in MUTANTS:
        result, noticed = try_mutant(copy, mutant)
        survived += not noticed
        print(f"{mutant[0]:46} {mutant[1]:30} {result}", flush=True)
    print(f"mutants: {len(MUTANTS) - survived} of {len(MUTANTS)} noticed")
    copy.remove()
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())

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
     "&& (uint32_t)r.dest.offset + r.len <= PAGE_BYTES", "", ["unit/gnttab_test"]),
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
    # What only a fault of our own side shows.
    ("blkback: a flush acknowledged before the disk's", "enlighten/xen/blkback.c",
     "request->io.operation = BLOCK_FLUSH;", "request->io.operation = BLOCK_READ;", ["faults/power_cut_test"]),
    ("storvsp: a flush acknowledged before the disk's", "vmbus/storvsp.c",
     "request->io.operation = operation;", "request->io.operation = operation == BLOCK_FLUSH ? BLOCK_READ : operation;",
     ["faults/power_cut_test"]),
    ("storvsp: a write with FUA is not flushed", "vmbus/storvsp.c",
     "&& command->fua && !request->flushing", "&& command->fua && request->flushing", ["faults/power_cut_test"]),
    ("blkback: a disk's error told as success", "enlighten/xen/blkback.c",
     "status == BLOCK_OK ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR);", "BLKIF_RSP_OKAY);", ["faults/disk_error_test"]),
    ("storvsp: a disk's error told as success", "vmbus/storvsp.c",
     "scsi_finish_io(command, request->io_status);", "scsi_finish_io(command, BLOCK_OK);", ["faults/disk_error_test"]),
    ("blkback: data written though their flush failed", "enlighten/xen/blkback.c",
     "if (status == BLOCK_OK && request->write_after_flush)", "if (request->write_after_flush)", ["faults/disk_error_test"]),
    ("VMBus: pins kept when one of them fails", "vmbus/channel.c",
     "if (status != VMBUS_PIN_OK) { vmbus_pages_unpin(channel, pages, *count);",
     "if (status != VMBUS_PIN_OK) { vmbus_pages_unpin(channel, pages, 0);", ["faults/alloc_test"]),
    ("storvsp: the bounce buffer's allocation unchecked", "vmbus/storvsp.c",
     "dev->channel = dev->bounce != NULL ? vmbus_channel_add(bus, &spec) : NULL;",
     "dev->channel = vmbus_channel_add(bus, &spec);", ["faults/alloc_test"]),
    ("blkback: ends while the disk has its requests", "enlighten/xen/blkback.c",
     "while (__atomic_load_n(&blk->users, __ATOMIC_ACQUIRE) != 0) {",
     "while (__atomic_load_n(&blk->users, __ATOMIC_ACQUIRE) > 99) {", ["faults/stall_test", "faults/kill_test"]),
    ("storvsp: closed while the disk has its requests", "vmbus/storvsp.c",
     "return dev->io_count == 0;", "return true;", ["faults/stall_test", "faults/reset_test"]),
    ("blkback: no word of an answer", "enlighten/xen/blkback.c",
     "vm_page_load32(blk->ring.page, XEN_RING_RSP_EVENT) < 1;", "vm_page_load32(blk->ring.page, XEN_RING_RSP_EVENT) == 77;",
     ["faults/doorbell_test"]),
    ("VMBus: a reset keeps a ring's pages", "vmbus/bus.c",
     "vmbus_gpadl_put(channel->ring_gpadl);", ";", ["faults/kill_test"]),
    ("stimer: all periods that were missed", "synic/stimer.c",
     "behind / timer->count >= STIMER_CATCH_UP_MAX", "timer->count == 0", ["faults/clock_test"]),
    ("VMBus: half a creation stays", "vmbus/bus.c",
     "vmbus_teardown(vm); return false;", "return false;", ["faults/alloc_test"]),
    ("Xen: all ticks that were missed", "enlighten/xen/time.c",
     "next > now ? next : now + v->period_ns", "next > now || now != 0 ? next : 0", ["faults/clock_test"]),
    ("module: its checksum not looked at", "hypervisor/core/config.c",
     "if (blob_sum(host_direct(module->start), module->bytes) != row->sum) {",
     "if (module->bytes != row->bytes) {", ["faults/module_test"]),
    ("virtio disk: a flush that is none", "hypervisor/drivers/virtio_blk.c",
     "return VIRTIO_BLK_T_FLUSH;", "return VIRTIO_BLK_T_IN;", ["faults/power_cut_test"]),
    ("virtio disk: an error told as success", "hypervisor/drivers/virtio_blk.c",
     "case VIRTIO_BLK_S_UNSUPP: batch_put(batch, done->token, BLOCK_EIO);",
     "case VIRTIO_BLK_S_UNSUPP: batch_put(batch, done->token, BLOCK_OK);", ["faults/power_cut_test"]),
    ("netback: a port of the switch kept", "enlighten/xen/netback.c",
     "switch_disconnect(net->port);", ";", ["faults/kill_test"]),
    ("kernel: a segment that wraps", "hypervisor/core/elf.c",
     "!range_fits(ph->paddr, ph->memsz, ADDRESS_MAX)", "ph->paddr >= ADDRESS_MAX", ["unit/elf_test"]),
    ("kernel: Multiboot's header loaded before the file", "hypervisor/core/multiboot.c",
     "|| before > at", "", ["unit/elf_test"]),
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

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
    ("cpuid_msr_fuzz", "address that is not canonical", "hypervisor/arch/x86/msr_policy.c",
     "return top == 0 || top == 0x1ffff;", "return top != 1;"),
    ("cpuid_msr_fuzz", "leaf behind the host's last", "hypervisor/arch/x86/cpuid_policy.c",
     "if (leaf > regs.eax ||", "if ("),
    ("cpuid_msr_fuzz", "MSR behind the table's end", "enlighten/hyperv/msr.c",
     "return index < ARRAY_COUNT(row_by_msr) &&", "return index <= 0x10FF &&"),
    ("cpuid_msr_fuzz", "vector of a SINT", "synic/synic.c",
     "vector < HV_SYNIC_FIRST_VALID_VECTOR", "vector == 1"),
    ("synic_fuzz", "bound of an event's flag", "synic/synic.c",
     "|| flag >= HV_EVENT_FLAGS_COUNT", ""),
    ("synic_fuzz", "message that overtakes another", "synic/message.c",
     "if ((synic->waiting & BIT(sint)) == 0 && claim_slot(synic, sint)) {", "if (claim_slot(synic, sint)) {"),
    ("synic_fuzz", "pending flag of a busy slot", "synic/message.c",
     "vm_page_set_bit(page, (slot + SLOT_FLAGS) * 8);", ""),
    ("stimer_fuzz", "period of zero", "synic/stimer.c",
     "if ((timer->config & HV_STIMER_ENABLE) == 0 || timer->count == 0) {",
     "if ((timer->config & HV_STIMER_ENABLE) == 0) {"),
    ("stimer_fuzz", "least time between expiries", "synic/stimer.c",
     "arm(timer, now_ns + STIMER_SPACING_NS);", "arm(timer, 0);"),
    ("stimer_fuzz", "vector of a direct timer", "synic/stimer.c",
     "direct_vector(timer) < HV_SYNIC_FIRST_VALID_VECTOR", "direct_vector(timer) == 1"),
    ("gpadl_fuzz", "more pages than there is room for", "vmbus/gpadl.c",
     "|| gpadl->page_count == gpadl->page_room", ""),
    ("gpadl_fuzz", "quota of pinned pages", "vmbus/bus_gpadl.c",
     "words > bus->pinned_pages_max - bus->pinned_pages", "words > bus->pinned_pages_max"),
    ("gpadl_fuzz", "part of a list that lies behind its end", "vmbus/gpadl.c",
     "return len == 0 ? count : 0;", "return count;"),
    ("storvsp_fuzz", "more pages than a request holds", "vmbus/channel.c",
     "if (*count == max) {", "if (*count == max + 2) {"),
    ("storvsp_fuzz", "pins of a buffer that is refused", "vmbus/channel.c",
     "vmbus_pages_unpin(channel, pages, *count); *count = 0;", "*count = 0;"),
    ("storvsp_fuzz", "close that waits for the disk", "vmbus/storvsp.c",
     "return dev->io_count == 0;", "return true;"),
    ("netvsp_fuzz", "index of a send section", "vmbus/netvsp_tx.c",
     "raw->send_buf_section_index >= net->section_count ||", ""),
    ("netvsp_fuzz", "buffer in use while it is revoked", "vmbus/netvsp.c",
     "if (net->send_buffer != NULL) { vmbus_gpadl_put(net->send_buffer); } net->send_buffer = NULL;",
     "if (net->send_buffer != NULL) { vmbus_gpadl_put(net->send_buffer); }"),
    ("ic_fuzz", "number of the message answered", "vmbus/ic.c",
     "head->ictransaction_id != ic->transaction_id ||", ""),
    ("ic_fuzz", "version that was not offered", "vmbus/ic.c",
     "has_version(frameworks, ARRAY_COUNT(frameworks), chosen[0]) &&", "chosen[0] != 0 &&"),
    ("ic_fuzz", "one message under way", "vmbus/ic.c",
     "if (ic->waiting) { return; }", "if (ic->waiting && state == IC_NEGOTIATING) { return; }"),
    ("evtchn_fuzz", "whom a port was left for", "enlighten/xen/evtchn_op.c",
     "|| remote->remote_dom != self", ""),
    ("evtchn_fuzz", "other end of a port that closes", "enlighten/xen/evtchn.c",
     "if (peer != p) {", "if (peer == NULL) {"),
    ("grant_fuzz", "a grant for reading only", "enlighten/xen/gnttab.c",
     "|| (write && (raw_word & GTF_readonly) != 0)", ""),
    ("grant_fuzz", "entries in use that swap", "enlighten/xen/gnttab_op.c",
     "if (a->hold_count != 0 || b->hold_count != 0) {", "if (a->hold_count == UINT16_MAX) {"),
    ("blkback_fuzz", "last sector of a segment's page", "enlighten/xen/blkback.c",
     "|| segment->last_sect >= PAGE_SECTORS", ""),
    ("blkback_fuzz", "ring of requests under way", "enlighten/xen/blkback.c",
     "if (idle && blk->ring.page != NULL) {", "if (blk->ring.page != NULL) {"),
    ("blkback_fuzz", "requests that are not answered yet", "enlighten/xen/blkback.c",
     "|| raw_prod - blk->rsp_prod > RING_ENTRIES", ""),
    ("netback_fuzz", "end of a fragment's page", "enlighten/xen/netback_tx.c",
     "if (packet->fragments[i].offset + packet->fragments[i].size > PAGE_BYTES) {",
     "if (packet->fragments[i].offset > PAGE_BYTES) {"),
    ("netback_fuzz", "number of a packet's fragments", "enlighten/xen/netback_tx.c",
     "|| at == NETBACK_FRAGMENT_MAX", ""),
    ("apic_fuzz", "vectors that are no interrupt's", "hypervisor/platform/vlapic.c",
     "if (vector < VECTOR_FIRST) {", "if (vector == 0) {"),
    ("apic_fuzz", "priority of what is in service", "hypervisor/platform/vlapic.c",
     "|| (vector >> 4) <= (vlapic_ppr(l) >> 4)", ""),
    ("apic_fuzz", "pin behind the last", "hypervisor/platform/vioapic.c",
     "if (io->select < IOREDTBL || pin >= VIOAPIC_PIN_COUNT) {", "if (io->select < IOREDTBL) {"),
    ("blob_fuzz", "switch of a network card", "hypervisor/include/base/blob.h",
     "if (guest->nics[i].switch_index >= header->switch_count) {",
     "if (guest->nics[i].switch_index == BLOB_NO_MODULE) {"),
    ("blob_fuzz", "end of a blob cut short", "hypervisor/include/base/blob.h",
     "|| header->total_bytes > bytes", ""),
    ("blob_fuzz", "index of a boot module", "hypervisor/include/base/blob.h",
     "if (module->module >= header->module_count ||", "if ("),
    ("kernel_fuzz", "segment behind a kernel's end", "hypervisor/core/elf.c",
     "if (!range_fits(ph.offset, ph.filesz, bytes)) {", "if (ph.filesz > bytes) {"),
    ("kernel_fuzz", "entry of a Multiboot kernel", "hypervisor/core/multiboot.c",
     "if (status == ELF_OK && !elf_holds(out, out->start)) {", "if (status == ELF_OK && out->start == 0) {"),
    ("guest_driver_fuzz", "number of a disk's answer", "guest-drivers/xen/blkfront.c",
     "response.id >= XEN_BLK_ENTRIES ||", ""),
    ("guest_driver_fuzz", "length of the store's answer", "guest-drivers/xen/xenstore.c",
     "store->header.len > XENSTORE_PAYLOAD_MAX", "store->header.len == UINT32_MAX"),
    ("guest_vmbus_fuzz", "payload behind a packet's end", "guest-drivers/hyperv/ring.c",
     "offset <= len &&", ""),
    ("guest_vmbus_fuzz", "number of a packet's ranges", "guest-drivers/hyperv/channel.c",
     "return transfer.range_cnt <= (payload_at - sizeof(transfer)) / sizeof(struct vmtransfer_page_range);",
     "return payload_at != 0;"),
]


def environment():
    return dict(os.environ, ASAN_OPTIONS="detect_leaks=0:quarantine_size_mb=16", UBSAN_OPTIONS="halt_on_error=1")


def search(binary, folder, seconds):
    """Runs the fuzzer in four parts of the time on one corpus: by turns with inputs that grow slowly and with inputs of any length.
    Returns (seconds until it crashed, crashing input), or (seconds, None)."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "corpus"))
    start = time.monotonic()
    for part in (1, 2, 3, 4):
        with open(os.path.join(folder, f"log{part}"), "wb") as log:
            subprocess.run([binary, f"-seed={part}", f"-max_total_time={seconds // 4}", "-timeout=20",
                            f"-len_control={0 if part % 2 == 0 else 100}", f"-artifact_prefix={folder}/",
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
        os.remove(copy.path(f"build/fuzz/{target}"))  # what is in a header only is not seen to be newer
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

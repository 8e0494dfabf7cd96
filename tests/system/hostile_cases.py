"""The hostile guests' cases (tests/guest/hostile*.c): what each must come to, and what the log must say of it.

Adding one: a function and a row of its table in C, and a row here.
"""

from typing import NamedTuple

BOTH = ("hyperv", "xen")
XEN = ("xen",)
HYPERV = ("hyperv",)


class Case(NamedTuple):
    name: str
    end: str  # lives, killed, crashed, off (powers off by what it does), slowed (until destroyed), reboots
    faces: tuple = BOTH
    why: str = ""  # pattern: the reason that the log gives for its end
    log: str = ""  # pattern: what the log says of it, exactly once (a closed device, a dropped connection)
    vcpus: int = 1
    quick: bool = False  # in `make test`
    storm: bool = False  # it is busy for all its time: the neighbours' throughput counts
    single: bool = False  # changes its own code or the like: not with a thread for each CPU (specs/caveats.md)
    ms: int = 1000
    options: dict = {}
    memory: str = "32M"
    nag: str = ""  # a command that the monitor is given all the while, {} for the guest's name
    strict: bool = False  # its end is the CPU's own, and QEMU's is too lax for it: test_bochs.py has it, on Bochs


UNEMULATED = "an instruction that Janus cannot emulate touched a device"
STOPS = r"vmbus: channel \d+ \(.*\) stops"


def lives(name, **rest):
    return Case(name, "lives", **rest)


def storm(name, **rest):
    return Case(name, "lives", storm=True, **rest)


CASES = [
    # hostile_cpu.c
    lives("msr_read_all", quick=True),
    lives("msr_write_all", quick=True),
    storm("msr_storm"),
    lives("apic_base"),
    lives("apic_msrs", quick=True),
    storm("apic_timer", quick=True),
    storm("ipi_storm"),
    storm("ipi_no_eoi"),
    lives("ipi_wild", quick=True),
    storm("nmi_storm", quick=True),
    storm("eoi_storm"),
    storm("db_storm", quick=True),
    Case("db_loop", "slowed", storm=True),
    Case("ac_loop", "slowed", storm=True),
    Case("pf_loop", "slowed", storm=True),
    Case("triple_fault", "killed", why="triple fault", log="triple fault at", quick=True),
    # The CPU's own accesses, which no emulation of an instruction can make: named so, or no end at all.
    Case("idt_in_mmio", "killed", why=UNEMULATED, log="no emulation of a memory access"),
    Case("stack_in_mmio", "killed", why=UNEMULATED, log="no emulation of a memory access"),
    Case("tables_in_mmio", "slowed", storm=True),
    lives("control_registers", quick=True),
    # #GP by the CPU itself. QEMU's takes such a value.
    lives("cr0_reserved", strict=True),
    lives("cr8_reserved", strict=True),
    lives("cr4_reserved", strict=True),
    lives("svm_instructions", quick=True),
    lives("vmx_instructions"),
    storm("odd_instructions"),
    lives("rsm"),
    storm("cpuid_storm", quick=True),
    storm("pause_storm"),
    storm("hlt_storm"),
    Case("never_yields", "slowed", storm=True, quick=True),
    Case("halts_for_good", "off", why="all its vCPUs halted"),
    storm("all_spin", vcpus=4),
    storm("ipi_to_all", vcpus=4),
    storm("sipi_storm", vcpus=2, quick=True),
    lives("sipi_to_nowhere", vcpus=2),
    storm("log_storm", quick=True),
    storm("console_bytes"),
    Case("resets_forever", "reboots"),
    Case("resets_and_starts", "reboots", nag="start {}"),
    Case("resets_by_keyboard", "reboots", quick=True),
    # hostile_device.c
    lives("ports_all", quick=True),
    storm("port_storm"),
    lives("string_io", quick=True),
    lives("mmio_all", quick=True),
    storm("ioapic_wild"),
    storm("mmio_storm"),
    lives("xapic_page", options={"apic": "xapic"}),
    lives("mmio_shapes"),
    storm("mmio_rep_long"),
    Case("mmio_sse", "killed", why=UNEMULATED, log="no emulation of a memory access"),
    lives("exec_in_mmio"),
    lives("long_instructions", single=True),
    storm("moving_code", vcpus=2, single=True),
    storm("moving_tables", vcpus=2),
    # hostile_xen.c
    lives("xen_calls", faces=XEN, quick=True),
    lives("xen_calls_32", faces=XEN, quick=True),
    lives("xen_calls_user", faces=XEN, quick=True),
    lives("xen_page_msr", faces=XEN),
    lives("xen_multicalls", faces=XEN, quick=True),
    storm("xen_multicall_long", faces=XEN),
    lives("xen_memory_lies", faces=XEN, quick=True),
    storm("xen_balloon", faces=XEN, quick=True),
    lives("xen_balloon_to_nothing", faces=XEN),
    Case("xen_balloon_itself", "killed", faces=XEN, why="triple fault", log="triple fault at"),
    storm("xen_pages_flip", faces=XEN, vcpus=3, quick=True),
    lives("xen_ports_all_taken", faces=XEN, quick=True),
    lives("xen_ports_wild", faces=XEN),
    storm("xen_port_storm", faces=XEN),
    storm("xen_ports_closed", faces=XEN, vcpus=2, quick=True),
    lives("xen_params_wild", faces=XEN),
    lives("xen_vcpu_areas", faces=XEN, quick=True),
    storm("xen_timers", faces=XEN, quick=True),
    storm("xen_polls", faces=XEN),
    lives("xen_grants_wild", faces=XEN, quick=True),
    storm("xen_grants_in_flight", faces=XEN, vcpus=2),
    Case("xen_crash", "crashed", faces=XEN),
    Case("xen_soft_reset", "reboots", faces=XEN),
    lives("xen_shutdown_reasons", faces=XEN),
    Case("xen_watchdog", "crashed", faces=XEN, why="watchdog"),
    Case("xen_blocks_forever", "slowed", faces=XEN),
    # hostile_xen_device.c
    lives("blk_ring_ahead", faces=XEN, log="vbd 51712: request index out of range", quick=True),
    lives("blk_ring_back", faces=XEN, log="vbd 51712: request index out of range"),
    lives("blk_ring_far", faces=XEN, log="vbd 51712: request index out of range"),
    storm("blk_requests_lie", faces=XEN, quick=True),
    storm("blk_requests_move", faces=XEN, vcpus=2),
    storm("blk_grants_revoked", faces=XEN, quick=True),
    lives("blk_off_in_flight", faces=XEN),
    Case("blk_reset_in_flight", "reboots", faces=XEN),
    storm("blk_reconnects", faces=XEN),
    storm("blk_doorbell_storm", faces=XEN, quick=True),
    storm("xenbus_states_wild", faces=XEN),
    storm("net_frames_lie", faces=XEN, quick=True),
    lives("net_tx_far", faces=XEN, log="vif 0: transmit ring broken by the frontend"),
    lives("net_rx_far", faces=XEN, log="vif 0: receive ring broken by the frontend"),
    storm("net_rx_lies", faces=XEN),
    storm("net_frames_in_flight", faces=XEN),
    lives("store_flood", faces=XEN, quick=True),
    storm("store_transactions", faces=XEN),
    storm("store_unread", faces=XEN),
    storm("store_lies", faces=XEN, quick=True),
    lives("store_too_long", faces=XEN, log="xenstore: connection dropped"),
    lives("store_far", faces=XEN, log="xenstore: connection dropped"),
    storm("console_far", faces=XEN),
    # hostile_hyperv.c
    lives("hv_page_msrs", faces=HYPERV, quick=True),
    storm("hv_pages_flip", faces=HYPERV, vcpus=3, quick=True),
    lives("hv_msrs_wild", faces=HYPERV, quick=True),
    storm("hv_apic_msrs", faces=HYPERV),
    storm("hv_eom_storm", faces=HYPERV, quick=True),
    lives("hv_calls", faces=HYPERV, quick=True),
    lives("hv_calls_32", faces=HYPERV, quick=True),
    lives("hv_calls_user", faces=HYPERV, quick=True),
    lives("hv_before_id", faces=HYPERV),
    storm("hv_signal_storm", faces=HYPERV),
    storm("hv_ipi_storm", faces=HYPERV, vcpus=4),
    storm("hv_flush_storm", faces=HYPERV, vcpus=4, quick=True),
    Case("hv_idle_forever", "slowed", faces=HYPERV),
    storm("hv_stimers", faces=HYPERV, quick=True),
    storm("hv_stimer_storm", faces=HYPERV),
    Case("hv_crash", "crashed", faces=HYPERV, why="guest crash: P0=", log=r"^guest \S+: guest crash: P0="),
    Case("hv_crash_storm", "crashed", faces=HYPERV, why="guest crash: P0="),
    Case("hv_reset", "reboots", faces=HYPERV),
    # hostile_vmbus.c
    storm("bus_messages_wild", faces=HYPERV, quick=True),
    lives("bus_post_lies", faces=HYPERV),
    storm("bus_messages_unread", faces=HYPERV, quick=True),
    storm("bus_contacts", faces=HYPERV),
    lives("bus_gpadls_lie", faces=HYPERV, quick=True),
    lives("bus_gpadls_never_finish", faces=HYPERV),
    lives("bus_gpadls_all_taken", faces=HYPERV),
    lives("bus_opens_lie", faces=HYPERV, quick=True),
    lives("bus_ring_ahead", faces=HYPERV, log=STOPS),
    lives("bus_ring_far", faces=HYPERV, log=STOPS, quick=True),
    lives("bus_ring_unaligned", faces=HYPERV, log=STOPS),
    lives("bus_ring_back", faces=HYPERV, log=STOPS),
    lives("bus_read_far", faces=HYPERV, log=STOPS),
    lives("bus_packet_too_long", faces=HYPERV, log=STOPS),
    lives("bus_packet_offset", faces=HYPERV, log=STOPS),
    lives("bus_packet_type", faces=HYPERV, log=STOPS),
    storm("bus_ring_moves", faces=HYPERV, vcpus=2),
    storm("stor_requests_lie", faces=HYPERV, quick=True),
    storm("stor_doorbell_storm", faces=HYPERV, quick=True),
    lives("stor_off_in_flight", faces=HYPERV),
    Case("stor_reset_in_flight", "reboots", faces=HYPERV),
    storm("stor_unload_in_flight", faces=HYPERV),
    storm("stor_closes", faces=HYPERV),
    storm("hvnet_frames_lie", faces=HYPERV, quick=True),
    lives("hvnet_read_far", faces=HYPERV, log=STOPS),
    storm("hvnet_frames_in_flight", faces=HYPERV),
]

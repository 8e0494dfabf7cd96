/*
 * machine.h - core's own view of a guest, a vCPU and a host CPU. Nobody outside core includes it.
 */
#ifndef CORE_MACHINE_H
#define CORE_MACHINE_H

#include "backend/block.h"
#include "backend/clock.h"
#include "backend/console.h"
#include "backend/lifecycle.h"
#include "backend/switch.h"
#include "base/blob.h"
#include "base/lock.h"
#include "hypervisor/arch/x86/host.h"
#include "hypervisor/arch/x86/hvm_ops.h"
#include "hypervisor/arch/x86/msr_policy.h"
#include "hypervisor/arch/x86/walk.h"
#include "hypervisor/core/p2m.h"
#include "hypervisor/core/tlb.h"
#include "hypervisor/core/watch.h"
#include "hypervisor/platform/board.h"
#include "vm/face.h"
#include "vm/spec.h"
#include "vm/vm.h"

#define VM_COUNT_MAX BLOB_GUESTS_MAX
#define SLICE_NS 10000000ull

/* What a vCPU has to look at before it runs on: set by any CPU, taken by its own. */
enum vcpu_request {
	REQUEST_FLUSH = 1, /* drop translations */
	REQUEST_INIT = 2,
	REQUEST_SIPI = 4,
	REQUEST_NMI = 8,
	REQUEST_LOOK = 16, /* an interrupt or upcall may be pending */
	REQUEST_WAKE = 32, /* vcpu_wake() */
	REQUEST_DOWN = 64,
	REQUEST_UP = 128,
	REQUEST_WORK = 256, /* run the guest's deferred work */
};

enum vcpu_place {
	PLACE_BLOCKED, /* on no CPU and in no queue */
	PLACE_QUEUED,
	PLACE_RUNNING, /* on `cpu` */
};

enum vcpu_life {
	LIFE_WAIT_SIPI, /* never started, or after INIT */
	LIFE_DOWN, /* has a state, but was taken down */
	LIFE_UP,
};

struct exit_trace {
	uint64_t tsc;
	uint64_t rip;
	uint64_t code;
	uint32_t vm;
	uint32_t vcpu;
};

struct vcpu {
	struct hvm_vcpu hvm;
	struct vm *vm;
	uint32_t index;
	void *slots[VM_SLOT_COUNT];

	/* own CPU only */
	enum vcpu_life life;
	bool halted; /* HLT */
	bool waiting; /* vcpu_wait() */
	bool yielding;
	bool nmi_pending;
	bool lapic_due; /* atomic: its timer has expired */
	uint64_t shadow_rip; /* where the interrupt shadow was seen, ~0 if none */
	uint64_t flush_wait; /* vCPUs whose flush this one waits for */
	uint64_t flush_seen[VM_VCPU_MAX];
	struct vm_timer wait_timer;
	struct vm_timer lapic_timer;
	struct msr_store msrs;
	uint64_t xcr0;
	uint64_t dr[4];
	void *xsave;
	struct vm_page *xsave_page;
	struct vm_page *backend_pages[4];
	struct tlb_vcpu tlb;
	struct hvm_paging paging; /* fetched once an exit, when first needed */
	bool paging_valid;
	uint8_t sipi_vector;
	struct hvm_event last_injected; /* for the log */
	bool done; /* atomic: down, or halted with interrupts off */

	/* any CPU, atomic */
	uint32_t requests;
	uint32_t in_guest;
	uint64_t exit_count; /* also: one more each time it has left the guest */
	uint32_t place; /* enum vcpu_place; changed under the scheduler's lock or by its own CPU */
	uint32_t cpu;
	struct list_node run_node;

	/* runstate, under the scheduler's lock */
	enum vcpu_runstate runstate;
	uint64_t runstate_since_ns;
	uint64_t runstate_time_ns[4];
	uint64_t exits_by_reason[HVM_EXIT_COUNT];
};

enum vm_life {
	VM_EMPTY, /* no such guest */
	VM_OFF,
	VM_STARTING, /* it is being built: nothing of it runs yet */
	VM_RUNNING,
	VM_ENDING, /* it is being taken apart: nothing of it runs any more */
	VM_CRASHED,
};

struct spec_count {
	uint64_t used;
	uint64_t refused;
};

struct vm {
	struct vm_config config;
	char name[BLOB_NAME_BYTES];
	const struct blob_guest *record;
	const struct blob_header *blob;
	enum vm_life life;
	uint32_t stopping; /* atomic: 0, or 1 + enum vm_stop_how, or VM_KILLED */
	char stop_reason[96];
	uint64_t stop_tsc; /* when it was told to stop */
	bool giving_back; /* it has ended, and not all its memory is free yet; boot CPU only */
	uint32_t start_count;
	bool quiescing; /* ending: waits until every CPU has passed quiet_passes */
	uint64_t quiet_passes[HOST_CPUS_MAX];
	bool autostart;
	bool start_asked, destroy_asked; /* by the monitor; boot CPU only */

	struct vcpu *vcpus[VM_VCPU_MAX];
	void *slots[VM_SLOT_COUNT];
	struct p2m p2m;
	struct board board;
	struct clock clock;
	uint64_t tsc_base; /* host TSC at guest time 0 */
	struct console console;
	struct lifecycle lifecycle;
	struct block disks[VM_DISK_MAX];
	struct switch_port ports[VM_NIC_MAX];
	gpa_t special[VM_SPECIAL_COUNT];
	struct vm_range map[16];
	uint32_t map_count;

	struct spinlock work_lock; /* RANK_WORK */
	struct list_node work;

	uint64_t heap_bytes; /* atomic */
	uint64_t page_count; /* atomic: pages of ours that it caused */
	uint64_t pin_count; /* atomic: pins on its pages, by whomever */

	struct {
		uint64_t window_tsc;
		uint32_t lines;
		uint64_t dropped;
	} log_limit;
	struct spec_count *counts; /* SPEC_TABLE_COUNT x (SPEC_ROW_MAX + 1) */
	uint64_t mmio_absent_count;
};

#define VM_KILLED 0x100u /* vm.stopping: for what it did */
#define VM_DESTROYED 0x101u /* by the monitor */
#define VM_NOT_STARTED 0x102u /* nothing of it may run yet, whatever wakes it */
#define HOST_EXIT_CONFIGURATION 0x11u
#define HOST_EXIT_UNFIT 0x12u

struct cpu {
	uint32_t index;
	uint32_t held_ranks;
	struct vcpu *current;
	bool idle;
	uint64_t slice_end_tsc;
	uint64_t armed_tsc;
	uint64_t passes; /* atomic: how often it had no guest's translation in use */
	struct spinlock timer_lock; /* RANK_TIMER */
	struct list_node timers; /* by deadline */
	uint64_t first_timer_tsc; /* atomic: the first one's deadline, ~0 if there is none */
	struct tlb_cpu tlb;
	const struct vm *last_guest; /* that ran here; to compare only. NULL before the first */
	struct exit_trace trace[32];
	uint32_t trace_next;
	struct watch watch; /* of the next CPU; own CPU only */
	bool kicked; /* the next CPU was kicked, and the log does not have it yet */
	bool reaped; /* frames_reap() got on */
	uint64_t closed_since_tsc; /* since when no interrupt could be taken */
	uint64_t longest_ticks; /* largest such stretch while a guest had the CPU */
	uint64_t longest_code; /* the exit that it followed */
};

extern struct vm vms[VM_COUNT_MAX];
extern struct cpu cpus[HOST_CPUS_MAX];
extern uint32_t vm_count_all;
extern struct ether_switch switches[BLOB_SWITCHES_MAX];

static inline struct cpu *this_cpu(void)
{
	return cpu_local_get();
}

/* ---- vcpu.c: the life of a vCPU on its CPU ---- */

/* Makes the vCPU's memory and power-on state. False without memory. Control path. */
MUST_CHECK bool vcpu_create(struct vm *vm, uint32_t index);
void vcpu_destroy(struct vcpu *vcpu);
/* Core's own timers of it. No vCPU of the guest runs. */
void vcpu_disarm(struct vcpu *vcpu);
/* Runs @vcpu, which the scheduler has given to this CPU, until its slice ends or it has nothing to do. */
enum vcpu_leave {
	LEAVE_BLOCKED,
	LEAVE_AGAIN, /* to the end of the queue */
};
enum vcpu_leave vcpu_run(struct cpu *cpu, struct vcpu *vcpu);
/* Whether there is a reason for a vCPU that is on no CPU to get one. */
bool vcpu_has_reason(struct vcpu *vcpu);
/* Sets requests and makes its CPU see them. Any CPU. */
void vcpu_request(struct vcpu *vcpu, uint32_t requests);
/*
 * The boot state of the guest's first vCPU: 32-bit protected mode, flat, paging off, EAX @magic and EBX @info. Xen's PVH
 * entry gives no magic.
 */
void vcpu_set_boot_entry(struct vcpu *vcpu, uint32_t entry, uint32_t magic, uint32_t info);
/* Real mode at sipi_vector << 12, as after INIT and SIPI. */
void vcpu_reset_state(struct vcpu *vcpu, uint8_t sipi_vector);
/* What exits have to know of the host's CPU. The boot CPU, before any guest. */
void exit_start(void);
/* MSRs that are switched by hand with the vCPU (TSC_AUX). */
void vcpu_switch_msrs(struct vcpu *vcpu);
const struct hvm_paging *vcpu_paging(struct vcpu *vcpu);
void vcpu_inject_exception(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error);

/* ---- exit.c: what each exit does ---- */
void exit_handle(struct vcpu *vcpu, const struct hvm_exit *exit);

/* ---- memory.c ---- */
/* Walks @vcpu's page tables; @access and result are of walk.h. With WALK_FAULT *@error is the page fault's. */
enum walk_status core_walk(struct vcpu *vcpu, uint64_t linear, uint32_t access, gpa_t *at, uint32_t *error);

/* ---- emulate.c: instructions that touch devices ---- */
void emulate_memory(struct vcpu *vcpu, const struct hvm_exit *exit);
void emulate_string_io(struct vcpu *vcpu, const struct hvm_exit *exit);
/* Steps over the exiting instruction, @expected being an enum insn_class. False: it has changed meanwhile; run it again. */
MUST_CHECK bool emulate_step_over(struct vcpu *vcpu, const struct hvm_exit *exit, int expected);
void emulate_port(struct vcpu *vcpu, const struct hvm_exit *exit);
/* Steps over MOV to CR8 and tells its source register. False as above. */
MUST_CHECK bool emulate_move_to_cr8(struct vcpu *vcpu, const struct hvm_exit *exit, uint8_t *reg);

/* ---- sched.c ---- */
void sched_init(void);
NORETURN void sched_loop(unsigned int cpu);
/* @vcpu has a reason to run: queues it, or makes its CPU look. Any CPU; holding locks below RANK_SCHED. */
void sched_wake(struct vcpu *vcpu);
bool sched_others_wait(void);
void sched_runstate(struct vcpu *vcpu, enum vcpu_runstate state);
/* With @keep, and more than one CPU, the boot CPU runs no vCPU: control, the monitor and the log have it. Before any guest. */
void sched_keep_boot_cpu(bool keep);
/* No vCPU of @vm is on a CPU or queued. */
bool sched_vm_is_idle(struct vm *vm);
/* Takes host interrupts, runs due timers and small chores. No lock held. */
void cpu_open_interrupts(struct cpu *cpu);
/* For long control work: as above, if this CPU can. */
void cpu_breathe(void);
/*
 * Looks, about once a second, whether the next CPU still passes; kicks one that does not, and in the end panics. Where this
 * CPU may go round for long: the scheduler, a lock that it waits for.
 */
void cpu_watch_next(struct cpu *cpu);
/* A stretch without interrupts ends here: notes it if it is the longest. */
void cpu_note_stretch(struct cpu *cpu);

/* ---- timer.c ---- */
void timer_cpu_init(struct cpu *cpu);
void timer_run_due(struct cpu *cpu);
uint64_t timer_next_tsc(const struct cpu *cpu);
/* Timers of @vm that are armed. Boot CPU; holding no lock of RANK_TIMER or above. */
uint32_t timer_count(const struct vm *vm);

/* ---- work.c ---- */
/* One step of @vm's deferred work. False if there was none. */
bool work_run_one(struct vm *vm);

/* ---- vm.c ---- */
uint64_t vm_ns_to_tsc(const struct vm *vm, uint64_t ns);
/* Ends it from outside. Any CPU. */
void vm_destroy(struct vm *vm);

/* ---- control.c: start and end of guests ---- */
void control_init(void);
void control_poll(void);
/* What the monitor wants, of a guest that is off, and of one that runs or is being built. Done by the next control_poll(). */
void control_ask_start(struct vm *vm);
void control_ask_destroy(struct vm *vm);
/* Is there memory of a guest that has ended which waits to be freed? Any CPU. */
bool control_is_giving_back(void);

/* ---- wiring.c: faces and devices of a guest ---- */
bool wiring_create(struct vm *vm);
void wiring_teardown(struct vm *vm);
/* What its faces and devices hold now. Boot CPU, no lock held; zeros unless it runs. */
void wiring_count(struct vm *vm, struct face_counts *counts);

/* ---- resources.c: what a guest holds ---- */
struct resources {
	uint64_t ram_pages; /* its own memory */
	uint64_t page_count; /* of ours, for it */
	uint64_t limbo_pages; /* given up, and not free yet */
	uint64_t heap_bytes; /* of modules, for it */
	uint64_t pin_count;
	uint32_t timer_count;
	struct face_counts face;
};
/* Boot CPU, no lock held; of any guest in any state. */
void resources_get(struct vm *vm, struct resources *resources);
/* What it should have given back with its end: for the log, before its vCPUs go. */
void resources_note_leaks(struct vm *vm);

/* ---- host_disk.c: disks of the host, by name ---- */
/* False if there is no such disk or partition, or another guest writes to it. */
MUST_CHECK bool host_disk_open(struct block *block, bool partition, const char *name, bool read_only,
                               const char *serial);
/*
 * Gives up what host_disk_open() gave to @block; nothing if it is another kind of disk. Boot CPU; the guest's requests
 * have ended.
 */
void host_disk_close(struct block *block);
void host_disks_init(void);
/* Ends and starts requests of the host's disks, a bounded number. Any CPU, holding no lock. */
void host_disks_poll(void);
/* Would host_disks_poll() have something to do? Any CPU. */
bool host_disks_pending(void);

/* ---- build.c ---- */
MUST_CHECK bool build_guest(struct vm *vm);

/* ---- board_env.c ---- */
struct board_env board_env_of(struct vm *vm);

/* ---- config.c ---- */
void config_load(void);
const struct host_module *config_module(const struct blob_header *blob, uint32_t index);

/* ---- log.c ---- */
void log_init(void);
void log_line(const char *format, ...) PRINTF_LIKE(1, 2);
void log_drain(uint32_t bytes_max);
void log_flush_all(void);
extern const struct console_sink log_console_sink;

/* ---- monitor.c ---- */
void monitor_poll(void);

/* ---- stats.c ---- */
const char *stats_table_text(uint32_t table);
const char *stats_row_name(uint32_t table, uint32_t row);
/* Gives @say a line for each of the last exits on host CPU @index, the oldest first. Any CPU; also in a panic. */
void stats_exits(uint32_t index, void (*say)(const char *format, ...));
uint32_t stats_row_number(uint32_t table, uint32_t row);

#endif /* CORE_MACHINE_H */

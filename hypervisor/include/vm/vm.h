/*
 * vm.h - what the paravirtual code may ask of the machine it serves: the seam down.
 *
 * enlighten/, synic/ and vmbus/ see a virtual machine only through this file and page.h; backends see
 * none. Two sides define these functions: hypervisor/core (real CPUs, nested page tables) and tests/host
 * (an array, a clock that the test turns, vCPUs that may be threads). The linker decides which.
 *
 * Rules for every caller:
 *  - Guest memory is hostile and changes under you. Load a field once, check the copy, use the copy.
 *  - What the guest caused is a return value, an error in its own interface, or vm_kill(); never a panic.
 *  - Nothing here sleeps. Unless said otherwise a function may be called in any context: on an exit, in a
 *    timer's callback, in deferred work, by another guest's vCPU; holding locks below RANK_MEMORY.
 */
#ifndef VM_VM_H
#define VM_VM_H

#include "base/addr.h"
#include "base/compiler.h"
#include "base/list.h"
#include "base/regs.h"
#include "vm/spec.h"

struct vm;
struct vcpu;
struct vm_page; /* one pinned page, see page.h */
struct block;
struct switch_port;
struct console;
struct clock;
struct lifecycle;

#define VM_VCPU_MAX 64u
#define VM_DISK_MAX 8u
#define VM_NIC_MAX 8u

enum vm_status {
	VM_OK = 0,
	VM_EFAULT, /* not guest RAM, or the range wraps */
	VM_EINVAL, /* misaligned, reserved bits, out of bounds */
	VM_EBUSY, /* in use: pinned, mapped elsewhere */
	VM_EQUOTA, /* this guest has used up its share */
};

/* ------------------------------------------------------------------ what the guest is */

struct vm_disk_config {
	struct block *block; /* opened by core, closed by core */
	bool read_only;
};

struct vm_nic_config {
	struct switch_port *port; /* made by core, see backend/switch.h */
	uint8_t mac[6];
};

/* Fixed for the life of the guest. */
struct vm_config {
	const char *name;
	uint32_t id; /* 1 and up: Xen's domid, Hyper-V's partition id */
	bool hyperv_face;
	bool xen_face;
	uint32_t vcpu_count;
	uint64_t memory_bytes; /* at start; the guest may balloon below it */
	uint8_t uuid[16];
	uint32_t disk_count;
	struct vm_disk_config disks[VM_DISK_MAX];
	uint32_t nic_count;
	struct vm_nic_config nics[VM_NIC_MAX];
	struct console *console;
	struct clock *clock;
	struct lifecycle *lifecycle;
};

const struct vm_config *vm_config(const struct vm *vm);

/* A pointer that a module keeps with the guest or with a vCPU: its own state. NULL until set in create. */
enum vm_slot {
	VM_SLOT_HYPERV,
	VM_SLOT_SYNIC,
	VM_SLOT_VMBUS,
	VM_SLOT_XEN,
	VM_SLOT_XENSTORE,
	VM_SLOT_COUNT,
};
void *vm_slot(const struct vm *vm, enum vm_slot slot);
void vm_slot_set(struct vm *vm, enum vm_slot slot, void *state);

/* Zeroed memory charged to the guest; NULL at its quota. @bytes at most 256 KiB. Not on an exit's hot path. */
MUST_CHECK void *vm_alloc(struct vm *vm, size_t bytes);
void vm_free(struct vm *vm, void *memory);

/* ------------------------------------------------------------------ guest memory by copy */

/*
 * All or nothing: on an error no byte has moved. The range may cross pages, at most 64 KiB. RAM and
 * overlay pages count as memory, device windows do not. vm_write() fails on a page that is read-only for
 * the guest.
 */
MUST_CHECK enum vm_status vm_read(struct vm *vm, gpa_t from, void *to, size_t len);
MUST_CHECK enum vm_status vm_write(struct vm *vm, gpa_t to, const void *from, size_t len);

/*
 * The same by linear address of @vcpu's current page tables, with supervisor rights; only on an exit of
 * @vcpu. Each page is translated by itself: on VM_EFAULT, bytes before the fault may have moved
 * (hypercall arguments of Xen's, clause 3.1 of its ABI).
 */
MUST_CHECK enum vm_status vcpu_read_linear(struct vcpu *vcpu, uint64_t from, void *to, size_t len);
MUST_CHECK enum vm_status vcpu_write_linear(struct vcpu *vcpu, uint64_t to, const void *from, size_t len);
/* Where a linear address lies now. VM_EFAULT if it is not mapped (@write: not writable). */
MUST_CHECK enum vm_status vcpu_translate(struct vcpu *vcpu, uint64_t linear, bool write, gpa_t *at);

/* ------------------------------------------------------------------ guest memory by page */

/*
 * Holds the frame behind a guest page until the matching unpin, even if the guest gives the page away
 * meanwhile. NULL if @at (rounded down to its page) is not RAM nor an overlay page that the guest may
 * write. Every pin has exactly one unpin.
 */
MUST_CHECK struct vm_page *vm_page_pin(struct vm *vm, gpa_t at);
void vm_page_unpin(struct vm *vm, struct vm_page *page);

/* A zeroed page of ours, charged to the guest (shared info, grant frames, hypercall page). NULL at the quota. */
MUST_CHECK struct vm_page *vm_page_alloc(struct vm *vm);
/* Takes it away from the guest (if it shows) and frees it when the last pin is gone. */
void vm_page_free(struct vm *vm, struct vm_page *page);

enum vm_access {
	VM_ACCESS_READ = 1,
	VM_ACCESS_WRITE = 2,
	VM_ACCESS_EXECUTE = 4,
};

/*
 * Shows a page of ours at @at, over whatever is there: RAM below is hidden, not lost, and comes back with
 * vm_page_hide(). A page shows at one place: showing it again moves it. VM_EFAULT outside the guest's
 * physical width or over a device's window; VM_EBUSY if another page of ours shows there.
 */
MUST_CHECK enum vm_status vm_page_show(struct vm *vm, struct vm_page *page, gpa_t at, uint32_t access);
void vm_page_hide(struct vm *vm, struct vm_page *page);
/* Where it shows; false if nowhere. */
bool vm_page_where(struct vm *vm, const struct vm_page *page, gpa_t *at);
/* The page of ours that shows at @at, or NULL. */
struct vm_page *vm_page_at(struct vm *vm, gpa_t at);

/*
 * Ballooning. Taking a RAM page: the guest loses it at once (also from under an overlay); the frame is
 * used again only when no CPU can still reach it and no pin holds it. VM_EFAULT if there is no RAM.
 * Giving: a zeroed frame appears at @at; VM_EBUSY if RAM is there, VM_EQUOTA above the guest's maximum.
 */
MUST_CHECK enum vm_status vm_ram_take(struct vm *vm, gpa_t at);
MUST_CHECK enum vm_status vm_ram_give(struct vm *vm, gpa_t at);
bool vm_is_ram(struct vm *vm, gpa_t at);
uint64_t vm_ram_pages(const struct vm *vm); /* that it has now */
uint64_t vm_ram_max_pages(const struct vm *vm); /* that it may have */
uint64_t vm_max_gfn(const struct vm *vm); /* highest frame number of RAM */

/* The guest's memory map as it was told at start. False past the end. Type as in ACPI: 1 RAM, 2 reserved ... */
struct vm_range {
	uint64_t base;
	uint64_t len_bytes;
	uint32_t type;
};
bool vm_memory_map(const struct vm *vm, uint32_t index, struct vm_range *range);

/* The three bytes of the hypercall instruction that this machine's CPU has (VMCALL or VMMCALL). */
const uint8_t *vm_hypercall_opcode(const struct vm *vm);

/* Pages set aside for a face's start-up rings (Xen's store and console): RAM, reserved in the map. */
enum vm_special {
	VM_SPECIAL_XENSTORE,
	VM_SPECIAL_CONSOLE,
	VM_SPECIAL_COUNT,
};
gpa_t vm_special_page(const struct vm *vm, enum vm_special which);

/* ------------------------------------------------------------------ virtual processors */

uint32_t vm_vcpu_count(const struct vm *vm);
struct vcpu *vm_vcpu(struct vm *vm, uint32_t index); /* NULL at and past the count */
struct vm *vcpu_vm(const struct vcpu *vcpu);
uint32_t vcpu_index(const struct vcpu *vcpu); /* = APIC id, ACPI id, Xen vCPU id, Hyper-V VP index */
void *vcpu_slot(const struct vcpu *vcpu, enum vm_slot slot);
void vcpu_slot_set(struct vcpu *vcpu, enum vm_slot slot, void *state);

/* General registers, RIP (of the exiting instruction) and RFLAGS; only on an exit of @vcpu. */
struct cpu_regs *vcpu_regs(struct vcpu *vcpu);

/* What the caller of a hypercall is, at this exit. */
struct vcpu_mode {
	uint8_t cpl;
	bool protected_mode; /* CR0.PE */
	bool vm86;
	bool long_mode; /* EFER.LMA */
	bool code64; /* EFER.LMA and CS.L */
};
struct vcpu_mode vcpu_mode(struct vcpu *vcpu);

/* Posts an edge-triggered, fixed interrupt to the vCPU's local APIC; nothing if the APIC is disabled. Wakes it. */
void vcpu_post_vector(struct vcpu *vcpu, uint8_t vector);
/* Whether the local APIC clears the in-service bit of @vector by itself at delivery (AutoEOI). Own vCPU only. */
void vcpu_set_auto_eoi(struct vcpu *vcpu, uint8_t vector, bool on);
void vcpu_post_nmi(struct vcpu *vcpu);
/* Looks again whether the face has an upcall for it (face.h), and wakes it. */
void vcpu_post_upcall(struct vcpu *vcpu);
/* A fault of the exiting instruction, on an exit of @vcpu. */
void vcpu_raise(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error);

/*
 * The calling vCPU runs no further until vcpu_wake(), any pending interrupt (whatever RFLAGS.IF), NMI or
 * upcall, or the deadline (guest time; 0 = none). A wake-up between this call and the end of the exit counts.
 */
void vcpu_wait(struct vcpu *vcpu, uint64_t deadline_ns);
void vcpu_wake(struct vcpu *vcpu);
/* Goes to the end of the run queue after this exit. */
void vcpu_yield(struct vcpu *vcpu);

/* The state to start in, for Xen's VCPUOP_initialise and Hyper-V's StartVirtualProcessor. */
struct vcpu_segment {
	uint64_t base;
	uint32_t limit;
	uint16_t selector;
	uint16_t attributes; /* type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, DB 10, G 11 */
};
struct vcpu_context {
	struct cpu_regs regs;
	uint64_t cr0, cr3, cr4, efer;
	struct vcpu_segment cs, ds, es, fs, gs, ss, tr, ldtr;
	uint64_t gdt_base, idt_base;
	uint16_t gdt_limit, idt_limit;
};
/* VM_EBUSY if it has been started or initialised, VM_EINVAL if no CPU could run this state. */
MUST_CHECK enum vm_status vcpu_initialise(struct vcpu *vcpu, const struct vcpu_context *context);
/* Up: runs from its state (VM_EINVAL if it has none). Down: stops at once. */
MUST_CHECK enum vm_status vcpu_up(struct vcpu *vcpu);
void vcpu_down(struct vcpu *vcpu);
bool vcpu_is_up(const struct vcpu *vcpu);

enum vcpu_runstate {
	VCPU_RUNNING,
	VCPU_RUNNABLE,
	VCPU_BLOCKED,
	VCPU_OFFLINE,
};
struct vcpu_times {
	enum vcpu_runstate state;
	uint64_t since_ns; /* guest time of entering the state */
	uint64_t time_ns[4]; /* by state, up to since_ns */
};
void vcpu_times(struct vcpu *vcpu, struct vcpu_times *times);

/*
 * Every vCPU in @mask (bit n = vCPU n) drops all translations before it runs another instruction, and @vcpu
 * itself runs no further until they all have (those not on a CPU now count as done: they flush at entry).
 */
void vcpu_flush_tlbs(struct vcpu *vcpu, uint64_t mask);

/* ------------------------------------------------------------------ time, timers, deferred work */

/* Guest time: 0 at creation, the same on all vCPUs, never back. Equal to what backend/clock.h computes from the TSC. */
uint64_t vm_time_ns(const struct vm *vm);

/*
 * A timer of one vCPU. The callback runs soon after the deadline, never before it, with no lock held, on
 * any CPU; it may arm the timer again. After disarm it can still run once if it was due already: check
 * your own state under your own lock.
 */
struct vm_timer {
	struct list_node node;
	uint64_t deadline_ns;
	struct vcpu *vcpu;
	void (*expired)(struct vm_timer *timer);
	/* core's own */
	uint64_t deadline_tsc;
	uint32_t cpu;
	bool armed;
};
void vm_timer_init(struct vm_timer *timer, struct vcpu *vcpu, void (*expired)(struct vm_timer *timer));
void vm_timer_arm(struct vm_timer *timer, uint64_t deadline_ns);
void vm_timer_disarm(struct vm_timer *timer);

/*
 * Work that a guest asked for, done in that guest's time: each step is bounded (64 KiB copied at most) and
 * returns true if there is more. A work item never runs on two CPUs at once; queueing it while it runs
 * makes it run again. Called with no lock held.
 */
struct vm_work {
	struct list_node node;
	struct vm *vm;
	bool (*step)(struct vm_work *work);
	uint32_t state; /* core's own */
};
void vm_work_init(struct vm_work *work, struct vm *vm, bool (*step)(struct vm_work *work));
void vm_work_queue(struct vm_work *work);
/* On return it is neither queued nor running. Only from a face's reset and teardown (no vCPU runs then) or from its own step. */
void vm_work_cancel(struct vm_work *work);

/* ------------------------------------------------------------------ its end, its log, its counts */

enum vm_stop_how {
	VM_STOP_POWEROFF,
	VM_STOP_REBOOT,
	VM_STOP_CRASH,
	VM_STOP_SUSPEND,
};
/* The guest ends or restarts itself. All its vCPUs stop before they run another instruction. The first call wins. */
void vm_stop(struct vm *vm, enum vm_stop_how how, const char *reason);
/* Ends this guest and no other, for breaking a contract in a way no error can answer. Returns; unwind as for an error. */
void vm_kill(struct vm *vm, const char *reason);

/* A line in the log under the guest's name. Limited in rate: what is dropped is counted. */
void vm_log(struct vm *vm, const char *format, ...) PRINTF_LIKE(2, 3);

/* The guest touched row @row (its place in the table, or SPEC_UNKNOWN) of a table of specs/; @refused: and got its error. */
void vm_count(struct vm *vm, enum spec_table table, uint32_t row, bool refused);

#endif /* VM_VM_H */

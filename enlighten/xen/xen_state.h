/*
 * xen_state.h - what the Xen face keeps for a guest and for each vCPU, and what its files share. Private
 * to enlighten/xen's face: the store and the devices use xen.h, evtchn.h and gnttab.h.
 *
 * Locks: event_lock (ports, vcpu_info places, deadlines, callback), each vCPU's area_lock (its runstate and
 * time areas; the same rank, never with another), grant_lock (grant table, placing of pages of ours).
 */
#ifndef ENLIGHTEN_XEN_XEN_STATE_H
#define ENLIGHTEN_XEN_XEN_STATE_H

#include "abi/xen.h"
#include "backend/clock.h"
#include "base/addr.h"
#include "base/bits.h"
#include "base/lock.h"
#include "enlighten/xen/evtchn.h"
#include "enlighten/xen/gnttab.h"
#include "enlighten/xen/xen.h"
#include "vm/page.h"
#include "vm/vm.h"

#define XEN_VERSION_MAJOR 4u
#define XEN_VERSION_MINOR 17u
#define XEN_DOMID_BACKENDS 0u /* who we are, to the guest */
#define XEN_E820_MAX 128u
#define XEN_GRANT_FRAMES_MAX 64u
#define XEN_GRANTS_A_FRAME 512u
#define XEN_WATCHDOG_COUNT 2u
#define XEN_SHUTDOWN_NONE 0xFFu
#define XEN_NO_VECTOR 0u

/* Work that one exit may do, in bytes copied or their equal; then the call is preempted (3.3 of its ABI). */
#define XEN_BUDGET 65536
#define XEN_COST_STEP 1024 /* one small step: an entry, a port, a page taken */
#define XEN_COST_PAGE 4096 /* a page zeroed */
#define XEN_COST_FRAME 12288 /* a grant frame and its records */

/* ------------------------------------------------------------------ state */

struct evtchn_port {
	uint8_t state; /* EVTCHNSTAT_* */
	uint8_t vcpu;
	uint8_t virq;
	bool ours; /* interdomain, and the other end is @be */
	bool left; /* closed by the guest; @be waits to be bound again, the number is kept */
	uint16_t remote_dom;
	uint32_t remote_port;
	struct evtchn_backend be;
};

/* Memory of the guest's that we keep up to date: at most a page long, over two pages at most. */
struct xen_area {
	struct vm_page *pages[2]; /* pinned; NULL: none */
	uint32_t off; /* in the first */
	bool narrow; /* 32-bit layout */
	bool flagged; /* the update flag is wanted, whatever vm_assist says */
};

struct xen_vcpu {
	struct xen_vm *xen;
	struct vcpu *vcpu;
	uint32_t id;
	/* event_lock, but read without it by upcall(): page last, with release. */
	struct vm_page *info_page; /* NULL: none (id above 31, not registered) */
	uint32_t info_off;
	bool info_registered; /* then info_page is a pin of its own */
	uint8_t upcall_vector;
	uint32_t virq_port[NR_VIRQS];
	uint32_t poll_port; /* while its bit of poll_mask is set; 0: any */
	struct vm_timer singleshot, periodic;
	uint64_t singleshot_ns, periodic_ns; /* deadlines; 0: off */
	uint64_t period_ns;
	/* area_lock. */
	struct spinlock area_lock;
	struct xen_area runstate, time;
};

struct xen_watchdog {
	struct vm_timer timer;
	struct xen_vm *xen;
	uint64_t deadline_ns;
	bool in_use;
};

/* How an entry is used now. The guest's frame number is read at the first hold only. */
struct gnttab_active {
	uint16_t hold_count;
	uint16_t write_count;
	uint32_t frame;
	uint16_t domid;
	uint16_t pad;
};

struct xen_vm {
	struct vm *vm;
	struct xen_vcpu *vcpus[VM_VCPU_MAX];

	struct spinlock event_lock;
	struct vm_page *shared;
	struct evtchn_port *ports; /* EVTCHN_2L_NR_CHANNELS_64 */
	uint64_t port_used[EVTCHN_2L_NR_CHANNELS_64 / 64];
	uint64_t poll_mask; /* vCPUs in SCHEDOP_poll */
	bool narrow; /* shared info has the 32-bit layout */
	uint8_t callback_vector; /* XEN_NO_VECTOR: none */
	bool runstate_flag; /* vm_assist type 5 */
	uint8_t shutdown_code;
	struct xen_watchdog watchdogs[XEN_WATCHDOG_COUNT];
	uint32_t store_port, console_port;
	uint64_t params[HVM_NR_PARAMS];

	struct spinlock grant_lock;
	uint32_t frame_count;
	struct vm_page *frames[XEN_GRANT_FRAMES_MAX];
	struct gnttab_active *active[XEN_GRANT_FRAMES_MAX];
	uint32_t held_count; /* entries with a hold */
	uint32_t map_count; /* what the guest set as its memory map; 0: nothing */
	struct xen_e820_entry map[XEN_E820_MAX];
};

static inline struct xen_vm *xen_of_vm(const struct vm *vm)
{
	return vm_slot(vm, VM_SLOT_XEN);
}

static inline struct xen_vcpu *xen_of_vcpu(const struct vcpu *vcpu)
{
	return vcpu_slot(vcpu, VM_SLOT_XEN);
}

/* The vCPU of that number, unchecked. NULL if there is none. */
static inline struct xen_vcpu *xen_vcpu_at(struct xen_vm *xen, uint64_t raw_id)
{
	return raw_id < vm_vcpu_count(xen->vm) ? xen->vcpus[raw_id] : NULL;
}

static inline bool xen_domid_is_self(const struct xen_vm *xen, uint16_t raw_domid)
{
	return raw_domid == DOMID_SELF || raw_domid == vm_config(xen->vm)->id;
}

/* ------------------------------------------------------------------ a hypercall */

struct xen_call {
	struct xen_vm *xen;
	struct xen_vcpu *self;
	struct vm *vm;
	struct vcpu *vcpu;
	bool narrow; /* the caller uses 32-bit layouts */
	bool multicall; /* it stands in one */
	bool again; /* out of budget: args hold where to go on */
	int32_t budget;
	uint64_t args[6]; /* unchecked */
};

typedef int64_t xen_call_fn(struct xen_call *call);

enum xen_row_status {
	XEN_ROW_NONE,
	XEN_ROW_OFFERED,
	XEN_ROW_REFUSED
};

/* A row of specs/xen_*.def, at its number. */
struct xen_row {
	xen_call_fn *call; /* NULL: -ENOSYS */
	uint16_t row;
	uint8_t status; /* enum xen_row_status */
};

/* Both ways to read a .def: its rows' places in the file, then a table by number. */
#define XEN_ROW_PLACE(number, name, status, handler, clause) ROW_##name,
#define XEN_ROW_ENTRY(number, name, status, handler, clause) \
	[number] = {(handler), ROW_##name, XEN_ROW_##status},

/* Runs row @raw_number of @rows and counts it; -ENOSYS for what stands in no row. */
int64_t xen_dispatch(struct xen_call *call, enum spec_table table, const struct xen_row *rows,
                     uint32_t row_count, uint64_t raw_number);

/* Takes @cost off the budget; false if it is used up: set call->again and return. */
static inline bool xen_call_spend(struct xen_call *call, int32_t cost)
{
	if (call->budget <= 0) {
		return false;
	}
	call->budget -= cost;
	return true;
}

/* The guest's memory by the caller's linear addresses; false: -EFAULT. */
static inline bool xen_get(struct xen_call *call, uint64_t from, void *to, size_t len)
{
	return vcpu_read_linear(call->vcpu, call->narrow ? (uint32_t)from : from, to, len) == VM_OK;
}

static inline bool xen_put(struct xen_call *call, uint64_t to, const void *from, size_t len)
{
	return vcpu_write_linear(call->vcpu, call->narrow ? (uint32_t)to : to, from, len) == VM_OK;
}

/* An unsigned long of the caller's (a frame number, a pointer) at @from. */
static inline bool xen_get_long(struct xen_call *call, uint64_t from, uint64_t *value)
{
	*value = 0;
	return xen_get(call, from, value, call->narrow ? 4 : 8);
}

/* Where a frame number points; false if no guest has such an address. */
static inline bool xen_gfn_to_gpa(uint64_t raw_gfn, gpa_t *at)
{
	*at = gpa(raw_gfn << PAGE_SHIFT);
	return raw_gfn < BIT64(40);
}

/* The documented errors of refused rows. */
xen_call_fn xen_refuse_enosys, xen_refuse_eperm, xen_refuse_eacces, xen_refuse_einval, xen_refuse_eopnotsupp,
        xen_refuse_enodata;

/* The hypercalls, each in its file. */
xen_call_fn xen_memory_op, xen_multicall, xen_set_timer_op, xen_version_op, xen_gnttab_op, xen_vm_assist,
        xen_vcpu_op, xen_sched_op, xen_evtchn_op, xen_hvm_op;

/* ------------------------------------------------------------------ what the files share */

/* hypercall.c, cpuid.c: for xen_face. */
enum face_call xen_hypercall(struct vcpu *vcpu);
bool xen_cpuid(struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out);
enum face_msr xen_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
enum face_msr xen_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value);

/* evtchn.c. Those called *_locked want event_lock held. */
MUST_CHECK bool evtchn_create(struct xen_vm *xen);
void evtchn_reset(struct xen_vm *xen);
void evtchn_teardown(struct xen_vm *xen);
void evtchn_raise_locked(struct xen_vm *xen, uint32_t port);
void evtchn_raise_virq_locked(struct xen_vcpu *v, uint32_t virq);
/* A spurious upcall: everything may be pending. */
void evtchn_select_all_locked(struct xen_vcpu *v);
void evtchn_unmask_locked(struct xen_vm *xen, uint32_t port);
bool evtchn_is_pending(const struct xen_vm *xen, uint32_t port);
uint32_t evtchn_port_limit(const struct xen_vm *xen);
uint32_t evtchn_port_alloc_locked(struct xen_vm *xen); /* 0: none; a port bound to vCPU 0, state unbound */
void evtchn_port_free_locked(struct xen_vm *xen, uint32_t port);
/* Binds our end of the store's or console's port, which the guest closed, to the port again. -errno. */
int64_t evtchn_port_take_left_locked(struct xen_vm *xen, uint32_t raw_port);
/* NULL if @raw_port is not in use. */
struct evtchn_port *evtchn_port_at(struct xen_vm *xen, uint32_t raw_port);
/* Tells the vCPU that its upcall byte is set. */
void evtchn_deliver(struct xen_vcpu *v);
bool evtchn_upcall_is_pending(const struct xen_vcpu *v);
/* Takes the layout of the caller's mode for the shared info from now on. */
void evtchn_latch_width(struct xen_vm *xen, bool narrow);
/* VCPUOP_register_vcpu_info; -errno. */
int64_t evtchn_register_info(struct xen_vcpu *v, uint64_t raw_gfn, uint32_t raw_offset);

/* gnttab.c */
MUST_CHECK bool gnttab_create(struct xen_vm *xen);
void gnttab_reset(struct xen_vm *xen);
void gnttab_teardown(struct xen_vm *xen);
/*
 * The page of frame @raw_index, growing the table to it. NULL: beyond the limit or the quota, or, with call->again
 * set, out of budget on the way. grant_lock held.
 */
struct vm_page *gnttab_frame_locked(struct xen_call *call, uint64_t raw_index);
/* For gnttab_op.c: entry @ref granted to @domid; the entry's counts say how. grant_lock held. */
int16_t gnttab_hold_locked(struct xen_vm *xen, uint32_t raw_ref, uint16_t domid, bool write,
                           struct gnttab_hold *hold);
void gnttab_release_locked(struct xen_vm *xen, struct gnttab_hold *hold);
struct gnttab_active *gnttab_active_locked(struct xen_vm *xen, uint32_t raw_ref);

/* time.c */
void time_create(struct xen_vcpu *v);
void time_reset(struct xen_vcpu *v); /* also for teardown: disarms, drops areas */
void time_write_info(const struct xen_vm *xen, struct vm_page *page, uint32_t off);
void time_write_wallclock_locked(struct xen_vm *xen);
void time_update_runstate(struct xen_vcpu *v);
void time_set_singleshot(struct xen_vcpu *v, uint64_t deadline_ns);
void time_stop_singleshot(struct xen_vcpu *v);
void time_set_periodic(struct xen_vcpu *v, uint64_t period_ns); /* 0: stop */
/* The runstate in the caller's layout; returns its length. @record has room for struct xen_runstate64. */
size_t time_encode_runstate(struct vcpu *vcpu, bool narrow, void *record);
/* Areas by the caller's linear or the guest's physical address; -errno. */
int64_t time_area_linear(struct xen_call *call, struct xen_vcpu *v, struct xen_area *area,
                         uint64_t raw_linear, size_t len);
int64_t time_area_physical(struct xen_call *call, struct xen_vcpu *v, struct xen_area *area, uint64_t raw_gpa,
                           size_t len);

/* sched.c */
void sched_create(struct xen_vm *xen);
void sched_reset(struct xen_vm *xen);
void sched_poll_ended(struct xen_vcpu *v);

#endif /* ENLIGHTEN_XEN_XEN_STATE_H */

/*
 * guest.h - the machine that a guest's driver runs on, as a table of operations.
 *
 * The drivers below guest-drivers/ are freestanding and know no other way out, so the same code
 * runs in the certification guest (real instructions, memory mapped one to one) and in a test
 * process that calls the faces directly (tests/loopback). Linear addresses equal physical ones in
 * both. One thread: the drivers keep no locks, and one CPU calls them.
 *
 * The host is trusted no more than Linux trusts it: what stands in shared memory is copied,
 * checked, then used.
 */
#ifndef GUEST_DRIVERS_GUEST_H
#define GUEST_DRIVERS_GUEST_H

#include "base/addr.h"
#include "base/compiler.h"
#include "base/mem.h"

/* A page of the guest's memory. */
struct guest_page {
	uint8_t *bytes; /* where the driver finds it; NULL: none */
	uint64_t gfn;
};

/* Each is given guest.context, and may be called at any time that a driver runs. None is NULL. */
struct guest_ops {
	/* A zeroed page. False: none left. */
	bool (*page_alloc)(void *context, struct guest_page *page);
	/* Gives it back and clears @page; nothing if it is none. */
	void (*page_free)(void *context, struct guest_page *page);
	/*
	 * Where the page at @gfn is found now; again after a call that changed what is mapped
	 * there. NULL: nowhere.
	 */
	uint8_t *(*page_at)(void *context, uint64_t gfn);

	void (*cpuid)(void *context, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);
	/* False: #GP. */
	bool (*rdmsr)(void *context, uint32_t msr, uint64_t *value);
	bool (*wrmsr)(void *context, uint32_t msr, uint64_t value);
	/* Xen's: number in RAX, arguments in RDI, RSI, RDX, R10, R8. */
	int64_t (*hypercall_xen)(void *context, uint32_t number, const uint64_t args[5]);
	/*
	 * Hyper-V's: control in RCX, physical addresses (or fast input) in RDX and R8, by a call into the page that
	 * the driver switched on by wrmsr(HV_X64_MSR_HYPERCALL).
	 */
	uint64_t (*hypercall_hyperv)(void *context, uint64_t control, uint64_t input, uint64_t output);
	/* The driver waits: the host may go on, a little time passes. */
	void (*poll)(void *context);
};

struct guest {
	const struct guest_ops *ops;
	void *context;
	uint32_t poll_max; /* how often a driver polls before it gives up on the host */
	/*
	 * Xen's upcall byte of this CPU, from xen_start() on; NULL: none. The upcall comes again and again while it is set, so
	 * the platform's handler of the vector must clear it; xen_events_handle() finds the events all the same.
	 */
	uint8_t *xen_upcall;
};

static inline bool guest_page_alloc(struct guest *guest, struct guest_page *page)
{
	return guest->ops->page_alloc(guest->context, page);
}

static inline void guest_page_free(struct guest *guest, struct guest_page *page)
{
	if (page->bytes != NULL) {
		guest->ops->page_free(guest->context, page);
	}
}

static inline void guest_poll(struct guest *guest)
{
	guest->ops->poll(guest->context);
}

/* Fields of shared memory: one access each. */
static inline uint32_t guest_load32(const void *at)
{
	return __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);
}

static inline void guest_store32(void *at, uint32_t value)
{
	__atomic_store_n((uint32_t *)at, value, __ATOMIC_RELEASE);
}

static inline void guest_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#endif /* GUEST_DRIVERS_GUEST_H */

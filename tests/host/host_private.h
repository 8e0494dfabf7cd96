/*
 * host_private.h - the hosted guest from inside; for tests/host/host_*.c only.
 *
 * Locks: memory (frames, overlays, allocations), work, timers, cpu (vCPUs and the end of the
 * guest), log. Their ranks are those that the metal takes in the same functions, so that the
 * callers' ranks are tried too.
 */
#ifndef TESTS_HOST_HOST_PRIVATE_H
#define TESTS_HOST_HOST_PRIVATE_H

#include "base/bits.h"
#include "base/lock.h"
#include "tests/host/host.h"

#define NOWHERE (~0ull)
#define LOG_LINES 64u
#define LOG_LINE_BYTES 200u
#define REASON_BYTES 160u

struct gfn_slot {
	struct vm_page *ram;     /* NULL: no RAM here */
	struct vm_page *overlay; /* NULL: none */
};

struct alloc_head {
	struct list_node node;
	size_t bytes; /* behind this head */
	bool kept;    /* of a snapshot */
	struct vm *vm;
};

struct vcpu {
	struct vm *vm;
	uint32_t index;
	struct cpu_regs regs;
	struct vcpu_mode mode;
	void *slots[VM_SLOT_COUNT];

	/* under vm->cpu_lock from here */
	uint8_t queue[256]; /* pending vectors, oldest first */
	uint32_t queue_count;
	bool pending[256];
	bool auto_eoi[256];
	uint64_t post_counts[256];
	bool lapic_enabled;
	bool nmi, upcall, fault_set;
	struct host_fault fault;
	bool waiting;
	uint64_t wait_deadline_ns;
	uint64_t yield_count, flush_count, flush_mask;
	bool initialised, started, up;
	struct vcpu_context context;
	struct vcpu_times times;
};

struct spec_count {
	uint64_t used, refused;
};

struct vm {
	struct vm_config config;
	struct host_vm_config host;
	struct clock *own_clock;
	char name[64];
	void *slots[VM_SLOT_COUNT];
	struct vcpu *vcpus;

	struct spinlock memory_lock;
	uint8_t *ram;            /* memory_bytes, mapped */
	struct vm_page *frames;  /* one for each page of @ram */
	uint64_t frame_count;
	struct gfn_slot *gfns;
	uint64_t gfn_count;
	uint64_t ram_pages;
	bool ballooned;
	struct list_node spare_frames; /* frames of RAM that stand nowhere */
	struct list_node extra_frames; /* by extra_frame.all */
	struct list_node pages;        /* of vm_page_alloc() */
	uint32_t page_count;
	uint64_t pin_total;
	struct list_node allocs;
	uint64_t alloc_bytes, alloc_live, alloc_tries;
	bool fail_armed;
	uint32_t fail_after;
	uint64_t fail_alloc_nth, fail_pin_nth; /* counted down; 0: off */
	bool fail_alloc_fired, fail_pin_fired;
	uint32_t *touched; /* indexes of frames, so that reset is cheap */
	uint64_t touched_count;
	struct host_pool *pool; /* NULL: none */
	host_translate_fn *translate;
	void *translate_context;

	struct spinlock work_lock;
	struct list_node works;

	struct spinlock timer_lock;
	struct list_node timers;
	uint64_t timer_count;
	uint64_t now_ns; /* atomic */
	bool real_time;
	uint64_t real_origin_ns;

	struct spinlock cpu_lock;
	bool stopped, killed;
	enum vm_stop_how stop_how;
	char reason[REASON_BYTES];

	struct spinlock log_lock;
	char log[LOG_LINES][LOG_LINE_BYTES];
	uint64_t log_count;

	struct spec_count counts[SPEC_TABLE_COUNT][SPEC_ROW_MAX + 1];
};

/* As memset(@to, 0, @len), without the sanitizer's look at each byte: for what is reset as a whole. */
static inline void host_clear(void *to, size_t len)
{
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(len) : "a"(0) : "memory");
}

void host_memory_new(struct vm *vm);
void host_memory_reset(struct vm *vm);
void host_memory_free(struct vm *vm);
/* Zeroed memory; whole pages are aligned as such. NULL: there is none. memory_lock held. */
void *host_block_new(struct vm *vm, size_t bytes);
/* Gives it back; @kept: to the snapshot that it is of. memory_lock held. */
void host_block_free(struct vm *vm, void *block, size_t bytes, bool kept);
void host_pool_free(struct vm *vm);
void host_vcpus_reset(struct vm *vm);
/* The deadline of a waiting vCPU may have passed. */
void host_vcpus_look(struct vm *vm);
void host_time_reset(struct vm *vm);

#endif /* TESTS_HOST_HOST_PRIVATE_H */

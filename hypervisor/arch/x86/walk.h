/*
 * walk.h - translates a guest's linear address through the guest's own page tables, by software.
 *
 * For the accesses that we make in the guest's name: operands of emulated instructions, code
 * bytes, hypercall buffers given by linear address. AMD64 APM vol. 2 chapter 5; Intel SDM vol. 3
 * chapter 4. Pure code: no lock, no global state; any context may call it. At most WALK_TRIES
 * walks of five entries each.
 */
#ifndef ARCH_X86_WALK_H
#define ARCH_X86_WALK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The access. None set: a supervisor's data read. Without WALK_USER it is implicit if ctx->cpl
 * is 3.
 */
#define WALK_WRITE 0x1u
#define WALK_USER 0x2u
#define WALK_FETCH 0x4u

/* The page fault's error code (APM vol. 2, 8.4.2). */
#define WALK_ERROR_PRESENT 0x01u
#define WALK_ERROR_WRITE 0x02u
#define WALK_ERROR_USER 0x04u
#define WALK_ERROR_RESERVED 0x08u
#define WALK_ERROR_FETCH 0x10u

#define WALK_TRIES 8u

enum walk_status {
	WALK_OK,
	WALK_FAULT, /* #PF with *fault_error, CR2 = the linear address */
	WALK_NONCANONICAL, /* #GP(0), or #SS(0) for an access through SS */
	WALK_NO_TABLE, /* a table is not in memory that the callbacks can reach */
	WALK_RETRY, /* other CPUs changed the entries at each try: enter the guest again */
};

enum walk_exchange {
	WALK_EXCHANGED,
	WALK_CHANGED, /* the entry held something else: nothing written */
	WALK_ABSENT, /* no memory there, or it cannot be written */
};

/*
 * The registers that paging depends on, and guest memory. @read gets an entry of 4 or 8 @bytes,
 * aligned, in one access, and returns false if there is no memory. @exchange replaces an entry
 * atomically. Both may be called several times for one address.
 */
struct walk_ctx {
	uint64_t cr0;
	uint64_t cr3;
	uint64_t cr4;
	uint64_t efer;
	uint64_t rflags;
	uint8_t cpl;
	uint8_t phys_bits; /* the guest's physical address width by its CPUID, 32 to 52 */
	void *memory;
	bool (*read)(void *memory, uint64_t gpa, uint8_t bytes, uint64_t *value);
	enum walk_exchange (*exchange)(void *memory, uint64_t gpa, uint8_t bytes, uint64_t old, uint64_t new);
};

/*
 * Translates @linear for @access, and sets the accessed and dirty bits as the CPU would. With
 * WALK_OK, *gpa is the guest-physical address, good up to the end of its 4 KiB page; with
 * WALK_FAULT, *fault_error is what to inject. Bits are set only when the whole walk succeeded.
 */
enum walk_status guest_walk(const struct walk_ctx *ctx, uint64_t linear, uint32_t access, uint64_t *gpa,
                            uint32_t *fault_error);

#endif /* ARCH_X86_WALK_H */

/*
 * metal_bench.h - the TSC around one operation, 1000 times.
 *
 * Where the emulated TSC counts executed instructions, those of the hypervisor included, the unit is emulated
 * instructions; on a real machine it is ticks of the TSC. RDTSC itself, and what puts an operation's arguments into
 * registers, are in the figures.
 */
#ifndef GUEST_DRIVERS_CERTIFY_METAL_BENCH_H
#define GUEST_DRIVERS_CERTIFY_METAL_BENCH_H

#include "guest-drivers/certify/metal.h"
#include "guest-drivers/metal/cpu.h"

/*
 * TSC, @body, TSC: the ticks between. RDTSC takes EAX and EDX, so @body sets those itself; what else it needs comes as
 * operands and what it changes is in the clobbers. Between two RDTSCs with no @body lie two moves.
 */
#define TICKS_AROUND(body, ...)                                                                           \
	__extension__({                                                                                   \
		register uint64_t first_low __asm__("r12");                                               \
		register uint64_t first_high __asm__("r13");                                              \
		uint64_t last_low;                                                                        \
		uint64_t last_high;                                                                       \
		__asm__ volatile("rdtsc\n"                                                                \
		                 "movl %%eax, %%r12d\n"                                                   \
		                 "movl %%edx, %%r13d\n" body "rdtsc\n"                                    \
		                 : "=&r"(first_low), "=&r"(first_high), "=&a"(last_low), "=&d"(last_high) \
		                 : __VA_ARGS__);                                                          \
		(last_high << 32 | last_low) - (first_high << 32 | first_low);                            \
	})

/* Warms up, samples, prints one `# bench` line. */
void bench_measure(struct certify *c, const char *name, uint64_t (*time)(void));

/* metal_bench_irq.S: a handler for vectors without an error code, that keeps the TSC of its first instruction. */
extern const uint8_t bench_irq_entry[];
extern volatile uint64_t bench_irq_tsc;
/* What it clears: Xen's upcall byte, which would call it again and again. Never NULL. */
extern uint8_t *bench_irq_lower;

/* Each measures what its face has. False: the face does not come up. */
bool bench_hyperv(struct certify *c);
bool bench_xen(struct certify *c);

#endif /* GUEST_DRIVERS_CERTIFY_METAL_BENCH_H */

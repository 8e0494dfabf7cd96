/*
 * lock.c - the metal's half of base/lock.h.
 */
#include "base/lock.h"

#include "hypervisor/core/machine.h"

uint32_t *lock_held_ranks(void)
{
	static uint32_t before_cpus; /* only the boot CPU runs until each has its struct cpu */
	struct cpu *cpu = this_cpu();

	return cpu == NULL ? &before_cpus : &cpu->held_ranks;
}

/* Whoever holds the lock may be stuck: then those who wait are the ones that can tell. */
void lock_relax(void)
{
	struct cpu *cpu = this_cpu();

	cpu_pause();
	if (cpu != NULL) {
		cpu_watch_next(cpu);
	}
}

/*
 * pause.c - goes round a loop of PAUSEs, count=N of them, and then stays, with none. Interrupts are on: Bochs' SVM takes
 * the host's only then.
 */
#include "guest-drivers/metal/cpu.h"

void program_main(void)
{
	uint32_t count = (uint32_t)option_number("count", 1000000);

	interrupts_on();
	for (uint32_t i = 0; i < count; i++) {
		cpu_pause();
	}
	report("pauses=%u", count);
	__asm__ volatile("1: incq %%rax\n jmp 1b" : : : "rax");
}

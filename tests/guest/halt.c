/*
 * halt.c - all CPUs halt with interrupts off: nothing can ever happen, so the machine is off.
 */
#include "guest-drivers/metal/cpu.h"

static void halt(unsigned int cpu)
{
	(void)cpu;
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}

void program_main(void)
{
	unsigned int up = cpus_start(halt);

	report("face=%s", face_name());
	report("halting=%u", up);
	halt(0);
}

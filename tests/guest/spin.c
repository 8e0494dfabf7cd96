/*
 * spin.c - keeps its CPU busy for ever, with interrupts off and nothing that a hypervisor would
 * see.
 */
#include "guest-drivers/metal/cpu.h"

static void spin(unsigned int cpu)
{
	(void)cpu;
	__asm__ volatile("1: incq %%rax\n jmp 1b" : : : "rax");
}

void program_main(void)
{
	report("face=%s", face_name());
	report("spinning=%u", cpus_start(spin));
	spin(0);
}

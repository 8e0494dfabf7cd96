/*
 * stuck.c - asks for CPUID leaf 5AFE5AFEh, at which a Janus that test_watchdog.py has altered goes round for ever.
 */
#include "guest-drivers/metal/cpu.h"

#define STUCK_LEAF 0x5afe5afeu

void program_main(void)
{
	report("stuck=soon");
	delay_us(100000); /* the line leaves */
	report("leaf=%u", cpuid(STUCK_LEAF, 0).eax);
	finish(true);
}

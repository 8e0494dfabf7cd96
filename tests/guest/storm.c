/*
 * storm.c - leaves the guest as often as it can for seconds=N: CPUID, an unclaimed port, an MSR
 * that is not there.
 */
#include "guest-drivers/metal/cpu.h"

#define UNCLAIMED_PORT 0x1234u
#define UNKNOWN_MSR 0x12345u

void program_main(void)
{
	uint64_t end = tsc_read() + tsc_hz() * option_number("seconds", 5);
	uint64_t rounds = 0;
	uint64_t value;
	bool ok = true;

	report("face=%s", face_name());
	report("storm=on");
	while (tsc_read() < end && ok) {
		ok = cpuid(0, 0).eax != 0 && port_read8(UNCLAIMED_PORT) == 0xff &&
		     !msr_read_safe(UNKNOWN_MSR, &value);
		rounds++;
	}
	report("rounds=%lu", (unsigned long)rounds);
	finish(ok);
}

/*
 * nmi.c - NMIs to oneself, in pairs: the second is sent from the first one's handler, and has to wait for its IRET, but
 * no longer. Done rounds=N times, interrupts off.
 */
#include "guest-drivers/metal/cpu.h"

#define MSR_X2APIC_ICR 0x830u
#define ICR_NMI 0x4400u
#define WAIT_NS 1000000000ull

extern const uint8_t nmi_entry[];
void nmi_taken(void);

static volatile uint64_t taken;
static volatile uint64_t depth;
static volatile uint64_t deepest;

static void send_nmi(void)
{
	msr_write(MSR_X2APIC_ICR, (uint64_t)cpu_number() << 32 | ICR_NMI);
}

/* The exits between sending and the end are so many chances to bring the second one too early. */
void nmi_taken(void)
{
	depth++;
	deepest = depth > deepest ? depth : deepest;
	taken++;
	if (taken % 2 == 1) {
		send_nmi();
		for (unsigned int i = 0; i < 5; i++) {
			(void)cpuid(0, 0);
		}
	}
	depth--;
}

static bool comes(uint64_t count)
{
	uint64_t start = tsc_read();

	while (taken < count) {
		if (tsc_to_ns(tsc_read() - start) > WAIT_NS) {
			return false;
		}
	}
	return true;
}

void program_main(void)
{
	uint64_t rounds = option_number("rounds", 200);
	uint64_t done = 0;
	bool ok = true;

	report("face=%s", face_name());
	interrupt_set_entry(2, nmi_entry);
	for (; done < rounds && ok; done++) {
		send_nmi();
		ok = comes(2 * (done + 1));
	}
	report("taken=%lu", (unsigned long)taken);
	report("deepest=%lu", (unsigned long)deepest);
	finish(ok && taken == 2 * rounds && deepest == 1);
}

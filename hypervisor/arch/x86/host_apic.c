/*
 * host_apic.c - the local APIC, by memory (xAPIC) or by MSR (x2APIC) as the firmware left it
 * (Intel SDM 3A, 11). An x2APIC register's MSR is 0x800 plus its xAPIC offset divided by 16.
 */
#include "base/check.h"
#include "hypervisor/arch/x86/host_internal.h"

#define MSR_APIC_BASE 0x1bu
#define APIC_BASE_X2 (UINT64_C(1) << 10)
#define APIC_BASE_ENABLE (UINT64_C(1) << 11)
#define MSR_X2APIC 0x800u
#define MSR_X2APIC_ICR 0x830u

#define APIC_ID 0x20u
#define APIC_TPR 0x80u
#define APIC_EOI 0xb0u
#define APIC_SVR 0xf0u
#define APIC_ISR 0x100u
#define APIC_ICR_LOW 0x300u
#define APIC_ICR_HIGH 0x310u
#define APIC_LVT_TIMER 0x320u
#define APIC_LVT_LINT0 0x350u
#define APIC_LVT_LINT1 0x360u
#define APIC_LVT_ERROR 0x370u
#define APIC_TIMER_INITIAL 0x380u
#define APIC_TIMER_CURRENT 0x390u
#define APIC_TIMER_DIVIDE 0x3e0u

#define SVR_ENABLE 0x100u
#define LVT_MASKED 0x10000u
#define DIVIDE_BY_1 0xbu
#define ICR_PENDING 0x1000u

/* NULL in x2APIC mode, and before apic_find(). */
static volatile uint8_t *registers;
static bool is_x2;

static uint32_t apic_read(uint32_t offset)
{
	if (is_x2) {
		return (uint32_t)msr_read(MSR_X2APIC + offset / 16);
	}
	return *(volatile uint32_t *)(registers + offset);
}

static void apic_write(uint32_t offset, uint32_t value)
{
	if (is_x2) {
		msr_write(MSR_X2APIC + offset / 16, value);
	} else {
		*(volatile uint32_t *)(registers + offset) = value;
	}
}

void apic_find(void)
{
	uint64_t base = msr_read(MSR_APIC_BASE);

	is_x2 = (base & APIC_BASE_X2) != 0;
	if (!is_x2) {
		hpa_t at = hpa(base & UINT64_C(0x000ffffffffff000));

		registers = host_mmio_map(at, PAGE_BYTES);
		if (registers == NULL) {
			PANIC("the local APIC at %lx cannot be mapped", at.v);
		}
	}
}

void apic_start(void)
{
	uint64_t base = msr_read(MSR_APIC_BASE) | APIC_BASE_ENABLE;

	if (is_x2 && (base & APIC_BASE_X2) == 0) {
		/* Through xAPIC mode: straight to x2APIC is refused. */
		msr_write(MSR_APIC_BASE, base);
		base |= APIC_BASE_X2;
	}
	msr_write(MSR_APIC_BASE, base);
	apic_write(APIC_SVR, SVR_ENABLE | HOST_VECTOR_SPURIOUS);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_LVT_TIMER, LVT_MASKED | HOST_VECTOR_TIMER);
	apic_write(APIC_LVT_LINT0, LVT_MASKED);
	apic_write(APIC_LVT_LINT1, LVT_MASKED);
	apic_write(APIC_LVT_ERROR, LVT_MASKED);
	apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
	apic_write(APIC_TIMER_INITIAL, 0);
}

uint32_t apic_id_read(void)
{
	return is_x2 ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

bool apic_in_service(unsigned int vector)
{
	return (apic_read(APIC_ISR + vector / 32 * 16) & (1u << vector % 32)) != 0;
}

/*
 * What stood in memory before an IPI must be seen by its receiver: an x2APIC write does not see
 * to it.
 */
void apic_send(uint32_t apic_id, uint32_t command)
{
	if (is_x2) {
		cpu_fence();
		msr_write(MSR_X2APIC_ICR, (uint64_t)apic_id << 32 | command);
		return;
	}
	apic_write(APIC_ICR_HIGH, apic_id << 24);
	apic_write(APIC_ICR_LOW, command);
	for (unsigned int i = 0; i < 100000 && (apic_read(APIC_ICR_LOW) & ICR_PENDING) != 0; i++) {
		cpu_pause();
	}
}

void cpu_kick(unsigned int cpu)
{
	apic_send(cpu_apic_id(cpu), APIC_FIXED | HOST_VECTOR_KICK);
}

void host_nmi_send(unsigned int cpu)
{
	apic_send(cpu_apic_id(cpu), APIC_NMI);
}

void apic_timer_set(uint32_t ticks, bool masked)
{
	apic_write(APIC_LVT_TIMER, HOST_VECTOR_TIMER | (masked ? LVT_MASKED : 0));
	apic_write(APIC_TIMER_INITIAL, ticks);
}

uint32_t apic_timer_left(void)
{
	return apic_read(APIC_TIMER_CURRENT);
}

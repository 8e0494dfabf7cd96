/*
 * vlapic_test.c - local APIC: modes, registers, priorities, destinations, IPIs, timer.
 */
#include <pthread.h>

#include "hypervisor/platform/vioapic.h"
#include "hypervisor/platform/vlapic.h"
#include "tests/unit/platform_fake.h"

#define ID 0x020u
#define VERSION 0x030u
#define TPR 0x080u
#define APR 0x090u
#define PPR 0x0A0u
#define EOI 0x0B0u
#define LDR 0x0D0u
#define DFR 0x0E0u
#define SVR 0x0F0u
#define ISR 0x100u
#define TMR 0x180u
#define IRR 0x200u
#define ESR 0x280u
#define ICR_LOW 0x300u
#define ICR_HIGH 0x310u
#define LVT_TIMER 0x320u
#define LVT_LINT0 0x350u
#define LVT_ERROR 0x370u
#define TMICT 0x380u
#define TMCCT 0x390u
#define TDCR 0x3E0u

#define MSR(offset) (0x800u + ((offset) >> 4))

#define BASE_XAPIC (VLAPIC_BASE | APIC_BASE_EN)
#define BASE_X2APIC (VLAPIC_BASE | APIC_BASE_EN | APIC_BASE_EXTD)

static struct fake fake;
static struct vlapic_bus bus;
static struct vlapic lapics[FAKE_VCPUS];

/* @count enabled local APICs in xAPIC mode. */
static void setup(unsigned int count)
{
	bus = (struct vlapic_bus){.env = fake_env(&fake), .lapics = lapics, .vcpu_count = count};
	for (unsigned int i = 0; i < count; i++) {
		vlapic_init(&lapics[i], &bus, i);
		vlapic_mmio_write(&lapics[i], SVR, 4, 0x1FF);
	}
}

static void setup_x2apic(unsigned int count)
{
	setup(count);
	for (unsigned int i = 0; i < count; i++) {
		CU_ASSERT_TRUE(vlapic_msr_write(&lapics[i], MSR_APIC_BASE, BASE_X2APIC));
	}
}

static uint32_t rd(unsigned int vcpu, uint32_t offset)
{
	return (uint32_t)vlapic_mmio_read(&lapics[vcpu], offset, 4);
}

static void wr(unsigned int vcpu, uint32_t offset, uint32_t value)
{
	vlapic_mmio_write(&lapics[vcpu], offset, 4, value);
}

static uint64_t rdmsr(unsigned int vcpu, uint32_t msr)
{
	uint64_t value = 0;

	CU_ASSERT_TRUE(vlapic_msr_read(&lapics[vcpu], msr, &value));
	return value;
}

static void ipi(unsigned int vcpu, uint32_t dest, uint32_t low)
{
	wr(vcpu, ICR_HIGH, dest << 24);
	wr(vcpu, ICR_LOW, low);
}

static void test_reset_state(void)
{
	setup(2);
	vlapic_reset(&lapics[0]);
	CU_ASSERT_EQUAL(rd(0, SVR), 0xFF);
	CU_ASSERT_EQUAL(rd(0, DFR), 0xFFFFFFFF);
	CU_ASSERT_EQUAL(rd(0, VERSION), VLAPIC_VERSION);
	CU_ASSERT_EQUAL(rd(0, LVT_TIMER), 0x10000);
	CU_ASSERT_EQUAL(rd(1, ID), 1u << 24);
	CU_ASSERT_EQUAL(rdmsr(0, MSR_APIC_BASE), BASE_XAPIC | APIC_BASE_BSP);
	CU_ASSERT_EQUAL(rdmsr(1, MSR_APIC_BASE), BASE_XAPIC);
	CU_ASSERT_FALSE(vlapic_is_enabled(&lapics[0]));
	CU_ASSERT_EQUAL(vlapic_pending(&lapics[0]), -1);
	CU_ASSERT_EQUAL(vlapic_ppr(&lapics[0]), 0);
}

static void test_enable_is_told(void)
{
	setup(1);
	CU_ASSERT_EQUAL(fake.enables[0], 1);
	wr(0, SVR, 0x1F0);
	CU_ASSERT_EQUAL(fake.enables[0], 1);
	wr(0, LVT_LINT0, 0x700);
	wr(0, SVR, 0x0FF);
	CU_ASSERT_EQUAL(rd(0, LVT_LINT0), 0x10700);
	wr(0, LVT_LINT0, 0x700);
	CU_ASSERT_EQUAL(rd(0, LVT_LINT0), 0x10700);
	CU_ASSERT_FALSE(vlapic_post(&lapics[0], 0x40, false));
	CU_ASSERT_FALSE(vlapic_accepts_interrupts(&lapics[0]));
	wr(0, SVR, 0x1FF);
	CU_ASSERT_EQUAL(fake.enables[0], 2);
	CU_ASSERT_EQUAL(vlapic_pending(&lapics[0]), -1);
}

static void test_base_transitions(void)
{
	setup(1);
	/* From xAPIC: illegal bits, another page, x2APIC without enable. */
	CU_ASSERT_FALSE(vlapic_msr_write(&lapics[0], MSR_APIC_BASE, BASE_XAPIC | 1));
	CU_ASSERT_FALSE(vlapic_msr_write(&lapics[0], MSR_APIC_BASE, BASE_XAPIC | 1ull << 40));
	CU_ASSERT_FALSE(vlapic_msr_write(&lapics[0], MSR_APIC_BASE, 0xFEC00000u | APIC_BASE_EN));
	CU_ASSERT_FALSE(vlapic_msr_write(&lapics[0], MSR_APIC_BASE, VLAPIC_BASE | APIC_BASE_EXTD));
	CU_ASSERT_EQUAL(rdmsr(0, MSR_APIC_BASE), BASE_XAPIC | APIC_BASE_BSP);
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], MSR_APIC_BASE, BASE_XAPIC));
	CU_ASSERT_EQUAL(rdmsr(0, MSR_APIC_BASE), BASE_XAPIC | APIC_BASE_BSP);
	/* x2APIC: not straight back. */
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], MSR_APIC_BASE, BASE_X2APIC));
	CU_ASSERT_TRUE(vlapic_is_enabled(&lapics[0]));
	CU_ASSERT_FALSE(vlapic_msr_write(&lapics[0], MSR_APIC_BASE, BASE_XAPIC));
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], MSR_APIC_BASE, BASE_X2APIC));
	/* Disabled: forgets, takes nothing, and only xAPIC comes next. */
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], MSR_APIC_BASE, VLAPIC_BASE));
	CU_ASSERT_EQUAL(rd(0, ID), 0xFFFFFFFF);
	CU_ASSERT_FALSE(vlapic_msr_write(&lapics[0], MSR_APIC_BASE, BASE_X2APIC));
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], MSR_APIC_BASE, BASE_XAPIC));
	CU_ASSERT_EQUAL(rd(0, SVR), 0xFF);
}

static void test_init_keeps_mode(void)
{
	setup_x2apic(1);
	CU_ASSERT_TRUE(vlapic_post(&lapics[0], 0x40, false));
	vlapic_init_signal(&lapics[0]);
	CU_ASSERT_TRUE(vlapic_is_x2apic(&lapics[0]));
	CU_ASSERT_EQUAL(rdmsr(0, MSR(SVR)), 0xFF);
	CU_ASSERT_EQUAL(rdmsr(0, MSR(IRR) + 2), 0);
}

static void test_priorities(void)
{
	struct vlapic *l = &lapics[0];

	setup(1);
	CU_ASSERT_TRUE(vlapic_post(l, 0x41, false));
	CU_ASSERT_TRUE(vlapic_post(l, 0x52, false));
	CU_ASSERT_EQUAL(fake.kicks[0], 2);
	CU_ASSERT_TRUE(vlapic_post(l, 0x52, false));
	CU_ASSERT_EQUAL(fake.kicks[0], 2);
	CU_ASSERT_EQUAL(rd(0, IRR + 0x20), 0x00040002u);
	CU_ASSERT_EQUAL(vlapic_pending(l), 0x52);
	wr(0, TPR, 0x50);
	CU_ASSERT_EQUAL(vlapic_pending(l), -1);
	wr(0, TPR, 0x4F);
	CU_ASSERT_EQUAL(vlapic_pending(l), 0x52);
	vlapic_accept(l, 0x52);
	CU_ASSERT_EQUAL(rd(0, ISR + 0x20), 0x00040000u);
	CU_ASSERT_EQUAL(rd(0, PPR), 0x50);
	CU_ASSERT_EQUAL(vlapic_pending(l), -1);
	wr(0, TPR, 0x58);
	CU_ASSERT_EQUAL(rd(0, PPR), 0x58);
	wr(0, TPR, 0);
	/* A higher class goes between, the same class does not. */
	CU_ASSERT_TRUE(vlapic_post(l, 0x5F, false));
	CU_ASSERT_EQUAL(vlapic_pending(l), -1);
	CU_ASSERT_TRUE(vlapic_post(l, 0x61, false));
	CU_ASSERT_EQUAL(vlapic_pending(l), 0x61);
	vlapic_accept(l, 0x61);
	wr(0, EOI, 0);
	CU_ASSERT_EQUAL(fake.eois[0x61], 1);
	wr(0, EOI, 0);
	CU_ASSERT_EQUAL(fake.eois[0x52], 1);
	CU_ASSERT_EQUAL(vlapic_pending(l), 0x5F);
	vlapic_accept(l, 0x5F);
	vlapic_eoi(l);
	CU_ASSERT_EQUAL(vlapic_pending(l), 0x41);
	/* An EOI with nothing in service is nothing. */
	vlapic_eoi(l);
	CU_ASSERT_EQUAL(vlapic_pending(l), 0x41);
}

static void test_cr8(void)
{
	setup(1);
	vlapic_set_cr8(&lapics[0], 0x1A);
	CU_ASSERT_EQUAL(rd(0, TPR), 0xA0);
	vlapic_set_tpr(&lapics[0], 0x37);
	CU_ASSERT_EQUAL(vlapic_cr8(&lapics[0]), 3);
	CU_ASSERT_EQUAL(vlapic_tpr(&lapics[0]), 0x37);
}

static void test_auto_eoi(void)
{
	struct vlapic *l = &lapics[0];

	setup(1);
	vlapic_set_auto_eoi(l, 0xF3, true);
	CU_ASSERT_TRUE(vlapic_post(l, 0xF3, false));
	CU_ASSERT_EQUAL(vlapic_pending(l), 0xF3);
	vlapic_accept(l, 0xF3);
	CU_ASSERT_EQUAL(vlapic_pending(l), -1);
	CU_ASSERT_EQUAL(vlapic_ppr(l), 0);
	CU_ASSERT_EQUAL(fake.eois[0xF3], 0);
	vlapic_set_auto_eoi(l, 0xF3, false);
	CU_ASSERT_TRUE(vlapic_post(l, 0xF3, false));
	vlapic_accept(l, 0xF3);
	CU_ASSERT_EQUAL(vlapic_ppr(l), 0xF0);
}

static void test_trigger_mode(void)
{
	setup(1);
	CU_ASSERT_TRUE(vlapic_post(&lapics[0], 0x21, true));
	CU_ASSERT_EQUAL(rd(0, TMR + 0x10), 2);
	CU_ASSERT_TRUE(vlapic_post(&lapics[0], 0x21, false));
	CU_ASSERT_EQUAL(rd(0, TMR + 0x10), 0);
}

static void test_illegal_vector(void)
{
	setup(1);
	CU_ASSERT_FALSE(vlapic_post(&lapics[0], 15, false));
	CU_ASSERT_EQUAL(rd(0, ESR), 0);
	wr(0, ESR, 0);
	CU_ASSERT_EQUAL(rd(0, ESR), 1u << 6);
	wr(0, ESR, 0);
	CU_ASSERT_EQUAL(rd(0, ESR), 0);
	/* Sending one is the sender's error, with an interrupt if it wants one. */
	wr(0, LVT_ERROR, 0xFE);
	ipi(0, 0, 0x0F);
	CU_ASSERT_EQUAL(vlapic_pending(&lapics[0]), 0xFE);
	wr(0, ESR, 0);
	CU_ASSERT_EQUAL(rd(0, ESR), 1u << 5);
}

static void test_mmio_shapes(void)
{
	setup(1);
	CU_ASSERT_EQUAL(vlapic_mmio_read(&lapics[0], VERSION, 1), 0x14);
	CU_ASSERT_EQUAL(vlapic_mmio_read(&lapics[0], VERSION + 2, 2), 0x05);
	CU_ASSERT_EQUAL(vlapic_mmio_read(&lapics[0], VERSION + 4, 4), 0);
	CU_ASSERT_EQUAL(vlapic_mmio_read(&lapics[0], VERSION, 8), 0);
	vlapic_mmio_write(&lapics[0], TPR, 1, 0x30);
	vlapic_mmio_write(&lapics[0], TPR + 4, 4, 0x30);
	CU_ASSERT_EQUAL(rd(0, TPR), 0);
	wr(0, ID, 0x55000000);
	CU_ASSERT_EQUAL(rd(0, ID), 0);
	wr(0, ESR, 0);
	CU_ASSERT_EQUAL(rd(0, ESR), 0);
	CU_ASSERT_EQUAL(rd(0, EOI), 0);
	CU_ASSERT_EQUAL(rd(0, APR), 0);
	CU_ASSERT_EQUAL(rd(0, 0x400), 0);
	wr(0, ESR, 0);
	CU_ASSERT_EQUAL(rd(0, ESR), 1u << 7);
	wr(0, 0x3F0, 0x40);
	wr(0, ESR, 0);
	CU_ASSERT_EQUAL(rd(0, ESR), 1u << 7);
	CU_ASSERT_EQUAL(vlapic_pending(&lapics[0]), -1);
	wr(0, LVT_TIMER, 0xFFFFFFFF);
	CU_ASSERT_EQUAL(rd(0, LVT_TIMER), 0x300FF);
	wr(0, DFR, 0);
	CU_ASSERT_EQUAL(rd(0, DFR), 0x0FFFFFFF);
}

static void test_msr_shapes(void)
{
	uint64_t value;

	setup(2);
	CU_ASSERT_FALSE(vlapic_msr_read(&lapics[0], MSR(ID), &value));
	CU_ASSERT_FALSE(vlapic_msr_write(&lapics[0], MSR(TPR), 0));
	setup_x2apic(18);
	CU_ASSERT_EQUAL(rdmsr(17, MSR(ID)), 17);
	CU_ASSERT_EQUAL(rdmsr(17, MSR(LDR)), 0x00010002);
	CU_ASSERT_EQUAL(rdmsr(0, MSR(VERSION)), VLAPIC_VERSION);
	CU_ASSERT_EQUAL(rd(0, ID), 0xFFFFFFFF);
	CU_ASSERT_EQUAL(vlapic_mmio_read(&lapics[0], ID, 8), UINT64_MAX);
	wr(0, TPR, 0x20);
	CU_ASSERT_EQUAL(rdmsr(0, MSR(TPR)), 0);
	/* What is not there, or not that way. */
	CU_ASSERT_FALSE(vlapic_msr_read(&lapics[0], MSR(DFR), &value));
	CU_ASSERT_FALSE(vlapic_msr_read(&lapics[0], MSR(EOI), &value));
	CU_ASSERT_FALSE(vlapic_msr_read(&lapics[0], MSR(ICR_HIGH), &value));
	CU_ASSERT_FALSE(vlapic_msr_read(&lapics[0], 0x83F, &value));
	CU_ASSERT_FALSE(vlapic_msr_read(&lapics[0], 0x840, &value));
	CU_ASSERT_FALSE(vlapic_msr_read(&lapics[0], 0x800, &value));
	CU_ASSERT_FALSE(vlapic_msr_write(&lapics[0], MSR(LDR), 0));
	CU_ASSERT_FALSE(vlapic_msr_write(&lapics[0], MSR(ID), 0));
	CU_ASSERT_FALSE(vlapic_msr_write(&lapics[0], MSR(EOI), 1));
	CU_ASSERT_FALSE(vlapic_msr_write(&lapics[0], MSR(ESR), 1));
	CU_ASSERT_FALSE(vlapic_msr_write(&lapics[0], MSR(TPR), 0x100));
	CU_ASSERT_FALSE(vlapic_msr_write(&lapics[0], MSR(TPR), 1ull << 32));
	CU_ASSERT_FALSE(vlapic_msr_write(&lapics[0], MSR(SVR), 0x1000));
	CU_ASSERT_FALSE(vlapic_msr_write(&lapics[0], MSR(ICR_LOW), 1u << 13));
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], MSR(EOI), 0));
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], MSR(ESR), 0));
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], MSR(TPR), 0x10));
	CU_ASSERT_EQUAL(rdmsr(0, MSR(PPR)), 0x10);
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], MSR(LVT_LINT0), 0x8700));
	CU_ASSERT_EQUAL(rdmsr(0, MSR(LVT_LINT0)), 0x8700);
}

static void test_self_ipi(void)
{
	setup_x2apic(1);
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], 0x83F, 0x77));
	CU_ASSERT_EQUAL(vlapic_pending(&lapics[0]), 0x77);
	CU_ASSERT_FALSE(vlapic_msr_write(&lapics[0], 0x83F, 0x177));
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], 0x83F, 3));
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], MSR(ESR), 0));
	CU_ASSERT_EQUAL(rdmsr(0, MSR(ESR)), 1u << 5);
}

/* Which of the first eight have @vector pending, as a mask; takes it away again. */
static unsigned int took(uint8_t vector)
{
	unsigned int mask = 0;

	for (unsigned int i = 0; i < bus.vcpu_count && i < 32; i++) {
		if (vlapic_pending(&lapics[i]) == vector) {
			mask |= 1u << i;
			vlapic_accept(&lapics[i], vector);
			vlapic_eoi(&lapics[i]);
		}
	}
	return mask;
}

static void test_ipi_physical(void)
{
	setup(4);
	ipi(0, 2, 0x40);
	CU_ASSERT_EQUAL(took(0x40), 1u << 2);
	ipi(0, 0xFF, 0x41);
	CU_ASSERT_EQUAL(took(0x41), 0xF);
	ipi(0, 9, 0x42);
	CU_ASSERT_EQUAL(took(0x42), 0);
	CU_ASSERT_EQUAL(rd(0, ICR_LOW), 0x42);
	CU_ASSERT_EQUAL(rd(0, ICR_HIGH), 9u << 24);
	CU_ASSERT_EQUAL(vlapic_read_icr(&lapics[0]), 0x0900000000000042ull);
	/* The busy bit never reads back. */
	ipi(0, 9, 0x1042);
	CU_ASSERT_EQUAL(rd(0, ICR_LOW), 0x42);
}

static void test_ipi_flat(void)
{
	setup(4);
	for (unsigned int i = 0; i < 4; i++) {
		wr(i, LDR, 1u << (24 + i));
	}
	ipi(0, 0x0A, 0x840);
	CU_ASSERT_EQUAL(took(0x40), 0xA);
	ipi(0, 0xFF, 0x841);
	CU_ASSERT_EQUAL(took(0x41), 0xF);
	ipi(0, 0xF0, 0x842);
	CU_ASSERT_EQUAL(took(0x42), 0);
}

static void test_ipi_cluster(void)
{
	static const uint8_t ids[] = {0x11, 0x12, 0x21, 0x28};

	setup(4);
	for (unsigned int i = 0; i < 4; i++) {
		wr(i, DFR, 0x0FFFFFFF);
		wr(i, LDR, (uint32_t)ids[i] << 24);
	}
	ipi(0, 0x13, 0x840);
	CU_ASSERT_EQUAL(took(0x40), 0x3);
	ipi(0, 0x29, 0x841);
	CU_ASSERT_EQUAL(took(0x41), 0xC);
	ipi(0, 0x3F, 0x842);
	CU_ASSERT_EQUAL(took(0x42), 0);
}

static void test_ipi_x2apic(void)
{
	setup_x2apic(20);
	/* Logical: cluster 1 holds ids 16 to 31. */
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], 0x830, 0x0001000A00000840ull));
	CU_ASSERT_EQUAL(took(0x40), 1u << 17 | 1u << 19);
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], 0x830, 0x0000001200000041ull));
	CU_ASSERT_EQUAL(took(0x41), 1u << 18);
	CU_ASSERT_EQUAL(rdmsr(0, 0x830), 0x0000001200000041ull);
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], 0x830, 0xFFFFFFFF00000042ull));
	CU_ASSERT_EQUAL(took(0x42), 0xFFFFF);
	/* 0xFF is no broadcast here. */
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], 0x830, 0x000000FF00000043ull));
	CU_ASSERT_EQUAL(took(0x43), 0);
}

/* One CPU in x2APIC mode, the others not yet: each sees destinations in its own way. */
static void test_ipi_mixed_modes(void)
{
	setup(3);
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], MSR_APIC_BASE, BASE_X2APIC));
	wr(1, LDR, 0x02000000);
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], 0x830, 0x0000000200000840ull));
	CU_ASSERT_EQUAL(took(0x40), 1u << 1);
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], 0x830, 0x0000010200000841ull));
	CU_ASSERT_EQUAL(took(0x41), 0);
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[0], 0x830, 0x0000000200000042ull));
	CU_ASSERT_EQUAL(took(0x42), 1u << 2);
}

static void test_shorthands(void)
{
	setup(4);
	ipi(1, 3, 0x40040);
	CU_ASSERT_EQUAL(took(0x40), 1u << 1);
	ipi(1, 3, 0x80041);
	CU_ASSERT_EQUAL(took(0x41), 0xF);
	ipi(1, 3, 0xC0042);
	CU_ASSERT_EQUAL(took(0x42), 0xD);
	ipi(1, 0, 0xC0400);
	CU_ASSERT_EQUAL(fake.nmis[1], 0);
	CU_ASSERT_EQUAL(fake.nmis[0] + fake.nmis[2] + fake.nmis[3], 3);
	ipi(1, 0, 0xC4500);
	CU_ASSERT_EQUAL(fake.inits[1], 0);
	CU_ASSERT_EQUAL(fake.inits[0] + fake.inits[2] + fake.inits[3], 3);
	/* INIT and SIPI with a shorthand that means the sender too go nowhere. */
	ipi(1, 0, 0x84500);
	ipi(1, 0, 0x44608);
	CU_ASSERT_EQUAL(fake.inits[0], 1);
	CU_ASSERT_EQUAL(fake.starts[1], 0);
}

static void test_init_sipi(void)
{
	setup(2);
	vlapic_reset(&lapics[1]);
	ipi(0, 1, 0xC500);
	CU_ASSERT_EQUAL(fake.inits[1], 1);
	ipi(0, 1, 0x8500);
	CU_ASSERT_EQUAL(fake.inits[1], 1);
	ipi(0, 1, 0x4500);
	CU_ASSERT_EQUAL(fake.inits[1], 2);
	ipi(0, 1, 0x469A);
	CU_ASSERT_EQUAL(fake.starts[1], 1);
	CU_ASSERT_EQUAL(fake.start_vector, 0x9A);
	ipi(0, 1, 0x4400);
	CU_ASSERT_EQUAL(fake.nmis[1], 1);
	/* Software-disabled takes no fixed interrupt; globally disabled takes nothing at all. */
	ipi(0, 1, 0x40);
	CU_ASSERT_EQUAL(rd(1, IRR + 0x20), 0);
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[1], MSR_APIC_BASE, VLAPIC_BASE));
	ipi(0, 1, 0x4400);
	CU_ASSERT_EQUAL(fake.nmis[1], 1);
	/* SMI and the reserved modes are dropped. */
	ipi(0, 0, 0x4200);
	ipi(0, 0, 0x4340);
	CU_ASSERT_EQUAL(took(0x40), 0);
}

static void test_lowest_priority(void)
{
	unsigned int all = 0;

	setup(4);
	wr(2, SVR, 0xFF);
	for (unsigned int i = 0; i < 8; i++) {
		unsigned int one;

		ipi(0, 0xFF, 0x140);
		one = took(0x40);
		CU_ASSERT_EQUAL(__builtin_popcount(one), 1);
		all |= one;
	}
	CU_ASSERT_EQUAL(all, 0xB);
	ipi(0, 2, 0x140);
	CU_ASSERT_EQUAL(took(0x40), 0);
}

static void test_timer_one_shot(void)
{
	struct vlapic *l = &lapics[0];

	setup(1);
	fake.now_ns = 1000;
	wr(0, LVT_TIMER, 0xEC);
	wr(0, TDCR, 0x3); /* by 16 */
	CU_ASSERT_EQUAL(rd(0, TDCR), 3);
	wr(0, TMICT, 1000);
	CU_ASSERT_EQUAL(fake.deadline_ns[0], 17000);
	CU_ASSERT_EQUAL(rd(0, TMICT), 1000);
	fake.now_ns = 9000;
	CU_ASSERT_EQUAL(rd(0, TMCCT), 500);
	/* Early: armed again. */
	vlapic_timer_expired(l, 9000);
	CU_ASSERT_EQUAL(fake.arms[0], 2);
	CU_ASSERT_EQUAL(fake.deadline_ns[0], 17000);
	CU_ASSERT_EQUAL(vlapic_pending(l), -1);
	fake.now_ns = 17001;
	vlapic_timer_expired(l, 17001);
	CU_ASSERT_EQUAL(vlapic_pending(l), 0xEC);
	CU_ASSERT_EQUAL(rd(0, TMCCT), 0);
	CU_ASSERT_EQUAL(fake.arms[0], 2);
	vlapic_accept(l, 0xEC);
	vlapic_eoi(l);
	/* It does not start again because the mode changes. */
	wr(0, LVT_TIMER, 0x200EC);
	vlapic_timer_expired(l, 90000);
	CU_ASSERT_EQUAL(vlapic_pending(l), -1);
	CU_ASSERT_EQUAL(rd(0, TMCCT), 0);
}

static void test_timer_periodic(void)
{
	struct vlapic *l = &lapics[0];

	setup(1);
	wr(0, LVT_TIMER, 0x200EC);
	wr(0, TDCR, 0xB); /* by 1 */
	wr(0, TMICT, 1000000);
	CU_ASSERT_EQUAL(fake.deadline_ns[0], 1000000);
	fake.now_ns = 1000000;
	vlapic_timer_expired(l, fake.now_ns);
	CU_ASSERT_EQUAL(fake.deadline_ns[0], 2000000);
	CU_ASSERT_EQUAL(took(0xEC), 1);
	/* Late by many periods: one interrupt, and back in step. */
	fake.now_ns = 9500000;
	CU_ASSERT_EQUAL(rd(0, TMCCT), 500000);
	vlapic_timer_expired(l, fake.now_ns);
	CU_ASSERT_EQUAL(fake.deadline_ns[0], 10000000);
	CU_ASSERT_EQUAL(took(0xEC), 1);
	CU_ASSERT_EQUAL(took(0xEC), 0);
	/* Masked it counts on, silently. */
	wr(0, LVT_TIMER, 0x300EC);
	CU_ASSERT_EQUAL(fake.deadline_ns[0], 0);
	fake.now_ns = 10250000;
	CU_ASSERT_EQUAL(rd(0, TMCCT), 750000);
	wr(0, LVT_TIMER, 0x200EC);
	CU_ASSERT_EQUAL(fake.deadline_ns[0], 11000000);
	wr(0, TMICT, 0);
	CU_ASSERT_EQUAL(fake.deadline_ns[0], 0);
	CU_ASSERT_EQUAL(rd(0, TMCCT), 0);
}

static void test_timer_divide_change(void)
{
	setup(1);
	wr(0, LVT_TIMER, 0xEC);
	wr(0, TDCR, 0xB);
	wr(0, TMICT, 1000);
	fake.now_ns = 400;
	wr(0, TDCR, 0x0); /* by 2 */
	CU_ASSERT_EQUAL(fake.deadline_ns[0], 400 + 1200);
	fake.now_ns = 800;
	CU_ASSERT_EQUAL(rd(0, TMCCT), 400);
	wr(0, TDCR, 0xA); /* by 128 */
	CU_ASSERT_EQUAL(fake.deadline_ns[0], 800 + 400 * 128);
}

static void test_timer_limits(void)
{
	setup(1);
	wr(0, LVT_TIMER, 0x200EC);
	wr(0, TDCR, 0xB);
	wr(0, TMICT, 1);
	fake.now_ns = 10;
	vlapic_timer_expired(&lapics[0], 10);
	CU_ASSERT_EQUAL(fake.deadline_ns[0], 1 + VLAPIC_PERIOD_MIN_NS);
	/* The longest there is. */
	wr(0, TDCR, 0xA);
	wr(0, TMICT, 0xFFFFFFFF);
	CU_ASSERT_EQUAL(fake.deadline_ns[0], 10 + 0xFFFFFFFFull * 128);
	/* Software disable stops it; so does a reset. */
	wr(0, SVR, 0xFF);
	CU_ASSERT_EQUAL(fake.deadline_ns[0], 0);
	wr(0, SVR, 0x1FF);
	wr(0, LVT_TIMER, 0x200EC);
	CU_ASSERT_NOT_EQUAL(fake.deadline_ns[0], 0);
	vlapic_reset(&lapics[0]);
	CU_ASSERT_EQUAL(fake.deadline_ns[0], 0);
	vlapic_timer_expired(&lapics[0], 1ull << 50);
	CU_ASSERT_EQUAL(vlapic_pending(&lapics[0]), -1);
}

/*
 * The guest reprograms before core has told of a deadline that has passed: the interrupt is not
 * lost.
 */
static void test_timer_due_before_write(void)
{
	setup(1);
	wr(0, LVT_TIMER, 0xEC);
	wr(0, TDCR, 0xB);
	wr(0, TMICT, 1000);
	fake.now_ns = 2000;
	wr(0, TMICT, 5000);
	CU_ASSERT_EQUAL(took(0xEC), 1);
	CU_ASSERT_EQUAL(fake.deadline_ns[0], 7000);
}

#define POSTS 20000u

static void *post_many(void *arg)
{
	unsigned int seed = *(unsigned int *)arg;

	for (unsigned int i = 0; i < POSTS; i++) {
		(void)vlapic_post(&lapics[0], (uint8_t)(32 + (seed + i * 7) % 200), (i & 1) != 0);
	}
	return NULL;
}

/* Two CPUs post while the owner takes: nothing stays behind, nothing comes that was not posted. */
static void test_post_from_threads(void)
{
	pthread_t threads[2];
	unsigned int seeds[2] = {0, 3};
	unsigned int taken = 0;
	int vector;

	setup(1);
	for (unsigned int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, post_many, &seeds[i]), 0);
	}
	for (unsigned int i = 0; i < POSTS; i++) {
		vector = vlapic_pending(&lapics[0]);
		if (vector >= 0) {
			vlapic_accept(&lapics[0], (uint8_t)vector);
			vlapic_eoi(&lapics[0]);
			taken++;
		}
	}
	for (unsigned int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
	}
	while ((vector = vlapic_pending(&lapics[0])) >= 0) {
		CU_ASSERT_TRUE(vector >= 32 && vector < 232);
		vlapic_accept(&lapics[0], (uint8_t)vector);
		vlapic_eoi(&lapics[0]);
		taken++;
	}
	/* One kick for each time a request bit was set, and each was taken once. */
	CU_ASSERT_EQUAL(taken, fake.kicks[0]);
}

UNIT_MAIN("vlapic", UNIT_TEST(test_reset_state), UNIT_TEST(test_enable_is_told),
	  UNIT_TEST(test_base_transitions), UNIT_TEST(test_init_keeps_mode),
	  UNIT_TEST(test_priorities), UNIT_TEST(test_cr8), UNIT_TEST(test_auto_eoi),
	  UNIT_TEST(test_trigger_mode), UNIT_TEST(test_illegal_vector), UNIT_TEST(test_mmio_shapes),
	  UNIT_TEST(test_msr_shapes), UNIT_TEST(test_self_ipi), UNIT_TEST(test_ipi_physical),
	  UNIT_TEST(test_ipi_flat), UNIT_TEST(test_ipi_cluster), UNIT_TEST(test_ipi_x2apic),
	  UNIT_TEST(test_ipi_mixed_modes), UNIT_TEST(test_shorthands), UNIT_TEST(test_init_sipi),
	  UNIT_TEST(test_lowest_priority), UNIT_TEST(test_timer_one_shot),
	  UNIT_TEST(test_timer_periodic), UNIT_TEST(test_timer_divide_change),
	  UNIT_TEST(test_timer_limits), UNIT_TEST(test_timer_due_before_write),
	  UNIT_TEST(test_post_from_threads))

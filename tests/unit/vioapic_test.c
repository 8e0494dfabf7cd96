/*
 * vioapic_test.c - IOAPIC: registers, edge and level, remote IRR, destinations.
 */
#include "hypervisor/platform/vioapic.h"
#include "tests/unit/platform_fake.h"

#define MASKED 0x10000u
#define LEVEL 0x8000u
#define REMOTE_IRR 0x4000u
#define LOGICAL 0x800u

static struct fake fake;
static struct vlapic_bus bus;
static struct vlapic lapics[4];
static struct vioapic io;

static void setup(void)
{
	bus = (struct vlapic_bus){
		.env = fake_env(&fake), .lapics = lapics, .vcpu_count = 4, .ioapic = &io};
	for (unsigned int i = 0; i < 4; i++) {
		vlapic_init(&lapics[i], &bus, i);
		vlapic_mmio_write(&lapics[i], 0xF0, 4, 0x1FF);
	}
	vioapic_init(&io, &bus);
}

static uint32_t rd(uint8_t reg)
{
	vioapic_mmio_write(&io, 0, 4, reg);
	return (uint32_t)vioapic_mmio_read(&io, 0x10, 4);
}

static void wr(uint8_t reg, uint32_t value)
{
	vioapic_mmio_write(&io, 0, 4, reg);
	vioapic_mmio_write(&io, 0x10, 4, value);
}

static void route(unsigned int pin, uint32_t low, uint32_t dest)
{
	wr((uint8_t)(0x11 + pin * 2), dest << 24);
	wr((uint8_t)(0x10 + pin * 2), low);
}

static uint32_t low_of(unsigned int pin)
{
	return rd((uint8_t)(0x10 + pin * 2));
}

/* The vCPU takes and ends the interrupt it has; -1 if it has none. */
static int serve(unsigned int vcpu)
{
	int vector = vlapic_pending(&lapics[vcpu]);

	if (vector >= 0) {
		vlapic_accept(&lapics[vcpu], (uint8_t)vector);
		vlapic_eoi(&lapics[vcpu]);
	}
	return vector;
}

static void test_registers(void)
{
	setup();
	CU_ASSERT_EQUAL(rd(1), 0x00170020);
	CU_ASSERT_EQUAL(low_of(0), MASKED);
	CU_ASSERT_EQUAL(low_of(23), MASKED);
	CU_ASSERT_EQUAL(rd(0x40), 0);
	CU_ASSERT_EQUAL(rd(0x05), 0);
	wr(0x40, 0xFFFFFFFF);
	wr(1, 0);
	CU_ASSERT_EQUAL(rd(1), 0x00170020);
	wr(0, 0xFFFFFFFF);
	CU_ASSERT_EQUAL(rd(0), 0x0F000000);
	CU_ASSERT_EQUAL(rd(2), 0x0F000000);
	/* Read-only and reserved bits. */
	wr(0x10, 0xFFFFFFFF);
	CU_ASSERT_EQUAL(rd(0x10), 0x0001AFFF);
	wr(0x11, 0xFFFFFFFF);
	CU_ASSERT_EQUAL(rd(0x11), 0xFF000000);
}

static void test_access_shapes(void)
{
	setup();
	vioapic_mmio_write(&io, 0, 1, 1);
	CU_ASSERT_EQUAL(vioapic_mmio_read(&io, 0, 4), 1);
	CU_ASSERT_EQUAL(vioapic_mmio_read(&io, 0x12, 2), 0x17);
	CU_ASSERT_EQUAL(vioapic_mmio_read(&io, 0x10, 8), 0);
	CU_ASSERT_EQUAL(vioapic_mmio_read(&io, 0x20, 4), 0);
	vioapic_mmio_write(&io, 0, 4, 0x10);
	vioapic_mmio_write(&io, 0x10, 2, 0x30);
	vioapic_mmio_write(&io, 0x14, 4, 0x30);
	CU_ASSERT_EQUAL(low_of(0), MASKED);
}

static void test_edge(void)
{
	setup();
	route(4, 0x34, 2);
	vioapic_set_line(&io, 4, true);
	CU_ASSERT_EQUAL(serve(2), 0x34);
	/* Held high it says nothing more. */
	vioapic_set_line(&io, 4, true);
	CU_ASSERT_EQUAL(serve(2), -1);
	vioapic_set_line(&io, 4, false);
	vioapic_set_line(&io, 4, true);
	CU_ASSERT_EQUAL(serve(2), 0x34);
	/* An edge under the mask is lost. */
	vioapic_set_line(&io, 4, false);
	route(4, 0x34 | MASKED, 2);
	vioapic_set_line(&io, 4, true);
	route(4, 0x34, 2);
	CU_ASSERT_EQUAL(serve(2), -1);
	/* Pins that are not there. */
	vioapic_set_line(&io, 24, true);
	vioapic_set_line(&io, 1000, true);
	CU_ASSERT_EQUAL(fake.nmis[0], 0);
}

static void test_level(void)
{
	setup();
	route(9, 0x59 | LEVEL, 1);
	vioapic_set_line(&io, 9, true);
	CU_ASSERT_EQUAL(low_of(9), 0x59 | LEVEL | REMOTE_IRR);
	CU_ASSERT_EQUAL(vlapic_pending(&lapics[1]), 0x59);
	/* Again and again, but not a second time before the EOI. */
	vlapic_accept(&lapics[1], 0x59);
	vioapic_set_line(&io, 9, true);
	CU_ASSERT_EQUAL(vlapic_mmio_read(&lapics[1], 0x220, 4), 0);
	/* The EOI finds the line still asserted. */
	vlapic_eoi(&lapics[1]);
	CU_ASSERT_EQUAL(vlapic_pending(&lapics[1]), 0x59);
	CU_ASSERT_EQUAL(low_of(9), 0x59 | LEVEL | REMOTE_IRR);
	vlapic_accept(&lapics[1], 0x59);
	vioapic_set_line(&io, 9, false);
	vlapic_eoi(&lapics[1]);
	CU_ASSERT_EQUAL(vlapic_pending(&lapics[1]), -1);
	CU_ASSERT_EQUAL(low_of(9), 0x59 | LEVEL);
	CU_ASSERT_EQUAL(fake.eois[0x59], 2);
}

static void test_level_mask(void)
{
	setup();
	route(9, 0x59 | LEVEL | MASKED, 1);
	vioapic_set_line(&io, 9, true);
	CU_ASSERT_EQUAL(serve(1), -1);
	/* A level waits for its mask to go. */
	wr(0x10 + 18, 0x59 | LEVEL);
	CU_ASSERT_EQUAL(vlapic_pending(&lapics[1]), 0x59);
	/* To edge and back forgets an interrupt in service. */
	wr(0x10 + 18, 0x59 | MASKED);
	CU_ASSERT_EQUAL(low_of(9), 0x59 | MASKED);
	wr(0x10 + 18, 0x59 | LEVEL);
	CU_ASSERT_EQUAL(low_of(9), 0x59 | LEVEL | REMOTE_IRR);
}

static void test_eoi_register(void)
{
	setup();
	route(9, 0x59 | LEVEL, 1);
	route(10, 0x5A | LEVEL, 1);
	vioapic_set_line(&io, 9, true);
	vioapic_set_line(&io, 10, true);
	vioapic_set_line(&io, 9, false);
	vioapic_mmio_write(&io, 0x40, 4, 0x59);
	CU_ASSERT_EQUAL(low_of(9), 0x59 | LEVEL);
	CU_ASSERT_EQUAL(low_of(10), 0x5A | LEVEL | REMOTE_IRR);
	vioapic_mmio_write(&io, 0x40, 1, 0x5A);
	CU_ASSERT_EQUAL(low_of(10), 0x5A | LEVEL | REMOTE_IRR);
}

static void test_shared_vector(void)
{
	setup();
	for (unsigned int pin = 0; pin < VIOAPIC_PIN_COUNT; pin++) {
		route(pin, 0x60 | LEVEL, 3);
		vioapic_set_line(&io, pin, true);
	}
	vlapic_accept(&lapics[3], 0x60);
	vioapic_set_line(&io, 5, false);
	vlapic_eoi(&lapics[3]);
	CU_ASSERT_EQUAL(vlapic_pending(&lapics[3]), 0x60);
	CU_ASSERT_EQUAL(low_of(5), 0x60 | LEVEL);
	CU_ASSERT_EQUAL(low_of(23), 0x60 | LEVEL | REMOTE_IRR);
}

/* A level interrupt that no one takes must not wait for an EOI for ever. */
static void test_nobody_there(void)
{
	setup();
	vlapic_reset(&lapics[1]);
	route(9, 0x59 | LEVEL, 1);
	vioapic_set_line(&io, 9, true);
	CU_ASSERT_EQUAL(low_of(9), 0x59 | LEVEL);
	vlapic_mmio_write(&lapics[1], 0xF0, 4, 0x1FF);
	vioapic_set_line(&io, 9, true);
	CU_ASSERT_EQUAL(serve(1), 0x59);
}

static void test_destinations(void)
{
	setup();
	for (unsigned int i = 0; i < 4; i++) {
		vlapic_mmio_write(&lapics[i], 0xD0, 4, 1u << (24 + i));
	}
	route(3, 0x33 | LOGICAL, 0x6);
	vioapic_set_line(&io, 3, true);
	CU_ASSERT_EQUAL(serve(0), -1);
	CU_ASSERT_EQUAL(serve(1), 0x33);
	CU_ASSERT_EQUAL(serve(2), 0x33);
	CU_ASSERT_EQUAL(serve(3), -1);
	/* Lowest priority: one of them. */
	route(5, 0x35 | LOGICAL | 0x100, 0xF);
	vioapic_set_line(&io, 5, true);
	CU_ASSERT_EQUAL((serve(0) > 0) + (serve(1) > 0) + (serve(2) > 0) + (serve(3) > 0), 1);
	/* NMI, and ExtINT which no PIC is there for. */
	route(6, 0x400, 0x2);
	vioapic_set_line(&io, 6, true);
	CU_ASSERT_EQUAL(fake.nmis[2], 1);
	route(7, 0x720, 0x2);
	vioapic_set_line(&io, 7, true);
	CU_ASSERT_EQUAL(serve(2), -1);
}

static void test_x2apic_target(void)
{
	setup();
	CU_ASSERT_TRUE(vlapic_msr_write(&lapics[2], MSR_APIC_BASE, VLAPIC_BASE | 0xC00));
	route(4, 0x34, 2);
	vioapic_set_line(&io, 4, true);
	CU_ASSERT_EQUAL(serve(2), 0x34);
	/* Cluster 0 by its low eight members. */
	route(5, 0x35 | LOGICAL, 0x04);
	vioapic_set_line(&io, 5, true);
	CU_ASSERT_EQUAL(serve(2), 0x35);
	route(6, 0x36, 0xFF);
	vioapic_set_line(&io, 6, true);
	CU_ASSERT_EQUAL(serve(2), 0x36);
	CU_ASSERT_EQUAL(serve(0), 0x36);
}

static void test_reset(void)
{
	setup();
	route(9, 0x59 | LEVEL, 1);
	vioapic_set_line(&io, 9, true);
	vioapic_reset(&io);
	CU_ASSERT_EQUAL(low_of(9), MASKED);
	route(9, 0x59 | LEVEL, 2);
	CU_ASSERT_EQUAL(serve(2), -1);
}

UNIT_MAIN("vioapic", UNIT_TEST(test_registers), UNIT_TEST(test_access_shapes), UNIT_TEST(test_edge),
	  UNIT_TEST(test_level), UNIT_TEST(test_level_mask), UNIT_TEST(test_eoi_register),
	  UNIT_TEST(test_shared_vector), UNIT_TEST(test_nobody_there), UNIT_TEST(test_destinations),
	  UNIT_TEST(test_x2apic_target), UNIT_TEST(test_reset))

/*
 * pm_test.c - ACPI fixed hardware: events and the SCI, the timer, sleep and reset.
 */
#include "hypervisor/platform/pm.h"
#include "tests/unit/platform_fake.h"

#define S 1000000000ull

static struct fake fake;
static struct vlapic_bus bus;
static struct vlapic lapic;
static struct vioapic io;
static struct pm pm;

static void setup(void)
{
	bus = (struct vlapic_bus){
		.env = fake_env(&fake), .lapics = &lapic, .vcpu_count = 1, .ioapic = &io};
	vlapic_init(&lapic, &bus, 0);
	vlapic_mmio_write(&lapic, 0xF0, 4, 0x1FF);
	vioapic_init(&io, &bus);
	vioapic_mmio_write(&io, 0, 4, 0x10 + 2 * PM_SCI_GSI);
	vioapic_mmio_write(&io, 0x10, 4, 0x8059);
	pm_init(&pm, bus.env, &io);
}

static bool sci(void)
{
	if (vlapic_pending(&lapic) != 0x59) {
		return false;
	}
	vlapic_accept(&lapic, 0x59);
	vlapic_eoi(&lapic);
	return true;
}

static void test_registers(void)
{
	setup();
	CU_ASSERT_EQUAL(pm_read(&pm, 0, 4), 0);
	/* ACPI mode is on, and stays. */
	CU_ASSERT_EQUAL(pm_read(&pm, 4, 2), 1);
	pm_write(&pm, 4, 2, 0);
	CU_ASSERT_EQUAL(pm_read(&pm, 4, 2), 1);
	pm_write(&pm, 2, 2, 0xFFFF);
	CU_ASSERT_EQUAL(pm_read(&pm, 2, 2), 0x0721);
	CU_ASSERT_EQUAL(pm_read(&pm, 3, 1), 0x07);
	CU_ASSERT_EQUAL(pm_read(&pm, 0, 4), 0x07210000);
	pm_write(&pm, 2, 1, 0);
	CU_ASSERT_EQUAL(pm_read(&pm, 2, 2), 0x0700);
	/* GBL_RLS and SLP_EN read 0. */
	pm_write(&pm, 4, 2, 0x0C06);
	CU_ASSERT_EQUAL(pm_read(&pm, 4, 2), 0x0C03);
	CU_ASSERT_EQUAL(pm_read(&pm, 6, 2), 0);
	pm_reset(&pm);
	CU_ASSERT_EQUAL(pm_read(&pm, 2, 4), 0x00010000);
}

static void test_power_button(void)
{
	setup();
	pm_press_power_button(&pm);
	CU_ASSERT_EQUAL(pm_read(&pm, 0, 2), 0x0100);
	CU_ASSERT_FALSE(sci());
	pm_write(&pm, 2, 2, 0x0100);
	CU_ASSERT_TRUE(sci());
	/* It stays until the status is cleared: by ones, and only those. */
	CU_ASSERT_TRUE(sci());
	pm_write(&pm, 0, 2, 0xFEFF);
	CU_ASSERT_EQUAL(pm_read(&pm, 0, 2), 0x0100);
	pm_write(&pm, 0, 2, 0x0100);
	CU_ASSERT_TRUE(sci()); /* sent by the last EOI, before the line fell */
	CU_ASSERT_FALSE(sci());
	CU_ASSERT_EQUAL(pm_read(&pm, 0, 2), 0);
	pm_press_power_button(&pm);
	CU_ASSERT_TRUE(sci());
}

static void test_timer(void)
{
	setup();
	CU_ASSERT_EQUAL(pm_read(&pm, 8, 4), 0);
	fake.now_ns = S;
	CU_ASSERT_EQUAL(pm_read(&pm, 8, 4), 3579545);
	fake.now_ns = S / 2;
	CU_ASSERT_EQUAL(pm_read(&pm, 8, 4), 1789772);
	CU_ASSERT_EQUAL(pm_read(&pm, 8, 1), 1789772 & 0xFF);
	CU_ASSERT_EQUAL(pm_read(&pm, 10, 2), 1789772 >> 16);
	/* A year later: still exact, and 32 bits wide. */
	fake.now_ns = 365ull * 86400 * S;
	CU_ASSERT_EQUAL(pm_read(&pm, 8, 4), (uint32_t)(365ull * 86400 * 3579545));
	pm_write(&pm, 8, 4, 0);
	CU_ASSERT_EQUAL(pm_read(&pm, 8, 4), (uint32_t)(365ull * 86400 * 3579545));
}

static void test_timer_status(void)
{
	setup();
	pm_write(&pm, 2, 2, 1);
	fake.now_ns = 590 * S;
	CU_ASSERT_EQUAL(pm_read(&pm, 0, 2), 0);
	fake.now_ns = 600 * S;
	(void)pm_read(&pm, 8, 4);
	CU_ASSERT_TRUE(sci());
	CU_ASSERT_EQUAL(pm_read(&pm, 0, 2), 1);
	pm_write(&pm, 0, 2, 1);
	CU_ASSERT_EQUAL(pm_read(&pm, 0, 2), 0);
	fake.now_ns = 1200 * S;
	CU_ASSERT_EQUAL(pm_read(&pm, 0, 2), 1);
}

static void test_power_off(void)
{
	setup();
	/* As ACPICA does it: type first, then type and enable. */
	pm_write(&pm, 4, 2, 1 | PM_S5_TYPE << 10);
	CU_ASSERT_EQUAL(fake.power_offs, 0);
	pm_write(&pm, 4, 2, 1 | PM_S5_TYPE << 10 | 1 << 13);
	CU_ASSERT_EQUAL(fake.power_offs, 1);
	/* Any other type is no sleep state of ours. */
	pm_write(&pm, 4, 2, 1 | 1 << 10 | 1 << 13);
	pm_write(&pm, 4, 2, 1 | 1 << 13);
	CU_ASSERT_EQUAL(fake.power_offs, 1);
	/* By bytes. */
	pm_write(&pm, 5, 1, PM_S5_TYPE << 2 | 1 << 5);
	CU_ASSERT_EQUAL(fake.power_offs, 2);
	CU_ASSERT_EQUAL(fake.reboots, 0);
}

static void test_resets(void)
{
	setup();
	pm_reset_write(&pm, 0x02);
	CU_ASSERT_EQUAL(fake.reboots, 0);
	CU_ASSERT_EQUAL(pm_reset_read(&pm), 0x02);
	pm_reset_write(&pm, PM_RESET_VALUE);
	CU_ASSERT_EQUAL(fake.reboots, 1);
	CU_ASSERT_EQUAL(pm_reset_read(&pm), 0x02);
	pm_kbc_write(&pm, 0xAA);
	CU_ASSERT_EQUAL(fake.reboots, 1);
	pm_kbc_write(&pm, PM_KBC_RESET);
	CU_ASSERT_EQUAL(fake.reboots, 2);
	CU_ASSERT_EQUAL(fake.power_offs, 0);
}

static void test_gpe0(void)
{
	setup();
	for (unsigned int i = 0; i < 4; i++) {
		pm_gpe0_write(&pm, i, (uint8_t)(0x81 + i));
	}
	CU_ASSERT_EQUAL(pm_gpe0_read(&pm, 0), 0);
	CU_ASSERT_EQUAL(pm_gpe0_read(&pm, 1), 0);
	CU_ASSERT_EQUAL(pm_gpe0_read(&pm, 2), 0x83);
	CU_ASSERT_EQUAL(pm_gpe0_read(&pm, 3), 0x84);
	CU_ASSERT_FALSE(sci());
}

UNIT_MAIN("pm", UNIT_TEST(test_registers), UNIT_TEST(test_power_button), UNIT_TEST(test_timer),
	  UNIT_TEST(test_timer_status), UNIT_TEST(test_power_off), UNIT_TEST(test_resets),
	  UNIT_TEST(test_gpe0))

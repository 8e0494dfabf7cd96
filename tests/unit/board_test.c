/*
 * board_test.c - who answers which port and page, absent hardware, reset of the whole.
 */
#include "hypervisor/platform/board.h"
#include "tests/unit/platform_fake.h"

static struct fake fake;
static struct board board;

static void setup(unsigned int vcpu_count)
{
	CU_ASSERT_TRUE(board_init(&board, fake_env(&fake), vcpu_count));
}

static uint32_t in(uint16_t port, unsigned int size)
{
	uint32_t value = 0xDEADBEEF;

	(void)board_port_read(&board, 0, port, size, &value);
	return value;
}

static void out(uint16_t port, unsigned int size, uint32_t value)
{
	(void)board_port_write(&board, 0, port, size, value);
}

static void test_limits(void)
{
	CU_ASSERT_FALSE(board_init(&board, fake_env(&fake), 0));
	CU_ASSERT_FALSE(board_init(&board, fake_env(&fake), BOARD_VCPUS_MAX + 1));
	setup(BOARD_VCPUS_MAX);
	CU_ASSERT_EQUAL(board_lapic(&board, 63)->vcpu, 63);
}

static void test_rows_are_sorted(void)
{
	for (unsigned int i = 0; i < BOARD_PORT_COUNT; i++) {
		const struct board_port_row *row = board_port_row((enum board_port)i);

		CU_ASSERT_TRUE(row->first <= row->last);
		CU_ASSERT_TRUE(row->name[0] != '\0' && row->clause[0] != '\0');
		if (i > 0) {
			CU_ASSERT_TRUE(board_port_row((enum board_port)(i - 1))->last < row->first);
		}
	}
	CU_ASSERT_EQUAL(board_port_row(BOARD_PORT_uart)->first, VUART_PORT);
	CU_ASSERT_EQUAL(board_port_row(BOARD_PORT_rtc)->first, RTC_PORT);
	CU_ASSERT_EQUAL(board_port_row(BOARD_PORT_reset)->first, PM_RESET_PORT);
	CU_ASSERT_EQUAL(board_port_row(BOARD_PORT_pm)->first, PM_PORT);
	CU_ASSERT_EQUAL(board_port_row(BOARD_PORT_pm)->last, PM_PORT + PM_BYTES - 1);
	CU_ASSERT_EQUAL(board_port_row(BOARD_PORT_gpe0)->first, PM_GPE0_PORT);
	CU_ASSERT_EQUAL(board_port_row(BOARD_PORT_kbc)->first, PM_KBC_PORT);
}

static void test_absent_ports(void)
{
	static const uint16_t ports[] = {0x10,  0x20,  0x21,  0xA0,   0xA1,  0x40,
					 0x43,  0x60,  0x72,  0x80,   0x2F8, 0x3F7,
					 0x3DA, 0xCF8, 0xCFC, 0xB00C, 0xFFFF};
	uint32_t value;

	setup(1);
	for (unsigned int i = 0; i < ARRAY_COUNT(ports); i++) {
		CU_ASSERT_FALSE(board_port_read(&board, 0, ports[i], 1, &value));
		CU_ASSERT_EQUAL(value, 0xFF);
		CU_ASSERT_FALSE(board_port_write(&board, 0, ports[i], 1, 0));
	}
	CU_ASSERT_EQUAL(board.unclaimed_port_count, 2 * ARRAY_COUNT(ports));
	CU_ASSERT_EQUAL(in(0xCF8, 2), 0xFFFF);
	CU_ASSERT_EQUAL(in(0xCF8, 4), 0xFFFFFFFF);
	/* Half in a row is not in it: this is no reset. */
	out(0xCF8, 4, 0xFFFFFFFF);
	out(0xCF9, 2, 0x0606);
	CU_ASSERT_EQUAL(fake.reboots, 0);
	CU_ASSERT_EQUAL(in(0x3FF, 2), 0xFFFF);
	CU_ASSERT_EQUAL(in(0xFFFF, 4), 0xFFFFFFFF);
}

/*
 * The two loops by which Linux calibrates the TSC against a PIT must end at once
 * (arch/x86/kernel/tsc.c).
 */
static void test_pit_calibration_ends(void)
{
	unsigned int loops = 0;

	setup(1);
	out(0x61, 1, (in(0x61, 1) & ~0x02u) | 0x01);
	out(0x43, 1, 0xB0);
	out(0x42, 1, 0xFF);
	while ((in(0x61, 1) & 0x20) == 0 && loops < 1000) {
		loops++;
	}
	CU_ASSERT_EQUAL(loops, 0);
	CU_ASSERT_NOT_EQUAL(in(0x42, 1), 0xFF);
	CU_ASSERT_EQUAL(in(0x42, 1), 0);
	/* No NMI reason, and refresh toggles. */
	CU_ASSERT_EQUAL(in(0x61, 1) & 0xC0, 0);
	CU_ASSERT_EQUAL((in(0x61, 1) ^ in(0x61, 1)) & 0x10, 0x10);
	CU_ASSERT_EQUAL(in(0x61, 1) & 0x0F, 0x01);
}

static void test_console_ports(void)
{
	setup(1);
	out(0xE9, 1, 'd');
	out(0x3F8, 1, 'u');
	CU_ASSERT_EQUAL(memcmp(fake.bytes, "du", 2), 0);
	CU_ASSERT_EQUAL(fake.byte_count, 2);
	CU_ASSERT_EQUAL(in(0xE9, 1), 0xE9);
	CU_ASSERT_EQUAL(in(0x3FD, 1), 0x60);
	/* Two registers in one access: IER and FCR. */
	out(0x3F9, 2, 0x0105);
	CU_ASSERT_EQUAL(in(0x3F9, 2), 0xC105);
	CU_ASSERT_EQUAL(board.port_counts[BOARD_PORT_uart], 4);
	CU_ASSERT_EQUAL(board.port_counts[BOARD_PORT_debug], 2);
}

static void test_rtc_ports(void)
{
	setup(1);
	out(0x70, 1, 0x0F);
	out(0x71, 1, 0x0A);
	CU_ASSERT_EQUAL(in(0x71, 1), 0x0A);
	/* Index and data in one word. */
	out(0x70, 2, 0x550E);
	CU_ASSERT_EQUAL(in(0x71, 1), 0x55);
	CU_ASSERT_EQUAL(in(0x70, 2), 0x55FF);
}

static void test_power_ports(void)
{
	setup(1);
	out(0x64, 1, 0xFE);
	CU_ASSERT_EQUAL(fake.reboots, 1);
	CU_ASSERT_EQUAL(in(0x64, 1), 0xFF);
	out(0xCF9, 1, 6);
	CU_ASSERT_EQUAL(fake.reboots, 2);
	CU_ASSERT_EQUAL(in(0xCF9, 1), 2);
	out(0xB004, 2, 1 | PM_S5_TYPE << 10 | 1 << 13);
	CU_ASSERT_EQUAL(fake.power_offs, 1);
	fake.now_ns = 1000000000;
	CU_ASSERT_EQUAL(in(0xB008, 4), 3579545);
	out(0xAFE2, 2, 0x1234);
	CU_ASSERT_EQUAL(in(0xAFE0, 4), 0x12340000);
	out(0x42, 1, 0);
	out(0xB000, 4, 0x01000000);
	pm_press_power_button(&board.pm);
	CU_ASSERT_EQUAL(in(0xB000, 4), 0x01000100);
}

static void test_mmio(void)
{
	uint64_t value = 0;

	setup(3);
	CU_ASSERT_TRUE(board_owns_mmio(0xFEE00000));
	CU_ASSERT_TRUE(board_owns_mmio(0xFEE00FFF));
	CU_ASSERT_FALSE(board_owns_mmio(0xFEE01000));
	CU_ASSERT_TRUE(board_owns_mmio(0xFEC00000));
	CU_ASSERT_FALSE(board_owns_mmio(0xFEBFFFFF));
	CU_ASSERT_FALSE(board_owns_mmio(0));
	CU_ASSERT_FALSE(board_owns_mmio(0x1FEE00000));
	CU_ASSERT_TRUE(board_mmio_read(&board, 2, 0xFEE00020, 4, &value));
	CU_ASSERT_EQUAL(value, 2u << 24);
	CU_ASSERT_TRUE(board_mmio_write(&board, 1, 0xFEE000F0, 4, 0x1FF));
	CU_ASSERT_TRUE(vlapic_is_enabled(board_lapic(&board, 1)));
	CU_ASSERT_FALSE(vlapic_is_enabled(board_lapic(&board, 0)));
	CU_ASSERT_TRUE(board_mmio_write(&board, 0, 0xFEC00000, 4, 1));
	CU_ASSERT_TRUE(board_mmio_read(&board, 0, 0xFEC00010, 4, &value));
	CU_ASSERT_EQUAL(value, 0x00170020);
	CU_ASSERT_FALSE(board_mmio_read(&board, 0, 0xFED00000, 4, &value));
	CU_ASSERT_FALSE(board_mmio_write(&board, 0, 0xFED00000, 4, 0));
}

/* UART to IOAPIC to local APIC, and the level SCI all the way to its EOI. */
static void test_interrupt_paths(void)
{
	struct vlapic *l;

	setup(2);
	l = board_lapic(&board, 1);
	CU_ASSERT_TRUE(board_mmio_write(&board, 1, 0xFEE000F0, 4, 0x1FF));
	for (unsigned int pin = 4; pin <= 9; pin += 5) {
		CU_ASSERT_TRUE(board_mmio_write(&board, 0, 0xFEC00000, 4, 0x11 + 2 * pin));
		CU_ASSERT_TRUE(board_mmio_write(&board, 0, 0xFEC00010, 4, 1u << 24));
		CU_ASSERT_TRUE(board_mmio_write(&board, 0, 0xFEC00000, 4, 0x10 + 2 * pin));
		CU_ASSERT_TRUE(
			board_mmio_write(&board, 0, 0xFEC00010, 4, pin == 9 ? 0x8059 : 0x34));
	}
	out(0x3F9, 1, 1);
	CU_ASSERT_TRUE(vuart_input(&board.uart, 'x'));
	CU_ASSERT_EQUAL(vlapic_pending(l), 0x34);
	CU_ASSERT_EQUAL(fake.kicks[1], 1);
	out(0xB002, 2, 0x100);
	pm_press_power_button(&board.pm);
	CU_ASSERT_EQUAL(vlapic_pending(l), 0x59);
	vlapic_accept(l, 0x59);
	out(0xB000, 2, 0x100);
	CU_ASSERT_TRUE(board_mmio_write(&board, 1, 0xFEE000B0, 4, 0));
	CU_ASSERT_EQUAL(vlapic_pending(l), 0x34);
}

static void test_reset(void)
{
	setup(2);
	out(0x70, 2, 0x0A0F);
	out(0x3FF, 1, 0x77);
	out(0x61, 1, 3);
	out(0xB002, 2, 0x100);
	CU_ASSERT_TRUE(board_mmio_write(&board, 1, 0xFEE000F0, 4, 0x1FF));
	CU_ASSERT_TRUE(
		vlapic_msr_write(board_lapic(&board, 1), MSR_APIC_BASE, VLAPIC_BASE | 0xC00));
	board_reset(&board);
	CU_ASSERT_FALSE(vlapic_is_enabled(board_lapic(&board, 1)));
	CU_ASSERT_FALSE(vlapic_is_x2apic(board_lapic(&board, 1)));
	CU_ASSERT_EQUAL(in(0x3FF, 1), 0);
	CU_ASSERT_EQUAL(in(0x61, 1) & 0x0F, 0);
	CU_ASSERT_EQUAL(in(0xB002, 2), 0);
	out(0x70, 1, 0x0F);
	CU_ASSERT_EQUAL(in(0x71, 1), 0x0A);
}

UNIT_MAIN("board", UNIT_TEST(test_limits), UNIT_TEST(test_rows_are_sorted),
	  UNIT_TEST(test_absent_ports), UNIT_TEST(test_pit_calibration_ends),
	  UNIT_TEST(test_console_ports), UNIT_TEST(test_rtc_ports), UNIT_TEST(test_power_ports),
	  UNIT_TEST(test_mmio), UNIT_TEST(test_interrupt_paths), UNIT_TEST(test_reset))

/*
 * vuart_test.c - the serial port as drivers find and use it.
 */
#include "hypervisor/platform/uart.h"
#include "tests/unit/platform_fake.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

static struct fake fake;
static struct vlapic_bus bus;
static struct vlapic lapic;
static struct vioapic io;
static struct vuart uart;

static void setup(void)
{
	bus = (struct vlapic_bus){
		.env = fake_env(&fake), .lapics = &lapic, .vcpu_count = 1, .ioapic = &io};
	vlapic_init(&lapic, &bus, 0);
	vlapic_mmio_write(&lapic, 0xF0, 4, 0x1FF);
	vioapic_init(&io, &bus);
	vioapic_mmio_write(&io, 0, 4, 0x10 + 2 * VUART_GSI);
	vioapic_mmio_write(&io, 0x10, 4, 0x34);
	vuart_init(&uart, bus.env, &io);
}

static uint8_t rd(unsigned int reg)
{
	return vuart_read(&uart, reg);
}

static void wr(unsigned int reg, uint8_t value)
{
	vuart_write(&uart, reg, value);
}

static bool interrupted(void)
{
	if (vlapic_pending(&lapic) != 0x34) {
		return false;
	}
	vlapic_accept(&lapic, 0x34);
	vlapic_eoi(&lapic);
	return true;
}

static void test_reset_state(void)
{
	setup();
	CU_ASSERT_EQUAL(rd(IER), 0);
	CU_ASSERT_EQUAL(rd(IIR), 0x01);
	CU_ASSERT_EQUAL(rd(LSR), 0x60);
	CU_ASSERT_EQUAL(rd(MSR), 0xB0);
	CU_ASSERT_EQUAL(rd(DATA), 0);
	CU_ASSERT_FALSE(interrupted());
}

/* What Linux' 8250 driver looks at to call it a 16550A. */
static void test_probe(void)
{
	setup();
	wr(IER, 0);
	CU_ASSERT_EQUAL(rd(IER) & 0x0F, 0);
	wr(IER, 0xFF);
	CU_ASSERT_EQUAL(rd(IER), 0x0F);
	wr(IER, 0);
	/* Loopback: RTS and OUT2 come back as CTS and DCD. */
	wr(MCR, 0x1A);
	CU_ASSERT_EQUAL(rd(MSR) & 0xF0, 0x90);
	wr(MCR, 0);
	/* No enhanced register set behind LCR = BF. */
	wr(LCR, 0xBF);
	wr(IIR, 0);
	wr(LCR, 0);
	wr(IIR, 0x01);
	CU_ASSERT_EQUAL(rd(IIR) >> 6, 3);
	wr(LCR, 0xBF);
	CU_ASSERT_NOT_EQUAL(rd(IIR), 0);
	wr(LCR, 0);
	/* No 64-byte FIFO. */
	wr(IIR, 0x21);
	CU_ASSERT_EQUAL(rd(IIR) >> 5, 6);
	/* No UUE bit of the XScale. */
	wr(IER, 0x40);
	CU_ASSERT_EQUAL(rd(IER) & 0x40, 0);
	wr(SCR, 0xA5);
	CU_ASSERT_EQUAL(rd(SCR), 0xA5);
}

static void test_divisor(void)
{
	setup();
	wr(LCR, 0x83);
	CU_ASSERT_EQUAL(rd(DATA), 12);
	wr(DATA, 1);
	wr(IER, 2);
	CU_ASSERT_EQUAL(rd(DATA), 1);
	CU_ASSERT_EQUAL(rd(IER), 2);
	wr(LCR, 0x03);
	CU_ASSERT_EQUAL(rd(LCR), 0x03);
	CU_ASSERT_EQUAL(rd(IER), 0);
	CU_ASSERT_EQUAL(fake.byte_count, 0);
}

static void test_output(void)
{
	setup();
	wr(DATA, 'o');
	wr(DATA, 'k');
	CU_ASSERT_EQUAL(fake.byte_count, 2);
	CU_ASSERT_EQUAL(memcmp(fake.bytes, "ok", 2), 0);
	CU_ASSERT_EQUAL(rd(LSR), 0x60);
	CU_ASSERT_FALSE(interrupted());
	wr(LSR, 0xFF);
	wr(MSR, 0xFF);
	CU_ASSERT_EQUAL(rd(LSR), 0x60);
}

static void test_transmit_interrupt(void)
{
	setup();
	/* Enabling raises, reading IIR ends. */
	wr(IER, 2);
	CU_ASSERT_TRUE(interrupted());
	CU_ASSERT_EQUAL(rd(IIR), 0x02);
	CU_ASSERT_EQUAL(rd(IIR), 0x01);
	CU_ASSERT_FALSE(interrupted());
	/*
	 * Writing IER again with the bit on is no new event, as Linux' test for broken chips
	 * expects.
	 */
	wr(IER, 2);
	CU_ASSERT_EQUAL(rd(IIR), 0x01);
	/* Each byte raises it once more, also when the last one was not looked at. */
	wr(DATA, 'a');
	CU_ASSERT_TRUE(interrupted());
	wr(DATA, 'b');
	CU_ASSERT_TRUE(interrupted());
	CU_ASSERT_EQUAL(rd(IIR), 0x02);
	/* Off and on: raised again. */
	wr(IER, 0);
	CU_ASSERT_EQUAL(rd(IIR), 0x01);
	wr(IER, 2);
	CU_ASSERT_TRUE(interrupted());
	CU_ASSERT_EQUAL(rd(IIR), 0x02);
}

static void test_receive_without_fifo(void)
{
	setup();
	wr(IER, 1);
	CU_ASSERT_TRUE(vuart_input(&uart, 'x'));
	CU_ASSERT_TRUE(vuart_input(&uart, 'y'));
	CU_ASSERT_TRUE(interrupted());
	CU_ASSERT_EQUAL(rd(IIR), 0x04);
	CU_ASSERT_EQUAL(rd(LSR), 0x61);
	CU_ASSERT_EQUAL(rd(DATA), 'x');
	CU_ASSERT_EQUAL(rd(IIR), 0x04);
	CU_ASSERT_EQUAL(rd(DATA), 'y');
	CU_ASSERT_EQUAL(rd(IIR), 0x01);
	CU_ASSERT_EQUAL(rd(LSR), 0x60);
	/* The line fell, so the next byte is an edge again. */
	CU_ASSERT_TRUE(vuart_input(&uart, 'z'));
	CU_ASSERT_TRUE(interrupted());
}

static void test_receive_fifo(void)
{
	setup();
	wr(IER, 1);
	wr(IIR, 0x81); /* threshold 8 */
	for (unsigned int i = 0; i < 7; i++) {
		CU_ASSERT_TRUE(vuart_input(&uart, (uint8_t)i));
	}
	CU_ASSERT_EQUAL(rd(IIR), 0xCC);
	CU_ASSERT_TRUE(vuart_input(&uart, 7));
	CU_ASSERT_EQUAL(rd(IIR), 0xC4);
	for (unsigned int i = 8; i < 40; i++) {
		CU_ASSERT_TRUE(vuart_input(&uart, (uint8_t)i));
	}
	for (unsigned int i = 0; i < 40; i++) {
		CU_ASSERT_EQUAL(rd(LSR) & 1, 1);
		CU_ASSERT_EQUAL(rd(DATA), i);
	}
	CU_ASSERT_EQUAL(rd(IIR), 0xC1);
}

static void test_queue_limit(void)
{
	unsigned int taken = 0;
	unsigned int given = 0;

	setup();
	wr(IIR, 0x01);
	while (taken < 10000 && vuart_input(&uart, (uint8_t)taken)) {
		taken++;
	}
	CU_ASSERT_EQUAL(taken, VUART_QUEUE_BYTES + VUART_FIFO_BYTES);
	CU_ASSERT_EQUAL(rd(DATA), 0);
	CU_ASSERT_TRUE(vuart_input(&uart, (uint8_t)taken));
	while ((rd(LSR) & 1) != 0) {
		given++;
		CU_ASSERT_EQUAL(rd(DATA), (uint8_t)given);
	}
	CU_ASSERT_EQUAL(given, taken);
}

static void test_clear_fifo(void)
{
	setup();
	wr(IIR, 0x01);
	for (unsigned int i = 0; i < 20; i++) {
		CU_ASSERT_TRUE(vuart_input(&uart, (uint8_t)i));
	}
	/* Only what has arrived is cleared, what is still on its way comes after. */
	wr(IIR, 0x03);
	CU_ASSERT_EQUAL(rd(DATA), 16);
	wr(IIR, 0x00);
	CU_ASSERT_EQUAL(rd(LSR), 0x60);
}

static void test_loopback(void)
{
	setup();
	wr(IIR, 0x01);
	wr(IER, 4);
	wr(MCR, 0x18);
	CU_ASSERT_TRUE(vuart_input(&uart, 'h'));
	CU_ASSERT_EQUAL(rd(LSR), 0x60);
	for (unsigned int i = 0; i < 17; i++) {
		wr(DATA, (uint8_t)('A' + i));
	}
	CU_ASSERT_EQUAL(fake.byte_count, 0);
	/* One too many for the FIFO. */
	CU_ASSERT_EQUAL(rd(IIR), 0xC6);
	CU_ASSERT_EQUAL(rd(LSR), 0x63);
	CU_ASSERT_EQUAL(rd(LSR), 0x61);
	for (unsigned int i = 0; i < 16; i++) {
		CU_ASSERT_EQUAL(rd(DATA), 'A' + i);
	}
	CU_ASSERT_EQUAL(rd(LSR), 0x60);
	wr(MCR, 0x08);
	CU_ASSERT_EQUAL(rd(DATA), 'h');
}

static void test_modem_status(void)
{
	setup();
	wr(IER, 8);
	wr(MCR, 0x10);
	CU_ASSERT_EQUAL(rd(IIR), 0x00);
	CU_ASSERT_EQUAL(rd(MSR), 0x0B);
	CU_ASSERT_EQUAL(rd(IIR), 0x01);
	/* RI counts when it goes away. */
	wr(MCR, 0x14);
	CU_ASSERT_EQUAL(rd(MSR), 0x40);
	wr(MCR, 0x11);
	CU_ASSERT_EQUAL(rd(MSR), 0x26);
	CU_ASSERT_EQUAL(rd(MCR), 0x11);
}

static void test_reset(void)
{
	setup();
	wr(IER, 0x0F);
	wr(IIR, 0x01);
	wr(LCR, 3);
	wr(SCR, 9);
	CU_ASSERT_TRUE(vuart_input(&uart, 1));
	CU_ASSERT_TRUE(vuart_input(&uart, 2));
	vuart_reset(&uart);
	CU_ASSERT_EQUAL(rd(IER), 0);
	CU_ASSERT_EQUAL(rd(IIR), 1);
	CU_ASSERT_EQUAL(rd(SCR), 0);
	CU_ASSERT_EQUAL(rd(LSR), 0x60);
}

UNIT_MAIN("vuart", UNIT_TEST(test_reset_state), UNIT_TEST(test_probe), UNIT_TEST(test_divisor),
	  UNIT_TEST(test_output), UNIT_TEST(test_transmit_interrupt),
	  UNIT_TEST(test_receive_without_fifo), UNIT_TEST(test_receive_fifo),
	  UNIT_TEST(test_queue_limit), UNIT_TEST(test_clear_fifo), UNIT_TEST(test_loopback),
	  UNIT_TEST(test_modem_status), UNIT_TEST(test_reset))

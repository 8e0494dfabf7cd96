/*
 * console.c - see console.h. 16550 UART: the PC16550D's datasheet; port 0xE9: Bochs' and QEMU's debug
 * console, which Janus has too.
 */
#include "guest-drivers/metal/console.h"

#include "guest-drivers/metal/cpu.h"
#include "guest-drivers/metal/screen.h"

#define PORT_DEBUG 0xe9u
#define DEBUG_IS_THERE 0xe9u

#define PORT_UART 0x3f8u
#define UART_INTERRUPTS 1u
#define UART_FIFO 2u
#define UART_LINE 3u
#define UART_MODEM 4u
#define UART_STATUS 5u
#define UART_SCRATCH 7u
#define UART_CAN_TAKE 0x20u
#define UART_LINE_DIVISOR 0x80u
#define UART_LINE_8N1 0x03u
#define UART_POLLS_MAX 1000000u /* a byte at 115200 baud takes 87 us */

#define EARLY_BYTES 8192u
#define ADDED_MAX 2u

struct added {
	void (*write)(void *context, const char *text, size_t count);
	void *context;
};

static uint32_t kinds;
static uint32_t kinds_wanted;
static char early[EARLY_BYTES];
static size_t early_count;
static struct added added[ADDED_MAX];

static bool uart_answers(void)
{
	static const uint8_t patterns[] = {0x5a, 0xa5};

	for (size_t i = 0; i < ARRAY_COUNT(patterns); i++) {
		port_write8(PORT_UART + UART_SCRATCH, patterns[i]);
		if (port_read8(PORT_UART + UART_SCRATCH) != patterns[i]) {
			return false;
		}
	}
	return true;
}

/* 115200 baud, 8 bits, no parity, FIFOs on, no interrupts. */
static void uart_open(void)
{
	port_write8(PORT_UART + UART_INTERRUPTS, 0);
	port_write8(PORT_UART + UART_LINE, UART_LINE_DIVISOR | UART_LINE_8N1);
	port_write8(PORT_UART, 1);
	port_write8(PORT_UART + 1, 0);
	port_write8(PORT_UART + UART_LINE, UART_LINE_8N1);
	port_write8(PORT_UART + UART_FIFO, 0x07);
	port_write8(PORT_UART + UART_MODEM, 0x03);
}

/* A UART that does not take a byte in all that time is no console any more. */
static void uart_put(char c)
{
	for (uint32_t i = 0; (port_read8(PORT_UART + UART_STATUS) & UART_CAN_TAKE) == 0; i++) {
		if (i == UART_POLLS_MAX) {
			kinds &= ~CONSOLE_UART;
			return;
		}
		cpu_pause();
	}
	port_write8(PORT_UART, (uint8_t)c);
}

static void uart_write(const char *text, size_t count)
{
	for (size_t i = 0; i < count && (kinds & CONSOLE_UART) != 0; i++) {
		if (text[i] == '\n') {
			uart_put('\r');
		}
		uart_put(text[i]);
	}
}

void console_open(uint32_t wanted, bool one_line, bool on_xen, const struct boot_info *info)
{
	kinds = 0;
	kinds_wanted = wanted;
	if ((wanted & CONSOLE_PORT) != 0 && (on_xen || port_read8(PORT_DEBUG) == DEBUG_IS_THERE)) {
		kinds |= CONSOLE_PORT;
	}
	if (one_line && kinds != 0) {
		kinds_wanted &= ~(CONSOLE_UART | CONSOLE_ADDED);
	}
	if ((kinds_wanted & CONSOLE_UART) != 0 && uart_answers()) {
		uart_open();
		kinds |= CONSOLE_UART;
	}
	if (one_line && kinds != 0) {
		kinds_wanted &= ~CONSOLE_ADDED;
	}
	if ((kinds_wanted & CONSOLE_SCREEN) != 0 && screen_open(info)) {
		kinds |= CONSOLE_SCREEN;
	}
}

uint32_t console_kinds(void)
{
	return kinds;
}

static void keep_early(const char *text, size_t count)
{
	size_t room = EARLY_BYTES - early_count;

	count = count < room ? count : room;
	memcpy(early + early_count, text, count);
	early_count += count;
}

void console_write(const char *text, size_t count)
{
	keep_early(text, count);
	for (size_t i = 0; i < count && (kinds & CONSOLE_PORT) != 0; i++) {
		port_write8(PORT_DEBUG, (uint8_t)text[i]);
	}
	uart_write(text, count);
	if ((kinds & CONSOLE_SCREEN) != 0) {
		screen_write(text, count);
	}
	for (size_t i = 0; i < ADDED_MAX; i++) {
		if (added[i].write != NULL) {
			added[i].write(added[i].context, text, count);
		}
	}
}

bool console_add(void (*write)(void *context, const char *text, size_t count), void *context)
{
	for (size_t i = 0; i < ADDED_MAX && (kinds_wanted & CONSOLE_ADDED) != 0; i++) {
		if (added[i].write == NULL) {
			write(context, early, early_count);
			added[i] = (struct added){write, context};
			kinds |= CONSOLE_ADDED;
			return true;
		}
	}
	return false;
}

void console_keep_ports(void)
{
	kinds &= CONSOLE_PORT | CONSOLE_UART;
	memset(added, 0, sizeof(added));
}

void console_remove(const void *context)
{
	for (size_t i = 0; i < ADDED_MAX; i++) {
		if (added[i].write != NULL && added[i].context == context) {
			added[i].write = NULL;
		}
	}
}

/*
 * lib.c - console, options, reports and the end of a test guest. start_info: Xen's PVH boot
 * protocol; the other way in is Multiboot.
 */
#include "tests/guest/lib.h"

#include <stdarg.h>

#include "tests/guest/cpu.h"

#define PORT_DEBUG 0xe9u
#define DEBUG_IS_THERE 0xe9u
#define PORT_UART 0x3f8u
#define UART_STATUS 5u
#define UART_CAN_TAKE 0x20u
#define PORT_PM1A_CONTROL 0xb004u /* hypervisor/platform/pm.h */
#define PORT_PM1A_OF_Q35 0x604u /* where QEMU's own board has it, to try a guest without Janus */
#define SLEEP_S5 (5u << 10 | 1u << 13)
#define SLEEP_S5_OF_Q35 (1u << 13)
#define START_MAGIC 0x336ec578u
#define LINE_BYTES 200u

struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t module_count;
	uint64_t modules;
	uint64_t cmdline;
};

#define MULTIBOOT_CMDLINE_AT 16u

struct boot_registers boot_registers;
static char cmdline[1024];
static bool has_debug_port;

void guest_main(uintptr_t ebx, uint32_t eax);

void *memcpy(void *to, const void *from, size_t bytes)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) : : "memory");
	return to;
}

void *memset(void *to, int value, size_t bytes)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(value) : "memory");
	return to;
}

/* ---------------------------------------------------------------- console */

static void put_char(char c)
{
	if (has_debug_port) {
		port_write8(PORT_DEBUG, (uint8_t)c);
		return;
	}
	while ((port_read8(PORT_UART + UART_STATUS) & UART_CAN_TAKE) == 0) {
		cpu_pause();
	}
	port_write8(PORT_UART, (uint8_t)c);
}

struct line {
	char text[LINE_BYTES];
	size_t len;
};

static void add_char(struct line *line, char c)
{
	if (line->len < LINE_BYTES) {
		line->text[line->len++] = c;
	}
}

static void add_text(struct line *line, const char *text)
{
	while (*text != 0) {
		add_char(line, *text++);
	}
}

static void add_number(struct line *line, uint64_t value, unsigned int base)
{
	char digits[20];
	size_t count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	while (count != 0) {
		add_char(line, digits[--count]);
	}
}

/* One conversion, @format behind its %. Gives what follows it. */
static const char *add_argument(struct line *line, const char *format, va_list *args)
{
	bool is_long = *format == 'l';
	unsigned int base;

	format += is_long ? 1 : 0;
	if (*format == 's') {
		add_text(line, va_arg(*args, const char *));
	} else if (*format == '%') {
		add_char(line, '%');
	} else {
		base = *format == 'x' ? 16 : 10;
		add_number(line, is_long ? va_arg(*args, unsigned long) : va_arg(*args, unsigned int), base);
	}
	return format + 1;
}

void report(const char *format, ...)
{
	struct line line = {.len = 0};
	va_list args;

	add_text(&line, "JANUS: ");
	va_start(args, format);
	while (*format != 0) {
		if (*format == '%') {
			format = add_argument(&line, format + 1, &args);
		} else {
			add_char(&line, *format++);
		}
	}
	va_end(args);
	for (size_t i = 0; i < line.len; i++) {
		put_char(line.text[i]);
	}
	put_char('\n');
}

/* ---------------------------------------------------------------- options */

/* What stands behind `key=` at the start of a word, or NULL. */
static const char *option_value(const char *key)
{
	const char *at = cmdline;

	while (*at != 0) {
		const char *k = key;

		while (*k != 0 && *at == *k) {
			at++;
			k++;
		}
		if (*k == 0 && *at == '=') {
			return at + 1;
		}
		while (*at != 0 && *at != ' ') {
			at++;
		}
		while (*at == ' ') {
			at++;
		}
	}
	return NULL;
}

uint64_t option_number(const char *key, uint64_t fallback)
{
	const char *at = option_value(key);
	uint64_t value = 0;

	if (at == NULL) {
		return fallback;
	}
	while (*at >= '0' && *at <= '9') {
		value = value * 10 + (uint64_t)(*at++ - '0');
	}
	return value;
}

bool option_is(const char *key, const char *value)
{
	const char *at = option_value(key);

	if (at == NULL) {
		return false;
	}
	while (*value != 0 && *at == *value) {
		at++;
		value++;
	}
	return *value == 0 && (*at == 0 || *at == ' ');
}

static void take_cmdline(const char *from)
{
	for (size_t i = 0; from != NULL && i < sizeof(cmdline) - 1 && from[i] != 0; i++) {
		cmdline[i] = from[i];
	}
}

/* ---------------------------------------------------------------- numbers */

void sort_numbers(uint64_t *values, size_t count)
{
	for (size_t gap = count / 2; gap != 0; gap /= 2) {
		for (size_t i = gap; i < count; i++) {
			uint64_t value = values[i];
			size_t j = i;

			while (j >= gap && values[j - gap] > value) {
				values[j] = values[j - gap];
				j -= gap;
			}
			values[j] = value;
		}
	}
}

uint64_t random_number(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* ---------------------------------------------------------------- start and end */

void power_off(void)
{
	port_write16(PORT_PM1A_CONTROL, SLEEP_S5);
	port_write16(PORT_PM1A_OF_Q35, SLEEP_S5_OF_Q35);
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}

void finish(bool pass)
{
	report("result=%s", pass ? "pass" : "fail");
	power_off();
}

/* Where the command line is. */
static const char *read_boot_info(void)
{
	const struct start_info *info = (const struct start_info *)boot_registers.ebx;
	uint32_t at;

	if (boot_registers.eax == MULTIBOOT_MAGIC) {
		memcpy(&at, (const void *)(boot_registers.ebx + MULTIBOOT_CMDLINE_AT), sizeof(at));
		return (const char *)(uintptr_t)at;
	}
	if (info->magic != START_MAGIC) {
		report("error=start_info has no magic");
		finish(false);
	}
	return (const char *)(uintptr_t)info->cmdline;
}

void guest_main(uintptr_t ebx, uint32_t eax)
{
	has_debug_port = port_read8(PORT_DEBUG) == DEBUG_IS_THERE;
	boot_registers = (struct boot_registers){eax, ebx};
	take_cmdline(read_boot_info());
	cpu_init();
	program_main();
	finish(false); /* a program ends by itself */
}

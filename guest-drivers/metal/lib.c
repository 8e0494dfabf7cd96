/*
 * lib.c - the start, options, reports and the end of a guest on the metal, and the memory functions that the
 * compiler may call.
 */
#include "guest-drivers/metal/lib.h"

#include <stdarg.h>

#include "guest-drivers/metal/console.h"
#include "guest-drivers/metal/cpu.h"
#include "guest-drivers/text.h"

#define LINE_BYTES 200u
#define WINDOW_BYTES (UINT64_C(4) << 30) /* boot.S */
#define ONE_LINE_BOARD "JANUS" /* acpi.oem of the board whose port 0xE9, UART and ring are one stream */

struct boot_registers boot_registers;
struct boot_info boot_info;
struct acpi acpi;
const struct memory_window metal_memory = {.base = 0, .bytes = WINDOW_BYTES};

void guest_main(uintptr_t ebx, uint32_t eax);

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(len) : : "memory");
	return to;
}

void *memset(void *to, int byte, size_t len)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(len) : "a"(byte) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a;
	const uint8_t *y = b;

	for (size_t i = 0; i < len; i++) {
		if (x[i] != y[i]) {
			return x[i] < y[i] ? -1 : 1;
		}
	}
	return 0;
}

void *memmove(void *to, const void *from, size_t len)
{
	uint8_t *t = to;
	const uint8_t *f = from;

	if (t <= f || t >= f + len) {
		__asm__ volatile("rep movsb" : "+D"(t), "+S"(f), "+c"(len) : : "memory");
		return to;
	}
	while (len != 0) {
		len--;
		t[len] = f[len];
	}
	return to;
}

/* ---------------------------------------------------------------- reports */

void report(const char *format, ...)
{
	char line[LINE_BYTES + 1]; /* and the end of the line */
	va_list list;
	size_t length = text_format(line, LINE_BYTES, "JANUS: ");

	va_start(list, format);
	length += text_format_list(line + length, LINE_BYTES - length, format, list);
	va_end(list);
	line[length++] = '\n';
	console_write(line, length);
}

/* ---------------------------------------------------------------- options */

/* What stands behind `key=` at the start of a word, or NULL. */
static const char *option_value(const char *key)
{
	const char *at = boot_info.cmdline;

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

/* Is @word at @at, ended by a blank, the end, or @separator? */
static bool word_is(const char *at, const char *word, char separator)
{
	while (*word != 0 && *at == *word) {
		at++;
		word++;
	}
	return *word == 0 && (*at == 0 || *at == ' ' || *at == separator);
}

bool option_is(const char *key, const char *value)
{
	const char *at = option_value(key);

	return at != NULL && word_is(at, value, ' ');
}

bool option_lists(const char *key, const char *item)
{
	const char *at = option_value(key);

	while (at != NULL) {
		if (word_is(at, item, ',')) {
			return true;
		}
		while (*at != 0 && *at != ' ' && *at != ',') {
			at++;
		}
		at = *at == ',' ? at + 1 : NULL;
	}
	return false;
}

bool option_text(const char *key, char *to, size_t room)
{
	const char *at = option_value(key);
	size_t count = 0;

	while (at != NULL && at[count] != 0 && at[count] != ' ' && count < room - 1) {
		to[count] = at[count];
		count++;
	}
	to[count] = 0;
	return at != NULL;
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

void finish(bool pass)
{
	report("result=%s", pass ? "pass" : "fail");
	power_off();
}

static void open_consoles(void)
{
	static const char *const names[] = {"port", "uart", "screen", "ring"}; /* the bits of CONSOLE_ALL */
	bool one_line = word_is(acpi.oem, ONE_LINE_BOARD, 0);
	uint32_t wanted = 0;

	for (unsigned int i = 0; i < ARRAY_COUNT(names); i++) {
		wanted |= option_lists("console", names[i]) ? BIT(i) : 0;
	}
	console_open(wanted != 0 ? wanted : CONSOLE_ALL, one_line && wanted == 0, xen_base() != 0,
	             &boot_info);
}

void guest_main(uintptr_t ebx, uint32_t eax)
{
	bool known;

	boot_registers = (struct boot_registers){eax, ebx};
	known = boot_info_read(&boot_info, &metal_memory, eax, ebx);
	(void)acpi_read(&acpi, &metal_memory, boot_info.rsdp);
	cpu_find_faces();
	open_consoles();
	if (!known) {
		report("error=started by no known protocol");
		finish(false);
	}
	cpu_init();
	program_main();
	finish(false); /* a program ends by itself */
}

/*
 * lib.h - what every test guest stands on: console, options, reports, the end.
 *
 * A guest reports lines `JANUS: key=value` on port 0xE9 or, where that is not, on the UART, and
 * last `JANUS: result=pass` or `JANUS: result=fail`. Only the first CPU may report. Nothing here
 * allocates.
 */
#ifndef GUEST_LIB_H
#define GUEST_LIB_H

#include "base/compiler.h"

#define MULTIBOOT_MAGIC 0x2badb002u

/* What the first CPU came with: Multiboot's magic if it was started so, and the address in EBX. */
struct boot_registers {
	uint32_t eax;
	uintptr_t ebx;
};
extern struct boot_registers boot_registers;

/* Each program's own. Console, options, IDT and local APIC are ready; interrupts are off. */
void program_main(void);

/* Prints "JANUS: " and the text: %s, %u, %lu, %lx and %% only, no widths. */
void report(const char *format, ...) PRINTF_LIKE(1, 2);

/* Reports the result and powers the machine off. */
NORETURN void finish(bool pass);

/* Powers off by ACPI's PM1a control register, S5. */
NORETURN void power_off(void);

/* The number behind `key=` on the command line, decimal, or @fallback if there is none. */
uint64_t option_number(const char *key, uint64_t fallback);

/* True if the command line has `key=value` as a word. */
bool option_is(const char *key, const char *value);

/* Rising order. */
void sort_numbers(uint64_t *values, size_t count);

/* The next of a fixed sequence of random numbers: every run of a guest has the same. */
uint64_t random_number(void);

void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

#endif /* GUEST_LIB_H */

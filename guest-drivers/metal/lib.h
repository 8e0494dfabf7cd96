/*
 * lib.h - what every guest on the metal stands on: what it was started with, options, reports, the end.
 *
 * A program defines program_main(). It reports lines `JANUS: key=value` on every console there is
 * (console.h), and last `JANUS: result=pass` or `JANUS: result=fail`, or writes what it likes by
 * console_write(). Only the first CPU may report. Nothing here allocates.
 *
 * Options on the command line that are heard here: console=LIST, of port, uart, screen and ring with
 * commas between (all without it), apic=xapic, cpus=N, tsc_hz=N.
 */
#ifndef GUEST_DRIVERS_METAL_LIB_H
#define GUEST_DRIVERS_METAL_LIB_H

#include "guest-drivers/metal/acpi.h"
#include "guest-drivers/metal/boot_info.h"

/* What the first CPU came with: Multiboot's magic if it was started so, and the address in EBX. */
struct boot_registers {
	uint32_t eax;
	uintptr_t ebx;
};
extern struct boot_registers boot_registers;

/* What that means: set before program_main() and not changed after. */
extern struct boot_info boot_info;
extern struct acpi acpi;
/* The 4 GiB that are mapped one to one. */
extern const struct memory_window metal_memory;

/* Each program's own. Consoles, options, IDT and local APIC are ready; interrupts are off. */
void program_main(void);

/* Prints "JANUS: " and the text: %s, %u, %lu, %lx and %% only, no widths. At most 200 characters. */
void report(const char *format, ...) PRINTF_LIKE(1, 2);

/* Reports the result and powers the machine off. */
NORETURN void finish(bool pass);

/*
 * Powers off: by ACPI's S5, or Xen's SCHEDOP_shutdown; else says so on the consoles and halts for good.
 * power.c; any CPU.
 */
NORETURN void power_off(void);

/* The number behind `key=` on the command line, decimal, or @fallback if there is none. */
uint64_t option_number(const char *key, uint64_t fallback);

/* True if the command line has `key=value` as a word. */
bool option_is(const char *key, const char *value);

/* True if the command line has `key=a,b,c` as a word, and @item is one of a, b, c. */
bool option_lists(const char *key, const char *item);

/* Copies what stands behind `key=`, up to the blank, cut to @room. False: there is no such word. */
bool option_text(const char *key, char *to, size_t room);

/* Rising order. */
void sort_numbers(uint64_t *values, size_t count);

/* The next of a fixed sequence of random numbers: every run of a guest has the same. */
uint64_t random_number(void);

#endif /* GUEST_DRIVERS_METAL_LIB_H */

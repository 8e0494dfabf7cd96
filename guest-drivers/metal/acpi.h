/*
 * acpi.h - the little of ACPI that a guest without a driver for it needs: how to power off, and a
 * timer of known rate. ACPI 6.4, chapters 5.2 (tables), 4.8 (fixed hardware), 16.1 (sleeping).
 *
 * Pure: reads a window of memory only; ports are the caller's (power.c, cpu.c).
 */
#ifndef GUEST_DRIVERS_METAL_ACPI_H
#define GUEST_DRIVERS_METAL_ACPI_H

#include "guest-drivers/metal/memory.h"

#define ACPI_PM_TIMER_HZ 3579545u

struct acpi {
	char oem[7]; /* who made the tables, by the RSDP; without blanks at its end; "": no tables */
	bool has_fadt;
	uint16_t pm1a_control, pm1b_control; /* I/O ports; 0: none */
	uint16_t pm_timer; /* I/O port; 0: none */
	uint16_t smi_command; /* I/O port; 0: ACPI is on already */
	uint8_t enable_value; /* for smi_command */
	bool has_s5; /* \_S5 was found: the two values are known */
	uint8_t s5_a, s5_b; /* SLP_TYP of PM1a and PM1b */
};

/*
 * Fills @acpi from the tables below @rsdp, or below the one that a BIOS left under 1 MiB if @rsdp is 0.
 * False: no RSDP, @acpi is empty. A table that is not whole counts as not there.
 */
bool acpi_read(struct acpi *acpi, const struct memory_window *memory, uint64_t rsdp);

#endif /* GUEST_DRIVERS_METAL_ACPI_H */

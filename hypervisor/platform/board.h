/*
 * board.h - all of one guest's board: local APICs, IOAPIC, UART, RTC, ACPI hardware, and who
 * answers which port and page. The rows of the ports are specs/ports.def.
 *
 * Accesses come from the CPU that runs the vCPU named, holding nothing of the platform. Values are
 * right aligned; a guest's bytes above the access size are ignored on a write and 0 on a read.
 */
#ifndef PLATFORM_BOARD_H
#define PLATFORM_BOARD_H

#include "base/compiler.h"
#include "hypervisor/platform/env.h"
#include "hypervisor/platform/pm.h"
#include "hypervisor/platform/rtc.h"
#include "hypervisor/platform/uart.h"
#include "hypervisor/platform/vioapic.h"
#include "hypervisor/platform/vlapic.h"

#define BOARD_VCPUS_MAX 64u

/* BOARD_PORT_rtc and so on: the rows by name. */
enum board_port {
#define PORT(first, last, name, clause) BOARD_PORT_##name,
#include "specs/ports.def"
#undef PORT
	BOARD_PORT_COUNT,
};

struct board_port_row {
	uint16_t first;
	uint16_t last;
	const char *name;
	const char *clause;
};

struct board {
	struct vlapic_bus bus;
	struct vlapic lapics[BOARD_VCPUS_MAX];
	struct vioapic ioapic;
	struct vuart uart;
	struct rtc rtc;
	struct pm pm;
	uint8_t port61;
	/* Accesses by row, and those that no row claims. Atomic; for the monitor. */
	uint64_t port_counts[BOARD_PORT_COUNT];
	uint64_t unclaimed_port_count;
};

/*
 * Power-on. False if @vcpu_count is 0 or above BOARD_VCPUS_MAX. @b stays where it is from now on.
 */
MUST_CHECK bool board_init(struct board *b, struct board_env env, unsigned int vcpu_count);

/*
 * A reset of the whole machine: everything but the clock, the CMOS memory and the counters. All
 * vCPUs stopped.
 */
void board_reset(struct board *b);

/* vCPU @vcpu's local APIC; @vcpu is below the vcpu_count of board_init(). */
struct vlapic *board_lapic(struct board *b, unsigned int vcpu);

/*
 * @size is 1, 2 or 4. True if a row claims the access; else *value is all ones (or the write is
 * dropped).
 */
bool board_port_read(struct board *b, unsigned int vcpu, uint16_t port, unsigned int size, uint32_t *value);
bool board_port_write(struct board *b, unsigned int vcpu, uint16_t port, unsigned int size,
                      uint32_t raw_value);

/* The LAPIC and IOAPIC pages. */
bool board_owns_mmio(uint64_t gpa);

/*
 * @size is 1, 2, 4 or 8 and does not cross a page. False, and nothing done, if board_owns_mmio()
 * is.
 */
bool board_mmio_read(struct board *b, unsigned int vcpu, uint64_t gpa, unsigned int size, uint64_t *value);
bool board_mmio_write(struct board *b, unsigned int vcpu, uint64_t gpa, unsigned int size,
                      uint64_t raw_value);

/* The row's names and clauses, for the tracer and the support matrix. */
const struct board_port_row *board_port_row(enum board_port row);

#endif /* PLATFORM_BOARD_H */

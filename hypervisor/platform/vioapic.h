/*
 * vioapic.h - the guest's IOAPIC: 24 pins at 0xFEC00000 (Intel 82093AA, with the EOI register of
 * version 0x20).
 *
 * GSI n is pin n. A line is asserted or not: the polarity bit of an entry is kept but means
 * nothing, since devices here drive logical levels. An edge that comes while its pin is masked is
 * lost, as in hardware.
 *
 * Its lock also guards the state of the devices that drive its pins (UART, PM): that way a change
 * of a device and the change of its line are one step. Messages that come of it wait until
 * vioapic_unlock() and go out without the lock, so that whatever core does to wake a vCPU never
 * nests in it.
 */
#ifndef PLATFORM_VIOAPIC_H
#define PLATFORM_VIOAPIC_H

#include "base/compiler.h"
#include "base/lock.h"
#include "hypervisor/platform/vlapic.h"

#define VIOAPIC_BASE 0xFEC00000u
#define VIOAPIC_BYTES 0x1000u
#define VIOAPIC_PIN_COUNT 24u
#define VIOAPIC_VERSION 0x20u

struct vioapic {
	struct spinlock lock;
	struct vlapic_bus *bus;
	uint64_t entries[VIOAPIC_PIN_COUNT];
	uint32_t lines; /* asserted, a bit a pin */
	uint32_t to_send; /* pins whose message goes out at unlock */
	uint32_t id;
	uint8_t select;
};

/* As after power-on: all pins masked, all lines low. @bus outlives it. */
void vioapic_init(struct vioapic *io, struct vlapic_bus *bus);

/*
 * Back to power-on, lines included. The caller has stopped all vCPUs of the guest and holds
 * nothing.
 */
void vioapic_reset(struct vioapic *io);

/*
 * Around a change of a device that may change its line. Nothing of core may be called between the
 * two.
 */
void vioapic_lock(struct vioapic *io);
void vioapic_unlock(struct vioapic *io);

/*
 * Asserts (or not) the line of @gsi. Inside vioapic_lock(). A @gsi past the last pin does nothing.
 */
void vioapic_drive(struct vioapic *io, unsigned int gsi, bool level);

/* The same with the lock taken around it, for everyone else. Any CPU. */
void vioapic_set_line(struct vioapic *io, unsigned int gsi, bool level);

/* A local APIC ended the level interrupt @vector. Any CPU. */
void vioapic_eoi(struct vioapic *io, uint8_t vector);

/* The MMIO page: @offset below VIOAPIC_BYTES, @size 1, 2, 4 or 8. Never fails. Any CPU. */
uint64_t vioapic_mmio_read(struct vioapic *io, uint32_t offset, unsigned int size);
void vioapic_mmio_write(struct vioapic *io, uint32_t offset, unsigned int size, uint64_t raw_value);

#endif /* PLATFORM_VIOAPIC_H */

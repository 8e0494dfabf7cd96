/*
 * acpi.h - the ACPI tables of a guest (ACPI 5.0; WAET as Microsoft's specification of it).
 *
 * One platform for both faces. Where they differ, a row of face_rows in acpi.c says so:
 *  - Xen: the FADT says NO_CMOS_RTC beside NO_VGA, by which Linux knows that it is a PVH guest when
 * it was not booted by the PVH entry; so there is no RTC device either. (The chip answers all the
 * same.)
 *  - Hyper-V: the VMBus device, as an SSDT.
 */
#ifndef PLATFORM_ACPI_H
#define PLATFORM_ACPI_H

#include "base/compiler.h"

#define ACPI_VCPUS_MAX 1024u
/* Enough for 64 vCPUs with everything on, and then some. */
#define ACPI_ROOM_BYTES 0x4000u
/* Of the address that acpi_build() is given: the FACS wants it. */
#define ACPI_ALIGN_BYTES 64u

/* MMIO windows that vmbus.asl gives to VMBus devices. Guest RAM must not lie there. */
#define ACPI_WINDOW_LOW_FIRST 0xF8000000ull
#define ACPI_WINDOW_LOW_LAST 0xFBFFFFFFull
#define ACPI_WINDOW_HIGH_FIRST 0xFE0000000ull
#define ACPI_WINDOW_HIGH_LAST 0xFFFFFFFFFull

struct acpi_config {
	bool hyperv_face;
	bool xen_face;
	uint32_t vcpu_count; /* 1 to ACPI_VCPUS_MAX; vCPU n has APIC id n and ACPI processor id n */
};

/*
 * Builds all tables into @to, which has @room bytes and will lie at guest-physical @gpa, a multiple
 * of ACPI_ALIGN_BYTES but 0, wholly below 4 GiB. Zeroes the whole of @room first, so that nothing
 * of the host leaks (XSA-464). Returns how many bytes are used, and where the RSDP is in *rsdp_gpa;
 * 0 if the room, the address or the number of vCPUs is wrong.
 */
MUST_CHECK size_t acpi_build(uint8_t *to, size_t room, uint64_t gpa, const struct acpi_config *config,
                             uint64_t *rsdp_gpa);

#endif /* PLATFORM_ACPI_H */

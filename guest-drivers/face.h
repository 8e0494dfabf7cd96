/*
 * face.h - which hypervisor shows itself, by CPUID: Hyper-V's face, Xen's, both, others, none.
 *
 * Vendors put their leaves at 0x40000000 or, beside another's, at a multiple of 0x100 above it. TLFS,
 * "Hypervisor discovery"; Xen's arch-x86/cpuid.h.
 */
#ifndef GUEST_DRIVERS_FACE_H
#define GUEST_DRIVERS_FACE_H

#include "guest-drivers/guest.h"

#define FACE_FIRST_LEAF 0x40000000u
#define FACE_STRIDE 0x100u
#define FACE_BASES 256u
#define FACE_SIGNATURES_MAX 8u
#define FACE_TEXT_BYTES 49u /* 12 bytes, each at most "\xNN", and a zero */

struct face_signature {
	uint32_t base; /* the leaf */
	uint32_t max; /* the last leaf, as it says */
	char text[FACE_TEXT_BYTES]; /* printable: others as \xNN, without the zeros at its end */
};

struct face_found {
	uint32_t count; /* of signatures kept */
	uint32_t lost; /* found, but there was no room */
	struct face_signature signatures[FACE_SIGNATURES_MAX];
	/* 0: that face is not there. */
	uint32_t hyperv_base, hyperv_max;
	uint32_t xen_base, xen_max;
	uint32_t hyperv_build; /* of the host's version, which is only shown */
	uint16_t hyperv_major, hyperv_minor;
	uint16_t xen_major, xen_minor;
};

/*
 * Looks at all places where a hypervisor may show itself, through guest's cpuid operation, which is all of
 * @guest that is used. Hyper-V's face counts only with its interface Hv#1 and at 0x40000000, where its
 * other leaves have their numbers; Xen's only with its two leaves more. Without CPUID's hypervisor bit
 * there is nothing. Any CPU.
 */
void face_find(struct face_found *found, struct guest *guest);

/* "hyperv", "xen", "both" or "none". */
const char *face_name_of(const struct face_found *found);

#endif /* GUEST_DRIVERS_FACE_H */

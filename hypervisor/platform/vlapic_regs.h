/*
 * vlapic_regs.h - between the two halves of the local APIC; only vlapic*.c include it.
 */
#ifndef PLATFORM_VLAPIC_REGS_H
#define PLATFORM_VLAPIC_REGS_H

#include "hypervisor/platform/vlapic.h"

#define SVR_ENABLED (1u << 8)

#define ICR_LOGICAL (1u << 11)
#define ICR_BUSY (1u << 12)
#define ICR_ASSERT (1u << 14)
#define ICR_LEVEL (1u << 15)
#define ICR_SHORTHAND_MASK (3u << 18)
#define ICR_TO_SELF (1u << 18)
#define ICR_TO_OTHERS (3u << 18)

#define ESR_SENT_ILLEGAL (1u << 5)
#define ESR_RECEIVED_ILLEGAL (1u << 6)
#define ESR_ILLEGAL_REGISTER (1u << 7)

/* False: not a legal transition. */
MUST_CHECK bool vlapic_set_apic_base(struct vlapic *l, uint64_t raw_value);

/* @svr has only legal bits. */
void vlapic_set_svr(struct vlapic *l, uint32_t svr);

/* The logical id register of the mode that is on. */
uint32_t vlapic_ldr(const struct vlapic *l);

/* Records an error that this vCPU's guest code made; the bit is one of ESR_. */
void vlapic_raise_error(struct vlapic *l, uint32_t esr_bit);

/* Sends what icr_low and icr_high say. */
void vlapic_send_icr(struct vlapic *l);

#endif /* PLATFORM_VLAPIC_REGS_H */

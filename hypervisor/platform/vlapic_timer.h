/*
 * vlapic_timer.h - the timer half of the local APIC; only vlapic*.c include it.
 */
#ifndef PLATFORM_VLAPIC_TIMER_H
#define PLATFORM_VLAPIC_TIMER_H

#include "hypervisor/platform/vlapic.h"

#define LVT_MASKED (1u << 16)
#define LVT_TIMER_PERIODIC (1u << 17)

/* Stops the timer and forgets its registers. */
void vlapic_timer_reset(struct vlapic *l);

/* Current count, computed from the clock. */
uint32_t vlapic_timer_count(const struct vlapic *l);

/* The guest wrote the initial count: starts over, or stops with 0. */
void vlapic_timer_start(struct vlapic *l, uint32_t count);

/* The guest wrote the divide configuration: the count goes on from where it is at the new speed. */
void vlapic_timer_set_divide(struct vlapic *l, uint32_t config);

/* The guest wrote the LVT entry of the timer; @lvt is legal. */
void vlapic_timer_set_lvt(struct vlapic *l, uint32_t lvt);

/* Arms or stops core's timer for what the registers now say. */
void vlapic_timer_rearm(struct vlapic *l);

#endif /* PLATFORM_VLAPIC_TIMER_H */

/*
 * machine.h - the machine below guest-drivers/ on the metal: its table of operations over real
 * instructions, and a pool of pages.
 */
#ifndef GUEST_MACHINE_H
#define GUEST_MACHINE_H

#include "guest-drivers/guest.h"
#include "tests/guest/cpu.h"

#define POOL_FIRST_GFN (8u << 8)
#define POOL_PAGES (12u << 8)
#define POLL_TIMER_US 1000u

/* Once. @sleeps: polls halt until an interrupt or for at most POLL_TIMER_US; else they pause. */
struct guest *machine_open(bool sleeps);
/* Pages of the pool that are out. */
uint32_t machine_pages_out(void);
/* False: #GP. */
bool msr_write_safe(uint32_t msr, uint64_t value);

#endif /* GUEST_MACHINE_H */

/*
 * machine.h - the machine below guest-drivers/ on the metal: its table of operations over real
 * instructions, and a pool of pages. Only the first CPU may call these.
 */
#ifndef GUEST_DRIVERS_METAL_MACHINE_H
#define GUEST_DRIVERS_METAL_MACHINE_H

#include "guest-drivers/guest.h"
#include "guest-drivers/metal/cpu.h"

#define POOL_PAGES_MAX (12u << 8)
#define POLL_TIMER_US 1000u

/*
 * Once. @sleeps: polls halt until an interrupt or for at most POLL_TIMER_US; else they pause. The pool lies in
 * RAM by the loader's map, from 8 MiB on if it can be had there. In less than 12 MiB it is smaller, down to none.
 */
struct guest *machine_open(bool sleeps);
/*
 * Of machine_open(false): one of so many polls sleeps all the same, so that a host whose backends share this CPU
 * comes to its work. 0: none.
 */
void machine_sleep_each(uint32_t polls);
/* Where the pool begins, and its pages. */
uint64_t machine_pool_first_gfn(void);
uint32_t machine_pool_pages(void);
/* Pages of the pool that are out. */
uint32_t machine_pages_out(void);
/* False: #GP. */
bool msr_write_safe(uint32_t msr, uint64_t value);

#endif /* GUEST_DRIVERS_METAL_MACHINE_H */

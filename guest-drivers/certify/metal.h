/*
 * metal.h - the certification guest's own parts of a real machine.
 */
#ifndef GUEST_DRIVERS_CERTIFY_METAL_H
#define GUEST_DRIVERS_CERTIFY_METAL_H

#include "guest-drivers/certify/certify.h"

/* metal_machine.c: starts all CPUs. Once, after machine_open(). */
const struct certify_machine *metal_machine_open(void);

/* metal_bench.c: measures each operation that is here, and prints `# bench` lines. */
void metal_bench(struct certify *c);

/* echo.c: answers other guests' frames for ever, on the card of each face. False: there is none. */
bool echo_run(struct certify *c);

#endif /* GUEST_DRIVERS_CERTIFY_METAL_H */

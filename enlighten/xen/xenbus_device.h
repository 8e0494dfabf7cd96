/*
 * xenbus_device.h - a PV device between the bus (state machine, store) and its driver (blkback, netback).
 *
 * The bus calls a driver with its RANK_BUS lock held. A driver's own work and completions run without it,
 * and come back only through xenbus_kick().
 */
#ifndef XEN_XENBUS_DEVICE_H
#define XEN_XENBUS_DEVICE_H

#include "abi/xen.h"
#include "vm/vm.h"

struct xenbus;
struct xenbus_device;

struct xenbus_driver {
	const char *type; /* in the paths: "vbd", "vif" */
	bool connects_at_initialised; /* a frontend in state 3 has written all; else only in state 4 */
	bool disconnects_at_closing; /* else the ring is served until the frontend is closed */
	/* Memory and locks. False: no memory. */
	bool (*create)(struct xenbus_device *device);
	/* Lets go of everything; the guest does not run, nothing comes any more after it. */
	void (*destroy)(struct xenbus_device *device);
	/* Writes the backend's features, before state 2. False: no memory for one. */
	bool (*offer)(struct xenbus_device *device);
	/* Takes what the frontend has written. False: it is wrong (logged); nothing is held then. */
	bool (*connect)(struct xenbus_device *device);
	/*
	 * Takes no more requests and lets go of ring and port. False: requests are still under way, the
	 * driver calls xenbus_kick() when they are done, and is asked again. True at once if it is not
	 * connected.
	 */
	bool (*disconnect)(struct xenbus_device *device);
};

struct xenbus_device {
	struct xenbus *bus;
	struct vm *vm;
	const struct xenbus_driver *driver;
	uint32_t id; /* in the paths */
	uint32_t index; /* in vm_config() */
	uint32_t state; /* of the backend, XenbusState* */
	bool untold; /* there was no memory to write the state: again at the next look, soon */
	bool unoffered; /* nor for the features */
	void *instance; /* the driver's */
	char front[48]; /* its directories in the store */
	char back[56];
};

/* What the frontend wrote: hostile. False: missing, or no decimal number up to 2^32-1. */
MUST_CHECK bool xenbus_read_number(struct xenbus_device *device, const char *name, uint32_t *number);
/* True if the frontend's text is @expected; false also if there is none. */
bool xenbus_read_is(struct xenbus_device *device, const char *name, const char *expected);
/* A node of the backend's directory, that the guest can read. False: no memory, which is logged. */
MUST_CHECK bool xenbus_write(struct xenbus_device *device, const char *name, const char *format, ...)
        PRINTF_LIKE(3, 4);

/* The bus looks at its devices again. Any context, locks below RANK_WORK. */
void xenbus_kick(struct xenbus_device *device);

extern const struct xenbus_driver blkback_driver;
extern const struct xenbus_driver netback_driver;

#endif /* XEN_XENBUS_DEVICE_H */

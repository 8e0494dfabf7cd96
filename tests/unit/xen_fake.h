/*
 * xen_fake.h - for tests of the store's ring and of the PV devices: event channels and grants in their
 * simplest form, and a guest that talks to its store.
 *
 * evtchn_backend_*() and gnttab_*() are defined here, so that a device is tested alone; the real ones have
 * tests of their own. Included by one file of a program.
 */
#ifndef TESTS_UNIT_XEN_FAKE_H
#define TESTS_UNIT_XEN_FAKE_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "abi/xen.h"
#include "backend/block.h"
#include "backend/console.h"
#include "backend/lifecycle.h"
#include "backend/switch.h"
#include "enlighten/xen/evtchn.h"
#include "enlighten/xen/gnttab.h"
#include "enlighten/xen/xen.h"
#include "enlighten/xen/xenbus.h"
#include "tests/host/host.h"
#include "tests/unit/unit.h"

/* ------------------------------------------------------------------ event channels */

#define FAKE_PORTS 64u

static struct fake_port {
	const struct evtchn_backend *backend;
	bool used;
	uint32_t told; /* times that we notified the guest */
} fake_ports[FAKE_PORTS];
static uint32_t fake_port_limit = FAKE_PORTS;
static uint32_t fake_store_port, fake_console_port;

uint32_t evtchn_backend_alloc(struct vm *vm, const struct evtchn_backend *be)
{
	(void)vm;
	for (uint32_t port = 1; port < fake_port_limit; port++) {
		if (!fake_ports[port].used) {
			fake_ports[port] = (struct fake_port){be, true, 0};
			return port;
		}
	}
	return 0;
}

bool evtchn_backend_bind(struct vm *vm, uint32_t port, const struct evtchn_backend *be)
{
	(void)vm;
	if (port >= FAKE_PORTS || !fake_ports[port].used || fake_ports[port].backend != NULL) {
		return false;
	}
	fake_ports[port].backend = be;
	fake_ports[port].told++;
	return true;
}

void evtchn_backend_unbind(struct vm *vm, uint32_t port)
{
	(void)vm;
	fake_ports[port].backend = NULL;
}

void evtchn_backend_notify(struct vm *vm, uint32_t port)
{
	(void)vm;
	__atomic_fetch_add(&fake_ports[port].told, 1, __ATOMIC_RELAXED);
}

/* The guest's alloc_unbound. */
static inline uint32_t fake_guest_port(void)
{
	return evtchn_backend_alloc(NULL, NULL);
}

/* The guest's send. */
static inline void fake_guest_send(uint32_t port)
{
	if (fake_ports[port].backend != NULL) {
		fake_ports[port].backend->notify(fake_ports[port].backend->context);
	}
}

void xen_set_store_port(struct vm *vm, uint32_t port)
{
	(void)vm;
	fake_store_port = port;
}

void xen_set_console_port(struct vm *vm, uint32_t port)
{
	(void)vm;
	fake_console_port = port;
}

/* ------------------------------------------------------------------ grants */

#define FAKE_REFS 512u

static struct fake_grant {
	bool valid, read_only;
	uint64_t at;
	uint32_t holds;
} fake_grants[FAKE_REFS];

int16_t gnttab_hold(struct vm *vm, uint32_t ref, bool write, struct gnttab_hold *hold)
{
	*hold = (struct gnttab_hold){NULL, ref, write};
	if (ref >= FAKE_REFS || !fake_grants[ref].valid || (write && fake_grants[ref].read_only)) {
		return GNTST_bad_gntref;
	}
	hold->page = vm_page_pin(vm, gpa(fake_grants[ref].at));
	if (hold->page == NULL) {
		return GNTST_general_error;
	}
	__atomic_fetch_add(&fake_grants[ref].holds, 1, __ATOMIC_RELAXED);
	return GNTST_okay;
}

void gnttab_release(struct vm *vm, struct gnttab_hold *hold)
{
	if (hold->page == NULL) {
		return;
	}
	vm_page_unpin(vm, hold->page);
	hold->page = NULL;
	__atomic_fetch_sub(&fake_grants[hold->ref].holds, 1, __ATOMIC_RELAXED);
}

/* Reference = number of the page, for simplicity. Grants page @page of the guest. */
static inline uint32_t fake_grant(uint32_t page, bool read_only)
{
	fake_grants[page] = (struct fake_grant){true, read_only, (uint64_t)page * PAGE_BYTES, 0};
	return page;
}

static inline uint32_t fake_holds(void)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < FAKE_REFS; i++) {
		sum += fake_grants[i].holds;
	}
	return sum;
}

static inline void fake_reset(void)
{
	memset(fake_ports, 0, sizeof(fake_ports));
	memset(fake_grants, 0, sizeof(fake_grants));
	fake_port_limit = FAKE_PORTS;
}

/* ------------------------------------------------------------------ the guest's end of the store */

struct fake_reply {
	struct xen_xs_message header;
	char payload[XENSTORE_PAYLOAD_MAX + 1];
};

static inline volatile struct xen_xs_ring *fake_store_ring(struct vm *vm)
{
	return host_vm_bytes(vm, vm_special_page(vm, VM_SPECIAL_XENSTORE).v, PAGE_BYTES);
}

/* Puts bytes as the ring takes them; false: it takes no more. */
static inline bool fake_store_put(struct vm *vm, const void *bytes, size_t len)
{
	volatile struct xen_xs_ring *ring = fake_store_ring(vm);
	uint32_t prod = ring->req_prod;

	for (size_t i = 0; i < len; i++) {
		if (prod - ring->req_cons == XENSTORE_RING_SIZE) {
			ring->req_prod = prod;
			fake_guest_send(fake_store_port);
			(void)host_run_work(vm);
			if (prod - ring->req_cons == XENSTORE_RING_SIZE) {
				return false;
			}
		}
		ring->req[MASK_XENSTORE_IDX(prod++)] = ((const uint8_t *)bytes)[i];
	}
	ring->req_prod = prod;
	fake_guest_send(fake_store_port);
	(void)host_run_work(vm);
	return true;
}

static inline bool fake_store_get(struct vm *vm, void *bytes, size_t len)
{
	volatile struct xen_xs_ring *ring = fake_store_ring(vm);

	for (size_t i = 0; i < len; i++) {
		if (ring->rsp_prod == ring->rsp_cons) {
			fake_guest_send(fake_store_port);
			(void)host_run_work(vm);
			if (ring->rsp_prod == ring->rsp_cons) {
				return false;
			}
		}
		((uint8_t *)bytes)[i] = ring->rsp[MASK_XENSTORE_IDX(ring->rsp_cons)];
		ring->rsp_cons++;
	}
	fake_guest_send(fake_store_port);
	(void)host_run_work(vm);
	return true;
}

/* The next message of the store's, whatever it is. */
static inline bool fake_store_next(struct vm *vm, struct fake_reply *reply)
{
	memset(reply, 0, sizeof(*reply));
	return fake_store_get(vm, &reply->header, sizeof(reply->header)) &&
	       fake_store_get(vm, reply->payload, reply->header.len);
}

static inline bool fake_store_send(struct vm *vm, uint32_t type, uint32_t tx, const void *payload, size_t len)
{
	static uint32_t id = 100;
	struct xen_xs_message header = {type, id++, tx, (uint32_t)len};

	return fake_store_put(vm, &header, sizeof(header)) && fake_store_put(vm, payload, len);
}

/* Sends one and takes messages until its reply; events before it are dropped. */
static inline bool fake_store_ask(struct vm *vm, uint32_t type, uint32_t tx, const void *payload, size_t len,
                                  struct fake_reply *reply)
{
	if (!fake_store_send(vm, type, tx, payload, len)) {
		return false;
	}
	do {
		if (!fake_store_next(vm, reply)) {
			return false;
		}
	} while (reply->header.type == XS_WATCH_EVENT);
	return true;
}

/* READ; the value as a string, "!ENOENT" and so on for an error. */
static inline const char *fake_store_read(struct vm *vm, const char *path)
{
	static struct fake_reply reply;
	static char error[40];

	if (!fake_store_ask(vm, XS_READ, 0, path, strlen(path) + 1, &reply)) {
		return "!silence";
	}
	if (reply.header.type == XS_ERROR) {
		(void)snprintf(error, sizeof(error), "!%.30s", reply.payload);
		return error;
	}
	return reply.payload;
}

/* WRITE; "OK" or an error's name. */
static inline const char *fake_store_write(struct vm *vm, const char *path, const char *format, ...)
        PRINTF_LIKE(3, 4);
static inline const char *fake_store_write(struct vm *vm, const char *path, const char *format, ...)
{
	static struct fake_reply reply;
	char payload[4096];
	size_t len = strlen(path) + 1;
	va_list args;

	memcpy(payload, path, len);
	va_start(args, format);
	len += (size_t)vsnprintf(payload + len, sizeof(payload) - len, format, args);
	va_end(args);
	if (!fake_store_ask(vm, XS_WRITE, 0, payload, len, &reply)) {
		return "silence";
	}
	return reply.payload;
}

/* ------------------------------------------------------------------ the guest's end of a device's ring */

static inline uint8_t *fake_page(struct vm *vm, uint32_t page)
{
	return host_vm_bytes(vm, (uint64_t)page * PAGE_BYTES, PAGE_BYTES);
}

/* An empty ring on page @page, granted. */
static inline struct xen_ring_header *fake_ring(struct vm *vm, uint32_t page)
{
	struct xen_ring_header *ring = (void *)fake_page(vm, page);

	memset(ring, 0, PAGE_BYTES);
	ring->req_event = 1;
	ring->rsp_event = 1;
	(void)fake_grant(page, false);
	return ring;
}

#endif /* TESTS_UNIT_XEN_FAKE_H */

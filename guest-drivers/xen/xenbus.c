/*
 * xenbus.c - what all frontends do: states (io/xenbus.h) and rings (io/ring.h).
 */
#include "guest-drivers/xen/xen.h"

#define STATE(state) (1u << (state))

/* ------------------------------------------------------------------ states */

bool xen_frontend_write(struct xen_frontend *front, const char *name, uint64_t value)
{
	char path[XEN_PATH_BYTES];

	xen_path_join(path, front->front, name);
	return xen_store_write_number(front->x, 0, path, value) == 0;
}

uint64_t xen_frontend_read(struct xen_frontend *front, const char *name, uint64_t otherwise)
{
	char path[XEN_PATH_BYTES];
	uint64_t value;

	xen_path_join(path, front->back, name);
	return xen_store_read_number(front->x, 0, path, &value) == 0 ? value : otherwise;
}

bool xen_frontend_set_state(struct xen_frontend *front, uint32_t state)
{
	return xen_frontend_write(front, "state", state);
}

bool xen_frontend_wait(struct xen_frontend *front, uint32_t mask)
{
	for (uint32_t i = 0; i < front->x->guest->poll_max; i++) {
		uint64_t state = xen_frontend_read(front, "state", XenbusStateUnknown);

		if (state < 32 && (mask >> state & 1) != 0) {
			return true;
		}
		if (front->x->store.broken) {
			return false;
		}
		xen_poll(front->x);
	}
	return false;
}

bool xen_frontend_open(struct xen_frontend *front, struct xen_guest *x, const char *type, uint32_t id)
{
	char number[XEN_VALUE_BYTES], path[XEN_PATH_BYTES];

	front->x = x;
	xen_format_number(number, id);
	xen_path_join(path, "device", type);
	xen_path_join(front->front, path, number);
	xen_path_join(path, front->front, "backend");
	if (xen_store_read(x, 0, path, front->back, sizeof(front->back)) <= 0) {
		return false;
	}
	return xen_frontend_set_state(front, XenbusStateInitialising) &&
	       xen_frontend_wait(front, STATE(XenbusStateInitWait));
}

bool xen_frontend_close(struct xen_frontend *front)
{
	return xen_frontend_set_state(front, XenbusStateClosing) &&
	       xen_frontend_wait(front, STATE(XenbusStateClosing) | STATE(XenbusStateClosed)) &&
	       xen_frontend_set_state(front, XenbusStateClosed) &&
	       xen_frontend_wait(front, STATE(XenbusStateClosed));
}

/* ------------------------------------------------------------------ rings */

bool xen_ring_open(struct xen_ring *ring, struct xen_guest *x)
{
	*ring = (struct xen_ring){.ref = XEN_GRANT_NONE};
	if (!guest_page_alloc(x->guest, &ring->page)) {
		return false;
	}
	guest_store32(ring->page.bytes + XEN_RING_REQ_EVENT, 1);
	guest_store32(ring->page.bytes + XEN_RING_RSP_EVENT, 1);
	ring->ref = xen_grant(x, ring->page.gfn, false);
	return ring->ref != XEN_GRANT_NONE;
}

bool xen_ring_close(struct xen_ring *ring, struct xen_guest *x)
{
	if (ring->ref != XEN_GRANT_NONE && !xen_grant_end(x, ring->ref)) {
		ring->page.bytes = NULL;
		return false;
	}
	ring->ref = XEN_GRANT_NONE;
	guest_page_free(x->guest, &ring->page);
	return true;
}

bool xen_ring_push(struct xen_ring *ring, uint32_t req_prod)
{
	uint32_t old = ring->req_prod;

	ring->req_prod = req_prod;
	guest_store32(ring->page.bytes + XEN_RING_REQ_PROD, req_prod);
	guest_barrier();
	return req_prod - guest_load32(ring->page.bytes + XEN_RING_REQ_EVENT) < req_prod - old;
}

uint32_t xen_ring_waiting(struct xen_ring *ring)
{
	uint8_t *page = ring->page.bytes;
	uint32_t waiting = guest_load32(page + XEN_RING_RSP_PROD) - ring->rsp_cons;

	if (waiting == 0) {
		guest_store32(page + XEN_RING_RSP_EVENT, ring->rsp_cons + 1);
		guest_barrier();
		waiting = guest_load32(page + XEN_RING_RSP_PROD) - ring->rsp_cons;
	}
	if (waiting > ring->req_prod - ring->rsp_cons) { /* more answers than questions */
		ring->broken = true;
	}
	return ring->broken ? 0 : waiting;
}

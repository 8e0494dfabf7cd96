/*
 * xenstore.c - the ring page of the store (docs/misc/xenstore-ring.txt).
 *
 * Linux signals only if we had drained the ring before it wrote, or had filled it before it read. So after
 * each move of an index of ours there is a full barrier and another look at the guest's.
 */
#include "enlighten/xen/xen.h"
#include "enlighten/xen/xenstore_private.h"
#include "vm/page.h"

/* Pieces of messages moved in one step; a request is at least two, its reply two more. */
#define STEP_MOVES 8u

#define AT_REQ offsetof(struct xen_xs_ring, req)
#define AT_RSP offsetof(struct xen_xs_ring, rsp)
#define AT_REQ_CONS offsetof(struct xen_xs_ring, req_cons)
#define AT_REQ_PROD offsetof(struct xen_xs_ring, req_prod)
#define AT_RSP_CONS offsetof(struct xen_xs_ring, rsp_cons)
#define AT_RSP_PROD offsetof(struct xen_xs_ring, rsp_prod)
#define AT_FEATURES offsetof(struct xen_xs_ring, server_features)
#define AT_CONNECTION offsetof(struct xen_xs_ring, connection)
#define AT_ERROR offsetof(struct xen_xs_ring, error)

enum move {
	MOVE_DONE, /* something went on */
	MOVE_NONE, /* waiting for the guest */
};

static void drop_messages(struct xenstore *xs)
{
	xs->committing = NULL;
	store_drop_connection(xs->store);
	xs->in_have = 0;
	xs->out_len = 0;
	xs->out_sent = 0;
}

/* The guest broke the protocol: it may come back by asking for a new connection. */
static void break_connection(struct xenstore *xs, uint32_t error, const char *why)
{
	drop_messages(xs);
	xs->broken = true;
	xs->moved = true;
	vm_page_store32(xs->page, AT_ERROR, error);
	vm_log(xs->vm, "xenstore: connection dropped: %s", why);
}

static void ring_start(struct xenstore *xs)
{
	xs->req_cons = 0;
	xs->rsp_prod = 0;
	xs->broken = false;
	vm_page_store32(xs->page, AT_REQ_CONS, 0);
	vm_page_store32(xs->page, AT_REQ_PROD, 0);
	vm_page_store32(xs->page, AT_RSP_CONS, 0);
	vm_page_store32(xs->page, AT_RSP_PROD, 0);
	vm_page_store32(xs->page, AT_FEATURES,
	                XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR);
	vm_page_store32(xs->page, AT_ERROR, XENSTORE_ERROR_NONE);
	vm_page_store32(xs->page, AT_CONNECTION, XENSTORE_CONNECTED);
}

bool xenstore_open(struct xenstore *xs, struct vm *vm, struct store *store, void (*notify)(void *context),
                   void *context)
{
	memset(xs, 0, sizeof(*xs));
	xs->vm = vm;
	xs->store = store;
	xs->backend = (struct evtchn_backend){notify, context};
	xs->page = vm_page_pin(vm, vm_special_page(vm, VM_SPECIAL_XENSTORE));
	if (xs->page == NULL) {
		return false;
	}
	xs->port = evtchn_backend_alloc(vm, &xs->backend);
	if (xs->port == 0) {
		vm_page_unpin(vm, xs->page);
		xs->page = NULL;
		return false;
	}
	ring_start(xs);
	xen_set_store_port(vm, xs->port);
	return true;
}

void xenstore_close(struct xenstore *xs)
{
	if (xs->page == NULL) {
		return;
	}
	xs->committing = NULL;
	evtchn_backend_unbind(xs->vm, xs->port);
	vm_page_unpin(xs->vm, xs->page);
	xs->page = NULL;
}

/* ------------------------------------------------------------------ bytes */

/* Takes up to @len bytes of what the guest has sent; *@taken of them. False: the ring is broken. */
static bool ring_take(struct xenstore *xs, void *to, uint32_t len, uint32_t *taken)
{
	uint32_t have = vm_page_load32(xs->page, AT_REQ_PROD) - xs->req_cons;
	uint32_t at = MASK_XENSTORE_IDX(xs->req_cons);
	uint32_t first;

	if (have > XENSTORE_RING_SIZE) {
		break_connection(xs, XENSTORE_ERROR_RINGIDX, "request index");
		return false;
	}
	*taken = len < have ? len : have;
	if (*taken == 0) {
		return true;
	}
	first = XENSTORE_RING_SIZE - at < *taken ? XENSTORE_RING_SIZE - at : *taken;
	vm_page_read(xs->page, AT_REQ + at, to, first);
	vm_page_read(xs->page, AT_REQ, (uint8_t *)to + first, *taken - first);
	xs->req_cons += *taken;
	vm_page_store32(xs->page, AT_REQ_CONS, xs->req_cons);
	vm_page_barrier();
	xs->moved = true;
	return true;
}

/* Puts as much as there is room for; *@put bytes. False: the ring is broken. */
static bool ring_put(struct xenstore *xs, const void *from, uint32_t len, uint32_t *put)
{
	uint32_t used = xs->rsp_prod - vm_page_load32(xs->page, AT_RSP_CONS);
	uint32_t at = MASK_XENSTORE_IDX(xs->rsp_prod);
	uint32_t first, room = XENSTORE_RING_SIZE - used;

	if (used > XENSTORE_RING_SIZE) {
		break_connection(xs, XENSTORE_ERROR_RINGIDX, "response index");
		return false;
	}
	*put = len < room ? len : room;
	if (*put == 0) {
		return true;
	}
	first = XENSTORE_RING_SIZE - at < *put ? XENSTORE_RING_SIZE - at : *put;
	vm_page_write(xs->page, AT_RSP + at, from, first);
	vm_page_write(xs->page, AT_RSP, (const uint8_t *)from + first, *put - first);
	xs->rsp_prod += *put;
	vm_page_store32(xs->page, AT_RSP_PROD, xs->rsp_prod);
	vm_page_barrier();
	xs->moved = true;
	return true;
}

/* ------------------------------------------------------------------ messages */

void xenstore_reply(struct xenstore *xs, uint32_t len)
{
	xs->out = xs->in;
	xs->out.len = len;
	xs->out_len = (uint32_t)sizeof(xs->out) + len;
	xs->out_sent = 0;
}

void xenstore_answer(struct xenstore *xs, enum store_error error)
{
	const char *name = store_error_name(error);
	uint32_t len = 0;

	do {
		xs->out_payload[len] = name[len];
	} while (name[len++] != 0);
	xenstore_reply(xs, len);
	if (error != STORE_OK) {
		xs->out.type = XS_ERROR;
	}
}

static enum move move_out(struct xenstore *xs)
{
	const uint32_t header = (uint32_t)sizeof(xs->out);
	uint32_t put;

	if (xs->out_sent < header) {
		if (!ring_put(xs, (const uint8_t *)&xs->out + xs->out_sent, header - xs->out_sent, &put)) {
			return MOVE_NONE;
		}
	} else if (!ring_put(xs, xs->out_payload + (xs->out_sent - header), xs->out_len - xs->out_sent,
	                     &put)) {
		return MOVE_NONE;
	}
	xs->out_sent += put;
	if (xs->out_sent == xs->out_len) {
		xs->out_len = 0;
		return MOVE_DONE;
	}
	return put != 0 ? MOVE_DONE : MOVE_NONE;
}

static enum move move_event(struct xenstore *xs)
{
	size_t len = store_event_take(xs->store, xs->out_payload, sizeof(xs->out_payload));

	if (len != 0) {
		xs->out = (struct xen_xs_message){.type = XS_WATCH_EVENT, .len = (uint32_t)len};
		xs->out_len = (uint32_t)(sizeof(xs->out) + len);
		xs->out_sent = 0;
	}
	return MOVE_DONE;
}

static enum move move_commit(struct xenstore *xs)
{
	enum store_error error = store_txn_commit(xs->store, xs->committing);

	if (error != STORE_MORE) {
		xs->committing = NULL;
		xenstore_answer(xs, error);
	}
	return MOVE_DONE;
}

static enum move move_in(struct xenstore *xs)
{
	const uint32_t header = (uint32_t)sizeof(xs->in);
	uint32_t taken;

	if (xs->in_have < header) {
		if (!ring_take(xs, (uint8_t *)&xs->in + xs->in_have, header - xs->in_have, &taken)) {
			return MOVE_NONE;
		}
		if (xs->in_have + taken == header && xs->in.len > XENSTORE_PAYLOAD_MAX) {
			break_connection(xs, XENSTORE_ERROR_PROTO, "message too long");
			return MOVE_NONE;
		}
	} else if (!ring_take(xs, xs->in_payload + (xs->in_have - header), header + xs->in.len - xs->in_have,
	                      &taken)) {
		return MOVE_NONE;
	}
	xs->in_have += taken;
	if (xs->in_have >= header && xs->in_have == header + xs->in.len) {
		xs->in_payload[xs->in.len] = 0;
		xs->in_have = 0;
		xenstore_dispatch(xs);
		return MOVE_DONE;
	}
	return taken != 0 ? MOVE_DONE : MOVE_NONE;
}

static enum move move(struct xenstore *xs)
{
	if (xs->broken) {
		return MOVE_NONE;
	}
	if (xs->out_len != 0) {
		return move_out(xs);
	}
	if (xs->committing != NULL) {
		return move_commit(xs);
	}
	/* Events of before go out before another request is looked at. */
	if (store_has_events(xs->store)) {
		return move_event(xs);
	}
	return move_in(xs);
}

bool xenstore_step(struct xenstore *xs)
{
	enum move went = MOVE_DONE;

	if (vm_page_load32(xs->page, AT_CONNECTION) == XENSTORE_RECONNECT) {
		drop_messages(xs);
		ring_start(xs);
		xs->moved = true;
	}
	for (uint32_t i = 0; i < STEP_MOVES && went == MOVE_DONE; i++) {
		went = move(xs);
	}
	if (xs->moved) {
		xs->moved = false;
		evtchn_backend_notify(xs->vm, xs->port);
	}
	return went == MOVE_DONE;
}

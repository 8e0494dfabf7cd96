/*
 * xenstore.c - the store's client: one request at a time, watch events kept apart (io/xs_wire.h).
 */
#include "guest-drivers/xen/xen.h"

#define AT_REQ offsetof(struct xen_xs_ring, req)
#define AT_RSP offsetof(struct xen_xs_ring, rsp)
#define AT_REQ_CONS offsetof(struct xen_xs_ring, req_cons)
#define AT_REQ_PROD offsetof(struct xen_xs_ring, req_prod)
#define AT_RSP_CONS offsetof(struct xen_xs_ring, rsp_cons)
#define AT_RSP_PROD offsetof(struct xen_xs_ring, rsp_prod)

static size_t text_len(const char *text)
{
	size_t len = 0;

	while (text[len] != 0) {
		len++;
	}
	return len;
}

static bool text_is(const char *a, const char *b)
{
	size_t len = text_len(a);

	return len == text_len(b) && memcmp(a, b, len) == 0;
}

/* Appends to a text of @len bytes; never past @room - 1. Returns the new length. */
static size_t text_add(char *to, size_t room, size_t len, const char *more)
{
	while (*more != 0 && len + 1 < room) {
		to[len++] = *more++;
	}
	to[len] = 0;
	return len;
}

void xen_path_join(char to[XEN_PATH_BYTES], const char *directory, const char *name)
{
	size_t len = text_add(to, XEN_PATH_BYTES, 0, directory);

	len = text_add(to, XEN_PATH_BYTES, len, "/");
	(void)text_add(to, XEN_PATH_BYTES, len, name);
}

void xen_format_number(char to[XEN_VALUE_BYTES], uint64_t value)
{
	char digits[20];
	uint32_t count = 0, len = 0;

	do {
		digits[count++] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	while (count != 0) {
		to[len++] = digits[--count];
	}
	to[len] = 0;
}

/* ------------------------------------------------------------------ bytes */

/* Sends what there is room for. Returns how much; the host may move its index to anything. */
static uint32_t ring_send(struct xen_store *store, const uint8_t *from, uint32_t len)
{
	uint32_t prod = guest_load32(store->ring + AT_REQ_PROD);
	uint32_t used = prod - guest_load32(store->ring + AT_REQ_CONS);
	uint32_t at = MASK_XENSTORE_IDX(prod), room = XENSTORE_RING_SIZE - at;

	if (used > XENSTORE_RING_SIZE) {
		store->broken = true;
		return 0;
	}
	len = len < XENSTORE_RING_SIZE - used ? len : XENSTORE_RING_SIZE - used;
	len = len < room ? len : room;
	guest_barrier();
	memcpy(store->ring + AT_REQ + at, from, len);
	guest_store32(store->ring + AT_REQ_PROD, prod + len);
	return len;
}

static uint32_t ring_receive(struct xen_store *store, uint8_t *to, uint32_t len)
{
	uint32_t cons = guest_load32(store->ring + AT_RSP_CONS);
	uint32_t have = guest_load32(store->ring + AT_RSP_PROD) - cons;
	uint32_t at = MASK_XENSTORE_IDX(cons), room = XENSTORE_RING_SIZE - at;

	if (have > XENSTORE_RING_SIZE) {
		store->broken = true;
		return 0;
	}
	len = len < have ? len : have;
	len = len < room ? len : room;
	memcpy(to, store->ring + AT_RSP + at, len);
	guest_barrier();
	guest_store32(store->ring + AT_RSP_CONS, cons + len);
	return len;
}

typedef uint32_t move_fn(struct xen_store *store, uint8_t *bytes, uint32_t len);

static uint32_t move_out(struct xen_store *store, uint8_t *bytes, uint32_t len)
{
	return ring_send(store, bytes, len);
}

/* All of @len bytes, polling while there is no room or nothing has come. */
static bool move_all(struct xen_guest *x, move_fn *move, void *bytes, uint32_t len)
{
	uint32_t done = 0, polls = 0;

	while (done < len) {
		uint32_t moved = move(&x->store, (uint8_t *)bytes + done, len - done);

		done += moved;
		x->store.broken = x->store.broken || (moved == 0 && polls++ == x->guest->poll_max);
		if (x->store.broken) {
			return false;
		}
		if (moved != 0) {
			(void)xen_port_notify(x, x->store.port);
		} else {
			xen_poll(x);
		}
	}
	return true;
}

/* ------------------------------------------------------------------ messages */

/* Keeps "path\0token\0" of x->store.payload for xen_store_event(). */
static void event_keep(struct xen_guest *x)
{
	struct xen_store *store = &x->store;
	struct xen_event *event = &store->events[store->event_head % XEN_EVENT_MAX];
	size_t path_len = text_len(store->payload);
	const char *token = store->payload + path_len + 1;

	if (store->event_head - store->event_tail == XEN_EVENT_MAX || path_len >= store->header.len ||
	    path_len >= XEN_PATH_BYTES || text_len(token) >= XEN_VALUE_BYTES) {
		store->lost_events++;
		return;
	}
	(void)text_add(event->path, XEN_PATH_BYTES, 0, store->payload);
	(void)text_add(event->token, XEN_VALUE_BYTES, 0, token);
	store->event_head++;
}

/* One message into x->store; false: the host broke off. */
static bool message_receive(struct xen_guest *x)
{
	struct xen_store *store = &x->store;

	if (!move_all(x, ring_receive, &store->header, sizeof(store->header))) {
		return false;
	}
	if (store->header.len > XENSTORE_PAYLOAD_MAX) {
		store->broken = true;
		return false;
	}
	if (!move_all(x, ring_receive, store->payload, store->header.len)) {
		return false;
	}
	store->payload[store->header.len] = 0;
	return true;
}

static int64_t error_number(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} errors[] = {
	        {"ENOENT", XEN_ENOENT}, {"EINVAL", XEN_EINVAL}, {"EACCES", XEN_EACCES},
	        {"EEXIST", XEN_EEXIST}, {"EAGAIN", XEN_EAGAIN}, {"EBUSY", XEN_EBUSY},
	        {"EPERM", XEN_EPERM},   {"ENOMEM", XEN_ENOMEM}, {"ENOSPC", XEN_ENOSPC},
	        {"E2BIG", XEN_E2BIG},   {"ENOSYS", XEN_ENOSYS},
	};

	for (uint32_t i = 0; i < ARRAY_COUNT(errors); i++) {
		if (text_is(name, errors[i].name)) {
			return -errors[i].number;
		}
	}
	return -XEN_EINVAL;
}

int64_t xen_store_request(struct xen_guest *x, uint32_t type, uint32_t tx, const void *payload, uint32_t len)
{
	struct xen_store *store = &x->store;
	struct xen_xs_message header = {.type = type, .req_id = ++store->next_id, .tx_id = tx, .len = len};

	if (store->broken || !move_all(x, move_out, &header, sizeof(header)) ||
	    !move_all(x, move_out, (void *)(uintptr_t)payload, len)) {
		return -XEN_ENXIO;
	}
	while (message_receive(x)) {
		if (store->header.type == XS_WATCH_EVENT) {
			event_keep(x);
			continue;
		}
		if (store->header.req_id != header.req_id ||
		    (store->header.type != type && store->header.type != XS_ERROR)) {
			store->broken = true;
			break;
		}
		return store->header.type == XS_ERROR ? error_number(store->payload)
		                                      : (int64_t)store->header.len;
	}
	return -XEN_ENXIO;
}

bool xen_store_event(struct xen_guest *x, struct xen_event *event)
{
	struct xen_store *store = &x->store;

	/* A message that has begun is taken whole: no reply is awaited now. */
	if (store->event_head == store->event_tail && !store->broken &&
	    guest_load32(store->ring + AT_RSP_PROD) != guest_load32(store->ring + AT_RSP_CONS) &&
	    message_receive(x) && store->header.type == XS_WATCH_EVENT) {
		event_keep(x);
	}
	if (store->event_head == store->event_tail) {
		return false;
	}
	*event = store->events[store->event_tail++ % XEN_EVENT_MAX];
	return true;
}

/* ------------------------------------------------------------------ requests */

/* "a\0b" with or without a NUL behind b. */
static int64_t request_texts(struct xen_guest *x, uint32_t type, uint32_t tx, const char *a, const char *b,
                             bool ended)
{
	char payload[2 * XEN_PATH_BYTES];
	size_t len = text_len(a) + 1, more = b != NULL ? text_len(b) : 0;

	if (len + more + 1 > sizeof(payload)) {
		return -XEN_E2BIG;
	}
	memcpy(payload, a, len);
	memcpy(payload + len, b != NULL ? b : "", more + 1);
	len += more + (b != NULL && ended ? 1 : 0);
	return xen_store_request(x, type, tx, payload, (uint32_t)len);
}

/* The same, for replies that say no more than "OK". */
static int64_t request_ok(struct xen_guest *x, uint32_t type, uint32_t tx, const char *a, const char *b,
                          bool ended)
{
	int64_t len = request_texts(x, type, tx, a, b, ended);

	return len < 0 ? len : 0;
}

int64_t xen_store_read(struct xen_guest *x, uint32_t tx, const char *path, char *to, size_t room)
{
	int64_t len = request_texts(x, XS_READ, tx, path, NULL, true);

	if (len >= 0 && (uint64_t)len >= room) {
		return -XEN_E2BIG;
	}
	if (len >= 0) {
		memcpy(to, x->store.payload, (size_t)len);
		to[len] = 0;
	}
	return len;
}

int64_t xen_store_read_number(struct xen_guest *x, uint32_t tx, const char *path, uint64_t *value)
{
	char text[XEN_VALUE_BYTES];
	int64_t len = xen_store_read(x, tx, path, text, sizeof(text));

	if (len < 0) {
		return len;
	}
	*value = 0;
	for (int64_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || *value > UINT64_MAX / 10 - 1) {
			return -XEN_EINVAL;
		}
		*value = *value * 10 + (uint64_t)(text[i] - '0');
	}
	return len == 0 ? -XEN_EINVAL : 0;
}

int64_t xen_store_write(struct xen_guest *x, uint32_t tx, const char *path, const char *value)
{
	return request_ok(x, XS_WRITE, tx, path, value, false);
}

int64_t xen_store_write_number(struct xen_guest *x, uint32_t tx, const char *path, uint64_t value)
{
	char text[XEN_VALUE_BYTES];

	xen_format_number(text, value);
	return xen_store_write(x, tx, path, text);
}

int64_t xen_store_remove(struct xen_guest *x, uint32_t tx, const char *path)
{
	return request_ok(x, XS_RM, tx, path, NULL, true);
}

int64_t xen_store_list(struct xen_guest *x, uint32_t tx, const char *path)
{
	return request_texts(x, XS_DIRECTORY, tx, path, NULL, true);
}

int64_t xen_store_watch(struct xen_guest *x, const char *path, const char *token)
{
	return request_ok(x, XS_WATCH, 0, path, token, true);
}

int64_t xen_store_unwatch(struct xen_guest *x, const char *path, const char *token)
{
	return request_ok(x, XS_UNWATCH, 0, path, token, true);
}

int64_t xen_store_begin(struct xen_guest *x, uint32_t *tx)
{
	int64_t len = xen_store_request(x, XS_TRANSACTION_START, 0, "", 1);

	*tx = 0;
	for (int64_t i = 0; i < len && x->store.payload[i] != 0; i++) {
		*tx = *tx * 10 + (uint32_t)(x->store.payload[i] - '0');
	}
	return len < 0 ? len : 0;
}

int64_t xen_store_end(struct xen_guest *x, uint32_t tx, bool commit)
{
	int64_t len = xen_store_request(x, XS_TRANSACTION_END, tx, commit ? "T" : "F", 2);

	return len < 0 ? len : 0;
}

/* ------------------------------------------------------------------ start */

static void store_event(void *context)
{
	(void)context; /* whoever waits looks at the ring */
}

/* QEMU's Xen says it in the store alone. */
static void read_domid(struct xen_guest *x)
{
	uint64_t domid;

	if (x->domid == 0 && xen_store_read_number(x, 0, "domid", &domid) == 0 &&
	    domid < DOMID_FIRST_RESERVED) {
		x->domid = (uint32_t)domid;
	}
}

int64_t xen_store_start(struct xen_guest *x)
{
	uint64_t gfn, port;

	if (xen_param_get(x, HVM_PARAM_STORE_PFN, &gfn) != 0 ||
	    xen_param_get(x, HVM_PARAM_STORE_EVTCHN, &port) != 0 || port == 0 || gfn == 0) {
		return -XEN_ENXIO;
	}
	memset(&x->store, 0, sizeof(x->store));
	x->store.port = (uint32_t)port;
	x->store.ring = x->guest->ops->page_at(x->guest->context, gfn);
	if (x->store.ring == NULL || !xen_port_handle(x, x->store.port, store_event, x)) {
		return -XEN_EFAULT;
	}
	read_domid(x);
	return 0;
}

/*
 * netfront.c - a network device's frontend: one queue, one event channel, receive by copy
 * (io/netif.h).
 *
 * The request's id is the ring's index on the receive side, because an extra-info slot of an answer
 * has no id.
 */
#include "guest-drivers/xen/xen.h"

#define STATE(state) (1u << (state))

static uint8_t *tx_slot_at(struct xen_netfront *net, uint32_t index)
{
	return net->tx.page.bytes + XEN_RING_HEADER_BYTES + index % XEN_NET_ENTRIES * XEN_NETIF_TX_SLOT_BYTES;
}

static uint8_t *rx_slot_at(struct xen_netfront *net, uint32_t index)
{
	return net->rx.page.bytes + XEN_RING_HEADER_BYTES + index % XEN_NET_ENTRIES * XEN_NETIF_RX_SLOT_BYTES;
}

/* ------------------------------------------------------------------ sending */

/* How much of a frame goes into each page, and how many pages that makes. */
static uint32_t page_room(const struct xen_netfront *net, uint32_t index)
{
	uint32_t room = PAGE_BYTES - net->send_offset;

	if (index == 0 && net->first_bytes != 0 && net->first_bytes < room) {
		room = net->first_bytes;
	}
	return room;
}

static uint32_t pages_needed(const struct xen_netfront *net, uint32_t len)
{
	uint32_t count = 1, done = page_room(net, 0);

	while (done < len) {
		done += page_room(net, count++);
	}
	return count;
}

static uint32_t send_page_take(struct xen_netfront *net)
{
	uint32_t i = 0;

	while (net->send_refs[i] != XEN_GRANT_NONE) {
		i++;
	}
	net->send_refs[i] = xen_grant(net->front.x, net->send_pages[i].gfn, true);
	net->send_free_count--;
	return i;
}

/* One slot with data; @first_size is not 0 for a frame's first: then it stands for the whole. */
static void put_data(struct xen_netfront *net, uint32_t index, const uint8_t *bytes, uint32_t len,
                     uint16_t flags, uint32_t first_size)
{
	uint32_t id = send_page_take(net);
	struct xen_netif_tx_request_slot slot = {
	        .gref = net->send_refs[id],
	        .offset = (uint16_t)net->send_offset,
	        .flags = flags,
	        .id = (uint16_t)id,
	        .size = (uint16_t)(first_size != 0 ? first_size : len),
	};

	memcpy(net->send_pages[id].bytes + net->send_offset, bytes, len);
	memcpy(tx_slot_at(net, index), &slot, sizeof(slot));
}

static void put_gso(struct xen_netfront *net, uint32_t index, const struct xen_net_frame *frame)
{
	struct xen_netif_extra_slot extra = {
	        .type = XEN_NETIF_EXTRA_TYPE_GSO,
	        .u.gso = {.size = frame->gso_bytes, .type = frame->gso_type},
	};

	memcpy(tx_slot_at(net, index), &extra, sizeof(extra));
}

static uint16_t first_flags(const struct xen_net_frame *frame)
{
	uint16_t flags = frame->gso_bytes != 0 ? NETTXF_extra_info : 0;

	flags |= frame->checksum_blank ? NETTXF_csum_blank | NETTXF_data_validated : 0;
	return flags;
}

bool xen_netfront_send(struct xen_netfront *net, const struct xen_net_frame *frame)
{
	uint32_t pages = pages_needed(net, frame->len), index = net->tx.req_prod, done = 0;
	uint32_t slots = pages + (frame->gso_bytes != 0);

	if (!net->ready || net->tx.broken || frame->len > XEN_NET_FRAME_MAX || pages > net->send_free_count ||
	    pages > net->front.x->grant_free_count || index + slots - net->tx.rsp_cons > XEN_NET_ENTRIES) {
		return false;
	}
	for (uint32_t i = 0; i < pages; i++) {
		uint32_t room = page_room(net, i);
		uint32_t len = frame->len - done < room ? frame->len - done : room;
		uint16_t flags = i == 0 ? first_flags(frame) : 0;

		flags |= i + 1 < pages ? NETTXF_more_data : 0;
		put_data(net, index++, frame->bytes + done, len, flags, i == 0 ? frame->len : 0);
		done += len;
		if (i == 0 && frame->gso_bytes != 0) {
			put_gso(net, index++, frame);
		}
	}
	net->sent_count++;
	if (xen_ring_push(&net->tx, index)) {
		(void)xen_port_notify(net->front.x, net->port);
	}
	return true;
}

static void sent_take(struct xen_netfront *net)
{
	struct xen_netif_tx_response_slot response;

	memcpy(&response, tx_slot_at(net, net->tx.rsp_cons), sizeof(response));
	if (response.status == XEN_NETIF_RSP_NULL) { /* of an extra-info slot */
		net->tx.rsp_cons++;
		return;
	}
	if (response.id >= XEN_NET_SEND_PAGES || net->send_refs[response.id] == XEN_GRANT_NONE) {
		net->tx.broken = true;
		return;
	}
	net->tx.rsp_cons++;
	net->send_error_count += response.status != XEN_NETIF_RSP_OKAY;
	if (!xen_grant_end(net->front.x, net->send_refs[response.id])) {
		net->tx.broken = true; /* it answered and still holds the page */
		return;
	}
	net->send_refs[response.id] = XEN_GRANT_NONE;
	net->send_free_count++;
}

static void sent_poll(struct xen_netfront *net)
{
	uint32_t waiting;

	while ((waiting = xen_ring_waiting(&net->tx)) != 0) {
		for (; waiting != 0 && !net->tx.broken; waiting--) {
			sent_take(net);
		}
	}
}

/* ------------------------------------------------------------------ receiving */

/* Posts pages until XEN_NET_RECEIVE_PAGES wait. False: no memory or no grant for one. */
static bool receive_post(struct xen_netfront *net)
{
	uint32_t index = net->rx.req_prod;
	bool good = true;

	while (good && index - net->rx.rsp_cons < XEN_NET_RECEIVE_PAGES) {
		uint32_t id = index % XEN_NET_ENTRIES;
		struct guest_page *page = &net->receive_pages[id];
		struct xen_netif_rx_request_slot slot = {.id = (uint16_t)id};

		good = page->bytes != NULL || guest_page_alloc(net->front.x->guest, page);
		if (good) {
			net->receive_refs[id] = xen_grant(net->front.x, page->gfn, false);
			good = net->receive_refs[id] != XEN_GRANT_NONE;
		}
		if (good) {
			slot.gref = net->receive_refs[id];
			memcpy(rx_slot_at(net, index++), &slot, sizeof(slot));
		}
	}
	if (index != net->rx.req_prod && xen_ring_push(&net->rx, index) && net->port != 0) {
		(void)xen_port_notify(net->front.x, net->port);
	}
	return good;
}

/* Takes the page of ring index @index back. */
static bool receive_end(struct xen_netfront *net, uint32_t index)
{
	uint32_t *ref = &net->receive_refs[index % XEN_NET_ENTRIES];

	if (!xen_grant_end(net->front.x, *ref)) {
		return false;
	}
	*ref = XEN_GRANT_NONE;
	return true;
}

/* An extra-info slot; the page posted there is unused. */
static bool extra_take(struct xen_netfront *net, struct xen_net_frame *frame)
{
	struct xen_netif_extra_slot extra;

	memcpy(&extra, rx_slot_at(net, net->rx.rsp_cons), sizeof(extra));
	if (extra.type != XEN_NETIF_EXTRA_TYPE_GSO || (extra.flags & XEN_NETIF_EXTRA_FLAG_MORE) != 0 ||
	    extra.u.gso.size == 0 || !receive_end(net, net->rx.rsp_cons)) {
		return false;
	}
	frame->gso_bytes = extra.u.gso.size;
	frame->gso_type = extra.u.gso.type;
	net->rx.rsp_cons++;
	return true;
}

/* One slot with data, appended to net->frame. False: it is not what it may be. */
static bool data_take(struct xen_netfront *net, struct xen_net_frame *frame, uint16_t *flags)
{
	struct xen_netif_rx_response_slot response;
	uint32_t index = net->rx.rsp_cons, id = index % XEN_NET_ENTRIES;
	uint32_t len;

	memcpy(&response, rx_slot_at(net, index), sizeof(response));
	if (response.id != id || !receive_end(net, index)) {
		return false;
	}
	net->rx.rsp_cons++;
	*flags = response.flags;
	if (response.status < 0) {
		net->receive_error_count++;
		return true;
	}
	len = (uint32_t)response.status;
	if (response.offset + len > PAGE_BYTES || frame->len + len > sizeof(net->frame)) {
		return false;
	}
	memcpy(net->frame + frame->len, net->receive_pages[id].bytes + response.offset, len);
	frame->len += len;
	return true;
}

/* One frame of at most @waiting slots. False: the ring is broken. */
static bool frame_take(struct xen_netfront *net, uint32_t waiting)
{
	struct xen_net_frame frame = {.bytes = net->frame};
	uint32_t end = net->rx.rsp_cons + waiting;
	uint16_t flags, next;

	if (!data_take(net, &frame, &flags)) {
		return false;
	}
	frame.checksum_blank = (flags & NETRXF_csum_blank) != 0;
	frame.checksum_good = (flags & NETRXF_data_validated) != 0;
	if ((flags & NETRXF_extra_info) != 0 && (net->rx.rsp_cons == end || !extra_take(net, &frame))) {
		return false;
	}
	for (next = flags; (next & NETRXF_more_data) != 0;) {
		if (net->rx.rsp_cons == end || !data_take(net, &frame, &next)) {
			return false;
		}
	}
	if (frame.len != 0) {
		net->received_count++;
		net->receive(net->context, &frame);
	}
	return true;
}

static void received_poll(struct xen_netfront *net)
{
	uint32_t waiting;

	while ((waiting = xen_ring_waiting(&net->rx)) != 0) {
		uint32_t end = net->rx.rsp_cons + waiting;

		while (net->rx.rsp_cons != end && !net->rx.broken) {
			net->rx.broken = !frame_take(net, end - net->rx.rsp_cons);
		}
		if (!net->rx.broken) {
			(void)receive_post(net);
		}
	}
}

void xen_netfront_poll(struct xen_netfront *net)
{
	if (net->ready) {
		sent_poll(net);
		received_poll(net);
	}
}

static void net_event(void *context)
{
	xen_netfront_poll(context);
}

/* ------------------------------------------------------------------ connection */

static void page_drop(struct xen_netfront *net, struct guest_page *page, uint32_t *ref)
{
	if (*ref != XEN_GRANT_NONE && !xen_grant_end(net->front.x, *ref)) {
		net->lost_pages++;
		page->bytes = NULL;
	}
	*ref = XEN_GRANT_NONE;
	guest_page_free(net->front.x->guest, page);
}

static void drop(struct xen_netfront *net)
{
	net->ready = false;
	if (net->port != 0) {
		(void)xen_port_close(net->front.x, net->port);
		net->port = 0;
	}
	for (uint32_t i = 0; i < XEN_NET_SEND_PAGES; i++) {
		page_drop(net, &net->send_pages[i], &net->send_refs[i]);
	}
	for (uint32_t i = 0; i < XEN_NET_ENTRIES; i++) {
		page_drop(net, &net->receive_pages[i], &net->receive_refs[i]);
	}
	net->lost_pages += !xen_ring_close(&net->tx, net->front.x);
	net->lost_pages += !xen_ring_close(&net->rx, net->front.x);
}

static bool open_rings(struct xen_netfront *net)
{
	int64_t port;

	for (uint32_t i = 0; i < XEN_NET_SEND_PAGES; i++) {
		if (!guest_page_alloc(net->front.x->guest, &net->send_pages[i])) {
			return false;
		}
	}
	net->send_free_count = XEN_NET_SEND_PAGES;
	if (!xen_ring_open(&net->tx, net->front.x) || !xen_ring_open(&net->rx, net->front.x)) {
		return false;
	}
	port = xen_port_alloc(net->front.x, net_event, net);
	net->port = port > 0 ? (uint32_t)port : 0;
	return port > 0;
}

static bool write_nodes(struct xen_netfront *net)
{
	static const char *const features[] = {
	        "request-rx-copy",   "feature-rx-notify", "feature-sg",
	        "feature-gso-tcpv4", "feature-gso-tcpv6", "feature-ipv6-csum-offload",
	};

	for (uint32_t i = 0; i < ARRAY_COUNT(features); i++) {
		if (!xen_frontend_write(&net->front, features[i], 1)) {
			return false;
		}
	}
	return xen_frontend_write(&net->front, "tx-ring-ref", net->tx.ref) &&
	       xen_frontend_write(&net->front, "rx-ring-ref", net->rx.ref) &&
	       xen_frontend_write(&net->front, "event-channel", net->port);
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "00:16:3e:..." */
static bool read_mac(struct xen_netfront *net)
{
	char path[XEN_PATH_BYTES], text[XEN_VALUE_BYTES];

	xen_path_join(path, net->front.front, "mac");
	if (xen_store_read(net->front.x, 0, path, text, sizeof(text)) != 17) {
		return false;
	}
	for (uint32_t i = 0; i < 6; i++) {
		int high = hex_digit(text[3 * i]), low = hex_digit(text[3 * i + 1]);

		if (high < 0 || low < 0) {
			return false;
		}
		net->mac[i] = (uint8_t)(high * 16 + low);
	}
	return true;
}

static bool connect(struct xen_netfront *net)
{
	if (!read_mac(net) || !open_rings(net) || !receive_post(net) || !write_nodes(net)) {
		return false;
	}
	net->ready = true;
	return xen_frontend_set_state(&net->front, XenbusStateConnected) &&
	       xen_frontend_wait(&net->front, STATE(XenbusStateConnected) | STATE(XenbusStateClosing)) &&
	       xen_frontend_read(&net->front, "state", 0) == XenbusStateConnected;
}

bool xen_netfront_open(struct xen_netfront *net, struct xen_guest *x, uint32_t id,
                       void (*receive)(void *context, const struct xen_net_frame *frame), void *context)
{
	memset(net, 0, sizeof(*net));
	net->receive = receive;
	net->context = context;
	if (!xen_frontend_open(&net->front, x, "vif", id)) {
		return false;
	}
	if (!connect(net)) {
		(void)!xen_frontend_close(&net->front);
		drop(net);
		return false;
	}
	return true;
}

bool xen_netfront_close(struct xen_netfront *net)
{
	bool closed = xen_frontend_close(&net->front);

	drop(net);
	return closed;
}

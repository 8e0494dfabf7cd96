/*
 * hostile_xen_device.c - frontends and a client of the store that break the protocol.
 */
#include "guest-drivers/xen/xen.h"
#include "tests/guest/hostile.h"

#define VBD_ID (202u << 8)
#define SLOTS 32u

static struct xen_guest xen;
static struct xen_blkfront blk;
static struct xen_netfront net;
static struct guest_page page;
static uint32_t answers, errors;
static volatile uint32_t stop;

static bool start(void)
{
	bool ok = xen_start(&xen, machine) == 0 && xen_store_start(&xen) == 0 && guest_page_alloc(machine, &page);

	claim(ok, "Xen and its store are there");
	return ok;
}

static bool start_disk(void)
{
	bool ok = start() && xen_blkfront_open(&blk, &xen, VBD_ID);

	claim(ok, "the disk opens");
	return ok;
}

static void poll_once(void)
{
	xen_poll(&xen);
}

static void polls(uint32_t turns)
{
	let_work(poll_once, turns);
}

static void answered(void *context, int status)
{
	(void)context;
	answers++;
	errors += status != BLKIF_RSP_OKAY;
}

static bool submit(uint8_t operation, uint64_t sector)
{
	const struct xen_blk_piece piece = {.gfn = page.gfn, .first = 0, .last = 7};

	return xen_blkfront_submit(&blk, operation, sector, &piece, 1, answered, NULL);
}

static bool all_answered(void)
{
	xen_blkfront_poll(&blk);
	return blk.used_count == 0;
}

static void good_disk(void)
{
	claim(submit(BLKIF_OP_READ, 0), "a good request");
	claim(wait_for(all_answered, 5), "a good request is answered");
}

/* ---------------------------------------------------------------- the disk's ring */

/* Puts the producer's index at @to and rings; the backend must close and stay closed. */
static void ring_index(uint32_t to)
{
	if (!start_disk()) {
		return;
	}
	good_disk();
	answers = 0;
	guest_store32(blk.ring.page.bytes + XEN_RING_REQ_PROD, to);
	(void)xen_port_notify(&xen, blk.port);
	polls(2000);
	guest_store32(blk.ring.page.bytes + XEN_RING_REQ_PROD, blk.ring.req_prod);
	(void)submit(BLKIF_OP_READ, 0);
	(void)xen_port_notify(&xen, blk.port);
	polls(2000);
	xen_blkfront_poll(&blk);
	claim_number(answers, 0, "a closed device answers nothing");
}

static void ring_ahead(void)
{
	ring_index(1 + SLOTS + 1);
}

static void ring_back(void)
{
	ring_index(0);
}

static void ring_far(void)
{
	ring_index(UINT32_C(1) << 31);
}

static uint8_t *slot(uint32_t index)
{
	return blk.ring.page.bytes + XEN_RING_HEADER_BYTES + index % SLOTS * BLKIF_SLOT_BYTES_64;
}

/* Requests of every shape: each gets its answer, none a success that it should not. */
static void requests_lie(void)
{
	uint32_t ref, seen = 0;

	if (!start_disk()) {
		return;
	}
	ref = xen_grant(&xen, page.gfn, false);
	while (blowing()) {
		struct xen_blkif_request64 request = {
			.operation = (uint8_t)(random_number() & 7),
			.nr_segments = (uint8_t)random_wild(),
			.handle = (uint16_t)random_number(),
			.id = blk.ring.req_prod,
			.sector_number = random_wild(),
		};
		struct xen_blkif_response64 response;
		uint64_t limit = tsc_read() + tsc_hz() * 5;

		for (uint32_t i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++) {
			request.seg[i] = (struct xen_blkif_segment){.gref = (random_number() & 1) != 0 ? ref : (uint32_t)random_wild(),
			                                            .first_sect = (uint8_t)random_number(),
			                                            .last_sect = (uint8_t)random_number()};
		}
		memcpy(slot(blk.ring.req_prod), &request, sizeof(request));
		if (xen_ring_push(&blk.ring, blk.ring.req_prod + 1)) {
			(void)xen_port_notify(&xen, blk.port);
		}
		while (xen_ring_waiting(&blk.ring) == 0 && tsc_read() < limit) {
			xen_poll(&xen);
		}
		memcpy(&response, slot(blk.ring.rsp_cons), sizeof(response));
		if (tsc_read() >= limit || blk.ring.broken) {
			claim(false, "each is answered");
			return;
		}
		claim_number(response.id, request.id, "the answer's id");
		claim(response.status != BLKIF_RSP_OKAY || request.operation == BLKIF_OP_FLUSH_DISKCACHE ||
		              request.nr_segments <= BLKIF_MAX_SEGMENTS_PER_REQUEST,
		      "a lie succeeds");
		blk.ring.rsp_cons++;
		seen++;
	}
	claim(seen > 10, "many were answered");
	report("answered=%u", seen);
	good_disk();
}

static void ap_move(unsigned int cpu)
{
	(void)cpu;
	while (stop == 0) {
		for (uint32_t i = 0; i < SLOTS; i++) {
			volatile uint64_t *words = (volatile uint64_t *)(volatile void *)slot(i);

			words[(random_number() >> 8) % 14] = random_wild();
		}
	}
}

/* The other CPU rewrites requests under the backend. */
static void requests_move(void)
{
	if (!start_disk()) {
		return;
	}
	claim_number(cpus_start(ap_move), 2, "CPUs");
	while (blowing()) {
		for (uint32_t i = 0; i < SLOTS / 2; i++) {
			blk.ring.req_prod++;
		}
		guest_store32(blk.ring.page.bytes + XEN_RING_REQ_PROD, blk.ring.req_prod);
		(void)xen_port_notify(&xen, blk.port);
		for (uint32_t n = 0; n < 200000 && guest_load32(blk.ring.page.bytes + XEN_RING_RSP_PROD) != blk.ring.req_prod; n++) {
			xen_poll(&xen);
		}
		blk.ring.rsp_cons = blk.ring.req_prod;
	}
	stop = 1;
	claim_number(guest_load32(blk.ring.page.bytes + XEN_RING_RSP_PROD), blk.ring.req_prod, "all were answered");
}

/* Grants are cleared, and their pages ballooned away, as soon as a request is shown. */
static void grants_revoked(void)
{
	if (!start_disk()) {
		return;
	}
	while (blowing()) {
		const uint64_t gfn = page.gfn;
		struct xen_reservation64 r = {.extent_start = (uintptr_t)&gfn, .nr_extents = 1, .domid = DOMID_SELF};
		const uint64_t take[5] = {XENMEM_decrease_reservation, (uintptr_t)&r};
		const uint64_t give[5] = {XENMEM_populate_physmap, (uintptr_t)&r};

		for (uint32_t i = 0; i < 8; i++) {
			claim(submit((uint8_t)(i & 1), i * 8), "submitted");
		}
		for (uint32_t i = 0; i < XEN_BLK_ENTRIES; i++) {
			for (uint32_t s = 0; blk.slots[i].used && s < blk.slots[i].ref_count; s++) {
				uint32_t ref = blk.slots[i].refs[s];
				uint8_t *entry = xen.grants[ref / 512] + ref % 512 * 8;

				__atomic_store_n((uint16_t *)(void *)entry, 0, __ATOMIC_SEQ_CST);
			}
		}
		(void)machine->ops->hypercall_xen(NULL, __HYPERVISOR_memory_op, take);
		claim(wait_for(all_answered, 5), "all are answered");
		(void)machine->ops->hypercall_xen(NULL, __HYPERVISOR_memory_op, give);
	}
	report("answered=%u", answers);
	good_disk();
}

/* Power off, reset and reconnection with requests under way. */
static void fill_ring(void)
{
	for (uint32_t i = 0; i < 30; i++) {
		(void)submit((uint8_t)(i & 1), i * 8);
	}
}

static void off_in_flight(void)
{
	if (start_disk()) {
		fill_ring();
	}
}

static void reset_in_flight(void)
{
	if (start_disk()) {
		fill_ring();
		report("doing=reset");
		port_write8(0xcf9, 6);
	}
}

static void reconnects(void)
{
	uint32_t rounds = 0;

	if (!start_disk()) {
		return;
	}
	while (blowing()) {
		fill_ring();
		claim(xen_blkfront_close(&blk), "it closes with requests under way");
		claim(xen_blkfront_open(&blk, &xen, VBD_ID), "it opens again");
		rounds++;
	}
	report("rounds=%u", rounds);
	claim_number(blk.lost_pages, 0, "pages lost");
}

/* The device is told of requests that are none, as fast as it can be. */
static void doorbell_storm(void)
{
	uint64_t rings = 0;

	if (!start_disk()) {
		return;
	}
	while (blowing()) {
		claim(xen_port_notify(&xen, blk.port) == 0, "rung");
		rings++;
	}
	report("rings=%lu", (unsigned long)rings);
	good_disk();
}

/* Wrong ring references, ports and states written to the store. */
static void states_wild(void)
{
	static const char *const nodes[] = {"state", "ring-ref", "event-channel", "protocol", "ring-page-order"};
	static const char *const values[] = {"0", "3", "4", "5", "6", "77", "4294967295", "99999999999999999999", "-1", "x", ""};
	char path[XEN_PATH_BYTES];

	if (!start()) {
		return;
	}
	while (blowing()) {
		xen_path_join(path, "device/vbd/51712", nodes[(random_number() >> 8) % ARRAY_COUNT(nodes)]);
		(void)xen_store_write(&xen, 0, path, values[(random_number() >> 8) % ARRAY_COUNT(values)]);
		xen_path_join(path, "device/vif/0", nodes[(random_number() >> 8) % ARRAY_COUNT(nodes)]);
		(void)xen_store_write(&xen, 0, path, values[(random_number() >> 8) % ARRAY_COUNT(values)]);
	}
	claim(!xen.store.broken, "the store goes on");
}

/* ---------------------------------------------------------------- the card */

static void frame_taken(void *context, const struct xen_net_frame *frame)
{
	(void)context;
	(void)frame;
}

static bool start_net(void)
{
	bool ok = start() && xen_netfront_open(&net, &xen, 0, frame_taken, NULL);

	claim(ok, "the card opens");
	return ok;
}

static bool tx_idle(void)
{
	xen_netfront_poll(&net);
	return guest_load32(net.tx.page.bytes + XEN_RING_RSP_PROD) == net.tx.req_prod;
}

/* Slots that lie about offset, size, chains, references and extra information. */
static void frames_lie(void)
{
	uint32_t ref;

	if (!start_net()) {
		return;
	}
	ref = xen_grant(&xen, page.gfn, true);
	for (uint32_t i = 0; i < 30; i++) {
		page.bytes[i] = i < 6 ? 2 : 0; /* to no one */
	}
	while (blowing()) {
		for (uint32_t i = 0; i < 16; i++) {
			struct xen_netif_tx_request_slot request = {
				.gref = (random_number() & 3) != 0 ? ref : (uint32_t)random_wild(),
				.offset = (uint16_t)random_wild(),
				.flags = (uint16_t)(i == 15 ? 0 : random_number() & 0xf),
				.id = (uint16_t)random_number(),
				.size = (uint16_t)random_wild(),
			};

			memcpy(net.tx.page.bytes + XEN_RING_HEADER_BYTES + net.tx.req_prod % XEN_NET_ENTRIES * XEN_NETIF_TX_SLOT_BYTES,
			       &request, sizeof(request));
			net.tx.req_prod++;
		}
		guest_store32(net.tx.page.bytes + XEN_RING_REQ_PROD, net.tx.req_prod);
		(void)xen_port_notify(&xen, net.port);
		polls(200);
		net.tx.rsp_cons = guest_load32(net.tx.page.bytes + XEN_RING_RSP_PROD);
	}
}

static void tx_far(void)
{
	if (!start_net()) {
		return;
	}
	guest_store32(net.tx.page.bytes + XEN_RING_REQ_PROD, net.tx.req_prod + (UINT32_C(1) << 31));
	(void)xen_port_notify(&xen, net.port);
	polls(2000);
	guest_store32(net.tx.page.bytes + XEN_RING_REQ_PROD, net.tx.req_prod + 300);
	(void)xen_port_notify(&xen, net.port);
	polls(2000);
}

static void rx_far(void)
{
	if (!start_net()) {
		return;
	}
	guest_store32(net.rx.page.bytes + XEN_RING_REQ_PROD, net.rx.req_prod + (UINT32_C(1) << 31));
	(void)xen_port_notify(&xen, net.port);
	delay_us(500000); /* the neighbours' heartbeats come */
}

/* Buffers for received frames that are no references of ours. */
static void rx_lies(void)
{
	if (!start_net()) {
		return;
	}
	while (blowing()) {
		for (uint32_t i = 0; i < XEN_NET_ENTRIES; i++) {
			struct xen_netif_rx_request_slot request = {.id = (uint16_t)random_number(), .gref = (uint32_t)random_wild()};

			memcpy(net.rx.page.bytes + XEN_RING_HEADER_BYTES + i * XEN_NETIF_RX_SLOT_BYTES, &request, sizeof(request));
		}
		guest_store32(net.rx.page.bytes + XEN_RING_REQ_PROD,
		              guest_load32(net.rx.page.bytes + XEN_RING_RSP_PROD) + XEN_NET_ENTRIES);
		(void)xen_port_notify(&xen, net.port);
		polls(100);
	}
}

static void frames_in_flight(void)
{
	static uint8_t bytes[1500];
	const struct xen_net_frame frame = {.bytes = bytes, .len = sizeof(bytes)};

	bytes[0] = 2; /* to no one */
	if (!start_net()) {
		return;
	}
	while (blowing()) {
		(void)!xen_netfront_send(&net, &frame);
		(void)xen_port_notify(&xen, net.port);
		xen_netfront_poll(&net);
	}
	claim(wait_for(tx_idle, 5), "all are sent");
}

/* ---------------------------------------------------------------- the store */

static void number_path(char path[XEN_PATH_BYTES], const char *below, uint64_t number)
{
	char text[XEN_VALUE_BYTES];

	xen_format_number(text, number);
	xen_path_join(path, below, text);
}

static void store_flood(void)
{
	char path[XEN_PATH_BYTES];
	uint32_t count = 0;
	int64_t result = 0;

	if (!start()) {
		return;
	}
	for (; count < 5000 && result == 0; count++) {
		number_path(path, "data", count);
		result = xen_store_write(&xen, 0, path, "0123456789012345678901234567890123456789");
	}
	claim(result == -XEN_ENOSPC, "there is an end to nodes: ENOSPC");
	report("nodes=%u", count);
	for (count = 0, result = 0; count < 1000 && result == 0; count++) {
		number_path(path, "t", count);
		result = xen_store_watch(&xen, "data", path);
	}
	claim(result < 0, "there is an end to watches");
	report("watches=%u", count);
	(void)xen_store_remove(&xen, 0, "data");
	claim(!xen.store.broken, "the store goes on");
}

static void store_transactions(void)
{
	uint32_t ids[64];
	uint32_t count = 0;
	char path[XEN_PATH_BYTES];

	if (!start()) {
		return;
	}
	while (count < ARRAY_COUNT(ids) && xen_store_begin(&xen, &ids[count]) == 0) {
		count++;
	}
	claim(count > 1 && count < ARRAY_COUNT(ids), "there is an end to transactions");
	for (uint32_t i = 0; i < WILD_COUNT; i++) {
		uint32_t tx = (uint32_t)wild(i) | 0x40000000;

		claim(xen_store_end(&xen, tx, true) < 0, "the end of none");
		claim(xen_store_write(&xen, tx, "data/x", "1") < 0, "a write in none");
	}
	while (count != 0) {
		count--;
		claim(xen_store_end(&xen, ids[count], false) == 0, "ended");
		claim(xen_store_end(&xen, ids[count], true) < 0, "ended twice");
	}
	claim(xen_store_end(&xen, 0, true) < 0, "the end of number 0");
	while (blowing()) {
		uint32_t a, b;

		(void)xen_store_begin(&xen, &a);
		(void)xen_store_begin(&xen, &b);
		number_path(path, "data", random_number() % 8);
		(void)xen_store_write(&xen, a, path, "1");
		(void)xen_store_write(&xen, b, path, "2");
		claim(xen_store_end(&xen, a, true) == 0, "the first wins");
		claim(xen_store_end(&xen, b, true) == -XEN_EAGAIN, "the second: EAGAIN");
	}
}

/* Requests, and no reply is ever taken. */
static void store_unread(void)
{
	struct xen_xs_message message = {.type = XS_DIRECTORY, .len = 2};
	uint32_t prod;

	if (!start()) {
		return;
	}
	prod = guest_load32(xen.store.ring + offsetof(struct xen_xs_ring, req_prod));
	while (blowing()) {
		uint8_t bytes[sizeof(message) + 2] = {0};
		uint32_t cons = guest_load32(xen.store.ring + offsetof(struct xen_xs_ring, req_cons));

		if (prod - cons <= XENSTORE_RING_SIZE - sizeof(bytes)) {
			memcpy(bytes, &message, sizeof(message));
			bytes[sizeof(message)] = '/';
			for (uint32_t i = 0; i < sizeof(bytes); i++) {
				xen.store.ring[MASK_XENSTORE_IDX(prod + i)] = bytes[i];
			}
			prod += sizeof(bytes);
			guest_store32(xen.store.ring + offsetof(struct xen_xs_ring, req_prod), prod);
		}
		(void)xen_port_notify(&xen, xen.store.port);
		xen_poll(&xen);
	}
}

/* Every type with payloads that are none. */
static void store_lies(void)
{
	static uint8_t payload[600];

	if (!start()) {
		return;
	}
	for (uint32_t type = 0; type < 40 || blowing(); type++) {
		uint32_t len = (uint32_t)(random_number() >> 8) % sizeof(payload);

		for (uint32_t i = 0; i < len; i++) {
			payload[i] = (uint8_t)(random_number() >> 16);
		}
		if (type % 3 == 0 && len != 0) {
			payload[len - 1] = 0;
			payload[0] = '/';
		}
		(void)xen_store_request(&xen, type % 40, (type & 7) == 0 ? (uint32_t)random_number() : 0, payload, len);
		if (xen.store.broken) { /* a reply of a type that was not asked for would be one */
			claim(false, "each request is answered in kind");
			return;
		}
	}
	claim(xen_store_read(&xen, 0, "domid", (char *)payload, sizeof(payload)) > 0, "a good one still works");
}

static uint32_t store_error(void)
{
	return guest_load32(xen.store.ring + offsetof(struct xen_xs_ring, error));
}

static bool store_complains(void)
{
	return store_error() != 0;
}

static void store_too_long(void)
{
	const struct xen_xs_message message = {.type = XS_WRITE, .len = XENSTORE_PAYLOAD_MAX + 1};

	if (!start()) {
		return;
	}
	memcpy(xen.store.ring, &message, sizeof(message));
	guest_store32(xen.store.ring + offsetof(struct xen_xs_ring, req_prod),
	              guest_load32(xen.store.ring + offsetof(struct xen_xs_ring, req_cons)) + sizeof(message));
	(void)xen_port_notify(&xen, xen.store.port);
	claim(wait_for(store_complains, 5), "the ring says why");
}

static void store_far(void)
{
	if (!start()) {
		return;
	}
	guest_store32(xen.store.ring + offsetof(struct xen_xs_ring, req_prod), UINT32_C(1) << 31);
	guest_store32(xen.store.ring + offsetof(struct xen_xs_ring, rsp_cons), UINT32_C(1) << 30);
	(void)xen_port_notify(&xen, xen.store.port);
	(void)wait_for(store_complains, 5);
	claim_number(store_error(), XENSTORE_ERROR_RINGIDX, "the ring says why");
}

/* The console's ring, with indexes that run. */
static void console_far(void)
{
	uint64_t gfn = 0, port = 0;
	uint8_t *ring;

	if (!start()) {
		return;
	}
	claim(xen_param_get(&xen, HVM_PARAM_CONSOLE_PFN, &gfn) == 0 && xen_param_get(&xen, HVM_PARAM_CONSOLE_EVTCHN, &port) == 0,
	      "there is a console");
	ring = machine->ops->page_at(NULL, gfn);
	while (blowing()) {
		guest_store32(ring + offsetof(struct xen_console_ring, out_prod), (uint32_t)random_wild());
		guest_store32(ring + offsetof(struct xen_console_ring, in_cons), (uint32_t)random_wild());
		guest_store32(ring + offsetof(struct xen_console_ring, out_cons), (uint32_t)random_wild());
		(void)xen_port_notify(&xen, (uint32_t)port);
		xen_poll(&xen);
	}
}

const struct hostile_case cases_xen_device[] = {
	{"blk_ring_ahead", ring_ahead}, {"blk_ring_back", ring_back}, {"blk_ring_far", ring_far},
	{"blk_requests_lie", requests_lie}, {"blk_requests_move", requests_move}, {"blk_grants_revoked", grants_revoked},
	{"blk_off_in_flight", off_in_flight}, {"blk_reset_in_flight", reset_in_flight}, {"blk_reconnects", reconnects},
	{"blk_doorbell_storm", doorbell_storm}, {"xenbus_states_wild", states_wild}, {"net_frames_lie", frames_lie}, {"net_tx_far", tx_far}, {"net_rx_far", rx_far},
	{"net_rx_lies", rx_lies}, {"net_frames_in_flight", frames_in_flight}, {"store_flood", store_flood},
	{"store_transactions", store_transactions}, {"store_unread", store_unread}, {"store_lies", store_lies},
	{"store_too_long", store_too_long}, {"store_far", store_far}, {"console_far", console_far}, {NULL, NULL},
};

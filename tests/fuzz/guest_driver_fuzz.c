/*
 * guest_driver_fuzz.c - libFuzzer: the guest's Xen drivers against a host that lies.
 *
 * There is no Janus here: the input is the host. It answers hypercalls, store requests and ring requests,
 * mostly as a host would, so that a driver comes up, and now and then as no host should. A driver may give up;
 * it may not touch what is not its own, wait for ever, free a page twice, or say twice that a request is done.
 */
#include "guest-drivers/xen/xen.h"
#include "tests/fuzz/guest_machine.h"

#define REQUESTS 12u

/* ------------------------------------------------------------------ Xen: the store */

static struct xen_guest xen;
static struct xen_blkfront blk;
static struct xen_netfront net;
static uint32_t state_now; /* that the backend shows */
static uint32_t have; /* bytes of a request */
static uint32_t next_port;

static void op_cpuid_xen(void *context, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
	const uint32_t base = XEN_CPUID_FIRST_LEAF;

	(void)context;
	(void)subleaf;
	memset(regs, 0, 4 * sizeof(regs[0]));
	if (leaf == base) {
		regs[0] = base + 4;
		regs[1] = XEN_CPUID_SIGNATURE_EBX;
		regs[2] = XEN_CPUID_SIGNATURE_ECX;
		regs[3] = XEN_CPUID_SIGNATURE_EDX;
	} else if (leaf == base + 2) {
		regs[0] = 1;
	}
}

static struct xen_xs_ring *store_ring(void)
{
	return (void *)pages[STORE_GFN];
}

static void store_put(const void *bytes, uint32_t len)
{
	struct xen_xs_ring *ring = store_ring();

	for (uint32_t i = 0; i < len && ring->rsp_prod - ring->rsp_cons < XENSTORE_RING_SIZE; i++) {
		ring->rsp[MASK_XENSTORE_IDX(ring->rsp_prod)] = ((const uint8_t *)bytes)[i];
		ring->rsp_prod++;
	}
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), more = strlen(end);

	return len >= more && strcmp(text + len - more, end) == 0;
}

static const char *store_value(const char *path)
{
	static const char *const states[] = {"0", "1", "2", "3", "4", "5", "6", "99"};
	static const char *const odd[] = {"",  "1",  "18446744073709551615", "99999999999999999999",
	                                  "x", "-1", "02:00:00:00:00:01",    "512"};

	if (ends_with(path, "/backend")) {
		return lies() ? "a/path/that/is/longer/than/anybody/would/have/expected/it/to/be/"
		                "and/so/on/and/so/on/and/so/on/and/on"
		              : "/local/domain/0/backend/vbd/1/51712";
	}
	if (ends_with(path, "/state")) {
		return states[lies() ? take_below(&in, 8) : state_now];
	}
	if (ends_with(path, "/mac")) {
		return odd[lies() ? take_below(&in, 8) : 6];
	}
	return odd[lies() ? take_below(&in, 8) : 1];
}

/* The frontend's own state moves the backend's. */
static void store_written(const char *path, const char *value)
{
	static const uint8_t follow[] = {0, 2, 2, 4, 4, 5, 6, 6};

	if (ends_with(path, "/state")) {
		state_now = follow[(uint8_t)value[0] % 8];
	}
}

static void store_answer(const struct xen_xs_message *request, char *payload)
{
	struct xen_xs_message header = *request;
	const char *value = "OK";

	if (request->type == XS_READ) {
		value = store_value(payload);
	} else if (request->type == XS_WRITE) {
		store_written(payload, payload + strlen(payload) + 1);
	}
	header.len = (uint32_t)strlen(value);
	if (lies()) {
		header.len = (uint32_t)take_number(&in, 2);
		header.req_id += take_below(&in, 2);
		header.type = take_below(&in, 2) != 0 ? XS_WATCH_EVENT : take_below(&in, 24);
	}
	store_put(&header, sizeof(header));
	store_put(value, header.len < strlen(value) ? header.len : (uint32_t)strlen(value));
	for (uint32_t i = (uint32_t)strlen(value); i < header.len && in.left != 0; i++) {
		uint8_t byte = (uint8_t)take8(&in);

		store_put(&byte, 1);
	}
}

static void store_react(void)
{
	static struct xen_xs_message request;
	static char payload[256];
	struct xen_xs_ring *ring = store_ring();

	for (uint32_t i = 0; i < XENSTORE_RING_SIZE && ring->req_cons != ring->req_prod; i++) {
		uint8_t byte = ring->req[MASK_XENSTORE_IDX(ring->req_cons++)];

		if (have < sizeof(request)) {
			((uint8_t *)&request)[have++] = byte;
		} else {
			payload[(have++ - sizeof(request)) % (sizeof(payload) - 2)] = (char)byte;
		}
		if (have >= sizeof(request) && have == sizeof(request) + request.len) {
			payload[request.len % (sizeof(payload) - 1)] = 0;
			payload[sizeof(payload) - 1] = 0;
			store_answer(&request, payload);
			have = 0;
			memset(payload, 0, sizeof(payload));
		}
	}
	if (lies() && lies()) {
		ring->req_cons = (uint32_t)take_number(&in, 4);
		ring->rsp_prod += (uint32_t)take_number(&in, 2);
		have = 0;
	}
}

/* ------------------------------------------------------------------ Xen: rings and calls */

/* One answer in a ring of @entries slots of @stride bytes, made of what was asked there and of the input. */
static void ring_react(struct xen_ring *ring, uint32_t entries, uint32_t stride, const void *answer,
                       uint32_t len)
{
	uint32_t prod;

	if (ring->page.bytes == NULL || ring->req_prod == ring->rsp_cons) {
		return;
	}
	prod = guest_load32(ring->page.bytes + XEN_RING_RSP_PROD);
	memcpy(ring->page.bytes + XEN_RING_HEADER_BYTES + prod % entries * stride, answer, len);
	guest_store32(ring->page.bytes + XEN_RING_RSP_PROD, lies() ? prod + take8(&in) : prod + 1);
}

static void rings_react(void)
{
	struct xen_blkif_response64 answer = {.id = lies() ? take_number(&in, 8) : take_below(&in, 4),
	                                      .operation = (uint8_t)take_below(&in, 2),
	                                      .status = (int16_t)(lies() ? take_number(&in, 2) : 0)};
	struct xen_netif_rx_response_slot received = {
	        .id = (uint16_t)(lies() ? take_number(&in, 2) : net.rx.rsp_cons % XEN_NET_ENTRIES),
	        .offset = (uint16_t)(lies() ? take_number(&in, 2) : 0),
	        .flags = (uint16_t)take_below(&in, 16),
	        .status = (int16_t)take_number(&in, 2)};
	struct xen_netif_tx_response_slot sent = {.id = (uint16_t)take_below(&in, lies() ? 255 : 3),
	                                          .status = (int16_t)(lies() ? take_number(&in, 2) : 0)};

	ring_react(&blk.ring, XEN_BLK_ENTRIES, BLKIF_SLOT_BYTES_64, &answer, sizeof(answer));
	ring_react(&net.rx, XEN_NET_ENTRIES, XEN_NETIF_RX_SLOT_BYTES, &received, sizeof(received));
	ring_react(&net.tx, XEN_NET_ENTRIES, XEN_NETIF_TX_SLOT_BYTES, &sent, sizeof(sent));
	if (lies() && xen.grants[0] != NULL) { /* it goes on using what it was granted */
		xen.grants[0][(8 + take_below(&in, 16)) * sizeof(struct xen_grant_entry_v1)] ^= GTF_reading;
	}
	if (xen.shared != NULL) {
		memset(xen.shared + offsetof(struct xen_shared_info64, evtchn_pending), lies() ? 0xFF : 0xE,
		       1);
		xen.shared[offsetof(struct xen_vcpu_info64, evtchn_pending_sel)] = 1;
		xen.shared[0] = 1;
	}
}

static int64_t op_hypercall_xen(void *context, uint32_t number, const uint64_t args[5])
{
	uint8_t *at = op_page_at(context, args[1] >> PAGE_SHIFT);
	struct xen_hvm_param_arg param;

	if (at == NULL) {
		return -XEN_EFAULT;
	}
	if (number == __HYPERVISOR_hvm_op && args[0] == HVMOP_get_param) {
		memcpy(&param, at, sizeof(param));
		param.value = param.index == HVM_PARAM_STORE_PFN ? STORE_GFN : 1;
		param.value = lies() && lies() ? take_number(&in, 8) : param.value;
		memcpy(at, &param, sizeof(param));
	}
	if (number == __HYPERVISOR_event_channel_op && args[0] == EVTCHNOP_alloc_unbound) {
		struct xen_evtchn_alloc_unbound alloc = {.port = 2 + next_port++ % 2};

		alloc.port = lies() ? (uint32_t)take_number(&in, 4) : alloc.port;
		memcpy(at, &alloc, sizeof(alloc));
	}
	if (number == __HYPERVISOR_memory_op && args[0] == XENMEM_populate_physmap) {
		return 1;
	}
	return lies() && lies() ? -(int64_t)take_below(&in, 40) : 0;
}

static void op_poll_xen(void *context)
{
	(void)context;
	store_react();
	rings_react();
}

/* ------------------------------------------------------------------ Xen: what the guest does */

static const uint32_t request_busy = 1, request_idle = 0;
static uint32_t requests[REQUESTS];

static void request_done(void *context, int status)
{
	uint32_t *request = context;

	(void)status;
	require(*request == request_busy, "a request is done once");
	*request = request_idle;
}

static void frame_received(void *context, const struct xen_net_frame *frame)
{
	uint8_t sum = 0;

	(void)context;
	require(frame->len <= XEN_NET_FRAME_MAX, "a frame has a largest size");
	for (uint32_t i = 0; i < frame->len; i++) {
		sum = (uint8_t)(sum + frame->bytes[i]);
	}
	(void)sum;
}

static void use_disk(void)
{
	const struct xen_blk_piece piece = {.gfn = STORE_GFN + 1, .last = 7};

	if (!xen_blkfront_open(&blk, &xen, 51712)) {
		return;
	}
	for (uint32_t i = 0; i < REQUESTS; i++) {
		if (xen_blkfront_submit(&blk, (uint8_t)take_below(&in, 2), i, &piece, 1, request_done,
		                        &requests[i])) {
			requests[i] = request_busy;
		}
		xen_poll(&xen);
	}
	(void)xen_blkfront_close(&blk);
	require(blk.used_count == 0, "no request is left after the end");
	for (uint32_t i = 0; i < REQUESTS; i++) {
		require(requests[i] == request_idle, "each request ends");
	}
}

static void use_net(void)
{
	static const uint8_t bytes[9000];
	struct xen_net_frame frame = {.bytes = bytes, .len = 60 + (uint32_t)take_number(&in, 2) % 8000};

	if (!xen_netfront_open(&net, &xen, 0, frame_received, NULL)) {
		return;
	}
	for (uint32_t i = 0; i < 8; i++) {
		(void)!xen_netfront_send(&net, &frame);
		xen_poll(&xen);
	}
	(void)xen_netfront_close(&net);
}

static void run_xen(bool disk)
{
	static const struct guest_ops ops = {
	        .page_alloc = op_page_alloc,
	        .page_free = op_page_free,
	        .page_at = op_page_at,
	        .cpuid = op_cpuid_xen,
	        .rdmsr = op_rdmsr,
	        .wrmsr = op_wrmsr,
	        .hypercall_xen = op_hypercall_xen,
	        .poll = op_poll_xen,
	};
	struct guest guest = {.ops = &ops, .poll_max = POLL_MAX};

	if (xen_start(&xen, &guest) == 0 && xen_store_start(&xen) == 0) {
		if (disk) {
			use_disk();
		} else {
			use_net();
		}
	}
	xen_stop(&xen);
}

/* ------------------------------------------------------------------ an input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	machine_start(data, size);
	memset(requests, 0, sizeof(requests));
	memset(&blk, 0, sizeof(blk));
	memset(&net, 0, sizeof(net));
	state_now = 2;
	have = 0;
	next_port = 0;
	run_xen(take_below(&in, 2) != 0);
	return 0;
}

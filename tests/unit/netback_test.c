/*
 * netback_test.c - the network backend against a guest's rings, through the real switch: packets of all
 * shapes both ways, offloads, errors, hostile rings.
 */
#include <pthread.h>

#include "tests/unit/xen_fake.h"

#define TX_PAGE 16u
#define RX_PAGE 18u
#define DATA_PAGE 32u /* 32 pages to send from */
#define POST_PAGE 96u /* 64 pages to receive into */

static struct vm *vm;
static struct ether_switch sw;
static struct switch_port port, other;
static struct xen_ring_header *tx, *rx;
static uint32_t channel;

/* What the other port was given last. */
static struct {
	uint32_t count, len;
	bool blank, good;
	uint16_t segment_bytes;
	uint8_t bytes[70000];
} got;

static bool other_deliver(void *device, const struct switch_frame *frame)
{
	(void)device;
	got.count++;
	got.len = frame->len_bytes;
	got.blank = frame->checksum_blank;
	got.good = frame->checksum_good;
	got.segment_bytes = frame->segment_bytes;
	CU_ASSERT_EQUAL(io_copy_out(frame->segments, frame->segment_count, 0, got.bytes, got.len), got.len);
	return true;
}

static const struct switch_port_ops other_ops = {.deliver = other_deliver};

static void start(void)
{
	struct host_vm_config config = {.vm.nic_count = 1};

	fake_reset();
	memset(&got, 0, sizeof(got));
	switch_init(&sw, "lan");
	CU_ASSERT_TRUE(switch_add_port(&sw, &port));
	CU_ASSERT_TRUE(switch_add_port(&sw, &other));
	switch_connect(&other, &other_ops, NULL, 15);
	config.vm.nics[0].port = &port;
	memcpy(config.vm.nics[0].mac, "\x02\x00\x00\x00\xAB\x01", 6);
	vm = host_vm_new(&config);
	CU_ASSERT_TRUE_FATAL(xenbus_create(vm));
}

static void stop(void)
{
	xenbus_teardown(vm);
	CU_ASSERT_EQUAL(fake_holds(), 0);
	CU_ASSERT_PTR_NULL(port.ops);
	CU_ASSERT_TRUE(host_vm_check_no_leaks(vm));
	host_vm_free(vm);
}

#define FRONT "device/vif/0/"
#define BACK "/local/domain/0/backend/vif/1/0/"

static const char *state(void)
{
	return fake_store_read(vm, BACK "state");
}

static void set(const char *name, const char *value)
{
	char path[64];

	(void)snprintf(path, sizeof(path), FRONT "%s", name);
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, path, "%s", value), "OK");
}

static void set_number(const char *name, uint32_t value)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%u", value);
	set(name, text);
}

static void connect(bool all)
{
	tx = fake_ring(vm, TX_PAGE);
	rx = fake_ring(vm, RX_PAGE);
	channel = fake_guest_port();
	set_number("tx-ring-ref", TX_PAGE);
	set_number("rx-ring-ref", RX_PAGE);
	set_number("event-channel", channel);
	set("request-rx-copy", "1");
	if (all) {
		set("feature-sg", "1");
		set("feature-gso-tcpv4", "1");
		set("feature-gso-tcpv6", "1");
		set("feature-ipv6-csum-offload", "1");
	}
	set("state", "3");
	CU_ASSERT_STRING_EQUAL(state(), "2");
	set("state", "4");
	CU_ASSERT_STRING_EQUAL(state(), "4");
}

/* ------------------------------------------------------------------ sending */

static struct xen_netif_tx_request_slot *tx_slot(uint32_t index)
{
	return (void *)((uint8_t *)tx + 64 + index % 256 * 12);
}

static void tx_put(uint32_t gref, uint32_t offset, uint32_t flags, uint32_t size)
{
	*tx_slot(tx->req_prod) = (struct xen_netif_tx_request_slot){
	        gref, (uint16_t)offset, (uint16_t)flags, (uint16_t)(1000 + tx->req_prod), (uint16_t)size};
	tx->req_prod++;
}

static void tx_extra(uint8_t type, uint8_t flags, uint16_t size, uint8_t gso)
{
	struct xen_netif_extra_slot extra = {.type = type, .flags = flags};

	extra.u.gso.size = size;
	extra.u.gso.type = gso;
	memcpy(tx_slot(tx->req_prod++), &extra, sizeof(extra));
}

static void kick(void)
{
	fake_guest_send(channel);
	(void)host_run_work(vm);
}

/* Sends; checks that each slot was answered with its id and @status, and that nothing is held. */
static void tx_go(int16_t status)
{
	uint32_t first = tx->rsp_prod;
	uint16_t ids[300];
	uint32_t told = fake_ports[channel].told;

	for (uint32_t i = first; i != tx->req_prod; i++) {
		ids[i - first] = tx_slot(i)->id;
	}
	tx->rsp_event = tx->req_prod;
	kick();
	CU_ASSERT_EQUAL_FATAL(tx->rsp_prod, tx->req_prod);
	CU_ASSERT_EQUAL(fake_ports[channel].told, told + 1);
	CU_ASSERT_EQUAL(fake_holds(), 2);
	for (uint32_t i = first; i != tx->rsp_prod; i++) {
		struct xen_netif_tx_response_slot response;

		memcpy(&response, tx_slot(i), sizeof(response));
		if (response.status != XEN_NETIF_RSP_NULL) {
			CU_ASSERT_EQUAL(response.id, ids[i - first]);
			CU_ASSERT_EQUAL(response.status, status);
		}
	}
}

/* An Ethernet header to everybody, then bytes that tell their place. */
static void fill(void)
{
	for (uint32_t i = 0; i < 32; i++) {
		uint8_t *page = fake_page(vm, DATA_PAGE + i);

		(void)fake_grant(DATA_PAGE + i, true);
		for (uint32_t j = 0; j < 4096; j++) {
			page[j] = (uint8_t)(i * 13 + j);
		}
	}
	memcpy(fake_page(vm, DATA_PAGE) + 100, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\xAB\x01\x12\x34",
	       14);
}

static void test_tree(void)
{
	start();
	CU_ASSERT_STRING_EQUAL(state(), "2");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, FRONT "mac"), "02:00:00:00:ab:01");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, FRONT "handle"), "0");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, BACK "feature-rx-copy"), "1");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, BACK "feature-sg"), "1");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, BACK "feature-gso-tcpv4"), "1");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, BACK "feature-gso-tcpv6"), "1");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, BACK "feature-ipv6-csum-offload"), "1");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, BACK "feature-split-event-channels"), "!ENOENT");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, BACK "hotplug-status"), "connected");
	stop();
}

static void test_offloads(void)
{
	start();
	connect(true);
	CU_ASSERT_EQUAL(port.offloads, 15);
	set("state", "5");
	CU_ASSERT_STRING_EQUAL(state(), "5");
	CU_ASSERT_PTR_NULL(port.ops);
	CU_ASSERT_EQUAL(fake_holds(), 0);
	set("state", "6");
	CU_ASSERT_STRING_EQUAL(state(), "6");
	set("feature-no-csum-offload", "1");
	set("feature-gso-tcpv6", "0");
	set("state", "1");
	CU_ASSERT_STRING_EQUAL(state(), "2");
	connect(false);
	CU_ASSERT_EQUAL(port.offloads, SWITCH_CHECKSUM_IPV6);
	stop();
	start();
	set("feature-gso-tcpv4", "1");
	connect(false);
	CU_ASSERT_EQUAL(port.offloads, SWITCH_CHECKSUM_IPV4);
	stop();
}

static void test_send(void)
{
	start();
	connect(true);
	fill();
	tx_put(DATA_PAGE, 100, 0, 60);
	tx_go(0);
	CU_ASSERT_EQUAL(got.count, 1);
	CU_ASSERT_EQUAL(got.len, 60);
	CU_ASSERT_EQUAL(memcmp(got.bytes, fake_page(vm, DATA_PAGE) + 100, 60), 0);
	CU_ASSERT_FALSE(got.blank);
	/* Three slots, one of them empty; the first has what the others leave of the total. */
	tx_put(DATA_PAGE, 100, NETTXF_more_data | NETTXF_data_validated, 3000);
	tx_put(499, 0, NETTXF_more_data, 0);
	tx_put(DATA_PAGE + 1, 5, 0, 2900);
	tx_go(0);
	CU_ASSERT_EQUAL(got.count, 2);
	CU_ASSERT_EQUAL(got.len, 3000);
	CU_ASSERT_TRUE(got.good);
	CU_ASSERT_EQUAL(memcmp(got.bytes + 100, fake_page(vm, DATA_PAGE + 1) + 5, 2900), 0);
	/* Many at once. */
	for (uint32_t i = 0; i < 200; i++) {
		tx_put(DATA_PAGE, 100, 0, 1500);
	}
	tx_go(0);
	CU_ASSERT_EQUAL(got.count, 202);
	stop();
}

/* Eighteen slots and the largest packet; twenty pass, twenty-one do not. */
static void test_send_slots(void)
{
	start();
	connect(true);
	fill();
	tx_put(DATA_PAGE, 100, NETTXF_more_data, 65535);
	for (uint32_t i = 1; i < 18; i++) {
		tx_put(DATA_PAGE + i, 0, i == 17 ? 0 : NETTXF_more_data, 3800);
	}
	tx_go(0);
	CU_ASSERT_EQUAL(got.len, 65535);
	CU_ASSERT_EQUAL(memcmp(got.bytes + 65535 - 3800, fake_page(vm, DATA_PAGE + 17), 3800), 0);
	/* Two large ones are two steps; both arrive. */
	for (uint32_t n = 0; n < 2; n++) {
		tx_put(DATA_PAGE, 100, NETTXF_more_data, 40000);
		for (uint32_t i = 1; i < 11; i++) {
			tx_put(DATA_PAGE + i, 0, i == 10 ? 0 : NETTXF_more_data, 3800);
		}
	}
	got.count = 0;
	tx->rsp_event = 0;
	kick();
	CU_ASSERT_EQUAL(got.count, 2);
	CU_ASSERT_EQUAL(tx->rsp_prod, tx->req_prod);
	tx_put(DATA_PAGE, 100, NETTXF_more_data, 1000);
	for (uint32_t i = 1; i < 20; i++) {
		tx_put(DATA_PAGE + i, 0, i == 19 ? 0 : NETTXF_more_data, 10);
	}
	tx_go(0);
	tx_put(DATA_PAGE, 100, NETTXF_more_data, 1000);
	for (uint32_t i = 1; i < 21; i++) {
		tx_put(DATA_PAGE + i, 0, i == 20 ? 0 : NETTXF_more_data, 10);
	}
	kick();
	CU_ASSERT_NOT_EQUAL(tx->rsp_prod, tx->req_prod);
	CU_ASSERT_TRUE(host_log_has(vm, "vif 0"));
	CU_ASSERT_EQUAL(fake_holds(), 2);
	stop();
}

static void test_send_errors(void)
{
	start();
	connect(true);
	fill();
	tx_put(DATA_PAGE, 100, 0, 13); /* shorter than a header */
	tx_go(-1);
	tx_put(DATA_PAGE, 4000, 0, 97); /* over the page's end */
	tx_go(-1);
	tx_put(DATA_PAGE, 100, NETTXF_more_data, 100); /* the parts are more than the whole */
	tx_put(DATA_PAGE + 1, 0, 0, 101);
	tx_go(-1);
	tx_put(DATA_PAGE, 100, NETTXF_more_data, 100); /* no such grant */
	tx_put(500, 0, 0, 10);
	tx_go(-1);
	tx_put(DATA_PAGE, 100, NETTXF_more_data, 100);
	tx_put(DATA_PAGE + 1, 4095, 0, 2);
	tx_go(-1);
	tx_put(DATA_PAGE, 100, NETTXF_extra_info, 100); /* GSO without a size, of an unknown type */
	tx_extra(XEN_NETIF_EXTRA_TYPE_GSO, 0, 0, 1);
	tx_go(-1);
	tx_put(DATA_PAGE, 100, NETTXF_extra_info, 100);
	tx_extra(XEN_NETIF_EXTRA_TYPE_GSO, 0, 1000, 3);
	tx_go(-1);
	tx_put(DATA_PAGE, 100, NETTXF_extra_info, 100); /* multicast control is not offered */
	tx_extra(XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 0, 0, 0);
	tx_go(-1);
	CU_ASSERT_EQUAL(got.count, 0);
	tx_put(DATA_PAGE, 100, NETTXF_extra_info, 100); /* a hash is not needed */
	tx_extra(XEN_NETIF_EXTRA_TYPE_HASH, 0, 0, 0);
	tx_go(0);
	CU_ASSERT_EQUAL(got.count, 1);
	stop();
}

/* Each of these breaks the ring: it is served no more, and works again after a new connection. */
static void test_send_broken(void)
{
	for (uint32_t i = 0; i < 6; i++) {
		start();
		connect(true);
		fill();
		switch (i) {
		case 0:
			tx->req_prod += 257;
			break;
		case 1: /* the packet's end is missing */
			tx_put(DATA_PAGE, 100, NETTXF_more_data, 100);
			break;
		case 2:
			tx_put(DATA_PAGE, 100, NETTXF_extra_info, 100);
			break;
		case 3:
			tx_put(DATA_PAGE, 100, NETTXF_extra_info, 100);
			tx_extra(5, 0, 0, 0);
			break;
		case 4:
			tx_put(DATA_PAGE, 100, NETTXF_extra_info, 100);
			tx_extra(0, 0, 0, 0);
			break;
		default:
			tx_put(DATA_PAGE, 100, NETTXF_extra_info, 100);
			for (uint32_t n = 0; n < 6; n++) {
				tx_extra(XEN_NETIF_EXTRA_TYPE_HASH, n < 5, 0, 0);
			}
		}
		kick();
		CU_ASSERT_EQUAL(tx->rsp_prod, 0);
		CU_ASSERT_EQUAL(got.count, 0);
		CU_ASSERT_TRUE(host_log_has(vm, "transmit ring broken"));
		set("state", "6");
		CU_ASSERT_STRING_EQUAL(state(), "6");
		set("state", "1");
		connect(true);
		tx_put(DATA_PAGE, 100, 0, 60);
		tx_go(0);
		CU_ASSERT_EQUAL(got.count, 1);
		stop();
	}
}

static void test_fetch_once(void)
{
	start();
	connect(true);
	fill();
	host_fetch_watch(vm, TX_PAGE * 4096 + 64, 36);
	tx_put(DATA_PAGE, 100, NETTXF_more_data | NETTXF_extra_info, 3000);
	tx_extra(XEN_NETIF_EXTRA_TYPE_HASH, 0, 0, 0);
	tx_put(DATA_PAGE + 1, 5, 0, 2900);
	tx_go(0);
	CU_ASSERT_EQUAL(host_fetch_max(), 1);
	host_fetch_unwatch();
	stop();
}

/* ------------------------------------------------------------------ receiving */

static uint8_t *rx_slot(uint32_t index)
{
	return (uint8_t *)rx + 64 + index % 256 * 8;
}

static void post(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct xen_netif_rx_request_slot request = {(uint16_t)rx->req_prod, 0,
		                                            POST_PAGE + rx->req_prod % 64};

		(void)fake_grant(request.gref, false);
		memcpy(rx_slot(rx->req_prod), &request, sizeof(request));
		rx->req_prod++;
	}
}

static struct xen_netif_rx_response_slot response(uint32_t index)
{
	struct xen_netif_rx_response_slot slot;

	memcpy(&slot, rx_slot(index), sizeof(slot));
	return slot;
}

static uint8_t wire[70000];

/* From the other port: @len bytes of @wire in segments of at most a page. */
static void arrive(uint32_t len, bool blank, bool good, uint16_t segment_bytes)
{
	struct io_segment segments[24];
	struct switch_frame frame = {segments, 0, len, blank, good, segment_bytes};

	for (uint32_t at = 0; at < len; at += 4000) {
		uint32_t here = len - at < 4000 ? len - at : 4000;

		segments[frame.segment_count++] = (struct io_segment){wire + at, here};
	}
	switch_send(&other, &frame);
}

static void wire_fill(void)
{
	for (uint32_t i = 0; i < sizeof(wire); i++) {
		wire[i] = (uint8_t)(i * 7);
	}
	memcpy(wire, "\x02\x00\x00\x00\xAB\x01\x02\x00\x00\x00\xCD\x01\x12\x34", 14);
}

/* A TCP segment over IPv4 or IPv6 of @len bytes in all. */
static void wire_tcp(uint32_t len, bool six)
{
	uint8_t *ip = wire + 14;

	wire_fill();
	memset(ip, 0, 60);
	wire[12] = six ? 0x86 : 0x08;
	wire[13] = six ? 0xDD : 0x00;
	if (six) {
		ip[0] = 0x60;
		ip[4] = (uint8_t)((len - 54) >> 8);
		ip[5] = (uint8_t)(len - 54);
		ip[6] = 6;
		ip[7] = 64;
		ip[40 + 12] = 0x50;
	} else {
		ip[0] = 0x45;
		ip[2] = (uint8_t)((len - 14) >> 8);
		ip[3] = (uint8_t)(len - 14);
		ip[8] = 64;
		ip[9] = 6;
		ip[20 + 12] = 0x50;
	}
}

static void test_receive(void)
{
	uint32_t told;

	start();
	connect(true);
	wire_fill();
	arrive(60, false, false, 0);
	CU_ASSERT_EQUAL(port.counts.dropped_frames, 1); /* nothing posted */
	post(3);
	told = fake_ports[channel].told;
	rx->rsp_event = 1;
	arrive(60, false, true, 0);
	CU_ASSERT_EQUAL(rx->rsp_prod, 1);
	CU_ASSERT_EQUAL(fake_ports[channel].told, told + 1);
	CU_ASSERT_EQUAL(response(0).id, 0);
	CU_ASSERT_EQUAL(response(0).offset, 0);
	CU_ASSERT_EQUAL(response(0).status, 60);
	CU_ASSERT_EQUAL(response(0).flags, NETRXF_data_validated);
	CU_ASSERT_EQUAL(memcmp(fake_page(vm, POST_PAGE), wire, 60), 0);
	arrive(5000, false, false, 0);
	CU_ASSERT_EQUAL(rx->rsp_prod, 3);
	CU_ASSERT_EQUAL(fake_ports[channel].told, told + 1); /* not asked for */
	CU_ASSERT_EQUAL(response(1).status, 4096);
	CU_ASSERT_EQUAL(response(1).flags, NETRXF_more_data);
	CU_ASSERT_EQUAL(response(2).status, 904);
	CU_ASSERT_EQUAL(response(2).flags, 0);
	CU_ASSERT_EQUAL(memcmp(fake_page(vm, POST_PAGE + 1), wire, 4096), 0);
	CU_ASSERT_EQUAL(memcmp(fake_page(vm, POST_PAGE + 2), wire + 4096, 904), 0);
	CU_ASSERT_EQUAL(fake_holds(), 2);
	post(1);
	arrive(5000, false, false, 0); /* too few: dropped, the one stays */
	CU_ASSERT_EQUAL(rx->rsp_prod, 3);
	arrive(64, false, false, 0);
	CU_ASSERT_EQUAL(rx->rsp_prod, 4);
	stop();
}

static void receive_gso(bool six)
{
	struct xen_netif_extra_slot extra;

	start();
	connect(true);
	wire_tcp(60000, six);
	post(20);
	arrive(60000, true, false, 1400);
	CU_ASSERT_EQUAL_FATAL(rx->rsp_prod, 16);
	CU_ASSERT_EQUAL(response(0).status, 4096);
	CU_ASSERT_EQUAL(response(0).flags,
	                NETRXF_csum_blank | NETRXF_data_validated | NETRXF_more_data | NETRXF_extra_info);
	memcpy(&extra, rx_slot(1), sizeof(extra));
	CU_ASSERT_EQUAL(extra.type, XEN_NETIF_EXTRA_TYPE_GSO);
	CU_ASSERT_EQUAL(extra.flags, 0);
	CU_ASSERT_EQUAL(extra.u.gso.size, 1400);
	CU_ASSERT_EQUAL(extra.u.gso.type, six ? XEN_NETIF_GSO_TYPE_TCPV6 : XEN_NETIF_GSO_TYPE_TCPV4);
	CU_ASSERT_EQUAL(response(2).id, 2);
	CU_ASSERT_EQUAL(response(2).flags, NETRXF_more_data);
	CU_ASSERT_EQUAL(response(15).flags, 0);
	CU_ASSERT_EQUAL(response(15).status, 60000 - 14 * 4096);
	CU_ASSERT_EQUAL(memcmp(fake_page(vm, POST_PAGE + 2), wire + 4096, 4096), 0);
	CU_ASSERT_EQUAL(memcmp(fake_page(vm, POST_PAGE + 15), wire + 14 * 4096, 100), 0);
	stop();
	/* A guest without the features gets it cut, with checksums. */
	start();
	connect(false);
	wire_tcp(5000, six);
	post(20);
	arrive(5000, true, false, 1400);
	CU_ASSERT_EQUAL(rx->rsp_prod, 4);
	CU_ASSERT_EQUAL(response(0).status, 1400 + (six ? 74 : 54));
	CU_ASSERT_EQUAL(response(0).flags & NETRXF_csum_blank, 0);
	stop();
}

static void test_receive_gso(void)
{
	receive_gso(false);
	receive_gso(true);
}

static void test_receive_errors(void)
{
	start();
	connect(true);
	wire_fill();
	post(3);
	fake_grants[POST_PAGE + 1].read_only = true;
	arrive(9000, false, false, 0);
	CU_ASSERT_EQUAL(rx->rsp_prod, 3);
	for (uint32_t i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(response(i).status, -1);
		CU_ASSERT_EQUAL(response(i).flags, 0);
		CU_ASSERT_EQUAL(response(i).id, i);
	}
	CU_ASSERT_EQUAL(fake_holds(), 2);
	CU_ASSERT_EQUAL(port.counts.dropped_frames, 1);
	post(1);
	rx->req_prod += 256;
	arrive(60, false, false, 0);
	CU_ASSERT_TRUE(host_log_has(vm, "receive ring broken"));
	rx->req_prod -= 256;
	arrive(60, false, false, 0);
	CU_ASSERT_EQUAL(rx->rsp_prod, 3);
	stop();
	start();
	connect(false);
	wire_fill();
	post(4);
	arrive(5000, false, false, 0); /* more than a page, and no feature-sg */
	CU_ASSERT_EQUAL(rx->rsp_prod, 0);
	stop();
}

/* GSO from the guest: whole to whom can take it, cut for others. */
static void test_send_gso(void)
{
	for (uint32_t six = 0; six < 2; six++) {
		start();
		connect(true);
		wire_tcp(10000, six != 0);
		memset(wire, 0xFF, 6);
		for (uint32_t i = 0; i < 3; i++) {
			(void)fake_grant(DATA_PAGE + i, true);
			memcpy(fake_page(vm, DATA_PAGE + i), wire + i * 4096, 4096);
		}
		for (uint32_t pass = 0; pass < 2; pass++) {
			tx_put(DATA_PAGE, 0, NETTXF_csum_blank | NETTXF_more_data | NETTXF_extra_info, 10000);
			tx_extra(XEN_NETIF_EXTRA_TYPE_GSO, 0, 1448, (uint8_t)(1 + six));
			tx_put(DATA_PAGE + 1, 0, NETTXF_more_data, 4096);
			tx_put(DATA_PAGE + 2, 0, 0, 10000 - 8192);
			tx_go(0);
			if (pass == 0) {
				CU_ASSERT_EQUAL(got.count, 1);
				CU_ASSERT_EQUAL(got.len, 10000);
				CU_ASSERT_EQUAL(got.segment_bytes, 1448);
				CU_ASSERT_TRUE(got.blank);
				/* The headers are the switch's to put right. */
				CU_ASSERT_EQUAL(memcmp(got.bytes + 74, wire + 74, 10000 - 74), 0);
				switch_set_offloads(&other, 0);
			}
		}
		CU_ASSERT_EQUAL(got.count, 1 + 7);
		CU_ASSERT_FALSE(got.blank);
		stop();
	}
}

static void test_connect_errors(void)
{
	static const char *const needed[] = {"tx-ring-ref", "rx-ring-ref", "event-channel",
	                                     "request-rx-copy"};

	for (uint32_t i = 0; i < ARRAY_COUNT(needed); i++) {
		for (uint32_t bad = 0; bad < 2; bad++) {
			start();
			(void)fake_ring(vm, TX_PAGE);
			(void)fake_ring(vm, RX_PAGE);
			set_number("tx-ring-ref", TX_PAGE);
			set_number("rx-ring-ref", RX_PAGE);
			set_number("event-channel", fake_guest_port());
			set("request-rx-copy", "1");
			set(needed[i], bad != 0 ? "505" : "5x");
			set("state", "4");
			CU_ASSERT_STRING_EQUAL(state(), "5");
			CU_ASSERT_EQUAL(fake_holds(), 0);
			CU_ASSERT_PTR_NULL(port.ops);
			stop();
		}
	}
}

/* The frontend closes, on another CPU, while its packet is in the switch. */
static void *close_thread(void *arg)
{
	(void)arg;
	set("state", "5");
	CU_ASSERT_STRING_EQUAL(state(), "4"); /* not yet: a packet is under way */
	CU_ASSERT_TRUE(fake_holds() >= 3);
	return NULL;
}

static bool closing_deliver(void *device, const struct switch_frame *frame)
{
	pthread_t thread;

	(void)device;
	(void)frame;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, close_thread, NULL), 0);
	(void)pthread_join(thread, NULL);
	got.count++;
	return true;
}

static void test_close_while_sending(void)
{
	static const struct switch_port_ops ops = {.deliver = closing_deliver};

	start();
	connect(true);
	fill();
	switch_connect(&other, &ops, NULL, 15);
	tx_put(DATA_PAGE, 100, 0, 60);
	tx_put(DATA_PAGE, 100, 0, 60);
	kick();
	CU_ASSERT_EQUAL(got.count, 1); /* the second was not taken */
	CU_ASSERT_EQUAL(tx->rsp_prod, 1);
	CU_ASSERT_STRING_EQUAL(state(), "5");
	CU_ASSERT_EQUAL(fake_holds(), 0);
	CU_ASSERT_PTR_NULL(port.ops);
	stop();
}

UNIT_MAIN("netback", UNIT_TEST(test_tree), UNIT_TEST(test_offloads), UNIT_TEST(test_send),
          UNIT_TEST(test_send_slots), UNIT_TEST(test_send_errors), UNIT_TEST(test_send_broken),
          UNIT_TEST(test_fetch_once), UNIT_TEST(test_receive), UNIT_TEST(test_receive_gso),
          UNIT_TEST(test_receive_errors), UNIT_TEST(test_send_gso), UNIT_TEST(test_connect_errors),
          UNIT_TEST(test_close_while_sending))

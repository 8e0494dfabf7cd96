/*
 * netvsp_test.c - the Hyper-V network device: NVSP, frames both ways through a real switch, and what goes wrong.
 */
#include "tests/unit/netvsp_guest.h"

#define FRAME_MAX 65550u

static struct ether_switch sw;

/* ------------------------------------------------------------------ another port of the switch */

static struct {
	struct switch_port port;
	uint32_t count;
	uint32_t len;
	bool checksum_blank;
	uint16_t segment_bytes;
	uint8_t bytes[FRAME_MAX];
} tap;

static bool tap_deliver(void *device, const struct switch_frame *frame)
{
	(void)device;
	tap.count++;
	tap.len = frame->len_bytes;
	tap.checksum_blank = frame->checksum_blank;
	tap.segment_bytes = frame->segment_bytes;
	(void)io_copy_out(frame->segments, frame->segment_count, 0, tap.bytes, frame->len_bytes);
	return true;
}

static const struct switch_port_ops tap_ops = {.deliver = tap_deliver};

static void tap_start(uint32_t offloads)
{
	switch_init(&sw, "test");
	memset(&tap, 0, sizeof(tap));
	CU_ASSERT_FATAL(switch_add_port(&sw, &tap.port));
	switch_connect(&tap.port, &tap_ops, NULL, offloads);
}

static void tap_send(const uint8_t *bytes, uint32_t len, bool good)
{
	struct io_segment segment = {.bytes = (uint8_t *)(uintptr_t)bytes, .len_bytes = len};
	struct switch_frame frame = {.segments = &segment,
				     .segment_count = 1,
				     .len_bytes = len,
				     .checksum_good = good};

	switch_send(&tap.port, &frame);
}

/* ------------------------------------------------------------------ frames */

static const uint8_t guest_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t tap_mac[6] = {2, 0, 0, 0, 0, 9};

/* Ethernet with a pattern behind; @len 14 or more. */
static void frame_fill(uint8_t *bytes, uint32_t len, const uint8_t *to, const uint8_t *from)
{
	for (uint32_t i = 0; i < len; i++) {
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	}
	memcpy(bytes, to, 6);
	memcpy(bytes + 6, from, 6);
	bytes[12] = 0x88;
	bytes[13] = 0xB5;
}

/* An IPv4 TCP frame of @len with headers as Linux leaves them for an offload (@ip_len 0 for LSO). */
static void frame_tcp(uint8_t *bytes, uint32_t len, const uint8_t *to, uint32_t ip_len)
{
	frame_fill(bytes, len, to, guest_mac);
	bytes[12] = 0x08;
	bytes[13] = 0x00;
	memset(bytes + 14, 0, 40);
	bytes[14] = 0x45;
	bytes[16] = (uint8_t)(ip_len >> 8);
	bytes[17] = (uint8_t)ip_len;
	bytes[22] = 64;
	bytes[23] = 6;
	bytes[29] = 1;
	bytes[33] = 2;
	bytes[46] = 5 << 4;
}

/* A PACKET at @to with one entry of info (@info_type UINT32_MAX: none). Returns its length. */
static uint32_t packet_fill(uint8_t *to, const uint8_t *frame, uint32_t len, uint32_t info_type,
			    uint32_t value)
{
	uint32_t has_info = info_type != UINT32_MAX;
	uint32_t total = 44 + 16 * has_info + len;
	uint32_t words[15] = {RNDIS_MSG_PACKET, (total + 7) & ~7u, 36 + 16 * has_info, len, 0, 0, 0,
			      36 * has_info, 16 * has_info, 0, 0, 16, info_type, 12, value};

	memcpy(to, words, 44 + 16 * has_info);
	memmove(to + 44 + 16 * has_info, frame, len);
	memset(to + total, 0, ((total + 7) & ~7u) - total);
	return (total + 7) & ~7u;
}

static void section_send(struct guest *g, uint64_t id, uint32_t section, uint32_t bytes)
{
	struct nvsp_message message = rndis_message(NVSP_RMC_DATA, section, bytes);

	nvsp_send(g, id, true, &message);
}

/* ------------------------------------------------------------------ set-up */

static void check_version(uint32_t version, uint32_t message_bytes, uint32_t caps_bytes)
{
	struct guest *g;
	struct packet_in in;
	uint32_t query[7] = {RNDIS_MSG_QUERY, 28, 1, RNDIS_OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES,
			     0, 20, 0};
	uint32_t reply[256] = {0};

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, version, 1514, NVSP_2_VSC_CAPABILITY_IEEE8021Q);
	CU_ASSERT_EQUAL(g->slot_bytes, 256 + 1514 + 36);
	CU_ASSERT_EQUAL(g->slot_count, RECEIVE_BYTES / (256 + 1514 + 36));
	CU_ASSERT_EQUAL(g->section_bytes, 6144);
	CU_ASSERT_EQUAL(control_call(g, query, 28, (uint8_t *)reply), 24 + caps_bytes);
	CU_ASSERT_EQUAL(reply[3], 0);
	CU_ASSERT_EQUAL(reply[4], caps_bytes);
	CU_ASSERT_EQUAL(reply[5], 16);
	section_send(g, 9, 0, 1); /* nothing right, but its completion has a size */
	CU_ASSERT(packet_take(g, &in));
	CU_ASSERT_EQUAL(in.len, (message_bytes + 7) & ~7u);
	CU_ASSERT_EQUAL(nvsp_of(&in).u.send_rndis_pkt_complete.status, NVSP_STAT_INVALID_RNDIS_PKT);
	guest_free(g);
}

static void test_versions(void)
{
	check_version(NVSP_PROTOCOL_VERSION_1, 28, 112);
	check_version(NVSP_PROTOCOL_VERSION_2, 28, 112);
	check_version(NVSP_PROTOCOL_VERSION_4, 28, 144);
	check_version(NVSP_PROTOCOL_VERSION_5, 28, 156);
	check_version(NVSP_PROTOCOL_VERSION_6, 28, 156);
	check_version(NVSP_PROTOCOL_VERSION_61, 40, 156);
}

static void test_init_refused(void)
{
	struct guest *g;
	struct nvsp_message message = {.msg_type = NVSP_MSG_TYPE_INIT,
				       .u.init = {NVSP_PROTOCOL_VERSION_1, NVSP_PROTOCOL_VERSION_6}};

	tap_start(0);
	g = guest_new(0, &sw);
	CU_ASSERT_EQUAL(channel_open(g), 0);
	CU_ASSERT_NOT_EQUAL(nvsp_init(g, 0x00070000), NVSP_STAT_SUCCESS);
	CU_ASSERT_NOT_EQUAL(nvsp_init(g, 0x00030001), NVSP_STAT_SUCCESS);
	message = nvsp_call(g, 1, &message);
	CU_ASSERT_NOT_EQUAL(message.u.init_complete.status, NVSP_STAT_SUCCESS);
	/* nothing else is taken before */
	message = (struct nvsp_message){.msg_type = NVSP_MSG1_TYPE_SEND_RECV_BUF};
	message = nvsp_call(g, 2, &message);
	CU_ASSERT_EQUAL(message.msg_type, NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE);
	CU_ASSERT_EQUAL(message.u.send_rndis_pkt_complete.status, NVSP_STAT_FAIL);
	CU_ASSERT_EQUAL(nvsp_init(g, NVSP_PROTOCOL_VERSION_5), NVSP_STAT_SUCCESS);
	guest_free(g);
}

/* INIT_COMPLETE has the old version number only for version 1. */
static void test_init_complete(void)
{
	struct guest *g;
	struct nvsp_message message = {.msg_type = NVSP_MSG_TYPE_INIT,
				       .u.init = {NVSP_PROTOCOL_VERSION_1, NVSP_PROTOCOL_VERSION_1}};

	tap_start(0);
	g = guest_new(0, &sw);
	CU_ASSERT_EQUAL(channel_open(g), 0);
	message = nvsp_call(g, 1, &message);
	CU_ASSERT_EQUAL(message.u.init_complete.status, NVSP_STAT_SUCCESS);
	CU_ASSERT_EQUAL(message.u.init_complete.negotiated_protocol_ver, NVSP_PROTOCOL_VERSION_1);
	message = (struct nvsp_message){
		.msg_type = NVSP_MSG_TYPE_INIT,
		.u.init = {NVSP_PROTOCOL_VERSION_61, NVSP_PROTOCOL_VERSION_61}};
	message = nvsp_call(g, 1, &message);
	CU_ASSERT_EQUAL(message.u.init_complete.negotiated_protocol_ver, 0xFFFFFFFFu);
	CU_ASSERT_EQUAL(message.u.init_complete.max_mdl_chain_len, 34);
	guest_free(g);
}

static void test_buffers_refused(void)
{
	struct guest *g;
	struct nvsp_message message;

	tap_start(0);
	g = guest_new(0, &sw);
	CU_ASSERT_EQUAL(channel_open(g), 0);
	CU_ASSERT_EQUAL(nvsp_init(g, NVSP_PROTOCOL_VERSION_6), NVSP_STAT_SUCCESS);
	CU_ASSERT_EQUAL(nvsp_receive_buffer(g, 77), NVSP_STAT_FAIL);
	CU_ASSERT_EQUAL(nvsp_send_buffer(g, 77), NVSP_STAT_FAIL);
	gpadl_make(g, GPADL_RECEIVE, RECEIVE_AT, 4096); /* two slots: too few */
	CU_ASSERT_EQUAL(nvsp_receive_buffer(g, GPADL_RECEIVE), NVSP_STAT_FAIL);
	CU_ASSERT_EQUAL(nvsp_send_buffer(g, GPADL_RECEIVE), NVSP_STAT_FAIL);
	CU_ASSERT(gpadl_end(g, GPADL_RECEIVE)); /* nobody holds it */
	gpadl_make(g, GPADL_RECEIVE, RECEIVE_AT, RECEIVE_BYTES);
	CU_ASSERT_EQUAL(nvsp_receive_buffer(g, GPADL_RECEIVE), NVSP_STAT_SUCCESS);
	CU_ASSERT_EQUAL(nvsp_receive_buffer(g, GPADL_RECEIVE), NVSP_STAT_FAIL); /* once */
	CU_ASSERT_NOT_EQUAL(nvsp_init(g, NVSP_PROTOCOL_VERSION_6), NVSP_STAT_SUCCESS);
	CU_ASSERT_FALSE(gpadl_end(g, GPADL_RECEIVE)); /* held: the answer waits */
	message = (struct nvsp_message){.msg_type = NVSP_MSG1_TYPE_REVOKE_RECV_BUF,
					.u.revoke_buf = {NETVSC_RECEIVE_BUFFER_ID}};
	nvsp_send(g, 3, false, &message);
	CU_ASSERT_PTR_NOT_NULL(message_take(g, CHANNELMSG_GPADL_TORNDOWN));
	guest_free(g);
}

static void test_revoke(void)
{
	struct guest *g;
	struct nvsp_message message = {.msg_type = NVSP_MSG1_TYPE_REVOKE_RECV_BUF,
				       .u.revoke_buf = {1}};

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	CU_ASSERT_PTR_NOT_NULL(g->port.ops);
	message = nvsp_call(g, 1, &message); /* another id: nothing */
	CU_ASSERT_PTR_NOT_NULL(g->port.ops);
	message = (struct nvsp_message){.msg_type = NVSP_MSG1_TYPE_REVOKE_RECV_BUF,
					.u.revoke_buf = {NETVSC_RECEIVE_BUFFER_ID}};
	message = nvsp_call(g, 1, &message);
	CU_ASSERT_EQUAL(message.u.send_rndis_pkt_complete.status, NVSP_STAT_SUCCESS);
	CU_ASSERT_PTR_NULL(g->port.ops);
	CU_ASSERT(gpadl_end(g, GPADL_RECEIVE));
	message = (struct nvsp_message){.msg_type = NVSP_MSG1_TYPE_REVOKE_SEND_BUF};
	message = nvsp_call(g, 1, &message);
	CU_ASSERT(gpadl_end(g, GPADL_SEND));
	section_send(g, 2, 0, 100);
	CU_ASSERT_EQUAL(completion_take(g, 2), NVSP_STAT_FAIL);
	guest_free(g);
}

static void test_close_and_open(void)
{
	struct guest *g;
	struct packet_in in;

	tap_start(0);
	g = guest_new(0, &sw);
	for (uint32_t i = 0; i < 3; i++) {
		guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
		channel_close(g);
		CU_ASSERT_PTR_NULL(g->port.ops);
		CU_ASSERT(gpadl_end(g, GPADL_RECEIVE));
		CU_ASSERT(gpadl_end(g, GPADL_SEND));
	}
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	CU_ASSERT_FALSE(packet_take(g, &in));
	CU_ASSERT(vmbus_reset(g->vm));
	CU_ASSERT_PTR_NULL(g->port.ops);
	guest_free(g);
}

static void test_out_of_quota(void)
{
	struct host_vm_config config = {.vm = {.memory_bytes = MEMORY_BYTES, .nic_count = 1}};
	struct guest *g = &guests[0];

	tap_start(0);
	memset(g, 0, sizeof(*g));
	CU_ASSERT_FATAL(switch_add_port(&sw, &g->port));
	config.vm.nics[0].port = &g->port;
	g->vm = host_vm_new(&config);
	for (uint32_t i = 0; i < 3; i++) {
		host_fail_alloc_after(g->vm, i);
		CU_ASSERT_FALSE(vmbus_create(g->vm));
		CU_ASSERT(host_vm_check_no_leaks(g->vm));
	}
	host_fail_alloc_never(g->vm);
	host_vm_free(g->vm);
	g->vm = NULL;
	g = guest_new(0, &sw);
	host_fail_alloc_after(g->vm, 0);
	CU_ASSERT_NOT_EQUAL(channel_open(g), 0);
	host_fail_alloc_never(g->vm);
	CU_ASSERT_EQUAL(channel_open(g), 0);
	guest_free(g);
}

/* ------------------------------------------------------------------ sending */

static void test_send_section(void)
{
	struct guest *g;
	uint8_t frame[1514];
	uint8_t *section;
	uint32_t bytes = 0;

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	frame_fill(frame, sizeof(frame), tap_mac, guest_mac);
	section = at(g, SEND_AT + 3 * 6144); /* crosses a page */
	bytes = packet_fill(section, frame, sizeof(frame), UINT32_MAX, 0);
	section_send(g, 1, 3, bytes);
	CU_ASSERT_EQUAL(completion_take(g, 1), NVSP_STAT_SUCCESS);
	CU_ASSERT_EQUAL(tap.count, 1);
	CU_ASSERT_EQUAL(tap.len, sizeof(frame));
	CU_ASSERT_EQUAL(memcmp(tap.bytes, frame, sizeof(frame)), 0);
	/* several in one section */
	bytes = packet_fill(section, frame, 61, UINT32_MAX, 0);
	bytes += packet_fill(section + bytes, frame, 1514, UINT32_MAX, 0);
	bytes += packet_fill(section + bytes, frame, 333, UINT32_MAX, 0);
	section_send(g, 2, 3, bytes);
	CU_ASSERT_EQUAL(completion_take(g, 2), NVSP_STAT_SUCCESS);
	CU_ASSERT_EQUAL(tap.count, 4);
	CU_ASSERT_EQUAL(tap.len, 333);
	/* no completion where none is asked for */
	{
		struct nvsp_message message = rndis_message(NVSP_RMC_DATA, 3, bytes);
		struct packet_in in;

		nvsp_send(g, 3, false, &message);
		CU_ASSERT_EQUAL(tap.count, 7);
		CU_ASSERT_FALSE(packet_take(g, &in));
	}
	guest_free(g);
}

static void test_send_ranges(void)
{
	struct guest *g;
	uint8_t frame[1514];
	struct nvsp_message message;
	uint8_t head[8 + 8 + 8 + 8 + 16] = {0};
	uint32_t bytes;

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_6, 1514, 0);
	frame_fill(frame, sizeof(frame), tap_mac, guest_mac);
	bytes = packet_fill(at(g, DATA_AT + 3000), frame, sizeof(frame), UINT32_MAX, 0);
	rndis_write(g, 1, NVSP_RMC_DATA, DATA_AT + 3000, bytes);
	signal_host(g);
	CU_ASSERT_EQUAL(completion_take(g, 1), NVSP_STAT_SUCCESS);
	CU_ASSERT_EQUAL(tap.count, 1);
	CU_ASSERT_EQUAL(memcmp(tap.bytes, frame, sizeof(frame)), 0);
	/* the header in a section, the rest in a range: as Linux sends */
	bytes = packet_fill(at(g, SEND_AT), frame, sizeof(frame), UINT32_MAX, 0);
	memcpy(at(g, DATA_AT), (uint8_t *)at(g, SEND_AT) + 64, bytes - 64);
	memset((uint8_t *)at(g, SEND_AT) + 64, 0, bytes - 64);
	message = rndis_message(NVSP_RMC_DATA, 0, 64);
	head[4] = 1;
	memcpy(head + 8, &(struct gpa_range){bytes - 64, 0}, 8);
	memcpy(head + 16, &(uint64_t){DATA_AT / 4096}, 8);
	packet_send(g, VM_PKT_DATA_USING_GPA_DIRECT, 2, true, head, 24, &message, sizeof(message));
	CU_ASSERT_EQUAL(completion_take(g, 2), NVSP_STAT_SUCCESS);
	CU_ASSERT_EQUAL(tap.count, 2);
	CU_ASSERT_EQUAL(memcmp(tap.bytes, frame, sizeof(frame)), 0);
	CU_ASSERT_EQUAL(host_page_pin_count(g->vm, DATA_AT), 0);
	/* a frame number outside of memory */
	memcpy(head + 16, &(uint64_t){MEMORY_BYTES / 4096}, 8);
	packet_send(g, VM_PKT_DATA_USING_GPA_DIRECT, 3, true, head, 24, &message, sizeof(message));
	CU_ASSERT_EQUAL(completion_take(g, 3), NVSP_STAT_FAIL);
	guest_free(g);
}

/* The sum of the TCP segment and its pseudo-header: 0xFFFF if the checksum is right. */
static uint32_t tcp_sum(const uint8_t *frame, uint32_t len)
{
	uint32_t sum = 6 + (len - 34);

	for (uint32_t i = 26; i < len; i += 2) {
		sum += (uint32_t)frame[i] << 8 | (i + 1 < len ? frame[i + 1] : 0u);
	}
	sum = (sum >> 16) + (sum & 0xFFFF);
	return (sum >> 16) + (sum & 0xFFFF);
}

static void test_send_offloads(void)
{
	struct guest *g;
	static uint8_t frame[40000];
	uint32_t bytes;

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	/* checksum: the switch fills it for a port that cannot */
	frame_tcp(frame, 201, tap_mac, 201 - 14);
	bytes = packet_fill(at(g, SEND_AT), frame, 201, RNDIS_PPI_TCPIP_CHECKSUM,
			    RNDIS_CHECKSUM_TX_IPV4 | RNDIS_CHECKSUM_TX_TCP | 34u << 16);
	section_send(g, 1, 0, bytes);
	CU_ASSERT_EQUAL(completion_take(g, 1), NVSP_STAT_SUCCESS);
	CU_ASSERT_EQUAL(tap.count, 1);
	CU_ASSERT_FALSE(tap.checksum_blank);
	CU_ASSERT_EQUAL(tcp_sum(tap.bytes, 201), 0xFFFF);
	/* large send, cut */
	frame_tcp(frame, 54 + 4000, tap_mac, 0);
	bytes = packet_fill(at(g, SEND_AT), frame, 54 + 4000, RNDIS_PPI_TCP_LARGESEND,
			    RNDIS_LSO_V2 | 1460 | 34u << 20);
	section_send(g, 2, 0, bytes);
	CU_ASSERT_EQUAL(completion_take(g, 2), NVSP_STAT_SUCCESS);
	CU_ASSERT_EQUAL(tap.count, 4);
	CU_ASSERT_EQUAL(tap.len, 54 + 4000 - 2 * 1460);
	CU_ASSERT_EQUAL(tcp_sum(tap.bytes, tap.len), 0xFFFF);
	CU_ASSERT_EQUAL(tap.bytes[16] << 8 | tap.bytes[17], (int)tap.len - 14);
	/* the same whole, for a port that can */
	switch_set_offloads(&tap.port, SWITCH_CHECKSUM_IPV4 | SWITCH_SEGMENT_IPV4);
	frame_tcp(frame, sizeof(frame), tap_mac, 0);
	bytes = packet_fill(at(g, DATA_AT), frame, sizeof(frame), RNDIS_PPI_TCP_LARGESEND,
			    RNDIS_LSO_V2 | 1460);
	rndis_write(g, 3, NVSP_RMC_DATA, DATA_AT, bytes);
	signal_host(g);
	CU_ASSERT_EQUAL(completion_take(g, 3), NVSP_STAT_SUCCESS);
	CU_ASSERT_EQUAL(tap.count, 5);
	CU_ASSERT_EQUAL(tap.len, sizeof(frame));
	CU_ASSERT_EQUAL(tap.segment_bytes, 1460);
	CU_ASSERT(tap.checksum_blank);
	/* a large send of version 1, and one without a size */
	bytes = packet_fill(at(g, SEND_AT), frame, 2000, RNDIS_PPI_TCP_LARGESEND, 1460);
	section_send(g, 4, 0, bytes);
	CU_ASSERT_EQUAL(completion_take(g, 4), NVSP_STAT_INVALID_RNDIS_PKT);
	bytes = packet_fill(at(g, SEND_AT), frame, 2000, RNDIS_PPI_TCP_LARGESEND, RNDIS_LSO_V2);
	section_send(g, 5, 0, bytes);
	CU_ASSERT_EQUAL(completion_take(g, 5), NVSP_STAT_INVALID_RNDIS_PKT);
	CU_ASSERT_EQUAL(tap.count, 5);
	guest_free(g);
}

static void test_send_tagged(void)
{
	struct guest *g;
	uint8_t frame[100], wanted[104];
	uint32_t bytes;

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, NVSP_2_VSC_CAPABILITY_IEEE8021Q);
	frame_fill(frame, sizeof(frame), tap_mac, guest_mac);
	/* priority 5, VLAN 0x234 */
	bytes = packet_fill(at(g, SEND_AT), frame, sizeof(frame), RNDIS_PPI_IEEE_8021Q,
			    5u | 0x234u << 4);
	section_send(g, 1, 0, bytes);
	CU_ASSERT_EQUAL(completion_take(g, 1), NVSP_STAT_SUCCESS);
	memcpy(wanted, frame, 12);
	memcpy(wanted + 12, (uint8_t[4]){0x81, 0x00, 0xA2, 0x34}, 4);
	memcpy(wanted + 16, frame + 12, 88);
	CU_ASSERT_EQUAL(tap.len, 104);
	CU_ASSERT_EQUAL(memcmp(tap.bytes, wanted, 104), 0);
	guest_free(g);
}

/* A frame in more pieces than the switch takes. */
static void test_send_pieces(void)
{
	struct guest *g;
	uint8_t frame[1000];
	uint8_t head[8 + 60 * 16] = {0};
	uint32_t count = 60, bytes, done = 0;
	struct nvsp_message message = rndis_message(NVSP_RMC_DATA, NVSP_INVALID_SECTION_INDEX, 0);

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	frame_fill(frame, sizeof(frame), tap_mac, guest_mac);
	bytes = packet_fill(at(g, DATA_AT), frame, sizeof(frame), UINT32_MAX, 0);
	memcpy(head + 4, &count, 4);
	for (uint32_t i = 0; i < count; i++) {
		struct gpa_range range = {i + 1 < count ? bytes / count : bytes - done, done};

		memcpy(head + 8 + i * 16, &range, 8);
		memcpy(head + 16 + i * 16, &(uint64_t){DATA_AT / 4096}, 8);
		done += range.byte_count;
	}
	packet_send(g, VM_PKT_DATA_USING_GPA_DIRECT, 1, true, head, sizeof(head), &message,
		    sizeof(message));
	CU_ASSERT_EQUAL(completion_take(g, 1), NVSP_STAT_SUCCESS);
	CU_ASSERT_EQUAL(tap.count, 1);
	CU_ASSERT_EQUAL(tap.len, sizeof(frame));
	CU_ASSERT_EQUAL(memcmp(tap.bytes, frame, sizeof(frame)), 0);
	guest_free(g);
}

/* More than a step may copy: each packet is still done once, in order. */
static void test_send_many(void)
{
	struct guest *g;
	static uint8_t frame[60000];
	uint32_t bytes;

	tap_start(SWITCH_CHECKSUM_IPV4 | SWITCH_SEGMENT_IPV4);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	frame_tcp(frame, sizeof(frame), tap_mac, 0);
	bytes = packet_fill(at(g, DATA_AT), frame, sizeof(frame), RNDIS_PPI_TCP_LARGESEND,
			    RNDIS_LSO_V2 | 1460);
	for (uint32_t i = 0; i < 20; i++) {
		rndis_write(g, i, NVSP_RMC_DATA, DATA_AT, bytes);
	}
	signal_host(g);
	for (uint32_t i = 0; i < 20; i++) {
		CU_ASSERT_EQUAL(completion_take(g, i), NVSP_STAT_SUCCESS);
	}
	CU_ASSERT_EQUAL(tap.count, 20);
	guest_free(g);
}

static void test_send_wrong(void)
{
	struct guest *g;
	uint8_t frame[1514];
	uint8_t *section;
	uint32_t bytes, count;

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	frame_fill(frame, sizeof(frame), tap_mac, guest_mac);
	section = at(g, SEND_AT);
	bytes = packet_fill(section, frame, 100, UINT32_MAX, 0);
	section_send(g, 1, SEND_BYTES / 6144, bytes); /* no such section */
	CU_ASSERT_EQUAL(completion_take(g, 1), NVSP_STAT_FAIL);
	section_send(g, 2, 0, 6145); /* longer than a section */
	CU_ASSERT_EQUAL(completion_take(g, 2), NVSP_STAT_FAIL);
	section_send(g, 3, 0, 0); /* empty */
	CU_ASSERT_EQUAL(completion_take(g, 3), NVSP_STAT_INVALID_RNDIS_PKT);
	section_send(g, 4, 0, bytes - 8); /* the message goes on behind what was sent */
	CU_ASSERT_EQUAL(completion_take(g, 4), NVSP_STAT_INVALID_RNDIS_PKT);
	CU_ASSERT_EQUAL(tap.count, 0);
	section_send(g, 5, 0, bytes + 4); /* padding */
	CU_ASSERT_EQUAL(completion_take(g, 5), NVSP_STAT_SUCCESS);
	CU_ASSERT_EQUAL(tap.count, 1);
	bytes = packet_fill(section, frame, 13, UINT32_MAX, 0); /* shorter than a header */
	section_send(g, 6, 0, bytes);
	CU_ASSERT_EQUAL(completion_take(g, 6), NVSP_STAT_INVALID_RNDIS_PKT);
	rndis_write(g, 7, NVSP_RMC_DATA, DATA_AT, 70000); /* longer than any frame */
	signal_host(g);
	CU_ASSERT_EQUAL(completion_take(g, 7), NVSP_STAT_INVALID_RNDIS_PKT);
	/* nine frames in a section: eight were agreed on */
	for (bytes = 0, count = 0; count < 9; count++) {
		bytes += packet_fill(section + bytes, frame, 64, UINT32_MAX, 0);
	}
	section_send(g, 8, 0, bytes);
	CU_ASSERT_EQUAL(completion_take(g, 8), NVSP_STAT_INVALID_RNDIS_PKT);
	CU_ASSERT_EQUAL(host_count_refused(g->vm, SPEC_RNDIS, 0), 3);
	guest_free(g);
}

/* ------------------------------------------------------------------ receiving */

static void test_receive(void)
{
	struct guest *g;
	uint8_t frame[1514];
	struct packet_in in;
	struct nvsp_message message;
	uint32_t words[15];

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	frame_fill(frame, sizeof(frame), guest_mac, tap_mac);
	for (uint32_t i = 0; i < 5; i++) {
		tap_send(frame, 1514 - i * 300, false);
		CU_ASSERT_FATAL(packet_take(g, &in));
		CU_ASSERT_EQUAL(in.d.type, VM_PKT_DATA_USING_XFER_PAGES);
		CU_ASSERT_EQUAL(in.d.flags, 1);
		CU_ASSERT_EQUAL(in.payload_at, 32);
		CU_ASSERT_EQUAL(in.transfer.xfer_pageset_id, NETVSC_RECEIVE_BUFFER_ID);
		message = nvsp_of(&in);
		CU_ASSERT_EQUAL(message.msg_type, NVSP_MSG1_TYPE_SEND_RNDIS_PKT);
		CU_ASSERT_EQUAL(message.u.send_rndis_pkt.channel_type, NVSP_RMC_DATA);
		CU_ASSERT_EQUAL(message.u.send_rndis_pkt.send_buf_section_index, 0xFFFFFFFFu);
		memcpy(words, slot_at(g, &in), sizeof(words));
		CU_ASSERT_EQUAL(words[0], RNDIS_MSG_PACKET);
		CU_ASSERT_EQUAL(words[1], in.range.byte_count);
		CU_ASSERT_EQUAL(words[3], 1514 - i * 300);
		CU_ASSERT_EQUAL(words[8], 0); /* no info: nothing is known of the checksum */
		CU_ASSERT_EQUAL(memcmp(slot_at(g, &in) + 8 + words[2], frame, 1514 - i * 300), 0);
		slot_return(g, in.d.trans_id);
	}
	CU_ASSERT_FALSE(packet_take(g, &in));
	CU_ASSERT_EQUAL(host_count_refused(g->vm, SPEC_NVSP, 7), 0);
	slot_return(g, in.d.trans_id); /* 0 */
	slot_return(g, g->slot_count); /* not out */
	slot_return(g, g->slot_count + 1);
	CU_ASSERT_EQUAL(host_count_refused(g->vm, SPEC_NVSP, 7), 3);
	tap_send(frame, 1515, false); /* above the MTU */
	CU_ASSERT_FALSE(packet_take(g, &in));
	guest_free(g);
}

static uint32_t receive_checksum_info(struct guest *g, const uint8_t *frame, uint32_t len)
{
	struct packet_in in;
	uint32_t words[15];

	tap_send(frame, len, true);
	CU_ASSERT_FATAL(packet_take(g, &in));
	memcpy(words, slot_at(g, &in), sizeof(words));
	slot_return(g, in.d.trans_id);
	if (words[8] == 0) {
		return 0;
	}
	CU_ASSERT_EQUAL(words[7], 36);
	CU_ASSERT_EQUAL(words[8], 16);
	CU_ASSERT_EQUAL(words[11], 16);
	CU_ASSERT_EQUAL(words[12], RNDIS_PPI_TCPIP_CHECKSUM);
	CU_ASSERT_EQUAL(words[13], 12);
	return words[14];
}

static void test_receive_checksum(void)
{
	struct guest *g;
	uint8_t frame[100];
	uint8_t params[28] = {NDIS_OBJECT_TYPE_DEFAULT, 3, 28, 0, 0, 1, 1, 1, 1};
	struct packet_in in;
	uint32_t words[8];

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	frame_tcp(frame, sizeof(frame), guest_mac, sizeof(frame) - 14);
	memcpy(frame + 6, tap_mac, 6);
	CU_ASSERT_EQUAL(receive_checksum_info(g, frame, 100), RNDIS_CHECKSUM_RX_TCP_SUCCEEDED);
	frame[23] = 17;
	CU_ASSERT_EQUAL(receive_checksum_info(g, frame, 100), RNDIS_CHECKSUM_RX_UDP_SUCCEEDED);
	frame[23] = 1;
	CU_ASSERT_EQUAL(receive_checksum_info(g, frame, 100), 0);
	frame[12] = 0x86;
	frame[13] = 0xDD;
	frame[20] = 6;
	CU_ASSERT_EQUAL(receive_checksum_info(g, frame, 100), RNDIS_CHECKSUM_RX_TCP_SUCCEEDED);
	frame[20] = 17;
	CU_ASSERT_EQUAL(receive_checksum_info(g, frame, 100), RNDIS_CHECKSUM_RX_UDP_SUCCEEDED);
	/* switched off: nothing is said, and the guest is told what is in force */
	CU_ASSERT_EQUAL(rndis_set(g, RNDIS_OID_TCP_OFFLOAD_PARAMETERS, params, sizeof(params)), 0);
	CU_ASSERT(packet_take(g, &in));
	memcpy(words, slot_at(g, &in), sizeof(words));
	CU_ASSERT_EQUAL(words[0], RNDIS_MSG_INDICATE);
	CU_ASSERT_EQUAL(words[1], in.range.byte_count);
	CU_ASSERT_EQUAL(words[2], RNDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG);
	CU_ASSERT_EQUAL(words[3], 156);
	CU_ASSERT_EQUAL(words[4], 12);
	slot_return(g, in.d.trans_id);
	CU_ASSERT_EQUAL(receive_checksum_info(g, frame, 100), 0);
	guest_free(g);
}

static void test_receive_tagged(void)
{
	static const uint64_t capability[] = {NVSP_2_VSC_CAPABILITY_IEEE8021Q, 0};
	uint8_t frame[1518];
	struct packet_in in;
	uint32_t words[15];

	for (uint32_t i = 0; i < 2; i++) {
		struct guest *g;

		tap_start(0);
		g = guest_new(0, &sw);
		guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, capability[i]);
		frame_fill(frame, sizeof(frame), guest_mac, tap_mac);
		memcpy(frame + 12, (uint8_t[4]){0x81, 0x00, 0xA2, 0x34}, 4);
		tap_send(frame, sizeof(frame), false);
		CU_ASSERT_FATAL(packet_take(g, &in));
		memcpy(words, slot_at(g, &in), sizeof(words));
		CU_ASSERT_EQUAL(words[3], i == 0 ? 1514u : 1518u);
		if (i == 0) {
			CU_ASSERT_EQUAL(words[12], RNDIS_PPI_IEEE_8021Q);
			CU_ASSERT_EQUAL(words[14], 5u | 0x234u << 4);
			CU_ASSERT_EQUAL(memcmp(slot_at(g, &in) + 8 + words[2], frame, 12), 0);
			CU_ASSERT_EQUAL(memcmp(slot_at(g, &in) + 20 + words[2], frame + 16, 1502), 0);
		} else {
			CU_ASSERT_EQUAL(memcmp(slot_at(g, &in) + 8 + words[2], frame, 1518), 0);
		}
		guest_free(g);
	}
}

static void test_receive_filter(void)
{
	static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
	static const uint8_t group[6] = {1, 0, 0x5E, 0, 0, 1};
	static const uint8_t other[6] = {2, 0, 0, 0, 0, 77};
	const uint8_t *to[4] = {guest_mac, broadcast, group, other};
	static const struct {
		uint32_t filter;
		uint32_t taken; /* bit i: to[i] */
	} cases[] = {{0, 0}, {1, 1}, {8, 2}, {4, 4}, {2, 4}, {0xD, 7}, {0x20, 15}};
	struct guest *g;
	uint8_t frame[64];
	struct packet_in in;

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
		CU_ASSERT_EQUAL(rndis_set(g, RNDIS_OID_GEN_CURRENT_PACKET_FILTER, &cases[i].filter, 4),
				0);
		for (uint32_t j = 0; j < 4; j++) {
			bool taken;

			frame_fill(frame, sizeof(frame), to[j], tap_mac);
			tap_send(frame, sizeof(frame), false);
			taken = packet_take(g, &in);
			CU_ASSERT_EQUAL(taken, (cases[i].taken >> j & 1) != 0);
			if (taken) {
				slot_return(g, in.d.trans_id);
			}
		}
	}
	guest_free(g);
}

static void test_receive_full(void)
{
	struct guest *g;
	uint8_t frame[64];
	struct packet_in in;
	uint64_t ids[256];
	uint32_t count = 0;

	tap_start(0);
	g = guest_new(0, &sw);
	g->receive_bytes = 0x20000; /* 72 slots: less than the ring has room for */
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	frame_fill(frame, sizeof(frame), guest_mac, tap_mac);
	for (uint32_t i = 0; i < 100; i++) {
		tap_send(frame, sizeof(frame), false);
		while (packet_take(g, &in)) {
			for (uint32_t j = 0; j < count; j++) {
				CU_ASSERT_NOT_EQUAL(ids[j], in.d.trans_id);
			}
			ids[count++] = in.d.trans_id;
		}
	}
	CU_ASSERT_EQUAL(count, g->slot_count - 16); /* control messages have theirs */
	CU_ASSERT_EQUAL(rndis_set(g, RNDIS_OID_GEN_CURRENT_PACKET_FILTER, &(uint32_t){0xD}, 4), 0);
	slot_return(g, ids[17]);
	slot_return(g, ids[17]);
	for (uint32_t i = 0; i < 2; i++) {
		tap_send(frame, sizeof(frame), false);
	}
	CU_ASSERT(packet_take(g, &in));
	CU_ASSERT_EQUAL(in.d.trans_id, ids[17]);
	CU_ASSERT_FALSE(packet_take(g, &in));
	guest_free(g);
}

/* The guest does not read: frames are dropped, completions and replies wait for room. */
static void test_ring_full(void)
{
	struct guest *g;
	uint8_t frame[64];
	uint32_t keepalive[3] = {RNDIS_MSG_KEEPALIVE, 12, 99};
	struct packet_in in;
	uint32_t sent = 0, frames = 0, completions = 0, replies = 0;

	tap_start(0);
	g = guest_new(0, &sw);
	g->receive_bytes = 0xC0000; /* more slots than the ring has room for */
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	frame_fill(frame, sizeof(frame), guest_mac, tap_mac);
	for (uint32_t i = 0; i < 400; i++) {
		tap_send(frame, sizeof(frame), false);
	}
	memcpy(at(g, DATA_AT), keepalive, sizeof(keepalive));
	for (uint32_t i = 0; i < 10; i++, sent++) {
		rndis_write(g, 0x6000 + i, NVSP_RMC_CONTROL, DATA_AT, sizeof(keepalive));
	}
	signal_host(g);
	CU_ASSERT_NOT_EQUAL(*ring_word(g, false, VMBUS_RING_PENDING_SEND_SZ), 0);
	while (packet_take(g, &in)) {
		uint32_t type = 0;

		if (in.d.type == VM_PKT_COMP) {
			CU_ASSERT_EQUAL(in.d.trans_id, 0x6000 + completions);
			completions++;
		} else {
			memcpy(&type, slot_at(g, &in), 4);
			frames += type == RNDIS_MSG_PACKET;
			replies += type == RNDIS_MSG_KEEPALIVE_C;
			slot_return(g, in.d.trans_id); /* signals: more comes */
		}
	}
	CU_ASSERT_EQUAL(completions, sent);
	CU_ASSERT_EQUAL(replies, sent);
	CU_ASSERT(frames > 200);
	CU_ASSERT(frames < 400);
	guest_free(g);
}

/* Replies that the guest never returns use up the slots set apart; then there is none. */
static void test_control_slots(void)
{
	struct guest *g;
	uint32_t keepalive[3] = {RNDIS_MSG_KEEPALIVE, 12, 99};
	struct packet_in in;
	uint32_t replies = 0;
	uint64_t last = 0;

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	memcpy(at(g, DATA_AT), keepalive, sizeof(keepalive));
	for (uint32_t i = 0; i < 20; i++) {
		rndis_write(g, i, NVSP_RMC_CONTROL, DATA_AT, sizeof(keepalive));
		signal_host(g);
		CU_ASSERT_EQUAL(completion_take(g, i), NVSP_STAT_SUCCESS);
		if (packet_take(g, &in)) {
			replies++;
			last = in.d.trans_id;
		}
	}
	CU_ASSERT_EQUAL(replies, 16);
	CU_ASSERT(host_log_has(g->vm, "without a receive slot"));
	slot_return(g, last);
	rndis_write(g, 1, NVSP_RMC_CONTROL, DATA_AT, sizeof(keepalive));
	signal_host(g);
	CU_ASSERT_EQUAL(completion_take(g, 1), NVSP_STAT_SUCCESS);
	CU_ASSERT(packet_take(g, &in));
	guest_free(g);
}

/* ------------------------------------------------------------------ the rest */

static void test_mtu(void)
{
	static const uint32_t given[] = {100, 1514, 9014, 100000};
	static const uint32_t wanted[] = {1514, 1514, 9014, 9216};
	static uint8_t frame[9014];
	struct packet_in in;
	uint32_t words[4];

	for (uint32_t i = 0; i < 4; i++) {
		struct guest *g;

		tap_start(0);
		g = guest_new(0, &sw);
		guest_up(g, NVSP_PROTOCOL_VERSION_61, given[i], 0);
		CU_ASSERT_EQUAL(g->slot_bytes, 256 + wanted[i] + 36);
		nvsp_config(g, 2000, 0); /* too late */
		if (i == 2) {
			frame_fill(frame, sizeof(frame), guest_mac, tap_mac);
			tap_send(frame, sizeof(frame), false);
			CU_ASSERT_FATAL(packet_take(g, &in));
			memcpy(words, slot_at(g, &in), sizeof(words));
			CU_ASSERT_EQUAL(words[3], 9014);
			CU_ASSERT_EQUAL(memcmp(slot_at(g, &in) + 8 + words[2], frame, 9014), 0);
		}
		guest_free(g);
	}
}

static void test_other_messages(void)
{
	struct guest *g;
	struct packet_in in;
	struct nvsp_message message = {.msg_type = NVSP_MSG5_TYPE_SUBCHANNEL,
				       .u.subchannel_request = {NVSP_SUBCHANNEL_ALLOCATE, 7}};

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	message = nvsp_call(g, 1, &message);
	CU_ASSERT_EQUAL(message.msg_type, NVSP_MSG5_TYPE_SUBCHANNEL);
	CU_ASSERT_EQUAL(message.u.subchannel_complete.status, NVSP_STAT_SUCCESS);
	CU_ASSERT_EQUAL(message.u.subchannel_complete.num_subchannels, 0);
	message = (struct nvsp_message){.msg_type = NVSP_MSG5_TYPE_SUBCHANNEL,
					.u.subchannel_request = {2, 7}};
	message = nvsp_call(g, 1, &message);
	CU_ASSERT_EQUAL(message.u.subchannel_complete.status, NVSP_STAT_FAIL);
	message = (struct nvsp_message){.msg_type = NVSP_MSG4_TYPE_SWITCH_DATA_PATH};
	nvsp_send(g, 2, true, &message);
	CU_ASSERT(packet_take(g, &in));
	CU_ASSERT_EQUAL(in.d.type, VM_PKT_COMP);
	CU_ASSERT_EQUAL(in.len, 0);
	message = (struct nvsp_message){.msg_type = 4242};
	message = nvsp_call(g, 3, &message);
	CU_ASSERT_EQUAL(message.u.send_rndis_pkt_complete.status, NVSP_STAT_FAIL);
	message = (struct nvsp_message){.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE};
	message = nvsp_call(g, 4, &message);
	CU_ASSERT_EQUAL(message.u.send_rndis_pkt_complete.status, NVSP_STAT_FAIL);
	packet_send(g, VM_PKT_DATA_INBAND, 5, true, NULL, 0, NULL, 0); /* no payload at all */
	CU_ASSERT_EQUAL(completion_take(g, 5), NVSP_STAT_FAIL);
	CU_ASSERT_EQUAL(host_count_refused(g->vm, SPEC_NVSP, SPEC_UNKNOWN), 2);
	guest_free(g);
}

static void test_halt(void)
{
	struct guest *g;
	uint32_t halt[3] = {RNDIS_MSG_HALT, 12, 5};
	uint8_t frame[64], reply[2048];

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	CU_ASSERT_EQUAL(control_call(g, halt, sizeof(halt), reply), 0);
	CU_ASSERT_PTR_NULL(g->port.ops);
	frame_fill(frame, sizeof(frame), tap_mac, guest_mac);
	section_send(g, 1, 0, packet_fill(at(g, SEND_AT), frame, sizeof(frame), UINT32_MAX, 0));
	CU_ASSERT_EQUAL(completion_take(g, 1), NVSP_STAT_FAIL);
	CU_ASSERT_EQUAL(rndis_initialize(g), 0);
	CU_ASSERT_PTR_NOT_NULL(g->port.ops);
	section_send(g, 2, 0, packet_fill(at(g, SEND_AT), frame, sizeof(frame), UINT32_MAX, 0));
	CU_ASSERT_EQUAL(completion_take(g, 2), NVSP_STAT_SUCCESS);
	CU_ASSERT_EQUAL(tap.count, 1);
	guest_free(g);
}

/* A ring that cannot be: the channel stops, and can be closed and opened again. */
static void test_broken_ring(void)
{
	struct guest *g;
	struct packet_in in;

	tap_start(0);
	g = guest_new(0, &sw);
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	*ring_word(g, true, VMBUS_RING_WRITE_INDEX) = 0xFFFFFFF8u;
	signal_host(g);
	CU_ASSERT_FALSE(packet_take(g, &in));
	channel_close(g);
	CU_ASSERT(gpadl_end(g, GPADL_RECEIVE));
	CU_ASSERT(gpadl_end(g, GPADL_SEND));
	guest_up(g, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	guest_free(g);
}

/* Two guests: a large send of one arrives in pieces at the other, with right checksums. */
static void test_two_guests(void)
{
	struct guest *a, *b;
	static uint8_t frame[54 + 5000];
	struct packet_in in;
	uint32_t words[15], total = 0, bytes;
	static const uint8_t b_mac[6] = {2, 0, 0, 0, 0, 2};

	tap_start(0);
	a = guest_new(0, &sw);
	b = guest_new(1, &sw);
	guest_up(a, NVSP_PROTOCOL_VERSION_61, 1514, 0);
	guest_up(b, NVSP_PROTOCOL_VERSION_5, 1514, 0);
	frame_tcp(frame, sizeof(frame), b_mac, 0);
	bytes = packet_fill(at(a, DATA_AT), frame, sizeof(frame), RNDIS_PPI_TCP_LARGESEND,
			    RNDIS_LSO_V2 | 1460);
	rndis_write(a, 1, NVSP_RMC_DATA, DATA_AT, bytes);
	signal_host(a);
	CU_ASSERT_EQUAL(completion_take(a, 1), NVSP_STAT_SUCCESS);
	CU_ASSERT_FALSE(packet_take(a, &in));
	while (packet_take(b, &in)) {
		const uint8_t *data = slot_at(b, &in);

		memcpy(words, data, sizeof(words));
		data += 8 + words[2];
		CU_ASSERT_EQUAL(words[14], RNDIS_CHECKSUM_RX_TCP_SUCCEEDED);
		CU_ASSERT_EQUAL(tcp_sum(data, words[3]), 0xFFFF);
		CU_ASSERT_EQUAL(memcmp(data + 54, frame + 54 + total, words[3] - 54), 0);
		total += words[3] - 54;
		slot_return(b, in.d.trans_id);
	}
	CU_ASSERT_EQUAL(total, 5000);
	guest_free(a);
	guest_free(b);
}

UNIT_MAIN("netvsp", UNIT_TEST(test_versions), UNIT_TEST(test_init_refused),
	  UNIT_TEST(test_init_complete), UNIT_TEST(test_buffers_refused), UNIT_TEST(test_revoke),
	  UNIT_TEST(test_close_and_open), UNIT_TEST(test_out_of_quota),
	  UNIT_TEST(test_send_section), UNIT_TEST(test_send_ranges), UNIT_TEST(test_send_offloads),
	  UNIT_TEST(test_send_tagged), UNIT_TEST(test_send_pieces), UNIT_TEST(test_send_many),
	  UNIT_TEST(test_send_wrong), UNIT_TEST(test_receive), UNIT_TEST(test_receive_checksum),
	  UNIT_TEST(test_receive_tagged), UNIT_TEST(test_receive_filter),
	  UNIT_TEST(test_receive_full), UNIT_TEST(test_ring_full), UNIT_TEST(test_control_slots),
	  UNIT_TEST(test_mtu), UNIT_TEST(test_other_messages), UNIT_TEST(test_halt),
	  UNIT_TEST(test_broken_ring), UNIT_TEST(test_two_guests))

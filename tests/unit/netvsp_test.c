/*
 * netvsp_test.c - the Hyper-V network device: NVSP, frames sent through a real switch, and what
 * goes wrong.
 */
#include "tests/unit/netvsp_guest.h"

/* ------------------------------------------------------------------ set-up */

static void check_version(uint32_t version, uint32_t message_bytes, uint32_t caps_bytes)
{
	struct guest *g;
	struct packet_in in;
	uint32_t query[7] = {RNDIS_MSG_QUERY, 28, 1, RNDIS_OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, 0, 20, 0};
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
	message = (struct nvsp_message){.msg_type = NVSP_MSG_TYPE_INIT,
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
	struct nvsp_message message = {.msg_type = NVSP_MSG1_TYPE_REVOKE_RECV_BUF, .u.revoke_buf = {1}};

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
	bytes = packet_fill(at(g, SEND_AT), frame, sizeof(frame), RNDIS_PPI_IEEE_8021Q, 5u | 0x234u << 4);
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
	packet_send(g, VM_PKT_DATA_USING_GPA_DIRECT, 1, true, head, sizeof(head), &message, sizeof(message));
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
	CU_ASSERT_EQUAL(host_count_refused(g->vm, SPEC_RNDIS, 0), 2);
	guest_free(g);
}

/* ------------------------------------------------------------------ the rest */

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
	message =
	        (struct nvsp_message){.msg_type = NVSP_MSG5_TYPE_SUBCHANNEL, .u.subchannel_request = {2, 7}};
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

UNIT_MAIN("netvsp", UNIT_TEST(test_versions), UNIT_TEST(test_init_refused), UNIT_TEST(test_init_complete),
          UNIT_TEST(test_buffers_refused), UNIT_TEST(test_revoke), UNIT_TEST(test_close_and_open),
          UNIT_TEST(test_out_of_quota), UNIT_TEST(test_send_section), UNIT_TEST(test_send_ranges),
          UNIT_TEST(test_send_offloads), UNIT_TEST(test_send_tagged), UNIT_TEST(test_send_pieces),
          UNIT_TEST(test_send_many), UNIT_TEST(test_send_wrong), UNIT_TEST(test_other_messages),
          UNIT_TEST(test_halt), UNIT_TEST(test_broken_ring))

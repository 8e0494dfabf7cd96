/*
 * hv_hostile_test.c - the Hyper-V drivers on a host that lies: packets, indexes, frames and messages
 * that are not right, and memory that changes. The drivers fail, and stay within what is theirs.
 */
#include "tests/loopback/hv_rig.h"

#define GUEST0 (&hv_rig.hvs[0])

/* The real operations, but a poll ends with @lie. */
static struct guest_ops lying_ops;
static const struct guest_ops *honest_ops;
static void (*lie)(void);

static void lying_poll(void *context)
{
	honest_ops->poll(context);
	lie();
}

static void lie_with(void (*fn)(void))
{
	honest_ops = hv_rig.loops[0].guest.ops;
	lying_ops = *honest_ops;
	lying_ops.poll = lying_poll;
	lie = fn;
	hv_rig.loops[0].guest.ops = &lying_ops;
}

static void lie_no_more(void)
{
	hv_rig.loops[0].guest.ops = honest_ops;
}

static struct hv_ring_buffer *in_ring(struct hv_channel *channel)
{
	return (struct hv_ring_buffer *)(void *)channel->in.pages[0].bytes;
}

/* A packet as the host would write it; its index is the channel's own, the host has sent none since. */
static void forge(struct hv_channel *channel, const void *packet, uint32_t len)
{
	struct hv_ring host = channel->in;
	const struct hv_part part = {packet, len};
	bool signal;

	host.own = in_ring(channel)->write_index;
	in_ring(channel)->read_index = host.own; /* as if all were read */
	CU_ASSERT_EQUAL(hv_ring_send(&host, &part, 1, &signal), HV_RING_OK);
	channel->event(channel->context);
}

static const struct {
	uint16_t type, offset8, len8;
	uint64_t id;
	bool breaks; /* the channel is not used any more */
} forged[] = {
	{VM_PKT_COMP, 2, 10, 0x123456, true}, /* an answer to nothing */
	{VM_PKT_COMP, 2, 3, 0x1, true},       /* and too short */
	{VM_PKT_DATA_INBAND, 1, 10, 0, true}, /* the payload inside the descriptor */
	{VM_PKT_DATA_INBAND, 11, 10, 0, true},
	{VM_PKT_DATA_INBAND, 2, 600, 0, true}, /* longer than what is there */
	{VM_PKT_DATA_INBAND, 2, 0, 0, true},
	{VM_PKT_DATA_USING_XFER_PAGES, 3, 10, 0, true}, /* not for this device */
	{VM_PKT_DATA_USING_GPA_DIRECT, 3, 10, 0, true},
	{0xFFFF, 2, 10, 0, true},
	{VM_PKT_DATA_INBAND, 2, 10, 0, false}, /* "look at your disks" */
};

static void test_forged_packets(void)
{
	for (uint32_t i = 0; i < ARRAY_COUNT(forged); i++) {
		uint8_t bytes[80] = {0};
		const struct vmpacket_descriptor d = {forged[i].type, forged[i].offset8,
						      forged[i].len8, 0, forged[i].id};

		hv_disk_up(VERSION_WIN10_V5_3);
		memcpy(bytes, &d, sizeof(d));
		forge(&hv_rig.stor.channel, bytes, sizeof(bytes));
		CU_ASSERT_EQUAL(hv_rig.stor.channel.broken, forged[i].breaks);
		CU_ASSERT_EQUAL(hv_rig.stor.rescan_count, forged[i].breaks ? 0 : 1);
		CU_ASSERT_TRUE(hv_storvsc_close(&hv_rig.stor));
		hv_rig_down(0);
	}
}

static void test_forged_indexes(void)
{
	static const uint32_t indexes[] = {4, 0x7001, 7 * PAGE_BYTES, 0xFFFFFFF8, 8};

	for (uint32_t i = 0; i < ARRAY_COUNT(indexes); i++) {
		struct hv_io io = {.buffer.gfns = io.gfns};

		hv_disk_up(VERSION_WIN10_V5_3);
		in_ring(&hv_rig.stor.channel)->write_index = hv_rig.stor.channel.in.own + indexes[i];
		hv_rig.stor.channel.event(&hv_rig.stor);
		CU_ASSERT_TRUE(hv_rig.stor.channel.broken);
		CU_ASSERT_FALSE(hv_io_submit(&io));
		CU_ASSERT_TRUE(hv_storvsc_close(&hv_rig.stor));
		hv_rig_down(0);
	}
}

/* Where the host says it has read the other ring to. */
static void test_forged_read_index(void)
{
	struct hv_ring_buffer *out;
	struct hv_io io = {.busy = false};

	hv_disk_up(VERSION_WIN10_V5_3);
	out = (struct hv_ring_buffer *)(void *)hv_rig.stor.channel.out.pages[0].bytes;
	out->read_index = 12345;
	CU_ASSERT_FALSE(hv_disk_submit(&hv_rig.disk, HV_DISK_FLUSH, 0, NULL, hv_io_done, &io));
	CU_ASSERT_TRUE(hv_rig.stor.channel.broken);
	CU_ASSERT_TRUE(hv_storvsc_close(&hv_rig.stor));
	hv_rig_down(0);
}

/* Ranges of the receive buffer and messages in it that are not right: counted, answered, not taken. */
static void test_forged_frames(void)
{
	static const struct {
		uint32_t bytes, offset;
		uint32_t rndis[11]; /* the beginning of the message */
		uint32_t errors;
	} cases[] = {
		{100, HV_NET_RECEIVE_PAGES * PAGE_BYTES - 99, {0}, 1},
		{100, 0xFFFFFFF0, {0}, 1},
		{1807, 0, {0}, 1}, /* longer than a slot */
		{4, 0, {0}, 1},
		{100, 0, {RNDIS_MSG_PACKET, 101, 36, 10}, 1},
		{100, 0, {RNDIS_MSG_PACKET, 7, 36, 10}, 1},
		{100, 0, {RNDIS_MSG_PACKET, 20, 36, 10}, 1},
		{100, 0, {RNDIS_MSG_PACKET, 100, 36, 57}, 1},
		{100, 0, {RNDIS_MSG_PACKET, 100, 0xFFFFFFF0, 57}, 1},
		{100, 0, {RNDIS_MSG_PACKET, 100, 36, 10, 0, 0, 0, 80, 20}, 1},
		{100, 0, {RNDIS_MSG_PACKET, 100, 36, 10, 0, 0, 0, 36, 20}, 1}, /* an info of size 0 */
		{100, 0, {RNDIS_MSG_QUERY_C, 100, 1}, 1}, /* to no query */
		{16, 0, {RNDIS_MSG_INDICATE, 16, 0}, 1},
		{100, 0, {RNDIS_MSG_INDICATE, 100, RNDIS_STATUS_MEDIA_DISCONNECT}, 0},
		{100, 0, {RNDIS_MSG_PACKET, 100, 36, 56}, 0},
	};
	struct hv_netvsc *net = &hv_rig.ends[0].net;

	for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct {
			struct vmtransfer_page_packet_header head;
			struct vmtransfer_page_range range;
			struct nvsp_message message;
		} PACKED packet = {
			.head = {{VM_PKT_DATA_USING_XFER_PAGES, 4, 9, 1, 5}, NETVSC_RECEIVE_BUFFER_ID,
				 0, 0, 1},
			.range = {cases[i].bytes, cases[i].offset},
			.message.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
		};

		hv_net_up(HV_NET_ANY);
		hv_pages_put(net->receive_pages, 0, cases[i].rndis, sizeof(cases[i].rndis));
		forge(&net->channel, &packet, sizeof(packet));
		CU_ASSERT_EQUAL(net->receive_error_count, cases[i].errors);
		CU_ASSERT_FALSE(net->channel.broken);
		CU_ASSERT_EQUAL(hv_rig.ends[0].count, i == ARRAY_COUNT(cases) - 1);
		net->receive_error_count = 0;
		packet.head.xfer_pageset_id = 1;
		forge(&net->channel, &packet, sizeof(packet));
		CU_ASSERT_TRUE(net->channel.broken);
		net->channel.broken = false;
		packet.head.xfer_pageset_id = NETVSC_RECEIVE_BUFFER_ID;
		packet.head.range_cnt = 2; /* more than there are */
		forge(&net->channel, &packet, sizeof(packet));
		CU_ASSERT_TRUE(net->channel.broken);
		for (uint32_t end = 0; end < 2; end++) {
			(void)hv_netvsc_close(&hv_rig.ends[end].net);
			hv_rig_down(end);
		}
	}
}

static void test_forged_components(void)
{
	static struct hv_ic ic;
	struct {
		struct vmpacket_descriptor d;
		struct vmpipe_proto_header pipe;
		struct icmsg_hdr head;
		struct icmsg_negotiate body;
		uint32_t versions[3];
	} PACKED packet = {
		.d = {VM_PKT_DATA_INBAND, 2, 8, 0, 0},
		.pipe = {VMBUS_PIPE_DATA, 40},
		.head = {.icmsgtype = ICMSGTYPE_NEGOTIATE, .icmsgsize = 20},
		.body = {0xFFFF, 0xFFFF, 0},
	};

	hv_rig_up(0, VERSION_WIN10_V5_3, 0, 0);
	CU_ASSERT_TRUE_FATAL(hv_ic_open(&ic, GUEST0, ICMSGTYPE_SHUTDOWN));
	hv_poll(GUEST0);
	hv_poll(GUEST0);
	forge(&ic.channel, &packet, sizeof(packet)); /* more versions than there are */
	CU_ASSERT_EQUAL(ic.bad_count, 1);
	packet.head.icmsgsize = 0xFFFF;
	forge(&ic.channel, &packet, sizeof(packet));
	packet.head.icmsgsize = 20;
	packet.pipe.data_size = 0xFFFFFFFF;
	forge(&ic.channel, &packet, sizeof(packet));
	packet.pipe.data_size = 40;
	packet.head.icmsgtype = ICMSGTYPE_SHUTDOWN; /* too short for one */
	forge(&ic.channel, &packet, sizeof(packet));
	CU_ASSERT_EQUAL(ic.bad_count, 4);
	CU_ASSERT_FALSE(ic.shutdown_asked);
	(void)hv_ic_close(&ic);
	hv_rig_down(0);
}

static uint8_t forged_message[HV_MESSAGE_PAYLOAD_BYTE_COUNT];
static uint32_t forged_size;

static void message_forge(void)
{
	if (forged_size != 0) {
		hv_bus_message(GUEST0, forged_message, forged_size);
		forged_size = 0;
	}
}

static void forge_message(uint32_t type, uint32_t first, uint32_t size)
{
	memset(forged_message, 0, sizeof(forged_message));
	memcpy(forged_message, &type, 4);
	memcpy(forged_message + 8, &first, 4);
	forged_size = size;
	hv_poll(GUEST0);
}

/* Offers twice, of channel 0, too many; answers to nothing; short and unknown messages. */
static void test_forged_messages(void)
{
	struct vmbus_channel_offer_channel offer = {.header.msgtype = CHANNELMSG_OFFERCHANNEL};
	uint64_t bad;

	hv_media_fill();
	hv_rig_up(0, VERSION_WIN10_V5_3, 1, 0);
	lie_with(message_forge);
	bad = GUEST0->bus.bad_messages;
	forge_message(CHANNELMSG_GPADL_CREATED, 1, 20);
	forge_message(CHANNELMSG_OPENCHANNEL_RESULT, 1, 20);
	forge_message(CHANNELMSG_VERSION_RESPONSE, 1, 16);
	forge_message(CHANNELMSG_GPADL_CREATED, 1, 12);
	forge_message(CHANNELMSG_OPENCHANNEL, 1, 148);
	forge_message(0xFFFFFFFF, 1, 148);
	forge_message(CHANNELMSG_OFFERCHANNEL, 0, 195);
	forge_message(CHANNELMSG_RESCIND_CHANNELOFFER, 77, 12); /* of nobody's: nothing happens */
	forge_message(CHANNELMSG_OFFERCHANNEL, 1, 4);
	CU_ASSERT_EQUAL(GUEST0->bus.bad_messages, bad + 8);
	for (uint32_t relid = 0; relid < 2 * HV_OFFER_MAX; relid++) {
		offer.child_relid = relid;
		memcpy(forged_message, &offer, sizeof(offer));
		forged_size = sizeof(offer);
		hv_poll(GUEST0);
	}
	CU_ASSERT_EQUAL(GUEST0->bus.offer_count, HV_OFFER_MAX);
	lie_no_more();
	GUEST0->bus.bad_messages = 0;
	hv_rig_down(0);
}

/* The host takes the disks away: the driver lets go, and says so. */
static void test_rescind(void)
{
	struct hv_io io = {.busy = false};
	uint32_t relid;

	hv_disk_up(VERSION_WIN10_V5_3);
	relid = hv_rig.stor.channel.relid;
	lie_with(message_forge);
	forge_message(CHANNELMSG_RESCIND_CHANNELOFFER, relid, 12);
	lie_no_more();
	CU_ASSERT_TRUE(hv_rig.stor.channel.rescinded);
	CU_ASSERT_FALSE(hv_disk_submit(&hv_rig.disk, HV_DISK_FLUSH, 0, NULL, hv_io_done, &io));
	CU_ASSERT_TRUE(hv_storvsc_close(&hv_rig.stor));
	CU_ASSERT_PTR_NULL(hv_bus_find(GUEST0, (struct vmbus_guid)VMBUS_CLASS_SCSI, 0));
	hv_rig_down(0);
}

/*
 * A host gone mad: after each poll some bytes of what it may write are others. The drivers may fail
 * at anything; they must come back, within the memory that is theirs.
 */
static uint64_t mad_chance;

static void scramble(uint8_t *bytes, uint32_t len)
{
	if (bytes != NULL && hv_random64() % mad_chance == 0) {
		for (uint32_t i = 1 + (uint32_t)(hv_random64() % 3); i != 0; i--) {
			bytes[hv_random64() % len] = (uint8_t)hv_random64();
		}
	}
}

static void channel_scramble(struct hv_channel *channel)
{
	if (channel->open) {
		scramble(channel->in.pages[0].bytes, 16);
		scramble(channel->out.pages[0].bytes, 16);
		scramble(channel->in.pages[1].bytes, 600);
	}
}

static void go_mad(void)
{
	scramble(GUEST0->messages == NULL ? NULL
					  : GUEST0->messages + HV_SYNIC_VMBUS_SINT * HV_MESSAGE_SIZE,
		 48);
	scramble(GUEST0->events == NULL ? NULL : GUEST0->events + HV_SYNIC_VMBUS_SINT * 256, 2);
	channel_scramble(&hv_rig.stor.channel);
	channel_scramble(&hv_rig.ends[0].net.channel);
	scramble(hv_rig.ends[0].net.receive_pages[0].bytes, 400);
}

/* A host may say no and keep the page: so here no page is used twice. */
static void never_free(void *context, struct guest_page *page)
{
	(void)context;
	page->bytes = NULL;
}

static void test_mad_host(void)
{
	hv_media_fill();
	for (uint32_t round = 0; round < 300; round++) {
		switch_init(&hv_rig.lan, "lan");
		memset(GUEST0, 0, sizeof(*GUEST0));
		memset(&hv_rig.stor, 0, sizeof(hv_rig.stor));
		memset(&hv_rig.ends[0], 0, sizeof(hv_rig.ends[0]));
		hv_rig_new(0, 2, 1);
		hv_rig.loops[0].guest.poll_max = 20;
		mad_chance = 4 + round;
		lie_with(go_mad);
		lying_ops.page_free = never_free;
		hv_life();
		lie_no_more();
		CU_ASSERT_FALSE(host_vm_killed(hv_rig.loops[0].vm));
		loop_hv_reset(&hv_rig.loops[0]);
		hv_rig.loops[0].guest.poll_max = 200;
		memset(&hv_rig.ends[0], 0, sizeof(hv_rig.ends[0]));
		hv_life_again();
		hv_rig_down(0);
	}
}

UNIT_MAIN("hyper-v drivers, hostile host", UNIT_TEST(test_forged_packets),
	  UNIT_TEST(test_forged_indexes), UNIT_TEST(test_forged_read_index),
	  UNIT_TEST(test_forged_frames), UNIT_TEST(test_forged_components),
	  UNIT_TEST(test_forged_messages), UNIT_TEST(test_rescind), UNIT_TEST(test_mad_host))

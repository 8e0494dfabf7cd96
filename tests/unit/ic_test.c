/*
 * ic_test.c - heartbeat, shutdown and time through their channels: negotiation, messages, answers, lost and wrong ones.
 */
#include "tests/unit/unit.h"

#include "tests/unit/vmbus_guest.h"

#define RINGS 0x100000u
#define SECOND_NS 1000000000ull

static struct guest *guest;
static struct guest_channel channel;

static struct {
	struct vmpipe_proto_header pipe;
	struct icmsg_hdr head;
	uint8_t body[2100];
} PACKED message;

static void begin(struct vmbus_guid class_id)
{
	guest = guest_new();
	CU_ASSERT_TRUE(guest_contact(guest, VERSION_WIN10_V5_3, 0));
	guest_get_offers(guest);
	guest_open(guest, &channel, class_id, RINGS, 4);
	(void)host_run(guest->vm);
}

static bool take(void)
{
	struct vmpacket_descriptor d;
	int len = guest_take(guest, &channel, &d, &message, sizeof(message));

	if (len < 0) {
		return false;
	}
	CU_ASSERT_EQUAL(d.type, VM_PKT_DATA_INBAND);
	CU_ASSERT_EQUAL(message.pipe.pkt_type, 1);
	CU_ASSERT_EQUAL(message.pipe.data_size, 20u + message.head.icmsgsize);
	CU_ASSERT_TRUE(message.pipe.data_size + 8 <= (uint32_t)len);
	return true;
}

/* Sends what stands in message back as the answer. */
static void answer(uint32_t status)
{
	message.head.status = status;
	message.head.icflags = ICMSGHDRFLAG_TRANSACTION | ICMSGHDRFLAG_RESPONSE;
	guest_send_inband(guest, &channel, 1, &message, 8 + message.pipe.data_size);
}

static bool offers_version(uint32_t version)
{
	struct icmsg_negotiate negotiate;

	memcpy(&negotiate, message.body, sizeof(negotiate));
	for (uint32_t i = 0; i < negotiate.icmsg_vercnt; i++) {
		if (memcmp(message.body + 8 + (negotiate.icframe_vercnt + i) * 4u, &version, 4) == 0) {
			return true;
		}
	}
	return false;
}

/* As Linux does. */
static void negotiate(uint32_t framework, uint32_t version, uint16_t counts)
{
	struct icmsg_negotiate negotiate = {.icframe_vercnt = counts, .icmsg_vercnt = counts};

	CU_ASSERT_TRUE_FATAL(take());
	CU_ASSERT_EQUAL(message.head.icmsgtype, ICMSGTYPE_NEGOTIATE);
	CU_ASSERT_EQUAL(message.head.icflags, 3);
	CU_ASSERT_FALSE(take()); /* one under way */
	memcpy(message.body, &negotiate, sizeof(negotiate));
	memcpy(message.body + 8, &framework, 4);
	memcpy(message.body + 12, &version, 4);
	message.head.icmsgsize = 0x10;
	answer(0);
}

static void test_heartbeat(void)
{
	struct heartbeat_msg_data beat;

	begin((struct vmbus_guid)VMBUS_CLASS_HEARTBEAT);
	negotiate(IC_VERSION(3, 0), IC_VERSION(3, 0), 1);
	CU_ASSERT_TRUE(take()); /* the first at once */
	CU_ASSERT_EQUAL(message.head.icmsgtype, ICMSGTYPE_HEARTBEAT);
	CU_ASSERT_EQUAL(message.head.icverframe, IC_VERSION(3, 0));
	CU_ASSERT_EQUAL(message.head.icvermsg, IC_VERSION(3, 0));
	memcpy(&beat, message.body, sizeof(beat));
	CU_ASSERT_EQUAL(beat.seq_num, 1);
	CU_ASSERT_EQUAL(guest->lifecycle.heartbeat_count, 0);
	answer(0);
	CU_ASSERT_EQUAL(guest->lifecycle.heartbeat_count, 1);
	CU_ASSERT_FALSE(take());
	for (uint32_t i = 2; i < 6; i++) {
		host_time_advance_ns(guest->vm, 2 * SECOND_NS);
		(void)host_run(guest->vm);
		CU_ASSERT_TRUE(take());
		memcpy(&beat, message.body, sizeof(beat));
		CU_ASSERT_EQUAL(beat.seq_num, i);
		answer(0);
		CU_ASSERT_EQUAL(guest->lifecycle.heartbeat_count, i);
		CU_ASSERT_EQUAL(guest->lifecycle.heartbeat_ns, (i - 1) * 2 * SECOND_NS);
	}
	/* A guest that does not answer is asked once. */
	host_time_advance_ns(guest->vm, 20 * SECOND_NS);
	(void)host_run(guest->vm);
	CU_ASSERT_TRUE(take());
	CU_ASSERT_FALSE(take());
	CU_ASSERT_EQUAL(guest->lifecycle.heartbeat_count, 5);
	guest_close(guest, &channel);
	host_time_advance_ns(guest->vm, 20 * SECOND_NS);
	(void)host_run(guest->vm);
	CU_ASSERT_EQUAL(host_vm_leaks(guest->vm).timers, 0);
	guest_open(guest, &channel, (struct vmbus_guid)VMBUS_CLASS_HEARTBEAT, RINGS, 4);
	(void)host_run(guest->vm);
	negotiate(IC_VERSION(1, 0), IC_VERSION(1, 0), 1);
	CU_ASSERT_TRUE(take());
	CU_ASSERT_TRUE(vmbus_reset(guest->vm));
	CU_ASSERT_EQUAL(host_vm_leaks(guest->vm).timers, 0);
	guest_free(guest);
}

static void test_answers_that_do_not_fit(void)
{
	begin((struct vmbus_guid)VMBUS_CLASS_HEARTBEAT);
	negotiate(IC_VERSION(3, 0), IC_VERSION(3, 0), 1);
	CU_ASSERT_TRUE(take());
	message.head.ictransaction_id++;
	answer(0); /* of another one */
	message.head.ictransaction_id--;
	message.head.icmsgtype = ICMSGTYPE_SHUTDOWN;
	answer(0);
	message.head.icmsgtype = ICMSGTYPE_NEGOTIATE;
	answer(0);
	message.head.icmsgtype = ICMSGTYPE_HEARTBEAT;
	message.pipe.data_size -= 8;
	answer(0); /* short */
	message.pipe.data_size += 8;
	CU_ASSERT_EQUAL(guest->lifecycle.heartbeat_count, 0);
	answer(HV_E_FAIL);
	CU_ASSERT_EQUAL(guest->lifecycle.heartbeat_count, 0);
	answer(0); /* a second answer */
	CU_ASSERT_EQUAL(guest->lifecycle.heartbeat_count, 0);
	host_time_advance_ns(guest->vm, 2 * SECOND_NS);
	(void)host_run(guest->vm);
	CU_ASSERT_TRUE(take());
	answer(0);
	CU_ASSERT_EQUAL(guest->lifecycle.heartbeat_count, 1);
	CU_ASSERT_EQUAL(host_log_count(guest->vm), 0);
	guest_free(guest);
}

static void test_no_version(void)
{
	static const struct {
		uint32_t framework, version;
		uint16_t counts;
	} wrong[] = {{IC_VERSION(3, 0), IC_VERSION(9, 0), 1},
	             {IC_VERSION(2, 0), IC_VERSION(3, 0), 1},
	             {IC_VERSION(3, 0), IC_VERSION(3, 0), 0}};

	for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
		begin((struct vmbus_guid)VMBUS_CLASS_SHUTDOWN);
		negotiate(wrong[i].framework, wrong[i].version, wrong[i].counts);
		CU_ASSERT_TRUE(host_log_has(guest->vm, "none of our versions"));
		CU_ASSERT_FALSE(lifecycle_ask(&guest->lifecycle, LIFECYCLE_POWEROFF));
		host_time_advance_ns(guest->vm, 20 * SECOND_NS);
		(void)host_run(guest->vm);
		CU_ASSERT_FALSE(take());
		guest_free(guest);
	}
}

static void test_broken_pipes(void)
{
	for (uint32_t i = 0; i < 4; i++) {
		begin((struct vmbus_guid)VMBUS_CLASS_HEARTBEAT);
		CU_ASSERT_TRUE(take());
		if (i == 3) {
			uint64_t few = 1;

			guest_send_inband(guest, &channel, 1, &few, sizeof(few));
		} else {
			uint32_t len = 8 + message.pipe.data_size;

			message.pipe.pkt_type = i == 0 ? 2 : 1;
			message.pipe.data_size = i == 1 ? 19 : i == 2 ? len : len - 8;
			guest_send_inband(guest, &channel, 1, &message, len);
		}
		CU_ASSERT_TRUE(host_log_has(guest->vm, "not a message of a component"));
		guest_free(guest);
	}
}

static void test_shutdown(void)
{
	struct shutdown_msg_data data;

	guest = guest_new();
	CU_ASSERT_FALSE(lifecycle_ask(&guest->lifecycle, LIFECYCLE_POWEROFF)); /* no driver yet */
	guest_free(guest);
	begin((struct vmbus_guid)VMBUS_CLASS_SHUTDOWN);
	CU_ASSERT_FALSE(lifecycle_ask(&guest->lifecycle, LIFECYCLE_POWEROFF));
	negotiate(IC_VERSION(3, 0), IC_VERSION(3, 2), 1);
	CU_ASSERT_FALSE(take());
	CU_ASSERT_TRUE(lifecycle_ask(&guest->lifecycle, LIFECYCLE_POWEROFF));
	(void)host_run(guest->vm);
	CU_ASSERT_TRUE(take());
	CU_ASSERT_EQUAL(message.head.icmsgtype, ICMSGTYPE_SHUTDOWN);
	CU_ASSERT_EQUAL(message.head.icmsgsize, 2060);
	memcpy(&data, message.body, sizeof(data));
	CU_ASSERT_EQUAL(data.reason_code, 0x80000000u);
	CU_ASSERT_EQUAL(data.flags, 1);
	/* One at a time: the next is kept. */
	CU_ASSERT_TRUE(lifecycle_ask(&guest->lifecycle, LIFECYCLE_REBOOT));
	(void)host_run(guest->vm);
	CU_ASSERT_FALSE(take());
	answer(0);
	CU_ASSERT_EQUAL(guest->lifecycle.answer_count, 1);
	CU_ASSERT_TRUE(take());
	memcpy(&data, message.body, sizeof(data));
	CU_ASSERT_EQUAL(data.flags, 3);
	answer(HV_E_FAIL);
	CU_ASSERT_EQUAL(guest->lifecycle.answer_count, 1);
	CU_ASSERT_TRUE(host_log_has(guest->vm, "refuses with 0x80004005"));
	/* What was asked of a driver that went is not for the next. */
	CU_ASSERT_TRUE(lifecycle_ask(&guest->lifecycle, LIFECYCLE_REBOOT));
	CU_ASSERT_TRUE(vmbus_reset(guest->vm));
	CU_ASSERT_FALSE(lifecycle_ask(&guest->lifecycle, LIFECYCLE_REBOOT));
	CU_ASSERT_TRUE(guest_contact(guest, VERSION_WIN10_V5_3, 0));
	guest_get_offers(guest);
	guest_open(guest, &channel, (struct vmbus_guid)VMBUS_CLASS_SHUTDOWN, RINGS, 4);
	(void)host_run(guest->vm);
	negotiate(IC_VERSION(3, 0), IC_VERSION(3, 0), 1);
	CU_ASSERT_FALSE(take());
	guest_free(guest);
}

static void test_time(void)
{
	struct ictimesync_ref_data data;
	struct ictimesync_data old;

	begin((struct vmbus_guid)VMBUS_CLASS_TIMESYNC);
	negotiate(IC_VERSION(3, 0), IC_VERSION(4, 0), 1);
	CU_ASSERT_TRUE(take());
	CU_ASSERT_EQUAL(message.head.icmsgtype, ICMSGTYPE_TIMESYNC);
	CU_ASSERT_EQUAL(message.head.icmsgsize, 24);
	memcpy(&data, message.body, sizeof(data));
	CU_ASSERT_EQUAL(data.flags, ICTIMESYNCFLAG_SYNC);
	CU_ASSERT_EQUAL(data.parenttime, 116444736000000000ull + 1600000000ull * 10000000);
	CU_ASSERT_EQUAL(data.vmreferencetime, 0);
	answer(0);
	CU_ASSERT_FALSE(take());
	host_time_advance_ns(guest->vm, 5 * SECOND_NS);
	(void)host_run(guest->vm);
	CU_ASSERT_TRUE(take());
	memcpy(&data, message.body, sizeof(data));
	CU_ASSERT_EQUAL(data.flags, ICTIMESYNCFLAG_SAMPLE);
	CU_ASSERT_EQUAL(data.parenttime, 116444736000000000ull + 1600000005ull * 10000000);
	CU_ASSERT_EQUAL(data.vmreferencetime, 5 * 10000000);
	guest_close(guest, &channel);
	guest_open(guest, &channel, (struct vmbus_guid)VMBUS_CLASS_TIMESYNC, RINGS, 4);
	(void)host_run(guest->vm);
	CU_ASSERT_TRUE(guest_take_event(guest, &channel, 1));
	negotiate(IC_VERSION(1, 0), IC_VERSION(3, 0), 1);
	CU_ASSERT_TRUE(take());
	CU_ASSERT_EQUAL(message.head.icmsgsize, 28);
	memcpy(&old, message.body, sizeof(old));
	CU_ASSERT_EQUAL(old.flags, ICTIMESYNCFLAG_SYNC);
	CU_ASSERT_EQUAL(old.parenttime, 116444736000000000ull + 1600000005ull * 10000000);
	guest_free(guest);
}

static void test_versions_offered(void)
{
	begin((struct vmbus_guid)VMBUS_CLASS_SHUTDOWN);
	CU_ASSERT_TRUE(take());
	CU_ASSERT_TRUE(offers_version(IC_VERSION(1, 0)));
	CU_ASSERT_TRUE(offers_version(IC_VERSION(3, 2)));
	CU_ASSERT_FALSE(offers_version(IC_VERSION(4, 0)));
	guest_free(guest);
}

/* No room for the message: it goes out when the guest has read. */
static void test_full_ring(void)
{
	struct hv_ring_buffer *ring;

	begin((struct vmbus_guid)VMBUS_CLASS_SHUTDOWN);
	negotiate(IC_VERSION(3, 0), IC_VERSION(3, 2), 1);
	ring = guest_ring(guest, channel.in_at);
	/* As if nearly all of the ring were still to be read. */
	ring->read_index = (ring->write_index + 16) % channel.data_bytes;
	CU_ASSERT_TRUE(lifecycle_ask(&guest->lifecycle, LIFECYCLE_POWEROFF));
	(void)host_run(guest->vm);
	CU_ASSERT_FALSE(take());
	CU_ASSERT_NOT_EQUAL(ring->pending_send_sz, 0);
	ring->read_index = ring->write_index;
	guest_signal(guest, &channel);
	(void)host_run(guest->vm);
	CU_ASSERT_TRUE(take());
	CU_ASSERT_EQUAL(message.head.icmsgtype, ICMSGTYPE_SHUTDOWN);
	CU_ASSERT_EQUAL(ring->pending_send_sz, 0);
	ring->read_index = 12; /* corrupt on this side */
	answer(0);
	CU_ASSERT_TRUE(lifecycle_ask(&guest->lifecycle, LIFECYCLE_POWEROFF));
	(void)host_run(guest->vm);
	CU_ASSERT_TRUE(host_log_has(guest->vm, "index that the guest reads at"));
	guest_free(guest);
}

UNIT_MAIN("ic", UNIT_TEST(test_heartbeat), UNIT_TEST(test_answers_that_do_not_fit),
          UNIT_TEST(test_no_version), UNIT_TEST(test_broken_pipes), UNIT_TEST(test_shutdown),
          UNIT_TEST(test_time), UNIT_TEST(test_versions_offered), UNIT_TEST(test_full_ring))

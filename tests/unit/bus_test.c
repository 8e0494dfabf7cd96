/*
 * bus_test.c - the connection: versions, offers, channels opened, closed and moved, unload, a new contact, resets.
 */
#include "tests/unit/unit.h"

#include "tests/unit/vmbus_guest.h"
#include "vmbus/bus_private.h"

#define RINGS 0x100000u

static struct guest *guest;
static const struct vmbus_guid scsi = VMBUS_CLASS_SCSI, heartbeat = VMBUS_CLASS_HEARTBEAT;

static void connect(void)
{
	guest = guest_new();
	CU_ASSERT_TRUE(guest_contact(guest, VERSION_WIN10_V5_3, 0));
	guest_get_offers(guest);
}

static void test_versions(void)
{
	static const uint32_t known[] = {VERSION_WIN10,      VERSION_WIN10_V4_1, VERSION_WIN10_V5,
	                                 VERSION_WIN10_V5_1, VERSION_WIN10_V5_2, VERSION_WIN10_V5_3};
	static const uint32_t unknown[] = {VERSION_WIN8_1, VERSION_WIN8, VERSION_WS2008, 0,
	                                   0x60000,        UINT32_MAX};
	struct vmbus_channel_version_response response;

	guest = guest_new();
	for (size_t i = 0; i < ARRAY_COUNT(unknown); i++) {
		CU_ASSERT_FALSE(guest_contact(guest, unknown[i], 1));
		memcpy(&response, guest->message, sizeof(response));
		CU_ASSERT_EQUAL(response.msg_conn_id, 0);
	}
	for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
		CU_ASSERT_TRUE(guest_contact(guest, known[i], i % 2));
		memcpy(&response, guest->message, sizeof(response));
		CU_ASSERT_EQUAL(response.connection_state, 0);
		CU_ASSERT_EQUAL(response.msg_conn_id, known[i] >= VERSION_WIN10_V5 ? 4 : known[i]);
	}
	guest_free(guest);
}

static void test_wrong_contacts(void)
{
	struct vmbus_channel_initiate_contact contact = {
	        .header.msgtype = CHANNELMSG_INITIATE_CONTACT,
	        .vmbus_version_requested = VERSION_WIN10_V5_3,
	        .msg_sint = 2,
	};

	guest = guest_new();
	for (uint32_t i = 0; i < 4; i++) {
		struct vmbus_channel_initiate_contact wrong = contact;

		wrong.target_vcpu = i == 0 ? 2 : 0;
		wrong.msg_sint = i == 1 ? 3 : 2;
		wrong.msg_vtl = i == 2 ? 1 : 0;
		wrong.monitor_page1 = i == 3 ? 0x1000 : 0;
		guest_post(guest, &wrong, sizeof(wrong));
		CU_ASSERT_EQUAL(guest_receive(guest), CHANNELMSG_VERSION_RESPONSE);
		CU_ASSERT_EQUAL(guest->message_bytes, 16);
		CU_ASSERT_EQUAL(guest->message[8], 0);
	}
	contact.monitor_page1 = contact.monitor_page2 = 0x1000; /* taken, not used */
	guest_post(guest, &contact, sizeof(contact));
	CU_ASSERT_EQUAL(guest_receive(guest), CHANNELMSG_VERSION_RESPONSE);
	CU_ASSERT_EQUAL(guest->message[8], 1);
	guest_post(guest, &contact, 39); /* short: nothing */
	CU_ASSERT_EQUAL(guest_receive(guest), 0);
	guest_free(guest);
}

static void test_posting(void)
{
	uint8_t bytes[240] = {0};
	uint16_t status = 0;
	struct vcpu *vcpu;
	uint32_t count = 0;

	guest = guest_new();
	vcpu = vm_vcpu(guest->vm, 0);
	CU_ASSERT_EQUAL(synic_port_post(vcpu, 1, 2, bytes, 8), HV_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(synic_port_post(vcpu, 1, 1, bytes, 7), HV_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(synic_port_post(vcpu, 5, 1, bytes, 8), HV_STATUS_INVALID_CONNECTION_ID);
	while (status == HV_STATUS_SUCCESS) {
		status = synic_port_post(vcpu, 1, 1, bytes, 240);
		count++;
	}
	CU_ASSERT_EQUAL(status, HV_STATUS_INSUFFICIENT_BUFFERS);
	CU_ASSERT_EQUAL(count, 33);
	(void)host_run(guest->vm);
	CU_ASSERT_EQUAL(synic_port_post(vcpu, 1, 1, bytes, 240), HV_STATUS_SUCCESS);
	(void)host_run(guest->vm);
	CU_ASSERT_EQUAL(host_count_refused(guest->vm, SPEC_VMBUS_MESSAGE, SPEC_UNKNOWN), 33);
	/* Without a connection nothing is understood. */
	guest_post_simple(guest, CHANNELMSG_REQUESTOFFERS);
	CU_ASSERT_EQUAL(guest_receive(guest), 0);
	guest_free(guest);
}

static void test_offers(void)
{
	connect();
	CU_ASSERT_EQUAL(guest->offer_count, 4); /* SCSI, shutdown, heartbeat, time */
	for (uint32_t i = 0; i < guest->offer_count; i++) {
		const struct vmbus_channel_offer_channel *offer = &guest->offers[i];
		bool is_scsi = memcmp(&offer->if_type, &scsi, 16) == 0;

		CU_ASSERT_EQUAL(offer->child_relid, i + 1);
		CU_ASSERT_EQUAL(offer->monitor_allocated, 0);
		CU_ASSERT_EQUAL(offer->is_dedicated_interrupt, 1);
		CU_ASSERT_EQUAL(offer->sub_channel_index, 0);
		CU_ASSERT_EQUAL(offer->chn_flags, is_scsi ? 0 : 0x11);
		CU_ASSERT_EQUAL(offer->u.pipe.pipe_mode, is_scsi ? 0 : 4);
		CU_ASSERT_NOT_EQUAL(offer->connection_id, 0);
	}
	CU_ASSERT_EQUAL(guest->offers[0].if_instance.b[0], 0xA0); /* the guest's uuid */
	CU_ASSERT_EQUAL(guest->offers[0].if_type.b[0], 0xD9);
	guest_post_simple(guest, CHANNELMSG_REQUESTOFFERS); /* once a connection */
	CU_ASSERT_EQUAL(guest_receive(guest), 0);
	CU_ASSERT_TRUE(guest_contact(guest, VERSION_WIN10, 0));
	guest_get_offers(guest);
	CU_ASSERT_EQUAL(guest->offer_count, 4);
	guest_free(guest);
}

/* Offers wait for slots: the guest reads late, other messages are in front. */
static void test_offers_with_a_full_synic(void)
{
	uint32_t number = 1000, type = 0, offers = 0;
	struct vcpu *vcpu;

	guest = guest_new();
	CU_ASSERT_TRUE(guest_contact(guest, VERSION_WIN10_V5_3, 0));
	vcpu = vm_vcpu(guest->vm, 0);
	while (synic_post_message(vcpu, 2, 99, &number, 4) == SYNIC_OK) {
		number++;
	}
	guest_post_simple(guest, CHANNELMSG_REQUESTOFFERS);
	(void)host_run(guest->vm);
	for (uint32_t i = 0; i < 200 && type != CHANNELMSG_ALLOFFERS_DELIVERED; i++) {
		type = guest_receive(guest);
		offers += type == CHANNELMSG_OFFERCHANNEL ? 1 : 0;
	}
	CU_ASSERT_EQUAL(type, CHANNELMSG_ALLOFFERS_DELIVERED);
	CU_ASSERT_EQUAL(offers, 4);
	guest_free(guest);
}

static void test_messages_lost_without_a_synic(void)
{
	connect();
	guest_msr(vm_vcpu(guest->vm, 0), HV_X64_MSR_SCONTROL, 0);
	guest_post_simple(guest, CHANNELMSG_UNLOAD);
	(void)host_run(guest->vm);
	CU_ASSERT_TRUE(host_log_has(guest->vm, "takes no messages"));
	CU_ASSERT_TRUE(guest_contact(guest, VERSION_WIN10_V5_3, 1)); /* the bus goes on */
	guest_free(guest);
}

/* ------------------------------------------------------------------ channels */

static void test_open_and_close(void)
{
	struct guest_channel channel;

	connect();
	guest_open(guest, &channel, scsi, RINGS, 4);
	CU_ASSERT_EQUAL(guest_open_with(guest, 1, channel.gpadl, 4, 0), VMBUS_STATUS_INVALID_DEVICE_STATE);
	/* The rings are held as long as the channel is open. */
	guest_post_teardown(guest, 1, channel.gpadl);
	CU_ASSERT_EQUAL(guest_receive(guest), 0);
	guest_close(guest, &channel);
	CU_ASSERT_EQUAL(guest_receive(guest), CHANNELMSG_GPADL_TORNDOWN);
	CU_ASSERT_EQUAL(host_vm_leaks(guest->vm).pins, 0);
	guest_open(guest, &channel, scsi, RINGS, 2);
	guest_close(guest, &channel);
	guest_close(guest, &channel); /* a second time: refused, no answer */
	guest_open(guest, &channel, scsi, RINGS, 8);
	guest_free(guest); /* open as it is */
}

static void test_wrong_opens(void)
{
	uint32_t gpadl;

	connect();
	gpadl = guest_post_gpadl(guest, 1, RINGS, 8);
	CU_ASSERT_EQUAL(guest_gpadl_status(guest), 0);
	CU_ASSERT_EQUAL(guest_open_with(guest, 0, gpadl, 4, 0), VMBUS_STATUS_DEVICE_DOES_NOT_EXIST);
	CU_ASSERT_EQUAL(guest_open_with(guest, 99, gpadl, 4, 0), VMBUS_STATUS_DEVICE_DOES_NOT_EXIST);
	CU_ASSERT_EQUAL(guest_open_with(guest, 2, gpadl, 4, 0), VMBUS_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(guest_open_with(guest, 1, 1, 4, 0), VMBUS_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(guest_open_with(guest, 1, gpadl, 1, 0), VMBUS_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(guest_open_with(guest, 1, gpadl, 7, 0), VMBUS_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(guest_open_with(guest, 1, gpadl, UINT32_MAX, 0), VMBUS_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(guest_open_with(guest, 1, gpadl, 4, 2), VMBUS_STATUS_INVALID_PARAMETER);
	guest_ring(guest, RINGS)->write_index = 12;
	CU_ASSERT_EQUAL(guest_open_with(guest, 1, gpadl, 4, 0), VMBUS_STATUS_UNSUCCESSFUL);
	guest_ring(guest, RINGS)->write_index = 0;
	CU_ASSERT_EQUAL(guest_open_with(guest, 1, gpadl, 4, VMBUS_VP_NONE), 0);
	guest_free(guest);
}

static void test_modify(void)
{
	struct vmbus_channel_modifychannel modify = {.header.msgtype = CHANNELMSG_MODIFYCHANNEL};
	struct guest_channel channel;

	connect();
	guest_open(guest, &channel, heartbeat, RINGS, 4);
	(void)host_run(guest->vm);
	CU_ASSERT_TRUE(guest_take_event(guest, &channel, 1)); /* the negotiation */
	modify.child_relid = channel.offer.child_relid;
	modify.target_vp = 0;
	guest_post(guest, &modify, sizeof(modify));
	CU_ASSERT_EQUAL(guest_receive(guest), CHANNELMSG_MODIFYCHANNEL_RESPONSE);
	CU_ASSERT_EQUAL(guest->message_bytes, 16);
	CU_ASSERT_EQUAL(guest->message[12], 0);
	CU_ASSERT_TRUE(guest_take_event(guest, &channel, 0));
	CU_ASSERT_FALSE(guest_take_event(guest, &channel, 1));
	modify.target_vp = VMBUS_VP_NONE;
	guest_post(guest, &modify, sizeof(modify));
	CU_ASSERT_EQUAL(guest_receive(guest), CHANNELMSG_MODIFYCHANNEL_RESPONSE);
	CU_ASSERT_NOT_EQUAL(guest->message[12], 0);
	/* Older protocols have no answer, or no such message. */
	CU_ASSERT_TRUE(guest_contact(guest, VERSION_WIN10_V5, 0));
	guest_open(guest, &channel, heartbeat, RINGS, 4);
	modify.target_vp = 0;
	guest_post(guest, &modify, sizeof(modify));
	CU_ASSERT_EQUAL(guest_receive(guest), 0);
	CU_ASSERT_TRUE(guest_contact(guest, VERSION_WIN10, 0));
	guest_post(guest, &modify, sizeof(modify));
	CU_ASSERT_EQUAL(guest_receive(guest), 0);
	guest_free(guest);
}

static void test_not_offered(void)
{
	struct vmbus_channel_tl_connect_request connect_request = {
	        .header.msgtype = CHANNELMSG_TL_CONNECT_REQUEST, .guest_endpoint_id.b = {1, 2, 3}};
	struct vmbus_channel_tl_connect_result result;
	struct vmbus_channel_relid relid = {.header.msgtype = CHANNELMSG_CLOSE_RESERVED_CHANNEL,
	                                    .child_relid = 9};

	connect();
	guest_post(guest, &connect_request, sizeof(connect_request));
	CU_ASSERT_EQUAL(guest_receive(guest), CHANNELMSG_TL_CONNECT_RESULT);
	CU_ASSERT_EQUAL(guest->message_bytes, sizeof(result));
	memcpy(&result, guest->message, sizeof(result));
	CU_ASSERT_EQUAL(result.status, VMBUS_STATUS_CONNECTION_REFUSED);
	CU_ASSERT_EQUAL(result.guest_endpoint_id.b[2], 3);
	guest_post(guest, &relid, sizeof(relid));
	CU_ASSERT_EQUAL(guest_receive(guest), CHANNELMSG_CLOSE_RESERVED_RESPONSE);
	CU_ASSERT_EQUAL(guest->message[8], 9);
	guest_post_simple(guest, CHANNELMSG_RELID_RELEASED);
	guest_post_simple(guest, CHANNELMSG_TL_CONNECT_REQUEST); /* short */
	guest_post_simple(guest, CHANNELMSG_OPENCHANNEL);
	guest_post_simple(guest, CHANNELMSG_CLOSECHANNEL);
	guest_post_simple(guest, CHANNELMSG_MODIFYCHANNEL);
	guest_post_simple(guest, CHANNELMSG_GPADL_TEARDOWN);
	CU_ASSERT_EQUAL(guest_receive(guest), 0);
	CU_ASSERT_EQUAL(host_count_refused(guest->vm, SPEC_VMBUS_MESSAGE, 6), 1);
	guest_free(guest);
}

/* ------------------------------------------------------------------ ends */

static void test_unload(void)
{
	struct guest_channel channel;

	connect();
	guest_open(guest, &channel, scsi, RINGS, 4);
	(void)guest_post_gpadl(guest, 1, 0x200000, 300);
	CU_ASSERT_EQUAL(guest_gpadl_status(guest), 0);
	guest_post_simple(guest, CHANNELMSG_UNLOAD);
	CU_ASSERT_EQUAL(guest_receive(guest), CHANNELMSG_UNLOAD_RESPONSE);
	CU_ASSERT_EQUAL(guest->message_bytes, 8);
	CU_ASSERT_EQUAL(host_vm_leaks(guest->vm).pins, 0);
	guest_post_simple(guest, CHANNELMSG_REQUESTOFFERS);
	CU_ASSERT_EQUAL(guest_receive(guest), 0);
	guest_post_simple(guest, CHANNELMSG_UNLOAD); /* also without a connection */
	CU_ASSERT_EQUAL(guest_receive(guest), CHANNELMSG_UNLOAD_RESPONSE);
	guest_free(guest);
}

/* A kdump kernel finds channels and lists of the one before. */
static void test_new_contact(void)
{
	struct guest_channel channel;

	connect();
	guest_open(guest, &channel, scsi, RINGS, 4);
	CU_ASSERT_TRUE(guest_contact(guest, VERSION_WIN10_V5_2, 1));
	CU_ASSERT_EQUAL(host_vm_leaks(guest->vm).pins, 0);
	CU_ASSERT_TRUE(guest_contact(guest, VERSION_WIN10_V5_3, 0));
	guest_get_offers(guest);
	guest_open(guest, &channel, scsi, RINGS, 4);
	guest_free(guest);
}

/* A disk that holds its requests: nothing is answered before it has let go of the guest's pages. */
static struct block_request *held;

static void hold_submit(void *medium, struct block_request *request)
{
	(void)medium;
	held = request;
}

static void send_read(struct guest_channel *channel)
{
	static const uint32_t steps[] = {7, 9, 10, 8};
	struct vmpacket_descriptor d;
	struct vstor_packet packet;

	for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
		packet = (struct vstor_packet){.operation = steps[i]};
		packet.u.version.major_minor = VMSTOR_PROTO_VERSION_WIN10;
		guest_send_inband(guest, channel, 1, &packet, sizeof(packet));
		CU_ASSERT_EQUAL(guest_take(guest, channel, &d, &packet, sizeof(packet)), 64);
		CU_ASSERT_EQUAL(packet.status, 0);
	}
	packet = (struct vstor_packet){.operation = 3};
	packet.u.vm_srb = (struct vmscsi_request){
	        .length = 52, .cdb_length = 10, .data_transfer_length = 512, .u.cdb = {0x28, [8] = 1}};
	guest_send_gpa(guest, channel, 2, 0x300000, 512, &packet, sizeof(packet));
}

static void test_endings_wait_for_the_disk(void)
{
	static const struct block_medium_ops ops = {.submit = hold_submit};
	struct guest_channel channel;
	struct vmbus_channel_relid close = {.header.msgtype = CHANNELMSG_CLOSECHANNEL};

	connect();
	block_open(&guest->blocks[0], &ops, NULL, 100, false, "slow");
	guest_open(guest, &channel, scsi, RINGS, 4);
	send_read(&channel);
	CU_ASSERT_PTR_NOT_NULL_FATAL(held);
	CU_ASSERT_EQUAL(host_page_pin_count(guest->vm, 0x300000), 1);
	close.child_relid = channel.offer.child_relid;
	guest_post(guest, &close, sizeof(close));
	guest_post_teardown(guest, close.child_relid, channel.gpadl);
	guest_post_simple(guest, CHANNELMSG_UNLOAD);
	CU_ASSERT_EQUAL(guest_receive(guest), 0);
	block_done(held, BLOCK_OK);
	CU_ASSERT_EQUAL(guest_receive(guest), CHANNELMSG_GPADL_TORNDOWN);
	CU_ASSERT_EQUAL(guest_receive(guest), CHANNELMSG_UNLOAD_RESPONSE);
	CU_ASSERT_EQUAL(host_vm_leaks(guest->vm).pins, 0);
	guest_free(guest);
}

static void test_reset(void)
{
	struct guest_channel channel;

	connect();
	guest_open(guest, &channel, scsi, RINGS, 4);
	guest_open(guest, &channel, heartbeat, 0x200000, 4);
	(void)guest_post_gpadl(guest, 1, 0x300000, 1000);
	guest_post_simple(guest, CHANNELMSG_UNLOAD); /* on its way */
	CU_ASSERT_TRUE(vmbus_reset(guest->vm));
	synic_reset(guest->vm);
	CU_ASSERT_EQUAL(host_vm_leaks(guest->vm).pins, 0);
	CU_ASSERT_FALSE(host_work_is_queued(guest->vm));
	guest_synic_up(guest);
	CU_ASSERT_TRUE(guest_contact(guest, VERSION_WIN10_V5_3, 0));
	guest_get_offers(guest);
	guest_open(guest, &channel, heartbeat, 0x200000, 4);
	guest_free(guest);
}

/* A channel that was just being opened. */
static void test_reset_while_opening(void)
{
	const struct vmbus_channel_open_channel open = {.header.msgtype = CHANNELMSG_OPENCHANNEL,
	                                                .child_relid = 1,
	                                                .ringbuffer_gpadlhandle = 0xE1E10,
	                                                .downstream_ringbuffer_pageoffset = 4};

	connect();
	(void)guest_post_gpadl(guest, 1, RINGS, 8);
	CU_ASSERT_EQUAL(guest_gpadl_status(guest), 0);
	guest_post(guest, &open, sizeof(open));
	CU_ASSERT_TRUE(host_run_work_once(guest->vm)); /* the bus's work only */
	CU_ASSERT_TRUE(vmbus_reset(guest->vm));
	CU_ASSERT_EQUAL(host_vm_leaks(guest->vm).pins, 0);
	guest_free(guest);
}

static void test_create_fails(void)
{
	uint64_t tries;

	guest = guest_new_bare();
	CU_ASSERT_TRUE(vmbus_reset(guest->vm)); /* harmless without create */
	vmbus_teardown(guest->vm);
	tries = host_alloc_count(guest->vm);
	CU_ASSERT_TRUE(vmbus_create(guest->vm));
	tries = host_alloc_count(guest->vm) - tries;
	vmbus_teardown(guest->vm);
	CU_ASSERT_TRUE(tries > 8);
	for (uint32_t i = 0; i < tries; i++) {
		host_fail_alloc_after(guest->vm, i);
		CU_ASSERT_FALSE(vmbus_create(guest->vm));
	}
	host_fail_alloc_never(guest->vm);
	CU_ASSERT_TRUE(vmbus_create(guest->vm));
	guest_free(guest);
}

static void test_no_place_for_ports(void)
{
	guest = guest_new_bare();
	CU_ASSERT_TRUE(synic_port_add_event(guest->vm, VMBUS_CONNECTION_ID_BASE + 2, NULL, NULL));
	CU_ASSERT_FALSE(vmbus_create(guest->vm));
	guest_free(guest);
}

/* ------------------------------------------------------------------ corrupt channels */

static void test_corrupt_ring(void)
{
	struct guest_channel channel;

	connect();
	guest_open(guest, &channel, scsi, RINGS, 4);
	guest_ring(guest, channel.out_at)->write_index = 4;
	guest_signal(guest, &channel);
	(void)host_run(guest->vm);
	CU_ASSERT_TRUE(host_log_has(guest->vm, "out of bounds"));
	CU_ASSERT_FALSE(host_vm_killed(guest->vm));
	guest_signal(guest, &channel);
	(void)host_run(guest->vm); /* it stays closed to all that comes */
	guest_close(guest, &channel);
	guest_open(guest, &channel, scsi, RINGS, 4); /* and can be opened again */
	send_read(&channel);
	guest_free(guest);
}

static void test_corrupt_packets(void)
{
	static const uint16_t types[] = {0, 1, 7, 8, 10, 12, 13, 99};
	struct {
		struct vmdata_gpa_direct h;
		struct gpa_range range;
		uint64_t frame;
	} PACKED gpa_packet = {.h = {{9, 5, 5, 1, 1}, 0, 1}, .range = {4096, 0}};
	struct guest_channel channel;
	uint64_t payload[8] = {0};

	connect();
	for (size_t i = 0; i < ARRAY_COUNT(types) + 5; i++) {
		const struct vmpacket_descriptor d = {
		        .type = types[i % ARRAY_COUNT(types)], .offset8 = 2, .len8 = 10};
		size_t n = i - ARRAY_COUNT(types);

		guest_open(guest, &channel, scsi, RINGS, 4);
		if (i < ARRAY_COUNT(types)) {
			guest_send(guest, &channel, &d, 16, payload, 64);
		} else {
			gpa_packet.h.d.offset8 = n == 0 ? 2 : 5; /* the head is cut */
			gpa_packet.h.range_cnt = n == 1 ? 2 : 1; /* a range is missing */
			gpa_packet.range.byte_count = n == 2 ? 0 : n == 3 ? 4097 : 4096;
			gpa_packet.range.byte_offset = n == 4 ? 4096 : 0;
			guest_send(guest, &channel, &gpa_packet, 40, NULL, 0);
		}
		CU_ASSERT_EQUAL(host_log_count(guest->vm), i + 1);
		CU_ASSERT_TRUE(host_log_has(guest->vm, "wrong type or with wrong ranges"));
		guest_close(guest, &channel);
	}
	CU_ASSERT_EQUAL(host_vm_leaks(guest->vm).pins, 8 * (ARRAY_COUNT(types) + 5));
	guest_free(guest);
}

UNIT_MAIN("bus", UNIT_TEST(test_versions), UNIT_TEST(test_wrong_contacts), UNIT_TEST(test_posting),
          UNIT_TEST(test_offers), UNIT_TEST(test_offers_with_a_full_synic),
          UNIT_TEST(test_messages_lost_without_a_synic), UNIT_TEST(test_open_and_close),
          UNIT_TEST(test_wrong_opens), UNIT_TEST(test_modify), UNIT_TEST(test_not_offered),
          UNIT_TEST(test_unload), UNIT_TEST(test_new_contact), UNIT_TEST(test_endings_wait_for_the_disk),
          UNIT_TEST(test_reset), UNIT_TEST(test_reset_while_opening), UNIT_TEST(test_create_fails),
          UNIT_TEST(test_no_place_for_ports), UNIT_TEST(test_corrupt_ring), UNIT_TEST(test_corrupt_packets))

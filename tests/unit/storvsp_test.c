/*
 * storvsp_test.c - the SCSI controller through its rings: initialization, data in place, bounce, FUA, slow disks, a full ring.
 */
#include "tests/unit/unit.h"

#include "tests/unit/vmbus_guest.h"

#define RINGS 0x100000u
#define DATA_AT 0x300000u

static struct guest *guest;
static struct guest_channel channel;
static struct vstor_packet packet;

static void open_channel(uint32_t pages)
{
	guest = guest_new();
	CU_ASSERT_TRUE(guest_contact(guest, VERSION_WIN10_V5_3, 0));
	guest_get_offers(guest);
	guest_open(guest, &channel, (struct vmbus_guid)VMBUS_CLASS_SCSI, RINGS, pages);
}

/* Takes the reply to @id into packet. */
static bool take_reply(uint64_t id)
{
	struct vmpacket_descriptor d;
	int len = guest_take(guest, &channel, &d, &packet, sizeof(packet));

	if (len < 0) {
		return false;
	}
	CU_ASSERT_EQUAL(len, 64);
	CU_ASSERT_EQUAL(d.type, VM_PKT_COMP);
	CU_ASSERT_EQUAL(d.trans_id, id);
	CU_ASSERT_EQUAL(packet.operation, VSTOR_OPERATION_COMPLETE_IO);
	return true;
}

/* Its status. */
static uint32_t operation(uint32_t number, uint16_t version)
{
	packet = (struct vstor_packet){.operation = number, .flags = 1};
	packet.u.version.major_minor = version;
	guest_send_inband(guest, &channel, UINT64_MAX - 2, &packet, sizeof(packet));
	CU_ASSERT_TRUE_FATAL(take_reply(UINT64_MAX - 2));
	return packet.status;
}

static void initialize(void)
{
	CU_ASSERT_EQUAL(operation(7, 0), 0);
	CU_ASSERT_EQUAL(operation(9, 0x602), 0);
	CU_ASSERT_EQUAL(operation(10, 0), 0);
	CU_ASSERT_EQUAL(packet.u.storage_channel_properties.max_transfer_bytes, 65536);
	CU_ASSERT_EQUAL(packet.u.storage_channel_properties.max_channel_cnt, 0);
	CU_ASSERT_EQUAL(packet.u.storage_channel_properties.flags, 0);
	CU_ASSERT_EQUAL(operation(8, 0), 0);
}

static void begin(void)
{
	open_channel(8);
	initialize();
}

static void fill_srb(uint8_t lun, uint8_t opcode, uint32_t sector, uint16_t count, uint32_t bytes)
{
	packet = (struct vstor_packet){.operation = 3, .flags = 1};
	packet.u.vm_srb = (struct vmscsi_request){
	        .length = 52,
	        .lun = lun,
	        .cdb_length = 10,
	        .sense_info_length = 20,
	        .data_transfer_length = bytes,
	        .u.cdb = {opcode, 0, (uint8_t)(sector >> 24), (uint8_t)(sector >> 16), (uint8_t)(sector >> 8),
	                  (uint8_t)sector, 0, (uint8_t)(count >> 8), (uint8_t)count},
	};
}

/* A command with its data at @at. */
static void send_io(uint64_t id, uint8_t lun, uint8_t opcode, uint32_t sector, uint16_t count, uint64_t at)
{
	fill_srb(lun, opcode, sector, count, count * 512u);
	guest_send_gpa(guest, &channel, id, at, count * 512u, &packet, sizeof(packet));
}

static void check_io(uint64_t id, uint32_t bytes)
{
	CU_ASSERT_TRUE_FATAL(take_reply(id));
	CU_ASSERT_EQUAL(packet.status, 0);
	CU_ASSERT_EQUAL(packet.u.vm_srb.srb_status, 1);
	CU_ASSERT_EQUAL(packet.u.vm_srb.scsi_status, 0);
	CU_ASSERT_EQUAL(packet.u.vm_srb.data_transfer_length, bytes);
}

static void test_initialization(void)
{
	open_channel(4);
	CU_ASSERT_EQUAL(operation(9, 0x602), VMBUS_STATUS_INVALID_DEVICE_STATE);
	CU_ASSERT_EQUAL(operation(8, 0), VMBUS_STATUS_INVALID_DEVICE_STATE);
	CU_ASSERT_EQUAL(operation(3, 0), VMBUS_STATUS_INVALID_DEVICE_STATE);
	CU_ASSERT_EQUAL(operation(5, 0), VMBUS_STATUS_INVALID_DEVICE_STATE);
	CU_ASSERT_EQUAL(operation(7, 0), 0);
	CU_ASSERT_EQUAL(operation(7, 0), VMBUS_STATUS_INVALID_DEVICE_STATE);
	CU_ASSERT_EQUAL(operation(9, 0x700), VMBUS_STATUS_REVISION_MISMATCH);
	CU_ASSERT_EQUAL(operation(9, 0x402), VMBUS_STATUS_REVISION_MISMATCH);
	CU_ASSERT_EQUAL(operation(9, 0x501), 0);
	CU_ASSERT_EQUAL(operation(10, 0), 0);
	CU_ASSERT_EQUAL(operation(12, 0), VMBUS_STATUS_INVALID_DEVICE_REQUEST);
	CU_ASSERT_EQUAL(operation(8, 0), 0);
	CU_ASSERT_EQUAL(operation(13, 0), VMBUS_STATUS_INVALID_DEVICE_REQUEST);
	CU_ASSERT_EQUAL(operation(99, 0), VMBUS_STATUS_INVALID_DEVICE_REQUEST);
	CU_ASSERT_EQUAL(operation(4, 0), 0);
	CU_ASSERT_EQUAL(operation(5, 0), 0);
	CU_ASSERT_EQUAL(operation(6, 0), 0);
	CU_ASSERT_EQUAL(host_count_used(guest->vm, SPEC_STORVSP, 6), 4);
	CU_ASSERT_EQUAL(host_count_refused(guest->vm, SPEC_STORVSP, SPEC_UNKNOWN), 1);
	guest_close(guest, &channel);
	guest_open(guest, &channel, (struct vmbus_guid)VMBUS_CLASS_SCSI, RINGS, 4);
	CU_ASSERT_EQUAL(operation(3, 0), VMBUS_STATUS_INVALID_DEVICE_STATE); /* from the start */
	initialize();
	guest_free(guest);
}

/* Before the version is agreed on, a reply is as long as its request. */
static void test_short_packets(void)
{
	struct vmpacket_descriptor d;
	uint8_t bytes[64] = {7, [4] = 1};

	open_channel(4);
	guest_send_inband(guest, &channel, 5, bytes, 48);
	CU_ASSERT_EQUAL(guest_take(guest, &channel, &d, bytes, sizeof(bytes)), 48);
	guest_send_inband(guest, &channel, 5, bytes, 40);
	CU_ASSERT_TRUE(host_log_has(guest->vm, "not a storage packet"));
	guest_free(guest);
}

static void test_read_and_write(void)
{
	uint8_t *data;

	begin();
	data = host_vm_bytes(guest->vm, DATA_AT, 65536);
	for (uint32_t i = 0; i < GUEST_DISK_BYTES; i++) {
		guest->disk[0][i] = (uint8_t)(i / 512 + i);
	}
	CU_ASSERT_TRUE(guest_take_event(guest, &channel, 1));
	send_io(10, 0, 0x28, 3, 128, DATA_AT);
	check_io(10, 65536);
	CU_ASSERT_TRUE(guest_take_event(guest, &channel, 1));
	CU_ASSERT_EQUAL(memcmp(data, guest->disk[0] + 3 * 512, 65536), 0);
	memset(data, 0x5A, 65536);
	send_io(11, 0, 0x2A, 100, 128, DATA_AT);
	check_io(11, 65536);
	CU_ASSERT_EQUAL(memcmp(data, guest->disk[0] + 100 * 512, 65536), 0);
	CU_ASSERT_EQUAL(guest->disk[0][228 * 512], (uint8_t)228);
	/* From the middle of a page, whole sectors. */
	send_io(12, 0, 0x28, 228, 127, DATA_AT + 512);
	check_io(12, 127 * 512);
	CU_ASSERT_EQUAL(memcmp(data + 512, guest->disk[0] + 228 * 512, 127 * 512), 0);
	CU_ASSERT_EQUAL(host_vm_leaks(guest->vm).pins, 16); /* the rings' */
	CU_ASSERT_EQUAL(guest->blocks[0].read_count, 2);
	guest_free(guest);
}

/* At any offset: by the bounce buffer. */
static void test_unaligned(void)
{
	uint8_t *data;

	begin();
	data = host_vm_bytes(guest->vm, DATA_AT, 0x20000);
	for (uint32_t i = 0; i < 65536; i++) {
		guest->disk[0][i] = (uint8_t)(i * 7 + i / 256);
	}
	send_io(1, 0, 0x28, 0, 128, DATA_AT + 4);
	check_io(1, 65536);
	CU_ASSERT_EQUAL(memcmp(data + 4, guest->disk[0], 65536), 0);
	CU_ASSERT_EQUAL(data[3], 0);
	CU_ASSERT_EQUAL(data[4 + 65536], 0);
	send_io(2, 0, 0x2A, 256, 128, DATA_AT + 4);
	check_io(2, 65536);
	CU_ASSERT_EQUAL(memcmp(guest->disk[0] + 256 * 512, guest->disk[0], 65536), 0);
	send_io(3, 0, 0x2A, 1000, 3, DATA_AT + 4093);
	check_io(3, 3 * 512);
	CU_ASSERT_EQUAL(memcmp(guest->disk[0] + 1000 * 512, data + 4093, 3 * 512), 0);
	guest_free(guest);
}

static void test_errors(void)
{
	begin();
	send_io(1, 1, 0x2A, 0, 1, DATA_AT); /* read-only */
	CU_ASSERT_TRUE(take_reply(1));
	CU_ASSERT_EQUAL(packet.status, 0);
	CU_ASSERT_EQUAL(packet.u.vm_srb.srb_status, 0x84);
	CU_ASSERT_EQUAL(packet.u.vm_srb.scsi_status, 2);
	CU_ASSERT_EQUAL(packet.u.vm_srb.data_transfer_length, 0);
	CU_ASSERT_EQUAL(packet.u.vm_srb.sense_info_length, 18);
	CU_ASSERT_EQUAL(packet.u.vm_srb.u.sense_data[2], 7);
	CU_ASSERT_EQUAL(packet.u.vm_srb.u.sense_data[12], 0x27);
	send_io(2, 0, 0x28, 0, 1, GUEST_MEMORY + 0x100000); /* not RAM */
	CU_ASSERT_TRUE(take_reply(2));
	CU_ASSERT_EQUAL(packet.u.vm_srb.srb_status, SRB_STATUS_INVALID_REQUEST);
	fill_srb(0, 0x28, 0, 1, 512);
	guest_send_gpa(guest, &channel, 3, DATA_AT, 40 * 4096, &packet, 64); /* too many pages */
	CU_ASSERT_TRUE(take_reply(3));
	CU_ASSERT_EQUAL(packet.u.vm_srb.srb_status, SRB_STATUS_INVALID_REQUEST);
	fill_srb(0, 0x28, 0, 1, 512);
	guest_send_inband(guest, &channel, 4, &packet, 64); /* no buffer at all */
	CU_ASSERT_TRUE(take_reply(4));
	CU_ASSERT_EQUAL(packet.u.vm_srb.srb_status, 0x84);
	fill_srb(0, 0x28, 0, 1, 512);
	guest_send_inband(guest, &channel, 5, &packet, 48);
	CU_ASSERT_TRUE(take_reply(5));
	CU_ASSERT_EQUAL(packet.status, VMBUS_STATUS_INVALID_PARAMETER);
	fill_srb(0, 0, 0, 0, 0);
	packet.u.vm_srb.target_id = 1; /* TEST UNIT READY of an absent one */
	packet.u.vm_srb.sense_info_length = 4;
	guest_send_inband(guest, &channel, 6, &packet, 64);
	CU_ASSERT_TRUE(take_reply(6));
	CU_ASSERT_EQUAL(packet.u.vm_srb.srb_status, 0xA0);
	CU_ASSERT_EQUAL(packet.u.vm_srb.sense_info_length, 4);
	guest_free(guest);
}

static void test_small_answers(void)
{
	uint8_t *data;

	begin();
	data = host_vm_bytes(guest->vm, DATA_AT, 8192);
	fill_srb(0, 0x12, 0, 0, 36);
	packet.u.vm_srb.cdb_length = 6;
	packet.u.vm_srb.u.cdb[4] = 36;
	guest_send_gpa(guest, &channel, 1, DATA_AT + 4080, 36, &packet, 64); /* over two pages */
	check_io(1, 36);
	CU_ASSERT_EQUAL(memcmp(data + 4080 + 8, "Msft    ", 8), 0);
	CU_ASSERT_EQUAL(memcmp(data + 4080 + 32, "1.0 ", 4), 0);
	CU_ASSERT_EQUAL(data[4080 + 36], 0);
	CU_ASSERT_EQUAL(host_count_used(guest->vm, SPEC_SCSI, 5), 1);
	guest_free(guest);
}

/* ------------------------------------------------------------------ slow disks */

#define HELD_MAX 256u

static struct block_request *held[HELD_MAX];
static uint32_t held_count;

static void hold_submit(void *medium, struct block_request *request)
{
	(void)medium;
	held[held_count++] = request;
}

static void slow_disk(void)
{
	static const struct block_medium_ops ops = {.submit = hold_submit};

	held_count = 0;
	block_open(&guest->blocks[0], &ops, NULL, 100000, false, "slow");
}

static void test_fua_flushes(void)
{
	begin();
	slow_disk();
	fill_srb(0, 0x2A, 0, 1, 512);
	packet.u.vm_srb.u.cdb[1] = 8;
	guest_send_gpa(guest, &channel, 1, DATA_AT, 512, &packet, 64);
	CU_ASSERT_EQUAL_FATAL(held_count, 1);
	CU_ASSERT_EQUAL(held[0]->operation, BLOCK_WRITE);
	block_done(held[0], BLOCK_OK);
	(void)host_run(guest->vm);
	CU_ASSERT_FALSE(take_reply(1));
	CU_ASSERT_EQUAL_FATAL(held_count, 2);
	CU_ASSERT_EQUAL(held[1]->operation, BLOCK_FLUSH);
	CU_ASSERT_EQUAL(held[1]->segment_count, 0);
	block_done(held[1], BLOCK_OK);
	(void)host_run(guest->vm);
	check_io(1, 512);
	fill_srb(0, 0x35, 0, 0, 0); /* SYNCHRONIZE CACHE */
	guest_send_inband(guest, &channel, 2, &packet, 64);
	CU_ASSERT_EQUAL_FATAL(held_count, 3);
	CU_ASSERT_EQUAL(held[2]->operation, BLOCK_FLUSH);
	block_done(held[2], BLOCK_EIO);
	(void)host_run(guest->vm);
	CU_ASSERT_TRUE(take_reply(2));
	CU_ASSERT_EQUAL(packet.u.vm_srb.srb_status, 0x84);
	CU_ASSERT_EQUAL(packet.u.vm_srb.u.sense_data[2], 3);
	guest_free(guest);
}

/* More than the pool has, ended out of order. */
static void test_many_at_once(void)
{
	uint32_t done = 0;
	bool seen[100] = {false};

	open_channel(9);
	initialize();
	slow_disk();
	for (uint32_t i = 0; i < 100; i++) {
		send_io(1000 + i, 0, 0x28, i, 1, DATA_AT + i * 512);
	}
	CU_ASSERT_EQUAL(held_count, 64);
	while (done < 100) {
		struct vmpacket_descriptor d;
		uint32_t last = held_count - 1;

		CU_ASSERT_TRUE_FATAL(held_count != 0);
		held_count--;
		block_done(held[last], BLOCK_OK);
		(void)host_run(guest->vm);
		while (guest_take(guest, &channel, &d, &packet, sizeof(packet)) == 64) {
			CU_ASSERT_FALSE(seen[d.trans_id - 1000]);
			seen[d.trans_id - 1000] = true;
			done++;
		}
	}
	CU_ASSERT_EQUAL(held_count, 0);
	guest_free(guest);
}

/* The bounce buffer is one: the second waits, those behind it too. */
static void test_bounce_is_shared(void)
{
	begin();
	slow_disk();
	send_io(1, 0, 0x28, 0, 1, DATA_AT + 4092);
	send_io(2, 0, 0x28, 1, 16, DATA_AT + 0x1004);
	send_io(3, 0, 0x28, 2, 1, DATA_AT + 0x8000);
	CU_ASSERT_EQUAL(held_count, 1);
	memset(held[0]->segments[0].bytes, 0x77, 512);
	block_done(held[0], BLOCK_OK);
	(void)host_run(guest->vm);
	check_io(1, 512);
	CU_ASSERT_EQUAL(*(uint8_t *)host_vm_bytes(guest->vm, DATA_AT + 4092 + 511, 1), 0x77);
	CU_ASSERT_EQUAL(held_count, 3);
	CU_ASSERT_EQUAL(held[1]->segment_count, 2);
	block_done(held[2], BLOCK_OK);
	block_done(held[1], BLOCK_EIO);
	(void)host_run(guest->vm);
	check_io(3, 512);
	CU_ASSERT_TRUE(take_reply(2));
	CU_ASSERT_EQUAL(packet.u.vm_srb.u.sense_data[12], SCSI_ASC_UNRECOVERED_READ_ERROR);
	guest_free(guest);
}

/* The guest reads nothing: replies stay, requests stay in its ring, and all goes on when it reads. */
static void test_full_ring(void)
{
	uint32_t done = 0, sent = 0;
	struct vmpacket_descriptor d;

	open_channel(3); /* 8 KiB each: 93 replies, 51 reads */
	initialize();
	for (uint32_t round = 0; round < 4; round++) {
		for (uint32_t i = 0; i < 40; i++) {
			send_io(5000 + sent++, 0, 0x28, i, 1, DATA_AT);
		}
	}
	CU_ASSERT_NOT_EQUAL(guest_ring(guest, channel.in_at)->pending_send_sz, 0);
	while (guest_take(guest, &channel, &d, &packet, sizeof(packet)) == 64) {
		CU_ASSERT_EQUAL(d.trans_id, 5000 + done);
		done++;
		guest_signal(guest, &channel);
		(void)host_run(guest->vm);
	}
	CU_ASSERT_EQUAL(done, sent);
	CU_ASSERT_EQUAL(guest_ring(guest, channel.in_at)->pending_send_sz, 0);
	guest_free(guest);
}

/* Closed with everything in it: at the disk, held, bounced, unsent. */
static void test_close_in_the_middle(void)
{
	begin();
	slow_disk();
	send_io(1, 0, 0x28, 0, 1, DATA_AT);
	send_io(2, 0, 0x28, 0, 1, DATA_AT + 4092);
	send_io(3, 0, 0x28, 0, 1, DATA_AT + 4094);
	CU_ASSERT_EQUAL(held_count, 2);
	guest_close(guest, &channel);
	block_done(held[0], BLOCK_OK);
	block_done(held[1], BLOCK_OK);
	(void)host_run(guest->vm);
	CU_ASSERT_FALSE(take_reply(1));
	guest_open(guest, &channel, (struct vmbus_guid)VMBUS_CLASS_SCSI, RINGS, 4);
	initialize();
	for (uint32_t i = 0; i < 70; i++) { /* no request was lost */
		held_count = 0;
		send_io(10 + i, 0, 0x28, 0, 1, DATA_AT + 4092);
		CU_ASSERT_EQUAL_FATAL(held_count, 1);
		block_done(held[0], BLOCK_OK);
		(void)host_run(guest->vm);
		check_io(10 + i, 512);
	}
	guest_free(guest);
}

/* No step copies more than 64 KiB, so the steps are as many as that takes. */
static void test_steps_are_bounded(void)
{
	uint64_t before, steps = 0;

	open_channel(8);
	initialize();
	before = guest->blocks[0].read_count;
	host_vcpu_set_lapic(vm_vcpu(guest->vm, 0), true);
	for (uint32_t i = 0; i < 8; i++) { /* all before the host works */
		struct {
			struct vmdata_gpa_direct h;
			struct gpa_range range;
			uint64_t frames[16];
		} PACKED head = {.h = {{9, 20, 28, 1, 1 + i}, 0, 1}, .range = {65536, 0}};
		uint64_t trailer = 0;

		for (uint32_t k = 0; k < 16; k++) {
			head.frames[k] = DATA_AT / 4096 + k;
		}
		fill_srb(0, 0x28, 0, 128, 65536);
		guest_ring_put(guest, &channel, &head, sizeof(head));
		guest_ring_put(guest, &channel, &packet, 64);
		guest_ring_put(guest, &channel, &trailer, 8);
	}
	guest_ring(guest, channel.out_at)->write_index = channel.write;
	guest_signal(guest, &channel);
	while (host_run_work_once(guest->vm)) {
		CU_ASSERT_TRUE(guest->blocks[0].read_count - before <= 1);
		before = guest->blocks[0].read_count;
		steps++;
	}
	CU_ASSERT_TRUE(steps >= 8);
	for (uint32_t i = 0; i < 8; i++) {
		check_io(1 + i, 65536);
	}
	guest_free(guest);
}

/* All that is in a packet is fetched once. */
static void test_fetched_once(void)
{
	begin();
	host_fetch_watch(guest->vm, RINGS + PAGE_BYTES, 7 * PAGE_BYTES);
	send_io(1, 0, 0x28, 0, 128, DATA_AT);
	CU_ASSERT_EQUAL(host_fetch_max(), 1);
	host_fetch_unwatch();
	check_io(1, 65536);
	guest_free(guest);
}

static void test_no_reply_unless_asked(void)
{
	const struct vmpacket_descriptor d = {
	        .type = VM_PKT_DATA_INBAND, .offset8 = 2, .len8 = 10, .trans_id = 1};

	begin();
	fill_srb(0, 0x00, 0, 0, 0);
	guest_send(guest, &channel, &d, sizeof(d), &packet, 64);
	CU_ASSERT_FALSE(take_reply(1));
	guest_send_inband(guest, &channel, 2, &packet, 64);
	CU_ASSERT_TRUE(take_reply(2));
	guest_free(guest);
}

UNIT_MAIN("storvsp", UNIT_TEST(test_initialization), UNIT_TEST(test_short_packets),
          UNIT_TEST(test_read_and_write), UNIT_TEST(test_unaligned), UNIT_TEST(test_errors),
          UNIT_TEST(test_small_answers), UNIT_TEST(test_fua_flushes), UNIT_TEST(test_many_at_once),
          UNIT_TEST(test_bounce_is_shared), UNIT_TEST(test_full_ring), UNIT_TEST(test_close_in_the_middle),
          UNIT_TEST(test_steps_are_bounded), UNIT_TEST(test_fetched_once),
          UNIT_TEST(test_no_reply_unless_asked))

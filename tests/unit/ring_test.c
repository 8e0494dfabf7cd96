/*
 * ring_test.c - the rings: wrap, full, signals, masks, pending send size, and indexes that a guest has spoiled.
 */
#include <string.h>

#include "tests/host/host.h"
#include "tests/unit/unit.h"
#include "vm/page.h"
#include "vmbus/ring.h"

#define PAGES 3u
#define DATA (2u * PAGE_BYTES)

static struct vm *vm;
static struct vm_page *pages[PAGES];
static struct ring ring, back;
static struct hv_ring_buffer *control;

static void begin(void)
{
	vm = host_vm_new(NULL);
	for (uint32_t i = 0; i < PAGES; i++) {
		pages[i] = vm_page_pin(vm, gpa(0x4000 + i * PAGE_BYTES));
	}
	control = host_vm_bytes(vm, 0x4000, PAGE_BYTES);
	/* One ring, seen from both ends. */
	CU_ASSERT_TRUE(ring_open_sender(&ring, pages, PAGES));
	CU_ASSERT_TRUE(ring_open_receiver(&back, pages, PAGES));
}

static void end(void)
{
	for (uint32_t i = 0; i < PAGES; i++) {
		vm_page_unpin(vm, pages[i]);
	}
	host_vm_free(vm);
}

static enum ring_status send(uint32_t number, uint32_t len, bool *signal)
{
	uint8_t payload[4096];
	const struct vmpacket_descriptor d = {
	        .type = 6, .offset8 = 2, .len8 = (uint16_t)((16 + len + 7) / 8), .trans_id = number};
	const struct ring_part parts[] = {{&d, sizeof(d)}, {payload, len}};

	memset(payload, (int)number, sizeof(payload));
	return ring_send(&ring, parts, 2, 16 + len, signal);
}

static void test_opening(void)
{
	begin();
	CU_ASSERT_EQUAL(control->feature_bits, 1);
	CU_ASSERT_EQUAL(ring.data_bytes, DATA);
	control->write_index = 24;
	control->read_index = 16;
	CU_ASSERT_TRUE(ring_open_sender(&ring, pages, PAGES));
	CU_ASSERT_EQUAL(ring.own, 24);
	CU_ASSERT_TRUE(ring_open_receiver(&back, pages, PAGES));
	CU_ASSERT_EQUAL(back.own, 16);
	control->write_index = 20;
	CU_ASSERT_FALSE(ring_open_sender(&ring, pages, PAGES));
	control->write_index = DATA;
	CU_ASSERT_FALSE(ring_open_receiver(&back, pages, PAGES));
	control->write_index = 0;
	control->read_index = UINT32_MAX;
	CU_ASSERT_FALSE(ring_open_receiver(&back, pages, PAGES));
	end();
}

static void test_many_packets_wrap(void)
{
	uint8_t packet[4096] ALIGNED(8);
	uint32_t len;
	bool signal;

	begin();
	CU_ASSERT_EQUAL(ring_receive(&back, packet, sizeof(packet), &len), RING_EMPTY);
	for (uint32_t i = 0; i < 3000; i++) {
		uint32_t bytes = i * 7 % 2000;

		CU_ASSERT_EQUAL_FATAL(send(i, bytes, &signal), RING_OK);
		CU_ASSERT_TRUE(signal); /* it was empty */
		CU_ASSERT_EQUAL_FATAL(ring_receive(&back, packet, sizeof(packet), &len), RING_OK);
		CU_ASSERT_EQUAL(len, (16 + bytes + 7) / 8 * 8);
		CU_ASSERT_EQUAL(packet[8], i & 0xFF);
		for (uint32_t k = 0; k < bytes; k++) {
			if (packet[16 + k] != (uint8_t)i) {
				CU_FAIL_FATAL("payload");
			}
		}
		CU_ASSERT_FALSE(ring_publish(&back));
	}
	CU_ASSERT_EQUAL(ring_receive(&back, packet, sizeof(packet), &len), RING_EMPTY);
	end();
}

/* The trailer says where the packet starts. */
static void test_trailer(void)
{
	const uint8_t *data;
	uint64_t trailer;
	bool signal;

	begin();
	CU_ASSERT_EQUAL(send(1, 5, &signal), RING_OK);
	CU_ASSERT_EQUAL(send(2, 5, &signal), RING_OK);
	CU_ASSERT_EQUAL(control->write_index, 64);
	data = host_vm_bytes(vm, 0x5000, 64);
	memcpy(&trailer, data + 56, 8);
	CU_ASSERT_EQUAL(trailer, 32ull << 32);
	CU_ASSERT_EQUAL(data[21], 0); /* padding */
	end();
}

static void test_signals(void)
{
	bool signal;

	begin();
	CU_ASSERT_EQUAL(send(1, 8, &signal), RING_OK);
	CU_ASSERT_TRUE(signal);
	CU_ASSERT_EQUAL(send(2, 8, &signal), RING_OK);
	CU_ASSERT_FALSE(signal); /* was not empty */
	control->read_index = control->write_index;
	control->interrupt_mask = 1;
	CU_ASSERT_EQUAL(send(3, 8, &signal), RING_OK);
	CU_ASSERT_FALSE(signal);
	ring_set_mask(&back, false);
	CU_ASSERT_EQUAL(control->interrupt_mask, 0);
	CU_ASSERT_TRUE(ring_has_packet(&back));
	end();
}

static void test_full(void)
{
	uint8_t packet[4096] ALIGNED(8);
	uint32_t len, count = 0;
	bool signal;

	begin();
	while (send(count, 1000, &signal) == RING_OK) {
		count++;
	}
	CU_ASSERT_EQUAL(count, (DATA - 8) / 1024);
	CU_ASSERT_EQUAL(control->pending_send_sz, 1024);
	CU_ASSERT_EQUAL(control->write_index, count * 1024);
	CU_ASSERT_EQUAL(ring_receive(&back, packet, sizeof(packet), &len), RING_OK);
	/* The receiver has to tell the sender that there is room. */
	CU_ASSERT_TRUE(ring_publish(&back));
	CU_ASSERT_FALSE(ring_publish(&back)); /* nothing more was taken */
	CU_ASSERT_EQUAL(send(count, 1000, &signal), RING_OK);
	CU_ASSERT_EQUAL(control->pending_send_sz, 0);
	end();
}

static void test_pending_send_size(void)
{
	uint8_t packet[4096] ALIGNED(8);
	bool signal, told[8];
	uint32_t len;

	begin();
	for (uint32_t i = 0; i < 7; i++) {
		CU_ASSERT_EQUAL(send(i, 1000, &signal), RING_OK);
	}
	control->pending_send_sz = 3000; /* room is 1024, then 2048, 3072 ... */
	for (uint32_t i = 0; i < 7; i++) {
		CU_ASSERT_EQUAL(ring_receive(&back, packet, sizeof(packet), &len), RING_OK);
		told[i] = ring_publish(&back);
	}
	CU_ASSERT_FALSE(told[0]);
	CU_ASSERT_TRUE(told[1]);
	CU_ASSERT_FALSE(told[2]);
	/* Without the feature bit the field means nothing. */
	CU_ASSERT_EQUAL(send(9, 1000, &signal), RING_OK);
	control->feature_bits = 0;
	control->pending_send_sz = DATA - 8;
	CU_ASSERT_EQUAL(ring_receive(&back, packet, sizeof(packet), &len), RING_OK);
	CU_ASSERT_FALSE(ring_publish(&back));
	/* "All of it": one below the size, odd. */
	CU_ASSERT_EQUAL(send(9, 1000, &signal), RING_OK);
	control->feature_bits = 1;
	control->pending_send_sz = DATA - 1;
	CU_ASSERT_EQUAL(ring_receive(&back, packet, sizeof(packet), &len), RING_OK);
	CU_ASSERT_TRUE(ring_publish(&back));
	control->write_index = 3;
	CU_ASSERT_EQUAL(ring_receive(&back, packet, sizeof(packet), &len), RING_BROKEN);
	end();
}

/* What a guest can put there: each is broken, none reads or writes elsewhere. */
static void test_broken(void)
{
	static const struct {
		uint16_t offset8, len8;
	} wrong[] = {{1, 4}, {0, 4}, {5, 4}, {2, 1}, {2, 5}, {2, 0}, {2, 0xFFFF}, {0xFFFF, 0xFFFF}};
	uint8_t packet[4096] ALIGNED(8);
	struct vmpacket_descriptor *d;
	uint32_t len;
	bool signal;

	begin();
	d = host_vm_bytes(vm, 0x5000, 16);
	for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
		*d = (struct vmpacket_descriptor){6, wrong[i].offset8, wrong[i].len8, 0, 1};
		control->write_index = 40;
		CU_ASSERT_EQUAL(ring_receive(&back, packet, sizeof(packet), &len), RING_BROKEN);
	}
	*d = (struct vmpacket_descriptor){6, 2, 4, 0, 1};
	CU_ASSERT_EQUAL(ring_receive(&back, packet, 24, &len), RING_BROKEN); /* no room */
	control->write_index = 16;
	CU_ASSERT_EQUAL(ring_receive(&back, packet, sizeof(packet), &len), RING_BROKEN);
	control->write_index = DATA;
	CU_ASSERT_EQUAL(ring_receive(&back, packet, sizeof(packet), &len), RING_BROKEN);
	control->read_index = 4;
	CU_ASSERT_EQUAL(send(1, 8, &signal), RING_BROKEN);
	control->read_index = DATA + 8;
	CU_ASSERT_EQUAL(send(1, 8, &signal), RING_BROKEN);
	end();
}

static void test_fetched_once(void)
{
	uint8_t packet[4096] ALIGNED(8);
	uint32_t len;
	bool signal;

	begin();
	CU_ASSERT_EQUAL(send(1, 500, &signal), RING_OK);
	host_fetch_watch(vm, 0x5000, DATA);
	CU_ASSERT_EQUAL(ring_receive(&back, packet, sizeof(packet), &len), RING_OK);
	CU_ASSERT_EQUAL(host_fetch_max(), 1);
	host_fetch_unwatch();
	end();
}

UNIT_MAIN("ring", UNIT_TEST(test_opening), UNIT_TEST(test_many_packets_wrap), UNIT_TEST(test_trailer),
          UNIT_TEST(test_signals), UNIT_TEST(test_full), UNIT_TEST(test_pending_send_size),
          UNIT_TEST(test_broken), UNIT_TEST(test_fetched_once))

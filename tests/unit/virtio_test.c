/*
 * virtio_test.c - the host's virtio disks against models of devices, right and hostile: the ring, and the
 * driver.
 */
#include "tests/unit/virtio_fake.h"

/* ------------------------------------------------------------------ the ring alone */

static struct virtio_ring ring;
static struct virtio_ring_memory ring_memory;
static int token_at[16];

static void ring_start(uint16_t size)
{
	memset(&ring_memory, 0, sizeof(ring_memory));
	virtio_ring_init(&ring, &ring_memory, size);
}

static bool ring_put(uint32_t count, bool writable, int token)
{
	struct virtio_piece pieces[16];

	for (uint32_t i = 0; i < count; i++) {
		pieces[i] = (struct virtio_piece){hpa(0x1000 + i * 0x100), 16 + i, writable && i > 0};
	}
	return virtio_ring_add(&ring, pieces, count, &token_at[token]);
}

static void ring_return(uint32_t id, uint32_t len)
{
	ring_memory.used.ring[ring_memory.used.idx % ring.size] = (struct virtq_used_elem){id, len};
	ring_memory.used.idx++;
}

static void test_ring_chain(void)
{
	struct virtio_ring_done done;
	const struct virtq_desc *desc = ring_memory.desc;

	ring_start(8);
	CU_ASSERT(ring_put(3, true, 1));
	CU_ASSERT_EQUAL(ring_memory.avail.idx, 1);
	CU_ASSERT_EQUAL(ring_memory.avail.ring[0], 0);
	CU_ASSERT(desc[0].addr == 0x1000 && desc[0].len == 16 && desc[0].flags == 1 && desc[0].next == 1);
	CU_ASSERT(desc[1].addr == 0x1100 && desc[1].len == 17 && desc[1].flags == 3 && desc[1].next == 2);
	CU_ASSERT(desc[2].addr == 0x1200 && desc[2].len == 18 && desc[2].flags == 2 && desc[2].next == 0);
	CU_ASSERT_EQUAL(virtio_ring_next_head(&ring), 3);
	CU_ASSERT_FALSE(ring_put(6, false, 2));
	CU_ASSERT_EQUAL(ring_memory.avail.idx, 1);
	CU_ASSERT(ring_put(5, false, 2));
	CU_ASSERT_FALSE(ring_put(1, false, 3));
	CU_ASSERT(virtio_ring_wants_notify(&ring));
	ring_memory.used.flags = VIRTQ_USED_F_NO_NOTIFY;
	CU_ASSERT_FALSE(virtio_ring_wants_notify(&ring));
	CU_ASSERT_FALSE(virtio_ring_has_used(&ring));
	CU_ASSERT_EQUAL(virtio_ring_take(&ring, &done), VIRTIO_RING_EMPTY);
	ring_return(3, 0); /* the second first */
	ring_return(0, 35);
	CU_ASSERT(virtio_ring_has_used(&ring));
	CU_ASSERT_EQUAL(virtio_ring_take(&ring, &done), VIRTIO_RING_TAKEN);
	CU_ASSERT(done.token == &token_at[2] && done.head == 3 && done.len_bytes == 0);
	CU_ASSERT_EQUAL(virtio_ring_take(&ring, &done), VIRTIO_RING_TAKEN);
	CU_ASSERT(done.token == &token_at[1] && done.head == 0 && done.len_bytes == 35);
	CU_ASSERT_EQUAL(virtio_ring_take(&ring, &done), VIRTIO_RING_EMPTY);
	CU_ASSERT(ring.free_count == 8 && ring.in_flight == 0);
}

/* 16-bit indices wrap, descriptors get out of order, and none is lost. */
static void test_ring_wrap(void)
{
	uint16_t heads[3];
	struct virtio_ring_done done;
	uint32_t wrong = 0;

	ring_start(16);
	for (uint32_t round = 0; round < 70000; round++) {
		for (uint32_t i = 0; i < 3; i++) {
			heads[i] = virtio_ring_next_head(&ring);
			wrong += !ring_put(1 + (round + i) % 5, true, (int)i);
		}
		for (uint32_t i = 0; i < 3; i++) {
			uint32_t which = (i * 2 + round) % 3;

			ring_return(heads[which], 0);
			wrong += virtio_ring_take(&ring, &done) != VIRTIO_RING_TAKEN ||
			         done.token != &token_at[which] || done.head != heads[which];
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(ring.free_count == 16 && ring.in_flight == 0);
	CU_ASSERT(ring_put(16, false, 0));
}

static void test_ring_hostile(void)
{
	static const struct {
		uint32_t id, len;
		uint16_t ahead;
	} cases[] = {
	        {8, 0, 0}, /* out of range */
	        {0xffff0000u, 0, 0}, {1, 0, 0}, /* no head */
	        {4, 0, 0}, /* free */
	        {0, 36, 0}, /* one byte more than writable */
	        {3, 1, 0}, /* written to what is only readable */
	        {0, 0, 2}, /* three returned, but it had two */
	        {0, 0, 0x8000},
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct virtio_ring_done done = {.token = NULL};

		ring_start(8);
		CU_ASSERT(ring_put(3, true, 1));
		CU_ASSERT(ring_put(1, false, 2));
		ring_return(cases[i].id, cases[i].len);
		ring_memory.used.idx = (uint16_t)(ring_memory.used.idx + cases[i].ahead);
		CU_ASSERT_EQUAL(virtio_ring_take(&ring, &done), VIRTIO_RING_BROKEN);
		CU_ASSERT_PTR_NULL(done.token);
		CU_ASSERT_PTR_EQUAL(virtio_ring_take_back(&ring), &token_at[1]);
		CU_ASSERT_PTR_EQUAL(virtio_ring_take_back(&ring), &token_at[2]);
		CU_ASSERT_PTR_NULL(virtio_ring_take_back(&ring));
	}
	/* Twice the same. */
	ring_start(8);
	CU_ASSERT(ring_put(3, true, 1) && ring_put(1, false, 2));
	ring_return(0, 0);
	ring_return(0, 0);
	struct virtio_ring_done done;
	CU_ASSERT_EQUAL(virtio_ring_take(&ring, &done), VIRTIO_RING_TAKEN);
	CU_ASSERT_EQUAL(virtio_ring_take(&ring, &done), VIRTIO_RING_BROKEN);
	/* What it does to the descriptors changes nothing. */
	ring_start(8);
	CU_ASSERT(ring_put(3, true, 1));
	memset(ring_memory.desc, 0xff, sizeof(ring_memory.desc));
	memset(&ring_memory.avail, 0xff, sizeof(ring_memory.avail));
	ring_return(0, 0);
	CU_ASSERT_EQUAL(virtio_ring_take(&ring, &done), VIRTIO_RING_TAKEN);
	CU_ASSERT(ring.free_count == 8 && ring_put(8, false, 2));
	CU_ASSERT_EQUAL(ring_memory.avail.idx, 2);
}

/* ------------------------------------------------------------------ a disk */

static struct virtio_blk blk;
static struct block whole;
static uint8_t blk_memory[VIRTIO_BLK_MEMORY_BYTES] ALIGNED(4096);
static uint8_t buffer[40][4096] ALIGNED(4096);

static const char *blk_refused(void)
{
	const char *why = NULL;

	memset(blk_memory, 0, sizeof(blk_memory));
	if (!virtio_blk_open(&blk, &slots[0], blk_memory, 1, &why)) {
		return why;
	}
	block_open(&whole, &virtio_blk_ops, &blk, blk.sector_count, virtio_blk_is_read_only(&blk), "s");
	return "";
}

#define REQUESTS 40u
static struct block_request requests[REQUESTS];
static enum block_status statuses[REQUESTS];
static uint32_t order[REQUESTS * 2];
static uint32_t ended;
static bool resubmits;

static void on_done(struct block_request *request, enum block_status status)
{
	uint32_t index = (uint32_t)(request - requests);

	CU_ASSERT_EQUAL(*lock_held_ranks(), 0);
	statuses[index] = status;
	order[ended++] = index;
	if (resubmits && ended < 3) {
		request->sector = 0;
		block_submit(&whole, request);
	}
}

/* @pages segments of a page each, from buffer[@page] on, every other one: so that none can be joined. */
static void start_request(uint32_t index, enum block_operation operation, uint64_t sector, uint32_t pages)
{
	struct block_request *request = &requests[index];

	*request = (struct block_request){.operation = operation, .sector = sector, .done = on_done};
	request->segment_count = pages;
	for (uint32_t i = 0; i < pages; i++) {
		request->segments[i] = (struct io_segment){buffer[i * 2], 512};
	}
	statuses[index] = (enum block_status)99;
	block_submit(&whole, request);
}

static struct model *blk_start(void)
{
	struct model *model = machine_start();

	ended = 0;
	resubmits = false;
	CU_ASSERT_STRING_EQUAL_FATAL(blk_refused(), "");
	return model;
}

static void test_open(void)
{
	struct model *model = blk_start();

	CU_ASSERT_EQUAL(model->driver_features, FEATURES_WANTED & ~BIT64(VIRTIO_BLK_F_RO));
	CU_ASSERT_EQUAL(model->status, 15);
	CU_ASSERT(model->queue_on && model->queue_size == 64 && model->reset_count == 1);
	CU_ASSERT_STRING_EQUAL(blk.serial, "serial0");
	CU_ASSERT(blk.sector_count == SECTORS && blk.has_interrupt && virtio_blk_has_flush(&blk));
	CU_ASSERT_FALSE(virtio_blk_is_read_only(&blk));
	CU_ASSERT_EQUAL(pci_read32(&slots[0], 4) & 0xffff, 0x406);
	CU_ASSERT_EQUAL(pci_read32(&slots[0], 0xc0), 0x80010011);
	CU_ASSERT_EQUAL(pci_read32(&slots[0], 0xc4), BAR_MSIX | 4);
	CU_ASSERT_EQUAL(virtio_reg_read32(model->bar + BAR_MSIX), 0xfee00001);
	CU_ASSERT_EQUAL(virtio_reg_read32(model->bar + BAR_MSIX + 8), 0x30);
	CU_ASSERT_EQUAL(virtio_reg_read32(model->bar + BAR_MSIX + 24), 0x31);
	CU_ASSERT_EQUAL(virtio_reg_read16(model->bar + COMMON_CONFIG_MSIX_VECTOR), 1);
	CU_ASSERT_EQUAL(virtio_reg_read16(model->bar + COMMON_QUEUE_MSIX_VECTOR), 0);
	irq_handlers[0](irq_contexts[0]);
	CU_ASSERT_EQUAL(blk.interrupt_count, 1);
	CU_ASSERT_FALSE(virtio_blk_is_pending(&blk));
	CU_ASSERT_EQUAL(model->last_count, 3);
}

static void test_open_variants(void)
{
	struct model *model = machine_start();

	model->queue_max = 1000; /* more than we have, and no power of two */
	model->features = BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_BLK_F_RO);
	strcpy(model->id, "a b\n");
	CU_ASSERT_STRING_EQUAL(blk_refused(), "");
	CU_ASSERT(model->queue_size == 256 && virtio_blk_is_read_only(&blk) && !virtio_blk_has_flush(&blk));
	CU_ASSERT_STRING_EQUAL(blk.serial, "a");

	model = machine_start();
	model->answer = VIRTIO_BLK_S_UNSUPP;
	model->is_torn = true;
	CU_ASSERT_STRING_EQUAL(blk_refused(), "");
	CU_ASSERT(blk.serial[0] == 0 && blk.sector_count == SECTORS);

	model = machine_start();
	memset(model->id, 'x', 20);
	config_of(0)[0xc0 + 2] = 0; /* one message only */
	CU_ASSERT_STRING_EQUAL(blk_refused(), "");
	CU_ASSERT_EQUAL(strlen(blk.serial), 20);
	CU_ASSERT_EQUAL(virtio_reg_read16(model->bar + COMMON_CONFIG_MSIX_VECTOR), NO_VECTOR);
	CU_ASSERT(blk.has_interrupt);

	model = machine_start();
	config_of(0)[0xa1] = 0; /* no MSI-X */
	CU_ASSERT_STRING_EQUAL(blk_refused(), "");
	CU_ASSERT_FALSE(blk.has_interrupt);
	CU_ASSERT_EQUAL(virtio_reg_read16(model->bar + COMMON_QUEUE_MSIX_VECTOR), NO_VECTOR);

	machine_start();
	msi_fails = true;
	CU_ASSERT_STRING_EQUAL(blk_refused(), "");
	CU_ASSERT_FALSE(blk.has_interrupt);
}

#define REFUSED(change, text)                                        \
	do {                                                         \
		struct model *model = machine_start();               \
		change;                                              \
		CU_ASSERT_PTR_NOT_NULL(strstr(blk_refused(), text)); \
		CU_ASSERT(!model->queue_on || model->is_stuck);      \
	} while (0)

static void test_open_refused(void)
{
	REFUSED(config_of(0)[0x43] = 7, "no virtio 1.x registers");
	REFUSED(config_of(0)[0x44] = 5, "no virtio 1.x registers");
	REFUSED(word_put(config_of(0) + 0x4c, 40), "no virtio 1.x registers");
	REFUSED(word_put(config_of(0) + 0xa8, 0x3ff0), "no virtio 1.x registers");
	REFUSED(config_of(0)[0x34] = 0, "no virtio 1.x registers");
	REFUSED((model->is_stuck = true, model->status = 7), "reset");
	REFUSED(model->features &= ~BIT64(VIRTIO_F_VERSION_1), "does not offer virtio 1.x");
	REFUSED(model->refuses_features = true, "refuses");
	REFUSED(model->has_no_message = true, "no resources");
	REFUSED(model->queue_max = 0, "not there");
	REFUSED(model->queue_max = 33, "too small");
	REFUSED(model->notify_off = 4, "doorbell");
	REFUSED(model->is_deaf = true, "first request");
	REFUSED(word_put(model->bar + BAR_CONFIG, 0), "no sectors");
	REFUSED(memset(model->bar + BAR_CONFIG, 0xff, 8), "no sectors");
	REFUSED(word_put(config_of(0) + 0xac, 0), "no virtio 1.x registers");
	REFUSED(word_put(config_of(0) + 0xac, 4), "512");
	REFUSED(word_put(model->bar + BAR_CONFIG + CONFIG_BLK_SIZE, 4096), "512");
	REFUSED(word_put(model->bar + BAR_CONFIG + CONFIG_SEG_MAX, 31), "segments");
	REFUSED(word_put(model->bar + BAR_CONFIG + CONFIG_SIZE_MAX, 4095), "whole page");
	CU_ASSERT_EQUAL(pci_read32(&slots[0], 4) & 4, 0); /* and its mastering is off */
}

static void test_read_write(void)
{
	struct model *model = blk_start();

	for (uint32_t i = 0; i < 40; i++) {
		memset(buffer[i], (int)(i + 1), sizeof(buffer[i]));
	}
	start_request(0, BLOCK_WRITE, 10, 4);
	CU_ASSERT_EQUAL(ended, 0); /* found by a poll only */
	CU_ASSERT(virtio_blk_is_pending(&blk));
	CU_ASSERT_PTR_NULL(virtio_blk_poll(&blk));
	CU_ASSERT(ended == 1 && statuses[0] == BLOCK_OK);
	CU_ASSERT_EQUAL(model->last_count, 6);
	for (uint32_t i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(model->data[(10 + i) * 512], i * 2 + 1);
		CU_ASSERT_EQUAL(model->data[(10 + i) * 512 + 511], i * 2 + 1);
	}
	memset(buffer, 0, sizeof(buffer));
	start_request(1, BLOCK_READ, 11, 3);
	(void)virtio_blk_poll(&blk);
	CU_ASSERT(ended == 2 && statuses[1] == BLOCK_OK);
	CU_ASSERT(buffer[0][0] == 3 && buffer[2][511] == 5 && buffer[4][0] == 7 && buffer[4][512] == 0);
	start_request(2, BLOCK_FLUSH, 77, 0);
	(void)virtio_blk_poll(&blk);
	CU_ASSERT(ended == 3 && statuses[2] == BLOCK_OK && model->flush_count == 1);
	start_request(3, BLOCK_READ, SECTORS - 1, 2);
	CU_ASSERT(ended == 4 && statuses[3] == BLOCK_ERANGE);
	CU_ASSERT_EQUAL(model->notify_count, 4);
	CU_ASSERT_PTR_NULL(virtio_blk_poll(&blk));
}

static void test_join(void)
{
	struct model *model = blk_start();
	struct block_request *request = &requests[0];

	*request = (struct block_request){.operation = BLOCK_READ, .segment_count = 4, .done = on_done};
	request->segments[0] = (struct io_segment){buffer[0], 4096};
	request->segments[1] = (struct io_segment){buffer[1], 512};
	request->segments[2] = (struct io_segment){buffer[1] + 512, 512};
	request->segments[3] = (struct io_segment){buffer[3], 512};
	block_submit(&whole, request);
	CU_ASSERT_EQUAL(model->last_count, 4);
	blk.piece_bytes_max = 4608;
	block_submit(&whole, request);
	CU_ASSERT_EQUAL(model->last_count, 5);
	request->segments[1].len_bytes = 0;
	block_submit(&whole, request);
	CU_ASSERT_EQUAL(model->last_count, 5);
	(void)virtio_blk_poll(&blk);
	CU_ASSERT_EQUAL(ended, 3);
}

/* More than the queue takes; ended out of order; each exactly once. */
static void test_queue_full(void)
{
	struct model *model = blk_start();
	uint32_t seen = 0;

	model->holds = true;
	for (uint32_t i = 0; i < REQUESTS; i++) {
		start_request(i, BLOCK_READ, i, i % 2 == 0 ? 6 : 1);
	}
	CU_ASSERT(model->held_count >= 8 && model->held_count < REQUESTS);
	CU_ASSERT_FALSE(list_is_empty(&blk.waiting));
	for (uint32_t i = 0; i < 1000 && ended < REQUESTS; i++) {
		if (model->held_count != 0) {
			model_end(model, i * 7 % model->held_count);
		}
		CU_ASSERT_PTR_NULL(virtio_blk_poll(&blk));
	}
	CU_ASSERT_EQUAL(ended, REQUESTS);
	for (uint32_t i = 0; i < ended; i++) {
		seen += statuses[i] == BLOCK_OK && order[i] != i;
		statuses[i] = BLOCK_EIO;
	}
	CU_ASSERT(seen != 0);
	CU_ASSERT(list_is_empty(&blk.waiting) && blk.ring.free_count == 64);
}

static void test_batch(void)
{
	struct model *model = blk_start();

	model->holds = true;
	for (uint32_t i = 0; i < 20; i++) {
		start_request(i, BLOCK_WRITE, i, 1);
	}
	while (model->held_count != 0) {
		model_end(model, 0);
	}
	(void)virtio_blk_poll(&blk);
	CU_ASSERT_EQUAL(ended, BATCH_MAX);
	CU_ASSERT(virtio_blk_is_pending(&blk));
	(void)virtio_blk_poll(&blk);
	CU_ASSERT_EQUAL(ended, 20);
	CU_ASSERT_FALSE(virtio_blk_is_pending(&blk));
}

static void test_submit_in_done(void)
{
	blk_start();
	resubmits = true;
	start_request(0, BLOCK_READ, 0, 1);
	for (uint32_t i = 0; i < 3; i++) {
		(void)virtio_blk_poll(&blk);
	}
	CU_ASSERT_EQUAL(ended, 3);
}

/* No flush command: a flush ends when what is before it has, and what is behind it starts then. */
static void test_barrier(void)
{
	struct model *model = machine_start();

	model->features &= ~BIT64(VIRTIO_BLK_F_FLUSH);
	CU_ASSERT_STRING_EQUAL_FATAL(blk_refused(), "");
	ended = 0;
	resubmits = false;
	model->holds = true;
	start_request(0, BLOCK_WRITE, 0, 1);
	start_request(1, BLOCK_WRITE, 1, 1);
	start_request(2, BLOCK_FLUSH, 0, 0);
	start_request(3, BLOCK_WRITE, 2, 1);
	CU_ASSERT_EQUAL(model->held_count, 2);
	CU_ASSERT_FALSE(virtio_blk_is_pending(&blk));
	model_end(model, 1);
	(void)virtio_blk_poll(&blk);
	CU_ASSERT_EQUAL(ended, 1);
	model_end(model, 0);
	(void)virtio_blk_poll(&blk);
	CU_ASSERT(ended == 3 && order[2] == 2 && statuses[2] == BLOCK_OK);
	CU_ASSERT_EQUAL(model->held_count, 1);
	model_end(model, 0);
	(void)virtio_blk_poll(&blk);
	CU_ASSERT_EQUAL(ended, 4);
	/*
	 * Nothing before it: still not in submit, but a poll is asked for; more than a batch of them too.
	 */
	for (uint32_t i = 4; i < 24; i++) {
		start_request(i, BLOCK_FLUSH, 0, 0);
	}
	CU_ASSERT(ended == 4 && virtio_blk_is_pending(&blk));
	(void)virtio_blk_poll(&blk);
	CU_ASSERT(ended == 4 + BATCH_MAX && virtio_blk_is_pending(&blk));
	(void)virtio_blk_poll(&blk);
	CU_ASSERT(ended == 24 && !virtio_blk_is_pending(&blk));
	CU_ASSERT_EQUAL(model->flush_count, 0);
}

static void test_error_status(void)
{
	struct model *model = blk_start();

	model->answer = VIRTIO_BLK_S_IOERR;
	start_request(0, BLOCK_READ, 0, 1);
	CU_ASSERT_PTR_NULL(virtio_blk_poll(&blk));
	CU_ASSERT(ended == 1 && statuses[0] == BLOCK_EIO);
	model->answer = VIRTIO_BLK_S_UNSUPP;
	start_request(1, BLOCK_FLUSH, 0, 0);
	CU_ASSERT_PTR_NULL(virtio_blk_poll(&blk));
	CU_ASSERT(ended == 2 && statuses[1] == BLOCK_EIO);
	model->answer = 0;
	start_request(2, BLOCK_READ, 0, 1);
	CU_ASSERT_PTR_NULL(virtio_blk_poll(&blk));
	CU_ASSERT(statuses[2] == BLOCK_OK && whole.error_count == 2);
}

/* The device is stopped first; then all fail, also those that waited, and later ones at once. */
static void check_broken(struct model *model, const char *text, uint32_t count)
{
	const char *why = virtio_blk_poll(&blk);

	CU_ASSERT_PTR_NOT_NULL_FATAL(why);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, text));
	CU_ASSERT_EQUAL(model->reset_count, 2);
	CU_ASSERT_EQUAL(pci_read32(&slots[0], 4) & 4, 0);
	for (uint32_t i = 0; i < 8 && ended < count; i++) {
		CU_ASSERT(virtio_blk_is_pending(&blk));
		CU_ASSERT_PTR_NULL(virtio_blk_poll(&blk));
	}
	CU_ASSERT_EQUAL(ended, count);
	CU_ASSERT_FALSE(virtio_blk_is_pending(&blk));
	for (uint32_t i = 0; i < count; i++) {
		CU_ASSERT_EQUAL(statuses[i], BLOCK_EIO);
	}
	start_request(count, BLOCK_READ, 0, 1);
	CU_ASSERT(ended == count + 1 && statuses[count] == BLOCK_EIO);
	virtio_blk_give_up(&blk, "again");
	CU_ASSERT_EQUAL(model->reset_count, 2);
}

static struct model *blk_start_held(uint32_t count)
{
	struct model *model = blk_start();

	model->holds = true;
	for (uint32_t i = 0; i < count; i++) {
		start_request(i, BLOCK_READ, i, 2);
	}
	return model;
}

static void test_broken(void)
{
	struct model *model = blk_start_held(30);

	used_put(model, 0xffff, 1);
	check_broken(model, "not given", 30);
	model = blk_start_held(3);
	used_put(model, model->held[0].head, 512 * 2 + 2);
	check_broken(model, "not given", 3);
	model = blk_start_held(3);
	((struct virtq_used *)memory_at(model->used_at))->idx = 0x4000;
	check_broken(model, "not given", 3);
	model = blk_start_held(2);
	used_put(model, model->held[0].head, 0); /* status untouched */
	check_broken(model, "without a status", 2);
	model = blk_start_held(2);
	model->status |= VIRTIO_STATUS_NEEDS_RESET;
	CU_ASSERT_FALSE(virtio_blk_is_pending(&blk));
	irq_handlers[1](irq_contexts[1]);
	check_broken(model, "asks for a reset", 2);
	model = blk_start_held(0);
	model->is_stuck = true; /* it does not even reset: its mastering is off all the same */
	used_put(model, 1, 0);
	check_broken(model, "not given", 0);
}

/* While one CPU stops the device, requests of others wait, and then fail. */
static void test_breaking(void)
{
	blk_start_held(1);
	CU_ASSERT(breaking_begin(&blk, "x"));
	start_request(1, BLOCK_READ, 0, 1);
	CU_ASSERT(ended == 0 && !virtio_blk_is_pending(&blk));
	CU_ASSERT_PTR_NULL(virtio_blk_poll(&blk));
	breaking_end(&blk);
	(void)virtio_blk_poll(&blk);
	CU_ASSERT(ended == 2 && statuses[0] == BLOCK_EIO && statuses[1] == BLOCK_EIO);
}

/* A configuration change that is no more than that. */
static void test_config_change(void)
{
	blk_start();
	irq_handlers[1](irq_contexts[1]);
	CU_ASSERT(virtio_blk_is_pending(&blk));
	CU_ASSERT_PTR_NULL(virtio_blk_poll(&blk));
	CU_ASSERT_FALSE(virtio_blk_is_pending(&blk));
}

UNIT_MAIN("virtio", UNIT_TEST(test_ring_chain), UNIT_TEST(test_ring_wrap), UNIT_TEST(test_ring_hostile),
          UNIT_TEST(test_open), UNIT_TEST(test_open_variants), UNIT_TEST(test_open_refused),
          UNIT_TEST(test_read_write), UNIT_TEST(test_join), UNIT_TEST(test_queue_full), UNIT_TEST(test_batch),
          UNIT_TEST(test_submit_in_done), UNIT_TEST(test_barrier), UNIT_TEST(test_error_status),
          UNIT_TEST(test_broken), UNIT_TEST(test_breaking), UNIT_TEST(test_config_change))

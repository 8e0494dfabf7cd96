/*
 * virtio_test.c - the host's virtio disks against models of devices, right and hostile: the ring, the driver, and
 * disks and partitions by name.
 *
 * A model sees what a device sees: registers, and the queue in memory. Only what is below that is replaced: register
 * access, interrupts, time, the pool of frames.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor/drivers/pci.c"
#include "hypervisor/drivers/virtio_ring.c"
#include "hypervisor/drivers/virtio_pci.c"
#include "hypervisor/drivers/virtio_blk.c"
#include "hypervisor/core/host_disk.c"
#include "base/format.h"
#include "tests/unit/unit.h"

/* ------------------------------------------------------------------ a device */

#define MODELS 4u
#define ECAM_AT 0xb0000000ull
#define BARS_AT 0xfe000000ull
#define BAR_BYTES 0x4000u
#define BAR_CONFIG 0x1000u
#define BAR_NOTIFY 0x2000u
#define BAR_MSIX 0x3000u
#define SECTORS 512u
#define HELD_MAX 64u

struct held {
	uint16_t head;
	uint32_t count;
	struct virtq_desc desc[PIECES_MAX];
};

struct model {
	uint8_t bar[BAR_BYTES];
	uint8_t data[SECTORS * 512];
	char id[21];
	uint64_t features, driver_features;
	uint32_t feature_select, driver_select;
	uint8_t status;
	uint16_t queue_max, queue_size, notify_off;
	bool queue_on;
	uint64_t desc_at, avail_at, used_at;
	uint16_t avail_seen, used_idx;
	struct held held[HELD_MAX];
	uint32_t held_count;
	uint32_t notify_count, flush_count, reset_count, config_reads;
	uint32_t last_count; /* descriptors of the last chain */
	uint8_t answer;      /* a status other than OK to give */

	/* how it misbehaves */
	bool is_stuck, refuses_features, has_no_message, is_deaf, holds, is_torn;
};

static uint8_t space[1 << 20];
static struct model *models;
static uint8_t mcfg_table[MCFG_HEADER_BYTES + sizeof(struct mcfg_row)];
static uint32_t irq_count;
static void (*irq_handlers[16])(void *context);
static void *irq_contexts[16];
static bool msi_fails;
static uint64_t clock_hz;
static char log_text[8192];

static void *memory_at(uint64_t at)
{
	return host_direct(hpa(at));
}

/* Moves a chain's data. Returns the bytes written to it. */
static uint32_t chain_move(struct model *model, const struct held *held,
			   const struct virtio_blk_slot *header)
{
	uint64_t at = header->sector * 512;
	uint32_t written = 0;

	for (uint32_t i = 1; i + 1 < held->count; i++) {
		const struct virtq_desc *desc = &held->desc[i];
		uint8_t *bytes = memory_at(desc->addr);

		if (header->type == VIRTIO_BLK_T_GET_ID) {
			memset(bytes, 0, desc->len);
			memcpy(bytes, model->id, strlen(model->id) < desc->len ? strlen(model->id) : desc->len);
		} else {
			CU_ASSERT_FATAL(at + desc->len <= sizeof(model->data));
			CU_ASSERT_EQUAL((desc->flags & VIRTQ_DESC_F_WRITE) != 0, header->type == VIRTIO_BLK_T_IN);
			memcpy(header->type == VIRTIO_BLK_T_IN ? bytes : model->data + at,
			       header->type == VIRTIO_BLK_T_IN ? model->data + at : bytes, desc->len);
		}
		written += (desc->flags & VIRTQ_DESC_F_WRITE) != 0 ? desc->len : 0;
		at += desc->len;
	}
	return written;
}

static void used_put(struct model *model, uint32_t id, uint32_t len)
{
	struct virtq_used *used = memory_at(model->used_at);

	used->ring[model->used_idx % model->queue_size] = (struct virtq_used_elem){id, len};
	used->idx = ++model->used_idx;
}

/* Does and ends the @index-th chain that the device has. */
static void model_end(struct model *model, uint32_t index)
{
	struct held held = model->held[index];
	const struct virtio_blk_slot *header = memory_at(held.desc[0].addr);
	uint32_t written = chain_move(model, &held, header);

	model->flush_count += header->type == VIRTIO_BLK_T_FLUSH;
	if (header->type == VIRTIO_BLK_T_FLUSH) {
		CU_ASSERT_EQUAL(held.count, 2);
		CU_ASSERT_EQUAL(header->sector, 0);
	}
	*(uint8_t *)memory_at(held.desc[held.count - 1].addr) = model->answer;
	model->held[index] = model->held[--model->held_count];
	used_put(model, held.head, written + 1);
}

/* Checks the chain as a device would: bounded, readable before writable, header and status as they have to be. */
static void chain_take(struct model *model, uint16_t head)
{
	const struct virtq_desc *table = memory_at(model->desc_at);
	struct held *held = &model->held[model->held_count++];
	uint16_t at = head;
	bool writable = false;

	CU_ASSERT_FATAL(model->held_count <= HELD_MAX);
	*held = (struct held){.head = head};
	do {
		CU_ASSERT_FATAL(at < model->queue_size && held->count < PIECES_MAX);
		held->desc[held->count] = table[at];
		at = table[at].next;
		CU_ASSERT(!writable || (held->desc[held->count].flags & VIRTQ_DESC_F_WRITE) != 0);
		writable = (held->desc[held->count].flags & VIRTQ_DESC_F_WRITE) != 0;
		CU_ASSERT(held->desc[held->count].len != 0);
	} while ((held->desc[held->count++].flags & VIRTQ_DESC_F_NEXT) != 0);
	CU_ASSERT_EQUAL(held->desc[0].len, 16);
	CU_ASSERT_EQUAL(held->desc[0].flags, VIRTQ_DESC_F_NEXT);
	CU_ASSERT_EQUAL(held->desc[held->count - 1].len, 1);
	CU_ASSERT_EQUAL(held->desc[held->count - 1].flags, VIRTQ_DESC_F_WRITE);
	model->last_count = held->count;
}

static void model_run(struct model *model)
{
	const struct virtq_avail *avail = memory_at(model->avail_at);

	if (!model->queue_on || model->is_deaf || (model->status & VIRTIO_STATUS_DRIVER_OK) == 0) {
		return;
	}
	while (model->avail_seen != avail->idx) {
		chain_take(model, avail->ring[model->avail_seen++ % model->queue_size]);
		if (!model->holds) {
			model_end(model, model->held_count - 1);
		}
	}
}

static struct model *model_of(const volatile uint8_t *at, uint32_t *offset)
{
	uint64_t distance = (uint64_t)((uintptr_t)at - (uintptr_t)models);

	*offset = (uint32_t)(distance % sizeof(struct model));
	CU_ASSERT_FATAL(distance < MODELS * sizeof(struct model) && *offset < BAR_BYTES);
	return &models[distance / sizeof(struct model)];
}

uint32_t virtio_reg_read32(const volatile uint8_t *at)
{
	uint32_t offset;
	struct model *model = model_of(at, &offset);
	uint32_t value;

	if (offset == COMMON_DEVICE_FEATURE) {
		return (uint32_t)(model->features >> 32 * model->feature_select);
	}
	if (model->is_torn && offset == BAR_CONFIG + 4 && model->config_reads++ == 0) {
		model->bar[COMMON_CONFIG_GENERATION]++;
		return 0x77;
	}
	memcpy(&value, model->bar + offset, 4);
	return value;
}

uint16_t virtio_reg_read16(const volatile uint8_t *at)
{
	uint32_t offset;
	struct model *model = model_of(at, &offset);
	uint16_t value;

	switch (offset) {
	case COMMON_QUEUE_SIZE:
		return model->queue_max;
	case COMMON_QUEUE_NOTIFY_OFF:
		return model->notify_off;
	default:
		memcpy(&value, model->bar + offset, 2);
		return value;
	}
}

uint8_t virtio_reg_read8(const volatile uint8_t *at)
{
	uint32_t offset;
	struct model *model = model_of(at, &offset);

	return offset == COMMON_DEVICE_STATUS ? model->status : model->bar[offset];
}

void virtio_reg_write8(volatile uint8_t *at, uint8_t value)
{
	uint32_t offset;
	struct model *model = model_of(at, &offset);

	CU_ASSERT_EQUAL_FATAL(offset, COMMON_DEVICE_STATUS);
	if (value == 0) {
		model->reset_count++;
		model->queue_on = false;
		model->held_count = 0;
		model->avail_seen = model->used_idx = 0;
		model->status = model->is_stuck ? model->status : 0;
		return;
	}
	if (model->refuses_features) {
		value &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	}
	model->status = value;
}

void virtio_reg_write16(volatile uint8_t *at, uint16_t value)
{
	uint32_t offset;
	struct model *model = model_of(at, &offset);

	if (offset >= BAR_NOTIFY) {
		CU_ASSERT_EQUAL(offset, BAR_NOTIFY + 4u * model->notify_off);
		model->notify_count++;
		model_run(model);
		return;
	}
	model->queue_on = model->queue_on || (offset == COMMON_QUEUE_ENABLE && value == 1);
	if (offset == COMMON_QUEUE_SIZE) {
		model->queue_size = value;
	}
	if (offset == COMMON_QUEUE_MSIX_VECTOR && model->has_no_message) {
		value = NO_VECTOR;
	}
	memcpy(model->bar + offset, &value, 2);
}

static void half_put(uint64_t *whole, bool upper, uint32_t value)
{
	*whole = upper ? (*whole & UINT32_MAX) | (uint64_t)value << 32 : (*whole & ~(uint64_t)UINT32_MAX) | value;
}

void virtio_reg_write32(volatile uint8_t *at, uint32_t value)
{
	uint32_t offset;
	struct model *model = model_of(at, &offset);

	switch (offset & ~4u) {
	case COMMON_QUEUE_DESC:
		half_put(&model->desc_at, (offset & 4) != 0, value);
		return;
	case COMMON_QUEUE_DRIVER:
		half_put(&model->avail_at, (offset & 4) != 0, value);
		return;
	case COMMON_QUEUE_DEVICE:
		half_put(&model->used_at, (offset & 4) != 0, value);
		return;
	case COMMON_DEVICE_FEATURE_SELECT:
		model->feature_select = value;
		return;
	default:
		break;
	}
	if (offset == COMMON_DRIVER_FEATURE_SELECT) {
		model->driver_select = value;
		return;
	}
	CU_ASSERT_EQUAL_FATAL(offset, COMMON_DRIVER_FEATURE);
	half_put(&model->driver_features, model->driver_select != 0, value);
}

/* ------------------------------------------------------------------ the machine around it */

const void *host_acpi_table(const char *signature, size_t *bytes)
{
	(void)signature;
	*bytes = sizeof(mcfg_table);
	return mcfg_table;
}

void *host_mmio_map(hpa_t at, uint64_t bytes)
{
	uint64_t bar = (at.v - BARS_AT) / BAR_BYTES;

	if (at.v == ECAM_AT) {
		return space;
	}
	if (at.v < BARS_AT || bar >= MODELS || (at.v - BARS_AT) % BAR_BYTES + bytes > BAR_BYTES) {
		return NULL;
	}
	return models[bar].bar + (at.v - BARS_AT) % BAR_BYTES;
}

int host_irq_alloc(void (*handler)(void *context), void *context)
{
	irq_handlers[irq_count % 16] = handler;
	irq_contexts[irq_count % 16] = context;
	return (int)(0x30 + irq_count++);
}

bool host_msi_compose(unsigned int vector, unsigned int cpu, uint64_t *address, uint32_t *data)
{
	*address = 0xfee00000ull + cpu;
	*data = vector;
	return !msi_fails;
}

void host_delay_us(uint32_t us)
{
	(void)us;
}

uint64_t host_tsc_hz(void)
{
	return clock_hz;
}

unsigned int cpu_count(void)
{
	return 2;
}

void log_line(const char *format, ...)
{
	size_t len = strlen(log_text);
	va_list args;

	va_start(args, format);
	vsnprintf(log_text + len, sizeof(log_text) - len, format, args);
	va_end(args);
	strcat(log_text, "\n");
}

static bool log_has(const char *text)
{
	return strstr(log_text, text) != NULL;
}

static uint8_t pool[DISKS_MAX * 2][VIRTIO_BLK_MEMORY_BYTES] ALIGNED(4096);
static uint32_t pool_used;
static uint32_t pool_limit;

struct vm_page *frames_alloc(unsigned int order, enum frame_kind kind, uint16_t owner)
{
	CU_ASSERT(order == 2 && kind == FRAME_HOST && owner == 0);
	return pool_used < pool_limit ? (struct vm_page *)(void *)pool[pool_used++] : NULL;
}

hpa_t frames_hpa(const struct vm_page *page)
{
	return host_hpa_of(page);
}

void *heap_alloc(size_t bytes)
{
	static struct host_disk heap[DISKS_MAX * 2];
	void *memory = &heap[pool_used % (DISKS_MAX * 2)];

	CU_ASSERT_FATAL(bytes == sizeof(heap[0]));
	memset(memory, 0, bytes);
	return memory;
}

static void word_put(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, 4);
}

static uint8_t *config_of(uint32_t index)
{
	return space + (index << 15);
}

static void structure_put(uint32_t index, uint8_t at, uint8_t next, uint8_t type, uint32_t offset,
			  uint32_t bytes)
{
	uint8_t *cap = config_of(index) + at;

	memcpy(cap, (uint8_t[]){9, next, 20, type, 4}, 5);
	word_put(cap + 8, offset);
	word_put(cap + 12, bytes);
	word_put(cap + 16, 4);
}

#define ALL_FEATURES (FEATURES_WANTED | BIT64(28) | BIT64(29))

/* A block device in slot @index, in order. */
static struct model *model_put(uint32_t index)
{
	struct model *model = &models[index];
	uint8_t *config = config_of(index);

	memset(model, 0, sizeof(*model));
	memset(config, 0, 256);
	word_put(config, 0x10421af4);
	config[6] = 0x10;
	config[0x34] = 0x40;
	word_put(config + 0x20, (uint32_t)BARS_AT + index * BAR_BYTES);
	structure_put(index, 0x40, 0x60, CAP_COMMON_CFG, 0, COMMON_BYTES);
	structure_put(index, 0x60, 0x80, CAP_NOTIFY_CFG, BAR_NOTIFY, 16);
	structure_put(index, 0x80, 0xa0, 3, 0x800, 1);
	structure_put(index, 0xa0, 0xc0, CAP_DEVICE_CFG, BAR_CONFIG, 60);
	memcpy(config + 0xc0, (uint8_t[]){PCI_CAP_MSIX, 0, 1, 0}, 4);
	word_put(config + 0xc4, BAR_MSIX | 4);
	word_put(model->bar + BAR_CONFIG, SECTORS);
	word_put(model->bar + BAR_CONFIG + CONFIG_SIZE_MAX, 65536);
	word_put(model->bar + BAR_CONFIG + CONFIG_SEG_MAX, 126);
	word_put(model->bar + BAR_CONFIG + CONFIG_BLK_SIZE, 512);
	model->features = ALL_FEATURES & ~BIT64(VIRTIO_BLK_F_RO);
	model->queue_max = 64;
	model->notify_off = 3;
	snprintf(model->id, sizeof(model->id), "serial%u", index);
	return model;
}

static const struct pci_function slots[MODELS] = {
	{.device = 0, .vendor_id = 0x1af4, .device_id = 0x1042},
	{.device = 1, .vendor_id = 0x1af4, .device_id = 0x1042},
	{.device = 2, .vendor_id = 0x1af4, .device_id = 0x1042},
	{.device = 3, .vendor_id = 0x1af4, .device_id = 0x1042},
};

static struct model *machine_start(void)
{
	struct mcfg_row row = {.base = ECAM_AT};
	static struct model storage[MODELS];

	models = storage;
	memcpy(mcfg_table + MCFG_HEADER_BYTES, &row, sizeof(row));
	memset(space, 0xff, sizeof(space));
	memset(pool, 0, sizeof(pool));
	memset(openings, 0, sizeof(openings));
	pool_used = irq_count = disk_count = partition_count = 0;
	pool_limit = DISKS_MAX * 2;
	msi_fails = false;
	clock_hz = 1000000000ull;
	log_text[0] = 0;
	CU_ASSERT(pci_init());
	return model_put(0);
}

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
		{8, 0, 0},          /* out of range */
		{0xffff0000u, 0, 0},
		{1, 0, 0},          /* no head */
		{4, 0, 0},          /* free */
		{0, 36, 0},         /* one byte more than writable */
		{3, 1, 0},          /* written to what is only readable */
		{0, 0, 2},          /* three returned, but it had two */
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

#define REFUSED(change, text)                                                      \
	do {                                                                       \
		struct model *model = machine_start();                             \
		change;                                                            \
		CU_ASSERT_PTR_NOT_NULL(strstr(blk_refused(), text));               \
		CU_ASSERT(!model->queue_on || model->is_stuck);                    \
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
	REFUSED(word_put(config_of(0) + 0xac, 4), "no sectors");
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
	/* Nothing before it: still not in submit, but a poll is asked for; more than a batch of them too. */
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

#include "tests/unit/virtio_names.h"

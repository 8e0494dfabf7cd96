/*
 * virtio_fake.h - models of virtio block devices on a PCI bus, for tests of the host's drivers.
 *
 * A model sees what a device sees: registers, and the queue in memory. Only what is below that is replaced:
 * register access, interrupts, time. One test program includes it, once; it brings the drivers with it.
 */
#ifndef TESTS_UNIT_VIRTIO_FAKE_H
#define TESTS_UNIT_VIRTIO_FAKE_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor/drivers/pci.c"
#include "hypervisor/drivers/virtio_ring.c"
#include "hypervisor/drivers/virtio_pci.c"
#include "hypervisor/drivers/virtio_blk.c"
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
	uint8_t answer; /* a status other than OK to give */

	/* how it misbehaves */
	bool is_stuck, refuses_features, has_no_message, is_deaf, holds, is_torn;
};

uint8_t space[1 << 20];
struct model *models;
uint8_t mcfg_table[MCFG_HEADER_BYTES + sizeof(struct mcfg_row)];
uint32_t irq_count;
void (*irq_handlers[16])(void *context);
void *irq_contexts[16];
bool msi_fails;

void *memory_at(uint64_t at)
{
	return host_direct(hpa(at));
}

/* Moves a chain's data. Returns the bytes written to it. */
uint32_t chain_move(struct model *model, const struct held *held, const struct virtio_blk_slot *header)
{
	uint64_t at = header->sector * 512;
	uint32_t written = 0;

	for (uint32_t i = 1; i + 1 < held->count; i++) {
		const struct virtq_desc *desc = &held->desc[i];
		uint8_t *bytes = memory_at(desc->addr);

		if (header->type == VIRTIO_BLK_T_GET_ID) {
			memset(bytes, 0, desc->len);
			memcpy(bytes, model->id,
			       strlen(model->id) < desc->len ? strlen(model->id) : desc->len);
		} else {
			CU_ASSERT_FATAL(at + desc->len <= sizeof(model->data));
			CU_ASSERT_EQUAL((desc->flags & VIRTQ_DESC_F_WRITE) != 0,
			                header->type == VIRTIO_BLK_T_IN);
			memcpy(header->type == VIRTIO_BLK_T_IN ? bytes : model->data + at,
			       header->type == VIRTIO_BLK_T_IN ? model->data + at : bytes, desc->len);
		}
		written += (desc->flags & VIRTQ_DESC_F_WRITE) != 0 ? desc->len : 0;
		at += desc->len;
	}
	return written;
}

void used_put(struct model *model, uint32_t id, uint32_t len)
{
	struct virtq_used *used = memory_at(model->used_at);

	used->ring[model->used_idx % model->queue_size] = (struct virtq_used_elem){id, len};
	used->idx = ++model->used_idx;
}

/* Does and ends the @index-th chain that the device has. */
void model_end(struct model *model, uint32_t index)
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

/*
 * Checks the chain as a device would: bounded, readable before writable, header and status as they have to
 * be.
 */
void chain_take(struct model *model, uint16_t head)
{
	const struct virtq_desc *rows = memory_at(model->desc_at);
	struct held *held = &model->held[model->held_count++];
	uint16_t at = head;
	bool writable = false;

	CU_ASSERT_FATAL(model->held_count <= HELD_MAX);
	*held = (struct held){.head = head};
	do {
		CU_ASSERT_FATAL(at < model->queue_size && held->count < PIECES_MAX);
		held->desc[held->count] = rows[at];
		at = rows[at].next;
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

void model_run(struct model *model)
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

struct model *model_of(const volatile uint8_t *at, uint32_t *offset)
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

void half_put(uint64_t *whole, bool upper, uint32_t value)
{
	*whole = upper ? (*whole & UINT32_MAX) | (uint64_t)value << 32
	               : (*whole & ~(uint64_t)UINT32_MAX) | value;
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
	if (bytes == 0 || at.v < BARS_AT || bar >= MODELS ||
	    (at.v - BARS_AT) % BAR_BYTES + bytes > BAR_BYTES) {
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

void word_put(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, 4);
}

uint8_t *config_of(uint32_t index)
{
	return space + (index << 15);
}

void structure_put(uint32_t index, uint8_t at, uint8_t next, uint8_t type, uint32_t offset, uint32_t bytes)
{
	uint8_t *cap = config_of(index) + at;

	memcpy(cap, (uint8_t[]){9, next, 20, type, 4}, 5);
	word_put(cap + 8, offset);
	word_put(cap + 12, bytes);
	word_put(cap + 16, 4);
}

#define ALL_FEATURES (FEATURES_WANTED | BIT64(28) | BIT64(29))

/* A block device in slot @index, in order. */
struct model *model_put(uint32_t index)
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

const struct pci_function slots[MODELS] = {
        {.device = 0, .vendor_id = 0x1af4, .device_id = 0x1042},
        {.device = 1, .vendor_id = 0x1af4, .device_id = 0x1042},
        {.device = 2, .vendor_id = 0x1af4, .device_id = 0x1042},
        {.device = 3, .vendor_id = 0x1af4, .device_id = 0x1042},
};

struct model *machine_start(void)
{
	struct mcfg_row row = {.base = ECAM_AT};
	static struct model storage[MODELS];

	models = storage;
	memcpy(mcfg_table + MCFG_HEADER_BYTES, &row, sizeof(row));
	memset(space, 0xff, sizeof(space));
	irq_count = 0;
	msi_fails = false;
	CU_ASSERT(pci_init());
	return model_put(0);
}

#endif /* TESTS_UNIT_VIRTIO_FAKE_H */

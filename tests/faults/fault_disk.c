/*
 * fault_disk.c - the medium that fails by plan. What it is: fault_disk.h.
 */
#include "tests/faults/fault_disk.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define SECTOR BLOCK_SECTOR_BYTES

uint64_t fault_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* ------------------------------------------------------------------ the log */

static void *grow(void *memory, uint64_t need, uint64_t *room, size_t size)
{
	if (need > *room) {
		*room = need * 2;
		memory = realloc(memory, *room * size);
		CHECK(memory != NULL);
	}
	return memory;
}

static struct fault_event *log_add(struct fault_disk *disk, enum fault_event_kind kind)
{
	disk->log = grow(disk->log, disk->log_count + 1, &disk->log_room, sizeof(*disk->log));
	disk->log[disk->log_count] = (struct fault_event){.kind = kind};
	return &disk->log[disk->log_count++];
}

void fault_disk_log_write(struct fault_disk *disk, uint64_t sector, uint32_t bytes)
{
	struct fault_event *event;

	if (!disk->logging || bytes == 0) {
		return;
	}
	event = log_add(disk, FAULT_EVENT_WRITE);
	event->sector = sector;
	event->bytes = bytes;
	event->sectors = (bytes + SECTOR - 1) / SECTOR;
	event->data_at = disk->data_bytes;
	disk->data = grow(disk->data, disk->data_bytes + bytes, &disk->data_room, 1);
	memcpy(disk->data + disk->data_bytes, disk->now + sector * SECTOR, bytes);
	disk->data_bytes += bytes;
}

void fault_disk_log_flush(struct fault_disk *disk, uint64_t covers)
{
	if (disk->logging) {
		log_add(disk, FAULT_EVENT_FLUSH)->covers = covers;
	}
}

/* ------------------------------------------------------------------ doing a request */

/* Moves the first @bytes. */
static void move(struct fault_disk *disk, struct block_request *request, uint64_t bytes)
{
	uint8_t *at = disk->now + request->sector * SECTOR;
	uint64_t left = bytes;

	for (uint32_t i = 0; i < request->segment_count && left != 0; i++) {
		const struct io_segment *segment = &request->segments[i];
		size_t here = segment->len_bytes < left ? segment->len_bytes : (size_t)left;

		if (request->operation == BLOCK_READ) {
			memcpy(segment->bytes, at, here);
		} else {
			memcpy(at, segment->bytes, here);
		}
		at += here;
		left -= here;
	}
	if (request->operation == BLOCK_WRITE) {
		fault_disk_log_write(disk, request->sector, (uint32_t)bytes);
	}
}

static uint64_t bytes_of(const struct block_request *request)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < request->segment_count; i++) {
		bytes += request->segments[i].len_bytes;
	}
	return bytes;
}

static enum block_status act(struct fault_disk *disk, const struct fault_pending *pending)
{
	struct block_request *request = pending->request;
	uint64_t bytes = bytes_of(request);

	switch (pending->kind) {
	case FAULT_EIO:
		return BLOCK_EIO;
	case FAULT_READ_ONLY:
		return BLOCK_EREADONLY;
	case FAULT_TORN:
		/* To the middle of a sector; in a logged run only whole sectors arrive. */
		bytes = bytes / 2 / SECTOR * SECTOR + (disk->logging || bytes == 0 ? 0 : SECTOR / 2);
		move(disk, request, bytes);
		return BLOCK_EIO;
	case FAULT_SHORT:
		move(disk, request, bytes == 0 ? 0 : bytes - SECTOR);
		return BLOCK_EIO;
	default:
		break;
	}
	move(disk, request, bytes);
	if (request->operation == BLOCK_FLUSH) {
		fault_disk_log_flush(disk, pending->covers);
	}
	return pending->kind == FAULT_AFTER ? BLOCK_EIO : BLOCK_OK;
}

static void finish(struct fault_disk *disk, uint32_t index)
{
	struct fault_pending pending = disk->queue[index];
	enum block_status status;

	disk->queue[index] = disk->queue[--disk->queued];
	status = act(disk, &pending);
	disk->done++;
	block_done(pending.request, status);
}

static enum fault_kind fault_now(struct fault_disk *disk, const struct block_request *request)
{
	if ((disk->mask & 1u << request->operation) == 0 || disk->nth == 0) {
		return FAULT_NONE;
	}
	disk->seen++;
	if (disk->seen < disk->nth || disk->seen - disk->nth >= disk->count) {
		return FAULT_NONE;
	}
	disk->fired++;
	return disk->kind;
}

static void fault_submit(void *medium, struct block_request *request)
{
	struct fault_disk *disk = medium;
	struct fault_pending *pending = &disk->queue[disk->queued];

	CHECK(disk->queued < FAULT_DISK_QUEUE);
	CHECK(request->sector + bytes_of(request) / SECTOR <= disk->sector_count);
	*pending = (struct fault_pending){
		.request = request,
		.covers = disk->log_count,
		.kind = fault_now(disk, request),
	};
	if (pending->kind == FAULT_STALL) {
		pending->due_ns = disk->stall_ns == FAULT_FOREVER ? FAULT_FOREVER
								  : disk->now_ns + disk->stall_ns;
	}
	disk->queued++;
	disk->submitted++;
	if (!disk->late && pending->kind != FAULT_STALL) {
		finish(disk, disk->queued - 1);
	}
}

void fault_disk_run(struct fault_disk *disk, uint64_t now_ns)
{
	uint32_t start;

	disk->now_ns = now_ns;
	if (disk->pump != NULL) {
		disk->pump(disk);
		return;
	}
	if (disk->queued == 0 || fault_random(&disk->random) % 4 == 0) {
		return;
	}
	start = (uint32_t)(fault_random(&disk->random) % disk->queued);
	for (uint32_t i = 0; i < disk->queued; i++) {
		uint32_t at = (start + i) % disk->queued;

		if (disk->queue[at].due_ns <= now_ns) {
			finish(disk, at);
			return;
		}
	}
}

void fault_disk_drain(struct fault_disk *disk)
{
	for (uint32_t i = 0; i < disk->queued;) {
		if (disk->queue[i].due_ns != FAULT_FOREVER) {
			finish(disk, i);
			i = 0; /* its end may have brought others */
		} else {
			i++;
		}
	}
}

void fault_disk_release(struct fault_disk *disk, enum block_status status)
{
	while (disk->queued != 0) {
		disk->queue[0].kind = status == BLOCK_OK ? FAULT_NONE : FAULT_EIO;
		finish(disk, 0);
	}
}

uint32_t fault_disk_stalled(const struct fault_disk *disk)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < disk->queued; i++) {
		count += disk->queue[i].due_ns == FAULT_FOREVER;
	}
	return count;
}

/* ------------------------------------------------------------------ life */

static const struct block_medium_ops fault_ops = {.submit = fault_submit};

void fault_disk_init(struct fault_disk *disk, uint64_t sector_count, uint64_t seed)
{
	memset(disk, 0, sizeof(*disk));
	disk->sector_count = sector_count;
	disk->random = seed | 1;
	disk->now = calloc(sector_count, SECTOR);
	CHECK(disk->now != NULL);
	block_open(&disk->whole, &fault_ops, disk, sector_count, false, "fault");
}

void fault_disk_free(struct fault_disk *disk)
{
	CHECK(disk->queued == 0 && disk->submitted == disk->done);
	free(disk->now);
	free(disk->log);
	free(disk->data);
	memset(disk, 0, sizeof(*disk));
}

void fault_disk_plan(struct fault_disk *disk, enum fault_kind kind, uint32_t mask, uint64_t nth,
		     uint64_t count, uint64_t stall_ns)
{
	disk->kind = kind;
	disk->mask = mask;
	disk->nth = nth;
	disk->count = count;
	disk->stall_ns = stall_ns;
	disk->seen = 0;
	disk->fired = 0;
}

void fault_disk_log(struct fault_disk *disk, bool on)
{
	CHECK(disk->queued == 0);
	disk->logging = on;
	disk->log_count = 0;
	disk->data_bytes = 0;
}

/* ------------------------------------------------------------------ power cuts */

/* Of event @index the first @bytes. */
static void event_apply(struct fault_cut *cut, uint64_t index, uint32_t bytes)
{
	const struct fault_event *event = &cut->disk->log[index];

	memcpy(cut->image + event->sector * SECTOR, cut->disk->data + event->data_at, bytes);
}

void fault_cut_begin(struct fault_cut *cut, const struct fault_disk *disk, const uint8_t *base,
		     uint64_t seed)
{
	*cut = (struct fault_cut){.disk = disk, .random = seed | 1};
	cut->image = malloc(disk->sector_count * SECTOR);
	CHECK(cut->image != NULL);
	memcpy(cut->image, base, disk->sector_count * SECTOR);
}

bool fault_cut_next(struct fault_cut *cut)
{
	const struct fault_event *event;

	if (cut->at == cut->disk->log_count) {
		return false;
	}
	event = &cut->disk->log[cut->at++];
	if (event->kind == FAULT_EVENT_FLUSH) {
		for (; cut->kept < event->covers; cut->kept++) {
			event_apply(cut, cut->kept, cut->disk->log[cut->kept].bytes);
		}
	}
	return true;
}

void fault_cut_build(struct fault_cut *cut, enum fault_cut_kind kind, uint8_t *undo)
{
	for (uint64_t i = cut->kept; i < cut->at; i++) {
		const struct fault_event *event = &cut->disk->log[i];
		uint64_t at = event->sector * SECTOR;

		memcpy(undo + at, cut->image + at, event->bytes);
	}
	for (uint64_t i = cut->kept; kind != FAULT_CUT_NONE && i < cut->at; i++) {
		const struct fault_event *event = &cut->disk->log[i];
		uint32_t bytes = event->bytes;

		if (kind == FAULT_CUT_SUBSET && fault_random(&cut->random) % 2 == 0) {
			continue;
		}
		if ((kind == FAULT_CUT_TORN && i == cut->at - 1) ||
		    (kind == FAULT_CUT_SUBSET && fault_random(&cut->random) % 4 == 0)) {
			bytes = (uint32_t)(fault_random(&cut->random) % (event->sectors + 1)) * SECTOR;
			bytes = bytes < event->bytes ? bytes : event->bytes;
		}
		event_apply(cut, i, bytes);
	}
}

void fault_cut_undo(struct fault_cut *cut, const uint8_t *undo)
{
	for (uint64_t i = cut->kept; i < cut->at; i++) {
		const struct fault_event *event = &cut->disk->log[i];
		uint64_t at = event->sector * SECTOR;

		memcpy(cut->image + at, undo + at, event->bytes);
	}
}

void fault_cut_end(struct fault_cut *cut)
{
	free(cut->image);
	cut->image = NULL;
}

/*
 * fault_work.c - reads, writes and flushes whose outcome is remembered: each sector carries its
 * number and a version, so what stands on a disk says which write it is from.
 *
 * Two requests for one sector are never under way together: as a guest's block layer has it.
 */
#include "tests/faults/fault_rig.h"

#include "base/check.h"

#define STUCK_POLLS 4000u

static uint64_t stamp_word(uint64_t sector, uint32_t version, uint32_t i)
{
	return (sector + 1) * 0x9E3779B97F4A7C15ull ^ (uint64_t)version << 8 ^ i;
}

void fault_stamp(uint8_t bytes[512], uint64_t sector, uint32_t version)
{
	uint64_t words[64];

	for (uint32_t i = 0; i < 64; i++) {
		words[i] = stamp_word(sector, version, i);
	}
	words[0] = version;
	memcpy(bytes, words, 512);
	if (version == 0) {
		memset(bytes, 0, 512); /* never written */
	}
}

bool fault_stamp_read(const uint8_t bytes[512], uint64_t sector, uint32_t *version)
{
	uint64_t words[64];

	memcpy(words, bytes, 512);
	*version = (uint32_t)words[0];
	for (uint32_t i = 1; i < 64; i++) {
		if (words[i] != (*version == 0 ? 0 : stamp_word(sector, *version, i))) {
			return false;
		}
	}
	return true;
}

/* ------------------------------------------------------------------ outcomes */

static void promise(struct fault_work *w, uint32_t sector, uint32_t version)
{
	if (version <= w->promised[sector]) {
		return;
	}
	w->promised[sector] = version;
	if (!w->disk->logging) {
		return;
	}
	if (w->promise_count == w->promise_room) {
		w->promise_room = w->promise_room * 2 + 64;
		w->promises = realloc(w->promises, w->promise_room * sizeof(*w->promises));
		CHECK(w->promises != NULL);
	}
	w->promises[w->promise_count++] = (struct fault_promise){w->disk->log_count, sector, version};
}

static void read_done(struct fault_work *w, const struct fault_io *io)
{
	for (uint32_t i = 0; i < io->sectors; i++) {
		uint32_t sector = (uint32_t)io->sector + i, version;
		uint8_t bytes[512];
		bool whole;

		fault_io_get(io, i, bytes);
		whole = fault_stamp_read(bytes, sector, &version);
		w->bad_reads += !w->unknown[sector] && (!whole || version != w->acked[sector]);
	}
}

static void write_done(struct fault_work *w, const struct fault_io *io, bool ok)
{
	bool through = io->op == FAULT_WRITE_FLUSH && w->g->face == FAULT_HYPERV;

	for (uint32_t i = 0; i < io->sectors; i++) {
		uint32_t sector = (uint32_t)io->sector + i;

		w->unknown[sector] = !ok;
		if (ok) {
			w->acked[sector] = w->written[sector];
		}
		if (ok && through) {
			promise(w, sector, w->acked[sector]);
		}
	}
	w->write_acks += ok;
	w->write_acks_promised += ok && through;
}

static void flush_done(struct fault_work *w, const struct fault_io *io)
{
	for (uint32_t i = 0; i < FAULT_SECTORS; i++) {
		promise(w, i, io->versions[i]);
	}
	if (io->acked_before > w->write_acks_promised) {
		w->write_acks_promised = io->acked_before;
	}
	w->flush_acks++;
}

static void work_done(struct fault_io *io)
{
	struct fault_work *w = io->context;
	bool ok = io->result == FAULT_OK;

	w->ok_count += ok;
	w->error_count += io->result == FAULT_ERROR;
	w->denied_count += io->result == FAULT_DENIED;
	w->unanswered_count += io->result == FAULT_UNANSWERED;
	w->wrong_count += io->result == FAULT_WRONG;
	if (io->op == FAULT_READ && ok) {
		read_done(w, io);
	}
	if (ok && (io->op == FAULT_FLUSH || (io->op == FAULT_WRITE_FLUSH && w->g->face == FAULT_XEN))) {
		flush_done(w, io);
	}
	if (io->op == FAULT_WRITE || io->op == FAULT_WRITE_FLUSH) {
		write_done(w, io, ok);
	}
	for (uint32_t i = 0; io->op != FAULT_FLUSH && i < io->sectors; i++) {
		w->busy[io->sector + i] = false;
	}
}

/* ------------------------------------------------------------------ requests */

static enum fault_op choose_op(struct fault_work *w)
{
	uint64_t dice = fault_random(&w->random) % 32;

	if (!w->flushing) {
		return dice < 16 ? FAULT_READ : FAULT_WRITE;
	}
	return dice < 3 ? FAULT_READ : dice < 28 ? FAULT_WRITE : dice < 31 ? FAULT_FLUSH : FAULT_WRITE_FLUSH;
}

/* A place where nothing is under way. */
static bool choose_place(struct fault_work *w, struct fault_io *io)
{
	io->sectors = 1 + (uint32_t)(fault_random(&w->random) % FAULT_IO_SECTORS);
	if (fault_random(&w->random) % 2 == 0) {
		io->sectors = 1;
	}
	io->sector = fault_random(&w->random) % (FAULT_SECTORS - io->sectors + 1);
	io->offset = (uint32_t)(fault_random(&w->random) % 8) * 512;
	if (w->g->face == FAULT_HYPERV && fault_random(&w->random) % 8 == 0) {
		io->offset += 4; /* through the bounce buffer */
	}
	for (uint32_t i = 0; i < io->sectors; i++) {
		if (w->busy[io->sector + i]) {
			return false;
		}
	}
	return true;
}

static void io_fill(struct fault_work *w, struct fault_io *io)
{
	uint8_t bytes[512];

	for (uint32_t i = 0; i < io->sectors; i++) {
		uint64_t sector = io->sector + i;

		w->busy[sector] = true;
		if (io->op == FAULT_READ) {
			memset(bytes, 0xEE, sizeof(bytes));
		} else {
			fault_stamp(bytes, sector, ++w->written[sector]);
		}
		fault_io_put(io, i, bytes);
	}
}

/* False: not now. */
static bool io_next(struct fault_work *w, struct fault_io *io)
{
	io->op = choose_op(w);
	if (io->op != FAULT_FLUSH) {
		if (!choose_place(w, io)) {
			return false;
		}
		io_fill(w, io);
	}
	memcpy(io->versions, w->acked, sizeof(io->versions));
	io->acked_before = w->write_acks;
	if (fault_io_submit(io)) {
		return true;
	}
	for (uint32_t i = 0; io->op != FAULT_FLUSH && i < io->sectors; i++) {
		w->busy[io->sector + i] = false;
		w->written[io->sector + i] -= io->op != FAULT_READ;
	}
	return false;
}

static struct fault_io *io_free(struct fault_work *w)
{
	for (uint32_t i = 0; i < FAULT_IOS; i++) {
		if (!w->ios[i].busy) {
			return &w->ios[i];
		}
	}
	return NULL;
}

static uint64_t ended(const struct fault_work *w)
{
	return w->ok_count + w->error_count + w->denied_count + w->unanswered_count + w->wrong_count;
}

bool fault_work_run(struct fault_work *w, uint32_t requests)
{
	uint64_t before = ended(w);

	for (uint32_t idle = 0; requests != 0 && idle < STUCK_POLLS; idle++) {
		struct fault_io *io = io_free(w);

		if (io != NULL && io_next(w, io)) {
			requests--;
			idle = 0;
		}
		if (io == NULL || fault_random(&w->random) % 4 == 0) {
			fault_poll(w->g);
		}
		if (ended(w) != before) {
			before = ended(w);
			idle = 0;
		}
	}
	return requests == 0;
}

bool fault_work_wait(struct fault_work *w)
{
	bool all = true;

	for (uint32_t i = 0; i < FAULT_IOS; i++) {
		all = fault_io_wait(&w->ios[i]) && all;
	}
	return all;
}

void fault_work_begin(struct fault_work *w, struct fault_guest *g, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	w->g = g;
	w->disk = g->disk;
	w->random = seed * 2 + 1;
	w->flushing = true;
	for (uint32_t i = 0; i < FAULT_IOS; i++) {
		fault_io_alloc(g, &w->ios[i]);
		w->ios[i].done = work_done;
		w->ios[i].context = w;
	}
}

void fault_work_verify(struct fault_work *w)
{
	struct fault_io *io = &w->ios[0];

	io->offset = 0;
	io->op = FAULT_READ;
	io->sectors = FAULT_IO_SECTORS;
	for (uint64_t sector = 0; sector < FAULT_SECTORS; sector += FAULT_IO_SECTORS) {
		io->sector = sector;
		CU_ASSERT_TRUE_FATAL(fault_io_submit(io));
		CU_ASSERT_TRUE_FATAL(fault_io_wait(io));
		CU_ASSERT_EQUAL_FATAL(io->result, FAULT_OK);
	}
	CU_ASSERT_EQUAL_FATAL(w->bad_reads, 0);
	CU_ASSERT_EQUAL_FATAL(w->wrong_count, 0);
}

void fault_work_end(struct fault_work *w, bool free_pages)
{
	for (uint32_t i = 0; free_pages && i < FAULT_IOS; i++) {
		fault_io_free(&w->ios[i]);
	}
	free(w->promises);
	w->promises = NULL;
}

/*
 * xen_blkif.c - probes of specs/blkif.def: the requests of a block ring, by io/blkif.h.
 *
 * The disk is the face's first. It is written to only if its first sector says that it may be. Requests that are to be
 * refused name sectors behind its end, so that nothing is harmed where they are not.
 */
#include "guest-drivers/certify/scratch.h"
#include "guest-drivers/certify/xen_probe.h"

#define SECTOR BLKIF_SECTOR_BYTES
#define PAGE_SECTORS (PAGE_BYTES / SECTOR)
#define SEGMENTS BLKIF_MAX_SEGMENTS_PER_REQUEST
#define ID_DIGITS_MAX 9u
#define NOT_ASKED 1
#define FILL 0xA5u

struct disk {
	struct probe *p;
	struct xen_guest *x;
	struct xen_blkfront blk;
	struct guest_page pages[SEGMENTS];
	int status;
};

static struct disk disk;

/* ------------------------------------------------------------------ the disk */

/* The first name below device/vbd. False: there is none. */
static bool find_id(struct xen_guest *x, uint32_t *id)
{
	int64_t len = xen_store_list(x, 0, "device/vbd");

	*id = 0;
	for (uint32_t i = 0; len > 0 && i < ID_DIGITS_MAX && x->store.payload[i] != 0; i++) {
		*id = *id * 10 + (uint32_t)(x->store.payload[i] - '0');
	}
	return len > 0;
}

struct xen_blkfront *xp_disk_open(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t id;

	disk.p = p;
	disk.x = x;
	if (x == NULL || !find_id(x, &id)) {
		return NULL;
	}
	return probe_check(p, xen_blkfront_open(&disk.blk, x, id), "the disk %u does not connect", id)
	               ? &disk.blk
	               : NULL;
}

void xp_disk_close(struct probe *p)
{
	(void)probe_check(p, !disk.blk.ring.broken, "the disk's ring is broken");
	(void)probe_check(p, xen_blkfront_close(&disk.blk), "the disk does not close");
	(void)probe_equal(p, disk.blk.lost_pages, 0, "pages that the disk keeps");
}

/* The disk and pages for a request; else the probe is skipped, or has failed. */
static bool disk_begin(struct probe *p)
{
	if (xp_disk_open(p) == NULL) {
		probe_skip(p, "no disk");
		return false;
	}
	if (!xp_pages(p, disk.pages, SEGMENTS)) {
		xp_disk_close(p);
		return false;
	}
	return true;
}

static void disk_end(struct probe *p)
{
	xp_disk_close(p);
	if (disk.blk.lost_pages == 0) {
		xp_pages_free(p, disk.pages, SEGMENTS);
	}
}

/* ------------------------------------------------------------------ requests */

static void request_done(void *context, int status)
{
	struct disk *of = context;

	of->status = status;
}

static bool request_is_done(void *context)
{
	struct disk *of = context;

	xen_blkfront_poll(&of->blk);
	return of->status != NOT_ASKED || of->blk.ring.broken;
}

/* Waits for the answer that is under way. */
static int answer(void)
{
	(void)probe_check(disk.p, certify_wait(disk.p->c, request_is_done, &disk, 5 * XP_PATIENCE_US),
	                  "a request is not answered");
	return disk.status;
}

/* BLKIF_RSP_*, or NOT_ASKED. */
static int ask(uint8_t operation, uint64_t sector, const struct xen_blk_piece *pieces, uint32_t count)
{
	disk.status = NOT_ASKED;
	if (!probe_check(
	            disk.p,
	            xen_blkfront_submit(&disk.blk, operation, sector, pieces, count, request_done, &disk),
	            "a request cannot be made")) {
		return NOT_ASKED;
	}
	return answer();
}

/* The same with the request as it stands; @echoed is the operation that its answer carries. */
static int ask_raw(struct xen_blkif_request64 *request, uint8_t echoed)
{
	struct xen_blk_slot *slot = &disk.blk.slots[0];
	uint32_t index = disk.blk.ring.req_prod % XEN_BLK_ENTRIES;

	disk.status = NOT_ASKED;
	*slot = (struct xen_blk_slot){
	        .used = true, .operation = echoed, .done = request_done, .context = &disk};
	disk.blk.used_count++;
	request->id = 0;
	memcpy(disk.blk.ring.page.bytes + XEN_RING_HEADER_BYTES + index * BLKIF_SLOT_BYTES_64, request,
	       sizeof(*request));
	if (xen_ring_push(&disk.blk.ring, disk.blk.ring.req_prod + 1)) {
		(void)xen_port_notify(disk.x, disk.blk.port);
	}
	return answer();
}

static struct xen_blk_piece piece(uint32_t page, uint32_t first, uint32_t last)
{
	return (struct xen_blk_piece){
	        .gfn = disk.pages[page].gfn, .first = (uint8_t)first, .last = (uint8_t)last};
}

/* One piece from sector @first to @last of page 0. */
static int ask_one(uint8_t operation, uint64_t sector, uint32_t first, uint32_t last)
{
	struct xen_blk_piece one = piece(0, first, last);

	return ask(operation, sector, &one, 1);
}

static void check_answer(int got, int wanted, const char *what)
{
	(void)xp_result(disk.p, got, wanted, what);
}

static void fill_pages(void)
{
	for (uint32_t i = 0; i < SEGMENTS; i++) {
		memset(disk.pages[i].bytes, FILL, PAGE_BYTES);
	}
}

/* ------------------------------------------------------------------ what no data request may be */

/* Sectors behind the end, segments that are none, pages that were not granted. The ring goes on after each. */
static void check_bad(uint8_t operation)
{
	struct xen_blkif_request64 raw = {.operation = operation, .nr_segments = 1};
	uint64_t end = disk.blk.sector_count;
	uint32_t free_ref = xen_grant(disk.x, disk.pages[0].gfn, false);

	(void)!xen_grant_end(disk.x, free_ref);
	check_answer(ask_one(operation, end, 0, 0), BLKIF_RSP_ERROR, "a sector behind the last");
	check_answer(ask_one(operation, end - 1, 0, 1), BLKIF_RSP_ERROR, "sectors over the end");
	check_answer(ask_one(operation, UINT64_MAX, 0, 0), BLKIF_RSP_ERROR, "sector 2^64-1");
	check_answer(ask_one(operation, UINT64_MAX - 7, 0, 7), BLKIF_RSP_ERROR, "sectors over 2^64");
	check_answer(ask_one(operation, end - PAGE_SECTORS, 5, 4), BLKIF_RSP_ERROR,
	             "a piece that ends before it begins");
	check_answer(ask_one(operation, end - PAGE_SECTORS, 0, PAGE_SECTORS), BLKIF_RSP_ERROR,
	             "a piece over the end of a page");
	check_answer(ask(operation, 0, NULL, 0), BLKIF_RSP_ERROR, "no pieces");
	raw.sector_number = end - 1;
	raw.seg[0].gref = free_ref;
	check_answer(ask_raw(&raw, operation), BLKIF_RSP_ERROR, "a grant that there is not");
	raw.seg[0].gref = UINT32_MAX;
	check_answer(ask_raw(&raw, operation), BLKIF_RSP_ERROR, "a grant far behind the table");
	raw.nr_segments = SEGMENTS + 1;
	check_answer(ask_raw(&raw, operation), BLKIF_RSP_ERROR, "12 pieces");
	raw.nr_segments = 255;
	check_answer(ask_raw(&raw, operation), BLKIF_RSP_ERROR, "255 pieces");
}

/* ------------------------------------------------------------------ READ */

/* The same eleven sectors in one piece each, out of place, as before in two long pieces. */
static void check_pieces(void)
{
	struct xen_blk_piece pieces[SEGMENTS];
	struct xen_blk_piece whole[2] = {piece(0, 0, 7), piece(1, 0, SEGMENTS - PAGE_SECTORS - 1)};
	static uint8_t expected[SEGMENTS * SECTOR];
	uint32_t wrong = 0;

	check_answer(ask(BLKIF_OP_READ, 0, whole, 2), BLKIF_RSP_OKAY, "eleven sectors in two pieces");
	memcpy(expected, disk.pages[0].bytes, PAGE_BYTES);
	memcpy(expected + PAGE_BYTES, disk.pages[1].bytes, sizeof(expected) - PAGE_BYTES);
	fill_pages();
	for (uint32_t i = 0; i < SEGMENTS; i++) {
		pieces[i] = piece(SEGMENTS - 1 - i, i % PAGE_SECTORS, i % PAGE_SECTORS);
	}
	check_answer(ask(BLKIF_OP_READ, 0, pieces, SEGMENTS), BLKIF_RSP_OKAY,
	             "eleven sectors in eleven pieces");
	for (uint32_t i = 0; i < SEGMENTS; i++) {
		const uint8_t *page = disk.pages[SEGMENTS - 1 - i].bytes;

		for (uint32_t j = 0; j < PAGE_BYTES; j++) {
			bool read = j / SECTOR == i % PAGE_SECTORS;

			wrong += page[j] != (read ? expected[(size_t)i * SECTOR + j % SECTOR] : FILL);
		}
	}
	(void)probe_equal(disk.p, wrong, 0, "bytes that differ, or beside what was asked for");
}

/* Into a page that may only be read. */
static void check_read_only_grant(void)
{
	uint32_t ref = xen_grant(disk.x, disk.pages[0].gfn, true);
	struct xen_blkif_request64 raw = {.operation = BLKIF_OP_READ, .nr_segments = 1};

	raw.seg[0].gref = ref;
	memset(disk.pages[0].bytes, FILL, PAGE_BYTES);
	check_answer(ask_raw(&raw, BLKIF_OP_READ), BLKIF_RSP_ERROR, "a read into what may be read only");
	(void)probe_check(disk.p, disk.pages[0].bytes[0] == FILL, "it was written to");
	(void)probe_check(disk.p, xen_grant_end(disk.x, ref), "the grant stays in use");
}

static void probe_BLKIF_OP_READ(struct probe *p)
{
	if (!disk_begin(p)) {
		return;
	}
	if (probe_check(p, disk.blk.sector_count >= 2ul * SEGMENTS && disk.blk.sector_bytes >= SECTOR,
	                "%lu sectors of %u bytes", (unsigned long)disk.blk.sector_count,
	                disk.blk.sector_bytes)) {
		fill_pages();
		check_answer(ask_one(BLKIF_OP_READ, 0, 3, 3), BLKIF_RSP_OKAY, "one sector");
		(void)probe_check(p,
		                  disk.pages[0].bytes[3 * SECTOR - 1] == FILL &&
		                          disk.pages[0].bytes[4 * SECTOR] == FILL,
		                  "bytes beside it are written");
		check_answer(ask_one(BLKIF_OP_READ, disk.blk.sector_count - 1, 0, 0), BLKIF_RSP_OKAY,
		             "the last sector");
		check_pieces();
		check_bad(BLKIF_OP_READ);
		check_read_only_grant();
		check_answer(ask_one(BLKIF_OP_READ, 0, 0, 7), BLKIF_RSP_OKAY,
		             "a page of sectors, after all that");
	}
	probe_note(p, "%lu sectors of %u bytes", (unsigned long)disk.blk.sector_count, disk.blk.sector_bytes);
	disk_end(p);
}

/* ------------------------------------------------------------------ WRITE, FLUSH */

/* Skips the probe unless the disk may be written to. */
static bool disk_is_scratch(struct probe *p)
{
	if (ask_one(BLKIF_OP_READ, 0, 0, 0) != BLKIF_RSP_OKAY || !scratch_marked(disk.pages[0].bytes)) {
		probe_skip(p, "scratch disk without marker");
		return false;
	}
	if (disk.blk.sector_count < CERTIFY_SCRATCH_BYTES / SECTOR) {
		probe_skip(p, "scratch disk too small");
		return false;
	}
	return true;
}

static uint8_t pattern(uint32_t i, uint32_t seed)
{
	return (uint8_t)(i * 13 + i / SECTOR * 101 + seed);
}

/* All bytes of eleven pages, out and back. */
static void check_written(uint64_t sector, uint32_t seed)
{
	struct xen_blk_piece pieces[SEGMENTS];
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < SEGMENTS; i++) {
		pieces[i] = piece(i, 0, PAGE_SECTORS - 1);
		for (uint32_t j = 0; j < PAGE_BYTES; j++) {
			disk.pages[i].bytes[j] = pattern(i * PAGE_BYTES + j, seed);
		}
	}
	check_answer(ask(BLKIF_OP_WRITE, sector, pieces, SEGMENTS), BLKIF_RSP_OKAY, "writing eleven pages");
	fill_pages();
	check_answer(ask(BLKIF_OP_READ, sector, pieces, SEGMENTS), BLKIF_RSP_OKAY, "reading them");
	for (uint32_t i = 0; i < SEGMENTS * PAGE_BYTES; i++) {
		wrong += disk.pages[i / PAGE_BYTES].bytes[i % PAGE_BYTES] != pattern(i, seed);
	}
	(void)probe_equal(disk.p, wrong, 0, "bytes that came back otherwise");
}

/* One sector among others, which stay. */
static void check_one_written(uint64_t sector)
{
	uint32_t wrong = 0;

	memset(disk.pages[0].bytes, 0x3C, PAGE_BYTES);
	check_answer(ask_one(BLKIF_OP_WRITE, sector + 3, 5, 5), BLKIF_RSP_OKAY, "writing one sector");
	check_answer(ask_one(BLKIF_OP_READ, sector, 0, 7), BLKIF_RSP_OKAY, "reading it and its neighbours");
	for (uint32_t i = 0; i < PAGE_BYTES; i++) {
		wrong += disk.pages[0].bytes[i] != (i / SECTOR == 3 ? 0x3C : pattern(i, 77));
	}
	(void)probe_equal(disk.p, wrong, 0, "bytes that came back otherwise");
}

static void probe_BLKIF_OP_WRITE(struct probe *p)
{
	if (!disk_begin(p)) {
		probe_skip(p, "no scratch disk");
		return;
	}
	if (disk_is_scratch(p)) {
		if (disk.blk.read_only) {
			check_answer(ask_one(BLKIF_OP_WRITE, CERTIFY_SCRATCH_SECTOR, 0, 0), BLKIF_RSP_ERROR,
			             "writing to a disk that may be read only");
		} else {
			check_written(CERTIFY_SCRATCH_SECTOR + 1, 5);
			check_written(CERTIFY_SCRATCH_SECTOR, 77);
			check_one_written(CERTIFY_SCRATCH_SECTOR);
			check_bad(BLKIF_OP_WRITE);
		}
	}
	disk_end(p);
}

/* The feature's node says whether it is offered. */
static bool feature(struct probe *p, const char *name)
{
	probe_offer(p, xen_frontend_read(&disk.blk.front, name, 0) != 0);
	probe_note(p, "%s: %u", name, p->offered);
	return p->offered;
}

static void probe_BLKIF_OP_FLUSH_DISKCACHE(struct probe *p)
{
	if (!disk_begin(p)) {
		return;
	}
	if (feature(p, "feature-flush-cache")) {
		check_answer(ask(BLKIF_OP_FLUSH_DISKCACHE, 0, NULL, 0), BLKIF_RSP_OKAY, "a flush");
		check_answer(ask(BLKIF_OP_FLUSH_DISKCACHE, 0, NULL, 0), BLKIF_RSP_OKAY, "another one");
	} else {
		check_answer(ask(BLKIF_OP_FLUSH_DISKCACHE, 0, NULL, 0), BLKIF_RSP_EOPNOTSUPP, "a flush");
	}
	disk_end(p);
}

/* ------------------------------------------------------------------ refused */

/* Behind the end, so that a disk that takes it does nothing. */
static int ask_refused(uint8_t operation, uint8_t second, uint8_t echoed)
{
	struct xen_blkif_request64 raw = {.operation = operation, .nr_segments = second};

	raw.sector_number = disk.blk.sector_count + 1000;
	return ask_raw(&raw, echoed);
}

static void probe_BLKIF_OP_WRITE_BARRIER(struct probe *p)
{
	if (!disk_begin(p)) {
		return;
	}
	if (!feature(p, "feature-barrier")) {
		check_answer(ask_refused(BLKIF_OP_WRITE_BARRIER, 1, BLKIF_OP_WRITE_BARRIER),
		             BLKIF_RSP_EOPNOTSUPP, "a barrier");
		check_answer(ask_refused(BLKIF_OP_WRITE_BARRIER, 0, BLKIF_OP_WRITE_BARRIER),
		             BLKIF_RSP_EOPNOTSUPP, "a barrier without data");
	} else {
		(void)probe_check(p, true, "offered");
	}
	disk_end(p);
}

static void probe_BLKIF_OP_DISCARD(struct probe *p)
{
	if (!disk_begin(p)) {
		return;
	}
	if (!feature(p, "feature-discard")) {
		check_answer(ask_refused(BLKIF_OP_DISCARD, 0, BLKIF_OP_DISCARD), BLKIF_RSP_EOPNOTSUPP,
		             "a discard");
		check_answer(ask_refused(BLKIF_OP_DISCARD, BLKIF_DISCARD_SECURE, BLKIF_OP_DISCARD),
		             BLKIF_RSP_EOPNOTSUPP, "a secure one");
	} else {
		(void)probe_check(p, true, "offered");
	}
	disk_end(p);
}

/* Its answer carries the operation inside it. Operations that there are not are refused too. */
static void probe_BLKIF_OP_INDIRECT(struct probe *p)
{
	if (!disk_begin(p)) {
		return;
	}
	if (!feature(p, "feature-max-indirect-segments")) {
		check_answer(ask_refused(BLKIF_OP_INDIRECT, BLKIF_OP_READ, BLKIF_OP_READ),
		             BLKIF_RSP_EOPNOTSUPP, "an indirect read");
		check_answer(ask_refused(BLKIF_OP_INDIRECT, BLKIF_OP_WRITE, BLKIF_OP_WRITE),
		             BLKIF_RSP_EOPNOTSUPP, "an indirect write");
	} else {
		(void)probe_check(p, true, "offered");
	}
	(void)XP_RESULT_OF(p, ask_refused(4, 0, 4), "operation 4, which there is not", BLKIF_RSP_EOPNOTSUPP,
	                   BLKIF_RSP_ERROR);
	(void)XP_RESULT_OF(p, ask_refused(200, 0, 200), "operation 200, which there is not",
	                   BLKIF_RSP_EOPNOTSUPP, BLKIF_RSP_ERROR);
	disk_end(p);
}

/* Not by ROW(): the names are macros, and are to stay as they are. */
#define SPEC_ROW(number, name, status, handler, clause) \
	{#name, (uint64_t)(number), ROW_##status, clause, probe_##name},
static const struct row rows[] = {
#include "specs/blkif.def"
};
ROW_TABLE(blkif, NEED_XEN)

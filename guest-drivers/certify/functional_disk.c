/*
 * functional_disk.c - the first disk of either face: written, flushed, read back, and from one face to the other.
 */
#include "guest-drivers/certify/functional.h"
#include "guest-drivers/certify/scratch.h"
#include "guest-drivers/text.h"

#define SECTORS_A_PAGE (PAGE_BYTES / 512u)
#define QUEUE 32u
#define WAIT_US 5000000u
#define LIST_BYTES 256u

static struct hv_storvsc stor;
static struct hv_disk hv_disk;
static struct xen_blkfront blk;

/* ------------------------------------------------------------------ Hyper-V */

static void hv_done(void *context, const struct hv_scsi_result *result)
{
	struct io_disk *disk = context;

	disk->pending--;
	disk->errors += !result->answered || result->srb_status != SRB_STATUS_SUCCESS;
}

static bool hv_submit(struct io_disk *disk, enum io_operation operation, uint64_t sector,
                      const struct guest_page *page)
{
	static const enum hv_disk_operation operations[] = {HV_DISK_READ, HV_DISK_WRITE, HV_DISK_FLUSH};
	const struct hv_buffer buffer = {0, operation == IO_FLUSH ? 0 : PAGE_BYTES,
	                                 page == NULL ? NULL : &page->gfn};

	return hv_disk_submit(&hv_disk, operations[operation], sector, &buffer, hv_done, disk);
}

static bool hv_open(struct probe *p, struct io_disk *disk)
{
	struct hv_guest *hv = certify_hv_connected(p);

	if (hv == NULL) {
		return false;
	}
	if (hv_bus_find(hv, (struct vmbus_guid)VMBUS_CLASS_SCSI, 0) == NULL) {
		probe_skip(p, "no SCSI controller is offered");
		return false;
	}
	memset(&stor, 0, sizeof(stor));
	if (!probe_check(p, hv_storvsc_open(&stor, hv, 0), "storvsc does not open")) {
		return false;
	}
	if (!hv_disk_open(&hv_disk, &stor, 0)) {
		probe_skip(p, "no scratch disk: the controller has no LUN 0");
		(void)probe_check(p, hv_storvsc_close(&stor), "storvsc does not close");
		return false;
	}
	disk->sector_count = hv_disk.sector_count * hv_disk.sector_bytes / 512;
	return probe_equal(p, hv_disk.sector_bytes, 512, "bytes of a sector");
}

/* ------------------------------------------------------------------ Xen */

static void xen_done(void *context, int status)
{
	struct io_disk *disk = context;

	disk->pending--;
	disk->errors += status != BLKIF_RSP_OKAY;
}

static bool xen_submit(struct io_disk *disk, enum io_operation operation, uint64_t sector,
                       const struct guest_page *page)
{
	static const uint8_t operations[] = {BLKIF_OP_READ, BLKIF_OP_WRITE, BLKIF_OP_FLUSH_DISKCACHE};
	const struct xen_blk_piece piece = {page == NULL ? 0 : page->gfn, 0, SECTORS_A_PAGE - 1};

	return xen_blkfront_submit(&blk, operations[operation], sector, &piece, operation == IO_FLUSH ? 0 : 1,
	                           xen_done, disk);
}

/* The number of the first directory below @path; false: there is none. */
static bool first_device(struct xen_guest *x, const char *path, uint32_t *id)
{
	int64_t bytes = xen_store_list(x, 0, path);

	*id = 0;
	for (const char *at = x->store.payload; bytes > 0 && *at >= '0' && *at <= '9'; at++) {
		*id = *id * 10 + (uint32_t)(*at - '0');
	}
	return bytes > 0;
}

static bool xen_open(struct probe *p, struct io_disk *disk)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t id;

	if (x == NULL) {
		return false;
	}
	if (!first_device(x, "device/vbd", &id)) {
		probe_skip(p, "no scratch disk: no block device in the store");
		return false;
	}
	memset(&blk, 0, sizeof(blk));
	if (!probe_check(p, xen_blkfront_open(&blk, x, id), "block device %u does not open", id)) {
		(void)xen_blkfront_close(&blk);
		return false;
	}
	disk->sector_count = blk.sector_count;
	return true;
}

/* ------------------------------------------------------------------ either */

bool io_disk_open(struct probe *p, struct io_disk *disk, enum io_face face)
{
	struct guest_page page;

	*disk = (struct io_disk){.face = face, .c = p->c};
	if (face == IO_HYPERV && p->c->faces.hyperv_base == 0) {
		probe_skip(p, "no Hyper-V here");
		return false;
	}
	if (face == IO_XEN && p->c->faces.xen_base == 0) {
		probe_skip(p, "no Xen here");
		return false;
	}
	if (!(face == IO_HYPERV ? hv_open(p, disk) : xen_open(p, disk))) {
		return false;
	}
	if (!guest_page_alloc(p->c->guest, &page)) {
		return probe_check(p, false, "no page left");
	}
	if (probe_check(p, io_disk_run(disk, IO_READ, 0, &page), "the first sectors cannot be read")) {
		disk->is_scratch =
		        scratch_marked(page.bytes) && disk->sector_count * 512 >= CERTIFY_SCRATCH_BYTES;
	}
	guest_page_free(p->c->guest, &page);
	return true;
}

bool io_disk_open_scratch(struct probe *p, struct io_disk *disk, enum io_face face)
{
	if (!io_disk_open(p, disk, face)) {
		return false;
	}
	if (!disk->is_scratch) {
		probe_skip(p, "the disk is no scratch disk: sector 0 does not carry the marker, or it is "
		              "below 1 MiB");
		io_disk_close(p, disk);
		return false;
	}
	return true;
}

void io_disk_close(struct probe *p, struct io_disk *disk)
{
	if (disk->face == IO_HYPERV) {
		(void)probe_check(p, hv_storvsc_close(&stor), "storvsc does not close");
	} else {
		(void)probe_check(p, xen_blkfront_close(&blk), "the block device does not close");
	}
}

bool io_disk_submit(struct io_disk *disk, enum io_operation operation, uint64_t sector,
                    const struct guest_page *page)
{
	disk->pending++;
	if (!(disk->face == IO_HYPERV ? hv_submit : xen_submit)(disk, operation, sector, page)) {
		disk->pending--;
		return false;
	}
	return true;
}

static bool is_idle(void *context)
{
	struct io_disk *disk = context;

	if (disk->face == IO_HYPERV) {
		hv_poll(&disk->c->hv);
	} else {
		xen_poll(&disk->c->xen);
		xen_blkfront_poll(&blk);
	}
	return disk->pending == 0;
}

bool io_disk_wait(struct io_disk *disk)
{
	bool ended = certify_wait(disk->c, is_idle, disk, WAIT_US);
	bool good = ended && disk->errors == 0;

	disk->errors = 0;
	return good;
}

bool io_disk_run(struct io_disk *disk, enum io_operation operation, uint64_t sector,
                 const struct guest_page *page)
{
	return io_disk_submit(disk, operation, sector, page) && io_disk_wait(disk);
}

void pattern_fill(const struct guest_page *page, uint32_t seed)
{
	for (uint32_t i = 0; i < PAGE_BYTES; i++) {
		page->bytes[i] = (uint8_t)(seed * 31 + i * 7 + i / 256);
	}
}

bool pattern_holds(const struct guest_page *page, uint32_t seed)
{
	for (uint32_t i = 0; i < PAGE_BYTES; i++) {
		if (page->bytes[i] != (uint8_t)(seed * 31 + i * 7 + i / 256)) {
			return false;
		}
	}
	return true;
}

/* ------------------------------------------------------------------ the probes */

static uint64_t scratch_sector(uint32_t index)
{
	return CERTIFY_SCRATCH_SECTOR + index * SECTORS_A_PAGE;
}

/* Writes all, flushes, clears the pages, reads all; @at_once requests under way. */
static void write_and_read(struct probe *p, struct io_disk *disk, struct guest_page *pages, uint32_t count,
                           uint32_t seed)
{
	bool good = true;

	for (uint32_t i = 0; i < count; i++) {
		pattern_fill(&pages[i], seed + i);
		good = good && io_disk_submit(disk, IO_WRITE, scratch_sector(i), &pages[i]);
	}
	(void)probe_check(p, good, "%u writes at once find no room", count);
	(void)probe_check(p, io_disk_wait(disk), "a write fails or does not end");
	(void)probe_check(p, io_disk_run(disk, IO_FLUSH, 0, NULL), "the flush fails or does not end");
	good = true;
	for (uint32_t i = 0; i < count; i++) {
		memset(pages[i].bytes, 0, PAGE_BYTES);
		good = good && io_disk_submit(disk, IO_READ, scratch_sector(i), &pages[i]);
	}
	(void)probe_check(p, good, "%u reads at once find no room", count);
	(void)probe_check(p, io_disk_wait(disk), "a read fails or does not end");
	for (uint32_t i = 0; i < count; i++) {
		(void)probe_check(p, pattern_holds(&pages[i], seed + i),
		                  "page %u of %u is read back otherwise", i, count);
	}
}

static void probe_disk(struct probe *p, enum io_face face)
{
	struct io_disk disk;
	struct guest_page pages[QUEUE];
	uint32_t count = 0;

	if (!io_disk_open_scratch(p, &disk, face)) {
		return;
	}
	while (count < QUEUE && guest_page_alloc(p->c->guest, &pages[count])) {
		count++;
	}
	(void)probe_equal(p, count, QUEUE, "pages that can be had");
	write_and_read(p, &disk, pages, 1, 1);
	write_and_read(p, &disk, pages, count, 2);
	probe_note(p, "%lu sectors", (unsigned long)disk.sector_count);
	while (count != 0) {
		guest_page_free(p->c->guest, &pages[--count]);
	}
	io_disk_close(p, &disk);
}

void probe_hyperv_disk(struct probe *p)
{
	probe_disk(p, IO_HYPERV);
}

void probe_xen_disk(struct probe *p)
{
	probe_disk(p, IO_XEN);
}

/* Both disks are open: what one writes and flushes, the other reads. */
static void cross(struct probe *p, struct io_disk *writer, struct io_disk *reader,
                  const struct guest_page *page, uint32_t seed)
{
	pattern_fill(page, seed);
	(void)probe_check(p, io_disk_run(writer, IO_WRITE, scratch_sector(seed), page), "the write fails");
	(void)probe_check(p, io_disk_run(writer, IO_FLUSH, 0, NULL), "the flush fails");
	memset(page->bytes, 0, PAGE_BYTES);
	(void)probe_check(p, io_disk_run(reader, IO_READ, scratch_sector(seed), page), "the read fails");
	(void)probe_check(p, pattern_holds(page, seed), "the other face reads something else");
}

void probe_disk_between_faces(struct probe *p)
{
	struct io_disk hyperv;
	struct io_disk xen;
	struct guest_page page;

	if (!io_disk_open_scratch(p, &hyperv, IO_HYPERV)) {
		return;
	}
	if (io_disk_open_scratch(p, &xen, IO_XEN)) {
		if (probe_check(p, guest_page_alloc(p->c->guest, &page), "no page left")) {
			cross(p, &hyperv, &xen, &page, 3);
			cross(p, &xen, &hyperv, &page, 4);
			guest_page_free(p->c->guest, &page);
		}
		io_disk_close(p, &xen);
	}
	io_disk_close(p, &hyperv);
}

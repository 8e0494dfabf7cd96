/*
 * read_block.c - an example: reads the first sector of the first disk by whichever face is there, and prints
 * its CRC-32. With both faces, use=xen or use=hyperv on the command line says which.
 */
#include "base/blob.h"
#include "guest-drivers/hyperv/hyperv.h"
#include "guest-drivers/metal/machine.h"
#include "guest-drivers/xen/xen.h"

#define SECTOR_BYTES 512u

/* Large: not on the stack. */
static struct xen_guest xen;
static struct xen_blkfront blk;
static struct hv_guest hv;
static struct hv_storvsc stor;
static struct hv_disk disk;

/* ---------------------------------------------------------------- Xen */

static void xen_done(void *context, int status)
{
	*(int *)context = status;
}

/* The store lists the disks by number; the first name is the first disk. */
static bool xen_first_disk(uint32_t *id)
{
	const char *name = xen.store.payload;

	if (xen_store_list(&xen, 0, "device/vbd") <= 0) {
		return false;
	}
	*id = 0;
	while (*name >= '0' && *name <= '9') {
		*id = *id * 10 + (uint32_t)(*name++ - '0');
	}
	return true;
}

static bool xen_read(struct guest *machine, struct guest_page *page)
{
	const struct xen_blk_piece piece = {.gfn = page->gfn, .first = 0, .last = 0};
	uint32_t id;
	int status = 1; /* not an answer yet */

	if (xen_start(&xen, machine) != 0 || xen_store_start(&xen) != 0) {
		report("error=Xen did not start");
		return false;
	}
	if (!xen_first_disk(&id) || !xen_blkfront_open(&blk, &xen, id)) {
		report("error=no disk");
		return false;
	}
	report("sectors=%lu", (unsigned long)blk.sector_count);
	if (!xen_blkfront_submit(&blk, BLKIF_OP_READ, 0, &piece, 1, xen_done, &status)) {
		return false;
	}
	report("open_pages=%u", machine_pages_out());
	for (uint32_t i = 0; i < machine->poll_max && status == 1; i++) {
		xen_poll(&xen);
		xen_blkfront_poll(&blk);
	}
	if (!xen_blkfront_close(&blk)) {
		report("note=the backend did not let go");
	}
	return status == BLKIF_RSP_OKAY;
}

/* ---------------------------------------------------------------- Hyper-V */

static void hv_done(void *context, const struct hv_scsi_result *result)
{
	*(int *)context = result->answered && result->srb_status == SRB_STATUS_SUCCESS ? 0 : -1;
}

static bool hv_open_disk(void)
{
	uint8_t lun;

	return hv_storvsc_open(&stor, &hv, 0) && hv_storvsc_luns(&stor, &lun, 1) == 1 &&
	       hv_disk_open(&disk, &stor, lun);
}

static bool hv_read(struct guest *machine, struct guest_page *page)
{
	const struct hv_buffer buffer = {.bytes = SECTOR_BYTES, .gfns = &page->gfn};
	int status = 1;

	if (!hv_start(&hv, machine) || !hv_bus_connect(&hv, VERSION_WIN10_V5_3) || !hv_bus_offers(&hv)) {
		report("error=VMBus did not start");
		return false;
	}
	if (!hv_open_disk() || disk.sector_bytes != SECTOR_BYTES) {
		report("error=no disk with sectors of 512 bytes");
		return false;
	}
	report("sectors=%lu", (unsigned long)disk.sector_count);
	if (!hv_disk_submit(&disk, HV_DISK_READ, 0, &buffer, hv_done, &status)) {
		return false;
	}
	report("open_pages=%u", machine_pages_out());
	for (uint32_t i = 0; i < machine->poll_max && status == 1; i++) {
		hv_poll(&hv);
	}
	if (!hv_storvsc_close(&stor) || !hv_bus_unload(&hv)) {
		report("note=the host did not let go");
	}
	return status == 0;
}

/* ---------------------------------------------------------------- either */

void program_main(void)
{
	struct guest *machine = machine_open(true);
	bool by_xen = xen_base() != 0 && (!has_hyperv() || option_is("use", "xen"));
	struct guest_page page;
	bool good;

	report("face=%s", by_xen ? "xen" : face_name());
	if (!by_xen && !has_hyperv()) {
		report("error=neither face is here");
		finish(false);
	}
	if (!guest_page_alloc(machine, &page)) {
		report("error=no memory");
		finish(false);
	}
	good = by_xen ? xen_read(machine, &page) : hv_read(machine, &page);
	if (good) {
		report("crc=%lx", (unsigned long)blob_crc32(page.bytes, SECTOR_BYTES));
	}
	finish(good);
}

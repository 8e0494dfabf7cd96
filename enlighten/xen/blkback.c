/*
 * blkback.c - the block device's backend: one ring of one page (Xen's io/blkif.h; rows in specs/blkif.def).
 *
 * Requests are copied from the ring once, checked, their pages held by grant, and go straight to the disk:
 * no byte is copied between. Offered: read, write, flush. Barriers, discard and indirect requests are not,
 * and are refused.
 *
 * The work takes requests; their completions come in any context. The lock keeps the ring's indexes and the
 * pool; it is held while neither grants nor the disk are asked, so a completion may come at once.
 */
#include "backend/block.h"
#include "base/bits.h"
#include "base/lock.h"
#include "enlighten/xen/evtchn.h"
#include "enlighten/xen/gnttab.h"
#include "enlighten/xen/xenbus_device.h"
#include "vm/page.h"

#define RING_ENTRIES 32u
#define PAGE_SECTORS (PAGE_BYTES / BLKIF_SECTOR_BYTES)

/*
 * One request has at most 44 KiB: after this much in a step no other is begun, so that it stays below 64
 * KiB.
 */
#define STEP_BYTES 20480u
#define STEP_REQUESTS 16u

struct blkback;

struct blkback_request {
	struct blkback *owner;
	struct block_request io;
	bool write_after_flush; /* a flush that carries data: write when the flush is done */
	uint8_t operation; /* for the response */
	uint8_t segment_count;
	uint64_t id;
	uint64_t sector;
	struct xen_blkif_segment segments[BLKIF_MAX_SEGMENTS_PER_REQUEST];
	struct gnttab_hold holds[BLKIF_MAX_SEGMENTS_PER_REQUEST];
};

struct blkback {
	struct xenbus_device *device;
	struct vm *vm;
	struct block *block;
	bool read_only;
	struct vm_work work;
	struct evtchn_backend backend;
	uint32_t users; /* atomic: completions that have not left yet */

	struct spinlock lock; /* RANK_DEVICE: all below */
	bool connected; /* takes requests */
	bool broken; /* the ring's indexes were wrong: takes none until the next connection */
	bool narrow; /* x86_32-abi */
	struct gnttab_hold ring;
	uint32_t port;
	uint32_t req_cons, rsp_prod;
	uint32_t busy_count; /* requests out of the pool */
	struct blkback_request *free[RING_ENTRIES];
	struct blkback_request pool[RING_ENTRIES];
};

typedef int16_t blkback_decoder(struct blkback *blk, struct blkback_request *request);

#define SPEC_ROW(number, name, status, handler, clause) static blkback_decoder handler;
#include "specs/blkif.def"
#undef SPEC_ROW

enum row_status {
	OFFERED,
	REFUSED,
};

static const struct {
	uint8_t operation;
	enum row_status status;
	blkback_decoder *decode;
} rows[] = {
#define SPEC_ROW(number, name, status, handler, clause) {number, status, handler},
#include "specs/blkif.def"
#undef SPEC_ROW
};

/* ------------------------------------------------------------------ responses */

static uint32_t slot_at(const struct blkback *blk, uint32_t index)
{
	uint32_t stride = blk->narrow ? BLKIF_SLOT_BYTES_32 : BLKIF_SLOT_BYTES_64;

	return XEN_RING_HEADER_BYTES + (index % RING_ENTRIES) * stride;
}

/* Under the lock, the ring held. True: the guest wants to be told. */
static bool put_response(struct blkback *blk, const struct blkback_request *request, int16_t status)
{
	struct xen_blkif_response64 response = {
	        .id = request->id,
	        .operation = request->operation,
	        .status = status,
	};
	uint32_t old = blk->rsp_prod;

	/* The narrow form is the same without the padding at its end. */
	vm_page_write(blk->ring.page, slot_at(blk, old), &response,
	              blk->narrow ? sizeof(struct xen_blkif_response32) : sizeof(response));
	blk->rsp_prod = old + 1;
	vm_page_store32(blk->ring.page, XEN_RING_RSP_PROD, blk->rsp_prod);
	vm_page_barrier();
	return blk->rsp_prod - vm_page_load32(blk->ring.page, XEN_RING_RSP_EVENT) < 1;
}

/* The end of a request: grants first, then the response, then whoever waits for it. */
static void request_end(struct blkback_request *request, int16_t status)
{
	struct blkback *blk = request->owner;
	bool tell, idle;
	uint32_t port;

	for (uint32_t i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++) {
		gnttab_release(blk->vm, &request->holds[i]);
	}
	spin_lock(&blk->lock);
	tell = put_response(blk, request, status);
	port = blk->port;
	blk->busy_count--;
	blk->free[RING_ENTRIES - 1 - blk->busy_count] = request;
	idle = !blk->connected && blk->busy_count == 0;
	spin_unlock(&blk->lock);
	if (tell) {
		evtchn_backend_notify(blk->vm, port);
	}
	if (idle) {
		xenbus_kick(blk->device);
	}
	__atomic_fetch_sub(&blk->users, 1, __ATOMIC_RELEASE);
}

static void request_done(struct block_request *io, enum block_status status)
{
	struct blkback_request *request = CONTAINER_OF(io, struct blkback_request, io);

	if (status == BLOCK_OK && request->write_after_flush) {
		request->write_after_flush = false;
		io->operation = BLOCK_WRITE;
		io->sector = request->sector; /* the backend has moved it to its window */
		io->segment_count = request->segment_count;
		block_submit(request->owner->block, io);
		return;
	}
	request_end(request, status == BLOCK_OK ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR);
}

/* ------------------------------------------------------------------ requests */

/* Holds each segment's page and makes the disk's list. */
static int16_t hold_segments(struct blkback *blk, struct blkback_request *request, bool write)
{
	for (uint32_t i = 0; i < request->segment_count; i++) {
		const struct xen_blkif_segment *segment = &request->segments[i];
		struct gnttab_hold *hold = &request->holds[i];

		if (gnttab_hold(blk->vm, segment->gref, write, hold) != GNTST_okay) {
			return BLKIF_RSP_ERROR;
		}
		request->io.segments[i].bytes =
		        vm_page_bytes(hold->page) + segment->first_sect * BLKIF_SECTOR_BYTES;
		request->io.segments[i].len_bytes =
		        (segment->last_sect - segment->first_sect + 1u) * BLKIF_SECTOR_BYTES;
	}
	return BLKIF_RSP_OKAY;
}

static int16_t check_range(const struct blkback *blk, const struct blkback_request *request)
{
	uint64_t sectors = 0;

	if (request->segment_count > BLKIF_MAX_SEGMENTS_PER_REQUEST) {
		return BLKIF_RSP_ERROR;
	}
	for (uint32_t i = 0; i < request->segment_count; i++) {
		const struct xen_blkif_segment *segment = &request->segments[i];

		if (segment->first_sect > segment->last_sect || segment->last_sect >= PAGE_SECTORS) {
			return BLKIF_RSP_ERROR;
		}
		sectors += segment->last_sect - segment->first_sect + 1u;
	}
	return range_fits(request->sector, sectors, block_sector_count(blk->block)) ? BLKIF_RSP_OKAY
	                                                                            : BLKIF_RSP_ERROR;
}

static int16_t decode_data(struct blkback *blk, struct blkback_request *request,
                           enum block_operation operation)
{
	if (check_range(blk, request) != BLKIF_RSP_OKAY || (operation == BLOCK_WRITE && blk->read_only)) {
		return BLKIF_RSP_ERROR;
	}
	request->io.operation = operation;
	request->io.sector = request->sector;
	request->io.segment_count = request->segment_count;
	return hold_segments(blk, request, operation == BLOCK_READ);
}

static int16_t blkback_decode_read(struct blkback *blk, struct blkback_request *request)
{
	return request->segment_count == 0 ? BLKIF_RSP_ERROR : decode_data(blk, request, BLOCK_READ);
}

static int16_t blkback_decode_write(struct blkback *blk, struct blkback_request *request)
{
	return request->segment_count == 0 ? BLKIF_RSP_ERROR : decode_data(blk, request, BLOCK_WRITE);
}

static int16_t blkback_decode_flush(struct blkback *blk, struct blkback_request *request)
{
	int16_t status = BLKIF_RSP_OKAY;

	if (request->segment_count != 0) {
		status = decode_data(blk, request, BLOCK_WRITE);
		request->write_after_flush = true;
	}
	request->io.operation = BLOCK_FLUSH;
	request->io.sector = 0;
	request->io.segment_count = 0;
	return status;
}

static int16_t blkback_decode_refused(struct blkback *blk, struct blkback_request *request)
{
	(void)blk;
	(void)request;
	return BLKIF_RSP_EOPNOTSUPP;
}

static int16_t decode(struct blkback *blk, struct blkback_request *request, uint8_t raw_operation)
{
	for (uint32_t i = 0; i < ARRAY_COUNT(rows); i++) {
		if (rows[i].operation == raw_operation) {
			vm_count(blk->vm, SPEC_BLKIF, i, rows[i].status == REFUSED);
			return rows[i].decode(blk, request);
		}
	}
	vm_count(blk->vm, SPEC_BLKIF, SPEC_UNKNOWN, true);
	return BLKIF_RSP_EOPNOTSUPP;
}

/* One copy of a slot, in either layout, into @request. Returns the operation as the guest wrote it. */
static uint8_t copy_request(const struct blkback *blk, uint32_t index, struct blkback_request *request)
{
	union {
		struct xen_blkif_request64 wide;
		struct xen_blkif_request32 narrow;
	} raw;
	uint8_t operation;

	if (blk->narrow) {
		vm_page_read(blk->ring.page, slot_at(blk, index), &raw.narrow, sizeof(raw.narrow));
		request->id = raw.narrow.id;
		request->sector = raw.narrow.sector_number;
		memcpy(request->segments, raw.narrow.seg, sizeof(request->segments));
		request->segment_count = raw.narrow.nr_segments;
		operation = raw.narrow.operation;
	} else {
		vm_page_read(blk->ring.page, slot_at(blk, index), &raw.wide, sizeof(raw.wide));
		request->id = raw.wide.id;
		request->sector = raw.wide.sector_number;
		memcpy(request->segments, raw.wide.seg, sizeof(request->segments));
		request->segment_count = raw.wide.nr_segments;
		operation = raw.wide.operation;
	}
	request->write_after_flush = false;
	/* The response to an indirect request carries the operation inside it, where the count is else. */
	request->operation = operation == BLKIF_OP_INDIRECT ? request->segment_count : operation;
	return operation;
}

/* Is there a request? Before saying no, asks to be told of the next and looks once more. Under the lock. */
static bool request_waits(struct blkback *blk)
{
	uint32_t raw_prod = vm_page_load32(blk->ring.page, XEN_RING_REQ_PROD);

	if (raw_prod == blk->req_cons) {
		vm_page_store32(blk->ring.page, XEN_RING_REQ_EVENT, blk->req_cons + 1);
		vm_page_barrier();
		raw_prod = vm_page_load32(blk->ring.page, XEN_RING_REQ_PROD);
	}
	/*
	 * More than the ring has room for while answers are owed: the pool, as large as the ring, is never
	 * empty.
	 */
	if (raw_prod - blk->req_cons > RING_ENTRIES || raw_prod - blk->rsp_prod > RING_ENTRIES) {
		blk->broken = true;
		vm_log(blk->vm, "vbd %u: request index out of range", (unsigned int)blk->device->id);
		return false;
	}
	return raw_prod != blk->req_cons;
}

/* Takes the next request out of the ring, and one of the pool for it. NULL: none now. */
static struct blkback_request *take_request(struct blkback *blk, uint8_t *raw_operation)
{
	struct blkback_request *request = NULL;

	spin_lock(&blk->lock);
	if (blk->connected && !blk->broken && request_waits(blk)) {
		CHECK(blk->busy_count < RING_ENTRIES);
		request = blk->free[RING_ENTRIES - 1 - blk->busy_count];
		blk->busy_count++;
		*raw_operation = copy_request(blk, blk->req_cons, request);
		blk->req_cons++;
		__atomic_fetch_add(&blk->users, 1, __ATOMIC_RELAXED);
	}
	spin_unlock(&blk->lock);
	return request;
}

static bool blkback_step(struct vm_work *work)
{
	struct blkback *blk = CONTAINER_OF(work, struct blkback, work);
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < STEP_REQUESTS && bytes < STEP_BYTES; i++) {
		uint8_t raw_operation = 0;
		struct blkback_request *request = take_request(blk, &raw_operation);
		int16_t status;

		if (request == NULL) {
			return false;
		}
		status = decode(blk, request, raw_operation);
		if (status != BLKIF_RSP_OKAY) {
			request_end(request, status);
			continue;
		}
		bytes += io_total_bytes(request->io.segments, request->segment_count);
		block_submit(blk->block, &request->io);
	}
	return true;
}

static void blkback_notified(void *context)
{
	struct blkback *blk = context;

	vm_work_queue(&blk->work);
}

/* ------------------------------------------------------------------ the driver */

static bool blkback_create(struct xenbus_device *device)
{
	const struct vm_disk_config *disk = &vm_config(device->vm)->disks[device->index];
	struct blkback *blk = vm_alloc(device->vm, sizeof(*blk));

	if (blk == NULL) {
		return false;
	}
	device->instance = blk;
	blk->device = device;
	blk->vm = device->vm;
	blk->block = disk->block;
	blk->read_only = disk->read_only || block_is_read_only(disk->block);
	blk->backend = (struct evtchn_backend){blkback_notified, blk};
	spin_init(&blk->lock, RANK_DEVICE);
	vm_work_init(&blk->work, device->vm, blkback_step);
	for (uint32_t i = 0; i < RING_ENTRIES; i++) {
		blk->pool[i].owner = blk;
		blk->pool[i].io.done = request_done;
		list_init(&blk->pool[i].io.node);
		blk->free[i] = &blk->pool[i];
	}
	return true;
}

static bool blkback_offer(struct xenbus_device *device)
{
	const struct blkback *blk = device->instance;

	return xenbus_write(device, "feature-flush-cache", "1") &&
	       xenbus_write(device, "sectors", "%llu", (unsigned long long)block_sector_count(blk->block)) &&
	       xenbus_write(device, "sector-size", "%u", BLOCK_SECTOR_BYTES) &&
	       xenbus_write(device, "physical-sector-size", "%u", BLOCK_SECTOR_BYTES) &&
	       xenbus_write(device, "info", "%u", blk->read_only ? VDISK_READONLY : 0);
}

static bool blkback_connect(struct xenbus_device *device)
{
	struct blkback *blk = device->instance;
	uint32_t raw_ref, raw_port;

	if (!xenbus_read_number(device, "ring-ref", &raw_ref) ||
	    !xenbus_read_number(device, "event-channel", &raw_port) ||
	    gnttab_hold(blk->vm, raw_ref, true, &blk->ring) != GNTST_okay) {
		return false;
	}
	if (!evtchn_backend_bind(blk->vm, raw_port, &blk->backend)) {
		gnttab_release(blk->vm, &blk->ring);
		return false;
	}
	spin_lock(&blk->lock);
	blk->narrow = xenbus_read_is(device, "protocol", XEN_IO_PROTO_ABI_X86_32);
	blk->port = raw_port;
	blk->req_cons = 0;
	blk->rsp_prod = 0;
	blk->broken = false;
	blk->connected = true;
	spin_unlock(&blk->lock);
	vm_work_queue(&blk->work);
	return true;
}

static bool blkback_disconnect(struct xenbus_device *device)
{
	struct blkback *blk = device->instance;
	bool idle;

	spin_lock(&blk->lock);
	blk->connected = false;
	idle = blk->busy_count == 0;
	spin_unlock(&blk->lock);
	if (idle && blk->ring.page != NULL) {
		evtchn_backend_unbind(blk->vm, blk->port);
		gnttab_release(blk->vm, &blk->ring);
	}
	return idle;
}

static void blkback_destroy(struct xenbus_device *device)
{
	struct blkback *blk = device->instance;

	spin_lock(&blk->lock);
	blk->connected = false;
	spin_unlock(&blk->lock);
	vm_work_cancel(&blk->work);
	while (__atomic_load_n(&blk->users, __ATOMIC_ACQUIRE) != 0) {
		lock_relax();
	}
	(void)blkback_disconnect(device);
	vm_free(blk->vm, blk);
}

const struct xenbus_driver blkback_driver = {
        .type = "vbd",
        .connects_at_initialised = true,
        .disconnects_at_closing = false,
        .create = blkback_create,
        .destroy = blkback_destroy,
        .offer = blkback_offer,
        .connect = blkback_connect,
        .disconnect = blkback_disconnect,
};

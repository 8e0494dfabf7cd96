/*
 * blkfront.c - a disk's frontend: one ring of one page, direct requests, a grant for each page
 * (io/blkif.h).
 */
#include "guest-drivers/xen/xen.h"

#define STATE(state) (1u << (state))

static uint8_t *slot_at(struct xen_blkfront *blk, uint32_t index)
{
	return blk->ring.page.bytes + XEN_RING_HEADER_BYTES + index % XEN_BLK_ENTRIES * BLKIF_SLOT_BYTES_64;
}

static void blk_event(void *context)
{
	xen_blkfront_poll(context);
}

/* ------------------------------------------------------------------ requests */

static void slot_end(struct xen_blkfront *blk, struct xen_blk_slot *slot, int status)
{
	for (uint32_t i = 0; i < slot->ref_count; i++) {
		blk->lost_pages += !xen_grant_end(blk->front.x, slot->refs[i]);
	}
	slot->ref_count = 0;
	slot->used = false;
	blk->used_count--;
	slot->done(slot->context, status);
}

static struct xen_blk_slot *slot_take(struct xen_blkfront *blk)
{
	for (uint32_t i = 0; i < XEN_BLK_ENTRIES; i++) {
		if (!blk->slots[i].used) {
			return &blk->slots[i];
		}
	}
	return NULL;
}

/* Grants the pieces into @request. False: out of references, none is kept. */
static bool grant_pieces(struct xen_blkfront *blk, struct xen_blk_slot *slot,
                         struct xen_blkif_request64 *request, const struct xen_blk_piece *pieces)
{
	bool read_only = request->operation != BLKIF_OP_READ;

	for (uint32_t i = 0; i < request->nr_segments; i++) {
		uint32_t ref = xen_grant(blk->front.x, pieces[i].gfn, read_only);

		if (ref == XEN_GRANT_NONE) {
			while (slot->ref_count != 0) {
				(void)!xen_grant_end(blk->front.x, slot->refs[--slot->ref_count]);
			}
			return false;
		}
		slot->refs[slot->ref_count++] = ref;
		request->seg[i] = (struct xen_blkif_segment){
		        .gref = ref, .first_sect = pieces[i].first, .last_sect = pieces[i].last};
	}
	return true;
}

bool xen_blkfront_submit(struct xen_blkfront *blk, uint8_t operation, uint64_t sector,
                         const struct xen_blk_piece *pieces, uint32_t piece_count,
                         void (*done)(void *context, int status), void *context)
{
	struct xen_blkif_request64 request = {
	        .operation = operation,
	        .nr_segments = (uint8_t)piece_count,
	        .sector_number = sector,
	};
	struct xen_blk_slot *slot = slot_take(blk);

	if (slot == NULL || blk->ring.broken || piece_count > BLKIF_MAX_SEGMENTS_PER_REQUEST ||
	    !grant_pieces(blk, slot, &request, pieces)) {
		return false;
	}
	slot->used = true;
	slot->operation = operation;
	slot->done = done;
	slot->context = context;
	blk->used_count++;
	request.id = (uint64_t)(slot - blk->slots);
	memcpy(slot_at(blk, blk->ring.req_prod), &request, sizeof(request));
	if (xen_ring_push(&blk->ring, blk->ring.req_prod + 1)) {
		(void)xen_port_notify(blk->front.x, blk->port);
	}
	return true;
}

/* One answer: only to a question that was asked. */
static void response_take(struct xen_blkfront *blk)
{
	struct xen_blkif_response64 response;

	memcpy(&response, slot_at(blk, blk->ring.rsp_cons), sizeof(response));
	if (response.id >= XEN_BLK_ENTRIES || !blk->slots[response.id].used ||
	    blk->slots[response.id].operation != response.operation) {
		blk->ring.broken = true;
		return;
	}
	blk->ring.rsp_cons++;
	slot_end(blk, &blk->slots[response.id], response.status);
}

void xen_blkfront_poll(struct xen_blkfront *blk)
{
	uint32_t waiting;

	while ((waiting = xen_ring_waiting(&blk->ring)) != 0) {
		for (; waiting != 0 && !blk->ring.broken; waiting--) {
			response_take(blk);
		}
	}
}

/* ------------------------------------------------------------------ connection */

static void drop(struct xen_blkfront *blk)
{
	if (blk->port != 0) {
		(void)xen_port_close(blk->front.x, blk->port);
		blk->port = 0;
	}
	blk->lost_pages += !xen_ring_close(&blk->ring, blk->front.x);
}

static bool write_nodes(struct xen_blkfront *blk)
{
	char path[XEN_PATH_BYTES];

	xen_path_join(path, blk->front.front, "protocol");
	return xen_frontend_write(&blk->front, "ring-ref", blk->ring.ref) &&
	       xen_frontend_write(&blk->front, "event-channel", blk->port) &&
	       xen_store_write(blk->front.x, 0, path, XEN_IO_PROTO_ABI_X86_64) == 0 &&
	       xen_frontend_set_state(&blk->front, XenbusStateInitialised);
}

static void read_nodes(struct xen_blkfront *blk)
{
	blk->sector_count = xen_frontend_read(&blk->front, "sectors", 0);
	blk->sector_bytes = (uint32_t)xen_frontend_read(&blk->front, "sector-size", 0);
	blk->flush = xen_frontend_read(&blk->front, "feature-flush-cache", 0) == 1;
	blk->read_only = (xen_frontend_read(&blk->front, "info", 0) & VDISK_READONLY) != 0;
}

static bool connect(struct xen_blkfront *blk)
{
	int64_t port;

	if (!xen_ring_open(&blk->ring, blk->front.x)) {
		return false;
	}
	port = xen_port_alloc(blk->front.x, blk_event, blk);
	if (port <= 0) {
		return false;
	}
	blk->port = (uint32_t)port;
	if (!write_nodes(blk) ||
	    !xen_frontend_wait(&blk->front, STATE(XenbusStateConnected) | STATE(XenbusStateClosing)) ||
	    xen_frontend_read(&blk->front, "state", 0) != XenbusStateConnected) {
		return false;
	}
	read_nodes(blk);
	return xen_frontend_set_state(&blk->front, XenbusStateConnected);
}

bool xen_blkfront_open(struct xen_blkfront *blk, struct xen_guest *x, uint32_t id)
{
	memset(blk, 0, sizeof(*blk));
	if (!xen_frontend_open(&blk->front, x, "vbd", id)) {
		return false;
	}
	if (!connect(blk)) {
		(void)!xen_frontend_close(&blk->front);
		drop(blk);
		return false;
	}
	return true;
}

bool xen_blkfront_close(struct xen_blkfront *blk)
{
	bool closed = xen_frontend_close(&blk->front);

	xen_blkfront_poll(blk);
	for (uint32_t i = 0; i < XEN_BLK_ENTRIES; i++) {
		if (blk->slots[i].used) {
			slot_end(blk, &blk->slots[i], BLKIF_RSP_ERROR);
		}
	}
	drop(blk);
	return closed;
}

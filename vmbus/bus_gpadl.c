/*
 * bus_gpadl.c - the table of a connection's GPADLs: messages that build and end them, devices that hold them.
 *
 * A list that is wrong is answered at once and given back in small pieces, like one that was torn down; its further
 * bodies name a list that is not there any more and are dropped.
 */
#include "vmbus/bus_private.h"

static struct vmbus_gpadl **find_place(struct vmbus *bus)
{
	for (uint32_t i = 0; i < VMBUS_GPADL_COUNT_MAX; i++) {
		if (bus->gpadls[i] == NULL) {
			return &bus->gpadls[i];
		}
	}
	return NULL;
}

/* Bodies name no channel: so while it is built, an id stands for itself. */
static struct vmbus_gpadl *find_building(struct vmbus *bus, uint32_t id)
{
	for (uint32_t i = 0; i < VMBUS_GPADL_COUNT_MAX; i++) {
		struct vmbus_gpadl *gpadl = bus->gpadls[i];

		if (gpadl != NULL && gpadl->life == GPADL_BUILDING && gpadl->id == id) {
			return gpadl;
		}
	}
	return NULL;
}

struct vmbus_gpadl *bus_gpadl_find(struct vmbus *bus, uint32_t channel_id, uint32_t id)
{
	for (uint32_t i = 0; i < VMBUS_GPADL_COUNT_MAX; i++) {
		struct vmbus_gpadl *gpadl = bus->gpadls[i];

		if (gpadl != NULL && gpadl->life == GPADL_READY && gpadl->id == id &&
		    gpadl->channel_id == channel_id) {
			return gpadl;
		}
	}
	return NULL;
}

static void send_created(struct vmbus *bus, uint32_t channel_id, uint32_t id, uint32_t status)
{
	const struct vmbus_channel_gpadl_created created = {
	        .header.msgtype = CHANNELMSG_GPADL_CREATED,
	        .child_relid = channel_id,
	        .gpadl = id,
	        .creation_status = status,
	};

	bus_send(bus, &created, sizeof(created));
}

/* Takes what a message brings; answers when the list is whole, or wrong (false). */
static bool build(struct vmbus *bus, struct vmbus_gpadl *gpadl, const uint8_t *words, uint32_t count)
{
	switch (gpadl_add(bus->vm, gpadl, words, count)) {
	case GPADL_MORE:
		return true;
	case GPADL_DONE:
		gpadl->life = GPADL_READY;
		send_created(bus, gpadl->channel_id, gpadl->id, VMBUS_STATUS_SUCCESS);
		return true;
	case GPADL_BAD:
		break;
	}
	gpadl->life = GPADL_DYING;
	send_created(bus, gpadl->channel_id, gpadl->id, VMBUS_STATUS_INVALID_PARAMETER);
	return false;
}

/* A place in the table and its pages, within the quota. NULL: answered by the caller. */
static struct vmbus_gpadl *begin(struct vmbus *bus, const struct vmbus_channel_gpadl_header *h)
{
	struct vmbus_gpadl **place = find_place(bus);
	uint32_t words = h->range_buflen / 8u;
	struct vmbus_gpadl *gpadl;

	if (place == NULL || words > bus->pinned_pages_max - bus->pinned_pages) {
		return NULL;
	}
	gpadl = gpadl_create(bus->vm, h->range_buflen, h->rangecount);
	if (gpadl != NULL) {
		gpadl->bus = bus;
		gpadl->id = h->gpadl;
		gpadl->channel_id = h->child_relid;
		bus->pinned_pages += gpadl->page_room;
		*place = gpadl;
	}
	return gpadl;
}

bool bus_gpadl_header(struct vmbus *bus, const struct bus_message *message)
{
	struct vmbus_channel_gpadl_header h;
	struct vmbus_gpadl *gpadl;

	if (message->size < sizeof(h)) {
		return false;
	}
	memcpy(&h, message->bytes, sizeof(h));
	if (bus_channel(bus, h.child_relid) == NULL || find_building(bus, h.gpadl) != NULL ||
	    bus_gpadl_find(bus, h.child_relid, h.gpadl) != NULL) {
		send_created(bus, h.child_relid, h.gpadl, VMBUS_STATUS_INVALID_PARAMETER);
		return false;
	}
	gpadl = begin(bus, &h);
	if (gpadl == NULL) {
		send_created(bus, h.child_relid, h.gpadl, VMBUS_STATUS_INSUFFICIENT_RESOURCES);
		return false;
	}
	return build(bus, gpadl, message->bytes + sizeof(h), (message->size - (uint32_t)sizeof(h)) / 8);
}

bool bus_gpadl_body(struct vmbus *bus, const struct bus_message *message)
{
	struct vmbus_channel_gpadl_body h;
	struct vmbus_gpadl *gpadl;

	if (message->size < sizeof(h)) {
		return false;
	}
	memcpy(&h, message->bytes, sizeof(h));
	gpadl = find_building(bus, h.gpadl);
	return gpadl != NULL &&
	       build(bus, gpadl, message->bytes + sizeof(h), (message->size - (uint32_t)sizeof(h)) / 8);
}

bool bus_gpadl_teardown(struct vmbus *bus, const struct bus_message *message)
{
	struct vmbus_channel_gpadl_teardown h;
	struct vmbus_gpadl *gpadl;

	if (message->size < sizeof(h)) {
		return false;
	}
	memcpy(&h, message->bytes, sizeof(h));
	gpadl = bus_gpadl_find(bus, h.child_relid, h.gpadl);
	if (gpadl == NULL) {
		return false;
	}
	gpadl->life = GPADL_DYING;
	gpadl->answer_teardown = true;
	return true;
}

void bus_gpadl_drop_all(struct vmbus *bus)
{
	for (uint32_t i = 0; i < VMBUS_GPADL_COUNT_MAX; i++) {
		if (bus->gpadls[i] != NULL) {
			bus->gpadls[i]->life = GPADL_DYING;
			bus->gpadls[i]->answer_teardown = false;
		}
	}
}

static void collect_one(struct vmbus *bus, struct vmbus_gpadl **place)
{
	const struct vmbus_channel_gpadl_torndown torndown = {
	        .header.msgtype = CHANNELMSG_GPADL_TORNDOWN,
	        .gpadl = (*place)->id,
	};
	bool answer = (*place)->answer_teardown;
	uint32_t room = (*place)->page_room;

	if (!gpadl_release(bus->vm, *place, VMBUS_UNPIN_STEP)) {
		return;
	}
	*place = NULL;
	bus->pinned_pages -= room;
	if (answer) {
		bus_send(bus, &torndown, sizeof(torndown));
	}
}

bool bus_gpadl_collect(struct vmbus *bus)
{
	for (uint32_t i = 0; i < VMBUS_GPADL_COUNT_MAX; i++) {
		struct vmbus_gpadl *gpadl = bus->gpadls[i];

		if (gpadl != NULL && gpadl->life == GPADL_DYING && gpadl->use_count == 0) {
			collect_one(bus, &bus->gpadls[i]);
			return true;
		}
	}
	return false;
}

bool bus_gpadl_none(const struct vmbus *bus)
{
	for (uint32_t i = 0; i < VMBUS_GPADL_COUNT_MAX; i++) {
		if (bus->gpadls[i] != NULL) {
			return false;
		}
	}
	return true;
}

/* ------------------------------------------------------------------ for devices */

struct vmbus_gpadl *vmbus_gpadl_get(struct vmbus_channel *channel, uint32_t id)
{
	struct vmbus *bus = channel->bus;
	struct vmbus_gpadl *gpadl;

	spin_lock(&bus->lock);
	gpadl = bus_gpadl_find(bus, channel->id, id);
	if (gpadl != NULL) {
		gpadl->use_count++;
	}
	spin_unlock(&bus->lock);
	return gpadl;
}

void vmbus_gpadl_put(struct vmbus_gpadl *gpadl)
{
	struct vmbus *bus = gpadl->bus;

	spin_lock(&bus->lock);
	CHECK(gpadl->use_count != 0);
	gpadl->use_count--;
	spin_unlock(&bus->lock);
	vm_work_queue(&bus->work);
}

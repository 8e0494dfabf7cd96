/*
 * vmbus_device.c - a device of the bus driven by hand. Contract: vmbus_device.h.
 */
#include "guest-drivers/certify/vmbus_device.h"

#define RING_PAGES 4u
#define COMPLETION_ROOM 128u

static struct vmbus_device device;

/* ------------------------------------------------------------------ packets */

static void take_transfer(struct vmbus_device *dev, const struct hv_packet *packet)
{
	struct device_transfer *t = &dev->transfer;
	uint32_t bytes = packet->payload_bytes < sizeof(t->payload) ? packet->payload_bytes
	                                                            : (uint32_t)sizeof(t->payload);

	*t = (struct device_transfer){
	        .id = packet->id,
	        .pageset = packet->pageset,
	        .completion_requested = packet->completion_requested,
	        .range_count = packet->range_count,
	        .payload_bytes = packet->payload_bytes,
	};
	if (packet->range_count != 0) {
		memcpy(&t->range, packet->ranges, sizeof(t->range));
	}
	memcpy(t->payload, packet->payload, bytes);
	dev->transfer_count++;
}

static void take(void *context, const struct hv_packet *packet)
{
	struct vmbus_device *dev = context;
	uint32_t bytes = packet->payload_bytes < sizeof(dev->answer) ? packet->payload_bytes
	                                                             : (uint32_t)sizeof(dev->answer);

	if (packet->type == VM_PKT_DATA_USING_XFER_PAGES) {
		take_transfer(dev, packet);
	} else if (packet->type == VM_PKT_COMP && packet->id == dev->wanted && dev->wanted != 0 &&
	           !dev->answered) {
		memcpy(dev->answer, packet->payload, bytes);
		dev->answer_bytes = packet->payload_bytes;
		dev->answered = true;
	} else {
		dev->stray_count++;
	}
}

static void event(void *context)
{
	struct vmbus_device *dev = context;

	hv_channel_drain(&dev->channel, COMPLETION_ROOM, true, take);
}

static bool await_answer(struct vmbus_device *dev)
{
	struct hv_guest *hv = dev->channel.hv;

	for (uint32_t i = 0; i < hv->guest->poll_max && !dev->answered; i++) {
		hv_poll(hv);
	}
	return dev->answered;
}

static void question(struct vmbus_device *dev)
{
	dev->wanted = ++dev->sequence;
	dev->answered = false;
	dev->answer_bytes = 0;
	memset(dev->answer, 0, sizeof(dev->answer));
}

bool device_ask(struct vmbus_device *dev, const void *payload, uint32_t len)
{
	question(dev);
	return hv_channel_send(&dev->channel, dev->wanted, true, payload, len) && await_answer(dev);
}

bool device_ask_buffers(struct vmbus_device *dev, const struct hv_buffer *buffers, uint32_t count,
                        const void *payload, uint32_t len)
{
	question(dev);
	return hv_channel_send_buffers(&dev->channel, dev->wanted, buffers, count, payload, len) &&
	       await_answer(dev);
}

bool device_tell(struct vmbus_device *dev, const void *payload, uint32_t len)
{
	dev->wanted = 0;
	return hv_channel_send(&dev->channel, ++dev->sequence, false, payload, len);
}

bool device_await_transfer(struct vmbus_device *dev, uint32_t count)
{
	struct hv_guest *hv = dev->channel.hv;

	for (uint32_t i = 0; i < hv->guest->poll_max && dev->transfer_count <= count; i++) {
		hv_poll(hv);
	}
	return dev->transfer_count > count;
}

/* ------------------------------------------------------------------ lists of pages */

uint32_t device_gpadl(struct vmbus_device *dev, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < DEVICE_GPADLS; i++) {
		struct device_gpadl *gpadl = &dev->gpadls[i];

		if (gpadl->id == 0) {
			gpadl->first = first;
			gpadl->count = count;
			gpadl->id = hv_gpadl_create(&dev->channel, dev->pages + first, count);
			return gpadl->id;
		}
	}
	return 0;
}

bool device_gpadl_end(struct vmbus_device *dev, uint32_t id)
{
	for (uint32_t i = 0; i < DEVICE_GPADLS; i++) {
		struct device_gpadl *gpadl = &dev->gpadls[i];

		if (gpadl->id == id && id != 0) {
			gpadl->id = 0;
			if (hv_gpadl_end(&dev->channel, id)) {
				return true;
			}
			hv_pages_lose(&dev->channel, dev->pages + gpadl->first, gpadl->count);
		}
	}
	return false;
}

void device_gpadl_forget(struct vmbus_device *dev, uint32_t id)
{
	for (uint32_t i = 0; i < DEVICE_GPADLS; i++) {
		dev->gpadls[i].id = dev->gpadls[i].id == id ? 0 : dev->gpadls[i].id;
	}
}

/* ------------------------------------------------------------------ life */

static bool pages_take(struct vmbus_device *dev, struct guest *guest)
{
	for (uint32_t i = 0; i < DEVICE_PAGES; i++) {
		if (!guest_page_alloc(guest, &dev->pages[i])) {
			return false;
		}
	}
	return true;
}

static void pages_give(struct vmbus_device *dev, struct guest *guest)
{
	for (uint32_t i = 0; i < DEVICE_PAGES; i++) {
		guest_page_free(guest, &dev->pages[i]);
	}
}

static bool channel_open(struct probe *p, struct vmbus_device *dev)
{
	const struct vmbus_channel_offer_channel *offer = hv_bus_find(&p->c->hv, dev->class_id, 0);

	dev->transfer_count = 0;
	return probe_check(
	        p, offer != NULL && hv_channel_open(&dev->channel, &p->c->hv, offer, RING_PAGES, event, dev),
	        "the device's channel does not open");
}

/* The channel first: from 4.0 on its buffers' lists go after it. */
static bool channel_close(struct vmbus_device *dev)
{
	bool gone = dev->channel.hv == NULL || hv_channel_close(&dev->channel);

	for (uint32_t i = 0; i < DEVICE_GPADLS; i++) {
		gone = (dev->gpadls[i].id == 0 || device_gpadl_end(dev, dev->gpadls[i].id)) && gone;
	}
	return gone;
}

struct vmbus_device *device_open(struct probe *p, struct vmbus_guid class_id)
{
	struct hv_guest *hv = certify_hv_connected(p);

	if (hv == NULL) {
		return NULL;
	}
	if (hv_bus_find(hv, class_id, 0) == NULL) {
		probe_skip(p, NO_DEVICE);
		return NULL;
	}
	memset(&device, 0, sizeof(device));
	device.class_id = class_id;
	if (!probe_check(p, pages_take(&device, hv->guest), "out of memory") || !channel_open(p, &device)) {
		pages_give(&device, hv->guest);
		return NULL;
	}
	return &device;
}

bool device_renew(struct probe *p, struct vmbus_device *dev)
{
	return probe_check(p, channel_close(dev), "the host does not let go of the channel") &&
	       channel_open(p, dev);
}

/* What the host would not let go of is lost; then nothing of the face is kept. */
void device_close(struct probe *p, struct vmbus_device *dev)
{
	bool gone = channel_close(dev);

	(void)probe_check(p, gone, "the host does not let go of the device's channel");
	if (!gone) {
		hv_pages_lose(&dev->channel, dev->pages, DEVICE_PAGES);
		certify_hv_down(p->c);
	}
	pages_give(dev, p->c->guest);
}

/*
 * vmbus_device.h - a device of the bus that a probe drives by hand: its channel, packets as they are, one question at a
 * time, and pages for the host.
 *
 * There is one; a probe opens it, and whatever fails then, closing it gives everything back. What a host should not
 * have sent is counted, not judged: that is the probe's part.
 */
#ifndef GUEST_DRIVERS_CERTIFY_VMBUS_DEVICE_H
#define GUEST_DRIVERS_CERTIFY_VMBUS_DEVICE_H

#include "guest-drivers/certify/certify.h"

#define DEVICE_PAGES 64u
#define DEVICE_GPADLS 4u
#define DEVICE_ANSWER_BYTES 128u
#define NO_DEVICE "no such device offered"

struct device_gpadl {
	uint32_t id; /* 0: none */
	uint32_t first, count; /* of the device's pages */
};

/* A packet about ranges of a buffer, as network devices send it. */
struct device_transfer {
	uint64_t id;
	uint16_t pageset;
	bool completion_requested;
	uint32_t range_count;
	struct vmtransfer_page_range range; /* the first */
	uint32_t payload_bytes;
	uint8_t payload[DEVICE_ANSWER_BYTES];
};

struct vmbus_device {
	struct vmbus_guid class_id;
	struct hv_channel channel;
	struct guest_page pages[DEVICE_PAGES];
	struct device_gpadl gpadls[DEVICE_GPADLS];
	uint64_t sequence;
	uint64_t wanted; /* the question's transaction; 0: none */
	bool answered;
	uint32_t answer_bytes; /* of the payload, padding to 8 included; as much as fits is in answer */
	uint8_t answer[DEVICE_ANSWER_BYTES] ALIGNED(8);
	uint32_t stray_count; /* packets that answer nothing asked */
	uint32_t transfer_count;
	struct device_transfer transfer; /* the last one */
};

/* The first device of the class, opened. NULL: there is none (then the probe is skipped) or a check has failed. */
struct vmbus_device *device_open(struct probe *p, struct vmbus_guid class_id);
/* Closes, takes all pages back; a check fails if the host does not let go. */
void device_close(struct probe *p, struct vmbus_device *dev);
/* Closes the channel and opens it again: the device is as new. False: a check has failed. */
bool device_renew(struct probe *p, struct vmbus_device *dev);

/* Sends and waits for the completion, which is in dev->answer then. False: none came, or the ring is full. */
MUST_CHECK bool device_ask(struct vmbus_device *dev, const void *payload, uint32_t len);
/* The same with buffers for the host. */
MUST_CHECK bool device_ask_buffers(struct vmbus_device *dev, const struct hv_buffer *buffers, uint32_t count,
                                   const void *payload, uint32_t len);
/* Sends what needs no answer. */
MUST_CHECK bool device_tell(struct vmbus_device *dev, const void *payload, uint32_t len);
/* Waits until more than @count transfers have come since the channel was opened. */
MUST_CHECK bool device_await_transfer(struct vmbus_device *dev, uint32_t count);

/* Gives the host pages; 0: it refused. Taken back by device_gpadl_end() or at the end. */
uint32_t device_gpadl(struct vmbus_device *dev, uint32_t first, uint32_t count);
MUST_CHECK bool device_gpadl_end(struct vmbus_device *dev, uint32_t id);
/* The host has let go of it already. */
void device_gpadl_forget(struct vmbus_device *dev, uint32_t id);

#endif /* GUEST_DRIVERS_CERTIFY_VMBUS_DEVICE_H */

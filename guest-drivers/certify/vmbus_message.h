/*
 * vmbus_message.h - what the probes of the bus's messages share: a connection, memory for lists, one channel.
 */
#ifndef GUEST_DRIVERS_CERTIFY_VMBUS_MESSAGE_H
#define GUEST_DRIVERS_CERTIFY_VMBUS_MESSAGE_H

#include "guest-drivers/certify/vmbus_device.h"

#define BUS_PAGES 8u

struct bus {
	struct hv_guest *hv;
	uint32_t relid; /* of a channel that is offered and not open; 0: none is */
	uint32_t next_gpadl;
	struct guest_page pages[BUS_PAGES];
	struct hv_channel channel; /* not open when a probe begins */
};

typedef void bus_body(struct probe *p, struct bus *b);

/*
 * Posts @message, of which a check says that nothing answers it. The connection is a new one then: no channel is open
 * and no list known.
 */
void bus_check_silent(struct probe *p, struct bus *b, const void *message, uint32_t size, const char *what);
/* Opens b->channel, with pages of its own; closed by hv_channel_close(). */
MUST_CHECK bool bus_channel_open(struct bus *b);
/* A list of b->pages, as a ring's; a check fails if the host refuses it. */
MUST_CHECK bool bus_gpadl_make(struct probe *p, struct bus *b, uint32_t relid, uint32_t id);
/* False: not confirmed. */
MUST_CHECK bool bus_gpadl_end(struct bus *b, uint32_t relid, uint32_t id);

/* vmbus_gpadl.c */
bus_body bus_body_gpadl_header;
bus_body bus_body_gpadl_body;
bus_body bus_body_gpadl_teardown;

#endif /* GUEST_DRIVERS_CERTIFY_VMBUS_MESSAGE_H */

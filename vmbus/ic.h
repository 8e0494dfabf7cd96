/*
 * ic.h - what the integration components share: negotiation of versions, framing, one message under way, a timer.
 *
 * A component is a struct ic_kind and a structure of its own that starts with a struct ic. Messages go from us to the
 * guest, one at a time; the guest answers each with the same length and transaction id (abi/vmbus_ic.h).
 */
#ifndef VMBUS_IC_H
#define VMBUS_IC_H

#include "vmbus/channel.h"
#include "vmbus/devices.h"

#define IC_BODY_BYTES_MAX sizeof(struct shutdown_msg_data)

struct ic;

struct ic_kind {
	const char *name;
	uint16_t message_type;
	const uint32_t *versions; /* IC_VERSION, of the component's messages */
	uint32_t version_count;
	uint64_t period_ns; /* of build's calls beside those after a kick; 0: none */
	/* The versions are agreed on; build's calls follow. May be NULL. */
	void (*begin)(struct ic *ic);
	/*
	 * In the channel's work, nothing is under way: writes the body (zeroed before) of what there is to say and
	 * returns its length; 0: nothing.
	 */
	uint32_t (*build)(struct ic *ic, uint8_t *body);
	/* The guest's answer to the last one. @body is as long as it was sent. */
	void (*answered)(struct ic *ic, const uint8_t *body, uint32_t status);
	/* The device is going, after close; may be NULL. */
	void (*detach)(struct ic *ic);
};

enum ic_state {
	IC_CLOSED,
	IC_NEGOTIATE, /* to be sent */
	IC_NEGOTIATING, /* to be answered */
	IC_READY,
	IC_REFUSED, /* the guest's driver knows none of our versions */
};

struct ic {
	struct vm *vm;
	struct vmbus_channel *channel;
	const struct ic_kind *kind;

	/* the channel's work */
	uint32_t framework, version; /* agreed on: IC_VERSION */
	bool waiting; /* for an answer */
	uint8_t transaction_id;
	uint32_t body_bytes;
	uint32_t unsent_bytes; /* of message: no room in the ring yet */
	uint8_t message[sizeof(struct vmpipe_proto_header) + sizeof(struct icmsg_hdr) +
	                IC_BODY_BYTES_MAX] ALIGNED(8);

	struct spinlock lock; /* RANK_DEVICE */
	enum ic_state state;
	bool due; /* the timer has expired since build was called last */
	struct vm_timer timer;
};

/*
 * Adds @ic (the start of what vm_alloc() gave) to the bus; the bus frees it. False: out of quota, and @ic is freed.
 */
MUST_CHECK bool ic_create(struct vmbus *bus, struct ic *ic, const struct ic_kind *kind,
                          struct vmbus_guid class_id, struct vmbus_guid instance_id);

/* Has the timer expired since the last call? */
bool ic_take_due(struct ic *ic);
/* Any context, below RANK_DEVICE. */
bool ic_is_ready(struct ic *ic);

#endif /* VMBUS_IC_H */

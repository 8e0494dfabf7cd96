/*
 * bus_private.h - the bus and its channels from inside; for vmbus/bus*.c and channel.c only.
 *
 * Who does what: a message from the guest is only copied into the queue on its exit. The bus's work takes one message a step,
 * and only while no channel is between open and closed: so what a message asks is done before the next is looked at.
 * The work of a channel opens, steps and closes its device, and leaves the answer for the bus's work.
 *
 * The bus's lock (RANK_BUS) keeps the queue, the connection, each channel's state and the GPADL table.
 */
#ifndef VMBUS_BUS_PRIVATE_H
#define VMBUS_BUS_PRIVATE_H

#include "synic/synic.h"
#include "vmbus/bus.h"
#include "vmbus/channel.h"
#include "vmbus/gpadl.h"
#include "vmbus/ring.h"

#define VMBUS_CHANNEL_COUNT_MAX 16u
#define VMBUS_QUEUE_COUNT 32u
#define VMBUS_GPADL_COUNT_MAX 128u
#define VMBUS_CONNECTION_ID_BASE 0x100u /* of channel n: this + n */

/* Pages that may be pinned in GPADLs: rings and small buffers, and for each network device its two buffers. */
#define VMBUS_PINNED_PAGES 8192u
#define VMBUS_PINNED_PAGES_NIC 16384u
/* Unpinned in a step. */
#define VMBUS_UNPIN_STEP 512u

enum channel_state {
	CHANNEL_CLOSED,
	CHANNEL_OPENING, /* by its work */
	CHANNEL_OPEN,
	CHANNEL_CLOSING, /* by its work; may take as long as the device's requests */
};

struct vmbus_channel {
	struct vmbus *bus;
	struct vmbus_channel_spec spec;
	uint32_t id;
	struct vm_work work;

	/* under the bus's lock */
	enum channel_state state;
	struct vmbus_gpadl *ring_gpadl; /* held while not closed */
	uint32_t send_page; /* where the host-to-guest ring starts in it */
	uint32_t open_id;
	bool answer_open;
	uint32_t open_status;

	uint32_t target_vp; /* atomic */
	bool broken; /* atomic */

	/* the channel's work */
	struct ring in;
	bool saw_empty;
	uint8_t packet[VMBUS_PACKET_BYTES_MAX] ALIGNED(8);

	struct ring out; /* who sends */
};

struct bus_message {
	uint32_t size;
	uint8_t bytes[VMBUS_MESSAGE_BYTES_MAX] ALIGNED(8);
};

/* What is answered when all channels are closed and all GPADLs gone. */
enum bus_ending {
	BUS_ENDING_NONE,
	BUS_ENDING_CONTACT,
	BUS_ENDING_UNLOAD,
};

struct vmbus {
	struct vm *vm;
	struct spinlock lock; /* RANK_BUS */
	struct vm_work work;
	uint32_t channel_count;
	struct vmbus_channel *channels[VMBUS_CHANNEL_COUNT_MAX]; /* id - 1 */

	/* under the lock */
	struct bus_message queue[VMBUS_QUEUE_COUNT];
	uint32_t queue_first, queue_count;

	bool connected;
	uint32_t version;
	uint32_t message_vp;
	bool offers_asked;
	uint32_t offers_sent; /* channels, and one for ALLOFFERS_DELIVERED */
	enum bus_ending ending;
	struct vmbus_channel_initiate_contact contact;

	bool out_full;
	struct bus_message out;

	struct vmbus_gpadl *gpadls[VMBUS_GPADL_COUNT_MAX];
	uint32_t pinned_pages, pinned_pages_max;
};

/* All below: the bus's lock held. */

/* The message that goes out next; there is room for one. @size at most 240. */
void bus_send(struct vmbus *bus, const void *message, size_t size);
struct vmbus_channel *bus_channel(struct vmbus *bus, uint32_t id);
/* Starts to close a channel that is open. */
void bus_close_channel(struct vmbus_channel *channel);
/* bus_message.c: acts on one message; sends at most one. */
void bus_handle(struct vmbus *bus, const struct bus_message *message);
/* The channels are closed and the GPADLs gone: the answer. */
void bus_finish_ending(struct vmbus *bus);
/* Sends the next offer, or their end. */
void bus_send_offer(struct vmbus *bus);

/* bus_gpadl.c */
typedef bool bus_handler(struct vmbus *bus, const struct bus_message *message);
bus_handler bus_gpadl_header, bus_gpadl_body, bus_gpadl_teardown;
struct vmbus_gpadl *bus_gpadl_find(struct vmbus *bus, uint32_t channel_id, uint32_t id);
void bus_gpadl_drop_all(struct vmbus *bus);
/* A bounded piece of giving back. True: it did something, and may have sent one message. */
bool bus_gpadl_collect(struct vmbus *bus);
bool bus_gpadl_none(const struct vmbus *bus);

#endif /* VMBUS_BUS_PRIVATE_H */

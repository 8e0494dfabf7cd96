/*
 * channel.h - what a device on the bus is written against: its channel, its rings, the guest's buffers.
 *
 * A device (storvsp, netvsp, an integration component) makes itself known by vmbus_channel_add() in its
 * constructor (vmbus/devices.h). From then on the channel calls the device's operations, all of them in one
 * piece of deferred work: never two at once for a channel, never on an exit, with no lock held. So a device needs a
 * lock only for what others call: its backend's completions, its switch port, its timers. Those do little more
 * than note what happened and call vmbus_channel_kick().
 *
 * Who may call what: "in an operation" = from the device's own open, step, close; "any" = any context,
 * holding locks below RANK_MEMORY. The sending side of the ring has no lock of its own: a device that sends from
 * more than its operations (netvsp's deliver) serializes its sends itself, between open and the end of close.
 */
#ifndef VMBUS_CHANNEL_H
#define VMBUS_CHANNEL_H

#include "abi/vmbus.h"
#include "base/io.h"
#include "base/lock.h"
#include "vm/vm.h"

struct vmbus;
struct vmbus_channel;
struct vmbus_gpadl;

/* Longest packet that is taken from a guest, descriptor and all. A longer one breaks the channel. */
#define VMBUS_PACKET_BYTES_MAX 4096u
/* Longest that is sent. */
#define VMBUS_SEND_BYTES_MAX 4096u

/* ------------------------------------------------------------------ the device's side */

struct vmbus_channel_ops {
	/* The guest opens the channel; both rings are ready. False: refused, and nothing is held. */
	bool (*open)(void *device);
	/*
	 * The guest has signalled, or vmbus_channel_kick() was called: does a bounded piece of work (64 KiB copied,
	 * a few dozen packets). True: call it again soon. False: it has seen VMBUS_RECEIVE_EMPTY, or waits for
	 * something of its own that will kick it (a free request, room in the ring).
	 */
	bool (*step)(void *device);
	/*
	 * The guest, a reset or the end of the guest closes the channel. Stops what is under way; true when nothing of
	 * the guest's is held any more: no pin, no GPADL, no call to come. On false it is called again after
	 * each kick (at a reset or the end: at once, until it is true). No send, no receive from here on.
	 */
	bool (*close)(void *device);
	/* The guest ends, after close, or the constructor's caller failed: frees the device. */
	void (*destroy)(void *device);
};

struct vmbus_channel_spec {
	const char *name; /* for the log: "storvsp" */
	struct vmbus_guid class_id;
	struct vmbus_guid instance_id;
	bool pipe_mode; /* message pipe, and "enumerate": the integration components */
	const struct vmbus_channel_ops *ops;
	void *device;
};

/*
 * In a constructor only. The offer goes out when the guest asks for offers. From here on the bus calls destroy, also if
 * the guest's creation fails later. NULL: out of quota or no place; then the caller frees its device itself.
 */
MUST_CHECK struct vmbus_channel *vmbus_channel_add(struct vmbus *bus, const struct vmbus_channel_spec *spec);

/* An instance that is stable over restarts: the guest's uuid, the @kind and @index in its last bytes. */
struct vmbus_guid vmbus_instance_id(const struct vmbus *bus, uint8_t kind, uint8_t index);
#define VMBUS_KIND_SCSI 1u
#define VMBUS_KIND_NETWORK 2u
#define VMBUS_KIND_IC 3u

/* Any. */
struct vm *vmbus_vm(const struct vmbus *bus);
struct vm *vmbus_channel_vm(const struct vmbus_channel *channel);
uint32_t vmbus_channel_id(const struct vmbus_channel *channel);
/* Step is called once more (close, if the channel is closing; nothing if it is closed). Any. */
void vmbus_channel_kick(struct vmbus_channel *channel);
/*
 * The guest broke the protocol: logs @why; no step comes any more, until the guest closes the channel (close is
 * called at that time) and opens it again. In an operation.
 */
void vmbus_channel_break(struct vmbus_channel *channel, const char *why);

/* ------------------------------------------------------------------ guest to host */

struct vmbus_packet {
	uint16_t type; /* VM_PKT_DATA_INBAND, VM_PKT_DATA_USING_GPA_DIRECT or VM_PKT_COMP */
	bool completion_requested;
	uint64_t transaction_id;
	const uint8_t *payload; /* 8-byte aligned */
	uint32_t payload_bytes; /* a multiple of 8: up to 7 more than were sent */
	/* GPA-direct: checked ranges for vmbus_packet_pin(); else none. */
	const uint8_t *ranges;
	uint32_t range_count;
	uint32_t range_bytes; /* of data, all ranges together */
};

enum vmbus_receive {
	VMBUS_RECEIVE_OK,
	VMBUS_RECEIVE_EMPTY,
	VMBUS_RECEIVE_BROKEN, /* the ring or packet is corrupt: the channel is broken, return false from step */
};

/*
 * Takes the next packet: copied once into the channel's own buffer and checked there. What @packet points to is
 * good until the next call. In an operation.
 */
MUST_CHECK enum vmbus_receive vmbus_channel_receive(struct vmbus_channel *channel,
                                                    struct vmbus_packet *packet);

enum vmbus_pin_status {
	VMBUS_PIN_OK,
	VMBUS_PIN_TOO_MANY, /* more than @max pages */
	VMBUS_PIN_FAULT, /* a frame is not the guest's RAM */
};

/*
 * Pins the pages of the packet's ranges: one segment a page, in order; @pages[i] holds @segments[i]. On an error nothing
 * is pinned. At most @max of each; each pin is given back by vmbus_pages_unpin(). In an operation.
 */
MUST_CHECK enum vmbus_pin_status vmbus_packet_pin(struct vmbus_channel *channel,
                                                  const struct vmbus_packet *packet,
                                                  struct io_segment *segments, struct vm_page **pages,
                                                  uint32_t max, uint32_t *count);
/* Any. */
void vmbus_pages_unpin(struct vmbus_channel *channel, struct vm_page *const *pages, uint32_t count);

/* ------------------------------------------------------------------ host to guest */

/*
 * Each is true if the packet stands in the ring (the guest is signalled if it waits for it), false if there
 * is no room: then the guest's next reads cause a step, in which to try again. On a broken channel: true, and nothing is
 * sent. @len at most VMBUS_SEND_BYTES_MAX, all in all.
 */
MUST_CHECK bool vmbus_channel_send_inband(struct vmbus_channel *channel, uint64_t transaction_id,
                                          bool completion_requested, const void *payload, uint32_t len);
MUST_CHECK bool vmbus_channel_send_completion(struct vmbus_channel *channel, uint64_t transaction_id,
                                              const void *payload, uint32_t len);
/* Transfer pages: ranges of the buffer agreed on as @pageset_id. A completion is requested. */
MUST_CHECK bool vmbus_channel_send_transfer_pages(struct vmbus_channel *channel, uint64_t transaction_id,
                                                  uint16_t pageset_id,
                                                  const struct vmtransfer_page_range *ranges,
                                                  uint32_t range_count, const void *payload, uint32_t len);

/* ------------------------------------------------------------------ GPADLs */

/*
 * The finished GPADL @id of this channel, held until the put; its pages stay pinned as long, even if the guest tears it
 * down (its answer waits). NULL: there is none. In an operation.
 */
MUST_CHECK struct vmbus_gpadl *vmbus_gpadl_get(struct vmbus_channel *channel, uint32_t id);
/* Any, holding no lock of RANK_BUS or above. */
void vmbus_gpadl_put(struct vmbus_gpadl *gpadl);
uint64_t vmbus_gpadl_bytes(const struct vmbus_gpadl *gpadl);
/*
 * The pages behind [@offset, @offset + @len) of the buffer, one segment a page. The count; 0 if it is out of
 * bounds, @len is 0 or more than @max segments are needed. Any, while held.
 */
uint32_t vmbus_gpadl_segments(const struct vmbus_gpadl *gpadl, uint64_t offset, uint64_t len,
                              struct io_segment *segments, uint32_t max);

#endif /* VMBUS_CHANNEL_H */

/*
 * hyperv.h - the guest's side of Hyper-V: hypercalls, the SynIC, VMBus and its devices' drivers.
 *
 * Order: hv_start(), hv_bus_connect(), hv_bus_offers(), then any driver's open. Functions that wait
 * poll at most guest.poll_max times. Drivers' callbacks run inside hv_poll() and the functions that
 * wait; they may submit and send, and wait for nothing.
 *
 * What the host writes (messages, indexes, packets, its buffers) is copied, checked against what
 * was asked, then used; a host that breaks the protocol ends with a channel marked broken.
 */
#ifndef GUEST_DRIVERS_HYPERV_HYPERV_H
#define GUEST_DRIVERS_HYPERV_HYPERV_H

#include "abi/hyperv.h"
#include "abi/vmbus.h"
#include "guest-drivers/guest.h"

#define HV_CHANNEL_MAX 16u
#define HV_OFFER_MAX 32u
#define HV_RING_PAGES_MAX 16u /* of each ring, with its control page */
#define HV_PACKET_BYTES_MAX 4096u
#define HV_SINT_VECTOR 0xF3u

struct hv_channel;

/* What the caller waits for: a message of @type whose words from byte 8 on are @ids. */
struct hv_wait {
	uint32_t type; /* 0: nothing */
	uint32_t id_count;
	uint32_t ids[2];
	bool done;
	uint32_t size;
	uint8_t bytes[VMBUS_MESSAGE_BYTES_MAX];
};

struct hv_bus {
	uint32_t version; /* 0: not connected */
	uint32_t connection_id;
	uint16_t post_status; /* HV_STATUS_* of the last message to the host */
	uint32_t next_gpadl;
	struct hv_wait wait;
	uint32_t offer_count;
	struct vmbus_channel_offer_channel offers[HV_OFFER_MAX];
	struct hv_channel *channels[HV_CHANNEL_MAX]; /* the open ones */
	uint64_t bad_messages; /* too short, unknown, or about nothing of ours */
};

struct hv_guest {
	struct guest *guest;
	uint32_t vp_index;
	bool has_synic; /* without it no timers and no messages: the pages below are NULL */
	bool has_messages; /* to and from other partitions: without them no bus */
	struct guest_page hypercall_page;
	struct guest_page input; /* of PostMessage */
	struct guest_page messages_below, events_below;
	uint8_t *messages; /* struct hv_message_page */
	uint8_t *events; /* struct hv_synic_event_flags_page */
	uint64_t spurious_events; /* flags of no open channel */
	struct hv_bus bus;
};

/* ------------------------------------------------------------------ hypercall.c */

/* Finds Hyper-V, sets the OS id, the hypercall page and, where it is offered, the SynIC. False: hv_stop() then too. */
MUST_CHECK bool hv_start(struct hv_guest *hv, struct guest *guest);
/* Switches it off and gives all pages back. No channel is open, the bus is unloaded. */
void hv_stop(struct hv_guest *hv);
/* HV_STATUS_*. */
uint16_t hv_call(struct hv_guest *hv, uint64_t control, uint64_t input, uint64_t output);
/* @size at most 240. */
uint16_t hv_post_message(struct hv_guest *hv, uint32_t connection_id, const void *message, uint32_t size);
uint16_t hv_signal_event(struct hv_guest *hv, uint32_t connection_id, uint16_t flag);

/* ------------------------------------------------------------------ synic.c */

MUST_CHECK bool hv_synic_start(struct hv_guest *hv);
void hv_synic_stop(struct hv_guest *hv);
/* guest_poll(), then everything that has arrived is handled. */
void hv_poll(struct hv_guest *hv);

/* ------------------------------------------------------------------ vmbus.c */

/* From @version_max (VERSION_*) down to 4.0; true with hv->bus.version set. False too if there are no messages. */
MUST_CHECK bool hv_bus_connect(struct hv_guest *hv, uint32_t version_max);
/* Asks for the offers and waits until they are all there. */
MUST_CHECK bool hv_bus_offers(struct hv_guest *hv);
/* The host lets go of everything. False: it did not say so. */
MUST_CHECK bool hv_bus_unload(struct hv_guest *hv);
/* Offer @index of those of a class; NULL: there is none. */
const struct vmbus_channel_offer_channel *hv_bus_find(const struct hv_guest *hv, struct vmbus_guid class_id,
                                                      uint32_t index);
/* A message to the host, again while its queue is full. False: it was not taken. */
MUST_CHECK bool hv_bus_post(struct hv_guest *hv, const void *message, uint32_t size);
/* The same with an answer of @type; hv_bus_await() finds it in bus.wait. */
void hv_bus_expect(struct hv_guest *hv, uint32_t type, uint32_t id_count, uint32_t id0, uint32_t id1);
MUST_CHECK bool hv_bus_await(struct hv_guest *hv);
/* For synic.c: a message has come. */
void hv_bus_message(struct hv_guest *hv, const uint8_t *bytes, uint32_t size);
/* For synic.c: channel @relid was signalled. False: it is not open. */
bool hv_bus_event(struct hv_guest *hv, uint32_t relid);

/* ------------------------------------------------------------------ ring.c */

struct hv_part {
	const void *bytes;
	uint32_t len;
};

enum hv_ring_status {
	HV_RING_OK,
	HV_RING_EMPTY,
	HV_RING_FULL,
	HV_RING_BROKEN,
};

/* One direction: a control page and data pages. Our own index is kept here, not read back. */
struct hv_ring {
	const struct guest_page *pages;
	uint32_t data_bytes;
	uint32_t own;
};

void hv_ring_init(struct hv_ring *ring, const struct guest_page *pages, uint32_t page_count);
/* Bytes that may be sent, trailer included; 0 also if the host's index is wrong. */
uint32_t hv_ring_room(const struct hv_ring *ring);
/* The parts together are a packet, whose first is its descriptor. @signal: the host wants to know. */
enum hv_ring_status hv_ring_send(struct hv_ring *ring, const struct hv_part *parts, uint32_t count,
                                 bool *signal);
/* Copies one packet out, at most @room bytes. */
enum hv_ring_status hv_ring_receive(struct hv_ring *ring, uint8_t *to, uint32_t room, uint32_t *len,
                                    bool *signal);
void hv_ring_mask(struct hv_ring *ring, bool masked);
bool hv_ring_has_packet(const struct hv_ring *ring);

/* ------------------------------------------------------------------ channel.c */

/* Part of the guest's memory: @bytes from @offset (below 4096) of the first frame on. */
struct hv_buffer {
	uint32_t offset;
	uint32_t bytes;
	const uint64_t *gfns;
};

#define HV_BUFFERS_MAX 20u

struct hv_packet {
	uint16_t type; /* VM_PKT_* */
	bool completion_requested;
	uint64_t id;
	uint16_t pageset; /* of transfer pages */
	uint32_t range_count; /* of transfer pages */
	const uint8_t *ranges; /* struct vmtransfer_page_range each, not aligned */
	const uint8_t *payload;
	uint32_t payload_bytes;
};

struct hv_channel {
	struct hv_guest *hv;
	uint32_t relid;
	uint32_t connection_id;
	uint32_t gpadl; /* of both rings; 0: none */
	uint32_t ring_pages; /* of each ring */
	struct guest_page pages[2 * HV_RING_PAGES_MAX];
	struct hv_ring out, in;
	bool open;
	bool rescinded; /* the host takes the device away */
	bool broken; /* the host broke the protocol */
	bool again; /* packets wait for room in the other ring */
	void (*event)(void *context);
	void *context;
	uint32_t lost_pages; /* that the host would not let go of */
	uint64_t signal_count;
	uint8_t packet[HV_PACKET_BYTES_MAX] ALIGNED(8);
};

/* Opens with two rings of @ring_pages; @event(@context) is called when the host signals. */
MUST_CHECK bool hv_channel_open(struct hv_channel *channel, struct hv_guest *hv,
                                const struct vmbus_channel_offer_channel *offer, uint32_t ring_pages,
                                void (*event)(void *context), void *context);
/* Closes; false: the host did not confirm, and the rings' pages are lost. Harmless if not open. */
bool hv_channel_close(struct hv_channel *channel);
/* Moves its signals to another processor (from 4.1 on; answered from 5.3 on). */
MUST_CHECK bool hv_channel_modify(struct hv_channel *channel, uint32_t vp);

/*
 * Gives the host @count pages as one range. 0: refused, the pages are ours again; or not answered,
 * then they are lost (bytes NULL, counted in lost_pages).
 */
uint32_t hv_gpadl_create(struct hv_channel *channel, struct guest_page *pages, uint32_t count);
/* Takes them back. False: the host did not confirm. */
MUST_CHECK bool hv_gpadl_end(struct hv_channel *channel, uint32_t gpadl);
/* Counts pages that the host may still have, so that they are never used again. */
void hv_pages_lose(struct hv_channel *channel, struct guest_page *pages, uint32_t count);

/* False: no room in the ring now, or the channel is broken or not open. */
MUST_CHECK bool hv_channel_send(struct hv_channel *channel, uint64_t id, bool wants_completion,
                                const void *payload, uint32_t len);
MUST_CHECK bool hv_channel_complete(struct hv_channel *channel, uint64_t id, const void *payload,
                                    uint32_t len);
/* With buffers for the host to use until it completes; it is asked to. */
MUST_CHECK bool hv_channel_send_buffers(struct hv_channel *channel, uint64_t id,
                                        const struct hv_buffer *buffers, uint32_t buffer_count,
                                        const void *payload, uint32_t len);

/*
 * Calls @take for each packet that waits, as long as @room bytes are free in the other ring.
 * @batched: the host need not signal meanwhile. The packet is a copy, good during the call.
 */
void hv_channel_drain(struct hv_channel *channel, uint32_t room, bool batched,
                      void (*take)(void *context, const struct hv_packet *packet));
void hv_channel_break(struct hv_channel *channel);

/* ------------------------------------------------------------------ storvsc.c */

#define HV_STOR_SLOTS 32u
#define HV_STOR_RING_PAGES 8u

struct hv_scsi_command {
	uint8_t path, target, lun;
	uint8_t cdb[VSTOR_CDB_BYTES];
	uint8_t cdb_bytes;
	uint8_t direction; /* VSTOR_DATA_* */
	struct hv_buffer buffer;
};

struct hv_scsi_result {
	bool answered; /* false: the host ended the channel instead */
	uint8_t srb_status;
	uint8_t scsi_status;
	uint32_t bytes; /* transferred */
	uint8_t sense_bytes;
	uint8_t sense[VSTOR_SENSE_BYTES];
};

typedef void hv_scsi_done_fn(void *context, const struct hv_scsi_result *result);

struct hv_stor_slot {
	bool used;
	uint64_t id;
	uint32_t bytes; /* of the buffer */
	hv_scsi_done_fn *done;
	void *context;
};

struct hv_storvsc {
	struct hv_channel channel;
	uint16_t version;
	uint16_t version_max; /* VMSTOR_PROTO_VERSION_*: 0 = the newest; set before open by tests */
	uint32_t max_transfer_bytes;
	uint32_t used_count;
	uint64_t sequence;
	uint64_t setup_id; /* of the request that open waits for */
	bool setup_done;
	struct vstor_packet setup;
	uint64_t rescan_count; /* what the host said unasked */
	struct hv_stor_slot slots[HV_STOR_SLOTS];
	struct guest_page page; /* for answers of a few bytes */
};

MUST_CHECK bool hv_storvsc_open(struct hv_storvsc *stor, struct hv_guest *hv, uint32_t index);
/* Requests under way end unanswered. False: the host did not let go. */
bool hv_storvsc_close(struct hv_storvsc *stor);
/* False: no slot or no room now. The buffer is the host's until @done is called. */
MUST_CHECK bool hv_storvsc_submit(struct hv_storvsc *stor, const struct hv_scsi_command *command,
                                  hv_scsi_done_fn *done, void *context);
/* Submits, and polls until it is done. */
MUST_CHECK bool hv_storvsc_run(struct hv_storvsc *stor, const struct hv_scsi_command *command,
                               struct hv_scsi_result *result);
/* Resets the bus (an operation without data). */
MUST_CHECK bool hv_storvsc_reset(struct hv_storvsc *stor);
/* LUNs of path 0, target 0: how many of the first @max there are, their numbers in @luns. */
uint32_t hv_storvsc_luns(struct hv_storvsc *stor, uint8_t *luns, uint32_t max);

/* A disk: one LUN of path 0, target 0. */
struct hv_disk {
	struct hv_storvsc *stor;
	uint8_t lun;
	bool read_only;
	uint64_t sector_count; /* of sector_bytes */
	uint32_t sector_bytes;
	char vendor[9];
};

enum hv_disk_operation {
	HV_DISK_READ,
	HV_DISK_WRITE,
	HV_DISK_FLUSH,
};

MUST_CHECK bool hv_disk_open(struct hv_disk *disk, struct hv_storvsc *stor, uint8_t lun);
MUST_CHECK bool hv_disk_submit(struct hv_disk *disk, enum hv_disk_operation operation, uint64_t sector,
                               const struct hv_buffer *buffer, hv_scsi_done_fn *done, void *context);

/* ------------------------------------------------------------------ netvsc.c, netvsc_frame.c */

#define HV_NET_RING_PAGES 8u
#define HV_NET_RECEIVE_PAGES 128u
#define HV_NET_SEND_PAGES 32u
#define HV_NET_ENTRIES 32u
#define HV_NET_LARGE 8u /* entries with pages of their own for frames of up to 64 KiB */
#define HV_NET_LARGE_PAGES 17u
#define HV_NET_FRAME_MAX 65535u
#define HV_NET_BATCH_MAX 8u
#define HV_NET_CONTROL_BYTES 1024u

enum hv_net_way {
	HV_NET_ANY, /* a section if the frame fits, else pages */
	HV_NET_PAGES, /* header and frame in pages */
	HV_NET_APART, /* the header in a section, the frame in pages */
};

struct hv_net_frame {
	const uint8_t *bytes;
	uint32_t len;
	/* Sending: the checksum holds the pseudo-header's sum only. Received: the host found it good. */
	bool checksum_blank, checksum_good;
	bool udp, ipv6;
	uint16_t transport_offset; /* of the TCP or UDP header, with a blank checksum */
	uint16_t segment_bytes; /* large send; 0: none */
	bool tagged;
	uint16_t vlan;
};

struct hv_net_entry {
	bool used;
	uint64_t id;
	struct guest_page pages[HV_NET_LARGE_PAGES]; /* of the first HV_NET_LARGE */
};

typedef void hv_net_receive_fn(void *context, const struct hv_net_frame *frame);

struct hv_netvsc {
	struct hv_channel channel;
	uint32_t version;
	uint32_t version_max; /* NVSP_PROTOCOL_VERSION_*: 0 = the newest; kept by open */
	bool takes_tags; /* kept by open: VLAN tags beside the frame */
	enum hv_net_way way; /* kept by open */
	uint8_t mac[6];
	bool connected; /* the medium */
	uint32_t batch_max; /* RNDIS messages in a section */
	uint32_t align_shift;
	struct ndis_offload offload;
	hv_net_receive_fn *receive;
	void *context;

	uint32_t receive_gpadl, send_gpadl;
	uint32_t slot_bytes; /* of the receive buffer; 0: none yet */
	uint32_t slot_count;
	uint32_t section_bytes, section_count;
	struct guest_page receive_pages[HV_NET_RECEIVE_PAGES];
	struct guest_page send_pages[HV_NET_SEND_PAGES];

	uint64_t sequence;
	struct hv_net_entry entries[HV_NET_ENTRIES];
	uint32_t used_count;
	uint64_t sent_count, send_error_count, received_count, receive_error_count, indication_count;

	uint64_t setup_id; /* the NVSP message that is waited for */
	bool setup_done;
	struct nvsp_message setup;
	struct guest_page control_page;
	uint64_t control_id;
	uint32_t control_type, control_request;
	bool control_completed, control_replied;
	uint32_t control_bytes;
	uint8_t control[HV_NET_CONTROL_BYTES] ALIGNED(8);

	uint8_t frame[16384] ALIGNED(8); /* a received RNDIS message, copied */
};

/* Brings network device @index up, with its filter open. */
MUST_CHECK bool hv_netvsc_open(struct hv_netvsc *net, struct hv_guest *hv, uint32_t index,
                               hv_net_receive_fn *receive, void *context);
bool hv_netvsc_close(struct hv_netvsc *net);
/*
 * Copies the frames out and sends them: several only if they fit a section together. False: no room
 * now, or they cannot be sent.
 */
MUST_CHECK bool hv_netvsc_send(struct hv_netvsc *net, const struct hv_net_frame *frames, uint32_t count);
/* An RNDIS query; returns the bytes of the answer in @to, 0: refused. */
uint32_t hv_netvsc_query(struct hv_netvsc *net, uint32_t oid, void *to, uint32_t room);
MUST_CHECK bool hv_netvsc_set(struct hv_netvsc *net, uint32_t oid, const void *value, uint32_t len);
MUST_CHECK bool hv_netvsc_keepalive(struct hv_netvsc *net);
/*
 * An RNDIS control message of @bytes (4096 at most), whose length and request id are set here; its reply is in
 * net->control then. False: none came. tell: one without a reply, sent as it is; true when the host has read it.
 */
MUST_CHECK bool hv_netvsc_ask(struct hv_netvsc *net, void *message, uint32_t bytes);
MUST_CHECK bool hv_netvsc_tell(struct hv_netvsc *net, const void *message, uint32_t bytes);
/* Inside: what came by the channel. */
void hv_netvsc_event(void *context);
/* Inside: bytes into pages that follow each other. */
void hv_pages_put(const struct guest_page *pages, uint32_t offset, const void *from, uint32_t len);

/* ------------------------------------------------------------------ ics.c */

#define HV_IC_RING_PAGES 4u

struct hv_ic {
	struct hv_channel channel;
	uint16_t type; /* ICMSGTYPE_* */
	bool ready; /* versions are agreed on */
	uint32_t framework, version; /* IC_VERSION */
	uint64_t message_count;
	uint64_t bad_count;
	bool refuses; /* set by tests: shutdown is answered with a failure */

	uint64_t heartbeat; /* the last sequence */
	bool shutdown_asked;
	uint32_t shutdown_flags;
	uint64_t host_time; /* 100 ns since 1601 */
	uint8_t time_flags;
};

/* @type: ICMSGTYPE_HEARTBEAT, _SHUTDOWN or _TIMESYNC. From then on it answers by itself. */
MUST_CHECK bool hv_ic_open(struct hv_ic *ic, struct hv_guest *hv, uint16_t type);
bool hv_ic_close(struct hv_ic *ic);

#endif /* GUEST_DRIVERS_HYPERV_HYPERV_H */

/*
 * netvsp.h - the Hyper-V network device, inside; for netvsp*.c only. Its constructor is in
 * vmbus/devices.h.
 *
 * NVSP sets up two buffers of the guest's: the receive buffer, which we cut into slots and fill,
 * and the send buffer, which the guest fills by sections. Frames and control travel as RNDIS
 * messages (rndis.h). netvsp.c: life and NVSP; netvsp_tx.c: guest to switch; netvsp_rx.c:
 * everything that goes to the guest.
 *
 * Who works when: the channel's operations, one at a time, own what is not under the lock. deliver
 * comes from any CPU with the switch's lock held. All sending to the guest is under the lock.
 */
#ifndef VMBUS_NETVSP_H
#define VMBUS_NETVSP_H

#include "backend/switch.h"
#include "vmbus/channel.h"
#include "vmbus/rndis.h"

#define NETVSP_SECTION_BYTES 6144u
#define NETVSP_SECTION_PAGES 3u /* that a section touches at most */
#define NETVSP_PIN_MAX 64u /* pages of one packet's ranges */
#define NETVSP_SEGMENT_MAX (NETVSP_SECTION_PAGES + NETVSP_PIN_MAX)
#define NETVSP_SEND_BYTES_MAX 66560u /* of one packet: the largest frame, its header, and room between */

#define NETVSP_SLOT_MAX 8192u
#define NETVSP_SLOT_CONTROL 16u /* the first ones are for control messages */
#define NETVSP_SLOT_NONE UINT32_MAX
#define NETVSP_SLOT_PAGES 4u /* that a slot touches at most: 256 + 9216 + 36 bytes */

/*
 * What the switch may leave to us when it delivers. Nothing: a frame with a blank checksum could be
 * given to the guest as "checksum good", but guests forward and capture frames as they stand, so
 * the switch fills the checksum in.
 */
#define NETVSP_OFFLOADS 0u

/* Something for the guest's ring, kept while there is no room. */
struct netvsp_output {
	bool is_completion; /* else a control message in a slot */
	uint64_t transaction_id;
	struct nvsp_message message;
	uint32_t message_bytes;
	struct vmtransfer_page_range range;
};
#define NETVSP_OUTPUT_MAX 4u /* a packet makes a completion, a reply and an indication at most */

struct netvsp {
	struct vm *vm;
	struct vmbus_channel *channel;
	struct switch_port *port;
	uint8_t mac[6];

	/* Of the channel's operations alone. */
	uint32_t version; /* NVSP_PROTOCOL_VERSION_*; 0 before INIT */
	bool connected; /* to the switch */
	bool held; /* @packet waits for the next step */
	struct vmbus_packet packet;
	struct vmbus_gpadl *send_buffer;
	uint32_t section_count;
	uint8_t *bounce; /* for frames in more pieces than the switch takes */
	struct io_segment segments[NETVSP_SEGMENT_MAX]; /* of the packet in work */
	struct io_segment frame_segments[NETVSP_SEGMENT_MAX + 1]; /* of a frame in it */
	struct vm_page *pages[NETVSP_PIN_MAX];
	uint8_t control[RNDIS_CONTROL_BYTES] ALIGNED(8);

	struct spinlock lock; /* RANK_RECEIVE: all below, and every send */
	struct rndis rndis;
	struct vmbus_gpadl *receive_buffer;
	bool takes_tags; /* the guest wants 802.1Q tags beside the frame */
	uint32_t slot_bytes;
	uint32_t slot_count;
	uint32_t slot_hint; /* the word to look at first */
	uint64_t slots_busy[NETVSP_SLOT_MAX / 64];
	uint32_t output_count;
	struct netvsp_output outputs[NETVSP_OUTPUT_MAX];
};

/* Bytes of an NVSP message that we send, by version. */
static inline uint32_t netvsp_message_bytes(const struct netvsp *net)
{
	return net->version == NVSP_PROTOCOL_VERSION_61 ? NVSP_MESSAGE_BYTES_61 : NVSP_MESSAGE_BYTES;
}

/* ------------------------------------------------------------------ netvsp_tx.c; in step */

/* What is in one RNDIS packet (NVSP 107): a section and ranges, end to end. */
struct netvsp_message_in {
	uint32_t segment_count; /* in net->segments */
	uint32_t pin_count; /* in net->pages */
	uint32_t bytes;
};

/* NVSP_STAT_*: on success the bytes are there until the close. */
MUST_CHECK uint32_t netvsp_open_message(struct netvsp *net, const struct vmbus_packet *packet,
                                        const struct nvsp_1_send_rndis_pkt *raw,
                                        struct netvsp_message_in *message);
void netvsp_close_message(struct netvsp *net, const struct netvsp_message_in *message);
/* Its frames go to the switch. Returns NVSP_STAT_*. No lock held. */
uint32_t netvsp_send_frames(struct netvsp *net, const struct netvsp_message_in *message);

/* ------------------------------------------------------------------ netvsp_rx.c */

extern const struct switch_port_ops netvsp_port_ops;

/* Cuts @gpadl into slots; false if it is too small. Takes over the reference if true. In step. */
MUST_CHECK bool netvsp_set_receive_buffer(struct netvsp *net, struct vmbus_gpadl *gpadl);
/*
 * Forgets the slots; gives back what netvsp_set_receive_buffer() took, for the caller to put; NULL
 * if none.
 */
struct vmbus_gpadl *netvsp_take_receive_buffer(struct netvsp *net);
/* The guest has returned a slot. False: it did not have it. */
bool netvsp_free_slot(struct netvsp *net, uint64_t raw_transaction_id);

/* A completion; @message_bytes may be 0. In step, as the next three. */
void netvsp_complete(struct netvsp *net, uint64_t transaction_id, const struct nvsp_message *message,
                     uint32_t message_bytes);
/* One control message and its answer, which is in @answer for counting. False: no slot is free. */
bool netvsp_control(struct netvsp *net, const uint8_t *message, uint32_t bytes, struct rndis_answer *answer);
/* Tells the guest that offloads have changed, if that is due and a slot is free. */
void netvsp_indicate(struct netvsp *net);
/* Sends what is queued. False: there is no room; the guest's next reads cause a step. */
MUST_CHECK bool netvsp_flush(struct netvsp *net);

#endif /* VMBUS_NETVSP_H */

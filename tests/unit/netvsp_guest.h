/*
 * netvsp_guest.h - a small guest with the real bus and network device under it, for netvsp*_test.c.
 *
 * The SynIC is played here: messages go to a list, event flags to a count, connections to a table.
 * All the rest (bus, channel, rings, GPADLs, netvsp, RNDIS, switch) is what runs on the metal.
 */
#ifndef TESTS_UNIT_NETVSP_GUEST_H
#define TESTS_UNIT_NETVSP_GUEST_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "abi/vmbus.h"
#include "backend/switch.h"
#include "synic/synic.h"
#include "tests/host/host.h"
#include "tests/unit/unit.h"
#include "vmbus/bus.h"
#include "vmbus/devices.h"

#define GUEST_MAX 2u
#define PORTS_MAX 32u
#define MESSAGES_MAX 64u

/* Where things lie in the guest's memory. */
#define RING_AT 0x100000u
#define RING_PAGES 8u /* each way, with the control page */
#define RECEIVE_AT 0x200000u
#define RECEIVE_BYTES 0x40000u
#define SEND_AT 0x300000u
#define SEND_BYTES 0x20000u
#define DATA_AT 0x400000u
#define MEMORY_BYTES 0x800000u

#define GPADL_RING 0xE1E10u
#define GPADL_RECEIVE 0xE1E11u
#define GPADL_SEND 0xE1E12u

struct port_entry {
	uint32_t id;
	synic_post_fn *post;
	synic_signal_fn *signal;
	void *context;
};

struct message_entry {
	uint8_t bytes[240];
	uint32_t size;
};

/* A packet that came from the host. */
struct packet_in {
	struct vmpacket_descriptor d;
	struct vmtransfer_page_packet_header transfer;
	struct vmtransfer_page_range range;
	uint8_t bytes[512];
	uint32_t payload_at;
	uint32_t len;
};

struct guest {
	struct vm *vm;
	struct switch_port port;
	struct port_entry ports[PORTS_MAX];
	struct message_entry messages[MESSAGES_MAX];
	uint32_t message_count;
	uint64_t event_count;
	uint32_t relid;
	uint32_t version;
	uint32_t slot_bytes, slot_count, section_bytes;
	uint32_t request_id;
	uint32_t receive_bytes; /* of the buffer */
};

static struct guest guests[GUEST_MAX];

static inline struct guest *guest_of(const struct vm *vm)
{
	for (uint32_t i = 0; i < GUEST_MAX; i++) {
		if (guests[i].vm == vm) {
			return &guests[i];
		}
	}
	abort();
}

/* ------------------------------------------------------------------ the SynIC */

static bool port_add(struct vm *vm, struct port_entry entry)
{
	struct guest *g = guest_of(vm);

	for (uint32_t i = 0; i < PORTS_MAX; i++) {
		if (g->ports[i].id == 0) {
			g->ports[i] = entry;
			return true;
		}
	}
	return false;
}

bool synic_port_add_message(struct vm *vm, uint32_t id, synic_post_fn *post, void *context)
{
	return port_add(vm, (struct port_entry){.id = id, .post = post, .context = context});
}

bool synic_port_add_event(struct vm *vm, uint32_t id, synic_signal_fn *signal, void *context)
{
	return port_add(vm, (struct port_entry){.id = id, .signal = signal, .context = context});
}

void synic_port_remove(struct vm *vm, uint32_t id)
{
	struct guest *g = guest_of(vm);

	for (uint32_t i = 0; i < PORTS_MAX; i++) {
		if (g->ports[i].id == id) {
			g->ports[i].id = 0;
		}
	}
}

void synic_on_room(struct vm *vm, void (*room)(void *context), void *context)
{
	(void)vm;
	(void)room;
	(void)context;
}

enum synic_status synic_post_message(struct vcpu *target, uint32_t sint, uint32_t type, const void *payload,
                                     uint32_t size)
{
	struct guest *g = guest_of(vcpu_vm(target));

	(void)sint;
	(void)type;
	if (g->message_count == MESSAGES_MAX) {
		abort();
	}
	memcpy(g->messages[g->message_count].bytes, payload, size);
	g->messages[g->message_count++].size = size;
	return SYNIC_OK;
}

bool synic_signal_event(struct vcpu *target, uint32_t sint, uint32_t flag)
{
	(void)sint;
	(void)flag;
	__atomic_fetch_add(&guest_of(vcpu_vm(target))->event_count, 1, __ATOMIC_RELAXED);
	return true;
}

/* ------------------------------------------------------------------ the other devices: none */

bool storvsp_create(struct vmbus *bus)
{
	return bus != NULL;
}

bool ic_shutdown_create(struct vmbus *bus)
{
	return bus != NULL;
}

bool ic_heartbeat_create(struct vmbus *bus)
{
	return bus != NULL;
}

bool ic_timesync_create(struct vmbus *bus)
{
	return bus != NULL;
}

/* ------------------------------------------------------------------ memory */

static inline void *at(struct guest *g, uint64_t address)
{
	void *bytes = host_vm_bytes(g->vm, address, 1);

	if (bytes == NULL) {
		abort();
	}
	return bytes;
}

static inline uint32_t *ring_word(struct guest *g, bool to_host, uint32_t offset)
{
	return at(g, RING_AT + (to_host ? 0 : RING_PAGES * 4096) + offset);
}

/* ------------------------------------------------------------------ messages */

static inline void post(struct guest *g, const void *message, uint32_t size)
{
	for (uint32_t i = 0; i < PORTS_MAX; i++) {
		if (g->ports[i].id == VMBUS_MESSAGE_CONNECTION_ID_4) {
			CU_ASSERT_EQUAL(g->ports[i].post(g->ports[i].context, vm_vcpu(g->vm, 0), HVMSG_VMBUS,
			                                 message, size),
			                0);
		}
	}
	(void)host_run_work(g->vm);
}

/* Takes the first message of @type; NULL if there is none. */
static inline const void *message_take(struct guest *g, uint32_t type)
{
	static struct message_entry taken;
	struct vmbus_channel_message_header header;

	for (uint32_t i = 0; i < g->message_count; i++) {
		memcpy(&header, g->messages[i].bytes, sizeof(header));
		if (header.msgtype == type) {
			taken = g->messages[i];
			g->message_count--;
			memmove(&g->messages[i], &g->messages[i + 1], (g->message_count - i) * sizeof(taken));
			return taken.bytes;
		}
	}
	return NULL;
}

static inline void gpadl_make(struct guest *g, uint32_t id, uint64_t address, uint32_t bytes)
{
	uint8_t message[240];
	uint32_t count = bytes / 4096, done = 0, words = 26;
	struct vmbus_channel_gpadl_header head = {
	        .header.msgtype = CHANNELMSG_GPADL_HEADER,
	        .child_relid = g->relid,
	        .gpadl = id,
	        .range_buflen = (uint16_t)(8 + count * 8),
	        .rangecount = 1,
	};
	struct gpa_range range = {.byte_count = bytes};
	struct vmbus_channel_gpadl_body body = {.header.msgtype = CHANNELMSG_GPADL_BODY, .gpadl = id};
	uint32_t size = sizeof(head);
	const struct vmbus_channel_gpadl_created *created;

	memcpy(message, &head, sizeof(head));
	memcpy(message + size, &range, sizeof(range));
	size += (uint32_t)sizeof(range);
	while (done < count) {
		for (uint32_t i = 0; i < words && done < count; i++, done++) {
			uint64_t frame = address / 4096 + done;

			memcpy(message + size, &frame, 8);
			size += 8;
		}
		post(g, message, size);
		memcpy(message, &body, sizeof(body));
		size = sizeof(body);
		words = 28;
	}
	created = message_take(g, CHANNELMSG_GPADL_CREATED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(created);
	CU_ASSERT_EQUAL(created->creation_status, 0);
}

/* A buffer of @first_pages, 12 pieces of 100 bytes in one page, and @last_pages. */
static inline void gpadl_make_pieces(struct guest *g, uint32_t id, uint64_t address, uint32_t first_pages,
                                     uint32_t last_pages)
{
	uint64_t words[14 + 12 + 100], frame = address / 4096;
	uint8_t message[240];
	uint32_t count = 0, now = 27, size = sizeof(struct vmbus_channel_gpadl_header);
	struct vmbus_channel_gpadl_header head = {.header.msgtype = CHANNELMSG_GPADL_HEADER,
	                                          .child_relid = g->relid,
	                                          .gpadl = id,
	                                          .rangecount = 14};
	struct vmbus_channel_gpadl_body body = {.header.msgtype = CHANNELMSG_GPADL_BODY, .gpadl = id};

	for (uint32_t i = 0; i < 14; i++) {
		uint32_t pages = i == 0 ? first_pages : i == 13 ? last_pages : 1;
		bool piece = i != 0 && i != 13;

		words[count++] = (piece ? 100u : pages * 4096) | (uint64_t)(piece ? i * 200 : 0) << 32;
		for (uint32_t j = 0; j < pages; j++) {
			words[count++] = piece ? frame : frame++;
		}
	}
	head.range_buflen = (uint16_t)(count * 8);
	memcpy(message, &head, sizeof(head));
	for (uint32_t done = 0; done < count; done += now, now = 28) {
		now = count - done < now ? count - done : now;
		memcpy(message + size, words + done, now * 8);
		post(g, message, size + now * 8);
		memcpy(message, &body, sizeof(body));
		size = sizeof(body);
	}
	CU_ASSERT_PTR_NOT_NULL_FATAL(message_take(g, CHANNELMSG_GPADL_CREATED));
}

static inline bool gpadl_end(struct guest *g, uint32_t id)
{
	struct vmbus_channel_gpadl_teardown end = {
	        .header.msgtype = CHANNELMSG_GPADL_TEARDOWN, .child_relid = g->relid, .gpadl = id};

	post(g, &end, sizeof(end));
	return message_take(g, CHANNELMSG_GPADL_TORNDOWN) != NULL;
}

static inline uint32_t channel_open(struct guest *g)
{
	struct vmbus_channel_open_channel open = {
	        .header.msgtype = CHANNELMSG_OPENCHANNEL,
	        .child_relid = g->relid,
	        .openid = 7,
	        .ringbuffer_gpadlhandle = GPADL_RING,
	        .downstream_ringbuffer_pageoffset = RING_PAGES,
	};
	const struct vmbus_channel_open_result *result;

	memset(at(g, RING_AT), 0, 4096);
	memset(at(g, RING_AT + RING_PAGES * 4096), 0, 4096);
	*ring_word(g, true, VMBUS_RING_FEATURE_BITS) = 1;
	*ring_word(g, false, VMBUS_RING_FEATURE_BITS) = 1;
	post(g, &open, sizeof(open));
	result = message_take(g, CHANNELMSG_OPENCHANNEL_RESULT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(result);
	return result->status;
}

static inline void channel_close(struct guest *g)
{
	struct vmbus_channel_relid close = {.header.msgtype = CHANNELMSG_CLOSECHANNEL,
	                                    .child_relid = g->relid};

	post(g, &close, sizeof(close));
}

/* ------------------------------------------------------------------ rings */

#define RING_DATA_BYTES ((RING_PAGES - 1) * 4096)

static inline void signal_queue(struct guest *g)
{
	for (uint32_t i = 0; i < PORTS_MAX; i++) {
		if (g->ports[i].id != 0 && g->ports[i].signal != NULL) {
			g->ports[i].signal(g->ports[i].context, 0);
		}
	}
}

static inline void signal_host(struct guest *g)
{
	signal_queue(g);
	(void)host_run_work(g->vm);
}

static inline uint32_t ring_put(struct guest *g, uint32_t index, const void *from, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		uint8_t *to = at(g, RING_AT + 4096 + (index + i) % RING_DATA_BYTES);

		*to = ((const uint8_t *)from)[i];
	}
	return (index + len) % RING_DATA_BYTES;
}

/* @head: what stands between the descriptor and the payload. Not signalled. */
static inline void packet_write(struct guest *g, uint16_t type, uint64_t id, bool completion,
                                const void *head, uint32_t head_bytes, const void *payload, uint32_t len)
{
	uint32_t padded = (len + 7) & ~7u;
	struct vmpacket_descriptor d = {
	        .type = type,
	        .offset8 = (uint16_t)((16 + head_bytes) / 8),
	        .len8 = (uint16_t)((16 + head_bytes + padded) / 8),
	        .flags = completion,
	        .trans_id = id,
	};
	uint64_t zeros = 0;
	uint32_t index = *ring_word(g, true, VMBUS_RING_WRITE_INDEX);

	index = ring_put(g, index, &d, sizeof(d));
	index = ring_put(g, index, head, head_bytes);
	index = ring_put(g, index, payload, len);
	index = ring_put(g, index, &zeros, padded - len);
	index = ring_put(g, index, &zeros, 8);
	*ring_word(g, true, VMBUS_RING_WRITE_INDEX) = index;
}

static inline void packet_send(struct guest *g, uint16_t type, uint64_t id, bool completion, const void *head,
                               uint32_t head_bytes, const void *payload, uint32_t len)
{
	packet_write(g, type, id, completion, head, head_bytes, payload, len);
	signal_host(g);
}

/* The next packet of the host's. False: there is none. */
static inline bool packet_take(struct guest *g, struct packet_in *in)
{
	uint32_t *read = ring_word(g, false, VMBUS_RING_READ_INDEX);
	uint32_t index = *read;
	uint32_t total;

	memset(in, 0, sizeof(*in));
	if (index == *ring_word(g, false, VMBUS_RING_WRITE_INDEX)) {
		return false;
	}
	for (uint32_t i = 0; i < 16; i++) {
		in->bytes[i] =
		        *(uint8_t *)at(g, RING_AT + (RING_PAGES + 1) * 4096 + (index + i) % RING_DATA_BYTES);
	}
	memcpy(&in->d, in->bytes, 16);
	total = in->d.len8 * 8u;
	for (uint32_t i = 0; i < total && i < sizeof(in->bytes); i++) {
		in->bytes[i] =
		        *(uint8_t *)at(g, RING_AT + (RING_PAGES + 1) * 4096 + (index + i) % RING_DATA_BYTES);
	}
	in->payload_at = in->d.offset8 * 8u;
	in->len = total - in->payload_at;
	if (in->d.type == VM_PKT_DATA_USING_XFER_PAGES) {
		memcpy(&in->transfer, in->bytes, sizeof(in->transfer));
		memcpy(&in->range, in->bytes + sizeof(in->transfer), sizeof(in->range));
	}
	*read = (index + total + 8) % RING_DATA_BYTES;
	return true;
}

/* ------------------------------------------------------------------ NVSP */

static inline void nvsp_send(struct guest *g, uint64_t id, bool completion,
                             const struct nvsp_message *message)
{
	packet_send(g, VM_PKT_DATA_INBAND, id, completion, NULL, 0, message, sizeof(*message));
}

static inline struct nvsp_message nvsp_of(const struct packet_in *in)
{
	struct nvsp_message message = {0};

	memcpy(&message, in->bytes + in->payload_at, in->len < sizeof(message) ? in->len : sizeof(message));
	return message;
}

/* Sends and takes the completion. */
static inline struct nvsp_message nvsp_call(struct guest *g, uint64_t id, const struct nvsp_message *message)
{
	struct packet_in in;

	nvsp_send(g, id, true, message);
	CU_ASSERT_FATAL(packet_take(g, &in));
	CU_ASSERT_EQUAL(in.d.type, VM_PKT_COMP);
	CU_ASSERT_EQUAL(in.d.trans_id, id);
	return nvsp_of(&in);
}

static inline uint32_t nvsp_init(struct guest *g, uint32_t version)
{
	struct nvsp_message message = {.msg_type = NVSP_MSG_TYPE_INIT, .u.init = {version, version}};

	message = nvsp_call(g, 0x1111, &message);
	CU_ASSERT_EQUAL(message.msg_type, NVSP_MSG_TYPE_INIT_COMPLETE);
	g->version = version;
	return message.u.init_complete.status;
}

static inline void nvsp_config(struct guest *g, uint32_t mtu, uint64_t capability)
{
	struct nvsp_message message = {.msg_type = NVSP_MSG2_TYPE_SEND_NDIS_CONFIG,
	                               .u.send_ndis_config = {mtu, 0, capability}};

	nvsp_send(g, 0x2222, false, &message);
	message = (struct nvsp_message){.msg_type = NVSP_MSG1_TYPE_SEND_NDIS_VER, .u.send_ndis_ver = {6, 30}};
	nvsp_send(g, 0x2222, false, &message);
}

static inline uint32_t nvsp_receive_buffer(struct guest *g, uint32_t gpadl)
{
	struct nvsp_message message = {.msg_type = NVSP_MSG1_TYPE_SEND_RECV_BUF,
	                               .u.send_buf = {gpadl, NETVSC_RECEIVE_BUFFER_ID, 0}};

	message = nvsp_call(g, 0x3333, &message);
	CU_ASSERT_EQUAL(message.msg_type, NVSP_MSG1_TYPE_SEND_RECV_BUF_COMPLETE);
	g->slot_bytes = message.u.send_recv_buf_complete.section.sub_alloc_size;
	g->slot_count = message.u.send_recv_buf_complete.section.num_sub_allocs;
	return message.u.send_recv_buf_complete.status;
}

static inline uint32_t nvsp_send_buffer(struct guest *g, uint32_t gpadl)
{
	struct nvsp_message message = {.msg_type = NVSP_MSG1_TYPE_SEND_SEND_BUF, .u.send_buf = {gpadl, 0, 0}};

	message = nvsp_call(g, 0x4444, &message);
	CU_ASSERT_EQUAL(message.msg_type, NVSP_MSG1_TYPE_SEND_SEND_BUF_COMPLETE);
	g->section_bytes = message.u.send_send_buf_complete.section_size;
	return message.u.send_send_buf_complete.status;
}

/* ------------------------------------------------------------------ RNDIS */

static inline struct nvsp_message rndis_message(uint32_t type, uint32_t section, uint32_t bytes)
{
	return (struct nvsp_message){.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT,
	                             .u.send_rndis_pkt = {type, section, bytes}};
}

/* A GPA-direct packet with 107: the @bytes at @address, one range. Not signalled. */
static inline void rndis_write(struct guest *g, uint64_t id, uint32_t type, uint64_t address, uint32_t bytes)
{
	uint8_t head[8 + 8 + 8 * 32] = {0};
	uint32_t off = (uint32_t)(address % 4096);
	uint32_t pages = (off + bytes + 4095) / 4096;
	struct gpa_range range = {bytes, off};
	uint32_t one = 1;
	struct nvsp_message message = rndis_message(type, NVSP_INVALID_SECTION_INDEX, 0);

	memcpy(head + 4, &one, 4);
	memcpy(head + 8, &range, 8);
	for (uint32_t i = 0; i < pages; i++) {
		uint64_t frame = address / 4096 + i;

		memcpy(head + 16 + i * 8, &frame, 8);
	}
	packet_write(g, VM_PKT_DATA_USING_GPA_DIRECT, id, true, head, 16 + pages * 8, &message,
	             sizeof(message));
}

static inline void slot_return(struct guest *g, uint64_t id)
{
	struct nvsp_message message = {.msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE,
	                               .u.send_rndis_pkt_complete = {NVSP_STAT_SUCCESS}};

	packet_send(g, VM_PKT_COMP, id, false, NULL, 0, &message, 8);
}

static inline uint8_t *slot_at(struct guest *g, const struct packet_in *in)
{
	return at(g, RECEIVE_AT + in->range.byte_offset);
}

/* Expects the completion 108 of @id. Returns its status. */
static inline uint32_t completion_take(struct guest *g, uint64_t id)
{
	struct packet_in in;
	struct nvsp_message message;

	CU_ASSERT_FATAL(packet_take(g, &in));
	CU_ASSERT_EQUAL(in.d.type, VM_PKT_COMP);
	CU_ASSERT_EQUAL(in.d.trans_id, id);
	message = nvsp_of(&in);
	CU_ASSERT_EQUAL(message.msg_type, NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE);
	return message.u.send_rndis_pkt_complete.status;
}

/* One control message and its reply, whose slot is given back. Returns the reply's length; 0: none. */
static inline uint32_t control_call(struct guest *g, const void *message, uint32_t bytes, uint8_t *reply)
{
	struct packet_in in;

	memcpy(at(g, DATA_AT), message, bytes);
	rndis_write(g, 0x5555, NVSP_RMC_CONTROL, DATA_AT, bytes);
	signal_host(g);
	CU_ASSERT_EQUAL(completion_take(g, 0x5555), NVSP_STAT_SUCCESS);
	if (!packet_take(g, &in)) {
		return 0;
	}
	CU_ASSERT_EQUAL(in.d.type, VM_PKT_DATA_USING_XFER_PAGES);
	CU_ASSERT_EQUAL(in.transfer.xfer_pageset_id, NETVSC_RECEIVE_BUFFER_ID);
	CU_ASSERT_EQUAL(in.transfer.range_cnt, 1);
	CU_ASSERT(in.range.byte_count <= g->slot_bytes);
	memcpy(reply, slot_at(g, &in), in.range.byte_count);
	slot_return(g, in.d.trans_id);
	return in.range.byte_count;
}

static inline uint32_t rndis_initialize(struct guest *g)
{
	uint32_t message[6] = {RNDIS_MSG_INIT, 24, ++g->request_id, 1, 0, 0x4000};
	uint32_t reply[64] = {0};

	CU_ASSERT_EQUAL(control_call(g, message, sizeof(message), (uint8_t *)reply), 52);
	CU_ASSERT_EQUAL(reply[0], RNDIS_MSG_INIT_C);
	CU_ASSERT_EQUAL(reply[2], g->request_id);
	return reply[3];
}

/* Returns the status of the set. */
static inline uint32_t rndis_set(struct guest *g, uint32_t oid, const void *value, uint32_t bytes)
{
	uint32_t message[64] = {RNDIS_MSG_SET, 28 + bytes, ++g->request_id, oid, bytes, 20, 0};
	uint32_t reply[256] = {0};

	memcpy(message + 7, value, bytes);
	CU_ASSERT_EQUAL(control_call(g, message, 28 + bytes, (uint8_t *)reply), 16);
	CU_ASSERT_EQUAL(reply[0], RNDIS_MSG_SET_C);
	CU_ASSERT_EQUAL(reply[2], g->request_id);
	return reply[3];
}

/* ------------------------------------------------------------------ a whole guest */

/* @index 0 or 1. Offers are there, the channel is closed. */
static inline struct guest *guest_new(uint32_t index, struct ether_switch *sw)
{
	struct guest *g = &guests[index];
	struct host_vm_config config = {
	        .vm = {.id = 1 + index, .memory_bytes = MEMORY_BYTES, .hyperv_face = true, .nic_count = 1},
	};
	struct vmbus_channel_initiate_contact contact = {
	        .header.msgtype = CHANNELMSG_INITIATE_CONTACT,
	        .vmbus_version_requested = VERSION_WIN10_V5_2,
	        .msg_sint = 2,
	};
	struct vmbus_channel_message_header offers = {.msgtype = CHANNELMSG_REQUESTOFFERS};
	const struct vmbus_channel_offer_channel *offer;

	memset(g, 0, sizeof(*g));
	CU_ASSERT_FATAL(switch_add_port(sw, &g->port));
	config.vm.nics[0].port = &g->port;
	memcpy(config.vm.nics[0].mac, (uint8_t[6]){2, 0, 0, 0, 0, (uint8_t)(1 + index)}, 6);
	g->vm = host_vm_new(&config);
	g->receive_bytes = RECEIVE_BYTES;
	CU_ASSERT_FATAL(vmbus_create(g->vm));
	post(g, &contact, sizeof(contact));
	CU_ASSERT_PTR_NOT_NULL_FATAL(message_take(g, CHANNELMSG_VERSION_RESPONSE));
	post(g, &offers, sizeof(offers));
	offer = message_take(g, CHANNELMSG_OFFERCHANNEL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(offer);
	g->relid = offer->child_relid;
	gpadl_make(g, GPADL_RING, RING_AT, 2 * RING_PAGES * 4096);
	return g;
}

/* From a closed channel to a device that sends and receives. */
static inline void guest_up(struct guest *g, uint32_t version, uint32_t mtu, uint64_t capability)
{
	uint32_t filter = 0xD;

	CU_ASSERT_EQUAL_FATAL(channel_open(g), 0);
	CU_ASSERT_EQUAL_FATAL(nvsp_init(g, version), NVSP_STAT_SUCCESS);
	if (version >= NVSP_PROTOCOL_VERSION_2) {
		nvsp_config(g, mtu, capability);
	}
	gpadl_make(g, GPADL_RECEIVE, RECEIVE_AT, g->receive_bytes);
	gpadl_make(g, GPADL_SEND, SEND_AT, SEND_BYTES);
	CU_ASSERT_EQUAL_FATAL(nvsp_receive_buffer(g, GPADL_RECEIVE), NVSP_STAT_SUCCESS);
	CU_ASSERT_EQUAL_FATAL(nvsp_send_buffer(g, GPADL_SEND), NVSP_STAT_SUCCESS);
	CU_ASSERT_EQUAL_FATAL(rndis_initialize(g), 0);
	CU_ASSERT_EQUAL(rndis_set(g, RNDIS_OID_GEN_CURRENT_PACKET_FILTER, &filter, 4), 0);
}

static inline void guest_free(struct guest *g)
{
	vmbus_teardown(g->vm);
	CU_ASSERT_PTR_NULL(g->port.ops);
	switch_remove_port(&g->port);
	host_vm_free(g->vm);
	g->vm = NULL;
}

#define FRAME_MAX 65550u

static struct ether_switch sw;

/* ------------------------------------------------------------------ another port of the switch */

static struct {
	struct switch_port port;
	uint32_t count;
	uint32_t len;
	bool checksum_blank;
	uint16_t segment_bytes;
	uint8_t bytes[FRAME_MAX];
} tap;

static bool tap_deliver(void *device, const struct switch_frame *frame)
{
	(void)device;
	tap.count++;
	tap.len = frame->len_bytes;
	tap.checksum_blank = frame->checksum_blank;
	tap.segment_bytes = frame->segment_bytes;
	(void)io_copy_out(frame->segments, frame->segment_count, 0, tap.bytes, frame->len_bytes);
	return true;
}

static const struct switch_port_ops tap_ops = {.deliver = tap_deliver};

static inline void tap_start(uint32_t offloads)
{
	switch_init(&sw, "test");
	memset(&tap, 0, sizeof(tap));
	CU_ASSERT_FATAL(switch_add_port(&sw, &tap.port));
	switch_connect(&tap.port, &tap_ops, NULL, offloads);
}

static inline void tap_send(const uint8_t *bytes, uint32_t len, bool good)
{
	struct io_segment segment = {.bytes = (uint8_t *)(uintptr_t)bytes, .len_bytes = len};
	struct switch_frame frame = {
	        .segments = &segment, .segment_count = 1, .len_bytes = len, .checksum_good = good};

	switch_send(&tap.port, &frame);
}

/* ------------------------------------------------------------------ frames */

static const uint8_t guest_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t tap_mac[6] = {2, 0, 0, 0, 0, 9};

/* Ethernet with a pattern behind; @len 14 or more. */
static inline void frame_fill(uint8_t *bytes, uint32_t len, const uint8_t *to, const uint8_t *from)
{
	for (uint32_t i = 0; i < len; i++) {
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	}
	memcpy(bytes, to, 6);
	memcpy(bytes + 6, from, 6);
	bytes[12] = 0x88;
	bytes[13] = 0xB5;
}

/* An IPv4 TCP frame of @len with headers as Linux leaves them for an offload (@ip_len 0 for LSO). */
static inline void frame_tcp(uint8_t *bytes, uint32_t len, const uint8_t *to, uint32_t ip_len)
{
	frame_fill(bytes, len, to, guest_mac);
	bytes[12] = 0x08;
	bytes[13] = 0x00;
	memset(bytes + 14, 0, 40);
	bytes[14] = 0x45;
	bytes[16] = (uint8_t)(ip_len >> 8);
	bytes[17] = (uint8_t)ip_len;
	bytes[22] = 64;
	bytes[23] = 6;
	bytes[29] = 1;
	bytes[33] = 2;
	bytes[46] = 5 << 4;
}

/* A PACKET at @to with one entry of info (@info_type UINT32_MAX: none). Returns its length. */
static inline uint32_t packet_fill(uint8_t *to, const uint8_t *frame, uint32_t len, uint32_t info_type,
                                   uint32_t value)
{
	uint32_t has_info = info_type != UINT32_MAX;
	uint32_t total = 44 + 16 * has_info + len;
	uint32_t words[15] = {RNDIS_MSG_PACKET,
	                      (total + 7) & ~7u,
	                      36 + 16 * has_info,
	                      len,
	                      0,
	                      0,
	                      0,
	                      36 * has_info,
	                      16 * has_info,
	                      0,
	                      0,
	                      16,
	                      info_type,
	                      12,
	                      value};

	memcpy(to, words, 44 + 16 * has_info);
	memmove(to + 44 + 16 * has_info, frame, len);
	memset(to + total, 0, ((total + 7) & ~7u) - total);
	return (total + 7) & ~7u;
}

static inline void section_send(struct guest *g, uint64_t id, uint32_t section, uint32_t bytes)
{
	struct nvsp_message message = rndis_message(NVSP_RMC_DATA, section, bytes);

	nvsp_send(g, id, true, &message);
}

/* The sum of the TCP segment and its pseudo-header: 0xFFFF if the checksum is right. */
static inline uint32_t tcp_sum(const uint8_t *frame, uint32_t len)
{
	uint32_t sum = 6 + (len - 34);

	for (uint32_t i = 26; i < len; i += 2) {
		sum += (uint32_t)frame[i] << 8 | (i + 1 < len ? frame[i + 1] : 0u);
	}
	sum = (sum >> 16) + (sum & 0xFFFF);
	return (sum >> 16) + (sum & 0xFFFF);
}

#endif /* TESTS_UNIT_NETVSP_GUEST_H */

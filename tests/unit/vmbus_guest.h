/*
 * vmbus_guest.h - what a guest does with its VMBus: contact, offers, GPADLs, rings. The SynIC under it is the real one.
 */
#ifndef TESTS_UNIT_VMBUS_GUEST_H
#define TESTS_UNIT_VMBUS_GUEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/hyperv.h"
#include "abi/vmbus.h"
#include "backend/block.h"
#include "backend/clock.h"
#include "backend/lifecycle.h"
#include "synic/synic.h"
#include "tests/host/host.h"
#include "vmbus/bus.h"

#ifndef GUEST_MUST
#define GUEST_MUST(condition) CU_ASSERT_FATAL(condition)
#endif

#define GUEST_MEMORY (8u << 20)
#define GUEST_SIMP(vp) (0x10000ull + (vp)*0x2000ull)
#define GUEST_SIEFP(vp) (0x11000ull + (vp)*0x2000ull)
#define GUEST_VECTOR 0xF3u
#define GUEST_DISK_BYTES (1u << 20)
#define GUEST_VM_ID 0x80ull

struct guest_channel {
	struct vmbus_channel_offer_channel offer;
	uint32_t gpadl;
	uint64_t out_at, in_at; /* control pages of both rings */
	uint32_t data_bytes; /* of each */
	uint32_t write, read;
};

struct guest {
	struct vm *vm;
	struct clock clock;
	struct lifecycle lifecycle;
	struct block blocks[2];
	uint8_t disk[2][GUEST_DISK_BYTES];
	uint32_t next_gpadl;
	struct vmbus_channel_offer_channel offers[32];
	uint32_t offer_count;
	uint8_t message[256]; /* the last one received */
	uint32_t message_bytes;
};

static inline void guest_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	GUEST_MUST(synic_msr_write(vcpu, msr, value));
}

static inline void guest_synic_up(struct guest *guest)
{
	for (uint32_t i = 0; i < vm_vcpu_count(guest->vm); i++) {
		struct vcpu *vcpu = vm_vcpu(guest->vm, i);

		guest_msr(vcpu, HV_X64_MSR_SIMP, GUEST_SIMP(i) | 1);
		guest_msr(vcpu, HV_X64_MSR_SIEFP, GUEST_SIEFP(i) | 1);
		guest_msr(vcpu, HV_X64_MSR_SINT2, HV_SYNIC_SINT_AUTO_EOI | GUEST_VECTOR);
		guest_msr(vcpu, HV_X64_MSR_SCONTROL, 1);
	}
}

/* Two vCPUs, two RAM disks, the second read-only. Not yet: the bus. */
static inline struct guest *guest_new_bare(void)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	struct host_vm_config config = {
	        .vm = {.vcpu_count = 2, .hyperv_face = true, .memory_bytes = GUEST_MEMORY}};

	GUEST_MUST(guest != NULL);
	lifecycle_init(&guest->lifecycle);
	clock_init(&guest->clock, 1000000000, true, 1600000000ull * 1000000000);
	block_ram_open(&guest->blocks[0], guest->disk[0], GUEST_DISK_BYTES, false, "serial-0");
	block_ram_open(&guest->blocks[1], guest->disk[1], GUEST_DISK_BYTES, true, "");
	config.vm.lifecycle = &guest->lifecycle;
	config.vm.clock = &guest->clock;
	config.vm.disk_count = 2;
	config.vm.disks[0].block = &guest->blocks[0];
	config.vm.disks[1] = (struct vm_disk_config){&guest->blocks[1], true};
	for (uint8_t i = 0; i < 16; i++) {
		config.vm.uuid[i] = (uint8_t)(0xA0 + i);
	}
	guest->vm = host_vm_new(&config);
	guest->next_gpadl = 0xE1E10;
	GUEST_MUST(synic_create(guest->vm));
	return guest;
}

static inline struct guest *guest_new(void)
{
	struct guest *guest = guest_new_bare();

	GUEST_MUST(vmbus_create(guest->vm));
	guest_synic_up(guest);
	return guest;
}

static inline void guest_free(struct guest *guest)
{
	vmbus_teardown(guest->vm);
	synic_teardown(guest->vm);
	GUEST_MUST(host_vm_check_no_leaks(guest->vm));
	host_vm_free(guest->vm);
	free(guest);
}

/* ------------------------------------------------------------------ messages */

static inline uint16_t guest_post_on(struct guest *guest, uint32_t connection, const void *message,
                                     size_t size)
{
	return synic_port_post(vm_vcpu(guest->vm, 0), connection, HVMSG_VMBUS, message, (uint32_t)size);
}

static inline void guest_post(struct guest *guest, const void *message, size_t size)
{
	GUEST_MUST(guest_post_on(guest, 4, message, size) == HV_STATUS_SUCCESS);
}

/* The next message in the slot of @vp; 0: none. */
static inline uint32_t guest_receive_on(struct guest *guest, uint32_t vp)
{
	struct hv_message_page *page;
	struct hv_message *slot;
	uint32_t type;

	(void)host_run(guest->vm);
	page = host_vm_bytes(guest->vm, GUEST_SIMP(vp), PAGE_BYTES);
	slot = &page->sint_message[2];
	if (slot->header.message_type == HVMSG_NONE) {
		return 0;
	}
	guest->message_bytes = slot->header.payload_size;
	memcpy(guest->message, slot->payload, slot->header.payload_size);
	slot->header.message_type = HVMSG_NONE;
	if ((slot->header.message_flags & HV_MESSAGE_FLAG_PENDING) != 0) {
		guest_msr(vm_vcpu(guest->vm, vp), HV_X64_MSR_EOM, 0);
	}
	memcpy(&type, guest->message, 4);
	return type;
}

static inline uint32_t guest_receive(struct guest *guest)
{
	return guest_receive_on(guest, 0);
}

/* Asks for @version with messages to @vp; true if it is taken. */
static inline bool guest_contact(struct guest *guest, uint32_t version, uint32_t vp)
{
	struct vmbus_channel_initiate_contact contact = {
	        .header.msgtype = CHANNELMSG_INITIATE_CONTACT,
	        .vmbus_version_requested = version,
	        .target_vcpu = vp,
	        .msg_sint = version >= VERSION_WIN10_V5 ? 2 : 0,
	};
	struct vmbus_channel_version_response response;

	GUEST_MUST(guest_post_on(guest, 1, &contact, sizeof(contact)) == HV_STATUS_SUCCESS);
	GUEST_MUST(guest_receive_on(guest, vp) == CHANNELMSG_VERSION_RESPONSE);
	GUEST_MUST(guest->message_bytes == sizeof(response));
	memcpy(&response, guest->message, sizeof(response));
	return response.version_supported == 1;
}

static inline void guest_post_simple(struct guest *guest, uint32_t type)
{
	const struct vmbus_channel_message_header header = {.msgtype = type};

	guest_post(guest, &header, sizeof(header));
}

static inline void guest_get_offers(struct guest *guest)
{
	uint32_t type;

	guest->offer_count = 0;
	guest_post_simple(guest, CHANNELMSG_REQUESTOFFERS);
	for (type = guest_receive(guest); type == CHANNELMSG_OFFERCHANNEL; type = guest_receive(guest)) {
		GUEST_MUST(guest->message_bytes == 196);
		memcpy(&guest->offers[guest->offer_count++], guest->message, 196);
	}
	GUEST_MUST(type == CHANNELMSG_ALLOFFERS_DELIVERED);
}

static inline struct vmbus_channel_offer_channel *guest_find_offer(struct guest *guest,
                                                                   struct vmbus_guid class_id)
{
	for (uint32_t i = 0; i < guest->offer_count; i++) {
		if (memcmp(&guest->offers[i].if_type, &class_id, 16) == 0) {
			return &guest->offers[i];
		}
	}
	return NULL;
}

/* ------------------------------------------------------------------ GPADLs */

/* One range of whole pages from @at on, in as many messages as it needs. Answer not read. */
static inline uint32_t guest_post_gpadl(struct guest *guest, uint32_t relid, uint64_t at, uint32_t pages)
{
	struct {
		struct vmbus_channel_gpadl_header h;
		uint64_t words[27];
	} PACKED head = {.h = {.header.msgtype = CHANNELMSG_GPADL_HEADER}};
	struct {
		struct vmbus_channel_gpadl_body h;
		uint64_t words[28];
	} PACKED body = {.h = {.header.msgtype = CHANNELMSG_GPADL_BODY}};
	uint32_t first = pages < 26 ? pages : 26, id = guest->next_gpadl++;

	head.h.child_relid = relid;
	head.h.gpadl = id;
	head.h.range_buflen = (uint16_t)(8 + pages * 8);
	head.h.rangecount = 1;
	head.words[0] = pages * PAGE_BYTES;
	for (uint32_t i = 0; i < first; i++) {
		head.words[1 + i] = at / PAGE_BYTES + i;
	}
	guest_post(guest, &head, sizeof(head.h) + 8 + first * 8);
	body.h.gpadl = id;
	for (uint32_t done = first; done < pages;) {
		uint32_t count = pages - done < 28 ? pages - done : 28;

		for (uint32_t i = 0; i < count; i++) {
			body.words[i] = at / PAGE_BYTES + done + i;
		}
		guest_post(guest, &body, sizeof(body.h) + count * 8);
		(void)host_run(guest->vm);
		done += count;
	}
	return id;
}

static inline uint32_t guest_gpadl_status(struct guest *guest)
{
	struct vmbus_channel_gpadl_created created;

	GUEST_MUST(guest_receive(guest) == CHANNELMSG_GPADL_CREATED);
	GUEST_MUST(guest->message_bytes == sizeof(created));
	memcpy(&created, guest->message, sizeof(created));
	return created.creation_status;
}

static inline void guest_post_teardown(struct guest *guest, uint32_t relid, uint32_t gpadl)
{
	const struct vmbus_channel_gpadl_teardown teardown = {
	        .header.msgtype = CHANNELMSG_GPADL_TEARDOWN,
	        .child_relid = relid,
	        .gpadl = gpadl,
	};

	guest_post(guest, &teardown, sizeof(teardown));
}

/* ------------------------------------------------------------------ channels */

static inline struct hv_ring_buffer *guest_ring(struct guest *guest, uint64_t at)
{
	return host_vm_bytes(guest->vm, at, sizeof(struct hv_ring_buffer));
}

/* The status of OPENCHANNEL_RESULT. */
static inline uint32_t guest_open_with(struct guest *guest, uint32_t relid, uint32_t gpadl, uint32_t down,
                                       uint32_t vp)
{
	const struct vmbus_channel_open_channel open = {
	        .header.msgtype = CHANNELMSG_OPENCHANNEL,
	        .child_relid = relid,
	        .openid = 77,
	        .ringbuffer_gpadlhandle = gpadl,
	        .target_vp = vp,
	        .downstream_ringbuffer_pageoffset = down,
	};
	struct vmbus_channel_open_result result;

	guest_post(guest, &open, sizeof(open));
	GUEST_MUST(guest_receive(guest) == CHANNELMSG_OPENCHANNEL_RESULT);
	GUEST_MUST(guest->message_bytes == sizeof(result));
	memcpy(&result, guest->message, sizeof(result));
	GUEST_MUST(result.openid == 77 && result.child_relid == relid);
	return result.status;
}

/* Opens the channel of class @class_id with two rings of @pages (with the control page) at @at. */
static inline void guest_open(struct guest *guest, struct guest_channel *channel, struct vmbus_guid class_id,
                              uint64_t at, uint32_t pages)
{
	struct vmbus_channel_offer_channel *offer = guest_find_offer(guest, class_id);

	GUEST_MUST(offer != NULL);
	*channel = (struct guest_channel){
	        .offer = *offer,
	        .out_at = at,
	        .in_at = at + (uint64_t)pages * PAGE_BYTES,
	        .data_bytes = (pages - 1) * PAGE_BYTES,
	};
	channel->gpadl = guest_post_gpadl(guest, offer->child_relid, at, 2 * pages);
	GUEST_MUST(guest_gpadl_status(guest) == 0);
	memset(guest_ring(guest, channel->out_at), 0, PAGE_BYTES);
	memset(guest_ring(guest, channel->in_at), 0, PAGE_BYTES);
	guest_ring(guest, channel->out_at)->feature_bits = 1;
	guest_ring(guest, channel->in_at)->feature_bits = 1;
	GUEST_MUST(guest_open_with(guest, offer->child_relid, channel->gpadl, pages, 1) == 0);
}

static inline void guest_close(struct guest *guest, const struct guest_channel *channel)
{
	const struct vmbus_channel_relid close = {.header.msgtype = CHANNELMSG_CLOSECHANNEL,
	                                          .child_relid = channel->offer.child_relid};

	guest_post(guest, &close, sizeof(close));
	(void)host_run(guest->vm);
}

static inline void guest_signal(struct guest *guest, const struct guest_channel *channel)
{
	GUEST_MUST(synic_port_signal(vm_vcpu(guest->vm, 0), channel->offer.connection_id, 0) ==
	           HV_STATUS_SUCCESS);
}

/* True if the channel's event flag was set on @vp; clears it. */
static inline bool guest_take_event(struct guest *guest, const struct guest_channel *channel, uint32_t vp)
{
	uint8_t *flags = host_vm_bytes(guest->vm, GUEST_SIEFP(vp) + 2 * 256, 256);
	uint8_t bit = (uint8_t)(1u << channel->offer.child_relid % 8);
	bool set = (flags[channel->offer.child_relid / 8] & bit) != 0;

	flags[channel->offer.child_relid / 8] &= (uint8_t)~bit;
	return set;
}

static inline void guest_ring_put(struct guest *guest, struct guest_channel *channel, const void *bytes,
                                  uint32_t len)
{
	uint8_t *data = host_vm_bytes(guest->vm, channel->out_at + PAGE_BYTES, channel->data_bytes);

	for (uint32_t i = 0; i < len; i++) {
		data[channel->write] = ((const uint8_t *)bytes)[i];
		channel->write = (channel->write + 1) % channel->data_bytes;
	}
}

/* A packet, head first (with its ranges), padded. Signals. */
static inline void guest_put_packet(struct guest *guest, struct guest_channel *channel, const void *head,
                              uint32_t head_bytes, const void *payload, uint32_t len)
{
	static const uint8_t zeros[8];
	uint64_t trailer = (uint64_t)channel->write << 32;

	guest_ring_put(guest, channel, head, head_bytes);
	guest_ring_put(guest, channel, payload, len);
	guest_ring_put(guest, channel, zeros, (8 - (head_bytes + len) % 8) % 8);
	guest_ring_put(guest, channel, &trailer, 8);
	guest_ring(guest, channel->out_at)->write_index = channel->write;
	guest_signal(guest, channel);
}

/* And lets the host work. */
static inline void guest_send(struct guest *guest, struct guest_channel *channel, const void *head,
                              uint32_t head_bytes, const void *payload, uint32_t len)
{
	guest_put_packet(guest, channel, head, head_bytes, payload, len);
	(void)host_run(guest->vm);
}

static inline void guest_send_inband(struct guest *guest, struct guest_channel *channel, uint64_t id,
                                     const void *payload, uint32_t len)
{
	const struct vmpacket_descriptor d = {
	        .type = VM_PKT_DATA_INBAND,
	        .offset8 = 2,
	        .len8 = (uint16_t)((16 + len + 7) / 8),
	        .flags = VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED,
	        .trans_id = id,
	};

	guest_send(guest, channel, &d, sizeof(d), payload, len);
}

/* One GPA-direct range from @at on, @bytes long. */
static inline void guest_send_gpa(struct guest *guest, struct guest_channel *channel, uint64_t id,
                                  uint64_t at, uint32_t bytes, const void *payload, uint32_t len)
{
	uint32_t offset = (uint32_t)(at % PAGE_BYTES);
	uint32_t pages = (offset + bytes + PAGE_MASK) / PAGE_BYTES;
	struct {
		struct vmdata_gpa_direct h;
		struct gpa_range range;
		uint64_t frames[64];
	} PACKED head;
	uint32_t head_bytes = 32 + pages * 8;

	memset(&head, 0, sizeof(head));
	head.h.d = (struct vmpacket_descriptor){
	        .type = VM_PKT_DATA_USING_GPA_DIRECT,
	        .offset8 = (uint16_t)(head_bytes / 8),
	        .len8 = (uint16_t)((head_bytes + len + 7) / 8),
	        .flags = VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED,
	        .trans_id = id,
	};
	head.h.range_cnt = 1;
	head.range = (struct gpa_range){bytes, offset};
	for (uint32_t i = 0; i < pages; i++) {
		head.frames[i] = at / PAGE_BYTES + i;
	}
	guest_send(guest, channel, &head, head_bytes, payload, len);
}

/* The next packet of the host; payload to @to (@room). Its length (padded), or -1: none. */
static inline int guest_take(struct guest *guest, struct guest_channel *channel,
                             struct vmpacket_descriptor *d, void *to, uint32_t room)
{
	struct hv_ring_buffer *ring = guest_ring(guest, channel->in_at);
	const uint8_t *data = host_vm_bytes(guest->vm, channel->in_at + PAGE_BYTES, channel->data_bytes);
	uint8_t bytes[8192];
	uint32_t total, head;

	if (ring->write_index == channel->read) {
		return -1;
	}
	for (uint32_t i = 0; i < 16; i++) {
		((uint8_t *)d)[i] = data[(channel->read + i) % channel->data_bytes];
	}
	total = d->len8 * 8u;
	head = d->offset8 * 8u;
	GUEST_MUST(total >= 16 && total <= sizeof(bytes) && head <= total);
	for (uint32_t i = 0; i < total + 8; i++) {
		bytes[i % sizeof(bytes)] = data[(channel->read + i) % channel->data_bytes];
	}
	GUEST_MUST(total - head <= room);
	memcpy(to, bytes + head, total - head);
	channel->read = (channel->read + total + 8) % channel->data_bytes;
	ring->read_index = channel->read;
	return (int)(total - head);
}

#endif /* TESTS_UNIT_VMBUS_GUEST_H */

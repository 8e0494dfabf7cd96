/*
 * switch.c - ports, learned addresses, and who gets a frame in which form. Contract:
 * backend/switch.h.
 */
#include "backend/switch.h"

#include "base/bits.h"
#include "base/mem.h"
#include "hypervisor/backend/switch_frame.h"

#define MAC_GROUP 1u /* lowest bit of the first byte: broadcast and multicast */

void switch_init(struct ether_switch *sw, const char *name)
{
	memset(sw, 0, sizeof(*sw));
	spin_init(&sw->lock, RANK_SWITCH);
	for (size_t i = 0; i < sizeof(sw->name) - 1 && name[i] != 0; i++) {
		sw->name[i] = name[i];
	}
}

bool switch_add_port(struct ether_switch *sw, struct switch_port *port)
{
	uint32_t index = 0;

	spin_lock(&sw->lock);
	while (index < SWITCH_PORT_MAX && sw->ports[index] != NULL) {
		index++;
	}
	if (index < SWITCH_PORT_MAX) {
		*port = (struct switch_port){.owner = sw, .index = index};
		sw->ports[index] = port;
		sw->port_end = index >= sw->port_end ? index + 1 : sw->port_end;
	}
	spin_unlock(&sw->lock);
	return index < SWITCH_PORT_MAX;
}

/* ------------------------------------------------------------------ addresses; lock held */

static struct switch_address *port_addresses(struct ether_switch *sw, uint32_t port)
{
	return &sw->addresses[port * SWITCH_PORT_ADDRESSES];
}

/* What it has learned; its own address too if that is not to be @kept. */
static void port_forget(struct ether_switch *sw, uint32_t port, bool kept)
{
	struct switch_address *addresses = port_addresses(sw, port);

	for (uint32_t i = 0; i < SWITCH_PORT_ADDRESSES; i++) {
		if (!kept || !addresses[i].is_own) {
			addresses[i] = (struct switch_address){0, false};
		}
	}
}

static struct switch_address *address_find(struct ether_switch *sw, uint64_t mac)
{
	for (uint32_t i = 0; i < sw->port_end * SWITCH_PORT_ADDRESSES; i++) {
		if (sw->addresses[i].mac == mac) {
			return &sw->addresses[i];
		}
	}
	return NULL;
}

static uint32_t address_port(const struct ether_switch *sw, const struct switch_address *address)
{
	return (uint32_t)(address - sw->addresses) / SWITCH_PORT_ADDRESSES;
}

static bool is_one_device(uint64_t mac)
{
	return mac != 0 && (mac & MAC_GROUP) == 0;
}

/* The first place is for its own address. */
static void address_put(struct ether_switch *sw, uint32_t port, uint64_t mac)
{
	struct switch_address *addresses = port_addresses(sw, port);
	uint32_t first = addresses[0].is_own ? 1 : 0;
	uint8_t *hand = &sw->address_hands[port];

	*hand = *hand < first ? (uint8_t)first : *hand;
	addresses[*hand].mac = mac;
	*hand = (uint8_t)((*hand + 1) % SWITCH_PORT_ADDRESSES);
}

/*
 * The sender of @mac is behind @port now: in place of the address that this port learned longest
 * ago. False if it is another port's own.
 */
static bool address_learn(struct ether_switch *sw, uint32_t port, uint64_t mac)
{
	struct switch_address *known;

	if (!is_one_device(mac)) {
		return true;
	}
	known = address_find(sw, mac);
	if (known == NULL) {
		address_put(sw, port, mac);
	} else if (address_port(sw, known) != port) {
		if (known->is_own) {
			return false;
		}
		known->mac = 0;
		address_put(sw, port, mac);
	}
	return true;
}

/* ------------------------------------------------------------------ ports */

void switch_remove_port(struct switch_port *port)
{
	struct ether_switch *sw = port->owner;

	spin_lock(&sw->lock);
	CHECK(port->ops == NULL);
	port_forget(sw, port->index, false);
	sw->ports[port->index] = NULL;
	while (sw->port_end != 0 && sw->ports[sw->port_end - 1] == NULL) {
		sw->port_end--;
	}
	spin_unlock(&sw->lock);
}

void switch_set_address(struct switch_port *port, const uint8_t raw_mac[6])
{
	struct ether_switch *sw = port->owner;
	uint64_t mac = frame_mac(raw_mac);

	spin_lock(&sw->lock);
	if (is_one_device(mac) && address_find(sw, mac) == NULL) {
		*port_addresses(sw, port->index) = (struct switch_address){mac, true};
	}
	spin_unlock(&sw->lock);
}

void switch_connect(struct switch_port *port, const struct switch_port_ops *ops, void *device,
                    uint32_t offloads)
{
	spin_lock(&port->owner->lock);
	port->ops = ops;
	port->device = device;
	port->offloads = offloads;
	spin_unlock(&port->owner->lock);
}

void switch_set_offloads(struct switch_port *port, uint32_t offloads)
{
	spin_lock(&port->owner->lock);
	port->offloads = offloads;
	spin_unlock(&port->owner->lock);
}

void switch_disconnect(struct switch_port *port)
{
	spin_lock(&port->owner->lock);
	port->ops = NULL;
	port->device = NULL;
	port->offloads = 0;
	port_forget(port->owner, port->index, true);
	spin_unlock(&port->owner->lock);
}

void switch_counts_get(struct switch_port *port, struct switch_counts *counts)
{
	spin_lock(&port->owner->lock);
	*counts = port->counts;
	spin_unlock(&port->owner->lock);
}

/* ------------------------------------------------------------------ sending; lock held */

/* The ports that are to get it, as a mask. */
static uint64_t receivers_find(struct ether_switch *sw, uint32_t from, uint64_t mac)
{
	const struct switch_address *known = NULL;
	uint64_t mask = 0;

	if (is_one_device(mac)) {
		known = address_find(sw, mac);
	}
	if (known != NULL) {
		mask = BIT64(address_port(sw, known));
	} else {
		for (uint32_t i = 0; i < sw->port_end; i++) {
			mask |= sw->ports[i] != NULL && sw->ports[i]->ops != NULL ? BIT64(i) : 0;
		}
	}
	return mask & ~BIT64(from);
}

/* Those of @mask that cannot take @needed. */
static uint64_t receivers_without(const struct ether_switch *sw, uint64_t mask, uint32_t needed)
{
	uint64_t without = 0;

	for (uint64_t left = mask; left != 0; left &= left - 1) {
		uint32_t i = bit_lowest(left);

		without |= (sw->ports[i]->offloads & needed) != needed ? BIT64(i) : 0;
	}
	return without;
}

static void deliver(struct ether_switch *sw, uint64_t mask, const struct switch_frame *frame)
{
	for (; mask != 0; mask &= mask - 1) {
		struct switch_port *port = sw->ports[bit_lowest(mask)];

		if (port->ops != NULL && port->ops->deliver(port->device, frame)) {
			port->counts.received_frames++;
			port->counts.received_bytes += frame->len_bytes;
		} else {
			port->counts.dropped_frames++;
		}
	}
}

static void send_cut(struct switch_port *port, const struct frame *frame, uint64_t mask)
{
	uint32_t count = frame_cut_count(frame);
	struct frame_piece piece;

	if (count > SWITCH_CUT_MAX) {
		port->counts.dropped_frames++;
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		frame_cut(frame, i, &piece);
		deliver(port->owner, mask, &piece.out);
	}
	port->counts.sent_segmented++;
}

/* A frame with work left to do: as it is to whom can do it, and done here for the others. */
static void send_offloaded(struct switch_port *port, const struct frame *frame, uint64_t mask)
{
	uint64_t without = receivers_without(port->owner, mask, frame_offloads(frame));
	struct frame_piece piece;

	if ((mask & ~without) != 0) {
		frame_whole(frame, &piece);
		deliver(port->owner, mask & ~without, &piece.out);
		port->counts.sent_whole += frame->segment_bytes != 0;
	}
	if (without == 0) {
		return;
	}
	if (frame->segment_bytes != 0) {
		send_cut(port, frame, without);
		return;
	}
	frame_filled(frame, &piece);
	deliver(port->owner, without, &piece.out);
	port->counts.checksums_filled++;
}

static void send_plain(struct switch_port *port, const struct frame *frame, uint64_t mask)
{
	struct frame_piece piece;

	frame_whole(frame, &piece);
	deliver(port->owner, mask, &piece.out);
}

static void frame_send(struct switch_port *port, const struct switch_frame *sent)
{
	bool offloaded = sent->checksum_blank || sent->segment_bytes != 0;
	struct frame frame;
	uint64_t mask;

	port->counts.sent_frames++;
	port->counts.sent_bytes += sent->len_bytes;
	if (!frame_take(&frame, sent) || (offloaded && !frame_parse(&frame))) {
		port->counts.dropped_frames++;
		return;
	}
	if (!address_learn(port->owner, port->index, frame_source(&frame))) {
		port->counts.spoofed_frames++;
		port->counts.dropped_frames++;
		return;
	}
	mask = receivers_find(port->owner, port->index, frame_destination(&frame));
	if (offloaded) {
		send_offloaded(port, &frame, mask);
	} else {
		send_plain(port, &frame, mask);
	}
}

void switch_send(struct switch_port *port, const struct switch_frame *frame)
{
	spin_lock(&port->owner->lock);
	frame_send(port, frame);
	spin_unlock(&port->owner->lock);
}

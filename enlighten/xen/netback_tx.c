/*
 * netback_tx.c - packets from the guest to the switch (Xen's io/netif.h, "tx").
 *
 * A packet is one slot or several, with extra-info slots behind the first. Its slots are copied once into a
 * netback_packet under the lock; pages are held, the switch is called and grants are released without it.
 * A frontend that breaks the ring's own rules is served no more; a packet that is wrong in itself is
 * answered with an error.
 */
#include "enlighten/xen/netback.h"
#include "vm/page.h"

#define FRAME_BYTES_MIN 14u

/* Copied in one step at most; one packet has up to 64 KiB - 1. */
#define STEP_BYTES 65536u
#define STEP_PACKETS 16u

enum take {
	TAKE_NONE,
	TAKE_PACKET,
	TAKE_BROKEN,
};

static uint32_t tx_slot_at(uint32_t index)
{
	return XEN_RING_HEADER_BYTES + index % NETBACK_RING_ENTRIES * XEN_NETIF_TX_SLOT_BYTES;
}

/* Extra-info slots behind the first, from slot_count on; *@left are there at most. */
static enum take take_extras(struct netback *net, uint32_t left)
{
	struct netback_packet *packet = &net->packet;
	struct xen_netif_extra_slot raw;

	do {
		if (packet->slot_count == left || packet->slot_count > NETBACK_EXTRA_MAX) {
			return TAKE_BROKEN;
		}
		vm_page_read(net->tx.page, tx_slot_at(net->tx_cons + packet->slot_count), &raw, sizeof(raw));
		if (raw.type == 0 || raw.type > XEN_NETIF_EXTRA_TYPE_HASH) {
			return TAKE_BROKEN;
		}
		if (raw.type == XEN_NETIF_EXTRA_TYPE_GSO) {
			packet->has_gso = true;
			packet->gso_bytes = raw.u.gso.size;
			packet->gso_type = raw.u.gso.type;
		} else if (raw.type != XEN_NETIF_EXTRA_TYPE_HASH) {
			packet->multicast = true;
		}
		packet->slots[packet->slot_count].id = 0;
		packet->slots[packet->slot_count++].extra = true;
	} while ((raw.flags & XEN_NETIF_EXTRA_FLAG_MORE) != 0);
	return TAKE_PACKET;
}

/* The next slot with data; its flags into *@flags. */
static enum take take_fragment(struct netback *net, uint32_t left, uint16_t *flags)
{
	struct netback_packet *packet = &net->packet;
	struct xen_netif_tx_request_slot raw;
	uint32_t at = packet->fragment_count;

	if (packet->slot_count == left || at == NETBACK_FRAGMENT_MAX) {
		return TAKE_BROKEN;
	}
	vm_page_read(net->tx.page, tx_slot_at(net->tx_cons + packet->slot_count), &raw, sizeof(raw));
	packet->fragments[at].gref = raw.gref;
	packet->fragments[at].offset = raw.offset;
	packet->fragments[at].size = raw.size;
	packet->fragment_count++;
	packet->slots[packet->slot_count].id = raw.id;
	packet->slots[packet->slot_count++].extra = false;
	*flags = raw.flags;
	return TAKE_PACKET;
}

/* All slots of one packet; @left are in the ring, at least one. */
static enum take take_slots(struct netback *net, uint32_t left)
{
	struct netback_packet *packet = &net->packet;
	uint16_t flags;
	enum take took;

	packet->slot_count = 0;
	packet->fragment_count = 0;
	packet->has_gso = false;
	packet->multicast = false;
	took = take_fragment(net, left, &packet->flags);
	flags = packet->flags;
	if (took == TAKE_PACKET && (flags & NETTXF_extra_info) != 0) {
		took = take_extras(net, left);
	}
	while (took == TAKE_PACKET && (flags & NETTXF_more_data) != 0) {
		took = take_fragment(net, left, &flags);
	}
	return took;
}

/* Under the lock. Before saying that there is none, asks to be told of the next and looks once more. */
static enum take take_waiting(struct netback *net)
{
	uint32_t raw_prod = vm_page_load32(net->tx.page, XEN_RING_REQ_PROD);
	enum take took;

	if (raw_prod == net->tx_cons) {
		vm_page_store32(net->tx.page, XEN_RING_REQ_EVENT, net->tx_cons + 1);
		vm_page_barrier();
		raw_prod = vm_page_load32(net->tx.page, XEN_RING_REQ_PROD);
	}
	if (raw_prod == net->tx_cons) {
		return TAKE_NONE;
	}
	if (raw_prod - net->tx_cons > NETBACK_RING_ENTRIES) {
		return TAKE_BROKEN;
	}
	took = take_slots(net, raw_prod - net->tx_cons);
	if (took == TAKE_PACKET) {
		net->tx_cons += net->packet.slot_count;
	}
	return took;
}

static enum take take_packet(struct netback *net)
{
	enum take took = TAKE_NONE;

	spin_lock(&net->lock);
	if (net->connected && !net->broken) {
		took = take_waiting(net);
		net->broken = took == TAKE_BROKEN;
		net->sending = took == TAKE_PACKET;
	}
	spin_unlock(&net->lock);
	if (took == TAKE_BROKEN) {
		vm_log(net->vm, "vif %u: transmit ring broken by the frontend",
		       (unsigned int)net->device->id);
	}
	return took;
}

/* ------------------------------------------------------------------ one packet */

/* The first slot's size is the whole packet's: what the others have is not its own. */
static bool packet_check(struct netback_packet *packet)
{
	uint32_t others = 0, total = packet->fragments[0].size;

	for (uint32_t i = 1; i < packet->fragment_count; i++) {
		others += packet->fragments[i].size;
	}
	if (total < FRAME_BYTES_MIN || others > total || packet->multicast ||
	    (packet->has_gso && (packet->gso_bytes == 0 || (packet->gso_type != XEN_NETIF_GSO_TYPE_TCPV4 &&
	                                                    packet->gso_type != XEN_NETIF_GSO_TYPE_TCPV6)))) {
		return false;
	}
	packet->len_bytes = total;
	packet->fragments[0].size = (uint16_t)(total - others);
	for (uint32_t i = 0; i < packet->fragment_count; i++) {
		if (packet->fragments[i].offset + packet->fragments[i].size > PAGE_BYTES) {
			return false;
		}
	}
	return true;
}

/*
 * Holds the pages; a fragment without a byte needs none. Returns the segments made, or 0: a grant was
 * wrong.
 */
static uint32_t packet_hold(struct netback *net)
{
	const struct netback_packet *packet = &net->packet;
	uint32_t count = 0;

	for (uint32_t i = 0; i < packet->fragment_count; i++) {
		struct gnttab_hold *hold = &net->tx_holds[i];

		if (packet->fragments[i].size == 0) {
			continue;
		}
		if (gnttab_hold(net->vm, packet->fragments[i].gref, false, hold) != GNTST_okay) {
			return 0;
		}
		net->segments[count].bytes = vm_page_bytes(hold->page) + packet->fragments[i].offset;
		net->segments[count++].len_bytes = packet->fragments[i].size;
	}
	return count;
}

/* No lock held. Returns the status to answer with; no grant is held any more. */
static int16_t packet_send(struct netback *net)
{
	struct netback_packet *packet = &net->packet;
	uint32_t count = packet_check(packet) ? packet_hold(net) : 0;

	if (count != 0) {
		const struct switch_frame frame = {
		        .segments = net->segments,
		        .segment_count = count,
		        .len_bytes = packet->len_bytes,
		        .checksum_blank = (packet->flags & NETTXF_csum_blank) != 0,
		        .checksum_good = (packet->flags & NETTXF_data_validated) != 0,
		        .segment_bytes = packet->has_gso ? packet->gso_bytes : 0,
		};

		switch_send(net->port, &frame);
	}
	for (uint32_t i = 0; i < packet->fragment_count; i++) {
		gnttab_release(net->vm, &net->tx_holds[i]);
	}
	return count != 0 ? XEN_NETIF_RSP_OKAY : XEN_NETIF_RSP_ERROR;
}

/* One response a slot. Under the lock. True: the guest wants to be told. */
static bool put_responses(struct netback *net, int16_t status)
{
	const struct netback_packet *packet = &net->packet;
	uint32_t old = net->tx_rsp_prod;

	for (uint32_t i = 0; i < packet->slot_count; i++) {
		const struct xen_netif_tx_response_slot response = {
		        .id = packet->slots[i].id,
		        .status = packet->slots[i].extra ? XEN_NETIF_RSP_NULL : status,
		};

		vm_page_write(net->tx.page, tx_slot_at(old + i), &response, sizeof(response));
	}
	net->tx_rsp_prod = old + packet->slot_count;
	vm_page_store32(net->tx.page, XEN_RING_RSP_PROD, net->tx_rsp_prod);
	vm_page_barrier();
	return net->tx_rsp_prod - vm_page_load32(net->tx.page, XEN_RING_RSP_EVENT) < packet->slot_count;
}

/* False: the device was disconnected meanwhile. */
static bool packet_answer(struct netback *net, int16_t status)
{
	bool tell, connected;

	spin_lock(&net->lock);
	tell = put_responses(net, status);
	net->sending = false;
	connected = net->connected;
	spin_unlock(&net->lock);
	if (tell) {
		evtchn_backend_notify(net->vm, net->channel);
	}
	if (!connected) {
		xenbus_kick(net->device);
	}
	return connected;
}

bool netback_send_step(struct vm_work *work)
{
	struct netback *net = CONTAINER_OF(work, struct netback, work);
	uint32_t bytes = 0;

	for (uint32_t i = 0; i < STEP_PACKETS; i++) {
		if (!net->held && take_packet(net) != TAKE_PACKET) {
			return false;
		}
		bytes += net->packet.fragments[0].size;
		net->held = bytes > STEP_BYTES;
		if (net->held) {
			return true; /* it is sent in the next step */
		}
		if (!packet_answer(net, packet_send(net))) {
			return false;
		}
	}
	return true;
}

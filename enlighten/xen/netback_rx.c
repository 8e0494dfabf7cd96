/*
 * netback_rx.c - frames from the switch to the guest (Xen's io/netif.h, "rx").
 *
 * The guest has posted one page a slot. A frame takes as many as it needs, each filled from its start, and
 * one more for the extra-info of a packet above the MTU; they are answered at once and in order, which a
 * frontend relies on. All pages are held before a byte is copied, and given back before the answer.
 */
#include "enlighten/xen/netback.h"
#include "vm/page.h"

#define AT_ETHERTYPE 12u
#define ETHERTYPE_VLAN 0x8100u
#define ETHERTYPE_IPV6 0x86DDu

static uint32_t rx_slot_at(uint32_t index)
{
	return XEN_RING_HEADER_BYTES + index % NETBACK_RING_ENTRIES * XEN_NETIF_RX_SLOT_BYTES;
}

static uint16_t frame_ethertype(const struct switch_frame *frame)
{
	uint8_t bytes[6] = {0};

	(void)io_copy_out(frame->segments, frame->segment_count, AT_ETHERTYPE, bytes, sizeof(bytes));
	if ((bytes[0] << 8 | bytes[1]) == ETHERTYPE_VLAN) {
		return (uint16_t)(bytes[4] << 8 | bytes[5]);
	}
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* Are @count requests posted? */
static bool posted(struct netback *net, uint32_t count)
{
	uint32_t raw_prod = vm_page_load32(net->rx.page, XEN_RING_REQ_PROD);
	uint32_t there = raw_prod - net->rx_cons;

	if (there > NETBACK_RING_ENTRIES) {
		net->receive_broken = true;
		vm_log(net->vm, "vif %u: receive ring broken by the frontend", (unsigned int)net->device->id);
		return false;
	}
	return there >= count;
}

/* Copies the requests' ids and holds the pages; slot 1 has no page if it is to be the @extra. */
static bool take_requests(struct netback *net, uint32_t slot_count, bool extra)
{
	bool good = true;
	uint32_t page = 0;

	for (uint32_t i = 0; i < slot_count; i++) {
		struct xen_netif_rx_request_slot raw;

		vm_page_read(net->rx.page, rx_slot_at(net->rx_cons + i), &raw, sizeof(raw));
		net->rx_ids[i] = raw.id;
		if (good && !(extra && i == 1)) {
			good = gnttab_hold(net->vm, raw.gref, true, &net->rx_holds[page++]) == GNTST_okay;
		}
	}
	return good;
}

static void put_response(struct netback *net, uint32_t slot, uint16_t flags, int16_t status)
{
	const struct xen_netif_rx_response_slot response = {
	        .id = net->rx_ids[slot],
	        .flags = flags,
	        .status = status,
	};

	vm_page_write(net->rx.page, rx_slot_at(net->rx_cons + slot), &response, sizeof(response));
}

static void put_gso(struct netback *net, const struct switch_frame *frame)
{
	const struct xen_netif_extra_slot extra = {
	        .type = XEN_NETIF_EXTRA_TYPE_GSO,
	        .u.gso.size = frame->segment_bytes,
	        .u.gso.type = frame_ethertype(frame) == ETHERTYPE_IPV6 ? XEN_NETIF_GSO_TYPE_TCPV6
	                                                               : XEN_NETIF_GSO_TYPE_TCPV4,
	};

	vm_page_write(net->rx.page, rx_slot_at(net->rx_cons + 1), &extra, sizeof(extra));
}

static uint16_t first_flags(const struct switch_frame *frame)
{
	if (frame->checksum_blank) {
		return NETRXF_csum_blank | NETRXF_data_validated;
	}
	return frame->checksum_good ? NETRXF_data_validated : 0;
}

static void copy_frame(struct netback *net, const struct switch_frame *frame, uint32_t page_count)
{
	for (uint32_t i = 0; i < page_count; i++) {
		uint32_t at = i * PAGE_BYTES;
		uint32_t len = frame->len_bytes - at < PAGE_BYTES ? frame->len_bytes - at : PAGE_BYTES;

		(void)io_copy_out(frame->segments, frame->segment_count, at,
		                  vm_page_bytes(net->rx_holds[i].page), len);
	}
}

/* The answers of a frame that was copied. */
static void put_frame(struct netback *net, const struct switch_frame *frame, uint32_t page_count)
{
	bool extra = frame->segment_bytes != 0;

	for (uint32_t i = 0; i < page_count; i++) {
		uint32_t at = i * PAGE_BYTES;
		uint32_t len = frame->len_bytes - at < PAGE_BYTES ? frame->len_bytes - at : PAGE_BYTES;
		uint16_t flags = i == 0 ? first_flags(frame) : 0;

		flags |= i + 1 < page_count ? NETRXF_more_data : 0;
		flags |= i == 0 && extra ? NETRXF_extra_info : 0;
		put_response(net, i != 0 && extra ? i + 1 : i, flags, (int16_t)len);
	}
	if (extra) {
		put_gso(net, frame);
	}
}

/* Makes @slot_count answers visible. */
static void publish(struct netback *net, uint32_t slot_count)
{
	net->rx_cons += slot_count;
	vm_page_store32(net->rx.page, XEN_RING_RSP_PROD, net->rx_cons);
	vm_page_barrier();
	if (net->rx_cons - vm_page_load32(net->rx.page, XEN_RING_RSP_EVENT) < slot_count) {
		evtchn_backend_notify(net->vm, net->channel);
	}
}

/* Under the receive lock; @page_count pages and perhaps an extra slot are posted. */
static bool deliver_posted(struct netback *net, const struct switch_frame *frame, uint32_t page_count,
                           uint32_t slot_count)
{
	bool good = take_requests(net, slot_count, slot_count != page_count);

	if (good) {
		copy_frame(net, frame, page_count);
	}
	for (uint32_t i = 0; i < page_count; i++) {
		gnttab_release(net->vm, &net->rx_holds[i]);
	}
	if (good) {
		put_frame(net, frame, page_count);
	} else {
		for (uint32_t i = 0; i < slot_count; i++) {
			put_response(net, i, 0, XEN_NETIF_RSP_ERROR);
		}
	}
	publish(net, slot_count);
	return good;
}

bool netback_deliver(void *device, const struct switch_frame *frame)
{
	struct netback *net = device;
	uint32_t page_count = (frame->len_bytes + PAGE_BYTES - 1) / PAGE_BYTES;
	uint32_t slot_count = page_count + (frame->segment_bytes != 0);
	bool taken = false;

	if (page_count == 0 || page_count > NETBACK_FRAGMENT_MAX || (page_count > 1 && !net->scatter)) {
		return false;
	}
	spin_lock(&net->receive_lock);
	if (!net->receive_broken && posted(net, slot_count)) {
		taken = deliver_posted(net, frame, page_count, slot_count);
	}
	spin_unlock(&net->receive_lock);
	return taken;
}

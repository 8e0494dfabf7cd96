/*
 * netback.h - the network device's backend, between its parts: netback.c (connection), netback_tx.c (guest
 * to switch), netback_rx.c (switch to guest).
 */
#ifndef XEN_NETBACK_H
#define XEN_NETBACK_H

#include "backend/switch.h"
#include "base/lock.h"
#include "enlighten/xen/evtchn.h"
#include "enlighten/xen/gnttab.h"
#include "enlighten/xen/xenbus_device.h"

#define NETBACK_RING_ENTRIES 256u
#define NETBACK_FRAGMENT_MAX 20u /* slots with data of one packet; 18 are promised to guests */
#define NETBACK_EXTRA_MAX 4u /* extra-info slots of one packet: one of each type */
#define NETBACK_SLOT_MAX (NETBACK_FRAGMENT_MAX + NETBACK_EXTRA_MAX)

/* One packet of the guest's, copied out of the ring. */
struct netback_packet {
	uint32_t slot_count;
	uint32_t fragment_count;
	struct {
		uint16_t id;
		bool extra;
	} slots[NETBACK_SLOT_MAX];
	struct {
		uint32_t gref;
		uint16_t offset;
		uint16_t size;
	} fragments[NETBACK_FRAGMENT_MAX];
	uint32_t len_bytes;
	uint16_t flags; /* NETTXF_* of the first slot */
	uint16_t gso_bytes;
	uint8_t gso_type;
	bool has_gso;
	bool multicast; /* an extra that asks for a feature that is not offered: no packet at all */
};

struct netback {
	struct xenbus_device *device;
	struct vm *vm;
	struct switch_port *port;
	struct vm_work work;
	struct evtchn_backend backend;
	uint32_t channel; /* the event channel; fixed while connected */

	/* Guest to switch. */
	struct spinlock lock; /* RANK_DEVICE */
	bool connected;
	bool sending; /* the work is between taking a packet and answering it */
	bool broken; /* the frontend broke the ring's rules: it is served no more until it connects again */
	struct gnttab_hold tx;
	uint32_t tx_cons, tx_rsp_prod;
	struct netback_packet packet; /* the work's own, from here on */
	bool held; /* it was taken, but was too much for the step */
	struct gnttab_hold tx_holds[NETBACK_FRAGMENT_MAX];
	struct io_segment segments[NETBACK_FRAGMENT_MAX];

	/* Switch to guest. */
	struct spinlock receive_lock; /* RANK_RECEIVE */
	bool receive_broken;
	bool scatter; /* the frontend takes a packet in several slots */
	struct gnttab_hold rx;
	uint32_t rx_cons; /* also the responses' producer: each request is answered at once */
	struct gnttab_hold rx_holds[NETBACK_FRAGMENT_MAX];
	uint16_t rx_ids[NETBACK_SLOT_MAX];
};

/* The work: packets from the guest. */
bool netback_send_step(struct vm_work *work);
/* switch_port_ops.deliver. */
bool netback_deliver(void *device, const struct switch_frame *frame);

#endif /* XEN_NETBACK_H */

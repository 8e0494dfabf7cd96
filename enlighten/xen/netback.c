/*
 * netback.c - the network device's backend: features, connection, end (Xen's io/netif.h).
 *
 * One queue, one event channel, receive by copy. Offered both ways: packets in several slots, checksums
 * left blank, TCP packets above the MTU, for IPv4 and IPv6.
 */
#include "enlighten/xen/netback.h"

#include "vm/page.h"

static void netback_notified(void *context)
{
	struct netback *net = context;

	vm_work_queue(&net->work);
}

static bool netback_create(struct xenbus_device *device)
{
	struct netback *net = vm_alloc(device->vm, sizeof(*net));

	if (net == NULL) {
		return false;
	}
	device->instance = net;
	net->device = device;
	net->vm = device->vm;
	net->port = vm_config(device->vm)->nics[device->index].port;
	net->backend = (struct evtchn_backend){netback_notified, net};
	spin_init(&net->lock, RANK_DEVICE);
	spin_init(&net->receive_lock, RANK_RECEIVE);
	vm_work_init(&net->work, device->vm, netback_send_step);
	return true;
}

static bool netback_offer(struct xenbus_device *device)
{
	static const char *const features[] = {
	        "feature-rx-copy",           "feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6",
	        "feature-ipv6-csum-offload",
	};

	for (uint32_t i = 0; i < ARRAY_COUNT(features); i++) {
		if (!xenbus_write(device, features[i], "1")) {
			return false;
		}
	}
	return true;
}

/* True if the frontend wrote a 1 there. */
static bool front_has(struct xenbus_device *device, const char *feature)
{
	uint32_t raw_value;

	return xenbus_read_number(device, feature, &raw_value) && raw_value == 1;
}

/* What the frontend takes from us. A segment to be cut has a blank checksum, and more than one slot. */
static uint32_t front_offloads(struct xenbus_device *device, bool scatter)
{
	uint32_t offloads = 0;

	if (!front_has(device, "feature-no-csum-offload")) {
		offloads |= SWITCH_CHECKSUM_IPV4;
		offloads |= scatter && front_has(device, "feature-gso-tcpv4") ? SWITCH_SEGMENT_IPV4 : 0;
	}
	if (front_has(device, "feature-ipv6-csum-offload")) {
		offloads |= SWITCH_CHECKSUM_IPV6;
		offloads |= scatter && front_has(device, "feature-gso-tcpv6") ? SWITCH_SEGMENT_IPV6 : 0;
	}
	return offloads;
}

static const struct switch_port_ops port_ops = {
        .deliver = netback_deliver,
};

static void drop_rings(struct netback *net)
{
	gnttab_release(net->vm, &net->tx);
	gnttab_release(net->vm, &net->rx);
}

/* Both rings and the port, or nothing. */
static bool take_rings(struct xenbus_device *device)
{
	struct netback *net = device->instance;
	uint32_t raw_tx, raw_rx, raw_port;

	if (!xenbus_read_number(device, "tx-ring-ref", &raw_tx) ||
	    !xenbus_read_number(device, "rx-ring-ref", &raw_rx) ||
	    !xenbus_read_number(device, "event-channel", &raw_port) ||
	    !front_has(device, "request-rx-copy")) {
		return false;
	}
	if (gnttab_hold(net->vm, raw_tx, true, &net->tx) != GNTST_okay) {
		return false;
	}
	if (gnttab_hold(net->vm, raw_rx, true, &net->rx) != GNTST_okay ||
	    !evtchn_backend_bind(net->vm, raw_port, &net->backend)) {
		drop_rings(net);
		return false;
	}
	net->channel = raw_port;
	return true;
}

static bool netback_connect(struct xenbus_device *device)
{
	struct netback *net = device->instance;

	if (!take_rings(device)) {
		return false;
	}
	net->scatter = front_has(device, "feature-sg");
	net->receive_broken = false;
	net->rx_cons = 0;
	spin_lock(&net->lock);
	net->tx_cons = 0;
	net->tx_rsp_prod = 0;
	net->broken = false;
	net->held = false;
	net->connected = true;
	spin_unlock(&net->lock);
	switch_connect(net->port, &port_ops, net, front_offloads(device, net->scatter));
	vm_work_queue(&net->work);
	return true;
}

static bool netback_disconnect(struct xenbus_device *device)
{
	struct netback *net = device->instance;
	bool idle;

	spin_lock(&net->lock);
	net->connected = false;
	idle = !net->sending;
	spin_unlock(&net->lock);
	if (idle && net->tx.page != NULL) {
		switch_disconnect(net->port);
		evtchn_backend_unbind(net->vm, net->channel);
		drop_rings(net);
	}
	return idle;
}

static void netback_destroy(struct xenbus_device *device)
{
	struct netback *net = device->instance;

	vm_work_cancel(&net->work);
	net->sending = false; /* a packet that was held for the next step */
	(void)netback_disconnect(device);
	vm_work_cancel(&net->work); /* a signal may have queued it */
	vm_free(net->vm, net);
}

const struct xenbus_driver netback_driver = {
        .type = "vif",
        .connects_at_initialised = false,
        .disconnects_at_closing = true,
        .create = netback_create,
        .destroy = netback_destroy,
        .offer = netback_offer,
        .connect = netback_connect,
        .disconnect = netback_disconnect,
};

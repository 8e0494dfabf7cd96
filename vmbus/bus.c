/*
 * bus.c - the bus of a guest: its life, messages in and out, and the work that stands between.
 *
 * Contract: bus.h; who holds what: bus_private.h.
 */
#include "vmbus/bus_private.h"

#include "vmbus/devices.h"

static struct vmbus *bus_of_vm(const struct vm *vm)
{
	return vm_slot(vm, VM_SLOT_VMBUS);
}

struct vm *vmbus_vm(const struct vmbus *bus)
{
	return bus->vm;
}

struct vmbus_guid vmbus_instance_id(const struct vmbus *bus, uint8_t kind, uint8_t index)
{
	struct vmbus_guid id;

	memcpy(id.b, vm_config(bus->vm)->uuid, sizeof(id.b));
	id.b[14] ^= kind;
	id.b[15] ^= index;
	return id;
}

/* ------------------------------------------------------------------ channels */

struct vmbus_channel *bus_channel(struct vmbus *bus, uint32_t id)
{
	return id != 0 && id <= bus->channel_count ? bus->channels[id - 1] : NULL;
}

void bus_close_channel(struct vmbus_channel *channel)
{
	if (channel->state == CHANNEL_OPEN) {
		channel->state = CHANNEL_CLOSING;
		channel->answer_open = false;
		vm_work_queue(&channel->work);
	}
}

static bool has_channel_between(const struct vmbus *bus)
{
	for (uint32_t i = 0; i < bus->channel_count; i++) {
		enum channel_state state = bus->channels[i]->state;

		if (state == CHANNEL_OPENING || state == CHANNEL_CLOSING) {
			return true;
		}
	}
	return false;
}

/* Sends the answer that a channel's work has left. False: there is none. */
static bool answer_one_open(struct vmbus *bus)
{
	for (uint32_t i = 0; i < bus->channel_count; i++) {
		struct vmbus_channel *channel = bus->channels[i];

		if (channel->answer_open) {
			const struct vmbus_channel_open_result result = {
			        .header.msgtype = CHANNELMSG_OPENCHANNEL_RESULT,
			        .child_relid = channel->id,
			        .openid = channel->open_id,
			        .status = channel->open_status,
			};

			channel->answer_open = false;
			bus_send(bus, &result, sizeof(result));
			vm_work_queue(&channel->work); /* it may step and signal now */
			return true;
		}
	}
	return false;
}

/* ------------------------------------------------------------------ messages */

void bus_send(struct vmbus *bus, const void *message, size_t size)
{
	CHECK(!bus->out_full && size <= VMBUS_MESSAGE_BYTES_MAX);
	memcpy(bus->out.bytes, message, size);
	bus->out.size = (uint32_t)size;
	bus->out_full = true;
}

/* True: nothing waits to go out. Else the SynIC calls when there is room. */
static bool flush_out(struct vmbus *bus)
{
	enum synic_status status;

	if (!bus->out_full) {
		return true;
	}
	status = synic_post_message(vm_vcpu(bus->vm, bus->message_vp), VMBUS_MESSAGE_SINT, HVMSG_VMBUS,
	                            bus->out.bytes, bus->out.size);
	if (status == SYNIC_FULL) {
		return false;
	}
	if (status != SYNIC_OK) {
		vm_log(bus->vm, "vmbus: vCPU %u takes no messages, one is lost", bus->message_vp);
	}
	bus->out_full = false;
	return true;
}

static void room_in_synic(void *context)
{
	struct vmbus *bus = context;

	vm_work_queue(&bus->work);
}

/* On the vCPU's exit: no more than a copy. */
static uint16_t take_message(void *context, struct vcpu *from, uint32_t type, const void *payload,
                             uint32_t size)
{
	struct vmbus *bus = context;
	struct bus_message *place;
	uint16_t status = HV_STATUS_INSUFFICIENT_BUFFERS;

	(void)from;
	if (type != HVMSG_VMBUS || size < sizeof(struct vmbus_channel_message_header) ||
	    size > VMBUS_MESSAGE_BYTES_MAX) {
		return HV_STATUS_INVALID_PARAMETER;
	}
	spin_lock(&bus->lock);
	if (bus->queue_count < VMBUS_QUEUE_COUNT) {
		place = &bus->queue[(bus->queue_first + bus->queue_count) % VMBUS_QUEUE_COUNT];
		memcpy(place->bytes, payload, size);
		place->size = size;
		bus->queue_count++;
		status = HV_STATUS_SUCCESS;
	}
	spin_unlock(&bus->lock);
	if (status == HV_STATUS_SUCCESS) {
		vm_work_queue(&bus->work);
	}
	return status;
}

static void take_signal(void *context, uint16_t flag)
{
	struct vmbus_channel *channel = context;

	if (flag == 0) {
		vm_work_queue(&channel->work);
	}
}

/* One thing of what there is to do, most urgent first. Each sends at most one message. False: nothing. */
static bool bus_advance(struct vmbus *bus)
{
	if (answer_one_open(bus) || bus_gpadl_collect(bus)) {
		return true;
	}
	if (bus->connected && bus->offers_asked && bus->offers_sent <= bus->channel_count) {
		bus_send_offer(bus);
		return true;
	}
	if (has_channel_between(bus)) {
		return false; /* its work queues ours when it is done */
	}
	if (bus->ending != BUS_ENDING_NONE) {
		if (!bus_gpadl_none(bus)) {
			return false;
		}
		bus_finish_ending(bus);
		return true;
	}
	if (bus->queue_count != 0) {
		bus_handle(bus, &bus->queue[bus->queue_first]);
		bus->queue_first = (bus->queue_first + 1) % VMBUS_QUEUE_COUNT;
		bus->queue_count--;
		return true;
	}
	return false;
}

static bool bus_step(struct vm_work *work)
{
	struct vmbus *bus = CONTAINER_OF(work, struct vmbus, work);
	bool more;

	spin_lock(&bus->lock);
	more = flush_out(bus) && bus_advance(bus);
	if (more) {
		(void)flush_out(bus);
	}
	spin_unlock(&bus->lock);
	return more;
}

/* ------------------------------------------------------------------ life */

static bool add_ports(struct vmbus *bus)
{
	if (!synic_port_add_message(bus->vm, VMBUS_MESSAGE_CONNECTION_ID, take_message, bus) ||
	    !synic_port_add_message(bus->vm, VMBUS_MESSAGE_CONNECTION_ID_4, take_message, bus)) {
		return false;
	}
	for (uint32_t i = 0; i < bus->channel_count; i++) {
		struct vmbus_channel *channel = bus->channels[i];

		if (!synic_port_add_event(bus->vm, VMBUS_CONNECTION_ID_BASE + channel->id, take_signal,
		                          channel)) {
			return false;
		}
	}
	synic_on_room(bus->vm, room_in_synic, bus);
	return true;
}

static void remove_ports(struct vmbus *bus)
{
	synic_on_room(bus->vm, NULL, NULL);
	synic_port_remove(bus->vm, VMBUS_MESSAGE_CONNECTION_ID);
	synic_port_remove(bus->vm, VMBUS_MESSAGE_CONNECTION_ID_4);
	for (uint32_t i = 0; i < bus->channel_count; i++) {
		synic_port_remove(bus->vm, VMBUS_CONNECTION_ID_BASE + bus->channels[i]->id);
	}
}

bool vmbus_create(struct vm *vm)
{
	struct vmbus *bus = vm_alloc(vm, sizeof(*bus));

	if (bus == NULL) {
		return false;
	}
	bus->vm = vm;
	bus->pinned_pages_max = VMBUS_PINNED_PAGES + VMBUS_PINNED_PAGES_NIC * vm_config(vm)->nic_count;
	spin_init(&bus->lock, RANK_BUS);
	vm_work_init(&bus->work, vm, bus_step);
	vm_slot_set(vm, VM_SLOT_VMBUS, bus);
	if (!devices_create(bus) || !add_ports(bus)) {
		vmbus_teardown(vm);
		return false;
	}
	return true;
}

void vmbus_count(struct vm *vm, uint32_t *channels, uint32_t *buffers)
{
	struct vmbus *bus = bus_of_vm(vm);

	if (bus == NULL) {
		return;
	}
	spin_lock(&bus->lock);
	for (uint32_t i = 0; i < bus->channel_count; i++) {
		*channels += bus->channels[i]->state != CHANNEL_CLOSED;
	}
	for (uint32_t i = 0; i < VMBUS_GPADL_COUNT_MAX; i++) {
		*buffers += bus->gpadls[i] != NULL;
	}
	spin_unlock(&bus->lock);
}

/* No vCPU runs; so what is queued is left over, and only backends still call. */
static void force_close(struct vmbus_channel *channel)
{
	vm_work_cancel(&channel->work);
	if (channel->state == CHANNEL_OPEN || channel->state == CHANNEL_CLOSING) {
		while (!channel->spec.ops->close(channel->spec.device)) {
			lock_relax();
		}
	}
	vm_work_cancel(&channel->work); /* the last completions may have queued it */
	if (channel->ring_gpadl != NULL) {
		vmbus_gpadl_put(channel->ring_gpadl);
	}
	channel->ring_gpadl = NULL;
	channel->state = CHANNEL_CLOSED;
	channel->answer_open = false;
}

bool vmbus_reset(struct vm *vm)
{
	struct vmbus *bus = bus_of_vm(vm);

	if (bus == NULL) {
		return true;
	}
	vm_work_cancel(&bus->work);
	for (uint32_t i = 0; i < bus->channel_count; i++) {
		force_close(bus->channels[i]);
	}
	spin_lock(&bus->lock);
	bus_gpadl_drop_all(bus);
	while (bus_gpadl_collect(bus)) {
	}
	CHECK(bus_gpadl_none(bus));
	bus->connected = false;
	bus->version = 0;
	bus->message_vp = 0;
	bus->queue_first = 0;
	bus->queue_count = 0;
	bus->offers_asked = false;
	bus->ending = BUS_ENDING_NONE;
	bus->out_full = false;
	spin_unlock(&bus->lock);
	vm_work_cancel(&bus->work);
	return true;
}

void vmbus_teardown(struct vm *vm)
{
	struct vmbus *bus = bus_of_vm(vm);

	if (bus == NULL) {
		return;
	}
	remove_ports(bus);
	(void)vmbus_reset(vm);
	for (uint32_t i = 0; i < bus->channel_count; i++) {
		struct vmbus_channel *channel = bus->channels[i];

		channel->spec.ops->destroy(channel->spec.device);
		vm_work_cancel(&channel->work);
		vm_free(vm, channel);
	}
	vm_slot_set(vm, VM_SLOT_VMBUS, NULL);
	vm_free(vm, bus);
}

/*
 * bus_message.c - what each message of the guest asks, and what it is answered (abi/vmbus.h; rows in
 * specs/vmbus_message.def).
 *
 * Each handler decodes its message into a copy, checks it, then acts; it sends one message at most. True: the request
 * was right; false: refused or not understood.
 */
#include "vmbus/bus_private.h"

/* The part of a message that a handler knows; false if it is shorter. */
static bool decode(const struct bus_message *message, void *to, size_t size)
{
	if (message->size < size) {
		return false;
	}
	memcpy(to, message->bytes, size);
	return true;
}

/* ------------------------------------------------------------------ contact and unload */

static bool version_is_known(uint32_t version)
{
	switch (version) {
	case VERSION_WIN10:
	case VERSION_WIN10_V4_1:
	case VERSION_WIN10_V5:
	case VERSION_WIN10_V5_1:
	case VERSION_WIN10_V5_2:
	case VERSION_WIN10_V5_3:
		return true;
	default:
		return false;
	}
}

/* Closes everything; the answer comes when that is done. */
static void begin_ending(struct vmbus *bus, enum bus_ending ending)
{
	bus->connected = false;
	bus->offers_asked = false;
	bus->ending = ending;
	for (uint32_t i = 0; i < bus->channel_count; i++) {
		bus_close_channel(bus->channels[i]);
	}
	bus_gpadl_drop_all(bus);
}

/* Also in a connection: then it is an unload first (firmware to system, one kernel to the next). */
static bool handle_contact(struct vmbus *bus, const struct bus_message *message)
{
	struct vmbus_channel_initiate_contact contact;

	if (!decode(message, &contact, sizeof(contact))) {
		return false;
	}
	bus->contact = contact;
	begin_ending(bus, BUS_ENDING_CONTACT);
	return version_is_known(contact.vmbus_version_requested);
}

static bool handle_unload(struct vmbus *bus, const struct bus_message *message)
{
	(void)message;
	begin_ending(bus, BUS_ENDING_UNLOAD);
	return true;
}

/* The fields beside the version are ones that we can keep. */
static bool contact_is_right(const struct vmbus *bus, const struct vmbus_channel_initiate_contact *contact)
{
	if (contact->target_vcpu >= vm_vcpu_count(bus->vm) ||
	    (contact->monitor_page1 == 0) != (contact->monitor_page2 == 0)) {
		return false;
	}
	if (contact->vmbus_version_requested >= VERSION_WIN10_V5 && contact->msg_sint != VMBUS_MESSAGE_SINT) {
		return false;
	}
	return contact->vmbus_version_requested < VERSION_WIN10_V5_1 || contact->msg_vtl == 0;
}

static void answer_contact(struct vmbus *bus)
{
	const struct vmbus_channel_initiate_contact *contact = &bus->contact;
	uint32_t version = contact->vmbus_version_requested;
	struct vmbus_channel_version_response response = {
	        .header.msgtype = CHANNELMSG_VERSION_RESPONSE,
	};

	bus->message_vp = contact->target_vcpu < vm_vcpu_count(bus->vm) ? contact->target_vcpu : 0;
	/* A refusal is "not supported" also for a wrong field: Linux looks at nothing else. */
	if (version_is_known(version) && contact_is_right(bus, contact)) {
		bus->connected = true;
		bus->version = version;
		bus->offers_sent = 0;
		response.version_supported = 1;
		response.connection_state = VMBUS_CONNECTION_SUCCESSFUL;
		response.msg_conn_id = version >= VERSION_WIN10_V5 ? VMBUS_MESSAGE_CONNECTION_ID_4 : version;
	}
	bus_send(bus, &response, sizeof(response));
}

void bus_finish_ending(struct vmbus *bus)
{
	static const struct vmbus_channel_message_header unloaded = {
	        .msgtype = CHANNELMSG_UNLOAD_RESPONSE,
	};
	enum bus_ending ending = bus->ending;

	bus->ending = BUS_ENDING_NONE;
	if (ending == BUS_ENDING_CONTACT) {
		answer_contact(bus);
	} else {
		bus_send(bus, &unloaded, sizeof(unloaded));
	}
}

/* ------------------------------------------------------------------ offers */

static bool handle_request_offers(struct vmbus *bus, const struct bus_message *message)
{
	(void)message;
	if (bus->offers_asked) {
		return false;
	}
	bus->offers_asked = true;
	return true;
}

void bus_send_offer(struct vmbus *bus)
{
	static const struct vmbus_channel_message_header delivered = {
	        .msgtype = CHANNELMSG_ALLOFFERS_DELIVERED,
	};
	struct vmbus_channel_offer_channel offer = {
	        .header.msgtype = CHANNELMSG_OFFERCHANNEL,
	        .monitorid = VMBUS_MONITOR_NONE,
	        .is_dedicated_interrupt = 1,
	};
	const struct vmbus_channel *channel;

	if (bus->offers_sent == bus->channel_count) {
		bus_send(bus, &delivered, sizeof(delivered));
		bus->offers_sent++;
		return;
	}
	channel = bus->channels[bus->offers_sent++];
	offer.if_type = channel->spec.class_id;
	offer.if_instance = channel->spec.instance_id;
	offer.child_relid = channel->id;
	offer.connection_id = VMBUS_CONNECTION_ID_BASE + channel->id;
	if (channel->spec.pipe_mode) {
		offer.chn_flags = VMBUS_CHANNEL_ENUMERATE_DEVICE_INTERFACE | VMBUS_CHANNEL_NAMED_PIPE_MODE;
		offer.u.pipe.pipe_mode = VMBUS_PIPE_TYPE_MESSAGE;
	}
	bus_send(bus, &offer, sizeof(offer));
}

/* ------------------------------------------------------------------ channels */

/* The GPADL that the rings lie in, and where the second starts. NULL: not right. */
static struct vmbus_gpadl *open_rings(struct vmbus *bus, const struct vmbus_channel_open_channel *open)
{
	struct vmbus_gpadl *gpadl = bus_gpadl_find(bus, open->child_relid, open->ringbuffer_gpadlhandle);
	uint32_t down = open->downstream_ringbuffer_pageoffset;

	/* Each ring has its control page and one of data at least. */
	if (gpadl == NULL || !gpadl_is_ring(gpadl) || down < 2 || gpadl->page_count < 4 ||
	    down > gpadl->page_count - 2) {
		return NULL;
	}
	return gpadl;
}

static uint32_t open_channel(struct vmbus *bus, const struct vmbus_channel_open_channel *open)
{
	struct vmbus_channel *channel = bus_channel(bus, open->child_relid);
	struct vmbus_gpadl *gpadl;

	if (channel == NULL) {
		return VMBUS_STATUS_DEVICE_DOES_NOT_EXIST;
	}
	if (channel->state != CHANNEL_CLOSED) {
		return VMBUS_STATUS_INVALID_DEVICE_STATE;
	}
	gpadl = open_rings(bus, open);
	if (gpadl == NULL ||
	    (open->target_vp >= vm_vcpu_count(bus->vm) && open->target_vp != VMBUS_VP_NONE)) {
		return VMBUS_STATUS_INVALID_PARAMETER;
	}
	gpadl->use_count++;
	channel->ring_gpadl = gpadl;
	channel->send_page = open->downstream_ringbuffer_pageoffset;
	channel->open_id = open->openid;
	channel->state = CHANNEL_OPENING;
	__atomic_store_n(&channel->target_vp, open->target_vp, __ATOMIC_SEQ_CST);
	vm_work_queue(&channel->work);
	return VMBUS_STATUS_SUCCESS;
}

static bool handle_open(struct vmbus *bus, const struct bus_message *message)
{
	struct vmbus_channel_open_channel open;
	struct vmbus_channel_open_result result = {
	        .header.msgtype = CHANNELMSG_OPENCHANNEL_RESULT,
	};

	if (!decode(message, &open, sizeof(open))) {
		return false;
	}
	result.child_relid = open.child_relid;
	result.openid = open.openid;
	result.status = open_channel(bus, &open);
	if (result.status != VMBUS_STATUS_SUCCESS) {
		bus_send(bus, &result, sizeof(result));
	}
	return result.status == VMBUS_STATUS_SUCCESS; /* then the channel's work has the answer */
}

static bool handle_close(struct vmbus *bus, const struct bus_message *message)
{
	struct vmbus_channel_relid close;
	struct vmbus_channel *channel;

	if (!decode(message, &close, sizeof(close))) {
		return false;
	}
	channel = bus_channel(bus, close.child_relid);
	if (channel == NULL || channel->state != CHANNEL_OPEN) {
		return false;
	}
	bus_close_channel(channel);
	return true;
}

static bool handle_modify(struct vmbus *bus, const struct bus_message *message)
{
	struct vmbus_channel_modifychannel modify;
	struct vmbus_channel_modifychannel_response response = {
	        .header.msgtype = CHANNELMSG_MODIFYCHANNEL_RESPONSE,
	        .status = VMBUS_STATUS_INVALID_PARAMETER,
	};
	struct vmbus_channel *channel;

	if (bus->version < VERSION_WIN10_V4_1 || !decode(message, &modify, sizeof(modify))) {
		return false;
	}
	channel = bus_channel(bus, modify.child_relid);
	if (channel != NULL && channel->state == CHANNEL_OPEN && modify.target_vp < vm_vcpu_count(bus->vm)) {
		__atomic_store_n(&channel->target_vp, modify.target_vp, __ATOMIC_SEQ_CST);
		/* A signal that another CPU is just sending may reach the old one only: repeat it. */
		(void)synic_signal_event(vm_vcpu(bus->vm, modify.target_vp), VMBUS_MESSAGE_SINT, channel->id);
		response.status = VMBUS_STATUS_SUCCESS;
	}
	response.child_relid = modify.child_relid;
	if (bus->version >= VERSION_WIN10_V5_3) {
		bus_send(bus, &response, sizeof(response));
	}
	return response.status == VMBUS_STATUS_SUCCESS;
}

/* ------------------------------------------------------------------ what we do not have */

static bool handle_ignored(struct vmbus *bus, const struct bus_message *message)
{
	(void)bus;
	(void)message;
	return false;
}

static bool handle_close_reserved(struct vmbus *bus, const struct bus_message *message)
{
	struct vmbus_channel_relid relid;

	if (decode(message, &relid, sizeof(relid))) {
		relid.header.msgtype = CHANNELMSG_CLOSE_RESERVED_RESPONSE;
		relid.header.padding = 0;
		bus_send(bus, &relid, sizeof(relid));
	}
	return false;
}

static bool handle_tl_connect(struct vmbus *bus, const struct bus_message *message)
{
	struct vmbus_channel_tl_connect_request request;
	struct vmbus_channel_tl_connect_result result = {
	        .header.msgtype = CHANNELMSG_TL_CONNECT_RESULT,
	        .status = VMBUS_STATUS_CONNECTION_REFUSED,
	};

	if (decode(message, &request, sizeof(request))) {
		result.guest_endpoint_id = request.guest_endpoint_id;
		result.host_service_id = request.host_service_id;
		bus_send(bus, &result, sizeof(result));
	}
	return false;
}

/* ------------------------------------------------------------------ dispatch */

enum row_status {
	OFFERED,
	REFUSED,
};

static const struct {
	uint32_t type;
	enum row_status status;
	bus_handler *handle;
} rows[] = {
#define SPEC_ROW(number, name, status, handler, clause) {number, status, handler},
#include "specs/vmbus_message.def"
#undef SPEC_ROW
};

/* Before the contact only the contact and unload are understood. */
static bool is_allowed(const struct vmbus *bus, uint32_t type)
{
	return bus->connected || type == CHANNELMSG_INITIATE_CONTACT || type == CHANNELMSG_UNLOAD;
}

void bus_handle(struct vmbus *bus, const struct bus_message *message)
{
	struct vmbus_channel_message_header header;
	uint32_t row = 0;
	bool served;

	memcpy(&header, message->bytes, sizeof(header)); /* so much was checked when it was queued */
	while (row < ARRAY_COUNT(rows) && rows[row].type != header.msgtype) {
		row++;
	}
	if (row == ARRAY_COUNT(rows)) {
		vm_count(bus->vm, SPEC_VMBUS_MESSAGE, SPEC_UNKNOWN, true);
		return;
	}
	served = is_allowed(bus, header.msgtype) && rows[row].handle(bus, message);
	vm_count(bus->vm, SPEC_VMBUS_MESSAGE, row, !served || rows[row].status == REFUSED);
}

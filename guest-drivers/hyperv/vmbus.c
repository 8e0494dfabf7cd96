/*
 * vmbus.c - the guest's side of the bus: contact, offers and the messages of both directions.
 *
 * Each version from the newest down, the first that the host takes counts. From 5.0 on the host
 * names the connection that messages go to. One answer is waited for at a time.
 */
#include "guest-drivers/hyperv/hyperv.h"

#define GPADL_FIRST 0xE1E10u

/* ------------------------------------------------------------------ to the host */

bool hv_bus_post(struct hv_guest *hv, const void *message, uint32_t size)
{
	for (uint32_t i = 0; i <= hv->guest->poll_max; i++) {
		hv->bus.post_status = hv_post_message(hv, hv->bus.connection_id, message, size);
		if (hv->bus.post_status == HV_STATUS_SUCCESS) {
			return true;
		}
		if (hv->bus.post_status != HV_STATUS_INSUFFICIENT_BUFFERS &&
		    hv->bus.post_status != HV_STATUS_INSUFFICIENT_MEMORY) {
			return false;
		}
		hv_poll(hv);
	}
	return false;
}

void hv_bus_expect(struct hv_guest *hv, uint32_t type, uint32_t id_count, uint32_t id0, uint32_t id1)
{
	hv->bus.wait = (struct hv_wait){.type = type, .id_count = id_count, .ids = {id0, id1}};
}

bool hv_bus_await(struct hv_guest *hv)
{
	for (uint32_t i = 0; i < hv->guest->poll_max && !hv->bus.wait.done; i++) {
		hv_poll(hv);
	}
	hv->bus.wait.type = 0;
	return hv->bus.wait.done;
}

static bool ask_simple(struct hv_guest *hv, uint32_t type, uint32_t answer)
{
	const struct vmbus_channel_message_header header = {.msgtype = type};

	hv_bus_expect(hv, answer, 0, 0, 0);
	return hv_bus_post(hv, &header, sizeof(header)) && hv_bus_await(hv);
}

/* ------------------------------------------------------------------ from the host */

/* The least that a message has to bring; 0: none that we know. */
static uint32_t message_bytes(uint32_t type)
{
	switch (type) {
	case CHANNELMSG_OFFERCHANNEL:
		return sizeof(struct vmbus_channel_offer_channel);
	case CHANNELMSG_RESCIND_CHANNELOFFER:
	case CHANNELMSG_CLOSE_RESERVED_RESPONSE:
		return sizeof(struct vmbus_channel_relid);
	case CHANNELMSG_TL_CONNECT_RESULT:
		return sizeof(struct vmbus_channel_tl_connect_result);
	case CHANNELMSG_OPENCHANNEL_RESULT:
		return sizeof(struct vmbus_channel_open_result);
	case CHANNELMSG_GPADL_CREATED:
		return sizeof(struct vmbus_channel_gpadl_created);
	case CHANNELMSG_GPADL_TORNDOWN:
		return sizeof(struct vmbus_channel_gpadl_torndown);
	case CHANNELMSG_VERSION_RESPONSE:
		return sizeof(struct vmbus_channel_version_response);
	case CHANNELMSG_MODIFYCHANNEL_RESPONSE:
		return sizeof(struct vmbus_channel_modifychannel_response);
	case CHANNELMSG_ALLOFFERS_DELIVERED:
	case CHANNELMSG_UNLOAD_RESPONSE:
		return sizeof(struct vmbus_channel_message_header);
	default:
		return 0;
	}
}

static bool offer_is_new(const struct hv_bus *bus, const struct vmbus_channel_offer_channel *offer)
{
	for (uint32_t i = 0; i < bus->offer_count; i++) {
		if (bus->offers[i].child_relid == offer->child_relid) {
			return false;
		}
	}
	return true;
}

static void take_offer(struct hv_bus *bus, const uint8_t *bytes)
{
	struct vmbus_channel_offer_channel offer;

	memcpy(&offer, bytes, sizeof(offer));
	if (offer.child_relid == 0 || offer.child_relid > VMBUS_MAX_CHANNEL_ID ||
	    bus->offer_count == HV_OFFER_MAX || !offer_is_new(bus, &offer)) {
		bus->bad_messages++;
		return;
	}
	bus->offers[bus->offer_count++] = offer;
}

/* The offer goes at once; who has the channel open sees it and closes. */
static void take_rescind(struct hv_bus *bus, const uint8_t *bytes)
{
	struct vmbus_channel_relid rescind;

	memcpy(&rescind, bytes, sizeof(rescind));
	for (uint32_t i = 0; i < bus->offer_count; i++) {
		if (bus->offers[i].child_relid == rescind.child_relid) {
			bus->offers[i] = bus->offers[--bus->offer_count];
			break;
		}
	}
	for (uint32_t i = 0; i < HV_CHANNEL_MAX; i++) {
		if (bus->channels[i] != NULL && bus->channels[i]->relid == rescind.child_relid) {
			bus->channels[i]->rescinded = true;
		}
	}
}

/* @bytes are at least as many as the type needs. False: nobody asked for it. */
static bool take_answer(struct hv_wait *wait, uint32_t type, const uint8_t *bytes, uint32_t size)
{
	if (wait->type != type || wait->done ||
	    memcmp(bytes + sizeof(struct vmbus_channel_message_header), wait->ids,
	           wait->id_count * sizeof(wait->ids[0])) != 0) {
		return false;
	}
	memcpy(wait->bytes, bytes, size);
	wait->size = size;
	wait->done = true;
	return true;
}

void hv_bus_message(struct hv_guest *hv, const uint8_t *bytes, uint32_t size)
{
	struct vmbus_channel_message_header header;
	uint32_t least;

	if (size < sizeof(header)) {
		hv->bus.bad_messages++;
		return;
	}
	memcpy(&header, bytes, sizeof(header));
	least = message_bytes(header.msgtype);
	if (least == 0 || size < least) {
		hv->bus.bad_messages++;
	} else if (header.msgtype == CHANNELMSG_OFFERCHANNEL) {
		take_offer(&hv->bus, bytes);
	} else if (header.msgtype == CHANNELMSG_RESCIND_CHANNELOFFER) {
		take_rescind(&hv->bus, bytes);
	} else if (!take_answer(&hv->bus.wait, header.msgtype, bytes, size)) {
		hv->bus.bad_messages++;
	}
}

bool hv_bus_event(struct hv_guest *hv, uint32_t relid)
{
	for (uint32_t i = 0; i < HV_CHANNEL_MAX; i++) {
		struct hv_channel *channel = hv->bus.channels[i];

		if (channel != NULL && channel->relid == relid) {
			channel->event(channel->context);
			return true;
		}
	}
	return false;
}

/* ------------------------------------------------------------------ contact */

static bool contact(struct hv_guest *hv, uint32_t version)
{
	struct vmbus_channel_initiate_contact message = {
	        .header.msgtype = CHANNELMSG_INITIATE_CONTACT,
	        .vmbus_version_requested = version,
	        .target_vcpu = hv->vp_index,
	};
	struct vmbus_channel_version_response response;
	bool names_connection = version >= VERSION_WIN10_V5;

	if (names_connection) {
		message.msg_sint = HV_SYNIC_VMBUS_SINT;
	}
	hv->bus.connection_id =
	        names_connection ? VMBUS_MESSAGE_CONNECTION_ID_4 : VMBUS_MESSAGE_CONNECTION_ID;
	hv_bus_expect(hv, CHANNELMSG_VERSION_RESPONSE, 0, 0, 0);
	if (!hv_bus_post(hv, &message, sizeof(message)) || !hv_bus_await(hv)) {
		return false;
	}
	memcpy(&response, hv->bus.wait.bytes, sizeof(response));
	if (response.version_supported == 0 || response.connection_state != VMBUS_CONNECTION_SUCCESSFUL) {
		return false;
	}
	if (names_connection) {
		hv->bus.connection_id = response.msg_conn_id;
	}
	return hv->bus.connection_id != 0;
}

bool hv_bus_connect(struct hv_guest *hv, uint32_t version_max)
{
	static const uint32_t versions[] = {
	        VERSION_WIN10_V5_3, VERSION_WIN10_V5_2, VERSION_WIN10_V5_1,
	        VERSION_WIN10_V5,   VERSION_WIN10_V4_1, VERSION_WIN10,
	};

	memset(&hv->bus, 0, sizeof(hv->bus));
	hv->bus.next_gpadl = GPADL_FIRST;
	for (uint32_t i = 0; hv->has_messages && i < ARRAY_COUNT(versions); i++) {
		if (versions[i] <= version_max && contact(hv, versions[i])) {
			hv->bus.version = versions[i];
			return true;
		}
	}
	return false;
}

bool hv_bus_offers(struct hv_guest *hv)
{
	return ask_simple(hv, CHANNELMSG_REQUESTOFFERS, CHANNELMSG_ALLOFFERS_DELIVERED);
}

bool hv_bus_unload(struct hv_guest *hv)
{
	hv->bus.version = 0;
	hv->bus.offer_count = 0;
	return ask_simple(hv, CHANNELMSG_UNLOAD, CHANNELMSG_UNLOAD_RESPONSE);
}

const struct vmbus_channel_offer_channel *hv_bus_find(const struct hv_guest *hv, struct vmbus_guid class_id,
                                                      uint32_t index)
{
	for (uint32_t i = 0; i < hv->bus.offer_count; i++) {
		if (memcmp(&hv->bus.offers[i].if_type, &class_id, sizeof(class_id)) == 0 && index-- == 0) {
			return &hv->bus.offers[i];
		}
	}
	return NULL;
}

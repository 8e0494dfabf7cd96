/*
 * vmbus_message.c - probes of specs/vmbus_message.def but the lists of pages (vmbus_gpadl.c): contact, offers, channels.
 *
 * Messages are handled in order. So what must not be answered is posted, a contact behind it, and then nothing else has
 * come before the contact's answer; a contact ends the connection before, so each starts as new.
 */
#include "guest-drivers/certify/vmbus_message.h"

#define WAIT_AFTER_POLLS 8u
#define RELID_UNKNOWN 0x7E5u
#define VP_UNKNOWN 0xFFFFu

static struct bus bus;

/* ------------------------------------------------------------------ contact */

/* Posts it and waits; false: no answer. From 5.0 on messages go to another connection, which may not be there. */
static bool contact_ask(struct hv_guest *hv, const struct vmbus_channel_initiate_contact *message,
                        uint32_t size, struct vmbus_channel_version_response *response)
{
	bool newer = message->vmbus_version_requested >= VERSION_WIN10_V5;

	hv->bus.connection_id = newer ? VMBUS_MESSAGE_CONNECTION_ID_4 : VMBUS_MESSAGE_CONNECTION_ID;
	hv_bus_expect(hv, CHANNELMSG_VERSION_RESPONSE, 0, 0, 0);
	if (!hv_bus_post(hv, message, size) || !hv_bus_await(hv)) {
		return false;
	}
	memcpy(response, hv->bus.wait.bytes, sizeof(*response));
	return true;
}

static struct vmbus_channel_initiate_contact contact_of(const struct hv_guest *hv, uint32_t version)
{
	return (struct vmbus_channel_initiate_contact){
	        .header.msgtype = CHANNELMSG_INITIATE_CONTACT,
	        .vmbus_version_requested = version,
	        .target_vcpu = hv->vp_index,
	        .msg_sint = version >= VERSION_WIN10_V5 ? HV_SYNIC_VMBUS_SINT : 0,
	};
}

/* True: the host speaks @version, and the bus is connected with it. */
static bool contact_with(struct probe *p, struct hv_guest *hv, uint32_t version)
{
	struct vmbus_channel_initiate_contact message = contact_of(hv, version);
	struct vmbus_channel_version_response response;

	if (!contact_ask(hv, &message, sizeof(message), &response) || response.version_supported == 0 ||
	    response.connection_state != VMBUS_CONNECTION_SUCCESSFUL) {
		return false;
	}
	hv->bus.version = version;
	if (version >= VERSION_WIN10_V5) {
		(void)probe_check(p, response.msg_conn_id != 0, "version 0x%x: messages go to connection 0",
		                  version);
		hv->bus.connection_id = response.msg_conn_id;
	}
	return true;
}

static bool offers_again(struct hv_guest *hv)
{
	hv->bus.offer_count = 0;
	return hv_bus_offers(hv);
}

void bus_check_silent(struct probe *p, struct bus *b, const void *message, uint32_t size, const char *what)
{
	struct hv_guest *hv = b->hv;
	uint64_t bad = hv->bus.bad_messages;
	bool answered;

	hv_bus_expect(hv, 0, 0, 0, 0);
	(void)!hv_bus_post(hv, message, size);
	answered = contact_with(p, hv, hv->bus.version);
	for (uint32_t i = 0; i < WAIT_AFTER_POLLS; i++) {
		hv_poll(hv);
	}
	(void)probe_check(p, answered, "%s, and the next contact is not answered", what);
	(void)probe_check(p, hv->bus.bad_messages == bad, "%s is answered", what);
	(void)probe_check(p, offers_again(hv), "%s, and there are no offers any more", what);
}

/* ------------------------------------------------------------------ a probe's bus */

static uint32_t relid_find(const struct hv_guest *hv)
{
	const struct vmbus_channel_offer_channel *offer =
	        hv_bus_find(hv, (struct vmbus_guid)VMBUS_CLASS_SCSI, 0);

	if (offer == NULL) {
		offer = hv_bus_find(hv, (struct vmbus_guid)VMBUS_CLASS_NETWORK, 0);
	}
	if (offer == NULL && hv->bus.offer_count != 0) {
		offer = &hv->bus.offers[0];
	}
	return offer == NULL ? 0 : offer->child_relid;
}

static const struct vmbus_channel_offer_channel *offer_find(const struct bus *b)
{
	for (uint32_t i = 0; i < b->hv->bus.offer_count; i++) {
		if (b->hv->bus.offers[i].child_relid == b->relid) {
			return &b->hv->bus.offers[i];
		}
	}
	return NULL;
}

static void channel_event(void *context)
{
	(void)context; /* what the device says is not asked for */
}

bool bus_channel_open(struct bus *b)
{
	const struct vmbus_channel_offer_channel *offer = offer_find(b);

	return offer != NULL && hv_channel_open(&b->channel, b->hv, offer, BUS_PAGES / 2, channel_event, b);
}

static bool bus_begin(struct probe *p, struct bus *b)
{
	memset(b, 0, sizeof(*b));
	b->hv = certify_hv_connected(p);
	if (b->hv == NULL) {
		return false;
	}
	b->relid = relid_find(b->hv);
	b->next_gpadl = 0xC0DE0u;
	for (uint32_t i = 0; i < BUS_PAGES; i++) {
		if (!probe_check(p, guest_page_alloc(b->hv->guest, &b->pages[i]), "out of memory")) {
			return false;
		}
	}
	return true;
}

/* A new contact takes everything from the host; without one its pages are not used again. */
static void bus_end(struct probe *p, struct bus *b)
{
	p->c->hv_is_connected = false;
	if (b->hv == NULL || certify_hv_connected(p) == NULL) {
		return;
	}
	if (b->channel.hv != NULL) {
		b->channel.open = false;
		b->channel.gpadl = 0;
		(void)hv_channel_close(&b->channel);
	}
	for (uint32_t i = 0; i < BUS_PAGES; i++) {
		guest_page_free(b->hv->guest, &b->pages[i]);
	}
}

static void bus_probe(struct probe *p, bool needs_channel, bus_body *body)
{
	if (bus_begin(p, &bus)) {
		if (needs_channel && bus.relid == 0) {
			probe_skip(p, NO_DEVICE);
		} else {
			body(p, &bus);
		}
	}
	bus_end(p, &bus);
}

/* ------------------------------------------------------------------ INITIATE_CONTACT, UNLOAD */

static const uint32_t versions[] = {VERSION_WIN10,      VERSION_WIN10_V4_1, VERSION_WIN10_V5,
                                    VERSION_WIN10_V5_1, VERSION_WIN10_V5_2, VERSION_WIN10_V5_3};

static void check_refused(struct probe *p, struct bus *b, struct vmbus_channel_initiate_contact message,
                          const char *what)
{
	struct vmbus_channel_version_response response = {0};
	bool answered = contact_ask(b->hv, &message, sizeof(message), &response);

	(void)probe_check(p, answered, "a contact with %s is not answered", what);
	(void)probe_check(p,
	                  response.version_supported == 0 ||
	                          response.connection_state != VMBUS_CONNECTION_SUCCESSFUL,
	                  "a contact with %s succeeds", what);
}

/* Those that there never were; older ones than 4.0 a host may speak, if it does so really. */
static void check_other_versions(struct probe *p, struct bus *b)
{
	static const uint32_t never[] = {0, 0x0000000Cu, 0x00020003u, 0x00040002u, 0x00050004u, 0x7FFF0000u};
	static const uint32_t older[] = {VERSION_WS2008, VERSION_WIN7, VERSION_WIN8, VERSION_WIN8_1};

	for (uint32_t i = 0; i < ARRAY_COUNT(never); i++) {
		struct vmbus_channel_initiate_contact message = contact_of(b->hv, never[i]);
		struct vmbus_channel_version_response response = {0};
		bool answered = contact_ask(b->hv, &message, sizeof(message), &response);

		/* From 5.0 on the connection itself may be missing. */
		(void)probe_check(p, answered || never[i] >= VERSION_WIN10_V5, "version 0x%x is not answered",
		                  never[i]);
		(void)probe_check(p, response.version_supported == 0, "version 0x%x is taken", never[i]);
	}
	for (uint32_t i = 0; i < ARRAY_COUNT(older); i++) {
		if (contact_with(p, b->hv, older[i])) {
			probe_note(p, "version 0x%x is taken too", older[i]);
			(void)probe_check(p, offers_again(b->hv), "version 0x%x: no offers", older[i]);
		}
	}
}

static void check_fields(struct probe *p, struct bus *b)
{
	struct vmbus_channel_initiate_contact message = contact_of(b->hv, VERSION_WIN10);

	message.target_vcpu = VP_UNKNOWN;
	check_refused(p, b, message, "a processor that there is not");
	message = contact_of(b->hv, VERSION_WIN10);
	message.monitor_page1 = b->pages[0].gfn << PAGE_SHIFT;
	check_refused(p, b, message, "one of the two monitor pages");
	message.monitor_page1 = 0;
	message.monitor_page2 = b->pages[0].gfn << PAGE_SHIFT;
	check_refused(p, b, message, "the other monitor page alone");
}

/* A contact in a connection is an unload first: the channel that was open can be opened again. */
static void check_contact_again(struct probe *p, struct bus *b)
{
	struct hv_channel *channel = &b->channel;

	if (b->relid == 0 || !probe_check(p, bus_channel_open(b), "the channel does not open")) {
		return;
	}
	(void)probe_check(p, contact_with(p, b->hv, b->hv->bus.version) && offers_again(b->hv),
	                  "a contact with a channel open is not answered");
	channel->open = false; /* the host has closed it, and let go of its pages */
	channel->gpadl = 0;
	(void)hv_channel_close(channel);
	(void)probe_check(p, bus_channel_open(b) && hv_channel_close(channel),
	                  "a channel that was open does not open after a new contact");
}

static void body_contact(struct probe *p, struct bus *b)
{
	struct vmbus_channel_initiate_contact message = contact_of(b->hv, b->hv->bus.version);
	uint32_t taken = 0;
	bool rising = true;
	uint32_t newest = b->hv->bus.version;

	bus_check_silent(p, b, &message, sizeof(message) - 1, "a contact that is too short");
	for (uint32_t i = 0; i < ARRAY_COUNT(versions); i++) {
		bool speaks = contact_with(p, b->hv, versions[i]);

		rising = rising && (!speaks || taken == i);
		taken += speaks;
		(void)probe_check(p, !speaks || offers_again(b->hv), "version 0x%x: no offers", versions[i]);
	}
	probe_offer(p, taken == ARRAY_COUNT(versions));
	probe_note(p, "%u of the 6 versions from 4.0 to 5.3", taken);
	(void)probe_check(p, taken != 0 && rising, "not all versions from 4.0 to the newest are spoken");
	check_other_versions(p, b);
	check_fields(p, b);
	if (probe_check(p, contact_with(p, b->hv, newest) && offers_again(b->hv),
	                "after refused contacts none succeeds")) {
		check_contact_again(p, b);
	}
}

/* After it nothing but a contact is answered. */
static void body_unload(struct probe *p, struct bus *b)
{
	const struct vmbus_channel_message_header offers = {.msgtype = CHANNELMSG_REQUESTOFFERS};
	const struct vmbus_channel_open_channel open = {.header.msgtype = CHANNELMSG_OPENCHANNEL};
	uint32_t version = b->hv->bus.version;

	if (b->relid != 0) {
		(void)probe_check(p, bus_channel_open(b), "the channel does not open");
	}
	if (!probe_check(p, hv_bus_unload(b->hv), "no UNLOAD_RESPONSE")) {
		return;
	}
	b->channel.open = false;
	b->channel.gpadl = 0;
	if (b->relid != 0) {
		(void)hv_channel_close(&b->channel);
	}
	b->hv->bus.version = version;
	bus_check_silent(p, b, &offers, sizeof(offers), "REQUESTOFFERS after UNLOAD");
	(void)probe_check(p, hv_bus_unload(b->hv), "no second UNLOAD_RESPONSE");
	b->hv->bus.version = version;
	bus_check_silent(p, b, &open, sizeof(open), "OPENCHANNEL after UNLOAD");
}

/* ------------------------------------------------------------------ offers */

static void check_offer(struct probe *p, const struct hv_bus *of, uint32_t index)
{
	const struct vmbus_channel_offer_channel *offer = &of->offers[index];

	(void)probe_check(p, offer->connection_id != 0, "offer %u: connection 0", index);
	(void)probe_check(p, (offer->is_dedicated_interrupt & 1) != 0, "offer %u: not a dedicated interrupt",
	                  index);
	for (uint32_t i = 0; i < index; i++) {
		const struct vmbus_channel_offer_channel *other = &of->offers[i];

		(void)probe_check(p, other->connection_id != offer->connection_id,
		                  "offers %u and %u have one connection", i, index);
		(void)probe_check(p,
		                  memcmp(&other->if_type, &offer->if_type, 32) != 0 ||
		                          other->sub_channel_index != offer->sub_channel_index,
		                  "offers %u and %u are one instance", i, index);
	}
}

/* @before is among the offers of now, with the same id. */
static void check_kept(struct probe *p, const struct hv_bus *now,
                       const struct vmbus_channel_offer_channel *before)
{
	bool found = false;

	for (uint32_t i = 0; i < now->offer_count; i++) {
		found = found || (memcmp(&now->offers[i].if_type, &before->if_type, 32) == 0 &&
		                  now->offers[i].child_relid == before->child_relid);
	}
	(void)probe_check(p, found, "channel %u is not offered again after a new contact",
	                  before->child_relid);
}

static void body_request_offers(struct probe *p, struct bus *b)
{
	static struct vmbus_channel_offer_channel before[HV_OFFER_MAX];
	const struct vmbus_channel_message_header message = {.msgtype = CHANNELMSG_REQUESTOFFERS};
	struct hv_bus *of = &b->hv->bus;
	uint32_t count = of->offer_count;

	(void)probe_check(p, of->bad_messages == 0, "wrong or doubled offers");
	for (uint32_t i = 0; i < count; i++) {
		check_offer(p, of, i);
	}
	memcpy(before, of->offers, sizeof(before));
	bus_check_silent(p, b, &message, sizeof(message), "a second REQUESTOFFERS");
	(void)probe_equal(p, of->offer_count, count, "offers after a new contact");
	for (uint32_t i = 0; i < count; i++) {
		check_kept(p, of, &before[i]);
	}
	probe_note(p, "%u offers", count);
}

/* ------------------------------------------------------------------ opening and closing */

static struct vmbus_channel_open_channel open_of(const struct bus *b, uint32_t gpadl)
{
	return (struct vmbus_channel_open_channel){
	        .header.msgtype = CHANNELMSG_OPENCHANNEL,
	        .child_relid = b->relid,
	        .openid = 0x0BE1u,
	        .ringbuffer_gpadlhandle = gpadl,
	        .target_vp = b->hv->vp_index,
	        .downstream_ringbuffer_pageoffset = BUS_PAGES / 2,
	};
}

/* False: not answered. */
static bool open_ask(struct hv_guest *hv, const struct vmbus_channel_open_channel *open, uint32_t *status)
{
	struct vmbus_channel_open_result result;

	hv_bus_expect(hv, CHANNELMSG_OPENCHANNEL_RESULT, 2, open->child_relid, open->openid);
	if (!hv_bus_post(hv, open, sizeof(*open)) || !hv_bus_await(hv)) {
		return false;
	}
	memcpy(&result, hv->bus.wait.bytes, sizeof(result));
	*status = result.status;
	return true;
}

static void check_open(struct probe *p, struct bus *b, struct vmbus_channel_open_channel open, bool good,
                       const char *what)
{
	uint32_t status = 0;

	if (probe_check(p, open_ask(b->hv, &open, &status), "OPENCHANNEL with %s: no answer", what)) {
		(void)probe_check(p, (status == VMBUS_STATUS_SUCCESS) == good,
		                  "OPENCHANNEL with %s: status 0x%x", what, status);
	}
}

/* Ring memory of BUS_PAGES pages, of channel @relid; 0: a check has failed. */
static uint32_t rings_make(struct probe *p, struct bus *b, uint32_t relid)
{
	uint32_t id = ++b->next_gpadl;

	return bus_gpadl_make(p, b, relid, id) ? id : 0;
}

static void channel_close(struct bus *b)
{
	const struct vmbus_channel_relid close = {{CHANNELMSG_CLOSECHANNEL, 0}, b->relid};

	(void)!hv_bus_post(b->hv, &close, sizeof(close));
}

static void check_open_fields(struct probe *p, struct bus *b, uint32_t gpadl)
{
	struct vmbus_channel_open_channel open = open_of(b, gpadl);

	open.child_relid = RELID_UNKNOWN;
	check_open(p, b, open, false, "a channel that there is not");
	open = open_of(b, gpadl + 1000);
	check_open(p, b, open, false, "a list that there is not");
	open = open_of(b, gpadl);
	open.target_vp = VP_UNKNOWN;
	check_open(p, b, open, false, "a processor that there is not");
	open = open_of(b, gpadl);
	open.downstream_ringbuffer_pageoffset = 0;
	check_open(p, b, open, false, "no ring to the host");
	open.downstream_ringbuffer_pageoffset = BUS_PAGES;
	check_open(p, b, open, false, "no ring to the guest");
	open.downstream_ringbuffer_pageoffset = 1;
	check_open(p, b, open, false, "a ring to the host without data");
	open.downstream_ringbuffer_pageoffset = BUS_PAGES - 1;
	check_open(p, b, open, false, "a ring to the guest without data");
	open.downstream_ringbuffer_pageoffset = UINT32_MAX;
	check_open(p, b, open, false, "rings beyond their memory");
}

/* The list of another channel is none of this one. */
static void check_open_foreign(struct probe *p, struct bus *b)
{
	uint32_t other = 0;
	uint32_t gpadl;

	for (uint32_t i = 0; i < b->hv->bus.offer_count; i++) {
		uint32_t relid = b->hv->bus.offers[i].child_relid;

		other = relid != b->relid ? relid : other;
	}
	if (other == 0) {
		probe_note(p, "one channel only");
		return;
	}
	gpadl = rings_make(p, b, other);
	if (gpadl != 0) {
		check_open(p, b, open_of(b, gpadl), false, "a list of another channel");
		(void)probe_check(p, bus_gpadl_end(b, other, gpadl), "the list is not torn down");
	}
}

static void body_open(struct probe *p, struct bus *b)
{
	struct vmbus_channel_open_channel open = open_of(b, 0);
	uint32_t gpadl;

	bus_check_silent(p, b, &open, sizeof(open) - 1, "an OPENCHANNEL that is too short");
	gpadl = rings_make(p, b, b->relid);
	if (gpadl == 0) {
		return;
	}
	check_open_fields(p, b, gpadl);
	check_open(p, b, open_of(b, gpadl), true, "all as it must be");
	check_open(p, b, open_of(b, gpadl), false, "a channel that is open");
	channel_close(b);
	open = open_of(b, gpadl);
	open.target_vp = VMBUS_VP_NONE;
	check_open(p, b, open, true, "no interrupts wanted");
	channel_close(b);
	(void)probe_check(p, bus_gpadl_end(b, b->relid, gpadl), "the rings are not torn down after closing");
	check_open(p, b, open_of(b, gpadl), false, "a list that was torn down");
	check_open_foreign(p, b);
}

static void body_close(struct probe *p, struct bus *b)
{
	struct vmbus_channel_relid close = {{CHANNELMSG_CLOSECHANNEL, 0}, b->relid};
	uint64_t bad;
	uint32_t gpadl;

	bus_check_silent(p, b, &close, sizeof(close) - 1, "a CLOSECHANNEL that is too short");
	bus_check_silent(p, b, &close, sizeof(close), "CLOSECHANNEL of one that is not open");
	close.child_relid = RELID_UNKNOWN;
	bus_check_silent(p, b, &close, sizeof(close), "CLOSECHANNEL of one that there is not");
	gpadl = rings_make(p, b, b->relid);
	if (gpadl == 0) {
		return;
	}
	bad = b->hv->bus.bad_messages;
	for (uint32_t i = 0; i < 3; i++) {
		check_open(p, b, open_of(b, gpadl), true, "a channel that was closed");
		channel_close(b);
	}
	channel_close(b);
	(void)probe_check(p, bus_gpadl_end(b, b->relid, gpadl), "the rings are not torn down after closing");
	(void)probe_equal(p, b->hv->bus.bad_messages, bad, "messages that answer CLOSECHANNEL");
}

/* ------------------------------------------------------------------ MODIFYCHANNEL */

/* False: no answer. */
static bool modify_ask(struct hv_guest *hv, uint32_t relid, uint32_t vp, uint32_t *status)
{
	const struct vmbus_channel_modifychannel modify = {{CHANNELMSG_MODIFYCHANNEL, 0}, relid, vp};
	struct vmbus_channel_modifychannel_response response;

	hv_bus_expect(hv, CHANNELMSG_MODIFYCHANNEL_RESPONSE, 1, relid, 0);
	if (!hv_bus_post(hv, &modify, sizeof(modify)) || !hv_bus_await(hv)) {
		return false;
	}
	memcpy(&response, hv->bus.wait.bytes, sizeof(response));
	*status = response.status;
	return true;
}

static void check_modify(struct probe *p, struct bus *b, uint32_t relid, uint32_t vp, bool good,
                         const char *what)
{
	uint32_t status = 0;

	if (probe_check(p, modify_ask(b->hv, relid, vp, &status), "MODIFYCHANNEL, %s: no answer", what)) {
		(void)probe_check(p, (status == VMBUS_STATUS_SUCCESS) == good,
		                  "MODIFYCHANNEL, %s: status 0x%x", what, status);
	}
}

/* Up to 5.2 it has no answer; the channel goes on. */
static void check_modify_silent(struct probe *p, struct bus *b, uint32_t version)
{
	struct vmbus_channel_modifychannel modify = {
	        {CHANNELMSG_MODIFYCHANNEL, 0}, b->relid, b->hv->vp_index};
	uint64_t bad;

	if (!contact_with(p, b->hv, version)) {
		return;
	}
	if (!probe_check(p, offers_again(b->hv) && bus_channel_open(b), "the channel does not open")) {
		return;
	}
	bad = b->hv->bus.bad_messages;
	hv_bus_expect(b->hv, 0, 0, 0, 0);
	(void)!hv_bus_post(b->hv, &modify, sizeof(modify));
	(void)probe_check(p, hv_channel_close(&b->channel), "after MODIFYCHANNEL the channel does not close");
	(void)probe_check(p, b->hv->bus.bad_messages == bad, "MODIFYCHANNEL in version 0x%x is answered",
	                  version);
}

static void check_modify_answers(struct probe *p, struct bus *b)
{
	struct vmbus_channel_modifychannel modify = {
	        {CHANNELMSG_MODIFYCHANNEL, 0}, b->relid, b->hv->vp_index};
	uint32_t vp = b->hv->vp_index;

	bus_check_silent(p, b, &modify, sizeof(modify) - 1, "a MODIFYCHANNEL that is too short");
	check_modify(p, b, b->relid, vp, false, "of a channel that is not open");
	if (!probe_check(p, bus_channel_open(b), "the channel does not open")) {
		return;
	}
	check_modify(p, b, b->relid, vp, true, "to where it is");
	check_modify(p, b, b->relid, VP_UNKNOWN, false, "to a processor that there is not");
	check_modify(p, b, b->relid, VMBUS_VP_NONE, false, "to none");
	check_modify(p, b, RELID_UNKNOWN, vp, false, "of a channel that there is not");
	(void)probe_check(p, hv_channel_close(&b->channel), "after MODIFYCHANNEL the channel does not close");
}

static void body_modify(struct probe *p, struct bus *b)
{
	uint32_t version = b->hv->bus.version;

	probe_offer(p, version >= VERSION_WIN10_V4_1);
	if (version >= VERSION_WIN10_V5_3) {
		check_modify_answers(p, b);
	} else {
		probe_note(p, "version 0x%x has no answer to it", version);
	}
	check_modify_silent(p, b, VERSION_WIN10_V5_2);
	check_modify_silent(p, b, VERSION_WIN10_V4_1);
	check_modify_silent(p, b, VERSION_WIN10);
}

/* ------------------------------------------------------------------ what is not offered */

/* RELID_RELEASED is for channels that were taken away; the others belong to features that were not agreed on. */
static void body_ignored(struct probe *p, struct bus *b)
{
	struct {
		struct vmbus_channel_message_header header;
		uint32_t relid;
		uint8_t rest[36];
	} PACKED message = {.header.msgtype = (uint32_t)p->row->number, .relid = b->relid};

	probe_offer(p, false);
	bus_check_silent(p, b, &message, sizeof(message), p->row->name);
	message.relid = RELID_UNKNOWN;
	bus_check_silent(p, b, &message, sizeof(message), p->row->name);
	bus_check_silent(p, b, &message, sizeof(message.header), "the same without a body");
}

static void body_close_reserved(struct probe *p, struct bus *b)
{
	/* A target processor and SINT follow. */
	const uint32_t message[5] = {CHANNELMSG_CLOSE_RESERVED_CHANNEL, 0, RELID_UNKNOWN, b->hv->vp_index,
	                             HV_SYNIC_VMBUS_SINT};

	probe_offer(p, false);
	hv_bus_expect(b->hv, CHANNELMSG_CLOSE_RESERVED_RESPONSE, 1, RELID_UNKNOWN, 0);
	(void)probe_check(p, hv_bus_post(b->hv, message, sizeof(message)) && hv_bus_await(b->hv),
	                  "no CLOSE_RESERVED_RESPONSE");
	bus_check_silent(p, b, message, sizeof(struct vmbus_channel_relid) - 1,
	                 "a CLOSE_RESERVED_CHANNEL that is too short");
}

/* From 5.2 on a third GUID follows. No socket listens there, on any host. */
static void body_tl_connect(struct probe *p, struct bus *b)
{
	struct {
		struct vmbus_channel_tl_connect_request request;
		struct vmbus_guid silo;
	} PACKED message = {.request.header.msgtype = CHANNELMSG_TL_CONNECT_REQUEST};
	uint32_t size = b->hv->bus.version >= VERSION_WIN10_V5_2 ? sizeof(message) : sizeof(message.request);
	struct vmbus_channel_tl_connect_result result;

	probe_offer(p, false);
	memset(&message.request.guest_endpoint_id, 0x5A, sizeof(struct vmbus_guid));
	memset(&message.request.host_service_id, 0xA5, sizeof(struct vmbus_guid));
	hv_bus_expect(b->hv, CHANNELMSG_TL_CONNECT_RESULT, 0, 0, 0);
	if (probe_check(p, hv_bus_post(b->hv, &message, size) && hv_bus_await(b->hv),
	                "no TL_CONNECT_RESULT")) {
		memcpy(&result, b->hv->bus.wait.bytes, sizeof(result));
		(void)probe_check(
		        p, memcmp(&result.guest_endpoint_id, &message.request.guest_endpoint_id, 32) == 0,
		        "the result names others than were asked for");
		(void)probe_equal(p, result.status, VMBUS_STATUS_CONNECTION_REFUSED,
		                  "status of a connection");
	}
	bus_check_silent(p, b, &message, sizeof(message.request) - 1,
	                 "a TL_CONNECT_REQUEST that is too short");
}

/* ------------------------------------------------------------------ rows */

#define BUS_PROBE(name, needs_channel, body)       \
	static void probe_##name(struct probe *p)  \
	{                                          \
		bus_probe(p, needs_channel, body); \
	}

BUS_PROBE(CHANNELMSG_REQUESTOFFERS, false, body_request_offers)
BUS_PROBE(CHANNELMSG_OPENCHANNEL, true, body_open)
BUS_PROBE(CHANNELMSG_CLOSECHANNEL, true, body_close)
BUS_PROBE(CHANNELMSG_GPADL_HEADER, true, bus_body_gpadl_header)
BUS_PROBE(CHANNELMSG_GPADL_BODY, true, bus_body_gpadl_body)
BUS_PROBE(CHANNELMSG_GPADL_TEARDOWN, true, bus_body_gpadl_teardown)
BUS_PROBE(CHANNELMSG_RELID_RELEASED, false, body_ignored)
BUS_PROBE(CHANNELMSG_INITIATE_CONTACT, false, body_contact)
BUS_PROBE(CHANNELMSG_UNLOAD, false, body_unload)
BUS_PROBE(CHANNELMSG_OPEN_RESERVED_CHANNEL, false, body_ignored)
BUS_PROBE(CHANNELMSG_CLOSE_RESERVED_CHANNEL, false, body_close_reserved)
BUS_PROBE(CHANNELMSG_TL_CONNECT_REQUEST, false, body_tl_connect)
BUS_PROBE(CHANNELMSG_MODIFYCHANNEL, true, body_modify)
BUS_PROBE(CHANNELMSG_MODIFY_CONNECTION, false, body_ignored)
BUS_PROBE(CHANNELMSG_PAUSE, false, body_ignored)
BUS_PROBE(CHANNELMSG_RESUME, false, body_ignored)

#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##name)
static const struct row rows[] = {
#include "specs/vmbus_message.def"
};
ROW_TABLE(vmbus_message, NEED_HYPERV)

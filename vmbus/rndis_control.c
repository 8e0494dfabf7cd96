/*
 * rndis_control.c - Remote NDIS control messages and the objects that QUERY and SET name; rows in
 * specs/rndis.def.
 *
 * Remote NDIS specification, control channel messages; NDIS, objects. Offsets in a message are
 * relative to its request id, 8 bytes behind its start. A query that is refused has length 0 and
 * offset 0: Linux looks at these and not at the status.
 */
#include "vmbus/rndis.h"

#include "abi/vmbus.h"
#include "base/bits.h"
#include "base/mem.h"
#include "vm/spec.h"
#include "vmbus/rndis_offload.h"

#define OID_FIRST 0x10000u /* numbers below are messages */
#define OFFSET_BASE ((uint32_t)sizeof(struct rndis_message_header))

#define STATUS_BAD_VERSION 0xC0010004u
#define STATUS_ADAPTER_NOT_READY 0xC0010011u

#define TRANSFER_BYTES_MAX 0xEFFFFFFFu /* the buffers' own sizes are the limits */
#define ALIGNMENT_SHIFT 3u

#define ETHER_BYTES 14u
#define LINK_SPEED 10000000000ull /* bit/s */
#define BUFFER_SPACE 262144u
#define VENDOR_NONE 0xFFFFFFu
#define DRIVER_VERSION 0x0100u
#define MULTICAST_MAX 32u
#define FRIENDLY_NAME_UNITS 256u

#define MAC_OPTION_COPY_LOOKAHEAD 0x1u
#define MAC_OPTION_TRANSFERS_NOT_PEND 0x4u
#define MAC_OPTION_NO_LOOPBACK 0x8u

/* ------------------------------------------------------------------ layouts */

/* The beginning of every request but RESET, whose third word is not used. */
struct request {
	struct rndis_message_header header;
	uint32_t id;
} PACKED;

struct initialize_request {
	struct rndis_message_header header;
	struct rndis_initialize_request body;
} PACKED;

struct object_request { /* QUERY and SET */
	struct rndis_message_header header;
	struct rndis_query_request body;
} PACKED;

struct initialize_reply {
	struct rndis_message_header header;
	struct rndis_initialize_complete body;
} PACKED;

struct status_reply { /* SET, KEEPALIVE */
	struct rndis_message_header header;
	struct rndis_set_complete body;
} PACKED;

struct query_reply {
	struct rndis_message_header header;
	struct rndis_query_complete body;
} PACKED;

struct reset_reply {
	struct rndis_message_header header;
	struct rndis_reset_complete body;
} PACKED;

struct link_state {
	struct ndis_object_header header;
	uint32_t connected; /* 1 = yes */
	uint32_t duplex;
	uint32_t padding;
	uint64_t xmit_speed;
	uint64_t rcv_speed;
	uint32_t pause_functions;
	uint32_t auto_negotiation;
} PACKED;
_Static_assert(sizeof(struct link_state) == 40, "NDIS_LINK_STATE");

struct config_parameter { /* offsets from its start */
	uint32_t name_offset, name_length;
	uint32_t type;
	uint32_t value_offset, value_length;
} PACKED;
#define CONFIG_STRING 2u

/* ------------------------------------------------------------------ dispatch */

struct call {
	struct rndis *rndis;
	bool set;
	const uint8_t *in; /* a message, or an object's new value */
	uint32_t in_bytes;
	uint8_t *out; /* the reply, or an object's value: OUT_BYTES */
	uint32_t out_bytes;
	uint32_t status;
	struct rndis_answer *answer;
};
#define OUT_BYTES (RNDIS_REPLY_BYTES - sizeof(struct query_reply))

typedef void handler_fn(struct call *call);

#define SPEC_ROW(number, name, status, handler, clause) static handler_fn handler;
#include "specs/rndis.def"
#undef SPEC_ROW

enum row_status {
	OFFERED,
	REFUSED,
};

static const struct {
	uint32_t number;
	enum row_status status;
	handler_fn *handle;
} rows[] = {
#define SPEC_ROW(number, name, status, handler, clause) {number, status, handler},
#include "specs/rndis.def"
#undef SPEC_ROW
};
_Static_assert(ARRAY_COUNT(rows) <= SPEC_ROW_MAX, "rows of specs/rndis.def");

static uint32_t row_find(uint32_t number)
{
	for (uint32_t i = 0; i < ARRAY_COUNT(rows); i++) {
		if (rows[i].number == number) {
			return i;
		}
	}
	return SPEC_UNKNOWN;
}

void rndis_control(struct rndis *rndis, const uint8_t *message, uint32_t bytes, uint8_t *reply,
                   struct rndis_answer *answer)
{
	struct call call = {.rndis = rndis, .in = message, .out = reply, .answer = answer};
	struct request raw;
	uint32_t row;

	*answer = (struct rndis_answer){.row = SPEC_UNKNOWN, .refused = true};
	if (bytes < sizeof(raw)) {
		return;
	}
	memcpy(&raw, message, sizeof(raw));
	if (raw.header.msg_len < sizeof(raw) || raw.header.msg_len > bytes ||
	    raw.header.ndis_msg_type >= OID_FIRST) {
		return;
	}
	call.in_bytes = raw.header.msg_len < RNDIS_CONTROL_BYTES ? raw.header.msg_len : RNDIS_CONTROL_BYTES;
	row = row_find(raw.header.ndis_msg_type);
	answer->row = row;
	if (row == SPEC_UNKNOWN) {
		return;
	}
	rows[row].handle(&call);
	answer->refused = !answer->valid || call.status != RNDIS_STATUS_SUCCESS;
	answer->reply_bytes = answer->valid ? call.out_bytes : 0;
}

/* The message into @request; false, and it stays invalid, if it is shorter. */
static bool request_load(struct call *call, void *request, uint32_t bytes)
{
	if (call->in_bytes < bytes) {
		return false;
	}
	memcpy(request, call->in, bytes);
	call->answer->valid = true;
	return true;
}

static struct rndis_message_header reply_header(uint32_t request_type, uint32_t bytes)
{
	return (struct rndis_message_header){request_type | RNDIS_MSG_COMPLETION, bytes};
}

static void reply_store(struct call *call, const void *reply, uint32_t bytes)
{
	memcpy(call->out, reply, bytes);
	call->out_bytes = bytes;
}

static void reply_status(struct call *call, uint32_t request_type, uint32_t id)
{
	struct status_reply reply = {
	        .header = reply_header(request_type, sizeof(reply)),
	        .body = {id, call->status},
	};

	reply_store(call, &reply, sizeof(reply));
}

/* @info_bytes stand behind it already. */
static void reply_query(struct call *call, uint32_t request_type, uint32_t id, uint32_t info_bytes)
{
	struct query_reply reply = {
	        .header = reply_header(request_type, (uint32_t)sizeof(reply) + info_bytes),
	        .body = {.req_id = id, .status = call->status},
	};

	if (call->status == RNDIS_STATUS_SUCCESS) {
		reply.body.info_buflen = info_bytes;
		reply.body.info_buf_offset = sizeof(reply.body);
	}
	reply_store(call, &reply, sizeof(reply));
	call->out_bytes += info_bytes;
}

/* ------------------------------------------------------------------ messages */

static void message_packet(struct call *call)
{
	(void)call; /* not on the control channel: stays invalid */
}

static void message_initialize(struct call *call)
{
	struct initialize_request request;
	struct initialize_reply reply;

	if (!request_load(call, &request, sizeof(request))) {
		return;
	}
	if (request.body.major_ver == RNDIS_MAJOR_VERSION) {
		call->rndis->operational = true;
		call->rndis->filter = 0;
	} else {
		call->status = STATUS_BAD_VERSION;
	}
	reply = (struct initialize_reply){
	        .header = reply_header(RNDIS_MSG_INIT, sizeof(reply)),
	        .body =
	                {
	                        .req_id = request.body.req_id,
	                        .status = call->status,
	                        .major_ver = RNDIS_MAJOR_VERSION,
	                        .minor_ver = RNDIS_MINOR_VERSION,
	                        .dev_flags = RNDIS_DF_CONNECTIONLESS,
	                        .medium = RNDIS_MEDIUM_802_3,
	                        .max_pkt_per_msg = RNDIS_SEND_PACKETS,
	                        .max_xfer_size = TRANSFER_BYTES_MAX,
	                        .pkt_alignment_factor = ALIGNMENT_SHIFT,
	                },
	};
	reply_store(call, &reply, sizeof(reply));
}

static void message_halt(struct call *call)
{
	call->answer->valid = true;
	call->rndis->operational = false;
	call->rndis->offloads_changed = false;
	call->rndis->filter = 0;
}

/* Nothing is under way that a reset could end; the filter stays, so addressing has not been reset. */
static void message_reset(struct call *call)
{
	struct reset_reply reply = {.header = reply_header(RNDIS_MSG_RESET, sizeof(reply))};

	call->answer->valid = true;
	reply_store(call, &reply, sizeof(reply));
}

static void message_keepalive(struct call *call)
{
	struct request request;

	if (request_load(call, &request, sizeof(request))) {
		reply_status(call, RNDIS_MSG_KEEPALIVE, request.id);
	}
}

static void message_set_ex(struct call *call)
{
	struct request request;

	if (request_load(call, &request, sizeof(request))) {
		call->status = RNDIS_STATUS_NOT_SUPPORTED;
		reply_query(call, request.header.ndis_msg_type, request.id, 0);
	}
}

/* Runs the object's handler on @object; the status is left in both. */
static void object_call(struct call *call, const struct rndis_query_request *raw, struct call *object)
{
	uint32_t row = raw->oid >= OID_FIRST ? row_find(raw->oid) : SPEC_UNKNOWN;

	call->answer->has_object = true;
	call->answer->object_row = row;
	if (!call->rndis->operational) {
		object->status = STATUS_ADAPTER_NOT_READY;
	} else if (raw->info_buflen != 0 &&
	           !range_fits(raw->info_buf_offset, raw->info_buflen, call->in_bytes - OFFSET_BASE)) {
		object->status = RNDIS_STATUS_INVALID_DATA;
	} else if (row == SPEC_UNKNOWN) {
		object->status = RNDIS_STATUS_NOT_SUPPORTED;
	} else {
		object->in_bytes = raw->info_buflen;
		object->in = raw->info_buflen == 0 ? call->in : call->in + OFFSET_BASE + raw->info_buf_offset;
		rows[row].handle(object);
	}
	call->status = object->status;
}

static void message_query(struct call *call)
{
	struct object_request request;
	struct call object = {.rndis = call->rndis, .out = call->out + sizeof(struct query_reply)};

	if (request_load(call, &request, sizeof(request))) {
		object_call(call, &request.body, &object);
		reply_query(call, RNDIS_MSG_QUERY, request.body.req_id,
		            object.status == RNDIS_STATUS_SUCCESS ? object.out_bytes : 0);
	}
}

static void message_set(struct call *call)
{
	struct object_request request;
	struct call object = {.rndis = call->rndis, .set = true, .out = call->out};

	if (request_load(call, &request, sizeof(request))) {
		object_call(call, &request.body, &object);
		reply_status(call, RNDIS_MSG_SET, request.body.req_id);
	}
}

/* ------------------------------------------------------------------ objects: helpers */

static void oid_refuse(struct call *call)
{
	call->status = RNDIS_STATUS_NOT_SUPPORTED;
}

/* The answer to a query; a set of the same object is refused. */
static void answer_bytes(struct call *call, const void *value, uint32_t bytes)
{
	if (call->set) {
		oid_refuse(call);
		return;
	}
	memcpy(call->out, value, bytes);
	call->out_bytes = bytes;
}

static void answer32(struct call *call, uint32_t value)
{
	answer_bytes(call, &value, sizeof(value));
}

static void answer64(struct call *call, uint64_t value)
{
	answer_bytes(call, &value, sizeof(value));
}

/* The new value into @to; false, and the status, if it is shorter. */
static bool set_load(struct call *call, void *to, uint32_t bytes)
{
	if (call->in_bytes < bytes) {
		call->status = RNDIS_STATUS_INVALID_DATA;
		return false;
	}
	memcpy(to, call->in, bytes);
	return true;
}

/* A set that changes nothing here; nothing to query. */
static void oid_accept(struct call *call)
{
	if (!call->set) {
		oid_refuse(call);
	}
}

/* ------------------------------------------------------------------ objects: general */

static void oid_zero(struct call *call)
{
	answer32(call, 0);
}

static void oid_supported_list(struct call *call)
{
	uint32_t list[SPEC_ROW_MAX];
	uint32_t count = 0;

	_Static_assert(ARRAY_COUNT(rows) * 4 <= OUT_BYTES, "the list fits in a reply");
	for (uint32_t i = 0; i < ARRAY_COUNT(rows); i++) {
		if (rows[i].number >= OID_FIRST && rows[i].status == OFFERED) {
			list[count++] = rows[i].number;
		}
	}
	answer_bytes(call, list, count * 4);
}

static void oid_frame_size(struct call *call)
{
	answer32(call, call->rndis->mtu_bytes - ETHER_BYTES);
}

static void oid_total_size(struct call *call)
{
	answer32(call, call->rndis->mtu_bytes);
}

static void oid_lookahead(struct call *call)
{
	if (!call->set) {
		oid_frame_size(call);
	}
}

static void oid_link_speed(struct call *call)
{
	answer32(call, (uint32_t)(LINK_SPEED / 100));
}

static void oid_max_link_speed(struct call *call)
{
	uint64_t speeds[2] = {LINK_SPEED, LINK_SPEED}; /* sending, receiving */

	answer_bytes(call, speeds, sizeof(speeds));
}

static void oid_link_state(struct call *call)
{
	struct link_state state = {
	        .header = {NDIS_OBJECT_TYPE_DEFAULT, 1, sizeof(state)},
	        .connected = 1,
	        .xmit_speed = LINK_SPEED,
	        .rcv_speed = LINK_SPEED,
	};

	answer_bytes(call, &state, sizeof(state));
}

static void oid_buffer_space(struct call *call)
{
	answer32(call, BUFFER_SPACE);
}

static void oid_vendor_id(struct call *call)
{
	answer32(call, VENDOR_NONE);
}

static void oid_vendor_description(struct call *call)
{
	static const char text[] = "Janus";

	answer_bytes(call, text, sizeof(text));
}

static void oid_driver_version(struct call *call)
{
	uint16_t version = DRIVER_VERSION;

	answer_bytes(call, &version, sizeof(version));
}

static void oid_mac_options(struct call *call)
{
	answer32(call, MAC_OPTION_COPY_LOOKAHEAD | MAC_OPTION_TRANSFERS_NOT_PEND | MAC_OPTION_NO_LOOPBACK);
}

static void oid_send_packets(struct call *call)
{
	answer32(call, UINT32_MAX);
}

static void oid_friendly_name(struct call *call)
{
	static const char text[] = "Network Adapter";
	uint16_t name[FRIENDLY_NAME_UNITS] = {0};

	_Static_assert(sizeof(name) <= OUT_BYTES, "the name fits in a reply");
	for (size_t i = 0; text[i] != 0; i++) {
		name[i] = (uint16_t)text[i];
	}
	answer_bytes(call, name, sizeof(name));
}

static void oid_packet_filter(struct call *call)
{
	uint32_t filter;

	if (!call->set) {
		answer32(call, call->rndis->filter);
	} else if (set_load(call, &filter, sizeof(filter))) {
		call->rndis->filter = filter;
	}
}

/* ------------------------------------------------------------------ objects: addresses */

static void oid_permanent_address(struct call *call)
{
	answer_bytes(call, call->rndis->permanent_mac, sizeof(call->rndis->permanent_mac));
}

static void oid_current_address(struct call *call)
{
	answer_bytes(call, call->rndis->mac, sizeof(call->rndis->mac));
}

/* The filter lets all groups in or none: the list itself is not kept. */
static void oid_multicast_list(struct call *call)
{
	call->out_bytes = 0;
}

static void oid_list_size(struct call *call)
{
	answer32(call, MULTICAST_MAX);
}

static int hex_digit(uint32_t unit)
{
	if (unit >= '0' && unit <= '9') {
		return (int)(unit - '0');
	}
	unit |= 0x20;
	return unit >= 'a' && unit <= 'f' ? (int)(unit - 'a' + 10) : -1;
}

static uint32_t unit_at(const uint8_t *text, uint32_t index)
{
	return (uint32_t)text[index * 2] | (uint32_t)text[index * 2 + 1] << 8;
}

/* Twelve hexadecimal digits in UTF-16; false if they are no address of one station. */
static bool address_parse(const uint8_t *text, uint32_t bytes, uint8_t mac[6])
{
	uint8_t any = 0;

	if (bytes < 24) {
		return false;
	}
	for (uint32_t i = 0; i < 6; i++) {
		int high = hex_digit(unit_at(text, i * 2));
		int low = hex_digit(unit_at(text, i * 2 + 1));

		if (high < 0 || low < 0) {
			return false;
		}
		mac[i] = (uint8_t)(high << 4 | low);
		any |= mac[i];
	}
	return any != 0 && (mac[0] & 1) == 0;
}

static bool is_network_address(const uint8_t *name, uint32_t bytes)
{
	static const char wanted[] = "NetworkAddress";
	uint32_t count = sizeof(wanted) - 1;

	if (bytes < count * 2) {
		return false;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (unit_at(name, i) != (uint8_t)wanted[i]) {
			return false;
		}
	}
	return bytes == count * 2 || unit_at(name, count) == 0;
}

static void oid_config_parameter(struct call *call)
{
	struct config_parameter raw;
	uint8_t mac[6];

	if (!call->set) {
		oid_refuse(call);
		return;
	}
	if (!set_load(call, &raw, sizeof(raw))) {
		return;
	}
	if (!range_fits(raw.name_offset, raw.name_length, call->in_bytes) ||
	    !range_fits(raw.value_offset, raw.value_length, call->in_bytes)) {
		call->status = RNDIS_STATUS_INVALID_DATA;
		return;
	}
	if (!is_network_address(call->in + raw.name_offset, raw.name_length & ~1u)) {
		return;
	}
	if (raw.type != CONFIG_STRING || !address_parse(call->in + raw.value_offset, raw.value_length, mac)) {
		call->status = RNDIS_STATUS_INVALID_DATA;
		return;
	}
	memcpy(call->rndis->mac, mac, sizeof(mac));
}

/* ------------------------------------------------------------------ objects: statistics */

static void oid_xmit_ok(struct call *call)
{
	answer32(call, (uint32_t)call->rndis->counts.sent_frames);
}

static void oid_rcv_ok(struct call *call)
{
	answer32(call, (uint32_t)call->rndis->counts.received_frames);
}

static void oid_xmit_error(struct call *call)
{
	answer32(call, (uint32_t)call->rndis->counts.send_errors);
}

static void oid_rcv_no_buffer(struct call *call)
{
	answer32(call, (uint32_t)call->rndis->counts.dropped_frames);
}

static void oid_bytes_rcv(struct call *call)
{
	answer64(call, call->rndis->counts.received_bytes);
}

static void oid_bytes_xmit(struct call *call)
{
	answer64(call, call->rndis->counts.sent_bytes);
}

/* ------------------------------------------------------------------ objects: offloads */

static void oid_offload_capabilities(struct call *call)
{
	struct ndis_offload offload;
	uint32_t bytes = rndis_build_offload(call->rndis, RNDIS_OFFLOADS, &offload);

	answer_bytes(call, &offload, bytes);
}

static void oid_offload_current(struct call *call)
{
	struct ndis_offload offload;
	uint32_t bytes = rndis_build_offload(call->rndis, call->rndis->offloads, &offload);

	answer_bytes(call, &offload, bytes);
}

static void oid_offload_parameters(struct call *call)
{
	call->status = call->set ? rndis_set_offloads(call->rndis, call->in, call->in_bytes)
	                         : RNDIS_STATUS_NOT_SUPPORTED;
}

static void oid_encapsulation(struct call *call)
{
	struct rndis_encapsulation value;

	if (call->set) {
		call->status = rndis_check_encapsulation(call->in, call->in_bytes);
	} else {
		rndis_build_encapsulation(&value);
		answer_bytes(call, &value, sizeof(value));
	}
}

/* ------------------------------------------------------------------ the rest of the device */

void rndis_init(struct rndis *rndis, const uint8_t mac[6])
{
	*rndis =
	        (struct rndis){.offload_revision = 1, .mtu_bytes = RNDIS_MTU_MIN, .offloads = RNDIS_OFFLOADS};
	memcpy(rndis->mac, mac, sizeof(rndis->mac));
	memcpy(rndis->permanent_mac, mac, sizeof(rndis->permanent_mac));
}

bool rndis_accepts(const struct rndis *rndis, const uint8_t destination[6])
{
	static const uint8_t broadcast[6] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
	uint32_t wanted = NDIS_PACKET_TYPE_PROMISCUOUS;

	if (memcmp(destination, broadcast, sizeof(broadcast)) == 0) {
		wanted |= NDIS_PACKET_TYPE_BROADCAST;
	} else if ((destination[0] & 1) != 0) {
		wanted |= NDIS_PACKET_TYPE_MULTICAST | NDIS_PACKET_TYPE_ALL_MULTICAST;
	} else if (memcmp(destination, rndis->mac, sizeof(rndis->mac)) == 0) {
		wanted |= NDIS_PACKET_TYPE_DIRECTED;
	}
	return rndis->operational && (rndis->filter & wanted) != 0;
}

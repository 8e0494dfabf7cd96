/*
 * netvsp.c - the Hyper-V network device: its life on the bus, and NVSP; rows in specs/nvsp.def.
 *
 * NVSP: INIT, NDIS_CONFIG, NDIS version, receive buffer, send buffer, then RNDIS. One channel: no
 * RSS, no virtual function. A reply is the completion of the message that asked for one; every
 * packet with RNDIS in it is completed with 108, control messages as well, and their RNDIS replies
 * come by the receive buffer.
 */
#include "vmbus/netvsp.h"

#include "base/mem.h"
#include "vmbus/devices.h"

#define MDL_CHAIN_MAX 34u
#define STEP_PACKETS 32u
#define STEP_BYTES 65536u

typedef void handler_fn(struct netvsp *net, const struct vmbus_packet *packet,
                        const struct nvsp_message *raw);

#define SPEC_ROW(number, name, status, handler, clause) static handler_fn handler;
#include "specs/nvsp.def"
#undef SPEC_ROW

enum row_status {
	OFFERED,
	REFUSED,
};

static const struct {
	uint32_t type;
	enum row_status status;
	handler_fn *handle;
} rows[] = {
#define SPEC_ROW(number, name, status, handler, clause) {number, status, handler},
#include "specs/nvsp.def"
#undef SPEC_ROW
};
_Static_assert(ARRAY_COUNT(rows) <= SPEC_ROW_MAX, "rows of specs/nvsp.def");

static uint32_t row_find(uint32_t type)
{
	for (uint32_t i = 0; i < ARRAY_COUNT(rows); i++) {
		if (rows[i].type == type) {
			return i;
		}
	}
	return SPEC_UNKNOWN;
}

/* ------------------------------------------------------------------ replies */

/* The reply, if the guest wants one. */
static void reply(struct netvsp *net, const struct vmbus_packet *packet, const struct nvsp_message *message)
{
	if (packet->completion_requested) {
		netvsp_complete(net, packet->transaction_id, message, netvsp_message_bytes(net));
	}
}

static void reply_status(struct netvsp *net, const struct vmbus_packet *packet, uint32_t status)
{
	struct nvsp_message message = {
	        .msg_type = NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE,
	        .u.send_rndis_pkt_complete.status = status,
	};

	reply(net, packet, &message);
}

/* ------------------------------------------------------------------ set-up */

static bool version_is_known(uint32_t raw_version)
{
	static const uint32_t known[] = {
	        NVSP_PROTOCOL_VERSION_1, NVSP_PROTOCOL_VERSION_2, NVSP_PROTOCOL_VERSION_4,
	        NVSP_PROTOCOL_VERSION_5, NVSP_PROTOCOL_VERSION_6, NVSP_PROTOCOL_VERSION_61,
	};

	for (uint32_t i = 0; i < ARRAY_COUNT(known); i++) {
		if (known[i] == raw_version) {
			return true;
		}
	}
	return false;
}

static uint8_t offload_revision(uint32_t version)
{
	if (version >= NVSP_PROTOCOL_VERSION_5) {
		return 3;
	}
	return version >= NVSP_PROTOCOL_VERSION_4 ? 2 : 1;
}

static void handle_init(struct netvsp *net, const struct vmbus_packet *packet, const struct nvsp_message *raw)
{
	uint32_t raw_version = raw->u.init.max_protocol_ver;
	struct nvsp_message message = {
	        .msg_type = NVSP_MSG_TYPE_INIT_COMPLETE,
	        .u.init_complete = {.negotiated_protocol_ver = NVSP_INVALID_PROTOCOL_VERSION,
	                            .max_mdl_chain_len = MDL_CHAIN_MAX,
	                            .status = NVSP_STAT_FAIL},
	};

	if (raw->u.init.min_protocol_ver == raw_version && version_is_known(raw_version) &&
	    net->receive_buffer == NULL && net->send_buffer == NULL) {
		net->version = raw_version;
		net->rndis.offload_revision = offload_revision(raw_version);
		message.u.init_complete.status = NVSP_STAT_SUCCESS;
	}
	if (raw_version == NVSP_PROTOCOL_VERSION_1) {
		message.u.init_complete.negotiated_protocol_ver = raw_version;
	}
	reply(net, packet, &message);
}

static void handle_ndis_version(struct netvsp *net, const struct vmbus_packet *packet,
                                const struct nvsp_message *raw)
{
	(void)raw; /* NVSP's own version says enough */
	reply_status(net, packet, NVSP_STAT_SUCCESS);
}

/* The MTU decides on the size of slots, so it is too late when there are some. */
static void handle_ndis_config(struct netvsp *net, const struct vmbus_packet *packet,
                               const struct nvsp_message *raw)
{
	uint32_t mtu = raw->u.send_ndis_config.mtu;

	if (net->receive_buffer == NULL) {
		net->takes_tags = (raw->u.send_ndis_config.capability & NVSP_2_VSC_CAPABILITY_IEEE8021Q) != 0;
		mtu = mtu < RNDIS_MTU_MIN ? RNDIS_MTU_MIN : mtu;
		net->rndis.mtu_bytes = mtu > RNDIS_MTU_MAX ? RNDIS_MTU_MAX : mtu;
	}
	reply_status(net, packet, NVSP_STAT_SUCCESS);
}

static void link_set(struct netvsp *net, bool wanted)
{
	if (wanted && !net->connected) {
		switch_connect(net->port, &netvsp_port_ops, net, NETVSP_OFFLOADS);
	} else if (!wanted && net->connected) {
		switch_disconnect(net->port);
	}
	net->connected = wanted;
}

/* Connected to the switch as long as the guest can receive. */
static void link_update(struct netvsp *net)
{
	link_set(net, net->rndis.operational && net->receive_buffer != NULL);
}

static void handle_receive_buffer(struct netvsp *net, const struct vmbus_packet *packet,
                                  const struct nvsp_message *raw)
{
	struct nvsp_message message = {
	        .msg_type = NVSP_MSG1_TYPE_SEND_RECV_BUF_COMPLETE,
	        .u.send_recv_buf_complete.status = NVSP_STAT_FAIL,
	};
	struct vmbus_gpadl *gpadl = NULL;

	if (net->receive_buffer == NULL) {
		gpadl = vmbus_gpadl_get(net->channel, raw->u.send_buf.gpadl_handle);
	}
	if (gpadl != NULL && netvsp_set_receive_buffer(net, gpadl)) {
		message.u.send_recv_buf_complete = (struct nvsp_1_send_recv_buf_complete){
		        .status = NVSP_STAT_SUCCESS,
		        .num_sections = 1,
		        .section = {.sub_alloc_size = net->slot_bytes,
		                    .num_sub_allocs = net->slot_count,
		                    .end_offset = net->slot_bytes * net->slot_count},
		};
		link_update(net);
	} else if (gpadl != NULL) {
		vmbus_gpadl_put(gpadl);
	}
	reply(net, packet, &message);
}

/* Takes the buffer out of use before its pages go. */
static void receive_buffer_drop(struct netvsp *net)
{
	struct vmbus_gpadl *gpadl = netvsp_take_receive_buffer(net);

	if (gpadl != NULL) {
		link_update(net);
		vmbus_gpadl_put(gpadl);
	}
}

static void handle_revoke_receive_buffer(struct netvsp *net, const struct vmbus_packet *packet,
                                         const struct nvsp_message *raw)
{
	if (raw->u.revoke_buf.id == NETVSC_RECEIVE_BUFFER_ID) {
		receive_buffer_drop(net);
	}
	reply_status(net, packet, NVSP_STAT_SUCCESS);
}

static void handle_send_buffer(struct netvsp *net, const struct vmbus_packet *packet,
                               const struct nvsp_message *raw)
{
	struct nvsp_message message = {
	        .msg_type = NVSP_MSG1_TYPE_SEND_SEND_BUF_COMPLETE,
	        .u.send_send_buf_complete.status = NVSP_STAT_FAIL,
	};
	struct vmbus_gpadl *gpadl = NULL;

	if (net->send_buffer == NULL) {
		gpadl = vmbus_gpadl_get(net->channel, raw->u.send_buf.gpadl_handle);
	}
	if (gpadl != NULL && vmbus_gpadl_bytes(gpadl) >= NETVSP_SECTION_BYTES) {
		net->send_buffer = gpadl;
		net->section_count = (uint32_t)(vmbus_gpadl_bytes(gpadl) / NETVSP_SECTION_BYTES);
		message.u.send_send_buf_complete = (struct nvsp_1_send_send_buf_complete){
		        .status = NVSP_STAT_SUCCESS, .section_size = NETVSP_SECTION_BYTES};
	} else if (gpadl != NULL) {
		vmbus_gpadl_put(gpadl);
	}
	reply(net, packet, &message);
}

static void send_buffer_drop(struct netvsp *net)
{
	if (net->send_buffer != NULL) {
		vmbus_gpadl_put(net->send_buffer);
	}
	net->send_buffer = NULL;
	net->section_count = 0;
}

static void handle_revoke_send_buffer(struct netvsp *net, const struct vmbus_packet *packet,
                                      const struct nvsp_message *raw)
{
	(void)raw; /* guests give any id: there is one send buffer */
	send_buffer_drop(net);
	reply_status(net, packet, NVSP_STAT_SUCCESS);
}

/* ------------------------------------------------------------------ in operation */

static void count_answer(struct netvsp *net, const struct rndis_answer *answer)
{
	vm_count(net->vm, SPEC_RNDIS, answer->row, answer->refused);
	if (answer->has_object) {
		vm_count(net->vm, SPEC_RNDIS, answer->object_row, answer->refused);
	}
}

/* The completion goes first, then the RNDIS reply. */
static void control_message(struct netvsp *net, const struct vmbus_packet *packet,
                            const struct netvsp_message_in *message)
{
	struct rndis_answer answer = {0};
	uint32_t bytes = message->bytes < RNDIS_CONTROL_BYTES ? message->bytes : RNDIS_CONTROL_BYTES;

	(void)io_copy_out(net->segments, message->segment_count, 0, net->control, bytes);
	reply_status(net, packet, NVSP_STAT_SUCCESS);
	if (!netvsp_control(net, net->control, bytes, &answer)) {
		vm_log(net->vm, "netvsp: control message without a receive slot for its reply");
		return;
	}
	count_answer(net, &answer);
	link_update(net);
}

static void handle_rndis(struct netvsp *net, const struct vmbus_packet *packet,
                         const struct nvsp_message *raw)
{
	struct netvsp_message_in message;
	uint32_t status = netvsp_open_message(net, packet, &raw->u.send_rndis_pkt, &message);

	if (status != NVSP_STAT_SUCCESS) {
		reply_status(net, packet, status);
		return;
	}
	if (raw->u.send_rndis_pkt.channel_type == NVSP_RMC_CONTROL) {
		control_message(net, packet, &message);
		netvsp_close_message(net, &message);
		return;
	}
	status = netvsp_send_frames(net, &message);
	netvsp_close_message(net, &message);
	reply_status(net, packet, status);
}

static void handle_unexpected(struct netvsp *net, const struct vmbus_packet *packet,
                              const struct nvsp_message *raw)
{
	(void)raw;
	reply_status(net, packet, NVSP_STAT_FAIL);
}

/* Linux takes only a completion without payload for an answer. */
static void handle_data_path(struct netvsp *net, const struct vmbus_packet *packet,
                             const struct nvsp_message *raw)
{
	if (packet->completion_requested) {
		netvsp_complete(net, packet->transaction_id, raw, 0);
	}
}

static void handle_subchannel(struct netvsp *net, const struct vmbus_packet *packet,
                              const struct nvsp_message *raw)
{
	bool known = raw->u.subchannel_request.op == NVSP_SUBCHANNEL_ALLOCATE;
	struct nvsp_message message = {
	        .msg_type = NVSP_MSG5_TYPE_SUBCHANNEL,
	        .u.subchannel_complete.status = known ? NVSP_STAT_SUCCESS : NVSP_STAT_FAIL,
	};

	reply(net, packet, &message);
}

/* ------------------------------------------------------------------ packets */

static void message_handle(struct netvsp *net, const struct vmbus_packet *packet)
{
	struct nvsp_message raw = {0};
	uint32_t bytes = packet->payload_bytes < sizeof(raw) ? packet->payload_bytes : sizeof(raw);
	uint32_t row;

	memcpy(&raw, packet->payload, bytes);
	row = row_find(raw.msg_type);
	vm_count(net->vm, SPEC_NVSP, row, row == SPEC_UNKNOWN || rows[row].status == REFUSED);
	if (row == SPEC_UNKNOWN || (net->version == 0 && raw.msg_type != NVSP_MSG_TYPE_INIT)) {
		handle_unexpected(net, packet, &raw);
	} else {
		rows[row].handle(net, packet, &raw);
	}
}

static void packet_handle(struct netvsp *net, const struct vmbus_packet *packet)
{
	if (packet->type == VM_PKT_COMP) {
		vm_count(net->vm, SPEC_NVSP, row_find(NVSP_MSG1_TYPE_SEND_RNDIS_PKT_COMPLETE),
		         !netvsp_free_slot(net, packet->transaction_id));
	} else {
		message_handle(net, packet);
	}
	netvsp_indicate(net);
}

/* What the packet may cause to be copied. */
static uint32_t packet_bytes(const struct vmbus_packet *packet)
{
	uint32_t bytes = packet->payload_bytes;

	if (packet->type != VM_PKT_COMP) {
		bytes += packet->range_bytes < STEP_BYTES ? packet->range_bytes : STEP_BYTES;
		bytes += NETVSP_SECTION_BYTES;
	}
	return bytes;
}

/* One step; the packet that would be too much for it waits, in the channel's buffer, for the next. */
static bool netvsp_step(void *device)
{
	struct netvsp *net = device;
	uint32_t done_bytes = 0;

	if (!netvsp_flush(net)) {
		return false;
	}
	for (uint32_t i = 0; i < STEP_PACKETS; i++) {
		if (!net->held && vmbus_channel_receive(net->channel, &net->packet) != VMBUS_RECEIVE_OK) {
			return false;
		}
		net->held = done_bytes != 0 && done_bytes + packet_bytes(&net->packet) > STEP_BYTES;
		if (net->held) {
			return true;
		}
		done_bytes += packet_bytes(&net->packet);
		packet_handle(net, &net->packet);
		if (!netvsp_flush(net)) {
			return false;
		}
	}
	return true;
}

/* ------------------------------------------------------------------ life */

static bool netvsp_open(void *device)
{
	struct netvsp *net = device;

	net->bounce = vm_alloc(net->vm, SWITCH_FRAME_BYTES_MAX);
	if (net->bounce == NULL) {
		return false;
	}
	net->version = 0;
	net->takes_tags = false;
	net->held = false;
	net->output_count = 0;
	rndis_init(&net->rndis, net->mac);
	return true;
}

static bool netvsp_close(void *device)
{
	struct netvsp *net = device;

	link_set(net, false); /* from here on nobody else calls */
	net->rndis.operational = false;
	receive_buffer_drop(net);
	send_buffer_drop(net);
	if (net->bounce != NULL) {
		vm_free(net->vm, net->bounce);
	}
	net->bounce = NULL;
	net->held = false;
	net->output_count = 0;
	return true;
}

static void netvsp_destroy(void *device)
{
	struct netvsp *net = device;

	vm_free(net->vm, net);
}

static const struct vmbus_channel_ops channel_ops = {
        .open = netvsp_open,
        .step = netvsp_step,
        .close = netvsp_close,
        .destroy = netvsp_destroy,
};

bool netvsp_create(struct vmbus *bus, uint32_t nic)
{
	struct vm *vm = vmbus_vm(bus);
	const struct vm_nic_config *config = &vm_config(vm)->nics[nic];
	struct netvsp *net = vm_alloc(vm, sizeof(*net));
	struct vmbus_channel_spec spec = {
	        .name = "netvsp",
	        .class_id = VMBUS_CLASS_NETWORK,
	        .instance_id = vmbus_instance_id(bus, VMBUS_KIND_NETWORK, (uint8_t)nic),
	        .ops = &channel_ops,
	        .device = net,
	};

	if (net == NULL) {
		return false;
	}
	net->vm = vm;
	net->port = config->port;
	memcpy(net->mac, config->mac, sizeof(net->mac));
	spin_init(&net->lock, RANK_RECEIVE);
	net->channel = vmbus_channel_add(bus, &spec);
	if (net->channel == NULL) {
		vm_free(vm, net);
		return false;
	}
	return true;
}

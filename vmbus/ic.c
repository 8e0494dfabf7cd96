/*
 * ic.c - the frame of the integration components. Contract: ic.h; layouts: abi/vmbus_ic.h.
 *
 * After the guest has opened the channel it is offered the versions of the framework and of the component, and
 * chooses one of each; then the component speaks.
 */
#include "vmbus/ic.h"

#include "base/bits.h"

#define PACKETS_MAX 8u /* taken in a step: there is never more than one answer to come */

static const uint32_t frameworks[] = {IC_VERSION(1, 0), IC_VERSION(3, 0)};

static bool has_version(const uint32_t *versions, uint32_t count, uint32_t version)
{
	for (uint32_t i = 0; i < count; i++) {
		if (versions[i] == version) {
			return true;
		}
	}
	return false;
}

/* ------------------------------------------------------------------ state and timer */

static enum ic_state get_state(struct ic *ic)
{
	enum ic_state state;

	spin_lock(&ic->lock);
	state = ic->state;
	spin_unlock(&ic->lock);
	return state;
}

static void set_state(struct ic *ic, enum ic_state state)
{
	spin_lock(&ic->lock);
	ic->state = state;
	ic->due = state == IC_READY;
	if (state == IC_READY && ic->kind->period_ns != 0) {
		vm_timer_arm(&ic->timer, vm_time_ns(ic->vm) + ic->kind->period_ns);
	}
	if (state == IC_CLOSED) {
		vm_timer_disarm(&ic->timer);
	}
	spin_unlock(&ic->lock);
}

bool ic_is_ready(struct ic *ic)
{
	return get_state(ic) == IC_READY;
}

bool ic_take_due(struct ic *ic)
{
	bool due;

	spin_lock(&ic->lock);
	due = ic->due;
	ic->due = false;
	spin_unlock(&ic->lock);
	return due;
}

static void timer_expired(struct vm_timer *timer)
{
	struct ic *ic = CONTAINER_OF(timer, struct ic, timer);

	spin_lock(&ic->lock);
	if (ic->state == IC_READY) { /* not if it was closed while this was on its way */
		ic->due = true;
		vm_timer_arm(&ic->timer, vm_time_ns(ic->vm) + ic->kind->period_ns);
		vmbus_channel_kick(ic->channel);
	}
	spin_unlock(&ic->lock);
}

/* ------------------------------------------------------------------ to the guest */

/* Sends what stands in the message, now or as soon as there is room. */
static void send_unsent(struct ic *ic)
{
	if (ic->unsent_bytes != 0 && vmbus_channel_send_inband(ic->channel, ic->transaction_id, false,
	                                                       ic->message, ic->unsent_bytes)) {
		ic->unsent_bytes = 0;
	}
}

static uint8_t *message_body(struct ic *ic)
{
	return ic->message + sizeof(struct vmpipe_proto_header) + sizeof(struct icmsg_hdr);
}

/* Heads for a body of @bytes, and off with it. */
static void send_message(struct ic *ic, uint16_t type, uint32_t framework, uint32_t version, uint32_t bytes)
{
	const struct vmpipe_proto_header pipe = {
	        .pkt_type = VMBUS_PIPE_DATA,
	        .data_size = (uint32_t)sizeof(struct icmsg_hdr) + bytes,
	};
	const struct icmsg_hdr head = {
	        .icverframe = framework,
	        .icmsgtype = type,
	        .icvermsg = version,
	        .icmsgsize = (uint16_t)bytes,
	        .ictransaction_id = ++ic->transaction_id,
	        .icflags = ICMSGHDRFLAG_TRANSACTION | ICMSGHDRFLAG_REQUEST,
	};

	memcpy(ic->message, &pipe, sizeof(pipe));
	memcpy(ic->message + sizeof(pipe), &head, sizeof(head));
	ic->body_bytes = bytes;
	ic->waiting = true;
	ic->unsent_bytes = (uint32_t)(sizeof(pipe) + sizeof(head)) + bytes;
	send_unsent(ic);
}

static void send_negotiation(struct ic *ic)
{
	const struct icmsg_negotiate negotiate = {
	        .icframe_vercnt = ARRAY_COUNT(frameworks),
	        .icmsg_vercnt = (uint16_t)ic->kind->version_count,
	};
	uint8_t *body = message_body(ic);
	uint32_t own_bytes = ic->kind->version_count * 4;

	memcpy(body, &negotiate, sizeof(negotiate));
	memcpy(body + sizeof(negotiate), frameworks, sizeof(frameworks));
	memcpy(body + sizeof(negotiate) + sizeof(frameworks), ic->kind->versions, own_bytes);
	set_state(ic, IC_NEGOTIATING);
	send_message(ic, ICMSGTYPE_NEGOTIATE, frameworks[0], IC_VERSION(1, 0),
	             (uint32_t)(sizeof(negotiate) + sizeof(frameworks)) + own_bytes);
}

static void send_next(struct ic *ic)
{
	enum ic_state state = get_state(ic);
	uint32_t bytes;

	if (ic->waiting) {
		return;
	}
	if (state == IC_NEGOTIATE) {
		send_negotiation(ic);
	} else if (state == IC_READY) {
		memset(message_body(ic), 0, IC_BODY_BYTES_MAX);
		bytes = ic->kind->build(ic, message_body(ic));
		if (bytes != 0) {
			send_message(ic, ic->kind->message_type, ic->framework, ic->version, bytes);
		}
	}
}

/* ------------------------------------------------------------------ from the guest */

/* The framework's version and the device's, of one each that we offered. */
static bool read_versions(const struct ic *ic, const uint8_t *body, uint32_t bytes, uint32_t chosen[2])
{
	struct icmsg_negotiate negotiate;

	if (bytes < sizeof(negotiate) + 2 * sizeof(chosen[0])) {
		return false;
	}
	memcpy(&negotiate, body, sizeof(negotiate));
	memcpy(chosen, body + sizeof(negotiate), 2 * sizeof(chosen[0]));
	return negotiate.icframe_vercnt == 1 && negotiate.icmsg_vercnt == 1 &&
	       has_version(frameworks, ARRAY_COUNT(frameworks), chosen[0]) &&
	       has_version(ic->kind->versions, ic->kind->version_count, chosen[1]);
}

static void take_negotiation(struct ic *ic, const uint8_t *body, uint32_t bytes)
{
	uint32_t chosen[2];

	if (!read_versions(ic, body, bytes, chosen)) {
		vm_log(ic->vm, "vmbus: %s: the guest takes none of our versions", ic->kind->name);
		set_state(ic, IC_REFUSED);
		return;
	}
	ic->framework = chosen[0];
	ic->version = chosen[1];
	if (ic->kind->begin != NULL) {
		ic->kind->begin(ic);
	}
	set_state(ic, IC_READY);
}

/* @head and @body are our copy; @bytes of body. What does not answer our last message is dropped. */
static void take_answer(struct ic *ic, const struct icmsg_hdr *head, const uint8_t *body, uint32_t bytes)
{
	enum ic_state state = get_state(ic);

	if (!ic->waiting || ic->unsent_bytes != 0 || head->ictransaction_id != ic->transaction_id ||
	    (head->icflags & ICMSGHDRFLAG_RESPONSE) == 0) {
		return;
	}
	if (state == IC_NEGOTIATING && head->icmsgtype == ICMSGTYPE_NEGOTIATE) {
		ic->waiting = false;
		take_negotiation(ic, body, bytes);
	} else if (state == IC_READY && head->icmsgtype == ic->kind->message_type &&
	           bytes >= ic->body_bytes) {
		ic->waiting = false;
		ic->kind->answered(ic, body, head->status);
	}
}

/* False: not what a pipe carries. */
static bool take_packet(struct ic *ic, const struct vmbus_packet *packet)
{
	struct vmpipe_proto_header pipe;
	struct icmsg_hdr head;

	if (packet->type != VM_PKT_DATA_INBAND || packet->payload_bytes < sizeof(pipe) + sizeof(head)) {
		return false;
	}
	memcpy(&pipe, packet->payload, sizeof(pipe));
	memcpy(&head, packet->payload + sizeof(pipe), sizeof(head));
	if (pipe.pkt_type != VMBUS_PIPE_DATA || pipe.data_size < sizeof(head) ||
	    pipe.data_size > packet->payload_bytes - sizeof(pipe)) {
		return false;
	}
	take_answer(ic, &head, packet->payload + sizeof(pipe) + sizeof(head),
	            pipe.data_size - (uint32_t)sizeof(head));
	return true;
}

/* ------------------------------------------------------------------ the channel's calls */

static bool ic_open(void *device)
{
	struct ic *ic = device;

	ic->waiting = false;
	ic->unsent_bytes = 0;
	set_state(ic, IC_NEGOTIATE);
	vmbus_channel_kick(ic->channel);
	return true;
}

static bool ic_step(void *device)
{
	enum vmbus_receive got = VMBUS_RECEIVE_OK;
	struct ic *ic = device;

	for (uint32_t i = 0; i < PACKETS_MAX; i++) {
		struct vmbus_packet packet;

		got = vmbus_channel_receive(ic->channel, &packet);
		if (got == VMBUS_RECEIVE_BROKEN) {
			return false;
		}
		if (got == VMBUS_RECEIVE_EMPTY) {
			break;
		}
		if (!take_packet(ic, &packet)) {
			vmbus_channel_break(ic->channel, "not a message of a component");
			return false;
		}
	}
	send_unsent(ic);
	send_next(ic);
	return got == VMBUS_RECEIVE_OK;
}

static bool ic_close(void *device)
{
	struct ic *ic = device;

	set_state(ic, IC_CLOSED);
	return true;
}

static void ic_destroy(void *device)
{
	struct ic *ic = device;

	if (ic->kind->detach != NULL) {
		ic->kind->detach(ic);
	}
	vm_timer_disarm(&ic->timer);
	vm_free(ic->vm, ic);
}

static const struct vmbus_channel_ops ic_ops = {
        .open = ic_open,
        .step = ic_step,
        .close = ic_close,
        .destroy = ic_destroy,
};

bool ic_create(struct vmbus *bus, struct ic *ic, const struct ic_kind *kind, struct vmbus_guid class_id,
               struct vmbus_guid instance_id)
{
	const struct vmbus_channel_spec spec = {
	        .name = kind->name,
	        .class_id = class_id,
	        .instance_id = instance_id,
	        .pipe_mode = true,
	        .ops = &ic_ops,
	        .device = ic,
	};

	ic->vm = vmbus_vm(bus);
	ic->kind = kind;
	spin_init(&ic->lock, RANK_DEVICE);
	vm_timer_init(&ic->timer, vm_vcpu(ic->vm, 0), timer_expired);
	ic->channel = vmbus_channel_add(bus, &spec);
	if (ic->channel == NULL) {
		vm_free(ic->vm, ic);
		return false;
	}
	return true;
}

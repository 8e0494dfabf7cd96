/*
 * ic_shutdown.c - passes the host's requests to power off or reboot on to the guest's driver.
 */
#include "backend/lifecycle.h"
#include "vmbus/ic.h"

#define NO_REQUEST 0xFFFFFFFFu

struct shutdown {
	struct ic ic; /* first */
	uint32_t request; /* atomic: enum lifecycle_request, or NO_REQUEST */
};

/* lifecycle_face_ops: any context, no lock held. */
static bool shutdown_ask(void *face, enum lifecycle_request request)
{
	struct shutdown *shutdown = face;

	if (!ic_is_ready(&shutdown->ic)) {
		return false;
	}
	__atomic_store_n(&shutdown->request, (uint32_t)request, __ATOMIC_SEQ_CST);
	vmbus_channel_kick(shutdown->ic.channel);
	return true;
}

static const struct lifecycle_face_ops face_ops = {
        .ask = shutdown_ask,
};

/* What was asked of an earlier driver is not for this one. */
static void shutdown_begin(struct ic *ic)
{
	struct shutdown *shutdown = CONTAINER_OF(ic, struct shutdown, ic);

	__atomic_store_n(&shutdown->request, NO_REQUEST, __ATOMIC_SEQ_CST);
}

static uint32_t shutdown_build(struct ic *ic, uint8_t *body)
{
	struct shutdown *shutdown = CONTAINER_OF(ic, struct shutdown, ic);
	uint32_t request = __atomic_exchange_n(&shutdown->request, NO_REQUEST, __ATOMIC_SEQ_CST);
	uint32_t flags = IC_SHUTDOWN_FLAG_FORCE;
	const uint32_t reason = IC_SHUTDOWN_REASON_PLANNED;

	if (request == NO_REQUEST) {
		return 0;
	}
	if (request == LIFECYCLE_REBOOT) {
		flags |= IC_SHUTDOWN_FLAG_RESTART;
	}
	/* No time limit, no text: the rest stays zero. */
	memcpy(body + offsetof(struct shutdown_msg_data, reason_code), &reason, sizeof(reason));
	memcpy(body + offsetof(struct shutdown_msg_data, flags), &flags, sizeof(flags));
	return sizeof(struct shutdown_msg_data);
}

static void shutdown_answered(struct ic *ic, const uint8_t *body, uint32_t status)
{
	struct lifecycle *lifecycle = vm_config(ic->vm)->lifecycle;

	(void)body;
	if (status == HV_S_OK) {
		lifecycle_answered(lifecycle);
	} else {
		vm_log(ic->vm, "vmbus: shutdown: the guest refuses with 0x%x", status);
	}
}

static void shutdown_detach(struct ic *ic)
{
	struct lifecycle *lifecycle = vm_config(ic->vm)->lifecycle;

	if (lifecycle != NULL) {
		lifecycle_detach(lifecycle, CONTAINER_OF(ic, struct shutdown, ic));
	}
}

static const uint32_t versions[] = {IC_VERSION(1, 0), IC_VERSION(3, 0), IC_VERSION(3, 1), IC_VERSION(3, 2)};

static const struct ic_kind kind = {
        .name = "shutdown",
        .message_type = ICMSGTYPE_SHUTDOWN,
        .versions = versions,
        .version_count = ARRAY_COUNT(versions),
        .begin = shutdown_begin,
        .build = shutdown_build,
        .answered = shutdown_answered,
        .detach = shutdown_detach,
};

bool ic_shutdown_create(struct vmbus *bus)
{
	struct lifecycle *lifecycle = vm_config(vmbus_vm(bus))->lifecycle;
	struct shutdown *shutdown = vm_alloc(vmbus_vm(bus), sizeof(*shutdown));

	if (shutdown == NULL) {
		return false;
	}
	shutdown->request = NO_REQUEST;
	if (!ic_create(bus, &shutdown->ic, &kind, (struct vmbus_guid)VMBUS_CLASS_SHUTDOWN,
	               (struct vmbus_guid)VMBUS_INSTANCE_SHUTDOWN)) {
		return false;
	}
	return lifecycle == NULL || lifecycle_attach(lifecycle, &face_ops, shutdown);
}

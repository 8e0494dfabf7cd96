/*
 * ic_heartbeat.c - every two seconds the guest is asked whether it lives; its answers go to the lifecycle backend.
 */
#include "backend/lifecycle.h"
#include "vmbus/ic.h"

#define PERIOD_NS 2000000000ull

struct heartbeat {
	struct ic ic; /* first */
	uint64_t sequence;
};

static uint32_t heartbeat_build(struct ic *ic, uint8_t *body)
{
	struct heartbeat *heartbeat = CONTAINER_OF(ic, struct heartbeat, ic);
	struct heartbeat_msg_data data = {.seq_num = 0};

	if (!ic_take_due(ic)) {
		return 0;
	}
	data.seq_num = ++heartbeat->sequence;
	memcpy(body, &data, sizeof(data));
	return sizeof(data);
}

static void heartbeat_answered(struct ic *ic, const uint8_t *body, uint32_t status)
{
	struct lifecycle *lifecycle = vm_config(ic->vm)->lifecycle;

	(void)body; /* some drivers answer the sequence as it was, Linux one more */
	if (status == HV_S_OK && lifecycle != NULL) {
		lifecycle_heartbeat(lifecycle, vm_time_ns(ic->vm));
	}
}

static const uint32_t versions[] = {IC_VERSION(1, 0), IC_VERSION(3, 0)};

static const struct ic_kind kind = {
        .name = "heartbeat",
        .message_type = ICMSGTYPE_HEARTBEAT,
        .versions = versions,
        .version_count = ARRAY_COUNT(versions),
        .period_ns = PERIOD_NS,
        .build = heartbeat_build,
        .answered = heartbeat_answered,
};

bool ic_heartbeat_create(struct vmbus *bus)
{
	struct heartbeat *heartbeat = vm_alloc(vmbus_vm(bus), sizeof(*heartbeat));

	return heartbeat != NULL &&
	       ic_create(bus, &heartbeat->ic, &kind, (struct vmbus_guid)VMBUS_CLASS_HEARTBEAT,
	                 vmbus_instance_id(bus, VMBUS_KIND_IC, ICMSGTYPE_HEARTBEAT));
}

/*
 * ic_timesync.c - tells the guest the time of day: once to be set, then every five seconds as a sample.
 *
 * The wall clock is the clock backend's origin and guest time: the same that the other clocks of the guest show.
 */
#include "backend/clock.h"
#include "synic/synic.h"
#include "vmbus/ic.h"

#define PERIOD_NS 5000000000ull

struct timesync {
	struct ic ic; /* first */
	bool synced; /* the message that sets the time is sent */
};

/* 100 ns since 1601. */
static uint64_t wall_time(const struct vm *vm)
{
	return IC_EPOCH_100NS + (vm_config(vm)->clock->wall_ns + vm_time_ns(vm)) / HV_REFERENCE_NS;
}

static uint32_t build_with_reference(const struct ic *ic, uint8_t flags, uint8_t *body)
{
	const struct ictimesync_ref_data data = {
	        .parenttime = wall_time(ic->vm),
	        .vmreferencetime = synic_reference_time(ic->vm),
	        .flags = flags,
	        .stratum = 1,
	};

	memcpy(body, &data, sizeof(data));
	return sizeof(data);
}

static void timesync_begin(struct ic *ic)
{
	CONTAINER_OF(ic, struct timesync, ic)->synced = false;
}

static uint32_t timesync_build(struct ic *ic, uint8_t *body)
{
	struct timesync *timesync = CONTAINER_OF(ic, struct timesync, ic);
	struct ictimesync_data data = {.flags = ICTIMESYNCFLAG_SAMPLE};

	if (!ic_take_due(ic)) {
		return 0;
	}
	if (!timesync->synced) {
		timesync->synced = true;
		data.flags = ICTIMESYNCFLAG_SYNC;
	}
	if ((ic->version & 0xFFFF) >= 4) {
		return build_with_reference(ic, data.flags, body);
	}
	data.parenttime = wall_time(ic->vm);
	memcpy(body, &data, sizeof(data));
	return sizeof(data);
}

static void timesync_answered(struct ic *ic, const uint8_t *body, uint32_t status)
{
	(void)ic;
	(void)body;
	(void)status; /* a guest that keeps its own time says so; nothing follows from it */
}

static const uint32_t versions[] = {IC_VERSION(1, 0), IC_VERSION(3, 0), IC_VERSION(4, 0)};

static const struct ic_kind kind = {
        .name = "timesync",
        .message_type = ICMSGTYPE_TIMESYNC,
        .versions = versions,
        .version_count = ARRAY_COUNT(versions),
        .period_ns = PERIOD_NS,
        .begin = timesync_begin,
        .build = timesync_build,
        .answered = timesync_answered,
};

bool ic_timesync_create(struct vmbus *bus)
{
	struct timesync *timesync = vm_alloc(vmbus_vm(bus), sizeof(*timesync));

	return timesync != NULL &&
	       ic_create(bus, &timesync->ic, &kind, (struct vmbus_guid)VMBUS_CLASS_TIMESYNC,
	                 (struct vmbus_guid)VMBUS_INSTANCE_TIMESYNC);
}

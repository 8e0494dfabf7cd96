/*
 * devices.c - which devices a guest's bus has: its disks, its network devices, the integration components.
 */
#include "vmbus/devices.h"
#include "vmbus/channel.h"

static bool create_nics(struct vmbus *bus, uint32_t count)
{
	for (uint32_t nic = 0; nic < count; nic++) {
		if (!netvsp_create(bus, nic)) {
			return false;
		}
	}
	return true;
}

bool devices_create(struct vmbus *bus)
{
	static bool (*const components[])(struct vmbus * bus) = {
	        ic_shutdown_create,
	        ic_heartbeat_create,
	        ic_timesync_create,
	};
	const struct vm_config *config = vm_config(vmbus_vm(bus));

	if (config->disk_count != 0 && !storvsp_create(bus)) {
		return false;
	}
	if (!create_nics(bus, config->nic_count)) {
		return false;
	}
	for (uint32_t i = 0; i < ARRAY_COUNT(components); i++) {
		if (!components[i](bus)) {
			return false;
		}
	}
	return true;
}

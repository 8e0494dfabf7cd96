/*
 * devices.h - the constructors of the devices that a guest's bus has.
 *
 * Each allocates its device and adds its channel (channel.h). False: out of quota, and what it had
 * allocated but not added is freed.
 */
#ifndef VMBUS_DEVICES_H
#define VMBUS_DEVICES_H

#include "base/compiler.h"

struct vmbus;

/* One SCSI controller with the guest's disks as LUNs 0, 1 ... of path 0, target 0. */
MUST_CHECK bool storvsp_create(struct vmbus *bus);
/* Network device @nic of the guest's configuration. */
MUST_CHECK bool netvsp_create(struct vmbus *bus, uint32_t nic);
MUST_CHECK bool ic_shutdown_create(struct vmbus *bus);
MUST_CHECK bool ic_heartbeat_create(struct vmbus *bus);
MUST_CHECK bool ic_timesync_create(struct vmbus *bus);

/* All that the configuration asks for. */
MUST_CHECK bool devices_create(struct vmbus *bus);

#endif /* VMBUS_DEVICES_H */

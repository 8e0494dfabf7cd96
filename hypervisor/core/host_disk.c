/*
 * host_disk.c - disks of the host and their partitions, by name.
 */
#include "hypervisor/core/machine.h"

void host_disks_init(void)
{
}

bool host_disk_open(struct block *block, bool partition, const char *name, bool read_only,
		    const char *serial)
{
	(void)block;
	(void)partition;
	(void)name;
	(void)read_only;
	(void)serial;
	return false; /* no driver for a host's disks yet: refused, see specs/caveats.md */
}

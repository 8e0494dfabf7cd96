/*
 * fake_keep.h - for targets on tests/unit/xen_fake.h: its event channels and grants are brought back along with the guest.
 */
#ifndef TESTS_FUZZ_FAKE_KEEP_H
#define TESTS_FUZZ_FAKE_KEEP_H

#include "tests/unit/xen_fake.h"

static inline void fake_keep(struct host_snapshot *shot)
{
	host_snapshot_add(shot, fake_ports, sizeof(fake_ports));
	host_snapshot_add(shot, fake_grants, sizeof(fake_grants));
	host_snapshot_add(shot, &fake_port_limit, sizeof(fake_port_limit));
	host_snapshot_add(shot, &fake_store_port, sizeof(fake_store_port));
	host_snapshot_add(shot, &fake_console_port, sizeof(fake_console_port));
}

#endif /* TESTS_FUZZ_FAKE_KEEP_H */

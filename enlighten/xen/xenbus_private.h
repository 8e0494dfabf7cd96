/*
 * xenbus_private.h - between the bus (xenbus.c) and the building of its tree (xenbus_tree.c).
 */
#ifndef XEN_XENBUS_PRIVATE_H
#define XEN_XENBUS_PRIVATE_H

#include "backend/lifecycle.h"
#include "base/lock.h"
#include "enlighten/xen/xencons.h"
#include "enlighten/xen/xenbus_device.h"
#include "enlighten/xen/xenstore.h"

#define XENBUS_DEVICE_MAX (VM_DISK_MAX + VM_NIC_MAX)
#define XENBUS_VALUE_MAX 128u

struct xenbus {
	struct vm *vm;
	struct spinlock lock; /* RANK_BUS: the store, the connection, the devices' states */
	struct vm_work work;
	struct vm_timer again; /* armed while a device is behind for want of memory */
	uint32_t dirty; /* atomic: a device's state may have changed */
	bool asked; /* control/shutdown was written by us and not yet cleared by the guest */
	bool attached; /* to the lifecycle */
	uint32_t device_count;
	struct xenbus_device devices[XENBUS_DEVICE_MAX];
	struct xencons console;
	struct store_path path;
	struct store store;
	struct xenstore connection;
};

enum tree_perms {
	TREE_HOST, /* ours, the guest reads */
	TREE_GUEST, /* the guest's */
	TREE_DEVICE, /* the guest's, we read: a frontend's */
};

/* Writes a node of ours. False: no memory. */
MUST_CHECK bool xenbus_put(struct xenbus *bus, enum tree_perms perms, const char *path, const char *value);
/* Everything below /local/domain/N and the devices' backend directories, without what drivers offer. */
MUST_CHECK bool xenbus_build_tree(struct xenbus *bus);

#endif /* XEN_XENBUS_PRIVATE_H */

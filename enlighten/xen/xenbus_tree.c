/*
 * xenbus_tree.c - the nodes that a guest finds at its start, as libxl makes them for a PVH domain
 * (docs/misc/xenstore-paths.pandoc).
 */
#include "base/format.h"
#include "enlighten/xen/xenbus_private.h"

bool xenbus_put(struct xenbus *bus, enum tree_perms perms, const char *path, const char *value)
{
	const uint16_t guest = bus->store.guest;
	const struct store_call host = {STORE_HOST, NULL};
	const struct store_perm lists[][2] = {
	        [TREE_HOST] = {{0, STORE_NONE}, {guest, STORE_READ}},
	        [TREE_GUEST] = {{guest, STORE_NONE}, {guest, STORE_NONE}},
	        [TREE_DEVICE] = {{guest, STORE_NONE}, {0, STORE_READ}},
	};
	uint32_t path_len = 0, len = 0;
	enum store_error error;

	while (path[path_len] != 0) {
		path_len++;
	}
	while (value[len] != 0) {
		len++;
	}
	error = store_path_make(&bus->store, path, path_len, &bus->path);
	CHECK(error == STORE_OK);
	return store_write(&bus->store, &host, &bus->path, value, len) == STORE_OK &&
	       store_set_perms(&bus->store, &host, &bus->path, lists[perms], perms == TREE_GUEST ? 1 : 2) ==
	               STORE_OK;
}

/* A value from a number. */
static bool put_number(struct xenbus *bus, enum tree_perms perms, const char *path, uint64_t number)
{
	char text[24];

	(void)format_print(text, sizeof(text), "%llu", (unsigned long long)number);
	return xenbus_put(bus, perms, path, text);
}

static bool put_below(struct xenbus *bus, enum tree_perms perms, const char *directory, const char *name,
                      const char *value)
{
	char path[XENBUS_VALUE_MAX];

	(void)format_print(path, sizeof(path), "%s/%s", directory, name);
	return xenbus_put(bus, perms, path, value);
}

static bool put_number_below(struct xenbus *bus, enum tree_perms perms, const char *directory,
                             const char *name, uint64_t number)
{
	char path[XENBUS_VALUE_MAX];

	(void)format_print(path, sizeof(path), "%s/%s", directory, name);
	return put_number(bus, perms, path, number);
}

/* The nodes that hold nothing but others: all of them ours, readable. */
static bool build_roots(struct xenbus *bus)
{
	static const char *const roots[] = {
	        "/", "/local", "/local/domain", "/local/domain/0", "/local/domain/0/backend", "/vm",
	};
	char home[32];

	for (uint32_t i = 0; i < ARRAY_COUNT(roots); i++) {
		if (!xenbus_put(bus, TREE_HOST, roots[i], "")) {
			return false;
		}
	}
	(void)format_print(home, sizeof(home), "/local/domain/%u", (unsigned int)bus->store.guest);
	return xenbus_put(bus, TREE_HOST, home, "");
}

static void format_uuid(char *to, size_t room, const uint8_t *u)
{
	(void)format_print(to, room, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
	                   u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12],
	                   u[13], u[14], u[15]);
}

static bool build_identity(struct xenbus *bus)
{
	const struct vm_config *config = vm_config(bus->vm);
	char uuid[40], path[48];

	format_uuid(uuid, sizeof(uuid), config->uuid);
	(void)format_print(path, sizeof(path), "/vm/%s", uuid);
	return xenbus_put(bus, TREE_HOST, "vm", path) && xenbus_put(bus, TREE_HOST, path, "") &&
	       put_below(bus, TREE_HOST, path, "uuid", uuid) &&
	       put_below(bus, TREE_HOST, path, "name", config->name) &&
	       xenbus_put(bus, TREE_HOST, "name", config->name) &&
	       put_number(bus, TREE_HOST, "domid", config->id);
}

static bool build_resources(struct xenbus *bus)
{
	const struct vm_config *config = vm_config(bus->vm);
	uint64_t kib = config->memory_bytes / 1024;
	char path[48];

	if (!xenbus_put(bus, TREE_HOST, "cpu", "") || !xenbus_put(bus, TREE_HOST, "memory", "")) {
		return false;
	}
	for (uint32_t i = 0; i < config->vcpu_count; i++) {
		(void)format_print(path, sizeof(path), "cpu/%u", (unsigned int)i);
		if (!xenbus_put(bus, TREE_HOST, path, "") ||
		    !put_below(bus, TREE_HOST, path, "availability", "online")) {
			return false;
		}
	}
	/* A target equal to the maximum: nothing is to be given back. */
	return put_number(bus, TREE_HOST, "memory/static-max", kib) &&
	       put_number(bus, TREE_HOST, "memory/target", kib) &&
	       put_number(bus, TREE_HOST, "memory/videoram", 0);
}

static bool build_control(struct xenbus *bus)
{
	static const struct {
		const char *path, *value;
		enum tree_perms perms;
	} nodes[] = {
	        {"device", "", TREE_HOST},
	        {"device/suspend", "", TREE_HOST},
	        {"device/suspend/event-channel", "", TREE_GUEST},
	        {"control", "", TREE_HOST},
	        {"control/shutdown", "", TREE_GUEST},
	        {"control/sysrq", "", TREE_GUEST},
	        {"control/feature-poweroff", "", TREE_GUEST},
	        {"control/feature-reboot", "", TREE_GUEST},
	        {"control/feature-suspend", "", TREE_GUEST},
	        {"control/platform-feature-multiprocessor-suspend", "1", TREE_HOST},
	        {"control/platform-feature-xs_reset_watches", "1", TREE_HOST},
	        {"data", "", TREE_GUEST},
	        {"drivers", "", TREE_GUEST},
	        {"feature", "", TREE_GUEST},
	        {"attr", "", TREE_GUEST},
	        {"error", "", TREE_GUEST},
	        {"store", "", TREE_HOST},
	};
	uint64_t gfn = vm_special_page(bus->vm, VM_SPECIAL_XENSTORE).v >> PAGE_SHIFT;

	for (uint32_t i = 0; i < ARRAY_COUNT(nodes); i++) {
		if (!xenbus_put(bus, nodes[i].perms, nodes[i].path, nodes[i].value)) {
			return false;
		}
	}
	return put_number(bus, TREE_HOST, "store/port", bus->connection.port) &&
	       put_number(bus, TREE_HOST, "store/ring-ref", gfn);
}

/* The primary console has no state machine: its page and port are HVM parameters. */
static bool build_console(struct xenbus *bus)
{
	const unsigned int guest = bus->store.guest;
	uint64_t gfn = vm_special_page(bus->vm, VM_SPECIAL_CONSOLE).v >> PAGE_SHIFT;
	char back[56], front[40];

	if (bus->console.page == NULL) {
		return true;
	}
	(void)format_print(back, sizeof(back), "/local/domain/0/backend/console/%u/0", guest);
	(void)format_print(front, sizeof(front), "/local/domain/%u/console", guest);
	return xenbus_put(bus, TREE_HOST, "console", "") &&
	       put_below(bus, TREE_HOST, front, "backend", back) &&
	       put_below(bus, TREE_HOST, front, "backend-id", "0") &&
	       put_below(bus, TREE_HOST, front, "limit", "1048576") &&
	       put_below(bus, TREE_HOST, front, "type", "xenconsoled") &&
	       put_below(bus, TREE_HOST, front, "output", "pty") &&
	       put_below(bus, TREE_HOST, front, "tty", "") &&
	       put_number_below(bus, TREE_HOST, front, "port", bus->console.port) &&
	       put_number_below(bus, TREE_HOST, front, "ring-ref", gfn) &&
	       xenbus_put(bus, TREE_HOST, back, "") && put_below(bus, TREE_HOST, back, "frontend", front) &&
	       put_number_below(bus, TREE_HOST, back, "frontend-id", guest) &&
	       put_below(bus, TREE_HOST, back, "online", "1") &&
	       put_below(bus, TREE_HOST, back, "protocol", "vt100") &&
	       put_below(bus, TREE_HOST, back, "state", "1");
}

/* ------------------------------------------------------------------ devices */

/* What every device has, on both sides. */
static bool build_device(struct xenbus *bus, const struct xenbus_device *device)
{
	const char *front = device->front, *back = device->back;
	char path[48];

	(void)format_print(path, sizeof(path), "device/%s", device->driver->type);
	return xenbus_put(bus, TREE_HOST, path, "") && xenbus_put(bus, TREE_DEVICE, front, "") &&
	       put_below(bus, TREE_DEVICE, front, "backend", back) &&
	       put_below(bus, TREE_DEVICE, front, "backend-id", "0") &&
	       put_below(bus, TREE_DEVICE, front, "trusted", "1") &&
	       put_below(bus, TREE_DEVICE, front, "state", "1") && xenbus_put(bus, TREE_HOST, back, "") &&
	       put_below(bus, TREE_HOST, back, "frontend", front) &&
	       put_number_below(bus, TREE_HOST, back, "frontend-id", bus->store.guest) &&
	       put_below(bus, TREE_HOST, back, "online", "1") &&
	       put_below(bus, TREE_HOST, back, "state", "1");
}

static bool build_vbd(struct xenbus *bus, const struct xenbus_device *device)
{
	const struct vm_disk_config *disk = &vm_config(bus->vm)->disks[device->index];
	const char *front = device->front, *back = device->back;
	char name[8];

	(void)format_print(name, sizeof(name), "xvd%c", (char)('a' + device->index));
	return put_number_below(bus, TREE_DEVICE, front, "virtual-device", device->id) &&
	       put_below(bus, TREE_DEVICE, front, "device-type", "disk") &&
	       put_below(bus, TREE_HOST, back, "removable", "0") &&
	       put_below(bus, TREE_HOST, back, "bootable", "1") &&
	       put_below(bus, TREE_HOST, back, "dev", name) &&
	       put_below(bus, TREE_HOST, back, "type", "phy") &&
	       put_below(bus, TREE_HOST, back, "mode", disk->read_only ? "r" : "w") &&
	       put_below(bus, TREE_HOST, back, "device-type", "disk") &&
	       put_below(bus, TREE_HOST, back, "discard-enable", "0");
}

static bool build_vif(struct xenbus *bus, const struct xenbus_device *device)
{
	const uint8_t *m = vm_config(bus->vm)->nics[device->index].mac;
	const char *front = device->front, *back = device->back;
	char mac[20];

	(void)format_print(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
	                   m[5]);
	return put_number_below(bus, TREE_DEVICE, front, "handle", device->id) &&
	       put_below(bus, TREE_DEVICE, front, "mac", mac) &&
	       put_below(bus, TREE_HOST, front, "mtu", "1500") &&
	       put_below(bus, TREE_HOST, back, "mac", mac) &&
	       put_number_below(bus, TREE_HOST, back, "handle", device->id) &&
	       put_below(bus, TREE_HOST, back, "type", "vif") &&
	       put_below(bus, TREE_HOST, back, "hotplug-status", "connected");
}

static bool build_backend_roots(struct xenbus *bus, const char *type)
{
	char path[48];

	(void)format_print(path, sizeof(path), "/local/domain/0/backend/%s", type);
	if (!xenbus_put(bus, TREE_HOST, path, "")) {
		return false;
	}
	(void)format_print(path, sizeof(path), "/local/domain/0/backend/%s/%u", type,
	                   (unsigned int)bus->store.guest);
	return xenbus_put(bus, TREE_HOST, path, "");
}

static bool build_devices(struct xenbus *bus)
{
	for (uint32_t i = 0; i < bus->device_count; i++) {
		const struct xenbus_device *device = &bus->devices[i];
		bool is_disk = device->driver == &blkback_driver;

		if (!build_backend_roots(bus, device->driver->type) || !build_device(bus, device) ||
		    !(is_disk ? build_vbd(bus, device) : build_vif(bus, device))) {
			return false;
		}
	}
	return true;
}

bool xenbus_build_tree(struct xenbus *bus)
{
	return build_roots(bus) && build_identity(bus) && build_resources(bus) && build_control(bus) &&
	       build_backend_roots(bus, "console") && build_console(bus) && build_devices(bus);
}

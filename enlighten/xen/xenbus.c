/*
 * xenbus.c - the bus of one guest: its store's owner, and the backends' side of the devices' state machines
 * (Xen's io/xenbus.h).
 *
 * The state of a backend is a function of what it has done and of the frontend's state as the store has it
 * now, so that states that come faster than we look are no trouble: GRUB's hand-over to Linux, a kexec
 * without a close.
 */
#include "enlighten/xen/xenbus.h"

#include "base/format.h"
#include "enlighten/xen/xenbus_private.h"

#define AGAIN_NS 100000000ull /* until what there was no memory for is tried again */

static const struct store_call host_call = {STORE_HOST, NULL};

/* ------------------------------------------------------------------ reading and writing nodes */

static bool front_read(struct xenbus_device *device, const char *name, const uint8_t **value, uint32_t *len)
{
	struct xenbus *bus = device->bus;
	char path[XENBUS_VALUE_MAX];
	size_t path_len = format_print(path, sizeof(path), "%s/%s", device->front, name);

	if (store_path_make(&bus->store, path, path_len, &bus->path) != STORE_OK ||
	    store_read(&bus->store, &host_call, &bus->path, value, len) != STORE_OK) {
		return false;
	}
	/* Some frontends write the NUL too. */
	if (*len != 0 && (*value)[*len - 1] == 0) {
		*len -= 1;
	}
	return true;
}

bool xenbus_read_number(struct xenbus_device *device, const char *name, uint32_t *number)
{
	const uint8_t *raw_text;
	uint64_t value = 0;
	uint32_t len;

	if (!front_read(device, name, &raw_text, &len) || len == 0 || len > 10) {
		return false;
	}
	for (uint32_t i = 0; i < len; i++) {
		if (raw_text[i] < '0' || raw_text[i] > '9') {
			return false;
		}
		value = value * 10 + (uint32_t)(raw_text[i] - '0');
	}
	*number = (uint32_t)value;
	return value <= UINT32_MAX;
}

bool xenbus_read_is(struct xenbus_device *device, const char *name, const char *expected)
{
	const uint8_t *raw_text;
	uint32_t len;

	if (!front_read(device, name, &raw_text, &len)) {
		return false;
	}
	for (uint32_t i = 0; i < len; i++) {
		if (expected[i] == 0 || raw_text[i] != (uint8_t)expected[i]) {
			return false;
		}
	}
	return expected[len] == 0;
}

bool xenbus_write(struct xenbus_device *device, const char *name, const char *format, ...)
{
	char path[XENBUS_VALUE_MAX], value[XENBUS_VALUE_MAX];
	va_list args;

	(void)format_print(path, sizeof(path), "%s/%s", device->back, name);
	va_start(args, format);
	(void)format_text(value, sizeof(value), format, args);
	va_end(args);
	if (!xenbus_put(device->bus, TREE_HOST, path, value)) {
		vm_log(device->vm, "xenbus: no memory for %s", path);
		return false;
	}
	return true;
}

void xenbus_kick(struct xenbus_device *device)
{
	struct xenbus *bus = device->bus;

	__atomic_store_n(&bus->dirty, 1, __ATOMIC_RELEASE);
	vm_work_queue(&bus->work);
}

/* ------------------------------------------------------------------ states */

static void tell_state(struct xenbus_device *device)
{
	device->untold = !xenbus_write(device, "state", "%u", (unsigned int)device->state);
}

static void set_state(struct xenbus_device *device, uint32_t state)
{
	if (device->state != state) {
		device->state = state;
		tell_state(device);
	}
}

/* The frontend starts: new, or again after a close or without one. */
static void front_initialising(struct xenbus_device *device)
{
	if (device->state == XenbusStateInitWait || !device->driver->disconnect(device)) {
		return;
	}
	device->unoffered = !device->driver->offer(device);
	if (!device->unoffered) {
		set_state(device, XenbusStateInitWait);
	}
}

static void front_ready(struct xenbus_device *device)
{
	if (device->state != XenbusStateInitWait) {
		return;
	}
	if (device->driver->connect(device)) {
		set_state(device, XenbusStateConnected);
	} else {
		vm_log(device->vm, "%s %u: frontend refused", device->driver->type, (unsigned int)device->id);
		set_state(device, XenbusStateClosing);
	}
}

static void front_closing(struct xenbus_device *device)
{
	if (device->state == XenbusStateClosed ||
	    (device->driver->disconnects_at_closing && !device->driver->disconnect(device))) {
		return;
	}
	set_state(device, XenbusStateClosing);
}

static void front_closed(struct xenbus_device *device)
{
	if (device->state != XenbusStateClosed && device->driver->disconnect(device)) {
		set_state(device, XenbusStateClosed);
	}
}

static void device_look(struct xenbus_device *device)
{
	uint32_t raw_state;

	if (device->untold) {
		tell_state(device);
	}
	if (!xenbus_read_number(device, "state", &raw_state)) {
		raw_state = XenbusStateUnknown;
	}
	device->unoffered = false;
	switch (raw_state) {
	case XenbusStateInitialising:
		front_initialising(device);
		break;
	case XenbusStateInitialised:
		if (device->driver->connects_at_initialised) {
			front_ready(device);
		}
		break;
	case XenbusStateConnected:
		front_ready(device);
		break;
	case XenbusStateClosing:
		front_closing(device);
		break;
	case XenbusStateUnknown:
	case XenbusStateClosed:
		front_closed(device);
		break;
	default:
		break;
	}
}

/* There was no memory for something that the frontend waits for. */
static bool is_behind(const struct xenbus_device *device)
{
	return device->untold || device->unoffered;
}

static void look_at_all(struct xenbus *bus)
{
	bool behind = false;

	for (uint32_t i = 0; i < bus->device_count; i++) {
		device_look(&bus->devices[i]);
		behind = behind || is_behind(&bus->devices[i]);
	}
	if (behind) {
		vm_timer_arm(&bus->again, vm_time_ns(bus->vm) + AGAIN_NS);
	}
}

static bool bus_step(struct vm_work *work)
{
	struct xenbus *bus = CONTAINER_OF(work, struct xenbus, work);
	bool more;

	spin_lock(&bus->lock);
	more = xenstore_step(&bus->connection);
	if (__atomic_exchange_n(&bus->dirty, 0, __ATOMIC_ACQUIRE) != 0) {
		look_at_all(bus);
		more = true; /* our answers are events now */
	}
	spin_unlock(&bus->lock);
	return more;
}

static void look_again(struct vm_timer *timer)
{
	struct xenbus *bus = CONTAINER_OF(timer, struct xenbus, again);

	__atomic_store_n(&bus->dirty, 1, __ATOMIC_RELEASE);
	vm_work_queue(&bus->work);
}

static void store_signal(void *context)
{
	struct xenbus *bus = context;

	vm_work_queue(&bus->work);
}

/* ------------------------------------------------------------------ lifecycle */

/* control/shutdown as the guest left it: empty is its answer. */
static void shutdown_changed(struct xenbus *bus)
{
	const char path[] = "control/shutdown";
	const uint8_t *value;
	uint32_t len;

	if (!bus->asked || store_path_make(&bus->store, path, sizeof(path) - 1, &bus->path) != STORE_OK) {
		return;
	}
	if (store_read(&bus->store, &host_call, &bus->path, &value, &len) != STORE_OK || len == 0) {
		bus->asked = false;
		lifecycle_answered(vm_config(bus->vm)->lifecycle);
	}
}

static bool starts_with(const char *text, const char *start)
{
	while (*start != 0 && *text == *start) {
		text++;
		start++;
	}
	return *start == 0;
}

/* From the store, for each of the guest's changes; the path may be an ancestor that was removed. */
static void store_changed(void *context, const char *path)
{
	struct xenbus *bus = context;

	if (!starts_with(path, bus->store.home)) {
		return;
	}
	path += bus->store.home_len;
	if (starts_with(path, "device")) {
		__atomic_store_n(&bus->dirty, 1, __ATOMIC_RELEASE);
	} else if (starts_with(path, "control")) {
		shutdown_changed(bus);
	}
}

static bool bus_ask(void *face, enum lifecycle_request request)
{
	struct xenbus *bus = face;
	bool listens;

	spin_lock(&bus->lock);
	listens = store_is_watched(&bus->store, "control/shutdown");
	if (listens) {
		listens = xenbus_put(bus, TREE_GUEST, "control/shutdown",
		                     request == LIFECYCLE_REBOOT ? "reboot" : "poweroff");
		bus->asked = listens;
	}
	spin_unlock(&bus->lock);
	if (listens) {
		vm_work_queue(&bus->work);
	}
	return listens;
}

static const struct lifecycle_face_ops lifecycle_ops = {
        .ask = bus_ask,
};

/* ------------------------------------------------------------------ start and end */

static bool add_device(struct xenbus *bus, const struct xenbus_driver *driver, uint32_t id, uint32_t index)
{
	struct xenbus_device *device = &bus->devices[bus->device_count];
	const unsigned int guest = bus->store.guest;

	*device = (struct xenbus_device){
	        .bus = bus,
	        .vm = bus->vm,
	        .driver = driver,
	        .id = id,
	        .index = index,
	        .state = XenbusStateInitialising,
	};
	(void)format_print(device->front, sizeof(device->front), "/local/domain/%u/device/%s/%u", guest,
	                   driver->type, (unsigned int)id);
	(void)format_print(device->back, sizeof(device->back), "/local/domain/0/backend/%s/%u/%u",
	                   driver->type, guest, (unsigned int)id);
	if (!driver->create(device)) {
		return false;
	}
	bus->device_count++;
	return true;
}

/* xvda is 202 << 8, and 16 more for each disk after it. */
static bool add_devices(struct xenbus *bus)
{
	const struct vm_config *config = vm_config(bus->vm);

	for (uint32_t i = 0; i < config->disk_count; i++) {
		if (!add_device(bus, &blkback_driver, (202u << 8) + 16 * i, i)) {
			return false;
		}
	}
	for (uint32_t i = 0; i < config->nic_count; i++) {
		if (!add_device(bus, &netback_driver, i, i)) {
			return false;
		}
	}
	return true;
}

/* The tree, with each backend in state 2 in it. */
static bool build_all(struct xenbus *bus)
{
	if (!xenbus_build_tree(bus)) {
		return false;
	}
	for (uint32_t i = 0; i < bus->device_count; i++) {
		front_initialising(&bus->devices[i]);
		if (is_behind(&bus->devices[i])) {
			return false;
		}
	}
	return true;
}

/* Each part that was begun is ended by xenbus_teardown(). */
static bool bus_start(struct xenbus *bus)
{
	struct vm *vm = bus->vm;
	struct lifecycle *lifecycle = vm_config(vm)->lifecycle;
	bool built;

	if (!store_init(&bus->store, vm, (uint16_t)vm_config(vm)->id, store_changed, bus) ||
	    !xenstore_open(&bus->connection, vm, &bus->store, store_signal, bus) ||
	    !xencons_open(&bus->console, vm) || !add_devices(bus)) {
		return false;
	}
	spin_lock(&bus->lock);
	built = build_all(bus);
	spin_unlock(&bus->lock);
	bus->attached = built && lifecycle != NULL && lifecycle_attach(lifecycle, &lifecycle_ops, bus);
	return built;
}

bool xenbus_create(struct vm *vm)
{
	struct xenbus *bus = vm_alloc(vm, sizeof(*bus));

	if (bus == NULL) {
		return false;
	}
	bus->vm = vm;
	spin_init(&bus->lock, RANK_BUS);
	vm_work_init(&bus->work, vm, bus_step);
	vm_timer_init(&bus->again, vm_vcpu(vm, 0), look_again);
	vm_slot_set(vm, VM_SLOT_XENSTORE, bus);
	if (!bus_start(bus)) {
		xenbus_teardown(vm);
		return false;
	}
	return true;
}

void xenbus_count(struct vm *vm, uint32_t *channels)
{
	struct xenbus *bus = vm_slot(vm, VM_SLOT_XENSTORE);

	if (bus == NULL) {
		return;
	}
	spin_lock(&bus->lock);
	for (uint32_t i = 0; i < bus->device_count; i++) {
		*channels += bus->devices[i].state == XenbusStateConnected;
	}
	spin_unlock(&bus->lock);
}

void xenbus_teardown(struct vm *vm)
{
	struct xenbus *bus = vm_slot(vm, VM_SLOT_XENSTORE);

	if (bus == NULL) {
		return;
	}
	if (bus->attached) {
		lifecycle_detach(vm_config(vm)->lifecycle, bus);
	}
	vm_timer_disarm(&bus->again);
	vm_work_cancel(&bus->work);
	for (uint32_t i = 0; i < bus->device_count; i++) {
		bus->devices[i].driver->destroy(&bus->devices[i]);
	}
	vm_work_cancel(&bus->work); /* a device's last completion may have queued it */
	xencons_close(&bus->console);
	xenstore_close(&bus->connection);
	store_destroy(&bus->store);
	vm_slot_set(vm, VM_SLOT_XENSTORE, NULL);
	vm_free(vm, bus);
}

bool xenbus_reset(struct vm *vm)
{
	xenbus_teardown(vm);
	return xenbus_create(vm);
}

/*
 * xenstore_fuzz.c - libFuzzer: a hostile guest at the store's ring and at its devices' nodes.
 *
 * The input is a list of actions: whole messages, raw bytes, indexes set to anything, reading, a new
 * connection, a signal, a shutdown asked by the host. After it: nothing leaks, and a new connection still
 * answers.
 */
#include <stdlib.h>

#include "tests/fuzz/fake_keep.h"

static struct block block;
static uint8_t medium[64 * 512];
static struct ether_switch sw;
static struct switch_port port;
static struct lifecycle lifecycle;
static struct vm *vm;

struct input {
	const uint8_t *at;
	size_t left;
};

static uint32_t take(struct input *in, size_t bytes)
{
	uint32_t value = 0;

	for (size_t i = 0; i < bytes && in->left != 0; i++, in->left--) {
		value = value << 8 | *in->at++;
	}
	return value;
}

/* A message with one of a few paths in front, so that most of them get past the first check. */
static void message(struct input *in)
{
	static const char *const paths[] = {
	        "",
	        "data",
	        "data/a",
	        "data/a/b/c",
	        "/",
	        "control/shutdown",
	        "device/vbd/51712/state",
	        "device/vbd/51712",
	        "device/vif/0/state",
	        "device/vbd/51712/ring-ref",
	        "device",
	        "/local/domain/0/backend/vbd/1/51712/state",
	        "@releaseDomain",
	        "domid",
	        "data/aa",
	        "/local",
	};
	char payload[600];
	uint32_t type = take(in, 1) % 28, tx = take(in, 1) % 8;
	const char *path = paths[take(in, 1) % ARRAY_COUNT(paths)];
	size_t len = strlen(path), more = take(in, 1);

	memcpy(payload, path, len + 1);
	len += len != 0;
	for (; more != 0 && in->left != 0; more--) {
		payload[len++] = (char)take(in, 1);
	}
	(void)fake_store_send(vm, type, tx, payload, len);
}

static void read_some(struct input *in)
{
	for (uint32_t i = take(in, 1) % 16; i != 0; i--) {
		uint8_t bytes[64];

		if (!fake_store_get(vm, bytes, sizeof(bytes))) {
			return;
		}
	}
}

/* A header with any length, or many bytes of the middle of a message. */
static void long_message(struct input *in)
{
	struct xen_xs_message header = {.type = take(in, 1) % 28, .len = take(in, 2)};
	uint8_t bytes[1024];
	uint32_t len = take(in, 2) % sizeof(bytes);

	memset(bytes, (int)take(in, 1), sizeof(bytes));
	if (header.len % 4 == 0) {
		(void)fake_store_put(vm, &header, sizeof(header));
	}
	(void)fake_store_put(vm, bytes, len);
}

static void action(struct input *in)
{
	volatile struct xen_xs_ring *ring = fake_store_ring(vm);
	uint8_t bytes[64];

	switch (take(in, 1) % 12) {
	case 0:
		for (size_t i = 0; i < sizeof(bytes); i++) {
			bytes[i] = (uint8_t)take(in, 1);
		}
		(void)fake_store_put(vm, bytes, take(in, 1) % sizeof(bytes));
		break;
	case 1:
		ring->req_prod += take(in, 2);
		break;
	case 2:
		ring->rsp_cons += take(in, 2);
		break;
	case 3:
		ring->connection = take(in, 1);
		break;
	case 4:
		(void)lifecycle_ask(&lifecycle,
		                    (take(in, 1) & 1) != 0 ? LIFECYCLE_REBOOT : LIFECYCLE_POWEROFF);
		break;
	case 5:
		read_some(in);
		break;
	case 6:
	case 7:
		long_message(in);
		break;
	default:
		message(in);
		break;
	}
	fake_guest_send(fake_store_port);
	(void)host_run_work(vm);
}

static void start(void)
{
	struct host_vm_config config = {.vm = {.disk_count = 1, .nic_count = 1, .lifecycle = &lifecycle}};

	block_ram_open(&block, medium, sizeof(medium), false, "serial");
	switch_init(&sw, "lan");
	if (!switch_add_port(&sw, &port)) {
		abort();
	}
	lifecycle_init(&lifecycle);
	config.vm.disks[0].block = &block;
	config.vm.nics[0].port = &port;
	vm = host_vm_new(&config);
	fake_reset();
	for (uint32_t page = 16; page < 24; page++) {
		(void)fake_grant(page, page >= 20);
	}
	if (!xenbus_create(vm)) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct host_snapshot *kept;
	struct input in = {data, size};

	if (kept == NULL) {
		start();
		kept = host_snapshot_take(vm);
		fake_keep(kept);
		host_snapshot_add(kept, &lifecycle, sizeof(lifecycle));
		host_snapshot_add(kept, &sw, sizeof(sw));
		host_snapshot_add(kept, &port, sizeof(port));
	} else {
		host_snapshot_restore(kept);
	}
	for (uint32_t i = 0; i < 500 && in.left != 0; i++) {
		action(&in);
	}
	fake_store_ring(vm)->connection = XENSTORE_RECONNECT;
	fake_guest_send(fake_store_port);
	(void)host_run_work(vm);
	if (fake_store_read(vm, "domid")[0] != '1' || host_vm_killed(vm)) {
		abort();
	}
	xenbus_teardown(vm);
	if (fake_holds() != 0 || !host_vm_check_no_leaks(vm)) {
		abort();
	}
	host_vm_reset(vm);
	return 0;
}

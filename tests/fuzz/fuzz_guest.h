/*
 * fuzz_guest.h - for fuzz targets of VMBus devices: the guest of tests/unit/vmbus_guest.h, made once and put back for each
 * input, and what must hold in its bus at any time.
 */
#ifndef TESTS_FUZZ_FUZZ_GUEST_H
#define TESTS_FUZZ_FUZZ_GUEST_H

#include "tests/fuzz/fuzz_input.h"

#define GUEST_MUST(condition) must(condition)
#include "tests/unit/vmbus_guest.h"

#include "backend/switch.h"
#include "vmbus/bus_private.h"

/* @port: of its network device, or NULL. As guest_new_bare() does it. */
static inline struct guest *fuzz_guest_new(struct switch_port *port, uint16_t id)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	struct host_vm_config config = {
	        .vm = {.id = id, .vcpu_count = 2, .hyperv_face = true, .memory_bytes = GUEST_MEMORY}};

	must(guest != NULL);
	clock_init(&guest->clock, 1000000000, true, 1600000000ull * 1000000000);
	block_ram_open(&guest->blocks[0], guest->disk[0], GUEST_DISK_BYTES, false, "serial-0");
	block_ram_open(&guest->blocks[1], guest->disk[1], GUEST_DISK_BYTES, true, "");
	config.vm.lifecycle = &guest->lifecycle;
	config.vm.clock = &guest->clock;
	config.vm.disk_count = 2;
	config.vm.disks[0].block = &guest->blocks[0];
	config.vm.disks[1] = (struct vm_disk_config){&guest->blocks[1], true};
	if (port != NULL) {
		config.vm.nic_count = 1;
		config.vm.nics[0].port = port;
		memcpy(config.vm.nics[0].mac, (uint8_t[6]){2, 0, 0, 0, 0, (uint8_t)id}, 6);
	}
	guest->vm = host_vm_new(&config);
	return guest;
}

/* @guest as it is now, its lists and messages too; not its disks. */
static inline struct host_snapshot *fuzz_guest_keep(struct guest *guest)
{
	struct host_snapshot *shot = host_snapshot_take(guest->vm);

	host_snapshot_add(shot, &guest->lifecycle, sizeof(guest->lifecycle));
	host_snapshot_add(shot, &guest->next_gpadl, sizeof(*guest) - offsetof(struct guest, next_gpadl));
	return shot;
}

/* The machine is there; the connection is not. */
static inline void fuzz_guest_begin(struct guest *guest)
{
	lifecycle_init(&guest->lifecycle);
	guest->next_gpadl = 0xE1E10;
	must(synic_create(guest->vm));
	must(vmbus_create(guest->vm));
	guest_synic_up(guest);
}

static inline void fuzz_guest_connect(struct guest *guest)
{
	must(guest_contact(guest, VERSION_WIN10_V5_3, 0));
	guest_get_offers(guest);
}

static inline struct vmbus *fuzz_bus(struct guest *guest)
{
	return vm_slot(guest->vm, VM_SLOT_VMBUS);
}

/* What is pinned is what the lists hold, within the quota, and each is used by who says so. */
static inline void fuzz_check_gpadls(struct guest *guest, uint64_t other_pins)
{
	const struct vmbus *bus = fuzz_bus(guest);
	uint64_t room = 0, pins = 0;

	for (uint32_t i = 0; i < VMBUS_GPADL_COUNT_MAX; i++) {
		const struct vmbus_gpadl *gpadl = bus->gpadls[i];

		if (gpadl == NULL) {
			continue;
		}
		room += gpadl->page_room;
		pins += gpadl->page_count;
		must(gpadl->page_count <= gpadl->page_room && gpadl->bus == bus);
		must(gpadl->life != GPADL_BUILDING || gpadl->use_count == 0);
		must(gpadl->life != GPADL_READY || (gpadl->words_left == 0 && gpadl->pages_left == 0 &&
		                                    gpadl->range_count == gpadl->range_target));
	}
	must(room == bus->pinned_pages && room <= bus->pinned_pages_max);
	must(pins + other_pins == host_vm_leaks(guest->vm).pins);
}

/* After a reset nothing of the guest's is held, and it may begin anew; then all is taken down. */
static inline void fuzz_guest_end(struct guest *guest, bool begin_anew)
{
	must(!host_vm_killed(guest->vm));
	if (begin_anew) {
		must(vmbus_reset(guest->vm));
		must(host_vm_leaks(guest->vm).pins == 0);
		synic_reset(guest->vm);
		guest_synic_up(guest);
		fuzz_guest_connect(guest);
	}
	vmbus_teardown(guest->vm);
	synic_teardown(guest->vm);
	host_vm_reset(guest->vm); /* panics on a leak */
}

/* Work, but not to the end: with memory that changes under it there may always be more. */
static inline void fuzz_work(struct guest *guest, uint32_t steps)
{
	while (steps-- != 0 && host_run_work_once(guest->vm)) {
	}
}

/* guest_send(), with @steps of work at most. */
static inline void fuzz_send(struct guest *guest, struct guest_channel *channel, const void *head,
                             uint32_t head_bytes, const void *payload, uint32_t len, uint32_t steps)
{
	guest_put_packet(guest, channel, head, head_bytes, payload, len);
	fuzz_work(guest, steps);
}

/* Bytes that the guest may still put without going past what the host has not read. */
static inline uint32_t fuzz_room(struct guest *guest, const struct guest_channel *channel)
{
	uint32_t read = guest_ring(guest, channel->out_at)->read_index % channel->data_bytes;

	return channel->data_bytes - (channel->write + channel->data_bytes - read) % channel->data_bytes;
}

#endif /* TESTS_FUZZ_FUZZ_GUEST_H */

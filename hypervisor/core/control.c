/*
 * control.c - start and end of guests: on the boot CPU, between exits, when no vCPU of the guest runs.
 */
#include "base/bits.h"
#include "hypervisor/core/frames.h"
#include "hypervisor/core/machine.h"

#define CPU_SECONDS_TO_NS 1000000000ull
#define CPU_SECONDS_TO_US 1000000ull

static void set_config(struct vm *vm)
{
	const struct blob_guest *record = vm->record;
	struct vm_config *config = &vm->config;

	config->hyperv_face = record->face != BLOB_FACE_XEN;
	config->xen_face = record->face != BLOB_FACE_HYPERV;
	config->vcpu_count = record->vcpu_count;
	config->memory_bytes = record->memory_bytes;
	memcpy(config->uuid, "janus-guest-0000", sizeof(config->uuid));
	config->uuid[14] = (uint8_t)('0' + config->id / 10);
	config->uuid[15] = (uint8_t)('0' + config->id % 10);
	config->console = &vm->console;
	config->clock = &vm->clock;
	config->lifecycle = &vm->lifecycle;
}

static bool open_disk(struct vm *vm, uint32_t index)
{
	const struct blob_disk *disk = &vm->record->disks[index];
	bool read_only = (disk->flags & BLOB_DISK_READ_ONLY) != 0;
	char serial[20] = "janus-00-0";

	serial[6] = (char)('0' + vm->config.id / 10);
	serial[7] = (char)('0' + vm->config.id % 10);
	serial[9] = (char)('0' + index);
	if (disk->kind == BLOB_DISK_RAM) {
		const struct host_module *module = config_module(vm->blob, disk->module);

		if (module == NULL) {
			log_line("guest %s: disk %u: its module is not there", vm->name, index);
			return false;
		}
		block_ram_open(&vm->disks[index], host_direct(module->start), module->bytes, read_only,
		               serial);
	} else if (!host_disk_open(&vm->disks[index], disk->kind == BLOB_DISK_PARTITION, disk->source,
	                           read_only, serial)) {
		log_line("guest %s: disk %u: no host %s is named \"%s\"", vm->name, index,
		         disk->kind == BLOB_DISK_PARTITION ? "partition" : "disk", disk->source);
		return false;
	}
	vm->config.disks[index] = (struct vm_disk_config){&vm->disks[index], read_only};
	return true;
}

static bool open_devices(struct vm *vm)
{
	const struct blob_guest *record = vm->record;

	vm->config.disk_count = record->disk_count;
	for (uint32_t i = 0; i < record->disk_count; i++) {
		if (!open_disk(vm, i)) {
			return false;
		}
	}
	vm->config.nic_count = record->nic_count;
	for (uint32_t i = 0; i < record->nic_count; i++) {
		if (!switch_add_port(&switches[record->nics[i].switch_index], &vm->ports[i])) {
			log_line("guest %s: nic %u: the switch has no free port", vm->name, i);
			return false;
		}
		vm->config.nics[i].port = &vm->ports[i];
		memcpy(vm->config.nics[i].mac, record->nics[i].mac, 6);
		switch_set_address(&vm->ports[i], record->nics[i].mac);
	}
	return true;
}

static void close_devices(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->config.disk_count; i++) {
		host_disk_close(&vm->disks[i]);
	}
	for (uint32_t i = 0; i < vm->config.nic_count; i++) {
		if (vm->ports[i].owner != NULL) {
			switch_remove_port(&vm->ports[i]);
		}
	}
}

static uint32_t giving_back_count; /* atomic; changed by the boot CPU */

static void set_giving_back(struct vm *vm, bool on)
{
	if (vm->giving_back != on) {
		vm->giving_back = on;
		__atomic_add_fetch(&giving_back_count, on ? 1u : ~0u, __ATOMIC_RELAXED);
	}
}

bool control_is_giving_back(void)
{
	return __atomic_load_n(&giving_back_count, __ATOMIC_RELAXED) != 0;
}

/* The clocks and what stands before any memory: cannot fail. */
static void set_origin(struct vm *vm)
{
	uint64_t since_boot;

	vm->tsc_base = tsc_read();
	since_boot = mul_div(vm->tsc_base - host_boot_tsc(), CPU_SECONDS_TO_NS, host_tsc_hz());
	clock_init(&vm->clock, host_tsc_hz(), host_tsc_stable(), host_wall_ns_at_boot() + since_boot);
	console_init(&vm->console, vm->name, &log_console_sink);
	lifecycle_init(&vm->lifecycle);
	spin_init(&vm->work_lock, RANK_WORK);
	list_init(&vm->work);
	memset(vm->slots, 0, sizeof(vm->slots));
	memset(vm->ports, 0, sizeof(vm->ports));
	vm->heap_bytes = 0;
	vm->page_count = 0;
	vm->pin_count = 0;
	set_giving_back(vm, false);
	vm->stop_reason[0] = 0;
	vm->quiescing = false;
	__atomic_store_n(&vm->stopping, VM_NOT_STARTED, __ATOMIC_SEQ_CST);
}

static bool make_vcpus(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->config.vcpu_count; i++) {
		if (!vcpu_create(vm, i)) {
			return false;
		}
	}
	return true;
}

static void release(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->config.vcpu_count; i++) {
		if (vm->vcpus[i] != NULL) {
			vcpu_destroy(vm->vcpus[i]);
		}
	}
	close_devices(vm);
	if (vm->p2m.root.v != 0) {
		p2m_destroy(&vm->p2m);
	}
}

/* NULL, or why not: empty if the log has it already. */
static const char *assemble(struct vm *vm)
{
	if (vm->counts == NULL) {
		vm->counts = heap_alloc(sizeof(struct spec_count) * SPEC_TABLE_COUNT * (SPEC_ROW_MAX + 1));
	}
	if (vm->counts == NULL) {
		return ": too little memory for its counts";
	}
	if (!open_devices(vm)) {
		return "";
	}
	if (!p2m_create(&vm->p2m, (uint16_t)vm->config.id)) {
		return ": too little memory for its page tables";
	}
	if (!make_vcpus(vm)) {
		return ": too little memory for its vCPUs";
	}
	if (!board_init(&vm->board, board_env_of(vm), vm->config.vcpu_count)) {
		return ": its board could not be made";
	}
	return build_guest(vm) ? NULL : "";
}

/* A start or an end is under way. Both take long and let interrupts in, and so control_poll() comes here again. */
static bool busy;

/* Nothing is left of a start that failed, also not what was asked meanwhile. */
static bool not_started(struct vm *vm, const char *why)
{
	release(vm);
	vm->life = VM_OFF;
	vm->destroy_asked = false;
	log_line("guest %s: not started%s", vm->name, why);
	return false;
}

static bool control_start(struct vm *vm)
{
	const char *why;

	vm->life = VM_STARTING;
	vm->start_asked = false;
	set_config(vm);
	set_origin(vm);
	vm->p2m.root = hpa(0);
	why = assemble(vm);
	if (why != NULL) {
		return not_started(vm, why);
	}
	if (!wiring_create(vm)) {
		wiring_teardown(vm);
		return not_started(vm, ": its face did not get what it needs");
	}
	vm->life = VM_RUNNING;
	vm->start_count++;
	__atomic_store_n(&vm->stopping, 0, __ATOMIC_SEQ_CST);
	log_line("guest %s: started: %s, %u vCPUs, %lu MiB", vm->name,
	         vm->config.xen_face ? (vm->config.hyperv_face ? "both faces" : "Xen face") : "Hyper-V face",
	         vm->config.vcpu_count, (unsigned long)(vm->config.memory_bytes >> 20));
	if (vm->destroy_asked) {
		vm->destroy_asked = false;
		vm_destroy(vm);
	}
	vcpu_request(vm->vcpus[0], REQUEST_LOOK);
	return true;
}

void control_ask_start(struct vm *vm)
{
	vm->start_asked = true;
}

void control_ask_destroy(struct vm *vm)
{
	vm->start_asked = false; /* asked before, and not begun yet */
	if (vm->life == VM_STARTING) {
		vm->destroy_asked = true;
	} else if (vm->life == VM_RUNNING || vm->life == VM_ENDING) {
		vm_destroy(vm);
	}
}

static const char *end_text(uint32_t how)
{
	switch (how) {
	case 1 + VM_STOP_POWEROFF:
		return "powered off";
	case 1 + VM_STOP_REBOOT:
		return "rebooted";
	case 1 + VM_STOP_CRASH:
		return "crashed";
	case 1 + VM_STOP_SUSPEND:
		return "suspended itself, which is not offered";
	case VM_DESTROYED:
		return "destroyed";
	default:
		return "killed";
	}
}

static void finish(struct vm *vm)
{
	uint32_t how = vm->stopping;

	console_flush(&vm->console);
	log_line("guest %s: %s: %s", vm->name, end_text(how), vm->stop_reason);
	vm->life = VM_ENDING;
	wiring_teardown(vm);
	resources_note_leaks(vm);
	release(vm);
	set_giving_back(vm, true);
	vm->life = how == 1 + VM_STOP_CRASH || how == VM_KILLED ? VM_CRASHED : VM_OFF;
	if (how == 1 + VM_STOP_REBOOT && vm->stopping == how) {
		(void)control_start(vm);
	} else if (vm->stopping != how) { /* a destroy came while it was taken apart */
		log_line("guest %s: %s: it does not come back", vm->name, end_text(vm->stopping));
	}
}

/* Frames wait until no CPU can reach them any more: then the last of it is free, which a restart would not show. */
static void note_given_back(struct vm *vm)
{
	uint64_t ticks = tsc_read() - vm->stop_tsc;

	if (vm->giving_back && frames_limbo_of(vm->config.id) == 0) {
		set_giving_back(vm, false);
		log_line("guest %s: all that it had is free, %lu us after its end", vm->name,
		         (unsigned long)mul_div(ticks, CPU_SECONDS_TO_US, host_tsc_hz()));
	}
}

static bool any_guest_runs(void)
{
	for (uint32_t i = 0; i < vm_count_all; i++) {
		if (vms[i].life == VM_RUNNING) {
			return true;
		}
	}
	return false;
}

/*
 * All vCPUs are off their CPUs. What another CPU had begun for the guest (a timer's callback, the last line of
 * blocking a vCPU) ends before that CPU takes interrupts again; so a guest is taken apart only after each has.
 */
static bool is_quiet(struct vm *vm)
{
	bool quiet = true;

	if (!vm->quiescing) {
		for (uint32_t i = 0; i < cpu_count(); i++) {
			vm->quiet_passes[i] = __atomic_load_n(&cpus[i].passes, __ATOMIC_SEQ_CST);
			if (i != cpu_self()) {
				cpu_kick(i);
			}
		}
		vm->quiescing = true;
		return false;
	}
	for (uint32_t i = 0; i < cpu_count(); i++) {
		quiet = quiet && (i == cpu_self() ||
		                  vm->quiet_passes[i] != __atomic_load_n(&cpus[i].passes, __ATOMIC_SEQ_CST));
	}
	for (uint32_t i = 0; i < vm->config.disk_count; i++) {
		quiet = quiet && __atomic_load_n(&vm->disks[i].in_flight, __ATOMIC_ACQUIRE) == 0;
	}
	return quiet;
}

void control_poll(void)
{
	static bool said_idle = true; /* nothing has run yet */

	if (busy) {
		return;
	}
	busy = true;
	for (uint32_t i = 0; i < vm_count_all; i++) {
		struct vm *vm = &vms[i];

		if (vm->life == VM_RUNNING && __atomic_load_n(&vm->stopping, __ATOMIC_SEQ_CST) != 0 &&
		    (this_cpu()->current == NULL || this_cpu()->current->vm != vm) && sched_vm_is_idle(vm) &&
		    is_quiet(vm)) {
			finish(vm);
		}
		note_given_back(vm);
		if (vm->start_asked && (vm->life == VM_OFF || vm->life == VM_CRASHED)) {
			(void)control_start(vm);
		}
	}
	if (any_guest_runs()) {
		said_idle = false;
	} else if (!said_idle) {
		said_idle = true;
		log_line("no guest runs");
	}
	busy = false;
}

void control_init(void)
{
	uint32_t wanted = 0;
	uint32_t started = 0;

	busy = true;
	for (uint32_t i = 0; i < vm_count_all; i++) {
		if (vms[i].autostart) {
			wanted++;
			started += control_start(&vms[i]) ? 1 : 0;
		}
	}
	busy = false;
	if (wanted != 0 && started == 0) {
		log_line("cannot start: none of the guests could be started");
		log_flush_all();
		host_exit(HOST_EXIT_CONFIGURATION);
	}
}

/*
 * monitor.c - commands on COM1: Ctrl-A switches between a guest's console and the monitor.
 */
#include "hypervisor/core/frames.h"
#include "hypervisor/core/log.h"
#include "hypervisor/core/machine.h"
#include "hypervisor/drivers/uart.h"

#define KEY_MONITOR 1 /* Ctrl-A */
#define LINE_BYTES 80u
#define KEYS_AT_ONCE 16u

static struct {
	bool active; /* keys are commands, not a guest's */
	struct vm *guest; /* whose console gets the keys otherwise */
	char line[LINE_BYTES];
	uint32_t len;
} monitor = {.active = true};

struct command {
	const char *name;
	void (*run)(struct vm *vm);
	bool takes_guest;
	const char *help;
};

static const char *life_text(const struct vm *vm)
{
	static const char *const texts[] = {
	        [VM_EMPTY] = "empty",     [VM_OFF] = "off",       [VM_STARTING] = "starting",
	        [VM_RUNNING] = "running", [VM_ENDING] = "ending", [VM_CRASHED] = "crashed",
	};

	return texts[vm->life];
}

static void run_guests(struct vm *unused)
{
	(void)unused;
	for (uint32_t i = 0; i < vm_count_all; i++) {
		const struct vm *vm = &vms[i];

		log_reply("%-12s %-8s %s%s vcpus %u memory %lu MiB starts %u %s", vm->name, life_text(vm),
		          vm->record->face != BLOB_FACE_XEN ? "hyperv " : "",
		          vm->record->face != BLOB_FACE_HYPERV ? "xen" : "", vm->record->vcpu_count,
		          (unsigned long)(vm->record->memory_bytes >> 20), vm->start_count, vm->stop_reason);
	}
}

static void run_console(struct vm *vm)
{
	monitor.guest = vm;
	monitor.active = false;
	log_reply("keys go to %s; Ctrl-A comes back", vm->name);
}

static void run_start(struct vm *vm)
{
	if (vm->life == VM_RUNNING || vm->life == VM_STARTING) {
		log_reply("%s runs already", vm->name);
	} else {
		control_ask_start(vm);
	}
}

static bool must_run(const struct vm *vm)
{
	if (vm->life != VM_RUNNING) {
		log_reply("%s does not run: start %s", vm->name, vm->name);
	}
	return vm->life == VM_RUNNING;
}

static void ask(struct vm *vm, enum lifecycle_request request)
{
	if (must_run(vm)) {
		log_reply(lifecycle_ask(&vm->lifecycle, request)
		                  ? "%s was asked"
		                  : "%s has no driver yet that could be asked: destroy it, or wait",
		          vm->name);
	}
}

static void run_shutdown(struct vm *vm)
{
	ask(vm, LIFECYCLE_POWEROFF);
}

static void run_reboot(struct vm *vm)
{
	ask(vm, LIFECYCLE_REBOOT);
}

static void run_destroy(struct vm *vm)
{
	if (vm->start_asked && (vm->life == VM_OFF || vm->life == VM_CRASHED)) {
		log_reply("%s does not start after all", vm->name);
		control_ask_destroy(vm);
	} else if (vm->life == VM_STARTING || vm->life == VM_ENDING || must_run(vm)) {
		control_ask_destroy(vm);
	}
}

static void stats_devices(const struct vm *vm)
{
	for (uint32_t i = 0; i < vm->config.disk_count; i++) {
		const struct block *b = &vm->disks[i];

		log_reply("disk %u: reads %lu writes %lu flushes %lu errors %lu", i,
		          (unsigned long)b->read_count, (unsigned long)b->write_count,
		          (unsigned long)b->flush_count, (unsigned long)b->error_count);
	}
	for (uint32_t i = 0; i < vm->config.nic_count; i++) {
		const struct switch_counts *c = &vm->ports[i].counts;

		log_reply("nic %u: sent %lu frames %lu bytes, received %lu frames %lu bytes, dropped %lu, "
		          "spoofed %lu, whole %lu, segmented %lu",
		          i, (unsigned long)c->sent_frames, (unsigned long)c->sent_bytes,
		          (unsigned long)c->received_frames, (unsigned long)c->received_bytes,
		          (unsigned long)c->dropped_frames, (unsigned long)c->spoofed_frames,
		          (unsigned long)c->sent_whole, (unsigned long)c->sent_segmented);
	}
	log_reply("heartbeats %lu", (unsigned long)vm->lifecycle.heartbeat_count);
}

static void stats_vcpus(const struct vm *vm)
{
	for (uint32_t i = 0; vm->life == VM_RUNNING && i < vm->config.vcpu_count; i++) {
		const struct vcpu *v = vm->vcpus[i];

		log_reply("vcpu %u: exits %lu: cpuid %lu hlt %lu pause %lu call %lu port %lu msr %lu memory "
		          "%lu "
		          "host %lu window %lu",
		          i, (unsigned long)v->exit_count, (unsigned long)v->exits_by_reason[HVM_EXIT_CPUID],
		          (unsigned long)v->exits_by_reason[HVM_EXIT_HLT],
		          (unsigned long)v->exits_by_reason[HVM_EXIT_PAUSE],
		          (unsigned long)v->exits_by_reason[HVM_EXIT_HYPERCALL],
		          (unsigned long)v->exits_by_reason[HVM_EXIT_IO],
		          (unsigned long)v->exits_by_reason[HVM_EXIT_MSR],
		          (unsigned long)v->exits_by_reason[HVM_EXIT_MEMORY],
		          (unsigned long)v->exits_by_reason[HVM_EXIT_HOST],
		          (unsigned long)v->exits_by_reason[HVM_EXIT_WINDOW]);
	}
}

/* What one looks at when a guest stands still: where each vCPU is, and what it waits for or is to get. */
static void run_vcpus(struct vm *vm)
{
	static const char *const lives[] = {"waits for SIPI", "down", "up"};
	static const char *const places[] = {"blocked", "queued", "on"};

	if (!must_run(vm)) {
		return;
	}
	for (uint32_t i = 0; i < vm->config.vcpu_count; i++) {
		const struct vcpu *v = vm->vcpus[i];

		log_reply("vcpu %u: %s, %s cpu %u, halted %u waiting %u rip %lx flags %lx", i, lives[v->life],
		          places[v->place], v->cpu, v->halted, v->waiting, (unsigned long)v->hvm.regs.rip,
		          (unsigned long)v->hvm.regs.rflags);
		log_reply("vcpu %u: requests %x, to inject %u vector %u, last injected %u vector %u, "
		          "pending in its APIC %d, shadow at %lx",
		          i, v->requests, v->hvm.inject.kind, v->hvm.inject.vector, v->last_injected.kind,
		          v->last_injected.vector, vlapic_pending(board_lapic(&vm->board, i)),
		          (unsigned long)v->shadow_rip);
	}
}

static void run_stats(struct vm *vm)
{
	for (uint32_t table = 0; vm->counts != NULL && table < SPEC_TABLE_COUNT; table++) {
		for (uint32_t row = 0; row <= SPEC_ROW_MAX; row++) {
			const struct spec_count *c = &vm->counts[table * (SPEC_ROW_MAX + 1) + row];

			if (c->used != 0 || c->refused != 0) {
				log_reply("%s %s: used %lu refused %lu", stats_table_text(table),
				          stats_row_name(table, row), (unsigned long)c->used,
				          (unsigned long)c->refused);
			}
		}
	}
	stats_vcpus(vm);
	stats_devices(vm);
}

static void run_memory(struct vm *unused)
{
	(void)unused;
	log_reply("free %lu MiB of %lu, in limbo %lu KiB", (unsigned long)(frames_free_count() >> 8),
	          (unsigned long)(frames_total_count() >> 8), (unsigned long)(frames_limbo_count() * 4));
	for (uint32_t i = 0; i < vm_count_all; i++) {
		log_reply("%-12s RAM %lu KiB, %u of 1 GiB, pages of ours %lu, heap %lu bytes", vms[i].name,
		          (unsigned long)(vms[i].p2m.ram_pages * 4), vms[i].p2m.huge_count,
		          (unsigned long)vms[i].page_count, (unsigned long)vms[i].heap_bytes);
	}
}

static void run_resources(struct vm *unused)
{
	(void)unused;
	for (uint32_t i = 0; i < vm_count_all; i++) {
		struct resources r;

		resources_get(&vms[i], &r);
		log_reply(
		        "%s holds: pages %lu, ours %lu, limbo %lu, heap %lu, pins %lu, timers %u, ports %u, "
		        "grants %u, buffers %u, channels %u",
		        vms[i].name, (unsigned long)r.ram_pages, (unsigned long)r.page_count,
		        (unsigned long)r.limbo_pages, (unsigned long)r.heap_bytes, (unsigned long)r.pin_count,
		        r.timer_count, r.face.ports, r.face.grants, r.face.buffers, r.face.channels);
	}
	log_reply("free %lu pages of %lu, in limbo %lu", (unsigned long)frames_free_count(),
	          (unsigned long)frames_total_count(), (unsigned long)frames_limbo_count());
}

static void run_log(struct vm *unused)
{
	(void)unused;
	log_replay();
}

static void run_quit(struct vm *unused)
{
	(void)unused;
	log_reply("Janus ends");
	log_flush_all();
	host_exit(1);
}

static void run_cpus(struct vm *unused)
{
	(void)unused;
	for (uint32_t i = 0; i < cpu_count(); i++) {
		log_reply("cpu %u: longest stretch without interrupts %lu ticks after exit %lx, runs %s", i,
		          (unsigned long)cpus[i].longest_ticks, (unsigned long)cpus[i].longest_code,
		          cpus[i].current == NULL ? "nothing" : cpus[i].current->vm->name);
	}
}

static void run_exits(struct vm *unused)
{
	(void)unused;
	for (uint32_t i = 0; i < cpu_count(); i++) {
		stats_exits(i, log_reply);
	}
}

static void run_help(struct vm *unused);

static const struct command commands[] = {
        {"guests", run_guests, false, "what guests there are"},
        {"console", run_console, true, "send keys to a guest; Ctrl-A comes back"},
        {"start", run_start, true, "start a guest that is off"},
        {"shutdown", run_shutdown, true, "ask a guest to power off"},
        {"reboot", run_reboot, true, "ask a guest to restart"},
        {"destroy", run_destroy, true, "end a guest at once"},
        {"stats", run_stats, true, "what a guest touched: offered, used, refused"},
        {"vcpus", run_vcpus, true, "where a guest's vCPUs are, what they wait for"},
        {"exits", run_exits, false, "the last exits on each host CPU"},
        {"memory", run_memory, false, "where memory is"},
        {"resources", run_resources, false, "what each guest holds: pages, pins, ports, grants"},
        {"cpus", run_cpus, false, "host CPUs"},
        {"log", run_log, false, "the last lines of the log"},
        {"quit", run_quit, false, "end Janus (an emulator ends too)"},
        {"help", run_help, false, "this list"},
};

static void run_help(struct vm *unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
		log_reply("%-9s %-5s %s", commands[i].name, commands[i].takes_guest ? "NAME" : "",
		          commands[i].help);
	}
}

/* Is @word, up to a blank or the end, @name? */
static bool word_is(const char *word, const char *name)
{
	while (*name != 0 && *word == *name) {
		word++;
		name++;
	}
	return *name == 0 && (*word == 0 || *word == ' ');
}

static struct vm *guest_named(const char *name)
{
	for (uint32_t i = 0; i < vm_count_all; i++) {
		if (word_is(name, vms[i].name)) {
			return &vms[i];
		}
	}
	return NULL;
}

static void execute(char *line)
{
	const char *argument = line;

	while (*argument != 0 && *argument != ' ') {
		argument++;
	}
	while (*argument == ' ') {
		argument++;
	}
	for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
		struct vm *vm = commands[i].takes_guest ? guest_named(argument) : NULL;

		if (!word_is(line, commands[i].name)) {
			continue;
		}
		if (commands[i].takes_guest && vm == NULL) {
			log_reply("no guest named \"%s\": guests lists them", argument);
			return;
		}
		commands[i].run(vm);
		return;
	}
	log_reply("no command \"%s\": help lists them", line);
}

static void take_command_key(char c)
{
	if (c == '\r' || c == '\n') {
		monitor.line[monitor.len] = 0;
		if (monitor.len != 0) {
			execute(monitor.line);
		}
		monitor.len = 0;
	} else if ((c == 8 || c == 127) && monitor.len != 0) {
		monitor.len--;
	} else if (c >= ' ' && monitor.len < LINE_BYTES - 1) {
		monitor.line[monitor.len++] = c;
	}
}

static void take_key(char c)
{
	if (c == KEY_MONITOR) {
		monitor.active = true;
		monitor.len = 0;
		log_reply("monitor: help lists the commands");
	} else if (monitor.active) {
		take_command_key(c);
	} else if (monitor.guest != NULL && monitor.guest->life == VM_RUNNING) {
		(void)console_input(&monitor.guest->console, &c, 1);
	}
}

void monitor_poll(void)
{
	static bool busy; /* a command may take long and let interrupts in */

	if (busy) {
		return;
	}
	busy = true;
	for (uint32_t i = 0; i < KEYS_AT_ONCE; i++) {
		int key = uart_get();

		if (key < 0) {
			break;
		}
		take_key((char)key);
	}
	busy = false;
}

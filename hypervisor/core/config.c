/*
 * config.c - reads the configuration blob (base/blob.h) and checks that every module arrived whole.
 *
 * A bad header stops Janus with one line; a bad record, or a module that is not whole, costs only the guests
 * that need it.
 */
#include "hypervisor/core/machine.h"

NORETURN static void stop(const char *what, const char *why)
{
	log_line("cannot start: %s: %s", what, why);
	log_flush_all();
	host_exit(HOST_EXIT_CONFIGURATION);
}

static bool text_equal(const char *a, const char *b)
{
	while (*a != 0 && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static const struct host_module *module_named(const char *name)
{
	const struct host_boot *boot = host_boot();

	for (uint32_t i = 0; i < boot->module_count; i++) {
		if (text_equal(boot->modules[i].string, name)) {
			return &boot->modules[i];
		}
	}
	return NULL;
}

static uint8_t module_state[BLOB_MODULES_MAX]; /* 0 not looked at, 1 whole, 2 not */

static bool check_module(const struct blob_module *row, const struct host_module *module)
{
	if (module == NULL) {
		log_line("module %s is missing: add it to GRUB's menu entry", row->name);
		return false;
	}
	if (module->bytes != row->bytes) {
		log_line("module %s did not arrive whole: %lu bytes of %lu", row->name,
		         (unsigned long)module->bytes, (unsigned long)row->bytes);
		return false;
	}
	if (blob_sum(host_direct(module->start), module->bytes) != row->sum) {
		log_line("module %s did not arrive whole: its checksum is wrong", row->name);
		return false;
	}
	return true;
}

const struct host_module *config_module(const struct blob_header *blob, uint32_t index)
{
	const struct blob_module *row = &blob_modules(blob)[index];
	const struct host_module *module = module_named(row->name);

	if (module_state[index] == 0) {
		module_state[index] = check_module(row, module) ? 1 : 2;
	}
	return module_state[index] == 1 ? module : NULL;
}

static void take_guest(const struct blob_header *blob, uint32_t index)
{
	const struct blob_guest *record = blob_guest_record(blob, index);
	enum blob_status status = blob_check_guest(blob, index);
	struct vm *vm = &vms[vm_count_all];

	if (status != BLOB_OK) {
		log_line("guest %s left out: its record: %s", blob_guest_rows(blob)[index].name,
		         blob_status_text(status));
		return;
	}
	memcpy(vm->name, record->name, sizeof(vm->name));
	vm->record = record;
	vm->blob = blob;
	vm->life = VM_OFF;
	vm->config.id = index + 1;
	vm->config.name = vm->name;
	vm->autostart = (record->flags & BLOB_GUEST_AUTOSTART) != 0;
	vm_count_all++;
}

void config_load(void)
{
	const struct host_module *module = module_named(BLOB_MODULE_NAME);
	const struct blob_header *blob;
	enum blob_status status;

	if (module == NULL) {
		stop("no configuration module", "add janus.blob to GRUB's menu entry: module2 --nounzip");
	}
	blob = host_direct(module->start);
	status = blob_check_header(blob, module->bytes);
	if (status != BLOB_OK) {
		stop("configuration " BLOB_MODULE_NAME, blob_status_text(status));
	}
	if (blob->guest_count == 0) {
		stop("configuration " BLOB_MODULE_NAME, "no guest in it: add a [[guest]] to janus.toml");
	}
	for (uint32_t i = 0; i < blob->switch_count; i++) {
		switch_init(&switches[i], blob_switches(blob)[i].name);
	}
	for (uint32_t i = 0; i < blob->guest_count; i++) {
		take_guest(blob, i);
	}
	sched_keep_boot_cpu((blob->flags & BLOB_KEEP_BOOT_CPU) != 0);
	if (vm_count_all == 0) {
		stop("configuration " BLOB_MODULE_NAME, "no guest's record in it is whole");
	}
}

/*
 * module_test.c - a module that GRUB brings arrives with any one bit changed, cut at any length, or
 * not at all: core/config.c says so in one line; a bad header stops Janus, a bad record costs that
 * guest only, a bad module only those that need it.
 *
 * Core's own file, with the few functions that it asks of the rest of core played here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor/core/config.c"
#include "tests/unit/unit.h"

#define GUESTS 2u
#define MODULES 2u
#define MODULE_BYTES 203u

struct vm vms[VM_COUNT_MAX];
uint32_t vm_count_all;
struct ether_switch switches[BLOB_SWITCHES_MAX];

static struct host_boot boot;
static jmp_buf stopped;
static uint32_t lines;
static char last_line[256];
static bool full;

const struct host_boot *host_boot(void)
{
	return &boot;
}

void host_exit(unsigned int code)
{
	CU_ASSERT_EQUAL(code, HOST_EXIT_CONFIGURATION);
	longjmp(stopped, 1);
}

void log_flush_all(void)
{
}

void log_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(last_line, sizeof(last_line), format, args);
	va_end(args);
	lines++;
}

void sched_keep_boot_cpu(bool keep)
{
	(void)keep;
}

/* ------------------------------------------------------------------ whole modules */

/* Its own memory, of exactly its length, so that a step too far is seen. */
struct module {
	uint8_t *bytes;
	size_t count;
};

static struct module blob, files[MODULES];

static void fill_record(struct blob_guest *guest, uint32_t index)
{
	*guest = (struct blob_guest){
		.record_bytes = sizeof(*guest),
		.face = 1 + index,
		.vcpu_count = 1,
		.memory_bytes = 64u << 20,
		.kernel_kind = BLOB_KERNEL_PVH_ELF,
		.kernel_module = index,
	};
	(void)snprintf(guest->name, sizeof(guest->name), "guest%u", (unsigned int)index);
	guest->crc32 = blob_crc32_hole(guest, sizeof(*guest), offsetof(struct blob_guest, crc32));
}

static void make_modules(void)
{
	struct blob_header *header;
	struct blob_module *rows;
	struct blob_guest_row *guests;
	size_t tables = sizeof(*header) + sizeof(struct blob_switch) + MODULES * sizeof(*rows) +
			GUESTS * sizeof(*guests);

	blob.count = tables + GUESTS * sizeof(struct blob_guest);
	blob.bytes = calloc(1, blob.count);
	header = (void *)blob.bytes;
	*header = (struct blob_header){.version = BLOB_VERSION, .header_bytes = (uint32_t)tables,
				       .total_bytes = (uint32_t)blob.count, .guest_count = GUESTS,
				       .switch_count = 1, .module_count = MODULES};
	memcpy(header->magic, BLOB_MAGIC, sizeof(header->magic));
	memcpy(((struct blob_switch *)(uintptr_t)blob_switches(header))->name, "lan", 4);
	rows = (struct blob_module *)(uintptr_t)blob_modules(header);
	guests = (struct blob_guest_row *)(uintptr_t)blob_guest_rows(header);
	for (uint32_t i = 0; i < MODULES; i++) {
		files[i].count = MODULE_BYTES + i;
		files[i].bytes = malloc(files[i].count);
		for (size_t n = 0; n < files[i].count; n++) {
			files[i].bytes[n] = (uint8_t)(n * 37 + i);
		}
		(void)snprintf(rows[i].name, sizeof(rows[i].name), "file%u", (unsigned int)i);
		rows[i].bytes = files[i].count;
		rows[i].sum = blob_sum(files[i].bytes, files[i].count);
	}
	for (uint32_t i = 0; i < GUESTS; i++) {
		(void)snprintf(guests[i].name, sizeof(guests[i].name), "guest%u", (unsigned int)i);
		guests[i].offset = (uint32_t)(tables + i * sizeof(struct blob_guest));
		guests[i].bytes = sizeof(struct blob_guest);
		fill_record((void *)(blob.bytes + guests[i].offset), i);
	}
	header->crc32 = blob_crc32_hole(blob.bytes, tables, offsetof(struct blob_header, crc32));
}

static void free_modules(void)
{
	free(blob.bytes);
	for (uint32_t i = 0; i < MODULES; i++) {
		free(files[i].bytes);
	}
}

static void boot_add(const char *name, const struct module *module)
{
	struct host_module *row = &boot.modules[boot.module_count++];

	row->start = hpa((uint64_t)(uintptr_t)module->bytes - HOST_DIRECT_BASE);
	row->bytes = module->count;
	(void)snprintf(row->string, sizeof(row->string), "%s", name);
}

/* False: Janus stopped. */
static bool load(const struct module *blob_now, const struct module *file0)
{
	memset(&boot, 0, sizeof(boot));
	memset(vms, 0, sizeof(vms));
	memset(module_state, 0, sizeof(module_state));
	vm_count_all = 0;
	lines = 0;
	if (blob_now != NULL) {
		boot_add(BLOB_MODULE_NAME, blob_now);
	}
	if (file0 != NULL) {
		boot_add("file0", file0);
	}
	boot_add("file1", &files[1]);
	if (setjmp(stopped) != 0) {
		CU_ASSERT_TRUE_FATAL(lines >= 1);
		return false;
	}
	config_load();
	return true;
}

static struct module copy_of(const struct module *module, size_t count)
{
	struct module copy = {.bytes = malloc(count != 0 ? count : 1), .count = count};

	memcpy(copy.bytes, module->bytes, count);
	return copy;
}

static void report(const char *what, unsigned long long points, const char *note)
{
	printf("\nfault: %-34s %-7s %9llu %s\n", what, "both", points, note);
}

/* ------------------------------------------------------------------ what can be wrong */

static void test_whole(void)
{
	make_modules();
	CU_ASSERT_TRUE(load(&blob, &files[0]));
	CU_ASSERT_EQUAL(vm_count_all, GUESTS);
	CU_ASSERT_EQUAL(lines, 0);
	CU_ASSERT_PTR_NOT_NULL(config_module((void *)blob.bytes, 0));
	CU_ASSERT_PTR_NOT_NULL(config_module((void *)blob.bytes, 1));
	CU_ASSERT_FALSE(load(NULL, &files[0]));
	CU_ASSERT_EQUAL(lines, 1);
	free_modules();
}

static void test_blob_bits(void)
{
	size_t tables, bits;

	make_modules();
	tables = ((struct blob_header *)(void *)blob.bytes)->header_bytes;
	bits = blob.count * 8;
	for (size_t bit = 0; bit < bits; bit += full ? 1 : 7) {
		struct module bad = copy_of(&blob, blob.count);
		bool goes;

		bad.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		goes = load(&bad, &files[0]);
		CU_ASSERT_EQUAL_FATAL(goes, bit / 8 >= tables);
		CU_ASSERT_EQUAL_FATAL(lines, 1);
		CU_ASSERT_EQUAL_FATAL(vm_count_all, goes ? GUESTS - 1 : 0);
		if (goes) { /* the one that is whole is the other */
			size_t hit = (bit / 8 - tables) / sizeof(struct blob_guest);

			CU_ASSERT_EQUAL_FATAL(vms[0].config.id, 2 - hit);
		}
		free(bad.bytes);
	}
	report("configuration: a bit changed", bits / (full ? 1 : 7), "bits");
	free_modules();
}

static void test_blob_cut(void)
{
	make_modules();
	for (size_t count = 0; count < blob.count; count++) {
		struct module bad = copy_of(&blob, count);

		CU_ASSERT_FALSE_FATAL(load(&bad, &files[0]));
		CU_ASSERT_EQUAL_FATAL(lines, 1);
		free(bad.bytes);
	}
	report("configuration: cut short", blob.count, "lengths");
	free_modules();
}

static void file_is_refused(const struct module *bad)
{
	CU_ASSERT_TRUE_FATAL(load(&blob, bad));
	for (uint32_t i = 0; i < 2; i++) { /* said once */
		CU_ASSERT_PTR_NULL_FATAL(config_module((void *)blob.bytes, 0));
		CU_ASSERT_EQUAL_FATAL(lines, 1);
	}
	CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(last_line, "file0"));
	CU_ASSERT_PTR_NOT_NULL_FATAL(config_module((void *)blob.bytes, 1));
	CU_ASSERT_EQUAL_FATAL(lines, 1);
}

static void test_module(void)
{
	uint64_t points = 1;

	make_modules();
	file_is_refused(NULL);
	for (size_t count = 0; count < files[0].count; count++, points++) {
		struct module bad = copy_of(&files[0], count);

		file_is_refused(&bad);
		free(bad.bytes);
	}
	for (size_t bit = 0; bit < files[0].count * 8; bit++, points++) {
		struct module bad = copy_of(&files[0], files[0].count);

		bad.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		file_is_refused(&bad);
		free(bad.bytes);
	}
	report("module: a bit changed, cut, missing", points, "bits and lengths");
	free_modules();
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {UNIT_TEST(test_whole), UNIT_TEST(test_blob_bits),
						 UNIT_TEST(test_blob_cut), UNIT_TEST(test_module)};

	full = argc > 1 && strcmp(argv[1], "--full") == 0;
	return unit_run("modules", tests, sizeof(tests) / sizeof(tests[0]));
}

/*
 * blob_fuzz.c - libFuzzer: the configuration blob as ring 0 checks and then uses it.
 *
 * A whole blob is made, some of its fields are changed, and mostly its checksums are made right again, so that
 * what stands behind them is reached. It lies in memory of exactly its length. What passes the checks is used
 * as core uses it: every index leads somewhere, every string ends.
 */
#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "base/compiler.h"
#include "tests/fuzz/fuzz_input.h"

#define BYTES_MAX 32768u

static uint8_t build[BYTES_MAX];
static size_t build_bytes;
static volatile uint64_t sink; /* so that nothing read is left out */

/* ------------------------------------------------------------------ a whole blob */

static struct blob_header *header_now(void)
{
	return (void *)build;
}

static struct blob_guest *record_at(uint32_t index)
{
	return (void *)(build + header_now()->header_bytes + index * sizeof(struct blob_guest));
}

static void fill_record(struct blob_guest *guest, uint32_t index)
{
	const struct blob_header *header = header_now();

	*guest = (struct blob_guest){
	        .record_bytes = sizeof(*guest),
	        .face = 1 + index % 3,
	        .vcpu_count = 1 + index,
	        .memory_bytes = 64u << 20,
	        .kernel_kind = 1 + index % 2,
	        .boot_module_count = 1 + index,
	        .disk_count = 2,
	        .nic_count = header->switch_count != 0 ? 1 : 0,
	        .name = "guest",
	        .cmdline = "console=ttyS0",
	};
	guest->disks[0] = (struct blob_disk){.kind = BLOB_DISK_RAM, .source = "disk.img"};
	guest->disks[1] =
	        (struct blob_disk){.kind = BLOB_DISK_PARTITION, .module = BLOB_NO_MODULE, .source = "part"};
}

static void make_blob(struct input *in)
{
	struct blob_header *header = header_now();
	struct blob_guest_row *rows;
	uint32_t raw = take8(in);

	memset(build, 0, sizeof(build));
	memcpy(header->magic, BLOB_MAGIC, sizeof(header->magic));
	header->version = BLOB_VERSION;
	header->guest_count = 1 + raw % 4;
	header->switch_count = raw / 4 % 4;
	header->module_count = 1 + raw / 16 % 4;
	rows = (struct blob_guest_row *)(uintptr_t)blob_guest_rows(header);
	header->header_bytes = (uint32_t)((uint8_t *)(rows + header->guest_count) - build);
	header->total_bytes =
	        header->header_bytes + header->guest_count * (uint32_t)sizeof(struct blob_guest);
	for (uint32_t i = 0; i < header->guest_count; i++) {
		rows[i] = (struct blob_guest_row){.name = "guest",
		                                  .offset = header->header_bytes +
		                                            i * (uint32_t)sizeof(struct blob_guest),
		                                  .bytes = sizeof(struct blob_guest)};
		fill_record(record_at(i), i);
	}
	build_bytes = header->total_bytes;
}

/* ------------------------------------------------------------------ what is wrong with it */

static uint32_t pick_number(struct input *in)
{
	static const uint32_t some[] = {0, 1, 2, 8, 9, 16, 17, 31, 32, 64, 65, UINT32_MAX, 1u << 31, 3};
	uint32_t raw = take8(in);

	return raw < 224 ? some[raw % ARRAY_COUNT(some)] : (uint32_t)take_number(in, 4);
}

static void change_record(struct blob_guest *guest, struct input *in)
{
	static const size_t fields[] = {offsetof(struct blob_guest, record_bytes),
	                                offsetof(struct blob_guest, face),
	                                offsetof(struct blob_guest, vcpu_count),
	                                offsetof(struct blob_guest, kernel_kind),
	                                offsetof(struct blob_guest, kernel_module),
	                                offsetof(struct blob_guest, boot_module_count),
	                                offsetof(struct blob_guest, boot_modules[0].module),
	                                offsetof(struct blob_guest, flags),
	                                offsetof(struct blob_guest, disk_count),
	                                offsetof(struct blob_guest, nic_count),
	                                offsetof(struct blob_guest, nics[0].switch_index),
	                                offsetof(struct blob_guest, disks[0].module),
	                                offsetof(struct blob_guest, disks[0].kind),
	                                offsetof(struct blob_guest, disks[1].module)};
	uint32_t what = take8(in), value = pick_number(in);

	switch (what % 18) {
	case 14:
		memset(guest->name, 'n', sizeof(guest->name) - what / 128);
		break;
	case 15:
		memset(guest->cmdline, 'c', sizeof(guest->cmdline) - what / 128);
		break;
	case 16:
		memset(guest->disks[1].source, 's', sizeof(guest->disks[1].source) - what / 128);
		break;
	case 17:
		memset(guest->boot_modules[0].string, 'm', sizeof(guest->boot_modules[0].string) - what / 128);
		break;
	default:
		memcpy((uint8_t *)guest + fields[what % 18], &value, sizeof(value));
		break;
	}
}

static void change_header(struct input *in)
{
	struct blob_header *header = header_now();
	size_t row = (size_t)((const uint8_t *)blob_guest_rows(header) - build);
	size_t module = (size_t)((const uint8_t *)blob_modules(header) - build);
	const size_t fields[] = {
	        offsetof(struct blob_header, guest_count),     offsetof(struct blob_header, switch_count),
	        offsetof(struct blob_header, module_count),    offsetof(struct blob_header, total_bytes),
	        offsetof(struct blob_header, header_bytes),    offsetof(struct blob_header, version),
	        row + offsetof(struct blob_guest_row, offset), row + offsetof(struct blob_guest_row, bytes)};
	uint32_t what = take8(in), value = pick_number(in), old;

	if (what % 16 < ARRAY_COUNT(fields)) {
		if (fields[what % 16] < BYTES_MAX - sizeof(value)) {
			memcpy(&old, build + fields[what % 16], sizeof(old));
			value = what / 16 % 2 != 0 ? old + value : value;
			memcpy(build + fields[what % 16], &value, sizeof(value));
		}
	} else {
		size_t name = what % 2 != 0 ? row : module;

		if (name < BYTES_MAX - BLOB_NAME_BYTES) {
			memset(build + name, 'x', BLOB_NAME_BYTES - what / 128);
		}
	}
}

static void change_byte(struct input *in)
{
	build[take_number(in, 2) % build_bytes] = (uint8_t)take8(in);
}

/* As who makes it: the sums are of what stands there, be it sense or not. */
static void sums_right(size_t bytes)
{
	struct blob_header *header = header_now();

	for (uint32_t i = 0; header->header_bytes <= bytes && i < 16; i++) {
		struct blob_guest *guest = record_at(i);

		if ((uintptr_t)(guest + 1) <= (uintptr_t)(build + bytes)) {
			guest->crc32 =
			        blob_crc32_hole(guest, sizeof(*guest), offsetof(struct blob_guest, crc32));
		}
	}
	if (header->header_bytes >= sizeof(*header) && header->header_bytes <= bytes) {
		header->crc32 =
		        blob_crc32_hole(header, header->header_bytes, offsetof(struct blob_header, crc32));
	}
}

/* ------------------------------------------------------------------ how core uses it */

static void use_text(const char *text, size_t room)
{
	size_t len = strlen(text);

	require(len < room, "a string ends in its array");
	sink += len;
}

static void use_module(const struct blob_header *header, uint32_t index)
{
	require(index < BLOB_MODULES_MAX, "a module's state has a place");
	use_text(blob_modules(header)[index].name, BLOB_NAME_BYTES);
	sink += blob_modules(header)[index].bytes + blob_modules(header)[index].sum;
}

static void use_guest(const struct blob_header *header, uint32_t index)
{
	const struct blob_guest *guest = blob_guest_record(header, index);

	use_text(guest->name, sizeof(guest->name));
	use_text(guest->cmdline, sizeof(guest->cmdline));
	use_module(header, guest->kernel_module);
	require(guest->boot_module_count <= BLOB_BOOT_MODULES_MAX, "places for boot modules");
	for (uint32_t i = 0; i < guest->boot_module_count; i++) {
		use_module(header, guest->boot_modules[i].module);
		use_text(guest->boot_modules[i].string, BLOB_BOOT_STRING_BYTES);
	}
	require(guest->kernel_kind == BLOB_KERNEL_PVH_ELF || guest->kernel_kind == BLOB_KERNEL_MULTIBOOT,
	        "a kernel that can be started");
	require(guest->vcpu_count >= 1 && guest->vcpu_count <= BLOB_VCPUS_MAX, "1 to 64 vCPUs");
	require(guest->memory_bytes >= 16u << 20, "enough memory");
	require(guest->disk_count <= BLOB_DISKS_MAX && guest->nic_count <= BLOB_NICS_MAX,
	        "places for devices");
	for (uint32_t i = 0; i < guest->disk_count; i++) {
		use_text(guest->disks[i].source, BLOB_SOURCE_BYTES);
		if (guest->disks[i].kind == BLOB_DISK_RAM) {
			use_module(header, guest->disks[i].module);
		}
	}
	for (uint32_t i = 0; i < guest->nic_count; i++) {
		require(guest->nics[i].switch_index < BLOB_SWITCHES_MAX, "a switch has a place");
		use_text(blob_switches(header)[guest->nics[i].switch_index].name, BLOB_NAME_BYTES);
	}
}

static void use_blob(const void *blob, size_t bytes)
{
	const struct blob_header *header = blob;
	enum blob_status status = blob_check_header(blob, bytes);

	sink += strlen(blob_status_text(status));
	if (status != BLOB_OK) {
		return;
	}
	require(header->guest_count <= BLOB_GUESTS_MAX && header->switch_count <= BLOB_SWITCHES_MAX,
	        "places for guests and switches");
	for (uint32_t i = 0; i < header->switch_count; i++) {
		use_text(blob_switches(header)[i].name, BLOB_NAME_BYTES);
	}
	for (uint32_t i = 0; i < header->guest_count; i++) {
		use_text(blob_guest_rows(header)[i].name, BLOB_NAME_BYTES);
		if (blob_check_guest(header, i) == BLOB_OK) {
			use_guest(header, i);
		}
	}
}

/* ------------------------------------------------------------------ an input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	bool whole = size == 0, sums;
	uint8_t *blob;
	size_t bytes;

	make_blob(&in);
	bytes = build_bytes;
	sums = whole || take8(&in) < 224;
	while (in.left != 0) {
		switch (take_below(&in, 8)) {
		case 0:
		case 1:
		case 2:
			change_header(&in);
			break;
		case 3:
			change_byte(&in);
			break;
		case 4:
			bytes = take_below(&in, 4) == 0 ? take_number(&in, 2) % (build_bytes + 1)
			                                : build_bytes;
			break;
		default:
			change_record(record_at(take_below(&in, 4)), &in);
			break;
		}
		if (header_now()->header_bytes > BYTES_MAX / 2) {
			break; /* a record would be outside what is built here */
		}
	}
	if (sums) {
		sums_right(bytes);
	}
	blob = malloc(bytes != 0 ? bytes : 1);
	require(blob != NULL, "memory");
	memcpy(blob, build, bytes);
	use_blob(blob, bytes);
	require(!whole || blob_check_header(blob, bytes) == BLOB_OK, "a whole blob is taken");
	free(blob);
	return 0;
}

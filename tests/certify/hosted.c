/*
 * hosted.c - the certification guest in one process with the faces: a table of the report without an emulator.
 *
 *	hosted FACE [only=ID] [after=ID] [disk=none|bare|scratch] [net=none|echo]
 *
 * FACE: hyperv, xen or both. Prints TAP; exit status 0 if nothing failed. What needs a machine is skipped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "enlighten/xen/xenbus.h"
#include "guest-drivers/certify/certify.h"
#include "guest-drivers/text.h"
#include "tests/loopback/loopback.h"
#include "vmbus/bus.h"

#define DISK_BYTES (4u << 20)
#define FRAME_MAX 65550u

static struct loop_guest loop;
static struct certify certify;
static uint8_t medium[DISK_BYTES];
static struct block disk;
static struct ether_switch lan;
static struct switch_port echo_port;

static void print_line(void *context, const char *text)
{
	(void)context;
	puts(text);
}

/* ------------------------------------------------------------------ the other end of the switch */

struct echo_frame {
	uint8_t bytes[FRAME_MAX];
	uint32_t len;
};

static struct echo_frame waiting;

/* Takes a copy: the switch's lock is held now, so that the answer goes later. One at a time. */
static bool echo_deliver(void *device, const struct switch_frame *frame)
{
	uint32_t at = 0;

	(void)device;
	if (waiting.len != 0 || frame->len_bytes > FRAME_MAX) {
		return false;
	}
	for (uint32_t i = 0; i < frame->segment_count; i++) {
		memcpy(waiting.bytes + at, frame->segments[i].bytes, frame->segments[i].len_bytes);
		at += frame->segments[i].len_bytes;
	}
	waiting.len = at;
	return true;
}

/* Answers what mode=echo of the guest does: the same payload, addresses turned round. */
static void echo_answer(struct loop_guest *of)
{
	static const uint8_t own[6] = {2, 0, 0, 0, 0, 0xEC};
	struct io_segment segment = {.bytes = waiting.bytes, .len_bytes = waiting.len};
	struct switch_frame frame = {.segments = &segment, .segment_count = 1, .len_bytes = waiting.len};

	(void)of;
	if (waiting.len < 60 || waiting.bytes[12] != CERTIFY_ETHERTYPE >> 8 ||
	    waiting.bytes[13] != (CERTIFY_ETHERTYPE & 0xFF)) {
		waiting.len = 0;
		return;
	}
	memcpy(waiting.bytes, waiting.bytes + 6, 6);
	memcpy(waiting.bytes + 6, own, 6);
	switch_send(&echo_port, &frame);
	waiting.len = 0;
}

static void echo_connect(void)
{
	static const struct switch_port_ops ops = {.deliver = echo_deliver};

	CHECK(switch_add_port(&lan, &echo_port));
	switch_connect(&echo_port, &ops, NULL, 0);
}

/* ------------------------------------------------------------------ the guest */

static const char *option(int count, char **words, const char *key, const char *otherwise)
{
	size_t len = strlen(key);

	for (int i = 2; i < count; i++) {
		if (strncmp(words[i], key, len) == 0 && words[i][len] == '=') {
			return words[i] + len + 1;
		}
	}
	return otherwise;
}

static void guest_make(bool xen, bool hyperv, const char *disk_kind, bool echo)
{
	struct loop_config config = {
		.id = 1,
		.memory_bytes = 32u << 20,
		.disk_count = strcmp(disk_kind, "none") == 0 ? 0 : 1,
		.disks = {{.block = &disk}},
		.nic_count = 1,
		.nic_switch = &lan,
		.first_mac = 0x31,
	};

	for (uint32_t i = 0; i < DISK_BYTES; i++) {
		medium[i] = (uint8_t)(i / 512 * 7 + i);
	}
	if (strcmp(disk_kind, "scratch") == 0) {
		memcpy(medium, CERTIFY_MARKER, CERTIFY_MARKER_BYTES);
	}
	block_ram_open(&disk, medium, DISK_BYTES, false, "scratch");
	switch_init(&lan, "lan");
	if (echo) {
		echo_connect();
	}
	loop_new(&loop, &config, &personality, xen, hyperv);
	loop.at_exit = echo_answer;
	CHECK(loop.face->create(loop.vm));
	CHECK(!hyperv || vmbus_create(loop.vm));
	CHECK(!xen || xenbus_create(loop.vm));
}

static void guest_end(bool xen, bool hyperv)
{
	if (xen) {
		xenbus_teardown(loop.vm);
	}
	if (hyperv) {
		vmbus_teardown(loop.vm);
	}
	loop.face->teardown(loop.vm);
	loop_free(&loop, false);
}

int main(int count, char **words)
{
	const char *face = count > 1 ? words[1] : "";
	bool both = strcmp(face, "both") == 0;
	bool xen = both || strcmp(face, "xen") == 0;
	bool hyperv = both || strcmp(face, "hyperv") == 0;

	if (!xen && !hyperv) {
		fputs("hosted hyperv|xen|both [only=ID] [after=ID] [disk=none|bare|scratch] [net=none|echo]\n", stderr);
		return 2;
	}
	guest_make(xen, hyperv, option(count, words, "disk", "scratch"),
		   strcmp(option(count, words, "net", "echo"), "echo") == 0);
	certify.guest = &loop.guest;
	certify.line = print_line;
	certify.options.only = option(count, words, "only", NULL);
	certify.options.after = option(count, words, "after", NULL);
	certify.options.boot = "hosted";
	certify_run(&certify);
	if (host_vm_killed(loop.vm)) {
		printf("Bail out! the guest was killed\n");
		return 1;
	}
	if (loop.pages_out != 0) {
		printf("# %lu pages were not given back\n", (unsigned long)loop.pages_out);
	}
	guest_end(xen, hyperv);
	return certify.failed == 0 ? 0 : 1;
}

/*
 * xen_test.c - the Xen face's core, store, console and lifecycle with a real guest's side; all of
 * it in threads; and the end at every moment.
 */
#include <pthread.h>

#include "tests/loopback/xen_rig.h"

/* ------------------------------------------------------------------ start, events, grants */

static void test_start(void)
{
	uint64_t value;

	rig_up(0, 0, 0);
	CU_ASSERT_EQUAL(rig.xens[0].version >> 16, 4);
	CU_ASSERT_EQUAL(rig.xens[0].domid, 1);
	CU_ASSERT_EQUAL(xen_param_get(&rig.xens[0], HVM_PARAM_STORE_PFN, &value), 0);
	CU_ASSERT_EQUAL(value << 12, vm_special_page(rig.loops[0].vm, VM_SPECIAL_XENSTORE).v);
	CU_ASSERT_EQUAL(rig.xens[0].grant_free_count, XEN_GRANT_REFS - 8);
	rig_down(0);
}

/* Where CPUID does not tell it, as on QEMU's Xen. */
static void test_number_from_the_store(void)
{
	struct loop_config config = {.id = 4};

	loop_xen_new(&rig.loops[0], &config);
	CU_ASSERT_EQUAL_FATAL(xen_start(&rig.xens[0], &rig.loops[0].guest), 0);
	CU_ASSERT_EQUAL(rig.xens[0].domid, 4);
	rig.xens[0].domid = 0;
	CU_ASSERT_EQUAL_FATAL(xen_store_start(&rig.xens[0]), 0);
	CU_ASSERT_EQUAL(rig.xens[0].domid, 4);
	rig_down(0);
}

static uint32_t handled;

static void count_event(void *context)
{
	(void)context;
	handled++;
}

static void test_ports(void)
{
	int64_t port;

	rig_up(0, 0, 0);
	port = xen_port_alloc(&rig.xens[0], count_event, NULL);
	CU_ASSERT_TRUE(port > 0);
	CU_ASSERT_EQUAL(xen_port_close(&rig.xens[0], (uint32_t)port), 0);
	CU_ASSERT_NOT_EQUAL(xen_port_close(&rig.xens[0], (uint32_t)port), 0);
	for (uint32_t i = 0; i < XEN_HANDLER_MAX + 4; i++) {
		port = xen_port_alloc(&rig.xens[0], count_event, NULL);
	}
	CU_ASSERT_EQUAL(port, -XEN_ENOSPC);
	rig_down(0);
}

static void test_grants(void)
{
	static uint32_t refs[XEN_GRANT_REFS];
	uint32_t count = 0;

	rig_up(0, 0, 0);
	while ((refs[count] = xen_grant(&rig.xens[0], 5, false)) != XEN_GRANT_NONE) {
		count++;
	}
	CU_ASSERT_EQUAL(count, XEN_GRANT_REFS - 8);
	while (count != 0) {
		CU_ASSERT_TRUE(xen_grant_end(&rig.xens[0], refs[--count]));
	}
	rig_down(0);
}

/* ------------------------------------------------------------------ the store */

static void test_store(void)
{
	struct xen_guest *x = &rig.xens[0];
	struct xen_event event;
	char text[XEN_VALUE_BYTES];
	uint64_t number;
	uint32_t tx;

	rig_up(0, 1, 1);
	CU_ASSERT_EQUAL(xen_store_read(x, 0, "domid", text, sizeof(text)), 1);
	CU_ASSERT_STRING_EQUAL(text, "1");
	CU_ASSERT_EQUAL(xen_store_read(x, 0, "no/such", text, sizeof(text)), -XEN_ENOENT);
	CU_ASSERT_EQUAL(xen_store_write(x, 0, "domid", "7"), -XEN_EACCES);
	CU_ASSERT_EQUAL(xen_store_write_number(x, 0, "data/n", 12345678901234), 0);
	CU_ASSERT_EQUAL(xen_store_read_number(x, 0, "data/n", &number), 0);
	CU_ASSERT_EQUAL(number, 12345678901234);
	CU_ASSERT_EQUAL(xen_store_watch(x, "data", "mine"), 0);
	CU_ASSERT_TRUE(xen_store_event(x, &event)); /* each watch fires once at first */
	CU_ASSERT_STRING_EQUAL(event.path, "data");
	CU_ASSERT_STRING_EQUAL(event.token, "mine");
	CU_ASSERT_EQUAL(xen_store_begin(x, &tx), 0);
	CU_ASSERT_EQUAL(xen_store_write(x, tx, "data/t", "in"), 0);
	CU_ASSERT_EQUAL(xen_store_read(x, 0, "data/t", text, sizeof(text)), -XEN_ENOENT);
	CU_ASSERT_EQUAL(xen_store_end(x, tx, true), 0);
	CU_ASSERT_EQUAL(xen_store_read(x, 0, "data/t", text, sizeof(text)), 2);
	CU_ASSERT_TRUE(xen_store_event(x, &event));
	CU_ASSERT_STRING_EQUAL(event.path, "data/t");
	CU_ASSERT_EQUAL(xen_store_begin(x, &tx), 0);
	CU_ASSERT_EQUAL(xen_store_write(x, tx, "data/t", "out"), 0);
	CU_ASSERT_EQUAL(xen_store_end(x, tx, false), 0);
	CU_ASSERT_EQUAL(xen_store_read(x, 0, "data/t", text, sizeof(text)), 2);
	CU_ASSERT_EQUAL(xen_store_list(x, 0, "data"), 4);
	CU_ASSERT_EQUAL(memcmp(x->store.payload, "n\0t", 4), 0);
	CU_ASSERT_EQUAL(xen_store_unwatch(x, "data", "mine"), 0);
	CU_ASSERT_TRUE(xen_store_remove(x, 0, "data/t") >= 0);
	CU_ASSERT_FALSE(xen_store_event(x, &event));
	CU_ASSERT_EQUAL(x->store.lost_events, 0);
	CU_ASSERT_FALSE(x->store.broken);
	rig_down(0);
}

/* Messages as long as they may be, over the 1 KiB ring. */
static void test_store_long(void)
{
	struct xen_guest *x = &rig.xens[0];
	static char payload[XENSTORE_PAYLOAD_MAX];

	rig_up(0, 0, 0);
	for (uint32_t len = 100; len <= 2000; len += 317) {
		memset(payload, 'v', sizeof(payload));
		memcpy(payload, "data/long", 10);
		CU_ASSERT_TRUE(xen_store_request(x, XS_WRITE, 0, payload, 10 + len) >= 0);
		memset(x->store.payload, 0, sizeof(x->store.payload));
		CU_ASSERT_EQUAL(xen_store_request(x, XS_READ, 0, payload, 10), len);
		CU_ASSERT_EQUAL(memcmp(x->store.payload, payload + 10, len), 0);
	}
	CU_ASSERT_FALSE(x->store.broken);
	rig_down(0);
}

/* Another change between begin and end: once more. */
static void test_store_conflict(void)
{
	struct xen_guest *x = &rig.xens[0];
	char text[XEN_VALUE_BYTES];
	uint32_t a, b;

	rig_up(0, 0, 0);
	CU_ASSERT_EQUAL(xen_store_write(x, 0, "data/c", "0"), 0);
	CU_ASSERT_EQUAL(xen_store_begin(x, &a), 0);
	CU_ASSERT_EQUAL(xen_store_begin(x, &b), 0);
	CU_ASSERT_EQUAL(xen_store_read(x, a, "data/c", text, sizeof(text)), 1);
	CU_ASSERT_EQUAL(xen_store_write(x, a, "data/c", "1"), 0);
	CU_ASSERT_EQUAL(xen_store_read(x, b, "data/c", text, sizeof(text)), 1);
	CU_ASSERT_EQUAL(xen_store_write(x, b, "data/c", "2"), 0);
	CU_ASSERT_EQUAL(xen_store_end(x, a, true), 0);
	CU_ASSERT_EQUAL(xen_store_end(x, b, true), -XEN_EAGAIN);
	CU_ASSERT_EQUAL(xen_store_read(x, 0, "data/c", text, sizeof(text)), 1);
	CU_ASSERT_STRING_EQUAL(text, "1");
	rig_down(0);
}

/* ------------------------------------------------------------------ console, lifecycle */

static void test_console(void)
{
	struct xen_console console;
	char text[64];
	static char big[6000];

	rig_up(0, 0, 0);
	CU_ASSERT_TRUE(xen_console_open(&console, &rig.xens[0]));
	CU_ASSERT_EQUAL(xen_console_write(&console, "hello\n", 6), 6);
	xen_poll(&rig.xens[0]);
	CU_ASSERT_STRING_EQUAL(rig.loops[0].console_text, "hello\n");
	CU_ASSERT_EQUAL(console_input(&rig.loops[0].console, "keys", 4), 4);
	xen_poll(&rig.xens[0]);
	CU_ASSERT_EQUAL(xen_console_read(&console, text, sizeof(text)), 4);
	CU_ASSERT_EQUAL(memcmp(text, "keys", 4), 0);
	memset(big, 'x', sizeof(big)); /* more than the ring holds */
	for (size_t i = 99; i < sizeof(big); i += 100) {
		big[i] = '\n';
	}
	rig.loops[0].console_len = 0;
	CU_ASSERT_EQUAL(xen_console_write(&console, big, sizeof(big)), sizeof(big));
	xen_poll(&rig.xens[0]);
	CU_ASSERT_EQUAL(rig.loops[0].console_len, sizeof(big));
	CU_ASSERT_EQUAL(memcmp(rig.loops[0].console_text, big, sizeof(big)), 0);
	xen_console_close(&console);
	rig_down(0);
}

static void test_shutdown(void)
{
	struct xen_event event;
	enum vm_stop_how how;
	char text[XEN_VALUE_BYTES];

	rig_up(0, 0, 0);
	CU_ASSERT_FALSE(
		lifecycle_ask(&rig.loops[0].lifecycle, LIFECYCLE_POWEROFF)); /* no driver yet */
	CU_ASSERT_EQUAL(xen_store_watch(&rig.xens[0], "control/shutdown", "s"), 0);
	CU_ASSERT_TRUE(xen_store_event(&rig.xens[0], &event));
	CU_ASSERT_TRUE(lifecycle_ask(&rig.loops[0].lifecycle, LIFECYCLE_REBOOT));
	xen_poll(&rig.xens[0]);
	CU_ASSERT_TRUE(xen_store_event(&rig.xens[0], &event));
	CU_ASSERT_STRING_EQUAL(event.token, "s");
	CU_ASSERT_TRUE(xen_store_read(&rig.xens[0], 0, "control/shutdown", text, sizeof(text)) > 0);
	CU_ASSERT_STRING_EQUAL(text, "reboot");
	CU_ASSERT_EQUAL(xen_store_write(&rig.xens[0], 0, "control/shutdown", ""), 0);
	CU_ASSERT_EQUAL(rig.loops[0].lifecycle.answer_count, 1);
	(void)xen_shutdown(&rig.xens[0], SHUTDOWN_reboot);
	CU_ASSERT_TRUE(host_vm_stopped(rig.loops[0].vm, &how));
	CU_ASSERT_EQUAL(how, VM_STOP_REBOOT);
	rig_down(0);
}

/* ------------------------------------------------------------------ ends at every moment */

/*
 * Brings disk and network up, moves data and closes, while the machine is reset at hypercall or
 * poll number @at. The guest goes on as if nothing had happened: it may fail everywhere and must
 * break nothing of ours.
 */
static uint64_t end_at;

static void reset_at(struct loop_guest *loop)
{
	if (loop->exit_count == end_at) {
		loop_xen_reset(loop);
	}
}

static void whole_life(uint64_t at)
{
	struct rig_io io;

	memset(&rig.ends[0], 0, sizeof(rig.ends[0]));
	end_at = at;
	rig.loops[0].at_exit = reset_at;
	rig_io_alloc(&io);
	if (xen_blkfront_open(&rig.blk, &rig.xens[0], VBD_ID)) {
		rig_io_shape(&io, BLKIF_OP_WRITE, 9);
		if (rig_io_submit(&io)) {
			xen_poll(&rig.xens[0]);
		}
		(void)xen_blkfront_close(&rig.blk);
	}
	if (rig_net_open(0)) {
		rig_packet_fill(0, 200);
		(void)!rig_packet_send(0, 200);
		xen_poll(&rig.xens[0]);
		(void)xen_netfront_close(&rig.ends[0].net);
	}
	rig_io_free(&io);
	rig.loops[0].at_exit = NULL;
}

static void test_reset_anywhere(void)
{
	uint64_t last = 1;

	block_ram_open(&rig.disk, rig.medium, DISK_BYTES, false, "loop");
	for (uint64_t at = 0; at <= last; at++) {
		switch_init(&rig.lan, "lan");
		rig_up(0, 1, 1);
		rig.loops[0].exit_count = 0;
		whole_life(at);
		last = at == 0 ? rig.loops[0].exit_count : last;
		CU_ASSERT_FALSE(host_vm_killed(rig.loops[0].vm));
		/* The machine is as new: all comes up again. */
		loop_xen_reset(&rig.loops[0]);
		memset(rig.loops[0].page_used, 0, rig.loops[0].page_count);
		rig.loops[0].pages_out = 0;
		CU_ASSERT_EQUAL_FATAL(xen_start(&rig.xens[0], &rig.loops[0].guest), 0);
		CU_ASSERT_EQUAL_FATAL(xen_store_start(&rig.xens[0]), 0);
		CU_ASSERT_TRUE_FATAL(xen_blkfront_open(&rig.blk, &rig.xens[0], VBD_ID));
		CU_ASSERT_TRUE_FATAL(xen_blkfront_close(&rig.blk));
		rig_down(0);
	}
	CU_ASSERT_TRUE(last > 100);
}

/* The guest's end with everything open: nothing of it is left. */
static void test_end_while_open(void)
{
	struct rig_io io;

	switch_init(&rig.lan, "lan");
	block_ram_open(&rig.disk, rig.medium, DISK_BYTES, false, "loop");
	for (uint32_t polls = 0; polls < 4; polls++) {
		rig_up(0, 1, 1);
		CU_ASSERT_TRUE_FATAL(xen_blkfront_open(&rig.blk, &rig.xens[0], VBD_ID));
		memset(&rig.ends[0], 0, sizeof(rig.ends[0]));
		CU_ASSERT_TRUE_FATAL(rig_net_open(0));
		rig_io_alloc(&io);
		rig_io_shape(&io, BLKIF_OP_READ, 0);
		CU_ASSERT_TRUE(rig_io_submit(&io));
		rig_packet_fill(0, 500);
		CU_ASSERT_TRUE(rig_packet_send(0, 500));
		for (uint32_t i = 0; i < polls; i++) {
			xen_poll(&rig.xens[0]);
		}
		loop_xen_free(&rig.loops[0], false); /* panics if anything is left */
	}
}

/* ------------------------------------------------------------------ threads */

struct worker {
	uint32_t index;
	uint32_t errors;
	struct xen_blkfront disk;
	struct xen_netfront *net;
	uint32_t done_count, received_count;
};

static void worker_done(void *context, int status)
{
	struct worker *worker = context;

	worker->errors += status != BLKIF_RSP_OKAY;
	worker->done_count++;
}

static void worker_received(void *context, const struct xen_net_frame *frame)
{
	struct worker *worker = context;

	worker->received_count++;
	for (uint32_t i = 14; i < frame->len; i++) {
		worker->errors += frame->bytes[i] != (uint8_t)frame->len;
	}
}

/* Writes a sector of its own and reads it again. */
static void worker_disk(struct worker *worker, struct guest_page *page, uint32_t round)
{
	struct xen_blk_piece piece = {.gfn = page->gfn, .first = 2, .last = 2};
	uint64_t sector = worker->index * 1000 + round % 500;
	uint32_t before = worker->done_count;

	for (uint8_t operation = BLKIF_OP_READ; operation <= BLKIF_OP_WRITE; operation++) {
		bool write = operation == BLKIF_OP_READ; /* first write, then read */

		memset(page->bytes + 1024, write ? (int)(round & 0xFF) : 0, 512);
		if (!xen_blkfront_submit(&worker->disk, write ? 1 : 0, sector, &piece, 1,
					 worker_done, worker)) {
			worker->errors++;
			return;
		}
		while (worker->done_count == before) {
			xen_poll(worker->disk.front.x);
			xen_blkfront_poll(&worker->disk);
		}
		before++;
	}
	worker->errors +=
		page->bytes[1024] != (uint8_t)round || page->bytes[1535] != (uint8_t)round;
}

static void worker_net(struct worker *worker, uint32_t round)
{
	uint8_t bytes[1514] = {2, 0, 0, 0, 0, (uint8_t)(0x11 - worker->index),
			       2, 0, 0, 0, 0, (uint8_t)(0x10 + worker->index), 0x88, 0xB5};
	struct xen_net_frame frame = {.bytes = bytes, .len = 60 + round % 1400};

	memset(bytes + 14, (uint8_t)frame.len, sizeof(bytes) - 14);
	(void)!xen_netfront_send(worker->net, &frame);
	xen_netfront_poll(worker->net);
}

/* Both have their cards open between two meetings: else, on a busy machine, one may be through before the other begins. */
static pthread_barrier_t meeting;

static void *worker_main(void *context)
{
	struct worker *worker = context;
	struct xen_guest *x = &rig.xens[worker->index];
	struct guest_page page;

	worker->errors += !guest_page_alloc(x->guest, &page);
	for (uint32_t life = 0; life < 3; life++) {
		worker->errors += !xen_blkfront_open(&worker->disk, x, VBD_ID) ||
				  !xen_netfront_open(worker->net, x, 0, worker_received, worker);
		(void)pthread_barrier_wait(&meeting);
		for (uint32_t round = 0; round < 150 && worker->errors == 0; round++) {
			worker_disk(worker, &page, round);
			worker_net(worker, round);
		}
		(void)pthread_barrier_wait(&meeting);
		xen_netfront_poll(worker->net);
		worker->errors += !xen_netfront_close(worker->net);
		worker->errors += !xen_blkfront_close(&worker->disk);
		worker->errors += worker->disk.lost_pages + worker->net->lost_pages;
	}
	guest_page_free(x->guest, &page);
	return NULL;
}

static void test_threads(void)
{
	static struct worker workers[2];
	struct host_threads *threads;
	pthread_t ids[2];
	struct vm *vms[2];

	block_ram_open(&rig.disk, rig.medium, DISK_BYTES, false, "loop");
	switch_init(&rig.lan, "lan");
	for (uint32_t i = 0; i < 2; i++) {
		rig_up(i, 1, 1);
		rig.loops[i].threaded = true;
		rig.loops[i].guest.poll_max = 10000000;
		host_time_real(rig.loops[i].vm);
		vms[i] = rig.loops[i].vm;
		memset(&workers[i], 0, sizeof(workers[i]));
		workers[i].index = i;
		workers[i].net = &rig.ends[i].net;
	}
	pthread_barrier_init(&meeting, NULL, 2);
	threads = host_threads_start(vms, 2, 2);
	for (uint32_t i = 0; i < 2; i++) {
		pthread_create(&ids[i], NULL, worker_main, &workers[i]);
	}
	for (uint32_t i = 0; i < 2; i++) {
		pthread_join(ids[i], NULL);
		CU_ASSERT_EQUAL(workers[i].errors, 0);
		CU_ASSERT_EQUAL(workers[i].done_count, 3 * 150 * 2);
	}
	CU_ASSERT_TRUE(workers[0].received_count + workers[1].received_count > 0);
	host_threads_stop(threads);
	pthread_barrier_destroy(&meeting);
	for (uint32_t i = 0; i < 2; i++) {
		rig_down(i);
	}
}

UNIT_MAIN("xen loopback", UNIT_TEST(test_start), UNIT_TEST(test_number_from_the_store), UNIT_TEST(test_ports),
	  UNIT_TEST(test_grants), UNIT_TEST(test_store), UNIT_TEST(test_store_long),
	  UNIT_TEST(test_store_conflict), UNIT_TEST(test_console), UNIT_TEST(test_shutdown),
	  UNIT_TEST(test_reset_anywhere), UNIT_TEST(test_end_while_open),
	  UNIT_TEST(test_threads))

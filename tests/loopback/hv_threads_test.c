/*
 * hv_threads_test.c - two Hyper-V guests, each in a thread, with the work of both in two more: disks,
 * network and components at once, for the thread sanitizer.
 */
#include <pthread.h>

#include "tests/loopback/hv_rig.h"

struct worker {
	uint32_t index;
	uint32_t errors;
	struct hv_storvsc stor;
	struct hv_disk disk;
	struct hv_netvsc *net;
	struct hv_ic ic;
	uint32_t done_count, received_count;
};

static void worker_done(void *context, const struct hv_scsi_result *result)
{
	struct worker *worker = context;

	worker->errors += result->srb_status != SRB_STATUS_SUCCESS;
	worker->done_count++;
}

static void worker_received(void *context, const struct hv_net_frame *frame)
{
	struct worker *worker = context;

	worker->received_count++;
	for (uint32_t i = 14; i < frame->len; i++) {
		worker->errors += frame->bytes[i] != (uint8_t)frame->len;
	}
}

/* Writes two sectors of its own and reads them again. */
static void worker_disk(struct worker *worker, struct guest_page *page, uint32_t round)
{
	const struct hv_buffer buffer = {round % 2 == 0 ? 1024 : 100, 1024, &page->gfn};
	uint64_t sector = worker->index * 2000 + round % 500 * 2;
	uint8_t *bytes = page->bytes + buffer.offset;

	for (uint32_t step = 0; step < 2; step++) {
		uint32_t before = worker->done_count;

		memset(bytes, step == 0 ? (int)(round & 0xFF) : 0, buffer.bytes);
		if (!hv_disk_submit(&worker->disk, step == 0 ? HV_DISK_WRITE : HV_DISK_READ, sector,
				    &buffer, worker_done, worker)) {
			worker->errors++;
			return;
		}
		while (worker->done_count == before) {
			hv_poll(worker->stor.channel.hv);
		}
	}
	worker->errors += bytes[0] != (uint8_t)round || bytes[1023] != (uint8_t)round;
}

static void worker_net(struct worker *worker, uint32_t round)
{
	uint8_t bytes[1514] = {2, 0, 0, 0, 0, (uint8_t)(0x21 - worker->index),
			       2, 0, 0, 0, 0, (uint8_t)(0x20 + worker->index), 0x88, 0xB5};
	struct hv_net_frame frame = {.bytes = bytes, .len = 60 + round % 1400};

	memset(bytes + 14, (uint8_t)frame.len, sizeof(bytes) - 14);
	(void)!hv_netvsc_send(worker->net, &frame, 1);
	hv_poll(worker->stor.channel.hv);
}

/* Both have their cards open between two meetings: else, on a busy machine, one may be through before the other begins. */
static pthread_barrier_t meeting;

static void worker_life(struct worker *worker, struct guest_page *page)
{
	struct hv_guest *hv = &hv_rig.hvs[worker->index];
	bool open = hv_storvsc_open(&worker->stor, hv, 0) && hv_disk_open(&worker->disk, &worker->stor, 0) &&
		    hv_netvsc_open(worker->net, hv, 0, worker_received, worker) &&
		    hv_ic_open(&worker->ic, hv, ICMSGTYPE_TIMESYNC);

	worker->errors += !open;
	(void)pthread_barrier_wait(&meeting);
	for (uint32_t round = 0; round < 150 && worker->errors == 0; round++) {
		worker_disk(worker, page, round);
		worker_net(worker, round);
	}
	(void)pthread_barrier_wait(&meeting);
	if (!open) {
		return;
	}
	hv_poll(hv);
	while (!worker->ic.ready) {
		hv_poll(hv);
	}
	worker->errors += !hv_ic_close(&worker->ic);
	worker->errors += !hv_netvsc_close(worker->net);
	worker->errors += !hv_storvsc_close(&worker->stor);
	worker->errors += worker->stor.channel.lost_pages + worker->net->channel.lost_pages;
}

static void *worker_main(void *context)
{
	struct worker *worker = context;
	struct hv_guest *hv = &hv_rig.hvs[worker->index];
	struct guest_page page;

	worker->errors += !guest_page_alloc(hv->guest, &page);
	for (uint32_t life = 0; life < 3; life++) {
		worker_life(worker, &page);
		worker->errors += !hv_bus_unload(hv);
		worker->errors += life < 2 && (!hv_bus_connect(hv, VERSION_WIN10_V5_3) ||
					       !hv_bus_offers(hv));
	}
	guest_page_free(hv->guest, &page);
	return NULL;
}

static void test_threads(void)
{
	static struct worker workers[2];
	struct host_threads *threads;
	pthread_t ids[2];
	struct vm *vms[2];

	hv_media_fill();
	switch_init(&hv_rig.lan, "lan");
	memset(hv_rig.ends, 0, sizeof(hv_rig.ends));
	for (uint32_t i = 0; i < 2; i++) {
		hv_rig_up(i, VERSION_WIN10_V5_3, 2, 1);
	}
	for (uint32_t i = 0; i < 2; i++) {
		hv_rig.loops[i].threaded = true;
		hv_rig.loops[i].guest.poll_max = 10000000;
		host_time_real(hv_rig.loops[i].vm);
		vms[i] = hv_rig.loops[i].vm;
		memset(&workers[i], 0, sizeof(workers[i]));
		workers[i].index = i;
		workers[i].net = &hv_rig.ends[i].net;
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
		CU_ASSERT_FALSE(host_vm_killed(hv_rig.loops[i].vm));
		hv_stop(&hv_rig.hvs[i]);
		loop_hv_free(&hv_rig.loops[i], true);
	}
}

UNIT_MAIN("hyper-v loopback in threads", UNIT_TEST(test_threads))

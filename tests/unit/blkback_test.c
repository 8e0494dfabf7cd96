/*
 * blkback_test.c - the block backend against a guest's ring: both layouts, data, errors, hostile rings,
 * late completions.
 */
#include <pthread.h>

#include "tests/unit/xen_fake.h"

#define RING_PAGE 16u
#define DATA_PAGE 32u
#define SECTORS 256u

static struct vm *vm;
static struct block block;
static uint8_t medium[SECTORS * 512];
static struct xen_ring_header *ring;
static uint32_t port;
static bool narrow;

/* A medium that keeps its requests until it is told to end them. */
static struct block_request *late[64];
static uint32_t late_count;
static enum block_status late_status;

static void late_submit(void *context, struct block_request *request)
{
	CU_ASSERT_EQUAL(*lock_held_ranks(), 0);
	(void)context;
	late[late_count++] = request;
}

static const struct block_medium_ops late_ops = {.submit = late_submit};

static void late_end(void)
{
	uint32_t count = late_count;
	struct block_request *now[64];

	memcpy(now, late, sizeof(now));
	late_count = 0;
	for (uint32_t i = 0; i < count; i++) {
		block_done(now[i], late_status);
	}
}

static void start(bool read_only)
{
	struct host_vm_config config = {.vm.disk_count = 1};

	fake_reset();
	late_count = 0;
	late_status = BLOCK_OK;
	narrow = false;
	for (uint32_t i = 0; i < sizeof(medium); i++) {
		medium[i] = (uint8_t)(i / 512 + i);
	}
	block_ram_open(&block, medium, sizeof(medium), false, "serial");
	config.vm.disks[0].block = &block;
	config.vm.disks[0].read_only = read_only;
	vm = host_vm_new(&config);
	CU_ASSERT_TRUE_FATAL(xenbus_create(vm));
}

static void start_late(void)
{
	start(false);
	block_open(&block, &late_ops, NULL, SECTORS, false, "late");
}

static void stop(void)
{
	xenbus_teardown(vm);
	CU_ASSERT_EQUAL(fake_holds(), 0);
	CU_ASSERT_TRUE(host_vm_check_no_leaks(vm));
	host_vm_free(vm);
}

#define FRONT "device/vbd/51712/"
#define BACK "/local/domain/0/backend/vbd/1/51712/"

static const char *state(void)
{
	return fake_store_read(vm, BACK "state");
}

static void connect(const char *protocol)
{
	ring = fake_ring(vm, RING_PAGE);
	port = fake_guest_port();
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "ring-ref", "%u", RING_PAGE), "OK");
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "event-channel", "%u", port), "OK");
	if (protocol != NULL) {
		CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "protocol", "%s", protocol), "OK");
	}
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "state", "3"), "OK");
	CU_ASSERT_STRING_EQUAL(state(), "4");
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "state", "4"), "OK");
	narrow = protocol != NULL && strcmp(protocol, "x86_32-abi") == 0;
}

/* ------------------------------------------------------------------ the ring */

static uint8_t *slot(uint32_t index)
{
	return (uint8_t *)ring + 64 + index % 32 * (narrow ? 108 : 112);
}

static void put(uint8_t operation, uint8_t count, uint64_t id, uint64_t sector,
                const struct xen_blkif_segment *segments)
{
	if (narrow) {
		struct xen_blkif_request32 r = {operation, count, 0, id, sector, {{0}}};

		memcpy(r.seg, segments, sizeof(r.seg));
		memcpy(slot(ring->req_prod), &r, sizeof(r));
	} else {
		struct xen_blkif_request64 r = {operation, count, 0, 0, id, sector, {{0}}};

		memcpy(r.seg, segments, sizeof(r.seg));
		memcpy(slot(ring->req_prod), &r, sizeof(r));
	}
	ring->req_prod++;
}

static void kick(void)
{
	fake_guest_send(port);
	(void)host_run_work(vm);
}

/* The last response's status; checks its id and operation. */
static int16_t last(uint64_t id, uint8_t operation)
{
	struct xen_blkif_response64 r;

	memcpy(&r, slot(ring->rsp_prod - 1), 12);
	CU_ASSERT_EQUAL(r.id, id);
	CU_ASSERT_EQUAL(r.operation, operation);
	CU_ASSERT_EQUAL(r.pad, 0);
	return r.status;
}

static struct xen_blkif_segment seg[11];

static void segments_reset(void)
{
	for (uint32_t i = 0; i < 11; i++) {
		seg[i] = (struct xen_blkif_segment){fake_grant(DATA_PAGE + i, false), 0, 7, 0};
	}
}

/* One request, done at once. */
static int16_t one(uint8_t operation, uint8_t count, uint64_t sector)
{
	uint32_t before = ring->rsp_prod;
	static uint64_t id = 0x1122334455667788;

	put(operation, count, ++id, sector, seg);
	kick();
	CU_ASSERT_EQUAL_FATAL(ring->rsp_prod, before + 1);
	CU_ASSERT_EQUAL(fake_holds(), 1); /* the ring */
	return last(id, operation);
}

/* ------------------------------------------------------------------ tests */

static void test_features(void)
{
	start(false);
	CU_ASSERT_STRING_EQUAL(state(), "2");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, BACK "feature-flush-cache"), "1");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, BACK "feature-barrier"), "!ENOENT");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, BACK "sectors"), "256");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, BACK "sector-size"), "512");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, BACK "info"), "0");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, BACK "mode"), "w");
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, BACK "mode", "r"), "EACCES");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, FRONT "device-type"), "disk");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, FRONT "virtual-device"), "51712");
	stop();
	start(true);
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, BACK "info"), "4");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, BACK "mode"), "r");
	stop();
}

static void transfer(const char *protocol)
{
	uint8_t *page;

	start(false);
	connect(protocol);
	segments_reset();
	seg[0].first_sect = 2;
	seg[0].last_sect = 3;
	CU_ASSERT_EQUAL(one(BLKIF_OP_READ, 2, 10), 0);
	page = fake_page(vm, DATA_PAGE);
	CU_ASSERT_EQUAL(memcmp(page + 1024, medium + 10 * 512, 1024), 0);
	CU_ASSERT_EQUAL(page[1023], 0);
	CU_ASSERT_EQUAL(page[2048], 0);
	CU_ASSERT_EQUAL(memcmp(fake_page(vm, DATA_PAGE + 1), medium + 12 * 512, 4096), 0);
	segments_reset();
	for (uint32_t i = 0; i < 11; i++) {
		memset(fake_page(vm, DATA_PAGE + i), (int)(i + 1), 4096);
	}
	CU_ASSERT_EQUAL(one(BLKIF_OP_WRITE, 11, SECTORS - 88), 0);
	CU_ASSERT_EQUAL(medium[(SECTORS - 88) * 512 - 1], (uint8_t)(SECTORS - 89 + (SECTORS - 88) * 512 - 1));
	CU_ASSERT_EQUAL(medium[(SECTORS - 88) * 512], 1);
	CU_ASSERT_EQUAL(medium[SECTORS * 512 - 1], 11);
	CU_ASSERT_EQUAL(one(BLKIF_OP_FLUSH_DISKCACHE, 0, 0), 0);
	CU_ASSERT_EQUAL(block.flush_count, 1);
	/* A flush with data: both, in this order. */
	CU_ASSERT_EQUAL(one(BLKIF_OP_FLUSH_DISKCACHE, 1, 5), 0);
	CU_ASSERT_EQUAL(block.flush_count, 2);
	CU_ASSERT_EQUAL(medium[5 * 512], 1);
	/*
	 * A read into a page that the guest granted for writing only is no such thing; a write from a
	 * read-only one is right.
	 */
	(void)fake_grant(DATA_PAGE, true);
	CU_ASSERT_EQUAL(one(BLKIF_OP_WRITE, 1, 0), 0);
	CU_ASSERT_EQUAL(one(BLKIF_OP_READ, 1, 0), -1);
	CU_ASSERT_EQUAL(host_count_used(vm, SPEC_BLKIF, 0), 2);
	stop();
}

static void test_wide(void)
{
	transfer("x86_64-abi");
	transfer(NULL);
}

static void test_narrow(void)
{
	transfer("x86_32-abi");
}

static void test_refused(void)
{
	start(false);
	connect(NULL);
	segments_reset();
	CU_ASSERT_EQUAL(one(BLKIF_OP_WRITE_BARRIER, 1, 0), -2);
	CU_ASSERT_EQUAL(one(BLKIF_OP_DISCARD, 0, 0), -2);
	CU_ASSERT_EQUAL(one(4, 0, 0), -2);
	CU_ASSERT_EQUAL(one(77, 0, 0), -2);
	CU_ASSERT_EQUAL(host_count_refused(vm, SPEC_BLKIF, SPEC_UNKNOWN), 2);
	/* Indirect: the inner operation comes back. */
	put(BLKIF_OP_INDIRECT, BLKIF_OP_WRITE, 99, 0, seg);
	kick();
	CU_ASSERT_EQUAL(last(99, BLKIF_OP_WRITE), -2);
	/* Bad ones. */
	CU_ASSERT_EQUAL(one(BLKIF_OP_READ, 0, 0), -1);
	CU_ASSERT_EQUAL(one(BLKIF_OP_WRITE, 0, 0), -1);
	CU_ASSERT_EQUAL(one(BLKIF_OP_READ, 12, 0), -1);
	CU_ASSERT_EQUAL(one(BLKIF_OP_READ, 255, 0), -1);
	CU_ASSERT_EQUAL(one(BLKIF_OP_READ, 1, SECTORS - 7), -1);
	CU_ASSERT_EQUAL(one(BLKIF_OP_READ, 1, UINT64_MAX - 3), -1);
	seg[0].last_sect = 8;
	CU_ASSERT_EQUAL(one(BLKIF_OP_READ, 1, 0), -1);
	seg[0].first_sect = 3;
	seg[0].last_sect = 2;
	CU_ASSERT_EQUAL(one(BLKIF_OP_READ, 1, 0), -1);
	segments_reset();
	seg[2].gref = 500;
	CU_ASSERT_EQUAL(one(BLKIF_OP_READ, 3, 0), -1);
	seg[2].gref = 0xFFFFFFFF;
	CU_ASSERT_EQUAL(one(BLKIF_OP_FLUSH_DISKCACHE, 3, 0), -1);
	stop();
	start(true);
	connect(NULL);
	segments_reset();
	CU_ASSERT_EQUAL(one(BLKIF_OP_WRITE, 1, 0), -1);
	CU_ASSERT_EQUAL(one(BLKIF_OP_READ, 1, 0), 0);
	CU_ASSERT_EQUAL(one(BLKIF_OP_FLUSH_DISKCACHE, 0, 0), 0);
	CU_ASSERT_EQUAL(one(BLKIF_OP_FLUSH_DISKCACHE, 1, 0), -1);
	stop();
}

/* Every slot is fetched once, whatever changes under us. */
static void test_fetch_once(void)
{
	start(false);
	connect(NULL);
	segments_reset();
	host_fetch_watch(vm, RING_PAGE * 4096 + 64, 112);
	CU_ASSERT_EQUAL(one(BLKIF_OP_READ, 3, 0), 0);
	CU_ASSERT_EQUAL(host_fetch_max(), 1);
	host_fetch_unwatch();
	stop();
}

static void test_full_ring(void)
{
	start_late();
	connect(NULL);
	segments_reset();
	for (uint32_t i = 0; i < 32; i++) {
		put(BLKIF_OP_READ, 1, i, i, seg);
	}
	kick();
	CU_ASSERT_EQUAL(late_count, 32);
	CU_ASSERT_EQUAL(ring->rsp_prod, 0);
	late_end();
	CU_ASSERT_EQUAL(ring->rsp_prod, 32);
	put(BLKIF_OP_READ, 1, 77, 0, seg);
	kick();
	late_status = BLOCK_EIO;
	late_end();
	CU_ASSERT_EQUAL(ring->rsp_prod, 33);
	CU_ASSERT_EQUAL(last(77, BLKIF_OP_READ), -1);
	/* More than the ring holds, before any answer. */
	for (uint32_t i = 0; i < 32; i++) {
		put(BLKIF_OP_READ, 1, i, i, seg);
	}
	kick();
	put(BLKIF_OP_READ, 1, 78, 0, seg);
	kick();
	CU_ASSERT_EQUAL(late_count, 32);
	CU_ASSERT_TRUE(host_log_has(vm, "request index"));
	late_end();
	CU_ASSERT_EQUAL(ring->rsp_prod, 65);
	stop();
}

static void test_flush_fails(void)
{
	start_late();
	block.first_sector = 16; /* a window: the backend moves each request's sector once */
	block.sector_count = SECTORS - 16;
	connect(NULL);
	segments_reset();
	put(BLKIF_OP_FLUSH_DISKCACHE, 1, 5, 9, seg);
	kick();
	CU_ASSERT_EQUAL_FATAL(late_count, 1);
	CU_ASSERT_EQUAL(late[0]->operation, BLOCK_FLUSH);
	late_end();
	CU_ASSERT_EQUAL_FATAL(late_count, 1);
	CU_ASSERT_EQUAL(late[0]->operation, BLOCK_WRITE);
	CU_ASSERT_EQUAL(late[0]->sector, 25);
	late_end();
	CU_ASSERT_EQUAL(last(5, BLKIF_OP_FLUSH_DISKCACHE), 0);
	put(BLKIF_OP_FLUSH_DISKCACHE, 1, 6, 9, seg);
	kick();
	late_status = BLOCK_EIO;
	late_end();
	CU_ASSERT_EQUAL(late_count, 0);
	CU_ASSERT_EQUAL(last(6, BLKIF_OP_FLUSH_DISKCACHE), -1);
	stop();
}

static void test_bad_index(void)
{
	start(false);
	connect(NULL);
	segments_reset();
	ring->req_prod += 33;
	kick();
	CU_ASSERT_TRUE(host_log_has(vm, "vbd 51712"));
	ring->req_prod -= 33;
	put(BLKIF_OP_READ, 1, 1, 0, seg);
	kick();
	CU_ASSERT_EQUAL(ring->rsp_prod, 0);
	/* It works again after a new connection. */
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "state", "6"), "OK");
	CU_ASSERT_STRING_EQUAL(state(), "6");
	CU_ASSERT_EQUAL(fake_holds(), 0);
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "state", "1"), "OK");
	CU_ASSERT_STRING_EQUAL(state(), "2");
	connect(NULL);
	CU_ASSERT_EQUAL(one(BLKIF_OP_READ, 1, 0), 0);
	stop();
}

/* The events: only when asked, and nothing is missed. */
static void test_events(void)
{
	uint32_t told;

	start_late();
	connect(NULL);
	segments_reset();
	kick();
	CU_ASSERT_EQUAL(ring->req_event, 1);
	told = fake_ports[port].told;
	for (uint32_t i = 0; i < 4; i++) {
		put(BLKIF_OP_READ, 1, i, i, seg);
	}
	ring->rsp_event = 3;
	kick();
	CU_ASSERT_EQUAL(ring->req_event, 5);
	late_end();
	CU_ASSERT_EQUAL(ring->rsp_prod, 4);
	CU_ASSERT_EQUAL(fake_ports[port].told, told + 1);
	stop();
}

/* Closed while requests are under way: the backend stays until they are done, then lets go and says so. */
static void test_close_busy(void)
{
	start_late();
	connect(NULL);
	segments_reset();
	put(BLKIF_OP_READ, 2, 1, 0, seg);
	put(BLKIF_OP_READ, 1, 2, 0, seg);
	kick();
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "state", "5"), "OK");
	CU_ASSERT_STRING_EQUAL(state(), "5");
	put(BLKIF_OP_READ, 1, 3, 0, seg); /* still served while closing */
	kick();
	CU_ASSERT_EQUAL(late_count, 3);
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "state", "6"), "OK");
	CU_ASSERT_STRING_EQUAL(state(), "5");
	put(BLKIF_OP_READ, 1, 4, 0, seg);
	kick();
	CU_ASSERT_EQUAL(late_count, 3);
	late_end();
	CU_ASSERT_EQUAL(ring->rsp_prod, 3);
	CU_ASSERT_EQUAL(fake_holds(), 1);
	(void)host_run_work(vm);
	CU_ASSERT_EQUAL(fake_holds(), 0);
	CU_ASSERT_STRING_EQUAL(state(), "6");
	stop();
}

static void test_connect_errors(void)
{
	start(false);
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "state", "3"), "OK");
	CU_ASSERT_STRING_EQUAL(state(), "5");
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "state", "6"), "OK");
	CU_ASSERT_STRING_EQUAL(state(), "6");
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "state", "4"), "OK");
	CU_ASSERT_STRING_EQUAL(state(), "6");
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "state", "1"), "OK");
	CU_ASSERT_STRING_EQUAL(state(), "2");
	(void)fake_ring(vm, RING_PAGE);
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "ring-ref", "%u", RING_PAGE), "OK");
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "event-channel", "%u", 50u), "OK");
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "state", "4"), "OK");
	CU_ASSERT_STRING_EQUAL(state(), "5");
	CU_ASSERT_EQUAL(fake_holds(), 0);
	CU_ASSERT_TRUE(host_log_has(vm, "refused"));
	stop();
}

/* Completions on other threads while the work runs: every request is answered once. */
static bool racing;

static void *race_thread(void *arg)
{
	struct vm *vms[] = {vm};
	struct host_threads *threads = host_threads_start(vms, 1, 2);

	(void)arg;
	while (__atomic_load_n(&racing, __ATOMIC_RELAXED)) {
		sched_yield();
	}
	host_threads_stop(threads);
	return NULL;
}

static uint32_t shared_load(uint32_t off)
{
	return __atomic_load_n((uint32_t *)(void *)((uint8_t *)ring + off), __ATOMIC_ACQUIRE);
}

static void shared_store(uint32_t off, uint32_t value)
{
	__atomic_store_n((uint32_t *)(void *)((uint8_t *)ring + off), value, __ATOMIC_RELEASE);
}

static void test_race(void)
{
	pthread_t thread;
	uint64_t answered = 0;

	start(false);
	connect(NULL);
	segments_reset();
	__atomic_store_n(&racing, true, __ATOMIC_RELAXED);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, race_thread, NULL), 0);
	for (uint32_t i = 0; i < 2000; i++) {
		while (ring->req_prod - shared_load(XEN_RING_RSP_PROD) == 32) {
			sched_yield();
		}
		struct xen_blkif_request64 r = {BLKIF_OP_READ, 1, 0, 0, i, i % 64, {seg[0]}};
		memcpy(slot(ring->req_prod), &r, sizeof(r));
		shared_store(XEN_RING_REQ_PROD, ring->req_prod + 1);
		fake_guest_send(port);
	}
	while (shared_load(XEN_RING_RSP_PROD) != ring->req_prod) {
		sched_yield();
	}
	answered = ring->rsp_prod;
	__atomic_store_n(&racing, false, __ATOMIC_RELAXED);
	(void)pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(answered, 2000);
	stop();
}

static void test_no_memory(void)
{
	struct host_vm_config config = {.vm.disk_count = 1};
	bool made = false;
	uint32_t i = 0;

	config.vm.disks[0].block = &block;
	for (; !made; i++) {
		fake_reset();
		vm = host_vm_new(&config);
		host_fail_alloc_after(vm, i);
		made = xenbus_create(vm);
		host_fail_alloc_never(vm);
		if (made) {
			xenbus_teardown(vm);
		}
		CU_ASSERT_TRUE(host_vm_check_no_leaks(vm));
		host_vm_free(vm);
		CU_ASSERT_FATAL(i < 5000);
	}
	CU_ASSERT_TRUE(i > 100);
}

UNIT_MAIN("blkback", UNIT_TEST(test_features), UNIT_TEST(test_wide), UNIT_TEST(test_narrow),
          UNIT_TEST(test_refused), UNIT_TEST(test_fetch_once), UNIT_TEST(test_full_ring),
          UNIT_TEST(test_flush_fails), UNIT_TEST(test_bad_index), UNIT_TEST(test_events),
          UNIT_TEST(test_close_busy), UNIT_TEST(test_connect_errors), UNIT_TEST(test_race),
          UNIT_TEST(test_no_memory))

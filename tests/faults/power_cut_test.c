/*
 * power_cut_test.c - random writes and flushes, on a disk that completes in any order and fails now
 * and then; the power is cut after every single write and flush that the disk did. What the guest
 * was told before the cut is safe (a write that was answered, and then a flush, or a write with
 * FUA) must stand on every image that such a cut can leave.
 *
 * Twice: over a medium of the test's, and over the driver of the host's virtio disks with a model of
 * the device behind it, one that has a cache and one that has none.
 */
#include "tests/faults/fault_rig.h"
#include "tests/unit/virtio_fake.h"

#define REQUESTS 600u
#define FULL_WRITES 520000u /* of each face: a million and more together */
#define QUICK_WRITES 30000u

static struct fault_disk disk;
static struct fault_work work;
static uint8_t base[FAULT_MEDIUM * 512], undo[FAULT_MEDIUM * 512];
static uint32_t floor_version[FAULT_SECTORS]; /* what must be there at this point */
static uint64_t cuts, lost;

/* A few words say enough: the log's data were compared with stamps when they were read back. */
static bool sector_is(const uint8_t *image, uint32_t sector, uint32_t least, uint32_t most)
{
	const uint8_t *at = image + (FAULT_FIRST + sector) * 512;
	uint8_t whole[512];
	uint32_t version;

	memcpy(&version, at, 4);
	if (version < least || version > most) {
		return false;
	}
	fault_stamp(whole, sector, version);
	return memcmp(at, whole, 512) == 0;
}

static void check_image(const struct fault_cut *cut, const bool *sectors)
{
	for (uint32_t i = 0; i < FAULT_SECTORS; i++) {
		if (sectors[i] && !sector_is(cut->image, i, floor_version[i], work.written[i])) {
			lost++;
		}
	}
}

/* What this event changes, and what the guest was promised at it. */
static void note_touched(const struct fault_cut *cut, uint64_t from, uint64_t to, bool *sectors)
{
	for (uint64_t i = from; i < to; i++) {
		const struct fault_event *event = &cut->disk->log[i];

		for (uint32_t n = 0; n < event->sectors; n++) {
			sectors[event->sector + n - FAULT_FIRST] = true;
		}
	}
}

static void check_cut(struct fault_cut *cut, bool *touched)
{
	bool pending[FAULT_SECTORS] = {false};
	enum fault_cut_kind kind = FAULT_CUT_ALL + (enum fault_cut_kind)(cut->at % 3);

	check_image(cut, touched); /* what must be there, and no more */
	note_touched(cut, cut->kept, cut->at, pending);
	fault_cut_build(cut, kind, undo);
	check_image(cut, pending);
	fault_cut_undo(cut, undo);
	cuts++;
}

static void replay(uint64_t seed)
{
	static const bool all[FAULT_SECTORS] = {[0 ... FAULT_SECTORS - 1] = true};
	struct fault_cut cut;
	uint64_t next = 0;

	fault_cut_begin(&cut, &disk, base, seed);
	do {
		bool touched[FAULT_SECTORS] = {false};
		uint64_t kept = cut.kept;

		if (cut.at != 0 && disk.log[cut.at - 1].kind == FAULT_EVENT_FLUSH) {
			kept = 0; /* once more all that was made to stay */
		}
		note_touched(&cut, kept, cut.kept, touched);
		for (; next < work.promise_count && work.promises[next].log_at <= cut.at; next++) {
			floor_version[work.promises[next].sector] = work.promises[next].version;
			touched[work.promises[next].sector] = true;
		}
		check_cut(&cut, touched);
	} while (fault_cut_next(&cut));
	FAULT_CHECK(next == work.promise_count, seed, cut.at);
	check_image(&cut, all);
	fault_cut_end(&cut);
}

/* Errors now and then: of writes, of flushes, of both. */
static void plan(uint64_t round, uint64_t *random)
{
	static const uint32_t masks[] = {1u << BLOCK_WRITE, 1u << BLOCK_FLUSH,
					 1u << BLOCK_WRITE | 1u << BLOCK_FLUSH};
	static const enum fault_kind kinds[] = {FAULT_EIO, FAULT_TORN, FAULT_SHORT, FAULT_AFTER, FAULT_STALL};
	enum fault_kind kind = kinds[fault_random(random) % ARRAY_COUNT(kinds)];

	fault_disk_plan(&disk, kind, masks[round % 3], round % 2 == 0 ? 0 : 1 + fault_random(random) % 40,
			1 + fault_random(random) % 3, 40000);
}

static void flush_all(void)
{
	struct fault_io *io = &work.ios[0];

	fault_disk_plan(&disk, FAULT_NONE, 0, 0, 0, 0);
	io->op = FAULT_FLUSH;
	memcpy(io->versions, work.acked, sizeof(io->versions));
	io->acked_before = work.write_acks;
	CU_ASSERT_TRUE_FATAL(fault_io_submit(io) && fault_io_wait(io));
	CU_ASSERT_EQUAL_FATAL(io->result, FAULT_OK);
}

static void round_run(struct fault_guest *g, uint64_t round, uint64_t *random)
{
	fault_point("power cut, round", round);
	fault_disk_log(&disk, true);
	memcpy(base, disk.now, sizeof(base));
	memcpy(floor_version, work.promised, sizeof(floor_version));
	work.promise_count = 0;
	disk.late = round % 8 != 0;
	g->whole_work = round % 4 < 2;
	plan(round, random);
	FAULT_CHECK(fault_work_run(&work, REQUESTS), fault_seed, round);
	FAULT_CHECK(fault_work_wait(&work), fault_seed, round);
	flush_all();
	FAULT_CHECK(work.wrong_count + work.unanswered_count + work.bad_reads == 0, fault_seed, round);
	replay(round);
	FAULT_CHECK(lost == 0, fault_seed, round);
}

/* @disk is open. */
static void sweep(enum fault_face face, const char *kind, uint64_t goal)
{
	uint64_t random = fault_seed * 2 + 1, rounds = 0;
	struct fault_guest *g;
	char note[96];

	cuts = 0;
	lost = 0;
	g = fault_up(0, face, &disk, false);
	fault_work_begin(&work, g, fault_seed);
	while (work.write_acks_promised < goal) {
		round_run(g, rounds++, &random);
	}
	fault_work_verify(&work);
	snprintf(note, sizeof(note), "cuts; acknowledged writes checked: %llu, lost: %llu",
		 (unsigned long long)work.write_acks_promised, (unsigned long long)lost);
	fault_report(kind, face, cuts, note);
	fault_work_end(&work, true);
	fault_down(g);
}

static void test_xen(void)
{
	fault_disk_init(&disk, FAULT_MEDIUM, fault_seed);
	sweep(FAULT_XEN, "power cut", fault_full ? FULL_WRITES : QUICK_WRITES);
	fault_disk_free(&disk);
}

static void test_hyperv(void)
{
	fault_disk_init(&disk, FAULT_MEDIUM, fault_seed);
	sweep(FAULT_HYPERV, "power cut", fault_full ? FULL_WRITES : QUICK_WRITES);
	fault_disk_free(&disk);
}

/* ------------------------------------------------------------------ over a host's virtio disk */

static struct virtio_blk blk;
static uint8_t blk_memory[VIRTIO_BLK_MEMORY_BYTES] ALIGNED(4096);
static struct model *device;
static uint64_t covers[64]; /* by head: what was done when a flush came */
static bool known[64];
static uint64_t device_random, device_ends, device_breaks_at;

/* What the device has taken since the last look: a flush covers what was done before it came. */
static void device_look(void)
{
	for (uint32_t i = 0; i < device->held_count; i++) {
		uint16_t head = device->held[i].head;

		if (!known[head]) {
			known[head] = true;
			covers[head] = disk.log_count;
		}
	}
}

/* Ends one of what it has, in any order. */
static void device_end(void)
{
	uint32_t index = (uint32_t)(fault_random(&device_random) % device->held_count);
	struct held held = device->held[index];
	struct virtio_blk_slot header = *(const struct virtio_blk_slot *)memory_at(held.desc[0].addr);
	uint32_t bytes = 0;

	for (uint32_t i = 1; i + 1 < held.count; i++) {
		bytes += held.desc[i].len;
	}
	known[held.head] = false;
	if (++device_ends == device_breaks_at) {
		used_put(device, 0xFFFF, 1);
		return;
	}
	device->answer = disk.nth != 0 && fault_random(&device_random) % 64 == 0 ? VIRTIO_BLK_S_IOERR : 0;
	model_end(device, index);
	if (header.type == VIRTIO_BLK_T_OUT) {
		fault_disk_log_write(&disk, header.sector, bytes);
		if ((device->features & BIT64(VIRTIO_BLK_F_FLUSH)) == 0) {
			fault_disk_log_flush(&disk, disk.log_count); /* it has no cache */
		}
	} else if (header.type == VIRTIO_BLK_T_FLUSH && device->answer == 0) {
		fault_disk_log_flush(&disk, covers[held.head]);
	}
}

/* At each exit; polls come late (an interrupt was lost) and for nothing (or came without a cause). */
static void device_pump(struct fault_disk *d)
{
	(void)d;
	device_look();
	if (device->held_count != 0 && fault_random(&device_random) % 2 == 0) {
		device_end();
	}
	if (fault_random(&device_random) % 8 == 0) {
		irq_handlers[0](irq_contexts[0]);
	}
	if (fault_random(&device_random) % 3 == 0) {
		(void)virtio_blk_poll(&blk);
	}
	device_look();
}

static void device_up(bool has_cache)
{
	const char *why = NULL;

	fault_disk_init(&disk, FAULT_MEDIUM, fault_seed);
	free(disk.now);
	device = machine_start();
	if (!has_cache) {
		device->features &= ~BIT64(VIRTIO_BLK_F_FLUSH);
	}
	memset(blk_memory, 0, sizeof(blk_memory));
	CU_ASSERT_TRUE_FATAL(virtio_blk_open(&blk, &slots[0], blk_memory, 0, &why));
	block_open(&disk.whole, &virtio_blk_ops, &blk, blk.sector_count, false, "virtio");
	device->holds = true;
	disk.now = device->data;
	disk.pump = device_pump;
	device_random = fault_seed * 2 + has_cache;
	device_random |= 1;
	device_ends = 0;
	memset(known, 0, sizeof(known));
}

static void device_down(void)
{
	CU_ASSERT_EQUAL(blk.ring.in_flight, 0);
	disk.now = NULL;
	fault_disk_free(&disk);
}

static void test_virtio(void)
{
	uint64_t goal = fault_full ? 30000 : 3000;

	device_breaks_at = 0;
	for (enum fault_face face = FAULT_XEN; face < FAULT_FACES; face++) {
		device_up(true);
		sweep(face, "power cut, virtio with a cache", goal);
		device_down();
		device_up(false);
		sweep(face, "power cut, virtio without one", goal);
		device_down();
	}
}

/* The device breaks its contract at its Nth answer: errors for all from there on, and a clean end. */
static void test_virtio_breaks(void)
{
	for (enum fault_face face = FAULT_XEN; face < FAULT_FACES; face++) {
		uint64_t points = 0;

		for (uint64_t nth = 1; nth <= 60; nth += fault_full ? 1 : 5, points++) {
			struct fault_guest *g;

			device_up(true);
			device_breaks_at = nth;
			g = fault_up(0, face, &disk, false);
			fault_work_begin(&work, g, nth);
			FAULT_CHECK(fault_work_run(&work, 80) && fault_work_wait(&work), fault_seed, nth);
			FAULT_CHECK(device_ends >= nth && blk.state == VIRTIO_BLK_BROKEN, fault_seed, nth);
			FAULT_CHECK(work.error_count != 0 && work.ok_count + work.error_count == 80, fault_seed,
				    nth);
			FAULT_CHECK(work.bad_reads + work.wrong_count + work.unanswered_count == 0, fault_seed,
				    nth);
			fault_work_end(&work, true);
			fault_down(g);
			device_down();
		}
		fault_report("virtio disk breaks", face, points, "answers");
	}
	device_breaks_at = 0;
}

FAULT_MAIN("power cuts", UNIT_TEST(test_xen), UNIT_TEST(test_hyperv), UNIT_TEST(test_virtio),
	   UNIT_TEST(test_virtio_breaks))

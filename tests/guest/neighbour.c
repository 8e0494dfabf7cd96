/*
 * neighbour.c - a guest that must not notice who lives beside it: it writes numbered, summed blocks
 * to its disk, reads them back and compares, flushes now and then, and sends a numbered heartbeat
 * over the switch that its like checks.
 *
 * Says `ready=FACE`, then every period_ms=N of its own time `progress=...`; and `wrong=...` if data
 * or an answer are not what they should be. gap_us=N rests between rounds. It never ends by itself.
 * spoil=N spoils what was read in round N, and sends that round's heartbeat twice: does it notice?
 */
#include "guest-drivers/hyperv/hyperv.h"
#include "guest-drivers/xen/xen.h"
#include "guest-drivers/metal/machine.h"

#define VBD_ID (202u << 8)
#define BLOCKS 4u /* of a page, under way at once */
#define SECTORS_A_BLOCK 8u
#define ROUNDS_A_FLUSH 32u
#define WORDS (PAGE_BYTES / 8)
#define MAGIC UINT64_C(0x4e65696768626f75)
#define ETHER_TYPE 0x88b5u
#define STUCK_SECONDS 60u
#define WRONGS_SHOWN 20u
#define PEERS 8u

struct PACKED beat {
	uint8_t to[6];
	uint8_t from[6];
	uint8_t type[2];
	uint16_t id;
	uint64_t magic;
	uint64_t sequence;
	uint64_t sum;
	uint8_t rest[24];
};

static struct guest *machine;
static bool is_xen;
static struct xen_guest xen;
static struct xen_blkfront blk;
static struct xen_netfront xen_net;
static struct hv_guest hv;
static struct hv_storvsc stor;
static struct hv_disk disk;
static struct hv_netvsc hv_net;
static struct guest_page pages[BLOCKS];
static uint32_t pending;
static uint32_t failed;
static uint64_t block_count;
static uint64_t io_count, sent_count, unsent_count, heard_count, lost_count, wrong_count;
static uint64_t peers[PEERS];
static uint16_t id;
static uint64_t spoil;

static void wrong(const char *what, uint64_t seen, uint64_t wanted)
{
	if (wrong_count++ < WRONGS_SHOWN) {
		report("wrong=%s: %lx instead of %lx", what, (unsigned long)seen, (unsigned long)wanted);
	}
}

/* ---------------------------------------------------------------- the disk */

static void xen_done(void *context, int status)
{
	(void)context;
	pending--;
	failed += status != BLKIF_RSP_OKAY;
}

static void hv_done(void *context, const struct hv_scsi_result *result)
{
	(void)context;
	pending--;
	failed += !result->answered || result->srb_status != SRB_STATUS_SUCCESS;
}

static bool submit(bool write, uint64_t block, struct guest_page *page)
{
	const struct hv_buffer buffer = {.bytes = PAGE_BYTES, .gfns = &page->gfn};
	const struct xen_blk_piece piece = {.gfn = page->gfn, .first = 0, .last = SECTORS_A_BLOCK - 1};
	uint64_t sector = block * SECTORS_A_BLOCK;

	if (is_xen) {
		return xen_blkfront_submit(&blk, write ? BLKIF_OP_WRITE : BLKIF_OP_READ, sector, &piece, 1,
		                           xen_done, NULL);
	}
	return hv_disk_submit(&disk, write ? HV_DISK_WRITE : HV_DISK_READ, sector, &buffer, hv_done, NULL);
}

static bool submit_flush(void)
{
	if (is_xen) {
		return xen_blkfront_submit(&blk, BLKIF_OP_FLUSH_DISKCACHE, 0, NULL, 0, xen_done, NULL);
	}
	return hv_disk_submit(&disk, HV_DISK_FLUSH, 0, NULL, hv_done, NULL);
}

static void poll(void)
{
	if (is_xen) {
		xen_poll(&xen);
		xen_blkfront_poll(&blk);
	} else {
		hv_poll(&hv);
	}
}

static void wait(const char *what)
{
	uint64_t limit = tsc_read() + tsc_hz() * STUCK_SECONDS;

	while (pending != 0 && tsc_read() < limit) {
		poll();
	}
	if (pending != 0) {
		report("stuck=%s", what);
		finish(false);
	}
	if (failed != 0) {
		wrong(what, failed, 0);
		failed = 0;
	}
}

static void go(const char *what, bool taken)
{
	pending += taken ? 1 : 0;
	if (!taken) {
		wrong(what, 0, 1);
	}
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdu;
	return x ^ x >> 33;
}

static void fill(uint64_t *words, uint64_t sequence, uint64_t block)
{
	uint64_t sum = 0;

	words[0] = MAGIC;
	words[1] = sequence;
	words[2] = block;
	words[3] = id;
	for (uint32_t i = 4; i < WORDS - 1; i++) {
		words[i] = mix(sequence * WORDS + i);
	}
	for (uint32_t i = 0; i < WORDS - 1; i++) {
		sum = sum * 31 + words[i];
	}
	words[WORDS - 1] = sum;
}

static void check(const uint64_t *words, uint64_t sequence, uint64_t block)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < WORDS - 1; i++) {
		sum = sum * 31 + words[i];
	}
	if (words[0] != MAGIC || words[1] != sequence) {
		wrong("sequence", words[1], sequence);
	} else if (words[2] != block || words[3] != id) {
		wrong("block", words[2], block);
	} else if (words[WORDS - 1] != sum) {
		wrong("sum", words[WORDS - 1], sum);
	}
}

static void io_round(uint64_t round)
{
	uint64_t at[BLOCKS];

	for (uint32_t i = 0; i < BLOCKS; i++) {
		at[i] = mix(round * BLOCKS + i) % (block_count / BLOCKS) * BLOCKS + i;
		fill((uint64_t *)(void *)pages[i].bytes, round * BLOCKS + i, at[i]);
		go("write refused", submit(true, at[i], &pages[i]));
	}
	wait("write");
	for (uint32_t i = 0; i < BLOCKS; i++) {
		memset(pages[i].bytes, 0, PAGE_BYTES);
		go("read refused", submit(false, at[i], &pages[i]));
	}
	wait("read");
	if (round == spoil) {
		pages[0].bytes[PAGE_BYTES / 2] ^= 1;
	}
	for (uint32_t i = 0; i < BLOCKS; i++) {
		check((const uint64_t *)(const void *)pages[i].bytes, round * BLOCKS + i, at[i]);
	}
	io_count += 2 * BLOCKS;
	if (round % ROUNDS_A_FLUSH == 0) {
		go("flush refused", submit_flush());
		wait("flush");
	}
}

/* ---------------------------------------------------------------- the heartbeat */

static uint64_t beat_sum(const struct beat *beat)
{
	return mix(beat->sequence ^ beat->magic ^ beat->id);
}

static void heard(const uint8_t *bytes, uint32_t len)
{
	struct beat beat;

	if (len < sizeof(beat)) {
		return;
	}
	memcpy(&beat, bytes, sizeof(beat));
	if (beat.type[0] != ETHER_TYPE >> 8 || beat.type[1] != (ETHER_TYPE & 0xff) || beat.id >= PEERS ||
	    beat.id == id) {
		return;
	}
	heard_count++;
	if (beat.magic != MAGIC || beat.sum != beat_sum(&beat)) {
		wrong("heartbeat's sum", beat.sum, beat_sum(&beat));
	} else if (beat.sequence <= peers[beat.id]) {
		wrong("heartbeat's order", beat.sequence, peers[beat.id] + 1);
	} else {
		lost_count += beat.sequence - peers[beat.id] - 1;
		peers[beat.id] = beat.sequence;
	}
}

static void xen_heard(void *context, const struct xen_net_frame *frame)
{
	(void)context;
	heard(frame->bytes, frame->len);
}

static void hv_heard(void *context, const struct hv_net_frame *frame)
{
	(void)context;
	heard(frame->bytes, frame->len);
}

static void send_beat(uint64_t sequence)
{
	struct beat beat = {
		.to = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		.type = {ETHER_TYPE >> 8, ETHER_TYPE & 0xff},
		.id = id,
		.magic = MAGIC,
		.sequence = sequence,
	};
	bool sent;

	memcpy(beat.from, is_xen ? xen_net.mac : hv_net.mac, sizeof(beat.from));
	beat.sum = beat_sum(&beat);
	if (is_xen) {
		const struct xen_net_frame frame = {.bytes = (const uint8_t *)&beat, .len = sizeof(beat)};

		sent = xen_netfront_send(&xen_net, &frame);
	} else {
		const struct hv_net_frame frame = {.bytes = (const uint8_t *)&beat, .len = sizeof(beat)};

		sent = hv_netvsc_send(&hv_net, &frame, 1);
	}
	sent_count += sent ? 1 : 0;
	unsent_count += sent ? 0 : 1;
}

/* ---------------------------------------------------------------- start and loop */

static bool open_xen(void)
{
	if (xen_start(&xen, machine) != 0 || xen_store_start(&xen) != 0 || !xen_blkfront_open(&blk, &xen, VBD_ID) ||
	    !xen_netfront_open(&xen_net, &xen, 0, xen_heard, NULL)) {
		return false;
	}
	block_count = blk.sector_count / SECTORS_A_BLOCK;
	return true;
}

static bool open_hyperv(void)
{
	uint8_t lun = 0;

	if (!hv_start(&hv, machine) || !hv_bus_connect(&hv, VERSION_WIN10_V5_3) || !hv_bus_offers(&hv) ||
	    !hv_storvsc_open(&stor, &hv, 0) || hv_storvsc_luns(&stor, &lun, 1) != 1 ||
	    !hv_disk_open(&disk, &stor, lun) || !hv_netvsc_open(&hv_net, &hv, 0, hv_heard, NULL)) {
		return false;
	}
	block_count = disk.sector_count * disk.sector_bytes / PAGE_BYTES;
	return true;
}

static void rest(uint64_t until)
{
	while (tsc_read() < until) {
		poll();
	}
}

static void show(uint64_t begun)
{
	report("progress=io %lu sent %lu unsent %lu heard %lu lost %lu wrong %lu us %lu", (unsigned long)io_count,
	       (unsigned long)sent_count, (unsigned long)unsent_count, (unsigned long)heard_count,
	       (unsigned long)lost_count, (unsigned long)wrong_count,
	       (unsigned long)(tsc_to_ns(tsc_read() - begun) / 1000));
}

void program_main(void)
{
	uint64_t period = tsc_hz() / 1000 * option_number("period_ms", 250);
	uint64_t gap = tsc_hz() / 1000000 * option_number("gap_us", 0);
	uint64_t begun, next;

	machine = machine_open(true);
	id = (uint16_t)option_number("id", 1);
	spoil = option_number("spoil", 0);
	is_xen = !has_hyperv();
	for (uint32_t i = 0; i < BLOCKS; i++) {
		if (!guest_page_alloc(machine, &pages[i])) {
			finish(false);
		}
	}
	if (!(is_xen ? open_xen() : open_hyperv()) || block_count < BLOCKS) {
		report("error=its devices did not come up");
		finish(false);
	}
	report("ready=%s %lu blocks", face_name(), (unsigned long)block_count);
	begun = tsc_read();
	next = begun;
	for (uint64_t round = 1;; round++) {
		io_round(round);
		send_beat(round);
		if (round == spoil) {
			send_beat(round);
		}
		if (gap != 0) {
			rest(tsc_read() + gap);
		}
		if (tsc_read() >= next) {
			next = tsc_read() + period;
			show(begun);
		}
	}
}

/*
 * gpadl_fuzz.c - libFuzzer: GPADLs of two guests, made by their messages: of several ranges, in pieces, unfinished,
 * repeated, with frames that are shared, wrong or not there, used by rings, torn down while they are used, and out of quota.
 *
 * Input: steps, each of one of the guests. What must hold after each: what is pinned is what the lists hold, within the
 * quota; a ready list holds the frames that the guest gave, and no segment of it lies elsewhere; each message has one answer
 * at most; what one guest does changes nothing of the other's; after a reset nothing is held.
 */
#include "tests/fuzz/fuzz_guest.h"

#define GUESTS 2u
#define IDS 6u
#define RELIDS 3u
#define WORDS_MAX 120u
#define STEPS_MAX 80u

/* A list as the guest means it. */
struct list {
	uint64_t words[WORDS_MAX];
	uint32_t word_count, sent;
	bool alone; /* no other list had its id when it was sent: what is ready by the id is this one */
};

struct side {
	struct guest *guest;
	struct list lists[IDS];
	uint32_t created_max, torn_max; /* answers that may still come */
};

static struct side sides[GUESTS];

/* ------------------------------------------------------------------ what must hold */

/* Its RAM, or one of our pages that it has placed over it: those may be named too. */
static bool is_of_guest(struct guest *guest, const uint8_t *bytes)
{
	const uint8_t *ram = host_vm_bytes(guest->vm, 0, PAGE_BYTES);
	bool found = bytes >= ram && bytes < ram + GUEST_MEMORY;

	for (uint32_t vp = 0; vp < 2; vp++) {
		const uint8_t *simp = host_vm_bytes(guest->vm, GUEST_SIMP(vp), PAGE_BYTES);
		const uint8_t *siefp = host_vm_bytes(guest->vm, GUEST_SIEFP(vp), PAGE_BYTES);

		found = found || (bytes >= simp && bytes < simp + PAGE_BYTES) ||
		        (bytes >= siefp && bytes < siefp + PAGE_BYTES);
	}
	return found;
}

/* Segment after segment, in order, of the frames that the list names. */
static void check_segments(struct guest *guest, const struct vmbus_gpadl *gpadl, uint64_t offset,
                           uint64_t len)
{
	struct io_segment segments[64];
	uint64_t bytes = vmbus_gpadl_bytes(gpadl), sum = 0;
	uint32_t count = vmbus_gpadl_segments(gpadl, offset, len, segments, ARRAY_COUNT(segments));

	must(count <= ARRAY_COUNT(segments));
	must(count == 0 || (len <= bytes && offset <= bytes - len));
	for (uint32_t i = 0; i < count; i++) {
		must(is_of_guest(guest, segments[i].bytes));
		must((uintptr_t)segments[i].bytes % PAGE_BYTES + segments[i].len_bytes <= PAGE_BYTES);
		sum += segments[i].len_bytes;
	}
	must(count == 0 || sum == len);
}

static bool is_frame_of(struct guest *guest, struct vm_page *page, uint64_t frame)
{
	return vm_page_bytes(page) == host_vm_bytes(guest->vm, frame * PAGE_BYTES, 1);
}

/* The words that the guest sent, read again from the list. */
static void check_frames(struct guest *guest, const struct vmbus_gpadl *gpadl, const struct list *list)
{
	uint32_t at = 0;

	if (!list->alone || list->word_count != gpadl->page_count + gpadl->range_count) {
		return;
	}
	for (uint32_t i = 0; i < gpadl->range_count; i++) {
		const struct gpadl_range *range = &gpadl->ranges[i];
		uint32_t pages = (range->offset + range->len_bytes + PAGE_MASK) / PAGE_BYTES;

		must(list->words[at++] == (range->len_bytes | (uint64_t)range->offset << 32));
		for (uint32_t k = 0; k < pages; k++) {
			must(range->first_page + k < gpadl->page_count);
			must(is_frame_of(guest, gpadl->pages[range->first_page + k], list->words[at++]));
		}
	}
	must(at == list->word_count);
}

static uint32_t uses(const struct vmbus *bus, const struct vmbus_gpadl *gpadl)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < bus->channel_count; i++) {
		count += bus->channels[i]->state != CHANNEL_CLOSED && bus->channels[i]->ring_gpadl == gpadl;
	}
	return count;
}

static void check(struct side *side)
{
	const struct vmbus *bus = fuzz_bus(side->guest);

	fuzz_check_gpadls(side->guest, 0);
	must(!host_vm_killed(side->guest->vm));
	for (uint32_t i = 0; i < VMBUS_GPADL_COUNT_MAX; i++) {
		struct vmbus_gpadl *gpadl = bus->gpadls[i];

		must(gpadl == NULL || gpadl->use_count == uses(bus, gpadl));
	}
}

/* ------------------------------------------------------------------ messages */

static void post(struct side *side, const void *message, size_t size)
{
	(void)guest_post_on(side->guest, 4, message, size);
}

static void receive(struct side *side)
{
	for (uint32_t i = 0; i < 200; i++) {
		uint32_t type = guest_receive(side->guest);

		if (type == 0) {
			return;
		}
		if (type == CHANNELMSG_GPADL_CREATED) {
			must(side->created_max-- != 0);
		} else if (type == CHANNELMSG_GPADL_TORNDOWN) {
			must(side->torn_max-- != 0);
		}
	}
}

/* The ranges of a list; now and then a word that does not belong there. */
static void make_list(struct input *in, struct list *list)
{
	uint32_t ranges = take8(in) % 4u + 1;

	list->word_count = 0;
	list->sent = 0;
	for (uint32_t i = 0; i < ranges; i++) {
		uint8_t how = take8(in), pages = take8(in) % 28u + 1, first = take8(in);
		uint32_t offset = (how & 3) == 3 ? (uint32_t)how * 16 : 0;
		uint64_t bytes = (uint64_t)pages * PAGE_BYTES - offset - ((how & 4) != 0 ? how : 0);

		list->words[list->word_count++] = (uint32_t)bytes | (uint64_t)offset << 32;
		for (uint32_t k = 0; k < pages; k++) {
			list->words[list->word_count++] = 0x100u + first + ((how & 8) != 0 ? 0 : k);
		}
		if (how >= 0xF0) {
			list->words[list->word_count - 1 - take8(in) % pages] = take64(in);
		}
	}
}

static void post_body(struct side *side, uint32_t id, uint32_t count)
{
	struct {
		struct vmbus_channel_gpadl_body h;
		uint64_t words[28];
	} PACKED m = {.h = {.header.msgtype = CHANNELMSG_GPADL_BODY, .gpadl = id}};
	struct list *list = &side->lists[id];
	uint32_t left = list->word_count - list->sent;

	count = count < left ? count : left;
	count = count < 28 ? count : 28;
	memcpy(m.words, list->words + list->sent, count * 8);
	list->sent += count;
	post(side, &m, sizeof(m.h) + count * 8);
}

static bool is_alone(struct side *side, uint32_t id)
{
	const struct vmbus *bus = fuzz_bus(side->guest);

	for (uint32_t i = 0; i < VMBUS_GPADL_COUNT_MAX; i++) {
		if (bus->gpadls[i] != NULL && bus->gpadls[i]->id == id) {
			return false;
		}
	}
	return bus->queue_count == 0;
}

static void post_header(struct side *side, uint32_t id, struct input *in)
{
	struct {
		struct vmbus_channel_gpadl_header h;
		uint64_t words[26];
	} PACKED m = {.h = {.header.msgtype = CHANNELMSG_GPADL_HEADER, .gpadl = id}};
	struct list *list = &side->lists[id];
	uint8_t how = take8(in), now = take8(in) % 27u;
	uint32_t ranges = 0;

	make_list(in, list);
	list->alone = is_alone(side, id);
	for (uint32_t at = 0; at < list->word_count; ranges++) {
		uint64_t end = (list->words[at] >> 32) + (uint32_t)list->words[at] + PAGE_MASK;

		at += 1 + (uint32_t)(end / PAGE_BYTES);
	}
	m.h.child_relid = how % RELIDS + 1;
	m.h.range_buflen = (uint16_t)(list->word_count * 8 + (how >= 0xF8            ? take16(in)
	                                                      : (how & 0x1C) == 0x1C ? take8(in) * 256u
	                                                                             : 0));
	m.h.rangecount = (uint16_t)(ranges + (how >= 0xE0 ? take8(in) % 4u : 0));
	list->sent = now < list->word_count ? now : list->word_count;
	memcpy(m.words, list->words, list->sent * 8);
	side->created_max++;
	post(side, &m, sizeof(m.h) + list->sent * 8);
	while ((how & 0x10) == 0 && list->sent < list->word_count) {
		post_body(side, id, 28);
	}
}

static void post_relid_message(struct side *side, uint32_t type, uint32_t relid, uint32_t id)
{
	const struct vmbus_channel_gpadl_teardown m = {
	        .header.msgtype = type, .child_relid = relid, .gpadl = id};

	side->torn_max += type == CHANNELMSG_GPADL_TEARDOWN;
	post(side, &m, sizeof(m));
}

static void post_open(struct side *side, uint32_t relid, uint32_t id, uint8_t down)
{
	const struct vmbus_channel_open_channel m = {.header.msgtype = CHANNELMSG_OPENCHANNEL,
	                                             .child_relid = relid,
	                                             .ringbuffer_gpadlhandle = id,
	                                             .downstream_ringbuffer_pageoffset = down};

	post(side, &m, sizeof(m));
}

/* What a device may ask of a list of its own. */
static void look(struct side *side, struct input *in)
{
	uint32_t relid = take8(in) % RELIDS + 1, id = take8(in) % IDS;
	uint64_t offset = take16(in) * 8ull, len = take16(in) * 2ull;
	struct vmbus_gpadl *gpadl = vmbus_gpadl_get(fuzz_bus(side->guest)->channels[relid - 1], id);

	if (gpadl == NULL) {
		return;
	}
	must(gpadl->life == GPADL_READY && gpadl->id == id && gpadl->channel_id == relid);
	check_segments(side->guest, gpadl, offset, len);
	check_segments(side->guest, gpadl, 0, vmbus_gpadl_bytes(gpadl));
	check_frames(side->guest, gpadl, &side->lists[id]);
	vmbus_gpadl_put(gpadl);
}

/* ------------------------------------------------------------------ steps */

static void step(struct side *side, struct input *in, uint8_t what)
{
	uint8_t a = take8(in), b = take8(in);

	switch (what % 10) {
	case 0:
	case 1:
		post_header(side, a % IDS, in);
		break;
	case 2:
		post_body(side, a % IDS, b);
		break;
	case 3:
	case 4:
		post_relid_message(side, CHANNELMSG_GPADL_TEARDOWN, b % RELIDS + 1, a % IDS);
		break;
	case 5:
		post_open(side, b % RELIDS + 1, a % IDS, take8(in) % 16u);
		break;
	case 6:
		post_relid_message(side, CHANNELMSG_CLOSECHANNEL, b % RELIDS + 1, 0);
		break;
	case 7:
		look(side, in);
		break;
	case 8:
		if (a < 0x40) {
			post_relid_message(side, CHANNELMSG_UNLOAD, 0, 0);
		} else if (a < 0x80) {
			host_fail_alloc_after(side->guest->vm, b % 4u);
		} else {
			fuzz_work(side->guest, b % 8u);
		}
		break;
	default:
		host_fail_alloc_never(side->guest->vm);
		receive(side);
		break;
	}
}

static void begin(uint16_t i)
{
	static struct host_snapshot *starts[GUESTS];

	if (starts[i] == NULL) {
		sides[i].guest = fuzz_guest_new(NULL, (uint16_t)(i + 1));
		fuzz_guest_begin(sides[i].guest);
		fuzz_guest_connect(sides[i].guest);
		starts[i] = fuzz_guest_keep(sides[i].guest);
		host_snapshot_add(starts[i], &sides[i], sizeof(sides[i]));
	} else {
		host_snapshot_restore(starts[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	for (uint16_t i = 0; i < GUESTS; i++) {
		begin(i);
	}
	for (uint32_t i = 0; i < STEPS_MAX && in.left != 0; i++) {
		uint8_t what = take8(&in);
		struct side *side = &sides[what / 128];

		step(side, &in, what & 0x7F);
		if ((what & 0x40) != 0) {
			(void)host_run(side->guest->vm);
		}
		check(&sides[0]);
		check(&sides[1]);
	}
	for (uint32_t i = 0; i < GUESTS; i++) {
		host_fail_alloc_never(sides[i].guest->vm);
		receive(&sides[i]);
		fuzz_guest_end(sides[i].guest, i == size % 16);
	}
	return 0;
}

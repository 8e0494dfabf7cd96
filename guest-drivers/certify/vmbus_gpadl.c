/*
 * vmbus_gpadl.c - probes of the three messages about lists of pages (GPADLs), rows of specs/vmbus_message.def.
 *
 * A list is one or more ranges {bytes u32, offset u32, a frame number for each page}. It is answered when as much of it
 * has come as its head announces, or when it is wrong.
 */
#include "guest-drivers/certify/vmbus_message.h"

#define WORDS VMBUS_GPADL_HEADER_WORDS_MAX
#define FRAMES_IN_HEADER (WORDS - 1)
#define BODY_WORDS VMBUS_GPADL_BODY_WORDS_MAX
#define POLLS 16u
#define BAD_FRAME 0x000FFFFFFFFFFFFFull /* no guest has memory there */

struct list {
	struct vmbus_channel_gpadl_header head;
	uint64_t words[WORDS];
} PACKED;

struct body {
	struct vmbus_channel_gpadl_body head;
	uint64_t words[BODY_WORDS];
} PACKED;

static uint64_t range_head(uint32_t bytes, uint32_t offset)
{
	return (uint64_t)offset << 32 | bytes;
}

/* One range of @pages whole pages, all of them one page of ours: a list may name a page again. */
static struct list list_of(const struct bus *b, uint32_t id, uint32_t pages)
{
	struct list list = {
	        .head = {.header.msgtype = CHANNELMSG_GPADL_HEADER,
	                 .child_relid = b->relid,
	                 .gpadl = id,
	                 .range_buflen = (uint16_t)(8 + pages * 8),
	                 .rangecount = 1},
	        .words = {range_head(pages * PAGE_BYTES, 0)},
	};

	for (uint32_t i = 1; i < WORDS; i++) {
		list.words[i] = b->pages[0].gfn;
	}
	return list;
}

/* Posts the first @words; false: not answered. */
static bool list_ask(struct hv_guest *hv, const struct list *list, uint32_t words, uint32_t *status)
{
	struct vmbus_channel_gpadl_created created;

	hv_bus_expect(hv, CHANNELMSG_GPADL_CREATED, 2, list->head.child_relid, list->head.gpadl);
	if (!hv_bus_post(hv, list, (uint32_t)sizeof(list->head) + words * 8) || !hv_bus_await(hv)) {
		return false;
	}
	memcpy(&created, hv->bus.wait.bytes, sizeof(created));
	*status = created.creation_status;
	return true;
}

bool bus_gpadl_make(struct probe *p, struct bus *b, uint32_t relid, uint32_t id)
{
	struct list list = list_of(b, id, BUS_PAGES);
	uint32_t status = 0;

	list.head.child_relid = relid;
	for (uint32_t i = 0; i < BUS_PAGES; i++) {
		list.words[1 + i] = b->pages[i].gfn;
		memset(b->pages[i].bytes, 0, PAGE_BYTES); /* rings' control pages have to start so */
	}
	return probe_check(p, list_ask(b->hv, &list, 1 + BUS_PAGES, &status), "GPADL_HEADER: no answer") &&
	       probe_equal(p, status, VMBUS_STATUS_SUCCESS, "status of a list of ring memory");
}

static bool teardown_post(struct bus *b, uint32_t relid, uint32_t id)
{
	const struct vmbus_channel_gpadl_teardown message = {{CHANNELMSG_GPADL_TEARDOWN, 0}, relid, id};

	return hv_bus_post(b->hv, &message, sizeof(message));
}

bool bus_gpadl_end(struct bus *b, uint32_t relid, uint32_t id)
{
	hv_bus_expect(b->hv, CHANNELMSG_GPADL_TORNDOWN, 1, id, 0);
	return teardown_post(b, relid, id) && hv_bus_await(b->hv);
}

/* ------------------------------------------------------------------ GPADL_HEADER */

static void check_good(struct probe *p, struct bus *b, const struct list *list, uint32_t words,
                       const char *what)
{
	uint32_t status = 0;

	if (probe_check(p, list_ask(b->hv, list, words, &status), "%s: no answer", what) &&
	    probe_check(p, status == VMBUS_STATUS_SUCCESS, "%s: status 0x%x", what, status)) {
		(void)probe_check(p, bus_gpadl_end(b, list->head.child_relid, list->head.gpadl),
		                  "%s: not torn down", what);
	}
}

static void check_bad(struct probe *p, struct bus *b, const struct list *list, uint32_t words,
                      const char *what)
{
	uint32_t status = 0;

	if (probe_check(p, list_ask(b->hv, list, words, &status), "%s: no answer", what) &&
	    !probe_check(p, status != VMBUS_STATUS_SUCCESS, "%s is taken", what)) {
		(void)!bus_gpadl_end(b, list->head.child_relid, list->head.gpadl);
	}
}

static void check_ranges(struct probe *p, struct bus *b)
{
	struct list list = list_of(b, ++b->next_gpadl, 2);

	check_good(p, b, &list, 3, "a list of two pages");
	list.words[0] = range_head(PAGE_BYTES, 100);
	check_good(p, b, &list, 3, "a list with an offset, over two pages");
	list = list_of(b, ++b->next_gpadl, 3);
	list.head.rangecount = 2;
	list.words[0] = range_head(512, 512);
	list.words[2] = range_head(PAGE_BYTES, 0);
	check_good(p, b, &list, 4, "a list of two ranges");
	list = list_of(b, ++b->next_gpadl, FRAMES_IN_HEADER);
	check_good(p, b, &list, WORDS, "a list that fills its message");
}

static void check_counts(struct probe *p, struct bus *b)
{
	struct list list = list_of(b, ++b->next_gpadl, 2);

	list.head.rangecount = 0;
	check_bad(p, b, &list, 3, "a list of 0 ranges");
	list.head.rangecount = UINT16_MAX;
	check_bad(p, b, &list, 3, "a list of 65535 ranges in 24 bytes");
	list.head.rangecount = 2;
	check_bad(p, b, &list, 3, "a list of two ranges that holds one");
	list = list_of(b, ++b->next_gpadl, 2);
	list.head.range_buflen = 0;
	check_bad(p, b, &list, 0, "a list of no bytes");
	list.head.range_buflen = 8;
	check_bad(p, b, &list, 1, "a range without pages");
	list.head.range_buflen = 21;
	check_bad(p, b, &list, 3, "a list that is not whole words");
}

static void check_heads(struct probe *p, struct bus *b)
{
	struct list list = list_of(b, ++b->next_gpadl, 2);

	list.words[0] = range_head(0, 0);
	check_bad(p, b, &list, 3, "a range of 0 bytes");
	list.words[0] = range_head(PAGE_BYTES, PAGE_BYTES);
	check_bad(p, b, &list, 3, "an offset of a page");
	list.words[0] = range_head(3 * PAGE_BYTES, 0);
	check_bad(p, b, &list, 3, "a range of more pages than the list has");
	list.words[0] = range_head(UINT32_MAX, PAGE_BYTES - 1);
	check_bad(p, b, &list, 3, "a range of 4 GiB");
	list.words[0] = range_head(2 * PAGE_BYTES, 0);
	list.words[2] = BAD_FRAME;
	check_bad(p, b, &list, 3, "a frame beyond memory");
	list.words[2] = UINT64_MAX;
	check_bad(p, b, &list, 3, "a frame number of 64 bits");
	list = list_of(b, ++b->next_gpadl, 2);
	list.head.child_relid = 0x7E5u;
	check_bad(p, b, &list, 3, "a list of a channel that there is not");
}

/* The second list of one id is wrong, and the first one stays. */
static void check_doubled(struct probe *p, struct bus *b)
{
	uint32_t id = ++b->next_gpadl;
	struct list list = list_of(b, id, 2);
	uint32_t status = VMBUS_STATUS_UNSUCCESSFUL;

	if (!probe_check(p, list_ask(b->hv, &list, 3, &status) && status == VMBUS_STATUS_SUCCESS,
	                 "a list of two pages: status 0x%x", status)) {
		return;
	}
	(void)probe_check(p, list_ask(b->hv, &list, 3, &status) && status != VMBUS_STATUS_SUCCESS,
	                  "a list whose id is in use: status 0x%x", status);
	(void)probe_check(p, bus_gpadl_end(b, b->relid, id), "a doubled id ends the first list");
}

void bus_body_gpadl_header(struct probe *p, struct bus *b)
{
	struct list list = list_of(b, ++b->next_gpadl, 2);

	bus_check_silent(p, b, &list, sizeof(list.head) - 1, "a GPADL_HEADER that is too short");
	check_ranges(p, b);
	check_counts(p, b);
	check_heads(p, b);
	check_doubled(p, b);
}

/* ------------------------------------------------------------------ GPADL_BODY */

static struct body body_of(const struct bus *b, uint32_t id)
{
	struct body body = {.head = {.header.msgtype = CHANNELMSG_GPADL_BODY, .msgnumber = 7, .gpadl = id}};

	for (uint32_t i = 0; i < BODY_WORDS; i++) {
		body.words[i] = b->pages[i % BUS_PAGES].gfn;
	}
	return body;
}

static bool body_post(struct bus *b, const struct body *body, uint32_t words)
{
	return hv_bus_post(b->hv, body, (uint32_t)sizeof(body->head) + words * 8);
}

static bool created_now(struct bus *b, uint32_t *status)
{
	struct vmbus_channel_gpadl_created created;

	memcpy(&created, b->hv->bus.wait.bytes, sizeof(created));
	*status = created.creation_status;
	return b->hv->bus.wait.done;
}

/*
 * A list of @pages in a header and bodies of @words each, whose frame @bad_at (0: none) is no memory. Nothing answers
 * before the end.
 */
static void check_long(struct probe *p, struct bus *b, uint32_t pages, uint32_t words, uint32_t bad_at)
{
	uint32_t id = ++b->next_gpadl;
	struct list list = list_of(b, id, pages);
	struct body body = body_of(b, id);
	uint32_t left = pages - FRAMES_IN_HEADER;
	uint32_t status = 0;
	bool early = false;

	hv_bus_expect(b->hv, CHANNELMSG_GPADL_CREATED, 2, b->relid, id);
	(void)!hv_bus_post(b->hv, &list, sizeof(list));
	while (left != 0) {
		uint32_t here = left < words ? left : words;

		hv_poll(b->hv);
		hv_poll(b->hv);
		early = early || b->hv->bus.wait.done;
		body = body_of(b, id);
		if (bad_at != 0 && here == left) {
			body.words[here - 1] = BAD_FRAME;
		}
		(void)!body_post(b, &body, here);
		left -= here;
	}
	(void)probe_check(p, !early, "a list of %u pages is answered before it is whole", pages);
	(void)probe_check(p, hv_bus_await(b->hv) && created_now(b, &status), "a list of %u pages: no answer",
	                  pages);
	if (probe_check(p, (status == VMBUS_STATUS_SUCCESS) == (bad_at == 0),
	                "a list of %u pages%s: status 0x%x", pages, bad_at == 0 ? "" : ", one bad", status) &&
	    bad_at == 0) {
		(void)probe_check(p, bus_gpadl_end(b, b->relid, id), "a list of %u pages: not torn down",
		                  pages);
	}
}

void bus_body_gpadl_body(struct probe *p, struct bus *b)
{
	uint32_t id = ++b->next_gpadl;
	struct body body = body_of(b, id);
	struct list list = list_of(b, id, 2);
	uint32_t status = VMBUS_STATUS_UNSUCCESSFUL;
	uint64_t bad;

	bus_check_silent(p, b, &body, sizeof(body.head) + 8, "a GPADL_BODY of no list");
	bus_check_silent(p, b, &body, sizeof(body.head) - 1, "a GPADL_BODY that is too short");
	check_long(p, b, FRAMES_IN_HEADER + 1, BODY_WORDS, 0);
	check_long(p, b, FRAMES_IN_HEADER + 2 * BODY_WORDS, BODY_WORDS, 0);
	check_long(p, b, FRAMES_IN_HEADER + 5, 1, 0);
	check_long(p, b, 500, BODY_WORDS, 0);
	check_long(p, b, FRAMES_IN_HEADER + 3, BODY_WORDS, 3);
	/* Behind a list that is whole it is of none. */
	if (probe_check(p, list_ask(b->hv, &list, 3, &status) && status == VMBUS_STATUS_SUCCESS,
	                "a list of two pages: status 0x%x", status)) {
		bad = b->hv->bus.bad_messages;
		(void)!body_post(b, &body, 1);
		(void)probe_check(p, bus_gpadl_end(b, b->relid, id), "a body too many: no TORNDOWN");
		(void)probe_equal(p, b->hv->bus.bad_messages, bad, "messages that answer a body too many");
	}
}

/* ------------------------------------------------------------------ GPADL_TEARDOWN */

static void wait(struct bus *b)
{
	for (uint32_t i = 0; i < POLLS; i++) {
		hv_poll(b->hv);
	}
}

/* The rings of an open channel are in use: torn down only behind its end, now or when asked again. */
static void check_in_use(struct probe *p, struct bus *b)
{
	struct vmbus_channel_relid close = {{CHANNELMSG_CLOSECHANNEL, 0}, b->relid};
	struct hv_channel *channel = &b->channel;
	uint32_t id;

	if (!probe_check(p, bus_channel_open(b), "the channel does not open")) {
		return;
	}
	id = channel->gpadl;
	hv_bus_expect(b->hv, CHANNELMSG_GPADL_TORNDOWN, 1, id, 0);
	(void)!teardown_post(b, b->relid, id);
	wait(b);
	(void)probe_check(p, !b->hv->bus.wait.done, "the rings of an open channel are torn down");
	(void)!hv_bus_post(b->hv, &close, sizeof(close));
	channel->open = false;
	if (probe_check(p, hv_bus_await(b->hv) || bus_gpadl_end(b, b->relid, id),
	                "the rings are not torn down when the channel is closed")) {
		channel->gpadl = 0;
		(void)hv_channel_close(channel);
	}
}

void bus_body_gpadl_teardown(struct probe *p, struct bus *b)
{
	struct vmbus_channel_gpadl_teardown message = {
	        {CHANNELMSG_GPADL_TEARDOWN, 0}, b->relid, ++b->next_gpadl};
	uint64_t bad = b->hv->bus.bad_messages;
	uint32_t ids[3];

	bus_check_silent(p, b, &message, sizeof(message) - 1, "a GPADL_TEARDOWN that is too short");
	bus_check_silent(p, b, &message, sizeof(message), "GPADL_TEARDOWN of no list");
	for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++) {
		ids[i] = ++b->next_gpadl;
		if (!bus_gpadl_make(p, b, b->relid, ids[i])) {
			return;
		}
	}
	/* Of another channel the ids are none; then each once, in any order. */
	hv_bus_expect(b->hv, CHANNELMSG_GPADL_TORNDOWN, 1, ids[1], 0);
	(void)!teardown_post(b, b->relid + 1, ids[1]);
	wait(b);
	(void)probe_check(p, !b->hv->bus.wait.done, "another channel tears a list down");
	(void)probe_check(p, bus_gpadl_end(b, b->relid, ids[1]), "no TORNDOWN of the second of three");
	(void)!teardown_post(b, b->relid, ids[1]);
	(void)probe_check(p, bus_gpadl_end(b, b->relid, ids[2]), "no TORNDOWN of the third of three");
	(void)probe_check(p, bus_gpadl_end(b, b->relid, ids[0]), "no TORNDOWN of the first of three");
	(void)probe_equal(p, b->hv->bus.bad_messages, bad,
	                  "a list torn down twice, or by another channel: answers");
	check_in_use(p, b);
}

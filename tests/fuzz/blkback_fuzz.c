/*
 * blkback_fuzz.c - libFuzzer: a hostile frontend at a connected block ring.
 *
 * The input is a list of requests of any shape in either layout, of indexes set ahead, back and far away, of
 * grants revoked and RAM given away in flight, of states and nodes in the store, and of a slow medium that
 * ends what it has in any order. The medium itself looks at what it is asked: in the disk's window, within
 * one granted page a segment. All is given back at the end, and no sector outside the window has changed.
 */
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fake_keep.h"

#define RING_PAGE 16u
#define DATA_PAGE 32u /* the first: for us; then as many read-only ones */
#define DATA_PAGES 6u
#define ENTRIES 32u
#define FIRST 8u /* the window on the medium */
#define SECTORS 64u
#define MEDIUM_SECTORS (SECTORS + 2 * FIRST)
#define MEDIUM_FILL 0x5A
#define LATE_MAX 64u
#define STEP_MAX 150u
#define FRONT "device/vbd/51712/"

static struct vm *vm;
static struct block whole, disk;
static uint8_t medium[MEDIUM_SECTORS * 512];
static struct block_request *late[LATE_MAX];
static uint32_t late_count;
static uint32_t port;
static bool narrow;
static bool lied; /* the ring's header is not what a frontend leaves: no answer is owed */
static bool page_lost[DATA_PAGES];
static bool disk_read_only;

/* ------------------------------------------------------------------ the medium */

static bool segment_is_ours(const struct io_segment *segment, bool write)
{
	for (uint32_t ref = RING_PAGE; ref < DATA_PAGE + 2 * DATA_PAGES; ref++) {
		const struct fake_grant *grant = &fake_grants[ref];
		const uint8_t *page = fake_page(vm, ref);

		if (page != NULL && segment->bytes >= page && segment->bytes < page + PAGE_BYTES) {
			return segment->bytes + segment->len_bytes <= page + PAGE_BYTES &&
			       grant->holds != 0 && !(write && grant->read_only);
		}
	}
	return false;
}

static void medium_submit(void *context, struct block_request *request)
{
	uint64_t bytes = 0;

	(void)context;
	for (uint32_t i = 0; i < request->segment_count; i++) {
		require(segment_is_ours(&request->segments[i], request->operation == BLOCK_READ),
		        "a segment lies in a page that is held");
		bytes += request->segments[i].len_bytes;
	}
	require(request->sector >= FIRST && request->sector + bytes / 512 <= (uint64_t)FIRST + SECTORS,
	        "a request lies in its window");
	require(request->operation != BLOCK_WRITE || !disk_read_only,
	        "nothing is written to a read-only disk");
	require(late_count < LATE_MAX, "no more requests than ring entries");
	late[late_count++] = request;
}

static const struct block_medium_ops medium_ops = {.submit = medium_submit};

static void medium_end(uint32_t at, enum block_status status)
{
	struct block_request *request = late[at];
	uint8_t *sector = medium + request->sector * 512;

	late[at] = late[--late_count];
	for (uint32_t i = 0; status == BLOCK_OK && i < request->segment_count; i++) {
		const struct io_segment *segment = &request->segments[i];

		if (request->operation == BLOCK_READ) {
			memcpy(segment->bytes, sector, segment->len_bytes);
		} else {
			memcpy(sector, segment->bytes, segment->len_bytes);
		}
		sector += segment->len_bytes;
	}
	block_done(request, status);
}

static void medium_drain(void)
{
	(void)host_run_work(vm);
	while (late_count != 0) {
		medium_end(late_count - 1, BLOCK_OK);
		(void)host_run_work(vm);
	}
}

/* ------------------------------------------------------------------ the store */

static void set(const char *name, uint32_t value)
{
	char path[64];

	(void)snprintf(path, sizeof(path), FRONT "%s", name);
	(void)fake_store_write(vm, path, "%u", value);
}

static struct xen_ring_header *ring(void)
{
	return (void *)fake_page(vm, RING_PAGE);
}

static void connect(bool wants_narrow)
{
	set("state", 6);
	set("state", 1);
	medium_drain();
	if (fake_grants[RING_PAGE].holds == 0) {
		(void)fake_ring(vm, RING_PAGE);
		lied = false;
		narrow = wants_narrow;
	}
	fake_ports[port].used = false;
	port = fake_guest_port();
	set("ring-ref", RING_PAGE);
	set("event-channel", port);
	(void)fake_store_write(vm, FRONT "protocol", "%s", wants_narrow ? "x86_32-abi" : "x86_64-abi");
	set("state", 3);
	set("state", 4);
}

static void do_store(struct input *in)
{
	static const char *const names[] = {"state", "ring-ref", "event-channel", "protocol"};
	static struct fake_reply reply;
	const char *name = names[take_below(in, ARRAY_COUNT(names))];
	char path[64];

	switch (take_below(in, 8)) {
	case 0:
		connect(take_below(in, 2) != 0);
		break;
	case 1:
		(void)snprintf(path, sizeof(path), FRONT "%s", name);
		(void)fake_store_ask(vm, XS_RM, 0, path, strlen(path) + 1, &reply);
		lied = true;
		break;
	case 2:
		set(name, (uint32_t)take_number(in, 2) % 600);
		lied = true; /* the next connection may be with another ring */
		break;
	default:
		set("state", take_below(in, 9));
		lied = true; /* who closes is owed no answers */
		break;
	}
}

/* ------------------------------------------------------------------ the ring */

static uint64_t pick_sector(struct input *in)
{
	uint32_t raw = take8(in);

	return raw < 224 ? raw % (SECTORS + 4) : raw < 240 ? UINT64_MAX - raw % 16 : take_number(in, 8);
}

static void pick_segments(struct input *in, struct xen_blkif_segment *segments)
{
	uint32_t shape = take8(in);

	for (uint32_t i = 0; i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++) {
		uint32_t raw = i < 3 ? take8(in) : shape + i;

		segments[i].gref = raw < 230 ? DATA_PAGE + raw % (2 * DATA_PAGES) : RING_PAGE + raw % 3;
		lied = lied || segments[i].gref == RING_PAGE; /* it may be read over */
		segments[i].first_sect = (uint8_t)(raw % 4);
		segments[i].last_sect = (uint8_t)(raw % 4 + shape % 5);
	}
	if (shape % 16 == 0) {
		segments[0].first_sect = (uint8_t)take8(in);
		segments[0].last_sect = (uint8_t)take8(in);
	}
}

static void put_slot(const struct xen_blkif_request64 *wide)
{
	struct xen_blkif_request32 small = {.operation = wide->operation,
	                                    .nr_segments = wide->nr_segments,
	                                    .id = wide->id,
	                                    .sector_number = wide->sector_number};
	uint32_t stride = narrow ? BLKIF_SLOT_BYTES_32 : BLKIF_SLOT_BYTES_64;
	uint8_t *slot = (uint8_t *)ring() + XEN_RING_HEADER_BYTES + ring()->req_prod % ENTRIES * stride;

	memcpy(small.seg, wide->seg, sizeof(small.seg));
	memcpy(slot, narrow ? (const void *)&small : wide, stride);
	ring()->req_prod++;
	lied = lied || ring()->req_prod - ring()->rsp_prod > ENTRIES;
}

static void put_request(struct input *in)
{
	static const uint8_t operations[] = {BLKIF_OP_READ,
	                                     BLKIF_OP_READ,
	                                     BLKIF_OP_WRITE,
	                                     BLKIF_OP_WRITE,
	                                     BLKIF_OP_FLUSH_DISKCACHE,
	                                     BLKIF_OP_WRITE_BARRIER,
	                                     BLKIF_OP_DISCARD,
	                                     BLKIF_OP_INDIRECT};
	uint32_t raw = take8(in), count = raw < 240 ? raw / 8 % 12 : take8(in);
	uint8_t operation = raw < 252 ? operations[raw % 8] : (uint8_t)take8(in);
	struct xen_blkif_request64 wide = {.operation = operation, .nr_segments = (uint8_t)count};

	wide.id = take8(in);
	wide.sector_number = pick_sector(in);
	pick_segments(in, wide.seg);
	put_slot(&wide);
}

/* As many as the ring has, each as a driver makes it: none is answered before the medium ends it. */
static void put_full(struct input *in)
{
	uint32_t raw = take8(in);

	for (uint32_t i = 0; i < ENTRIES; i++) {
		struct xen_blkif_request64 wide = {.operation = BLKIF_OP_READ, .nr_segments = 1, .id = raw};

		wide.sector_number = (raw + i) % SECTORS;
		wide.seg[0].gref = DATA_PAGE + raw % DATA_PAGES;
		put_slot(&wide);
	}
}

/* The same request many times: the ring is full soon. */
static void put_many(struct input *in)
{
	const struct input start = *in;

	if (take8(in) >= 0xE0) {
		put_full(in);
		return;
	}
	for (uint32_t i = 0; i < ENTRIES / 2; i++) {
		*in = start;
		put_request(in);
	}
}

static void do_header(struct input *in)
{
	static const uint32_t jumps[] = {1, 2, 31, 32, 33, 64, 1u << 31, (1u << 31) + 1};
	uint32_t raw = take8(in), jump = jumps[raw % 8];

	switch (raw / 8 % 4) {
	case 0:
		ring()->req_prod += jump;
		lied = true;
		break;
	case 1:
		ring()->req_prod -= jump;
		lied = true;
		break;
	case 2:
		ring()->rsp_event = ring()->rsp_prod + jump;
		break;
	default:
		ring()->rsp_prod -= jump; /* ours, and never read back */
		lied = true;
		break;
	}
}

/* The backend looks at the ring; perhaps each slot changes as soon as it was looked at. */
static void kick(struct input *in)
{
	bool scribble = take_below(in, 8) == 0;

	if (scribble) {
		lied = true;
		host_scribble(vm, RING_PAGE * PAGE_BYTES + XEN_RING_HEADER_BYTES,
		              PAGE_BYTES - XEN_RING_HEADER_BYTES, take8(in));
	}
	fake_guest_send(port);
	(void)host_run_work(vm);
	if (scribble) {
		host_load_hook(NULL, NULL);
	}
}

/* ------------------------------------------------------------------ grants and RAM */

static void do_grants(struct input *in)
{
	uint32_t page = take_below(in, DATA_PAGES), ref = DATA_PAGE + page;
	gpa_t at = gpa((uint64_t)ref * PAGE_BYTES);

	switch (take_below(in, 4)) {
	case 0:
		fake_grants[ref].valid = !fake_grants[ref].valid;
		break;
	case 1: /* given away; under a request the frame stays until it ends */
		if (page_lost[page]) {
			page_lost[page] = vm_ram_give(vm, at) != VM_OK;
		} else if (fake_grants[ref].holds == 0) {
			page_lost[page] = vm_ram_take(vm, at) == VM_OK;
		}
		break;
	case 2:
		fake_grants[RING_PAGE].valid = !fake_grants[RING_PAGE].valid;
		break;
	default:
		fake_grants[ref].valid = true;
		fake_grants[RING_PAGE].valid = true;
		break;
	}
}

/* ------------------------------------------------------------------ an input */

static void step(struct input *in)
{
	uint32_t what = take_below(in, 16);

	if (what < 6) {
		put_request(in);
	} else if (what == 6) {
		put_many(in);
	} else if (what < 10) {
		kick(in);
	} else if (what < 13 && late_count != 0) {
		medium_end(take8(in) % late_count, take_below(in, 8) == 0 ? BLOCK_EIO : BLOCK_OK);
	} else if (what == 13) {
		do_header(in);
	} else if (what == 14) {
		do_grants(in);
	} else {
		do_store(in);
	}
	require(late_count == 0 || host_vm_leaks(vm).pins != 0, "a request under way holds its ring");
	require(!host_vm_killed(vm), "no guest is killed for its ring");
}

/* A guest with its disk connected. */
static struct host_snapshot *make(bool wants_narrow)
{
	struct host_vm_config config = {.vm.disk_count = 1};
	struct host_snapshot *start;

	config.vm.disks[0].block = &disk;
	vm = host_vm_new(&config);
	fake_reset();
	for (uint32_t i = 0; i < DATA_PAGES; i++) {
		(void)fake_grant(DATA_PAGE + i, false);
		(void)fake_grant(DATA_PAGE + DATA_PAGES + i, true);
	}
	require(xenbus_create(vm), "create");
	connect(wants_narrow);
	start = host_snapshot_take(vm);
	fake_keep(start);
	host_snapshot_add(start, &vm, sizeof(vm));
	host_snapshot_add(start, &port, sizeof(port));
	host_snapshot_add(start, &narrow, sizeof(narrow));
	host_snapshot_add(start, &lied, sizeof(lied));
	return start;
}

static void begin(struct input *in)
{
	static struct host_snapshot *starts[2][2]; /* by disk_read_only and layout */
	struct host_snapshot **start;
	uint32_t raw = take8(in);

	memset(medium, MEDIUM_FILL, sizeof(medium));
	memset(page_lost, 0, sizeof(page_lost));
	late_count = 0;
	disk_read_only = raw % 8 == 0;
	block_open(&whole, &medium_ops, NULL, MEDIUM_SECTORS, false, "whole");
	require(block_open_window(&disk, &whole, FIRST, SECTORS, disk_read_only, "disk"), "window");
	start = &starts[raw % 8 == 0][raw / 8 % 2];
	if (*start == NULL) {
		*start = make(raw / 8 % 2 != 0);
	} else {
		host_snapshot_restore(*start);
	}
}

static void check_medium(void)
{
	uint32_t before = disk_read_only ? sizeof(medium) : FIRST * 512;
	const uint8_t *after = medium + (FIRST + SECTORS) * 512;

	require(medium[0] == MEDIUM_FILL && memcmp(medium, medium + 1, before - 1) == 0 &&
	                after[0] == MEDIUM_FILL && memcmp(after, after + 1, FIRST * 512 - 1) == 0,
	        "no sector outside the window is written");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	begin(&in);
	for (uint32_t i = 0; i < STEP_MAX && in.left != 0; i++) {
		step(&in);
	}
	fake_guest_send(port);
	medium_drain();
	if (!lied && fake_ports[port].backend != NULL) {
		require(ring()->rsp_prod == ring()->req_prod, "each request is answered");
	}
	xenbus_teardown(vm);
	require(fake_holds() == 0, "no grant is held after the end");
	check_medium();
	host_vm_reset(vm); /* panics if anything is left */
	return 0;
}

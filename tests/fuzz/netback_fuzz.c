/*
 * netback_fuzz.c - libFuzzer: a hostile frontend at a connected network device, with a neighbour on the switch.
 *
 * The input is a list of packets of any shape (slots, extra infos, sizes that lie, large sends), of pages posted
 * to receive into, of frames from the neighbour, of indexes set anywhere, of grants revoked and RAM given away,
 * and of states in the store. Each slot of an honest ring is answered, no grant outlives a step, and no page
 * changes but those that were posted.
 */
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/fake_keep.h"

#define TX_PAGE 16u
#define RX_PAGE 18u
#define DATA_PAGE 32u /* to send from: granted for reading only */
#define DATA_PAGES 20u
#define POST_PAGE 64u /* to receive into */
#define POST_PAGES 20u
#define ENTRIES 256u
#define STEP_MAX 100u
#define FRONT "device/vif/0/"

static struct vm *vm;
static struct ether_switch sw;
static struct switch_port port, other;
static uint32_t channel;
static bool lied; /* the rings are not what a frontend leaves: no answer is owed */
static bool page_lost[POST_PAGES];
static uint8_t neighbour_frame[65536];

/* Ethernet to everybody, then IPv4 or IPv6, then TCP. */
static const uint8_t header4[54] = {
        [0] = 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2,         0, 0,           0,    0xAB, 1,
        8,          0,    0x45, 0,    0x05, 0xDC, [22] = 64, 6, [26] = 10,   0,    0,    1,
        10,         0,    0,    2,    0x10, 0,    0x20,      0, [46] = 0x50, 0x10,
};
static const uint8_t header6[74] = {
        [0] = 0xFF, 0xFF, 0xFF,        0xFF, 0xFF, 0xFF, 2,           0, 0,    0, 0xAB,        1,    0x86,
        0xDD,       0x60, [18] = 0x05, 0xB4, 6,    64,   [54] = 0x10, 0, 0x20, 0, [66] = 0x50, 0x10,
};

/* ------------------------------------------------------------------ the neighbour */

/* A part that lies in the guest's memory (the switch's copy of the headers does not) ends in its page. */
static bool part_fits(const struct io_segment *part)
{
	for (uint32_t page = TX_PAGE; page < POST_PAGE + POST_PAGES; page++) {
		const uint8_t *bytes = fake_page(vm, page);

		if (bytes != NULL && part->bytes >= bytes && part->bytes < bytes + PAGE_BYTES) {
			return part->bytes + part->len_bytes <= bytes + PAGE_BYTES;
		}
	}
	return true;
}

static bool other_deliver(void *device, const struct switch_frame *frame)
{
	uint64_t bytes = 0;

	(void)device;
	for (uint32_t i = 0; i < frame->segment_count; i++) {
		require(part_fits(&frame->segments[i]), "a part of a frame lies in its page");
		bytes += frame->segments[i].len_bytes;
	}
	require(bytes == frame->len_bytes, "a frame is as long as its parts");
	require(bytes <= SWITCH_FRAME_BYTES_MAX, "a frame has a largest size");
	require(io_copy_out(frame->segments, frame->segment_count, 0, neighbour_frame,
	                    sizeof(neighbour_frame)) != 0,
	        "a frame can be read");
	return true;
}

static const struct switch_port_ops other_ops = {.deliver = other_deliver};

static void do_neighbour(struct input *in)
{
	uint32_t raw = take8(in), len = (uint32_t)take_number(in, 2);
	bool v6 = raw % 2 != 0;
	struct io_segment segment = {neighbour_frame, raw % 8 == 0 ? len : 60 + len % 4000};
	struct switch_frame frame = {
	        .segments = &segment,
	        .segment_count = 1,
	        .len_bytes = segment.len_bytes,
	        .checksum_blank = raw / 2 % 2 != 0,
	        .segment_bytes = raw / 4 % 2 != 0 ? (uint16_t)take_number(in, 2) : 0,
	};

	memcpy(neighbour_frame, v6 ? header6 : header4, v6 ? sizeof(header6) : sizeof(header4));
	neighbour_frame[12 + raw / 32 % 8] ^= (uint8_t)(raw / 64);
	frame.checksum_blank = frame.checksum_blank || frame.segment_bytes != 0;
	switch_send(&other, &frame);
}

/* ------------------------------------------------------------------ the store */

static void set(const char *name, uint32_t value)
{
	char path[64];

	(void)snprintf(path, sizeof(path), FRONT "%s", name);
	(void)fake_store_write(vm, path, "%u", value);
}

static struct xen_ring_header *tx(void)
{
	return (void *)fake_page(vm, TX_PAGE);
}

static struct xen_ring_header *rx(void)
{
	return (void *)fake_page(vm, RX_PAGE);
}

static void connect(uint32_t features)
{
	set("state", 6);
	set("state", 1);
	(void)fake_ring(vm, TX_PAGE);
	(void)fake_ring(vm, RX_PAGE);
	lied = false;
	if (fake_ports[channel].backend == NULL) {
		fake_ports[channel].used = false;
	}
	channel = fake_guest_port();
	set("tx-ring-ref", TX_PAGE);
	set("rx-ring-ref", RX_PAGE);
	set("event-channel", channel);
	set("request-rx-copy", 1);
	set("feature-sg", features & 1);
	set("feature-gso-tcpv4", features >> 1 & 1);
	set("feature-gso-tcpv6", features >> 2 & 1);
	set("state", 4);
}

static void do_store(struct input *in)
{
	static const char *const names[] = {"tx-ring-ref", "rx-ring-ref", "event-channel", "request-rx-copy"};

	switch (take_below(in, 4)) {
	case 0:
		connect(take8(in));
		break;
	case 1:
		set(names[take_below(in, 4)], (uint32_t)take_number(in, 2) % 600);
		lied = true; /* the next connection may be with other rings */
		break;
	default:
		set("state", take_below(in, 9));
		lied = true; /* who closes is owed no answers */
		break;
	}
}

/* ------------------------------------------------------------------ sending */

static void *tx_slot(uint32_t index)
{
	return (uint8_t *)tx() + XEN_RING_HEADER_BYTES + index % ENTRIES * XEN_NETIF_TX_SLOT_BYTES;
}

static void put_slot(uint32_t gref, uint32_t offset, uint32_t flags, uint32_t size)
{
	struct xen_netif_tx_request_slot slot = {gref, (uint16_t)offset, (uint16_t)flags,
	                                         (uint16_t)(1000 + tx()->req_prod), (uint16_t)size};

	memcpy(tx_slot(tx()->req_prod++), &slot, sizeof(slot));
	lied = lied || tx()->req_prod - tx()->rsp_prod > ENTRIES;
}

static void put_extras(struct input *in)
{
	uint32_t count = take_below(in, 8);

	for (uint32_t i = 0; i <= count; i++) {
		struct xen_netif_extra_slot extra = {.flags = i < count};
		uint32_t raw = take8(in);

		extra.type = (uint8_t)(raw < 192 ? 1 : raw % 8);
		extra.u.gso.size = (uint16_t)take_number(in, 2);
		extra.u.gso.type = (uint8_t)(raw % 4);
		memcpy(tx_slot(tx()->req_prod++), &extra, sizeof(extra));
		lied = lied || extra.type == 0 || extra.type > XEN_NETIF_EXTRA_TYPE_HASH || count >= 4;
	}
}

/* Page 0 starts with an IPv4 packet, page 1 with an IPv6 one. */
static void put_packet(struct input *in)
{
	uint32_t raw = take8(in), shape = take8(in), fragments = shape % 32 < 24 ? shape % 4 : shape % 24;
	uint32_t each = (uint32_t)take_number(in, 2) % 4200, first = 60 + (uint32_t)take_number(in, 2) % 4100;
	uint32_t flags = raw % 4 | (fragments != 0 ? NETTXF_more_data : 0);
	uint32_t total = first + fragments * each;

	lied = lied || fragments >= 20;
	flags |= raw / 4 % 4 == 0 ? NETTXF_extra_info : 0;
	put_slot(DATA_PAGE + raw / 16 % 2, raw / 32 == 0 ? (uint32_t)take_number(in, 2) : 0, flags,
	         shape >= 240 ? (uint32_t)take_number(in, 2) : total);
	if ((flags & NETTXF_extra_info) != 0) {
		put_extras(in);
	}
	for (uint32_t i = 0; i < fragments; i++) {
		put_slot(shape >= 224 ? take8(in) : DATA_PAGE + (raw + i) % DATA_PAGES, raw / 64,
		         i + 1 < fragments ? NETTXF_more_data : 0, each);
	}
	if (fragments != 0 && shape % 64 == 63) { /* the last part never comes */
		tx()->req_prod--;
		lied = true;
	}
}

/* ------------------------------------------------------------------ receiving */

static void post(struct input *in)
{
	uint32_t count = take_below(in, 40), from = take8(in);

	for (uint32_t i = 0; i < count; i++) {
		uint32_t gref = POST_PAGE + (from + i) % POST_PAGES;
		struct xen_netif_rx_request_slot slot = {.id = (uint16_t)i,
		                                         .gref = from >= 240 ? from + i - 230 : gref};

		memcpy((uint8_t *)rx() + XEN_RING_HEADER_BYTES +
		               rx()->req_prod % ENTRIES * XEN_NETIF_RX_SLOT_BYTES,
		       &slot, sizeof(slot));
		rx()->req_prod++;
		lied = lied || slot.gref == TX_PAGE || slot.gref == RX_PAGE;
	}
}

static void do_header(struct input *in)
{
	static const uint32_t jumps[] = {1, 2, 255, 256, 257, 512, 1u << 31, (1u << 31) + 1};
	struct xen_ring_header *ring = take_below(in, 2) != 0 ? rx() : tx();
	uint32_t raw = take8(in), jump = jumps[raw % 8];

	lied = true;
	switch (raw / 8 % 4) {
	case 0:
		ring->req_prod += jump;
		break;
	case 1:
		ring->req_prod -= jump;
		break;
	case 2:
		ring->rsp_event = ring->rsp_prod + jump;
		break;
	default:
		ring->rsp_prod -= jump; /* ours, and never read back */
		break;
	}
}

static void kick(struct input *in)
{
	bool scribble = take_below(in, 8) == 0;

	if (scribble) {
		lied = true;
		host_scribble(vm, TX_PAGE * PAGE_BYTES + XEN_RING_HEADER_BYTES,
		              PAGE_BYTES - XEN_RING_HEADER_BYTES, take8(in));
	}
	fake_guest_send(channel);
	if (take_below(in, 4) == 0) {
		(void)host_run_work_once(vm);
	} else {
		(void)host_run_work(vm);
	}
	if (scribble) {
		host_load_hook(NULL, NULL);
	}
}

static void do_grants(struct input *in)
{
	uint32_t page = take_below(in, POST_PAGES), ref = POST_PAGE + page;
	gpa_t at = gpa((uint64_t)ref * PAGE_BYTES);

	switch (take_below(in, 4)) {
	case 0:
		fake_grants[ref].valid = !fake_grants[ref].valid;
		break;
	case 1:
		page_lost[page] =
		        page_lost[page] ? vm_ram_give(vm, at) != VM_OK : vm_ram_take(vm, at) == VM_OK;
		break;
	case 2:
		ref = DATA_PAGE + page;
		fake_grants[ref].valid = !fake_grants[ref].valid;
		break;
	default:
		fake_grants[TX_PAGE + take_below(in, 3)].valid = take_below(in, 2) != 0;
		break;
	}
}

/* ------------------------------------------------------------------ an input */

static void step(struct input *in)
{
	uint32_t what = take_below(in, 16), holds;

	if (what < 6) {
		put_packet(in);
	} else if (what < 9) {
		kick(in);
	} else if (what < 10) {
		post(in);
	} else if (what < 13) {
		do_neighbour(in);
	} else if (what == 13) {
		do_header(in);
	} else if (what == 14) {
		do_grants(in);
	} else {
		do_store(in);
	}
	holds = fake_holds();
	require(holds == 0 || holds == 2, "only the rings are held between steps");
	require((port.ops != NULL) == (holds == 2), "the switch knows a device while its rings are held");
	require(!host_vm_killed(vm), "no guest is killed for its rings");
}

static void fill_pages(void)
{
	for (uint32_t i = 0; i < DATA_PAGES; i++) {
		memset(fake_page(vm, DATA_PAGE + i), (int)(0x40 + i), PAGE_BYTES);
		(void)fake_grant(DATA_PAGE + i, true);
	}
	memcpy(fake_page(vm, DATA_PAGE), header4, sizeof(header4));
	memcpy(fake_page(vm, DATA_PAGE + 1), header6, sizeof(header6));
	for (uint32_t i = 0; i < POST_PAGES; i++) {
		(void)fake_grant(POST_PAGE + i, false);
	}
}

static void check_pages(void)
{
	for (uint32_t i = 2; i < DATA_PAGES; i++) {
		const uint8_t *page = fake_page(vm, DATA_PAGE + i);

		require(page[0] == 0x40 + i && memcmp(page, page + 1, PAGE_BYTES - 1) == 0,
		        "no page changes that was granted for reading");
	}
	require(memcmp(fake_page(vm, DATA_PAGE), header4, sizeof(header4)) == 0, "nor a header in one");
}

/* A guest whose card is connected. */
static struct host_snapshot *make(uint32_t features)
{
	struct host_vm_config config = {.vm.nic_count = 1};
	struct host_snapshot *start;

	switch_init(&sw, "lan");
	require(switch_add_port(&sw, &port) && switch_add_port(&sw, &other), "two ports");
	switch_connect(&other, &other_ops, NULL, 15);
	config.vm.nics[0].port = &port;
	memcpy(config.vm.nics[0].mac, "\x02\x00\x00\x00\xAB\x01", 6);
	vm = host_vm_new(&config);
	fake_reset();
	fill_pages();
	require(xenbus_create(vm), "create");
	channel = 0;
	connect(features);
	start = host_snapshot_take(vm);
	fake_keep(start);
	host_snapshot_add(start, &vm, sizeof(vm));
	host_snapshot_add(start, &sw, sizeof(sw));
	host_snapshot_add(start, &port, sizeof(port));
	host_snapshot_add(start, &other, sizeof(other));
	host_snapshot_add(start, &channel, sizeof(channel));
	host_snapshot_add(start, &lied, sizeof(lied));
	return start;
}

static void begin(uint32_t features)
{
	static struct host_snapshot *starts[8]; /* by the bits that connect() looks at */
	struct host_snapshot **start = &starts[features % ARRAY_COUNT(starts)];

	memset(page_lost, 0, sizeof(page_lost));
	if (*start == NULL) {
		*start = make(features);
	} else {
		host_snapshot_restore(*start);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	begin(take8(&in));
	for (uint32_t i = 0; i < STEP_MAX && in.left != 0; i++) {
		step(&in);
	}
	fake_guest_send(channel);
	(void)host_run_work(vm);
	if (!lied && fake_ports[channel].backend != NULL) {
		require(tx()->rsp_prod == tx()->req_prod, "each slot is answered");
	}
	xenbus_teardown(vm);
	require(fake_holds() == 0 && port.ops == NULL, "nothing is held after the end");
	check_pages();
	host_vm_reset(vm); /* panics if anything is left */
	return 0;
}

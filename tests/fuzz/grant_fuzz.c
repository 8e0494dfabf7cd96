/*
 * grant_fuzz.c - libFuzzer: a grant table whose entries change under its users.
 *
 * The input is a list of writes to entries (also between our two looks at one), of holds taken and given back
 * by backends, of copies, swaps, growth, frames shown and hidden, and RAM given away under a hold. What a
 * hold got is compared with the entry that stood there; a copy may only change the bytes that it names.
 */
#include <string.h>

#include "backend/clock.h"
#include "tests/fuzz/xen_fuzz.h"

#define GRANT_GFN 0x400ull
#define PAGES_GFN 0x20u /* what is granted */
#define PAGES 8u
#define REFS 12u
#define HOLDS 12u
#define DOMID 5u
#define STEP_MAX 200u

static struct vm *vm;
static struct clock guest_clock;
static struct gnttab_hold holds[HOLDS];
static bool touched[REFS]; /* the guest wrote the entry's marks while it was in use */
static bool page_lost[PAGES];

static struct xen_vm *xen_now(void)
{
	return xen_of_vm(vm);
}

static uint64_t entry_at(uint32_t ref)
{
	return ref * sizeof(struct xen_grant_entry_v1);
}

static struct xen_grant_entry_v1 entry_now(uint32_t ref)
{
	struct xen_grant_entry_v1 entry;

	vm_page_read(xen_now()->frames[0], entry_at(ref), &entry, sizeof(entry));
	return entry;
}

/* ------------------------------------------------------------------ values that reach something */

static uint32_t pick_ref(struct input *in)
{
	uint32_t raw = take8(in);

	return raw < 224 ? raw % REFS : raw < 240 ? 500 + raw % 24 : (uint32_t)take_number(in, 4);
}

static uint32_t pick_gfn(struct input *in)
{
	static const uint32_t some[] = {GRANT_GFN, 0x10, 0xFEE00, UINT32_MAX, 0, 0x200, 1u << 28, 0xFF};
	uint32_t raw = take8(in);

	return raw < 192 ? PAGES_GFN + raw % PAGES : some[raw % ARRAY_COUNT(some)];
}

static uint16_t pick_domid(struct input *in)
{
	static const uint16_t some[] = {DOMID_SELF, DOMID, 0, DOMID_SELF, 7, DOMID_INVALID, DOMID_SELF, 0};

	return some[take_below(in, ARRAY_COUNT(some))];
}

static struct xen_grant_entry_v1 pick_entry(struct input *in)
{
	static const uint16_t flags[] = {GTF_permit_access,
	                                 GTF_permit_access,
	                                 GTF_permit_access | GTF_readonly,
	                                 GTF_invalid,
	                                 GTF_accept_transfer,
	                                 GTF_transitive,
	                                 GTF_permit_access | GTF_sub_page,
	                                 GTF_permit_access | GTF_reading | GTF_writing};
	static const uint16_t domids[] = {0, 0, DOMID, 7};
	uint32_t raw = take8(in);

	return (struct xen_grant_entry_v1){flags[raw % 8], domids[raw / 8 % 4], pick_gfn(in)};
}

/* ------------------------------------------------------------------ entries */

static void entry_write(uint32_t ref, struct xen_grant_entry_v1 entry)
{
	vm_page_write(xen_now()->frames[0], entry_at(ref), &entry, sizeof(entry));
	touched[ref] = true;
}

static void do_entry(struct input *in)
{
	uint32_t ref = take_below(in, REFS);
	struct xen_grant_entry_v1 entry = pick_entry(in), old = entry_now(ref);

	switch (take_below(in, 4)) {
	case 0: /* revoked as Linux does it: only what is not in use */
		if ((old.flags & (GTF_reading | GTF_writing)) == 0) {
			entry_write(ref, (struct xen_grant_entry_v1){0});
		}
		break;
	case 1: /* another frame, or another domain, under a user */
		old.frame = entry.frame;
		entry_write(ref, old);
		break;
	default:
		entry_write(ref, entry);
		break;
	}
}

/* ------------------------------------------------------------------ between two looks */

static struct {
	bool armed;
	uint32_t ref;
	struct xen_grant_entry_v1 entry;
} change;

static void change_entry(void *context, struct vm_page *page, size_t off, size_t width)
{
	(void)context;
	(void)page;
	(void)off;
	(void)width;
	if (change.armed) {
		change.armed = false;
		entry_write(change.ref, change.entry);
	}
}

/* ------------------------------------------------------------------ holds */

static uint32_t users_of(uint32_t ref)
{
	const struct gnttab_active *active = gnttab_active_locked(xen_now(), ref);

	return active != NULL ? active->hold_count : 0;
}

/* What a hold of @ref that was not in use got, when nobody changed the entry meanwhile. */
static void check_hold(const struct gnttab_hold *hold, const struct xen_grant_entry_v1 *entry, bool first)
{
	const uint8_t *page = host_vm_bytes(vm, (uint64_t)entry->frame << PAGE_SHIFT, PAGE_BYTES);

	require((entry->flags & (GTF_type_mask | GTF_sub_page)) == GTF_permit_access,
	        "only an entry that permits is held");
	require(entry->domid == 0, "only what was granted to us is held");
	require(!hold->write || (entry->flags & GTF_readonly) == 0, "nothing read-only is held for writing");
	require(!first || page == vm_page_bytes(hold->page), "the page that the entry names is held");
}

static void do_hold(struct input *in)
{
	struct gnttab_hold *hold = &holds[take_below(in, HOLDS)];
	uint32_t ref = pick_ref(in), users = users_of(ref);
	bool write = take_below(in, 2) != 0;
	struct xen_grant_entry_v1 entry = {0};

	if (hold->page != NULL) {
		gnttab_release(vm, hold);
		return;
	}
	if (ref < REFS) {
		entry = entry_now(ref);
		touched[ref] =
		        touched[ref] && (users != 0 || (entry.flags & (GTF_reading | GTF_writing)) != 0);
	}
	if (take_below(in, 4) == 0) {
		change.ref = take_below(in, REFS);
		change.entry = pick_entry(in);
		change.armed = true;
		host_load_hook(change_entry, NULL);
	}
	if (gnttab_hold(vm, ref, write, hold) == GNTST_okay && ref < REFS && !touched[ref]) {
		check_hold(hold, &entry, users == 0);
	}
	host_load_hook(NULL, NULL);
	change.armed = false;
}

/* ------------------------------------------------------------------ calls */

static void fill_pages(uint8_t seed)
{
	for (uint32_t i = 0; i < PAGES; i++) {
		uint8_t *page = host_vm_bytes(vm, (uint64_t)(PAGES_GFN + i) << PAGE_SHIFT, PAGE_BYTES);

		if (page != NULL) {
			memset(page, (uint8_t)(seed + i * 16), PAGE_BYTES);
		}
	}
}

/* Bytes of the pages that are not what fill_pages() left. */
static uint32_t changed_bytes(uint8_t seed, uint32_t first, uint32_t len)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < PAGES; i++) {
		const uint8_t *page = host_vm_bytes(vm, (uint64_t)(PAGES_GFN + i) << PAGE_SHIFT, PAGE_BYTES);

		if (page == NULL || (page[0] == (uint8_t)(seed + i * 16) && memcmp(page, page + 1, PAGE_MASK) == 0)) {
			continue; /* as most of them are */
		}
		for (uint32_t at = 0; at < PAGE_BYTES; at++) {
			count += page[at] != (uint8_t)(seed + i * 16) && (at < first || at - first >= len);
		}
	}
	return count;
}

static void do_copy(struct input *in)
{
	struct xen_grant_entry_v1 before[REFS];
	uint32_t raw_flags = take8(in);
	struct xen_gnttab_copy64 copy = {
	        .source = {pick_gfn(in), pick_domid(in), (uint16_t)(take_number(in, 2) % 4200), 0},
	        .dest = {pick_gfn(in), pick_domid(in), (uint16_t)(take_number(in, 2) % 4200), 0},
	        .len = (uint16_t)(take_number(in, 2) % 4200),
	        .flags = (uint16_t)(raw_flags < 240 ? raw_flags % 4 : raw_flags),
	};

	if ((copy.flags & GNTCOPY_source_gref) != 0) {
		copy.source.ref_or_gmfn = pick_ref(in);
	}
	if ((copy.flags & GNTCOPY_dest_gref) != 0) {
		copy.dest.ref_or_gmfn = pick_ref(in);
	}
	fill_pages((uint8_t)raw_flags);
	vm_page_read(xen_now()->frames[0], 0, before, sizeof(before));
	(void)xen_fuzz_call(vm, 0, __HYPERVISOR_grant_table_op, GNTTABOP_copy, &copy, sizeof(copy), 1);
	for (uint32_t ref = 0; ref < REFS; ref++) { /* the table itself may be copied to */
		struct xen_grant_entry_v1 entry = entry_now(ref);

		touched[ref] |= memcmp(&before[ref], &entry, sizeof(entry)) != 0;
	}
	require(changed_bytes((uint8_t)raw_flags, copy.dest.offset, copy.len) == 0,
	        "a copy changes what it names and nothing else");
}

static void do_table(struct input *in)
{
	static const uint8_t ops[] = {GNTTABOP_setup_table, GNTTABOP_swap_grant_ref, GNTTABOP_swap_grant_ref,
	                              GNTTABOP_query_size,  GNTTABOP_set_version,    GNTTABOP_map_grant_ref,
	                              GNTTABOP_get_version, GNTTABOP_cache_flush};
	uint64_t op = ops[take_below(in, ARRAY_COUNT(ops))];
	uint32_t words[8] = {pick_ref(in), pick_ref(in), 0x12000, 0, 0, 0, 0, 0};

	if (op != GNTTABOP_swap_grant_ref) {
		words[0] = pick_domid(in);
		words[1] = take_below(in, 68) > 60 ? take8(in) : take_below(in, 4);
	}
	if (op == GNTTABOP_swap_grant_ref && words[0] < REFS && words[1] < REFS && users_of(words[0]) == 0 &&
	    users_of(words[1]) == 0) {
		bool first = touched[words[0]];

		touched[words[0]] = touched[words[1]];
		touched[words[1]] = first;
	}
	for (uint32_t i = 0; op == GNTTABOP_swap_grant_ref && i < 2; i++) {
		if (words[i] < REFS && words[1 - i] >= REFS) {
			touched[words[i]] = true; /* what comes from an entry that is not watched may have any marks */
		}
	}
	(void)xen_fuzz_call(vm, 0, __HYPERVISOR_grant_table_op, op, words, sizeof(words), 1);
}

/* ------------------------------------------------------------------ the machine */

static void do_place(struct input *in)
{
	struct xen_add_to_physmap64 add = {DOMID_SELF, 0, XENMAPSPACE_grant_table, take_below(in, 4),
	                                   GRANT_GFN + take_below(in, 3)};

	(void)xen_fuzz_call(vm, 0, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, &add, sizeof(add), 0);
}

static void do_ram(struct input *in)
{
	uint32_t page = take_below(in, PAGES);
	gpa_t at = gpa((uint64_t)(PAGES_GFN + page) << PAGE_SHIFT);

	page_lost[page] = !page_lost[page];
	if (page_lost[page]) {
		page_lost[page] = vm_ram_take(vm, at) == VM_OK;
	} else {
		page_lost[page] = vm_ram_give(vm, at) != VM_OK;
	}
}

static void release_all(void)
{
	for (uint32_t i = 0; i < HOLDS; i++) {
		gnttab_release(vm, &holds[i]);
	}
}

static void do_reset(void)
{
	release_all();
	require(xen_face.reset(vm), "reset never fails");
	memset(touched, 0, sizeof(touched));
	require(xen_now()->frame_count == 1, "a reset leaves one frame");
}

/* ------------------------------------------------------------------ invariants */

static void check_entry(uint32_t ref)
{
	const struct gnttab_active *active = gnttab_active_locked(xen_now(), ref);
	uint16_t flags = entry_now(ref).flags;
	uint32_t users = 0, writers = 0;

	for (uint32_t i = 0; i < HOLDS; i++) {
		if (holds[i].page != NULL && holds[i].ref == ref) {
			users++;
			writers += holds[i].write;
		}
	}
	require(active->hold_count == users && active->write_count == writers, "each hold is counted once");
	if (!touched[ref]) {
		require(((flags & GTF_reading) != 0) == (users != 0), "an entry in use is marked");
		require(((flags & GTF_writing) != 0) == (writers != 0),
		        "an entry that is written to is marked");
	}
}

static void check_all(void)
{
	const struct xen_vm *xen = xen_now();
	uint64_t pins = 0;

	for (uint32_t ref = 0; ref < REFS; ref++) {
		check_entry(ref);
	}
	for (uint32_t i = 0; i < HOLDS; i++) {
		pins += holds[i].page != NULL;
	}
	require(xen->frame_count >= 1 && xen->frame_count <= XEN_GRANT_FRAMES_MAX, "1 to 64 frames");
	require(host_vm_leaks(vm).pins == pins, "each hold is one pin");
	require(host_vm_leaks(vm).pages == 1 + xen->frame_count, "shared info and frames, no more");
	require(!host_vm_killed(vm), "no guest is killed for a call");
}

/* ------------------------------------------------------------------ an input */

static void step(struct input *in)
{
	uint32_t what = take_below(in, 16);

	if (what < 4) {
		do_entry(in);
	} else if (what < 9) {
		do_hold(in);
	} else if (what < 11) {
		do_copy(in);
	} else if (what < 13) {
		do_table(in);
	} else if (what == 13) {
		do_place(in);
	} else if (what == 14) {
		do_ram(in);
	} else if (take_below(in, 8) == 0) {
		do_reset();
	}
	check_all();
}

static void begin(void)
{
	static struct host_snapshot *start;

	memset(touched, 0, sizeof(touched));
	memset(page_lost, 0, sizeof(page_lost));
	if (start == NULL) {
		struct host_vm_config config = {
		        .vm = {.id = DOMID, .xen_face = true, .clock = &guest_clock},
		        .gfn_count = 0x1000,
		};

		clock_init(&guest_clock, 1000000000u, true, 0);
		vm = host_vm_new(&config);
		require(xen_face.create(vm), "create");
		start = host_snapshot_take(vm);
	} else {
		host_snapshot_restore(start);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	begin();
	for (uint32_t i = 0; i < STEP_MAX && in.left != 0; i++) {
		step(&in);
	}
	release_all();
	xen_face.teardown(vm);
	host_vm_reset(vm); /* panics if anything is left */
	return 0;
}

/*
 * synic_fuzz.c - libFuzzer: the SynIC from both sides. The guest writes its MSRs, places and moves its
 * pages, empties slots with and without EOM, writes into them, ends interrupts; the host posts messages
 * and signals events. Compared with a model of the queues, the interrupts and the guest's memory.
 *
 * Input: steps. What must hold: the messages of a SINT arrive in order, whole and once; SYNIC_FULL comes
 * only with 64 waiting, and then the room is announced; a flag that is set is that one alone; memory
 * below a page stays as the guest left it; a masked or polling SINT raises nothing.
 */
#include "tests/fuzz/fuzz_input.h"

#include "abi/hyperv.h"
#include "synic/synic.h"
#include "tests/host/host.h"

#define VCPUS 2u
#define SINTS HV_SYNIC_SINT_COUNT
#define PAGES 6u /* where pages are placed: few, so that they meet */
#define STEPS_MAX 300u
#define MUTE (HV_SYNIC_SINT_MASKED | HV_SYNIC_SINT_POLLING)

struct fifo {
	uint32_t sent, taken; /* messages of a SINT are numbered */
	bool wild; /* the guest has written into its slot: what arrives is its own fault */
};

static struct vm *vm;
static struct fifo fifos[VCPUS][SINTS];
static uint32_t room_count, room_owed[VCPUS];

static uint64_t msr(uint32_t vp, uint32_t number)
{
	uint64_t value = 0;

	must(synic_msr_read(vm_vcpu(vm, vp), number, &value));
	return value;
}

static void set_msr(uint32_t vp, uint32_t number, uint64_t value)
{
	must(synic_msr_write(vm_vcpu(vm, vp), number, value));
}

static void count_room(void *context)
{
	(void)context;
	room_count++;
}

/* Where the guest sees the page; NULL: it is off, or shown where no memory is. */
static uint8_t *page_of(uint32_t vp, uint32_t number)
{
	uint64_t value = msr(vp, number);

	return (value & 1) != 0 ? host_vm_bytes(vm, value & HV_OVERLAY_ADDRESS_MASK, PAGE_BYTES) : NULL;
}

static struct hv_message *slot_of(uint32_t vp, uint32_t sint)
{
	struct hv_message_page *page = (void *)page_of(vp, HV_X64_MSR_SIMP);

	return page != NULL ? &page->sint_message[sint] : NULL;
}

static uint64_t raised(uint32_t vp, uint32_t sint)
{
	return host_vcpu_post_count(vm_vcpu(vm, vp), (uint8_t)msr(vp, HV_X64_MSR_SINT0 + sint));
}

/* ------------------------------------------------------------------ registers */

static void write_overlay(uint32_t vp, uint32_t number, uint64_t value)
{
	uint64_t before = msr(vp, number);
	bool taken = synic_msr_write(vm_vcpu(vm, vp), number, value);

	must(msr(vp, number) == (taken ? value : before));
	must(taken || (value & 1) != 0);
	for (uint32_t i = 0; taken && (value & 1) != 0 && i < 2 * VCPUS; i++) {
		uint32_t other = i % 2 == 0 ? HV_X64_MSR_SIMP : HV_X64_MSR_SIEFP;
		uint64_t there = msr(i / 2, other);

		must((i / 2 == vp && other == number) || (there & 1) == 0 ||
		     ((there ^ value) & HV_OVERLAY_ADDRESS_MASK) != 0);
	}
}

static void check_auto_eoi(uint32_t vp, uint8_t vector)
{
	bool on = false;

	for (uint32_t i = 0; i < SINTS; i++) {
		uint64_t control = msr(vp, HV_X64_MSR_SINT0 + i);

		on = on || ((uint8_t)control == vector && (control & HV_SYNIC_SINT_MASKED) == 0 &&
		            (control & HV_SYNIC_SINT_AUTO_EOI) != 0);
	}
	must(host_vcpu_auto_eoi(vm_vcpu(vm, vp), vector) == on);
}

static void write_sint(uint32_t vp, uint32_t sint, uint8_t vector, uint8_t flags)
{
	uint64_t value = vector | (uint64_t)flags << 16, before = msr(vp, HV_X64_MSR_SINT0 + sint);
	bool taken = synic_msr_write(vm_vcpu(vm, vp), HV_X64_MSR_SINT0 + sint, value);

	must(taken == (vector >= HV_SYNIC_FIRST_VALID_VECTOR || (value & HV_SYNIC_SINT_MASKED) != 0));
	must(msr(vp, HV_X64_MSR_SINT0 + sint) == (taken ? value : before));
	check_auto_eoi(vp, vector);
	check_auto_eoi(vp, (uint8_t)before);
}

static void write_register(struct input *in)
{
	uint32_t vp = take8(in) % VCPUS;
	uint8_t what = take8(in), low = take8(in);
	uint32_t page = (what & 8) != 0 ? HV_X64_MSR_SIMP : HV_X64_MSR_SIEFP;

	switch (what % 8) {
	case 0:
	case 1:
		write_overlay(vp, page, (what / 16 % PAGES) * PAGE_BYTES | low);
		break;
	case 2:
		write_overlay(vp, page, take64(in));
		break;
	case 3:
		set_msr(vp, HV_X64_MSR_SCONTROL, low % 4);
		break;
	case 4:
		set_msr(vp, HV_X64_MSR_EOM, low);
		break;
	case 5:
		must(!synic_msr_write(vm_vcpu(vm, vp), HV_X64_MSR_SVERSION, low));
		break;
	default:
		write_sint(vp, what / 16, low, take8(in));
		break;
	}
}

/* As after boot, so that the input's own steps meet a SynIC that works. */
static void bring_up(uint32_t vp, uint8_t sint)
{
	write_overlay(vp, HV_X64_MSR_SIMP, vp * 2ull * PAGE_BYTES | 1);
	write_overlay(vp, HV_X64_MSR_SIEFP, (vp * 2ull + 1) * PAGE_BYTES | 1);
	write_sint(vp, sint % SINTS, (uint8_t)(0x40 + sint % SINTS), sint >> 5 == 7 ? 4 : 0);
	set_msr(vp, HV_X64_MSR_SCONTROL, 1);
}

/* ------------------------------------------------------------------ messages */

static uint32_t size_of(uint32_t number)
{
	return 8 + number % 233;
}

/* Those that stand in slots are not in the queue. */
static void check_full(uint32_t vp)
{
	uint32_t count = 0;
	bool wild = false;

	for (uint32_t sint = 0; sint < SINTS; sint++) {
		count += fifos[vp][sint].sent - fifos[vp][sint].taken;
		wild = wild || fifos[vp][sint].wild;
	}
	must(wild || count >= SYNIC_QUEUE_MAX);
	room_owed[vp] = room_count + 1;
}

static enum synic_status post_number(uint32_t vp, uint32_t sint, uint32_t number)
{
	uint8_t payload[HV_MESSAGE_PAYLOAD_BYTE_COUNT];
	uint32_t words[2] = {number, vp << 8 | sint};

	memset(payload, (uint8_t)number, sizeof(payload));
	memcpy(payload, words, sizeof(words));
	return synic_post_message(vm_vcpu(vm, vp), sint, 1 + sint, payload, size_of(number));
}

static void post_one(uint32_t vp, uint32_t sint)
{
	struct fifo *fifo = &fifos[vp][sint];
	bool enabled = synic_is_enabled(vm_vcpu(vm, vp)), idle = fifo->sent == fifo->taken && !fifo->wild;
	bool mute = (msr(vp, HV_X64_MSR_SINT0 + sint) & MUTE) != 0;
	uint64_t before = raised(vp, sint);
	enum synic_status status = post_number(vp, sint, fifo->sent);

	must(enabled == (status != SYNIC_DISABLED) && status != SYNIC_INVALID);
	must(!mute || raised(vp, sint) == before);
	if (status == SYNIC_FULL) {
		check_full(vp);
	} else if (status == SYNIC_OK) {
		must(!idle || mute || raised(vp, sint) == before + 1);
		fifo->sent++;
	}
}

static void post(struct input *in)
{
	uint32_t vp = take8(in) % VCPUS, sint = take8(in) % SINTS;
	uint8_t how = take8(in);

	if (how >= 0xFD) { /* never taken */
		must(synic_post_message(vm_vcpu(vm, vp), sint + (how == 0xFF ? SINTS : 0), how != 0xFE, "",
		                        how == 0xFD ? HV_MESSAGE_PAYLOAD_BYTE_COUNT + 1 : 0) ==
		     SYNIC_INVALID);
		return;
	}
	for (uint32_t i = 0; i < how % 80u + 1; i++) {
		post_one(vp, sint);
	}
}

static void check_message(const struct hv_message *slot, struct fifo *fifo, uint32_t owner)
{
	uint32_t words[2], size = size_of(fifo->taken);

	memcpy(words, slot->payload, sizeof(words));
	must(fifo->taken != fifo->sent);
	must(slot->header.message_type == 1 + owner % 256 && slot->header.payload_size == size);
	must(words[0] == fifo->taken && words[1] == owner);
	for (uint32_t i = sizeof(words); i < size; i++) {
		must(slot->payload[i] == (uint8_t)fifo->taken);
	}
	fifo->taken++;
}

/* @end: 0 nothing, 1 EOM if asked for, 2 EOM, 3 EOI. True: there was one. */
static bool empty_slot(uint32_t vp, uint32_t sint, uint8_t end)
{
	struct fifo *fifo = &fifos[vp][sint];
	struct hv_message *slot = slot_of(vp, sint);

	if (slot == NULL || slot->header.message_type == HVMSG_NONE) {
		return false;
	}
	if (!fifo->wild) {
		check_message(slot, fifo, vp << 8 | sint);
	}
	slot->header.message_type = HVMSG_NONE;
	if (end == 2 || (end == 1 && (slot->header.message_flags & HV_MESSAGE_FLAG_PENDING) != 0)) {
		set_msr(vp, HV_X64_MSR_EOM, 0);
	} else if (end == 3) {
		synic_eoi(vm_vcpu(vm, vp), (uint8_t)msr(vp, HV_X64_MSR_SINT0 + sint));
	}
	return true;
}

static void scribble(struct input *in)
{
	uint32_t vp = take8(in) % VCPUS, sint = take8(in) % SINTS;
	struct hv_message *slot = slot_of(vp, sint);

	if (slot != NULL) {
		take(in, slot, 16);
		fifos[vp][sint].wild = true;
	}
}

/* ------------------------------------------------------------------ events */

static bool may_signal(uint32_t vp, uint32_t sint, uint32_t flag)
{
	return sint < SINTS && flag < HV_EVENT_FLAGS_COUNT &&
	       (msr(vp, HV_X64_MSR_SINT0 + sint) & HV_SYNIC_SINT_MASKED) == 0 &&
	       (msr(vp, HV_X64_MSR_SCONTROL) & 1) != 0 && (msr(vp, HV_X64_MSR_SIEFP) & 1) != 0;
}

static void signal_event(struct input *in)
{
	uint32_t vp = take8(in) % VCPUS, sint = take8(in) % 18u, flag = take16(in) % 2304u;
	uint32_t bit = sint * HV_EVENT_FLAGS_COUNT + flag;
	uint8_t *page = page_of(vp, HV_X64_MSR_SIEFP), before[PAGE_BYTES] = {0};
	bool may = may_signal(vp, sint, flag), set = false;
	uint64_t count = raised(vp, sint % SINTS);

	if (page != NULL) {
		memcpy(before, page, PAGE_BYTES);
	}
	must(synic_signal_event(vm_vcpu(vm, vp), sint, flag) == may);
	if (may) {
		set = (before[bit / 8] >> bit % 8 & 1) == 0;
		before[bit / 8] |= (uint8_t)(1u << bit % 8);
	}
	must(page == NULL || memcmp(before, page, PAGE_BYTES) == 0);
	if (page != NULL && sint < SINTS) {
		set = set && (msr(vp, HV_X64_MSR_SINT0 + sint) & MUTE) == 0;
		must(raised(vp, sint) == count + set);
	}
}

/* ------------------------------------------------------------------ all of it */

static void reset(void)
{
	synic_reset(vm);
	memset(fifos, 0, sizeof(fifos));
	memset(room_owed, 0, sizeof(room_owed));
	for (uint32_t vp = 0; vp < VCPUS; vp++) {
		must(msr(vp, HV_X64_MSR_SIMP) == 0 && msr(vp, HV_X64_MSR_SIEFP) == 0);
		must(msr(vp, HV_X64_MSR_SINT2) == HV_SYNIC_SINT_MASKED);
	}
}

static void step(struct input *in)
{
	uint8_t what = take8(in);

	switch (what % 8) {
	case 0:
	case 1:
		write_register(in);
		break;
	case 2:
		bring_up(what / 8 % VCPUS, take8(in));
		break;
	case 3:
		post(in);
		break;
	case 4:
	case 5:
		(void)empty_slot(what / 8 % VCPUS, take8(in) % SINTS, what >> 6);
		break;
	case 6:
		signal_event(in);
		break;
	default:
		if (what >= 0xF8) {
			reset();
		} else if (what >= 0x80) {
			synic_eoi(vm_vcpu(vm, what / 8 % VCPUS), take8(in));
		} else {
			scribble(in);
		}
		break;
	}
}

static void hide_pages(void)
{
	for (uint32_t vp = 0; vp < VCPUS; vp++) {
		write_overlay(vp, HV_X64_MSR_SIMP, 0);
		write_overlay(vp, HV_X64_MSR_SIEFP, 0);
	}
}

/* A guest that sets all right and waits gets all of it. */
static void drain(void)
{
	hide_pages();
	for (uint32_t vp = 0; vp < VCPUS; vp++) {
		bring_up(vp, 2);
		for (uint32_t sint = 0; sint < SINTS; sint++) {
			while (empty_slot(vp, sint, 1)) {
			}
			must(fifos[vp][sint].wild || fifos[vp][sint].sent == fifos[vp][sint].taken);
		}
		must(room_count >= room_owed[vp]);
	}
	hide_pages();
}

static void begin(void)
{
	static const struct host_vm_config config = {
	        .vm = {.vcpu_count = VCPUS, .hyperv_face = true, .memory_bytes = 16 * PAGE_BYTES}};
	static struct host_snapshot *start;

	if (start != NULL) {
		host_snapshot_restore(start);
		return;
	}
	vm = host_vm_new(&config);
	must(synic_create(vm));
	memset(host_vm_bytes(vm, 0, PAGES * PAGE_BYTES), 0xC7, PAGES * PAGE_BYTES);
	synic_on_room(vm, count_room, NULL);
	reset();
	start = host_snapshot_take(vm);
	host_snapshot_add(start, fifos, sizeof(fifos));
	host_snapshot_add(start, &room_count, sizeof(room_count));
	host_snapshot_add(start, room_owed, sizeof(room_owed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t *memory;

	begin();
	for (uint32_t i = 0; i < STEPS_MAX && in.left != 0; i++) {
		step(&in);
	}
	drain();
	memory = host_vm_bytes(vm, 0, PAGES * PAGE_BYTES);
	must(memory[0] == 0xC7 && memcmp(memory, memory + 1, PAGES * PAGE_BYTES - 1) == 0);
	synic_teardown(vm);
	host_vm_reset(vm); /* panics on a leak */
	return 0;
}

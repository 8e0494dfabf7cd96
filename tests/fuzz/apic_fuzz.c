/*
 * apic_fuzz.c - libFuzzer: local APICs of three vCPUs and the IOAPIC, in both modes.
 *
 * The input is a list of register accesses by page and by MSR, of lines that go up and down, of interrupts
 * accepted and ended, of AutoEOI vectors, INITs and time. After each step: nothing below vector 16 is pending,
 * what is in service is nested by priority, a timer's deadline lies ahead, and no lock is held.
 */
#include <string.h>

#include "hypervisor/platform/board.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/unit/platform_fake.h"

#define VCPUS 3u
#define STEP_MAX 400u
#define LVT_MASKED (1u << 16)
#define SVR_ENABLED (1u << 8)
#define ENTRY_LEVEL (1ull << 15)
#define ENTRY_REMOTE_IRR (1ull << 14)

static struct board board;
static struct fake fake;

/* ------------------------------------------------------------------ values that reach something */

static uint32_t pick_register(struct input *in)
{
	static const uint8_t some[] = {0x08, 0x0B, 0x0D, 0x0E, 0x0F, 0x28, 0x30, 0x31, 0x32, 0x33, 0x35,
	                               0x36, 0x37, 0x38, 0x39, 0x3E, 0x3F, 0x02, 0x03, 0x0A, 0x10, 0x20};
	uint32_t raw = take8(in);

	return raw < 220 ? some[raw % ARRAY_COUNT(some)] : take8(in);
}

static uint32_t pick_value(struct input *in, uint32_t index)
{
	uint32_t raw = (uint32_t)take_number(in, 3);

	switch (index) {
	case 0x0F:
		return (raw & 0xFF) | (raw >> 8 & 3 ? SVR_ENABLED : 0);
	case 0x30: /* mode, logical, assert, shorthand */
		return (raw & 0xFF) | (raw & 0x700) | (raw & 0x800) | (raw >> 12 & 3) << 14 |
		       (raw >> 14 & 3) << 18;
	case 0x0D:
	case 0x31:
		return raw << 24;
	case 0x0E:
		return raw << 28;
	case 0x32: /* often not masked, one-shot or periodic */
		return (raw & 0xFF) | (raw >> 8 & 1) << 17 | (raw >> 9 & 3 ? 0 : LVT_MASKED);
	case 0x38:
		return raw % 4 == 0 ? raw / 4 % 64 : raw << (raw % 9);
	case 0x3E:
		return raw & 0xB;
	default:
		return raw & 0xFF;
	}
}

/* ------------------------------------------------------------------ steps */

static void write_register(struct vlapic *l, struct input *in)
{
	uint32_t index = pick_register(in), value = pick_value(in, index), raw = take8(in);

	if (vlapic_is_x2apic(l)) {
		uint64_t high = index == 0x30 || raw % 16 == 0 ? (uint64_t)take8(in) << 32 : 0;

		(void)vlapic_msr_write(l, MSR_X2APIC_FIRST + index, high | value);
	} else {
		vlapic_mmio_write(l, index << 4 | (raw < 240 ? 0 : raw % 16), raw % 32 == 0 ? 8 : 4, value);
	}
}

static void read_register(struct vlapic *l, struct input *in)
{
	uint32_t raw = take8(in), index = pick_register(in);
	uint64_t value;

	(void)vlapic_msr_read(l, MSR_X2APIC_FIRST + index, &value);
	(void)vlapic_mmio_read(l, index << 4 | (raw < 200 ? 0 : raw % 16), 1u << raw % 4);
}

static void set_mode(struct vlapic *l, struct input *in)
{
	static const uint32_t modes[] = {APIC_BASE_EN, APIC_BASE_EN | APIC_BASE_EXTD, 0, APIC_BASE_EXTD};
	uint32_t raw = take8(in);
	uint64_t value = VLAPIC_BASE | modes[raw % 4] | (raw / 4 % 2 ? APIC_BASE_BSP : 0) | raw / 64 % 2;

	if (!vlapic_msr_write(l, MSR_APIC_BASE, value)) {
		require(!vlapic_msr_write(l, MSR_APIC_BASE, value | 1), "what is illegal stays so");
	}
}

/* As core does before it enters the guest. */
static void inject(struct vlapic *l)
{
	int vector = vlapic_pending(l);
	uint8_t before = vlapic_ppr(l);

	if (vector < 0) {
		return;
	}
	require(vector >= 16 && vector >> 4 > before >> 4, "only what the priority lets through is pending");
	vlapic_accept(l, (uint8_t)vector);
	require((l->shared.irr[vector / 32] >> vector % 32 & 1) == 0, "what is accepted is not requested");
	if ((l->auto_eoi[vector / 32] >> vector % 32 & 1) == 0) {
		require(vlapic_ppr(l) >> 4 == vector >> 4, "what is in service sets the priority");
	} else {
		require(vlapic_ppr(l) == before, "AutoEOI leaves nothing in service");
	}
}

static void end_interrupt(struct vlapic *l)
{
	unsigned int before = 0, after = 0;
	int in_service = -1;

	for (int i = 0; i < 256; i++) {
		in_service = (l->isr[i / 32] >> i % 32 & 1) != 0 ? i : in_service;
		before += fake.eois[i];
	}
	vlapic_eoi(l);
	for (int i = 0; i < 256; i++) {
		after += fake.eois[i];
	}
	require(after - before == (in_service >= 0), "one EOI ends one interrupt");
	require(in_service < 0 || (l->isr[in_service / 32] >> in_service % 32 & 1) == 0,
	        "the highest in service is ended");
}

static void do_ioapic(struct input *in)
{
	uint32_t raw = take8(in), pin = raw % VIOAPIC_PIN_COUNT;
	uint32_t select = raw < 232 ? 0x10 + 2 * pin : take8(in);

	vioapic_mmio_write(&board.ioapic, 0, 4, select);
	switch (take_below(in, 5)) {
	case 0:
		vioapic_mmio_write(&board.ioapic, 0x10, 4, take8(in)); /* edge, fixed, not masked */
		break;
	case 1:
		vioapic_mmio_write(&board.ioapic, 0x10, 4, take8(in) | ENTRY_LEVEL | (raw >> 7) << 11);
		break;
	case 2:
		vioapic_mmio_write(&board.ioapic, 0, 4, select + 1);
		vioapic_mmio_write(&board.ioapic, 0x10, 4, take_number(in, 1) << 24);
		break;
	case 3:
		vioapic_mmio_write(&board.ioapic, 0x10, 4, take_number(in, 3));
		break;
	default:
		(void)vioapic_mmio_read(&board.ioapic, 0x10 + (raw >= 240 ? raw % 4 : 0), 4);
		vioapic_mmio_write(&board.ioapic, 0x40, 4, take8(in));
		break;
	}
}

/* The armed timers go off in their order, some a little late. */
static void pass_time(struct input *in)
{
	uint32_t raw = take8(in);
	uint64_t until = fake.now_ns + (take_number(in, 2) << raw % 24);

	for (uint32_t fired = 0; fired < 50; fired++) {
		uint32_t first = 0;

		for (uint32_t i = 1; i < VCPUS; i++) {
			if (fake.deadline_ns[i] != 0 &&
			    (fake.deadline_ns[first] == 0 || fake.deadline_ns[i] < fake.deadline_ns[first])) {
				first = i;
			}
		}
		if (fake.deadline_ns[first] == 0 || fake.deadline_ns[first] > until) {
			break;
		}
		fake.now_ns = fake.deadline_ns[first] + raw / 128 * 1000;
		fake.deadline_ns[first] = 0;
		vlapic_timer_expired(&board.lapics[first], fake.now_ns);
		require(fake.deadline_ns[first] == 0 || fake.deadline_ns[first] > fake.now_ns,
		        "a timer is armed for later");
	}
	fake.now_ns = fake.now_ns > until ? fake.now_ns : until;
}

static void do_machine(struct vlapic *l, struct input *in)
{
	uint32_t raw = take8(in);
	struct apic_message m = {.dest = take8(in),
	                         .vector = (uint8_t)take8(in),
	                         .mode = raw % 8,
	                         .logical = raw / 8 % 2 != 0,
	                         .wide = raw / 16 % 2 != 0,
	                         .level = raw / 32 % 2 != 0};

	switch (raw / 64) {
	case 0:
		(void)vlapic_bus_send(&board.bus, &m);
		break;
	case 1:
		vlapic_set_auto_eoi(l, m.vector, raw % 2 != 0);
		break;
	case 2:
		vlapic_set_cr8(l, m.vector);
		break;
	default:
		if (raw % 32 == 0) {
			board_reset(&board);
		} else {
			vlapic_init_signal(l);
		}
		break;
	}
}

/* ------------------------------------------------------------------ invariants */

static void check_lapic(struct vlapic *l)
{
	uint32_t mode = l->shared.apic_base & (APIC_BASE_EN | APIC_BASE_EXTD);
	uint32_t count;

	require(mode != APIC_BASE_EXTD, "no mode of its own behind the one bit");
	require((l->shared.apic_base & 0xFFFFF000u) == VLAPIC_BASE, "the page stays where it is");
	require(((l->shared.apic_base & APIC_BASE_BSP) != 0) == (l->vcpu == 0), "one boot processor");
	require((l->shared.irr[0] & 0xFFFF) == 0 && (l->isr[0] & 0xFFFF) == 0, "no vector below 16");
	require(vlapic_pending(l) < 0 || vlapic_is_enabled(l), "an APIC that is off has nothing pending");
	for (uint32_t i = 0; i < 8; i++) {
		for (uint32_t half = 0; half < 2; half++) {
			uint32_t class = l->isr[i] >> (16 * half) & 0xFFFF;

			require((class & (class - 1)) == 0, "one interrupt of a class is in service");
		}
	}
	for (uint32_t i = 0; i < VLAPIC_LVT_COUNT; i++) {
		require((l->shared.svr & SVR_ENABLED) != 0 || (l->lvt[i] & LVT_MASKED) != 0,
		        "an APIC that is off has its own interrupts masked");
	}
	count = (uint32_t)vlapic_mmio_read(l, 0x390, 4);
	require(mode != APIC_BASE_EN || count <= l->timer.initial_count || count <= l->timer.loaded_count,
	        "a timer counts down from where it began");
}

static void check_all(void)
{
	for (uint32_t i = 0; i < VCPUS; i++) {
		check_lapic(&board.lapics[i]);
	}
	for (uint32_t pin = 0; pin < VIOAPIC_PIN_COUNT; pin++) {
		uint64_t entry = board.ioapic.entries[pin];

		require((entry & ENTRY_LEVEL) != 0 || (entry & ENTRY_REMOTE_IRR) == 0,
		        "an edge pin waits for no EOI");
	}
	require(board.ioapic.to_send == 0, "no message is left in the IOAPIC");
	require(*lock_held_ranks() == 0, "no lock is held");
}

/* ------------------------------------------------------------------ an input */

static void step(struct input *in)
{
	uint32_t what = take8(in);
	struct vlapic *l = &board.lapics[what / 16 % 4 % VCPUS];

	switch (what % 16) {
	case 0:
	case 1:
	case 2:
	case 3:
		write_register(l, in);
		break;
	case 4:
		read_register(l, in);
		break;
	case 5:
		set_mode(l, in);
		break;
	case 6:
	case 7:
		inject(l);
		break;
	case 8:
		end_interrupt(l);
		break;
	case 9:
	case 10:
		do_ioapic(in);
		break;
	case 11:
	case 12:
		vioapic_set_line(&board.ioapic, take_below(in, VIOAPIC_PIN_COUNT + 2), what / 128 != 0);
		break;
	case 13:
		pass_time(in);
		break;
	default:
		do_machine(l, in);
		break;
	}
	check_all();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	require(board_init(&board, fake_env(&fake), VCPUS), "board");
	for (uint32_t i = 0; i < VCPUS; i++) { /* as a guest starts: on, a logical id each */
		vlapic_mmio_write(&board.lapics[i], 0xF0, 4, SVR_ENABLED | 0xFF);
		vlapic_mmio_write(&board.lapics[i], 0xD0, 4, 1ull << (24 + i));
	}
	for (uint32_t i = 0; i < STEP_MAX && in.left != 0; i++) {
		step(&in);
	}
	return 0;
}

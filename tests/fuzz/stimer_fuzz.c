/*
 * stimer_fuzz.c - libFuzzer: synthetic timers of two vCPUs: configurations and counts in any order, direct and by
 * message, with slots that are busy, SINTs that are masked, a SynIC that is off, and time that passes in between.
 *
 * Input: steps. Compared with a model. What must hold: registers read as the TLFS says; a timer never fires before its
 * time nor more often than its period allows, nor more often than every 50 us; one that is due has fired; a message that is
 * owed arrives when the guest takes its messages; nothing below vector 16 is raised.
 */
#include "tests/fuzz/fuzz_input.h"

#include "abi/hyperv.h"
#include "synic/synic.h"
#include "tests/host/host_private.h"

#define VCPUS 2u
#define TIMERS HV_SYNIC_STIMER_COUNT
#define SIMP(vp) (0x1000ull * (1 + (vp)))
#define SPACING_NS 100000u
#define STEPS_MAX 200u
#define NEVER_REF ((1ull << 62) / HV_REFERENCE_NS)

struct model {
	uint64_t config, count;
	uint64_t start_ref;
	bool running, fired; /* fired: since it was started */
	bool owed; /* a message, with this expiry */
	uint64_t owed_ref;
};

static struct vm *vm;
static struct model models[VCPUS][TIMERS];
static uint64_t posts_min[VCPUS], posts_max[VCPUS]; /* of timers that do not run any more */

static uint64_t now_ref(void)
{
	return vm_time_ns(vm) / HV_REFERENCE_NS;
}

static bool is_periodic(const struct model *m)
{
	return (m->config & HV_STIMER_PERIODIC) != 0;
}

static bool is_direct(const struct model *m)
{
	return (m->config & HV_STIMER_DIRECT_MODE) != 0;
}

static uint64_t raised(uint32_t vp)
{
	const uint64_t *here = vm_vcpu(vm, vp)->post_counts; /* as they stand: a lock for each took half of the time */
	uint64_t count = 0, never = 0;

	for (uint32_t vector = 0; vector < HV_SYNIC_FIRST_VALID_VECTOR; vector++) {
		never += here[vector];
	}
	must(never == 0);
	for (uint32_t vector = HV_SYNIC_FIRST_VALID_VECTOR; vector < 256; vector++) {
		count += here[vector];
	}
	return count;
}

/* ------------------------------------------------------------------ the model */

static uint64_t expiries(const struct model *m)
{
	if (!m->running) {
		return 0;
	}
	return is_periodic(m) ? (now_ref() - m->start_ref) / m->count : m->count <= now_ref();
}

static void model_stop(uint32_t vp, struct model *m)
{
	posts_max[vp] += expiries(m);
	m->running = false;
	m->owed = false;
}

static void model_fire(uint32_t vp, struct model *m)
{
	posts_min[vp] += is_direct(m) && !m->fired;
	m->fired = true;
	if (!is_periodic(m)) {
		posts_max[vp]++;
		m->running = false;
		m->config &= ~HV_STIMER_ENABLE;
		m->owed = !is_direct(m);
		m->owed_ref = m->count;
	}
}

static void model_start(struct model *m)
{
	uint64_t vector = (m->config & HV_STIMER_VECTOR_MASK) >> HV_STIMER_VECTOR_SHIFT;

	if (is_direct(m) ? vector < 16 : (m->config & HV_STIMER_SINT_MASK) == 0) {
		m->config &= ~HV_STIMER_ENABLE;
	}
	m->running = (m->config & HV_STIMER_ENABLE) != 0 && m->count != 0;
	m->start_ref = now_ref();
	m->fired = false;
}

static void catch_up(uint32_t vp)
{
	for (uint32_t i = 0; i < TIMERS; i++) {
		if (expiries(&models[vp][i]) != 0) {
			model_fire(vp, &models[vp][i]);
		}
	}
}

/* What runs is armed, and not for later than it may come. */
static void check_armed(const struct model *m)
{
	uint64_t now_ns = vm_time_ns(vm), deadline_ns = 0, latest_ns;

	if (!m->running || m->count > NEVER_REF - now_ref()) {
		return;
	}
	latest_ns = (is_periodic(m) ? now_ref() + m->count : m->count) * HV_REFERENCE_NS;
	must(host_next_timer_ns(vm, &deadline_ns));
	must(deadline_ns <= latest_ns || (is_periodic(m) && deadline_ns <= now_ns + SPACING_NS));
}

static void check(uint32_t vp)
{
	uint64_t max = posts_max[vp], seen = raised(vp), value = 0;

	catch_up(vp);
	max = posts_max[vp];
	for (uint32_t i = 0; i < TIMERS; i++) {
		const struct model *m = &models[vp][i];

		must(synic_msr_read(vm_vcpu(vm, vp), HV_X64_MSR_STIMER0_CONFIG + 2 * i, &value));
		must(value == m->config);
		must(synic_msr_read(vm_vcpu(vm, vp), HV_X64_MSR_STIMER0_COUNT + 2 * i, &value));
		must(value == m->count);
		check_armed(m);
		max += expiries(m);
	}
	must(seen >= posts_min[vp] && seen <= max);
}

/* ------------------------------------------------------------------ steps */

static void write_config(uint32_t vp, uint32_t index, uint64_t value)
{
	struct model *m = &models[vp][index];

	model_stop(vp, m);
	m->config = value & HV_STIMER_DEFINED_MASK;
	model_start(m);
	must(synic_msr_write(vm_vcpu(vm, vp), HV_X64_MSR_STIMER0_CONFIG + 2 * index, value));
	catch_up(vp);
}

static void write_count(uint32_t vp, uint32_t index, uint64_t value)
{
	struct model *m = &models[vp][index];

	model_stop(vp, m);
	m->count = value;
	if (value == 0) {
		m->config &= ~HV_STIMER_ENABLE;
	} else if ((m->config & HV_STIMER_AUTOENABLE) != 0) {
		m->config |= HV_STIMER_ENABLE;
	}
	model_start(m);
	must(synic_msr_write(vm_vcpu(vm, vp), HV_X64_MSR_STIMER0_COUNT + 2 * index, value));
	catch_up(vp);
}

static void configure(struct input *in, uint32_t vp)
{
	uint8_t which = take8(in), flags = take8(in);
	uint64_t value = flags % 16u | (which & 0x40u) << 6 |
	                 (uint64_t)(which / 4 % 16u) << HV_STIMER_SINT_SHIFT |
	                 (uint64_t)(flags / 16u * 8u) << HV_STIMER_VECTOR_SHIFT;

	write_config(vp, which % TIMERS, which >= 0xF8 ? take64(in) : value);
}

static void count(struct input *in, uint32_t vp)
{
	uint8_t which = take8(in);
	uint64_t value = (uint64_t)take16(in) >> which / 8 % 16u; /* periods from the shortest on */

	if (which >= 0xF8) {
		value = take64(in);
	} else if (which >= 0x80) {
		value += now_ref() - 0x1000u;
	}
	write_count(vp, which % TIMERS, value);
}

/* As a driver does it: a timer that reaches someone, from the shortest period on. */
static void start_timer(struct input *in, uint32_t vp)
{
	uint8_t which = take8(in);
	uint64_t target = (which & 0x40) != 0 ? 0x1300ull : 2ull << HV_STIMER_SINT_SHIFT;

	write_config(vp, which % TIMERS, HV_STIMER_ENABLE | target | (which & 0x20u) >> 4);
	write_count(vp, which % TIMERS, take8(in) + ((which & 0x20) != 0 ? 1 : now_ref()));
}

/* Each 50 us at most once a timer, whatever its period. */
static void pass_time(uint64_t ns)
{
	uint64_t before[VCPUS];

	for (uint32_t vp = 0; vp < VCPUS; vp++) {
		before[vp] = raised(vp);
	}
	host_time_advance_ns(vm, ns);
	for (uint32_t vp = 0; vp < VCPUS; vp++) {
		must(raised(vp) - before[vp] <= TIMERS * (ns / SPACING_NS + 2));
	}
}

static void check_message(const struct hv_message *slot, uint32_t vp)
{
	struct hv_timer_message_payload p;
	struct model *m;

	must(slot->header.message_type == HVMSG_TIMER_EXPIRED && slot->header.payload_size == sizeof(p));
	memcpy(&p, slot->payload, sizeof(p));
	must(p.timer_index < TIMERS && p.reserved == 0);
	must(p.expiration_time <= p.delivery_time && p.delivery_time <= now_ref());
	m = &models[vp][p.timer_index];
	if (m->owed && m->owed_ref == p.expiration_time) {
		m->owed = false;
	}
}

static bool empty_slot(uint32_t vp, uint32_t sint, bool eom)
{
	uint64_t simp = 0;
	struct hv_message_page *page;
	struct hv_message *slot;

	must(synic_msr_read(vm_vcpu(vm, vp), HV_X64_MSR_SIMP, &simp));
	if (simp == 0) {
		return false;
	}
	page = host_vm_bytes(vm, SIMP(vp), PAGE_BYTES);
	slot = &page->sint_message[sint];
	if (slot->header.message_type == HVMSG_NONE) {
		return false;
	}
	if (slot->header.message_type != 1) {
		check_message(slot, vp);
	}
	slot->header.message_type = HVMSG_NONE;
	if (eom && (slot->header.message_flags & HV_MESSAGE_FLAG_PENDING) != 0) {
		must(synic_msr_write(vm_vcpu(vm, vp), HV_X64_MSR_EOM, 0));
	}
	return true;
}

/* Turns the SynIC, its page or a SINT on and off. */
static void turn(struct input *in, uint32_t vp)
{
	uint8_t what = take8(in);
	struct vcpu *vcpu = vm_vcpu(vm, vp);

	if (what % 4 == 0) {
		must(synic_msr_write(vcpu, HV_X64_MSR_SCONTROL, what / 4 % 2));
	} else if (what % 4 == 1) {
		must(synic_msr_write(vcpu, HV_X64_MSR_SIMP, what / 4 % 2 == 0 ? 0 : SIMP(vp) | 1));
	} else {
		must(synic_msr_write(vcpu, HV_X64_MSR_SINT0 + what / 4 % 16u,
		                     0x50 | (what >= 0x80 ? HV_SYNIC_SINT_MASKED : 0)));
	}
}

/* A message of another's makes the slot busy; it may raise one interrupt. */
static void post(uint32_t vp, uint32_t sint)
{
	if (synic_post_message(vm_vcpu(vm, vp), sint, 1, "busy", 4) == SYNIC_OK) {
		posts_max[vp]++;
	}
}

static void synic_up(uint32_t vp)
{
	struct vcpu *vcpu = vm_vcpu(vm, vp);

	must(synic_msr_write(vcpu, HV_X64_MSR_SIMP, SIMP(vp) | 1));
	must(synic_msr_write(vcpu, HV_X64_MSR_SINT2, 0x50));
	must(synic_msr_write(vcpu, HV_X64_MSR_SCONTROL, 1));
}

static void reset(void)
{
	synic_reset(vm);
	for (uint32_t vp = 0; vp < VCPUS; vp++) {
		for (uint32_t i = 0; i < TIMERS; i++) {
			model_stop(vp, &models[vp][i]);
			models[vp][i] = (struct model){0};
		}
		synic_up(vp);
	}
}

static void step(struct input *in)
{
	uint8_t what = take8(in);
	uint32_t vp = what / 8 % VCPUS;

	switch (what % 8) {
	case 0:
		configure(in, vp);
		break;
	case 1:
		start_timer(in, vp);
		break;
	case 2:
		count(in, vp);
		break;
	case 3:
	case 4:
		pass_time((uint64_t)take8(in) << what / 16u);
		break;
	case 5:
		(void)empty_slot(vp, take8(in) % 16u, what < 0x80);
		break;
	case 6:
		turn(in, vp);
		break;
	default:
		if (what >= 0xF0) {
			reset();
		} else {
			post(vp, what / 16u);
		}
		break;
	}
	for (uint32_t i = 0; i < VCPUS; i++) {
		check(i);
	}
}

/* All periodic timers off, then a guest that takes all its messages. */
static void drain(void)
{
	for (uint32_t vp = 0; vp < VCPUS; vp++) {
		for (uint32_t i = 0; i < TIMERS; i++) {
			if (is_periodic(&models[vp][i])) {
				write_config(vp, i, 0);
			}
		}
		synic_up(vp);
		for (uint32_t sint = 0; sint < 16; sint++) {
			while (empty_slot(vp, sint, true)) {
			}
		}
		for (uint32_t i = 0; i < TIMERS; i++) {
			must(!models[vp][i].owed);
		}
	}
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
	reset();
	start = host_snapshot_take(vm);
	host_snapshot_add(start, models, sizeof(models));
	host_snapshot_add(start, posts_min, sizeof(posts_min));
	host_snapshot_add(start, posts_max, sizeof(posts_max));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	begin();
	host_time_advance_ns(vm, 1000000);
	for (uint32_t i = 0; i < STEPS_MAX && in.left != 0; i++) {
		step(&in);
	}
	drain();
	synic_teardown(vm);
	host_vm_reset(vm); /* panics on a leak */
	return 0;
}

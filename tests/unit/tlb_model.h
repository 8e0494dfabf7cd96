/*
 * tlb_model.h - CPUs whose TLBs forget nothing on their own, and guests that move, change and end on them.
 *
 * Each CPU keeps every translation that it has ever made, under the tags that its vendor gives it, until it is told to
 * drop it. Whenever a vCPU touches a page, all that its tags would let the CPU use is compared with what is true
 * now: one translation that differs, and the model has found a fault in the bookkeeping. The order of marks, looks and
 * requests is that of core/vcpu.c, core/memory.c and core/p2m.c, each cut into the steps between which others can come.
 *
 * A broken variant leaves out or misplaces one action.
 */
#ifndef TESTS_UNIT_TLB_MODEL_H
#define TESTS_UNIT_TLB_MODEL_H

#include "hypervisor/core/tlb.h"

#include <string.h>

#define CPU_MAX 4u
#define GUEST_MAX 3u
#define VCPU_MAX 3u /* of a guest */
#define CHANGE_MAX 3u
#define ROOT_COUNT (GUEST_MAX + 1u) /* one is spare */
#define PAGE_COUNT 4u /* linear ones, and guest-physical ones */
#define MAP_COUNT 2u /* page tables of a guest's own */
#define ID_MAX 8u
#define FRAME_COUNT 32u

enum vendor { VENDOR_SVM, VENDOR_VMX, VENDOR_COUNT };

enum broken {
	BROKEN_NOTHING,
	BROKEN_NO_FLUSH_ALL, /* the entry ignores it */
	BROKEN_NO_FLUSH_NESTED, /* the entry ignores it */
	BROKEN_NO_FORGET, /* a flush request changes nothing */
	BROKEN_NO_FORGET_AT_RESET,
	BROKEN_NO_CHANGED, /* tlb_space_changed() is not called */
	BROKEN_CHANGED_EARLY, /* before the entry's store */
	BROKEN_CHANGED_LATE, /* after the requests */
	BROKEN_NO_SPACE_INIT, /* a new guest takes a root that was another's, and nobody is told */
	BROKEN_ENTERED_ANYWAY, /* tlb_entered() without the entry */
	BROKEN_NOTED_LATE, /* the count of changes is read after the stay, not before the flush */
	BROKEN_NO_LOOK, /* enters without a look for requests */
	BROKEN_MARKED_LATE, /* looks for requests, and marks that it is in the guest then */
	BROKEN_ASKED_LATE, /* looks whether it is in the guest, and sets the request then */
	BROKEN_IGNORES_CPU, /* keeps its id when it moves */
	BROKEN_IGNORES_GENERATION, /* keeps its id for good */
	BROKEN_COUNT,
};

enum phase {
	PHASE_NONE, /* no vCPU on this CPU */
	PHASE_TAKEN, /* it has taken its requests */
	PHASE_CHOSEN, /* tlb_enter() has been */
	PHASE_MARKED, /* in_guest is set, requests are not looked for */
	PHASE_GUEST,
};

struct mvcpu {
	struct tlb_vcpu tlb;
	uint32_t guest;
	uint32_t map; /* which of the guest's page tables it uses */
	bool placed, in_guest;
	bool flush_requested, other_requested;
	bool kicked; /* asked while it was in the guest: nobody takes the flush as done until it has left */
	uint32_t exempt; /* changes under way of which nobody has told it yet: old and new are both right */
};

struct mguest {
	struct tlb_space space;
	struct mvcpu vcpus[VCPU_MAX];
	uint32_t root;
	uint8_t linear[MAP_COUNT][PAGE_COUNT]; /* to a guest page */
	uint8_t nested[PAGE_COUNT]; /* to frame * 2 + writable; 0: a hole */
};

struct mcpu {
	struct tlb_cpu tlb;
	enum phase phase;
	struct mvcpu *vcpu;
	struct tlb_choice choice;
	bool requested; /* what the look for requests has found */
	/* Sets of values, one bit each. What the vendor does not tag with is index 0. */
	uint64_t combined[ID_MAX][ROOT_COUNT][PAGE_COUNT];
	uint64_t nested[ID_MAX][ROOT_COUNT][PAGE_COUNT];
};

struct change {
	bool busy, is_nested;
	uint32_t guest;
	uint32_t page;
	uint8_t value;
	bool stored;
	bool told; /* tlb_space_changed() has been, or need not be */
	uint32_t left; /* vCPUs that are still to be asked */
	bool half_asked; /* the first of them: one of its two steps has been */
};

struct model {
	enum vendor vendor;
	enum broken broken;
	uint32_t cpu_count;
	struct mcpu cpus[CPU_MAX];
	struct mguest guests[GUEST_MAX];
	struct change changes[CHANGE_MAX];
	uint32_t spare_root;
	uint32_t active_guests, active_vcpus; /* of all guests, and of each, at this time */
	uint64_t seed;
	uint64_t stale; /* touches that could have used a translation that is no longer true */
	uint64_t touches, entries, missed, flushes, nested_flushes;
};

static uint32_t model_random(struct model *m, uint32_t below)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 7;
	m->seed ^= m->seed << 17;
	return (uint32_t)(m->seed >> 33) % below;
}

/* ---------------------------------------------------------------- the vendors' tags */

static uint64_t *combined_at(struct mcpu *cpu, const struct model *m, uint32_t page)
{
	uint32_t root = m->guests[cpu->vcpu->guest].root;

	return &cpu->combined[cpu->choice.asid][m->vendor == VENDOR_VMX ? root : 0][page];
}

static uint64_t *nested_at(struct mcpu *cpu, const struct model *m, uint32_t page)
{
	bool vmx = m->vendor == VENDOR_VMX;

	return &cpu->nested[vmx ? 0 : cpu->choice.asid][vmx ? m->guests[cpu->vcpu->guest].root : 0][page];
}

/* SVM: TLB_CONTROL, all ASIDs. VMX: INVVPID of all contexts, which leaves guest-physical mappings. */
static void vendor_flush_all(struct mcpu *cpu, enum vendor vendor)
{
	memset(cpu->combined, 0, sizeof(cpu->combined));
	if (vendor == VENDOR_SVM) {
		memset(cpu->nested, 0, sizeof(cpu->nested));
	}
}

/* VMX: INVEPT of all contexts: guest-physical and combined mappings of all roots. */
static void vendor_flush_nested(struct mcpu *cpu, enum vendor vendor)
{
	if (vendor == VENDOR_VMX) {
		memset(cpu->combined, 0, sizeof(cpu->combined));
		memset(cpu->nested, 0, sizeof(cpu->nested));
	}
}

/* ---------------------------------------------------------------- in the guest */

/* Same frame, and no right that has been lost: one that was gained costs a fault at most. */
static bool is_true(uint32_t cached, uint32_t now)
{
	return cached == now || (now != 0 && cached == (now & ~1u));
}

static bool all_true(uint64_t values, uint32_t now)
{
	for (uint64_t left = values; left != 0; left &= left - 1) {
		if (!is_true((uint32_t)__builtin_ctzll(left), now)) {
			return false;
		}
	}
	return true;
}

/* The vCPU on @cpu, in the guest, uses linear page @page, and the CPU caches whatever it may. */
static void model_touch(struct model *m, struct mcpu *cpu, uint32_t page)
{
	struct mvcpu *vcpu = cpu->vcpu;
	struct mguest *guest = &m->guests[vcpu->guest];
	uint32_t at = guest->linear[vcpu->map][page];
	uint64_t *combined = combined_at(cpu, m, page);
	uint64_t *nested = nested_at(cpu, m, at);

	if (!vcpu->kicked && vcpu->exempt == 0) {
		m->touches++;
		if (!all_true(*combined, guest->nested[at]) || !all_true(*nested, guest->nested[at])) {
			m->stale++;
		}
	}
	if (guest->nested[at] != 0) {
		*nested |= 1ull << guest->nested[at];
	}
	*combined |= *nested; /* a walk may have used any of them */
}

/* MOV to CR3, INVLPG: the CPU itself drops what the current id has. */
static void native_flush(struct model *m, struct mcpu *cpu)
{
	for (uint32_t page = 0; page < PAGE_COUNT; page++) {
		*combined_at(cpu, m, page) = 0;
	}
}

/* ---------------------------------------------------------------- entry and exit, as in core/vcpu.c */

static void take_requests(struct model *m, struct mvcpu *vcpu)
{
	if (vcpu->flush_requested && m->broken != BROKEN_NO_FORGET) {
		tlb_forget(&vcpu->tlb);
	}
	vcpu->flush_requested = false;
	vcpu->other_requested = false;
}

static void choose(struct model *m, struct mcpu *cpu)
{
	struct mvcpu *vcpu = cpu->vcpu;

	if (m->broken == BROKEN_IGNORES_CPU) {
		vcpu->tlb.cpu = (uint32_t)(cpu - m->cpus);
	}
	if (m->broken == BROKEN_IGNORES_GENERATION && vcpu->tlb.cpu == (uint32_t)(cpu - m->cpus)) {
		vcpu->tlb.generation = cpu->tlb.generation;
	}
	cpu->choice =
		tlb_enter(&cpu->tlb, (uint32_t)(cpu - m->cpus), &vcpu->tlb, &m->guests[vcpu->guest].space);
}

/* The second of mark and look is the entry itself. */
static void look(struct model *m, struct mcpu *cpu)
{
	cpu->requested = (cpu->vcpu->flush_requested || cpu->vcpu->other_requested) &&
			 m->broken != BROKEN_NO_LOOK;
}

/* Chosen, but not entered: a request was there, or the CPU refused the state (it may have flushed, or not). */
static void not_entered(struct model *m, struct mcpu *cpu)
{
	cpu->vcpu->in_guest = false;
	cpu->vcpu->kicked = false;
	cpu->phase = PHASE_NONE;
	m->missed++;
	if (m->broken == BROKEN_ENTERED_ANYWAY) {
		tlb_entered(&cpu->tlb, &cpu->choice);
		tlb_forget(&cpu->vcpu->tlb);
	}
}

static void entered(struct model *m, struct mcpu *cpu)
{
	if (cpu->choice.flush_all && m->broken != BROKEN_NO_FLUSH_ALL) {
		vendor_flush_all(cpu, m->vendor);
		m->flushes++;
	}
	if (cpu->choice.flush_nested && m->broken != BROKEN_NO_FLUSH_NESTED) {
		vendor_flush_nested(cpu, m->vendor);
		m->nested_flushes++;
	}
	cpu->phase = PHASE_GUEST;
	m->entries++;
}

static void leave(struct model *m, struct mcpu *cpu)
{
	if (m->broken == BROKEN_NOTED_LATE) {
		struct tlb_space now;

		tlb_space_init(&now);
		cpu->choice.nested_seen = now.changed;
	}
	tlb_entered(&cpu->tlb, &cpu->choice);
	cpu->vcpu->in_guest = false;
	cpu->vcpu->kicked = false;
}

static void cpu_place(struct mcpu *cpu, struct mvcpu *vcpu)
{
	cpu->vcpu = vcpu;
	vcpu->placed = true;
	cpu->phase = PHASE_NONE;
}

static void cpu_release(struct mcpu *cpu)
{
	cpu->vcpu->placed = false;
	cpu->vcpu->in_guest = false;
	cpu->vcpu->kicked = false;
	cpu->vcpu = NULL;
	cpu->phase = PHASE_NONE;
}

/* The next step of the vCPU that is on @cpu; from the guest, it is the exit. */
static void cpu_step(struct model *m, struct mcpu *cpu)
{
	switch (cpu->phase) {
	case PHASE_NONE:
		take_requests(m, cpu->vcpu);
		cpu->phase = PHASE_TAKEN;
		break;
	case PHASE_TAKEN:
		choose(m, cpu);
		cpu->phase = PHASE_CHOSEN;
		break;
	case PHASE_CHOSEN:
		if (m->broken == BROKEN_MARKED_LATE) {
			look(m, cpu);
		} else {
			cpu->vcpu->in_guest = true;
		}
		cpu->phase = PHASE_MARKED;
		break;
	case PHASE_MARKED:
		if (m->broken == BROKEN_MARKED_LATE) {
			cpu->vcpu->in_guest = true;
		} else {
			look(m, cpu);
		}
		if (cpu->requested) {
			not_entered(m, cpu);
		} else {
			entered(m, cpu);
		}
		break;
	case PHASE_GUEST:
		leave(m, cpu);
		cpu->phase = PHASE_NONE;
		break;
	}
}

/* ---------------------------------------------------------------- changes, as in core/p2m.c and core/memory.c */

static uint8_t random_value(struct model *m)
{
	return (uint8_t)(2 + model_random(m, 2 * FRAME_COUNT - 2));
}

/* From its store on, each vCPU may use the old or the new until it has been asked. */
static void change_begin(struct model *m, struct change *c, uint32_t guest, bool is_nested, uint32_t asked)
{
	c->busy = true;
	c->is_nested = is_nested;
	c->told = !is_nested || m->broken == BROKEN_NO_CHANGED;
	c->stored = false;
	c->half_asked = false;
	c->guest = guest;
	c->left = asked;
	if (m->broken == BROKEN_CHANGED_EARLY && !c->told) {
		tlb_space_changed(&m->guests[guest].space);
		c->told = true;
	}
}

static void change_store(struct model *m, struct change *c)
{
	struct mguest *guest = &m->guests[c->guest];

	c->stored = true;
	if (c->is_nested) {
		if (guest->nested[c->page] == 0) {
			c->left = 0; /* a hole is filled: nobody is asked or told, as p2m_give() */
			c->told = true;
		}
		guest->nested[c->page] = c->value;
	}
	for (uint32_t i = 0; i < VCPU_MAX; i++) {
		guest->vcpus[i].exempt += c->left >> i & 1;
	}
}

/* Two steps: the request is set, and it is looked who is in the guest and so needs a kick. */
static void change_ask(struct model *m, struct change *c)
{
	struct mvcpu *vcpu = &m->guests[c->guest].vcpus[__builtin_ctz(c->left)];

	if (c->half_asked == (m->broken == BROKEN_ASKED_LATE)) {
		vcpu->flush_requested = true;
	} else {
		vcpu->kicked = vcpu->kicked || vcpu->in_guest;
	}
	if (c->half_asked) {
		vcpu->exempt--;
		c->left &= c->left - 1;
	}
	c->half_asked = !c->half_asked;
}

static void change_step(struct model *m, struct change *c)
{
	if (!c->stored) {
		change_store(m, c);
	} else if (!c->told && (m->broken != BROKEN_CHANGED_LATE || c->left == 0)) {
		tlb_space_changed(&m->guests[c->guest].space);
		c->told = true;
	} else if (c->left != 0) {
		change_ask(m, c);
	}
	c->busy = !c->stored || !c->told || c->left != 0;
}

static struct change *change_free(struct model *m)
{
	for (uint32_t i = 0; i < CHANGE_MAX; i++) {
		if (!m->changes[i].busy) {
			return &m->changes[i];
		}
	}
	return NULL;
}

static void begin_nested(struct model *m, struct change *c, uint32_t guest, uint32_t page, uint8_t value)
{
	c->page = page;
	c->value = value;
	change_begin(m, c, guest, true, (1u << VCPU_MAX) - 1);
}

/* The vCPU on @cpu, in the guest, maps a page elsewhere, drops its own translations and asks for the others'. */
static void begin_linear(struct model *m, struct change *c, struct mcpu *cpu, uint32_t page, uint8_t to)
{
	struct mguest *guest = &m->guests[cpu->vcpu->guest];
	uint32_t asked = 0;

	for (uint32_t i = 0; i < VCPU_MAX; i++) {
		if (&guest->vcpus[i] != cpu->vcpu && guest->vcpus[i].map == cpu->vcpu->map) {
			asked |= 1u << i;
		}
	}
	guest->linear[cpu->vcpu->map][page] = to;
	native_flush(m, cpu);
	change_begin(m, c, cpu->vcpu->guest, false, asked);
	change_step(m, c); /* the store has been just now */
}

/* ---------------------------------------------------------------- guests */

static void guest_create(struct model *m, uint32_t number, uint32_t root)
{
	struct mguest *guest = &m->guests[number];

	memset(guest, 0, sizeof(*guest));
	guest->root = root;
	if (m->broken != BROKEN_NO_SPACE_INIT) {
		tlb_space_init(&guest->space);
	}
	for (uint32_t page = 0; page < PAGE_COUNT; page++) {
		guest->nested[page] = random_value(m);
		guest->linear[0][page] = (uint8_t)model_random(m, PAGE_COUNT);
		guest->linear[1][page] = (uint8_t)model_random(m, PAGE_COUNT);
	}
	for (uint32_t i = 0; i < VCPU_MAX; i++) {
		guest->vcpus[i].guest = number;
	}
}

/* All its vCPUs leave their CPUs first, and what is under way ends. */
static void guest_destroy(struct model *m, uint32_t number)
{
	for (uint32_t i = 0; i < CHANGE_MAX; i++) {
		while (m->changes[i].busy && m->changes[i].guest == number) {
			change_step(m, &m->changes[i]);
		}
	}
	for (uint32_t i = 0; i < m->cpu_count; i++) {
		struct mcpu *cpu = &m->cpus[i];

		if (cpu->vcpu != NULL && cpu->vcpu->guest == number) {
			if (cpu->phase == PHASE_GUEST) {
				leave(m, cpu);
			}
			cpu_release(cpu);
		}
	}
}

/* INIT, SIPI: its registers, CR3 among them, are set from outside. */
static void vcpu_reset(struct model *m, struct mvcpu *vcpu, uint32_t map)
{
	vcpu->map = map;
	if (m->broken != BROKEN_NO_FORGET_AT_RESET) {
		tlb_forget(&vcpu->tlb);
	}
}

static void model_init(struct model *m, enum vendor vendor, enum broken broken, uint32_t cpu_count,
		       uint32_t asid_count, uint64_t seed)
{
	memset(m, 0, sizeof(*m));
	m->vendor = vendor;
	m->broken = broken;
	m->cpu_count = cpu_count;
	m->seed = 0x9e3779b97f4a7c15ull * (seed + 1);
	for (uint32_t i = 0; i < cpu_count; i++) {
		tlb_cpu_init(&m->cpus[i].tlb, asid_count);
	}
	m->spare_root = GUEST_MAX;
	m->active_guests = GUEST_MAX;
	m->active_vcpus = VCPU_MAX;
	for (uint32_t i = 0; i < GUEST_MAX; i++) {
		guest_create(m, i, i);
	}
}

#endif /* TESTS_UNIT_TLB_MODEL_H */

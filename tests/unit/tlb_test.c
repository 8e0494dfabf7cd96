/*
 * tlb_test.c - the bookkeeping of translations: each function, and a model of both vendors' CPUs (tlb_model.h) on which
 * the whole must never leave a stale translation in reach, and a broken variant of it must.
 */
#include "tests/unit/tlb_model.h"
#include "tests/unit/unit.h"

#include <pthread.h>

#define STEPS 20000u
#define STEPS_BROKEN 100000u
#define CONFIGS_LEAST 5u /* of twelve */
#define RACE_CHANGES 50000u

static const uint32_t asid_counts[] = {2, 3, 5};

/* ---------------------------------------------------------------- each function */

static struct tlb_choice enter_now(struct tlb_cpu *cpu, uint32_t index, struct tlb_vcpu *vcpu,
				   const struct tlb_space *space)
{
	struct tlb_choice choice = tlb_enter(cpu, index, vcpu, space);

	tlb_entered(cpu, &choice);
	return choice;
}

static void test_ids_go_round(void)
{
	struct tlb_cpu cpu;
	struct tlb_space space;
	struct tlb_vcpu vcpus[3] = {{0}};
	struct tlb_choice choice;

	tlb_cpu_init(&cpu, 3);
	tlb_space_init(&space);
	choice = enter_now(&cpu, 0, &vcpus[0], &space);
	CU_ASSERT_EQUAL(choice.asid, 1);
	CU_ASSERT_TRUE(choice.flush_all); /* whatever was there before us */
	choice = enter_now(&cpu, 0, &vcpus[1], &space);
	CU_ASSERT_EQUAL(choice.asid, 2);
	CU_ASSERT_FALSE(choice.flush_all);
	choice = enter_now(&cpu, 0, &vcpus[0], &space);
	CU_ASSERT_EQUAL(choice.asid, 1); /* its own, still */
	CU_ASSERT_FALSE(choice.flush_all);
	choice = enter_now(&cpu, 0, &vcpus[2], &space);
	CU_ASSERT_EQUAL(choice.asid, 1); /* a new generation */
	CU_ASSERT_TRUE(choice.flush_all);
	choice = enter_now(&cpu, 0, &vcpus[0], &space);
	CU_ASSERT_EQUAL(choice.asid, 2); /* not the one it had in the old */
	CU_ASSERT_FALSE(choice.flush_all);
	choice = enter_now(&cpu, 0, &vcpus[1], &space);
	CU_ASSERT_EQUAL(choice.asid, 1);
	CU_ASSERT_TRUE(choice.flush_all);
}

static void test_forget_gives_another_id(void)
{
	struct tlb_cpu cpu;
	struct tlb_space space;
	struct tlb_vcpu a = {0};
	struct tlb_choice choice;

	tlb_cpu_init(&cpu, 4);
	tlb_space_init(&space);
	(void)enter_now(&cpu, 0, &a, &space);
	tlb_forget(&a);
	choice = enter_now(&cpu, 0, &a, &space);
	CU_ASSERT_EQUAL(choice.asid, 2);
	CU_ASSERT_FALSE(choice.flush_all);
}

static void test_too_few_ids_are_one(void)
{
	struct tlb_space space;

	tlb_space_init(&space);
	for (uint32_t count = 0; count <= 2; count++) {
		struct tlb_cpu cpu;
		struct tlb_vcpu a = {0};
		struct tlb_vcpu b = {0};

		tlb_cpu_init(&cpu, count);
		for (int i = 0; i < 4; i++) {
			struct tlb_choice choice = enter_now(&cpu, 0, i % 2 == 0 ? &a : &b, &space);

			CU_ASSERT_EQUAL(choice.asid, 1);
			CU_ASSERT_TRUE(choice.flush_all);
		}
		CU_ASSERT_FALSE(enter_now(&cpu, 0, &b, &space).flush_all);
	}
}

static void test_the_last_id_of_32_bits(void)
{
	struct tlb_cpu cpu;
	struct tlb_space space;
	struct tlb_vcpu a = {0};

	tlb_cpu_init(&cpu, UINT32_MAX);
	tlb_space_init(&space);
	(void)enter_now(&cpu, 0, &a, &space);
	cpu.next = UINT32_MAX - 1;
	tlb_forget(&a);
	CU_ASSERT_EQUAL(enter_now(&cpu, 0, &a, &space).asid, UINT32_MAX - 1);
	tlb_forget(&a);
	CU_ASSERT_EQUAL(tlb_enter(&cpu, 0, &a, &space).asid, 1);
	CU_ASSERT_TRUE(cpu.flush_pending);
}

/* A -> B -> A: what it left on A is not its own any more, even in the same generation. */
static void test_a_move_and_back(void)
{
	struct tlb_cpu cpus[2];
	struct tlb_space space;
	struct tlb_vcpu a = {0};

	tlb_space_init(&space);
	for (uint32_t i = 0; i < 2; i++) {
		tlb_cpu_init(&cpus[i], 5);
	}
	CU_ASSERT_EQUAL(enter_now(&cpus[0], 0, &a, &space).asid, 1);
	CU_ASSERT_EQUAL(enter_now(&cpus[1], 1, &a, &space).asid, 1);
	CU_ASSERT_EQUAL(enter_now(&cpus[0], 0, &a, &space).asid, 2);
	CU_ASSERT_EQUAL(enter_now(&cpus[0], 0, &a, &space).asid, 2);
	CU_ASSERT_EQUAL(enter_now(&cpus[1], 1, &a, &space).asid, 2);
}

/* The generation has begun with @c's choice; its flush comes with whoever enters first. */
static void test_flush_is_not_lost_with_the_entry(void)
{
	struct tlb_cpu cpu;
	struct tlb_space space;
	struct tlb_vcpu a = {0};
	struct tlb_vcpu b = {0};
	struct tlb_vcpu c = {0};
	struct tlb_choice choice;

	tlb_cpu_init(&cpu, 3);
	tlb_space_init(&space);
	(void)enter_now(&cpu, 0, &a, &space);
	(void)enter_now(&cpu, 0, &b, &space);
	CU_ASSERT_TRUE(tlb_enter(&cpu, 0, &c, &space).flush_all);
	tlb_forget(&c);
	choice = tlb_enter(&cpu, 0, &a, &space);
	CU_ASSERT_EQUAL(choice.asid, 2); /* b's, and nothing has dropped b's translations */
	CU_ASSERT_TRUE(choice.flush_all);
	choice = tlb_enter(&cpu, 0, &c, &space); /* and once more, over a second generation */
	CU_ASSERT_TRUE(choice.flush_all);
	tlb_entered(&cpu, &choice);
	CU_ASSERT_FALSE(tlb_enter(&cpu, 0, &c, &space).flush_all);
	CU_ASSERT_EQUAL(enter_now(&cpu, 0, &b, &space).asid, 2);
}

static void test_an_older_choice_takes_nothing_away(void)
{
	struct tlb_cpu cpu;
	struct tlb_space space;
	struct tlb_vcpu a = {0};
	struct tlb_vcpu b = {0};
	struct tlb_choice old;

	tlb_cpu_init(&cpu, 2);
	tlb_space_init(&space);
	(void)enter_now(&cpu, 0, &a, &space);
	old = tlb_enter(&cpu, 0, &a, &space);
	tlb_space_changed(&space);
	(void)tlb_enter(&cpu, 0, &b, &space);
	tlb_entered(&cpu, &old);
	CU_ASSERT_TRUE(tlb_enter(&cpu, 0, &b, &space).flush_all);
	CU_ASSERT_TRUE(tlb_enter(&cpu, 0, &b, &space).flush_nested);
}

static void test_nested_flush_once_for_each_cpu(void)
{
	struct tlb_cpu cpus[2];
	struct tlb_space spaces[2];
	struct tlb_vcpu a = {0};
	struct tlb_vcpu b = {0};

	for (uint32_t i = 0; i < 2; i++) {
		tlb_cpu_init(&cpus[i], 8);
		tlb_space_init(&spaces[i]);
	}
	CU_ASSERT_TRUE(enter_now(&cpus[0], 0, &a, &spaces[0]).flush_nested);
	CU_ASSERT_FALSE(enter_now(&cpus[0], 0, &b, &spaces[1]).flush_nested); /* the same flush was for it too */
	tlb_space_changed(&spaces[0]);
	CU_ASSERT_FALSE(enter_now(&cpus[0], 0, &b, &spaces[1]).flush_nested); /* not its own change */
	CU_ASSERT_TRUE(enter_now(&cpus[0], 0, &a, &spaces[0]).flush_nested);
	CU_ASSERT_FALSE(enter_now(&cpus[0], 0, &a, &spaces[0]).flush_nested);
	CU_ASSERT_TRUE(enter_now(&cpus[1], 1, &a, &spaces[0]).flush_nested);
	CU_ASSERT_FALSE(enter_now(&cpus[1], 1, &a, &spaces[0]).flush_nested);
}

static void test_nested_flush_is_not_lost_with_the_entry(void)
{
	struct tlb_cpu cpu;
	struct tlb_space space;
	struct tlb_vcpu a = {0};
	struct tlb_choice choice;

	tlb_cpu_init(&cpu, 8);
	tlb_space_init(&space);
	CU_ASSERT_TRUE(tlb_enter(&cpu, 0, &a, &space).flush_nested);
	choice = tlb_enter(&cpu, 0, &a, &space);
	CU_ASSERT_TRUE(choice.flush_nested);
	tlb_space_changed(&space); /* perhaps after the flush: this one is not for it */
	tlb_entered(&cpu, &choice);
	CU_ASSERT_TRUE(enter_now(&cpu, 0, &a, &space).flush_nested);
	CU_ASSERT_FALSE(enter_now(&cpu, 0, &a, &space).flush_nested);
}

static void test_a_new_guest_is_a_change(void)
{
	struct tlb_cpu cpu;
	struct tlb_space space;
	struct tlb_vcpu a = {0};

	tlb_cpu_init(&cpu, 8);
	tlb_space_init(&space);
	(void)enter_now(&cpu, 0, &a, &space);
	space = (struct tlb_space){0};
	tlb_space_init(&space);
	CU_ASSERT_TRUE(enter_now(&cpu, 0, &a, &space).flush_nested);
}

/* A CPU has counted its change, and before it could write that down, another has counted and written a later one. */
static void test_a_later_change_stays(void)
{
	struct tlb_space space;
	uint64_t later;

	tlb_space_init(&space);
	later = space.changed + 100;
	space.changed = later;
	tlb_space_changed(&space);
	CU_ASSERT_EQUAL(space.changed, later);
}

static struct tlb_space raced;

/* Each change is in when its call returns, and no other CPU's older one takes it back. */
static void *race(void *arg)
{
	uint64_t *wrong = arg;
	uint64_t last = 0;

	for (uint32_t i = 0; i < RACE_CHANGES; i++) {
		struct tlb_space now;
		uint64_t seen;

		tlb_space_init(&now); /* the count, just before this change */
		tlb_space_changed(&raced);
		seen = __atomic_load_n(&raced.changed, __ATOMIC_SEQ_CST);
		*wrong += seen <= now.changed || seen < last ? 1 : 0;
		last = seen;
	}
	return NULL;
}

static void test_changes_of_two_cpus_at_once(void)
{
	pthread_t threads[2];
	uint64_t wrong[2] = {0};

	tlb_space_init(&raced);
	for (uint32_t i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, race, &wrong[i]), 0);
	}
	for (uint32_t i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(pthread_join(threads[i], NULL), 0);
	}
	CU_ASSERT_EQUAL(wrong[0] + wrong[1], 0);
}

/* ---------------------------------------------------------------- the model, at random */

static struct model model;

static struct mvcpu *random_vcpu(struct model *m)
{
	return &m->guests[model_random(m, m->active_guests)].vcpus[model_random(m, m->active_vcpus)];
}

static void random_nested(struct model *m, struct change *c)
{
	uint32_t guest = model_random(m, GUEST_MAX);
	uint32_t page = model_random(m, PAGE_COUNT);
	uint8_t value = random_value(m);

	switch (model_random(m, 4)) {
	case 0:
		value = 0; /* it goes */
		break;
	case 1:
		value = m->guests[guest].nested[page] & 0xfe; /* it loses the right to write */
		break;
	default:
		break;
	}
	begin_nested(m, c, guest, page, value);
}

static void random_in_guest(struct model *m, struct mcpu *cpu)
{
	struct change *c = change_free(m);

	switch (model_random(m, 10)) {
	case 0:
		cpu->vcpu->map = model_random(m, MAP_COUNT);
		native_flush(m, cpu);
		break;
	case 1:
		if (c != NULL) {
			begin_linear(m, c, cpu, model_random(m, PAGE_COUNT),
				     (uint8_t)model_random(m, PAGE_COUNT));
		}
		break;
	case 2:
	case 3:
		cpu_step(m, cpu);
		break;
	default:
		model_touch(m, cpu, model_random(m, PAGE_COUNT));
		break;
	}
}

static void random_between_stays(struct model *m, struct mcpu *cpu)
{
	switch (model_random(m, 12)) {
	case 0:
	case 1:
	case 2:
		cpu_release(cpu);
		break;
	case 3:
		vcpu_reset(m, cpu->vcpu, model_random(m, MAP_COUNT));
		break;
	default:
		cpu_step(m, cpu);
		break;
	}
}

static void random_on_cpu(struct model *m, struct mcpu *cpu)
{
	struct mvcpu *vcpu = random_vcpu(m);

	if (cpu->vcpu == NULL) {
		if (!vcpu->placed) {
			cpu_place(cpu, vcpu);
		}
	} else if (cpu->phase == PHASE_GUEST) {
		random_in_guest(m, cpu);
	} else if (cpu->phase == PHASE_NONE) {
		random_between_stays(m, cpu);
	} else if (cpu->phase == PHASE_MARKED && model_random(m, 32) == 0) {
		not_entered(m, cpu); /* the CPU refused its state */
	} else {
		cpu_step(m, cpu);
	}
}

/* A guest ends, a new one comes: as a rule, on the page that was the old one's root. */
static void random_replacement(struct model *m)
{
	uint32_t guest = model_random(m, GUEST_MAX);
	uint32_t root = m->guests[guest].root;

	guest_destroy(m, guest);
	if (model_random(m, 4) == 0) {
		uint32_t spare = m->spare_root;

		m->spare_root = root;
		root = spare;
	}
	guest_create(m, guest, root);
}

/* A step of a change that is under way; if there is none, and it is @rare enough, another begins. */
static void random_change(struct model *m, uint32_t rare)
{
	uint32_t first = model_random(m, CHANGE_MAX);

	for (uint32_t i = 0; i < CHANGE_MAX; i++) {
		struct change *c = &m->changes[(first + i) % CHANGE_MAX];

		if (c->busy) {
			change_step(m, c);
			return;
		}
	}
	if (model_random(m, rare) == 0) {
		random_nested(m, &m->changes[first]);
	}
}

/* Much or little of each at different times: on VMX, the flushes for one guest hide what was missed for another. */
static void random_step(struct model *m, uint32_t number)
{
	uint32_t rare_changes = 1u << number / 256 % 10;
	uint32_t rare_guests = 1u << number / 2560 % 3 * 3;
	uint32_t what = model_random(m, 64);

	m->active_vcpus = 1 + number / 1280 % VCPU_MAX;
	m->active_guests = 1 + number / 3840 % GUEST_MAX;
	if (what < 44) {
		random_on_cpu(m, &m->cpus[model_random(m, m->cpu_count)]);
	} else if (what < 60) {
		random_change(m, 4 * rare_changes);
	} else if (what < 63) {
		random_vcpu(m)->other_requested = true;
	} else if (model_random(m, 2 * rare_guests) == 0) {
		random_replacement(m);
	}
}

/* The step at which a stale translation was in reach first; 0: never. */
static uint32_t run(enum vendor vendor, enum broken broken, uint32_t cpu_count, uint32_t asid_count,
		    uint32_t steps)
{
	model_init(&model, vendor, broken, cpu_count, asid_count, cpu_count * 16 + asid_count);
	for (uint32_t i = 1; i <= steps; i++) {
		random_step(&model, i);
		if (model.stale != 0) {
			return i;
		}
	}
	return 0;
}

static void test_nothing_stale_is_in_reach(void)
{
	for (enum vendor vendor = 0; vendor < VENDOR_COUNT; vendor++) {
		for (uint32_t i = 0; i < 3 * CPU_MAX; i++) {
			CU_ASSERT_EQUAL(run(vendor, BROKEN_NOTHING, i / 3 + 1, asid_counts[i % 3], STEPS), 0);
			/* And all that can happen did. */
			CU_ASSERT_TRUE(model.touches > STEPS / 20);
			CU_ASSERT_TRUE(model.entries > STEPS / 50);
			CU_ASSERT_TRUE(model.missed > STEPS / 500);
			CU_ASSERT_TRUE(model.flushes > STEPS / 500);
			CU_ASSERT_TRUE(model.nested_flushes > STEPS / 500);
			CU_ASSERT_TRUE(model.nested_flushes < model.entries);
		}
	}
}

/* Whether a variant leaves a stale translation in reach: in some configurations then, or in none at all. */
static void expect(enum broken broken, bool harms_svm, bool harms_vmx)
{
	const bool harms[VENDOR_COUNT] = {harms_svm, harms_vmx};

	for (enum vendor vendor = 0; vendor < VENDOR_COUNT; vendor++) {
		uint32_t steps = harms[vendor] ? STEPS_BROKEN : STEPS;
		uint32_t found = 0;

		for (uint32_t i = 0; i < 3 * CPU_MAX; i++) {
			found += run(vendor, broken, i / 3 + 1, asid_counts[i % 3], steps) != 0 ? 1 : 0;
		}
		CU_ASSERT_TRUE(harms[vendor] ? found >= CONFIGS_LEAST : found == 0);
	}
}

static void test_entry_ignores_flush_all(void)
{
	expect(BROKEN_NO_FLUSH_ALL, true, true);
}

static void test_entry_ignores_flush_nested(void)
{
	expect(BROKEN_NO_FLUSH_NESTED, false, true);
}

static void test_request_without_forget(void)
{
	expect(BROKEN_NO_FORGET, true, true);
}

static void test_reset_without_forget(void)
{
	expect(BROKEN_NO_FORGET_AT_RESET, true, true);
}

static void test_change_is_not_told(void)
{
	expect(BROKEN_NO_CHANGED, false, true);
}

static void test_change_is_told_before_the_store(void)
{
	expect(BROKEN_CHANGED_EARLY, false, true);
}

static void test_change_is_told_after_the_requests(void)
{
	expect(BROKEN_CHANGED_LATE, false, true);
}

static void test_root_is_used_again_unnoticed(void)
{
	expect(BROKEN_NO_SPACE_INIT, false, true);
}

static void test_flush_counts_without_the_entry(void)
{
	expect(BROKEN_ENTERED_ANYWAY, true, true);
}

static void test_count_is_read_after_the_stay(void)
{
	expect(BROKEN_NOTED_LATE, false, true);
}

static void test_entry_without_a_look(void)
{
	expect(BROKEN_NO_LOOK, true, true);
}

static void test_entry_marks_after_the_look(void)
{
	expect(BROKEN_MARKED_LATE, true, true);
}

static void test_request_after_the_look(void)
{
	expect(BROKEN_ASKED_LATE, true, true);
}

static void test_id_moves_with_the_vcpu(void)
{
	expect(BROKEN_IGNORES_CPU, true, true);
}

static void test_id_outlives_its_generation(void)
{
	expect(BROKEN_IGNORES_GENERATION, true, true);
}

/* ---------------------------------------------------------------- the model, every order of a change and two stays */

#define CPU_STEPS 13u
#define CHANGE_STEPS 4u

/* Another vCPU's exit, on another CPU, changes the nested entry of a page that this one uses. */
static void interleave(enum vendor vendor, enum broken broken, uint32_t order)
{
	struct model *m = &model;
	struct mcpu *cpu = &m->cpus[0];
	struct change *c = &m->changes[0];
	uint32_t at;

	model_init(m, vendor, broken, 1, 5, 1);
	at = m->guests[0].linear[0][0];
	cpu_place(cpu, &m->guests[0].vcpus[0]);
	begin_nested(m, c, 0, at, (uint8_t)(m->guests[0].nested[at] ^ 4));
	c->left = 1; /* the one vCPU that there is */
	for (uint32_t i = 0; i < CPU_STEPS + CHANGE_STEPS; i++) {
		if ((order >> i & 1) == 0) {
			if (cpu->phase == PHASE_GUEST) {
				model_touch(m, cpu, 0);
			}
			cpu_step(m, cpu);
		} else if (c->busy) {
			change_step(m, c);
		}
	}
	while (c->busy) {
		change_step(m, c);
	}
	for (uint32_t stays = 0; stays < 2; cpu_step(m, cpu)) {
		if (cpu->phase == PHASE_GUEST) {
			model_touch(m, cpu, 0);
			stays++;
		}
	}
}

/* In how many orders a stale translation is in reach. */
static uint32_t interleave_all(enum vendor vendor, enum broken broken)
{
	uint32_t found = 0;

	for (uint32_t order = 0; order < 1u << (CPU_STEPS + CHANGE_STEPS); order++) {
		if (__builtin_popcount(order) == CHANGE_STEPS) {
			interleave(vendor, broken, order);
			found += model.stale != 0 ? 1 : 0;
		}
	}
	return found;
}

static void test_every_order_of_a_change_and_an_entry(void)
{
	CU_ASSERT_EQUAL(interleave_all(VENDOR_SVM, BROKEN_NOTHING), 0);
	CU_ASSERT_EQUAL(interleave_all(VENDOR_VMX, BROKEN_NOTHING), 0);
}

static void test_some_order_shows_a_wrong_one(void)
{
	static const enum broken both[] = {BROKEN_NO_LOOK, BROKEN_MARKED_LATE, BROKEN_ASKED_LATE};
	static const enum broken vmx[] = {BROKEN_NO_FLUSH_NESTED, BROKEN_NO_CHANGED, BROKEN_CHANGED_EARLY,
					  BROKEN_CHANGED_LATE, BROKEN_NOTED_LATE, BROKEN_ENTERED_ANYWAY};

	for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++) {
		CU_ASSERT_NOT_EQUAL(interleave_all(VENDOR_SVM, both[i]), 0);
		CU_ASSERT_NOT_EQUAL(interleave_all(VENDOR_VMX, both[i]), 0);
	}
	for (size_t i = 0; i < sizeof(vmx) / sizeof(vmx[0]); i++) {
		CU_ASSERT_EQUAL(interleave_all(VENDOR_SVM, vmx[i]), 0);
		CU_ASSERT_NOT_EQUAL(interleave_all(VENDOR_VMX, vmx[i]), 0);
	}
	/* For a nested change, each vendor has its own means; what one drops by id, the other drops by root. */
	CU_ASSERT_NOT_EQUAL(interleave_all(VENDOR_SVM, BROKEN_NO_FORGET), 0);
	CU_ASSERT_EQUAL(interleave_all(VENDOR_VMX, BROKEN_NO_FORGET), 0);
}

/* One of those orders, told step by step: the whole change falls between tlb_enter() and the entry. */
static void test_a_change_between_choice_and_entry(void)
{
	struct model *m = &model;
	struct mcpu *cpu = &m->cpus[0];
	struct mvcpu *vcpu = &m->guests[0].vcpus[0];
	struct change *c = &m->changes[0];

	model_init(m, VENDOR_VMX, BROKEN_NOTHING, 1, 5, 1);
	cpu_place(cpu, vcpu);
	while (cpu->phase != PHASE_GUEST) {
		cpu_step(m, cpu);
	}
	model_touch(m, cpu, 0);
	cpu_step(m, cpu); /* the exit */
	cpu_step(m, cpu);
	cpu_step(m, cpu);
	CU_ASSERT_EQUAL(cpu->phase, PHASE_CHOSEN);
	CU_ASSERT_FALSE(cpu->choice.flush_nested);
	begin_nested(m, c, 0, m->guests[0].linear[0][0], 0);
	while (c->busy) {
		change_step(m, c);
	}
	CU_ASSERT_FALSE(vcpu->kicked); /* it was not in the guest: nobody waits for it */
	cpu_step(m, cpu);
	cpu_step(m, cpu);
	CU_ASSERT_EQUAL(cpu->phase, PHASE_NONE); /* it has seen the request */
	cpu_step(m, cpu);
	cpu_step(m, cpu);
	CU_ASSERT_EQUAL(cpu->choice.asid, 2);
	CU_ASSERT_TRUE(cpu->choice.flush_nested);
	CU_ASSERT_FALSE(cpu->choice.flush_all);
	cpu_step(m, cpu);
	cpu_step(m, cpu);
	CU_ASSERT_EQUAL(cpu->phase, PHASE_GUEST);
	CU_ASSERT_EQUAL(*nested_at(cpu, m, m->guests[0].linear[0][0]), 0);
	model_touch(m, cpu, 0);
	CU_ASSERT_EQUAL(m->stale, 0);
}

UNIT_MAIN("tlb", UNIT_TEST(test_ids_go_round), UNIT_TEST(test_forget_gives_another_id),
	  UNIT_TEST(test_too_few_ids_are_one), UNIT_TEST(test_the_last_id_of_32_bits),
	  UNIT_TEST(test_a_move_and_back), UNIT_TEST(test_flush_is_not_lost_with_the_entry),
	  UNIT_TEST(test_an_older_choice_takes_nothing_away),
	  UNIT_TEST(test_nested_flush_once_for_each_cpu), UNIT_TEST(test_nested_flush_is_not_lost_with_the_entry),
	  UNIT_TEST(test_a_new_guest_is_a_change), UNIT_TEST(test_a_later_change_stays),
	  UNIT_TEST(test_changes_of_two_cpus_at_once),
	  UNIT_TEST(test_nothing_stale_is_in_reach), UNIT_TEST(test_entry_ignores_flush_all),
	  UNIT_TEST(test_entry_ignores_flush_nested), UNIT_TEST(test_request_without_forget),
	  UNIT_TEST(test_reset_without_forget), UNIT_TEST(test_change_is_not_told),
	  UNIT_TEST(test_change_is_told_before_the_store), UNIT_TEST(test_change_is_told_after_the_requests),
	  UNIT_TEST(test_root_is_used_again_unnoticed), UNIT_TEST(test_flush_counts_without_the_entry),
	  UNIT_TEST(test_count_is_read_after_the_stay), UNIT_TEST(test_entry_without_a_look),
	  UNIT_TEST(test_entry_marks_after_the_look), UNIT_TEST(test_request_after_the_look),
	  UNIT_TEST(test_id_moves_with_the_vcpu), UNIT_TEST(test_id_outlives_its_generation),
	  UNIT_TEST(test_every_order_of_a_change_and_an_entry), UNIT_TEST(test_some_order_shows_a_wrong_one),
	  UNIT_TEST(test_a_change_between_choice_and_entry))

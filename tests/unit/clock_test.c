/*
 * clock_test.c - clock.c against the guests' own formulas in wide arithmetic, over many
 * frequencies.
 */
#include <stdlib.h>

#include "backend/clock.h"
#include "tests/host/host.h"
#include "tests/unit/unit.h"

__extension__ typedef unsigned __int128 wide;

static const uint64_t frequencies[] = {
	1000000,     1999999,     10000000,    10000001,    14318180,     100000000,   500000000,
	999999999,   1000000000,  1000000001,  1999999999,  2000000000,   2000000001,  2100000000,
	2394454000,  2893202000,  3000000000,  3600000001,  4000000000,   4000000001,  5700000000,
	12345678901, 64000000000, 99999999999, 100000000000,
};
#define FREQUENCY_COUNT (sizeof(frequencies) / sizeof(frequencies[0]))
#define TEN_YEARS_S (3653ull * 86400)

static uint64_t random64(void)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* A TSC value within ten years. */
static uint64_t random_tsc(uint64_t hz)
{
	uint64_t value = random64() >> random64() % 50;

	return (uint64_t)(value % ((wide)hz * TEN_YEARS_S));
}

/* As Linux' and Xen's guests do: 64-bit shift, 64 x 32 bits, middle 64 of the product. */
static uint64_t guest_ns(const struct clock *clock, uint64_t tsc)
{
	uint64_t delta = clock->shift < 0 ? tsc >> -clock->shift : tsc << clock->shift;

	return (uint64_t)(((wide)delta * (uint32_t)clock->mult) >> 32);
}

static void test_form(void)
{
	for (size_t i = 0; i < FREQUENCY_COUNT; i++) {
		struct clock clock;

		clock_init(&clock, frequencies[i], true, 77);
		CU_ASSERT_EQUAL(clock.mult >> 31, 1); /* 32 bits, the highest set */
		CU_ASSERT_EQUAL(clock.tsc_hz, frequencies[i]);
		CU_ASSERT_EQUAL(clock.wall_ns, 77);
		CU_ASSERT_TRUE(clock.stable);
	}
}

static void test_as_the_guest_computes(void)
{
	for (size_t i = 0; i < FREQUENCY_COUNT; i++) {
		struct clock clock;

		clock_init(&clock, frequencies[i], true, 0);
		for (int round = 0; round < 20000; round++) {
			uint64_t tsc = random_tsc(frequencies[i]);

			CU_ASSERT_EQUAL_FATAL(clock_tsc_to_ns(&clock, tsc), guest_ns(&clock, tsc));
		}
	}
}

/* The scale's rounding is under 2^-31: two seconds in a hundred years. */
static void test_true_to_frequency(void)
{
	for (size_t i = 0; i < FREQUENCY_COUNT; i++) {
		struct clock clock;
		uint64_t hour_ns = 3600000000000ull, ns;

		clock_init(&clock, frequencies[i], true, 0);
		ns = clock_tsc_to_ns(&clock, frequencies[i] * 3600);
		CU_ASSERT_TRUE(ns <= hour_ns);
		CU_ASSERT_TRUE(hour_ns - ns <= hour_ns / 0x80000000u + 2);
	}
}

static void test_back_to_tsc(void)
{
	for (size_t i = 0; i < FREQUENCY_COUNT; i++) {
		struct clock clock;

		clock_init(&clock, frequencies[i], true, 0);
		CU_ASSERT_EQUAL(clock_ns_to_tsc(&clock, 0), 0);
		CU_ASSERT_EQUAL(clock_ns_to_tsc(&clock, UINT64_MAX), UINT64_MAX);
		for (int round = 0; round < 20000; round++) {
			uint64_t ns = (random64() >> random64() % 60) % (TEN_YEARS_S * 1000000000);
			uint64_t tsc = clock_ns_to_tsc(&clock, ns);

			if (tsc == UINT64_MAX) { /* 100 GHz: 64 bits last under six years */
				CU_ASSERT_TRUE_FATAL(clock_tsc_to_ns(&clock, tsc) <= ns);
				continue;
			}
			CU_ASSERT_TRUE_FATAL(clock_tsc_to_ns(&clock, tsc) >= ns);
			CU_ASSERT_TRUE_FATAL(tsc == 0 || clock_tsc_to_ns(&clock, tsc - 1) < ns);
		}
	}
}

static void test_reference_agrees(void)
{
	for (size_t i = 0; i < FREQUENCY_COUNT; i++) {
		struct clock clock;
		uint64_t scale;

		clock_init(&clock, frequencies[i], true, 0);
		scale = clock_reference_scale(&clock);
		CU_ASSERT_EQUAL(scale == 0, frequencies[i] <= 10000000);
		for (int round = 0; round < 20000; round++) {
			uint64_t tsc = random_tsc(frequencies[i]);
			uint64_t ns = clock_tsc_to_ns(&clock, tsc) / 100;
			uint64_t reference = clock_tsc_to_reference(&clock, tsc);
			uint64_t apart = ns > reference ? ns - reference : reference - ns;

			if (scale != 0) {
				CU_ASSERT_EQUAL_FATAL(reference,
						      (uint64_t)((wide)tsc * scale >> 64));
			}
			CU_ASSERT_TRUE_FATAL(apart <= 1);
		}
	}
}

static void test_never_back(void)
{
	for (size_t i = 0; i < FREQUENCY_COUNT; i++) {
		struct clock clock;
		uint64_t tsc = frequencies[i] * 1000, ns = 0, reference = 0;

		clock_init(&clock, frequencies[i], true, 0);
		for (int round = 0; round < 5000; round++, tsc += random64() % 3) {
			CU_ASSERT_TRUE_FATAL(clock_tsc_to_ns(&clock, tsc) >= ns);
			CU_ASSERT_TRUE_FATAL(clock_tsc_to_reference(&clock, tsc) >= reference);
			ns = clock_tsc_to_ns(&clock, tsc);
			reference = clock_tsc_to_reference(&clock, tsc);
		}
	}
}

/* The hosted guest's TSC is that of its clock. */
static void test_host_tsc(void)
{
	for (size_t i = 0; i < FREQUENCY_COUNT; i++) {
		struct clock clock;
		struct host_vm_config config = {.vm = {.clock = &clock}};
		struct vm *vm;

		clock_init(&clock, frequencies[i], true, 0);
		vm = host_vm_new(&config);
		host_time_set(vm, 123456789012345);
		CU_ASSERT_EQUAL(host_tsc(vm), clock_ns_to_tsc(&clock, 123456789012345));
		host_vm_free(vm);
	}
}

static void init_slow(void *context)
{
	clock_init(context, 999999, true, 0);
}

static void init_fast(void *context)
{
	clock_init(context, 100000000001, true, 0);
}

static void test_limits(void)
{
	struct clock clock;

	CU_ASSERT_TRUE(host_panics(init_slow, &clock));
	CU_ASSERT_TRUE(host_panics(init_fast, &clock));
}

UNIT_MAIN("clock", UNIT_TEST(test_form), UNIT_TEST(test_as_the_guest_computes),
	  UNIT_TEST(test_true_to_frequency), UNIT_TEST(test_back_to_tsc),
	  UNIT_TEST(test_reference_agrees), UNIT_TEST(test_never_back), UNIT_TEST(test_host_tsc),
	  UNIT_TEST(test_limits))

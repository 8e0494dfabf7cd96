/*
 * watch_test.c - when a CPU counts as stuck: ten looks without a pass, and nothing less.
 */
#include "hypervisor/core/watch.h"
#include "tests/unit/unit.h"

#define SECOND 1000u

static void test_one_look_a_second(void)
{
	struct watch watch = {0};

	CU_ASSERT_FALSE(watch_is_due(&watch, SECOND - 1, SECOND));
	CU_ASSERT_TRUE(watch_is_due(&watch, SECOND, SECOND));
	CU_ASSERT_EQUAL(watch_judge(&watch, 1, SECOND), WATCH_FINE);
	CU_ASSERT_FALSE(watch_is_due(&watch, 2 * SECOND - 1, SECOND));
	CU_ASSERT_TRUE(watch_is_due(&watch, 2 * SECOND, SECOND));
}

static void test_one_that_goes_on(void)
{
	struct watch watch = {0};

	for (uint64_t i = 1; i < 100; i++) {
		CU_ASSERT_EQUAL(watch_judge(&watch, i, i * SECOND), WATCH_FINE);
	}
}

/* What it passed at last does not matter, only that it stays: a kick half-way, the end at the tenth look. */
static void test_one_that_stands(void)
{
	struct watch watch = {0};

	CU_ASSERT_EQUAL(watch_judge(&watch, 7, SECOND), WATCH_FINE);
	for (uint64_t look = 1; look < WATCH_LOOKS; look++) {
		CU_ASSERT_EQUAL(watch_judge(&watch, 7, (look + 1) * SECOND),
				look == WATCH_LOOKS_KICK ? WATCH_KICK : WATCH_FINE);
	}
	CU_ASSERT_EQUAL(watch_judge(&watch, 7, 100 * SECOND), WATCH_STUCK);
	CU_ASSERT_EQUAL(watch_judge(&watch, 7, 101 * SECOND), WATCH_STUCK);
}

static void test_a_kick_that_helps(void)
{
	struct watch watch = {0};

	CU_ASSERT_EQUAL(watch_judge(&watch, 7, 0), WATCH_FINE);
	for (uint64_t look = 1; look < WATCH_LOOKS; look++) {
		CU_ASSERT_NOT_EQUAL(watch_judge(&watch, 7, look), WATCH_STUCK);
	}
	CU_ASSERT_EQUAL(watch_judge(&watch, 8, 20), WATCH_FINE);
	for (uint64_t look = 1; look < WATCH_LOOKS; look++) {
		CU_ASSERT_NOT_EQUAL(watch_judge(&watch, 8, 20 + look), WATCH_STUCK);
	}
	CU_ASSERT_EQUAL(watch_judge(&watch, 8, 40), WATCH_STUCK);
}

/* An emulator that was stopped for an hour: the clock went on, but nobody has looked. */
static void test_time_that_nobody_saw(void)
{
	struct watch watch = {0};

	CU_ASSERT_EQUAL(watch_judge(&watch, 7, SECOND), WATCH_FINE);
	CU_ASSERT_TRUE(watch_is_due(&watch, 3600 * SECOND, SECOND));
	CU_ASSERT_EQUAL(watch_judge(&watch, 7, 3600 * SECOND), WATCH_FINE);
	CU_ASSERT_FALSE(watch_is_due(&watch, 3600 * SECOND + 1, SECOND));
	CU_ASSERT_EQUAL(watch.still_count, 1);
}

/* While the boot CPU looks for disks, and on a machine of one CPU, nothing is watched. */
static void test_one_that_has_not_begun(void)
{
	struct watch watch = {0};

	for (uint64_t look = 0; look < 3 * WATCH_LOOKS; look++) {
		CU_ASSERT_EQUAL(watch_judge(&watch, 0, look * SECOND), WATCH_FINE);
	}
}

UNIT_MAIN("watch", UNIT_TEST(test_one_look_a_second), UNIT_TEST(test_one_that_goes_on), UNIT_TEST(test_one_that_stands),
	  UNIT_TEST(test_a_kick_that_helps), UNIT_TEST(test_time_that_nobody_saw), UNIT_TEST(test_one_that_has_not_begun))

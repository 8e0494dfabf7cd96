/*
 * unit.h - the frame of a CUnit program: one suite a file, one exit status.
 *
 *	static void test_something(void) { CU_ASSERT_EQUAL(1 + 1, 2); }
 *	UNIT_MAIN("ring", UNIT_TEST(test_something), UNIT_TEST(...))
 */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <stdio.h>

struct unit_test {
	const char *name;
	void (*run)(void);
};

#define UNIT_TEST(fn) { #fn, fn }

/* Runs each test of @tests in one suite. Returns the program's exit status: 0 only if all asserts held. */
static inline int unit_run(const char *suite, const struct unit_test *tests, size_t count)
{
	CU_pSuite s;
	unsigned int failures;

	if (CU_initialize_registry() != CUE_SUCCESS) {
		return 2;
	}
	s = CU_add_suite(suite, NULL, NULL);
	for (size_t i = 0; s != NULL && i < count; i++) {
		if (CU_add_test(s, tests[i].name, tests[i].run) == NULL) {
			return 2;
		}
	}
	CU_basic_set_mode(CU_BRM_NORMAL);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	return s == NULL || failures != 0 ? 1 : 0;
}

#define UNIT_MAIN(suite, ...)                                                      \
	int main(void)                                                             \
	{                                                                          \
		static const struct unit_test tests[] = {__VA_ARGS__};             \
		return unit_run(suite, tests, sizeof(tests) / sizeof(tests[0]));   \
	}

#endif /* TESTS_UNIT_UNIT_H */

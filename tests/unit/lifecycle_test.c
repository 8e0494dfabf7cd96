/*
 * lifecycle_test.c - lifecycle.c: who is asked, in which order, and detaching while it is asked.
 */
#include <pthread.h>
#include <stdlib.h>

#include "backend/lifecycle.h"
#include "tests/unit/unit.h"

struct face {
	bool takes;
	bool gone; /* atomic */
	uint32_t asked;
	enum lifecycle_request request;
};

static bool face_ask(void *context, enum lifecycle_request request)
{
	struct face *face = context;

	if (__atomic_load_n(&face->gone, __ATOMIC_SEQ_CST)) {
		abort();
	}
	CU_ASSERT_EQUAL(*lock_held_ranks(), 0);
	face->asked++;
	face->request = request;
	return face->takes;
}

static const struct lifecycle_face_ops ops = {face_ask};

static void test_nobody(void)
{
	struct lifecycle lifecycle;

	lifecycle_init(&lifecycle);
	CU_ASSERT_FALSE(lifecycle_ask(&lifecycle, LIFECYCLE_POWEROFF));
	CU_ASSERT_EQUAL(lifecycle.ask_count, 0);
}

static void test_first_that_can(void)
{
	struct lifecycle lifecycle;
	struct face a = {0}, b = {.takes = true}, c = {0};

	lifecycle_init(&lifecycle);
	CU_ASSERT_TRUE(lifecycle_attach(&lifecycle, &ops, &a));
	CU_ASSERT_TRUE(lifecycle_attach(&lifecycle, &ops, &b));
	CU_ASSERT_FALSE(lifecycle_attach(&lifecycle, &ops, &c)); /* no place */
	CU_ASSERT_TRUE(lifecycle_attach(&lifecycle, &ops, &a)); /* has one */
	CU_ASSERT_TRUE(lifecycle_ask(&lifecycle, LIFECYCLE_REBOOT));
	CU_ASSERT_EQUAL(a.asked, 1);
	CU_ASSERT_EQUAL(b.asked, 1);
	CU_ASSERT_EQUAL(b.request, LIFECYCLE_REBOOT);
	a.takes = true;
	CU_ASSERT_TRUE(lifecycle_ask(&lifecycle, LIFECYCLE_POWEROFF));
	CU_ASSERT_EQUAL(a.request, LIFECYCLE_POWEROFF);
	CU_ASSERT_EQUAL(b.asked, 1);
	lifecycle_detach(&lifecycle, &a);
	lifecycle_detach(&lifecycle, &c); /* was not there */
	CU_ASSERT_TRUE(lifecycle_attach(&lifecycle, &ops, &c));
	lifecycle_detach(&lifecycle, &b);
	CU_ASSERT_FALSE(lifecycle_ask(&lifecycle, LIFECYCLE_POWEROFF));
	CU_ASSERT_EQUAL(a.asked, 2);
	CU_ASSERT_EQUAL(b.asked, 1);
	CU_ASSERT_EQUAL(c.asked, 1);
	CU_ASSERT_EQUAL(lifecycle.ask_count, 2);
}

static void test_records(void)
{
	struct lifecycle lifecycle;

	lifecycle_init(&lifecycle);
	lifecycle_heartbeat(&lifecycle, 10);
	lifecycle_heartbeat(&lifecycle, 30);
	lifecycle_answered(&lifecycle);
	CU_ASSERT_EQUAL(lifecycle.heartbeat_count, 2);
	CU_ASSERT_EQUAL(lifecycle.heartbeat_ns, 30);
	CU_ASSERT_EQUAL(lifecycle.answer_count, 1);
}

static void *asker(void *context)
{
	for (int i = 0; i < 5000; i++) {
		(void)lifecycle_ask(context, LIFECYCLE_POWEROFF);
	}
	return NULL;
}

static void test_detach_waits(void)
{
	struct lifecycle lifecycle;
	pthread_t thread;

	lifecycle_init(&lifecycle);
	pthread_create(&thread, NULL, asker, &lifecycle);
	for (int i = 0; i < 500; i++) {
		struct face *face = calloc(1, sizeof(*face));

		while (!lifecycle_attach(&lifecycle, &ops, face)) {
			lock_relax(); /* both places are just being asked */
		}
		lifecycle_detach(&lifecycle, face);
		__atomic_store_n(&face->gone, true, __ATOMIC_SEQ_CST);
		free(face);
	}
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(lifecycle.faces[0].asking, 0);
}

UNIT_MAIN("lifecycle", UNIT_TEST(test_nobody), UNIT_TEST(test_first_that_can),
	  UNIT_TEST(test_records), UNIT_TEST(test_detach_waits))

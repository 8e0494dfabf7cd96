/*
 * console_test.c - console.c: lines, harmless bytes, input, and detaching while another thread
 * types.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backend/console.h"
#include "tests/unit/unit.h"

static char all[65536];
static size_t all_len;
static uint32_t whole_count, part_count;

/* Collects "text\n", or "text\\" for a line that has not ended. */
static void sink_line(void *context, const char *guest, const char *text, size_t len, bool whole)
{
	CU_ASSERT_STRING_EQUAL(guest, "web");
	CU_ASSERT_PTR_EQUAL(context, all);
	CU_ASSERT_TRUE(len <= CONSOLE_LINE_BYTES);
	if (all_len + len + 2 > sizeof(all)) {
		all_len = 0;
	}
	memcpy(all + all_len, text, len);
	all_len += len;
	all[all_len++] = whole ? '\n' : '\\';
	all[all_len] = 0;
	whole_count += whole;
	part_count += !whole;
}

static const struct console_sink sink = {sink_line, all};

static void start(struct console *console)
{
	console_init(console, "web", &sink);
	all_len = 0;
	all[0] = 0;
	whole_count = 0;
	part_count = 0;
}

static const char *shown(const char *text)
{
	struct console console;

	start(&console);
	console_write(&console, text, strlen(text));
	console_flush(&console);
	CU_ASSERT_EQUAL(console.out_bytes, strlen(text));
	return all;
}

static void test_lines(void)
{
	struct console console;

	start(&console);
	console_write(&console, "one\ntwo", 7);
	CU_ASSERT_STRING_EQUAL(all, "one\n");
	console_write(&console, " three\n\n", 8);
	CU_ASSERT_STRING_EQUAL(all, "one\ntwo three\n\n");
	console_flush(&console);
	CU_ASSERT_EQUAL(part_count, 0);
	console_write(&console, "login: ", 7);
	console_flush(&console);
	CU_ASSERT_STRING_EQUAL(all, "one\ntwo three\n\nlogin: \\");
}

static void test_long_line(void)
{
	struct console console;

	start(&console);
	for (int i = 0; i < 600; i++) {
		console_write(&console, "x", 1);
	}
	CU_ASSERT_EQUAL(part_count, 2);
	console_write(&console, "\n", 1);
	CU_ASSERT_EQUAL(whole_count, 1);
	CU_ASSERT_EQUAL(all_len, 603);
}

static void test_harmless(void)
{
	CU_ASSERT_STRING_EQUAL(shown("a\tb\r\n"), "a\tb\n");
	CU_ASSERT_STRING_EQUAL(shown("\x1b[2Jx\x07\x7f\n"), "?[2Jx??\n");
	CU_ASSERT_STRING_EQUAL(shown("\x9b" "2J\n"), "?2J\n");
	CU_ASSERT_STRING_EQUAL(shown("\xC2\x9b" "2J\n"), "?2J\n");         /* C1 as UTF-8 */
	CU_ASSERT_STRING_EQUAL(shown("\xE0\x82\x9b" "2J\n"), "??2J\n"); /* and drawn out */
	CU_ASSERT_STRING_EQUAL(shown("\xC2\xA0\n"), "\xC2\xA0\n");
	CU_ASSERT_STRING_EQUAL(shown("\xE2\x80\xA6\n"), "\xE2\x80\xA6\n");
	CU_ASSERT_STRING_EQUAL(shown("\xF0\x9F\x98\x80\n"), "\xF0\x9F\x98\x80\n");
	CU_ASSERT_STRING_EQUAL(shown("a\xE2\x80z\n"), "a?z\n"); /* does not end */
	CU_ASSERT_STRING_EQUAL(shown("a\xE2\n"), "a?\n");
	CU_ASSERT_STRING_EQUAL(shown("a\xE2\x1b"), "a??\\");
	CU_ASSERT_STRING_EQUAL(shown("\xE2\x80"), "?\\");
	CU_ASSERT_STRING_EQUAL(shown("\xC0\xFF\xF5\x80"), "????\\");
	CU_ASSERT_STRING_EQUAL(shown("\xE2\xC3\xA9\n"), "?\xC3\xA9\n"); /* another begins */
}

/* Whatever is written, at whatever cut: no control byte comes out, and UTF-8 only whole. */
static void test_random_bytes(void)
{
	struct console console;

	srand(2);
	start(&console);
	for (int i = 0; i < 20000; i++) {
		char bytes[16];

		for (size_t n = 0; n < sizeof(bytes); n++) {
			bytes[n] =
				(char)(rand() % 4 == 0 ? "\xC2\xE0\xE2\xF0"[rand() % 4] : rand());
		}
		console_write(&console, bytes, sizeof(bytes));
	}
	console_flush(&console);
	for (size_t i = 0; i < all_len; i++) {
		uint8_t byte = (uint8_t)all[i];

		CU_ASSERT_TRUE_FATAL(byte == '\t' || byte == '\n' ||
				     (byte >= 0x20 && byte != 0x7F));
		CU_ASSERT_TRUE_FATAL(byte != 0xC2 || (uint8_t)all[i + 1] >= 0xA0);
		CU_ASSERT_TRUE_FATAL(byte < 0xC2 || ((uint8_t)all[i + 1] & 0xC0) == 0x80);
	}
}

/* ------------------------------------------------------------------ input */

struct device {
	struct console *console;
	uint32_t told; /* atomic */
	bool gone;     /* atomic */
};

static void device_told(void *context)
{
	struct device *device = context;

	if (__atomic_load_n(&device->gone, __ATOMIC_SEQ_CST)) {
		abort();
	}
	__atomic_fetch_add(&device->told, 1, __ATOMIC_SEQ_CST);
	CU_ASSERT_EQUAL(*lock_held_ranks(), 0);
}

static void test_input(void)
{
	struct console console;
	struct device a = {0}, b = {0};
	char bytes[300], got[300];

	start(&console);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (char)i;
	}
	CU_ASSERT_EQUAL(console_input(&console, bytes, 5), 5); /* kept, though no device is there */
	console_attach(&console, device_told, &a);
	CU_ASSERT_EQUAL(console_input(&console, bytes + 5, 295), 251);
	CU_ASSERT_EQUAL(a.told, 1);
	CU_ASSERT_EQUAL(console.dropped_bytes, 44);
	CU_ASSERT_EQUAL(console_read(&console, got, 100), 100);
	CU_ASSERT_EQUAL(console_read(&console, got + 100, 200), 156);
	CU_ASSERT_EQUAL(memcmp(got, bytes, 256), 0);
	CU_ASSERT_EQUAL(console_read(&console, got, 1), 0);
	console_attach(&console, device_told, &b); /* in its place */
	console_attach(&console, NULL, &a);        /* no longer its own */
	CU_ASSERT_EQUAL(console_input(&console, "x", 1), 1);
	CU_ASSERT_EQUAL(a.told, 1);
	CU_ASSERT_EQUAL(b.told, 1);
	console_attach(&console, NULL, &b);
	CU_ASSERT_EQUAL(console_input(&console, "x", 1), 1);
	CU_ASSERT_EQUAL(b.told, 1);
	console_attach(&console, device_told, &b);
	console_attach(&console, NULL, NULL); /* whichever */
	CU_ASSERT_EQUAL(console_input(&console, "x", 1), 1);
	CU_ASSERT_EQUAL(b.told, 1);
}

static void *typist(void *context)
{
	struct console *console = context;

	for (int i = 0; i < 3000; i++) {
		console_input(console, "ab", 2);
		console_write(console, "out\n", 4);
	}
	return NULL;
}

static void test_detach_waits(void)
{
	struct console console;
	pthread_t thread;
	char got[8];

	start(&console);
	pthread_create(&thread, NULL, typist, &console);
	for (int i = 0; i < 300; i++) {
		struct device *device = calloc(1, sizeof(*device));

		console_attach(&console, device_told, device);
		(void)console_read(&console, got, sizeof(got));
		console_attach(&console, NULL, device);
		__atomic_store_n(&device->gone, true, __ATOMIC_SEQ_CST);
		free(device); /* the sanitizers watch for a late call */
	}
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(whole_count, 3000);
}

UNIT_MAIN("console", UNIT_TEST(test_lines), UNIT_TEST(test_long_line), UNIT_TEST(test_harmless),
	  UNIT_TEST(test_random_bytes), UNIT_TEST(test_input), UNIT_TEST(test_detach_waits))

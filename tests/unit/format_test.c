/*
 * format_test.c - base/format.h against what C17 7.21.6.12 says, and against libc's own vsnprintf
 * for everything that both know.
 */
#include "base/format.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

/* Same text, same length, and the same when there is too little room. */
#define SAME_AS_LIBC(...)                                                          \
	do {                                                                       \
		char ours[256];                                                    \
		char libcs[256];                                                   \
		size_t len = format_print(ours, sizeof(ours), __VA_ARGS__);        \
		int libc_len = snprintf(libcs, sizeof(libcs), __VA_ARGS__);        \
		CU_ASSERT_EQUAL(len, (size_t)libc_len);                            \
		CU_ASSERT_STRING_EQUAL(ours, libcs);                               \
		for (size_t room = 1; room <= len + 1; room++) {                   \
			memset(ours, '#', sizeof(ours));                           \
			CU_ASSERT_EQUAL(format_print(ours, room, __VA_ARGS__), len); \
			CU_ASSERT_EQUAL(strlen(ours), room - 1);                   \
			CU_ASSERT_EQUAL(strncmp(ours, libcs, room - 1), 0);        \
			CU_ASSERT_EQUAL(ours[room], '#');                          \
		}                                                                  \
	} while (0)

static void test_plain_text(void)
{
	SAME_AS_LIBC("%s", "");
	SAME_AS_LIBC("only text\n");
	SAME_AS_LIBC("100%%");
	SAME_AS_LIBC("%%%d%%", 5);
}

static void test_strings(void)
{
	static const char unterminated[3] = {'a', 'b', 'c'};

	SAME_AS_LIBC("<%s>", "text");
	SAME_AS_LIBC("<%10s>", "text");
	SAME_AS_LIBC("<%-10s>", "text");
	SAME_AS_LIBC("<%2s>", "text");
	SAME_AS_LIBC("<%.2s>", "text");
	SAME_AS_LIBC("<%.s>", "text");
	SAME_AS_LIBC("<%.9s>", "text");
	SAME_AS_LIBC("<%6.2s>", "text");
	SAME_AS_LIBC("<%-6.2s>", "text");
	SAME_AS_LIBC("<%.*s>", 3, unterminated);
	SAME_AS_LIBC("<%.*s>", 0, unterminated);
	SAME_AS_LIBC("<%.*s>", -1, "whole");
	SAME_AS_LIBC("<%*s>", 7, "wide");
	SAME_AS_LIBC("<%*s>", -7, "wide");
}

static void test_null_string(void)
{
	char text[32];
	const char *volatile none = NULL;

	CU_ASSERT_EQUAL(format_print(text, sizeof(text), "<%s>", none), 8);
	CU_ASSERT_STRING_EQUAL(text, "<(null)>");
}

static void test_chars(void)
{
	SAME_AS_LIBC("<%c>", 'x');
	SAME_AS_LIBC("<%4c>", 'x');
	SAME_AS_LIBC("<%-4c>", 'x');
}

static void test_signed(void)
{
	static const int values[] = {0, 1, -1, 9, 10, -10, INT_MAX, INT_MIN};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		SAME_AS_LIBC("%d", values[i]);
		SAME_AS_LIBC("%i", values[i]);
		SAME_AS_LIBC("<%14d>", values[i]);
		SAME_AS_LIBC("<%-14d>", values[i]);
		SAME_AS_LIBC("<%014d>", values[i]);
		SAME_AS_LIBC("<%2d>", values[i]);
		SAME_AS_LIBC("<%02d>", values[i]);
		SAME_AS_LIBC("<%14.5d>", values[i]);
		SAME_AS_LIBC("<%-14.5d>", values[i]);
		SAME_AS_LIBC("<%.0d>", values[i]);
		SAME_AS_LIBC("<%*d>", -8, values[i]);
		SAME_AS_LIBC("%ld", (long)values[i] * 3);
	}
	SAME_AS_LIBC("%ld %ld", LONG_MIN, LONG_MAX);
	SAME_AS_LIBC("%lld %lld", LLONG_MIN, LLONG_MAX);
}

static void test_unsigned(void)
{
	static const uint64_t values[] = {0, 1, 7, 10, 0xff, 0x1234, UINT32_MAX, UINT64_MAX};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		unsigned long v = values[i];

		SAME_AS_LIBC("%u %x %X", (unsigned int)v, (unsigned int)v, (unsigned int)v);
		SAME_AS_LIBC("%lu %lx %lX", v, v, v);
		SAME_AS_LIBC("%llu %llx", (unsigned long long)v, (unsigned long long)v);
		SAME_AS_LIBC("%zu %zx %ju %tu", (size_t)v, (size_t)v, (uintmax_t)v, v);
		SAME_AS_LIBC("<%02x> <%08x>", (unsigned int)v, (unsigned int)v);
		SAME_AS_LIBC("<%016lx> <%20lu> <%-20lu>", v, v, v);
		SAME_AS_LIBC("<%.12lx> <%20.12lx> <%.0lx>", v, v, v);
	}
}

static void test_short_lengths(void)
{
	SAME_AS_LIBC("%hhu %hhx %hhd", (unsigned char)0xfe, (unsigned char)0xfe, (signed char)-2);
	SAME_AS_LIBC("%hu %hx %hd", (unsigned short)0xfffe, (unsigned short)0xfffe, (short)-2);
}

static void test_pointer(void)
{
	char text[32];

	CU_ASSERT_EQUAL(format_print(text, sizeof(text), "%p", (void *)(uintptr_t)0xabc), 18);
	CU_ASSERT_STRING_EQUAL(text, "0x0000000000000abc");
}

/* A width or precision beyond the cap is cut to it: a wrong format must not print for ever. */
static void test_huge_width(void)
{
	static char text[8192];
	volatile int most = INT_MAX;	/* volatile, so that the compiler does not know better */
	volatile int least = INT_MIN;

	CU_ASSERT_EQUAL(format_print(text, sizeof(text), "%2147483646d", 5), 4096);
	CU_ASSERT_EQUAL(format_print(text, sizeof(text), "%*d", most, 5), 4096);
	CU_ASSERT_EQUAL(format_print(text, sizeof(text), "%*d", least, 5), 4096);
	CU_ASSERT_EQUAL(format_print(text, sizeof(text), "%.*d", most, 5), 4096);
	CU_ASSERT_EQUAL(strlen(text), 4096);
}

static size_t format_unchecked(char *to, size_t room, const char *format, ...)
{
	va_list args;
	size_t len;

	va_start(args, format);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	len = format_text(to, room, format, args);
#pragma GCC diagnostic pop
	va_end(args);
	return len;
}

static void test_unknown_conversion(void)
{
	char text[32];

	CU_ASSERT_EQUAL(format_unchecked(text, sizeof(text), "<%q>"), 4);
	CU_ASSERT_STRING_EQUAL(text, "<%q>");
	(void)format_unchecked(text, sizeof(text), "<%08lq> %d", 3);
	CU_ASSERT_STRING_EQUAL(text, "<%08lq> 3");
	(void)format_unchecked(text, sizeof(text), "end %");
	CU_ASSERT_STRING_EQUAL(text, "end %");
	(void)format_unchecked(text, sizeof(text), "end %-08l");
	CU_ASSERT_STRING_EQUAL(text, "end %-08l");
}

static void test_no_room(void)
{
	char text[4] = "###";

	CU_ASSERT_EQUAL(format_print(text, 0, "%d", 12345), 5);
	CU_ASSERT_STRING_EQUAL(text, "###");
	CU_ASSERT_EQUAL(format_print(NULL, 0, "%s", "abc"), 3);
}

UNIT_MAIN("format", UNIT_TEST(test_plain_text), UNIT_TEST(test_strings),
	  UNIT_TEST(test_null_string), UNIT_TEST(test_chars), UNIT_TEST(test_signed),
	  UNIT_TEST(test_unsigned),
	  UNIT_TEST(test_short_lengths), UNIT_TEST(test_pointer), UNIT_TEST(test_huge_width),
	  UNIT_TEST(test_unknown_conversion), UNIT_TEST(test_no_room))

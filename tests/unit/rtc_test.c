/*
 * rtc_test.c - the CMOS clock against the C library's calendar, in all its formats, and its memory.
 */
#include <time.h>

#include "hypervisor/platform/rtc.h"
#include "tests/unit/platform_fake.h"

#define S 1000000000ull
/* 2026-11-22 16:45:07 UTC, a Sunday. */
#define NOW_S 1795365907ull

static struct fake fake;
static struct rtc rtc;

static void setup(void)
{
	struct board_env env = fake_env(&fake);

	fake.wall_ns = NOW_S * S + 500000000;
	rtc_init(&rtc, env);
}

static uint8_t rd(uint8_t index)
{
	rtc_write(&rtc, 0, index);
	return rtc_read(&rtc, 1);
}

static void wr(uint8_t index, uint8_t value)
{
	rtc_write(&rtc, 0, index);
	rtc_write(&rtc, 1, value);
}

static void test_calendar(void)
{
	/* Odd steps from 1970 into the fifth digit of nothing: 9998. */
	for (uint64_t s = 0; s < 253300000000ull; s += 7654321987ull / 10) {
		time_t at = (time_t)s;
		struct rtc_time t;
		struct tm tm;
		uint64_t back = 0;

		tm = *gmtime(&at);
		rtc_from_seconds(s, &t);
		CU_ASSERT_EQUAL(t.year, (uint32_t)tm.tm_year + 1900);
		CU_ASSERT_EQUAL(t.month, tm.tm_mon + 1);
		CU_ASSERT_EQUAL(t.day, tm.tm_mday);
		CU_ASSERT_EQUAL(t.weekday, tm.tm_wday + 1);
		CU_ASSERT_EQUAL(t.hour, tm.tm_hour);
		CU_ASSERT_EQUAL(t.minute, tm.tm_min);
		CU_ASSERT_EQUAL(t.second, tm.tm_sec);
		CU_ASSERT_TRUE(rtc_to_seconds(&t, &back));
		CU_ASSERT_EQUAL(back, s);
	}
}

/* Each day from 1970 to 2105. */
static void test_calendar_days(void)
{
	for (uint64_t day = 0; day < 49500; day++) {
		time_t at = (time_t)(day * 86400);
		struct rtc_time t;
		struct tm tm;

		tm = *gmtime(&at);
		rtc_from_seconds(day * 86400, &t);
		CU_ASSERT_TRUE(t.year == (uint32_t)tm.tm_year + 1900 && t.month == tm.tm_mon + 1 &&
			       t.day == tm.tm_mday);
	}
}

static void test_impossible_times(void)
{
	static const struct rtc_time bad[] = {
		{.year = 1969, .month = 12, .day = 31},
		{.year = 2023, .month = 2, .day = 29},
		{.year = 2100, .month = 2, .day = 29},
		{.year = 2024, .month = 13, .day = 1},
		{.year = 2024, .month = 0, .day = 1},
		{.year = 2024, .month = 4, .day = 31},
		{.year = 2024, .month = 4, .day = 0},
		{.year = 2024, .month = 4, .day = 1, .hour = 24},
		{.year = 2024, .month = 4, .day = 1, .minute = 60},
		{.year = 2024, .month = 4, .day = 1, .second = 60},
	};
	struct rtc_time leap = {.year = 2000, .month = 2, .day = 29};
	uint64_t seconds;

	for (unsigned int i = 0; i < ARRAY_COUNT(bad); i++) {
		CU_ASSERT_FALSE(rtc_to_seconds(&bad[i], &seconds));
	}
	CU_ASSERT_TRUE(rtc_to_seconds(&leap, &seconds));
	CU_ASSERT_EQUAL(seconds, 951782400);
}

static void test_bcd_24h(void)
{
	setup();
	CU_ASSERT_EQUAL(rd(0x0B), 0x02);
	CU_ASSERT_EQUAL(rd(0x00), 0x07);
	CU_ASSERT_EQUAL(rd(0x02), 0x45);
	CU_ASSERT_EQUAL(rd(0x04), 0x16);
	CU_ASSERT_EQUAL(rd(0x06), 0x01);
	CU_ASSERT_EQUAL(rd(0x07), 0x22);
	CU_ASSERT_EQUAL(rd(0x08), 0x11);
	CU_ASSERT_EQUAL(rd(0x09), 0x26);
	CU_ASSERT_EQUAL(rd(0x32), 0x20);
}

static void test_formats(void)
{
	setup();
	wr(0x0B, 0x06);
	CU_ASSERT_EQUAL(rd(0x02), 45);
	CU_ASSERT_EQUAL(rd(0x04), 16);
	CU_ASSERT_EQUAL(rd(0x32), 0x20);
	wr(0x0B, 0x04);
	CU_ASSERT_EQUAL(rd(0x04), 0x84);
	wr(0x0B, 0x00);
	CU_ASSERT_EQUAL(rd(0x04), 0x84);
	fake.wall_ns -= 4 * 3600 * S;
	CU_ASSERT_EQUAL(rd(0x04), 0x92);
	fake.wall_ns -= 12 * 3600 * S;
	CU_ASSERT_EQUAL(rd(0x04), 0x12);
	/* Written in the 12-hour form: half past midnight, then noon. */
	wr(0x04, 0x92);
	wr(0x0B, 0x02);
	CU_ASSERT_EQUAL(rd(0x04), 0x12);
	wr(0x0B, 0x00);
	wr(0x04, 0x12);
	wr(0x0B, 0x02);
	CU_ASSERT_EQUAL(rd(0x04), 0x00);
}

static void test_set_clock(void)
{
	setup();
	wr(0x0B, 0x82);
	wr(0x00, 0x30);
	wr(0x02, 0x59);
	wr(0x04, 0x23);
	wr(0x07, 0x29);
	wr(0x08, 0x02);
	wr(0x09, 0x28);
	/* Held while SET is on. */
	fake.wall_ns += 100 * S;
	CU_ASSERT_EQUAL(rd(0x00), 0x30);
	CU_ASSERT_EQUAL(rd(0x0A) & 0x80, 0);
	wr(0x0B, 0x02);
	CU_ASSERT_EQUAL(rd(0x00), 0x30);
	fake.wall_ns += 40 * S;
	CU_ASSERT_EQUAL(rd(0x00), 0x10);
	CU_ASSERT_EQUAL(rd(0x04), 0x00);
	CU_ASSERT_EQUAL(rd(0x07), 0x01);
	CU_ASSERT_EQUAL(rd(0x08), 0x03);
	CU_ASSERT_EQUAL(rd(0x06), 0x04);
	/* A time that does not exist leaves the clock as it was. */
	wr(0x0B, 0x82);
	wr(0x08, 0x13);
	wr(0x0B, 0x02);
	CU_ASSERT_EQUAL(rd(0x08), 0x03);
	/* Without SET, one register at once. */
	wr(0x02, 0x17);
	CU_ASSERT_EQUAL(rd(0x02), 0x17);
	wr(0x02, 0x99);
	CU_ASSERT_EQUAL(rd(0x02), 0x17);
	/* A reset leaves the clock alone. */
	rtc_reset(&rtc);
	CU_ASSERT_EQUAL(rd(0x09), 0x28);
}

/* The host's clock is stepped back, or the guest lives in its own far future: a time all the same.
 */
static void test_clock_limits(void)
{
	setup();
	wr(0x0B, 0x82);
	wr(0x09, 0x70);
	wr(0x32, 0x19);
	wr(0x08, 0x01);
	wr(0x07, 0x01);
	wr(0x0B, 0x02);
	CU_ASSERT_EQUAL(rd(0x09), 0x70);
	fake.wall_ns -= 10 * 86400 * S;
	CU_ASSERT_EQUAL(rd(0x09), 0x70);
	CU_ASSERT_EQUAL(rd(0x04), 0x00);
	wr(0x0B, 0x82);
	wr(0x09, 0x99);
	wr(0x32, 0x99);
	wr(0x0B, 0x02);
	fake.wall_ns += 1000 * 86400 * S;
	CU_ASSERT_EQUAL(rd(0x32), 0x99);
	CU_ASSERT_EQUAL(rd(0x08), 0x12);
	CU_ASSERT_EQUAL(rd(0x07), 0x31);
}

static void test_update_in_progress(void)
{
	setup();
	CU_ASSERT_EQUAL(rd(0x0A), 0x26);
	fake.wall_ns = NOW_S * S + 999900000;
	CU_ASSERT_EQUAL(rd(0x0A), 0xA6);
	fake.wall_ns = (NOW_S + 1) * S;
	CU_ASSERT_EQUAL(rd(0x0A), 0x26);
	wr(0x0A, 0xA0);
	CU_ASSERT_EQUAL(rd(0x0A), 0x20);
}

static void test_status(void)
{
	setup();
	wr(0x0B, 0x72);
	CU_ASSERT_EQUAL(rd(0x0B), 0x72);
	wr(0x0C, 0xFF);
	CU_ASSERT_EQUAL(rd(0x0C), 0);
	wr(0x0D, 0);
	CU_ASSERT_EQUAL(rd(0x0D), 0x80);
	CU_ASSERT_EQUAL(rtc_read(&rtc, 0), 0xFF);
}

static void test_memory(void)
{
	setup();
	wr(0x0F, 0x0A);
	wr(0x7F, 0x77);
	wr(0x01, 0xC0);
	CU_ASSERT_EQUAL(rd(0x0F), 0x0A);
	CU_ASSERT_EQUAL(rd(0xFF), 0x77);
	CU_ASSERT_EQUAL(rd(0x01), 0xC0);
	rtc_reset(&rtc);
	CU_ASSERT_EQUAL(rd(0x8F), 0x0A);
}

UNIT_MAIN("rtc", UNIT_TEST(test_calendar), UNIT_TEST(test_calendar_days),
	  UNIT_TEST(test_impossible_times), UNIT_TEST(test_bcd_24h), UNIT_TEST(test_formats),
	  UNIT_TEST(test_set_clock), UNIT_TEST(test_clock_limits),
	  UNIT_TEST(test_update_in_progress), UNIT_TEST(test_status), UNIT_TEST(test_memory))

/*
 * host_rtc.c - the wall clock: the MC146818 in CMOS, taken as UTC, read once at boot.
 */
#include "base/mem.h"
#include "hypervisor/arch/x86/host_internal.h"

#define PORT_INDEX 0x70u
#define PORT_DATA 0x71u

#define RTC_SECONDS 0x00u
#define RTC_MINUTES 0x02u
#define RTC_HOURS 0x04u
#define RTC_DAY 0x07u
#define RTC_MONTH 0x08u
#define RTC_YEAR 0x09u
#define RTC_A 0x0au
#define RTC_B 0x0bu
#define RTC_A_UPDATING 0x80u
#define RTC_B_BINARY 0x04u
#define RTC_B_24H 0x02u
#define RTC_HOURS_PM 0x80u
#define CENTURY_DEFAULT 20u

struct rtc_time {
	uint8_t seconds;
	uint8_t minutes;
	uint8_t hours;
	uint8_t day;
	uint8_t month;
	uint8_t year;
	uint8_t century;
};

static uint8_t cmos_read(uint8_t index)
{
	port_write8(PORT_INDEX, index);
	return port_read8(PORT_DATA);
}

static void rtc_read_once(struct rtc_time *t, uint8_t century_register)
{
	/* An update takes 2 ms at most; a read is about 1 us. */
	for (unsigned int i = 0; i < 10000 && (cmos_read(RTC_A) & RTC_A_UPDATING) != 0; i++) {
		cpu_pause();
	}
	t->seconds = cmos_read(RTC_SECONDS);
	t->minutes = cmos_read(RTC_MINUTES);
	t->hours = cmos_read(RTC_HOURS);
	t->day = cmos_read(RTC_DAY);
	t->month = cmos_read(RTC_MONTH);
	t->year = cmos_read(RTC_YEAR);
	t->century = century_register != 0 ? cmos_read(century_register) : 0;
}

static uint8_t from_bcd(uint8_t value)
{
	return (uint8_t)((value >> 4) * 10 + (value & 0xf));
}

static void rtc_decode(struct rtc_time *t)
{
	uint8_t b = cmos_read(RTC_B);
	bool is_pm = (b & RTC_B_24H) == 0 && (t->hours & RTC_HOURS_PM) != 0;

	if ((b & RTC_B_24H) == 0) {
		t->hours &= (uint8_t)~RTC_HOURS_PM;
	}
	if ((b & RTC_B_BINARY) == 0) {
		t->seconds = from_bcd(t->seconds);
		t->minutes = from_bcd(t->minutes);
		t->hours = from_bcd(t->hours);
		t->day = from_bcd(t->day);
		t->month = from_bcd(t->month);
		t->year = from_bcd(t->year);
		t->century = from_bcd(t->century);
	}
	if ((b & RTC_B_24H) == 0) {
		t->hours = (uint8_t)(t->hours % 12 + (is_pm ? 12 : 0));
	}
	if (t->century < 19 || t->century > 29) {
		t->century = CENTURY_DEFAULT;
	}
}

static bool is_date(const struct rtc_time *t)
{
	return t->seconds < 60 && t->minutes < 60 && t->hours < 24 && t->day >= 1 && t->day <= 31 &&
	       t->month >= 1 && t->month <= 12 && t->year < 100;
}

/*
 * Days since 1970-01-01 of the Gregorian calendar: years counted from March, so that leap days
 * end them.
 */
static uint64_t days_since_1970(uint32_t year, uint32_t month, uint32_t day)
{
	uint32_t y = month <= 2 ? year - 1 : year;
	uint32_t months = month <= 2 ? month + 9 : month - 3;
	uint64_t days = (uint64_t)y * 365 + y / 4 - y / 100 + y / 400;

	return days + (months * 153 + 2) / 5 + (day - 1) - 719468;
}

uint64_t rtc_read_seconds(void)
{
	uint8_t century_register = acpi_century_register();
	struct rtc_time t;
	struct rtc_time again;

	rtc_read_once(&t, century_register);
	for (unsigned int i = 0; i < 8; i++) {
		rtc_read_once(&again, century_register);
		if (memcmp(&t, &again, sizeof(t)) == 0) {
			break;
		}
		t = again;
	}
	rtc_decode(&t);
	if (!is_date(&t)) {
		return 0;
	}
	return days_since_1970(t.century * 100u + t.year, t.month, t.day) * 86400 + t.hours * 3600u +
	       t.minutes * 60u + t.seconds;
}

/*
 * rtc.c - MC146818A clock and CMOS memory (Motorola datasheet; century byte as the FADT tells).
 */
#include "base/mem.h"
#include "hypervisor/platform/rtc.h"

#define SECOND 0x00u
#define MINUTE 0x02u
#define HOUR 0x04u
#define WEEKDAY 0x06u
#define DAY 0x07u
#define MONTH 0x08u
#define YEAR 0x09u
#define REG_A 0x0Au
#define REG_B 0x0Bu
#define REG_C 0x0Cu
#define REG_D 0x0Du

#define A_UIP 0x80u
#define A_RESET 0x26u
#define B_SET 0x80u
#define B_BINARY 0x04u
#define B_24H 0x02u
#define D_VALID 0x80u
#define HOUR_PM 0x80u

#define NS_PER_S 1000000000ull
#define S_PER_DAY 86400u
/* Update in progress is shown for this long before each new second. */
#define UIP_NS 244000u

/* ---- calendar ---- */

static bool is_leap(uint32_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static uint8_t month_days(uint32_t year, unsigned int month)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return (uint8_t)(days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0));
}

/* Days from year 1 to the first of January of @year. */
static uint64_t days_before_year(uint32_t year)
{
	uint64_t y = year - 1;

	return y * 365 + y / 4 - y / 100 + y / 400;
}

void rtc_from_seconds(uint64_t seconds, struct rtc_time *t)
{
	uint64_t days = seconds / S_PER_DAY + days_before_year(1970);
	uint32_t rest = (uint32_t)(seconds % S_PER_DAY);
	/* An estimate that is exact or one too small: 146097 days are 400 years. */
	uint32_t year = (uint32_t)(days * 400 / 146097);

	year = year == 0 ? 1 : year;
	while (days >= days_before_year(year + 1)) {
		year++;
	}
	t->weekday = (uint8_t)((days + 1) % 7 + 1);
	days -= days_before_year(year);
	t->year = year;
	t->month = 1;
	while (days >= month_days(year, t->month)) {
		days -= month_days(year, t->month);
		t->month++;
	}
	t->day = (uint8_t)(days + 1);
	t->hour = (uint8_t)(rest / 3600);
	t->minute = (uint8_t)(rest / 60 % 60);
	t->second = (uint8_t)(rest % 60);
}

bool rtc_to_seconds(const struct rtc_time *t, uint64_t *seconds)
{
	uint64_t days;

	if (t->year < 1970 || t->year > 9999 || t->month < 1 || t->month > 12 || t->day < 1 ||
	    t->day > month_days(t->year, t->month) || t->hour > 23 || t->minute > 59 || t->second > 59) {
		return false;
	}
	days = days_before_year(t->year) - days_before_year(1970);
	for (unsigned int month = 1; month < t->month; month++) {
		days += month_days(t->year, month);
	}
	days += t->day - 1u;
	*seconds = days * S_PER_DAY + t->hour * UINT64_C(3600) + t->minute * UINT64_C(60) + t->second;
	return true;
}

/* ---- the clock's bytes ---- */

static uint8_t encode(const struct rtc *r, unsigned int value)
{
	if ((r->cmos[REG_B] & B_BINARY) != 0) {
		return (uint8_t)value;
	}
	return (uint8_t)((value / 10) << 4 | value % 10);
}

static uint8_t decode(const struct rtc *r, uint8_t raw_byte)
{
	if ((r->cmos[REG_B] & B_BINARY) != 0) {
		return raw_byte;
	}
	return (uint8_t)((raw_byte >> 4) * 10 + (raw_byte & 0xF));
}

static uint8_t encode_hour(const struct rtc *r, unsigned int hour)
{
	uint8_t pm = hour >= 12 ? HOUR_PM : 0;

	if ((r->cmos[REG_B] & B_24H) != 0) {
		return encode(r, hour);
	}
	return encode(r, hour % 12 == 0 ? 12 : hour % 12) | pm;
}

static uint8_t decode_hour(const struct rtc *r, uint8_t raw_byte)
{
	uint8_t hour;

	if ((r->cmos[REG_B] & B_24H) != 0) {
		return decode(r, raw_byte);
	}
	hour = decode(r, raw_byte & (uint8_t)~HOUR_PM);
	return (uint8_t)(hour % 12 + ((raw_byte & HOUR_PM) != 0 ? 12 : 0));
}

static uint64_t wall_seconds(const struct rtc *r)
{
	return r->env.ops->wall_ns(r->env.ctx) / NS_PER_S;
}

/* The guest's time. The wall clock may be stepped back under a guest that chose 1970: no further.
 */
static uint64_t guest_seconds(const struct rtc *r)
{
	int64_t seconds = (int64_t)wall_seconds(r) + r->offset_s;

	if (seconds < 0) {
		return 0;
	}
	return seconds > (int64_t)RTC_SECONDS_MAX ? RTC_SECONDS_MAX : (uint64_t)seconds;
}

/* Writes the present time into the clock's bytes. */
static void latch_time(struct rtc *r)
{
	struct rtc_time t;

	rtc_from_seconds(guest_seconds(r), &t);
	r->cmos[SECOND] = encode(r, t.second);
	r->cmos[MINUTE] = encode(r, t.minute);
	r->cmos[HOUR] = encode_hour(r, t.hour);
	r->cmos[WEEKDAY] = encode(r, t.weekday);
	r->cmos[DAY] = encode(r, t.day);
	r->cmos[MONTH] = encode(r, t.month);
	r->cmos[YEAR] = encode(r, t.year % 100);
	/* The century is plain memory to the chip, and always BCD. */
	r->cmos[RTC_CENTURY] = (uint8_t)((t.year / 1000) << 4 | t.year / 100 % 10);
}

/* Sets the clock from its bytes; a time that does not exist changes nothing. */
static void apply_time(struct rtc *r)
{
	uint8_t century = r->cmos[RTC_CENTURY];
	struct rtc_time t = {
	        .second = decode(r, r->cmos[SECOND]),
	        .minute = decode(r, r->cmos[MINUTE]),
	        .hour = decode_hour(r, r->cmos[HOUR]),
	        .day = decode(r, r->cmos[DAY]),
	        .month = decode(r, r->cmos[MONTH]),
	};
	uint64_t seconds;

	t.year = ((century >> 4) * 10u + (century & 0xFu)) * 100u + decode(r, r->cmos[YEAR]);
	if (rtc_to_seconds(&t, &seconds)) {
		r->offset_s = (int64_t)(seconds - wall_seconds(r));
	}
}

static bool is_clock_byte(uint8_t index)
{
	return index == SECOND || index == MINUTE || index == HOUR || (index >= WEEKDAY && index <= YEAR) ||
	       index == RTC_CENTURY;
}

/* ---- ports ---- */

void rtc_reset(struct rtc *r)
{
	spin_lock(&r->lock);
	r->index = 0;
	r->cmos[REG_A] = A_RESET;
	r->cmos[REG_B] = B_24H;
	spin_unlock(&r->lock);
}

void rtc_init(struct rtc *r, struct board_env env)
{
	memset(r, 0, sizeof(*r));
	spin_init(&r->lock, RANK_PLATFORM);
	r->env = env;
	rtc_reset(r);
}

static uint8_t read_a(const struct rtc *r)
{
	uint64_t into_second_ns = r->env.ops->wall_ns(r->env.ctx) % NS_PER_S;
	bool updating = (r->cmos[REG_B] & B_SET) == 0 && into_second_ns >= NS_PER_S - UIP_NS;

	return r->cmos[REG_A] | (updating ? A_UIP : 0);
}

static uint8_t read_data(struct rtc *r)
{
	switch (r->index) {
	case REG_A:
		return read_a(r);
	case REG_C:
		return 0;
	case REG_D:
		return D_VALID;
	default:
		break;
	}
	if (is_clock_byte(r->index) && (r->cmos[REG_B] & B_SET) == 0) {
		latch_time(r);
	}
	return r->cmos[r->index];
}

/*
 * SET holds the clock's bytes still for the guest to change; clearing it starts the clock from
 * them.
 */
static void write_b(struct rtc *r, uint8_t value)
{
	uint8_t old = r->cmos[REG_B];

	if ((old & B_SET) == 0 && (value & B_SET) != 0) {
		latch_time(r);
	}
	r->cmos[REG_B] = value;
	if ((old & B_SET) != 0 && (value & B_SET) == 0) {
		apply_time(r);
	}
}

static void write_data(struct rtc *r, uint8_t value)
{
	bool held = (r->cmos[REG_B] & B_SET) != 0;

	switch (r->index) {
	case REG_A:
		r->cmos[REG_A] = value & (uint8_t)~A_UIP;
		return;
	case REG_B:
		write_b(r, value);
		return;
	case REG_C:
	case REG_D:
		return;
	default:
		break;
	}
	if (is_clock_byte(r->index) && !held) {
		latch_time(r);
		r->cmos[r->index] = value;
		apply_time(r);
		return;
	}
	r->cmos[r->index] = value;
}

uint8_t rtc_read(struct rtc *r, unsigned int offset)
{
	uint8_t value;

	/* The index port of a PC cannot be read. */
	if (offset == 0) {
		return 0xFF;
	}
	spin_lock(&r->lock);
	value = read_data(r);
	spin_unlock(&r->lock);
	return value;
}

/* Bit 7 of the index masks NMI on a PC; it is not wired here. */
void rtc_write(struct rtc *r, unsigned int offset, uint8_t raw_value)
{
	spin_lock(&r->lock);
	if (offset == 0) {
		r->index = raw_value & (RTC_CMOS_BYTES - 1);
	} else {
		write_data(r, raw_value);
	}
	spin_unlock(&r->lock);
}

/*
 * rtc.h - clock and CMOS memory at ports 0x70 and 0x71 (Motorola MC146818A, century in byte 0x32).
 *
 * Time is the host's wall clock plus what the guest changed by setting it. No interrupt is wired:
 * the enable bits of register B are kept, register C reads 0, and ACPI names no IRQ for it. Guarded
 * by its own lock; any CPU.
 */
#ifndef PLATFORM_RTC_H
#define PLATFORM_RTC_H

#include "base/compiler.h"
#include "base/lock.h"
#include "hypervisor/platform/env.h"

#define RTC_PORT 0x70u
#define RTC_CMOS_BYTES 128u
#define RTC_CENTURY 0x32u
/* The end of the year 9999. */
#define RTC_SECONDS_MAX 253402300799ull

struct rtc_time {
	uint32_t year; /* 1970 to 9999 */
	uint8_t month; /* 1 to 12 */
	uint8_t day; /* 1 to 31 */
	uint8_t weekday; /* 1 is Sunday */
	uint8_t hour;
	uint8_t minute;
	uint8_t second;
};

struct rtc {
	struct spinlock lock;
	struct board_env env;
	int64_t offset_s; /* guest's clock minus wall clock */
	uint8_t index;
	uint8_t cmos[RTC_CMOS_BYTES]; /* the clock's bytes are stale unless SET is on */
};

void rtc_init(struct rtc *r, struct board_env env);

/* Index and registers A and B as after power-on; the clock, the alarm and the memory stay. */
void rtc_reset(struct rtc *r);

/* @offset 0: index port, 1: data port. */
uint8_t rtc_read(struct rtc *r, unsigned int offset);
void rtc_write(struct rtc *r, unsigned int offset, uint8_t raw_value);

/*
 * Seconds since 1970, at most RTC_SECONDS_MAX, and the calendar, both ways. rtc_to_seconds() is
 * false for a time that does not exist.
 */
void rtc_from_seconds(uint64_t seconds, struct rtc_time *t);
MUST_CHECK bool rtc_to_seconds(const struct rtc_time *t, uint64_t *seconds);

#endif /* PLATFORM_RTC_H */

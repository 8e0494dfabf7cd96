/*
 * platform_fake.h - the environment of a board in a test: a clock turned by hand, and a record of
 * what the board asked for.
 */
#ifndef TESTS_UNIT_PLATFORM_FAKE_H
#define TESTS_UNIT_PLATFORM_FAKE_H

#include <stdarg.h>
#include <stdlib.h>

#include "base/lock.h"
#include "base/mem.h"
#include "hypervisor/platform/env.h"
#include "tests/unit/unit.h"

#define FAKE_VCPUS 64u
#define FAKE_BYTES 64u

struct fake {
	uint64_t now_ns;
	uint64_t wall_ns;
	unsigned int kicks[FAKE_VCPUS];
	uint64_t deadline_ns[FAKE_VCPUS]; /* 0: stopped */
	unsigned int arms[FAKE_VCPUS];
	unsigned int inits[FAKE_VCPUS];
	unsigned int starts[FAKE_VCPUS];
	uint8_t start_vector;
	unsigned int nmis[FAKE_VCPUS];
	unsigned int eois[256];
	unsigned int enables[FAKE_VCPUS];
	unsigned int power_offs;
	unsigned int reboots;
	uint8_t bytes[FAKE_BYTES];
	unsigned int byte_count;
};

/* What the seam's two sides define; weak, so that a hosted side linked beside this wins. */
static _Thread_local uint32_t fake_ranks;

__attribute__((weak)) uint32_t *lock_held_ranks(void)
{
	return &fake_ranks;
}

__attribute__((weak)) void lock_relax(void)
{
}

__attribute__((weak)) void panic(const char *file, int line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%s:%d: ", file, line);
	vfprintf(stderr, format, args);
	va_end(args);
	abort();
}

/*
 * Whatever core does may take locks of any rank: the board must hold none. (CUnit's asserts want
 * one thread.)
 */
static void fake_check_unlocked(void)
{
	CHECK(*lock_held_ranks() == 0);
}

static uint64_t fake_now(void *ctx)
{
	return ((struct fake *)ctx)->now_ns;
}

static uint64_t fake_wall(void *ctx)
{
	return ((struct fake *)ctx)->wall_ns;
}

static void fake_kick(void *ctx, unsigned int vcpu)
{
	fake_check_unlocked();
	__atomic_fetch_add(&((struct fake *)ctx)->kicks[vcpu], 1, __ATOMIC_RELAXED);
}

static void fake_timer_arm(void *ctx, unsigned int vcpu, uint64_t deadline_ns)
{
	fake_check_unlocked();
	((struct fake *)ctx)->deadline_ns[vcpu] = deadline_ns;
	((struct fake *)ctx)->arms[vcpu]++;
}

static void fake_timer_stop(void *ctx, unsigned int vcpu)
{
	fake_check_unlocked();
	((struct fake *)ctx)->deadline_ns[vcpu] = 0;
}

static void fake_init_vcpu(void *ctx, unsigned int vcpu)
{
	fake_check_unlocked();
	((struct fake *)ctx)->inits[vcpu]++;
}

static void fake_start_vcpu(void *ctx, unsigned int vcpu, uint8_t vector)
{
	fake_check_unlocked();
	((struct fake *)ctx)->starts[vcpu]++;
	((struct fake *)ctx)->start_vector = vector;
}

static void fake_nmi(void *ctx, unsigned int vcpu)
{
	fake_check_unlocked();
	((struct fake *)ctx)->nmis[vcpu]++;
}

static void fake_eoi(void *ctx, unsigned int vcpu, uint8_t vector)
{
	(void)vcpu;
	fake_check_unlocked();
	((struct fake *)ctx)->eois[vector]++;
}

static void fake_lapic_enabled(void *ctx, unsigned int vcpu)
{
	fake_check_unlocked();
	((struct fake *)ctx)->enables[vcpu]++;
}

static void fake_power(void *ctx, enum board_power action)
{
	fake_check_unlocked();
	if (action == BOARD_POWER_OFF) {
		((struct fake *)ctx)->power_offs++;
	} else {
		((struct fake *)ctx)->reboots++;
	}
}

static void fake_console_put(void *ctx, uint8_t byte)
{
	struct fake *f = ctx;

	fake_check_unlocked();
	f->bytes[f->byte_count++ % FAKE_BYTES] = byte;
}

static inline struct board_env fake_env(struct fake *f)
{
	static const struct board_ops ops = {
		.now_ns = fake_now,
		.wall_ns = fake_wall,
		.kick = fake_kick,
		.timer_arm = fake_timer_arm,
		.timer_stop = fake_timer_stop,
		.init_vcpu = fake_init_vcpu,
		.start_vcpu = fake_start_vcpu,
		.nmi = fake_nmi,
		.eoi = fake_eoi,
		.lapic_enabled = fake_lapic_enabled,
		.power = fake_power,
		.console_put = fake_console_put,
	};

	memset(f, 0, sizeof(*f));
	return (struct board_env){&ops, f};
}

#endif /* TESTS_UNIT_PLATFORM_FAKE_H */

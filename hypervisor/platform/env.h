/*
 * env.h - what a guest's board needs from the machine around it.
 *
 * The board is a model: it executes no instruction of the host and knows no virtual machine. Core
 * (or a test) gives it one board_env for each guest. Every operation may be called from any CPU
 * that runs a vCPU of the guest, with interrupts off. The board holds none of its own locks while
 * it calls one, except now_ns and wall_ns, which therefore must take no lock.
 */
#ifndef PLATFORM_ENV_H
#define PLATFORM_ENV_H

#include "base/compiler.h"

enum board_power {
	BOARD_POWER_OFF, /* ACPI S5 */
	BOARD_POWER_REBOOT, /* reset register 0xCF9 or keyboard controller line */
};

struct board_ops {
	/* Guest time since creation: starts at 0, never goes back. */
	uint64_t (*now_ns)(void *ctx);
	/* Wall clock: UTC since 1970-01-01 00:00. */
	uint64_t (*wall_ns)(void *ctx);
	/* Something became pending for @vcpu: wake it if it is halted, make it look if it runs. */
	void (*kick)(void *ctx, unsigned int vcpu);
	/*
	 * From @deadline_ns (of now_ns) on: vlapic_timer_expired() on @vcpu's CPU. Replaces the
	 * last one.
	 */
	void (*timer_arm)(void *ctx, unsigned int vcpu, uint64_t deadline_ns);
	void (*timer_stop)(void *ctx, unsigned int vcpu);
	/*
	 * An INIT for @vcpu, which may be the caller itself. When it is taken:
	 * vlapic_init_signal().
	 */
	void (*init_vcpu)(void *ctx, unsigned int vcpu);
	/* A SIPI for @vcpu: starts at @vector << 12, if it waits for one. */
	void (*start_vcpu)(void *ctx, unsigned int vcpu, uint8_t vector);
	void (*nmi)(void *ctx, unsigned int vcpu);
	/* @vcpu has ended the interrupt @vector (not called for vectors with AutoEOI). */
	void (*eoi)(void *ctx, unsigned int vcpu, uint8_t vector);
	/* Bit 8 of @vcpu's SVR went from 0 to 1. */
	void (*lapic_enabled)(void *ctx, unsigned int vcpu);
	/*
	 * The guest asks to be powered off or rebooted. Returns: the board goes on until core acts.
	 */
	void (*power)(void *ctx, enum board_power action);
	/* A byte that the guest sent through its UART or to port 0xE9. */
	void (*console_put)(void *ctx, uint8_t byte);
};

struct board_env {
	const struct board_ops *ops;
	void *ctx;
};

#endif /* PLATFORM_ENV_H */

/*
 * board_env.c - what a guest's board asks of the machine (platform/env.h).
 */
#include "hypervisor/core/machine.h"
#include "vm/face.h"

static uint64_t env_now_ns(void *ctx)
{
	return vm_time_ns(ctx);
}

static uint64_t env_wall_ns(void *ctx)
{
	struct vm *vm = ctx;

	return vm->clock.wall_ns + vm_time_ns(vm);
}

static struct vcpu *vcpu_at(void *ctx, unsigned int index)
{
	return vm_vcpu(ctx, index);
}

static void env_kick(void *ctx, unsigned int vcpu)
{
	vcpu_request(vcpu_at(ctx, vcpu), REQUEST_LOOK);
}

static void env_timer_arm(void *ctx, unsigned int vcpu, uint64_t deadline_ns)
{
	vm_timer_arm(&vcpu_at(ctx, vcpu)->lapic_timer, deadline_ns);
}

static void env_timer_stop(void *ctx, unsigned int vcpu)
{
	vm_timer_disarm(&vcpu_at(ctx, vcpu)->lapic_timer);
}

static void env_init_vcpu(void *ctx, unsigned int vcpu)
{
	vcpu_request(vcpu_at(ctx, vcpu), REQUEST_INIT);
}

static void env_start_vcpu(void *ctx, unsigned int vcpu, uint8_t vector)
{
	struct vcpu *target = vcpu_at(ctx, vcpu);

	__atomic_store_n(&target->sipi_vector, vector, __ATOMIC_SEQ_CST);
	vcpu_request(target, REQUEST_SIPI);
}

static void env_nmi(void *ctx, unsigned int vcpu)
{
	vcpu_post_nmi(vcpu_at(ctx, vcpu));
}

static void env_eoi(void *ctx, unsigned int vcpu, uint8_t vector)
{
	personality.eoi(vcpu_at(ctx, vcpu), vector);
}

static void env_lapic_enabled(void *ctx, unsigned int vcpu)
{
	personality.lapic_enabled(vcpu_at(ctx, vcpu));
}

static void env_power(void *ctx, enum board_power action)
{
	if (action == BOARD_POWER_OFF) {
		vm_stop(ctx, VM_STOP_POWEROFF, "ACPI power off");
	} else {
		vm_stop(ctx, VM_STOP_REBOOT, "reset register");
	}
}

static void env_console_put(void *ctx, uint8_t byte)
{
	struct vm *vm = ctx;
	char c = (char)byte;

	console_write(&vm->console, &c, 1);
}

static const struct board_ops ops = {
        .now_ns = env_now_ns,
        .wall_ns = env_wall_ns,
        .kick = env_kick,
        .timer_arm = env_timer_arm,
        .timer_stop = env_timer_stop,
        .init_vcpu = env_init_vcpu,
        .start_vcpu = env_start_vcpu,
        .nmi = env_nmi,
        .eoi = env_eoi,
        .lapic_enabled = env_lapic_enabled,
        .power = env_power,
        .console_put = env_console_put,
};

struct board_env board_env_of(struct vm *vm)
{
	return (struct board_env){&ops, vm};
}

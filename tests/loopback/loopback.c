/*
 * loopback.c - guest_ops over the hosted machine.
 */
#include "tests/loopback/loopback.h"

#include <stdlib.h>
#include <string.h>

#include "abi/hyperv.h"
#include "base/bits.h"
#include "base/lock.h"

#define HYPERVISOR_PRESENT BIT(31) /* ECX of leaf 1, which is the processor's, not a face's */
#define POLL_NS 1000u
#define POLL_MAX 200u
#define CALL_STEPS_MAX 100000u

static struct loop_guest *guests[LOOP_GUEST_MAX];

/* ------------------------------------------------------------------ pages */

static bool op_page_alloc(void *context, struct guest_page *page)
{
	struct loop_guest *loop = context;

	page->bytes = NULL;
	for (uint64_t gfn = 1; gfn < loop->page_count; gfn++) {
		if (!loop->page_used[gfn]) {
			loop->page_used[gfn] = 1;
			loop->pages_out++;
			page->gfn = gfn;
			page->bytes = host_vm_bytes(loop->vm, gfn << PAGE_SHIFT, PAGE_BYTES);
			CHECK(page->bytes != NULL);
			memset(page->bytes, 0, PAGE_BYTES);
			return true;
		}
	}
	return false;
}

static void op_page_free(void *context, struct guest_page *page)
{
	struct loop_guest *loop = context;

	CHECK(page->gfn < loop->page_count && loop->page_used[page->gfn] != 0);
	/* What is free must not be in anybody's hands. */
	CHECK(host_page_pin_count(loop->vm, page->gfn << PAGE_SHIFT) == 0);
	loop->page_used[page->gfn] = 0;
	loop->pages_out--;
	page->bytes = NULL;
}

static uint8_t *op_page_at(void *context, uint64_t gfn)
{
	struct loop_guest *loop = context;

	return host_vm_bytes(loop->vm, gfn << PAGE_SHIFT, PAGE_BYTES);
}

/* ------------------------------------------------------------------ instructions */

static void op_cpuid(void *context, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
	struct loop_guest *loop = context;
	struct cpuid_regs out = {0};

	if (!loop->face->cpuid(loop->vcpu, leaf, subleaf, &out)) {
		memset(&out, 0, sizeof(out));
		out.ecx = leaf == 1 ? HYPERVISOR_PRESENT : 0;
	}
	regs[0] = out.eax;
	regs[1] = out.ebx;
	regs[2] = out.ecx;
	regs[3] = out.edx;
}

static bool op_rdmsr(void *context, uint32_t msr, uint64_t *value)
{
	struct loop_guest *loop = context;

	return loop->face->msr_read(loop->vcpu, msr, value) == FACE_MSR_OK;
}

static bool op_wrmsr(void *context, uint32_t msr, uint64_t value)
{
	struct loop_guest *loop = context;

	return loop->face->msr_write(loop->vcpu, msr, value) == FACE_MSR_OK;
}

static void count_exit(struct loop_guest *loop)
{
	loop->exit_count++;
	if (loop->at_exit != NULL) {
		loop->at_exit(loop);
	}
}

/* The instruction, again while the face says so; a wait is over when something has happened. */
static void hypercall(struct loop_guest *loop)
{
	enum face_call result;
	uint32_t steps = 0;

	do {
		CHECK(steps++ < CALL_STEPS_MAX);
		result = loop->face->hypercall(loop->vcpu);
	} while (result == FACE_CALL_AGAIN);
	CHECK(result == FACE_CALL_DONE || result == FACE_CALL_STAY);
	for (steps = 0; host_vcpu_is_waiting(loop->vcpu); steps++) {
		CHECK(steps < CALL_STEPS_MAX);
		loop->guest.ops->poll(loop);
	}
	host_vcpu_set_runstate(loop->vcpu, VCPU_RUNNING); /* after a wait it would be only runnable */
}

static int64_t op_hypercall_xen(void *context, uint32_t number, const uint64_t args[5])
{
	struct loop_guest *loop = context;
	struct cpu_regs *regs = vcpu_regs(loop->vcpu);

	count_exit(loop);
	regs->gpr[REG_RAX] = number;
	regs->gpr[REG_RDI] = args[0];
	regs->gpr[REG_RSI] = args[1];
	regs->gpr[REG_RDX] = args[2];
	regs->gpr[REG_R10] = args[3];
	regs->gpr[REG_R8] = args[4];
	hypercall(loop);
	return (int64_t)regs->gpr[REG_RAX];
}

static uint64_t op_hypercall_hyperv(void *context, uint64_t control, uint64_t input,
				    uint64_t output)
{
	struct loop_guest *loop = context;
	struct cpu_regs *regs = vcpu_regs(loop->vcpu);

	count_exit(loop);
	regs->gpr[REG_RAX] = HV_CALL_MARK_EAX; /* as its hypercall page does for a guest with both faces */
	regs->gpr[REG_RCX] = control;
	regs->gpr[REG_RDX] = input;
	regs->gpr[REG_R8] = output;
	hypercall(loop);
	return regs->gpr[REG_RAX];
}

/* ------------------------------------------------------------------ time */

bool loop_run_all(void)
{
	bool any = false;

	for (uint32_t i = 0; i < LOOP_GUEST_MAX; i++) {
		any = (guests[i] != NULL && host_run(guests[i]->vm) != 0) || any;
	}
	return any;
}

static void op_poll(void *context)
{
	struct loop_guest *loop = context;

	count_exit(loop);
	if (loop->threaded) {
		lock_relax();
		return;
	}
	for (uint32_t i = 0; i < LOOP_GUEST_MAX; i++) {
		if (guests[i] != NULL) {
			host_time_advance_ns(guests[i]->vm, POLL_NS);
		}
	}
	(void)loop_run_all();
}

static const struct guest_ops ops = {
	.page_alloc = op_page_alloc,
	.page_free = op_page_free,
	.page_at = op_page_at,
	.cpuid = op_cpuid,
	.rdmsr = op_rdmsr,
	.wrmsr = op_wrmsr,
	.hypercall_xen = op_hypercall_xen,
	.hypercall_hyperv = op_hypercall_hyperv,
	.poll = op_poll,
};

/* ------------------------------------------------------------------ making and ending */

static void console_line(void *context, const char *name, const char *text, size_t len, bool whole)
{
	struct loop_guest *loop = context;

	(void)name;
	if (loop->console_len + len + 2 > LOOP_CONSOLE_BYTES) {
		loop->console_len = 0;
	}
	memcpy(loop->console_text + loop->console_len, text, len);
	loop->console_len += len;
	if (whole) {
		loop->console_text[loop->console_len++] = '\n';
	}
	loop->console_text[loop->console_len] = 0;
}

static struct console_sink sinks[LOOP_GUEST_MAX];

/* A place among the guests, and with it the console's sink. */
static struct console_sink *place_take(struct loop_guest *loop)
{
	uint32_t i = 0;

	while (i < LOOP_GUEST_MAX && guests[i] != NULL) {
		i++;
	}
	CHECK(i < LOOP_GUEST_MAX);
	guests[i] = loop;
	sinks[i] = (struct console_sink){.line = console_line, .context = loop};
	return &sinks[i];
}

static void nics_add(struct loop_guest *loop, const struct loop_config *config,
		     struct vm_config *vm)
{
	for (uint32_t i = 0; i < config->nic_count; i++) {
		uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)(config->first_mac + i)};

		CHECK(switch_add_port(config->nic_switch, &loop->ports[i]));
		vm->nics[i].port = &loop->ports[i];
		memcpy(vm->nics[i].mac, mac, sizeof(mac));
	}
	vm->nic_count = config->nic_count;
	loop->nic_count = config->nic_count;
}

void loop_new(struct loop_guest *loop, const struct loop_config *config, const struct face *face,
	      bool xen_face, bool hyperv_face)
{
	struct host_vm_config host = {
		.vm = {.name = "loop", .id = config->id, .xen_face = xen_face,
		       .hyperv_face = hyperv_face},
	};

	memset(loop, 0, sizeof(*loop));
	loop->face = face;
	loop->guest = (struct guest){.ops = &ops, .context = loop, .poll_max = POLL_MAX};
	console_init(&loop->console, "loop", place_take(loop));
	lifecycle_init(&loop->lifecycle);
	host.vm.memory_bytes = config->memory_bytes != 0 ? config->memory_bytes : 8u << 20;
	host.vm.console = &loop->console;
	host.vm.lifecycle = &loop->lifecycle;
	host.vm.disk_count = config->disk_count;
	memcpy(host.vm.disks, config->disks, sizeof(host.vm.disks));
	nics_add(loop, config, &host.vm);
	loop->vm = host_vm_new(&host);
	loop->vcpu = vm_vcpu(loop->vm, 0);
	loop->page_count = vm_ram_pages(loop->vm) - VM_SPECIAL_COUNT;
	loop->page_used = calloc(loop->page_count, 1);
	CHECK(loop->page_used != NULL);
}

void loop_free(struct loop_guest *loop, bool strict)
{
	CHECK(!strict || loop->pages_out == 0);
	for (uint32_t i = 0; i < loop->nic_count; i++) {
		switch_remove_port(&loop->ports[i]);
	}
	for (uint32_t i = 0; i < LOOP_GUEST_MAX; i++) {
		guests[i] = guests[i] == loop ? NULL : guests[i];
	}
	host_vm_free(loop->vm);
	free(loop->page_used);
}

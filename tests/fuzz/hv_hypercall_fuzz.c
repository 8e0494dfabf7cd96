/*
 * hv_hypercall_fuzz.c - libFuzzer: a hostile guest at the whole Hyper-V face: leaves, MSRs,
 * hypercalls, EOIs, its own memory, the passing of time, and messages from the host in between.
 *
 * Input: a list of steps, one byte of kind and what that kind takes. What must hold: nothing panics
 * and nothing leaks (the hosted seam checks), every hypercall has a status of the specification,
 * and no step costs more than a bounded number of interrupts.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/hyperv.h"
#include "enlighten/hyperv/hyperv.h"
#include "synic/synic.h"
#include "tests/host/host.h"

#define VCPUS 4u
#define PAGES 8u /* that the guest uses: few, so that they meet */
#define STEPS_MAX 200u

struct input {
	const uint8_t *bytes;
	size_t left;
};

static void must(bool condition)
{
	if (!condition) {
		abort();
	}
}

static void take(struct input *in, void *to, size_t len)
{
	size_t have = in->left < len ? in->left : len;

	memset(to, 0, len);
	memcpy(to, in->bytes, have);
	in->bytes += have;
	in->left -= have;
}

static uint8_t take8(struct input *in)
{
	uint8_t value;

	take(in, &value, sizeof(value));
	return value;
}

static uint64_t take64(struct input *in)
{
	uint64_t value;

	take(in, &value, sizeof(value));
	return value;
}

static struct vcpu *take_vcpu(struct vm *vm, struct input *in)
{
	return vm_vcpu(vm, take8(in) % VCPUS);
}

/* Mostly one of the guest's few pages. */
static uint64_t take_gpa(struct input *in)
{
	uint8_t how = take8(in);

	return how == 0xFF ? take64(in) : (uint64_t)(how % PAGES) * PAGE_BYTES;
}

static uint16_t take_post(void *context, struct vcpu *from, uint32_t type, const void *payload,
			  uint32_t size)
{
	uint8_t copy[HV_MESSAGE_PAYLOAD_BYTE_COUNT];

	(void)context;
	must(size <= sizeof(copy) && type != 0 && (type & HVMSG_HYPERVISOR_BIT) == 0);
	memcpy(copy, payload, size);
	return synic_post_message(from, HV_SYNIC_VMBUS_SINT, type, copy, size) == SYNIC_OK
		       ? HV_STATUS_SUCCESS
		       : HV_STATUS_INSUFFICIENT_BUFFERS;
}

static void take_signal(void *context, uint16_t flag)
{
	must(flag < HV_EVENT_FLAGS_COUNT);
	synic_signal_event(vm_vcpu(context, 0), HV_SYNIC_VMBUS_SINT, flag);
}

static uint32_t take_msr(struct input *in)
{
	static const uint32_t starts[] = {0x40000000, 0x40000020, 0x40000070, 0x40000080,
					  0x40000090, 0x400000B0, 0x400000F0, 0x40000100,
					  0x40001080, 0x40000200};
	uint8_t which = take8(in);

	return starts[which % ARRAY_COUNT(starts)] + which / ARRAY_COUNT(starts) % 24;
}

static void write_msr(struct vm *vm, struct input *in)
{
	struct vcpu *vcpu = take_vcpu(vm, in);
	uint32_t msr = take_msr(in);
	uint64_t value = take8(in) % 2 == 0 ? take_gpa(in) | take8(in) : take64(in);

	(void)hyperv_face.msr_write(vcpu, msr, value);
}

static void read_msr(struct vm *vm, struct input *in)
{
	struct vcpu *vcpu = take_vcpu(vm, in);
	uint64_t value;

	(void)hyperv_face.msr_read(vcpu, take_msr(in), &value);
}

static void call(struct vm *vm, struct input *in)
{
	static const uint16_t codes[] = {0x02, 0x03, 0x08, 0x0B, 0x13, 0x14, 0x15, 0x5C, 0x5D, 0x46};
	struct vcpu *vcpu = take_vcpu(vm, in);
	struct cpu_regs *regs = vcpu_regs(vcpu);
	uint8_t which = take8(in);
	uint64_t value = take64(in);
	uint64_t at = take_gpa(in) | (take8(in) & 0x7F) * 8u;

	if (which != 0xFF) {
		value = (value & ~0xFFFFull) | codes[which % ARRAY_COUNT(codes)];
	}
	host_vcpu_set_mode(vcpu, (struct vcpu_mode){.protected_mode = (which & 0x20) == 0,
						    .code64 = (which & 0x40) == 0,
						    .cpl = which > 0xF0 ? 3 : 0});
	regs->gpr[REG_RCX] = value;
	regs->gpr[REG_RDX] = take8(in) % 4 == 0 ? take64(in) : at;
	regs->gpr[REG_R8] = take8(in);
	if ((which & 0x40) != 0) {
		regs->gpr[REG_RAX] = value;
		regs->gpr[REG_RDX] = value >> 32;
		regs->gpr[REG_RCX] = at;
		regs->gpr[REG_RBX] = 0;
	}
	if (hyperv_face.hypercall(vcpu) == FACE_CALL_DONE) {
		must((uint16_t)regs->gpr[REG_RAX] <= HV_STATUS_VTL_ALREADY_ENABLED);
	}
}

/* PostMessage or SignalEvent as a guest makes them, but for the lengths and numbers. */
static void speak(struct vm *vm, struct input *in)
{
	struct vcpu *vcpu = take_vcpu(vm, in);
	struct cpu_regs *regs = vcpu_regs(vcpu);
	const struct hv_input_post_message post = {
		.connection_id = 1,
		.message_type = 1u + take8(in) % 2,
		.payload_size = take8(in) | (take8(in) & 15u) << 8,
	};
	uint64_t at = take_gpa(in);

	host_vcpu_set_mode(vcpu, (struct vcpu_mode){.protected_mode = true, .code64 = true});
	regs->gpr[REG_RCX] = HVCALL_SIGNAL_EVENT | HV_HYPERCALL_FAST_BIT;
	regs->gpr[REG_RDX] = 2 | (uint64_t)post.payload_size << 32;
	if (post.message_type == 1) {
		(void)!vm_write(vm, gpa(at), &post, sizeof(post));
		regs->gpr[REG_RCX] = HVCALL_POST_MESSAGE;
		regs->gpr[REG_RDX] = at;
	}
	must(hyperv_face.hypercall(vcpu) == FACE_CALL_DONE);
}

static void write_memory(struct vm *vm, struct input *in)
{
	uint8_t bytes[64];
	uint64_t at = take_gpa(in) + take8(in) * 8u;
	size_t len = take8(in) % (sizeof(bytes) + 1);

	take(in, bytes, len);
	if (vm_write(vm, gpa(at), bytes, len) != VM_OK) {
		must(len != 0);
	}
}

static void step(struct vm *vm, struct input *in)
{
	struct cpuid_regs regs;
	struct vcpu *vcpu;

	switch (take8(in) % 10) {
	case 0:
	case 1:
		write_msr(vm, in);
		break;
	case 2:
		read_msr(vm, in);
		break;
	case 3:
	case 4:
		call(vm, in);
		break;
	case 5:
		write_memory(vm, in);
		break;
	case 6:
		vcpu = take_vcpu(vm, in);
		hyperv_face.eoi(vcpu, take8(in));
		(void)hyperv_face.cpuid(vcpu, 0x40000000u + take8(in), 0, &regs);
		break;
	case 7:
		host_time_advance_ns(vm, (uint64_t)take8(in) * 3000);
		break;
	case 8:
		speak(vm, in);
		break;
	default:
		vcpu = take_vcpu(vm, in);
		(void)synic_post_message(vcpu, take8(in) % 16, 1, "message", take8(in) % 8);
		(void)synic_signal_event(vcpu, take8(in) % 16, take8(in) * 8u);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const struct host_vm_config config = {
		.vm = {.vcpu_count = VCPUS, .hyperv_face = true, .memory_bytes = 16 * PAGE_BYTES}};
	static struct host_snapshot *start;
	static struct vm *vm;
	struct input in = {bytes, len};

	if (start == NULL) {
		vm = host_vm_new(&config);
		must(hyperv_face.create(vm));
		must(synic_port_add_message(vm, 1, take_post, NULL));
		must(synic_port_add_event(vm, 2, take_signal, vm));
		start = host_snapshot_take(vm);
	} else {
		host_snapshot_restore(start);
	}
	for (uint32_t i = 0; i < STEPS_MAX && in.left != 0; i++) {
		step(vm, &in);
		if (i == STEPS_MAX / 2) {
			must(hyperv_face.reset(vm));
		}
	}
	hyperv_face.teardown(vm);
	host_vm_reset(vm);
	return 0;
}

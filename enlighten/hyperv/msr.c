/*
 * msr.c - the Hyper-V MSRs: specs/hv_msr.def says which, this file what each access does.
 *
 * TLFS, hypercall interface, VP properties, partition properties, timers, inter-partition
 * communication.
 */
#include "enlighten/hyperv/hyperv_private.h"

/* Numbers that belong to this interface, in a row or not. */
#define SYNTHETIC_FIRST 0x40000000u
#define SYNTHETIC_LAST 0x400001FFu
#define NESTED_FIRST 0x40001000u
#define NESTED_LAST 0x400010FFu

/* False: the access faults. NULL: it always does. */
struct msr_ops {
	bool (*read)(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
	bool (*write)(struct vcpu *vcpu, uint32_t msr, uint64_t raw_value);
};

static const struct msr_ops msr_none = {NULL, NULL};

/* ------------------------------------------------------------------ the hypercall interface */

static bool read_os_id(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct hyperv_vm *state = hyperv_of_vm(vcpu_vm(vcpu));

	(void)msr;
	spin_lock(&state->lock);
	*value = state->os_id;
	spin_unlock(&state->lock);
	return true;
}

static bool write_hypercall_page(struct vm *vm, struct hyperv_vm *state, uint64_t raw_value)
{
	return synic_overlay_write(vm, &state->hypercall_page, raw_value, VM_ACCESS_READ | VM_ACCESS_EXECUTE);
}

/* Without an identity there is no hypercall page. */
static bool write_os_id(struct vcpu *vcpu, uint32_t msr, uint64_t raw_value)
{
	struct vm *vm = vcpu_vm(vcpu);
	struct hyperv_vm *state = hyperv_of_vm(vm);
	bool done = true;

	(void)msr;
	spin_lock(&state->lock);
	state->os_id = raw_value;
	hyperv_crash_forget(vcpu_vm(vcpu));
	if (raw_value == 0) {
		done = write_hypercall_page(vm, state, state->hypercall_page.value & ~HV_OVERLAY_ENABLE);
	}
	spin_unlock(&state->lock);
	return done;
}

static bool read_hypercall(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct hyperv_vm *state = hyperv_of_vm(vcpu_vm(vcpu));

	(void)msr;
	spin_lock(&state->lock);
	*value = state->hypercall_page.value;
	spin_unlock(&state->lock);
	return true;
}

/* Enabling it before the identity is told is no fault: the bit just stays clear. */
static bool write_hypercall(struct vcpu *vcpu, uint32_t msr, uint64_t raw_value)
{
	struct vm *vm = vcpu_vm(vcpu);
	struct hyperv_vm *state = hyperv_of_vm(vm);
	bool done;

	(void)msr;
	spin_lock(&state->lock);
	if (state->os_id == 0) {
		raw_value &= ~HV_OVERLAY_ENABLE;
	}
	done = write_hypercall_page(vm, state, raw_value);
	spin_unlock(&state->lock);
	return done;
}

static const struct msr_ops msr_os_id = {read_os_id, write_os_id};
static const struct msr_ops msr_hypercall = {read_hypercall, write_hypercall};

/* ------------------------------------------------------------------ processor and partition */

static bool read_vp_index(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)msr;
	*value = vcpu_index(vcpu);
	return true;
}

static bool read_reset(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)vcpu;
	(void)msr;
	*value = 0;
	return true;
}

static bool write_reset(struct vcpu *vcpu, uint32_t msr, uint64_t raw_value)
{
	(void)msr;
	if ((raw_value & HV_RESET_NOW) != 0) {
		vm_stop(vcpu_vm(vcpu), VM_STOP_REBOOT, "Hyper-V reset MSR");
	}
	return true;
}

static bool read_vp_runtime(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct vcpu_times times;
	uint64_t ns;
	uint64_t now_ns;

	(void)msr;
	vcpu_times(vcpu, &times);
	ns = times.time_ns[VCPU_RUNNING];
	now_ns = vm_time_ns(vcpu_vm(vcpu));
	if (times.state == VCPU_RUNNING && now_ns > times.since_ns) {
		ns += now_ns - times.since_ns;
	}
	*value = ns / HV_REFERENCE_NS;
	return true;
}

/*
 * Waits for an interrupt whatever RFLAGS.IF is; the value is what the guest finds when it goes on.
 */
static bool read_guest_idle(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)msr;
	vcpu_wait(vcpu, 0);
	*value = 0;
	return true;
}

static bool read_vp_assist(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)msr;
	*value = hyperv_of_vcpu(vcpu)->assist_page.value;
	return true;
}

static bool write_vp_assist(struct vcpu *vcpu, uint32_t msr, uint64_t raw_value)
{
	(void)msr;
	return synic_overlay_write(vcpu_vm(vcpu), &hyperv_of_vcpu(vcpu)->assist_page, raw_value,
	                           VM_ACCESS_READ | VM_ACCESS_WRITE);
}

static const struct msr_ops msr_vp_index = {read_vp_index, NULL};
static const struct msr_ops msr_reset = {read_reset, write_reset};
static const struct msr_ops msr_vp_runtime = {read_vp_runtime, NULL};
static const struct msr_ops msr_guest_idle = {read_guest_idle, NULL};
static const struct msr_ops msr_vp_assist = {read_vp_assist, write_vp_assist};

/* ------------------------------------------------------------------ time */

static bool read_time_ref_count(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)msr;
	*value = synic_reference_time(vcpu_vm(vcpu));
	return true;
}

static const struct clock *clock_of(struct vcpu *vcpu)
{
	return vm_config(vcpu_vm(vcpu))->clock;
}

static bool read_reference_tsc(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct hyperv_vm *state = hyperv_of_vm(vcpu_vm(vcpu));

	(void)msr;
	spin_lock(&state->lock);
	*value = state->tsc_page.value;
	spin_unlock(&state->lock);
	return clock_of(vcpu)->stable;
}

static bool write_reference_tsc(struct vcpu *vcpu, uint32_t msr, uint64_t raw_value)
{
	struct vm *vm = vcpu_vm(vcpu);
	struct hyperv_vm *state = hyperv_of_vm(vm);
	bool done;

	(void)msr;
	if (!clock_of(vcpu)->stable) {
		return false;
	}
	spin_lock(&state->lock);
	done = synic_overlay_write(vm, &state->tsc_page, raw_value, VM_ACCESS_READ);
	spin_unlock(&state->lock);
	return done;
}

static bool read_tsc_frequency(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)msr;
	*value = clock_of(vcpu)->tsc_hz;
	return true;
}

static bool read_apic_frequency(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)vcpu;
	(void)msr;
	*value = VLAPIC_BUS_HZ;
	return true;
}

static const struct msr_ops msr_time_ref_count = {read_time_ref_count, NULL};
static const struct msr_ops msr_reference_tsc = {read_reference_tsc, write_reference_tsc};
static const struct msr_ops msr_tsc_frequency = {read_tsc_frequency, NULL};
static const struct msr_ops msr_apic_frequency = {read_apic_frequency, NULL};

static const struct msr_ops msr_synic = {synic_msr_read, synic_msr_write};

/* ------------------------------------------------------------------ crash */

static bool read_crash_parameter(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct hyperv_vm *state = hyperv_of_vm(vcpu_vm(vcpu));

	spin_lock(&state->lock);
	*value = state->crash[msr - HV_X64_MSR_CRASH_P0];
	spin_unlock(&state->lock);
	return true;
}

static bool write_crash_parameter(struct vcpu *vcpu, uint32_t msr, uint64_t raw_value)
{
	struct hyperv_vm *state = hyperv_of_vm(vcpu_vm(vcpu));

	spin_lock(&state->lock);
	state->crash[msr - HV_X64_MSR_CRASH_P0] = raw_value;
	spin_unlock(&state->lock);
	return true;
}

/* Reads as what may be written. */
static bool read_crash_control(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)vcpu;
	(void)msr;
	*value = HV_CRASH_CTL_CRASH_NOTIFY | HV_CRASH_CTL_CRASH_NOTIFY_MSG;
	return true;
}

static bool write_crash_control(struct vcpu *vcpu, uint32_t msr, uint64_t raw_value)
{
	(void)msr;
	hyperv_report_crash(vcpu_vm(vcpu), raw_value);
	return true;
}

static const struct msr_ops msr_crash_parameter = {read_crash_parameter, write_crash_parameter};
static const struct msr_ops msr_crash_control = {read_crash_control, write_crash_control};

/* ------------------------------------------------------------------ the table */

enum msr_row {
#define SPEC_ROW(number, name, status, handler, clause) ROW_##name,
#include "specs/hv_msr.def"
#undef SPEC_ROW
	MSR_ROW_COUNT
};

static const struct msr_ops *const rows[] = {
#define SPEC_ROW(number, name, status, handler, clause) &msr_##handler,
#include "specs/hv_msr.def"
#undef SPEC_ROW
};

/* By number: the row, plus one. */
static const uint8_t row_by_msr[] = {
#define SPEC_ROW(number, name, status, handler, clause) [(number)-SYNTHETIC_FIRST] = ROW_##name + 1,
#include "specs/hv_msr.def"
#undef SPEC_ROW
};

#define SPEC_ROW(number, name, status, handler, clause) \
	_Static_assert((number) == (name), "hv_msr.def and abi/hyperv.h");
#include "specs/hv_msr.def"
#undef SPEC_ROW
_Static_assert((uint32_t)MSR_ROW_COUNT <= SPEC_ROW_MAX, "too many rows to count");

static bool is_mine(uint32_t msr)
{
	return (msr >= SYNTHETIC_FIRST && msr <= SYNTHETIC_LAST) ||
	       (msr >= NESTED_FIRST && msr <= NESTED_LAST);
}

static uint32_t find_row(uint32_t msr)
{
	uint32_t index = msr - SYNTHETIC_FIRST;

	return index < ARRAY_COUNT(row_by_msr) && row_by_msr[index] != 0 ? row_by_msr[index] - 1u
	                                                                 : SPEC_UNKNOWN;
}

static enum face_msr count_access(struct vcpu *vcpu, uint32_t row, bool done)
{
	vm_count(vcpu_vm(vcpu), SPEC_HV_MSR, row, !done);
	return done ? FACE_MSR_OK : FACE_MSR_GP;
}

enum face_msr hyperv_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	uint32_t row = find_row(msr);

	if (!is_mine(msr)) {
		return FACE_MSR_ABSENT;
	}
	if (row == SPEC_UNKNOWN || rows[row]->read == NULL) {
		return count_access(vcpu, row, false);
	}
	return count_access(vcpu, row, rows[row]->read(vcpu, msr, value));
}

enum face_msr hyperv_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	uint32_t row = find_row(msr);

	if (!is_mine(msr)) {
		return FACE_MSR_ABSENT;
	}
	if (row == SPEC_UNKNOWN || rows[row]->write == NULL) {
		return count_access(vcpu, row, false);
	}
	return count_access(vcpu, row, rows[row]->write(vcpu, msr, value));
}

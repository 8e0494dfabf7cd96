/*
 * synic.c - the SynIC's life, its registers, EOI and EOM, and event flags.
 *
 * TLFS, inter-partition communication.
 */
#include "synic/synic_private.h"

static void reset_registers(struct synic_vcpu *synic)
{
	synic_store(&synic->scontrol, 0);
	for (uint32_t i = 0; i < HV_SYNIC_SINT_COUNT; i++) {
		synic_store(&synic->sints[i], HV_SYNIC_SINT_MASKED);
	}
	message_reset_queue(synic);
}

static bool create_vcpu(struct vm *vm, struct vcpu *vcpu)
{
	struct synic_vcpu *synic = vm_alloc(vm, sizeof(*synic));

	if (synic == NULL) {
		return false;
	}
	synic->vcpu = vcpu;
	spin_init(&synic->lock, RANK_EVENT);
	stimer_init(synic);
	reset_registers(synic);
	vcpu_slot_set(vcpu, VM_SLOT_SYNIC, synic);
	return synic_overlay_create(vm, &synic->simp) && synic_overlay_create(vm, &synic->siefp);
}

bool synic_create(struct vm *vm)
{
	struct synic_vm *synic = vm_alloc(vm, sizeof(*synic));
	bool complete = synic != NULL;

	if (complete) {
		spin_init(&synic->lock, RANK_EVENT);
		vm_slot_set(vm, VM_SLOT_SYNIC, synic);
	}
	for (uint32_t i = 0; complete && i < vm_vcpu_count(vm); i++) {
		complete = create_vcpu(vm, vm_vcpu(vm, i));
	}
	if (!complete) {
		synic_teardown(vm);
	}
	return complete;
}

/* A vector ends by itself if one of the unmasked SINTs that raise it says so. */
static void refresh_auto_eoi(struct synic_vcpu *synic, uint8_t vector)
{
	bool on = false;

	for (uint32_t i = 0; i < HV_SYNIC_SINT_COUNT; i++) {
		uint64_t control = synic->sints[i];

		on = on || ((control & HV_SYNIC_SINT_VECTOR_MASK) == vector &&
		            (control & HV_SYNIC_SINT_MASKED) == 0 && (control & HV_SYNIC_SINT_AUTO_EOI) != 0);
	}
	vcpu_set_auto_eoi(synic->vcpu, vector, on);
}

static void reset_vcpu(struct vm *vm, struct synic_vcpu *synic)
{
	stimer_reset(synic);
	for (uint32_t i = 0; i < HV_SYNIC_SINT_COUNT; i++) {
		uint64_t control = synic->sints[i];

		synic_store(&synic->sints[i], HV_SYNIC_SINT_MASKED);
		if ((control & HV_SYNIC_SINT_AUTO_EOI) != 0) {
			refresh_auto_eoi(synic, (uint8_t)(control & HV_SYNIC_SINT_VECTOR_MASK));
		}
	}
	reset_registers(synic);
	synic_overlay_reset(vm, &synic->simp);
	synic_overlay_reset(vm, &synic->siefp);
}

void synic_reset(struct vm *vm)
{
	for (uint32_t i = 0; i < vm_vcpu_count(vm); i++) {
		reset_vcpu(vm, synic_of_vcpu(vm_vcpu(vm, i)));
	}
}

void synic_teardown(struct vm *vm)
{
	for (uint32_t i = 0; i < vm_vcpu_count(vm); i++) {
		struct vcpu *vcpu = vm_vcpu(vm, i);
		struct synic_vcpu *synic = synic_of_vcpu(vcpu);

		if (synic == NULL) {
			continue;
		}
		stimer_reset(synic);
		synic_overlay_destroy(vm, &synic->simp);
		synic_overlay_destroy(vm, &synic->siefp);
		vcpu_slot_set(vcpu, VM_SLOT_SYNIC, NULL);
		vm_free(vm, synic);
	}
	if (synic_of_vm(vm) != NULL) {
		vm_free(vm, synic_of_vm(vm));
		vm_slot_set(vm, VM_SLOT_SYNIC, NULL);
	}
}

void synic_on_room(struct vm *vm, void (*room)(void *context), void *context)
{
	struct synic_vm *synic = synic_of_vm(vm);

	synic->room = room;
	synic->room_context = context;
}

/* At the end of what can make room in the queue, where no lock is held. */
static void unlock_and_tell(struct synic_vcpu *synic)
{
	const struct synic_vm *vm = synic_of_vm(vcpu_vm(synic->vcpu));
	bool tell = synic->refused && synic->free != SYNIC_QUEUE_NONE;

	if (tell) {
		synic->refused = false;
	}
	spin_unlock(&synic->lock);
	if (tell && vm->room != NULL) {
		vm->room(vm->room_context);
	}
}

/* ------------------------------------------------------------------ registers */

static bool is_sint(uint32_t msr)
{
	return msr >= HV_X64_MSR_SINT0 && msr <= HV_X64_MSR_SINT15;
}

static bool is_stimer(uint32_t msr)
{
	return msr >= HV_X64_MSR_STIMER0_CONFIG && msr <= HV_X64_MSR_STIMER3_COUNT;
}

static uint64_t read_stimer(const struct synic_vcpu *synic, uint32_t offset)
{
	const struct stimer *timer = &synic->stimers[offset / 2];

	return offset % 2 == 0 ? timer->config : timer->count;
}

static bool read_register(const struct synic_vcpu *synic, uint32_t msr, uint64_t *value)
{
	switch (msr) {
	case HV_X64_MSR_SCONTROL:
		*value = synic->scontrol;
		return true;
	case HV_X64_MSR_SVERSION:
		*value = HV_SYNIC_VERSION_1;
		return true;
	case HV_X64_MSR_SIEFP:
		*value = synic->siefp.value;
		return true;
	case HV_X64_MSR_SIMP:
		*value = synic->simp.value;
		return true;
	case HV_X64_MSR_EOM:
		*value = 0;
		return true;
	default:
		return false;
	}
}

bool synic_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct synic_vcpu *synic = synic_of_vcpu(vcpu);
	bool known = true;

	spin_lock(&synic->lock);
	if (is_sint(msr)) {
		*value = synic->sints[msr - HV_X64_MSR_SINT0];
	} else if (is_stimer(msr)) {
		*value = read_stimer(synic, msr - HV_X64_MSR_STIMER0_CONFIG);
	} else {
		known = read_register(synic, msr, value);
	}
	spin_unlock(&synic->lock);
	return known;
}

static bool write_sint(struct synic_vcpu *synic, uint32_t sint, uint64_t raw_value)
{
	uint8_t vector = (uint8_t)(raw_value & HV_SYNIC_SINT_VECTOR_MASK);
	uint64_t old = synic->sints[sint];

	/*
	 * A masked one may hold anything: nested Hyper-V and Linux write their reset values back.
	 */
	if ((raw_value & HV_SYNIC_SINT_MASKED) == 0 && vector < HV_SYNIC_FIRST_VALID_VECTOR) {
		return false;
	}
	synic_store(&synic->sints[sint], raw_value);
	if (((old | raw_value) & HV_SYNIC_SINT_AUTO_EOI) != 0) {
		refresh_auto_eoi(synic, (uint8_t)(old & HV_SYNIC_SINT_VECTOR_MASK));
		refresh_auto_eoi(synic, vector);
	}
	return true;
}

static void write_stimer(struct synic_vcpu *synic, uint32_t offset, uint64_t raw_value)
{
	if (offset % 2 == 0) {
		stimer_write_config(synic, offset / 2, raw_value);
	} else {
		stimer_write_count(synic, offset / 2, raw_value);
	}
}

/* Enabling the SynIC or its message page may let out what waits. */
static bool write_register(struct synic_vcpu *synic, uint32_t msr, uint64_t raw_value)
{
	struct vm *vm = vcpu_vm(synic->vcpu);
	const uint32_t access = VM_ACCESS_READ | VM_ACCESS_WRITE;
	bool accepted = true;

	switch (msr) {
	case HV_X64_MSR_SCONTROL:
		synic_store(&synic->scontrol, raw_value);
		break;
	case HV_X64_MSR_SIEFP:
		accepted = synic_overlay_write(vm, &synic->siefp, raw_value, access);
		break;
	case HV_X64_MSR_SIMP:
		accepted = synic_overlay_write(vm, &synic->simp, raw_value, access);
		break;
	case HV_X64_MSR_EOM:
		break;
	default:
		return false;
	}
	message_deliver_all(synic);
	return accepted;
}

bool synic_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	struct synic_vcpu *synic = synic_of_vcpu(vcpu);
	bool accepted = true;

	spin_lock(&synic->lock);
	if (is_sint(msr)) {
		accepted = write_sint(synic, msr - HV_X64_MSR_SINT0, value);
	} else if (is_stimer(msr)) {
		write_stimer(synic, msr - HV_X64_MSR_STIMER0_CONFIG, value);
	} else {
		accepted = write_register(synic, msr, value);
	}
	unlock_and_tell(synic);
	return accepted;
}

void synic_eoi(struct vcpu *vcpu, uint8_t vector)
{
	struct synic_vcpu *synic = synic_of_vcpu(vcpu);

	/* Nearly always nothing waits: then an EOI costs one load. */
	if (synic == NULL || __atomic_load_n(&synic->waiting, __ATOMIC_ACQUIRE) == 0) {
		return;
	}
	spin_lock(&synic->lock);
	for (uint32_t sints = synic->waiting; sints != 0; sints &= sints - 1) {
		uint32_t sint = bit_lowest(sints);

		if ((synic->sints[sint] & HV_SYNIC_SINT_VECTOR_MASK) == vector) {
			message_deliver(synic, sint);
		}
	}
	unlock_and_tell(synic);
}

/* ------------------------------------------------------------------ events */

bool synic_signal_event(struct vcpu *target, uint32_t sint, uint32_t flag)
{
	struct synic_vcpu *synic = synic_of_vcpu(target);
	uint64_t control;

	if (synic == NULL || sint >= HV_SYNIC_SINT_COUNT || flag >= HV_EVENT_FLAGS_COUNT) {
		return false;
	}
	control = synic_load(&synic->sints[sint]);
	if ((control & HV_SYNIC_SINT_MASKED) != 0 ||
	    (synic_load(&synic->scontrol) & HV_SYNIC_CONTROL_ENABLE) == 0 ||
	    (synic_load(&synic->siefp.value) & HV_SYNIC_SIEFP_ENABLE) == 0) {
		return false;
	}
	if (!vm_page_set_bit(synic->siefp.page, (size_t)sint * HV_EVENT_FLAGS_COUNT + flag) &&
	    (control & HV_SYNIC_SINT_POLLING) == 0) {
		vcpu_post_vector(target, (uint8_t)(control & HV_SYNIC_SINT_VECTOR_MASK));
	}
	return true;
}

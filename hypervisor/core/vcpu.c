/*
 * vcpu.c - a vCPU's life on a CPU: requests, sleep and wake-up, entry and exit.
 */

#include "base/bits.h"
#include "hypervisor/core/frames.h"
#include "hypervisor/core/machine.h"
#include "vm/face.h"

#define NO_RIP UINT64_MAX
#define WORK_STEPS_AT_ONCE 4u
#define SHADOW_TICK_NS 20000ull
#define REAP_TICK_NS 100000ull /* between two pieces of memory that an ended guest gives back */

/* ---------------------------------------------------------------- small questions of the seam */

struct vm *vcpu_vm(const struct vcpu *vcpu)
{
	return vcpu->vm;
}

uint32_t vcpu_index(const struct vcpu *vcpu)
{
	return vcpu->index;
}

void *vcpu_slot(const struct vcpu *vcpu, enum vm_slot slot)
{
	return vcpu->slots[slot];
}

void vcpu_slot_set(struct vcpu *vcpu, enum vm_slot slot, void *state)
{
	vcpu->slots[slot] = state;
}

struct cpu_regs *vcpu_regs(struct vcpu *vcpu)
{
	return &vcpu->hvm.regs;
}

const struct hvm_paging *vcpu_paging(struct vcpu *vcpu)
{
	if (!vcpu->paging_valid) {
		hvm->paging_get(&vcpu->hvm, &vcpu->paging);
		vcpu->paging_valid = true;
	}
	return &vcpu->paging;
}

struct vcpu_mode vcpu_mode(struct vcpu *vcpu)
{
	const struct hvm_paging *p = vcpu_paging(vcpu);

	return (struct vcpu_mode){
	        .cpl = p->cpl,
	        .protected_mode = (p->cr0 & 1) != 0,
	        .vm86 = (vcpu->hvm.regs.rflags & RFLAGS_VM) != 0,
	        .long_mode = (p->efer & BIT(10)) != 0,
	        .code64 = (p->efer & BIT(10)) != 0 && p->cs_long,
	};
}

static struct vlapic *lapic_of(struct vcpu *vcpu)
{
	return board_lapic(&vcpu->vm->board, vcpu->index);
}

/* ---------------------------------------------------------------- requests */

void vcpu_request(struct vcpu *vcpu, uint32_t requests)
{
	__atomic_fetch_or(&vcpu->requests, requests, __ATOMIC_SEQ_CST);
	sched_wake(vcpu);
}

void vcpu_post_vector(struct vcpu *vcpu, uint8_t vector)
{
	(void)vlapic_post(lapic_of(vcpu), vector, false);
}

void vcpu_set_auto_eoi(struct vcpu *vcpu, uint8_t vector, bool on)
{
	vlapic_set_auto_eoi(lapic_of(vcpu), vector, on);
}

void vcpu_post_nmi(struct vcpu *vcpu)
{
	vcpu_request(vcpu, REQUEST_NMI);
}

void vcpu_post_upcall(struct vcpu *vcpu)
{
	vcpu_request(vcpu, REQUEST_LOOK);
}

void vcpu_wake(struct vcpu *vcpu)
{
	vcpu_request(vcpu, REQUEST_WAKE);
}

static void wait_expired(struct vm_timer *timer)
{
	vcpu_wake(timer->vcpu);
}

void vcpu_wait(struct vcpu *vcpu, uint64_t deadline_ns)
{
	vcpu->waiting = true;
	if (deadline_ns != 0) {
		vm_timer_arm(&vcpu->wait_timer, deadline_ns);
	}
}

void vcpu_yield(struct vcpu *vcpu)
{
	vcpu->yielding = true;
}

void vcpu_flush_tlbs(struct vcpu *vcpu, uint64_t mask)
{
	struct vm *vm = vcpu->vm;

	for (uint64_t left = mask; left != 0; left &= left - 1) {
		uint32_t i = bit_lowest(left);
		struct vcpu *target = i < vm->config.vcpu_count ? vm->vcpus[i] : NULL;

		if (target == NULL) {
			continue;
		}
		__atomic_fetch_or(&target->requests, REQUEST_FLUSH, __ATOMIC_SEQ_CST);
		if (target != vcpu && __atomic_load_n(&target->in_guest, __ATOMIC_SEQ_CST) != 0) {
			vcpu->flush_seen[i] = __atomic_load_n(&target->exit_count, __ATOMIC_SEQ_CST);
			vcpu->flush_wait |= BIT64(i);
			cpu_kick(__atomic_load_n(&target->cpu, __ATOMIC_ACQUIRE));
		}
	}
}

/* Has every vCPU that was in the guest left it since? */
static bool flush_is_done(struct vcpu *vcpu)
{
	for (uint64_t left = vcpu->flush_wait; left != 0; left &= left - 1) {
		uint32_t i = bit_lowest(left);
		struct vcpu *target = vcpu->vm->vcpus[i];

		if (__atomic_load_n(&target->in_guest, __ATOMIC_SEQ_CST) == 0 ||
		    __atomic_load_n(&target->exit_count, __ATOMIC_SEQ_CST) != vcpu->flush_seen[i]) {
			vcpu->flush_wait &= ~BIT64(i);
		}
	}
	return vcpu->flush_wait == 0;
}

/* ---------------------------------------------------------------- up, down, INIT, SIPI */

bool vcpu_is_up(const struct vcpu *vcpu)
{
	return vcpu->life == LIFE_UP &&
	       (__atomic_load_n(&vcpu->requests, __ATOMIC_RELAXED) & REQUEST_DOWN) == 0;
}

enum vm_status vcpu_up(struct vcpu *vcpu)
{
	if (vcpu->life == LIFE_WAIT_SIPI) {
		return VM_EINVAL;
	}
	vcpu_request(vcpu, REQUEST_UP);
	return VM_OK;
}

void vcpu_down(struct vcpu *vcpu)
{
	vcpu_request(vcpu, REQUEST_DOWN);
}

static void take_lifecycle(struct vcpu *vcpu, uint32_t requests)
{
	if ((requests & REQUEST_INIT) != 0 && vcpu->life != LIFE_WAIT_SIPI) {
		vcpu->life = LIFE_WAIT_SIPI;
		vlapic_init_signal(lapic_of(vcpu));
		personality.vcpu_reset(vcpu);
	}
	if ((requests & REQUEST_SIPI) != 0 && vcpu->life == LIFE_WAIT_SIPI) {
		vcpu_reset_state(vcpu, vcpu->sipi_vector);
		vcpu->life = LIFE_UP;
	}
	if ((requests & REQUEST_DOWN) != 0 && vcpu->life == LIFE_UP) {
		vcpu->life = LIFE_DOWN;
	}
	if ((requests & REQUEST_UP) != 0 && vcpu->life == LIFE_DOWN) {
		vcpu->life = LIFE_UP;
		vcpu->halted = false;
	}
	__atomic_store_n(&vcpu->done, vcpu->life != LIFE_UP, __ATOMIC_SEQ_CST);
	if (vcpu->life == LIFE_UP && vcpu->runstate == VCPU_OFFLINE) {
		sched_runstate(vcpu, VCPU_RUNNING);
	}
}

static void take_requests(struct vcpu *vcpu)
{
	uint32_t requests;

	if (__atomic_load_n(&vcpu->requests, __ATOMIC_RELAXED) == 0) {
		return;
	}
	requests = __atomic_exchange_n(&vcpu->requests, 0, __ATOMIC_SEQ_CST);
	if ((requests & REQUEST_FLUSH) != 0) {
		tlb_forget(&vcpu->tlb);
	}
	if ((requests & (REQUEST_INIT | REQUEST_SIPI | REQUEST_DOWN | REQUEST_UP)) != 0) {
		take_lifecycle(vcpu, requests);
	}
	if ((requests & REQUEST_NMI) != 0) {
		vcpu->nmi_pending = true;
	}
	if ((requests & REQUEST_WAKE) != 0) {
		vcpu->waiting = false;
	}
	if (__atomic_exchange_n(&vcpu->lapic_due, false, __ATOMIC_SEQ_CST)) {
		vlapic_timer_expired(lapic_of(vcpu), vm_time_ns(vcpu->vm));
	}
}

/* ---------------------------------------------------------------- sleep */

static bool interrupts_open(const struct vcpu *vcpu)
{
	return (vcpu->hvm.regs.rflags & RFLAGS_IF) != 0;
}

static bool interrupt_is_pending(struct vcpu *vcpu)
{
	return vlapic_pending(lapic_of(vcpu)) >= 0 || personality.upcall(vcpu) >= 0;
}

/* HLT and vcpu_wait(): true while nothing ends them. */
static bool sleeps(struct vcpu *vcpu)
{
	if (!vcpu->halted && !vcpu->waiting) {
		return false;
	}
	if (vcpu->nmi_pending || vcpu->hvm.inject.kind != HVM_EVENT_NONE ||
	    ((vcpu->waiting || interrupts_open(vcpu)) && interrupt_is_pending(vcpu))) {
		vcpu->halted = false;
		__atomic_store_n(&vcpu->done, false, __ATOMIC_SEQ_CST);
		vcpu->waiting = false;
		vm_timer_disarm(&vcpu->wait_timer);
		return false;
	}
	return true;
}

/* Down, or HLT with interrupts off, and nothing is on its way that could end that. */
static bool is_done(const struct vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->done, __ATOMIC_SEQ_CST) &&
	       (__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) &
	        (REQUEST_INIT | REQUEST_SIPI | REQUEST_NMI | REQUEST_UP | REQUEST_WAKE)) == 0;
}

/*
 * It goes to sleep: with the last vCPU for which nothing is left to wait for, the guest is off. Each sets its own mark
 * first and looks at the others' then, so one sees all; and looks again after each request that did not wake it.
 */
static void note_done(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	bool all_done = true;

	if (vcpu->life == LIFE_UP && (vcpu->waiting || interrupts_open(vcpu))) {
		return;
	}
	__atomic_store_n(&vcpu->done, true, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < vm->config.vcpu_count; i++) {
		all_done = all_done && is_done(vm->vcpus[i]);
	}
	if (all_done) {
		vm_stop(vm, VM_STOP_POWEROFF, "all its vCPUs halted");
	}
}

bool vcpu_has_reason(struct vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) != 0 &&
	       __atomic_load_n(&vcpu->vm->stopping, __ATOMIC_SEQ_CST) == 0;
}

/* ---------------------------------------------------------------- entry */

/* In the shadow of STI or MOV SS? Kept by RIP, as a CPU (or emulator) may forget it over an exit. */
static bool in_shadow(struct vcpu *vcpu)
{
	if (vcpu->hvm.shadow) {
		vcpu->shadow_rip = vcpu->hvm.regs.rip;
	} else if (vcpu->shadow_rip == vcpu->hvm.regs.rip) {
		vcpu->hvm.shadow = true;
	} else {
		vcpu->shadow_rip = NO_RIP;
	}
	return vcpu->hvm.shadow;
}

static void inject_interrupt(struct vcpu *vcpu)
{
	int vector = personality.upcall(vcpu);

	if (vector < 0) {
		vector = vlapic_pending(lapic_of(vcpu));
		vlapic_accept(lapic_of(vcpu), (uint8_t)vector);
	}
	vcpu->hvm.inject = (struct hvm_event){HVM_EVENT_INTERRUPT, (uint8_t)vector, false, 0};
}

/* Decides, in software, what the next entry delivers. Returns true if something is left over that no window exit will tell of. */
static bool prepare_events(struct vcpu *vcpu)
{
	bool shadow = in_shadow(vcpu);
	bool busy = vcpu->hvm.inject.kind != HVM_EVENT_NONE;
	bool nmi_waits;

	if (vcpu->nmi_pending && !busy && !shadow && !vcpu->hvm.nmi_blocked) {
		vcpu->nmi_pending = false;
		vcpu->hvm.inject = (struct hvm_event){HVM_EVENT_NMI, 2, false, 0};
		busy = true;
	}
	vcpu->hvm.want_nmi_window = vcpu->nmi_pending && vcpu->hvm.nmi_blocked;
	nmi_waits = vcpu->nmi_pending && (shadow || vcpu->hvm.nmi_blocked);
	vcpu->hvm.want_window = false;
	if (!interrupt_is_pending(vcpu)) {
		return nmi_waits;
	}
	if (!busy && !shadow && interrupts_open(vcpu)) {
		inject_interrupt(vcpu);
		/* Whoever can (VMX) exits when its handler is left: a guest that lets interrupts in for an instruction only takes all. */
		vcpu->hvm.want_window = interrupt_is_pending(vcpu);
		return nmi_waits || vcpu->hvm.want_window;
	}
	vcpu->hvm.want_window = !shadow && !busy;
	return nmi_waits || shadow || busy;
}

/* The earlier of @until and in @ns. */
static uint64_t not_later(uint64_t until, uint64_t ns)
{
	uint64_t soon = tsc_read() + mul_div(ns, host_tsc_hz(), 1000000000u);

	return until < soon ? until : soon;
}

static void arm_timer(struct cpu *cpu, struct vcpu *vcpu, bool shadow)
{
	uint64_t until = timer_next_tsc(cpu);

	until = until < cpu->slice_end_tsc ? until : cpu->slice_end_tsc;
	if (shadow) {
		until = not_later(until, SHADOW_TICK_NS);
	}
	if (cpu->reaped && control_is_giving_back()) {
		until = not_later(until, REAP_TICK_NS);
	}
	vcpu->hvm.until_tsc = until;
	/* Past its deadline: it fires at once, or, should its interrupt have been lost, once more. */
	if (until != cpu->armed_tsc || until <= tsc_read()) {
		cpu->armed_tsc = until;
		host_timer_arm(until);
	}
}

static void trace(struct cpu *cpu, const struct vcpu *vcpu, const struct hvm_exit *exit)
{
	struct exit_trace *row = &cpu->trace[cpu->trace_next++ % ARRAY_COUNT(cpu->trace)];

	row->tsc = tsc_read();
	row->rip = vcpu->hvm.regs.rip;
	row->code = exit->code;
	row->vm = vcpu->vm->config.id;
	row->vcpu = vcpu->index;
}

/* What was being delivered is delivered again; a software interrupt executes again by itself. */
static void take_undelivered(struct vcpu *vcpu, const struct hvm_exit *exit)
{
	vcpu->hvm.inject = exit->undelivered;
	if (exit->undelivered.kind == HVM_EVENT_SOFTWARE) {
		vcpu->hvm.inject.kind = HVM_EVENT_NONE;
	}
}

/* One stay in the guest. False if a request came before it began. */
static bool enter(struct cpu *cpu, struct vcpu *vcpu, struct hvm_exit *exit)
{
	struct vlapic *lapic = lapic_of(vcpu);
	struct tlb_choice choice;
	bool in_time = true;

	arm_timer(cpu, vcpu, prepare_events(vcpu));
	vcpu->hvm.cr8 = vlapic_cr8(lapic);
	vcpu->hvm.want_cr8 = vcpu->hvm.cr8 != 0;
	choice = tlb_enter(&cpu->tlb, cpu->index, &vcpu->tlb, &vcpu->vm->p2m.space);
	vcpu->hvm.asid = choice.asid;
	vcpu->hvm.flush_tlb = choice.flush_all;
	vcpu->hvm.flush_nested = choice.flush_nested;
	__atomic_store_n(&vcpu->in_guest, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) != 0 ||
	    __atomic_load_n(&vcpu->vm->stopping, __ATOMIC_SEQ_CST) != 0) {
		in_time = false;
	} else {
		if (vcpu->hvm.inject.kind != HVM_EVENT_NONE) {
			vcpu->last_injected = vcpu->hvm.inject;
		}
		cpu_note_stretch(cpu);
		hvm->run(&vcpu->hvm, exit);
		if (exit->reason != HVM_EXIT_INVALID) { /* else the CPU may have refused before it flushed */
			tlb_entered(&cpu->tlb, &choice);
		}
		cpu->closed_since_tsc = tsc_read();
	}
	__atomic_store_n(&vcpu->in_guest, 0, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&vcpu->exit_count, 1, __ATOMIC_SEQ_CST);
	if (!in_time) {
		return false;
	}
	vcpu->paging_valid = false;
	take_undelivered(vcpu, exit);
	if (vcpu->hvm.cr8 != vlapic_cr8(lapic)) {
		vlapic_set_cr8(lapic, vcpu->hvm.cr8);
	}
	trace(cpu, vcpu, exit);
	return true;
}

/* ---------------------------------------------------------------- on and off a CPU */

/*
 * Another guest than the last one here: what that one left in this CPU goes, as far as isolation.def has a row for it.
 * A struct vm is one guest of the configuration for as long as Janus runs, so one that was ended and started again is
 * the same owner's.
 */
static void part_guests(struct cpu *cpu, const struct vm *vm)
{
	if (cpu->last_guest != vm) {
		host_isolation_switch();
		cpu->last_guest = vm;
	}
}

static void switch_in(struct cpu *cpu, struct vcpu *vcpu)
{
	part_guests(cpu, vcpu->vm);
	dr0_write(vcpu->dr[0]);
	dr1_write(vcpu->dr[1]);
	dr2_write(vcpu->dr[2]);
	dr3_write(vcpu->dr[3]);
	if (host_xcr0() != 0) {
		cpu_xrstor(vcpu->xsave, host_xcr0());
		xcr_write(0, vcpu->xcr0);
	} else {
		cpu_fxrstor(vcpu->xsave);
	}
	vcpu_switch_msrs(vcpu);
	hvm->load(&vcpu->hvm);
	if (vcpu->life == LIFE_UP) {
		personality.scheduled(vcpu);
	}
}

static void switch_out(struct vcpu *vcpu)
{
	hvm->unload(&vcpu->hvm);
	vcpu->dr[0] = dr0_read();
	vcpu->dr[1] = dr1_read();
	vcpu->dr[2] = dr2_read();
	vcpu->dr[3] = dr3_read();
	if (host_xcr0() != 0) {
		vcpu->xcr0 = xcr_read(0);
		xcr_write(0, host_xcr0());
		cpu_xsave(vcpu->xsave, host_xcr0());
	} else {
		cpu_fxsave(vcpu->xsave);
	}
}

static void run_work(struct vcpu *vcpu)
{
	for (uint32_t i = 0; i < WORK_STEPS_AT_ONCE; i++) {
		if (list_is_empty(&vcpu->vm->work) || !work_run_one(vcpu->vm)) {
			return;
		}
	}
}

static bool has_work(struct vcpu *vcpu)
{
	return !list_is_empty(&vcpu->vm->work);
}

enum verdict {
	VERDICT_ENTER,
	VERDICT_LOOK_AGAIN,
	VERDICT_BLOCK,
	VERDICT_REQUEUE,
};

/* What to do with the vCPU that is on this CPU: once after each exit. */
static enum verdict judge(struct cpu *cpu, struct vcpu *vcpu)
{
	if (__atomic_load_n(&vcpu->vm->stopping, __ATOMIC_ACQUIRE) != 0) {
		return VERDICT_BLOCK;
	}
	take_requests(vcpu);
	if (has_work(vcpu)) {
		run_work(vcpu);
		cpu_open_interrupts(cpu);
	}
	if (tsc_read() >= cpu->slice_end_tsc || vcpu->yielding) {
		vcpu->yielding = false;
		cpu->slice_end_tsc = tsc_read() + mul_div(SLICE_NS, host_tsc_hz(), 1000000000u);
		if (sched_others_wait()) {
			return VERDICT_REQUEUE;
		}
	}
	if (vcpu->life != LIFE_UP || sleeps(vcpu)) {
		if (has_work(vcpu)) {
			return VERDICT_LOOK_AGAIN;
		}
		note_done(vcpu);
		return VERDICT_BLOCK;
	}
	if (!flush_is_done(vcpu)) {
		cpu_open_interrupts(cpu);
		return sched_others_wait() ? VERDICT_REQUEUE : VERDICT_LOOK_AGAIN;
	}
	return VERDICT_ENTER;
}

enum vcpu_leave vcpu_run(struct cpu *cpu, struct vcpu *vcpu)
{
	struct hvm_exit exit;
	enum verdict verdict;

	cpu->slice_end_tsc = tsc_read() + mul_div(SLICE_NS, host_tsc_hz(), 1000000000u);
	switch_in(cpu, vcpu);
	for (;;) {
		verdict = judge(cpu, vcpu);
		if (verdict == VERDICT_BLOCK || verdict == VERDICT_REQUEUE) {
			break;
		}
		if (verdict == VERDICT_ENTER && enter(cpu, vcpu, &exit)) {
			if (exit.reason == HVM_EXIT_HOST) {
				cpu_open_interrupts(cpu);
			}
			exit_handle(vcpu, &exit);
		}
	}
	switch_out(vcpu);
	return verdict == VERDICT_REQUEUE ? LEAVE_AGAIN : LEAVE_BLOCKED;
}

/* ---------------------------------------------------------------- creation */

static void lapic_expired(struct vm_timer *timer)
{
	struct vcpu *vcpu = timer->vcpu;

	__atomic_store_n(&vcpu->lapic_due, true, __ATOMIC_SEQ_CST);
	vcpu_request(vcpu, REQUEST_LOOK);
}

static bool allocate(struct vcpu *vcpu)
{
	void *pages[4];
	uint32_t count = hvm->vcpu_page_count();

	CHECK(count <= ARRAY_COUNT(pages));
	for (uint32_t i = 0; i < count; i++) {
		struct vm_page *page = frames_alloc(0, FRAME_HOST, 0);

		if (page == NULL) {
			return false; /* what was taken is given back with the vCPU */
		}
		vcpu->backend_pages[i] = page;
		pages[i] = page->bytes;
	}
	vcpu->xsave_page = frames_alloc(1, FRAME_HOST, 0);
	if (vcpu->xsave_page == NULL) {
		return false;
	}
	vcpu->xsave = vcpu->xsave_page->bytes;
	hvm->vcpu_create(&vcpu->hvm, pages);
	return true;
}

bool vcpu_create(struct vm *vm, uint32_t index)
{
	struct vcpu *vcpu = heap_alloc(sizeof(*vcpu));

	if (vcpu == NULL) {
		return false;
	}
	vm->vcpus[index] = vcpu;
	vcpu->vm = vm;
	vcpu->index = index;
	vcpu->place = PLACE_BLOCKED;
	vcpu->life = LIFE_WAIT_SIPI;
	vcpu->done = true;
	vcpu->runstate = VCPU_OFFLINE;
	list_init(&vcpu->run_node);
	vm_timer_init(&vcpu->wait_timer, vcpu, wait_expired);
	vm_timer_init(&vcpu->lapic_timer, vcpu, lapic_expired);
	if (!allocate(vcpu)) {
		return false;
	}
	vcpu->hvm.nested_root = vm->p2m.root;
	vcpu->hvm.tsc_offset = 0 - vm->tsc_base;
	msr_store_reset(&vcpu->msrs);
	vcpu_reset_state(vcpu, 0);
	return true;
}

void vcpu_disarm(struct vcpu *vcpu)
{
	vm_timer_disarm(&vcpu->wait_timer);
	vm_timer_disarm(&vcpu->lapic_timer);
}

void vcpu_destroy(struct vcpu *vcpu)
{
	vcpu_disarm(vcpu);
	for (uint32_t i = 0; i < ARRAY_COUNT(vcpu->backend_pages); i++) {
		if (vcpu->backend_pages[i] != NULL) {
			frames_free(vcpu->backend_pages[i], 0);
		}
	}
	if (vcpu->xsave_page != NULL) {
		frames_free(vcpu->xsave_page, 1);
	}
	vcpu->vm->vcpus[vcpu->index] = NULL;
	heap_free(vcpu);
}

/*
 * hv_msr_test.c - the Hyper-V MSRs, but for the SynIC's and the timers'.
 */
#include "tests/unit/hyperv_support.h"

#define OS_ID 0x8100000060100000ull
#define PAGE_AT 0x5000ull

static uint8_t byte_at(struct vm *vm, uint64_t at)
{
	uint8_t byte = 0;

	CU_ASSERT_EQUAL(vm_read(vm, gpa(at), &byte, 1), VM_OK);
	return byte;
}

static void test_table(void)
{
	struct vm *vm = hyperv_guest(1);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	uint32_t row = 0;
	uint32_t last = 0;

#define OFFERED 0
#define REFUSED 1
#define SPEC_ROW(number, name, refused, handler, clause)                                           \
	CU_ASSERT((number) > last);                                                                \
	last = number;                                                                             \
	if (refused) {                                                                             \
		CU_ASSERT(rd_faults(vcpu, number));                                                \
		CU_ASSERT(wr_faults(vcpu, number, 0));                                             \
		CU_ASSERT_EQUAL(host_count_refused(vm, SPEC_HV_MSR, row), 2);                      \
	} else {                                                                                   \
		rd(vcpu, number);                                                                  \
		CU_ASSERT_EQUAL(host_count_refused(vm, SPEC_HV_MSR, row), 0);                      \
		CU_ASSERT_EQUAL(host_count_used(vm, SPEC_HV_MSR, row), 1);                         \
	}                                                                                          \
	row++;
#include "specs/hv_msr.def"
#undef SPEC_ROW
	hyperv_guest_free(vm);
}

static void test_numbers_in_no_row(void)
{
	struct vm *vm = hyperv_guest(1);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	uint64_t value;

	CU_ASSERT(rd_faults(vcpu, 0x40000004));
	CU_ASSERT(wr_faults(vcpu, 0x400001FF, 1));
	CU_ASSERT(rd_faults(vcpu, 0x40001091));
	CU_ASSERT(rd_faults(vcpu, 0x400010FF));
	CU_ASSERT_EQUAL(host_count_refused(vm, SPEC_HV_MSR, SPEC_UNKNOWN), 4);
	CU_ASSERT_EQUAL(hyperv_face.msr_read(vcpu, 0x40000200, &value), FACE_MSR_ABSENT);
	CU_ASSERT_EQUAL(hyperv_face.msr_write(vcpu, 0x40000200, 0), FACE_MSR_ABSENT);
	CU_ASSERT_EQUAL(hyperv_face.msr_read(vcpu, 0x4000FFFF, &value), FACE_MSR_ABSENT);
	hyperv_guest_free(vm);
}

static void test_hypercall_page(void)
{
	struct vm *vm = hyperv_guest(2);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	static const uint8_t endbr64[] = {0xF3, 0x0F, 0x1E, 0xFA};
	uint8_t page[PAGE_BYTES];
	uint8_t mine = 0x77;

	CU_ASSERT_EQUAL(vm_write(vm, gpa(PAGE_AT), &mine, 1), VM_OK);
	/* No identity, no page; and no fault. */
	wr(vcpu, HV_X64_MSR_HYPERCALL, PAGE_AT | 0x7FD);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_HYPERCALL), PAGE_AT | 0x7FC);
	CU_ASSERT_EQUAL(byte_at(vm, PAGE_AT), mine);
	wr(vcpu, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	CU_ASSERT_EQUAL(rd(vm_vcpu(vm, 1), HV_X64_MSR_GUEST_OS_ID), OS_ID);
	wr(vcpu, HV_X64_MSR_HYPERCALL, PAGE_AT | OVERLAY_ON);
	CU_ASSERT_EQUAL(rd(vm_vcpu(vm, 1), HV_X64_MSR_HYPERCALL), PAGE_AT | OVERLAY_ON);
	CU_ASSERT_EQUAL(vm_read(vm, gpa(PAGE_AT), page, sizeof(page)), VM_OK);
	CU_ASSERT_EQUAL(memcmp(page, endbr64, 4), 0);
	CU_ASSERT_EQUAL(memcmp(page + 4, vm_hypercall_opcode(vm), 3), 0);
	CU_ASSERT_EQUAL(page[7], 0xC3);
	CU_ASSERT(page[8] == 0xCC && page[PAGE_BYTES - 1] == 0xCC);
	CU_ASSERT_NOT_EQUAL(vm_write(vm, gpa(PAGE_AT), &mine, 1), VM_OK);
	/* Moved, then hidden: what lies below is as it was. */
	wr(vcpu, HV_X64_MSR_HYPERCALL, 0x9000 | OVERLAY_ON);
	CU_ASSERT_EQUAL(byte_at(vm, PAGE_AT), mine);
	CU_ASSERT_EQUAL(byte_at(vm, 0x9000), 0xF3);
	wr(vcpu, HV_X64_MSR_GUEST_OS_ID, 0);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_HYPERCALL), 0x9000);
	CU_ASSERT_EQUAL(byte_at(vm, 0x9000), 0);
	hyperv_guest_free(vm);
}

static void test_page_outside(void)
{
	struct vm *vm = hyperv_guest(1);
	struct vcpu *vcpu = vm_vcpu(vm, 0);

	wr(vcpu, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(vcpu, HV_X64_MSR_HYPERCALL, PAGE_AT | OVERLAY_ON);
	CU_ASSERT(wr_faults(vcpu, HV_X64_MSR_HYPERCALL, ~0ull));
	CU_ASSERT(wr_faults(vcpu, HV_X64_MSR_REFERENCE_TSC, ~0ull));
	CU_ASSERT(wr_faults(vcpu, HV_X64_MSR_SIMP, ~0ull));
	CU_ASSERT(wr_faults(vcpu, HV_X64_MSR_SIEFP, ~0ull));
	CU_ASSERT(wr_faults(vcpu, HV_X64_MSR_VP_ASSIST_PAGE, ~0ull));
	CU_ASSERT(wr_faults(vcpu, HV_X64_MSR_VP_ASSIST_PAGE, PAGE_AT | OVERLAY_ON)); /* taken */
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_HYPERCALL), PAGE_AT | OVERLAY_ON);
	CU_ASSERT_EQUAL(byte_at(vm, PAGE_AT), 0xF3);
	/* Disabled, an address is only stored. */
	wr(vcpu, HV_X64_MSR_HYPERCALL, ~1ull);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_HYPERCALL), ~1ull);
	CU_ASSERT_EQUAL(byte_at(vm, PAGE_AT), 0);
	hyperv_guest_free(vm);
}

static void test_read_only(void)
{
	struct vm *vm = hyperv_guest(3);
	static const uint32_t msrs[] = {HV_X64_MSR_VP_INDEX,	   HV_X64_MSR_VP_RUNTIME,
					HV_X64_MSR_TIME_REF_COUNT, HV_X64_MSR_TSC_FREQUENCY,
					HV_X64_MSR_APIC_FREQUENCY, HV_X64_MSR_GUEST_IDLE,
					HV_X64_MSR_SVERSION};

	for (size_t i = 0; i < ARRAY_COUNT(msrs); i++) {
		CU_ASSERT(wr_faults(vm_vcpu(vm, 0), msrs[i], 0));
	}
	CU_ASSERT_EQUAL(rd(vm_vcpu(vm, 2), HV_X64_MSR_VP_INDEX), 2);
	CU_ASSERT_EQUAL(rd(vm_vcpu(vm, 0), HV_X64_MSR_TSC_FREQUENCY), 1000000000);
	CU_ASSERT_EQUAL(rd(vm_vcpu(vm, 0), HV_X64_MSR_APIC_FREQUENCY), 1000000000);
	CU_ASSERT_EQUAL(rd(vm_vcpu(vm, 0), HV_X64_MSR_SVERSION), 1);
	hyperv_guest_free(vm);
}

/* As a guest computes it from the page. */
static uint64_t page_time(struct vm *vm, uint64_t at)
{
	struct hv_reference_tsc_page page;

	CU_ASSERT_EQUAL(vm_read(vm, gpa(at), &page, sizeof(page)), VM_OK);
	CU_ASSERT(page.tsc_sequence != 0 && page.tsc_sequence != UINT32_MAX);
	return mul_high(host_tsc(vm), page.tsc_scale) + (uint64_t)page.tsc_offset;
}

static void test_time(void)
{
	struct clock clock;
	struct host_vm_config config = {.vm = {.hyperv_face = true, .clock = &clock}};
	static const uint64_t steps_ns[] = {1, 99, 1000, 123456789, 3600000000000, 86400000000000};
	struct vm *vm;
	struct vcpu *vcpu;

	clock_init(&clock, 2394454000, true, 0);
	vm = host_vm_new(&config);
	vcpu = vm_vcpu(vm, 0);
	CU_ASSERT_FATAL(hyperv_face.create(vm));
	/* At once, and with no identity told. */
	wr(vcpu, HV_X64_MSR_REFERENCE_TSC, 0x6000 | OVERLAY_ON);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_REFERENCE_TSC), 0x6000 | OVERLAY_ON);
	for (size_t i = 0; i < ARRAY_COUNT(steps_ns); i++) {
		uint64_t count;
		uint64_t page;

		host_time_advance_ns(vm, steps_ns[i]);
		count = rd(vcpu, HV_X64_MSR_TIME_REF_COUNT);
		page = page_time(vm, 0x6000);
		CU_ASSERT_EQUAL(count, vm_time_ns(vm) / 100);
		CU_ASSERT(page + 1 >= count && page <= count + 1);
	}
	CU_ASSERT_NOT_EQUAL(vm_write(vm, gpa(0x6000), "x", 1), VM_OK);
	wr(vcpu, HV_X64_MSR_REFERENCE_TSC, 0);
	CU_ASSERT_EQUAL(byte_at(vm, 0x6000), 0);
	hyperv_guest_free(vm);
}

static void test_runtime_and_idle(void)
{
	struct vm *vm = hyperv_guest(1);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	uint64_t before;

	host_vcpu_set_runstate(vcpu, VCPU_RUNNING);
	before = rd(vcpu, HV_X64_MSR_VP_RUNTIME);
	host_time_advance_ns(vm, 5000);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_VP_RUNTIME), before + 50);
	host_vcpu_set_runstate(vcpu, VCPU_BLOCKED);
	host_time_advance_ns(vm, 5000);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_VP_RUNTIME), before + 50);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_GUEST_IDLE), 0);
	CU_ASSERT(host_vcpu_is_waiting(vcpu));
	CU_ASSERT_EQUAL(host_vcpu_wait_deadline_ns(vcpu), 0);
	vcpu_post_vector(vcpu, 0x40);
	CU_ASSERT_FALSE(host_vcpu_is_waiting(vcpu));
	hyperv_guest_free(vm);
}

static void test_reset_msr(void)
{
	struct vm *vm = hyperv_guest(1);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	enum vm_stop_how how;

	wr(vcpu, HV_X64_MSR_RESET, 2);
	CU_ASSERT_FALSE(host_vm_stopped(vm, &how));
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_RESET), 0);
	wr(vcpu, HV_X64_MSR_RESET, 3);
	CU_ASSERT(host_vm_stopped(vm, &how) && how == VM_STOP_REBOOT);
	hyperv_guest_free(vm);
}

static void test_vp_assist(void)
{
	struct vm *vm = hyperv_guest(2);
	struct vcpu *vcpu = vm_vcpu(vm, 1);
	uint8_t byte = 0x5A;

	wr(vcpu, HV_X64_MSR_VP_ASSIST_PAGE, 0x8000 | OVERLAY_ON);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_VP_ASSIST_PAGE), 0x8000 | OVERLAY_ON);
	CU_ASSERT_EQUAL(rd(vm_vcpu(vm, 0), HV_X64_MSR_VP_ASSIST_PAGE), 0);
	CU_ASSERT_EQUAL(byte_at(vm, 0x8000), 0);
	CU_ASSERT_EQUAL(vm_write(vm, gpa(0x8010), &byte, 1), VM_OK);
	wr(vcpu, HV_X64_MSR_VP_ASSIST_PAGE, 0);
	CU_ASSERT_EQUAL(byte_at(vm, 0x8010), 0);
	/* Kept while it is not shown. */
	wr(vcpu, HV_X64_MSR_VP_ASSIST_PAGE, 0x9000 | OVERLAY_ON);
	CU_ASSERT_EQUAL(byte_at(vm, 0x9010), byte);
	hyperv_guest_free(vm);
}

static void set_crash(struct vcpu *vcpu, uint64_t p3, uint64_t p4)
{
	for (uint32_t i = 0; i < 3; i++) {
		wr(vcpu, HV_X64_MSR_CRASH_P0 + i, 0xABC0 + i);
	}
	wr(vcpu, HV_X64_MSR_CRASH_P3, p3);
	wr(vcpu, HV_X64_MSR_CRASH_P4, p4);
}

static void test_crash(void)
{
	struct vm *vm = hyperv_guest(1);
	struct vcpu *vcpu = vm_vcpu(vm, 0);

	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_CRASH_CTL), 3ull << 62);
	CU_ASSERT_PTR_NULL(hyperv_crash_reason(vm));
	set_crash(vcpu, 3, 4);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_CRASH_P2), 0xABC2);
	wr(vcpu, HV_X64_MSR_CRASH_CTL, 0);
	CU_ASSERT_EQUAL(host_log_count(vm), 0);
	wr(vcpu, HV_X64_MSR_CRASH_CTL, 1ull << 63);
	CU_ASSERT(host_log_has(vm, "P0=abc0 P1=abc1 P2=abc2 P3=3 P4=4"));
	CU_ASSERT_FATAL(hyperv_crash_reason(vm) != NULL);
	CU_ASSERT(strstr(hyperv_crash_reason(vm), "P0=abc0") != NULL);
	CU_ASSERT_FALSE(host_vm_stopped(vm, NULL));
	hyperv_guest_free(vm);
}

/* A guest that only spins after its crash is ended as crashed; a dump kernel (a new identity) may go on. */
static void test_crash_grace(void)
{
	struct vm *vm = hyperv_guest(1);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	enum vm_stop_how how;

	set_crash(vcpu, 3, 4);
	wr(vcpu, HV_X64_MSR_CRASH_CTL, 1ull << 63);
	host_time_advance_ns(vm, 9000000000ull);
	CU_ASSERT_FALSE(host_vm_stopped(vm, &how));
	wr(vcpu, HV_X64_MSR_GUEST_OS_ID, 0);
	host_time_advance_ns(vm, 9000000000ull);
	CU_ASSERT_FALSE(host_vm_stopped(vm, &how));
	wr(vcpu, HV_X64_MSR_CRASH_CTL, 1ull << 63);
	host_time_advance_ns(vm, 11000000000ull);
	CU_ASSERT_TRUE_FATAL(host_vm_stopped(vm, &how));
	CU_ASSERT_EQUAL(how, VM_STOP_CRASH);
	hyperv_guest_free(vm);
}

/* One that reports again and again lives no longer for it, and does not fill the log. */
static void test_crash_storm(void)
{
	struct vm *vm = hyperv_guest(1);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	enum vm_stop_how how;

	set_crash(vcpu, 3, 4);
	for (unsigned int i = 0; i < 90; i++) {
		wr(vcpu, HV_X64_MSR_CRASH_CTL, 1ull << 63);
		CU_ASSERT_FALSE(host_vm_stopped(vm, &how));
		host_time_advance_ns(vm, 100000000ull);
	}
	CU_ASSERT_EQUAL(host_log_count(vm), 8);
	host_time_advance_ns(vm, 1000000001ull);
	CU_ASSERT_TRUE_FATAL(host_vm_stopped(vm, &how));
	CU_ASSERT_EQUAL(how, VM_STOP_CRASH);
	hyperv_guest_free(vm);
}

static void test_crash_message(void)
{
	struct vm *vm = hyperv_guest(1);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	char text[4096];
	static const char end[] = "early\nKernel panic - not syncing\x1b: sick\nlast line\n";

	CU_ASSERT_EQUAL(vm_write(vm, gpa(0x3FF0), end, sizeof(end)), VM_OK);
	set_crash(vcpu, 0x3FF0, sizeof(end));
	wr(vcpu, HV_X64_MSR_CRASH_CTL, 3ull << 62);
	CU_ASSERT(host_log_has(vm, "crash: early"));
	CU_ASSERT(host_log_has(vm, "Kernel panic - not syncing?: sick"));
	CU_ASSERT(host_log_has(vm, "crash: last line"));
	CU_ASSERT_EQUAL(host_log_count(vm), 4);
	/* 1024 lines: the last 24. Then one line without an end: cut. */
	for (size_t i = 0; i < sizeof(text); i += 4) {
		text[i] = (char)('a' + i / 4 % 26);
		text[i + 1] = text[i];
		text[i + 2] = text[i];
		text[i + 3] = '\n';
	}
	CU_ASSERT_EQUAL(vm_write(vm, gpa(0x4000), text, sizeof(text)), VM_OK);
	set_crash(vcpu, 0x4000, sizeof(text));
	wr(vcpu, HV_X64_MSR_CRASH_CTL, 3ull << 62);
	CU_ASSERT_EQUAL(host_log_count(vm), 4 + 25);
	memset(text, 'z', sizeof(text));
	CU_ASSERT_EQUAL(vm_write(vm, gpa(0x4000), text, sizeof(text)), VM_OK);
	wr(vcpu, HV_X64_MSR_CRASH_CTL, 3ull << 62);
	CU_ASSERT_EQUAL(host_log_count(vm), 29 + 1 + 18);
	hyperv_guest_free(vm);
}

static void test_crash_message_hostile(void)
{
	struct vm *vm = hyperv_guest(1);
	struct vcpu *vcpu = vm_vcpu(vm, 0);
	static const uint64_t bad[][2] = {{0x4000, 0},	 {0x4000, 4097},  {0x4000, ~0ull},
					  {~0ull, 4096}, {~0ull, 1},	  {1ull << 39, 100},
					  {0xFFFFF, 2},	 {~0ull - 10, 10}};

	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		set_crash(vcpu, bad[i][0], bad[i][1]);
		wr(vcpu, HV_X64_MSR_CRASH_CTL, 3ull << 62);
		CU_ASSERT_EQUAL(host_log_count(vm), 2 * (i + 1));
		CU_ASSERT(host_log_has(vm, "no message"));
	}
	hyperv_guest_free(vm);
}

static void test_machine_reset(void)
{
	struct vm *vm = hyperv_guest(2);
	struct vcpu *vcpu = vm_vcpu(vm, 1);
	uint8_t byte = 1;

	wr(vcpu, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(vcpu, HV_X64_MSR_HYPERCALL, PAGE_AT | OVERLAY_ON);
	wr(vcpu, HV_X64_MSR_REFERENCE_TSC, 0x6000 | OVERLAY_ON);
	wr(vcpu, HV_X64_MSR_VP_ASSIST_PAGE, 0x8000 | OVERLAY_ON);
	CU_ASSERT_EQUAL(vm_write(vm, gpa(0x8000), &byte, 1), VM_OK);
	set_crash(vcpu, 1, 2);
	wr(vcpu, HV_X64_MSR_CRASH_CTL, 1ull << 63);
	CU_ASSERT(hyperv_face.reset(vm));
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_GUEST_OS_ID), 0);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_HYPERCALL), 0);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_REFERENCE_TSC), 0);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_VP_ASSIST_PAGE), 0);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_CRASH_P0), 0);
	CU_ASSERT_PTR_NULL(hyperv_crash_reason(vm));
	CU_ASSERT_EQUAL(byte_at(vm, PAGE_AT), 0);
	/* And it works again. */
	wr(vcpu, HV_X64_MSR_VP_ASSIST_PAGE, 0x8000 | OVERLAY_ON);
	CU_ASSERT_EQUAL(byte_at(vm, 0x8000), 0);
	wr(vcpu, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(vcpu, HV_X64_MSR_HYPERCALL, PAGE_AT | OVERLAY_ON);
	CU_ASSERT_EQUAL(byte_at(vm, PAGE_AT), 0xF3);
	wr(vcpu, HV_X64_MSR_REFERENCE_TSC, 0x6000 | OVERLAY_ON);
	CU_ASSERT_EQUAL(byte_at(vm, 0x6000), 1);
	hyperv_guest_free(vm);
}

static void test_no_memory(void)
{
	struct host_vm_config config = {.vm = {.vcpu_count = 2, .hyperv_face = true}};
	struct vm *vm = host_vm_new(&config);
	uint32_t works = 0;

	for (;; works++) {
		host_fail_alloc_after(vm, works);
		if (hyperv_face.create(vm)) {
			break;
		}
		CU_ASSERT(host_vm_check_no_leaks(vm));
		CU_ASSERT_PTR_NULL(vm_slot(vm, VM_SLOT_HYPERV));
		CU_ASSERT_PTR_NULL(vm_slot(vm, VM_SLOT_SYNIC));
		CU_ASSERT_PTR_NULL(vcpu_slot(vm_vcpu(vm, 1), VM_SLOT_HYPERV));
	}
	CU_ASSERT_EQUAL(works, 3 + 2 * 2 + 1 + 2 * 3);
	host_fail_alloc_never(vm);
	hyperv_guest_free(vm);
}

UNIT_MAIN("hv_msr", UNIT_TEST(test_table), UNIT_TEST(test_numbers_in_no_row),
	  UNIT_TEST(test_hypercall_page), UNIT_TEST(test_page_outside), UNIT_TEST(test_read_only),
	  UNIT_TEST(test_time), UNIT_TEST(test_runtime_and_idle), UNIT_TEST(test_reset_msr),
	  UNIT_TEST(test_vp_assist), UNIT_TEST(test_crash), UNIT_TEST(test_crash_grace), UNIT_TEST(test_crash_storm), UNIT_TEST(test_crash_message),
	  UNIT_TEST(test_crash_message_hostile), UNIT_TEST(test_machine_reset),
	  UNIT_TEST(test_no_memory))

/*
 * hv_hypercall_test.c - the Hyper-V hypercalls: calling convention, checks of the input, each call.
 */
#include "tests/unit/hyperv_support.h"

#define INPUT 0x4000ull

static struct vm *vm;
static struct vcpu *vcpu;

static void begin(uint32_t vcpu_count)
{
	vm = hyperv_guest(vcpu_count);
	vcpu = vm_vcpu(vm, 0);
}

static void end(void)
{
	hyperv_guest_free(vm);
}

static void put(uint64_t at, const void *bytes, size_t len)
{
	CU_ASSERT_EQUAL(vm_write(vm, gpa(at), bytes, len), VM_OK);
}

/* ------------------------------------------------------------------ convention */

static void test_who_may_call(void)
{
	static const struct vcpu_mode refused[] = {
		{.cpl = 3, .protected_mode = true, .long_mode = true, .code64 = true},
		{.cpl = 1, .protected_mode = true},
		{.cpl = 0},
		{.cpl = 3, .protected_mode = true, .vm86 = true},
		{.cpl = 0, .protected_mode = true, .vm86 = true},
	};

	begin(1);
	for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
		struct cpu_regs before = *vcpu_regs(vcpu);

		host_vcpu_set_mode(vcpu, refused[i]);
		CU_ASSERT_EQUAL(hyperv_face.hypercall(vcpu), FACE_CALL_UD);
		CU_ASSERT_EQUAL(memcmp(&before, vcpu_regs(vcpu), sizeof(before)), 0);
	}
	end();
}

static void test_table(void)
{
	uint32_t row = 0;
	uint32_t last = 0;

	begin(1);
#define OFFERED false
#define REFUSED true
#define SPEC_ROW(number, name, refused, handler, clause)                                           \
	CU_ASSERT((number) > last);                                                                \
	last = number;                                                                             \
	if (refused) {                                                                             \
		uint64_t status = call64(vcpu, number, INPUT, 0);                                  \
		CU_ASSERT(status == HV_STATUS_INVALID_HYPERCALL_CODE ||                            \
			  ((number) == 0x46 && status == HV_STATUS_ACCESS_DENIED));                \
		CU_ASSERT_EQUAL(host_count_refused(vm, SPEC_HV_HYPERCALL, row), 1);                \
	} else {                                                                                   \
		CU_ASSERT_NOT_EQUAL(call64(vcpu, number, INPUT, 0),                                \
				    HV_STATUS_INVALID_HYPERCALL_CODE);                             \
		CU_ASSERT_EQUAL(host_count_used(vm, SPEC_HV_HYPERCALL, row), 1);                   \
	}                                                                                          \
	row++;
#include "specs/hv_hypercall.def"
#undef SPEC_ROW
	CU_ASSERT_EQUAL(call64(vcpu, 0, 0, 0), HV_STATUS_INVALID_HYPERCALL_CODE);
	CU_ASSERT_EQUAL(call64(vcpu, 0x7FFF | FAST, 0, 0), HV_STATUS_INVALID_HYPERCALL_CODE);
	CU_ASSERT_EQUAL(call64(vcpu, 0xFFFF, ~0ull, ~0ull), HV_STATUS_INVALID_HYPERCALL_CODE);
	CU_ASSERT_EQUAL(host_count_refused(vm, SPEC_HV_HYPERCALL, SPEC_UNKNOWN), 3);
	end();
}

static void test_input_value(void)
{
	const uint64_t spin = HVCALL_NOTIFY_LONG_SPIN_WAIT | FAST;
	static const uint64_t bad[] = {BANKS(1),   REPS(1),	1ull << 27, 1ull << 30, 1ull << 44,
				       1ull << 47, 1ull << 60, 1ull << 63, 1ull << 31, REP_START(1)};

	begin(1);
	CU_ASSERT_EQUAL(call64(vcpu, spin, 0, 0), 0);
	CU_ASSERT_EQUAL(host_vcpu_yield_count(vcpu), 1);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		CU_ASSERT_EQUAL(call64(vcpu, spin | bad[i], 0, 0), HV_STATUS_INVALID_HYPERCALL_INPUT);
	}
	CU_ASSERT_EQUAL(host_vcpu_yield_count(vcpu), 1);
	/* A rep call without elements, or that starts behind them. */
	CU_ASSERT_EQUAL(call64(vcpu, 3, INPUT, 0), HV_STATUS_INVALID_HYPERCALL_INPUT);
	CU_ASSERT_EQUAL(call64(vcpu, 3 | REPS(2) | REP_START(2), INPUT, 0),
			HV_STATUS_INVALID_HYPERCALL_INPUT);
	CU_ASSERT_EQUAL(host_vcpu_flush_count(vcpu), 0);
	end();
}

static uint64_t call32(uint64_t input, uint64_t first, uint64_t second)
{
	struct cpu_regs *regs = vcpu_regs(vcpu);
	const uint64_t junk = 0xBADBADull << 32;

	regs->gpr[REG_RDX] = input >> 32 | junk;
	regs->gpr[REG_RAX] = (uint32_t)input | junk;
	regs->gpr[REG_RBX] = first >> 32 | junk;
	regs->gpr[REG_RCX] = (uint32_t)first | junk;
	regs->gpr[REG_RDI] = second >> 32 | junk;
	regs->gpr[REG_RSI] = (uint32_t)second | junk;
	CU_ASSERT_EQUAL(hyperv_face.hypercall(vcpu), FACE_CALL_DONE);
	CU_ASSERT_EQUAL(regs->gpr[REG_RAX] >> 32, 0);
	CU_ASSERT_EQUAL(regs->gpr[REG_RDX] >> 32, 0);
	CU_ASSERT_EQUAL(regs->gpr[REG_RBX], (first >> 32 | junk));
	return regs->gpr[REG_RDX] << 32 | regs->gpr[REG_RAX];
}

static void test_32_bit_caller(void)
{
	const struct hv_tlb_flush flush = {.processor_mask = 2};

	begin(2);
	put(INPUT, &flush, sizeof(flush));
	/* Plain protected mode, then compatibility code of a long-mode kernel. */
	for (int compat = 0; compat < 2; compat++) {
		host_vcpu_set_mode(vcpu, (struct vcpu_mode){.protected_mode = true,
							    .long_mode = compat == 1});
		CU_ASSERT_EQUAL(call32(3 | REPS(5) | REP_START(2), INPUT, 0), REPS(5));
		CU_ASSERT_EQUAL(host_vcpu_flush_mask(vcpu), 2);
		CU_ASSERT_EQUAL(call32(HVCALL_SEND_IPI | FAST, 0x80, 2), 0);
		CU_ASSERT(host_vcpu_take_this_vector(vm_vcpu(vm, 1), 0x80));
		/* Without Xen's face, bit 31 is no mark. */
		CU_ASSERT_EQUAL(call32(HVCALL_SEND_IPI | FAST | 1ull << 31, 0x80, 2),
				HV_STATUS_INVALID_HYPERCALL_INPUT);
	}
	end();
}

static void test_memory(void)
{
	const struct hv_tlb_flush flush = {.processor_mask = 1};

	begin(1);
	put(INPUT + PAGE_BYTES - 24, &flush, sizeof(flush));
	CU_ASSERT_EQUAL(call64(vcpu, 2, INPUT + PAGE_BYTES - 24, ~0ull), 0);
	CU_ASSERT_EQUAL(call64(vcpu, 2, INPUT + PAGE_BYTES - 16, 0), HV_STATUS_INVALID_ALIGNMENT);
	CU_ASSERT_EQUAL(call64(vcpu, 2, INPUT + 4, 0), HV_STATUS_INVALID_ALIGNMENT);
	CU_ASSERT_EQUAL(call64(vcpu, 2, 1ull << 39, 0), HV_STATUS_INVALID_ALIGNMENT);
	CU_ASSERT_EQUAL(call64(vcpu, 2, ~7ull, 0), HV_STATUS_INVALID_ALIGNMENT);
	CU_ASSERT_EQUAL(call64(vcpu, 2, 0xFFFFFFFFFFFFF000, 0), HV_STATUS_INVALID_ALIGNMENT);
	/* 509 elements behind a header of 24 fill a page; 510 do not fit. */
	put(INPUT, &flush, sizeof(flush));
	CU_ASSERT_EQUAL(call64(vcpu, 3 | REPS(509), INPUT, 0), REPS(509));
	CU_ASSERT_EQUAL(call64(vcpu, 3 | REPS(510), INPUT, 0), HV_STATUS_INVALID_ALIGNMENT);
	CU_ASSERT_EQUAL(call64(vcpu, 3 | REPS(4095), INPUT, 0), HV_STATUS_INVALID_ALIGNMENT);
	CU_ASSERT_EQUAL(host_vcpu_flush_count(vcpu), 2);
	end();
}

static bool raises_ud(uint64_t input)
{
	vcpu_regs(vcpu)->gpr[REG_RCX] = input;
	return hyperv_face.hypercall(vcpu) == FACE_CALL_UD;
}

static void test_fast_needs_xmm(void)
{
	begin(1);
	CU_ASSERT(raises_ud(2 | FAST));
	CU_ASSERT(raises_ud(3 | FAST | REPS(11)));
	CU_ASSERT(raises_ud(0x13 | FAST | BANKS(1)));
	CU_ASSERT(raises_ud(0x15 | FAST));
	CU_ASSERT_EQUAL(host_count_refused(vm, SPEC_HV_HYPERCALL, 1), 1);
	/* What not even the XMM registers could hold. */
	CU_ASSERT_EQUAL(call64(vcpu, 3 | FAST | REPS(12), 0, 0), HV_STATUS_INVALID_HYPERCALL_INPUT);
	CU_ASSERT_EQUAL(call64(vcpu, 0x5C | FAST, 1, 1), HV_STATUS_INVALID_HYPERCALL_INPUT);
	CU_ASSERT_EQUAL(host_vcpu_flush_count(vcpu), 0);
	end();
}

/* ------------------------------------------------------------------ flushes */

static uint64_t flush(uint64_t flags, uint64_t mask)
{
	const struct hv_tlb_flush input = {.flags = flags, .processor_mask = mask};

	put(INPUT, &input, sizeof(input));
	return call64(vcpu, 2, INPUT, 0);
}

static void test_flush(void)
{
	begin(4);
	CU_ASSERT_EQUAL(flush(0, 0x4), 0);
	CU_ASSERT_EQUAL(host_vcpu_flush_mask(vcpu), 4);
	CU_ASSERT_EQUAL(flush(0, ~1ull), 0);
	CU_ASSERT_EQUAL(host_vcpu_flush_mask(vcpu), 0xE);
	CU_ASSERT_EQUAL(flush(1, 0x4), 0);
	CU_ASSERT_EQUAL(host_vcpu_flush_mask(vcpu), 0xF);
	CU_ASSERT_EQUAL(flush(0xE, 0), 0); /* an empty mask means all */
	CU_ASSERT_EQUAL(host_vcpu_flush_mask(vcpu), 0xF);
	CU_ASSERT_EQUAL(host_vcpu_flush_count(vcpu), 4);
	/* None that exists. */
	CU_ASSERT_EQUAL(flush(0, 1ull << 63), 0);
	CU_ASSERT_EQUAL(host_vcpu_flush_count(vcpu), 4);
	CU_ASSERT_EQUAL(flush(HV_FLUSH_USE_TARGET_VTL, 1), HV_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(flush(1ull << 63, 1), HV_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(host_vcpu_flush_count(vcpu), 4);
	end();
}

struct flush_ex_input {
	struct hv_tlb_flush_ex head;
	uint64_t banks[64];
};

static uint64_t flush_ex(uint64_t input, uint64_t flags, uint64_t format, uint64_t mask,
			 uint64_t bank0)
{
	struct flush_ex_input in = {.head = {.flags = flags, .hv_vp_set = {format, mask}}};

	memset(in.banks, 0xFF, sizeof(in.banks));
	in.banks[0] = bank0;
	put(INPUT, &in, sizeof(in));
	return call64(vcpu, input, INPUT, 0);
}

static void test_flush_ex(void)
{
	begin(4);
	CU_ASSERT_EQUAL(flush_ex(0x13 | BANKS(1), 0, 0, 1, 0x6), 0);
	CU_ASSERT_EQUAL(host_vcpu_flush_mask(vcpu), 6);
	CU_ASSERT_EQUAL(flush_ex(0x14 | BANKS(2) | REPS(7), 0, 0, 3, 0x2), REPS(7));
	CU_ASSERT_EQUAL(host_vcpu_flush_mask(vcpu), 2);
	CU_ASSERT_EQUAL(flush_ex(0x13 | BANKS(64), 0, 0, ~0ull, 0x9), 0);
	CU_ASSERT_EQUAL(host_vcpu_flush_mask(vcpu), 9);
	/* All, with no bank; and by flag, with rubbish in the set. */
	CU_ASSERT_EQUAL(flush_ex(0x13, 0, 1, 0, 0), 0);
	CU_ASSERT_EQUAL(host_vcpu_flush_mask(vcpu), 0xF);
	CU_ASSERT_EQUAL(flush_ex(0x13, 1, 77, 77, 0), 0);
	CU_ASSERT_EQUAL(host_vcpu_flush_count(vcpu), 5);
	/* No one: an empty mask, an empty bank, banks past all vCPUs. */
	CU_ASSERT_EQUAL(flush_ex(0x13, 0, 0, 0, 0), 0);
	CU_ASSERT_EQUAL(flush_ex(0x13 | BANKS(1), 0, 0, 1, 0), 0);
	CU_ASSERT_EQUAL(flush_ex(0x13 | BANKS(1), 0, 0, 2, 0xF), 0);
	/* Counts that do not match, formats and flags that do not exist. */
	CU_ASSERT_EQUAL(flush_ex(0x13 | BANKS(2), 0, 0, 1, 1), HV_STATUS_INVALID_HYPERCALL_INPUT);
	CU_ASSERT_EQUAL(flush_ex(0x13, 0, 0, 1, 1), HV_STATUS_INVALID_HYPERCALL_INPUT);
	CU_ASSERT_EQUAL(flush_ex(0x13 | BANKS(1), 0, 2, 1, 1), HV_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(flush_ex(0x13 | BANKS(1), 0x10, 0, 1, 1), HV_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(flush_ex(0x14 | BANKS(2) | REPS(7) | REP_START(3), 0, 0, 1, 0x2),
			(REPS(3) | HV_STATUS_INVALID_HYPERCALL_INPUT));
	CU_ASSERT_EQUAL(flush_ex(0x13 | BANKS(1023), 0, 1, 0, 0), HV_STATUS_INVALID_ALIGNMENT);
	CU_ASSERT_EQUAL(host_vcpu_flush_count(vcpu), 5);
	end();
}

static void test_64_vcpus(void)
{
	begin(64);
	CU_ASSERT_EQUAL(flush(1, 0), 0);
	CU_ASSERT_EQUAL(host_vcpu_flush_mask(vcpu), ~0ull);
	CU_ASSERT_EQUAL(call64(vcpu, HVCALL_SEND_IPI | FAST, 0xFF, 1ull << 63), 0);
	CU_ASSERT(host_vcpu_take_this_vector(vm_vcpu(vm, 63), 0xFF));
	end();
}

/* ------------------------------------------------------------------ interrupts */

static void test_ipi(void)
{
	const struct hv_send_ipi input = {.vector = 0x30, .reserved = 0x10, .cpu_mask = ~0ull};
	static const uint64_t bad[] = {0, 0xF, 0x100, 0x30 | 1ull << 32, 0x30 | 1ull << 40, ~0ull};

	begin(3);
	put(INPUT, &input, sizeof(input));
	CU_ASSERT_EQUAL(call64(vcpu, HVCALL_SEND_IPI, INPUT, 0), 0);
	for (uint32_t i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(host_vcpu_take_vector(vm_vcpu(vm, i)), 0x30);
	}
	CU_ASSERT_EQUAL(call64(vcpu, HVCALL_SEND_IPI | FAST, 0x10, 0x4), 0);
	CU_ASSERT_EQUAL(host_vcpu_take_vector(vm_vcpu(vm, 0)), -1);
	CU_ASSERT_EQUAL(host_vcpu_take_vector(vm_vcpu(vm, 2)), 0x10);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		CU_ASSERT_EQUAL(call64(vcpu, HVCALL_SEND_IPI | FAST, bad[i], 0x7),
				HV_STATUS_INVALID_PARAMETER);
	}
	CU_ASSERT_EQUAL(host_vcpu_take_vector(vm_vcpu(vm, 1)), -1);
	end();
}

static uint64_t ipi_ex(uint64_t words, uint32_t vector, uint64_t format, uint64_t mask, uint64_t bank)
{
	struct {
		struct hv_send_ipi_ex head;
		uint64_t bank;
	} in = {.head = {.vector = vector, .vp_set = {format, mask}}, .bank = bank};

	put(INPUT, &in, sizeof(in));
	return call64(vcpu, HVCALL_SEND_IPI_EX | BANKS(words), INPUT, 0);
}

static void test_ipi_ex(void)
{
	begin(3);
	CU_ASSERT_EQUAL(ipi_ex(1, 0x40, 0, 1, 0x2), 0);
	CU_ASSERT_EQUAL(host_vcpu_take_vector(vm_vcpu(vm, 1)), 0x40);
	CU_ASSERT_EQUAL(host_vcpu_take_vector(vm_vcpu(vm, 0)), -1);
	CU_ASSERT_EQUAL(ipi_ex(0, 0x41, 1, 0, 0), 0);
	CU_ASSERT_EQUAL(host_vcpu_take_vector(vm_vcpu(vm, 0)), 0x41);
	CU_ASSERT_EQUAL(host_vcpu_take_vector(vm_vcpu(vm, 2)), 0x41);
	CU_ASSERT_EQUAL(ipi_ex(1, 0xF, 0, 1, 1), HV_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(ipi_ex(0, 0x42, 0, 1, 1), HV_STATUS_INVALID_HYPERCALL_INPUT);
	CU_ASSERT_EQUAL(ipi_ex(0, 0x42, 0, 0, 1), 0);
	CU_ASSERT_EQUAL(host_vcpu_take_vector(vm_vcpu(vm, 0)), -1);
	end();
}

/* ------------------------------------------------------------------ messages and events */

struct posted {
	uint32_t count, type, size;
	uint8_t payload[240];
	struct vcpu *from;
	uint16_t answer;
};

static uint16_t take_post(void *context, struct vcpu *from, uint32_t type, const void *payload,
			  uint32_t size)
{
	struct posted *posted = context;

	posted->count++;
	posted->type = type;
	posted->size = size;
	posted->from = from;
	memcpy(posted->payload, payload, size);
	return posted->answer;
}

static uint64_t post(uint64_t at, uint32_t connection, uint32_t type, uint32_t size)
{
	const struct hv_input_post_message input = {.connection_id = connection,
						    .reserved = 0xFFFFFFFF,
						    .message_type = type,
						    .payload_size = size};

	put(at, &input, sizeof(input));
	return call64(vcpu, HVCALL_POST_MESSAGE, at, ~0ull);
}

static void test_post_message(void)
{
	static struct posted posted;
	uint8_t bytes[240];

	begin(2);
	memset(&posted, 0, sizeof(posted));
	memset(bytes, 0x42, sizeof(bytes));
	put(INPUT + 16, bytes, sizeof(bytes));
	CU_ASSERT_EQUAL(post(INPUT, 1, 1, 8), HV_STATUS_INVALID_CONNECTION_ID);
	CU_ASSERT(synic_port_add_message(vm, 1, take_post, &posted));
	CU_ASSERT_EQUAL(post(INPUT, 1, 1, 240), 0);
	CU_ASSERT(posted.count == 1 && posted.type == 1 && posted.size == 240);
	CU_ASSERT(posted.from == vcpu && memcmp(posted.payload, bytes, 240) == 0);
	CU_ASSERT_EQUAL(post(INPUT, 1, 5, 0), 0);
	CU_ASSERT(posted.count == 2 && posted.size == 0);
	posted.answer = HV_STATUS_INSUFFICIENT_BUFFERS;
	CU_ASSERT_EQUAL(post(INPUT, 1, 1, 4), HV_STATUS_INSUFFICIENT_BUFFERS);
	CU_ASSERT_EQUAL(post(INPUT, 1, 1, 241), HV_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(post(INPUT, 1, 1, ~0u), HV_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(post(INPUT, 1, 0, 8), HV_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(post(INPUT, 1, 0x80000001, 8), HV_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(post(INPUT, 0, 1, 8), HV_STATUS_INVALID_CONNECTION_ID);
	/* A payload across the end of the page. */
	CU_ASSERT_EQUAL(post(INPUT + PAGE_BYTES - 32, 1, 1, 17), HV_STATUS_INVALID_ALIGNMENT);
	CU_ASSERT_EQUAL(posted.count, 3);
	CU_ASSERT_EQUAL(post(INPUT + PAGE_BYTES - 32, 1, 1, 16), HV_STATUS_INSUFFICIENT_BUFFERS);
	CU_ASSERT_EQUAL(posted.count, 4);
	end();
}

static void count_signal(void *context, uint16_t flag)
{
	((uint32_t *)context)[0]++;
	((uint32_t *)context)[1] = flag;
}

static void test_signal_event(void)
{
	static uint32_t signals[2];
	const struct hv_input_signal_event input = {.connection_id = 0x2001, .flag_number = 7};

	begin(1);
	memset(signals, 0, sizeof(signals));
	CU_ASSERT_EQUAL(call64(vcpu, 0x5D | FAST, 0x2001, 0), HV_STATUS_INVALID_CONNECTION_ID);
	CU_ASSERT(synic_port_add_event(vm, 0x2001, count_signal, signals));
	CU_ASSERT_EQUAL(call64(vcpu, 0x5D | FAST, 0x2001, ~0ull), 0);
	CU_ASSERT(signals[0] == 1 && signals[1] == 0);
	CU_ASSERT_EQUAL(call64(vcpu, 0x5D | FAST, 0x2001 | 2047ull << 32, 0), 0);
	CU_ASSERT(signals[0] == 2 && signals[1] == 2047);
	put(INPUT, &input, sizeof(input));
	CU_ASSERT_EQUAL(call64(vcpu, 0x5D, INPUT, 0), 0);
	CU_ASSERT(signals[0] == 3 && signals[1] == 7);
	CU_ASSERT_EQUAL(call64(vcpu, 0x5D | FAST, 0x2001 | 2048ull << 32, 0),
			HV_STATUS_INVALID_PARAMETER);
	CU_ASSERT_EQUAL(call64(vcpu, 0x5D | FAST, 0, 0), HV_STATUS_INVALID_CONNECTION_ID);
	CU_ASSERT_EQUAL(call64(vcpu, 0x5D | FAST, 0x2401, 0), HV_STATUS_INVALID_CONNECTION_ID);
	synic_port_remove(vm, 0x2001);
	CU_ASSERT_EQUAL(call64(vcpu, 0x5D | FAST, 0x2001, 0), HV_STATUS_INVALID_CONNECTION_ID);
	CU_ASSERT_EQUAL(signals[0], 3);
	end();
}

static uint16_t drop_post(void *context, struct vcpu *from, uint32_t type, const void *payload,
			  uint32_t size)
{
	(void)context, (void)from, (void)type, (void)payload, (void)size;
	return HV_STATUS_SUCCESS;
}

static void test_fetches_once(void)
{
	const struct hv_input_post_message input = {
		.connection_id = 1, .message_type = 1, .payload_size = 64};

	begin(2);
	CU_ASSERT(synic_port_add_message(vm, 1, drop_post, NULL));
	put(INPUT, &input, sizeof(input));
	host_fetch_watch(vm, INPUT, PAGE_BYTES);
	CU_ASSERT_EQUAL(call64(vcpu, HVCALL_POST_MESSAGE, INPUT, 0), 0);
	CU_ASSERT_EQUAL(host_fetch_max(), 1);
	host_fetch_unwatch();
	put(INPUT, &(struct flush_ex_input){.head.hv_vp_set = {0, 1}}, sizeof(struct flush_ex_input));
	host_fetch_watch(vm, INPUT, PAGE_BYTES);
	CU_ASSERT_EQUAL(call64(vcpu, 0x13 | BANKS(1), INPUT, 0), 0);
	CU_ASSERT_EQUAL(host_fetch_max(), 1);
	host_fetch_unwatch();
	end();
}

UNIT_MAIN("hv_hypercall", UNIT_TEST(test_who_may_call), UNIT_TEST(test_table),
	  UNIT_TEST(test_input_value), UNIT_TEST(test_32_bit_caller), UNIT_TEST(test_memory),
	  UNIT_TEST(test_fast_needs_xmm), UNIT_TEST(test_flush), UNIT_TEST(test_flush_ex),
	  UNIT_TEST(test_64_vcpus), UNIT_TEST(test_ipi), UNIT_TEST(test_ipi_ex),
	  UNIT_TEST(test_post_message), UNIT_TEST(test_signal_event), UNIT_TEST(test_fetches_once))

/*
 * synic_test.c - registers, message slots, the queue behind them, event flags and connections.
 */
#include <pthread.h>

#include "tests/unit/hyperv_support.h"

#define SIMP 0x10000ull
#define SIEFP 0x11000ull
#define VECTOR 0xF3

static struct vm *vm;
static struct vcpu *vcpu;

static void begin(void)
{
	vm = hyperv_guest(2);
	vcpu = vm_vcpu(vm, 1);
	synic_up(vcpu, SIMP, SIEFP, VECTOR);
}

static void end(void)
{
	hyperv_guest_free(vm);
}

static enum synic_status post(uint32_t sint, uint32_t number)
{
	return synic_post_message(vcpu, sint, 1, &number, sizeof(number));
}

static uint32_t number_in(const struct hv_message *slot)
{
	uint32_t number;

	memcpy(&number, slot->payload, sizeof(number));
	return number;
}

/* ------------------------------------------------------------------ registers */

static void test_registers_after_create(void)
{
	vm = hyperv_guest(1);
	vcpu = vm_vcpu(vm, 0);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_SCONTROL), 0);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_SIMP), 0);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_SIEFP), 0);
	for (uint32_t i = 0; i < 16; i++) {
		CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_SINT0 + i), 0x10000);
	}
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_EOM), 0);
	CU_ASSERT_FALSE(synic_is_enabled(vcpu));
	CU_ASSERT_EQUAL(post(2, 1), SYNIC_DISABLED);
	CU_ASSERT_FALSE(synic_signal_event(vcpu, 2, 1));
	end();
}

static void test_registers_keep(void)
{
	begin();
	wr(vcpu, HV_X64_MSR_SCONTROL, 0xF0F1);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_SCONTROL), 0xF0F1);
	wr(vcpu, HV_X64_MSR_SIMP, SIMP | 0xABD);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_SIMP), SIMP | 0xABD);
	wr(vcpu, HV_X64_MSR_SINT15, 0x1F00000200050);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_SINT15), 0x1F00000200050);
	CU_ASSERT_EQUAL(rd(vm_vcpu(vm, 0), HV_X64_MSR_SINT15), 0x10000);
	/* A vector of the CPU's own only while masked. */
	CU_ASSERT(wr_faults(vcpu, HV_X64_MSR_SINT15, 15));
	CU_ASSERT(wr_faults(vcpu, HV_X64_MSR_SINT15, 0));
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_SINT15), 0x1F00000200050);
	wr(vcpu, HV_X64_MSR_SINT15, 0x1000F);
	wr(vcpu, HV_X64_MSR_SINT15, 16);
	CU_ASSERT(wr_faults(vcpu, HV_X64_MSR_SVERSION, 1));
	end();
}

static void test_auto_eoi(void)
{
	begin();
	CU_ASSERT_FALSE(host_vcpu_auto_eoi(vcpu, VECTOR));
	wr(vcpu, HV_X64_MSR_SINT3, HV_SYNIC_SINT_AUTO_EOI | VECTOR);
	CU_ASSERT(host_vcpu_auto_eoi(vcpu, VECTOR));
	/* Another SINT with the vector changes nothing in it. */
	wr(vcpu, HV_X64_MSR_SINT4, HV_SYNIC_SINT_AUTO_EOI | VECTOR);
	wr(vcpu, HV_X64_MSR_SINT4, HV_SYNIC_SINT_MASKED);
	CU_ASSERT(host_vcpu_auto_eoi(vcpu, VECTOR));
	wr(vcpu, HV_X64_MSR_SINT3, HV_SYNIC_SINT_AUTO_EOI | 0x60);
	CU_ASSERT_FALSE(host_vcpu_auto_eoi(vcpu, VECTOR));
	CU_ASSERT(host_vcpu_auto_eoi(vcpu, 0x60));
	CU_ASSERT(hyperv_face.reset(vm));
	CU_ASSERT_FALSE(host_vcpu_auto_eoi(vcpu, 0x60));
	end();
}

/* ------------------------------------------------------------------ messages */

static void test_message(void)
{
	struct hv_message *slot;
	uint8_t bytes[240];

	begin();
	memset(bytes, 0x3C, sizeof(bytes));
	CU_ASSERT(synic_is_enabled(vcpu));
	CU_ASSERT_EQUAL(synic_post_message(vcpu, 2, 1, bytes, sizeof(bytes)), SYNIC_OK);
	slot = slot_at(vm, SIMP, 2);
	CU_ASSERT_EQUAL(slot->header.message_type, 1);
	CU_ASSERT_EQUAL(slot->header.payload_size, 240);
	CU_ASSERT_EQUAL(slot->header.message_flags, 0);
	CU_ASSERT_EQUAL(slot->header.sender, 0);
	CU_ASSERT_EQUAL(memcmp(slot->payload, bytes, sizeof(bytes)), 0);
	CU_ASSERT_EQUAL(host_vcpu_take_vector(vcpu), VECTOR);
	CU_ASSERT_EQUAL(host_vcpu_take_vector(vm_vcpu(vm, 0)), -1);
	CU_ASSERT_FALSE(slot_done(vcpu, slot));
	CU_ASSERT_EQUAL(host_vcpu_take_vector(vcpu), -1);
	CU_ASSERT_EQUAL(synic_post_message(vcpu, 16, 1, bytes, 1), SYNIC_INVALID);
	CU_ASSERT_EQUAL(synic_post_message(vcpu, 2, 0, bytes, 1), SYNIC_INVALID);
	CU_ASSERT_EQUAL(synic_post_message(vcpu, 2, 1, bytes, 241), SYNIC_INVALID);
	end();
}

static void test_queue_in_order(void)
{
	struct hv_message *slot;

	begin();
	slot = slot_at(vm, SIMP, 2);
	for (uint32_t i = 0; i < 5; i++) {
		CU_ASSERT_EQUAL(post(2, i), SYNIC_OK);
	}
	CU_ASSERT_EQUAL(host_vcpu_post_count(vcpu, VECTOR), 1);
	for (uint32_t i = 0; i < 5; i++) {
		CU_ASSERT_EQUAL(slot->header.message_type, 1);
		CU_ASSERT_EQUAL(number_in(slot), i);
		CU_ASSERT_EQUAL(slot->header.message_flags, i < 4 ? 1 : 0);
		CU_ASSERT_EQUAL(slot_done(vcpu, slot), i < 4);
	}
	CU_ASSERT_EQUAL(host_vcpu_post_count(vcpu, VECTOR), 5);
	CU_ASSERT_EQUAL(slot->header.message_type, 0);
	end();
}

static void test_eoi_retries(void)
{
	struct hv_message *slot;

	begin();
	wr(vcpu, HV_X64_MSR_SINT5, 0x70);
	slot = slot_at(vm, SIMP, 2);
	CU_ASSERT_EQUAL(post(2, 1), SYNIC_OK);
	CU_ASSERT_EQUAL(post(2, 2), SYNIC_OK);
	slot->header.message_type = 0;
	hyperv_face.eoi(vcpu, 0x70);
	CU_ASSERT_EQUAL(slot->header.message_type, 0);
	hyperv_face.eoi(vcpu, VECTOR);
	CU_ASSERT_EQUAL(slot->header.message_type, 1);
	CU_ASSERT_EQUAL(number_in(slot), 2);
	hyperv_face.eoi(vcpu, VECTOR);
	CU_ASSERT_EQUAL(host_vcpu_post_count(vcpu, VECTOR), 2);
	end();
}

static void test_new_message_retries(void)
{
	struct hv_message *slot;

	begin();
	slot = slot_at(vm, SIMP, 2);
	CU_ASSERT_EQUAL(post(2, 1), SYNIC_OK);
	CU_ASSERT_EQUAL(post(2, 2), SYNIC_OK);
	slot->header.message_type = 0;
	CU_ASSERT_EQUAL(post(2, 3), SYNIC_OK);
	CU_ASSERT_EQUAL(number_in(slot), 2);
	CU_ASSERT_EQUAL(slot->header.message_flags, 1);
	CU_ASSERT(slot_done(vcpu, slot));
	CU_ASSERT_EQUAL(number_in(slot), 3);
	end();
}

/* The guest empties the slot between our look at the type and the pending flag. */
static uint32_t race_sint;
static void empty_slot(void *context, struct vm_page *page, size_t off, size_t width)
{
	(void)context;
	(void)page;
	if (width == 4 && off == race_sint * 256) {
		slot_at(vm, SIMP, race_sint)->header.message_type = 0;
	}
}

static void test_pending_race(void)
{
	struct hv_message *slot;

	begin();
	slot = slot_at(vm, SIMP, 2);
	CU_ASSERT_EQUAL(post(2, 1), SYNIC_OK);
	race_sint = 2;
	host_load_hook(empty_slot, NULL);
	CU_ASSERT_EQUAL(post(2, 2), SYNIC_OK);
	host_load_hook(NULL, NULL);
	/* The guest saw no flag, so no EOM will come: it must stand there now. */
	CU_ASSERT_EQUAL(slot->header.message_type, 1);
	CU_ASSERT_EQUAL(number_in(slot), 2);
	CU_ASSERT_EQUAL(host_vcpu_post_count(vcpu, VECTOR), 2);
	end();
}

static void test_sints_apart(void)
{
	begin();
	wr(vcpu, HV_X64_MSR_SINT0, 0x50);
	wr(vcpu, HV_X64_MSR_SINT15, 0x51);
	CU_ASSERT_EQUAL(post(0, 100), SYNIC_OK);
	CU_ASSERT_EQUAL(post(15, 115), SYNIC_OK);
	CU_ASSERT_EQUAL(post(0, 101), SYNIC_OK);
	CU_ASSERT_EQUAL(post(15, 116), SYNIC_OK);
	CU_ASSERT_EQUAL(number_in(slot_at(vm, SIMP, 0)), 100);
	CU_ASSERT_EQUAL(number_in(slot_at(vm, SIMP, 15)), 115);
	CU_ASSERT(slot_done(vcpu, slot_at(vm, SIMP, 15)));
	CU_ASSERT_EQUAL(number_in(slot_at(vm, SIMP, 0)), 100);
	CU_ASSERT_EQUAL(number_in(slot_at(vm, SIMP, 15)), 116);
	CU_ASSERT_EQUAL(host_vcpu_post_count(vcpu, 0x50), 1);
	CU_ASSERT_EQUAL(host_vcpu_post_count(vcpu, 0x51), 2);
	end();
}

static void test_masked_and_polling(void)
{
	begin();
	wr(vcpu, HV_X64_MSR_SINT2, HV_SYNIC_SINT_MASKED | VECTOR);
	CU_ASSERT_EQUAL(post(2, 1), SYNIC_OK);
	CU_ASSERT_EQUAL(slot_at(vm, SIMP, 2)->header.message_type, 1);
	CU_ASSERT_FALSE(synic_signal_event(vcpu, 2, 9));
	CU_ASSERT_EQUAL(vm_page_load64(vm_page_at(vm, gpa(SIEFP)), 512), 0);
	wr(vcpu, HV_X64_MSR_SINT3, HV_SYNIC_SINT_POLLING | VECTOR);
	CU_ASSERT_EQUAL(post(3, 1), SYNIC_OK);
	CU_ASSERT(synic_signal_event(vcpu, 3, 9));
	CU_ASSERT_EQUAL(host_vcpu_post_count(vcpu, VECTOR), 0);
	end();
}

static uint32_t room_count;
static void count_room(void *context)
{
	CU_ASSERT_EQUAL(*lock_held_ranks(), 0);
	*(uint32_t *)context += 1;
}

static void test_full_queue(void)
{
	struct hv_message *slot;

	begin();
	room_count = 0;
	synic_on_room(vm, count_room, &room_count);
	slot = slot_at(vm, SIMP, 2);
	for (uint32_t i = 0; i < 1 + SYNIC_QUEUE_MAX; i++) {
		CU_ASSERT_EQUAL(post(2, i), SYNIC_OK);
	}
	CU_ASSERT_EQUAL(post(2, 1000), SYNIC_FULL);
	CU_ASSERT_EQUAL(post(3, 1000), SYNIC_OK); /* its slot is free */
	CU_ASSERT_EQUAL(post(3, 1001), SYNIC_FULL);
	CU_ASSERT_EQUAL(room_count, 0);
	CU_ASSERT(slot_done(vcpu, slot));
	CU_ASSERT_EQUAL(room_count, 1);
	CU_ASSERT_EQUAL(post(2, SYNIC_QUEUE_MAX + 1), SYNIC_OK);
	for (uint32_t i = 1; i <= SYNIC_QUEUE_MAX + 1; i++) {
		CU_ASSERT_EQUAL(number_in(slot), i);
		slot_done(vcpu, slot);
	}
	CU_ASSERT_EQUAL(slot->header.message_type, 0);
	CU_ASSERT_EQUAL(room_count, 1);
	end();
}

static void test_disable_keeps(void)
{
	struct hv_message *slot;

	begin();
	CU_ASSERT_EQUAL(post(2, 1), SYNIC_OK);
	CU_ASSERT_EQUAL(post(2, 2), SYNIC_OK);
	slot_at(vm, SIMP, 2)->header.message_type = 0;
	wr(vcpu, HV_X64_MSR_SIMP, 0);
	CU_ASSERT_EQUAL(post(2, 3), SYNIC_DISABLED);
	wr(vcpu, HV_X64_MSR_EOM, 0);
	CU_ASSERT_EQUAL(host_vcpu_post_count(vcpu, VECTOR), 1);
	/* Elsewhere, with what was in the page and what waited. */
	wr(vcpu, HV_X64_MSR_SIMP, 0x20000 | OVERLAY_ON);
	slot = slot_at(vm, 0x20000, 2);
	CU_ASSERT_EQUAL(number_in(slot), 2);
	CU_ASSERT_EQUAL(host_vcpu_post_count(vcpu, VECTOR), 2);
	wr(vcpu, HV_X64_MSR_SCONTROL, 0);
	CU_ASSERT_FALSE(synic_is_enabled(vcpu));
	CU_ASSERT_EQUAL(post(2, 3), SYNIC_DISABLED);
	end();
}

static void test_reset(void)
{
	begin();
	wr(vcpu, HV_X64_MSR_STIMER0_CONFIG, 0x1ED9);
	wr(vcpu, HV_X64_MSR_STIMER0_COUNT, 100);
	CU_ASSERT_EQUAL(post(2, 1), SYNIC_OK);
	CU_ASSERT_EQUAL(post(2, 2), SYNIC_OK);
	CU_ASSERT(synic_signal_event(vcpu, 2, 5));
	CU_ASSERT(hyperv_face.reset(vm));
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_SINT2), 0x10000);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_STIMER0_CONFIG), 0);
	CU_ASSERT_EQUAL(rd(vcpu, HV_X64_MSR_STIMER0_COUNT), 0);
	CU_ASSERT_PTR_NULL(vm_page_at(vm, gpa(SIMP)));
	synic_up(vcpu, SIMP, SIEFP, VECTOR);
	CU_ASSERT_EQUAL(slot_at(vm, SIMP, 2)->header.message_type, 0);
	CU_ASSERT_EQUAL(vm_page_load64(vm_page_at(vm, gpa(SIEFP)), 512), 0);
	host_time_advance_ns(vm, 1000000);
	CU_ASSERT_EQUAL(host_vcpu_post_count(vcpu, 0xED), 0);
	end();
}

/* A guest that changes its page under us gains nothing but confusion of its own. */
static void test_hostile_page(void)
{
	begin();
	host_scribble(vm, SIMP, PAGE_BYTES, 12345);
	for (uint32_t i = 0; i < 1000; i++) {
		enum synic_status status = post(i % 16, i);

		CU_ASSERT(status == SYNIC_OK || status == SYNIC_FULL);
		wr(vcpu, HV_X64_MSR_EOM, 0);
	}
	host_load_hook(NULL, NULL);
	end();
}

/* ------------------------------------------------------------------ events */

static void test_event(void)
{
	struct vm_page *page;

	begin();
	page = vm_page_at(vm, gpa(SIEFP));
	CU_ASSERT(synic_signal_event(vcpu, 2, 0));
	CU_ASSERT(synic_signal_event(vcpu, 2, 2047));
	CU_ASSERT_EQUAL(vm_page_load64(page, 512), 1);
	CU_ASSERT_EQUAL(vm_page_load64(page, 512 + 248), 1ull << 63);
	CU_ASSERT_EQUAL(host_vcpu_post_count(vcpu, VECTOR), 2);
	/* Set already: no second interrupt. */
	CU_ASSERT(synic_signal_event(vcpu, 2, 0));
	CU_ASSERT_EQUAL(host_vcpu_post_count(vcpu, VECTOR), 2);
	CU_ASSERT(vm_page_clear_bit(page, 2 * 2048));
	CU_ASSERT(synic_signal_event(vcpu, 2, 0));
	CU_ASSERT_EQUAL(host_vcpu_post_count(vcpu, VECTOR), 3);
	CU_ASSERT_FALSE(synic_signal_event(vcpu, 2, 2048));
	CU_ASSERT_FALSE(synic_signal_event(vcpu, 16, 0));
	wr(vcpu, HV_X64_MSR_SIEFP, SIEFP);
	CU_ASSERT_FALSE(synic_signal_event(vcpu, 2, 3));
	wr(vcpu, HV_X64_MSR_SIEFP, SIEFP | OVERLAY_ON);
	CU_ASSERT(synic_signal_event(vcpu, 2, 3));
	wr(vcpu, HV_X64_MSR_SCONTROL, 0);
	CU_ASSERT_FALSE(synic_signal_event(vcpu, 2, 4));
	CU_ASSERT_EQUAL(vm_page_load64(page, 512), 9);
	end();
}

static void test_without_face(void)
{
	struct vm *bare = host_vm_new(NULL);
	struct vcpu *its = vm_vcpu(bare, 0);

	CU_ASSERT_EQUAL(synic_post_message(its, 2, 1, "x", 1), SYNIC_INVALID);
	CU_ASSERT_FALSE(synic_signal_event(its, 2, 1));
	CU_ASSERT_FALSE(synic_is_enabled(its));
	CU_ASSERT_FALSE(synic_port_add_message(bare, 1, NULL, NULL));
	CU_ASSERT_FALSE(synic_port_add_event(bare, 1, NULL, NULL));
	CU_ASSERT_EQUAL(synic_port_signal(its, 1, 0), HV_STATUS_INVALID_CONNECTION_ID);
	CU_ASSERT_EQUAL(synic_port_post(its, 1, 1, "x", 1), HV_STATUS_INVALID_CONNECTION_ID);
	synic_port_remove(bare, 1);
	synic_eoi(its, 1);
	synic_teardown(bare);
	host_vm_free(bare);
}

/* ------------------------------------------------------------------ connections */

static uint16_t answer_post(void *context, struct vcpu *from, uint32_t type, const void *payload,
			    uint32_t size)
{
	(void)from, (void)type, (void)payload, (void)size;
	return *(uint16_t *)context;
}

static void signal_nothing(void *context, uint16_t flag)
{
	(void)flag;
	__atomic_add_fetch((uint32_t *)context, 1, __ATOMIC_RELAXED);
}

static void test_ports(void)
{
	static uint16_t answers[SYNIC_MESSAGE_PORT_MAX];
	static uint32_t signals;

	begin();
	for (uint16_t i = 0; i < SYNIC_MESSAGE_PORT_MAX; i++) {
		answers[i] = (uint16_t)(i + 100);
		CU_ASSERT(synic_port_add_message(vm, i + 1u, answer_post, &answers[i]));
	}
	CU_ASSERT_FALSE(synic_port_add_message(vm, 999, answer_post, answers));
	CU_ASSERT_FALSE(synic_port_add_message(vm, 0, answer_post, answers));
	CU_ASSERT_EQUAL(synic_port_post(vcpu, 7, 1, "", 0), 106);
	synic_port_remove(vm, 7);
	CU_ASSERT_EQUAL(synic_port_post(vcpu, 7, 1, "", 0), HV_STATUS_INVALID_CONNECTION_ID);
	CU_ASSERT_FALSE(synic_port_add_message(vm, 1, answer_post, answers));
	CU_ASSERT(synic_port_add_message(vm, 999, answer_post, answers));
	/* Events: each remainder once. */
	CU_ASSERT(synic_port_add_event(vm, 0x2001, signal_nothing, &signals));
	CU_ASSERT_FALSE(synic_port_add_event(vm, 0x2001, signal_nothing, &signals));
	CU_ASSERT_FALSE(synic_port_add_event(vm, 0x2001 + SYNIC_EVENT_PORT_MAX, signal_nothing, NULL));
	CU_ASSERT_FALSE(synic_port_add_event(vm, 0, signal_nothing, &signals));
	synic_port_remove(vm, 0x2001 + SYNIC_EVENT_PORT_MAX);
	CU_ASSERT_EQUAL(synic_port_signal(vcpu, 0x2001, 0), 0);
	/* They outlive a reset; whoever added them removes them. */
	CU_ASSERT(hyperv_face.reset(vm));
	CU_ASSERT_EQUAL(synic_port_signal(vcpu, 0x2001, 0), 0);
	synic_port_remove(vm, 0x2001);
	CU_ASSERT_EQUAL(synic_port_signal(vcpu, 0x2001, 0), HV_STATUS_INVALID_CONNECTION_ID);
	CU_ASSERT_EQUAL(signals, 2);
	end();
}

static void *change_ports(void *context)
{
	uint32_t *signals = context;

	for (uint32_t i = 0; i < 20000; i++) {
		if (synic_port_add_event(vm, 5, signal_nothing, signals)) {
			synic_port_remove(vm, 5);
		}
	}
	return NULL;
}

static void *post_many(void *context)
{
	(void)context;
	for (uint32_t i = 0; i < 3000; i++) {
		while (post(2, i) == SYNIC_FULL) {
			lock_relax();
		}
	}
	return NULL;
}

/* Doorbells while the connection comes and goes. */
static void test_ports_race(void)
{
	static uint32_t signals;
	pthread_t thread;
	uint32_t heard = 0;

	begin();
	signals = 0;
	CU_ASSERT_EQUAL(pthread_create(&thread, NULL, change_ports, &signals), 0);
	for (uint32_t i = 0; i < 20000; i++) {
		heard += synic_port_signal(vcpu, 5, 0) == HV_STATUS_SUCCESS;
	}
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(signals, heard);
	end();
}

/* What the guest does with all that it finds in slot 2. Returns the number that comes next. */
static uint32_t drain(struct vm_page *page, uint32_t next)
{
	while (vm_page_load32(page, 2 * HV_MESSAGE_SIZE) == 1) {
		CU_ASSERT_EQUAL(vm_page_load32(page, 2 * HV_MESSAGE_SIZE + 16), next);
		next++;
		vm_page_exchange32(page, 2 * HV_MESSAGE_SIZE, HVMSG_NONE);
		if ((vm_page_load8(page, 2 * HV_MESSAGE_SIZE + 5) & 1) != 0) {
			wr(vcpu, HV_X64_MSR_EOM, 0);
		}
	}
	return next;
}

/* A sender and the guest on two CPUs: each message once and in order, and no stall. */
static void test_messages_race(void)
{
	pthread_t thread;
	uint32_t next = 0;

	begin();
	CU_ASSERT_EQUAL(pthread_create(&thread, NULL, post_many, NULL), 0);
	while (next < 3000) {
		if (host_vcpu_take_vector(vcpu) == VECTOR) {
			next = drain(vm_page_at(vm, gpa(SIMP)), next);
		} else {
			lock_relax();
		}
	}
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(next, 3000);
	end();
}

UNIT_MAIN("synic", UNIT_TEST(test_registers_after_create), UNIT_TEST(test_registers_keep),
	  UNIT_TEST(test_auto_eoi), UNIT_TEST(test_message), UNIT_TEST(test_queue_in_order),
	  UNIT_TEST(test_eoi_retries), UNIT_TEST(test_new_message_retries),
	  UNIT_TEST(test_pending_race), UNIT_TEST(test_sints_apart),
	  UNIT_TEST(test_masked_and_polling), UNIT_TEST(test_full_queue),
	  UNIT_TEST(test_disable_keeps), UNIT_TEST(test_reset), UNIT_TEST(test_hostile_page),
	  UNIT_TEST(test_event), UNIT_TEST(test_without_face), UNIT_TEST(test_ports),
	  UNIT_TEST(test_ports_race), UNIT_TEST(test_messages_race))

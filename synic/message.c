/*
 * message.c - messages from the host to the guest: a queue for each SINT, and the slots of the
 * message page.
 *
 * TLFS, inter-partition communication.
 *
 * The guest empties a slot (type = 0), then looks at the slot's pending flag and writes EOM if it
 * is set. So a sender that finds the slot occupied sets the flag and then looks at the type once
 * more: either the guest sees the flag, or the sender sees the empty slot.
 */
#include "synic/synic_private.h"

#define SLOT_TYPE offsetof(struct hv_message_header, message_type)
#define SLOT_SIZE offsetof(struct hv_message_header, payload_size)
#define SLOT_FLAGS offsetof(struct hv_message_header, message_flags)
#define SLOT_SENDER offsetof(struct hv_message_header, sender)
#define SLOT_PAYLOAD offsetof(struct hv_message, payload)

void message_reset_queue(struct synic_vcpu *synic)
{
	for (uint32_t i = 0; i < SYNIC_QUEUE_MAX; i++) {
		synic->queue[i].next = (uint8_t)(i + 1);
	}
	synic->queue[SYNIC_QUEUE_MAX - 1].next = SYNIC_QUEUE_NONE;
	synic->free = 0;
	memset(synic->heads, SYNIC_QUEUE_NONE, sizeof(synic->heads));
	memset(synic->tails, SYNIC_QUEUE_NONE, sizeof(synic->tails));
	__atomic_store_n(&synic->waiting, 0, __ATOMIC_RELEASE);
	synic->timer_was_last = 0;
	synic->refused = false;
}

static bool is_enabled(const struct synic_vcpu *synic)
{
	return (synic->scontrol & HV_SYNIC_CONTROL_ENABLE) != 0 &&
	       (synic->simp.value & HV_SYNIC_SIMP_ENABLE) != 0;
}

/* True if the slot is free now. If not, the guest will tell us with EOM when it is. */
static bool claim_slot(struct synic_vcpu *synic, uint32_t sint)
{
	struct vm_page *page = synic->simp.page;
	size_t slot = sint * sizeof(struct hv_message);

	if (!is_enabled(synic)) {
		return false;
	}
	if (vm_page_load32(page, slot + SLOT_TYPE) == HVMSG_NONE) {
		return true;
	}
	/*
	 * A locked operation on the whole word: the guest's change of the type is not undone by it.
	 */
	vm_page_set_bit(page, (slot + SLOT_FLAGS) * 8);
	return vm_page_load32(page, slot + SLOT_TYPE) == HVMSG_NONE;
}

/* Into a claimed slot. The type goes last: with it the message is the guest's. */
static void fill_slot(struct synic_vcpu *synic, uint32_t sint, uint32_t type, const void *payload,
                      uint32_t size, bool more)
{
	struct vm_page *page = synic->simp.page;
	size_t slot = sint * sizeof(struct hv_message);
	uint64_t control = synic->sints[sint];

	vm_page_write(page, slot + SLOT_PAYLOAD, payload, size);
	vm_page_store64(page, slot + SLOT_SENDER, 0);
	vm_page_store8(page, slot + SLOT_SIZE, (uint8_t)size);
	vm_page_store8(page, slot + SLOT_FLAGS, more ? HV_MESSAGE_FLAG_PENDING : 0);
	vm_page_store32(page, slot + SLOT_TYPE, type);
	/* A masked SINT loses its interrupt, not its message: the guest may look by itself. */
	if ((control & (HV_SYNIC_SINT_MASKED | HV_SYNIC_SINT_POLLING)) == 0) {
		vcpu_post_vector(synic->vcpu, (uint8_t)(control & HV_SYNIC_SINT_VECTOR_MASK));
	}
}

static bool enqueue(struct synic_vcpu *synic, uint32_t sint, uint32_t type, const void *payload,
                    uint32_t size)
{
	uint8_t place = synic->free;
	struct synic_queued *message;

	if (place == SYNIC_QUEUE_NONE) {
		return false;
	}
	message = &synic->queue[place];
	synic->free = message->next;
	message->type = type;
	message->size = (uint8_t)size;
	message->next = SYNIC_QUEUE_NONE;
	memcpy(message->payload, payload, size);
	if (synic->heads[sint] == SYNIC_QUEUE_NONE) {
		synic->heads[sint] = place;
	} else {
		synic->queue[synic->tails[sint]].next = place;
	}
	synic->tails[sint] = place;
	message_update_waiting(synic, sint);
	return true;
}

void message_update_waiting(struct synic_vcpu *synic, uint32_t sint)
{
	uint32_t waiting = synic->waiting & ~BIT(sint);

	if (synic->heads[sint] != SYNIC_QUEUE_NONE || stimer_find_waiting(synic, sint) != NULL) {
		waiting |= BIT(sint);
	}
	__atomic_store_n(&synic->waiting, waiting, __ATOMIC_RELEASE);
}

static void deliver_queued(struct synic_vcpu *synic, uint32_t sint)
{
	uint8_t place = synic->heads[sint];
	struct synic_queued *message = &synic->queue[place];

	synic->heads[sint] = message->next;
	message->next = synic->free;
	synic->free = place;
	message_update_waiting(synic, sint);
	synic->timer_was_last &= ~BIT(sint);
	fill_slot(synic, sint, message->type, message->payload, message->size,
	          (synic->waiting & BIT(sint)) != 0);
}

static void deliver_timer(struct synic_vcpu *synic, uint32_t sint, struct stimer *timer)
{
	struct hv_timer_message_payload payload;

	stimer_take_message(synic, timer, &payload);
	synic->timer_was_last |= BIT(sint);
	fill_slot(synic, sint, HVMSG_TIMER_EXPIRED, &payload, sizeof(payload),
	          (synic->waiting & BIT(sint)) != 0);
}

void message_deliver(struct synic_vcpu *synic, uint32_t sint)
{
	struct stimer *timer;

	if ((synic->waiting & BIT(sint)) == 0 || !claim_slot(synic, sint)) {
		return;
	}
	/* By turns, so that neither a fast timer nor a busy bus shuts the other out. */
	timer = stimer_find_waiting(synic, sint);
	if (timer != NULL &&
	    (synic->heads[sint] == SYNIC_QUEUE_NONE || (synic->timer_was_last & BIT(sint)) == 0)) {
		deliver_timer(synic, sint, timer);
	} else {
		deliver_queued(synic, sint);
	}
}

void message_deliver_all(struct synic_vcpu *synic)
{
	for (uint32_t sints = synic->waiting; sints != 0; sints &= sints - 1) {
		message_deliver(synic, bit_lowest(sints));
	}
}

static enum synic_status post(struct synic_vcpu *synic, uint32_t sint, uint32_t type, const void *payload,
                              uint32_t size)
{
	if (!is_enabled(synic)) {
		return SYNIC_DISABLED;
	}
	if ((synic->waiting & BIT(sint)) == 0 && claim_slot(synic, sint)) {
		fill_slot(synic, sint, type, payload, size, false);
		return SYNIC_OK;
	}
	message_deliver(synic, sint);
	if (!enqueue(synic, sint, type, payload, size)) {
		synic->refused = true;
		return SYNIC_FULL;
	}
	/* The slot may hold a message without the pending flag, or may have become free. */
	message_deliver(synic, sint);
	return SYNIC_OK;
}

enum synic_status synic_post_message(struct vcpu *target, uint32_t sint, uint32_t type, const void *payload,
                                     uint32_t size)
{
	struct synic_vcpu *synic = synic_of_vcpu(target);
	enum synic_status status;

	if (synic == NULL || sint >= HV_SYNIC_SINT_COUNT || type == HVMSG_NONE ||
	    size > HV_MESSAGE_PAYLOAD_BYTE_COUNT) {
		return SYNIC_INVALID;
	}
	spin_lock(&synic->lock);
	status = post(synic, sint, type, payload, size);
	spin_unlock(&synic->lock);
	return status;
}

bool synic_is_enabled(struct vcpu *target)
{
	struct synic_vcpu *synic = synic_of_vcpu(target);

	return synic != NULL && (synic_load(&synic->scontrol) & HV_SYNIC_CONTROL_ENABLE) != 0 &&
	       (synic_load(&synic->simp.value) & HV_SYNIC_SIMP_ENABLE) != 0;
}

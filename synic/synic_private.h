/*
 * synic_private.h - the SynIC's state; for synic/ alone.
 */
#ifndef SYNIC_SYNIC_PRIVATE_H
#define SYNIC_SYNIC_PRIVATE_H

#include "base/lock.h"
#include "base/mem.h"
#include "synic/synic.h"
#include "vm/page.h"

#define SYNIC_QUEUE_NONE 0xFFu

/*
 * A message that waits for its slot. Waiting ones of a SINT, and the free ones, are chained by
 * @next.
 */
struct synic_queued {
	uint32_t type;
	uint8_t size;
	uint8_t next;
	uint8_t payload[HV_MESSAGE_PAYLOAD_BYTE_COUNT];
};

struct stimer {
	struct vm_timer timer;
	uint64_t config;
	uint64_t count;
	uint64_t due_ref; /* scheduled expiry, reference time */
	bool running;
	bool message_waiting; /* has expired, its message has found no slot yet */
	uint64_t message_due_ref;
};

/*
 * One vCPU's. @lock guards all. Stores to scontrol, sints, waiting and the overlays' values are
 * atomic, because events and EOIs look at them without the lock.
 */
struct synic_vcpu {
	struct vcpu *vcpu;
	struct spinlock lock; /* RANK_EVENT */
	uint64_t scontrol;
	uint64_t sints[HV_SYNIC_SINT_COUNT];
	struct synic_overlay simp;
	struct synic_overlay siefp;

	uint32_t waiting; /* bit n: a message waits for SINT n's slot */
	uint32_t timer_was_last; /* bit n: the last message there was a timer's: the queue is next */
	bool refused; /* SYNIC_FULL was answered, nobody has been told of room since */
	uint8_t free; /* first free place of @queue */
	uint8_t heads[HV_SYNIC_SINT_COUNT];
	uint8_t tails[HV_SYNIC_SINT_COUNT];
	struct synic_queued queue[SYNIC_QUEUE_MAX];

	struct stimer stimers[HV_SYNIC_STIMER_COUNT];
};

struct synic_message_port {
	uint32_t id; /* 0: free */
	synic_post_fn *post;
	void *context;
};

/* Read without a lock: @sequence is odd while it changes and differs afterwards. */
struct synic_event_port {
	uint32_t sequence;
	uint32_t id; /* 0: free */
	synic_signal_fn *signal;
	void *context;
};

struct synic_vm {
	struct spinlock lock; /* RANK_EVENT: changes of ports. Never together with a vCPU's. */
	void (*room)(void *context);
	void *room_context;
	struct synic_message_port message_ports[SYNIC_MESSAGE_PORT_MAX];
	struct synic_event_port event_ports[SYNIC_EVENT_PORT_MAX];
};

static inline struct synic_vm *synic_of_vm(const struct vm *vm)
{
	return vm_slot(vm, VM_SLOT_SYNIC);
}

static inline struct synic_vcpu *synic_of_vcpu(const struct vcpu *vcpu)
{
	return vcpu_slot(vcpu, VM_SLOT_SYNIC);
}

static inline uint64_t synic_load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void synic_store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* message.c; with the vCPU's lock held. */
void message_reset_queue(struct synic_vcpu *synic);
/* Computes @waiting anew for one SINT. */
void message_update_waiting(struct synic_vcpu *synic, uint32_t sint);
/* If a message waits for the slot and the slot is free, moves it in and raises the interrupt. */
void message_deliver(struct synic_vcpu *synic, uint32_t sint);
void message_deliver_all(struct synic_vcpu *synic);

/* stimer.c; with the vCPU's lock held unless said otherwise. */
void stimer_init(struct synic_vcpu *synic); /* no lock; no vCPU runs */
void stimer_reset(struct synic_vcpu *synic); /* no lock; no vCPU runs */
void stimer_write_config(struct synic_vcpu *synic, uint32_t index, uint64_t raw_config);
void stimer_write_count(struct synic_vcpu *synic, uint32_t index, uint64_t raw_count);
/* The timer whose message waits for @sint, or NULL. */
struct stimer *stimer_find_waiting(struct synic_vcpu *synic, uint32_t sint);
/* Its message as it leaves now; it waits no more. */
void stimer_take_message(struct synic_vcpu *synic, struct stimer *timer,
                         struct hv_timer_message_payload *payload);

#endif /* SYNIC_SYNIC_PRIVATE_H */

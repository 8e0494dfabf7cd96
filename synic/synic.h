/*
 * synic.h - the synthetic interrupt controller (TLFS, inter-partition communication and timers):
 * what enlighten/hyperv and vmbus/ may ask.
 *
 * Each vCPU has 16 SINTs, a message page (one slot a SINT), an event flags page (2048 flags a SINT)
 * and four timers. Each guest has connections, to which it posts messages and signals events.
 *
 * Locks: each vCPU's SynIC has one lock of RANK_EVENT, taken and given back inside these functions;
 * so they may be called holding locks below RANK_EVENT (RANK_BUS, RANK_DEVICE ...). Handlers of
 * connections are called with none held.
 */
#ifndef SYNIC_SYNIC_H
#define SYNIC_SYNIC_H

#include "abi/hyperv.h"
#include "vm/vm.h"

/* Messages that wait for a slot, each vCPU, all its SINTs together. */
#define SYNIC_QUEUE_MAX 64u
/* Connections of a guest. */
#define SYNIC_MESSAGE_PORT_MAX 16u
#define SYNIC_EVENT_PORT_MAX 1024u

enum synic_status {
	SYNIC_OK = 0,
	SYNIC_INVALID, /* SINT, type or size out of bounds */
	SYNIC_DISABLED, /* the guest has not enabled this vCPU's SynIC or its message page */
	SYNIC_FULL, /* the queue is full: try again when synic_on_room()'s function is called */
};

/* ------------------------------------------------------------------ life */

/*
 * From hyperv_face.create: allocates, charged to the guest. False: out of quota, and nothing is
 * left behind.
 */
MUST_CHECK bool synic_create(struct vm *vm);
/*
 * No vCPU runs. Registers, queues, pages and timers as after create. Connections stay: whoever
 * added them removes them.
 */
void synic_reset(struct vm *vm);
/* No vCPU runs. Frees everything. Harmless without create. */
void synic_teardown(struct vm *vm);

/* ------------------------------------------------------------------ host to guest */

/*
 * Puts a message in the slot of @sint (0 to 15) of @target, or in its queue if the slot is
 * occupied; the vCPU gets the SINT's interrupt when it stands in the slot. @type is not 0. @payload
 * of @size (0 to 240) bytes is copied. Messages of one SINT arrive in the order of these calls. Any
 * context, below RANK_EVENT.
 */
MUST_CHECK enum synic_status synic_post_message(struct vcpu *target, uint32_t sint, uint32_t type,
                                                const void *payload, uint32_t size);

/*
 * Sets flag @flag (0 to 2047) of @sint and raises its interrupt if the flag was clear. False, and
 * no change, if the SynIC or its event page is off, the SINT is masked, or a number is out of
 * bounds. No lock is taken.
 */
bool synic_signal_event(struct vcpu *target, uint32_t sint, uint32_t flag);

/*
 * @room(@context) is called once each time that there is room again after a SYNIC_FULL, on the exit
 * of the vCPU concerned, with no lock held: queue a vm_work in it. One for each guest; NULL takes
 * it out. Before the guest runs or with no vCPU running.
 */
void synic_on_room(struct vm *vm, void (*room)(void *context), void *context);

/* True if messages to @target would be taken: its SynIC and its message page are on. */
bool synic_is_enabled(struct vcpu *target);

/* ------------------------------------------------------------------ guest to host */

/*
 * What the guest posts to @connection_id (not 0) goes to @post, on the exit of @from; it returns
 * the HV_STATUS_* of the hypercall. @payload is a checked copy of @size (0 to 240) bytes. False:
 * the id is taken or there is no place.
 */
typedef uint16_t synic_post_fn(void *context, struct vcpu *from, uint32_t type, const void *payload,
                               uint32_t size);
MUST_CHECK bool synic_port_add_message(struct vm *vm, uint32_t connection_id, synic_post_fn *post,
                                       void *context);

/*
 * What the guest signals on @connection_id (not 0) goes to @signal, on its exit: it does no more
 * than queue work. False: the id is taken, or another event connection has the same remainder
 * modulo SYNIC_EVENT_PORT_MAX (the table is indexed by it, without a search or a lock).
 */
typedef void synic_signal_fn(void *context, uint16_t flag);
MUST_CHECK bool synic_port_add_event(struct vm *vm, uint32_t connection_id, synic_signal_fn *signal,
                                     void *context);

/*
 * No call to the connection's handler starts after this; one that another vCPU has started may
 * still run. So @context must stay valid memory until the guest's reset or teardown. Unknown ids
 * are ignored.
 */
void synic_port_remove(struct vm *vm, uint32_t connection_id);

/* Connections of the guest's that are there. No lock of RANK_EVENT or above held. */
uint32_t synic_port_count(struct vm *vm);

/*
 * For the hypercalls: hand over to the connection. HV_STATUS_*. The caller has checked type and
 * size. No lock held.
 */
uint16_t synic_port_post(struct vcpu *from, uint32_t connection_id, uint32_t type, const void *payload,
                         uint32_t size);
uint16_t synic_port_signal(struct vcpu *from, uint32_t connection_id, uint16_t flag);

/*
 * ------------------------------------------------------------------ for enlighten/hyperv:
 * registers
 */

/*
 * On an exit of @vcpu. @msr is one of SCONTROL to EOM, SINT0-15, STIMER0-3. False: this access
 * faults.
 */
MUST_CHECK bool synic_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
MUST_CHECK bool synic_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value);

/*
 * The guest ended interrupt @vector: messages that wait for a SINT with it are tried again. Any
 * vCPU's exit.
 */
void synic_eoi(struct vcpu *vcpu, uint8_t vector);

/*
 * Reference time: 100 ns units since the guest's creation, the same for its MSR, its timers and
 * messages.
 */
static inline uint64_t synic_reference_time(const struct vm *vm)
{
	return vm_time_ns(vm) / HV_REFERENCE_NS;
}

/*
 * A page of ours that the guest places with an MSR of the form {enable 0, preserved 11:1, frame
 * 63:12}. It lives from create to teardown, so what is in it survives disabling and moving.
 */
struct synic_overlay {
	struct vm_page *page;
	uint64_t value; /* of the MSR */
};

MUST_CHECK bool synic_overlay_create(struct vm *vm, struct synic_overlay *overlay);
/* As after create: hidden, MSR 0, page zeroed. */
void synic_overlay_reset(struct vm *vm, struct synic_overlay *overlay);
void synic_overlay_destroy(struct vm *vm, struct synic_overlay *overlay);
/*
 * Writes the MSR; @access as in vm_page_show(). False, and no change: the page cannot be shown
 * there.
 */
MUST_CHECK bool synic_overlay_write(struct vm *vm, struct synic_overlay *overlay, uint64_t raw_value,
                                    uint32_t access);

#endif /* SYNIC_SYNIC_H */

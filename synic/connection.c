/*
 * connection.c - from the guest to the host: what PostMessage and SignalEvent reach (TLFS,
 * inter-partition communication).
 *
 * SignalEvent is the doorbell of every ring, so its table is indexed and read without a lock; a
 * sequence number for each entry says whether what was read belongs together. Messages are rare and
 * take the lock.
 */
#include "synic/synic_private.h"

static struct synic_message_port *find_message_port(struct synic_vm *synic, uint32_t id)
{
	for (uint32_t i = 0; i < SYNIC_MESSAGE_PORT_MAX; i++) {
		if (synic->message_ports[i].id == id) {
			return &synic->message_ports[i];
		}
	}
	return NULL;
}

static struct synic_event_port *event_port_at(struct synic_vm *synic, uint32_t id)
{
	return &synic->event_ports[id % SYNIC_EVENT_PORT_MAX];
}

bool synic_port_add_message(struct vm *vm, uint32_t connection_id, synic_post_fn *post, void *context)
{
	struct synic_vm *synic = synic_of_vm(vm);
	struct synic_message_port *port = NULL;

	if (synic == NULL || connection_id == 0) {
		return false;
	}
	spin_lock(&synic->lock);
	if (find_message_port(synic, connection_id) == NULL) {
		port = find_message_port(synic, 0);
	}
	if (port != NULL) {
		*port = (struct synic_message_port){connection_id, post, context};
	}
	spin_unlock(&synic->lock);
	return port != NULL;
}

static void change_event_port(struct synic_event_port *port, uint32_t id, synic_signal_fn *signal,
                              void *context)
{
	__atomic_add_fetch(&port->sequence, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&port->id, id, __ATOMIC_SEQ_CST);
	__atomic_store_n(&port->signal, signal, __ATOMIC_SEQ_CST);
	__atomic_store_n(&port->context, context, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&port->sequence, 1, __ATOMIC_SEQ_CST);
}

bool synic_port_add_event(struct vm *vm, uint32_t connection_id, synic_signal_fn *signal, void *context)
{
	struct synic_vm *synic = synic_of_vm(vm);
	struct synic_event_port *port;
	bool is_free;

	if (synic == NULL || connection_id == 0) {
		return false;
	}
	port = event_port_at(synic, connection_id);
	spin_lock(&synic->lock);
	is_free = port->id == 0;
	if (is_free) {
		change_event_port(port, connection_id, signal, context);
	}
	spin_unlock(&synic->lock);
	return is_free;
}

void synic_port_remove(struct vm *vm, uint32_t connection_id)
{
	struct synic_vm *synic = synic_of_vm(vm);
	struct synic_message_port *message;
	struct synic_event_port *event;

	if (synic == NULL || connection_id == 0) {
		return;
	}
	spin_lock(&synic->lock);
	message = find_message_port(synic, connection_id);
	if (message != NULL) {
		*message = (struct synic_message_port){0};
	}
	event = event_port_at(synic, connection_id);
	if (event->id == connection_id) {
		change_event_port(event, 0, NULL, NULL);
	}
	spin_unlock(&synic->lock);
}

uint32_t synic_port_count(struct vm *vm)
{
	struct synic_vm *synic = synic_of_vm(vm);
	uint32_t count = 0;

	if (synic == NULL) {
		return 0;
	}
	spin_lock(&synic->lock);
	for (uint32_t i = 0; i < SYNIC_MESSAGE_PORT_MAX; i++) {
		count += synic->message_ports[i].id != 0;
	}
	for (uint32_t i = 0; i < SYNIC_EVENT_PORT_MAX; i++) {
		count += synic->event_ports[i].id != 0;
	}
	spin_unlock(&synic->lock);
	return count;
}

uint16_t synic_port_post(struct vcpu *from, uint32_t connection_id, uint32_t type, const void *payload,
                         uint32_t size)
{
	struct synic_vm *synic = synic_of_vm(vcpu_vm(from));
	struct synic_message_port port = {0};
	const struct synic_message_port *found;

	if (synic == NULL || connection_id == 0) {
		return HV_STATUS_INVALID_CONNECTION_ID;
	}
	spin_lock(&synic->lock);
	found = find_message_port(synic, connection_id);
	if (found != NULL) {
		port = *found;
	}
	spin_unlock(&synic->lock);
	if (port.id == 0) {
		return HV_STATUS_INVALID_CONNECTION_ID;
	}
	return port.post(port.context, from, type, payload, size);
}

uint16_t synic_port_signal(struct vcpu *from, uint32_t connection_id, uint16_t flag)
{
	struct synic_vm *synic = synic_of_vm(vcpu_vm(from));
	const struct synic_event_port *port;
	synic_signal_fn *signal;
	uint32_t sequence;
	void *context;

	if (synic == NULL || connection_id == 0) {
		return HV_STATUS_INVALID_CONNECTION_ID;
	}
	port = event_port_at(synic, connection_id);
	sequence = __atomic_load_n(&port->sequence, __ATOMIC_SEQ_CST);
	if ((sequence & 1) != 0 || __atomic_load_n(&port->id, __ATOMIC_SEQ_CST) != connection_id) {
		return HV_STATUS_INVALID_CONNECTION_ID;
	}
	signal = __atomic_load_n(&port->signal, __ATOMIC_SEQ_CST);
	context = __atomic_load_n(&port->context, __ATOMIC_SEQ_CST);
	/* Changed under us: then it was removed in between, whatever stands there now. */
	if (__atomic_load_n(&port->sequence, __ATOMIC_SEQ_CST) != sequence) {
		return HV_STATUS_INVALID_CONNECTION_ID;
	}
	signal(context, flag);
	return HV_STATUS_SUCCESS;
}

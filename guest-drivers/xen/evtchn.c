/*
 * evtchn.c - event channels, two-level form, on vCPU 0 (event_channel.h; xen.h, struct
 * shared_info).
 */
#include "guest-drivers/xen/xen.h"

#define AT_PENDING offsetof(struct xen_shared_info64, evtchn_pending)
#define AT_MASK offsetof(struct xen_shared_info64, evtchn_mask)
#define AT_UPCALL offsetof(struct xen_vcpu_info64, evtchn_upcall_pending)
#define AT_SELECTOR offsetof(struct xen_vcpu_info64, evtchn_pending_sel)

static uint64_t *word_at(struct xen_guest *x, size_t array, uint32_t word)
{
	return (uint64_t *)(void *)(x->shared + array + word * 8u);
}

static struct xen_handler *handler_find(struct xen_guest *x, uint32_t port)
{
	for (uint32_t i = 0; i < XEN_HANDLER_MAX; i++) {
		if (x->handlers[i].port == port) {
			return &x->handlers[i];
		}
	}
	return NULL;
}

static void unmask(struct xen_guest *x, uint32_t port)
{
	(void)__atomic_fetch_and(word_at(x, AT_MASK, port / 64), ~(1ull << (port % 64)), __ATOMIC_SEQ_CST);
}

bool xen_port_handle(struct xen_guest *x, uint32_t port, void (*handle)(void *context), void *context)
{
	struct xen_handler *handler = handler_find(x, 0);

	if (port == 0 || port >= EVTCHN_2L_NR_CHANNELS_64 || handler == NULL) {
		return false;
	}
	*handler = (struct xen_handler){.port = port, .handle = handle, .context = context};
	unmask(x, port);
	return true;
}

void xen_port_forget(struct xen_guest *x, uint32_t port)
{
	struct xen_handler *handler = handler_find(x, port);

	if (port != 0 && handler != NULL) {
		handler->port = 0;
	}
}

int64_t xen_port_alloc(struct xen_guest *x, void (*handle)(void *context), void *context)
{
	struct xen_evtchn_alloc_unbound alloc = {.dom = DOMID_SELF, .remote_dom = 0};
	int64_t result = xen_call_struct(x, __HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, &alloc,
	                                 sizeof(alloc));

	if (result != 0) {
		return result;
	}
	if (!xen_port_handle(x, alloc.port, handle, context)) {
		(void)xen_port_close(x, alloc.port);
		return -XEN_ENOSPC;
	}
	return alloc.port;
}

int64_t xen_port_close(struct xen_guest *x, uint32_t port)
{
	xen_port_forget(x, port);
	return xen_call_struct(x, __HYPERVISOR_event_channel_op, EVTCHNOP_close, &port, sizeof(port));
}

int64_t xen_port_notify(struct xen_guest *x, uint32_t port)
{
	return xen_call_struct(x, __HYPERVISOR_event_channel_op, EVTCHNOP_send, &port, sizeof(port));
}

static void handle_port(struct xen_guest *x, uint32_t port)
{
	struct xen_handler *handler = port != 0 ? handler_find(x, port) : NULL;

	if (handler != NULL) {
		handler->handle(handler->context);
	} else {
		x->spurious_events++;
	}
}

static void handle_word(struct xen_guest *x, uint32_t word)
{
	uint64_t *pending = word_at(x, AT_PENDING, word);
	uint64_t ready = __atomic_load_n(pending, __ATOMIC_ACQUIRE) &
	                 ~__atomic_load_n(word_at(x, AT_MASK, word), __ATOMIC_ACQUIRE);

	for (; ready != 0; ready &= ready - 1) {
		uint32_t bit = (uint32_t)__builtin_ctzll(ready);

		(void)__atomic_fetch_and(pending, ~(1ull << bit), __ATOMIC_SEQ_CST);
		handle_port(x, word * 64 + bit);
	}
}

bool xen_events_handle(struct xen_guest *x)
{
	bool called = __atomic_exchange_n(x->shared + AT_UPCALL, 0, __ATOMIC_SEQ_CST) != 0;
	uint64_t selected =
	        __atomic_exchange_n((uint64_t *)(void *)(x->shared + AT_SELECTOR), 0, __ATOMIC_SEQ_CST);

	called = called || selected != 0;
	for (; selected != 0; selected &= selected - 1) {
		handle_word(x, (uint32_t)__builtin_ctzll(selected));
	}
	return called;
}

void xen_poll(struct xen_guest *x)
{
	guest_poll(x->guest);
	(void)xen_events_handle(x);
}

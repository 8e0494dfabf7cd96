/*
 * xencons.c - the PV console's ring (Xen's io/console.h).
 *
 * Output is taken at once, whatever the console does with it: a guest that finds the ring full waits for
 * ever. Input is taken from the console only for a guest that has used the ring, so that a guest that uses
 * its UART keeps its keys.
 */
#include "enlighten/xen/xencons.h"

#include "abi/xen.h"
#include "enlighten/xen/xen.h"
#include "vm/page.h"

#define AT_IN offsetof(struct xen_console_ring, in)
#define AT_OUT offsetof(struct xen_console_ring, out)
#define AT_IN_CONS offsetof(struct xen_console_ring, in_cons)
#define AT_IN_PROD offsetof(struct xen_console_ring, in_prod)
#define AT_OUT_CONS offsetof(struct xen_console_ring, out_cons)
#define AT_OUT_PROD offsetof(struct xen_console_ring, out_prod)

static void xencons_kick(void *context)
{
	struct xencons *xc = context;

	vm_work_queue(&xc->work);
}

/* At most @len bytes of the ring from index @at on, up to its end. */
static uint32_t piece(uint32_t at, uint32_t len, uint32_t ring, uint32_t max)
{
	uint32_t here = ring - at % ring;

	len = len < here ? len : here;
	return len < max ? len : max;
}

/* Guest to console. True if an index was moved. */
static bool move_out(struct xencons *xc)
{
	uint32_t raw_prod = vm_page_load32(xc->page, AT_OUT_PROD);
	char bytes[256];

	if (raw_prod == xc->out_cons) {
		return false;
	}
	/* Indexes that cannot be: start again where the guest believes to be. */
	if (raw_prod - xc->out_cons > XENCONS_OUT_BYTES) {
		xc->out_cons = raw_prod;
	}
	while (xc->out_cons != raw_prod) {
		uint32_t len = piece(xc->out_cons, raw_prod - xc->out_cons, XENCONS_OUT_BYTES, sizeof(bytes));

		vm_page_read(xc->page, AT_OUT + xc->out_cons % XENCONS_OUT_BYTES, bytes, len);
		console_write(xc->console, bytes, len);
		xc->out_cons += len;
	}
	vm_page_store32(xc->page, AT_OUT_CONS, xc->out_cons);
	vm_page_barrier();
	return true;
}

/* Console to guest. True if an index was moved. */
static bool move_in(struct xencons *xc)
{
	uint32_t used = xc->in_prod - vm_page_load32(xc->page, AT_IN_CONS);
	uint32_t left, start = xc->in_prod;
	char bytes[256];

	if (used > XENCONS_IN_BYTES) {
		xc->in_prod -= used;
		start = xc->in_prod;
		used = 0;
	}
	left = XENCONS_IN_BYTES - used;
	while (left != 0) {
		uint32_t room = piece(xc->in_prod, left, XENCONS_IN_BYTES, sizeof(bytes));
		uint32_t len = (uint32_t)console_read(xc->console, bytes, room);

		if (len == 0) {
			break;
		}
		vm_page_write(xc->page, AT_IN + xc->in_prod % XENCONS_IN_BYTES, bytes, len);
		xc->in_prod += len;
		left -= len;
	}
	if (xc->in_prod == start) {
		return false;
	}
	vm_page_store32(xc->page, AT_IN_PROD, xc->in_prod);
	vm_page_barrier();
	return true;
}

static bool xencons_step(struct vm_work *work)
{
	struct xencons *xc = CONTAINER_OF(work, struct xencons, work);
	bool out = move_out(xc), in = false;

	if (out && !xc->used) {
		xc->used = true;
		console_attach(xc->console, xencons_kick, xc);
	}
	if (xc->used) {
		in = move_in(xc);
	}
	if (out || in) {
		evtchn_backend_notify(xc->vm, xc->port);
	}
	return out; /* it may have written more meanwhile without a signal */
}

bool xencons_open(struct xencons *xc, struct vm *vm)
{
	static const struct xen_console_ring empty;

	xc->vm = vm;
	xc->console = vm_config(vm)->console;
	xc->page = NULL;
	xc->used = false;
	xc->out_cons = 0;
	xc->in_prod = 0;
	xc->backend = (struct evtchn_backend){xencons_kick, xc};
	vm_work_init(&xc->work, vm, xencons_step);
	if (xc->console == NULL) {
		xen_set_console_port(vm, 0);
		return true;
	}
	xc->page = vm_page_pin(vm, vm_special_page(vm, VM_SPECIAL_CONSOLE));
	if (xc->page == NULL) {
		return false;
	}
	xc->port = evtchn_backend_alloc(vm, &xc->backend);
	if (xc->port == 0) {
		vm_page_unpin(vm, xc->page);
		xc->page = NULL;
		return false;
	}
	vm_page_write(xc->page, 0, &empty, sizeof(empty));
	vm_page_store32(xc->page, sizeof(empty), 0); /* the byte behind it: connected */
	xen_set_console_port(vm, xc->port);
	return true;
}

void xencons_close(struct xencons *xc)
{
	if (xc->page == NULL) {
		return;
	}
	if (xc->used) {
		console_attach(xc->console, NULL, NULL);
	}
	vm_work_cancel(&xc->work);
	evtchn_backend_unbind(xc->vm, xc->port);
	vm_page_unpin(xc->vm, xc->page);
	xc->page = NULL;
}

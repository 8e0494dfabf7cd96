/*
 * xencons.c - the guest's side of the console ring (io/console.h).
 */
#include "guest-drivers/xen/xen.h"

#define AT_IN offsetof(struct xen_console_ring, in)
#define AT_OUT offsetof(struct xen_console_ring, out)
#define AT_IN_CONS offsetof(struct xen_console_ring, in_cons)
#define AT_IN_PROD offsetof(struct xen_console_ring, in_prod)
#define AT_OUT_CONS offsetof(struct xen_console_ring, out_cons)
#define AT_OUT_PROD offsetof(struct xen_console_ring, out_prod)

static void console_event(void *context)
{
	(void)context; /* whoever reads looks at the ring */
}

bool xen_console_open(struct xen_console *console, struct xen_guest *x)
{
	uint64_t gfn, port;

	if (xen_param_get(x, HVM_PARAM_CONSOLE_PFN, &gfn) != 0 ||
	    xen_param_get(x, HVM_PARAM_CONSOLE_EVTCHN, &port) != 0 || gfn == 0 || port == 0) {
		return false;
	}
	*console = (struct xen_console){.x = x, .port = (uint32_t)port};
	console->ring = x->guest->ops->page_at(x->guest->context, gfn);
	return console->ring != NULL && xen_port_handle(x, console->port, console_event, console);
}

size_t xen_console_write(struct xen_console *console, const char *bytes, size_t len)
{
	uint8_t *ring = console->ring;
	uint32_t polls = 0;
	size_t done = 0;

	while (done < len) {
		uint32_t prod = guest_load32(ring + AT_OUT_PROD);
		uint32_t used = prod - guest_load32(ring + AT_OUT_CONS);

		if (used > XENCONS_OUT_BYTES || polls == console->x->guest->poll_max) {
			break;
		}
		if (used == XENCONS_OUT_BYTES) {
			polls++;
			xen_poll(console->x);
			continue;
		}
		ring[AT_OUT + prod % XENCONS_OUT_BYTES] = (uint8_t)bytes[done++];
		guest_store32(ring + AT_OUT_PROD, prod + 1);
		if (done == len || used + 1 == XENCONS_OUT_BYTES) {
			(void)xen_port_notify(console->x, console->port);
		}
	}
	return done;
}

size_t xen_console_read(struct xen_console *console, char *to, size_t room)
{
	uint8_t *ring = console->ring;
	uint32_t cons = guest_load32(ring + AT_IN_CONS);
	uint32_t have = guest_load32(ring + AT_IN_PROD) - cons;
	size_t done = 0;

	if (have > XENCONS_IN_BYTES) {
		return 0;
	}
	while (done < room && done < have) {
		to[done] = (char)ring[AT_IN + (cons + done) % XENCONS_IN_BYTES];
		done++;
	}
	if (done != 0) {
		guest_barrier();
		guest_store32(ring + AT_IN_CONS, cons + (uint32_t)done);
		(void)xen_port_notify(console->x, console->port);
	}
	return done;
}

void xen_console_close(struct xen_console *console)
{
	xen_port_forget(console->x, console->port);
}

/*
 * xenstore.h - the guest's connection to its store: the ring page, messages, replies and events.
 *
 * After docs/misc/xenstore-ring.txt and io/xs_wire.h. One request at a time: its reply, then the events it
 * caused, then the next request; so nothing is queued but what has changed. All of it under
 * the bus's RANK_BUS lock.
 */
#ifndef XEN_XENSTORE_H
#define XEN_XENSTORE_H

#include "abi/xen.h"
#include "enlighten/xen/evtchn.h"
#include "enlighten/xen/store.h"

struct xenstore {
	struct vm *vm;
	struct store *store;
	struct vm_page *page;
	struct evtchn_backend backend;
	uint32_t port;
	uint32_t req_cons, rsp_prod; /* ours: what the page says of them is not believed */
	bool broken; /* the guest broke the protocol: nothing until it asks for a new connection */
	bool moved; /* an index was moved in this step: the guest is to be told */
	uint32_t in_have; /* bytes of header and payload that have come */
	struct xen_xs_message in;
	char in_payload[XENSTORE_PAYLOAD_MAX + 1]; /* with a NUL of ours behind it */
	uint32_t out_len, out_sent;
	struct xen_xs_message out;
	char out_payload[XENSTORE_PAYLOAD_MAX];
	struct store_txn *committing;
	struct store_path path;
};

/*
 * Takes the store's special page and a port, which @notify with @context tells of the guest's signals.
 * False: no page or no port. The guest does not run.
 */
MUST_CHECK bool xenstore_open(struct xenstore *xs, struct vm *vm, struct store *store,
                              void (*notify)(void *context), void *context);
void xenstore_close(struct xenstore *xs);

/* Moves messages both ways, a bounded number of them. True if there is more to do now. */
bool xenstore_step(struct xenstore *xs);

#endif /* XEN_XENSTORE_H */

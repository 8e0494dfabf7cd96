/*
 * xen_store.h - what the files of specs/xenstore.def share.
 */
#ifndef GUEST_DRIVERS_CERTIFY_XEN_STORE_H
#define GUEST_DRIVERS_CERTIFY_XEN_STORE_H

#include "guest-drivers/certify/xen_probe.h"

#define STORE_HOME "data/janus-certify" /* below it all is ours, and is gone after each probe */

/* The store, with STORE_HOME empty; NULL: a check has failed. */
struct xen_guest *store_begin(struct probe *p);
/* Takes STORE_HOME and all events away. */
void store_end(struct probe *p, struct xen_guest *x);

/* The row's message with these @len bytes, outside a transaction. */
int64_t store_ask(struct probe *p, struct xen_guest *x, const void *payload, uint32_t len);
/* The same of type @type in transaction @tx. A text with its NUL: STORE_TEXT("path\0token"). */
#define STORE_TEXT(text) text, (uint32_t)sizeof(text)
/* No NUL at the end. */
#define STORE_RAW(text) text, (uint32_t)sizeof(text) - 1

/* What a message that begins with a path says of bad paths; @rest follows the path and its NUL. */
void store_check_paths(struct probe *p, struct xen_guest *x, const char *rest, uint32_t rest_len);
/* Messages that act on a node: an unknown transaction. */
void store_check_no_transaction(struct probe *p, struct xen_guest *x, const char *payload, uint32_t len);

/* In xen_store_watch.c. */
void probe_XS_WATCH(struct probe *p);
void probe_XS_UNWATCH(struct probe *p);
void probe_XS_RESET_WATCHES(struct probe *p);
void probe_XS_TRANSACTION_START(struct probe *p);
void probe_XS_TRANSACTION_END(struct probe *p);

#endif /* GUEST_DRIVERS_CERTIFY_XEN_STORE_H */

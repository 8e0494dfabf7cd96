/*
 * xenstore_private.h - between the ring (xenstore.c) and the messages (xenstore_ops.c).
 */
#ifndef XEN_XENSTORE_PRIVATE_H
#define XEN_XENSTORE_PRIVATE_H

#include "base/format.h"
#include "base/mem.h"
#include "enlighten/xen/xenstore.h"

/* Answers the request in xs->in, which is complete; or leaves xs->committing for later steps. */
void xenstore_dispatch(struct xenstore *xs);
/* A reply of the request's own type with the payload's first @len bytes. */
void xenstore_reply(struct xenstore *xs, uint32_t len);
/* "OK" or the error's name. */
void xenstore_answer(struct xenstore *xs, enum store_error error);

#endif /* XEN_XENSTORE_PRIVATE_H */

/*
 * store_private.h - what the parts of the store share: store.c (nodes and trees), store_ops.c (operations),
 * store_txn.c, store_watch.c. All of it under the owner's lock.
 */
#ifndef XEN_STORE_PRIVATE_H
#define XEN_STORE_PRIVATE_H

#include "base/check.h"
#include "base/mem.h"
#include "enlighten/xen/store.h"

/* How far a path leads in a tree. */
struct store_walk {
	struct store_node *node; /* NULL: missing */
	struct store_node *last; /* the deepest that exists: node, or its nearest ancestor */
	uint32_t missing_at; /* where in the text the first missing name starts */
	uint32_t missing_count; /* names that do not exist */
};

/* Charged to the guest, and to the store's own quota if the guest asks. NULL: none. */
MUST_CHECK void *store_alloc(struct store *store, enum store_who who, size_t bytes);
void store_free(struct store *store, void *memory, size_t bytes);

/* The name that starts at @at of the path's text; its length. 0 at the end. */
uint32_t store_path_name(const struct store_path *path, uint32_t at);
/* True if @text (@len long) is @above or lies below it. */
bool store_path_is_below(const char *text, size_t len, const char *above, size_t above_len);

uint8_t store_rights(const struct store *store, const struct store_node *node, enum store_who who);
void store_node_release(struct store *store, struct store_node *node);
/* Nodes of the guest's in the subtree, itself included. */
uint32_t store_node_count_guest(const struct store *store, const struct store_node *node);
MUST_CHECK struct store_node *store_node_new(struct store *store, enum store_who who, const char *name,
                                             uint32_t name_len);
MUST_CHECK bool store_node_reserve(struct store *store, enum store_who who, struct store_node *node);
/* Room must be reserved; no name twice. */
void store_node_insert(struct store_node *node, struct store_node *child);
void store_node_delete(struct store *store, struct store_node *node, struct store_node *child);
void store_value_release(struct store *store, struct store_value *value);

void store_tree_walk(const struct store_tree *tree, const struct store_path *path, struct store_walk *walk);
/*
 * The node at the first @len characters of the path, which must exist, made this tree's own all the way
 * down. NULL: no memory (the tree means the same as before).
 */
MUST_CHECK struct store_node *store_tree_own(struct store *store, enum store_who who, struct store_tree *tree,
                                             const struct store_path *path, uint32_t len);

/*
 * Hangs @top (in no tree yet; counted now) below the deepest node that @walk found. False: no memory,
 * nothing done.
 */
MUST_CHECK bool store_tree_hang(struct store *store, enum store_who who, struct store_tree *tree,
                                const struct store_path *path, const struct store_walk *walk,
                                struct store_node *top);
/* Takes the node at @path (not "/", it must exist) and all below it out. False: no memory, nothing done. */
MUST_CHECK bool store_tree_cut(struct store *store, enum store_who who, struct store_tree *tree,
                               const struct store_path *path, struct store_node *node);

/* NULL: no memory. */
MUST_CHECK struct store_record *store_record_new(struct store *store, enum store_who who,
                                                 enum store_access access, const char *path, size_t len,
                                                 bool silent);
void store_record_free(struct store *store, struct store_record *record);
/* Queues the record as a change (or frees it if it is of no interest) and tells the devices. */
void store_change_add(struct store *store, enum store_who who, struct store_record *record);
void store_watch_drop_all(struct store *store);

/* Notes that @txn touched @path. ENOSPC, ENOMEM. */
MUST_CHECK enum store_error store_txn_note(struct store *store, struct store_txn *txn,
                                           enum store_access access, const char *path, size_t len,
                                           bool silent);

/* The same for what it surely has not noted yet: not searched for. */
MUST_CHECK enum store_error store_txn_add(struct store *store, struct store_txn *txn,
                                          enum store_access access, const char *path, size_t len,
                                          bool silent);

#endif /* XEN_STORE_PRIVATE_H */

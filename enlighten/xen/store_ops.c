/*
 * store_ops.c - the operations on the store's tree (docs/misc/xenstore.txt, "Database read, write and
 * permissions operations").
 *
 * Each one decides first (rights, quotas, all the memory it needs), then acts: on an error nothing has
 * changed.
 */
#include "enlighten/xen/store_private.h"

static struct store_tree *call_tree(struct store *store, const struct store_call *call)
{
	return call->txn != NULL ? &call->txn->tree : &store->tree;
}

/*
 * ENOENT tells that a name is free, so only who may read there may know. @right: what the caller would need
 * of the nearest ancestor.
 */
static enum store_error missing_error(const struct store *store, const struct store_call *call,
                                      const struct store_walk *walk, enum store_right right)
{
	return (store_rights(store, walk->last, call->who) & right) != 0 ? STORE_ENOENT : STORE_EACCES;
}

static enum store_error note(struct store *store, const struct store_call *call, enum store_access access,
                             const struct store_path *path)
{
	if (call->txn == NULL) {
		return STORE_OK;
	}
	return store_txn_note(store, call->txn, access, path->text, path->len, false);
}

static enum store_error look(struct store *store, const struct store_call *call, enum store_access access,
                             const struct store_path *path, const struct store_node **node)
{
	struct store_walk walk;
	enum store_error error;

	store_tree_walk(call_tree(store, call), path, &walk);
	error = note(store, call, access, path);
	if (error != STORE_OK) {
		return error;
	}
	if (walk.node == NULL) {
		return missing_error(store, call, &walk, STORE_READ);
	}
	if ((store_rights(store, walk.node, call->who) & STORE_READ) == 0) {
		return STORE_EACCES;
	}
	*node = walk.node;
	return STORE_OK;
}

enum store_error store_read(struct store *store, const struct store_call *call, const struct store_path *path,
                            const uint8_t **value, uint32_t *len)
{
	const struct store_node *node;
	enum store_error error = look(store, call, STORE_ACCESS_READ, path, &node);

	if (error == STORE_OK) {
		*value = node->value != NULL ? node->value->bytes : NULL;
		*len = node->value != NULL ? node->value->len_bytes : 0;
	}
	return error;
}

enum store_error store_list(struct store *store, const struct store_call *call, const struct store_path *path,
                            const struct store_node **node)
{
	return look(store, call, STORE_ACCESS_LIST, path, node);
}

enum store_error store_get_perms(struct store *store, const struct store_call *call,
                                 const struct store_path *path, const struct store_node **node)
{
	return look(store, call, STORE_ACCESS_READ, path, node);
}

/* ------------------------------------------------------------------ what an operation leaves behind */

/*
 * The trace of a change: a record in the transaction, or one for the watches. Made before the change (it
 * may fail), told after it.
 */
struct trace {
	struct store_record *record; /* NULL in a transaction */
};

static enum store_error trace_begin(struct store *store, const struct store_call *call,
                                    enum store_access access, const struct store_path *path, bool silent,
                                    struct trace *trace)
{
	trace->record = NULL;
	if (call->txn != NULL) {
		return store_txn_note(store, call->txn, access, path->text, path->len, silent);
	}
	trace->record = store_record_new(store, call->who, access, path->text, path->len, silent);
	return trace->record != NULL ? STORE_OK : STORE_ENOMEM;
}

static void trace_drop(struct store *store, struct trace *trace)
{
	if (trace->record != NULL) {
		store_record_free(store, trace->record);
	}
}

static void trace_end(struct store *store, const struct store_call *call, struct trace *trace)
{
	if (trace->record != NULL) {
		store_change_add(store, call->who, trace->record);
	}
}

static bool guest_reads(const struct store *store, const struct store_node *node)
{
	return (store_rights(store, node, STORE_GUEST) & STORE_READ) != 0;
}

/* ------------------------------------------------------------------ write, mkdir */

static bool value_new(struct store *store, enum store_who who, const void *bytes, uint32_t len,
                      struct store_value **value)
{
	*value = NULL;
	if (len == 0) {
		return true;
	}
	*value = store_alloc(store, who, sizeof(**value) + len);
	if (*value == NULL) {
		return false;
	}
	(*value)->ref_count = 1;
	(*value)->len_bytes = len;
	memcpy((*value)->bytes, bytes, len);
	return true;
}

/* A new node takes its parent's list; what a guest makes is its own. */
static void perms_inherit(const struct store *store, enum store_who who, struct store_node *node,
                          const struct store_node *parent)
{
	node->perm_count = parent->perm_count;
	memcpy(node->perms, parent->perms, sizeof(node->perms));
	if (who == STORE_GUEST) {
		node->perms[0].domain = store->guest;
	}
}

/*
 * The missing names of @path as a chain of new nodes, in no tree yet. @leaf: the last of them. NULL: no
 * memory.
 */
static struct store_node *chain_new(struct store *store, enum store_who who, const struct store_path *path,
                                    const struct store_walk *walk, struct store_node **leaf)
{
	struct store_node *top = NULL, *above = walk->last;

	for (uint32_t at = walk->missing_at; at < path->len;) {
		uint32_t len = store_path_name(path, at);
		struct store_node *node = store_node_new(store, who, path->text + at, len);

		if (node == NULL || (top != NULL && !store_node_reserve(store, who, above))) {
			store_node_release(store, node);
			store_node_release(store, top);
			return NULL;
		}
		perms_inherit(store, who, node, above);
		if (top == NULL) {
			top = node;
		} else {
			store_node_insert(above, node);
		}
		above = node;
		at += len + 1;
	}
	*leaf = above;
	return top;
}

/* In a transaction each parent made on the way is noted too, so that the commit finds it. */
static enum store_error note_parents(struct store *store, const struct store_call *call,
                                     const struct store_path *path, const struct store_walk *walk)
{
	uint32_t at = walk->missing_at;

	if (call->txn == NULL) {
		return STORE_OK;
	}
	for (uint32_t i = 1; i < walk->missing_count; i++) {
		uint32_t end = at + store_path_name(path, at);
		enum store_error error =
		        store_txn_add(store, call->txn, STORE_ACCESS_WRITE, path->text, end, true);

		if (error != STORE_OK) {
			return error;
		}
		at = end + 1;
	}
	return STORE_OK;
}

/* May the caller write here, and is there room? */
static enum store_error write_check(const struct store *store, const struct store_call *call,
                                    const struct store_tree *tree, const struct store_walk *walk)
{
	if ((store_rights(store, walk->last, call->who) & STORE_WRITE) == 0) {
		return STORE_EACCES;
	}
	if (call->who == STORE_GUEST && walk->missing_count != 0 &&
	    tree->guest_node_count + walk->missing_count > STORE_NODE_MAX) {
		return STORE_ENOSPC;
	}
	return STORE_OK;
}

/* Puts @value (ours from here on, also on an error) into an existing node. */
static enum store_error put_value(struct store *store, const struct store_call *call,
                                  const struct store_path *path, struct store_value *value)
{
	struct store_node *node = store_tree_own(store, call->who, call_tree(store, call), path, path->len);

	if (node == NULL) {
		store_value_release(store, value);
		return STORE_ENOMEM;
	}
	store_value_release(store, node->value);
	node->value = value;
	node->generation = ++store->generation;
	return STORE_OK;
}

/* Puts new nodes below the last existing one. @value as in put_value(). */
static enum store_error put_chain(struct store *store, const struct store_call *call,
                                  const struct store_path *path, const struct store_walk *walk,
                                  struct store_value *value)
{
	struct store_node *leaf, *top = chain_new(store, call->who, path, walk, &leaf);

	if (top == NULL) {
		store_value_release(store, value);
		return STORE_ENOMEM;
	}
	leaf->value = value;
	if (!store_tree_hang(store, call->who, call_tree(store, call), path, walk, top)) {
		store_node_release(store, top);
		return STORE_ENOMEM;
	}
	return STORE_OK;
}

/* Write, and mkdir of a node that is not there. */
static enum store_error put(struct store *store, const struct store_call *call, const struct store_path *path,
                            const struct store_walk *walk, const void *bytes, uint32_t len)
{
	struct store_value *value;
	struct trace trace;
	enum store_error error = write_check(store, call, call_tree(store, call), walk);

	if (error == STORE_OK) {
		error = note_parents(store, call, path, walk);
	}
	if (error == STORE_OK) {
		error = trace_begin(store, call, STORE_ACCESS_WRITE, path, !guest_reads(store, walk->last),
		                    &trace);
	}
	if (error != STORE_OK) {
		return error;
	}
	if (!value_new(store, call->who, bytes, len, &value)) {
		error = STORE_ENOMEM;
	} else if (walk->node != NULL) {
		error = put_value(store, call, path, value);
	} else {
		error = put_chain(store, call, path, walk, value);
	}
	if (error != STORE_OK) {
		trace_drop(store, &trace);
		return error;
	}
	trace_end(store, call, &trace);
	return STORE_OK;
}

enum store_error store_write(struct store *store, const struct store_call *call,
                             const struct store_path *path, const void *value, uint32_t len)
{
	struct store_walk walk;

	if (len > STORE_VALUE_MAX) {
		return STORE_ENOSPC;
	}
	store_tree_walk(call_tree(store, call), path, &walk);
	return put(store, call, path, &walk, value, len);
}

enum store_error store_make(struct store *store, const struct store_call *call, const struct store_path *path)
{
	struct store_walk walk;

	store_tree_walk(call_tree(store, call), path, &walk);
	if (walk.node == NULL) {
		return put(store, call, path, &walk, NULL, 0);
	}
	if ((store_rights(store, walk.node, call->who) & STORE_WRITE) == 0) {
		return STORE_EACCES;
	}
	return note(store, call, STORE_ACCESS_READ, path);
}

/* ------------------------------------------------------------------ rm */

enum store_error store_remove(struct store *store, const struct store_call *call,
                              const struct store_path *path)
{
	struct store_walk walk;
	struct trace trace;
	enum store_error error;

	if (path->len == 1) {
		return STORE_EINVAL;
	}
	store_tree_walk(call_tree(store, call), path, &walk);
	if ((store_rights(store, walk.last, call->who) & STORE_WRITE) == 0) {
		return STORE_EACCES;
	}
	if (walk.node == NULL) {
		error = note(store, call, STORE_ACCESS_READ, path);
		return error == STORE_OK && walk.missing_count > 1 ? STORE_ENOENT : error;
	}
	error = trace_begin(store, call, STORE_ACCESS_REMOVE, path, !guest_reads(store, walk.node), &trace);
	if (error != STORE_OK) {
		return error;
	}
	if (!store_tree_cut(store, call->who, call_tree(store, call), path, walk.node)) {
		trace_drop(store, &trace);
		return STORE_ENOMEM;
	}
	trace_end(store, call, &trace);
	return STORE_OK;
}

/* ------------------------------------------------------------------ permissions */

static enum store_error perms_check(const struct store *store, const struct store_call *call,
                                    const struct store_walk *walk, const struct store_perm *perms,
                                    uint32_t count)
{
	if (walk->node == NULL) {
		return missing_error(store, call, walk, STORE_WRITE);
	}
	if (count == 0) {
		return STORE_EINVAL;
	}
	if (count > STORE_PERM_MAX) {
		return STORE_ENOSPC;
	}
	if (call->who == STORE_GUEST) {
		if (walk->node->perms[0].domain != store->guest) {
			return STORE_EACCES;
		}
		if (perms[0].domain != store->guest) {
			return STORE_EPERM;
		}
	}
	return STORE_OK;
}

static enum store_error put_perms(struct store *store, const struct store_call *call,
                                  const struct store_path *path, const struct store_perm *perms,
                                  uint32_t count)
{
	struct store_tree *tree = call_tree(store, call);
	struct store_node *node = store_tree_own(store, call->who, tree, path, path->len);

	if (node == NULL) {
		return STORE_ENOMEM;
	}
	tree->guest_node_count -= node->perms[0].domain == store->guest;
	tree->guest_node_count += perms[0].domain == store->guest;
	node->perm_count = (uint8_t)count;
	memcpy(node->perms, perms, count * sizeof(*perms));
	node->generation = ++store->generation;
	return STORE_OK;
}

enum store_error store_set_perms(struct store *store, const struct store_call *call,
                                 const struct store_path *path, const struct store_perm *perms,
                                 uint32_t count)
{
	struct store_walk walk;
	struct trace trace;
	enum store_error error;
	struct store_node after = {.perm_count = (uint8_t)count};

	store_tree_walk(call_tree(store, call), path, &walk);
	error = perms_check(store, call, &walk, perms, count);
	if (error != STORE_OK) {
		return error;
	}
	memcpy(after.perms, perms, count * sizeof(*perms));
	error = trace_begin(store, call, STORE_ACCESS_WRITE, path,
	                    !guest_reads(store, walk.node) && !guest_reads(store, &after), &trace);
	if (error != STORE_OK) {
		return error;
	}
	error = put_perms(store, call, path, perms, count);
	if (error != STORE_OK) {
		trace_drop(store, &trace);
		return error;
	}
	trace_end(store, call, &trace);
	return STORE_OK;
}

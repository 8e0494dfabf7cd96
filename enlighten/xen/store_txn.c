/*
 * store_txn.c - transactions (docs/misc/xenstore.txt, "Transactions").
 *
 * A transaction works on a tree of its own that starts as the store's. A commit succeeds at once if the
 * store has not changed meanwhile. If it has, each node that the transaction touched must still be as it
 * was at the start (generation numbers); then what it wrote is put into a fork of the present tree, and
 * that becomes the tree. Until that last assignment nothing is visible. A long commit takes several steps;
 * if the store changes between two, it starts again.
 */
#include "enlighten/xen/store_private.h"

/* Records checked or applied in one step of a commit. */
#define COMMIT_STEP_RECORDS 16u

enum store_error store_txn_start(struct store *store, uint32_t *id)
{
	struct store_txn *txn = NULL;

	for (uint32_t i = 0; i < STORE_TXN_MAX && txn == NULL; i++) {
		if (store->txns[i].id == 0) {
			txn = &store->txns[i];
		}
	}
	if (txn == NULL) {
		return STORE_ENOSPC;
	}
	do {
		store->last_txn_id++;
	} while (store->last_txn_id == 0 || store_txn_find(store, store->last_txn_id) != NULL);
	txn->id = store->last_txn_id;
	txn->tree = store->tree;
	txn->base = store->tree.root;
	txn->base->ref_count += 2;
	*id = txn->id;
	return STORE_OK;
}

struct store_txn *store_txn_find(struct store *store, uint32_t id)
{
	for (uint32_t i = 0; i < STORE_TXN_MAX; i++) {
		if (id != 0 && store->txns[i].id == id) {
			return &store->txns[i];
		}
	}
	return NULL;
}

static struct store_record *note_find(const struct store_txn *txn, enum store_access access, const char *path,
                                      size_t len)
{
	LIST_FOR_EACH (node, &txn->records) {
		struct store_record *record = CONTAINER_OF(node, struct store_record, node);

		if (record->access == access && record->len == len && memcmp(record->path, path, len) == 0) {
			return record;
		}
	}
	return NULL;
}

/* What was written at or below a removed path is nothing now but a reason for a conflict. */
static void note_supersede(struct store_txn *txn, const char *path, size_t len)
{
	LIST_FOR_EACH (node, &txn->records) {
		struct store_record *record = CONTAINER_OF(node, struct store_record, node);

		if (record->access == STORE_ACCESS_WRITE &&
		    store_path_is_below(record->path, record->len, path, len)) {
			record->access = STORE_ACCESS_READ;
		}
	}
}

enum store_error store_txn_add(struct store *store, struct store_txn *txn, enum store_access access,
                               const char *path, size_t len, bool silent)
{
	struct store_record *record;

	if (txn->record_count == STORE_TXN_ACCESS_MAX) {
		return STORE_ENOSPC;
	}
	record = store_record_new(store, STORE_GUEST, access, path, len, silent);
	if (record == NULL) {
		return STORE_ENOMEM;
	}
	list_add_tail(&txn->records, &record->node);
	txn->record_count++;
	return STORE_OK;
}

/*
 * The records of writes are in the order in which a commit applies them: a removal after what it has made
 * void and before what was made anew, a parent before its children.
 */
enum store_error store_txn_note(struct store *store, struct store_txn *txn, enum store_access access,
                                const char *path, size_t len, bool silent)
{
	struct store_record *record = note_find(txn, access, path, len);

	if (record == NULL) {
		enum store_error error = store_txn_add(store, txn, access, path, len, silent);

		if (error == STORE_OK && access == STORE_ACCESS_REMOVE) {
			note_supersede(txn, path, len);
		}
		return error;
	}
	record->silent = record->silent && silent;
	if (access == STORE_ACCESS_REMOVE) {
		note_supersede(txn, path, len);
		list_remove(&record->node);
		list_add_tail(&txn->records, &record->node);
	}
	return STORE_OK;
}

/* ------------------------------------------------------------------ the end of one */

static void commit_reset(struct store *store, struct store_txn *txn)
{
	store_node_release(store, txn->fork.root);
	store_node_release(store, txn->against);
	txn->fork.root = NULL;
	txn->against = NULL;
	txn->at = NULL;
	txn->applying = false;
}

void store_txn_abort(struct store *store, struct store_txn *txn)
{
	commit_reset(store, txn);
	LIST_FOR_EACH (node, &txn->records) {
		store_record_free(store, CONTAINER_OF(node, struct store_record, node));
	}
	txn->record_count = 0;
	store_node_release(store, txn->tree.root);
	store_node_release(store, txn->base);
	txn->tree.root = NULL;
	txn->base = NULL;
	txn->id = 0;
}

/* Makes @tree (its reference comes with it) the store's, and tells of what changed. */
static void commit_finish(struct store *store, struct store_txn *txn, const struct store_tree *tree)
{
	store_node_release(store, store->tree.root);
	store->tree = *tree;
	LIST_FOR_EACH (node, &txn->records) {
		struct store_record *record = CONTAINER_OF(node, struct store_record, node);

		if (record->access == STORE_ACCESS_WRITE || record->access == STORE_ACCESS_REMOVE) {
			store_change_add(store, STORE_GUEST, record);
		}
	}
	store_txn_abort(store, txn);
}

/* ------------------------------------------------------------------ a commit against a changed store */

static void record_path(struct store *store, const struct store_record *record)
{
	struct store_path *path = &store->scratch;

	memcpy(path->text, record->path, record->len + 1u);
	path->len = record->len;
	path->relative = false;
}

/* Is what the record saw still so? */
static bool record_holds(struct store *store, const struct store_txn *txn, const struct store_record *record)
{
	const struct store_tree base = {.root = txn->base};
	const struct store_tree now = {.root = txn->against};
	struct store_walk before, after;

	record_path(store, record);
	store_tree_walk(&base, &store->scratch, &before);
	store_tree_walk(&now, &store->scratch, &after);
	if (before.node == NULL || after.node == NULL) {
		return before.node == after.node;
	}
	if (record->access != STORE_ACCESS_LIST && before.node->generation != after.node->generation) {
		return false;
	}
	return (record->access != STORE_ACCESS_LIST && record->access != STORE_ACCESS_REMOVE) ||
	       before.node->child_generation == after.node->child_generation;
}

/* The version of a node that the transaction has: value and permissions, not its children. */
static void node_take_content(struct store *store, struct store_node *node, const struct store_node *from)
{
	if (from->value != NULL) {
		from->value->ref_count++;
	}
	store_value_release(store, node->value);
	node->value = from->value;
	node->perm_count = from->perm_count;
	memcpy(node->perms, from->perms, sizeof(node->perms));
	node->generation = ++store->generation;
}

/* A node below the last existing one of @walk, for what @from says. */
static enum store_error fork_add(struct store *store, struct store_tree *fork, const struct store_walk *walk,
                                 const struct store_node *from)
{
	struct store_node *node;

	if (walk->missing_count > 1) {
		return STORE_EAGAIN; /* somebody removed the parent */
	}
	if (from->perms[0].domain == store->guest && fork->guest_node_count >= STORE_NODE_MAX) {
		return STORE_ENOSPC;
	}
	node = store_node_new(store, STORE_GUEST, from->name, from->name_len);
	if (node == NULL) {
		return STORE_ENOMEM;
	}
	node_take_content(store, node, from);
	if (!store_tree_hang(store, STORE_GUEST, fork, &store->scratch, walk, node)) {
		store_node_release(store, node);
		return STORE_ENOMEM;
	}
	return STORE_OK;
}

static enum store_error fork_put(struct store *store, struct store_txn *txn)
{
	struct store_walk ours, walk;
	struct store_node *node;

	store_tree_walk(&txn->tree, &store->scratch, &ours);
	if (ours.node == NULL) {
		return STORE_OK; /* noted, but then there was no memory to write it */
	}
	store_tree_walk(&txn->fork, &store->scratch, &walk);
	if (walk.node == NULL) {
		return fork_add(store, &txn->fork, &walk, ours.node);
	}
	node = store_tree_own(store, STORE_GUEST, &txn->fork, &store->scratch, store->scratch.len);
	if (node == NULL) {
		return STORE_ENOMEM;
	}
	txn->fork.guest_node_count -= node->perms[0].domain == store->guest;
	txn->fork.guest_node_count += ours.node->perms[0].domain == store->guest;
	node_take_content(store, node, ours.node);
	return STORE_OK;
}

static enum store_error fork_remove(struct store *store, struct store_txn *txn)
{
	struct store_walk walk;

	store_tree_walk(&txn->fork, &store->scratch, &walk);
	if (walk.node != NULL &&
	    !store_tree_cut(store, STORE_GUEST, &txn->fork, &store->scratch, walk.node)) {
		return STORE_ENOMEM;
	}
	return STORE_OK;
}

static enum store_error record_apply(struct store *store, struct store_txn *txn,
                                     const struct store_record *record)
{
	record_path(store, record);
	switch (record->access) {
	case STORE_ACCESS_WRITE:
		return fork_put(store, txn);
	case STORE_ACCESS_REMOVE:
		return fork_remove(store, txn);
	default:
		return STORE_OK;
	}
}

/* From the start, against the store as it is now. */
static void commit_begin(struct store *store, struct store_txn *txn)
{
	commit_reset(store, txn);
	txn->against = store->tree.root;
	txn->fork = store->tree;
	txn->against->ref_count += 2;
	txn->at = txn->records.next;
}

static enum store_error commit_step(struct store *store, struct store_txn *txn)
{
	enum store_error error = STORE_OK;

	for (uint32_t i = 0; i < COMMIT_STEP_RECORDS && txn->at != &txn->records; i++) {
		const struct store_record *record = CONTAINER_OF(txn->at, struct store_record, node);

		if (txn->applying) {
			error = record_apply(store, txn, record);
		} else if (!record_holds(store, txn, record)) {
			error = STORE_EAGAIN;
		}
		if (error != STORE_OK) {
			return error;
		}
		txn->at = txn->at->next;
	}
	if (txn->at == &txn->records && !txn->applying) {
		txn->applying = true;
		txn->at = txn->records.next;
		return STORE_MORE;
	}
	return txn->at == &txn->records ? STORE_OK : STORE_MORE;
}

enum store_error store_txn_commit(struct store *store, struct store_txn *txn)
{
	struct store_tree tree;
	enum store_error error;

	if (store->tree.root == txn->base) {
		tree = txn->tree;
		txn->tree.root = NULL;
		commit_finish(store, txn, &tree);
		return STORE_OK;
	}
	if (txn->against != store->tree.root) {
		commit_begin(store, txn);
	}
	error = commit_step(store, txn);
	if (error == STORE_OK) {
		tree = txn->fork;
		txn->fork.root = NULL;
		commit_finish(store, txn, &tree);
	} else if (error != STORE_MORE) {
		store_txn_abort(store, txn);
	}
	return error;
}

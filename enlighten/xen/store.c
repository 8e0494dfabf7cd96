/*
 * store.c - the store's nodes, values and trees, and its paths (docs/misc/xenstore.txt, "Data and paths").
 */
#include "base/format.h"
#include "enlighten/xen/store_private.h"

static const char *const error_names[STORE_ERROR_COUNT] = {
        [STORE_OK] = "OK",           [STORE_EINVAL] = "EINVAL",
        [STORE_EACCES] = "EACCES",   [STORE_EEXIST] = "EEXIST",
        [STORE_EISDIR] = "EISDIR",   [STORE_ENOENT] = "ENOENT",
        [STORE_ENOMEM] = "ENOMEM",   [STORE_ENOSPC] = "ENOSPC",
        [STORE_EIO] = "EIO",         [STORE_ENOTEMPTY] = "ENOTEMPTY",
        [STORE_ENOSYS] = "ENOSYS",   [STORE_EROFS] = "EROFS",
        [STORE_EBUSY] = "EBUSY",     [STORE_EAGAIN] = "EAGAIN",
        [STORE_EISCONN] = "EISCONN", [STORE_E2BIG] = "E2BIG",
        [STORE_EPERM] = "EPERM",
};

const char *store_error_name(enum store_error error)
{
	return (uint32_t)error < STORE_ERROR_COUNT ? error_names[error] : "EIO";
}

void *store_alloc(struct store *store, enum store_who who, size_t bytes)
{
	void *memory;

	if (who == STORE_GUEST && store->bytes + bytes > STORE_BYTES_MAX) {
		return NULL;
	}
	memory = vm_alloc(store->vm, bytes);
	if (memory != NULL) {
		store->bytes += bytes;
	}
	return memory;
}

void store_free(struct store *store, void *memory, size_t bytes)
{
	store->bytes -= bytes;
	vm_free(store->vm, memory);
}

/* ------------------------------------------------------------------ paths */

static bool path_char_ok(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '/' || c == '_' || c == '@';
}

/* Characters, single slashes, no slash at the end, depth. */
static bool path_form_ok(const char *text, uint32_t len)
{
	uint32_t depth = 0;

	for (uint32_t i = 0; i < len; i++) {
		if (!path_char_ok(text[i])) {
			return false;
		}
		if (text[i] == '/') {
			depth++;
			if (i + 1 < len ? text[i + 1] == '/' : len > 1) {
				return false;
			}
		}
	}
	return depth <= STORE_DEPTH_MAX;
}

enum store_error store_path_make(const struct store *store, const char *raw_text, size_t len,
                                 struct store_path *path)
{
	uint32_t prefix = 0;

	if (len == 0 || len > STORE_PATH_MAX) {
		return STORE_EINVAL;
	}
	path->relative = raw_text[0] != '/';
	if (path->relative) {
		prefix = store->home_len;
		if (len > STORE_RELATIVE_MAX) {
			return STORE_EINVAL;
		}
	}
	memcpy(path->text, store->home, prefix);
	memcpy(path->text + prefix, raw_text, len);
	path->len = prefix + (uint32_t)len;
	path->text[path->len] = 0;
	if (!path_form_ok(path->text, path->len)) {
		return STORE_EINVAL;
	}
	if (path->len > store->home_len + STORE_RELATIVE_MAX &&
	    memcmp(path->text, store->home, store->home_len) == 0) {
		return STORE_EINVAL;
	}
	return STORE_OK;
}

uint32_t store_path_name(const struct store_path *path, uint32_t at)
{
	uint32_t end = at;

	while (end < path->len && path->text[end] != '/') {
		end++;
	}
	return end - at;
}

bool store_path_is_below(const char *text, size_t len, const char *above, size_t above_len)
{
	if (above_len == 1 && above[0] == '/') {
		return len != 0 && text[0] == '/';
	}
	return len >= above_len && memcmp(text, above, above_len) == 0 &&
	       (len == above_len || text[above_len] == '/');
}

/* ------------------------------------------------------------------ nodes */

uint8_t store_rights(const struct store *store, const struct store_node *node, enum store_who who)
{
	if (who == STORE_HOST || node->perms[0].domain == store->guest) {
		return STORE_BOTH;
	}
	for (uint32_t i = 1; i < node->perm_count; i++) {
		if (node->perms[i].domain == store->guest) {
			return node->perms[i].rights;
		}
	}
	return node->perms[0].rights;
}

void store_value_release(struct store *store, struct store_value *value)
{
	if (value != NULL && --value->ref_count == 0) {
		store_free(store, value, sizeof(*value) + value->len_bytes);
	}
}

static size_t node_bytes(const struct store_node *node)
{
	return sizeof(*node) + node->name_len + 1u;
}

struct store_node *store_node_new(struct store *store, enum store_who who, const char *name,
                                  uint32_t name_len)
{
	struct store_node *node = store_alloc(store, who, sizeof(*node) + name_len + 1u);

	if (node != NULL) {
		node->ref_count = 1;
		node->name_len = (uint16_t)name_len;
		node->perm_count = 1;
		node->generation = ++store->generation;
		node->child_generation = node->generation;
		memcpy(node->name, name, name_len);
	}
	return node;
}

/* Frees a node that nobody refers to, and puts those of its children on @dead that this leaves alone. */
static struct store_node *node_free(struct store *store, struct store_node *node, struct store_node *dead)
{
	for (uint32_t i = 0; i < node->child_count; i++) {
		struct store_node *child = node->children[i];

		if (--child->ref_count == 0) {
			child->dead_next = dead;
			dead = child;
		}
	}
	if (node->children != NULL) {
		store_free(store, node->children, node->child_room * sizeof(*node->children));
	}
	store_value_release(store, node->value);
	store_free(store, node, node_bytes(node));
	return dead;
}

/* Without recursion: a guest decides how deep a tree is. */
void store_node_release(struct store *store, struct store_node *node)
{
	struct store_node *dead = NULL;

	if (node != NULL && --node->ref_count == 0) {
		node->dead_next = NULL;
		dead = node;
	}
	while (dead != NULL) {
		struct store_node *next = dead->dead_next;

		dead = node_free(store, dead, next);
	}
}

uint32_t store_node_count_guest(const struct store *store, const struct store_node *node)
{
	struct {
		const struct store_node *node;
		uint32_t next;
	} stack[STORE_DEPTH_MAX + 1];
	uint32_t depth = 1, count = node->perms[0].domain == store->guest;

	stack[0].node = node;
	stack[0].next = 0;
	while (depth != 0) {
		const struct store_node *top = stack[depth - 1].node;
		const struct store_node *child;

		if (stack[depth - 1].next == top->child_count) {
			depth--;
			continue;
		}
		child = top->children[stack[depth - 1].next++];
		count += child->perms[0].domain == store->guest;
		CHECK(depth <= STORE_DEPTH_MAX);
		stack[depth].node = child;
		stack[depth].next = 0;
		depth++;
	}
	return count;
}

/* Where @name is among the children, or would be. True if it is there. */
static bool node_find(const struct store_node *node, const char *name, uint32_t name_len, uint32_t *at)
{
	uint32_t low = 0, high = node->child_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		const struct store_node *child = node->children[middle];
		uint32_t common = child->name_len < name_len ? child->name_len : name_len;
		int order = memcmp(child->name, name, common);

		if (order == 0) {
			order = (int)child->name_len - (int)name_len;
		}
		if (order == 0) {
			*at = middle;
			return true;
		}
		if (order < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	*at = low;
	return false;
}

bool store_node_reserve(struct store *store, enum store_who who, struct store_node *node)
{
	uint32_t room = node->child_room == 0 ? 4 : node->child_room * 2;
	struct store_node **children;

	if (node->child_count < node->child_room) {
		return true;
	}
	children = store_alloc(store, who, room * sizeof(*children));
	if (children == NULL) {
		return false;
	}
	if (node->children != NULL) {
		memcpy(children, node->children, node->child_count * sizeof(*children));
		store_free(store, node->children, node->child_room * sizeof(*children));
	}
	node->children = children;
	node->child_room = room;
	return true;
}

void store_node_insert(struct store_node *node, struct store_node *child)
{
	uint32_t at;
	bool found = node_find(node, child->name, child->name_len, &at);

	CHECK(!found && node->child_count < node->child_room);
	memmove(&node->children[at + 1], &node->children[at],
	        (node->child_count - at) * sizeof(*node->children));
	node->children[at] = child;
	node->child_count++;
}

void store_node_delete(struct store *store, struct store_node *node, struct store_node *child)
{
	uint32_t at;
	bool found = node_find(node, child->name, child->name_len, &at);

	CHECK(found);
	node->child_count--;
	memmove(&node->children[at], &node->children[at + 1],
	        (node->child_count - at) * sizeof(*node->children));
	store_node_release(store, child);
}

/* A version of its own with the same meaning, sharing value and children. */
static struct store_node *node_clone(struct store *store, enum store_who who, const struct store_node *node)
{
	struct store_node *clone = store_alloc(store, who, node_bytes(node));

	if (clone == NULL) {
		return NULL;
	}
	memcpy(clone, node, node_bytes(node));
	clone->ref_count = 1;
	if (node->children != NULL) {
		clone->children = store_alloc(store, who, node->child_room * sizeof(*clone->children));
		if (clone->children == NULL) {
			store_free(store, clone, node_bytes(node));
			return NULL;
		}
		for (uint32_t i = 0; i < node->child_count; i++) {
			clone->children[i] = node->children[i];
			clone->children[i]->ref_count++;
		}
	}
	if (clone->value != NULL) {
		clone->value->ref_count++;
	}
	return clone;
}

/* ------------------------------------------------------------------ trees */

/* Names of the path from @at on. */
static uint32_t path_name_count(const struct store_path *path, uint32_t at)
{
	uint32_t count = at < path->len;

	for (; at < path->len; at++) {
		count += path->text[at] == '/';
	}
	return count;
}

void store_tree_walk(const struct store_tree *tree, const struct store_path *path, struct store_walk *walk)
{
	struct store_node *node = tree->root;
	uint32_t at = 1;

	while (at < path->len) {
		uint32_t len = store_path_name(path, at), index;

		if (!node_find(node, path->text + at, len, &index)) {
			*walk = (struct store_walk){NULL, node, at, path_name_count(path, at)};
			return;
		}
		node = node->children[index];
		at += len + 1;
	}
	*walk = (struct store_walk){node, node, path->len, 0};
}

/* Makes *@slot not shared. */
static bool slot_own(struct store *store, enum store_who who, struct store_node **slot)
{
	struct store_node *clone;

	if ((*slot)->ref_count == 1) {
		return true;
	}
	clone = node_clone(store, who, *slot);
	if (clone == NULL) {
		return false;
	}
	(*slot)->ref_count--;
	*slot = clone;
	return true;
}

struct store_node *store_tree_own(struct store *store, enum store_who who, struct store_tree *tree,
                                  const struct store_path *path, uint32_t len)
{
	struct store_node **slot = &tree->root;
	uint32_t at = 1;

	if (!slot_own(store, who, slot)) {
		return NULL;
	}
	while (at < len) {
		uint32_t name_len = store_path_name(path, at), index;
		bool found = node_find(*slot, path->text + at, name_len, &index);

		CHECK(found);
		slot = &(*slot)->children[index];
		if (!slot_own(store, who, slot)) {
			return NULL;
		}
		at += name_len + 1;
	}
	return *slot;
}

bool store_tree_hang(struct store *store, enum store_who who, struct store_tree *tree,
                     const struct store_path *path, const struct store_walk *walk, struct store_node *top)
{
	uint32_t len = walk->missing_at > 1 ? walk->missing_at - 1 : 1;
	struct store_node *parent = store_tree_own(store, who, tree, path, len);

	if (parent == NULL || !store_node_reserve(store, who, parent)) {
		return false;
	}
	tree->guest_node_count += store_node_count_guest(store, top);
	store_node_insert(parent, top);
	parent->child_generation = ++store->generation;
	return true;
}

bool store_tree_cut(struct store *store, enum store_who who, struct store_tree *tree,
                    const struct store_path *path, struct store_node *node)
{
	uint32_t len = path->len;
	struct store_node *parent;

	while (path->text[len - 1] != '/') {
		len--;
	}
	parent = store_tree_own(store, who, tree, path, len > 1 ? len - 1 : 1);
	if (parent == NULL) {
		return false;
	}
	/* A parent that has just been copied refers to the same child. */
	tree->guest_node_count -= store_node_count_guest(store, node);
	store_node_delete(store, parent, node);
	parent->child_generation = ++store->generation;
	return true;
}

/* ------------------------------------------------------------------ the whole */

bool store_init(struct store *store, struct vm *vm, uint16_t guest,
                void (*changed)(void *context, const char *path), void *context)
{
	memset(store, 0, sizeof(*store));
	store->vm = vm;
	store->guest = guest;
	store->changed = changed;
	store->context = context;
	list_init(&store->watches);
	list_init(&store->initials);
	list_init(&store->changes);
	for (uint32_t i = 0; i < STORE_TXN_MAX; i++) {
		list_init(&store->txns[i].records);
	}
	store->home_len = (uint32_t)format_print(store->home, sizeof(store->home), "/local/domain/%u/",
	                                         (unsigned int)guest);
	store->tree.root = store_node_new(store, STORE_HOST, "", 0);
	return store->tree.root != NULL;
}

void store_drop_connection(struct store *store)
{
	for (uint32_t i = 0; i < STORE_TXN_MAX; i++) {
		if (store->txns[i].id != 0) {
			store_txn_abort(store, &store->txns[i]);
		}
	}
	store_watch_drop_all(store);
}

void store_destroy(struct store *store)
{
	if (store->vm == NULL) {
		return; /* never begun */
	}
	store_drop_connection(store);
	store_node_release(store, store->tree.root);
	store->tree.root = NULL;
}

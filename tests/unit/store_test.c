/*
 * store_test.c - the store's tree by itself: paths, rights, quotas, transactions, watches, lack of memory.
 */
#include <stdio.h>
#include <string.h>

#include "enlighten/xen/store.h"
#include "tests/host/host.h"
#include "tests/unit/unit.h"

#define GUEST 7

static struct vm *vm;
static struct store store;
static char changed_path[128];
static uint32_t changed_count;

static const struct store_call host = {STORE_HOST, NULL};
static const struct store_call guest = {STORE_GUEST, NULL};

static void on_change(void *context, const char *path)
{
	CU_ASSERT_PTR_EQUAL(context, &store);
	changed_count++;
	(void)snprintf(changed_path, sizeof(changed_path), "%.120s", path);
}

static const struct store_path *at(const char *text)
{
	static struct store_path path;

	CU_ASSERT_EQUAL(store_path_make(&store, text, strlen(text), &path), STORE_OK);
	return &path;
}

static enum store_error put(const struct store_call *call, const char *path, const char *value)
{
	return store_write(&store, call, at(path), value, (uint32_t)strlen(value));
}

static const char *get(const struct store_call *call, const char *path)
{
	static char text[STORE_VALUE_MAX + 1];
	const uint8_t *value;
	uint32_t len;
	enum store_error error = store_read(&store, call, at(path), &value, &len);

	if (error != STORE_OK) {
		return store_error_name(error);
	}
	if (len != 0) {
		memcpy(text, value, len);
	}
	text[len] = 0;
	return text;
}

static enum store_error own(const char *path, uint16_t owner, uint8_t others, uint8_t for_guest)
{
	const struct store_perm perms[] = {{owner, others}, {GUEST, for_guest}};

	return store_set_perms(&store, &host, at(path), perms, 2);
}

static void start(void)
{
	vm = host_vm_new(NULL);
	CU_ASSERT_TRUE_FATAL(store_init(&store, vm, GUEST, on_change, &store));
	CU_ASSERT_EQUAL(own("/", 0, STORE_NONE, STORE_READ), STORE_OK);
	CU_ASSERT_EQUAL(put(&host, "/local/domain/7/data", ""), STORE_OK);
	CU_ASSERT_EQUAL(own("/local/domain/7/data", GUEST, STORE_NONE, STORE_NONE), STORE_OK);
	changed_count = 0;
}

static void stop(void)
{
	store_destroy(&store);
	CU_ASSERT_EQUAL(store.bytes, 0);
	CU_ASSERT_TRUE(host_vm_check_no_leaks(vm));
	host_vm_free(vm);
}

/* All events that are due, as "path token|path token|". */
static const char *events(void)
{
	static char text[8192];
	char event[STORE_PATH_MAX + STORE_TOKEN_MAX + 2];

	text[0] = 0;
	while (store_has_events(&store)) {
		size_t len = store_event_take(&store, event, sizeof(event));

		if (len != 0) {
			size_t have = strlen(text);

			(void)snprintf(text + have, sizeof(text) - have, "%s %s|", event,
			               event + strlen(event) + 1);
		}
	}
	return text;
}

static enum store_error watch(const char *path, const char *token)
{
	return store_watch(&store, path, strlen(path), token, strlen(token));
}

static struct store_txn *begin(void)
{
	uint32_t id = 0;

	CU_ASSERT_EQUAL(store_txn_start(&store, &id), STORE_OK);
	CU_ASSERT_NOT_EQUAL(id, 0);
	return store_txn_find(&store, id);
}

static enum store_error commit(struct store_txn *txn)
{
	enum store_error error;

	do {
		error = store_txn_commit(&store, txn);
	} while (error == STORE_MORE);
	return error;
}

/* ------------------------------------------------------------------ paths */

static enum store_error path_error(const char *text, size_t len)
{
	static struct store_path path;

	return store_path_make(&store, text, len, &path);
}

static void test_paths(void)
{
	static char raw[STORE_PATH_MAX + 2];

	start();
	CU_ASSERT_STRING_EQUAL(at("a/b")->text, "/local/domain/7/a/b");
	CU_ASSERT_TRUE(at("a/b")->relative);
	CU_ASSERT_FALSE(at("/a/b")->relative);
	CU_ASSERT_EQUAL(path_error("/", 1), STORE_OK);
	CU_ASSERT_EQUAL(path_error("", 0), STORE_EINVAL);
	CU_ASSERT_EQUAL(path_error("/a/", 3), STORE_EINVAL);
	CU_ASSERT_EQUAL(path_error("//", 2), STORE_EINVAL);
	CU_ASSERT_EQUAL(path_error("/a//b", 5), STORE_EINVAL);
	CU_ASSERT_EQUAL(path_error("/a b", 4), STORE_EINVAL);
	CU_ASSERT_EQUAL(path_error("/a\0b", 4), STORE_EINVAL);
	CU_ASSERT_EQUAL(path_error("/aA0-_@", 7), STORE_OK);
	memset(raw, 'a', sizeof(raw));
	CU_ASSERT_EQUAL(path_error(raw, STORE_RELATIVE_MAX), STORE_OK);
	CU_ASSERT_EQUAL(path_error(raw, STORE_RELATIVE_MAX + 1), STORE_EINVAL);
	raw[0] = '/';
	CU_ASSERT_EQUAL(path_error(raw, STORE_PATH_MAX), STORE_OK);
	CU_ASSERT_EQUAL(path_error(raw, STORE_PATH_MAX + 1), STORE_EINVAL);
	memcpy(raw, "/local/domain/7/", 16);
	CU_ASSERT_EQUAL(path_error(raw, 16 + STORE_RELATIVE_MAX), STORE_OK);
	CU_ASSERT_EQUAL(path_error(raw, 17 + STORE_RELATIVE_MAX), STORE_EINVAL);
	for (size_t i = 0; i < sizeof(raw); i++) {
		raw[i] = i % 2 == 0 ? '/' : 'a';
	}
	CU_ASSERT_EQUAL(path_error(raw, 2 * STORE_DEPTH_MAX), STORE_OK);
	CU_ASSERT_EQUAL(path_error(raw, 2 * STORE_DEPTH_MAX + 2), STORE_EINVAL);
	CU_ASSERT_STRING_EQUAL(store_error_name(STORE_E2BIG), "E2BIG");
	CU_ASSERT_STRING_EQUAL(store_error_name(STORE_MORE), "EIO");
	stop();
}

/* ------------------------------------------------------------------ operations */

static void test_read_write(void)
{
	const struct store_node *node;

	start();
	CU_ASSERT_EQUAL(put(&guest, "data/a/b/c", "one"), STORE_OK);
	CU_ASSERT_STRING_EQUAL(changed_path, "/local/domain/7/data/a/b/c");
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/a/b/c"), "one");
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/a/b"), "");
	CU_ASSERT_EQUAL(put(&guest, "data/a/b/c", "two"), STORE_OK);
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/a/b/c"), "two");
	CU_ASSERT_EQUAL(put(&guest, "data/a/b/c", ""), STORE_OK);
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/a/b/c"), "");
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/x"), "ENOENT");
	CU_ASSERT_EQUAL(store.tree.guest_node_count, 4);
	CU_ASSERT_EQUAL(put(&guest, "data/a/bb", ""), STORE_OK);
	CU_ASSERT_EQUAL(put(&guest, "data/a/a", ""), STORE_OK);
	CU_ASSERT_EQUAL(store_list(&store, &guest, at("data/a"), &node), STORE_OK);
	CU_ASSERT_EQUAL_FATAL(node->child_count, 3);
	CU_ASSERT_STRING_EQUAL(node->children[0]->name, "a");
	CU_ASSERT_STRING_EQUAL(node->children[1]->name, "b");
	CU_ASSERT_STRING_EQUAL(node->children[2]->name, "bb");
	CU_ASSERT_EQUAL(store_make(&store, &guest, at("data/a/b/c")), STORE_OK);
	CU_ASSERT_EQUAL(store_make(&store, &guest, at("data/new")), STORE_OK);
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/new"), "");
	stop();
}

static void test_remove(void)
{
	start();
	CU_ASSERT_EQUAL(put(&guest, "data/a/b/c", "x"), STORE_OK);
	CU_ASSERT_EQUAL(store_remove(&store, &guest, at("data/a/b/x")), STORE_OK);
	CU_ASSERT_EQUAL(store_remove(&store, &guest, at("data/a/x/y")), STORE_ENOENT);
	CU_ASSERT_EQUAL(store_remove(&store, &guest, at("/")), STORE_EINVAL);
	CU_ASSERT_EQUAL(store_remove(&store, &guest, at("/local")), STORE_EACCES);
	CU_ASSERT_EQUAL(store_remove(&store, &guest, at("/nothing")), STORE_EACCES);
	CU_ASSERT_EQUAL(store_remove(&store, &guest, at("data/a")), STORE_OK);
	CU_ASSERT_STRING_EQUAL(changed_path, "/local/domain/7/data/a");
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/a/b/c"), "ENOENT");
	CU_ASSERT_EQUAL(store.tree.guest_node_count, 1);
	CU_ASSERT_EQUAL(store_remove(&store, &host, at("/local")), STORE_OK);
	CU_ASSERT_EQUAL(store.tree.guest_node_count, 0);
	stop();
}

static void test_rights(void)
{
	struct store_perm perms[6] = {{GUEST, STORE_NONE}, {3, STORE_BOTH}};
	const struct store_node *node;

	start();
	CU_ASSERT_EQUAL(put(&host, "/secret/a", "x"), STORE_OK);
	CU_ASSERT_EQUAL(own("/secret", 0, STORE_NONE, STORE_NONE), STORE_OK);
	CU_ASSERT_EQUAL(own("/secret/a", 0, STORE_NONE, STORE_NONE), STORE_OK);
	CU_ASSERT_STRING_EQUAL(get(&guest, "/secret/a"), "EACCES");
	CU_ASSERT_STRING_EQUAL(get(&guest, "/secret/b"), "EACCES");
	CU_ASSERT_STRING_EQUAL(get(&guest, "/secre"), "ENOENT");
	CU_ASSERT_STRING_EQUAL(get(&host, "/secret/a"), "x");
	CU_ASSERT_EQUAL(put(&guest, "/secret/a", "y"), STORE_EACCES);
	CU_ASSERT_EQUAL(put(&guest, "/local/x", "y"), STORE_EACCES);
	CU_ASSERT_EQUAL(store_make(&store, &guest, at("/local")), STORE_EACCES);
	/* What others may do counts if there is no entry. */
	CU_ASSERT_EQUAL(put(&host, "/open", "x"), STORE_OK);
	CU_ASSERT_EQUAL(store_set_perms(&store, &host, at("/open"), &(struct store_perm){0, STORE_WRITE}, 1),
	                STORE_OK);
	CU_ASSERT_STRING_EQUAL(get(&guest, "/open"), "EACCES");
	CU_ASSERT_EQUAL(put(&guest, "/open/mine", "x"), STORE_OK);
	CU_ASSERT_EQUAL(store_get_perms(&store, &guest, at("/open/mine"), &node), STORE_OK);
	CU_ASSERT_EQUAL(node->perms[0].domain, GUEST);
	/* Changing them. */
	CU_ASSERT_EQUAL(store_set_perms(&store, &guest, at("data"), perms, 2), STORE_OK);
	CU_ASSERT_EQUAL(store_set_perms(&store, &guest, at("data"), perms, 6), STORE_ENOSPC);
	CU_ASSERT_EQUAL(store_set_perms(&store, &guest, at("data"), perms, 0), STORE_EINVAL);
	CU_ASSERT_EQUAL(store_set_perms(&store, &guest, at("data/none"), perms, 1), STORE_ENOENT);
	CU_ASSERT_EQUAL(store_set_perms(&store, &guest, at("/secret/none"), perms, 1), STORE_EACCES);
	CU_ASSERT_EQUAL(store_set_perms(&store, &guest, at("/open"), perms, 1), STORE_EACCES);
	perms[0].domain = 0;
	CU_ASSERT_EQUAL(store_set_perms(&store, &guest, at("data"), perms, 1), STORE_EPERM);
	stop();
}

static void test_quotas(void)
{
	static char big[STORE_VALUE_MAX + 1];
	char name[32];
	uint32_t count = 0;

	start();
	CU_ASSERT_EQUAL(store_write(&store, &guest, at("data/v"), big, STORE_VALUE_MAX), STORE_OK);
	CU_ASSERT_EQUAL(store_write(&store, &guest, at("data/v"), big, STORE_VALUE_MAX + 1), STORE_ENOSPC);
	while (count < 2000) {
		(void)snprintf(name, sizeof(name), "data/n%u", count);
		if (put(&guest, name, "") != STORE_OK) {
			break;
		}
		count++;
	}
	CU_ASSERT_EQUAL(count, STORE_NODE_MAX - 2);
	CU_ASSERT_EQUAL(put(&guest, name, ""), STORE_ENOSPC);
	CU_ASSERT_EQUAL(put(&host, "/host", ""), STORE_OK);
	CU_ASSERT_EQUAL(store_remove(&store, &guest, at("data/n5")), STORE_OK);
	CU_ASSERT_EQUAL(put(&guest, "data/a/b", ""), STORE_ENOSPC);
	CU_ASSERT_EQUAL(put(&guest, "data/a", ""), STORE_OK);
	/* Bytes: all nodes full twice, once in a transaction's snapshot, is more than the guest may have. */
	uint32_t id, full = 0;

	CU_ASSERT_EQUAL(store_txn_start(&store, &id), STORE_OK);
	for (uint32_t i = 0; i < 2 * count; i++) {
		(void)snprintf(name, sizeof(name), "data/n%u", i % count);
		if (i == count) {
			CU_ASSERT_EQUAL(store_txn_start(&store, &id), STORE_OK);
		}
		full += store_write(&store, &guest, at(name), big, STORE_VALUE_MAX) == STORE_ENOMEM;
	}
	CU_ASSERT_TRUE(full > 100);
	CU_ASSERT_TRUE(store.bytes <= STORE_BYTES_MAX);
	stop();
}

/* ------------------------------------------------------------------ transactions */

static void test_txn_plain(void)
{
	struct store_call call = guest;

	start();
	CU_ASSERT_PTR_NULL(store_txn_find(&store, 0));
	CU_ASSERT_EQUAL(watch("data", "t"), STORE_OK);
	CU_ASSERT_STRING_EQUAL(events(), "data t|");
	CU_ASSERT_EQUAL(put(&guest, "data/a", "1"), STORE_OK);
	(void)events();
	call.txn = begin();
	CU_ASSERT_EQUAL(put(&call, "data/a", "2"), STORE_OK);
	CU_ASSERT_EQUAL(put(&call, "data/x/y", "3"), STORE_OK);
	CU_ASSERT_STRING_EQUAL(get(&call, "data/a"), "2");
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/a"), "1");
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/x/y"), "ENOENT");
	CU_ASSERT_STRING_EQUAL(events(), "");
	CU_ASSERT_EQUAL(commit(call.txn), STORE_OK);
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/a"), "2");
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/x/y"), "3");
	CU_ASSERT_STRING_EQUAL(events(), "data/a t|data/x/y t|");
	CU_ASSERT_EQUAL(store.tree.guest_node_count, 4);
	call.txn = begin();
	CU_ASSERT_EQUAL(store_remove(&store, &call, at("data/x")), STORE_OK);
	store_txn_abort(&store, call.txn);
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/x/y"), "3");
	CU_ASSERT_STRING_EQUAL(events(), "");
	stop();
}

/* Commits against a store that has changed elsewhere: no conflict, all kinds of writes. */
static void test_txn_merge(void)
{
	const struct store_perm perms[] = {{GUEST, STORE_READ}};
	const struct store_node *node;
	struct store_call call = guest;

	start();
	CU_ASSERT_EQUAL(put(&guest, "data/a/b", "1"), STORE_OK);
	CU_ASSERT_EQUAL(put(&guest, "data/gone/deep", "1"), STORE_OK);
	CU_ASSERT_EQUAL(put(&guest, "data/again/old", "1"), STORE_OK);
	call.txn = begin();
	CU_ASSERT_EQUAL(put(&call, "data/a/b", "2"), STORE_OK);
	CU_ASSERT_EQUAL(put(&call, "data/p/q", "3"), STORE_OK);
	CU_ASSERT_EQUAL(put(&call, "data/never", "4"), STORE_OK);
	CU_ASSERT_EQUAL(store_remove(&store, &call, at("data/never")), STORE_OK);
	CU_ASSERT_EQUAL(store_remove(&store, &call, at("data/gone")), STORE_OK);
	CU_ASSERT_EQUAL(store_remove(&store, &call, at("data/again")), STORE_OK);
	CU_ASSERT_EQUAL(put(&call, "data/again/new", "5"), STORE_OK);
	CU_ASSERT_EQUAL(put(&call, "data/again", "6"), STORE_OK);
	CU_ASSERT_EQUAL(store_set_perms(&store, &call, at("data/a"), perms, 1), STORE_OK);
	CU_ASSERT_STRING_EQUAL(get(&call, "data/nothing"), "ENOENT");
	/* Meanwhile. */
	CU_ASSERT_EQUAL(put(&guest, "data/other", "7"), STORE_OK);
	CU_ASSERT_EQUAL(commit(call.txn), STORE_OK);
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/a/b"), "2");
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/p/q"), "3");
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/never"), "ENOENT");
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/gone/deep"), "ENOENT");
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/again/old"), "ENOENT");
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/again/new"), "5");
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/again"), "6");
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/other"), "7");
	CU_ASSERT_EQUAL(store_get_perms(&store, &guest, at("data/a"), &node), STORE_OK);
	CU_ASSERT_EQUAL(node->perms[0].rights, STORE_READ);
	CU_ASSERT_EQUAL(store.tree.guest_node_count, 8);
	stop();
}

static void test_txn_conflicts(void)
{
	const struct store_node *node;
	struct store_call call = guest;

	start();
	CU_ASSERT_EQUAL(put(&guest, "data/a", "1"), STORE_OK);
	call.txn = begin(); /* read, changed */
	CU_ASSERT_STRING_EQUAL(get(&call, "data/a"), "1");
	CU_ASSERT_EQUAL(put(&host, "data/a", "2"), STORE_OK);
	CU_ASSERT_STRING_EQUAL(get(&call, "data/a"), "1");
	CU_ASSERT_EQUAL(commit(call.txn), STORE_EAGAIN);
	call.txn = begin(); /* not there, then created */
	CU_ASSERT_STRING_EQUAL(get(&call, "data/b"), "ENOENT");
	CU_ASSERT_EQUAL(put(&guest, "data/b", "2"), STORE_OK);
	CU_ASSERT_EQUAL(commit(call.txn), STORE_EAGAIN);
	call.txn = begin(); /* list, then one more */
	CU_ASSERT_EQUAL(store_list(&store, &call, at("data"), &node), STORE_OK);
	CU_ASSERT_EQUAL(put(&guest, "data/c", "2"), STORE_OK);
	CU_ASSERT_EQUAL(commit(call.txn), STORE_EAGAIN);
	call.txn = begin(); /* list; a value in it changes: no matter */
	CU_ASSERT_EQUAL(store_list(&store, &call, at("data"), &node), STORE_OK);
	CU_ASSERT_EQUAL(put(&guest, "data/c", "3"), STORE_OK);
	CU_ASSERT_EQUAL(commit(call.txn), STORE_OK);
	call.txn = begin(); /* both write */
	CU_ASSERT_EQUAL(put(&call, "data/c", "4"), STORE_OK);
	CU_ASSERT_EQUAL(put(&guest, "data/c", "5"), STORE_OK);
	CU_ASSERT_EQUAL(commit(call.txn), STORE_EAGAIN);
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/c"), "5");
	call.txn = begin(); /* the parent goes */
	CU_ASSERT_EQUAL(put(&guest, "data/d/e", ""), STORE_OK);
	store_txn_abort(&store, call.txn);
	call.txn = begin();
	CU_ASSERT_EQUAL(put(&call, "data/d/f", "1"), STORE_OK);
	CU_ASSERT_EQUAL(store_remove(&store, &guest, at("data/d")), STORE_OK);
	CU_ASSERT_EQUAL(commit(call.txn), STORE_EAGAIN);
	stop();
}

static void test_txn_two(void)
{
	struct store_call one = guest, two = guest;

	start();
	one.txn = begin();
	two.txn = begin();
	CU_ASSERT_EQUAL(put(&one, "data/one", "1"), STORE_OK);
	CU_ASSERT_EQUAL(put(&two, "data/two", "2"), STORE_OK);
	CU_ASSERT_EQUAL(put(&two, "data/one", "x"), STORE_OK);
	CU_ASSERT_EQUAL(commit(one.txn), STORE_OK);
	CU_ASSERT_EQUAL(commit(two.txn), STORE_EAGAIN);
	two.txn = begin();
	one.txn = begin();
	CU_ASSERT_EQUAL(put(&one, "data/one", "3"), STORE_OK);
	CU_ASSERT_EQUAL(put(&two, "data/two", "4"), STORE_OK);
	CU_ASSERT_EQUAL(commit(one.txn), STORE_OK);
	CU_ASSERT_EQUAL(commit(two.txn), STORE_OK);
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/one"), "3");
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/two"), "4");
	stop();
}

static void test_txn_quotas(void)
{
	struct store_call call = guest;
	uint32_t id, count = 0;
	char name[32];

	start();
	for (uint32_t i = 0; i < STORE_TXN_MAX; i++) {
		CU_ASSERT_EQUAL(store_txn_start(&store, &id), STORE_OK);
	}
	CU_ASSERT_EQUAL(store_txn_start(&store, &id), STORE_ENOSPC);
	store_drop_connection(&store);
	call.txn = begin();
	for (enum store_error error = STORE_OK; error == STORE_OK; count++) {
		(void)snprintf(name, sizeof(name), "data/%u", count);
		error = strcmp(get(&call, name), "ENOENT") == 0 ? STORE_OK : STORE_ENOSPC;
	}
	CU_ASSERT_EQUAL(count, STORE_TXN_ACCESS_MAX + 1);
	CU_ASSERT_EQUAL(put(&guest, "data/x", ""), STORE_OK);
	CU_ASSERT_EQUAL(commit(call.txn), STORE_OK);
	stop();
}

/* A long commit between whose steps the host writes: it starts again and comes to an end. */
static void test_txn_long_commit(void)
{
	struct store_call call = guest;
	enum store_error error;
	uint32_t steps = 0;
	char name[32];

	start();
	call.txn = begin();
	for (uint32_t i = 0; i < 200; i++) {
		(void)snprintf(name, sizeof(name), "data/d%u/e", i);
		CU_ASSERT_EQUAL(put(&call, name, "v"), STORE_OK);
	}
	CU_ASSERT_EQUAL(put(&host, "/host", "1"), STORE_OK);
	do {
		error = store_txn_commit(&store, call.txn);
		steps++;
		if (steps % 10 == 0 && steps < 50) {
			CU_ASSERT_EQUAL(put(&host, "/host", "2"), STORE_OK);
		}
	} while (error == STORE_MORE);
	CU_ASSERT_EQUAL(error, STORE_OK);
	CU_ASSERT_TRUE(steps > 50 && steps < 200);
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/d199/e"), "v");
	CU_ASSERT_STRING_EQUAL(get(&host, "/host"), "2");
	stop();
}

/* The fork runs into the node quota although the transaction alone did not. */
static void test_txn_merge_quota(void)
{
	struct store_call call = guest;
	char name[32];

	start();
	call.txn = begin();
	for (uint32_t i = 0; i < 600; i++) {
		(void)snprintf(name, sizeof(name), "data/t%u", i);
		CU_ASSERT_EQUAL(put(&call, name, ""), STORE_OK);
	}
	for (uint32_t i = 0; i < 600; i++) {
		(void)snprintf(name, sizeof(name), "data/m%u", i);
		CU_ASSERT_EQUAL(put(&guest, name, ""), STORE_OK);
	}
	CU_ASSERT_EQUAL(commit(call.txn), STORE_ENOSPC);
	CU_ASSERT_STRING_EQUAL(get(&guest, "data/t0"), "ENOENT");
	CU_ASSERT_EQUAL(store.tree.guest_node_count, 601);
	stop();
}

/* ------------------------------------------------------------------ watches */

static void test_watches(void)
{
	start();
	CU_ASSERT_EQUAL(watch("data/a", "rel"), STORE_OK);
	CU_ASSERT_EQUAL(watch("/local/domain/7/data/a", "abs"), STORE_OK);
	CU_ASSERT_EQUAL(watch("data/a", "rel"), STORE_EEXIST);
	CU_ASSERT_EQUAL(watch("data/a", "rel2"), STORE_OK);
	CU_ASSERT_STRING_EQUAL(events(), "data/a rel|/local/domain/7/data/a abs|data/a rel2|");
	CU_ASSERT_EQUAL(store_unwatch(&store, "data/a", 6, "rel2", 4), STORE_OK);
	CU_ASSERT_EQUAL(store_unwatch(&store, "data/a", 6, "rel2", 4), STORE_ENOENT);
	CU_ASSERT_EQUAL(store_unwatch(&store, "data//a", 7, "rel2", 4), STORE_EINVAL);
	CU_ASSERT_EQUAL(put(&guest, "data/a/b", ""), STORE_OK);
	CU_ASSERT_EQUAL(put(&guest, "data/ab", ""), STORE_OK);
	CU_ASSERT_STRING_EQUAL(events(), "data/a/b rel|/local/domain/7/data/a/b abs|");
	/* An ancestor goes: the watched path is told. */
	CU_ASSERT_EQUAL(store_remove(&store, &guest, at("data")), STORE_OK);
	CU_ASSERT_STRING_EQUAL(events(), "data/a rel|/local/domain/7/data/a abs|");
	CU_ASSERT_EQUAL(watch("/", "root"), STORE_OK);
	CU_ASSERT_EQUAL(watch("@releaseDomain", "r"), STORE_OK);
	CU_ASSERT_EQUAL(watch("@release/Domain", "r"), STORE_EINVAL);
	CU_ASSERT_EQUAL(watch("@", "r"), STORE_EINVAL);
	CU_ASSERT_STRING_EQUAL(events(), "/ root|@releaseDomain r|");
	CU_ASSERT_TRUE(store_is_watched(&store, "data/a"));
	CU_ASSERT_TRUE(store_is_watched(&store, "/local/domain/7/data/a"));
	CU_ASSERT_FALSE(store_is_watched(&store, "data"));
	CU_ASSERT_FALSE(store_is_watched(&store, "data//"));
	/* What the guest may not read is not told. */
	CU_ASSERT_EQUAL(put(&host, "/secret", ""), STORE_OK);
	CU_ASSERT_STRING_EQUAL(events(), "/secret root|");
	CU_ASSERT_EQUAL(own("/secret", 0, STORE_NONE, STORE_NONE), STORE_OK);
	CU_ASSERT_STRING_EQUAL(events(), "/secret root|");
	CU_ASSERT_EQUAL(put(&host, "/secret", "x"), STORE_OK);
	CU_ASSERT_EQUAL(store_remove(&store, &host, at("/secret")), STORE_OK);
	CU_ASSERT_STRING_EQUAL(events(), "");
	stop();
}

static void test_watch_quotas(void)
{
	static char token[STORE_TOKEN_MAX + 1], path[STORE_PATH_MAX];
	static char to[STORE_PATH_MAX + STORE_TOKEN_MAX + 2];
	char name[16];

	start();
	memset(token, 't', sizeof(token));
	memset(path, 'p', sizeof(path));
	path[0] = '/';
	CU_ASSERT_EQUAL(store_watch(&store, "a", 1, token, STORE_TOKEN_MAX + 1), STORE_E2BIG);
	CU_ASSERT_EQUAL(store_watch(&store, path, STORE_PATH_MAX, token, STORE_TOKEN_MAX), STORE_OK);
	CU_ASSERT_EQUAL(store_event_take(&store, to, sizeof(to)), sizeof(to));
	for (uint32_t i = 1; i < STORE_WATCH_MAX; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		CU_ASSERT_EQUAL(watch("data", name), STORE_OK);
	}
	CU_ASSERT_EQUAL(watch("data", "more"), STORE_ENOSPC);
	(void)events();
	/* The host writes the same over and over: it is told once more, not each time. */
	CU_ASSERT_EQUAL(put(&host, "data/x", "1"), STORE_OK);
	size_t before = store.bytes;
	for (uint32_t i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(put(&host, "data/x", "2"), STORE_OK);
	}
	CU_ASSERT_EQUAL(store.bytes, before);
	/* Begun: then once more. */
	CU_ASSERT_TRUE(store_event_take(&store, to, sizeof(to)) != 0);
	CU_ASSERT_EQUAL(put(&host, "data/x", "3"), STORE_OK);
	CU_ASSERT_TRUE(store.bytes > before);
	uint32_t count = 0;
	while (store_has_events(&store)) {
		count += store_event_take(&store, to, sizeof(to)) != 0;
	}
	CU_ASSERT_EQUAL(count, 2 * (STORE_WATCH_MAX - 1) - 1);
	/* Dropped in the middle of events. */
	CU_ASSERT_EQUAL(put(&guest, "data/x", "4"), STORE_OK);
	CU_ASSERT_TRUE(store_event_take(&store, to, sizeof(to)) != 0);
	CU_ASSERT_EQUAL(store_unwatch(&store, "data", 4, "2", 1), STORE_OK);
	store_drop_connection(&store);
	CU_ASSERT_FALSE(store_has_events(&store));
	CU_ASSERT_EQUAL(store.watch_count, 0);
	stop();
}

/* ------------------------------------------------------------------ no memory */

/* Everything once, in a transaction that merges; @error: what came of it. */
static enum store_error everything(void)
{
	const struct store_perm perms[] = {{GUEST, STORE_READ}};
	struct store_call call = guest;
	enum store_error error = watch("data", "t");
	uint32_t id;

	if (error != STORE_OK) {
		return error;
	}
	error = put(&guest, "data/a/b", "1");
	error = error == STORE_OK ? store_txn_start(&store, &id) : error;
	if (error != STORE_OK) {
		return error;
	}
	call.txn = store_txn_find(&store, id);
	error = put(&call, "data/c/d", "2");
	error = error == STORE_OK ? store_remove(&store, &call, at("data/a/b")) : error;
	error = error == STORE_OK ? store_set_perms(&store, &call, at("data/c"), perms, 1) : error;
	error = error == STORE_OK ? put(&guest, "data/e", "3") : error;
	error = error == STORE_OK ? put(&guest, "data/e", "4") : error;
	error = error == STORE_OK ? store_set_perms(&store, &guest, at("data/e"), perms, 1) : error;
	error = error == STORE_OK ? store_remove(&store, &guest, at("data/e")) : error;
	return error == STORE_OK ? commit(call.txn) : error;
}

/* Each allocation in turn fails: the error says so, nothing leaks, what was there is as it was. */
static void test_no_memory(void)
{
	enum store_error error = STORE_ENOMEM;

	for (uint32_t i = 0; error != STORE_OK; i++) {
		start();
		CU_ASSERT_EQUAL(put(&guest, "data/keep", "k"), STORE_OK);
		host_fail_alloc_after(vm, i);
		error = everything();
		CU_ASSERT_TRUE(error == STORE_ENOMEM || (error == STORE_OK && i > 10));
		host_fail_alloc_never(vm);
		CU_ASSERT_STRING_EQUAL(get(&guest, "data/keep"), "k");
		CU_ASSERT_TRUE(strcmp(get(&guest, "data/c/d"), error == STORE_OK ? "2" : "ENOENT") == 0);
		stop();
		CU_ASSERT_FATAL(i < 1000);
	}
	vm = host_vm_new(NULL);
	host_fail_alloc_after(vm, 0);
	CU_ASSERT_FALSE(store_init(&store, vm, GUEST, NULL, NULL));
	host_fail_alloc_never(vm);
	store_destroy(&store);
	host_vm_free(vm);
}

/*
 * Random operations against a model: a list of paths and values, with transactions that are all aborted or
 * merged.
 */
static void test_random(void)
{
	char model[64][8];
	uint32_t seed = 12345;
	char name[32], value[8];

	start();
	memset(model, 0, sizeof(model));
	for (uint32_t i = 0; i < 20000; i++) {
		struct store_call call = guest;
		uint32_t slot, what;

		seed = seed * 1103515245 + 12345;
		slot = seed >> 10 & 63;
		what = seed >> 16 & 7;
		(void)snprintf(name, sizeof(name), "data/%c/%c", 'a' + slot / 8, 'a' + slot % 8);
		(void)snprintf(value, sizeof(value), "%u", i);
		call.txn = what >= 2 && what <= 4 ? begin() : NULL;
		if (what == 0 || what == 2) {
			CU_ASSERT_EQUAL(store_remove(&store, &call, at(name)) == STORE_OK ||
			                        model[slot][0] == 0,
			                true);
			model[slot][0] = 0;
		} else if (what == 3) {
			CU_ASSERT_EQUAL(put(&call, name, "aborted"), STORE_OK);
		} else {
			CU_ASSERT_EQUAL(put(&call, name, value), STORE_OK);
			memcpy(model[slot], value, sizeof(value));
		}
		if (what == 4) {
			CU_ASSERT_EQUAL(put(&guest, "data/aside", value), STORE_OK);
		}
		if (what == 3) {
			store_txn_abort(&store, call.txn);
		} else if (call.txn != NULL) {
			CU_ASSERT_EQUAL(commit(call.txn), STORE_OK);
		}
		CU_ASSERT_STRING_EQUAL(get(&guest, name), model[slot][0] != 0 ? model[slot] : "ENOENT");
	}
	stop();
}

UNIT_MAIN("store", UNIT_TEST(test_paths), UNIT_TEST(test_read_write), UNIT_TEST(test_remove),
          UNIT_TEST(test_rights), UNIT_TEST(test_quotas), UNIT_TEST(test_txn_plain),
          UNIT_TEST(test_txn_merge), UNIT_TEST(test_txn_conflicts), UNIT_TEST(test_txn_two),
          UNIT_TEST(test_txn_quotas), UNIT_TEST(test_txn_long_commit), UNIT_TEST(test_txn_merge_quota),
          UNIT_TEST(test_watches), UNIT_TEST(test_watch_quotas), UNIT_TEST(test_no_memory),
          UNIT_TEST(test_random))

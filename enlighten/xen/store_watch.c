/*
 * store_watch.c - watches and their events (docs/misc/xenstore.txt, "Watches").
 *
 * A change is kept as one record with its path; the events that it means are made one at a time, when the
 * connection has room for one. So what a guest's watches multiply is never stored.
 */
#include "enlighten/xen/store_private.h"

/* Watches compared in one store_event_take(). */
#define EVENT_LOOK_MAX 256u

struct store_record *store_record_new(struct store *store, enum store_who who, enum store_access access,
                                      const char *path, size_t len, bool silent)
{
	struct store_record *record = store_alloc(store, who, sizeof(*record) + len + 1);

	if (record != NULL) {
		list_init(&record->node);
		record->access = (uint8_t)access;
		record->silent = silent;
		record->len = (uint16_t)len;
		memcpy(record->path, path, len);
	}
	return record;
}

void store_record_free(struct store *store, struct store_record *record)
{
	list_remove(&record->node);
	store_free(store, record, sizeof(*record) + record->len + 1u);
}

/* Is the same change waiting already, not yet begun? */
static bool change_waits(const struct store *store, const struct store_record *record)
{
	LIST_FOR_EACH (node, &store->changes) {
		const struct store_record *other = CONTAINER_OF(node, struct store_record, node);
		bool begun = node == store->changes.next && store->event_watch != NULL;

		if (!begun && other->access == record->access && other->len == record->len &&
		    memcmp(other->path, record->path, record->len) == 0) {
			return true;
		}
	}
	return false;
}

void store_change_add(struct store *store, enum store_who who, struct store_record *record)
{
	if (who == STORE_GUEST && store->changed != NULL) {
		store->changed(store->context, record->path);
	}
	/* Only the host's changes can pile up: while one is undelivered, the guest makes no other. */
	if (record->silent || store->watch_count == 0 || (who == STORE_HOST && change_waits(store, record))) {
		store_record_free(store, record);
		return;
	}
	list_remove(&record->node);
	list_add_tail(&store->changes, &record->node);
}

/* ------------------------------------------------------------------ the list of watches */

static size_t watch_bytes(const struct store_watch *watch)
{
	return sizeof(*watch) + watch->path_len + watch->token_len + 2u;
}

static const char *watch_token(const struct store_watch *watch)
{
	return watch->text + watch->path_len + 1;
}

static bool special_path_ok(const char *raw_path, size_t len)
{
	for (size_t i = 1; i < len; i++) {
		char c = raw_path[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) {
			return false;
		}
	}
	return len > 1 && len <= STORE_RELATIVE_MAX;
}

/* Into the scratch path; special names stay as they are. */
static enum store_error watch_path(struct store *store, const char *raw_path, size_t len)
{
	struct store_path *path = &store->scratch;

	if (len == 0 || raw_path[0] != '@') {
		return store_path_make(store, raw_path, len, path);
	}
	if (!special_path_ok(raw_path, len)) {
		return STORE_EINVAL;
	}
	memcpy(path->text, raw_path, len);
	path->text[len] = 0;
	path->len = (uint32_t)len;
	path->relative = false;
	return STORE_OK;
}

static struct store_watch *watch_find(struct store *store, const struct store_path *path,
                                      const char *raw_token, size_t token_len)
{
	LIST_FOR_EACH (node, &store->watches) {
		struct store_watch *watch = CONTAINER_OF(node, struct store_watch, node);

		if (watch->path_len == path->len && watch->token_len == token_len &&
		    (watch->skip_len != 0) == path->relative &&
		    memcmp(watch->text, path->text, path->len) == 0 &&
		    memcmp(watch_token(watch), raw_token, token_len) == 0) {
			return watch;
		}
	}
	return NULL;
}

enum store_error store_watch(struct store *store, const char *raw_path, size_t path_len,
                             const char *raw_token, size_t token_len)
{
	const struct store_path *path = &store->scratch;
	struct store_watch *watch;
	enum store_error error = watch_path(store, raw_path, path_len);

	if (error != STORE_OK) {
		return error;
	}
	if (token_len > STORE_TOKEN_MAX) {
		return STORE_E2BIG;
	}
	if (watch_find(store, path, raw_token, token_len) != NULL) {
		return STORE_EEXIST;
	}
	if (store->watch_count == STORE_WATCH_MAX) {
		return STORE_ENOSPC;
	}
	watch = store_alloc(store, STORE_GUEST, sizeof(*watch) + path->len + token_len + 2);
	if (watch == NULL) {
		return STORE_ENOMEM;
	}
	watch->path_len = (uint16_t)path->len;
	watch->token_len = (uint16_t)token_len;
	watch->skip_len = (uint16_t)(path->relative ? store->home_len : 0);
	memcpy(watch->text, path->text, path->len);
	memcpy(watch->text + path->len + 1, raw_token, token_len);
	list_add_tail(&store->watches, &watch->node);
	list_init(&watch->initial);
	list_add_tail(&store->initials, &watch->initial);
	store->watch_count++;
	return STORE_OK;
}

static void watch_free(struct store *store, struct store_watch *watch)
{
	if (store->event_watch == &watch->node) {
		store->event_watch = watch->node.next;
	}
	list_remove(&watch->node);
	list_remove(&watch->initial);
	store->watch_count--;
	store_free(store, watch, watch_bytes(watch));
}

enum store_error store_unwatch(struct store *store, const char *raw_path, size_t path_len,
                               const char *raw_token, size_t token_len)
{
	struct store_watch *watch;
	enum store_error error = watch_path(store, raw_path, path_len);

	if (error != STORE_OK) {
		return error;
	}
	watch = watch_find(store, &store->scratch, raw_token, token_len);
	if (watch == NULL) {
		return STORE_ENOENT;
	}
	watch_free(store, watch);
	return STORE_OK;
}

bool store_is_watched(struct store *store, const char *path)
{
	size_t len = 0;

	while (path[len] != 0) {
		len++;
	}
	if (watch_path(store, path, len) != STORE_OK) {
		return false;
	}
	LIST_FOR_EACH (node, &store->watches) {
		const struct store_watch *watch = CONTAINER_OF(node, struct store_watch, node);

		if (watch->path_len == store->scratch.len &&
		    memcmp(watch->text, store->scratch.text, watch->path_len) == 0) {
			return true;
		}
	}
	return false;
}

void store_watch_drop_all(struct store *store)
{
	LIST_FOR_EACH (watch, &store->watches) {
		watch_free(store, CONTAINER_OF(watch, struct store_watch, node));
	}
	LIST_FOR_EACH (change, &store->changes) {
		store_record_free(store, CONTAINER_OF(change, struct store_record, node));
	}
	store->event_watch = NULL;
}

/* ------------------------------------------------------------------ events */

bool store_has_events(const struct store *store)
{
	return !list_is_empty(&store->initials) || !list_is_empty(&store->changes);
}

static size_t event_format(const struct store_watch *watch, const char *path, size_t path_len, char *to,
                           size_t room)
{
	size_t len = path_len - watch->skip_len;

	CHECK(len + watch->token_len + 2u <= room);
	memcpy(to, path + watch->skip_len, len);
	to[len] = 0;
	memcpy(to + len + 1, watch_token(watch), watch->token_len);
	to[len + 1 + watch->token_len] = 0;
	return len + watch->token_len + 2u;
}

static size_t event_match(const struct store_record *change, const struct store_watch *watch, char *to,
                          size_t room)
{
	if (store_path_is_below(change->path, change->len, watch->text, watch->path_len)) {
		return event_format(watch, change->path, change->len, to, room);
	}
	/* An ancestor has gone: the watched path itself is told. */
	if (change->access == STORE_ACCESS_REMOVE &&
	    store_path_is_below(watch->text, watch->path_len, change->path, change->len)) {
		return event_format(watch, watch->text, watch->path_len, to, room);
	}
	return 0;
}

static size_t initial_take(struct store *store, char *to, size_t room)
{
	struct list_node *node = list_take_first(&store->initials);
	const struct store_watch *watch;

	if (node == NULL) {
		return 0;
	}
	watch = CONTAINER_OF(node, struct store_watch, initial);
	return event_format(watch, watch->text, watch->path_len, to, room);
}

size_t store_event_take(struct store *store, char *to, size_t room)
{
	size_t len = initial_take(store, to, room);
	uint32_t looked = 0;

	while (len == 0 && !list_is_empty(&store->changes) && looked < EVENT_LOOK_MAX) {
		struct store_record *change = CONTAINER_OF(store->changes.next, struct store_record, node);
		struct list_node *node =
		        store->event_watch != NULL ? store->event_watch : store->watches.next;

		looked++;
		if (node == &store->watches) {
			store->event_watch = NULL;
			store_record_free(store, change);
			continue;
		}
		store->event_watch = node->next;
		len = event_match(change, CONTAINER_OF(node, struct store_watch, node), to, room);
	}
	return len;
}

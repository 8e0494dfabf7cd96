/*
 * xenstore_ops.c - the store's messages, one by one (docs/misc/xenstore.txt; rows in specs/xenstore.def).
 */
#include "enlighten/xen/xenstore_private.h"

typedef void xenstore_handler(struct xenstore *xs);

#define SPEC_ROW(number, name, status, handler, clause) static xenstore_handler handler;
#include "specs/xenstore.def"
#undef SPEC_ROW

enum row_status {
	OFFERED,
	REFUSED,
};

static const struct {
	uint32_t type;
	enum row_status status;
	xenstore_handler *handler;
} rows[] = {
#define SPEC_ROW(number, name, status, handler, clause) {number, status, handler},
#include "specs/xenstore.def"
#undef SPEC_ROW
};

void xenstore_dispatch(struct xenstore *xs)
{
	for (uint32_t i = 0; i < ARRAY_COUNT(rows); i++) {
		if (rows[i].type == xs->in.type) {
			vm_count(xs->vm, SPEC_XENSTORE, i, rows[i].status == REFUSED);
			rows[i].handler(xs);
			return;
		}
	}
	vm_count(xs->vm, SPEC_XENSTORE, SPEC_UNKNOWN, true);
	xenstore_answer(xs, STORE_ENOSYS);
}

static void xenstore_refuse_privileged(struct xenstore *xs)
{
	xenstore_answer(xs, STORE_EACCES);
}

static void xenstore_refuse_unknown(struct xenstore *xs)
{
	xenstore_answer(xs, STORE_ENOSYS);
}

/* ------------------------------------------------------------------ arguments */

/* The string that starts at *@at of the payload: its length, and *@at behind its NUL. False: no NUL. */
static bool take_string(const struct xenstore *xs, uint32_t *at, const char **text, uint32_t *len)
{
	*text = xs->in_payload + *at;
	for (uint32_t i = *at; i < xs->in.len; i++) {
		if (xs->in_payload[i] == 0) {
			*len = i - *at;
			*at = i + 1;
			return true;
		}
	}
	return false;
}

/* A decimal number of @len characters. */
static bool text_to_number(const char *text, uint32_t len, uint32_t max, uint32_t *number)
{
	uint64_t value = 0;

	if (len == 0 || len > 10) {
		return false;
	}
	for (uint32_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9') {
			return false;
		}
		value = value * 10 + (uint32_t)(text[i] - '0');
	}
	*number = (uint32_t)value;
	return value <= max;
}

/* Who asks, and in which transaction. */
static enum store_error take_call(struct xenstore *xs, struct store_call *call)
{
	call->who = STORE_GUEST;
	call->txn = store_txn_find(xs->store, xs->in.tx_id);
	return call->txn == NULL && xs->in.tx_id != 0 ? STORE_ENOENT : STORE_OK;
}

/* The path with which the payload begins, into xs->path; *@at is behind it. */
static enum store_error take_path(struct xenstore *xs, uint32_t *at)
{
	const char *text;
	uint32_t len;

	*at = 0;
	if (!take_string(xs, at, &text, &len)) {
		return STORE_EINVAL;
	}
	return store_path_make(xs->store, text, len, &xs->path);
}

/* A transaction and a path, and no more. */
static enum store_error take_path_only(struct xenstore *xs, struct store_call *call)
{
	uint32_t at;
	enum store_error error = take_call(xs, call);

	if (error != STORE_OK) {
		return error;
	}
	error = take_path(xs, &at);
	return error == STORE_OK && at != xs->in.len ? STORE_EINVAL : error;
}

/* ------------------------------------------------------------------ replies */

static bool put_bytes(struct xenstore *xs, uint32_t *len, const void *bytes, uint32_t count)
{
	if (count > XENSTORE_PAYLOAD_MAX - *len) {
		return false;
	}
	memcpy(xs->out_payload + *len, bytes, count);
	*len += count;
	return true;
}

static void reply_number(struct xenstore *xs, const char *before, uint32_t number)
{
	size_t len =
	        format_print(xs->out_payload, sizeof(xs->out_payload), "%s%u", before, (unsigned int)number);

	xenstore_reply(xs, (uint32_t)len + 1);
}

/* ------------------------------------------------------------------ the tree */

static void xenstore_do_directory(struct xenstore *xs)
{
	struct store_call call;
	const struct store_node *node;
	uint32_t len = 0;
	enum store_error error = take_path_only(xs, &call);

	if (error == STORE_OK) {
		error = store_list(xs->store, &call, &xs->path, &node);
	}
	for (uint32_t i = 0; error == STORE_OK && i < node->child_count; i++) {
		const struct store_node *child = node->children[i];

		if (!put_bytes(xs, &len, child->name, child->name_len + 1u)) {
			error = STORE_E2BIG;
		}
	}
	if (error != STORE_OK) {
		xenstore_answer(xs, error);
		return;
	}
	xenstore_reply(xs, len);
}

/*
 * The children from byte @offset of their list on, as many as fit; an empty name says that the list ends
 * here.
 */
static void put_part(struct xenstore *xs, const struct store_node *node, uint32_t offset)
{
	uint32_t at = 0, index = 0;
	uint32_t len = (uint32_t)format_print(xs->out_payload, sizeof(xs->out_payload), "%llu",
	                                      (unsigned long long)node->child_generation) +
	               1;

	for (; index < node->child_count && at < offset; index++) {
		at += node->children[index]->name_len + 1u;
	}
	for (; index < node->child_count; index++) {
		const struct store_node *child = node->children[index];

		if (!put_bytes(xs, &len, child->name, child->name_len + 1u)) {
			break;
		}
	}
	if (index == node->child_count) {
		(void)put_bytes(xs, &len, "", 1); /* no room: the next part is the empty one */
	}
	xenstore_reply(xs, len);
}

static void xenstore_do_directory_part(struct xenstore *xs)
{
	struct store_call call;
	const struct store_node *node;
	const char *text;
	uint32_t at, len, offset;
	enum store_error error = take_call(xs, &call);

	if (error == STORE_OK) {
		error = take_path(xs, &at);
	}
	if (error == STORE_OK && (!take_string(xs, &at, &text, &len) || at != xs->in.len ||
	                          !text_to_number(text, len, UINT32_MAX, &offset))) {
		error = STORE_EINVAL;
	}
	if (error == STORE_OK) {
		error = store_list(xs->store, &call, &xs->path, &node);
	}
	if (error != STORE_OK) {
		xenstore_answer(xs, error);
		return;
	}
	put_part(xs, node, offset);
}

static void xenstore_do_read(struct xenstore *xs)
{
	struct store_call call;
	const uint8_t *value;
	uint32_t len;
	enum store_error error = take_path_only(xs, &call);

	if (error == STORE_OK) {
		error = store_read(xs->store, &call, &xs->path, &value, &len);
	}
	if (error != STORE_OK) {
		xenstore_answer(xs, error);
		return;
	}
	if (len != 0) {
		memcpy(xs->out_payload, value, len);
	}
	xenstore_reply(xs, len);
}

static void xenstore_do_write(struct xenstore *xs)
{
	struct store_call call;
	uint32_t at;
	enum store_error error = take_call(xs, &call);

	if (error == STORE_OK) {
		error = take_path(xs, &at);
	}
	if (error == STORE_OK) {
		error = store_write(xs->store, &call, &xs->path, xs->in_payload + at, xs->in.len - at);
	}
	xenstore_answer(xs, error);
}

static void xenstore_do_mkdir(struct xenstore *xs)
{
	struct store_call call;
	enum store_error error = take_path_only(xs, &call);

	xenstore_answer(xs, error != STORE_OK ? error : store_make(xs->store, &call, &xs->path));
}

static void xenstore_do_rm(struct xenstore *xs)
{
	struct store_call call;
	enum store_error error = take_path_only(xs, &call);

	xenstore_answer(xs, error != STORE_OK ? error : store_remove(xs->store, &call, &xs->path));
}

/* ------------------------------------------------------------------ permissions */

static const char right_letters[] = "nrwb";

static void xenstore_do_get_perms(struct xenstore *xs)
{
	struct store_call call;
	const struct store_node *node;
	uint32_t len = 0;
	enum store_error error = take_path_only(xs, &call);

	if (error == STORE_OK) {
		error = store_get_perms(xs->store, &call, &xs->path, &node);
	}
	if (error != STORE_OK) {
		xenstore_answer(xs, error);
		return;
	}
	for (uint32_t i = 0; i < node->perm_count; i++) {
		len += (uint32_t)format_print(xs->out_payload + len, sizeof(xs->out_payload) - len, "%c%u",
		                              right_letters[node->perms[i].rights & 3],
		                              (unsigned int)node->perms[i].domain) +
		       1;
	}
	xenstore_reply(xs, len);
}

static bool text_to_perm(const char *text, uint32_t len, struct store_perm *perm)
{
	uint32_t domain, rights = 0;

	while (rights < 4 && (len == 0 || text[0] != right_letters[rights])) {
		rights++;
	}
	if (rights == 4 || !text_to_number(text + 1, len - 1, DOMID_FIRST_RESERVED - 1, &domain)) {
		return false;
	}
	perm->rights = (uint8_t)rights;
	perm->domain = (uint16_t)domain;
	return true;
}

static void xenstore_do_set_perms(struct xenstore *xs)
{
	struct store_call call;
	struct store_perm perms[STORE_PERM_MAX + 1];
	const char *text;
	uint32_t at, len, count = 0;
	enum store_error error = take_call(xs, &call);

	if (error == STORE_OK) {
		error = take_path(xs, &at);
	}
	/* One more than there may be, so that the store sees too many. */
	while (error == STORE_OK && at < xs->in.len && count <= STORE_PERM_MAX) {
		if (!take_string(xs, &at, &text, &len) || !text_to_perm(text, len, &perms[count++])) {
			error = STORE_EINVAL;
		}
	}
	if (error == STORE_OK) {
		error = store_set_perms(xs->store, &call, &xs->path, perms, count);
	}
	xenstore_answer(xs, error);
}

/* ------------------------------------------------------------------ watches */

/* Path and token. A depth is a feature that is not offered. */
static bool take_watch(const struct xenstore *xs, const char **path, uint32_t *path_len, const char **token,
                       uint32_t *token_len)
{
	uint32_t at = 0;

	return take_string(xs, &at, path, path_len) && take_string(xs, &at, token, token_len) &&
	       at == xs->in.len;
}

static void xenstore_do_watch(struct xenstore *xs)
{
	const char *path, *token;
	uint32_t path_len, token_len;
	enum store_error error = STORE_EINVAL;

	if (take_watch(xs, &path, &path_len, &token, &token_len)) {
		error = store_watch(xs->store, path, path_len, token, token_len);
	}
	xenstore_answer(xs, error);
}

static void xenstore_do_unwatch(struct xenstore *xs)
{
	const char *path, *token;
	uint32_t path_len, token_len;
	enum store_error error = STORE_EINVAL;

	if (take_watch(xs, &path, &path_len, &token, &token_len)) {
		error = store_unwatch(xs->store, path, path_len, token, token_len);
	}
	xenstore_answer(xs, error);
}

static void xenstore_do_reset_watches(struct xenstore *xs)
{
	store_drop_connection(xs->store);
	xenstore_answer(xs, STORE_OK);
}

/* ------------------------------------------------------------------ transactions */

static void xenstore_do_transaction_start(struct xenstore *xs)
{
	uint32_t id;
	enum store_error error = xs->in.tx_id != 0 ? STORE_EBUSY : store_txn_start(xs->store, &id);

	if (error != STORE_OK) {
		xenstore_answer(xs, error);
		return;
	}
	reply_number(xs, "", id);
}

static void xenstore_do_transaction_end(struct xenstore *xs)
{
	struct store_txn *txn = store_txn_find(xs->store, xs->in.tx_id);
	bool commit = xs->in_payload[0] == 'T';

	if (xs->in.len != 2 || xs->in_payload[1] != 0 || (!commit && xs->in_payload[0] != 'F')) {
		xenstore_answer(xs, STORE_EINVAL);
	} else if (txn == NULL) {
		xenstore_answer(xs, STORE_ENOENT);
	} else if (commit) {
		xs->committing = txn; /* xenstore_step() goes on with it */
	} else {
		store_txn_abort(xs->store, txn);
		xenstore_answer(xs, STORE_OK);
	}
}

/* ------------------------------------------------------------------ domains */

static void xenstore_do_get_domain_path(struct xenstore *xs)
{
	const char *text;
	uint32_t at = 0, len, domain;

	if (!take_string(xs, &at, &text, &len) || at != xs->in.len ||
	    !text_to_number(text, len, DOMID_FIRST_RESERVED - 1, &domain)) {
		xenstore_answer(xs, STORE_EINVAL);
		return;
	}
	reply_number(xs, "/local/domain/", domain);
}

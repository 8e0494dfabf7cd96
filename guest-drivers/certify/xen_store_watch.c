/*
 * xen_store_watch.c - probes of specs/xenstore.def: watches and transactions, by docs/misc/xenstore.txt.
 */
#include "guest-drivers/certify/xen_store.h"

#include "guest-drivers/text.h"

#define WATCHES_MAX 140u /* more than the quota of 128 */
#define TRANSACTIONS_MAX 16u /* more than the quota of 10 */
#define QUIET_US 200u
#define NO_TRANSACTION 0x7ABCDEF0u

/* ------------------------------------------------------------------ events */

struct event_wait {
	struct xen_guest *x;
	struct xen_event event;
};

static bool event_came(void *context)
{
	struct event_wait *wait = context;

	return xen_store_event(wait->x, &wait->event);
}

/* The next event is of this path and token. */
static void check_event(struct probe *p, struct xen_guest *x, const char *path, const char *token)
{
	struct event_wait wait = {.x = x};

	if (probe_check(p, certify_wait(p->c, event_came, &wait, XP_PATIENCE_US), "no event of \"%s\" comes",
	                path)) {
		(void)probe_check(p, text_equal(wait.event.path, path) && text_equal(wait.event.token, token),
		                  "an event of \"%s\", \"%s\" instead of \"%s\"", wait.event.path,
		                  wait.event.token, path);
	}
}

static void check_quiet(struct probe *p, struct xen_guest *x, const char *what)
{
	struct event_wait wait = {.x = x};

	(void)probe_check(p, !certify_wait(p->c, event_came, &wait, QUIET_US), "an event of \"%s\" %s",
	                  wait.event.path, what);
}

/* ------------------------------------------------------------------ WATCH */

/* Once at first; then for what changes there, below, and above if that takes it away. */
static void check_fires(struct probe *p, struct xen_guest *x)
{
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME "/w\0one")), 3, "a watch");
	check_event(p, x, STORE_HOME "/w", "one");
	(void)xen_store_write(x, 0, STORE_HOME "/w", "1");
	check_event(p, x, STORE_HOME "/w", "one");
	(void)xen_store_write(x, 0, STORE_HOME "/w/below", "1");
	check_event(p, x, STORE_HOME "/w/below", "one");
	(void)xen_store_write(x, 0, STORE_HOME "/w2", "1");
	check_quiet(p, x, "comes for a node beside it");
	(void)xen_store_remove(x, 0, STORE_HOME "/w");
	check_event(p, x, STORE_HOME "/w", "one");
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME "/w\0one")), -XEN_EEXIST,
	                "the same a second time");
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME "/w\0two")), 3,
	                "the same with another token");
	check_event(p, x, STORE_HOME "/w", "two");
	(void)xp_result(p, xen_store_unwatch(x, STORE_HOME "/w", "two"), 0, "taking it away");
	(void)xp_result(p, xen_store_unwatch(x, STORE_HOME "/w", "one"), 0, "taking the other away");
}

/* A path from the root on is told so. */
static void check_absolute(struct probe *p, struct xen_guest *x)
{
	char number[XEN_VALUE_BYTES];
	char directory[XEN_PATH_BYTES];
	char path[XEN_PATH_BYTES];

	xen_format_number(number, x->domid);
	xen_path_join(directory, "/local/domain", number);
	xen_path_join(path, directory, STORE_HOME "/abs");
	(void)xp_result(p, xen_store_watch(x, path, "three"), 0, "a watch on a path from the root on");
	check_event(p, x, path, "three");
	(void)xen_store_write(x, 0, STORE_HOME "/abs", "1");
	check_event(p, x, path, "three");
	(void)xp_result(p, xen_store_unwatch(x, path, "three"), 0, "taking it away");
}

/* As many as there may be; they go again. */
static void check_watch_quota(struct probe *p, struct xen_guest *x)
{
	char number[XEN_VALUE_BYTES];
	int64_t result = 0;
	uint32_t count = 0;
	uint32_t failed = 0;

	while (count < WATCHES_MAX && result == 0) {
		xen_format_number(number, count++);
		result = xen_store_watch(x, STORE_HOME, number);
	}
	(void)XP_RESULT_OF(p, result, "a watch more than there may be", -XEN_ENOSPC, -XEN_E2BIG);
	probe_note(p, "%u watches set", count - 1);
	while (count > 1) {
		xen_format_number(number, --count - 1);
		failed += xen_store_unwatch(x, STORE_HOME, number) != 0;
	}
	(void)probe_equal(p, failed, 0, "watches that could not be taken away");
	if (failed != 0) { /* no other row's */
		(void)xen_store_request(x, XS_RESET_WATCHES, 0, "", 1);
	}
}

void probe_XS_WATCH(struct probe *p)
{
	struct xen_guest *x = store_begin(p);

	if (x == NULL) {
		return;
	}
	check_fires(p, x);
	if (x->domid != 0) {
		check_absolute(p, x);
	}
	store_check_paths(p, x, "token", sizeof("token"));
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME)), -XEN_EINVAL, "no token");
	(void)xp_result(p, store_ask(p, x, STORE_RAW(STORE_HOME "\0token")), -XEN_EINVAL,
	                "a token without its end");
	check_watch_quota(p, x);
	store_end(p, x);
}

void probe_XS_UNWATCH(struct probe *p)
{
	struct xen_guest *x = store_begin(p);

	if (x == NULL) {
		return;
	}
	(void)xp_result(p, xen_store_watch(x, STORE_HOME, "one"), 0, "a watch");
	check_event(p, x, STORE_HOME, "one");
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME "\0two")), -XEN_ENOENT, "another token");
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME "/x\0one")), -XEN_ENOENT, "another path");
	(void)xp_result(p, store_ask(p, x, STORE_RAW(STORE_HOME "\0one")), -XEN_EINVAL,
	                "a token without its end");
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME)), -XEN_EINVAL, "no token");
	(void)xen_store_write(x, 0, STORE_HOME, "1");
	check_event(p, x, STORE_HOME, "one");
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME "\0one")), 3, "the watch");
	(void)xen_store_write(x, 0, STORE_HOME, "2");
	check_quiet(p, x, "comes after it was taken away");
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME "\0one")), -XEN_ENOENT, "the same again");
	store_end(p, x);
}

/* Watches and transactions go; the connection stays. */
void probe_XS_RESET_WATCHES(struct probe *p)
{
	struct xen_guest *x = store_begin(p);
	uint32_t tx = 0;
	int64_t result;

	if (x == NULL) {
		return;
	}
	(void)xp_result(p, xen_store_watch(x, STORE_HOME, "one"), 0, "a watch");
	check_event(p, x, STORE_HOME, "one");
	(void)xp_result(p, xen_store_begin(x, &tx), 0, "a transaction");
	result = store_ask(p, x, "", 1);
	if (xp_offered(p, result)) {
		(void)xp_result(p, result, 3, "a reset");
		(void)xp_result(p, xen_store_end(x, tx, false), -XEN_ENOENT, "the transaction after it");
		(void)xen_store_write(x, 0, STORE_HOME, "1");
		check_quiet(p, x, "comes after a reset");
		(void)xp_result(p, xen_store_unwatch(x, STORE_HOME, "one"), -XEN_ENOENT,
		                "the watch after it");
	} else {
		(void)xen_store_end(x, tx, false);
		(void)xen_store_unwatch(x, STORE_HOME, "one");
	}
	store_end(p, x);
}

/* ------------------------------------------------------------------ transactions */

void probe_XS_TRANSACTION_START(struct probe *p)
{
	struct xen_guest *x = store_begin(p);
	uint32_t ids[TRANSACTIONS_MAX];
	uint32_t count = 0;
	int64_t result = 0;

	if (x == NULL) {
		return;
	}
	while (count < TRANSACTIONS_MAX && (result = xen_store_begin(x, &ids[count])) == 0) {
		(void)probe_check(p, ids[count] != 0, "transaction 0");
		(void)probe_check(p, count == 0 || ids[count] != ids[count - 1], "the same number twice");
		count++;
	}
	(void)xp_result(p, result, -XEN_ENOSPC, "a transaction more than there may be");
	probe_note(p, "%u transactions at once", count);
	for (uint32_t i = 0; i < count; i++) {
		(void)xp_result(p, xen_store_end(x, ids[i], false), 0, "giving one up");
	}
	if (xp_result(p, xen_store_begin(x, &ids[0]), 0, "one after that")) {
		(void)xp_result(p, xen_store_request(x, XS_TRANSACTION_START, ids[0], "", 1), -XEN_EBUSY,
		                "one in a transaction");
		(void)xen_store_end(x, ids[0], false);
	}
	store_end(p, x);
}

/* Inside, what was at its start and what it wrote itself; outside, nothing of it until its end. */
static void check_isolation(struct probe *p, struct xen_guest *x)
{
	char text[XEN_VALUE_BYTES];
	uint32_t tx;

	(void)xp_result(p, xen_store_watch(x, STORE_HOME "/t", "one"), 0, "a watch");
	check_event(p, x, STORE_HOME "/t", "one");
	(void)xp_result(p, xen_store_begin(x, &tx), 0, "a transaction");
	(void)xp_result(p, xen_store_write(x, tx, STORE_HOME "/t", "in"), 0, "a node in it");
	(void)xp_result(p, xen_store_read(x, tx, STORE_HOME "/t", text, sizeof(text)), 2, "the same, in it");
	(void)xp_result(p, xen_store_read(x, 0, STORE_HOME "/t", text, sizeof(text)), -XEN_ENOENT,
	                "the same, outside");
	check_quiet(p, x, "comes before the end of a transaction");
	(void)xp_result(p, xen_store_end(x, tx, true), 0, "its end");
	(void)xp_result(p, xen_store_read(x, 0, STORE_HOME "/t", text, sizeof(text)), 2, "the node after it");
	check_event(p, x, STORE_HOME "/t", "one");
	(void)xp_result(p, xen_store_begin(x, &tx), 0, "a transaction to be given up");
	(void)xp_result(p, xen_store_write(x, tx, STORE_HOME "/t", "other"), 0, "a node in it");
	(void)xp_result(p, xen_store_end(x, tx, false), 0, "giving it up");
	(void)xp_result(p, xen_store_read(x, 0, STORE_HOME "/t", text, sizeof(text)), 2, "the node after it");
	check_quiet(p, x, "comes of what was given up");
	(void)xp_result(p, xen_store_unwatch(x, STORE_HOME "/t", "one"), 0, "taking the watch away");
}

/* Two that read and write the same: the second has to begin again. */
static void check_conflict(struct probe *p, struct xen_guest *x)
{
	char text[XEN_VALUE_BYTES];
	uint32_t a;
	uint32_t b;

	(void)xen_store_write(x, 0, STORE_HOME "/c", "0");
	(void)xp_result(p, xen_store_begin(x, &a), 0, "a transaction");
	(void)xp_result(p, xen_store_begin(x, &b), 0, "another one");
	(void)xen_store_read(x, a, STORE_HOME "/c", text, sizeof(text));
	(void)xen_store_read(x, b, STORE_HOME "/c", text, sizeof(text));
	(void)xen_store_write(x, a, STORE_HOME "/c", "first");
	(void)xen_store_write(x, b, STORE_HOME "/c", "second");
	(void)xp_result(p, xen_store_end(x, a, true), 0, "the end of the first");
	(void)xp_result(p, xen_store_end(x, b, true), -XEN_EAGAIN, "the end of the second");
	(void)xp_result(p, xen_store_read(x, 0, STORE_HOME "/c", text, sizeof(text)), 5,
	                "the value, the first's");
	(void)xp_result(p, xen_store_end(x, b, true), -XEN_ENOENT, "the second's end again");
}

void probe_XS_TRANSACTION_END(struct probe *p)
{
	struct xen_guest *x = store_begin(p);
	uint32_t tx;

	if (x == NULL) {
		return;
	}
	check_isolation(p, x);
	check_conflict(p, x);
	(void)xp_result(p, xen_store_begin(x, &tx), 0, "a transaction");
	(void)xp_result(p, xen_store_request(x, XS_TRANSACTION_END, tx, STORE_TEXT("X")), -XEN_EINVAL,
	                "an end that is neither");
	(void)xp_result(p, xen_store_request(x, XS_TRANSACTION_END, tx, STORE_RAW("T")), -XEN_EINVAL,
	                "an end without its end");
	(void)xp_result(p, xen_store_end(x, tx, false), 0, "giving it up");
	(void)xp_result(p, xen_store_end(x, NO_TRANSACTION, true), -XEN_ENOENT,
	                "the end of one that there is not");
	(void)xp_result(p, xen_store_end(x, 0, true), -XEN_ENOENT, "the end of none");
	store_end(p, x);
}

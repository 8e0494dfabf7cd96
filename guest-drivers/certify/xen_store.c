/*
 * xen_store.c - probes of specs/xenstore.def: the messages on the tree and those that are refused, by
 * docs/misc/xenstore.txt. Watches and transactions are in xen_store_watch.c.
 *
 * The connection is never broken by a message that is too long, nor any domain touched but the guest's own.
 */
#include "guest-drivers/certify/xen_store.h"

#include "guest-drivers/text.h"

#define VALUE_MAX 2048u
#define NODES_MAX 1100u /* more than the quota of 1000 */
#define LONG_NAMES 64u
#define LONG_NAME_BYTES 100u
#define LONG_PATH_BYTES 3080u
#define NO_TRANSACTION 0x7ABCDEF0u

static char message[XENSTORE_PAYLOAD_MAX];

struct xen_guest *store_begin(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x == NULL) {
		return NULL;
	}
	(void)xen_store_remove(x, 0, STORE_HOME);
	return xp_result(p, xen_store_write(x, 0, STORE_HOME, "home"), 0, "a directory to work in") ? x
	                                                                                            : NULL;
}

void store_end(struct probe *p, struct xen_guest *x)
{
	struct xen_event event;

	(void)xp_result(p, xen_store_remove(x, 0, STORE_HOME), 0, "removing it");
	while (xen_store_event(x, &event)) {
	}
	(void)probe_check(p, !x->store.broken, "the store's connection is broken");
}

int64_t store_ask(struct probe *p, struct xen_guest *x, const void *payload, uint32_t len)
{
	return xen_store_request(x, (uint32_t)p->row->number, 0, payload, len);
}

/* ------------------------------------------------------------------ what all refuse */

static void check_path(struct probe *p, struct xen_guest *x, const char *path, const char *rest,
                       uint32_t rest_len)
{
	uint32_t len = (uint32_t)text_length(path) + 1;
	int64_t result;

	memcpy(message, path, len);
	if (rest_len != 0) {
		memcpy(message + len, rest, rest_len);
	}
	result = store_ask(p, x, message, len + rest_len);
	(void)probe_check(p, result == -XEN_EINVAL, "the path \"%s\": %ld", path, (long)result);
}

void store_check_paths(struct probe *p, struct xen_guest *x, const char *rest, uint32_t rest_len)
{
	static const char *const bad[] = {
	        "",
	        STORE_HOME "/",
	        STORE_HOME "//x",
	        "//",
	        STORE_HOME "/a b",
	        STORE_HOME "/a:b",
	        STORE_HOME "/*",
	};
	static char path[LONG_PATH_BYTES + 1];

	for (uint32_t i = 0; i < ARRAY_COUNT(bad); i++) {
		check_path(p, x, bad[i], rest, rest_len);
	}
	(void)xp_result(p, store_ask(p, x, "", 0), -XEN_EINVAL, "no path");
	(void)xp_result(p, store_ask(p, x, STORE_RAW(STORE_HOME)), -XEN_EINVAL, "a path without its end");
	memset(path, 'p', LONG_PATH_BYTES);
	path[0] = '/';
	memcpy(message, path, LONG_PATH_BYTES + 1);
	if (rest_len != 0) {
		memcpy(message + LONG_PATH_BYTES + 1, rest, rest_len);
	}
	(void)xp_result(p, store_ask(p, x, message, LONG_PATH_BYTES + 1 + rest_len), -XEN_EINVAL,
	                "a path of 3080 bytes");
}

void store_check_no_transaction(struct probe *p, struct xen_guest *x, const char *payload, uint32_t len)
{
	(void)xp_result(p, xen_store_request(x, (uint32_t)p->row->number, NO_TRANSACTION, payload, len),
	                -XEN_ENOENT, "in a transaction that there is not");
}

/* A path alone, and nothing behind it. */
static void check_one_path(struct probe *p, struct xen_guest *x)
{
	store_check_paths(p, x, "", 0);
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME "\0more")), -XEN_EINVAL,
	                "something behind the path");
	store_check_no_transaction(p, x, STORE_TEXT(STORE_HOME));
}

/* ------------------------------------------------------------------ DIRECTORY, DIRECTORY_PART */

/* False: the host's quota for a node's size does not let them all be. */
static bool write_long_names(struct probe *p, struct xen_guest *x)
{
	const uint32_t at = (uint32_t)sizeof(STORE_HOME);
	int64_t worst = 0;

	memcpy(message, STORE_HOME "/", at);
	memset(message + at, 'n', LONG_NAME_BYTES);
	message[at + LONG_NAME_BYTES] = 0;
	for (uint32_t i = 0; i < LONG_NAMES && worst == 0; i++) {
		int64_t result;

		message[at] = (char)('A' + i / 16);
		message[at + 1] = (char)('a' + i % 16);
		result = xen_store_request(x, XS_MKDIR, 0, message, at + LONG_NAME_BYTES + 1);
		worst = result < 0 ? result : worst;
	}
	(void)XP_RESULT_OF(p, worst, "64 nodes with long names", 0, -XEN_ENOSPC);
	return worst == 0;
}

static void probe_XS_DIRECTORY(struct probe *p)
{
	struct xen_guest *x = store_begin(p);

	if (x == NULL) {
		return;
	}
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME)), 0, "an empty directory");
	(void)xen_store_write(x, 0, STORE_HOME "/a", "1");
	(void)xen_store_write(x, 0, STORE_HOME "/bc/d", "2");
	if (xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME)), 5, "two names")) {
		(void)probe_check(p,
		                  memcmp(x->store.payload, "a\0bc", 5) == 0 ||
		                          memcmp(x->store.payload, "bc\0a", 5) == 0,
		                  "the names are others");
	}
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME "/none")), -XEN_ENOENT,
	                "a directory that there is not");
	check_one_path(p, x);
	if (write_long_names(p, x)) {
		(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME)), -XEN_E2BIG,
		                "names that do not fit into a message");
	}
	store_end(p, x);
}

/* One part from @offset on, into *@names bytes counted. False: the list ends here, or an error. */
static bool part_read(struct probe *p, struct xen_guest *x, uint32_t offset, uint32_t *names, uint32_t *len)
{
	char number[XEN_VALUE_BYTES];
	const uint32_t at = (uint32_t)sizeof(STORE_HOME);
	uint32_t number_len;
	int64_t got;

	xen_format_number(number, offset);
	number_len = (uint32_t)text_length(number) + 1;
	memcpy(message, STORE_HOME, at);
	memcpy(message + at, number, number_len);
	got = store_ask(p, x, message, at + number_len);
	if (!probe_check(p, got >= 2 && x->store.payload[got - 1] == 0, "a part: %ld", (long)got)) {
		return false;
	}
	*len = 0;
	for (uint32_t i = (uint32_t)text_length(x->store.payload) + 1; i < got; i++) {
		if (x->store.payload[i] == 0 && x->store.payload[i - 1] == 0) {
			return false; /* an empty name: no more */
		}
		*names += x->store.payload[i] == 0;
		*len += 1;
	}
	return *len != 0;
}

static void probe_XS_DIRECTORY_PART(struct probe *p)
{
	struct xen_guest *x = store_begin(p);
	uint32_t offset = 0;
	uint32_t names = 0;
	uint32_t parts = 1;
	uint32_t len = 0;

	if (x == NULL) {
		return;
	}
	if (xp_offered(p, store_ask(p, x,
	                            STORE_TEXT(STORE_HOME "\0"
	                                                  "0")))) {
		bool all = write_long_names(p, x);

		while (parts < LONG_NAMES && part_read(p, x, offset, &names, &len)) {
			offset += len;
			parts++;
		}
		(void)probe_check(p, all ? names == LONG_NAMES : names > 0 && names < LONG_NAMES,
		                  "%u names in all parts", names);
		(void)probe_check(p, parts > 1 || !all, "all in one part");
		probe_note(p, "%u parts", parts);
		(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME)), -XEN_EINVAL, "without an offset");
		(void)xp_result(p,
		                store_ask(p, x,
		                          STORE_TEXT(STORE_HOME "/none\0"
		                                                "0")),
		                -XEN_ENOENT, "a directory that there is not");
		store_check_no_transaction(p, x,
		                           STORE_TEXT(STORE_HOME "\0"
		                                                 "0"));
	}
	store_end(p, x);
}

/* ------------------------------------------------------------------ READ, WRITE, MKDIR, RM */

static void probe_XS_READ(struct probe *p)
{
	struct xen_guest *x = store_begin(p);

	if (x == NULL) {
		return;
	}
	if (xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME)), 4, "a value of 4 bytes")) {
		(void)probe_check(p, memcmp(x->store.payload, "home", 4) == 0, "the value is another one");
	}
	(void)xen_store_write(x, 0, STORE_HOME "/empty", "");
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME "/empty")), 0, "an empty value");
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME "/none")), -XEN_ENOENT,
	                "a node that there is not");
	(void)probe_check(p, store_ask(p, x, STORE_TEXT("domid")) > 0, "the domain's number cannot be read");
	check_one_path(p, x);
	store_end(p, x);
}

/* Bytes of any kind, as many as may be, and no more. */
static void check_values(struct probe *p, struct xen_guest *x)
{
	const uint32_t at = (uint32_t)sizeof(STORE_HOME "/long");
	int64_t got;

	(void)xp_result(p, store_ask(p, x, STORE_RAW(STORE_HOME "/raw\0a\0\xFF\0b")), 3, "a value with NULs");
	if (xp_result(p, xen_store_request(x, XS_READ, 0, STORE_TEXT(STORE_HOME "/raw")), 5, "reading it")) {
		(void)probe_check(p, memcmp(x->store.payload, "a\0\xFF\0b", 5) == 0,
		                  "the value is another one");
	}
	memcpy(message, STORE_HOME "/long", at);
	memset(message + at, 'v', VALUE_MAX + 1);
	got = store_ask(p, x, message, at + VALUE_MAX / 2 + 500);
	(void)xp_result(p, got, 3, "a value of 1524 bytes");
	(void)xp_result(p, xen_store_request(x, XS_READ, 0, STORE_TEXT(STORE_HOME "/long")),
	                VALUE_MAX / 2 + 500, "reading it");
	(void)xp_result(p, store_ask(p, x, message, at + VALUE_MAX + 1), -XEN_ENOSPC,
	                "a value of more than 2048 bytes");
	(void)xp_result(p, xen_store_request(x, XS_READ, 0, STORE_TEXT(STORE_HOME "/long")),
	                VALUE_MAX / 2 + 500, "the value after that");
}

static void probe_XS_WRITE(struct probe *p)
{
	struct xen_guest *x = store_begin(p);
	char text[XEN_VALUE_BYTES];

	if (x == NULL) {
		return;
	}
	if (xp_result(p, store_ask(p, x, STORE_RAW(STORE_HOME "/a/b/c\0deep")), 3,
	              "a node and its parents")) {
		(void)probe_check(p, memcmp(x->store.payload, "OK", 3) == 0, "the answer is not OK");
	}
	(void)xp_result(p, xen_store_read(x, 0, STORE_HOME "/a/b/c", text, sizeof(text)), 4, "its value");
	(void)xp_result(p, xen_store_read(x, 0, STORE_HOME "/a/b", text, sizeof(text)), 0,
	                "its parent's value");
	check_values(p, x);
	(void)xp_result(p,
	                store_ask(p, x,
	                          STORE_RAW("domid\0"
	                                    "7")),
	                -XEN_EACCES, "a node that is the toolstack's");
	(void)xp_result(p,
	                store_ask(p, x,
	                          STORE_RAW("/janus-certify\0"
	                                    "7")),
	                -XEN_EACCES, "a node beside the domains");
	store_check_paths(p, x, "v", 1);
	store_check_no_transaction(p, x, STORE_TEXT(STORE_HOME "\0v"));
	store_end(p, x);
}

/* More nodes than a guest may own. */
static void check_node_quota(struct probe *p, struct xen_guest *x)
{
	char number[XEN_VALUE_BYTES];
	char path[XEN_PATH_BYTES];
	int64_t result = 0;
	uint32_t count = 0;

	while (count < NODES_MAX && result >= 0) {
		xen_format_number(number, count++);
		xen_path_join(path, STORE_HOME, number);
		result = store_ask(p, x, path, (uint32_t)text_length(path) + 1);
	}
	(void)xp_result(p, result, -XEN_ENOSPC, "a node more than there may be");
	probe_note(p, "%u nodes made", count - 1);
	(void)xp_result(p, xen_store_write(x, 0, STORE_HOME, "still"), 0, "writing to one that there is");
}

static void probe_XS_MKDIR(struct probe *p)
{
	struct xen_guest *x = store_begin(p);
	char text[XEN_VALUE_BYTES];

	if (x == NULL) {
		return;
	}
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME "/a/b")), 3, "a node and its parent");
	(void)xp_result(p, xen_store_read(x, 0, STORE_HOME "/a/b", text, sizeof(text)), 0, "its value");
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME)), 3, "a node that there is");
	(void)xp_result(p, xen_store_read(x, 0, STORE_HOME, text, sizeof(text)), 4, "its value, which stays");
	(void)xp_result(p, store_ask(p, x, STORE_TEXT("memory/janus-certify")), -XEN_EACCES,
	                "below a node that is the toolstack's");
	check_one_path(p, x);
	check_node_quota(p, x);
	store_end(p, x);
}

static void probe_XS_RM(struct probe *p)
{
	struct xen_guest *x = store_begin(p);
	char text[XEN_VALUE_BYTES];

	if (x == NULL) {
		return;
	}
	(void)xen_store_write(x, 0, STORE_HOME "/a/b/c", "1");
	(void)xen_store_write(x, 0, STORE_HOME "/ab", "2");
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME "/a")), 3, "a node and all below it");
	(void)xp_result(p, xen_store_read(x, 0, STORE_HOME "/a/b/c", text, sizeof(text)), -XEN_ENOENT,
	                "a node below it, after that");
	(void)xp_result(p, xen_store_read(x, 0, STORE_HOME "/ab", text, sizeof(text)), 1,
	                "one beside it, after that");
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME "/a")), 3, "a node that is gone");
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME "/a/b")), -XEN_ENOENT,
	                "a node whose parent is gone");
	(void)XP_RESULT_OF(p, store_ask(p, x, STORE_TEXT("/")), "the root", -XEN_EINVAL, -XEN_EACCES);
	(void)xp_result(p, store_ask(p, x, STORE_TEXT("memory/target")), -XEN_EACCES,
	                "a node that is the toolstack's");
	check_one_path(p, x);
	store_end(p, x);
}

/* ------------------------------------------------------------------ permissions */

/* "LETTERdomid" and its NUL at @to; its length. */
static uint32_t put_perm(char *to, char letter, uint64_t domid)
{
	char number[XEN_VALUE_BYTES];
	uint32_t len;

	xen_format_number(number, domid);
	len = (uint32_t)text_length(number) + 1;
	to[0] = letter;
	memcpy(to + 1, number, len);
	return len + 1;
}

/* A list that begins with a letter and a number, each ended. */
static void probe_XS_GET_PERMS(struct probe *p)
{
	struct xen_guest *x = store_begin(p);
	char own[XEN_VALUE_BYTES];
	uint32_t own_len;
	int64_t len;

	if (x == NULL) {
		return;
	}
	len = store_ask(p, x, STORE_TEXT(STORE_HOME));
	own_len = put_perm(own, x->store.payload[0], x->domid);
	(void)probe_check(p, len >= own_len && x->store.payload[len - 1] == 0, "a list of %ld bytes",
	                  (long)len);
	(void)probe_check(p,
	                  text_starts("nrwb", "n") &&
	                          (own[0] == 'n' || own[0] == 'r' || own[0] == 'w' || own[0] == 'b'),
	                  "the list begins with \"%s\"", x->store.payload);
	(void)probe_check(p, x->domid == 0 || memcmp(x->store.payload, own, own_len) == 0,
	                  "the owner of a node of ours: \"%s\"", x->store.payload);
	(void)xp_result(p, store_ask(p, x, STORE_TEXT(STORE_HOME "/none")), -XEN_ENOENT,
	                "a node that there is not");
	check_one_path(p, x);
	store_end(p, x);
}

/* Path, NUL, and @count entries of ours with this letter. */
static int64_t perms_set(struct probe *p, struct xen_guest *x, const char *letters, uint64_t domid)
{
	uint32_t len = (uint32_t)sizeof(STORE_HOME);

	memcpy(message, STORE_HOME, len);
	for (uint32_t i = 0; letters[i] != 0; i++) {
		len += put_perm(message + len, letters[i], i == 0 ? domid : 0);
	}
	return store_ask(p, x, message, len);
}

static void probe_XS_SET_PERMS(struct probe *p)
{
	struct xen_guest *x = store_begin(p);
	char wanted[XEN_VALUE_BYTES];
	uint32_t len;

	if (x == NULL) {
		return;
	}
	(void)xp_result(p, perms_set(p, x, "nr", x->domid), 3, "a list of two");
	len = put_perm(wanted, 'n', x->domid);
	len += put_perm(wanted + len, 'r', 0);
	(void)xp_result(p, xen_store_request(x, XS_GET_PERMS, 0, STORE_TEXT(STORE_HOME)), len,
	                "the list after that");
	(void)probe_check(p, memcmp(x->store.payload, wanted, len) == 0, "it is another one");
	(void)xp_result(p, perms_set(p, x, "n", 0), -XEN_EPERM, "another owner");
	(void)xp_result(p, perms_set(p, x, "", 0), -XEN_EINVAL, "no list");
	(void)xp_result(p, perms_set(p, x, "x", x->domid), -XEN_EINVAL, "a letter that there is not");
	(void)xp_result(p, perms_set(p, x, "nrrrrr", x->domid), -XEN_ENOSPC, "a list of six");
	(void)xp_result(p, store_ask(p, x, STORE_TEXT("domid\0n0")), -XEN_EACCES,
	                "a node that is the toolstack's");
	(void)xp_result(p, store_ask(p, x, STORE_RAW(STORE_HOME)), -XEN_EINVAL, "a path without its end");
	(void)xp_result(p, xen_store_request(x, XS_GET_PERMS, 0, STORE_TEXT(STORE_HOME)), len,
	                "the list after all that");
	len = (uint32_t)sizeof(STORE_HOME) + put_perm(message + sizeof(STORE_HOME), 'n', x->domid);
	memcpy(message, STORE_HOME, sizeof(STORE_HOME));
	store_check_no_transaction(p, x, message, len);
	store_end(p, x);
}

/* ------------------------------------------------------------------ domains, privileged, unknown */

static void probe_XS_GET_DOMAIN_PATH(struct probe *p)
{
	static const char home[] = "/local/domain/";
	struct xen_guest *x = certify_xen_started(p);
	char number[XEN_VALUE_BYTES];

	if (x == NULL) {
		return;
	}
	if (xp_result(p, store_ask(p, x, STORE_TEXT("0")), sizeof("/local/domain/0"), "domain 0's path")) {
		(void)probe_check(p, memcmp(x->store.payload, "/local/domain/0", 16) == 0, "it is \"%s\"",
		                  x->store.payload);
	}
	xen_format_number(number, x->domid);
	(void)xp_result(p, store_ask(p, x, number, (uint32_t)text_length(number) + 1),
	                (int64_t)(sizeof(home) + text_length(number)), "our own path");
	(void)probe_check(p,
	                  text_starts(x->store.payload, home) &&
	                          text_equal(x->store.payload + sizeof(home) - 1, number),
	                  "it is \"%s\"", x->store.payload);
	(void)xp_result(p, store_ask(p, x, STORE_RAW("0")), -XEN_EINVAL, "a number without its end");
	(void)xp_result(p, store_ask(p, x, "", 0), -XEN_EINVAL, "no number");
}

/* Of a domain that there is not, so that nothing comes of it where it is allowed. */
static void probe_of_privileged(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL) {
		XP_REFUSED(p,
		           store_ask(p, x,
		                     STORE_TEXT("31420\0"
		                                "31421\0"
		                                "1")),
		           -XEN_EACCES, -XEN_ENOSYS, -XEN_EPERM, -XEN_EINVAL);
		XP_REFUSED(p, store_ask(p, x, "", 0), -XEN_EACCES, -XEN_ENOSYS, -XEN_EPERM, -XEN_EINVAL);
		(void)probe_check(p, !x->store.broken, "the store's connection is broken");
	}
}

#define probe_XS_CONTROL probe_of_privileged
#define probe_XS_INTRODUCE probe_of_privileged
#define probe_XS_RELEASE probe_of_privileged
#define probe_XS_IS_DOMAIN_INTRODUCED probe_of_privileged
#define probe_XS_RESUME probe_of_privileged
#define probe_XS_SET_TARGET probe_of_privileged
#define probe_XS_GET_FEATURE probe_of_privileged
#define probe_XS_SET_FEATURE probe_of_privileged
#define probe_XS_GET_QUOTA probe_of_privileged
#define probe_XS_SET_QUOTA probe_of_privileged

/* What only the store sends, and numbers that are no message. */
static void probe_of_unknown(struct probe *p)
{
	static const uint32_t none[] = {20, 99, 0xFFFF, 0x80000000u, UINT32_MAX};
	struct xen_guest *x = certify_xen_started(p);

	if (x == NULL) {
		return;
	}
	XP_REFUSED(p, store_ask(p, x, STORE_TEXT("data\0token")), -XEN_ENOSYS, -XEN_EINVAL);
	for (uint32_t i = 0; i < ARRAY_COUNT(none); i++) {
		(void)xp_result(p, xen_store_request(x, none[i], 0, STORE_TEXT("data")), -XEN_ENOSYS,
		                "a message that there is not");
	}
	(void)probe_check(p, !x->store.broken, "the store's connection is broken");
}

#define probe_XS_WATCH_EVENT probe_of_unknown
#define probe_XS_ERROR probe_of_unknown

#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##name)
static const struct row rows[] = {
#include "specs/xenstore.def"
};
ROW_TABLE(xenstore, NEED_XEN)

/*
 * store.h - the XenStore tree of one guest: nodes, permissions, watches, transactions, quotas.
 *
 * After docs/misc/xenstore.txt of Xen. A pure data structure: it knows no ring and no device. Nodes are
 * shared between trees by reference count and copied when written while shared, so that a transaction is a
 * true snapshot, taken in constant time, and a commit is all or nothing.
 *
 * Two callers exist: the host (us: the control domain, domain 0) and the one guest. Every function here is
 * called with the owner's RANK_BUS lock held. What is returned by pointer is valid until the next
 * call that changes the tree.
 */
#ifndef XEN_STORE_H
#define XEN_STORE_H

#include "vm/vm.h"

#define STORE_PATH_MAX 3072u /* an absolute path, without its NUL */
#define STORE_RELATIVE_MAX 2048u /* a relative one, or the part after /local/domain/N/ */
#define STORE_DEPTH_MAX 64u /* components; ours, so that every walk is bounded */
#define STORE_TOKEN_MAX 1000u /* so that path and token always fit into one message */

/* A guest's quotas, as Xen's defaults. */
#define STORE_NODE_MAX 1000u
#define STORE_WATCH_MAX 128u
#define STORE_TXN_MAX 10u
#define STORE_TXN_ACCESS_MAX 1024u
#define STORE_PERM_MAX 5u
#define STORE_VALUE_MAX 2048u
#define STORE_BYTES_MAX 2621440u

/* In the order of store_error_name(). */
enum store_error {
	STORE_OK = 0,
	STORE_EINVAL,
	STORE_EACCES,
	STORE_EEXIST,
	STORE_EISDIR,
	STORE_ENOENT,
	STORE_ENOMEM,
	STORE_ENOSPC,
	STORE_EIO,
	STORE_ENOTEMPTY,
	STORE_ENOSYS,
	STORE_EROFS,
	STORE_EBUSY,
	STORE_EAGAIN,
	STORE_EISCONN,
	STORE_E2BIG,
	STORE_EPERM,
	STORE_ERROR_COUNT,
	STORE_MORE = STORE_ERROR_COUNT, /* not an error: the step is done, call again */
};

/* The name that goes over the wire, "EINVAL" and so on. */
const char *store_error_name(enum store_error error);

enum store_right {
	STORE_NONE = 0,
	STORE_READ = 1,
	STORE_WRITE = 2,
	STORE_BOTH = 3,
};

/* The first entry of a list: the owner, and what everybody else may do. */
struct store_perm {
	uint16_t domain;
	uint8_t rights; /* enum store_right */
};

/* Shared by the versions of a node. */
struct store_value {
	uint32_t ref_count;
	uint32_t len_bytes;
	uint8_t bytes[];
};

struct store_node {
	uint32_t ref_count;
	uint16_t name_len;
	uint8_t perm_count;
	uint32_t child_count, child_room;
	struct store_perm perms[STORE_PERM_MAX];
	uint64_t generation; /* of value and permissions */
	uint64_t child_generation; /* of the list of children */
	struct store_value *value; /* NULL = empty */
	struct store_node **children; /* sorted by name */
	struct store_node *dead_next;
	char name[]; /* with a NUL */
};

struct store_tree {
	struct store_node *root;
	uint32_t guest_node_count;
};

/* A checked, absolute path. */
struct store_path {
	uint32_t len;
	bool relative; /* it was given relative to the guest's home */
	char text[STORE_PATH_MAX + 1];
};

enum store_access {
	STORE_ACCESS_READ,
	STORE_ACCESS_LIST,
	STORE_ACCESS_WRITE,
	STORE_ACCESS_REMOVE,
};

/*
 * What a transaction has touched; after a commit (or without a transaction): a change that watches hear of.
 */
struct store_record {
	struct list_node node;
	uint8_t access; /* enum store_access */
	bool silent; /* a parent made on the way, or a node that the guest may not read */
	uint16_t len;
	char path[]; /* with a NUL */
};

struct store_watch {
	struct list_node node;
	struct list_node initial; /* in store->initials until the first event is out */
	uint16_t path_len, token_len;
	uint16_t skip_len; /* what a relative watch leaves out of its events */
	char text[]; /* path NUL token NUL */
};

struct store_txn {
	uint32_t id; /* 0: free */
	struct store_tree tree;
	struct store_node *base; /* the root at its start, held */
	struct list_node records;
	uint32_t record_count;
	/* A commit over several steps. */
	struct store_node *against; /* the root it is being checked against, held */
	struct store_tree fork; /* what will be the tree */
	struct list_node *at; /* next record */
	bool applying; /* all checked, now putting into the fork */
};

struct store {
	struct vm *vm;
	uint16_t guest; /* domain id */
	struct store_tree tree;
	uint64_t generation;
	size_t bytes;
	struct list_node watches, initials, changes;
	uint32_t watch_count;
	struct list_node *event_watch; /* next watch to look at for the first change; NULL: from the start */
	uint32_t last_txn_id;
	struct store_txn txns[STORE_TXN_MAX];
	/* Told of every change that the guest made good: what the devices listen to. */
	void (*changed)(void *context, const char *path);
	void *context;
	char home[24]; /* /local/domain/N/ */
	uint32_t home_len;
	struct store_path scratch;
};

enum store_who {
	STORE_HOST,
	STORE_GUEST,
};

/* Who calls, and in which transaction (NULL: none). */
struct store_call {
	enum store_who who;
	struct store_txn *txn;
};

/* An empty tree of the host's for domain @guest. False: no memory. */
MUST_CHECK bool store_init(struct store *store, struct vm *vm, uint16_t guest,
                           void (*changed)(void *context, const char *path), void *context);
/* Frees all of it. */
void store_destroy(struct store *store);
/* The guest's connection is new: its watches, transactions and undelivered events are dropped. */
void store_drop_connection(struct store *store);

/* Checks @len characters (no NUL) and makes them absolute. EINVAL. */
MUST_CHECK enum store_error store_path_make(const struct store *store, const char *raw_text, size_t len,
                                            struct store_path *path);

/* Errors: those of xenstore.txt; ENOSPC at a quota, ENOMEM without memory. Nothing has changed then. */
MUST_CHECK enum store_error store_read(struct store *store, const struct store_call *call,
                                       const struct store_path *path, const uint8_t **value, uint32_t *len);
/* For its children, child_count of them by name. */
MUST_CHECK enum store_error store_list(struct store *store, const struct store_call *call,
                                       const struct store_path *path, const struct store_node **node);
/* For its perms, perm_count of them. */
MUST_CHECK enum store_error store_get_perms(struct store *store, const struct store_call *call,
                                            const struct store_path *path, const struct store_node **node);
MUST_CHECK enum store_error store_write(struct store *store, const struct store_call *call,
                                        const struct store_path *path, const void *value, uint32_t len);
MUST_CHECK enum store_error store_make(struct store *store, const struct store_call *call,
                                       const struct store_path *path);
MUST_CHECK enum store_error store_remove(struct store *store, const struct store_call *call,
                                         const struct store_path *path);
MUST_CHECK enum store_error store_set_perms(struct store *store, const struct store_call *call,
                                            const struct store_path *path, const struct store_perm *perms,
                                            uint32_t count);

/* The guest's transactions. ENOSPC at the quota. */
MUST_CHECK enum store_error store_txn_start(struct store *store, uint32_t *id);
struct store_txn *store_txn_find(struct store *store, uint32_t id); /* NULL: unknown, or 0 */
void store_txn_abort(struct store *store, struct store_txn *txn);
/*
 * One bounded step. STORE_MORE: call again, with no other call of the guest between. Else it is over and
 * @txn gone.
 */
MUST_CHECK enum store_error store_txn_commit(struct store *store, struct store_txn *txn);

/*
 * The guest's watches. The path may also be one of '@' names, which never fire. EEXIST for the same path
 * and token; unwatch: ENOENT. The first event is due at once.
 */
MUST_CHECK enum store_error store_watch(struct store *store, const char *raw_path, size_t path_len,
                                        const char *raw_token, size_t token_len);
MUST_CHECK enum store_error store_unwatch(struct store *store, const char *raw_path, size_t path_len,
                                          const char *raw_token, size_t token_len);
/* Does the guest watch exactly this path (relative or absolute, NUL-terminated, of ours)? */
bool store_is_watched(struct store *store, const char *path);
bool store_has_events(const struct store *store);
/*
 * The next event, as the payload path NUL token NUL; @room at least STORE_PATH_MAX + STORE_TOKEN_MAX + 2.
 * Returns its length, or 0: none found in this step; store_has_events() says whether to go on.
 */
size_t store_event_take(struct store *store, char *to, size_t room);

#endif /* XEN_STORE_H */

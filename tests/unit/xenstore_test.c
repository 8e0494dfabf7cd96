/*
 * xenstore_test.c - the store's ring as a guest sees it: each message, errors by name, events, broken and
 * new connections.
 */
#include "tests/unit/xen_fake.h"

static struct vm *vm;
static struct fake_reply reply;

static void start(void)
{
	fake_reset();
	vm = host_vm_new(NULL);
	CU_ASSERT_TRUE_FATAL(xenbus_create(vm));
}

static void stop(void)
{
	xenbus_teardown(vm);
	CU_ASSERT_TRUE(host_vm_check_no_leaks(vm));
	host_vm_free(vm);
}

static uint32_t current_tx;

/* Sends @len bytes; the reply's payload ("!NAME" for an error). */
static const char *ask_bytes(uint32_t type, const void *payload, size_t len)
{
	static char error[64];

	if (!fake_store_ask(vm, type, current_tx, payload, len, &reply)) {
		return "!silence";
	}
	CU_ASSERT_EQUAL(reply.header.tx_id, current_tx);
	if (reply.header.type == XS_ERROR) {
		CU_ASSERT_EQUAL(reply.header.len, strlen(reply.payload) + 1);
		(void)snprintf(error, sizeof(error), "!%.40s", reply.payload);
		return error;
	}
	CU_ASSERT_EQUAL(reply.header.type, type);
	return reply.payload;
}

/* A string literal with its NULs, the last one included. */
#define ASK(type, text) ask_bytes(type, text, sizeof(text))

static void test_tree(void)
{
	start();
	CU_ASSERT_STRING_EQUAL(ASK(XS_READ, "domid"), "1");
	CU_ASSERT_EQUAL(reply.header.len, 1);
	CU_ASSERT_STRING_EQUAL(ASK(XS_READ, "none"), "!ENOENT");
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_READ, "domid", 5), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ASK(XS_READ, "domid\0x"), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ASK(XS_READ, "do mid"), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_WRITE, "data/a\0one", 10), "OK");
	CU_ASSERT_EQUAL(reply.header.len, 3);
	CU_ASSERT_STRING_EQUAL(ASK(XS_READ, "data/a"), "one");
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_WRITE, "data/a", 6), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_WRITE, "name\0x", 6), "!EACCES");
	CU_ASSERT_STRING_EQUAL(ASK(XS_MKDIR, "data/b/c"), "OK");
	CU_ASSERT_STRING_EQUAL(ASK(XS_MKDIR, "data/b/c"), "OK");
	CU_ASSERT_STRING_EQUAL(ASK(XS_DIRECTORY, "data"), "a");
	CU_ASSERT_EQUAL(reply.header.len, 4);
	CU_ASSERT_EQUAL(memcmp(reply.payload, "a\0b", 4), 0);
	CU_ASSERT_STRING_EQUAL(ASK(XS_DIRECTORY, "data/a"), "");
	CU_ASSERT_EQUAL(reply.header.len, 0);
	CU_ASSERT_STRING_EQUAL(ASK(XS_DIRECTORY, "data/x"), "!ENOENT");
	CU_ASSERT_STRING_EQUAL(ASK(XS_RM, "data/b"), "OK");
	CU_ASSERT_STRING_EQUAL(ASK(XS_RM, "data/b"), "OK");
	CU_ASSERT_STRING_EQUAL(ASK(XS_RM, "data/b/c"), "!ENOENT");
	CU_ASSERT_STRING_EQUAL(ASK(XS_RM, "/"), "!EINVAL");
	CU_ASSERT_TRUE(host_count_used(vm, SPEC_XENSTORE, 2) >= 5);
	stop();
}

static void test_perms(void)
{
	start();
	CU_ASSERT_STRING_EQUAL(ASK(XS_GET_PERMS, "domid"), "n0");
	CU_ASSERT_EQUAL(reply.header.len, 6);
	CU_ASSERT_EQUAL(memcmp(reply.payload, "n0\0r1", 6), 0);
	CU_ASSERT_STRING_EQUAL(ASK(XS_GET_PERMS, "none"), "!ENOENT");
	CU_ASSERT_STRING_EQUAL(ASK(XS_SET_PERMS, "data\0r1\0b22\0w3"), "OK");
	CU_ASSERT_STRING_EQUAL(ASK(XS_GET_PERMS, "data"), "r1");
	CU_ASSERT_EQUAL(memcmp(reply.payload, "r1\0b22\0w3", 10), 0);
	CU_ASSERT_STRING_EQUAL(ASK(XS_SET_PERMS, "data\0r0"), "!EPERM");
	CU_ASSERT_STRING_EQUAL(ASK(XS_SET_PERMS, "data"), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ASK(XS_SET_PERMS, "data\0x1"), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ASK(XS_SET_PERMS, "data\0r"), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ASK(XS_SET_PERMS, "data\0"), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ASK(XS_SET_PERMS, "data\0r1x"), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ASK(XS_SET_PERMS, "data\0r99999"), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_SET_PERMS, "data\0r1", 7), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ASK(XS_SET_PERMS, "data\0r1\0r2\0r3\0r4\0r5\0r6\0r7"), "!ENOSPC");
	CU_ASSERT_STRING_EQUAL(ASK(XS_SET_PERMS, "domid\0r1"), "!EACCES");
	stop();
}

static void test_refused(void)
{
	static const uint32_t privileged[] = {
	        XS_CONTROL, XS_INTRODUCE, XS_RELEASE, XS_IS_DOMAIN_INTRODUCED, XS_RESUME, XS_SET_TARGET, 23,
	        24,         25,           26,
	};

	start();
	for (uint32_t i = 0; i < ARRAY_COUNT(privileged); i++) {
		CU_ASSERT_STRING_EQUAL(ASK(privileged[i], "1"), "!EACCES");
	}
	CU_ASSERT_STRING_EQUAL(ASK(20, "1"), "!ENOSYS");
	CU_ASSERT_STRING_EQUAL(ASK(27, "1"), "!ENOSYS");
	CU_ASSERT_STRING_EQUAL(ASK(0xFFFFFFFF, "1"), "!ENOSYS");
	CU_ASSERT_STRING_EQUAL(ASK(XS_ERROR, "1"), "!ENOSYS");
	CU_ASSERT_EQUAL(host_count_refused(vm, SPEC_XENSTORE, SPEC_UNKNOWN), 3);
	CU_ASSERT_EQUAL(host_count_refused(vm, SPEC_XENSTORE, 0), 1);
	CU_ASSERT_STRING_EQUAL(ASK(XS_GET_DOMAIN_PATH, "12"), "/local/domain/12");
	CU_ASSERT_EQUAL(reply.header.len, 17);
	CU_ASSERT_STRING_EQUAL(ASK(XS_GET_DOMAIN_PATH, ""), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ASK(XS_GET_DOMAIN_PATH, "-1"), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ASK(XS_GET_DOMAIN_PATH, "32752"), "!EINVAL");
	stop();
}

/* Numbers of a directory too long for one reply. */
static void test_directory_part(void)
{
	char path[64], all[64 * 100];
	char generation[32];
	size_t have = 0;
	uint32_t parts = 0, offset = 0;
	bool ended = false;

	start();
	for (uint32_t i = 0; i < 100; i++) {
		(void)snprintf(path, sizeof(path), "data/a-name-that-is-forty-characters-long-%06u", i);
		CU_ASSERT_STRING_EQUAL(fake_store_write(vm, path, "%s", ""), "OK");
	}
	CU_ASSERT_STRING_EQUAL(ASK(XS_DIRECTORY, "data"), "!E2BIG");
	while (!ended && parts < 10) {
		char request[32] = "data";
		size_t head;

		(void)snprintf(request + 5, sizeof(request) - 5, "%u", offset);
		(void)ask_bytes(XS_DIRECTORY_PART, request, 5 + strlen(request + 5) + 1);
		CU_ASSERT_EQUAL_FATAL(reply.header.type, XS_DIRECTORY_PART);
		head = strlen(reply.payload) + 1;
		CU_ASSERT_TRUE(parts == 0 || strcmp(generation, reply.payload) == 0);
		(void)snprintf(generation, sizeof(generation), "%.30s", reply.payload);
		ended = reply.payload[reply.header.len - 1] == 0 &&
		        (reply.header.len == head + 1 || reply.payload[reply.header.len - 2] == 0);
		memcpy(all + have, reply.payload + head, reply.header.len - head - ended);
		have += reply.header.len - head - ended;
		offset = (uint32_t)have;
		parts++;
	}
	CU_ASSERT_EQUAL(parts, 2);
	CU_ASSERT_EQUAL(have, 100 * strlen("a-name-that-is-forty-characters-long-000000") + 100);
	CU_ASSERT_STRING_EQUAL(all + have - 7, "000099");
	CU_ASSERT_STRING_EQUAL(ASK(XS_DIRECTORY_PART, "data\0"
	                                              "999999"),
	                       generation);
	CU_ASSERT_EQUAL(reply.header.len, strlen(generation) + 2);
	CU_ASSERT_STRING_EQUAL(ASK(XS_DIRECTORY_PART, "data\0x"), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ASK(XS_DIRECTORY_PART, "data"), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ASK(XS_DIRECTORY_PART, "nothing\0"
	                                              "0"),
	                       "!ENOENT");
	stop();
}

static void test_transactions(void)
{
	start();
	CU_ASSERT_STRING_EQUAL(ASK(XS_TRANSACTION_START, ""), "1");
	current_tx = 1;
	CU_ASSERT_STRING_EQUAL(ASK(XS_TRANSACTION_START, ""), "!EBUSY");
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_WRITE, "data/t\0v", 8), "OK");
	CU_ASSERT_STRING_EQUAL(ASK(XS_READ, "data/t"), "v");
	current_tx = 0;
	CU_ASSERT_STRING_EQUAL(ASK(XS_READ, "data/t"), "!ENOENT");
	current_tx = 1;
	CU_ASSERT_STRING_EQUAL(ASK(XS_TRANSACTION_END, "X"), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_TRANSACTION_END, "T", 1), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ASK(XS_TRANSACTION_END, "T"), "OK");
	CU_ASSERT_STRING_EQUAL(ASK(XS_TRANSACTION_END, "T"), "!ENOENT");
	CU_ASSERT_STRING_EQUAL(ASK(XS_READ, "data/t"), "!ENOENT");
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_WRITE, "data/t\0v", 8), "!ENOENT");
	CU_ASSERT_STRING_EQUAL(ASK(XS_SET_PERMS, "data\0r1"), "!ENOENT");
	CU_ASSERT_STRING_EQUAL(ASK(XS_DIRECTORY_PART, "data\0"
	                                              "0"),
	                       "!ENOENT");
	current_tx = 0;
	CU_ASSERT_STRING_EQUAL(ASK(XS_READ, "data/t"), "v");
	CU_ASSERT_STRING_EQUAL(ASK(XS_TRANSACTION_START, ""), "2");
	current_tx = 2;
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_WRITE, "data/t\0w", 8), "OK");
	current_tx = 0;
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_WRITE, "data/t\0x", 8), "OK");
	current_tx = 2;
	CU_ASSERT_STRING_EQUAL(ASK(XS_TRANSACTION_END, "T"), "!EAGAIN");
	current_tx = 0;
	CU_ASSERT_STRING_EQUAL(ASK(XS_TRANSACTION_START, ""), "3");
	current_tx = 3;
	CU_ASSERT_STRING_EQUAL(ASK(XS_TRANSACTION_END, "F"), "OK");
	current_tx = 0;
	stop();
}

/* ------------------------------------------------------------------ watches */

static void expect_event(const char *path, const char *token)
{
	CU_ASSERT_TRUE_FATAL(fake_store_next(vm, &reply));
	CU_ASSERT_EQUAL(reply.header.type, XS_WATCH_EVENT);
	CU_ASSERT_EQUAL(reply.header.req_id, 0);
	CU_ASSERT_EQUAL(reply.header.tx_id, 0);
	CU_ASSERT_STRING_EQUAL(reply.payload, path);
	CU_ASSERT_STRING_EQUAL(reply.payload + strlen(path) + 1, token);
	CU_ASSERT_EQUAL(reply.header.len, strlen(path) + strlen(token) + 2);
}

static void test_watches(void)
{
	start();
	CU_ASSERT_STRING_EQUAL(ASK(XS_WATCH, "data\0one"), "OK");
	expect_event("data", "one");
	CU_ASSERT_STRING_EQUAL(ASK(XS_WATCH, "data\0one"), "!EEXIST");
	CU_ASSERT_STRING_EQUAL(ASK(XS_WATCH, "data"), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ASK(XS_WATCH, "data\0one\0"
	                                     "1"),
	                       "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_WRITE, "data/t\0v", 8), "OK");
	expect_event("data/t", "one");
	/* The transaction's reply comes before its events. */
	CU_ASSERT_STRING_EQUAL(ASK(XS_TRANSACTION_START, ""), "1");
	current_tx = 1;
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_WRITE, "data/x\0v", 8), "OK");
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_WRITE, "data/y\0v", 8), "OK");
	CU_ASSERT_STRING_EQUAL(ASK(XS_TRANSACTION_END, "T"), "OK");
	current_tx = 0;
	expect_event("data/x", "one");
	expect_event("data/y", "one");
	CU_ASSERT_STRING_EQUAL(ASK(XS_UNWATCH, "data\0one"), "OK");
	CU_ASSERT_STRING_EQUAL(ASK(XS_UNWATCH, "data\0one"), "!ENOENT");
	CU_ASSERT_STRING_EQUAL(ASK(XS_UNWATCH, "data"), "!EINVAL");
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_WRITE, "data/t\0v", 8), "OK");
	CU_ASSERT_FALSE(fake_store_next(vm, &reply));
	CU_ASSERT_STRING_EQUAL(ASK(XS_WATCH, "data\0one"), "OK");
	expect_event("data", "one");
	CU_ASSERT_STRING_EQUAL(ASK(XS_TRANSACTION_START, ""), "2");
	CU_ASSERT_STRING_EQUAL(ASK(XS_RESET_WATCHES, ""), "OK");
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_WRITE, "data/t\0v", 8), "OK");
	CU_ASSERT_FALSE(fake_store_next(vm, &reply));
	current_tx = 2;
	CU_ASSERT_STRING_EQUAL(ASK(XS_TRANSACTION_END, "T"), "!ENOENT");
	current_tx = 0;
	stop();
}

/* A guest that does not read its ring: requests wait, nothing is lost, the order stays. */
static void test_full_ring(void)
{
	static char big[2000];
	char request[2100] = "data/big";
	uint32_t sent = 0;

	start();
	memset(big, 'b', sizeof(big));
	memcpy(request + 9, big, sizeof(big));
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_WRITE, request, 9 + sizeof(big)), "OK");
	CU_ASSERT_STRING_EQUAL(ASK(XS_WATCH, "data\0w"), "OK");
	expect_event("data", "w");
	while (sent < 100 && fake_store_send(vm, XS_READ, 0, "data/big", 9)) {
		sent++;
	}
	/* One is being answered; about 40 fit into the ring. */
	CU_ASSERT_TRUE(sent > 30 && sent < 60);
	for (uint32_t i = 0; i < sent; i++) {
		CU_ASSERT_TRUE_FATAL(fake_store_next(vm, &reply));
		CU_ASSERT_EQUAL(reply.header.type, XS_READ);
		CU_ASSERT_EQUAL(reply.header.len, sizeof(big));
		CU_ASSERT_EQUAL(memcmp(reply.payload, big, sizeof(big)), 0);
	}
	stop();
}

/* ------------------------------------------------------------------ broken and new connections */

static void test_reconnect(void)
{
	volatile struct xen_xs_ring *ring;

	start();
	ring = fake_store_ring(vm);
	CU_ASSERT_EQUAL(ring->server_features, 3);
	CU_ASSERT_STRING_EQUAL(ASK(XS_WATCH, "data\0w"), "OK");
	CU_ASSERT_STRING_EQUAL(ASK(XS_TRANSACTION_START, ""), "1");
	(void)fake_store_put(vm, "half a header", 5);
	ring->connection = XENSTORE_RECONNECT;
	fake_guest_send(fake_store_port);
	(void)host_run_work(vm);
	CU_ASSERT_EQUAL(ring->connection, XENSTORE_CONNECTED);
	CU_ASSERT_EQUAL(ring->req_prod, 0);
	CU_ASSERT_EQUAL(ring->req_cons, 0);
	CU_ASSERT_EQUAL(ring->rsp_prod, 0);
	CU_ASSERT_EQUAL(ring->rsp_cons, 0);
	CU_ASSERT_STRING_EQUAL(ask_bytes(XS_WRITE, "data/t\0v", 8), "OK");
	CU_ASSERT_FALSE(fake_store_next(vm, &reply)); /* no watch any more */
	CU_ASSERT_EQUAL(ring->error, XENSTORE_ERROR_NONE);
	stop();
}

static void expect_broken(uint32_t error, uint32_t told_before)
{
	volatile struct xen_xs_ring *ring = fake_store_ring(vm);

	fake_guest_send(fake_store_port);
	(void)host_run_work(vm);
	CU_ASSERT_EQUAL(ring->error, error);
	CU_ASSERT_TRUE(fake_ports[fake_store_port].told > told_before);
	CU_ASSERT_FALSE(host_vm_killed(vm));
	/* Dead until the guest asks for a new one. */
	ring->rsp_cons = ring->rsp_prod;
	CU_ASSERT_STRING_EQUAL(ASK(XS_READ, "domid"), "!silence");
	ring->connection = XENSTORE_RECONNECT;
	fake_guest_send(fake_store_port);
	(void)host_run_work(vm);
	CU_ASSERT_EQUAL(ring->error, XENSTORE_ERROR_NONE);
	CU_ASSERT_STRING_EQUAL(ASK(XS_READ, "domid"), "1");
}

static uint32_t told(void)
{
	return fake_ports[fake_store_port].told;
}

static void test_broken(void)
{
	struct xen_xs_message header = {XS_READ, 1, 0, XENSTORE_PAYLOAD_MAX + 1};
	uint32_t before;

	start();
	fake_store_ring(vm)->req_prod += 1025;
	expect_broken(XENSTORE_ERROR_RINGIDX, told());
	before = told();
	(void)fake_store_put(vm, &header, sizeof(header));
	expect_broken(XENSTORE_ERROR_PROTO, before);
	header.len = 0xFFFFFFFF;
	before = told();
	(void)fake_store_put(vm, &header, sizeof(header));
	expect_broken(XENSTORE_ERROR_PROTO, before);
	(void)fake_store_send(vm, XS_READ, 0, "domid", 6);
	fake_store_ring(vm)->rsp_cons = fake_store_ring(vm)->rsp_prod + 1;
	before = told();
	(void)fake_store_send(vm, XS_READ, 0, "domid", 6);
	expect_broken(XENSTORE_ERROR_RINGIDX, before);
	CU_ASSERT_TRUE(host_log_has(vm, "xenstore"));
	stop();
}

/* A message in pieces, a byte at a time, is one fetch of each byte. */
static void test_pieces(void)
{
	struct xen_xs_message header = {XS_READ, 9, 0, 6};
	uint64_t at;

	start();
	at = vm_special_page(vm, VM_SPECIAL_XENSTORE).v;
	host_fetch_watch(vm, at, XENSTORE_RING_SIZE);
	for (uint32_t i = 0; i < sizeof(header); i++) {
		(void)fake_store_put(vm, (const uint8_t *)&header + i, 1);
	}
	for (uint32_t i = 0; i < 6; i++) {
		(void)fake_store_put(vm, &"domid"[i], 1);
	}
	CU_ASSERT_EQUAL(host_fetch_max(), 1);
	host_fetch_unwatch();
	CU_ASSERT_TRUE(fake_store_next(vm, &reply));
	CU_ASSERT_EQUAL(reply.header.req_id, 9);
	CU_ASSERT_STRING_EQUAL(reply.payload, "1");
	stop();
}

/* The indexes that are ours are not believed. */
static void test_own_indexes(void)
{
	volatile struct xen_xs_ring *ring;

	start();
	ring = fake_store_ring(vm);
	CU_ASSERT_STRING_EQUAL(ASK(XS_READ, "domid"), "1");
	ring->req_cons += 77;
	(void)host_run_work(vm);
	ring->req_cons -= 77;
	CU_ASSERT_STRING_EQUAL(ASK(XS_READ, "domid"), "1");
	CU_ASSERT_EQUAL(ring->error, 0);
	stop();
}

UNIT_MAIN("xenstore", UNIT_TEST(test_tree), UNIT_TEST(test_perms), UNIT_TEST(test_refused),
          UNIT_TEST(test_directory_part), UNIT_TEST(test_transactions), UNIT_TEST(test_watches),
          UNIT_TEST(test_full_ring), UNIT_TEST(test_reconnect), UNIT_TEST(test_broken),
          UNIT_TEST(test_pieces), UNIT_TEST(test_own_indexes))

/*
 * xencons_test.c - the PV console's ring: output, input, hostile indexes, a guest that has no use for it.
 */
#include "tests/unit/xen_fake.h"

static struct vm *vm;
static struct console console;
static char lines[8192];

static void sink_line(void *context, const char *guest, const char *text, size_t len, bool whole)
{
	size_t have = strlen(lines);

	(void)context;
	(void)guest;
	(void)whole;
	if (have + len + 2 < sizeof(lines)) {
		memcpy(lines + have, text, len);
		memcpy(lines + have + len, "|", 2);
	}
}

static const struct console_sink sink = {.line = sink_line};
static volatile struct xen_console_ring *ring;

static void start(bool has_console)
{
	struct host_vm_config config = {.vm.console = has_console ? &console : NULL};

	fake_reset();
	lines[0] = 0;
	console_init(&console, "guest", &sink);
	vm = host_vm_new(&config);
	CU_ASSERT_TRUE_FATAL(xenbus_create(vm));
	ring = host_vm_bytes(vm, vm_special_page(vm, VM_SPECIAL_CONSOLE).v, PAGE_BYTES);
}

static void stop(void)
{
	xenbus_teardown(vm);
	CU_ASSERT_PTR_NULL(console.input_ready);
	CU_ASSERT_TRUE(host_vm_check_no_leaks(vm));
	host_vm_free(vm);
}

static void kick(void)
{
	fake_guest_send(fake_console_port);
	(void)host_run_work(vm);
}

static void print(const char *text)
{
	uint32_t prod = ring->out_prod;

	while (*text != 0) {
		ring->out[prod++ % XENCONS_OUT_BYTES] = (uint8_t)*text++;
	}
	ring->out_prod = prod;
	kick();
}

/* What came in, taken out. */
static const char *keys(void)
{
	static char text[XENCONS_IN_BYTES + 1];
	uint32_t len = 0;

	while (ring->in_cons != ring->in_prod && len < XENCONS_IN_BYTES) {
		text[len++] = (char)ring->in[ring->in_cons % XENCONS_IN_BYTES];
		ring->in_cons++;
	}
	text[len] = 0;
	kick();
	return text;
}

static void test_nodes(void)
{
	char number[16];

	start(true);
	CU_ASSERT_NOT_EQUAL(fake_console_port, 0);
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, "console/type"), "xenconsoled");
	(void)snprintf(number, sizeof(number), "%u", fake_console_port);
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, "console/port"), number);
	(void)snprintf(number, sizeof(number), "%u",
	               (unsigned int)(vm_special_page(vm, VM_SPECIAL_CONSOLE).v / PAGE_BYTES));
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, "console/ring-ref"), number);
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, "console/limit"), "1048576");
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, "/local/domain/0/backend/console/1/0/protocol"), "vt100");
	stop();
	start(false);
	CU_ASSERT_EQUAL(fake_console_port, 0);
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, "console"), "!ENOENT");
	stop();
}

static void test_output(void)
{
	uint32_t told;

	start(true);
	told = fake_ports[fake_console_port].told;
	print("hello\nworld\n");
	CU_ASSERT_STRING_EQUAL(lines, "hello|world|");
	CU_ASSERT_EQUAL(ring->out_cons, ring->out_prod);
	CU_ASSERT_TRUE(fake_ports[fake_console_port].told > told);
	told = fake_ports[fake_console_port].told;
	kick();
	CU_ASSERT_EQUAL(fake_ports[fake_console_port].told, told);
	/* Over the ring's end many times; nothing stays. */
	for (uint32_t i = 0; i < 300; i++) {
		print("a line of the console's that is sixty characters in length\n");
		CU_ASSERT_EQUAL(ring->out_cons, ring->out_prod);
	}
	CU_ASSERT_EQUAL(console.out_bytes, 12 + 300 * 59);
	stop();
}

static void test_input(void)
{
	char text[201];

	start(true);
	/* A guest that has not used the ring leaves the keys to others. */
	(void)console_input(&console, "uart", 4);
	kick();
	CU_ASSERT_EQUAL(ring->in_prod, 0);
	print("$ ");
	CU_ASSERT_STRING_EQUAL(keys(), "uart");
	CU_ASSERT_EQUAL(console_input(&console, "ls\n", 3), 3);
	(void)host_run_work(vm);
	CU_ASSERT_STRING_EQUAL(keys(), "ls\n");
	/* More than the ring holds: the rest waits in the console until there is room. */
	memset(text, 'k', 200);
	text[200] = 0;
	for (uint32_t i = 0; i < 6; i++) {
		CU_ASSERT_EQUAL(console_input(&console, text, 200), 200);
		(void)host_run_work(vm);
	}
	CU_ASSERT_EQUAL(ring->in_prod - ring->in_cons, XENCONS_IN_BYTES);
	CU_ASSERT_EQUAL(strlen(keys()), XENCONS_IN_BYTES);
	CU_ASSERT_EQUAL(strlen(keys()), 1200 - XENCONS_IN_BYTES);
	stop();
}

static void test_hostile(void)
{
	start(true);
	print("one\n");
	ring->out_prod += 1000000;
	kick();
	CU_ASSERT_EQUAL(ring->out_cons, ring->out_prod);
	CU_ASSERT_STRING_EQUAL(lines, "one|");
	print("two\n");
	CU_ASSERT_STRING_EQUAL(lines, "one|two|");
	/* A guest that clears the page (another kernel starts). */
	ring->out_prod = 0;
	ring->out_cons = 0;
	kick();
	print("three\n");
	CU_ASSERT_STRING_EQUAL(lines, "one|two|three|");
	CU_ASSERT_EQUAL(console_input(&console, "x", 1), 1);
	ring->in_cons = 5000;
	(void)host_run_work(vm);
	CU_ASSERT_EQUAL(ring->in_prod, 5001);
	CU_ASSERT_STRING_EQUAL(keys(), "x");
	CU_ASSERT_FALSE(host_vm_killed(vm));
	stop();
}

static void test_fetch_once(void)
{
	start(true);
	host_fetch_watch(vm, vm_special_page(vm, VM_SPECIAL_CONSOLE).v, 3072);
	print("once\n");
	CU_ASSERT_EQUAL(host_fetch_max(), 1);
	host_fetch_unwatch();
	stop();
}

UNIT_MAIN("xencons", UNIT_TEST(test_nodes), UNIT_TEST(test_output), UNIT_TEST(test_input),
          UNIT_TEST(test_hostile), UNIT_TEST(test_fetch_once))

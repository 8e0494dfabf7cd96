/*
 * xenbus_test.c - the bus: the tree that a guest finds, the states of its devices in the orders of Linux,
 * GRUB and a kexec, shutdown by the store, reset.
 */
#include "tests/unit/xen_fake.h"

static struct vm *vm;
static struct block block;
static uint8_t medium[64 * 512];
static struct ether_switch sw;
static struct switch_port ports[2];
static struct lifecycle lifecycle;

static void make(void)
{
	struct host_vm_config config = {
	        .vm =
	                {
	                        .name = "web",
	                        .id = 9,
	                        .vcpu_count = 3,
	                        .memory_bytes = 2u << 20,
	                        .uuid = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 1, 2, 3, 4, 5, 6, 7,
	                                 8},
	                        .disk_count = 3,
	                        .nic_count = 2,
	                        .lifecycle = &lifecycle,
	                },
	};

	fake_reset();
	block_ram_open(&block, medium, sizeof(medium), false, "serial");
	switch_init(&sw, "lan");
	for (uint32_t i = 0; i < 2; i++) {
		CU_ASSERT_TRUE(switch_add_port(&sw, &ports[i]));
		config.vm.nics[i].port = &ports[i];
	}
	for (uint32_t i = 0; i < 3; i++) {
		config.vm.disks[i].block = &block;
	}
	lifecycle_init(&lifecycle);
	vm = host_vm_new(&config);
}

static void start(void)
{
	make();
	CU_ASSERT_TRUE_FATAL(xenbus_create(vm));
}

static void stop(void)
{
	xenbus_teardown(vm);
	CU_ASSERT_EQUAL(fake_holds(), 0);
	CU_ASSERT_FALSE(lifecycle_ask(&lifecycle, LIFECYCLE_POWEROFF));
	CU_ASSERT_TRUE(host_vm_check_no_leaks(vm));
	host_vm_free(vm);
}

static void check(const char *path, const char *value)
{
	CU_ASSERT_STRING_EQUAL(fake_store_read(vm, path), value);
}

static void check_perms(const char *path, const char *first, const char *second)
{
	static struct fake_reply reply;

	CU_ASSERT_TRUE(fake_store_ask(vm, XS_GET_PERMS, 0, path, strlen(path) + 1, &reply));
	CU_ASSERT_STRING_EQUAL(reply.payload, first);
	CU_ASSERT_STRING_EQUAL(reply.payload + strlen(first) + 1, second);
}

static void test_tree(void)
{
	char number[16];

	start();
	check("name", "web");
	check("domid", "9");
	check("vm", "/vm/12345678-9abc-def0-0102-030405060708");
	check("/vm/12345678-9abc-def0-0102-030405060708/name", "web");
	check("cpu/0/availability", "online");
	check("cpu/2/availability", "online");
	check("cpu/3/availability", "!ENOENT");
	check("memory/static-max", "2048");
	check("memory/target", "2048");
	check("control/platform-feature-xs_reset_watches", "1");
	check("control/shutdown", "");
	(void)snprintf(number, sizeof(number), "%u", fake_store_port);
	check("store/port", number);
	check("device/vbd/51712/backend", "/local/domain/0/backend/vbd/9/51712");
	check("device/vbd/51728/virtual-device", "51728");
	check("device/vbd/51744/state", "1");
	check("device/vif/1/handle", "1");
	check("device/vif/1/backend-id", "0");
	check("/local/domain/0/backend/vbd/9/51744/dev", "xvdc");
	check("/local/domain/0/backend/vbd/9/51712/frontend", "/local/domain/9/device/vbd/51712");
	check("/local/domain/0/backend/vif/9/0/state", "2");
	check("/local/domain/0/backend/vbd/9/51712/state", "2");
	check("/local/domain/0/backend/vbd/9/51712/online", "1");
	check_perms("device", "n0", "r9");
	check_perms("device/vbd/51712", "n9", "r0");
	check_perms("/local/domain/0/backend/vbd/9/51712/state", "n0", "r9");
	check_perms("control/shutdown", "n9", "");
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, "/local/domain/0/backend/vbd/9/51712/state", "4"),
	                       "EACCES");
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, "memory/target", "4"), "EACCES");
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, "data/mine", "4"), "OK");
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, "control/feature-poweroff", "1"), "OK");
	stop();
}

/* ------------------------------------------------------------------ states */

#define FRONT "device/vbd/51712/"
#define BACK "/local/domain/0/backend/vbd/9/51712/"

static void front(const char *state)
{
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "state", "%s", state), "OK");
}

static void give_ring(const char *protocol)
{
	(void)fake_ring(vm, 16);
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "ring-ref", "16"), "OK");
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "event-channel", "%u", fake_guest_port()), "OK");
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "protocol", "%s", protocol), "OK");
}

/* GRUB: connect, close, and leave it at 1 for Linux; Linux: connect, close at shutdown. */
static void test_grub_to_linux(void)
{
	start();
	check(BACK "state", "2");
	give_ring("x86_32-abi");
	front("3");
	check(BACK "state", "4");
	CU_ASSERT_EQUAL(fake_holds(), 1);
	front("6");
	check(BACK "state", "6");
	CU_ASSERT_EQUAL(fake_holds(), 0);
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, FRONT "ring-ref", "%s", ""), "OK");
	front("1");
	check(BACK "state", "2");
	give_ring("x86_64-abi");
	front("3");
	check(BACK "state", "4");
	front("4");
	check(BACK "state", "4");
	front("5");
	check(BACK "state", "5");
	front("6");
	check(BACK "state", "6");
	front("6");
	check(BACK "state", "6");
	stop();
}

/* A crashed kernel left it connected; the next one takes it through 5, 6, 1, or starts at once. */
static void test_kexec(void)
{
	start();
	give_ring("x86_64-abi");
	front("3");
	front("4");
	front("5");
	check(BACK "state", "5");
	front("6");
	check(BACK "state", "6");
	front("1");
	check(BACK "state", "2");
	give_ring("x86_64-abi");
	front("4");
	check(BACK "state", "4");
	front("1");
	check(BACK "state", "2");
	CU_ASSERT_EQUAL(fake_holds(), 0);
	give_ring("x86_64-abi");
	front("4");
	check(BACK "state", "4");
	stop();
}

/* States that make no sense, and a frontend that is deleted. */
static void test_odd_states(void)
{
	start();
	front("7");
	front("8");
	front("77");
	front("99999999999");
	check(BACK "state", "6"); /* no number: as if it were gone */
	front("1");
	check(BACK "state", "2");
	front("-3");
	check(BACK "state", "6");
	front("1");
	give_ring("x86_64-abi");
	front("3");
	check(BACK "state", "4");
	{
		static struct fake_reply reply;

		CU_ASSERT_TRUE(fake_store_ask(vm, XS_RM, 0, "device/vbd/51712", 17, &reply));
		CU_ASSERT_STRING_EQUAL(reply.payload, "OK");
	}
	check(BACK "state", "6");
	CU_ASSERT_EQUAL(fake_holds(), 0);
	check(BACK "online", "1");
	stop();
}

/* A number with its NUL is a number. */
static void test_numbers(void)
{
	static struct fake_reply reply;
	static const char path[] = FRONT "state";
	char payload[64];

	start();
	give_ring("x86_64-abi");
	memcpy(payload, path, sizeof(path));
	memcpy(payload + sizeof(path), "3", 2);
	CU_ASSERT_TRUE(fake_store_ask(vm, XS_WRITE, 0, payload, sizeof(path) + 2, &reply));
	check(BACK "state", "4");
	stop();
}

/* As Linux does it: watch, transaction, and the event that follows the backend's answer. */
static void test_events(void)
{
	static struct fake_reply reply;
	static const char watch[] = BACK "state\0token";
	uint32_t changes = 0;

	start();
	CU_ASSERT_TRUE(fake_store_ask(vm, XS_WATCH, 0, watch, sizeof(watch), &reply));
	CU_ASSERT_TRUE(fake_store_next(vm, &reply));
	CU_ASSERT_EQUAL(reply.header.type, XS_WATCH_EVENT);
	give_ring("x86_64-abi");
	front("3");
	while (fake_store_next(vm, &reply)) {
		CU_ASSERT_EQUAL(reply.header.type, XS_WATCH_EVENT);
		CU_ASSERT_STRING_EQUAL(reply.payload, BACK "state");
		changes++;
	}
	CU_ASSERT_EQUAL(changes, 1);
	stop();
}

/* ------------------------------------------------------------------ shutdown, reset */

static void test_shutdown(void)
{
	static struct fake_reply reply;
	static const char watch[] = "control/shutdown\0t";

	start();
	CU_ASSERT_FALSE(lifecycle_ask(&lifecycle, LIFECYCLE_POWEROFF));
	check("control/shutdown", "");
	CU_ASSERT_TRUE(fake_store_ask(vm, XS_WATCH, 0, watch, sizeof(watch), &reply));
	CU_ASSERT_TRUE(fake_store_next(vm, &reply));
	CU_ASSERT_TRUE(lifecycle_ask(&lifecycle, LIFECYCLE_POWEROFF));
	(void)host_run_work(vm);
	CU_ASSERT_TRUE(fake_store_next(vm, &reply));
	CU_ASSERT_EQUAL(reply.header.type, XS_WATCH_EVENT);
	CU_ASSERT_STRING_EQUAL(reply.payload, "control/shutdown");
	check("control/shutdown", "poweroff");
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, "control/sysrq", "%s", ""), "OK");
	CU_ASSERT_EQUAL(lifecycle.answer_count, 0);
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, "control/shutdown", "%s", ""), "OK");
	CU_ASSERT_EQUAL(lifecycle.answer_count, 1);
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, "control/shutdown", "%s", ""), "OK");
	CU_ASSERT_EQUAL(lifecycle.answer_count, 1);
	CU_ASSERT_TRUE(lifecycle_ask(&lifecycle, LIFECYCLE_REBOOT));
	check("control/shutdown", "reboot");
	stop();
}

static void test_reset(void)
{
	start();
	give_ring("x86_64-abi");
	front("3");
	CU_ASSERT_STRING_EQUAL(fake_store_write(vm, "data/mine", "4"), "OK");
	CU_ASSERT_TRUE(xenbus_reset(vm));
	CU_ASSERT_EQUAL(fake_holds(), 0);
	check("data/mine", "!ENOENT");
	check(BACK "state", "2");
	check(FRONT "state", "1");
	give_ring("x86_64-abi");
	front("3");
	check(BACK "state", "4");
	/* Torn down by the personality first, as it does around the face's own reset. */
	xenbus_teardown(vm);
	xenbus_teardown(vm);
	CU_ASSERT_TRUE(xenbus_reset(vm));
	check(BACK "state", "2");
	stop();
}

static void test_no_ports(void)
{
	static struct console console;
	struct host_vm_config config = {.vm.console = &console};

	for (uint32_t limit = 1; limit < 3; limit++) {
		fake_reset();
		console_init(&console, "guest", NULL);
		fake_port_limit = limit;
		vm = host_vm_new(&config);
		CU_ASSERT_FALSE(xenbus_create(vm));
		CU_ASSERT_TRUE(host_vm_check_no_leaks(vm));
		host_vm_free(vm);
	}
}

/* ------------------------------------------------------------------ no memory */

/* Whichever allocation fails: no bus, and nothing left behind, or one whose backends are all in state 2. */
static void test_create_without_memory(void)
{
	bool fired = true;

	for (uint64_t nth = 1; fired; nth++) {
		make();
		host_fail_alloc_nth(vm, nth);
		if (xenbus_create(vm)) {
			fired = host_fail_alloc_fired(vm);
			host_fail_alloc_never(vm);
			check(BACK "state", "2");
			check("/local/domain/0/backend/vif/9/1/state", "2");
			xenbus_teardown(vm);
		}
		host_fail_alloc_never(vm);
		CU_ASSERT_TRUE_FATAL(host_vm_check_no_leaks(vm));
		host_vm_free(vm);
	}
}

/* The guest asks again for what is refused; the bus itself gets on with what it owes. */
static void front_insists(const char *state, const char *answer)
{
	const char *said = "";

	for (uint32_t i = 0; i < 3 && strcmp(said, "OK") != 0; i++) {
		said = fake_store_write(vm, FRONT "state", "%s", state);
	}
	CU_ASSERT_STRING_EQUAL(said, "OK");
	host_time_advance_ns(vm, 200000000);
	(void)host_run_work(vm);
	host_fail_alloc_never(vm);
	check(BACK "state", answer);
}

static void test_behind_for_want_of_memory(void)
{
	bool fired = true;

	for (uint64_t nth = 1; fired; nth++) {
		start();
		host_fail_alloc_nth(vm, nth);
		front_insists("6", "6");
		fired = host_fail_alloc_fired(vm);
		host_fail_alloc_nth(vm, nth);
		front_insists("1", "2");
		fired = fired || host_fail_alloc_fired(vm);
		stop();
	}
}

UNIT_MAIN("xenbus", UNIT_TEST(test_create_without_memory), UNIT_TEST(test_behind_for_want_of_memory), UNIT_TEST(test_tree), UNIT_TEST(test_grub_to_linux), UNIT_TEST(test_kexec),
          UNIT_TEST(test_odd_states), UNIT_TEST(test_numbers), UNIT_TEST(test_events),
          UNIT_TEST(test_shutdown), UNIT_TEST(test_reset), UNIT_TEST(test_no_ports))

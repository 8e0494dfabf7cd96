/*
 * hostile_xen.c - Xen's hypercalls, pages, ports, timers, grants and ends. Handles are linear
 * addresses, so arguments lie on the stack.
 */
#include "guest-drivers/xen/xen.h"
#include "tests/guest/hostile.h"

#define PLAY_GFN (22u << 8) /* 4 MiB of RAM that nothing else uses */
#define PLAY_PAGES 1024u
#define SEND_PORTS_MAX 4096u

static struct xen_guest xen;
static volatile uint32_t stop;
static volatile uint64_t done_count;

static int64_t call(uint64_t number, uint64_t a, uint64_t b, uint64_t c)
{
	const uint64_t args[5] = {a, b, c, 0, 0};

	return machine->ops->hypercall_xen(NULL, (uint32_t)number, args);
}

static int64_t call_with(uint64_t number, uint64_t op, void *argument)
{
	return call(number, op, (uintptr_t)argument, 0);
}

static bool start(void)
{
	claim(xen_start(&xen, machine) == 0, "Xen is there");
	return xen.shared != NULL;
}

static int64_t reserve(uint32_t command, const uint64_t *gfns, uint64_t count, uint32_t order, uint16_t domid)
{
	struct xen_reservation64 r = {
		.extent_start = (uintptr_t)gfns, .nr_extents = count, .extent_order = order, .domid = domid};

	return call_with(__HYPERVISOR_memory_op, command, &r);
}

/* ---------------------------------------------------------------- calls */

/* Ends or stops this guest, or takes its memory: they have cases of their own. */
static bool is_spared(uint64_t number, uint64_t op, bool wild_pointer)
{
	return (number == __HYPERVISOR_sched_op && (op == SCHEDOP_block || op == SCHEDOP_shutdown || !wild_pointer)) ||
	       (number == __HYPERVISOR_vcpu_op && op == VCPUOP_down) || number == __HYPERVISOR_multicall || /* its first argument is the list */
	       (number == __HYPERVISOR_memory_op && !wild_pointer);
}

static uint64_t scratch[64];

static uint64_t pointer(bool wild_pointer)
{
	if (wild_pointer) {
		return wild((uint32_t)random_number());
	}
	for (size_t i = 0; i < ARRAY_COUNT(scratch); i++) {
		scratch[i] = random_wild();
	}
	return (uintptr_t)scratch;
}

static void calls(void)
{
	uint64_t count = 0;

	for (uint64_t number = 0; number < 64; number++) {
		for (uint64_t i = 0; i < 160; i++) {
			uint64_t op = i < 96 ? i % 48 : random_wild();
			bool wild_pointer = (random_number() & 0x100) != 0;

			if (!is_spared(number, op & 0x3f, wild_pointer) && !is_spared(number, (uint32_t)op, wild_pointer)) {
				const uint64_t args[5] = {op, pointer(wild_pointer), random_wild(), random_wild(), random_wild()};

				(void)machine->ops->hypercall_xen(NULL, (uint32_t)number, args);
				count++;
			}
		}
	}
	for (uint64_t i = 0; i < 1000; i++) {
		claim_number((uint64_t)call(64 + (random_number() & 0xffff), i, i, i), (uint64_t)-XEN_ENOSYS, "no such call");
	}
	claim_number((uint64_t)call(__HYPERVISOR_domctl, 0, 0, 0), (uint64_t)-XEN_EPERM, "domctl");
	report("calls=%lu", (unsigned long)count);
	claim(call(__HYPERVISOR_xen_version, XENVER_version, 0, 0) > 0, "a good one still works");
}

static void calls_32(void)
{
	struct registers regs;

	for (uint64_t number = 0; number < 64; number++) {
		for (uint64_t i = 0; i < 60; i++) {
			if (is_spared(number, i % 48, true)) {
				continue;
			}
			regs = (struct registers){.rax = number, .rbx = i < 48 ? i : random_wild(), .rcx = pointer(true) | 0xc0000000,
			                          .rdx = random_wild(), .rsi = random_wild(), .rdi = random_wild()};
			claim(call_mode(RING0_32, &regs), "a 32-bit call returns");
		}
	}
	regs = (struct registers){.rax = __HYPERVISOR_xen_version};
	claim(call_mode(RING0_32, &regs) && (uint32_t)regs.rax >> 16 != 0, "a good one still works");
	regs = (struct registers){.rax = 63};
	claim(call_mode(RING0_32, &regs), "an unknown one returns");
	claim_number((uint32_t)regs.rax, (uint32_t)-XEN_ENOSYS, "its error is 32 bits wide");
}

static void calls_user(void)
{
	for (uint64_t number = 0; number < 64; number++) {
		for (uint32_t mode = RING3_64; mode <= RING3_32; mode++) {
			struct registers regs = {.rax = number, .rbx = 2, .rdi = 2, .rsi = wild((uint32_t)number)};

			claim(call_mode((enum mode)mode, &regs), "a user's call returns");
			claim_number((uint32_t)regs.rax, (uint32_t)-XEN_EPERM, "to a user");
		}
	}
}

static void page_msr(void)
{
	uint32_t msr = cpuid(xen_base() + 2, 0).ebx;

	for (uint32_t i = 0; i < WILD_COUNT; i++) {
		claim(!msr_write_safe(msr, wild(i) & ~UINT64_C(0xfff)), "the page where no memory is: #GP");
	}
	claim(!msr_write_safe(msr, (uint64_t)PLAY_GFN << 12 | 1), "a second page: #GP");
	for (uint32_t i = 0; i < PLAY_PAGES; i++) {
		claim(msr_write_safe(msr, (uint64_t)(PLAY_GFN + i) << 12), "a page of RAM");
	}
	claim(call(__HYPERVISOR_xen_version, 0, 0, 0) > 0, "calls go on");
}

static void multicalls(void)
{
	struct xen_multicall64 list[4] = {
		{.op = __HYPERVISOR_multicall, .args = {(uintptr_t)list, 4}},
		{.op = __HYPERVISOR_xen_version},
		{.op = UINT64_MAX},
		{.op = __HYPERVISOR_memory_op, .args = {XENMEM_decrease_reservation, UINT64_C(1) << 63}},
	};

	claim_number((uint64_t)call(__HYPERVISOR_multicall, (uintptr_t)list, 4, 0), 0, "the list");
	claim_number(list[0].result, (uint64_t)-XEN_EINVAL, "one in another");
	claim(list[1].result >> 16 == 4, "the version");
	claim_number(list[2].result, (uint64_t)-XEN_ENOSYS, "no such call");
	claim_number(list[3].result, 0, "an argument nowhere: no extent"); /* as Xen has it */
	for (uint32_t i = 0; i < WILD_COUNT; i++) {
		claim(call(__HYPERVISOR_multicall, wild(i), UINT32_MAX, 0) < 0, "a list where no memory is");
	}
	/* Over the end of RAM, and one that rewrites itself. */
	claim(call(__HYPERVISOR_multicall, ram_end() - 100, UINT32_MAX, 0) < 0, "a list over the end");
	list[0] = (struct xen_multicall64){.op = __HYPERVISOR_xen_version, .args = {XENVER_extraversion, (uintptr_t)&list[0]}};
	(void)call(__HYPERVISOR_multicall, (uintptr_t)list, 4, 0);
}

/* As long as memory allows, again and again: other guests must not wait for its end. */
static void multicall_long(void)
{
	struct xen_multicall64 *list = (struct xen_multicall64 *)(uintptr_t)(PLAY_GFN << 12);
	uint32_t count = PLAY_PAGES * 4096u / sizeof(*list);

	for (uint32_t i = 0; i < count; i++) {
		list[i] = (struct xen_multicall64){.op = __HYPERVISOR_xen_version};
	}
	while (blowing()) {
		claim_number((uint64_t)call(__HYPERVISOR_multicall, (uintptr_t)list, count, 0), 0, "a long list");
	}
	claim(list[count - 1].result >> 16 == 4, "its last entry");
}

/* ---------------------------------------------------------------- memory */

static void memory_lies(void)
{
	static uint64_t gfns[64];
	static const uint32_t commands[] = {XENMEM_increase_reservation, XENMEM_decrease_reservation,
	                                    XENMEM_populate_physmap};

	for (size_t i = 0; i < ARRAY_COUNT(gfns); i++) {
		gfns[i] = wild((uint32_t)i) >> (i < 32 ? 12 : 0);
	}
	for (size_t c = 0; c < ARRAY_COUNT(commands); c++) {
		claim(reserve(commands[c], gfns, ARRAY_COUNT(gfns), 0, DOMID_SELF) <= 0, "wild frames");
		claim(reserve(commands[c], gfns, 1, 63, DOMID_SELF) <= 0, "extents of 2^63 pages");
		claim(reserve(commands[c], gfns, UINT64_MAX, 0, DOMID_SELF) <= 0, "2^64-1 extents");
		claim(reserve(commands[c], gfns, UINT64_MAX / 8, 9, DOMID_SELF) <= 0, "many large extents");
		claim(reserve(commands[c], gfns, 1, 0, 0x105) == 0, "another guest's memory: no extent");
		for (uint32_t i = 0; i < WILD_COUNT; i++) {
			claim(reserve(commands[c], (const uint64_t *)(uintptr_t)wild(i), 8, 0, DOMID_SELF) <= 0, "a list nowhere");
			claim_number((uint64_t)call(__HYPERVISOR_memory_op, commands[c] | 7u << MEMOP_EXTENT_SHIFT, wild(i), 0),
			             7, "an argument nowhere: no extent more"); /* Xen: the first extent's number, no error */
		}
	}
	for (uint32_t space = 0; space < 8; space++) {
		for (uint32_t i = 0; i < WILD_COUNT; i++) {
			struct xen_add_to_physmap64 map = {.domid = DOMID_SELF, .space = space, .idx = wild(i), .gpfn = PLAY_GFN};

			claim(call_with(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, &map) < 0 || space == 0, "a wild index");
			map = (struct xen_add_to_physmap64){.domid = DOMID_SELF, .space = space, .gpfn = wild(i)};
			(void)call_with(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, &map); /* it may lie outside of RAM */
			map.domid = (uint16_t)(0x100 + i);
			map.gpfn = PLAY_GFN;
			claim(call_with(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, &map) < 0, "another's memory");
		}
	}
}

static void balloon(void)
{
	static uint64_t gfns[PLAY_PAGES];

	for (uint32_t i = 0; i < PLAY_PAGES; i++) {
		gfns[i] = PLAY_GFN + i;
	}
	for (uint32_t round = 0; round < 4 || blowing(); round++) {
		claim_number((uint64_t)reserve(XENMEM_decrease_reservation, gfns, PLAY_PAGES, 0, DOMID_SELF), PLAY_PAGES, "given");
		claim((uint64_t)reserve(XENMEM_decrease_reservation, gfns, PLAY_PAGES, 0, DOMID_SELF) == 0, "given twice");
		claim_number(*(volatile uint64_t *)(uintptr_t)(gfns[round] << 12), UINT64_MAX, "what is given floats");
		claim_number((uint64_t)reserve(XENMEM_populate_physmap, gfns, PLAY_PAGES, 0, DOMID_SELF), PLAY_PAGES, "got back");
		claim_number(*(volatile uint64_t *)(uintptr_t)(gfns[round] << 12), 0, "and is zero");
		*(volatile uint64_t *)(uintptr_t)(gfns[round] << 12) = 5;
	}
	claim(reserve(XENMEM_populate_physmap, gfns, PLAY_PAGES, 0, DOMID_SELF) <= 0, "no more than was given");
}

/* Every page that this program does not stand on, then its own. */
static void balloon_to_nothing(void)
{
	uint64_t last = ram_end() >> 12;
	uint64_t given = 0;

	for (uint64_t gfn = 0; gfn < last; gfn++) {
		if (gfn < 256 || gfn >= machine_pool_first_gfn()) {
			given += reserve(XENMEM_decrease_reservation, &gfn, 1, 0, DOMID_SELF) == 1 ? 1 : 0;
		}
	}
	claim(given > 5000, "nearly all was taken");
	for (uint64_t gfn = 0; gfn < last; gfn++) {
		if (gfn < 256 || gfn >= machine_pool_first_gfn()) {
			given -= reserve(XENMEM_populate_physmap, &gfn, 1, 0, DOMID_SELF) == 1 ? 1 : 0;
		}
	}
	claim_number(given, 0, "all came back");
}

/* Its own page of code: there is nothing more to run. The exception's handler has gone too. */
static void balloon_itself(void)
{
	report("doing=the ground goes");
	for (uint64_t gfn = 256; gfn < machine_pool_first_gfn(); gfn++) {
		(void)reserve(XENMEM_decrease_reservation, &gfn, 1, 0, DOMID_SELF);
	}
}

static void ap_flip(unsigned int cpu)
{
	for (uint32_t i = cpu; stop == 0; i++) {
		struct xen_add_to_physmap64 map = {
			.domid = DOMID_SELF, .space = i % 2 == 0 ? XENMAPSPACE_shared_info : XENMAPSPACE_grant_table, .gpfn = PLAY_GFN};
		struct xen_remove_from_physmap64 gone = {.domid = DOMID_SELF, .gpfn = PLAY_GFN};

		(void)call_with(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, &map);
		(void)call_with(__HYPERVISOR_memory_op, XENMEM_remove_from_physmap, &gone);
		done_count++;
	}
}

/* Two CPUs put pages of Xen's on a frame and take them off; the third balloons it away and writes to it. */
static void pages_flip(void)
{
	uint64_t gfn = PLAY_GFN;

	claim_number(cpus_start(ap_flip), 3, "CPUs");
	while (blowing()) {
		(void)reserve(XENMEM_decrease_reservation, &gfn, 1, 0, DOMID_SELF);
		*(volatile uint64_t *)(uintptr_t)(gfn << 12) = UINT64_MAX;
		(void)reserve(XENMEM_populate_physmap, &gfn, 1, 0, DOMID_SELF);
	}
	stop = 1;
	claim(done_count != 0, "the others ran");
}

/* ---------------------------------------------------------------- event channels */

static int64_t port_op(uint32_t op, void *argument)
{
	return call_with(__HYPERVISOR_event_channel_op, op, argument);
}

static int64_t port_new(uint32_t *port)
{
	struct xen_evtchn_bind_ipi bind = {.vcpu = 0};
	int64_t result = port_op(EVTCHNOP_bind_ipi, &bind);

	*port = bind.port;
	return result;
}

static void ports_all_taken(void)
{
	static uint32_t ports[SEND_PORTS_MAX + 1];
	uint32_t first = 0;

	for (uint32_t round = 0; round < 3; round++) {
		uint32_t count = 0;

		while (count < SEND_PORTS_MAX && port_new(&ports[count]) == 0) {
			count++;
		}
		claim(count > 64 && count < SEND_PORTS_MAX, "there is an end to ports");
		claim(port_new(&ports[count]) == -XEN_ENOSPC, "no more ports: -ENOSPC");
		first = round == 0 ? count : first;
		claim_number(count, first, "as many each time");
		while (count-- != 0) {
			claim(port_op(EVTCHNOP_close, &ports[count]) == 0, "closed");
		}
	}
	report("ports=%u", first);
}

static void ports_wild(void)
{
	static uint8_t argument[32];

	for (uint32_t op = 0; op < 20; op++) {
		for (uint32_t i = 0; i < 400; i++) {
			for (size_t b = 0; b < sizeof(argument); b += 4) {
				uint32_t value = (uint32_t)random_wild();

				memcpy(argument + b, &value, 4);
			}
			(void)port_op(op, argument);
			claim(port_op(op, (void *)(uintptr_t)wild(i)) < 0, "an argument nowhere");
		}
	}
	for (uint32_t i = 0; i < WILD_COUNT; i++) {
		uint32_t port = (uint32_t)wild(i) | 0x1000;

		claim(port_op(EVTCHNOP_send, &port) == -XEN_EINVAL, "send to no port: -EINVAL");
		claim(port_op(EVTCHNOP_close, &port) == -XEN_EINVAL, "close of no port: -EINVAL");
	}
}

static void port_storm(void)
{
	uint32_t port = 0;
	uint64_t sent = 0;

	if (!start() || port_new(&port) != 0) {
		return;
	}
	while (blowing()) {
		claim(port_op(EVTCHNOP_send, &port) == 0, "sent");
		sent++;
		__asm__ volatile("sti; nop; nop; cli");
	}
	report("sent=%lu", (unsigned long)sent);
}

static uint32_t shared_port;

static void ap_close(unsigned int cpu)
{
	(void)cpu;
	while (stop == 0) {
		uint32_t port = shared_port;

		(void)port_op(EVTCHNOP_close, &port);
		if (port_new(&port) == 0) {
			shared_port = port;
		}
		done_count++;
	}
}

static void ports_closed_in_flight(void)
{
	if (!start() || port_new(&shared_port) != 0) {
		return;
	}
	claim_number(cpus_start(ap_close), 2, "CPUs");
	while (blowing()) {
		uint32_t port = shared_port;
		struct xen_evtchn_bind_vcpu bind = {.port = port, .vcpu = (uint32_t)done_count & 1};
		int64_t result = port_op(EVTCHNOP_send, &port);

		claim(result == 0 || result == -XEN_EINVAL, "sent, or there is no such port now");
		(void)port_op(EVTCHNOP_bind_vcpu, &bind);
		(void)port_op(EVTCHNOP_unmask, &port);
		if ((done_count & 0xff) == 0) {
			uint16_t self = DOMID_SELF;

			(void)port_op(EVTCHNOP_reset, &self);
		}
	}
	stop = 1;
	claim(done_count != 0, "the other ran");
}

/* ---------------------------------------------------------------- parameters, vCPU areas */

static void params_wild(void)
{
	struct xen_hvm_upcall_vector vector = {.vcpu = 0, .vector = 15};

	for (uint32_t index = 0; index < 64; index++) {
		for (uint32_t i = 0; i < WILD_COUNT; i++) {
			struct xen_hvm_param_arg param = {.domid = DOMID_SELF, .index = index, .value = wild(i)};

			(void)call_with(__HYPERVISOR_hvm_op, HVMOP_set_param, &param);
			(void)call_with(__HYPERVISOR_hvm_op, HVMOP_get_param, &param);
			param.domid = (uint16_t)(0x100 + i);
			claim(call_with(__HYPERVISOR_hvm_op, HVMOP_set_param, &param) < 0, "another's parameter");
		}
	}
	claim(call_with(__HYPERVISOR_hvm_op, HVMOP_set_evtchn_upcall_vector, &vector) == -XEN_EINVAL, "vector 15");
	for (uint32_t type = 0; type < 256; type++) {
		struct xen_hvm_param_arg param = {
			.domid = DOMID_SELF, .index = HVM_PARAM_CALLBACK_IRQ, .value = (uint64_t)type << 56 | type};

		(void)call_with(__HYPERVISOR_hvm_op, HVMOP_set_param, &param);
	}
}

static void vcpu_areas(void)
{
	struct xen_register_vcpu_info info;
	uint64_t area;

	for (uint32_t i = 0; i < WILD_COUNT; i++) {
		info = (struct xen_register_vcpu_info){.mfn = wild(i) >> 12};
		claim(call(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, (uintptr_t)&info) < 0, "vcpu_info nowhere");
		info = (struct xen_register_vcpu_info){.mfn = wild(i)};
		claim(call(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, (uintptr_t)&info) < 0, "vcpu_info at a wild frame");
		info = (struct xen_register_vcpu_info){.mfn = PLAY_GFN, .offset = 4096 - 8 + i};
		claim(call(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, (uintptr_t)&info) < 0, "vcpu_info over the end");
		area = wild(i);
		for (uint32_t op = VCPUOP_register_vcpu_time_memory_area; op <= VCPUOP_register_vcpu_time_phys_area; op++) {
			(void)call(__HYPERVISOR_vcpu_op, op, 0, (uintptr_t)&area);
		}
		(void)call(__HYPERVISOR_vcpu_op, VCPUOP_register_runstate_memory_area, 0, (uintptr_t)&area);
		claim(call(__HYPERVISOR_vcpu_op, VCPUOP_is_up, wild(i) | 0x10000, 0) < 0, "no such vCPU");
	}
	info = (struct xen_register_vcpu_info){.mfn = PLAY_GFN, .offset = 64};
	claim(call(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, (uintptr_t)&info) == 0, "a good one");
	claim(call(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, (uintptr_t)&info) < 0, "a second time");
	/* And the page below it goes. */
	area = PLAY_GFN;
	(void)reserve(XENMEM_decrease_reservation, &area, 1, 0, DOMID_SELF);
	for (uint32_t i = 0; i < 1000; i++) {
		(void)call(__HYPERVISOR_sched_op, SCHEDOP_yield, 0, 0);
	}
}

static void timers(void)
{
	static const uint64_t times[] = {0, 1, 999, 1000000, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63, UINT64_C(1) << 62};
	uint64_t rounds = 0;

	if (!start()) {
		return;
	}
	while (blowing()) {
		uint64_t at = times[rounds++ % ARRAY_COUNT(times)];
		struct {
			struct xen_set_singleshot_timer timer;
			uint32_t pad;
		} single = {.timer = {.timeout_abs_ns = at, .flags = (uint32_t)rounds & 1}};

		(void)call(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, (uintptr_t)&single);
		(void)call(__HYPERVISOR_set_timer_op, at, 0, 0);
		(void)call(__HYPERVISOR_vcpu_op, VCPUOP_set_periodic_timer, 0, (uintptr_t)&at);
		claim(at > 999 || call(__HYPERVISOR_vcpu_op, VCPUOP_set_periodic_timer, 0, (uintptr_t)&at) == -XEN_EINVAL,
		      "a period below 1 ms: -EINVAL");
		(void)xen_events_handle(&xen);
		__asm__ volatile("sti; nop; nop; cli");
	}
	(void)call(__HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0, 0);
}

static void polls(void)
{
	static uint32_t ports[256];

	for (uint32_t i = 0; i < ARRAY_COUNT(ports); i++) {
		ports[i] = (uint32_t)wild(i);
	}
	while (blowing()) {
		struct xen_sched_poll64 poll = {.ports = (uintptr_t)ports, .nr_ports = 129, .timeout = 1};

		claim(call_with(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll) == -XEN_EINVAL, "129 ports: -EINVAL");
		poll.nr_ports = UINT32_MAX;
		claim(call_with(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll) == -XEN_EINVAL, "2^32-1 ports: -EINVAL");
		poll.nr_ports = 128;
		claim(call_with(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll) < 0, "wild ports");
		poll.ports = wild(ports[0]++);
		claim(call_with(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll) < 0, "ports nowhere");
		poll.nr_ports = 0;
		claim(call_with(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll) == 0, "a time that has gone");
	}
}

/* ---------------------------------------------------------------- grants */

static void grants_wild(void)
{
	static uint64_t argument[64];
	uint32_t version = 2;

	for (uint32_t op = 0; op < 16; op++) {
		for (uint32_t i = 0; i < 300; i++) {
			for (size_t w = 0; w < ARRAY_COUNT(argument); w++) {
				argument[w] = random_wild();
			}
			(void)call(__HYPERVISOR_grant_table_op, op, (uintptr_t)argument, i < 200 ? 8 : UINT32_MAX);
			claim(call(__HYPERVISOR_grant_table_op, op, wild(i) | 8, 1 + (i & 3)) != 0, "an argument nowhere");
		}
	}
	claim(call(__HYPERVISOR_grant_table_op, GNTTABOP_set_version, (uintptr_t)&version, 1) == -XEN_ENOSYS,
	      "version 2 is not offered");
	version = 77;
	claim(call(__HYPERVISOR_grant_table_op, GNTTABOP_set_version, (uintptr_t)&version, 1) == -XEN_EINVAL, "version 77");
	claim(call(__HYPERVISOR_grant_table_op, GNTTABOP_copy, UINT64_MAX - 7, UINT32_MAX) < 0, "copies nowhere");
}

static void ap_version(unsigned int cpu)
{
	(void)cpu;
	while (stop == 0) {
		uint32_t version = (uint32_t)done_count % 3;

		(void)call(__HYPERVISOR_grant_table_op, GNTTABOP_set_version, (uintptr_t)&version, 1);
		done_count++;
	}
}

/* One CPU changes entries and asks for versions while the other has them copied. */
static void grants_in_flight(void)
{
	struct {
		struct {
			uint64_t ref_or_gmfn;
			uint16_t domid, offset;
			uint32_t pad;
		} from, to;
		uint16_t len, flags;
		int16_t status;
		uint16_t pad;
	} copy;

	if (!start()) {
		return;
	}
	claim_number(cpus_start(ap_version), 2, "CPUs");
	while (blowing()) {
		uint32_t ref = xen_grant(&xen, PLAY_GFN, false);

		memset(&copy, 0, sizeof(copy));
		copy.from.ref_or_gmfn = ref;
		copy.from.domid = DOMID_SELF;
		copy.to.ref_or_gmfn = PLAY_GFN + 1;
		copy.to.domid = DOMID_SELF;
		copy.len = (uint16_t)random_number();
		copy.flags = 1;
		(void)call(__HYPERVISOR_grant_table_op, GNTTABOP_copy, (uintptr_t)&copy, 1);
		claim(xen_grant_end(&xen, ref), "taken back");
	}
	stop = 1;
}

/* ---------------------------------------------------------------- ends */

static int64_t shut_down(uint32_t reason)
{
	return call_with(__HYPERVISOR_sched_op, SCHEDOP_shutdown, &reason);
}

static void crash(void)
{
	report("doing=crash");
	(void)shut_down(SHUTDOWN_crash);
}

static void soft_reset(void)
{
	uint32_t port;

	if (start() && xen_store_start(&xen) == 0) {
		for (uint32_t i = 0; i < 50; i++) {
			(void)port_new(&port);
			(void)xen_grant(&xen, PLAY_GFN + i, false);
		}
		(void)xen_store_watch(&xen, "device", "x");
	}
	(void)shut_down(SHUTDOWN_soft_reset);
}

static void shutdown_reasons(void)
{
	uint32_t code = SHUTDOWN_suspend;

	claim_number((uint64_t)shut_down(SHUTDOWN_suspend), 1, "suspend is answered: cancelled");
	for (uint32_t i = 0; i < WILD_COUNT; i++) {
		claim(call(__HYPERVISOR_sched_op, SCHEDOP_shutdown, wild(i), 0) < 0, "a reason nowhere");
	}
	claim(call_with(__HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, &code) == -XEN_EPERM, "another's end: -EPERM");
}

static void watchdog(void)
{
	struct xen_sched_watchdog dog = {.id = 5, .timeout = 1};

	claim(call_with(__HYPERVISOR_sched_op, SCHEDOP_watchdog, &dog) < 0, "an id of no watchdog");
	dog.id = 0;
	dog.timeout = 1;
	claim(call_with(__HYPERVISOR_sched_op, SCHEDOP_watchdog, &dog) > 0, "a watchdog");
	for (;;) {
		cpu_pause();
	}
}

static void blocks_forever(void)
{
	struct xen_sched_poll64 poll = {.nr_ports = 0};

	report("doing=poll for nothing");
	for (;;) {
		(void)call_with(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll);
		(void)call(__HYPERVISOR_sched_op, SCHEDOP_block, 0, 0);
	}
}

const struct hostile_case cases_xen[] = {
	{"xen_calls", calls}, {"xen_calls_32", calls_32}, {"xen_calls_user", calls_user}, {"xen_page_msr", page_msr},
	{"xen_multicalls", multicalls}, {"xen_multicall_long", multicall_long}, {"xen_memory_lies", memory_lies},
	{"xen_balloon", balloon}, {"xen_balloon_to_nothing", balloon_to_nothing}, {"xen_balloon_itself", balloon_itself},
	{"xen_pages_flip", pages_flip}, {"xen_ports_all_taken", ports_all_taken}, {"xen_ports_wild", ports_wild},
	{"xen_port_storm", port_storm}, {"xen_ports_closed", ports_closed_in_flight}, {"xen_params_wild", params_wild},
	{"xen_vcpu_areas", vcpu_areas}, {"xen_timers", timers}, {"xen_polls", polls}, {"xen_grants_wild", grants_wild},
	{"xen_grants_in_flight", grants_in_flight}, {"xen_crash", crash}, {"xen_soft_reset", soft_reset},
	{"xen_shutdown_reasons", shutdown_reasons}, {"xen_watchdog", watchdog}, {"xen_blocks_forever", blocks_forever},
	{NULL, NULL},
};

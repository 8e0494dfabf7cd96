/*
 * xen_hypercall_fuzz.c - a libFuzzer grammar of Xen hypercalls over the hosted seam.
 *
 * An input is a list of steps: a hypercall with a structure whose fields are mostly sensible, a write of
 * the guest into what it shares with us, a step of our own backends, time, a change of mode, a reset. After each
 * step the face's own state is checked; at the end nothing may be left behind.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/clock.h"
#include "enlighten/xen/xen_state.h"
#include "tests/fuzz/unwatched.h"
#include "tests/host/host.h"

#define ARGS 0x10000ull
#define LIST 0x20000ull
#define MEMORY (2ull << 20)
#define GRANT_GFN 0x400ull
#define SHARED_GFN 0x300ull /* behind the RAM: a frame that is taken from it has to be put back for the next input */
#define VCPUS 3u
#define HOLDS 8u
#define AGAIN_MAX 50u /* steps of a call; then its guest leaves it: the rest would be more of the same */
#define STEP_MAX 200u

struct input {
	const uint8_t *data;
	size_t left;
};

static struct vm *vm;
static struct clock guest_clock;
static struct gnttab_hold holds[HOLDS];
static uint32_t notify_count;

static uint64_t take(struct input *in, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes && in->left > 0; i++) {
		value |= (uint64_t)*in->data << (i * 8);
		in->data++;
		in->left--;
	}
	return value;
}

static void require(bool holds_true, const char *what)
{
	if (!holds_true) {
		PANIC("invariant: %s", what);
	}
}

/* ------------------------------------------------------------------ values that reach something */

static uint64_t pick_gfn(struct input *in)
{
	static const uint64_t some[] = {
	        SHARED_GFN, GRANT_GFN, GRANT_GFN + 1, 0x40,       0x41,       0x1FE,      0x1FF, 0x200,
	        0x7FF,      0xFEE00,   1ull << 28,    UINT32_MAX, 1ull << 52, UINT64_MAX, 0x10,  0x20};
	uint8_t raw = (uint8_t)take(in, 1);

	return raw < 128 ? some[raw % ARRAY_COUNT(some)] : 0x80u + raw;
}

static uint32_t pick_port(struct input *in)
{
	uint8_t raw = (uint8_t)take(in, 1);

	return raw < 240 ? raw % 12 : (uint32_t)take(in, 4);
}

static uint16_t pick_domid(struct input *in)
{
	static const uint16_t some[] = {DOMID_SELF, DOMID_SELF, DOMID_SELF,    1,
	                                0,          5,          DOMID_INVALID, DOMID_SELF};

	return some[take(in, 1) % ARRAY_COUNT(some)];
}

static uint32_t pick_vcpu(struct input *in)
{
	uint8_t raw = (uint8_t)take(in, 1);

	return raw < 240 ? raw % (VCPUS + 1) : UINT32_MAX - raw;
}

static uint32_t pick_ref(struct input *in)
{
	uint8_t raw = (uint8_t)take(in, 1);

	return raw < 200 ? raw % 16 : raw < 240 ? 500u + raw % 16 : (uint32_t)take(in, 4);
}

/* Mostly within a page, or not far behind it. */
static uint16_t pick_offset(struct input *in)
{
	uint16_t raw = (uint16_t)take(in, 2);

	return raw < 0xF000 ? raw % 4200 : raw;
}

static uint64_t pick_pointer(struct input *in)
{
	uint8_t raw = (uint8_t)take(in, 1);

	return raw < 230 ? LIST + raw * 64u : raw < 240 ? MEMORY - 16 : take(in, 8);
}

/* ------------------------------------------------------------------ hypercalls */

static void put(uint64_t at, const void *from, size_t len)
{
	(void)!vm_write(vm, gpa(at), from, len);
}

static void call(uint32_t id, uint64_t number, uint64_t a, uint64_t b, uint64_t c)
{
	struct vcpu *vcpu = vm_vcpu(vm, id);
	struct cpu_regs *regs = vcpu_regs(vcpu);
	bool narrow = !vcpu_mode(vcpu).code64;
	uint32_t again = 0;

	regs->gpr[REG_RAX] = number;
	regs->gpr[narrow ? REG_RBX : REG_RDI] = a;
	regs->gpr[narrow ? REG_RCX : REG_RSI] = b;
	regs->gpr[REG_RDX] = c;
	while (xen_face.hypercall(vcpu) == FACE_CALL_AGAIN && again < AGAIN_MAX) {
		require(regs->gpr[REG_RAX] == number, "a preempted call keeps its number");
		again++;
	}
}

static void do_evtchn(struct input *in, uint32_t id)
{
	uint32_t words[6] = {0};
	uint64_t op = take(in, 1) % 16;

	switch (op) {
	case EVTCHNOP_bind_interdomain:
		words[0] = pick_domid(in);
		words[1] = pick_port(in);
		break;
	case EVTCHNOP_bind_virq:
		words[0] = (uint32_t)take(in, 1) % 26;
		words[1] = pick_vcpu(in);
		break;
	case EVTCHNOP_alloc_unbound:
		words[0] = pick_domid(in) | (uint32_t)pick_domid(in) << 16;
		break;
	case EVTCHNOP_bind_ipi:
		words[0] = pick_vcpu(in);
		break;
	case EVTCHNOP_status:
	case EVTCHNOP_reset:
		words[0] = pick_domid(in);
		words[1] = pick_port(in);
		break;
	default:
		words[0] = pick_port(in);
		words[1] = pick_vcpu(in);
		break;
	}
	put(ARGS, words, sizeof(words));
	call(id, __HYPERVISOR_event_channel_op, op, ARGS, 0);
}

static void do_memory(struct input *in, uint32_t id)
{
	uint64_t op = take(in, 1) % 32;
	struct xen_reservation64 r = {LIST, take(in, 1), (uint32_t)take(in, 1) % 7, 0, pick_domid(in), {0}};
	struct xen_add_to_physmap64 add = {pick_domid(in), (uint16_t)take(in, 1), (uint32_t)take(in, 1) % 6,
	                                   take(in, 1) % 70, pick_gfn(in)};
	struct xen_add_to_physmap_batch64 batch = {add.domid, (uint16_t)add.space, add.size,     0,
	                                           LIST,      LIST + 0x800,        LIST + 0x1000};
	struct xen_memory_map64 map = {(uint32_t)take(in, 1), 0, pick_pointer(in)};

	switch (op) {
	case 0:
	case 1:
	case 6:
		for (uint32_t i = 0; i < 24; i++) {
			uint64_t gfn = pick_gfn(in);

			put(LIST + i * 8, &gfn, 8);
		}
		put(ARGS, &r, sizeof(r));
		op |= take(in, 1) % 8 << MEMOP_EXTENT_SHIFT;
		break;
	case XENMEM_add_to_physmap_batch:
		put(ARGS, &batch, sizeof(batch));
		break;
	case XENMEM_memory_map:
		put(ARGS, &map, sizeof(map));
		break;
	case XENMEM_set_memory_map:
		put(ARGS, &add, 8);
		put(ARGS + 8, &map, sizeof(map));
		break;
	case XENMEM_remove_from_physmap:
		put(ARGS, &add, 8);
		put(ARGS + 8, &add.gpfn, 8);
		break;
	default:
		put(ARGS, &add, sizeof(add));
		break;
	}
	call(id, __HYPERVISOR_memory_op, op, ARGS, 0);
}

static void do_vcpu(struct input *in, uint32_t id)
{
	uint64_t op = take(in, 1) % 18;
	uint8_t raw[sizeof(struct xen_vcpu_hvm_context)] = {0};
	struct xen_register_vcpu_info info = {pick_gfn(in), (uint32_t)take(in, 2) % 4200, 0};
	uint64_t value = take(in, 1) % 2 != 0 ? (pick_gfn(in) << 12) + take(in, 2) : take(in, 8);

	switch (op) {
	case VCPUOP_initialise:
		for (size_t i = 0; i < sizeof(raw); i++) {
			raw[i] = (uint8_t)take(in, 1);
		}
		put(ARGS, raw, sizeof(raw));
		break;
	case VCPUOP_register_vcpu_info:
		put(ARGS, &info, sizeof(info));
		break;
	default:
		put(ARGS, &value, sizeof(value));
		break;
	}
	call(id, __HYPERVISOR_vcpu_op, op, pick_vcpu(in), take(in, 1) < 250 ? ARGS : pick_pointer(in));
}

static void do_grant(struct input *in, uint32_t id)
{
	uint64_t raw_op = take(in, 1) % 20, op = raw_op < 14 ? raw_op : GNTTABOP_copy;
	uint64_t count = take(in, 1) % 40;
	uint16_t raw_flags = (uint16_t)take(in, 1);
	struct xen_gnttab_copy64 copy = {.source = {pick_gfn(in), pick_domid(in), pick_offset(in), 0},
	                                 .dest = {pick_gfn(in), pick_domid(in), pick_offset(in), 0},
	                                 .len = pick_offset(in),
	                                 .flags = raw_flags < 240 ? raw_flags % 4 : raw_flags};
	uint32_t words[8] = {
	        pick_domid(in), (uint32_t)take(in, 1), pick_ref(in), pick_ref(in), (uint32_t)LIST, 0, 0, 0};

	if ((copy.flags & GNTCOPY_source_gref) != 0) {
		copy.source.ref_or_gmfn = pick_ref(in);
	}
	if ((copy.flags & GNTCOPY_dest_gref) != 0) {
		copy.dest.ref_or_gmfn = pick_ref(in);
	}
	put(ARGS, op == GNTTABOP_copy ? (const void *)&copy : words,
	    op == GNTTABOP_copy ? sizeof(copy) : sizeof(words));
	call(id, __HYPERVISOR_grant_table_op, op, ARGS, take(in, 1) < 200 ? 1 : count);
}

static void do_sched(struct input *in, uint32_t id)
{
	uint64_t op = take(in, 1) % 9;
	uint32_t words[6] = {
	        (uint32_t)take(in, 1) % 8, (uint32_t)take(in, 1), (uint32_t)take(in, 1) % 140, 0, 0, 0};
	uint64_t list = LIST;

	for (uint32_t i = 0; i < 4; i++) {
		uint32_t port = pick_port(in);

		put(LIST + i * 4, &port, 4);
	}
	if (op == SCHEDOP_poll) {
		words[0] = (uint32_t)list;
		words[1] = vcpu_mode(vm_vcpu(vm, id)).code64 ? 0 : words[2];
		words[4] = (uint32_t)take(in, 2);
	}
	put(ARGS, words, sizeof(words));
	call(id, __HYPERVISOR_sched_op, op, ARGS, 0);
}

static void do_hvm(struct input *in, uint32_t id)
{
	uint64_t op = take(in, 1) % 27;
	struct xen_hvm_param_arg arg = {pick_domid(in), 0, (uint32_t)take(in, 1) % 42,
	                                take(in, 1) % 4 << 56 | take(in, 1)};
	struct xen_hvm_upcall_vector vector = {pick_vcpu(in), (uint8_t)take(in, 1), {0}};

	if (op == HVMOP_set_evtchn_upcall_vector) {
		put(ARGS, &vector, sizeof(vector));
	} else {
		put(ARGS, &arg, sizeof(arg));
	}
	call(id, __HYPERVISOR_hvm_op, op, ARGS, 0);
}

/* A list of up to four calls whose structures stand where the last call left them. */
static void do_multicall(struct input *in, uint32_t id)
{
	uint64_t at = LIST + 0x4000;

	for (uint32_t i = 0; i < 4; i++) {
		struct xen_multicall64 entry = {.op = take(in, 1) % 44,
		                                .args = {take(in, 1) % 24, ARGS, take(in, 1)}};

		put(at + i * sizeof(entry), &entry, sizeof(entry));
	}
	call(id, __HYPERVISOR_multicall, at, take(in, 1) % 8, 0);
}

/* ------------------------------------------------------------------ other steps */

static void notify(void *context)
{
	++*(uint32_t *)context;
}

static void do_backend(struct input *in)
{
	struct evtchn_backend be = {notify, &notify_count};
	struct gnttab_hold *hold = &holds[take(in, 1) % HOLDS];
	uint32_t port = pick_port(in);

	switch (take(in, 1) % 6) {
	case 0:
		(void)evtchn_backend_bind(vm, port, &be);
		break;
	case 1:
		evtchn_backend_unbind(vm, port);
		break;
	case 2:
		evtchn_backend_notify(vm, port);
		break;
	case 3:
		(void)evtchn_backend_alloc(vm, &be);
		break;
	case 4:
		if (hold->page == NULL) {
			(void)gnttab_hold(vm, pick_ref(in), take(in, 1) % 2 != 0, hold);
		}
		break;
	default:
		gnttab_release(vm, hold);
		break;
	}
}

/* What the guest does to the pages it shares with us, wherever they are now. */
static void do_guest_write(struct input *in)
{
	uint64_t gfn = take(in, 1) % 2 != 0 ? SHARED_GFN : GRANT_GFN;
	uint64_t value = take(in, 8);
	struct xen_grant_entry_v1 entry = {(uint16_t)take(in, 1), pick_domid(in), (uint32_t)pick_gfn(in)};

	if (gfn == GRANT_GFN) {
		put((gfn << 12) + take(in, 1) % 16 * 8, &entry, sizeof(entry));
	} else {
		put((gfn << 12) + take(in, 2) % 4089, &value, 8);
	}
}

static void release_holds(void)
{
	for (uint32_t i = 0; i < HOLDS; i++) {
		gnttab_release(vm, &holds[i]);
	}
}

static void do_machine(struct input *in, uint32_t id)
{
	struct vcpu *vcpu = vm_vcpu(vm, id);
	bool narrow = take(in, 1) % 4 == 0;
	uint64_t what = take(in, 1) % 32;
	struct cpuid_regs regs;

	if (what < 8) {
		host_time_advance_ns(vm, take(in, 4));
	} else if (what < 12) {
		host_vcpu_set_mode(
		        vcpu,
		        (struct vcpu_mode){.protected_mode = true, .long_mode = !narrow, .code64 = !narrow});
	} else if (what < 20) {
		host_vcpu_set_runstate(vcpu, (enum vcpu_runstate)(take(in, 1) % 4));
		xen_face.scheduled(vcpu);
		(void)xen_face.upcall(vcpu);
	} else if (what < 24) {
		(void)xen_face.msr_write(vcpu, XEN_MSR_BASE, pick_gfn(in) << 12);
	} else if (what < 28) {
		xen_face.lapic_enabled(vcpu);
		(void)xen_face.cpuid(vcpu, XEN_CPUID_FIRST_LEAF + (uint32_t)take(in, 1),
		                     (uint32_t)take(in, 1), &regs);
	} else if (what == 31) {
		release_holds();
		require(xen_face.reset(vm), "reset never fails");
	}
}

/* ------------------------------------------------------------------ invariants */

static void check_port(struct xen_vm *xen, uint32_t port)
{
	const struct evtchn_port *p = &xen->ports[port];
	bool used = (xen->port_used[port / 64] >> (port % 64) & 1) != 0;

	require(used == (p->state != EVTCHNSTAT_closed), "a port in use is marked so");
	require(p->vcpu < VCPUS, "a port's vCPU exists");
	if (p->state == EVTCHNSTAT_virq) {
		uint32_t owner = p->virq == VIRQ_ARGO ? 0 : p->vcpu;

		require(xen->vcpus[owner]->virq_port[p->virq] == port, "a VIRQ knows its port");
	}
	if (p->state == EVTCHNSTAT_interdomain && !p->ours) {
		const struct evtchn_port *peer = &xen->ports[p->remote_port];

		require(peer->state == EVTCHNSTAT_interdomain && !peer->ours && peer->remote_port == port,
		        "both ends of a loopback know each other");
	}
}

static uint64_t count_pins(const struct xen_vm *xen)
{
	uint64_t pins = 0;

	for (uint32_t i = 0; i < VCPUS; i++) {
		const struct xen_vcpu *v = xen->vcpus[i];

		pins += v->info_registered;
		for (uint32_t k = 0; k < 2; k++) {
			pins += (v->runstate.pages[k] != NULL) + (v->time.pages[k] != NULL);
		}
	}
	for (uint32_t i = 0; i < HOLDS; i++) {
		pins += holds[i].page != NULL;
	}
	return pins;
}

/* Users of the entries of one frame; false in @fewer if one has more writers. */
UNWATCHED static uint32_t count_frame(const struct gnttab_active *active, bool *fewer)
{
	uint32_t held = 0, wrong = 0;

	for (uint32_t i = 0; i < XEN_GRANTS_A_FRAME; i++) {
		held += active[i].hold_count;
		wrong |= active[i].write_count > active[i].hold_count;
	}
	*fewer = *fewer && wrong == 0;
	return held;
}

static void check_grants(const struct xen_vm *xen)
{
	bool fewer = true;
	uint32_t held = 0;
	uint32_t taken = 0;

	require(xen->frame_count >= 1 && xen->frame_count <= XEN_GRANT_FRAMES_MAX, "1 to 64 grant frames");
	for (uint32_t f = 0; f < xen->frame_count; f++) {
		held += count_frame(xen->active[f], &fewer);
	}
	require(fewer, "writers are users");
	for (uint32_t i = 0; i < HOLDS; i++) {
		taken += holds[i].page != NULL;
	}
	require(held == taken, "each hold is counted once");
}

/* After each step the ports that are marked or stand next to one that is; @each: all of them, which takes longer. */
static void check_all(bool each)
{
	struct xen_vm *xen = xen_of_vm(vm);

	for (uint32_t word = 0; word < EVTCHN_2L_NR_CHANNELS_64 / 64; word++) {
		for (uint32_t i = word == 0; i < 64 && (each || xen->port_used[word] != 0); i++) {
			check_port(xen, word * 64 + i);
		}
	}
	check_grants(xen);
	require(host_vm_leaks(vm).pins == count_pins(xen), "each pin has an owner");
	require(host_vm_leaks(vm).pages == 1 + xen->frame_count, "shared info and grant frames, no more");
	require(!host_vm_killed(vm), "no guest is killed for a hypercall");
}

/* ------------------------------------------------------------------ an input */

static void step(struct input *in)
{
	uint8_t what = (uint8_t)take(in, 1);
	uint32_t id = what / 32 % VCPUS;

	switch (what % 16) {
	case 0:
	case 1:
	case 2:
		do_evtchn(in, id);
		break;
	case 3:
	case 4:
		do_memory(in, id);
		break;
	case 5:
	case 6:
		do_vcpu(in, id);
		break;
	case 7:
	case 8:
		do_grant(in, id);
		break;
	case 9:
		do_sched(in, id);
		break;
	case 10:
		do_hvm(in, id);
		break;
	case 11:
		do_multicall(in, id);
		break;
	case 12:
		do_backend(in);
		break;
	case 13:
		do_guest_write(in);
		break;
	case 14:
		do_machine(in, id);
		break;
	default:
		call(id, take(in, 1) % 50, pick_pointer(in), pick_pointer(in), take(in, 4));
		break;
	}
}

static void begin(void)
{
	struct xen_add_to_physmap64 shared = {DOMID_SELF, 0, XENMAPSPACE_shared_info, 0, SHARED_GFN};
	struct xen_add_to_physmap64 grants = {DOMID_SELF, 0, XENMAPSPACE_grant_table, 0, GRANT_GFN};

	require(xen_face.create(vm), "create");
	host_vcpu_set_mode(vm_vcpu(vm, 0),
	                   (struct vcpu_mode){.protected_mode = true, .long_mode = true, .code64 = true});
	put(ARGS, &shared, sizeof(shared));
	call(0, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, ARGS, 0);
	put(ARGS, &grants, sizeof(grants));
	call(0, __HYPERVISOR_memory_op, XENMEM_add_to_physmap, ARGS, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct host_snapshot *start;
	struct input in = {data, size};
	uint32_t steps = 0;

	if (start == NULL) {
		struct host_vm_config config = {
		        .vm = {.id = 1,
		               .vcpu_count = VCPUS,
		               .memory_bytes = MEMORY,
		               .xen_face = true,
		               .clock = &guest_clock},
		        .memory_max_bytes = MEMORY + 0x40000,
		        .gfn_count = 0x1000,
		};

		clock_init(&guest_clock, 1000000000u, true, 0);
		vm = host_vm_new(&config);
		begin();
		start = host_snapshot_take(vm);
	} else {
		host_snapshot_restore(start);
	}
	while (in.left > 0 && steps++ < STEP_MAX) {
		step(&in);
		check_all(false);
	}
	check_all(size % 16 == 0);
	release_holds();
	xen_face.teardown(vm);
	host_vm_reset(vm);
	return 0;
}

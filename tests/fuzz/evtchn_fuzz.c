/*
 * evtchn_fuzz.c - libFuzzer: event channels of two guests side by side, and the backends' ends of them.
 *
 * The input is a list of calls, of writes to the bits that guest and hypervisor share, of the backends' own
 * steps, of upcalls taken, and of resets. What a send or a backend's signal has to do follows from the table
 * before it, and is looked for after it. One guest's step never shows in the other.
 */
#include <string.h>

#include "backend/clock.h"
#include "tests/fuzz/xen_fuzz.h"

#define INFO_GFN 0x20ull
#define VCPUS 3u
#define BACKENDS 4u
#define STEP_MAX 300u

struct side {
	struct vm *vm;
	struct evtchn_backend be[BACKENDS];
	uint32_t told[BACKENDS];
};

static struct side sides[2];
static struct clock guest_clock;

static struct xen_vm *xen_of(const struct side *s)
{
	return xen_of_vm(s->vm);
}

/* ------------------------------------------------------------------ values that reach something */

static uint32_t pick_port(struct input *in)
{
	uint32_t raw = take8(in);

	return raw < 232 ? raw % 12 : raw < 244 ? 1016 + raw % 12 : (uint32_t)take_number(in, 4);
}

static uint16_t pick_domid(struct input *in)
{
	static const uint16_t some[] = {DOMID_SELF, 1, 2, 0, 0, DOMID_SELF, DOMID_INVALID, 9};

	return some[take_below(in, ARRAY_COUNT(some))];
}

static uint32_t pick_vcpu(struct input *in)
{
	uint32_t raw = take8(in);

	return raw < 248 ? raw % (VCPUS + 1) : UINT32_MAX - raw;
}

/* ------------------------------------------------------------------ calls */

static void do_bind(struct side *s, uint32_t id, struct input *in)
{
	static const uint8_t ops[] = {EVTCHNOP_bind_interdomain, EVTCHNOP_bind_virq, EVTCHNOP_alloc_unbound,
	                              EVTCHNOP_bind_ipi};
	uint64_t op = ops[take_below(in, ARRAY_COUNT(ops))];
	uint32_t words[6] = {0};

	switch (op) {
	case EVTCHNOP_bind_interdomain:
		words[0] = pick_domid(in);
		words[1] = pick_port(in);
		break;
	case EVTCHNOP_bind_virq:
		words[0] = take_below(in, NR_VIRQS + 2);
		words[1] = pick_vcpu(in);
		break;
	case EVTCHNOP_alloc_unbound:
		words[0] = pick_domid(in) | (uint32_t)pick_domid(in) << 16;
		break;
	default:
		words[0] = pick_vcpu(in);
		break;
	}
	(void)xen_fuzz_call(s->vm, id, __HYPERVISOR_event_channel_op, op, words, sizeof(words), 0);
}

static void do_change(struct side *s, uint32_t id, struct input *in)
{
	static const uint8_t ops[] = {EVTCHNOP_close,  EVTCHNOP_close, EVTCHNOP_bind_vcpu,   EVTCHNOP_unmask,
	                              EVTCHNOP_status, EVTCHNOP_reset, EVTCHNOP_init_control};
	uint64_t op = ops[take_below(in, ARRAY_COUNT(ops))];
	uint32_t words[6] = {pick_port(in), pick_vcpu(in)};

	if (op == EVTCHNOP_status || op == EVTCHNOP_reset) {
		words[1] = words[0];
		words[0] = pick_domid(in);
	}
	(void)xen_fuzz_call(s->vm, id, __HYPERVISOR_event_channel_op, op, words, sizeof(words), 0);
}

/* ------------------------------------------------------------------ what a signal has to do */

static uint32_t told_all(void)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < BACKENDS; i++) {
		sum += sides[0].told[i] + sides[1].told[i];
	}
	return sum;
}

/* The port that a send through @port raises. */
static uint32_t send_raises(const struct evtchn_port *p, uint32_t port)
{
	if (p == NULL) {
		return 0;
	}
	if (p->state == EVTCHNSTAT_interdomain && !p->ours) {
		return p->remote_port;
	}
	return p->state == EVTCHNSTAT_ipi ? port : 0;
}

static void do_send(struct side *s, uint32_t id, struct input *in)
{
	uint32_t port = pick_port(in);
	const struct evtchn_port *p = evtchn_port_at(xen_of(s), port);
	struct signal sig = signal_of(s->vm, send_raises(p, port));
	uint32_t *told = p != NULL && p->ours ? p->be.context : NULL;
	uint32_t before = told != NULL ? *told : 0, all = told_all();
	int64_t error = xen_fuzz_call(s->vm, id, __HYPERVISOR_event_channel_op, EVTCHNOP_send, &port,
	                              sizeof(port), 0);

	require(p != NULL || error == -XEN_EINVAL, "no port, no send");
	require(told_all() - all == (told != NULL), "one backend is told of one send");
	require(told == NULL || *told == before + 1, "the right backend is told");
	check_signal(s->vm, &sig);
}

/* ------------------------------------------------------------------ the backends */

static void do_notify(struct side *s, uint32_t port)
{
	const struct evtchn_port *p = evtchn_port_at(xen_of(s), port);
	struct signal sig = signal_of(s->vm, p != NULL && p->ours ? port : 0);

	evtchn_backend_notify(s->vm, port);
	check_signal(s->vm, &sig);
}

static void do_backend(struct side *s, struct input *in)
{
	const struct evtchn_backend *be = &s->be[take_below(in, BACKENDS)];
	uint32_t port = pick_port(in);
	const struct evtchn_port *p = evtchn_port_at(xen_of(s), port);
	bool left_for_us = p != NULL && p->state == EVTCHNSTAT_unbound && p->remote_dom == XEN_DOMID_BACKENDS;

	switch (take_below(in, 6)) {
	case 0:
	case 1:
		require(evtchn_backend_bind(s->vm, port, be) == left_for_us,
		        "a backend gets what was left for it");
		break;
	case 2:
		evtchn_backend_unbind(s->vm, port);
		break;
	case 3:
		(void)evtchn_backend_alloc(s->vm, be);
		break;
	default:
		do_notify(s, port);
		break;
	}
}

/* ------------------------------------------------------------------ the guest's side of the bits */

static void do_bits(struct side *s, struct input *in)
{
	struct xen_vm *xen = xen_of(s);
	struct xen_vcpu *v = xen->vcpus[take_below(in, VCPUS)];
	uint32_t port = take_below(in, 16);

	switch (take_below(in, 5)) {
	case 0:
		(void)vm_page_set_bit(xen->shared, mask_bit(xen, port));
		break;
	case 1:
		(void)vm_page_clear_bit(xen->shared, mask_bit(xen, port));
		break;
	case 2:
		(void)vm_page_clear_bit(xen->shared,
		                        offsetof(struct xen_shared_info64, evtchn_pending) * 8 + port);
		break;
	case 3: /* as a guest's handler starts */
		vm_page_store8(v->info_page, v->info_off, 0);
		vm_page_store32(v->info_page, v->info_off + (xen->narrow ? 4 : 8), 0);
		break;
	default:
		vm_page_store8(xen->shared, (size_t)take_number(in, 2) % PAGE_BYTES, (uint8_t)take8(in));
		break;
	}
}

static void do_place(struct side *s, uint32_t id, struct input *in)
{
	struct xen_register_vcpu_info info = {INFO_GFN + take_below(in, 4),
	                                      (uint32_t)take_number(in, 2) % 4200, 0};
	struct xen_hvm_param_arg param = {DOMID_SELF, 0, HVM_PARAM_CALLBACK_IRQ,
	                                  2ull << HVM_PARAM_CALLBACK_IRQ_TYPE_SHIFT | take8(in)};
	struct xen_hvm_upcall_vector vector = {pick_vcpu(in), (uint8_t)take8(in), {0}};

	switch (take_below(in, 3)) {
	case 0:
		(void)evtchn_register_info(xen_of(s)->vcpus[id], info.mfn, info.offset);
		break;
	case 1:
		(void)xen_fuzz_call(s->vm, id, __HYPERVISOR_hvm_op, HVMOP_set_param, &param, sizeof(param),
		                    0);
		break;
	default:
		(void)xen_fuzz_call(s->vm, id, __HYPERVISOR_hvm_op, HVMOP_set_evtchn_upcall_vector, &vector,
		                    sizeof(vector), 0);
		break;
	}
}

static void do_machine(struct side *s, uint32_t id, struct input *in)
{
	struct vcpu *vcpu = vm_vcpu(s->vm, id);
	bool narrow = take_below(in, 2) != 0;
	struct vcpu_mode mode = {.protected_mode = true, .long_mode = !narrow, .code64 = !narrow};

	switch (take_below(in, 8)) {
	case 0:
	case 1:
		host_vcpu_set_mode(vcpu, mode);
		break;
	case 2:
		host_time_advance_ns(s->vm, take_number(in, 3));
		break;
	case 3:
		require(xen_face.reset(s->vm), "reset never fails");
		break;
	default:
		(void)xen_face.upcall(vcpu);
		break;
	}
}

/* ------------------------------------------------------------------ invariants */

static void check_port(const struct side *s, uint32_t port)
{
	struct xen_vm *xen = xen_of(s);
	const struct evtchn_port *p = &xen->ports[port];
	const struct evtchn_port *peer = &xen->ports[p->remote_port % EVTCHN_2L_NR_CHANNELS_64];
	const uint8_t *context = p->be.context;

	require(p->state != EVTCHNSTAT_closed, "a used port is open");
	require(p->vcpu < VCPUS, "a port's vCPU exists");
	if (p->ours) {
		require(p->state == EVTCHNSTAT_interdomain && p->remote_dom == XEN_DOMID_BACKENDS &&
		                context >= (const uint8_t *)s->told &&
		                context < (const uint8_t *)(s->told + BACKENDS),
		        "our end belongs to a backend of this guest");
	} else if (p->state == EVTCHNSTAT_interdomain) {
		require(p->remote_dom == vm_config(s->vm)->id && p->remote_port < EVTCHN_2L_NR_CHANNELS_64 &&
		                peer->state == EVTCHNSTAT_interdomain && !peer->ours &&
		                peer->remote_port == port && peer->remote_dom == p->remote_dom,
		        "both ends of a loopback know each other, and are this guest's");
	} else if (p->state == EVTCHNSTAT_virq) {
		require(xen->vcpus[p->virq == VIRQ_ARGO ? 0 : p->vcpu]->virq_port[p->virq] == port,
		        "a VIRQ knows its port");
	}
}

static void check_side(const struct side *s)
{
	struct xen_vm *xen = xen_of(s);
	uint64_t infos = 0;

	for (uint32_t word = 0; word < ARRAY_COUNT(xen->port_used); word++) {
		uint64_t used = word == 0 ? xen->port_used[0] & ~1ull : xen->port_used[word];

		for (; used != 0; used &= used - 1) {
			check_port(s, word * 64 + bit_lowest(used));
		}
	}
	for (uint32_t i = 0; i < VCPUS; i++) {
		infos += xen->vcpus[i]->info_registered;
		for (uint32_t virq = 0; virq < NR_VIRQS; virq++) {
			uint32_t port = xen->vcpus[i]->virq_port[virq];

			require(port == 0 || (xen->ports[port].state == EVTCHNSTAT_virq &&
			                      xen->ports[port].virq == virq),
			        "a VIRQ's port is its own");
		}
	}
	require(host_vm_leaks(s->vm).pins == infos, "each registered vcpu_info is one pin");
	require(!host_vm_killed(s->vm), "no guest is killed for a call");
}

/* ------------------------------------------------------------------ an input */

struct snapshot {
	uint64_t used[EVTCHN_2L_NR_CHANNELS_64 / 64];
	uint32_t told[BACKENDS];
	uint8_t shared[PAGE_BYTES];
};

static void snapshot_take(const struct side *s, struct snapshot *shot)
{
	memcpy(shot->used, xen_of(s)->port_used, sizeof(shot->used));
	memcpy(shot->told, s->told, sizeof(shot->told));
	vm_page_read(xen_of(s)->shared, 0, shot->shared, PAGE_BYTES);
}

static void step(struct input *in)
{
	static struct snapshot before, after;
	uint32_t what = take8(in), id = what / 16 % 4 % VCPUS;
	struct side *s = &sides[what >> 7], *other = &sides[(what >> 7) ^ 1];

	snapshot_take(other, &before);
	switch (what % 16) {
	case 0:
	case 1:
	case 2:
	case 3:
		do_bind(s, id, in);
		break;
	case 4:
	case 5:
	case 6:
		do_change(s, id, in);
		break;
	case 7:
	case 8:
	case 9:
		do_send(s, id, in);
		break;
	case 10:
	case 11:
	case 12:
		do_backend(s, in);
		break;
	case 13:
		do_bits(s, in);
		break;
	case 14:
		do_place(s, id, in);
		break;
	default:
		do_machine(s, id, in);
		break;
	}
	check_side(s);
	snapshot_take(other, &after);
	require(memcmp(&before, &after, sizeof(before)) == 0, "one guest's step never shows in the other");
}

static void notify(void *context)
{
	++*(uint32_t *)context;
}

static void side_new(struct side *s, uint32_t id)
{
	struct host_vm_config config = {
	        .vm = {.id = id, .vcpu_count = VCPUS, .xen_face = true, .clock = &guest_clock},
	};

	clock_init(&guest_clock, 1000000000u, true, 0);
	s->vm = host_vm_new(&config);
	for (uint32_t i = 0; i < BACKENDS; i++) {
		s->be[i] = (struct evtchn_backend){notify, &s->told[i]};
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct host_snapshot *starts[2];
	struct input in = {data, size};

	for (uint32_t i = 0; i < 2; i++) {
		if (starts[i] == NULL) {
			side_new(&sides[i], i + 1);
			require(xen_face.create(sides[i].vm), "create");
			starts[i] = host_snapshot_take(sides[i].vm);
			host_snapshot_add(starts[i], &sides[i], sizeof(sides[i]));
		} else {
			host_snapshot_restore(starts[i]);
		}
	}
	for (uint32_t i = 0; i < STEP_MAX && in.left != 0; i++) {
		step(&in);
	}
	for (uint32_t i = 0; i < 2; i++) {
		xen_face.teardown(sides[i].vm);
		host_vm_reset(sides[i].vm); /* panics if anything is left */
	}
	return 0;
}

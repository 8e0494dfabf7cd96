/*
 * certify.c - runs the probes of all tables, and brings the faces up and down for them.
 */
#include "guest-drivers/certify/certify.h"

#include "guest-drivers/certify/tap.h"
#include "guest-drivers/text.h"

#define POLLS_PER_US 1u

/* ------------------------------------------------------------------ a probe's words */

bool probe_check(struct probe *p, bool holds, const char *format, ...)
{
	char text[PROBE_TEXT_BYTES];
	va_list list;

	p->check_count++;
	if (holds) {
		return true;
	}
	va_start(list, format);
	(void)text_format_list(text, sizeof(text), format, list);
	va_end(list);
	if (p->failed_count == 0) {
		memcpy(p->failed, text, sizeof(text));
	} else if (p->failed_count < PROBE_FAILED_SHOWN) {
		certify_say(p->c, "# also failed: %s", text);
	}
	p->failed_count++;
	return false;
}

bool probe_equal(struct probe *p, uint64_t got, uint64_t wanted, const char *what)
{
	return probe_check(p, got == wanted, "%s: 0x%lx, not 0x%lx", what, (unsigned long)got,
	                   (unsigned long)wanted);
}

void probe_offer(struct probe *p, bool offered)
{
	p->offered = offered;
}

void probe_note(struct probe *p, const char *format, ...)
{
	va_list list;

	if (p->note_count < PROBE_NOTES) {
		va_start(list, format);
		(void)text_format_list(p->notes[p->note_count++], PROBE_TEXT_BYTES, format, list);
		va_end(list);
	}
}

void probe_skip(struct probe *p, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	(void)text_format_list(p->skip, sizeof(p->skip), format, list);
	va_end(list);
}

/* ------------------------------------------------------------------ instructions */

bool certify_rdmsr(struct certify *c, uint32_t msr, uint64_t *value)
{
	return c->guest->ops->rdmsr(c->guest->context, msr, value);
}

bool certify_wrmsr(struct certify *c, uint32_t msr, uint64_t value)
{
	return c->guest->ops->wrmsr(c->guest->context, msr, value);
}

void certify_cpuid(struct certify *c, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
	c->guest->ops->cpuid(c->guest->context, leaf, subleaf, regs);
}

bool certify_cpu_run(struct certify *c, uint32_t cpu, void (*work)(void *context), void *context)
{
	return c->machine->cpu_begin(cpu, work, context) && c->machine->cpu_wait(cpu);
}

bool certify_wait(struct certify *c, bool (*done)(void *context), void *context, uint32_t us)
{
	uint64_t start = c->machine == NULL ? 0 : c->machine->tsc();
	uint64_t limit = c->machine == NULL ? 0 : c->machine->tsc_hz / 1000000 * us;

	for (uint64_t polls = 0; !done(context); polls++) {
		if (c->machine == NULL ? polls > (uint64_t)us * POLLS_PER_US
		                       : c->machine->tsc() - start > limit) {
			return done(context);
		}
		guest_poll(c->guest);
	}
	return true;
}

/* ------------------------------------------------------------------ the faces, up and down */

struct hv_guest *certify_hv_started(struct probe *p)
{
	struct certify *c = p->c;

	if (c->hv_is_connected) {
		(void)probe_check(p, hv_bus_unload(&c->hv), "VMBus does not unload");
		c->hv_is_connected = false;
	}
	if (!c->hv_is_started) {
		c->hv_is_started = hv_start(&c->hv, c->guest);
		if (!c->hv_is_started) {
			hv_stop(&c->hv);
		}
		(void)probe_check(p, c->hv_is_started, "the hypercall page or the SynIC cannot be enabled");
	}
	return c->hv_is_started ? &c->hv : NULL;
}

struct hv_guest *certify_hv_connected(struct probe *p)
{
	struct certify *c = p->c;

	if (c->hv_is_connected) {
		return &c->hv;
	}
	if (certify_hv_started(p) == NULL) {
		return NULL;
	}
	if (!c->hv.has_messages) {
		probe_skip(p, "no VMBus here: neither PostMessage nor SignalEvent, or no SynIC");
		return NULL;
	}
	c->hv_is_connected = hv_bus_connect(&c->hv, VERSION_WIN10_V5_3);
	if (!c->hv_is_connected && c->hv.bus.post_status == HV_STATUS_INVALID_CONNECTION_ID) {
		probe_skip(p, "no VMBus here: no one has its connection for messages");
		return NULL;
	}
	(void)probe_check(p, c->hv_is_connected, "VMBus does not connect with any of 4.0 to 5.3");
	if (c->hv_is_connected && !probe_check(p, hv_bus_offers(&c->hv), "the offers do not come")) {
		certify_hv_down(c);
	}
	return c->hv_is_connected ? &c->hv : NULL;
}

/*
 * A registered vcpu_info is the hypervisor's page on Xen, and follows it; on KVM it is the guest's address, and has to be
 * registered again when the shared info has moved.
 */
static void info_follow(struct certify *c)
{
	struct xen_register_vcpu_info arg = {.mfn = c->xen.shared_below.gfn};

	if (c->xen_info_is_placed) {
		memcpy(c->xen.args.bytes, &arg, sizeof(arg));
		(void)xen_call(&c->xen, __HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, /* of CPU 0 */
		               c->xen.args.gfn << PAGE_SHIFT);
	}
}

struct xen_guest *certify_xen_started(struct probe *p)
{
	struct certify *c = p->c;
	int64_t error;

	if (!c->xen_is_started) {
		error = xen_start(&c->xen, c->guest);
		if (error == 0) {
			info_follow(c);
		}
		error = error == 0 ? xen_store_start(&c->xen) : error;
		c->xen_is_started = error == 0;
		if (!c->xen_is_started) {
			xen_stop(&c->xen);
		}
		(void)probe_check(p, c->xen_is_started, "Xen's pages or its store do not come up: %ld",
		                  (long)error);
	}
	return c->xen_is_started ? &c->xen : NULL;
}

void certify_hv_down(struct certify *c)
{
	if (c->hv_is_connected) {
		(void)!hv_bus_unload(&c->hv);
	}
	if (c->hv_is_started) {
		hv_stop(&c->hv);
	}
	c->hv_is_connected = false;
	c->hv_is_started = false;
}

void certify_xen_down(struct certify *c)
{
	if (c->xen_is_started) {
		xen_stop(&c->xen);
	}
	c->xen_is_started = false;
}

/* ------------------------------------------------------------------ all rows */

/* "table.row" is @id, or @id is the table's name. */
static bool row_is(const struct row_table *table, const struct row *row, const char *id)
{
	size_t length = text_length(table->name);

	return text_equal(table->name, id) ||
	       (text_starts(id, table->name) && id[length] == '.' && text_equal(id + length + 1, row->name));
}

static bool face_is_there(const struct certify *c, enum row_need need)
{
	return need == NEED_NOTHING || (need == NEED_HYPERV && c->faces.hyperv_base != 0) ||
	       (need == NEED_XEN && c->faces.xen_base != 0);
}

/* Why the row is not probed; NULL: it is. */
static const char *why_not(struct certify *c, const struct row_table *table, const struct row *row)
{
	if (!c->reached) {
		c->reached = row_is(table, row, c->options.after);
		return "done in an earlier boot";
	}
	if (c->options.only != NULL && !row_is(table, row, c->options.only)) {
		return "not asked for";
	}
	if (c->faces.hyperv_base == 0 && c->faces.xen_base == 0) {
		return "neither Hyper-V nor Xen here";
	}
	if (!face_is_there(c, table->need)) {
		return table->need == NEED_XEN ? "no Xen here" : "no Hyper-V here";
	}
	return NULL;
}

static void run_row(struct certify *c, const struct row_table *table, const struct row *row)
{
	struct probe p = {.c = c, .table = table, .row = row, .offered = row->specified};
	const char *why = why_not(c, table, row);

	if (why != NULL) {
		probe_skip(&p, "%s", why);
	} else {
		tap_probe_begin(c, table, row);
		row->probe(&p);
	}
	tap_probe_end(&p);
}

void certify_find(struct certify *c)
{
	face_find(&c->faces, c->guest);
}

static uint8_t *upcall_byte(void *context, uint32_t cpu)
{
	struct certify *c = context;
	uint8_t *first = c->guest->xen_upcall;

	return first == NULL || cpu >= XEN_LEGACY_MAX_VCPUS ? NULL
	                                                    : first + cpu * sizeof(struct xen_vcpu_info64);
}

void certify_run(struct certify *c)
{
	uint32_t rows = 0;

	certify_find(c);
	if (c->machine != NULL) {
		c->machine->upcall_bytes(upcall_byte, c);
	}
	c->reached = c->options.after == NULL;
	for (const struct row_table *const *table = certify_tables; *table != NULL; table++) {
		rows += (*table)->count;
	}
	tap_begin(c, rows);
	for (const struct row_table *const *table = certify_tables; *table != NULL; table++) {
		for (uint32_t i = 0; i < (*table)->count; i++) {
			run_row(c, *table, &(*table)->rows[i]);
		}
	}
	certify_hv_down(c);
	certify_xen_down(c);
	tap_end(c);
}

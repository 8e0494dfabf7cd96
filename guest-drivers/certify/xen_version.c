/*
 * xen_version.c - probes of specs/xen_version.def: what Xen says of itself, by Xen's version.h and features.h.
 */
#include "guest-drivers/certify/xen_probe.h"
#include "guest-drivers/text.h"

#define FILL 0xA5u
#define BAD_ADDRESS 0x000FFFFFFFFFF000ull /* no guest has memory there */

/* The operation of the row, with the answer in @x->args; its result. */
static int64_t ask(struct probe *p, struct xen_guest *x)
{
	memset(x->args.bytes, FILL, PAGE_BYTES);
	return xen_call(x, __HYPERVISOR_xen_version, p->row->number, x->args.gfn << PAGE_SHIFT, 0);
}

/* The same, if it is offered. */
static bool answers(struct probe *p, struct xen_guest *x)
{
	int64_t result = ask(p, x);

	return xp_offered(p, result) && xp_result(p, result, 0, "result");
}

/* Nothing is written beyond the @len bytes of the answer, and none to an address that is no memory: -EFAULT. */
static void check_bounds(struct probe *p, struct xen_guest *x, size_t len)
{
	bool untouched = true;

	for (size_t i = len; i < PAGE_BYTES; i++) {
		untouched = untouched && x->args.bytes[i] == FILL;
	}
	(void)probe_check(p, untouched, "more than %lu bytes were written", (unsigned long)len);
	(void)probe_equal(p, (uint64_t)xen_call(x, __HYPERVISOR_xen_version, p->row->number, BAD_ADDRESS, 0),
	                  (uint64_t)-XEN_EFAULT, "an answer to where there is no memory");
}

/* A text of a fixed field: it ends inside it. */
static void probe_text(struct probe *p, size_t len)
{
	struct xen_guest *x = certify_xen_started(p);
	bool ends = false;

	if (x == NULL || !answers(p, x)) {
		return;
	}
	for (size_t i = 0; i < len; i++) {
		ends = ends || x->args.bytes[i] == 0;
	}
	if (probe_check(p, ends, "the text does not end in its %lu bytes", (unsigned long)len)) {
		probe_note(p, "\"%s\"", (const char *)x->args.bytes);
	}
	check_bounds(p, x, len);
}

/* Operations that answer with their result. */
static void probe_version(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	uint32_t regs[4];
	int64_t version;

	if (x == NULL) {
		return;
	}
	version = xen_call(x, __HYPERVISOR_xen_version, XENVER_version, 0, 0);
	certify_cpuid(p->c, p->c->faces.xen_base + 1, 0, regs);
	(void)probe_equal(p, (uint64_t)version, regs[0], "the version, against CPUID's");
	(void)probe_check(p, version >> 16 >= 3, "a major version of %ld", (long)(version >> 16));
	probe_note(p, "%ld.%ld", (long)(version >> 16), (long)(version & 0xFFFF));
}

static void probe_extraversion(struct probe *p)
{
	probe_text(p, 16);
}

static void probe_compile_info(struct probe *p)
{
	probe_text(p, sizeof(struct xen_compile_info_text));
}

static void probe_capabilities(struct probe *p)
{
	probe_text(p, 1024);
}

static void probe_changeset(struct probe *p)
{
	probe_text(p, 64);
}

static void probe_platform_parameters(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL && answers(p, x)) {
		check_bounds(p, x, 8);
	}
}

static void probe_get_features(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	struct xen_feature_submap info = {0};
	uint32_t needed = 1u << XENFEAT_hvm_callback_vector;

	if (x == NULL) {
		return;
	}
	(void)probe_equal(p,
	                  (uint64_t)xen_call_struct(x, __HYPERVISOR_xen_version, XENVER_get_features, &info,
	                                            sizeof(info)),
	                  0, "result");
	(void)probe_check(p, (info.submap & needed) == needed, "no callback vector: features 0x%x",
	                  info.submap);
	probe_note(p, "features 0x%x", info.submap);
	info.submap_idx = 1000;
	(void)probe_equal(p,
	                  (uint64_t)xen_call_struct(x, __HYPERVISOR_xen_version, XENVER_get_features, &info,
	                                            sizeof(info)),
	                  (uint64_t)-XEN_EINVAL, "a submap that there is not");
}

static void probe_pagesize(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t bytes;

	if (x != NULL) {
		bytes = xen_call(x, __HYPERVISOR_xen_version, XENVER_pagesize, 0, 0);
		if (xp_offered(p, bytes)) {
			(void)xp_result(p, bytes, PAGE_BYTES, "the page's size");
		}
	}
}

static void probe_guest_handle(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);

	if (x != NULL && answers(p, x)) {
		check_bounds(p, x, 16);
	}
}

static void probe_commandline(struct probe *p)
{
	probe_text(p, 1024);
}

/* Room of 0 asks how much is needed; without an id: -ENODATA. */
static void probe_build_id(struct probe *p)
{
	struct xen_guest *x = certify_xen_started(p);
	int64_t length;

	if (x == NULL) {
		return;
	}
	length = xen_call(x, __HYPERVISOR_xen_version, XENVER_build_id, 0, 0);
	probe_offer(p, length > 0);
	(void)probe_check(
	        p, length > 0 || length == -XEN_ENODATA || length == -XEN_EPERM || length == -XEN_ENOSYS,
	        "result %ld", (long)length);
	probe_note(p, "result %ld", (long)length);
}

#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##name)
static const struct row rows[] = {
#include "specs/xen_version.def"
};
ROW_TABLE(xen_version, NEED_XEN)

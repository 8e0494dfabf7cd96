/*
 * version.c - xen_version: what the hypervisor says of itself.
 *
 * Follows Xen's version.h and features.h. Outputs are cleared whole before they are filled.
 */
#include "enlighten/xen/xen_state.h"

/* Copies @text, cut and padded with zeros, to a field of @len bytes. */
static void set_text(char *to, size_t len, const char *text)
{
	size_t i = 0;

	memset(to, 0, len);
	while (i + 1 < len && text[i] != '\0') {
		to[i] = text[i];
		i++;
	}
}

#define TEXT_MAX 1024u

static int64_t put_text(struct xen_call *call, size_t len, const char *text)
{
	char field[TEXT_MAX];

	set_text(field, len, text);
	return xen_put(call, call->args[1], field, len) ? 0 : -XEN_EFAULT;
}

static int64_t get_version(struct xen_call *call)
{
	(void)call;
	return XEN_VERSION_MAJOR << 16 | XEN_VERSION_MINOR;
}

static int64_t get_extraversion(struct xen_call *call)
{
	return put_text(call, 16, ".0-janus");
}

static int64_t get_compile_info(struct xen_call *call)
{
	struct xen_compile_info_text info;

	set_text(info.compiler, sizeof(info.compiler), __VERSION__);
	set_text(info.compile_by, sizeof(info.compile_by), "janus");
	set_text(info.compile_domain, sizeof(info.compile_domain), "");
	set_text(info.compile_date, sizeof(info.compile_date), "");
	return xen_put(call, call->args[1], &info, sizeof(info)) ? 0 : -XEN_EFAULT;
}

static int64_t get_capabilities(struct xen_call *call)
{
	return put_text(call, 1024, "hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64");
}

static int64_t get_changeset(struct xen_call *call)
{
	return put_text(call, 64, "");
}

static int64_t get_platform_parameters(struct xen_call *call)
{
	uint64_t virt_start = 0;

	return xen_put(call, call->args[1], &virt_start, call->narrow ? 4 : 8) ? 0 : -XEN_EFAULT;
}

static int64_t get_features(struct xen_call *call)
{
	struct xen_feature_submap info;

	if (!xen_get(call, call->args[1], &info, sizeof(info))) {
		return -XEN_EFAULT;
	}
	if (info.submap_idx != 0) {
		return -XEN_EINVAL;
	}
	info.submap = BIT(XENFEAT_writable_page_tables) | BIT(XENFEAT_auto_translated_physmap) |
	              BIT(XENFEAT_hvm_callback_vector) | BIT(XENFEAT_hvm_safe_pvclock) |
	              BIT(XENFEAT_memory_op_vnode_supported) | BIT(XENFEAT_not_direct_mapped) |
	              BIT(XENFEAT_runstate_phys_area) | BIT(XENFEAT_vcpu_time_phys_area);
	return xen_put(call, call->args[1], &info, sizeof(info)) ? 0 : -XEN_EFAULT;
}

static int64_t get_pagesize(struct xen_call *call)
{
	(void)call;
	return PAGE_BYTES;
}

static int64_t get_guest_handle(struct xen_call *call)
{
	return xen_put(call, call->args[1], vm_config(call->vm)->uuid, 16) ? 0 : -XEN_EFAULT;
}

static int64_t get_commandline(struct xen_call *call)
{
	return put_text(call, 1024, "<denied>");
}

enum {
#define SPEC_ROW XEN_ROW_PLACE
#include "specs/xen_version.def"
#undef SPEC_ROW
};

static const struct xen_row rows[] = {
#define SPEC_ROW XEN_ROW_ENTRY
#include "specs/xen_version.def"
#undef SPEC_ROW
};

int64_t xen_version_op(struct xen_call *call)
{
	return xen_dispatch(call, SPEC_XEN_VERSION, rows, ARRAY_COUNT(rows), (uint32_t)call->args[0]);
}

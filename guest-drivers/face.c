/*
 * face.c - see face.h.
 */
#include "guest-drivers/face.h"

#include "abi/hyperv.h"
#include "abi/xen.h"
#include "base/bits.h"

#define HYPERVISOR_PRESENT BIT(31) /* CPUID leaf 1, ECX */
#define EAX 0
#define EBX 1
#define ECX 2
#define EDX 3

static void ask(struct guest *guest, uint32_t leaf, uint32_t regs[4])
{
	guest->ops->cpuid(guest->context, leaf, 0, regs);
}

/* One byte of a signature as text; gives where the next goes. */
static char *put_byte(char *to, uint8_t byte)
{
	static const char digits[] = "0123456789abcdef";

	if (byte >= 0x20 && byte < 0x7f && byte != '\\' && byte != '"') {
		*to++ = (char)byte;
		return to;
	}
	*to++ = '\\';
	*to++ = 'x';
	*to++ = digits[byte >> 4];
	*to++ = digits[byte & 15];
	return to;
}

static void put_text(char *to, const uint32_t regs[4])
{
	uint8_t bytes[12];
	size_t count = sizeof(bytes);

	memcpy(bytes, &regs[EBX], sizeof(bytes));
	while (count != 0 && bytes[count - 1] == 0) {
		count--;
	}
	for (size_t i = 0; i < count; i++) {
		to = put_byte(to, bytes[i]);
	}
	*to = 0;
}

/*
 * Leaves that do not exist read as zeros, or (Intel) as the last one that does. A hypervisor's says which is
 * its own last; KVM's first ones said 0 there.
 */
static bool is_signature(uint32_t base, const uint32_t regs[4])
{
	bool in_range = regs[EAX] >= base && regs[EAX] < base + FACE_STRIDE;

	return (in_range || (base == FACE_FIRST_LEAF && regs[EAX] == 0)) &&
	       (regs[EBX] | regs[ECX] | regs[EDX]) != 0;
}

static void look_for_hyperv(struct face_found *found, struct guest *guest, uint32_t base,
                            const uint32_t regs[4])
{
	uint32_t max = regs[EAX];
	uint32_t more[4];

	if (base != HYPERV_CPUID_VENDOR_AND_MAX_FUNCTIONS || regs[EBX] != HYPERV_VENDOR_EBX ||
	    regs[ECX] != HYPERV_VENDOR_ECX || regs[EDX] != HYPERV_VENDOR_EDX ||
	    max < HYPERV_CPUID_IMPLEMENT_LIMITS) {
		return;
	}
	ask(guest, HYPERV_CPUID_INTERFACE, more);
	if (more[EAX] != HYPERV_INTERFACE_EAX) {
		return;
	}
	found->hyperv_base = base;
	found->hyperv_max = max;
	ask(guest, HYPERV_CPUID_VERSION, more);
	found->hyperv_build = more[EAX];
	found->hyperv_major = (uint16_t)(more[EBX] >> 16);
	found->hyperv_minor = (uint16_t)more[EBX];
}

static void look_for_xen(struct face_found *found, struct guest *guest, uint32_t base, const uint32_t regs[4])
{
	uint32_t more[4];

	if (found->xen_base != 0 || regs[EBX] != XEN_CPUID_SIGNATURE_EBX ||
	    regs[ECX] != XEN_CPUID_SIGNATURE_ECX || regs[EDX] != XEN_CPUID_SIGNATURE_EDX ||
	    regs[EAX] < base + 2) {
		return;
	}
	found->xen_base = base;
	found->xen_max = regs[EAX];
	ask(guest, base + 1, more);
	found->xen_major = (uint16_t)(more[EAX] >> 16);
	found->xen_minor = (uint16_t)more[EAX];
}

static void keep(struct face_found *found, uint32_t base, const uint32_t regs[4])
{
	struct face_signature *signature = &found->signatures[found->count];

	if (found->count == FACE_SIGNATURES_MAX) {
		found->lost++;
		return;
	}
	found->count++;
	signature->base = base;
	signature->max = regs[EAX];
	put_text(signature->text, regs);
}

void face_find(struct face_found *found, struct guest *guest)
{
	uint32_t regs[4];

	memset(found, 0, sizeof(*found));
	ask(guest, 1, regs);
	if ((regs[ECX] & HYPERVISOR_PRESENT) == 0) {
		return;
	}
	for (uint32_t i = 0; i < FACE_BASES; i++) {
		uint32_t base = FACE_FIRST_LEAF + i * FACE_STRIDE;

		ask(guest, base, regs);
		if (is_signature(base, regs)) {
			keep(found, base, regs);
			look_for_hyperv(found, guest, base, regs);
			look_for_xen(found, guest, base, regs);
		}
	}
}

const char *face_name_of(const struct face_found *found)
{
	if (found->hyperv_base != 0) {
		return found->xen_base != 0 ? "both" : "hyperv";
	}
	return found->xen_base != 0 ? "xen" : "none";
}

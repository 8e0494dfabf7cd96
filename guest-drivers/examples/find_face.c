/*
 * find_face.c - an example: says how it was started, which hypervisors show themselves, and which of the two
 * faces can be used. Needs nothing but CPUID, so it runs on any machine.
 */
#include "guest-drivers/face.h"
#include "guest-drivers/metal/console.h"
#include "guest-drivers/metal/cpu.h"

static void report_machine(void)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < boot_info.range_count; i++) {
		bytes += boot_info.ranges[i].type == BOOT_RAM ? boot_info.ranges[i].bytes : 0;
	}
	report("boot=%s", boot_kind_name(boot_info.kind));
	report("modules=%u", boot_info.module_count);
	report("memory_kib=%lu", (unsigned long)(bytes >> 10));
	report("tables=%s", acpi.oem);
	report("screen=%s", (console_kinds() & CONSOLE_SCREEN) == 0            ? "none"
	                    : boot_info.framebuffer.kind == BOOT_SCREEN_PIXELS ? "pixels"
	                                                                       : "text");
}

static void report_faces(const struct face_found *found)
{
	for (uint32_t i = 0; i < found->count; i++) {
		const struct face_signature *s = &found->signatures[i];

		report("signature=%s at %lx, last leaf %lx", s->text, (unsigned long)s->base,
		       (unsigned long)s->max);
	}
	if (found->hyperv_base != 0) {
		report("hyperv=%u.%u build %u", found->hyperv_major, found->hyperv_minor,
		       found->hyperv_build);
	}
	if (found->xen_base != 0) {
		report("xen=%u.%u", found->xen_major, found->xen_minor);
	}
	report("face=%s", face_name_of(found));
}

void program_main(void)
{
	/* cpu_init() has looked already. Without metal/: struct face_found found; face_find(&found, &guest); */
	report_machine();
	report_faces(faces_found());
	finish(true);
}

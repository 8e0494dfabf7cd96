/*
 * xen_loopback.c - loop guests with the Xen face, its store and its devices, in the order that
 * enlighten/xen/xen.h asks for.
 */
#include "base/check.h"
#include "enlighten/xen/xen.h"
#include "enlighten/xen/xenbus.h"
#include "tests/loopback/loopback.h"

void loop_xen_new(struct loop_guest *loop, const struct loop_config *config)
{
	loop_new(loop, config, &xen_face, true, false);
	CHECK(loop->face->create(loop->vm));
	CHECK(xenbus_create(loop->vm));
}

void loop_xen_reset(struct loop_guest *loop)
{
	xenbus_teardown(loop->vm);
	CHECK(loop->face->reset(loop->vm));
	for (uint64_t gfn = 0; gfn <= vm_max_gfn(loop->vm); gfn++) {
		CHECK(vm_is_ram(loop->vm, gpa(gfn << PAGE_SHIFT)) ||
		      vm_ram_give(loop->vm, gpa(gfn << PAGE_SHIFT)) == VM_OK);
	}
	CHECK(xenbus_reset(loop->vm));
}

void loop_xen_free(struct loop_guest *loop, bool strict)
{
	xenbus_teardown(loop->vm);
	loop->face->teardown(loop->vm);
	loop_free(loop, strict);
}

/*
 * hv_loopback.c - loop guests with the Hyper-V face and its bus, in the order that
 * enlighten/hyperv/hyperv.h and vmbus/bus.h ask for.
 */
#include "tests/loopback/hv_loopback.h"

#include "base/check.h"
#include "vmbus/bus.h"

void loop_hv_new(struct loop_guest *loop, const struct loop_config *config)
{
	loop_new(loop, config, &personality, false, true);
	CHECK(loop->face->create(loop->vm));
	CHECK(vmbus_create(loop->vm));
}

void loop_hv_reset(struct loop_guest *loop)
{
	CHECK(vmbus_reset(loop->vm));
	CHECK(loop->face->reset(loop->vm));
}

void loop_hv_free(struct loop_guest *loop, bool strict)
{
	vmbus_teardown(loop->vm);
	loop->face->teardown(loop->vm);
	loop_free(loop, strict);
}

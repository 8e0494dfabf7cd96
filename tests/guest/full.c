/*
 * full.c - a guest that dies with its rings full: it puts disk writes and frames into the rings of both its devices
 * until no more go in, without ringing a doorbell meanwhile.
 *
 * mode=full leaves it at that and spins: Janus has not seen a thing of it. mode=crash rings both doorbells and crashes at once.
 * mode=storm rings, takes what has come, and begins again, until someone ends it. It says `full=N disk, N net` once.
 */
#include "abi/hyperv.h"
#include "abi/xen.h"
#include "guest-drivers/hyperv/hyperv.h"
#include "guest-drivers/xen/xen.h"
#include "guest-drivers/metal/machine.h"

#define VBD_ID (202u << 8)
#define PIECES BLKIF_MAX_SEGMENTS_PER_REQUEST
#define SECTORS_A_PAGE 8u
#define FRAME_BYTES 1514u
#define FILL_MAX 4096u /* no ring has more places */
#define BELLS_MAX 8u
#define CONTROL_CALL 0xffffu

static struct guest *machine;
static struct guest muffled; /* the same, but for its doorbells */
static struct guest_ops muffled_ops;
static bool is_xen;
static bool held; /* doorbells are kept back */
static struct xen_guest xen;
static struct xen_blkfront blk;
static struct xen_netfront xen_net;
static struct hv_guest hv;
static struct hv_storvsc stor;
static struct hv_disk disk;
static struct hv_netvsc hv_net;
static struct guest_page pages[PIECES];
static uint8_t frame_bytes[FRAME_BYTES];
static uint64_t bells[BELLS_MAX]; /* ports or connections */
static uint32_t bell_count;

/* ---------------------------------------------------------------- doorbells */

static void keep_bell(uint64_t bell)
{
	for (uint32_t i = 0; i < bell_count; i++) {
		if (bells[i] == bell) {
			return;
		}
	}
	if (bell_count < BELLS_MAX) {
		bells[bell_count++] = bell;
	}
}

static int64_t call_xen(void *context, uint32_t number, const uint64_t args[5])
{
	if (held && number == __HYPERVISOR_event_channel_op && args[0] == EVTCHNOP_send) {
		keep_bell(*(const uint32_t *)(uintptr_t)args[1]);
		return 0;
	}
	return machine->ops->hypercall_xen(context, number, args);
}

static uint64_t call_hyperv(void *context, uint64_t control, uint64_t input, uint64_t output)
{
	if (held && (control & CONTROL_CALL) == HVCALL_SIGNAL_EVENT) {
		keep_bell(input); /* fast: the connection itself */
		return 0;
	}
	return machine->ops->hypercall_hyperv(context, control, input, output);
}

static void muffle(void)
{
	muffled_ops = *machine->ops;
	muffled_ops.hypercall_xen = call_xen;
	muffled_ops.hypercall_hyperv = call_hyperv;
	muffled = *machine;
	muffled.ops = &muffled_ops;
}

static void ring_bells(void)
{
	held = false;
	for (uint32_t i = 0; i < bell_count; i++) {
		if (is_xen) {
			(void)xen_port_notify(&xen, (uint32_t)bells[i]);
		} else {
			(void)hv_signal_event(&hv, (uint32_t)bells[i], (uint16_t)(bells[i] >> 32));
		}
	}
	bell_count = 0;
}

/* ---------------------------------------------------------------- filling */

static void xen_done(void *context, int status)
{
	(void)context;
	(void)status;
}

static void hv_done(void *context, const struct hv_scsi_result *result)
{
	(void)context;
	(void)result;
}

static bool put_write(void)
{
	struct xen_blk_piece pieces[PIECES];
	uint64_t gfns[PIECES];
	const struct hv_buffer buffer = {.bytes = PIECES * PAGE_BYTES, .gfns = gfns};

	for (uint32_t i = 0; i < PIECES; i++) {
		pieces[i] = (struct xen_blk_piece){.gfn = pages[i].gfn, .first = 0, .last = SECTORS_A_PAGE - 1};
		gfns[i] = pages[i].gfn;
	}
	return is_xen ? xen_blkfront_submit(&blk, BLKIF_OP_WRITE, 0, pieces, PIECES, xen_done, NULL)
		      : hv_disk_submit(&disk, HV_DISK_WRITE, 0, &buffer, hv_done, NULL);
}

static bool put_frame(void)
{
	const struct xen_net_frame xen_frame = {.bytes = frame_bytes, .len = FRAME_BYTES};
	const struct hv_net_frame hv_frame = {.bytes = frame_bytes, .len = FRAME_BYTES};

	return is_xen ? xen_netfront_send(&xen_net, &xen_frame) : hv_netvsc_send(&hv_net, &hv_frame, 1);
}

static uint32_t fill(bool (*put)(void))
{
	uint32_t count = 0;

	while (count < FILL_MAX && put()) {
		count++;
	}
	return count;
}

static void make_frame(void)
{
	memset(frame_bytes, 0xff, 6); /* to all */
	memcpy(frame_bytes + 6, is_xen ? xen_net.mac : hv_net.mac, 6);
	frame_bytes[12] = 0x88;
	frame_bytes[13] = 0xb5;
}

/* ---------------------------------------------------------------- start and end */

static void xen_heard(void *context, const struct xen_net_frame *frame)
{
	(void)context;
	(void)frame;
}

static void hv_heard(void *context, const struct hv_net_frame *frame)
{
	(void)context;
	(void)frame;
}

static bool open_xen(void)
{
	return xen_start(&xen, &muffled) == 0 && xen_store_start(&xen) == 0 &&
	       xen_blkfront_open(&blk, &xen, VBD_ID) && xen_netfront_open(&xen_net, &xen, 0, xen_heard, NULL);
}

static bool open_hyperv(void)
{
	uint8_t lun = 0;

	return hv_start(&hv, &muffled) && hv_bus_connect(&hv, VERSION_WIN10_V5_3) && hv_bus_offers(&hv) &&
	       hv_storvsc_open(&stor, &hv, 0) && hv_storvsc_luns(&stor, &lun, 1) == 1 &&
	       hv_disk_open(&disk, &stor, lun) && hv_netvsc_open(&hv_net, &hv, 0, hv_heard, NULL);
}

NORETURN static void crash(void)
{
	static const uint32_t reason = SHUTDOWN_crash;
	const uint64_t args[5] = {SCHEDOP_shutdown, (uintptr_t)&reason};

	if (is_xen) {
		(void)machine->ops->hypercall_xen(machine->context, __HYPERVISOR_sched_op, args);
	} else {
		(void)msr_write_safe(HV_X64_MSR_CRASH_CTL, HV_CRASH_CTL_CRASH_NOTIFY);
	}
	for (;;) {
		cpu_pause();
	}
}

static void poll(void)
{
	if (is_xen) {
		xen_poll(&xen);
		xen_blkfront_poll(&blk);
		xen_netfront_poll(&xen_net);
	} else {
		hv_poll(&hv);
	}
}

void program_main(void)
{
	bool ready = true;
	uint32_t writes, frames;

	machine = machine_open(false);
	muffle();
	is_xen = !has_hyperv();
	for (uint32_t i = 0; ready && i < PIECES; i++) {
		ready = guest_page_alloc(machine, &pages[i]);
	}
	if (!ready || !(is_xen ? open_xen() : open_hyperv())) {
		report("error=its devices did not come up");
		finish(false);
	}
	make_frame();
	held = true;
	writes = fill(put_write);
	frames = fill(put_frame);
	report("full=%u disk, %u net", writes, frames);
	if (option_is("mode", "crash")) {
		ring_bells();
		crash();
	}
	while (option_is("mode", "storm")) {
		ring_bells();
		poll();
		held = true;
		(void)fill(put_write);
		(void)fill(put_frame);
	}
	for (;;) {
		cpu_pause();
	}
}

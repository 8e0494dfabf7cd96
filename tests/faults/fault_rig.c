/*
 * fault_rig.c - guests of either face with faults around them. What it is: fault_rig.h.
 */
#include "tests/faults/fault_rig.h"

#include "base/check.h"
#include "enlighten/xen/xen.h"
#include "enlighten/xen/xenbus.h"
#include "vmbus/bus.h"

#define VBD_ID (202u << 8)
#define HYPERCALL_CODE 0xFFFFu
#define WAIT_POLLS 4000u

const char *const fault_face_names[FAULT_FACES] = {"xen", "hyperv"};

struct fault_guest fault_guests[2];
struct ether_switch fault_lan;

static struct fault_guest *guest_of(void *loop)
{
	return CONTAINER_OF((struct loop_guest *)loop, struct fault_guest, loop);
}

/* ------------------------------------------------------------------ exits, doorbells */

/* Each exit is a point at which the guest can end, and at which its disk may be done with something. */
static void at_exit(struct loop_guest *loop)
{
	struct fault_guest *g = guest_of(loop);

	if (g->disk != NULL) {
		fault_disk_run(g->disk, vm_time_ns(loop->vm));
	}
	g->points++;
	if (g->end_at != 0 && g->points == g->end_at) {
		g->end_at = 0;
		longjmp(g->end, 1);
	}
}

static void op_poll(void *context)
{
	struct fault_guest *g = guest_of(context);

	g->loop.exit_count++;
	at_exit(&g->loop);
	for (uint32_t i = 0; i < ARRAY_COUNT(fault_guests); i++) {
		struct fault_guest *each = &fault_guests[i];

		if (each->loop.vm == NULL) {
			continue;
		}
		host_time_advance_ns(each->loop.vm, each->poll_ns);
		(void)host_run_timers(each->loop.vm);
		if (each->whole_work) {
			(void)host_run_work(each->loop.vm);
		} else {
			(void)host_run_work_once(each->loop.vm);
		}
	}
}

static void op_poll_nothing(void *context)
{
	(void)context;
}

/* What becomes of this doorbell: how often it rings. */
static uint32_t bell_rings(struct fault_guest *g)
{
	if (g->bell != FAULT_BELL_LOST && g->bell != FAULT_BELL_DOUBLED) {
		return 1;
	}
	if (++g->bell_seen != g->bell_nth) {
		return 1;
	}
	g->bell_fired++;
	return g->bell == FAULT_BELL_LOST ? 0 : 2;
}

static int64_t op_hypercall_xen(void *context, uint32_t number, const uint64_t args[5])
{
	struct fault_guest *g = guest_of(context);
	bool bell = number == __HYPERVISOR_event_channel_op && args[0] == EVTCHNOP_send;
	uint32_t rings = bell ? bell_rings(g) : 1;
	int64_t result = 0;

	for (; rings != 0; rings--) {
		result = g->loop_ops->hypercall_xen(context, number, args);
	}
	return result;
}

static uint64_t op_hypercall_hyperv(void *context, uint64_t control, uint64_t input, uint64_t output)
{
	struct fault_guest *g = guest_of(context);
	bool bell = (control & HYPERCALL_CODE) == HVCALL_SIGNAL_EVENT;
	uint32_t rings = bell ? bell_rings(g) : 1;
	uint64_t result = 0;

	for (; rings != 0; rings--) {
		result = g->loop_ops->hypercall_hyperv(context, control, input, output);
	}
	return result;
}

/* ------------------------------------------------------------------ life */

struct fault_guest *fault_machine(uint32_t index, enum fault_face face, struct fault_disk *disk, bool nic)
{
	struct fault_guest *g = &fault_guests[index];
	struct loop_config config = {
		.id = index + 1,
		.memory_bytes = 4u << 20,
		.disk_count = disk != NULL ? 1 : 0,
		.disks = {{.block = &g->block}},
		.nic_count = nic ? 1 : 0,
		.nic_switch = &fault_lan,
		.first_mac = (uint8_t)(0x50 + index),
	};

	memset(g, 0, sizeof(*g));
	g->face = face;
	g->index = index;
	g->disk = disk;
	g->poll_ns = 1000;
	if (disk != NULL) {
		CHECK(block_open_window(&g->block, &disk->whole, FAULT_FIRST, FAULT_SECTORS, false, "fault-0"));
	}
	loop_new(&g->loop, &config, face == FAULT_XEN ? &xen_face : &personality, face == FAULT_XEN,
		 face == FAULT_HYPERV);
	g->loop_ops = g->loop.guest.ops;
	g->ops = *g->loop_ops;
	g->ops.poll = op_poll;
	g->ops.hypercall_xen = op_hypercall_xen;
	g->ops.hypercall_hyperv = op_hypercall_hyperv;
	g->loop.guest.ops = &g->ops;
	g->loop.guest.poll_max = 2000;
	g->loop.at_exit = at_exit;
	memcpy(g->mac, "\x02\x00\x00\x00\x00", 5);
	g->mac[5] = (uint8_t)(0x50 + index);
	return g;
}

bool fault_create(struct fault_guest *g)
{
	struct vm *vm = g->loop.vm;

	if (!g->loop.face->create(vm)) {
		return false;
	}
	g->created = g->face == FAULT_XEN ? xenbus_create(vm) : vmbus_create(vm);
	if (!g->created) { /* which has left nothing behind: only the face is to go */
		g->loop.face->teardown(vm);
	}
	return g->created;
}

void fault_teardown(struct fault_guest *g)
{
	if (g->face == FAULT_XEN) {
		xenbus_teardown(g->loop.vm);
	} else {
		vmbus_teardown(g->loop.vm);
	}
	g->loop.face->teardown(g->loop.vm);
	g->created = false;
}

bool fault_start(struct fault_guest *g)
{
	if (g->face == FAULT_XEN) {
		return xen_start(&g->xen, &g->loop.guest) == 0 && xen_store_start(&g->xen) == 0;
	}
	return hv_start(&g->hv, &g->loop.guest) && hv_bus_connect(&g->hv, VERSION_WIN10_V5_3) &&
	       hv_bus_offers(&g->hv);
}

void fault_stop(struct fault_guest *g)
{
	if (g->face == FAULT_XEN) {
		xen_stop(&g->xen);
		return;
	}
	if (g->hv.messages != NULL && g->hv.bus.version != 0) {
		CU_ASSERT_TRUE(hv_bus_unload(&g->hv));
	}
	hv_stop(&g->hv);
}

bool fault_disk_open(struct fault_guest *g)
{
	if (g->face == FAULT_XEN) {
		g->disk_open = xen_blkfront_open(&g->blk, &g->xen, VBD_ID);
	} else {
		g->disk_open = hv_storvsc_open(&g->stor, &g->hv, 0);
		if (g->disk_open && !hv_disk_open(&g->hv_disk, &g->stor, 0)) {
			(void)fault_disk_close(g);
		}
	}
	return g->disk_open;
}

bool fault_disk_close(struct fault_guest *g)
{
	if (!g->disk_open) {
		return true;
	}
	g->disk_open = false;
	return g->face == FAULT_XEN ? xen_blkfront_close(&g->blk) : hv_storvsc_close(&g->stor);
}

static void frame_received(struct fault_guest *g, const uint8_t *bytes, uint32_t len)
{
	uint32_t number;

	g->frames_in++;
	if (len < 60 || memcmp(bytes, g->mac, 6) != 0) {
		g->frames_bad++;
		return;
	}
	memcpy(&number, bytes + 14, 4);
	for (uint32_t i = 18; i < len; i++) {
		g->frames_bad += bytes[i] != (uint8_t)(number + i);
	}
	number %= ARRAY_COUNT(g->frames_seen);
	g->frames_twice += g->frames_seen[number];
	g->frames_seen[number] = 1;
}

static void xen_frame(void *context, const struct xen_net_frame *frame)
{
	frame_received(context, frame->bytes, frame->len);
}

static void hv_frame(void *context, const struct hv_net_frame *frame)
{
	frame_received(context, frame->bytes, frame->len);
}

bool fault_net_open(struct fault_guest *g)
{
	g->net_open = g->face == FAULT_XEN ? xen_netfront_open(&g->xen_net, &g->xen, 0, xen_frame, g)
					   : hv_netvsc_open(&g->hv_net, &g->hv, 0, hv_frame, g);
	return g->net_open;
}

bool fault_net_close(struct fault_guest *g)
{
	if (!g->net_open) {
		return true;
	}
	g->net_open = false;
	return g->face == FAULT_XEN ? xen_netfront_close(&g->xen_net) : hv_netvsc_close(&g->hv_net);
}

void fault_destroy(struct fault_guest *g, bool strict)
{
	if (g->created) {
		fault_teardown(g);
	}
	loop_free(&g->loop, strict);
	g->loop.vm = NULL;
}

struct fault_guest *fault_up(uint32_t index, enum fault_face face, struct fault_disk *disk, bool nic)
{
	struct fault_guest *g = fault_machine(index, face, disk, nic);

	CU_ASSERT_TRUE_FATAL(fault_create(g));
	CU_ASSERT_TRUE_FATAL(fault_start(g));
	CU_ASSERT_TRUE_FATAL(disk == NULL || fault_disk_open(g));
	CU_ASSERT_TRUE_FATAL(!nic || fault_net_open(g));
	return g;
}

void fault_down(struct fault_guest *g)
{
	CU_ASSERT_TRUE_FATAL(fault_net_close(g));
	CU_ASSERT_TRUE_FATAL(fault_disk_close(g));
	CU_ASSERT_EQUAL_FATAL(g->blk.lost_pages + g->stor.channel.lost_pages + g->xen_net.lost_pages +
				      g->hv_net.channel.lost_pages,
			      0);
	fault_stop(g);
	CU_ASSERT_FALSE_FATAL(host_vm_killed(g->loop.vm));
	fault_destroy(g, true);
}

void fault_reset(struct fault_guest *g)
{
	struct vm *vm = g->loop.vm;

	if (g->face == FAULT_XEN) {
		loop_xen_reset(&g->loop);
	} else {
		CHECK(vmbus_reset(vm));
		CHECK(g->loop.face->reset(vm));
	}
	memset(g->loop.page_used, 0, g->loop.page_count);
	g->loop.pages_out = 0;
	g->disk_open = false;
	g->net_open = false;
}

/* ------------------------------------------------------------------ running */

/* The drivers' handlers, without time. */
static void handle(struct fault_guest *g)
{
	g->ops.poll = op_poll_nothing;
	if (g->face == FAULT_XEN) {
		xen_poll(&g->xen);
	} else {
		hv_poll(&g->hv);
	}
	g->ops.poll = op_poll;
}

/* An interrupt that the guest sees. A Xen upcall is looked for at each entry, an APIC's vector comes once. */
static bool interrupt_comes(struct fault_guest *g)
{
	struct vcpu *vcpu = g->loop.vcpu;
	bool comes;

	if (g->face == FAULT_XEN) {
		(void)host_vcpu_take_upcall(vcpu);
		comes = g->loop.face->upcall(vcpu) >= 0;
	} else {
		comes = host_vcpu_take_this_vector(vcpu, HV_SINT_VECTOR);
		if (comes) {
			g->loop.face->eoi(vcpu, HV_SINT_VECTOR);
		}
	}
	if (comes && g->bell == FAULT_IRQ_LOST && ++g->bell_seen == g->bell_nth) {
		g->bell_fired++;
		return false;
	}
	return comes;
}

void fault_poll(struct fault_guest *g)
{
	if (!g->by_interrupt) {
		if (g->face == FAULT_XEN) {
			xen_poll(&g->xen);
		} else {
			hv_poll(&g->hv);
		}
		return;
	}
	g->ops.poll(&g->loop);
	if (g->bell == FAULT_IRQ_SPURIOUS && ++g->bell_seen >= g->bell_nth) {
		g->bell_fired++;
		handle(g);
		if (g->face == FAULT_XEN) { /* and an event that nobody sent, of each port */
			memset(g->xen.shared + offsetof(struct xen_shared_info64, evtchn_pending), 0xFF, 8);
			memset(g->xen.shared + offsetof(struct xen_vcpu_info64, evtchn_pending_sel), 0xFF, 8);
			g->xen.shared[offsetof(struct xen_vcpu_info64, evtchn_upcall_pending)] = 1;
		} else {
			g->hv.events[HV_SYNIC_VMBUS_SINT * 256] = 0xFF;
		}
		handle(g);
		return;
	}
	if (interrupt_comes(g)) {
		handle(g);
	}
}

void fault_polls(struct fault_guest *g, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		fault_poll(g);
	}
}

void fault_kick(struct fault_guest *g)
{
	enum fault_bell bell = g->bell;

	g->bell = FAULT_BELL_NONE;
	if (g->face == FAULT_XEN) {
		if (g->disk_open) {
			CU_ASSERT_EQUAL_FATAL(xen_port_notify(&g->xen, g->blk.port), 0);
		}
		if (g->net_open) {
			CU_ASSERT_EQUAL_FATAL(xen_port_notify(&g->xen, g->xen_net.port), 0);
		}
	} else {
		if (g->disk_open) {
			CU_ASSERT_EQUAL_FATAL(
				hv_signal_event(&g->hv, g->stor.channel.connection_id, 0), 0);
		}
		if (g->net_open) {
			CU_ASSERT_EQUAL_FATAL(
				hv_signal_event(&g->hv, g->hv_net.channel.connection_id, 0), 0);
		}
	}
	handle(g);
	g->bell = bell;
}

void fault_quiesce(struct fault_guest *g)
{
	if (g->disk != NULL) {
		fault_disk_release(g->disk, BLOCK_OK);
		CU_ASSERT_EQUAL_FATAL(g->block.in_flight, 0);
	}
}

/* ------------------------------------------------------------------ disk requests */

void fault_io_alloc(struct fault_guest *g, struct fault_io *io)
{
	memset(io, 0, sizeof(*io));
	io->guest = g;
	for (uint32_t i = 0; i < FAULT_IO_PAGES; i++) {
		CU_ASSERT_TRUE_FATAL(guest_page_alloc(&g->loop.guest, &io->pages[i]));
		io->gfns[i] = io->pages[i].gfn;
	}
}

void fault_io_free(struct fault_io *io)
{
	for (uint32_t i = 0; i < FAULT_IO_PAGES; i++) {
		guest_page_free(&io->guest->loop.guest, &io->pages[i]);
	}
}

static void io_end(struct fault_io *io, enum fault_result result)
{
	CU_ASSERT_TRUE_FATAL(io->busy); /* never twice */
	io->busy = false;
	io->done_count++;
	io->result = result;
	if (io->done != NULL) {
		io->done(io);
	}
}

static void xen_done(void *context, int status)
{
	io_end(context, status == BLKIF_RSP_OKAY ? FAULT_OK
			: status == BLKIF_RSP_ERROR ? FAULT_ERROR : FAULT_WRONG);
}

/* SPC-4: sense key and additional code of what block.h says. */
static enum fault_result scsi_error(const struct fault_io *io, const struct hv_scsi_result *result)
{
	uint8_t code = io->op == FAULT_READ ? SCSI_ASC_UNRECOVERED_READ_ERROR : SCSI_ASC_WRITE_ERROR;

	if (result->srb_status != (SRB_STATUS_ERROR | SRB_STATUS_AUTOSENSE_VALID) ||
	    result->scsi_status != SAM_STAT_CHECK_CONDITION || result->sense_bytes < 13) {
		return result->srb_status == SRB_STATUS_INVALID_REQUEST ? FAULT_ERROR : FAULT_WRONG;
	}
	if (result->sense[2] == SCSI_SENSE_DATA_PROTECT && result->sense[12] == SCSI_ASC_WRITE_PROTECTED) {
		return FAULT_DENIED;
	}
	return result->sense[2] == SCSI_SENSE_MEDIUM_ERROR && result->sense[12] == code ? FAULT_ERROR
											: FAULT_WRONG;
}

static void hv_done(void *context, const struct hv_scsi_result *result)
{
	struct fault_io *io = context;
	bool data = io->op != FAULT_FLUSH;

	if (!result->answered) {
		io_end(io, FAULT_UNANSWERED);
	} else if (result->srb_status == SRB_STATUS_SUCCESS && result->scsi_status == 0 &&
		   result->bytes == (data ? io->sectors * 512 : 0)) {
		io_end(io, FAULT_OK);
	} else {
		io_end(io, scsi_error(io, result));
	}
}

static bool xen_submit(struct fault_io *io)
{
	static const uint8_t operations[] = {BLKIF_OP_READ, BLKIF_OP_WRITE, BLKIF_OP_FLUSH_DISKCACHE,
					     BLKIF_OP_FLUSH_DISKCACHE};
	struct xen_blk_piece pieces[FAULT_IO_PAGES];
	uint32_t at = io->offset / 512, left = io->op == FAULT_FLUSH ? 0 : io->sectors, count = 0;

	for (; left != 0; count++) {
		uint32_t first = at % 8, here = 8 - first < left ? 8 - first : left;

		pieces[count] = (struct xen_blk_piece){io->gfns[at / 8], (uint8_t)first,
						       (uint8_t)(first + here - 1)};
		at += here;
		left -= here;
	}
	return xen_blkfront_submit(&io->guest->blk, operations[io->op], count == 0 ? 0 : io->sector, pieces,
				   count, xen_done, io);
}

static bool hv_submit(struct fault_io *io)
{
	struct hv_disk *disk = &io->guest->hv_disk;
	struct hv_scsi_command command = {.lun = 0, .cdb_bytes = 10, .direction = VSTOR_DATA_OUT};

	io->buffer = (struct hv_buffer){io->offset, io->sectors * 512, io->gfns};
	if (io->op != FAULT_WRITE_FLUSH) {
		return hv_disk_submit(disk,
				      io->op == FAULT_READ    ? HV_DISK_READ
				      : io->op == FAULT_WRITE ? HV_DISK_WRITE
							      : HV_DISK_FLUSH,
				      io->sector, &io->buffer, hv_done, io);
	}
	command.cdb[0] = 0x2A; /* WRITE (10) */
	command.cdb[1] = 0x08; /* FUA */
	command.cdb[5] = (uint8_t)io->sector;
	command.cdb[8] = (uint8_t)io->sectors;
	command.buffer = io->buffer;
	return hv_storvsc_submit(disk->stor, &command, hv_done, io);
}

bool fault_io_submit(struct fault_io *io)
{
	io->busy = true;
	if (!(io->guest->face == FAULT_XEN ? xen_submit(io) : hv_submit(io))) {
		io->busy = false;
		return false;
	}
	io->submit_count++;
	return true;
}

bool fault_io_wait(struct fault_io *io)
{
	for (uint32_t i = 0; i < WAIT_POLLS && io->busy; i++) {
		fault_poll(io->guest);
	}
	return !io->busy;
}

static void io_move(const struct fault_io *io, uint32_t sector, uint8_t *bytes, bool put)
{
	uint32_t at = io->offset + sector * 512;

	for (uint32_t done = 0, here; done < 512; done += here) {
		uint32_t in_page = (at + done) % PAGE_BYTES;
		uint8_t *there = io->pages[(at + done) / PAGE_BYTES].bytes + in_page;

		here = PAGE_BYTES - in_page < 512 - done ? PAGE_BYTES - in_page : 512 - done;
		memcpy(put ? there : bytes + done, put ? bytes + done : there, here);
	}
}

void fault_io_put(struct fault_io *io, uint32_t sector, const uint8_t bytes[512])
{
	io_move(io, sector, (uint8_t *)(uintptr_t)bytes, true);
}

void fault_io_get(const struct fault_io *io, uint32_t sector, uint8_t bytes[512])
{
	io_move(io, sector, bytes, false);
}

bool fault_frame_send(struct fault_guest *g, uint32_t len)
{
	static uint8_t bytes[2048];
	bool sent;

	memcpy(bytes, fault_guests[1 - g->index].mac, 6);
	memcpy(bytes + 6, g->mac, 6);
	bytes[12] = 0x88;
	bytes[13] = 0xB5;
	memcpy(bytes + 14, &g->frame_next, 4);
	for (uint32_t i = 18; i < len; i++) {
		bytes[i] = (uint8_t)(g->frame_next + i);
	}
	if (g->face == FAULT_XEN) {
		const struct xen_net_frame frame = {.bytes = bytes, .len = len};

		sent = xen_netfront_send(&g->xen_net, &frame);
	} else {
		const struct hv_net_frame frame = {.bytes = bytes, .len = len};

		sent = hv_netvsc_send(&g->hv_net, &frame, 1);
	}
	g->frame_next += sent ? 1 : 0;
	return sent;
}

/* ------------------------------------------------------------------ programs */

bool fault_full;
uint64_t fault_seed = 1;

static const char *point_what = "none";
static uint64_t point_n;
static unsigned int failures_seen;

void fault_point(const char *what, uint64_t n)
{
	if (CU_get_number_of_failure_records() != failures_seen) {
		failures_seen = CU_get_number_of_failure_records();
		fprintf(stderr, "failed: %s, N %llu; repeat with --seed=%llu\n", point_what,
			(unsigned long long)point_n, (unsigned long long)fault_seed);
	}
	point_what = what;
	point_n = n;
}

void fault_report(const char *kind, enum fault_face face, uint64_t points, const char *note)
{
	printf("\nfault: %-34s %-7s %9llu %s\n", kind, fault_face_names[face], (unsigned long long)points, note);
	fflush(stdout);
}

int fault_main(int argc, char **argv, const char *suite, const struct unit_test *tests, size_t count)
{
	int status;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--full") == 0) {
			fault_full = true;
		} else if (strncmp(argv[i], "--seed=", 7) == 0) {
			fault_seed = strtoull(argv[i] + 7, NULL, 0);
		} else {
			fprintf(stderr, "usage: %s [--full] [--seed=N]\n", argv[0]);
			return 2;
		}
	}
	status = unit_run(suite, tests, count);
	if (status != 0) {
		fprintf(stderr, "seed %llu; the last case: %s, N %llu\n", (unsigned long long)fault_seed,
			point_what, (unsigned long long)point_n);
	}
	return status;
}

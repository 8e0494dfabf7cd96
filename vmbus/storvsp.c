/*
 * storvsp.c - the SCSI controller on the bus (abi/vmbus_scsi.h; rows in specs/storvsp.def; commands in scsi.c).
 *
 * A request lives in a pool, from its packet to its reply. Data moves straight between the guest's pinned pages and
 * the disk; only a buffer whose pieces are not whole sectors goes through the one bounce buffer. All runs in
 * the channel's work but the disk's completions: they put their request on the list of those done and kick the work.
 *
 * Each step copies 64 KiB at most, a RAM disk's own copying included: a request for which nothing is left of that is held for
 * the next step.
 */
#include "backend/block.h"
#include "base/bits.h"
#include "vmbus/channel.h"
#include "vmbus/devices.h"
#include "vmbus/scsi.h"

#define REQUEST_COUNT 64u
#define PAGES_MAX 17u /* of 64 KiB at any offset */
#define STEP_BYTES 65536u
#define STEP_PACKETS 32u

/* How far the guest's initialization has come: what is expected next. */
enum storvsp_state {
	EXPECT_BEGIN,
	EXPECT_VERSION,
	EXPECT_PROPERTIES,
	EXPECT_END,
	READY,
};

struct storvsp;

struct storvsp_request {
	struct list_node node; /* free, to reply, or done by the disk */
	struct storvsp *owner;
	uint64_t transaction_id;
	bool wants_reply;
	uint32_t reply_bytes;
	struct vstor_packet packet; /* the guest's, then the reply */

	struct scsi_command command;
	struct block_request io;
	enum block_status io_status;
	bool flushing; /* a write with FUA, after the write */
	bool filled; /* bounced: the data are in the bounce buffer */
	uint32_t page_count;
	struct vm_page *pages[PAGES_MAX];
	struct io_segment segments[PAGES_MAX];
};

struct storvsp {
	struct vm *vm;
	struct vmbus_channel *channel;
	struct scsi_bus bus;
	uint8_t *bounce; /* STEP_BYTES */

	/* the channel's work */
	enum storvsp_state state;
	uint32_t step_bytes; /* left of this step's share */
	bool again; /* the share did not suffice */
	uint32_t io_count; /* requests at the disk, or done and not seen yet */
	struct storvsp_request *held; /* decoded, not yet at the disk */
	struct storvsp_request *bounce_user;
	struct list_node free;
	struct list_node replies; /* in the order in which they go out */

	struct spinlock lock; /* RANK_DEVICE */
	struct list_node done;

	struct storvsp_request requests[REQUEST_COUNT];
};

/* True: the reply can go out; else the request is held. */
typedef bool storvsp_handler(struct storvsp *dev, struct storvsp_request *request,
                             const struct vmbus_packet *packet);

#define SPEC_ROW(number, name, status, handler, clause) static storvsp_handler handler;
#include "specs/storvsp.def"
#undef SPEC_ROW

enum row_status {
	OFFERED,
	REFUSED,
};

static const struct {
	uint32_t operation;
	enum row_status status;
	storvsp_handler *handle;
} rows[] = {
#define SPEC_ROW(number, name, status, handler, clause) {number, status, handler},
#include "specs/storvsp.def"
#undef SPEC_ROW
};

/* ------------------------------------------------------------------ the life of a request */

static struct storvsp_request *request_take(struct storvsp *dev)
{
	struct list_node *node = list_take_first(&dev->free);

	return node == NULL ? NULL : CONTAINER_OF(node, struct storvsp_request, node);
}

static void request_free(struct storvsp *dev, struct storvsp_request *request)
{
	vmbus_pages_unpin(dev->channel, request->pages, request->page_count);
	request->page_count = 0;
	if (dev->bounce_user == request) {
		dev->bounce_user = NULL;
	}
	list_add_tail(&dev->free, &request->node);
}

/* Nothing of the guest's is needed any more but the ring. */
static void request_reply(struct storvsp *dev, struct storvsp_request *request)
{
	vmbus_pages_unpin(dev->channel, request->pages, request->page_count);
	request->page_count = 0;
	if (dev->bounce_user == request) {
		dev->bounce_user = NULL;
	}
	request->packet.operation = VSTOR_OPERATION_COMPLETE_IO;
	list_add_tail(&dev->replies, &request->node);
}

/* True: all are sent. */
static bool send_replies(struct storvsp *dev)
{
	while (!list_is_empty(&dev->replies)) {
		struct storvsp_request *request =
		        CONTAINER_OF(dev->replies.next, struct storvsp_request, node);

		if (request->wants_reply &&
		    !vmbus_channel_send_completion(dev->channel, request->transaction_id, &request->packet,
		                                   request->reply_bytes)) {
			return false;
		}
		list_remove(&request->node);
		request_free(dev, request);
	}
	return true;
}

/* The command's end, as the SRB says it. */
static void fill_srb(struct storvsp_request *request)
{
	const struct scsi_command *command = &request->command;
	struct vmscsi_request *srb = &request->packet.u.vm_srb;
	uint8_t room =
	        srb->sense_info_length < VSTOR_SENSE_BYTES ? srb->sense_info_length : VSTOR_SENSE_BYTES;

	request->packet.status = VMBUS_STATUS_SUCCESS;
	srb->srb_status = command->srb_status;
	srb->scsi_status = command->scsi_status;
	srb->data_transfer_length = command->transfer_bytes;
	srb->sense_info_length = 0;
	if (command->sense_bytes != 0) {
		srb->sense_info_length = room < command->sense_bytes ? room : command->sense_bytes;
		memset(srb->u.sense_data, 0, sizeof(srb->u.sense_data));
		memcpy(srb->u.sense_data, command->sense, srb->sense_info_length);
	}
}

/* ------------------------------------------------------------------ at the disk */

/* In any context: the disk has ended a request. All of it under the lock, so that who takes the lock finds us gone. */
static void io_done(struct block_request *io, enum block_status status)
{
	struct storvsp_request *request = CONTAINER_OF(io, struct storvsp_request, io);
	struct storvsp *dev = request->owner;

	spin_lock(&dev->lock);
	request->io_status = status;
	list_add_tail(&dev->done, &request->node);
	vmbus_channel_kick(dev->channel);
	spin_unlock(&dev->lock);
}

static void io_submit(struct storvsp *dev, struct storvsp_request *request, enum block_operation operation)
{
	request->io.operation = operation;
	request->io.sector = request->command.sector;
	request->io.done = io_done;
	if (operation == BLOCK_FLUSH) {
		request->io.sector = 0;
		request->io.segment_count = 0;
	}
	dev->io_count++;
	block_submit(request->command.block, &request->io);
}

/* The first @bytes of the guest's pages as the disk takes them. False: a piece is not whole sectors. */
static bool fill_segments(struct storvsp_request *request, uint32_t bytes)
{
	struct block_request *io = &request->io;

	io->segment_count = 0;
	for (uint32_t i = 0; i < request->page_count && bytes != 0; i++) {
		struct io_segment segment = request->segments[i];

		segment.len_bytes = segment.len_bytes < bytes ? segment.len_bytes : bytes;
		if (segment.len_bytes % BLOCK_SECTOR_BYTES != 0) {
			return false;
		}
		io->segments[io->segment_count++] = segment;
		bytes -= segment.len_bytes;
	}
	return true;
}

static void fill_bounce_segments(struct storvsp *dev, struct block_request *io, uint32_t bytes)
{
	io->segment_count = 0;
	for (uint32_t at = 0; at < bytes; at += PAGE_BYTES) {
		uint32_t here = bytes - at < PAGE_BYTES ? bytes - at : PAGE_BYTES;

		io->segments[io->segment_count++] = (struct io_segment){dev->bounce + at, here};
	}
}

static bool take_share(struct storvsp *dev, uint32_t bytes)
{
	if (bytes > dev->step_bytes) {
		dev->again = true;
		return false;
	}
	dev->step_bytes -= bytes;
	return true;
}

/* Through the bounce buffer. False: it is in use, or this step's share is used up. */
static bool prepare_bounce(struct storvsp *dev, struct storvsp_request *request)
{
	uint32_t bytes = request->command.transfer_bytes;

	if (dev->bounce_user != NULL && dev->bounce_user != request) {
		return false; /* its completion kicks */
	}
	dev->bounce_user = request;
	if (request->command.action == SCSI_WRITE && !request->filled) {
		if (!take_share(dev, bytes)) {
			return false;
		}
		(void)io_copy_out(request->segments, request->page_count, 0, dev->bounce, bytes);
		request->filled = true;
	}
	fill_bounce_segments(dev, &request->io, bytes);
	return true;
}

/* Gives the request to the disk. False: it stays held. */
static bool start(struct storvsp *dev, struct storvsp_request *request)
{
	const struct scsi_command *command = &request->command;

	if (command->action == SCSI_FLUSH) {
		io_submit(dev, request, BLOCK_FLUSH);
		return true;
	}
	if (!fill_segments(request, command->transfer_bytes) && !prepare_bounce(dev, request)) {
		return false;
	}
	if (!take_share(dev, command->transfer_bytes)) {
		return false;
	}
	io_submit(dev, request, command->action == SCSI_READ ? BLOCK_READ : BLOCK_WRITE);
	return true;
}

static void start_held(struct storvsp *dev)
{
	if (dev->held != NULL && start(dev, dev->held)) {
		dev->held = NULL;
	}
}

/* The disk is done with it. False: no share left for copying out of the bounce buffer. */
static bool finish(struct storvsp *dev, struct storvsp_request *request)
{
	struct scsi_command *command = &request->command;
	bool good = request->io_status == BLOCK_OK;

	if (good && command->action == SCSI_WRITE && command->fua && !request->flushing) {
		request->flushing = true;
		dev->io_count--;
		io_submit(dev, request, BLOCK_FLUSH);
		return true;
	}
	if (good && command->action == SCSI_READ && dev->bounce_user == request) {
		if (!take_share(dev, command->transfer_bytes)) {
			return false;
		}
		(void)io_copy_in(request->segments, request->page_count, 0, dev->bounce,
		                 command->transfer_bytes);
	}
	dev->io_count--;
	scsi_finish_io(command, request->io_status);
	fill_srb(request);
	request_reply(dev, request);
	return true;
}

static struct storvsp_request *take_done(struct storvsp *dev)
{
	struct list_node *node;

	spin_lock(&dev->lock);
	node = list_take_first(&dev->done);
	spin_unlock(&dev->lock);
	return node == NULL ? NULL : CONTAINER_OF(node, struct storvsp_request, node);
}

static void collect_done(struct storvsp *dev)
{
	struct storvsp_request *request;

	/* At most the pool, and the flushes that follow writes. */
	for (uint32_t i = 0; i < 2 * REQUEST_COUNT; i++) {
		request = take_done(dev);
		if (request == NULL) {
			return;
		}
		if (!finish(dev, request)) {
			spin_lock(&dev->lock);
			list_add_tail(&dev->done, &request->node);
			spin_unlock(&dev->lock);
			return;
		}
	}
	dev->again = true;
}

/* ------------------------------------------------------------------ operations */

static bool refuse(struct storvsp *dev, struct storvsp_request *request, const struct vmbus_packet *packet)
{
	(void)dev;
	(void)packet;
	request->packet.status = VMBUS_STATUS_INVALID_DEVICE_REQUEST;
	return true;
}

/* The next state, if this is its turn; else the request's status says that it is not. */
static bool advance(struct storvsp *dev, struct storvsp_request *request, enum storvsp_state from)
{
	if (dev->state != from) {
		request->packet.status = VMBUS_STATUS_INVALID_DEVICE_STATE;
		return false;
	}
	dev->state = from + 1;
	request->packet.status = VMBUS_STATUS_SUCCESS;
	return true;
}

static bool begin_initialization(struct storvsp *dev, struct storvsp_request *request,
                                 const struct vmbus_packet *packet)
{
	(void)packet;
	(void)advance(dev, request, EXPECT_BEGIN);
	return true;
}

static bool query_version(struct storvsp *dev, struct storvsp_request *request,
                          const struct vmbus_packet *packet)
{
	uint16_t version = request->packet.u.version.major_minor;

	(void)packet;
	if (!advance(dev, request, EXPECT_VERSION)) {
		return true;
	}
	if (version != VMSTOR_PROTO_VERSION_WIN10 && version != VMSTOR_PROTO_VERSION_WIN8_1 &&
	    version != VMSTOR_PROTO_VERSION_WIN8) {
		dev->state = EXPECT_VERSION;
		request->packet.status = VMBUS_STATUS_REVISION_MISMATCH;
	}
	return true;
}

static bool query_properties(struct storvsp *dev, struct storvsp_request *request,
                             const struct vmbus_packet *packet)
{
	(void)packet;
	if (advance(dev, request, EXPECT_PROPERTIES)) {
		request->packet.u.storage_channel_properties = (struct vmstorage_channel_properties){
		        .max_transfer_bytes = BLOCK_REQUEST_BYTES_MAX,
		};
	}
	return true;
}

static bool end_initialization(struct storvsp *dev, struct storvsp_request *request,
                               const struct vmbus_packet *packet)
{
	(void)packet;
	(void)advance(dev, request, EXPECT_END);
	return true;
}

static bool reset_bus(struct storvsp *dev, struct storvsp_request *request, const struct vmbus_packet *packet)
{
	(void)packet;
	request->packet.status = VMBUS_STATUS_INVALID_DEVICE_STATE;
	if (dev->state == READY) {
		request->packet.status = VMBUS_STATUS_SUCCESS;
		request->packet.u.vm_srb.srb_status = SRB_STATUS_SUCCESS;
	}
	return true;
}

/* The SRB's fields as a command. */
static void fill_command(struct storvsp_request *request, const struct vmbus_packet *packet)
{
	const struct vmscsi_request *srb = &request->packet.u.vm_srb;
	struct scsi_command *command = &request->command;

	command->path = srb->path_id;
	command->target = srb->target_id;
	command->lun = srb->lun;
	command->cdb_bytes = srb->cdb_length;
	memcpy(command->cdb, srb->u.cdb, sizeof(command->cdb));
	command->buffer_bytes = packet->range_bytes < srb->data_transfer_length ? packet->range_bytes
	                                                                        : srb->data_transfer_length;
}

static bool execute_srb(struct storvsp *dev, struct storvsp_request *request,
                        const struct vmbus_packet *packet)
{
	struct scsi_command *command = &request->command;

	if (dev->state != READY || packet->payload_bytes < sizeof(request->packet)) {
		request->packet.status = dev->state != READY ? VMBUS_STATUS_INVALID_DEVICE_STATE
		                                             : VMBUS_STATUS_INVALID_PARAMETER;
		return true;
	}
	fill_command(request, packet);
	if (vmbus_packet_pin(dev->channel, packet, request->segments, request->pages, PAGES_MAX,
	                     &request->page_count) != VMBUS_PIN_OK) {
		request->packet.status = VMBUS_STATUS_SUCCESS;
		request->packet.u.vm_srb.srb_status = SRB_STATUS_INVALID_REQUEST;
		request->packet.u.vm_srb.data_transfer_length = 0;
		return true;
	}
	scsi_decode(&dev->bus, command);
	vm_count(dev->vm, SPEC_SCSI, command->row, command->refused);
	if (command->action != SCSI_DONE) {
		request->flushing = false;
		request->filled = false;
		return false;
	}
	(void)io_copy_in(request->segments, request->page_count, 0, command->data, command->transfer_bytes);
	fill_srb(request);
	return true;
}

/* True: the reply can go out. */
static bool dispatch(struct storvsp *dev, struct storvsp_request *request, const struct vmbus_packet *packet)
{
	uint32_t row = 0;
	bool replies;

	while (row < ARRAY_COUNT(rows) && rows[row].operation != request->packet.operation) {
		row++;
	}
	if (row == ARRAY_COUNT(rows)) {
		vm_count(dev->vm, SPEC_STORVSP, SPEC_UNKNOWN, true);
		return refuse(dev, request, packet);
	}
	replies = rows[row].handle(dev, request, packet);
	vm_count(dev->vm, SPEC_STORVSP, row, replies && request->packet.status != VMBUS_STATUS_SUCCESS);
	return replies;
}

/* False: the channel is broken. */
static bool take_packet(struct storvsp *dev, struct storvsp_request *request,
                        const struct vmbus_packet *packet)
{
	uint32_t bytes = packet->payload_bytes < sizeof(request->packet) ? packet->payload_bytes
	                                                                 : (uint32_t)sizeof(request->packet);

	if (packet->type == VM_PKT_COMP || bytes < VSTOR_PACKET_BYTES_WIN7) {
		request_free(dev, request);
		vmbus_channel_break(dev->channel, "not a storage packet");
		return false;
	}
	memset(&request->packet, 0, sizeof(request->packet));
	memcpy(&request->packet, packet->payload, bytes);
	request->transaction_id = packet->transaction_id;
	request->wants_reply = packet->completion_requested;
	/* Until the version is agreed on a reply is as long as what was asked. */
	request->reply_bytes = dev->state > EXPECT_VERSION ? sizeof(request->packet) : bytes;
	if (dispatch(dev, request, packet)) {
		request_reply(dev, request);
	} else {
		dev->held = request;
	}
	return true;
}

/* ------------------------------------------------------------------ the channel's calls */

/* Takes packets while there is room for them. False: the channel is broken. */
static bool take_packets(struct storvsp *dev)
{
	for (uint32_t i = 0; i < STEP_PACKETS; i++) {
		struct storvsp_request *request;
		struct vmbus_packet packet;
		enum vmbus_receive got;

		start_held(dev);
		if (!send_replies(dev) || dev->held != NULL) {
			return true; /* the guest's reads, or a completion, bring us back */
		}
		request = request_take(dev);
		if (request == NULL) {
			return true; /* a completion does */
		}
		got = vmbus_channel_receive(dev->channel, &packet);
		if (got != VMBUS_RECEIVE_OK) {
			request_free(dev, request);
			return got == VMBUS_RECEIVE_EMPTY;
		}
		if (!take_packet(dev, request, &packet)) {
			return false;
		}
	}
	dev->again = true;
	return true;
}

static bool storvsp_step(void *device)
{
	struct storvsp *dev = device;

	dev->step_bytes = STEP_BYTES;
	dev->again = false;
	collect_done(dev);
	if (!take_packets(dev)) {
		return false;
	}
	collect_done(dev);
	(void)send_replies(dev);
	return dev->again;
}

static bool storvsp_open(void *device)
{
	struct storvsp *dev = device;

	dev->state = EXPECT_BEGIN;
	return true;
}

static bool storvsp_close(void *device)
{
	struct storvsp *dev = device;
	struct storvsp_request *request;
	struct list_node *node;

	if (dev->held != NULL) {
		request_free(dev, dev->held);
		dev->held = NULL;
	}
	for (request = take_done(dev); request != NULL; request = take_done(dev)) {
		dev->io_count--;
		request_free(dev, request);
	}
	for (node = list_take_first(&dev->replies); node != NULL; node = list_take_first(&dev->replies)) {
		request_free(dev, CONTAINER_OF(node, struct storvsp_request, node));
	}
	return dev->io_count == 0;
}

static void storvsp_destroy(void *device)
{
	struct storvsp *dev = device;
	struct vm *vm = dev->vm;

	vm_free(vm, dev->bounce);
	vm_free(vm, dev);
}

static void fill_bus(struct storvsp *dev)
{
	const struct vm_config *config = vm_config(dev->vm);

	dev->bus.disk_count = config->disk_count;
	for (uint32_t i = 0; i < config->disk_count; i++) {
		dev->bus.disks[i] = (struct scsi_disk){config->disks[i].block, config->disks[i].read_only};
	}
	memcpy(dev->bus.uuid, config->uuid, sizeof(dev->bus.uuid));
}

static void fill_pool(struct storvsp *dev)
{
	list_init(&dev->free);
	list_init(&dev->replies);
	list_init(&dev->done);
	for (uint32_t i = 0; i < REQUEST_COUNT; i++) {
		dev->requests[i].owner = dev;
		list_add_tail(&dev->free, &dev->requests[i].node);
	}
}

static const struct vmbus_channel_ops storvsp_ops = {
        .open = storvsp_open,
        .step = storvsp_step,
        .close = storvsp_close,
        .destroy = storvsp_destroy,
};

bool storvsp_create(struct vmbus *bus)
{
	struct vm *vm = vmbus_vm(bus);
	struct storvsp *dev = vm_alloc(vm, sizeof(*dev));
	struct vmbus_channel_spec spec = {
	        .name = "storvsp",
	        .class_id = VMBUS_CLASS_SCSI,
	        .instance_id = vmbus_instance_id(bus, VMBUS_KIND_SCSI, 0),
	        .ops = &storvsp_ops,
	        .device = dev,
	};

	if (dev == NULL) {
		return false;
	}
	dev->vm = vm;
	dev->bounce = vm_alloc(vm, STEP_BYTES);
	spin_init(&dev->lock, RANK_DEVICE);
	fill_bus(dev);
	fill_pool(dev);
	dev->channel = dev->bounce != NULL ? vmbus_channel_add(bus, &spec) : NULL;
	if (dev->channel == NULL) {
		if (dev->bounce != NULL) {
			vm_free(vm, dev->bounce);
		}
		vm_free(vm, dev);
		return false;
	}
	return true;
}

_Static_assert(sizeof(struct storvsp) <= 256u << 10, "vm_alloc's limit");

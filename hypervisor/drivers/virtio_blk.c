/*
 * virtio_blk.c - block requests as virtio 1.2, 5.2.6 lays them out. Contract: virtio_blk.h.
 *
 * Each request is a chain: a header of ours, its segments (neighbours joined), a status byte of ours.
 * Header and status are those of the chain's head, so a chain that is in flight has them to itself.
 */
#include "hypervisor/drivers/virtio_blk.h"

#include "base/bits.h"
#include "hypervisor/arch/x86/host.h"

#define DEVICE_ID_MODERN 0x1042u
#define DEVICE_ID_TRANSITIONAL 0x1001u

#define VIRTIO_BLK_F_SIZE_MAX 1u
#define VIRTIO_BLK_F_SEG_MAX 2u
#define VIRTIO_BLK_F_RO 5u
#define VIRTIO_BLK_F_BLK_SIZE 6u
#define VIRTIO_BLK_F_FLUSH 9u

/* struct virtio_blk_config */
#define CONFIG_CAPACITY 0u
#define CONFIG_SIZE_MAX 8u
#define CONFIG_SEG_MAX 12u
#define CONFIG_BLK_SIZE 20u

#define VIRTIO_BLK_T_IN 0u
#define VIRTIO_BLK_T_OUT 1u
#define VIRTIO_BLK_T_FLUSH 4u
#define VIRTIO_BLK_T_GET_ID 8u

#define VIRTIO_BLK_S_OK 0u
#define VIRTIO_BLK_S_IOERR 1u
#define VIRTIO_BLK_S_UNSUPP 2u
#define STATUS_NOT_SET 0xffu

#define PIECES_MAX (BLOCK_SEGMENT_MAX + 2u)
#define BATCH_MAX 16u
#define IDENTIFY_LOOKS 20000u
#define IDENTIFY_LOOK_US 100u

/*
 * VERSION_1 is what "modern" means. ACCESS_PLATFORM: our addresses go the platform's way, which is physical
 * as long as nobody turns an IOMMU on.
 */
#define FEATURES_WANTED                                                                               \
	(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_ACCESS_PLATFORM) | BIT64(VIRTIO_BLK_F_SIZE_MAX) | \
	 BIT64(VIRTIO_BLK_F_SEG_MAX) | BIT64(VIRTIO_BLK_F_RO) | BIT64(VIRTIO_BLK_F_BLK_SIZE) |        \
	 BIT64(VIRTIO_BLK_F_FLUSH))
#define FEATURES_NEEDED BIT64(VIRTIO_F_VERSION_1)

struct virtio_blk_slot {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
	uint8_t status;
	uint8_t pad[7];
};
_Static_assert(offsetof(struct virtio_blk_slot, status) == 16, "virtio_blk_slot.status");

struct virtio_blk_memory {
	struct virtio_ring_memory ring;
	struct virtio_blk_slot slots[VIRTIO_RING_SIZE_MAX];
	uint8_t id[VIRTIO_BLK_ID_BYTES];
};
_Static_assert(sizeof(struct virtio_blk_memory) <= VIRTIO_BLK_MEMORY_BYTES, "virtio_blk_memory");

/* Requests that have ended, to be told so when the lock is free. */
struct batch {
	uint32_t count;
	struct block_request *requests[BATCH_MAX];
	enum block_status status[BATCH_MAX];
	bool notify;
};

static bool has_feature(const struct virtio_blk *disk, uint32_t feature)
{
	return (disk->features >> feature & 1) != 0;
}

bool virtio_blk_is_read_only(const struct virtio_blk *disk)
{
	return has_feature(disk, VIRTIO_BLK_F_RO);
}

bool virtio_blk_has_flush(const struct virtio_blk *disk)
{
	return has_feature(disk, VIRTIO_BLK_F_FLUSH);
}

bool virtio_blk_is(const struct pci_function *at)
{
	return at->vendor_id == VIRTIO_PCI_VENDOR &&
	       (at->device_id == DEVICE_ID_MODERN || at->device_id == DEVICE_ID_TRANSITIONAL);
}

static void must_look_set(struct virtio_blk *disk, uint32_t value)
{
	__atomic_store_n(&disk->must_look, value, __ATOMIC_RELEASE);
}

static enum virtio_blk_state state_get(const struct virtio_blk *disk)
{
	return (enum virtio_blk_state)__atomic_load_n(&disk->state, __ATOMIC_ACQUIRE);
}

/* ------------------------------------------------------------------ starting */

struct chain {
	struct virtio_piece pieces[PIECES_MAX];
	uint32_t count;
};

static void chain_put(struct chain *chain, const void *bytes, uint32_t len_bytes, bool device_writes)
{
	chain->pieces[chain->count++] = (struct virtio_piece){host_hpa_of(bytes), len_bytes, device_writes};
}

/* A segment, joined to the piece before it if the two are neighbours. */
static void chain_put_segment(struct chain *chain, const struct io_segment *segment, uint32_t bytes_max,
                              bool device_writes)
{
	struct virtio_piece *last = &chain->pieces[chain->count - 1];
	bool is_data = chain->count > 1;

	if (is_data && last->at.v + last->len_bytes == host_hpa_of(segment->bytes).v &&
	    last->len_bytes + segment->len_bytes <= bytes_max) {
		last->len_bytes += segment->len_bytes;
		return;
	}
	chain_put(chain, segment->bytes, segment->len_bytes, device_writes);
}

static struct virtio_blk_slot *slot_fill(struct virtio_blk *disk, uint32_t type, uint64_t sector)
{
	struct virtio_blk_slot *slot = &disk->memory->slots[virtio_ring_next_head(&disk->ring)];

	*slot = (struct virtio_blk_slot){.type = type, .sector = sector, .status = STATUS_NOT_SET};
	return slot;
}

static uint32_t request_type(const struct block_request *request)
{
	switch (request->operation) {
	case BLOCK_READ:
		return VIRTIO_BLK_T_IN;
	case BLOCK_WRITE:
		return VIRTIO_BLK_T_OUT;
	case BLOCK_FLUSH:
		break;
	}
	return VIRTIO_BLK_T_FLUSH;
}

/* Gives one request to the device, if the queue has room. Under the lock. */
static bool request_start(struct virtio_blk *disk, struct block_request *request)
{
	bool is_read = request->operation == BLOCK_READ;
	uint64_t sector = request->operation == BLOCK_FLUSH ? 0 : request->sector;
	struct virtio_blk_slot *slot;
	struct chain chain;

	/* Without a free descriptor the next head is none. */
	if (disk->ring.free_count == 0) {
		return false;
	}
	slot = slot_fill(disk, request_type(request), sector);
	chain.count = 0;
	chain_put(&chain, slot, offsetof(struct virtio_blk_slot, status), false);
	for (uint32_t i = 0; i < request->segment_count; i++) {
		if (request->segments[i].len_bytes != 0) {
			chain_put_segment(&chain, &request->segments[i], disk->piece_bytes_max, is_read);
		}
	}
	chain_put(&chain, &slot->status, sizeof(slot->status), true);
	return virtio_ring_add(&disk->ring, chain.pieces, chain.count, request);
}

/* A flush that there is no command for: what has ended is stable, so all that is before it has to end. */
static bool is_barrier(const struct virtio_blk *disk, const struct block_request *request)
{
	return request->operation == BLOCK_FLUSH && !virtio_blk_has_flush(disk);
}

static struct block_request *first_waiting(struct virtio_blk *disk)
{
	return list_is_empty(&disk->waiting) ? NULL
	                                     : CONTAINER_OF(disk->waiting.next, struct block_request, node);
}

/*
 * Starts what waits, in order, until the queue is full or a barrier is first. A barrier whose time
 * has come is left to the next poll: its end may not be told from another's submit. Under the lock.
 * True: the device is to be notified.
 */
static bool waiting_start(struct virtio_blk *disk)
{
	struct block_request *request = first_waiting(disk);
	bool any = false;

	while (request != NULL && !is_barrier(disk, request) && request_start(disk, request)) {
		list_remove(&request->node);
		request = first_waiting(disk);
		any = true;
	}
	if (request != NULL && is_barrier(disk, request) && disk->ring.in_flight == 0) {
		must_look_set(disk, 1);
	}
	return any && virtio_ring_wants_notify(&disk->ring);
}

static void submit(void *medium, struct block_request *request)
{
	struct virtio_blk *disk = medium;
	bool is_broken;
	bool notify = false;

	spin_lock(&disk->lock);
	is_broken = disk->state == VIRTIO_BLK_BROKEN;
	if (!is_broken) {
		list_add_tail(&disk->waiting, &request->node);
	}
	if (disk->state == VIRTIO_BLK_LIVE) {
		notify = waiting_start(disk);
	}
	spin_unlock(&disk->lock);
	if (is_broken) {
		block_done(request, BLOCK_EIO);
	} else if (notify) {
		virtio_pci_notify(&disk->device);
	}
}

const struct block_medium_ops virtio_blk_ops = {.submit = submit};

/* ------------------------------------------------------------------ ending */

static void batch_put(struct batch *batch, struct block_request *request, enum block_status status)
{
	batch->requests[batch->count] = request;
	batch->status[batch->count] = status;
	batch->count++;
}

/* A chain that came back, by its status byte. NULL, or why the device is broken. */
static const char *ended_take(struct virtio_blk *disk, const struct virtio_ring_done *done,
                              struct batch *batch)
{
	uint8_t raw_status = __atomic_load_n(&disk->memory->slots[done->head].status, __ATOMIC_RELAXED);

	switch (raw_status) {
	case VIRTIO_BLK_S_OK:
		batch_put(batch, done->token, BLOCK_OK);
		return NULL;
	case VIRTIO_BLK_S_IOERR:
	case VIRTIO_BLK_S_UNSUPP:
		batch_put(batch, done->token, BLOCK_EIO);
		return NULL;
	default:
		batch_put(batch, done->token, BLOCK_EIO);
		return "it ended a request without a status";
	}
}

/* Under the lock. NULL, or why the device is broken. */
static const char *used_take(struct virtio_blk *disk, struct batch *batch)
{
	struct virtio_ring_done done;
	const char *why = NULL;

	while (batch->count < BATCH_MAX && why == NULL) {
		switch (virtio_ring_take(&disk->ring, &done)) {
		case VIRTIO_RING_EMPTY:
			return NULL;
		case VIRTIO_RING_TAKEN:
			why = ended_take(disk, &done, batch);
			break;
		case VIRTIO_RING_BROKEN:
			return "it returned a request that it was not given";
		}
	}
	return why;
}

/* Ends the barriers that are first and have nothing before them. Under the lock. */
static void barriers_end(struct virtio_blk *disk, struct batch *batch)
{
	struct block_request *request = first_waiting(disk);

	while (request != NULL && batch->count < BATCH_MAX && is_barrier(disk, request) &&
	       disk->ring.in_flight == 0) {
		list_remove(&request->node);
		batch_put(batch, request, BLOCK_OK);
		request = first_waiting(disk);
	}
}

/* Of a broken device: some more fail. Under the lock. */
static void waiting_fail(struct virtio_blk *disk, struct batch *batch)
{
	struct block_request *request = first_waiting(disk);

	while (request != NULL && batch->count < BATCH_MAX) {
		list_remove(&request->node);
		batch_put(batch, request, BLOCK_EIO);
		request = first_waiting(disk);
	}
	must_look_set(disk, request != NULL);
}

static const char *status_look(struct virtio_blk *disk)
{
	if (__atomic_exchange_n(&disk->config_changed, 0, __ATOMIC_ACQUIRE) != 0 &&
	    (virtio_pci_status(&disk->device) & VIRTIO_STATUS_NEEDS_RESET) != 0) {
		return "it asks for a reset";
	}
	return NULL;
}

static const char *live_poll(struct virtio_blk *disk, struct batch *batch)
{
	const char *why = status_look(disk);

	if (why == NULL) {
		why = used_take(disk, batch);
	}
	if (why != NULL) {
		return why;
	}
	must_look_set(disk, 0);
	barriers_end(disk, batch);
	batch->notify = waiting_start(disk);
	return NULL;
}

/* Under the lock. True if it is this CPU that has to stop the device. */
static bool breaking_begin(struct virtio_blk *disk, const char *why)
{
	if (disk->state != VIRTIO_BLK_LIVE) {
		return false;
	}
	disk->broken_why = why;
	__atomic_store_n(&disk->state, VIRTIO_BLK_BREAKING, __ATOMIC_RELEASE);
	return true;
}

/* First the device is stopped, so that it reaches no memory; only then is what it had given back. */
static void breaking_end(struct virtio_blk *disk)
{
	struct block_request *request;

	virtio_pci_stop(&disk->device);
	spin_lock(&disk->lock);
	for (uint32_t i = 0; i < VIRTIO_RING_SIZE_MAX; i++) {
		request = virtio_ring_take_back(&disk->ring);
		if (request == NULL) {
			break;
		}
		list_add_tail(&disk->waiting, &request->node);
	}
	must_look_set(disk, !list_is_empty(&disk->waiting));
	__atomic_store_n(&disk->state, VIRTIO_BLK_BROKEN, __ATOMIC_RELEASE);
	spin_unlock(&disk->lock);
}

bool virtio_blk_is_pending(const struct virtio_blk *disk)
{
	switch (state_get(disk)) {
	case VIRTIO_BLK_LIVE:
		return virtio_ring_has_used(&disk->ring) ||
		       __atomic_load_n(&disk->must_look, __ATOMIC_ACQUIRE) != 0 ||
		       __atomic_load_n(&disk->config_changed, __ATOMIC_RELAXED) != 0;
	case VIRTIO_BLK_BROKEN:
		return __atomic_load_n(&disk->must_look, __ATOMIC_ACQUIRE) != 0;
	case VIRTIO_BLK_BREAKING:
		break;
	}
	return false;
}

static void batch_end(struct virtio_blk *disk, const struct batch *batch)
{
	if (batch->notify) {
		virtio_pci_notify(&disk->device);
	}
	for (uint32_t i = 0; i < batch->count; i++) {
		block_done(batch->requests[i], batch->status[i]);
	}
}

const char *virtio_blk_poll(struct virtio_blk *disk)
{
	struct batch batch;
	const char *why = NULL;

	if (!virtio_blk_is_pending(disk)) {
		return NULL;
	}
	batch.count = 0;
	batch.notify = false;
	spin_lock(&disk->lock);
	if (disk->state == VIRTIO_BLK_LIVE) {
		why = live_poll(disk, &batch);
		if (why != NULL) {
			(void)breaking_begin(disk, why);
		}
	} else if (disk->state == VIRTIO_BLK_BROKEN) {
		waiting_fail(disk, &batch);
	}
	spin_unlock(&disk->lock);
	if (why != NULL) {
		breaking_end(disk);
	}
	batch_end(disk, &batch);
	return why;
}

void virtio_blk_give_up(struct virtio_blk *disk, const char *why)
{
	bool is_ours;

	spin_lock(&disk->lock);
	is_ours = breaking_begin(disk, why);
	spin_unlock(&disk->lock);
	if (is_ours) {
		breaking_end(disk);
	}
}

/* ------------------------------------------------------------------ bringing it up */

/* In interrupt context: that the interrupt came is all; a poll follows. */
static void on_queue(void *context)
{
	struct virtio_blk *disk = context;

	(void)__atomic_fetch_add(&disk->interrupt_count, 1, __ATOMIC_RELAXED);
}

static void on_config(void *context)
{
	struct virtio_blk *disk = context;

	__atomic_store_n(&disk->config_changed, 1, __ATOMIC_RELEASE);
}

static bool config_read(struct virtio_blk *disk, const char **why)
{
	struct virtio_pci *device = &disk->device;

	disk->sector_count = virtio_pci_config64(device, CONFIG_CAPACITY);
	disk->piece_bytes_max = BLOCK_REQUEST_BYTES_MAX;
	if (has_feature(disk, VIRTIO_BLK_F_SIZE_MAX)) {
		disk->piece_bytes_max = virtio_pci_config32(device, CONFIG_SIZE_MAX);
	}
	if (disk->sector_count == 0 || disk->sector_count > UINT64_MAX / BLOCK_SECTOR_BYTES) {
		*why = "it has no sectors";
	} else if (has_feature(disk, VIRTIO_BLK_F_BLK_SIZE) &&
	           virtio_pci_config32(device, CONFIG_BLK_SIZE) != BLOCK_SECTOR_BYTES) {
		*why = "its sectors are not of 512 bytes";
	} else if (disk->piece_bytes_max < PAGE_BYTES) {
		*why = "it takes no segment of a whole page";
	} else if (has_feature(disk, VIRTIO_BLK_F_SEG_MAX) &&
	           virtio_pci_config32(device, CONFIG_SEG_MAX) < BLOCK_SEGMENT_MAX) {
		*why = "it takes too few segments in a request";
	} else {
		return true;
	}
	return false;
}

static void serial_copy(struct virtio_blk *disk)
{
	for (uint32_t i = 0; i < VIRTIO_BLK_ID_BYTES; i++) {
		uint8_t raw_c = disk->memory->id[i];

		if (raw_c <= ' ' || raw_c > '~') {
			break;
		}
		disk->serial[i] = (char)raw_c;
	}
}

/*
 * The first request, when there is no other: the serial number. A device need not have one, but must
 * answer.
 */
static bool identify(struct virtio_blk *disk, const char **why)
{
	struct virtio_blk_slot *slot = slot_fill(disk, VIRTIO_BLK_T_GET_ID, 0);
	struct virtio_ring_done done;
	struct chain chain;

	chain.count = 0;
	chain_put(&chain, slot, offsetof(struct virtio_blk_slot, status), false);
	chain_put(&chain, disk->memory->id, sizeof(disk->memory->id), true);
	chain_put(&chain, &slot->status, sizeof(slot->status), true);
	CHECK(virtio_ring_add(&disk->ring, chain.pieces, chain.count, disk));
	virtio_pci_notify(&disk->device);
	for (uint32_t i = 0; i < IDENTIFY_LOOKS && !virtio_ring_has_used(&disk->ring); i++) {
		host_delay_us(IDENTIFY_LOOK_US);
	}
	if (virtio_ring_take(&disk->ring, &done) != VIRTIO_RING_TAKEN) {
		*why = "it does not answer to its first request";
		return false;
	}
	if (__atomic_load_n(&slot->status, __ATOMIC_RELAXED) == VIRTIO_BLK_S_OK) {
		serial_copy(disk);
	}
	return true;
}

static bool bring_up(struct virtio_blk *disk, unsigned int cpu, const char **why)
{
	struct virtio_pci *device = &disk->device;

	if (!virtio_pci_negotiate(device, FEATURES_WANTED, FEATURES_NEEDED, &disk->features, why) ||
	    !config_read(disk, why)) {
		return false;
	}
	disk->has_interrupt = virtio_pci_route(device, cpu, on_queue, on_config, disk);
	if (!virtio_pci_queue_open(device, &disk->ring, &disk->memory->ring, disk->has_interrupt, why)) {
		return false;
	}
	if (disk->ring.size < PIECES_MAX) {
		*why = "its queue is too small for a request";
		return false;
	}
	virtio_pci_start(device);
	return identify(disk, why);
}

bool virtio_blk_open(struct virtio_blk *disk, const struct pci_function *at, void *memory, unsigned int cpu,
                     const char **why)
{
	*disk = (struct virtio_blk){.memory = memory, .state = VIRTIO_BLK_LIVE};
	spin_init(&disk->lock, RANK_HOST_DEVICE);
	list_init(&disk->waiting);
	if (!virtio_pci_open(&disk->device, at, why)) {
		return false;
	}
	if (!bring_up(disk, cpu, why)) {
		virtio_pci_stop(&disk->device);
		return false;
	}
	return true;
}

/*
 * fault_disk.h - a medium that fails by plan, takes its time, and remembers all it did.
 *
 * Behind struct block's operations, as the RAM disk and the host's disks are. Requests are done
 * when fault_disk_run() is called (or at once), in random order from a seed; the Nth of a kind can
 * fail, be torn, be cut short, or stall. Each write that reaches the medium and each flush is
 * logged with its data, so that what a power cut after any event leaves can be built again.
 *
 * What a power cut may leave: every write that was completed before a completed flush was submitted
 * (backend/block.h, BLOCK_FLUSH); of the later ones all, none, or any part, down to a sector.
 */
#ifndef TESTS_FAULTS_FAULT_DISK_H
#define TESTS_FAULTS_FAULT_DISK_H

#include "backend/block.h"

#define FAULT_DISK_QUEUE 256u
#define FAULT_FOREVER UINT64_MAX

enum fault_kind {
	FAULT_NONE,
	FAULT_EIO,       /* nothing is done */
	FAULT_TORN,      /* a part, to the middle of a sector */
	FAULT_SHORT,     /* all but the last sector */
	FAULT_AFTER,     /* all, and yet an error */
	FAULT_READ_ONLY, /* the medium has gone read-only */
	FAULT_STALL,     /* done @stall_ns later */
	FAULT_KIND_COUNT,
};

enum fault_event_kind {
	FAULT_EVENT_WRITE,
	FAULT_EVENT_FLUSH,
};

struct fault_event {
	enum fault_event_kind kind;
	uint64_t sector; /* of the medium */
	uint32_t sectors;
	uint32_t bytes;   /* that arrived: less if torn */
	uint64_t data_at; /* in the log's data */
	uint64_t covers;  /* a flush: events before this one are on the medium for good */
};

struct fault_pending {
	struct block_request *request;
	uint64_t due_ns;
	uint64_t covers; /* a flush */
	enum fault_kind kind;
};

struct fault_disk {
	struct block whole;
	uint8_t *now; /* what is read back */
	uint64_t sector_count;
	uint64_t now_ns;

	/* the plan: faults from the @nth request (1 and up) of the operations in @mask, @count of them */
	enum fault_kind kind;
	uint32_t mask; /* bit n: enum block_operation n */
	uint64_t nth, count;
	uint64_t stall_ns;
	uint64_t seen, fired; /* requests of these operations; faults */

	bool late; /* requests wait for fault_disk_run(); else done in submit */
	uint64_t random;
	struct fault_pending queue[FAULT_DISK_QUEUE];
	uint32_t queued;
	uint64_t submitted, done;

	void (*pump)(struct fault_disk *disk); /* the medium is another's, which runs here; else NULL */

	bool logging;
	struct fault_event *log;
	uint64_t log_count, log_room;
	uint8_t *data;
	uint64_t data_bytes, data_room;
};

/* Zeroed. */
void fault_disk_init(struct fault_disk *disk, uint64_t sector_count, uint64_t seed);
void fault_disk_free(struct fault_disk *disk);
/* Counting starts anew. @nth 0: no fault. */
void fault_disk_plan(struct fault_disk *disk, enum fault_kind kind, uint32_t mask, uint64_t nth,
		     uint64_t count, uint64_t stall_ns);
/* The log starts at what is on the disk now; it belongs to the caller to copy that first. */
void fault_disk_log(struct fault_disk *disk, bool on);

/* For a medium of another's: what it did, as above. */
void fault_disk_log_write(struct fault_disk *disk, uint64_t sector, uint32_t bytes);
void fault_disk_log_flush(struct fault_disk *disk, uint64_t covers);

/* Time is @now_ns: does some of what is due. */
void fault_disk_run(struct fault_disk *disk, uint64_t now_ns);
/* Does all but what stalls for ever. */
void fault_disk_drain(struct fault_disk *disk);
/* Ends all, stalled ones too, with @status (and does them, if that is BLOCK_OK). */
void fault_disk_release(struct fault_disk *disk, enum block_status status);
uint32_t fault_disk_stalled(const struct fault_disk *disk);

/* ------------------------------------------------------------------ power cuts */

enum fault_cut_kind {
	FAULT_CUT_NONE, /* only what must be there */
	FAULT_CUT_ALL,
	FAULT_CUT_TORN,   /* all, but of the last only a part */
	FAULT_CUT_SUBSET, /* any of them, some in part */
	FAULT_CUT_KIND_COUNT,
};

/* Goes through the log; at each point what a cut there leaves can be built and is taken back. */
struct fault_cut {
	const struct fault_disk *disk;
	uint8_t *image; /* outside of build and undo: what must be there */
	uint64_t at;    /* events that have happened */
	uint64_t kept;  /* of them are on the medium for good */
	uint64_t random;
};

/* @base: what was on the disk when the log began; copied. */
void fault_cut_begin(struct fault_cut *cut, const struct fault_disk *disk, const uint8_t *base,
		     uint64_t seed);
/* One event further. False: there is none. */
bool fault_cut_next(struct fault_cut *cut);
/* cut->image becomes one thing that a cut here may leave; @undo (of the disk's size) is what it was. */
void fault_cut_build(struct fault_cut *cut, enum fault_cut_kind kind, uint8_t *undo);
void fault_cut_undo(struct fault_cut *cut, const uint8_t *undo);
void fault_cut_end(struct fault_cut *cut);

/* xorshift; *state is not 0. */
uint64_t fault_random(uint64_t *state);

#endif /* TESTS_FAULTS_FAULT_DISK_H */

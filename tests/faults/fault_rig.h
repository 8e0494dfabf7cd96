/*
 * fault_rig.h - guests of either face, over a disk that fails by plan, with faults between the
 * guest and its doorbells and interrupts.
 *
 * The guests are those of tests/loopback: the real drivers of guest-drivers/ against the real faces
 * and backends, in one thread, in the same order each time. Here a guest also runs one step of
 * deferred work at a poll (so that a test can stop it between any two), its disk's completions come
 * at its exits, and what each does is behind one name for both faces.
 */
#ifndef TESTS_FAULTS_FAULT_RIG_H
#define TESTS_FAULTS_FAULT_RIG_H

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "guest-drivers/hyperv/hyperv.h"
#include "guest-drivers/xen/xen.h"
#include "tests/faults/fault_disk.h"
#include "tests/loopback/loopback.h"
#include "tests/unit/unit.h"

#define FAULT_SECTORS 64u /* that a guest sees */
#define FAULT_FIRST 32u   /* of the medium: the guest's is a window */
#define FAULT_MEDIUM (FAULT_SECTORS + 2 * FAULT_FIRST)
#define FAULT_IO_PAGES 3u
#define FAULT_IO_SECTORS 8u
#define FAULT_IOS 8u

enum fault_face {
	FAULT_XEN,
	FAULT_HYPERV,
	FAULT_FACES,
};
extern const char *const fault_face_names[FAULT_FACES];

enum fault_op {
	FAULT_READ,
	FAULT_WRITE,
	FAULT_FLUSH,
	FAULT_WRITE_FLUSH, /* Hyper-V: a write with FUA. Xen: a flush that carries data (flush, then write) */
};

enum fault_result {
	FAULT_OK,
	FAULT_ERROR, /* as the interface documents it */
	FAULT_DENIED, /* the same, for a write to a medium that is read-only */
	FAULT_UNANSWERED, /* the driver gave up on the host */
	FAULT_WRONG, /* anything else: never right */
};

enum fault_bell {
	FAULT_BELL_NONE,
	FAULT_BELL_LOST, /* the guest's doorbell does not arrive */
	FAULT_BELL_DOUBLED,
	FAULT_IRQ_LOST, /* the guest sees no interrupt, once */
	FAULT_IRQ_SPURIOUS, /* and one that nothing caused, each poll from there on */
};

struct fault_guest;

struct fault_io {
	struct fault_guest *guest;
	struct guest_page pages[FAULT_IO_PAGES];
	uint64_t gfns[FAULT_IO_PAGES];
	struct hv_buffer buffer;
	enum fault_op op;
	uint64_t sector;
	uint32_t sectors, offset; /* in memory; in Xen's a multiple of 512 */
	bool busy;
	uint64_t done_count, submit_count;
	enum fault_result result;
	void (*done)(struct fault_io *io);
	void *context;
	uint32_t versions[FAULT_SECTORS]; /* a flush: what was acknowledged before it */
	uint64_t acked_before;
};

struct fault_guest {
	enum fault_face face;
	uint32_t index;
	struct loop_guest loop;
	struct guest_ops ops;
	const struct guest_ops *loop_ops;
	struct fault_disk *disk; /* NULL: none */
	struct block block;
	bool created;

	/* what happens at an exit: counted from fault_guest_points_reset() on */
	uint64_t points;
	uint64_t end_at; /* 0: never; then longjmp(end) */
	jmp_buf end;
	uint64_t poll_ns;
	bool whole_work; /* all deferred work at each poll, not one step */

	enum fault_bell bell;
	uint64_t bell_nth, bell_seen, bell_fired;
	bool by_interrupt; /* the drivers look only when an interrupt says so */

	struct xen_guest xen;
	struct xen_blkfront blk;
	struct xen_netfront xen_net;
	struct hv_guest hv;
	struct hv_storvsc stor;
	struct hv_disk hv_disk;
	struct hv_netvsc hv_net;
	bool disk_open, net_open;

	uint8_t mac[6];
	uint64_t frames_in, frames_bad, frames_twice;
	uint32_t frame_next; /* to be sent */
	uint8_t frames_seen[4096];
};

extern struct fault_guest fault_guests[2];
extern struct ether_switch fault_lan;
extern bool fault_full;     /* all points; else a quick part of them */
extern uint64_t fault_seed; /* of this run */

/* ------------------------------------------------------------------ life; false: it failed, cleanly */

/* A machine without its face. @disk may be NULL; fault_lan if @nic. */
struct fault_guest *fault_machine(uint32_t index, enum fault_face face, struct fault_disk *disk, bool nic);
/* The face, its bus and devices, as core's wiring makes them. */
MUST_CHECK bool fault_create(struct fault_guest *g);
/* The guest's kernel: its face, its bus. */
MUST_CHECK bool fault_start(struct fault_guest *g);
void fault_stop(struct fault_guest *g);
MUST_CHECK bool fault_disk_open(struct fault_guest *g);
bool fault_disk_close(struct fault_guest *g);
MUST_CHECK bool fault_net_open(struct fault_guest *g);
bool fault_net_close(struct fault_guest *g);
/* Ends the face as core does; panics if anything of the guest's is left. */
void fault_destroy(struct fault_guest *g, bool strict);
/* Teardown of the face only. */
void fault_teardown(struct fault_guest *g);
/* Machine, face, kernel, disk and network; asserted. */
struct fault_guest *fault_up(uint32_t index, enum fault_face face, struct fault_disk *disk, bool nic);
/* Closes, stops, destroys; asserted, and nothing may be left. */
void fault_down(struct fault_guest *g);
/* As a reset of the machine, and its memory is nobody's. */
void fault_reset(struct fault_guest *g);

/* ------------------------------------------------------------------ running */

void fault_poll(struct fault_guest *g);
void fault_polls(struct fault_guest *g, uint32_t count);
/* The next doorbell, and the next interrupt: whatever was lost is made up for. */
void fault_kick(struct fault_guest *g);

/* Ends its disk requests as core does before a teardown. */
void fault_quiesce(struct fault_guest *g);

void fault_io_alloc(struct fault_guest *g, struct fault_io *io);
void fault_io_free(struct fault_io *io);
bool fault_io_submit(struct fault_io *io);
/* False: it does not end. */
bool fault_io_wait(struct fault_io *io);
void fault_io_put(struct fault_io *io, uint32_t sector, const uint8_t bytes[512]);
void fault_io_get(const struct fault_io *io, uint32_t sector, uint8_t bytes[512]);

/* The next numbered frame to the other guest. False: no room. */
bool fault_frame_send(struct fault_guest *g, uint32_t len);

/* ------------------------------------------------------------------ a workload with a memory */

struct fault_promise {
	uint64_t log_at; /* from this event on @sector holds at least @version */
	uint32_t sector, version;
};

struct fault_work {
	struct fault_guest *g;
	struct fault_disk *disk;
	uint64_t random;
	struct fault_io ios[FAULT_IOS];
	uint32_t written[FAULT_SECTORS]; /* last version submitted */
	uint32_t acked[FAULT_SECTORS];
	uint32_t promised[FAULT_SECTORS];
	bool busy[FAULT_SECTORS];
	bool unknown[FAULT_SECTORS]; /* a write of it has failed: anything may be there */
	uint64_t ok_count, error_count, denied_count, unanswered_count, wrong_count;
	uint64_t write_acks, write_acks_promised, flush_acks;
	uint64_t bad_reads;
	struct fault_promise *promises;
	uint64_t promise_count, promise_room;
	bool flushing; /* includes flushes */
	bool allow_loss; /* requests may end unanswered */
};

void fault_stamp(uint8_t bytes[512], uint64_t sector, uint32_t version);
/* True if it is a whole stamp of @sector. */
bool fault_stamp_read(const uint8_t bytes[512], uint64_t sector, uint32_t *version);

void fault_work_begin(struct fault_work *w, struct fault_guest *g, uint64_t seed);
/* Submits @requests, up to FAULT_IOS at once; not waited for. False: stuck. */
MUST_CHECK bool fault_work_run(struct fault_work *w, uint32_t requests);
MUST_CHECK bool fault_work_wait(struct fault_work *w);
/* Reads all and compares; asserted. */
void fault_work_verify(struct fault_work *w);
void fault_work_end(struct fault_work *w, bool free_pages);

/* ------------------------------------------------------------------ programs */

/* One line of the table: `make faults` collects them. */
void fault_report(const char *kind, enum fault_face face, uint64_t points, const char *note);
/* The case that begins: what fails before the next one is said to be of it. */
void fault_point(const char *what, uint64_t n);
/* On stderr at a failure, so that it can be repeated. */
#define FAULT_CHECK(cond, seed, n)                                                              \
	do {                                                                                    \
		bool held_ = (cond);                                                            \
		if (!held_) {                                                                   \
			fprintf(stderr, "%s:%d: %s: seed %llu, N %llu\n", __FILE__, __LINE__,   \
				#cond, (unsigned long long)(seed), (unsigned long long)(n));    \
		}                                                                               \
		CU_ASSERT_FATAL(held_);                                                         \
	} while (0)

int fault_main(int argc, char **argv, const char *suite, const struct unit_test *tests, size_t count);

#define FAULT_MAIN(suite, ...)                                                                  \
	int main(int argc, char **argv)                                                         \
	{                                                                                       \
		static const struct unit_test tests[] = {__VA_ARGS__};                          \
		return fault_main(argc, argv, suite, tests, sizeof(tests) / sizeof(tests[0]));  \
	}

#endif /* TESTS_FAULTS_FAULT_RIG_H */

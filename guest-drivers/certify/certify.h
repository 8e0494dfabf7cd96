/*
 * certify.h - the certification guest: every row of specs/ is probed, from inside a guest, on whatever hypervisor it
 * finds below itself, and the result told as TAP version 14 (specs/certify.md has the form).
 *
 * The probes see the machine through struct guest alone (guest-drivers/guest.h), so the same ones run on the metal and
 * in a test process against our faces. What only a real machine has (ports, other CPUs, interrupts, page tables) is in
 * struct certify_machine; a probe that needs a part that is not there is skipped.
 *
 * One thread. Nothing here allocates but pages of the guest's.
 */
#ifndef GUEST_DRIVERS_CERTIFY_H
#define GUEST_DRIVERS_CERTIFY_H

#include "guest-drivers/face.h"
#include "guest-drivers/hyperv/hyperv.h"
#include "guest-drivers/xen/xen.h"

#define PROBE_TEXT_BYTES 160u
#define PROBE_NOTES 6u
#define PROBE_FAILED_SHOWN 16u /* of one probe's failed checks */
#define CERTIFY_TEXT_BYTES 256u

struct certify;
struct probe;

/* ------------------------------------------------------------------ what is probed: tables of rows */

/* A row of specs/NAME.def, and what proves it. */
struct row {
	const char *name;
	uint64_t number;
	bool specified; /* OFFERED, by the row: what Janus does */
	const char *clause;
	void (*probe)(struct probe *p);
};

enum row_need {
	NEED_NOTHING,
	NEED_HYPERV,
	NEED_XEN,
};

struct row_table {
	const char *name; /* of the .def file, without its ending */
	enum row_need need; /* without that face all its rows are skipped */
	const struct row *rows;
	uint32_t count;
};

/*
 * Each table's file defines struct row_table table_NAME from its .def file, in which a row without a probe does not
 * compile:
 *
 *	#define SPEC_ROW(number, name, status, handler, clause) ROW(number, name, status, clause, probe_##name)
 *	static const struct row rows[] = {
 *	#include "specs/xen_sched.def"
 *	};
 *	ROW_TABLE(xen_sched, NEED_XEN)
 *
 * Rows that one function proves are named so by `#define probe_NAME probe_of_many` before, or by the handler's name
 * instead of the row's.
 */
#define ROW_OFFERED true
#define ROW_REFUSED false
#define ROW(number, name, status, clause, probe) {#name, (uint64_t)(number), ROW_##status, clause, probe},
#define ROW_TABLE(of, need) \
	const struct row_table table_##of = {#of, need, rows, sizeof(rows) / sizeof(rows[0])};

/* ------------------------------------------------------------------ one probe's run */

struct probe {
	struct certify *c;
	const struct row_table *table;
	const struct row *row;
	bool offered; /* what this hypervisor does; as the row says, until probe_offer() */
	uint32_t check_count, failed_count;
	char failed[PROBE_TEXT_BYTES]; /* the first check that failed */
	char skip[PROBE_TEXT_BYTES]; /* why it is skipped; empty: it is not */
	uint32_t note_count;
	char notes[PROBE_NOTES][PROBE_TEXT_BYTES];
};

/*
 * One thing that must hold; the text (%s %u %x %lu %lx %ld) says what. The first that fails is told with the result, others
 * at once. Returns @holds.
 */
bool probe_check(struct probe *p, bool holds, const char *format, ...) PRINTF_LIKE(3, 4);
/* The same for two numbers that must be equal; both are told if not. */
bool probe_equal(struct probe *p, uint64_t got, uint64_t wanted, const char *what);
/* Says whether this hypervisor offers the row, where that is told by a feature bit or by the answer. */
void probe_offer(struct probe *p, bool offered);
/* Evidence: what was seen. The first PROBE_NOTES are kept. */
void probe_note(struct probe *p, const char *format, ...) PRINTF_LIKE(2, 3);
/* The probe cannot be made here. Return after it; checks made before count no more unless one failed. */
void probe_skip(struct probe *p, const char *format, ...) PRINTF_LIKE(2, 3);

/* ------------------------------------------------------------------ what probes stand on */

/*
 * Each brings the face up to that level if it is not there, or down to it, and returns NULL if that fails (then a check
 * has failed, or the probe is skipped: a hypervisor need not offer VMBus). A probe may leave the level it asked for or
 * any that its own calls of these reach; what it opened beyond (channels, ports, grants, watches, devices) it has closed
 * when it returns.
 */
struct hv_guest *certify_hv_started(struct probe *p); /* hypercall page and, if there is one, SynIC; no bus */
struct hv_guest *certify_hv_connected(
        struct probe *p); /* VMBus connected, offers are there, no channel open */
struct xen_guest *certify_xen_started(struct probe *p); /* with the store */
/* Nothing of the face is enabled any more, as at boot. */
void certify_hv_down(struct certify *c);
void certify_xen_down(struct certify *c);

/* Reads and writes; false: #GP. */
bool certify_rdmsr(struct certify *c, uint32_t msr, uint64_t *value);
bool certify_wrmsr(struct certify *c, uint32_t msr, uint64_t value);
void certify_cpuid(struct certify *c, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);
/* Runs @work(@context) on CPU @cpu (1 and up), where there is a machine. False: it did not end in five seconds. */
bool certify_cpu_run(struct certify *c, uint32_t cpu, void (*work)(void *context), void *context);
/* Polls until @done(@context) or about @us microseconds are over. Returns the last answer. */
bool certify_wait(struct certify *c, bool (*done)(void *context), void *context, uint32_t us);

/* ------------------------------------------------------------------ the machine, where there is one */

/*
 * Interrupts are off but inside wait_ns(), cpu_wait() and guest_poll(). CPU 0 is the one that probes; the others
 * sleep until they are given work.
 */
struct certify_machine {
	uint32_t cpu_count; /* that run */
	uint64_t tsc_hz;
	uint64_t (*tsc)(void);
	/* @bytes 1, 2 or 4. */
	uint32_t (*port_in)(uint16_t port, uint32_t bytes);
	void (*port_out)(uint16_t port, uint32_t bytes, uint32_t value);

	/* Lets interrupts come for about @ns nanoseconds, asleep (HLT, woken by a timer) or awake. */
	void (*wait_ns)(uint64_t ns, bool asleep);
	/* One shot of the local APIC's timer, waited for. False: it did not come in five seconds. */
	bool (*apic_timer)(uint64_t ns);
	/* From now on interrupts of @vector are counted on every CPU; @eoi: the local APIC wants an EOI. */
	void (*vector_watch)(uint8_t vector, bool eoi);
	/* How many have come on @cpu. */
	uint32_t (*vector_count)(uint32_t cpu, uint8_t vector);
	/*
	 * Xen's upcall comes again and again until its byte is cleared. @byte gives where that of a CPU is now, or NULL.
	 * The vector's handler clears it; of CPU 0 it is set again when wait_ns() and the like return, so that a probe that
	 * looks at it misses nothing.
	 */
	void (*upcall_bytes)(uint8_t *(*byte)(void *context, uint32_t cpu), void *context);
	/* An IPI by the local APIC. */
	void (*ipi_send)(uint32_t cpu, uint8_t vector);

	/* Gives CPU @cpu (1 and up) @work(@context) to do, interrupts off. False: it is busy. */
	bool (*cpu_begin)(uint32_t cpu, void (*work)(void *context), void *context);
	/* Waits until it has ended. False: not within five seconds; then it stays busy. */
	bool (*cpu_wait)(uint32_t cpu);
	/* The APIC id of a CPU, as it said of itself when it started. */
	uint32_t (*apic_id)(uint32_t cpu);

	/* A page of linear addresses that is no RAM's own. */
	uint8_t *window;
	/* Maps it to @gfn in the page tables that all CPUs share; no TLB is flushed. */
	void (*window_map)(uint64_t gfn);
};

/* Scratch disk: sector 0 begins with this; probes write from CERTIFY_SCRATCH_SECTOR on, and only if it does. */
#define CERTIFY_MARKER "JANUS-CERTIFY-SCRATCH-DISK v1\n\0"
#define CERTIFY_MARKER_BYTES 32u
#define CERTIFY_SCRATCH_SECTOR 8u
#define CERTIFY_SCRATCH_BYTES (1u << 20) /* at least */
#define CERTIFY_ETHERTYPE 0x88B5u /* for experiments; a guest in mode=echo answers it */

struct certify_options {
	const char *only; /* a table's name or a row's id; NULL: all */
	const char
	        *after; /* an id: rows up to it are skipped, as an earlier boot has done them; NULL: none */
	const char *boot; /* how the guest was started: "pvh", "multiboot1", "multiboot2", "hosted" */
};

struct certify {
	struct guest *guest;
	const struct certify_machine *machine; /* NULL: a test process */
	struct certify_options options;
	/* One line, without its end. */
	void (*line)(void *context, const char *text);
	void *line_context;

	struct face_found faces;
	struct hv_guest hv;
	struct xen_guest xen;
	bool hv_is_started, hv_is_connected, xen_is_started;
	bool xen_info_is_placed; /* a probe has registered CPU 0's vcpu_info, at the start of the shared info */

	uint32_t point; /* of TAP: the last one told */
	uint32_t passed, failed, skipped;
	bool reached; /* the row of options.after was seen, or there is none */
};

/* Finds the faces. certify_run() begins with it. */
void certify_find(struct certify *c);
/* Probes all rows; c->passed, failed, skipped tell the end. guest, machine, options and line are set by the caller. */
void certify_run(struct certify *c);
/* One line of output, formatted. */
void certify_say(struct certify *c, const char *format, ...) PRINTF_LIKE(2, 3);

/* All tables, in the order of the plan; ended by NULL. */
extern const struct row_table *const certify_tables[];

#endif /* GUEST_DRIVERS_CERTIFY_H */

/*
 * hv_probe.h - what the probes of the Hyper-V face's own tables (specs/hv_*.def) share: what the hypervisor says that it
 * offers, MSRs that must answer or must fault, overlay pages, and a synthetic timer with its message slot.
 */
#ifndef GUEST_DRIVERS_CERTIFY_HV_PROBE_H
#define GUEST_DRIVERS_CERTIFY_HV_PROBE_H

#include "base/bits.h"
#include "guest-drivers/certify/certify.h"

/* Privileges and features of leaf 3 that abi/hyperv.h does not need. */
#define HV_ACCESS_DEBUG_MSRS BIT(12) /* EAX */
#define HV_ACCESS_VSM BIT(16) /* EBX */
#define HV_ACCESS_VP_REGISTERS BIT(17)
#define HV_START_VIRTUAL_PROCESSOR BIT(21)
#define HV_FEATURE_NPIEP BIT(12) /* EDX */
#define HV_FEATURE_TIME_UNHALTED_TIMER BIT(23)
#define HV_HINT_MMIO_HYPERCALLS BIT(21) /* leaf 4, EAX */
#define HV_NESTED_FLUSH BIT(18) /* leaf 0xA, EAX */

/* No machine has memory there: beyond the end of every guest's physical address space. */
#define HV_PROBE_BAD_ADDRESS 0x000FFFFFFFFFF000ull

/* ------------------------------------------------------------------ what it says */

/* Leaves 3 to 5; what a leaf beyond the highest one holds is taken as 0. */
struct hv_says {
	uint32_t leaf_max;
	uint32_t privileges; /* leaf 3 EAX: groups of MSRs */
	uint32_t partition; /* leaf 3 EBX */
	uint32_t features; /* leaf 3 EDX */
	uint32_t hints; /* leaf 4 EAX */
	uint32_t spin_count; /* leaf 4 EBX */
	uint32_t vp_max; /* leaf 5 EAX */
	uint32_t nested; /* leaf 0xA EAX */
};

void hv_probe_says(struct certify *c, struct hv_says *says);

/* ------------------------------------------------------------------ MSRs */

/* Reads; a fault is a failed check, and reads 0. */
uint64_t hv_probe_get(struct probe *p, uint32_t msr);
/* Writes; a fault is a failed check. */
bool hv_probe_put(struct probe *p, uint32_t msr, uint64_t value);
/* Writes and reads the same back. */
void hv_probe_keeps(struct probe *p, uint32_t msr, uint64_t value);
/* A write of @value must fault. */
void hv_probe_put_faults(struct probe *p, uint32_t msr, uint64_t value);
/*
 * Says that the row's MSR is @offered or not. If it is not, both accesses must fault (a write is tried only if the read
 * does). Returns @offered.
 */
bool hv_probe_offers_msr(struct probe *p, bool offered);

/*
 * The row's MSR places a page of the hypervisor's over a page of the guest's (TLFS, overlay pages): it does so where it
 * is told to, moves, hides what is below and shows it again. @look is shown the page at both places; NULL: it is not
 * looked at. The MSR is as before in the end.
 */
void hv_probe_overlay(struct probe *p, void (*look)(struct probe *p, const uint8_t *page));
/* The same MSR with an address beyond the end: must fault, or (@may_stay) may. It changes nothing if it does. */
void hv_probe_overlay_beyond(struct probe *p, bool may_stay);

/* The reference counter; 0 if it cannot be read. */
uint64_t hv_probe_time(struct certify *c);
/* Lets about @us microseconds pass, by the reference counter if there is one. */
void hv_probe_pass(struct probe *p, uint32_t us);

/* ------------------------------------------------------------------ hv_stimer.c: a timer and where its messages come */

#define HV_PROBE_SINT 5u /* no one else uses it */
#define HV_PROBE_VECTOR 0xD2u /* of its SINT */
#define HV_PROBE_DIRECT_VECTOR 0xD3u

struct hv_timer {
	struct probe *p;
	struct hv_guest *hv;
	uint32_t index, sint;
	uint64_t sint_before;
	struct hv_message message; /* that hv_timer_take() took */
	struct hv_timer_message_payload payload; /* of it */
};

/* NULL to @timer->hv, with the reason told, if there are no timers to be had. The SINT is unmasked. */
bool hv_timer_up(struct hv_timer *timer, struct probe *p, uint32_t index, uint32_t sint);
/* Stopped, its slot empty, the SINT as before. */
void hv_timer_down(struct hv_timer *timer);
/* One-shot for @due, or (@config has HV_STIMER_PERIODIC) with that period; HV_STIMER_ENABLE is added. */
void hv_timer_start(struct hv_timer *timer, uint64_t config, uint64_t count);
void hv_timer_stop(struct hv_timer *timer);
bool hv_timer_enabled(struct hv_timer *timer);
/* A message is in the slot within @us microseconds. */
bool hv_timer_wait(struct hv_timer *timer, uint32_t us);
/* The message in the slot, copied, the slot given back with EOM if that is asked for. False: none. */
bool hv_timer_take(struct hv_timer *timer);
/* All of it: started, waited for, taken, checked against @due; 0 if it did not come, else when it was delivered. */
uint64_t hv_timer_expect(struct hv_timer *timer, uint64_t due);
/* In this many microseconds a timer is set to expire: enough to look at it before. */
uint32_t hv_timer_delay_us(const struct certify *c);
/* Interrupts of @vector are taken and counted from now on, where there is a machine. */
void hv_probe_watch(struct certify *c, uint8_t vector);
/* How many have come, after those pending have been taken. 0 without a machine. */
uint32_t hv_probe_count(struct certify *c, uint8_t vector);
/* The same, once @wanted have been taken, or after a second. */
uint32_t hv_probe_count_to(struct certify *c, uint8_t vector, uint32_t wanted);

/* Probes of the rows, for hv_msr.c's table. */
void hv_probe_scontrol(struct probe *p);
void hv_probe_sversion(struct probe *p);
void hv_probe_simp(struct probe *p);
void hv_probe_siefp(struct probe *p);
void hv_probe_eom(struct probe *p);
void hv_probe_sint(struct probe *p);
void hv_probe_stimer_config(struct probe *p);
void hv_probe_stimer_count(struct probe *p);
void hv_probe_guest_idle(struct probe *p);

/* ------------------------------------------------------------------ hypercalls */

#define HV_REPS(count) ((uint64_t)(count) << HV_HYPERCALL_REP_COMP_OFFSET)
#define HV_REP_START(index) ((uint64_t)(index) << HV_HYPERCALL_REP_START_OFFSET)
#define HV_BANKS(count) ((uint64_t)(count) << HV_HYPERCALL_VARHEAD_OFFSET)
#define HV_RESULT_STATUS(result) ((uint16_t)(result))
#define HV_RESULT_REPS(result) ((uint32_t)((result) >> HV_HYPERCALL_REP_COMP_OFFSET) & 0xFFFu)

/* The whole result value. */
uint64_t hv_probe_call(struct hv_guest *hv, uint64_t control, uint64_t input, uint64_t output);
/* The row's call with @len bytes of input at the start of hv->input; @control without the call's code. */
uint64_t hv_probe_call_with(struct probe *p, struct hv_guest *hv, uint64_t control, const void *input,
                            uint32_t len);
void hv_probe_status(struct probe *p, uint64_t result, uint16_t wanted, const char *what);
/* Any status but success. */
void hv_probe_fails(struct probe *p, uint64_t result, const char *what);

/* A call that is right, to be made wrong in one point at a time. */
struct hv_shape {
	uint64_t control; /* without the code: counts that fit the header */
	const void *header;
	uint32_t header_bytes;
	uint32_t input_bytes; /* header and what follows it, as the specification has it */
	bool is_rep, is_variable;
	uint16_t status; /* that it gets */
};

/*
 * What the calling convention asks of every call with input in memory: the reserved bits, counts and start indexes, the
 * variable header's size, alignment, page boundaries, addresses.
 */
void hv_probe_convention(struct probe *p, struct hv_guest *hv, const struct hv_shape *shape);
/*
 * The row's call is recommended (leaf 4) or not; served it may be all the same. Then it is tried with a count that is
 * wrong, and must be refused for that, or as one that is not there. Returns @recommended.
 */
bool hv_probe_recommends(struct probe *p, bool recommended, bool is_rep);

/* Probes of the rows, for hv_hypercall.c's table: in hv_hypercall_flush.c. */
void hv_probe_flush_space(struct probe *p);
void hv_probe_flush_list(struct probe *p);
void hv_probe_flush_space_ex(struct probe *p);
void hv_probe_flush_list_ex(struct probe *p);
void hv_probe_send_ipi(struct probe *p);
void hv_probe_send_ipi_ex(struct probe *p);

#endif /* GUEST_DRIVERS_CERTIFY_HV_PROBE_H */

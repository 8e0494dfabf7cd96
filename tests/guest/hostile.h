/*
 * hostile.h - a guest that does what no guest should: one claim a case, chosen by case=NAME.
 *
 * A case ends by itself with its claims held or not (`result=`), or is ended by Janus: then what it
 * said before is its `doing=` line. seconds=N is how long a storm blows.
 */
#ifndef GUEST_HOSTILE_H
#define GUEST_HOSTILE_H

#include "guest-drivers/metal/machine.h"

struct hostile_case {
	const char *name; /* NULL: the table's end */
	void (*run)(void);
};

/* By the face that it needs; those of the machine itself run on either. */
extern const struct hostile_case cases_cpu[];
extern const struct hostile_case cases_device[];
extern const struct hostile_case cases_xen[];
extern const struct hostile_case cases_xen_device[];
extern const struct hostile_case cases_hyperv[];
extern const struct hostile_case cases_vmbus[];

extern struct guest *machine;

/* What the case says must hold. The first that do not are reported. */
void claim(bool holds, const char *what);
void claim_number(uint64_t seen, uint64_t wanted, const char *what);
/* The case has time left. */
bool blowing(void);
/* Seconds of waiting by polls until @done is true. */
bool wait_for(bool (*done)(void), uint32_t seconds);
/*
 * Time for the other side to work: @turns of @poll, or as many as begin in 50 ms. Where CPUs are shared, a poll's PAUSE can
 * cost a slice of everybody else's.
 */
void let_work(void (*poll)(void), uint32_t turns);

/* Addresses and numbers to be wrong with: none is a page of RAM that may be written to. */
uint64_t wild(uint32_t index);
#define WILD_COUNT 24u
uint64_t random_wild(void);
/* The end of RAM, in bytes. */
uint64_t ram_end(void);

/* ---------------------------------------------------------------- traps */

#define TRAP_NONE (-1)
#define VECTOR_DB 1
#define VECTOR_UD 6
#define VECTOR_GP 13
#define VECTOR_PF 14
#define VECTOR_AC 17

/* Runs @code(@argument): TRAP_NONE if it returns, else the vector of the exception that ended it. */
int try_call(void (*code)(void *argument), void *argument);
/* What was on the stack when this CPU's last try was ended. */
struct frame *trapped(void);
/* One instruction's bytes, run in ring 0; the rest of the page's line is UD2. */
int try_bytes(const uint8_t *bytes, size_t count);
/* As try_bytes(), with RAX, RBX, RCX, RDX, RSI, RDI, R8, R10 given. */
struct registers {
	uint64_t rip, cs, rflags, rsp, ss;
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, r8, r10;
};

enum mode { RING0_64, RING0_32, RING3_64, RING3_32 };
/* Runs the code at @rip (0: VMMCALL; UD2) there until an exception, which is returned. */
int run_mode(enum mode mode, struct registers *regs);
/* True if run_mode() ended at the UD2 behind the call: then @regs are what it left. */
bool call_mode(enum mode mode, struct registers *regs);

/* Maps 2 MiB at physical @at (rounded down) and gives where @at is then seen. One at a time. */
volatile uint8_t *map_far(uint64_t at);
/* The page table entry of the 2 MiB at @linear, below 4 GiB. */
uint64_t *entry_of(uint64_t linear);
void flush_tlb(void);

#endif /* GUEST_HOSTILE_H */

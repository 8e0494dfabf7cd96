/*
 * hammer.c - interrupts that arrive around STI, MOV SS, HLT, CLI, POPF and IRET, at every place and
 * at random ones.
 *
 * The local APIC's timer is set for a short time, then one sequence of hammer_seq.S runs again and
 * again until it has fired. The handler sees from the interrupted RIP and RFLAGS whether the
 * interrupt could arrive there. Under -icount, delays that rise by few instructions reach each place.
 * sti_hlt is the wake-up race: if an interrupt that is taken before HLT is lost there, this hangs,
 * and the harness's time limit is what says so.
 *
 * Options: rounds=N of each sequence, halts=N of sti_hlt, range=N (the longest delay, in timer
 * ticks), step=N, apic=xapic. Each line is `SEQUENCE=ROUNDS rounds, N inside, N first, N wrong`:
 * inside is how often the interrupt came while the sequence had interrupts on, first how often at
 * the first possible place.
 */
#include "guest-drivers/metal/cpu.h"

#define ROUND_SECONDS 20u

struct sequence {
	uint64_t start;
	uint64_t open;
	uint64_t hole;
	uint64_t hole_end;
	uint64_t close;
	uint64_t end;
	const char *name;
};

struct tally {
	volatile uint32_t fired;
	uint32_t inside;
	uint32_t first;
	uint32_t wrong;
	uint64_t wrong_rip;
	uint64_t wrong_rflags;
};

extern const struct sequence hammer_rows[];
void hammer_call(uint64_t start);

static const struct sequence *current;
static struct tally tally;
static uint64_t range;
static uint64_t step;

static bool is_closed(const struct sequence *s, uint64_t rip)
{
	return (rip >= s->start && rip < s->open) || (rip >= s->hole && rip < s->hole_end) ||
	       (rip >= s->close && rip < s->end);
}

static void take_timer(struct frame *frame)
{
	const struct sequence *s = current;
	bool is_inside = frame->rip >= s->start && frame->rip < s->end;

	tally.fired++;
	tally.inside += is_inside ? 1 : 0;
	tally.first += frame->rip == s->open || (s->hole_end != 0 && frame->rip == s->hole_end) ? 1 : 0;
	if ((frame->rflags & RFLAGS_IF) == 0 || !is_inside || is_closed(s, frame->rip)) {
		if (tally.wrong == 0) {
			tally.wrong_rip = frame->rip;
			tally.wrong_rflags = frame->rflags;
		}
		tally.wrong++;
	}
	apic_eoi();
}

/* One interrupt, from when it is ordered until it has come. False: it has not. */
static bool run_round(uint64_t delay)
{
	uint32_t before = tally.fired;
	uint64_t limit = tsc_read() + tsc_hz() * ROUND_SECONDS;
	unsigned int tries = 0;

	apic_timer_start((uint32_t)delay);
	while (tally.fired == before) {
		hammer_call(current->start);
		if (++tries % 256 == 0 && tsc_read() > limit) {
			return false;
		}
	}
	return tally.fired == before + 1;
}

static bool run_sequence(const struct sequence *s, uint32_t rounds)
{
	uint32_t done = 0;
	bool ok = true;

	current = s;
	tally = (struct tally){.fired = 0};
	while (done < rounds && ok) {
		ok = run_round(1 + (done % 2 == 0 ? done / 2 * step : random_number()) % range);
		done++;
	}
	report("%s=%u rounds, %u inside, %u first, %u wrong", s->name, done, tally.inside, tally.first,
	       tally.wrong);
	if (tally.wrong != 0) {
		report("error=%s: at %lx, %lu from its start, RFLAGS %lx", s->name,
		       (unsigned long)tally.wrong_rip, (unsigned long)(tally.wrong_rip - s->start),
		       (unsigned long)tally.wrong_rflags);
	}
	if (!ok) {
		report("error=%s: round %u: %u interrupts came for %u", s->name, done, tally.fired, done);
	}
	return ok && tally.wrong == 0 && tally.inside == rounds;
}

static bool is_halting(const struct sequence *s)
{
	return s->name[0] == 's' && s->name[4] == 'h';
}

void program_main(void)
{
	uint32_t rounds = (uint32_t)option_number("rounds", 1000);
	uint32_t halts = (uint32_t)option_number("halts", 2000);
	bool ok = true;

	range = option_number("range", 20000);
	step = option_number("step", 7);
	interrupt_handle(VECTOR_TIMER, take_timer);
	report("face=%s", face_name());
	report("apic=%s", apic_is_x2() ? "x2apic" : "xapic");
	for (const struct sequence *s = hammer_rows; s->start != 0; s++) {
		ok = run_sequence(s, is_halting(s) ? halts : rounds) && ok;
	}
	finish(ok);
}

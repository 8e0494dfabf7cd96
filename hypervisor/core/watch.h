/*
 * watch.h - does a CPU still go on? Each CPU looks at the next one's count of passes (struct cpu), which rises whenever that one
 * takes interrupts: after each slice of a guest (10 ms) at the latest, and four times a second when it idles.
 *
 * What counts is how often the watcher itself has looked, at most once a second, and not the time that went by: an
 * emulator that was stopped for a minute, or a laptop that slept, is one look.
 */
#ifndef CORE_WATCH_H
#define CORE_WATCH_H

#include "base/compiler.h"

/*
 * Seconds without a pass. The longest work between two passes is bounded by 100,000 instructions, 5 ms of a slow UART
 * and, at the end of a large guest, tens of milliseconds: ten seconds are a hundred times that, and short enough that who sits
 * before the machine still waits.
 */
#define WATCH_LOOKS 10u
/* Half-way there the CPU gets a kick: were it only a timer's interrupt that was lost, that ends a guest's run. */
#define WATCH_LOOKS_KICK 5u

/* The watcher's. Zeroed: nothing seen yet. */
struct watch {
	uint64_t passes; /* at the last look */
	uint64_t looked_tsc;
	uint32_t still_count; /* looks without a change */
};

enum watch_verdict {
	WATCH_FINE,
	WATCH_KICK,
	WATCH_STUCK,
};

/* Is it time for a look? @second_ticks: of the TSC. */
bool watch_is_due(const struct watch *watch, uint64_t now_tsc, uint64_t second_ticks);
/* A look: @passes of the CPU that is watched; 0: it has not begun. */
MUST_CHECK enum watch_verdict watch_judge(struct watch *watch, uint64_t passes, uint64_t now_tsc);

#endif /* CORE_WATCH_H */

/*
 * watch.c - see watch.h: the decision alone, so that it can be tested.
 */
#include "hypervisor/core/watch.h"

bool watch_is_due(const struct watch *watch, uint64_t now_tsc, uint64_t second_ticks)
{
	return now_tsc - watch->looked_tsc >= second_ticks;
}

enum watch_verdict watch_judge(struct watch *watch, uint64_t passes, uint64_t now_tsc)
{
	watch->looked_tsc = now_tsc;
	if (passes == 0 || passes != watch->passes) {
		watch->passes = passes;
		watch->still_count = 0;
		return WATCH_FINE;
	}
	watch->still_count++;
	if (watch->still_count >= WATCH_LOOKS) {
		return WATCH_STUCK;
	}
	return watch->still_count == WATCH_LOOKS_KICK ? WATCH_KICK : WATCH_FINE;
}

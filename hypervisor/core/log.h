/*
 * log.h - the log, for the monitor; what all of core may call is in machine.h.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include "base/compiler.h"

/* Which guest's console is shown; NULL: all. */
struct log_filter {
	const char *guest;
};

/* A line of the monitor's: not kept in the log. */
void log_reply(const char *format, ...) PRINTF_LIKE(1, 2);
/* The last lines of the log once more, as the monitor's. */
void log_replay(void);
/* @guest is the console's own name pointer, or NULL for all. */
void log_set_filter(const char *guest);

#endif /* CORE_LOG_H */

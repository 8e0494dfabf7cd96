/*
 * check.h - what is wrong because of us, never because of a guest.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include "base/compiler.h"

/*
 * Stops everything. On the metal: registers, a backtrace and each CPU's last exits on COM1, then a
 * halt. Hosted: prints and aborts. Any context may call it, holding anything.
 */
NORETURN void panic(const char *file, int line, const char *format, ...) PRINTF_LIKE(3, 4);

#define PANIC(...) panic(__FILE__, __LINE__, __VA_ARGS__)

/* An invariant of ours. Never on a value that a guest can choose. */
#define CHECK(condition)                                                     \
	do {                                                                 \
		if (UNLIKELY(!(condition))) {                                \
			panic(__FILE__, __LINE__, "broken: %s", #condition); \
		}                                                            \
	} while (0)

#endif /* BASE_CHECK_H */

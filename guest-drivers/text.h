/*
 * text.h - texts without a C library: formatting into a buffer of known size, comparing.
 */
#ifndef GUEST_DRIVERS_TEXT_H
#define GUEST_DRIVERS_TEXT_H

#include <stdarg.h>

#include "base/compiler.h"

/*
 * %s %c %u %x %d %lu %lx %ld %% into @to, cut to @room bytes with the NUL; Returns the length of
 * what stands there. Any other conversion is copied as it is. A NULL for %s is "(none)".
 */
size_t text_format_list(char *to, size_t room, const char *format, va_list list);
size_t text_format(char *to, size_t room, const char *format, ...) PRINTF_LIKE(3, 4);
size_t text_length(const char *text);
bool text_equal(const char *a, const char *b);
bool text_starts(const char *text, const char *start);

#endif /* GUEST_DRIVERS_TEXT_H */

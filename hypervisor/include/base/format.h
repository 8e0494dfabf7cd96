/*
 * format.h - text from values: the part of vsnprintf (C17 7.21.6.12) that a log line needs.
 *
 * %s %c %d %i %u %x %X %p %%, with the lengths h hh l ll z t j, the flags '-' and '0', a width,
 * and a precision (also by '*'). No floating point, no %n. An unknown conversion is copied as it
 * stands.
 */
#ifndef BASE_FORMAT_H
#define BASE_FORMAT_H

#include <stdarg.h>

#include "base/compiler.h"

/*
 * Writes at most @room bytes with the final NUL, which is always there unless @room is 0. Returns
 * the length that the whole text has, as vsnprintf does: it was cut if that is @room or more.
 * A NULL for %s prints as "(null)".
 */
size_t format_text(char *to, size_t room, const char *format, va_list args)
        __attribute__((format(printf, 3, 0)));

/* The same, with the values as arguments. */
size_t format_print(char *to, size_t room, const char *format, ...) PRINTF_LIKE(3, 4);

#endif /* BASE_FORMAT_H */

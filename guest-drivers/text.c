/*
 * text.c - texts without a C library.
 */
#include "guest-drivers/text.h"

#define DIGITS_MAX 20u

struct writer {
	char *to;
	size_t room;
	size_t length;
};

static void put(struct writer *w, char c)
{
	if (w->length + 1 < w->room) {
		w->to[w->length++] = c;
	}
}

static void put_text(struct writer *w, const char *text)
{
	for (const char *at = text == NULL ? "(none)" : text; *at != 0; at++) {
		put(w, *at);
	}
}

static void put_number(struct writer *w, uint64_t value, unsigned int base)
{
	char digits[DIGITS_MAX];
	size_t count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	while (count != 0) {
		put(w, digits[--count]);
	}
}

static void put_signed(struct writer *w, int64_t value)
{
	if (value < 0) {
		put(w, '-');
	}
	put_number(w, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10);
}

/* One of %lu %lx %ld. */
static void put_long(struct writer *w, char kind, long value)
{
	switch (kind) {
	case 'u':
		put_number(w, (uint64_t)value, 10);
		break;
	case 'x':
		put_number(w, (uint64_t)value, 16);
		break;
	default:
		put_signed(w, value);
		break;
	}
}

size_t text_format_list(char *to, size_t room, const char *format, va_list list)
{
	struct writer w = {to, room, 0};

	for (const char *at = format; *at != 0; at++) {
		if (*at != '%' || at[1] == 0) {
			put(&w, *at);
			continue;
		}
		at++;
		switch (*at) {
		case 's':
			put_text(&w, va_arg(list, const char *));
			break;
		case 'c':
			put(&w, (char)va_arg(list, int));
			break;
		case 'u':
			put_number(&w, va_arg(list, unsigned int), 10);
			break;
		case 'x':
			put_number(&w, va_arg(list, unsigned int), 16);
			break;
		case 'd':
			put_signed(&w, va_arg(list, int));
			break;
		case 'l':
			put_long(&w, at[1], va_arg(list, long));
			at += at[1] != 0 ? 1 : 0;
			break;
		default:
			put(&w, *at);
			break;
		}
	}
	if (room != 0) {
		to[w.length] = 0;
	}
	return w.length;
}

size_t text_format(char *to, size_t room, const char *format, ...)
{
	va_list list;
	size_t length;

	va_start(list, format);
	length = text_format_list(to, room, format, list);
	va_end(list);
	return length;
}

size_t text_length(const char *text)
{
	size_t length = 0;

	while (text[length] != 0) {
		length++;
	}
	return length;
}

bool text_equal(const char *a, const char *b)
{
	while (*a != 0 && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

bool text_starts(const char *text, const char *start)
{
	while (*start != 0 && *text == *start) {
		text++;
		start++;
	}
	return *start == 0;
}

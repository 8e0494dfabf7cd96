/*
 * format.c - a small vsnprintf (C17 7.21.6.12) for a hypervisor's lines: see base/format.h.
 */
#include "base/format.h"

#define DIGITS_MAX 32u
#define WIDTH_MAX 4096

enum length {
	LENGTH_CHAR,
	LENGTH_SHORT,
	LENGTH_INT,
	LENGTH_LONG, /* also long long, size_t, ptrdiff_t, intmax_t: all are 64 bits */
};

struct output {
	char *to;
	size_t room;
	size_t len;
};

struct spec {
	bool is_left;
	bool is_zero_filled;
	int width;
	int precision; /* -1: none given */
	enum length length;
};

static void put(struct output *out, char c)
{
	if (out->len + 1 < out->room) {
		out->to[out->len] = c;
	}
	out->len++;
}

static void put_many(struct output *out, char c, int count)
{
	while (count-- > 0) {
		put(out, c);
	}
}

static int clamp_width(int width)
{
	return width > WIDTH_MAX ? WIDTH_MAX : width;
}

/* Decimal digits at *@at, or '*'. A cap keeps a wrong format from printing for ever. */
static int parse_number(const char **at, va_list *args)
{
	int number = 0;

	if (**at == '*') {
		(*at)++;
		return va_arg(*args, int);
	}
	while (**at >= '0' && **at <= '9') {
		number = clamp_width(number * 10 + (**at - '0'));
		(*at)++;
	}
	return number;
}

static void parse_flags(const char **at, struct spec *spec)
{
	for (;; (*at)++) {
		if (**at == '-') {
			spec->is_left = true;
		} else if (**at == '0') {
			spec->is_zero_filled = true;
		} else {
			return;
		}
	}
}

static enum length parse_length(const char **at)
{
	enum length length = LENGTH_INT;

	for (;; (*at)++) {
		switch (**at) {
		case 'h':
			length = length == LENGTH_SHORT ? LENGTH_CHAR : LENGTH_SHORT;
			break;
		case 'l':
		case 'z':
		case 't':
		case 'j':
			length = LENGTH_LONG;
			break;
		default:
			return length;
		}
	}
}

/* All between '%' and the conversion's letter. */
static struct spec parse_spec(const char **at, va_list *args)
{
	struct spec spec = {.precision = -1, .length = LENGTH_INT};

	parse_flags(at, &spec);
	spec.width = parse_number(at, args);
	if (spec.width < 0) {
		spec.is_left = true;
		spec.width = spec.width < -WIDTH_MAX ? WIDTH_MAX : -spec.width;
	}
	spec.width = clamp_width(spec.width);
	if (**at == '.') {
		(*at)++;
		spec.precision = parse_number(at, args);
		spec.precision = spec.precision < 0 ? -1 : spec.precision;
	}
	spec.length = parse_length(at);
	return spec;
}

static void put_string(struct output *out, const struct spec *spec, const char *text)
{
	int len = 0;

	text = text == NULL ? "(null)" : text;
	while ((spec->precision < 0 || len < spec->precision) && text[len] != 0) {
		len++;
	}
	put_many(out, ' ', spec->is_left ? 0 : spec->width - len);
	for (int i = 0; i < len; i++) {
		put(out, text[i]);
	}
	put_many(out, ' ', spec->is_left ? spec->width - len : 0);
}

/* @sign: '-' or 0. A precision is the least count of digits, and turns zero filling off. */
static void put_number(struct output *out, const struct spec *spec, uint64_t value, unsigned int base,
                       const char *digits, char sign)
{
	char reversed[DIGITS_MAX];
	int len = 0;
	int zeros = 0;
	int fill;

	for (; value != 0; value /= base) {
		reversed[len++] = digits[value % base];
	}
	if (spec->precision >= 0) {
		zeros = clamp_width(spec->precision) - len;
	} else if (len == 0) {
		zeros = 1;
	}
	zeros = zeros < 0 ? 0 : zeros;
	fill = spec->width - len - zeros - (sign != 0 ? 1 : 0);
	if (spec->is_zero_filled && !spec->is_left && spec->precision < 0 && fill > 0) {
		zeros += fill;
		fill = 0;
	}
	put_many(out, ' ', spec->is_left ? 0 : fill);
	put_many(out, sign, sign != 0 ? 1 : 0);
	put_many(out, '0', zeros);
	while (len > 0) {
		put(out, reversed[--len]);
	}
	put_many(out, ' ', spec->is_left ? fill : 0);
}

static uint64_t take_unsigned(enum length length, va_list *args)
{
	unsigned int value;

	if (length == LENGTH_LONG) {
		return va_arg(*args, uint64_t);
	}
	value = va_arg(*args, unsigned int);
	if (length == LENGTH_CHAR) {
		return (uint8_t)value;
	}
	return length == LENGTH_SHORT ? (uint16_t)value : value;
}

static int64_t take_signed(enum length length, va_list *args)
{
	int value;

	if (length == LENGTH_LONG) {
		return va_arg(*args, int64_t);
	}
	value = va_arg(*args, int);
	if (length == LENGTH_CHAR) {
		return (int8_t)value;
	}
	return length == LENGTH_SHORT ? (int16_t)value : value;
}

static void put_signed(struct output *out, const struct spec *spec, int64_t value)
{
	uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	put_number(out, spec, size, 10, "0123456789", value < 0 ? '-' : 0);
}

static void put_char(struct output *out, const struct spec *spec, char c)
{
	put_many(out, ' ', spec->is_left ? 0 : spec->width - 1);
	put(out, c);
	put_many(out, ' ', spec->is_left ? spec->width - 1 : 0);
}

static void put_pointer(struct output *out, const struct spec *spec, const void *p)
{
	struct spec digits = {.width = 16, .precision = -1, .is_zero_filled = true};

	(void)spec;
	put(out, '0');
	put(out, 'x');
	put_number(out, &digits, (uint64_t)(uintptr_t)p, 16, "0123456789abcdef", 0);
}

/* One conversion, @at its letter. False if there is no such: the caller copies the text. */
static bool put_conversion(struct output *out, const struct spec *spec, char letter, va_list *args)
{
	switch (letter) {
	case 's':
		put_string(out, spec, va_arg(*args, const char *));
		return true;
	case 'c':
		put_char(out, spec, (char)va_arg(*args, int));
		return true;
	case 'd':
	case 'i':
		put_signed(out, spec, take_signed(spec->length, args));
		return true;
	case 'u':
		put_number(out, spec, take_unsigned(spec->length, args), 10, "0123456789", 0);
		return true;
	case 'x':
		put_number(out, spec, take_unsigned(spec->length, args), 16, "0123456789abcdef", 0);
		return true;
	case 'X':
		put_number(out, spec, take_unsigned(spec->length, args), 16, "0123456789ABCDEF", 0);
		return true;
	case 'p':
		put_pointer(out, spec, va_arg(*args, const void *));
		return true;
	case '%':
		put(out, '%');
		return true;
	default:
		return false;
	}
}

static void format_all(struct output *out, const char *format, va_list *args)
{
	while (*format != 0) {
		const char *start = format++;
		struct spec spec;

		if (*start != '%') {
			put(out, *start);
			continue;
		}
		spec = parse_spec(&format, args);
		if (*format != 0 && put_conversion(out, &spec, *format, args)) {
			format++;
			continue;
		}
		while (start < format) {
			put(out, *start++);
		}
	}
}

size_t format_text(char *to, size_t room, const char *format, va_list args)
{
	struct output out = {to, room, 0};
	va_list copy;

	/* A parameter of type va_list may be an array, whose address is of another type. */
	va_copy(copy, args);
	format_all(&out, format, &copy);
	va_end(copy);
	if (room > 0) {
		to[out.len < room ? out.len : room - 1] = 0;
	}
	return out.len;
}

size_t format_print(char *to, size_t room, const char *format, ...)
{
	va_list args;
	size_t len;

	va_start(args, format);
	len = format_text(to, room, format, args);
	va_end(args);
	return len;
}

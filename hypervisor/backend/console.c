/*
 * console.c - a guest's console: lines out, keys in. Contract: backend/console.h.
 *
 * What a guest writes ends on a person's terminal: nothing of it may move that terminal's cursor,
 * change its title or answer for its user. So only printable ASCII and whole UTF-8 characters pass.
 */
#include "backend/console.h"

void console_init(struct console *console, const char *guest, const struct console_sink *sink)
{
	*console = (struct console){.guest = guest, .sink = sink};
	spin_init(&console->lock, RANK_CONSOLE);
}

/* Gives the line so far to the sink. Lock held. */
static void line_out(struct console *console, bool whole)
{
	console->sink->line(console->sink->context, console->guest, console->out, console->out_len, whole);
	console->out_len = 0;
	console->out_rest = 0;
}

static void byte_out(struct console *console, char byte)
{
	if (console->out_len == CONSOLE_LINE_BYTES) {
		line_out(console, false);
	}
	console->out[console->out_len++] = byte;
}

/* Starts a UTF-8 character if @byte is a lead byte. Its bytes must stand in one line. */
static bool utf8_start(struct console *console, uint8_t byte)
{
	uint32_t rest = byte >= 0xF0 ? 3 : byte >= 0xE0 ? 2 : 1;

	if (byte < 0xC2 || byte > 0xF4) {
		return false;
	}
	if (console->out_len + rest >= CONSOLE_LINE_BYTES) {
		line_out(console, false);
	}
	byte_out(console, (char)byte);
	console->out_rest = rest;
	return true;
}

/* A character that did not end: its bytes become one '?'. */
static void utf8_spoil(struct console *console)
{
	while (console->out_len != 0) {
		uint8_t last = (uint8_t)console->out[--console->out_len];

		if (last >= 0xC0) {
			break;
		}
	}
	console->out_rest = 0;
	byte_out(console, '?');
}

/* A byte while a character is not at its end. False if it does not belong to it. */
static bool utf8_go_on(struct console *console, uint8_t byte)
{
	uint8_t last = (uint8_t)console->out[console->out_len - 1];
	/* C1 is U+0080 to U+009F, also written longer than it need be. */
	bool is_control = ((last == 0xC2 || last == 0xE0) && byte < 0xA0) || (last == 0xF0 && byte < 0x90);

	if ((byte & 0xC0) != 0x80) {
		utf8_spoil(console);
		return false;
	}
	if (is_control) {
		utf8_spoil(console);
		return true;
	}
	byte_out(console, (char)byte);
	console->out_rest--;
	return true;
}

static void char_out(struct console *console, uint8_t byte)
{
	if (console->out_rest != 0 && utf8_go_on(console, byte)) {
		return;
	}
	if (byte == '\n') {
		line_out(console, true);
	} else if (byte == '\t' || (byte >= 0x20 && byte < 0x7F)) {
		byte_out(console, (char)byte);
	} else if (byte != '\r' && !utf8_start(console, byte)) {
		byte_out(console, '?');
	}
}

void console_write(struct console *console, const char *bytes, size_t len)
{
	spin_lock(&console->lock);
	for (size_t i = 0; i < len; i++) {
		char_out(console, (uint8_t)bytes[i]);
	}
	console->out_bytes += len;
	spin_unlock(&console->lock);
}

void console_flush(struct console *console)
{
	spin_lock(&console->lock);
	if (console->out_rest != 0) {
		utf8_spoil(console);
	}
	if (console->out_len != 0) {
		line_out(console, false);
	}
	spin_unlock(&console->lock);
}

size_t console_input(struct console *console, const char *bytes, size_t len)
{
	void (*tell)(void *context);
	void *context;
	size_t taken = 0;

	spin_lock(&console->lock);
	while (taken < len && console->in_head - console->in_tail < CONSOLE_INPUT_BYTES) {
		console->in[console->in_head++ % CONSOLE_INPUT_BYTES] = bytes[taken++];
	}
	console->in_bytes += taken;
	console->dropped_bytes += len - taken;
	tell = console->input_ready;
	context = console->input_context;
	console->telling++;
	spin_unlock(&console->lock);
	if (tell != NULL) {
		tell(context);
	}
	spin_lock(&console->lock);
	console->telling--;
	spin_unlock(&console->lock);
	return taken;
}

size_t console_read(struct console *console, char *to, size_t room)
{
	size_t taken = 0;

	spin_lock(&console->lock);
	while (taken < room && console->in_tail != console->in_head) {
		to[taken++] = console->in[console->in_tail++ % CONSOLE_INPUT_BYTES];
	}
	spin_unlock(&console->lock);
	return taken;
}

static bool console_is_telling(struct console *console)
{
	bool telling;

	spin_lock(&console->lock);
	telling = console->telling != 0;
	spin_unlock(&console->lock);
	return telling;
}

void console_attach(struct console *console, void (*input_ready)(void *context), void *context)
{
	bool mine;

	spin_lock(&console->lock);
	mine = input_ready != NULL || context == NULL || console->input_context == context;
	if (mine) {
		console->input_ready = input_ready;
		console->input_context = context;
	}
	spin_unlock(&console->lock);
	while (input_ready == NULL && console_is_telling(console)) {
		lock_relax();
	}
}

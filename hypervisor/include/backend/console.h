/*
 * console.h - one guest's console: bytes out by whole lines to the host's log port, bytes in from
 * its keys.
 *
 * Several devices of one guest may write (a UART, a Xen console ring); the first that reads gets
 * the input.
 */
#ifndef BACKEND_CONSOLE_H
#define BACKEND_CONSOLE_H

#include "base/lock.h"

#define CONSOLE_LINE_BYTES 256u
#define CONSOLE_INPUT_BYTES 256u

/*
 * Where finished lines go. Called with the console's lock held; never blocks. @text is not
 * NUL-terminated.
 */
struct console_sink {
	void (*line)(void *context, const char *guest, const char *text, size_t len, bool whole);
	void *context;
};

struct console {
	struct spinlock lock; /* RANK_CONSOLE */
	const char *guest;
	const struct console_sink *sink;
	char out[CONSOLE_LINE_BYTES];
	uint32_t out_len;
	uint32_t out_rest; /* bytes still to come of the UTF-8 character begun */
	char in[CONSOLE_INPUT_BYTES];
	uint32_t in_head, in_tail;
	void (*input_ready)(void *context); /* a device's: input has come, called with no lock held */
	void *input_context;
	uint32_t telling; /* calls of input_ready under way */
	uint64_t out_bytes, in_bytes, dropped_bytes;
};

void console_init(struct console *console, const char *guest, const struct console_sink *sink);

/*
 * Guest to host. Takes all bytes. A carriage return is left out; other control characters but tab
 * and newline (also C1, also as UTF-8), and bytes that are no UTF-8, come out as '?'.
 */
void console_write(struct console *console, const char *bytes, size_t len);
/*
 * Writes out a line begun and not ended (a prompt). For the monitor's console mode and at the
 * guest's end.
 */
void console_flush(struct console *console);

/* Host to guest: as many bytes as there is room for; returns how many. Tells the device. */
size_t console_input(struct console *console, const char *bytes, size_t len);
/* A device takes input: up to @room bytes. */
size_t console_read(struct console *console, char *to, size_t room);
/*
 * The device to tell, in place of the one before. @input_ready NULL detaches: the device of
 * @context (another stays), or with @context NULL whichever there is; on return no call to it runs or will come. Not from input_ready itself, holding no lock that it takes.
 */
void console_attach(struct console *console, void (*input_ready)(void *context), void *context);

#endif /* BACKEND_CONSOLE_H */

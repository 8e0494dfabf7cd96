/*
 * log.c - one stream of lines to COM1: Janus' own and each guest's console, each with its prefix.
 *
 * Lines go into a ring and leave it a few bytes at a time between exits, as a serial line is slow. When the ring is
 * full, whole lines are dropped and counted. A panic writes straight to the port.
 */
#include "base/format.h"
#include "hypervisor/core/machine.h"
#include "hypervisor/core/log.h"
#include "hypervisor/drivers/uart.h"

#define RING_BYTES 65536u
#define LOG_SHARE_BYTES (RING_BYTES / 2) /* which no console may take */
#define KEPT_LINES 128u
#define KEPT_BYTES 160u

static struct {
	struct spinlock lock; /* RANK_LOG */
	char ring[RING_BYTES];
	uint32_t head; /* next byte to send */
	uint32_t tail;
	uint64_t dropped;
	uint32_t draining; /* atomic: one CPU at a time */
	char kept[KEPT_LINES][KEPT_BYTES];
	uint32_t kept_next;
	struct log_filter filter;
} out;

void log_init(void)
{
	spin_init(&out.lock, RANK_LOG);
}

static uint32_t room(void)
{
	return RING_BYTES - 1 - (out.tail - out.head);
}

static void put(char c)
{
	out.ring[out.tail++ % RING_BYTES] = c;
}

static void put_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		put(text[i]);
	}
}

static size_t text_len(const char *text)
{
	size_t len = 0;

	while (text[len] != 0) {
		len++;
	}
	return len;
}

/* Under the lock. */
static void emit(const char *who, const char *text, size_t len, bool whole)
{
	size_t prefix = text_len(who);

	if (prefix + len + 8 > room()) {
		out.dropped++;
		return;
	}
	put('[');
	put_text(who, prefix);
	put_text("] ", 2);
	put_text(text, len);
	if (whole) {
		put('\r');
	}
	put('\n');
}

static void keep(const char *text, size_t len)
{
	char *line = out.kept[out.kept_next++ % KEPT_LINES];

	len = len < KEPT_BYTES - 1 ? len : KEPT_BYTES - 1;
	memcpy(line, text, len);
	line[len] = 0;
}

void log_line(const char *format, ...)
{
	char text[256];
	va_list args;
	size_t len;

	va_start(args, format);
	len = format_text(text, sizeof(text), format, args);
	va_end(args);
	len = len < sizeof(text) ? len : sizeof(text) - 1;
	spin_lock(&out.lock);
	keep(text, len);
	emit("janus", text, len, true);
	spin_unlock(&out.lock);
}

void log_reply(const char *format, ...)
{
	char text[256];
	va_list args;
	size_t len;

	va_start(args, format);
	len = format_text(text, sizeof(text), format, args);
	va_end(args);
	len = len < sizeof(text) ? len : sizeof(text) - 1;
	spin_lock(&out.lock);
	emit("monitor", text, len, true);
	spin_unlock(&out.lock);
}

void log_replay(void)
{
	char line[KEPT_BYTES];
	uint32_t end = out.kept_next;

	for (uint32_t i = end > KEPT_LINES ? end - KEPT_LINES : 0; i < end; i++) {
		memcpy(line, out.kept[i % KEPT_LINES], sizeof(line));
		log_reply("%s", line);
	}
}

static void console_line(void *context, const char *guest, const char *text, size_t len, bool whole)
{
	(void)context;
	spin_lock(&out.lock);
	if (room() < LOG_SHARE_BYTES + text_len(guest) + len) {
		out.dropped++;
	} else if (out.filter.guest == NULL || out.filter.guest == guest) {
		emit(guest, text, len, whole);
	}
	spin_unlock(&out.lock);
}

const struct console_sink log_console_sink = {console_line, NULL};

void log_set_filter(const char *guest)
{
	spin_lock(&out.lock);
	out.filter.guest = guest;
	spin_unlock(&out.lock);
}

/* What was dropped is told once there is room again. Under the lock. */
static void tell_dropped(void)
{
	char text[96];
	size_t len;

	if (out.dropped == 0 || room() < RING_BYTES - LOG_SHARE_BYTES / 2) {
		return;
	}
	len = format_print(text, sizeof(text), "%lu lines dropped: more was said than COM1 takes",
	                   (unsigned long)out.dropped);
	out.dropped = 0;
	emit("janus", text, len, true);
}

void log_drain(uint32_t bytes_max)
{
	char batch[128];
	uint32_t count = 0;

	if (__atomic_load_n(&out.head, __ATOMIC_RELAXED) == __atomic_load_n(&out.tail, __ATOMIC_RELAXED) ||
	    __atomic_exchange_n(&out.draining, 1, __ATOMIC_ACQUIRE) != 0) {
		return;
	}
	bytes_max = bytes_max < sizeof(batch) ? bytes_max : (uint32_t)sizeof(batch);
	spin_lock(&out.lock);
	while (count < bytes_max && out.head != out.tail) {
		batch[count++] = out.ring[out.head++ % RING_BYTES];
	}
	tell_dropped();
	spin_unlock(&out.lock);
	for (uint32_t i = 0; i < count; i++) {
		uart_put(batch[i]);
	}
	__atomic_store_n(&out.draining, 0, __ATOMIC_RELEASE);
}

void log_flush_all(void)
{
	while (__atomic_load_n(&out.head, __ATOMIC_RELAXED) != __atomic_load_n(&out.tail, __ATOMIC_RELAXED)) {
		uart_put(out.ring[out.head++ % RING_BYTES]);
	}
}

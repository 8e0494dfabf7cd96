/*
 * tap.c - the report as TAP version 14 (testanything.org/tap-version-14-specification.html).
 */
#include "guest-drivers/certify/tap.h"

#include "guest-drivers/text.h"

#define FORMAT_VERSION 1u
#define QUOTED_BYTES (PROBE_TEXT_BYTES + 64u)

void certify_say(struct certify *c, const char *format, ...)
{
	char text[CERTIFY_TEXT_BYTES + PROBE_TEXT_BYTES];
	va_list list;

	va_start(list, format);
	(void)text_format_list(text, sizeof(text), format, list);
	va_end(list);
	c->line(c->line_context, text);
}

/* A YAML string in double quotes: quotes, backslashes and what cannot be printed are escaped. */
static const char *quoted(char to[QUOTED_BYTES], const char *text)
{
	size_t at = 0;

	to[at++] = '"';
	for (; *text != 0 && at + 6 < QUOTED_BYTES; text++) {
		uint8_t c = (uint8_t)*text;

		if (c == '"' || c == '\\') {
			to[at++] = '\\';
			to[at++] = (char)c;
		} else if (c < ' ' || c > '~') {
			to[at++] = '\\';
			to[at++] = 'x';
			to[at++] = "0123456789abcdef"[c >> 4];
			to[at++] = "0123456789abcdef"[c & 15];
		} else {
			to[at++] = (char)c;
		}
	}
	to[at++] = '"';
	to[at] = 0;
	return to;
}

/* The 12 bytes of the CPU's name, which need not be text. */
static const char *name_of(char to[13], const uint32_t basic[4])
{
	const uint32_t words[3] = {basic[1], basic[3], basic[2]};

	memcpy(to, words, 12);
	to[12] = 0;
	for (uint32_t i = 0; i < 12; i++) {
		to[i] = to[i] >= ' ' && to[i] <= '~' && to[i] != '"' ? to[i] : '-';
	}
	return to;
}

static void say_identity(struct certify *c)
{
	uint32_t basic[4];
	uint32_t features[4];
	char cpu[13];

	certify_cpuid(c, 0, 0, basic);
	certify_cpuid(c, 1, 0, features);
	certify_say(c, "# identity: hyperv=0x%x xen=0x%x signature=\"%s\" cpu=\"%s\" cpu_signature=0x%x",
	            c->faces.hyperv_base, c->faces.xen_base,
	            c->faces.count == 0 ? "" : c->faces.signatures[0].text, name_of(cpu, basic), features[0]);
	certify_say(c, "# identity: boot=%s vcpus=%u tsc_hz=%lu", c->options.boot,
	            c->machine == NULL ? 1u : c->machine->cpu_count,
	            c->machine == NULL ? 0ul : (unsigned long)c->machine->tsc_hz);
	if (c->faces.hyperv_base == 0 && c->faces.xen_base == 0) {
		certify_say(c, "# note: neither Hyper-V's nor Xen's leaves are there; all rows are skipped");
	}
}

void tap_begin(struct certify *c, uint32_t rows)
{
	certify_say(c, "TAP version 14");
	certify_say(c, "# janus-certify %u", FORMAT_VERSION);
	say_identity(c);
	certify_say(c, "1..%u", rows);
}

void tap_probe_begin(struct certify *c, const struct row_table *table, const struct row *row)
{
	certify_say(c, "# begin %s.%s", table->name, row->name);
}

static void say_evidence(const struct probe *p)
{
	char text[QUOTED_BYTES];

	certify_say(p->c, "  ---");
	certify_say(p->c, "  offered: %s", p->offered ? "true" : "false");
	certify_say(p->c, "  specified: %s", p->row->specified ? "true" : "false");
	certify_say(p->c, "  checks: %u", p->check_count);
	certify_say(p->c, "  clause: %s", quoted(text, p->row->clause));
	if (p->failed_count != 0) {
		certify_say(p->c, "  failed_count: %u", p->failed_count);
		certify_say(p->c, "  failed: %s", quoted(text, p->failed));
	}
	if (p->note_count != 0) {
		certify_say(p->c, "  notes:");
	}
	for (uint32_t i = 0; i < p->note_count; i++) {
		certify_say(p->c, "    - %s", quoted(text, p->notes[i]));
	}
	certify_say(p->c, "  ...");
}

/* A probe that checked nothing proves nothing: it fails, unless it says why it could not be made. */
void tap_probe_end(struct probe *p)
{
	struct certify *c = p->c;
	bool skipped = p->skip[0] != 0 && p->failed_count == 0;

	if (!skipped && p->check_count == 0) {
		(void)probe_check(p, false, "the probe checked nothing");
	}
	c->point++;
	if (skipped) {
		c->skipped++;
		certify_say(c, "ok %u - %s.%s # SKIP %s", c->point, p->table->name, p->row->name, p->skip);
		return;
	}
	c->passed += p->failed_count == 0 ? 1 : 0;
	c->failed += p->failed_count == 0 ? 0 : 1;
	certify_say(c, "%s %u - %s.%s", p->failed_count == 0 ? "ok" : "not ok", c->point, p->table->name,
	            p->row->name);
	say_evidence(p);
}

void tap_end(struct certify *c)
{
	certify_say(c, "# end passed=%u failed=%u skipped=%u", c->passed, c->failed, c->skipped);
}

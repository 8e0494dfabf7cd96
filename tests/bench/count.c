/*
 * count.c - a plugin of QEMU's TCG that counts the instructions between two marks, Janus' and the guests' apart.
 *
 *	-plugin count.so,out=FILE,first=ADDRESS,end=ADDRESS[,profile=on]
 *
 * An instruction is Janus' own if its address is in Janus' text, first to end: no kernel puts anything there (Linux
 * without kaslr begins 8 MiB higher). So nothing has to be followed, and each counter is an addition in the translated
 * code. Marks are those of io.c, a long NOP. In FILE, by lines:
 *
 *	sample OPERATION guest=N host=N guest_rep=N host_rep=N guest_hlt=N host_hlt=N entries=N
 *	profile OPERATION ADDRESS COUNT		instructions at one address of Janus from the series' first mark to its end
 *
 * guest and host include the repetitions of string instructions, which are counted again in the _rep of theirs.
 * QEMU's header for plugins is in no package: what is used of it is declared here (plugin API 1, QEMU 4.2 to 8.2).
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { INLINE_ADD_U64 = 0, CALLBACK_NO_REGISTERS = 0 };
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*translated)(plugin_id id, struct qemu_plugin_tb *tb));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, void (*executed)(unsigned int, void *),
					    int registers, void *data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int operation, void *counter,
						uint64_t value);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*ended)(plugin_id id, void *data), void *data);

#define PLUGIN __attribute__((visibility("default")))
extern PLUGIN int qemu_plugin_version;
PLUGIN int qemu_plugin_version = 1;
PLUGIN int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

/* Marks: as in io.c. */
#define MARK_BYTES 7
#define MARK_TAG 0x4a42
enum { MARK_BEGIN = 1, MARK_END, MARK_SERIES_END };

enum { GUEST, HOST, SIDES };
struct counters {
	uint64_t executed[SIDES];
	uint64_t repeated[SIDES];
	uint64_t halted[SIDES];
	uint64_t entries;
};

static struct counters now;
static struct counters begun;
static FILE *out;
static uint64_t text_first;
static uint64_t text_end;
static bool profiling;
static uint64_t *profile; /* for each byte of Janus' text: how often an instruction was executed there */
static uint64_t *profile_begun;
static bool in_series;

static bool is_host(uint64_t address)
{
	return address >= text_first && address < text_end;
}

static size_t profile_bytes(void)
{
	return (size_t)(text_end - text_first) * sizeof(*profile);
}

static void print_sample(unsigned int operation)
{
	uint64_t differences[SIDES * 3];
	for (size_t side = 0; side < SIDES; side++) {
		differences[side] = now.executed[side] - begun.executed[side];
		differences[SIDES + side] = now.repeated[side] - begun.repeated[side];
		differences[2 * SIDES + side] = now.halted[side] - begun.halted[side];
	}
	fprintf(out,
		"sample %u guest=%" PRIu64 " host=%" PRIu64 " guest_rep=%" PRIu64 " host_rep=%" PRIu64 " guest_hlt=%" PRIu64
		" host_hlt=%" PRIu64 " entries=%" PRIu64 "\n",
		operation, differences[0], differences[1], differences[2], differences[3], differences[4], differences[5],
		now.entries - begun.entries);
}

static void print_profile(unsigned int operation)
{
	for (size_t i = 0; i < (size_t)(text_end - text_first); i++) {
		if (profile[i] != profile_begun[i]) {
			fprintf(out, "profile %u %" PRIx64 " %" PRIu64 "\n", operation, text_first + i,
				profile[i] - profile_begun[i]);
		}
	}
}

static void on_mark(unsigned int cpu, void *data)
{
	unsigned int kind = (unsigned int)(uintptr_t)data >> 8;
	unsigned int operation = (unsigned int)(uintptr_t)data & 0xff;
	(void)cpu;
	if (kind == MARK_BEGIN) {
		if (profiling && !in_series) {
			memcpy(profile_begun, profile, profile_bytes());
		}
		in_series = true;
		begun = now;
	} else if (kind == MARK_END) {
		print_sample(operation);
	} else if (kind == MARK_SERIES_END) {
		if (profiling) {
			print_profile(operation);
		}
		in_series = false;
		fflush(out);
	}
}

/* What a mark is for and whose, or 0. */
static uintptr_t mark_of(const uint8_t *code, size_t size)
{
	uint32_t offset;
	if (size != MARK_BYTES || code[0] != 0x0f || code[1] != 0x1f || code[2] != 0x80) {
		return 0;
	}
	memcpy(&offset, code + 3, sizeof(offset));
	return offset >> 16 == MARK_TAG ? offset & 0xffff : 0;
}

/* A string instruction with a REP prefix, whose every repetition TCG executes as an instruction. */
static bool repeats(const uint8_t *code, size_t size)
{
	bool prefixed = false;
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = code[i];
		if (byte == 0xf2 || byte == 0xf3) {
			prefixed = true;
		} else if (byte != 0x66 && byte != 0x67 && (byte & 0xf0) != 0x40) {
			return prefixed && ((byte >= 0xa4 && byte <= 0xa7) || (byte >= 0xaa && byte <= 0xaf) || (byte & 0xfc) == 0x6c);
		}
	}
	return false;
}

static void count(struct qemu_plugin_insn *insn, uint64_t *counter)
{
	qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, counter, 1);
}

static void translate_insn(struct qemu_plugin_insn *insn)
{
	const uint8_t *code = qemu_plugin_insn_data(insn);
	size_t size = qemu_plugin_insn_size(insn);
	uint64_t address = qemu_plugin_insn_vaddr(insn);
	int side = is_host(address) ? HOST : GUEST;
	uintptr_t mark = mark_of(code, size);
	count(insn, &now.executed[side]);
	if (repeats(code, size)) {
		count(insn, &now.repeated[side]);
	}
	if (size == 1 && code[0] == 0xf4) {
		count(insn, &now.halted[side]);
	}
	if (size == 3 && memcmp(code, "\x0f\x01\xd8", 3) == 0) {
		count(insn, &now.entries);
	}
	if (profiling && side == HOST) {
		count(insn, &profile[address - text_first]);
	}
	if (mark != 0) {
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, CALLBACK_NO_REGISTERS, (void *)mark);
	}
}

static void translate_block(plugin_id id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		translate_insn(qemu_plugin_tb_get_insn(tb, i));
	}
}

static void close_file(plugin_id id, void *data)
{
	(void)id;
	(void)data;
	fclose(out);
}

/* One word of the command line. False: it is not one that we know. */
static bool take_option(const char *word)
{
	if (strncmp(word, "out=", 4) == 0) {
		out = fopen(word + 4, "w");
	} else if (strncmp(word, "first=", 6) == 0) {
		text_first = strtoull(word + 6, NULL, 0);
	} else if (strncmp(word, "end=", 4) == 0) {
		text_end = strtoull(word + 4, NULL, 0);
	} else if (strcmp(word, "profile=on") == 0) {
		profiling = true;
	} else {
		return false;
	}
	return true;
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++) {
		if (!take_option(argv[i])) {
			fprintf(stderr, "count: no option %s\n", argv[i]);
			return 1;
		}
	}
	if (out == NULL || text_end <= text_first) {
		fprintf(stderr, "count: needs out=FILE, and first= and end= of Janus' text\n");
		return 1;
	}
	if (profiling) {
		profile = calloc(1, profile_bytes());
		profile_begun = calloc(1, profile_bytes());
		if (profile == NULL || profile_begun == NULL) {
			return 1;
		}
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate_block);
	qemu_plugin_register_atexit_cb(id, close_file, NULL);
	return 0;
}

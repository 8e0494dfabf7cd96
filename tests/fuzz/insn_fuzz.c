/*
 * insn_fuzz.c - libFuzzer: arbitrary code bytes, mode and registers through the decoder and the
 * executor. What must hold: nothing is read behind the bytes given, a length is 1 to 15 and does
 * not depend on what follows, and the executor does a bounded number of accesses of sizes that
 * exist.
 *
 * Input: byte 0 the mode and the machine's habits, byte 1 how many of the code bytes are given,
 * then 24 bytes of registers' seed, then code.
 */
#include "hypervisor/arch/x86/insn.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES 26u
#define ITERATION_MAX 8u

struct machine {
	uint32_t access_count;
	uint8_t habits;
};

static void must(bool condition)
{
	if (!condition) {
		abort();
	}
}

/* Refuses the third access if the input asks for it. */
static bool count_access(struct machine *m, uint8_t bytes)
{
	must(bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8);
	m->access_count++;
	return (m->habits & 4) == 0 || m->access_count < 3;
}

static bool fuzz_probe(void *ctx, uint64_t linear, uint8_t bytes, bool write)
{
	const struct machine *m = ctx;

	(void)linear;
	must(write && bytes <= 8);
	return (m->habits & 8) == 0;
}

static bool fuzz_read(void *ctx, uint64_t linear, uint8_t bytes, uint64_t *value)
{
	*value = linear * UINT64_C(0x9e3779b97f4a7c15);
	return count_access(ctx, bytes);
}

static bool fuzz_write(void *ctx, uint64_t linear, uint8_t bytes, uint64_t value)
{
	(void)linear;
	must(bytes >= 8 || value >> bytes * 8u == 0);
	return count_access(ctx, bytes);
}

static bool fuzz_in(void *ctx, uint16_t port, uint8_t bytes, uint32_t *value)
{
	*value = port;
	must(bytes <= 4);
	return count_access(ctx, bytes);
}

static bool fuzz_out(void *ctx, uint16_t port, uint8_t bytes, uint32_t value)
{
	(void)port;
	must(bytes >= 4 || value >> bytes * 8u == 0);
	return count_access(ctx, bytes);
}

static void execute(const struct insn *insn, const uint8_t *seed, uint8_t habits)
{
	static const uint64_t bases[INSN_SEG_COUNT] = {1, 2, 3, 4, 5, 6};
	struct machine state = {.habits = habits};
	struct cpu_regs regs;
	struct cpu_regs before;
	struct insn_machine m = {.regs = &regs,
				 .segment_base = bases,
				 .ctx = &state,
				 .probe = (habits & 16) != 0 ? NULL : fuzz_probe,
				 .read = fuzz_read,
				 .write = fuzz_write,
				 .port_in = fuzz_in,
				 .port_out = fuzz_out,
				 .iteration_max = ITERATION_MAX};
	enum insn_exec result;

	for (size_t i = 0; i < sizeof(regs) / 8; i++) {
		memcpy((uint8_t *)&regs + i * 8, seed + i % 17, 8);
	}
	before = regs;
	result = insn_exec_mmio(insn, &m);
	if (result == INSN_EXEC_UNSUPPORTED) {
		must(memcmp(&regs, &before, sizeof(regs)) == 0);
		result = insn_exec_string_io(insn, &m);
	}
	must(state.access_count <= 2 * ITERATION_MAX);
	must(result == INSN_EXEC_DONE || regs.rip == before.rip);
	must(result != INSN_EXEC_UNSUPPORTED || state.access_count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum insn_status status;
	enum insn_mode mode;
	struct insn insn;
	struct insn again;
	uint8_t *copy;
	size_t count;

	if (size < HEAD_BYTES) {
		return 0;
	}
	mode = (enum insn_mode)((data[0] & 3) % 3);
	count = size - HEAD_BYTES;
	if (count > data[1] % 32u) {
		count = data[1] % 32u;
	}
	/* A heap copy of exactly that size: the sanitizer sees any read behind it. */
	copy = malloc(count != 0 ? count : 1);
	must(copy != NULL);
	memcpy(copy, data + HEAD_BYTES, count);
	status = insn_decode(copy, count, mode, &insn);
	if (status == INSN_OK) {
		must(insn.length >= 1 && insn.length <= INSN_BYTES_MAX && insn.length <= count);
		must(insn_decode(copy, insn.length, mode, &again) == INSN_OK);
		must(memcmp(&insn, &again, sizeof(insn)) == 0);
		must(insn_decode(copy, insn.length - 1u, mode, &again) != INSN_OK);
		execute(&insn, data + 2, data[0]);
	}
	must(status != INSN_TOO_LONG || count >= INSN_BYTES_MAX);
	must(status != INSN_SHORT || count < INSN_BYTES_MAX);
	must(insn_length(copy, count, mode, INSN_CPUID, &again) != INSN_UNKNOWN);
	free(copy);
	return 0;
}

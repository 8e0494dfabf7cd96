/*
 * insn_test.c - the decoder against objdump's lengths, its classes and addresses, and what the
 * executor does with faults, bounds and strings. That results are those of a real CPU:
 * insn_native_test.c.
 */
#include "tests/unit/unit.h"

#include "hypervisor/arch/x86/insn.h"
#include "tests/unit/insn_lengths_16.h"
#include "tests/unit/insn_lengths_32.h"
#include "tests/unit/insn_lengths_64.h"

#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BYTES(...) ((const uint8_t[15]){__VA_ARGS__})

static void check_lengths(const struct insn_length_row *rows, size_t count, enum insn_mode mode)
{
	for (size_t i = 0; i < count; i++) {
		struct insn insn;
		enum insn_status status = insn_decode(rows[i].bytes, 15, mode, &insn);

		if (status != INSN_OK || insn.length != rows[i].length) {
			printf("\nmode %d row %zu (%02x %02x %02x): status %d length %u, not %u\n",
			       (int)mode, i, rows[i].bytes[0], rows[i].bytes[1], rows[i].bytes[2],
			       (int)status, insn.length, rows[i].length);
		}
		CU_ASSERT_EQUAL(status, INSN_OK);
		CU_ASSERT_EQUAL(insn.length, rows[i].length);
		/* One byte less is never enough, and never read past. */
		status = insn_decode(rows[i].bytes, rows[i].length - 1u, mode, &insn);
		CU_ASSERT_EQUAL(status, INSN_SHORT);
	}
}

static void test_lengths_64(void)
{
	check_lengths(insn_lengths_64, COUNT(insn_lengths_64), INSN_MODE_64);
}

static void test_lengths_32(void)
{
	check_lengths(insn_lengths_32, COUNT(insn_lengths_32), INSN_MODE_32);
}

static void test_lengths_16(void)
{
	check_lengths(insn_lengths_16, COUNT(insn_lengths_16), INSN_MODE_16);
}

struct class_row {
	enum insn_class class;
	uint8_t bytes[6];
};

static const struct class_row class_rows[] = {
	{INSN_CPUID, {0x0f, 0xa2}},
	{INSN_VMMCALL, {0x0f, 0x01, 0xd9}},
	{INSN_VMCALL, {0x0f, 0x01, 0xc1}},
	{INSN_HLT, {0xf4}},
	{INSN_PAUSE, {0xf3, 0x90}},
	{INSN_OTHER, {0x90}},
	{INSN_RDMSR, {0x0f, 0x32}},
	{INSN_WRMSR, {0x0f, 0x30}},
	{INSN_RDTSC, {0x0f, 0x31}},
	{INSN_RDTSCP, {0x0f, 0x01, 0xf9}},
	{INSN_RDPMC, {0x0f, 0x33}},
	{INSN_RDPRU, {0x0f, 0x01, 0xfd}},
	{INSN_IN, {0xe4, 0x70}},
	{INSN_IN, {0xed}},
	{INSN_OUT, {0xe7, 0x80}},
	{INSN_OUT, {0xee}},
	{INSN_INS, {0xf3, 0x6c}},
	{INSN_OUTS, {0x6f}},
	{INSN_XGETBV, {0x0f, 0x01, 0xd0}},
	{INSN_XSETBV, {0x0f, 0x01, 0xd1}},
	{INSN_INVD, {0x0f, 0x08}},
	{INSN_WBINVD, {0x0f, 0x09}},
	{INSN_WBINVD, {0xf3, 0x0f, 0x09}},
	{INSN_INVLPG, {0x0f, 0x01, 0x3b}},
	{INSN_INVLPGA, {0x0f, 0x01, 0xdf}},
	{INSN_INVPCID, {0x66, 0x0f, 0x38, 0x82, 0x18}},
	{INSN_MOV_FROM_CR, {0x0f, 0x20, 0xc0}},
	{INSN_MOV_TO_CR, {0x0f, 0x22, 0xd8}},
	{INSN_MOV_FROM_DR, {0x0f, 0x21, 0xf8}},
	{INSN_MOV_TO_DR, {0x0f, 0x23, 0xf8}},
	{INSN_CLTS, {0x0f, 0x06}},
	{INSN_LMSW, {0x0f, 0x01, 0xf0}},
	{INSN_LMSW, {0x0f, 0x01, 0x33}},
	{INSN_SMSW, {0x0f, 0x01, 0xe0}},
	{INSN_SMSW, {0x0f, 0x01, 0x23}},
	{INSN_MONITOR, {0x0f, 0x01, 0xc8}},
	{INSN_MWAIT, {0x0f, 0x01, 0xc9}},
	{INSN_VMRUN, {0x0f, 0x01, 0xd8}},
	{INSN_VMLOAD, {0x0f, 0x01, 0xda}},
	{INSN_VMSAVE, {0x0f, 0x01, 0xdb}},
	{INSN_STGI, {0x0f, 0x01, 0xdc}},
	{INSN_CLGI, {0x0f, 0x01, 0xdd}},
	{INSN_SKINIT, {0x0f, 0x01, 0xde}},
	{INSN_VMX, {0x0f, 0x01, 0xc2}},
	{INSN_VMX, {0x0f, 0xc7, 0x33}},
	{INSN_VMX, {0x0f, 0x78, 0xc3}},
	{INSN_VMX, {0x66, 0x0f, 0x38, 0x80, 0x18}},
	{INSN_OTHER, {0x0f, 0xc7, 0xf0}},
	{INSN_OTHER, {0x66, 0x0f, 0x78, 0xc0, 0x01, 0x02}},
	{INSN_INT1, {0xf1}},
	{INSN_INT3, {0xcc}},
	{INSN_INT, {0xcd, 0x80}},
	{INSN_IRET, {0xcf}},
	{INSN_PUSHF, {0x9c}},
	{INSN_POPF, {0x9d}},
	{INSN_RSM, {0x0f, 0xaa}},
	{INSN_SGDT, {0x0f, 0x01, 0x03}},
	{INSN_SIDT, {0x0f, 0x01, 0x0b}},
	{INSN_LGDT, {0x0f, 0x01, 0x13}},
	{INSN_LIDT, {0x0f, 0x01, 0x1b}},
	{INSN_SLDT, {0x0f, 0x00, 0xc0}},
	{INSN_STR, {0x0f, 0x00, 0xc8}},
	{INSN_LLDT, {0x0f, 0x00, 0xd0}},
	{INSN_LTR, {0x0f, 0x00, 0xd8}},
	{INSN_OTHER, {0x0f, 0x00, 0xe0}},
	{INSN_OTHER, {0xf6, 0x23}},
	{INSN_OTHER, {0xfe, 0x13}},
	{INSN_OTHER, {0xff, 0x13}},
	{INSN_OTHER, {0x0f, 0xba, 0x03, 0x01}},
	{INSN_OTHER, {0x04, 0x01}},
	{INSN_OTHER, {0x0f, 0x38, 0x82, 0x18}},
};

static void test_classes(void)
{
	static const uint8_t int1[15] = {0xce};
	struct insn insn;

	for (size_t i = 0; i < COUNT(class_rows); i++) {
		uint8_t bytes[15] = {0};

		memcpy(bytes, class_rows[i].bytes, sizeof(class_rows[i].bytes));
		CU_ASSERT_EQUAL(insn_decode(bytes, 15, INSN_MODE_64, &insn), INSN_OK);
		if (insn.class != class_rows[i].class) {
			printf("\nclass row %zu: %d, not %d\n", i, (int)insn.class,
			       (int)class_rows[i].class);
		}
		CU_ASSERT_EQUAL(insn.class, class_rows[i].class);
	}
	CU_ASSERT_EQUAL(insn_decode(int1, 15, INSN_MODE_32, &insn), INSN_OK);
	CU_ASSERT_EQUAL(insn.class, INSN_INTO);
	CU_ASSERT_EQUAL(insn_decode(BYTES(0x63, 0x03), 15, INSN_MODE_32, &insn), INSN_OK);
	CU_ASSERT_EQUAL(insn.class, INSN_OTHER); /* ARPL */
}

static void test_expected_class(void)
{
	struct insn insn;

	CU_ASSERT_EQUAL(insn_length(BYTES(0x66, 0x0f, 0xa2), 15, INSN_MODE_64, INSN_CPUID, &insn),
			INSN_OK);
	CU_ASSERT_EQUAL(insn.length, 3);
	CU_ASSERT_EQUAL(insn_length(BYTES(0xf4), 15, INSN_MODE_64, INSN_CPUID, &insn),
			INSN_MISMATCH);
	CU_ASSERT_EQUAL(insn_length(BYTES(0x06), 15, INSN_MODE_64, INSN_CPUID, &insn),
			INSN_MISMATCH);
	CU_ASSERT_EQUAL(insn_length(BYTES(0x0f), 1, INSN_MODE_64, INSN_CPUID, &insn), INSN_SHORT);
	CU_ASSERT_EQUAL(insn_length(BYTES(0x0f), 0, INSN_MODE_64, INSN_CPUID, &insn), INSN_SHORT);
	/* Some CPUs report RDTSCP as RDTSC; not the other way. */
	CU_ASSERT_EQUAL(insn_length(BYTES(0x0f, 1, 0xf9), 15, INSN_MODE_64, INSN_RDTSC, &insn),
			INSN_OK);
	CU_ASSERT_EQUAL(insn.class, INSN_RDTSCP);
	CU_ASSERT_EQUAL(insn.length, 3);
	CU_ASSERT_EQUAL(insn_length(BYTES(0x0f, 0x31), 15, INSN_MODE_64, INSN_RDTSCP, &insn),
			INSN_MISMATCH);
}

static void test_length_limit(void)
{
	uint8_t bytes[17];
	struct insn insn;

	memset(bytes, 0x66, sizeof(bytes));
	bytes[13] = 0x0f;
	bytes[14] = 0xa2;
	CU_ASSERT_EQUAL(insn_decode(bytes, 17, INSN_MODE_64, &insn), INSN_OK);
	CU_ASSERT_EQUAL(insn.length, 15);
	CU_ASSERT_EQUAL(insn_decode(bytes, 14, INSN_MODE_64, &insn), INSN_SHORT);
	memset(bytes, 0x66, 16);
	bytes[14] = 0x0f;
	bytes[15] = 0xa2;
	CU_ASSERT_EQUAL(insn_decode(bytes, 17, INSN_MODE_64, &insn), INSN_TOO_LONG);
	CU_ASSERT_EQUAL(insn_decode(bytes, 15, INSN_MODE_64, &insn), INSN_TOO_LONG);
	CU_ASSERT_EQUAL(insn_length(bytes, 15, INSN_MODE_64, INSN_CPUID, &insn), INSN_TOO_LONG);
	memset(bytes, 0x40, sizeof(bytes));
	CU_ASSERT_EQUAL(insn_decode(bytes, 17, INSN_MODE_64, &insn), INSN_TOO_LONG);
}

static void test_unknown(void)
{
	static const uint8_t bad_64[][2] = {
		{0x06}, {0x27}, {0x60}, {0x62}, {0xc4}, {0xc5}, {0xce}, {0xd4}, {0xea},
		{0x9a}, {0x82, 0x03}, {0x8f, 0xe8}, {0x0f, 0x04}, {0x0f, 0x0a}, {0x0f, 0x24},
		{0x0f, 0x36}, {0x0f, 0x39}, {0x0f, 0x7a}, {0x0f, 0xa6}
	};
	static const uint8_t bad_32[][2] = {{0xc4, 0xc0}, {0xc5, 0xf8}, {0x62, 0xf1}, {0x8f, 0xe8}};
	uint8_t bytes[15] = {0};
	struct insn insn;

	for (size_t i = 0; i < COUNT(bad_64); i++) {
		memcpy(bytes, bad_64[i], 2);
		CU_ASSERT_EQUAL(insn_decode(bytes, 15, INSN_MODE_64, &insn), INSN_UNKNOWN);
	}
	for (size_t i = 0; i < COUNT(bad_32); i++) {
		memcpy(bytes, bad_32[i], 2);
		CU_ASSERT_EQUAL(insn_decode(bytes, 15, INSN_MODE_32, &insn), INSN_UNKNOWN);
	}
}

static void test_fields(void)
{
	struct insn i;

	/* mov %cr8,%r15 */
	CU_ASSERT_EQUAL(insn_decode(BYTES(0x45, 0x0f, 0x20, 0xc7), 15, INSN_MODE_64, &i), INSN_OK);
	CU_ASSERT_TRUE(i.reg == 8 && i.rm == 15 && i.op_bytes == 8 && !i.has_memory);
	/* LOCK MOV CR0: CR8 */
	CU_ASSERT_EQUAL(insn_decode(BYTES(0xf0, 0x0f, 0x22, 0xc3), 15, INSN_MODE_32, &i), INSN_OK);
	CU_ASSERT_TRUE(i.reg == 8 && i.rm == 3 && i.op_bytes == 4);
	/* The mod field of MOV CR is nothing. */
	CU_ASSERT_EQUAL(insn_decode(BYTES(0x0f, 0x20, 0x44), 15, INSN_MODE_64, &i), INSN_OK);
	CU_ASSERT_TRUE(i.length == 3 && !i.has_memory && i.rm == 4);
	/* in $0xf0,%eax: the port has no sign; REX.W widens no port */
	CU_ASSERT_EQUAL(insn_decode(BYTES(0x48, 0xe5, 0xf0), 15, INSN_MODE_64, &i), INSN_OK);
	CU_ASSERT_TRUE(i.immediate == 0xf0 && i.op_bytes == 4);
	CU_ASSERT_EQUAL(insn_decode(BYTES(0x6c), 15, INSN_MODE_16, &i), INSN_OK);
	CU_ASSERT_TRUE(i.op_bytes == 1 && i.address_bytes == 2);
	CU_ASSERT_EQUAL(insn_decode(BYTES(0x67, 0x66, 0x6f), 15, INSN_MODE_16, &i), INSN_OK);
	CU_ASSERT_TRUE(i.op_bytes == 4 && i.address_bytes == 4);
	/* A REX before another prefix is dropped; F3 after F2 wins */
	CU_ASSERT_EQUAL(insn_decode(BYTES(0x48, 0xf2, 0xf3, 0xa5), 15, INSN_MODE_64, &i), INSN_OK);
	CU_ASSERT_TRUE(i.rex == 0 && i.op_bytes == 4 && (i.prefixes & INSN_PREFIX_REP) != 0 &&
		       (i.prefixes & INSN_PREFIX_REPNE) == 0);
	/* XCHG %rax,%r8 is no PAUSE even with F3 */
	CU_ASSERT_EQUAL(insn_decode(BYTES(0xf3, 0x41, 0x90), 15, INSN_MODE_64, &i), INSN_OK);
	CU_ASSERT_EQUAL(i.class, INSN_OTHER);
}

static const uint64_t segment_bases[INSN_SEG_COUNT] = {0x10000, 0x20000, 0x30000,
						       0x40000, 0x50000, 0x60000};

static uint64_t address_of(const uint8_t *bytes, enum insn_mode mode, const struct cpu_regs *regs)
{
	struct insn insn;

	CU_ASSERT_EQUAL(insn_decode(bytes, 15, mode, &insn), INSN_OK);
	CU_ASSERT_TRUE(insn.has_memory);
	return insn_effective_address(&insn, regs, segment_bases);
}

static struct cpu_regs some_regs(void)
{
	struct cpu_regs regs = {.rip = 0x1000, .rflags = RFLAGS_FIXED};

	for (unsigned int i = 0; i < 16; i++) {
		regs.gpr[i] = 0x100 * (i + 1);
	}
	return regs;
}

static void test_address_16(void)
{
	static const uint64_t want[8] = {0x40000 + 0x400 + 0x700, 0x40000 + 0x400 + 0x800,
					 0x30000 + 0x600 + 0x700, 0x30000 + 0x600 + 0x800,
					 0x40000 + 0x700, 0x40000 + 0x800, 0x40000 + 0x1234,
					 0x40000 + 0x400};
	struct cpu_regs regs = some_regs();

	for (uint8_t rm = 0; rm < 8; rm++) {
		CU_ASSERT_EQUAL(address_of(BYTES(0x88, rm, 0x34, 0x12), INSN_MODE_16, &regs),
				want[rm]);
	}
	CU_ASSERT_EQUAL(address_of(BYTES(0x88, 0x46, 0xff), INSN_MODE_16, &regs), 0x30000 + 0x5ff);
	CU_ASSERT_EQUAL(address_of(BYTES(0x26, 0x88, 0x46, 0xff), INSN_MODE_16, &regs),
			0x10000 + 0x5ff);
	/* An offset wraps at 64 KiB. */
	regs.gpr[REG_RBX] = 0xabcdfffe;
	CU_ASSERT_EQUAL(address_of(BYTES(0x88, 0x47, 0x05), INSN_MODE_16, &regs), 0x40000 + 3);
	CU_ASSERT_EQUAL(address_of(BYTES(0xa0, 0xcd, 0xab), INSN_MODE_16, &regs), 0x40000 + 0xabcd);
}

static void test_address_32(void)
{
	struct cpu_regs regs = some_regs();

	CU_ASSERT_EQUAL(address_of(BYTES(0x88, 0x03), INSN_MODE_32, &regs), 0x40400);
	CU_ASSERT_EQUAL(address_of(BYTES(0x88, 0x45, 0x10), INSN_MODE_32, &regs), 0x30610);
	CU_ASSERT_EQUAL(address_of(BYTES(0x88, 0x04, 0x24), INSN_MODE_32, &regs), 0x30500);
	CU_ASSERT_EQUAL(address_of(BYTES(0x88, 0x44, 0x8b, 0xf0), INSN_MODE_32, &regs),
			0x40000 + 0x400 + 0x800 - 0x10);
	CU_ASSERT_EQUAL(address_of(BYTES(0x88, 0x05, 4, 3, 2, 1), INSN_MODE_32, &regs),
			0x01020304 + 0x40000);
	CU_ASSERT_EQUAL(address_of(BYTES(0x88, 0x04, 0x25, 4, 3, 2, 1), INSN_MODE_32, &regs),
			0x01020304 + 0x40000);
	CU_ASSERT_EQUAL(address_of(BYTES(0x65, 0x88, 0x03), INSN_MODE_32, &regs), 0x60400);
	CU_ASSERT_EQUAL(address_of(BYTES(0x36, 0xa1, 0xff, 0xff, 0xff, 0xff), INSN_MODE_32, &regs),
			0x2ffff); /* base and offset wrap at 4 GiB */
}

static void test_address_64(void)
{
	struct cpu_regs regs = some_regs();

	/* flat segments have no base, FS and GS do; a later CS prefix does not hide them */
	CU_ASSERT_EQUAL(address_of(BYTES(0x88, 0x03), INSN_MODE_64, &regs), 0x400);
	CU_ASSERT_EQUAL(address_of(BYTES(0x2e, 0x88, 0x03), INSN_MODE_64, &regs), 0x400);
	CU_ASSERT_EQUAL(address_of(BYTES(0x64, 0x88, 0x03), INSN_MODE_64, &regs), 0x50400);
	CU_ASSERT_EQUAL(address_of(BYTES(0x65, 0x2e, 0x88, 0x03), INSN_MODE_64, &regs), 0x60400);
	/* RIP counts from the end, the immediate included */
	CU_ASSERT_EQUAL(address_of(BYTES(0xc6, 0x05, 0x10, 0, 0, 0, 0xaa), INSN_MODE_64, &regs),
			0x1017);
	regs.gpr[REG_RBX] = 0xffffffff00000400;
	CU_ASSERT_EQUAL(address_of(BYTES(0x67, 0x88, 0x03), INSN_MODE_64, &regs), 0x400);
	CU_ASSERT_EQUAL(address_of(BYTES(0x43, 0x88, 0x44, 0xec, 0x7f), INSN_MODE_64, &regs),
			0xd00 + 0xe00 * 8 + 0x7f);
	CU_ASSERT_EQUAL(address_of(BYTES(0x4a, 0x89, 0x04, 0x25, 0, 0, 0, 0x80), INSN_MODE_64,
				   &regs),
			0xd00 + 0xffffffff80000000);
	CU_ASSERT_EQUAL(address_of(BYTES(0xa0, 1, 2, 3, 4, 5, 6, 7, 8), INSN_MODE_64, &regs),
			0x0807060504030201);
}

/* A machine of 256 bytes that refuses at will. */
struct fake {
	uint8_t memory[256];
	unsigned int reads, writes, ins, outs;
	unsigned int refuse_write_at; /* count of writes before a refusal; 0 for never */
	bool refuse_read;
	bool refuse_probe;
	uint32_t out_value[8];
};

static bool fake_probe(void *ctx, uint64_t linear, uint8_t bytes, bool write)
{
	(void)linear;
	(void)bytes;
	(void)write;
	return !((struct fake *)ctx)->refuse_probe;
}

static bool fake_read(void *ctx, uint64_t linear, uint8_t bytes, uint64_t *value)
{
	struct fake *f = ctx;

	if (f->refuse_read || linear + bytes > sizeof(f->memory)) {
		return false;
	}
	f->reads++;
	*value = 0xdddddddddddddddd; /* the executor takes only the bytes it asked for */
	memcpy(value, f->memory + linear, bytes);
	return true;
}

static bool fake_write(void *ctx, uint64_t linear, uint8_t bytes, uint64_t value)
{
	struct fake *f = ctx;

	f->writes++;
	if (f->writes == f->refuse_write_at || linear + bytes > sizeof(f->memory)) {
		return false;
	}
	memcpy(f->memory + linear, &value, bytes);
	return true;
}

static bool fake_in(void *ctx, uint16_t port, uint8_t bytes, uint32_t *value)
{
	struct fake *f = ctx;

	CU_ASSERT_TRUE(port == 0x300 && bytes <= 4);
	*value = 0xa0a0a000 + f->ins++;
	return true;
}

static bool fake_out(void *ctx, uint16_t port, uint8_t bytes, uint32_t value)
{
	struct fake *f = ctx;

	CU_ASSERT_TRUE(port == 0x300 && bytes <= 4);
	f->out_value[f->outs++ % 8] = value;
	return true;
}

static const uint64_t flat[INSN_SEG_COUNT];

static struct insn_machine machine_of(struct fake *f, struct cpu_regs *regs)
{
	return (struct insn_machine){.regs = regs,
				     .segment_base = flat,
				     .ctx = f,
				     .probe = fake_probe,
				     .read = fake_read,
				     .write = fake_write,
				     .port_in = fake_in,
				     .port_out = fake_out,
				     .iteration_max = 4};
}

static enum insn_exec run(struct fake *f, struct cpu_regs *regs, const uint8_t *bytes,
			  enum insn_mode mode)
{
	struct insn_machine m = machine_of(f, regs);
	struct insn insn;

	CU_ASSERT_EQUAL(insn_decode(bytes, 15, mode, &insn), INSN_OK);
	if (insn.class == INSN_INS || insn.class == INSN_OUTS) {
		return insn_exec_string_io(&insn, &m);
	}
	return insn_exec_mmio(&insn, &m);
}

static void test_exec_unsupported(void)
{
	struct fake f = {.reads = 0};
	struct cpu_regs regs = some_regs();
	struct insn_machine m = machine_of(&f, &regs);
	struct insn insn;

	/* a register operand, an intercepted instruction, multiplication */
	CU_ASSERT_EQUAL(run(&f, &regs, BYTES(0x88, 0xc3), INSN_MODE_64), INSN_EXEC_UNSUPPORTED);
	CU_ASSERT_EQUAL(run(&f, &regs, BYTES(0x0f, 0xa2), INSN_MODE_64), INSN_EXEC_UNSUPPORTED);
	CU_ASSERT_EQUAL(run(&f, &regs, BYTES(0xf6, 0x23), INSN_MODE_64), INSN_EXEC_UNSUPPORTED);
	CU_ASSERT_EQUAL(insn_decode(BYTES(0xa4), 15, INSN_MODE_64, &insn), INSN_OK);
	CU_ASSERT_EQUAL(insn_exec_string_io(&insn, &m), INSN_EXEC_UNSUPPORTED);
	CU_ASSERT_EQUAL(regs.rip, 0x1000);
	CU_ASSERT_EQUAL(f.reads + f.writes, 0);
}

/* Instructions on memory at RBX, each refused at each point: nothing may have changed. */
static void test_exec_faults(void)
{
	static const uint8_t code[][4] = {
		{0x01, 0x0b}, {0x88, 0x0b}, {0xc6, 0x03, 0x55}, {0x87, 0x0b},
		{0x0f, 0xc1, 0x0b}, {0x0f, 0xb1, 0x0b}, {0x0f, 0xab, 0x0b}, {0xf7, 0x1b},
		{0xa4}, {0xaa}, {0x6c},
	};

	for (size_t i = 0; i < COUNT(code); i++) {
		struct fake f = {.refuse_write_at = 1};
		struct cpu_regs regs = some_regs();
		struct cpu_regs before;
		uint8_t bytes[15] = {0};

		memcpy(bytes, code[i], 4);
		regs.gpr[REG_RBX] = 16;
		regs.gpr[REG_RSI] = 32;
		regs.gpr[REG_RDI] = 48;
		regs.gpr[REG_RCX] = 5;
		regs.rflags |= RFLAGS_CF | RFLAGS_RF;
		before = regs;
		CU_ASSERT_EQUAL(run(&f, &regs, bytes, INSN_MODE_64), INSN_EXEC_FAULT);
		CU_ASSERT_EQUAL(memcmp(&regs, &before, sizeof(regs)), 0);
		/* Once more with the probe refusing: then not even a read has been made. */
		f = (struct fake){.refuse_probe = true, .refuse_write_at = 1};
		CU_ASSERT_EQUAL(run(&f, &regs, bytes, INSN_MODE_64), INSN_EXEC_FAULT);
		CU_ASSERT_EQUAL(f.reads + f.ins, 0);
		CU_ASSERT_EQUAL(memcmp(&regs, &before, sizeof(regs)), 0);
	}
}

static void test_exec_read_faults(void)
{
	static const uint8_t code[][4] = {
		{0x03, 0x0b}, {0x8a, 0x0b}, {0x0f, 0xb6, 0x0b}, {0x3b, 0x0b}, {0x87, 0x0b},
		{0x0f, 0xc1, 0x0b}, {0x0f, 0xb1, 0x0b}, {0xa4}, {0xac}, {0x6e},
		{0x85, 0x0b},
	};

	for (size_t i = 0; i < COUNT(code); i++) {
		struct fake f = {.refuse_read = true};
		struct cpu_regs regs = some_regs();
		struct cpu_regs before = regs;
		uint8_t bytes[15] = {0};

		memcpy(bytes, code[i], 4);
		CU_ASSERT_EQUAL(run(&f, &regs, bytes, INSN_MODE_64), INSN_EXEC_FAULT);
		CU_ASSERT_EQUAL(memcmp(&regs, &before, sizeof(regs)), 0);
		CU_ASSERT_EQUAL(f.writes + f.outs, 0);
	}
}

static void test_exec_advance(void)
{
	struct fake f = {.reads = 0};
	struct cpu_regs regs = some_regs();

	regs.gpr[REG_RBX] = 16;
	regs.rip = 0xffffffff;
	regs.rflags |= RFLAGS_RF;
	CU_ASSERT_EQUAL(run(&f, &regs, BYTES(0x88, 0x0b), INSN_MODE_64), INSN_EXEC_DONE);
	CU_ASSERT_EQUAL(regs.rip, 0x100000001);
	CU_ASSERT_EQUAL(regs.rflags, RFLAGS_FIXED);
	regs.rip = 0xffffffff;
	CU_ASSERT_EQUAL(run(&f, &regs, BYTES(0x88, 0x0b), INSN_MODE_32), INSN_EXEC_DONE);
	CU_ASSERT_EQUAL(regs.rip, 1);
}

static void test_rep_is_bounded(void)
{
	struct fake f = {.reads = 0};
	struct cpu_regs regs = some_regs();

	regs.gpr[REG_RCX] = 10;
	regs.gpr[REG_RDI] = 0;
	regs.gpr[REG_RAX] = 0x1122;
	for (unsigned int i = 1; i <= 2; i++) {
		CU_ASSERT_EQUAL(run(&f, &regs, BYTES(0xf3, 0x66, 0xab), INSN_MODE_64),
				INSN_EXEC_AGAIN);
		CU_ASSERT_EQUAL(regs.gpr[REG_RCX], 10 - i * 4);
		CU_ASSERT_EQUAL(regs.gpr[REG_RDI], i * 8);
		CU_ASSERT_EQUAL(regs.rip, 0x1000);
	}
	CU_ASSERT_EQUAL(run(&f, &regs, BYTES(0xf3, 0x66, 0xab), INSN_MODE_64), INSN_EXEC_DONE);
	CU_ASSERT_TRUE(regs.gpr[REG_RCX] == 0 && regs.rip == 0x1003 && f.writes == 10);
	CU_ASSERT_EQUAL(memcmp(f.memory + 16, "\x22\x11\x22\x11\0", 5), 0);
	/* A count of zero does nothing, and completes. */
	CU_ASSERT_EQUAL(run(&f, &regs, BYTES(0xf2, 0xa4), INSN_MODE_64), INSN_EXEC_DONE);
	CU_ASSERT_TRUE(f.writes == 10 && regs.rip == 0x1005);
}

/* A fault in the third of four iterations keeps the first two. */
static void test_rep_fault_keeps_iterations(void)
{
	struct fake f = {.refuse_write_at = 3};
	struct cpu_regs regs = some_regs();

	memcpy(f.memory, "abcdefgh", 8);
	regs.gpr[REG_RCX] = 0x7700000004; /* CX counts with 16-bit addresses */
	regs.gpr[REG_RSI] = 7;
	regs.gpr[REG_RDI] = 0xff;
	regs.rflags |= RFLAGS_DF;
	CU_ASSERT_EQUAL(run(&f, &regs, BYTES(0xf3, 0xa4), INSN_MODE_16), INSN_EXEC_FAULT);
	CU_ASSERT_EQUAL(regs.gpr[REG_RCX], 0x7700000002);
	CU_ASSERT_EQUAL(regs.gpr[REG_RSI], 5);
	CU_ASSERT_EQUAL(regs.gpr[REG_RDI], 0xfd);
	CU_ASSERT_EQUAL(regs.rip, 0x1000);
	CU_ASSERT_TRUE(f.memory[0xff] == 'h' && f.memory[0xfe] == 'g' && f.memory[0xfd] == 0);
}

static void test_string_io(void)
{
	struct fake f = {.reads = 0};
	struct cpu_regs regs = some_regs();

	regs.gpr[REG_RCX] = 0xffffffff00000003; /* 32-bit addresses: ECX */
	regs.gpr[REG_RDI] = 0xffffffff00000010;
	CU_ASSERT_EQUAL(run(&f, &regs, BYTES(0x67, 0xf3, 0x66, 0x6d), INSN_MODE_64),
			INSN_EXEC_DONE);
	CU_ASSERT_EQUAL(memcmp(f.memory + 16, "\x00\xa0\x01\xa0\x02\xa0\0", 7), 0);
	CU_ASSERT_TRUE(regs.gpr[REG_RCX] == 0 && regs.gpr[REG_RDI] == 0x16);
	regs.gpr[REG_RSI] = 0x10;
	regs.gpr[REG_RCX] = 5;
	CU_ASSERT_EQUAL(run(&f, &regs, BYTES(0xf3, 0x6e), INSN_MODE_64), INSN_EXEC_AGAIN);
	CU_ASSERT_EQUAL(run(&f, &regs, BYTES(0xf3, 0x6e), INSN_MODE_64), INSN_EXEC_DONE);
	CU_ASSERT_TRUE(f.outs == 5 && f.out_value[0] == 0 && f.out_value[1] == 0xa0 &&
		       f.out_value[2] == 1 && regs.gpr[REG_RSI] == 0x15);
	CU_ASSERT_EQUAL(run(&f, &regs, BYTES(0x6f), INSN_MODE_32), INSN_EXEC_DONE);
	CU_ASSERT_TRUE(f.outs == 6 && f.out_value[5] == 0xa0 && regs.gpr[REG_RSI] == 0x19);
}

/* ES has no override; DS has. */
static void test_string_segments(void)
{
	static const uint64_t bases[INSN_SEG_COUNT] = {0x40, 0, 0, 0x80, 0, 0xc0};
	struct fake f = {.reads = 0};
	struct cpu_regs regs = some_regs();
	struct insn_machine m = machine_of(&f, &regs);
	struct insn insn;

	m.segment_base = bases;
	m.probe = NULL;
	m.iteration_max = 0; /* counts as one */
	f.memory[0x80] = 1;
	f.memory[0xc0] = 2;
	regs.gpr[REG_RSI] = 0;
	regs.gpr[REG_RDI] = 0;
	CU_ASSERT_EQUAL(insn_decode(BYTES(0xa4), 15, INSN_MODE_16, &insn), INSN_OK);
	CU_ASSERT_EQUAL(insn_exec_mmio(&insn, &m), INSN_EXEC_DONE);
	CU_ASSERT_EQUAL(f.memory[0x40], 1);
	regs.gpr[REG_RSI] = 0;
	CU_ASSERT_EQUAL(insn_decode(BYTES(0x65, 0xa4), 15, INSN_MODE_16, &insn), INSN_OK);
	CU_ASSERT_EQUAL(insn_exec_mmio(&insn, &m), INSN_EXEC_DONE);
	CU_ASSERT_EQUAL(f.memory[0x41], 2);
}

UNIT_MAIN("insn", UNIT_TEST(test_lengths_64), UNIT_TEST(test_lengths_32),
	  UNIT_TEST(test_lengths_16), UNIT_TEST(test_classes), UNIT_TEST(test_expected_class),
	  UNIT_TEST(test_length_limit),
	  UNIT_TEST(test_unknown), UNIT_TEST(test_fields), UNIT_TEST(test_address_16),
	  UNIT_TEST(test_address_32), UNIT_TEST(test_address_64), UNIT_TEST(test_exec_unsupported),
	  UNIT_TEST(test_exec_faults), UNIT_TEST(test_exec_read_faults),
	  UNIT_TEST(test_exec_advance),
	  UNIT_TEST(test_rep_is_bounded), UNIT_TEST(test_rep_fault_keeps_iterations),
	  UNIT_TEST(test_string_io), UNIT_TEST(test_string_segments))

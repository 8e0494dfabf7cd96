/*
 * insn_native_test.c - the executor against the CPU that runs this test: random instructions,
 * operands and addressing forms in 64-bit code, run natively and by insn_exec_mmio(), then
 * registers, flags and memory compared. It judges prefixes, ModRM, SIB, displacements, high-byte
 * registers, sizes and flags at once. Flags that the manuals leave undefined are not compared.
 */
#define _DEFAULT_SOURCE /* MAP_32BIT */

#include "tests/unit/unit.h"

#include "hypervisor/arch/x86/insn.h"

#include <string.h>
#include <sys/mman.h>

#define DATA_BYTES 16384u
#define CODE_BYTES 4096u
#define ROUNDS 60000u
#define STRING_ROUNDS 10000u

void native_run(struct cpu_regs *regs, const void *code);

/* Loads all registers of @regs but RSP and RIP, calls @code, and stores them again. */
__asm__(".text\n"
	".globl native_run\n"
	"native_run:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n"
	"	push %r13\n	push %r14\n	push %r15\n"
	"	push %rdi\n"
	"	mov %rsi, native_target(%rip)\n"
	"	pushq 136(%rdi)\n	popfq\n"
	"	mov 0(%rdi), %rax\n	mov 8(%rdi), %rcx\n	mov 16(%rdi), %rdx\n"
	"	mov 24(%rdi), %rbx\n	mov 40(%rdi), %rbp\n	mov 48(%rdi), %rsi\n"
	"	mov 64(%rdi), %r8\n	mov 72(%rdi), %r9\n	mov 80(%rdi), %r10\n"
	"	mov 88(%rdi), %r11\n	mov 96(%rdi), %r12\n	mov 104(%rdi), %r13\n"
	"	mov 112(%rdi), %r14\n	mov 120(%rdi), %r15\n	mov 56(%rdi), %rdi\n"
	"	call *native_target(%rip)\n"
	"	pushfq\n"
	"	cld\n"
	"	push %rdi\n"
	"	mov 16(%rsp), %rdi\n"
	"	mov %rax, 0(%rdi)\n	mov %rcx, 8(%rdi)\n	mov %rdx, 16(%rdi)\n"
	"	mov %rbx, 24(%rdi)\n	mov %rbp, 40(%rdi)\n	mov %rsi, 48(%rdi)\n"
	"	mov %r8, 64(%rdi)\n	mov %r9, 72(%rdi)\n	mov %r10, 80(%rdi)\n"
	"	mov %r11, 88(%rdi)\n	mov %r12, 96(%rdi)\n	mov %r13, 104(%rdi)\n"
	"	mov %r14, 112(%rdi)\n	mov %r15, 120(%rdi)\n"
	"	popq 56(%rdi)\n	popq 136(%rdi)\n"
	"	add $8, %rsp\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n"
	"	pop %rbp\n	pop %rbx\n"
	"	ret\n"
	".lcomm native_target, 8\n");

struct form {
	uint8_t map;	/* 0 or 1 */
	uint8_t opcode;
	int8_t group;	/* the reg field, or -1 if it names a register */
	uint8_t immediate; /* 0, 1, or 4 for one of the operand's size */
	bool byte;
	uint32_t undefined; /* flags not to compare */
};

#define LOGIC_UNDEFINED RFLAGS_AF
#define BIT_UNDEFINED (RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF)

#define ALU_FORMS(op, undefined)                                                                   \
	{0, (op) + 0, -1, 0, true, undefined}, {0, (op) + 1, -1, 0, false, undefined},             \
	{0, (op) + 2, -1, 0, true, undefined}, {0, (op) + 3, -1, 0, false, undefined},             \
	{0, 0x80, (op) / 8, 1, true, undefined}, {0, 0x81, (op) / 8, 4, false, undefined},         \
	{0, 0x83, (op) / 8, 1, false, undefined}

static const struct form forms[] = {
	ALU_FORMS(0x00, 0),
	ALU_FORMS(0x08, LOGIC_UNDEFINED),
	ALU_FORMS(0x10, 0),
	ALU_FORMS(0x18, 0),
	ALU_FORMS(0x20, LOGIC_UNDEFINED),
	ALU_FORMS(0x28, 0),
	ALU_FORMS(0x30, LOGIC_UNDEFINED),
	ALU_FORMS(0x38, 0),
	{0, 0x84, -1, 0, true, LOGIC_UNDEFINED},
	{0, 0x85, -1, 0, false, LOGIC_UNDEFINED},
	{0, 0xf6, 0, 1, true, LOGIC_UNDEFINED},
	{0, 0xf7, 0, 4, false, LOGIC_UNDEFINED},
	{0, 0xf6, 2, 0, true, 0},
	{0, 0xf7, 2, 0, false, 0},
	{0, 0xf6, 3, 0, true, 0},
	{0, 0xf7, 3, 0, false, 0},
	{0, 0xfe, 0, 0, true, 0},
	{0, 0xff, 0, 0, false, 0},
	{0, 0xfe, 1, 0, true, 0},
	{0, 0xff, 1, 0, false, 0},
	{0, 0x86, -1, 0, true, 0},
	{0, 0x87, -1, 0, false, 0},
	{0, 0x88, -1, 0, true, 0},
	{0, 0x89, -1, 0, false, 0},
	{0, 0x8a, -1, 0, true, 0},
	{0, 0x8b, -1, 0, false, 0},
	{0, 0xc6, 0, 1, true, 0},
	{0, 0xc7, 0, 4, false, 0},
	{0, 0x63, -1, 0, false, 0},
	{1, 0xb6, -1, 0, false, 0},
	{1, 0xb7, -1, 0, false, 0},
	{1, 0xbe, -1, 0, false, 0},
	{1, 0xbf, -1, 0, false, 0},
	{1, 0xa3, -1, 0, false, BIT_UNDEFINED},
	{1, 0xab, -1, 0, false, BIT_UNDEFINED},
	{1, 0xb3, -1, 0, false, BIT_UNDEFINED},
	{1, 0xbb, -1, 0, false, BIT_UNDEFINED},
	{1, 0xba, 4, 1, false, BIT_UNDEFINED},
	{1, 0xba, 5, 1, false, BIT_UNDEFINED},
	{1, 0xba, 6, 1, false, BIT_UNDEFINED},
	{1, 0xba, 7, 1, false, BIT_UNDEFINED},
	{1, 0xb0, -1, 0, true, 0},
	{1, 0xb1, -1, 0, false, 0},
	{1, 0xc0, -1, 0, true, 0},
	{1, 0xc1, -1, 0, false, 0},
	{1, 0xc3, -1, 0, false, 0},
};

static uint8_t *data;	/* below 2 GiB, as is the code */
static uint8_t *code;
static uint8_t shadow[DATA_BYTES];
static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Mostly values at the edges, where carries and signs change. */
static uint64_t random_operand(void)
{
	static const uint64_t edges[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff,
					 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX,
					 (uint64_t)INT64_MIN, UINT64_MAX, 0xf, 0x10};
	uint64_t r = random_64();

	return (r & 3) == 0 ? edges[r >> 8 & 15] : random_64();
}

/* An address in the middle of the data. */
static uint64_t somewhere(void)
{
	return (uint64_t)(uintptr_t)data + 4096 + random_64() % 8192;
}

static bool shadow_access(uint64_t linear, uint8_t bytes, size_t *at)
{
	*at = (size_t)(linear - (uint64_t)(uintptr_t)data);
	return linear >= (uint64_t)(uintptr_t)data && *at + bytes <= DATA_BYTES;
}

static bool shadow_read(void *ctx, uint64_t linear, uint8_t bytes, uint64_t *value)
{
	size_t at;

	(void)ctx;
	if (!shadow_access(linear, bytes, &at)) {
		return false;
	}
	*value = 0;
	memcpy(value, shadow + at, bytes);
	return true;
}

static bool shadow_write(void *ctx, uint64_t linear, uint8_t bytes, uint64_t value)
{
	size_t at;

	(void)ctx;
	if (!shadow_access(linear, bytes, &at)) {
		return false;
	}
	memcpy(shadow + at, &value, bytes);
	return true;
}

struct trial {
	uint8_t bytes[24];
	size_t count;
	size_t displacement_at; /* of a 4-byte displacement, or 0 */
	struct cpu_regs regs;
};

static void put(struct trial *t, uint8_t byte)
{
	t->bytes[t->count++] = byte;
}

static void put_random(struct trial *t, size_t count)
{
	while (count-- != 0) {
		put(t, (uint8_t)random_64());
	}
}

/* Random ModRM, SIB and displacement bytes. */
static void put_modrm(struct trial *t, int8_t group)
{
	uint64_t r = random_64();
	uint8_t mod = (uint8_t)(r % 3);
	uint8_t rm = r >> 8 & 7;
	uint8_t reg = group >= 0 ? (uint8_t)group : (r >> 11 & 7);
	uint8_t sib = (uint8_t)(r >> 16);
	bool no_base = mod == 0 && (rm == 5 || (rm == 4 && (sib & 7) == 5));

	put(t, (uint8_t)(mod << 6 | reg << 3 | rm));
	if (rm == 4) {
		put(t, sib);
	}
	if (no_base || mod == 2) {
		t->displacement_at = t->count;
	}
	put_random(t, no_base || mod == 2 ? 4 : mod == 1 ? 1 : 0);
}

static void put_instruction(struct trial *t, const struct form *form)
{
	uint64_t r = random_64();
	bool opsize = (r & 3) == 0 && form->opcode != 0xc3;
	bool rex = (r >> 2 & 1) != 0;
	uint8_t rex_bits = r >> 8 & 15;

	memset(t, 0, sizeof(*t));
	if (opsize) {
		put(t, 0x66);
	}
	if ((r >> 3 & 7) == 0) {
		put(t, 0x67);
	}
	if (rex) {
		put(t, 0x40 | rex_bits);
	}
	if (form->map == 1) {
		put(t, 0x0f);
	}
	put(t, form->opcode);
	put_modrm(t, form->group);
	if (form->immediate == 4) {
		put_random(t, opsize && !(rex && (rex_bits & 8) != 0) ? 2 : 4);
	} else {
		put_random(t, form->immediate);
	}
}

static void random_regs(struct cpu_regs *regs)
{
	for (unsigned int i = 0; i < 16; i++) {
		regs->gpr[i] = random_operand();
	}
	regs->rflags = RFLAGS_FIXED | RFLAGS_IF |
		       (random_64() & (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF |
				       RFLAGS_OF));
}

/*
 * Sets base and index so that the operand is inside the data. False if the form does not allow
 * it.
 */
static bool aim(struct trial *t, const struct insn *insn)
{
	uint64_t target = somewhere();
	bool narrow = insn->address_bytes == 4;

	if (insn->base == REG_RSP || (insn->base != INSN_NO_REG && insn->base == insn->index)) {
		return false;
	}
	if (insn->index != INSN_NO_REG) {
		t->regs.gpr[insn->index] = random_64() % 100;
		target -= t->regs.gpr[insn->index] * insn->scale;
	}
	if (insn->base != INSN_NO_REG) {
		target -= (uint64_t)insn->displacement;
		/* With 32-bit addresses the upper half is not looked at. */
		t->regs.gpr[insn->base] =
			narrow ? (target & 0xffffffff) | random_64() << 32 : target;
		return true;
	}
	target -= insn->rip_relative ? (uint64_t)(uintptr_t)code + insn->length : 0;
	memcpy(t->bytes + t->displacement_at, &target, 4);
	return true;
}

/* A bit number in a register reaches far: keep it near, and out of the address. */
static bool tame_bit(struct trial *t, const struct insn *insn)
{
	if (insn->class != INSN_BIT || insn->form != INSN_FORM_RM_REG) {
		return true;
	}
	if (insn->reg == insn->base || insn->reg == insn->index) {
		return false;
	}
	t->regs.gpr[insn->reg] = random_64() % 20000 - 10000;
	return true;
}

/* No instruction may have RSP as its register operand. */
static bool uses_rsp(const struct insn *insn, const struct form *form)
{
	bool high_byte = form->byte && insn->rex == 0;

	return form->group < 0 && insn->reg == REG_RSP && !high_byte;
}

/* Runs @t both ways. Returns false if the executor refused. */
static bool run_both(struct trial *t, uint32_t undefined)
{
	struct cpu_regs native = t->regs;
	struct cpu_regs model = t->regs;
	static const uint64_t flat[INSN_SEG_COUNT];
	struct insn_machine m = {.regs = &model,
				 .segment_base = flat,
				 .read = shadow_read,
				 .write = shadow_write,
				 .iteration_max = 3};
	struct insn insn;
	enum insn_exec result = INSN_EXEC_AGAIN;

	for (size_t i = 0; i < DATA_BYTES; i += 8) {
		uint64_t value = random_operand();

		memcpy(data + i, &value, 8);
	}
	memcpy(shadow, data, DATA_BYTES);
	memcpy(code, t->bytes, t->count);
	code[t->count] = 0xc3;
	model.rip = (uint64_t)(uintptr_t)code;
	if (insn_decode(code, 15, INSN_MODE_64, &insn) != INSN_OK || insn.length != t->count) {
		return false;
	}
	for (unsigned int i = 0; i < 64 && result == INSN_EXEC_AGAIN; i++) {
		result = insn_exec_mmio(&insn, &m);
	}
	if (result != INSN_EXEC_DONE) {
		return false;
	}
	native_run(&native, code);
	native.rip = (uint64_t)(uintptr_t)code + t->count;
	native.rflags &= ~(uint64_t)undefined;
	model.rflags &= ~(uint64_t)undefined;
	return memcmp(&native, &model, sizeof(native)) == 0 &&
	       memcmp(data, shadow, DATA_BYTES) == 0;
}

static void show(const struct trial *t)
{
	printf("\ndiffers:");
	for (size_t i = 0; i < t->count; i++) {
		printf(" %02x", t->bytes[i]);
	}
	printf("\n");
}

static void test_random_instructions(void)
{
	unsigned int run_count = 0;
	unsigned int differ_count = 0;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		const struct form *form = &forms[i % (sizeof(forms) / sizeof(forms[0]))];
		struct trial t;
		struct insn insn;

		put_instruction(&t, form);
		random_regs(&t.regs);
		if (insn_decode(t.bytes, 15, INSN_MODE_64, &insn) != INSN_OK ||
		    insn.length != t.count) {
			differ_count++;
			show(&t);
			continue;
		}
		if (uses_rsp(&insn, form) || !tame_bit(&t, &insn) || !aim(&t, &insn)) {
			continue;
		}
		run_count++;
		if (!run_both(&t, form->undefined)) {
			differ_count++;
			show(&t);
		}
		if (differ_count > 20) {
			break;
		}
	}
	CU_ASSERT_EQUAL(differ_count, 0);
	CU_ASSERT_TRUE(run_count > ROUNDS / 2);
}

static void test_random_strings(void)
{
	static const uint8_t opcodes[] = {0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad};
	unsigned int differ_count = 0;

	for (unsigned int i = 0; i < STRING_ROUNDS && differ_count < 20; i++) {
		uint64_t r = random_64();
		uint64_t high = 0;
		struct trial t = {.count = 0};

		random_regs(&t.regs);
		if ((r & 1) != 0) {
			put(&t, 0x66);
		}
		if ((r & 2) != 0) {
			put(&t, 0x67);
			high = random_64() << 32;
		}
		if ((r & 4) != 0) {
			put(&t, (r & 8) != 0 ? 0xf2 : 0xf3);
		}
		if ((r & 16) != 0) {
			put(&t, 0x40 | (r >> 8 & 15));
		}
		put(&t, opcodes[i % 6]);
		t.regs.rflags |= (r & 32) != 0 ? RFLAGS_DF : 0;
		t.regs.gpr[REG_RCX] = (1 + random_64() % 40) | high;
		t.regs.gpr[REG_RSI] = somewhere() | high;
		t.regs.gpr[REG_RDI] = somewhere() | high;
		if (!run_both(&t, 0)) {
			differ_count++;
			show(&t);
		}
	}
	CU_ASSERT_EQUAL(differ_count, 0);
}

/* MOV with an absolute address of eight bytes. */
static void test_moffs(void)
{
	for (unsigned int i = 0; i < 400; i++) {
		uint64_t address = (uint64_t)(uintptr_t)data + random_64() % 8192;
		struct trial t = {.count = 0};

		random_regs(&t.regs);
		if ((i & 4) != 0) {
			put(&t, 0x66);
		}
		if ((i & 8) != 0) {
			put(&t, 0x48);
		}
		put(&t, (uint8_t)(0xa0 + (i & 3)));
		memcpy(t.bytes + t.count, &address, 8);
		t.count += 8;
		CU_ASSERT_TRUE(run_both(&t, 0));
	}
}

/* The first thing that every other test needs. */
static void test_map_memory(void)
{
	data = mmap(NULL, DATA_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	CU_ASSERT_TRUE_FATAL(data != MAP_FAILED && code != MAP_FAILED);
}

UNIT_MAIN("insn_native", UNIT_TEST(test_map_memory), UNIT_TEST(test_random_instructions),
	  UNIT_TEST(test_random_strings), UNIT_TEST(test_moffs))

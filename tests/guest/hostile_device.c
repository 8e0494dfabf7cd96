/*
 * hostile_device.c - ports, MMIO, and the instructions that reach them.
 */
#include "tests/guest/hostile.h"

#define PLAY (22u << 20) /* 4 MiB of RAM that nothing else uses */
#define HOLE UINT64_C(0xd0000000) /* below 4 GiB, nothing there */
#define PAGE 4096u

static volatile uint32_t stop;

/* ---------------------------------------------------------------- ports */

/* Writes there end or mute this guest. */
static bool port_is_spared(uint32_t port, uint32_t bytes)
{
	static const uint32_t spared[][2] = {{0x64, 0x64}, {0xcf9, 0xcf9}, {0xb000, 0xb00b}, {0x3f8, 0x3ff}, {0xe9, 0xe9}};

	for (size_t i = 0; i < ARRAY_COUNT(spared); i++) {
		if (port + bytes > spared[i][0] && port <= spared[i][1]) {
			return true;
		}
	}
	return false;
}

static uint32_t port_read(uint32_t port, uint32_t bytes)
{
	uint32_t value = 0;

	if (bytes == 1) {
		__asm__ volatile("inb %w1, %b0" : "+a"(value) : "d"(port));
	} else if (bytes == 2) {
		__asm__ volatile("inw %w1, %w0" : "+a"(value) : "d"(port));
	} else {
		__asm__ volatile("inl %w1, %0" : "+a"(value) : "d"(port));
	}
	return value;
}

static void port_write(uint32_t port, uint32_t bytes, uint32_t value)
{
	if (bytes == 1) {
		__asm__ volatile("outb %b0, %w1" : : "a"(value), "d"(port));
	} else if (bytes == 2) {
		__asm__ volatile("outw %w0, %w1" : : "a"(value), "d"(port));
	} else {
		__asm__ volatile("outl %0, %w1" : : "a"(value), "d"(port));
	}
}

static void touch_port(uint32_t port, uint32_t bytes)
{
	(void)port_read(port, bytes);
	if (!port_is_spared(port, bytes)) {
		port_write(port, bytes, UINT32_MAX);
		port_write(port, bytes, 0);
	}
}

static void ports_all(void)
{
	for (uint32_t port = 0; port < 65536; port++) {
		bool known = port < 0x100 || (port & 0xfff0) == 0x3f0 || (port & 0xfff0) == 0xcf0 || port >> 12 == 0xa ||
		             (port & 0xff00) == 0xb000 || port > 0xfff0;

		touch_port(port, 1);
		if (known) {
			touch_port(port, 2);
			touch_port(port, 4);
		}
	}
	claim_number(port_read(0x1234, 4), UINT32_MAX, "an unclaimed port floats");
}

static void port_storm(void)
{
	while (blowing()) {
		(void)port_read(0x71, 1);
		port_write(0xb000, 2, 0xffff);
		(void)port_read(0xb008, 4);
		(void)port_read(0x1234, 4);
	}
}

static void string_code(void *port)
{
	void *to = (void *)(uintptr_t)PLAY;
	uint64_t count = 200000;

	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(port) : "memory");
}

static void string_out(void *from)
{
	uint64_t count = UINT64_MAX;

	__asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(0x1234) : "memory");
}

static void string_wild_in(void *to)
{
	uint64_t count = 4096;

	__asm__ volatile("rep insw" : "+D"(to), "+c"(count) : "d"(0x1234) : "memory");
}

/* Long ones, from and to where nothing is, over the end of what is mapped. */
static void string_io(void)
{
	claim(try_call(string_code, (void *)0x71) == TRAP_NONE, "a long INS ends");
	claim(try_call(string_out, (void *)(uintptr_t)UINT64_C(0x800000000000)) == VECTOR_GP, "OUTS, not canonical: #GP");
	*entry_of(PLAY + (2u << 20)) = 0;
	flush_tlb();
	claim(try_call(string_out, (void *)(uintptr_t)(PLAY + (2u << 20) - 4096)) == VECTOR_PF, "OUTS over the end: #PF");
	claim(trapped()->rsi == PLAY + (2u << 20), "OUTS stopped where it faulted");
	claim(try_call(string_wild_in, (void *)(uintptr_t)(PLAY + (2u << 20) - 6)) == VECTOR_PF, "INS over the end: #PF");
	claim(try_call(string_wild_in, (void *)HOLE) == TRAP_NONE, "INS to nowhere is dropped");
	claim(try_call(string_wild_in, (void *)(uintptr_t)0xfec00000) == TRAP_NONE, "INS to a device ends");
}

/* ---------------------------------------------------------------- MMIO */

static void touch(volatile uint8_t *at, bool write)
{
	static const uint64_t values[] = {0, UINT64_MAX};

	for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
		(void)at[0];
		(void)*(volatile uint16_t *)(volatile void *)at;
		(void)*(volatile uint32_t *)(volatile void *)at;
		(void)*(volatile uint64_t *)(volatile void *)at;
		if (write) {
			at[0] = (uint8_t)values[i];
			*(volatile uint16_t *)(volatile void *)at = (uint16_t)values[i];
			*(volatile uint32_t *)(volatile void *)at = (uint32_t)values[i];
			*(volatile uint64_t *)(volatile void *)at = values[i];
		}
	}
}

static void touch_at(void *at)
{
	touch((volatile uint8_t *)at, true);
}

static void mmio_all(void)
{
	static const uint64_t far[] = {
		UINT64_C(1) << 32, (UINT64_C(1) << 36) - PAGE, UINT64_C(1) << 36, (UINT64_C(1) << 39) - PAGE,
		(UINT64_C(1) << 40) - PAGE, UINT64_C(1) << 40, (UINT64_C(1) << 48) - PAGE, UINT64_C(1) << 48,
		(UINT64_C(1) << 52) - PAGE,
	};

	for (uint64_t at = ram_end(); at < UINT64_C(1) << 32; at += 2u << 20) {
		if (at >> 20 != 0xfee && at >> 20 != 0xfec) {
			touch((volatile uint8_t *)(uintptr_t)at, true);
		}
	}
	for (uint64_t at = 0xfec00000; at < 0xfef00000; at += PAGE) {
		touch((volatile uint8_t *)(uintptr_t)at, at >> 20 != 0xfee || apic_is_x2());
		touch((volatile uint8_t *)(uintptr_t)at + 0x10, at >> 20 != 0xfee || apic_is_x2());
	}
	for (uint32_t offset = 0; offset < PAGE; offset += 3) {
		touch((volatile uint8_t *)(uintptr_t)(0xfec00000 + (uint64_t)offset), true);
	}
	for (size_t i = 0; i < ARRAY_COUNT(far); i++) {
		int vector = try_call(touch_at, (void *)(uintptr_t)map_far(far[i]));

		claim(vector == TRAP_NONE || vector == VECTOR_PF, "far MMIO floats, or its address is reserved");
	}
	claim_number(*(volatile uint64_t *)(uintptr_t)HOLE, UINT64_MAX, "nothing there floats");
}

/* Registers of the IOAPIC that are there and that are not; every delivery mode and trigger to its pins. */
static void ioapic_wild(void)
{
	volatile uint32_t *select = (volatile uint32_t *)(uintptr_t)0xfec00000;
	volatile uint32_t *window = (volatile uint32_t *)(uintptr_t)0xfec00010;

	for (uint32_t round = 0; blowing(); round++) {
		*select = round & 0xff;
		(void)*window;
		if ((round & 0xff) >= 0x10) { /* masked: pins must not bring INIT or NMI to this program */
			*window = (round & 1) != 0 ? (uint32_t)random_number() : ((uint32_t)random_number() | 0x10000);
		} else {
			*window = (uint32_t)random_number();
		}
		*select = (uint32_t)random_number();
		*(volatile uint32_t *)(uintptr_t)0xfec00040 = round; /* EOI register, of some */
	}
}

static void mmio_storm(void)
{
	volatile uint32_t *hole = (volatile uint32_t *)(uintptr_t)HOLE;

	while (blowing()) {
		*hole = 1;
		(void)*hole;
		(void)*(volatile uint32_t *)(uintptr_t)0xfec00010;
	}
}

/* The local APIC by its page: every offset, every width; not ICR, DFR and EOI. */
static void xapic_page(void)
{
	volatile uint8_t *page = (volatile uint8_t *)(uintptr_t)0xfee00000;

	claim(!apic_is_x2(), "started with apic=xapic");
	for (uint32_t offset = 0; offset < PAGE; offset++) {
		uint32_t reg = offset & 0xff0;
		bool write = reg != 0x300 && reg != 0x310 && reg != 0xb0 && reg != 0xf0 && reg != 0x380 &&
		             (reg & 0xf80) != 0x300 && offset % 16 < 4;

		touch(page + offset, write && offset + 8 < PAGE && (offset & 0xf) == 0);
	}
	*(volatile uint32_t *)(volatile void *)(page + 0x80) = 0; /* TPR */
	claim((*(volatile uint32_t *)(volatile void *)(page + 0x30) & 0xff) >= 0x10, "the version reads");
}

struct bytes {
	const char *name;
	uint8_t count;
	uint8_t code[6];
};

/* Instructions of every shape with an operand in a device: [RDI] is nowhere or the IOAPIC, RSI is RAM. */
static void mmio_shapes(void)
{
	static const struct bytes list[] = {
		{"mov to", 2, {0x89, 0x07}}, {"mov from", 2, {0x8b, 0x07}}, {"mov8", 2, {0x88, 0x07}},
		{"mov imm", 6, {0xc7, 0x07, 1, 2, 3, 4}}, {"movzx", 3, {0x0f, 0xb6, 0x07}}, {"movsx", 3, {0x0f, 0xbf, 0x07}},
		{"xchg", 2, {0x87, 0x07}}, {"or", 2, {0x09, 0x07}}, {"and imm", 3, {0x83, 0x27, 1}},
		{"add from", 2, {0x03, 0x07}}, {"cmp", 2, {0x39, 0x07}}, {"test", 2, {0x85, 0x07}},
		{"movs", 1, {0xa5}}, {"stos", 1, {0xab}},
	};
	static const uint64_t places[] = {HOLE, HOLE + 1, HOLE + PAGE - 1, 0xfec00010, 0xfec00ffd};

	for (size_t i = 0; i < ARRAY_COUNT(list); i++) {
		for (size_t p = 0; p < ARRAY_COUNT(places); p++) {
			static uint8_t code[16];
			struct registers regs = {.rip = (uintptr_t)code, .rdi = places[p], .rsi = PLAY, .rcx = 3};
			int vector;

			memset(code, 0xcc, sizeof(code));
			memcpy(code, list[i].code, list[i].count);
			code[list[i].count] = 0x0f;
			code[list[i].count + 1] = 0x0b;
			report("doing=%s at %lx", list[i].name, (unsigned long)places[p]);
			vector = run_mode(RING0_64, &regs);
			claim(vector == VECTOR_UD && trapped()->rip == regs.rip + list[i].count, list[i].name);
		}
	}
}

static void mmio_rep(void *to)
{
	uint64_t count = 50000;

	__asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(0) : "memory");
}

/* 200 KiB of device memory in one instruction; the neighbour must not wait for it. */
static void mmio_rep_long(void)
{
	while (blowing()) {
		claim(try_call(mmio_rep, (void *)HOLE) == TRAP_NONE, "REP STOS to nowhere ends");
	}
}

static void sse_code(void *at)
{
	uint64_t cr4;

	__asm__ volatile("mov %%cr4, %0; or $0x600, %0; mov %0, %%cr4" : "=&r"(cr4));
	__asm__ volatile("movups (%0), %%xmm0; movups %%xmm0, (%0)" : : "r"(at) : "memory");
}

/* A width that no device register has: nothing in Janus decodes it. */
static void mmio_sse(void)
{
	report("doing=movups");
	(void)try_call(sse_code, (void *)HOLE);
	claim(false, "it went on");
}

/* Code where nothing is: the bus floats, there is no such instruction. */
static void exec_in_mmio(void)
{
	static const uint64_t places[] = {HOLE, 0xfee00000, 0xfec00000, 0xfffffff0};

	for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
		struct registers regs = {.rip = places[i]};
		int vector = run_mode(RING0_64, &regs);

		claim(vector == VECTOR_GP || vector == VECTOR_UD || vector == VECTOR_PF, "code from nowhere faults");
	}
}

/* ---------------------------------------------------------------- long instructions, moving ones */

/* @length bytes that read [RDI] behind prefixes, so that the last is before @end. */
static uint64_t put_long(uint64_t end, uint32_t length)
{
	uint8_t *at = (uint8_t *)(uintptr_t)(end - length);

	memset(at, 0x2e, length - 2); /* CS override: nothing in long mode */
	at[length - 2] = 0x8b;
	at[length - 1] = 0x07;
	return (uintptr_t)at;
}

static void long_instructions(void)
{
	uint64_t end = PLAY + (2u << 20);
	struct registers regs = {.rdi = HOLE};

	memset((void *)(uintptr_t)end, 0xcc, 64);
	*(uint8_t *)(uintptr_t)end = 0x0f;
	*(uint8_t *)(uintptr_t)(end + 1) = 0x0b;
	for (uint32_t length = 2; length <= 16; length++) {
		regs.rip = put_long(end, length);
		claim_number((uint32_t)run_mode(RING0_64, &regs), length <= 15 ? VECTOR_UD : VECTOR_GP, "up to the page's end");
	}
	for (uint32_t inside = 1; inside < 15; inside++) {
		regs.rip = put_long(end + inside, 15);
		*(uint8_t *)(uintptr_t)(end + inside) = 0x0f;
		*(uint8_t *)(uintptr_t)(end + inside + 1) = 0x0b;
		claim_number((uint32_t)run_mode(RING0_64, &regs), VECTOR_UD, "over the page's end");
	}
	*entry_of(end) = 0;
	flush_tlb();
	regs.rip = put_long(end, 15);
	claim_number((uint32_t)run_mode(RING0_64, &regs), VECTOR_PF, "the page behind it is not there");
	claim_number(trapped()->rip, end, "it went on to that page");
	/* And into a page that is mapped to nowhere. */
	*entry_of(end) = HOLE | 0x83;
	flush_tlb();
	regs.rip = put_long(end, 15);
	(void)run_mode(RING0_64, &regs);
}

static uint8_t moving[16];

static void ap_move(unsigned int cpu)
{
	static const uint8_t opcodes[] = {0x8b, 0x89, 0x8a, 0x88, 0x85, 0x87};

	(void)cpu;
	for (uint32_t i = 0; stop == 0; i++) {
		*(volatile uint8_t *)&moving[0] = opcodes[i % sizeof(opcodes)];
	}
}

/* Another CPU rewrites the instruction while it is emulated. */
static void moving_code(void)
{
	struct registers regs = {.rip = (uintptr_t)moving, .rdi = HOLE};

	moving[0] = 0x8b;
	moving[1] = 0x07;
	moving[2] = 0x0f;
	moving[3] = 0x0b;
	(void)cpus_start(ap_move);
	while (blowing()) {
		int vector = run_mode(RING0_64, &regs);

		claim(vector == VECTOR_UD && trapped()->rip == regs.rip + 2, "one instruction or the other");
	}
	stop = 1;
}

static void ap_remap(unsigned int cpu)
{
	uint64_t *entry = entry_of(PLAY);
	uint64_t old = *entry;

	(void)cpu;
	for (uint32_t i = 0; stop == 0; i++) {
		*(volatile uint64_t *)entry = (i & 1) != 0 ? old : 0;
	}
	*entry = old;
}

/* Another CPU takes the operand's page away while the instruction is emulated. */
static void moving_tables(void)
{
	uint64_t done = 0;

	(void)cpus_start(ap_remap);
	while (blowing()) {
		void *from = (void *)(uintptr_t)(PLAY + 64);
		int vector;

		flush_tlb();
		vector = try_call(string_wild_in, from);
		claim(vector == TRAP_NONE || vector == VECTOR_PF, "done or a page fault");
		done += vector == TRAP_NONE ? 1 : 0;
	}
	stop = 1;
	report("went=%lu", (unsigned long)done);
}

const struct hostile_case cases_device[] = {
	{"ports_all", ports_all}, {"port_storm", port_storm}, {"string_io", string_io}, {"mmio_all", mmio_all},
	{"ioapic_wild", ioapic_wild}, {"mmio_storm", mmio_storm}, {"xapic_page", xapic_page},
	{"mmio_shapes", mmio_shapes}, {"mmio_rep_long", mmio_rep_long}, {"mmio_sse", mmio_sse},
	{"exec_in_mmio", exec_in_mmio}, {"long_instructions", long_instructions}, {"moving_code", moving_code},
	{"moving_tables", moving_tables}, {NULL, NULL},
};

/*
 * host_panic.c - the end: of a panic, with all that helps to find its cause, or of a normal run.
 *
 * Takes no locks and trusts little: the first CPU here stops the others by NMI and prints alone; a
 * second fault while it prints ends the printing.
 */
#include "base/check.h"
#include "base/format.h"
#include "hypervisor/arch/x86/host_internal.h"
#include "hypervisor/drivers/uart.h"

#define BACKTRACE_MAX 32u
#define LINE_BYTES 256u

#define PORT_DEBUG_EXIT 0xf4u
#define PORT_BOCHS_EXIT 0x8900u

void (*host_panic_hook)(void);

/* 0: nobody; else the number plus one of the CPU that ends the machine. */
static uint32_t ender;

static const char *const exception_names[32] = {
        "#DE divide error",
        "#DB debug",
        "NMI",
        "#BP breakpoint",
        "#OF overflow",
        "#BR bound",
        "#UD invalid opcode",
        "#NM device not available",
        "#DF double fault",
        "9",
        "#TS invalid TSS",
        "#NP segment not present",
        "#SS stack",
        "#GP general protection",
        "#PF page fault",
        "15",
        "#MF x87",
        "#AC alignment check",
        "#MC machine check",
        "#XF SIMD",
        "#VE virtualization",
        "#CP control protection",
        "22",
        "23",
        "24",
        "25",
        "26",
        "27",
        "#HV",
        "#VC",
        "#SX",
        "31",
};

/* Where each of the others was when the NMI came; the frame is on a stack of its own that nobody uses any more. */
static const struct trap_frame *stopped[HOST_CPUS_MAX];

#define STOP_WAITS 1000000u

static void print(const char *format, ...) PRINTF_LIKE(1, 2);

static void print(const char *format, ...)
{
	char line[LINE_BYTES];
	size_t len;
	va_list args;

	va_start(args, format);
	len = format_text(line, sizeof(line), format, args);
	va_end(args);
	uart_write(line, len < sizeof(line) ? len : sizeof(line) - 1);
}

bool panic_by_other(void)
{
	uint32_t who = __atomic_load_n(&ender, __ATOMIC_ACQUIRE);

	return who != 0 && who != cpu_self() + 1;
}

/* True for the first CPU that comes, which has now stopped the others. */
static bool end_claim(void)
{
	uint32_t nobody = 0;

	interrupts_disable();
	if (!__atomic_compare_exchange_n(&ender, &nobody, cpu_self() + 1, false, __ATOMIC_ACQ_REL,
	                                 __ATOMIC_ACQUIRE)) {
		return false;
	}
	smp_stop_others();
	return true;
}

/* Neither port does anything on a machine that is not an emulator. */
NORETURN static void end_machine(unsigned int code)
{
	const char *word = "Shutdown";

	uart_drain();
	port_write8(PORT_DEBUG_EXIT, (uint8_t)code);
	while (*word != 0) {
		port_write8(PORT_BOCHS_EXIT, (uint8_t)*word++);
	}
	cpu_halt();
}

/* A later comer halts; one who panics while panicking says so and ends. */
static void panic_claim(void)
{
	static uint32_t depth;

	if (end_claim()) {
		depth = 1;
		return;
	}
	if (panic_by_other()) {
		cpu_halt();
	}
	if (depth++ < 2) {
		print("\nJanus: a second panic during the end\n");
	}
	if (depth > 2) {
		end_machine(HOST_EXIT_PANIC);
	}
}

/* Frame pointers: [rbp] is the caller's rbp, [rbp + 8] where it goes on. Either may be rubbish. */
static void print_backtrace(uint64_t rbp)
{
	print("backtrace:");
	for (unsigned int i = 0; i < BACKTRACE_MAX && rbp != 0; i++) {
		uint64_t next;
		uint64_t rip;

		if ((rbp & 7) != 0 || !memory_read_safe(rbp, &next) || !memory_read_safe(rbp + 8, &rip) ||
		    rip < (uint64_t)(uintptr_t)image_start || rip >= (uint64_t)(uintptr_t)image_text_end) {
			break;
		}
		print(" %016lx", rip);
		rbp = next;
	}
	print("\n");
}

NORETURN void panic_stop_here(const struct trap_frame *frame)
{
	__atomic_store_n(&stopped[cpu_self()], frame, __ATOMIC_RELEASE);
	cpu_halt();
}

static void print_general(const struct trap_frame *f)
{
	print("rip %016lx cs %04lx rflags %08lx rsp %016lx ss %04lx\n", f->rip, f->cs, f->rflags, f->rsp,
	      f->ss);
	print("rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
	print("rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n", f->rsi, f->rdi, f->rbp, f->r8);
	print("r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", f->r9, f->r10, f->r11, f->r12);
	print("r13 %016lx r14 %016lx r15 %016lx\n", f->r13, f->r14, f->r15);
}

/* One that has blocked NMIs never comes; the others need no time but an emulator's. */
static const struct trap_frame *wait_stopped(unsigned int cpu)
{
	const struct trap_frame *frame = NULL;

	for (unsigned int i = 0; i < STOP_WAITS && frame == NULL; i++) {
		frame = __atomic_load_n(&stopped[cpu], __ATOMIC_ACQUIRE);
		cpu_pause();
	}
	return frame;
}

static void print_others(void)
{
	for (unsigned int cpu = 0; cpu < HOST_CPUS_MAX; cpu++) {
		const struct trap_frame *frame;

		if (cpu == cpu_self() || !smp_is_ours(cpu)) {
			continue;
		}
		frame = wait_stopped(cpu);
		if (frame == NULL) {
			print("CPU %u does not answer the NMI\n", cpu);
			continue;
		}
		print("CPU %u was stopped at\n", cpu);
		print_general(frame);
		print_backtrace(frame->rbp);
	}
}

NORETURN static void panic_finish(void)
{
	print_others();
	if (host_panic_hook != NULL) {
		host_panic_hook();
	}
	print("Janus: halted\n");
	end_machine(HOST_EXIT_PANIC);
}

static void print_registers(const struct trap_frame *f)
{
	print_general(f);
	print("cr0 %016lx cr2 %016lx cr3 %016lx cr4 %016lx\n", cr0_read(), cr2_read(), cr3_read(),
	      cr4_read());
}

NORETURN void panic_exception(const struct trap_frame *frame)
{
	panic_claim();
	print("\nJanus: panic on CPU %u: %s, vector %lu, error code %lx\n", cpu_self(),
	      exception_names[frame->vector & 31], frame->vector, frame->error);
	print_registers(frame);
	if (paging_is_guard(cr2_read())) {
		print("cr2 lies just below a stack: that stack has overflowed\n");
	}
	print_backtrace(frame->rbp);
	panic_finish();
}

NORETURN void panic(const char *file, int line, const char *format, ...)
{
	char text[LINE_BYTES];
	va_list args;

	panic_claim();
	va_start(args, format);
	(void)format_text(text, sizeof(text), format, args);
	va_end(args);
	print("\nJanus: panic on CPU %u at %s:%d: %s\n", cpu_self(), file, line, text);
	print_backtrace((uint64_t)(uintptr_t)__builtin_frame_address(0));
	panic_finish();
}

NORETURN void host_exit(unsigned int code)
{
	if (!end_claim() && panic_by_other()) {
		cpu_halt();
	}
	end_machine(code);
}

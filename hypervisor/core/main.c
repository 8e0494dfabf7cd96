/*
 * main.c - from the host's bring-up to the first guest: checks the machine, reads the configuration, starts all.
 */
#include "base/format.h"
#include "hypervisor/core/frames.h"
#include "hypervisor/core/machine.h"
#include "hypervisor/drivers/uart.h"

NORETURN static void refuse(const char *why)
{
	log_line("cannot start: %s", why);
	log_flush_all();
	host_exit(HOST_EXIT_UNFIT);
}

static void choose_virtualization(void)
{
	static const struct hvm_ops *const vendors[] = {&svm_ops, &vmx_ops};

	for (size_t i = 0; i < ARRAY_COUNT(vendors); i++) {
		struct hvm_fitness fitness = vendors[i]->probe();

		if (fitness.is_there && fitness.missing != NULL) {
			refuse(fitness.missing);
		}
		if (fitness.is_there) {
			hvm = vendors[i];
			p2m_allow_huge(fitness.huge_pages);
			return;
		}
	}
	refuse("this CPU has neither SVM nor VMX");
}

/* Straight to the port: a CPU that was stopped may hold the log's lock. */
static void panic_say(const char *format, ...)
{
	char text[160];
	va_list args;
	size_t len;

	va_start(args, format);
	len = format_text(text, sizeof(text), format, args);
	va_end(args);
	uart_write("[janus] ", 8);
	uart_write(text, len < sizeof(text) ? len : sizeof(text) - 1);
	uart_write("\r\n", 2);
}

/* The last exits of every CPU, after a panic's registers and backtrace. */
static void panic_traces(void)
{
	log_flush_all();
	for (unsigned int i = 0; i < cpu_count(); i++) {
		stats_exits(i, panic_say);
	}
}

static void cpu_init(unsigned int index)
{
	struct cpu *cpu = &cpus[index];

	cpu->index = index;
	cpu->armed_tsc = UINT64_MAX;
	timer_cpu_init(cpu);
	hvm->cpu_enable();
	tlb_cpu_init(&cpu->tlb, hvm->asid_count());
	cpu_local_set(cpu);
}

NORETURN static void other_cpu(unsigned int index)
{
	cpu_init(index);
	sched_loop(index);
}

void janus_main(void)
{
	log_init();
	host_panic_hook = panic_traces;
	frames_init();
	log_line("Janus: %u CPUs, TSC %lu kHz, %lu MiB free", cpu_count(),
	         (unsigned long)(host_tsc_hz() / 1000), (unsigned long)(frames_free_count() >> 8));
	choose_virtualization();
	host_isolation_start();
	log_line("%s", host_isolation_text());
	exit_start();
	config_load();
	sched_init();
	cpu_init(0);
	host_cpus_start(other_cpu);
	log_line("%s on %u CPUs, %u address-space ids, TSC %s", hvm->name, cpu_count(), hvm->asid_count(),
	         host_tsc_stable() ? "stable and in step" : "not in step: page clocks are off");
	host_disks_init();
	control_init();
	sched_loop(0);
}

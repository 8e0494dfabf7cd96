/*
 * power.c - the ways out of a machine: ACPI 6.4, 16.1.7 (SLP_EN with the values of \_S5) and 4.3.4 (how ACPI is
 * switched on); Xen's sched.h (SCHEDOP_shutdown).
 */
#include "abi/xen.h"
#include "guest-drivers/metal/console.h"
#include "guest-drivers/metal/cpu.h"

#define SCI_ENABLED 1u
#define SLEEP_TYPE_SHIFT 10
#define SLEEP_TYPE_MASK (7u << SLEEP_TYPE_SHIFT)
#define SLEEP_ENABLE (1u << 13)
#define ENABLE_POLLS_MAX 100000u
#define OFF_WAIT_US 200000u /* a machine may take a moment to go */

static void acpi_switch_on(void)
{
	if (acpi.smi_command == 0 || acpi.enable_value == 0 ||
	    (port_read16(acpi.pm1a_control) & SCI_ENABLED) != 0) {
		return;
	}
	port_write8(acpi.smi_command, acpi.enable_value);
	for (uint32_t i = 0; i < ENABLE_POLLS_MAX && (port_read16(acpi.pm1a_control) & SCI_ENABLED) == 0;
	     i++) {
		cpu_pause();
	}
}

static void sleep_by(uint16_t port, uint8_t type)
{
	uint32_t value;

	if (port != 0) {
		value = port_read16(port) & ~(SLEEP_TYPE_MASK | SLEEP_ENABLE);
		port_write16(port, (uint16_t)(value | (uint32_t)type << SLEEP_TYPE_SHIFT | SLEEP_ENABLE));
	}
}

/* Without \_S5: 5 is Janus', 0 QEMU's, 7 what many boards have. */
static void power_off_acpi(void)
{
	static const uint8_t usual[] = {5, 0, 7};

	if (acpi.pm1a_control == 0) {
		return;
	}
	acpi_switch_on();
	for (unsigned int i = 0; i < (acpi.has_s5 ? 1 : ARRAY_COUNT(usual)); i++) {
		sleep_by(acpi.pm1a_control, acpi.has_s5 ? acpi.s5_a : usual[i]);
		sleep_by(acpi.pm1b_control, acpi.has_s5 ? acpi.s5_b : usual[i]);
		delay_us(OFF_WAIT_US);
	}
}

static void power_off_xen(void)
{
	uint64_t result = __HYPERVISOR_sched_op;
	uint64_t operation = SCHEDOP_shutdown;
	uint32_t reason = SHUTDOWN_poweroff;
	uint32_t *argument = &reason;

	if (xen_base() != 0) {
		__asm__ volatile(HYPERCALL_INSN : "+a"(result), "+D"(operation), "+S"(argument) : : "memory");
	}
}

void power_off(void)
{
	static const char last[] = "# this machine does not power off by itself: it is halted\n";

	power_off_acpi();
	power_off_xen();
	console_write(last, sizeof(last) - 1);
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}

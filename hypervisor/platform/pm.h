/*
 * pm.h - ACPI fixed hardware: PM1a event and control blocks, PM timer, GPE0 block (ACPI 5.0, 4.8).
 *
 * ACPI mode is always on (SCI_EN reads 1, the FADT has no SMI command). One sleep state: S5, as
 * SLP_TYP PM_S5_TYPE, which the DSDT's \_S5 repeats. No GPE is wired: the block is there because a
 * machine that is not hardware-reduced has one. TMR_STS is worked out when the guest touches a
 * register of this block, so a guest that enables its interrupt and then reads nothing for ten
 * minutes gets it late. State is guarded by the lock of the vioapic; any CPU may call, holding
 * nothing of the platform.
 */
#ifndef PLATFORM_PM_H
#define PLATFORM_PM_H

#include "base/compiler.h"
#include "hypervisor/platform/env.h"
#include "hypervisor/platform/vioapic.h"

#define PM_GPE0_PORT 0xAFE0u
#define PM_GPE0_BYTES 4u
#define PM_PORT 0xB000u
#define PM_EVENT_BYTES 4u
#define PM_CONTROL_OFFSET 4u
#define PM_CONTROL_BYTES 2u
#define PM_TIMER_OFFSET 8u
#define PM_TIMER_BYTES 4u
#define PM_BYTES 12u

#define PM_RESET_PORT 0xCF9u
#define PM_RESET_VALUE 6u /* FADT RESET_VALUE: bit 2 resets, bit 1 the whole system */
#define PM_KBC_PORT 0x64u
#define PM_KBC_RESET 0xFEu /* pulses the processor's reset line */

#define PM_SCI_GSI 9u
#define PM_S5_TYPE 5u
#define PM_TIMER_HZ 3579545u

struct pm {
	struct board_env env;
	struct vioapic *ioapic;
	uint16_t status;
	uint16_t enable;
	uint16_t control;
	uint16_t gpe0_enable;
	uint32_t timer_half; /* how often the timer's top bit had changed when last looked at */
	uint8_t reset_control;
};

void pm_init(struct pm *p, struct board_env env, struct vioapic *ioapic);
void pm_reset(struct pm *p);

/* The blocks at PM_PORT: @offset + @size is at most PM_BYTES, @size 1, 2 or 4. */
uint32_t pm_read(struct pm *p, unsigned int offset, unsigned int size);
void pm_write(struct pm *p, unsigned int offset, unsigned int size, uint32_t raw_value);

/* GPE0, byte by byte: @offset below PM_GPE0_BYTES. */
uint8_t pm_gpe0_read(struct pm *p, unsigned int offset);
void pm_gpe0_write(struct pm *p, unsigned int offset, uint8_t raw_value);

/* The reset register, and writes to the keyboard controller's command port. */
uint8_t pm_reset_read(struct pm *p);
void pm_reset_write(struct pm *p, uint8_t raw_value);
void pm_kbc_write(struct pm *p, uint8_t raw_value);

/* Someone outside presses the power button. Any CPU. */
void pm_press_power_button(struct pm *p);

#endif /* PLATFORM_PM_H */

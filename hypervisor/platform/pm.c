/*
 * pm.c - ACPI fixed hardware (ACPI 5.0, 4.8.3) and the two legacy ways to reset a PC.
 */
#include "base/mem.h"
#include "hypervisor/platform/pm.h"

#define TMR_STS (1u << 0)
#define PWRBTN_STS (1u << 8)
#define ENABLE_ALL 0x0721u

#define SCI_EN (1u << 0)
#define CONTROL_KEPT 0x1C02u /* SLP_TYP and BM_RLD; GBL_RLS and SLP_EN read 0 */
#define SLP_EN_HIGH (1u << 5) /* SLP_EN in the upper byte */
#define SLP_TYP_HIGH_SHIFT 2

#define RESET_CPU (1u << 2)
#define RESET_KEPT 0x0Au /* full reset, system reset */

#define NS_PER_S 1000000000ull

/* What happens after the lock is gone. */
struct pm_effect {
	bool wanted;
	enum board_power action;
};

/* Ticks since creation; whole seconds first, so that nothing overflows. */
static uint64_t timer_ticks(const struct pm *p)
{
	uint64_t now = p->env.ops->now_ns(p->env.ctx);

	return now / NS_PER_S * PM_TIMER_HZ + now % NS_PER_S * PM_TIMER_HZ / NS_PER_S;
}

static void update_sci(struct pm *p)
{
	vioapic_drive(p->ioapic, PM_SCI_GSI, (p->status & p->enable & ENABLE_ALL) != 0);
}

/* TMR_STS is set whenever bit 31 of the timer changes. */
static void note_timer(struct pm *p)
{
	uint32_t half = (uint32_t)(timer_ticks(p) >> 31);

	if (half != p->timer_half) {
		p->timer_half = half;
		p->status |= TMR_STS;
	}
}

void pm_reset(struct pm *p)
{
	vioapic_lock(p->ioapic);
	p->status = 0;
	p->enable = 0;
	p->control = SCI_EN;
	p->gpe0_enable = 0;
	p->reset_control = 0;
	p->timer_half = (uint32_t)(timer_ticks(p) >> 31);
	update_sci(p);
	vioapic_unlock(p->ioapic);
}

void pm_init(struct pm *p, struct board_env env, struct vioapic *ioapic)
{
	memset(p, 0, sizeof(*p));
	p->env = env;
	p->ioapic = ioapic;
	pm_reset(p);
}

uint32_t pm_read(struct pm *p, unsigned int offset, unsigned int size)
{
	uint64_t value;

	vioapic_lock(p->ioapic);
	note_timer(p);
	value = (uint64_t)p->status | (uint64_t)p->enable << 16 | (uint64_t)p->control << 32;
	update_sci(p);
	vioapic_unlock(p->ioapic);
	if (offset >= PM_TIMER_OFFSET) {
		value = (uint32_t)timer_ticks(p);
		offset -= PM_TIMER_OFFSET;
	}
	value >>= offset * 8;
	return (uint32_t)(size == 4 ? value : value & ((1u << (size * 8)) - 1));
}

/* The upper byte of the control register: sleep type and enable in one write or in two. */
static void write_control_high(struct pm *p, uint8_t value, struct pm_effect *effect)
{
	unsigned int type = (value >> SLP_TYP_HIGH_SHIFT) & 7u;

	p->control = (uint16_t)((p->control & 0xFFu) | ((unsigned int)value << 8 & CONTROL_KEPT));
	if ((value & SLP_EN_HIGH) != 0 && type == PM_S5_TYPE) {
		*effect = (struct pm_effect){true, BOARD_POWER_OFF};
	}
}

static void write_byte(struct pm *p, unsigned int offset, uint8_t value, struct pm_effect *effect)
{
	unsigned int shift = (offset & 1u) * 8;
	unsigned int wide = (unsigned int)value << shift;
	unsigned int keep = ~(0xFFu << shift);

	switch (offset) {
	case 0:
	case 1:
		p->status = (uint16_t)(p->status & ~wide);
		break;
	case 2:
	case 3:
		p->enable = (uint16_t)((p->enable & keep) | (wide & ENABLE_ALL));
		break;
	case 4:
		p->control = (uint16_t)((p->control & keep) | (wide & CONTROL_KEPT) | SCI_EN);
		break;
	case 5:
		write_control_high(p, value, effect);
		break;
	default: /* the timer is for reading */
		break;
	}
}

static void act(struct pm *p, const struct pm_effect *effect)
{
	if (effect->wanted) {
		p->env.ops->power(p->env.ctx, effect->action);
	}
}

void pm_write(struct pm *p, unsigned int offset, unsigned int size, uint32_t raw_value)
{
	struct pm_effect effect = {false, BOARD_POWER_OFF};

	vioapic_lock(p->ioapic);
	note_timer(p);
	for (unsigned int i = 0; i < size; i++) {
		write_byte(p, offset + i, (uint8_t)(raw_value >> (i * 8)), &effect);
	}
	update_sci(p);
	vioapic_unlock(p->ioapic);
	act(p, &effect);
}

uint8_t pm_gpe0_read(struct pm *p, unsigned int offset)
{
	uint32_t block;

	/* Two bytes of status, in which nothing is ever set, then two of enable bits. */
	vioapic_lock(p->ioapic);
	block = (uint32_t)p->gpe0_enable << 16;
	vioapic_unlock(p->ioapic);
	return (uint8_t)(block >> (offset * 8));
}

void pm_gpe0_write(struct pm *p, unsigned int offset, uint8_t raw_value)
{
	unsigned int shift = (offset & 1u) * 8;

	if (offset < 2) {
		return;
	}
	vioapic_lock(p->ioapic);
	p->gpe0_enable = (uint16_t)((p->gpe0_enable & ~(0xFFu << shift)) | (unsigned int)raw_value << shift);
	vioapic_unlock(p->ioapic);
}

uint8_t pm_reset_read(struct pm *p)
{
	return p->reset_control;
}

void pm_reset_write(struct pm *p, uint8_t raw_value)
{
	struct pm_effect effect = {(raw_value & RESET_CPU) != 0, BOARD_POWER_REBOOT};

	vioapic_lock(p->ioapic);
	p->reset_control = raw_value & RESET_KEPT;
	vioapic_unlock(p->ioapic);
	act(p, &effect);
}

void pm_kbc_write(struct pm *p, uint8_t raw_value)
{
	struct pm_effect effect = {raw_value == PM_KBC_RESET, BOARD_POWER_REBOOT};

	act(p, &effect);
}

void pm_press_power_button(struct pm *p)
{
	vioapic_lock(p->ioapic);
	p->status |= PWRBTN_STS;
	update_sci(p);
	vioapic_unlock(p->ioapic);
}

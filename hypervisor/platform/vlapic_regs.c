/*
 * vlapic_regs.c - the local APIC's registers as the guest reads and writes them: MMIO page and
 * MSRs.
 *
 * One table of rows for both: xAPIC offset = index << 4, x2APIC MSR = 0x800 + index. In xAPIC mode
 * bits that cannot be written are ignored, in x2APIC mode they fault (SDM volume 3, "x2APIC
 * Register Space").
 */
#include "hypervisor/platform/vlapic_regs.h"
#include "hypervisor/platform/vlapic_timer.h"

enum reg_index {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0A,
	REG_EOI = 0x0B,
	REG_LDR = 0x0D,
	REG_DFR = 0x0E,
	REG_SVR = 0x0F,
	REG_ISR = 0x10,
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR_LOW = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT = 0x32,
	REG_LVT_LAST = 0x37,
	REG_INITIAL_COUNT = 0x38,
	REG_CURRENT_COUNT = 0x39,
	REG_DIVIDE = 0x3E,
	REG_SELF_IPI = 0x3F,
};

/* How a register may be used: r and w in xAPIC mode, R and W in x2APIC mode. */
#define R_X (1u << 0)
#define W_X (1u << 1)
#define R_X2 (1u << 2)
#define W_X2 (1u << 3)
#define READ (R_X | R_X2)
#define BOTH (R_X | W_X | R_X2 | W_X2)

struct reg_row {
	uint8_t first;
	uint8_t last;
	uint8_t access;
	uint32_t writable; /* bits that a write may set */
};

/*
 * LVT bit 12 (delivery status) and 14 (remote IRR) are read-only: allowed in a write, dropped
 * after.
 */
#define LVT_STATUS_BITS (1u << 12 | 1u << 14)

static const struct reg_row reg_rows[] = {
        {REG_ID, REG_ID, READ, 0},
        {REG_VERSION, REG_VERSION, READ, 0},
        {REG_TPR, REG_TPR, BOTH, 0xFF},
        {REG_APR, REG_APR, R_X, 0},
        {REG_PPR, REG_PPR, READ, 0},
        {REG_EOI, REG_EOI, W_X | W_X2, 0},
        {REG_LDR, REG_LDR, R_X | W_X | R_X2, 0xFF000000},
        {REG_DFR, REG_DFR, R_X | W_X, 0xF0000000},
        {REG_SVR, REG_SVR, BOTH, 0x3FF},
        {REG_ISR, REG_ISR + 7, READ, 0},
        {REG_TMR, REG_TMR + 7, READ, 0},
        {REG_IRR, REG_IRR + 7, READ, 0},
        {REG_ESR, REG_ESR, BOTH, 0},
        {REG_ICR_LOW, REG_ICR_LOW, BOTH, 0x000CDFFF},
        {REG_ICR_HIGH, REG_ICR_HIGH, R_X | W_X, 0xFF000000},
        {REG_LVT, REG_LVT, BOTH, 0x000310FF},
        {REG_LVT + 1, REG_LVT + 2, BOTH, 0x000117FF},
        {REG_LVT + 3, REG_LVT + 4, BOTH, 0x0001F7FF},
        {REG_LVT_LAST, REG_LVT_LAST, BOTH, 0x000110FF},
        {REG_INITIAL_COUNT, REG_INITIAL_COUNT, BOTH, 0xFFFFFFFF},
        {REG_CURRENT_COUNT, REG_CURRENT_COUNT, READ, 0},
        {REG_DIVIDE, REG_DIVIDE, BOTH, 0xB},
        {REG_SELF_IPI, REG_SELF_IPI, W_X2, 0xFF},
};

/* The row of @index, or NULL if there is none that allows one of @access. */
static const struct reg_row *find_row(uint32_t index, unsigned int access)
{
	for (unsigned int i = 0; i < ARRAY_COUNT(reg_rows); i++) {
		const struct reg_row *row = &reg_rows[i];

		if (index >= row->first && index <= row->last) {
			return (row->access & access) != 0 ? row : NULL;
		}
	}
	return NULL;
}

static uint32_t load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void store(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/*
 * The single registers; the arrays of eight are in read_reg(). Only indexes of the table come here.
 */
static uint32_t read_single(struct vlapic *l, uint32_t index)
{
	switch (index) {
	case REG_ID:
		return vlapic_is_x2apic(l) ? l->vcpu : l->vcpu << 24;
	case REG_VERSION:
		return VLAPIC_VERSION;
	case REG_TPR:
		return l->tpr;
	case REG_PPR:
		return vlapic_ppr(l);
	case REG_LDR:
		return vlapic_ldr(l);
	case REG_DFR:
		return load(&l->shared.dfr);
	case REG_SVR:
		return load(&l->shared.svr);
	case REG_ESR:
		return l->esr;
	case REG_ICR_LOW:
		return l->icr_low;
	case REG_ICR_HIGH:
		return l->icr_high;
	case REG_INITIAL_COUNT:
		return l->timer.initial_count;
	case REG_CURRENT_COUNT:
		return vlapic_timer_count(l);
	case REG_DIVIDE:
		return l->timer.divide_config;
	default: /* arbitration priority */
		return 0;
	}
}

static uint32_t read_reg(struct vlapic *l, uint32_t index)
{
	if (index >= REG_ISR && index < REG_ISR + 8) {
		return l->isr[index - REG_ISR];
	}
	if (index >= REG_TMR && index < REG_TMR + 8) {
		return load(&l->shared.tmr[index - REG_TMR]);
	}
	if (index >= REG_IRR && index < REG_IRR + 8) {
		return load(&l->shared.irr[index - REG_IRR]);
	}
	if (index >= REG_LVT && index <= REG_LVT_LAST) {
		return l->lvt[index - REG_LVT];
	}
	return read_single(l, index);
}

static void write_lvt(struct vlapic *l, uint32_t index, uint32_t value)
{
	uint32_t lvt = value & ~LVT_STATUS_BITS;

	if ((load(&l->shared.svr) & SVR_ENABLED) == 0) {
		lvt |= LVT_MASKED;
	}
	if (index == REG_LVT) {
		vlapic_timer_set_lvt(l, lvt);
	} else {
		l->lvt[index - REG_LVT] = lvt;
	}
}

static void write_self_ipi(struct vlapic *l, uint32_t vector)
{
	if (vector < 16) {
		vlapic_raise_error(l, ESR_SENT_ILLEGAL);
		return;
	}
	(void)vlapic_post(l, (uint8_t)vector, false);
}

/* @value has only writable bits, and the mode allows the write. */
static void write_reg(struct vlapic *l, uint32_t index, uint32_t value)
{
	switch (index) {
	case REG_TPR:
		l->tpr = value;
		break;
	case REG_EOI:
		vlapic_eoi(l);
		break;
	case REG_LDR:
		store(&l->shared.ldr, value);
		break;
	case REG_DFR:
		store(&l->shared.dfr, value | 0x0FFFFFFFu);
		break;
	case REG_SVR:
		vlapic_set_svr(l, value);
		break;
	case REG_ESR:
		l->esr = __atomic_exchange_n(&l->shared.esr_pending, 0, __ATOMIC_SEQ_CST);
		break;
	case REG_ICR_LOW:
		vlapic_write_icr(l, value, l->icr_high);
		break;
	case REG_ICR_HIGH:
		l->icr_high = value;
		break;
	case REG_INITIAL_COUNT:
		vlapic_timer_start(l, value);
		break;
	case REG_DIVIDE:
		vlapic_timer_set_divide(l, value);
		break;
	case REG_SELF_IPI:
		write_self_ipi(l, value);
		break;
	default: /* the table lets nothing else be written */
		write_lvt(l, index, value);
		break;
	}
}

void vlapic_write_icr(struct vlapic *l, uint32_t raw_low, uint32_t raw_high)
{
	l->icr_low = raw_low & 0x000CDFFFu & ~ICR_BUSY;
	l->icr_high = vlapic_is_x2apic(l) ? raw_high : raw_high & 0xFF000000u;
	vlapic_send_icr(l);
}

uint64_t vlapic_read_icr(const struct vlapic *l)
{
	return (uint64_t)l->icr_high << 32 | l->icr_low;
}

/* ---- MMIO ---- */

/* The page answers only in xAPIC mode; in any other it is as if nothing were there. */
static bool page_is_mapped(const struct vlapic *l)
{
	return (load(&l->shared.apic_base) & (APIC_BASE_EN | APIC_BASE_EXTD)) == APIC_BASE_EN;
}

/* Below 32 bits a read gets its part of the register; what lies between registers reads 0. */
uint64_t vlapic_mmio_read(struct vlapic *l, uint32_t offset, unsigned int size)
{
	uint32_t shift = (offset & 3u) * 8;
	uint32_t value;

	if (!page_is_mapped(l)) {
		return size >= 8 ? UINT64_MAX : (1ull << (size * 8)) - 1;
	}
	if ((offset & 0xFu) + size > 4) {
		return 0;
	}
	if (find_row(offset >> 4, R_X | W_X) == NULL) {
		vlapic_raise_error(l, ESR_ILLEGAL_REGISTER);
		return 0;
	}
	value = read_reg(l, offset >> 4) >> shift;
	return size == 4 ? value : value & ((1u << (size * 8)) - 1);
}

void vlapic_mmio_write(struct vlapic *l, uint32_t offset, unsigned int size, uint64_t raw_value)
{
	const struct reg_row *row;

	if (!page_is_mapped(l) || (offset & 0xFu) != 0 || size != 4) {
		return;
	}
	row = find_row(offset >> 4, W_X);
	if (row == NULL) {
		/* Writing a read-only register is no error, writing one that is not there is. */
		if (find_row(offset >> 4, R_X) == NULL) {
			vlapic_raise_error(l, ESR_ILLEGAL_REGISTER);
		}
		return;
	}
	write_reg(l, offset >> 4, (uint32_t)raw_value & row->writable);
}

/* ---- MSRs ---- */

bool vlapic_msr_read(struct vlapic *l, uint32_t msr, uint64_t *value)
{
	uint32_t index = msr - MSR_X2APIC_FIRST;

	if (msr == MSR_APIC_BASE) {
		*value = load(&l->shared.apic_base);
		return true;
	}
	if (!vlapic_is_x2apic(l) || find_row(index, R_X2) == NULL) {
		return false;
	}
	*value = index == REG_ICR_LOW ? vlapic_read_icr(l) : read_reg(l, index);
	return true;
}

bool vlapic_msr_write(struct vlapic *l, uint32_t msr, uint64_t raw_value)
{
	uint32_t index = msr - MSR_X2APIC_FIRST;
	uint32_t raw_low = (uint32_t)raw_value;
	const struct reg_row *row;

	if (msr == MSR_APIC_BASE) {
		return vlapic_set_apic_base(l, raw_value);
	}
	row = find_row(index, W_X2);
	if (!vlapic_is_x2apic(l) || row == NULL || (raw_low & ~row->writable) != 0) {
		return false;
	}
	if (index == REG_ICR_LOW) {
		vlapic_write_icr(l, raw_low, (uint32_t)(raw_value >> 32));
		return true;
	}
	if (raw_value >> 32 != 0) {
		return false;
	}
	write_reg(l, index, raw_low);
	return true;
}

/*
 * vlapic.c - local APIC: state, priorities, and who takes a message (SDM volume 3, chapter 11).
 *
 * The registers as the guest sees them are in vlapic_regs.c, the timer is in vlapic_timer.c.
 */
#include "base/mem.h"
#include "hypervisor/platform/vioapic.h"
#include "hypervisor/platform/vlapic_regs.h"
#include "hypervisor/platform/vlapic_timer.h"

#define SVR_RESET 0xFFu
#define DFR_FLAT 0xFFFFFFFFu
#define BROADCAST_NARROW 0xFFu
#define BROADCAST_WIDE 0xFFFFFFFFu
#define VECTOR_FIRST 16u

static uint32_t shared_load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void shared_store(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/* Both return whether the bit was set before. */
static bool shared_set_bit(uint32_t *words, unsigned int bit)
{
	uint32_t mask = 1u << (bit % 32);

	return (__atomic_fetch_or(&words[bit / 32], mask, __ATOMIC_SEQ_CST) & mask) != 0;
}

static bool shared_clear_bit(uint32_t *words, unsigned int bit)
{
	uint32_t mask = 1u << (bit % 32);

	return (__atomic_fetch_and(&words[bit / 32], ~mask, __ATOMIC_SEQ_CST) & mask) != 0;
}

/* The same for words that only the owner touches. */
static void own_set_bit(uint32_t *words, unsigned int bit)
{
	words[bit / 32] |= 1u << (bit % 32);
}

static void own_clear_bit(uint32_t *words, unsigned int bit)
{
	words[bit / 32] &= ~(1u << (bit % 32));
}

static bool bit_is_set(const uint32_t *words, unsigned int bit)
{
	return ((shared_load(&words[bit / 32]) >> (bit % 32)) & 1u) != 0;
}

/* The highest of 256 bits, or -1. */
static int highest_bit(const uint32_t *words)
{
	for (int i = 7; i >= 0; i--) {
		uint32_t word = shared_load(&words[i]);

		if (word != 0) {
			return i * 32 + 31 - __builtin_clz(word);
		}
	}
	return -1;
}

bool vlapic_is_enabled(const struct vlapic *l)
{
	return (shared_load(&l->shared.apic_base) & APIC_BASE_EN) != 0 &&
	       (shared_load(&l->shared.svr) & SVR_ENABLED) != 0;
}

bool vlapic_is_x2apic(const struct vlapic *l)
{
	return (shared_load(&l->shared.apic_base) & APIC_BASE_EXTD) != 0;
}

bool vlapic_accepts_interrupts(const struct vlapic *l)
{
	return vlapic_is_enabled(l);
}

/* ---- reset ---- */

static void reset_registers(struct vlapic *l)
{
	vlapic_timer_reset(l);
	for (unsigned int i = 0; i < 8; i++) {
		shared_store(&l->shared.irr[i], 0);
		shared_store(&l->shared.tmr[i], 0);
		l->isr[i] = 0;
		l->auto_eoi[i] = 0;
	}
	for (unsigned int i = 0; i < VLAPIC_LVT_COUNT; i++) {
		l->lvt[i] = LVT_MASKED;
	}
	shared_store(&l->shared.esr_pending, 0);
	shared_store(&l->shared.svr, SVR_RESET);
	shared_store(&l->shared.ldr, 0);
	shared_store(&l->shared.dfr, DFR_FLAT);
	l->tpr = 0;
	l->esr = 0;
	l->icr_low = 0;
	l->icr_high = 0;
}

void vlapic_reset(struct vlapic *l)
{
	uint32_t bsp = l->vcpu == 0 ? APIC_BASE_BSP : 0;

	reset_registers(l);
	shared_store(&l->shared.apic_base, VLAPIC_BASE | APIC_BASE_EN | bsp);
}

void vlapic_init_signal(struct vlapic *l)
{
	reset_registers(l);
}

void vlapic_init(struct vlapic *l, struct vlapic_bus *bus, unsigned int vcpu)
{
	memset(l, 0, sizeof(*l));
	l->bus = bus;
	l->vcpu = vcpu;
	vlapic_reset(l);
}

/*
 * Modes change only disabled -> xAPIC -> x2APIC -> disabled, or xAPIC -> disabled (SDM, "x2APIC
 * State Transitions"). Who the boot processor is and where the page lies do not change.
 */
bool vlapic_set_apic_base(struct vlapic *l, uint64_t raw_value)
{
	uint32_t old = shared_load(&l->shared.apic_base);
	uint32_t old_mode = old & (APIC_BASE_EN | APIC_BASE_EXTD);
	uint32_t mode = (uint32_t)raw_value & (APIC_BASE_EN | APIC_BASE_EXTD);

	if ((raw_value & ~(uint64_t)(APIC_BASE_BSP | APIC_BASE_EN | APIC_BASE_EXTD)) != VLAPIC_BASE) {
		return false;
	}
	if (mode == APIC_BASE_EXTD || (mode == APIC_BASE_EN && old_mode > APIC_BASE_EN) ||
	    (mode > APIC_BASE_EN && old_mode == 0)) {
		return false;
	}
	if (mode == 0 && old_mode != 0) {
		reset_registers(l);
	}
	if (mode > APIC_BASE_EN && old_mode == APIC_BASE_EN) {
		l->icr_high = 0;
	}
	shared_store(&l->shared.apic_base, VLAPIC_BASE | (old & APIC_BASE_BSP) | mode);
	return true;
}

void vlapic_set_svr(struct vlapic *l, uint32_t svr)
{
	const struct board_env *env = &l->bus->env;
	uint32_t old = shared_load(&l->shared.svr);

	shared_store(&l->shared.svr, svr);
	if ((svr & SVR_ENABLED) == 0) {
		for (unsigned int i = 0; i < VLAPIC_LVT_COUNT; i++) {
			l->lvt[i] |= LVT_MASKED;
		}
	}
	vlapic_timer_rearm(l);
	if ((svr & SVR_ENABLED) != 0 && (old & SVR_ENABLED) == 0) {
		env->ops->lapic_enabled(env->ctx, l->vcpu);
	}
}

/* ---- interrupts ---- */

bool vlapic_post(struct vlapic *l, uint8_t vector, bool level)
{
	const struct board_env *env = &l->bus->env;

	if (!vlapic_is_enabled(l)) {
		return false;
	}
	if (vector < VECTOR_FIRST) {
		__atomic_fetch_or(&l->shared.esr_pending, ESR_RECEIVED_ILLEGAL, __ATOMIC_SEQ_CST);
		return false;
	}
	/* TMR first: whoever sees the request must also see of which kind it is. */
	if (level) {
		(void)shared_set_bit(l->shared.tmr, vector);
	} else {
		(void)shared_clear_bit(l->shared.tmr, vector);
	}
	if (!shared_set_bit(l->shared.irr, vector)) {
		env->ops->kick(env->ctx, l->vcpu);
	}
	return true;
}

uint8_t vlapic_ppr(const struct vlapic *l)
{
	int in_service = highest_bit(l->isr);
	uint8_t class = in_service < 0 ? 0 : (uint8_t)(in_service & 0xF0);

	return (l->tpr & 0xF0u) >= class ? (uint8_t)l->tpr : class;
}

int vlapic_pending(const struct vlapic *l)
{
	int vector = highest_bit(l->shared.irr);

	if (vector < 0 || !vlapic_is_enabled(l) || (vector >> 4) <= (vlapic_ppr(l) >> 4)) {
		return -1;
	}
	return vector;
}

void vlapic_accept(struct vlapic *l, uint8_t vector)
{
	(void)shared_clear_bit(l->shared.irr, vector);
	if (!bit_is_set(l->auto_eoi, vector)) {
		own_set_bit(l->isr, vector);
	}
}

void vlapic_set_auto_eoi(struct vlapic *l, uint8_t vector, bool on)
{
	if (on) {
		own_set_bit(l->auto_eoi, vector);
	} else {
		own_clear_bit(l->auto_eoi, vector);
	}
}

void vlapic_eoi(struct vlapic *l)
{
	const struct board_env *env = &l->bus->env;
	int vector = highest_bit(l->isr);

	if (vector < 0) {
		return;
	}
	own_clear_bit(l->isr, (unsigned int)vector);
	if (bit_is_set(l->shared.tmr, (unsigned int)vector) && l->bus->ioapic != NULL) {
		vioapic_eoi(l->bus->ioapic, (uint8_t)vector);
	}
	env->ops->eoi(env->ctx, l->vcpu, (uint8_t)vector);
}

uint8_t vlapic_tpr(const struct vlapic *l)
{
	return (uint8_t)l->tpr;
}

void vlapic_set_tpr(struct vlapic *l, uint8_t tpr)
{
	l->tpr = tpr;
}

uint8_t vlapic_cr8(const struct vlapic *l)
{
	return (uint8_t)(l->tpr >> 4);
}

void vlapic_set_cr8(struct vlapic *l, uint8_t cr8)
{
	l->tpr = (uint32_t)(cr8 & 0xFu) << 4;
}

uint32_t vlapic_ldr(const struct vlapic *l)
{
	if (vlapic_is_x2apic(l)) {
		return (l->vcpu >> 4) << 16 | 1u << (l->vcpu & 0xFu);
	}
	return shared_load(&l->shared.ldr);
}

/* An error that the guest made here: into the next ESR, and by the LVT if it asks for that. */
void vlapic_raise_error(struct vlapic *l, uint32_t esr_bit)
{
	__atomic_fetch_or(&l->shared.esr_pending, esr_bit, __ATOMIC_SEQ_CST);
	if ((l->lvt[VLAPIC_LVT_ERROR] & LVT_MASKED) == 0) {
		(void)vlapic_post(l, (uint8_t)l->lvt[VLAPIC_LVT_ERROR], false);
	}
}

/* ---- messages ---- */

static bool is_broadcast(const struct apic_message *m)
{
	return m->dest == (m->wide ? BROADCAST_WIDE : BROADCAST_NARROW);
}

/* Flat and cluster model of xAPIC mode. */
static bool matches_logical_narrow(const struct vlapic *l, uint32_t dest)
{
	uint32_t id = shared_load(&l->shared.ldr) >> 24;

	if (dest > 0xFF) {
		return false;
	}
	if (shared_load(&l->shared.dfr) >> 28 == 0xF) {
		return (id & dest) != 0;
	}
	return id >> 4 == dest >> 4 && (id & dest & 0xF) != 0;
}

static bool matches(const struct vlapic *l, const struct apic_message *m)
{
	uint32_t id;

	if ((shared_load(&l->shared.apic_base) & APIC_BASE_EN) == 0) {
		return false;
	}
	if (is_broadcast(m)) {
		return true;
	}
	if (!m->logical) {
		return m->dest == l->vcpu;
	}
	if (!vlapic_is_x2apic(l)) {
		return matches_logical_narrow(l, m->dest);
	}
	id = vlapic_ldr(l);
	return id >> 16 == m->dest >> 16 && (id & m->dest & 0xFFFF) != 0;
}

/*
 * One APIC takes @m, or cannot. Modes that no one here takes (SMI, ExtINT, reserved) are dropped.
 */
static bool deliver(struct vlapic *l, const struct apic_message *m)
{
	const struct board_env *env = &l->bus->env;

	switch (m->mode) {
	case APIC_MODE_FIXED:
	case APIC_MODE_LOWEST:
		return vlapic_post(l, m->vector, m->level);
	case APIC_MODE_NMI:
		env->ops->nmi(env->ctx, l->vcpu);
		return true;
	case APIC_MODE_INIT:
		env->ops->init_vcpu(env->ctx, l->vcpu);
		return true;
	case APIC_MODE_SIPI:
		env->ops->start_vcpu(env->ctx, l->vcpu, m->vector);
		return true;
	default:
		return false;
	}
}

/*
 * Lowest priority: one of those addressed, in turn. The real arbitration compares processor
 * priorities, which belong to other CPUs here; the SDM lets the choice depend on the model.
 */
static bool send_lowest(struct vlapic_bus *bus, const struct apic_message *m)
{
	uint32_t start = __atomic_fetch_add(&bus->arbiter, 1, __ATOMIC_RELAXED);

	for (unsigned int i = 0; i < bus->vcpu_count; i++) {
		struct vlapic *l = &bus->lapics[(start + i) % bus->vcpu_count];

		if (matches(l, m) && vlapic_is_enabled(l)) {
			return deliver(l, m);
		}
	}
	return false;
}

bool vlapic_bus_send(struct vlapic_bus *bus, const struct apic_message *m)
{
	bool taken = false;

	if (m->mode == APIC_MODE_LOWEST) {
		return send_lowest(bus, m);
	}
	/* The common case, without looking at the others: ids are vCPU numbers. */
	if (!m->logical && !is_broadcast(m)) {
		return m->dest < bus->vcpu_count && matches(&bus->lapics[m->dest], m) &&
		       deliver(&bus->lapics[m->dest], m);
	}
	for (unsigned int i = 0; i < bus->vcpu_count; i++) {
		if (matches(&bus->lapics[i], m) && deliver(&bus->lapics[i], m)) {
			taken = true;
		}
	}
	return taken;
}

/* Every APIC but @l's: the shorthand "all excluding self". */
static void send_to_others(struct vlapic *l, const struct apic_message *m)
{
	struct apic_message one = *m;

	one.logical = false;
	one.wide = true;
	for (unsigned int i = 0; i < l->bus->vcpu_count; i++) {
		if (i != l->vcpu) {
			one.dest = i;
			(void)vlapic_bus_send(l->bus, &one);
		}
	}
}

static void send_shorthand(struct vlapic *l, struct apic_message *m, uint32_t shorthand)
{
	bool with_self = shorthand != ICR_TO_OTHERS;

	/* INIT and SIPI to oneself are invalid with a shorthand (SDM, "Valid Combinations"). */
	if (with_self && (m->mode == APIC_MODE_INIT || m->mode == APIC_MODE_SIPI)) {
		return;
	}
	if (with_self) {
		(void)deliver(l, m);
	}
	if (shorthand != ICR_TO_SELF) {
		send_to_others(l, m);
	}
}

/* INIT with level de-asserted only set arbitration ids, on hardware long gone. */
static bool is_deassert(const struct apic_message *m, uint32_t low)
{
	return m->mode == APIC_MODE_INIT && (low & ICR_ASSERT) == 0 && (low & ICR_LEVEL) != 0;
}

/*
 * Sends what the ICR holds. IPIs are always edge; the level bit of the ICR counts for INIT alone.
 */
void vlapic_send_icr(struct vlapic *l)
{
	bool wide = vlapic_is_x2apic(l);
	uint32_t low = l->icr_low;
	struct apic_message m = {
	        .dest = wide ? l->icr_high : l->icr_high >> 24,
	        .vector = (uint8_t)low,
	        .mode = (uint8_t)((low >> 8) & 7u),
	        .logical = (low & ICR_LOGICAL) != 0,
	        .wide = wide,
	};
	uint32_t shorthand = low & ICR_SHORTHAND_MASK;

	if ((m.mode == APIC_MODE_FIXED || m.mode == APIC_MODE_LOWEST) && m.vector < VECTOR_FIRST) {
		vlapic_raise_error(l, ESR_SENT_ILLEGAL);
		return;
	}
	if (is_deassert(&m, low)) {
		return;
	}
	if (shorthand != 0) {
		send_shorthand(l, &m, shorthand);
	} else {
		(void)vlapic_bus_send(l->bus, &m);
	}
}

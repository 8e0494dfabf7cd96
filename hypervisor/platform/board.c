/*
 * board.c - one guest's board put together: dispatch of ports and MMIO, and the few ports that need
 * no model.
 */
#include "base/check.h"
#include "base/mem.h"
#include "hypervisor/platform/board.h"

#define PORT61_KEPT 0x0Fu
#define PORT61_REFRESH 0x10u
#define PORT61_TIMER2_OUT 0x20u

static uint32_t all_ones(unsigned int size)
{
	return size >= 4 ? UINT32_MAX : (1u << (size * 8)) - 1;
}

/* ---- handlers: @offset is within the row, and so is @offset + @size ---- */

static uint32_t read_pit2(struct board *b, unsigned int offset, unsigned int size)
{
	(void)b;
	(void)offset;
	(void)size;
	return 0;
}

static void write_pit2(struct board *b, unsigned int offset, unsigned int size, uint32_t value)
{
	(void)b;
	(void)offset;
	(void)size;
	(void)value;
}

/* The refresh bit toggles for software that times by it; it needs no clock to be seen changing. */
static uint32_t read_port61(struct board *b, unsigned int offset, unsigned int size)
{
	uint8_t state = __atomic_fetch_xor(&b->port61, PORT61_REFRESH, __ATOMIC_RELAXED);

	(void)offset;
	(void)size;
	return state | PORT61_TIMER2_OUT;
}

static void write_port61(struct board *b, unsigned int offset, unsigned int size, uint32_t value)
{
	(void)offset;
	(void)size;
	__atomic_store_n(&b->port61, (uint8_t)(value & PORT61_KEPT), __ATOMIC_RELAXED);
}

static uint32_t read_kbc(struct board *b, unsigned int offset, unsigned int size)
{
	(void)b;
	(void)offset;
	return all_ones(size);
}

static void write_kbc(struct board *b, unsigned int offset, unsigned int size, uint32_t value)
{
	(void)offset;
	(void)size;
	pm_kbc_write(&b->pm, (uint8_t)value);
}

/* Devices with byte registers see a wider access as bytes, lowest address first. */
static uint32_t read_rtc(struct board *b, unsigned int offset, unsigned int size)
{
	uint32_t value = 0;

	for (unsigned int i = 0; i < size; i++) {
		value |= (uint32_t)rtc_read(&b->rtc, offset + i) << (i * 8);
	}
	return value;
}

static void write_rtc(struct board *b, unsigned int offset, unsigned int size, uint32_t value)
{
	for (unsigned int i = 0; i < size; i++) {
		rtc_write(&b->rtc, offset + i, (uint8_t)(value >> (i * 8)));
	}
}

static uint32_t read_debug(struct board *b, unsigned int offset, unsigned int size)
{
	(void)b;
	(void)offset;
	(void)size;
	return 0xE9;
}

static void write_debug(struct board *b, unsigned int offset, unsigned int size, uint32_t value)
{
	const struct board_env *env = &b->bus.env;

	(void)offset;
	(void)size;
	env->ops->console_put(env->ctx, (uint8_t)value);
}

static uint32_t read_uart(struct board *b, unsigned int offset, unsigned int size)
{
	uint32_t value = 0;

	for (unsigned int i = 0; i < size; i++) {
		value |= (uint32_t)vuart_read(&b->uart, offset + i) << (i * 8);
	}
	return value;
}

static void write_uart(struct board *b, unsigned int offset, unsigned int size, uint32_t value)
{
	for (unsigned int i = 0; i < size; i++) {
		vuart_write(&b->uart, offset + i, (uint8_t)(value >> (i * 8)));
	}
}

static uint32_t read_reset(struct board *b, unsigned int offset, unsigned int size)
{
	(void)offset;
	(void)size;
	return pm_reset_read(&b->pm);
}

static void write_reset(struct board *b, unsigned int offset, unsigned int size, uint32_t value)
{
	(void)offset;
	(void)size;
	pm_reset_write(&b->pm, (uint8_t)value);
}

static uint32_t read_gpe0(struct board *b, unsigned int offset, unsigned int size)
{
	uint32_t value = 0;

	for (unsigned int i = 0; i < size; i++) {
		value |= (uint32_t)pm_gpe0_read(&b->pm, offset + i) << (i * 8);
	}
	return value;
}

static void write_gpe0(struct board *b, unsigned int offset, unsigned int size, uint32_t value)
{
	for (unsigned int i = 0; i < size; i++) {
		pm_gpe0_write(&b->pm, offset + i, (uint8_t)(value >> (i * 8)));
	}
}

static uint32_t read_pm(struct board *b, unsigned int offset, unsigned int size)
{
	return pm_read(&b->pm, offset, size);
}

static void write_pm(struct board *b, unsigned int offset, unsigned int size, uint32_t value)
{
	pm_write(&b->pm, offset, size, value);
}

/* ---- ports ---- */

struct port_handler {
	uint32_t (*read)(struct board *b, unsigned int offset, unsigned int size);
	void (*write)(struct board *b, unsigned int offset, unsigned int size, uint32_t value);
};

static const struct board_port_row port_rows[BOARD_PORT_COUNT] = {
#define PORT(first, last, name, clause) {first, last, #name, clause},
#include "specs/ports.def"
#undef PORT
};

static const struct port_handler port_handlers[BOARD_PORT_COUNT] = {
#define PORT(first, last, name, clause) {read_##name, write_##name},
#include "specs/ports.def"
#undef PORT
};

const struct board_port_row *board_port_row(enum board_port row)
{
	return &port_rows[row];
}

/* Which row claims the access, counted; BOARD_PORT_COUNT if none does. */
static unsigned int claim_port(struct board *b, uint16_t port, unsigned int size)
{
	uint32_t last = port + size - 1u;

	for (unsigned int i = 0; i < BOARD_PORT_COUNT; i++) {
		if (port >= port_rows[i].first && last <= port_rows[i].last) {
			__atomic_fetch_add(&b->port_counts[i], 1, __ATOMIC_RELAXED);
			return i;
		}
	}
	__atomic_fetch_add(&b->unclaimed_port_count, 1, __ATOMIC_RELAXED);
	return BOARD_PORT_COUNT;
}

bool board_port_read(struct board *b, unsigned int vcpu, uint16_t port, unsigned int size, uint32_t *value)
{
	unsigned int row = claim_port(b, port, size);

	(void)vcpu;
	if (row == BOARD_PORT_COUNT) {
		*value = all_ones(size);
		return false;
	}
	*value = port_handlers[row].read(b, (unsigned int)port - port_rows[row].first, size);
	return true;
}

bool board_port_write(struct board *b, unsigned int vcpu, uint16_t port, unsigned int size,
                      uint32_t raw_value)
{
	unsigned int row = claim_port(b, port, size);

	(void)vcpu;
	if (row == BOARD_PORT_COUNT) {
		return false;
	}
	port_handlers[row].write(b, (unsigned int)port - port_rows[row].first, size, raw_value);
	return true;
}

/* ---- MMIO ---- */

static bool is_lapic(uint64_t gpa)
{
	return gpa - VLAPIC_BASE < VLAPIC_BYTES;
}

static bool is_ioapic(uint64_t gpa)
{
	return gpa - VIOAPIC_BASE < VIOAPIC_BYTES;
}

bool board_owns_mmio(uint64_t gpa)
{
	return is_lapic(gpa) || is_ioapic(gpa);
}

bool board_mmio_read(struct board *b, unsigned int vcpu, uint64_t gpa, unsigned int size, uint64_t *value)
{
	if (is_lapic(gpa)) {
		*value = vlapic_mmio_read(board_lapic(b, vcpu), (uint32_t)(gpa - VLAPIC_BASE), size);
		return true;
	}
	if (is_ioapic(gpa)) {
		*value = vioapic_mmio_read(&b->ioapic, (uint32_t)(gpa - VIOAPIC_BASE), size);
		return true;
	}
	return false;
}

bool board_mmio_write(struct board *b, unsigned int vcpu, uint64_t gpa, unsigned int size, uint64_t raw_value)
{
	if (is_lapic(gpa)) {
		vlapic_mmio_write(board_lapic(b, vcpu), (uint32_t)(gpa - VLAPIC_BASE), size, raw_value);
		return true;
	}
	if (is_ioapic(gpa)) {
		vioapic_mmio_write(&b->ioapic, (uint32_t)(gpa - VIOAPIC_BASE), size, raw_value);
		return true;
	}
	return false;
}

/* ---- life ---- */

bool board_init(struct board *b, struct board_env env, unsigned int vcpu_count)
{
	if (vcpu_count == 0 || vcpu_count > BOARD_VCPUS_MAX) {
		return false;
	}
	memset(b, 0, sizeof(*b));
	b->bus = (struct vlapic_bus){
	        .env = env,
	        .lapics = b->lapics,
	        .vcpu_count = vcpu_count,
	        .ioapic = &b->ioapic,
	};
	for (unsigned int i = 0; i < vcpu_count; i++) {
		vlapic_init(&b->lapics[i], &b->bus, i);
	}
	vioapic_init(&b->ioapic, &b->bus);
	vuart_init(&b->uart, env, &b->ioapic);
	rtc_init(&b->rtc, env);
	pm_init(&b->pm, env, &b->ioapic);
	return true;
}

void board_reset(struct board *b)
{
	for (unsigned int i = 0; i < b->bus.vcpu_count; i++) {
		vlapic_reset(&b->lapics[i]);
	}
	vioapic_reset(&b->ioapic);
	vuart_reset(&b->uart);
	rtc_reset(&b->rtc);
	pm_reset(&b->pm);
	b->port61 = 0;
}

struct vlapic *board_lapic(struct board *b, unsigned int vcpu)
{
	CHECK(vcpu < b->bus.vcpu_count);
	return &b->lapics[vcpu];
}

/*
 * vioapic.c - the IOAPIC: redirection entries, lines, and remote IRR (Intel 82093AA datasheet; EOI
 * register as in the version 0x20 parts).
 */
#include "hypervisor/platform/vioapic.h"

#define IOREGSEL 0x00u
#define IOWIN 0x10u
#define IOEOI 0x40u

#define IOAPICID 0x00u
#define IOAPICVER 0x01u
#define IOAPICARB 0x02u
#define IOREDTBL 0x10u

#define ENTRY_LOGICAL (1ull << 11)
#define ENTRY_REMOTE_IRR (1ull << 14)
#define ENTRY_LEVEL (1ull << 15)
#define ENTRY_MASKED (1ull << 16)
#define ENTRY_WRITABLE 0xFF0000000001AFFFull
#define ID_MASK 0x0F000000u

/* What one unlock sends. */
struct outbox {
	unsigned int count;
	uint8_t pins[VIOAPIC_PIN_COUNT];
	struct apic_message messages[VIOAPIC_PIN_COUNT];
};

static void reset_state(struct vioapic *io)
{
	for (unsigned int i = 0; i < VIOAPIC_PIN_COUNT; i++) {
		io->entries[i] = ENTRY_MASKED;
	}
	io->lines = 0;
	io->to_send = 0;
	io->id = 0;
	io->select = 0;
}

void vioapic_init(struct vioapic *io, struct vlapic_bus *bus)
{
	spin_init(&io->lock, RANK_PLATFORM);
	io->bus = bus;
	reset_state(io);
}

void vioapic_reset(struct vioapic *io)
{
	spin_lock(&io->lock);
	reset_state(io);
	spin_unlock(&io->lock);
}

static struct apic_message entry_message(uint64_t entry)
{
	return (struct apic_message){
	        .dest = (uint32_t)(entry >> 56),
	        .vector = (uint8_t)entry,
	        .mode = (uint8_t)((entry >> 8) & 7u),
	        .logical = (entry & ENTRY_LOGICAL) != 0,
	        .level = (entry & ENTRY_LEVEL) != 0,
	};
}

/*
 * A level pin that is asserted, unmasked and not in service sends, and is in service until the EOI.
 */
static void service_level(struct vioapic *io, unsigned int pin)
{
	uint64_t entry = io->entries[pin];

	if ((entry & (ENTRY_LEVEL | ENTRY_MASKED | ENTRY_REMOTE_IRR)) == ENTRY_LEVEL &&
	    (io->lines >> pin & 1u) != 0) {
		io->entries[pin] |= ENTRY_REMOTE_IRR;
		io->to_send |= 1u << pin;
	}
}

void vioapic_lock(struct vioapic *io)
{
	spin_lock(&io->lock);
}

static void take_outbox(struct vioapic *io, struct outbox *out)
{
	out->count = 0;
	while (io->to_send != 0) {
		unsigned int pin = (unsigned int)__builtin_ctz(io->to_send);

		io->to_send &= io->to_send - 1;
		out->pins[out->count] = (uint8_t)pin;
		out->messages[out->count] = entry_message(io->entries[pin]);
		out->count++;
	}
}

/*
 * No APIC took a level interrupt, so no EOI will come: the pin must not wait for one. It is tried
 * again when its line or its entry changes.
 */
static void forget_remote_irr(struct vioapic *io, unsigned int pin)
{
	spin_lock(&io->lock);
	io->entries[pin] &= ~ENTRY_REMOTE_IRR;
	spin_unlock(&io->lock);
}

void vioapic_unlock(struct vioapic *io)
{
	struct outbox out;

	take_outbox(io, &out);
	spin_unlock(&io->lock);
	for (unsigned int i = 0; i < out.count; i++) {
		if (!vlapic_bus_send(io->bus, &out.messages[i]) && out.messages[i].level) {
			forget_remote_irr(io, out.pins[i]);
		}
	}
}

void vioapic_drive(struct vioapic *io, unsigned int gsi, bool level)
{
	uint32_t bit;
	bool rises;

	if (gsi >= VIOAPIC_PIN_COUNT) {
		return;
	}
	bit = 1u << gsi;
	rises = level && (io->lines & bit) == 0;
	io->lines = level ? io->lines | bit : io->lines & ~bit;
	if ((io->entries[gsi] & ENTRY_LEVEL) != 0) {
		service_level(io, gsi);
	} else if (rises && (io->entries[gsi] & ENTRY_MASKED) == 0) {
		io->to_send |= bit;
	}
}

void vioapic_set_line(struct vioapic *io, unsigned int gsi, bool level)
{
	vioapic_lock(io);
	vioapic_drive(io, gsi, level);
	vioapic_unlock(io);
}

static void end_vector(struct vioapic *io, uint8_t vector)
{
	for (unsigned int pin = 0; pin < VIOAPIC_PIN_COUNT; pin++) {
		uint64_t entry = io->entries[pin];

		if ((uint8_t)entry == vector && (entry & ENTRY_LEVEL) != 0) {
			io->entries[pin] &= ~ENTRY_REMOTE_IRR;
			service_level(io, pin);
		}
	}
}

void vioapic_eoi(struct vioapic *io, uint8_t vector)
{
	vioapic_lock(io);
	end_vector(io, vector);
	vioapic_unlock(io);
}

/* ---- registers ---- */

static uint32_t read_register(const struct vioapic *io)
{
	unsigned int pin = (io->select - IOREDTBL) / 2;

	switch (io->select) {
	case IOAPICID:
	case IOAPICARB:
		return io->id;
	case IOAPICVER:
		return (VIOAPIC_PIN_COUNT - 1) << 16 | VIOAPIC_VERSION;
	default:
		break;
	}
	if (io->select < IOREDTBL || pin >= VIOAPIC_PIN_COUNT) {
		return 0;
	}
	return (uint32_t)(io->entries[pin] >> ((io->select & 1u) * 32));
}

/*
 * Half of an entry. Edge pins have no remote IRR, so turning one to edge and back ends what hangs.
 */
static void write_entry(struct vioapic *io, unsigned int pin, bool high, uint32_t raw_value)
{
	uint64_t old = io->entries[pin];
	uint64_t entry = high ? (uint64_t)raw_value << 32 | (uint32_t)old : (old >> 32 << 32) | raw_value;

	entry = (entry & ENTRY_WRITABLE) | (old & ENTRY_REMOTE_IRR);
	if ((entry & ENTRY_LEVEL) == 0) {
		entry &= ~ENTRY_REMOTE_IRR;
	}
	io->entries[pin] = entry;
	service_level(io, pin);
}

static void write_register(struct vioapic *io, uint32_t raw_value)
{
	unsigned int pin = (io->select - IOREDTBL) / 2;

	if (io->select == IOAPICID) {
		io->id = raw_value & ID_MASK;
	}
	if (io->select >= IOREDTBL && pin < VIOAPIC_PIN_COUNT) {
		write_entry(io, pin, (io->select & 1u) != 0, raw_value);
	}
}

uint64_t vioapic_mmio_read(struct vioapic *io, uint32_t offset, unsigned int size)
{
	uint32_t value = 0;

	if ((offset & 3u) + size > 4) {
		return 0;
	}
	vioapic_lock(io);
	if ((offset & ~3u) == IOREGSEL) {
		value = io->select;
	} else if ((offset & ~3u) == IOWIN) {
		value = read_register(io);
	}
	vioapic_unlock(io);
	value >>= (offset & 3u) * 8;
	return size == 4 ? value : value & ((1u << (size * 8)) - 1);
}

/*
 * The window and the EOI register take 32 bits only; the selector is one byte, however it is
 * written.
 */
void vioapic_mmio_write(struct vioapic *io, uint32_t offset, unsigned int size, uint64_t raw_value)
{
	vioapic_lock(io);
	if (offset == IOREGSEL) {
		io->select = (uint8_t)raw_value;
	} else if (offset == IOWIN && size == 4) {
		write_register(io, (uint32_t)raw_value);
	} else if (offset == IOEOI && size == 4) {
		end_vector(io, (uint8_t)raw_value);
	}
	vioapic_unlock(io);
}

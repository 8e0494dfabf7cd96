/*
 * uart.c - 16550A serial port (National PC16550D datasheet, register names as there).
 */
#include "base/mem.h"
#include "hypervisor/platform/uart.h"

enum uart_reg {
	RBR_THR,
	IER,
	IIR_FCR,
	LCR,
	MCR,
	LSR,
	MSR,
	SCR
};

#define IER_RDA 0x01u
#define IER_THRE 0x02u
#define IER_RLS 0x04u
#define IER_MSI 0x08u
#define IER_ALL 0x0Fu

#define IIR_NONE 0x01u
#define IIR_MSI 0x00u
#define IIR_THRE 0x02u
#define IIR_RDA 0x04u
#define IIR_RLS 0x06u
#define IIR_TIMEOUT 0x0Cu
#define IIR_FIFOS 0xC0u

#define FCR_ENABLE 0x01u
#define FCR_CLEAR_RX 0x02u

#define LCR_DLAB 0x80u

#define MCR_DTR 0x01u
#define MCR_RTS 0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define MCR_ALL 0x1Fu

#define LSR_DR 0x01u
#define LSR_OE 0x02u
#define LSR_THRE 0x20u
#define LSR_TEMT 0x40u

#define MSR_CTS 0x10u
#define MSR_DSR 0x20u
#define MSR_RI 0x40u
#define MSR_DCD 0x80u
#define MSR_TERI 0x04u
#define MSR_DELTA 0x0Fu

static unsigned int fifo_capacity(const struct vuart *u)
{
	return (u->fcr & FCR_ENABLE) != 0 ? VUART_FIFO_BYTES : 1;
}

/* Receive interrupt threshold: FCR 7:6. */
static unsigned int fifo_trigger(const struct vuart *u)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	return (u->fcr & FCR_ENABLE) != 0 ? levels[u->fcr >> 6] : 1;
}

/* From the host's queue into the FIFO. In loopback mode the receiver is cut off from outside. */
static void refill(struct vuart *u)
{
	while (u->queue_count != 0 && (u->mcr & MCR_LOOP) == 0 && u->fifo_count < fifo_capacity(u)) {
		u->fifo[u->fifo_count++] = u->queue[u->queue_head];
		u->queue_head = (uint16_t)((u->queue_head + 1u) % VUART_QUEUE_BYTES);
		u->queue_count--;
	}
}

/* The modem lines: the far end is always there; in loopback they are the outputs of MCR. */
static uint8_t modem_lines(const struct vuart *u)
{
	uint8_t lines = 0;

	if ((u->mcr & MCR_LOOP) == 0) {
		return MSR_CTS | MSR_DSR | MSR_DCD;
	}
	lines |= (u->mcr & MCR_RTS) != 0 ? MSR_CTS : 0;
	lines |= (u->mcr & MCR_DTR) != 0 ? MSR_DSR : 0;
	lines |= (u->mcr & MCR_OUT1) != 0 ? MSR_RI : 0;
	lines |= (u->mcr & MCR_OUT2) != 0 ? MSR_DCD : 0;
	return lines;
}

/* The highest enabled source, as in bits 3:0 of IIR. Data below the threshold times out at once. */
static uint8_t interrupt_source(const struct vuart *u)
{
	if ((u->ier & IER_RLS) != 0 && u->overrun) {
		return IIR_RLS;
	}
	if ((u->ier & IER_RDA) != 0 && u->fifo_count != 0) {
		return u->fifo_count >= fifo_trigger(u) ? IIR_RDA : IIR_TIMEOUT;
	}
	if ((u->ier & IER_THRE) != 0 && u->thre_pending) {
		return IIR_THRE;
	}
	if ((u->ier & IER_MSI) != 0 && u->msr_delta != 0) {
		return IIR_MSI;
	}
	return IIR_NONE;
}

/*
 * A PC's board lets OUT2 gate the interrupt; drivers set OUT2 for that, so nothing is lost without
 * the gate.
 */
static void update_line(struct vuart *u)
{
	vioapic_drive(u->ioapic, VUART_GSI, interrupt_source(u) != IIR_NONE);
}

void vuart_reset(struct vuart *u)
{
	vioapic_lock(u->ioapic);
	u->fifo_count = 0;
	u->ier = 0;
	u->fcr = 0;
	u->lcr = 0;
	u->mcr = 0;
	u->scratch = 0;
	u->divisor[0] = 12; /* 9600 */
	u->divisor[1] = 0;
	u->msr_delta = 0;
	u->overrun = false;
	u->thre_pending = false;
	refill(u);
	update_line(u);
	vioapic_unlock(u->ioapic);
}

void vuart_init(struct vuart *u, struct board_env env, struct vioapic *ioapic)
{
	memset(u, 0, sizeof(*u));
	u->env = env;
	u->ioapic = ioapic;
	vuart_reset(u);
}

/* ---- reading ---- */

static uint8_t take_byte(struct vuart *u)
{
	uint8_t byte = u->fifo[0];

	if (u->fifo_count == 0) {
		return 0;
	}
	u->fifo_count--;
	memmove(&u->fifo[0], &u->fifo[1], u->fifo_count);
	refill(u);
	return byte;
}

static uint8_t read_iir(struct vuart *u)
{
	uint8_t source = interrupt_source(u);

	/* Reading IIR while it names the transmitter is what acknowledges the transmitter. */
	if (source == IIR_THRE) {
		u->thre_pending = false;
	}
	return source | ((u->fcr & FCR_ENABLE) != 0 ? IIR_FIFOS : 0);
}

static uint8_t read_lsr(struct vuart *u)
{
	uint8_t lsr = LSR_THRE | LSR_TEMT;

	lsr |= u->fifo_count != 0 ? LSR_DR : 0;
	lsr |= u->overrun ? LSR_OE : 0;
	u->overrun = false;
	return lsr;
}

static uint8_t read_msr(struct vuart *u)
{
	uint8_t msr = modem_lines(u) | u->msr_delta;

	u->msr_delta = 0;
	return msr;
}

static uint8_t read_locked(struct vuart *u, unsigned int reg)
{
	bool divisor = (u->lcr & LCR_DLAB) != 0;

	switch (reg) {
	case RBR_THR:
		return divisor ? u->divisor[0] : take_byte(u);
	case IER:
		return divisor ? u->divisor[1] : u->ier;
	case IIR_FCR:
		return read_iir(u);
	case LCR:
		return u->lcr;
	case MCR:
		return u->mcr;
	case LSR:
		return read_lsr(u);
	case MSR:
		return read_msr(u);
	default:
		return u->scratch;
	}
}

uint8_t vuart_read(struct vuart *u, unsigned int reg)
{
	uint8_t value;

	vioapic_lock(u->ioapic);
	value = read_locked(u, reg & 7u);
	update_line(u);
	vioapic_unlock(u->ioapic);
	return value;
}

/* ---- writing ---- */

/*
 * A byte to send. The register is full for no time at all: the pending "empty" is withdrawn and
 * given again, so the line must be seen low in between, or an edge-triggered pin would miss it.
 */
static void send_byte(struct vuart *u, uint8_t byte)
{
	u->thre_pending = false;
	update_line(u);
	u->thre_pending = true;
	if ((u->mcr & MCR_LOOP) == 0) {
		return;
	}
	if (u->fifo_count < fifo_capacity(u)) {
		u->fifo[u->fifo_count++] = byte;
	} else {
		u->overrun = true;
	}
}

/* Enabling the transmitter's interrupt while it is empty, and it always is, raises it. */
static void write_ier(struct vuart *u, uint8_t value)
{
	if ((value & ~u->ier & IER_THRE) != 0) {
		u->thre_pending = true;
	}
	u->ier = value & IER_ALL;
}

/* Turning the FIFOs on or off empties them. */
static void write_fcr(struct vuart *u, uint8_t value)
{
	bool toggled = ((value ^ u->fcr) & FCR_ENABLE) != 0;

	if (toggled || (value & FCR_CLEAR_RX) != 0) {
		u->fifo_count = 0;
	}
	u->fcr = (value & FCR_ENABLE) != 0 ? value & (0xC0u | FCR_ENABLE) : 0;
	refill(u);
}

/* A change of the lines as the guest sees them sets the deltas; RI counts only when it falls. */
static void write_mcr(struct vuart *u, uint8_t value)
{
	uint8_t before = modem_lines(u);
	uint8_t changed;

	u->mcr = value & MCR_ALL;
	changed = before ^ modem_lines(u);
	u->msr_delta |= (uint8_t)(changed >> 4) & MSR_DELTA & (uint8_t)~MSR_TERI;
	if ((changed & before & MSR_RI) != 0) {
		u->msr_delta |= MSR_TERI;
	}
	refill(u);
}

static void write_locked(struct vuart *u, unsigned int reg, uint8_t value)
{
	bool divisor = (u->lcr & LCR_DLAB) != 0;

	switch (reg) {
	case RBR_THR:
		if (divisor) {
			u->divisor[0] = value;
		} else {
			send_byte(u, value);
		}
		break;
	case IER:
		if (divisor) {
			u->divisor[1] = value;
		} else {
			write_ier(u, value);
		}
		break;
	case IIR_FCR:
		write_fcr(u, value);
		break;
	case LCR:
		u->lcr = value;
		break;
	case MCR:
		write_mcr(u, value);
		break;
	case SCR:
		u->scratch = value;
		break;
	default: /* LSR and MSR are for reading */
		break;
	}
}

void vuart_write(struct vuart *u, unsigned int reg, uint8_t raw_value)
{
	bool goes_out;

	vioapic_lock(u->ioapic);
	goes_out = (reg & 7u) == RBR_THR && (u->lcr & LCR_DLAB) == 0 && (u->mcr & MCR_LOOP) == 0;
	write_locked(u, reg & 7u, raw_value);
	update_line(u);
	vioapic_unlock(u->ioapic);
	if (goes_out) {
		u->env.ops->console_put(u->env.ctx, raw_value);
	}
}

bool vuart_input(struct vuart *u, uint8_t byte)
{
	bool room;

	vioapic_lock(u->ioapic);
	room = u->queue_count < VUART_QUEUE_BYTES;
	if (room) {
		u->queue[(u->queue_head + u->queue_count) % VUART_QUEUE_BYTES] = byte;
		u->queue_count++;
		refill(u);
		update_line(u);
	}
	vioapic_unlock(u->ioapic);
	return room;
}

/*
 * uart.h - the guest's serial port: a 16550A at 0x3F8 with 16-byte FIFOs, on GSI 4 (National
 * PC16550D datasheet).
 *
 * The line takes no time: what is written is out at once, so the transmitter is always empty. What
 * the host sends waits in a queue behind the receive FIFO. State is guarded by the lock of the
 * vioapic; any CPU may call any function, holding nothing of the platform.
 */
#ifndef PLATFORM_UART_H
#define PLATFORM_UART_H

#include "base/compiler.h"
#include "hypervisor/platform/env.h"
#include "hypervisor/platform/vioapic.h"

#define VUART_PORT 0x3F8u
#define VUART_GSI 4u
#define VUART_FIFO_BYTES 16u
#define VUART_QUEUE_BYTES 256u

struct vuart {
	struct board_env env;
	struct vioapic *ioapic;
	uint8_t fifo[VUART_FIFO_BYTES]; /* fifo[0] is the next one read */
	uint8_t fifo_count;
	uint8_t queue[VUART_QUEUE_BYTES]; /* from the host, waiting for the FIFO */
	uint16_t queue_head;
	uint16_t queue_count;
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t scratch;
	uint8_t divisor[2];
	uint8_t msr_delta; /* bits 3:0 of MSR */
	bool overrun;
	bool thre_pending; /* "transmitter empty" not yet reported by IIR */
};

void vuart_init(struct vuart *u, struct board_env env, struct vioapic *ioapic);

/* Power-on registers; bytes from the host that the guest has not read stay queued. */
void vuart_reset(struct vuart *u);

/* A register, 0 to 7. */
uint8_t vuart_read(struct vuart *u, unsigned int reg);
void vuart_write(struct vuart *u, unsigned int reg, uint8_t raw_value);

/* A byte from the host's console for the guest. False: the queue is full, offer it again later. */
bool vuart_input(struct vuart *u, uint8_t byte);

#endif /* PLATFORM_UART_H */

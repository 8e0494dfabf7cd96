/*
 * uart.c - COM1 as a polled 16550 (PC16550D data sheet, 8.0). An x86 host has it at a fixed port,
 * so the port instructions are used as they are.
 */
#include "hypervisor/drivers/uart.h"

#include "hypervisor/arch/x86/cpu_ops.h"

#define COM1 0x3f8u
#define UART_DATA (COM1 + 0)
#define UART_IER (COM1 + 1)
#define UART_FCR (COM1 + 2)
#define UART_LCR (COM1 + 3)
#define UART_MCR (COM1 + 4)
#define UART_LSR (COM1 + 5)
#define UART_SCRATCH (COM1 + 7)

#define LCR_8N1 0x03u
#define LCR_DLAB 0x80u
#define FCR_ENABLE_CLEAR 0x07u
#define MCR_DTR_RTS 0x03u
#define LSR_DATA_READY 0x01u
#define LSR_THR_EMPTY 0x20u
#define LSR_ALL_EMPTY 0x40u
#define DIVISOR_115200 1u

/* A character takes 87 us, a port read about 1 us. */
#define POLLS_MAX 20000u

static bool is_present;

static bool scratch_holds(uint8_t value)
{
	port_write8(UART_SCRATCH, value);
	return port_read8(UART_SCRATCH) == value;
}

bool uart_init(void)
{
	is_present = scratch_holds(0x5a) && scratch_holds(0xa5);
	if (!is_present) {
		return false;
	}
	port_write8(UART_IER, 0);
	port_write8(UART_LCR, LCR_DLAB | LCR_8N1);
	port_write8(UART_DATA, DIVISOR_115200);
	port_write8(UART_IER, 0);
	port_write8(UART_LCR, LCR_8N1);
	port_write8(UART_FCR, FCR_ENABLE_CLEAR);
	port_write8(UART_MCR, MCR_DTR_RTS);
	return true;
}

/* False if that takes too long. */
static bool wait_for(uint8_t status)
{
	for (unsigned int i = 0; i < POLLS_MAX; i++) {
		if ((port_read8(UART_LSR) & status) != 0) {
			return true;
		}
	}
	return false;
}

void uart_put(char c)
{
	if (is_present && wait_for(LSR_THR_EMPTY)) {
		port_write8(UART_DATA, (uint8_t)c);
	}
}

void uart_drain(void)
{
	if (is_present) {
		(void)wait_for(LSR_ALL_EMPTY);
	}
}

void uart_write(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n') {
			uart_put('\r');
		}
		uart_put(text[i]);
	}
}

int uart_get(void)
{
	if (!is_present || (port_read8(UART_LSR) & LSR_DATA_READY) == 0) {
		return -1;
	}
	return port_read8(UART_DATA);
}

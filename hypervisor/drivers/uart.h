/*
 * uart.h - the host's serial console: a 16550 at COM1 (National Semiconductor PC16550D).
 *
 * Polled, without locks: the caller keeps lines whole. Any CPU, any context, also a panic.
 */
#ifndef DRIVERS_UART_H
#define DRIVERS_UART_H

#include "base/compiler.h"

/*
 * 115200 8N1, FIFO on, no interrupts. False if nothing answers there: then the rest does
 * nothing.
 */
bool uart_init(void);

/*
 * Waits for room, but not for ever: a character that finds none within some milliseconds is
 * lost.
 */
void uart_put(char c);

/* Waits, not for ever, until all has gone out: before the machine ends. */
void uart_drain(void);

/* @len bytes; a newline goes out as CR LF. */
void uart_write(const char *text, size_t len);

/* The next received byte, 0 to 255; -1 if there is none. */
int uart_get(void);

#endif /* DRIVERS_UART_H */

/*
 * console.h - where a guest's lines go: to every console that the machine has.
 *
 * UART: at 0x3F8, if its scratch register keeps what is written. Port 0xE9: if it reads 0xE9, or on Xen. Screen:
 * see screen.h. Others by console_add(), such as Xen's ring, once a driver has opened it. Only the first
 * CPU may call any of these, with interrupts on or off.
 */
#ifndef GUEST_DRIVERS_METAL_CONSOLE_H
#define GUEST_DRIVERS_METAL_CONSOLE_H

#include "guest-drivers/metal/boot_info.h"

#define CONSOLE_PORT BIT(0) /* 0xE9 */
#define CONSOLE_UART BIT(1)
#define CONSOLE_SCREEN BIT(2)
#define CONSOLE_ADDED BIT(3)
#define CONSOLE_ALL (CONSOLE_PORT | CONSOLE_UART | CONSOLE_SCREEN | CONSOLE_ADDED)

/*
 * Finds those of @wanted (CONSOLE_*) that there are. @one_line: the board shows its port 0xE9, its UART
 * and its ring as one stream, so only the first that is there is used, and the screen. @on_xen: port 0xE9 takes bytes though it does not read 0xE9.
 */
void console_open(uint32_t wanted, bool one_line, bool on_xen, const struct boot_info *info);

/* Which there are, CONSOLE_*. */
uint32_t console_kinds(void);

/* Writes @count bytes; a line ends with '\n'. */
void console_write(const char *text, size_t count);

/*
 * Adds a console that @write gives the bytes to; it first gets what was written so far (of the first 8 KiB).
 * It may not write to the console itself, and must return in bounded time. False: not wanted here, or two
 * have been added already.
 */
bool console_add(void (*write)(void *context, const char *text, size_t count), void *context);

/* Nothing more goes to the screen and to those added, one of which may have caused the fault to report. */
void console_keep_ports(void);

/* Nothing more goes to those added with this @context: before what is below them is closed. */
void console_remove(const void *context);

#endif /* GUEST_DRIVERS_METAL_CONSOLE_H */

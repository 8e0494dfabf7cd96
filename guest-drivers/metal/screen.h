/*
 * screen.h - a screen of text, for console.c: a VGA in text mode, or a linear framebuffer of 32 bits
 * a pixel that the loader described. Only the first CPU may call these.
 */
#ifndef GUEST_DRIVERS_METAL_SCREEN_H
#define GUEST_DRIVERS_METAL_SCREEN_H

#include "guest-drivers/metal/boot_info.h"

/*
 * The screen of @info, or the VGA's if @info says nothing of one and its registers and memory answer.
 * False: there is none that we can write on (also a framebuffer without font.S in the program).
 */
bool screen_open(const struct boot_info *info);

/* Writes @count bytes from where it stands; what is not ASCII becomes '?'. */
void screen_write(const char *text, size_t count);

#endif /* GUEST_DRIVERS_METAL_SCREEN_H */

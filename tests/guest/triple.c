/*
 * triple.c - an exception with no IDT to find a handler in, nor for the double fault, nor for the
 * third.
 */
#include "guest-drivers/metal/cpu.h"

void program_main(void)
{
	static const uint8_t empty[10];

	report("face=%s", face_name());
	report("about=triple fault");
	__asm__ volatile("lidt %0; int3" : : "m"(empty));
	report("error=still here");
}

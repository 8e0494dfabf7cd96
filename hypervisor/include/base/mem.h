/*
 * mem.h - the four memory functions that the compiler itself may call.
 *
 * Ring 0 has its own (hypervisor/core/string.c); the hosted build takes libc's.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *to, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);

#endif /* BASE_MEM_H */

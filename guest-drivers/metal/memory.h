/*
 * memory.h - memory that a loader or a firmware wrote, read with every address checked.
 *
 * On the metal the window is the 4 GiB that boot.S maps one to one; in a test it is an array. All
 * functions may be called by anyone, and copy: what was checked is what is used.
 */
#ifndef GUEST_DRIVERS_METAL_MEMORY_H
#define GUEST_DRIVERS_METAL_MEMORY_H

#include "base/bits.h"
#include "base/compiler.h"
#include "base/mem.h"

struct memory_window {
	uintptr_t base; /* where physical address 0 is found */
	uint64_t bytes;
};

/* Where @bytes from @address on are found; NULL: not (all) in the window, or at address 0. */
static inline const uint8_t *memory_at(const struct memory_window *window, uint64_t address, uint64_t bytes)
{
	if (address == 0 || !range_fits(address, bytes, window->bytes)) {
		return NULL;
	}
	return (const uint8_t *)(window->base + (uintptr_t)address);
}

/* Copies @bytes from @address on. False: they are not in the window, @to is unchanged. */
static inline bool memory_read(const struct memory_window *window, uint64_t address, void *to, size_t bytes)
{
	const uint8_t *from = memory_at(window, address, bytes);

	if (from != NULL) {
		memcpy(to, from, bytes);
	}
	return from != NULL;
}

/* Copies a text that ends with a zero, cut to @room - 1 bytes and ended. False: it was cut, or is nowhere. */
static inline bool memory_read_text(const struct memory_window *window, uint64_t address, char *to,
                                    size_t room)
{
	for (size_t i = 0; i < room - 1; i++) {
		const uint8_t *at = memory_at(window, address + i, 1);

		to[i] = at == NULL ? 0 : (char)*at;
		if (to[i] == 0) {
			return at != NULL;
		}
	}
	to[room - 1] = 0;
	return false;
}

#endif /* GUEST_DRIVERS_METAL_MEMORY_H */

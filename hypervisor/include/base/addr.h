/*
 * addr.h - addresses as types, so that no length, frame number or pointer fits by accident.
 */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stdint.h>

#define PAGE_BYTES 4096u
#define PAGE_SHIFT 12u
#define PAGE_MASK (PAGE_BYTES - 1u)

/* Guest-physical. */
typedef struct {
	uint64_t v;
} gpa_t;

/* Host-physical. */
typedef struct {
	uint64_t v;
} hpa_t;

static inline gpa_t gpa(uint64_t v)
{
	return (gpa_t){v};
}

static inline hpa_t hpa(uint64_t v)
{
	return (hpa_t){v};
}

#endif /* BASE_ADDR_H */

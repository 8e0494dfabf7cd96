/*
 * host_asan.h - the address sanitizer's marks, by hand; nothing where there is no such sanitizer.
 */
#ifndef TESTS_HOST_HOST_ASAN_H
#define TESTS_HOST_HOST_ASAN_H

#include <stdbool.h>

#include <sanitizer/asan_interface.h>

#ifdef __has_feature
#define HOST_ASAN_BY_FEATURE __has_feature(address_sanitizer)
#else
#define HOST_ASAN_BY_FEATURE 0
#endif

/* Would the sanitizer refuse an access to the byte at @at? @without: what to say where there is none. */
static inline bool host_is_poisoned(const void *at, bool without)
{
#if HOST_ASAN_BY_FEATURE || defined(__SANITIZE_ADDRESS__)
	(void)without;
	return __asan_address_is_poisoned(at) != 0;
#else
	(void)at;
	return without;
#endif
}

#endif /* TESTS_HOST_HOST_ASAN_H */

/*
 * hyperv_linux.h - Linux's own Hyper-V header, made to compile outside a kernel.
 *
 * build/abi/hyperv-tlfs.h is arch/x86/include/asm/hyperv-tlfs.h and
 * include/asm-generic/hyperv-tlfs.h of Debian's linux-headers-6.12*-common, one after the other without
 * their #include lines: `make abi-headers` makes it.
 */
#ifndef TESTS_UNIT_HYPERV_LINUX_H
#define TESTS_UNIT_HYPERV_LINUX_H
#pragma GCC system_header

#include <stdbool.h>
#include <stdint.h>

#if __has_include("build/abi/hyperv-tlfs.h")
#define HYPERV_LINUX_IS_HERE 1

typedef uint8_t u8, __u8;
typedef uint16_t u16, __u16;
typedef uint32_t u32, __u32;
typedef uint64_t u64, __u64;
typedef int64_t s64;

#define __packed __attribute__((packed))
#define __aligned(n) __attribute__((aligned(n)))
#define BIT(n) (1ul << (n))
#define BIT_ULL(n) (1ull << (n))
#define GENMASK_ULL(high, low) ((~0ull << (low)) & (~0ull >> (63 - (high))))
#define GENMASK(high, low) GENMASK_ULL(high, low)
#define NSEC_PER_SEC 1000000000l
#define PAGE_SIZE 4096ul

#include "build/abi/hyperv-tlfs.h"

/* Same thing, other name. */
#define hv_reference_tsc_page ms_hyperv_tsc_page

#else
#define HYPERV_LINUX_IS_HERE 0
#endif

#endif /* TESTS_UNIT_HYPERV_LINUX_H */

/*
 * vmbus_linux.h - what Linux's driver has for the VMBus's wire, made to compile outside a kernel.
 *
 * build/abi/linux-vmbus.h is cut out of include/linux/hyperv.h of Debian's linux-headers-*-common by
 * tests/unit/vmbus_abi_extract.awk.
 */
#ifndef TESTS_UNIT_VMBUS_LINUX_H
#define TESTS_UNIT_VMBUS_LINUX_H
#pragma GCC system_header

#include <stddef.h>
#include <stdint.h>

#if __has_include("build/abi/linux-vmbus.h")
#define VMBUS_LINUX_IS_HERE 1

typedef uint8_t u8;
typedef uint16_t u16, __u16;
typedef uint32_t u32, __u32;
typedef uint64_t u64, __u64;
typedef struct {
	uint8_t b[16];
} guid_t;

#define __packed __attribute__((packed))
#define PAGE_SIZE 4096
#define __DECLARE_FLEX_ARRAY(type, name) \
	struct {                         \
		struct {                 \
		} no_##name;             \
		type name[];             \
	}
#define DECLARE_FLEX_ARRAY(type, name) __DECLARE_FLEX_ARRAY(type, name)

#include "build/abi/linux-vmbus.h"

#else
#define VMBUS_LINUX_IS_HERE 0
#endif

#endif /* TESTS_UNIT_VMBUS_LINUX_H */

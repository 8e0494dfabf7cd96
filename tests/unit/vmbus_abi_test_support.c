/*
 * vmbus_abi_test_support.c - the rows as Linux's header defines them.
 */
#include "tests/unit/vmbus_linux.h"

#include "tests/unit/vmbus_abi_rows.h"

#if VMBUS_LINUX_IS_HERE
const struct vmbus_abi_row vmbus_linux_rows[] = {VMBUS_ABI_ROWS};
const size_t vmbus_linux_row_count = sizeof(vmbus_linux_rows) / sizeof(vmbus_linux_rows[0]);
#else
const struct vmbus_abi_row vmbus_linux_rows[] = {{"", 0}};
const size_t vmbus_linux_row_count = 0;
#endif

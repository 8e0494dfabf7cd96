/*
 * hyperv_abi_test_support.c - the rows as Linux's header defines them.
 */
#include "tests/unit/hyperv_linux.h"

#include "tests/unit/hyperv_abi_rows.h"

#if HYPERV_LINUX_IS_HERE

static uint64_t config_bits(union hv_stimer_config config)
{
	return config.as_uint64;
}

const struct abi_row hyperv_linux_rows[] = {ABI_ALL_ROWS};
const size_t hyperv_linux_row_count = sizeof(hyperv_linux_rows) / sizeof(hyperv_linux_rows[0]);

/* enable, periodic, lazy, auto-enable, direct, all of the vector, all of the SINT */
uint64_t hyperv_linux_stimer(unsigned int field)
{
	static const union hv_stimer_config fields[] = {
		{.enable = 1},	    {.periodic = 1},	     {.lazy = 1},   {.auto_enable = 1},
		{.direct_mode = 1}, {.apic_vector = 0xFF}, {.sintx = 0xF},
	};

	return config_bits(fields[field]);
}

#else

const struct abi_row hyperv_linux_rows[] = {{"", 0}};
const size_t hyperv_linux_row_count = 0;

uint64_t hyperv_linux_stimer(unsigned int field)
{
	(void)field;
	return 0;
}

#endif

/*
 * metal_test.c - guest-drivers/metal/{boot_info,acpi}.c: what three kinds of loaders and a firmware say, and
 * what broken ones say, in a window of memory that is an array at its end guarded by the sanitizer.
 */
#include <stdlib.h>
#include <string.h>

#include "guest-drivers/metal/acpi.h"
#include "guest-drivers/metal/boot_info.h"
#include "tests/unit/unit.h"

#define MEMORY_BYTES (2u << 20)
#define INFO 0x9000u
#define CMDLINE 0xa000u
#define MODULES 0xb000u
#define MAP 0xc000u
#define NAME 0xd000u
#define MIB (1u << 20)

static uint8_t *memory;
static struct memory_window window;
static struct boot_info info;

static void setup(void)
{
	free(memory);
	memory = calloc(1, MEMORY_BYTES);
	window = (struct memory_window){(uintptr_t)memory, MEMORY_BYTES};
}

static void put32(uint32_t at, uint32_t value)
{
	memcpy(memory + at, &value, sizeof(value));
}

static void put64(uint32_t at, uint64_t value)
{
	memcpy(memory + at, &value, sizeof(value));
}

static void put_text(uint32_t at, const char *text)
{
	memcpy(memory + at, text, strlen(text) + 1);
}

/* ---------------------------------------------------------------- PVH */

static void put_pvh(uint32_t version, uint32_t modules, uint32_t ranges)
{
	setup();
	put32(INFO, 0x336ec578);
	put32(INFO + 4, version);
	put32(INFO + 12, modules);
	put64(INFO + 16, MODULES);
	put64(INFO + 24, CMDLINE);
	put64(INFO + 32, 0xe0000);
	put64(INFO + 40, MAP);
	put32(INFO + 48, ranges);
	put_text(CMDLINE, "a=1 b=two");
	put_text(NAME, "initrd");
	for (uint32_t i = 0; i < modules && i < 32; i++) {
		put64(MODULES + i * 32, MIB + i * 4096);
		put64(MODULES + i * 32 + 8, 100 + i);
		put64(MODULES + i * 32 + 16, i == 0 ? NAME : 0);
	}
	for (uint32_t i = 0; i < ranges && i < 160; i++) {
		put64(MAP + i * 24, (uint64_t)i * MIB);
		put64(MAP + i * 24 + 8, MIB);
		put32(MAP + i * 24 + 16, 1);
	}
}

static void test_pvh(void)
{
	put_pvh(1, 2, 3);
	CU_ASSERT_TRUE(boot_info_read(&info, &window, 0, INFO));
	CU_ASSERT_EQUAL(info.kind, BOOT_PVH);
	CU_ASSERT_STRING_EQUAL(boot_kind_name(info.kind), "pvh");
	CU_ASSERT_STRING_EQUAL(info.cmdline, "a=1 b=two");
	CU_ASSERT_EQUAL(info.range_count, 3);
	CU_ASSERT_EQUAL(info.ranges[2].base, 2 * MIB);
	CU_ASSERT_EQUAL(info.module_count, 2);
	CU_ASSERT_EQUAL(info.modules[1].at, MIB + 4096);
	CU_ASSERT_EQUAL(info.modules[1].bytes, 101);
	CU_ASSERT_STRING_EQUAL(info.modules[0].name, "initrd");
	CU_ASSERT_STRING_EQUAL(info.modules[1].name, "");
	CU_ASSERT_EQUAL(info.rsdp, 0xe0000);
	CU_ASSERT_FALSE(info.cut);
	put32(INFO + 4, 0); /* version 0 has no map */
	CU_ASSERT_TRUE(boot_info_read(&info, &window, 0, INFO));
	CU_ASSERT_EQUAL(info.range_count, 0);
}

static void test_pvh_broken(void)
{
	put_pvh(1, 31, 160);
	CU_ASSERT_TRUE(boot_info_read(&info, &window, 0, INFO));
	CU_ASSERT_EQUAL(info.module_count, BOOT_MODULES_MAX);
	CU_ASSERT_EQUAL(info.range_count, BOOT_RANGES_MAX);
	CU_ASSERT_TRUE(info.cut);
	put_pvh(1, 0xffffffff, 0xffffffff);
	put64(INFO + 16, UINT64_MAX - 8);
	put64(INFO + 40, MEMORY_BYTES - 10);
	put64(INFO + 24, MEMORY_BYTES + 10);
	CU_ASSERT_TRUE(boot_info_read(&info, &window, 0, INFO));
	CU_ASSERT_EQUAL(info.module_count + info.range_count, 0);
	CU_ASSERT_STRING_EQUAL(info.cmdline, "");
	CU_ASSERT_TRUE(info.cut);
	put_pvh(1, 1, 2);
	put64(MODULES + 8, MEMORY_BYTES); /* too long */
	put64(MAP, UINT64_MAX - 4096); /* wraps */
	put64(MAP + 24 + 8, 0); /* empty */
	CU_ASSERT_TRUE(boot_info_read(&info, &window, 0, INFO));
	CU_ASSERT_EQUAL(info.module_count + info.range_count, 0);
	put32(INFO, 1);
	CU_ASSERT_FALSE(boot_info_read(&info, &window, 0, INFO));
	CU_ASSERT_EQUAL(info.kind, BOOT_NONE);
	CU_ASSERT_FALSE(boot_info_read(&info, &window, 0, MEMORY_BYTES - 4));
	CU_ASSERT_FALSE(boot_info_read(&info, &window, 0, 0));
}

static void test_long_command_line(void)
{
	put_pvh(1, 0, 0);
	memset(memory + CMDLINE, 'x', 3000);
	CU_ASSERT_TRUE(boot_info_read(&info, &window, 0, INFO));
	CU_ASSERT_EQUAL(strlen(info.cmdline), BOOT_CMDLINE_BYTES - 1);
	CU_ASSERT_TRUE(info.cut);
	memset(memory + MEMORY_BYTES - 5, 'y', 5); /* no end to it before memory's */
	put64(INFO + 24, MEMORY_BYTES - 5);
	CU_ASSERT_TRUE(boot_info_read(&info, &window, 0, INFO));
	CU_ASSERT_STRING_EQUAL(info.cmdline, "yyyyy");
	CU_ASSERT_TRUE(info.cut);
}

/* ---------------------------------------------------------------- Multiboot 1 */

static void put_multiboot1(uint32_t flags)
{
	setup();
	put32(INFO, flags);
	put32(INFO + 4, 640);
	put32(INFO + 8, 1024);
	put32(INFO + 16, CMDLINE);
	put_text(CMDLINE, "kernel k=v");
	put32(INFO + 20, 1);
	put32(INFO + 24, MODULES);
	put32(MODULES, MIB);
	put32(MODULES + 4, MIB + 55);
	put32(MODULES + 8, NAME);
	put_text(NAME, "one");
	put32(INFO + 44, 48);
	put32(INFO + 48, MAP);
	put32(MAP, 20);
	put64(MAP + 4, 0);
	put64(MAP + 12, 0x9fc00);
	put32(MAP + 20, 1);
	put32(MAP + 24, 20);
	put64(MAP + 28, MIB);
	put64(MAP + 36, MIB);
	put32(MAP + 44, 2);
}

static void test_multiboot1(void)
{
	put_multiboot1(0x4d);
	CU_ASSERT_TRUE(boot_info_read(&info, &window, MULTIBOOT_MAGIC, INFO));
	CU_ASSERT_STRING_EQUAL(boot_kind_name(info.kind), "multiboot1");
	CU_ASSERT_STRING_EQUAL(info.cmdline, "kernel k=v");
	CU_ASSERT_EQUAL(info.range_count, 2);
	CU_ASSERT_EQUAL(info.ranges[1].type, 2);
	CU_ASSERT_EQUAL(info.module_count, 1);
	CU_ASSERT_EQUAL(info.modules[0].bytes, 55);
	CU_ASSERT_STRING_EQUAL(info.modules[0].name, "one");
	CU_ASSERT_FALSE(info.cut);
	put32(INFO, 1); /* no map: two numbers */
	CU_ASSERT_TRUE(boot_info_read(&info, &window, MULTIBOOT_MAGIC, INFO));
	CU_ASSERT_EQUAL(info.range_count, 2);
	CU_ASSERT_EQUAL(info.ranges[1].bytes, MIB);
	CU_ASSERT_EQUAL(info.module_count, 0);
	CU_ASSERT_STRING_EQUAL(info.cmdline, "");
	put32(INFO, 0);
	CU_ASSERT_TRUE(boot_info_read(&info, &window, MULTIBOOT_MAGIC, INFO));
	CU_ASSERT_EQUAL(info.range_count, 0);
}

static void test_multiboot1_screen(void)
{
	put_multiboot1(0x1000);
	put64(INFO + 88, 0x100000);
	put32(INFO + 96, 160);
	put32(INFO + 100, 80);
	put32(INFO + 104, 25);
	memory[INFO + 108] = 16;
	memory[INFO + 109] = 2;
	CU_ASSERT_TRUE(boot_info_read(&info, &window, MULTIBOOT_MAGIC, INFO));
	CU_ASSERT_EQUAL(info.framebuffer.kind, BOOT_SCREEN_TEXT);
	CU_ASSERT_EQUAL(info.framebuffer.width, 80);
	put32(INFO + 100, 81);
	CU_ASSERT_TRUE(boot_info_read(&info, &window, MULTIBOOT_MAGIC, INFO));
	CU_ASSERT_EQUAL(info.framebuffer.kind, BOOT_SCREEN_OTHER);
}

static void test_multiboot1_broken(void)
{
	put_multiboot1(0x4d);
	put32(INFO + 20, 0xffffffff);
	put32(MODULES + 4, MIB - 1); /* ends before it begins; those behind are empty, at 0 */
	put32(MAP, 19); /* too short */
	CU_ASSERT_TRUE(boot_info_read(&info, &window, MULTIBOOT_MAGIC, INFO));
	CU_ASSERT_EQUAL(info.module_count + info.range_count, 0);
	CU_ASSERT_TRUE(info.cut);
	put_multiboot1(0x40);
	put32(MAP, 0xffffffff); /* too long: the second is far away */
	CU_ASSERT_TRUE(boot_info_read(&info, &window, MULTIBOOT_MAGIC, INFO));
	CU_ASSERT_EQUAL(info.range_count, 1);
	put32(INFO + 44, 0xffffffff);
	put32(MAP, 20);
	CU_ASSERT_TRUE(boot_info_read(&info, &window, MULTIBOOT_MAGIC, INFO));
	CU_ASSERT_EQUAL(info.range_count, 2);
	CU_ASSERT_TRUE(info.cut);
	CU_ASSERT_FALSE(boot_info_read(&info, &window, MULTIBOOT_MAGIC, MEMORY_BYTES - 40));
	CU_ASSERT_EQUAL(info.kind, BOOT_NONE);
}

/* ---------------------------------------------------------------- Multiboot 2 */

static uint32_t end_of_tags;

static uint32_t put_tag(uint32_t type, uint32_t size)
{
	uint32_t at = INFO + end_of_tags;

	put32(at, type);
	put32(at + 4, size);
	end_of_tags = (end_of_tags + size + 7) & ~7u;
	put32(INFO, end_of_tags);
	return at + 8;
}

static void put_multiboot2(void)
{
	uint32_t at;

	setup();
	end_of_tags = 8;
	put_text(put_tag(1, 8 + 6), "x=y z");
	at = put_tag(3, 16 + 4);
	put32(at, MIB);
	put32(at + 4, MIB + 9);
	put_text(at + 8, "mod");
	at = put_tag(6, 16 + 2 * 32);
	put32(at, 32);
	put64(at + 8, 0);
	put64(at + 16, 0x9f000);
	put32(at + 24, 1);
	put64(at + 40, MIB);
	put64(at + 48, 4096);
	put32(at + 56, 3);
	(void)put_tag(14, 8 + 20);
	(void)put_tag(15, 8 + 36);
	at = put_tag(8, 31);
	put64(at, 0x80000);
	put32(at + 8, 4096);
	put32(at + 12, 1024);
	put32(at + 16, 16);
	memory[at + 20] = 32;
	memory[at + 21] = 1;
}

static void test_multiboot2(void)
{
	put_multiboot2();
	(void)put_tag(0, 8);
	CU_ASSERT_TRUE(boot_info_read(&info, &window, MULTIBOOT2_MAGIC, INFO));
	CU_ASSERT_STRING_EQUAL(boot_kind_name(info.kind), "multiboot2");
	CU_ASSERT_STRING_EQUAL(info.cmdline, "x=y z");
	CU_ASSERT_EQUAL(info.module_count, 1);
	CU_ASSERT_EQUAL(info.modules[0].bytes, 9);
	CU_ASSERT_STRING_EQUAL(info.modules[0].name, "mod");
	CU_ASSERT_EQUAL(info.range_count, 2);
	CU_ASSERT_EQUAL(info.ranges[1].base, MIB);
	CU_ASSERT_EQUAL(info.ranges[1].type, 3);
	CU_ASSERT_EQUAL(info.framebuffer.kind, BOOT_SCREEN_PIXELS);
	CU_ASSERT_EQUAL(info.framebuffer.address, 0x80000);
	CU_ASSERT_TRUE(info.rsdp > INFO && info.rsdp < INFO + end_of_tags);
	CU_ASSERT_EQUAL(memory[info.rsdp - 8], 15); /* the newer of two */
	CU_ASSERT_EQUAL(info.block_at, INFO);
	CU_ASSERT_EQUAL(info.block_bytes, end_of_tags);
	CU_ASSERT_FALSE(info.cut);
}

static void test_multiboot2_broken(void)
{
	uint32_t at;

	put_multiboot2(); /* no end */
	CU_ASSERT_TRUE(boot_info_read(&info, &window, MULTIBOOT2_MAGIC, INFO));
	CU_ASSERT_TRUE(info.cut);
	at = put_tag(1, 8);
	put32(at - 4, 7); /* a tag that does not move on */
	CU_ASSERT_TRUE(boot_info_read(&info, &window, MULTIBOOT2_MAGIC, INFO));
	CU_ASSERT_TRUE(info.cut);
	put32(at - 4, 0x7fffffff); /* one that is longer than all */
	CU_ASSERT_TRUE(boot_info_read(&info, &window, MULTIBOOT2_MAGIC, INFO));
	CU_ASSERT_TRUE(info.cut);
	put32(INFO, 0xffffffff);
	CU_ASSERT_FALSE(boot_info_read(&info, &window, MULTIBOOT2_MAGIC, INFO));
	put32(MEMORY_BYTES - 8, 16);
	CU_ASSERT_FALSE(boot_info_read(&info, &window, MULTIBOOT2_MAGIC, MEMORY_BYTES - 8));
	setup();
	end_of_tags = 8;
	put32(put_tag(6, 16), 0); /* a map with rows of no size */
	(void)put_tag(3, 8);
	(void)put_tag(8, 8);
	(void)put_tag(6, 8);
	at = put_tag(3, 16);
	put32(at, 9);
	put32(at + 4, 8);
	(void)put_tag(0, 8);
	CU_ASSERT_TRUE(boot_info_read(&info, &window, MULTIBOOT2_MAGIC, INFO));
	CU_ASSERT_EQUAL(info.range_count + info.module_count, 0);
	CU_ASSERT_EQUAL(info.framebuffer.kind, BOOT_SCREEN_UNKNOWN);
	CU_ASSERT_TRUE(info.cut);
}

static void test_too_many_ranges(void)
{
	uint32_t rows = BOOT_RANGES_MAX + 5;
	uint32_t at;

	setup();
	end_of_tags = 8;
	at = put_tag(6, 16 + rows * 24);
	put32(at, 24);
	for (uint32_t i = 0; i < rows; i++) {
		put64(at + 8 + i * 24, i);
		put64(at + 16 + i * 24, 1);
	}
	(void)put_tag(0, 8);
	CU_ASSERT_TRUE(boot_info_read(&info, &window, MULTIBOOT2_MAGIC, INFO));
	CU_ASSERT_EQUAL(info.range_count, BOOT_RANGES_MAX);
	CU_ASSERT_TRUE(info.cut);
}

/* ---------------------------------------------------------------- where pages can be had */

static uint64_t find_pages(uint64_t first, uint64_t bytes)
{
	static const struct memory_window whole = {0, UINT64_C(4) << 30};

	return boot_info_find_ram(&info, &whole, first, bytes);
}

static void test_find_ram(void)
{
	memset(&info, 0, sizeof(info));
	CU_ASSERT_EQUAL(find_pages(8 * MIB, MIB), 0);
	info.range_count = 3;
	info.ranges[0] = (struct boot_range){0, 0xa0000, BOOT_RAM};
	info.ranges[1] = (struct boot_range){MIB, 63 * MIB, BOOT_RAM};
	info.ranges[2] = (struct boot_range){UINT64_C(4) << 30, UINT64_C(4) << 30, BOOT_RAM};
	CU_ASSERT_EQUAL(find_pages(8 * MIB, 12 * MIB), 8 * MIB);
	CU_ASSERT_EQUAL(find_pages(8 * MIB + 1, 12 * MIB), 8 * MIB + 4096);
	CU_ASSERT_EQUAL(find_pages(8 * MIB, 56 * MIB), 8 * MIB);
	CU_ASSERT_EQUAL(find_pages(8 * MIB, 56 * MIB + 4096), 0);
	info.module_count = 1;
	info.modules[0] = (struct boot_module){.at = 9 * MIB, .bytes = 10};
	CU_ASSERT_EQUAL(find_pages(8 * MIB, 12 * MIB), 9 * MIB + 4096);
	info.block_at = 9 * MIB + 8192;
	info.block_bytes = 4096;
	CU_ASSERT_EQUAL(find_pages(8 * MIB, 12 * MIB), 9 * MIB + 12288);
	CU_ASSERT_EQUAL(find_pages(8 * MIB, MIB), 8 * MIB);
	info.ranges[2] = (struct boot_range){30 * MIB, MIB, 2}; /* a hole that the range of RAM does not know of */
	CU_ASSERT_EQUAL(find_pages(10 * MIB, 20 * MIB), 10 * MIB);
	CU_ASSERT_EQUAL(find_pages(10 * MIB, 21 * MIB), 31 * MIB);
	CU_ASSERT_EQUAL(find_pages(10 * MIB, 34 * MIB), 0);
}

/* ---------------------------------------------------------------- ACPI */

#define RSDP 0xf0010u
#define RSDT 0x10000u
#define XSDT 0x11000u
#define FADT 0x12000u
#define DSDT 0x13000u

static struct acpi acpi;

static void sum_up(uint32_t at, uint32_t bytes, uint32_t where)
{
	uint8_t sum = 0;

	memory[at + where] = 0;
	for (uint32_t i = 0; i < bytes; i++) {
		sum = (uint8_t)(sum + memory[at + i]);
	}
	memory[at + where] = (uint8_t)-sum;
}

static void put_table(uint32_t at, const char *name, uint32_t bytes)
{
	memcpy(memory + at, name, 4);
	put32(at + 4, bytes);
	sum_up(at, bytes, 9);
}

/* @s5: AML behind the name; "" for no \_S5. */
static void put_acpi(const char *s5, uint32_t s5_bytes)
{
	setup();
	memcpy(memory + RSDP, "RSD PTR ", 8);
	memcpy(memory + RSDP + 9, "BOARD ", 6);
	put32(RSDP + 16, RSDT);
	sum_up(RSDP, 20, 8);
	put32(RSDT + 36, XSDT); /* another table first */
	put32(RSDT + 40, FADT);
	put_table(RSDT, "RSDT", 44);
	put32(FADT + 40, DSDT);
	put32(FADT + 48, 0xb2);
	memory[FADT + 52] = 0xf1;
	put32(FADT + 64, 0x604);
	put32(FADT + 76, 0x608);
	put_table(FADT, "FACP", 116);
	memory[DSDT + 36] = 8;
	if (s5_bytes != 0) {
		memcpy(memory + DSDT + 37, "_S5_", 4);
		memcpy(memory + DSDT + 41, s5, s5_bytes);
	}
	put_table(DSDT, "DSDT", 41 + s5_bytes);
}

static void test_acpi(void)
{
	put_acpi("\x12\x06\x04\x0a\x05\x0a\x06", 7);
	CU_ASSERT_TRUE(acpi_read(&acpi, &window, 0));
	CU_ASSERT_STRING_EQUAL(acpi.oem, "BOARD");
	CU_ASSERT_TRUE(acpi.has_fadt && acpi.has_s5);
	CU_ASSERT_EQUAL(acpi.pm1a_control, 0x604);
	CU_ASSERT_EQUAL(acpi.pm1b_control, 0);
	CU_ASSERT_EQUAL(acpi.pm_timer, 0x608);
	CU_ASSERT_EQUAL(acpi.smi_command, 0xb2);
	CU_ASSERT_EQUAL(acpi.enable_value, 0xf1);
	CU_ASSERT_EQUAL(acpi.s5_a, 5);
	CU_ASSERT_EQUAL(acpi.s5_b, 6);
	CU_ASSERT_TRUE(acpi_read(&acpi, &window, RSDP));
	CU_ASSERT_FALSE(acpi_read(&acpi, &window, RSDP + 16));
	CU_ASSERT_EQUAL(acpi.pm1a_control, 0);
	put_acpi("\x12\x44\x00\x02\x01\x00", 6); /* a length of two bytes, One, Zero */
	CU_ASSERT_TRUE(acpi_read(&acpi, &window, 0));
	CU_ASSERT_TRUE(acpi.has_s5);
	CU_ASSERT_EQUAL(acpi.s5_a * 10 + acpi.s5_b, 10);
}

static void test_acpi_new(void)
{
	put_acpi("", 0);
	memory[RSDP + 15] = 2;
	put64(RSDP + 24, XSDT);
	sum_up(RSDP, 20, 8);
	put64(XSDT + 36, FADT);
	put_table(XSDT, "XSDT", 44);
	put32(FADT + 64, 0);
	put64(FADT + 140, DSDT);
	memory[FADT + 172] = 1;
	put64(FADT + 176, 0xb004);
	memory[FADT + 184] = 0; /* memory: not for us */
	put64(FADT + 188, 0x700);
	put_table(FADT, "FACP", 244);
	CU_ASSERT_TRUE(acpi_read(&acpi, &window, 0));
	CU_ASSERT_EQUAL(acpi.pm1a_control, 0xb004);
	CU_ASSERT_EQUAL(acpi.pm1b_control, 0);
	CU_ASSERT_FALSE(acpi.has_s5);
	put64(RSDP + 24, UINT64_MAX); /* the old root is still there */
	CU_ASSERT_TRUE(acpi_read(&acpi, &window, 0));
	CU_ASSERT_EQUAL(acpi.pm1a_control, 0xb004);
}

static void test_acpi_in_the_ebda(void)
{
	put_acpi("", 0);
	memcpy(memory + 0x9fc20, memory + RSDP, 36);
	memory[RSDP] = 0;
	CU_ASSERT_FALSE(acpi_read(&acpi, &window, 0));
	memory[0x40e] = 0xc0;
	memory[0x40f] = 0x9f;
	CU_ASSERT_TRUE(acpi_read(&acpi, &window, 0));
	CU_ASSERT_EQUAL(acpi.pm1a_control, 0x604);
}

static void test_acpi_broken(void)
{
	static const char *const bad[] = {"\x12\xff\x04\x0a\x05\x0a\x06", "\x11\x06\x04\x0a\x05\x0a\x06",
	                                  "\x12\x06\x04\x0c\x05\x0a\x06"};

	for (uint32_t i = 0; i < 3; i++) {
		put_acpi(bad[i], 7);
		CU_ASSERT_TRUE(acpi_read(&acpi, &window, 0));
		CU_ASSERT_TRUE(acpi.has_fadt);
		CU_ASSERT_FALSE(acpi.has_s5);
	}
	put_acpi("\x12\x06\x04\x0a", 4); /* cut off */
	CU_ASSERT_TRUE(acpi_read(&acpi, &window, 0));
	CU_ASSERT_FALSE(acpi.has_s5);
	put_acpi("", 0);
	memory[DSDT + 37]++; /* its sum is wrong */
	memory[FADT + 30]++;
	CU_ASSERT_TRUE(acpi_read(&acpi, &window, 0));
	CU_ASSERT_FALSE(acpi.has_fadt);
	put_acpi("", 0);
	put32(RSDT + 4, 0xffffffff);
	CU_ASSERT_TRUE(acpi_read(&acpi, &window, 0));
	CU_ASSERT_FALSE(acpi.has_fadt);
	put_acpi("", 0);
	put_table(FADT, "FACP", 100);
	CU_ASSERT_TRUE(acpi_read(&acpi, &window, 0));
	CU_ASSERT_FALSE(acpi.has_fadt);
	put_acpi("", 0);
	put32(FADT + 64, 0x12345); /* no port */
	put_table(FADT, "FACP", 116);
	CU_ASSERT_TRUE(acpi_read(&acpi, &window, 0));
	CU_ASSERT_EQUAL(acpi.pm1a_control, 0);
	put32(RSDP + 16, MEMORY_BYTES - 3);
	sum_up(RSDP, 20, 8);
	CU_ASSERT_TRUE(acpi_read(&acpi, &window, 0));
	CU_ASSERT_FALSE(acpi.has_fadt);
	free(memory);
	memory = NULL;
}

UNIT_MAIN("metal", UNIT_TEST(test_pvh), UNIT_TEST(test_pvh_broken), UNIT_TEST(test_long_command_line),
          UNIT_TEST(test_multiboot1), UNIT_TEST(test_multiboot1_screen), UNIT_TEST(test_multiboot1_broken),
          UNIT_TEST(test_multiboot2), UNIT_TEST(test_multiboot2_broken), UNIT_TEST(test_too_many_ranges),
          UNIT_TEST(test_find_ram), UNIT_TEST(test_acpi), UNIT_TEST(test_acpi_new), UNIT_TEST(test_acpi_in_the_ebda),
          UNIT_TEST(test_acpi_broken))

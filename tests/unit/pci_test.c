/*
 * pci_test.c - enumeration, capabilities, BARs and MSI-X, on configuration spaces that this test makes: by
 * ECAM and by ports.
 */
#include <stdlib.h>
#include <string.h>

#include "hypervisor/arch/x86/host.h"
#include "tests/unit/unit.h"

#define BUSES 4u
#define ECAM_BASE 0xb0000000ull
#define BAR_BASE 0xfe000000ull

static uint8_t space[BUSES << 20]; /* as ECAM shows it, from bus 0 */
static uint8_t bar_memory[8192];
static bool ecam_can_map;

/* The machine behind the ports. */
static uint32_t port_latch;
static uint32_t port_reads;

static uint32_t fake_port_read32(uint16_t port)
{
	uint32_t bus = port_latch >> 16 & 0xff;
	uint32_t value = UINT32_MAX;

	CU_ASSERT_EQUAL_FATAL(port, 0xcfc);
	CU_ASSERT_FATAL((port_latch & 0x80000003u) == 0x80000000u);
	port_reads++;
	if (bus < BUSES) {
		memcpy(&value, space + (bus << 20) + ((port_latch & 0xff00u) << 4) + (port_latch & 0xfc), 4);
	}
	return value;
}

static void fake_port_write32(uint16_t port, uint32_t value)
{
	if (port == 0xcf8) {
		port_latch = value;
		return;
	}
	CU_ASSERT_EQUAL_FATAL(port, 0xcfc);
	memcpy(space + ((port_latch >> 16 & 0xff) << 20) + ((port_latch & 0xff00u) << 4) +
	               (port_latch & 0xfc),
	       &value, 4);
}

#define port_read32 fake_port_read32
#define port_write32 fake_port_write32
#include "hypervisor/drivers/pci.c"

static uint8_t mcfg[MCFG_HEADER_BYTES + 2 * sizeof(struct mcfg_row)];
static size_t mcfg_bytes; /* 0: no such table */

const void *host_acpi_table(const char *signature, size_t *bytes)
{
	CU_ASSERT_STRING_EQUAL(signature, "MCFG");
	*bytes = mcfg_bytes;
	return mcfg_bytes != 0 ? mcfg : NULL;
}

void *host_mmio_map(hpa_t at, uint64_t bytes)
{
	if (at.v >= ECAM_BASE && at.v + bytes <= ECAM_BASE + sizeof(space)) {
		return ecam_can_map ? space + (at.v - ECAM_BASE) : NULL;
	}
	if (at.v >= BAR_BASE && at.v + bytes <= BAR_BASE + sizeof(bar_memory)) {
		return bar_memory + (at.v - BAR_BASE);
	}
	return NULL;
}

static uint8_t *config(uint32_t bus, uint32_t device, uint32_t function)
{
	return space + (bus << 20) + (device << 15) + (function << 12);
}

static void put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, 4);
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, 4);
	return value;
}

static void function_put(uint32_t bus, uint32_t device, uint32_t function, uint32_t id, uint8_t header)
{
	uint8_t *at = config(bus, device, function);

	memset(at, 0, 256);
	put32(at, id);
	at[0x0e] = header;
}

static void bridge_put(uint32_t bus, uint32_t device, uint8_t secondary)
{
	function_put(bus, device, 0, 0x00011234, 1);
	config(bus, device, 0)[0x19] = secondary;
}

static void row_put(uint32_t index, uint64_t base, uint16_t segment, uint8_t first, uint8_t last)
{
	struct mcfg_row row = {base, segment, first, last, 0};

	memcpy(mcfg + MCFG_HEADER_BYTES + index * sizeof(row), &row, sizeof(row));
	mcfg_bytes = MCFG_HEADER_BYTES + (index + 1) * sizeof(row);
}

static void start(bool with_ecam)
{
	memset(space, 0xff, sizeof(space));
	memset(bar_memory, 0xff, sizeof(bar_memory));
	ecam_can_map = true;
	port_reads = 0;
	mcfg_bytes = 0;
	if (with_ecam) {
		row_put(0, ECAM_BASE, 0, 0, BUSES - 1);
	}
	CU_ASSERT_EQUAL(pci_init(), with_ecam);
}

static const struct pci_function first = {.bus = 0, .device = 3};

static void machine_put(void)
{
	function_put(0, 0, 0, 0x29c08086, 0);
	function_put(0, 3, 0, 0x10421af4, 0x80);
	function_put(0, 3, 5, 0x10411af4, 0);
	function_put(0, 4, 0, 0x10421af4, 0);
	function_put(0, 4, 1, 0x10421af4, 0); /* not seen: 4.0 is no multi-function device */
	bridge_put(0, 5, 1);
	function_put(1, 31, 0, 0x10011af4, 0);
	bridge_put(1, 2, 3);
	bridge_put(3, 0, 1); /* backwards: not followed, and no loop */
	function_put(3, 1, 0, 0x10421af4, 0);
	function_put(2, 0, 0, 0x10421af4, 0); /* behind no bridge */
}

static void machine_check(void)
{
	struct pci_function found[8];

	memset(found, 0, sizeof(found));
	CU_ASSERT_EQUAL(pci_find(0x1af4, found, 8), 5);
	CU_ASSERT(found[0].device == 3 && found[0].function == 0 && found[0].device_id == 0x1042);
	CU_ASSERT(found[1].device == 3 && found[1].function == 5 && found[1].device_id == 0x1041);
	CU_ASSERT(found[2].device == 4 && found[2].function == 0);
	CU_ASSERT(found[3].bus == 1 && found[3].device == 31 && found[3].vendor_id == 0x1af4);
	CU_ASSERT(found[4].bus == 3 && found[4].device == 1);
	memset(found, 0, sizeof(found));
	CU_ASSERT_EQUAL(pci_find(0x1af4, found, 2), 5);
	CU_ASSERT_EQUAL(found[2].vendor_id, 0);
	CU_ASSERT_EQUAL(pci_find(0x8086, found, 2), 1);
}

static void test_find_by_ecam(void)
{
	start(true);
	machine_put();
	machine_check();
	CU_ASSERT_EQUAL(port_reads, 0);
}

static void test_find_by_ports(void)
{
	start(false);
	machine_put();
	machine_check();
	CU_ASSERT(port_reads > 64);
	pci_write32(&first, 0x10, 0x12345678);
	CU_ASSERT_EQUAL(get32(config(0, 3, 0) + 0x10), 0x12345678);
}

static void test_mcfg_rows(void)
{
	struct pci_function far = {.bus = 3, .device = 1};
	struct pci_function out = {.bus = 1, .device = 1};

	start(true);
	machine_put();
	/* Another segment's row, then one from bus 2 on: the base is bus 0's. */
	row_put(0, ECAM_BASE, 1, 0, 3);
	row_put(1, ECAM_BASE, 0, 2, 3);
	CU_ASSERT(pci_init());
	CU_ASSERT_EQUAL(pci_read32(&far, 0), 0x10421af4);
	CU_ASSERT_EQUAL(pci_read32(&out, 0), UINT32_MAX);
	pci_write32(&out, 0x10, 5);
	CU_ASSERT_EQUAL(get32(config(1, 1, 0) + 0x10), UINT32_MAX);

	row_put(0, ECAM_BASE, 0, 3, 2);
	CU_ASSERT_FALSE(pci_init());
	row_put(0, ECAM_BASE, 0, 0, 3);
	mcfg_bytes--;
	CU_ASSERT_FALSE(pci_init());
	mcfg_bytes++;
	ecam_can_map = false;
	CU_ASSERT_FALSE(pci_init());
	CU_ASSERT_EQUAL(pci_read32(&far, 0), 0x10421af4);
}

static void test_sizes(void)
{
	start(true);
	function_put(0, 3, 0, 0x10421af4, 0);
	put32(config(0, 3, 0) + 0x20, 0x44332211);
	CU_ASSERT_EQUAL(pci_read16(&first, 0x20), 0x2211);
	CU_ASSERT_EQUAL(pci_read16(&first, 0x22), 0x4433);
	CU_ASSERT_EQUAL(pci_read8(&first, 0x21), 0x22);
	CU_ASSERT_EQUAL(pci_read8(&first, 0x23), 0x44);
}

/* @next of 0 ends the list. */
static void capability_put(uint8_t at, uint8_t id, uint8_t next)
{
	config(0, 3, 0)[at] = id;
	config(0, 3, 0)[at + 1] = next;
}

static void test_capabilities(void)
{
	start(true);
	function_put(0, 3, 0, 0x10421af4, 0);
	config(0, 3, 0)[0x34] = 0x43; /* the low bits do not count */
	capability_put(0x40, 9, 0x50);
	capability_put(0x50, 0x11, 0x60);
	capability_put(0x60, 9, 0);
	CU_ASSERT_EQUAL(pci_find_capability(&first, 9, 0), 0);
	config(0, 3, 0)[6] = 0x10;
	CU_ASSERT_EQUAL(pci_find_capability(&first, 9, 0), 0x40);
	CU_ASSERT_EQUAL(pci_find_capability(&first, 9, 0x40), 0x60);
	CU_ASSERT_EQUAL(pci_find_capability(&first, 9, 0x60), 0);
	CU_ASSERT_EQUAL(pci_find_capability(&first, 0x11, 0), 0x50);
	CU_ASSERT_EQUAL(pci_find_capability(&first, 0x10, 0), 0);
	capability_put(0x60, 9, 0x40); /* a loop */
	CU_ASSERT_EQUAL(pci_find_capability(&first, 0x10, 0), 0);
	capability_put(0x60, 9, 0x10); /* into the header */
	CU_ASSERT_EQUAL(pci_find_capability(&first, 0x10, 0), 0);
}

static void test_bars(void)
{
	hpa_t at;

	start(true);
	function_put(0, 3, 0, 0x10421af4, 0);
	put32(config(0, 3, 0) + 0x10, 0xc001);
	put32(config(0, 3, 0) + 0x14, 0xfe001008);
	put32(config(0, 3, 0) + 0x18, 0xd000000c);
	put32(config(0, 3, 0) + 0x1c, 0x00000012);
	put32(config(0, 3, 0) + 0x24, 0xd0000004);
	CU_ASSERT_FALSE(pci_bar_address(&first, 0, &at));
	CU_ASSERT(pci_bar_address(&first, 1, &at));
	CU_ASSERT_EQUAL(at.v, 0xfe001000);
	CU_ASSERT(pci_bar_address(&first, 2, &at));
	CU_ASSERT_EQUAL(at.v, 0x12d0000000);
	CU_ASSERT_FALSE(pci_bar_address(&first, 4, &at)); /* no address */
	CU_ASSERT_FALSE(pci_bar_address(&first, 5, &at)); /* its upper half would be no BAR */
	CU_ASSERT_FALSE(pci_bar_address(&first, 6, &at));
}

static void test_enable(void)
{
	start(true);
	function_put(0, 3, 0, 0x10421af4, 0);
	put32(config(0, 3, 0) + 4, 0xf9000001);
	pci_enable(&first);
	CU_ASSERT_EQUAL(get32(config(0, 3, 0) + 4), 0x407); /* no status bit is written as one */
	pci_disable(&first);
	CU_ASSERT_EQUAL(get32(config(0, 3, 0) + 4), 0x403);
}

/* As firmware leaves them: decoding and mastering on. */
static uint8_t *running_put(uint32_t bus, uint32_t device, uint32_t id, uint8_t header, uint32_t class)
{
	uint8_t *at = config(bus, device, 0);

	function_put(bus, device, 0, id, header);
	put32(at + 4, 0xf9000007);
	put32(at + 8, class << 8);
	return at;
}

/* Who has no driver reaches no memory. */
static void check_mastering(bool with_ecam)
{
	const uint8_t *host_bridge, *disk, *second, *display, *bridge, *cardbus, *isa, *behind, *other_root, *idle;

	start(with_ecam);
	host_bridge = running_put(0, 0, 0x29c08086, 0, 0x060000);
	disk = running_put(0, 3, 0x10421af4, 0x80, 0x010000);
	function_put(0, 3, 7, 0x10421af4, 0);
	second = config(0, 3, 7);
	put32(config(0, 3, 7) + 4, 0x6);
	display = running_put(0, 4, 0x11111234, 0, 0x030000);
	bridge = running_put(0, 5, 0x00011234, 1, 0xff0000);
	config(0, 5, 0)[0x19] = 1;
	cardbus = running_put(0, 6, 0x00021234, 2, 0x060700);
	isa = running_put(0, 31, 0x29188086, 0, 0x060100);
	idle = running_put(0, 30, 0x10001234, 0, 0x020000);
	put32(config(0, 30, 0) + 4, 0xf9000003);
	behind = running_put(1, 31, 0x10d38086, 0, 0x020000);
	other_root = running_put(3, 2, 0x10d38086, 0, 0x0c0330);
	CU_ASSERT_EQUAL(pci_init(), with_ecam);
	CU_ASSERT_EQUAL(get32(disk + 4), 3); /* decoding stays; no status bit is written as one */
	CU_ASSERT_EQUAL(get32(second + 4), 2);
	CU_ASSERT_EQUAL(get32(display + 4), 3);
	CU_ASSERT_EQUAL(get32(behind + 4), 3);
	CU_ASSERT_EQUAL(get32(other_root + 4), 3); /* on a bus to which no bridge leads */
	CU_ASSERT_EQUAL(get32(idle + 4), 0xf9000003); /* not written */
	CU_ASSERT_EQUAL(get32(host_bridge + 4), 0xf9000007);
	CU_ASSERT_EQUAL(get32(bridge + 4), 0xf9000007);
	CU_ASSERT_EQUAL(get32(cardbus + 4), 0xf9000007);
	CU_ASSERT_EQUAL(get32(isa + 4), 0xf9000007);
	pci_enable(&first); /* its driver has come */
	CU_ASSERT_EQUAL(get32(disk + 4) & 4, 4);
	CU_ASSERT_EQUAL(get32(display + 4) & 4, 0);
}

static void test_mastering_is_off(void)
{
	check_mastering(true);
	check_mastering(false);
}

static void test_msix(void)
{
	struct pci_msix msix;
	uint8_t *at;

	start(true);
	function_put(0, 3, 0, 0x10421af4, 0);
	at = config(0, 3, 0);
	put32(at + 0x10, BAR_BASE & 0xffffffffu);
	CU_ASSERT_FALSE(pci_msix_open(&first, &msix));
	at[6] = 0x10;
	at[0x34] = 0x40;
	put32(at + 0x40, 0x00020011); /* three entries */
	put32(at + 0x44, 0x1000);
	CU_ASSERT(pci_msix_open(&first, &msix));
	CU_ASSERT_EQUAL(msix.entry_count, 3);
	CU_ASSERT_EQUAL(get32(at + 0x40), 0xc0020011);
	pci_msix_set(&msix, 2, 0x1fee01000ull, 0x41);
	CU_ASSERT_EQUAL(get32(bar_memory + 0x1020), 0xfee01000);
	CU_ASSERT_EQUAL(get32(bar_memory + 0x1024), 1);
	CU_ASSERT_EQUAL(get32(bar_memory + 0x1028), 0x41);
	CU_ASSERT_EQUAL(get32(bar_memory + 0x102c), 0);
	CU_ASSERT_EQUAL(get32(bar_memory + 0x101c), UINT32_MAX);
	CU_ASSERT_EQUAL(get32(bar_memory + 0x1030), UINT32_MAX);
	pci_msix_enable(&first, &msix);
	CU_ASSERT_EQUAL(get32(at + 0x40), 0x80020011);
	put32(at + 0x44, 0x1ff0); /* beyond what can be mapped */
	CU_ASSERT_FALSE(pci_msix_open(&first, &msix));
	put32(at + 0x44, 0x1001); /* a BAR that is not there */
	CU_ASSERT_FALSE(pci_msix_open(&first, &msix));
}

UNIT_MAIN("pci", UNIT_TEST(test_find_by_ecam), UNIT_TEST(test_find_by_ports), UNIT_TEST(test_mcfg_rows),
          UNIT_TEST(test_sizes), UNIT_TEST(test_capabilities), UNIT_TEST(test_bars), UNIT_TEST(test_enable),
          UNIT_TEST(test_mastering_is_off), UNIT_TEST(test_msix))

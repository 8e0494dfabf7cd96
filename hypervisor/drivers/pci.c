/*
 * pci.c - finding the host's PCI functions and reading what they say of themselves. Contract: pci.h.
 *
 * Configuration space is read and written in words of 32 bits, by ECAM or by ports. BARs are where firmware
 * put them: nothing is moved.
 */
#include "hypervisor/drivers/pci.h"

#include "base/bits.h"
#include "base/lock.h"
#include "base/mem.h"
#include "hypervisor/arch/x86/host.h"

#define PORT_ADDRESS 0xcf8u
#define PORT_DATA 0xcfcu
#define PORT_ENABLE BIT(31)

#define BUS_COUNT 256u
#define DEVICES_A_BUS 32u
#define FUNCTIONS_A_DEVICE 8u

/* Offsets in configuration space. */
#define CFG_ID 0x00u
#define CFG_COMMAND 0x04u
#define CFG_CLASS 0x08u
#define CFG_HEADER 0x0cu
#define CFG_BAR 0x10u
#define CFG_BUSES 0x18u
#define CFG_CAPABILITIES 0x34u

#define COMMAND_MEMORY BIT(1)
#define COMMAND_MASTER BIT(2)
#define COMMAND_NO_INTX BIT(10)
#define COMMAND_MASK 0xffffu
#define STATUS_CAPABILITIES BIT(20) /* in the word of CFG_COMMAND */

#define HEADER_ENDPOINT 0u
#define HEADER_BRIDGE 1u
#define HEADER_MULTI 0x80u

#define CLASS_BRIDGE 0x06u /* the upper byte: host, ISA and other bridges, whatever their header */

#define BAR_IO BIT(0)
#define BAR_TYPE 0x6u
#define BAR_TYPE_64 0x4u
#define BAR_FLAGS 0xfu

/* In the first word of an MSI-X capability: Message Control is its upper half. */
#define MSIX_ENABLE BIT(31)
#define MSIX_MASK_ALL BIT(30)
#define MSIX_SIZE(word) (((word) >> 16 & 0x7ffu) + 1)
#define MSIX_BIR 0x7u
#define MSIX_WORDS 4u
#define MSIX_ENTRY_BYTES 16u

/* PCI Firmware 3.2, table 4-2 and 4-3. */
#define MCFG_HEADER_BYTES 44u
struct mcfg_row {
	uint64_t base; /* of bus 0, even if start_bus is another */
	uint16_t segment;
	uint8_t start_bus;
	uint8_t end_bus;
	uint32_t reserved;
} PACKED;
_Static_assert(sizeof(struct mcfg_row) == 16, "mcfg_row");

static struct {
	volatile uint8_t *ecam; /* of start_bus; NULL: the ports */
	uint32_t start_bus;
	uint32_t end_bus;
	struct spinlock port_lock; /* RANK_HOST_DEVICE */
} pci;

/* ------------------------------------------------------------------ configuration space */

/* Some AMD CPUs want EAX for ECAM (BKDG of family 10h, 2.11). */
static uint32_t ecam_read(const volatile void *at)
{
	uint32_t value;

	__asm__ volatile("movl (%1), %0" : "=a"(value) : "r"(at) : "memory");
	return value;
}

static void ecam_write(volatile void *at, uint32_t value)
{
	__asm__ volatile("movl %0, (%1)" : : "a"(value), "r"(at) : "memory");
}

static volatile uint8_t *ecam_at(const struct pci_function *at, uint32_t offset)
{
	uint32_t function = (uint32_t)at->device << 15 | (uint32_t)at->function << 12;

	return pci.ecam + ((uint64_t)(at->bus - pci.start_bus) << 20) + function + (offset & 0xfcu);
}

static uint32_t port_address(const struct pci_function *at, uint32_t offset)
{
	return PORT_ENABLE | (uint32_t)at->bus << 16 | (uint32_t)at->device << 11 |
	       (uint32_t)at->function << 8 | (offset & 0xfcu);
}

static bool is_reached(const struct pci_function *at)
{
	return at->bus >= pci.start_bus && at->bus <= pci.end_bus;
}

uint32_t pci_read32(const struct pci_function *at, uint32_t offset)
{
	uint32_t value;

	if (!is_reached(at)) {
		return UINT32_MAX;
	}
	if (pci.ecam != NULL) {
		return ecam_read(ecam_at(at, offset));
	}
	spin_lock(&pci.port_lock);
	port_write32(PORT_ADDRESS, port_address(at, offset));
	value = port_read32(PORT_DATA);
	spin_unlock(&pci.port_lock);
	return value;
}

uint16_t pci_read16(const struct pci_function *at, uint32_t offset)
{
	return (uint16_t)(pci_read32(at, offset) >> (offset & 2u) * 8);
}

uint8_t pci_read8(const struct pci_function *at, uint32_t offset)
{
	return (uint8_t)(pci_read32(at, offset) >> (offset & 3u) * 8);
}

void pci_write32(const struct pci_function *at, uint32_t offset, uint32_t value)
{
	if (!is_reached(at)) {
		return;
	}
	if (pci.ecam != NULL) {
		ecam_write(ecam_at(at, offset), value);
		return;
	}
	spin_lock(&pci.port_lock);
	port_write32(PORT_ADDRESS, port_address(at, offset));
	port_write32(PORT_DATA, value);
	spin_unlock(&pci.port_lock);
}

static bool ecam_take(const struct mcfg_row *row)
{
	uint64_t start = row->base + ((uint64_t)row->start_bus << 20);
	uint64_t bytes = ((uint64_t)row->end_bus - row->start_bus + 1) << 20;

	if (row->segment != 0 || row->end_bus < row->start_bus) {
		return false;
	}
	pci.ecam = host_mmio_map(hpa(start), bytes);
	pci.start_bus = row->start_bus;
	pci.end_bus = row->end_bus;
	return pci.ecam != NULL;
}

/* ------------------------------------------------------------------ enumeration */

/* Is shown each function that is there; @type is that of its header. */
typedef void (*function_visit)(void *context, const struct pci_function *at, uint32_t type);

/* The header type; 0 for a function that is not there. */
static uint32_t function_look(struct pci_function *at, function_visit visit, void *context)
{
	uint32_t id = pci_read32(at, CFG_ID);
	uint32_t header;

	if ((id & 0xffffu) == 0xffffu || id == 0) {
		return 0;
	}
	at->vendor_id = (uint16_t)id;
	at->device_id = (uint16_t)(id >> 16);
	header = pci_read8(at, CFG_HEADER + 2);
	visit(context, at, header & ~HEADER_MULTI);
	return header;
}

static void bus_look(uint32_t bus, function_visit visit, void *context)
{
	for (uint32_t device = 0; device < DEVICES_A_BUS; device++) {
		struct pci_function at = {.bus = (uint8_t)bus, .device = (uint8_t)device};
		uint32_t header = function_look(&at, visit, context);

		for (uint32_t i = 1; i < FUNCTIONS_A_DEVICE && (header & HEADER_MULTI) != 0; i++) {
			at.function = (uint8_t)i;
			(void)function_look(&at, visit, context);
		}
	}
}

struct scan {
	uint64_t buses[BUS_COUNT / 64]; /* to be looked at: only ever higher ones are added, so it ends */
	uint16_t vendor_id;
	struct pci_function *found;
	uint32_t found_max;
	uint32_t found_count;
};

static void bus_add(struct scan *scan, uint32_t bus)
{
	scan->buses[bus / 64] |= BIT64(bus % 64);
}

static void bridge_look(struct scan *scan, const struct pci_function *at)
{
	uint32_t secondary = pci_read8(at, CFG_BUSES + 1);

	if (secondary > at->bus) {
		bus_add(scan, secondary);
	}
}

static void find_visit(void *context, const struct pci_function *at, uint32_t type)
{
	struct scan *scan = context;

	if (type == HEADER_BRIDGE) {
		bridge_look(scan, at);
	} else if (at->vendor_id == scan->vendor_id) {
		if (scan->found_count < scan->found_max) {
			scan->found[scan->found_count] = *at;
		}
		scan->found_count++;
	}
}

uint32_t pci_find(uint16_t vendor_id, struct pci_function *found, uint32_t max)
{
	struct scan scan = {.vendor_id = vendor_id, .found = found, .found_max = max};

	bus_add(&scan, pci.start_bus);
	for (uint32_t bus = pci.start_bus; bus <= pci.end_bus; bus++) {
		if ((scan.buses[bus / 64] >> bus % 64 & 1) != 0) {
			bus_look(bus, find_visit, &scan);
		}
	}
	return scan.found_count;
}

/* ------------------------------------------------------------------ capabilities and BARs */

uint8_t pci_find_capability(const struct pci_function *at, uint8_t id, uint8_t after)
{
	uint8_t offset = pci_read8(at, CFG_CAPABILITIES);
	bool is_behind = after == 0;

	if ((pci_read32(at, CFG_COMMAND) & STATUS_CAPABILITIES) == 0) {
		return 0;
	}
	for (uint32_t i = 0; i < 48 && offset >= 0x40; i++) {
		uint32_t head;

		offset &= 0xfcu;
		head = pci_read32(at, offset);
		if (is_behind && (head & 0xffu) == id) {
			return offset;
		}
		is_behind = is_behind || offset == after;
		offset = (uint8_t)(head >> 8);
	}
	return 0;
}

bool pci_bar_address(const struct pci_function *at, uint32_t bar, hpa_t *address)
{
	uint32_t low = bar <= 5 ? pci_read32(at, CFG_BAR + bar * 4) : BAR_IO;

	if ((low & BAR_IO) != 0 || (bar == 5 && (low & BAR_TYPE) == BAR_TYPE_64)) {
		return false;
	}
	address->v = low & ~BAR_FLAGS;
	if ((low & BAR_TYPE) == BAR_TYPE_64) {
		address->v |= (uint64_t)pci_read32(at, CFG_BAR + bar * 4 + 4) << 32;
	}
	return address->v != 0;
}

/* The upper half is Status, whose bits are cleared by ones: it gets zeros. */
static void command_set(const struct pci_function *at, uint32_t clear, uint32_t set)
{
	uint32_t command = pci_read32(at, CFG_COMMAND) & COMMAND_MASK;

	pci_write32(at, CFG_COMMAND, (command & ~clear) | set);
}

void pci_enable(const struct pci_function *at)
{
	command_set(at, 0, COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX);
}

void pci_disable(const struct pci_function *at)
{
	command_set(at, COMMAND_MASTER, 0);
}

/*
 * What firmware left running must not write to memory that is a guest's now. A bridge keeps its bit: it forwards
 * the requests of those behind it.
 */
static void quiet_visit(void *context, const struct pci_function *at, uint32_t type)
{
	(void)context;
	if (type == HEADER_ENDPOINT && pci_read8(at, CFG_CLASS + 3) != CLASS_BRIDGE &&
	    (pci_read32(at, CFG_COMMAND) & COMMAND_MASTER) != 0) {
		pci_disable(at);
	}
}

/* Each bus in reach: a second host bridge's are behind no bridge that can be followed. */
static void endpoints_quiet(void)
{
	for (uint32_t bus = pci.start_bus; bus <= pci.end_bus; bus++) {
		bus_look(bus, quiet_visit, NULL);
	}
}

static bool ecam_find(void)
{
	size_t bytes = 0;
	const uint8_t *table = host_acpi_table("MCFG", &bytes);
	struct mcfg_row row;

	for (size_t at = MCFG_HEADER_BYTES; table != NULL && range_fits(at, sizeof(row), bytes);
	     at += sizeof(row)) {
		memcpy(&row, table + at, sizeof(row));
		if (ecam_take(&row)) {
			return true;
		}
	}
	return false;
}

bool pci_init(void)
{
	bool has_ecam;

	spin_init(&pci.port_lock, RANK_HOST_DEVICE);
	has_ecam = ecam_find();
	if (!has_ecam) {
		pci.ecam = NULL;
		pci.start_bus = 0;
		pci.end_bus = BUS_COUNT - 1;
	}
	endpoints_quiet();
	return has_ecam;
}

/* ------------------------------------------------------------------ MSI-X (PCI 3.0, 6.8.2) */

bool pci_msix_open(const struct pci_function *at, struct pci_msix *msix)
{
	uint8_t capability = pci_find_capability(at, PCI_CAP_MSIX, 0);
	uint32_t control;
	uint32_t table;
	hpa_t bar;

	if (capability == 0) {
		return false;
	}
	control = pci_read32(at, capability);
	table = pci_read32(at, capability + 4u);
	if (!pci_bar_address(at, table & MSIX_BIR, &bar)) {
		return false;
	}
	msix->capability = capability;
	msix->entry_count = MSIX_SIZE(control);
	msix->table = host_mmio_map(hpa(bar.v + (table & ~MSIX_BIR)),
	                            (uint64_t)msix->entry_count * MSIX_ENTRY_BYTES);
	if (msix->table == NULL) {
		return false;
	}
	pci_write32(at, capability, control | MSIX_ENABLE | MSIX_MASK_ALL);
	return true;
}

void pci_msix_set(const struct pci_msix *msix, uint32_t index, uint64_t address, uint32_t data)
{
	volatile uint32_t *entry = msix->table + (uint64_t)index * MSIX_WORDS;

	entry[0] = (uint32_t)address;
	entry[1] = (uint32_t)(address >> 32);
	entry[2] = data;
	entry[3] = 0; /* not masked */
}

void pci_msix_enable(const struct pci_function *at, const struct pci_msix *msix)
{
	uint32_t control = pci_read32(at, msix->capability);

	pci_write32(at, msix->capability, (control | MSIX_ENABLE) & ~MSIX_MASK_ALL);
}

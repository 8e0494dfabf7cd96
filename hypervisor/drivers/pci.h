/*
 * pci.h - the host's PCI functions: configuration space, capabilities, BARs as firmware set them, MSI-X.
 *
 * PCI Local Bus 3.0, PCI Express Base 5.0 (7.2.2: ECAM), PCI Firmware 3.2 (4.1.2: MCFG). Segment 0 only.
 * The reach through the ports 0xCF8/0xCFC has a lock of rank RANK_HOST_DEVICE: callers hold none of that
 * rank. Finding, mapping and set-up are the boot CPU's, before guests run.
 */
#ifndef DRIVERS_PCI_H
#define DRIVERS_PCI_H

#include "base/addr.h"
#include "base/compiler.h"

#define PCI_CAP_VENDOR 0x09u
#define PCI_CAP_MSIX 0x11u

struct pci_function {
	uint8_t bus;
	uint8_t device;
	uint8_t function;
	uint16_t vendor_id;
	uint16_t device_id;
};

struct pci_msix {
	volatile uint32_t *table; /* four words an entry */
	uint32_t entry_count;
	uint8_t capability;
};

/*
 * Chooses ECAM if the firmware describes it for segment 0, else the ports, and turns bus mastering off in every
 * endpoint on a bus in reach (bridges of any kind keep theirs): pci_enable() gives it to those that a driver claims.
 * True: ECAM. Once, before anything is claimed.
 */
bool pci_init(void);

/*
 * Looks at each bus that the bridges lead to, each once, and fills @found with at most @max functions of
 * @vendor_id. Returns how many there are, which may be more.
 */
uint32_t pci_find(uint16_t vendor_id, struct pci_function *found, uint32_t max);

/* Configuration space; @offset is below 256, aligned to the size. What is absent reads as all ones. */
uint32_t pci_read32(const struct pci_function *at, uint32_t offset);
uint16_t pci_read16(const struct pci_function *at, uint32_t offset);
uint8_t pci_read8(const struct pci_function *at, uint32_t offset);
void pci_write32(const struct pci_function *at, uint32_t offset, uint32_t value);

/*
 * The offset of the first capability @id behind @after (0: of all); 0 if there is none. Ends on any list.
 */
uint8_t pci_find_capability(const struct pci_function *at, uint8_t id, uint8_t after);

/* Where memory BAR @bar (0 to 5) lies. False if it is none, or was given no address. */
MUST_CHECK bool pci_bar_address(const struct pci_function *at, uint32_t bar, hpa_t *address);

/*
 * Memory decoding and bus mastering on, INTx off; or bus mastering off, so that the device reaches no
 * memory any more: pci_disable() may be called on any CPU, at any time.
 */
void pci_enable(const struct pci_function *at);
void pci_disable(const struct pci_function *at);

/*
 * Maps the MSI-X table and masks all of it as a whole. False if the function has none, or it cannot be
 * reached.
 */
MUST_CHECK bool pci_msix_open(const struct pci_function *at, struct pci_msix *msix);
/* Entry @index (below entry_count) sends this message from pci_msix_enable() on. */
void pci_msix_set(const struct pci_msix *msix, uint32_t index, uint64_t address, uint32_t data);
void pci_msix_enable(const struct pci_function *at, const struct pci_msix *msix);

#endif /* DRIVERS_PCI_H */

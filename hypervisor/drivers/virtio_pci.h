/*
 * virtio_pci.h - a virtio 1.x device on PCI, by its modern capabilities (virtio 1.2, 4.1): registers,
 * features, one queue, two MSI-X messages.
 *
 * Set-up is the boot CPU's. Later: notify and reset, under rules of their own below.
 */
#ifndef DRIVERS_VIRTIO_PCI_H
#define DRIVERS_VIRTIO_PCI_H

#include "hypervisor/drivers/pci.h"
#include "hypervisor/drivers/virtio_ring.h"

#define VIRTIO_PCI_VENDOR 0x1af4u

#define VIRTIO_F_VERSION_1 32u
#define VIRTIO_F_ACCESS_PLATFORM 33u

#define VIRTIO_STATUS_ACKNOWLEDGE 1u
#define VIRTIO_STATUS_DRIVER 2u
#define VIRTIO_STATUS_DRIVER_OK 4u
#define VIRTIO_STATUS_FEATURES_OK 8u
#define VIRTIO_STATUS_NEEDS_RESET 64u
#define VIRTIO_STATUS_FAILED 128u

struct virtio_pci {
	struct pci_function at;
	volatile uint8_t *common;
	volatile uint8_t *notify;
	volatile uint8_t *config; /* the device's own */
	volatile uint8_t *doorbell;
	uint32_t notify_bytes;
	uint32_t notify_multiplier;
	uint32_t config_bytes;
	struct pci_msix msix;
	bool has_msix;
};

/*
 * Finds and maps the device's structures, turns it on and resets it. False: no modern device, or it cannot
 * be reached; *@why says so.
 */
MUST_CHECK bool virtio_pci_open(struct virtio_pci *device, const struct pci_function *at, const char **why);

/* Accepts those of @wanted that are offered, of which @needed must be. Bits by number. */
MUST_CHECK bool virtio_pci_negotiate(struct virtio_pci *device, uint64_t wanted, uint64_t needed,
                                     uint64_t *accepted, const char **why);

/*
 * Messages to @cpu: table entry 0, for the queue, runs @on_queue, entry 1, for the configuration,
 * @on_config, each in interrupt context. False: there will be none, the queue is to be polled.
 */
MUST_CHECK bool virtio_pci_route(struct virtio_pci *device, unsigned int cpu, void (*on_queue)(void *context),
                                 void (*on_config)(void *context), void *context);

/* Sets up queue 0 over @memory with the largest size up to VIRTIO_RING_SIZE_MAX that the device has. */
MUST_CHECK bool virtio_pci_queue_open(struct virtio_pci *device, struct virtio_ring *ring,
                                      struct virtio_ring_memory *memory, bool with_message, const char **why);

/* DRIVER_OK: from here on the device works. */
void virtio_pci_start(struct virtio_pci *device);

/* Rings queue 0's doorbell. Any CPU. */
void virtio_pci_notify(struct virtio_pci *device);

/* The status register; all ones if the device is gone. Any CPU. */
uint8_t virtio_pci_status(struct virtio_pci *device);

/*
 * Stops the device for good: reset, and no bus mastering. Any CPU, with no lock of RANK_HOST_DEVICE. At
 * most 10 ms.
 */
void virtio_pci_stop(struct virtio_pci *device);

/* The device's own configuration; @offset aligned. Beyond its end: 0. */
uint32_t virtio_pci_config32(struct virtio_pci *device, uint32_t offset);
uint64_t virtio_pci_config64(struct virtio_pci *device, uint32_t offset);

#endif /* DRIVERS_VIRTIO_PCI_H */

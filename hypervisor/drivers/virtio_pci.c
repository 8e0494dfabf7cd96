/*
 * virtio_pci.c - initialisation as virtio 1.2, 3.1.1 and 4.1.5 order it. Contract: virtio_pci.h.
 */
#include "hypervisor/drivers/virtio_pci.h"

#include "base/bits.h"
#include "hypervisor/arch/x86/host.h"
#include "hypervisor/drivers/virtio_reg.h"

/* struct virtio_pci_cap (4.1.4), in configuration space. */
#define CAP_LENGTH 2u
#define CAP_TYPE 3u
#define CAP_BAR 4u
#define CAP_OFFSET 8u
#define CAP_BYTES 12u
#define CAP_MULTIPLIER 16u /* of a notify capability */

#define CAP_COMMON_CFG 1u
#define CAP_NOTIFY_CFG 2u
#define CAP_DEVICE_CFG 4u
#define CAPABILITIES_MAX 48u

/* struct virtio_pci_common_cfg (4.1.4.3). */
#define COMMON_DEVICE_FEATURE_SELECT 0u
#define COMMON_DEVICE_FEATURE 4u
#define COMMON_DRIVER_FEATURE_SELECT 8u
#define COMMON_DRIVER_FEATURE 12u
#define COMMON_CONFIG_MSIX_VECTOR 16u
#define COMMON_DEVICE_STATUS 20u
#define COMMON_CONFIG_GENERATION 21u
#define COMMON_QUEUE_SELECT 22u
#define COMMON_QUEUE_SIZE 24u
#define COMMON_QUEUE_MSIX_VECTOR 26u
#define COMMON_QUEUE_ENABLE 28u
#define COMMON_QUEUE_NOTIFY_OFF 30u
#define COMMON_QUEUE_DESC 32u
#define COMMON_QUEUE_DRIVER 40u
#define COMMON_QUEUE_DEVICE 48u
#define COMMON_BYTES 56u

#define NO_VECTOR 0xffffu
#define MESSAGE_QUEUE 0u
#define MESSAGE_CONFIG 1u
#define MESSAGE_COUNT 2u

#define RESET_LOOKS 1000u
#define RESET_LOOK_US 10u
#define GENERATION_LOOKS 16u

/* ------------------------------------------------------------------ where things are */

static volatile uint8_t *structure_map(const struct pci_function *at, uint8_t cap, uint32_t *bytes)
{
	uint32_t offset = pci_read32(at, cap + CAP_OFFSET);
	hpa_t bar;

	*bytes = pci_read32(at, cap + CAP_BYTES);
	if (!pci_bar_address(at, pci_read8(at, cap + CAP_BAR), &bar)) {
		return NULL;
	}
	return host_mmio_map(hpa(bar.v + offset), *bytes);
}

/* Takes one capability; the first usable one of a type counts (4.1.4.1). */
static void structure_take(struct virtio_pci *device, uint8_t cap)
{
	uint32_t bytes = 0;

	switch (pci_read8(&device->at, cap + CAP_TYPE)) {
	case CAP_COMMON_CFG:
		if (device->common == NULL && pci_read32(&device->at, cap + CAP_BYTES) >= COMMON_BYTES) {
			device->common = structure_map(&device->at, cap, &bytes);
		}
		break;
	case CAP_NOTIFY_CFG:
		if (device->notify == NULL) {
			device->notify = structure_map(&device->at, cap, &device->notify_bytes);
			device->notify_multiplier = pci_read32(&device->at, cap + CAP_MULTIPLIER);
		}
		break;
	case CAP_DEVICE_CFG:
		if (device->config == NULL) {
			device->config = structure_map(&device->at, cap, &device->config_bytes);
		}
		break;
	default:
		break; /* ISR: for INTx only; others are not needed */
	}
}

static bool structures_find(struct virtio_pci *device)
{
	uint8_t cap = pci_find_capability(&device->at, PCI_CAP_VENDOR, 0);

	for (uint32_t i = 0; cap != 0 && i < CAPABILITIES_MAX; i++) {
		/* A longer one would wrap in its 8-bit offset. */
		if (cap <= 0xe8u) {
			structure_take(device, cap);
		}
		cap = pci_find_capability(&device->at, PCI_CAP_VENDOR, cap);
	}
	return device->common != NULL && device->notify != NULL && device->config != NULL;
}

/* ------------------------------------------------------------------ status and features */

uint8_t virtio_pci_status(struct virtio_pci *device)
{
	return virtio_reg_read8(device->common + COMMON_DEVICE_STATUS);
}

static void status_add(struct virtio_pci *device, uint8_t bits)
{
	virtio_reg_write8(device->common + COMMON_DEVICE_STATUS, (uint8_t)(virtio_pci_status(device) | bits));
}

static bool device_reset(struct virtio_pci *device)
{
	virtio_reg_write8(device->common + COMMON_DEVICE_STATUS, 0);
	for (uint32_t i = 0; i < RESET_LOOKS; i++) {
		if (virtio_pci_status(device) == 0) {
			return true;
		}
		host_delay_us(RESET_LOOK_US);
	}
	return false;
}

bool virtio_pci_open(struct virtio_pci *device, const struct pci_function *at, const char **why)
{
	*device = (struct virtio_pci){.at = *at};
	if (!structures_find(device)) {
		*why = "it has no virtio 1.x registers that can be reached";
		return false;
	}
	device->has_msix = pci_msix_open(at, &device->msix);
	pci_enable(at);
	if (!device_reset(device)) {
		*why = "it does not answer to a reset";
		return false;
	}
	status_add(device, VIRTIO_STATUS_ACKNOWLEDGE);
	status_add(device, VIRTIO_STATUS_DRIVER);
	return true;
}

static uint64_t features_offered(struct virtio_pci *device)
{
	uint64_t low;

	virtio_reg_write32(device->common + COMMON_DEVICE_FEATURE_SELECT, 0);
	low = virtio_reg_read32(device->common + COMMON_DEVICE_FEATURE);
	virtio_reg_write32(device->common + COMMON_DEVICE_FEATURE_SELECT, 1);
	return low | (uint64_t)virtio_reg_read32(device->common + COMMON_DEVICE_FEATURE) << 32;
}

bool virtio_pci_negotiate(struct virtio_pci *device, uint64_t wanted, uint64_t needed, uint64_t *accepted,
                          const char **why)
{
	*accepted = features_offered(device) & wanted;
	if ((*accepted & needed) != needed) {
		*why = "it does not offer virtio 1.x";
		return false;
	}
	virtio_reg_write32(device->common + COMMON_DRIVER_FEATURE_SELECT, 0);
	virtio_reg_write32(device->common + COMMON_DRIVER_FEATURE, (uint32_t)*accepted);
	virtio_reg_write32(device->common + COMMON_DRIVER_FEATURE_SELECT, 1);
	virtio_reg_write32(device->common + COMMON_DRIVER_FEATURE, (uint32_t)(*accepted >> 32));
	status_add(device, VIRTIO_STATUS_FEATURES_OK);
	if ((virtio_pci_status(device) & VIRTIO_STATUS_FEATURES_OK) == 0) {
		*why = "it refuses the features it offered";
		return false;
	}
	return true;
}

/* ------------------------------------------------------------------ interrupts */

static bool message_route(struct virtio_pci *device, uint32_t index, unsigned int cpu,
                          void (*handler)(void *context), void *context)
{
	int vector = host_irq_alloc(handler, context);
	uint64_t address;
	uint32_t data;

	if (vector < 0 || !host_msi_compose((unsigned int)vector, cpu, &address, &data)) {
		return false;
	}
	pci_msix_set(&device->msix, index, address, data);
	return true;
}

bool virtio_pci_route(struct virtio_pci *device, unsigned int cpu, void (*on_queue)(void *context),
                      void (*on_config)(void *context), void *context)
{
	uint16_t message = NO_VECTOR;

	if (!device->has_msix || !message_route(device, MESSAGE_QUEUE, cpu, on_queue, context)) {
		return false;
	}
	if (device->msix.entry_count >= MESSAGE_COUNT &&
	    message_route(device, MESSAGE_CONFIG, cpu, on_config, context)) {
		message = MESSAGE_CONFIG;
	}
	virtio_reg_write16(device->common + COMMON_CONFIG_MSIX_VECTOR, message);
	pci_msix_enable(&device->at, &device->msix);
	return true;
}

/* ------------------------------------------------------------------ the queue */

static void address_write(volatile uint8_t *at, const void *memory)
{
	uint64_t address = host_hpa_of(memory).v;

	virtio_reg_write32(at, (uint32_t)address);
	virtio_reg_write32(at + 4, (uint32_t)(address >> 32));
}

/* The largest power of two that both sides can have; 0 if the device has no such queue. */
static uint16_t queue_size_choose(struct virtio_pci *device)
{
	uint16_t most = virtio_reg_read16(device->common + COMMON_QUEUE_SIZE);

	if (most == 0) {
		return 0;
	}
	most = most < VIRTIO_RING_SIZE_MAX ? most : VIRTIO_RING_SIZE_MAX;
	return (uint16_t)BIT(bit_highest(most));
}

static bool doorbell_find(struct virtio_pci *device)
{
	uint64_t offset = (uint64_t)virtio_reg_read16(device->common + COMMON_QUEUE_NOTIFY_OFF) *
	                  device->notify_multiplier;

	if (!range_fits(offset, sizeof(uint16_t), device->notify_bytes)) {
		return false;
	}
	device->doorbell = device->notify + offset;
	return true;
}

bool virtio_pci_queue_open(struct virtio_pci *device, struct virtio_ring *ring,
                           struct virtio_ring_memory *memory, bool with_message, const char **why)
{
	volatile uint8_t *common = device->common;
	uint16_t message = with_message ? MESSAGE_QUEUE : NO_VECTOR;
	uint16_t size;

	virtio_reg_write16(common + COMMON_QUEUE_SELECT, 0);
	size = queue_size_choose(device);
	if (size == 0 || !doorbell_find(device)) {
		*why = "its queue is not there or has no doorbell";
		return false;
	}
	virtio_ring_init(ring, memory, size);
	virtio_reg_write16(common + COMMON_QUEUE_SIZE, size);
	virtio_reg_write16(common + COMMON_QUEUE_MSIX_VECTOR, message);
	if (virtio_reg_read16(common + COMMON_QUEUE_MSIX_VECTOR) != message) {
		*why = "it has no resources for an interrupt";
		return false;
	}
	address_write(common + COMMON_QUEUE_DESC, memory->desc);
	address_write(common + COMMON_QUEUE_DRIVER, &memory->avail);
	address_write(common + COMMON_QUEUE_DEVICE, &memory->used);
	virtio_reg_write16(common + COMMON_QUEUE_ENABLE, 1);
	return true;
}

void virtio_pci_start(struct virtio_pci *device)
{
	status_add(device, VIRTIO_STATUS_DRIVER_OK);
}

void virtio_pci_notify(struct virtio_pci *device)
{
	virtio_reg_write16(device->doorbell, 0);
}

void virtio_pci_stop(struct virtio_pci *device)
{
	(void)device_reset(device);
	pci_disable(&device->at);
}

/* ------------------------------------------------------------------ the device's configuration */

uint32_t virtio_pci_config32(struct virtio_pci *device, uint32_t offset)
{
	if (!range_fits(offset, sizeof(uint32_t), device->config_bytes)) {
		return 0;
	}
	return virtio_reg_read32(device->config + offset);
}

/* Both halves of one generation (2.5.1). */
uint64_t virtio_pci_config64(struct virtio_pci *device, uint32_t offset)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < GENERATION_LOOKS; i++) {
		uint8_t generation = virtio_reg_read8(device->common + COMMON_CONFIG_GENERATION);

		value = virtio_pci_config32(device, offset) |
		        (uint64_t)virtio_pci_config32(device, offset + 4) << 32;
		if (virtio_reg_read8(device->common + COMMON_CONFIG_GENERATION) == generation) {
			break;
		}
	}
	return value;
}

/*
 * virtio_reg.c - the registers of a device that is there: uncached memory. Contract: virtio_reg.h.
 */
#include "hypervisor/drivers/virtio_reg.h"

uint8_t virtio_reg_read8(const volatile uint8_t *at)
{
	return *at;
}

uint16_t virtio_reg_read16(const volatile uint8_t *at)
{
	return *(const volatile uint16_t *)(const volatile void *)at;
}

uint32_t virtio_reg_read32(const volatile uint8_t *at)
{
	return *(const volatile uint32_t *)(const volatile void *)at;
}

void virtio_reg_write8(volatile uint8_t *at, uint8_t value)
{
	*at = value;
}

void virtio_reg_write16(volatile uint8_t *at, uint16_t value)
{
	*(volatile uint16_t *)(volatile void *)at = value;
}

void virtio_reg_write32(volatile uint8_t *at, uint32_t value)
{
	*(volatile uint32_t *)(volatile void *)at = value;
}

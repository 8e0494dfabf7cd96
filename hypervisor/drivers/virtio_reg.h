/*
 * virtio_reg.h - loads and stores of a virtio device's registers, each one access of its size.
 *
 * A file of its own, so that a test can link a model of a device in its place. Any CPU.
 */
#ifndef DRIVERS_VIRTIO_REG_H
#define DRIVERS_VIRTIO_REG_H

#include "base/compiler.h"

uint8_t virtio_reg_read8(const volatile uint8_t *at);
uint16_t virtio_reg_read16(const volatile uint8_t *at);
uint32_t virtio_reg_read32(const volatile uint8_t *at);
void virtio_reg_write8(volatile uint8_t *at, uint8_t value);
void virtio_reg_write16(volatile uint8_t *at, uint16_t value);
void virtio_reg_write32(volatile uint8_t *at, uint32_t value);

#endif /* DRIVERS_VIRTIO_REG_H */

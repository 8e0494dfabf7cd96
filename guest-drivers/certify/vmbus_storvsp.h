/*
 * vmbus_storvsp.h - what the probes of storage channels and of their SCSI commands share.
 */
#ifndef GUEST_DRIVERS_CERTIFY_VMBUS_STORVSP_H
#define GUEST_DRIVERS_CERTIFY_VMBUS_STORVSP_H

#include "guest-drivers/certify/vmbus_device.h"

#define STOR_NO_ANSWER 0xFFFFFFFFu

/* Sends @bytes of @packet in-band; the reply, zero beyond its end, is there then. Its status, or STOR_NO_ANSWER. */
uint32_t stor_ask(struct vmbus_device *dev, struct vstor_packet *packet, uint32_t bytes);
/* All four steps; false: a check has failed. */
bool stor_initialize(struct probe *p, struct vmbus_device *dev);

#endif /* GUEST_DRIVERS_CERTIFY_VMBUS_STORVSP_H */

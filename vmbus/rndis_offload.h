/*
 * rndis_offload.h - NDIS's objects about offloads; for rndis_control.c only.
 */
#ifndef VMBUS_RNDIS_OFFLOAD_H
#define VMBUS_RNDIS_OFFLOAD_H

#include "abi/vmbus.h"
#include "vmbus/rndis.h"

struct rndis_encapsulation {
	struct ndis_object_header header;
	uint32_t ipv4_enabled, ipv4_type, ipv4_header_bytes;
	uint32_t ipv6_enabled, ipv6_type, ipv6_header_bytes;
} PACKED;
_Static_assert(sizeof(struct rndis_encapsulation) == 28, "NDIS_OFFLOAD_ENCAPSULATION");

/*
 * NDIS_OFFLOAD for @offloads (enum rndis_offload), in the revision that this guest knows. Returns
 * its size.
 */
uint32_t rndis_build_offload(const struct rndis *rndis, uint32_t offloads, struct ndis_offload *out);
void rndis_build_encapsulation(struct rndis_encapsulation *out);

/* The guest's NDIS_OFFLOAD_PARAMETERS and NDIS_OFFLOAD_ENCAPSULATION. They return RNDIS_STATUS_*. */
uint32_t rndis_set_offloads(struct rndis *rndis, const uint8_t *in, uint32_t in_bytes);
uint32_t rndis_check_encapsulation(const uint8_t *in, uint32_t in_bytes);

#endif /* VMBUS_RNDIS_OFFLOAD_H */

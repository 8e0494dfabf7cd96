/*
 * rndis_offload.c - NDIS's objects about offloads: what the device can do, what the guest wants of
 * it.
 *
 * NDIS 6: NDIS_OFFLOAD, NDIS_OFFLOAD_PARAMETERS, NDIS_OFFLOAD_ENCAPSULATION. An offload for sending
 * is a thing that the guest may ask for frame by frame; switching it off changes only what is
 * reported as in force.
 */
#include "vmbus/rndis_offload.h"

#include "base/mem.h"

#define ETHER_BYTES 14u
#define OBJECT_TYPE_ENCAPSULATION 0xA8u
#define ENCAPSULATION_ON 1u

/* IPv4 and IPv6 have the same bits: IP options or extension headers, TCP options, TCP, UDP. */
#define CAP_OPTIONS (NDIS_TXCSUM_CAP_IP4OPT | NDIS_TXCSUM_CAP_TCP4OPT)
#define CAP_TCP NDIS_TXCSUM_CAP_TCP4
#define CAP_UDP NDIS_TXCSUM_CAP_UDP4
#define LSO_SEGMENTS_MIN 2u

/* NDIS_OFFLOAD_PARAMETERS, revision 1: what comes after is not ours. */
#define PARAMETERS_BYTES ((uint32_t)offsetof(struct ndis_offload_params, flags))

/* ------------------------------------------------------------------ what it can do */

static uint32_t offload_caps(uint32_t offloads, uint32_t tcp, uint32_t udp)
{
	uint32_t caps = ((offloads & tcp) != 0 ? CAP_TCP : 0) | ((offloads & udp) != 0 ? CAP_UDP : 0);

	return caps != 0 ? caps | CAP_OPTIONS : 0;
}

static struct ndis_csum_offload csum_build(uint32_t offloads)
{
	struct ndis_csum_offload csum = {
	        .ip4_txcsum = offload_caps(offloads, RNDIS_TX_TCP4, RNDIS_TX_UDP4),
	        .ip4_rxcsum = offload_caps(offloads, RNDIS_RX_TCP4, RNDIS_RX_UDP4),
	        .ip6_txcsum = offload_caps(offloads, RNDIS_TX_TCP6, RNDIS_TX_UDP6),
	        .ip6_rxcsum = offload_caps(offloads, RNDIS_RX_TCP6, RNDIS_RX_UDP6),
	};

	csum.ip4_txenc = csum.ip4_txcsum != 0 ? NDIS_OFFLOAD_ENCAPSULATION_802_3 : 0;
	csum.ip4_rxenc = csum.ip4_rxcsum != 0 ? NDIS_OFFLOAD_ENCAPSULATION_802_3 : 0;
	csum.ip6_txenc = csum.ip6_txcsum != 0 ? NDIS_OFFLOAD_ENCAPSULATION_802_3 : 0;
	csum.ip6_rxenc = csum.ip6_rxcsum != 0 ? NDIS_OFFLOAD_ENCAPSULATION_802_3 : 0;
	return csum;
}

uint32_t rndis_build_offload(const struct rndis *rndis, uint32_t offloads, struct ndis_offload *out)
{
	static const uint16_t sizes[] = {0, NDIS_OFFLOAD_SIZE_6_0, NDIS_OFFLOAD_SIZE_6_1,
	                                 NDIS_OFFLOAD_SIZE_6_30};
	uint8_t revision = rndis->offload_revision;

	*out = (struct ndis_offload){
	        .header = {NDIS_OBJECT_TYPE_OFFLOAD, revision, sizes[revision]},
	        .csum = csum_build(offloads),
	};
	if ((offloads & RNDIS_LSO4) != 0) {
		out->lsov2.ip4_encap = NDIS_OFFLOAD_ENCAPSULATION_802_3;
		out->lsov2.ip4_maxsz = RNDIS_LSO_BYTES_MAX;
		out->lsov2.ip4_minsg = LSO_SEGMENTS_MIN;
	}
	if ((offloads & RNDIS_LSO6) != 0) {
		out->lsov2.ip6_encap = NDIS_OFFLOAD_ENCAPSULATION_802_3;
		out->lsov2.ip6_maxsz = RNDIS_LSO_BYTES_MAX;
		out->lsov2.ip6_minsg = LSO_SEGMENTS_MIN;
		out->lsov2.ip6_opts = NDIS_LSOV2_CAP_IP6EXT | NDIS_LSOV2_CAP_TCP6OPT;
	}
	return sizes[revision];
}

uint32_t rndis_build_offload_status(const struct rndis *rndis, uint8_t *reply)
{
	struct ndis_offload offload;
	uint32_t bytes = rndis_build_offload(rndis, rndis->offloads, &offload);
	struct {
		struct rndis_message_header header;
		struct rndis_indicate_status body;
	} PACKED message = {
	        .header = {RNDIS_MSG_INDICATE, (uint32_t)sizeof(message) + bytes},
	        .body = {RNDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG, bytes, sizeof(message.body)},
	};

	memcpy(reply, &message, sizeof(message));
	memcpy(reply + sizeof(message), &offload, bytes);
	return message.header.msg_len;
}

void rndis_build_encapsulation(struct rndis_encapsulation *out)
{
	*out = (struct rndis_encapsulation){
	        {OBJECT_TYPE_ENCAPSULATION, 1, sizeof(*out)},
	        ENCAPSULATION_ON,
	        NDIS_OFFLOAD_ENCAPSULATION_802_3,
	        ETHER_BYTES,
	        ENCAPSULATION_ON,
	        NDIS_OFFLOAD_ENCAPSULATION_802_3,
	        ETHER_BYTES,
	};
}

/* ------------------------------------------------------------------ what the guest wants */

/* 0 no change, 1 off, 2 sending, 3 receiving, 4 both. */
static uint32_t checksum_set(uint32_t offloads, uint8_t value, uint32_t tx, uint32_t rx)
{
	if (value == NDIS_OFFLOAD_NO_CHANGE || value > NDIS_OFFLOAD_TX_RX_ON) {
		return offloads;
	}
	offloads &= ~(tx | rx);
	offloads |= value == 2 || value == NDIS_OFFLOAD_TX_RX_ON ? tx : 0;
	return offloads | (value == 3 || value == NDIS_OFFLOAD_TX_RX_ON ? rx : 0);
}

/* 0 no change, 1 off, 2 on. */
static uint32_t lso_set(uint32_t offloads, uint8_t value, uint32_t lso)
{
	if (value == NDIS_OFFLOAD_OFF) {
		return offloads & ~lso;
	}
	return value == NDIS_OFFLOAD_LSOV2_ON ? offloads | lso : offloads;
}

uint32_t rndis_set_offloads(struct rndis *rndis, const uint8_t *in, uint32_t in_bytes)
{
	struct ndis_offload_params raw;
	uint32_t offloads = rndis->offloads;

	if (in_bytes < PARAMETERS_BYTES) {
		return RNDIS_STATUS_INVALID_DATA;
	}
	memcpy(&raw, in, PARAMETERS_BYTES);
	if (raw.header.type != NDIS_OBJECT_TYPE_DEFAULT || raw.header.revision == 0 ||
	    raw.header.size < PARAMETERS_BYTES || raw.header.size > in_bytes) {
		return RNDIS_STATUS_INVALID_DATA;
	}
	if (raw.lso_v1 == NDIS_OFFLOAD_LSOV2_ON) {
		return RNDIS_STATUS_NOT_SUPPORTED;
	}
	offloads = checksum_set(offloads, raw.tcp_ip_v4_csum, RNDIS_TX_TCP4, RNDIS_RX_TCP4);
	offloads = checksum_set(offloads, raw.udp_ip_v4_csum, RNDIS_TX_UDP4, RNDIS_RX_UDP4);
	offloads = checksum_set(offloads, raw.tcp_ip_v6_csum, RNDIS_TX_TCP6, RNDIS_RX_TCP6);
	offloads = checksum_set(offloads, raw.udp_ip_v6_csum, RNDIS_TX_UDP6, RNDIS_RX_UDP6);
	offloads = lso_set(offloads, raw.lso_v2_ipv4, RNDIS_LSO4);
	rndis->offloads = lso_set(offloads, raw.lso_v2_ipv6, RNDIS_LSO6);
	rndis->offloads_changed = true;
	return RNDIS_STATUS_SUCCESS;
}

static bool encapsulation_fits(uint32_t enabled, uint32_t type, uint32_t header_bytes)
{
	return enabled != ENCAPSULATION_ON ||
	       (type == NDIS_OFFLOAD_ENCAPSULATION_802_3 && header_bytes == ETHER_BYTES);
}

uint32_t rndis_check_encapsulation(const uint8_t *in, uint32_t in_bytes)
{
	struct rndis_encapsulation raw;

	if (in_bytes < sizeof(raw)) {
		return RNDIS_STATUS_INVALID_DATA;
	}
	memcpy(&raw, in, sizeof(raw));
	if (raw.header.type != OBJECT_TYPE_ENCAPSULATION) {
		return RNDIS_STATUS_INVALID_DATA;
	}
	return encapsulation_fits(raw.ipv4_enabled, raw.ipv4_type, raw.ipv4_header_bytes) &&
	                       encapsulation_fits(raw.ipv6_enabled, raw.ipv6_type, raw.ipv6_header_bytes)
	               ? RNDIS_STATUS_SUCCESS
	               : RNDIS_STATUS_NOT_SUPPORTED;
}

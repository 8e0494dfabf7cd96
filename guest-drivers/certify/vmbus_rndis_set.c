/*
 * vmbus_rndis_set.c - probes of the rows of specs/rndis.def that are objects to be set: filter, addresses, offloads.
 *
 * A value that is too short is refused and changes nothing; of one that is longer the first bytes count, or it is
 * refused as well.
 */
#include "guest-drivers/certify/vmbus_card.h"

#define PERMANENT_ADDRESS 0x01010101u
#define CURRENT_ADDRESS 0x01010102u
#define OFFLOAD_CURRENT 0xFC01020Bu
#define OFFLOAD_PARAMETERS 0xFC01020Cu
#define OFFLOAD_CAPABILITIES 0xFC01020Du
#define ENCAPSULATION_BYTES 28u
#define ENCAPSULATION_TYPE 0xA8u
#define CONFIG_STRING 2u
#define PARAMETERS_SHORT 22u
#define ALL_FILTERS (NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_ALL_MULTICAST | NDIS_PACKET_TYPE_BROADCAST)

/* ------------------------------------------------------------------ the filter */

/* Sends, waits, and lets everything in again: has the peer's answer, which is to us alone, come? */
static bool comes_with(struct probe *p, struct card *card, uint32_t filter)
{
	const uint32_t all = ALL_FILTERS;
	uint32_t before;
	bool came;

	if (!card_check_set(p, card, &filter, sizeof(filter))) {
		return false;
	}
	before = card->echo_count;
	(void)card_send(p, card, 100);
	if ((filter & (NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_PROMISCUOUS)) != 0) {
		came = card_echoed(card);
	} else {
		card_settle(card);
		came = card->echo_count != before;
	}
	(void)card_check_set(p, card, &all, sizeof(all));
	return came;
}

static void check_filters(struct probe *p, struct card *card)
{
	(void)probe_check(p, !comes_with(p, card, 0), "filter 0 lets a frame in");
	(void)probe_check(p, comes_with(p, card, NDIS_PACKET_TYPE_DIRECTED),
	                  "DIRECTED keeps a frame to us out");
	(void)probe_check(p, !comes_with(p, card, NDIS_PACKET_TYPE_BROADCAST),
	                  "BROADCAST alone lets a frame to us in");
	(void)probe_check(p, !comes_with(p, card, NDIS_PACKET_TYPE_ALL_MULTICAST),
	                  "ALL_MULTICAST alone lets a frame to us in");
	(void)probe_check(p, comes_with(p, card, NDIS_PACKET_TYPE_PROMISCUOUS),
	                  "PROMISCUOUS keeps a frame out");
}

void card_body_filter(struct probe *p, struct card *card)
{
	const uint32_t values[] = {0, NDIS_PACKET_TYPE_DIRECTED, ALL_FILTERS};
	const uint32_t longer[2] = {NDIS_PACKET_TYPE_BROADCAST, UINT32_MAX};
	uint32_t oid = (uint32_t)p->row->number;
	uint32_t kept;

	if (!card_check_query(p, card, 4, 4)) {
		return;
	}
	(void)probe_equal(p, card_value32(card), ALL_FILTERS, "the filter that the driver set");
	for (uint32_t i = 0; i < ARRAY_COUNT(values); i++) {
		(void)card_check_set(p, card, &values[i], 4);
		(void)probe_equal(p, card_get32(p, card, oid), values[i], "the filter that was set");
	}
	card_check_bad_set(p, card, values, 0, "SET of no bytes");
	card_check_bad_set(p, card, values, 3, "SET of 3 bytes");
	(void)probe_equal(p, card_get32(p, card, oid), ALL_FILTERS, "the filter after refused sets");
	if (card_set(card, oid, longer, sizeof(longer)) == RNDIS_STATUS_SUCCESS) {
		kept = longer[0];
	} else {
		kept = ALL_FILTERS;
	}
	(void)probe_equal(p, card_get32(p, card, oid), kept, "the filter after SET of 8 bytes");
	(void)card_check_set(p, card, &values[2], 4);
	if (card_has_peer(p, card)) {
		check_filters(p, card);
	}
}

/* ------------------------------------------------------------------ addresses */

static void check_address(struct probe *p, const struct card *card)
{
	uint8_t any = 0;

	for (uint32_t i = 0; i < 6; i++) {
		any |= card->value[i];
	}
	(void)probe_check(p, any != 0 && (card->value[0] & 1) == 0, "not an address of one station");
}

void card_body_permanent_address(struct probe *p, struct card *card)
{
	if (card_check_query(p, card, 6, 6)) {
		check_address(p, card);
		(void)probe_check(p, memcmp(card->value, card->net.mac, 6) == 0, "it changes");
		card_check_read_only(p, card);
	}
}

void card_body_current_address(struct probe *p, struct card *card)
{
	if (card_check_query(p, card, 6, 6)) {
		check_address(p, card);
		(void)probe_check(p, memcmp(card->value, card->net.mac, 6) == 0,
		                  "not the permanent one, and none was set");
		card_check_read_only(p, card);
	}
}

void card_body_multicast_list(struct probe *p, struct card *card)
{
	static const uint8_t groups[12] = {1, 0, 0x5E, 0, 0, 1, 1, 0, 0x5E, 0, 0, 2};

	if (card_check_query(p, card, 0, CARD_VALUE_BYTES)) {
		(void)probe_equal(p, card->value_bytes % 6, 0, "bytes behind the last group");
		(void)card_check_set(p, card, groups, 12);
		(void)card_check_set(p, card, groups, 6);
		(void)card_check_set(p, card, groups, 0);
	}
}

/* ------------------------------------------------------------------ the configuration parameter */

struct parameter {
	uint32_t name_offset, name_length;
	uint32_t type;
	uint32_t value_offset, value_length;
	uint16_t name[14];
	uint16_t value[12];
} PACKED;

static struct parameter parameter_of(const char *name, const char *value)
{
	struct parameter parameter = {
	        .name_offset = offsetof(struct parameter, name),
	        .name_length = sizeof(parameter.name),
	        .type = CONFIG_STRING,
	        .value_offset = offsetof(struct parameter, value),
	        .value_length = sizeof(parameter.value),
	};

	for (uint32_t i = 0; i < ARRAY_COUNT(parameter.name); i++) {
		parameter.name[i] = (uint8_t)name[i];
	}
	for (uint32_t i = 0; i < ARRAY_COUNT(parameter.value); i++) {
		parameter.value[i] = (uint8_t)value[i];
	}
	return parameter;
}

/* The device's address is @wanted now, and the permanent one as ever. */
static void check_now(struct probe *p, struct card *card, const uint8_t wanted[6], const char *what)
{
	(void)card_query(p, card, CURRENT_ADDRESS, NULL, 0);
	(void)probe_check(p, card->value_bytes == 6 && memcmp(card->value, wanted, 6) == 0,
	                  "%s: another current address", what);
	(void)card_query(p, card, PERMANENT_ADDRESS, NULL, 0);
	(void)probe_check(p, card->value_bytes == 6 && memcmp(card->value, card->net.mac, 6) == 0,
	                  "%s: another permanent address", what);
}

static void check_bad_parameters(struct probe *p, struct card *card)
{
	struct parameter parameter = parameter_of("NetworkAddress", "0200000000G1");

	card_check_bad_set(p, card, &parameter, sizeof(parameter), "an address with a G");
	parameter = parameter_of("NetworkAddress", "010000000001");
	card_check_bad_set(p, card, &parameter, sizeof(parameter), "an address of a group");
	parameter = parameter_of("NetworkAddress", "000000000000");
	card_check_bad_set(p, card, &parameter, sizeof(parameter), "the address 0");
	parameter = parameter_of("NetworkAddress", "020000000001");
	card_check_bad_set(p, card, &parameter, 19, "SET of 19 bytes");
	parameter.value_length = 22;
	card_check_bad_set(p, card, &parameter, sizeof(parameter), "an address of 11 digits");
	parameter = parameter_of("NetworkAddress", "020000000001");
	parameter.type = 0;
	card_check_bad_set(p, card, &parameter, sizeof(parameter), "an address that is a number");
	parameter.type = CONFIG_STRING;
	parameter.value_offset = sizeof(parameter);
	card_check_bad_set(p, card, &parameter, sizeof(parameter), "a value outside");
	parameter.value_offset = offsetof(struct parameter, value);
	parameter.name_offset = UINT32_MAX;
	card_check_bad_set(p, card, &parameter, sizeof(parameter), "a name outside");
}

void card_body_config(struct probe *p, struct card *card)
{
	static const uint8_t changed[6] = {0x02, 0xCE, 0x27, 0x1F, 0x00, 0x0A};
	struct parameter parameter = parameter_of("NetworkAddress", "02CE271f000a");

	check_bad_parameters(p, card);
	check_now(p, card, card->net.mac, "after refused parameters");
	if (card_check_set(p, card, &parameter, sizeof(parameter))) {
		check_now(p, card, changed, "after a new address");
	}
	parameter = parameter_of("NetworkAddresX", "020000000001");
	(void)card_check_set(p, card, &parameter, sizeof(parameter));
	check_now(p, card, changed, "after another parameter");
	card_check_set_only(p, card);
}

/* ------------------------------------------------------------------ offloads */

/* NDIS_OFFLOAD by its revision. */
static bool check_offload(struct probe *p, const struct card *card)
{
	static const uint32_t sizes[] = {0, NDIS_OFFLOAD_SIZE_6_0, NDIS_OFFLOAD_SIZE_6_1,
	                                 NDIS_OFFLOAD_SIZE_6_30};
	struct ndis_object_header header;

	memcpy(&header, card->value, sizeof(header));
	probe_note(p, "revision %u, %u bytes", header.revision, card->value_bytes);
	return probe_check(p, header.type == NDIS_OBJECT_TYPE_OFFLOAD && header.revision >= 1,
	                   "head 0x%x, revision %u", header.type, header.revision) &&
	       probe_check(p, header.size <= card->value_bytes && header.size >= NDIS_OFFLOAD_SIZE_6_0,
	                   "size %u in %u bytes", header.size, card->value_bytes) &&
	       probe_check(p, header.revision >= ARRAY_COUNT(sizes) || header.size == sizes[header.revision],
	                   "size %u of revision %u", header.size, header.revision);
}

/* What stands behind an encapsulation that is none says nothing. */
void card_body_offload_capabilities(struct probe *p, struct card *card)
{
	struct ndis_offload offload = {0};

	if (!card_check_query(p, card, NDIS_OFFLOAD_SIZE_6_0, NDIS_OFFLOAD_SIZE_6_30 + 64) ||
	    !check_offload(p, card)) {
		return;
	}
	memcpy(&offload, card->value,
	       card->value_bytes < sizeof(offload) ? card->value_bytes : sizeof(offload));
	probe_note(p, "checksums to send 0x%x 0x%x, received 0x%x 0x%x, large sends %u %u",
	           offload.csum.ip4_txcsum, offload.csum.ip6_txcsum, offload.csum.ip4_rxcsum,
	           offload.csum.ip6_rxcsum, offload.lsov2.ip4_maxsz, offload.lsov2.ip6_maxsz);
	(void)probe_check(p, offload.csum.ip4_txcsum == 0 || offload.csum.ip4_txenc != 0,
	                  "checksums of no encapsulation");
	(void)probe_check(p, offload.lsov2.ip4_encap == 0 || offload.lsov2.ip4_maxsz >= 4096,
	                  "large sends of %u bytes", offload.lsov2.ip4_maxsz);
	card_check_read_only(p, card);
}

static struct ndis_offload_params params_of(uint8_t checksum, uint8_t large)
{
	return (struct ndis_offload_params){
	        .header = {NDIS_OBJECT_TYPE_DEFAULT, 3, sizeof(struct ndis_offload_params)},
	        .tcp_ip_v4_csum = checksum,
	        .udp_ip_v4_csum = checksum,
	        .tcp_ip_v6_csum = checksum,
	        .udp_ip_v6_csum = checksum,
	        .lso_v2_ipv4 = large,
	        .lso_v2_ipv6 = large,
	};
}

/* The offloads that are in force; false: not told. */
static bool offloads_now(struct probe *p, struct card *card, struct ndis_offload *now)
{
	uint32_t status = card_query(p, card, OFFLOAD_CURRENT, NULL, 0);

	memset(now, 0, sizeof(*now));
	memcpy(now, card->value, card->value_bytes < sizeof(*now) ? card->value_bytes : sizeof(*now));
	return status == RNDIS_STATUS_SUCCESS;
}

static bool is_off(const struct ndis_offload *now)
{
	return (now->csum.ip4_txcsum | now->csum.ip4_rxcsum | now->csum.ip6_txcsum | now->csum.ip6_rxcsum |
	        now->lsov2.ip4_encap | now->lsov2.ip6_encap) == 0;
}

void card_body_offload_current(struct probe *p, struct card *card)
{
	const struct ndis_offload_params off = params_of(NDIS_OFFLOAD_OFF, NDIS_OFFLOAD_OFF);
	const struct ndis_offload_params on = params_of(NDIS_OFFLOAD_TX_RX_ON, NDIS_OFFLOAD_LSOV2_ON);
	struct ndis_offload now;
	uint32_t bytes;

	if (!card_check_query(p, card, NDIS_OFFLOAD_SIZE_6_0, NDIS_OFFLOAD_SIZE_6_30 + 64) ||
	    !check_offload(p, card)) {
		return;
	}
	card_check_read_only(p, card);
	(void)probe_equal(p, card_set(card, OFFLOAD_PARAMETERS, &off, sizeof(off)), RNDIS_STATUS_SUCCESS,
	                  "status of all off");
	(void)probe_check(p, offloads_now(p, card, &now) && is_off(&now), "offloads in force, all being off");
	(void)probe_equal(p, card_set(card, OFFLOAD_PARAMETERS, &on, sizeof(on)), RNDIS_STATUS_SUCCESS,
	                  "status of all on");
	(void)offloads_now(p, card, &now);
	bytes = card->value_bytes;
	(void)card_query(p, card, OFFLOAD_CAPABILITIES, NULL, 0);
	(void)probe_check(p,
	                  bytes == card->value_bytes &&
	                          memcmp(card->value, &now, bytes < sizeof(now) ? bytes : sizeof(now)) == 0,
	                  "with all on not all that there is is in force");
}

/* One thing at a time, and 0 leaves all as it is. */
static void check_single(struct probe *p, struct card *card)
{
	struct ndis_offload_params params = params_of(NDIS_OFFLOAD_TX_RX_ON, NDIS_OFFLOAD_LSOV2_ON);
	struct ndis_offload all, now;

	(void)card_check_set(p, card, &params, sizeof(params));
	if (!offloads_now(p, card, &all)) {
		return;
	}
	params = params_of(NDIS_OFFLOAD_NO_CHANGE, NDIS_OFFLOAD_NO_CHANGE);
	params.header.size = PARAMETERS_SHORT;
	(void)card_check_set(p, card, &params, PARAMETERS_SHORT);
	params.header.size = sizeof(params);
	(void)offloads_now(p, card, &now);
	(void)probe_check(p, memcmp(&all, &now, sizeof(now)) == 0, "NO_CHANGE changes something");
	params.lso_v2_ipv4 = NDIS_OFFLOAD_OFF;
	(void)card_check_set(p, card, &params, sizeof(params));
	(void)offloads_now(p, card, &now);
	(void)probe_check(p,
	                  now.lsov2.ip4_encap == 0 && now.lsov2.ip6_encap == all.lsov2.ip6_encap &&
	                          memcmp(&now.csum, &all.csum, sizeof(all.csum)) == 0,
	                  "large sends over IPv4 off: not that alone");
	params = params_of(NDIS_OFFLOAD_OFF, NDIS_OFFLOAD_NO_CHANGE);
	params.tcp_ip_v6_csum = NDIS_OFFLOAD_NO_CHANGE;
	params.udp_ip_v6_csum = NDIS_OFFLOAD_NO_CHANGE;
	(void)card_check_set(p, card, &params, sizeof(params));
	(void)offloads_now(p, card, &now);
	(void)probe_check(p,
	                  now.csum.ip4_txcsum == 0 && now.csum.ip4_rxcsum == 0 &&
	                          now.csum.ip6_txcsum == all.csum.ip6_txcsum,
	                  "checksums of IPv4 off: not those alone");
}

void card_body_offload_parameters(struct probe *p, struct card *card)
{
	struct ndis_offload_params params = params_of(NDIS_OFFLOAD_TX_RX_ON, NDIS_OFFLOAD_LSOV2_ON);
	uint64_t indications = card->net.indication_count;

	check_single(p, card);
	probe_note(p, "%lu indications followed", (unsigned long)(card->net.indication_count - indications));
	card_check_bad_set(p, card, &params, 0, "SET of no bytes");
	card_check_bad_set(p, card, &params, 10, "SET of 10 bytes");
	params.header.size = sizeof(params) + 1;
	card_check_bad_set(p, card, &params, sizeof(params), "a size behind the end");
	params.header.size = 4;
	card_check_bad_set(p, card, &params, sizeof(params), "a size of 4");
	params.header.size = sizeof(params);
	params.header.type = NDIS_OBJECT_TYPE_OFFLOAD;
	card_check_bad_set(p, card, &params, sizeof(params), "another type of object");
	params.header.type = NDIS_OBJECT_TYPE_DEFAULT;
	params.header.revision = 0;
	card_check_bad_set(p, card, &params, sizeof(params), "revision 0");
	card_check_set_only(p, card);
}

/* NDIS_OFFLOAD_ENCAPSULATION: head, then enabled, type and header's bytes for IPv4 and IPv6. */
void card_body_encapsulation(struct probe *p, struct card *card)
{
	uint32_t words[ENCAPSULATION_BYTES / 4];

	if (!card_check_query(p, card, ENCAPSULATION_BYTES, ENCAPSULATION_BYTES)) {
		return;
	}
	memcpy(words, card->value, sizeof(words));
	(void)probe_equal(p, words[0] & 0xFF, ENCAPSULATION_TYPE, "type of the object");
	(void)probe_equal(p, words[0] >> 16, ENCAPSULATION_BYTES, "size of the object");
	(void)probe_equal(p, words[2], NDIS_OFFLOAD_ENCAPSULATION_802_3, "encapsulation of IPv4");
	(void)probe_equal(p, words[5], NDIS_OFFLOAD_ENCAPSULATION_802_3, "encapsulation of IPv6");
	(void)card_check_set(p, card, words, sizeof(words));
	card_check_bad_set(p, card, words, sizeof(words) - 1, "SET of 27 bytes");
	words[2] = 1;
	card_check_bad_set(p, card, words, sizeof(words), "an encapsulation that is not Ethernet's");
	words[2] = NDIS_OFFLOAD_ENCAPSULATION_802_3;
	words[3] = 18;
	card_check_bad_set(p, card, words, sizeof(words), "a header of 18 bytes");
	words[3] = 14;
	words[0] ^= 1;
	card_check_bad_set(p, card, words, sizeof(words), "another type of object");
}

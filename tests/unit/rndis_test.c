/*
 * rndis_test.c - Remote NDIS: PACKET messages in and out, control messages, each object.
 */
#include <string.h>

#include "abi/vmbus.h"
#include "tests/unit/unit.h"
#include "vm/spec.h"
#include "vmbus/rndis.h"

static const uint8_t mac[6] = {2, 1, 2, 3, 4, 5};
static struct rndis rndis;
static struct rndis_answer answer;
static uint32_t reply[RNDIS_REPLY_BYTES / 4];

/* ------------------------------------------------------------------ PACKET */

struct wire {
	uint32_t
	        words[128]; /* 0 type, 1 length, 2 data offset, 3 data length, 7 info offset, 8 info length */
};

/* 44 bytes of header, @infos with @count entries of 16 bytes, @data_bytes of data. */
static struct wire wire_make(const uint32_t *infos, uint32_t count, uint32_t data_bytes)
{
	struct wire w = {{RNDIS_MSG_PACKET, 44 + 16 * count + data_bytes, 36 + 16 * count, data_bytes, 0, 0,
	                  0, 36, 16 * count}};

	memcpy(w.words + 11, infos, 16 * count);
	return w;
}

static bool parse(const struct wire *w, uint32_t room, struct rndis_send *send)
{
	uint32_t bytes = 0;
	bool ok = rndis_parse_packet((const uint8_t *)w->words,
	                             room < sizeof(*w) ? room : (uint32_t)sizeof(*w), room, send, &bytes);

	if (ok) {
		CU_ASSERT_EQUAL(bytes, w->words[1]);
	}
	return ok;
}

static void test_packet(void)
{
	static const uint32_t infos[] = {
	        16, RNDIS_PPI_TCPIP_CHECKSUM, 12, RNDIS_CHECKSUM_TX_UDP,
	        16, RNDIS_PPI_IEEE_8021Q,     12, 3 | 8 | 0xFFFu << 4,
	        16, RNDIS_PPI_TCP_LARGESEND,  12, RNDIS_LSO_V2 | 9000,
	        16, RNDIS_PPI_NBL_HASH_VALUE, 12, 0x12345678,
	};
	struct rndis_send send;
	struct wire w = wire_make(infos, 0, 100);

	CU_ASSERT(parse(&w, 144, &send));
	CU_ASSERT_EQUAL(send.data_offset, 44);
	CU_ASSERT_EQUAL(send.data_bytes, 100);
	CU_ASSERT_FALSE(send.checksum_blank || send.tagged || send.segment_bytes != 0);
	w = wire_make(infos, 4, 100);
	CU_ASSERT(parse(&w, 400, &send));
	CU_ASSERT_EQUAL(send.data_offset, 44 + 64);
	CU_ASSERT(send.checksum_blank);
	CU_ASSERT(send.tagged);
	CU_ASSERT_EQUAL(send.tag, 3u << 13 | 1u << 12 | 0xFFF);
	CU_ASSERT_EQUAL(send.segment_bytes, 9000);
}

/* Each of these changes one word of a right message. */
static void test_packet_wrong(void)
{
	static const uint32_t infos[] = {16, RNDIS_PPI_TCPIP_CHECKSUM, 12, 4};
	static const uint32_t changes[][2] = {
	        {0, RNDIS_MSG_QUERY},
	        {1, 43},
	        {1, 161},
	        {1, 0xFFFFFFFF},
	        {2, 153},
	        {2, 0xFFFFFFF8},
	        {3, 101},
	        {3, 0xFFFFFFFF},
	        {7, 0xFFFFFFF8},
	        {7, 140},
	        {8, 0xFFFFFFFF},
	        {8, 17},
	        {8, 11},
	        {11, 11},
	        {11, 0},
	        {11, 17},
	        {13, 17},
	        {13, 0xFFFFFFFF},
	};
	struct rndis_send send;
	struct wire w = wire_make(infos, 1, 100);

	CU_ASSERT(parse(&w, 160, &send));
	CU_ASSERT_FALSE(parse(&w, 159, &send));
	CU_ASSERT_FALSE(parse(&w, 43, &send));
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		w = wire_make(infos, 1, 100);
		w.words[changes[i][0]] = changes[i][1];
		CU_ASSERT_FALSE(parse(&w, 160, &send));
	}
	/* an entry without room for a value is none of ours */
	w = wire_make(infos, 1, 100);
	w.words[13] = 13;
	CU_ASSERT(parse(&w, 160, &send));
	CU_ASSERT_FALSE(send.checksum_blank);
}

static void test_packet_many_infos(void)
{
	uint32_t infos[17 * 4];
	struct rndis_send send;
	struct wire w;

	for (uint32_t i = 0; i < 17; i++) {
		memcpy(infos + i * 4, (uint32_t[4]){16, 100 + i, 12, 0}, 16);
	}
	w = wire_make(infos, 16, 8);
	CU_ASSERT(parse(&w, 400, &send));
	w = wire_make(infos, 17, 8);
	CU_ASSERT_FALSE(parse(&w, 400, &send));
	/* info behind what was copied of the message */
	w = wire_make(infos, 1, 100);
	w.words[1] = 2000;
	w.words[7] = 600;
	CU_ASSERT_FALSE(parse(&w, 2000, &send));
}

static void test_packet_build(void)
{
	struct rndis_receive receive = {.data_bytes = 1000};
	uint8_t header[RNDIS_RECEIVE_OFFSET];
	uint32_t words[19];

	CU_ASSERT_EQUAL(rndis_build_packet(&receive, header), 44);
	memcpy(words, header, 44);
	CU_ASSERT_EQUAL(words[0], RNDIS_MSG_PACKET);
	CU_ASSERT_EQUAL(words[1], 1128);
	CU_ASSERT_EQUAL(words[2], 120);
	CU_ASSERT_EQUAL(words[3], 1000);
	CU_ASSERT_EQUAL(words[7], 0);
	receive.checksum = RNDIS_CHECKSUM_RX_TCP_SUCCEEDED;
	receive.tagged = true;
	receive.tag = 5u << 13 | 1u << 12 | 0x123;
	CU_ASSERT_EQUAL(rndis_build_packet(&receive, header), 76);
	memcpy(words, header, 76);
	CU_ASSERT_EQUAL(words[7], 36);
	CU_ASSERT_EQUAL(words[8], 32);
	CU_ASSERT_EQUAL(words[14], RNDIS_CHECKSUM_RX_TCP_SUCCEEDED);
	CU_ASSERT_EQUAL(words[16], RNDIS_PPI_IEEE_8021Q);
	CU_ASSERT_EQUAL(words[18], 5u | 8u | 0x123u << 4);
}

/* ------------------------------------------------------------------ control */

static void control(const uint32_t *message, uint32_t bytes)
{
	memset(reply, 0xAA, sizeof(reply));
	rndis_control(&rndis, (const uint8_t *)message, bytes, (uint8_t *)reply, &answer);
}

static void start(void)
{
	uint32_t message[6] = {RNDIS_MSG_INIT, 24, 1, 1, 0, 0x4000};

	rndis_init(&rndis, mac);
	rndis.offload_revision = 3;
	control(message, sizeof(message));
}

/* The status; the value is from reply + 6 on. */
static uint32_t query(uint32_t oid)
{
	uint32_t message[7] = {RNDIS_MSG_QUERY, 28, 77, oid, 0, 20, 0};

	control(message, sizeof(message));
	CU_ASSERT(answer.valid);
	CU_ASSERT_EQUAL(answer.reply_bytes, reply[1]);
	CU_ASSERT_EQUAL(reply[0], RNDIS_MSG_QUERY_C);
	CU_ASSERT_EQUAL(reply[2], 77);
	CU_ASSERT_EQUAL(reply[1], 24 + reply[4]);
	CU_ASSERT_EQUAL(reply[5], reply[3] == 0 ? 16u : 0u);
	CU_ASSERT_EQUAL(answer.refused, reply[3] != 0);
	return reply[3];
}

static uint32_t set(uint32_t oid, const void *value, uint32_t bytes)
{
	uint32_t message[256] = {RNDIS_MSG_SET, 28 + bytes, 78, oid, bytes, 20, 0};

	memcpy(message + 7, value, bytes);
	control(message, 28 + bytes);
	CU_ASSERT(answer.valid);
	CU_ASSERT_EQUAL(answer.reply_bytes, 16);
	CU_ASSERT_EQUAL(reply[0], RNDIS_MSG_SET_C);
	CU_ASSERT_EQUAL(reply[1], 16);
	CU_ASSERT_EQUAL(reply[2], 78);
	return reply[3];
}

static void test_initialize(void)
{
	uint32_t message[6] = {RNDIS_MSG_INIT, 24, 5, 2, 0, 0x4000};
	uint32_t wanted[13] = {RNDIS_MSG_INIT_C, 52, 5, 0, 1, 0, 1, 0, 8, 0xEFFFFFFF, 3, 0, 0};

	rndis_init(&rndis, mac);
	CU_ASSERT_EQUAL(query(RNDIS_OID_GEN_LINK_SPEED), 0xC0010011); /* not before */
	control(message, 24);
	CU_ASSERT_EQUAL(reply[3], 0xC0010004);
	CU_ASSERT_FALSE(rndis.operational);
	message[3] = 1;
	control(message, 24);
	CU_ASSERT_EQUAL(memcmp(reply, wanted, 52), 0);
	CU_ASSERT_EQUAL(answer.reply_bytes, 52);
	CU_ASSERT(rndis.operational);
	message[1] = 20; /* too short */
	control(message, 20);
	CU_ASSERT_FALSE(answer.valid);
	CU_ASSERT_EQUAL(answer.reply_bytes, 0);
}

static void test_small_messages(void)
{
	uint32_t message[3] = {RNDIS_MSG_KEEPALIVE, 12, 9};

	start();
	control(message, 12);
	CU_ASSERT_EQUAL(answer.reply_bytes, 16);
	CU_ASSERT_EQUAL(reply[0], RNDIS_MSG_KEEPALIVE_C);
	CU_ASSERT_EQUAL(reply[2], 9);
	CU_ASSERT_EQUAL(reply[3], 0);
	message[0] = RNDIS_MSG_RESET;
	control(message, 12);
	CU_ASSERT_EQUAL(answer.reply_bytes, 16);
	CU_ASSERT_EQUAL(reply[0], RNDIS_MSG_RESET_C);
	CU_ASSERT_EQUAL(reply[2], 0);
	CU_ASSERT_EQUAL(reply[3], 0);
	message[0] = 9; /* SET_EX */
	control(message, 12);
	CU_ASSERT_EQUAL(answer.reply_bytes, 24);
	CU_ASSERT_EQUAL(reply[0], 0x80000009);
	CU_ASSERT_EQUAL(reply[3], RNDIS_STATUS_NOT_SUPPORTED);
	CU_ASSERT(answer.refused);
	message[0] = RNDIS_MSG_HALT;
	control(message, 12);
	CU_ASSERT(answer.valid);
	CU_ASSERT_EQUAL(answer.reply_bytes, 0);
	CU_ASSERT_FALSE(rndis.operational);
}

static void test_control_wrong(void)
{
	static const uint32_t types[] = {RNDIS_MSG_PACKET, RNDIS_MSG_INDICATE,          10, 0,
	                                 RNDIS_MSG_INIT_C, RNDIS_OID_GEN_SUPPORTED_LIST};
	uint32_t message[7] = {0, 12, 1};

	start();
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		message[0] = types[i];
		control(message, 12);
		CU_ASSERT_FALSE(answer.valid);
		CU_ASSERT(answer.refused);
	}
	message[0] = RNDIS_MSG_KEEPALIVE;
	control(message, 11);
	CU_ASSERT_FALSE(answer.valid);
	message[1] = 13; /* longer than there is */
	control(message, 12);
	CU_ASSERT_FALSE(answer.valid);
	message[1] = 11;
	control(message, 12);
	CU_ASSERT_FALSE(answer.valid);
	message[0] = RNDIS_MSG_QUERY;
	message[1] = 24;
	control(message, 24);
	CU_ASSERT_FALSE(answer.valid);
	message[0] = RNDIS_MSG_SET;
	control(message, 24);
	CU_ASSERT_FALSE(answer.valid);
}

static void test_object_bounds(void)
{
	uint32_t message[8] = {RNDIS_MSG_SET, 32, 1, RNDIS_OID_GEN_CURRENT_PACKET_FILTER, 4, 20, 0, 5};

	start();
	control(message, 32);
	CU_ASSERT_EQUAL(reply[3], 0);
	CU_ASSERT_EQUAL(rndis.filter, 5);
	message[5] = 24; /* behind the message */
	control(message, 32);
	CU_ASSERT_EQUAL(reply[3], RNDIS_STATUS_INVALID_DATA);
	message[5] = 0xFFFFFFFC;
	control(message, 32);
	CU_ASSERT_EQUAL(reply[3], RNDIS_STATUS_INVALID_DATA);
	message[5] = 20;
	message[4] = 3; /* too short for a filter */
	control(message, 32);
	CU_ASSERT_EQUAL(reply[3], RNDIS_STATUS_INVALID_DATA);
	message[4] = 4;
	message[3] = 0x00010199;
	control(message, 32);
	CU_ASSERT_EQUAL(reply[3], RNDIS_STATUS_NOT_SUPPORTED);
	CU_ASSERT(answer.has_object);
	CU_ASSERT_EQUAL(answer.object_row, SPEC_UNKNOWN);
	message[3] = RNDIS_MSG_HALT; /* a message's number is no object */
	control(message, 32);
	CU_ASSERT_EQUAL(reply[3], RNDIS_STATUS_NOT_SUPPORTED);
	CU_ASSERT(rndis.operational);
}

/* Each object of the list answers a query, or is there to be set. */
static void test_supported_list(void)
{
	static const uint32_t only_set[] = {0x00010112, 0x00010118, RNDIS_OID_GEN_RNDIS_CONFIG_PARAMETER,
	                                    RNDIS_OID_TCP_OFFLOAD_PARAMETERS};
	uint32_t list[128], count;

	start();
	CU_ASSERT_EQUAL(query(RNDIS_OID_GEN_SUPPORTED_LIST), 0);
	count = reply[4] / 4;
	CU_ASSERT(count > 40 && count < 128);
	memcpy(list, reply + 6, reply[4]);
	for (uint32_t i = 0; i < count; i++) {
		bool settable = false;

		for (uint32_t j = 0; j < 4; j++) {
			settable |= list[i] == only_set[j];
		}
		CU_ASSERT_EQUAL(query(list[i]), settable ? RNDIS_STATUS_NOT_SUPPORTED : 0);
		CU_ASSERT_NOT_EQUAL(list[i], RNDIS_OID_GEN_RECEIVE_SCALE_CAPABILITIES);
	}
}

static void test_values(void)
{
	static const uint32_t values[][2] = {
	        {RNDIS_OID_GEN_HARDWARE_STATUS, 0},
	        {RNDIS_OID_GEN_MAXIMUM_FRAME_SIZE, 1500},
	        {RNDIS_OID_GEN_MAXIMUM_TOTAL_SIZE, 1514},
	        {RNDIS_OID_GEN_CURRENT_LOOKAHEAD, 1500},
	        {RNDIS_OID_GEN_LINK_SPEED, 100000000},
	        {RNDIS_OID_GEN_MEDIA_CONNECT_STATUS, 0},
	        {RNDIS_OID_GEN_MAC_OPTIONS, 0xD},
	        {RNDIS_OID_GEN_TRANSMIT_BUFFER_SPACE, 262144},
	        {RNDIS_OID_GEN_VENDOR_ID, 0xFFFFFF},
	        {RNDIS_OID_GEN_MAXIMUM_SEND_PACKETS, 0xFFFFFFFF},
	        {RNDIS_OID_802_3_MAXIMUM_LIST_SIZE, 32},
	        {RNDIS_OID_GEN_XMIT_OK, 11},
	        {RNDIS_OID_GEN_RCV_OK, 22},
	        {RNDIS_OID_GEN_XMIT_ERROR, 33},
	        {RNDIS_OID_GEN_RCV_NO_BUFFER, 44},
	};
	static const uint32_t zero;

	start();
	rndis.counts = (struct rndis_counts){11, 111, 33, 22, 222, 44};
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		CU_ASSERT_EQUAL(query(values[i][0]), 0);
		CU_ASSERT_EQUAL(reply[4], 4);
		CU_ASSERT_EQUAL(reply[6], values[i][1]);
	}
	CU_ASSERT_EQUAL(set(RNDIS_OID_GEN_LINK_SPEED, &zero, 4), RNDIS_STATUS_NOT_SUPPORTED);
	CU_ASSERT_EQUAL(set(RNDIS_OID_GEN_CURRENT_LOOKAHEAD, &zero, 4), 0);
	CU_ASSERT_EQUAL(set(RNDIS_OID_GEN_PROTOCOL_OPTIONS, &zero, 4), 0);
	CU_ASSERT_EQUAL(set(RNDIS_OID_802_3_MULTICAST_LIST, &zero, 0), 0);
	CU_ASSERT_EQUAL(query(RNDIS_OID_GEN_RECEIVE_SCALE_CAPABILITIES), RNDIS_STATUS_NOT_SUPPORTED);
	CU_ASSERT_EQUAL(reply[4], 0);
	CU_ASSERT_EQUAL(query(0x0002021A), 0); /* bytes sent */
	CU_ASSERT_EQUAL(reply[4], 8);
	CU_ASSERT_EQUAL(reply[6], 111);
	CU_ASSERT_EQUAL(query(0x00020219), 0);
	CU_ASSERT_EQUAL(reply[6], 222);
}

static void test_structures(void)
{
	struct ndis_object_header header;
	uint64_t speed;

	start();
	CU_ASSERT_EQUAL(query(RNDIS_OID_GEN_LINK_STATE), 0);
	memcpy(&header, reply + 6, 4);
	CU_ASSERT_EQUAL(header.type, NDIS_OBJECT_TYPE_DEFAULT);
	CU_ASSERT_EQUAL(header.size, 40);
	CU_ASSERT_EQUAL(reply[4], 40);
	CU_ASSERT_EQUAL(reply[7], 1);
	memcpy(&speed, reply + 10, 8);
	CU_ASSERT_EQUAL(speed, 10000000000ull);
	CU_ASSERT_EQUAL(query(RNDIS_OID_GEN_FRIENDLY_NAME), 0);
	CU_ASSERT_EQUAL(reply[4], 512);
	CU_ASSERT_EQUAL(memcmp(reply + 6, u"Network Adapter", 32), 0);
	CU_ASSERT_EQUAL(query(RNDIS_OID_GEN_VENDOR_DESCRIPTION), 0);
	CU_ASSERT_STRING_EQUAL((const char *)(reply + 6), "Janus");
	CU_ASSERT_EQUAL(query(RNDIS_OID_GEN_VENDOR_DRIVER_VERSION), 0);
	CU_ASSERT_EQUAL(reply[4], 2);
}

/* ------------------------------------------------------------------ addresses and filter */

/* NetworkAddress as Linux sets it. */
static uint32_t config_set(const char *name, uint32_t type, const char *value)
{
	uint8_t info[20 + 128] = {0};
	uint32_t name_bytes = (uint32_t)strlen(name) * 2, value_bytes = (uint32_t)strlen(value) * 2;
	uint32_t words[5] = {20, name_bytes, type, 20 + name_bytes, value_bytes};

	memcpy(info, words, 20);
	for (uint32_t i = 0; i < name_bytes; i += 2) {
		info[20 + i] = (uint8_t)name[i / 2];
	}
	for (uint32_t i = 0; i < value_bytes; i += 2) {
		info[20 + name_bytes + i] = (uint8_t)value[i / 2];
	}
	return set(RNDIS_OID_GEN_RNDIS_CONFIG_PARAMETER, info, 20 + name_bytes + value_bytes);
}

static void test_address(void)
{
	static const uint8_t changed[6] = {0x02, 0xAB, 0xCD, 0xEF, 0x01, 0x9f};
	uint32_t wrong[5] = {20, 100, 2, 20, 0};

	start();
	CU_ASSERT_EQUAL(query(RNDIS_OID_802_3_PERMANENT_ADDRESS), 0);
	CU_ASSERT_EQUAL(reply[4], 6);
	CU_ASSERT_EQUAL(memcmp(reply + 6, mac, 6), 0);
	CU_ASSERT_EQUAL(config_set("NetworkAddress", 2, "02ABcdEF019f"), 0);
	CU_ASSERT_EQUAL(query(RNDIS_OID_802_3_CURRENT_ADDRESS), 0);
	CU_ASSERT_EQUAL(memcmp(reply + 6, changed, 6), 0);
	CU_ASSERT_EQUAL(query(RNDIS_OID_802_3_PERMANENT_ADDRESS), 0);
	CU_ASSERT_EQUAL(memcmp(reply + 6, mac, 6), 0);
	CU_ASSERT_EQUAL(config_set("*LsoV2IPv4", 2, "1"), 0); /* another parameter */
	CU_ASSERT_EQUAL(config_set("NetworkAddresses", 2, "0"), 0);
	CU_ASSERT_EQUAL(config_set("NetworkAddress", 0, "020000000001"), RNDIS_STATUS_INVALID_DATA);
	CU_ASSERT_EQUAL(config_set("NetworkAddress", 2, "02000000000"), RNDIS_STATUS_INVALID_DATA);
	CU_ASSERT_EQUAL(config_set("NetworkAddress", 2, "0200000000g1"), RNDIS_STATUS_INVALID_DATA);
	CU_ASSERT_EQUAL(config_set("NetworkAddress", 2, "010000000001"), RNDIS_STATUS_INVALID_DATA);
	CU_ASSERT_EQUAL(config_set("NetworkAddress", 2, "000000000000"), RNDIS_STATUS_INVALID_DATA);
	CU_ASSERT_EQUAL(set(RNDIS_OID_GEN_RNDIS_CONFIG_PARAMETER, wrong, 20), RNDIS_STATUS_INVALID_DATA);
	wrong[1] = 0;
	wrong[3] = 21;
	CU_ASSERT_EQUAL(set(RNDIS_OID_GEN_RNDIS_CONFIG_PARAMETER, wrong, 20), RNDIS_STATUS_INVALID_DATA);
	CU_ASSERT_EQUAL(set(RNDIS_OID_GEN_RNDIS_CONFIG_PARAMETER, wrong, 16), RNDIS_STATUS_INVALID_DATA);
	CU_ASSERT_EQUAL(memcmp(rndis.mac, changed, 6), 0);
}

static void test_filter(void)
{
	static const uint8_t other[6] = {2, 9, 9, 9, 9, 9};
	static const uint8_t group[6] = {3, 0, 0, 0, 0, 0};

	start();
	CU_ASSERT_FALSE(rndis_accepts(&rndis, mac));
	rndis.filter = NDIS_PACKET_TYPE_DIRECTED;
	CU_ASSERT(rndis_accepts(&rndis, mac));
	CU_ASSERT_FALSE(rndis_accepts(&rndis, other));
	CU_ASSERT_FALSE(rndis_accepts(&rndis, group));
	rndis.filter = NDIS_PACKET_TYPE_PROMISCUOUS;
	CU_ASSERT(rndis_accepts(&rndis, other));
	rndis.operational = false;
	CU_ASSERT_FALSE(rndis_accepts(&rndis, other));
}

/* ------------------------------------------------------------------ offloads */

static struct ndis_offload offload_query(uint32_t oid)
{
	struct ndis_offload offload = {0};

	CU_ASSERT_EQUAL(query(oid), 0);
	memcpy(&offload, reply + 6, reply[4]);
	CU_ASSERT_EQUAL(offload.header.type, NDIS_OBJECT_TYPE_OFFLOAD);
	CU_ASSERT_EQUAL(offload.header.size, reply[4]);
	return offload;
}

static void test_offload_capabilities(void)
{
	static const uint32_t sizes[] = {0, 112, 144, 156};
	struct ndis_offload offload;

	start();
	for (uint8_t revision = 1; revision <= 3; revision++) {
		rndis.offload_revision = revision;
		offload = offload_query(RNDIS_OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES);
		CU_ASSERT_EQUAL(offload.header.revision, revision);
		CU_ASSERT_EQUAL(offload.header.size, sizes[revision]);
	}
	/* what Linux looks for before it offers checksums, UDP and large sends of both families */
	CU_ASSERT_EQUAL(offload.csum.ip4_txcsum, 0x55);
	CU_ASSERT_EQUAL(offload.csum.ip6_txcsum, 0x55);
	CU_ASSERT_EQUAL(offload.csum.ip4_txenc, 2);
	CU_ASSERT_EQUAL(offload.lsov2.ip4_encap, 2);
	CU_ASSERT_EQUAL(offload.lsov2.ip6_encap, 2);
	CU_ASSERT_EQUAL(offload.lsov2.ip4_maxsz, RNDIS_LSO_BYTES_MAX);
	CU_ASSERT_EQUAL(offload.lsov2.ip6_opts, 5);
	CU_ASSERT_EQUAL(offload.lsov1.encap, 0);
}

static void test_offload_parameters(void)
{
	struct ndis_offload_params params = {
	        .header = {NDIS_OBJECT_TYPE_DEFAULT, 3, sizeof(params)},
	        .tcp_ip_v4_csum = 1,
	        .udp_ip_v4_csum = 2,
	        .tcp_ip_v6_csum = 3,
	        .lso_v2_ipv4 = 1,
	};
	struct ndis_offload offload;

	start();
	CU_ASSERT_EQUAL(set(RNDIS_OID_TCP_OFFLOAD_PARAMETERS, &params, sizeof(params)), 0);
	CU_ASSERT(rndis.offloads_changed);
	CU_ASSERT_EQUAL(rndis.offloads,
	                RNDIS_TX_UDP4 | RNDIS_RX_TCP6 | RNDIS_TX_UDP6 | RNDIS_RX_UDP6 | RNDIS_LSO6);
	offload = offload_query(RNDIS_OID_TCP_OFFLOAD_CURRENT_CONFIG);
	CU_ASSERT_EQUAL(offload.csum.ip4_txcsum, 0x45);
	CU_ASSERT_EQUAL(offload.csum.ip4_rxcsum, 0);
	CU_ASSERT_EQUAL(offload.csum.ip4_rxenc, 0);
	CU_ASSERT_EQUAL(offload.lsov2.ip4_encap, 0);
	CU_ASSERT_EQUAL(offload.lsov2.ip6_encap, 2);
	CU_ASSERT_EQUAL(rndis_build_offload_status(&rndis, (uint8_t *)reply), 20 + 156);
	CU_ASSERT_EQUAL(reply[0], RNDIS_MSG_INDICATE);
	CU_ASSERT_EQUAL(memcmp(reply + 5, &offload, 156), 0);
	params = (struct ndis_offload_params){.header = {NDIS_OBJECT_TYPE_DEFAULT, 1, 20},
	                                      .tcp_ip_v4_csum = 4,
	                                      .lso_v2_ipv4 = 2,
	                                      .lso_v2_ipv6 = 1,
	                                      .udp_ip_v4_csum = 9};
	CU_ASSERT_EQUAL(set(RNDIS_OID_TCP_OFFLOAD_PARAMETERS, &params, 20), 0);
	CU_ASSERT_EQUAL(rndis.offloads & (RNDIS_TX_TCP4 | RNDIS_RX_TCP4 | RNDIS_LSO4 | RNDIS_LSO6),
	                RNDIS_TX_TCP4 | RNDIS_RX_TCP4 | RNDIS_LSO4);
	/* wrong ones change nothing */
	rndis.offloads_changed = false;
	CU_ASSERT_EQUAL(set(RNDIS_OID_TCP_OFFLOAD_PARAMETERS, &params, 15), RNDIS_STATUS_INVALID_DATA);
	params.header.size = 40;
	CU_ASSERT_EQUAL(set(RNDIS_OID_TCP_OFFLOAD_PARAMETERS, &params, 20), RNDIS_STATUS_INVALID_DATA);
	params.header = (struct ndis_object_header){NDIS_OBJECT_TYPE_OFFLOAD, 1, 20};
	CU_ASSERT_EQUAL(set(RNDIS_OID_TCP_OFFLOAD_PARAMETERS, &params, 20), RNDIS_STATUS_INVALID_DATA);
	params.header = (struct ndis_object_header){NDIS_OBJECT_TYPE_DEFAULT, 1, 20};
	params.lso_v1 = 2;
	CU_ASSERT_EQUAL(set(RNDIS_OID_TCP_OFFLOAD_PARAMETERS, &params, 20), RNDIS_STATUS_NOT_SUPPORTED);
	CU_ASSERT_FALSE(rndis.offloads_changed);
}

static void test_encapsulation(void)
{
	uint32_t value[7];

	start();
	CU_ASSERT_EQUAL(query(0x0101010A), 0);
	CU_ASSERT_EQUAL(reply[4], 28);
	memcpy(value, reply + 6, 28);
	CU_ASSERT_EQUAL(value[0], 0x001C01A8);
	CU_ASSERT_EQUAL(set(0x0101010A, value, 28), 0);
	CU_ASSERT_EQUAL(set(0x0101010A, value, 24), RNDIS_STATUS_INVALID_DATA);
	value[6] = 18;
	CU_ASSERT_EQUAL(set(0x0101010A, value, 28), RNDIS_STATUS_NOT_SUPPORTED);
	value[4] = 2; /* off: then the rest does not matter */
	CU_ASSERT_EQUAL(set(0x0101010A, value, 28), 0);
	value[2] = 1;
	CU_ASSERT_EQUAL(set(0x0101010A, value, 28), RNDIS_STATUS_NOT_SUPPORTED);
	value[0] = 0x001C0180;
	CU_ASSERT_EQUAL(set(0x0101010A, value, 28), RNDIS_STATUS_INVALID_DATA);
}

UNIT_MAIN("rndis", UNIT_TEST(test_packet), UNIT_TEST(test_packet_wrong), UNIT_TEST(test_packet_many_infos),
          UNIT_TEST(test_packet_build), UNIT_TEST(test_initialize), UNIT_TEST(test_small_messages),
          UNIT_TEST(test_control_wrong), UNIT_TEST(test_object_bounds), UNIT_TEST(test_supported_list),
          UNIT_TEST(test_values), UNIT_TEST(test_structures), UNIT_TEST(test_address), UNIT_TEST(test_filter),
          UNIT_TEST(test_offload_capabilities), UNIT_TEST(test_offload_parameters),
          UNIT_TEST(test_encapsulation))

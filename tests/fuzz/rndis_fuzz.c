/*
 * rndis_fuzz.c - libFuzzer: arbitrary RNDIS messages. What must hold: nothing is read behind the
 * bytes given, what a PACKET claims lies within it, and a reply is whole, fits its buffer and
 * answers what was asked.
 *
 * Input: byte 0 says what it is (a PACKET, or control messages one behind the other, each with its
 * length in 2 bytes before it), byte 1 the device's state.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/vmbus.h"
#include "vm/spec.h"
#include "vmbus/rndis.h"

#define MESSAGES_MAX 32u

static void must(bool condition)
{
	if (!condition) {
		abort();
	}
}

/* In a buffer of its own length, so that the sanitizer sees its end. */
static uint8_t *copy_of(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + 1);

	must(copy != NULL);
	memcpy(copy, data, size);
	return copy;
}

static void fuzz_packet(const uint8_t *data, size_t size, uint32_t more)
{
	uint32_t head_bytes = size < RNDIS_HEAD_BYTES ? (uint32_t)size : RNDIS_HEAD_BYTES;
	uint32_t room = head_bytes == RNDIS_HEAD_BYTES ? (uint32_t)size + more : head_bytes;
	uint8_t *head = copy_of(data, head_bytes);
	struct rndis_send send;
	uint32_t bytes = 0;

	if (rndis_parse_packet(head, head_bytes, room, &send, &bytes)) {
		must(bytes <= room && bytes >= 44);
		must(send.data_offset <= bytes && send.data_bytes <= bytes - send.data_offset);
	}
	free(head);
}

static void fuzz_control(struct rndis *rndis, const uint8_t *data, uint32_t size)
{
	uint8_t *message = copy_of(data, size);
	uint8_t reply[RNDIS_REPLY_BYTES + 16];
	struct rndis_answer answer;
	uint32_t words[6];

	memset(reply, 0x5A, sizeof(reply));
	rndis_control(rndis, message, size, reply, &answer);
	must(answer.reply_bytes <= RNDIS_REPLY_BYTES);
	must(answer.row == SPEC_UNKNOWN || answer.row < SPEC_ROW_MAX);
	for (uint32_t i = RNDIS_REPLY_BYTES; i < sizeof(reply); i++) {
		must(reply[i] == 0x5A);
	}
	if (answer.reply_bytes != 0) {
		must(answer.valid && answer.reply_bytes >= 16);
		memcpy(words, reply, sizeof(words));
		must((words[0] & RNDIS_MSG_COMPLETION) != 0 && words[1] == answer.reply_bytes);
		if (words[0] == RNDIS_MSG_QUERY_C) {
			must(words[4] == answer.reply_bytes - 24);
			must(words[5] == (words[3] == 0 ? 16 : 0));
		}
	}
	must(rndis->offload_revision >= 1 && rndis->offload_revision <= 3);
	must((rndis->offloads & ~(uint32_t)RNDIS_OFFLOADS) == 0);
	must((rndis->mac[0] & 1) == 0);
	free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	struct rndis rndis;

	if (size < 2) {
		return 0;
	}
	if ((data[0] & 1) != 0) {
		fuzz_packet(data + 2, size - 2, data[1] * 256u);
		return 0;
	}
	rndis_init(&rndis, mac);
	rndis.operational = (data[1] & 1) != 0;
	rndis.offload_revision = (uint8_t)(1 + data[1] / 2 % 3);
	data += 2;
	size -= 2;
	for (uint32_t i = 0; i < MESSAGES_MAX && size >= 2; i++) {
		uint32_t want = (uint32_t)data[0] | (uint32_t)(data[1] & 15) << 8;

		data += 2;
		size -= 2;
		want = want < size ? want : (uint32_t)size;
		fuzz_control(&rndis, data, want);
		data += want;
		size -= want;
	}
	return 0;
}

/*
 * guest_vmbus_fuzz.c - libFuzzer: the guest's side of the VMBus against a host that lies.
 *
 * The input is the host: bus messages of any type and length, packets in the incoming ring with lengths that
 * are right or not, indexes moved anywhere. A driver may call the channel broken; what it hands on lies in its
 * own copy, and it touches nothing else.
 */
#include "guest-drivers/hyperv/hyperv.h"
#include "tests/fuzz/guest_machine.h"

static struct hv_guest hv;
static struct hv_channel channel;
static uint32_t packet_count;

static uint64_t op_hypercall_hyperv(void *context, uint64_t control, uint64_t input, uint64_t output)
{
	(void)context;
	(void)control;
	(void)input;
	(void)output;
	return lies() ? take_number(&in, 2) : 0;
}

static void op_poll_hv(void *context)
{
	(void)context;
}

static void packet_taken(void *context, const struct hv_packet *packet)
{
	uint8_t sum = 0;

	(void)context;
	packet_count++;
	for (uint32_t i = 0; i < packet->payload_bytes; i++) {
		sum = (uint8_t)(sum + packet->payload[i]);
	}
	for (uint32_t i = 0; i < packet->range_count * sizeof(struct vmtransfer_page_range); i++) {
		sum = (uint8_t)(sum + packet->ranges[i]);
	}
	require(packet->payload >= channel.packet &&
	                packet->payload + packet->payload_bytes <= channel.packet + sizeof(channel.packet) &&
	                sum <= UINT8_MAX,
	        "a packet lies in the driver's copy");
	(void)!hv_channel_complete(&channel, packet->id, "answer", 6);
}

/* A packet at the host's own index, its lengths mostly right; then the index moves on, or somewhere. */
static void host_packet(uint32_t *write)
{
	static const uint16_t types[] = {VM_PKT_DATA_INBAND, VM_PKT_COMP, VM_PKT_DATA_USING_XFER_PAGES, 4};
	uint8_t *control = channel.pages[channel.ring_pages].bytes;
	uint32_t len8 = 2 + take_below(&in, 12), data_bytes = channel.in.data_bytes;
	struct vmpacket_descriptor d = {
	        .type = types[take_below(&in, 4)],
	        .offset8 = (uint16_t)(lies() ? take_number(&in, 2) : 2 + take_below(&in, 3)),
	        .len8 = (uint16_t)(lies() ? take_number(&in, 2) : len8),
	        .flags = (uint16_t)take_below(&in, 2),
	        .trans_id = take8(&in)};

	for (uint32_t i = 0; i < len8 * 8 + 8; i++) {
		uint32_t at = (*write + i) % data_bytes;
		uint8_t byte = i < sizeof(d) ? ((const uint8_t *)&d)[i] : i < 40 ? (uint8_t)take8(&in) : 0;

		channel.pages[channel.ring_pages + 1 + at / PAGE_BYTES].bytes[at % PAGE_BYTES] = byte;
	}
	*write = (*write + len8 * 8 + 8) % data_bytes;
	guest_store32(control + VMBUS_RING_WRITE_INDEX, lies() ? (uint32_t)take_number(&in, 4) : *write);
	if (lies()) {
		guest_store32(channel.pages[0].bytes + VMBUS_RING_READ_INDEX, (uint32_t)take_number(&in, 4));
	}
}

static void host_message(void)
{
	uint8_t *bytes;
	uint32_t size = take8(&in), type = take_below(&in, 26);

	bytes = calloc(1, size != 0 ? size : 1);
	require(bytes != NULL, "memory");
	for (uint32_t i = 0; i < size; i++) {
		bytes[i] = i < 4 ? (uint8_t)(type >> (8 * i)) : i < 8 ? 0 : (uint8_t)take8(&in);
	}
	hv_bus_message(&hv, bytes, size);
	free(bytes);
	require(hv.bus.offer_count <= HV_OFFER_MAX, "offers have places");
}

/* A channel as an honest host leaves it after open; what follows is not honest. */
static void run_hyperv(void)
{
	static const struct guest_ops ops = {
	        .page_alloc = op_page_alloc,
	        .page_free = op_page_free,
	        .page_at = op_page_at,
	        .rdmsr = op_rdmsr,
	        .wrmsr = op_wrmsr,
	        .hypercall_hyperv = op_hypercall_hyperv,
	        .poll = op_poll_hv,
	};
	struct guest guest = {.ops = &ops, .poll_max = POLL_MAX};
	uint32_t write = 0, half = 3;

	memset(&hv, 0, sizeof(hv));
	hv.guest = &guest;
	memset(&channel, 0, sizeof(channel));
	channel.hv = &hv;
	channel.ring_pages = half;
	channel.open = true;
	require(guest_page_alloc(&guest, &hv.input), "a page");
	for (uint32_t i = 0; i < 2 * half; i++) {
		require(guest_page_alloc(&guest, &channel.pages[i]), "a page");
	}
	hv_ring_init(&channel.out, channel.pages, half);
	hv_ring_init(&channel.in, channel.pages + half, half);
	guest_store32(channel.pages[half].bytes + VMBUS_RING_FEATURE_BITS, VMBUS_RING_FEAT_PENDING_SEND_SZ);
	for (uint32_t i = 0; i < 100 && in.left != 0; i++) {
		switch (take_below(&in, 4)) {
		case 0:
			host_message();
			break;
		case 1:
			hv_channel_drain(&channel, take8(&in), take_below(&in, 2) != 0, packet_taken);
			break;
		default:
			host_packet(&write);
			break;
		}
	}
	(void)hv_channel_close(&channel);
	guest_page_free(&guest, &hv.input);
}

/* ------------------------------------------------------------------ an input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	machine_start(data, size);
	run_hyperv();
	return 0;
}

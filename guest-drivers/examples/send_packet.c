/*
 * send_packet.c - an example: sends a broadcast frame by whichever face is there, and prints what it receives
 * within a second (seconds=N: within N, and sends four times in each). With both faces, use=xen or
 * use=hyperv on the command line says which.
 */
#include "guest-drivers/hyperv/hyperv.h"
#include "guest-drivers/metal/machine.h"
#include "guest-drivers/xen/xen.h"

#define FRAME_BYTES 60u
#define ETHER_TYPE 0x88b5u /* for experiments, by IEEE 802 */
#define SENDS_A_SECOND 4u
#define SHOWN_MAX 10u

/* Large: not on the stack. */
static struct xen_guest xen;
static struct xen_netfront xen_net;
static struct hv_guest hv;
static struct hv_netvsc hv_net;
static bool by_xen;
static uint32_t heard_count, sent_count;

/* "02:00:00:00:00:01" */
static void format_mac(char to[18], const uint8_t mac[6])
{
	static const char digits[] = "0123456789abcdef";

	for (uint32_t i = 0; i < 6; i++) {
		to[3 * i] = digits[mac[i] >> 4];
		to[3 * i + 1] = digits[mac[i] & 15];
		to[3 * i + 2] = i < 5 ? ':' : 0;
	}
}

/* ---------------------------------------------------------------- what comes */

static void heard(const uint8_t *bytes, uint32_t len)
{
	char from[18];

	heard_count++;
	if (len >= 14 && heard_count <= SHOWN_MAX) {
		format_mac(from, bytes + 6);
		report("heard=%u bytes from %s, type %x", len, from,
		       (unsigned int)(bytes[12] << 8 | bytes[13]));
	}
}

static void xen_heard(void *context, const struct xen_net_frame *frame)
{
	(void)context;
	heard(frame->bytes, frame->len);
}

static void hv_heard(void *context, const struct hv_net_frame *frame)
{
	(void)context;
	heard(frame->bytes, frame->len);
}

static void poll(void)
{
	if (by_xen) {
		xen_poll(&xen);
		xen_netfront_poll(&xen_net);
	} else {
		hv_poll(&hv);
	}
}

/* ---------------------------------------------------------------- what goes */

static bool send(const uint8_t mac[6])
{
	static const uint8_t payload[] = {'h', 'e', 'l', 'l', 'o'};
	uint8_t bytes[FRAME_BYTES] = {0};
	const struct xen_net_frame xen_frame = {.bytes = bytes, .len = sizeof(bytes)};
	const struct hv_net_frame hv_frame = {.bytes = bytes, .len = sizeof(bytes)};

	memset(bytes, 0xff, 6);
	memcpy(bytes + 6, mac, 6);
	bytes[12] = ETHER_TYPE >> 8;
	bytes[13] = ETHER_TYPE & 0xff;
	memcpy(bytes + 14, payload, sizeof(payload));
	return by_xen ? xen_netfront_send(&xen_net, &xen_frame) : hv_netvsc_send(&hv_net, &hv_frame, 1);
}

/* ---------------------------------------------------------------- open and close */

static bool open_card(struct guest *machine)
{
	if (by_xen) {
		return xen_start(&xen, machine) == 0 && xen_store_start(&xen) == 0 &&
		       xen_netfront_open(&xen_net, &xen, 0, xen_heard, NULL);
	}
	return hv_start(&hv, machine) && hv_bus_connect(&hv, VERSION_WIN10_V5_3) && hv_bus_offers(&hv) &&
	       hv_netvsc_open(&hv_net, &hv, 0, hv_heard, NULL);
}

static bool close_card(void)
{
	return by_xen ? xen_netfront_close(&xen_net) : hv_netvsc_close(&hv_net) && hv_bus_unload(&hv);
}

void program_main(void)
{
	struct guest *machine = machine_open(true);
	uint64_t seconds = option_number("seconds", 1);
	uint32_t sends = seconds == 1 ? 1 : (uint32_t)seconds * SENDS_A_SECOND;
	uint64_t begun, end;
	const uint8_t *mac;
	char own[18];

	by_xen = xen_base() != 0 && (!has_hyperv() || option_is("use", "xen"));
	report("face=%s", by_xen ? "xen" : face_name());
	if ((!by_xen && !has_hyperv()) || !open_card(machine)) {
		report("error=no network card by either face");
		finish(false);
	}
	mac = by_xen ? xen_net.mac : hv_net.mac;
	format_mac(own, mac);
	report("mac=%s", own);
	report("open_pages=%u", machine_pages_out());
	begun = tsc_read();
	end = begun + seconds * tsc_hz();
	for (uint64_t now = begun; now < end; now = tsc_read()) {
		if (sent_count < sends && now - begun >= sent_count * (tsc_hz() / SENDS_A_SECOND) &&
		    send(mac)) {
			sent_count++;
		}
		poll();
	}
	report("sent=%u", sent_count);
	report("frames=%u", heard_count);
	finish(close_card() && sent_count != 0);
}

/*
 * echo.c - mode=echo: sends each frame of CERTIFY_ETHERTYPE back to where it came from, the peer of another guest's
 * network probes.
 */
#include "guest-drivers/certify/functional.h"
#include "guest-drivers/certify/metal.h"

#define HEADER 14u

/* What it came from is the sender's now. */
static void answer(struct io_card *card)
{
	uint8_t to[6];

	memcpy(to, card->bytes + 6, 6);
	(void)!io_card_send(card, to, card->bytes + HEADER, card->length);
}

bool echo_run(struct certify *c)
{
	static const struct row row = {.name = "echo"};
	static struct io_card card;
	struct probe p = {.c = c, .row = &row};
	enum io_face face;

	certify_find(c);
	face = c->faces.hyperv_base != 0 ? IO_HYPERV : IO_XEN;
	card.take = answer;
	if (!io_card_open(&p, &card, face)) {
		certify_say(c, "# %s%s", p.failed, p.skip);
		return false;
	}
	certify_say(c, "# echo on the card of %s", face == IO_HYPERV ? "Hyper-V" : "Xen");
	for (;;) {
		io_card_poll(&card);
	}
}

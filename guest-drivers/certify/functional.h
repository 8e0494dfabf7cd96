/*
 * functional.h - what the functional probes share: a disk and a card of either face, behind one form.
 */
#ifndef GUEST_DRIVERS_CERTIFY_FUNCTIONAL_H
#define GUEST_DRIVERS_CERTIFY_FUNCTIONAL_H

#include "guest-drivers/certify/certify.h"

enum io_face {
	IO_HYPERV,
	IO_XEN,
};

/* ------------------------------------------------------------------ functional_disk.c */

enum io_operation {
	IO_READ,
	IO_WRITE,
	IO_FLUSH,
};

/* The first disk of a face. One is open at a time for each face. */
struct io_disk {
	enum io_face face;
	struct certify *c;
	uint64_t sector_count; /* of 512 bytes */
	bool is_scratch; /* it may be written to */
	uint32_t pending, errors;
};

/* False: there is none (the probe is skipped) or it does not open (it has failed). */
bool io_disk_open(struct probe *p, struct io_disk *disk, enum io_face face);
/* As above, and it must be a scratch disk: else the probe is skipped. */
bool io_disk_open_scratch(struct probe *p, struct io_disk *disk, enum io_face face);
void io_disk_close(struct probe *p, struct io_disk *disk);
/* Begins to move a page at @sector (no page for IO_FLUSH); false: no room now. */
MUST_CHECK bool io_disk_submit(struct io_disk *disk, enum io_operation operation, uint64_t sector,
                               const struct guest_page *page);
/* Waits until all that was begun has ended. False: it did not, or with an error. */
MUST_CHECK bool io_disk_wait(struct io_disk *disk);
/* One, to its end. */
MUST_CHECK bool io_disk_run(struct io_disk *disk, enum io_operation operation, uint64_t sector,
                            const struct guest_page *page);
/* 4096 bytes that are told by @seed, into a page; and whether they are there. */
void pattern_fill(const struct guest_page *page, uint32_t seed);
bool pattern_holds(const struct guest_page *page, uint32_t seed);

/* ------------------------------------------------------------------ functional_net.c */

#define IO_FRAME_MAX 1514u

/* The first card of a face; one at a time. */
struct io_card {
	enum io_face face;
	struct certify *c;
	uint8_t mac[6];
	uint32_t received; /* of CERTIFY_ETHERTYPE */
	uint32_t length; /* of the last one */
	uint8_t bytes[IO_FRAME_MAX];
	/* Called with each frame of CERTIFY_ETHERTYPE; NULL: none. */
	void (*take)(struct io_card *card);
};

bool io_card_open(struct probe *p, struct io_card *card, enum io_face face);
void io_card_close(struct probe *p, struct io_card *card);
/* A frame to @to with @length bytes in all, its payload from @payload (@length less 14 bytes). */
MUST_CHECK bool io_card_send(struct io_card *card, const uint8_t to[6], const uint8_t *payload,
                             uint32_t length);
/* What has come is taken. */
void io_card_poll(struct io_card *card);

/* ------------------------------------------------------------------ functional_clock.c */

/* Nanoseconds of Hyper-V's counter, and of Xen's clock on this CPU; the face is started. */
uint64_t clock_hyperv_ns(struct certify *c);
uint64_t clock_xen_ns(struct certify *c);

/* ------------------------------------------------------------------ the probes, a row of functional.def each */

#define SPEC_ROW(number, name, status, handler, clause) void probe_##handler(struct probe *p);
#include "guest-drivers/certify/functional.def"
#undef SPEC_ROW

#endif /* GUEST_DRIVERS_CERTIFY_FUNCTIONAL_H */

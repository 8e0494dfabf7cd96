/*
 * xen.h - the guest's side of Xen: hypercalls, event channels, grants, the store, and its
 * frontends.
 *
 * Order: xen_start(), then xen_store_start(), then any frontend. Functions that wait poll at most
 * guest.poll_max times. Errors are Xen's numbers, negative (abi/xen.h).
 */
#ifndef GUEST_DRIVERS_XEN_XEN_H
#define GUEST_DRIVERS_XEN_XEN_H

#include "abi/xen.h"
#include "guest-drivers/guest.h"

#define XEN_PATH_BYTES 96u
#define XEN_VALUE_BYTES 64u
#define XEN_HANDLER_MAX 32u
#define XEN_GRANT_FRAMES 4u
#define XEN_GRANT_REFS (XEN_GRANT_FRAMES * 512u)
#define XEN_GRANT_NONE 0u /* a reserved reference: never given out */
#define XEN_EVENT_MAX 16u
#define XEN_CALLBACK_VECTOR 0xF3u

struct xen_handler {
	uint32_t port; /* 0: free */
	void (*handle)(void *context);
	void *context;
};

/* A change seen by a watch. */
struct xen_event {
	char path[XEN_PATH_BYTES];
	char token[XEN_VALUE_BYTES];
};

struct xen_store {
	uint8_t *ring; /* struct xen_xs_ring */
	uint32_t port;
	uint32_t next_id;
	bool broken; /* the host broke the protocol, or answers no more */
	uint32_t event_head, event_tail;
	uint32_t lost_events; /* came when none was taken, or too long */
	struct xen_event events[XEN_EVENT_MAX];
	struct xen_xs_message header; /* the last reply's */
	char payload[XENSTORE_PAYLOAD_MAX + 1];
};

struct xen_guest {
	struct guest *guest;
	uint32_t cpuid_base;
	uint32_t version; /* major << 16 | minor */
	uint32_t domid; /* as CPUID tells it, else the store; 0: neither does */
	struct guest_page args; /* structures for hypercalls */
	struct guest_page stubs;
	struct guest_page shared_below;
	uint8_t *shared; /* struct xen_shared_info64 */
	struct xen_handler handlers[XEN_HANDLER_MAX];
	uint64_t spurious_events; /* of ports that no one handles */
	struct guest_page grant_below[XEN_GRANT_FRAMES];
	uint8_t *grants[XEN_GRANT_FRAMES];
	uint16_t grant_next[XEN_GRANT_REFS]; /* a list of free references */
	uint16_t grant_free;
	uint32_t grant_free_count;
	struct xen_store store;
};

/* ------------------------------------------------------------------ hypercall.c */

/*
 * Finds Xen, maps shared info and grants, sets the callback vector. Negative: what failed;
 * xen_stop() then too.
 */
MUST_CHECK int64_t xen_start(struct xen_guest *x, struct guest *guest);
/* Gives all pages back. No frontend is open. */
void xen_stop(struct xen_guest *x);

int64_t xen_call(struct xen_guest *x, uint32_t number, uint64_t a, uint64_t b, uint64_t c);
/* (op, &argument) calls: @len bytes at @argument go in and come back. */
int64_t xen_call_struct(struct xen_guest *x, uint32_t number, uint64_t op, void *argument, size_t len);
int64_t xen_param_get(struct xen_guest *x, uint32_t index, uint64_t *value);
int64_t xen_param_set(struct xen_guest *x, uint32_t index, uint64_t value);
/* Maps a page of Xen's (XENMAPSPACE_*) over one of ours; where it is found, NULL: refused. */
uint8_t *xen_map(struct xen_guest *x, uint32_t space, uint64_t index, struct guest_page *below);
/* SCHEDOP_shutdown with SHUTDOWN_*. */
int64_t xen_shutdown(struct xen_guest *x, uint32_t reason);

/* ------------------------------------------------------------------ evtchn.c */

/* A new port for domain 0 to bind; negative: no port. */
int64_t xen_port_alloc(struct xen_guest *x, void (*handle)(void *context), void *context);
/* Handles (unmasks) a port that exists already: the store's, the console's. */
MUST_CHECK bool xen_port_handle(struct xen_guest *x, uint32_t port, void (*handle)(void *context),
                                void *context);
void xen_port_forget(struct xen_guest *x, uint32_t port);
int64_t xen_port_close(struct xen_guest *x, uint32_t port);
int64_t xen_port_notify(struct xen_guest *x, uint32_t port);
/* Calls the handlers of pending ports. True if there was an upcall. */
bool xen_events_handle(struct xen_guest *x);
/* guest_poll(), then the handlers. */
void xen_poll(struct xen_guest *x);

/* ------------------------------------------------------------------ gnttab.c */

MUST_CHECK bool xen_grants_start(struct xen_guest *x);
/* Lets domain 0 use the frame; XEN_GRANT_NONE: no reference left. */
uint32_t xen_grant(struct xen_guest *x, uint64_t gfn, bool read_only);
/* Takes it back. False: domain 0 still uses it (then the page must not be used again). */
MUST_CHECK bool xen_grant_end(struct xen_guest *x, uint32_t ref);

/* ------------------------------------------------------------------ xenstore.c */

MUST_CHECK int64_t xen_store_start(struct xen_guest *x);
/* Each returns 0 or more, or a negative error. @tx: 0, or of xen_store_begin(). */
int64_t xen_store_read(struct xen_guest *x, uint32_t tx, const char *path, char *to, size_t room);
int64_t xen_store_read_number(struct xen_guest *x, uint32_t tx, const char *path, uint64_t *value);
int64_t xen_store_write(struct xen_guest *x, uint32_t tx, const char *path, const char *value);
int64_t xen_store_write_number(struct xen_guest *x, uint32_t tx, const char *path, uint64_t value);
int64_t xen_store_remove(struct xen_guest *x, uint32_t tx, const char *path);
/* Names below @path, each ended by a NUL, in x->store.payload; returns the bytes. */
int64_t xen_store_list(struct xen_guest *x, uint32_t tx, const char *path);
int64_t xen_store_watch(struct xen_guest *x, const char *path, const char *token);
int64_t xen_store_unwatch(struct xen_guest *x, const char *path, const char *token);
int64_t xen_store_begin(struct xen_guest *x, uint32_t *tx);
/* -XEN_EAGAIN: another change came between; begin again. */
int64_t xen_store_end(struct xen_guest *x, uint32_t tx, bool commit);
/* One event that came, if there is one. */
bool xen_store_event(struct xen_guest *x, struct xen_event *event);
/* Any request: for tests. The reply's payload is in x->store.payload; returns its length. */
int64_t xen_store_request(struct xen_guest *x, uint32_t type, uint32_t tx, const void *payload, uint32_t len);

/* "@directory/@name" into @to; cut to its room. */
void xen_path_join(char to[XEN_PATH_BYTES], const char *directory, const char *name);
void xen_format_number(char to[XEN_VALUE_BYTES], uint64_t value);

/*
 * ------------------------------------------------------------------ xenbus.c: what all frontends
 * do
 */

struct xen_frontend {
	struct xen_guest *x;
	char front[XEN_PATH_BYTES];
	char back[XEN_PATH_BYTES];
};

/* Finds "device/@type/@id" and its backend, and brings both to the start (states 1 and 2). */
MUST_CHECK bool xen_frontend_open(struct xen_frontend *front, struct xen_guest *x, const char *type,
                                  uint32_t id);
bool xen_frontend_write(struct xen_frontend *front, const char *name, uint64_t value);
/* A number from the backend's directory; @otherwise if it is missing or none. */
uint64_t xen_frontend_read(struct xen_frontend *front, const char *name, uint64_t otherwise);
bool xen_frontend_set_state(struct xen_frontend *front, uint32_t state);
/* Waits until the backend's state is one of @mask (bit n = state n). */
MUST_CHECK bool xen_frontend_wait(struct xen_frontend *front, uint32_t mask);
/* Through Closing to Closed. False if the backend does not follow. */
MUST_CHECK bool xen_frontend_close(struct xen_frontend *front);

/* A ring page of a frontend's, granted. */
struct xen_ring {
	struct guest_page page;
	uint32_t ref;
	uint32_t req_prod;
	uint32_t rsp_cons;
	bool broken; /* the backend moved an index out of bounds */
};

MUST_CHECK bool xen_ring_open(struct xen_ring *ring, struct xen_guest *x);
/* False: the backend still uses it; the page is lost. */
bool xen_ring_close(struct xen_ring *ring, struct xen_guest *x);
/* Shows requests up to @req_prod. True: the backend wants to be told. */
bool xen_ring_push(struct xen_ring *ring, uint32_t req_prod);
/* Responses that wait; asks to be told of the next when there are none. */
uint32_t xen_ring_waiting(struct xen_ring *ring);

/* ------------------------------------------------------------------ blkfront.c */

#define XEN_BLK_ENTRIES 32u

/* A piece of a page, in sectors of 512 bytes. */
struct xen_blk_piece {
	uint64_t gfn;
	uint8_t first, last; /* inclusive */
};

struct xen_blk_slot {
	bool used;
	uint8_t operation;
	uint8_t ref_count;
	uint32_t refs[BLKIF_MAX_SEGMENTS_PER_REQUEST];
	/* @status: BLKIF_RSP_*. */
	void (*done)(void *context, int status);
	void *context;
};

struct xen_blkfront {
	struct xen_frontend front;
	struct xen_ring ring;
	uint32_t port;
	uint64_t sector_count;
	uint32_t sector_bytes;
	bool read_only;
	bool flush;
	uint32_t used_count;
	uint32_t lost_pages; /* that the backend would not let go of */
	struct xen_blk_slot slots[XEN_BLK_ENTRIES];
};

MUST_CHECK bool xen_blkfront_open(struct xen_blkfront *blk, struct xen_guest *x, uint32_t id);
/* BLKIF_OP_*; at most 11 pieces. False: no free slot or no grant. */
MUST_CHECK bool xen_blkfront_submit(struct xen_blkfront *blk, uint8_t operation, uint64_t sector,
                                    const struct xen_blk_piece *pieces, uint32_t piece_count,
                                    void (*done)(void *context, int status), void *context);
/* Takes responses; also called for its event. */
void xen_blkfront_poll(struct xen_blkfront *blk);
/* Requests under way end with BLKIF_RSP_ERROR if the backend left them. False: it did not close. */
bool xen_blkfront_close(struct xen_blkfront *blk);

/* ------------------------------------------------------------------ netfront.c */

#define XEN_NET_ENTRIES 256u
#define XEN_NET_SEND_PAGES 64u
#define XEN_NET_RECEIVE_PAGES 128u
#define XEN_NET_FRAME_MAX 65535u

struct xen_net_frame {
	const uint8_t *bytes;
	uint32_t len;
	bool checksum_blank;
	bool checksum_good;
	uint16_t gso_bytes; /* 0: none */
	uint8_t gso_type; /* XEN_NETIF_GSO_TYPE_* */
};

struct xen_netfront {
	struct xen_frontend front;
	struct xen_ring tx, rx;
	uint32_t port;
	uint8_t mac[6];
	bool ready;
	/* Called from xen_netfront_poll() with each frame; its bytes are the driver's. */
	void (*receive)(void *context, const struct xen_net_frame *frame);
	void *context;
	uint32_t first_bytes; /* of a sent frame, in its first slot; 0: a whole page */
	uint32_t send_offset; /* where data starts in a page of a sent frame */
	struct guest_page send_pages[XEN_NET_SEND_PAGES];
	uint32_t send_refs[XEN_NET_SEND_PAGES]; /* XEN_GRANT_NONE: the page is free */
	uint32_t send_free_count;
	struct guest_page receive_pages[XEN_NET_ENTRIES]; /* by ring index */
	uint32_t receive_refs[XEN_NET_ENTRIES];
	uint64_t sent_count, send_error_count, received_count, receive_error_count;
	uint32_t lost_pages;
	uint8_t frame[XEN_NET_FRAME_MAX + 1];
};

MUST_CHECK bool xen_netfront_open(struct xen_netfront *net, struct xen_guest *x, uint32_t id,
                                  void (*receive)(void *context, const struct xen_net_frame *frame),
                                  void *context);
/* Copies the frame out. False: no room now, or more than XEN_NET_FRAME_MAX bytes. */
MUST_CHECK bool xen_netfront_send(struct xen_netfront *net, const struct xen_net_frame *frame);
void xen_netfront_poll(struct xen_netfront *net);
bool xen_netfront_close(struct xen_netfront *net);

/* ------------------------------------------------------------------ xencons.c */

struct xen_console {
	struct xen_guest *x;
	uint8_t *ring; /* struct xen_console_ring */
	uint32_t port;
};

/* False: there is no console. */
MUST_CHECK bool xen_console_open(struct xen_console *console, struct xen_guest *x);
/* Waits for room; returns what was written. */
size_t xen_console_write(struct xen_console *console, const char *bytes, size_t len);
size_t xen_console_read(struct xen_console *console, char *to, size_t room);
void xen_console_close(struct xen_console *console);

#endif /* GUEST_DRIVERS_XEN_XEN_H */

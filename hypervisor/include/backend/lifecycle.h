/*
 * lifecycle.h - asking a guest to end, and what it says of its own state.
 *
 * The host asks by lifecycle_ask(); the face that has a channel for it passes it on (Xen:
 * control/shutdown in the store, Hyper-V: the shutdown component). A face reports heartbeats and
 * answers. The end itself (power off, reboot, crash) goes through vm_stop(), whoever starts it.
 */
#ifndef BACKEND_LIFECYCLE_H
#define BACKEND_LIFECYCLE_H

#include "base/lock.h"

enum lifecycle_request {
	LIFECYCLE_POWEROFF,
	LIFECYCLE_REBOOT,
};

struct lifecycle_face_ops {
	/* Passes the request on. False if the guest has no driver for it (yet). No lock held. */
	bool (*ask)(void *face, enum lifecycle_request request);
};

#define LIFECYCLE_FACE_MAX 2u

struct lifecycle {
	struct spinlock lock; /* RANK_CONSOLE */
	struct {
		const struct lifecycle_face_ops *ops;
		void *face;
		uint32_t asking; /* calls of ask under way */
	} faces[LIFECYCLE_FACE_MAX];
	uint64_t heartbeat_count;
	uint64_t heartbeat_ns; /* guest time of the last one */
	uint64_t ask_count;
	uint64_t answer_count;
};

void lifecycle_init(struct lifecycle *lifecycle);
/*
 * A face can pass requests on. False if there is no place; a face attached already gets the new
 * @ops.
 */
MUST_CHECK bool lifecycle_attach(struct lifecycle *lifecycle, const struct lifecycle_face_ops *ops,
                                 void *face);
/*
 * On return no ask call to it runs or will come. Not from ask itself, holding no lock that it
 * takes.
 */
void lifecycle_detach(struct lifecycle *lifecycle, void *face);

/* True if some face took the request: the first that can. The caller holds no lock. */
bool lifecycle_ask(struct lifecycle *lifecycle, enum lifecycle_request request);

/*
 * From a face: the guest is alive (now = guest time); the guest has said that it will do what was
 * asked.
 */
void lifecycle_heartbeat(struct lifecycle *lifecycle, uint64_t now_ns);
void lifecycle_answered(struct lifecycle *lifecycle);

#endif /* BACKEND_LIFECYCLE_H */

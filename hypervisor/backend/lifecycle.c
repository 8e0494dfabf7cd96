/*
 * lifecycle.c - asking a guest to end, through whichever face can. Contract: backend/lifecycle.h.
 */
#include "backend/lifecycle.h"

void lifecycle_init(struct lifecycle *lifecycle)
{
	*lifecycle = (struct lifecycle){.heartbeat_count = 0};
	spin_init(&lifecycle->lock, RANK_CONSOLE);
}

/* The place of @face (NULL: an empty one), or LIFECYCLE_FACE_MAX. Lock held. */
static uint32_t place_find(const struct lifecycle *lifecycle, const void *face)
{
	uint32_t i = 0;

	while (i < LIFECYCLE_FACE_MAX &&
	       (lifecycle->faces[i].face != face || (face == NULL && lifecycle->faces[i].asking != 0))) {
		i++;
	}
	return i;
}

bool lifecycle_attach(struct lifecycle *lifecycle, const struct lifecycle_face_ops *ops, void *face)
{
	uint32_t place;

	CHECK(ops != NULL && face != NULL);
	spin_lock(&lifecycle->lock);
	place = place_find(lifecycle, face);
	if (place == LIFECYCLE_FACE_MAX) {
		place = place_find(lifecycle, NULL);
	}
	if (place < LIFECYCLE_FACE_MAX) {
		lifecycle->faces[place].ops = ops;
		lifecycle->faces[place].face = face;
	}
	spin_unlock(&lifecycle->lock);
	return place < LIFECYCLE_FACE_MAX;
}

static bool place_is_asking(struct lifecycle *lifecycle, uint32_t place)
{
	bool asking;

	spin_lock(&lifecycle->lock);
	asking = lifecycle->faces[place].asking != 0;
	spin_unlock(&lifecycle->lock);
	return asking;
}

void lifecycle_detach(struct lifecycle *lifecycle, void *face)
{
	uint32_t place;

	CHECK(face != NULL);
	spin_lock(&lifecycle->lock);
	place = place_find(lifecycle, face);
	if (place < LIFECYCLE_FACE_MAX) {
		lifecycle->faces[place].ops = NULL;
		lifecycle->faces[place].face = NULL;
	}
	spin_unlock(&lifecycle->lock);
	while (place < LIFECYCLE_FACE_MAX && place_is_asking(lifecycle, place)) {
		lock_relax();
	}
}

/* Asks the face at @place, if there is one. */
static bool place_ask(struct lifecycle *lifecycle, uint32_t place, enum lifecycle_request request)
{
	const struct lifecycle_face_ops *ops;
	void *face;
	bool taken;

	spin_lock(&lifecycle->lock);
	ops = lifecycle->faces[place].ops;
	face = lifecycle->faces[place].face;
	lifecycle->faces[place].asking++;
	spin_unlock(&lifecycle->lock);
	taken = ops != NULL && ops->ask(face, request);
	spin_lock(&lifecycle->lock);
	lifecycle->faces[place].asking--;
	spin_unlock(&lifecycle->lock);
	return taken;
}

bool lifecycle_ask(struct lifecycle *lifecycle, enum lifecycle_request request)
{
	bool taken = false;

	for (uint32_t i = 0; i < LIFECYCLE_FACE_MAX && !taken; i++) {
		taken = place_ask(lifecycle, i, request);
	}
	if (taken) {
		spin_lock(&lifecycle->lock);
		lifecycle->ask_count++;
		spin_unlock(&lifecycle->lock);
	}
	return taken;
}

void lifecycle_heartbeat(struct lifecycle *lifecycle, uint64_t now_ns)
{
	spin_lock(&lifecycle->lock);
	lifecycle->heartbeat_count++;
	lifecycle->heartbeat_ns = now_ns;
	spin_unlock(&lifecycle->lock);
}

void lifecycle_answered(struct lifecycle *lifecycle)
{
	spin_lock(&lifecycle->lock);
	lifecycle->answer_count++;
	spin_unlock(&lifecycle->lock);
}

/*
 * lock.h - ticket spin locks with ranks.
 *
 * A CPU may take a lock only if it holds none of the same or a higher rank; so no two CPUs can wait for each
 * other. The order below is the order of the tree, from what a guest's request meets first down to the
 * log. Ranks are checked on every acquisition, on the metal and hosted. Ring 0 holds a lock for a bounded,
 * short piece of work with interrupts off; nothing waits for another CPU while it holds one.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include "base/check.h"

enum lock_rank {
	RANK_CONTROL = 1, /* start, stop and reset of guests; the monitor */
	RANK_BUS, /* one connection: VMBus, xenstore */
	RANK_DEVICE, /* one device's request side: blkback, storvsp, send side of a network device */
	RANK_SWITCH, /* one switch: its ports and learned addresses */
	RANK_RECEIVE, /* receive side of one network device */
	RANK_BLOCK, /* one block backend */
	RANK_HOST_DEVICE, /* one host driver's queue */
	RANK_GRANT, /* one guest's grant table */
	RANK_EVENT, /* one guest's event channels or SynIC */
	RANK_MEMORY, /* one guest's nested page table */
	RANK_PLATFORM, /* one guest's IOAPIC, UART */
	RANK_WORK, /* one guest's deferred work */
	RANK_TIMER, /* one CPU's timers */
	RANK_SCHED, /* the run queues */
	RANK_FRAMES, /* the pool of free frames */
	RANK_CONSOLE, /* one guest's console */
	RANK_LOG, /* the log and COM1 */
	RANK_COUNT,
};

struct spinlock {
	uint32_t next;
	uint32_t owner;
	uint32_t rank;
};

/* The set of ranks that this CPU (hosted: this thread) holds, one bit a rank. Each side defines it. */
uint32_t *lock_held_ranks(void);

/* What a waiting CPU does between two looks. Each side defines it: PAUSE, or sched_yield(). */
void lock_relax(void);

static inline void spin_init(struct spinlock *lock, enum lock_rank rank)
{
	lock->next = 0;
	lock->owner = 0;
	lock->rank = (uint32_t)rank;
}

static inline void spin_lock(struct spinlock *lock)
{
	uint32_t *held = lock_held_ranks();
	uint32_t ticket;

	CHECK((*held >> lock->rank) == 0);
	ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&lock->owner, __ATOMIC_ACQUIRE) != ticket) {
		lock_relax();
	}
	*held |= 1u << lock->rank;
}

static inline void spin_unlock(struct spinlock *lock)
{
	uint32_t *held = lock_held_ranks();

	CHECK((*held >> lock->rank & 1) != 0);
	*held &= ~(1u << lock->rank);
	__atomic_store_n(&lock->owner, lock->owner + 1, __ATOMIC_RELEASE);
}

#endif /* BASE_LOCK_H */

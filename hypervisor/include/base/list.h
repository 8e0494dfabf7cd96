/*
 * list.h - a doubly linked list whose nodes live in the things listed.
 *
 * A node that is in no list points to itself. The owner of the list owns its lock; nothing here locks.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/compiler.h"

struct list_node {
	struct list_node *next;
	struct list_node *prev;
};

static inline void list_init(struct list_node *node)
{
	node->next = node;
	node->prev = node;
}

static inline bool list_is_empty(const struct list_node *head)
{
	return head->next == head;
}

static inline void list_add_tail(struct list_node *head, struct list_node *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_remove(struct list_node *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* The first node, taken out; NULL if there is none. */
static inline struct list_node *list_take_first(struct list_node *head)
{
	struct list_node *first = head->next;

	if (first == head) {
		return NULL;
	}
	list_remove(first);
	return first;
}

/* @node may be removed in the body, no other. */
#define LIST_FOR_EACH(node, head)                                                              \
	for (struct list_node *node = (head)->next, *node##_next = node->next; node != (head); \
	     node = node##_next, node##_next = node->next)

#endif /* BASE_LIST_H */

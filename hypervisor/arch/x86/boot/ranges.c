/*
 * ranges.c - sorted lists of physical memory: add, subtract, measure. Pure; the memory map and the
 * list of what is free are made with it.
 */
#include "base/mem.h"
#include "hypervisor/arch/x86/host_internal.h"

static uint64_t range_end(const struct host_range *range)
{
	return range->start.v + range->bytes;
}

static void list_remove(struct host_range *list, uint32_t *count, uint32_t at)
{
	(*count)--;
	memmove(&list[at], &list[at + 1], (*count - at) * sizeof(list[0]));
}

/* Joins the entry after @at to it if they touch and agree. */
static void list_join(struct host_range *list, uint32_t *count, uint32_t at)
{
	if (at + 1 < *count && list[at].type == list[at + 1].type &&
	    range_end(&list[at]) == list[at + 1].start.v) {
		list[at].bytes += list[at + 1].bytes;
		list_remove(list, count, at + 1);
	}
}

bool ranges_add(struct host_range *list, uint32_t *count, struct host_range range)
{
	uint32_t at = 0;

	if (range.bytes == 0 || range.start.v + range.bytes < range.start.v) {
		return true;
	}
	if (*count == HOST_RANGES_MAX) {
		return false;
	}
	while (at < *count && list[at].start.v <= range.start.v) {
		at++;
	}
	memmove(&list[at + 1], &list[at], (*count - at) * sizeof(list[0]));
	list[at] = range;
	(*count)++;
	list_join(list, count, at);
	if (at > 0) {
		list_join(list, count, at - 1);
	}
	return true;
}

/* Cuts [start, end), which lies inside without touching either side, out of list[at]. */
static void list_split(struct host_range *list, uint32_t *count, uint32_t at, uint64_t start, uint64_t end)
{
	uint64_t before = start - list[at].start.v;
	uint64_t after = range_end(&list[at]) - end;

	if (*count == HOST_RANGES_MAX) {
		if (before < after) {
			list[at].start = hpa(end);
		}
		list[at].bytes = before < after ? after : before;
		return;
	}
	memmove(&list[at + 1], &list[at], (*count - at) * sizeof(list[0]));
	(*count)++;
	list[at].bytes = before;
	list[at + 1].start = hpa(end);
	list[at + 1].bytes = after;
}

void ranges_subtract(struct host_range *list, uint32_t *count, uint64_t start, uint64_t end)
{
	uint32_t at = 0;

	while (at < *count) {
		uint64_t first = list[at].start.v;
		uint64_t last = range_end(&list[at]);

		if (end <= first || start >= last) {
			at++;
		} else if (start <= first && end >= last) {
			list_remove(list, count, at);
		} else if (start <= first) {
			list[at].start = hpa(end);
			list[at].bytes = last - end;
			at++;
		} else if (end >= last) {
			list[at].bytes = start - first;
			at++;
		} else {
			list_split(list, count, at, start, end);
			at++;
		}
	}
}

uint64_t ranges_covered(const struct host_range *list, uint32_t count, uint64_t start, uint64_t end,
                        uint32_t type_mask)
{
	uint64_t covered = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t from = list[i].start.v > start ? list[i].start.v : start;
		uint64_t to = range_end(&list[i]) < end ? range_end(&list[i]) : end;

		if ((type_mask & (1u << list[i].type)) != 0 && from < to) {
			covered += to - from;
		}
	}
	return covered;
}

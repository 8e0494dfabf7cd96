/*
 * gpadl.c - buffers of the guest as lists of its frames. Contract: gpadl.h; layout: abi/vmbus.h, GPADL_HEADER and _BODY.
 */
#include "vmbus/gpadl.h"

#include "base/bits.h"
#include "vm/page.h"

struct vmbus_gpadl *gpadl_create(struct vm *vm, uint32_t list_bytes, uint32_t range_count)
{
	uint32_t words = list_bytes / 8;
	struct vmbus_gpadl *gpadl;

	/* Each range takes its head and a frame at least. */
	if (list_bytes % 8 != 0 || range_count == 0 || range_count > GPADL_RANGE_MAX ||
	    words < range_count * 2) {
		return NULL;
	}
	gpadl = vm_alloc(vm, sizeof(*gpadl));
	if (gpadl == NULL) {
		return NULL;
	}
	gpadl->page_room = words - range_count;
	gpadl->pages = vm_alloc(vm, gpadl->page_room * sizeof(gpadl->pages[0]));
	if (gpadl->pages == NULL) {
		vm_free(vm, gpadl);
		return NULL;
	}
	gpadl->words_left = words;
	gpadl->range_target = range_count;
	return gpadl;
}

/* The head of a range. False: it cannot be right. */
static bool add_range(struct vmbus_gpadl *gpadl, uint64_t word)
{
	struct gpadl_range range = {
	        .first_page = gpadl->page_count,
	        .offset = (uint32_t)(word >> 32),
	        .len_bytes = (uint32_t)word,
	};
	uint64_t pages = ((uint64_t)range.offset + range.len_bytes + PAGE_MASK) / PAGE_BYTES;

	if (range.len_bytes == 0 || range.offset >= PAGE_BYTES || pages > gpadl->words_left ||
	    gpadl->range_count == gpadl->range_target) {
		return false;
	}
	gpadl->pages_left = (uint32_t)pages;
	gpadl->ranges[gpadl->range_count++] = range;
	return true;
}

static bool add_page(struct vm *vm, struct vmbus_gpadl *gpadl, uint64_t raw_frame)
{
	struct vm_page *page;

	if (raw_frame >> (64 - PAGE_SHIFT) != 0 || gpadl->page_count == gpadl->page_room) {
		return false;
	}
	page = vm_page_pin(vm, gpa(raw_frame << PAGE_SHIFT));
	if (page == NULL) {
		return false;
	}
	gpadl->pages[gpadl->page_count++] = page;
	gpadl->pages_left--;
	return true;
}

enum gpadl_progress gpadl_add(struct vm *vm, struct vmbus_gpadl *gpadl, const uint8_t *words, uint32_t count)
{
	for (uint32_t i = 0; i < count && gpadl->words_left != 0; i++) {
		uint64_t word;
		bool right;

		memcpy(&word, words + i * 8, sizeof(word));
		gpadl->words_left--;
		right = gpadl->pages_left == 0 ? add_range(gpadl, word) : add_page(vm, gpadl, word);
		if (!right) {
			return GPADL_BAD;
		}
	}
	if (gpadl->words_left != 0) {
		return GPADL_MORE;
	}
	return gpadl->pages_left == 0 && gpadl->range_count == gpadl->range_target ? GPADL_DONE : GPADL_BAD;
}

bool gpadl_release(struct vm *vm, struct vmbus_gpadl *gpadl, uint32_t max)
{
	for (; max != 0 && gpadl->page_count != 0; max--) {
		vm_page_unpin(vm, gpadl->pages[--gpadl->page_count]);
	}
	if (gpadl->page_count != 0) {
		return false;
	}
	vm_free(vm, gpadl->pages);
	vm_free(vm, gpadl);
	return true;
}

bool gpadl_is_ring(const struct vmbus_gpadl *gpadl)
{
	return gpadl->range_count == 1 && gpadl->ranges[0].offset == 0 &&
	       gpadl->ranges[0].len_bytes % PAGE_BYTES == 0;
}

uint64_t vmbus_gpadl_bytes(const struct vmbus_gpadl *gpadl)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < gpadl->range_count; i++) {
		bytes += gpadl->ranges[i].len_bytes;
	}
	return bytes;
}

/* Segments of [@offset, @offset + @len) of one range, in bounds. The count; more than @max: they do not fit. */
static uint32_t range_segments(const struct vmbus_gpadl *gpadl, const struct gpadl_range *range,
                               uint64_t offset, uint64_t len, struct io_segment *segments, uint32_t max)
{
	uint64_t at = range->offset + offset;
	uint32_t count = 0;

	while (len != 0) {
		uint32_t off = (uint32_t)(at % PAGE_BYTES);
		uint32_t here = PAGE_BYTES - off < len ? PAGE_BYTES - off : (uint32_t)len;
		struct vm_page *page = gpadl->pages[range->first_page + at / PAGE_BYTES];

		if (count == max) {
			return max + 1;
		}
		segments[count++] = (struct io_segment){vm_page_bytes(page) + off, here};
		at += here;
		len -= here;
	}
	return count;
}

uint32_t vmbus_gpadl_segments(const struct vmbus_gpadl *gpadl, uint64_t offset, uint64_t len,
                              struct io_segment *segments, uint32_t max)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < gpadl->range_count && len != 0; i++) {
		const struct gpadl_range *range = &gpadl->ranges[i];
		uint64_t here;

		if (offset >= range->len_bytes) {
			offset -= range->len_bytes;
			continue;
		}
		here = range->len_bytes - offset < len ? range->len_bytes - offset : len;
		count += range_segments(gpadl, range, offset, here, segments + count, max - count);
		if (count > max) {
			return 0;
		}
		len -= here;
		offset = 0;
	}
	return len == 0 ? count : 0;
}

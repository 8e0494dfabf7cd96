/*
 * io.h - a piece of memory that data is moved to or from, already checked and pinned by its owner.
 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include "base/compiler.h"
#include "base/mem.h"

/*
 * Host-virtual (on the metal: in the direct map, so a driver can find the host-physical address). A
 * segment never crosses a page. The bytes may be a guest's: they change under you, copy once.
 */
struct io_segment {
	uint8_t *bytes;
	uint32_t len_bytes;
};

/* Bytes of all segments together. */
static inline uint64_t io_total_bytes(const struct io_segment *segments, uint32_t count)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < count; i++) {
		total += segments[i].len_bytes;
	}
	return total;
}

/* Copies @len bytes from @offset of the segments to @to. Returns how many there were. */
static inline size_t io_copy_out(const struct io_segment *segments, uint32_t count, uint64_t offset, void *to,
                                 size_t len)
{
	size_t done = 0;

	for (uint32_t i = 0; i < count && done < len; i++) {
		uint64_t here = segments[i].len_bytes;

		if (offset >= here) {
			offset -= here;
			continue;
		}
		here -= offset;
		here = here < len - done ? here : len - done;
		memcpy((uint8_t *)to + done, segments[i].bytes + offset, here);
		done += here;
		offset = 0;
	}
	return done;
}

/* Copies @len bytes from @from to @offset of the segments. Returns how many fitted. */
static inline size_t io_copy_in(const struct io_segment *segments, uint32_t count, uint64_t offset,
                                const void *from, size_t len)
{
	size_t done = 0;

	for (uint32_t i = 0; i < count && done < len; i++) {
		uint64_t here = segments[i].len_bytes;

		if (offset >= here) {
			offset -= here;
			continue;
		}
		here -= offset;
		here = here < len - done ? here : len - done;
		memcpy(segments[i].bytes + offset, (const uint8_t *)from + done, here);
		done += here;
		offset = 0;
	}
	return done;
}

#endif /* BASE_IO_H */

/*
 * host_keep.c - for fuzzing: a guest as it was at one moment, brought back for each input, and allocations that are used again.
 *
 * What the faces held at that moment is never given to anyone else. Given back by the faces it is poisoned, so that its use is
 * seen, until host_snapshot_restore() fills it again where it lay. What they allocate later comes from a pool: a block that was
 * given back waits, poisoned, until some others of its size have been given back too.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/host/host_asan.h"
#include "tests/host/host_private.h"

#define POOL_CLASSES 64u
#define POOL_BLOCKS 256u   /* of one size, at most */
#define POOL_WAIT 8u	   /* blocks of its size that come before it */
#define POOL_WAIT_LARGE 2u /* from POOL_LARGE_BYTES on */
#define POOL_LARGE_BYTES (32u << 10)
#define CHUNK_BYTES 512u

/* ------------------------------------------------------------------ blocks */

/* Blocks of one size that were given back, oldest first. */
struct pool_class {
	size_t bytes; /* 0: this class is free */
	uint32_t first, count;
	void *blocks[POOL_BLOCKS];
};

struct host_pool {
	struct pool_class classes[POOL_CLASSES];
};

/* NULL: too many sizes. */
static struct pool_class *pool_class_of(struct host_pool *pool, size_t bytes)
{
	for (uint32_t i = 0; i < POOL_CLASSES; i++) {
		struct pool_class *class = &pool->classes[(bytes / 8 + i) % POOL_CLASSES];

		if (class->bytes == 0) {
			class->bytes = bytes;
		}
		if (class->bytes == bytes) {
			return class;
		}
	}
	return NULL;
}

static void *class_take(struct pool_class *class)
{
	uint32_t wait = class->bytes < POOL_LARGE_BYTES ? POOL_WAIT : POOL_WAIT_LARGE;
	void *block;

	if (class->count <= wait) {
		return NULL;
	}
	block = class->blocks[class->first];
	class->first = (class->first + 1) % POOL_BLOCKS;
	class->count--;
	ASAN_UNPOISON_MEMORY_REGION(block, class->bytes);
	return block;
}

void *host_block_new(struct vm *vm, size_t bytes)
{
	struct pool_class *class = vm->pool != NULL ? pool_class_of(vm->pool, bytes) : NULL;
	void *block = class != NULL ? class_take(class) : NULL;

	if (block == NULL && bytes % PAGE_BYTES == 0) {
		block = aligned_alloc(PAGE_BYTES, bytes);
	} else if (block == NULL) {
		return calloc(1, bytes);
	}
	if (block != NULL) {
		host_clear(block, bytes);
	}
	return block;
}

void host_block_free(struct vm *vm, void *block, size_t bytes, bool kept)
{
	struct pool_class *class = vm->pool != NULL ? pool_class_of(vm->pool, bytes) : NULL;

	if (kept) {
		ASAN_POISON_MEMORY_REGION(block, bytes);
	} else if (class == NULL || class->count == POOL_BLOCKS) {
		free(block);
	} else {
		class->blocks[(class->first + class->count++) % POOL_BLOCKS] = block;
		ASAN_POISON_MEMORY_REGION(block, bytes);
	}
}

void host_pool_free(struct vm *vm)
{
	for (uint32_t i = 0; vm->pool != NULL && i < POOL_CLASSES; i++) {
		struct pool_class *class = &vm->pool->classes[i];

		for (uint32_t k = 0; k < class->count; k++) {
			free(class->blocks[(class->first + k) % POOL_BLOCKS]);
		}
	}
	free(vm->pool);
	vm->pool = NULL;
}

/* ------------------------------------------------------------------ what is kept */

/* What stands at [@to, @to + @len) again after a restore. */
struct run {
	uint8_t *to;
	uint8_t *from; /* NULL: zeros */
	size_t len;
};

/* A block of the faces': poisoned while they do not hold it. */
struct kept_block {
	void *at;
	size_t bytes;
};

struct host_snapshot {
	struct vm *vm;
	struct run *runs;
	uint32_t run_count;
	struct kept_block *blocks;
	uint32_t block_count;
};

/* Room for one more in an array of @count; the array doubles at each power of two. */
static void *room_for(void *array, uint32_t count, size_t bytes)
{
	if ((count & (count - 1)) == 0) {
		array = realloc(array, (count != 0 ? 2 * (size_t)count : 1) * bytes);
		CHECK(array != NULL);
	}
	return array;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

static void run_add(struct host_snapshot *shot, uint8_t *to, size_t len, bool zero)
{
	struct run *run;

	shot->runs = room_for(shot->runs, shot->run_count, sizeof(*shot->runs));
	run = &shot->runs[shot->run_count++];
	*run = (struct run){.to = to, .len = len};
	if (!zero) {
		run->from = malloc(len);
		CHECK(run->from != NULL);
		memcpy(run->from, to, len);
	}
}

/* Large things are zeros mostly: runs of these are only cleared. */
static void keep(struct host_snapshot *shot, void *at, size_t len)
{
	uint8_t *start = at, *end = start + len;

	while (start != end) {
		uint8_t *here = start;
		bool zero = false, same = true;

		while (here != end && same) {
			size_t step = (size_t)(end - here) < CHUNK_BYTES ? (size_t)(end - here) : CHUNK_BYTES;
			bool next = is_zero(here, step);

			same = here == start || next == zero;
			zero = here == start ? next : zero;
			here += same ? step : 0;
		}
		run_add(shot, start, (size_t)(here - start), zero);
		start = here;
	}
}

static void keep_block(struct host_snapshot *shot, void *at, size_t bytes)
{
	shot->blocks = room_for(shot->blocks, shot->block_count, sizeof(*shot->blocks));
	shot->blocks[shot->block_count++] = (struct kept_block){at, bytes};
	keep(shot, at, bytes);
}

static void keep_allocations(struct host_snapshot *shot)
{
	LIST_FOR_EACH(node, &shot->vm->allocs) {
		struct alloc_head *head = CONTAINER_OF(node, struct alloc_head, node);

		head->kept = true;
		keep_block(shot, head, sizeof(*head) + head->bytes);
	}
	LIST_FOR_EACH(node, &shot->vm->pages) {
		struct vm_page *page = CONTAINER_OF(node, struct vm_page, node);

		page->kept = true;
		keep_block(shot, page->bytes, PAGE_BYTES);
		keep_block(shot, page, sizeof(*page));
	}
}

/* host_vm_reset() leaves RAM that was never touched; so only what was is kept. */
static void keep_ram(struct host_snapshot *shot)
{
	struct vm *vm = shot->vm;

	CHECK(!vm->ballooned);
	for (uint64_t i = 0; i < vm->touched_count; i++) {
		struct vm_page *page = &vm->frames[vm->touched[i]];

		keep(shot, page, sizeof(*page));
		keep(shot, page->bytes, PAGE_BYTES);
	}
	if (vm->touched_count != 0) {
		keep(shot, vm->touched, vm->touched_count * sizeof(*vm->touched));
	}
	for (uint64_t i = 0; i < vm->gfn_count; i++) {
		if (vm->gfns[i].overlay != NULL) {
			keep(shot, &vm->gfns[i], sizeof(vm->gfns[i]));
		}
	}
}

struct host_snapshot *host_snapshot_take(struct vm *vm)
{
	struct host_snapshot *shot = calloc(1, sizeof(*shot));

	CHECK(shot != NULL && vm->pool == NULL);
	shot->vm = vm;
	vm->pool = calloc(1, sizeof(*vm->pool));
	CHECK(vm->pool != NULL);
	keep_allocations(shot);
	keep_ram(shot);
	keep(shot, vm, sizeof(*vm));
	keep(shot, vm->vcpus, vm->config.vcpu_count * sizeof(*vm->vcpus));
	return shot;
}

void host_snapshot_add(struct host_snapshot *shot, void *at, size_t len)
{
	keep(shot, at, len);
}

/* Without the sanitizer's look at each byte: all of it was looked at when it was taken. */
static void put_back(void *to, const void *from, size_t len)
{
	if (from != NULL) {
		__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(len) : : "memory");
	} else {
		host_clear(to, len);
	}
}

void host_snapshot_restore(struct host_snapshot *shot)
{
	CHECK(host_vm_check_no_leaks(shot->vm) && shot->vm->touched_count == 0);
	for (uint32_t i = 0; i < shot->block_count; i++) {
		ASAN_UNPOISON_MEMORY_REGION(shot->blocks[i].at, shot->blocks[i].bytes);
	}
	for (uint32_t i = 0; i < shot->run_count; i++) {
		const struct run *run = &shot->runs[i];

		put_back(run->to, run->from, run->len);
	}
}

void host_snapshot_free(struct host_snapshot *shot)
{
	struct vm *vm = shot->vm;

	CHECK(host_vm_check_no_leaks(vm));
	for (uint32_t i = 0; i < shot->block_count; i++) {
		free(shot->blocks[i].at);
	}
	for (uint32_t i = 0; i < shot->run_count; i++) {
		free(shot->runs[i].from);
	}
	host_pool_free(vm);
	free(shot->blocks);
	free(shot->runs);
	free(shot);
}

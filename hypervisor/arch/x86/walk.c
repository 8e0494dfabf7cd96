/*
 * walk.c - the guest's page tables: 32-bit (with 4 MiB pages), PAE, four and five levels. AMD64 APM
 * vol. 2, 5.2 (legacy), 5.3 (long mode), 5.6 (protection).
 *
 * The formats differ in five numbers, so one loop walks them all. It reads every entry once, judges
 * the copies, and only then writes accessed and dirty bits by compare-and-exchange against the
 * copies; if one has changed meanwhile, the whole walk is done again.
 */
#include "hypervisor/arch/x86/walk.h"

#define CR0_WP 0x00010000u
#define CR0_PG 0x80000000u
#define CR4_PSE 0x00000010u
#define CR4_PAE 0x00000020u
#define CR4_LA57 0x00001000u
#define CR4_SMEP 0x00100000u
#define CR4_SMAP 0x00200000u
#define EFER_LMA 0x00000400u
#define EFER_NXE 0x00000800u
#define RFLAGS_AC_BIT 0x00040000u

#define PTE_P UINT64_C(0x01)
#define PTE_W UINT64_C(0x02)
#define PTE_U UINT64_C(0x04)
#define PTE_A UINT64_C(0x20)
#define PTE_D UINT64_C(0x40)
#define PTE_PS UINT64_C(0x80)
#define PTE_NX (UINT64_C(1) << 63)

#define LEVELS_MAX 5u

struct format {
	uint8_t levels;
	uint8_t entry_bytes;
	uint8_t index_bits;
	bool pae_root; /* the root's four entries have neither permissions nor an accessed bit */
	uint64_t root;
};

/* One entry as it was read, and where. */
struct step {
	uint64_t gpa;
	uint64_t entry;
	bool accessed; /* has an accessed bit */
};

struct path {
	struct step step[LEVELS_MAX];
	uint8_t count;
	uint8_t leaf_shift; /* of the page that the last entry maps */
	bool writable;
	bool user;
	bool no_execute;
};

static bool long_mode(const struct walk_ctx *ctx)
{
	return (ctx->efer & EFER_LMA) != 0;
}

/* Whether entries have eight bytes. */
static bool is_pae(const struct walk_ctx *ctx)
{
	return long_mode(ctx) || (ctx->cr4 & CR4_PAE) != 0;
}

static uint64_t low_mask(uint8_t bits)
{
	return (UINT64_C(1) << bits) - 1;
}

static struct format format_of(const struct walk_ctx *ctx)
{
	struct format f = {.levels = 2, .entry_bytes = 4, .index_bits = 10};

	f.root = ctx->cr3 & 0xfffff000u;
	if (!is_pae(ctx)) {
		return f;
	}
	f.entry_bytes = 8;
	f.index_bits = 9;
	if (!long_mode(ctx)) {
		f.levels = 3;
		f.pae_root = true;
		f.root = ctx->cr3 & 0xffffffe0u;
		return f;
	}
	f.levels = (ctx->cr4 & CR4_LA57) != 0 ? 5 : 4;
	f.root = ctx->cr3 & low_mask(52) & ~low_mask(12);
	return f;
}

/* Bits of a present entry that must be zero. @shift is that of what it maps or points to. */
static uint64_t reserved_bits(const struct walk_ctx *ctx, const struct format *f, uint8_t level, bool leaf,
                              uint8_t shift)
{
	uint64_t reserved;

	if (f->entry_bytes == 4) {
		/* A 4 MiB page: bits 13 to 20 are address bits 32 to 39, bit 21 is none. */
		return leaf && shift == 22 ? UINT64_C(1) << 21 : 0;
	}
	reserved = low_mask(52) & ~low_mask(ctx->phys_bits);
	if (!long_mode(ctx)) {
		reserved |= UINT64_C(0x7ff) << 52;
	}
	if ((ctx->efer & EFER_NXE) == 0 || (f->pae_root && level == 3)) {
		reserved |= PTE_NX;
	}
	if (f->pae_root && level == 3) {
		return reserved | 0x1e6;
	}
	if (leaf && shift > 12) {
		reserved |= low_mask(shift) & ~low_mask(13);
	}
	if (level >= 4) {
		reserved |= PTE_PS;
	}
	return reserved;
}

/*
 * Whether @entry of @level maps a page. Long mode's PS above level 3 is left to the reserved
 * bits.
 */
static bool is_leaf(const struct walk_ctx *ctx, const struct format *f, uint8_t level, uint64_t entry)
{
	if (level == 1) {
		return true;
	}
	if ((entry & PTE_PS) == 0) {
		return false;
	}
	if (f->entry_bytes == 4) {
		return (ctx->cr4 & CR4_PSE) != 0;
	}
	return level == 2 || (level == 3 && !f->pae_root);
}

static void note_permissions(struct path *path, const struct format *f, uint8_t level, uint64_t entry)
{
	struct step *step = &path->step[path->count];

	step->entry = entry;
	step->accessed = !(f->pae_root && level == 3);
	if (step->accessed) {
		path->writable = path->writable && (entry & PTE_W) != 0;
		path->user = path->user && (entry & PTE_U) != 0;
		path->no_execute = path->no_execute || (entry & PTE_NX) != 0;
	}
	path->count++;
}

/* Reads the entries down to the page's. *error gets P and RSVD of a fault. */
static enum walk_status read_path(const struct walk_ctx *ctx, const struct format *f, uint64_t linear,
                                  struct path *path, uint32_t *error)
{
	uint64_t table = f->root;

	*path = (struct path){.writable = true, .user = true};
	for (uint8_t level = f->levels; level != 0; level--) {
		uint8_t shift = (uint8_t)(12 + (level - 1) * f->index_bits);
		uint64_t index = linear >> shift & low_mask(f->index_bits);
		uint64_t at = table + index * f->entry_bytes;
		uint64_t entry;
		bool leaf;

		if (!ctx->read(ctx->memory, at, f->entry_bytes, &entry)) {
			return WALK_NO_TABLE;
		}
		*error = 0;
		if ((entry & PTE_P) == 0) {
			return WALK_FAULT;
		}
		*error = WALK_ERROR_PRESENT;
		leaf = is_leaf(ctx, f, level, entry);
		if ((entry & reserved_bits(ctx, f, level, leaf, shift)) != 0) {
			*error |= WALK_ERROR_RESERVED;
			return WALK_FAULT;
		}
		path->step[path->count].gpa = at;
		path->leaf_shift = shift;
		note_permissions(path, f, level, entry);
		if (leaf) {
			return WALK_OK;
		}
		table = entry & (f->entry_bytes == 4 ? 0xfffff000u : low_mask(52) & ~low_mask(12));
	}
	return WALK_OK;
}

/* A supervisor's access to a user page: SMEP and SMAP. */
static bool supervisor_allowed(const struct walk_ctx *ctx, uint32_t access)
{
	bool ac = (ctx->rflags & RFLAGS_AC_BIT) != 0;

	if ((access & WALK_FETCH) != 0) {
		return (ctx->cr4 & CR4_SMEP) == 0;
	}
	/* AC opens a user page for explicit accesses only: at CPL 3 this one is implicit. */
	return (ctx->cr4 & CR4_SMAP) == 0 || (ac && ctx->cpl < 3);
}

static bool is_allowed(const struct walk_ctx *ctx, const struct path *path, uint32_t access)
{
	bool user = (access & WALK_USER) != 0;

	if (user && !path->user) {
		return false;
	}
	if (!user && path->user && !supervisor_allowed(ctx, access)) {
		return false;
	}
	if ((access & WALK_FETCH) != 0 && path->no_execute) {
		return false;
	}
	if ((access & WALK_WRITE) != 0 && !path->writable) {
		return !user && (ctx->cr0 & CR0_WP) == 0;
	}
	return true;
}

static uint32_t error_of(const struct walk_ctx *ctx, uint32_t access)
{
	bool tells_fetch = (ctx->cr4 & CR4_SMEP) != 0 || (is_pae(ctx) && (ctx->efer & EFER_NXE) != 0);
	uint32_t error = 0;

	if ((access & WALK_WRITE) != 0) {
		error |= WALK_ERROR_WRITE;
	}
	if ((access & WALK_USER) != 0) {
		error |= WALK_ERROR_USER;
	}
	if ((access & WALK_FETCH) != 0 && tells_fetch) {
		error |= WALK_ERROR_FETCH;
	}
	return error;
}

static enum walk_status set_bits(const struct walk_ctx *ctx, const struct format *f, const struct path *path,
                                 bool write)
{
	for (uint8_t i = 0; i < path->count; i++) {
		const struct step *step = &path->step[i];
		bool leaf = i + 1 == path->count;
		uint64_t want = step->entry | PTE_A | (leaf && write ? PTE_D : 0);
		enum walk_exchange result;

		if (!step->accessed || want == step->entry) {
			continue;
		}
		result = ctx->exchange(ctx->memory, step->gpa, f->entry_bytes, step->entry, want);
		if (result != WALK_EXCHANGED) {
			return result == WALK_CHANGED ? WALK_RETRY : WALK_NO_TABLE;
		}
	}
	return WALK_OK;
}

static uint64_t page_address(const struct format *f, const struct path *path, uint64_t linear)
{
	uint64_t entry = path->step[path->count - 1].entry;
	uint64_t offset = linear & low_mask(path->leaf_shift);

	if (f->entry_bytes == 4 && path->leaf_shift == 22) {
		return (entry & 0xffc00000u) | (entry & 0x1fe000u) << 19 | offset;
	}
	return (entry & low_mask(f->entry_bytes == 4 ? 32 : 52) & ~low_mask(path->leaf_shift)) | offset;
}

static bool is_canonical(const struct walk_ctx *ctx, uint64_t linear)
{
	uint64_t sign = UINT64_C(1) << ((ctx->cr4 & CR4_LA57) != 0 ? 56 : 47);

	return ((linear & (sign * 2 - 1)) ^ sign) - sign == linear;
}

static enum walk_status walk_once(const struct walk_ctx *ctx, const struct format *f, uint64_t linear,
                                  uint32_t access, uint64_t *gpa, uint32_t *fault_error)
{
	struct path path;
	uint32_t error;
	enum walk_status status = read_path(ctx, f, linear, &path, &error);

	if (status == WALK_OK && !is_allowed(ctx, &path, access)) {
		status = WALK_FAULT;
	}
	if (status == WALK_FAULT) {
		*fault_error = error | error_of(ctx, access);
	}
	if (status != WALK_OK) {
		return status;
	}
	status = set_bits(ctx, f, &path, (access & WALK_WRITE) != 0);
	if (status == WALK_OK) {
		*gpa = page_address(f, &path, linear);
	}
	return status;
}

enum walk_status guest_walk(const struct walk_ctx *ctx, uint64_t linear, uint32_t access, uint64_t *gpa,
                            uint32_t *fault_error)
{
	enum walk_status status = WALK_RETRY;
	struct format f;

	if (!long_mode(ctx)) {
		linear &= 0xffffffffu;
	} else if (!is_canonical(ctx, linear)) {
		return WALK_NONCANONICAL;
	}
	if ((ctx->cr0 & CR0_PG) == 0) {
		*gpa = linear;
		return WALK_OK;
	}
	f = format_of(ctx);
	for (uint32_t i = 0; i < WALK_TRIES && status == WALK_RETRY; i++) {
		status = walk_once(ctx, &f, linear, access, gpa, fault_error);
	}
	return status;
}

/*
 * msr_policy.c - reads and writes by the rows of specs/msr.def. AMD64 APM vol. 2, 3.2 and
 * appendix A.
 */
#include "hypervisor/arch/x86/msr_policy.h"

#include <stddef.h>

#define AMD_FIRST 0xc0010000u
#define AMD_LAST 0xc0011fffu

#define CR0_PG 0x80000000u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u

#define MTRR_DEF_TYPE_ENABLES 0xc00u

enum kind {
	KIND_DIRECT,
	KIND_ADDRESS,
	KIND_CONST,
	KIND_STORED,
	KIND_IGNORED,
	KIND_TSC_AUX,
	KIND_EFER,
	KIND_PAT,
	KIND_MTRR_TYPE,
	KIND_PLATFORM,
	KIND_CLOCK,
	KIND_FACE,
};

struct row {
	uint32_t first;
	uint32_t last;
	enum kind kind;
	uint64_t reset;
	uint64_t writable;
	const char *name;
};

static const struct row rows[MSR_ROW_COUNT] = {
#define MSR(first, last, name, kind, reset, writable, clause) \
	{first, last, KIND_##kind, reset, writable, #name},
#include "specs/msr.def"
};

/* The row of @msr, or null. The rows rise, so a search by halves finds it. */
static const struct row *row_of(uint32_t msr)
{
	uint32_t low = 0;
	uint32_t high = MSR_ROW_COUNT;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (msr > rows[middle].last) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low < MSR_ROW_COUNT && msr >= rows[low].first ? &rows[low] : NULL;
}

static const struct row *row_for_guest(const struct msr_env *env, uint32_t msr)
{
	const struct row *row = row_of(msr);

	if (row == NULL || (msr >= AMD_FIRST && msr <= AMD_LAST && !env->amd)) {
		return NULL;
	}
	return row->kind == KIND_TSC_AUX && !env->rdtscp ? NULL : row;
}

void msr_store_reset(struct msr_store *store)
{
	for (uint32_t i = 0; i < MSR_ROW_COUNT; i++) {
		store->value[i] = rows[i].reset;
	}
}

enum msr_result msr_policy_read(const struct msr_store *store, const struct msr_env *env, uint32_t msr,
                                uint64_t *value)
{
	const struct row *row = row_for_guest(env, msr);

	if (row == NULL) {
		return MSR_GP;
	}
	switch (row->kind) {
	case KIND_DIRECT:
	case KIND_ADDRESS:
		return MSR_AT_VENDOR;
	case KIND_PLATFORM:
		return MSR_AT_PLATFORM;
	case KIND_CLOCK:
		return MSR_AT_CLOCK;
	case KIND_FACE:
		return MSR_AT_FACE;
	case KIND_EFER:
		/* LMA follows CR0.PG without an exit, so the CPU's copy is the true one. */
		*value = env->efer & (env->efer_mask | EFER_LMA);
		return MSR_OK;
	case KIND_CONST:
	case KIND_IGNORED:
		*value = row->reset;
		return MSR_OK;
	default:
		*value = store->value[row - rows];
		return MSR_OK;
	}
}

static bool is_canonical(uint64_t address)
{
	uint64_t top = address >> 47;

	return top == 0 || top == 0x1ffff;
}

/* UC, WC, WT, WP and WB; and UC-, which only the PAT has. */
static bool is_memory_type(uint64_t type, bool in_pat)
{
	return type <= 7 && type != 2 && type != 3 && (type != 7 || in_pat);
}

static bool pat_valid(uint64_t raw_value)
{
	bool valid = true;

	for (uint32_t i = 0; i < 64; i += 8) {
		valid = valid && is_memory_type(raw_value >> i & 0xff, true);
	}
	return valid;
}

static bool mtrr_type_valid(uint64_t raw_value)
{
	return (raw_value & ~(uint64_t)(MTRR_DEF_TYPE_ENABLES | 0xff)) == 0 &&
	       is_memory_type(raw_value & 0xff, false);
}

static bool efer_valid(const struct msr_env *env, uint64_t raw_value)
{
	bool paging = (env->cr0 & CR0_PG) != 0;

	if ((raw_value & ~(env->efer_mask | EFER_LMA)) != 0) {
		return false;
	}
	return !paging || ((raw_value ^ env->efer) & EFER_LME) == 0;
}

static bool bits_valid(const struct row *row, uint64_t raw_value)
{
	return ((raw_value ^ row->reset) & ~row->writable) == 0;
}

static bool is_valid(const struct row *row, const struct msr_env *env, uint64_t raw_value)
{
	switch (row->kind) {
	case KIND_ADDRESS:
		return is_canonical(raw_value);
	case KIND_CONST:
		return false;
	case KIND_STORED:
	case KIND_IGNORED:
	case KIND_TSC_AUX:
		return bits_valid(row, raw_value);
	case KIND_EFER:
		return efer_valid(env, raw_value);
	case KIND_PAT:
		return pat_valid(raw_value);
	case KIND_MTRR_TYPE:
		return mtrr_type_valid(raw_value);
	default:
		return true;
	}
}

static enum msr_result act(const struct row *row, uint64_t *slot, const struct msr_env *env, uint64_t value)
{
	switch (row->kind) {
	case KIND_DIRECT:
	case KIND_ADDRESS:
		return MSR_AT_VENDOR;
	case KIND_PLATFORM:
		return MSR_AT_PLATFORM;
	case KIND_CLOCK:
		return MSR_AT_CLOCK;
	case KIND_FACE:
		return MSR_AT_FACE;
	case KIND_STORED:
	case KIND_MTRR_TYPE: /* all memory is write-back whatever it says */
		*slot = value;
		return MSR_OK;
	case KIND_TSC_AUX:
	case KIND_PAT:
		*slot = value;
		return MSR_LOAD;
	case KIND_EFER: /* LMA is not written by software */
		*slot = (value & ~(uint64_t)EFER_LMA) | (env->efer & EFER_LMA);
		return MSR_LOAD;
	default:
		return MSR_OK;
	}
}

enum msr_result msr_policy_write(struct msr_store *store, const struct msr_env *env, uint32_t msr,
                                 uint64_t raw_value)
{
	const struct row *row = row_for_guest(env, msr);

	if (row == NULL || !is_valid(row, env, raw_value)) {
		return MSR_GP;
	}
	return act(row, &store->value[row - rows], env, raw_value);
}

uint64_t msr_policy_stored(const struct msr_store *store, uint32_t msr)
{
	const struct row *row = row_of(msr);

	return row != NULL ? store->value[row - rows] : 0;
}

/* The cursor counts numbers within the rows that are direct. */
bool msr_policy_next_direct(uint32_t *cursor, uint32_t *msr)
{
	uint32_t skip = *cursor;

	for (uint32_t i = 0; i < MSR_ROW_COUNT; i++) {
		uint32_t count = rows[i].last - rows[i].first + 1;

		if (rows[i].kind != KIND_DIRECT && rows[i].kind != KIND_ADDRESS) {
			continue;
		}
		if (skip < count) {
			*msr = rows[i].first + skip;
			(*cursor)++;
			return true;
		}
		skip -= count;
	}
	return false;
}

const char *msr_policy_name(uint32_t msr)
{
	const struct row *row = row_of(msr);

	return row != NULL ? row->name : NULL;
}

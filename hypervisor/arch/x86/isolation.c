/*
 * isolation.c - the rows of specs/isolation.def, which names the vendors' clauses.
 */
#include "hypervisor/arch/x86/isolation.h"

#include "base/bits.h"
#include "base/format.h"

enum test {
	TEST_NONE,
#define ISOLATION_TEST(name, field, bits, text) TEST_##name,
#include "specs/isolation.def"
};

struct row {
	enum isolation_action action;
	uint32_t vendors;
	enum test exposed;
	enum test means;
	enum test safe;
};

#define INTEL ISOLATION_VENDOR_INTEL
#define AMD ISOLATION_VENDOR_AMD
#define HYGON ISOLATION_VENDOR_HYGON
#define ANY ISOLATION_VENDOR_ANY

static const struct row rows[] = {
#define ISOLATION(action, vendors, exposed, means, safe, clause) \
	{ISOLATION_##action, (uint32_t)(vendors), TEST_##exposed, TEST_##means, TEST_##safe},
#include "specs/isolation.def"
};

static const char *const test_texts[] = {
        [TEST_NONE] = "",
#define ISOLATION_TEST(name, field, bits, text) [TEST_##name] = (text),
#include "specs/isolation.def"
};

static const struct {
	enum isolation_action action;
	const char *text;
} actions[] = {
        {ISOLATION_IBPB, "IBPB"},
        {ISOLATION_FILL_RSB, "RSB filling"},
        {ISOLATION_VERW, "VERW"},
        {ISOLATION_L1D_FLUSH, "L1D flush"},
};

/* What a row says of a CPU; the larger is the better reason why its action is not taken. */
enum finding {
	FINDING_NO_ROW,
	FINDING_SAFE,
	FINDING_NO_MEANS,
	FINDING_NEEDED,
};

enum isolation_vendor isolation_vendor_of(uint32_t ebx, uint32_t edx, uint32_t ecx)
{
	static const struct {
		uint32_t ebx;
		uint32_t edx;
		uint32_t ecx;
		enum isolation_vendor vendor;
	} names[] = {
	        {0x756e6547, 0x49656e69, 0x6c65746e, ISOLATION_VENDOR_INTEL}, /* GenuineIntel */
	        {0x68747541, 0x69746e65, 0x444d4163, ISOLATION_VENDOR_AMD}, /* AuthenticAMD */
	        {0x6f677948, 0x6e65476e, 0x656e6975, ISOLATION_VENDOR_HYGON}, /* HygonGenuine */
	};

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		if (ebx == names[i].ebx && edx == names[i].edx && ecx == names[i].ecx) {
			return names[i].vendor;
		}
	}
	return ISOLATION_VENDOR_OTHER;
}

/* Not for TEST_NONE, which means another thing in each column. */
static bool holds(const struct isolation_facts *facts, enum test test)
{
	struct isolation_facts f = *facts;

	f.arch_capabilities = f.has_arch_capabilities ? f.arch_capabilities : 0;
	switch (test) {
#define ISOLATION_TEST(name, field, bits, text) \
	case TEST_##name:                       \
		return (f.field & (bits)) == (bits);
#include "specs/isolation.def"
	default:
		return false;
	}
}

static enum finding find(const struct row *row, const struct isolation_facts *facts)
{
	if ((row->vendors & facts->vendor) == 0 ||
	    (row->exposed != TEST_NONE && !holds(facts, row->exposed))) {
		return FINDING_NO_ROW;
	}
	if (holds(facts, row->safe)) {
		return FINDING_SAFE;
	}
	return row->means == TEST_NONE || holds(facts, row->means) ? FINDING_NEEDED : FINDING_NO_MEANS;
}

uint32_t isolation_judge(const struct isolation_facts *facts)
{
	uint32_t set = 0;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		if (find(&rows[i], facts) == FINDING_NEEDED) {
			set |= rows[i].action;
		}
	}
	return set;
}

/* Why @action is not taken: the best reason that a row has, of equals the first. */
static size_t put_reason(const struct isolation_facts *facts, enum isolation_action action, char *to,
                         size_t room)
{
	enum finding best = FINDING_NO_ROW;
	const struct row *why = NULL;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		enum finding finding = rows[i].action == action ? find(&rows[i], facts) : FINDING_NO_ROW;

		if (finding > best) {
			best = finding;
			why = &rows[i];
		}
	}
	switch (best) {
	case FINDING_NEEDED:
		return format_print(to, room, "CPU refused it");
	case FINDING_NO_MEANS:
		return format_print(to, room, "CPU has no %s", test_texts[why->means]);
	case FINDING_SAFE:
		return format_print(to, room, "CPU says %s", test_texts[why->safe]);
	default:
		return format_print(to, room, "no row for this vendor");
	}
}

/* What format_print() would have written, or what it has. */
static size_t written(size_t length, size_t room)
{
	return length < room ? length : room - 1;
}

const char *isolation_text(const struct isolation_facts *facts, uint32_t done, char *to, size_t room)
{
	size_t at = written(format_print(to, room, "between guests:"), room);
	const char *between = " ";

	for (size_t i = 0; i < ARRAY_COUNT(actions); i++) {
		if ((done & actions[i].action) != 0) {
			at += written(format_print(to + at, room - at, "%s%s", between, actions[i].text),
			              room - at);
			between = ", ";
		}
	}
	between = done != 0 ? "; not: " : " nothing; not: ";
	for (size_t i = 0; i < ARRAY_COUNT(actions); i++) {
		if ((done & actions[i].action) == 0) {
			at += written(format_print(to + at, room - at, "%s%s (", between, actions[i].text),
			              room - at);
			at += written(put_reason(facts, actions[i].action, to + at, room - at), room - at);
			at += written(format_print(to + at, room - at, ")"), room - at);
			between = ", ";
		}
	}
	return to;
}

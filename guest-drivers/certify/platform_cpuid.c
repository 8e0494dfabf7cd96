/*
 * platform_cpuid.c - probes of specs/cpuid.def: the leaves and features of the processor itself. What is asked of a
 * feature is that it is the same twice, on every CPU, and that it agrees with those it needs.
 */
#include "base/bits.h"
#include "guest-drivers/certify/certify.h"

#define EXTENDED 0x80000000u
#define XSAVE_LEGACY_BYTES 576u
#define CACHES_MAX 8u

static bool leaf_read(struct probe *p, uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
	uint32_t max[4];

	if (p->c->machine == NULL) {
		probe_skip(p, "needs a machine: the processor's own leaves");
		return false;
	}
	certify_cpuid(p->c, leaf & EXTENDED, 0, max);
	certify_cpuid(p->c, leaf, subleaf, regs);
	if (max[0] < leaf) {
		probe_offer(p, false);
		(void)probe_check(p, leaf != 0 && leaf != 1 && leaf != EXTENDED,
		                  "the leaf is above the last one, 0x%x", max[0]);
		probe_note(p, "the last leaf is 0x%x", max[0]);
		return false;
	}
	probe_note(p, "0x%x 0x%x 0x%x 0x%x", regs[0], regs[1], regs[2], regs[3]);
	return true;
}

static bool row_read(struct probe *p, uint32_t regs[4])
{
	return leaf_read(p, (uint32_t)p->row->number, 0, regs);
}

static bool printable(const uint32_t *words, uint32_t count)
{
	const char *text = (const char *)words;

	for (uint32_t i = 0; i < count * 4; i++) {
		if (text[i] != 0 && (text[i] < ' ' || text[i] > '~')) {
			return false;
		}
	}
	return true;
}

/* ------------------------------------------------------------------ leaves, by their handlers' names */

static void leaf_basic_max(struct probe *p)
{
	uint32_t regs[4];

	if (row_read(p, regs)) {
		(void)probe_check(p, regs[0] >= 1, "the last leaf is 0x%x", regs[0]);
		(void)probe_check(p, printable(&regs[1], 3) && regs[1] != 0, "the vendor is no name");
	}
}

static void leaf_features(struct probe *p)
{
	uint32_t regs[4];

	if (row_read(p, regs)) {
		(void)probe_check(p, (regs[2] & BIT(31)) != 0, "the hypervisor bit is clear");
		(void)probe_check(p, (regs[0] >> 8 & 0xF) >= 6, "a family of %u", regs[0] >> 8 & 0xF);
		(void)probe_equal(p, regs[1] >> 24, p->c->machine->apic_id(0), "the APIC id");
	}
}

/* Leaves that are the host's own: the same twice. */
static void leaf_host(struct probe *p)
{
	uint32_t regs[4];
	uint32_t again[4];

	if (row_read(p, regs)) {
		certify_cpuid(p->c, (uint32_t)p->row->number, 0, again);
		(void)probe_check(p, memcmp(regs, again, sizeof(regs)) == 0,
		                  "the leaf is another the second time");
		(void)probe_check(
		        p, p->row->number < 0x80000002u || p->row->number > 0x80000004u || printable(regs, 4),
		        "the name is no text");
	}
}

static void leaf_caches(struct probe *p)
{
	uint32_t regs[4];
	uint32_t count = 0;

	if (row_read(p, regs)) {
		while (count < CACHES_MAX && (regs[0] & 0x1F) != 0) {
			(void)probe_check(p, (regs[0] & 0x1F) <= 3, "a cache of type %u", regs[0] & 0x1F);
			certify_cpuid(p->c, 4, ++count, regs);
		}
		(void)probe_check(p, count < CACHES_MAX, "the list of caches does not end");
	}
}

static void leaf_power(struct probe *p)
{
	leaf_host(p);
}

static void leaf_structured(struct probe *p)
{
	uint32_t regs[4];

	if (row_read(p, regs)) {
		(void)probe_check(p, regs[0] <= 8, "%u more subleaves", regs[0]);
	}
}

/* The leaf is there if it counts processors; else all of it is 0. */
static void leaf_topology(struct probe *p)
{
	uint32_t regs[4];
	uint32_t cores[4];

	if (row_read(p, regs)) {
		if (regs[1] == 0) {
			probe_offer(p, false);
			(void)probe_equal(p, regs[0] | regs[2], 0, "the rest of a leaf that is not there");
			return;
		}
		certify_cpuid(p->c, 0xB, 1, cores);
		(void)probe_check(p, regs[1] >= 1 && cores[1] >= regs[1],
		                  "%u threads of a core, %u of a package", regs[1], cores[1]);
		(void)probe_equal(p, regs[3] & 0xFF, p->c->machine->apic_id(0), "the x2APIC id");
	}
}

static void leaf_xsave(struct probe *p)
{
	uint32_t regs[4];
	uint32_t features[4];

	if (row_read(p, regs)) {
		certify_cpuid(p->c, 1, 0, features);
		if ((features[2] & BIT(26)) == 0) {
			(void)probe_equal(p, regs[0] | regs[1] | regs[2] | regs[3], 0,
			                  "the leaf, without XSAVE");
		} else {
			(void)probe_equal(p, regs[0] & 3, 3, "x87 and SSE in XCR0");
			(void)probe_check(p, regs[2] >= XSAVE_LEGACY_BYTES && regs[1] <= regs[2],
			                  "sizes %u of %u", regs[1], regs[2]);
		}
	}
}

static void leaf_extended_max(struct probe *p)
{
	uint32_t regs[4];

	if (row_read(p, regs)) {
		(void)probe_check(p, regs[0] >= EXTENDED + 8, "the last leaf is 0x%x", regs[0]);
	}
}

static void leaf_extended_features(struct probe *p)
{
	uint32_t regs[4];

	if (row_read(p, regs)) {
		(void)probe_check(p, (regs[3] & BIT(29)) != 0, "no long mode, and yet we are in it");
	}
}

static void leaf_invariant_tsc(struct probe *p)
{
	leaf_host(p);
}

static void leaf_widths(struct probe *p)
{
	uint32_t regs[4];

	if (row_read(p, regs)) {
		(void)probe_check(p, (regs[0] & 0xFF) >= 36 && (regs[0] & 0xFF) <= 52,
		                  "%u bits of a physical address", regs[0] & 0xFF);
		(void)probe_check(p, (regs[0] >> 8 & 0xFF) == 48 || (regs[0] >> 8 & 0xFF) == 57,
		                  "%u bits of a linear one", regs[0] >> 8 & 0xFF);
	}
}

/* ------------------------------------------------------------------ features */

enum word {
	WORD_1_ECX,
	WORD_1_EDX,
	WORD_7_EBX,
	WORD_80000001_ECX,
	WORD_80000001_EDX,
};

/* Leaf, register, of each word. */
static const struct {
	uint32_t leaf, reg;
} words[] = {{1, 2}, {1, 3}, {7, 1}, {0x80000001u, 2}, {0x80000001u, 3}};

#define FEATURE(word, bit) ((uint64_t)(word) << 8 | (bit))

/* A feature, and one that it cannot be without. */
static const struct {
	uint64_t feature, needs;
} needs[] = {
        {FEATURE(WORD_1_ECX, 28), FEATURE(WORD_1_ECX, 26)}, /* AVX, XSAVE */
        {FEATURE(WORD_1_ECX, 12), FEATURE(WORD_1_ECX, 28)}, /* FMA, AVX */
        {FEATURE(WORD_1_ECX, 29), FEATURE(WORD_1_ECX, 28)}, /* F16C, AVX */
        {FEATURE(WORD_7_EBX, 5), FEATURE(WORD_1_ECX, 28)}, /* AVX2, AVX */
        {FEATURE(WORD_1_ECX, 20), FEATURE(WORD_1_ECX, 19)}, /* SSE4.2, SSE4.1 */
        {FEATURE(WORD_1_ECX, 19), FEATURE(WORD_1_ECX, 9)}, /* SSE4.1, SSSE3 */
        {FEATURE(WORD_1_EDX, 26), FEATURE(WORD_1_EDX, 25)}, /* SSE2, SSE */
        {FEATURE(WORD_1_EDX, 25), FEATURE(WORD_1_EDX, 24)}, /* SSE, FXSR */
        {FEATURE(WORD_7_EBX, 10), FEATURE(WORD_1_ECX, 17)}, /* INVPCID, PCID */
        {FEATURE(WORD_1_ECX, 21), FEATURE(WORD_1_EDX, 9)}, /* x2APIC, APIC */
};

struct feature_look {
	struct certify *c;
	uint64_t feature;
	bool shown;
};

static void look(void *context)
{
	struct feature_look *at = context;
	uint32_t regs[4];

	certify_cpuid(at->c, words[at->feature >> 8].leaf, 0, regs);
	at->shown = (regs[words[at->feature >> 8].reg] >> (at->feature & 0xFF) & 1) != 0;
}

static bool is_shown(struct certify *c, uint64_t feature)
{
	struct feature_look at = {.c = c, .feature = feature};

	look(&at);
	return at.shown;
}

/* What the processor has may be shown or not: the row does not say. */
static void feature_HOST(struct probe *p)
{
	const struct certify_machine *machine = p->c->machine;
	struct feature_look at = {.c = p->c, .feature = p->row->number};
	bool shown;

	if (machine == NULL) {
		probe_skip(p, "needs a machine: the processor's own leaves");
		return;
	}
	shown = is_shown(p->c, at.feature);
	(void)probe_check(p, shown == is_shown(p->c, at.feature), "it is another the second time");
	for (uint32_t cpu = 1; cpu < machine->cpu_count; cpu++) {
		(void)probe_check(p, certify_cpu_run(p->c, cpu, look, &at) && at.shown == shown,
		                  "CPU %u says something else", cpu);
	}
	for (uint32_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		if (needs[i].feature == at.feature && shown) {
			(void)probe_check(p, is_shown(p->c, needs[i].needs),
			                  "it is shown without what it needs");
		}
	}
	probe_note(p, shown ? "shown" : "not shown");
}

/* What a hypervisor emulates in any case. */
static void feature_ALWAYS(struct probe *p)
{
	feature_HOST(p);
	if (p->c->machine != NULL) {
		probe_offer(p, is_shown(p->c, p->row->number));
	}
}

static void feature_STATE(struct probe *p)
{
	feature_HOST(p);
}

#define CPUID_LEAF(number, name, handler, clause) \
	{"leaf_" #number, (uint64_t)(number), true, clause, leaf_##handler},
#define CPUID_FEATURE(word, bit, name, rule)               \
	{#word "_" #name, FEATURE(WORD_##word, bit), true, \
	 "AMD64 APM vol. 3 appendix E; Intel SDM vol. 2, CPUID", feature_##rule},
static const struct row rows[] = {
#include "specs/cpuid.def"
};
ROW_TABLE(cpuid, NEED_NOTHING)

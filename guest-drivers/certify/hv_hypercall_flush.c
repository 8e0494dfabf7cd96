/*
 * hv_hypercall_flush.c - probes of the hypercalls that name sets of processors: flushes of translations and IPIs (TLFS,
 * virtual MMU; HvCallSendSyntheticClusterIpi and -Ex; HV_VP_SET).
 *
 * That a flush reaches a mapping of another processor is for the functional probes. Here: what is taken, what is
 * refused, how many reps are told, and (where there is a machine) that an IPI comes.
 */
#include "guest-drivers/certify/hv_probe.h"

#define BANKS_MAX 64u
#define NO_VP 63u /* of a mask: fewer are there, or it does no harm */

struct flush_ex {
	struct hv_tlb_flush_ex head;
	uint64_t rest[16]; /* banks, then ranges */
};

struct ipi_ex {
	struct hv_send_ipi_ex head;
	uint64_t banks[BANKS_MAX];
};

static bool offers_hint(struct probe *p, uint32_t hints, bool is_rep)
{
	struct hv_says says;

	hv_probe_says(p->c, &says);
	return hv_probe_recommends(p, (says.hints & hints) == hints, is_rep);
}

static uint64_t own_mask(const struct hv_guest *hv)
{
	return hv->vp_index < 64 ? BIT64(hv->vp_index) : 0;
}

/* ------------------------------------------------------------------ flushes by mask */

static uint64_t flush(struct probe *p, struct hv_guest *hv, uint64_t control, uint64_t flags, uint64_t mask)
{
	const struct hv_tlb_flush input = {.flags = flags, .processor_mask = mask};

	return hv_probe_call_with(p, hv, control, &input, sizeof(input));
}

/* Flags and masks that must be taken, with @reps elements. */
static void check_masks(struct probe *p, struct hv_guest *hv, uint32_t reps)
{
	static const uint64_t flags[] = {
	        0,
	        HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES,
	        HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY,
	        HV_FLUSH_ALL_PROCESSORS | HV_FLUSH_ALL_VIRTUAL_ADDRESS_SPACES |
	                HV_FLUSH_NON_GLOBAL_MAPPINGS_ONLY,
	};
	const uint64_t masks[] = {own_mask(hv), UINT64_MAX, BIT64(NO_VP), 0};

	for (uint32_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		for (uint32_t k = 0; k < sizeof(masks) / sizeof(masks[0]); k++) {
			uint64_t result = flush(p, hv, HV_REPS(reps), flags[i], masks[k]);

			(void)probe_check(p,
			                  HV_RESULT_STATUS(result) == HV_STATUS_SUCCESS &&
			                          HV_RESULT_REPS(result) == reps,
			                  "flags 0x%lx, mask 0x%lx: 0x%lx", (unsigned long)flags[i],
			                  (unsigned long)masks[k], (unsigned long)result);
		}
	}
	probe_note(p, "a reserved flag gets status 0x%x",
	           HV_RESULT_STATUS(flush(p, hv, HV_REPS(reps), BIT64(63), own_mask(hv))));
}

/* Reps are counted from the first on, wherever the call starts; as many as fit the page are taken. */
static void check_reps(struct probe *p, struct hv_guest *hv, uint64_t control, uint64_t flags,
                       uint32_t header_bytes)
{
	const struct flush_ex input = {.head = {.flags = flags, .hv_vp_set = {.format = HV_GENERIC_SET_ALL}}};
	const uint32_t most = ((uint32_t)PAGE_BYTES - header_bytes) / 8;
	const uint32_t tried[][2] = {{1, 0}, {5, 0}, {5, 2}, {5, 4}, {most, 0}, {most, most - 1}};

	for (uint32_t i = 0; i < sizeof(tried) / sizeof(tried[0]); i++) {
		uint64_t reps = HV_REPS(tried[i][0]) | HV_REP_START(tried[i][1]);
		uint64_t result = hv_probe_call_with(p, hv, control | reps, &input, header_bytes);

		(void)probe_check(p,
		                  HV_RESULT_STATUS(result) == HV_STATUS_SUCCESS &&
		                          HV_RESULT_REPS(result) == tried[i][0],
		                  "%u reps from %u: 0x%lx", tried[i][0], tried[i][1], (unsigned long)result);
	}
	hv_probe_status(p, hv_probe_call_with(p, hv, control | HV_REPS(most + 1), &input, header_bytes),
	                HV_STATUS_INVALID_ALIGNMENT, "more reps than the page holds");
	hv_probe_status(p, hv_probe_call_with(p, hv, control | HV_REPS(0xFFF), &input, header_bytes),
	                HV_STATUS_INVALID_ALIGNMENT, "4095 reps");
}

void hv_probe_flush_space(struct probe *p)
{
	const struct hv_tlb_flush input = {.flags = HV_FLUSH_ALL_PROCESSORS};
	const struct hv_shape shape = {
	        .header = &input,
	        .header_bytes = sizeof(input),
	        .input_bytes = sizeof(input),
	        .status = HV_STATUS_SUCCESS,
	};
	struct hv_guest *hv;

	if (offers_hint(p, HV_X64_REMOTE_TLB_FLUSH_RECOMMENDED, false)) {
		hv = certify_hv_started(p);
		if (hv != NULL) {
			hv_probe_convention(p, hv, &shape);
			check_masks(p, hv, 0);
		}
	}
}

void hv_probe_flush_list(struct probe *p)
{
	const struct hv_tlb_flush input = {.flags = HV_FLUSH_ALL_PROCESSORS};
	const struct hv_shape shape = {
	        .control = HV_REPS(3),
	        .header = &input,
	        .header_bytes = sizeof(input),
	        .input_bytes = sizeof(input) + 3 * sizeof(uint64_t),
	        .is_rep = true,
	        .status = HV_STATUS_SUCCESS,
	};
	struct hv_guest *hv;

	if (offers_hint(p, HV_X64_REMOTE_TLB_FLUSH_RECOMMENDED, true)) {
		hv = certify_hv_started(p);
		if (hv != NULL) {
			hv_probe_convention(p, hv, &shape);
			check_masks(p, hv, 2);
			check_reps(p, hv, 0, HV_FLUSH_ALL_PROCESSORS, sizeof(input));
		}
	}
}

/* ------------------------------------------------------------------ flushes by set */

struct set {
	uint64_t format, bank_mask;
	uint32_t banks; /* as the control says */
	uint64_t bank0;
	uint16_t status;
	const char *what;
};

static uint64_t flush_set(struct probe *p, struct hv_guest *hv, const struct set *set, uint64_t flags,
                          uint32_t reps)
{
	struct flush_ex input = {
	        .head = {.flags = flags, .hv_vp_set = {set->format, set->bank_mask}},
	        .rest = {set->bank0},
	};

	return hv_probe_call_with(p, hv, HV_BANKS(set->banks) | HV_REPS(reps), &input, sizeof(input));
}

/* Sets that every call that takes one must judge so. */
static const struct set sets[] = {
        {HV_GENERIC_SET_ALL, 0, 0, 0, HV_STATUS_SUCCESS, "all"},
        {HV_GENERIC_SET_SPARSE_4K, 1, 1, UINT64_MAX, HV_STATUS_SUCCESS, "the first bank"},
        {HV_GENERIC_SET_SPARSE_4K, 1, 1, 0, HV_STATUS_SUCCESS, "an empty bank"},
        {HV_GENERIC_SET_SPARSE_4K, 0, 0, 0, HV_STATUS_SUCCESS, "no bank"},
        {HV_GENERIC_SET_SPARSE_4K, 3, 2, 1, HV_STATUS_SUCCESS, "two banks"},
        {HV_GENERIC_SET_SPARSE_4K, BIT64(1), 1, 1, HV_STATUS_SUCCESS, "a bank of no processor"},
        {HV_GENERIC_SET_SPARSE_4K, 0xFF, 8, 1, HV_STATUS_SUCCESS, "eight banks"},
        {HV_GENERIC_SET_SPARSE_4K, 1, 0, 1, HV_STATUS_INVALID_HYPERCALL_INPUT, "a bank that is not there"},
        {HV_GENERIC_SET_SPARSE_4K, 1, 2, 1, HV_STATUS_INVALID_HYPERCALL_INPUT, "a bank too many"},
        {HV_GENERIC_SET_SPARSE_4K, UINT64_MAX, 8, 1, HV_STATUS_INVALID_HYPERCALL_INPUT, "64 banks, 8 there"},
};

static void check_flush_sets(struct probe *p, struct hv_guest *hv, uint32_t reps)
{
	const struct set unknown = {.format = 7, .bank_mask = 1, .banks = 1, .bank0 = 1};

	for (uint32_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		uint64_t result = flush_set(p, hv, &sets[i], 0, reps);

		hv_probe_status(p, result, sets[i].status, sets[i].what);
		(void)probe_check(
		        p, HV_RESULT_STATUS(result) != HV_STATUS_SUCCESS || HV_RESULT_REPS(result) == reps,
		        "%s: %u reps of %u", sets[i].what, HV_RESULT_REPS(result), reps);
	}
	hv_probe_status(p, flush_set(p, hv, &sets[0], HV_FLUSH_ALL_PROCESSORS, reps), HV_STATUS_SUCCESS,
	                "all by flag");
	hv_probe_fails(p, flush_set(p, hv, &unknown, 0, reps), "a set of a format that there is not");
}

static void flush_ex(struct probe *p, uint32_t reps)
{
	const struct hv_tlb_flush_ex input = {.hv_vp_set = {.format = HV_GENERIC_SET_ALL}};
	const struct hv_shape shape = {
	        .control = HV_REPS(reps),
	        .header = &input,
	        .header_bytes = sizeof(input),
	        .input_bytes = (uint32_t)sizeof(input) + reps * 8u,
	        .is_rep = reps != 0,
	        .is_variable = true,
	        .status = HV_STATUS_SUCCESS,
	};
	struct hv_guest *hv;

	if (offers_hint(p, HV_X64_REMOTE_TLB_FLUSH_RECOMMENDED | HV_X64_EX_PROCESSOR_MASKS_RECOMMENDED,
	                reps != 0)) {
		hv = certify_hv_started(p);
		if (hv != NULL) {
			hv_probe_convention(p, hv, &shape);
			check_flush_sets(p, hv, reps);
			if (reps != 0) {
				check_reps(p, hv, 0, 0, sizeof(input));
			}
		}
	}
}

void hv_probe_flush_space_ex(struct probe *p)
{
	flush_ex(p, 0);
}

void hv_probe_flush_list_ex(struct probe *p)
{
	flush_ex(p, 2);
}

/* ------------------------------------------------------------------ IPIs */

static uint64_t ipi(struct probe *p, struct hv_guest *hv, uint32_t vector, uint64_t mask, bool fast)
{
	const struct hv_send_ipi input = {.vector = vector, .cpu_mask = mask};

	if (fast) {
		return hv_probe_call(hv, p->row->number | HV_HYPERCALL_FAST_BIT, vector, mask);
	}
	return hv_probe_call_with(p, hv, 0, &input, sizeof(input));
}

static uint64_t ipi_set(struct probe *p, struct hv_guest *hv, uint32_t vector, const struct set *set)
{
	struct ipi_ex input = {
	        .head = {.vector = vector, .vp_set = {set->format, set->bank_mask}},
	        .banks = {set->bank0},
	};

	return hv_probe_call_with(p, hv, HV_BANKS(set->banks), &input, sizeof(input));
}

/* One interrupt of it more, or none. */
static void check_came(struct probe *p, uint32_t before, bool wanted, const char *what)
{
	uint32_t count = before + (wanted ? 1u : 0u);

	if (p->c->machine != NULL) {
		(void)probe_check(p, hv_probe_count_to(p->c, HV_PROBE_VECTOR, count) == count,
		                  "%s: the interrupt %s", what, wanted ? "does not come once" : "comes");
	}
}

static void check_ipis(struct probe *p, struct hv_guest *hv)
{
	uint32_t before = hv_probe_count(p->c, HV_PROBE_VECTOR);

	for (uint32_t fast = 0; fast < 2; fast++) {
		hv_probe_status(p, ipi(p, hv, HV_PROBE_VECTOR, own_mask(hv), fast != 0), HV_STATUS_SUCCESS,
		                "to itself");
		check_came(p, before, own_mask(hv) != 0, "to itself");
		before = hv_probe_count(p->c, HV_PROBE_VECTOR);
		hv_probe_status(p, ipi(p, hv, HV_PROBE_VECTOR, 0, fast != 0), HV_STATUS_SUCCESS, "to no one");
		check_came(p, before, false, "to no one");
		hv_probe_fails(p, ipi(p, hv, 0, own_mask(hv), fast != 0), "vector 0");
		hv_probe_fails(p, ipi(p, hv, HV_IPI_LOW_VECTOR - 1, own_mask(hv), fast != 0), "vector 15");
		hv_probe_fails(p, ipi(p, hv, HV_IPI_HIGH_VECTOR + 1, own_mask(hv), fast != 0), "vector 256");
		hv_probe_fails(p, ipi(p, hv, UINT32_MAX, own_mask(hv), fast != 0), "vector 2^32 - 1");
		hv_probe_status(p, ipi(p, hv, HV_IPI_LOW_VECTOR, 0, fast != 0), HV_STATUS_SUCCESS,
		                "vector 16");
		hv_probe_status(p, ipi(p, hv, HV_IPI_HIGH_VECTOR, 0, fast != 0), HV_STATUS_SUCCESS,
		                "vector 255");
	}
}

void hv_probe_send_ipi(struct probe *p)
{
	const struct hv_send_ipi input = {.vector = HV_PROBE_VECTOR, .cpu_mask = 0};
	const struct hv_shape shape = {
	        .header = &input,
	        .header_bytes = sizeof(input),
	        .input_bytes = sizeof(input),
	        .status = HV_STATUS_SUCCESS,
	};
	struct hv_guest *hv;

	if (offers_hint(p, HV_X64_CLUSTER_IPI_RECOMMENDED, false)) {
		hv = certify_hv_started(p);
		if (hv != NULL) {
			hv_probe_watch(p->c, HV_PROBE_VECTOR);
			hv_probe_convention(p, hv, &shape);
			check_ipis(p, hv);
		}
	}
}

/* Sets of this processor, or of none. */
static void check_ipi_sets(struct probe *p, struct hv_guest *hv)
{
	const struct set unknown = {.format = 7, .bank_mask = 1, .banks = 1, .bank0 = own_mask(hv)};
	uint32_t before = hv_probe_count(p->c, HV_PROBE_VECTOR);

	for (uint32_t i = 1; i < sizeof(sets) / sizeof(sets[0]); i++) {
		struct set set = sets[i];
		bool to_itself = set.bank0 == UINT64_MAX && own_mask(hv) != 0;

		set.bank0 = to_itself ? own_mask(hv) : 0;
		hv_probe_status(p, ipi_set(p, hv, HV_PROBE_VECTOR, &set), set.status, set.what);
		check_came(p, before, to_itself && set.status == HV_STATUS_SUCCESS, set.what);
		before = hv_probe_count(p->c, HV_PROBE_VECTOR);
	}
	/* Only where there is no other to be disturbed. */
	if (p->c->machine == NULL || p->c->machine->cpu_count == 1) {
		hv_probe_status(p, ipi_set(p, hv, HV_PROBE_VECTOR, &sets[0]), HV_STATUS_SUCCESS, "all");
		check_came(p, before, true, "all");
	}
	hv_probe_fails(p, ipi_set(p, hv, HV_PROBE_VECTOR, &unknown), "a set of a format that there is not");
	hv_probe_fails(p, ipi_set(p, hv, HV_IPI_LOW_VECTOR - 1, &sets[3]), "vector 15");
	hv_probe_fails(p, ipi_set(p, hv, HV_IPI_HIGH_VECTOR + 1, &sets[3]), "vector 256");
}

void hv_probe_send_ipi_ex(struct probe *p)
{
	const struct hv_send_ipi_ex input = {.vector = HV_PROBE_VECTOR};
	const struct hv_shape shape = {
	        .header = &input,
	        .header_bytes = sizeof(input),
	        .input_bytes = sizeof(input),
	        .is_variable = true,
	        .status = HV_STATUS_SUCCESS,
	};
	struct hv_guest *hv;

	if (offers_hint(p, HV_X64_CLUSTER_IPI_RECOMMENDED | HV_X64_EX_PROCESSOR_MASKS_RECOMMENDED, false)) {
		hv = certify_hv_started(p);
		if (hv != NULL) {
			hv_probe_watch(p->c, HV_PROBE_VECTOR);
			hv_probe_convention(p, hv, &shape);
			check_ipi_sets(p, hv);
		}
	}
}

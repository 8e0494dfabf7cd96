/*
 * stats.c - the names behind the counts: every table of specs/, as vm/spec.h lists them.
 */
#include "hypervisor/core/machine.h"

struct stats_row {
	uint32_t number;
	const char *name;
};

struct stats_table {
	const char *text;
	const struct stats_row *rows;
	uint32_t row_count;
};

#define SPEC_ROW(number, name, status, handler, clause) {(uint32_t)(number), #name},
#include "hypervisor/core/stats_tables.h"
#undef SPEC_ROW

const char *stats_table_text(uint32_t table)
{
	return stats_tables[table].text;
}

const char *stats_row_name(uint32_t table, uint32_t row)
{
	return row < stats_tables[table].row_count ? stats_tables[table].rows[row].name : "unknown";
}

uint32_t stats_row_number(uint32_t table, uint32_t row)
{
	return row < stats_tables[table].row_count ? stats_tables[table].rows[row].number : UINT32_MAX;
}

void stats_exits(uint32_t index, void (*say)(const char *format, ...))
{
	const struct cpu *cpu = &cpus[index];

	for (uint32_t k = 0; k < ARRAY_COUNT(cpu->trace); k++) {
		const struct exit_trace *row = &cpu->trace[(cpu->trace_next + k) % ARRAY_COUNT(cpu->trace)];

		if (row->tsc != 0) {
			say("cpu %u: %lu guest %u vcpu %u rip %lx exit %lx", index, (unsigned long)row->tsc,
			    row->vm, row->vcpu, (unsigned long)row->rip, (unsigned long)row->code);
		}
	}
}

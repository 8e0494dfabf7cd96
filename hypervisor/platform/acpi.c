/*
 * acpi.c - builds a guest's ACPI tables (ACPI 5.0; section numbers in acpi_layout.h).
 */
#include "base/mem.h"
#include "hypervisor/platform/acpi.h"
#include "hypervisor/platform/acpi_layout.h"
#include "hypervisor/platform/aml.h"
#include "hypervisor/platform/pm.h"
#include "hypervisor/platform/rtc.h"
#include "hypervisor/platform/vioapic.h"
#include "hypervisor/platform/vlapic.h"

#define TABLES_MAX 8u
#define TABLE_ALIGN 16u
#define TYPE0_IDS 255u /* APIC ids from here on need the x2APIC form */

#define FADT_REVISION 5u
#define MADT_REVISION 3u
#define FADT_NO_C2_LATENCY 0xFFFu
#define FADT_NO_C3_LATENCY 0xFFFu
#define FADT_FLAGS                                                                        \
	(FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_TMR_VAL_EXT | \
	 FADT_RESET_REG_SUP | FADT_USE_PLATFORM_CLOCK)

#define AML_SCOPE_OP 0x10u
#define AML_NAME_OP 0x08u
#define AML_STRING 0x0Du
#define AML_DWORD 0x0Cu

/* What a face changes: [hyperv_face][xen_face]. */
static const struct face_row {
	uint16_t boot_arch;
	bool has_vmbus;
	bool has_rtc_device;
} face_rows[2][2] = {
        {
                {FADT_BOOT_NO_VGA, false, true},
                {FADT_BOOT_NO_VGA | FADT_BOOT_NO_CMOS_RTC, false, false},
        },
        {
                {FADT_BOOT_NO_VGA, true, true},
                {FADT_BOOT_NO_VGA | FADT_BOOT_NO_CMOS_RTC, true, false},
        },
};

struct builder {
	uint8_t *to;
	size_t room;
	size_t used;
	uint64_t gpa;
	const struct acpi_config *config;
	const struct face_row *face;
	uint64_t tables[TABLES_MAX]; /* what the XSDT lists */
	uint32_t table_count;
	bool full;
};

static uint8_t checksum(const void *bytes, size_t len)
{
	const uint8_t *b = bytes;
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++) {
		sum = (uint8_t)(sum + b[i]);
	}
	return (uint8_t)(0u - sum);
}

static uint64_t gpa_of(const struct builder *b, const void *at)
{
	return b->gpa + (uint64_t)((const uint8_t *)at - b->to);
}

/* Zeroed room for @len bytes; NULL, and the builder is full for good, if there is none. */
static void *reserve(struct builder *b, size_t len, size_t align)
{
	size_t at = (b->used + align - 1) & ~(align - 1);

	if (b->full || at > b->room || len > b->room - at) {
		b->full = true;
		return NULL;
	}
	b->used = at + len;
	return b->to + at;
}

/* A table of @len bytes with its header; the checksum comes last, by finish_table(). */
static void *start_table(struct builder *b, const char *signature, uint8_t revision, size_t len)
{
	struct acpi_header *h = reserve(b, len, TABLE_ALIGN);

	if (h == NULL) {
		return NULL;
	}
	memcpy(h->signature, signature, sizeof(h->signature));
	h->length = (uint32_t)len;
	h->revision = revision;
	memcpy(h->oem_id, "JANUS ", sizeof(h->oem_id));
	memcpy(h->oem_table_id, "BOARD   ", sizeof(h->oem_table_id));
	h->oem_revision = 1;
	memcpy(h->creator_id, "JANS", sizeof(h->creator_id));
	h->creator_revision = 1;
	return h;
}

static void finish_table(void *table)
{
	struct acpi_header *h = table;

	h->checksum = checksum(table, h->length);
}

static void list_table(struct builder *b, const void *table)
{
	b->tables[b->table_count++] = gpa_of(b, table);
}

/* A table that iasl has made. Returns where it is, or NULL. */
static void *copy_table(struct builder *b, const uint8_t *aml, uint64_t len)
{
	void *table = reserve(b, len, TABLE_ALIGN);

	if (table != NULL) {
		memcpy(table, aml, len);
	}
	return table;
}

static void add_ssdt(struct builder *b, const uint8_t *aml, uint64_t len)
{
	void *table = copy_table(b, aml, len);

	if (table != NULL) {
		list_table(b, table);
	}
}

static void *add_facs(struct builder *b)
{
	struct acpi_facs *f = reserve(b, sizeof(*f), ACPI_ALIGN_BYTES);

	if (f != NULL) {
		memcpy(f->signature, "FACS", sizeof(f->signature));
		f->length = sizeof(*f);
		f->version = 2;
	}
	return f;
}

/* ---- FADT ---- */

static struct acpi_gas io_block(uint32_t port, unsigned int bytes, uint8_t access)
{
	return (struct acpi_gas){
	        .space = GAS_SYSTEM_IO,
	        .bit_width = (uint8_t)(bytes * 8),
	        .access = access,
	        .address = port,
	};
}

static void fill_fadt_blocks(struct acpi_fadt *f)
{
	f->sci_int = PM_SCI_GSI;
	f->pm1a_evt_blk = PM_PORT;
	f->pm1_evt_len = PM_EVENT_BYTES;
	f->pm1a_cnt_blk = PM_PORT + PM_CONTROL_OFFSET;
	f->pm1_cnt_len = PM_CONTROL_BYTES;
	f->pm_tmr_blk = PM_PORT + PM_TIMER_OFFSET;
	f->pm_tmr_len = PM_TIMER_BYTES;
	f->gpe0_blk = PM_GPE0_PORT;
	f->gpe0_blk_len = PM_GPE0_BYTES;
	f->x_pm1a_evt_blk = io_block(f->pm1a_evt_blk, PM_EVENT_BYTES, GAS_ACCESS_WORD);
	f->x_pm1a_cnt_blk = io_block(f->pm1a_cnt_blk, PM_CONTROL_BYTES, GAS_ACCESS_WORD);
	f->x_pm_tmr_blk = io_block(f->pm_tmr_blk, PM_TIMER_BYTES, GAS_ACCESS_DWORD);
	f->x_gpe0_blk = io_block(f->gpe0_blk, PM_GPE0_BYTES, GAS_ACCESS_BYTE);
}

static void add_fadt(struct builder *b, const void *dsdt, const void *facs)
{
	struct acpi_fadt *f = start_table(b, "FACP", FADT_REVISION, sizeof(*f));

	if (f == NULL) {
		return;
	}
	/* The FACS by its 32-bit field only: giving both is an error where they could differ. */
	f->firmware_ctrl = (uint32_t)gpa_of(b, facs);
	f->dsdt = (uint32_t)gpa_of(b, dsdt);
	f->x_dsdt = gpa_of(b, dsdt);
	fill_fadt_blocks(f);
	f->p_lvl2_lat = FADT_NO_C2_LATENCY;
	f->p_lvl3_lat = FADT_NO_C3_LATENCY;
	f->century = RTC_CENTURY;
	f->iapc_boot_arch = b->face->boot_arch;
	f->flags = FADT_FLAGS;
	f->reset_reg = io_block(PM_RESET_PORT, 1, GAS_ACCESS_BYTE);
	f->reset_value = PM_RESET_VALUE;
	finish_table(f);
	list_table(b, f);
}

/* ---- MADT ---- */

static size_t madt_processor_bytes(uint32_t id)
{
	return id < TYPE0_IDS ? sizeof(struct madt_lapic) : sizeof(struct madt_x2apic);
}

static size_t madt_bytes(const struct acpi_config *config)
{
	uint32_t narrow = config->vcpu_count < TYPE0_IDS ? config->vcpu_count : TYPE0_IDS;

	return sizeof(struct acpi_madt) + narrow * sizeof(struct madt_lapic) +
	       (config->vcpu_count - narrow) * sizeof(struct madt_x2apic) + sizeof(struct madt_ioapic) +
	       sizeof(struct madt_override);
}

static void fill_processor(uint8_t *at, uint32_t id)
{
	if (id < TYPE0_IDS) {
		struct madt_lapic entry = {
		        .type = MADT_LAPIC,
		        .length = sizeof(entry),
		        .processor_id = (uint8_t)id,
		        .apic_id = (uint8_t)id,
		        .flags = MADT_ENABLED,
		};

		memcpy(at, &entry, sizeof(entry));
	} else {
		struct madt_x2apic entry = {
		        .type = MADT_X2APIC,
		        .length = sizeof(entry),
		        .apic_id = id,
		        .flags = MADT_ENABLED,
		        .processor_id = id,
		};

		memcpy(at, &entry, sizeof(entry));
	}
}

/*
 * The IOAPIC, and that the SCI's line is active high and level rather than what ISA would make of
 * it.
 */
static void fill_interrupts(uint8_t *at)
{
	struct madt_ioapic ioapic = {
	        .type = MADT_IOAPIC,
	        .length = sizeof(ioapic),
	        .address = VIOAPIC_BASE,
	};
	struct madt_override sci = {
	        .type = MADT_OVERRIDE,
	        .length = sizeof(sci),
	        .source = PM_SCI_GSI,
	        .gsi = PM_SCI_GSI,
	        .flags = MADT_ACTIVE_HIGH | MADT_LEVEL,
	};

	memcpy(at, &ioapic, sizeof(ioapic));
	memcpy(at + sizeof(ioapic), &sci, sizeof(sci));
}

static void add_madt(struct builder *b)
{
	struct acpi_madt *m = start_table(b, "APIC", MADT_REVISION, madt_bytes(b->config));
	uint8_t *at;

	if (m == NULL) {
		return;
	}
	m->lapic_address = VLAPIC_BASE;
	at = (uint8_t *)m + sizeof(*m);
	for (uint32_t id = 0; id < b->config->vcpu_count; id++) {
		fill_processor(at, id);
		at += madt_processor_bytes(id);
	}
	fill_interrupts(at);
	finish_table(m);
	list_table(b, m);
}

/* ---- the rest ---- */

static void add_waet(struct builder *b)
{
	struct acpi_waet *w = start_table(b, "WAET", 1, sizeof(*w));

	if (w != NULL) {
		w->flags = WAET_RTC_GOOD | WAET_PM_TIMER_GOOD;
		finish_table(w);
		list_table(b, w);
	}
}

static char hex_digit(uint32_t value)
{
	return "0123456789ABCDEF"[value & 0xF];
}

static void fill_aml_processor(struct aml_processor *p, uint32_t id)
{
	p->device_op[0] = 0x5B;
	p->device_op[1] = 0x82;
	p->package_length = sizeof(*p) - sizeof(p->device_op);
	p->name[0] = 'C';
	p->name[1] = hex_digit(id >> 8);
	p->name[2] = hex_digit(id >> 4);
	p->name[3] = hex_digit(id);
	p->hid_op = AML_NAME_OP;
	memcpy(p->hid_name, "_HID", sizeof(p->hid_name));
	p->hid_prefix = AML_STRING;
	memcpy(p->hid, "ACPI0007", sizeof(p->hid));
	p->uid_op = AML_NAME_OP;
	memcpy(p->uid_name, "_UID", sizeof(p->uid_name));
	p->uid_prefix = AML_DWORD;
	p->uid = id;
}

/* A device for each vCPU, whose number no compiled table can know. */
static void add_processors(struct builder *b)
{
	size_t scope_bytes = sizeof(struct aml_scope) + b->config->vcpu_count * sizeof(struct aml_processor);
	uint8_t *table = start_table(b, "SSDT", 2, sizeof(struct acpi_header) + scope_bytes);
	/* The length counts itself, not the opcode. */
	size_t length = scope_bytes - 1;
	struct aml_scope scope = {
	        .scope_op = AML_SCOPE_OP,
	        .package_length = {(uint8_t)(0x80u | (length & 0xFu)), (uint8_t)(length >> 4),
	                           (uint8_t)(length >> 12)},
	        .name = {'\\', '_', 'S', 'B', '_'},
	};
	struct aml_processor *processors;

	if (table == NULL) {
		return;
	}
	memcpy(table + sizeof(struct acpi_header), &scope, sizeof(scope));
	processors = (void *)(table + sizeof(struct acpi_header) + sizeof(scope));
	for (uint32_t id = 0; id < b->config->vcpu_count; id++) {
		fill_aml_processor(&processors[id], id);
	}
	finish_table(table);
	list_table(b, table);
}

/* RSDT and XSDT: the same list in 4 and in 8 bytes each. */
static void *add_root(struct builder *b, const char *signature, size_t entry_bytes)
{
	size_t len = sizeof(struct acpi_header) + b->table_count * entry_bytes;
	uint8_t *table = start_table(b, signature, 1, len);

	if (table == NULL) {
		return NULL;
	}
	for (uint32_t i = 0; i < b->table_count; i++) {
		memcpy(table + sizeof(struct acpi_header) + i * entry_bytes, &b->tables[i], entry_bytes);
	}
	finish_table(table);
	return table;
}

static void fill_rsdp(struct builder *b, struct acpi_rsdp *r, const void *rsdt, const void *xsdt)
{
	memcpy(r->signature, "RSD PTR ", sizeof(r->signature));
	memcpy(r->oem_id, "JANUS ", sizeof(r->oem_id));
	r->revision = 2;
	r->rsdt_address = (uint32_t)gpa_of(b, rsdt);
	r->length = sizeof(*r);
	r->xsdt_address = gpa_of(b, xsdt);
	r->checksum = checksum(r, 20);
	r->extended_checksum = checksum(r, sizeof(*r));
}

static void add_tables(struct builder *b)
{
	const void *facs = add_facs(b);
	const void *dsdt = copy_table(b, aml_dsdt, aml_dsdt_bytes);

	add_fadt(b, dsdt, facs);
	add_madt(b);
	add_waet(b);
	add_processors(b);
	if (b->face->has_rtc_device) {
		add_ssdt(b, aml_rtc, aml_rtc_bytes);
	}
	if (b->face->has_vmbus) {
		add_ssdt(b, aml_vmbus, aml_vmbus_bytes);
	}
}

size_t acpi_build(uint8_t *to, size_t room, uint64_t gpa, const struct acpi_config *config,
                  uint64_t *rsdp_gpa)
{
	struct builder b = {
	        .to = to,
	        .room = room,
	        .gpa = gpa,
	        .config = config,
	        .face = &face_rows[config->hyperv_face][config->xen_face],
	};
	struct acpi_rsdp *rsdp;
	const void *rsdt;
	const void *xsdt;

	memset(to, 0, room);
	if (config->vcpu_count == 0 || config->vcpu_count > ACPI_VCPUS_MAX || gpa == 0 ||
	    gpa % ACPI_ALIGN_BYTES != 0 || gpa >= UINT32_MAX || room > UINT32_MAX - gpa) {
		return 0;
	}
	rsdp = reserve(&b, sizeof(*rsdp), ACPI_ALIGN_BYTES);
	add_tables(&b);
	rsdt = add_root(&b, "RSDT", sizeof(uint32_t));
	xsdt = add_root(&b, "XSDT", sizeof(uint64_t));
	if (b.full) {
		memset(to, 0, room);
		return 0;
	}
	fill_rsdp(&b, rsdp, rsdt, xsdt);
	*rsdp_gpa = gpa_of(&b, rsdp);
	return b.used;
}

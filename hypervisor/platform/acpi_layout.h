/*
 * acpi_layout.h - the tables of ACPI 5.0 as they lie in memory; only acpi.c and its test include
 * it.
 */
#ifndef PLATFORM_ACPI_LAYOUT_H
#define PLATFORM_ACPI_LAYOUT_H

#include "base/compiler.h"

struct PACKED acpi_rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt_address;
	uint32_t length;
	uint64_t xsdt_address;
	uint8_t extended_checksum;
	uint8_t reserved[3];
};
_Static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI 5.0, 5.2.5.3");

struct PACKED acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
};
_Static_assert(sizeof(struct acpi_header) == 36, "ACPI 5.0, 5.2.6");

#define GAS_SYSTEM_IO 1u
#define GAS_ACCESS_BYTE 1u
#define GAS_ACCESS_WORD 2u
#define GAS_ACCESS_DWORD 3u

struct PACKED acpi_gas {
	uint8_t space;
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access;
	uint64_t address;
};
_Static_assert(sizeof(struct acpi_gas) == 12, "ACPI 5.0, 5.2.3.1");

#define FADT_WBINVD (1u << 0)
#define FADT_PROC_C1 (1u << 2)
#define FADT_SLP_BUTTON (1u << 5)
#define FADT_FIX_RTC (1u << 6)
#define FADT_TMR_VAL_EXT (1u << 8)
#define FADT_RESET_REG_SUP (1u << 10)
#define FADT_USE_PLATFORM_CLOCK (1u << 15)

#define FADT_BOOT_NO_VGA (1u << 2)
#define FADT_BOOT_NO_CMOS_RTC (1u << 5)

struct PACKED acpi_fadt {
	struct acpi_header header;
	uint32_t firmware_ctrl;
	uint32_t dsdt;
	uint8_t reserved0;
	uint8_t preferred_pm_profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t acpi_enable;
	uint8_t acpi_disable;
	uint8_t s4bios_req;
	uint8_t pstate_cnt;
	uint32_t pm1a_evt_blk;
	uint32_t pm1b_evt_blk;
	uint32_t pm1a_cnt_blk;
	uint32_t pm1b_cnt_blk;
	uint32_t pm2_cnt_blk;
	uint32_t pm_tmr_blk;
	uint32_t gpe0_blk;
	uint32_t gpe1_blk;
	uint8_t pm1_evt_len;
	uint8_t pm1_cnt_len;
	uint8_t pm2_cnt_len;
	uint8_t pm_tmr_len;
	uint8_t gpe0_blk_len;
	uint8_t gpe1_blk_len;
	uint8_t gpe1_base;
	uint8_t cst_cnt;
	uint16_t p_lvl2_lat;
	uint16_t p_lvl3_lat;
	uint16_t flush_size;
	uint16_t flush_stride;
	uint8_t duty_offset;
	uint8_t duty_width;
	uint8_t day_alrm;
	uint8_t mon_alrm;
	uint8_t century;
	uint16_t iapc_boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct acpi_gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_firmware_ctrl;
	uint64_t x_dsdt;
	struct acpi_gas x_pm1a_evt_blk;
	struct acpi_gas x_pm1b_evt_blk;
	struct acpi_gas x_pm1a_cnt_blk;
	struct acpi_gas x_pm1b_cnt_blk;
	struct acpi_gas x_pm2_cnt_blk;
	struct acpi_gas x_pm_tmr_blk;
	struct acpi_gas x_gpe0_blk;
	struct acpi_gas x_gpe1_blk;
	struct acpi_gas sleep_control_reg;
	struct acpi_gas sleep_status_reg;
};
_Static_assert(sizeof(struct acpi_fadt) == 268, "ACPI 5.0, 5.2.9");
_Static_assert(offsetof(struct acpi_fadt, iapc_boot_arch) == 109, "ACPI 5.0, 5.2.9");
_Static_assert(offsetof(struct acpi_fadt, reset_reg) == 116, "ACPI 5.0, 5.2.9");
_Static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "ACPI 5.0, 5.2.9");
_Static_assert(offsetof(struct acpi_fadt, x_pm_tmr_blk) == 208, "ACPI 5.0, 5.2.9");

struct PACKED acpi_facs {
	char signature[4];
	uint32_t length;
	uint32_t hardware_signature;
	uint32_t waking_vector;
	uint32_t global_lock;
	uint32_t flags;
	uint64_t x_waking_vector;
	uint8_t version;
	uint8_t reserved0[3];
	uint32_t ospm_flags;
	uint8_t reserved1[24];
};
_Static_assert(sizeof(struct acpi_facs) == 64, "ACPI 5.0, 5.2.10");

#define MADT_ENABLED 1u
#define MADT_ACTIVE_HIGH 0x1u
#define MADT_LEVEL 0xCu

enum madt_type {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_X2APIC = 9,
};

struct PACKED acpi_madt {
	struct acpi_header header;
	uint32_t lapic_address;
	uint32_t flags; /* bit 0: there is a PIC */
};
_Static_assert(sizeof(struct acpi_madt) == 44, "ACPI 5.0, 5.2.12");

struct PACKED madt_lapic {
	uint8_t type;
	uint8_t length;
	uint8_t processor_id;
	uint8_t apic_id;
	uint32_t flags;
};
_Static_assert(sizeof(struct madt_lapic) == 8, "ACPI 5.0, 5.2.12.2");

struct PACKED madt_ioapic {
	uint8_t type;
	uint8_t length;
	uint8_t ioapic_id;
	uint8_t reserved;
	uint32_t address;
	uint32_t gsi_base;
};
_Static_assert(sizeof(struct madt_ioapic) == 12, "ACPI 5.0, 5.2.12.3");

struct PACKED madt_override {
	uint8_t type;
	uint8_t length;
	uint8_t bus;
	uint8_t source;
	uint32_t gsi;
	uint16_t flags;
};
_Static_assert(sizeof(struct madt_override) == 10, "ACPI 5.0, 5.2.12.5");

struct PACKED madt_x2apic {
	uint8_t type;
	uint8_t length;
	uint16_t reserved;
	uint32_t apic_id;
	uint32_t flags;
	uint32_t processor_id;
};
_Static_assert(sizeof(struct madt_x2apic) == 16, "ACPI 5.0, 5.2.12.12");

#define WAET_RTC_GOOD (1u << 0)
#define WAET_PM_TIMER_GOOD (1u << 1)

struct PACKED acpi_waet {
	struct acpi_header header;
	uint32_t flags;
};
_Static_assert(sizeof(struct acpi_waet) == 40, "WAET specification");

/* Device (Cxxx) { Name (_HID, "ACPI0007") Name (_UID, n) }, as AML. */
struct PACKED aml_processor {
	uint8_t device_op[2];
	uint8_t package_length;
	char name[4];
	uint8_t hid_op;
	char hid_name[4];
	uint8_t hid_prefix;
	char hid[9];
	uint8_t uid_op;
	char uid_name[4];
	uint8_t uid_prefix;
	uint32_t uid;
};
_Static_assert(sizeof(struct aml_processor) == 32, "two bytes of opcode and a package of 30");

/* Scope (\_SB), with a package length of three bytes. */
struct PACKED aml_scope {
	uint8_t scope_op;
	uint8_t package_length[3];
	char name[5];
};
_Static_assert(sizeof(struct aml_scope) == 9, "ACPI 5.0, 20.2");

#endif /* PLATFORM_ACPI_LAYOUT_H */

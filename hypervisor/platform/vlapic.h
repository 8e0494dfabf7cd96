/*
 * vlapic.h - a vCPU's local APIC, xAPIC and x2APIC (SDM volume 3, chapter 11, "APIC").
 *
 * Who may touch what: the words of `vlapic_shared` are written or read by any CPU, always
 * atomically. Everything else belongs to the CPU that runs the vCPU (or holds it stopped). Only
 * vlapic_post(), vlapic_bus_send() and vlapic_accepts_interrupts() may be called from any CPU; no
 * lock is needed for any function here, and none may be called with the lock of the vioapic held.
 *
 * The APIC id of vCPU n is n. The page is at VLAPIC_BASE and cannot be moved. Left out: TSC
 * deadline, EOI broadcast suppression, CMCI, extended APIC space; nothing in the version register
 * offers them.
 */
#ifndef PLATFORM_VLAPIC_H
#define PLATFORM_VLAPIC_H

#include "base/compiler.h"
#include "hypervisor/platform/env.h"

#define VLAPIC_BASE 0xFEE00000u
#define VLAPIC_BYTES 0x1000u
#define VLAPIC_VERSION 0x00050014u

/* The timer's input clock. 1 GHz, so that one tick before the divider is one nanosecond. */
#define VLAPIC_BUS_HZ 1000000000u
/* A periodic timer fires no more often than this, whatever the guest asks for. */
#define VLAPIC_PERIOD_MIN_NS 20000u

#define MSR_APIC_BASE 0x1Bu
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_LAST 0x8FFu

#define APIC_BASE_BSP (1u << 8)
#define APIC_BASE_EXTD (1u << 10)
#define APIC_BASE_EN (1u << 11)

enum apic_delivery_mode {
	APIC_MODE_FIXED = 0,
	APIC_MODE_LOWEST = 1,
	APIC_MODE_SMI = 2,
	APIC_MODE_NMI = 4,
	APIC_MODE_INIT = 5,
	APIC_MODE_SIPI = 6,
	APIC_MODE_EXTINT = 7,
};

/* What local APICs and the IOAPIC tell each other. */
struct apic_message {
	uint32_t dest;
	uint8_t vector;
	uint8_t mode; /* enum apic_delivery_mode, or reserved: then nobody takes it */
	bool logical;
	bool wide; /* dest has 32 bits (x2APIC form) rather than 8 */
	bool level;
};

struct vlapic_shared {
	uint32_t irr[8];
	uint32_t tmr[8];
	uint32_t esr_pending;
	uint32_t apic_base;
	uint32_t svr;
	uint32_t ldr; /* xAPIC mode; in x2APIC mode it follows from the id */
	uint32_t dfr;
};

enum vlapic_lvt {
	VLAPIC_LVT_TIMER,
	VLAPIC_LVT_THERMAL,
	VLAPIC_LVT_PERF,
	VLAPIC_LVT_LINT0,
	VLAPIC_LVT_LINT1,
	VLAPIC_LVT_ERROR,
	VLAPIC_LVT_COUNT,
};

struct vlapic_timer {
	uint64_t start_ns; /* when the counter held loaded_count */
	uint64_t deadline_ns; /* what timer_arm was told; 0: not armed */
	uint32_t initial_count;
	uint32_t loaded_count;
	uint32_t divide_config;
	bool running;
};

struct vlapic_bus;

struct vlapic {
	struct vlapic_bus *bus;
	unsigned int vcpu;
	struct vlapic_shared shared;
	uint32_t isr[8];
	uint32_t auto_eoi[8];
	uint32_t tpr;
	uint32_t esr;
	uint32_t icr_low;
	uint32_t icr_high;
	uint32_t lvt[VLAPIC_LVT_COUNT];
	struct vlapic_timer timer;
};

struct vioapic;

/* All local APICs of one guest, and the IOAPIC that wants to hear of EOIs. */
struct vlapic_bus {
	struct board_env env;
	struct vlapic *lapics;
	unsigned int vcpu_count;
	struct vioapic *ioapic; /* NULL: none */
	uint32_t arbiter; /* where lowest priority delivery starts to look; atomic */
};

/* Makes @l the local APIC of vCPU number @vcpu, as after power-on. @bus outlives it. */
void vlapic_init(struct vlapic *l, struct vlapic_bus *bus, unsigned int vcpu);

/* Power-on state: xAPIC mode, software-disabled, timer stopped. AutoEOI vectors are forgotten. */
void vlapic_reset(struct vlapic *l);

/* State after an INIT: as vlapic_reset(), but APIC_BASE (so the mode) stays. */
void vlapic_init_signal(struct vlapic *l);

/* Globally enabled and SVR bit 8 set. */
bool vlapic_is_enabled(const struct vlapic *l);
bool vlapic_is_x2apic(const struct vlapic *l);

/*
 * Makes @vector pending, and kicks the vCPU if it was not. Any CPU. False if the APIC took nothing:
 * it is disabled, or the vector is below 16 (then its ESR tells).
 */
bool vlapic_post(struct vlapic *l, uint8_t vector, bool level);

/* True if vlapic_post() would take a legal vector now. Any CPU. */
bool vlapic_accepts_interrupts(const struct vlapic *l);

/* Delivers @m to every APIC it addresses (at most vcpu_count). Any CPU. False if none took it. */
bool vlapic_bus_send(struct vlapic_bus *bus, const struct apic_message *m);

/* The highest vector that the processor priority lets through, or -1. */
int vlapic_pending(const struct vlapic *l);

/*
 * @vector, which vlapic_pending() has named, was injected: IRR to ISR, or to nowhere with AutoEOI.
 */
void vlapic_accept(struct vlapic *l, uint8_t vector);

/* From now on no EOI follows interrupts of @vector (SINTs with AutoEOI set). */
void vlapic_set_auto_eoi(struct vlapic *l, uint8_t vector, bool on);

/* Ends the highest interrupt in service: tells the IOAPIC if it was level, and always the env. */
void vlapic_eoi(struct vlapic *l);

/* Task priority, 8 bits; CR8 is its upper half. */
uint8_t vlapic_tpr(const struct vlapic *l);
void vlapic_set_tpr(struct vlapic *l, uint8_t tpr);
uint8_t vlapic_cr8(const struct vlapic *l);
void vlapic_set_cr8(struct vlapic *l, uint8_t cr8);
uint8_t vlapic_ppr(const struct vlapic *l);

/*
 * The ICR as two words (also for Hyper-V's ICR MSR). @raw_high: destination in bits 31:24 in xAPIC
 * mode, all 32 bits in x2APIC mode. Writing sends.
 */
void vlapic_write_icr(struct vlapic *l, uint32_t raw_low, uint32_t raw_high);
uint64_t vlapic_read_icr(const struct vlapic *l);

/*
 * The MMIO page. @offset is below VLAPIC_BYTES, @size 1, 2, 4 or 8. Never fails: odd accesses read
 * 0.
 */
uint64_t vlapic_mmio_read(struct vlapic *l, uint32_t offset, unsigned int size);
void vlapic_mmio_write(struct vlapic *l, uint32_t offset, unsigned int size, uint64_t raw_value);

/* MSR_APIC_BASE and MSR_X2APIC_FIRST..LAST. False: #GP, and nothing has changed. */
MUST_CHECK bool vlapic_msr_read(struct vlapic *l, uint32_t msr, uint64_t *value);
MUST_CHECK bool vlapic_msr_write(struct vlapic *l, uint32_t msr, uint64_t raw_value);

/*
 * Core's timer for this vCPU went off; @now_ns of the guest's clock. Arms the next one. Early is
 * harmless.
 */
void vlapic_timer_expired(struct vlapic *l, uint64_t now_ns);

#endif /* PLATFORM_VLAPIC_H */

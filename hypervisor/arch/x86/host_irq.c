/*
 * host_irq.c - interrupts of ring 0 by vector. They come only where core opens interrupts, and do
 * no more than set a flag or call a device's handler.
 */
#include "hypervisor/arch/x86/host_internal.h"

#define DEVICE_VECTORS (HOST_VECTOR_DEVICE_LAST - HOST_VECTOR_DEVICE_FIRST + 1)

#define PIC1_COMMAND 0x20u
#define PIC1_DATA 0x21u
#define PIC2_COMMAND 0xa0u
#define PIC2_DATA 0xa1u
#define PIC_VECTOR_FIRST 0x20u

struct device_irq {
	void (*handler)(void *context);
	void *context;
};

static struct device_irq devices[DEVICE_VECTORS];
static unsigned int devices_count;

int host_irq_alloc(void (*handler)(void *context), void *context)
{
	if (devices_count == DEVICE_VECTORS) {
		return -1;
	}
	devices[devices_count].context = context;
	__atomic_store_n(&devices[devices_count].handler, handler, __ATOMIC_RELEASE);
	devices_count++;
	return (int)(HOST_VECTOR_DEVICE_FIRST + devices_count - 1);
}

bool host_msi_compose(unsigned int vector, unsigned int cpu, uint64_t *address, uint32_t *data)
{
	uint32_t apic_id = cpu_apic_id(cpu);

	if (apic_id > 0xff) {
		return false;
	}
	*address = UINT64_C(0xfee00000) | (uint64_t)apic_id << 12;
	*data = vector; /* edge, fixed */
	return true;
}

static void device_dispatch(unsigned int vector)
{
	const struct device_irq *device = &devices[vector - HOST_VECTOR_DEVICE_FIRST];
	void (*handler)(void *) = __atomic_load_n(&device->handler, __ATOMIC_ACQUIRE);

	if (handler != NULL) {
		handler(device->context);
	}
	apic_eoi();
}

void irq_dispatch(unsigned int vector)
{
	struct host_cpu *cpu = cpu_this();

	cpu->interrupt_count++;
	if (vector == HOST_VECTOR_TIMER) {
		__atomic_store_n(&cpu->timer_fired, 1, __ATOMIC_RELAXED);
		apic_eoi();
	} else if (vector == HOST_VECTOR_KICK) {
		__atomic_store_n(&cpu->kick_taken, 1, __ATOMIC_RELAXED);
		apic_eoi();
	} else if (vector >= HOST_VECTOR_DEVICE_FIRST && vector <= HOST_VECTOR_DEVICE_LAST) {
		device_dispatch(vector);
	} else if (apic_in_service(vector)) {
		/*
		 * Nobody's, but the APIC waits for its end. A spurious one or the PIC's has
		 * none.
		 */
		apic_eoi();
	}
}

void host_interrupt_taken(uint8_t vector)
{
	irq_dispatch(vector);
}

/*
 * ICW1 to ICW4 of the 8259A, then everything masked: spurious ones arrive at 0x27 and 0x2f. Comes
 * before the local APIC's LINT0 is masked: a tick that waits there in between stays pending in
 * QEMU for ever, and arrives as an interrupt without a vector.
 */
void irq_pic_disable(void)
{
	port_write8(PIC1_COMMAND, 0x11);
	port_write8(PIC2_COMMAND, 0x11);
	port_write8(PIC1_DATA, PIC_VECTOR_FIRST);
	port_write8(PIC2_DATA, PIC_VECTOR_FIRST + 8);
	port_write8(PIC1_DATA, 4);
	port_write8(PIC2_DATA, 2);
	port_write8(PIC1_DATA, 1);
	port_write8(PIC2_DATA, 1);
	port_write8(PIC1_DATA, 0xff);
	port_write8(PIC2_DATA, 0xff);
}

/*
 * vmbus.asl - the VMBus root device, for guests with the Hyper-V face.
 *
 * A module device owns the MMIO windows (hypervisor/platform/acpi.h, ACPI_WINDOW_*), as on Hyper-V's own
 * second generation: Linux takes them from the nearest ancestor of the VMBus device that has some, and
 * Windows wants the parent to own what its children get. Linux binds to the compatible id.
 */
DefinitionBlock ("vmbus.aml", "SSDT", 2, "JANUS ", "VMBUS   ", 1)
{
	Scope (\_SB)
	{
		Device (VMOD)
		{
			Name (_HID, "ACPI0004")
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
					0x00000000, 0xF8000000, 0xFBFFFFFF, 0x00000000, 0x04000000)
				QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
					0x0000000000000000, 0x0000000FE0000000, 0x0000000FFFFFFFFF,
					0x0000000000000000, 0x0000000020000000)
			})

			Device (VMBS)
			{
				/* 0xF: present, enabled, shown, working; _DIS takes "enabled" away. */
				Name (STA, 0x0F)
				Name (_HID, "MSFT1000")
				Name (_CID, "VMBus")
				Name (_UID, 0)
				Name (_DDN, "VMBUS")
				Method (_DIS, 0, NotSerialized) { STA &= 0x0D }
				Method (_PS0, 0, NotSerialized) { STA |= 0x0F }
				Method (_PS3, 0, NotSerialized) { }
				Method (_STA, 0, NotSerialized) { Return (STA) }
				/* Never raised; Windows' root driver expects one, Linux skips this form. */
				Name (_CRS, ResourceTemplate ()
				{
					IRQ (Edge, ActiveHigh, Exclusive) { 5 }
				})
			}
		}
	}
}

/*
 * dsdt.asl - what every guest's ACPI namespace has: how to power off, and the serial port.
 *
 * The numbers repeat hypervisor/platform/pm.h (PM_S5_TYPE) and uart.h (port 3F8, GSI 4).
 */
DefinitionBlock ("dsdt.aml", "DSDT", 2, "JANUS ", "BOARD   ", 1)
{
	/* SLP_TYP for PM1a and PM1b control. S5 is the only sleep state. */
	Name (\_S5, Package (4) { 5, 5, 0, 0 })

	Scope (\_SB)
	{
		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 1)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x03F8, 0x03F8, 1, 8)
				IRQNoFlags () { 4 }
			})
		}
	}
}

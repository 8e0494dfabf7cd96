/*
 * rtc.asl - the CMOS clock, for guests whose FADT does not say that there is none. No IRQ: it has no alarm.
 */
DefinitionBlock ("rtc.aml", "SSDT", 2, "JANUS ", "RTC     ", 1)
{
	Scope (\_SB)
	{
		Device (RTC0)
		{
			Name (_HID, EisaId ("PNP0B00"))
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x0070, 0x0070, 1, 2)
			})
		}
	}
}

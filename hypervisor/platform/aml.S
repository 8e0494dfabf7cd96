/*
 * aml.S - the compiled ACPI byte code as data. The assembler finds the .aml files by its include
 * path.
 */
	.section .rodata, "a", @progbits

	.macro blob name, file
	.global \name, \name\()_bytes
	.balign 8
\name\()_bytes:
	.quad 2f - 1f
\name:
1:	.incbin "\file"
2:
	.type \name, @object
	.size \name, 2b - 1b
	.type \name\()_bytes, @object
	.size \name\()_bytes, 8
	.endm

	blob aml_dsdt, "dsdt.aml"
	blob aml_rtc, "rtc.aml"
	blob aml_vmbus, "vmbus.aml"

	.section .note.GNU-stack, "", @progbits

/*
 * kinds_multiboot.S - the flags of kinds.c in its Multiboot header: without flag 16, so that loaders go by the
 * ELF file. The header's address fields are filled all the same, and a test sets the flag.
 */
	.globl multiboot1_flags_wanted
	.set multiboot1_flags_wanted, 3 /* modules on pages, memory information */

	.section .note.GNU-stack, "", @progbits

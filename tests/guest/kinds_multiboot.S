/*
 * kinds_multiboot.S - the Multiboot header of kinds.c. Flag 16 is not set, but its address fields
 * are filled, so that a test can set it.
 */
#define MAGIC 0x1BADB002
#define FLAGS 3 /* modules on pages, memory information */

	.section .multiboot, "a"
	.balign 4
header:
	.long MAGIC
	.long FLAGS
	.long -(MAGIC + FLAGS)
	.long header
	.long image_start
	.long data_end
	.long image_end
	.long start32

	.section .note.GNU-stack, "", @progbits

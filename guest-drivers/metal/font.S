/*
 * font.S - the glyphs for screen.c, which font.py has made of GRUB's font: 8 by 16 pixels each, from
 * blank to tilde. The assembler is told by -I where font.bin is.
 */
	.section .rodata
	.globl metal_font
	.type metal_font, @object
metal_font:
	.incbin "font.bin"
	.size metal_font, . - metal_font
	.if . - metal_font != 95 * 16
	.error "font.bin is not 95 glyphs of 16 bytes"
	.endif

	.section .note.GNU-stack, "", @progbits

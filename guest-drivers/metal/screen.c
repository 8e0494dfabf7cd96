/*
 * screen.c - see screen.h. Cells are kept in RAM and only those that change are drawn: video memory is
 * slow, and in a virtual machine each access to a VGA may be an exit. For the same reason the screen
 * scrolls by half its height at a time. VGA: IBM's PS/2 Hardware Interface reference, CRT controller.
 */
#include "guest-drivers/metal/screen.h"

#include "guest-drivers/metal/cpu.h"

#define VGA_TEXT 0xb8000u
#define VGA_COLUMNS 80u
#define VGA_ROWS 25u
#define VGA_ATTRIBUTE 0x0700u
#define PORT_CRTC 0x3d4u
#define CRTC_CURSOR_HIGH 0x0eu
#define CRTC_CURSOR_LOW 0x0fu

#define COLUMNS_MAX 160u
#define ROWS_MAX 100u
#define GLYPH_WIDTH 8u
#define GLYPH_HEIGHT 16u
#define FIRST_GLYPH 0x20u
#define LAST_GLYPH 0x7eu
#define TAB_COLUMNS 8u
#define INK 0x00c0c0c0u
#define PAPER 0u

/* font.S; a program without it has no text on framebuffers. */
extern const uint8_t metal_font[LAST_GLYPH - FIRST_GLYPH + 1][GLYPH_HEIGHT] __attribute__((weak));

static struct boot_framebuffer screen;
static uint32_t columns, rows;
static uint32_t column, row;
static char cells[ROWS_MAX][COLUMNS_MAX];
static char shown[ROWS_MAX][COLUMNS_MAX];

/* ---------------------------------------------------------------- drawing */

static void draw_glyph(uint32_t y, uint32_t x, char c)
{
	const uint8_t *glyph = metal_font[(uint8_t)c - FIRST_GLYPH];
	uintptr_t at = (uintptr_t)screen.address + (uintptr_t)y * GLYPH_HEIGHT * screen.pitch +
	               (uintptr_t)x * GLYPH_WIDTH * sizeof(uint32_t);

	for (uint32_t line = 0; line < GLYPH_HEIGHT; line++) {
		volatile uint32_t *pixels = (volatile uint32_t *)(at + (uintptr_t)line * screen.pitch);

		for (uint32_t i = 0; i < GLYPH_WIDTH; i++) {
			pixels[i] = (glyph[line] & 0x80u >> i) != 0 ? INK : PAPER;
		}
	}
}

static void draw_cell(uint32_t y, uint32_t x, char c)
{
	volatile uint16_t *at;

	if (screen.kind == BOOT_SCREEN_PIXELS) {
		draw_glyph(y, x, c);
		return;
	}
	at = (volatile uint16_t *)(uintptr_t)(screen.address + (uint64_t)y * screen.pitch);
	at[x] = (uint16_t)(VGA_ATTRIBUTE | (uint8_t)c);
}

static void put_cell(uint32_t y, uint32_t x, char c)
{
	cells[y][x] = c;
	if (shown[y][x] != c) {
		shown[y][x] = c;
		draw_cell(y, x, c);
	}
}

static void scroll(void)
{
	uint32_t by = rows / 2;

	for (uint32_t y = 0; y < rows; y++) {
		for (uint32_t x = 0; x < columns; x++) {
			put_cell(y, x, y + by < rows ? cells[y + by][x] : ' ');
		}
	}
	row -= by;
}

static void next_line(void)
{
	column = 0;
	row++;
	if (row == rows) {
		scroll();
	}
}

/* ---------------------------------------------------------------- finding */

static uint8_t crtc_read(uint8_t index)
{
	port_write8(PORT_CRTC, index);
	return port_read8(PORT_CRTC + 1);
}

static void crtc_write(uint8_t index, uint8_t value)
{
	port_write8(PORT_CRTC, index);
	port_write8(PORT_CRTC + 1, value);
}

/* A VGA keeps the cursor's place, and its memory keeps what is written. */
static bool vga_answers(void)
{
	volatile uint16_t *last = (volatile uint16_t *)(uintptr_t)VGA_TEXT + VGA_ROWS * VGA_COLUMNS - 1;
	uint8_t before = crtc_read(CRTC_CURSOR_LOW);
	bool answers;

	crtc_write(CRTC_CURSOR_LOW, (uint8_t)(before ^ 0x55));
	answers = crtc_read(CRTC_CURSOR_LOW) == (uint8_t)(before ^ 0x55);
	crtc_write(CRTC_CURSOR_LOW, before);
	if (!answers || crtc_read(CRTC_CURSOR_LOW) != before) {
		return false;
	}
	*last = VGA_ATTRIBUTE | ' ';
	answers = *last == (VGA_ATTRIBUTE | ' ');
	*last = VGA_ATTRIBUTE | 'J';
	return answers && *last == (VGA_ATTRIBUTE | 'J');
}

static bool choose(const struct boot_info *info)
{
	screen = info->framebuffer;
	if (screen.kind == BOOT_SCREEN_UNKNOWN && vga_answers()) {
		screen = (struct boot_framebuffer){BOOT_SCREEN_TEXT, VGA_TEXT, VGA_COLUMNS * 2, VGA_COLUMNS,
		                                   VGA_ROWS};
	}
	columns = screen.width;
	rows = screen.height;
	if (screen.kind == BOOT_SCREEN_PIXELS) {
		columns /= GLYPH_WIDTH;
		rows /= GLYPH_HEIGHT;
		return metal_font != NULL;
	}
	return screen.kind == BOOT_SCREEN_TEXT;
}

bool screen_open(const struct boot_info *info)
{
	if (!choose(info) || columns < 2 || rows < 2) {
		return false;
	}
	columns = columns < COLUMNS_MAX ? columns : COLUMNS_MAX;
	rows = rows < ROWS_MAX ? rows : ROWS_MAX;
	memset(shown, 0, sizeof(shown));
	for (uint32_t y = 0; y < rows; y++) {
		for (uint32_t x = 0; x < columns; x++) {
			put_cell(y, x, ' ');
		}
	}
	column = 0;
	row = 0;
	return true;
}

/* ---------------------------------------------------------------- writing */

static void put_char(char c)
{
	if (c == '\n') {
		next_line();
		return;
	}
	if (c == '\t') {
		column = (column / TAB_COLUMNS + 1) * TAB_COLUMNS;
	} else {
		if (column >= columns) {
			next_line();
		}
		put_cell(row, column, c >= (char)FIRST_GLYPH && c <= (char)LAST_GLYPH ? c : '?');
		column++;
	}
}

void screen_write(const char *text, size_t count)
{
	uint32_t cursor;

	for (size_t i = 0; i < count; i++) {
		put_char(text[i]);
	}
	if (screen.kind == BOOT_SCREEN_TEXT) {
		cursor = row * columns + (column < columns ? column : columns - 1);
		crtc_write(CRTC_CURSOR_HIGH, (uint8_t)(cursor >> 8));
		crtc_write(CRTC_CURSOR_LOW, (uint8_t)cursor);
	}
}

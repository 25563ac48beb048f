/* The VGA text screen at B8000h, 80 x 25. */
#include "guest.h"

enum { Columns = 80, Rows = 25 };
static volatile u16 *const cells = (u16 *)0xB8000;

void screenStart(void)
{
    for (u32 i = 0; i < Columns * Rows; i++) cells[i] = 0x0720;
    outb(0x3D4, 0x0A); outb(0x3D5, 0x20);               /* no cursor */
}

void screenLine(u32 row, u8 colour, const char *form, ...)
{
    char text[Columns + 1];
    va_list arguments;
    va_start(arguments, form);
    u32 n = formatList(text, sizeof text, form, arguments);
    va_end(arguments);
    for (u32 i = 0; i < Columns; i++) {
        u16 cell = (u16)(colour << 8 | (u8)(i < n ? text[i] : ' '));
        if (cells[row * Columns + i] != cell) cells[row * Columns + i] = cell;
    }
}

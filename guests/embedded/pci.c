/* PCI configuration mechanism 1 (PCI 2.1, 3.7.4.1), interrupt routing of the PIIX3, power-off of the PIIX4. */
#include "guest.h"

enum { PiixBridge = 0x70008086, Piix4Bridge = 0x71108086, Piix4Power = 0x71138086 };

static void select(u32 where, u32 reg) { outl(0xCF8, 0x80000000 | where << 8 | (reg & 0xFC)); }
u32 pciRead(u32 where, u32 reg) { select(where, reg); return inl(0xCFC); }
void pciWrite(u32 where, u32 reg, u32 value) { select(where, reg); outl(0xCFC, value); }

bool pciFind(u32 vendorDevice, u32 *where)
{
    for (u32 w = 0; w < 256; w++) {
        if ((w & 7) && !(pciRead(w & ~7u, 0x0C) & 0x00800000)) continue;    /* not a device of several functions */
        if (pciRead(w, 0) == vendorDevice) { *where = w; return true; }
    }
    return false;
}

u32 pciIrq(u32 where)
{
    u32 line = pciRead(where, 0x3C) & 0xFF, bridge;
    if (line > 2 && line < 16) return line;
    if (!pciFind(PiixBridge, &bridge) && !pciFind(Piix4Bridge, &bridge)) return 0;
    line = 11;
    pciWrite(bridge, 0x60, 0x01010101 * line);          /* PIRQRC[A:D] */
    outb(0x4D1, inb(0x4D1) | 1u << (line - 8));         /* ELCR: level */
    pciWrite(where, 0x3C, (pciRead(where, 0x3C) & ~0xFFu) | line);
    return line;
}

void powerOff(void)
{
    u32 where;
    if (!pciFind(Piix4Power, &where)) return;
    if (!(pciRead(where, 0x40) & 0xFFC0)) pciWrite(where, 0x40, 0x601);
    pciWrite(where, 0x80, pciRead(where, 0x80) | 1);    /* PMREGMISC: decode the I/O space */
    outw((u16)((pciRead(where, 0x40) & 0xFFC0) + 4), 1u << 13);     /* PMCNTRL: SUS_EN, SUS_TYP 0 = soft off */
    for (u32 i = 0; i < 1000000; i++) (void)inb(0x80);  /* about a second on an ISA bus: the power needs a moment to go */
}

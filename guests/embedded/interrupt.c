/* Interrupt descriptor table, two 8259A, the 8254 as clock. */
#include "guest.h"

enum { Master = 0x20, Slave = 0xA0, EndOfInterrupt = 0x20, FirstVector = 0x20, PitHz = 1193182 };

extern const u32 stubs[48];
static struct { u16 low, selector; u8 zero, type; u16 high; } __attribute__((packed)) table[48];
static u16 mask = 0xFFFF;
volatile u32 ticks;
u32 nicIrq;

static void setMask(u16 value) { mask = value; outb(Master + 1, mask); outb(Slave + 1, mask >> 8); }

void interruptStart(void)
{
    for (u32 i = 0; i < 48; i++) {
        table[i].low = (u16)stubs[i]; table[i].high = (u16)(stubs[i] >> 16);
        table[i].selector = 8; table[i].type = 0x8E;
    }
    struct { u16 limit; u32 base; } __attribute__((packed)) pointer = { sizeof table - 1, (u32)table };
    __asm__ volatile("lidt %0" :: "m"(pointer));

    outb(Master, 0x11); outb(Slave, 0x11);
    outb(Master + 1, FirstVector); outb(Slave + 1, FirstVector + 8);
    outb(Master + 1, 4); outb(Slave + 1, 2);
    outb(Master + 1, 1); outb(Slave + 1, 1);
    setMask(0xFFFF);

    u32 divisor = PitHz / TicksPerSecond;
    outb(0x43, 0x34);                                   /* counter 0, low and high byte, mode 2 */
    outb(0x40, divisor); outb(0x40, divisor >> 8);
    irqEnable(0);
}

void irqEnable(u32 irq) { setMask((u16)(mask & ~(1u << irq | 1u << 2))); }

static u32 readBoth(u8 which) { outb(Master, which); outb(Slave, which); return inb(Master) | (u32)inb(Slave) << 8; }
u32 irqRequested(void) { return readBoth(0x0A); }

void interrupt(struct frame *f)
{
    if (f->vector < FirstVector) {
        say("exception %u, error %x, at %x", f->vector, f->error, f->eip);
        screenLine(24, 0x4F, " exception %u, error %x, at %x", f->vector, f->error, f->eip);
        serialDrain();
        for (;;) __asm__ volatile("cli; hlt");
    }
    u32 irq = f->vector - FirstVector;
    if ((irq == 7 || irq == 15) && !(readBoth(0x0B) & 1u << irq)) {      /* spurious: 8259A, "default IR7" */
        if (irq == 15) outb(Master, EndOfInterrupt);
        return;
    }
    if (irq == 0) ticks++;
    else if (irq == 4) serialInterrupt();
    else if (irq == 14) diskInterrupt();
    else if (irq == nicIrq) nicInterrupt();
    if (irq >= 8) outb(Slave, EndOfInterrupt);
    outb(Master, EndOfInterrupt);
}

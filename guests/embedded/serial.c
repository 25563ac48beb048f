/* COM1: a 16550A at 3F8h, 115200 bit/s, sending and receiving by interrupt (PC16550D datasheet, 8.0). */
#include "guest.h"

enum {
    Base = 0x3F8, Data = Base, InterruptEnable = Base + 1, FifoControl = Base + 2, LineControl = Base + 3,
    ModemControl = Base + 4, LineStatus = Base + 5, Irq = 4,
    DataReady = 1, HolderEmpty = 0x20, AllSent = 0x40, FifoBytes = 16,
};

static char out[8192], in[256];
static u32 outHead, outTail, inHead, inTail;
static bool present;

void serialStart(void)
{
    outb(Base + 7, 0x5A);                               /* the scratch register tells whether anything is there */
    present = inb(Base + 7) == 0x5A;
    if (!present) return;
    outb(LineControl, 0x80);
    outb(Data, 1); outb(InterruptEnable, 0);            /* divisor 1 */
    outb(LineControl, 3);                               /* 8 bits, no parity, 1 stop bit */
    outb(FifoControl, 0x07);
    outb(ModemControl, 0x0B);                           /* OUT2 lets the interrupt through */
    outb(InterruptEnable, 1);
    irqEnable(Irq);
}

/* The transmitter interrupt is on only while there is something to send. */
static void pump(void)
{
    if (outHead != outTail && inb(LineStatus) & HolderEmpty)
        for (u32 n = 0; n < FifoBytes && outHead != outTail; n++) outb(Data, out[outTail++ % sizeof out]);
    outb(InterruptEnable, outHead != outTail ? 3 : 1);
}

void serialInterrupt(void)
{
    while (!(inb(FifoControl) & 1)) {                   /* reading: identification, bit 0 clear while one is pending */
        while (inb(LineStatus) & DataReady) {
            char c = (char)inb(Data);
            if (inHead - inTail < sizeof in) in[inHead++ % sizeof in] = c;
        }
        pump();
    }
}

void serialPut(char c)
{
    if (!present) return;
    if (c == '\n') serialPut('\r');
    while (outHead - outTail == sizeof out) pump();
    out[outHead++ % sizeof out] = c;
}

void serialWrite(const char *s) { while (*s) serialPut(*s++); if (present) pump(); }
int serialGet(void) { return inHead == inTail ? -1 : (u8)in[inTail++ % sizeof in]; }

void serialDrain(void)
{
    if (!present) return;
    while (outHead != outTail) pump();
    while (!(inb(LineStatus) & AllSent)) { }
}

void say(const char *form, ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, form);
    formatList(text, sizeof text, form, arguments);
    va_end(arguments);
    serialWrite("emu86-guest: ");
    serialWrite(text);
    serialWrite("\n");
}

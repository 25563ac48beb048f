/* The DP8390 network controller behind an RTL8029 (PCI) or an NE2000 (ISA, 300h): DP8390D datasheet, section 10,
   and the NE2000's data port at +10h, reset port at +1Fh. Card memory is 4000h-7FFFh. */
#include "guest.h"

enum {
    Rtl8029 = 0x802910EC, IsaBase = 0x300,
    /* registers, page 0 unless said */
    Cr = 0, Pstart = 1, Pstop = 2, Bnry = 3, Tpsr = 4, Tbcr0 = 5, Tbcr1 = 6, Isr = 7, Rsar0 = 8, Rsar1 = 9,
    Rbcr0 = 10, Rbcr1 = 11, Rcr = 12, Tcr = 13, Dcr = 14, Imr = 15, Par0OnPage1 = 1, CurrOnPage1 = 7, Mar0OnPage1 = 8,
    DataPort = 0x10, ResetPort = 0x1F,
    /* command register */
    Stop = 0x21, Start = 0x22, ReadStart = 0x0A, WriteStart = 0x12, TransmitStart = 0x26, Page1 = 0x40,
    /* interrupt status */
    Received = 1, Sent = 2, SendError = 8, Overwritten = 0x10, DmaDone = 0x40, ResetState = 0x80,
    InterruptsWanted = Received | Sent | SendError | Overwritten,
    SendPage = 0x40, RingFirst = 0x46, RingEnd = 0x80, FrameMin = 60, QueueMax = 64,
};

u8 mac[6];
u32 framesIn, framesOut, framesLost;
static u16 base;
static u8 nextPage;
static u8 events;                       /* interrupt status bits seen by the handler and not yet worked on */
static bool sending;
static u32 sendingSince;
static struct { u16 length; u8 bytes[FrameMax + 2]; } queue[QueueMax];
static u32 queueHead, queueTail;
static u8 received[2048];

static u8 reg(u32 r) { return inb((u16)(base + r)); }
static void setReg(u32 r, u32 v) { outb((u16)(base + r), v); }

static void waitDma(void)
{
    for (u32 i = 0; i < 100000 && !(reg(Isr) & DmaDone); i++) { }
    setReg(Isr, DmaDone);
}

static void beginDma(u32 address, u32 n, u32 command)
{
    setReg(Isr, DmaDone);
    setReg(Rbcr0, n); setReg(Rbcr1, n >> 8);
    setReg(Rsar0, address); setReg(Rsar1, address >> 8);
    setReg(Cr, command);
}

static void readCard(u32 address, void *to, u32 n)
{
    n = (n + 1) & ~1u;
    beginDma(address, n, ReadStart);
    inWords((u16)(base + DataPort), to, n / 2);
    waitDma();
}

static void configure(void)
{
    setReg(Cr, Stop);
    setReg(Dcr, 0x49);                                  /* word transfers, FIFO threshold 8 bytes, no loopback */
    setReg(Rbcr0, 0); setReg(Rbcr1, 0);
    setReg(Rcr, 0x20); setReg(Tcr, 2);                  /* monitor and loopback until all is set */
    setReg(Pstart, RingFirst); setReg(Pstop, RingEnd); setReg(Bnry, RingFirst);
    setReg(Tpsr, SendPage);
    setReg(Isr, 0xFF); setReg(Imr, 0);
    setReg(Cr, Stop | Page1);
    for (u32 i = 0; i < 6; i++) setReg(Par0OnPage1 + i, mac[i]);
    for (u32 i = 0; i < 8; i++) setReg(Mar0OnPage1 + i, 0);
    nextPage = RingFirst + 1;
    setReg(CurrOnPage1, nextPage);
    setReg(Cr, Start);
    setReg(Tcr, 0); setReg(Rcr, 4);                     /* own address and broadcasts */
    sending = false;
}

static bool answers(void)
{
    if (reg(Cr) == 0xFF) return false;
    setReg(ResetPort, reg(ResetPort));
    for (u32 i = 0; i < 100000 && !(reg(Isr) & ResetState); i++) { }
    if (!(reg(Isr) & ResetState)) return false;
    setReg(Cr, Stop);
    return (reg(Cr) & 0x3F) == Stop;
}

/* Which interrupt line an ISA card pulls: make it interrupt and look at the request registers. */
static u32 findIsaIrq(void)
{
    setReg(Imr, 0);
    u32 before = irqRequested();
    setReg(Imr, DmaDone);
    setReg(Rbcr0, 0); setReg(Rbcr1, 0);
    setReg(Cr, ReadStart);                              /* a remote read of nothing is done at once */
    u32 raised = 0;
    for (u32 i = 0; i < 1000 && !raised; i++) raised = irqRequested() & ~before & ~1u;
    setReg(Imr, 0); setReg(Isr, 0xFF); setReg(Cr, Start);
    for (u32 irq = 3; irq < 16; irq++) if (raised & 1u << irq) return irq;
    return 0;
}

bool nicStart(void)
{
    u32 where;
    const char *kind = "ISA";
    base = IsaBase;
    if (pciFind(Rtl8029, &where)) {
        u32 bar = pciRead(where, 0x10);
        if (!(bar & 0xFFE0)) pciWrite(where, 0x10, bar = 0xC100);
        pciWrite(where, 4, (pciRead(where, 4) & 0xFFFF) | 1);       /* decode I/O */
        base = (u16)(bar & 0xFFE0);
        nicIrq = pciIrq(where);
        kind = "PCI";
    }
    if (!answers()) { base = 0; return false; }
    u8 prom[32];
    setReg(Dcr, 0x49); setReg(Rcr, 0x20); setReg(Tcr, 2);
    setReg(Cr, Start);
    readCard(0, prom, sizeof prom);                     /* in word mode every byte of the PROM appears twice */
    for (u32 i = 0; i < 6; i++) mac[i] = prom[i * 2];
    configure();
    if (!nicIrq) nicIrq = findIsaIrq();
    configure();
    setReg(Imr, InterruptsWanted);
    if (nicIrq) irqEnable(nicIrq);
    say("nic %s port %x irq %u address %m", kind, (u32)base, nicIrq, mac);
    return true;
}

void nicInterrupt(void)
{
    u8 status;
    while ((status = reg(Isr) & InterruptsWanted)) { setReg(Isr, status); events |= status; }
}

static void restart(void)
{
    bool again = sending;
    framesLost++;
    configure();
    setReg(Imr, InterruptsWanted);
    events = 0;
    if (again) queueTail--;                             /* the frame under way goes out again */
}

static void pump(void)
{
    if (sending || queueHead == queueTail) return;
    u32 slot = queueTail++ % QueueMax, n = queue[slot].length;
    beginDma(SendPage << 8, (n + 1) & ~1u, WriteStart);
    outWords((u16)(base + DataPort), queue[slot].bytes, (n + 1) / 2);
    waitDma();
    setReg(Tpsr, SendPage);
    setReg(Tbcr0, n); setReg(Tbcr1, n >> 8);
    setReg(Cr, TransmitStart);
    sending = true;
    sendingSince = ticks;
    framesOut++;
}

/* One slot stays unused: it holds the frame being sent until it is known to be out. */
u8 *nicFrame(void) { return base && queueHead - queueTail < QueueMax - 1 ? queue[queueHead % QueueMax].bytes : NULL; }

void nicSend(u32 n)
{
    u32 slot = queueHead % QueueMax;
    if (n < FrameMin) { memset(queue[slot].bytes + n, 0, FrameMin - n); n = FrameMin; }
    queue[slot].length = (u16)n;
    queueHead++;
    pump();
}

void nicPoll(void)
{
    if (!nicIrq) nicInterrupt();
    if (events & Overwritten) restart();
    if (sending && (events & (Sent | SendError))) { events &= (u8)~(Sent | SendError); sending = false; }
    if (sending && ticks - sendingSince > TicksPerSecond) restart();
    pump();
}

bool nicReceive(void)
{
    if (!base) return false;
    nicPoll();
    setReg(Cr, Start | Page1);
    u8 current = reg(CurrOnPage1);
    setReg(Cr, Start);
    events &= (u8)~Received;
    if (current == nextPage) return false;

    u8 header[4];
    readCard((u32)nextPage << 8, header, 4);
    u32 n = header[2] | (u32)header[3] << 8;
    if (header[1] < RingFirst || header[1] >= RingEnd || n < 4 + FrameMin || n > 4 + FrameMax + 4) { restart(); return false; }
    n -= 4;
    readCard(((u32)nextPage << 8) + 4, received, n);    /* the card wraps at the ring's end by itself */
    nextPage = header[1];
    setReg(Bnry, nextPage == RingFirst ? RingEnd - 1 : nextPage - 1u);
    if (header[0] & 1) { framesIn++; ethernetInput(received, n); }
    return true;
}

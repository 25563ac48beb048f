/* The counter on disk: one sector of the first IDE disk (ATA-3: IDENTIFY DEVICE, READ SECTOR, WRITE SECTOR, FLUSH CACHE).
   Only a disk that is ours is written: sector 1 carries our mark, or sectors 0 and 1 are blank. A write takes place
   at most ten times a second and proceeds by interrupt, so that its cost does not depend on how fast the counter grows. */
#include "guest.h"

enum {
    Base = 0x1F0, Data = Base, SectorCount = Base + 2, LbaLow = Base + 3, LbaMid = Base + 4, LbaHigh = Base + 5,
    Drive = Base + 6, Status = Base + 7, Command = Base + 7, Control = 0x3F6, Irq = 14,
    Busy = 0x80, Ready = 0x40, Request = 8, Error = 1,
    ReadSector = 0x20, WriteSector = 0x30, FlushCache = 0xE7, Identify = 0xEC,
    OurSector = 1, SectorBytes = 512, WriteEvery = TicksPerSecond / 10, WriteWait = 10 * TicksPerSecond, Polls = 4000000,
};
static const char mark[16] = "Emu86 counter 1";

u32 counter;
const char *diskState = "none";
static bool ours, writing;
static u32 written, inFlight, lastWrite;
static u8 sector[SectorBytes];

static bool wait(u8 mask, u8 value)
{
    for (u32 i = 0; i < Polls; i++) {
        u8 s = inb(Status);
        if (s == 0xFF || (!(s & Busy) && s & Error)) return false;
        if ((s & mask) == value) return true;
    }
    return false;
}

static bool command(u8 code, u32 lba)
{
    if (!wait(Busy, 0)) return false;
    outb(Drive, 0xE0 | (lba >> 24 & 15));
    if (!wait(Busy | Ready, Ready)) return false;
    outb(SectorCount, 1); outb(LbaLow, lba); outb(LbaMid, lba >> 8); outb(LbaHigh, lba >> 16);
    outb(Command, code);
    return true;
}

static bool readBlock(u8 code, u32 lba)
{
    if (!command(code, lba) || !wait(Busy | Request, Request)) return false;
    inWords(Data, sector, SectorBytes / 2);
    return true;
}

static bool blank(void) { for (u32 i = 0; i < SectorBytes; i++) if (sector[i]) return false; return true; }
static u32 sectorSum(void) { u32 sum = 0x656D7538; for (u32 i = 0; i < 24; i++) sum = sum * 31 + sector[i]; return sum; }

void diskStart(void)
{
    outb(Control, 2);                                   /* no interrupts while looking */
    outb(Drive, 0xE0);
    outb(LbaLow, 0x55); outb(LbaMid, 0xAA);
    if (inb(Status) == 0xFF || inb(LbaLow) != 0x55 || inb(LbaMid) != 0xAA) return;
    if (!readBlock(Identify, 0) || (sector[1] & 0x80)) return;
    diskState = "foreign, not written";
    if (!readBlock(ReadSector, 0)) { diskState = "unreadable"; return; }
    bool firstBlank = blank();
    if (!readBlock(ReadSector, OurSector)) { diskState = "unreadable"; return; }
    if (!memcmp(sector, mark, sizeof mark)) {           /* a sum that does not match is what build.sh leaves: zero */
        ours = true;
        if (get32(sector + 24) == sectorSum()) counter = written = get32(sector + 16);
    }
    else if (blank() && firstBlank) ours = true;
    if (ours) diskState = "holds the counter";
    outb(Control, 0);
    (void)inb(Status);
    irqEnable(Irq);
    say("disk %s, counter %u", diskState, counter);
}

static void begin(void)
{
    memset(sector, 0, sizeof sector);
    memcpy(sector, mark, sizeof mark);
    put32(sector + 16, counter); put32(sector + 20, ticks);
    put32(sector + 24, sectorSum());
    if (!command(WriteSector, OurSector) || !wait(Busy | Request, Request)) { ours = false; diskState = "failed"; say("disk does not take a write"); return; }
    outWords(Data, sector, SectorBytes / 2);
    writing = true; inFlight = counter; lastWrite = ticks;
}

void diskInterrupt(void)
{
    u8 s = inb(Status);
    if (!writing || s & Busy) return;
    writing = false;
    if (s & Error) { ours = false; diskState = "failed"; return; }
    written = inFlight;
}

void diskTick(void)
{
    if (!ours) return;
    if (writing) {
        if (ticks - lastWrite > WriteWait) { writing = ours = false; diskState = "failed"; say("disk does not finish a write"); }
        return;
    }
    if (written != counter && ticks - lastWrite >= WriteEvery) begin();
}

void diskFlush(void)
{
    if (!ours) return;
    if (writing && wait(Busy, 0)) { (void)inb(Status); writing = false; written = inFlight; }
    if (written != counter) { begin(); if (ours && wait(Busy, 0)) { writing = false; written = inFlight; } }
    if (ours && command(FlushCache, 0)) (void)wait(Busy, 0);
}

/* Start, the loop that everything runs in, the shell on COM1, the screen. */
#include "guest.h"

enum { LoaderMagic = 0x2BADB002, InfoHasCommandLine = 4, FallbackAddress = 0x0A00020F };

static bool offWanted;
static char input[40];
static u32 inputUsed;

/* Finds WORD in the loader's text; words are set off by spaces. */
static const char *option(const char *text, const char *word)
{
    for (bool start = true; *text; text++) {
        if (start && startsWith(text, word)) return text + length(word);
        start = *text == ' ';
    }
    return NULL;
}

static void obey(const char *line)
{
    if (same(line, "help")) serialWrite("help, count, state, off (or q): that is all there is\n");
    else if (same(line, "count")) { char t[24]; format(t, sizeof t, "%u\n", counter); serialWrite(t); }
    else if (same(line, "state")) {
        char t[200];
        format(t, sizeof t, "%i, counter %u, up %u s, %u connections of %u, frames %u in %u out %u lost, disk %s\n", ownAddress, counter,
            ticks / TicksPerSecond, connectionsOpen, connectionsTotal, framesIn, framesOut, framesLost, diskState);
        serialWrite(t);
    }
    else if (same(line, "off")) offWanted = true;
    else if (*line) serialWrite("unknown; try help\n");
}

static void shell(void)
{
    for (int c; (c = serialGet()) >= 0; ) {
        if (c == 'q' && !inputUsed) { serialWrite("q\n"); offWanted = true; return; }
        if (c == '\r' || c == '\n') {
            serialWrite("\n");
            input[inputUsed] = 0; inputUsed = 0;
            obey(input);
        } else if ((c == 8 || c == 127) && inputUsed) { inputUsed--; serialWrite("\b \b"); }
        else if (c >= ' ' && c < 127 && inputUsed < sizeof input - 1) { char echo[2] = { (char)c, 0 }; input[inputUsed++] = (char)c; serialWrite(echo); }
    }
}

static void show(void)
{
    screenLine(2, 0x07, "  address      %i   %m", ownAddress, mac);
    screenLine(4, 0x0F, "  counter      %u", counter);
    screenLine(5, 0x07, "  disk         %s", diskState);
    screenLine(7, 0x07, "  connections  %u now, %u in all, %u segments sent again", connectionsOpen, connectionsTotal, segmentsRepeated);
    screenLine(8, 0x07, "  frames       %u in, %u out, %u lost", framesIn, framesOut, framesLost);
    screenLine(10, 0x07, "  uptime       %u s", ticks / TicksPerSecond);
}

/* The only place where interrupts are enabled. HLT directly after STI: an interrupt cannot slip in between. */
static void idle(void) { __asm__ volatile("sti; hlt; cli" ::: "memory"); }
static void letInterruptsIn(void) { __asm__ volatile("sti; nop; cli" ::: "memory"); }

static void turnOff(void)
{
    offWanted = false;
    diskFlush();
    say("off");
    serialDrain();
    powerOff();
    say("this machine has no power management, going on");
}

void guest(u32 magic, const u32 *info)
{
    interruptStart();
    serialStart();
    screenStart();
    screenLine(0, 0x1F, "  Emu86: the embedded guest");
    screenLine(24, 0x08, "  TCP echo on port 7, HTTP on port 80. On COM1: help");
    say("start");
    const char *text = magic == LoaderMagic && info[0] & InfoHasCommandLine ? (const char *)info[4] : "";
    u32 fallback = FallbackAddress;
    const char *fixed = option(text, "ip="), *asking = option(text, "dhcp=");
    if (fixed && !readAddress(&fixed, &fallback)) say("ip= is no address, using %i", fallback);
    diskStart();
    if (nicStart()) networkStart(fallback, !(asking && startsWith(asking, "off")));
    else say("ready none");

    for (u32 lastTick = ticks, shownAt = 0; ; ) {
        while (nicReceive()) letInterruptsIn();
        shell();
        if (lastTick != ticks) {
            lastTick = ticks;
            networkTick();
            tcpTick();
            diskTick();
        }
        if (ticks - shownAt >= TicksPerSecond / 4) { shownAt = ticks; show(); }
        if (offWanted) turnOff();
        idle();
    }
}

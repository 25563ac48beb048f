/* Sets the system clock from the RTC at the moment at which the RTC counts a second: its registers have whole seconds only,
   and the kernel, which reads them once at boot, is up to a second behind. Ends with status 1 when there is no RTC. */
#include "../../bench/tiny.h"

enum { SysIoctl = 54, SysPoll = 168, SysClockSettime64 = 404 };
/* linux/rtc.h */
enum { RtcUpdateOn = 0x7003, RtcUpdateOff = 0x7004, RtcReadTime = (int)0x80247009 };
enum { PollIn = 1, UpdateMs = 2500 };

struct rtcTime { int second, minute, hour, day, month, year, weekday, yearday, daylight; };

/* Days from 1970-01-01 in the Gregorian calendar; years begin in March, so that the leap day is the last. */
static unsigned days(unsigned year, unsigned month, unsigned day)
{
    if (month < 3) { year--; month += 12; }
    return 365 * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + day - 1 - 719468;
}

static int readTime(int rtc, struct rtcTime *t) { return sys3(SysIoctl, rtc, RtcReadTime, (int)t); }

int run(int argc, char **argv, char **environment)
{
    (void)argc; (void)argv; (void)environment;
    struct rtcTime t, before;
    int rtc = sys3(SysOpen, (int)"/dev/rtc0", OpenReadOnly, 0);
    if (rtc < 0 || readTime(rtc, &before) < 0) { put(2, "setclock: no RTC\n"); return 1; }
    int waits = sys3(SysIoctl, rtc, RtcUpdateOn, 0) >= 0;
    if (waits) {
        struct { int fd; short events, happened; } wanted = { rtc, PollIn, 0 };
        unsigned long interrupts;
        /* The first may tell of a second that ended before. */
        waits = sys3(SysPoll, (int)&wanted, 1, UpdateMs) == 1 && sys3(SysRead, rtc, (int)&interrupts, sizeof interrupts) > 0
            && sys3(SysPoll, (int)&wanted, 1, UpdateMs) == 1 && readTime(rtc, &t) >= 0;
        sys3(SysIoctl, rtc, RtcUpdateOff, 0);
    }
    if (!waits) {
        /* No interrupt: look until the second changes. */
        do if (readTime(rtc, &t) < 0) return 1; while (t.second == before.second);
    }
    long long now[2] = { days((unsigned)t.year + 1900, (unsigned)t.month + 1, (unsigned)t.day) * 86400ll + t.hour * 3600 + t.minute * 60 + t.second, 0 };
    if (sys3(SysClockSettime64, 0, (int)now, 0) < 0) { put(2, "setclock: the kernel does not take the time\n"); return 1; }
    return 0;
}

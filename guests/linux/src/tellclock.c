/* For each byte that comes in, one line with the date: seconds since 1970, a point, nanoseconds. Behind `nc -ll -e` it is
   a service with which a host measures how far the guest's clock is from its own. */
#include "../../bench/tiny.h"

int run(int argc, char **argv, char **environment)
{
    (void)argc; (void)argv; (void)environment;
    char asked; int now[2];
    while (sys3(SysRead, 0, (int)&asked, 1) == 1) {
        sys3(SysClockGettime, 0, (int)now, 0);
        struct line l = { .used = 0 };
        addNumber(&l, (unsigned)now[0], 1); addChar(&l, '.'); addNumber(&l, (unsigned)now[1], 9); addChar(&l, '\n');
        sys3(SysWrite, 1, (int)l.text, (int)l.used);
    }
    return 0;
}

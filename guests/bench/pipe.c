/* Pipes: two processes hand a number back and forth, one task switch each way. */
#include "bench.h"

enum { Turns = 30000 };

int run(int argc, char **argv, char **environment)
{
    (void)argc; (void)argv; (void)environment;
    unsigned begin = microseconds(), value = 1;
    int there[2], back[2];
    if (sys3(SysPipe, (int)there, 0, 0) < 0 || sys3(SysPipe, (int)back, 0, 0) < 0) { put(2, "pipe: cannot make pipes\n"); return 1; }
    int child = sys0(SysFork);
    if (child < 0) { put(2, "pipe: cannot fork\n"); return 1; }
    if (child == 0) {
        sys3(SysClose, there[1], 0, 0);
        while (sys3(SysRead, there[0], (int)&value, sizeof value) == sizeof value) {
            value = value * 1664525u + 1013904223u;
            sys3(SysWrite, back[1], (int)&value, sizeof value);
        }
        sys3(SysExit, 0, 0, 0);
    }
    for (int i = 0; i < Turns; i++) {
        sys3(SysWrite, there[1], (int)&value, sizeof value);
        if (sys3(SysRead, back[0], (int)&value, sizeof value) != sizeof value) { put(2, "pipe: the child is gone\n"); return 1; }
    }
    sys3(SysClose, there[1], 0, 0);
    sys4(SysWait4, child, 0, 0, 0);
    return report("pipe", begin, value);
}

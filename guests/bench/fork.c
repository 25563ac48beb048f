/* Processes: fork and wait, and every eighth time exec of this program, which then ends at once. */
#include "bench.h"

enum { Children = 1500 };

int run(int argc, char **argv, char **environment)
{
    if (argc > 1) return 3;
    unsigned begin = microseconds(), sum = 0;
    for (int i = 0; i < Children; i++) {
        int child = sys0(SysFork), status = 0;
        if (child == 0) {
            if ((i & 7) == 0) {
                char *arguments[] = { argv[0], "child", 0 };
                sys3(SysExecve, (int)"/proc/self/exe", (int)arguments, (int)environment);
                sys3(SysExit, 99, 0, 0);
            }
            sys3(SysExit, i & 63, 0, 0);
        }
        if (child < 0) { put(2, "fork: no more processes\n"); return 1; }
        sys4(SysWait4, child, (int)&status, 0, 0);
        sum = sum * 31 + (unsigned)status;
    }
    return report("fork", begin, sum);
}

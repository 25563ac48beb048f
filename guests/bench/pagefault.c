/* Page faults: map memory, touch every page, give it back. */
#include "bench.h"

enum { Pages = 1024, Rounds = 150, PageBytes = 4096 };

int run(int argc, char **argv, char **environment)
{
    (void)argc; (void)argv; (void)environment;
    unsigned begin = microseconds(), sum = 0;
    for (unsigned round = 0; round < Rounds; round++) {
        int at = sys6(SysMmap2, 0, Pages * PageBytes, ProtReadWrite, MapPrivateAnonymous, -1, 0);
        if (at < 0 && at > -4096) { put(2, "pagefault: no memory\n"); return 1; }
        unsigned *memory = (unsigned *)at;
        for (unsigned i = 0; i < Pages; i++) { sum += memory[i * PageBytes / 4]; memory[i * PageBytes / 4] = i; }
        for (unsigned i = 0; i < Pages; i++) sum = sum * 31 + memory[i * PageBytes / 4];
        sys3(SysMunmap, at, Pages * PageBytes, 0);
    }
    return report("pagefault", begin, sum);
}

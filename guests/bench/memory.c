/* Memory: a copy in words, a walk with a stride larger than a cache line, a chain of dependent loads. */
#include "bench.h"

enum { Words = 2 << 20, Rounds = 6, Steps = 2500000 };
static unsigned from[Words], to[Words];

int run(int argc, char **argv, char **environment)
{
    (void)argc; (void)argv; (void)environment;
    unsigned begin = microseconds(), sum = 0, state = 99;
    for (unsigned i = 0; i < Words; i++) from[i] = i;
    for (unsigned round = 0; round < Rounds; round++)
        for (unsigned i = 0; i < Words; i++) to[i] = from[i] + round;
    for (unsigned offset = 0; offset < 64; offset++)
        for (unsigned i = offset; i < Words; i += 64) sum += to[i];
    /* Sattolo's shuffle: one cycle through all of the words. */
    for (unsigned i = Words - 1; i > 0; i--) { unsigned j = next(&state) % i, t = from[i]; from[i] = from[j]; from[j] = t; }
    unsigned at = 0;
    for (unsigned i = 0; i < Steps; i++) at = from[at];
    return report("memory", begin, sum + at);
}

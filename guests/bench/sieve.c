/* Integers and memory: the sieve of Eratosthenes. */
#include "bench.h"

enum { Limit = 4000000, Rounds = 20 };
static unsigned char composite[Limit];

int run(int argc, char **argv, char **environment)
{
    (void)argc; (void)argv; (void)environment;
    unsigned begin = microseconds(), sum = 0;
    for (unsigned round = 0; round < Rounds; round++) {
        fill(composite, 0, Limit);
        for (unsigned i = 2; i < Limit; i++) {
            if (composite[i]) continue;
            sum += i;
            if (i < 2000) for (unsigned j = i * i; j < Limit; j += i) composite[j] = 1;
        }
    }
    return report("sieve", begin, sum);
}

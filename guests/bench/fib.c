/* Calls and returns: Fibonacci's numbers by the definition. */
#include "bench.h"

static __attribute__((noinline, optimize("no-inline", "no-optimize-sibling-calls"))) unsigned fib(unsigned n)
{ return n < 2 ? n : fib(n - 1) + fib(n - 2); }

int run(int argc, char **argv, char **environment)
{
    (void)argc; (void)argv; (void)environment;
    unsigned begin = microseconds();
    return report("fib", begin, fib(39));
}

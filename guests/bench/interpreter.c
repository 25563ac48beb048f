/* Indirect branches: a small interpreter that jumps through a table at every operation. */
#include "bench.h"

enum { Push, Add, Multiply, Xor, Shift, Duplicate, Swap, Loop, Stop, Rounds = 6000000 };

int run(int argc, char **argv, char **environment)
{
    (void)argc; (void)argv; (void)environment;
    static const void *const labels[] = { &&push, &&add, &&multiply, &&xor, &&shift, &&duplicate, &&swap, &&loop, &&stop };
    static const unsigned char program[] = { Push, 7, Add, Duplicate, Push, 13, Xor, Multiply, Shift, Push, 3, Swap, Add, Xor, Loop, Stop };
    unsigned begin = microseconds(), stack[16] = { 1, 2, 3, 4 }, top = 4, left = Rounds;
    const unsigned char *at = program;
#define NEXT goto *labels[*at++]
    NEXT;
push: stack[top++ & 15] = *at++; NEXT;
add: top--; stack[(top - 1) & 15] += stack[top & 15]; NEXT;
multiply: top--; stack[(top - 1) & 15] *= stack[top & 15] | 1; NEXT;
xor: top--; stack[(top - 1) & 15] ^= stack[top & 15]; NEXT;
shift: stack[(top - 1) & 15] = stack[(top - 1) & 15] >> 3 | stack[(top - 1) & 15] << 29; NEXT;
duplicate: stack[top & 15] = stack[(top - 1) & 15]; top++; NEXT;
swap: { unsigned t = stack[(top - 1) & 15]; stack[(top - 1) & 15] = stack[(top - 2) & 15]; stack[(top - 2) & 15] = t; } NEXT;
loop: if (--left) at = program; NEXT;
stop: return report("interpreter", begin, stack[0] ^ stack[1] * 3 ^ stack[2] * 5 ^ stack[3] * 7 ^ top);
}

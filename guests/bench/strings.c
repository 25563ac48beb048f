/* String instructions: REP MOVS, STOS, LODS-like loops, SCAS and CMPS, short and long. */
#include "bench.h"

enum { Bytes = 1 << 20 };
static char one[Bytes + 64], two[Bytes + 64];

static inline void moveBytes(void *to, const void *from, unsigned n) { __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) :: "memory"); }
static inline void moveWords(void *to, const void *from, unsigned n) { __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(n) :: "memory"); }
static inline void storeWords(void *to, unsigned v, unsigned n) { __asm__ volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(v) : "memory"); }
static inline unsigned scan(const void *in, int v, unsigned n)
{ __asm__ volatile("repne scasb" : "+D"(in), "+c"(n) : "a"(v) : "memory", "cc"); return n; }
static inline unsigned equal(const void *a, const void *b, unsigned n)
{ __asm__ volatile("repe cmpsb" : "+D"(a), "+S"(b), "+c"(n) :: "memory", "cc"); return n; }

int run(int argc, char **argv, char **environment)
{
    (void)argc; (void)argv; (void)environment;
    unsigned begin = microseconds(), sum = 0;
    for (unsigned round = 0; round < 24; round++) {
        storeWords(one, 0x01010101u * (round + 1), Bytes / 4);
        moveWords(two, one, Bytes / 4);
        moveWords(two + 1, one, Bytes / 4);              /* not aligned */
        moveBytes(two + 3, one, Bytes / 4);
        one[Bytes - 5] = 'x';
        sum += scan(one, 'x', Bytes / 4 * 3) + equal(one, two, Bytes / 2);
    }
    for (unsigned i = 0; i < 600000; i++) {              /* short ones, where the start counts */
        moveBytes(two + (i & 1023), one + (i & 511), i & 31);
        sum += scan(two + (i & 1023), 'x', 17) + (unsigned char)two[i & 1023];
    }
    return report("strings", begin, sum);
}

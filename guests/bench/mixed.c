/* Integers as ordinary programs use them: records, strings, calls with several parameters, multiplication, division. */
#include "bench.h"

enum { Records = 512, Rounds = 250000 };
struct record { struct record *link; int kind, value; char name[32]; };
static struct record records[Records];
static int grid[40][40];

static __attribute__((noinline)) int compare(const char *a, const char *b)
{ while (*a && *a == *b) a++, b++; return (unsigned char)*a - (unsigned char)*b; }

static __attribute__((noinline)) void copyText(char *to, const char *from) { while ((*to++ = *from++)) { } }

static __attribute__((noinline)) int divide(int a, int b, int *rest) { *rest = a % b; return a / b; }

static __attribute__((noinline)) int visit(struct record *r, int depth, int *state)
{
    struct record copied = *r;
    copied.value += depth;
    switch (copied.kind) {
        case 0: *state += copied.value; break;
        case 1: *state ^= copied.value * 3; break;
        case 2: *state -= copied.value / 7; break;
        default: *state += compare(copied.name, r->link->name) > 0 ? 1 : 2;
    }
    r->value = copied.value & 0xFFFF;
    return copied.kind;
}

int run(int argc, char **argv, char **environment)
{
    (void)argc; (void)argv; (void)environment;
    unsigned begin = microseconds();
    int state = 1, rest = 0;
    for (int i = 0; i < Records; i++) {
        records[i].link = &records[(i * 37 + 11) % Records];
        records[i].kind = i & 3; records[i].value = i * 5;
        copyText(records[i].name, "A RECORD'S NAME, SOME TEXT 0");
        records[i].name[27] = (char)('0' + i % 10);
    }
    for (int round = 0; round < Rounds; round++) {
        struct record *r = &records[round % Records];
        for (int i = 0; i < 60; i++, r = r->link) state += visit(r, i, &state);
        for (int i = 1; i < 39; i++) grid[i][round % 40] = grid[i - 1][(round + 1) % 40] + divide(state | 1, i + 3, &rest) + rest;
        copyText(records[round % Records].name + 4, records[(round + 1) % Records].name + 4);
        state ^= grid[round % 40][(round * 3) % 40];
    }
    return report("mixed", begin, (unsigned)state);
}

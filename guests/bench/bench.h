/* What every benchmark program shares: the line that it prints. */
#pragma once
#include "tiny.h"

/* Prints `bench NAME SECONDS checksum HEX`; begin is what microseconds() gave at the start. */
static __attribute__((unused)) int report(const char *name, unsigned begin, unsigned checksum)
{
    unsigned spent = microseconds() - begin;
    struct line l = { .used = 0 };
    addText(&l, "bench "); addText(&l, name); addChar(&l, ' ');
    addNumber(&l, spent / 1000000, 1); addChar(&l, '.'); addNumber(&l, spent % 1000000, 6);
    addText(&l, " checksum "); addHex(&l, checksum); addChar(&l, '\n');
    put(1, l.text);
    return 0;
}

/* A generator of pseudo-random numbers that is the same everywhere (xorshift, 32 bits). */
static inline unsigned next(unsigned *state)
{ unsigned x = *state; x ^= x << 13; x ^= x >> 17; x ^= x << 5; return *state = x; }

/* Integers: compares, swaps and branches that cannot be guessed. */
#include "bench.h"

enum { Count = 400000, Rounds = 18 };
static unsigned values[Count];

static void sort(int low, int high)
{
    while (low < high) {
        unsigned pivot = values[(unsigned)(low + high) / 2];
        int i = low, j = high;
        while (i <= j) {
            while (values[i] < pivot) i++;
            while (values[j] > pivot) j--;
            if (i <= j) { unsigned t = values[i]; values[i++] = values[j]; values[j--] = t; }
        }
        if (j - low < high - i) { sort(low, j); low = i; } else { sort(i, high); high = j; }
    }
}

int run(int argc, char **argv, char **environment)
{
    (void)argc; (void)argv; (void)environment;
    unsigned begin = microseconds(), state = 12345, sum = 0;
    for (unsigned round = 0; round < Rounds; round++) {
        for (unsigned i = 0; i < Count; i++) values[i] = next(&state);
        sort(0, Count - 1);
        for (unsigned i = 0; i < Count; i += 97) sum = sum * 31 + values[i];
    }
    return report("quicksort", begin, sum);
}

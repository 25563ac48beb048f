/* x87: Mandelbrot's set in extended precision; short loops of multiplications with a compare each. */
#include "bench.h"

enum { Side = 220, Iterations = 400 };

int run(int argc, char **argv, char **environment)
{
    (void)argc; (void)argv; (void)environment;
    unsigned begin = microseconds(), sum = 0;
    for (int y = 0; y < Side; y++)
        for (int x = 0; x < Side; x++) {
            long double cr = x * 3.0L / Side - 2.25L, ci = y * 2.5L / Side - 1.25L, zr = 0, zi = 0;
            unsigned n = 0;
            for (; n < Iterations && zr * zr + zi * zi < 4; n++) { long double t = zr * zr - zi * zi + cr; zi = 2 * zr * zi + ci; zr = t; }
            sum = sum * 31 + n;
        }
    return report("mandelbrot", begin, sum);
}

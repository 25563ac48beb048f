/* x87: planets in double precision, with square roots and divisions. */
#include "bench.h"

enum { Bodies = 5, Steps = 60000 };
static struct body { double p[3], v[3], mass; } bodies[Bodies];

static inline double squareRoot(double x) { __asm__("fsqrt" : "+t"(x)); return x; }

static void advance(double dt)
{
    for (int i = 0; i < Bodies; i++)
        for (int j = i + 1; j < Bodies; j++) {
            double d[3], square = 0;
            for (int k = 0; k < 3; k++) { d[k] = bodies[i].p[k] - bodies[j].p[k]; square += d[k] * d[k]; }
            double m = dt / (square * squareRoot(square));
            for (int k = 0; k < 3; k++) { bodies[i].v[k] -= d[k] * bodies[j].mass * m; bodies[j].v[k] += d[k] * bodies[i].mass * m; }
        }
    for (int i = 0; i < Bodies; i++) for (int k = 0; k < 3; k++) bodies[i].p[k] += dt * bodies[i].v[k];
}

int run(int argc, char **argv, char **environment)
{
    (void)argc; (void)argv; (void)environment;
    unsigned begin = microseconds(), sum = 0;
    for (int i = 0; i < Bodies; i++) {
        bodies[i].mass = i == 0 ? 40 : 1.0 / (8 << i);
        for (int k = 0; k < 3; k++) { bodies[i].p[k] = i * 5.25 + k * 0.375 * i; bodies[i].v[k] = i == 0 ? 0 : (k - 1) * 1.5 / i; }
    }
    for (int i = 0; i < Steps; i++) advance(0.001);
    for (int i = 0; i < Bodies; i++) {
        union { double d; unsigned u[2]; } bits = { .d = bodies[i].p[i % 3] };
        sum = sum * 31 + bits.u[0] + bits.u[1];
    }
    return report("nbody", begin, sum);
}

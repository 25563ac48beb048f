/* x87 and memory: Gaussian elimination with pivoting, double precision. */
#include "bench.h"

enum { N = 150, Rounds = 5 };
static double a[N][N], b[N];

int run(int argc, char **argv, char **environment)
{
    (void)argc; (void)argv; (void)environment;
    unsigned begin = microseconds(), sum = 0, state = 7;
    for (int round = 0; round < Rounds; round++) {
        for (int i = 0; i < N; i++) {
            b[i] = 0;
            for (int j = 0; j < N; j++) { a[i][j] = (int)(next(&state) & 0xFFFF) - 32768; b[i] += a[i][j]; }
        }
        for (int k = 0; k < N; k++) {
            int p = k;
            for (int i = k + 1; i < N; i++) if (__builtin_fabs(a[i][k]) > __builtin_fabs(a[p][k])) p = i;
            for (int j = k; j < N; j++) { double t = a[k][j]; a[k][j] = a[p][j]; a[p][j] = t; }
            double t = b[k]; b[k] = b[p]; b[p] = t;
            for (int i = k + 1; i < N; i++) {
                double factor = a[i][k] / a[k][k];
                for (int j = k; j < N; j++) a[i][j] -= factor * a[k][j];
                b[i] -= factor * b[k];
            }
        }
        for (int i = N - 1; i >= 0; i--) {
            for (int j = i + 1; j < N; j++) b[i] -= a[i][j] * b[j];
            b[i] /= a[i][i];
        }
        for (int i = 0; i < N; i++) { union { double d; unsigned u[2]; } bits = { .d = b[i] }; sum = sum * 31 + bits.u[0] + bits.u[1]; }
    }
    return report("linpack", begin, sum);
}

// Floating point: dense, sparse, lattice and particle codes.
#include "loops.h"

static u64 matmul(void) { /* 256^3 double matmul, ikj order (vectorizes at -O3, scalar/-O2) */
    enum { M = 256 };
    static double A[M][M], B[M][M], C[M][M];
    for (int i = 0; i < M; i++)
        for (int j = 0; j < M; j++) {
            A[i][j] = (i * j) % 7;
            B[i][j] = (i + j) % 5;
        }
    for (long k = N(16); k--;) {
        memset(C, 0, sizeof C);
        for (int i = 0; i < M; i++)
            for (int l = 0; l < M; l++) {
                double t = A[i][l];
                for (int j = 0; j < M; j++) C[i][j] += t * B[l][j];
            }
        A[0][0] += C[M - 1][M - 1] * 1e-9;
    }
    double s = 0;
    for (int i = 0; i < M; i++) s += C[i][(i * 7) % M];
    return (u64)s;
}
static u64 nbody(void) {
    enum { B = 5 };
    double p[B][3], v[B][3], m[B];
    for (int i = 0; i < B; i++) {
        m[i] = 1.0 / (i + 1);
        for (int d = 0; d < 3; d++) {
            p[i][d] = i * 1.5 + d * .7 - (i == 2) * 3;
            v[i][d] = .01 * (i - d);
        }
    }
    for (long k = N(1500000); k--;) {
        for (int i = 0; i < B; i++)
            for (int j = i + 1; j < B; j++) {
                double dx = p[i][0] - p[j][0], dy = p[i][1] - p[j][1], dz = p[i][2] - p[j][2];
                double d2 = dx * dx + dy * dy + dz * dz + .01, mag = .0005 / (d2 * sqrt(d2));
                v[i][0] -= dx * m[j] * mag;
                v[i][1] -= dy * m[j] * mag;
                v[i][2] -= dz * m[j] * mag;
                v[j][0] += dx * m[i] * mag;
                v[j][1] += dy * m[i] * mag;
                v[j][2] += dz * m[i] * mag;
            }
        for (int i = 0; i < B; i++)
            for (int d = 0; d < 3; d++) p[i][d] += .0005 * v[i][d];
    }
    double s = 0;
    for (int i = 0; i < B; i++) s += p[i][0] + p[i][1];
    return (u64)(long)(s * 1e3);
}
static u64 fft(void) { /* radix-2 complex FFT, 64 Ki points */
    enum { L = 16, M = 1 << L };
    static double re[M], im[M], wr[M / 2], wi[M / 2];
    for (int i = 0; i < M / 2; i++) {
        wr[i] = cos(2 * M_PI * i / M);
        wi[i] = -sin(2 * M_PI * i / M);
    }
    double acc = 0;
    for (long k = N(25); k--;) {
        for (int i = 0; i < M; i++) {
            re[i] = (i * 37) % 101;
            im[i] = 0;
        }
        for (int i = 0, j = 0; i < M; i++) {
            if (i < j) {
                double t = re[i];
                re[i] = re[j];
                re[j] = t;
            }
            int b = M >> 1;
            while (j & b) {
                j ^= b;
                b >>= 1;
            }
            j ^= b;
        }
        for (int h = 1; h < M; h <<= 1) {
            int st = M / (2 * h);
            for (int i = 0; i < M; i += 2 * h)
                for (int j = 0; j < h; j++) {
                    double c = wr[j * st], s = wi[j * st], xr = re[i + j + h] * c - im[i + j + h] * s,
                           xi = re[i + j + h] * s + im[i + j + h] * c;
                    re[i + j + h] = re[i + j] - xr;
                    im[i + j + h] = im[i + j] - xi;
                    re[i + j] += xr;
                    im[i + j] += xi;
                }
        }
        acc += fabs(re[77]) + fabs(im[1234]);
    }
    return (u64)acc;
}
static u64 stencil(void) { /* lbm/bwaves-like 3-D 7-point stencil, 2 x 128^3 doubles = 32 MiB */
    enum { S = 128 };
    double *a = calloc(S * S * S, 8), *b = calloc(S * S * S, 8);
    a[S * S * 64 + S * 64 + 64] = 1e9;
    for (long k = N(24); k--;) {
        for (int z = 1; z < S - 1; z++)
            for (int y = 1; y < S - 1; y++) {
                double *p = a + (z * S + y) * S, *q = b + (z * S + y) * S;
                for (int x = 1; x < S - 1; x++)
                    q[x] = .4 * p[x] +
                           .1 * (p[x - 1] + p[x + 1] + p[x - S] + p[x + S] + p[x - S * S] + p[x + S * S]);
            }
        double* t = a;
        a = b;
        b = t;
    }
    return (u64)a[S * S * 64 + S * 64 + 65];
}

// Conjugate gradient on a sparse symmetric matrix in compressed rows (5-point Laplacian with a random
// diagonal).
static u64 cg(void) {
    enum { S = 160, M = S * S };
    static int first[M + 1], column[5 * M];
    static double value[5 * M], x[M], r[M], p[M], q[M];
    int n = 0;
    for (int i = 0; i < M; i++) {
        first[i] = n;
        const int col = i % S, row = i / S;
        if (row > 0) column[n] = i - S, value[n++] = -1;
        if (col > 0) column[n] = i - 1, value[n++] = -1;
        column[n] = i, value[n++] = 4.0 + (double)(rnd() % 100) / 1000;
        if (col < S - 1) column[n] = i + 1, value[n++] = -1;
        if (row < S - 1) column[n] = i + S, value[n++] = -1;
    }
    first[M] = n;
    double total = 0;
    for (long k = N(5); k--;) {
        double rho = 0;
        for (int i = 0; i < M; i++) x[i] = 0, r[i] = p[i] = 1 + (double)((i + k) % 7), rho += r[i] * r[i];
        for (int step = 0; step < 60; step++) {
            double pq = 0;
            for (int i = 0; i < M; i++) {
                double s = 0;
                for (int j = first[i]; j < first[i + 1]; j++) s += value[j] * p[column[j]];
                q[i] = s;
                pq += p[i] * s;
            }
            const double alpha = rho / pq;
            double next = 0;
            for (int i = 0; i < M; i++) x[i] += alpha * p[i], r[i] -= alpha * q[i], next += r[i] * r[i];
            for (int i = 0; i < M; i++) p[i] = r[i] + next / rho * p[i];
            rho = next;
        }
        total += x[M / 2];
    }
    return (u64)(total * 1e4);
}

// Lattice Boltzmann, two dimensions and nine speeds, in a channel with an obstacle.
static u64 lbm(void) {
    enum { W = 128, H = 64 };
    static double f[2][9][H][W];
    static const int cx[9] = {0, 1, 0, -1, 0, 1, -1, -1, 1}, cy[9] = {0, 0, 1, 0, -1, 1, 1, -1, -1};
    static const int back[9] = {0, 3, 4, 1, 2, 7, 8, 5, 6};
    static const double weight[9] = {4. / 9,  1. / 9,  1. / 9,  1. / 9, 1. / 9,
                                     1. / 36, 1. / 36, 1. / 36, 1. / 36};
    for (int d = 0; d < 9; d++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) f[0][d][y][x] = weight[d] * (1 + .1 * cx[d]);
    int now = 0;
    for (long k = N(160); k--; now ^= 1)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                double g[9], rho = 0, ux = 0, uy = 0;
                for (int d = 0; d < 9; d++) {
                    g[d] = f[now][d][(y - cy[d] + H) % H][(x - cx[d] + W) % W];
                    rho += g[d];
                    ux += g[d] * cx[d];
                    uy += g[d] * cy[d];
                }
                if ((x - 30) * (x - 30) + (y - 32) * (y - 32) < 64) {
                    for (int d = 0; d < 9; d++) f[now ^ 1][back[d]][y][x] = g[d];
                    continue;
                }
                ux /= rho, uy /= rho;
                const double square = 1.5 * (ux * ux + uy * uy);
                for (int d = 0; d < 9; d++) {
                    const double cu = 3 * (cx[d] * ux + cy[d] * uy);
                    f[now ^ 1][d][y][x] =
                        g[d] + .6 * (weight[d] * rho * (1 + cu + .5 * cu * cu - square) - g[d]);
                }
            }
    double sum = 0;
    for (int y = 0; y < H; y++) sum += f[now][1][y][W / 2];
    return (u64)(sum * 1e4);
}

// Molecular dynamics: Lennard-Jones atoms in a periodic box, velocity Verlet, cell lists.
static u64 md(void) {
    enum { M = 1000, CELLS = 4 };
    static double p[M][3], v[M][3], a[M][3];
    static int head[CELLS * CELLS * CELLS], next[M];
    const double box = 11.0, cell = box / CELLS, cutoff2 = 2.5 * 2.5, dt = .002;
    for (int i = 0; i < M; i++)
        for (int d = 0; d < 3; d++) {
            const int place[3] = {i % 10, i / 10 % 10, i / 100};
            p[i][d] = 1.1 * place[d] + .3;
            v[i][d] = (double)(rnd() % 1000) / 1000 - .5;
        }
    double energy = 0;
    for (long k = N(100); k--;) {
        memset(head, 255, sizeof head);
        for (int i = 0; i < M; i++) {
            int at = 0;
            for (int d = 0; d < 3; d++) at = at * CELLS + (int)(p[i][d] / cell) % CELLS;
            next[i] = head[at];
            head[at] = i;
        }
        memset(a, 0, sizeof a);
        energy = 0;
        for (int i = 0; i < M; i++)
            for (int near = 0; near < 27; near++) {
                const int step[3] = {near % 3 - 1, near / 3 % 3 - 1, near / 9 - 1};
                int at = 0;
                for (int d = 0; d < 3; d++)
                    at = at * CELLS + ((int)(p[i][d] / cell) + step[d] + CELLS) % CELLS;
                for (int j = head[at]; j >= 0; j = next[j]) {
                    if (j <= i) continue;
                    double delta[3], r2 = 0;
                    for (int d = 0; d < 3; d++) {
                        delta[d] = p[i][d] - p[j][d];
                        if (delta[d] > box / 2) delta[d] -= box;
                        if (delta[d] < -box / 2) delta[d] += box;
                        r2 += delta[d] * delta[d];
                    }
                    if (r2 > cutoff2) continue;
                    const double i2 = 1 / r2, i6 = i2 * i2 * i2, force = 24 * i2 * i6 * (2 * i6 - 1);
                    energy += 4 * i6 * (i6 - 1);
                    for (int d = 0; d < 3; d++) a[i][d] += force * delta[d], a[j][d] -= force * delta[d];
                }
            }
        for (int i = 0; i < M; i++)
            for (int d = 0; d < 3; d++) {
                v[i][d] += dt * a[i][d];
                p[i][d] += dt * v[i][d];
                if (p[i][d] < 0) p[i][d] += box;
                if (p[i][d] >= box) p[i][d] -= box;
            }
    }
    return (u64)(long)(energy * 10);
}

// Lattice gauge theory's kernel: products of complex 3x3 matrices along the links of a four-dimensional
// lattice.
static u64 su3(void) {
    enum { L = 8, SITES = L * L * L * L };
    typedef struct {
        float re[3][3], im[3][3];
    } matrix;
    static matrix link[4][SITES];
    for (int m = 0; m < 4; m++)
        for (int s = 0; s < SITES; s++)
            for (int i = 0; i < 3; i++)
                for (int j = 0; j < 3; j++) {
                    link[m][s].re[i][j] = (float)(i == j) + (float)(rnd() % 100) / 2000;
                    link[m][s].im[i][j] = (float)(rnd() % 100) / 2000;
                }
    static const int stride[4] = {1, L, L * L, L * L * L};
    double sum = 0;
    for (long k = N(120); k--;)
        for (int s = 0; s < SITES; s++)
            for (int m = 0; m < 3; m++) {
                const matrix *a = &link[m][s], *b = &link[m + 1][(s + stride[m]) % SITES];
                matrix c;
                for (int i = 0; i < 3; i++)
                    for (int j = 0; j < 3; j++) {
                        float re = 0, im = 0;
                        for (int l = 0; l < 3; l++) {
                            re += a->re[i][l] * b->re[l][j] - a->im[i][l] * b->im[l][j];
                            im += a->re[i][l] * b->im[l][j] + a->im[i][l] * b->re[l][j];
                        }
                        c.re[i][j] = re;
                        c.im[i][j] = im;
                    }
                sum += c.re[0][0] + c.re[1][1] + c.re[2][2];
                link[m][s].re[k % 3][1] = c.re[1][k % 3] * .05f;
            }
    return (u64)(sum * 10);
}

const struct loop floating_loops[] = {{"matmul", matmul},   {"nbody", nbody}, {"fft", fft},
                                      {"stencil", stencil}, {"cg", cg},       {"lbm", lbm},
                                      {"md", md},           {"su3", su3},     {0, 0}};

// Integer programs: each stands in for a SPEC CPU class, named in sweep_lib/programs.py.
#include "loops.h"

static u64 hmm(void) { /* hmmer-like integer Viterbi inner loop */
    enum { M = 300, L = 2000 };
    static i32 mc[M + 2], ic[M + 2], dc[M + 2], pm[M + 2], pi[M + 2], pd[M + 2], tp[7][M + 2], ms[20][M + 2],
        is[20][M + 2];
    static u8 seq[L];
    for (int i = 0; i < M + 2; i++) {
        for (int k = 0; k < 7; k++) tp[k][i] = -(i32)(rnd() % 900);
        for (int k = 0; k < 20; k++) {
            ms[k][i] = (i32)(rnd() % 1200) - 700;
            is[k][i] = -(i32)(rnd() % 300);
        }
    }
    for (int i = 0; i < L; i++) seq[i] = rnd() % 20;
    i32 best = 0;
    for (long r = N(90); r--;) {
        for (int k = 0; k < M + 2; k++) pm[k] = pi[k] = pd[k] = -100000;
        pm[0] = 0;
        for (int i = 0; i < L; i++) {
            i32 *m = ms[seq[i]], *s = is[seq[i]];
            mc[0] = dc[0] = ic[0] = -100000;
            for (int k = 1; k <= M; k++) {
                i32 sc, x;
                x = pm[k - 1] + tp[0][k - 1];
                if ((sc = pi[k - 1] + tp[1][k - 1]) > x) x = sc;
                if ((sc = pd[k - 1] + tp[2][k - 1]) > x) x = sc;
                if ((sc = -500 - k) > x) x = sc;
                x += m[k];
                mc[k] = x < -987654 ? -987654 : x;
                x = dc[k - 1] + tp[3][k - 1];
                if ((sc = mc[k - 1] + tp[4][k - 1]) > x) x = sc;
                dc[k] = x < -987654 ? -987654 : x;
                x = pm[k] + tp[5][k];
                if ((sc = pi[k] + tp[6][k]) > x) x = sc;
                x += s[k];
                ic[k] = x < -987654 ? -987654 : x;
            }
            memcpy(pm, mc, sizeof pm);
            memcpy(pi, ic, sizeof pi);
            memcpy(pd, dc, sizeof pd);
            if (mc[M] > best) best = mc[M];
        }
    }
    return (u64)best;
}
struct ev {
    u64 t;
    struct ev* n;
    u32 kind, src;
    u8 pay[40];
};
static u64 events(void) { /* omnetpp-like: binary heap of malloc'd events, handler pointers */
    size_t cap = 1 << 17, n = 0;
    struct ev** h = malloc(cap * 8);
    u64 s = 0;
#define LESS(a, b) ((a)->t < (b)->t)
    for (int i = 0; i < 60000; i++) {
        struct ev* e = malloc(sizeof *e);
        e->t = rnd() & 0xfffff;
        e->kind = i & 7;
        e->src = i;
        size_t c = n++;
        while (c && LESS(e, h[(c - 1) / 2])) {
            h[c] = h[(c - 1) / 2];
            c = (c - 1) / 2;
        }
        h[c] = e;
    }
    for (long k = N(2500000); k--;) {
        struct ev *e = h[0], *l = h[--n];
        size_t c = 0;
        for (;;) {
            size_t d = 2 * c + 1;
            if (d >= n) break;
            if (d + 1 < n && LESS(h[d + 1], h[d])) d++;
            if (!LESS(h[d], l)) break;
            h[c] = h[d];
            c = d;
        }
        h[c] = l;
        s = s * 31 + e->t + e->kind;
        struct ev* x = malloc(sizeof *x + (e->kind & 3) * 16);
        x->t = e->t + 1 + (rnd() & 0xffff);
        x->kind = (e->kind * 5 + 1) & 7;
        x->src = e->src;
        memcpy(x->pay, e->pay, 40);
        x->pay[k % 40]++;
        free(e);
        c = n++;
        while (c && LESS(x, h[(c - 1) / 2])) {
            h[c] = h[(c - 1) / 2];
            c = (c - 1) / 2;
        }
        h[c] = x;
    }
    return s;
}
/* sjeng-like: alpha-beta on connect-4 bitboards with a transposition table */
static u64 nodes;
static struct {
    u64 k;
    int v;
} * tt;
static int win(u64 b) {
    u64 y = b & (b >> 6);
    if (y & (y >> 12)) return 1;
    y = b & (b >> 7);
    if (y & (y >> 14)) return 1;
    y = b & (b >> 8);
    if (y & (y >> 16)) return 1;
    y = b & (b >> 1);
    return !!(y & (y >> 2));
}
static int ab(u64 me, u64 op, u8* ht, int depth, int al, int be) {
    nodes++;
    if (win(op)) return -1000 - depth;
    if (!depth)
        return __builtin_popcountll(me & 0x1c3870e1c38ull) - __builtin_popcountll(op & 0x1c3870e1c38ull);
    u64 key = (me * 0x9e3779b97f4a7c15ull) ^ (op * 0xc2b2ae3d27d4eb4full) ^ depth;
    u64 sl = key >> 46;
    if (tt[sl].k == key) return tt[sl].v;
    static const int ord[7] = {3, 2, 4, 1, 5, 0, 6};
    int best = -99999, al0 = al;
    for (int i = 0; i < 7; i++) {
        int c = ord[i];
        if (ht[c] > 5) continue;
        u64 m = 1ull << (c * 7 + ht[c]);
        ht[c]++;
        int v = -ab(op, me | m, ht, depth - 1, -be, -al);
        ht[c]--;
        if (v > best) best = v;
        if (v > al) al = v;
        if (al >= be) break;
    }
    if (best == -99999) best = 0;
    if (best > al0 && best < be) {
        tt[sl].k = key;
        tt[sl].v = best;
    }
    return best;
}
static u64 c4(void) {
    tt = calloc(1 << 18, 16);
    u8 ht[7] = {0};
    u64 s = 0;
    nodes = 0;
    const int deepest = scale >= 8 ? 17 : scale >= 4 ? 16 : scale >= 0.5 ? 13 : 10;
    for (int d = 4; d <= deepest; d++) s = s * 31 + ab(0, 0, ht, d, -99999, 99999);
    return s ^ nodes;
}
static u64 astar(void) { /* astar-like grid shortest paths with bucket queue */
    enum { W = 1024 };
    static u8 cost[W * W];
    static u32 dist[W * W];
    u64 s = 0;
    for (int i = 0; i < W * W; i++) cost[i] = (rnd() % 5 == 0) ? 255 : 1 + rnd() % 9;
    u32* q[16];
    size_t qn[16];
    for (int i = 0; i < 16; i++) q[i] = malloc(W * W * 4 * 2);
    for (long k = N(4); k--;) {
        memset(dist, 255, sizeof dist);
        memset(qn, 0, sizeof qn);
        u32 st = (W / 2) * W + 100 + k;
        dist[st] = 0;
        q[0][qn[0]++] = st;
        u32 d = 0;
        int empty = 0;
        while (empty < 16) {
            int b = d & 15;
            if (!qn[b]) {
                d++;
                empty++;
                continue;
            }
            empty = 0;
            while (qn[b]) {
                u32 p = q[b][--qn[b]];
                if (dist[p] != d) continue;
                int x = p % W, y = p / W;
                static const int dx[4] = {1, -1, 0, 0}, dy[4] = {0, 0, 1, -1};
                for (int i = 0; i < 4; i++) {
                    int X = x + dx[i], Y = y + dy[i];
                    if (X < 0 || Y < 0 || X >= W || Y >= W) continue;
                    u32 t = Y * W + X;
                    if (cost[t] == 255) continue;
                    u32 nd = d + cost[t];
                    if (nd < dist[t]) {
                        dist[t] = nd;
                        if (qn[nd & 15] < W * W * 2) q[nd & 15][qn[nd & 15]++] = t;
                    }
                }
            }
            d++;
        }
        for (int i = 0; i < W * W; i += 97) s = s * 31 + dist[i];
    }
    return s;
}
static u64 alu(void) { /* integer ALU/mul/div mix with data-dependent branches */
    u64 a = 1, b = 7, s = 0;
    for (long k = N(60000000); k--;) {
        a = a * 6364136223846793005ull + 1442695040888963407ull;
        b ^= a >> 29;
        if (b & 16)
            s += b / (1 + (a & 255));
        else
            s ^= (b << 3) - a;
        s = (s << 7) | (s >> 57);
    }
    return s;
}
static u64 __attribute__((noinline)) fibr(u64 n) { return n < 2 ? n : fibr(n - 1) + fibr(n - 2); }
static u64 fib(void) { /* call/return: each step is 1.62 times the calls */
    return fibr(scale >= 8 ? 43 : scale >= 1 ? 38 : 32);
}
static u64 interp(void) { /* switch/indirect-branch bytecode interpreter */
    static u8 pg[256];
    static void* L[8] = {&&a, &&b, &&c, &&d, &&e, &&f, &&g, &&h};
    for (int i = 0; i < 256; i++) pg[i] = rnd() & 7;
    u64 x = 1, y = 2, s = 0;
    u8 pc = 0;
    long k = N(120000000);
#define NX                             \
    do {                               \
        if (--k < 0) return s ^ x ^ y; \
        goto* L[pg[pc++]];             \
    } while (0)
    NX;
a:
    x += y;
    NX;
b:
    y ^= x;
    NX;
c:
    s += x;
    NX;
d:
    x = x << 3 | x >> 61;
    NX;
e:
    y -= s;
    NX;
f:
    s ^= y >> 3;
    NX;
g:
    if (x & 1) pc += 3;
    NX;
h:
    x *= 5;
    NX;
}

static u64 str(void) { /* strlen/memchr/strcmp/qsort text handling */
    enum { M = 20000 };
    static char* w[M];
    u64 s = 0;
    for (int i = 0; i < M; i++) {
        int l = 3 + rnd() % 30;
        w[i] = malloc(l + 1);
        for (int j = 0; j < l; j++) w[i][j] = 'a' + rnd() % 26;
        w[i][l] = 0;
    }
    for (long k = N(40); k--;) {
        int cmp(const void* a, const void* b) { return strcmp(*(char**)a, *(char**)b); }
        for (int i = M - 1; i > 0; i--) {
            int j = rnd() % (i + 1);
            char* t = w[i];
            w[i] = w[j];
            w[j] = t;
        }
        qsort(w, M, sizeof *w, cmp);
        for (int r = 0; r < 10; r++)
            for (int i = 0; i < M; i++) {
                char* q = memchr(w[i], 'q', strlen(w[i]));
                s = s * 31 + (q ? q - w[i] : 99);
            }
    }
    return s;
}
static u64 crc(void) {
    static u32 T[256];
    for (u32 i = 0; i < 256; i++) {
        u32 c = i;
        for (int j = 0; j < 8; j++) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
        T[i] = c;
    }
    static u8 b[65536];
    for (int i = 0; i < 65536; i++) b[i] = rnd();
    u32 c = ~0u;
    for (long k = N(1500); k--;)
        for (int i = 0; i < 65536; i++) c = T[(u8)(c ^ b[i])] ^ (c >> 8);
    return c;
}
/* dhrystone-like record/string/branch mix is covered by str+alu; coremark-like list+matrix+state: */
struct ln {
    struct ln* n;
    i32 d;
};
static u64 coremk(void) {
    enum { K = 400 };
    static struct ln a[K];
    static i32 A[24][24], B[24][24], C[24][24];
    u32 crc_ = 0;
    static const char tx[] = "5012,.0e-12,+0x1F,xyz,-3.14,99999,1e+5,T0.3e-1,";
    for (int i = 0; i < K; i++) {
        a[i].n = i + 1 < K ? &a[i + 1] : 0;
        a[i].d = rnd() & 0x7fff;
    }
    struct ln* h = a;
    for (int i = 0; i < 24; i++)
        for (int j = 0; j < 24; j++) {
            A[i][j] = rnd() & 63;
            B[i][j] = rnd() & 63;
        }
    for (long k = N(25000); k--;) {
        struct ln *r = 0, *p = h;
        while (p) {
            struct ln* n = p->n;
            p->n = r;
            r = p;
            p = n;
        }
        h = r;
        i32 f = -1;
        for (p = h; p; p = p->n) {
            if (p->d == (k & 0x7fff)) f = p->d;
            if (p->d > f) f += p->d & 1;
        }
        crc_ = crc_ * 33 + f;
        for (int i = 0; i < 24; i++)
            for (int j = 0; j < 24; j++) {
                i32 s = 0;
                for (int l = 0; l < 24; l++) s += A[i][l] * B[l][j];
                C[i][j] = s;
            }
        A[k % 24][3] ^= C[5][k % 24] & 31;
        crc_ ^= C[7][7];
        int st = 0;
        for (const char* q = tx; *q; q++) {
            switch (st) {
                case 0:
                    st = (*q >= '0' && *q <= '9') ? 1
                         : *q == '-' || *q == '+' ? 2
                         : *q == ','              ? 0
                         : *q == '.'              ? 3
                                                  : 5;
                    break;
                case 1: st = *q == '.' ? 3 : *q == 'e' ? 4 : *q == ',' ? 0 : st; break;
                case 2: st = *q == '.' ? 3 : 1; break;
                case 3: st = *q == 'e' ? 4 : *q == ',' ? 0 : st; break;
                case 4: st = *q == ',' ? 0 : st; break;
                default: st = *q == ',' ? 0 : 5;
            }
            crc_ = (crc_ << 5 | crc_ >> 27) + st;
        }
    }
    return crc_;
}

const struct loop integer_loops[] = {{"hmm", hmm},       {"events", events}, {"c4", c4},   {"astar", astar},
                                     {"alu", alu},       {"fib", fib},       {"str", str}, {"crc", crc},
                                     {"interp", interp}, {"coremk", coremk}, {0, 0}};

// Loops of floating point for ./bench/fpcr: LOOP chooses one, FPCR is what that register is set to, REPEATS how often it goes over COUNT
// elements. It prints a sum of the results' bits.
#include "runtime/bm.h"

#define BIQUAD 1
#define GAIN 2
#define POLYNOMIAL 3
#define CONVERT 4
#define CLIP 5
#define HALVES 6
#define DECAY 7
#define COUNT 1024

typedef float floats __attribute__((vector_size(16)));

static float in[COUNT], out[COUNT];
static double wide[COUNT];
#if LOOP == HALVES
static __fp16 h[COUNT], g[COUNT];
#endif

__attribute__((noinline)) static void run(void) {
#if LOOP == BIQUAD  // a filter of two poles, one sample after the other
    double z1 = 0, z2 = 0;
    for (int i = 0; i < COUNT; ++i) {
        const double x = wide[i], y = 0.2 * x + z1;
        z1 = 0.4 * x - -0.9 * y + z2;
        z2 = 0.2 * x - 0.3 * y;
        out[i] = (float)y;
    }
#elif LOOP == GAIN        // two channels mixed
    for (int i = 0; i < COUNT; ++i) out[i] = in[i] * 0.7f + in[COUNT - 1 - i] * 0.3f;
#elif LOOP == POLYNOMIAL  // as a vector's exp()
    for (int i = 0; i < COUNT; i += 4) {
        floats x = *(floats*)&in[i], y = x * 0.0013f + 0.0083f;
        y = y * x + 0.0416f, y = y * x + 0.1666f, y = y * x + 0.5f, y = y * x + 1.0f;
        *(floats*)&out[i] = y * x + 1.0f;
    }
#elif LOOP == CONVERT     // samples to integers and back
    for (int i = 0; i < COUNT; ++i) out[i] = (float)(int)(in[i] * 32767.0f) * (1 / 32768.0f);
#elif LOOP == CLIP
    for (int i = 0; i < COUNT; ++i) out[i] = in[i] > 0.5f ? 0.5f : in[i] < -0.5f ? -0.5f : in[i];
#elif LOOP == HALVES
    for (int i = 0; i < COUNT; ++i) h[i] = h[i] * (__fp16)0.5 + g[i];
#elif LOOP == DECAY  // a sound that dies away, which FZ is set for
    float y = 1;
    for (int i = 0; i < COUNT; ++i) out[i] = y = y * 0.5f;
#endif
}

void test_main(void) {
    write_sysreg(cpacr_el1, 3 << 20);
    isb();
    for (int i = 0; i < COUNT; ++i) {
        in[i] = (float)(int)((u32)i * 2654435761u) * (1.0f / 2147483648.0f);
        wide[i] = in[i];
#if LOOP == HALVES
        h[i] = (__fp16)in[i], g[i] = (__fp16)(1 - in[i]);
#endif
    }
    write_sysreg(fpcr, (u64)(FPCR));
    isb();
    for (u64 k = 0; k < REPEATS; ++k) {
        run();
        __asm__ volatile("" ::: "memory");
    }
    u64 sum = read_sysreg(fpsr) & 0x9f;
    write_sysreg(fpcr, 0);
    isb();
    for (int i = 0; i < COUNT; ++i) {
        u32 bits;
        __builtin_memcpy(&bits, &out[i], 4);
        sum = sum * 31 + bits;
    }
    say("sum %x\n", sum);
}

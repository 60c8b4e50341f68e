#include "frontend/a64/system/fp_control.h"

#include <immintrin.h>

#include "tests/frontend/system/test_cpu.h"

namespace arclight::frontend::a64 {
namespace {

TEST(FpControl, RoundingModesAreTheHosts) {
    auto state = std::make_unique<jit::GuestState>();
    const uint32_t saved = _mm_getcsr();
    // RN, RP, RM, RZ of 1 + 2^-60 and -(1 + 2^-60) to double
    const double expected[4][2] = {{1, -1}, {0x1.0000000000001p0, -1}, {1, -0x1.0000000000001p0}, {1, -1}};
    for (unsigned mode = 0; mode < 4; ++mode) {
        uint32_t mxcsr = kMxcsrReset;
        write_fpcr(*state, mode << 22, mxcsr);
        _mm_setcsr(mxcsr);
        volatile double one = 1, tiny = 0x1p-60;
        volatile double up = one + tiny, down = -one - tiny;
        _mm_setcsr(saved);
        EXPECT_EQ(up, expected[mode][0]) << mode;
        EXPECT_EQ(down, expected[mode][1]) << mode;
        EXPECT_EQ(mxcsr & ~(3u << 13), kMxcsrReset);
    }
}

TEST(FpControl, FlagsFromHostArithmetic) {
    auto state = std::make_unique<jit::GuestState>();
    const auto flags = [&](double a, char op, double b) {
        const uint32_t saved = _mm_getcsr();
        _mm_setcsr(kMxcsrReset);
        volatile double x = a, y = b, r = 0;
        switch (op) {
            case '/': r = x / y; break;
            case '*': r = x * y; break;
            default: r = x - y; break;
        }
        const uint32_t mxcsr = _mm_getcsr();
        _mm_setcsr(saved);
        (void)r;
        return read_fpsr(*state, mxcsr);
    };
    EXPECT_EQ(flags(0, '/', 0), 0x01u);            // IOC
    EXPECT_EQ(flags(1, '/', 0), 0x02u);            // DZC
    EXPECT_EQ(flags(1e308, '*', 1e308), 0x14u);    // OFC, IXC
    EXPECT_EQ(flags(1e-308, '*', 1e-300), 0x18u);  // UFC, IXC
    EXPECT_EQ(flags(1, '/', 3), 0x10u);            // IXC
    EXPECT_EQ(flags(5e-324, '-', 0), 0u);          // a denormal operand is nothing to ARM
}

TEST(FpControl, WriteReplacesBothHalves) {
    auto state = std::make_unique<jit::GuestState>();
    uint32_t mxcsr = kMxcsrReset | 0x3f;
    write_fpsr(*state, 0xffff'ffff, mxcsr);
    EXPECT_EQ(mxcsr, kMxcsrReset);
    EXPECT_EQ(read_fpsr(*state, mxcsr), 0x0800'009fu);
    mxcsr |= 0x3f;
    write_fpsr(*state, 0, mxcsr);
    EXPECT_EQ(read_fpsr(*state, mxcsr), 0u);
}

TEST(FpControl, OnlyImplementedControlBits) {
    auto state = std::make_unique<jit::GuestState>();
    uint32_t mxcsr = kMxcsrReset;
    write_fpcr(*state, 0xffff'ffff, mxcsr);
    EXPECT_EQ(state->fpcr, 0x07c0'0000u);
    EXPECT_EQ(mxcsr & 0x8040u, 0u) << "FTZ and DAZ differ from FZ";
}

}  // namespace
}  // namespace arclight::frontend::a64

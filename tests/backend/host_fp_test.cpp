// jit/host_fp.h over MXCSR, with the host's own arithmetic as the witness.
#include "jit/host_fp.h"

#include <gtest/gtest.h>
#include <immintrin.h>

#include <memory>

#include "jit/guest_state.h"

namespace arclight::jit {
namespace {

using softfloat::Rounding;

constexpr uint32_t kMxcsrReset = 0x1f80;

std::unique_ptr<GuestState> fresh() {
    auto state = std::make_unique<GuestState>();
    host_fp::reset(*state);
    return state;
}

TEST(HostFp, RoundingModesAreTheHosts) {
    const auto state = fresh();
    EXPECT_EQ(state->guest_fp_control, kMxcsrReset);
    const uint32_t saved = _mm_getcsr();
    // 1 + 2^-60 and -(1 + 2^-60) to double
    const struct {
        Rounding rounding;
        double up, down;
    } rows[] = {{Rounding::TieEven, 1, -1},
                {Rounding::Up, 0x1.0000000000001p0, -1},
                {Rounding::Down, 1, -0x1.0000000000001p0},
                {Rounding::Zero, 1, -1}};
    for (const auto& row : rows) {
        host_fp::set_rounding(*state, row.rounding);
        EXPECT_EQ(host_fp::rounding(*state), row.rounding);
        _mm_setcsr(state->guest_fp_control);
        volatile double one = 1, tiny = 0x1p-60;
        volatile double up = one + tiny, down = -one - tiny;
        _mm_setcsr(saved);
        EXPECT_EQ(up, row.up);
        EXPECT_EQ(down, row.down);
        EXPECT_EQ(state->guest_fp_control & ~(3u << 13), kMxcsrReset)
            << "FTZ and DAZ stay off: they differ from FZ";
    }
}

TEST(HostFp, ExceptionsFromHostArithmetic) {
    const auto state = fresh();
    const auto raised = [&](double a, char op, double b) {
        host_fp::set_exceptions(*state, 0);
        const uint32_t saved = _mm_getcsr();
        _mm_setcsr(state->guest_fp_control);
        volatile double x = a, y = b, r = 0;
        switch (op) {
            case '/': r = x / y; break;
            case '*': r = x * y; break;
            default: r = x - y; break;
        }
        state->guest_fp_control = _mm_getcsr();
        _mm_setcsr(saved);
        (void)r;
        return host_fp::exceptions(*state);
    };
    EXPECT_EQ(raised(0, '/', 0), softfloat::kIoc);
    EXPECT_EQ(raised(1, '/', 0), softfloat::kDzc);
    EXPECT_EQ(raised(1e308, '*', 1e308), softfloat::kOfc | softfloat::kIxc);
    EXPECT_EQ(raised(1e-308, '*', 1e-300), softfloat::kUfc | softfloat::kIxc);
    EXPECT_EQ(raised(1, '/', 3), softfloat::kIxc);
    EXPECT_EQ(raised(5e-324, '-', 0), 0u) << "a denormal operand is nothing to ARM";
}

TEST(HostFp, ExceptionsAreReplaced) {
    const auto state = fresh();
    for (const uint32_t exceptions : {host_fp::kExceptions, softfloat::kDzc, 0u}) {
        host_fp::set_exceptions(*state, exceptions);
        EXPECT_EQ(host_fp::exceptions(*state), exceptions);
    }
    state->guest_fp_control |= 0x3f;
    host_fp::set_exceptions(*state, 0);
    EXPECT_EQ(state->guest_fp_control, kMxcsrReset) << "the denormal flag too";
}

TEST(HostFp, HostArithmeticIsTheHostsAndRaisesNothing) {
    const uint32_t saved = _mm_getcsr();
    constexpr uint32_t kTowardsZero = kMxcsrReset | 3u << 13;
    _mm_setcsr(kTowardsZero);
    volatile double one = 1, tiny = 0x1p-53 + 0x1p-60;
    {
        const host_fp::HostArithmetic arithmetic;
        one = one + tiny;
    }
    const uint32_t after = _mm_getcsr();
    _mm_setcsr(saved);
    EXPECT_EQ(one, 0x1.0000000000001p0);
    EXPECT_EQ(after, kTowardsZero);
}

TEST(HostFp, AnIntegerHelperThatIsNoneIsNoticed) {
    const auto state = fresh();
    volatile double three = 3, third = 0;
    const auto check = [&](auto helper) {
        const host_fp::IntegerOnlyCheck check(*state);
        helper();
    };
    const uint32_t before = _mm_getcsr();
    check([&] { third = three * 2; });  // exact
    check([&] {
        const host_fp::HostArithmetic arithmetic;
        third = 1 / three;
    });
    EXPECT_EQ(_mm_getcsr(), before);
    EXPECT_EQ(state->guest_fp_control, kMxcsrReset);
    EXPECT_DEATH(check([&] { third = 1 / three; }), "does floating-point arithmetic");
    EXPECT_DEATH(check([&] { (void)host_fp::exceptions(*state); }),
                 "uses the guest's floating-point environment");
    EXPECT_DEATH(check([&] { host_fp::set_rounding(*state, Rounding::Up); }), "uses the guest's");
    EXPECT_DEATH(check([&] { host_fp::reset(*state); }), "changes the guest's");
}

}  // namespace
}  // namespace arclight::jit

#include "frontend/a64/system/fp_control.h"

#include "jit/host_fp.h"
#include "tests/frontend/system/test_cpu.h"

namespace arclight::frontend::a64 {
namespace {

namespace host_fp = jit::host_fp;
using jit::softfloat::Rounding;

std::unique_ptr<jit::GuestState> fresh() {
    auto state = std::make_unique<jit::GuestState>();
    reset_fp(*state);
    return state;
}

TEST(FpControl, RoundingModeGoesToTheHost) {
    const auto state = fresh();
    EXPECT_EQ(host_fp::rounding(*state), Rounding::TieEven);
    // RMode: RN, RP, RM, RZ
    constexpr Rounding kModes[] = {Rounding::TieEven, Rounding::Up, Rounding::Down, Rounding::Zero};
    for (uint32_t mode = 0; mode < 4; ++mode) {
        write_fpcr(*state, mode << 22);
        EXPECT_EQ(state->fpcr, mode << 22);
        EXPECT_EQ(host_fp::rounding(*state), kModes[mode]);
    }
}

TEST(FpControl, FlagsOfTheHostAndOfReferenceCode) {
    const auto state = fresh();
    host_fp::set_exceptions(*state, jit::softfloat::kDzc);
    state->fpsr = jit::softfloat::kQc;
    EXPECT_EQ(read_fpsr(*state), jit::softfloat::kQc | jit::softfloat::kDzc);
}

TEST(FpControl, WriteReplacesBothHalves) {
    const auto state = fresh();
    host_fp::set_exceptions(*state, host_fp::kExceptions);
    write_fpsr(*state, 0xffff'ffff);
    EXPECT_EQ(host_fp::exceptions(*state), 0u);
    EXPECT_EQ(read_fpsr(*state), 0x0800'009fu);
    host_fp::set_exceptions(*state, host_fp::kExceptions);
    write_fpsr(*state, 0);
    EXPECT_EQ(read_fpsr(*state), 0u);
}

TEST(FpControl, OnlyImplementedControlBits) {
    const auto state = fresh();
    write_fpcr(*state, 0xffff'ffff);
    EXPECT_EQ(state->fpcr, 0x07c8'2007u);
}

}  // namespace
}  // namespace arclight::frontend::a64

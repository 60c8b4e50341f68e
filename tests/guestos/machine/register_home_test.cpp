#include "guestos/machine/board/register_home.h"

#include <gtest/gtest.h>

namespace arclight::guestos {
namespace {

RunOptions options(RegisterHome registers, JitTier jit, Accel accel) {
    RunOptions o;
    o.registers = registers, o.jit = jit, o.accel = accel;
    return o;
}

TEST(RegisterHomeTest, MemoryIsAlwaysPermitted) {
    EXPECT_TRUE(check_registers({}, false));
    EXPECT_TRUE(check_registers(options(RegisterHome::Memory, JitTier::Tier2, Accel::Kvm), false));
}

TEST(RegisterHomeTest, VectorRegistersAreForTierOneInThisProcess) {
    for (const Accel accel : {Accel::Auto, Accel::Process})
        EXPECT_TRUE(check_registers(options(RegisterHome::Simd, JitTier::Tier1, accel), true));
    const auto why_not = [](JitTier jit, Accel accel, bool host) {
        const auto checked = check_registers(options(RegisterHome::Simd, jit, accel), host);
        return checked ? std::string() : checked.error();
    };
    for (const JitTier jit : {JitTier::Auto, JitTier::Tiered, JitTier::Tier2, JitTier::Interpreter})
        EXPECT_NE(why_not(jit, Accel::Process, true).find("--jit tier1"), std::string::npos);
    EXPECT_NE(why_not(JitTier::Tier1, Accel::Kvm, true).find("--accel process"), std::string::npos);
    EXPECT_NE(why_not(JitTier::Tier1, Accel::Auto, false).find("no AVX-512"), std::string::npos);
    EXPECT_EQ(why_not(JitTier::Tier1, Accel::Auto, false).find('\n'), std::string::npos);
}

}  // namespace
}  // namespace arclight::guestos

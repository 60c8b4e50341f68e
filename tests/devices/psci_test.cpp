#include "devices/psci.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

struct FakePower final : CpuPower {
    PsciResult cpu_on(uint64_t target, uint64_t entry, uint64_t context) override {
        last_target = target;
        last_entry = entry;
        last_context = context;
        return answer;
    }
    void cpu_off(unsigned cpu) override { log += "off" + std::to_string(cpu) + " "; }
    int32_t affinity_info(uint64_t target, unsigned level) override {
        return target == 1 && level == 0 ? 1 : static_cast<int32_t>(PsciResult::InvalidParameters);
    }
    void suspend(unsigned) override { log += "suspend "; }
    void system_off() override { log += "poweroff "; }
    void system_reset() override { log += "reset "; }

    PsciResult answer = PsciResult::Success;
    uint64_t last_target = 0, last_entry = 0, last_context = 0;
    std::string log;
};

constexpr uint64_t minus(int64_t n) { return static_cast<uint64_t>(-n); }

TEST(Psci, VersionsAndFeatures) {
    FakePower power;
    Psci psci(power);
    EXPECT_EQ(psci.call(0, 0x8400'0000, 0, 0, 0), 0x1'0001u);
    EXPECT_EQ(psci.call(0, 0x8000'0000, 0, 0, 0), 0x1'0001u);
    EXPECT_EQ(psci.call(0, 0x8400'0006, 0, 0, 0), 2u);
    for (uint64_t known : std::initializer_list<uint64_t>{0x8400'0000, 0xc400'0001, 0x8400'0001, 0x8400'0002,
                                                          0xc400'0003, 0x8400'0008, 0x8400'0009, 0x8400'000a,
                                                          0x8400'0012, 0xc400'0012, 0x8000'0000}) {
        EXPECT_EQ(psci.call(0, 0x8400'000a, known, 0, 0), 0u) << std::hex << known;
    }
    for (uint64_t unknown : std::initializer_list<uint64_t>{0x8400'0005, 0xc400'0002, 0xc400'0008,
                                                            0x8400'000e, 0x8400'0020, 0x1234}) {
        EXPECT_EQ(psci.call(0, 0x8400'000a, unknown, 0, 0), minus(1)) << std::hex << unknown;
        EXPECT_EQ(psci.call(0, unknown, 0, 0, 0), minus(1)) << std::hex << unknown;
    }
    EXPECT_EQ(psci.call(0, 0x8000'0001, 0x8000'8000, 0, 0), 1u) << "ARCH_WORKAROUND_1: not required";
    EXPECT_EQ(psci.call(0, 0x8000'0001, 0x8000'0001, 0, 0), 0u);
    EXPECT_EQ(power.log, "");
}

TEST(Psci, CpuOn) {
    FakePower power;
    Psci psci(power);
    EXPECT_EQ(psci.call(0, 0xc400'0003, 1, 0x1'4000'0000, 0xabcd'0000'0001), 0u);
    EXPECT_EQ(power.last_target, 1u);
    EXPECT_EQ(power.last_entry, 0x1'4000'0000u);
    EXPECT_EQ(power.last_context, 0xabcd'0000'0001u);
    psci.call(0, 0x8400'0003, 1, 0x1'4000'0000, 0);
    EXPECT_EQ(power.last_entry, 0x4000'0000u) << "the 32-bit form truncates";
    power.answer = PsciResult::AlreadyOn;
    EXPECT_EQ(psci.call(0, 0xc400'0003, 1, 0, 0), minus(4));
    EXPECT_EQ(psci.call(0, 0xc400'0003, 1u << 24, 0, 0), minus(2));
    EXPECT_EQ(psci.call(0, 0xc400'0004, 1, 0, 0), 1u);
    EXPECT_EQ(psci.call(0, 0xc400'0004, 9, 0, 0), minus(2));
}

TEST(Psci, PowerActions) {
    FakePower power;
    Psci psci(power);
    psci.call(3, 0x8400'0002, 0, 0, 0);
    psci.call(0, 0xc400'0001, 0, 0, 0);
    psci.call(0, 0x8400'0008, 0, 0, 0);
    psci.call(0, 0x8400'0009, 0, 0, 0);
    EXPECT_EQ(psci.call(0, 0xc400'0012, 0, 0, 0), 0u);
    EXPECT_EQ(psci.call(0, 0xc400'0012, 0x8000'0000, 0, 0), minus(2));
    EXPECT_EQ(power.log, "off3 suspend poweroff off0 reset off0 reset off0 ");
}

TEST(PsciState, IsTheVersion) {
    FakePower power;
    Psci psci(power), other(power);
    EXPECT_EQ(test::load(other, test::save(psci)), "");
    StateWriter out;
    out.section("psci", 1, [&] { out(uint64_t{0x1'0000}); });
    EXPECT_EQ(test::load(other, out.finish().value()), "firmware of another version");
}

}  // namespace
}  // namespace arclight::devices

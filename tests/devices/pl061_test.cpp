#include "devices/pl061.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/devices/fakes.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

constexpr uint64_t kData = 0x3fc, kDir = 0x400, kIs = 0x404, kIbe = 0x408, kIev = 0x40c, kIe = 0x410,
                   kRis = 0x414, kMis = 0x418, kIc = 0x41c;

struct Pl061Test : testing::Test {
    Pl061Test() { loop.start(); }
    bool wire() const { return controller.spis[layout::kSpiGpio]; }
    test::FakeController controller;
    EventLoop loop;
    Pl061 gpio{loop, IrqLine(controller, layout::kFirstSpiIntid + layout::kSpiGpio)};
};

TEST_F(Pl061Test, DataIsMaskedByTheAddress) {
    gpio.write(kDir, 0xf0, 4);
    gpio.write(kData, 0xff, 4);
    EXPECT_EQ(gpio.read(kData, 4), 0xf0u);
    gpio.write(0x10u << 2, 0, 4);
    EXPECT_EQ(gpio.read(kData, 4), 0xe0u);
    gpio.set_input(1, true);
    EXPECT_EQ(gpio.read(kData, 4), 0xe2u);
    EXPECT_EQ(gpio.read(2u << 2, 4), 2u);
    EXPECT_EQ(gpio.read(0, 4), 0u);
    EXPECT_EQ(gpio.read(0xfe0, 4), 0x61u);
    EXPECT_EQ(gpio.read(0xff0, 4), 0x0du);
}

TEST_F(Pl061Test, EdgesAreLatched) {
    gpio.write(kIev, 1, 4);
    gpio.write(kIe, 3, 4);
    gpio.set_input(0, true);
    gpio.set_input(0, false);
    EXPECT_TRUE(wire());
    EXPECT_EQ(gpio.read(kMis, 4), 1u);
    gpio.set_input(1, true);  // falling edges only
    EXPECT_EQ(gpio.read(kRis, 4), 1u);
    gpio.set_input(1, false);
    EXPECT_EQ(gpio.read(kRis, 4), 3u);
    gpio.write(kIc, 3, 4);
    EXPECT_FALSE(wire());
    gpio.write(kIbe, 4, 4);
    gpio.write(kIe, 4, 4);
    gpio.set_input(2, true);
    EXPECT_TRUE(wire());
}

TEST_F(Pl061Test, LevelsAreNot) {
    gpio.write(kIs, 1, 4);
    gpio.write(kIev, 1, 4);
    gpio.write(kIe, 1, 4);
    EXPECT_FALSE(wire());
    gpio.set_input(0, true);
    EXPECT_TRUE(wire());
    gpio.write(kIc, 1, 4);
    EXPECT_TRUE(wire());
    gpio.set_input(0, false);
    EXPECT_FALSE(wire());
}

// Linux looks at the level 5 ms after the edge, and wants to see the key come up again.
TEST_F(Pl061Test, PowerKeyIsHeldAMoment) {
    constexpr uint32_t kKey = 1u << Pl061::kPowerKey;
    gpio.write(kIbe, kKey, 4);
    gpio.write(kIe, kKey, 4);
    gpio.power_key();
    EXPECT_TRUE(wire());
    EXPECT_EQ(gpio.read(kData, 4), kKey);
    gpio.write(kIc, kKey, 4);
    ASSERT_TRUE(test::eventually([&] { return wire(); }));
    EXPECT_EQ(gpio.read(kData, 4), 0u);
}

TEST_F(Pl061Test, KeyComesUpInTheMachineThatIsLoaded) {
    gpio.power_key();
    gpio.quiesce();
    test::FakeController other_controller;
    Pl061 other{loop, IrqLine(other_controller, layout::kFirstSpiIntid + layout::kSpiGpio)};
    const auto stream = test::save(gpio);
    ASSERT_EQ(test::load(other, stream), "");
    EXPECT_EQ(test::save(other), stream);
    other.resume();
    EXPECT_TRUE(test::eventually([&] { return other.read(kData, 4) == 0; }));
}

TEST_F(Pl061Test, AnyAccessIsSurvived) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 20'000; ++i) {
        const unsigned size = 1u << random() % 4;
        const uint64_t offset = random() % (0x1000 - size);
        if (random() % 2 == 0)
            gpio.read(offset, size);
        else
            gpio.write(offset, random(), size);
        if (random() % 64 == 0) gpio.set_input(static_cast<unsigned>(random() % 9), random() % 2 == 0);
        ASSERT_EQ(wire(), gpio.read(kMis, 4) != 0);
    }
    for (int i = 0; i < 300; ++i) {
        Pl061 other{loop, IrqLine(controller, layout::kFirstSpiIntid + layout::kSpiGpio)};
        (void)test::load(other, test::damage(test::save(gpio), random));
        other.resume();
    }
}

}  // namespace
}  // namespace arclight::devices

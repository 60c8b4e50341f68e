#include "guestos/exit_status.h"

#include <gtest/gtest.h>

namespace arclight::guestos {
namespace {

TEST(ExitStatus, RemembersTheLastReport) {
    ExitStatus device;
    EXPECT_FALSE(device.status());
    EXPECT_EQ(device.read(0, 4), 0u);
    device.write(0, 7, 4);
    EXPECT_EQ(device.status(), 7);
    EXPECT_EQ(device.read(0, 4), 7u);
    device.write(0, 0x1ff, 4);
    EXPECT_EQ(device.status(), 255);
    device.write(0, 0, 4);
    EXPECT_EQ(device.status(), 0);
    device.reset();
    EXPECT_FALSE(device.status());
}

TEST(ExitStatus, PassesOnTheConsoleModesItKnows) {
    std::vector<ConsoleInput> seen;
    ExitStatus device([&](ConsoleInput input) { seen.push_back(input); });
    for (uint64_t value : {0ull, 1ull, 2ull, 3ull, 0x1'0000'0001ull}) device.write(4, value, 4);
    EXPECT_EQ(seen, (std::vector{ConsoleInput::Plain, ConsoleInput::Framed}));
}

TEST(ExitStatus, GoesOnAfterALoad) {
    std::vector<ConsoleInput> seen;
    ExitStatus device, other([&](ConsoleInput input) { seen.push_back(input); });
    device.write(0, 7, 4);
    device.write(4, 2, 4);
    devices::StateWriter out;
    device.save(out);
    const auto stream = out.finish().value();
    devices::StateReader in(stream);
    ASSERT_TRUE(other.load(in).has_value());
    EXPECT_EQ(other.status(), 7);
    EXPECT_TRUE(seen.empty()) << "loading drives nothing";
    other.resume();
    EXPECT_EQ(seen, (std::vector{ConsoleInput::Framed}));

    devices::StateWriter wrong;
    wrong.section("exit-status", 1, [&] { wrong(int64_t{256}, uint32_t{0}); });
    const auto wrong_stream = wrong.finish().value();
    devices::StateReader wrong_in(wrong_stream);
    EXPECT_FALSE(other.load(wrong_in).has_value());
    EXPECT_EQ(other.status(), 7);
}

TEST(ExitStatus, SurvivesAnyAccess) {
    ExitStatus device;
    for (uint64_t offset = 0; offset < 4096; ++offset) {
        for (unsigned size : {1u, 2u, 4u, 8u}) {
            device.read(offset, size);
            if (offset != 0 || size != 4) device.write(offset, ~uint64_t(0), size);
        }
    }
    EXPECT_FALSE(device.status());
}

}  // namespace
}  // namespace arclight::guestos

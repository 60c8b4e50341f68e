// What the network device's driver says on the control queue, and the state of that.
#include <gtest/gtest.h>

#include <random>

#include "tests/devices/net_frames.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

using test::Bytes;
using test::FakeNetwork;
using test::frame_to;
using test::kGuest;
using test::NetDriver;
using namespace virtio;

struct NetControl : testing::Test {
    FakeNetwork network;
    NetDriver driver{network};
};

// ---- the control queue

TEST_F(NetControl, FiltersWhatTheDriverDoesNotWant) {
    driver.start_net();
    const MacAddress broadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, group{1, 0, 0x5e, 0, 0, 1},
        other{2, 0, 0, 0, 0, 7};
    unsigned next = 0;
    const auto gets = [&](const Bytes& frame) {
        const uint16_t before = driver.used_count(0);
        driver.offer_room(next++ % 32);
        network.receive(frame);
        return driver.used_count(0) != before;
    };
    EXPECT_TRUE(gets(frame_to(other, 60))) << "all until the driver says otherwise";
    EXPECT_EQ(driver.control({0, 0, 0}), 0);  // not promiscuous
    EXPECT_TRUE(gets(frame_to(kGuest, 60)));
    EXPECT_TRUE(gets(frame_to(broadcast, 60)));
    EXPECT_FALSE(gets(frame_to(group, 60)));
    EXPECT_FALSE(gets(frame_to(other, 60)));
    Bytes table{1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 7, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1};
    EXPECT_EQ(driver.control(table), 0);
    EXPECT_TRUE(gets(frame_to(group, 60)));
    EXPECT_TRUE(gets(frame_to(other, 60)));
    EXPECT_EQ(driver.control({1, 0, 0, 0, 0, 0, 0, 0, 0, 0}), 0);  // empty tables
    EXPECT_FALSE(gets(frame_to(other, 60)));
    EXPECT_EQ(driver.control({0, 1, 1}), 0);  // all multicast
    EXPECT_TRUE(gets(frame_to(group, 60)));
    EXPECT_EQ(driver.control({0, 3, 1}), 0);  // no multicast
    EXPECT_FALSE(gets(frame_to(group, 60)));
    EXPECT_EQ(driver.control({0, 5, 1}), 0);  // no broadcast
    EXPECT_FALSE(gets(frame_to(broadcast, 60)));
    EXPECT_EQ(driver.control({0, 4, 1}), 0);  // no unicast
    EXPECT_FALSE(gets(frame_to(kGuest, 60)));
    EXPECT_EQ(driver.control({0, 4, 0}), 0);
    // Another address, which the configuration shows.
    EXPECT_EQ(driver.control({1, 1, 2, 0, 0, 0, 0, 7}), 0);
    EXPECT_TRUE(gets(frame_to(other, 60)));
    EXPECT_FALSE(gets(frame_to(kGuest, 60)));
    EXPECT_EQ(driver.device.read(0x100, 1), 2u);
    // VLANs.
    Bytes tagged = frame_to(other, 64);
    tagged[12] = 0x81, tagged[13] = 0, tagged[14] = 0x20, tagged[15] = 0x05;
    EXPECT_FALSE(gets(tagged));
    EXPECT_EQ(driver.control({2, 0, 5, 0}), 0);
    EXPECT_TRUE(gets(tagged));
    EXPECT_EQ(driver.control({2, 1, 5, 0}), 0);
    EXPECT_FALSE(gets(tagged));
    // A reset forgets it all.
    driver.start_net();
    next = 0;
    EXPECT_TRUE(gets(frame_to({2, 9, 9, 9, 9, 9}, 60)));
    EXPECT_EQ(driver.device.read(0x100, 4), 0x1200'5452u);
    EXPECT_FALSE(driver.broken());
}

TEST_F(NetControl, ManyAddressesLetAllPass) {
    driver.start_net();
    EXPECT_EQ(driver.control({0, 0, 0}), 0);
    Bytes table{1, 0, 65, 0, 0, 0};
    for (unsigned i = 0; i < 65; i++) table.insert(table.end(), {2, 0, 0, 0, 1, static_cast<uint8_t>(i)});
    table.insert(table.end(), {0, 0, 0, 0});
    EXPECT_EQ(driver.control(table), 0);
    driver.offer_room(0);
    network.receive(frame_to({2, 0, 0, 0, 0, 9}, 60));
    EXPECT_EQ(driver.used_count(0), 1);
}

TEST_F(NetControl, RefusesCommandsWithoutTheirForm) {
    driver.start_net();
    const Bytes wrong[] = {{0},
                           {0, 0},
                           {0, 0, 1, 1},
                           {0, 6, 1},
                           {1, 0},
                           {1, 0, 1, 0, 0, 0},
                           {1, 0, 0, 0, 0, 0},
                           {1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
                           {1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f},
                           {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
                           {1, 1, 2, 0, 0, 0, 0},
                           {1, 1, 2, 0, 0, 0, 0, 7, 8},
                           {1, 2, 0},
                           {2, 0, 0},
                           {2, 0, 0, 0x10},
                           {2, 2, 0, 0},
                           {3, 0},
                           {4, 0, 1, 0},
                           {255, 255, 255}};
    for (const Bytes& command : wrong)
        EXPECT_EQ(driver.control(command), 1) << testing::PrintToString(command);
    EXPECT_FALSE(driver.broken());
    EXPECT_EQ(driver.device.read(0x100, 4), 0x1200'5452u);
    driver.start_net(NetDriver::kAll &
                     ~(NetDriver::kControlRx | NetDriver::kControlVlan | NetDriver::kControlMac));
    EXPECT_EQ(driver.control({0, 0, 0}), 1) << "not negotiated";
    EXPECT_EQ(driver.control({1, 1, 2, 0, 0, 0, 0, 7}), 1);
    EXPECT_EQ(driver.control({2, 0, 5, 0}), 1);
    // Nowhere to answer.
    driver.describe_in(2, 0, driver.kData, 3, 0);
    driver.offer_in(2, 0);
    EXPECT_TRUE(driver.broken());
}

// ---- state

TEST_F(NetControl, MovesWithWhatTheDriverHasSaid) {
    driver.start_net();
    EXPECT_EQ(driver.control({0, 0, 0}), 0);
    EXPECT_EQ(driver.control({1, 1, 2, 0, 0, 0, 0, 7}), 0);
    driver.send(0, {}, frame_to(kGuest, 60));  // nobody has taken it yet
    driver.offer_room(0);
    driver.device.quiesce();
    network.receive(frame_to({2, 0, 0, 0, 0, 7}, 60));
    EXPECT_EQ(driver.used_count(0), 0) << "the machine stands";
    const auto stream = test::save(driver.device);

    FakeNetwork there;
    NetDriver moved(there);
    std::ranges::copy(driver.ram, moved.ram.begin());
    moved.device.quiesce();
    ASSERT_EQ(test::load(moved.device, stream), "");
    moved.device.resume();
    there.run();
    ASSERT_EQ(there.sent.size(), 1u);
    EXPECT_EQ(moved.device.read(0x100, 1), 2u);
    there.receive(frame_to(kGuest, 60));
    EXPECT_EQ(moved.used_count(0), 0) << "filtered, as before";
    there.receive(frame_to({2, 0, 0, 0, 0, 7}, 60));
    EXPECT_EQ(moved.used_count(0), 1);
    // Here everything goes on as well, with what came meanwhile.
    driver.device.resume();
    network.run();
    EXPECT_EQ(driver.used_count(0), 1);
    EXPECT_EQ(network.sent.size(), 1u);

    std::mt19937_64 random(3);
    test::survives_damage(stream, random, [&](const std::vector<uint8_t>& damaged) {
        FakeNetwork network;
        NetDriver driver(network);
        const bool loaded = test::load(driver.device, damaged).empty();
        driver.device.resume();
        network.run();
        network.receive(frame_to(kGuest, 2000));
        driver.start_net();
        driver.offer_room(0);
        network.receive(frame_to(kGuest, 60));
        EXPECT_EQ(driver.used_count(0), 1);
        return loaded;
    });
}

}  // namespace
}  // namespace arclight::devices

// The network device against a driver of the test's own: frames both ways, and drivers that break the rules. Checksums, the control
// queue and several pairs of queues have their own files.
#include <gtest/gtest.h>

#include <random>

#include "tests/devices/net_frames.h"

namespace arclight::devices {
namespace {

using test::Bytes;
using test::EchoNetwork;
using test::eventually;
using test::FakeNetwork;
using test::frame_to;
using test::kGuest;
using test::NetDriver;
using namespace virtio;

struct NetDevice : testing::Test {
    FakeNetwork network;
    NetDriver driver{network};
};

TEST_F(NetDevice, ShowsWhatItIs) {
    EXPECT_EQ(driver.get(8), 1u);
    driver.set(0x14, 0);
    EXPECT_EQ(driver.get(0x10) & NetDriver::kAll, NetDriver::kAll);
    EXPECT_EQ(driver.get(0x10) & NetDriver::kMtu, 0u) << "no MTU was asked for";
    EXPECT_EQ(driver.device.read(0x100, 4), 0x1200'5452u);
    EXPECT_EQ(driver.device.read(0x104, 2), 0x5634u);
    EXPECT_EQ(driver.device.read(0x106, 2), 1u) << "the link is up";
    EXPECT_EQ(driver.device.read(0x108, 2), 1u) << "a pair of queues";
    EXPECT_EQ(driver.device.read(0x10c, 8), 0u) << "behind the end";

    FakeNetwork small(false);
    NetDriver other(small, {.mac = {2, 0, 0, 0, 0, 9}, .mtu = 9000});
    other.set(0x14, 0);
    EXPECT_EQ(other.get(0x10) & (NetDriver::kHostTcp4 | NetDriver::kGuestTcp4 | NetDriver::kGuestTcp6), 0u);
    EXPECT_EQ(other.get(0x10) & NetDriver::kMtu, NetDriver::kMtu);
    EXPECT_EQ(other.device.read(0x10a, 2), 9000u);
    EXPECT_EQ(other.device.read(0x104, 2), 0x0900u);
}

TEST_F(NetDevice, TellsOfTheLink) {
    driver.start_net();
    const uint32_t generation = driver.get(0xfc);
    network.set_link(false);
    EXPECT_EQ(driver.device.read(0x106, 2), 0u);
    EXPECT_EQ(driver.get(0x60), 2u);
    EXPECT_NE(driver.get(0xfc), generation);
    driver.set(0x64, 2);
    network.set_link(true);
    EXPECT_EQ(driver.device.read(0x106, 2), 1u);
    EXPECT_TRUE(driver.wire());
}

// ---- from the guest

TEST_F(NetDevice, SendsFramesInTheirOrder) {
    driver.start_net();
    std::vector<Bytes> frames;
    for (unsigned i = 0; i < 5; i++)
        frames.push_back(frame_to(kGuest, 60 + i * 300, static_cast<uint8_t>(i)));
    for (unsigned i = 0; i < 5; i++) driver.send(i, {}, frames[i]);
    EXPECT_EQ(driver.used_count(NetDriver::kTransmit), 0) << "no CPU waits for the network";
    network.run();
    EXPECT_EQ(network.sent, frames);
    EXPECT_EQ(driver.used_count(NetDriver::kTransmit), 5);
    EXPECT_TRUE(driver.wire());
    driver.send(0, {}, frames[0], 5);  // the header is in three buffers
    network.run();
    EXPECT_EQ(network.sent.back(), frames[0]);
    EXPECT_EQ(network.sent.size(), 6u);
    EXPECT_FALSE(driver.broken());
}

TEST_F(NetDevice, LosesFramesWhoseHeaderMakesNoSense) {
    driver.start_net(NetDriver::kAll & ~NetDriver::kHostTcp6);
    const Bytes frame = frame_to(kGuest, 100);
    const uint8_t needs = NetHeader::kNeedsChecksum;
    const NetHeader wrong[] = {
        {.flags = needs, .checksum_start = 99},
        {.flags = needs, .checksum_start = 101},
        {.flags = needs, .checksum_start = 98, .checksum_offset = 1},
        {.flags = needs, .checksum_start = 50, .checksum_offset = 49},
        {.flags = needs, .checksum_start = 0xffff, .checksum_offset = 0xffff},
        {.gso_type = NetHeader::kGsoTcp4, .gso_size = 10, .checksum_start = 34, .checksum_offset = 16},
        {.flags = needs,
         .gso_type = NetHeader::kGsoTcp6,
         .gso_size = 10,
         .checksum_start = 34,
         .checksum_offset = 16},
        {.flags = needs, .gso_type = 3, .gso_size = 10, .checksum_start = 34, .checksum_offset = 16},
        {.flags = needs, .gso_type = 0x7f, .gso_size = 10, .checksum_start = 34, .checksum_offset = 16}};
    for (const NetHeader& header : wrong) driver.send(0, header, frame);
    driver.send(0, {}, {});
    network.run();
    EXPECT_TRUE(network.sent.empty());
    EXPECT_EQ(driver.used_count(NetDriver::kTransmit), std::size(wrong) + 1) << "the buffers are handed back";
    EXPECT_FALSE(driver.broken());

    driver.start_net(0);
    driver.send(0, {.flags = needs, .checksum_start = 34, .checksum_offset = 16}, frame);
    network.run();
    EXPECT_TRUE(network.sent.empty()) << "without the feature nobody completes checksums";
}

TEST_F(NetDevice, SizesAtTheLimits) {
    driver.start_net();
    driver.send(0, {}, frame_to(kGuest, NetBackend::kMaxFrame));
    driver.send(20, {}, frame_to(kGuest, 1));
    network.run();
    ASSERT_EQ(network.sent.size(), 2u);
    EXPECT_EQ(network.sent[0], frame_to(kGuest, NetBackend::kMaxFrame));
    EXPECT_EQ(network.sent[1].size(), 1u);
    driver.send(0, {}, frame_to(kGuest, NetBackend::kMaxFrame + 1));
    network.run();
    EXPECT_EQ(network.sent.size(), 2u) << "longer than anything";
    // The same 800 KiB of RAM again and again, 16 MiB in a chain.
    for (unsigned i = 0; i < 20; i++)
        driver.describe_in(1, i, driver.kData, 0xc'8000, i < 19 ? driver.kNext : 0,
                           static_cast<uint16_t>(i + 1));
    driver.offer_in(1, 0);
    network.run();
    EXPECT_EQ(network.sent.size(), 2u);
    EXPECT_EQ(driver.used_count(1), 4);
    EXPECT_FALSE(driver.broken());
    driver.describe_in(1, 0, driver.kData, sizeof(NetHeader) - 1, 0);
    driver.offer_in(1, 0);
    network.run();
    EXPECT_TRUE(driver.broken()) << "no room for a header";
}

TEST_F(NetDevice, MoreFramesThanABatch) {
    driver.start_net();
    for (unsigned round = 0; round < 10; round++)
        for (unsigned i = 0; i < 32; i++) {
            driver.send(i, {}, frame_to(kGuest, 60, static_cast<uint8_t>(round * 32 + i)));
            if (i == 31) network.run();
        }
    ASSERT_EQ(network.sent.size(), 320u);
    for (unsigned i = 0; i < 320; i++)
        EXPECT_EQ(network.sent[i], frame_to(kGuest, 60, static_cast<uint8_t>(i)));
}

// ---- to the guest

TEST_F(NetDevice, ReceivesIntoOneBuffer) {
    driver.start_net();
    driver.offer_room(0);
    network.receive(frame_to(kGuest, 1514));
    ASSERT_EQ(driver.used_count(0), 1);
    EXPECT_EQ(driver.used_size(0, 0), sizeof(NetHeader) + 1514);
    const NetHeader header = driver.received_header(0);
    EXPECT_EQ(header.flags, NetHeader::kDataValid);
    EXPECT_EQ(header.gso_type, 0);
    EXPECT_EQ(header.buffers, 1);
    const Bytes all = driver.received(0, sizeof header + 1514);
    EXPECT_EQ(Bytes(all.begin() + sizeof header, all.end()), frame_to(kGuest, 1514));
    EXPECT_TRUE(driver.wire());

    driver.start_net(0);
    driver.offer_room(0);
    network.receive(frame_to(kGuest, 60));
    EXPECT_EQ(driver.received_header(0).flags, 0) << "the driver checks sums itself";
    EXPECT_EQ(driver.received_header(0).buffers, 1);
}

TEST_F(NetDevice, SpreadsAFrameOverBuffers) {
    driver.start_net();
    const Bytes frame = frame_to(kGuest, 5000);
    for (unsigned i = 0; i < 4; i++) driver.offer_room(i, 2000);
    network.receive(frame);
    ASSERT_EQ(driver.used_count(0), 3);
    EXPECT_EQ(driver.received_header(0).buffers, 3);
    Bytes all;
    for (unsigned i = 0; i < 3; i++) {
        const Bytes part = driver.received(i, driver.used_size(0, i));
        all.insert(all.end(), part.begin(), part.end());
    }
    EXPECT_EQ(Bytes(all.begin() + sizeof(NetHeader), all.end()), frame);
    // All or nothing: one buffer is left, and then there are three.
    network.receive(frame);
    EXPECT_EQ(driver.used_count(0), 3);
    driver.offer_room(4, 2000);
    network.run();
    EXPECT_EQ(driver.used_count(0), 3);
    driver.offer_room(5, 2000);
    network.run();
    EXPECT_EQ(driver.used_count(0), 6);
    EXPECT_EQ(driver.received_header(3).buffers, 3);
    EXPECT_FALSE(driver.broken());
}

TEST_F(NetDevice, WithoutMergeableBuffersAFrameFitsOrIsLost) {
    driver.start_net(NetDriver::kAll & ~NetDriver::kMergeable);
    driver.offer_room(0, 1000);
    driver.offer_room(1, 1000);
    network.receive(frame_to(kGuest, 989));
    EXPECT_EQ(driver.used_count(0), 0) << "a byte too long";
    network.receive(frame_to(kGuest, 988));
    ASSERT_EQ(driver.used_count(0), 1) << "the same buffer serves";
    EXPECT_EQ(driver.used_size(0, 0), 1000u);
    EXPECT_FALSE(driver.broken());
}

TEST_F(NetDevice, FramesWaitForBuffersInTheirOrder) {
    driver.start_net();
    for (unsigned i = 0; i < 3; i++) network.receive(frame_to(kGuest, 100 + i));
    EXPECT_EQ(driver.used_count(0), 0);
    driver.offer_room(0);
    driver.offer_room(1);
    network.run();
    ASSERT_EQ(driver.used_count(0), 2);
    network.receive(frame_to(kGuest, 103));
    driver.offer_room(2);
    driver.offer_room(3);
    network.run();
    ASSERT_EQ(driver.used_count(0), 4);
    for (unsigned i = 0; i < 4; i++) EXPECT_EQ(driver.used_size(0, i), sizeof(NetHeader) + 100 + i);
    // A guest that takes nothing costs no more than some MiB.
    driver.start_net();
    const Bytes large = frame_to(kGuest, 60'000);
    for (unsigned i = 0; i < 1000; i++) network.receive(large);
    unsigned delivered = 0;
    for (unsigned round = 0; round < 300; round++) {
        // Two frames of 15 buffers each.
        for (unsigned i = 0; i < 30; i++) driver.offer_room(i, NetDriver::kBuffer, i == 29);
        const uint16_t before = driver.used_count(0);
        network.run();
        delivered += static_cast<uint16_t>(driver.used_count(0) - before) / 15u;
    }
    EXPECT_GT(delivered, 100u);
    EXPECT_LT(delivered, 200u);
}

// Nobody has looked at what another machine sends.
TEST_F(NetDevice, UncheckedFramesAreNotSaidToBeRight) {
    driver.start_net();
    driver.offer_room(0);
    driver.offer_room(1);
    const Bytes frame = frame_to(kGuest, 100);
    network.receive({.bytes = frame, .checked = false});
    network.receive(ReceivedFrame{.bytes = frame});
    ASSERT_EQ(driver.used_count(NetDriver::kReceive), 2);
    EXPECT_EQ(driver.received_header(0).flags, 0);
    EXPECT_EQ(driver.received_header(1).flags, NetHeader::kDataValid);
}

TEST_F(NetDevice, ABufferWithoutRoomForAHeaderIsAgainstTheRules) {
    driver.start_net();
    driver.offer_room(0, sizeof(NetHeader) - 1);
    network.receive(frame_to(kGuest, 60));
    EXPECT_TRUE(driver.broken());
    driver.start_net();
    driver.offer_room(0);
    network.receive(frame_to(kGuest, 60));
    EXPECT_EQ(driver.used_count(0), 1) << "a reset mends it";
}

// ---- drivers that break the rules, while the network is at work

TEST(NetDeviceHostile, ResetsInFlight) {
    EchoNetwork network;
    NetDriver driver(network);
    for (unsigned round = 0; round < 300; round++) {
        driver.start_net();
        for (unsigned i = 0; i < 8; i++) driver.offer_room(i);
        for (unsigned i = 0; i < 8; i++) driver.send(i, {}, frame_to(kGuest, 60 + round));
        if (round % 3 == 0) {
            EXPECT_TRUE(eventually([&] { return driver.used_count(0) != 0; }));
        }
        driver.set(0x70, 0);
        // From here on nobody writes to the guest's memory.
        std::memset(driver.ram.data(), 0xa5, driver.ram.size());
        if (round % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        EXPECT_TRUE(std::ranges::all_of(driver.ram, [](uint8_t byte) { return byte == 0xa5; })) << round;
    }
    EXPECT_GT(network.frames, 100u);
    driver.device.quiesce();
    driver.device.resume();
}

TEST(NetDeviceHostile, RandomRingsAreSurvived) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "the driver writes to its rings while the device reads them, which is a guest's right "
                    "and a race here";
#endif
    EchoNetwork network;
    NetDriver driver(network);
    std::mt19937_64 random(7);
    for (unsigned round = 0; round < 400; round++) {
        driver.start_net((NetDriver::kAll & random()) | random() % 2 * virtio::kFeatureEventIndex |
                         random() % 2 * virtio::kFeatureIndirect);
        for (unsigned step = 0; step < 40; step++) {
            const auto queue = static_cast<unsigned>(random() % 3);
            const auto i = static_cast<unsigned>(random() % driver.size);
            static constexpr uint32_t kLengths[] = {0, 1, 11, 12, 13, 60, 4096, 65565, 0xc'0000, 0xffff'ffff};
            const uint64_t address = random() % 8 != 0 ? driver.kData + random() % 0xe'0000 : random();
            driver.describe_in(queue, i, address, kLengths[random() % std::size(kLengths)],
                               static_cast<uint16_t>(random() % 8),
                               static_cast<uint16_t>(random() % (driver.size + 1u)));
            if (random() % 4 == 0) driver.at<uint64_t>(driver.kData + random() % 0x1000 * 8) = random();
            driver.offer_in(queue, static_cast<uint16_t>(random() % (driver.size + 2u)), random() % 2 != 0);
            if (random() % 64 == 0)
                driver.at<uint16_t>(NetDriver::available(queue) + 2) = static_cast<uint16_t>(random());
            if (random() % 64 == 0) driver.device.write(random() % 0x120, random(), 4);
        }
    }
    driver.start_net();
    for (unsigned i = 0; i < 4; i++) driver.offer_room(i);
    driver.send(0, {}, frame_to(kGuest, 500));
    EXPECT_TRUE(eventually([&] { return driver.used_count(0) == 1; })) << "a reset mends it";
}

}  // namespace
}  // namespace arclight::devices

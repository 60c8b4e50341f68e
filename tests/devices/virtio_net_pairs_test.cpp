// The network device with several pairs of queues: how many the driver uses, which one a received frame goes to, and networks with
// several lanes.
#include <gtest/gtest.h>

#include <random>

#include "devices/virtio/net_steering.h"
#include "tests/devices/net_frames.h"
#include "tests/devices/queues_driver.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

using test::Bytes;
using test::FakeNetwork;
using test::frame_to;
using test::kGuest;
using test::QueuesDriver;
using namespace virtio;

constexpr unsigned kPairs = 3, kControl = 2 * kPairs;
constexpr uint64_t kFeatures = kNetFeatureControl | kNetFeaturePairs | kNetFeatureMergeable;

/// A TCP segment between two ports of two hosts, which are numbers.
Bytes segment(bool ipv6, uint8_t from, uint8_t to, uint16_t from_port, uint16_t to_port) {
    Bytes frame = test::tcp_frame(ipv6, 30);
    frame[ipv6 ? 37 : 29] = from;
    frame[ipv6 ? 53 : 33] = to;
    uint8_t* const ports = &frame[ipv6 ? 54 : 34];
    ports[0] = static_cast<uint8_t>(from_port >> 8), ports[1] = static_cast<uint8_t>(from_port);
    ports[2] = static_cast<uint8_t>(to_port >> 8), ports[3] = static_cast<uint8_t>(to_port);
    return frame;
}

struct Driver : QueuesDriver {
    explicit Driver(NetBackend& network, unsigned pairs = kPairs)
        : QueuesDriver(std::make_unique<Net>(network, Net::Options{.pairs = pairs})) {}

    /// The device's answer; 0: it was carried out.
    uint8_t command(const Bytes& bytes, unsigned queue = kControl) {
        std::memcpy(memory.host(buffer(queue, 0), bytes.size()), bytes.data(), bytes.size());
        at<uint8_t>(buffer(queue, 1)) = 0xee;
        describe(table(queue), 0, buffer(queue, 0), static_cast<uint32_t>(bytes.size()), kNext, 1);
        describe(table(queue), 1, buffer(queue, 1), 1, kWrite);
        offer_in(queue, 0);
        return at<uint8_t>(buffer(queue, 1));
    }
    uint8_t use_pairs(uint16_t pairs) {
        return command({4, 0, static_cast<uint8_t>(pairs), static_cast<uint8_t>(pairs >> 8)});
    }
    void send_frame(unsigned pair, const Bytes& frame) {
        std::string bytes(sizeof(NetHeader), '\0');
        bytes.append(frame.begin(), frame.end());
        send(NetQueues::transmit(pair), bytes);
    }
    /// How many frames have come on a pair since the last call.
    size_t received(unsigned pair) { return take(NetQueues::receive(pair)).size(); }
};

struct NetPairs : testing::Test {
    FakeNetwork network;
    Driver driver{network};
};

TEST_F(NetPairs, TheControlQueueIsBehindThePairsThatTheDriverKnowsOf) {
    driver.set(0x14, 0);
    EXPECT_NE(driver.get(0x10) & kNetFeaturePairs, 0u);
    EXPECT_EQ(driver.device.read(0x108, 2), kPairs);
    driver.start_queues(kFeatures | kNetFeatureControlRx);
    EXPECT_EQ(driver.command({0, 0, 1}, kControl), 0);
    driver.start_queues((kFeatures | kNetFeatureControlRx) & ~kNetFeaturePairs);
    EXPECT_EQ(driver.command({0, 0, 1}, 2), 0);
    EXPECT_EQ(driver.command({4, 0, 1, 0}, 2), 1) << "the driver has not agreed to several";
    EXPECT_EQ(driver.command({0, 0, 1}, kControl), 0xee) << "nobody serves it";
    EXPECT_FALSE(driver.broken());

    FakeNetwork other;
    Driver one(other, 1);
    one.set(0x14, 0);
    EXPECT_EQ(one.get(0x10) & kNetFeaturePairs, 0u);
    EXPECT_EQ(one.device.read(0x108, 2), 1u);
}

TEST_F(NetPairs, RefusesNumbersThatItHasNot) {
    driver.start_queues(kFeatures);
    for (const uint16_t good : {1, 2, 3, 2, 1, 3}) EXPECT_EQ(driver.use_pairs(good), 0) << good;
    for (const uint16_t wrong : {0, 4, 256, 0x8000, 0xffff}) EXPECT_EQ(driver.use_pairs(wrong), 1) << wrong;
    for (const Bytes& wrong :
         {Bytes{4, 0}, Bytes{4, 0, 1}, Bytes{4, 0, 1, 0, 0}, Bytes{4, 1, 1, 0}, Bytes{4, 2, 1, 0}})
        EXPECT_EQ(driver.command(wrong), 1) << testing::PrintToString(wrong);
    EXPECT_FALSE(driver.broken());
    driver.describe(driver.table(kControl), 0, driver.kData, 4, 0);
    driver.offer_in(kControl, 0);
    EXPECT_TRUE(driver.broken()) << "nowhere to answer";
    driver.device.quiesce();  // nothing is under way
    driver.device.resume();
}

TEST_F(NetPairs, OnlyThoseInUseSend) {
    driver.start_queues(kFeatures);
    driver.send_frame(0, frame_to(kGuest, 60));
    driver.send_frame(2, frame_to(kGuest, 61));
    network.run();
    ASSERT_EQ(network.sent.size(), 1u);
    EXPECT_EQ(driver.use_pairs(3), 0);
    network.run();
    ASSERT_EQ(network.sent.size(), 2u) << "what was offered before";
    EXPECT_EQ(network.sent[1].size(), 61u);
    EXPECT_EQ(driver.used_count(NetQueues::transmit(2)), 1);
    driver.send_frame(1, frame_to(kGuest, 62));
    network.run();
    EXPECT_EQ(network.sent.size(), 3u);
    EXPECT_EQ(driver.use_pairs(1), 0);
    driver.send_frame(1, frame_to(kGuest, 63));
    network.run();
    EXPECT_EQ(network.sent.size(), 3u);
    // A reset ends all that.
    driver.start_queues(kFeatures);
    driver.send_frame(2, frame_to(kGuest, 64));
    network.run();
    EXPECT_EQ(network.sent.size(), 3u);
}

TEST_F(NetPairs, NoPairStarvesAnother) {
    driver.start_queues(kFeatures);
    EXPECT_EQ(driver.use_pairs(kPairs), 0);
    for (unsigned pair = 0; pair < kPairs; pair++)
        for (unsigned i = 0; i < 8; i++) {
            driver.describe(driver.table(NetQueues::transmit(pair)), i, driver.kData, 60'000, 0);
            driver.offer_in(NetQueues::transmit(pair), static_cast<uint16_t>(i));
        }
    // Four such frames fill a batch.
    for (unsigned i = 0; i < kPairs; i++) EXPECT_TRUE(network.guest()->transfer());
    for (unsigned pair = 0; pair < kPairs; pair++)
        EXPECT_EQ(driver.used_count(NetQueues::transmit(pair)), 4) << pair;
    network.run();
    EXPECT_EQ(network.sent.size(), 8u * kPairs);
}

// ---- steering

TEST(NetSteering, BothDirectionsOfAFlowAreOne) {
    for (const bool ipv6 : {false, true}) {
        const Bytes there = segment(ipv6, 15, 2, 40'000, 80), back = segment(ipv6, 2, 15, 80, 40'000);
        EXPECT_EQ(flow_hash(there), flow_hash(back));
        EXPECT_NE(flow_hash(there), flow_hash(segment(ipv6, 15, 2, 40'001, 80)));
        EXPECT_NE(flow_hash(there), flow_hash(segment(ipv6, 15, 3, 40'000, 80)));
        Bytes tagged = back;
        tagged.insert(tagged.begin() + 12, {0x81, 0, 0, 5});
        EXPECT_EQ(flow_hash(there), flow_hash(tagged));
        Bytes datagram = there;
        datagram[ipv6 ? 20 : 23] = 17;
        EXPECT_NE(flow_hash(there), flow_hash(datagram));
        for (size_t size = 0; size < there.size(); size++) flow_hash(std::span(there).first(size));
    }
    // Fragments of one datagram stay together, with or without ports.
    Bytes first = segment(false, 15, 2, 40'000, 80), second = segment(false, 15, 2, 1, 2);
    first[20] = 0x20, second[21] = 0x10;
    EXPECT_EQ(flow_hash(first), flow_hash(second));
    Bytes lies = segment(false, 15, 2, 40'000, 80);
    for (unsigned words = 0; words < 16; words++) {
        lies[14] = static_cast<uint8_t>(0x40 | words);
        flow_hash(lies);
    }
}

TEST_F(NetPairs, AFlowIsReceivedWhereItIsSent) {
    driver.start_queues(kFeatures);
    EXPECT_EQ(driver.use_pairs(kPairs), 0);
    for (const bool ipv6 : {false, true})
        for (unsigned round = 0; round < 6; round++) {
            const unsigned pair = round % kPairs;
            driver.send_frame(pair, segment(ipv6, 15, 2, 40'000, 80));
            network.run();
            for (unsigned any = 0; any < kPairs; any++) driver.room(NetQueues::receive(any));
            network.receive(segment(ipv6, 2, 15, 80, 40'000));
            for (unsigned any = 0; any < kPairs; any++) EXPECT_EQ(driver.received(any), any == pair) << round;
            // The two buffers that are left over.
            for (unsigned any = 0; any < kPairs; any++)
                if (any != pair) {
                    driver.send_frame(any, segment(ipv6, 15, 2, 40'000, 80));
                    network.run();
                    network.receive(segment(ipv6, 2, 15, 80, 40'000));
                    EXPECT_EQ(driver.received(any), 1u);
                }
        }
    // A pair that is not in use any more.
    driver.send_frame(2, segment(false, 15, 2, 40'000, 80));
    network.run();
    EXPECT_EQ(driver.use_pairs(1), 0);
    driver.room(0);
    network.receive(segment(false, 2, 15, 80, 40'000));
    EXPECT_EQ(driver.received(0), 1u);
}

TEST(NetSteering, UnknownFlowsAreSpread) {
    NetSteering steering;
    std::array<unsigned, kPairs> counts{};
    for (uint16_t port = 1000; port < 1300; port++) {
        const unsigned pair = steering.pair_for(segment(false, 2, 15, 80, port), kPairs);
        ASSERT_LT(pair, kPairs);
        EXPECT_EQ(steering.pair_for(segment(false, 2, 15, 80, port), kPairs), pair);
        counts[pair]++;
    }
    for (const unsigned count : counts) EXPECT_GT(count, 60u);
    EXPECT_EQ(steering.pair_for(segment(false, 2, 15, 80, 1), 1), 0u);
}

TEST_F(NetPairs, AFullPairHoldsNoOtherUp) {
    driver.start_queues(kFeatures);
    EXPECT_EQ(driver.use_pairs(2), 0);
    const Bytes here = segment(false, 2, 15, 80, 1), there = segment(false, 2, 15, 80, 2);
    driver.send_frame(0, segment(false, 15, 2, 1, 80));
    driver.send_frame(1, segment(false, 15, 2, 2, 80));
    network.run();
    for (unsigned i = 0; i < 3; i++) network.receive(here);
    driver.room(NetQueues::receive(1));
    network.receive(there);
    EXPECT_EQ(driver.received(1), 1u);
    driver.room(NetQueues::receive(0));
    driver.room(NetQueues::receive(0));
    network.run();
    EXPECT_EQ(driver.received(0), 2u);
    // What waits for a pair that is turned off is lost.
    network.receive(there);
    EXPECT_EQ(driver.use_pairs(1), 0);
    network.run();
    EXPECT_EQ(driver.use_pairs(2), 0);
    driver.room(NetQueues::receive(1));
    network.run();
    EXPECT_EQ(driver.received(1), 0u);
    driver.room(NetQueues::receive(0));
    network.run();
    EXPECT_EQ(driver.received(0), 1u) << "what waits for another is not";
}

// ---- networks with several lanes, such as a tap device with several queues

struct NetLanes : testing::Test {
    FakeNetwork network{true, false, kPairs};
    Driver driver{network};
    std::vector<FakeNetwork*> lanes{&network, network.others[0].get(), network.others[1].get()};
};

TEST_F(NetLanes, EachPairHasItsOwn) {
    driver.start_queues(kFeatures);
    EXPECT_EQ(driver.use_pairs(kPairs), 0);
    for (FakeNetwork* lane : lanes) lane->run();
    for (unsigned pair = 0; pair < kPairs; pair++) {
        driver.send_frame(pair, frame_to(kGuest, 60 + pair));
        for (unsigned lane = 0; lane < kPairs; lane++)
            EXPECT_EQ(lanes[lane]->awake(), lane == pair) << "only the pair's own is woken";
        lanes[pair]->run();
        ASSERT_EQ(lanes[pair]->sent.size(), 1u);
        EXPECT_EQ(lanes[pair]->sent[0].size(), 60u + pair);
        // The network has chosen, whatever the flow.
        lanes[pair]->receive(frame_to(kGuest, 100));
        driver.room(NetQueues::receive(pair));
        lanes[pair]->run();
        EXPECT_EQ(driver.received(pair), 1u);
    }
    EXPECT_FALSE(driver.broken());
}

TEST_F(NetLanes, ThoseBehindThePairsInUseGoToOthers) {
    driver.start_queues(kFeatures);
    EXPECT_EQ(driver.use_pairs(2), 0);
    driver.room(NetQueues::receive(0));
    lanes[2]->receive(frame_to(kGuest, 60));
    EXPECT_EQ(driver.received(0), 1u);
    lanes[2]->receive(frame_to(kGuest, 60));
    lanes[2]->run();
    driver.room(NetQueues::receive(0));
    EXPECT_TRUE(lanes[2]->awake()) << "who has a frame for this pair is woken by new buffers";
    lanes[2]->run();
    EXPECT_EQ(driver.received(0), 1u);
}

// ---- state, and drivers that break the rules

TEST_F(NetPairs, ThePairsInUseAreSaved) {
    driver.start_queues(kFeatures);
    EXPECT_EQ(driver.use_pairs(2), 0);
    driver.send_frame(1, frame_to(kGuest, 60));
    driver.device.quiesce();
    const auto stream = test::save(driver.device);
    FakeNetwork there;
    Driver moved(there);
    std::ranges::copy(driver.ram, moved.ram.begin());
    moved.device.quiesce();
    ASSERT_EQ(test::load(moved.device, stream), "");
    moved.device.resume();
    there.run();
    EXPECT_EQ(there.sent.size(), 1u) << "on the second pair";
    EXPECT_EQ(test::save(moved.device).size(), stream.size());

    FakeNetwork single;
    Driver fewer(single, 2);
    EXPECT_NE(test::load(fewer.device, stream), "");

    std::mt19937_64 random(5);
    test::survives_damage(stream, random, [&](const std::vector<uint8_t>& damaged) {
        FakeNetwork network;
        Driver driver(network);
        const bool loaded = test::load(driver.device, damaged).empty();
        driver.device.resume();
        network.run();
        network.receive(segment(false, 2, 15, 80, 1));
        driver.start_queues(kFeatures);
        EXPECT_EQ(driver.use_pairs(kPairs), 0);
        driver.send_frame(2, frame_to(kGuest, 60));
        const size_t before = network.sent.size();
        network.run();
        EXPECT_EQ(network.sent.size(), before + 1);
        return loaded;
    });
}

TEST(NetPairsHostile, PairsComeAndGoInFlight) {
    test::EchoNetwork network;
    Driver driver(network);
    for (unsigned round = 0; round < 200; round++) {
        const uint64_t before = network.frames;
        driver.start_queues(kFeatures);
        for (unsigned step = 0; step < 12; step++) {
            EXPECT_EQ(driver.use_pairs(static_cast<uint16_t>(1 + (round + step) % kPairs)), 0);
            const unsigned pair = step % kPairs;
            driver.room(NetQueues::receive(pair));
            driver.send_frame(pair, segment(step % 2 != 0, 15, 2, static_cast<uint16_t>(round), 80));
        }
        if (round % 10 == 0) {
            EXPECT_TRUE(test::eventually([&] { return network.frames != before; }));
        }
        driver.set(0x70, 0);
        // From here on nobody writes to the guest's memory.
        std::memset(driver.ram.data(), 0xa5, 0x10000);
        EXPECT_TRUE(std::all_of(driver.ram.begin(), driver.ram.begin() + 0x10000, [](uint8_t byte) {
            return byte == 0xa5;
        })) << round;
    }
    EXPECT_GE(network.frames, 20u);
}

}  // namespace
}  // namespace arclight::devices

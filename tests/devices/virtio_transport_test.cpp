// What the transport does for every device type: input that nobody asked for, changes of the configuration,
// the worker, requests that end later, and state that moves to another machine. By toy devices.
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <random>

#include "devices/event_loop.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/rng.h"
#include "tests/devices/state_damage.h"
#include "tests/devices/virtio_driver.h"

namespace arclight::devices {
namespace {

using test::eventually;
using test::VirtioDriver;
using namespace virtio;

// Messages come from outside, on any thread, and go to the driver in order as it offers buffers.
class Mailbox final : public Backend {
  public:
    explicit Mailbox(EventLoop& loop) : loop_(loop) {}

    std::string_view name() const override { return "toy-mailbox"; }
    uint32_t device_id() const override { return 77; }
    uint64_t features() const override { return 1; }
    std::vector<QueueDescription> queues() const override { return {{8, Service::Backend}}; }
    uint8_t read_config(uint64_t offset) override {
        return offset < 8 ? static_cast<uint8_t>(link_ >> (offset * 8)) : 0;
    }
    void activate(Transport& transport) override {
        transport_ = &transport;
        loop_.post([this] { flush(); });
    }
    void reset() override {
        transport_ = nullptr;
        loop_.drain();  // a flush that has begun has the transport still
        const std::lock_guard guard(lock_);
        waiting_.clear();
    }
    void notified(unsigned) override {
        loop_.post([this] { flush(); });
    }
    void quiesce() override { loop_.drain(); }
    void save(StateWriter& out) const override {
        const std::lock_guard guard(lock_);
        out(link_, static_cast<uint32_t>(waiting_.size()));
        for (const auto& message : waiting_) out.bytes(std::vector<uint8_t>(message.begin(), message.end()));
    }
    StateResult load(StateReader& in) override {
        uint64_t link = 0;
        uint32_t count = 0;
        in(link, count);
        std::deque<std::string> waiting;
        for (std::vector<uint8_t> bytes; count != 0 && in.ok(); count--) {
            in.bytes(bytes, 100);
            waiting.emplace_back(bytes.begin(), bytes.end());
        }
        if (!in.ok()) return in.result();
        const std::lock_guard guard(lock_);
        link_ = link;
        waiting_ = waiting;
        return {};
    }

    // From outside, on any thread.
    void receive(std::string message) {
        {
            const std::lock_guard guard(lock_);
            waiting_.push_back(std::move(message));
        }
        loop_.post([this] { flush(); });
    }
    void set_link(uint64_t value) {
        Transport* const transport = transport_;
        if (transport == nullptr) return;
        {
            const std::lock_guard guard(transport->lock());
            link_ = value;
        }
        transport->config_changed();
    }
    size_t waiting() const {
        const std::lock_guard guard(lock_);
        return waiting_.size();
    }

  private:
    void flush() {
        for (;;) {
            Transport* const transport = transport_;
            const bool sent =
                transport != nullptr &&
                transport->deliver(0, [this](Chain& chain) -> std::optional<uint32_t> {
                    const std::lock_guard guard(lock_);
                    if (waiting_.empty()) return std::nullopt;
                    const std::string message = std::move(waiting_.front());
                    waiting_.pop_front();
                    const auto* bytes = reinterpret_cast<const uint8_t*>(message.data());
                    return static_cast<uint32_t>(scatter({bytes, message.size()}, chain.writable));
                });
            if (!sent) return;
        }
    }

    EventLoop& loop_;
    std::atomic<Transport*> transport_{nullptr};
    mutable std::mutex lock_;
    std::deque<std::string> waiting_;
    uint64_t link_ = 1;
};

struct MailboxDriver : VirtioDriver {
    explicit MailboxDriver(EventLoop& loop) : MailboxDriver(std::make_unique<Mailbox>(loop)) {}
    explicit MailboxDriver(std::unique_ptr<Mailbox> box) : VirtioDriver(std::move(box)) {
        mailbox = static_cast<Mailbox*>(device.backend());
    }
    uint64_t buffer(unsigned i) const { return kData + i * 0x100; }
    // Offers buffer i, of 0x100 bytes.
    void offer_buffer(unsigned i) {
        describe(kDescriptors, i, buffer(i), 0x100, kWrite);
        offer(static_cast<uint16_t>(i));
    }
    // The message that came nth.
    std::string message(unsigned n) {
        const auto* bytes = &at<char>(buffer(used_id(n)));
        return {bytes, used_length(n)};
    }
    bool received(uint16_t count) {
        return eventually([&] { return used_index() == count; });
    }
    Mailbox* mailbox;
};

struct Unsolicited : testing::Test {
    Unsolicited() { loop.start(); }
    ~Unsolicited() override { loop.stop(); }
    EventLoop loop;
};

TEST_F(Unsolicited, FillsABufferThatWaited) {
    MailboxDriver driver(loop);
    driver.start();
    driver.offer_buffer(0);
    driver.offer_buffer(1);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_EQ(driver.used_index(), 0) << "nothing has come";
    EXPECT_FALSE(driver.wire());
    driver.mailbox->receive("hello");
    ASSERT_TRUE(driver.received(1));
    EXPECT_EQ(driver.message(0), "hello");
    EXPECT_TRUE(eventually([&] { return driver.wire(); }));
    driver.mailbox->receive("world");
    driver.mailbox->receive("more");
    ASSERT_TRUE(driver.received(2));
    EXPECT_EQ(driver.message(1), "world");
    EXPECT_TRUE(eventually([&] { return driver.mailbox->waiting() == 1; })) << "no buffer left";
    driver.offer_buffer(2);
    ASSERT_TRUE(driver.received(3));
    EXPECT_EQ(driver.message(2), "more");
    EXPECT_FALSE(driver.broken());
}

TEST_F(Unsolicited, NothingBeforeTheDriverIsUpNorAfterAReset) {
    MailboxDriver driver(loop);
    driver.negotiate(kFeatureVersion1);
    driver.place_queue();
    driver.offer_buffer(0);
    driver.mailbox->receive("early");
    loop.drain();
    EXPECT_EQ(driver.used_index(), 0) << "the driver is not up";
    driver.set(0x70, 0xf);
    ASSERT_TRUE(driver.received(1));
    EXPECT_EQ(driver.message(0), "early");
    driver.offer_buffer(1);
    driver.set(0x70, 0);
    std::fill_n(&driver.at<uint8_t>(driver.buffer(1)), 0x100, uint8_t{0});
    driver.mailbox->receive("late");
    loop.drain();
    EXPECT_EQ(driver.used_index(), 1);
    EXPECT_EQ(driver.at<uint8_t>(driver.buffer(1)), 0);
}

// Threads send while the driver resets and starts again.
TEST_F(Unsolicited, ResetsUnderFire) {
    MailboxDriver driver(loop);
    std::atomic<bool> done{false};
    std::vector<std::thread> senders;
    for (int t = 0; t < 2; t++) {
        senders.emplace_back([&] {
            for (uint64_t i = 0; !done; i++) {
                driver.mailbox->receive("message");
                driver.mailbox->set_link(i);
                std::this_thread::sleep_for(std::chrono::microseconds(20));
            }
        });
    }
    for (int round = 0; round < 200; round++) {
        driver.start();
        for (unsigned i = 0; i < 8; i++) driver.offer_buffer(i);
        if (round % 2 == 0) {
            ASSERT_TRUE(eventually([&] { return driver.used_index() != 0; }));
        }
        driver.set(0x70, 0);
        const uint16_t used = driver.used_index();
        std::this_thread::sleep_for(std::chrono::microseconds(100));
        ASSERT_EQ(driver.used_index(), used) << "nothing is written after the reset";
    }
    done = true;
    for (auto& sender : senders) sender.join();
    EXPECT_FALSE(driver.broken());
}

TEST_F(Unsolicited, MalformedBuffersBreakTheDevice) {
    MailboxDriver driver(loop);
    driver.start();
    driver.describe(driver.kDescriptors, 0, 0x1000, 0x100, driver.kWrite);  // not RAM
    driver.offer(0);
    driver.mailbox->receive("hello");
    EXPECT_TRUE(eventually([&] { return driver.broken(); }));
    EXPECT_EQ(driver.used_index(), 0);
}

TEST_F(Unsolicited, ConfigurationChangesAreTold) {
    MailboxDriver driver(loop);
    driver.start();
    EXPECT_EQ(driver.device.read(0x100, 8), 1u);
    const uint32_t generation = driver.get(0xfc);
    EXPECT_EQ(driver.get(0x60), 0u);
    driver.mailbox->set_link(0x1234'5678'9abc'def0);
    EXPECT_NE(driver.get(0xfc), generation);
    EXPECT_EQ(driver.get(0x60), 2u);
    EXPECT_TRUE(driver.wire());
    EXPECT_EQ(driver.device.read(0x100, 8), 0x1234'5678'9abc'def0u);
    driver.set(0x64, 2);
    EXPECT_FALSE(driver.wire());
    driver.set(0x70, 0);
    driver.mailbox->set_link(3);
    EXPECT_FALSE(driver.wire()) << "no driver is up";
}

TEST_F(Unsolicited, MovesToAnotherMachine) {
    MailboxDriver driver(loop);
    driver.start(kFeatureVersion1 | kFeatureEventIndex);
    driver.offer_buffer(0);
    driver.offer_buffer(1);
    driver.mailbox->set_link(9);
    driver.mailbox->receive("first");
    ASSERT_TRUE(driver.received(1));
    driver.device.quiesce();
    driver.mailbox->receive("second");  // comes too late to be delivered here
    loop.drain();
    EXPECT_EQ(driver.used_index(), 1);
    const auto stream = test::save(driver.device);

    MailboxDriver other(loop);
    std::ranges::copy(driver.ram, other.ram.begin());
    ASSERT_EQ(test::load(other.device, stream), "");
    loop.drain();
    EXPECT_FALSE(other.wire()) << "loading drives nothing";
    EXPECT_EQ(other.used_index(), 1);
    EXPECT_EQ(test::save(other.device), stream);
    other.device.resume();
    EXPECT_TRUE(other.wire());
    ASSERT_TRUE(other.received(2));
    EXPECT_EQ(other.message(1), "second");
    EXPECT_EQ(other.get(0x60), 3u);
    EXPECT_EQ(other.device.read(0x100, 8), 9u);
    other.offer_buffer(2);
    other.mailbox->receive("third");
    ASSERT_TRUE(other.received(3));
    EXPECT_EQ(other.message(2), "third");
    // The first one, resumed, goes on as if nothing had been.
    driver.device.resume();
    ASSERT_TRUE(driver.received(2));
    EXPECT_EQ(driver.message(1), "second");
}

// ---- several chains at once

// As a network device with mergeable buffers: one message over as many buffers as it needs, or none.
class Wide final : public Backend {
  public:
    std::string_view name() const override { return "toy-wide"; }
    uint32_t device_id() const override { return 79; }
    uint64_t features() const override { return 0; }
    std::vector<QueueDescription> queues() const override { return {{8, Service::Backend}}; }
    void activate(Transport& transport) override { transport_ = &transport; }
    void reset() override { transport_ = nullptr; }

    bool receive(std::span<const uint8_t> bytes) {
        const std::lock_guard guard(transport_->lock());
        if (!transport_->running()) return false;
        const auto dma = transport_->memory().dma();
        std::vector<Used> used;
        while (!bytes.empty()) {
            Chain chain;
            if (!transport_->take(0, chain)) {
                transport_->put_back(0, static_cast<unsigned>(used.size()));
                return false;
            }
            const size_t part = std::min(bytes.size(), static_cast<size_t>(chain.writable_size()));
            scatter(bytes.first(part), chain.writable);
            used.push_back({chain.head, static_cast<uint32_t>(part)});
            bytes = bytes.subspan(part);
        }
        transport_->complete(0, used);
        return true;
    }

  private:
    Transport* transport_ = nullptr;
};

TEST(Merged, AllBuffersOrNone) {
    VirtioDriver driver(std::make_unique<Wide>());
    auto& wide = static_cast<Wide&>(*driver.device.backend());
    driver.start();
    const auto offer = [&](uint16_t i) {
        driver.describe(driver.kDescriptors, i, driver.kData + i * 0x100, 0x100, driver.kWrite);
        driver.offer(i);
    };
    std::vector<uint8_t> message(0x250);
    for (size_t i = 0; i < message.size(); i++) message[i] = static_cast<uint8_t>(i * 7);
    offer(0), offer(1);
    EXPECT_FALSE(wide.receive(message)) << "it would take three";
    EXPECT_EQ(driver.used_index(), 0);
    EXPECT_FALSE(driver.wire());
    offer(2);
    ASSERT_TRUE(wide.receive(message));
    EXPECT_EQ(driver.used_index(), 3);
    EXPECT_TRUE(driver.wire());
    for (unsigned i = 0; i < 3; i++) EXPECT_EQ(driver.used_id(i), i) << "what was put back comes first again";
    EXPECT_EQ(driver.used_length(2), 0x50u);
    const uint8_t* bytes = &driver.at<uint8_t>(driver.kData);
    EXPECT_TRUE(std::equal(message.begin(), message.end(), bytes));
    driver.device.quiesce();
    EXPECT_FALSE(wide.receive({message.data(), 1})) << "not while the machine is being saved";
    driver.device.resume();
    offer(3);
    EXPECT_TRUE(wide.receive({message.data(), 1}));
    EXPECT_FALSE(driver.broken());
}

// ---- requests that end later

// Keeps each chain until told.
class Slow final : public Backend {
  public:
    std::string_view name() const override { return "toy-slow"; }
    uint32_t device_id() const override { return 78; }
    uint64_t features() const override { return 0; }
    std::vector<QueueDescription> queues() const override { return {{8, Service::Worker}}; }
    void activate(Transport& transport) override { transport_ = &transport; }
    void reset() override {
        const std::lock_guard guard(lock_);
        heads_.clear();
    }
    Served process(unsigned, Chain& chain) override {
        const std::lock_guard guard(lock_);
        heads_.push_back(chain.head);
        return Served::pending();
    }
    void quiesce() override {
        while (finish()) {
        }
    }
    // The last first, as an elevator may.
    bool finish() {
        Used used{};
        {
            const std::lock_guard guard(lock_);
            if (heads_.empty()) return false;
            used.head = heads_.back();
            heads_.pop_back();
        }
        const std::lock_guard guard(transport_->lock());
        transport_->complete(0, {&used, 1});
        return true;
    }
    size_t kept() const {
        const std::lock_guard guard(lock_);
        return heads_.size();
    }

  private:
    Transport* transport_ = nullptr;
    mutable std::mutex lock_;
    std::vector<uint16_t> heads_;
};

TEST(Pending, EndsLaterAndOutOfOrder) {
    VirtioDriver driver(std::make_unique<Slow>());
    auto& slow = static_cast<Slow&>(*driver.device.backend());
    driver.start();
    for (uint16_t i = 0; i < 4; i++) {
        driver.describe(driver.kDescriptors, i, driver.kData, 8, driver.kWrite);
        driver.offer(i);
    }
    ASSERT_TRUE(eventually([&] { return slow.kept() == 4; }));
    EXPECT_EQ(driver.used_index(), 0);
    EXPECT_TRUE(slow.finish());
    EXPECT_EQ(driver.used_index(), 1);
    EXPECT_EQ(driver.used_id(0), 3u);
    driver.device.quiesce();
    EXPECT_EQ(driver.used_index(), 4) << "nothing is in flight";
    driver.offer(0);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_EQ(slow.kept(), 0u) << "nothing is taken";
    driver.device.resume();
    ASSERT_TRUE(eventually([&] { return slow.kept() == 1; }));
    driver.set(0x70, 0);
    EXPECT_EQ(slow.kept(), 0u);
    EXPECT_EQ(driver.used_index(), 4);
}

// ---- state

TEST(VirtioState, RngGoesOn) {
    VirtioDriver driver(std::make_unique<Rng>());
    driver.start(kFeatureVersion1 | kFeatureEventIndex | kFeatureIndirect);
    driver.describe(driver.kDescriptors, 0, driver.kData, 64, driver.kWrite);
    for (int i = 0; i < 13; i++) driver.offer(0);
    driver.device.quiesce();
    driver.offer(0);  // the notification comes when nobody listens
    EXPECT_EQ(driver.used_index(), 13);
    VirtioDriver other(std::make_unique<Rng>());
    std::ranges::copy(driver.ram, other.ram.begin());
    ASSERT_EQ(test::load(other.device, test::save(driver.device)), "");
    other.device.resume();
    EXPECT_EQ(other.used_index(), 14);
    other.offer(0);
    EXPECT_EQ(other.used_index(), 15);
    EXPECT_EQ(other.used_length(14), 64u);
    EXPECT_FALSE(other.broken());
}

TEST(VirtioState, HalfWayThroughTheSetUp) {
    VirtioDriver driver(std::make_unique<Rng>());
    driver.negotiate(kFeatureVersion1);
    driver.set(0x30, 0);
    driver.set(0x38, 8);
    driver.set(0x80, VirtioDriver::kDescriptors), driver.set(0x24, 1);
    VirtioDriver other(std::make_unique<Rng>());
    ASSERT_EQ(test::load(other.device, test::save(driver.device)), "");
    other.device.resume();
    EXPECT_EQ(other.get(0x70), 0xbu);
    other.set(0x90, VirtioDriver::kAvailable);
    other.set(0xa0, VirtioDriver::kUsed);
    other.set(0x44, 1);
    EXPECT_EQ(other.get(0x44), 1u);
    other.set(0x70, 0xf);
    other.describe(other.kDescriptors, 0, other.kData, 64, other.kWrite);
    other.offer(0);
    EXPECT_EQ(other.used_index(), 1);
}

TEST(VirtioState, EmptySlot) {
    mmu::GuestMemory memory(nullptr, layout::kRamBase, 0);
    Mmio slot(0, memory, IrqLine()), other(1, memory, IrqLine());
    VirtioDriver driver(std::make_unique<Rng>());
    ASSERT_EQ(test::load(other, test::save(slot)), "");
    other.resume();
    EXPECT_EQ(test::load(other, test::save(driver.device)), "another device type");
    EXPECT_EQ(test::load(driver.device, test::save(slot)), "another device type");
    driver.start();
    driver.describe(driver.kDescriptors, 0, driver.kData, 64, driver.kWrite);
    driver.offer(0);
    EXPECT_EQ(driver.used_index(), 1) << "a refused state changes nothing";
}

TEST(VirtioState, RefusesWhatItCannotBe) {
    VirtioDriver driver(std::make_unique<Rng>());
    driver.start(kFeatureVersion1 | kFeatureEventIndex | kFeatureIndirect);
    driver.describe(driver.kDescriptors, 0, driver.kData, 64, driver.kWrite);
    for (int i = 0; i < 5; i++) driver.offer(0);
    std::mt19937_64 random(8);
    test::survives_damage(test::save(driver.device), random, [&](const std::vector<uint8_t>& stream) {
        VirtioDriver damaged(std::make_unique<Rng>());
        std::ranges::copy(driver.ram, damaged.ram.begin());
        const bool loaded = test::load(damaged.device, stream).empty();
        damaged.device.resume();
        for (int i = 0; i < 10; i++) damaged.offer(0);
        for (uint64_t offset = 0; offset < 0x200; offset += 4) damaged.get(offset);
        damaged.start();
        damaged.describe(damaged.kDescriptors, 0, damaged.kData, 64, damaged.kWrite);
        damaged.offer(0);
        EXPECT_EQ(damaged.used_index(), 1) << "a reset makes it well again";
        return loaded;
    });
}

}  // namespace
}  // namespace arclight::devices

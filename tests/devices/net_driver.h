#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "devices/virtio/net.h"
#include "tests/devices/virtio_driver.h"

namespace arclight::devices::test {

using Bytes = std::vector<uint8_t>;

/// A network whose thread is the test's own: nothing happens until run().
class FakeNetwork final : public NetBackend {
  public:
    explicit FakeNetwork(bool large = true, bool headers = false, unsigned lanes = 1)
        : large_(large), headers_(headers) {
        for (unsigned i = 1; i < lanes; i++) others.push_back(std::make_unique<FakeNetwork>(large, headers));
    }

    void connect(NetGuest* guest) override { guest_ = guest; }
    std::vector<NetBackend*> lanes() override {
        std::vector<NetBackend*> all{this};
        for (const auto& other : others) all.push_back(other.get());
        return all;
    }
    bool large_segments() const override { return large_; }
    bool link_up() const override { return link_; }
    bool takes_headers() const override { return headers_; }
    void send(std::span<uint8_t> frame) override { sent.emplace_back(frame.begin(), frame.end()); }
    void wake() override { awake_ = true; }
    void drain() override {}

    void run() {
        while (awake_.exchange(false))
            while (guest_->transfer()) {
            }
    }
    void receive(std::span<const uint8_t> frame, uint16_t segment_bytes = 0) {
        run();
        guest_->receive({frame, segment_bytes});
    }
    void receive(const ReceivedFrame& frame) {
        run();
        guest_->receive(frame);
    }
    void set_link(bool up) {
        link_ = up;
        guest_->link_changed();
    }
    NetGuest* guest() { return guest_; }
    bool awake() const { return awake_; }
    std::vector<Bytes> sent;
    std::vector<std::unique_ptr<FakeNetwork>> others;  ///< the lanes after the first

  private:
    const bool large_, headers_;
    NetGuest* guest_ = nullptr;
    std::atomic<bool> link_{true}, awake_{false};
};

/// One with a thread, that sends back whatever comes, and that its drain() waits for.
class EchoNetwork final : public NetBackend {
  public:
    ~EchoNetwork() override { connect(nullptr); }
    void connect(NetGuest* guest) override {
        if (thread_.joinable()) {
            quit_ = true;
            wake();
            thread_.join();
        }
        quit_ = false;
        guest_ = guest;
        if (guest != nullptr) thread_ = std::thread([this] { work(); });
    }
    bool large_segments() const override { return true; }
    void send(std::span<uint8_t> frame) override {
        echoes_.emplace_back(frame.begin(), frame.end());
        frames++;
    }
    void wake() override {
        const std::lock_guard guard(lock_);
        awake_ = true;
        changed_.notify_all();
    }
    void drain() override {
        std::unique_lock held(lock_);
        const uint64_t mine = ++wanted_;
        awake_ = true;
        changed_.notify_all();
        changed_.wait(held, [&] { return done_ >= mine; });
    }
    std::atomic<uint64_t> frames{0};

  private:
    void work() {
        std::unique_lock held(lock_);
        while (!quit_) {
            changed_.wait(held, [&] { return awake_; });
            awake_ = false;
            const uint64_t served = wanted_;
            held.unlock();
            while (guest_->transfer()) {
            }
            for (; !echoes_.empty(); echoes_.pop_front()) guest_->receive({echoes_.front(), 0});
            held.lock();
            done_ = served;
            changed_.notify_all();
        }
    }
    NetGuest* guest_ = nullptr;
    std::deque<Bytes> echoes_;
    std::mutex lock_;
    std::condition_variable changed_;
    bool awake_ = false;
    std::atomic<bool> quit_{false};
    uint64_t wanted_ = 0, done_ = 0;
    std::thread thread_;
};

/// The guest's side of a network device: three queues, each with a table of its own and buffers of 4 KiB.
class NetDriver : public VirtioDriver {
  public:
    static constexpr unsigned kReceive = 0, kTransmit = 1, kControl = 2;
    static constexpr uint64_t kChecksum = 1, kGuestChecksum = 2, kMtu = 8, kMac = 32, kGuestTcp4 = 1 << 7,
                              kGuestTcp6 = 1 << 8, kHostTcp4 = 1 << 11, kHostTcp6 = 1 << 12,
                              kMergeable = 1 << 15, kStatus = 1 << 16, kControlQueue = 1 << 17,
                              kControlRx = 1 << 18, kControlVlan = 1 << 19, kControlMac = 1 << 23;
    static constexpr uint64_t kAll = kChecksum | kGuestChecksum | kGuestTcp4 | kGuestTcp6 | kHostTcp4 |
                                     kHostTcp6 | kMergeable | kStatus | kControlQueue | kControlRx |
                                     kControlVlan | kControlMac;
    static constexpr uint64_t kQueueStride = 0x3000;
    static constexpr uint32_t kBuffer = 0x1000;

    explicit NetDriver(NetBackend& network, virtio::Net::Options options = {}, uint16_t queue_size = 32)
        : VirtioDriver(std::make_unique<virtio::Net>(network, options), queue_size) {}

    static uint64_t table(unsigned queue) { return layout::kRamBase + queue * kQueueStride; }
    static uint64_t available(unsigned queue) { return table(queue) + 0x1000; }
    static uint64_t used(unsigned queue) { return table(queue) + 0x2000; }
    /// Of descriptor i.
    static uint64_t buffer(unsigned queue, unsigned i) {
        return kData + (queue == kControl ? 72 + i % 4 : queue * 36 + i) * uint64_t{kBuffer};
    }

    void start_net(uint64_t features = kAll) {
        std::memset(ram.data(), 0, 0x10000);
        negotiate(features | virtio::kFeatureVersion1);
        for (unsigned queue = 0; queue < 3; queue++)
            place_queue(table(queue), available(queue), used(queue), queue);
        set(0x70, 0xf);
    }
    void describe_in(unsigned queue, unsigned i, uint64_t address, uint32_t length, uint16_t flags,
                     uint16_t next = 0) {
        describe(table(queue), i, address, length, flags, next);
    }
    void offer_in(unsigned queue, uint16_t head, bool notify = true) {
        offer_at(available(queue), queue, head, notify);
    }
    uint16_t used_count(unsigned queue) {
        return std::atomic_ref<uint16_t>(at<uint16_t>(used(queue) + 2)).load();
    }
    uint32_t used_size(unsigned queue, unsigned i) { return at<uint32_t>(used(queue) + 8 + i % size * 8); }

    /// In one buffer at descriptor i, or where it is longer in several of `piece` bytes each.
    void send(unsigned i, const virtio::NetHeader& header, const Bytes& frame, uint32_t piece = kBuffer) {
        Bytes all(sizeof header + frame.size());
        std::memcpy(all.data(), &header, sizeof header);
        std::ranges::copy(frame, all.begin() + sizeof header);
        const unsigned head = i;
        for (size_t done = 0; done < all.size(); i++) {
            const auto count = static_cast<uint32_t>(std::min<size_t>(piece, all.size() - done));
            std::memcpy(memory.host(buffer(kTransmit, i), count), all.data() + done, count);
            done += count;
            describe_in(kTransmit, i, buffer(kTransmit, i), count, done < all.size() ? kNext : 0,
                        static_cast<uint16_t>(i + 1));
        }
        offer_in(kTransmit, static_cast<uint16_t>(head));
    }
    void offer_room(unsigned i, uint32_t bytes = kBuffer, bool notify = true) {
        describe_in(kReceive, i, buffer(kReceive, i), bytes, kWrite);
        offer_in(kReceive, static_cast<uint16_t>(i), notify);
    }
    virtio::NetHeader received_header(unsigned i) {
        virtio::NetHeader header;
        std::memcpy(&header, memory.host(buffer(kReceive, i), sizeof header), sizeof header);
        return header;
    }
    Bytes received(unsigned i, size_t bytes) {
        const uint8_t* from = memory.host(buffer(kReceive, i), bytes);
        return {from, from + bytes};
    }
    /// The device's answer to a command on the control queue; 0: it was carried out.
    uint8_t control(const Bytes& command) {
        std::memcpy(memory.host(buffer(kControl, 0), command.size()), command.data(), command.size());
        at<uint8_t>(buffer(kControl, 3)) = 0xee;
        describe_in(kControl, 0, buffer(kControl, 0), static_cast<uint32_t>(command.size()), kNext, 1);
        describe_in(kControl, 1, buffer(kControl, 3), 1, kWrite);
        offer_in(kControl, 0);
        return at<uint8_t>(buffer(kControl, 3));
    }
};

}  // namespace arclight::devices::test

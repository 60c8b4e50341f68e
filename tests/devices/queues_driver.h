#pragma once

#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/devices/virtio_driver.h"

namespace arclight::devices::test {

/// The guest's side of a device with several queues, each with eight buffers of 256 bytes.
class QueuesDriver : public VirtioDriver {
  public:
    static constexpr unsigned kQueues = 8, kBuffers = 8;
    static constexpr uint64_t kStride = 0x1000, kBuffer = 256;

    explicit QueuesDriver(std::unique_ptr<virtio::Backend> backend, TestRam guest_ram = TestRam(kRamSize))
        : VirtioDriver(std::move(backend), kBuffers, std::move(guest_ram)) {}

    static uint64_t table(unsigned queue) { return layout::kRamBase + 0x1000 + queue * kStride; }
    static uint64_t available(unsigned queue) { return table(queue) + 0x400; }
    static uint64_t used(unsigned queue) { return table(queue) + 0x800; }
    static uint64_t buffer(unsigned queue, unsigned i) { return kData + (queue * kBuffers + i) * kBuffer; }

    /// All queues that the device has.
    void start_queues(uint64_t features) {
        std::memset(ram.data(), 0, 0x10000);
        negotiate(features | virtio::kFeatureVersion1);
        for (unsigned queue = 0; queue < kQueues; queue++)
            place_queue(table(queue), available(queue), used(queue), queue);
        set(0x70, 0xf);
        for (uint16_t& count : seen_) count = 0;
        for (unsigned& next : next_) next = 0;
    }
    void offer_in(unsigned queue, uint16_t head) { offer_at(available(queue), queue, head); }
    /// Room for one buffer of input.
    void room(unsigned queue, uint32_t bytes = kBuffer) {
        const unsigned i = next_[queue]++ % kBuffers;
        describe(table(queue), i, buffer(queue, i), bytes, kWrite);
        offer_in(queue, static_cast<uint16_t>(i));
    }
    void send(unsigned queue, std::string_view bytes) {
        const unsigned i = next_[queue]++ % kBuffers;
        std::memcpy(memory.host(buffer(queue, i), bytes.size()), bytes.data(), bytes.size());
        describe(table(queue), i, buffer(queue, i), static_cast<uint32_t>(bytes.size()), 0);
        offer_in(queue, static_cast<uint16_t>(i));
    }
    uint16_t used_count(unsigned queue) {
        return std::atomic_ref<uint16_t>(at<uint16_t>(used(queue) + 2)).load();
    }
    /// What has come back on a queue since the last call.
    std::vector<std::string> take(unsigned queue) {
        std::vector<std::string> all;
        const uint16_t now = used_count(queue);
        for (; seen_[queue] != now; seen_[queue]++) {
            const uint64_t entry = used(queue) + 4 + seen_[queue] % size * 8;
            const auto bytes = at<uint32_t>(entry + 4);
            const auto* from =
                reinterpret_cast<const char*>(memory.host(buffer(queue, at<uint32_t>(entry)), bytes));
            all.emplace_back(from, bytes);
        }
        return all;
    }

  private:
    uint16_t seen_[kQueues] = {};
    unsigned next_[kQueues] = {};
};

}  // namespace arclight::devices::test

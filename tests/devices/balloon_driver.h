// The guest's side of a balloon: its queues, each with eight descriptors.
#pragma once

#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "devices/virtio/balloon.h"
#include "tests/devices/virtio_driver.h"

namespace arclight::devices::test {

/// Remembers what is given back, and forgets its content as a host does.
class BalloonHost final : public MachineHost {
  public:
    void say(const std::string&) override {}
    void pause(const std::string&) override {}
    void give_back(std::span<uint8_t> pages) override {
        std::ranges::fill(pages, 0);
        const std::lock_guard guard(lock_);
        given_.push_back(pages);
    }
    void balloon_changed(uint64_t bytes) override {
        const std::lock_guard guard(lock_);
        sizes_.push_back(bytes);
    }
    /// Since the last call.
    std::vector<std::span<uint8_t>> given() {
        const std::lock_guard guard(lock_);
        return std::exchange(given_, {});
    }
    std::vector<uint64_t> sizes() {
        const std::lock_guard guard(lock_);
        return std::exchange(sizes_, {});
    }

  private:
    std::mutex lock_;
    std::vector<std::span<uint8_t>> given_;
    std::vector<uint64_t> sizes_;
};

class BalloonDriver : public VirtioDriver {
  public:
    static constexpr uint64_t kStatistics = 2, kDeflateOnOom = 4, kPoison = 16, kReporting = 32;
    static constexpr unsigned kQueues = 4;

    explicit BalloonDriver(std::unique_ptr<virtio::Backend> backend) : VirtioDriver(std::move(backend)) {}

    static uint64_t table(unsigned queue) { return layout::kRamBase + 0x1000 + queue * 0x1000; }
    static uint64_t available(unsigned queue) { return table(queue) + 0x400; }
    static uint64_t used(unsigned queue) { return table(queue) + 0x800; }

    void start_balloon(uint64_t features = kStatistics | kPoison | kReporting) {
        std::memset(ram.data(), 0, 0x10000);
        negotiate(features | virtio::kFeatureVersion1);
        for (unsigned queue = 0; queue < kQueues; queue++)
            place_queue(table(queue), available(queue), used(queue), queue);
        set(0x70, 0xf);
    }
    void offer_in(unsigned queue, uint16_t head) { offer_at(available(queue), queue, head); }
    uint16_t done(unsigned queue) { return std::atomic_ref<uint16_t>(at<uint16_t>(used(queue) + 2)).load(); }
    /// Numbers of pages on the queue for inflation or deflation.
    void give(unsigned queue, std::span<const uint32_t> pages) {
        std::memcpy(memory.host(kData, pages.size_bytes()), pages.data(), pages.size_bytes());
        describe(table(queue), 0, kData, static_cast<uint32_t>(pages.size_bytes()), 0);
        offer_in(queue, 0);
    }
    static uint32_t page_number(uint64_t pa) { return static_cast<uint32_t>(pa >> 12); }
};

}  // namespace arclight::devices::test

#pragma once

#include <cstring>

#include "devices/virtio/mmio.h"
#include "tests/devices/fakes.h"
#include "tests/devices/test_ram.h"

namespace arclight::devices::test {

// The guest's side of one device with one queue, in a small RAM of its own.
class VirtioDriver {
  public:
    static constexpr uint64_t kRamSize = 1 << 20;
    static constexpr uint64_t kDescriptors = layout::kRamBase + 0x1000;
    static constexpr uint64_t kAvailable = layout::kRamBase + 0x2000;
    static constexpr uint64_t kUsed = layout::kRamBase + 0x3000;
    static constexpr uint64_t kData = layout::kRamBase + 0x10000;
    static constexpr uint16_t kNext = 1, kWrite = 2, kIndirect = 4;

    explicit VirtioDriver(std::unique_ptr<virtio::Backend> backend, uint16_t queue_size = 8,
                          TestRam guest_ram = TestRam(kRamSize))
        : size(queue_size),
          ram(std::move(guest_ram)),
          device(31, memory, IrqLine(controller, 32 + 16 + 31), std::move(backend)) {}

    uint32_t get(uint64_t offset) { return static_cast<uint32_t>(device.read(offset, 4)); }
    void set(uint64_t offset, uint64_t value) { device.write(offset, value, 4); }
    bool wire() const { return controller.spis[16 + 31]; }

    void negotiate(uint64_t features) {
        set(0x70, 0);
        set(0x70, 1);
        set(0x70, 3);
        set(0x24, 0);
        set(0x20, features & 0xffffffff);
        set(0x24, 1);
        set(0x20, features >> 32);
        set(0x70, 0xb);
    }
    void place_queue(uint64_t desc = kDescriptors, uint64_t avail = kAvailable, uint64_t use = kUsed,
                     unsigned queue = 0) {
        set(0x30, queue);
        set(0x38, size);
        set(0x80, desc & 0xffffffff), set(0x84, desc >> 32);
        set(0x90, avail & 0xffffffff), set(0x94, avail >> 32);
        set(0xa0, use & 0xffffffff), set(0xa4, use >> 32);
        set(0x44, 1);
    }
    void start(uint64_t features = virtio::kFeatureVersion1) {
        std::memset(ram.data(), 0, 0x10000);
        negotiate(features);
        place_queue();
        set(0x70, 0xf);
    }

    template <typename T>
    T& at(uint64_t pa) {
        return *reinterpret_cast<T*>(memory.host(pa, sizeof(T)));
    }
    void describe(uint64_t table, unsigned index, uint64_t address, uint32_t length, uint16_t flags,
                  uint16_t following = 0) {
        const uint64_t entry = table + index * 16;
        at<uint64_t>(entry) = address;
        at<uint32_t>(entry + 8) = length;
        at<uint16_t>(entry + 12) = flags;
        at<uint16_t>(entry + 14) = following;
    }
    void offer(uint16_t head, bool notify = true) { offer_at(kAvailable, 0, head, notify); }
    /// On any queue, by its available ring.
    void offer_at(uint64_t available, unsigned queue, uint16_t head, bool notify = true) {
        const uint16_t index = at<uint16_t>(available + 2);
        at<uint16_t>(available + 4 + index % size * 2) = head;
        std::atomic_ref<uint16_t>(at<uint16_t>(available + 2)).store(static_cast<uint16_t>(index + 1));
        if (notify) set(0x50, queue);
    }
    uint16_t used_index() { return std::atomic_ref<uint16_t>(at<uint16_t>(kUsed + 2)).load(); }
    uint32_t used_id(unsigned i) { return at<uint32_t>(kUsed + 4 + i % size * 8); }
    uint32_t used_length(unsigned i) { return at<uint32_t>(kUsed + 8 + i % size * 8); }
    bool broken() { return (get(0x70) & 64) != 0; }

    uint16_t size;
    TestRam ram;
    mmu::PageOverlay overlay{ram.data(), layout::kRamBase, kRamSize};
    mmu::GuestMemory memory{ram.data(), layout::kRamBase, kRamSize, &overlay};
    FakeController controller;
    virtio::Mmio device;
};

}  // namespace arclight::devices::test

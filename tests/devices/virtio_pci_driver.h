// The guest's side of one virtio device on PCI with one queue: by the modern interface or by the legacy one.
#pragma once

#include <cstring>
#include <memory>
#include <utility>

#include "devices/virtio/pci.h"
#include "tests/devices/pci_board.h"

namespace arclight::devices::test {

class VirtioPciDriver : public PciBoard {
  public:
    static constexpr unsigned kDevfn = 1 << 3;
    static constexpr uint64_t kModern = layout::kPciMemory64.base;
    static constexpr uint64_t kTable = layout::kPciMemory32.base;
    static constexpr uint64_t kPorts = layout::kPciPorts.base + 0x1000;
    static constexpr uint64_t kIsr = kModern + 0x1000, kDevice = kModern + 0x2000, kNotify = kModern + 0x3000;

    // As a legacy queue's parts lie one after the other.
    static constexpr uint64_t kDescriptors = layout::kRamBase + 0x1000;
    static constexpr uint16_t kSize = 256;
    static constexpr uint64_t kAvailable = kDescriptors + kSize * 16;
    static constexpr uint64_t kUsed = layout::kRamBase + 0x3000;
    static constexpr uint64_t kData = layout::kRamBase + 0x10000;
    static constexpr uint16_t kNext = 1, kWrite = 2;

    explicit VirtioPciDriver(std::unique_ptr<virtio::Backend> backend,
                             const virtio::Pci::Options& options = {})
        : device(memory, std::move(backend), options) {
        bridge.plug(device, kDevfn);
        set_config(0, kDevfn, 0x10, 0x1000);
        set_config(0, kDevfn, 0x14, kTable);
        set_config(0, kDevfn, 0x20, kModern & 0xffff'ffff);
        set_config(0, kDevfn, 0x24, kModern >> 32);
        set_config(0, kDevfn, pci::kRegCommand, 7, 2);
    }

    void open_vector(unsigned vector, bool masked = false) {
        write(kTable + vector * 16, 0x1000 + vector * 4);
        write(kTable + vector * 16 + 8, vector);
        write(kTable + vector * 16 + 12, masked ? 1 : 0);
    }
    void enable_msix(bool on = true) { set_config(0, kDevfn, kMsix + 2, on ? 0x8000 : 0, 2); }

    void start(uint64_t features = virtio::kFeatureVersion1, uint16_t vector = 0xffff) {
        std::memset(ram.data(), 0, 0x10000);
        for (const unsigned status : {0u, 1u, 3u}) write(kModern + 0x14, status, 1);
        for (const unsigned word : {0u, 1u}) {
            write(kModern + 0x08, word);
            write(kModern + 0x0c, features >> word * 32 & 0xffff'ffff);
        }
        write(kModern + 0x14, 0xb, 1);
        write(kModern + 0x16, 0, 2);
        write(kModern + 0x18, kSize, 2);
        write(kModern + 0x1a, vector, 2);
        place(0x20, kDescriptors);
        place(0x28, kAvailable);
        place(0x30, kUsed);
        write(kModern + 0x1c, 1, 2);
        write(kModern + 0x14, 0xf, 1);
    }
    void start_legacy(uint32_t features = 0) {
        std::memset(ram.data(), 0, 0x10000);
        for (const unsigned status : {0u, 1u, 3u}) write(kPorts + 0x12, status, 1);
        write(kPorts + 0x04, features);
        write(kPorts + 0x0e, 0, 2);
        write(kPorts + 0x08, kDescriptors >> 12);
        write(kPorts + 0x12, 7, 1);
    }
    void place(uint64_t field, uint64_t pa) {
        write(kModern + field, pa & 0xffff'ffff);
        write(kModern + field + 4, pa >> 32);
    }

    template <typename T>
    T& at(uint64_t pa) {
        return *reinterpret_cast<T*>(memory.host(pa, sizeof(T)));
    }
    void describe(unsigned index, uint64_t address, uint32_t length, uint16_t flags, uint16_t following = 0) {
        const uint64_t entry = kDescriptors + index * 16;
        at<uint64_t>(entry) = address;
        at<uint32_t>(entry + 8) = length;
        at<uint16_t>(entry + 12) = flags;
        at<uint16_t>(entry + 14) = following;
    }
    void offer(uint16_t head) {
        const uint16_t index = at<uint16_t>(kAvailable + 2);
        at<uint16_t>(kAvailable + 4 + index % kSize * 2) = head;
        std::atomic_ref<uint16_t>(at<uint16_t>(kAvailable + 2)).store(static_cast<uint16_t>(index + 1));
    }
    void notify() { write(kNotify, 0, 2); }
    uint16_t used_index() { return std::atomic_ref<uint16_t>(at<uint16_t>(kUsed + 2)).load(); }

    static constexpr unsigned kMsix = 0x40;
    virtio::Pci device;
};

}  // namespace arclight::devices::test

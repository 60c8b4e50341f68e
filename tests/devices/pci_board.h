// A PCI Express bus with its host bridge, a small RAM, and whoever takes messages.
#pragma once

#include <array>
#include <mutex>
#include <vector>

#include "devices/bus.h"
#include "devices/msi.h"
#include "devices/pci/host_bridge.h"
#include "mmu/guest_memory.h"
#include "tests/devices/fakes.h"

namespace arclight::devices::test {

class MessageLog final : public MsiTarget {
  public:
    struct Message {
        uint32_t requester;
        uint64_t address;
        uint32_t data;
        bool operator==(const Message&) const = default;
    };
    bool message(uint32_t requester, uint64_t address, uint32_t data) override {
        const std::lock_guard guard(lock_);
        messages_.push_back({requester, address, data});
        return true;
    }
    /// What has come since the last call.
    std::vector<Message> take() {
        const std::lock_guard guard(lock_);
        return std::exchange(messages_, {});
    }

  private:
    std::mutex lock_;
    std::vector<Message> messages_;
};

struct PciBoard {
    static constexpr uint64_t kRamSize = 1 << 20;

    PciBoard() { bridge.map(); }

    static constexpr uint64_t kRefused = 0x5a5a'5a5a'5a5a'5a5a;  ///< an access that nobody answers

    /// Configuration space as the CPU sees it.
    uint64_t config(unsigned bus_number, unsigned devfn, unsigned offset, unsigned size = 4) {
        return read(ecam(bus_number, devfn, offset), size);
    }
    void set_config(unsigned bus_number, unsigned devfn, unsigned offset, uint64_t value, unsigned size = 4) {
        write(ecam(bus_number, devfn, offset), value, size);
    }
    static uint64_t ecam(unsigned bus_number, unsigned devfn, unsigned offset) {
        return layout::kPciEcam.base + (uint64_t{bus_number} << 20 | devfn << 12 | offset);
    }
    uint64_t read(uint64_t pa, unsigned size = 4) {
        uint64_t value = 0;
        return bus.read(pa, size, value) ? value : kRefused;
    }
    void write(uint64_t pa, uint64_t value, unsigned size = 4) { bus.write(pa, size, value); }
    bool wire(unsigned line) const { return controller.spis[layout::kSpiPci + line]; }

    std::vector<uint8_t> ram = std::vector<uint8_t>(kRamSize);
    mmu::PageOverlay overlay{ram.data(), layout::kRamBase, kRamSize};
    mmu::GuestMemory memory{ram.data(), layout::kRamBase, kRamSize, &overlay};
    FakeController controller;
    MessageLog messages;
    Bus bus;
    pci::HostBridge bridge{
        bus,
        std::array{IrqLine(controller, 32 + layout::kSpiPci), IrqLine(controller, 33 + layout::kSpiPci),
                   IrqLine(controller, 34 + layout::kSpiPci), IrqLine(controller, 35 + layout::kSpiPci)},
        &messages};
};

}  // namespace arclight::devices::test

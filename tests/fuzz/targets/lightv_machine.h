#pragma once

#include "devices/guest_clock.h"
#include "guestos/lightv/machine_access.h"
#include "tests/devices/fakes.h"

namespace arclight::fuzz {

/// As much of a machine as LightV's control asks for: 1 MiB of RAM, one CPU without an MMU, a serial port.
class LightvMachine final : public guestos::MachineAccess {
  public:
    static constexpr uint64_t kBase = 0x4000'0000, kSize = 1 << 20;

    LightvMachine() { bus_.map(devices::layout::kUart.base, devices::layout::kUart.size, uart_, "uart"); }

    const mmu::GuestMemory& memory() const override { return memory_; }
    mmu::PageOverlay& page_overlay() override { return overlay_; }
    void forget_pages(std::span<const uint64_t>, bool) override {}
    void forget_code(std::span<const uint64_t>, bool, bool) override {}
    void ask_before_saves(std::function<std::optional<std::string>()>) override {}
    devices::GuestClock& clock() override { return clock_; }
    devices::Bus& bus() override { return bus_; }
    devices::Pl011& uart() override { return uart_; }
    devices::IrqLine uart_line() override { return devices::IrqLine(controller_, 33); }
    std::span<devices::virtio::SharedDisk* const> shared_disks() const override { return {}; }
    unsigned cpus() const override { return 1; }
    bool cpu_powered_off(unsigned) const override { return false; }
    mmu::TranslationRegs cpu_translation(unsigned) const override {
        mmu::TranslationRegs regs;
        regs.update();
        return regs;
    }
    uint64_t cpu_vectors(unsigned) const override { return 0; }
    Process wait_for_process(uint32_t, std::chrono::milliseconds) override { return {}; }

  private:
    struct Ram {
        Ram() : bytes(static_cast<uint8_t*>(std::aligned_alloc(4096, kSize))) {
            std::memset(bytes, 0, kSize);
        }
        ~Ram() { std::free(bytes); }
        Ram(const Ram&) = delete;
        Ram& operator=(const Ram&) = delete;
        uint8_t* bytes;
    };
    Ram ram_;
    mmu::PageOverlay overlay_{ram_.bytes, kBase, kSize};
    mmu::GuestMemory memory_{ram_.bytes, kBase, kSize, &overlay_};
    devices::test::FakeController controller_;
    devices::test::FakeTerminal terminal_;
    devices::Pl011 uart_{terminal_, devices::IrqLine(controller_, 33)};
    devices::GuestClock clock_;
    devices::Bus bus_;
};

}  // namespace arclight::fuzz

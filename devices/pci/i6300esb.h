#pragma once

#include <cstdint>
#include <mutex>

#include "devices/event_loop.h"
#include "devices/guest_clock.h"
#include "devices/machine_host.h"
#include "devices/pci/function.h"

namespace arclight::devices::pci {

/// The watchdog of Intel's 6300ESB I/O controller hub, as QEMU has it (Intel 300641-004 chapter 14). A guest that does not restart
/// it in time is dealt with as the user has chosen (MachineHost::watchdog_expired()). Its two stages count guest time; the interrupt
/// at the end of the first one is not raised.
class I6300Esb final : public Function {
  public:
    /// `host`: null, nobody is told.
    I6300Esb(EventLoop& loop, GuestClock& clock, MachineHost* host);

    uint32_t config_read(unsigned offset, unsigned size) override;
    void config_write(unsigned offset, uint32_t value, unsigned size) override;
    void quiesce() override;
    void resume() override;

  private:
    static constexpr uint32_t kPreloadMask = 0xf'ffff;  // 14.4.1: 20 bits
    struct State {
        std::array<uint32_t, 2> preload{kPreloadMask, kPreloadMask};  // of the stages
        uint8_t unlock_step = 0;  // how much of the sequence was written that registers are written after
        uint8_t stage = 0;        // that counts, 0 or 1
        bool enabled = false;
        bool timed_out = false;  // since the guest cleared it
        bool expired = false;    // the lock register reads as zero until it is written
        uint64_t deadline = 0;   // of the stage, in ticks of the guest's clock, if enabled

        template <typename Archive, typename Self>
        static void fields(Archive& archive, Self& self) {
            archive(self.preload, self.unlock_step, self.stage, self.enabled, self.timed_out, self.expired,
                    self.deadline);
        }
    };
    /// What configuration space says.
    struct Control {
        bool resets = true;  ///< the second stage's end is an end
        bool fast = false;
        bool free_running = false;
        bool enabled = false;
    };

    uint64_t bar_read(unsigned bar, uint64_t offset, unsigned size) override;
    void bar_write(unsigned bar, uint64_t offset, uint64_t value, unsigned size) override;
    void reset_device_state() override;
    void save_device(StateWriter& out) const override;
    StateResult load_device(StateReader& in) override;
    void config_loaded() override;

    Control read_control() const;
    void begin_stage(uint8_t stage);
    void arm();
    void look_at_deadline();

    GuestClock& clock_;
    MachineHost* const host_;
    mutable std::mutex lock_;  // after the bridge's
    State state_;
    Control control_;
    bool quiesced_ = false;
    EventLoop::Timer timer_;  // last: destroyed first, while the rest still stands
};

}  // namespace arclight::devices::pci

#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace arclight::devices {

/// What a device asks of whoever runs the machine. Any thread; no call waits for the machine.
class MachineHost {
  public:
    virtual ~MachineHost() = default;

    /// One line for the user, without an end of line.
    virtual void say(const std::string& line) = 0;
    /// Says why, and pauses the machine until the user lets it go on. The machine is quiesced some time after
    /// the call and resumed when it goes on, as for a saved state (devices/state.h).
    virtual void pause(const std::string& why) = 0;

    /// The guest has no use for the content of these whole pages of 4 KiB. The host may take their memory, and they read as
    /// zeros afterwards; what is not RAM's own memory stays. With mmu::GuestMemory::dma() held, one thread at a time.
    virtual void give_back(std::span<uint8_t> /*pages*/) {}
    /// The guest has so many bytes of its memory from now on.
    virtual void balloon_changed(uint64_t /*bytes*/) {}
    /// The guest has not attended to its watchdog: what the user has chosen for that is done.
    virtual void watchdog_expired() {}
};

}  // namespace arclight::devices

#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "devices/scsi/protocol.h"
#include "devices/state.h"

namespace arclight::devices::scsi {

using Buffers = std::span<const std::span<uint8_t>>;

/// A command with the buffers that its data go through.
struct Command {
    std::span<const uint8_t> cdb;  ///< one byte at least
    Buffers out;                   ///< from the initiator
    Buffers in;                    ///< to the initiator
};

struct Reply {
    Status status = Status::Good;
    Sense sense = {};          ///< with CheckCondition
    uint64_t transferred = 0;  ///< bytes, in either direction
    bool overrun = false;      ///< the buffers have no room for what the command transfers; nothing was done
    bool postponed = false;    ///< the machine is being paused: the command is to be tried again
    std::vector<uint8_t> bytes = {};  ///< to be copied to `in`; reads have put their data there
};

/// Where a unit is on its host.
struct Address {
    uint8_t target = 0;
    uint16_t lun = 0;
    auto operator<=>(const Address&) const = default;
};

/// What a SCSI host sends commands to. One thread at a time.
class Unit : public Stateful {
  public:
    virtual Reply execute(const Command& command) = 0;
    /// As by power-on or a reset of the unit: the next command learns of it.
    virtual void reset() = 0;
};

}  // namespace arclight::devices::scsi

#include "guestos/chardev/telnet.h"

namespace arclight::guestos {

namespace {
constexpr uint8_t kSubnegotiationEnd = 240, kSubnegotiation = 250, kWill = 251, kDont = 254, kCommand = 255;
}

std::span<uint8_t> Telnet::strip(std::span<uint8_t> bytes) {
    size_t kept = 0;
    for (const uint8_t byte : bytes) {
        switch (state_) {
            case State::Data:
                if (byte == kCommand)
                    state_ = State::Command;
                else
                    bytes[kept++] = byte;
                break;
            case State::Command:
                // Twice, it is a byte of data.
                if (byte == kCommand) bytes[kept++] = byte;
                state_ = byte == kSubnegotiation          ? State::Subnegotiation
                         : byte >= kWill && byte <= kDont ? State::Option
                                                          : State::Data;
                break;
            case State::Option: state_ = State::Data; break;
            case State::Subnegotiation:
                if (byte == kCommand) state_ = State::SubnegotiationCommand;
                break;
            case State::SubnegotiationCommand:
                state_ = byte == kSubnegotiationEnd ? State::Data : State::Subnegotiation;
                break;
        }
    }
    return bytes.first(kept);
}

}  // namespace arclight::guestos

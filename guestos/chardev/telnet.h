// The telnet protocol (RFC 854) as far as QEMU's chardevs have it: the client is asked to send characters as they are typed, and
// its commands are taken out of the input.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace arclight::guestos {

class Telnet {
  public:
    /// What a server says at the start: it echoes, there is no go-ahead, and both ways are binary (RFC 857, 858, 856).
    static constexpr std::array<uint8_t, 12> kGreeting = {255, 251, 1, 255, 251, 3, 255, 251, 0, 255, 253, 0};

    /// Takes commands out of `bytes` in place, also those that began in the bytes before; returns the rest.
    std::span<uint8_t> strip(std::span<uint8_t> bytes);

  private:
    enum class State : uint8_t { Data, Command, Option, Subnegotiation, SubnegotiationCommand };
    State state_ = State::Data;
};

}  // namespace arclight::guestos

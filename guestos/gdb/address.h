// Where a debugger connects: `--gdb tcp:[HOST]:PORT | unix:PATH`.
#pragma once

#include <cstdint>
#include <string>

#include "mmu/result.h"

namespace arclight::guestos::gdb {

struct Address {
    bool local = false;  ///< a Unix socket
    std::string path;
    std::string host = "127.0.0.1";
    uint16_t port = 0;
};

/// QEMU's words; without a host it is the loopback address, since whoever connects has the guest in his hand. Options behind
/// a comma are those that a server has in any case: `server[=on]`, `wait=off`, `nowait`. An error is one line.
Result<Address> parse_address(const std::string& text);

/// A socket that listens there; a path is this user's alone.
Result<int> listen_at(const Address& address);

}  // namespace arclight::guestos::gdb

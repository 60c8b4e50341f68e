// Words for character back ends, as on QEMU's command line.
#pragma once

#include <string>
#include <string_view>

#include "guestos/chardev/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// KIND,id=NAME[,KEY=VALUE]..., as after -chardev. An error is one line.
Result<ChardevOptions> parse_chardev(std::string_view text);

/// The short forms, as after -serial, -monitor and -qmp: stdio, mon:stdio, null, pty[:LINK], file:PATH, pipe:PATH,
/// tcp:HOST:PORT[,KEY=VALUE]..., unix:PATH[,KEY=VALUE]..., ringbuf.
Result<ChardevOptions> parse_chardev_short(const std::string& id, std::string_view text);

/// What is wrong with options that were put together; nothing: they can be opened.
Result<void> check_chardev(const ChardevOptions& options);

}  // namespace arclight::guestos

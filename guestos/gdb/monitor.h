// What `monitor COMMAND` does in a debugger, where nothing else answers.
#pragma once

#include "guestos/gdb/session.h"

namespace arclight::guestos::gdb {

/// help, info registers, info cpus, system_reset (reset), quit: QEMU's words.
std::optional<std::string> basic_monitor(DebugTarget& target, unsigned cpu, std::string_view command);

}  // namespace arclight::guestos::gdb

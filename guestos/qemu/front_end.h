// QEMU's command line as the program's second entry.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "guestos/options.h"

namespace arclight::guestos::qemu {

/// Whether the program was started under a name that speaks QEMU's words: qemu-system-aarch64 or arclight-qemu.
bool is_qemu_name(std::string_view program);

/// Parses and runs a whole command line; returns the exit status, QEMU's: 0 or 1. `program` is the name for messages.
int main_with(const std::string& program, const std::vector<std::string>& arguments,
              const std::string& version, const std::function<int(const RunOptions&)>& run);

}  // namespace arclight::guestos::qemu

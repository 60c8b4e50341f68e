// A CPU's registers for people. The CPU stands.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "frontend/a64/system/cpu.h"

namespace arclight::guestos {

/// In the form of QEMU's `info registers`.
std::string register_text(const frontend::a64::Cpu& cpu);
/// pc, sp, lr, x0 to x30; nothing: there is no such register.
std::optional<uint64_t> register_by_name(const frontend::a64::Cpu& cpu, std::string_view name);

}  // namespace arclight::guestos

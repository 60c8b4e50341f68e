// Names that QEMU knows.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace arclight::guestos::qemu {

/// The version whose behaviour is followed, as --version says it.
inline constexpr std::string_view kFollowedVersion = "7.2.22";

/// A machine of qemu-system-aarch64 7.2 that is not virt.
bool is_other_board(std::string_view name);
/// A CPU of it that has no AArch64.
bool is_32_bit_cpu(std::string_view name);

std::string machine_help();
std::string accelerator_help();

}  // namespace arclight::guestos::qemu

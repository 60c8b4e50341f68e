#pragma once

#include <string>

namespace arclight::guestos::qemu {

/// The answer to -d help.
std::string log_help();

}  // namespace arclight::guestos::qemu

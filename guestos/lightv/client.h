// The other end of the control socket (control.h).
#pragma once

#include <string>

#include "mmu/result.h"

namespace arclight::guestos {

/// Sends one line and returns the one that comes back.
Result<std::string> ask_control(const std::string& path, const std::string& line);

}  // namespace arclight::guestos

// The other end of the control socket (control.h).
#pragma once

#include <string>

#include "mmu/result.h"

namespace arclight::guestos {

/// Sends one line, with a descriptor if there is one, and returns the line that comes back.
Result<std::string> ask_control(const std::string& path, const std::string& line, int descriptor = -1);

}  // namespace arclight::guestos

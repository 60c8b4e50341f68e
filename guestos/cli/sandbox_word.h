#pragma once

#include <string_view>

#include "guestos/options.h"

namespace arclight::guestos::cli {

/// Of --sandbox: on, off or require. Empty: it was not given.
inline SandboxMode sandbox_mode(std::string_view word) {
    if (word.empty()) return kDefaultSandbox;
    return word == "off" ? SandboxMode::Off : word == "require" ? SandboxMode::Require : SandboxMode::On;
}

}  // namespace arclight::guestos::cli

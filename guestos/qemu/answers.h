// What is asked for instead of a machine: --version, -help, -machine help, -device NAME,help and others.
#pragma once

#include <optional>
#include <string>

#include "guestos/qemu/invocation.h"

namespace arclight::guestos::qemu {

/// The text for stdout; nothing: a machine is asked for. An error is one line. `version` is Arclight's.
Result<std::optional<std::string>> answer(const Invocation& invocation, const std::string& version);

}  // namespace arclight::guestos::qemu

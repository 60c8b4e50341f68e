#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "guestos/machine/board/run_state.h"

namespace arclight::guestos {

/// QEMU's.
const char* run_state_word(RunState state);
std::string base64(std::span<const uint8_t> bytes);

}  // namespace arclight::guestos

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "guestos/machine/board/run_state.h"
#include "guestos/options.h"

namespace arclight::guestos {

/// QEMU's.
const char* run_state_word(RunState state);
/// Why a machine that has powered off does not go on.
inline constexpr const char* kWantsReset = "Resetting the Virtual Machine is required";
const char* watchdog_action_word(WatchdogAction action);
/// Nothing: there is no such action. inject-nmi is none: the virt board has no NMI.
std::optional<WatchdogAction> watchdog_action_named(std::string_view word);
std::string base64(std::span<const uint8_t> bytes);

}  // namespace arclight::guestos

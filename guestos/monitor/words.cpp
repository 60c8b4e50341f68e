#include "guestos/monitor/words.h"

#include <utility>

namespace arclight::guestos {

const char* run_state_word(RunState state) {
    switch (state) {
        case RunState::Prelaunch: return "prelaunch";
        case RunState::Running: return "running";
        case RunState::Paused: return "paused";
        case RunState::IoError: return "io-error";
        case RunState::Watchdog: return "watchdog";
        case RunState::Shutdown: return "shutdown";
    }
    return "internal-error";
}

namespace {
constexpr std::pair<const char*, WatchdogAction> kWatchdogActions[] = {
    {"reset", WatchdogAction::Reset},       {"shutdown", WatchdogAction::Shutdown},
    {"poweroff", WatchdogAction::PowerOff}, {"pause", WatchdogAction::Pause},
    {"debug", WatchdogAction::Debug},       {"none", WatchdogAction::None}};
}  // namespace

const char* watchdog_action_word(WatchdogAction action) {
    for (const auto& [word, meaning] : kWatchdogActions)
        if (meaning == action) return word;
    return "none";
}

std::optional<WatchdogAction> watchdog_action_named(std::string_view word) {
    for (const auto& [name, meaning] : kWatchdogActions)
        if (name == word) return meaning;
    return std::nullopt;
}

std::string base64(std::span<const uint8_t> bytes) {
    constexpr const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (size_t at = 0; at < bytes.size(); at += 3) {
        const size_t n = std::min<size_t>(3, bytes.size() - at);
        uint32_t group = 0;
        for (size_t i = 0; i < 3; ++i) group = group << 8 | (i < n ? bytes[at + i] : 0u);
        for (size_t i = 0; i < 4; ++i) text += i <= n ? kDigits[group >> (18 - 6 * i) & 63] : '=';
    }
    return text;
}

}  // namespace arclight::guestos

// Options of qemu-system-aarch64 that people type here.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace arclight::guestos::cli {

/// What QEMU's option is here, and who takes it as it is; nothing: QEMU has none of that name. `name` is without dashes; `value` is the next word, or
/// empty. One line without a full stop.
std::optional<std::string> explain_qemu_word(std::string_view name, std::string_view value);

}  // namespace arclight::guestos::cli

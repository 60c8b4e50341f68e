// Every option that qemu-system-aarch64 7.2 has, and what becomes of it here. docs/from-qemu.md shows this table.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace arclight::guestos::qemu {

/// What follows an option's name.
enum class Form : uint8_t {
    Flag,  ///< nothing
    Word,  ///< one text
    List,  ///< KEY=VALUE,...
};

/// What becomes of it.
enum class Standing : uint8_t {
    Same,     ///< does what it does in QEMU
    Differs,  ///< taken, with a difference that the note tells
    Ignored,  ///< taken without a word: it cannot change what the guest sees
    Refused,  ///< an error; the note is the reason
};

struct OptionRow {
    std::string_view name;
    Form form;
    std::string_view implied;  ///< the key of a list's first word without "="; empty: none
    Standing standing;
    std::string_view note;
};

std::span<const OptionRow> option_table();
/// Also by its other name (-M, --help). Null: QEMU has none of that name. `name` is without dashes.
const OptionRow* find_option(std::string_view name);

/// For the page docs/from-qemu.md: a line of a Markdown table for each option.
std::string option_page();

}  // namespace arclight::guestos::qemu

// A command line of QEMU's, taken apart: which options were given with which values. What they mean is translate.h's business.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "guestos/qemu/key_values.h"

namespace arclight::guestos::qemu {

/// An option as it was given.
struct Given {
    std::string option;  ///< its name in the table, without dashes
    std::string origin;  ///< as it was typed, for messages: "-drive file=x"
    KeyValues values;    ///< of an option whose value is one word, that under the key ""; of a flag, nothing

    /// The last one of that key; empty: there is none.
    std::string value(std::string_view key = "") const;
    bool has(std::string_view key) const;
};

/// What was asked for instead of a machine.
enum class Question : uint8_t { None, Help, Version };

struct Invocation {
    std::string program;  ///< for messages
    std::vector<Given> given;
    Question question = Question::None;

    std::vector<const Given*> all(std::string_view option) const;
    bool has(std::string_view option) const { return !all(option).empty(); }
    /// The last one's only value; nothing: it was not given.
    std::optional<std::string> word(std::string_view option) const;
    /// All values of all of that name; the last of each key counts.
    Given merged(std::string_view option) const;
};

/// Reads a command line (without the program's name). An error is one line that begins with the option's own text.
Result<Invocation> parse_command_line(std::string program, std::span<const std::string> words);

}  // namespace arclight::guestos::qemu

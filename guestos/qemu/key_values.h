// QEMU's form of an option's value: KEY=VALUE,KEY=VALUE,... (util/qemu-option.c of QEMU 7.2), and the same as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mmu/result.h"

namespace arclight::guestos::qemu {

/// Of one option, in their order. A key may be there several times.
using KeyValues = std::vector<std::pair<std::string, std::string>>;

/// `implied`: the key of a first word without "="; empty: there is none. Two commas in a value stand for one. A word without
/// "=" is on; one that begins with "no" is off, under the rest of its name; "help" and "?" are keys. Text that begins with "{"
/// is JSON: the keys of an object in an object are joined by points, null is an empty value.
Result<KeyValues> parse_key_values(std::string_view text, std::string_view implied);

/// `value` as it is written in a list: with its commas twice.
std::string doubled_commas(std::string_view value);

/// On, yes, true, y and their opposites.
std::optional<bool> parse_switch(std::string_view text);
/// A number of bytes with the suffix b, K, M, G, T, P or E in either case and, in front of it, a fraction; hexadecimal after 0x.
/// `unit` is what a number without a suffix counts.
Result<uint64_t> parse_size(std::string_view text, uint64_t unit);
/// Decimal, hexadecimal after 0x, or octal after 0, as strtoull() reads it.
std::optional<uint64_t> parse_number(std::string_view text);

/// With '?' for each control character: quoted words may have any.
std::string one_line(std::string text);

/// ", did you mean 'NEAR'?" or nothing.
std::string hint(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace arclight::guestos::qemu

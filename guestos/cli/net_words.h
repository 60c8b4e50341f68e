// The keys of one `--net`, by its kind. Errors are one line.
#pragma once

#include <charconv>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos::cli {

/// In their order; id, mac and mtu, which all kinds have, are not among them.
using NetWords = std::vector<std::pair<std::string, std::string>>;

Result<void> set_tap(NetOptions& net, const NetWords& words);
Result<void> set_socket(NetOptions& net, const NetWords& words);
Result<void> set_stream(NetOptions& net, const NetWords& words);
Result<void> set_datagram(NetOptions& net, const NetWords& words);
Result<void> set_passt(NetOptions& net, const NetWords& words);

Result<bool> parse_net_switch(std::string_view key, std::string_view value);
std::unexpected<std::string> unknown_net_key(std::string_view key, std::string_view known);

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

}  // namespace arclight::guestos::cli

#include "guestos/qemu/key_values.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "guestos/nearest_word.h"

namespace arclight::guestos::qemu {

namespace {

/// From `at` up to a single comma, behind which `at` stands then.
std::string take_value(std::string_view text, size_t& at) {
    std::string value;
    for (; at < text.size(); ++at) {
        if (text[at] == ',') {
            if (at + 1 >= text.size() || text[at + 1] != ',') break;
            ++at;
        }
        value += text[at];
    }
    ++at;
    return value;
}

using Json = nlohmann::json;
constexpr int kMaxDepth = 16;

Result<void> flatten(const Json& from, const std::string& prefix, KeyValues& to, int depth = 0) {
    if (depth > kMaxDepth) return failure("the JSON text is nested too deeply");
    if (from.is_object() || from.is_array()) {
        size_t index = 0;
        for (const auto& item : from.items()) {
            const std::string key = from.is_array() ? std::to_string(index++) : item.key();
            if (const auto done =
                    flatten(item.value(), prefix.empty() ? key : prefix + "." + key, to, depth + 1);
                !done)
                return done;
        }
        return {};
    }
    to.emplace_back(prefix, from.is_null()      ? std::string()
                            : from.is_string()  ? from.get<std::string>()
                            : from.is_boolean() ? std::string(from.get<bool>() ? "on" : "off")
                                                : from.dump());
    return {};
}

/// The parser of nlohmann's library recurses into nested texts.
bool too_deep(std::string_view text) {
    int depth = 0;
    return std::ranges::any_of(text, [&](char c) {
        if (c == '{' || c == '[') ++depth;
        if (c == '}' || c == ']') --depth;
        return depth > kMaxDepth;
    });
}

}  // namespace

Result<KeyValues> parse_key_values(std::string_view text, std::string_view implied) {
    KeyValues values;
    if (text.starts_with('{')) {
        if (too_deep(text)) return failure("the JSON text is nested too deeply");
        const Json json = Json::parse(text, nullptr, false);
        if (!json.is_object()) return failure("the text is not a JSON object");
        if (const auto done = flatten(json, "", values); !done) return std::unexpected(done.error());
        return values;
    }
    size_t at = 0;
    while (at < text.size()) {
        const size_t end = std::min(text.find_first_of("=,", at), text.size());
        const bool has_value = end < text.size() && text[end] == '=';
        if (has_value) {
            std::string key(text.substr(at, end - at));
            at = end + 1;
            values.emplace_back(std::move(key), take_value(text, at));
        } else if (at == 0 && !implied.empty() && text != "help" && text != "?") {
            values.emplace_back(implied, take_value(text, at));
        } else {
            std::string_view key = text.substr(at, end - at);
            at = end + 1;
            const bool negated = key.starts_with("no") && key.size() > 2;
            if (negated) key.remove_prefix(2);
            values.emplace_back(key, negated ? "off" : "on");
        }
    }
    return values;
}

std::string doubled_commas(std::string_view value) {
    std::string text;
    for (const char c : value) text.append(c == ',' ? 2 : 1, c);
    return text;
}

std::optional<bool> parse_switch(std::string_view text) {
    if (text == "on" || text == "yes" || text == "true" || text == "y") return true;
    if (text == "off" || text == "no" || text == "false" || text == "n") return false;
    return std::nullopt;
}

Result<uint64_t> parse_size(std::string_view text, uint64_t unit) {
    const auto wrong = [&] { return failure("'{}' is not a size (examples: 512M, 1.5G)", text); };
    if (const auto number = text.starts_with("0x") ? parse_number(text) : std::nullopt) {
        if (*number > ~uint64_t{0} / unit) return wrong();
        return *number * unit;
    }
    double value = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc() || value < 0 || text.starts_with('-')) return wrong();
    const std::string_view suffix = text.substr(static_cast<size_t>(end - text.data()));
    if (suffix.size() > 1) return wrong();
    if (!suffix.empty()) {
        constexpr std::string_view kSuffixes = "bkmgtpe";
        const size_t power = kSuffixes.find(static_cast<char>(suffix[0] | 0x20));
        if (power == std::string_view::npos) return wrong();
        unit = uint64_t{1} << (10 * power);
    }
    const std::string_view digits = text.substr(0, text.size() - suffix.size());
    if (!digits.contains('.')) {
        // Exactly, also beyond the 53 bits of a double.
        uint64_t whole = 0;
        if (std::from_chars(digits.data(), digits.data() + digits.size(), whole).ec != std::errc() ||
            whole > ~uint64_t{0} / unit)
            return wrong();
        return whole * unit;
    }
    if (unit == 1 || !(value * static_cast<double>(unit) < 0x1p63)) return wrong();
    return static_cast<uint64_t>(value * static_cast<double>(unit));
}

std::optional<uint64_t> parse_number(std::string_view text) {
    int base = 10;
    if (text.starts_with("0x") || text.starts_with("0X")) {
        base = 16;
        text.remove_prefix(2);
    } else if (text.size() > 1 && text.starts_with('0')) {
        base = 8;
    }
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::string one_line(std::string text) {
    std::ranges::replace_if(
        text, [](char c) { return static_cast<unsigned char>(c) < ' '; }, '?');
    return text;
}

std::string hint(std::string_view word, const std::vector<std::string_view>& known) {
    const std::string_view near = nearest_word(word, known);
    return near.empty() ? "" : fmt::format(", did you mean '{}'?", near);
}

}  // namespace arclight::guestos::qemu

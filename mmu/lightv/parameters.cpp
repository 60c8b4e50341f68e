#include "mmu/lightv/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace arclight::mmu::lightv {

std::optional<uint64_t> parse_number(const std::string& text) {
    const bool hex = text.starts_with("0x") || text.starts_with("0X");
    const char *first = text.data() + (hex ? 2 : 0), *last = text.data() + text.size();
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(first, last, value, hex ? 16 : 10);
    if (error != std::errc{} || end == first) return std::nullopt;
    if (end == last) return value;
    if (end + 1 != last) return std::nullopt;
    const std::string units = "KMG";
    const size_t unit = units.find(*end);
    if (unit == std::string::npos || value >> (64 - 10 * (unit + 1)) != 0) return std::nullopt;
    return value << 10 * (unit + 1);
}

Parameters::Parameters(const Json& object, std::string what) : left_(object), what_(std::move(what)) {
    if (!left_.is_object()) {
        left_ = Json::object();
        wrong("not an object");
    }
}

void Parameters::wrong(const std::string& text) {
    if (error_.empty()) error_ = fmt::format("{}: {}", what_, text);
}

Json Parameters::take(const char* key, bool needed) {
    const auto found = left_.find(key);
    if (found == left_.end()) {
        if (needed) wrong(fmt::format("'{}' is missing", key));
        return nullptr;
    }
    Json value = *found;
    left_.erase(key);
    if (value.is_null()) wrong(fmt::format("'{}' is null", key));
    return value;
}

uint64_t Parameters::number(const char* key, std::optional<uint64_t> otherwise) {
    const Json value = take(key, !otherwise);
    if (value.is_null()) return otherwise.value_or(0);
    if (value.is_number_unsigned() || (value.is_number_integer() && value.get<int64_t>() >= 0))
        return value.get<uint64_t>();
    if (value.is_string())
        if (const auto number = parse_number(value.get<std::string>())) return *number;
    wrong(fmt::format("'{}' is not a number such as 4096, \"0x1000\" or \"4K\"", key));
    return 0;
}

double Parameters::fraction(const char* key, std::optional<double> otherwise) {
    const Json value = take(key, !otherwise);
    if (value.is_null()) return otherwise.value_or(0);
    if (value.is_number()) return value.get<double>();
    wrong(fmt::format("'{}' is not a number", key));
    return 0;
}

std::string Parameters::text(const char* key, std::optional<std::string> otherwise) {
    const Json value = take(key, !otherwise);
    if (value.is_null()) return otherwise.value_or("");
    if (value.is_string()) return value.get<std::string>();
    wrong(fmt::format("'{}' is not a text", key));
    return {};
}

std::string Parameters::word(const char* key, const std::vector<std::string>& words,
                             std::optional<std::string> otherwise) {
    std::string value = text(key, std::move(otherwise));
    if (error_.empty() && std::ranges::find(words, value) == words.end())
        wrong(fmt::format("'{}' is '{}', not one of {}", key, value, fmt::join(words, ", ")));
    return value;
}

std::vector<std::string> Parameters::texts(const char* key) {
    const Json value = take(key, true);
    std::vector<std::string> all;
    if (value.is_array())
        for (const Json& one : value)
            if (one.is_string()) all.push_back(one.get<std::string>());
    if (!value.is_null() && (!value.is_array() || all.size() != value.size()))
        wrong(fmt::format("'{}' is not a list of texts", key));
    return all;
}

Json Parameters::object(const char* key, bool needed) {
    Json value = take(key, needed);
    if (!value.is_null() && !value.is_object()) {
        wrong(fmt::format("'{}' is not an object", key));
        return nullptr;
    }
    return value;
}

Result<void> Parameters::finish() {
    if (error_.empty() && !left_.empty()) wrong(fmt::format("'{}' means nothing here", left_.begin().key()));
    if (!error_.empty()) return std::unexpected(error_);
    return {};
}

}  // namespace arclight::mmu::lightv

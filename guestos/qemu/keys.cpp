#include "guestos/qemu/keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace arclight::guestos::qemu {

const std::string* Keys::find(std::string_view key) {
    known_.push_back(key);
    const std::string* last = nullptr;
    for (size_t i = 0; i < used_.size(); ++i) {
        if (given_.values[i].first != key) continue;
        used_[i] = true;
        last = &given_.values[i].second;
    }
    return last;
}

std::string Keys::text(std::string_view key, std::string otherwise) {
    const std::string* found = find(key);
    return found != nullptr ? *found : otherwise;
}

std::optional<std::string> Keys::optional_text(std::string_view key) {
    const std::string* found = find(key);
    return found != nullptr ? std::optional(*found) : std::nullopt;
}

bool Keys::on(std::string_view key, bool otherwise) { return optional_switch(key).value_or(otherwise); }

std::optional<bool> Keys::optional_switch(std::string_view key) {
    const std::string* found = find(key);
    if (found == nullptr) return std::nullopt;
    const auto value = parse_switch(*found);
    if (!value) fail("Parameter '{}' expects 'on' or 'off'", key);
    return value;
}

std::optional<uint64_t> Keys::number(std::string_view key) {
    const std::string* found = find(key);
    if (found == nullptr) return std::nullopt;
    const auto value = parse_number(*found);
    if (!value) fail("Parameter '{}' expects a number", key);
    return value;
}

std::optional<uint64_t> Keys::size(std::string_view key, uint64_t unit) {
    const std::string* found = find(key);
    if (found == nullptr) return std::nullopt;
    const auto value = parse_size(*found, unit);
    if (!value) {
        fail("{}: {}", key, value.error());
        return std::nullopt;
    }
    return *value;
}

std::string Keys::choice(std::string_view key, std::string_view otherwise,
                         const std::vector<std::string_view>& words) {
    const std::string* found = find(key);
    if (found == nullptr) return std::string(otherwise);
    if (std::ranges::find(words, *found) == words.end())
        fail("Parameter '{}' does not accept value '{}'{} (known: {})", key, *found, hint(*found, words),
             fmt::join(words, ", "));
    return *found;
}

void Keys::ignore(std::initializer_list<std::string_view> keys) {
    for (const std::string_view key : keys) find(key);
}

KeyValues Keys::with_prefix(std::string_view prefix) {
    KeyValues taken;
    for (size_t i = 0; i < used_.size(); ++i) {
        const auto& [key, value] = given_.values[i];
        if (used_[i] || !key.starts_with(prefix)) continue;
        used_[i] = true;
        taken.emplace_back(key.substr(prefix.size()), value);
    }
    return taken;
}

KeyValues Keys::take_rest() { return with_prefix(""); }

Result<void> Keys::finish() {
    for (size_t i = 0; i < used_.size() && !error_; ++i) {
        const std::string& key = given_.values[i].first;
        if (!used_[i]) fail("Invalid parameter '{}'{}", key, hint(key, known_));
    }
    if (error_) return failure("{}: {}", given_.origin, *error_);
    return {};
}

}  // namespace arclight::guestos::qemu

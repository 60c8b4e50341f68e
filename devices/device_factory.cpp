#include "devices/device_factory.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace arclight::devices {

namespace {

std::optional<uint64_t> parse_number(std::string_view text) {
    const bool hex = text.starts_with("0x");
    if (hex) text.remove_prefix(2);
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// What is wrong with a value, or nothing.
std::optional<std::string> complaint(const DeviceOption& option, const std::string& value) {
    switch (option.kind) {
        case DeviceOption::Kind::Text:
            if (value.size() > option.max)
                return fmt::format("{} '{}' is longer than {} bytes", option.name, value, option.max);
            break;
        case DeviceOption::Kind::Switch:
            if (value != "on" && value != "off")
                return fmt::format("{} is '{}' and not on or off", option.name, value);
            break;
        case DeviceOption::Kind::Number: {
            const auto number = parse_number(value);
            if (!number) return fmt::format("{} '{}' is no number", option.name, value);
            if (*number > option.max)
                return fmt::format("{} {} is more than {}", option.name, value, option.max);
            break;
        }
    }
    return std::nullopt;
}

template <typename Items>
std::string names_of(const Items& items) {
    std::string names;
    for (const auto& item : items) names += (names.empty() ? "" : ", ") + item.name;
    return names;
}

const char* form_of(DeviceOption::Kind kind) {
    switch (kind) {
        case DeviceOption::Kind::Text: return "TEXT";
        case DeviceOption::Kind::Switch: return "on|off";
        case DeviceOption::Kind::Number: return "NUMBER";
    }
    return "";
}

}  // namespace

uint64_t DeviceArguments::number(std::string_view name) const { return parse_number(text(name)).value_or(0); }

Result<DeviceRequest> DeviceRequest::parse(std::string_view text) {
    std::vector<std::string> parts(1);
    for (size_t i = 0; i < text.size(); i++) {
        if (text[i] != ',') {
            parts.back() += text[i];
        } else if (i + 1 < text.size() && text[i + 1] == ',') {
            parts.back() += text[i++];
        } else {
            parts.emplace_back();
        }
    }
    DeviceRequest request{.name = parts[0], .options = {}};
    if (request.name.empty()) return failure("'{}' names no device", text);
    for (const std::string& part : std::span(parts).subspan(1)) {
        const size_t equals = std::min(part.find('='), part.size());
        if (equals == 0) return failure("'{}' has an option without a name", text);
        request.options.emplace_back(part.substr(0, equals),
                                     equals < part.size() ? part.substr(equals + 1) : "on");
    }
    return request;
}

const DeviceType* DeviceFactory::find(std::string_view name) const {
    const auto found = std::ranges::find(types_, name, &DeviceType::name);
    return found != types_.end() ? &*found : nullptr;
}

Result<DeviceFactory::Checked> DeviceFactory::complete(const DeviceRequest& request) const {
    const DeviceType* type = find(request.name);
    if (type == nullptr) {
        return failure("there is no device '{}' (known: {})", request.name, names_of(types_));
    }
    const auto failed = [&](const std::string& why) { return failure("device {}: {}", request.name, why); };
    DeviceArguments arguments;
    for (const auto& [name, value] : request.options) {
        const auto option = std::ranges::find(type->options, name, &DeviceOption::name);
        if (option == type->options.end())
            return failed(fmt::format("unknown option '{}' (known: {})", name, names_of(type->options)));
        if (const auto wrong = complaint(*option, value)) return failed(*wrong);
        // The last one counts, as on QEMU's command line.
        arguments.values_.insert_or_assign(name, value);
    }
    for (const DeviceOption& option : type->options) {
        if (arguments.values_.contains(option.name)) continue;
        if (!option.preset) return failed(fmt::format("{}=... is missing", option.name));
        arguments.values_.emplace(option.name, *option.preset);
    }
    return Checked{type, std::move(arguments)};
}

Result<NewDevice> DeviceFactory::make(const DeviceRequest& request, const DeviceContext& context) const {
    const auto checked = complete(request);
    if (!checked) return std::unexpected(checked.error());
    return checked->type->make(checked->arguments, context);
}

Result<void> DeviceFactory::check(const DeviceRequest& request) const {
    const auto checked = complete(request);
    if (!checked) return std::unexpected(checked.error());
    return {};
}

std::vector<HostPath> DeviceFactory::paths(const DeviceRequest& request) const {
    const auto checked = complete(request);
    if (!checked || !checked->type->paths) return {};
    return checked->type->paths(checked->arguments);
}

std::string DeviceFactory::help() const {
    std::string text;
    for (const DeviceType& type : types_) text += fmt::format("{:<16} {}\n", type.name, type.summary);
    return text;
}

std::string DeviceFactory::help(const DeviceType& type) {
    std::string text;
    for (const DeviceOption& option : type.options) {
        const std::string preset = !option.preset           ? " (required)"
                                   : option.preset->empty() ? ""
                                                            : fmt::format(" (default: {})", *option.preset);
        text += fmt::format("{:<24} {}{}\n", fmt::format("{}={}", option.name, form_of(option.kind)),
                            option.help, preset);
    }
    return text;
}

}  // namespace arclight::devices

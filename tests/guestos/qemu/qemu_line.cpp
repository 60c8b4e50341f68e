#include "tests/guestos/qemu/qemu_line.h"

#include <algorithm>

#include "devices/device_factory.h"

namespace arclight::guestos::qemu {

std::vector<std::string> words_of(std::string_view line) {
    std::vector<std::string> words;
    bool inside = false;
    char quote = 0;
    for (const char c : line) {
        if (quote == 0 && (c == ' ' || c == '\n')) {
            inside = false;
            continue;
        }
        if (!inside) words.emplace_back();
        inside = true;
        if (c == quote)
            quote = 0;
        else if (quote == 0 && (c == '\'' || c == '"'))
            quote = c;
        else
            words.back() += c;
    }
    return words;
}

namespace {

Result<Request> request_of(const std::vector<std::string>& words) {
    const auto invocation = parse_command_line("qemu", words);
    if (!invocation) return std::unexpected(invocation.error());
    return translate(*invocation, RunOptions());
}

}  // namespace

Result<Request> request_for_whole(std::string_view line) { return request_of(words_of(line)); }

Result<Request> request_for(std::string_view line) {
    auto words = words_of(line);
    const auto has = [&](std::initializer_list<std::string_view> names) {
        return std::ranges::any_of(
            words, [&](const std::string& word) { return std::ranges::find(names, word) != names.end(); });
    };
    std::vector<std::string> all;
    if (!has({"-M", "-machine"})) all.insert(all.end(), {"-M", "virt"});
    if (!has({"-kernel"})) all.insert(all.end(), {"-kernel", "k"});
    if (!has({"-cpu"})) all.insert(all.end(), {"-cpu", "host"});
    if (!has({"-nographic", "-display", "-serial"})) all.emplace_back("-nographic");
    all.insert(all.end(), words.begin(), words.end());
    return request_of(all);
}

std::string notes_of(const Request& request) {
    std::string text;
    for (const std::string& note : request.notes) text += note + "\n";
    return text;
}

std::string devices_of(const Request& request) {
    const auto factory = devices::DeviceFactory::standard();
    std::string text;
    for (const DeviceOptions& device : request.options.devices) {
        text +=
            (text.empty() ? "" : "; ") + device.request.name + (device.bus == DeviceBus::Pci ? "-pci" : "");
        const devices::DeviceType* type = factory.find(device.request.name);
        for (const auto& [key, value] : device.request.options) {
            const auto option = std::ranges::find(type->options, key, &devices::DeviceOption::name);
            if (option == type->options.end() || option->preset != value) text += " " + key + "=" + value;
        }
        if (device.address) text += " @" + std::to_string(*device.address);
    }
    return text;
}

}  // namespace arclight::guestos::qemu

#include "guestos/qemu/read_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "guestos/file.h"
#include "guestos/qemu/option_table.h"

namespace arclight::guestos::qemu {

namespace {

constexpr uint64_t kMaxConfig = 1 << 20;

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kSpace = " \t\r";
    const size_t begin = std::min(text.find_first_not_of(kSpace), text.size());
    text.remove_prefix(begin);
    return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

struct GroupName {
    std::string_view group, option;
};
/// Sections that have another name than their option (util/qemu-config.c and vl.c of QEMU 7.2).
constexpr GroupName kGroupNames[] = {{"memory", "m"}, {"smp-opts", "smp"}, {"boot-opts", "boot"}};

/// What stands between the first and the last quotation mark; nothing: it is not quoted.
std::optional<std::string> unquoted(std::string_view text) {
    if (text.size() < 2 || !text.starts_with('"') || !text.ends_with('"')) return {};
    return std::string(text.substr(1, text.size() - 2));
}

}  // namespace

Result<std::vector<Given>> parse_config(std::string_view text, const std::string& name) {
    std::vector<Given> options;
    unsigned number = 0;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        ++number;
        if (line.empty() || line.starts_with('#')) continue;
        if (line.starts_with('[') && line.ends_with(']')) {
            const std::string_view inside = trimmed(line.substr(1, line.size() - 2));
            const size_t space = std::min(inside.find(' '), inside.size());
            std::string_view group = inside.substr(0, space);
            const auto* other = std::ranges::find(kGroupNames, group, &GroupName::group);
            if (other != std::end(kGroupNames)) group = other->option;
            const OptionRow* row = find_option(group);
            if (row == nullptr || row->form != Form::List)
                return failure("{}:{}: there is no option group '{}'", name, number, group);
            Given section{
                .option = std::string(row->name), .origin = fmt::format("{}:{}", name, number), .values = {}};
            if (row->standing == Standing::Refused) return failure("{}: {}", section.origin, row->note);
            if (space < inside.size()) {
                const auto id = unquoted(trimmed(inside.substr(space)));
                if (!id) return failure("{}:{}: parse error", name, number);
                section.values.emplace_back("id", *id);
            }
            options.push_back(std::move(section));
            continue;
        }
        const size_t equals = line.find('=');
        const auto value =
            equals == std::string_view::npos ? std::nullopt : unquoted(trimmed(line.substr(equals + 1)));
        if (!value) return failure("{}:{}: parse error", name, number);
        if (options.empty()) return failure("{}:{}: no group defined", name, number);
        options.back().values.emplace_back(trimmed(line.substr(0, equals)), *value);
    }
    return options;
}

Result<std::vector<Given>> read_config(const std::string& path) {
    const auto bytes = read_file("configuration", path, kMaxConfig);
    if (!bytes) return std::unexpected(bytes.error());
    return parse_config({reinterpret_cast<const char*>(bytes->data()), bytes->size()}, path);
}

}  // namespace arclight::guestos::qemu

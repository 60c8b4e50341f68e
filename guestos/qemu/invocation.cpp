#include "guestos/qemu/invocation.h"

#include <fmt/format.h>

#include <algorithm>

#include "guestos/nearest_word.h"
#include "guestos/qemu/option_table.h"
#include "guestos/qemu/read_config.h"
#include "guestos/qemu/shorthands.h"

namespace arclight::guestos::qemu {

std::string Given::value(std::string_view key) const {
    std::string last;
    for (const auto& [name, text] : values)
        if (name == key) last = text;
    return last;
}

bool Given::has(std::string_view key) const {
    return std::ranges::any_of(values, [&](const auto& pair) { return pair.first == key; });
}

std::vector<const Given*> Invocation::all(std::string_view option) const {
    std::vector<const Given*> found;
    for (const Given& one : given)
        if (one.option == option) found.push_back(&one);
    return found;
}

std::optional<std::string> Invocation::word(std::string_view option) const {
    const auto found = all(option);
    return found.empty() ? std::nullopt : std::optional(found.back()->value());
}

Given Invocation::merged(std::string_view option) const {
    Given merged{.option = std::string(option), .origin = fmt::format("-{}", option), .values = {}};
    for (const Given* one : all(option)) {
        merged.origin = one->origin;
        merged.values.insert(merged.values.end(), one->values.begin(), one->values.end());
    }
    return merged;
}

namespace {

Result<void> unknown_option(const std::string& word, std::string_view name) {
    std::vector<std::string_view> known;
    for (const OptionRow& row : option_table()) known.push_back(row.name);
    const std::string_view near = nearest_word(name, known);
    return failure("{}: invalid option{}", word,
                   near.empty() ? "" : fmt::format(", did you mean -{}?", near));
}

/// group.id.key=value: changes an option that stands before it.
Result<void> apply_set(Invocation& to, const std::string& text) {
    const size_t equals = text.find('='), first = text.find('.');
    const size_t second = first == std::string::npos ? first : text.find('.', first + 1);
    if (equals == std::string::npos || second == std::string::npos || second > equals)
        return failure("-set {}: invalid format, it is group.id.key=value", text);
    const std::string group = text.substr(0, first), id = text.substr(first + 1, second - first - 1);
    const auto found = std::ranges::find_if(
        to.given, [&](const Given& one) { return one.option == group && one.value("id") == id; });
    if (found == to.given.end()) return failure("-set {}: there is no {} \"{}\" defined", text, group, id);
    found->values.emplace_back(text.substr(second + 1, equals - second - 1), text.substr(equals + 1));
    return {};
}

Result<void> add_option(Invocation& to, const OptionRow& row, const std::string& typed,
                        const std::string& text) {
    Given one{.option = std::string(row.name),
              .origin = row.form == Form::Flag ? typed : typed + " " + text,
              .values = {}};
    if (row.standing == Standing::Refused) return failure("{}: {}", one.origin, row.note);
    if (row.name == "help") {
        to.question = Question::Help;
    } else if (row.name == "version") {
        to.question = Question::Version;
    } else if (row.name == "set") {
        return apply_set(to, text);
    } else if (row.name == "readconfig") {
        auto options = read_config(text);
        if (!options) return failure("{}: {}", one.origin, options.error());
        for (Given& read : *options) to.given.push_back(std::move(read));
        return {};
    }
    if (row.form == Form::Word) one.values.emplace_back("", text);
    if (row.form == Form::List) {
        auto values = parse_key_values(text, row.implied);
        if (!values) return failure("{}: {}", one.origin, values.error());
        one.values = std::move(*values);
    }
    to.given.push_back(std::move(one));
    return {};
}

}  // namespace

Result<Invocation> parse_command_line(std::string program, std::span<const std::string> words) {
    Invocation invocation{.program = std::move(program), .given = {}};
    for (size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (!word.starts_with('-') || word == "-") {
            // A disk's file, which QEMU takes as -hda.
            invocation.given.push_back({.option = "hda", .origin = word, .values = {{"", word}}});
            continue;
        }
        const std::string_view name = std::string_view(word).substr(word.starts_with("--") ? 2 : 1);
        const OptionRow* row = find_option(name);
        if (row == nullptr) {
            if (const auto unknown = unknown_option(word, name); !unknown)
                return std::unexpected(one_line(unknown.error()));
        }
        const bool takes_value = row->form != Form::Flag;
        if (takes_value && i + 1 == words.size()) return failure("{}: requires an argument", one_line(word));
        if (const auto added = add_option(invocation, *row, word, takes_value ? words[++i] : ""); !added)
            return std::unexpected(one_line(added.error()));
        // As QEMU, which looks no further.
        if (invocation.question != Question::None) return invocation;
    }
    if (const auto done = expand_shorthands(invocation); !done) return std::unexpected(done.error());
    return invocation;
}

}  // namespace arclight::guestos::qemu

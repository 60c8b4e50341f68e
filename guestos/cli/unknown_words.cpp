#include "guestos/cli/unknown_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <string_view>
#include <vector>

#include "guestos/cli/qemu_words.h"
#include "guestos/nearest_word.h"

namespace arclight::guestos::cli {

namespace {

constexpr int kManyWords = 1000;  ///< of a positional that takes any number

std::vector<std::string_view> views(const std::vector<std::string>& words) {
    return {words.begin(), words.end()};
}

std::vector<std::string> long_names(const CLI::App& command) {
    std::vector<std::string> names;
    for (const CLI::Option* option : command.get_options())
        if (!option->get_group().empty())
            for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    return names;
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
    return app.get_subcommands([](const CLI::App*) { return true; });
}

std::vector<std::string> command_names(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::App* command : commands_of(app)) names.push_back(command->get_name());
    if (app.get_parent() == nullptr) names.emplace_back("help");
    return names;
}

/// A word that begins with a dash.
struct OptionWord {
    explicit OptionWord(const std::string& word) {
        const size_t equals = word.find('=');
        name = word.substr(0, equals);
        has_value = equals != std::string::npos;
        // -m1G, as CLI11 takes it; QEMU's -machine is no -m.
        if (!name.starts_with("--") && name.size() > 2 &&
            std::isdigit(static_cast<unsigned char>(name[2])) != 0) {
            name.resize(2);
            has_value = true;
        }
        bare = name.substr(name.find_first_not_of('-') == std::string::npos ? name.size()
                                                                            : name.find_first_not_of('-'));
    }
    std::string name, bare;
    bool has_value = false;
};

std::string explain_option(const CLI::App& command, const OptionWord& word, std::string_view next) {
    if (const auto qemu = explain_qemu_word(word.bare, next)) return *qemu;
    const auto names = long_names(command);
    const std::string_view near = nearest_word("--" + word.bare, views(names));
    return fmt::format("unknown option '{}'{}", word.name,
                       near.empty() ? "" : fmt::format(", did you mean {}?", near));
}

/// Before the command.
std::string explain_misplaced(const CLI::App& app, const OptionWord& word, std::string_view next) {
    for (const CLI::App* command : commands_of(app))
        if (word.name.starts_with("--") && command->get_option_no_throw(word.name) != nullptr)
            return fmt::format("'{}' belongs behind a command, as in 'arclight {} {}'", word.name,
                               command->get_name(), word.name);
    if (const auto qemu = explain_qemu_word(word.bare, next))
        return fmt::format("{} (as in 'arclight run --kernel FILE')", *qemu);
    return fmt::format("unknown option '{}'", word.name);
}

std::string explain_command(const CLI::App& command, const std::string& word) {
    const auto known = command_names(command);
    const std::string_view near = nearest_word(word, views(known));
    return fmt::format("unknown command '{}'{}", word,
                       near.empty() ? fmt::format(" (commands: {})", fmt::join(known, ", "))
                                    : fmt::format(", did you mean {}?", near));
}

size_t positionals_of(const CLI::App& command) {
    size_t count = 0;
    for (const CLI::Option* option : command.get_options())
        if (option->get_positional())
            count += static_cast<size_t>(std::min(option->get_items_expected_max(), kManyWords));
    return count;
}

/// By itself or by a command that it belongs to.
const CLI::Option* find_option(const CLI::App* command, const std::string& name) {
    for (; command != nullptr; command = command->get_parent())
        if (const CLI::Option* option = command->get_option_no_throw(name); option != nullptr) return option;
    return nullptr;
}

}  // namespace

std::optional<std::string> explain_unknown_word(const CLI::App& app, std::span<const std::string> words) {
    const CLI::App* command = &app;
    size_t positionals = 0;
    for (size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        const bool is_option = word.size() > 1 && word.starts_with('-');
        if (const auto commands = commands_of(*command); !is_option && !commands.empty()) {
            const auto found =
                std::ranges::find(commands, word, [](const CLI::App* one) { return one->get_name(); });
            if (found == commands.end()) return explain_command(*command, word);
            command = *found;
            positionals = positionals_of(*command);
            continue;
        }
        if (!is_option) {
            if (positionals == 0) return fmt::format("unexpected word '{}'", word);
            --positionals;
            continue;
        }
        const OptionWord given(word);
        const std::string_view next = i + 1 < words.size() ? std::string_view(words[i + 1]) : "";
        const CLI::Option* option = find_option(command, given.name);
        if (option == nullptr)
            return command == &app ? explain_misplaced(app, given, next)
                                   : explain_option(*command, given, next);
        if (given.has_value || i + 1 == words.size()) continue;
        if (option->get_items_expected_min() > 0 ||
            (option->get_items_expected_max() > 0 && !next.starts_with('-')))
            ++i;
    }
    return {};
}

}  // namespace arclight::guestos::cli

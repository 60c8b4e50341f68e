#include "guestos/cli/documents/command_tree.h"

#include <sstream>

#include "guestos/cli/choice.h"

namespace arclight::guestos::cli {

namespace {
/// The first validator, or null. CLI11 has no other way to ask whether there is one than an exception.
CLI::Validator* validator_of(const CLI::Option& option) {
    try {
        return const_cast<CLI::Option&>(option).get_validator(0);
    } catch (const CLI::OptionNotFound&) {
        return nullptr;
    }
}

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
    return parts;
}

OptionEntry entry_of(const CLI::Option& option) {
    OptionEntry entry;
    if (!option.get_snames().empty()) entry.short_name = "-" + option.get_snames().front();
    if (!option.get_lnames().empty()) entry.long_name = "--" + option.get_lnames().front();
    entry.description = option.get_description();
    entry.group = option.get_group();
    entry.required = option.get_required();
    if (option.get_positional()) {
        entry.value = option.get_single_name();
        entry.kind = entry.value == "FILE" ? ValueKind::File : ValueKind::Text;
        return entry;
    }
    if (option.get_items_expected_max() == 0) return entry;  // a flag
    entry.value =
        split(option.get_type_name(), ':').front();  // what follows a colon is a validator's description
    const auto* validator = validator_of(option);
    if (validator != nullptr && validator->get_name().starts_with(kChoicePrefix)) {
        entry.kind = ValueKind::Choice;
        entry.choices = split(validator->get_name().substr(kChoicePrefix.size()), '|');
    } else if (entry.value == "DIR" || entry.value == "DIR|off") {
        entry.kind = ValueKind::Directory;
    } else if (entry.value == "FILE" || entry.value == "PATH") {
        entry.kind = ValueKind::File;
    } else {
        entry.kind = ValueKind::Text;
    }
    return entry;
}
}  // namespace

CommandEntry command_tree(const CLI::App& app) {
    CommandEntry entry{
        .name = app.get_name(), .description = app.get_description(), .options = {}, .commands = {}};
    for (const CLI::Option* option : app.get_options())
        if (!option->get_group().empty()) entry.options.push_back(entry_of(*option));
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
        entry.commands.push_back(command_tree(*command));
    return entry;
}

}  // namespace arclight::guestos::cli

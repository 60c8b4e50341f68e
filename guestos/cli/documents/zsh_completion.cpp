#include <fmt/format.h>
#include <fmt/ranges.h>

#include "guestos/cli/documents/documents.h"

namespace arclight::guestos::cli {

namespace {
/// For a word in single quotes that _arguments reads: brackets and colons are its syntax.
std::string quoted(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '\'')
            out += "'\\''";
        else if (c == '[' || c == ']' || c == ':')
            out += std::string("\\") + c;
        else
            out += c;
    }
    return out;
}

std::string option_spec(const OptionEntry& option) {
    std::string action;
    switch (option.kind) {
        case ValueKind::None: break;
        case ValueKind::Choice:
            action = fmt::format(":{}:({})", option.value, fmt::join(option.choices, " "));
            break;
        case ValueKind::File: action = ":file:_files"; break;
        case ValueKind::Directory: action = ":directory:_files -/"; break;
        case ValueKind::Text: action = fmt::format(":{}: ", quoted(option.value)); break;
    }
    std::string out;
    if (option.positional()) out = fmt::format(" \\\n                '1{}'", action);
    for (const std::string& name : {option.short_name, option.long_name})
        if (!name.empty())
            out += fmt::format(" \\\n                '*{}[{}]{}'", name, quoted(option.description), action);
    return out;
}

std::string command_case(const CommandEntry& command, const std::string& path) {
    std::string out = fmt::format("        '{}')\n            _arguments -S", path);
    for (const OptionEntry& option : command.options) out += option_spec(option);
    if (!command.commands.empty()) {
        std::string list;
        for (const CommandEntry& sub : command.commands)
            list += fmt::format(" {}\\:\"{}\"", sub.name, quoted(sub.description));
        out += fmt::format(" \\\n                '1:command:(({}))' '*:: :->rest'", list);
    }
    out += " ;;\n";
    for (const CommandEntry& sub : command.commands)
        out += command_case(sub, path.empty() ? sub.name : path + " " + sub.name);
    return out;
}
}  // namespace

std::string zsh_completion(const CommandEntry& root) {
    return fmt::format(
        R"(#compdef arclight arclight-qemu
# zsh completion for arclight, generated from its command line.

_arclight_level() {{
    local context state line
    typeset -A opt_args
    case $1 in
{}    esac
    if [ "$state" = rest ]; then
        _arclight_level "${{1:+$1 }}${{line[1]}}"
    fi
}}

_arclight() {{
    # The link's name stands for the command.
    [[ $service = arclight-qemu ]] && _arclight_level qemu || _arclight_level ''
}}

_arclight "$@"
)",
        command_case(root, ""));
}

}  // namespace arclight::guestos::cli

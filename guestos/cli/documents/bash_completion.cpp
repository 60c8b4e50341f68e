#include <fmt/format.h>
#include <fmt/ranges.h>

#include "guestos/cli/documents/documents.h"

namespace arclight::guestos::cli {

namespace {
/// One case arm a command path ("run", "lightv attach"): its words, and what its options take.
void add_arms(const CommandEntry& command, const std::string& path, std::string& words, std::string& values) {
    std::vector<std::string> all;
    all.reserve(command.commands.size());
    for (const CommandEntry& sub : command.commands) all.push_back(sub.name);
    for (const OptionEntry& option : command.options) {
        std::vector<std::string> names;
        for (const std::string& name : {option.long_name, option.short_name})
            if (!name.empty()) names.push_back(name);
        all.insert(all.end(), names.begin(), names.end());
        std::string action;
        switch (option.kind) {
            case ValueKind::None: continue;
            case ValueKind::Choice: action = fmt::format("words {}", fmt::join(option.choices, " ")); break;
            case ValueKind::File: action = "files"; break;
            case ValueKind::Directory: action = "directories"; break;
            case ValueKind::Text: action = "nothing"; break;
        }
        if (option.positional()) names = {""};
        for (const std::string& name : names)
            values += fmt::format("        \"{} {}\") echo {} ;;\n", path, name, action);
    }
    words += fmt::format("        \"{}\") echo \"{}\" ;;\n", path, fmt::join(all, " "));
    for (const CommandEntry& sub : command.commands)
        add_arms(sub, path.empty() ? sub.name : path + " " + sub.name, words, values);
}

std::string command_paths(const CommandEntry& command, const std::string& path) {
    std::string out;
    for (const CommandEntry& sub : command.commands) {
        const std::string below = path.empty() ? sub.name : path + " " + sub.name;
        out += fmt::format("{}\"{}\"", out.empty() ? "" : "|", below);
        if (const std::string deeper = command_paths(sub, below); !deeper.empty()) out += "|" + deeper;
    }
    return out;
}
}  // namespace

std::string bash_completion(const CommandEntry& root) {
    std::string words, values;
    add_arms(root, "", words, values);
    return fmt::format(
        R"bash(# bash completion for arclight, generated from its command line.

# The words that may follow a command path.
_arclight_words() {{
    case $1 in
{0}    esac
}}

# What the value of an option is: "words A B", files, directories or nothing; no output for a flag.
_arclight_value() {{
    case "$1 $2" in
{1}    esac
}}

_arclight() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} path= value= i word
    COMPREPLY=()
    # The link's name stands for the command.
    [ "${{COMP_WORDS[0]##*/}}" = arclight-qemu ] && path=qemu
    # The command path; behind "--" the words are the guest's.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        [ "$word" = -- ] && return
        case "${{path:+$path }}$word" in
            {2}) path=${{path:+$path }}$word ;;
        esac
    done
    # "--option=value" arrives as three words, because "=" breaks words.
    local option=${{COMP_WORDS[COMP_CWORD - 1]}}
    if [ "$current" = = ]; then
        current=
    elif [ "$option" = = ] && [ "$COMP_CWORD" -ge 3 ]; then
        option=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    value=$(_arclight_value "$path" "$option")
    case $value in
        words\ *) mapfile -t COMPREPLY < <(compgen -W "${{value#words }}" -- "$current") ;;
        files) compopt -o filenames 2> /dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        directories) compopt -o filenames 2> /dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
        nothing) ;;
        *)
            mapfile -t COMPREPLY < <(compgen -W "$(_arclight_words "$path")" -- "$current")
            if [ "$(_arclight_value "$path" "")" = files ]; then
                compopt -o filenames 2> /dev/null
                mapfile -t -O ${{#COMPREPLY[@]}} COMPREPLY < <(compgen -f -- "$current")
            fi
            ;;
    esac
}}

complete -F _arclight arclight arclight-qemu
)bash",
        words, values, command_paths(root, ""));
}

}  // namespace arclight::guestos::cli

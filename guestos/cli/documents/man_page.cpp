#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "guestos/cli/documents/documents.h"

namespace arclight::guestos::cli {

namespace {
/// Text that groff prints as it is: hyphens stay ASCII so that options can be searched and copied.
std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\') {
            out += "\\e";
        } else if (c == '-') {
            out += "\\-";
        } else if (out.empty() && (c == '.' || c == '\'')) {
            out += std::string("\\&") + c;  // no request
        } else {
            out += c;
        }
    }
    return out;
}

/// A value's name: words in capitals are placeholders and set in italics, the rest is literal.
std::string value_name(const std::string& value) {
    const bool placeholder =
        std::ranges::all_of(value, [](unsigned char c) { return std::isupper(c) || c == '_'; });
    return placeholder ? fmt::format("\\fI{}\\fR", escaped(value)) : escaped(value);
}

std::string option_item(const OptionEntry& option) {
    std::string names;
    if (!option.short_name.empty()) names = fmt::format("\\fB{}\\fR", escaped(option.short_name));
    if (!option.long_name.empty())
        names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ", escaped(option.long_name));
    if (!option.value.empty()) names += (names.empty() ? "" : " ") + value_name(option.value);
    return fmt::format(".TP\n{}\n{}{}\n", names, escaped(option.description),
                       option.required ? " (required)" : "");
}

/// Options in the order of the help, under a heading for each group if `headings`.
std::string option_list(const CommandEntry& command, bool headings) {
    std::string out, group;
    for (const OptionEntry& option : command.options) {
        if (headings && option.group != group) {
            group = option.group;
            // CLI11's own group holds --help and --version only.
            out += fmt::format(".SS {}\n", group == "Options" ? "General" : escaped(group));
        }
        out += option_item(option);
    }
    return out;
}

std::string upper(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
    return text;
}
}  // namespace

std::string man_page(const CommandEntry& command, const std::string& name, const std::string& version,
                     const std::string& text) {
    const size_t behind = std::min(text.find(".SH EXAMPLES"), text.size());
    std::string words = name;
    std::ranges::replace(words, '-', ' ');
    std::string out = fmt::format(
        ".\\\" Generated from the command line's descriptions and guestos/cli/documents/pages/{0}.man\n"
        ".TH {1} 1 \"\" \"Arclight {2}\" \"User Commands\"\n.SH NAME\n{3} \\- {4}\n.SH SYNOPSIS\n.B {5}\n",
        name, escaped(upper(name)), version, escaped(name), escaped(command.description), words);
    if (!command.commands.empty()) out += ".I COMMAND\n";
    out += "[\\fIOPTIONS\\fR]";
    for (const OptionEntry& option : command.options)
        if (option.required && !option.positional())
            out += fmt::format(" \\fB{}\\fR {}", escaped(option.long_name), value_name(option.value));
    if (name == "arclight-run" || name == "arclight-initramfs")
        out += " [\\fB\\-\\-\\fR \\fICOMMAND\\fR [\\fIARGUMENTS\\fR...]]";
    out += "\n" + text.substr(0, behind);
    const bool top = name == "arclight";
    if (!command.commands.empty()) {
        out += ".SH COMMANDS\n";
        for (const CommandEntry& sub : command.commands) {
            if (top) {
                out += fmt::format(".TP\n\\fB{}\\fR\n{}; see\n.BR arclight\\-{} (1).\n", escaped(sub.name),
                                   escaped(sub.description), escaped(sub.name));
            } else {
                out += fmt::format(".SS {}\n{}.\n", escaped(sub.name), escaped(sub.description));
                out += option_list(sub, false);
            }
        }
    }
    const bool grouped =
        std::ranges::any_of(command.options, [](const auto& o) { return o.group != "Options"; });
    out += ".SH OPTIONS\n" + option_list(command, grouped) + text.substr(behind);
    return out;
}

}  // namespace arclight::guestos::cli

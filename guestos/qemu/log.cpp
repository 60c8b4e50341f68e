// -d, -D and -trace: what is logged while the guest runs.
#include "guestos/qemu/log.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

#include "guestos/cli/parse.h"
#include "guestos/qemu/translation.h"

namespace arclight::guestos::qemu {

namespace {

struct LogItem {
    std::string_view name;
    bool TraceOptions::*trace;  ///< null: it is not logged
    std::string_view about;     ///< for help; of what is not logged, why
};
constexpr LogItem kItems[] = {
    {"out_asm", &TraceOptions::host, "show generated host code of each compiled block"},
    {"in_asm", &TraceOptions::blocks, "show guest instructions of each compiled block"},
    {"op", &TraceOptions::ir, "show the intermediate representation of each compiled block"},
    {"op_opt", &TraceOptions::ir, "the same"},
    {"op_ind", &TraceOptions::ir, "the same"},
    {"int", &TraceOptions::exceptions, "show exceptions and interrupts"},
    {"mmu", &TraceOptions::mmu, "log table walks and what is mapped"},
    {"exec", nullptr, "blocks are linked: executions leave no trace"},
    {"cpu", nullptr, "blocks are linked: executions leave no trace"},
    {"fpu", nullptr, "blocks are linked: executions leave no trace"},
    {"nochain", nullptr, "blocks are linked"},
    {"pcall", nullptr, "it is for x86"},
    {"cpu_reset", nullptr, "resets are not logged"},
    {"unimp", nullptr, "what is not implemented is an exception for the guest"},
    {"guest_errors", nullptr, "what a guest does wrong is between it and the device"},
    {"page", nullptr, "it is for user mode"},
    {"strace", nullptr, "it is for user mode"},
    {"plugin", nullptr, "there are no plugins"},
    {"tid", nullptr, "all threads log to one file"},
};

}  // namespace

std::string log_help() {
    std::string text = "Log items (comma separated):\n";
    for (const LogItem& item : kItems)
        text +=
            fmt::format("{:<15} {}{}\n", item.name, item.trace == nullptr ? "(not logged) " : "", item.about);
    return text;
}

Result<void> take_log(Translation& t) {
    for (const Given* given : t.in.all("d")) {
        std::vector<std::string> nothing;
        for (const std::string& name : cli::split_commas(given->value())) {
            if (name.starts_with("trace:")) {
                nothing.push_back(name);
                continue;
            }
            const auto* item = std::ranges::find(kItems, name, &LogItem::name);
            if (item != std::end(kItems)) {
                if (item->trace != nullptr)
                    t.out.trace.*item->trace = true;
                else
                    nothing.emplace_back(item->name);
                continue;
            }
            std::vector<std::string_view> known;
            for (const LogItem& one : kItems) known.push_back(one.name);
            return failure("{}: there is no log item '{}'{} (see -d help)", given->origin, name,
                           hint(name, known));
        }
        if (nothing.empty()) continue;
        if (const auto done = t.notes.missed(
                fmt::format("{}: nothing is logged of {}", given->origin, fmt::join(nothing, ", ")));
            !done)
            return done;
    }
    t.out.trace.file = t.in.word("D").value_or("");
    for (const Given* given : t.in.all("trace"))
        if (const auto done =
                t.notes.missed(fmt::format("{}: QEMU's trace points are not here; see -d", given->origin));
            !done)
            return done;
    return {};
}

}  // namespace arclight::guestos::qemu

#include <algorithm>
#include <iterator>

#include "guestos/cli/documents/documents.h"
#include "guestos/qemu/cpu_models.h"
#include "guestos/qemu/device_names.h"
#include "guestos/qemu/option_table.h"

namespace arclight::guestos::cli {

namespace {

constexpr std::string_view kFiles[] = {"kernel", "initrd", "dtb",    "hda",     "hdb", "hdc",       "hdd",
                                       "cdrom",  "bios",   "pflash", "pidfile", "D",   "readconfig"};

std::vector<std::string> choices_of(std::string_view option) {
    std::vector<std::string> words;
    if (option == "machine") words = {"virt", "help"};
    if (option == "accel") words = {"tcg", "kvm", "help"};
    if (option == "vga" || option == "parallel") words = {"none"};
    if (option == "cpu")
        for (const auto& model : qemu::cpu_models()) words.emplace_back(model.name);
    if (option == "device")
        for (const auto& device : qemu::device_names()) words.push_back(device.name);
    return words;
}

std::string description_of(const qemu::OptionRow& row) {
    if (row.standing == qemu::Standing::Ignored) return "taken; it has no meaning here";
    std::string text(row.note.empty() ? "as in QEMU" : row.note);
    std::erase(text, '`');
    return text;
}

}  // namespace

std::vector<OptionEntry> qemu_options() {
    std::vector<OptionEntry> options;
    for (const qemu::OptionRow& row : qemu::option_table()) {
        if (row.standing == qemu::Standing::Refused) continue;
        OptionEntry entry{.short_name = "-" + std::string(row.name),
                          .long_name = {},
                          .value = row.form == qemu::Form::Flag   ? ""
                                   : row.form == qemu::Form::Word ? "VALUE"
                                                                  : "KEY=VALUE,...",
                          .description = description_of(row),
                          .group = "Options",
                          .choices = choices_of(row.name)};
        if (!entry.choices.empty())
            entry.kind = ValueKind::Choice;
        else if (std::ranges::find(kFiles, row.name) != std::end(kFiles))
            entry.kind = ValueKind::File;
        else
            entry.kind = row.form == qemu::Form::Flag ? ValueKind::None : ValueKind::Text;
        options.push_back(std::move(entry));
    }
    return options;
}

}  // namespace arclight::guestos::cli

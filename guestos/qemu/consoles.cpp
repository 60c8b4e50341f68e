// -serial, -monitor, -chardev: where characters go. The machine has one serial port, on stdin and stdout.
#include <fmt/format.h>

#include <algorithm>

#include "guestos/qemu/keys.h"
#include "guestos/qemu/translation.h"

namespace arclight::guestos::qemu {

namespace {

/// Whether a back end of that id is stdin and stdout.
bool is_stdio(const Translation& t, std::string_view id) {
    const auto chardevs = t.in.all("chardev");
    return std::ranges::any_of(chardevs, [&](const Given* chardev) {
        return chardev->value("id") == id && chardev->value("backend") == "stdio";
    });
}

}  // namespace

Result<void> take_consoles(Translation& t) {
    const auto serials = t.in.all("serial");
    for (size_t i = 0; i < serials.size(); ++i) {
        const std::string to = serials[i]->value();
        constexpr std::string_view kChardev = "chardev:";
        const bool stdio = to == "stdio" || to == "mon:stdio" ||
                           (to.starts_with(kChardev) && is_stdio(t, to.substr(kChardev.size())));
        if (i == 0 ? !stdio : to != "none" && to != "null")
            return failure("{}: the one serial port is on stdin and stdout", serials[i]->origin);
    }
    if (const auto monitor = t.in.word("monitor"); monitor && *monitor != "none" && *monitor != "null")
        return failure("-monitor {}: there is no monitor", *monitor);
    for (const Given* chardev : t.in.all("chardev"))
        if (chardev->value("backend") != "stdio")
            return failure("{}: the one serial port is on stdin and stdout", chardev->origin);
    constexpr uint64_t kControlA = 1;
    if (const auto key = t.in.word("echr"); key && parse_number(*key) != kControlA)
        return t.notes.missed(fmt::format("-echr {}: the escape key is Ctrl-A", *key));
    return {};
}

}  // namespace arclight::guestos::qemu

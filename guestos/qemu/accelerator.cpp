// -accel and -machine accel=: of all that QEMU names, Arclight's translator is what runs guest code.
#include <fmt/format.h>

#include <algorithm>

#include "guestos/qemu/keys.h"
#include "guestos/qemu/translation.h"

namespace arclight::guestos::qemu {

Result<void> take_accelerator(Translation& t) {
    // Those of other hosts come first in scripts that run everywhere; QEMU goes on to the next one.
    const std::vector<std::string_view> known = {"tcg", "kvm", "hvf", "hax", "whpx", "nvmm"};
    const auto is_known = [&](std::string_view name) {
        return std::ranges::find(known, name) != known.end();
    };
    const Given machine = t.in.merged("machine");
    if (machine.has("accel") && t.in.has("accel"))
        return failure("The -accel and \"-machine accel=\" options are incompatible");
    bool one = !machine.has("accel") && !t.in.has("accel");
    std::string last;
    const auto take = [&](std::string_view name) {
        one |= is_known(name);
        last = name;
    };
    const std::string list = machine.value("accel");
    for (std::string_view rest = list; !rest.empty();) {
        const std::string_view name = rest.substr(0, rest.find(':'));
        take(name);
        rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    }
    for (const Given* given : t.in.all("accel")) {
        Keys keys(*given);
        take(keys.text("accel"));
        keys.choice("thread", "multi", {"single", "multi"});
        keys.ignore({"tb-size", "split-wx", "one-insn-per-tb", "kernel-irqchip", "kvm-shadow-mem",
                     "dirty-ring-size", "notify-vmexit", "notify-window", "igd-passthru"});
        if (const auto good = keys.finish(); !good) return good;
    }
    if (!one) return failure("invalid accelerator {}{}", last, hint(last, known));
    return {};
}

}  // namespace arclight::guestos::qemu

#include "guestos/qemu/translate.h"

#include <utility>

#include "guestos/qemu/translation.h"

namespace arclight::guestos::qemu {

Result<void> Notes::missed(std::string text) {
    if (strict_) return std::unexpected(std::move(text));
    lines_.push_back(std::move(text));
    return {};
}

Result<Request> translate(const Invocation& invocation, RunOptions base) {
    Translation t(invocation, std::move(base), invocation.has("strict"));
    // QEMU's virtio-mmio has the old registers unless a -global says otherwise.
    if (!t.out.virtio) t.out.virtio = VirtioMmio::Legacy;
    // The board first, as errors of QEMU's come in that order; devices after what they refer to.
    using Take = Result<void> (*)(Translation&);
    constexpr Take kTakes[] = {
        take_machine,     take_accelerator, take_cpu_count, take_memory,   take_cpu_model, take_displays,
        take_consoles,    take_log,         take_process,   take_globals,  take_objects,   take_drives,
        take_block_nodes, take_firmware,    take_shares,    take_networks, take_devices,   take_snapshots};
    for (const Take take : kTakes)
        if (const auto taken = take(t); !taken) return std::unexpected(one_line(taken.error()));
    if (t.out.kernel.empty() && !t.out.needs_no_kernel() && t.out.restore.empty())
        return failure(
            "there is nothing to start: -kernel, -bios, a -drive with if=pflash or a -device loader with "
            "cpu-num is "
            "missing");
    std::vector<std::string> notes;
    for (const std::string& note : t.notes.lines()) notes.push_back(one_line(note));
    return Request{.options = std::move(t.out), .notes = std::move(notes), .daemonize = t.daemonize};
}

}  // namespace arclight::guestos::qemu

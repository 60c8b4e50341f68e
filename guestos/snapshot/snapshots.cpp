#include "guestos/snapshot/snapshots.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "devices/virtio/nbd.h"
#include "guestos/new_file.h"
#include "guestos/snapshot/machine_description.h"

namespace arclight::guestos {

namespace {
auto named(const SnapshotFile& snapshot) {
    return [&](const std::string& why) { return failure("snapshot '{}': {}", snapshot.path(), why); };
}
}  // namespace

Result<void> save_snapshot(Machine& machine, const RunOptions& options, int file, Machine::AfterSave after,
                           const std::function<Result<void>()>& meanwhile) {
    if (options.semihosting != SemihostingAccess::Off)
        return failure(
            "a machine with --semihosting cannot be saved: the files that it has open are the host's");
    return machine.save(after, [&](std::span<const uint8_t> parts) -> Result<void> {
        // The description has what the disks' images are now. A server keeps parts of its tables in memory until then.
        for (const auto& [path, image] : options.images)
            if (!image->readonly() && !image->flush()) return failure("cannot write disk image '{}'", path);
        auto written =
            SnapshotFile::write(file, MachineDescription::of(options).text(), parts, machine.memory().base(),
                                {machine.ram().host(), machine.ram().size()},
                                machine.ram().host_stage() != nullptr ? machine.ram().file() : -1);
        // A guest that stops is nowhere else.
        if (written && after == Machine::AfterSave::Stop && fdatasync(file) != 0)
            return failure("cannot write: {}", std::strerror(errno));
        if (written && meanwhile) return meanwhile();
        return written;
    });
}

Result<void> save_snapshot(Machine& machine, const RunOptions& options, const std::string& path,
                           Machine::AfterSave after) {
    auto file = NewFile::create(path);
    if (!file) return std::unexpected(file.error());
    // The machine stops only when the file is there.
    if (auto saved = save_snapshot(machine, options, file->descriptor(), Machine::AfterSave::GoOn); !saved)
        return failure("snapshot '{}': {}", path, saved.error());
    if (auto done = file->commit(); !done) return done;
    if (after == Machine::AfterSave::Stop) machine.stop(Machine::End::Quit);
    return {};
}

Result<RunOptions> options_to_restore(const RunOptions& options, const SnapshotFile& snapshot) {
    const auto wrong = named(snapshot);
    const auto saved = MachineDescription::parse(snapshot.description());
    if (!saved) return wrong(saved.error());
    RunOptions complete = saved->complete(options);
    if (snapshot.ram().bytes != complete.memory && saved->memory() == complete.memory)
        return wrong("is damaged: it has not the RAM that it describes");
    if (const auto why = MachineDescription::of(complete).difference_from(*saved)) return wrong(*why);
    return complete;
}

Result<void> can_restore(const RunOptions& options, const SnapshotFile& snapshot) {
    const auto wrong = named(snapshot);
    const auto saved = MachineDescription::parse(snapshot.description());
    if (!saved) return wrong(saved.error());
    if (const auto why =
            MachineDescription::of(options).without_files().difference_from(saved->without_files()))
        return wrong(*why);
    return {};
}

Result<void> restore_snapshot(Machine& machine, const SnapshotFile& snapshot) {
    const auto wrong = named(snapshot);
    if (snapshot.ram().base != machine.memory().base() || snapshot.ram().bytes != machine.memory().size())
        return wrong("its RAM is not where this machine's is");
    const auto loaded = machine.load(snapshot.parts(), [&] {
        return machine.ram().map_file(snapshot.descriptor(), snapshot.ram().offset);
    });
    if (!loaded) return wrong(loaded.error());
    return {};
}

}  // namespace arclight::guestos

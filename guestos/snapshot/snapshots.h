// Saves a machine to a file and lets it go on from there. QEMU's savevm is save_snapshot() with the machine going on, loadvm
// restore_snapshot() on a machine that runs, -loadvm the same before it runs.
#pragma once

#include <functional>
#include <string>

#include "guestos/machine/board/machine.h"
#include "guestos/options.h"
#include "guestos/snapshot/snapshot_file.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Any thread but a CPU's and the event loop's; the guest stands meanwhile. `file` is empty and open for reading and writing.
/// `options` are the ones that the machine was made with. An error is one line, and the machine goes on.
/// `meanwhile`: what else is done while it stands.
Result<void> save_snapshot(Machine& machine, const RunOptions& options, int file, Machine::AfterSave after,
                           const std::function<Result<void>()>& meanwhile = {});
/// The same to a path, where an older file stays whole until the new one is on disk.
Result<void> save_snapshot(Machine& machine, const RunOptions& options, const std::string& path,
                           Machine::AfterSave after);

/// What these options make of a machine that goes on from the snapshot: what they leave open is as it was there. An error: the
/// snapshot is of another machine.
Result<RunOptions> options_to_restore(const RunOptions& options, const SnapshotFile& snapshot);
/// Whether a machine with these complete options can go on from it, whatever its disks' images are now.
Result<void> can_restore(const RunOptions& options, const SnapshotFile& snapshot);
/// Puts a machine, made with options_to_restore(), into the snapshot's state. Its RAM is mapped from the file: the time this takes
/// does not depend on its size. After an error the machine must be discarded.
Result<void> restore_snapshot(Machine& machine, const SnapshotFile& snapshot);

}  // namespace arclight::guestos

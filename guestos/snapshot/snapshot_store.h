// Snapshots by name: a directory with one for each, in which the machine's file and a copy of each disk are that the guest wrote to.
//
//   DIRECTORY/NAME/machine   a snapshot's file (snapshot_file.h)
//   DIRECTORY/NAME/diskN     the image of the Nth device, as it was; its time of change is the image's
//
// A snapshot is made under another name and put in its place whole, so that whoever is killed meanwhile leaves the older one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "guestos/machine/board/machine.h"
#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Errors are one line.
class SnapshotStore {
  public:
    /// Empty: there is no place, and all fails.
    explicit SnapshotStore(std::string directory) : directory_(std::move(directory)) {}

    struct Entry {
        std::string name;
        uint64_t bytes = 0;  ///< of the host's storage
        int64_t saved = 0;   ///< seconds since 1970
    };
    Result<std::vector<Entry>> list() const;
    /// Any thread but a CPU's and the event loop's; the guest stands until its disks are copied. Disks whose file system can share
    /// blocks cost no time.
    Result<void> save(Machine& machine, const std::string& name) const;
    Result<void> remove(const std::string& name) const;

    /// A snapshot's file. An error: there is none of that name.
    Result<std::string> find(const std::string& name) const;
    /// `options.restore` may be a name. Disks whose writes are forgotten at the end then read the snapshot's copies, so that many
    /// machines can go on from it whatever became of the images.
    static RunOptions resolve(RunOptions options);
    /// Puts the images of all other disks into the snapshot's state, if `options.restore` is one with copies. No machine uses them.
    static Result<void> restore_disks(const RunOptions& options);

  private:
    Result<void> check(const std::string& name) const;

    std::string directory_;
};

}  // namespace arclight::guestos

// One machine of a run, from options to its end.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "guestos/boot.h"
#include "guestos/console/session_input.h"
#include "guestos/exit_status.h"
#include "guestos/kernel_file.h"
#include "guestos/machine/board/machine.h"
#include "guestos/options.h"
#include "guestos/prepare/site.h"
#include "guestos/profile_marks.h"
#include "guestos/run_environment.h"
#include "guestos/snapshot/snapshot_file.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Writes a file as fopen() would: it may be a pipe or the like.
Result<void> write_output(const std::string& path, std::span<const uint8_t> bytes);

/// Its functions are called in their order. Errors are one line for the user.
class MachineRun {
  public:
    /// `given` are the run's options, as far as the machine before has left them.
    MachineRun(RunEnvironment& environment, const RunOptions& given)
        : environment_(environment), given_(given) {}
    MachineRun(const MachineRun&) = delete;
    MachineRun& operator=(const MachineRun&) = delete;

    /// Makes the machine and fills its memory.
    Result<void> make();
    /// The device tree's only: for `--dump-dtb`. Empty: the machine goes on from a snapshot.
    std::optional<std::span<const uint8_t>> device_tree() const;
    /// Returns when it has ended; the statistics are written.
    Result<void> run();

    /// The run's status; nothing: another machine follows. An error is the status 1.
    Result<std::optional<int>> exit_status() const;

  private:
    struct Nowhere final : devices::CharBackend {
        void write(std::span<const uint8_t>) override {}
    };

    Result<void> choose_options();
    Result<void> claim_serial_ports();
    Result<void> take_sites();
    Result<void> load();
    Result<void> restore();
    Result<void> execute();
    void finish();
    Result<void> write_statistics();
    Result<void> write_site_profile();

    RunEnvironment& environment_;
    const RunOptions& given_;
    RunOptions options_;
    std::optional<SnapshotFile> snapshot_;
    std::optional<KernelFile> kernel_;
    std::optional<std::vector<prepare::Site>> sites_;  ///< of a prepared kernel
    std::array<Nowhere, 2> nowhere_;
    std::array<devices::CharBackend*, 2> lines_{&nowhere_[0], nullptr};
    std::optional<ProfileMarks> profile_;
    std::optional<SessionInput> input_;
    std::optional<ExitStatus> status_;
    std::unique_ptr<Machine> machine_;
    std::optional<BootState> boot_;  ///< nothing: as the snapshot has it
    mmu::lightv::Json lightv_statistics_;
    std::atomic<bool> saved_for_later_{false};
    Machine::End end_ = Machine::End::None;
    bool followed_ = false;  ///< by another machine
    int output_error_ = 0;
};

}  // namespace arclight::guestos

// What a machine must have in common with the one that a snapshot is of, as text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Facts in order, such as ("cpus", "4"). A word may come several times: a machine has several devices.
class MachineDescription {
  public:
    /// Of the machine that these options make; what the guest's kernel decides is decided (complete_options()). Of files that
    /// devices have open it has the size and the time of the last change.
    static MachineDescription of(const RunOptions& options);
    /// Any text; an error is one line.
    static Result<MachineDescription> parse(std::string_view text);
    std::string text() const;

    /// The options with what the snapshot's machine had where they leave it open: the interrupt controller, the virtio registers;
    /// and with its session, if the guest has one.
    RunOptions complete(RunOptions options) const;
    /// The size of its RAM in bytes and the number of its CPUs, if it says so.
    std::optional<uint64_t> memory() const { return number("memory"); }
    std::optional<uint64_t> cpus() const { return number("cpus"); }
    bool has_network() const { return find("network") != nullptr; }

    /// All but what the images of disks are.
    MachineDescription without_files() const;
    /// Why a machine with this description cannot go on where one with the other was saved: one line, or nothing.
    std::optional<std::string> difference_from(const MachineDescription& saved) const;

  private:
    using Facts = std::vector<std::pair<std::string, std::string>>;
    const std::string* find(std::string_view word) const;
    std::optional<uint64_t> number(std::string_view word) const;
    std::vector<std::string> all(std::string_view word) const;

    Facts facts_;
};

}  // namespace arclight::guestos

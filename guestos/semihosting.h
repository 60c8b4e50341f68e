// Semihosting: a bare-metal program's calls for the host's files, console, time and exit (Arm Semihosting for AArch32 and
// AArch64, 2024Q3). Off unless asked for; of files it reaches those of the directories that it is given.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "devices/guest_clock.h"
#include "guestos/machine/cpu/semihosting_port.h"
#include "guestos/semihosting_files.h"
#include "mmu/result.h"

namespace arclight::guestos {

class Semihosting final : public SemihostingPort {
  public:
    struct Options {
        bool userspace = false;    ///< EL0 may call too
        std::string command_line;  ///< SYS_GET_CMDLINE
        SemihostingDirectories directories;
    };
    /// SYS_HEAPINFO: the largest free range of RAM. The heap grows up from its start, the stack down from its end.
    struct Heap {
        uint64_t base = 0, limit = 0;
    };

    /// `exit` is called when the guest has left; status() says how.
    Semihosting(Options options, devices::GuestClock& clock, SemihostingConsole console,
                std::function<void()> exit);

    /// Before virtual CPUs run.
    void set_heap(Heap heap) { heap_ = heap; }
    SemihostingConsole& console() { return console_; }
    /// Any thread: calls that wait end soon.
    void stop() { files_.stop(); }
    /// The exit status that the guest has left with, low 8 bits; nothing: it has not. After the virtual CPUs have ended.
    std::optional<int> status() const { return status_; }

    std::optional<uint64_t> call(bool at_el0, uint32_t operation, uint64_t parameter,
                                 GuestBytes& memory) override;

  private:
    struct Call;
    using Outcome = SemihostingFiles::Outcome;

    uint64_t carry_out(Call& call);
    uint64_t give(const Outcome& outcome);
    template <typename F>
    uint64_t ask_host(Call& call, F&& operation);
    uint64_t refuse(int error) { return give({-1, error}); }
    uint64_t open(Call& call);
    uint64_t transfer(Call& call, bool write);
    uint64_t write_string(Call& call);
    uint64_t remove(Call& call);
    uint64_t rename(Call& call);
    uint64_t temporary_name(Call& call);
    uint64_t get_command_line(Call& call);
    uint64_t heap_info(Call& call);
    uint64_t leave(Call& call);
    uint64_t unknown(uint32_t operation);

    const bool userspace_;
    const std::string command_line_;
    devices::GuestClock& clock_;
    SemihostingConsole console_;
    const std::function<void()> exit_;
    std::mutex lock_;  ///< one call at a time
    SemihostingFiles files_;
    Heap heap_;
    int errno_ = 0;
    bool unknown_said_ = false;
    std::optional<int> status_;
};

}  // namespace arclight::guestos

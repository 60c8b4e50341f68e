// The character back ends of one run, by name.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "guestos/chardev/chardev.h"
#include "guestos/chardev/mux.h"
#include "guestos/options.h"

namespace arclight::guestos {

/// They outlive machines, which the guest may reset.
class Chardevs final : public devices::CharBackends {
  public:
    /// Opens files, makes sockets, waits for clients where that is asked for. Before the sandbox and before the loop runs.
    static Result<std::unique_ptr<Chardevs>> open(const RunOptions& options, devices::EventLoop& loop,
                                                  const ChardevActions& actions);
    ~Chardevs() override;

    /// For a monitor: as long as the run. Before the first machine.
    Result<devices::CharBackend*> claim_for_run(std::string_view name);
    /// A new machine: its devices have not claimed any yet. While the loop does not run.
    void begin_machine();
    /// For a device of the machine.
    Result<devices::CharBackend*> claim(std::string_view name) override;

    /// All front ends are there. Before the loop runs.
    void ready();
    /// Of stdout: see Chardev::output_error().
    int stdout_error() const;

    Chardev* find(std::string_view name) const;
    const std::vector<std::unique_ptr<Chardev>>& all() const { return all_; }
    void flush();
    void abandon_output();
    void leave_terminal();
    void terminal_resized();

  private:
    Chardevs() = default;
    Result<devices::CharBackend*> give(std::string_view name, bool for_run);

    struct Claims {
        size_t of_run = 0;  ///< of a mux: its first ports
        size_t all = 0;
        bool has_focus = false;
    };
    std::vector<std::unique_ptr<Chardev>> all_;
    const Chardev* stdio_ = nullptr;
    bool was_ready_ = false;
    std::map<const Chardev*, Claims> claims_;
};

/// Opens one. Before the sandbox.
Result<std::unique_ptr<Chardev>> open_chardev(const ChardevOptions& options, uint8_t escape,
                                              devices::EventLoop& loop, const ChardevActions& actions);

}  // namespace arclight::guestos

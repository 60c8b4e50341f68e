// The profile of host instructions (jit/host_profile.h) by program of the guest: what is executed between two lines that it
// prints on its first serial port, "@@START NAME" and "@@END NAME"; and the machine's other counters meanwhile.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "devices/char_backend.h"
#include "jit/engine/tier2_options.h"
#include "jit/host_profile.h"

namespace arclight::guestos {

/// Between the serial port and its back end.
class ProfileMarks final : public devices::CharBackend {
  public:
    /// What has been counted until now.
    struct Sample {
        jit::HostProfile::Totals host;
        jit::Tier2Stats tier2;
        nlohmann::ordered_json counters;  ///< numbers, and objects of the same (MachineStats::counters())
    };
    /// `sample` is called on the thread that writes.
    ProfileMarks(devices::CharBackend& below, std::function<Sample()> sample)
        : below_(below), sample_(std::move(sample)) {}

    /// JSON: `all` of the run, and `programs`, each by its `name`, in the order in which they ended.
    std::string json() const;

    // ---- CharBackend
    void write(std::span<const uint8_t> bytes) override;
    size_t offer(std::span<const uint8_t> bytes) override;
    void connect(devices::CharFrontend* frontend) override { below_.connect(frontend); }
    void accept_input() override { below_.accept_input(); }
    bool is_open() const override { return below_.is_open(); }
    std::optional<devices::WindowSize> window_size() const override { return below_.window_size(); }

  private:
    void watch(std::span<const uint8_t> bytes);
    void on_line();

    devices::CharBackend& below_;
    const std::function<Sample()> sample_;
    std::string line_;  ///< what has been written of it, up to kLongest
    struct Open {
        std::string name;
        Sample before;
    };
    std::optional<Open> open_;
    struct Program {
        std::string name;
        Sample before, after;
    };
    std::vector<Program> programs_;
};

}  // namespace arclight::guestos

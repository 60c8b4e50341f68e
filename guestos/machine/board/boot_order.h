// Which devices firmware is to try first, as QEMU tells it: the file "bootorder" of the firmware configuration device.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

class BootOrder {
  public:
    /// Whether each boot index is one device's. An error is one line for the user.
    static Result<void> check(const std::vector<DeviceOptions>& wanted);

    /// A device that has been made, at `path` (Open Firmware's form, as QEMU writes it).
    void place(const DeviceOptions& device, std::string path);
    /// One at `unit` behind `host`, whose own path may come later.
    void add_behind(const DeviceOptions& host, const DeviceOptions& device, std::string unit);

    /// Paths, the lowest index first, with line feeds between them. Empty: there are none.
    std::string text() const;

  private:
    struct Entry {
        unsigned index;
        const DeviceOptions* at;
        std::string below;
    };
    std::vector<Entry> entries_;
    std::map<const DeviceOptions*, std::string> paths_;
};

}  // namespace arclight::guestos

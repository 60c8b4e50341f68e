// What KVM counts of a virtual processor (Linux Documentation/virt/kvm/api.rst 4.134).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "backend/kvm/kvm_device.h"

namespace arclight::backend::kvm {

/// Reads need no access to /proc or debugfs. Without counters where the host's kernel is older than Linux 5.14.
class KvmCounters {
  public:
    explicit KvmCounters(int processor_fd);

    /// All single counters by KVM's names, in an order of its own: "exits" is that of all exits.
    std::vector<std::pair<std::string, uint64_t>> read() const;

  private:
    struct Counter {
        std::string name;
        uint64_t offset;  ///< in the file
    };
    FileDescriptor file_;
    std::vector<Counter> counters_;
};

}  // namespace arclight::backend::kvm

// Epoch-based reclamation: when no virtual CPU can still execute code that was retired.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace arclight::jit {

/// Not synchronised, but for the epochs themselves.
class QuiescentEpochs {
  public:
    /// `epoch` grows by one when the CPU enters and when it leaves translated code, so that it is odd inside.
    /// It must stay as long as this object is asked.
    void add_cpu(const std::atomic<uint64_t>* epoch) { cpus_.push_back(epoch); }

    /// Every CPU's epoch at one time. An empty one has passed.
    using Snapshot = std::vector<uint64_t>;
    Snapshot now() const {
        Snapshot snapshot;
        for (const auto* epoch : cpus_) snapshot.push_back(epoch->load());
        return snapshot;
    }
    /// Whether every CPU was outside translated code then, or has left it since. Code that nothing leads to
    /// any more since the snapshot may be freed.
    bool passed(const Snapshot& snapshot) const {
        for (size_t k = 0; k < snapshot.size(); ++k)
            if ((snapshot[k] & 1) != 0 && cpus_[k]->load() == snapshot[k]) return false;
        return true;
    }

  private:
    std::vector<const std::atomic<uint64_t>*> cpus_;
};

}  // namespace arclight::jit

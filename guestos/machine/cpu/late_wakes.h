#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "devices/layout.h"

namespace arclight::guestos {

/// While one exists on a thread, CPUs whose naps the thread ends (CrossCpuWork::end_nap()) are woken when it is gone: for who holds a lock that
/// they all want at once, as an interrupt controller's. To wake is a system call each, and in a virtual machine an exit. One at a time.
class LateWakes {
  public:
    LateWakes() { current_ = this; }
    ~LateWakes();
    LateWakes(const LateWakes&) = delete;
    LateWakes& operator=(const LateWakes&) = delete;

    /// False: whoever sleeps on the word is to be woken now.
    static bool hold(std::atomic<uint32_t>& word) {
        if (current_ == nullptr || current_->count_ == current_->words_.size()) return false;
        current_->words_[current_->count_++] = &word;
        return true;
    }
    size_t held() const { return count_; }

  private:
    static thread_local LateWakes* current_;
    std::array<std::atomic<uint32_t>*, devices::layout::kMaxCpus> words_;
    size_t count_ = 0;
};

}  // namespace arclight::guestos

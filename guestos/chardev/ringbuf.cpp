#include "guestos/chardev/ringbuf.h"

#include <unistd.h>

#include <algorithm>

namespace arclight::guestos {

RingbufChardev::RingbufChardev(const ChardevOptions& options, int log)
    : Chardev(options), ring_(options.ring_bytes), log_(log) {}

RingbufChardev::~RingbufChardev() {
    if (log_ >= 0) close(log_);
}

void RingbufChardev::write(std::span<const uint8_t> bytes) {
    const std::lock_guard guard(lock_);
    if (log_ >= 0) (void)!::write(log_, bytes.data(), bytes.size());
    for (const uint8_t byte : bytes) ring_[produced_++ % ring_.size()] = byte;
    if (produced_ - consumed_ > ring_.size()) consumed_ = produced_ - ring_.size();
}

std::vector<uint8_t> RingbufChardev::take(size_t most) {
    const std::lock_guard guard(lock_);
    std::vector<uint8_t> bytes(std::min(most, produced_ - consumed_));
    for (uint8_t& byte : bytes) byte = ring_[consumed_++ % ring_.size()];
    return bytes;
}

}  // namespace arclight::guestos

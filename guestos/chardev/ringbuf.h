// The last output, kept for whoever asks by the monitor.
#pragma once

#include <mutex>
#include <vector>

#include "guestos/chardev/chardev.h"

namespace arclight::guestos {

class RingbufChardev final : public Chardev {
  public:
    RingbufChardev(const ChardevOptions& options, int log);
    ~RingbufChardev() override;

    void write(std::span<const uint8_t> bytes) override;
    void connect(devices::CharFrontend* frontend) override { connected_ = frontend != nullptr; }
    bool has_frontend() const override { return connected_; }
    std::string filename() const override { return "ringbuf"; }

    /// Takes the oldest bytes, at most so many.
    std::vector<uint8_t> take(size_t most);

  private:
    std::mutex lock_;
    std::vector<uint8_t> ring_;
    size_t produced_ = 0, consumed_ = 0;
    const int log_;
    std::atomic<bool> connected_{false};
};

}  // namespace arclight::guestos

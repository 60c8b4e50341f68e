#pragma once

#include "guestos/chardev/chardev.h"

namespace arclight::guestos {

/// Output is lost, and there is no input.
class NullChardev final : public Chardev {
  public:
    using Chardev::Chardev;
    void write(std::span<const uint8_t>) override {}
    void connect(devices::CharFrontend* frontend) override { connected_ = frontend != nullptr; }
    bool has_frontend() const override { return connected_; }
    std::string filename() const override { return "null"; }

  private:
    std::atomic<bool> connected_{false};
};

}  // namespace arclight::guestos

// A pseudo-terminal: another program opens its other end as a terminal.
#pragma once

#include <atomic>
#include <memory>

#include "guestos/chardev/stream.h"

namespace arclight::guestos {

class PtyChardev final : public StreamChardev {
  public:
    static Result<std::unique_ptr<Chardev>> open(devices::EventLoop& loop, const ChardevOptions& options,
                                                 int log);
    ~PtyChardev() override;

    bool is_open() const override { return open_; }
    std::optional<devices::WindowSize> window_size() const override;
    std::string filename() const override { return "pty:" + name_; }
    const std::string& name() const { return name_; }

  private:
    PtyChardev(devices::EventLoop& loop, const ChardevOptions& options, int log, int master,
               std::string name);
    void input_ended(int error) override;
    void hung_up() override { closed(); }
    void output_failed(int) override { closed(); }
    void look();
    void closed();

    const int master_;
    const std::string name_;
    std::atomic<bool> open_{false};
    devices::EventLoop::Timer look_;
};

}  // namespace arclight::guestos

// Several front ends on one back end: output of all, input for the one that has the focus.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "guestos/chardev/chardev.h"
#include "guestos/chardev/frontend_link.h"
#include "guestos/console/escape_keys.h"

namespace arclight::guestos {

class Mux final : public Chardev, public devices::CharFrontend {
  public:
    static constexpr unsigned kMaxFrontends = 4;  ///< as QEMU

    /// `escape`: the escape key; 0: none.
    Mux(devices::EventLoop& loop, std::unique_ptr<Chardev> below, const ChardevOptions& options,
        uint8_t escape, ChardevActions actions);
    ~Mux() override;

    /// For one more front end; null: there are kMaxFrontends. Before the loop runs, or while nothing is connected.
    devices::CharBackend* add_port();
    /// Takes back ports from this one on.
    void remove_ports(size_t first);
    size_t ports() const { return ports_.size(); }
    /// Input goes to this port from now on. Before the loop runs.
    void focus(size_t port);
    /// Tells the front end that has the focus. Before the loop runs.
    void tell_focus();

    // ---- Chardev: of the whole
    void write(std::span<const uint8_t> bytes) override { below_->write(bytes); }
    size_t offer(std::span<const uint8_t> bytes) override { return below_->offer(bytes); }
    bool has_frontend() const override;
    std::string filename() const override { return below_->filename(); }
    bool is_terminal() const override { return below_->is_terminal(); }
    void flush() override { below_->flush(); }
    void abandon_output() override { below_->abandon_output(); }
    int output_error() const override { return below_->output_error(); }
    void leave_terminal() override { below_->leave_terminal(); }
    void terminal_resized() override { below_->terminal_resized(); }

    // ---- CharFrontend: of the back end below
    size_t receive(std::span<const uint8_t> bytes) override;
    void event(devices::CharEvent event) override;
    void writable() override;

  private:
    class Port;
    void connected();
    void show_help();
    void next_focus();

    devices::EventLoop& loop_;
    const std::unique_ptr<Chardev> below_;
    const ChardevActions actions_;
    const bool escapes_;
    EscapeKeys keys_;
    std::vector<std::unique_ptr<Port>> ports_;
    size_t focus_ = 0;  // of the loop's thread, while that runs
    std::mutex connect_lock_;
    bool below_connected_ = false;
};

}  // namespace arclight::guestos

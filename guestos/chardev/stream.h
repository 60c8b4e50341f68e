// Back ends that are file descriptors.
#pragma once

#include "guestos/chardev/chardev.h"
#include "guestos/chardev/frontend_link.h"
#include "guestos/chardev/output_buffer.h"
#include "host/descriptors.h"

namespace arclight::guestos {

/// A file or a pipe, and what sockets and terminals have of one. Input is read while the front end takes it.
class StreamChardev : public Chardev {
  public:
    /// The descriptors become the object's; -1: without input, without output, without a log.
    struct Descriptors {
        int input = -1, output = -1, log = -1;
        bool owned = true;
    };
    StreamChardev(devices::EventLoop& loop, const ChardevOptions& options, Descriptors descriptors);
    ~StreamChardev() override;

    void write(std::span<const uint8_t> bytes) override { output_.write(bytes); }
    size_t offer(std::span<const uint8_t> bytes) override { return output_.offer(bytes); }
    void connect(devices::CharFrontend* frontend) override;
    void accept_input() override { link_.accept_input(); }
    bool has_frontend() const override { return link_.connected(); }

    std::string filename() const override { return options_.path; }
    void flush() override { output_.flush(); }
    void abandon_output() override { output_.abandon(); }
    int output_error() const override { return output_.error(); }

  protected:
    /// On the loop's thread, or before it runs.
    void set_descriptors(int input, int output);
    /// What of `bytes` is input for the front end; the others are for the connection itself.
    virtual std::span<uint8_t> received(std::span<uint8_t> bytes) { return bytes; }
    /// On the loop's thread: there is no more input; `error`: an errno value, or 0.
    virtual void input_ended(int error);
    /// On the loop's thread: the other end has gone while no input was read.
    virtual void hung_up() { unwatch(); }
    /// On the loop's thread: nothing can be written any more.
    virtual void output_failed(int) {}
    int input() const { return input_; }
    devices::EventLoop& loop() { return loop_; }
    FrontendLink& link() { return link_; }

  private:
    void watch();
    void unwatch();
    void on_ready(uint32_t events);

    devices::EventLoop& loop_;
    const bool owned_;
    const int log_;
    int input_ = -1, output_fd_ = -1;
    enum class Watch : uint8_t { None, Hangup, Input };
    Watch watch_ = Watch::None;  // of the loop's thread, while that runs
    bool ended_ = false;
    FrontendLink link_;
    devices::EventLoop::Timer failed_;
    OutputBuffer output_;
};

}  // namespace arclight::guestos

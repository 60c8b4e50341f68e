// Output on its way to a file descriptor.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "devices/event_loop.h"
#include "host/failure.h"

namespace arclight::guestos {

/// Collects output for up to 1 ms so that a line is one write. A slow reader holds write() up once 64 KiB are due, and loses
/// nothing.
class OutputBuffer {
  public:
    struct Actions {
        /// Writing has failed, with this errno value; the descriptor is not used any more. Any thread, with a lock held.
        std::function<void(int error)> failed;
        /// On the loop's thread: offer() takes more, after it took less than all.
        std::function<void()> writable;
    };
    OutputBuffer(devices::EventLoop& loop, Actions actions);
    ~OutputBuffer();
    OutputBuffer(const OutputBuffer&) = delete;
    OutputBuffer& operator=(const OutputBuffer&) = delete;

    /// From now on output goes to `fd`, which stays the caller's; -1: nowhere, and what is due is lost.
    void set_descriptor(int fd);
    /// All of it goes here too; -1: nowhere. Before any output.
    void set_log(int fd) { log_ = fd; }

    void write(std::span<const uint8_t> bytes);
    size_t offer(std::span<const uint8_t> bytes);
    /// Waits until all output is written, or lost.
    void flush();
    /// Output no longer waits for a reader: what does not go at once is lost.
    void abandon() { abandoned_ = true; }
    /// Of the write after which all output was dropped; 0: none.
    int error() const { return error_; }

  private:
    using Lock = std::unique_lock<std::mutex>;
    void append(std::span<const uint8_t> bytes);
    void write_some();
    void wait_for_room(Lock& held, size_t most);
    void on_timer();
    void write_what_goes();
    bool lost() const { return fd_ < 0; }

    const Actions actions_;
    std::mutex lock_;
    std::vector<uint8_t> due_;
    int fd_ = -1;
    int log_ = -1;
    bool short_offer_ = false;
    std::atomic<int> error_{0};
    std::atomic<bool> abandoned_{false};
    devices::EventLoop::Timer timer_;
    const host::LastAct write_at_failure_;
};

}  // namespace arclight::guestos

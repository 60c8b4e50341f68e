// What all back ends have of their front end: input that waits for it, and the calls to it.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <span>

#include "devices/char_backend.h"
#include "devices/event_loop.h"

namespace arclight::guestos {

/// All calls of the front end come on the loop's thread.
class FrontendLink {
  public:
    /// `on_drained` is called there too, when all input that waited has been received.
    FrontendLink(devices::EventLoop& loop, std::function<void()> on_drained = {});

    /// See CharBackend::connect().
    void connect(devices::CharFrontend* frontend);
    bool connected() const { return frontend_ != nullptr; }

    /// Input. Any thread.
    void put(std::span<const uint8_t> bytes);
    /// Behind all input. A front end that is connected later learns of it too.
    void put_end();
    /// Input that waits. Any thread.
    size_t backlog() const;
    void clear();

    /// On the loop's thread; ahead of input that waits.
    void event(devices::CharEvent event);
    void writable();
    /// Any thread, with any lock held.
    void accept_input() { pump_.arm(0); }

  private:
    void pump();

    devices::EventLoop& loop_;
    const std::function<void()> on_drained_;
    std::atomic<devices::CharFrontend*> frontend_{nullptr};
    mutable std::mutex lock_;
    std::deque<uint8_t> waiting_;
    bool ended_ = false;
    std::atomic<bool> end_due_{false};
    devices::EventLoop::Timer pump_;
};

}  // namespace arclight::guestos

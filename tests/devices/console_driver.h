#pragma once

#include <deque>
#include <mutex>
#include <string>

#include "devices/event_loop.h"
#include "devices/virtio/console.h"
#include "tests/devices/queues_driver.h"

namespace arclight::devices::test {

/// A back end that the test is the other end of; its calls come on the test's own thread.
class FakeChardev final : public CharBackend {
  public:
    void write(std::span<const uint8_t> bytes) override { offer(bytes); }
    size_t offer(std::span<const uint8_t> bytes) override {
        const std::lock_guard guard(lock);
        const size_t taken = std::min(bytes.size(), room);
        room -= taken;
        output.append(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(taken));
        return taken;
    }
    void connect(CharFrontend* to) override { frontend = to; }
    void accept_input() override { asked++; }
    bool is_open() const override { return open; }
    std::optional<WindowSize> window_size() const override { return size; }

    size_t type(std::string_view text) {
        return frontend->receive({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    }
    void set_open(bool now) {
        open = now;
        frontend->event(now ? CharEvent::Opened : CharEvent::Closed);
    }
    void set_size(WindowSize now) {
        size = now;
        frontend->event(CharEvent::Resized);
    }
    void give_room(size_t bytes) {
        {
            const std::lock_guard guard(lock);
            room = bytes;
        }
        frontend->writable();
    }
    CharFrontend* frontend = nullptr;
    std::mutex lock;
    std::string output;
    size_t room = SIZE_MAX;
    std::atomic<unsigned> asked{0};
    bool open = false;
    std::optional<WindowSize> size;
};

/// The guest's side of a console device.
class ConsoleDriver : public QueuesDriver {
  public:
    static constexpr uint64_t kSize = 1, kMultiport = 2, kEmergency = 4,
                              kAll = kSize | kMultiport | kEmergency;
    static constexpr unsigned kControlReceive = 2, kControlTransmit = 3;
    static constexpr uint16_t kDeviceReady = 0, kDeviceAdd = 1, kPortReady = 3, kConsolePort = 4, kResize = 5,
                              kPortOpen = 6, kPortName = 7;

    using QueuesDriver::QueuesDriver;

    void start_console(uint64_t features = kAll, bool control_room = true) {
        start_queues(features);
        if (control_room)
            for (unsigned i = 0; i < kBuffers; i++) room(kControlReceive);
    }
    void control(uint32_t port, uint16_t event, uint16_t value) {
        send(kControlTransmit, message(port, event, value));
    }
    static std::string message(uint32_t port, uint16_t event, uint16_t value, std::string_view more = {}) {
        std::string text(8, 0);
        std::memcpy(text.data(), &port, 4);
        std::memcpy(text.data() + 4, &event, 2);
        std::memcpy(text.data() + 6, &value, 2);
        return text.append(more);
    }
    /// Control messages that have come; buffers are offered again.
    std::vector<std::string> messages() {
        auto all = take(kControlReceive);
        for (size_t i = 0; i < all.size(); i++) room(kControlReceive);
        return all;
    }
};

}  // namespace arclight::devices::test

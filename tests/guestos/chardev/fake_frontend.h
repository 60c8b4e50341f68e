#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "devices/char_backend.h"

namespace arclight::guestos::test {

/// Takes input while it has room.
struct FakeFrontend final : devices::CharFrontend {
    size_t receive(std::span<const uint8_t> bytes) override {
        const std::lock_guard hold(lock);
        const size_t taken = std::min(bytes.size(), room);
        room -= taken;
        received.append(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(taken));
        return taken;
    }
    void event(devices::CharEvent event) override {
        const std::lock_guard hold(lock);
        events.push_back(event);
    }
    void writable() override {
        const std::lock_guard hold(lock);
        told_writable++;
    }
    std::string text() {
        const std::lock_guard hold(lock);
        return received;
    }
    bool has(devices::CharEvent event) {
        const std::lock_guard hold(lock);
        return std::find(events.begin(), events.end(), event) != events.end();
    }
    void give_room(size_t bytes) {
        const std::lock_guard hold(lock);
        room = bytes;
    }
    std::mutex lock;
    std::string received;
    std::vector<devices::CharEvent> events;
    size_t room = SIZE_MAX;
    unsigned told_writable = 0;
};

/// Generous, for a busy machine.
bool eventually(auto condition) {
    for (int i = 0; i < 4000; ++i) {
        if (condition()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
}

inline std::span<const uint8_t> bytes_of(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace arclight::guestos::test

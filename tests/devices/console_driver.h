#pragma once

#include <deque>
#include <mutex>
#include <string>

#include "devices/event_loop.h"
#include "devices/virtio/console.h"
#include "tests/devices/virtio_driver.h"

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

/// The guest's side of a console device: all its queues, each with eight buffers of 256 bytes.
class ConsoleDriver : public VirtioDriver {
  public:
    static constexpr uint64_t kSize = 1, kMultiport = 2, kEmergency = 4,
                              kAll = kSize | kMultiport | kEmergency;
    static constexpr unsigned kControlReceive = 2, kControlTransmit = 3, kQueues = 8, kBuffers = 8;
    static constexpr uint64_t kStride = 0x1000, kBuffer = 256;
    static constexpr uint16_t kDeviceReady = 0, kDeviceAdd = 1, kPortReady = 3, kConsolePort = 4, kResize = 5,
                              kPortOpen = 6, kPortName = 7;

    explicit ConsoleDriver(std::unique_ptr<virtio::Backend> backend)
        : VirtioDriver(std::move(backend), kBuffers) {}

    static uint64_t table(unsigned queue) { return layout::kRamBase + 0x1000 + queue * kStride; }
    static uint64_t available(unsigned queue) { return table(queue) + 0x400; }
    static uint64_t used(unsigned queue) { return table(queue) + 0x800; }
    static uint64_t buffer(unsigned queue, unsigned i) { return kData + (queue * kBuffers + i) * kBuffer; }

    void start_console(uint64_t features = kAll, bool control_room = true) {
        std::memset(ram.data(), 0, 0x10000);
        negotiate(features | virtio::kFeatureVersion1);
        for (unsigned queue = 0; queue < kQueues; queue++) {
            set(0x30, queue);
            set(0x38, size);
            set(0x80, table(queue)), set(0x84, 0);
            set(0x90, available(queue)), set(0x94, 0);
            set(0xa0, used(queue)), set(0xa4, 0);
            set(0x44, 1);
        }
        set(0x70, 0xf);
        for (uint16_t& count : seen_) count = 0;
        for (unsigned& next : next_) next = 0;
        if (control_room)
            for (unsigned i = 0; i < kBuffers; i++) room(kControlReceive);
    }
    void offer_in(unsigned queue, uint16_t head) {
        const uint16_t index = at<uint16_t>(available(queue) + 2);
        at<uint16_t>(available(queue) + 4 + index % size * 2) = head;
        std::atomic_ref<uint16_t>(at<uint16_t>(available(queue) + 2)).store(static_cast<uint16_t>(index + 1));
        set(0x50, queue);
    }
    /// Room for one buffer of input.
    void room(unsigned queue, uint32_t bytes = kBuffer) {
        const unsigned i = next_[queue]++ % kBuffers;
        describe(table(queue), i, buffer(queue, i), bytes, kWrite);
        offer_in(queue, static_cast<uint16_t>(i));
    }
    void send(unsigned queue, std::string_view bytes) {
        const unsigned i = next_[queue]++ % kBuffers;
        std::memcpy(memory.host(buffer(queue, i), bytes.size()), bytes.data(), bytes.size());
        describe(table(queue), i, buffer(queue, i), static_cast<uint32_t>(bytes.size()), 0);
        offer_in(queue, static_cast<uint16_t>(i));
    }
    /// What has come back on a queue since the last call.
    std::vector<std::string> take(unsigned queue) {
        std::vector<std::string> all;
        const uint16_t now = std::atomic_ref<uint16_t>(at<uint16_t>(used(queue) + 2)).load();
        for (; seen_[queue] != now; seen_[queue]++) {
            const uint64_t entry = used(queue) + 4 + seen_[queue] % size * 8;
            const auto bytes = at<uint32_t>(entry + 4);
            const auto* from =
                reinterpret_cast<const char*>(memory.host(buffer(queue, at<uint32_t>(entry)), bytes));
            all.emplace_back(from, bytes);
        }
        return all;
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

  private:
    uint16_t seen_[kQueues] = {};
    unsigned next_[kQueues] = {};
};

}  // namespace arclight::devices::test

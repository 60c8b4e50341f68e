#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <vector>

#include "devices/net_backend.h"
#include "devices/virtio/net_frame.h"

namespace arclight::guestos::test {

using Bytes = std::vector<uint8_t>;

/// The guest of one back end, for as long as it lives.
class FakeGuest final : public devices::NetGuest {
  public:
    explicit FakeGuest(devices::NetBackend& network) : network_(network) { network_.connect(this); }
    ~FakeGuest() override { network_.connect(nullptr); }

    void send(Bytes frame) {
        {
            const std::lock_guard guard(lock_);
            outgoing_.push_back(std::move(frame));
        }
        network_.wake();
    }
    /// The next frame that has come; empty: none within the time that a busy machine may need.
    Bytes next() {
        std::unique_lock held(lock_);
        if (!changed_.wait_for(held, std::chrono::seconds(20), [&] { return !received_.empty(); })) return {};
        Bytes frame = std::move(received_.front());
        received_.pop_front();
        return frame;
    }
    size_t received() {
        const std::lock_guard guard(lock_);
        return received_.size();
    }
    /// Sends `frame` until it arrives at `other`: what is sent while there is no connection is lost. Empty: it does not.
    Bytes send_until(FakeGuest& other, const Bytes& frame) {
        for (int i = 0; i < 2000; i++) {
            send(frame);
            {
                std::unique_lock held(other.lock_);
                other.changed_.wait_for(held, std::chrono::milliseconds(10),
                                        [&] { return !other.received_.empty(); });
            }
            while (other.received() != 0)
                if (other.next() == frame) return frame;
        }
        return {};
    }

    bool transfer() override {
        const std::lock_guard guard(lock_);
        sent_.clear();
        for (unsigned i = 0; i < 64 && !outgoing_.empty(); i++) {
            sent_.push_back(std::move(outgoing_.front()));
            outgoing_.pop_front();
            network_.send(sent_.back());
        }
        return !outgoing_.empty();
    }
    void deliver_waiting() override {}
    void receive(const devices::ReceivedFrame& frame) override {
        const std::lock_guard guard(lock_);
        received_.emplace_back(frame.bytes.begin(), frame.bytes.end());
        checked |= frame.checked;
        changed_.notify_all();
    }
    void link_changed() override {}
    bool takes_large_segments(bool) const override { return true; }
    bool takes_partial_checksums() const override { return true; }

    bool checked = false;  ///< a frame was said to be right

  private:
    devices::NetBackend& network_;
    std::mutex lock_;
    std::condition_variable changed_;
    std::deque<Bytes> outgoing_, received_;
    std::deque<Bytes> sent_;  // where they are until the next transfer()
};

/// A frame of `size` bytes, 14 or more, that differs from those with other numbers.
inline Bytes frame_of(size_t size, uint8_t number) {
    Bytes frame(size);
    for (size_t i = 0; i < size; i++) frame[i] = static_cast<uint8_t>(i * 7 + number);
    frame[0] = 0xff;
    return frame;
}

}  // namespace arclight::guestos::test

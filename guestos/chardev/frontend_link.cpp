#include "guestos/chardev/frontend_link.h"

#include <array>
#include <utility>

namespace arclight::guestos {

FrontendLink::FrontendLink(devices::EventLoop& loop, std::function<void()> on_drained)
    : loop_(loop), on_drained_(std::move(on_drained)), pump_(loop, [this] { pump(); }) {}

void FrontendLink::connect(devices::CharFrontend* frontend) {
    frontend_ = frontend;
    if (frontend == nullptr) {
        loop_.drain();
        return;
    }
    {
        const std::lock_guard guard(lock_);
        end_due_ = ended_;
    }
    accept_input();
}

void FrontendLink::put(std::span<const uint8_t> bytes) {
    {
        const std::lock_guard guard(lock_);
        waiting_.insert(waiting_.end(), bytes.begin(), bytes.end());
    }
    accept_input();
}

void FrontendLink::put_end() {
    {
        const std::lock_guard guard(lock_);
        ended_ = true;
        end_due_ = true;
    }
    accept_input();
}

size_t FrontendLink::backlog() const {
    const std::lock_guard guard(lock_);
    return waiting_.size();
}

void FrontendLink::clear() {
    const std::lock_guard guard(lock_);
    waiting_.clear();
}

void FrontendLink::event(devices::CharEvent event) {
    if (devices::CharFrontend* frontend = frontend_) frontend->event(event);
}

void FrontendLink::writable() {
    if (devices::CharFrontend* frontend = frontend_) frontend->writable();
}

void FrontendLink::pump() {
    std::array<uint8_t, 4096> piece;
    for (;;) {
        devices::CharFrontend* frontend = frontend_;
        if (frontend == nullptr) return;
        size_t size = 0;
        {
            const std::lock_guard guard(lock_);
            size = std::min(waiting_.size(), piece.size());
            std::copy_n(waiting_.begin(), size, piece.begin());
        }
        if (size == 0) break;
        const size_t taken = frontend->receive({piece.data(), size});
        {
            // Only this thread takes input away, but for clear().
            const std::lock_guard guard(lock_);
            waiting_.erase(waiting_.begin(),
                           waiting_.begin() + static_cast<ptrdiff_t>(std::min(taken, waiting_.size())));
        }
        if (taken < size) return;
    }
    if (end_due_.exchange(false)) event(devices::CharEvent::End);
    if (on_drained_) on_drained_();
}

}  // namespace arclight::guestos

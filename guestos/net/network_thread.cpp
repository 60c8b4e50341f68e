#include "guestos/net/network_thread.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "host/thread.h"

namespace arclight::guestos {

NetworkThread::NetworkThread() : wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (wake_fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

NetworkThread::~NetworkThread() { close(wake_fd_); }

void NetworkThread::connect(devices::NetGuest* guest) {
    if (thread_.joinable()) {
        quit_ = true;
        wake();
        thread_.join();
        quit_ = false;
        drained_.notify_all();
    }
    guest_ = guest;
    if (guest != nullptr) thread_ = host::start_thread("network", ThreadRole::Network, [this] { work(); });
}

void NetworkThread::wake() {
    if (awake_.exchange(true)) return;
    const uint64_t one = 1;
    (void)!write(wake_fd_, &one, sizeof one);
}

void NetworkThread::took_wake() {
    uint64_t count;
    (void)!read(wake_fd_, &count, sizeof count);
    awake_ = false;
}

void NetworkThread::drain() {
    if (!thread_.joinable()) return;
    std::unique_lock held(lock_);
    const uint64_t mine = ++drains_wanted_;
    wake();
    drained_.wait(held, [&] { return drains_done_ >= mine; });
}

// No call of the guest's is under way here.
void NetworkThread::finish_drains() {
    const std::lock_guard guard(lock_);
    if (drains_done_ == drains_wanted_) return;
    drains_done_ = drains_wanted_;
    drained_.notify_all();
}

void NetworkThread::work() {
    bool more = false;
    while (!quit_) {
        turn(!more);
        if (can_send()) {
            more = guest_->transfer();
            sent();
        } else {
            more = false;
            guest_->deliver_waiting();
        }
        finish_drains();
    }
    finish_drains();
}

}  // namespace arclight::guestos

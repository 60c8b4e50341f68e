#include "guestos/chardev/output_buffer.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

namespace arclight::guestos {

namespace {
constexpr int64_t kFlushDelay = 1'000'000;  // ns
constexpr int64_t kRetryDelay = 5'000'000;  // ns
constexpr int kPollTime = 100;              // ms; how soon abandon() and another descriptor are noticed
constexpr size_t kFlushSize = 4096;
constexpr size_t kMaxDue = 64 << 10;

bool takes_output(int fd, int wait_ms) {
    pollfd writable{.fd = fd, .events = POLLOUT, .revents = 0};
    return poll(&writable, 1, wait_ms) == 1;
}

void write_log(int fd, std::span<const uint8_t> bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;  // a full disk must not stop the machine
        bytes = bytes.subspan(static_cast<size_t>(written));
    }
}
}  // namespace

OutputBuffer::OutputBuffer(devices::EventLoop& loop, Actions actions)
    : actions_(std::move(actions)),
      timer_(loop, [this] { on_timer(); }),
      write_at_failure_(
          host::LastAct::When::Failure,
          // NOLINTNEXTLINE(performance-no-int-to-ptr): what a last act is told is a number
          [](uintptr_t self) { reinterpret_cast<OutputBuffer*>(self)->write_what_goes(); },
          reinterpret_cast<uintptr_t>(this)) {}

OutputBuffer::~OutputBuffer() {
    timer_.cancel();
    flush();
}

void OutputBuffer::set_descriptor(int fd) {
    const std::lock_guard hold(lock_);
    fd_ = fd;
    if (fd < 0) due_.clear();
    if (std::exchange(short_offer_, false)) timer_.arm(0);
}

void OutputBuffer::append(std::span<const uint8_t> bytes) {
    if (log_ >= 0) write_log(log_, bytes);
    if (lost()) return;
    const bool was_empty = due_.empty();
    due_.insert(due_.end(), bytes.begin(), bytes.end());
    if (due_.size() >= kFlushSize)
        write_some();
    else if (was_empty)
        timer_.arm(devices::EventLoop::now_ns() + kFlushDelay);
}

void OutputBuffer::write(std::span<const uint8_t> bytes) {
    Lock held(lock_);
    append(bytes);
    if (due_.size() >= kMaxDue) wait_for_room(held, kMaxDue - 1);
}

size_t OutputBuffer::offer(std::span<const uint8_t> bytes) {
    const std::lock_guard hold(lock_);
    const size_t room = due_.size() < kMaxDue ? kMaxDue - due_.size() : 0;
    const size_t taken = lost() ? bytes.size() : std::min(bytes.size(), room);
    append(bytes.first(taken));
    if (taken < bytes.size()) {
        short_offer_ = true;
        timer_.arm(devices::EventLoop::now_ns() + kRetryDelay);
    }
    return taken;
}

void OutputBuffer::flush() {
    Lock held(lock_);
    write_some();
    if (!due_.empty()) wait_for_room(held, 0);
}

/// Until at most so many bytes are due. The lock is not held while the reader is waited for, so that the loop can take a
/// client that is gone away from here.
void OutputBuffer::wait_for_room(Lock& held, size_t most) {
    while (due_.size() > most && !lost()) {
        if (abandoned_) {
            due_.clear();
            break;
        }
        const int fd = fd_;
        held.unlock();
        takes_output(fd, kPollTime);
        held.lock();
        write_some();
    }
}

/// What goes without waiting. The lock is held throughout, so bytes keep their order.
void OutputBuffer::write_some() {
    size_t done = 0;
    while (done < due_.size() && !lost() && takes_output(fd_, 0)) {
        const ssize_t written =
            ::write(fd_, due_.data() + done, std::min<size_t>(due_.size() - done, PIPE_BUF));
        if (written >= 0) {
            done += static_cast<size_t>(written);
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            error_ = errno;
            fd_ = -1;
            if (actions_.failed) actions_.failed(error_);
        }
    }
    due_.erase(due_.begin(), due_.begin() + static_cast<ptrdiff_t>(done));
    if (lost() || (abandoned_ && due_.size() > kMaxDue)) due_.clear();
    if (!due_.empty()) timer_.arm(devices::EventLoop::now_ns() + kRetryDelay);
}

/// On the loop's thread, which must never block: timers and the escape key depend on it.
void OutputBuffer::on_timer() {
    bool tell = false;
    {
        const Lock held(lock_, std::try_to_lock);
        if (!held) {
            timer_.arm(devices::EventLoop::now_ns() + kRetryDelay);
            return;
        }
        write_some();
        if (due_.size() <= kMaxDue / 2) tell = std::exchange(short_offer_, false);
        if (short_offer_) timer_.arm(devices::EventLoop::now_ns() + kRetryDelay);
    }
    if (tell && actions_.writable) actions_.writable();
}

/// The process ends out of order: neither waits nor changes anything.
void OutputBuffer::write_what_goes() {
    const Lock hold(lock_, std::try_to_lock);
    if (!hold) return;
    for (size_t done = 0; done < due_.size() && !lost();) {
        if (!takes_output(fd_, 0)) return;
        const ssize_t written =
            ::write(fd_, due_.data() + done, std::min<size_t>(due_.size() - done, PIPE_BUF));
        if (written <= 0) return;
        done += static_cast<size_t>(written);
    }
}

}  // namespace arclight::guestos

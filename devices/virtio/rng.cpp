#include "devices/virtio/rng.h"

#include <sys/random.h>

#include <algorithm>

namespace arclight::devices::virtio {

namespace {

// More than this per request would only hold up the CPU that asks; the driver is told how much it got.
constexpr size_t kMaxRequest = 64 * 1024;
constexpr uint16_t kQueueSize = 8;

uint32_t fill(const Chain& chain, size_t most) {
    size_t done = 0;
    for (const auto& buffer : chain.writable) {
        size_t at = 0;
        const size_t wanted = std::min(buffer.size(), most - done);
        while (at < wanted) {
            const ssize_t got = getrandom(buffer.data() + at, wanted - at, 0);
            if (got <= 0) return static_cast<uint32_t>(done + at);
            at += static_cast<size_t>(got);
        }
        done += at;
    }
    return static_cast<uint32_t>(done);
}

}  // namespace

Rng::Rng(EventLoop& loop, const Limit& limit) : limit_(limit) {
    period_.emplace(loop, [this] {
        Transport* transport = nullptr;
        {
            const std::lock_guard guard(lock_);
            transport = transport_;
        }
        if (transport == nullptr) return;
        const std::lock_guard guard(transport->lock());
        period_begun_ = false;
        if (transport->running()) serve(*transport);
    });
}

std::vector<QueueDescription> Rng::queues() const {
    return {{kQueueSize, limit_.bytes != 0 ? Service::Backend : Service::Inline}};
}

Served Rng::process(unsigned, Chain& chain) { return Served::done(fill(chain, kMaxRequest)); }

// ---- With a limit

void Rng::activate(Transport& transport) {
    const std::lock_guard guard(lock_);
    transport_ = &transport;
}

void Rng::reset() {
    const std::lock_guard guard(lock_);
    transport_ = nullptr;
}

void Rng::notified(unsigned) {
    Transport* transport = nullptr;
    {
        const std::lock_guard guard(lock_);
        transport = transport_;
    }
    if (transport != nullptr) serve(*transport);
}

/// Transport's lock held. What the period has not room for waits in the queue.
void Rng::serve(Transport& transport) {
    const auto dma = transport.memory().dma();
    for (Chain chain;;) {
        if (!period_begun_) {
            period_begun_ = true;
            left_ = limit_.bytes;
            period_->arm(EventLoop::now_ns() + int64_t{limit_.period_ms} * 1'000'000);
        }
        if (left_ == 0 || !transport.take(0, chain)) return;
        const uint32_t written = fill(chain, std::min<uint64_t>(left_, kMaxRequest));
        left_ -= written;
        const Used used{chain.head, written};
        transport.complete(0, {&used, 1});
    }
}

}  // namespace arclight::devices::virtio

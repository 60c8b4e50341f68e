#include "devices/vhost_user/device.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "host/thread.h"

namespace arclight::devices::vhost_user {

namespace {

constexpr uint64_t bits(std::initializer_list<unsigned> numbers) {
    uint64_t all = 0;
    for (const unsigned number : numbers) all |= 1ull << number;
    return all;
}

// Features by their bits in virtio 1.2, 5.1.3 and 5.2.3. Of a network: checksums, segmentation, merged buffers. Of a disk: limits,
// geometry, read-only, block size, flushes, topology, several queues, discard and write zeroes; not the write cache's switch.
constexpr uint64_t kNetFeatures = bits({0, 1, 7, 8, 9, 10, 11, 12, 13, 14, 15}),
                   kBlkFeatures = bits({1, 2, 4, 5, 6, 9, 10, 12, 13, 14}), kSeqpacket = bits({1});

constexpr uint64_t kRings = virtio::kFeatureIndirect | virtio::kFeatureEventIndex;

constexpr Kind kKinds[] = {
    {.name = "vhost-user-fs",
     .device_id = 26,
     .features = 0,
     .queue_size = 128,
     .fixed_queues = 1,
     .config_bytes = 0,
     .queues_offset = 0},
    {.name = "vhost-user-blk",
     .device_id = 2,
     .features = kBlkFeatures,
     .queue_size = 128,
     .fixed_queues = 0,
     .config_bytes = 60,
     .queues_offset = 34},
    {.name = "vhost-user-net",
     .device_id = 1,
     .features = kNetFeatures,
     .queue_size = 256,
     .fixed_queues = 2,
     .config_bytes = 0,
     .queues_offset = 0},
    {.name = "vhost-user-vsock",
     .device_id = 19,
     .features = kSeqpacket,
     .queue_size = 128,
     .fixed_queues = 3,
     .config_bytes = 8,
     .queues_offset = 0,
     .local_queues = 1},
    {.name = "vhost-vsock",
     .device_id = 19,
     .features = kSeqpacket,
     .queue_size = 128,
     .fixed_queues = 3,
     .config_bytes = 8,
     .queues_offset = 0,
     .local_queues = 1},
    {.name = "vhost-user-rng",
     .device_id = 4,
     .features = 0,
     .queue_size = 64,
     .fixed_queues = 1,
     .config_bytes = 0,
     .queues_offset = 0},
};

/// Takes what is counted; false: nothing was.
bool drain(int eventfd) {
    uint64_t count = 0;
    return read(eventfd, &count, sizeof count) == sizeof count;
}

void raise(int eventfd) {
    const uint64_t one = 1;
    // It fails only when it has been raised more often than anybody can count.
    [[maybe_unused]] const ssize_t put = write(eventfd, &one, sizeof one);
}

}  // namespace

const Kind* find_kind(std::string_view name) {
    const auto* found = std::ranges::find(kKinds, name, &Kind::name);
    return found != std::end(kKinds) ? found : nullptr;
}

uint64_t wanted_features(const Kind& kind) { return kind.features | kRings | virtio::kFeatureVersion1; }

Result<std::unique_ptr<Device>> Device::make(const Kind& kind, std::shared_ptr<Connection> connection,
                                             const SharedRam& ram, Options options) {
    std::unique_ptr<Device> device(new Device(kind, std::move(connection), ram, std::move(options)));
    if (const unsigned limit = device->connection_->queue_limit(); device->served_queues() > limit)
        return failure("{}: its daemon serves {} queues, not {}", device->options_.label, limit,
                       device->served_queues());
    if (auto opened = device->open_signals(); !opened) return std::unexpected(opened.error());
    device->thread_ =
        host::start_thread(std::string(kind.name), ThreadRole::Device, [to = device.get()] { to->work(); });
    return device;
}

Device::Device(const Kind& kind, std::shared_ptr<Connection> connection, const SharedRam& ram,
               Options options)
    : kind_(kind),
      connection_(std::move(connection)),
      ram_(ram),
      options_(std::move(options)),
      signals_(served_queues()),
      config_(options_.config) {
    if (kind_.config_bytes != 0) take_config();
}

Device::~Device() {
    if (thread_.joinable()) {
        wish(Wish::Quit);
        thread_.join();
    }
    for (const Signals& signals : signals_)
        for (const int fd : {signals.kick, signals.call, signals.error})
            if (fd >= 0) close(fd);
    if (wake_ >= 0) close(wake_);
}

Result<void> Device::open_signals() {
    const auto open = [](int& fd) {
        fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return fd >= 0;
    };
    bool opened = open(wake_);
    for (Signals& signals : signals_)
        opened = opened && open(signals.kick) && open(signals.call) && open(signals.error);
    if (!opened) return failure("{}: no eventfd: {}", options_.label, std::strerror(errno));
    return {};
}

// ---- virtio::Backend

uint64_t Device::features() const { return (connection_->features() & ~kRings) | options_.features; }

uint64_t Device::ring_features() const { return connection_->features() & kRings; }

std::vector<virtio::QueueDescription> Device::queues() const {
    return {kind_.fixed_queues + options_.queues, {kind_.queue_size, virtio::Service::Backend}};
}

uint8_t Device::read_config(uint64_t offset) {
    const std::lock_guard guard(config_lock_);
    return offset < config_.size() ? config_[offset] : 0;
}

void Device::take_config() {
    const std::lock_guard guard(config_lock_);
    const auto config = connection_->config();
    config_.assign(config.begin(), config.end());
    if (kind_.queues_offset == 0) return;
    const auto queues = static_cast<uint16_t>(options_.queues);
    std::memcpy(config_.data() + kind_.queues_offset, &queues, sizeof queues);
}

void Device::activate(virtio::Transport& transport) {
    const std::lock_guard guard(lock_);
    wanted_ = &transport;
    wish_ = Wish::Start;
    raise(wake_);
}

void Device::reset() { stop(); }

void Device::notified(unsigned queue) {
    if (queue < signals_.size()) raise(signals_[queue].kick);
}

void Device::save(StateWriter& out) const {
    out.fail(fmt::format("{}: its daemon cannot be asked for its state", options_.label));
}

StateResult Device::load(StateReader&) {
    return failure("{}: its daemon cannot be given a state", options_.label);
}

void Device::wish(Wish wish) {
    const std::lock_guard guard(lock_);
    wish_ = wish;
    raise(wake_);
}

void Device::stop() {
    if (!thread_.joinable()) return;
    std::unique_lock held(lock_);
    wish_ = Wish::Stop;
    raise(wake_);
    done_.wait(held, [this] { return wish_ != Wish::Stop && !busy_; });
}

// ---- the thread

void Device::work() {
    std::vector<pollfd> ready;
    for (;;) {
        ready.assign({{wake_, POLLIN, 0},
                      {dead_ ? -1 : connection_->socket(), POLLIN, 0},
                      {dead_ ? -1 : connection_->requests(), POLLIN, 0}});
        for (const Signals& signals : signals_) {
            ready.push_back({signals.call, POLLIN, 0});
            ready.push_back({signals.error, POLLIN, 0});
        }
        poll(ready.data(), ready.size(), -1);
        drain(wake_);
        Wish wish = Wish::Nothing;
        {
            const std::lock_guard guard(lock_);
            wish = std::exchange(wish_, Wish::Nothing);
            if (wish == Wish::Start) transport_ = wanted_;
            busy_ = true;
        }
        pass_interrupts();
        if (wish == Wish::Start) start_rings();
        if (wish == Wish::Stop || wish == Wish::Quit) stop_rings();
        // Starting and stopping wait for answers, and may have read what the daemon says by itself.
        const bool spoken = wish != Wish::Nothing || (ready[1].revents | ready[2].revents) != 0;
        if (wish != Wish::Quit && !dead_ && spoken) {
            const auto changed = connection_->serve();
            if (!changed) fail(changed.error());
            if (changed && *changed) {
                take_config();
                if (transport_ != nullptr) transport_->config_changed();
            }
        }
        {
            const std::lock_guard guard(lock_);
            busy_ = false;
        }
        done_.notify_all();
        if (wish == Wish::Quit) return;
    }
}

void Device::start_rings() {
    if (!dead_)
        if (const auto started = start_rings_of(*transport_); !started) fail(started.error());
    if (!dead_) return;
    const std::lock_guard guard(transport_->lock());
    transport_->fail();
}

Result<void> Device::start_rings_of(virtio::Transport& transport) {
    std::vector<std::optional<Ring>> rings;
    uint64_t features = 0;
    {
        const std::lock_guard guard(transport.lock());
        features = transport.features();
        for (unsigned i = 0; i < signals_.size(); ++i) {
            auto& ring = rings.emplace_back();
            if (const virtio::Queue* queue = transport.queue_in_use(i); queue != nullptr)
                ring = {queue->place().entries, queue->place().descriptors, queue->place().available,
                        queue->place().used, queue->next_available()};
        }
    }
    if (auto done = connection_->set_up(features & ~options_.features, ram_, transport.memory()); !done)
        return done;
    std::vector<unsigned> started;
    for (unsigned i = 0; i < rings.size(); ++i) {
        const auto& ring = rings[i];
        if (!ring) continue;
        signals_[i].started = true;
        started.push_back(i);
        if (auto done =
                connection_->start_ring(i, *ring, signals_[i].kick, signals_[i].call, signals_[i].error);
            !done)
            return done;
    }
    if (auto done = connection_->begin(started); !done) return done;
    const std::lock_guard guard(transport.lock());
    for (const unsigned i : started)
        if (std::exchange(signals_[i].missed, false)) transport.signal(i);
    return {};
}

void Device::stop_rings() {
    if (transport_ == nullptr) return;
    if (!dead_)
        if (const auto ended = connection_->end(); !ended) fail(ended.error());
    for (unsigned i = 0; i < signals_.size(); ++i) {
        if (!std::exchange(signals_[i].started, false) || dead_) continue;
        const auto position = connection_->stop_ring(i);
        if (!position) {
            fail(position.error());
            continue;
        }
        const std::lock_guard guard(transport_->lock());
        transport_->set_position(i, *position);
    }
    // What has been finished until now is for the driver to know.
    pass_interrupts();
    transport_ = nullptr;
}

void Device::pass_interrupts() {
    for (unsigned i = 0; i < signals_.size(); ++i) {
        const bool failed = drain(signals_[i].error);
        if (failed && !dead_) fail(fmt::format("its daemon cannot use queue {}", i));
        if (!drain(signals_[i].call)) continue;
        // A daemon may finish requests that it had taken before a pause in the middle of it.
        if (transport_ == nullptr) {
            signals_[i].missed = true;
            continue;
        }
        const std::lock_guard guard(transport_->lock());
        transport_->signal(i);
    }
}

void Device::fail(const std::string& why) {
    if (!std::exchange(dead_, true) && options_.host != nullptr)
        options_.host->say(fmt::format("{}: {}; the device works no more", options_.label, why));
    if (transport_ == nullptr) return;
    const std::lock_guard guard(transport_->lock());
    transport_->fail();
}

}  // namespace arclight::devices::vhost_user

#include "devices/vhost_user/device.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "devices/vhost_user/device_types.h"
#include "host/thread.h"

namespace arclight::devices::vhost_user {

namespace {

constexpr uint64_t bits(std::initializer_list<unsigned> numbers) {
    uint64_t all = 0;
    for (const unsigned number : numbers) all |= 1ull << number;
    return all;
}

// Features by their bits in virtio 1.2, 5.1.3 and 5.2.3. Of a network: checksums, segmentation, merged buffers, pairs of queues (of the kernel's,
// which has nothing of the others itself: merged buffers). Of a disk: limits,
// geometry, read-only, block size, flushes, topology, several queues, discard and write zeroes; not the write cache's switch.
constexpr uint64_t kNetFeatures = bits({0, 1, 7, 8, 9, 10, 11, 12, 13, 14, 15, 22}),
                   kBlkFeatures = bits({1, 2, 4, 5, 6, 9, 10, 12, 13, 14}), kSeqpacket = bits({1});

constexpr uint64_t kRings = virtio::kFeatureIndirect | virtio::kFeatureEventIndex;

/// By a daemon and by the host's kernel.
constexpr Kind vsock(std::string_view name) {
    return {.name = name,
            .device_id = 19,
            .features = kSeqpacket,
            .queue_size = 128,
            .fixed_queues = 3,
            .config_bytes = 8,
            .queues_offset = 0,
            .local_queues = 1};
}

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
    {.name = kKernelNet,
     .device_id = 1,
     .features = bits({15}),
     .queue_size = 256,
     .fixed_queues = 2,
     .config_bytes = 0,
     .queues_offset = 0},
    vsock("vhost-user-vsock"),
    vsock(kKernelVsock),
    {.name = "vhost-user-rng",
     .device_id = 4,
     .features = 0,
     .queue_size = 64,
     .fixed_queues = 1,
     .config_bytes = 0,
     .queues_offset = 0},
};

constexpr uint32_t kNetDevice = 1;
// Of a command about pairs, what there may be of it.
constexpr size_t kMaxCommand = 16;

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
      config_(options_.config) {
    if (options_.net_pairs > 1) pairs_.emplace(options_.net_pairs);
    signals_.resize(served_queues());
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

uint64_t Device::features() const {
    const uint64_t own = options_.features | (pairs_ ? NetPairs::kOwnFeatures : 0);
    const uint64_t unknown =
        kRings | (pairs_ || kind_.device_id != kNetDevice ? 0 : virtio::kNetFeaturePairs);
    return (connection_->features() & ~unknown) | own;
}

uint64_t Device::ring_features() const { return connection_->features() & kRings; }

std::vector<virtio::QueueDescription> Device::queues() const {
    return {all_queues(), {kind_.queue_size, virtio::Service::Backend}};
}

unsigned Device::all_queues() const {
    return pairs_ ? pairs_->queues() : kind_.fixed_queues + options_.queues;
}

unsigned Device::served_queues() const { return all_queues() - (pairs_ ? 1 : kind_.local_queues); }

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

void Device::set_features(uint64_t features) {
    if (pairs_) pairs_->set_features(features);
}

void Device::activate(virtio::Transport& transport) {
    const std::lock_guard guard(lock_);
    wanted_ = &transport;
    wish_ = Wish::Start;
    raise(wake_);
}

void Device::reset() {
    stop();
    if (pairs_) pairs_->reset();
}

void Device::notified(unsigned queue) {
    if (pairs_ && queue == pairs_->control_queue())
        raise(wake_);
    else if (queue < signals_.size())
        raise(signals_[queue].kick);
}

void Device::save(StateWriter& out) const {
    if (connection_->has_state())
        out.fail(fmt::format("{}: its daemon cannot be asked for its state", options_.label));
    else if (pairs_)
        out(uint32_t{pairs_->in_use()});
}

StateResult Device::load(StateReader& in) {
    if (connection_->has_state()) return failure("{}: its daemon cannot be given a state", options_.label);
    if (!pairs_) return {};
    uint32_t pairs = 1;
    in(pairs);
    if (in.ok()) in.require(pairs_->restore(pairs), "pairs of queues that this device has not");
    return in.result();
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
                      {connected() ? connection_->socket() : -1, POLLIN, 0},
                      {connected() ? connection_->requests() : -1, POLLIN, 0}});
        for (const Signals& signals : signals_) {
            ready.push_back({signals.call, POLLIN, 0});
            ready.push_back({signals.error, POLLIN, 0});
        }
        const auto interval = static_cast<int>(connection_->renewal_interval().count());
        poll(ready.data(), ready.size(), lost_ ? interval : -1);
        if (ready[0].revents != 0) drain(wake_);
        Wish wish = Wish::Nothing;
        {
            const std::lock_guard guard(lock_);
            wish = std::exchange(wish_, Wish::Nothing);
            if (wish == Wish::Start) transport_ = wanted_;
            busy_ = true;
        }
        const bool renewed = wish != Wish::Stop && wish != Wish::Quit && time_to_renew() && renew();
        pass_interrupts(std::span(ready).subspan(3));
        if (wish == Wish::Start || (renewed && transport_ != nullptr)) start_rings();
        if (renewed) remind();
        if (const auto served = serve_control(); !served) lose(served.error());
        if (wish == Wish::Stop || wish == Wish::Quit) stop_rings();
        // Starting and stopping wait for answers, and may have read what the daemon says by itself.
        const bool spoken = wish != Wish::Nothing || (ready[1].revents | ready[2].revents) != 0;
        if (wish != Wish::Quit && connected() && spoken) {
            const auto changed = connection_->serve();
            if (!changed) lose(changed.error());
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
    if (connected())
        if (const auto started = start_rings_of(*transport_); !started) lose(started.error());
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
        for (unsigned i = 0; i < signals_.size() && is_daemons(i); ++i) {
            auto& ring = rings.emplace_back();
            if (const virtio::Queue* queue = transport.queue_in_use(i); queue != nullptr)
                ring = {queue->place().entries, queue->place().descriptors, queue->place().available,
                        queue->place().used, queue->next_available()};
        }
    }
    const uint64_t own = options_.features | (pairs_ ? NetPairs::kOwnFeatures : 0);
    if (auto done = connection_->set_up(features & ~own, ram_, transport.memory()); !done) return done;
    std::vector<unsigned> started, enabled;
    for (unsigned i = 0; i < rings.size(); ++i) {
        const auto& ring = rings[i];
        if (!ring) continue;
        signals_[i].started = true;
        started.push_back(i);
        if (!pairs_ || pairs_->enabled(i)) enabled.push_back(i);
        if (auto done =
                connection_->start_ring(i, *ring, signals_[i].kick, signals_[i].call, signals_[i].error);
            !done)
            return done;
    }
    if (auto done = connection_->begin(enabled); !done) return done;
    const std::lock_guard guard(transport.lock());
    for (const unsigned i : started)
        if (std::exchange(signals_[i].missed, false)) transport.signal(i);
    return {};
}

// ---- the control queue of a network adapter with several pairs (virtio 1.2 section 5.1.6.5)

// The next command: is looked at, or answered. False: there is none.
bool Device::take_command(bool finish) {
    const unsigned queue = pairs_->control_queue();
    const std::lock_guard guard(transport_->lock());
    const auto dma = transport_->memory().dma();
    virtio::Chain chain;
    if (!transport_->running() || !transport_->take(queue, chain)) return false;
    if (chain.writable.empty()) {
        transport_->put_back(queue, 1);
        transport_->fail();
        return false;
    }
    if (!finish) {
        std::vector<uint8_t> command(std::min<uint64_t>(chain.readable_size(), kMaxCommand));
        virtio::gather(chain.readable, command);
        command_good_ = pairs_->carry_out(command);
        transport_->put_back(queue, 1);
        return true;
    }
    chain.writable.front().front() = command_good_ ? virtio::kNetControlOk : virtio::kNetControlError;
    const virtio::Used used{chain.head, 1};
    transport_->complete(queue, {&used, 1});
    return true;
}

// A driver that is told that a pair is in use may use it at once, so the daemon is told first. No lock is held while it answers, and
// the command stays in the queue. Without a daemon the command is carried out all the same: drivers wait for it and do nothing else.
Result<void> Device::serve_control() {
    if (!pairs_ || transport_ == nullptr) return {};
    for (;;) {
        const unsigned before = pairs_->in_use();
        if (!take_command(false)) return {};
        const unsigned now = pairs_->in_use();
        for (unsigned i = 2 * std::min(before, now); i < 2 * std::max(before, now); ++i)
            if (signals_[i].started && connected())
                if (auto told = connection_->enable_ring(i, i < 2 * now); !told) return told;
        if (!take_command(true)) return {};
    }
}

void Device::stop_rings() {
    if (transport_ == nullptr) return;
    if (connected())
        if (const auto ended = connection_->end(); !ended) lose(ended.error());
    for (unsigned i = 0; i < signals_.size(); ++i) {
        if (!signals_[i].started || !connected()) continue;
        const auto position = connection_->stop_ring(i);
        if (!position) {
            lose(position.error());
            continue;
        }
        signals_[i].started = false;
        const std::lock_guard guard(transport_->lock());
        transport_->set_position(i, *position);
    }
    // What has been finished until now is for the driver to know.
    pass_interrupts({});
    transport_ = nullptr;
}

void Device::pass_interrupts(std::span<const pollfd> polled) {
    const auto came = [&](size_t i) { return polled.empty() || polled[i].revents != 0; };
    for (unsigned i = 0; i < signals_.size(); ++i) {
        const bool failed = came(2 * i + 1) && drain(signals_[i].error);
        if (failed && connected()) fail(fmt::format("its daemon cannot use queue {}", i));
        if (!came(2 * i) || !drain(signals_[i].call)) continue;
        // A daemon may finish requests that it had taken before a pause in the middle of it.
        if (transport_ == nullptr) {
            signals_[i].missed = true;
            continue;
        }
        const std::lock_guard guard(transport_->lock());
        transport_->signal(i);
    }
}

// ---- the end of a daemon

// What it had taken and not handed back is done again by the next one, if daemons finish requests in their order.
void Device::lose(const std::string& why) {
    if (connection_->renewal_interval().count() == 0 || dead_) {
        fail(why);
        return;
    }
    if (std::exchange(lost_, true)) return;
    next_renewal_ = std::chrono::steady_clock::now();
    if (options_.host != nullptr)
        options_.host->say(fmt::format("{}: {}; waiting for another one", options_.label, why));
    for (unsigned i = 0; i < signals_.size(); ++i) {
        if (!std::exchange(signals_[i].started, false) || transport_ == nullptr) continue;
        const std::lock_guard guard(transport_->lock());
        const auto dma = transport_->memory().dma();
        if (const virtio::Queue* queue = transport_->queue_in_use(i); queue != nullptr)
            transport_->set_position(i, queue->used_index());
    }
}

bool Device::time_to_renew() {
    const auto now = std::chrono::steady_clock::now();
    if (!lost_ || now < next_renewal_) return false;
    next_renewal_ = now + connection_->renewal_interval();
    return true;
}

bool Device::renew() {
    if (!connection_->renew()) return false;
    lost_ = false;
    if (options_.host != nullptr)
        options_.host->say(fmt::format("{}: another daemon is there", options_.label));
    if (kind_.config_bytes != 0) take_config();
    if (transport_ != nullptr) transport_->config_changed();
    return true;
}

// The daemon before may have taken notifications, and sent no interrupts for what it has finished.
void Device::remind() {
    for (unsigned i = 0; i < signals_.size(); ++i) {
        if (!signals_[i].started) continue;
        raise(signals_[i].kick);
        raise(signals_[i].call);
    }
}

void Device::fail(const std::string& why) {
    if (!std::exchange(dead_, true)) {
        // Whoever still can is not to go on in the guest's memory.
        (void)connection_->end();
        if (options_.host != nullptr)
            options_.host->say(fmt::format("{}: {}; the device works no more", options_.label, why));
    }
    if (transport_ == nullptr) return;
    const std::lock_guard guard(transport_->lock());
    transport_->fail();
}

}  // namespace arclight::devices::vhost_user

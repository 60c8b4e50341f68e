#include "devices/svio/device_thread.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <future>
#include <limits>
#include <utility>

#include "host/thread.h"

namespace arclight::devices::svio {

namespace {

// What an event is about: an interface's number and one of these, or a tag below kFirst.
enum class Source : uint64_t { Listener, FrontEnd, Kick };
constexpr uint64_t kSources = 4, kWake = 0, kUplink = 1;

// Of a message without a byte, so that many small ones have their price: what the thread does for a message takes about as long as copying
// so many bytes.
constexpr uint64_t kMessageCost = 1024;
constexpr uint64_t kBurstMs = 20;
constexpr unsigned kRoundsBetweenEvents = 32;
constexpr int64_t kLeastPollNs = 10'000;
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

int64_t nanoseconds(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}
int64_t now_ns() { return nanoseconds(CLOCK_MONOTONIC); }

uint64_t tag_of(uint32_t id, Source source) { return id * kSources + static_cast<uint64_t>(source); }

/// How long to look for more from now on, up to `most`, when nothing has come for `idle`: as KVM's halt polling adapts. Where what comes
/// takes longer than that, looking for it only takes the core from who sends it.
int64_t adapt(int64_t poll, int64_t idle, int64_t most) {
    if (idle < most) return std::min(most, std::max(2 * poll, kLeastPollNs));
    return poll / 2 < kLeastPollNs ? 0 : poll / 2;
}

bool watch(int epoll, int file, uint64_t tag) {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = tag}};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event) == 0;
}

}  // namespace

struct DeviceThread::Interface {
    Interface(InterfaceOptions given, uint32_t number, int socket, std::unique_ptr<Port> its_port)
        : options(std::move(given)), id(number), listener(socket), port(std::move(its_port)) {}
    ~Interface() { close(listener); }

    InterfaceOptions options;
    const uint32_t id;
    const int listener;
    const std::unique_ptr<Port> port;
    std::unique_ptr<vhost_user::BackEnd> front;
    FairClock::Flow flow;
    TokenBucket bucket;
    bool held_back = false;  ///< by its rate, in the last round
};

Result<std::unique_ptr<DeviceThread>> DeviceThread::start(std::unique_ptr<Resource> resource,
                                                          Options options) {
    std::unique_ptr<DeviceThread> made(new DeviceThread(std::move(resource), std::move(options)));
    made->epoll_ = epoll_create1(EPOLL_CLOEXEC);
    made->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const int uplink = made->resource_->descriptor();
    if (made->epoll_ < 0 || made->wake_ < 0 || !watch(made->epoll_, made->wake_, kWake) ||
        (uplink >= 0 && !watch(made->epoll_, uplink, kUplink)))
        return failure("nothing can be waited for: {}", std::strerror(errno));
    made->thread_ = host::start_thread("svio", ThreadRole::Device, [to = made.get()] { to->work(); });
    return made;
}

DeviceThread::DeviceThread(std::unique_ptr<Resource> resource, Options options)
    : resource_(std::move(resource)), options_(std::move(options)) {}

DeviceThread::~DeviceThread() {
    if (thread_.joinable()) {
        quit_ = true;
        const uint64_t one = 1;
        (void)!write(wake_, &one, sizeof one);
        thread_.join();
    }
    for (const auto& interface : interfaces_) end_guest(*interface);
    interfaces_.clear();
    for (const int file : {epoll_, wake_})
        if (file >= 0) close(file);
}

// ---- management

void DeviceThread::on_thread(const std::function<void()>& f) {
    std::promise<void> done;
    {
        const std::lock_guard guard(lock_);
        posted_.emplace_back([&] {
            f();
            done.set_value();
        });
        any_posted_ = true;
    }
    const uint64_t one = 1;
    (void)!write(wake_, &one, sizeof one);
    done.get_future().wait();
}

void DeviceThread::run_posted() {
    if (!any_posted_.exchange(false)) return;
    std::vector<std::function<void()>> all;
    {
        const std::lock_guard guard(lock_);
        all.swap(posted_);
    }
    for (const auto& one : all) one();
}

DeviceThread::Interface* DeviceThread::find(const std::string& name) {
    const auto found =
        std::ranges::find(interfaces_, name, [](const auto& one) { return one->options.name; });
    return found != interfaces_.end() ? found->get() : nullptr;
}

void DeviceThread::set_share(Interface& interface, const InterfaceOptions& options) {
    interface.options.weight = options.weight;
    interface.options.rate = options.rate;
    interface.options.burst = options.burst != 0 ? options.burst : options.rate * kBurstMs / 1000;
    interface.flow.weight = options.weight;
    interface.bucket.set(options.rate, interface.options.burst, now_ns());
}

Result<void> DeviceThread::add(const InterfaceOptions& options, int listener) {
    Result<void> result;
    on_thread([&] {
        if (find(options.name) != nullptr) {
            result = failure("there is an interface '{}'", options.name);
            return;
        }
        if (interfaces_.size() == kMaxInterfaces) {
            result = failure("there are {} interfaces", kMaxInterfaces);
            return;
        }
        auto port = resource_->make_port(options.port);
        if (!port) {
            result = std::unexpected(port.error());
            return;
        }
        const uint32_t id = next_id_++;
        if (!watch(epoll_, listener, tag_of(id, Source::Listener))) {
            result = failure("its socket cannot be waited for: {}", std::strerror(errno));
            return;
        }
        interfaces_.push_back(std::make_unique<Interface>(options, id, listener, std::move(*port)));
        set_share(*interfaces_.back(), options);
    });
    return result;
}

Result<void> DeviceThread::remove(const std::string& name) {
    Result<void> result;
    on_thread([&] {
        Interface* const interface = find(name);
        if (interface == nullptr) {
            result = failure("there is no interface '{}'", name);
            return;
        }
        end_guest(*interface);
        std::erase_if(interfaces_, [&](const auto& one) { return one.get() == interface; });
    });
    return result;
}

Result<void> DeviceThread::change(const InterfaceOptions& options) {
    Result<void> result;
    on_thread([&] {
        if (Interface* const interface = find(options.name); interface != nullptr)
            set_share(*interface, options);
        else
            result = failure("there is no interface '{}'", options.name);
    });
    return result;
}

DeviceThread::Report DeviceThread::report() {
    Report report;
    on_thread([&] {
        report.cpu_ns = static_cast<uint64_t>(nanoseconds(CLOCK_THREAD_CPUTIME_ID));
        report.messages = messages_;
        report.sleeps = sleeps_;
        for (const auto& one : interfaces_)
            report.interfaces.push_back({.options = one->options,
                                         .connected = one->front != nullptr,
                                         .failed = one->front != nullptr && one->front->failed(),
                                         .counts = one->port->counts});
    });
    return report;
}

// ---- the thread

void DeviceThread::work() {
    const int64_t most = std::chrono::nanoseconds(options_.poll).count();
    int64_t last_work = now_ns(), poll_ns = 0;
    unsigned rounds = 0;
    while (!quit_) {
        if (++rounds % kRoundsBetweenEvents == 0) take_events(0);
        if (serve_next()) {
            last_work = now_ns();
            continue;
        }
        if (now_ns() - last_work < poll_ns) {
            __builtin_ia32_pause();
            continue;
        }
        if (!arm()) {
            ++sleeps_;
            take_events(next_ready_ns_ == kNever ? -1 : std::max<int64_t>(next_ready_ns_ - now_ns(), 0));
            const int64_t now = now_ns();
            poll_ns = adapt(poll_ns, now - last_work, most);
            last_work = now;
        }
        disarm();
    }
}

// A few messages of the interface whose turn it is. False: there is nothing to do now.
bool DeviceThread::serve_next() {
    bool any = resource_->descriptor() >= 0 && resource_->take();
    Interface* next = nullptr;
    next_ready_ns_ = kNever;
    for (const auto& one : interfaces_) {
        one->held_back = false;
        any |= one->port->deliver_waiting();
        if (!one->port->waiting()) continue;
        if (one->bucket.rate() != 0) {
            const int64_t now = now_ns(), ready = one->bucket.ready_at(now);
            if (ready > now) {
                one->held_back = true;
                next_ready_ns_ = std::min(next_ready_ns_, ready);
                continue;
            }
        }
        if (next == nullptr || clock_.start(one->flow) < clock_.start(next->flow)) next = one.get();
    }
    if (next != nullptr) {
        const Port::Work done = next->port->serve();
        clock_.charge(next->flow, done.bytes + done.messages * kMessageCost);
        next->bucket.take(done.bytes);
        messages_ += done.messages;
        any = true;
    }
    if (any)
        for (const auto& one : interfaces_) one->port->signal();
    return any;
}

// True: something has come meanwhile. What a rate holds back is not to be told of.
bool DeviceThread::arm() {
    return std::ranges::any_of(interfaces_,
                               [](const auto& one) { return !one->held_back && one->port->arm(); });
}

void DeviceThread::disarm() {
    for (const auto& one : interfaces_) one->port->disarm();
}

void DeviceThread::take_events(int64_t wait_ns) {
    std::array<epoll_event, 64> events{};
    int timeout = wait_ns < 0 ? -1 : 0;
    if (wait_ns > 0) {
        pollfd waits{epoll_, POLLIN, 0};
        const timespec limit{wait_ns / 1'000'000'000, wait_ns % 1'000'000'000};
        ppoll(&waits, 1, &limit, nullptr);
        timeout = 0;
    }
    const int count = epoll_wait(epoll_, events.data(), events.size(), timeout);
    for (int i = 0; i < count; ++i) take_event(events[static_cast<size_t>(i)].data.u64);
    run_posted();
}

void DeviceThread::take_event(uint64_t tag) {
    if (tag == kWake) {
        uint64_t times = 0;
        (void)!read(wake_, &times, sizeof times);
    }
    if (tag < kSources) return;
    // One that an event before this one has ended is not found.
    const auto found =
        std::ranges::find(interfaces_, tag / kSources, [](const auto& one) { return one->id; });
    if (found == interfaces_.end()) return;
    switch (static_cast<Source>(tag % kSources)) {
        case Source::Listener: accept_guest(**found); break;
        case Source::FrontEnd: serve_front_end(**found); break;
        case Source::Kick: break;  // all queues are looked at now
    }
}

void DeviceThread::accept_guest(Interface& interface) {
    const int socket = accept4(interface.listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0) return;
    if (interface.front != nullptr || !watch(epoll_, socket, tag_of(interface.id, Source::FrontEnd))) {
        close(socket);
        return;
    }
    interface.front = std::make_unique<vhost_user::BackEnd>(socket, interface.port->device(), epoll_,
                                                            tag_of(interface.id, Source::Kick));
    interface.port->connect(interface.front.get());
}

void DeviceThread::serve_front_end(Interface& interface) {
    if (interface.front == nullptr) return;
    const auto served = interface.front->serve();
    if (interface.front->take_changed()) interface.port->connect(interface.front.get());
    if (served && *served) return;
    if (!served && options_.say)
        options_.say(fmt::format("interface '{}': {}", interface.options.name, served.error()));
    end_guest(interface);
}

void DeviceThread::end_guest(Interface& interface) {
    if (interface.front == nullptr) return;
    interface.port->connect(nullptr);
    epoll_ctl(epoll_, EPOLL_CTL_DEL, interface.front->socket(), nullptr);
    interface.front.reset();
}

}  // namespace arclight::devices::svio

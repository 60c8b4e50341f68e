#include <arpa/inet.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "devices/event_loop.h"
#include "devices/virtio/net.h"
#include "devices/virtio/net_frame.h"
#include "guestos/net/network.h"
#include "host/thread.h"

namespace arclight::guestos {

namespace {

using devices::EventLoop;
using devices::NetBackend;
using devices::NetGuest;

constexpr size_t kIp4Tcp = 40, kIp6Tcp = 60;  // both headers, without options
/// Segments that libslirp gives to a guest which takes large ones: some of them fit into the 64 KiB that its windows have, so
/// that one can be under way while another is acknowledged.
constexpr uint16_t kLargeSegment = 16 * 1024;
constexpr unsigned kDefaultMtu = 1500;

/// The SYN's option that says how long segments to its sender may be (RFC 9293 section 3.2); null: there is none.
uint8_t* find_mss(std::span<uint8_t> frame, const devices::virtio::TcpFrame& tcp) {
    constexpr uint8_t kEnd = 0, kNop = 1, kMss = 2;
    for (size_t at = tcp.tcp + 20; at < tcp.data;) {
        if (frame[at] == kEnd) return nullptr;
        if (frame[at] == kNop) {
            at++;
            continue;
        }
        if (at + 1 >= tcp.data || frame[at + 1] < 2 || at + frame[at + 1] > tcp.data) return nullptr;
        if (frame[at] == kMss && frame[at + 1] == 4) return &frame[at + 2];
        at += frame[at + 1];
    }
    return nullptr;
}

class UserNetwork final : public NetBackend {
  public:
    static Result<std::unique_ptr<NetBackend>> make(const NetOptions& options);
    ~UserNetwork() override;

    void connect(NetGuest* guest) override;
    bool large_segments() const override { return true; }
    void send(std::span<uint8_t> frame) override;
    void wake() override;
    void drain() override;

  private:
    struct Timer {
        SlirpTimerId id;
        void* opaque;
        int64_t due_ms = -1;  ///< -1: not armed
    };

    explicit UserNetwork(const NetOptions& options)
        : mtu_(options.mtu != 0 ? options.mtu : kDefaultMtu),
          wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    static const SlirpCb* callbacks();
    Result<void> forward(const HostForward& forward);

    void work();
    void finish_drains();
    void run_timers();
    void from_slirp(std::span<const uint8_t> frame);
    static void raise_mss(std::span<uint8_t> frame, const devices::virtio::TcpFrame& tcp);

    const unsigned mtu_;
    const int wake_fd_;
    Slirp* slirp_ = nullptr;     // the thread's while that runs
    std::list<Timer> timers_;    // likewise
    NetGuest* guest_ = nullptr;  // set while no thread runs
    std::vector<pollfd> polled_;

    std::atomic<bool> awake_{false};  // the thread has been woken and has not looked yet
    std::atomic<bool> quit_{false};
    std::mutex lock_;
    std::condition_variable drained_;
    uint64_t drains_wanted_ = 0, drains_done_ = 0;
    std::thread thread_;
};

const SlirpCb* UserNetwork::callbacks() {
    static const SlirpCb table{
        .send_packet = [](const void* bytes, size_t size, void* self) -> ssize_t {
            static_cast<UserNetwork*>(self)->from_slirp({static_cast<const uint8_t*>(bytes), size});
            return static_cast<ssize_t>(size);
        },
        .guest_error = [](const char*, void*) {},
        .clock_get_ns = [](void*) { return EventLoop::now_ns(); },
        .timer_new = nullptr,
        .timer_free =
            [](void* timer, void* self) {
                static_cast<UserNetwork*>(self)->timers_.remove_if(
                    [&](const Timer& one) { return &one == timer; });
            },
        .timer_mod = [](void* timer, int64_t due_ms, void*) { static_cast<Timer*>(timer)->due_ms = due_ms; },
        .register_poll_fd = [](int, void*) {},
        .unregister_poll_fd = [](int, void*) {},
        .notify = [](void*) {},
        .init_completed = [](Slirp* slirp, void* self) { static_cast<UserNetwork*>(self)->slirp_ = slirp; },
        .timer_new_opaque = [](SlirpTimerId id, void* opaque, void* self) -> void* {
            return &static_cast<UserNetwork*>(self)->timers_.emplace_back(Timer{.id = id, .opaque = opaque});
        }};
    return &table;
}

Result<std::unique_ptr<NetBackend>> UserNetwork::make(const NetOptions& options) {
    std::unique_ptr<UserNetwork> made(new UserNetwork(options));
    if (made->wake_fd_ < 0) return failure("--net user: {}", std::strerror(errno));
    const auto ip4 = [](uint32_t address) { return in_addr{htonl(address)}; };
    const auto text = [](const std::string& text) { return text.empty() ? nullptr : text.c_str(); };
    std::vector<const char*> search;
    for (const std::string& domain : options.dns_search) search.push_back(domain.c_str());
    search.push_back(nullptr);

    SlirpConfig config{};
    config.version = SLIRP_CONFIG_VERSION_MAX;
    config.restricted = options.restrict_guest ? 1 : 0;
    config.in_enabled = options.ipv4;
    config.vnetwork = ip4(options.network);
    config.vnetmask = ip4(options.netmask);
    config.vhost = ip4(options.host);
    config.vdhcp_start = ip4(options.dhcp_start);
    config.vnameserver = ip4(options.dns);
    config.in6_enabled = options.ipv6;
    inet_pton(AF_INET6, "fec0::", &config.vprefix_addr6);
    config.vprefix_len = 64;
    inet_pton(AF_INET6, "fec0::2", &config.vhost6);
    inet_pton(AF_INET6, "fec0::3", &config.vnameserver6);
    config.vhostname = text(options.hostname);
    config.vdomainname = text(options.domain);
    config.tftp_path = text(options.tftp);
    config.bootfile = text(options.bootfile);
    config.vdnssearch = options.dns_search.empty() ? nullptr : search.data();
    config.if_mtu = config.if_mru = devices::virtio::Net::kMaxMtu;
    made->slirp_ = slirp_new(&config, callbacks(), made.get());
    if (made->slirp_ == nullptr) return failure("--net user: libslirp does not take these options");
    for (const HostForward& forward : options.forwards)
        if (auto added = made->forward(forward); !added) return std::unexpected(added.error());
    return made;
}

UserNetwork::~UserNetwork() {
    connect(nullptr);
    if (slirp_ != nullptr) slirp_cleanup(slirp_);
    if (wake_fd_ >= 0) close(wake_fd_);
}

Result<void> UserNetwork::forward(const HostForward& forward) {
    sockaddr_storage host{}, guest{};
    const auto fill = [](sockaddr_storage& to, bool ipv6, const std::string& address,
                         uint16_t port) -> socklen_t {
        if (ipv6) {
            auto& in = reinterpret_cast<sockaddr_in6&>(to);
            in.sin6_family = AF_INET6;
            in.sin6_port = htons(port);
            if (!address.empty()) inet_pton(AF_INET6, address.c_str(), &in.sin6_addr);
            return sizeof in;
        }
        auto& in = reinterpret_cast<sockaddr_in&>(to);
        in.sin_family = AF_INET;
        in.sin_port = htons(port);
        if (!address.empty()) inet_pton(AF_INET, address.c_str(), &in.sin_addr);
        return sizeof in;
    };
    const socklen_t host_size = fill(host, forward.ipv6, forward.host_address, forward.host_port);
    const socklen_t guest_size = fill(guest, forward.ipv6, forward.guest_address, forward.guest_port);
    if (slirp_add_hostxfwd(
            slirp_, reinterpret_cast<sockaddr*>(&host), host_size, reinterpret_cast<sockaddr*>(&guest),
            guest_size,
            (forward.udp ? SLIRP_HOSTFWD_UDP : 0) | (forward.ipv6 ? SLIRP_HOSTFWD_V6ONLY : 0)) != 0)
        return failure("--net user: cannot forward {} port {} of the host: {}", forward.udp ? "UDP" : "TCP",
                       forward.host_port, std::strerror(errno));
    return {};
}

// ---- the thread

void UserNetwork::connect(NetGuest* guest) {
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

void UserNetwork::wake() {
    if (awake_.exchange(true)) return;
    const uint64_t one = 1;
    (void)!write(wake_fd_, &one, sizeof one);
}

void UserNetwork::drain() {
    if (!thread_.joinable()) return;
    std::unique_lock held(lock_);
    const uint64_t mine = ++drains_wanted_;
    wake();
    drained_.wait(held, [&] { return drains_done_ >= mine; });
}

// No call of the guest's is under way here.
void UserNetwork::finish_drains() {
    const std::lock_guard guard(lock_);
    if (drains_done_ == drains_wanted_) return;
    drains_done_ = drains_wanted_;
    drained_.notify_all();
}

void UserNetwork::run_timers() {
    const int64_t now_ms = EventLoop::now_ns() / 1'000'000;
    // The callback may arm its timer again, or make others.
    for (Timer& timer : timers_)
        if (timer.due_ms >= 0 && timer.due_ms <= now_ms) {
            timer.due_ms = -1;
            slirp_handle_timer(slirp_, timer.id, timer.opaque);
        }
}

void UserNetwork::work() {
    bool more = false;
    while (!quit_) {
        polled_.assign(1, {.fd = wake_fd_, .events = POLLIN, .revents = 0});
        uint32_t timeout = UINT32_MAX;
        slirp_pollfds_fill(
            slirp_, &timeout,
            [](int fd, int events, void* self) -> int {
                short wanted = 0;
                if ((events & SLIRP_POLL_IN) != 0) wanted |= POLLIN;
                if ((events & SLIRP_POLL_OUT) != 0) wanted |= POLLOUT;
                if ((events & SLIRP_POLL_PRI) != 0) wanted |= POLLPRI;
                auto& polled = static_cast<UserNetwork*>(self)->polled_;
                polled.push_back({.fd = fd, .events = wanted, .revents = 0});
                return static_cast<int>(polled.size()) - 1;
            },
            this);
        int64_t wait_ms = timeout == UINT32_MAX ? -1 : timeout;
        const int64_t now_ms = EventLoop::now_ns() / 1'000'000;
        for (const Timer& timer : timers_) {
            if (timer.due_ms < 0) continue;
            const int64_t left = std::max<int64_t>(timer.due_ms - now_ms, 0);
            wait_ms = wait_ms < 0 ? left : std::min(wait_ms, left);
        }
        if (more) wait_ms = 0;
        const int ready =
            poll(polled_.data(), polled_.size(), static_cast<int>(std::min<int64_t>(wait_ms, 60'000)));
        if (polled_[0].revents != 0) {
            uint64_t count;
            (void)!read(wake_fd_, &count, sizeof count);
            awake_ = false;
        }
        slirp_pollfds_poll(
            slirp_, ready < 0 ? 1 : 0,
            [](int index, void* self) {
                const short got =
                    static_cast<UserNetwork*>(self)->polled_[static_cast<size_t>(index)].revents;
                int events = 0;
                if ((got & POLLIN) != 0) events |= SLIRP_POLL_IN;
                if ((got & POLLOUT) != 0) events |= SLIRP_POLL_OUT;
                if ((got & POLLPRI) != 0) events |= SLIRP_POLL_PRI;
                if ((got & POLLERR) != 0) events |= SLIRP_POLL_ERR;
                if ((got & POLLHUP) != 0) events |= SLIRP_POLL_HUP;
                return events;
            },
            this);
        run_timers();
        more = guest_->transfer();
        finish_drains();
    }
    finish_drains();
}

// ---- frames

// The guest takes what is longer than its MTU, so it says so to libslirp.
void UserNetwork::raise_mss(std::span<uint8_t> frame, const devices::virtio::TcpFrame& tcp) {
    constexpr uint8_t kSyn = 2;
    if ((frame[tcp.tcp + 13] & kSyn) == 0) return;
    uint8_t* const mss = find_mss(frame, tcp);
    if (mss == nullptr) return;
    mss[0] = kLargeSegment >> 8;
    mss[1] = kLargeSegment & 0xff;
    const auto segment = frame.subspan(tcp.tcp);
    const uint16_t pseudo = devices::virtio::tcp_pseudo_sum(frame, tcp, segment.size());
    std::memcpy(segment.data() + 16, &pseudo, sizeof pseudo);
    devices::virtio::complete_checksum(frame, tcp.tcp, 16);
}

void UserNetwork::send(std::span<uint8_t> frame) {
    if (const auto tcp = devices::virtio::find_tcp(frame); tcp && guest_->takes_large_segments(tcp->ipv6))
        raise_mss(frame, *tcp);
    slirp_input(slirp_, frame.data(), static_cast<int>(frame.size()));
}

void UserNetwork::from_slirp(std::span<const uint8_t> frame) {
    if (guest_ == nullptr) return;
    devices::ReceivedFrame received{.bytes = frame};
    if (const auto tcp = devices::virtio::find_tcp(frame)) {
        const size_t usual = mtu_ - (tcp->ipv6 ? kIp6Tcp : kIp4Tcp);
        if (frame.size() - tcp->data > usual) received.segment_bytes = static_cast<uint16_t>(usual);
    }
    guest_->receive(received);
}

}  // namespace

Result<std::unique_ptr<NetBackend>> make_user_network(const NetOptions& options) {
    return UserNetwork::make(options);
}

}  // namespace arclight::guestos

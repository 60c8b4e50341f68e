#include <arpa/inet.h>
#include <poll.h>
#include <slirp/libslirp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "devices/event_loop.h"
#include "devices/virtio/net.h"
#include "devices/virtio/net_frame.h"
#include "guestos/net/network.h"
#include "guestos/net/network_thread.h"

namespace arclight::guestos {

namespace {

using devices::EventLoop;
using devices::NetBackend;

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

/// What a guest writes to one address goes to a chardev, and what that has comes from there.
class ChardevForward final : public devices::CharFrontend {
  public:
    ChardevForward(NetBackend& network, devices::CharBackend& backend, in_addr address, uint16_t port)
        : address_(address), port_(port), network_(network), backend_(backend), connection_(backend, *this) {}

    bool add_to(Slirp* slirp) {
        const auto write = [](const void* bytes, size_t size, void* self) -> ssize_t {
            static_cast<ChardevForward*>(self)->backend_.write({static_cast<const uint8_t*>(bytes), size});
            return static_cast<ssize_t>(size);
        };
        return slirp_add_guestfwd(slirp, write, this, &address_, port_) == 0;
    }
    /// Input, while a connection of the guest's has room for it. On the network's thread.
    void pass_on(Slirp* slirp) {
        const std::lock_guard guard(lock_);
        if (waiting_.empty()) return;
        const size_t count = std::min(slirp_socket_can_recv(slirp, address_, port_), waiting_.size());
        if (count == 0) return;
        slirp_socket_recv(slirp, address_, port_, waiting_.data(), static_cast<int>(count));
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(count));
        backend_.accept_input();
    }

    size_t receive(std::span<const uint8_t> bytes) override {
        size_t count = 0;
        {
            const std::lock_guard guard(lock_);
            count = std::min(bytes.size(), kRoom - waiting_.size());
            waiting_.insert(waiting_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(count));
        }
        network_.wake();
        return count;
    }

  private:
    static constexpr size_t kRoom = 64 * 1024;
    in_addr address_;
    const uint16_t port_;
    NetBackend& network_;
    devices::CharBackend& backend_;
    std::mutex lock_;
    std::vector<uint8_t> waiting_;
    const devices::CharConnection connection_;  // the last one: from now on there is input
};

class UserNetwork final : public NetworkThread {
  public:
    static Result<std::unique_ptr<NetBackend>> make(const NetOptions& options,
                                                    devices::CharBackends* chardevs);
    ~UserNetwork() override;

    bool large_segments() const override { return true; }
    void send(std::span<uint8_t> frame) override;

  private:
    struct Timer {
        SlirpTimerId id;
        void* opaque;
        int64_t due_ms = -1;  ///< -1: not armed
    };

    explicit UserNetwork(const NetOptions& options) : mtu_(options.mtu != 0 ? options.mtu : kDefaultMtu) {}
    static const SlirpCb* callbacks();
    Result<void> forward(const HostForward& forward);
    Result<void> forward(const GuestForward& forward, devices::CharBackends* chardevs);

    void turn(bool wait) override;
    void run_timers();
    void from_slirp(std::span<const uint8_t> frame);
    static void raise_mss(std::span<uint8_t> frame, const devices::virtio::TcpFrame& tcp);

    const unsigned mtu_;
    Slirp* slirp_ = nullptr;   // the thread's while that runs
    std::list<Timer> timers_;  // likewise
    std::vector<std::unique_ptr<ChardevForward>> chardev_forwards_;
    std::vector<pollfd> polled_;
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

Result<std::unique_ptr<NetBackend>> UserNetwork::make(const NetOptions& options,
                                                      devices::CharBackends* chardevs) {
    std::unique_ptr<UserNetwork> made(new UserNetwork(options));
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
    for (const GuestForward& forward : options.guest_forwards)
        if (auto added = made->forward(forward, chardevs); !added) return std::unexpected(added.error());
    return made;
}

UserNetwork::~UserNetwork() {
    connect(nullptr);
    chardev_forwards_.clear();
    if (slirp_ != nullptr) slirp_cleanup(slirp_);
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

Result<void> UserNetwork::forward(const GuestForward& forward, devices::CharBackends* chardevs) {
    in_addr address{htonl(forward.address)};
    bool added = false;
    if (!forward.command.empty()) {
        added = slirp_add_unix(slirp_, forward.socket.c_str(), &address, forward.port) == 0;
    } else {
        auto backend = chardevs != nullptr
                           ? chardevs->claim(forward.chardev)
                           : Result<devices::CharBackend*>(failure("there is no '{}'", forward.chardev));
        if (!backend) return failure("--net user: guestfwd: {}", backend.error());
        chardev_forwards_.push_back(
            std::make_unique<ChardevForward>(*this, **backend, address, forward.port));
        added = chardev_forwards_.back()->add_to(slirp_);
    }
    if (!added)
        return failure(
            "--net user: guestfwd: the address is not in the guest's network, or somebody's, or forwarded "
            "already");
    return {};
}

// ---- the thread

void UserNetwork::run_timers() {
    const int64_t now_ms = EventLoop::now_ns() / 1'000'000;
    // The callback may arm its timer again, or make others.
    for (Timer& timer : timers_)
        if (timer.due_ms >= 0 && timer.due_ms <= now_ms) {
            timer.due_ms = -1;
            slirp_handle_timer(slirp_, timer.id, timer.opaque);
        }
}

void UserNetwork::turn(bool wait) {
    polled_.assign(1, {.fd = wake_fd(), .events = POLLIN, .revents = 0});
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
    if (!wait) wait_ms = 0;
    const int ready =
        poll(polled_.data(), polled_.size(), static_cast<int>(std::min<int64_t>(wait_ms, 60'000)));
    if (polled_[0].revents != 0) took_wake();
    slirp_pollfds_poll(
        slirp_, ready < 0 ? 1 : 0,
        [](int index, void* self) {
            const short got = static_cast<UserNetwork*>(self)->polled_[static_cast<size_t>(index)].revents;
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
    for (const auto& forward : chardev_forwards_) forward->pass_on(slirp_);
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
    if (const auto tcp = devices::virtio::find_tcp(frame); tcp && guest()->takes_large_segments(tcp->ipv6))
        raise_mss(frame, *tcp);
    slirp_input(slirp_, frame.data(), static_cast<int>(frame.size()));
}

void UserNetwork::from_slirp(std::span<const uint8_t> frame) {
    if (guest() == nullptr) return;
    devices::ReceivedFrame received{.bytes = frame};
    if (const auto tcp = devices::virtio::find_tcp(frame)) {
        const size_t usual = mtu_ - (tcp->ipv6 ? kIp6Tcp : kIp4Tcp);
        if (frame.size() - tcp->data > usual) received.segment_bytes = static_cast<uint16_t>(usual);
    }
    guest()->receive(received);
}

}  // namespace

Result<std::unique_ptr<NetBackend>> make_user_network(const NetOptions& options,
                                                      devices::CharBackends* chardevs) {
    return UserNetwork::make(options, chardevs);
}

}  // namespace arclight::guestos

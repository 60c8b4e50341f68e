#include "guestos/net/tap_network.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "devices/vhost_user/device.h"
#include "devices/vhost_user/device_types.h"
#include "devices/vhost_user/kernel_net.h"
#include "devices/virtio/net_frame.h"
#include "guestos/net/net_sockets.h"
#include "guestos/net/network_thread.h"

namespace arclight::guestos {

namespace {

using devices::NetBackend;
using devices::vhost_user::Connection;
using devices::vhost_user::KernelNet;
using devices::virtio::NetHeader;

constexpr size_t kEthernetHeader = 14;
constexpr unsigned kBatch = 64;

/// The interface, or one of its queues after the first.
class TapNetwork final : public NetworkThread {
  public:
    /// Takes the queues.
    static std::shared_ptr<NetBackend> make(std::vector<SocketFd>& queues, bool header);
    ~TapNetwork() override { connect(nullptr); }

    std::vector<NetBackend*> lanes() override;
    bool large_segments() const override { return header_; }
    bool takes_headers() const override { return header_; }
    void send(std::span<uint8_t> frame) override;

  private:
    TapNetwork(SocketFd device, bool header)
        : device_(std::move(device)), header_(header), buffer_(sizeof(NetHeader) + kMaxFrame) {}
    void turn(bool wait) override;
    void tell_offloads();
    bool receive_one();

    SocketFd device_;
    const bool header_;
    bool first_ = true;  // of the queues
    std::vector<std::unique_ptr<TapNetwork>> others_;
    bool gone_ = false;  // the interface has been deleted
    std::optional<unsigned> offloads_;
    std::vector<uint8_t> buffer_;
};

/// The way of QEMU's scripts: SCRIPT INTERFACE.
Result<void> run_script(const std::string& script, const char* interface) {
    const pid_t child = fork();
    if (child == 0) {
        execl(script.c_str(), script.c_str(), interface, nullptr);
        _exit(127);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return failure("script '{}': {}", script, std::strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) return failure("script '{}' cannot be run", script);
    if (status != 0) return failure("script '{}' has failed", script);
    return {};
}

/// One that somebody else has opened: it says itself whether frames have headers. True: they have.
Result<bool> look_at(int device) {
    ifreq about{};
    if (ioctl(device, TUNGETIFF, &about) != 0) return failure("fd {} is no tap device", device);
    const auto flags = static_cast<unsigned>(static_cast<unsigned short>(about.ifr_flags));
    if ((flags & IFF_TAP) == 0 || (flags & IFF_NO_PI) == 0)
        return failure("fd {}: its interface is no tap device without packet information", device);
    if ((flags & IFF_MULTI_QUEUE) != 0 && (flags & IFF_ATTACH_QUEUE) == 0)
        ioctl(device, TUNSETQUEUE, &about);  // as it is, where that fails
    fcntl(device, F_SETFL, fcntl(device, F_GETFL) | O_NONBLOCK);
    fcntl(device, F_SETFD, FD_CLOEXEC);
    return (flags & IFF_VNET_HDR) != 0;
}

struct OpenTap {
    std::vector<SocketFd> queues;
    bool header = false;
};

Result<OpenTap> adopt(const std::vector<int>& descriptors) {
    OpenTap tap;
    for (const int descriptor : descriptors) {
        const auto header = look_at(descriptor);
        if (!header) return std::unexpected(header.error());
        if (!tap.queues.empty() && *header != tap.header)
            return failure("fds: only some of these queues have headers");
        tap.header = *header;
        tap.queues.emplace_back(descriptor);
    }
    return tap;
}

Result<OpenTap> create(const NetOptions& options) {
    constexpr const char* kDevice = "/dev/net/tun";
    OpenTap tap;
    ifreq request{};
    for (unsigned i = 0; i < options.queue_pairs; i++) {
        SocketFd device(::open(kDevice, O_RDWR | O_CLOEXEC | O_NONBLOCK));
        unsigned features = 0;
        if (!device || ioctl(device.get(), TUNGETFEATURES, &features) != 0)
            return failure("cannot open '{}': {}", kDevice, std::strerror(errno));
        if (i == 0) {
            tap.header = options.vnet_header && (features & IFF_VNET_HDR) != 0;
            const std::string& name = options.interface.empty() ? "tap%d" : options.interface;
            if (name.size() >= IFNAMSIZ)
                return failure("'{}' is longer than an interface's name may be", name);
            std::memcpy(&request.ifr_name[0], name.c_str(), name.size() + 1);
        }
        // The kernel has put the interface's name there, for the queues after the first. It tells what it has in the flags, too.
        request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | (tap.header ? IFF_VNET_HDR : 0) |
                                               (options.queue_pairs > 1 ? IFF_MULTI_QUEUE : 0));
        if (ioctl(device.get(), TUNSETIFF, &request) != 0)
            return failure("interface '{}': {}", &request.ifr_name[0],
                           errno == EPERM
                               ? "not permitted (it wants CAP_NET_ADMIN, or an interface that was made for "
                                 "this user: ip tuntap add mode tap user NAME)"
                           : errno == EINVAL && options.queue_pairs > 1
                               ? "it has one queue (ip tuntap add mode tap multi_queue makes others)"
                               : std::strerror(errno));
        tap.queues.push_back(std::move(device));
    }
    if (!options.script.empty())
        if (auto done = run_script(options.script, &request.ifr_name[0]); !done)
            return std::unexpected(done.error());
    return tap;
}

/// With headers of the size that frames have here.
Result<OpenTap> open_queues(const NetOptions& options) {
    auto tap = options.tap_descriptors.empty() ? create(options) : adopt(options.tap_descriptors);
    if (!tap || !tap->header) return tap;
    const int header_bytes = sizeof(NetHeader);
    for (const SocketFd& queue : tap->queues)
        if (ioctl(queue.get(), TUNSETVNETHDRSZ, &header_bytes) != 0)
            return failure("the host's kernel has no headers of {} bytes for tap devices", header_bytes);
    return tap;
}

std::shared_ptr<NetBackend> TapNetwork::make(std::vector<SocketFd>& queues, bool header) {
    std::shared_ptr<TapNetwork> network;
    for (SocketFd& queue : queues) {
        std::unique_ptr<TapNetwork> made(new TapNetwork(std::move(queue), header));
        if (network == nullptr) {
            network = std::move(made);
            continue;
        }
        made->first_ = false;
        network->others_.push_back(std::move(made));
    }
    return network;
}

/// The vhost device's, one a queue: from this process's parent, or opened.
Result<std::vector<SocketFd>> open_vhost(const NetOptions& options) {
    std::vector<SocketFd> files;
    for (const int descriptor : options.vhost_descriptors) {
        if (fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0)
            return failure("vhostfd {}: {}", descriptor, std::strerror(errno));
        files.emplace_back(descriptor);
    }
    while (files.size() < options.queue_pairs) {
        SocketFd file(::open(devices::vhost_user::kVhostNet, O_RDWR | O_CLOEXEC));
        if (!file) return failure("{}: {}", devices::vhost_user::kVhostNet, std::strerror(errno));
        files.push_back(std::move(file));
    }
    return files;
}

/// With an error, the queues are still the caller's.
Result<std::shared_ptr<Connection>> connect_kernel(const NetOptions& options, const OpenTap& tap) {
    auto opened = open_vhost(options);
    if (!opened) return std::unexpected(opened.error());
    KernelNet::Files files{.header = tap.header};
    for (const SocketFd& queue : tap.queues) {
        files.tap.push_back(fcntl(queue.get(), F_DUPFD_CLOEXEC, 0));
        if (files.tap.back() < 0) return failure("{}", std::strerror(errno));
    }
    for (SocketFd& file : *opened) files.vhost.push_back(file.release());
    const auto& kind = *devices::vhost_user::find_kind(devices::vhost_user::kKernelNet);
    return KernelNet::open(std::move(files), devices::vhost_user::wanted_features(kind));
}

std::vector<NetBackend*> TapNetwork::lanes() {
    std::vector<NetBackend*> all{this};
    for (const auto& other : others_) all.push_back(other.get());
    return all;
}

// For the whole interface. Frames that were made before have what the guest had agreed to then.
void TapNetwork::tell_offloads() {
    if (!header_ || !first_) return;
    unsigned wanted = 0;
    if (guest()->takes_partial_checksums()) {
        wanted |= TUN_F_CSUM;
        if (guest()->takes_large_segments(false)) wanted |= TUN_F_TSO4;
        if (guest()->takes_large_segments(true)) wanted |= TUN_F_TSO6;
    }
    if (offloads_ == wanted) return;
    offloads_ = wanted;
    ioctl(device_.get(), TUNSETOFFLOAD, wanted);
}

void TapNetwork::turn(bool wait) {
    pollfd polled[2] = {{.fd = wake_fd(), .events = POLLIN, .revents = 0},
                        {.fd = gone_ ? -1 : device_.get(), .events = POLLIN, .revents = 0}};
    poll(polled, 2, wait ? -1 : 0);
    if (polled[0].revents != 0) took_wake();
    tell_offloads();
    if ((polled[1].revents & POLLERR) != 0) gone_ = true;
    if ((polled[1].revents & POLLIN) != 0)
        for (unsigned i = 0; i < kBatch && receive_one(); i++) {
        }
}

bool TapNetwork::receive_one() {
    const ssize_t got = read(device_.get(), buffer_.data(), buffer_.size());
    if (got <= 0) {
        gone_ = got < 0 && errno == EBADFD;
        return false;
    }
    const auto all = std::span(buffer_).first(static_cast<size_t>(got));
    NetHeader header{};
    const size_t begin = header_ ? sizeof header : 0;
    if (all.size() < begin + kEthernetHeader) return true;
    std::memcpy(&header, all.data(), begin);
    guest()->receive({.bytes = all.subspan(begin), .checked = false, .header = header_ ? &header : nullptr});
    return true;
}

// The kernel looks at what the guest's header says. An interface that is down takes nothing.
void TapNetwork::send(std::span<uint8_t> frame) { (void)!write(device_.get(), frame.data(), frame.size()); }

}  // namespace

Result<SocketFd> open_tap_device(const NetOptions& options) {
    auto tap = open_queues(options);
    if (!tap) return std::unexpected(tap.error());
    if (tap->queues.size() != 1) return failure("the interface has {} queues", tap->queues.size());
    if (!tap->header ||
        ioctl(tap->queues.front().get(), TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0)
        return failure("the interface's frames have no headers of {} bytes (vnet_hdr)", sizeof(NetHeader));
    return std::move(tap->queues.front());
}

Result<TapNetworkEnds> open_tap_network(const NetOptions& options, const std::string& obstacle) {
    auto tap = open_queues(options);
    if (!tap) return std::unexpected(tap.error());
    TapNetworkEnds ends;
    if (options.vhost != NetOptions::Vhost::Off) {
        ends.instead = obstacle;
        if (obstacle.empty()) {
            auto connected = connect_kernel(options, *tap);
            if (connected)
                ends.kernel = std::move(*connected);
            else
                ends.instead = connected.error();
        }
        if (ends.kernel == nullptr && options.vhost == NetOptions::Vhost::Force)
            return failure("vhost: {}", ends.instead);
    }
    if (ends.kernel == nullptr) ends.frames = TapNetwork::make(tap->queues, tap->header);
    return ends;
}

}  // namespace arclight::guestos

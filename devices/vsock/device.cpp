#include "devices/vsock/device.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "devices/device_factory.h"
#include "host/thread.h"

namespace arclight::devices::vsock {

namespace {

constexpr unsigned kReceiveQueue = 0, kTransmitQueue = 1, kEventQueue = 2;
// Packets taken in one go: as many as complete with one interrupt, and as may keep a CPU from the transport's lock.
constexpr unsigned kBatch = 64;
constexpr uint32_t kTransportReset = 0;  // 5.10.6.7

bool address_of(const std::string& path, sockaddr_un& address) {
    address = {.sun_family = AF_UNIX};
    if (path.size() >= sizeof address.sun_path) return false;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return true;
}

const sockaddr* plain(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

int connect_local(const std::string& path) {
    sockaddr_un address;
    if (!address_of(path, address)) return -1;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, plain(address), sizeof address) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

/// Only this user and root may connect: the socket's mode becomes the file's.
Result<int> listen_at(const std::string& path) {
    sockaddr_un address;
    if (!address_of(path, address)) return failure("its name is longer than a socket's may be");
    struct stat about {};
    if (lstat(path.c_str(), &about) == 0 && S_ISSOCK(about.st_mode)) {
        if (const int alive = connect_local(path); alive >= 0) {
            close(alive);
            return failure("somebody listens there");
        }
        unlink(path.c_str());
    }
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && fchmod(fd, 0600) == 0 && bind(fd, plain(address), sizeof address) == 0 &&
        listen(fd, SOMAXCONN) == 0)
        return fd;
    const int error = errno;
    if (fd >= 0) close(fd);
    return failure("cannot listen there: {}", std::strerror(error));
}

void raise(int eventfd) {
    const uint64_t one = 1;
    // It fails only when it has been raised more often than anybody can count.
    [[maybe_unused]] const ssize_t put = write(eventfd, &one, sizeof one);
}

std::vector<std::span<uint8_t>> behind(std::span<const std::span<uint8_t>> buffers, size_t skipped) {
    std::vector<std::span<uint8_t>> rest;
    for (const auto& buffer : buffers) {
        const size_t skip = std::min(buffer.size(), skipped);
        if (skip < buffer.size()) rest.push_back(buffer.subspan(skip));
        skipped -= skip;
    }
    return rest;
}

}  // namespace

Result<std::unique_ptr<Device>> Device::make(const Options& options) {
    const auto listener = listen_at(options.path);
    if (!listener) return failure("virtio-vsock '{}': {}", options.path, listener.error());
    const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake < 0) {
        close(*listener);
        unlink(options.path.c_str());
        return failure("virtio-vsock: no eventfd: {}", std::strerror(errno));
    }
    std::unique_ptr<Device> device(new Device(options, *listener, wake));
    device->thread_ =
        host::start_thread("virtio-vsock", ThreadRole::Device, [to = device.get()] { to->work(); });
    return device;
}

Device::Device(const Options& options, int listener, int wake)
    : options_(options),
      listener_(listener),
      wake_(wake),
      hub_(options.cid, [this](uint32_t port) { return connect_to(port); }) {}

Device::~Device() {
    if (thread_.joinable()) {
        {
            const std::lock_guard guard(lock_);
            quit_ = true;
        }
        wake();
        thread_.join();
    }
    unlink(options_.path.c_str());
    close(listener_);
    close(wake_);
}

// ---- virtio::Backend

std::vector<virtio::QueueDescription> Device::queues() const { return {3, {128, virtio::Service::Backend}}; }

uint8_t Device::read_config(uint64_t offset) {
    return offset < sizeof options_.cid ? static_cast<uint8_t>(options_.cid >> offset * 8) : 0;
}

void Device::activate(virtio::Transport& transport) {
    {
        const std::lock_guard guard(lock_);
        transport_ = &transport;
        up_ = true;
    }
    wake();
}

void Device::notified(unsigned) { wake(); }

void Device::wake() { raise(wake_); }

void Device::rest() {
    if (!thread_.joinable()) return;
    std::unique_lock held(lock_);
    transport_ = nullptr;
    done_.wait(held, [this] { return !busy_; });
}

void Device::reset() {
    if (!thread_.joinable()) return;
    std::unique_lock held(lock_);
    transport_ = nullptr;
    up_ = false;
    forget_ = true;
    event_ = false;
    wake();
    done_.wait(held, [this] { return !busy_ && !forget_; });
}

StateResult Device::load(StateReader&) {
    const std::lock_guard guard(lock_);
    event_ = true;
    return {};
}

// ---- the thread

void Device::work() {
    std::vector<pollfd> ready;
    for (;;) {
        ready.assign({{wake_, POLLIN, 0}, {listener_, POLLIN, 0}});
        hub_.add_to(ready, guest_takes_);
        poll(ready.data(), ready.size(), hub_.has_deadlines() ? 1000 : -1);
        uint64_t count = 0;
        [[maybe_unused]] const ssize_t got = read(wake_, &count, sizeof count);
        virtio::Transport* transport = nullptr;
        {
            const std::lock_guard guard(lock_);
            if (quit_) break;
            if (std::exchange(forget_, false)) {
                hub_.reset();
                guest_takes_ = false;
            }
            transport = transport_;
            busy_ = true;
        }
        hub_.serve(std::span<const pollfd>(ready).subspan(2));
        if (ready[1].revents != 0) accept_clients();
        if (transport != nullptr) serve_guest(*transport);
        {
            const std::lock_guard guard(lock_);
            busy_ = false;
        }
        done_.notify_all();
    }
    done_.notify_all();
}

void Device::serve_guest(virtio::Transport& transport) {
    deliver_event(transport);
    bool more = take_packets(transport);
    for (const Packet& packet : taken_) hub_.receive(packet.header, packet.data);
    more |= deliver_packets(transport);
    // Another round, after a look at the sockets.
    if (more) wake();
}

/// True: there may be more.
bool Device::take_packets(virtio::Transport& transport) {
    taken_.clear();
    std::vector<virtio::Used> used;
    const std::lock_guard guard(transport.lock());
    const auto dma = transport.memory().dma();
    virtio::Chain chain;
    while (used.size() < kBatch && transport.running() && transport.take(kTransmitQueue, chain)) {
        used.push_back({chain.head, 0});
        Packet packet;
        auto* const raw = reinterpret_cast<uint8_t*>(&packet.header);
        if (virtio::gather(chain.readable, {raw, sizeof packet.header}) != sizeof packet.header ||
            packet.header.length > Hub::kMaxData ||
            chain.readable_size() - sizeof packet.header < packet.header.length) {
            transport.fail();
            break;
        }
        packet.data.resize(packet.header.length);
        const auto data = behind(chain.readable, sizeof packet.header);
        packet.data.resize(virtio::gather(data, packet.data));
        taken_.push_back(std::move(packet));
    }
    if (!used.empty()) transport.complete(kTransmitQueue, used);
    return used.size() == kBatch;
}

/// True: there is more, and room for it.
bool Device::deliver_packets(virtio::Transport& transport) {
    std::vector<virtio::Used> used;
    const std::lock_guard guard(transport.lock());
    const auto dma = transport.memory().dma();
    virtio::Chain chain;
    Packet packet;
    guest_takes_ = true;
    while (used.size() < kBatch && hub_.has_packet()) {
        guest_takes_ = transport.running() && transport.take(kReceiveQueue, chain);
        if (!guest_takes_) break;
        const uint64_t room = chain.writable_size();
        if (room < sizeof packet.header) {
            transport.fail();
            break;
        }
        if (!hub_.next(packet, room - sizeof packet.header)) {
            transport.put_back(kReceiveQueue, 1);
            break;
        }
        const auto* const raw = reinterpret_cast<const uint8_t*>(&packet.header);
        virtio::scatter({raw, sizeof packet.header}, chain.writable);
        virtio::scatter(packet.data, behind(chain.writable, sizeof packet.header));
        used.push_back({chain.head, static_cast<uint32_t>(sizeof packet.header + packet.data.size())});
    }
    if (!used.empty()) transport.complete(kReceiveQueue, used);
    return used.size() == kBatch;
}

void Device::deliver_event(virtio::Transport& transport) {
    {
        const std::lock_guard guard(lock_);
        if (!event_) return;
    }
    const bool told = transport.deliver(kEventQueue, [](virtio::Chain& chain) -> std::optional<uint32_t> {
        const uint32_t id = kTransportReset;
        return static_cast<uint32_t>(
            virtio::scatter({reinterpret_cast<const uint8_t*>(&id), sizeof id}, chain.writable));
    });
    if (!told) return;
    const std::lock_guard guard(lock_);
    event_ = false;
}

void Device::accept_clients() {
    for (;;) {
        const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client < 0) return;
        bool up = false;
        {
            const std::lock_guard guard(lock_);
            up = up_;
        }
        if (up)
            hub_.accept(client);
        else
            close(client);  // the guest listens to nothing yet
    }
}

int Device::connect_to(uint32_t port) const {
    return connect_local(fmt::format("{}_{}", options_.path, port));
}

// ---- the factory

void add_device_type(DeviceFactory& factory) {
    factory.add(
        {.name = "virtio-vsock",
         .summary = "sockets between host and guest, at Unix sockets of the host's",
         .options =
             {{.name = "path",
               .help = "the host's programs connect to it and say CONNECT PORT; the guest's reach those that "
                       "listen at PATH_PORT"},
              {.name = "guest-cid",
               .kind = DeviceOption::Kind::Number,
               .help = "the guest's address",
               .preset = "3",
               .max = Device::kMaxCid}},
         .linux_module = "vmw_vsock_virtio_transport",
         .paths = nullptr,
         .make = [](const DeviceArguments& arguments, const DeviceContext&) -> Result<NewDevice> {
             const Device::Options options{.cid = arguments.number("guest-cid"),
                                           .path = arguments.text("path")};
             if (options.cid < Device::kMinCid)
                 return failure("guest-cid {} is less than {}", options.cid, Device::kMinCid);
             if (options.path.empty()) return failure("path is empty");
             auto device = Device::make(options);
             if (!device) return std::unexpected(device.error());
             return std::move(*device);
         }});
}

}  // namespace arclight::devices::vsock

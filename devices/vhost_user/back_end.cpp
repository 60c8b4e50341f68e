#include "devices/vhost_user/back_end.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "devices/virtio/transport.h"

// Section names are those of QEMU's docs/interop/vhost-user.rst.
namespace arclight::devices::vhost_user {

namespace {

constexpr unsigned kMessagesAtOnce = 16;
constexpr uint64_t kProtocol = kProtocolMq | kProtocolReplyAck;
constexpr uint64_t kRings = virtio::kFeatureIndirect | virtio::kFeatureEventIndex | virtio::kFeatureVersion1;

template <typename T>
std::span<const uint8_t> bytes_of(const T& value) {
    return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

/// Of any other kind a write might wait for whoever is behind it.
bool is_eventfd(int file) {
    std::array<char, 64> target{};
    const ssize_t size =
        readlink(fmt::format("/proc/self/fd/{}", file).c_str(), target.data(), target.size() - 1);
    return size > 0 && std::string_view(target.data(), static_cast<size_t>(size)) == "anon_inode:[eventfd]";
}

void raise(int eventfd) {
    const uint64_t one = 1;
    // It fails only when nobody has looked for 2^64 times.
    if (eventfd >= 0) (void)!write(eventfd, &one, sizeof one);
}

}  // namespace

template <typename T>
std::optional<T> BackEnd::Message::as() const {
    if (payload.size() != sizeof(T)) return {};
    T value;
    std::memcpy(&value, payload.data(), sizeof value);
    return value;
}

BackEnd::BackEnd(int socket, Device device, int epoll, uint64_t tag)
    : socket_(socket), device_(std::move(device)), epoll_(epoll), tag_(tag), rings_(device_.queues) {}

BackEnd::~BackEnd() {
    for (Ring& ring : rings_) {
        forget_kick(ring);
        for (const int file : {ring.kick, ring.call, ring.error})
            if (file >= 0) close(file);
    }
    close_files();
    close(socket_);
}

void BackEnd::close_files() {
    for (const int file : files_)
        if (file >= 0) close(file);
    files_.clear();
}

// ---- messages

// Of one message only: descriptors come with its first byte, and must not be taken for those of the next.
Result<bool> BackEnd::receive() {
    size_t wanted = sizeof(Header);
    if (received_ >= sizeof(Header)) {
        Header header{};
        std::memcpy(&header, in_.data(), sizeof header);
        if ((header.flags & kVersionMask) != kVersion || header.size > kMaxPayload)
            return failure("the front end does not speak vhost-user");
        wanted += header.size;
        if (received_ == wanted) return true;
    }
    iovec piece{in_.data() + received_, wanted - received_};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFiles * sizeof(int))> control{};
    msghdr message{
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.data(), .msg_controllen = control.size()};
    const ssize_t got = recvmsg(socket_, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0) return failure("");
    for (cmsghdr* item = CMSG_FIRSTHDR(&message); item != nullptr; item = CMSG_NXTHDR(&message, item)) {
        if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
        for (size_t at = 0; at + sizeof(int) <= item->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
            int file;
            std::memcpy(&file, CMSG_DATA(item) + at, sizeof file);
            files_.push_back(file);
        }
    }
    received_ += static_cast<size_t>(got);
    if (files_.size() > kMaxFiles) return failure("the front end sends too many descriptors");
    // Whether there is more is only known of a whole header.
    return received_ == wanted ? receive() : Result<bool>(false);
}

Result<bool> BackEnd::serve() {
    for (unsigned i = 0; i < kMessagesAtOnce; ++i) {
        const auto whole = receive();
        if (!whole && whole.error().empty()) return false;
        if (!whole) return whole;
        if (!*whole) return true;
        Message message;
        std::memcpy(&message.header, in_.data(), sizeof message.header);
        message.payload = std::span(in_).subspan(sizeof message.header, message.header.size);
        const auto done = carry_out(message);
        received_ = 0;
        close_files();
        if (!done) return std::unexpected(done.error());
    }
    return true;
}

Result<void> BackEnd::reply(uint32_t request, std::span<const uint8_t> payload) {
    const Header header{request, kVersion | kReply, static_cast<uint32_t>(payload.size())};
    std::vector<uint8_t> bytes(sizeof header + payload.size());
    std::memcpy(bytes.data(), &header, sizeof header);
    std::ranges::copy(payload, bytes.begin() + sizeof header);
    if (send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
        static_cast<ssize_t>(bytes.size()))
        return failure("the front end takes no answers");
    return {};
}

Result<void> BackEnd::reply_number(const Message& message, uint64_t number) {
    return reply(message.header.request, bytes_of(number));
}

Result<void> BackEnd::carry_out(const Message& message) {
    const auto request = static_cast<Request>(message.header.request);
    const auto number = message.as<uint64_t>();
    Result<void> done;
    switch (request) {
        case Request::GetFeatures: return reply_number(message, device_.features | kRings | kFeatureProtocol);
        case Request::GetProtocolFeatures:
            return reply_number(message, kProtocol | (device_.config.empty() ? 0 : kProtocolConfig));
        case Request::GetQueueNum: return reply_number(message, device_.queues);
        case Request::GetConfig: return send_config(message);
        case Request::GetVringBase: return stop_ring(message);
        case Request::SetOwner: break;
        case Request::SetFeatures:
            if (!number || (*number & ~(device_.features | kRings | kFeatureProtocol)) != 0)
                return failure("the front end wants features that were not offered");
            features_ = *number;
            changed_ = true;
            break;
        case Request::SetProtocolFeatures:
            if (!number) return failure("the front end sends no protocol features");
            protocol_ = *number;
            break;
        case Request::SetMemTable: done = set_memory(message); break;
        case Request::SetVringNum:
        case Request::SetVringAddr:
        case Request::SetVringBase:
        case Request::SetVringEnable: done = set_ring(request, message); break;
        case Request::SetVringKick:
        case Request::SetVringCall:
        case Request::SetVringErr: done = set_signal(request, message); break;
        default: return failure("the front end sends message {}", message.header.request);
    }
    if (done) done = start_rings();
    if (!done) return done;
    const bool wanted = (message.header.flags & kNeedReply) != 0 && (protocol_ & kProtocolReplyAck) != 0;
    return wanted ? reply_number(message, 0) : Result<void>();
}

Result<void> BackEnd::send_config(const Message& message) {
    ConfigHeader asked{};
    if (message.payload.size() < sizeof asked) return failure("the front end asks for no configuration");
    std::memcpy(&asked, message.payload.data(), sizeof asked);
    const size_t room = message.payload.size() - sizeof asked;
    if (asked.size != room || room > kMaxConfig || asked.offset > kMaxConfig)
        return failure("the front end asks for {} bytes of configuration", asked.size);
    std::vector<uint8_t> answer(message.payload.begin(), message.payload.end());
    for (size_t i = 0; i < room; ++i)
        answer[sizeof asked + i] =
            asked.offset + i < device_.config.size() ? device_.config[asked.offset + i] : 0;
    return reply(message.header.request, answer);
}

// ---- memory

Result<void> BackEnd::set_memory(const Message& message) {
    uint32_t count = 0;
    constexpr size_t kBegin = 2 * sizeof count;
    if (message.payload.size() >= kBegin) std::memcpy(&count, message.payload.data(), sizeof count);
    if (count == 0 || count > MappedRam::kMaxRegions ||
        message.payload.size() < kBegin + count * sizeof(Region))
        return failure("the front end has memory of {} regions", count);
    std::vector<Region> regions(count);
    std::memcpy(regions.data(), message.payload.data() + kBegin, count * sizeof(Region));
    auto mapped = MappedRam::map(regions, files_);
    if (!mapped) return std::unexpected(mapped.error());
    std::unique_ptr<MappedRam> before = std::exchange(ram_, std::move(*mapped));
    changed_ = true;
    for (Ring& ring : rings_)
        if (ring.running && !ring.queue.restore(ram_->memory()))
            return failure("a ring is not in the front end's new memory");
    return {};
}

// ---- rings

Result<BackEnd::Ring*> BackEnd::ring(uint64_t index) {
    if (index >= rings_.size()) return failure("the front end has a ring {} of {}", index, rings_.size());
    return &rings_[index];
}

Result<void> BackEnd::set_ring(Request request, const Message& message) {
    if (request == Request::SetVringAddr) {
        const auto address = message.as<VringAddress>();
        if (!address) return failure("the front end sends no address of a ring");
        auto at = ring(address->index);
        if (!at) return std::unexpected(at.error());
        if ((*at)->running) return failure("the front end moves a ring that runs");
        (*at)->address = *address;
        return {};
    }
    const auto state = message.as<VringState>();
    if (!state) return failure("the front end sends no state of a ring");
    auto found = ring(state->index);
    if (!found) return std::unexpected(found.error());
    Ring& at = **found;
    if (request == Request::SetVringEnable) {
        at.enabled = state->value != 0;
        if (!at.enabled && at.running) {
            // It stands, and goes on from there.
            at.base = at.queue.next_available();
            at.running = false;
        }
        changed_ = true;
        return {};
    }
    if (at.running) return failure("the front end changes a ring that runs");
    if (request == Request::SetVringNum)
        at.entries = state->value;
    else
        at.base = static_cast<uint16_t>(state->value);
    return {};
}

Result<int> BackEnd::take_eventfd() {
    if (files_.size() != 1 || !is_eventfd(files_.front()))
        return failure("the front end sends no eventfd with a ring");
    const int file = std::exchange(files_.front(), -1);
    fcntl(file, F_SETFL, O_NONBLOCK);
    return file;
}

Result<void> BackEnd::set_signal(Request request, const Message& message) {
    const auto number = message.as<uint64_t>();
    if (!number) return failure("the front end names no ring");
    auto found = ring(*number & kVringIndexMask);
    if (!found) return std::unexpected(found.error());
    Ring& at = **found;
    const bool none = (*number & ~kVringIndexMask) != 0;
    int file = -1;
    if (!none) {
        auto taken = take_eventfd();
        if (!taken) return std::unexpected(taken.error());
        file = *taken;
    }
    int& place = request == Request::SetVringKick   ? at.kick
                 : request == Request::SetVringCall ? at.call
                                                    : at.error;
    if (request == Request::SetVringKick) forget_kick(at);
    if (place >= 0) close(place);
    place = file;
    if (request != Request::SetVringKick) return {};
    if (none) return failure("the front end wants rings to be polled only");
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u64 = tag_}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, at.kick, &event) != 0)
        return failure("an eventfd cannot be waited for: {}", std::strerror(errno));
    at.started = true;
    return {};
}

// The registration is that of what the front end has open too, which closing here does not end.
void BackEnd::forget_kick(Ring& ring) {
    if (ring.kick >= 0) epoll_ctl(epoll_, EPOLL_CTL_DEL, ring.kick, nullptr);
}

Result<void> BackEnd::stop_ring(const Message& message) {
    const auto state = message.as<VringState>();
    if (!state) return failure("the front end stops no ring");
    auto found = ring(state->index);
    if (!found) return std::unexpected(found.error());
    Ring& at = **found;
    if (at.running) at.base = at.queue.next_available();
    at.running = at.started = false;
    forget_kick(at);
    if (at.kick >= 0) close(std::exchange(at.kick, -1));
    changed_ = true;
    const VringState answer{state->index, at.base};
    return reply(message.header.request, bytes_of(answer));
}

// Starting and stopping rings: without protocol features, rings are enabled from the start.
Result<void> BackEnd::start_rings() {
    if (failed_ || ram_ == nullptr) return {};
    const bool all_enabled = (features_ & kFeatureProtocol) == 0;
    for (Ring& ring : rings_) {
        if (ring.running || !ring.started || !ring.address || !(ring.enabled || all_enabled)) continue;
        if (auto done = start(ring); !done) return done;
    }
    return {};
}

Result<void> BackEnd::start(Ring& ring) {
    if ((features_ & virtio::kFeatureVersion1) == 0)
        return failure("the front end's driver knows virtio 0.9 only");
    const auto descriptors = ram_->guest_address(ring.address->descriptors),
               available = ram_->guest_address(ring.address->available),
               used = ram_->guest_address(ring.address->used);
    if (!descriptors || !available || !used) return failure("a ring is not in the front end's memory");
    virtio::Queue& queue = ring.queue;
    queue.size = ring.entries;
    queue.descriptors = *descriptors;
    queue.available = *available;
    queue.used = *used;
    if (!queue.enable(ram_->memory(), (features_ & virtio::kFeatureEventIndex) != 0,
                      (features_ & virtio::kFeatureIndirect) != 0))
        return failure("a ring of {} entries cannot be, or not there", ring.entries);
    queue.continue_at(ring.base);
    queue.disable_notification();
    ring.running = changed_ = true;
    return {};
}

void BackEnd::interrupt(unsigned index) {
    Ring& ring = rings_[index];
    if (ring.running && ring.queue.should_interrupt()) raise(ring.call);
}

void BackEnd::fail(unsigned index) {
    failed_ = changed_ = true;
    for (Ring& ring : rings_) ring.running = false;
    raise(rings_[index].error);
}

}  // namespace arclight::devices::vhost_user

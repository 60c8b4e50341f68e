#include "devices/virtio/nbd.h"

#include <endian.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "devices/virtio/queue.h"

namespace arclight::devices::virtio {

namespace {

constexpr uint64_t kServerMagic = 0x4e42444d41474943, kOptionMagic = 0x49484156454f5054,
                   kReplyOptionMagic = 0x3e889045565a9;
constexpr uint32_t kRequestMagic = 0x25609513, kReplyMagic = 0x67446698;
constexpr uint16_t kFixedNewstyle = 1, kNoZeroes = 2;
constexpr uint32_t kOptionGo = 7;
constexpr uint32_t kReplyAck = 1, kReplyInfo = 3, kReplyErrorBit = 1u << 31;
constexpr uint16_t kInfoExport = 0;
constexpr uint32_t kMaxOptionReply = 4096;

constexpr uint16_t kFlagReadonly = 2, kFlagFlush = 4, kFlagTrim = 32, kFlagWriteZeroes = 64;
constexpr uint16_t kRead = 0, kWrite = 1, kFlush = 3, kTrim = 4, kWriteZeroes = 6;
constexpr uint16_t kNoHole = 2;

// Servers take 32 MiB.
constexpr uint64_t kMaxStep = 16u << 20;

struct [[gnu::packed]] OptionHeader {
    uint64_t magic;
    uint32_t option, length;
};
struct [[gnu::packed]] OptionReply {
    uint64_t magic;
    uint32_t option, type, length;
};
struct [[gnu::packed]] RequestHeader {
    uint32_t magic;
    uint16_t flags, command;
    uint64_t cookie, offset;
    uint32_t length;
};
struct [[gnu::packed]] ReplyHeader {
    uint32_t magic, error;
    uint64_t cookie;
};

template <typename T>
std::span<const uint8_t> bytes_of(const T& value) {
    return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}
template <typename T>
std::span<uint8_t> room_of(T& value) {
    return {reinterpret_cast<uint8_t*>(&value), sizeof value};
}

DiskResult failed(int number) { return std::unexpected(DiskError{number}); }

}  // namespace

NbdConnection::~NbdConnection() { close(socket_); }

void NbdConnection::hang_up() {
    flush();
    const std::lock_guard guard(lock_);
    close(socket_);
    socket_ = -1;
    broken_ = true;
}

Result<void> NbdConnection::renew(int socket) {
    const std::lock_guard guard(lock_);
    const uint64_t size = size_;
    if (socket_ >= 0) close(socket_);
    socket_ = socket;
    cookie_ = 0;
    if (auto done = shake_hands(); !done) return done;
    if (size_ != size) return failure("it has another size now");
    broken_ = false;
    return {};
}

bool NbdConnection::readonly() const { return can(kFlagReadonly); }

bool NbdConnection::send(std::span<const uint8_t> bytes) const {
    while (!bytes.empty()) {
        const ssize_t put = ::write(socket_, bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        bytes = bytes.subspan(static_cast<size_t>(put));
    }
    return true;
}

bool NbdConnection::receive(std::span<uint8_t> bytes) const {
    while (!bytes.empty()) {
        const ssize_t got = ::read(socket_, bytes.data(), bytes.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        bytes = bytes.subspan(static_cast<size_t>(got));
    }
    return true;
}

Result<std::shared_ptr<NbdConnection>> NbdConnection::open(int socket) {
    std::shared_ptr<NbdConnection> connection(new NbdConnection(socket));
    if (const auto done = connection->shake_hands(); !done) return std::unexpected(done.error());
    return connection;
}

// Fixed newstyle negotiation, of the default export, with simple replies.
Result<void> NbdConnection::shake_hands() {
    const auto ended = [] { return failure("its server has ended"); };
    const auto nonsense = [] { return failure("its server does not speak NBD"); };
    uint64_t magic = 0, option_magic = 0;
    uint16_t flags = 0;
    if (!receive(room_of(magic)) || !receive(room_of(option_magic)) || !receive(room_of(flags)))
        return ended();
    if (be64toh(magic) != kServerMagic || be64toh(option_magic) != kOptionMagic ||
        (be16toh(flags) & kFixedNewstyle) == 0)
        return nonsense();
    const uint32_t client_flags = htobe32(kFixedNewstyle | (be16toh(flags) & kNoZeroes));
    // The name's length, no name, and that nothing else is asked for.
    const std::array<uint8_t, 6> go{};
    const OptionHeader header{htobe64(kOptionMagic), htobe32(kOptionGo), htobe32(go.size())};
    if (!send(bytes_of(client_flags)) || !send(bytes_of(header)) || !send(go)) return ended();
    bool described = false;
    for (;;) {
        OptionReply reply;
        if (!receive(room_of(reply))) return ended();
        const uint32_t length = be32toh(reply.length), type = be32toh(reply.type);
        if (be64toh(reply.magic) != kReplyOptionMagic || be32toh(reply.option) != kOptionGo ||
            length > kMaxOptionReply)
            return nonsense();
        std::vector<uint8_t> data(length);
        if (!receive(data)) return ended();
        if ((type & kReplyErrorBit) != 0) return failure("its server has no such export");
        if (type == kReplyAck) break;
        uint16_t info = 0;
        if (type != kReplyInfo || length < sizeof info) continue;
        std::memcpy(&info, data.data(), sizeof info);
        if (be16toh(info) != kInfoExport) continue;
        if (length != sizeof info + sizeof size_ + sizeof flags_) return nonsense();
        std::memcpy(&size_, data.data() + 2, sizeof size_);
        std::memcpy(&flags_, data.data() + 10, sizeof flags_);
        size_ = be64toh(size_);
        flags_ = be16toh(flags_);
        described = true;
    }
    if (!described || size_ > uint64_t{1} << 62) return nonsense();
    return {};
}

DiskResult NbdConnection::request(uint16_t command, uint16_t flags, uint64_t offset, uint64_t length,
                                  std::span<const uint8_t> sent, std::span<uint8_t> received) {
    const std::lock_guard guard(lock_);
    if (broken_) return failed(EIO);
    const RequestHeader header{.magic = htobe32(kRequestMagic),
                               .flags = htobe16(flags),
                               .command = htobe16(command),
                               .cookie = ++cookie_,
                               .offset = htobe64(offset),
                               .length = htobe32(static_cast<uint32_t>(length))};
    ReplyHeader reply;
    broken_ = !send(bytes_of(header)) || !send(sent) || !receive(room_of(reply)) ||
              be32toh(reply.magic) != kReplyMagic || reply.cookie != cookie_ ||
              (reply.error == 0 && !receive(received));
    if (broken_) return failed(EIO);
    // The protocol's numbers are Linux's.
    if (reply.error != 0) return failed(static_cast<int>(be32toh(reply.error)));
    return {};
}

DiskResult NbdConnection::read(uint64_t offset, std::span<uint8_t> to) {
    return request(kRead, 0, offset, to.size(), {}, to);
}

DiskResult NbdConnection::write(uint64_t offset, std::span<const uint8_t> from) {
    return request(kWrite, 0, offset, from.size(), from, {});
}

DiskResult NbdConnection::flush() {
    return can(kFlagFlush) ? request(kFlush, 0, 0, 0, {}, {}) : DiskResult();
}

DiskResult NbdConnection::in_steps(uint16_t command, uint16_t flags, uint64_t offset, uint64_t length) {
    while (length != 0) {
        const uint64_t step = std::min(length, uint64_t{1} << 30);
        if (auto done = request(command, flags, offset, step, {}, {}); !done) return done;
        offset += step;
        length -= step;
    }
    return {};
}

DiskResult NbdConnection::discard(uint64_t offset, uint64_t length) {
    return can(kFlagTrim) ? in_steps(kTrim, 0, offset, length) : DiskResult();
}

DiskResult NbdConnection::zero(uint64_t offset, uint64_t length, bool may_unmap) {
    if (!can(kFlagWriteZeroes)) return failed(EOPNOTSUPP);
    return in_steps(kWriteZeroes, may_unmap ? 0 : kNoHole, offset, length);
}

// ---- a disk's

namespace {

std::vector<std::span<uint8_t>> take_step(std::vector<std::span<uint8_t>>& rest, uint64_t bytes) {
    std::vector<std::span<uint8_t>> step;
    for (auto& buffer : rest) {
        const size_t take = std::min<uint64_t>(buffer.size(), bytes);
        if (take != 0) step.push_back(buffer.first(take));
        buffer = buffer.subspan(take);
        bytes -= take;
    }
    return step;
}

uint64_t total_size(DiskBuffers buffers) {
    uint64_t total = 0;
    for (const auto& buffer : buffers) total += buffer.size();
    return total;
}

}  // namespace

DiskResult NbdStorage::read(uint64_t offset, DiskBuffers buffers) {
    std::vector<std::span<uint8_t>> rest(buffers.begin(), buffers.end());
    for (uint64_t left = total_size(buffers); left != 0;) {
        copy_.resize(std::min(left, kMaxStep));
        const auto step = take_step(rest, copy_.size());
        if (auto done = connection_->read(offset, copy_); !done) return done;
        if (scatter(copy_, step) != copy_.size()) return failed(EFAULT);
        offset += copy_.size();
        left -= copy_.size();
    }
    return {};
}

DiskResult NbdStorage::write(uint64_t offset, DiskBuffers buffers) {
    std::vector<std::span<uint8_t>> rest(buffers.begin(), buffers.end());
    for (uint64_t left = total_size(buffers); left != 0;) {
        copy_.resize(std::min(left, kMaxStep));
        const auto step = take_step(rest, copy_.size());
        if (gather(step, copy_) != copy_.size()) return failed(EFAULT);
        if (auto done = connection_->write(offset, copy_); !done) return done;
        offset += copy_.size();
        left -= copy_.size();
    }
    return {};
}

}  // namespace arclight::devices::virtio

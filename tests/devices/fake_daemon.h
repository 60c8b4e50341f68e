#pragma once

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "devices/vhost_user/protocol.h"

namespace arclight::devices::test {

/// A vhost-user daemon on a thread: fills each request's last buffer with the byte `answer`. Its features and the words that it says wrong are
/// set before the first message.
class FakeDaemon {
  public:
    using Request = vhost_user::Request;

    uint64_t features = 1ull << 32 | vhost_user::kFeatureProtocol;
    uint64_t protocol = vhost_user::kProtocolMq | vhost_user::kProtocolReplyAck |
                        vhost_user::kProtocolBackendReq | vhost_user::kProtocolConfig;
    uint64_t queues = 4;
    std::vector<uint8_t> config = std::vector<uint8_t>(256, 0);
    uint8_t answer = 0x5a;
    /// Changes an answer; false: none is given.
    std::function<bool(Request, vhost_user::Header&, std::vector<uint8_t>&)> twist;

    FakeDaemon() {
        std::array<int, 2> pair{};
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) std::abort();
        front_ = pair[0], socket_ = pair[1];
    }
    ~FakeDaemon() {
        die();
        if (front_ >= 0) close(front_);
    }
    /// The front end's socket, which is the caller's; the daemon answers from now on.
    int start() {
        thread_ = std::thread([this] { work(); });
        return std::exchange(front_, -1);
    }
    /// Instead of start(): for one front end that connects to a path.
    void start_at(const std::string& path) {
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        std::memcpy(&address.sun_path[0], path.c_str(), path.size() + 1);
        unlink(path.c_str());
        listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
            listen(listener_, 1) != 0)
            std::abort();
        thread_ = std::thread([this] {
            const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            {
                const std::lock_guard guard(lock_);
                close(std::exchange(socket_, connection));
            }
            if (connection >= 0) work();
        });
    }
    void die() {
        if (thread_.joinable()) {
            if (listener_ >= 0) shutdown(listener_, SHUT_RDWR);
            {
                const std::lock_guard guard(lock_);
                shutdown(socket_, SHUT_RDWR);
            }
            thread_.join();
        }
        if (listener_ >= 0) close(std::exchange(listener_, -1));
        for (auto& [index, ring] : rings_)
            for (const int fd : {ring.kick, ring.call, ring.error})
                if (fd >= 0) close(fd);
        rings_.clear();
        unmap();
        if (requests_ >= 0) close(requests_);
        if (socket_ >= 0) close(socket_);
        requests_ = socket_ = -1;
    }
    /// After the device has been started.
    void change_config(uint8_t byte) {
        const std::lock_guard guard(lock_);
        config[0] = byte;
        const vhost_user::Header header{2, 1, 0};
        if (write(requests_, &header, sizeof header) != sizeof header) std::abort();
    }
    void report_error(unsigned ring) {
        const std::lock_guard guard(lock_);
        const uint64_t one = 1;
        if (write(rings_[ring].error, &one, sizeof one) != sizeof one) std::abort();
    }
    unsigned count(Request request) {
        const std::lock_guard guard(lock_);
        return counts_[request];
    }
    std::set<unsigned> enabled() {
        const std::lock_guard guard(lock_);
        std::set<unsigned> all;
        for (const auto& [index, ring] : rings_)
            if (ring.started && ring.enabled) all.insert(index);
        return all;
    }
    std::atomic<uint64_t> accepted{0};  ///< features
    std::atomic<bool> keeps{false};     ///< takes requests and hands none back
    std::atomic<unsigned> taken{0};
    std::atomic<unsigned> served{0};

  private:
    struct Ring {
        int kick = -1, call = -1, error = -1;
        uint32_t entries = 0;
        uint16_t next = 0;
        bool enabled = false, started = false;
        vhost_user::VringAddress at{};
    };

    void unmap() {
        if (ram_ != nullptr) munmap(ram_, table_.size);
        ram_ = nullptr;
    }
    template <typename T>
    T& memory(uint64_t user) {
        return *reinterpret_cast<T*>(ram_ + (user - table_.user_address));
    }
    bool read_all(void* to, size_t size) {
        auto* at = static_cast<char*>(to);
        while (size != 0) {
            const ssize_t got = read(socket_, at, size);
            if (got <= 0) return false;
            at += got, size -= static_cast<size_t>(got);
        }
        return true;
    }
    void work() {
        for (;;) {
            std::vector<pollfd> ready{{socket_, POLLIN, 0}};
            for (const auto& [index, ring] : rings_)
                ready.push_back({ring.started && ring.enabled ? ring.kick : -1, POLLIN, 0});
            poll(ready.data(), ready.size(), -1);
            if (ready[0].revents != 0 && !serve_message()) return;
            for (auto& [index, ring] : rings_)
                if (ring.started && ring.enabled) serve(ring);
        }
    }
    bool serve_message() {
        vhost_user::Header header{};
        alignas(cmsghdr) std::array<char, 256> control{};
        iovec data{&header, sizeof header};
        msghdr message{.msg_iov = &data,
                       .msg_iovlen = 1,
                       .msg_control = control.data(),
                       .msg_controllen = control.size()};
        if (recvmsg(socket_, &message, MSG_CMSG_CLOEXEC) != sizeof header) return false;
        int file = -1;
        if (const cmsghdr* rights = CMSG_FIRSTHDR(&message); rights != nullptr)
            std::memcpy(&file, CMSG_DATA(rights), sizeof file);
        std::vector<uint8_t> payload(header.size);
        if (!read_all(payload.data(), payload.size())) return false;
        const std::lock_guard guard(lock_);
        const auto request = static_cast<Request>(header.request);
        ++counts_[request];
        auto reply = carry_out(request, payload, file);
        if (!reply && (header.flags & vhost_user::kNeedReply) != 0) reply.emplace(8, 0);
        if (!reply) return true;
        vhost_user::Header answered{header.request, vhost_user::kVersion | vhost_user::kReply,
                                    static_cast<uint32_t>(reply->size())};
        if (twist && !twist(request, answered, *reply)) return true;
        std::vector<uint8_t> bytes(sizeof answered + reply->size());
        std::memcpy(bytes.data(), &answered, sizeof answered);
        std::memcpy(bytes.data() + sizeof answered, reply->data(), reply->size());
        return send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
    }
    static std::vector<uint8_t> number(uint64_t value) {
        std::vector<uint8_t> bytes(sizeof value);
        std::memcpy(bytes.data(), &value, sizeof value);
        return bytes;
    }
    std::optional<std::vector<uint8_t>> carry_out(Request request, std::vector<uint8_t>& payload, int file) {
        uint64_t value = 0;
        vhost_user::VringState state{};
        if (!payload.empty()) {
            std::memcpy(&value, payload.data(), std::min(payload.size(), sizeof value));
            std::memcpy(&state, payload.data(), std::min(payload.size(), sizeof state));
        }
        switch (request) {
            case Request::GetFeatures: return number(features);
            case Request::SetFeatures: accepted = value; break;
            case Request::GetProtocolFeatures: return number(protocol);
            case Request::GetQueueNum: return number(queues);
            case Request::SetMemTable:
                unmap();
                std::memcpy(&table_, payload.data(), sizeof table_);
                ram_ = static_cast<uint8_t*>(
                    mmap(nullptr, table_.size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
                close(file);
                break;
            case Request::SetVringNum: rings_[state.index].entries = state.value; break;
            case Request::SetVringBase: rings_[state.index].next = static_cast<uint16_t>(state.value); break;
            case Request::SetVringAddr:
                std::memcpy(&rings_[state.index].at, payload.data(), sizeof(vhost_user::VringAddress));
                break;
            case Request::SetVringKick:
                take(rings_[value & 0xff].kick, file), rings_[value & 0xff].started = true;
                break;
            case Request::SetVringCall: take(rings_[value & 0xff].call, file); break;
            case Request::SetVringErr: take(rings_[value & 0xff].error, file); break;
            case Request::SetVringEnable: rings_[state.index].enabled = state.value != 0; break;
            case Request::GetVringBase: {
                rings_[state.index].started = rings_[state.index].enabled = false;
                state.value = rings_[state.index].next;
                std::vector<uint8_t> bytes(sizeof state);
                std::memcpy(bytes.data(), &state, sizeof state);
                return bytes;
            }
            case Request::SetBackendReqFd: take(requests_, file); break;
            case Request::GetConfig: {
                const size_t size = payload.size() - sizeof(vhost_user::ConfigHeader);
                std::copy_n(config.begin(), std::min(size, config.size()),
                            payload.begin() + sizeof(vhost_user::ConfigHeader));
                return payload;
            }
            default: break;
        }
        return {};
    }
    static void take(int& to, int file) {
        if (to >= 0) close(to);
        to = file;
    }
    void serve(Ring& ring) {
        uint64_t count = 0;
        [[maybe_unused]] const ssize_t got = read(ring.kick, &count, sizeof count);
        bool any = false;
        for (;;) {
            const uint16_t offered =
                std::atomic_ref(memory<uint16_t>(ring.at.available + 2)).load(std::memory_order_acquire);
            if (offered == ring.next) break;
            ++taken;
            if (keeps) {
                ++ring.next;
                continue;
            }
            uint16_t head = memory<uint16_t>(ring.at.available + 4 + ring.next % ring.entries * 2);
            const uint16_t first = head;
            while ((memory<uint16_t>(ring.at.descriptors + head * 16 + 12) & 1) != 0)
                head = memory<uint16_t>(ring.at.descriptors + head * 16 + 14);
            const auto address = memory<uint64_t>(ring.at.descriptors + head * 16);
            const auto length = memory<uint32_t>(ring.at.descriptors + head * 16 + 8);
            std::memset(&memory<uint8_t>(address), answer, length);
            auto& used = memory<uint16_t>(ring.at.used + 2);
            memory<uint32_t>(ring.at.used + 4 + used % ring.entries * 8) = first;
            memory<uint32_t>(ring.at.used + 8 + used % ring.entries * 8) = length;
            std::atomic_ref(used).store(static_cast<uint16_t>(used + 1), std::memory_order_release);
            ring.next++, served++, any = true;
        }
        const uint64_t one = 1;
        if (any && write(ring.call, &one, sizeof one) != sizeof one) std::abort();
    }

    int front_ = -1, socket_ = -1, requests_ = -1, listener_ = -1;
    std::mutex lock_;
    std::map<Request, unsigned> counts_;
    std::map<uint32_t, Ring> rings_;
    vhost_user::MemoryTable table_{};
    uint8_t* ram_ = nullptr;
    std::thread thread_;
};

}  // namespace arclight::devices::test

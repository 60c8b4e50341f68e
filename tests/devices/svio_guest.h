#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "devices/svio/device_thread.h"
#include "devices/vhost_user/connection.h"
#include "devices/virtio/net_features.h"
#include "devices/virtio/net_frame.h"
#include "devices/virtio/transport.h"
#include "tests/devices/test_ram.h"

namespace arclight::devices::test {

/// Where guests connect to an interface: a socket without a name in the file system.
class Address {
  public:
    Address() : listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address.sun_family) != 0 ||
            listen(listener, 4) != 0 ||
            getsockname(listener, reinterpret_cast<sockaddr*>(&address_), &size_) != 0)
            throw std::runtime_error("no socket");
    }
    int connect() const {
        const int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (::connect(client, reinterpret_cast<const sockaddr*>(&address_), size_) != 0)
            throw std::runtime_error("no connection");
        return client;
    }
    const int listener;  ///< the device thread's, once an interface has it

  private:
    sockaddr_un address_{};
    socklen_t size_ = sizeof address_;
};

/// A machine without CPUs: the front end of an interface, and a driver of its rings. Descriptor i of a ring has a buffer of its own.
class SvioGuest {
  public:
    static constexpr uint64_t kBase = 0x4000'0000;
    static constexpr unsigned kRings = 2, kEntries = 64;
    static constexpr uint32_t kBuffer = 0x1000;
    static constexpr size_t kRamSize = 1 << 20;
    static constexpr uint64_t kNetFeatures = virtio::kNetFeatureChecksum | virtio::kNetFeatureGuestChecksum |
                                             virtio::kNetFeatureGuestTcp4 | virtio::kNetFeatureHostTcp4 |
                                             virtio::kNetFeatureMergeable;
    static constexpr uint64_t kRingFeatures =
        virtio::kFeatureVersion1 | virtio::kFeatureEventIndex | virtio::kFeatureIndirect;
    using Bytes = std::vector<uint8_t>;

    explicit SvioGuest(const Address& address, uint64_t features = kNetFeatures, unsigned rings = kRings,
                       size_t config_bytes = 0)
        : SvioGuest(address.connect(), features, rings, config_bytes) {}
    SvioGuest(int socket, uint64_t features, unsigned rings, size_t config_bytes) : rings_(rings) {
        auto opened =
            vhost_user::DaemonConnection::open(socket, ~uint64_t{0}, config_bytes, std::chrono::seconds(60));
        check(opened);
        connection = *opened;
        check(connection->set_up(features | kRingFeatures, {ram.file(), kBase, ram.size()}, memory));
        std::vector<unsigned> all;
        for (unsigned ring = 0; ring < rings_; ++ring) {
            for (int& file : signals[ring]) file = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
            check(connection->start_ring(ring, {kEntries, table(ring), available(ring), used(ring), 0},
                                         signals[ring][kKick], signals[ring][kCall], signals[ring][kError]));
            all.push_back(ring);
        }
        check(connection->begin(all));
    }
    ~SvioGuest() {
        for (unsigned ring = 0; ring < rings_; ++ring)
            for (const int file : signals[ring]) close(file);
    }
    SvioGuest(const SvioGuest&) = delete;
    SvioGuest& operator=(const SvioGuest&) = delete;

    static uint64_t table(unsigned ring) { return kBase + ring * 0x4000; }
    static uint64_t available(unsigned ring) { return table(ring) + 0x1000; }
    static uint64_t used(unsigned ring) { return table(ring) + 0x2000; }
    static uint64_t buffer(unsigned ring, unsigned i) {
        return kBase + 0x10000 + (ring * kEntries + i % kEntries) * uint64_t{kBuffer};
    }
    template <typename T>
    T& at(uint64_t pa) {
        return *reinterpret_cast<T*>(ram.data() + (pa - kBase));
    }
    void describe(unsigned ring, unsigned i, uint64_t address, uint32_t length, uint16_t flags,
                  uint16_t next = 0) {
        const uint64_t entry = table(ring) + i % kEntries * 16;
        at<uint64_t>(entry) = address;
        at<uint32_t>(entry + 8) = length;
        at<uint16_t>(entry + 12) = flags;
        at<uint16_t>(entry + 14) = next;
    }
    /// As a driver does: notifies if the device has asked for it.
    void offer(unsigned ring, unsigned head) {
        auto& index = at<uint16_t>(available(ring) + 2);
        const uint16_t before = index;
        at<uint16_t>(available(ring) + 4 + before % kEntries * 2) = static_cast<uint16_t>(head % kEntries);
        std::atomic_ref(index).store(static_cast<uint16_t>(before + 1), std::memory_order_seq_cst);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        const uint16_t event = std::atomic_ref(at<uint16_t>(used(ring) + 4 + kEntries * 8)).load();
        if (event == before) kick(ring);
    }
    void kick(unsigned ring) {
        const uint64_t one = 1;
        if (write(signals[ring][kKick], &one, sizeof one) != sizeof one) throw std::runtime_error("kick");
        ++kicks;
    }
    uint16_t used_count(unsigned ring) { return std::atomic_ref(at<uint16_t>(used(ring) + 2)).load(); }
    uint32_t used_size(unsigned ring, unsigned i) { return at<uint32_t>(used(ring) + 8 + i % kEntries * 8); }
    /// Until the device has handed back so many in all; false: it does not.
    bool wait_used(unsigned ring, uint16_t count) {
        for (unsigned i = 0; i < 6000 && static_cast<int16_t>(used_count(ring) - count) < 0; ++i)
            usleep(i < 100 ? 100 : 10'000);
        return static_cast<int16_t>(used_count(ring) - count) >= 0;
    }
    bool wait_signal(unsigned ring, unsigned which) {
        pollfd waits{signals[ring][which], POLLIN, 0};
        return poll(&waits, 1, 60'000) == 1;
    }

    bool wait_error() {
        std::array<pollfd, kRings> waits{};
        for (unsigned ring = 0; ring < kRings; ++ring) waits[ring] = {signals[ring][kError], POLLIN, 0};
        return poll(waits.data(), rings_, 60'000) > 0;
    }

    // ---- A network's driver
    void offer_room(unsigned count, uint32_t bytes = kBuffer) {
        for (unsigned i = 0; i < count; ++i, ++room_) {
            describe(0, room_, buffer(0, room_), bytes, 2);
            offer(0, room_);
        }
    }
    void send(const Bytes& frame, const virtio::NetHeader& header = {}) {
        const auto bytes = static_cast<uint32_t>(sizeof header + frame.size());
        std::memcpy(&at<uint8_t>(buffer(1, sent_)), &header, sizeof header);
        std::memcpy(&at<uint8_t>(buffer(1, sent_)) + sizeof header, frame.data(), frame.size());
        describe(1, sent_, buffer(1, sent_), bytes, 0);
        offer(1, sent_++);
    }
    /// All buffers hold this frame from now on, for send_again(), which costs no copy.
    void prepare(const Bytes& frame) {
        for (unsigned i = 0; i < kEntries; ++i) {
            std::memset(&at<uint8_t>(buffer(1, i)), 0, sizeof(virtio::NetHeader));
            std::memcpy(&at<uint8_t>(buffer(1, i)) + sizeof(virtio::NetHeader), frame.data(), frame.size());
            describe(1, i, buffer(1, i), static_cast<uint32_t>(sizeof(virtio::NetHeader) + frame.size()), 0);
        }
    }
    void send_again() {
        offer(1, sent_);
        ++sent_;
    }
    /// The i-th frame in one buffer.
    Bytes received(unsigned i) {
        const uint8_t* from = &at<uint8_t>(buffer(0, i)) + sizeof(virtio::NetHeader);
        return {from, from + used_size(0, i) - sizeof(virtio::NetHeader)};
    }

    static constexpr unsigned kKick = 0, kCall = 1, kError = 2;
    TestRam ram{kRamSize};
    mmu::GuestMemory memory{ram.data(), kBase, kRamSize};
    std::shared_ptr<vhost_user::Connection> connection;
    std::array<std::array<int, 3>, kRings> signals{};
    unsigned kicks = 0;

  private:
    template <typename T>
    static void check(const T& result) {
        if (!result) throw std::runtime_error(result.error());
    }
    const unsigned rings_;
    unsigned room_ = 0, sent_ = 0;
};

}  // namespace arclight::devices::test

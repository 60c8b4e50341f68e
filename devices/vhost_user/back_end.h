#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "devices/vhost_user/mapped_ram.h"
#include "devices/vhost_user/protocol.h"
#include "devices/virtio/queue.h"
#include "mmu/result.h"

namespace arclight::devices::vhost_user {

/// The other side of DaemonConnection: one front end (this program, QEMU), whose device this process carries out. One thread. Nothing
/// here waits for the front end. Neither it nor its guest is trusted: what cannot be ends the connection, and nothing else. Rings and
/// buffers lie in memory that the front end has given, or are none.
///
/// Of eventfds that it gives, notifications (`kick`) are put into an epoll, edge-triggered and never read; interrupts and errors are
/// written to.
class BackEnd {
  public:
    /// What the device is. The ring's own features (indirect descriptors, event indices) and VIRTIO_F_VERSION_1 are added.
    struct Device {
        uint64_t features = 0;
        unsigned queues = 1;
        std::vector<uint8_t> config;  ///< kMaxConfig bytes at most; none: the front end keeps it
    };
    static constexpr uint16_t kMaxEntries = 1024;  ///< of a ring

    /// The socket, which does not block, becomes the connection's. Notifications come to `epoll` with `tag`.
    BackEnd(int socket, Device device, int epoll, uint64_t tag);
    ~BackEnd();
    BackEnd(const BackEnd&) = delete;
    BackEnd& operator=(const BackEnd&) = delete;

    int socket() const { return socket_; }
    /// Takes what the front end says, a few messages at a time, and answers. False: it has hung up. An error is one line, after which
    /// the connection is good for nothing.
    Result<bool> serve();

    /// Of device and rings, as the front end's driver has agreed to them.
    uint64_t features() const { return features_; }
    /// True once after each change of what features() and running() say.
    bool take_changed() { return std::exchange(changed_, false); }
    /// Null: the ring is not to be served.
    virtio::Queue* running(unsigned index) {
        return index < rings_.size() && rings_[index].running ? &rings_[index].queue : nullptr;
    }
    /// The driver is to be interrupted, if it wants that, about what was handed back in a running ring.
    void interrupt(unsigned index);
    /// The driver has broken the rules: the front end is told, and no ring is served any more.
    void fail(unsigned index);
    bool failed() const { return failed_; }

  private:
    struct Ring {
        virtio::Queue queue{kMaxEntries};
        uint32_t entries = 0;
        uint16_t base = 0;
        std::optional<VringAddress> address;
        int kick = -1, call = -1, error = -1;
        bool started = false, enabled = false, running = false;
    };
    static constexpr uint32_t kMaxPayload = 4096;
    static constexpr size_t kMaxFiles = 16;
    struct Message {
        Header header{};
        std::span<const uint8_t> payload;
        template <typename T>
        std::optional<T> as() const;
    };

    /// True: the message is whole. False: it is not yet.
    Result<bool> receive();
    Result<void> carry_out(const Message& message);
    Result<void> set_memory(const Message& message);
    Result<void> set_ring(Request request, const Message& message);
    Result<void> set_signal(Request request, const Message& message);
    Result<void> stop_ring(const Message& message);
    Result<void> send_config(const Message& message);
    Result<void> reply(uint32_t request, std::span<const uint8_t> payload);
    Result<void> reply_number(const Message& message, uint64_t number);
    Result<Ring*> ring(uint64_t index);
    Result<int> take_eventfd();
    void close_files();
    /// Rings that have all that they need are served from now on.
    Result<void> start_rings();
    Result<void> start(Ring& ring);
    void forget_kick(Ring& ring);

    const int socket_;
    const Device device_;
    const int epoll_;
    const uint64_t tag_;

    uint64_t features_ = 0, protocol_ = 0;
    std::unique_ptr<MappedRam> ram_;
    std::vector<Ring> rings_;
    bool changed_ = false, failed_ = false;

    std::array<uint8_t, sizeof(Header) + kMaxPayload> in_{};
    size_t received_ = 0;
    std::vector<int> files_;  ///< that came with the message
};

}  // namespace arclight::devices::vhost_user

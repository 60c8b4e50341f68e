#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "devices/virtio/transport.h"
#include "devices/vsock/hub.h"

namespace arclight::devices {
class DeviceFactory;
}

namespace arclight::devices::vsock {

/// Socket device (virtio 1.2 section 5.10) whose streams end at Unix sockets of the host's (Hub). A thread of its own serves them.
class Device final : public virtio::Backend {
  public:
    /// CIDs below are reserved (5.10.4).
    static constexpr uint64_t kMinCid = 3, kMaxCid = 0xffff'fffe;

    struct Options {
        uint64_t cid = kMinCid;
        /// The host's programs connect to it, and listen at the same with _PORT behind it for the guest's. A socket that a dead run
        /// has left there gives way.
        std::string path;
    };
    /// An error is one line for the user.
    static Result<std::unique_ptr<Device>> make(const Options& options);
    ~Device() override;

    std::string_view name() const override { return "virtio-vsock"; }
    uint32_t device_id() const override { return 19; }
    uint64_t features() const override { return 0; }
    std::vector<virtio::QueueDescription> queues() const override;
    uint8_t read_config(uint64_t offset) override;
    void activate(virtio::Transport& transport) override;
    void reset() override;
    void notified(unsigned queue) override;
    void quiesce() override { rest(); }
    /// Connections end with the machine; the driver is told when it goes on.
    void save(StateWriter&) const override {}
    StateResult load(StateReader& in) override;

  private:
    Device(const Options& options, int listener, int wake);
    void wake();
    /// Returns when the thread holds the transport no more.
    void rest();

    // ---- Of the thread.
    void work();
    void serve_guest(virtio::Transport& transport);
    bool take_packets(virtio::Transport& transport);
    bool deliver_packets(virtio::Transport& transport);
    void deliver_event(virtio::Transport& transport);
    void accept_clients();
    int connect_to(uint32_t port) const;

    const Options options_;
    const int listener_, wake_;
    Hub hub_;                    // the thread's
    std::vector<Packet> taken_;  // the same
    bool guest_takes_ = false;   // the same: its receive queue had room

    std::mutex lock_;
    std::condition_variable done_;
    virtio::Transport* transport_ = nullptr;  // under lock_
    bool up_ = false;                         // under lock_: there is a driver, paused or not
    bool forget_ = false;                     // under lock_: all connections are to end
    bool busy_ = false;                       // under lock_
    bool quit_ = false;                       // under lock_
    bool event_ = false;  // under lock_: the driver is to learn that all connections have ended
    std::thread thread_;
};

/// `virtio-vsock`.
void add_device_type(DeviceFactory& factory);

}  // namespace arclight::devices::vsock

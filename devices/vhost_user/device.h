#pragma once

#include <poll.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "devices/machine_host.h"
#include "devices/shared_ram.h"
#include "devices/vhost_user/connection.h"
#include "devices/vhost_user/net_pairs.h"
#include "devices/virtio/transport.h"

namespace arclight::devices::vhost_user {

/// What this program knows of a device type that a daemon carries out.
struct Kind {
    std::string_view name;  ///< of the factory's device type
    uint32_t device_id;
    uint64_t features;  ///< of the device type, that need nothing of this program
    uint16_t queue_size;
    unsigned fixed_queues;      ///< beside those that the user may choose the number of
    size_t config_bytes;        ///< that the daemon keeps; 0: none
    uint8_t queues_offset;      ///< where the configuration has the number of chosen queues
    unsigned local_queues = 0;  ///< the last ones, which nobody serves: the daemon is not told of them
};
/// Null: there is none.
const Kind* find_kind(std::string_view name);
/// What a daemon is asked for (Connection::open()): the type's features, and the rings'.
uint64_t wanted_features(const Kind& kind);

/// A virtio device whose rings another process serves. A thread of its own talks to the daemon, so that no virtual CPU waits for it
/// but in a reset and a pause, until the daemon has finished what it was at. When the daemon ends, the device needs a reset and
/// has no other; or, where the connection can be renewed, the guest's requests wait for the next daemon, which does those again that
/// were not finished.
class Device final : public virtio::Backend {
  public:
    struct Options {
        std::string label;            ///< for messages
        std::vector<uint8_t> config;  ///< what the guest reads, where the daemon keeps none
        uint64_t features = 0;        ///< that go with it
        unsigned queues = 1;          ///< those that are chosen
        unsigned net_pairs = 1;       ///< of a network adapter; more than one: with a control queue
        MachineHost* host = nullptr;  ///< null: nobody reads messages
    };
    /// An error is one line for the user.
    static Result<std::unique_ptr<Device>> make(const Kind& kind, std::shared_ptr<Connection> connection,
                                                const SharedRam& ram, Options options);
    ~Device() override;

    std::string_view name() const override { return kind_.name; }
    uint32_t device_id() const override { return kind_.device_id; }
    uint64_t features() const override;
    uint64_t ring_features() const override;
    std::vector<virtio::QueueDescription> queues() const override;
    uint8_t read_config(uint64_t offset) override;
    void set_features(uint64_t features) override;
    void activate(virtio::Transport& transport) override;
    void reset() override;
    void notified(unsigned queue) override;
    void quiesce() override { stop(); }
    /// A daemon's state is its own.
    void save(StateWriter& out) const override;
    StateResult load(StateReader& in) override;

  private:
    /// The eventfds of a ring.
    struct Signals {
        int kick = -1, call = -1, error = -1;
        // The thread's.
        bool started = false;
        bool missed = false;  ///< an interrupt came while there was no transport
    };
    enum class Wish : uint8_t { Nothing, Start, Stop, Quit };

    Device(const Kind& kind, std::shared_ptr<Connection> connection, const SharedRam& ram, Options options);
    Result<void> open_signals();
    unsigned all_queues() const;
    unsigned served_queues() const;
    bool is_daemons(unsigned queue) const { return !pairs_ || pairs_->is_daemons(queue); }
    void wish(Wish wish);
    void stop();
    void take_config();

    // ---- Of the thread.
    void work();
    void start_rings();
    Result<void> start_rings_of(virtio::Transport& transport);
    void stop_rings();
    Result<void> serve_control();
    bool take_command(bool finish);
    /// `polled`: what the thread has waited for, call and error of each queue; none: look at all.
    void pass_interrupts(std::span<const pollfd> polled);
    void lose(const std::string& why);
    void fail(const std::string& why);
    bool time_to_renew();
    bool renew();
    void remind();
    /// Whether the daemon is there.
    bool connected() const { return !dead_ && !lost_; }

    const Kind& kind_;
    const std::shared_ptr<Connection> connection_;
    const SharedRam ram_;
    const Options options_;
    std::vector<Signals> signals_;
    std::optional<NetPairs> pairs_;  ///< of an adapter that has several
    int wake_ = -1;

    // The thread's.
    virtio::Transport* transport_ = nullptr;  ///< null: stopped
    bool dead_ = false;
    bool lost_ = false;  ///< the daemon may come back
    std::chrono::steady_clock::time_point next_renewal_;
    bool command_good_ = false;  ///< the one that is being carried out

    std::mutex config_lock_;
    std::vector<uint8_t> config_;  // under config_lock_

    std::mutex lock_;
    std::condition_variable done_;
    Wish wish_ = Wish::Nothing;            // under lock_
    bool busy_ = false;                    // under lock_
    virtio::Transport* wanted_ = nullptr;  // of Wish::Start; under lock_
    std::thread thread_;
};

}  // namespace arclight::devices::vhost_user

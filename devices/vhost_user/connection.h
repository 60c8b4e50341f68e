#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "devices/shared_ram.h"
#include "devices/vhost_user/protocol.h"
#include "mmu/guest_memory.h"
#include "mmu/result.h"

namespace arclight::devices::vhost_user {

/// Where a ring is in guest memory (guest-physical addresses), and how far it is.
struct Ring {
    uint16_t entries = 0;
    uint64_t descriptors = 0, available = 0, used = 0;
    uint16_t next_available = 0;
};

/// To whoever serves a device's rings: a daemon, or the host's kernel. Machines that follow each other use the same. One thread at a time.
/// After an error all calls fail with it: one line, without the device's name.
class Connection {
  public:
    virtual ~Connection() = default;
    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Of the device type and of the rings, that the other end has. Constant.
    virtual uint64_t features() const = 0;
    /// Rings that it serves at most. Constant.
    virtual unsigned queue_limit() const = 0;
    /// As last read.
    virtual std::span<const uint8_t> config() const = 0;

    virtual Result<void> set_up(uint64_t features, const SharedRam& ram, const mmu::GuestMemory& memory) = 0;
    /// The other end takes notifications from `kick`, and sends interrupts and errors by `call` and `error`: eventfds.
    virtual Result<void> start_ring(unsigned index, const Ring& ring, int kick, int call, int error) = 0;
    /// All rings have been given; these are served from now on.
    virtual Result<void> begin(std::span<const unsigned> rings) = 0;
    /// Of a daemon with protocol features: whether it serves a ring that has been given.
    virtual Result<void> enable_ring(unsigned /*index*/, bool /*on*/) { return {}; }
    /// Before rings are stopped; and when the device has failed, without that.
    virtual Result<void> end() = 0;
    /// Returns where the ring stands.
    virtual Result<uint16_t> stop_ring(unsigned index) = 0;

    /// False: the other end knows nothing of the device but how far its rings are, so that it can be saved.
    virtual bool has_state() const { return true; }

    /// After an error: the other end may come back, and renew() finds out. Not zero: how long to wait between attempts.
    virtual std::chrono::milliseconds renewal_interval() const { return {}; }
    /// True: all is as after the beginning, and rings are to be given again.
    virtual Result<void> renew() { return failure("it cannot"); }

    /// Become readable when there is something to say, or nobody is there any more: then serve(). -1: that does not happen.
    virtual int socket() const { return -1; }
    virtual int requests() const { return -1; }
    /// Takes what there is. True: the configuration has changed, and is read.
    virtual Result<bool> serve() { return false; }
};

/// A connected socket to a daemon, which serves one device. What the daemon says is not trusted: an answer that cannot be, and none for
/// kPatience, end the connection.
class DaemonConnection final : public Connection {
  public:
    /// How long an answer may take: a ring is stopped when the daemon has finished what it had taken from it.
    static constexpr std::chrono::seconds kPatience{30};

    /// Shakes hands; the socket becomes the connection's. `wanted`: the features of the device type that the guest may have, if
    /// the daemon has them. `config_bytes`: of the device's configuration, which the daemon keeps; 0: it keeps none.
    /// `patience`: for all answers; tests have less.
    static Result<std::shared_ptr<Connection>> open(int socket, uint64_t wanted, size_t config_bytes,
                                                    std::chrono::milliseconds patience = kPatience);
    /// The same, connecting to the daemon's socket. `renewal`: how often that is tried again when the daemon has ended; 0: never.
    static Result<std::shared_ptr<Connection>> connect(const std::string& path, uint64_t wanted,
                                                       size_t config_bytes, std::chrono::milliseconds renewal,
                                                       std::chrono::milliseconds patience = kPatience);
    ~DaemonConnection() override;

    uint64_t features() const override { return features_; }
    unsigned queue_limit() const override { return queue_limit_; }
    std::span<const uint8_t> config() const override { return config_; }
    /// Needs RAM that is shared.
    Result<void> set_up(uint64_t features, const SharedRam& ram, const mmu::GuestMemory& memory) override;
    Result<void> start_ring(unsigned index, const Ring& ring, int kick, int call, int error) override;
    Result<void> begin(std::span<const unsigned> rings) override;
    Result<void> enable_ring(unsigned index, bool on) override;
    Result<void> end() override { return {}; }
    Result<uint16_t> stop_ring(unsigned index) override;
    std::chrono::milliseconds renewal_interval() const override { return renewal_; }
    Result<void> renew() override;
    int socket() const override { return socket_; }
    int requests() const override { return requests_; }
    Result<bool> serve() override;

  private:
    DaemonConnection(int socket, uint64_t wanted, size_t config_bytes, std::chrono::milliseconds patience)
        : socket_(socket), wanted_(wanted), config_bytes_(config_bytes), patience_(patience) {}
    Result<void> shake_hands();
    void hang_up();
    Result<void> open_requests();
    Result<void> read_config();
    std::unexpected<std::string> broken(std::string why);
    Result<void> send(Request request, std::span<const uint8_t> payload, std::span<const int> files,
                      uint32_t flags);
    Result<void> receive(int from, std::span<uint8_t> bytes);
    /// An answer of just this length.
    Result<void> receive_reply(Request request, std::span<uint8_t> payload);
    /// A message without an answer, but for that it is carried out.
    Result<void> tell(Request request, std::span<const uint8_t> payload, std::span<const int> files = {});
    Result<void> tell_number(Request request, uint64_t value, std::span<const int> files = {});
    Result<uint64_t> ask_number(Request request);
    Result<void> serve_request();
    bool has(uint64_t protocol_feature) const { return (protocol_ & protocol_feature) != 0; }

    int socket_;
    const uint64_t wanted_;
    const size_t config_bytes_;
    const std::chrono::milliseconds patience_;
    std::string path_;  ///< empty: the daemon cannot be connected to again
    std::chrono::milliseconds renewal_{0};
    int requests_ = -1;
    uint64_t offered_ = 0;  ///< all of the daemon's
    uint64_t features_ = 0;
    uint64_t protocol_ = 0;
    unsigned queue_limit_ = 0;
    std::vector<uint8_t> config_;
    bool config_changed_ = false;
    std::optional<std::string> broken_;
};

}  // namespace arclight::devices::vhost_user

#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "devices/vsock/packet.h"

namespace arclight::devices::vsock {

/// The host's end of a guest's sockets: streams of the guest's joined to Unix sockets, by the convention of Firecracker
/// (its document on vsock). Who connects to the host's socket writes "CONNECT PORT\n" and reads "OK PORT\n", with the host's port,
/// when the guest has accepted; connections of the guest's to a port of the host's are made by the function that the hub is given.
/// One thread; nothing waits. What the guest says is not trusted: it can end its own connections, and keeps no more memory than
/// kMaxConnections buffers.
class Hub {
  public:
    /// What a connection may keep for a host's socket that takes nothing.
    static constexpr uint32_t kBuffer = 256 * 1024;
    static constexpr size_t kMaxConnections = 1024;
    static constexpr size_t kMaxData = 64 * 1024;
    /// For "CONNECT PORT\n", and for the guest's answer.
    static constexpr std::chrono::seconds kPatience{20};

    using Clock = std::chrono::steady_clock;
    /// A connected socket that does not block, for a port of the host's; negative: nobody listens.
    using Connect = std::function<int(uint32_t port)>;

    Hub(uint64_t guest_cid, Connect connect) : cid_(guest_cid), connect_(std::move(connect)) {}
    ~Hub() { reset(); }
    Hub(const Hub&) = delete;
    Hub& operator=(const Hub&) = delete;

    /// Ends all connections without a word to the guest.
    void reset();

    /// A client of the host's socket, which does not block. It becomes the hub's.
    void accept(int socket);
    /// A packet of the guest's.
    void receive(const Header& header, std::span<const uint8_t> data);
    /// The next packet for the guest, with at most `room` bytes of data; false: there is none.
    bool next(Packet& packet, size_t room);
    bool has_packet() const { return !resets_.empty() || !ready_.empty(); }

    /// Appends what is waited for. `guest_takes`: the guest has room for packets.
    void add_to(std::vector<pollfd>& waited_for, bool guest_takes);
    /// After poll(), with what add_to() has appended. Also ends what has waited too long.
    void serve(std::span<const pollfd> ready, Clock::time_point now = Clock::now());
    /// Whether serve() is to be called without an event some time.
    bool has_deadlines() const { return deadlines_ != 0; }

    size_t connections() const { return connections_.size() + clients_.size(); }

  private:
    struct Key {
        uint32_t guest_port, host_port;
        auto operator<=>(const Key&) const = default;
    };
    enum Pending : uint8_t {
        kRequest = 1,
        kResponse = 2,
        kCreditUpdate = 4,
        kCreditRequest = 8,
        kShutdown = 16,
        kReset = 32,
    };
    struct Connection {
        int socket = -1;
        bool asked = false;  ///< the host has begun it, and the guest has not answered
        uint8_t pending = 0;
        uint32_t told = 0, shut = 0;  ///< kNoReceive, kNoSend of the host's end: in a packet, and to be
        uint32_t guest_shut = 0;      ///< of the guest's
        bool readable = false;        ///< the host's socket has data, or its end
        bool asked_credit = false;
        // 5.10.6.3
        uint32_t guest_buffer = 0, guest_forwarded = 0, sent = 0;
        uint32_t received = 0, forwarded = 0, forwarded_told = 0;
        std::deque<uint8_t> waiting;  ///< for the host's socket
        Clock::time_point deadline{};
        bool listed = false;  ///< in ready_
    };
    struct Client {
        int socket;
        Clock::time_point deadline;
    };
    using Connections = std::map<Key, Connection>;

    void begin(const Header& header, Key key);
    void receive_data(Connections::iterator at, std::span<const uint8_t> data);
    void flush(Connections::iterator at);
    void update_credit(Connection& connection, const Header& header);
    /// Free room at the guest.
    static uint32_t credit(const Connection& connection);
    void end(Connections::iterator at, bool tell);
    void refuse(const Header& header);
    void close_socket(Connection& connection);
    void push(Connections::iterator at, uint8_t pending);
    /// Whether next() has something of it.
    static bool has_something(const Connection& connection);
    bool fill(Connections::iterator at, Packet& packet, size_t room);
    bool read_data(Connections::iterator at, Packet& packet, size_t room);
    /// False: the client is no client any more.
    bool serve_client(const Client& client);
    Header header_for(Key key, Connection& connection, Op op) const;

    const uint64_t cid_;
    const Connect connect_;
    Connections connections_;
    std::deque<Key> ready_;      ///< of connections that have something for the guest, each once
    std::deque<Header> resets_;  ///< answers to what belongs to no connection
    std::vector<Client> clients_;
    size_t deadlines_ = 0;
    uint32_t next_port_ = 1u << 30;
    std::vector<std::pair<Key, int>> polled_;  ///< by add_to(), after the clients
    size_t polled_clients_ = 0;
};

}  // namespace arclight::devices::vsock

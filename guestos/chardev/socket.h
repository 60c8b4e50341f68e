// A stream socket, TCP or Unix: a server for one client at a time, or a client that may come back.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <memory>

#include "guestos/chardev/stream.h"
#include "guestos/chardev/telnet.h"

namespace arclight::guestos {

class SocketChardev final : public StreamChardev {
  public:
    /// Listens, or connects; with `wait` returns when there is a client.
    static Result<std::unique_ptr<Chardev>> open(devices::EventLoop& loop, const ChardevOptions& options,
                                                 int log);
    ~SocketChardev() override;

    bool is_open() const override { return open_; }
    std::string filename() const override;
    /// Of a TCP server, as the host's kernel has chosen it if 0 was asked for.
    uint16_t bound_port() const;

    struct Address {
        sockaddr_storage bytes{};
        socklen_t size = 0;
        const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&bytes); }
    };

  private:
    SocketChardev(devices::EventLoop& loop, const ChardevOptions& options, int log, Address address);
    Result<void> listen();
    Result<void> connect_now();
    void watch_listener(bool on);
    void on_client();
    void opened(int fd);
    void closed();
    void connect_again();
    void connecting(uint32_t events);
    void input_ended(int) override { closed(); }
    void hung_up() override { closed(); }
    void output_failed(int) override { closed(); }
    std::span<uint8_t> received(std::span<uint8_t> bytes) override;

    const Address address_;  // resolved: names cannot be looked up in the sandbox
    int listener_ = -1;
    int attempt_ = -1;  // a connection that is being made
    bool listening_ = false;
    std::atomic<bool> open_{false};
    Telnet telnet_;
    devices::EventLoop::Timer again_;
};

}  // namespace arclight::guestos

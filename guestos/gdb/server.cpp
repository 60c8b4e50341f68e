#include "guestos/gdb/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "host/thread.h"

namespace arclight::guestos::gdb {

namespace {
/// A debugger that takes nothing for so long has lost its connection.
constexpr timeval kSendLimit{.tv_sec = 5};
}  // namespace

Result<std::unique_ptr<Server>> Server::listen(const std::string& text) {
    auto address = parse_address(text);
    if (!address) return std::unexpected(address.error());
    auto listener = listen_at(*address);
    if (!listener) return std::unexpected(listener.error());
    std::unique_ptr<Server> server(new Server(std::move(*address)));
    server->listener_ = *listener;
    server->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->wake_ < 0) return failure("--gdb: no eventfd: {}", strerror(errno));
    return server;
}

Server::~Server() {
    if (thread_.joinable()) {
        {
            const std::lock_guard guard(lock_);
            quit_ = true;
        }
        wake();
        thread_.join();
    }
    if (client_ >= 0) close(client_);
    if (wake_ >= 0) close(wake_);
    if (listener_ < 0) return;
    close(listener_);
    if (address_.local) unlink(address_.path.c_str());
}

void Server::wake() const {
    const uint64_t one = 1;
    (void)!write(wake_, &one, sizeof one);
}

void Server::begin(DebugTarget& target) {
    const std::lock_guard guard(lock_);
    target_ = &target;
    target.on_event([this] { wake(); });
    if (session_ != nullptr) session_->set_target(&target);
    target.start(session_ != nullptr && session_->holds_machine());
    if (!thread_.joinable()) thread_ = host::start_thread("gdb", ThreadRole::Debugger, [this] { serve(); });
}

void Server::end(bool again) {
    const std::lock_guard guard(lock_);
    target_ = nullptr;
    if (session_ == nullptr) return;
    session_->set_target(nullptr);
    if (!again) session_->ended();
}

void Server::serve() {
    for (;;) {
        // Another debugger waits in the listener's queue until this one is gone.
        std::array<pollfd, 2> watched{
            {{.fd = wake_, .events = POLLIN, .revents = 0},
             {.fd = client_ >= 0 ? client_ : listener_, .events = POLLIN, .revents = 0}}};
        if (poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) return;
        const std::lock_guard guard(lock_);
        uint64_t count = 0;
        if ((watched[0].revents & POLLIN) != 0) (void)!read(wake_, &count, sizeof count);
        if (quit_) return;
        if (watched[1].revents != 0) {
            if (client_ >= 0)
                read_client();
            else
                take_client(accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC));
        }
        // After what the debugger says: the event may be that of a CPU that it has just let go.
        if (session_ != nullptr) session_->look_at_events();
        if (client_ >= 0 && (broken_ || session_->closed())) drop_client();
    }
}

void Server::take_client(int client) {
    if (client < 0) return;
    client_ = client;
    broken_ = false;
    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &kSendLimit, sizeof kSendLimit);
    const int on = 1;
    if (!address_.local) setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    session_ = std::make_unique<Session>(
        target_, [this](std::string_view bytes) { send(bytes); }, monitor_);
}

void Server::read_client() {
    std::array<uint8_t, 4096> bytes;
    const ssize_t n = recv(client_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0)
        broken_ = true;
    else
        session_->feed({bytes.data(), static_cast<size_t>(n)});
}

void Server::drop_client() {
    session_->disconnect();
    session_.reset();
    close(std::exchange(client_, -1));
}

void Server::send(std::string_view bytes) {
    while (!bytes.empty() && !broken_) {
        const ssize_t n = ::send(client_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n > 0)
            bytes.remove_prefix(static_cast<size_t>(n));
        else if (n == 0 || errno != EINTR)
            broken_ = true;
    }
}

}  // namespace arclight::guestos::gdb

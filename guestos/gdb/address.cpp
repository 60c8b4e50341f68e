#include "guestos/gdb/address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>

#include "guestos/unix_listener.h"

namespace arclight::guestos::gdb {

namespace {
constexpr int kBacklog = 4;

Result<int> listen_on_port(const Address& address) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo* found = nullptr;
    if (const int e = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
        e != 0)
        return failure("--gdb: '{}': {}", address.host, gai_strerror(e));
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
    int error = 0;
    for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
        const int listener = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        const int on = 1;
        if (listener >= 0 && setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
            bind(listener, a->ai_addr, a->ai_addrlen) == 0 && listen(listener, kBacklog) == 0)
            return listener;
        error = errno;
        if (listener >= 0) close(listener);
    }
    return failure("--gdb: cannot listen at {} port {}: {}", address.host, address.port, strerror(error));
}
}  // namespace

Result<Address> parse_address(const std::string& text) {
    Address address;
    std::string_view rest = text;
    for (size_t comma; (comma = rest.rfind(',')) != std::string_view::npos; rest = rest.substr(0, comma)) {
        const std::string_view word = rest.substr(comma + 1);
        if (word != "server" && word != "server=on" && word != "wait=off" && word != "nowait")
            return failure("--gdb: '{}' is not known: tcp:[HOST]:PORT or unix:PATH", word);
    }
    constexpr std::string_view kUnix = "unix:", kTcp = "tcp:";
    if (rest.starts_with(kUnix)) {
        address.local = true;
        address.path = rest.substr(kUnix.size());
        if (address.path.empty()) return failure("--gdb unix: needs a path");
        return address;
    }
    if (!rest.starts_with(kTcp)) return failure("--gdb takes tcp:[HOST]:PORT or unix:PATH, not '{}'", text);
    rest.remove_prefix(kTcp.size());
    const size_t colon = rest.rfind(':');
    if (colon == std::string_view::npos) return failure("--gdb tcp: needs [HOST]:PORT");
    std::string_view host = rest.substr(0, colon);
    const std::string_view port = rest.substr(colon + 1);
    const auto [end, bad] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (bad != std::errc() || end != port.data() + port.size() || address.port == 0)
        return failure("--gdb: '{}' is no port", port);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    if (!host.empty()) address.host = host;
    return address;
}

Result<int> listen_at(const Address& address) {
    return address.local ? listen_at_path("--gdb", address.path, kBacklog) : listen_on_port(address);
}

}  // namespace arclight::guestos::gdb

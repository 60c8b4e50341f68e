// Character back ends as they are asked for. Words and meanings are QEMU's (its -chardev).
#pragma once

#include <cstdint>
#include <string>

namespace arclight::guestos {

struct ChardevOptions {
    enum class Kind : uint8_t { Null, Stdio, File, Pipe, Pty, Socket, Ringbuf };
    std::string id;
    Kind kind = Kind::Null;

    std::string path;     ///< a file's, a pipe's, a Unix socket's, of the link to a pty (empty: none)
    bool append = false;  ///< a file is not emptied first

    /// Stdio: Ctrl-C, Ctrl-Z and Ctrl-\ of the terminal are signals to this process.
    bool signals = true;

    // Sockets. An empty host with an empty port: a Unix socket.
    std::string host, port;
    bool ipv4 = true, ipv6 = true;
    bool server = false;
    bool telnet = false;     ///< the client speaks telnet
    bool wait = true;        ///< a server: for the first client, before the machine is made
    bool nodelay = false;    ///< no delay for more output (TCP_NODELAY)
    unsigned reconnect = 0;  ///< a client: seconds between attempts; 0: a lost connection stays lost
    int descriptor = -1;     ///< a socket that this process has from its parent; -1: none
    bool is_unix() const { return host.empty() && port.empty(); }

    uint32_t ring_bytes = 65536;  ///< a power of two

    std::string logfile;  ///< takes all output; empty: none
    bool logappend = false;

    /// Several front ends; the escape key chooses who gets the input.
    bool mux = false;
    /// With mux: the escape key is one where the input is a terminal, and a byte like others elsewhere.
    bool escape_on_terminal_only = false;
};

}  // namespace arclight::guestos

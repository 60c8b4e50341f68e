// Programs that serve one connection of this process's: they are started before the sandbox is entered, and end with the connection.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mmu/result.h"

namespace arclight::guestos {

/// A file descriptor that is closed.
struct Descriptor {
    int fd = -1;
    explicit Descriptor(int number) : fd(number) {}
    ~Descriptor();
    Descriptor(Descriptor&& other) noexcept : fd(other.release()) {}
    Descriptor& operator=(Descriptor&&) = delete;
    int release() { return std::exchange(fd, -1); }
};

/// One that has been started, and is connected by a socket that nobody else can reach.
class ServerProcess {
  public:
    /// The listening socket's number in the server, which $LISTEN_FDS tells it too.
    static constexpr int kListener = 3;

    /// `words`: the program, looked for in $PATH, and its arguments. It gets /dev/null as stdin and stdout. An error is one line.
    static Result<ServerProcess> start(const std::vector<std::string>& words);

    /// This process's end of the connection, which is the caller's from then on.
    int take_connection() { return connection_.release(); }
    /// After the connection is closed: waits for the server's end, and returns the last line that it has written to stderr. Nothing:
    /// it is not installed.
    std::optional<std::string> last_words();

  private:
    ServerProcess(Descriptor connection, Descriptor log, pid_t child)
        : connection_(std::move(connection)), log_(std::move(log)), child_(child) {}
    Descriptor connection_, log_;
    pid_t child_;
};

}  // namespace arclight::guestos

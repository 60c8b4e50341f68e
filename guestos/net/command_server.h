#pragma once

#include <memory>
#include <string>
#include <utility>

#include "guestos/net/net_sockets.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// A process that runs a shell's words anew for each connection to its socket, which is their stdin, stdout and stderr. It is
/// started before the sandbox is entered, in which nothing can be run, and ends with this object or this process; what it has
/// started goes on to its own end.
class CommandServer {
  public:
    /// An error is one line.
    static Result<std::shared_ptr<CommandServer>> start(const std::string& command);
    CommandServer(const CommandServer&) = delete;
    CommandServer& operator=(const CommandServer&) = delete;

    /// Of its socket, in a directory that nobody else can enter.
    const std::string& path() const { return path_; }

  private:
    CommandServer(SocketFd alive, std::string path) : alive_(std::move(alive)), path_(std::move(path)) {}

    SocketFd alive_;  // a pipe whose other end the process waits at
    const std::string path_;
};

}  // namespace arclight::guestos

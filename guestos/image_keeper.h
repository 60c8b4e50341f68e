#pragma once

#include <memory>
#include <string>
#include <vector>

#include "guestos/server_process.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Starts an image's server again: for images that are put back into an older state, which no server may have open meanwhile. It is a
/// process that is there before the sandbox is entered, and ends with this object.
class ImageKeeper {
  public:
    /// `words`: of ServerProcess::start(). Before any thread runs. An error is one line.
    static Result<std::shared_ptr<ImageKeeper>> start(const std::vector<std::string>& words);

    /// Returns a socket that is connected to another server, and is the caller's. One thread. An error is one line.
    Result<int> start_server();

  private:
    explicit ImageKeeper(Descriptor keeper) : keeper_(std::move(keeper)) {}
    const Descriptor keeper_;
};

}  // namespace arclight::guestos

// From a command line of QEMU's to the machine's description.
#pragma once

#include <string>
#include <vector>

#include "guestos/options.h"
#include "guestos/qemu/invocation.h"

namespace arclight::guestos::qemu {

/// What a command line asks for.
struct Request {
    RunOptions options;
    std::vector<std::string> notes;  ///< lines for stderr: what the guest could miss
    bool daemonize = false;
};

/// `base` has what QEMU has no words for, and no devices. An error is one line.
Result<Request> translate(const Invocation& invocation, RunOptions base);

}  // namespace arclight::guestos::qemu

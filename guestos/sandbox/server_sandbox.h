// The jail that `arclight serve` puts itself into: docs/security.md.
#pragma once

#include <string>
#include <vector>

#include "guestos/options.h"
#include "guestos/sandbox/system_calls.h"
#include "mmu/result.h"

namespace arclight::guestos::sandbox {

/// For good, before there are other threads and before a front end is listened to; what the resource needs is open. No file is opened from now on, and
/// Unix sockets are made and removed in `socket_directories` only. SandboxMode is that of a run: rights are given up in every mode, in On a wall that
/// this kernel cannot build is left out, in Require it is an error.
Result<void> enter_server(SandboxMode mode, const std::vector<std::string>& socket_directories);

/// The list of Main, which listens and answers, or of Device, which serves interfaces.
std::vector<Rule> server_rules(ThreadRole role, uint32_t process);

}  // namespace arclight::guestos::sandbox

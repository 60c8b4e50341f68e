// -daemonize: the process goes on in the background once the machine runs.
#pragma once

#include <functional>

#include "mmu/result.h"

namespace arclight::guestos::qemu {

struct Daemon {
    bool is_parent = false;
    int status = 0;                     ///< of the parent: its exit status
    std::function<void()> tell_parent;  ///< of the child: the machine runs
};

/// Returns in the child at once, in the parent when the child has called tell_parent or has ended. Before any thread is started.
/// The child's stdin and stdout are /dev/null; what it writes on stderr until then comes out on the parent's.
Result<Daemon> become_daemon();

}  // namespace arclight::guestos::qemu

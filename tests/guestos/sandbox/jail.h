// Children that put themselves into the sandbox and try something there.
#pragma once

#include <functional>
#include <string>

#include "guestos/options.h"
#include "host/thread_role.h"

namespace arclight::guestos::sandbox {

struct Attempted {
    bool violated = false;  ///< ended by SIGSYS
    int signal = 0;         ///< ended by another one; 0: by none
    int result = -1;        ///< what the attempt returned
    std::string text;       ///< on stderr
};

/// Runs `attempt`, which returns a small number, in a child.
Attempted in_child(const std::function<int()>& attempt);

/// The same by a thread of that role in a process that has entered the sandbox as `options` say.
Attempted in_jail(const RunOptions& options, ThreadRole role, const std::function<int()>& attempt);

/// Of a run that needs nothing but the process: no KVM, no tier 2.
RunOptions plain_options();

/// errno of a system call made without the C library's interference; 0: it succeeded.
int call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0);

constexpr ThreadRole kEveryRole[] = {ThreadRole::Main,      ThreadRole::Vcpu,    ThreadRole::KvmVcpu,
                                     ThreadRole::EventLoop, ThreadRole::Device,  ThreadRole::Compiler,
                                     ThreadRole::Control,   ThreadRole::Network, ThreadRole::Share,
                                     ThreadRole::Debugger};

}  // namespace arclight::guestos::sandbox

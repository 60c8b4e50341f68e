// What a thread of this program is for. host::start_thread() takes it, and a sandbox (guestos/sandbox) then takes from the
// thread what that purpose does not need.
#pragma once

#include <atomic>
#include <cstdint>

namespace arclight {

enum class ThreadRole : uint8_t {
    Main,       ///< builds machines, waits for their end, writes what is to be written then
    Vcpu,       ///< runs translated code in the process
    KvmVcpu,    ///< runs translated code in a KVM virtual machine
    EventLoop,  ///< timers, console, signals
    Device,     ///< carries out the requests of one device
    Compiler,   ///< tier 2
    Control,    ///< LightV: its socket, its modules' ticks
    Network,    ///< a guest's network: makes the connections that the guest asks for
    Share,      ///< serves a directory of the host's to the guest
    Debugger,   ///< the debugger's connection
};
constexpr unsigned kThreadRoles = 10;

using EnterThreadRole = void (*)(ThreadRole role);

/// `hook` is called by each thread that starts from now on, unless its role is that of its starter, whose limits it has
/// inherited; null: nothing is.
void set_thread_role_hook(EnterThreadRole hook);

}  // namespace arclight

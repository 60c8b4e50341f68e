// What a thread of this program is for. Every thread says so when it starts, and a sandbox (guestos/sandbox) then takes
// from it what that purpose does not need. Here because threads are started in every layer.
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
};
constexpr unsigned kThreadRoles = 7;

using EnterThreadRole = void (*)(ThreadRole role);

namespace detail {
inline std::atomic<EnterThreadRole> enter_thread_role_hook{nullptr};
}

/// `hook` is called by each thread that starts from now on; null: nothing is.
inline void set_thread_role_hook(EnterThreadRole hook) { detail::enter_thread_role_hook = hook; }

/// Called once by each thread but the main one, first of all.
inline void enter_thread_role(ThreadRole role) {
    if (const EnterThreadRole hook = detail::enter_thread_role_hook; hook != nullptr) hook(role);
}

}  // namespace arclight

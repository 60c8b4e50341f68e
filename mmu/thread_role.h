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
    Network,    ///< a guest's network: makes the connections that the guest asks for
};
constexpr unsigned kThreadRoles = 8;

using EnterThreadRole = void (*)(ThreadRole role);

namespace detail {
inline std::atomic<EnterThreadRole> enter_thread_role_hook{nullptr};
inline thread_local ThreadRole thread_role = ThreadRole::Main;
}  // namespace detail

/// `hook` is called by each thread that starts from now on; null: nothing is.
inline void set_thread_role_hook(EnterThreadRole hook) { detail::enter_thread_role_hook = hook; }

/// Of the calling thread.
inline ThreadRole thread_role() { return detail::thread_role; }

/// Called once by each thread but the main one, first of all. `starter`: thread_role() of the thread that has started it, whose
/// limits it has inherited.
inline void enter_thread_role(ThreadRole role, ThreadRole starter = ThreadRole::Main) {
    detail::thread_role = role;
    if (role == starter) return;
    if (const EnterThreadRole hook = detail::enter_thread_role_hook; hook != nullptr) hook(role);
}

}  // namespace arclight

#include "host/thread.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include <array>
#include <cstring>
#include <utility>

#include "host/cores.h"
#include "host/failure.h"

namespace arclight {

namespace {
std::atomic<EnterThreadRole> enter_role{nullptr};
thread_local ThreadRole own_role = ThreadRole::Main;
}  // namespace

void set_thread_role_hook(EnterThreadRole hook) { enter_role = hook; }

namespace host {

namespace {

// A signal's frame holds all vector registers (11 KiB with AMX); the rest is for the unwinder.
constexpr size_t kStackBytes = size_t{64} << 10, kGuardBytes = 4096;
constexpr size_t kMaxName = 15;

// Kept here because a sandbox need not let a thread ask the kernel for it.
thread_local std::array<char, kMaxName + 1> own_name{"main"};

class SignalMask {
  public:
    explicit SignalMask(ThreadRole role) {
        sigset_t blocked;
        sigemptyset(&blocked);
        if (role != ThreadRole::Vcpu && role != ThreadRole::KvmVcpu) {
            sigfillset(&blocked);
            for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS})
                sigdelset(&blocked, fault);
        }
        pthread_sigmask(SIG_BLOCK, &blocked, &old_);
    }
    ~SignalMask() { pthread_sigmask(SIG_SETMASK, &old_, nullptr); }
    SignalMask(const SignalMask&) = delete;
    SignalMask& operator=(const SignalMask&) = delete;

  private:
    sigset_t old_;
};

void thread_main(const std::string& name, ThreadRole role, ThreadRole starter,
                 const std::function<void()>& body) {
    std::memcpy(own_name.data(), name.c_str(), name.size() + 1);
    // A thread can always name itself; another one is named by a file in /proc, which a sandbox may not have.
    pthread_setname_np(pthread_self(), name.c_str());
    own_role = role;
    const PlacedThread placed(
        role);  // before the role's limits: a sandbox need not let a thread choose its cores
    const SignalStack stack;
    try {
        if (const EnterThreadRole enter = enter_role; enter != nullptr && role != starter) enter(role);
        body();
    } catch (...) {
        end_by_exception();
    }
}

}  // namespace

const char* thread_name() { return own_name.data(); }

SignalStack::SignalStack()
    : mapping_(mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                    -1, 0)) {
    if (mapping_ == MAP_FAILED) return;
    mprotect(mapping_, kGuardBytes, PROT_NONE);
    const stack_t stack{
        .ss_sp = static_cast<char*>(mapping_) + kGuardBytes, .ss_flags = 0, .ss_size = kStackBytes};
    sigaltstack(&stack, nullptr);
}

SignalStack::~SignalStack() {
    if (mapping_ == MAP_FAILED) return;
    const stack_t none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
    sigaltstack(&none, nullptr);
    munmap(mapping_, kGuardBytes + kStackBytes);
}

std::thread start_thread(std::string name, ThreadRole role, std::function<void()> body) {
    if (name.size() > kMaxName) name.resize(kMaxName);
    const SignalMask mask(role);  // inherited by the new thread
    return std::thread([name = std::move(name), role, starter = own_role, body = std::move(body)] {
        thread_main(name, role, starter, body);
    });
}

}  // namespace host
}  // namespace arclight

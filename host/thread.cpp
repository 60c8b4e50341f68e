#include "host/thread.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "host/failure.h"

namespace arclight::host {

namespace {

// A signal's frame holds all vector registers (11 KiB with AMX); the rest is for the unwinder.
constexpr size_t kStackBytes = size_t{64} << 10, kGuardBytes = 4096;
constexpr size_t kMaxName = 15;

class SignalMask {
  public:
    explicit SignalMask(ThreadSignals signals) {
        sigset_t blocked;
        sigemptyset(&blocked);
        if (signals == ThreadSignals::None) {
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

void thread_main(const std::string& name, const std::function<void()>& body) {
    pthread_setname_np(pthread_self(), name.c_str());
    const SignalStack stack;
    try {
        body();
    } catch (...) {
        end_by_exception();
    }
}

}  // namespace

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

std::thread start_thread(std::string name, ThreadSignals signals, std::function<void()> body) {
    if (name.size() > kMaxName) name.resize(kMaxName);
    const SignalMask mask(signals);  // inherited by the new thread
    return std::thread([name = std::move(name), body = std::move(body)] { thread_main(name, body); });
}

}  // namespace arclight::host

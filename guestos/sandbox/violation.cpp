#include "guestos/sandbox/violation.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "guestos/sandbox/system_calls.h"

namespace arclight::guestos::sandbox {

namespace {

void (*last_act)() = nullptr;

/// A line without memory of the heap, for a signal's handler.
class Line {
  public:
    Line& operator<<(std::string_view text) {
        const size_t count = std::min(text.size(), bytes_.size() - used_);
        std::memcpy(bytes_.data() + used_, text.data(), count);
        used_ += count;
        return *this;
    }
    Line& operator<<(unsigned number) {
        std::array<char, 10> digits;
        size_t first = digits.size();
        do digits[--first] = static_cast<char>('0' + number % 10);
        while ((number /= 10) != 0);
        return *this << std::string_view(digits.data() + first, digits.size() - first);
    }
    void print() const { (void)!write(STDERR_FILENO, bytes_.data(), used_); }

  private:
    std::array<char, 256> bytes_;
    size_t used_ = 0;
};

void on_violation(int, siginfo_t* info, void*) {
    const auto number = static_cast<unsigned>(info->si_syscall);
    const char* name = system_call_name(number);
    Line line;
    line << "arclight: sandbox: system call " << number << " (" << (name != nullptr ? name : "unknown")
         << ") is forbidden in a thread of role '" << role_name(static_cast<ThreadRole>(info->si_errno))
         << "'; the run has ended. '--sandbox off' runs without it\n";
    line.print();
    if (last_act != nullptr) last_act();
    // The action is the default one again since the handler began (SA_RESETHAND).
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSYS);
    raise(SIGSYS);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);  // it is delivered here
    _exit(128 + SIGSYS);
}

}  // namespace

void report_violations(void (*before_death)()) {
    last_act = before_death;
    struct sigaction action {};
    action.sa_sigaction = on_violation;
    action.sa_flags = SA_SIGINFO | static_cast<int>(SA_RESETHAND);
    sigemptyset(&action.sa_mask);
    sigaction(SIGSYS, &action, nullptr);
}

}  // namespace arclight::guestos::sandbox

#include "host/crash_report.h"

#include <dlfcn.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <utility>

#include "host/failure.h"
#include "host/memory_fault.h"
#include "host/signal_text.h"
#include "host/thread.h"
#include "host/translated_access.h"

namespace arclight::host {

namespace {

constexpr std::array kSignals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
constexpr unsigned kFrames = 16;

char identity[256], command[768];
struct sigaction before[NSIG];
std::atomic<pid_t> reporting{0};
std::atomic<bool> installed{false};
thread_local const CrashSite* elsewhere = nullptr;

// ---- The report. Nothing here may allocate, lock or use stdio.

const char* name_of(int signal) {
    switch (signal) {
        case SIGSEGV: return "SIGSEGV";
        case SIGBUS: return "SIGBUS";
        case SIGFPE: return "SIGFPE";
        case SIGILL: return "SIGILL";
        case SIGTRAP: return "SIGTRAP";
        default: return "SIGABRT";
    }
}

/// "0x7f.. libc.so.6+0x1234". _dl_find_object() takes no lock.
void write_address(SignalText& text, uint64_t address) {
    text.hex(address);
    dl_find_object found{};
    if (_dl_find_object(reinterpret_cast<void*>(address), &found) != 0) return;
    const char* path = found.dlfo_link_map != nullptr ? found.dlfo_link_map->l_name : "";
    std::string_view name = path != nullptr && *path != '\0' ? path : "arclight";
    name = name.substr(name.rfind('/') + 1);  // npos + 1 is 0
    text << " " << name << "+";
    text.hex(address - reinterpret_cast<uint64_t>(found.dlfo_map_start));
}

struct Walk {
    SignalText& text;
    uint64_t pc;  ///< of the fault: what is above are the handler's own frames
    bool reached = false;
    unsigned count = 0;
};

_Unwind_Reason_Code on_frame(_Unwind_Context* context, void* argument) {
    auto& walk = *static_cast<Walk*>(argument);
    const uint64_t pc = _Unwind_GetIP(context);
    if (pc == walk.pc) {
        walk.reached = true;
        return _URC_NO_REASON;
    }
    if (!walk.reached) return _URC_NO_REASON;
    if (pc == 0 || walk.count == kFrames) return _URC_END_OF_STACK;
    walk.text << "arclight:   #" << int64_t{++walk.count} << " ";
    write_address(walk.text, pc);
    walk.text << "\n";
    walk.text.flush();
    return _URC_NO_REASON;
}

void report(int signal, const siginfo_t& info, const ucontext_t& context) {
    const auto pc = static_cast<uint64_t>(context.uc_mcontext.gregs[REG_RIP]);
    SignalText text;
    text << "\narclight: this is a fault of Arclight itself, not of the guest or of what was asked for. "
            "Please report it with these lines:\n"
         << "arclight:   " << identity << "\n"
         << "arclight:   command: " << command << "\n"
         << "arclight:   " << name_of(signal) << " (code " << int64_t{info.si_code} << ") in thread '"
         << thread_name() << "'";
    if (info.si_code > 0) (text << ", address ").hex(reinterpret_cast<uint64_t>(info.si_addr));
    text << "\narclight:   #0 ";
    write_address(text, pc);
    text << "\n";
    text.flush();
    Walk walk{text, pc};
    _Unwind_Backtrace(on_frame, &walk);
}

/// The unwinder goes on from where a handler's context says that the thread was.
void report_elsewhere(const CrashSite& site, ucontext_t& context) {
    auto& registers = context.uc_mcontext.gregs;
    const auto here = std::to_array(registers);
    const auto put = [&](int number, uint64_t value) { registers[number] = static_cast<greg_t>(value); };
    put(REG_RIP, site.pc), put(REG_RSP, site.sp), put(REG_RBP, site.rbp), put(REG_RBX, site.rbx);
    put(REG_R12, site.r12), put(REG_R13, site.r13), put(REG_R14, site.r14), put(REG_R15, site.r15);
    siginfo_t info{};
    info.si_code = 1;  // the first cause of each signal
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a register is a number
    info.si_addr = reinterpret_cast<void*>(site.address);
    report(site.signal, info, context);
    std::ranges::copy(here, registers);
}

// ---- The handler

void restore_disposition(int signal) { sigaction(signal, &before[signal], nullptr); }

/// Dies by the signal, or returns so that the faulting instruction does it: a core file shows the place.
void die_by(int signal, bool fault) {
    restore_disposition(signal);
    if (fault) return;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    syscall(SYS_tgkill, getpid(), gettid(), signal);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    _exit(128 + signal);  // process 1 of a container survives a signal that it sends itself
}

void on_signal(int signal, siginfo_t* info, void* argument) {
    auto& context = *static_cast<ucontext_t*>(argument);
    const bool fault = info->si_code > 0;  // by an instruction, not by kill(2)
    greg_t* const registers = context.uc_mcontext.gregs;
    if ((signal == SIGBUS || (signal == SIGSEGV && info->si_code == SEGV_ACCERR)) && fault) {
        auto pc = static_cast<uint64_t>(registers[REG_RIP]), sp = static_cast<uint64_t>(registers[REG_RSP]);
        constexpr greg_t kWrite = 2;  // of a page fault's error code (SDM vol. 3, 4.7)
        const bool write = (registers[REG_ERR] & kWrite) != 0;
        if (signal == SIGBUS ? handle_memory_fault(info->si_addr, write, &pc, &sp)
                             : handle_withheld_fault(info->si_addr, write, &pc, &sp)) {
            registers[REG_RIP] = static_cast<greg_t>(pc);
            registers[REG_RSP] = static_cast<greg_t>(sp);
            return;
        }
    }
    if ((signal == SIGSEGV || signal == SIGBUS) && fault) {
        auto pc = static_cast<uint64_t>(registers[REG_RIP]);
        // A general protection or stack fault (SI_KERNEL) has no address.
        const void* const address = info->si_code == SI_KERNEL ? nullptr : info->si_addr;
        if (handle_translated_access(address, &pc)) {
            registers[REG_RIP] = static_cast<greg_t>(pc);
            return;
        }
    }
    const CrashSite* const site = std::exchange(elsewhere, nullptr);
    pid_t nobody = 0;
    if (!reporting.compare_exchange_strong(nobody, gettid())) {
        // A crash of the report itself, or of another thread, which waits for the end.
        if (nobody == gettid()) return die_by(signal, fault);
        for (;;) poll(nullptr, 0, -1);
    }
    carry_out_crash_acts();
    if (site != nullptr) {
        report_elsewhere(*site, context);
        reporting = 0;
        return;
    }
    if (!fault && info->si_pid != getpid()) {
        SignalText text;
        text << "\narclight: ended by " << name_of(signal) << ", which process " << int64_t{info->si_pid}
             << " sent\n";
        text.flush();
    } else {
        report(signal, *info, context);
    }
    die_by(signal, fault);
}

// ---- Set-up

void copy(char* to, size_t room, const std::string& text) {
    const size_t count = std::min(room - 1, text.size());
    std::memcpy(to, text.data(), count);
    to[count] = '\0';
}

_Unwind_Reason_Code on_first_frame(_Unwind_Context*, void*) { return _URC_END_OF_STACK; }

}  // namespace

void report_crashes(const std::string& version, int argc, char** argv) {
    static const SignalStack main_stack;
    utsname host{};
    uname(&host);
    copy(identity, sizeof identity, "arclight " + version + " on " + host.sysname + " " + host.release);
    std::string words;
    for (int i = 0; i < argc; ++i) words += (i == 0 ? "" : " ") + std::string(argv[i]);
    for (char& c : words)
        if (static_cast<unsigned char>(c) < ' ') c = ' ';
    copy(command, sizeof command, words);
    // What the unwinder does at its first use only, it does here and not in a handler.
    _Unwind_Backtrace(on_first_frame, nullptr);
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    for (const int fault : kSignals)
        sigdelset(&action.sa_mask, fault);  // a blocked fault kills without a report
    for (const int signal : kSignals) sigaction(signal, &action, &before[signal]);
    installed = true;
}

void report_crash_at(const CrashSite& site) {
    if (!installed) return;
    elsewhere = &site;
    syscall(SYS_tgkill, getpid(), gettid(), site.signal);
}

}  // namespace arclight::host

#include "backend/kvm/processor_thread.h"

#include <asm/prctl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <system_error>
#include <utility>

#include "host/crash_report.h"
#include "host/memory_fault.h"
#include "jit/guest_state.h"
#include "jit/memory_operand.h"

namespace arclight::backend::kvm {

namespace {
constexpr size_t kStackBytes = size_t{8} << 20, kGuardBytes = 4096;
constexpr uint64_t kFlagsAlwaysSet = 2;
/// Nothing interrupts the machine inside, but Bochs leaves one for an interrupt of its host only if IF is set.
constexpr uint64_t kFlagsOfRing3 = kFlagsAlwaysSet | 1 << 9;
constexpr uint16_t kSyscallInstruction = 0x050f;
/// What Linux 6.8 added to KVM's interface: KVM_EXIT_MEMORY_FAULT, which KVM_RUN reports with EFAULT.
constexpr uint32_t kExitMemoryFault = 39;
struct MemoryFault {
    uint64_t flags, gpa, size;
};
/// In place of a system call's number: nothing is to be done outside.
constexpr uint64_t kNothing = ~uint64_t{0};
/// Of a page fault's error code (SDM vol. 3, 4.7).
constexpr uint64_t kFaultOfPresentPage = 1, kFaultOfFetch = 1 << 4;

uint8_t* map_stack() {
    void* p = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    if (p == MAP_FAILED)
        throw std::system_error(errno, std::generic_category(), "cannot map a virtual processor's stack");
    mprotect(p, kGuardBytes, PROT_NONE);
    return static_cast<uint8_t*>(p);
}

/// System calls that would change the thread's context outside instead of the context inside.
bool changes_the_thread(uint64_t number) {
    switch (number) {
        case SYS_clone:
        case SYS_clone3:
        case SYS_fork:
        case SYS_vfork:
        case SYS_execve:
        case SYS_execveat:
        case SYS_rt_sigreturn:
        case SYS_sigaltstack:
        case SYS_arch_prctl:
        case SYS_exit: return true;
        default: return false;
    }
}

/// The thread inside may be about to read errno, which is the same variable outside.
class KeepErrno {
  public:
    KeepErrno() = default;
    ~KeepErrno() { errno = inside_; }
    KeepErrno(const KeepErrno&) = delete;
    KeepErrno& operator=(const KeepErrno&) = delete;

  private:
    const int inside_ = errno;
};

/// Without libc's errno. Zero or a negative error number.
long run_processor(int fd) {
    long result;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(SYS_ioctl), "D"(fd), "S"(KVM_RUN), "d"(0)
                 : "rcx", "r11", "memory");
    return result;
}

uint64_t call_host(const kvm_regs& r) {
    uint64_t result;
    register uint64_t r10 asm("r10") = r.r10;
    register uint64_t r8 asm("r8") = r.r8;
    register uint64_t r9 asm("r9") = r.r9;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(r.rax), "D"(r.rdi), "S"(r.rsi), "d"(r.rdx), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}

/// The signal that the host's kernel sends for an exception (SDM vol. 3, table 6-1).
int signal_of(uint64_t vector) {
    constexpr uint64_t kDivide = 0, kDebug = 1, kBreakpoint = 3, kFloat = 16, kAlignment = 17,
                       kSimdFloat = 19;
    switch (vector) {
        case kDivide:
        case kFloat:
        case kSimdFloat: return SIGFPE;
        case kDebug:
        case kBreakpoint: return SIGTRAP;
        case kInvalidOpcode: return SIGILL;
        case kAlignment: return SIGBUS;
        default: return SIGSEGV;
    }
}

/// Reads two bytes; false if they are not mapped.
bool read_code(uint64_t address, uint16_t& out) {
    unsigned char resident[2];
    const uint64_t page = address & ~uint64_t{4095};
    if (address >= ProcessMap::kEnd ||
        mincore(reinterpret_cast<void*>(page), (address + 2) - page, resident) != 0)
        return false;
    std::memcpy(&out, reinterpret_cast<const void*>(address), 2);
    return true;
}
}  // namespace

std::string stop_reason(const kvm_run& run, uint64_t rip) {
    switch (run.exit_reason) {
        case KVM_EXIT_SHUTDOWN:
            return fmt::format("the virtual machine stopped with a triple fault, at {:#x}", rip);
        case KVM_EXIT_INTERNAL_ERROR:
            return fmt::format("KVM cannot run the virtual machine (internal error {}, at {:#x})",
                               run.internal.suberror, rip);
        case KVM_EXIT_FAIL_ENTRY:
            return fmt::format("KVM cannot enter the virtual machine (reason {:#x})",
                               uint64_t{run.fail_entry.hardware_entry_failure_reason});
        case KVM_EXIT_MMIO:
            return fmt::format(
                "the virtual machine touched physical memory that it does not have, {:#x}, at {:#x}",
                uint64_t{run.mmio.phys_addr}, rip);
        default: return fmt::format("the virtual machine stopped (exit {}, at {:#x})", run.exit_reason, rip);
    }
}

ProcessorThread::ProcessorThread(Processor processor, Arena& arena, ProcessMap& process, bool native,
                                 CodeRange code, FastmemFaultFn handler, Table* root)
    : processor_(std::move(processor)),
      kvm_counters_(processor_.fd()),
      arena_(arena),
      process_(process),
      native_(native),
      code_(code),
      handler_(handler),
      root_(root),
      ring0_(arena, native, code, handler),
      stack_(map_stack()) {}

ProcessorThread::~ProcessorThread() { munmap(stack_, kStackBytes); }

Result<std::unique_ptr<ProcessorThread>> ProcessorThread::create(VirtualMachine& vm, Arena& arena,
                                                                 ProcessMap& process, bool native,
                                                                 CodeRange code, FastmemFaultFn handler) {
    auto root = process.add_root();
    if (!root) return std::unexpected(root.error());
    auto processor = vm.create_processor();
    if (!processor) return std::unexpected(processor.error());
    std::unique_ptr<ProcessorThread> thread(
        new ProcessorThread(std::move(*processor), arena, process, native, code, handler, *root));
    thread->cr4_features_ = vm.cr4_features();
    if (native) {
        const Ring0& ring0 = thread->ring0_;
        if (auto set = thread->processor_.set_system_call(ring0.system_call(), Ring0::kKernelCode,
                                                          Ring0::kSysretBase);
            !set)
            return std::unexpected(set.error());
    }
    for (const uint64_t page : thread->ring0_.code_pages())
        if (auto added = process.add_code(page, 1); !added) return std::unexpected(added.error());
    return thread;
}

// ---- Inside

void ProcessorThread::inside_main(ProcessorThread* self) {
    (*self->body_)();
    self->call_outside(Service::Return, 0, 0);
}

void ProcessorThread::call_outside(Service service, uint64_t argument, uint64_t argument2) {
    reinterpret_cast<void (*)(Service, uint64_t, uint64_t)>(ring0_.leave())(service, argument, argument2);
}

/// By a system call, which is one exit where ring 0 is native. KVM intercepts invalid opcodes, too.
void ProcessorThread::leave_once() const {
    if (outside_) return;
    uint64_t number = kNothing;
    asm volatile("syscall" : "+a"(number) : : "rcx", "r11", "memory");
}

void ProcessorThread::invalidate(std::span<const uint64_t> pages) {
    const uint64_t count = pages.size() <= Ring0::kMaxPages ? pages.size() : 0;
    if (native_) {
        ring0_.invalidate_inside()(pages.data(), count);
    } else {
        call_outside(Service::Invalidate, reinterpret_cast<uint64_t>(pages.data()), count);
    }
}

// ---- Outside

Result<void> ProcessorThread::run(const std::function<void()>& body) {
    body_ = &body;
    uint64_t fs_base = 0;
    if (syscall(SYS_arch_prctl, ARCH_GET_FS, &fs_base) != 0)
        return std::unexpected(fmt::format("arch_prctl: {}", strerror(errno)));
    kvm_run& run = processor_.run();
    kvm_regs& regs = processor_.regs();
    regs = {};
    // As after a call: 8 less than a multiple of 16. The return address is never used.
    regs.rsp = reinterpret_cast<uint64_t>(stack_ + kStackBytes) - 64 - 8;
    regs.rip = reinterpret_cast<uint64_t>(&ProcessorThread::inside_main);
    regs.rdi = reinterpret_cast<uint64_t>(this);
    regs.rflags = kFlagsOfRing3;
    ring0_.load(processor_.sregs(), arena_, root_, fs_base, cr4_features_);
    run.kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
    for (;;) {
        if (auto entered = enter(); !entered) return entered;
        const KeepErrno keep;
        auto going_on = handle_exit();
        if (!going_on) return std::unexpected(going_on.error());
        if (!*going_on) return {};
    }
}

/// Runs until the next exit other than an interruption by a signal.
Result<void> ProcessorThread::enter() {
    const auto run = [this] {
        outside_ = false;
        const long error = run_processor(processor_.fd());
        outside_ = true;
        return error;
    };
    while (const long error = run()) {
        const KeepErrno keep;
        processor_.run().kvm_dirty_regs = 0;
        if (error == -EINTR || error == -EAGAIN) {
            ++counts_.interrupted;
            if (on_interrupted_ != nullptr) on_interrupted_(processor_.regs().rip);
            continue;
        }
        if (error == -EFAULT && recover_refused_access()) continue;
        return std::unexpected(
            fmt::format("the virtual machine touched memory that the process does not have, at {:#x} ({})",
                        processor_.regs().rip, strerror(static_cast<int>(-error))));
    }
    processor_.run().kvm_dirty_regs = 0;
    return {};
}

/// Where in the process the address inside leads, by the machine's own tables, which may be those of fastmem. 0: nowhere.
uint64_t ProcessorThread::place_of(uint64_t address) const {
    const Table* table = root_;
    for (unsigned level = 3;; --level) {
        const uint64_t entry = table[table_index(address, level)];
        if ((entry & kPresent) == 0) return 0;
        if (level != 0 && (level == 3 || (entry & kLarge) == 0)) {
            table = arena_.at(entry & kAddressMask);
            continue;
        }
        const uint64_t offset = (uint64_t{1} << (12 + 9 * level)) - 1;
        return process_.address_of((entry & kAddressMask & ~offset) | (address & offset)).value_or(0);
    }
}

/// KVM_RUN has failed because the host has no memory for an access. The instruction says to which address; Linux 6.8 and later
/// tell the page.
std::array<ProcessorThread::RefusedAccess, 2> ProcessorThread::refused_accesses() {
    const kvm_regs& r = processor_.regs();
    // In the order of their numbers in instructions.
    const std::array<uint64_t, 16> registers{r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi,
                                             r.r8,  r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15};
    std::array<RefusedAccess, 2> found{};
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a register is a number
    const auto operands = jit::memory_operands(reinterpret_cast<const uint8_t*>(r.rip), registers);
    for (size_t k = 0; k < operands.size(); ++k)
        if (operands[k].address != 0)
            found[k] = {operands[k].address, place_of(operands[k].address), operands[k].write};
    // Of an access across two pages the second one may be meant.
    MemoryFault fault{};
    const kvm_run& run = processor_.run();
    if (run.exit_reason != kExitMemoryFault) return found;
    std::memcpy(&fault, &run.hw, sizeof fault);
    const auto page = process_.address_of(fault.gpa);
    if (!page) return found;
    for (RefusedAccess& access : found)
        if (access.place != 0 &&
            (access.place >> 12 == *page >> 12 || (access.place >> 12) + 1 == *page >> 12)) {
            if (access.place >> 12 != *page >> 12) access.place = *page;
            return {access};
        }
    return {RefusedAccess{.place = *page, .write = true}};
}

/// False: the access is neither to memory that may go away nor to what LightV withholds.
bool ProcessorThread::recover_refused_access() {
    using Answer = host::WithheldMemory::Answer;
    ++counts_.refused;
    kvm_regs& regs = processor_.regs();
    const auto accesses = refused_accesses();
    const RefusedAccess* withheld = nullptr;
    for (const RefusedAccess& access : accesses) {
        if (access.place == 0) continue;
        // NOLINTNEXTLINE(performance-no-int-to-ptr): a register is a number
        const auto answer = host::ask_withheld(reinterpret_cast<const void*>(access.place), access.write);
        if (answer == Answer::Opened) return true;
        if (answer == Answer::Permitted) {
            // Once more; but what is permitted and fails again is gone.
            const std::pair<uint64_t, uint64_t> here(regs.rip, access.place);
            if (std::exchange(last_permitted_, here) != here) return true;
            last_permitted_ = {};
        }
        if (answer == Answer::Refused) withheld = &access;
    }
    // What nobody knows may be withheld, and may be gone.
    const bool may_be_withheld = withheld != nullptr || (accesses[0].place == 0 && host::any_withheld());
    if (const auto landing = host::continuation()) {
        if (may_be_withheld) host::note_withheld();
        regs.rip = landing->pc;
        regs.rsp = landing->sp;
    } else {
        const void* next = nullptr;
        if (handler_ != nullptr && code_.contains(regs.rip))
            // NOLINTNEXTLINE(performance-no-int-to-ptr): a register is a number
            next = handler_(reinterpret_cast<const void*>(regs.rip), accesses[0].address);
        if (next == nullptr) return withheld == nullptr && host::lend_lost_pages();
        regs.rip = reinterpret_cast<uint64_t>(next);
    }
    processor_.run().kvm_dirty_regs = KVM_SYNC_X86_REGS;
    return true;
}

/// The end: an exception that nobody handles. `why` is put behind what is known of it.
std::unexpected<std::string> ProcessorThread::crash(const ExceptionFrame& frame, const std::string& why) {
    const kvm_regs& regs = processor_.regs();
    host::report_crash_at({.signal = signal_of(frame.vector),
                           .address = frame.vector == kPageFault ? frame.cr2 : frame.rip,
                           .pc = frame.rip,
                           .sp = frame.rsp,
                           .rbp = regs.rbp,
                           .rbx = regs.rbx,
                           .r12 = regs.r12,
                           .r13 = regs.r13,
                           .r14 = regs.r14,
                           .r15 = regs.r15});
    return std::unexpected(fmt::format("exception {} (error {:#x}) at {:#x}, address {:#x}{}", frame.vector,
                                       frame.error, frame.rip, frame.cr2, why));
}

Result<bool> ProcessorThread::handle_exit() {
    kvm_run& run = processor_.run();
    if (run.exit_reason == KVM_EXIT_IO && run.io.port == static_cast<uint16_t>(Port::SystemCall)) {
        kvm_regs& regs = processor_.regs();
        regs.rax = carry_out_system_call(regs);
        regs.rip = ring0_.return_from_system_call();
        run.kvm_dirty_regs = KVM_SYNC_X86_REGS;
        return true;
    }
    if (run.exit_reason == KVM_EXIT_IO && run.io.port == static_cast<uint16_t>(Port::Exception))
        return handle_exception(*reinterpret_cast<ExceptionFrame*>(processor_.regs().rsp));
    return std::unexpected(stop_reason(run, processor_.regs().rip));
}

/// False if the body has ended.
Result<bool> ProcessorThread::handle_exception(ExceptionFrame& frame) {
    kvm_regs& regs = processor_.regs();
    uint16_t code = 0;
    switch (frame.vector) {
        case kInvalidOpcode:
            if (frame.rip == ring0_.leave()) {
                if (static_cast<Service>(regs.rdi) == Service::Return) return false;
                ++counts_.invalidations;
                ExceptionFrame saved = frame;
                const kvm_regs saved_regs = regs;
                if (auto done = run_ring0(ring0_.invalidate_outside(), regs.rsi, regs.rdx); !done)
                    return std::unexpected(done.error());
                regs = saved_regs;
                frame = saved;
                frame.rip += 2;  // past the ud2
                resume(frame);
                return true;
            }
            if (read_code(frame.rip, code) && code == kSyscallInstruction) {
                system_call(frame, frame.rip + 2);
                return true;
            }
            break;
        case kPageFault: {
            // On a paravirtual /dev/kvm SYSCALL arrives as a jump to its entry point, which is 0, with RCX
            // and R11 as the instruction sets them.
            if (frame.rip == 0 && read_code(regs.rcx - 2, code) && code == kSyscallInstruction) {
                frame.rflags = regs.r11;
                system_call(frame, regs.rcx);
                return true;
            }
            // Code that is executed for the first time.
            constexpr uint64_t kNotExecutable = kFaultOfPresentPage | kFaultOfFetch;
            if ((frame.error & kNotExecutable) == kNotExecutable) {
                if (!process_.add_code_of_program(frame.cr2)) return crash(frame);
                ++counts_.first_touches;
                resume(frame);
                return true;
            }
            // A present page that ring 3 may not access stays protected.
            if (code_.contains(frame.rip) || (frame.error & kFaultOfPresentPage) != 0) break;
            ++counts_.first_touches;
            if (auto added = process_.add(frame.cr2); !added) return crash(frame, "; " + added.error());
            resume(frame);
            return true;
        }
        default: break;
    }
    // A paravirtual kernel emulates an access to a non-canonical address, and reports an invalid opcode if it
    // cannot. Translated code contains no invalid opcodes, so the handler decides.
    if (handler_ != nullptr && code_.contains(frame.rip)) {
        ++counts_.fastmem_faults;
        // NOLINTNEXTLINE(performance-no-int-to-ptr): a register is a number
        const void* next = handler_(reinterpret_cast<const void*>(frame.rip), frame.cr2);
        if (next != nullptr) {
            frame.rip = reinterpret_cast<uint64_t>(next);
            resume(frame);
            return true;
        }
    }
    return crash(frame);
}

uint64_t ProcessorThread::carry_out_system_call(const kvm_regs& regs) {
    if (regs.rax == kNothing) {
        ++counts_.asked_for;
        return 0;
    }
    ++counts_.system_calls;
    ++counts_.system_call[regs.rax & 511];
    return changes_the_thread(regs.rax) ? static_cast<uint64_t>(-ENOSYS) : call_host(regs);
}

/// One that has trapped.
void ProcessorThread::system_call(ExceptionFrame& frame, uint64_t next) {
    kvm_regs& regs = processor_.regs();
    regs.rax = carry_out_system_call(regs);
    regs.rcx = next;
    regs.r11 = frame.rflags;
    frame.rip = next;
    resume(frame);
}

/// Returns to ring 3 as the exception's frame says.
void ProcessorThread::resume(ExceptionFrame& frame) {
    processor_.regs().rip = ring0_.return_to_user();
    processor_.regs().rsp = reinterpret_cast<uint64_t>(&frame.rip);
    processor_.regs().rflags = kFlagsAlwaysSet;
    processor_.run().kvm_dirty_regs = KVM_SYNC_X86_REGS;
}

/// Runs a stub that ends with Port::Done. The processor is in ring 0.
Result<void> ProcessorThread::run_ring0(uint64_t rip, uint64_t rdi, uint64_t rsi) {
    kvm_regs& regs = processor_.regs();
    regs.rip = rip;
    regs.rdi = rdi;
    regs.rsi = rsi;
    regs.rsp = ring0_.stack_top();
    regs.rflags = kFlagsAlwaysSet;
    processor_.run().kvm_dirty_regs = KVM_SYNC_X86_REGS;
    if (auto entered = enter(); !entered) return entered;
    if (processor_.run().exit_reason != KVM_EXIT_IO ||
        processor_.run().io.port != static_cast<uint16_t>(Port::Done))
        return std::unexpected(fmt::format("ring 0 stopped with exit {}", processor_.run().exit_reason));
    return {};
}

Result<double> ProcessorThread::time_ring0(uint64_t count) {
    const auto now = [] {
        timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
    };
    // After run() the processor is still in ring 0, where the last exception left it.
    const double start = now();
    if (auto done = run_ring0(ring0_.spin_outside(), 0, 1 + count / 2); !done)
        return std::unexpected(done.error());
    return now() - start;
}

}  // namespace arclight::backend::kvm

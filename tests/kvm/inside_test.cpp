// What C++ may do inside the virtual machine, which is: everything but change its own thread.
#include <fcntl.h>
#include <fmt/format.h>
#include <immintrin.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "host/crash_report.h"
#include "host/process_time.h"
#include "tests/kvm/machine.h"

namespace arclight::backend::kvm::testing {
namespace {

using Inside = KvmTest;

thread_local int thread_value = 5;

TEST_F(Inside, ComputesAndAllocates) {
    std::map<int, std::string> made;
    double sum = 0;
    EXPECT_EQ(run([&] {
                  for (int i = 0; i < 1000; ++i) made[i] = std::string(static_cast<size_t>(i), 'x');
                  std::vector<double> v(100'000);
                  std::iota(v.begin(), v.end(), 0.5);
                  sum = std::accumulate(v.begin(), v.end(), 0.0);
              }),
              "");
    EXPECT_EQ(made.size(), 1000u);
    EXPECT_EQ(made[999], std::string(999, 'x'));
    EXPECT_EQ(sum, 100'000.0 * 100'000 / 2);
}

TEST_F(Inside, RunsManyTimesOnOneProcessor) {
    ProcessorThread& p = processor();
    int n = 0;
    for (int i = 0; i < 50; ++i) {
        const auto ran = p.run([&] { n += i; });
        ASSERT_TRUE(ran) << ran.error();
    }
    EXPECT_EQ(n, 49 * 50 / 2);
}

[[gnu::noinline]] int throw_deep(int depth) {
    if (depth == 0) throw std::runtime_error("from the depth");
    return throw_deep(depth - 1) + 1;
}

TEST_F(Inside, ThrowsAndCatches) {
    std::string caught;
    EXPECT_EQ(run([&] {
                  try {
                      throw_deep(100);
                  } catch (const std::exception& e) {
                      caught = e.what();
                  }
              }),
              "");
    EXPECT_EQ(caught, "from the depth");
}

TEST_F(Inside, ThreadLocalsAndThreadAreTheCallers) {
    thread_value = 6;
    int seen = 0;
    pthread_t self{};
    pid_t tid = 0;
    EXPECT_EQ(run([&] {
                  seen = thread_value;
                  thread_value = 7;
                  self = pthread_self();
                  tid = static_cast<pid_t>(syscall(SYS_gettid));
              }),
              "");
    EXPECT_EQ(seen, 6);
    EXPECT_EQ(thread_value, 7);
    EXPECT_TRUE(pthread_equal(self, pthread_self()));
    EXPECT_EQ(tid, gettid());
}

TEST_F(Inside, SystemCallsArriveAndReturn) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    char got[6] = {};
    long bad = 0;
    int error = 0;
    EXPECT_EQ(run([&] {
                  EXPECT_EQ(write(ends[1], "hello", 5), 5);
                  EXPECT_EQ(read(ends[0], got, 5), 5);
                  bad = write(-1, "x", 1);
                  error = errno;
              }),
              "");
    EXPECT_STREQ(got, "hello");
    EXPECT_EQ(bad, -1);
    EXPECT_EQ(error, EBADF);
    // Six arguments.
    void* p = MAP_FAILED;
    EXPECT_EQ(
        run([&] { p = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }),
        "");
    ASSERT_NE(p, MAP_FAILED);
    std::memset(p, 1, 8192);
    munmap(p, 8192);
    close(ends[0]);
    close(ends[1]);
}

TEST_F(Inside, WaitsForAndWakesAThreadOutside) {
    std::mutex lock;
    std::condition_variable changed;
    int turn = 0;
    constexpr int kHandovers = 100;
    std::thread outside([&] {
        for (int i = 1; i < kHandovers; i += 2) {
            std::unique_lock guard(lock);
            changed.wait(guard, [&] { return turn == i; });
            ++turn;
            changed.notify_all();
        }
    });
    EXPECT_EQ(run([&] {
                  for (int i = 0; i < kHandovers; i += 2) {
                      std::unique_lock guard(lock);
                      changed.wait(guard, [&] { return turn == i; });
                      ++turn;
                      changed.notify_all();
                  }
              }),
              "");
    outside.join();
    EXPECT_EQ(turn, kHandovers);
}

TEST_F(Inside, AContendedMutexExcludes) {
    std::mutex lock;
    uint64_t counter = 0;
    constexpr int kRounds = 20'000;
    const auto work = [&] {
        for (int i = 0; i < kRounds; ++i) {
            const std::lock_guard guard(lock);
            ++counter;
        }
    };
    std::thread outside(work);
    EXPECT_EQ(run(work), "");
    outside.join();
    EXPECT_EQ(counter, 2u * kRounds);
}

TEST_F(Inside, TwoProcessorsAtOnce) {
    ProcessorThread &a = processor(), &b = processor();
    std::atomic<int> arrived = 0;
    std::atomic<uint64_t> sum = 0;
    const auto body = [&] {
        ++arrived;
        while (arrived < 2) sched_yield();
        for (unsigned i = 0; i < 100'000; ++i) sum.fetch_add(i, std::memory_order_relaxed);
    };
    std::string error;
    std::thread other([&] {
        if (const auto ran = b.run(body); !ran) error = ran.error();
    });
    const auto ran = a.run(body);
    EXPECT_TRUE(ran) << ran.error();
    other.join();
    EXPECT_EQ(error, "");
    EXPECT_EQ(sum, 2 * (uint64_t{99'999} * 100'000 / 2));
}

[[gnu::target("avx512f"), gnu::noinline]] bool keep_avx512() {
    alignas(64) uint64_t out[8];
    __m512i v = _mm512_set_epi64(1, 2, 3, 4, 5, 6, 7, 8);
    long r;
    // With a system call while the registers hold something.
    asm volatile(
        "vmovdqa64 %2, %%zmm30\n vmovdqa64 %2, %%zmm1\n mov %3, %%eax\n syscall\n vpaddq %%zmm30, %%zmm1, "
        "%%zmm2\n"
        "vmovdqa64 %%zmm2, %1"
        : "=&a"(r), "=m"(*reinterpret_cast<uint64_t(*)[8]>(out))
        : "v"(v), "i"(SYS_getppid)
        : "rcx", "r11", "xmm1", "xmm2", "memory");
    for (unsigned i = 0; i < 8; ++i)
        if (out[i] != 2 * (8 - i)) return false;
    return true;
}

TEST_F(Inside, VectorRegistersSurviveExits) {
    uint64_t out[4] = {};
    EXPECT_EQ(run([&] {
                  const __m256i v = _mm256_set_epi64x(4, 3, 2, 1);
                  long r;
                  asm volatile(
                      "vmovdqa %2, %%ymm13\n mov %3, %%eax\n syscall\n vpaddq %%ymm13, %%ymm13, %%ymm2\n "
                      "vmovdqu %%ymm2, %1"
                      : "=&a"(r), "=m"(out)
                      : "x"(v), "i"(SYS_getppid)
                      : "rcx", "r11", "xmm2", "xmm13", "memory");
              }),
              "");
    EXPECT_EQ(out[0], 2u);
    EXPECT_EQ(out[3], 8u);
    if (!__builtin_cpu_supports("avx512f")) return;
    bool kept = false;
    EXPECT_EQ(run([&] { kept = keep_avx512(); }), "");
    EXPECT_TRUE(kept);
}

TEST_F(Inside, GeneralRegistersAndFlagsSurviveExits) {
    bool same = false;
    EXPECT_EQ(run([&] {
                  uint64_t rbx, rdx, r12, r15, carry;
                  asm volatile(
                      "mov $0x1111, %%rbx\n mov $0x2222, %%rdx\n mov $0x3333, %%r12\n mov $0x4444, %%r15\n "
                      "mov %5, %%eax\n"
                      "stc\n syscall\n setc %b4\n movzx %b4, %4\n mov %%rbx, %0\n mov %%rdx, %1\n mov %%r12, "
                      "%2\n mov %%r15, %3"
                      : "=&r"(rbx), "=&r"(rdx), "=&r"(r12), "=&r"(r15), "=&q"(carry)
                      : "i"(SYS_getppid)
                      : "rax", "rbx", "rcx", "rdx", "r11", "r12", "r15", "cc", "memory");
                  same = rbx == 0x1111 && rdx == 0x2222 && r12 == 0x3333 && r15 == 0x4444 && carry == 1;
              }),
              "");
    EXPECT_TRUE(same);
}

TEST_F(Inside, ClocksAgreeAndCostNoExit) {
    using Clock = std::chrono::steady_clock;
    ProcessorThread& p = processor();
    Clock::time_point first, last;
    uint64_t tsc = 0;
    const Clock::time_point before = Clock::now();
    const uint64_t tsc_before = __rdtsc();
    const auto ran = p.run([&] {
        tsc = __rdtsc();
        first = last = Clock::now();
        for (int i = 0; i < 1000; ++i) {
            const Clock::time_point now = Clock::now();
            EXPECT_GE(now, last);
            last = now;
        }
    });
    ASSERT_TRUE(ran) << ran.error();
    EXPECT_GE(first, before);
    EXPECT_LE(last, Clock::now());
    EXPECT_GE(tsc, tsc_before);
    EXPECT_LE(tsc, __rdtsc());
    if (the_probe().same_clock) {
        EXPECT_EQ(p.counts().system_call[SYS_clock_gettime], 0u);
    }
}

TEST_F(Inside, CallsThatChangeTheThreadAreRefused) {
    EXPECT_EQ(
        run([] {
            for (const long number : {SYS_clone, SYS_clone3, SYS_fork, SYS_vfork, SYS_execve, SYS_execveat,
                                      SYS_arch_prctl, SYS_sigaltstack, SYS_rt_sigreturn, SYS_exit}) {
                errno = 0;
                EXPECT_EQ(syscall(number, 0, 0, 0, 0, 0, 0), -1) << number;
                EXPECT_EQ(errno, ENOSYS) << number;
            }
        }),
        "");
}

void count_signal(int) {}

TEST_F(Inside, SignalsOfTheHostAreTakenOutside) {
    struct sigaction action {
    }, old;
    action.sa_handler = count_signal;
    sigaction(SIGUSR1, &action, &old);
    ProcessorThread& p = processor();
    std::atomic<bool> inside = false, stop = false;
    const pthread_t self = pthread_self();
    std::thread other([&] {
        while (!inside) sched_yield();
        for (int i = 0; i < 10; ++i) {
            pthread_kill(self, SIGUSR1);
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        stop = true;
    });
    // What a system call has said is not lost to the interruption before it is read.
    int error = 0;
    const auto ran = p.run([&] {
        (void)write(-1, "x", 1);
        inside = true;
        while (!stop) _mm_pause();
        error = errno;
    });
    other.join();
    sigaction(SIGUSR1, &old, nullptr);
    ASSERT_TRUE(ran) << ran.error();
    EXPECT_GE(p.counts().interrupted, 1u);
    EXPECT_EQ(error, EBADF);
}

TEST_F(Inside, MemoryThatAnotherThreadMapsIsSeen) {
    constexpr size_t kBytes = size_t{4} << 20;
    constexpr uint64_t kFar = 0x1200'0000'0000;  // in a GiB of its own
    std::atomic<uint8_t*> mapped = nullptr;
    std::atomic<int> step = 0;
    std::thread outside([&] {
        const auto wait = [&](int n) {
            while (step != n) sched_yield();
        };
        for (int i = 0; i < 2; ++i) {
            wait(2 * i);
            void* p = mmap(i == 0 ? nullptr : reinterpret_cast<void*>(kFar), kBytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            static_cast<uint8_t*>(p)[kBytes - 1] = 42;
            mapped = static_cast<uint8_t*>(p);
            ++step;
        }
        // The same place, other memory.
        wait(4);
        void* again =
            mmap(mapped, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        static_cast<uint8_t*>(again)[0] = 43;
        ++step;
    });
    EXPECT_EQ(run([&] {
                  for (int i = 0; i < 2; ++i) {
                      while (step != 2 * i + 1) sched_yield();
                      uint8_t* p = mapped;
                      EXPECT_EQ(p[kBytes - 1], 42);
                      EXPECT_EQ(p[0], 0);
                      for (size_t at = 0; at < kBytes; at += 4096) p[at] = 7;
                      ++step;
                  }
                  while (step != 5) sched_yield();
                  EXPECT_EQ(mapped.load()[0], 43);
                  EXPECT_EQ(mapped.load()[4096], 0);
              }),
              "");
    outside.join();
    munmap(mapped, kBytes);
}

// ---- What stops it. The error is one line that says where; the process and the machine go on.

class Stops : public KvmTest {
  protected:
    void stops(const std::function<void()>& body, const char* with) {
        const std::string error = run(body);
        EXPECT_NE(error.find(with), std::string::npos) << "\"" << error << "\" does not say " << with;
        EXPECT_EQ(error.find('\n'), std::string::npos);
        int after = 0;
        EXPECT_EQ(run([&] { after = 1; }), "");
        EXPECT_EQ(after, 1);
    }
    static void touch(uint64_t address) { *reinterpret_cast<volatile uint64_t*>(address) = 1; }
};

TEST_F(Stops, NothingMapped) {
    stops([] { touch(0x1234'5678'9ab8); }, "0x123456789ab8");
}
TEST_F(Stops, NullPointer) {
    stops([] { touch(0x18); }, "address 0x18");
}
TEST_F(Stops, TheKernelsHalf) {
    stops([] { touch(0xffff'8000'0000'0000); }, "0x");
}
TEST_F(Stops, NotCanonical) {
    stops([] { touch(0x8000'0000'0000'0000); }, "0x");
}
TEST_F(Stops, ReadOnlyMemory) {
    void* p = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(p, MAP_FAILED);
    stops([&] { touch(reinterpret_cast<uint64_t>(p)); }, "0x");
    munmap(p, 4096);
}
constexpr uint8_t kReturn = 0xc3;
void execute(const void* code) { reinterpret_cast<void (*)()>(reinterpret_cast<uintptr_t>(code))(); }

/// Errors of page faults (SDM vol. 3, 4.7): of ring 3, at a page that is there; fetching, or writing.
constexpr const char *kNotExecutable = "exception 14 (error 0x15)",
                     *kNotWritable = "exception 14 (error 0x7)";

TEST_F(Stops, DataIsNotExecuted) {
    auto* heap = static_cast<uint8_t*>(
        mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(heap, MAP_FAILED);
    *heap = kReturn;
    stops([&] { execute(heap); }, kNotExecutable);
    // What the host kernel lets be executed is not enough.
    ASSERT_EQ(mprotect(heap, 4096, PROT_READ | PROT_EXEC), 0);
    stops([&] { execute(heap); }, kNotExecutable);
    munmap(heap, 4096);
    static uint8_t data[] = {kReturn};
    stops([&] { execute(data); }, kNotExecutable);
    stops(
        [] {
            uint8_t stack[] = {kReturn};
            execute(stack);
        },
        kNotExecutable);
    stops([&] { execute(reinterpret_cast<void*>(arena_->base() + Arena::kSystemBytes)); }, kNotExecutable);
}
TEST_F(Stops, CodeIsNotWrittenTo) {
    stops([] { touch(reinterpret_cast<uint64_t>(&throw_deep)); }, kNotWritable);
}
/// Code that was made known is executed and not written to, and its neighbours are the other way round, in one large page and
/// over several.
TEST_F(Inside, OnlyWhatIsKnownToBeCodeIsExecuted) {
    constexpr size_t kLarge = size_t{2} << 20, kBytes = 4 * kLarge;
    auto* memory = static_cast<uint8_t*>(
        mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    ASSERT_NE(memory, MAP_FAILED);
    const auto known = [&](size_t from, size_t bytes) {
        ASSERT_TRUE(process_->add_code(reinterpret_cast<uint64_t>(memory) + from, bytes));
        for (const size_t at : {from, from + bytes / 2 / 4096 * 4096, from + bytes - 4096}) {
            memory[at] = kReturn;
            EXPECT_EQ(run([&] { execute(memory + at); }), "") << at;
            EXPECT_NE(run([&] { *static_cast<volatile uint8_t*>(memory + at) = kReturn; }).find(kNotWritable),
                      std::string::npos);
        }
        for (const size_t at : {from - 4096, from + bytes}) {
            EXPECT_EQ(run([&] { *static_cast<volatile uint8_t*>(memory + at) = kReturn; }), "") << at;
            EXPECT_NE(run([&] { execute(memory + at); }).find(kNotExecutable), std::string::npos) << at;
        }
    };
    known(0x5000, 0x1000);
    known(0x9000, 0x3000);
    known(kLarge - 0x3000, 2 * kLarge + 0x7000);
    munmap(memory, kBytes);
}
TEST_F(Stops, TheRingZeroPages) {
    stops([&] { touch(arena_->base()); }, fmt::format("address {:#x}", arena_->base()).c_str());
}
TEST_F(Stops, DivisionByZero) {
    stops([] { asm volatile("xor %%ecx, %%ecx\n div %%ecx" ::: "rax", "rcx", "rdx"); }, "exception 0 ");
}
TEST_F(Stops, UnknownInstruction) {
    stops([] { asm volatile("ud2"); }, "exception 6 ");
}
TEST_F(Stops, PrivilegedInstruction) {
    stops([] { asm volatile("mov %%cr3, %%rax" ::: "rax"); }, "exception 13 ");
}
TEST_F(Stops, StackOverflow) {
    stops(
        [] {
            asm volatile("mov %%rsp, %%rax\n 1: sub $4096, %%rax\n movq $0, (%%rax)\n jmp 1b" ::
                             : "rax", "memory");
        },
        "0x");
}

[[gnu::noinline]] int load_deep(int depth, const volatile int* from) {
    if (depth == 0) return *from;
    return load_deep(depth - 1, from) + 1;
}

// The machine says where it stopped, and the report what to send: with the stack inside.
TEST_F(Inside, ACrashIsReportedAsOneOutside) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const auto crash = [&] {
        char word[] = "arclight";
        char* words[] = {word};
        host::report_crashes("9.9", 1, words);
        const std::string error = run([] {
            // NOLINTNEXTLINE(performance-no-int-to-ptr): an address that nobody has
            const int value = load_deep(5, reinterpret_cast<const volatile int*>(uint64_t{0x10}));
            fmt::print(stderr, "{}", value);
        });
        fmt::print(stderr, "then: {}\n", error);
        _exit(7);
    };
    EXPECT_EXIT(crash(), ::testing::ExitedWithCode(7),
                "Please report it.*arclight 9.9 on .*command: arclight.*SIGSEGV .code 1. in thread .*, "
                "address 0x10\n.*"
                "#0 .*#1 .*#4 .*#5 .*then: exception 14 ");
}

/// Without descriptor tables no exception arrives, nor the one that says so.
TEST_F(Stops, TripleFault) {
    VirtualMachine vm = VirtualMachine::create().value();
    Arena arena(size_t{8} << 20);
    ProcessMap process(vm, arena);
    auto thread =
        ProcessorThread::create(vm, arena, process, the_probe().native_ring0, CodeRange{0, 12}, nullptr);
    ASSERT_TRUE(thread) << thread.error();
    int first = 0;
    ASSERT_TRUE((*thread)->run([&] { first = 1; }));
    std::memset(reinterpret_cast<void*>(arena.base()), 0, Arena::kSystemBytes);
    const auto ran = (*thread)->run([] { touch(0x18); });
    ASSERT_FALSE(ran);
    EXPECT_NE(ran.error().find("triple fault"), std::string::npos) << ran.error();
    EXPECT_EQ(first, 1);
    EXPECT_EQ(run([&] { first = 2; }), "") << "another machine goes on";
    EXPECT_EQ(first, 2);
}

/// The page tables that code inside can write lead to memory that the machine does not have.
TEST_F(Stops, PhysicalMemoryThatIsNotThere) {
    const auto stop = [&](const std::function<void(uint64_t)>& use) {
        ProcessorThread& p = processor();
        Table* table = p.root();
        unsigned entry = 1;
        while (table[entry] != 0) ++entry;
        const uint64_t address = uint64_t{entry} << 39;
        table = arena_->descend(table[entry]);
        table = arena_->descend(table[0]);
        table = arena_->descend(table[0]);
        const uint64_t far = uint64_t{1} << (vm_->physical_bits() - 2);
        table[0] = far | page_entry::kPresent | page_entry::kWritable | page_entry::kUser |
                   page_entry::kAccessed | page_entry::kDirty;
        const auto ran = p.run([&] { use(address); });
        EXPECT_FALSE(ran);
        return ran ? std::string() : ran.error();
    };
    for (const auto& error :
         {stop([](uint64_t a) { touch(a); }), stop([](uint64_t a) { reinterpret_cast<void (*)()>(a)(); })}) {
        // Fetched from nowhere, some hosts' bytes are an unknown instruction.
        EXPECT_TRUE(error.find("virtual machine") != std::string::npos || error.starts_with("exception 6 "))
            << error;
        EXPECT_EQ(error.find('\n'), std::string::npos);
    }
    int after = 0;
    EXPECT_EQ(run([&] { after = 1; }), "");
    EXPECT_EQ(after, 1);
}

TEST(StopReason, SaysWhatHappenedInOneLine) {
    const auto says = [](kvm_run& run, const char* with) {
        const std::string text = stop_reason(run, 0x1234);
        EXPECT_NE(text.find(with), std::string::npos) << text;
        EXPECT_EQ(text.find('\n'), std::string::npos);
    };
    const auto run = std::make_unique<kvm_run>();
    run->exit_reason = KVM_EXIT_SHUTDOWN;
    says(*run, "triple fault, at 0x1234");
    run->exit_reason = KVM_EXIT_FAIL_ENTRY;
    run->fail_entry.hardware_entry_failure_reason = 0x8000'0021;
    says(*run, "cannot enter the virtual machine (reason 0x80000021)");
    run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
    run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
    says(*run, "internal error 1, at 0x1234");
    run->exit_reason = KVM_EXIT_MMIO;
    run->mmio.phys_addr = 0x7000;
    says(*run, "does not have, 0x7000");
    run->exit_reason = KVM_EXIT_HLT;
    says(*run, "exit 5, at 0x1234");
}

// ---- Machines that cannot be made

TEST(NoMachine, DeviceMissingOrAnother) {
    const auto missing = VirtualMachine::create("/no/such/kvm");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error(), "/no/such/kvm cannot be opened: No such file or directory");
    const auto other = VirtualMachine::create("/dev/null");
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error(), "/dev/null speaks another version of its interface");
}

TEST_F(Inside, OutOfMemorySlots) {
    auto vm = VirtualMachine::create("/dev/kvm", 2);
    ASSERT_TRUE(vm) << vm.error();
    Arena arena(size_t{8} << 20);
    ProcessMap process(*vm, arena);
    auto thread =
        ProcessorThread::create(*vm, arena, process, the_probe().native_ring0, CodeRange{0, 12}, nullptr);
    ASSERT_TRUE(thread) << thread.error();
    const auto ran = (*thread)->run([] {});
    ASSERT_FALSE(ran);
    EXPECT_NE(ran.error().find("no memory slot left"), std::string::npos) << ran.error();
}

TEST(Probe, IsFastAndSaysWhy) {
    // CPU time: beside other work, the probe waits for a core.
    const auto cpu_ms = [] {
        return std::chrono::duration<double, std::milli>(host::process_time().cpu).count();
    };
    double best = 1e9;
    for (int i = 0; i < 5; ++i) {
        const double start = cpu_ms();
        const Probe p = probe();
        best = std::min(best, cpu_ms() - start);
        EXPECT_EQ(p.usable, p.why_not.empty());
        EXPECT_EQ(p.reason().starts_with("kvm: "), p.preferred());
        EXPECT_EQ(p.reason().find('\n'), std::string::npos);
    }
    // On the rig all of it is emulated.
    EXPECT_LT(best, getenv("ARCLIGHT_RIG") != nullptr ? 2000 : 50);
    RecordProperty("milliseconds", static_cast<int>(best));
    printf("%s; %.1f ms\n", the_probe().reason().c_str(), best);
    if (getenv("ARCLIGHT_RIG") != nullptr) {
        EXPECT_TRUE(the_probe().native_ring0) << the_probe().reason();
    }
}

// A host that is a virtual machine itself: all is native, and each exit goes by way of its hypervisor.
TEST(Probe, AnExitThatCostsHundredsOfSystemCallsIsTooDear) {
    Probe p{.usable = true, .native_ring0 = true, .exit_us = 1.6, .call_us = 0.1};
    EXPECT_TRUE(p.preferred());
    EXPECT_EQ(p.reason(), "kvm: ring 0 is native, an exit costs 1.6 us");
    p.exit_us = 40;
    EXPECT_FALSE(p.preferred());
    EXPECT_EQ(p.reason(), "process: /dev/kvm takes 40.0 us an exit, 400 times a system call");
    // All of it slow, as under an emulator.
    p.call_us = 3;
    EXPECT_TRUE(p.preferred());
    p.native_ring0 = false;
    EXPECT_FALSE(p.preferred());
}

}  // namespace
}  // namespace arclight::backend::kvm::testing

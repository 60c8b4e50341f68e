// What a program's exits cost, and what of the process's environment is the same inside.
#include <cpuid.h>
#include <immintrin.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <iterator>

#include "tests/kvm/machine.h"

namespace arclight::backend::kvm::testing {
namespace {

using Exits = KvmTest;

/// Exits of the processor, as KVM counts them.
uint64_t exits_of(const ProcessorThread& p) {
    for (const auto& [name, count] : p.kvm_counters().read())
        if (name == "exits") return count;
    ADD_FAILURE() << "KVM has no counters";
    return 0;
}

TEST_F(Exits, ASystemCallIsOneExit) {
    if (!the_probe().native_ring0) GTEST_SKIP() << the_probe().reason();
    ProcessorThread& p = processor();
    const long parent = getppid();
    const auto call = [&](int times) {
        const auto ran = p.run([&] {
            for (int i = 0; i < times; ++i) EXPECT_EQ(syscall(SYS_getppid), parent);
        });
        EXPECT_TRUE(ran) << ran.error();
    };
    call(10);
    const uint64_t before = exits_of(p);
    call(1000);
    const uint64_t few = exits_of(p) - before;
    call(5000);
    const uint64_t many = exits_of(p) - before - few;
    // The host's timer makes some, in either.
    EXPECT_GE(many - few, 3900u);
    EXPECT_LE(many - few, 5200u);
}

TEST_F(Exits, OneThatIsAskedForIsOneExit) {
    ProcessorThread& p = processor();
    const auto leave = [&](int times) {
        const auto ran = p.run([&] {
            for (int i = 0; i < times; ++i) p.leave_once();
        });
        EXPECT_TRUE(ran) << ran.error();
    };
    p.leave_once();  // outside: nothing to leave
    leave(10);
    const uint64_t before = exits_of(p), asked_for = p.counts().asked_for;
    leave(2000);
    EXPECT_EQ(p.counts().asked_for - asked_for, 2000u);
    EXPECT_GE(exits_of(p) - before, 2000u);
    if (the_probe().native_ring0) {
        EXPECT_LE(exits_of(p) - before, 2400u);
    }
}

TEST(ArenaTest, NobodyElseCanMapInItsGigabyte) {
    constexpr size_t kBytes = size_t{8} << 20, kGib = size_t{1} << 30;
    const auto tried = [](uint64_t address) {
        void* p = mmap(reinterpret_cast<void*>(address), 4096, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (p == MAP_FAILED) return errno;
        munmap(p, 4096);
        return 0;
    };
    uint64_t base = 0;
    {
        const Arena arena(kBytes);
        base = arena.base();
        for (const uint64_t offset : {uint64_t{0}, kBytes, kGib / 2, kGib - 4096})
            EXPECT_EQ(tried(base + offset), EEXIST) << offset;
    }
    EXPECT_EQ(tried(base + kGib / 2), 0);
}

// Hosts before Linux 5.16 have no offset to set.
TEST_F(Exits, TheClockIsTheHostsWhereOnlyItsValueCanBeSet) {
    vm_->set_clock_by_value();
    for (int i = 0; i < 2; ++i) {
        ProcessorThread& p = processor();
        uint64_t inside = 0;
        const uint64_t before = __rdtsc();
        const auto ran = p.run([&] { inside = __rdtsc(); });
        ASSERT_TRUE(ran) << ran.error();
        constexpr uint64_t kSlack = 10'000'000;  // some milliseconds
        EXPECT_GE(inside + kSlack, before);
        EXPECT_LE(inside, __rdtsc() + kSlack);
    }
}

// Programs may choose them by the host's processor (AT_HWCAP2).
TEST_F(Exits, TheSegmentBasesAreReadAsOutside) {
    constexpr unsigned long kFsgsbase = 2;
    if ((getauxval(AT_HWCAP2) & kFsgsbase) == 0 || (vm_->cr4_features() >> 16 & 1) == 0)
        GTEST_SKIP() << "this host has no RDFSBASE";
    uint64_t inside = 0;
    EXPECT_EQ(run([&] { asm volatile("rdfsbase %0" : "=r"(inside)); }), "");
    uint64_t outside = 0;
    asm volatile("rdfsbase %0" : "=r"(outside));
    EXPECT_EQ(inside, outside);
}

// The host's C library looks at XCR0 and at CR4's bits by CPUID, once, and runs inside with what it has chosen.
TEST_F(Exits, ExtendedStateAndProtectionKeysAreAsOutside) {
    constexpr uint64_t kX87ToAvx512 = 0xe7;
    uint64_t inside = 0;
    EXPECT_EQ(run([&] { inside = _xgetbv(0); }), "");
    const uint64_t outside = _xgetbv(0);
    EXPECT_EQ(inside & kX87ToAvx512, outside & kX87ToAvx512);
    EXPECT_EQ(inside & ~outside, 0u);
    unsigned a = 0, b = 0, c = 0, d = 0;
    const bool keys = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c >> 4 & 1) != 0;  // OSPKE
    if (!keys || (vm_->cr4_features() >> 22 & 1) == 0) return;
    const auto rights = [] {
        unsigned value = 0, high = 0;
        asm volatile("rdpkru" : "=a"(value), "=d"(high) : "c"(0));
        return value;
    };
    unsigned pkru = 0;
    EXPECT_EQ(run([&] { pkru = rights(); }), "");
}

/// In this process, which is to end soon.
void refuse_ioctl(uint32_t request) {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),  // its lower half
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, request, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{.len = std::size(filter), .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(3);
}

// Else the virtual processors would have no features at all, and the machine would not say why it fails.
TEST_F(Exits, AMachineWhoseFeaturesAreUnknownIsNotMade) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        // KVM_GET_SUPPORTED_CPUID, whose structure has another size in C++ than in C.
        refuse_ioctl(_IOWR(KVMIO, 0x05, uint64_t));
        const auto made = VirtualMachine::create();
        _exit(made ? 1 : made.error().contains("KVM_GET_SUPPORTED_CPUID") ? 0 : 2);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace arclight::backend::kvm::testing

// What a program's exits cost, and what of the process's environment is the same inside.
#include <immintrin.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

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

}  // namespace
}  // namespace arclight::backend::kvm::testing

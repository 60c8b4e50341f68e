// Several virtual CPUs on their threads: stopping the world, pause and resume, a full code cache, invalidations.
#include "guestos/machine/board/cpu_group.h"

#include <gtest/gtest.h>
#include <sched.h>

#include "host/cores.h"
#include "tests/guestos/machine/test_machine.h"

namespace arclight::guestos {
namespace {

using namespace insn;
using namespace std::chrono_literals;
using M = TestMachine;

constexpr uint64_t kCounters = M::kRam + 0x10'0000;  // a page for each CPU
constexpr uint64_t counter(unsigned cpu) { return kCounters + cpu * 0x1000; }

/// Counts in the cell that x0 points to, for ever.
void write_counting_loop(M& m, uint64_t pa) {
    m.write_program(pa, {add(11, 0, 0), ldr(1, 11), add(1, 1, 1), str(1, 11), b(-3)});
}

constexpr uint64_t kLoop = M::kRam, kWait = M::kRam + 0x1000;

/// CPUs that count, and behind them one that waits for an interrupt and one that is off.
struct Busy : M {
    static constexpr unsigned kCounting = 3, kWaiting = 3, kOff = 4, kCpus = kOff + 1;

    explicit Busy(size_t code_bytes = size_t{8} << 20) : M(kCpus, code_bytes) {
        write_counting_loop(*this, kLoop);
        write_program(kWait, {kUnmaskIrq, kWfi, b(-1)});
        write(kVectors + 0x280, {str(9, 9), b(0)});  // one interrupt: PSTATE.I stays set
        for (unsigned i = 0; i < kCounting; ++i) group.cpu(i).power_on(kLoop, counter(i));
        group.cpu(kWaiting).power_on(kWait, 0);
    }
    bool all_have_counted_on() {
        uint64_t before[kCounting];
        for (unsigned i = 0; i < kCounting; ++i) before[i] = cell(counter(i));
        return wait_until([&] {
            for (unsigned i = 0; i < kCounting; ++i)
                if (cell(counter(i)) == before[i]) return false;
            return true;
        });
    }
    uint64_t recorded() {
        const std::lock_guard guard(device.lock);
        return device.values.size();
    }
};

TEST(CpuGroup, PausedCpusDoNotMove) {
    Busy m;
    m.start();
    ASSERT_TRUE(m.all_have_counted_on());
    for (int round = 0; round < 10; ++round) {
        ASSERT_TRUE(m.group.pause());
        uint64_t before[Busy::kCounting], pc[Busy::kCpus];
        for (unsigned i = 0; i < Busy::kCounting; ++i) before[i] = m.cell(counter(i));
        for (unsigned i = 0; i < Busy::kCpus; ++i) {
            EXPECT_TRUE(m.group.cpu(i).at_rest());
            EXPECT_TRUE(m.group.cpu(i).halted());
            pc[i] = m.group.cpu(i).cpu().state.pc;
        }
        std::this_thread::sleep_for(5ms);
        for (unsigned i = 0; i < Busy::kCounting; ++i) EXPECT_EQ(m.cell(counter(i)), before[i]);
        for (unsigned i = 0; i < Busy::kCpus; ++i) EXPECT_EQ(m.group.cpu(i).cpu().state.pc, pc[i]);
        for (unsigned i = 0; i < Busy::kCounting; ++i) {
            EXPECT_GE(pc[i], kLoop);
            EXPECT_LE(pc[i], M::word(kLoop, 4)) << "between two instructions of the loop";
        }
        m.group.resume();
        ASSERT_TRUE(m.all_have_counted_on());
    }
}

TEST(CpuGroup, AnInterruptWaitsForTheEndOfAPause) {
    Busy m;
    m.start();
    ASSERT_TRUE(M::wait_until([&] { return m.group.cpu(Busy::kWaiting).stats().halts != 0; }));
    ASSERT_TRUE(m.group.pause());
    m.group.cpu(Busy::kWaiting).set_irq_line(true, false);
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(m.recorded(), 0u);
    EXPECT_TRUE(m.group.cpu(Busy::kWaiting).at_rest());
    m.group.resume();
    EXPECT_TRUE(M::wait_until([&] { return m.recorded() != 0; }));
    m.group.cpu(Busy::kWaiting).set_irq_line(false, false);
}

TEST(CpuGroup, StopEndsAPause) {
    Busy m;
    m.start();
    ASSERT_TRUE(m.group.pause());
    m.stop();
    EXPECT_FALSE(m.group.pause()) << "the machine stops";
}

TEST(CpuGroup, InvalidationReachesRunningHaltedAndPausedCpus) {
    const CrossCpuWork::Request kFlush{
        CrossCpuWork::Request::Kind::Tlbi, {.kind = mmu::TlbiRequest::Kind::All}, {}, {}};
    Busy m;
    m.start();
    ASSERT_TRUE(m.all_have_counted_on());
    for (int round = 0; round < 100; ++round) m.group.have_carried_out(kFlush);
    ASSERT_TRUE(m.all_have_counted_on());
    ASSERT_TRUE(m.group.pause());
    m.group.have_carried_out(kFlush);
    m.group.resume();
    EXPECT_TRUE(m.all_have_counted_on());
}

// ---- A full code cache

constexpr uint64_t kSled = M::kRam + 0x20'0000;
constexpr unsigned kSledBlocks = 24'576;

/// x1 = the number of blocks that ran, to the device; again and again. Each block is an addition and a branch
/// to the next one.
void write_sled(M& m) {
    std::vector<uint32_t> code;
    M::put_constant(code, 9, M::kDevice);
    code.push_back(movz(1, 0));
    for (unsigned i = 0; i < kSledBlocks; ++i) {
        code.push_back(add(1, 1, 1));
        code.push_back(cbz(31, 1));
    }
    code.push_back(str(1, 9));
    code.push_back(b(-static_cast<int>(code.size())));
    m.write(kSled, code);
}

TEST(CpuGroup, AFullCodeCacheIsFlushedWhileOtherCpusRun) {
    M m(4, size_t{1} << 20);
    write_counting_loop(m, kLoop);
    write_sled(m);
    m.group.cpu(0).power_on(kSled, 0);
    for (unsigned i = 1; i < 3; ++i) m.group.cpu(i).power_on(kLoop, counter(i));
    m.group.cpu(3).power_on(kSled, 0);  // two that fill it, and ask for a flush at the same time
    m.start();
    const auto passes = [&] {
        const std::lock_guard guard(m.device.lock);
        return m.device.values.size();
    };
    ASSERT_TRUE(M::wait_until([&] { return passes() >= 4; }));
    uint64_t before[3];
    for (unsigned i = 1; i < 3; ++i) before[i] = m.cell(counter(i));
    const uint64_t flushes = m.engine.stats().flushes;
    ASSERT_TRUE(M::wait_until([&] { return passes() >= 8; }));
    EXPECT_GT(m.engine.stats().flushes, flushes);
    for (unsigned i = 1; i < 3; ++i) EXPECT_GT(m.cell(counter(i)), before[i]);
    m.stop();
    for (const uint64_t blocks : m.device.values) EXPECT_EQ(blocks, kSledBlocks);
    EXPECT_GE(m.engine.stats().flushes, 2u);
}

TEST(CpuGroup, PausesAndFlushesDoNotMeet) {
    M m(3, size_t{1} << 20);
    write_counting_loop(m, kLoop);
    write_sled(m);
    m.group.cpu(0).power_on(kSled, 0);
    m.group.cpu(1).power_on(kSled, 0);
    m.group.cpu(2).power_on(kLoop, counter(2));
    m.start();
    const auto end = std::chrono::steady_clock::now() + 1s;
    for (int round = 0; std::chrono::steady_clock::now() < end; ++round) {
        ASSERT_TRUE(m.group.pause());
        const uint64_t flushes = m.engine.stats().flushes, count = m.cell(counter(2));
        if (round % 16 == 0) std::this_thread::sleep_for(2ms);
        EXPECT_EQ(m.engine.stats().flushes, flushes);
        EXPECT_EQ(m.cell(counter(2)), count);
        m.group.resume();
        std::this_thread::sleep_for(1ms);
    }
    const uint64_t flushes = m.engine.stats().flushes;
    EXPECT_TRUE(M::wait_until([&] { return m.engine.stats().flushes > flushes; }));
    m.stop();
    for (const uint64_t blocks : m.device.values) EXPECT_EQ(blocks, kSledBlocks);
}

// ---- New code of other CPUs

TEST(CpuGroup, MaintenanceOnOneCpuMakesNewCodeRunOnAnother) {
    constexpr uint64_t kFunction = M::kRam + 0x4000, kWriter = M::kRam + 0x2000;
    M m(2);
    std::vector<uint32_t> reader, writer;
    M::put_constant(reader, 11, kFunction);
    reader.insert(reader.end(), {blr(11), str(1, 0), kIsb, b(-3)});
    m.write(kLoop, reader);
    m.write(kFunction, {movz(1, 1), kRet});
    M::put_constant(writer, 11, kFunction);
    M::put_constant(writer, 12, movz(1, 2));
    writer.insert(writer.end(), {str_w(12, 11), dc_cvau(11), kDsb, ic_ivau(11), kDsb, kIsb, b(0)});
    m.write(kWriter, writer);
    m.group.cpu(0).power_on(kLoop, counter(0));
    m.start();
    ASSERT_TRUE(M::wait_until([&] { return m.cell(counter(0)) == 1; }));
    m.group.cpu(1).power_on(kWriter, 0);
    EXPECT_TRUE(M::wait_until([&] { return m.cell(counter(0)) == 2; }));
}

// Completion of TLB maintenance (ARM ARM, chapter D8): behind the DSB no other CPU uses the old translation any more, not even for an access that it has begun.
TEST(CpuGroup, ABarrierWaitsForCpusThatUseAnInvalidatedTranslation) {
    constexpr uint64_t kReader = M::kRam + 0x4000, kInvalidator = M::kRam + 0x2000;
    M m(2);
    std::atomic<bool> begun = false, may_end = false;
    m.device.before_read = [&] {
        begun = true;
        while (!may_end) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    };
    m.write_program(kReader, {ldr(1, 9), b(-1)});
    m.write_program(kInvalidator, {kTlbiVmalle1is, kDsb, movz(1, 1), str(1, 0), b(0)});
    m.group.cpu(0).power_on(kReader, 0);
    m.start();
    ASSERT_TRUE(M::wait_until([&] { return begun.load(); }));
    m.group.cpu(1).power_on(kInvalidator, counter(1));
    // Without a wait it needs some microseconds.
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_EQ(m.cell(counter(1)), 0u);
    may_end = true;
    EXPECT_TRUE(M::wait_until([&] { return m.cell(counter(1)) == 1; }));
}

// ---- Loops that wait for another CPU

/// CPU 0 waits in a loop until the cell that x0 points to is not 0, and then stops the machine.
struct Waiting : M {
    explicit Waiting(unsigned cpus) : M(cpus) {
        write_program(kLoop, {add(11, 0, 0), ldr(1, 11), cbz(1, -1), str(9, 9, 8), b(0)});
        group.cpu(0).power_on(kLoop, counter(0));
    }
    uint64_t turns() { return group.cpu(0).stats().spins[static_cast<size_t>(SpinCause::Loop)]; }
};

TEST(CpuGroup, ACpuThatWaitsForMemoryLeavesItsCore) {
    Waiting m(2);
    m.start();
    ASSERT_TRUE(M::wait_until([&] { return m.group.cpu(0).stats().naps > 10; }));
    EXPECT_GT(m.turns(), 10u);
    EXPECT_GT(m.group.cpu(0).stats().nap_ns, 10'000u);
    m.cell(counter(0)) = 1;
    EXPECT_TRUE(M::wait_until([&] { return m.group.stopping(); }));
}

uint64_t left_to_receivers(M& m) {
    return m.group.cpu(0).stats().hand_overs[static_cast<size_t>(HandOverCause::Receiver)];
}

// CPU 1 takes no interrupt, so that it would be waited for for ever.
TEST(CpuGroup, ACoreIsLeftToACpuThatHasNotTakenAnSgi) {
    Waiting m(2);
    m.group.cpu(1).hand_over().sgi_from(0);
    write_counting_loop(m, M::kRam + 0x4000);
    m.group.cpu(1).power_on(M::kRam + 0x4000, counter(1));
    m.start();
    EXPECT_TRUE(M::wait_until([&] { return left_to_receivers(m) != 0; }));
    EXPECT_TRUE(M::wait_until([&] { return !m.group.cpu(1).hand_over().has_sgi_of(0); })) << "not for long";
    m.cell(counter(0)) = 1;
    EXPECT_TRUE(M::wait_until([&] { return m.group.stopping(); }));
}

// It says so when it has got on: here, each time that it halts.
TEST(CpuGroup, ACpuThatGetsOnWakesThoseThatWaitForIt) {
    Waiting m(2);
    m.write_program(kWait, {kWfi, b(-1)});  // with interrupts masked, one that is pending ends it at once
    m.group.cpu(1).set_irq_line(true, false);
    m.group.cpu(1).power_on(kWait, 0);
    m.start();
    const auto& stats = m.group.cpu(1).stats();
    EXPECT_TRUE(M::wait_until([&] {
        m.group.cpu(1).hand_over().add_waiter(0);
        return stats.waiters_woken > 10;
    }));
    m.cell(counter(0)) = 1;
    EXPECT_TRUE(M::wait_until([&] { return m.group.stopping(); }));
}

// Two on one core: what one waits for comes only while it sleeps itself.
TEST(CpuGroup, ACpuThatWaitsGoesToACoreOfItsOwn) {
    const host::CoreSet permitted = host::CoreSet::permitted();
    if (permitted.count() < 2) GTEST_SKIP() << "one core";
    host::CoreSet one;
    for (unsigned core = 0; one.count() == 0; ++core)
        if (permitted.contains(core)) one.add(core);
    Waiting m(2);
    write_counting_loop(m, M::kRam + 0x4000);
    m.group.cpu(1).power_on(M::kRam + 0x4000, counter(1));
    m.start();
    const auto put = [&](unsigned cpu, const host::CoreSet& cores) {
        ASSERT_EQ(sched_setaffinity(m.group.cpu(cpu).host_thread(), sizeof cores.set(), &cores.set()), 0);
    };
    ASSERT_TRUE(M::wait_until([&] { return m.turns() != 0 && m.cell(counter(1)) != 0; }));
    put(1, one);
    // The host's scheduler moves it, too, but may leave it for once.
    EXPECT_TRUE(M::wait_until([&] {
        put(0, one);
        put(0, permitted);
        return m.group.cpu(0).stats().went_apart != 0;
    }));
    m.cell(counter(0)) = 1;
    EXPECT_TRUE(M::wait_until([&] { return m.group.stopping(); }));
}

TEST(CpuGroup, ALoopThatCountsIsNoWait) {
    Waiting m(2);
    write_counting_loop(m, kLoop);
    m.start();
    ASSERT_TRUE(M::wait_until([&] { return m.cell(counter(0)) > 100'000; }));
    EXPECT_EQ(m.turns(), 0u);
}

TEST(CpuGroup, TheOnlyCpuDoesNotWaitForOthers) {
    Waiting m(1);
    m.start();
    std::this_thread::sleep_for(5ms);
    EXPECT_EQ(m.turns(), 0u);
    m.cell(counter(0)) = 1;
    EXPECT_TRUE(M::wait_until([&] { return m.group.stopping(); }));
}

}  // namespace
}  // namespace arclight::guestos

// A core that is left to the CPU that is waited for, with threads in their places: no guest, no translated code.
#include "guestos/machine/cpu/hand_over.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <bit>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "guestos/machine/cpu/cross_cpu_work.h"
#include "guestos/machine/cpu/nap_length.h"

namespace arclight::guestos {
namespace {

using namespace std::chrono_literals;

struct Cpu final : CrossCpuWork::Performer {
    void carry_out(std::span<const CrossCpuWork::Request>, bool) override {}
    std::atomic<uint32_t> interrupt{0};
    CrossCpuWork work{interrupt, *this};
    HandOver hand_over;
};

TEST(HandOver, AnSgiIsOutstandingUntilAnInterruptIsTaken) {
    HandOver receiver;
    EXPECT_FALSE(receiver.has_sgi_of(63));
    receiver.sgi_from(63);
    receiver.sgi_from(0);
    EXPECT_TRUE(receiver.has_sgi_of(63));
    EXPECT_FALSE(receiver.has_sgi_of(1));
    receiver.forget_sgi_of(0);
    EXPECT_FALSE(receiver.has_sgi_of(0));
    receiver.interrupt_taken();
    EXPECT_FALSE(receiver.has_sgi_of(63));
}

TEST(HandOver, WaitersAreTakenOnce) {
    HandOver target;
    EXPECT_FALSE(target.awaited());
    target.add_waiter(63);
    target.add_waiter(2);
    target.add_waiter(2);
    EXPECT_TRUE(target.awaited());
    EXPECT_EQ(target.take_waiters(), uint64_t{1} << 63 | 4);
    EXPECT_FALSE(target.awaited());
    EXPECT_EQ(target.take_waiters(), 0u);
}

// Where leaving is emulated and dear, CPUs that wait do not spend the host's cores on it.
TEST(HandOver, NapsAreLongerWhereLeavingIsDear) {
    EXPECT_EQ(nap_length(50us, 300ns, 16), 50us);
    EXPECT_EQ(nap_length(50us, 120us, 8), 50us);
    EXPECT_EQ(nap_length(400us, 500ns, 64), 400us);
    EXPECT_EQ(nap_length(400us, 120us, 9), 8'640us);
    EXPECT_EQ(nap_length(400us, 120us, 64), 61'440us);
    EXPECT_EQ(nap_length(50us, 10ms, 64), 100ms);
    EXPECT_EQ(nap_length(1h, 1ms, 64), 1h);
}

// As VcpuCore::spin() and Vcpu::look_up() do it: a wake-up that is lost leaves a CPU asleep for an hour.
TEST(HandOver, NoWakeUpIsLost) {
    constexpr unsigned kSenders = 3, kRounds = 400;
    Cpu receiver;
    std::vector<Cpu> senders(kSenders);
    std::atomic<unsigned> running{kSenders};
    std::atomic<uint64_t> asleep{0};
    const auto send = [&](unsigned self) {
        Cpu& cpu = senders[self];
        std::minstd_rand random(self + 1);
        cpu.work.enter();
        for (unsigned i = 0; i < kRounds; ++i) {
            receiver.hand_over.sgi_from(self);
            for (unsigned k = random() % 64; k != 0; --k) std::atomic_signal_fence(std::memory_order_seq_cst);
            while (receiver.hand_over.has_sgi_of(self))
                cpu.work.nap(1h, [&] {
                    receiver.hand_over.add_waiter(self);
                    if (!receiver.hand_over.has_sgi_of(self)) return false;
                    ++asleep;
                    return true;
                });
        }
        cpu.work.leave();
        --running;
    };
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kSenders; ++i) threads.emplace_back(send, i);
    while (running != 0) {
        receiver.hand_over.interrupt_taken();
        for (uint64_t woken = receiver.hand_over.take_waiters(); woken != 0; woken &= woken - 1)
            senders[static_cast<size_t>(std::countr_zero(woken))].work.end_nap();
        sched_yield();
    }
    for (std::thread& t : threads) t.join();
    EXPECT_GT(asleep, 0u);
}

TEST(LastCore, IsWhereTheThreadRuns) {
    LastCore core;
    EXPECT_LT(core.get(), 0);
    cpu_set_t all;
    ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    std::thread([&] {
        core.adopt();
        if (core.get() < 0) return;  // no restartable sequences here
        for (int i = 0; i < CPU_SETSIZE; ++i) {
            if (!CPU_ISSET(i, &all)) continue;
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(i, &one);
            ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
            EXPECT_EQ(core.get(), i);
        }
        core.release();
        EXPECT_LT(core.get(), 0);
    }).join();
}

}  // namespace
}  // namespace arclight::guestos

// What virtual CPUs do for each other, with threads in their places: no guest, no translated code.
#include "guestos/machine/cpu/cross_cpu_work.h"

#include <gtest/gtest.h>
#include <time.h>

#include <array>
#include <chrono>
#include <memory>
#include <random>
#include <thread>

#include "guestos/machine/cpu/held_translations.h"
#include "guestos/machine/cpu/late_wakes.h"

namespace arclight::guestos {
namespace {

using namespace std::chrono_literals;
using Request = CrossCpuWork::Request;
using Kind = Request::Kind;
using Tlbi = mmu::TlbiRequest;

struct Target final : CrossCpuWork::Performer {
    void carry_out(std::span<const Request> requests, bool) override {
        for (const Request& r : requests) done.push_back(r);
    }
    unsigned count(Kind kind) const {
        return static_cast<unsigned>(
            std::ranges::count_if(done, [&](const Request& r) { return r.kind == kind; }));
    }
    std::atomic<uint32_t> interrupt{0};
    std::vector<Request> done;
    CrossCpuWork work{interrupt, *this};
};

Request page(uint64_t va, uint16_t asid = 1) {
    return {Kind::Tlbi, {.kind = Tlbi::Kind::Va, .asid = asid, .va = va}};
}

double cpu_seconds() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

TEST(CrossCpuWork, NobodyWaitsForACpuThatIsOutside) {
    Target target;
    CrossCpuWork::Batch batch;
    target.work.post(page(0x1000), &batch);
    EXPECT_TRUE(batch.done());
    EXPECT_EQ(target.interrupt, 0u);
    EXPECT_TRUE(target.done.empty());
    target.work.enter();
    EXPECT_EQ(target.done.size(), 1u) << "carried out before it is inside";
}

TEST(CrossCpuWork, SeveralRequestsAreAnsweredOnce) {
    Target target;
    target.work.enter();
    CrossCpuWork::Batch batch;
    for (uint64_t i = 0; i < 10; ++i) target.work.post(page(i << 12), &batch);
    EXPECT_FALSE(batch.done());
    EXPECT_EQ(target.interrupt, 1u);
    target.work.carry_out();
    EXPECT_TRUE(batch.done());
    EXPECT_EQ(target.done.size(), 10u);
}

TEST(CrossCpuWork, ACpuThatLeavesHasAnswered) {
    Target target;
    target.work.enter();
    CrossCpuWork::Batch batch;
    target.work.post(page(0x1000), &batch);
    target.work.leave();
    EXPECT_TRUE(batch.done());
    EXPECT_EQ(target.done.size(), 1u);
}

TEST(CrossCpuWork, AThreadThatEndedHasAnswered) {
    Target target;
    target.work.enter();
    CrossCpuWork::Batch batch;
    target.work.post(page(0x1000), &batch);
    target.work.abandon();
    EXPECT_TRUE(batch.done());
    EXPECT_TRUE(target.done.empty()) << "another thread must not carry it out";
}

TEST(CrossCpuWork, TheQueueOfACpuThatSleepsIsBounded) {
    Target target;
    for (uint64_t i = 0; i < 100'000; ++i) {
        target.work.post(page(i << 12), nullptr);
        target.work.post({Kind::ClearJumps}, nullptr);
    }
    target.work.enter();
    EXPECT_LT(target.done.size(), 2000u);
    EXPECT_EQ(target.done[0].tlbi.kind, Tlbi::Kind::All);
    EXPECT_EQ(target.count(Kind::ForgetCode), 1u);
}

TEST(CrossCpuWork, OneClearingOfJumpsStandsForMany) {
    Target target;
    target.work.enter();
    for (int i = 0; i < 100; ++i) target.work.post({Kind::ClearJumps}, nullptr);
    target.work.carry_out();
    EXPECT_EQ(target.count(Kind::ClearJumps), 1u);
    target.work.post({Kind::ClearJumps}, nullptr);
    target.work.carry_out();
    EXPECT_EQ(target.count(Kind::ClearJumps), 2u) << "one that came later";
}

TEST(CrossCpuWork, AWaiterSleepsAndAsksThoseThatAnsweredForTheirCores) {
    Target slow, quick, asleep;
    slow.work.enter();
    quick.work.enter();
    CrossCpuWork::Batch batch;
    for (Target* t : {&slow, &quick, &asleep}) t->work.post(page(0x1000), &batch);
    quick.interrupt = 0;
    quick.work.carry_out();
    std::thread answer([&] {
        std::this_thread::sleep_for(100ms);
        slow.work.carry_out();
    });
    const std::array<CrossCpuWork*, 3> all{&slow.work, &quick.work, &asleep.work};
    const double before = cpu_seconds();
    CrossCpuWork::wait(batch, all);
    EXPECT_LT(cpu_seconds() - before, 0.02) << "of 0.1 s";
    answer.join();
    EXPECT_EQ(quick.interrupt, 1u);
    EXPECT_EQ(asleep.interrupt, 0u);
    quick.work.hand_over_if_asked();
    EXPECT_TRUE(batch.done());
}

TEST(CrossCpuWork, TwoThatWaitForEachOther) {
    Target a, b;
    const std::array<CrossCpuWork*, 2> all{&a.work, &b.work};
    std::atomic<unsigned> arrived{0};
    const auto cpu = [&](Target& self, Target& other) {
        self.work.enter();
        for (unsigned i = 1; i <= 2000; ++i) {
            ++arrived;
            while (arrived < 2 * i) {
                if (self.interrupt.exchange(0) != 0) self.work.carry_out();
                std::this_thread::yield();
            }
            other.work.post(page(uint64_t{i} << 12), &self.work.batch());
            self.work.wait_outside(all);
        }
        self.work.leave();
    };
    std::thread first([&] { cpu(a, b); }), second([&] { cpu(b, a); });
    first.join();
    second.join();
    EXPECT_EQ(a.done.size(), 2000u);
    EXPECT_EQ(b.done.size(), 2000u);
}

TEST(CrossCpuWork, ANapEndsEarly) {
    Target target;
    target.work.enter();
    std::atomic<bool> stop{false}, event{true};
    std::thread other([&] {
        while (!stop) {
            target.work.interrupt();
            target.work.end_nap();
        }
    });
    for (int i = 0; i < 2000; ++i) {
        target.work.nap(1h, [&] { return i % 2 == 0 || !event; });
        target.interrupt = 0;
    }
    stop = true;
    other.join();
}

TEST(CrossCpuWork, LateWakesComeInTheEnd) {
    Target targets[3];
    std::atomic<unsigned> napping{0};
    std::vector<std::thread> threads;
    for (Target& target : targets)
        threads.emplace_back([&] {
            target.work.enter();
            target.work.nap(1h, [&] {
                ++napping;
                return true;
            });
        });
    while (napping != 3) std::this_thread::yield();
    {
        LateWakes late;
        targets[0].work.interrupt();
        targets[1].work.end_nap();
        targets[1].work.end_nap();
        EXPECT_EQ(late.held(), 2u);
    }
    targets[2].work.interrupt();
    for (std::thread& thread : threads) thread.join();
}

// ---- No stale translation after a wait: CPUs that keep translations, halt, change them and wait for each
// other

struct Machine {
    static constexpr unsigned kCpus = 6, kPages = 24;
    static constexpr uint64_t kFirst = 0x4000'0000;

    struct Cpu final : CrossCpuWork::Performer {
        Cpu(Machine& m, unsigned n) : machine(m), random(n) {}
        void carry_out(std::span<const Request> requests, bool) override {
            bool all = false;
            for (const Request& r : requests) {
                all |= r.tlbi.kind != Tlbi::Kind::Va;
                if (r.tlbi.kind == Tlbi::Kind::Va) cached[(r.tlbi.va - kFirst) >> 12] = 0;
            }
            if (!all) return;
            cached.fill(0);
            held.clear();
        }
        void use(unsigned n) {
            // In this order: what is at least as new as what was waited for before.
            const uint64_t oldest = machine.oldest[n].load();
            if (cached[n] == 0)
                held.record(kFirst + (n << 12), 1, 12, [&] {
                    cached[n] = machine.table[n].load(std::memory_order_relaxed);
                    return mmu::WalkResult{.non_global = true};
                });
            if (cached[n] < oldest) ++stale;
            ++uses;
        }
        void poll() {
            if (interrupt.exchange(0) == 0) return;
            work.carry_out();
            work.hand_over_if_asked();
        }
        void change(unsigned n) {
            // As the guest's own lock of a table: whoever waits for it runs guest code.
            std::unique_lock guard(machine.locks[n], std::defer_lock);
            while (!guard.try_lock()) poll();
            const uint64_t next = machine.table[n].load(std::memory_order_relaxed) + 1;
            machine.table[n].store(next, std::memory_order_relaxed);
            HeldTranslations::fence();
            const bool everything = random() % 64 == 0;
            Request request = page(kFirst + (n << 12));
            if (everything) request.tlbi.kind = Tlbi::Kind::All;
            for (const auto& other : machine.cpus)
                if (other.get() != this && other->held.may_hold(request.tlbi)) {
                    other->work.post(request, &work.batch());
                    ++posts;
                }
            carry_out({&request, 1}, false);
            work.wait_outside(machine.works);
            machine.oldest[n].store(next);
        }
        void run() {
            work.enter();
            while (!machine.stop) {
                poll();
                // Most pages are one CPU's, as in a guest.
                const unsigned what = random() % 512,
                               n = random() % 4 == 0 ? random() % kPages : number() * 4 % kPages;
                if (what < 8) {
                    change(n);
                } else if (what == 8) {
                    const CrossCpuWork::Outside outside(work);
                    std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
                } else if (what == 9) {
                    work.nap();
                } else {
                    use(n);
                }
            }
            work.leave();
        }
        unsigned number() const {
            for (unsigned i = 0; i < kCpus; ++i)
                if (machine.cpus[i].get() == this) return i;
            return 0;
        }
        Machine& machine;
        std::minstd_rand random;
        std::array<uint64_t, kPages> cached{};
        std::atomic<uint32_t> interrupt{0};
        uint64_t stale = 0, uses = 0, posts = 0;
        HeldTranslations held;
        CrossCpuWork work{interrupt, *this};
    };

    std::array<std::atomic<uint64_t>, kPages> table, oldest;
    std::array<std::mutex, kPages> locks;
    std::atomic<bool> stop{false};
    std::vector<std::unique_ptr<Cpu>> cpus;
    std::vector<CrossCpuWork*> works;
};

TEST(CrossCpuWork, NoStaleTranslationIsUsedAfterAWait) {
    Machine machine;
    for (auto& t : machine.table) t = 1;
    for (auto& o : machine.oldest) o = 1;
    for (unsigned i = 0; i < Machine::kCpus; ++i)
        machine.cpus.push_back(std::make_unique<Machine::Cpu>(machine, i + 1));
    for (const auto& c : machine.cpus) machine.works.push_back(&c->work);
    std::vector<std::thread> threads;
    for (const auto& c : machine.cpus) threads.emplace_back([&c] { c->run(); });
    std::this_thread::sleep_for(1s);
    machine.stop = true;
    for (std::thread& t : threads) t.join();
    uint64_t changes = 0, posts = 0;
    for (const auto& c : machine.cpus) {
        EXPECT_EQ(c->stale, 0u);
        EXPECT_GT(c->uses, 0u);
        posts += c->posts;
    }
    for (const auto& t : machine.table) changes += t - 1;
    EXPECT_GT(changes, 0u);
    EXPECT_GT(posts, 0u);
}

// ---- HeldTranslations

Tlbi request(Tlbi::Kind kind, uint64_t va, uint16_t asid) { return {.kind = kind, .asid = asid, .va = va}; }
constexpr uint64_t kUser = 0x5555'4444'3000, kKernel = 0xffff'8000'1234'5000;

TEST(HeldTranslations, KnowsPagesAndAddressSpaces) {
    HeldTranslations held;
    const auto may = [&](Tlbi::Kind kind, uint64_t va, uint16_t asid) {
        return held.may_hold(request(kind, va, asid));
    };
    const auto none = [] { return mmu::WalkResult{.non_global = true}; };
    EXPECT_FALSE(may(Tlbi::Kind::Va, kUser, 5));
    held.record(kUser | 0x12ul << 56 | 0x123, 5, 12, none);
    EXPECT_TRUE(may(Tlbi::Kind::Va, kUser, 5)) << "whatever the tag and the offset";
    EXPECT_FALSE(may(Tlbi::Kind::Va, kUser, 6));
    EXPECT_FALSE(may(Tlbi::Kind::Va, kUser + 0x1000, 5));
    EXPECT_TRUE(may(Tlbi::Kind::VaAllAsids, kUser, 6));
    EXPECT_TRUE(may(Tlbi::Kind::Asid, 0, 5));
    EXPECT_FALSE(may(Tlbi::Kind::Asid, 0, 6));
    EXPECT_TRUE(may(Tlbi::Kind::All, 0, 0));

    held.record(kKernel, 5, 12, [] { return mmu::WalkResult{}; });
    EXPECT_TRUE(may(Tlbi::Kind::Va, kKernel, 77)) << "of whatever ASID";
    EXPECT_TRUE(may(Tlbi::Kind::VaAllAsids, kKernel, 77));
    EXPECT_FALSE(may(Tlbi::Kind::VaAllAsids, kKernel + 0x1000, 77));

    held.clear(5);
    EXPECT_FALSE(may(Tlbi::Kind::Asid, 0, 5));
    held.clear();
    EXPECT_FALSE(may(Tlbi::Kind::Va, kUser, 5));
    EXPECT_FALSE(may(Tlbi::Kind::Va, kKernel, 5));
}

TEST(HeldTranslations, ABlockIsHeldAtAllOfItsAddresses) {
    for (const uint8_t bits : {uint8_t{21}, uint8_t{30}}) {
        HeldTranslations held;
        unsigned walks = 0;
        const auto walk = [&] { return ++walks, mmu::WalkResult{.page_bits = bits}; };
        held.record(kKernel, 5, 12, walk);
        EXPECT_EQ(walks, 2u) << "the tables are read again once the block's bit is set";
        held.record(kKernel, 5, 12, walk);
        EXPECT_EQ(walks, 3u);
        const uint64_t block = kKernel >> bits << bits, size = uint64_t{1} << bits;
        EXPECT_TRUE(held.may_hold(request(Tlbi::Kind::Va, block + size - 0x1000, 5)));
        EXPECT_FALSE(held.may_hold(request(Tlbi::Kind::Va, block + size, 5)));
    }
}

TEST(HeldTranslations, PagesOfTheGuestsGranule) {
    for (const uint8_t bits : {uint8_t{14}, uint8_t{16}}) {
        HeldTranslations held;
        unsigned walks = 0;
        held.record(kKernel, 5, bits, [&] { return ++walks, mmu::WalkResult{.page_bits = bits}; });
        EXPECT_EQ(walks, 1u) << "nothing new is known of it";
        const uint64_t page = kKernel >> bits << bits, size = uint64_t{1} << bits;
        for (uint64_t offset = 0; offset < size; offset += 0x1000)
            EXPECT_TRUE(held.may_hold(request(Tlbi::Kind::Va, page + offset, 5)));
        EXPECT_FALSE(held.may_hold(request(Tlbi::Kind::Va, page + size, 5)));
        EXPECT_FALSE(held.may_hold(request(Tlbi::Kind::Va, page - 0x1000, 5)));
    }
}

TEST(HeldTranslations, Ranges) {
    HeldTranslations held;
    const auto may = [&](uint64_t va, uint64_t pages, uint16_t asid) {
        Tlbi range = request(Tlbi::Kind::Va, va, asid);
        range.pages = pages;
        return held.may_hold(range);
    };
    held.record(kUser, 5, 12, [] { return mmu::WalkResult{.non_global = true}; });
    held.record(kKernel, 5, 12, [] { return mmu::WalkResult{.page_bits = 21}; });
    EXPECT_TRUE(may(kUser - 0x7000, 8, 5));
    EXPECT_FALSE(may(kUser - 0x7000, 7, 5));
    EXPECT_TRUE(may(kUser, 2, 5));
    EXPECT_FALSE(may(kUser + 0x1000, 300, 5));
    EXPECT_TRUE(may(kUser + 0x1000, 100'000, 5)) << "not looked for one by one";
    EXPECT_FALSE(may(kUser - 0x7000, 100'000, 6)) << "nothing of this address space";
    EXPECT_TRUE(may((kKernel >> 21 << 21) - 0x1000, 2, 6)) << "the beginning of a block";
    EXPECT_FALSE(may((kKernel >> 21 << 21) - 0x2000, 2, 6));
    EXPECT_TRUE(may(kKernel + 0x1'0000'0000, 1 << 20, 6));
}

TEST(HeldTranslations, AGlobalPageOfTheLowerHalfMayBeAnyAddressSpaces) {
    HeldTranslations held;
    unsigned walks = 0;
    held.record(kUser, 5, 12, [&] { return ++walks, mmu::WalkResult{}; });
    EXPECT_EQ(walks, 2u);
    EXPECT_TRUE(held.may_hold(request(Tlbi::Kind::Va, kUser, 6)));
}

TEST(HeldTranslations, AWalkHoldsUpWhateverItIsFor) {
    HeldTranslations held;
    held.record(kUser, 5, 12, [&] {
        EXPECT_TRUE(held.may_hold(request(Tlbi::Kind::Va, kKernel, 6))) << "its table may be freed next";
        return mmu::WalkResult{.fault = mmu::FaultKind::Translation};
    });
    EXPECT_FALSE(held.may_hold(request(Tlbi::Kind::Va, kKernel, 6)));
    {
        const HeldTranslations::Walking walking(held);
        EXPECT_TRUE(held.may_hold(request(Tlbi::Kind::Asid, 0, 9)));
    }
    EXPECT_FALSE(held.may_hold(request(Tlbi::Kind::Asid, 0, 9)));
}

TEST(HeldTranslations, AWalkerOrTheInvalidatorSeesTheOther) {
    // Store buffering: one sets its bits and reads the table, one writes the table and reads the bits.
    constexpr unsigned kRounds = 25'000;
    HeldTranslations held;
    std::vector<std::atomic<uint32_t>> table(kRounds);
    std::vector<uint8_t> found(kRounds), asked(kRounds);
    std::atomic<unsigned> walker{0}, invalidator{0};
    const auto meet = [](std::atomic<unsigned>& self, std::atomic<unsigned>& other, unsigned round) {
        self.store(round + 1);
        for (unsigned spins = 0; other.load(std::memory_order_acquire) <= round; ++spins)
            if (spins > 1000) std::this_thread::yield();
    };
    std::thread other([&] {
        for (unsigned i = 0; i < kRounds; ++i) {
            meet(invalidator, walker, i);
            table[i].store(1, std::memory_order_relaxed);
            HeldTranslations::fence();
            asked[i] = held.may_hold(request(Tlbi::Kind::Va, kKernel + (uint64_t{i} << 12), 5));
        }
    });
    for (unsigned i = 0; i < kRounds; ++i) {
        meet(walker, invalidator, i);
        held.record(kKernel + (uint64_t{i} << 12), 5, 12, [&] {
            found[i] = static_cast<uint8_t>(table[i].load(std::memory_order_relaxed));
            return mmu::WalkResult{};
        });
    }
    other.join();
    for (unsigned i = 0; i < kRounds; ++i) ASSERT_TRUE(found[i] != 0 || asked[i] != 0) << i;
}

TEST(HeldTranslations, SaysWhenItIsFull) {
    HeldTranslations held;
    uint64_t pages = 0;
    while (!held.full())
        held.record(pages++ << 12, 5, 12, [] { return mmu::WalkResult{.non_global = true}; });
    EXPECT_GT(pages, 60'000u);
    held.clear();
    EXPECT_FALSE(held.full());
}

}  // namespace
}  // namespace arclight::guestos

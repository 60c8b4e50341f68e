// Tier 2's policy with compilers that fail, and with code that is never run.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <thread>

#include "frontend/a64/frontend.h"
#include "frontend/a64/translate/translator.h"
#include "jit/engine/engine.h"
#include "jit/region_abi.h"

namespace arclight::jit {
namespace {

struct Behaviour {
    std::function<std::string()> compile = [] { return std::string("object"); };
    size_t bytes = 1000;
    bool loads = true, broken = false;
    std::atomic<Assumptions> disabled_assumptions{0};  ///< the last region was not to make these
    std::atomic<unsigned> compiled{0}, loaded{0}, unloaded{0}, destroyed{0};
};

class FakeCompiler final : public RegionCompiler {
  public:
    explicit FakeCompiler(Behaviour& behaviour) : is_(behaviour) {}
    ~FakeCompiler() override { ++is_.destroyed; }
    std::string compile(const Region& region, RegionDump*) override {
        is_.disabled_assumptions = region.disabled_assumptions;
        ++is_.compiled;
        return is_.compile();
    }
    std::optional<RegionCode> load(const std::string&) override {
        if (!is_.loads) return std::nullopt;
        return RegionCode{.entry = this, .bytes = is_.bytes, .handle = ++is_.loaded};
    }
    void unload(uint64_t) override { ++is_.unloaded; }
    const std::string& fingerprint() const override { return name_; }
    bool broken() const override { return is_.broken; }

  private:
    Behaviour& is_;
    const std::string name_ = "fake";
};

class Tier2Test : public testing::Test {
  protected:
    static constexpr uint64_t kBase = 0x4000'0000, kBytes = 1 << 20;
    static constexpr unsigned kLoops = 64;

    Tier2Test() : ram_(kBytes), memory_(ram_.data(), kBase, kBytes) {
        // Loops that count x0 down, each its own block.
        auto* words = reinterpret_cast<uint32_t*>(ram_.data());
        for (unsigned k = 0; k < kLoops; ++k) {
            words[4 * k] = 0xd100'0400 | k << 10;  // sub x0, x0, #k
            words[4 * k + 1] = 0xb5ff'ffe0;        // cbnz x0, -4
            words[4 * k + 2] = 0x1400'0000;        // b .
        }
    }

    Engine& start(Tier2Options options, double min_expected_insns = 0) {
        options.heat = 0;
        return start_as_it_is(options, min_expected_insns);
    }
    Engine& start_as_it_is(Tier2Options options, double min_expected_insns = 0) {
        options.enabled = true;
        options.min_expected_insns = min_expected_insns;
        if (!options.make_compiler || made_by_us_)
            options.make_compiler = [this] { return std::make_unique<FakeCompiler>(is_); };
        engine_ = std::make_unique<Engine>(frontend::a64::frontend(), memory_,
                                           EngineOptions{.code_bytes = 8 << 20, .tier2 = options});
        return *engine_;
    }
    /// Translates the nth loop, and says that it ran often enough. Counters are given out in order.
    void promote(unsigned nth) {
        ASSERT_NE(engine_->entry(kBase + 16 * nth, a64_mode()), nullptr);
        ASSERT_NE(engine_->promote(nth), nullptr);
    }
    static uint32_t a64_mode() { return frontend::a64::translation_flag::kEl1; }

    template <typename F>
    bool eventually(F&& holds, unsigned looks = 2000) {
        for (unsigned k = 0; k < looks; ++k) {
            if (holds(engine_->tier2_stats())) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        return false;
    }

    std::vector<uint8_t> ram_;
    mmu::GuestMemory memory_;
    Behaviour is_;
    bool made_by_us_ = true;
    std::unique_ptr<Engine> engine_;
};

TEST_F(Tier2Test, ARegionIsMadeAndGoesWithItsCode) {
    start({.synchronous = true, .threshold = 1});
    promote(0);
    EXPECT_EQ(engine_->tier2_stats().live, 1u);
    EXPECT_TRUE(engine_->invalidate(kBase, 4));
    EXPECT_EQ(engine_->tier2_stats().live, 0u);
    EXPECT_EQ(engine_->tier2_stats().live_bytes, 0u);
    EXPECT_EQ(is_.unloaded, 1u);
}

TEST_F(Tier2Test, FailuresInARowStopItAndNothingElse) {
    is_.compile = []() -> std::string { throw std::runtime_error("no such luck"); };
    start({.synchronous = true, .threshold = 1});
    testing::internal::CaptureStderr();
    for (unsigned k = 0; k < 10; ++k) promote(k);
    const std::string said = testing::internal::GetCapturedStderr();
    const Tier2Stats stats = engine_->tier2_stats();
    EXPECT_TRUE(stats.stopped);
    EXPECT_EQ(stats.failed, 5u);
    EXPECT_EQ(is_.compiled, 5u);
    EXPECT_EQ(stats.live, 0u);
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
    EXPECT_NE(said.find("no such luck"), std::string::npos) << said;
}

TEST_F(Tier2Test, FailuresNowAndThenDoNot) {
    unsigned n = 0;
    is_.compile = [&]() -> std::string {
        if (n++ % 2 != 0) throw std::bad_alloc();
        return "object";
    };
    start({.synchronous = true, .threshold = 1});
    for (unsigned k = 0; k < kLoops; ++k) promote(k);
    EXPECT_FALSE(engine_->tier2_stats().stopped);
    EXPECT_EQ(engine_->tier2_stats().failed, kLoops / 2);
    EXPECT_EQ(engine_->tier2_stats().live, kLoops / 2);
}

TEST_F(Tier2Test, CodeThatDoesNotLoadIsAFailure) {
    is_.loads = false;
    start({.synchronous = true, .threshold = 1});
    promote(0);
    EXPECT_EQ(engine_->tier2_stats().failed, 1u);
    EXPECT_EQ(engine_->tier2_stats().live, 0u);
}

TEST_F(Tier2Test, ABrokenCompilerIsLeftAlone) {
    start({.synchronous = true, .threshold = 1});
    promote(0);
    is_.compile = [&]() -> std::string {
        is_.broken = true;
        throw std::runtime_error("LLVM gave up");
    };
    promote(1);
    promote(2);
    EXPECT_TRUE(engine_->tier2_stats().stopped);
    EXPECT_EQ(is_.compiled, 2u);
    EXPECT_EQ(engine_->tier2_stats().live, 1u);
    EXPECT_TRUE(engine_->invalidate(kBase, 4));
    EXPECT_EQ(engine_->tier2_stats().live, 0u);
    engine_.reset();
    EXPECT_EQ(is_.unloaded, 0u);
    EXPECT_EQ(is_.destroyed, 0u);
}

TEST_F(Tier2Test, WithoutACompilerTheGuestGoesOn) {
    made_by_us_ = false;
    for (const bool synchronous : {true, false}) {
        start({.synchronous = synchronous,
               .threshold = 1,
               .make_compiler = []() -> std::unique_ptr<RegionCompiler> {
                   throw std::runtime_error("no module");
               }});
        promote(0);
        EXPECT_TRUE(eventually([](const Tier2Stats& s) { return s.stopped; }));
        promote(1);
    }
}

TEST_F(Tier2Test, ACompilerIsMadeForARegionThatIsWorthIt) {
    constexpr double kWorthNothing = 1e12;
    made_by_us_ = false;
    for (const bool worth : {false, true}) {
        std::atomic<unsigned> made{0};
        start({.threshold = 1'000'000,
               .budget = 100,
               .make_compiler =
                   [&] {
                       ++made;
                       return std::make_unique<FakeCompiler>(is_);
                   }},
              worth ? 0 : kWorthNothing);
        for (unsigned k = 0; k < 2; ++k) promote(k);
        EXPECT_TRUE(eventually([&](const Tier2Stats& s) { return (worth ? s.live : s.rejected) == 2; }));
        EXPECT_EQ(made, worth ? 1u : 0u);
        engine_.reset();
    }
}

TEST_F(Tier2Test, AWorkerThatFailsIsStoppedToo) {
    is_.compile = []() -> std::string { throw std::runtime_error("never"); };
    start({.threshold = 1, .budget = 100});
    for (unsigned k = 0; k < 10; ++k) promote(k);
    EXPECT_TRUE(eventually([](const Tier2Stats& s) { return s.stopped; }));
    EXPECT_EQ(engine_->tier2_stats().failed, 5u);
}

TEST_F(Tier2Test, TheCodeLimitHoldsAndWhatIsEnteredStays) {
    is_.bytes = 4096;  // two pages with its constants
    start({.synchronous = true, .threshold = 1, .code_bytes = 10 * 8192});
    const uint32_t first = jit::CodeBuffer::kCounters - Tier2::kEntryCounters;
    uint32_t* counters = engine_->code().counters();
    promote(0);
    // The counter that the stub of loop 0 counts in: the only one that was given out.
    const uint32_t of_loop0 = first;
    for (unsigned k = 1; k < kLoops; ++k) {
        ++counters[of_loop0];
        promote(k);
        ASSERT_LE(engine_->tier2_stats().live_bytes, 10u * 8192);
    }
    const Tier2Stats stats = engine_->tier2_stats();
    EXPECT_EQ(stats.live, 10u);
    EXPECT_EQ(stats.evicted, kLoops - 10);
    EXPECT_EQ(is_.unloaded, kLoops - 10);
    EXPECT_GT(stats.entered, kLoops / 2);  // loop 0 is there still
    // An evicted one may come back.
    promote(1);
    EXPECT_EQ(engine_->tier2_stats().compiled, kLoops + 1u);
}

TEST_F(Tier2Test, ARegionLargerThanTheLimitIsNotKept) {
    is_.bytes = 1 << 20;
    start({.synchronous = true, .threshold = 1, .code_bytes = 65536});
    for (unsigned k = 0; k < 5; ++k) promote(k);
    EXPECT_EQ(engine_->tier2_stats().live, 0u);
    EXPECT_GE(is_.unloaded + 1, is_.loaded);
}

TEST_F(Tier2Test, StubsAreUsedAgain) {
    is_.bytes = 4096;
    start({.synchronous = true, .threshold = 1, .code_bytes = 65536});
    for (unsigned k = 0; k < kLoops; ++k) promote(k);
    const size_t used = engine_->code().cold_used();
    for (unsigned round = 0; round < 50; ++round)
        for (unsigned k = 0; k < kLoops; ++k) promote(k);
    EXPECT_GT(engine_->tier2_stats().compiled, 2000u);
    EXPECT_LE(engine_->code().cold_used(), used + 4096);
}

/// As if guest code entered the newest region `times` times for `cycles` cycles, until `holds` or for `looks`
/// looks at it.
template <typename F>
bool entered(uint32_t* counters, uint32_t times, uint32_t cycles, unsigned looks, F&& holds) {
    for (unsigned k = 0; k < looks * 10; ++k) {
        std::atomic_ref(counters[0]) += times;
        std::atomic_ref(counters[1]) += times * cycles;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        if (holds()) return true;
    }
    return false;
}

TEST_F(Tier2Test, ARegionThatIsLeftAtOnceIsGivenUpAndMadeAgainAFewTimes) {
    start({.threshold = 1, .budget = 100});
    uint32_t* counters = engine_->code().counters() + jit::CodeBuffer::kCounters - Tier2::kEntryCounters;
    const auto stats = [&] { return engine_->tier2_stats(); };
    for (unsigned round = 1; round <= 3; ++round) {
        promote(0);
        ASSERT_TRUE(eventually([](const Tier2Stats& s) { return s.live == 1; })) << round;
        EXPECT_TRUE(entered(counters, 10'000, 100, 200, [&] { return stats().deoptimised == round; }));
        EXPECT_EQ(stats().live, 0u);
    }
    promote(0);
    promote(1);  // another one is made still
    ASSERT_TRUE(eventually([](const Tier2Stats& s) { return s.live == 1; }));
    EXPECT_EQ(stats().compiled, 4u);
    EXPECT_EQ(stats().recompiled, 2u);
    EXPECT_EQ(stats().dropped, 3u);
}

TEST_F(Tier2Test, ARegionThatStaysOrIsSeldomEnteredIsKept) {
    start({.threshold = 1, .budget = 100});
    uint32_t* counters = engine_->code().counters() + jit::CodeBuffer::kCounters - Tier2::kEntryCounters;
    const auto given_up = [&] { return engine_->tier2_stats().deoptimised != 0; };
    promote(0);
    ASSERT_TRUE(eventually([](const Tier2Stats& s) { return s.live == 1; }));
    EXPECT_FALSE(entered(counters, 10'000, 1000, 10, given_up));
    EXPECT_FALSE(entered(counters, 100, 10, 10, given_up));
    EXPECT_EQ(engine_->tier2_stats().live, 1u);
}

TEST_F(Tier2Test, ARegionWhoseAssumptionsFailIsCompiledAgainWithoutThem) {
    std::vector<uint32_t> epochs(Tier2::kGuards);
    std::atomic<uint64_t> passes{0};
    FailedAssumptions wrong{};
    start({.threshold = 1, .budget = 100});
    engine_->add_cpu({&passes, epochs.data(), &wrong});
    uint32_t* exits = engine_->code().counters() + jit::CodeBuffer::kCounters - 2 * Tier2::kEntryCounters;
    const auto left = [&](unsigned looks, Assumptions assumptions) {
        const uint64_t until_now = engine_->tier2_stats().deoptimised;
        for (unsigned k = 0; k < looks * 10; ++k) {
            std::atomic_ref(exits[0]) += 10'000;
            if (assumptions != 0) std::atomic_ref(wrong.count) += 10'000;
            std::atomic_ref(wrong.which) |= assumptions;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
            if (engine_->tier2_stats().deoptimised != until_now) return true;
        }
        return false;
    };
    promote(0);
    ASSERT_TRUE(eventually([](const Tier2Stats& s) { return s.live == 1; }));
    EXPECT_FALSE(left(10, 0)) << "there are other reasons to leave";
    EXPECT_TRUE(left(200, 5));
    EXPECT_EQ(is_.disabled_assumptions, 0u);
    const auto again = [&] {
        promote(0);
        return eventually([](const Tier2Stats& s) { return s.live == 1; });
    };
    ASSERT_TRUE(again());
    EXPECT_EQ(is_.disabled_assumptions, 5u);
    EXPECT_TRUE(left(200, 8));
    ASSERT_TRUE(again());
    EXPECT_EQ(is_.disabled_assumptions, 13u);
    EXPECT_TRUE(left(200, 8));
    ASSERT_TRUE(again());
    EXPECT_EQ(is_.disabled_assumptions, kEveryAssumption) << "not those alone, or they have names of others";
    promote(1);
    ASSERT_TRUE(eventually([](const Tier2Stats& s) { return s.live == 2; }));
    EXPECT_EQ(is_.disabled_assumptions, 0u) << "other code may assume it";
}

TEST_F(Tier2Test, ARegionThatIsNotEnteredForAFailedAssumptionIsCompiledAgainEvenIfThatIsSeldom) {
    std::vector<uint32_t> epochs(Tier2::kGuards);
    std::atomic<uint64_t> passes{0};
    FailedAssumptions wrong{};
    start({.threshold = 1, .budget = 100});
    engine_->add_cpu({&passes, epochs.data(), &wrong});
    uint32_t* entries = engine_->code().counters() + jit::CodeBuffer::kCounters - Tier2::kEntryCounters;
    uint32_t* exits = entries - Tier2::kEntryCounters;
    const auto entered = [&](uint32_t wrong_in_five) {
        for (unsigned k = 0; k < 100; ++k) {
            std::atomic_ref(entries[0]) += 5;
            std::atomic_ref(exits[0]) += wrong_in_five;
            std::atomic_ref(wrong.count) += wrong_in_five * kFailedAtEntry;
            std::atomic_ref(wrong.which) |= kAssumptionAtEntry;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
            if (engine_->tier2_stats().deoptimised != 0) return true;
        }
        return false;
    };
    promote(0);
    ASSERT_TRUE(eventually([](const Tier2Stats& s) { return s.live == 1; }));
    EXPECT_FALSE(entered(1)) << "four of five times it is right";
    EXPECT_TRUE(entered(5));
}

TEST_F(Tier2Test, NothingIsMadeOnceTheCpusMayGo) {
    std::vector<uint32_t> epochs(Tier2::kGuards);
    std::atomic<uint64_t> passes{0};
    start({.threshold = 1, .budget = 100});
    engine_->add_cpu({&passes, epochs.data()});
    promote(0);
    ASSERT_TRUE(eventually([](const Tier2Stats& s) { return s.live == 1; }));
    for (unsigned k = 1; k < 20; ++k) promote(k);
    engine_->stop_compiling();
    const unsigned compiled = is_.compiled;
    for (unsigned k = 20; k < 40; ++k) promote(k);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_EQ(is_.compiled, compiled);
    EXPECT_EQ(engine_->tier2_stats().compiled, compiled);
    engine_->stop_compiling();  // again
}

/// Counts down as translated code does, not atomically, for as long as it lives.
class CountingCpu {
  public:
    explicit CountingCpu(uint32_t* counter)
        : thread_([this, counter] {
              while (!end_.load(std::memory_order_relaxed)) asm volatile("subl $1, %0" : "+m"(*counter));
          }) {}
    ~CountingCpu() {
        end_ = true;
        thread_.join();
    }

  private:
    std::atomic<bool> end_{false};
    std::thread thread_;
};

TEST_F(Tier2Test, ACounterThatTheWorkerSetsIsSet) {
    // A region that is not worth while: its block is to ask again after some thresholds, which the worker
    // says while the block runs. If a CPU undoes that, it does not ask for as good as ever.
    constexpr uint32_t kAgain = 1000;
    constexpr double kWorthNothing = 1e12;
    start({.threshold = 1'000'000, .budget = 100}, kWorthNothing);
    uint32_t* counters = engine_->code().counters();
    for (unsigned k = 0; k < kLoops; ++k) {
        ASSERT_NE(engine_->entry(kBase + 16 * k, a64_mode()), nullptr);
        const CountingCpu cpu(&counters[k]);
        ASSERT_NE(engine_->promote(k), nullptr);
        ASSERT_TRUE(eventually([&](const Tier2Stats& s) { return s.rejected == k + 1; }));
        // As good as ever takes some seconds here.
        EXPECT_TRUE(eventually(
            [&](const Tier2Stats&) {
                const auto left = static_cast<int32_t>(std::atomic_ref(counters[k]).load());
                return left <= int32_t{kAgain * 1'000'000};  // below zero: it asks at once
            },
            200))
            << "block " << k;
    }
}

/// Instructions that the first loop has executed when it is compiled.
class Patience : public Tier2Test {
  protected:
    double executed(const Tier2Options& options) {
        constexpr uint32_t kQueued = 0x7fff'fffe;
        constexpr unsigned kInsns = 3;  // of the loop's block
        start_as_it_is(options);
        EXPECT_NE(engine_->entry(kBase, a64_mode()), nullptr);
        uint64_t runs = 0;
        for (unsigned round = 0; round < 1000 && engine_->tier2_stats().compiled == 0; ++round) {
            const std::atomic_ref counter(engine_->code().counters()[0]);
            runs += counter + 1;
            counter = ~0u;
            EXPECT_NE(engine_->promote(0), nullptr);
            EXPECT_TRUE(
                eventually([&](const Tier2Stats& s) { return s.compiled == 1 || counter != kQueued; }));
        }
        EXPECT_EQ(engine_->tier2_stats().compiled, 1u);
        return double(runs * kInsns);
    }
    static constexpr double kHeat = 3e6;
    static Tier2Options options(double patience) {
        return {.threshold = 1000, .heat = static_cast<uint64_t>(kHeat), .patience = patience, .budget = 1e9};
    }
};

TEST_F(Patience, TheFirstRegionWaitsForWhatLoadingCosts) {
    const double n = executed(options(1));
    EXPECT_GE(n, kHeat);
    EXPECT_LT(n, 2 * kHeat);
}

TEST_F(Patience, AndLongerBeforeAnythingWasSaved) {
    const double n = executed(options(6));
    EXPECT_GE(n, 6 * kHeat);
    EXPECT_LT(n, 12 * kHeat);
}

}  // namespace
}  // namespace arclight::jit

// Promotion by samples (Tier2Options::sampled): blocks execute no counter but while they are profiled.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "backend/process_accelerator.h"
#include "frontend/a64/frontend.h"
#include "frontend/a64/translation_flags.h"
#include "jit/engine/compile_budget.h"
#include "jit/engine/engine.h"
#include "jit/runtime_entries.h"
#include "jit/translation_flags.h"

namespace arclight::jit {
namespace {

using std::chrono::milliseconds;

/// Never executed.
class NoCode final : public RegionCompiler {
  public:
    explicit NoCode(std::atomic<unsigned>& compiled) : compiled_(compiled) {}
    std::string compile(const Region&, RegionDump*) override {
        ++compiled_;
        return "object";
    }
    std::optional<RegionCode> load(const std::string&) override {
        return RegionCode{.entry = this, .bytes = 64, .handle = 1};
    }
    void unload(uint64_t) override {}
    const std::string& fingerprint() const override { return name_; }
    bool broken() const override { return false; }

  private:
    std::atomic<unsigned>& compiled_;
    const std::string name_ = "none";
};

/// A loop in a loop. Counters are given out in the order in which the blocks are first executed.
class Sampled : public testing::Test {
  protected:
    static constexpr uint64_t kBase = 0x4000'0000;
    static constexpr uint32_t kFlags = frontend::a64::translation_flag::kEl1 | translation_flag::kSerial;
    static constexpr unsigned kTurns = 100;  ///< of the inner loop
    enum Block : unsigned { kOuter, kInner, kOuterEnd, kAfter, kBlocks };
    static constexpr std::array<uint64_t, kBlocks> kOffset{0, 12, 28, 44};

    Sampled() : ram_(kPageSize), memory_(ram_.data(), kBase, ram_.size()) {
        constexpr uint32_t kNop = 0xd503'201f;
        constexpr uint32_t kCode[] = {
            0xd280'0001 | kTurns << 5,  // mov x1, #kTurns
            0x1400'0002,
            kNop,         // b +8
            0xd100'0421,  // sub x1, x1, #1
            0xb5ff'ffe1,  // cbnz x1, -4
            0x1400'0002,
            kNop,         // b +8
            0xd100'0400,  // sub x0, x0, #1
            0xb5ff'ff00,  // cbnz x0, -32
            0x1400'0002,
            kNop,         // b +8
            0xd400'0001,  // svc #0
        };
        std::memcpy(ram_.data(), kCode, sizeof kCode);
        for (uint64_t k = 0; k < mmu::kJumpCacheLines; ++k)
            tlb_->jump_cache[k] = mmu::JumpCacheEntry::empty(k);
        GuestState& s = *state_;
        s.tlb = s.user_tlb = tlb_.get();
        s.guest_fp_control = 0x1f80;
        s.exclusive_addr = kNoExclusive;
        s.cpu = this;
        s.runtime.entry[kLookupDirect] =
            reinterpret_cast<const void*>(LookupFn{[](GuestState& t, uint64_t slot) {
                auto& self = *static_cast<Sampled*>(t.cpu);
                return self.engine_
                    ->entry_and_link(t.pc, kFlags, static_cast<uint32_t>(slot), t.tlb->epoch, &t)
                    .code;
            }});
        s.runtime.entry[kPromote] =
            reinterpret_cast<const void*>(LookupFn{[](GuestState& t, uint64_t counter) {
                return static_cast<Sampled*>(t.cpu)->engine_->promote(static_cast<uint32_t>(counter), &t);
            }});
    }

    void start(Tier2Options options) {
        options.enabled = true;
        options.budget = 100;
        options.min_expected_insns = 0;
        options.make_compiler = [this] { return std::make_unique<NoCode>(compiled_); };
        engine_ = std::make_unique<Engine>(frontend::a64::frontend(), memory_,
                                           EngineOptions{.code_bytes = 8 << 20, .tier2 = options});
        accelerator_ = std::make_unique<backend::ProcessAccelerator>(engine_->code());
    }
    void run(uint64_t turns) {
        state_->pc = kBase;
        state_->x[0] = turns;
        while (state_->pc != kBase + kOffset[kAfter] || state_->exit_reason != ExitReason::Svc) {
            const void* code = engine_->entry(state_->pc, kFlags, state_.get());
            ASSERT_NE(code, nullptr);
            accelerator_->run(*state_, code);
        }
        EXPECT_EQ(state_->x[0], 0u);
        EXPECT_EQ(state_->x[1], 0u);
        state_->exit_reason = ExitReason::None;
    }
    std::array<uint32_t, kBlocks> counters() {
        std::array<uint32_t, kBlocks> now{};
        std::copy_n(engine_->code().counters(), now.size(), now.begin());
        return now;
    }
    /// A CPU was found in the block, for so long.
    void sample(Block block, milliseconds cpu) {
        engine_->sample(engine_->entry(kBase + kOffset[block], kFlags, state_.get()), cpu);
    }

    std::vector<uint8_t> ram_;
    mmu::GuestMemory memory_;
    std::unique_ptr<GuestState> state_ = std::make_unique<GuestState>();
    std::unique_ptr<mmu::SoftTlb> tlb_ = std::make_unique<mmu::SoftTlb>();
    std::atomic<unsigned> compiled_{0};
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<backend::ProcessAccelerator> accelerator_;
};

TEST_F(Sampled, NoCounterIsExecutedBeforeABlockIsFoundOften) {
    start({.sampled = true});
    run(10'000);
    sample(kInner, milliseconds(15));
    run(1000);
    EXPECT_EQ(counters(), (std::array<uint32_t, kBlocks>{}));
    start({});
    run(1000);
    const auto counted = counters();
    EXPECT_NE(counted[kOuter], 0u) << "counters are those of the blocks";
    EXPECT_NE(counted[kInner], 0u);
    EXPECT_NE(counted[kOuterEnd], 0u);
}

TEST_F(Sampled, WhatIsFoundOftenIsProfiledWithWhatItGoesOnToAndThenCountsNoMore) {
    start({.sampled = true});
    run(10);
    sample(kInner, milliseconds(20));
    run(10);
    const auto begun = counters();
    EXPECT_NE(begun[kInner], 0u);
    EXPECT_EQ(begun[kOuterEnd], 0u) << "the profile of the inner loop is not there yet";
    run(1000);
    const auto settled = counters();
    EXPECT_NE(settled[kOuter], 0u);
    EXPECT_NE(settled[kOuterEnd], 0u);
    EXPECT_EQ(settled[kAfter], 0u) << "it has hardly been executed";
    EXPECT_EQ(engine_->tier2_stats().promoted, 1u);
    run(10'000);
    EXPECT_EQ(counters(), settled);
    EXPECT_EQ(compiled_, 0u);
}

TEST_F(Sampled, ARegionIsCompiledWhenTheTimeInItsCodeIsEnough) {
    const Tier2Options options{.sampled = true};
    start(options);
    run(10);
    sample(kInner, milliseconds(20));
    run(1000);
    constexpr unsigned kInsns = 8;  // of both loops
    const double enough = CompileBudget(options).needed({.guest_insns = kInsns, .loads_compiler = true}) *
                          CompileBudget::kTier1Ns / 1e6;
    unsigned sampled = 20;
    for (; sampled < 100 * enough && compiled_ == 0; sampled += 2) {
        sample(sampled % 4 == 0 ? kInner : kOuterEnd, milliseconds(2));
        std::this_thread::sleep_for(milliseconds(1));
    }
    EXPECT_EQ(compiled_, 1u);
    EXPECT_GE(sampled, enough);
}

TEST_F(Sampled, OtherCodeIsNone) {
    start({.sampled = true});
    run(10);
    const int elsewhere = 0;
    for (unsigned k = 0; k < 100; ++k) {
        engine_->sample(&elsewhere, milliseconds(20));
        engine_->sample(engine_->code().base(), milliseconds(20));  // stubs
    }
    run(1000);
    EXPECT_EQ(counters(), (std::array<uint32_t, kBlocks>{}));
    EXPECT_EQ(engine_->tier2_stats().promoted, 0u);
}

TEST_F(Sampled, CodeThatHasChangedBeginsAnew) {
    start({.sampled = true});
    run(10);
    sample(kInner, milliseconds(20));
    EXPECT_TRUE(engine_->invalidate(kBase, kPageSize));
    run(1000);
    std::array<uint32_t, kBlocks> again{};
    std::copy_n(engine_->code().counters() + kBlocks, again.size(), again.begin());
    EXPECT_EQ(again, (std::array<uint32_t, kBlocks>{}));
    sample(kInner, milliseconds(20));
    run(1000);
    std::copy_n(engine_->code().counters() + kBlocks, again.size(), again.begin());
    EXPECT_NE(again[kInner], 0u);
}

}  // namespace
}  // namespace arclight::jit

// When a compiled region is entered, and when its memory is freed.
#include "jit/engine/region_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <vector>

#include "jit/host_code.h"
#include "jit/ir/ir.h"

namespace arclight::jit {
namespace {

class RegionTableTest : public testing::Test {
  protected:
    static constexpr uint64_t kPage = 4096;
    static constexpr uint64_t kFootprint = 2 * kPage;  ///< of one region: its code, and its constants

    RegionTableTest()
        : code_(8 << 20),
          table_(code_, 3 * kFootprint,
                 {.unload = [this](uint64_t handle) { unloaded_.push_back(handle); },
                  .on_unpatched = [this](TranslationBlock& b) { unpatched_.push_back(&b); }}) {
        for (unsigned k = 0; k < 2; ++k) {
            guard_epochs_[k].assign(RegionTable::kGuards, 1);
            table_.add_cpu(&epochs_[k], guard_epochs_[k].data());
        }
    }
    ~RegionTableTest() override { table_.reset(); }

    /// Translated to a jump to itself.
    TranslationBlock& make_block() {
        auto block = std::make_unique<TranslationBlock>();
        ir::Block ir;
        ir.pa = block->pa = 0x4000'0000 + 16 * blocks_.size();
        ir::Builder b(ir);
        b.insn_start(0, 0);
        b.emit(ir::Op::Exit, ir::Type::Void, {}, 0);
        block->counter = static_cast<uint32_t>(blocks_.size());
        block->code = compile(ir, code_, 100, block->counter);
        EXPECT_EQ(block->code.status, CompileStatus::Ok);
        blocks_.push_back(std::move(block));
        return *blocks_.back();
    }
    CompiledRegion* admit(TranslationBlock& entry, std::vector<RegionPage> pages = {}) {
        auto region = std::make_unique<CompiledRegion>();
        region->entry = &entry;
        region->members = {&entry};
        region->pages = std::move(pages);
        return table_.admit(std::move(region));
    }
    RegionCode next_code() {
        ++handle_;
        return {.entry = host_ + 64 * handle_, .bytes = 64, .handle = handle_, .faults = kFaults};
    }
    CompiledRegion& publish(TranslationBlock& entry, std::vector<RegionPage> pages = {}) {
        CompiledRegion* region = admit(entry, std::move(pages));
        EXPECT_NE(region, nullptr);
        table_.set_code(*region, next_code());
        table_.publish(*region);
        return *region;
    }
    static std::vector<uint8_t> entry_bytes(const TranslationBlock& block) {
        return {block.code.entry, block.code.entry + block.code.hot_bytes};
    }
    void count_entry(const CompiledRegion& region) { ++code_.counters()[region.entries]; }

    static constexpr FaultingAccess kFaults[] = {{.access = 8, .side_exit = 32}};
    std::vector<std::unique_ptr<TranslationBlock>> blocks_;
    std::vector<uint64_t> unloaded_;  ///< handles
    std::vector<const TranslationBlock*> unpatched_;
    std::atomic<uint64_t> epochs_[2] = {};
    std::vector<uint32_t> guard_epochs_[2];
    uint8_t host_[64 * 64] = {};  ///< stands for compiled code
    uint64_t handle_ = 0;
    CodeBuffer code_;
    RegionTable table_;
};

TEST_F(RegionTableTest, ALiveRegionIsEnteredAtItsBlockUntilItIsRetired) {
    TranslationBlock& block = make_block();
    const std::vector<uint8_t> before = entry_bytes(block);
    CompiledRegion& region = publish(block);
    EXPECT_EQ(region.life.now(), RegionState::Live);
    EXPECT_NE(entry_bytes(block), before);
    EXPECT_EQ(block.regions, CompactVector{&region});
    EXPECT_EQ(table_.stats().live, 1u);
    EXPECT_EQ(table_.stats().live_bytes, kFootprint);
    table_.retire(region);
    EXPECT_EQ(entry_bytes(block), before);
    EXPECT_TRUE(block.regions.empty());
    EXPECT_EQ(unpatched_, std::vector<const TranslationBlock*>{&block});
    EXPECT_EQ(table_.stats().live, 0u);
    EXPECT_EQ(table_.stats().live_bytes, 0u);
    table_.retire(region);  // again
    EXPECT_EQ(table_.stats().dropped, 1u);
}

TEST_F(RegionTableTest, ARegionThatIsRetiredWhileItIsCompiledNeverBecomesLive) {
    TranslationBlock& block = make_block();
    const std::vector<uint8_t> before = entry_bytes(block);
    CompiledRegion* region = admit(block);
    ASSERT_NE(region, nullptr);
    table_.pin(region);
    table_.retire(*region);
    EXPECT_TRUE(unpatched_.empty());
    table_.reclaim();
    EXPECT_EQ(table_.retired_regions(), 1u) << "the compiler has it still";
    table_.set_code(*region, next_code());
    EXPECT_TRUE(region->life.retired());
    EXPECT_EQ(entry_bytes(block), before);
    table_.pin(nullptr);
    table_.reclaim();
    EXPECT_EQ(table_.retired_regions(), 0u);
    EXPECT_EQ(unloaded_, std::vector<uint64_t>{1});
}

TEST_F(RegionTableTest, CodeIsFreedWhenNoCpuCanBeInIt) {
    CompiledRegion& region = publish(make_block());
    epochs_[0] = 7;  // inside
    epochs_[1] = 4;  // outside
    table_.retire(region);
    table_.reclaim();
    EXPECT_TRUE(unloaded_.empty());
    epochs_[1] = 5;  // comes in later: nothing leads there any more
    table_.reclaim();
    EXPECT_TRUE(unloaded_.empty());
    epochs_[0] = 8;
    table_.reclaim();
    EXPECT_EQ(unloaded_, std::vector<uint64_t>{1});
    EXPECT_EQ(table_.retired_regions(), 0u);
}

TEST_F(RegionTableTest, ACpuThatWasOutsideSinceMayBeInsideAgain) {
    CompiledRegion& region = publish(make_block());
    epochs_[0] = epochs_[1] = 7;
    table_.retire(region);
    epochs_[0] = 9;
    table_.reclaim();
    EXPECT_TRUE(unloaded_.empty()) << "the other one has not been";
    epochs_[1] = 1001;
    table_.reclaim();
    EXPECT_EQ(unloaded_, std::vector<uint64_t>{1});
}

TEST_F(RegionTableTest, EachRegionHasItsOwnEpoch) {
    CompiledRegion& first = publish(make_block());
    CompiledRegion& second = publish(make_block());
    epochs_[0] = 1;
    table_.retire(first);
    epochs_[0] = 3;
    table_.retire(second);
    table_.reclaim();
    EXPECT_EQ(unloaded_, std::vector<uint64_t>{1});
    epochs_[0] = 4;
    table_.reclaim();
    EXPECT_EQ(unloaded_, (std::vector<uint64_t>{1, 2}));
}

TEST_F(RegionTableTest, ARetiredRegionsFaultsAreFoundUntilItIsFreed) {
    CompiledRegion& region = publish(make_block());
    const auto* entry = static_cast<const uint8_t*>(region.code.entry);
    EXPECT_EQ(table_.side_exit(entry + 8), entry + 32);
    EXPECT_EQ(table_.side_exit(entry + 9), nullptr) << "no access is there";
    EXPECT_EQ(table_.side_exit(entry + 64), nullptr) << "that is behind it";
    EXPECT_EQ(table_.side_exit(entry - 1), nullptr);
    epochs_[0] = 1;
    table_.retire(region);
    table_.reclaim();
    EXPECT_EQ(table_.side_exit(entry + 8), entry + 32);
    epochs_[0] = 2;
    table_.reclaim();
    EXPECT_EQ(table_.side_exit(entry + 8), nullptr);
}

TEST_F(RegionTableTest, AGuardIsGivenOutAgainWhenItsRegionIsFreed) {
    TranslationBlock& block = make_block();
    CompiledRegion& region = publish(block, {{.offset = 4096, .pa = 0x5000'0000}});
    const uint32_t guard = region.guard;
    ASSERT_NE(guard, kNoCounter);
    EXPECT_EQ(guard_epochs_[0][guard], kUnlinkedEpoch);
    EXPECT_EQ(guard_epochs_[1][guard], kUnlinkedEpoch);
    RegionEntryCheck check = table_.entry_check(guard);
    ASSERT_EQ(check.pages.size(), 1u);
    EXPECT_EQ(check.pages[0].pa, 0x5000'0000u);
    EXPECT_EQ(check.inside, after_guard(region.stub));
    EXPECT_EQ(check.outside, block.code.body);
    epochs_[0] = 1;  // perhaps on its way to the guard
    table_.retire(region);
    table_.reclaim();
    check = table_.entry_check(guard);
    EXPECT_EQ(check.inside, block.code.body) << "never into a retired region";
    EXPECT_NE(publish(make_block(), {{.offset = 4096, .pa = 0x5000'0000}}).guard, guard);
    epochs_[0] = 2;
    table_.reclaim();
    EXPECT_EQ(publish(make_block(), {{.offset = 4096, .pa = 0x5000'0000}}).guard, guard);
}

TEST_F(RegionTableTest, TheRegionEnteredLeastRecentlyMakesRoom) {
    CompiledRegion& first = publish(make_block());
    publish(make_block());
    CompiledRegion& third = publish(make_block());
    count_entry(first);
    publish(make_block());
    EXPECT_EQ(unloaded_, std::vector<uint64_t>{2});
    EXPECT_EQ(first.life.now(), RegionState::Live);
    EXPECT_EQ(third.life.now(), RegionState::Live);
    EXPECT_EQ(table_.stats().live, 3u);
    EXPECT_EQ(table_.stats().evicted, 1u);
    EXPECT_EQ(table_.stats().entered, 1u);
}

TEST_F(RegionTableTest, TimingChangesTheStub) {
    TranslationBlock& block = make_block();
    CompiledRegion& region = publish(block);
    const std::vector<uint8_t> plain = entry_bytes(block);
    EXPECT_TRUE(table_.set_timed(region, true));
    EXPECT_EQ(region.life.now(), RegionState::Timed);
    EXPECT_NE(entry_bytes(block), plain);
    EXPECT_TRUE(table_.set_timed(region, false));
    EXPECT_EQ(region.life.now(), RegionState::Resting);
    EXPECT_EQ(entry_bytes(block), plain);
    EXPECT_EQ(table_.stats().live, 1u);
}

TEST_F(RegionTableTest, ResetFreesEverything) {
    CompiledRegion& retired = publish(make_block());
    epochs_[0] = 1;
    table_.retire(retired);
    publish(make_block());
    admit(make_block());
    table_.reset();
    EXPECT_EQ(unloaded_.size(), 2u);
    EXPECT_EQ(table_.retired_regions(), 0u);
    EXPECT_TRUE(table_.regions().empty());
    EXPECT_EQ(table_.stats().live, 0u);
    EXPECT_EQ(table_.stats().dropped, 3u);
}

TEST_F(RegionTableTest, AStubOfAPinnedRegionIsNotUsedAgainAfterAReset) {
    CompiledRegion& filed = publish(make_block());
    const uint8_t* stub = filed.stub;
    table_.pin(&filed);  // it is being written to disk
    table_.reset();
    code_.reset();
    EXPECT_EQ(table_.retired_regions(), 1u);
    table_.pin(nullptr);
    table_.reclaim();
    EXPECT_EQ(table_.retired_regions(), 0u);
    // Other code is where the stub was: the next stub must not be written over it.
    const size_t first = blocks_.size();
    for (unsigned k = 0; k < 16; ++k) make_block();
    ASSERT_GT(code_.base() + code_.size() / 2 + code_.cold_used(), stub);
    std::vector<std::vector<uint8_t>> cold;
    for (size_t k = first; k < blocks_.size(); ++k) {
        const CompiledBlock& c = blocks_[k]->code;
        cold.emplace_back(c.cold, c.cold + c.cold_bytes);
    }
    publish(*blocks_[first]);
    for (size_t k = 0; k < cold.size(); ++k)
        EXPECT_EQ(std::memcmp(blocks_[first + k]->code.cold, cold[k].data(), cold[k].size()), 0) << k;
}

}  // namespace
}  // namespace arclight::jit

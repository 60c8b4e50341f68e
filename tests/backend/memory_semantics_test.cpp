// What accesses do to bytes, where it is easy to get wrong: extension, pairs, exclusives, small atomics.
#include "jit/memory_semantics.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>

namespace arclight::jit {
namespace {

class MemorySemanticsTest : public testing::Test {
  protected:
    uint64_t* values() { return state_->access_value; }
    void put(std::initializer_list<uint64_t> words) {
        std::memcpy(bytes_, std::data(words), 8 * words.size());
    }
    uint64_t word(unsigned k) const {
        uint64_t v;
        std::memcpy(&v, bytes_ + 8 * k, 8);
        return v;
    }
    void perform(MemoryKind kind, unsigned log2, uint32_t flags = 0,
                 ir::AtomicKind atomic = ir::AtomicKind::Add) {
        perform_access(*state_, {kind, log2 | flags, atomic}, bytes_);
    }

    std::unique_ptr<GuestState> state_ = std::make_unique<GuestState>();
    alignas(64) uint8_t bytes_[64] = {};
};

TEST_F(MemorySemanticsTest, LoadsExtend) {
    put({0x8182'8384'8586'8788});
    perform(MemoryKind::Load, 1);
    EXPECT_EQ(values()[0], 0x8788u);
    perform(MemoryKind::Load, 1, ir::kMemSigned);
    EXPECT_EQ(values()[0], 0xffff'ffff'ffff'8788u);
    perform(MemoryKind::LoadPair, 2, ir::kMemSigned);
    EXPECT_EQ(values()[0], 0xffff'ffff'8586'8788u);
    EXPECT_EQ(values()[1], 0xffff'ffff'8182'8384u);
    values()[1] = 1;
    perform(MemoryKind::LoadV, 2);
    EXPECT_EQ(values()[0], 0x8586'8788u);
    EXPECT_EQ(values()[1], 0u);
}

TEST_F(MemorySemanticsTest, StoresTouchTheirBytesOnly) {
    put({~uint64_t{0}, ~uint64_t{0}});
    values()[0] = 0x1111'1111'2222'2222, values()[1] = 0x3333'3333'4444'4444;
    perform(MemoryKind::StorePair, 2);
    EXPECT_EQ(word(0), 0x4444'4444'2222'2222u);
    EXPECT_EQ(word(1), ~uint64_t{0});
}

TEST_F(MemorySemanticsTest, ExclusivePairOfWordsIsComparedByUnits) {
    put({0x0000'0002'0000'0001});
    perform(MemoryKind::LoadExPair, 2);
    EXPECT_EQ(values()[0], 1u);
    EXPECT_EQ(values()[1], 2u);
    // As emitted code sets the monitor.
    state_->exclusive_value[0] = 1, state_->exclusive_value[1] = 2;
    values()[0] = 3, values()[1] = 4;
    perform(MemoryKind::StoreExPair, 2);
    EXPECT_EQ(values()[0], 0u);
    EXPECT_EQ(word(0), 0x0000'0004'0000'0003u);
    values()[0] = 5, values()[1] = 6;
    perform(MemoryKind::StoreExPair, 2);
    EXPECT_EQ(values()[0], 1u);
    EXPECT_EQ(word(0), 0x0000'0004'0000'0003u);
}

TEST_F(MemorySemanticsTest, ExclusivePairOfDoublewordsIsOneSwap) {
    put({1, 2});
    state_->exclusive_value[0] = 1, state_->exclusive_value[1] = 2;
    values()[0] = 3, values()[1] = 4;
    perform(MemoryKind::StoreExPair, 3);
    EXPECT_EQ(values()[0], 0u);
    EXPECT_EQ(word(0), 3u);
    EXPECT_EQ(word(1), 4u);
}

TEST_F(MemorySemanticsTest, AtomicsOfBytesIgnoreWhatIsAbove) {
    put({0xffff'ff80});
    values()[0] = 0xff01;
    perform(MemoryKind::AtomicRmw, 0, 0, ir::AtomicKind::MaxS);  // -128 and 1
    EXPECT_EQ(values()[0], 0x80u);
    EXPECT_EQ(word(0), 0xffff'ff01u);
    values()[0] = 0xffff, values()[1] = 0x77;
    perform(MemoryKind::Cas, 0);
    EXPECT_EQ(values()[0], 1u);
    EXPECT_EQ(word(0), 0xffff'ff01u);
    values()[0] = 0xff01, values()[1] = 0x77;
    perform(MemoryKind::Cas, 0);
    EXPECT_EQ(word(0), 0xffff'ff77u);
}

}  // namespace
}  // namespace arclight::jit

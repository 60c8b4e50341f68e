// What tier 2 assumes of memory accesses, and what becomes of it where an assumption fails: that those seen
// in one page stay in one, and that a structure does not lie across two.
#include "jit/engine/predict.h"
#include "tests/backend/harness.h"
#include "tests/jit/engine/region_fixture.h"

namespace arclight::jit {
namespace {

using backend::testing::Harness;
using backend::testing::Memory;
using ir::Op;
using ir::Ref;
using ir::Type;
using testing::Regions;

constexpr uint64_t kFirst = Memory::kBase, kSecond = kFirst + 4096, kReadOnly = kFirst + 3 * 4096;
constexpr unsigned kInstructions = 3;

class RegionAssumptionTest : public ::testing::Test {
  protected:
    RegionAssumptionTest() {
        h_.fill_tlb();
        for (size_t k = 0; k < sizeof h_.memory.bytes; ++k)
            h_.memory.bytes[k] = static_cast<uint8_t>(k * 5 + (k >> 7));
        // The second page does not follow the first one on the host.
        h_.tlb->entries[mmu::tlb_index(kSecond)].addend += 4096;
        h_.state().v[2] = {.d = {0x1111'1111'1111'1111, 0x2222'2222'2222'2222}};
        h_.state().v[3] = {.d = {0x3333'3333'3333'3333, 0x4444'4444'4444'4444}};
        h_.state().x[5] = 0x5555'5555'5555'5555;
        h_.state().x[6] = 0x6666'6666'6666'6666;
    }

    /// An instruction that goes on to the next one, and then some; left at 4 * kInstructions.
    template <typename... F>
    const uint8_t* make(Assumptions disabled_assumptions, F... build) {
        Region region = Regions::with_front(4);
        region.disabled_assumptions = disabled_assumptions;
        RegionBlock& block = region.blocks.emplace_back();
        block.offset = 4;
        block.ir.pa = region.pa + 4;
        block.ir.guest_insns = sizeof...(F);
        ir::Builder b(block.ir);
        uint32_t offset = 4;
        const auto add = [&](auto& one) {
            b.insn_start(offset, 0);
            one(b);
            offset += 4;
        };
        (add(build), ...);
        b.emit(Op::Exit, Type::Void, {}, uint64_t{4} * kInstructions);
        const void* entry = regions_.load(regions_.compile(region));
        return jit::emit_region_stub(h_.code, {entry, nullptr, jit::kNoCounter});
    }
    /// Where the region was left, as an offset in the page.
    uint64_t run(const uint8_t* stub, uint64_t x1, uint64_t x4 = 0) {
        h_.state().x[1] = x1;
        h_.state().x[4] = x4;
        h_.state().pc = Harness::kPage;
        h_.state().page_base = Harness::kPage;
        h_.state().failed_assumptions = {};
        h_.accelerator.run(h_.state(), stub);
        return h_.state().pc - Harness::kPage;
    }
    /// Of guest memory, across pages too.
    uint8_t byte(uint64_t address) {
        const uint64_t moved = mmu::tlb_index(address) == mmu::tlb_index(kSecond) ? 4096 : 0;
        return *h_.memory.at(address + moved);
    }
    uint64_t word(uint64_t address) {
        uint64_t v = 0;
        for (unsigned k = 8; k-- > 0;) v = v << 8 | byte(address + k);
        return v;
    }

    Harness h_;
    Regions regions_;
};

TEST_F(RegionAssumptionTest, AStructureAcrossTwoPagesIsAFailedAssumption) {
    const auto pair = [](ir::Builder& b) {
        const Ref first = b.emit(Op::LoadPair, Type::I64, {b.get_x(1)}, 0, 3);
        const Ref second = b.emit(Op::PairSecond, Type::I64, {first});
        b.set_x(7, first);
        b.set_x(8, second);
    };
    const uint8_t* stub = make(0, pair);
    EXPECT_EQ(run(stub, kSecond - 16), 12u);
    EXPECT_EQ(h_.state().failed_assumptions.count, 0u);
    EXPECT_EQ(run(stub, kSecond - 8), 4u);
    EXPECT_EQ(h_.state().failed_assumptions.count, 1u);
    h_.tlb->entries[mmu::tlb_index(kFirst)].read_tag = mmu::TlbEntry::kInvalidTag;
    EXPECT_EQ(run(stub, kFirst), 4u);
    EXPECT_EQ(h_.state().failed_assumptions.count, 0u)
        << "a page that the soft TLB does not have is no failed assumption";
}

TEST_F(RegionAssumptionTest, OnlyDisabledAccessesAreDoneInParts) {
    const auto two = [](unsigned at) {
        return [at](ir::Builder& b) {
            const Ref address = b.emit(Op::Add, Type::I64, {b.get_x(at), b.i64(8)});
            b.set_x(7, b.emit(Op::Load, Type::I64, {b.get_x(at)}, 0, 3));
            b.set_x(8, b.emit(Op::Load, Type::I64, {address}, 0, 3));
        };
    };
    const uint8_t* stub = make(assumption_at(4), two(1), two(4));
    EXPECT_EQ(run(stub, kSecond - 8, kFirst), 12u);
    EXPECT_EQ(h_.state().failed_assumptions.count, 0u);
    EXPECT_EQ(run(stub, kFirst, kSecond - 8), 4u);
    EXPECT_EQ(h_.state().failed_assumptions.count, 1u);
    EXPECT_EQ(h_.state().failed_assumptions.which, assumption_at(8));
}

TEST_F(RegionAssumptionTest, CarefulRegionsAccessBothPages) {
    const uint8_t* loads = make(
        kEveryAssumption,
        [](ir::Builder& b) {
            const Ref first = b.emit(Op::LoadPair, Type::I64, {b.get_x(1)}, 0, 3);
            const Ref second = b.emit(Op::PairSecond, Type::I64, {first});
            b.set_x(7, first);
            b.set_x(8, second);
        },
        [](ir::Builder& b) {
            const Ref first = b.emit(Op::LoadPairV, Type::V128, {b.get_x(1)}, 0, 4);
            const Ref second = b.emit(Op::PairSecond, Type::V128, {first});
            b.set_v(7, first);
            b.set_v(8, second);
            b.set_v(9, b.emit(Op::LoadV, Type::V128, {b.get_x(1)}, 0, 4));
        });
    const uint8_t* stores = make(
        kEveryAssumption,
        [](ir::Builder& b) {
            b.emit(Op::StorePairV, Type::Void, {b.get_x(1), b.get_v(Type::V128, 2), b.get_v(Type::V128, 3)},
                   0, 4);
        },
        [](ir::Builder& b) {
            const Ref to = b.emit(Op::Add, Type::I64, {b.get_x(1), b.i64(8)});
            b.emit(Op::StorePair, Type::Void, {to, b.get_x(5), b.get_x(6)}, 0, 3);
        });
    for (const uint64_t before : {0u, 8u, 16u, 24u, 32u}) {
        const uint64_t x1 = kSecond - before;
        SCOPED_TRACE(before);
        EXPECT_EQ(run(loads, x1), 12u);
        const GuestState& s = h_.state();
        EXPECT_EQ(s.x[7], word(x1));
        EXPECT_EQ(s.x[8], word(x1 + 8));
        EXPECT_EQ(s.v[7], (V128{.d = {word(x1), word(x1 + 8)}}));
        EXPECT_EQ(s.v[8], (V128{.d = {word(x1 + 16), word(x1 + 24)}}));
        EXPECT_EQ(s.v[9], s.v[7]);
        EXPECT_EQ(run(stores, x1), 12u);
        EXPECT_EQ(word(x1), s.v[2].d[0]);
        EXPECT_EQ(word(x1 + 8), s.x[5]);
        EXPECT_EQ(word(x1 + 16), s.x[6]);
        EXPECT_EQ(word(x1 + 24), s.v[3].d[1]);
    }
}

TEST_F(RegionAssumptionTest, ACarefulStoreOfWhichAPartFaultsWritesNothing) {
    const uint8_t* stub = make(kEveryAssumption, [](ir::Builder& b) {
        b.emit(Op::StoreV, Type::Void, {b.get_x(1), b.get_v(Type::V128, 2)}, 0, 4);
    });
    const uint64_t before = word(kReadOnly - 8);
    EXPECT_EQ(run(stub, kReadOnly - 8), 4u);
    EXPECT_EQ(word(kReadOnly - 8), before);
}

/// A load by way of x1 and a store by way of x4, as if they had been seen in one page.
const auto kLoad = [](ir::Builder& b) {
    b.set_x(7, b.emit(Op::Load, Type::I64, {b.get_x(1)}, /*in page*/ 77, 3));
};
const auto kStore = [](ir::Builder& b) {
    b.emit(Op::Store, Type::Void, {b.get_x(4), b.get_x(5)}, /*in page*/ 77, 3);
};

TEST_F(RegionAssumptionTest, SharedChecksAreRightWhereverTheAddressesAre) {
    const uint8_t* load_first = make(0, kLoad, kStore);
    const uint8_t* store_first = make(0, kStore, kLoad);
    for (const uint8_t* stub : {load_first, store_first}) {
        for (const uint64_t load : {kFirst + 8, kSecond - 8, kSecond, kSecond + 4088, kReadOnly}) {
            for (const uint64_t store : {kFirst + 16, kSecond - 16, kSecond + 8, kSecond + 4080}) {
                SCOPED_TRACE(::testing::Message() << std::hex << load << " " << store);
                const uint64_t loaded = word(load), stored = word(store);
                EXPECT_EQ(run(stub, load, store), 12u);
                EXPECT_EQ(h_.state().x[7], loaded);
                EXPECT_EQ(word(store), h_.state().x[5]);
                h_.state().x[5] = stored + 1;
            }
        }
    }
}

TEST_F(RegionAssumptionTest, AReadThatFoundThePageDoesNotAllowWrites) {
    const uint8_t* stub = make(0, kLoad, kStore);
    const uint64_t before = word(kReadOnly + 8);
    const uint64_t left_at = run(stub, kReadOnly, kReadOnly + 8);
    EXPECT_TRUE(left_at == 4 || left_at == 8) << left_at;
    EXPECT_EQ(word(kReadOnly + 8), before);
}

TEST_F(RegionAssumptionTest, WhatLiesAcrossTheSharedPagesEndIsNotInIt) {
    const uint8_t* stub = make(0, kStore, kLoad);
    for (uint64_t past = 1; past < 8; ++past) {
        h_.state().x[7] = 0;
        const uint64_t left_at = run(stub, kSecond - 8 + past, kFirst);
        EXPECT_TRUE(left_at == 4 || left_at == 8) << left_at;
        EXPECT_EQ(h_.state().x[7], 0u) << past;
    }
}

// ---- Where the predictions come from

class PredictPagesTest : public ::testing::Test {
  protected:
    /// Loads by way of x1, x1 + 4096, x2 + x3 * 8, and of x4's low half.
    PredictPagesTest() {
        ir::Builder b(block_);
        b.insn_start(0, 0);
        const auto load = [&](Ref address) {
            loads_.push_back(b.emit(Op::Load, Type::I64, {address}, 0, 3));
        };
        load(b.get_x(1));
        load(b.emit(Op::Add, Type::I64, {b.get_x(1), b.i64(4096)}));
        load(b.emit(Op::Add, Type::I64, {b.get_x(2), b.emit(Op::Shl, Type::I64, {b.get_x(3), b.i64(3)})}));
        load(b.emit(Op::Load, Type::I64, {b.get_x(1)}, 0, 3));
    }
    uint64_t predicted(unsigned nth) { return block_[loads_[nth]].imm; }
    static RegisterSnapshot seen(uint64_t x1, uint64_t x2, uint64_t x3) {
        RegisterSnapshot s{};
        s.x[1] = x1, s.x[2] = x2, s.x[3] = x3;
        return s;
    }
    ir::Block block_;
    std::vector<Ref> loads_;
};

TEST_F(PredictPagesTest, AddressesOfOnePageHaveOnePrediction) {
    predict_pages(block_, std::vector{seen(0x5008, 0x6000, 0)});
    EXPECT_NE(predicted(0), 0u);
    EXPECT_NE(predicted(0), predicted(1));
    EXPECT_EQ(predicted(1), predicted(2));
    EXPECT_EQ(predicted(3), 0u) << "an address out of memory is not known";
}

TEST_F(PredictPagesTest, OnlyIfTheyWereInOnePageBothTimes) {
    predict_pages(block_, std::vector{seen(0x5008, 0x5000, 1), seen(0x5ff8, 0x4000, 512)});
    EXPECT_EQ(predicted(0), predicted(2));
    for (const Ref load : loads_) block_.insts[load].imm = 0;
    predict_pages(block_, std::vector{seen(0x5008, 0x5000, 1), seen(0x5ff8, 0x5000, 512)});
    EXPECT_NE(predicted(0), predicted(2));
}

TEST_F(PredictPagesTest, NothingSeenNothingPredicted) {
    predict_pages(block_, {});
    for (unsigned k = 0; k < 4; ++k) EXPECT_EQ(predicted(k), 0u);
}

}  // namespace
}  // namespace arclight::jit

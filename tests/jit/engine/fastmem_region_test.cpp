// Regions that reach memory through fastmem: what faults where they cannot go on, and where they can.
#include <sys/mman.h>

#include <new>

#include "frontend/a64/translate/translator.h"
#include "tests/backend/harness.h"
#include "tests/jit/engine/region_fixture.h"
#include "tests/jit/fault_exits.h"

namespace arclight::jit {
namespace {

using backend::testing::Harness;
using ir::Op;
using ir::Ref;
using ir::Type;

constexpr uint64_t kSlotBytes = uint64_t{1} << mmu::kFastmemSlotBits;
constexpr uint64_t kSlot = 0x155, kOtherSlot = 0x1ff, kPages = 4;
/// Guest addresses: some pages in the middle of a slot. The last one of them may not be written.
constexpr uint64_t kBase = kSlot * kSlotBytes + 0x1'2345'6000, kEnd = kBase + kPages * kPageSize;

class FastmemRegionTest : public ::testing::Test {
  protected:
    FastmemRegionTest() {
        void* p =
            mmap(nullptr, 2 * kSlotBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) throw std::bad_alloc();
        start_ = static_cast<uint8_t*>(p);
        for (uint64_t slot = 0; slot < mmu::kFastmemSlots; ++slot)
            h_.tlb->fastmem_offset[slot] = testing::fastmem_poison(slot);
        h_.tlb->fastmem_offset[kSlot] = reinterpret_cast<uint64_t>(start_) - kSlot * kSlotBytes;
        allow(kBase, kPages * kPageSize, PROT_READ | PROT_WRITE);
        for (uint64_t k = 0; k < kPages * kPageSize; ++k)
            host(kBase)[k] = static_cast<uint8_t>(k * 5 + (k >> 7));
        allow(kEnd - kPageSize, kPageSize, PROT_READ);
    }
    ~FastmemRegionTest() override { munmap(start_, 2 * kSlotBytes); }

    uint8_t* host(uint64_t va) { return start_ + (va - kSlot * kSlotBytes); }
    void allow(uint64_t va, uint64_t bytes, int what) { ASSERT_EQ(mprotect(host(va), bytes, what), 0); }
    uint64_t word(uint64_t va) {
        uint64_t v;
        std::memcpy(&v, host(va), 8);
        return v;
    }

    using Build = std::function<void(ir::Builder&)>;
    /// A block of `insns` instructions, which goes on behind them, or back to its start if x20 is not 0.
    const uint8_t* make(std::initializer_list<Build> insns, bool loop = false) {
        Region region = testing::Regions::empty();
        region.translation_flags = frontend::a64::translation_flag::kFastmem;
        RegionBlock& block = region.blocks.emplace_back();
        block.ir.pa = region.pa;
        ir::Builder b(block.ir);
        uint32_t offset = 0;
        for (const Build& insn : insns) {
            b.insn_start(offset, 0);
            insn(b);
            offset += 4;
        }
        if (loop) {
            b.insn_start(offset, 0);
            const Ref left = b.emit(Op::Sub, Type::I64, {b.get_x(20), b.i64(1)});
            b.set_x(20, left);
            b.emit(Op::ExitIf, Type::Void, {b.emit(Op::IsNotZero, Type::I1, {left}, 0, 64)}, 0);
            offset += 4;
        }
        b.emit(Op::Exit, Type::Void, {}, offset);
        block.ir.guest_insns = offset / 4;
        const RegionCode code = regions_.load_code(regions_.compile(region));
        faults_.add(code);
        return jit::emit_region_stub(h_.code, {code.entry, stuck(), jit::kNoCounter});
    }
    /// Tier 1's block of the region's first instruction: says where it is.
    const uint8_t* stuck() {
        ir::Block block = backend::testing::block_at();
        ir::Builder b(block);
        b.insn_start(0, 0);
        b.emit(Op::Exit, Type::Void, {}, 0);
        block.guest_insns = 1;
        return h_.compile(block).entry;
    }
    /// Where the region was left, as an offset in the page.
    uint64_t run(const uint8_t* stub, uint64_t x1) {
        faults_.faults = 0;
        h_.state().x[1] = x1;
        h_.state().pc = h_.state().page_base = Harness::kPage;
        h_.accelerator.run(h_.state(), stub);
        return h_.state().pc - Harness::kPage;
    }
    static Ref at(ir::Builder& b, int64_t displacement) {
        return b.emit(Op::Add, Type::I64, {b.get_x(1), b.i64(static_cast<uint64_t>(displacement))});
    }
    static Ref load(ir::Builder& b, Ref address) { return b.emit(Op::Load, Type::I64, {address}, 0, 3); }
    static void store(ir::Builder& b, Ref address, Ref v) {
        b.emit(Op::Store, Type::Void, {address, v}, 0, 3);
    }
    static void predict(ir::Builder& b, Ref access, uint64_t slot) { b.block().insts[access].imm = slot + 1; }

    Harness h_;
    testing::Regions regions_;
    testing::FaultExits faults_;
    uint8_t* start_ = nullptr;
};

TEST_F(FastmemRegionTest, WhatIsMappedIsLoadedWherePagesMeetToo) {
    const uint8_t* stub = make({[](ir::Builder& b) { b.set_x(2, load(b, at(b, 16))); }});
    for (uint64_t va = kBase; va < kBase + 3 * kPageSize; va += 5) {
        ASSERT_EQ(run(stub, va - 16), 4u);
        ASSERT_EQ(h_.state().x[2], word(va));
    }
    EXPECT_EQ(faults_.faults, 0u);
}

TEST_F(FastmemRegionTest, FaultsLeaveWithTheStateBefore) {
    const uint8_t* stub = make({
        [](ir::Builder& b) { store(b, b.get_x(9), b.get_x(8)); },
        [](ir::Builder& b) {
            b.set_x(3, b.emit(Op::Mul, Type::I64, {b.get_x(3), b.get_x(4)}));
        },
        [](ir::Builder& b) { b.set_x(2, load(b, b.get_x(1))); },
        [](ir::Builder& b) { b.set_x(3, b.i64(1)); },
    });
    const uint64_t bad[] = {kEnd,      // not mapped
                            kEnd - 1,  // in part
                            kBase - 1,
                            kOtherSlot * kSlotBytes + 8,  // poison
                            0,
                            ~uint64_t{7},
                            kBase | uint64_t{0x5a} << 56,  // a tag
                            kBase | uint64_t{1} << 50};
    for (const uint64_t va : bad) {
        GuestState& s = h_.state();
        s.x[2] = 2, s.x[3] = 3, s.x[4] = 5, s.x[8] = va ^ 1, s.x[9] = kBase + 8;
        EXPECT_EQ(run(stub, va), 4u) << std::hex << va;
        EXPECT_EQ(faults_.faults, 1u);
        EXPECT_EQ(word(kBase + 8), va ^ 1) << "the store is before the checkpoint";
        EXPECT_EQ(s.x[2], 2u);
        EXPECT_EQ(s.x[3], 3u);
        s.x[3] = 3;
        EXPECT_EQ(run(stub, kBase), 16u);
        EXPECT_EQ(s.x[3], 1u);
    }
}

TEST_F(FastmemRegionTest, ThePredictedSlotMayBeWrong) {
    for (const uint64_t assumption : {kSlot, kOtherSlot, uint64_t{0x1ff'ffff}}) {
        const uint8_t* stub = make({[&](ir::Builder& b) {
            const Ref v = load(b, b.get_x(1));
            predict(b, v, assumption);
            b.set_x(2, v);
        }});
        EXPECT_EQ(run(stub, kBase + 40), 4u);
        EXPECT_EQ(h_.state().x[2], word(kBase + 40));
        EXPECT_EQ(run(stub, kOtherSlot * kSlotBytes + 40), 0u);
        EXPECT_EQ(run(stub, (kBase + 40) | uint64_t{1} << 60), 0u);
    }
}

// A pair's second half may not be allowed when the first one is done already. What was loaded before must not
// be loaded again then.
TEST_F(FastmemRegionTest, AStoreOfTwoIsDoneAgainAlone) {
    const uint8_t* stub = make({
        [](ir::Builder& b) { b.set_x(2, load(b, b.get_x(1))); },
        [](ir::Builder& b) {
            b.emit(Op::StorePair, Type::Void, {b.get_x(1), b.get_x(5), b.get_x(6)}, 0, 3);
        },
    });
    h_.state().x[5] = 0x5555, h_.state().x[6] = 0x6666;
    const uint64_t last = kEnd - kPageSize - 8, before = word(last);
    EXPECT_EQ(run(stub, last), 4u) << "not at the load";
    EXPECT_EQ(h_.state().x[2], before);
    EXPECT_NE(word(last + 8), 0x6666u);
    EXPECT_EQ(run(stub, last - 8), 8u);
    EXPECT_EQ(word(last - 8), 0x5555u);
    EXPECT_EQ(word(last), 0x6666u);
}

TEST_F(FastmemRegionTest, StoresToWhatMayOnlyBeRead) {
    const uint8_t* stub = make({[](ir::Builder& b) { store(b, b.get_x(1), b.get_x(5)); }});
    EXPECT_EQ(run(stub, kEnd - kPageSize), 0u);
    EXPECT_EQ(faults_.faults, 1u);
    EXPECT_EQ(run(stub, kEnd - kPageSize - 4), 0u) << "a part of it may";
    EXPECT_EQ(run(stub, kEnd - kPageSize - 8), 4u);
}

/// Accesses of a group may lie in two slots; what is added is the one of the first. The second slot's memory
/// follows on the host only by chance, and its first page is never there.
TEST_F(FastmemRegionTest, AGroupAcrossTheEndOfASlot) {
    const uint8_t* stub = make({
        [](ir::Builder& b) { b.set_x(2, load(b, at(b, 0))); },
        [](ir::Builder& b) { b.set_x(3, load(b, at(b, 64))); },
    });
    const uint64_t end = (kSlot + 1) * kSlotBytes;
    allow(end + kPageSize, kPageSize, PROT_READ);
    for (const uint64_t va : {end - 72, end - 64, end - 32, end - 8, end - 4}) {
        EXPECT_EQ(run(stub, va), 0u);
        EXPECT_EQ(faults_.faults, 1u);
    }
    allow(end - kPageSize, kPageSize, PROT_READ);  // as no fastmem is: so that the second one is tried
    for (const uint64_t va : {end - 64, end - 32, end - 8}) {
        EXPECT_EQ(run(stub, va), 0u);
        EXPECT_EQ(faults_.faults, 1u);
    }
}

/// All that is in registers must survive the way to the handler and back.
TEST_F(FastmemRegionTest, AFaultThatCanBeHelpedIsNotNoticed) {
    const uint8_t* stub =
        make({
                 [](ir::Builder& b) {
                     Ref sum = b.get_x(0);
                     for (unsigned r = 3; r < 16; ++r) {
                         sum = b.emit(Op::Add, Type::I64,
                                      {b.emit(Op::Mul, Type::I64, {sum, b.get_x(r)}), b.i64(r)});
                         b.set_x(r, sum);
                     }
                 },
                 [](ir::Builder& b) {
                     b.set_x(2, b.emit(Op::Add, Type::I64, {b.get_x(2), load(b, b.get_x(1))}));
                 },
                 [](ir::Builder& b) { store(b, at(b, 8), b.get_x(15)); },
                 [](ir::Builder& b) { b.set_x(1, at(b, 16)); },
             },
             true);
    const auto start = [&] {
        for (unsigned r = 0; r < 31; ++r) h_.state().x[r] = 3 + 2 * r;
        h_.state().x[20] = 3 * kPageSize / 16;
        for (uint64_t k = 0; k < 3 * kPageSize; ++k) host(kBase)[k] = static_cast<uint8_t>(k * 7);
    };
    start();
    EXPECT_EQ(run(stub, kBase), 20u);
    EXPECT_EQ(faults_.faults, 0u);
    const std::vector<uint64_t> want(h_.state().x, h_.state().x + 31);
    const std::vector<uint8_t> memory(host(kBase), host(kBase) + 3 * kPageSize);

    start();
    allow(kBase, 3 * kPageSize, PROT_NONE);
    faults_.refill = [&](void* address) {
        const auto page = reinterpret_cast<uint64_t>(address) & kPageMask;
        return mprotect(reinterpret_cast<void*>(page), kPageSize, PROT_READ | PROT_WRITE) == 0;
    };
    EXPECT_EQ(run(stub, kBase), 20u);
    EXPECT_EQ(faults_.faults, 3u);
    EXPECT_EQ(std::vector<uint64_t>(h_.state().x, h_.state().x + 31), want);
    EXPECT_EQ(std::vector<uint8_t>(host(kBase), host(kBase) + 3 * kPageSize), memory);
}

TEST_F(FastmemRegionTest, DevicesAreForTier1) {
    const uint8_t* stub = make({
        [](ir::Builder& b) { b.set_x(3, b.i64(7)); },
        [](ir::Builder& b) { b.set_x(2, b.emit(Op::Load, Type::I64, {b.get_x(1)}, 0, 3 | ir::kMemDevice)); },
    });
    EXPECT_EQ(run(stub, kBase), 4u);
    EXPECT_EQ(h_.state().x[3], 7u);
    EXPECT_EQ(faults_.faults, 0u);
}

}  // namespace
}  // namespace arclight::jit

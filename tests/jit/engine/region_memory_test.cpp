// Guest memory in tier 2's regions: what a page remembered from one access says about the next one.
#include "tests/backend/harness.h"
#include "tests/jit/engine/region_fixture.h"

namespace arclight::jit {
namespace {

using backend::testing::Harness;
using backend::testing::Memory;
using ir::Op;
using ir::Type;
using testing::Regions;

constexpr uint64_t kBase = Memory::kBase, kSecond = kBase + 4096;

class RegionMemoryTest : public ::testing::Test {
  protected:
    RegionMemoryTest() {
        h_.fill_tlb();
        for (size_t k = 0; k < sizeof h_.memory.bytes; ++k)
            h_.memory.bytes[k] = static_cast<uint8_t>(k * 5 + (k >> 7));
        // The second page does not follow the first one on the host.
        h_.tlb->entries[mmu::tlb_index(kSecond)].addend += 4096;
    }

    /// Two blocks of an instruction each, the second one at offset 4; the region goes on to offset 8.
    template <typename F, typename G>
    const uint8_t* make(F first, G second) {
        Region region = Regions::empty();
        const auto add = [&](int64_t offset, auto build) {
            RegionBlock& b = region.blocks.emplace_back();
            b.offset = offset;
            b.ir.pa = region.pa + static_cast<uint64_t>(offset);
            b.ir.guest_insns = 1;
            ir::Builder builder(b.ir);
            builder.insn_start(static_cast<uint32_t>(offset), 0);
            build(builder);
            builder.emit(Op::Exit, Type::Void, {}, static_cast<uint64_t>(offset + 4));
        };
        add(0, first);
        add(4, second);
        const std::string object = regions_.compile(region);
        const void* entry = regions_.load(object);
        return jit::emit_region_stub(h_.code, {entry, nullptr, jit::kNoCounter});
    }
    /// Where the region was left, as an offset in the page.
    uint64_t run(const uint8_t* stub, uint64_t x1) {
        h_.state().x[1] = x1;
        h_.state().x[3] = 0;
        h_.state().pc = Harness::kPage;
        h_.state().page_base = Harness::kPage;
        h_.accelerator.run(h_.state(), stub);
        return h_.state().pc - Harness::kPage;
    }
    static ir::Ref at(ir::Builder& b, int64_t displacement) {
        return b.emit(Op::Add, Type::I64, {b.get_x(1), b.i64(static_cast<uint64_t>(displacement))});
    }
    uint64_t word(uint64_t host_of) {
        uint64_t v;
        std::memcpy(&v, h_.memory.at(host_of), 8);
        return v;
    }

    Harness h_;
    Regions regions_;
};

// The displacements are so far apart that the accesses are no group, but go by way of the same register.
TEST_F(RegionMemoryTest, WhatBeginsBeforeTheRememberedPageIsNotInIt) {
    const uint8_t* stub =
        make([](ir::Builder& b) { b.set_x(2, b.emit(Op::Load, Type::I64, {at(b, 512)}, 0, 3)); },
             [](ir::Builder& b) { b.set_x(3, b.emit(Op::Load, Type::I64, {b.get_x(1)}, 0, 3)); });
    for (uint64_t before = 0; before <= 16; ++before) {
        const uint64_t x1 = kSecond - before;
        const uint64_t left_at = run(stub, x1);
        EXPECT_EQ(h_.state().x[2], word(x1 + 512 + 4096)) << before;
        if (before > 0 && before < 8) {
            EXPECT_EQ(left_at, 4u) << "crosses by " << before << ": tier 1 does it";
            EXPECT_EQ(h_.state().x[3], 0u);
        } else {
            EXPECT_EQ(left_at, 8u) << before;
            EXPECT_EQ(h_.state().x[3], word(before == 0 ? x1 + 4096 : x1)) << before;
        }
    }
    // And what ends behind it.
    for (uint64_t past = 0; past <= 8; ++past) {
        const uint64_t x1 = kSecond - 8 + past;
        EXPECT_EQ(run(stub, x1), past > 0 && past < 8 ? 4u : 8u) << past;
    }
}

TEST_F(RegionMemoryTest, StoresLikewise) {
    const uint8_t* stub = make(
        [](ir::Builder& b) {
            b.emit(Op::Store, Type::Void, {at(b, 512), b.get_x(5)}, 0, 3);
        },
        [](ir::Builder& b) {
            b.emit(Op::Store, Type::Void, {b.get_x(1), b.get_x(6)}, 0, 3);
        });
    h_.state().x[5] = 0x5555'5555'5555'5555;
    h_.state().x[6] = 0x6666'6666'6666'6666;
    const std::vector<uint8_t> before(std::begin(h_.memory.bytes), std::end(h_.memory.bytes));
    EXPECT_EQ(run(stub, kSecond - 4), 4u);
    EXPECT_EQ(word(kSecond - 4 + 512 + 4096), 0x5555'5555'5555'5555u);
    std::memcpy(h_.memory.at(kSecond - 4 + 512 + 4096), before.data() + 8192 + 508, 8);
    EXPECT_TRUE(std::equal(before.begin(), before.end(), h_.memory.bytes))
        << "the second store wrote something";
}

}  // namespace
}  // namespace arclight::jit

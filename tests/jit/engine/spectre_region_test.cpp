// Regions that mask their addresses (Region::spectre).
#include <algorithm>

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

size_t count(const std::string& text, const std::string& what) {
    size_t n = 0;
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
    return n;
}

/// x2 = [x1], x3 = [x4], x5 = [x1 + 512]: three groups, of which two would share a page.
Region three_loads(bool spectre, uint32_t flags = 0) {
    Region region = Regions::with_front(4);
    region.spectre = spectre;
    region.translation_flags = flags;
    region.blocks[0].ir.translation_flags = flags;
    RegionBlock& block = region.blocks.emplace_back();
    block.offset = 4;
    block.ir.pa = region.pa + 4;
    block.ir.translation_flags = flags;
    block.ir.guest_insns = 3;
    ir::Builder b(block.ir);
    b.insn_start(4, 0);
    b.set_x(2, b.emit(Op::Load, Type::I64, {b.get_x(1)}, 0, 3));
    b.insn_start(8, 0);
    b.set_x(3, b.emit(Op::Load, Type::I64, {b.get_x(4)}, 0, 3));
    b.insn_start(12, 0);
    b.set_x(5, b.emit(Op::Load, Type::I64, {b.emit(Op::Add, Type::I64, {b.get_x(1), b.i64(512)})}, 0, 3));
    b.emit(Op::Exit, Type::Void, {}, 16);
    return region;
}

TEST(SpectreRegion, EveryCheckMasksWhatItIsFor) {
    Regions regions;
    RegionDump on, off;
    regions.compiler().compile(three_loads(true), &on);
    regions.compiler().compile(three_loads(false), &off);
    EXPECT_EQ(count(off.assembly, "cmovneq"), 0u);
    EXPECT_EQ(count(on.assembly, "cmovneq"), 3u) << on.assembly;
    EXPECT_EQ(count(on.assembly, "jmpq\t*"), 0u);
}

TEST(SpectreRegion, LoadsTheSame) {
    Harness h(size_t{8} << 20, {.spectre = true});
    Regions regions;
    h.fill_tlb();
    for (size_t k = 0; k < sizeof h.memory.bytes; ++k)
        h.memory.bytes[k] = static_cast<uint8_t>(k * 5 + (k >> 7));
    const void* entry = regions.load(regions.compile(three_loads(true)));
    const uint8_t* stub = emit_region_stub(h.code, {entry, nullptr, kNoCounter});
    const auto word = [&](uint64_t at) {
        uint64_t v;
        std::memcpy(&v, h.memory.at(at), 8);
        return v;
    };
    const auto run = [&](uint64_t x1, uint64_t x4) {
        GuestState& s = h.state();
        s.x[1] = x1, s.x[4] = x4, s.x[2] = s.x[3] = s.x[5] = 0;
        s.pc = s.page_base = Harness::kPage;
        h.accelerator.run(s, stub);
        return s.pc - Harness::kPage;
    };
    EXPECT_EQ(run(kBase + 8, kSecond + 16), 16u);
    EXPECT_EQ(h.state().x[2], word(kBase + 8));
    EXPECT_EQ(h.state().x[3], word(kSecond + 16));
    EXPECT_EQ(h.state().x[5], word(kBase + 520));
    EXPECT_NE(run(kBase + 8, 0x1234'5000), 16u) << "tier 1 does what is not there";
    EXPECT_EQ(h.state().x[3], 0u);
    EXPECT_NE(run(kBase + 4095, kBase), 16u) << "an access that crosses a page";
}

}  // namespace
}  // namespace arclight::jit

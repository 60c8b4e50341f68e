// Random blocks against the interpreter: the allocator, the flags and the fault map in all their
// combinations. ARCLIGHT_SEED=n runs that one block; ARCLIGHT_BLOCKS=n runs n.
#include "tests/backend/random_block.h"

#include <cstdlib>

#include "jit/block_image.h"
#include "jit/superblock_code.h"
#include "tests/backend/comparison.h"

namespace arclight::backend::testing {
namespace {

class RandomBlock {
  public:
    /// `sides`: superblocks of up to so many side paths, that share no look-ups (where that fails they are left, which the
    /// interpreter does not know).
    explicit RandomBlock(const CodeOptions& options = {}, unsigned sides = 0)
        : h_(size_t{8} << 20, options), sides_(sides) {
        if (sides == 0) return;
        h_.code.set_grouping(false);
        make_room_for_superblocks(h_.code);
    }
    /// Empty, or what differs.
    std::string run(uint64_t seed) {
        BlockGenerator g(seed);
        ir::Block block = g.make(sides_);
        block.superblock = sides_ != 0;
        const CompiledBlock compiled = block.superblock
                                           ? compile_superblock(block, random_layout(block, g), h_.code, 0)
                                           : compile_here(block);
        if (compiled.status == CompileStatus::BufferFull) {
            h_.code.reset();
            return run(seed);
        }
        if (compiled.status == CompileStatus::TooComplex) {
            ++too_complex;
            return {};
        }
        const std::string invalid = ir::verify(block);
        if (!invalid.empty()) return invalid + "\n" + ir::print(block);
        for (unsigned round = 0; round < 3; ++round) {
            h_.reset();
            GuestState& s = h_.state();
            for (uint64_t& x : s.x) x = g.register_value();
            s.sp = g.register_value();
            s.flags = jit::flags_from_nzcv(static_cast<uint32_t>(g.bits()));
            for (V128& v : s.v) v.d[0] = vector_half(g), v.d[1] = vector_half(g);
            s.tpidr_el0 = g.bits();
            for (auto& key : s.pac_keys) key[0] = g.bits(), key[1] = g.bits();
            for (auto& masks : s.pac_key_masks) {
                masks[0] = g.bits() & ~uint64_t{0} << 48 & ~(uint64_t{1} << 55);
                masks[1] = g.bits() & ~uint64_t{0} << 56;
            }
            s.interrupt = g.pick(8) == 0;
            s.pc = Harness::kPage;
            for (uint8_t& byte : h_.memory.bytes)
                byte = static_cast<uint8_t>(g.pick(16) == 0 ? g.bits() : 0x11);
            h_.fill_on_miss = g.pick(2) == 0;
            if (g.pick(2) == 0) h_.fill_tlb();
            const std::string wrong = Comparison(h_).run(block, compiled);
            if (!wrong.empty()) return "seed " + std::to_string(seed) + "\n" + wrong;
            if (s.exit_reason == jit::ExitReason::Exception) ++faults;
        }
        return {};
    }
    unsigned too_complex = 0, faults = 0;

  private:
    /// With CodeOptions::images in another code cache first, to be placed here.
    CompiledBlock compile_here(const ir::Block& block) {
        if (!h_.code.images()) return compile(block, h_.code, 0);
        const CompiledBlock there = compile(block, *origin_, 700);
        if (there.status == CompileStatus::BufferFull) origin_->reset();
        if (!there) return there;
        jit::ImageMemory memory;
        const auto relocations = relocations_of_last(*origin_, there);
        const auto image = image_of(*origin_, there, relocations, 700, memory);
        EXPECT_TRUE(image.has_value()) << ir::print(block);
        return image ? place(*image, h_.code, 0, kNoCounter) : there;
    }
    /// Pieces that begin anywhere, and some of the ways out.
    static jit::SuperblockLayout random_layout(const ir::Block& block, BlockGenerator& g) {
        jit::SuperblockLayout layout;
        for (ir::Ref k = 1; k < block.insts.size(); ++k) {
            if (g.pick(12) == 0) layout.pieces.push_back({k, g.pick(2) == 0});
            if (block[k].op == ir::Op::ExitIf && g.pick(2) == 0) layout.ways_out.push_back(k);
        }
        return layout;
    }
    static uint64_t vector_half(BlockGenerator& g) {
        static constexpr uint64_t kNumbers[] = {
            0x7ff0'0000'0000'0000, 0x7ff8'0000'0000'0001, 0x7ff4'0000'0000'0001, 0x3ff0'0000'3f80'0000,
            0x0000'0000'7fc0'0001, 0x0000'0000'7f80'0001, 0x8000'0000'8000'0000};
        return g.pick(2) == 0 ? g.bits() : kNumbers[g.pick(std::size(kNumbers))];
    }
    Harness h_;
    const unsigned sides_;
    const std::unique_ptr<CodeBuffer> origin_ =
        h_.code.images() ? std::make_unique<CodeBuffer>(size_t{8} << 20, CodeOptions{.images = true})
                         : nullptr;
};

uint64_t setting(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// One in `part` of the random blocks, or the one that ARCLIGHT_SEED names: none goes wrong, and enough fault.
void expect_all_right(RandomBlock& blocks, uint64_t part = 1) {
    const uint64_t only = setting("ARCLIGHT_SEED", 0), count = setting("ARCLIGHT_BLOCKS", 6000) / part;
    const uint64_t first = only != 0 ? only : 1, last = only != 0 ? only : count;
    for (uint64_t seed = first; seed <= last; ++seed) {
        const std::string wrong = blocks.run(seed);
        ASSERT_TRUE(wrong.empty()) << wrong;
    }
    // The generator must reach what it is for.
    if (only == 0) {
        EXPECT_GT(blocks.faults, count / 20);
    }
}
void expect_all_right(const CodeOptions& options, uint64_t part) {
    RandomBlock blocks(options);
    expect_all_right(blocks, part);
}

TEST(RandomBlockTest, EmittedCodeDoesWhatTheIrSays) {
    RandomBlock blocks;
    expect_all_right(blocks);
    if (setting("ARCLIGHT_SEED", 0) == 0) {
        EXPECT_LT(blocks.too_complex, setting("ARCLIGHT_BLOCKS", 6000) / 20);
    }
}

TEST(RandomBlockTest, SoDoSuperblocksWithSidePaths) {
    RandomBlock blocks({}, 6);
    expect_all_right(blocks);
}

TEST(RandomBlockTest, SoDoesCodeThatMasksItsAddresses) { expect_all_right({.spectre = true}, 4); }

TEST(RandomBlockTest, SoDoesCodeThatComesFromAnotherCodeCache) { expect_all_right({.images = true}, 2); }

TEST(RandomBlockTest, SoDoesCodeThatHasRegistersInVectors) {
    if (!host_has_vector_registers()) GTEST_SKIP() << "no AVX-512";
    expect_all_right({.vector_registers = true}, 2);
}

}  // namespace
}  // namespace arclight::backend::testing

// The engine and tier 1 with another guest instruction set than the machine's: three instructions of two
// bytes.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "backend/process_accelerator.h"
#include "jit/engine/engine.h"
#include "jit/ir/interpreter.h"
#include "jit/runtime_entries.h"
#include "jit/translation_flags.h"

namespace arclight::jit {
namespace {

/// Bits 15:12 say which: 0 adds the signed bits 7:0 to register 11:8; 1 goes on at the signed bits 7:0, in
/// instructions from itself, unless register 11:8 is zero; all others stop the CPU with bits 7:0 as the
/// reason.
constexpr uint16_t add(unsigned reg, int imm) {
    return static_cast<uint16_t>(0x0000 | reg << 8 | (static_cast<unsigned>(imm) & 0xff));
}
constexpr uint16_t branch_if_not_zero(unsigned reg, int insns) {
    return static_cast<uint16_t>(0x1000 | reg << 8 | (static_cast<unsigned>(insns) & 0xff));
}
constexpr uint16_t halt(unsigned why) { return static_cast<uint16_t>(0xf000 | why); }

class ToyFrontend final : public Frontend {
  public:
    static constexpr unsigned kInsnBytes = 2, kMaxInsns = 8;
    CodeLimits code_limits() const override {
        return {
            .alignment = kInsnBytes, .max_block_bytes = kMaxInsns * kInsnBytes, .max_block_insns = kMaxInsns};
    }
    void translate(ir::Block& block, std::span<const std::byte> code, uint32_t page_offset,
                   uint32_t translation_flags, unsigned max_insns) const override {
        block.clear();
        block.translation_flags = translation_flags;
        ir::Builder b(block);
        uint32_t at = page_offset;
        for (unsigned n = 0; n < max_insns && (n + 1) * kInsnBytes <= code.size(); ++n, at += kInsnBytes) {
            const unsigned insn = decode(code.subspan(size_t{n} * kInsnBytes));
            const unsigned reg = insn >> 8 & 15;
            const auto imm = static_cast<int8_t>(insn & 0xff);
            ++block.guest_insns;
            block.guest_bytes += kInsnBytes;
            b.insn_start(at, insn);
            if (insn >> 12 == 0) {
                b.set_x(reg, b.add(ir::Type::I64, b.get_x(reg), b.i64(static_cast<uint64_t>(int64_t{imm}))));
            } else if (insn >> 12 == 1) {
                const ir::Ref taken = b.emit(ir::Op::IsNotZero, ir::Type::I1, {b.get_x(reg)}, 0, 64);
                const int64_t target = int64_t{at} + imm * int64_t{kInsnBytes};
                b.emit(ir::Op::ExitIf, ir::Type::Void, {taken}, static_cast<uint64_t>(target));
                at += kInsnBytes;
                break;
            } else {
                b.emit(ir::Op::ExitRuntime, ir::Type::Void, {},
                       static_cast<uint64_t>(ExitReason::Undefined) | uint64_t{insn & 0xff} << 32);
                return;
            }
        }
        b.emit(ir::Op::Exit, ir::Type::Void, {}, at);
    }
    bool may_promote(uint32_t translation_flags) const override {
        return (translation_flags & translation_flag::kSingleStep) == 0;
    }
    uint64_t variant() const override { return 0; }
    Listed describe(std::span<const std::byte> code) const override {
        constexpr const char* kNames[] = {"add", "branch"};
        const unsigned insn = decode(code), kind = insn >> 12;
        return {kInsnBytes, fmt::format("{:04x} {}", insn, kind < 2 ? kNames[kind] : "halt")};
    }

  private:
    static unsigned decode(std::span<const std::byte> code) {
        return static_cast<unsigned>(code[0]) | static_cast<unsigned>(code[1]) << 8;
    }
};

/// Its regions do nothing but go on at one address. Remembers what it was asked to compile.
class JumpCompiler final : public RegionCompiler {
  public:
    JumpCompiler(uint64_t target, Region& last) : last_(last) {
        void* page =
            mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED) throw std::bad_alloc();
        code_ = static_cast<uint8_t*>(page);
        const uint8_t mov_rax[] = {0x48, 0xb8}, ret = 0xc3;
        std::memcpy(code_, mov_rax, sizeof mov_rax);
        std::memcpy(code_ + sizeof mov_rax, &target, sizeof target);
        std::memcpy(code_ + sizeof mov_rax + sizeof target, &ret, sizeof ret);
    }
    ~JumpCompiler() override { munmap(code_, 4096); }
    std::string compile(const Region& region, RegionDump*) override {
        last_ = region;
        return "object";
    }
    std::optional<RegionCode> load(const std::string&) override {
        return RegionCode{.entry = code_, .bytes = 11, .handle = ++handles_, .faults = {}};
    }
    void unload(uint64_t) override {}
    const std::string& fingerprint() const override { return name_; }

  private:
    Region& last_;
    uint8_t* code_;
    uint64_t handles_ = 0;
    const std::string name_ = "jump";
};

class ToyFrontendTest : public testing::Test {
  protected:
    static constexpr uint64_t kBase = 0x4000'0000, kBytes = 1 << 16;
    static constexpr uint64_t kVirtual = 0x7f00'0000'0000;  ///< where the guest's memory is mapped

    ToyFrontendTest()
        : ram_(kBytes / 2, halt(99)),
          memory_(reinterpret_cast<uint8_t*>(ram_.data()), kBase, kBytes),
          state_(std::make_unique<GuestState>()),
          tlb_(std::make_unique<mmu::SoftTlb>()) {
        tlb_->epoch = 5;
        for (uint64_t k = 0; k < mmu::kJumpCacheLines; ++k)
            tlb_->jump_cache[k] = mmu::JumpCacheEntry::empty(k);
        state_->tlb = state_->user_tlb = tlb_.get();
        state_->guest_fp_control = 0x1f80;
        state_->cpu = this;
        const auto set = [&](unsigned entry, LookupFn fn) {
            state_->runtime.entry[entry] = reinterpret_cast<const void*>(fn);
        };
        set(kLookupDirect, [](GuestState& s, uint64_t link_slot) {
            ToyFrontendTest& t = *static_cast<ToyFrontendTest*>(s.cpu);
            ++t.lookups_;
            if (t.alone_) return static_cast<const void*>(nullptr);
            return t.engine_
                ->entry_and_link(pa_of(s.pc), 0, static_cast<uint32_t>(link_slot), s.tlb->epoch, &s)
                .code;
        });
        set(kLookupIndirect, [](GuestState& s, uint64_t pc) {
            return static_cast<ToyFrontendTest*>(s.cpu)->engine_->entry(pa_of(pc), 0, &s);
        });
        set(kPromote, [](GuestState& s, uint64_t counter) {
            return static_cast<ToyFrontendTest*>(s.cpu)->engine_->promote(static_cast<uint32_t>(counter), &s);
        });
    }

    void start(EngineOptions options = {}) {
        options.code_bytes = 8 << 20;
        engine_ = std::make_unique<Engine>(toy_, memory_, options);
        accelerator_ = std::make_unique<backend::ProcessAccelerator>(engine_->code());
    }
    void put(uint64_t offset, std::initializer_list<uint16_t> insns) {
        std::ranges::copy(insns, ram_.begin() + static_cast<ptrdiff_t>(offset / 2));
    }
    static uint64_t pa_of(uint64_t va) { return va - kVirtual + kBase; }
    /// Runs from there until it halts; returns why.
    unsigned run(uint64_t offset) {
        EXPECT_EQ(go(offset), ExitReason::Undefined);
        return state_->exit_info;
    }
    /// The same, and why it has left.
    ExitReason go(uint64_t offset, uint32_t translation_flags = 0) {
        state_->pc = kVirtual + offset;
        alone_ = translation_flags != 0;
        for (;;) {
            const void* code = engine_->entry(pa_of(state_->pc), translation_flags, state_.get());
            const ExitReason why = accelerator_->run(*state_, code);
            if (alone_ || why != ExitReason::Lookup) return why;
        }
    }
    void set_interpreter() {
        state_->runtime.entry[kInterpret] = reinterpret_cast<const void*>(&ir::interpret_block);
    }
    /// Adds 5 to x1 for each one that is in x2, and halts 6 bytes on.
    void put_loop(uint64_t offset) {
        put(offset, {add(1, 5), add(2, -1), branch_if_not_zero(2, -2), halt(7)});
    }

    ToyFrontend toy_;
    std::vector<uint16_t> ram_;
    mmu::GuestMemory memory_;
    std::unique_ptr<GuestState> state_;
    std::unique_ptr<mmu::SoftTlb> tlb_;
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<backend::ProcessAccelerator> accelerator_;
    unsigned lookups_ = 0;
    bool alone_ = false;  ///< nothing is found behind the first block
};

TEST_F(ToyFrontendTest, ALoopAtAHalfwordRunsLinked) {
    put_loop(2);
    start();
    state_->x[2] = 100;
    EXPECT_EQ(run(2), 7u);
    EXPECT_EQ(state_->x[1], 500u);
    EXPECT_EQ(state_->x[2], 0u);
    EXPECT_EQ(state_->pc, kVirtual + 8);
    EXPECT_EQ(lookups_, 2u) << "one for each exit, then they are linked";
    EXPECT_EQ(engine_->stats().links, 2u);
    state_->x[2] = 3;
    EXPECT_EQ(run(2), 7u);
    EXPECT_EQ(state_->x[1], 515u);
    EXPECT_EQ(lookups_, 2u);
}

TEST_F(ToyFrontendTest, BlocksTwoBytesApartAreTwo) {
    put(0, {add(1, 1), add(1, 2), add(1, 4), halt(1)});
    start();
    const void* first = engine_->entry(kBase, 0);
    const void* second = engine_->entry(kBase + 2, 0);
    EXPECT_NE(first, second);
    EXPECT_EQ(engine_->entry(kBase, 0), first);
    EXPECT_EQ(engine_->entry(kBase + 2, 0), second);
    EXPECT_EQ(engine_->stats().blocks, 2u);
    EXPECT_EQ(run(0), 1u);
    EXPECT_EQ(state_->x[1], 7u);
    EXPECT_EQ(run(2), 1u);
    EXPECT_EQ(state_->x[1], 13u);
}

TEST_F(ToyFrontendTest, CodeGoesOnInTheNextPage) {
    put(4094, {add(3, 1), add(3, 2), halt(2)});
    start();
    EXPECT_EQ(run(4094), 2u);
    EXPECT_EQ(state_->x[3], 3u);
    EXPECT_EQ(state_->pc, kVirtual + 4098);
    EXPECT_EQ(engine_->stats().blocks, 2u);
    EXPECT_EQ(run(4094), 2u);
    EXPECT_EQ(lookups_, 1u) << "the exit across the pages is linked";
}

TEST_F(ToyFrontendTest, LongCodeIsCutIntoBlocks) {
    for (unsigned k = 0; k < 20; ++k) put(2 + 2 * k, {add(4, 1)});
    put(42, {halt(3)});
    start();
    EXPECT_EQ(run(2), 3u);
    EXPECT_EQ(state_->x[4], 20u);
    EXPECT_EQ(engine_->stats().blocks, 3u);
    EXPECT_EQ(engine_->stats().guest_insns, 21u);
}

TEST_F(ToyFrontendTest, AStoreToOneInstructionIsSeen) {
    put_loop(2);
    start();
    state_->x[2] = 2;
    EXPECT_EQ(run(2), 7u);
    EXPECT_TRUE(engine_->line_has_code(kBase + 4));
    EXPECT_FALSE(engine_->invalidate(kBase, 2)) << "that is in front of it";
    EXPECT_FALSE(engine_->invalidate(kBase + 10, 2)) << "and that behind it";
    put(8, {halt(8)});  // the loop is linked to this block
    EXPECT_TRUE(engine_->invalidate(kBase + 8, 2));
    state_->x[2] = 1;
    EXPECT_EQ(run(2), 8u);
    EXPECT_EQ(state_->x[1], 15u);
    put(2, {add(1, 100)});
    EXPECT_TRUE(engine_->invalidate(kBase + 2, 2));
    state_->x[2] = 1;
    EXPECT_EQ(run(2), 8u);
    EXPECT_EQ(state_->x[1], 115u);
}

TEST_F(ToyFrontendTest, AHotLoopIsPromoted) {
    put_loop(2);
    Region region;
    start({.tier2 = {.enabled = true, .synchronous = true, .threshold = 50, .make_compiler = [&] {
                         return std::make_unique<JumpCompiler>(kVirtual + 8, region);
                     }}});
    state_->x[2] = 1000;
    EXPECT_EQ(run(2), 7u);
    EXPECT_EQ(state_->pc, kVirtual + 8);
    // The region went on at the end of the loop and changed nothing.
    EXPECT_EQ(state_->x[1] + 5 * state_->x[2], 5000u);
    EXPECT_GT(state_->x[2], 900u);
    Tier2Stats stats = engine_->tier2_stats();
    EXPECT_EQ(stats.promoted, 1u);
    EXPECT_EQ(stats.live, 1u);
    EXPECT_EQ(stats.entered, 1u);
    ASSERT_EQ(region.blocks.size(), 1u);
    EXPECT_EQ(region.blocks[0].offset, 2);
    EXPECT_EQ(region.blocks[0].ir.guest_bytes, 6u);
    EXPECT_EQ(region.guest_insns(), 3u);

    put(6, {halt(9)});
    EXPECT_TRUE(engine_->invalidate(kBase + 6, 2));
    EXPECT_EQ(engine_->tier2_stats().live, 0u);
    EXPECT_EQ(run(2), 9u);
}

// ---- Engine::stop_at()

TEST_F(ToyFrontendTest, CodeLeavesBeforeAStop) {
    put_loop(2);
    start();
    state_->x[2] = 100;
    EXPECT_EQ(run(2), 7u);
    EXPECT_TRUE(engine_->stop_at(kBase + 4)) << "the loop has it";
    EXPECT_FALSE(engine_->stop_at(kBase + 4));
    EXPECT_FALSE(engine_->stop_at(kBase + 0x100)) << "nothing was translated there";
    state_->x[2] = 3;
    for (unsigned round = 0; round < 3; ++round) {
        state_->x[1] = 0;
        EXPECT_EQ(go(2), ExitReason::Stop);
        EXPECT_EQ(state_->pc, kVirtual + 4);
        EXPECT_EQ(state_->x[1], 5u) << "what is before it was executed";
        EXPECT_EQ(state_->x[2], 3u - round);
        EXPECT_EQ(go(4), ExitReason::Stop) << "and it itself is not";
        EXPECT_EQ(go(4, translation_flag::kSingleStep), ExitReason::Lookup);
        EXPECT_EQ(state_->pc, kVirtual + 6);
        EXPECT_EQ(state_->x[2], 2u - round) << "but as a step";
    }
    EXPECT_TRUE(engine_->clear_stops());
    EXPECT_FALSE(engine_->clear_stops());
    state_->x[1] = 0, state_->x[2] = 3;
    const uint64_t blocks = engine_->stats().blocks;
    EXPECT_EQ(run(2), 7u);
    EXPECT_EQ(state_->x[1], 15u);
    EXPECT_EQ(engine_->stats().blocks, blocks + 1) << "one block once more";
}

TEST_F(ToyFrontendTest, AStopAtTheFirstInstructionOfAPage) {
    put(4094, {add(3, 1), add(3, 2), halt(2)});
    start();
    EXPECT_EQ(run(4094), 2u);
    EXPECT_TRUE(engine_->stop_at(kBase + 4096));
    EXPECT_EQ(go(4094), ExitReason::Stop);
    EXPECT_EQ(state_->pc, kVirtual + 4096);
    EXPECT_TRUE(engine_->clear_stops());
    EXPECT_EQ(run(4094), 2u);
}

TEST_F(ToyFrontendTest, AStoreToAStopIsSeenAndTheStopStays) {
    put_loop(2);
    start();
    engine_->stop_at(kBase + 8);
    state_->x[2] = 1;
    EXPECT_EQ(go(2), ExitReason::Stop);
    put(8, {halt(9)});
    EXPECT_TRUE(engine_->invalidate(kBase + 8, 2));
    state_->x[2] = 1;
    EXPECT_EQ(go(2), ExitReason::Stop);
    engine_->clear_stops();
    state_->x[2] = 1;
    EXPECT_EQ(run(2), 9u);
}

TEST_F(ToyFrontendTest, AHotLoopWithAStopIsGivenUp) {
    put_loop(2);
    Region region;
    start({.tier2 = {.enabled = true, .synchronous = true, .threshold = 50, .make_compiler = [&] {
                         return std::make_unique<JumpCompiler>(kVirtual + 8, region);
                     }}});
    state_->x[2] = 1000;
    EXPECT_EQ(run(2), 7u);
    EXPECT_EQ(engine_->tier2_stats().live, 1u);
    EXPECT_FALSE(engine_->stop_at(kBase + 0x200));
    EXPECT_EQ(engine_->tier2_stats().live, 1u) << "it has nothing of that";
    EXPECT_TRUE(engine_->stop_at(kBase + 4));
    EXPECT_EQ(engine_->tier2_stats().live, 0u);
    state_->x[2] = 1000;
    EXPECT_EQ(go(2), ExitReason::Stop);
    EXPECT_EQ(state_->x[2], 1000u);
    EXPECT_TRUE(engine_->clear_stops());
    state_->x[2] = 1000;
    EXPECT_EQ(run(2), 7u);
    EXPECT_EQ(engine_->tier2_stats().live, 1u) << "hot once more";
}

TEST_F(ToyFrontendTest, StopsWorkWithoutATranslator) {
    put_loop(2);
    start({.interpret = true});
    set_interpreter();
    engine_->stop_at(kBase + 6);
    state_->x[2] = 2;
    EXPECT_EQ(go(2), ExitReason::Stop);
    EXPECT_EQ(state_->pc, kVirtual + 6);
    EXPECT_EQ(state_->x[1], 5u);
}

TEST_F(ToyFrontendTest, FlagsThatTheFrontendRefusesAreNotPromoted) {
    put(0, {add(1, 1), halt(1)});
    start({.tier2 = {.enabled = true, .synchronous = true, .threshold = 1}});
    ASSERT_NE(engine_->entry(kBase, translation_flag::kSingleStep), nullptr);
    EXPECT_EQ(engine_->promote(0), nullptr) << "there is no counter";
    EXPECT_EQ(engine_->stats().guest_insns, 1u);
}

TEST_F(ToyFrontendTest, AListingHasALineForEachInstruction) {
    put_loop(2);
    char* text = nullptr;
    size_t bytes = 0;
    std::FILE* file = open_memstream(&text, &bytes);
    ASSERT_NE(file, nullptr);
    start({.trace_blocks = true, .trace_file = file});
    ASSERT_NE(engine_->entry(kBase + 2, 0), nullptr);
    std::fclose(file);
    const std::string listing(text, bytes);
    std::free(text);
    const size_t first_line = listing.find('\n');
    ASSERT_NE(first_line, std::string::npos);
    EXPECT_EQ(listing.substr(first_line + 1),
              "  0x40000002: 0105 add\n  0x40000004: 02ff add\n  0x40000006: 12fe branch\n");
}

}  // namespace
}  // namespace arclight::jit

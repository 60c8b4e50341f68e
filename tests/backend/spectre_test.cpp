// Code of CodeBuffer::spectre(): every address is masked by the outcome of its check, and no branch is predicted by where it
// went before.
#include <regex>

#include "tests/backend/harness.h"
#include "tests/backend/random_block.h"

namespace arclight::backend::testing {
namespace {

size_t count(const std::string& text, const std::string& what) {
    size_t n = 0;
    for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
    return n;
}

constexpr const char* kMask = "cmovnz rax, r14\n";

/// Jumps and calls by register or memory.
size_t indirect_branches(const std::string& text) {
    static const std::regex branch("(jmp|call) ([a-z]+ ptr )?(\\[|r[a-z0-9]+\n|e[a-z]{2}\n)");
    return static_cast<size_t>(std::distance(std::sregex_iterator(text.begin(), text.end(), branch), {}));
}

class SpectreTest : public ::testing::Test {
  protected:
    template <typename F>
    ir::Block block(F build, uint32_t flags = 0) {
        ir::Block made = block_at(0, flags);
        ir::Builder b(made);
        b.insn_start(0, 0);
        build(b);
        b.emit(Op::Exit, Type::Void, {}, 4);
        return made;
    }
    void has_mask(const char* what, const ir::Block& block) {
        EXPECT_EQ(count(on_.listing(on_.compile(block)), kMask), 1u) << what << "\n"
                                                                     << on_.listing(on_.compile(block));
        EXPECT_EQ(count(off_.listing(off_.compile(block)), kMask), 0u) << what;
    }

    Harness on_{size_t{8} << 20, {.spectre = true}}, off_;
};

TEST_F(SpectreTest, EveryKindOfAccessMasksItsAddress) {
    has_mask("load",
             block([](ir::Builder& b) { b.set_x(0, b.emit(Op::Load, Type::I64, {b.get_x(1)}, 0, 3)); }));
    has_mask("aligned load", block([](ir::Builder& b) {
                 b.set_x(0, b.emit(Op::Load, Type::I64, {b.get_x(1)}, 0, 3 | ir::kMemAligned));
             }));
    has_mask("unprivileged load", block([](ir::Builder& b) {
                 b.set_x(0, b.emit(Op::Load, Type::I64, {b.get_x(1)}, 0, 3 | ir::kMemUnprivileged));
             }));
    has_mask("store", block([](ir::Builder& b) {
                 b.emit(Op::Store, Type::Void, {b.get_x(1), b.get_x(2)}, 0, 3);
             }));
    has_mask("store release", block([](ir::Builder& b) {
                 b.emit(Op::Store, Type::Void, {b.get_x(1), b.get_x(2)}, 0, 3 | ir::kMemRelease);
             }));
    has_mask("vector load",
             block([](ir::Builder& b) { b.set_v(0, b.emit(Op::LoadV, Type::V128, {b.get_x(1)}, 0, 4)); }));
    has_mask("vector store", block([](ir::Builder& b) {
                 b.emit(Op::StoreV, Type::Void, {b.get_x(1), b.get_v(Type::V128, 2)}, 0, 4);
             }));
    has_mask("zero block",
             block([](ir::Builder& b) { b.emit(Op::ZeroBlock, Type::Void, {b.get_x(1)}, 0, 6); }));
    has_mask("exclusive load", block([](ir::Builder& b) {
                 b.set_x(0, b.emit(Op::LoadEx, Type::I64, {b.get_x(1)}, 0, 3 | ir::kMemAligned));
             }));
    has_mask("exclusive store", block([](ir::Builder& b) {
                 b.set_x(0, b.emit(Op::StoreEx, Type::I32, {b.get_x(1), b.get_x(2)}, 0, 3 | ir::kMemAligned));
             }));
    has_mask("atomic", block([](ir::Builder& b) {
                 b.set_x(0, b.emit(Op::AtomicRmw, Type::I64, {b.get_x(1), b.get_x(2)},
                                   static_cast<uint64_t>(ir::AtomicKind::Add), 3 | ir::kMemAligned));
             }));
    has_mask("compare and swap", block([](ir::Builder& b) {
                 b.set_x(0, b.emit(Op::Cas, Type::I64, {b.get_x(1), b.get_x(2), b.get_x(3)}, 0,
                                   3 | ir::kMemAligned));
             }));
}

TEST_F(SpectreTest, AccessesThatWouldShareACheckHaveTheirOwn) {
    const ir::Block two = block([](ir::Builder& b) {
        const Ref x = b.get_x(1);
        b.set_x(2, b.emit(Op::Load, Type::I64, {x}, 0, 3));
        b.set_x(3, b.emit(Op::Load, Type::I64, {b.emit(Op::Add, Type::I64, {x, b.i64(8)})}, 0, 3));
    });
    EXPECT_EQ(count(on_.listing(on_.compile(two)), kMask), 2u);
}

/// The mask depends on the compare, not on the jump: where the jump was predicted wrong, the access is at the soft TLB's
/// first bytes.
TEST_F(SpectreTest, AMaskIsAsTheCompareSays) {
    const ir::Block load =
        block([](ir::Builder& b) { b.set_x(0, b.emit(Op::Load, Type::I64, {b.get_x(1)}, 0, 3)); });
    const CompiledBlock compiled = on_.compile(load);
    on_.tlb->epoch = 0x1234'5678;
    std::memcpy(on_.memory.at(Memory::kBase), "\x11\x22\x33\x44\x55\x66\x77\x08", 8);
    const auto run = [&](uint64_t address) {
        on_.reset();
        on_.fill_tlb();
        on_.state().x[1] = address;
        on_.run(compiled);
        return on_.state().x[0];
    };
    EXPECT_EQ(run(Memory::kBase), 0x0877'6655'4433'2211u);
    // What the processor does on a wrong prediction, made certain: the jump to the slow path is taken out.
    const auto* code = compiled.entry;
    size_t jumps = 0;
    for (size_t at = 0; at + 6 <= compiled.hot_bytes; ++at) {
        if (code[at] != 0x0f || code[at + 1] != 0x85) continue;  // jne rel32
        std::memcpy(on_.code.writable(code + at), "\x66\x0f\x1f\x44\x00\x00", 6);
        ++jumps;
        break;
    }
    ASSERT_EQ(jumps, 1u) << on_.listing(compiled);
    EXPECT_EQ(run(Memory::kBase), 0x0877'6655'4433'2211u);
    EXPECT_EQ(run(0x5555'0000'0000), 0x1234'5678u) << on_.listing(compiled);
}

TEST_F(SpectreTest, NoBranchIsIndirect) {
    const ir::Block indirect = [] {
        ir::Block made = block_at();
        ir::Builder b(made);
        b.insn_start(0, 0);
        b.emit(Op::ExitIndirect, Type::Void, {b.get_x(1)}, 0, static_cast<uint32_t>(ir::BranchKind::Jump));
        return made;
    }();
    EXPECT_EQ(indirect_branches(off_.listing(off_.compile(indirect))), 1u)
        << off_.listing(off_.compile(indirect));
    EXPECT_EQ(indirect_branches(on_.listing(on_.compile(indirect))), 0u)
        << on_.listing(on_.compile(indirect));
    for (uint64_t seed = 1; seed <= 300; ++seed) {
        BlockGenerator g(seed);
        const ir::Block block = g.make();
        const CompiledBlock c = jit::compile(block, on_.code, 0);
        if (!c) continue;
        ASSERT_EQ(indirect_branches(on_.listing(c)), 0u) << on_.listing(c);
    }
    // Those that all blocks share, and what leads into regions.
    const auto shared = [](Harness& h) {
        // NOLINTNEXTLINE(performance-no-int-to-ptr)
        const auto* first =
            reinterpret_cast<const uint8_t*>(reinterpret_cast<uintptr_t>(h.code.stubs().enter));
        const uint8_t* last = h.code.stubs().region_guard + 64;
        const uint8_t* stub = jit::emit_region_stub(h.code, {first, first, jit::kNoCounter});
        return disassemble({first, last}) + disassemble({stub, 200});
    };
    Harness on(size_t{8} << 20, {.spectre = true}), off;
    EXPECT_GE(indirect_branches(shared(off)), 6u);
    EXPECT_EQ(indirect_branches(shared(on)), 0u) << shared(on);
}

}  // namespace
}  // namespace arclight::backend::testing

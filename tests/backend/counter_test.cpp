// A block's counter: counted, skipped, switched while other threads run the block.
#include <atomic>
#include <thread>

#include "jit/entry_counter.h"
#include "tests/backend/comparison.h"

namespace arclight::backend::testing {
namespace {

using jit::ExitReason;

/// Whether counters are out of line (CodeOptions::counters_aside).
class CounterTest : public ::testing::TestWithParam<bool> {
  protected:
    CounterTest() : h(size_t{8} << 20, {.counters_aside = GetParam()}) {}

    static constexpr uint32_t kCounter = 7, kLinkSlot = 100;

    /// A block that adds one to x0 and goes on at `target` of its page.
    CompiledBlock make(int64_t target) {
        ir::Block block = block_at();
        ir::Builder b(block);
        b.insn_start(0, 0);
        b.set_x(0, b.add(Type::I64, b.get_x(0), b.i64(1)));
        b.emit(Op::Exit, Type::Void, {}, static_cast<uint64_t>(target));
        CompiledBlock compiled = jit::compile(block, h.code, kLinkSlot, kCounter);
        EXPECT_EQ(compiled.status, CompileStatus::Ok);
        unpatch_entry(h.code, compiled, kCounter);
        const auto promote = [](GuestState& s, uint64_t) -> const void* {
            auto& test = *static_cast<CounterTest*>(s.cpu);
            ++test.promoted_;
            return test.body_;
        };
        body_ = compiled.body;
        h.state().runtime.entry[kPromote] = reinterpret_cast<const void*>(LookupFn{promote});
        return compiled;
    }
    uint32_t& counter() { return h.code.counters()[kCounter]; }

    Harness h;
    const void* body_ = nullptr;
    std::atomic<unsigned> promoted_{0};
};

TEST_P(CounterTest, ASkippedOneIsNotExecutedAndTheBlockIs) {
    const CompiledBlock block = make(0x40);
    counter() = 100;
    const auto run = [&](uint64_t x0) {
        h.state().pc = Harness::kPage;
        h.run(block);
        EXPECT_EQ(h.state().x[0], x0);
        EXPECT_EQ(h.state().pc, Harness::kPage + 0x40);
    };
    run(1);
    EXPECT_EQ(counter(), 99u);
    skip_counter(h.code, block);
    run(2);
    EXPECT_EQ(counter(), 99u);
    skip_counter(h.code, block);  // again
    run(3);
    EXPECT_EQ(counter(), 99u);
    unpatch_entry(h.code, block, kCounter);
    run(4);
    EXPECT_EQ(counter(), 98u);
    // Elsewhere instead, and back.
    patch_entry(h.code, block, block.body);
    run(5);
    EXPECT_EQ(counter(), 98u);
    skip_counter(h.code, block);
    run(6);
    EXPECT_EQ(counter(), 98u);
    unpatch_entry(h.code, block, kCounter);
    run(7);
    EXPECT_EQ(counter(), 97u);
}

TEST_P(CounterTest, WhatIsLeftOfItIsOneInstruction) {
    if (!have_disassembler()) GTEST_SKIP();
    const CompiledBlock block = make(0x40);
    const auto first = [&] {
        const std::string text = disassemble({block.entry, static_cast<size_t>(block.body - block.entry)});
        return text.substr(0, text.find(' '));
    };
    skip_counter(h.code, block);
    EXPECT_EQ(first(), GetParam() ? "nop" : "jmp");
    unpatch_entry(h.code, block, kCounter);
    EXPECT_EQ(first(), GetParam() ? "jmp" : "sub");
}

TEST_P(CounterTest, TheRunThatFindsItAtZeroAsks) {
    const CompiledBlock block = make(0x40);
    h.state().cpu = this;
    counter() = 2;
    for (unsigned run = 1; run <= 4; ++run) {
        h.state().pc = Harness::kPage;
        h.run(block);
        EXPECT_EQ(h.state().x[0], run);
        EXPECT_EQ(promoted_, run < 3 ? 0u : run - 2);
    }
}

TEST_P(CounterTest, ItIsSwitchedWhileAThreadRunsTheBlock) {
    const CompiledBlock block = make(0);
    h.state().cpu = this;
    link(h.code, block.exits[0], block.entry, h.tlb->epoch);
    counter() = 1;
    std::atomic<bool> ended{false};
    std::thread cpu([&] {
        h.state().pc = Harness::kPage;
        EXPECT_EQ(h.run(block), ExitReason::Interrupt);
        ended = true;
    });
    for (unsigned k = 0; k < 20'000; ++k) {
        skip_counter(h.code, block);
        std::atomic_ref(counter()).store(k % 100);
        unpatch_entry(h.code, block, kCounter);
    }
    EXPECT_FALSE(ended);
    h.state().interrupt = 1;
    cpu.join();
    EXPECT_GT(h.state().x[0], 0u);
}

INSTANTIATE_TEST_SUITE_P(Counters, CounterTest, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "Aside" : "InLine"; });

}  // namespace
}  // namespace arclight::backend::testing

// Which loops copy or fill memory, and how many turns they have.
#include "jit/ir/memory_loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "frontend/a64/translate/translator.h"
#include "tests/frontend/a64/block_check.h"

namespace arclight::frontend::a64 {
namespace {

using jit::ir::MemoryLoop;
using Kind = MemoryLoop::Kind;

ir::Block translated(const std::vector<uint32_t>& code) {
    ir::Block block;
    block.pa = 0x4000'0100;
    translate_block(block, code, 0x100, 0, kMaxBlockInsns);
    return block;
}

TEST(MemoryLoop, IsFound) {
    struct Case {
        const char* text;
        Kind kind;
        uint32_t bytes;
        std::vector<uint32_t> code;
    };
    const Case cases[] = {
        {"copies of 64 delayed by a turn",
         Kind::DelayedCopy,
         64,
         {0xa9011c66, 0xa9411c26, 0xa9022468, 0xa9422428, 0xa9032c6a, 0xa9432c2a, 0xa984346c, 0xa9c4342c,
          0xf1010042, 0x54fffee8}},
        {"the kernel's copy to programs",
         Kind::DelayedCopy,
         32,
         {0xf80008c7, 0xf80088c8, 0x910040c6, 0xa8c12027, 0xf80008c9, 0xf80088ca, 0x910040c6, 0xa8c12829,
          0xf1008042, 0x54fffeea}},
        {"vectors", Kind::Copy, 32, {0xacc10420, 0xac810400, 0xf1008042, 0x54ffffa1}},
        {"delayed vectors",
         Kind::DelayedCopy,
         64,
         {0xad008460, 0xad408420, 0xad018c62, 0xad418c22, 0x91010063, 0x91010021, 0xf1010042, 0x54ffff28}},
        {"by an index", Kind::Copy, 16, {0x3ce36820, 0x3ca36800, 0x91004063, 0xeb02007f, 0x54ffff81}},
        {"bytes to a limit", Kind::Copy, 1, {0x38401423, 0x38001403, 0xeb04003f, 0x54ffffa3}},
        {"words, counted in words", Kind::Copy, 4, {0xb8404423, 0xb8004403, 0x71000442, 0x54ffffa1}},
        {"downwards",
         Kind::Copy,
         16,
         {0xa97f1c86, 0xa93f1ca6, 0xd1004084, 0xd10040a5, 0xf1004042, 0x54ffff68}},
        {"downwards, delayed",
         Kind::DelayedCopy,
         32,
         {0xa93f1ca6, 0xa97f1c86, 0xa9be24a8, 0xa9fe2488, 0xf1008042, 0x54ffff68}},
        {"a fill of vectors", Kind::Fill, 16, {0x3c810400, 0xeb04001f, 0x54ffffc1}},
        {"a fill of pairs", Kind::Fill, 64, {0xad010060, 0xad820060, 0xf1010042, 0x54ffffa8}},
        {"zeros", Kind::Fill, 16, {0xa8817c1f, 0xeb04001f, 0x54ffffc3}},
        {"bytes of a register", Kind::Fill, 1, {0x38001401, 0xd1000442, 0xb5ffffc2}},
        {"a pattern", Kind::Fill, 16, {0xa8811404, 0xf1000442, 0x54ffffc1}},
        {"lines of zeros", Kind::Zero, 64, {0xd50b7423, 0x91010063, 0xf1010042, 0x54ffffa8}},
        {"a page", Kind::Zero, 64, {0xd50b7420, 0x91010000, 0xf2402c1f, 0x54ffffa1}},
        {"a page by the size of a line", Kind::Zero, 64, {0xd50b7420, 0x8b010000, 0xf2402c1f, 0x54ffffa1}},
        {"lines by their size", Kind::Zero, 64, {0xd50b7423, 0x8b040063, 0xeb040042, 0x54ffffaa}},
        {"pages",
         Kind::Copy,
         32,
         {0xa9400c22, 0xa9411424, 0xa8000c02, 0xa8011404, 0x91008000, 0x91008021, 0xf2402c1f, 0x54ffff21}},
    };
    for (const Case& c : cases) {
        ir::Block block = translated(c.code);
        const auto loop = jit::ir::find_memory_loop(block);
        ASSERT_NE(loop, nullptr) << c.text << '\n' << jit::ir::print(block);
        EXPECT_EQ(loop->kind, c.kind) << c.text;
        EXPECT_EQ(loop->bytes, c.bytes) << c.text;
        EXPECT_EQ(loop->down, std::string_view(c.text).starts_with("downwards")) << c.text;
        jit::ir::run_memory_loop(block, *loop);
        EXPECT_EQ(check_block(block), "") << c.text;
    }
}

TEST(MemoryLoop, IsNothingElse) {
    struct Case {
        const char* text;
        std::vector<uint32_t> code;
    };
    const Case cases[] = {
        {"a register's step: str x3, [x0]; add x0, x0, x1; subs x2, x2, #8",
         {0xf9000003, 0x8b010000, 0xf1002042, 0x54ffffa1}},
        {"a sum", {0xf8408423, 0xf8008403, 0x8b030084, 0xf1002042, 0x54ffff81}},
        {"a gap", {0xf8410423, 0xf8010403, 0xf1002042, 0x54ffffa1}},
        {"another order", {0xa8c11c26, 0xa8811807, 0xf1004042, 0x54ffffa1}},
        {"another width", {0x38401423, 0x78002403, 0xf1000442, 0x54ffffa1}},
        {"signed bytes as words", {0x38c01423, 0xb8004403, 0xf1000442, 0x54ffffa1}},
        {"an acquire", {0xc8dffc23, 0xf8008403, 0x91002021, 0xf1002042, 0x54ffff81}},
        {"up and down", {0xf8408423, 0xf81f8403, 0xf1002042, 0x54ffffa1}},
        {"a value that changes", {0xf8008402, 0xf1002042, 0x54ffffc1}},
        {"a string", {0x38401423, 0x38001403, 0x35ffffc3}},
        {"no count", {0xf8408423, 0xf8008403, 0xeb05009f, 0x54ffffa1}},
        {"away from its end", {0xf8008403, 0xeb04001f, 0x54ffffc8}},
        {"a count by the data", {0xf8408423, 0xf8008403, 0xeb030042, 0x54ffffa1}},
        {"an exit before", {0xf8408423, 0xb4000083, 0xf8008403, 0xf1002042, 0x54ffff81, 0xd503201f}},
        {"a counter in memory", {0xf8408423, 0xf8008403, 0xf94000a4, 0xf1002042, 0x54ffff81}},
        {"a register of both", {0xa9011c66, 0xa9411827, 0x91004063, 0x91004021, 0xf1004042, 0x54ffff68}},
    };
    for (const Case& c : cases) EXPECT_EQ(jit::ir::find_memory_loop(translated(c.code)), nullptr) << c.text;
}

/// Turns by the book: the exit is taken as long as the comparison says so.
TEST(MemoryLoop, TurnsAreThoseThatAnotherFollows) {
    using Until = MemoryLoop::Count::Until;
    const uint64_t kNear[] = {0,           1,           2,           3,           7,
                              8,           9,           31,          0x7fff'fff0, 0x7fff'ffff,
                              0x8000'0000, 0x8000'0001, 0xffff'fff8, 0xffff'ffff};
    struct Comparison {
        Until until;
        int64_t towards;  ///< the sign of the step with which a comes to b
        bool (*holds)(uint32_t, uint32_t);
    };
    const Comparison comparisons[] = {
        {Until::NotEqual, 0, [](uint32_t a, uint32_t b) { return a != b; }},
        {Until::Above, -1, [](uint32_t a, uint32_t b) { return a > b; }},
        {Until::NotBelow, -1, [](uint32_t a, uint32_t b) { return a >= b; }},
        {Until::Below, 1, [](uint32_t a, uint32_t b) { return a < b; }},
        {Until::NotAbove, 1, [](uint32_t a, uint32_t b) { return a <= b; }},
        {Until::Greater, -1,
         [](uint32_t a, uint32_t b) { return static_cast<int32_t>(a) > static_cast<int32_t>(b); }},
        {Until::NotLess, -1,
         [](uint32_t a, uint32_t b) { return static_cast<int32_t>(a) >= static_cast<int32_t>(b); }},
        {Until::Less, 1,
         [](uint32_t a, uint32_t b) { return static_cast<int32_t>(a) < static_cast<int32_t>(b); }},
        {Until::NotGreater, 1,
         [](uint32_t a, uint32_t b) { return static_cast<int32_t>(a) <= static_cast<int32_t>(b); }},
        {Until::Positive, -1, [](uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) >= 0; }},
        {Until::Negative, 1, [](uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }},
    };
    uint64_t found = 0;
    for (const Comparison& c : comparisons)
        for (const int64_t step : {-8, -3, -1, 1, 3, 8})
            for (const uint64_t a : kNear)
                for (const uint64_t b : kNear) {
                    if (c.towards * step < 0) continue;
                    MemoryLoop loop;
                    loop.count = {.until = c.until, .a = 0, .b = 1, .step = step, .mask = 0xffff'ffff};
                    std::array<uint64_t, 32> x{a, b};
                    const uint64_t turns = loop.turns(x.data());
                    found += turns != 0;
                    auto now = static_cast<uint32_t>(a);
                    for (uint64_t t = 0; t < std::min<uint64_t>(turns, 100);
                         ++t, now += static_cast<uint32_t>(step))
                        ASSERT_TRUE(c.holds(now, static_cast<uint32_t>(b)))
                            << int(c.until) << ' ' << a << ' ' << b << ' ' << step << ' ' << t;
                    // The last of them, too.
                    if (turns == 0) continue;
                    now = static_cast<uint32_t>(a + (turns - 1) * static_cast<uint64_t>(step));
                    ASSERT_TRUE(c.holds(now, static_cast<uint32_t>(b)))
                        << int(c.until) << ' ' << a << ' ' << b << ' ' << step << ", last of " << turns;
                }
    EXPECT_GT(found, 2000u);
}

}  // namespace
}  // namespace arclight::frontend::a64
